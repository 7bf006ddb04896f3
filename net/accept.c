/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/err.h"

struct net_accept {
    const struct net_accept_user *user;
    void *arg;
    int fd;
    struct event *ready;
    bool on;
};

void net_accept_set(struct net_accept *accept, bool on)
{
    if (accept->on == on) return;
    accept->on = on;
    if (on)
        event_add(accept->ready, NULL);
    else
        event_del(accept->ready);
}

/* These are of one connection that came to nothing. */
static bool goes_on(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

static bool has_left(int fd)
{
    char first;
    ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct net_accept *accept = arg;

    for (int i = 0; i < NET_ACCEPT_TURN && accept->on; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int got = accept4(fd, (struct sockaddr *)&sa, &len,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (got >= 0 && has_left(got)) {
            close(got);
        } else if (got >= 0) {
            accept->user->accepted(accept->arg, got, (struct sockaddr *)&sa,
                                   len);
        } else if (errno == EAGAIN) {
            return;
        } else if (!goes_on(errno)) {
            net_accept_set(accept, false);
            accept->user->failed(accept->arg);
        }
    }
}

int net_accept_new(struct event_base *base, int fd,
                   const struct net_accept_user *user, void *arg,
                   struct net_accept **accept_out)
{
    struct net_accept *accept = calloc(1, sizeof *accept);

    if (!accept) {
        close(fd);
        return XN_ENOMEM;
    }
    accept->user = user;
    accept->arg = arg;
    accept->fd = fd;
    accept->ready = event_new(base, fd, EV_READ | EV_PERSIST, on_ready, accept);
    if (!accept->ready || event_add(accept->ready, NULL)) {
        net_accept_free(accept);
        return XN_ENOMEM;
    }
    accept->on = true;
    *accept_out = accept;
    return 0;
}

void net_accept_free(struct net_accept *accept)
{
    if (!accept) return;
    if (accept->ready) event_free(accept->ready);
    close(accept->fd);
    free(accept);
}
