/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"

/* The first index whose name is not before `name`. */
static size_t lower(const struct xis_tokens *tokens, const char *name)
{
    size_t lo = 0, hi = tokens->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(tokens->v[mid]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct xis_token *xis_token_find(const struct xis *xis, const char *name)
{
    size_t i = lower(&xis->tokens, name);

    if (i == xis->tokens.n) return NULL;
    return strcmp(xis->tokens.v[i]->name, name) ? NULL : xis->tokens.v[i];
}

size_t xis_token_after(const struct xis *xis, const char *name)
{
    size_t i = lower(&xis->tokens, name);

    if (i < xis->tokens.n && strcmp(xis->tokens.v[i]->name, name) == 0) i++;
    return i;
}

static void token_free(struct xis_token *token)
{
    xis_column_clear(&token->column);
    free(token->name);
    free(token);
}

static struct xis_token *token_new(const char *name)
{
    struct xis_token *token = calloc(1, sizeof *token);

    if (!token) return NULL;
    token->name = strdup(name);
    if (!token->name) {
        free(token);
        return NULL;
    }
    xn_token_key(name, NULL, 0, false, &token->key[0]);
    xn_token_key(name, NULL, 0, true, &token->key[1]);
    return token;
}

struct xis_token *xis_token_take(struct xis *xis, const char *name)
{
    struct xis_tokens *t = &xis->tokens;
    size_t at = lower(t, name);
    struct xis_token *token;

    if (at < t->n && strcmp(t->v[at]->name, name) == 0) {
        t->v[at]->refs++;
        return t->v[at];
    }
    if (t->n >= XIS_TOKENS_MAX) return NULL;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct xis_token **v = realloc(t->v, cap * sizeof *v);

        if (!v) return NULL;
        t->v = v;
        t->cap = cap;
    }
    token = token_new(name);
    if (!token) return NULL;
    memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof *t->v);
    t->v[at] = token;
    t->n++;
    token->refs = 1;
    return token;
}

void xis_token_drop(struct xis *xis, struct xis_token *token)
{
    struct xis_tokens *t = &xis->tokens;
    size_t at;

    if (--token->refs) return;
    at = lower(t, token->name);
    t->n--;
    memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof *t->v);
    token_free(token);
}

void xis_tokens_clear(struct xis *xis)
{
    size_t i;

    for (i = 0; i < xis->tokens.n; i++)
        token_free(xis->tokens.v[i]);
    free(xis->tokens.v);
    memset(&xis->tokens, 0, sizeof xis->tokens);
}
