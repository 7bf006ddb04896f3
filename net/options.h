/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of a daemon: the options that all have and its own. */
#ifndef NET_OPTIONS_H
#define NET_OPTIONS_H

#include "net/daemon.h"

/* Fills the daemon's fields; serves --help and --version.  Errors are told in
 * three lines. */
int net_options_parse(struct net_daemon *daemon, int argc, char **argv);
/* The settings that all daemons have, or all with links. */
const struct net_setting *net_common_settings(bool links, size_t *n_out);

#endif
