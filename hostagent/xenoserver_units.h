/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server as units of systemd, which run as users of their own: who asks for
 * what here is root then, and does it as the owner of the state folder. */
#ifndef HOSTAGENT_XENOSERVER_UNITS_H
#define HOSTAGENT_XENOSERVER_UNITS_H

#include "hostagent/xenoserver.h"

#define UNITS_STATE "/var/lib/xeno/xenohostd"
#define UNITS_NODE_FOLDER XN_SYSCONFDIR "/xenoserver" /* as its unit has it */
#define UNITS_NODE_CONFIG UNITS_NODE_FOLDER "/xenonoded.conf"
#define UNITS_DOMD_SOCKET "/var/lib/xenoserver/xenodomd/socket"

/* Root works on another's folder as that one, so that all files stay theirs and
 * none of theirs leads root astray.  An exit code, or -1: go on; errors are
 * told. */
int server_as_owner(struct server *server);

/* Is this the server that the units run, systemd the first process, the unit
 * installed, and are we root?  `unit`: "xenohostd". */
bool server_has_unit(const struct server *server, const char *unit);

/* The configuration of the node beside it: to join `corp`, with its listeners at
 * `host`.  *text_out is the caller's, NULL: it has one, which is left as it is;
 * knows_out: that names `corp`.  Changes nothing.  As root.  An exit code; errors
 * are told. */
struct server_node {
    const struct net_corp *corp;
    const char *label, *host;
    const char *invitation; /* NULL: none */
};
int server_node_plan(const struct server_node *node, char **text_out,
                     bool *knows_out);
/* Writes it, where there is none.  As root.  An exit code; errors are told. */
int server_node_write(const char *text);

/* What is started: xenodomd, xenonoded (where `node`), xenohostd; NULL behind
 * the last one. */
#define UNITS_MAX 3
void server_units_list(const struct server *server, bool node,
                       const char *units_out[UNITS_MAX + 1]);
/* Enables and starts them and waits until they run; a xenohostd that runs is
 * restarted where its configuration has changed.  As root.  An exit code; errors
 * are told. */
int server_units_start(const char *const *units, bool restart);

#endif
