/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the readers of latency files share: latency.c, latency_packed.c,
 * latency_pairs.c, latency_text.c. */
#ifndef LIB_LATENCY_FORM_H
#define LIB_LATENCY_FORM_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/latency.h"

struct latency_reader {
    const char *path;
    char *why; /* a line for people */
    size_t why_len;
};

/* Says what is wrong with the file, and gives rc back. */
int latency_fail(const struct latency_reader *r, int rc, const char *text);
int latency_slurp(const struct latency_reader *r, const char *path,
                  struct xn_buf *out);
/* The same as text that the caller frees. */
int latency_slurp_text(const struct latency_reader *r, const char *path,
                       char **text_out);
/* A decimal, whatever the user's locale; within 1e9 of 0. */
bool latency_number(const char *text, double *out);
/* Cut the next line that is neither empty nor a comment into at most `max`
 * fields in place; 0 at the end. */
size_t latency_line(char **at, char sep, char **fields, size_t max);

/* Both take over the array.  Cells of UINT32_MAX are unknown and filled. */
int latency_of_matrix(uint32_t n, uint32_t *one_way_us,
                      struct xn_latency **out);
int latency_of_plane(uint32_t n, double *xy_ms, struct xn_latency **out);

int latency_load_packed(const struct latency_reader *r, uint64_t unit_us,
                        struct xn_latency **out);
/* These cut the text in place. */
int latency_parse_pairs(const struct latency_reader *r, char sep, char *text,
                        struct xn_latency **out);
int latency_parse_text(const struct latency_reader *r, char *text,
                       struct xn_latency **out);

#endif
