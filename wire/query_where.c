/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The --where form:
 *
 *   or      = and *( "or" and )
 *   and     = unary *( "and" unary )
 *   unary   = "not" unary | "(" or ")" | "true" | "false" | "has" token
 *           | token op value | token "in" "(" value *( "," value ) ")"
 *           | value less token less value          less: "<" or "<="
 *   op      = "=" | "!=" | "<" | "<=" | ">" | ">="
 *   token   = bare | quoted      quoted where it is one of the words above
 *   value   = bare | quoted      bare: no blanks, quotes, ( ) , = ! < >
 *   quoted  = DQUOTE ... DQUOTE | "'" ... "'"      \ before a quote or \
 *
 * The words are known in either case. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/err.h"
#include "wire/query_impl.h"

enum lex { END, WORD, QUOTED, LPAREN, RPAREN, COMMA, EQ, NE, LT, LE, GT, GE };

struct parser {
    struct xn_arena *arena;
    const char *text;
    size_t at;         /* behind the current lexeme */
    size_t start, end; /* the current lexeme */
    enum lex lex;
    char *value; /* of WORD and QUOTED */
    unsigned depth;
    struct query_error *error;
};

static const char *const keywords[] = {
    "and", "false", "has", "in", "not", "or", "true",
};

bool query_is_keyword(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strlen(keywords[i]) == len &&
            strncasecmp(keywords[i], text, len) == 0) {
            return true;
        }
    }
    return false;
}

static int fail_at(const struct parser *in, size_t offset, const char *text)
{
    return query_fail(in->error, offset, "%s", text);
}

static int fail(const struct parser *in, const char *text)
{
    return fail_at(in, in->start, text);
}

/* ---- lexemes ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_bare(char c)
{
    return c && !is_blank(c) && !strchr("()=!<>,\"'", c);
}

static int lex_quoted(struct parser *in)
{
    const char *p = in->text + in->start, *end;
    char quote = *p++, *value;
    size_t n = 0;

    for (end = p; *end && *end != quote; end++) {
        if (*end == '\\' && end[1]) end++;
    }
    if (!*end) return fail(in, "this quote is not closed");
    value = xn_arena_alloc(in->arena, (size_t)(end - p) + 1);
    if (!value) return XN_ENOMEM;
    for (; p < end; p++) {
        if (*p == '\\' && strchr("\"'\\", p[1])) p++;
        value[n++] = *p;
    }
    in->value = value;
    in->lex = QUOTED;
    in->at = (size_t)(end + 1 - in->text);
    return 0;
}

static int lex_bare(struct parser *in)
{
    while (is_bare(in->text[in->at]))
        in->at++;
    in->lex = WORD;
    in->value =
        xn_arena_strndup(in->arena, in->text + in->start, in->at - in->start);
    return in->value ? 0 : XN_ENOMEM;
}

static int lex_sign(struct parser *in)
{
    static const struct {
        const char *text;
        enum lex lex;
    } signs[] = {
        /* the longer first */
        {"!=", NE}, {"<=", LE}, {">=", GE},   {"==", EQ},    {"=", EQ},
        {"<", LT},  {">", GT},  {",", COMMA}, {"(", LPAREN}, {")", RPAREN},
    };
    size_t i;

    for (i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t len = strlen(signs[i].text);

        if (strncmp(in->text + in->at, signs[i].text, len) == 0) {
            in->lex = signs[i].lex;
            in->at += len;
            return 0;
        }
    }
    return fail(in, "'!' stands only in '!='");
}

/* Reads the next lexeme. */
static int next(struct parser *in)
{
    char c;
    int rc = 0;

    in->end = in->at;
    while (is_blank(in->text[in->at]))
        in->at++;
    in->start = in->at;
    c = in->text[in->at];
    if (!c) {
        in->lex = END;
        return 0;
    }
    if (c == '"' || c == '\'') {
        rc = lex_quoted(in);
    } else if (is_bare(c)) {
        rc = lex_bare(in);
    } else {
        rc = lex_sign(in);
    }
    if (rc) return rc;
    if ((in->lex == WORD || in->lex == QUOTED) &&
        strlen(in->value) > XN_VALUE_MAX) {
        return fail(in, "this value is too long");
    }
    return 0;
}

static bool is_word(const struct parser *in, const char *word)
{
    return in->lex == WORD && strcasecmp(in->value, word) == 0;
}

static bool is_less(const struct parser *in)
{
    return in->lex == LT || in->lex == LE;
}

static bool is_value(const struct parser *in)
{
    return in->lex == WORD || in->lex == QUOTED;
}

