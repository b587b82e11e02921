// Writes its argument and the time to a pipe, in one piece; `stamp PIPE WORD [wait|GATE]`. It ends at once, or when it is
// asked to (`wait`), or when somebody opens the pipe GATE for writing.
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
    return count > 3 && open(words[3], O_RDONLY) < 0;
}
