/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 4096, ALIGN = _Alignof(max_align_t) };

struct xn_arena_block {
    struct xn_arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(max_align_t) unsigned char data[];
};

void xn_arena_init(struct xn_arena *arena, size_t max)
{
    memset(arena, 0, sizeof *arena);
    arena->max = max;
}

void xn_arena_clear(struct xn_arena *arena)
{
    struct xn_arena_block *block, *next;

    for (block = arena->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    xn_arena_init(arena, arena->max);
}

static struct xn_arena_block *add_block(struct xn_arena *arena, size_t size)
{
    size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    struct xn_arena_block *block = calloc(1, sizeof *block + cap);

    if (!block) return NULL;
    block->cap = cap;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *xn_arena_alloc(struct xn_arena *arena, size_t size)
{
    struct xn_arena_block *block = arena->blocks;
    void *p;

    if (size > SIZE_MAX / 2) return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (arena->max && size > arena->max - arena->used) return NULL;
    if (!block || block->cap - block->used < size) {
        block = add_block(arena, size);
        if (!block) return NULL;
    }
    p = block->data + block->used;
    block->used += size;
    arena->used += size;
    return p;
}

char *xn_arena_strndup(struct xn_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? xn_arena_alloc(arena, len + 1) : NULL;

    if (copy) memcpy(copy, text, len);
    return copy;
}

char *xn_arena_strdup(struct xn_arena *arena, const char *text)
{
    return xn_arena_strndup(arena, text, strlen(text));
}
