// Writes its argument and the time to a pipe, in one piece; `stamp PIPE WORD [wait]`. Told to wait, it is a step that
// ends when it is asked to.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words) {
    struct timespec now;
    char line[128];
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(line, sizeof line, "%s %lld%09ld\n", words[2], (long long)now.tv_sec, now.tv_nsec);
    int pipe = open(words[1], O_WRONLY | O_CLOEXEC);
    if (pipe < 0 || write(pipe, line, length) != length) return 1;
    close(pipe);
    if (count > 3 && strcmp(words[3], "wait") == 0) pause();
    return 0;
}
