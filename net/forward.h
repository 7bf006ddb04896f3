/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports of this machine that lead to ports of a task: each connection that comes
 * is carried over one of ours to its server.  On a loop of its own, until a
 * signal comes or there is nothing to carry to any more. */
#ifndef NET_FORWARD_H
#define NET_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/identity.h"

#define NET_FORWARD_PORTS_MAX 64
#define NET_FORWARD_CONNECTIONS_MAX 64 /* others wait to be accepted */

struct net_forward_port {
    char address[NET_ADDR_TEXT]; /* to listen at: "127.0.0.1:8080" */
    uint16_t to;                 /* port of the task */
};

struct net_forward;
struct net_forward_config { /* lent */
    const struct net_identity *identity;
    const char *url; /* of the server: "https://host:port" */
    const xn_id *server, *session;
    uint32_t task; /* 0: the last at that time */
    unsigned timeout_ms, look_ms;
    void (*refused)(void *arg, uint16_t to, int rc, const char *because,
                    const char *try);
    /* From time to time, and when something was refused: is there anything to
     * carry to? */
    bool (*look)(void *arg);
    void *arg;
};

int net_forward_new(const struct net_forward_config *config,
                    struct net_forward **forward_out);
/* Listens at port->address, which then says where: of port 0 the one that is
 * free.  XN_EINVAL: it is no address; XN_EIO with errno; XN_ENOMEM. */
int net_forward_add(struct net_forward *forward, struct net_forward_port *port);
/* 0 after SIGINT, SIGTERM or SIGHUP; XN_ENOENT: there is nothing to carry to. */
int net_forward_run(struct net_forward *forward);
void net_forward_free(struct net_forward *forward); /* NULL is fine */

#endif
