/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers in Prometheus' text format, version 0.0.4: a family is its help and
 * type, then its samples.  Names and help texts are the program's own; what a
 * label says may be anybody's.  Errors stick in the buffer (lib/buf.h). */
#ifndef LIB_PROM_H
#define LIB_PROM_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define XN_PROM_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum xn_prom_type {
    XN_PROM_COUNTER, /* its name ends in _total */
    XN_PROM_GAUGE,
    XN_PROM_HISTOGRAM,
    XN_PROM_SUMMARY,
};

void xn_prom_family(struct xn_buf *buf, enum xn_prom_type type,
                    const char *name, const char *help);
/* One of the family's; with a label where that is not NULL. */
void xn_prom_sample(struct xn_buf *buf, const char *name, const char *label,
                    const char *text, uint64_t value);
/* The same of so many millionths: of a second, of a coin. */
void xn_prom_millionths(struct xn_buf *buf, const char *name, const char *label,
                        const char *text, uint64_t millionths);

/* A family of one sample. */
void xn_prom_one(struct xn_buf *buf, enum xn_prom_type type, const char *name,
                 const char *help, uint64_t value);
/* counts[i]: how many were at most bounds[i] and above bounds[i - 1];
 * counts[n]: above all.  sum: of all values. */
void xn_prom_histogram(struct xn_buf *buf, const char *name, const char *help,
                       const uint64_t *bounds, const uint64_t *counts, size_t n,
                       uint64_t sum);

#endif
