/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The server as units of systemd, which run as users of their own: who asks for
 * what here is root then, and does it as the owner of the state folder. */
#ifndef HOSTAGENT_XENOSERVER_UNITS_H
#define HOSTAGENT_XENOSERVER_UNITS_H

#include "hostagent/xenoserver.h"

#define UNITS_STATE "/var/lib/xeno/xenohostd"
#define UNITS_DOMD_SOCKET "/var/lib/xenoserver/xenodomd/socket"

/* Root works on another's folder as that one, so that all files stay theirs and
 * none of theirs leads root astray.  An exit code, or -1: go on; errors are
 * told. */
int server_as_owner(struct server *server);

/* Is this the server that the units run, systemd the first process, the unit
 * installed, and are we root?  `unit`: "xenohostd". */
bool server_has_unit(const struct server *server, const char *unit);

/* The node beside it gets a configuration where it has none: to join `corp`,
 * with its listeners at `host`.  As root.  An exit code; errors are told. */
int server_node_configure(const struct net_corp *corp, const char *label,
                          const char *host);

/* Enables and starts xenodomd, xenonoded (where `node`) and xenohostd, and
 * waits until they are ready.  As root.  An exit code; errors are told. */
int server_units_start(const struct server *server, bool node);

#endif
