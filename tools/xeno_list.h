/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sessions that are kept here, and what their servers tell of them. */
#ifndef TOOLS_XENO_LIST_H
#define TOOLS_XENO_LIST_H

#include "tools/xeno_kept.h"

struct xeno_row {
    struct xeno_kept kept;
    const struct xeno_member *member; /* NULL: its XenoCorp is none of ours */
    Xn__HostSession *now;             /* the row's own; NULL: not told */
    int rc;                           /* why not; XN_ENOENT: it is forgotten */
    struct xeno_why why;
    /* ---- of the reading before ---- */
    uint64_t cpu_ns, read_us;
    uint32_t task;
    double share; /* of a CPU; below 0: unknown */
};

struct xeno_list {
    const struct xeno *xeno;
    struct xeno_member members[XENO_CORPS_MAX];
    size_t n_members;
    struct xeno_row *rows;
    size_t n;
};

/* Ended, refused or forgotten: it does not change any more. */
bool xeno_row_ended(const struct xeno_row *row);
/* Fills now, or rc and why, of all rows that have not ended.  A server is asked
 * page by page for as much of its list as there are rows of it.  meters: then
 * for what each task uses now, one by one.  An exit code: of our own trouble
 * alone, which is told. */
int xeno_list_ask(struct xeno_list *list, bool meters);

#endif
