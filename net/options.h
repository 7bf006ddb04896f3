/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of a daemon: the options that all have and its own. */
#ifndef NET_OPTIONS_H
#define NET_OPTIONS_H

#include "net/daemon.h"

/* Fills the daemon's fields; serves --help and --version.  Errors are told in
 * three lines. */
int net_options_parse(struct net_daemon *daemon, int argc, char **argv);
/* The settings that daemons of this role have in common with others. */
const struct net_setting *net_common_settings(Xn__Role role, size_t *n_out);
/* "URL#ID URL#ID": at most `max`.  XN_EINVAL: bad_out is the one that is no
 * XenoCorp, or one too many. */
int net_options_corps(const char *list, struct net_corp *corps, size_t max,
                      size_t *n_out, char *bad_out, size_t len);

#endif
