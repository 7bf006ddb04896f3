/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What client programs have in common: the section `find` of a configuration
 * file, and where key, certificates and orders are kept. */
#ifndef NET_CLIENT_CONF_H
#define NET_CLIENT_CONF_H

#include "net/file.h"
#include "net/settings.h"

/* An environment variable; NULL: unset or empty. */
const char *net_env(const char *name);

/* The settings, with the file's where path is not NULL.  Errors as of
 * net_settings_file, but XN_EINVAL for whatever cannot be read. */
int net_client_settings(const char *path, struct net_settings **settings_out,
                        char *why_out, size_t len);

/* XENO_KEY, else find.key, else xenoserver in the user's folder of state. */
void net_client_state(const struct net_settings *settings,
                      char out[NET_PATH_MAX]);

#endif
