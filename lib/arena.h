/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short-lived memory freed in one go: one arena per parsed document or query.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>

struct xn_arena_block;

struct xn_arena {
    struct xn_arena_block *blocks; /* newest first */
    size_t used;                   /* bytes handed out */
    size_t max;                    /* bytes; 0 = no bound */
};

void xn_arena_init(struct xn_arena *arena, size_t max);
void xn_arena_clear(struct xn_arena *arena);

/* Zeroed memory, aligned for any type; NULL when out of memory or past the
 * bound.  Lives until xn_arena_clear. */
void *xn_arena_alloc(struct xn_arena *arena, size_t size);

/* A copy with a NUL behind it. */
char *xn_arena_strndup(struct xn_arena *arena, const char *text, size_t len);
char *xn_arena_strdup(struct xn_arena *arena, const char *text);

#endif
