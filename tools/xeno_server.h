/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a client asks a server for: quotes and sessions.  A server is named by
 * URL#ID: its Endpoint and id as xenofind tells them. */
#ifndef TOOLS_XENO_SERVER_H
#define TOOLS_XENO_SERVER_H

#include "tools/xeno_orders.h"

/* Us, in front of that server; an exit code, errors are told.
 * xeno_member_clear. */
int xeno_server(const struct xeno *xeno, const char *text,
                struct xeno_member *server_out);
/* The same, as `member` speaks; nothing to clear. */
int xeno_server_as(const char *text, const struct xeno_member *member,
                   struct xeno_member *server_out);
/* A whole file of at most `max` bytes. */
int xeno_file(const char *path, size_t max, struct xn_buf *out,
              const char *what);

int xeno_quote(struct xeno *xeno, int argc, char **argv);
int xeno_session_new(struct xeno *xeno, int argc, char **argv);
int xeno_session_list(struct xeno *xeno, int argc, char **argv);
int xeno_session_show(struct xeno *xeno, int argc, char **argv);
int xeno_session_stop(struct xeno *xeno, int argc, char **argv);

#endif
