/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The positional form, one constraint a word:
 *
 *   word   = TOKEN ":" ( "*" | value ".." | ".." value | value ".." value
 *                      | value *( "," value ) )
 *   value  = quoted | bare       bare: without "," and ".."
 *   quoted = DQUOTE *( character | "\" DQUOTE | "\\" ) DQUOTE
 *
 * Words are joined by "and".  The quotes are the language's own: a shell wants
 * others around them. */
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

/* One word being read; offsets count from the first word's start. */
struct reader {
    struct xn_arena *arena;
    const char *word;
    const char *token; /* its own, once read */
    size_t len, at, base;
    struct query_error *error;
};

static int fail(const struct reader *in, const char *text)
{
    return query_fail(in->error, in->base + in->at, "%s", text);
}

static bool looking_at(const struct reader *in, const char *text)
{
    size_t len = strlen(text);

    return in->len - in->at >= len && memcmp(in->word + in->at, text, len) == 0;
}

static int read_quoted(struct reader *in, char **value_out)
{
    const char *p = in->word + in->at + 1, *end;
    char *value;
    size_t n = 0;

    for (end = p; *end && *end != '"'; end++) {
        if (*end == '\\' && end[1]) end++;
    }
    if (!*end) return fail(in, "this quote is not closed");
    value = xn_arena_alloc(in->arena, (size_t)(end - p) + 1);
    if (!value) return XN_ENOMEM;
    for (; p < end; p++) {
        if (*p == '\\' && strchr("\"\\", p[1])) p++;
        value[n++] = *p;
    }
    *value_out = value;
    in->at = (size_t)(end + 1 - in->word);
    return 0;
}

static int read_bare(struct reader *in, char **value_out)
{
    size_t start = in->at;

    while (in->at < in->len && in->word[in->at] != ',' &&
           !looking_at(in, "..")) {
        in->at++;
    }
    if (in->at == start) return fail(in, "a value is missing here");
    *value_out = xn_arena_strndup(in->arena, in->word + start, in->at - start);
    return *value_out ? 0 : XN_ENOMEM;
}

static int read_value(struct reader *in, char **value_out)
{
    size_t start = in->at;
    int rc;

    if (looking_at(in, "want=") || looking_at(in, "penalty=")) {
        return fail(in, "ideal ranges (want=, penalty=) are not supported");
    }
    rc = looking_at(in, "\"") ? read_quoted(in, value_out)
                              : read_bare(in, value_out);
    if (rc) return rc;
    if (strlen(*value_out) > XN_VALUE_MAX) {
        in->at = start;
        return fail(in, "this value is too long");
    }
    if (in->at < in->len && in->word[in->at] != ',' && !looking_at(in, "..")) {
        return fail(in, "',' or '..' or the end is expected after a quote");
    }
    return query_check_value(in->token, *value_out, in->base + start,
                             in->error);
}

/* After "..": `lo` is NULL where there is none. */
static int read_range(struct reader *in, const char *token, char *lo,
                      Xn__Expr **expr_out)
{
    Xn__Expr *expr = query_expr(in->arena, XN__EXPR_OP__RANGE, token);
    int rc;

    if (!expr) return XN_ENOMEM;
    in->at += 2;
    if (lo) {
        expr->lo = lo;
        expr->has_lo = true;
    }
    if (in->at < in->len && !looking_at(in, ",")) {
        rc = read_value(in, &expr->hi);
        if (rc) return rc;
        expr->has_hi = true;
    }
    if (looking_at(in, ",")) {
        in->at++;
        if (looking_at(in, "want=") || looking_at(in, "penalty=")) {
            return fail(in, "ideal ranges (want=, penalty=) are not supported");
        }
        in->at--;
        return fail(in, "a range ends here: quote a value that has a ','");
    }
    if (in->at < in->len) {
        return fail(in, "one '..' only: quote a value that has another");
    }
    if (!lo && !expr->has_hi) return fail(in, "a range needs a bound");
    *expr_out = expr;
    return 0;
}

static int read_list(struct reader *in, const char *token, char *first,
                     Xn__Expr **expr_out)
{
    Xn__Expr *expr = query_expr(in->arena, XN__EXPR_OP__IN, token);
    char *value = first;
    int rc;

    if (!expr) return XN_ENOMEM;
    for (;;) {
        rc = query_expr_value(in->arena, expr, value);
        if (rc) return rc;
        if (in->at == in->len) break;
        if (!looking_at(in, ",")) {
            return fail(in, "a list cannot hold a range: quote the '..'");
        }
        in->at++;
        rc = read_value(in, &value);
        if (rc) return rc;
    }
    *expr_out = expr;
    return 0;
}

static int read_token(struct reader *in, char **token_out)
{
    const char *colon = memchr(in->word, ':', in->len);
    size_t n = colon ? (size_t)(colon - in->word) : in->len;

    while (in->at < n && xn_token_valid(in->word, in->at + 1))
        in->at++;
    if (in->at < n || n == 0) {
        return fail(in, "no token's name: expected TOKEN:VALUE");
    }
    if (!colon) return fail(in, "expected ':' and a value after the token");
    *token_out = xn_arena_strndup(in->arena, in->word, n);
    if (!*token_out) return XN_ENOMEM;
    in->at = n + 1;
    if (in->at == in->len) return fail(in, "expected a value after ':'");
    return 0;
}

static int read_word(struct reader *in, Xn__Expr **expr_out)
{
    char *token = NULL, *value = NULL;
    int rc;

    rc = read_token(in, &token);
    if (rc) return rc;
    in->token = token;
    if (in->len - in->at == 1 && looking_at(in, "*")) {
        *expr_out = query_expr(in->arena, XN__EXPR_OP__HAS, token);
        return *expr_out ? 0 : XN_ENOMEM;
    }
    if (looking_at(in, "..")) return read_range(in, token, NULL, expr_out);
    rc = read_value(in, &value);
    if (rc) return rc;
    if (looking_at(in, "..")) return read_range(in, token, value, expr_out);
    return read_list(in, token, value, expr_out);
}

int query_parse_words(const char *const *words, size_t n,
                      struct query **query_out, struct query_error *error_out)
{
    struct xn_arena arena;
    struct reader in = {.arena = &arena, .error = error_out};
    Xn__Expr *all, *expr = NULL;
    size_t i;
    int rc;

    xn_arena_init(&arena, 0);
    all = query_expr(&arena, XN__EXPR_OP__ALL, "");
    rc = all ? 0 : XN_ENOMEM;
    for (i = 0; i < n && !rc; i++) {
        in.word = words[i];
        in.len = strlen(words[i]);
        in.at = 0;
        rc = read_word(&in, &expr);
        if (!rc) rc = query_expr_add(&arena, all, expr);
        in.base += in.len + 1;
    }
    if (!rc) rc = query_from_expr(all, query_out, error_out);
    xn_arena_clear(&arena);
    return rc;
}