/* ---- comparisons ---- */

/* `token` stood at `offset`. */
static int leaf(struct parser *in, Xn__ExprOp op, const char *token,
                size_t offset, Xn__Expr **expr_out)
{
    if (!xn_token_valid(token, strlen(token))) {
        return fail_at(in, offset, "this is no token's name");
    }
    *expr_out = query_expr(in->arena, op, token);
    return *expr_out ? 0 : XN_ENOMEM;
}

static int check(const struct parser *in, const char *token, const char *value,
                 size_t offset)
{
    return query_check_value(token, value, offset, in->error);
}

/* value < token < value: the first value is read, the sign is current. */
static int parse_between(struct parser *in, char *lo, size_t lo_at,
                         enum lex lo_sign, const char *token, size_t token_at,
                         Xn__Expr **expr_out)
{
    Xn__Expr *expr = NULL;
    int rc = leaf(in, XN__EXPR_OP__RANGE, token, token_at, &expr);

    if (rc) return rc;
    rc = check(in, token, lo, lo_at);
    if (rc) return rc;
    expr->has_lo = expr->has_hi = true;
    expr->lo = lo;
    expr->lo_open = lo_sign == LT;
    expr->hi_open = in->lex == LT;
    rc = next(in);
    if (rc) return rc;
    if (!is_value(in)) return fail(in, "a value is missing here");
    rc = check(in, token, in->value, in->start);
    if (rc) return rc;
    expr->hi = in->value;
    *expr_out = expr;
    return next(in);
}

static int compare_expr(struct parser *in, const char *token, size_t token_at,
                        enum lex sign, char *value, size_t value_at,
                        Xn__Expr **expr_out)
{
    bool equal = sign == EQ || sign == NE;
    Xn__Expr *expr = NULL, *not ;
    int rc = leaf(in, equal ? XN__EXPR_OP__IN : XN__EXPR_OP__RANGE, token,
                  token_at, &expr);

    if (rc) return rc;
    rc = check(in, token, value, value_at);
    if (rc) return rc;
    *expr_out = expr;
    if (equal) {
        rc = query_expr_value(in->arena, expr, value);
        if (rc || sign == EQ) return rc;
        not = query_expr(in->arena, XN__EXPR_OP__NOT, "");
        if (!not ) return XN_ENOMEM;
        *expr_out = not ;
        return query_expr_add(in->arena, not, expr);
    }
    if (sign == GT || sign == GE) {
        expr->lo = value;
        expr->has_lo = true;
        expr->lo_open = sign == GT;
    } else {
        expr->hi = value;
        expr->has_hi = true;
        expr->hi_open = sign == LT;
    }
    return 0;
}

static int parse_in(struct parser *in, const char *token, size_t token_at,
                    Xn__Expr **expr_out)
{
    Xn__Expr *expr = NULL;
    int rc = leaf(in, XN__EXPR_OP__IN, token, token_at, &expr);

    if (rc) return rc;
    rc = next(in);
    if (rc) return rc;
    if (in->lex != LPAREN) return fail(in, "expected '(' after 'in'");
    do {
        rc = next(in);
        if (rc) return rc;
        if (!is_value(in)) return fail(in, "a value is missing here");
        rc = check(in, token, in->value, in->start);
        if (rc) return rc;
        rc = query_expr_value(in->arena, expr, in->value);
        if (rc) return rc;
        rc = next(in);
        if (rc) return rc;
    } while (in->lex == COMMA);
    if (in->lex != RPAREN) return fail(in, "expected ',' or ')'");
    *expr_out = expr;
    return next(in);
}

/* A name or value is current: what follows says which. */
static int parse_comparison(struct parser *in, Xn__Expr **expr_out)
{
    size_t first_at = in->start, second_at;
    char *first = in->value, *second;
    enum lex sign;
    int rc = next(in);

    if (rc) return rc;
    if (is_word(in, "in")) return parse_in(in, first, first_at, expr_out);
    if (in->lex < EQ) {
        return fail_at(in, in->lex == END ? in->end : in->start,
                       "expected a comparison (= != < <= > >= in)");
    }
    sign = in->lex;
    rc = next(in);
    if (rc) return rc;
    if (!is_value(in)) {
        return fail_at(in, in->lex == END ? in->end : in->start,
                       "a value is missing here");
    }
    second = in->value;
    second_at = in->start;
    rc = next(in);
    if (rc) return rc;
    if ((sign == LT || sign == LE) && is_less(in)) {
        return parse_between(in, first, first_at, sign, second, second_at,
                             expr_out);
    }
    return compare_expr(in, first, first_at, sign, second, second_at, expr_out);
}

