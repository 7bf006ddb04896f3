/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command itself: a child of its carrier's, with three pipes, or a terminal of
 * the sandbox's own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "keeper/exec_in.h"

static void run(const struct exec *e, const int fds[3])
{
    pid_t outside = 0; /* our parent, as it is seen from here */

    setsid();
    signal(SIGPIPE, SIG_DFL);
    if (e->terminal) ioctl(fds[0], TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    close_range(3, ~0U, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != outside) _exit(EXEC_NOT_ENTERED);
    execve(e->argv[0], e->argv, e->env);
    dprintf(2, "xeno-keeper: %s: %s\n", e->argv[0], strerror(errno));
    _exit(errno == ENOENT ? EXEC_NOT_FOUND : EXEC_NOT_RUN);
}

static bool begin(struct exec *e, const int fds[3])
{
    e->pid = fork();
    if (e->pid == 0) run(e, fds);
    for (int i = 0; i < 3; i++) {
        if (i == 0 || fds[i] != fds[0]) close(fds[i]);
    }
    fcntl(e->in, F_SETFL, O_NONBLOCK);
    fcntl(e->out, F_SETFL, O_NONBLOCK);
    if (e->err >= 0) fcntl(e->err, F_SETFL, O_NONBLOCK);
    if (e->pid > 0) e->ended = (int)syscall(SYS_pidfd_open, e->pid, 0);
    return e->pid > 0 && e->ended >= 0;
}

static bool start_piped(struct exec *e)
{
    int in[2], out[2], err[2];

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        return false;
    e->in = in[1];
    e->out = out[0];
    e->err = err[0];
    return begin(e, (int[3]){in[0], out[1], err[1]});
}

/* As a person wants it: what is rubbed out is a character, not a byte. */
static void set_up(int fd, const Xn__Terminal *terminal)
{
    struct winsize size = {.ws_row = (unsigned short)terminal->rows,
                           .ws_col = (unsigned short)terminal->columns};
    struct termios modes;

    ioctl(fd, TIOCSWINSZ, &size);
    if (tcgetattr(fd, &modes)) return;
    modes.c_iflag |= IUTF8;
    tcsetattr(fd, TCSANOW, &modes);
}

/* We are inside: it is one of the sandbox's, which has no other. */
static bool start_terminal(struct exec *e)
{
    int unlock = 0, peer = -1;

    e->out = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (e->out < 0) return false;
    e->in = fcntl(e->out, F_DUPFD_CLOEXEC, 0);
    if (ioctl(e->out, TIOCSPTLCK, &unlock) == 0)
        peer = ioctl(e->out, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (e->in < 0 || peer < 0) return false;
    set_up(peer, e->terminal);
    return begin(e, (int[3]){peer, peer, peer});
}

bool exec_start(struct exec *e)
{
    return e->terminal ? start_terminal(e) : start_piped(e);
}
