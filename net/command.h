/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's end of a command beside a task: standard input goes there, what it
 * says comes out here.  With a terminal each key goes there at once, so does a new
 * size of the window, and our terminal is what it was whenever we return or are
 * stopped. */
#ifndef NET_COMMAND_H
#define NET_COMMAND_H

#include <stdbool.h>

#include "net/identity.h"

struct net_command {
    const struct net_identity *identity;
    const char *url, *path; /* "https://host:port", "/v1/..." */
    const xn_id *server;
    const void *body;    /* the question that begins it */
    unsigned timeout_ms; /* until it is answered */
    bool terminal;       /* it has one; ours is standard input */
};

struct net_command_end {
    int rc; /* 0: it has ended with `code`; else as of net/upgrade.h, or
               XN_ECANCELLED: SIGINT, SIGTERM, SIGHUP, SIGQUIT; XN_EIO: errno
             */
    int code;
    bool began;
    char because[300], try[200];
};

/* Until it has ended; descriptors 0, 1 and 2 are its own.  When we leave, the
 * server ends it; that can be had at any time by a signal, also while what it says
 * is not taken. */
void net_command_run(const struct net_command *command,
                     struct net_command_end *end_out);

#endif
