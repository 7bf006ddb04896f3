/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Somebody before a terminal: runs a command on one of his own, does what his
 * input says, line by line, and writes what he saw.
 *     typist COMMAND ...
 *         expect TEXT     reads on until that has come, behind what was expected
 *         type TEXT       \\r, \\n, \\e and \\xHH as in C
 *         size ROWS COLUMNS
 *         signal NUMBER   to the command
 *         modes raw|cooked    waits until the terminal is
 *         stopped         waits until the command is
 *         end             waits for it: his code is its, 128 and its signal
 * What does not come in a minute ends him with code 99, and what he saw on stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SEEN_MAX = 1 << 20, PATIENCE_MS = 60000, TICK_MS = 20, VAIN = 99 };

static int master, slave;
static pid_t pid;
static char seen[SEEN_MAX];
static size_t n_seen, n_expected;

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* false: there was nothing. */
static bool look(int ms)
{
    struct pollfd in = {.fd = master, .events = POLLIN};
    ssize_t n;

    if (poll(&in, 1, ms) <= 0) return false;
    n = read(master, seen + n_seen, SEEN_MAX - 1 - n_seen);
    if (n > 0) n_seen += (size_t)n;
    return n > 0;
}

static void await(bool (*holds)(const char *arg), const char *arg)
{
    uint64_t till = now_ms() + PATIENCE_MS;

    while (!holds(arg)) {
        look(TICK_MS);
        if (now_ms() < till) continue;
        fprintf(stderr, "typist: in vain: %s; seen:\n%.*s\n", arg, (int)n_seen,
                seen);
        kill(pid, SIGKILL);
        exit(VAIN);
    }
}

static bool has_come(const char *text)
{
    char *at =
        memmem(seen + n_expected, n_seen - n_expected, text, strlen(text));

    if (at) n_expected = (size_t)(at - seen) + strlen(text);
    return at;
}

static bool has_modes(const char *name)
{
    struct termios modes;

    return tcgetattr(slave, &modes) == 0 &&
           !(modes.c_lflag & (ICANON | ECHO | ISIG)) == !strcmp(name, "raw") &&
           (strcmp(name, "raw") == 0 ||
            (modes.c_lflag & ICANON && modes.c_lflag & ECHO &&
             modes.c_lflag & ISIG));
}

static bool is_stopped(const char *unused)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

static int status;
static bool has_ended(const char *unused)
{
    return waitpid(pid, &status, WNOHANG) == pid;
}

static void type_in(const char *text)
{
    for (; *text; text++) {
        char c = *text;

        if (c == '\\' && text[1] == 'x') {
            char hex[3] = {text[2], text[3], 0};

            c = (char)strtol(hex, NULL, 16);
            text += 3;
        } else if (c == '\\') {
            c = *++text == 'r' ? '\r' : *text == 'n' ? '\n' : '\33';
        }
        if (write(master, &c, 1) != 1) exit(VAIN);
    }
}

static void set_size(const char *text)
{
    struct winsize size = {0};

    if (sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) != 2) exit(VAIN);
    ioctl(master, TIOCSWINSZ, &size);
}

static int end(void)
{
    await(has_ended, "end");
    while (look(0)) {}
    fwrite(seen, 1, n_seen, stdout);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int obey(char *line)
{
    char *arg = strchr(line, ' ');

    if (arg) *arg++ = '\0';
    if (!strcmp(line, "expect"))
        await(has_come, arg);
    else if (!strcmp(line, "type"))
        type_in(arg);
    else if (!strcmp(line, "size"))
        set_size(arg);
    else if (!strcmp(line, "signal"))
        kill(pid, atoi(arg));
    else if (!strcmp(line, "modes"))
        await(has_modes, arg);
    else if (!strcmp(line, "stopped"))
        await(is_stopped, "stopped");
    else if (!strcmp(line, "end"))
        return end();
    else
        return VAIN;
    return -1;
}

int main(int argc, char **argv)
{
    char line[4096];
    int code = -1;

    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (argc < 2 || master < 0 || grantpt(master) || unlockpt(master))
        return VAIN;
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    set_size((char[]){"30 90"});
    pid = fork();
    if (pid == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        for (int i = 0; i < 3; i++)
            dup2(slave, i);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (code < 0 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        code = obey(line);
    }
    return code < 0 ? end() : code;
}
