/* Runs a program and prints its VmHWM in KiB: read by a tracer that stops it on its way out, when its counters are
   final. `ru_maxrss` would not do: it remembers the fork before the exec, and newer kernels round it by whole batches
   of pages. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int report(pid_t child) {
    char line[256];
    long peak = -1;
    snprintf(line, sizeof line, "/proc/%d/status", (int)child);
    FILE *status = fopen(line, "r");
    while (status && fgets(line, sizeof line, status))
        sscanf(line, "VmHWM: %ld kB", &peak);
    printf("%ld\n", peak);
    return peak > 0 ? 0 : 71;
}

int main(int argc, char **argv) {
    int status, result = 71;
    if (argc < 2)
        return 64;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return 71;
    ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(long)(PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL));
    for (int deliver = 0; ptrace(PTRACE_CONT, child, NULL, (void *)(long)deliver) == 0;) {
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
            break;
        deliver = 0;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
            result = report(child);
        else if (status >> 16 == 0)
            deliver = WSTOPSIG(status);
    }
    return WIFEXITED(status) ? (WEXITSTATUS(status) ? WEXITSTATUS(status) : result) : 71;
}
