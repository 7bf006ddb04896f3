/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A socket is of the network in which it was made, whoever has it later.  So a
 * messenger goes inside, makes one and passes it out; it carries nothing. */
#include "keeper/join.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

enum { PASSED, NOT_ENTERED, NOT_PASSED };

/* One of which nobody knows yet that it is refused; -1. */
static int connect_to(const struct sockaddr *sa, socklen_t len)
{
    int fd =
        socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd now = {.fd = fd, .events = POLLOUT};
    int rc = 0;
    socklen_t n = sizeof rc;

    if (fd < 0) return -1;
    if (connect(fd, sa, len) && errno != EINPROGRESS) rc = errno;
    if (!rc && poll(&now, 1, 0) > 0)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &rc, &n);
    if (!rc) return fd;
    close(fd);
    return -1;
}

static int connect_v4(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect_to((struct sockaddr *)&to, sizeof to);
}

static int connect_v6(uint16_t port)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                              .sin6_port = htons(port)};

    to.sin6_addr = in6addr_loopback;
    return connect_to((struct sockaddr *)&to, sizeof to);
}

static void enter(int init, uint16_t port, int out)
{
    int fd;

    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setns(init, CLONE_NEWUSER | CLONE_NEWNET)) _exit(NOT_ENTERED);
    prctl(PR_SET_DUMPABLE, 0);
    fd = connect_v4(port);
    if (fd < 0) fd = connect_v6(port);
    _exit(sys_pass_fd(out, fd) ? NOT_PASSED : PASSED);
}

int join_connect(int init, uint16_t port, int *fd_out)
{
    int ends[2], status, rc = XN_EIO;
    pid_t pid;

    *fd_out = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return XN_ENOMEM;
    pid = fork();
    if (pid == 0) enter(init, port, ends[1]);
    close(ends[1]);
    status = pid > 0 ? sys_wait(pid) : -1;
    if (status >= 0 && WIFEXITED(status)) {
        switch (WEXITSTATUS(status)) {
        case PASSED:
            *fd_out = sys_take_fd(ends[0]);
            rc = *fd_out < 0 ? XN_EREFUSED : 0;
            break;
        case NOT_ENTERED: rc = XN_ENOENT; break;
        default: break;
        }
    }
    close(ends[0]);
    return rc;
}
