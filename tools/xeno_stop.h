/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The signed end of sessions. */
#ifndef TOOLS_XENO_STOP_H
#define TOOLS_XENO_STOP_H

#include "tools/xeno_server.h"

/* A stop of the session that the order pays for; free(paper_out->data).  An
 * exit code; errors are told. */
int xeno_stop_seal(const struct xeno_member *member,
                   const struct xeno_order *order,
                   struct xeno_paper *paper_out);
/* Did we narrow the order to a quote for that session? */
bool xeno_order_extends(const struct xeno *xeno,
                        const struct xeno_member *member,
                        const struct xeno_order *order, const xn_id *session);
/* Its order may be another by now: it was extended, and nobody heard the answer.
 * true: that one, both the caller's. */
bool xeno_stop_follow(const struct xeno *xeno, const struct xeno_member *server,
                      const xn_id *session, const xn_id *serial,
                      struct xeno_member *member_out,
                      struct xeno_order *order_out);
/* Several that are kept here, some at once: a line each, or (JSON) one list.
 * The worst of their exit codes. */
int xeno_stops(const struct xeno *xeno, size_t n, char **texts);

#endif
