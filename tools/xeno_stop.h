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
/* Several that are kept here, some at once: a line each, or (JSON) one list.
 * The worst of their exit codes. */
int xeno_stops(const struct xeno *xeno, size_t n, char **texts);

#endif
