/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Availability files: when machines were up, as somebody measured it.
 *
 * Several forms become one list of changes by time.  A machine that a file does
 * not say to be up is down.  Times: us from the file's own start. */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XN_TRACE_BYTES_MAX (64U << 20) /* of a file, unpacked */
#define XN_TRACE_NODES_MAX (1U << 24)
#define XN_TRACE_TEXT 256 /* enough for any `why` below */

struct xn_trace_change {
    uint64_t at_us;
    uint32_t node;
    bool up;
};

struct xn_trace {
    struct xn_trace_change *changes; /* by time, then node; down before up */
    size_t n;
    uint32_t nodes; /* all are below */
};

/* From a text file with tabs between its columns, or one packed by xz (.xz), by
 * its header:
 *   node up_from up_to    s; a line for each time that a node was up
 *   id .. first_ms last_ms    the same in ms, each node once
 *   trace gap_s ticks value_run_lengths    one group of machines a line: so
 *       many seconds a tick, then "VALUExTICKS" words: how many of them are up
 * XN_EIO, XN_EINVAL, XN_ETOOBIG, XN_ENOMEM; why_out gets a line. */
int xn_trace_load(const char *path, struct xn_trace *trace_out, char *why_out,
                  size_t why_len);
void xn_trace_clear(struct xn_trace *trace);

#endif