/* ---- joining ---- */

static int parse_or(struct parser *in, Xn__Expr **expr_out);

static int parse_parens(struct parser *in, Xn__Expr **expr_out)
{
    size_t open = in->start;
    int rc = next(in);

    if (rc) return rc;
    rc = parse_or(in, expr_out);
    if (rc) return rc;
    if (in->lex == END) return fail_at(in, open, "this '(' is not closed");
    if (in->lex != RPAREN) return fail(in, "expected 'and', 'or' or ')'");
    return next(in);
}

static int parse_unary(struct parser *in, Xn__Expr **expr_out);

static int parse_not(struct parser *in, Xn__Expr **expr_out)
{
    Xn__Expr *not = query_expr(in->arena, XN__EXPR_OP__NOT, ""), *arg = NULL;
    int rc = next(in);

    if (!not ) return XN_ENOMEM;
    if (rc) return rc;
    rc = parse_unary(in, &arg);
    if (rc) return rc;
    *expr_out = not ;
    return query_expr_add(in->arena, not, arg);
}

static int parse_has(struct parser *in, Xn__Expr **expr_out)
{
    int rc = next(in);

    if (rc) return rc;
    if (!is_value(in)) return fail(in, "expected a token after 'has'");
    rc = leaf(in, XN__EXPR_OP__HAS, in->value, in->start, expr_out);
    return rc ? rc : next(in);
}

static int parse_constant(struct parser *in, Xn__ExprOp op, Xn__Expr **expr_out)
{
    *expr_out = query_expr(in->arena, op, "");
    return *expr_out ? next(in) : XN_ENOMEM;
}

static int parse_plain(struct parser *in, Xn__Expr **expr_out)
{
    if (in->lex == LPAREN) return parse_parens(in, expr_out);
    if (is_word(in, "not")) return parse_not(in, expr_out);
    if (is_word(in, "has")) return parse_has(in, expr_out);
    if (is_word(in, "true")) {
        return parse_constant(in, XN__EXPR_OP__ALL, expr_out);
    }
    if (is_word(in, "false")) {
        return parse_constant(in, XN__EXPR_OP__ANY, expr_out);
    }
    if (!is_value(in) ||
        (in->lex == WORD && query_is_keyword(in->value, strlen(in->value)))) {
        return fail_at(in, in->lex == END ? in->end : in->start,
                       "expected a condition");
    }
    return parse_comparison(in, expr_out);
}

static int parse_unary(struct parser *in, Xn__Expr **expr_out)
{
    int rc;

    if (in->depth == QUERY_DEPTH_MAX) return fail(in, "nested too deeply");
    in->depth++;
    rc = parse_plain(in, expr_out);
    in->depth--;
    return rc;
}

static int parse_list(struct parser *in, const char *word, Xn__ExprOp op,
                      int (*parse)(struct parser *, Xn__Expr **),
                      Xn__Expr **expr_out)
{
    Xn__Expr *list = query_expr(in->arena, op, ""), *arg = NULL;
    int rc;

    if (!list) return XN_ENOMEM;
    for (;;) {
        rc = parse(in, &arg);
        if (rc) return rc;
        rc = query_expr_add(in->arena, list, arg);
        if (rc) return rc;
        if (!is_word(in, word)) break;
        rc = next(in);
        if (rc) return rc;
    }
    *expr_out = list->n_args == 1 ? arg : list;
    return 0;
}

static int parse_and(struct parser *in, Xn__Expr **expr_out)
{
    return parse_list(in, "and", XN__EXPR_OP__ALL, parse_unary, expr_out);
}

static int parse_or(struct parser *in, Xn__Expr **expr_out)
{
    return parse_list(in, "or", XN__EXPR_OP__ANY, parse_and, expr_out);
}

int query_parse_where(const char *text, struct query **query_out,
                      struct query_error *error_out)
{
    struct xn_arena arena;
    struct parser in = {.arena = &arena, .text = text, .error = error_out};
    Xn__Expr *expr = NULL;
    int rc;

    xn_arena_init(&arena, 0);
    rc = next(&in);
    if (!rc) rc = parse_or(&in, &expr);
    if (!rc && in.lex == RPAREN) rc = fail(&in, "no '(' for this ')'");
    if (!rc && in.lex != END) rc = fail(&in, "expected 'and' or 'or'");
    if (!rc) rc = query_from_expr(expr, query_out, error_out);
    xn_arena_clear(&arena);
    return rc;
}
