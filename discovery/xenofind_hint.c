/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where nothing was found: is it for a token or a value that nobody has? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"

/* Looked at: each is a question; and servers asked for by it. */
enum { TOKENS_MAX = 4, NAMES_MAX = 64, SAMPLE = 200 };

size_t find_values(const struct advert *advert, const char *token,
                   const struct advert_value **out)
{
    size_t n = 0, i, j;

    for (i = 0; i < advert->n_rows && n < ADVERT_ROWS_MAX; i++) {
        const struct advert_value *value =
            advert_row_get(&advert->rows[i], token);

        if (!value) continue;
        for (j = 0; j < n; j++) {
            if (strcmp(out[j]->text, value->text) == 0) break;
        }
        if (j == n) out[n++] = value;
    }
    return n;
}

/* Asks for servers that have it; false where that is not to be known.  The
 * result is the caller's in any case. */
static bool ask_having(const struct find_options *opt,
                       const struct net_identity *identity, const char *token,
                       uint64_t limit, struct find_result *result)
{
    struct find_options count = {.program = opt->program, .limit = limit};
    struct query *query = NULL;
    char text[XN_TOKEN_MAX + 3];
    const char *word = text;
    bool whole;

    snprintf(text, sizeof text, "%s:*", token);
    if (query_parse_words(&word, 1, &query, NULL)) return false;
    memcpy(count.nodes, opt->nodes, sizeof count.nodes);
    count.n_nodes = opt->n_nodes;
    count.timeout_us = opt->timeout_us;
    count.lease_us_max = opt->lease_us_max;
    whole = find_fetch(&count, query, identity, result) == 0 &&
            result->answered_ppm == 1000000;
    query_free(query);
    return whole;
}

static bool count_having(const struct find_options *opt,
                         const struct net_identity *identity, const char *token,
                         uint64_t *n_out)
{
    struct find_result result = {.matching = 0};
    bool whole = ask_having(opt, identity, token, 0, &result);

    *n_out = result.matching;
    find_result_clear(&result);
    return whole;
}

bool find_nobody_there(const struct find_options *opt,
                       const struct net_identity *identity)
{
    uint64_t n;

    return count_having(opt, identity, "EnvType", &n) && n == 0;
}

const char *find_unknown_token(const struct find_options *opt,
                               const struct query *query,
                               const struct net_identity *identity)
{
    const char *tokens[QUERY_TERMS_MAX];
    size_t n = query_required(query, tokens, QUERY_TERMS_MAX), i, asked = 0;

    for (i = 0; i < n && asked < TOKENS_MAX; i++) {
        const struct xn_token_info *info = xn_token_info(tokens[i]);
        uint64_t having;

        /* Prices count in one currency only, and are told of elsewhere. */
        if (info && (info->mandatory || info->price)) continue;
        asked++;
        if (count_having(opt, identity, tokens[i], &having) && having == 0) {
            return tokens[i];
        }
    }
    return NULL;
}

const char *find_token_like(const char *token)
{
    const char *names[NAMES_MAX];
    const struct xn_token_info *table;
    size_t n, i;

    table = xn_token_table(&n);
    for (i = 0; i < n && i < NAMES_MAX; i++) {
        if (strcasecmp(table[i].name, token) == 0) return table[i].name;
        names[i] = table[i].name;
    }
    return xn_nearest(token, names, i);
}

/* ---- values in another case ---- */

/* A value of theirs that is `value` but for case, copied; NULL: none. */
static char *like_value(const struct find_result *result, const char *token,
                        const char *value)
{
    const struct advert_value *values[ADVERT_ROWS_MAX];
    char *like = NULL;

    for (size_t i = 0; i < result->list.n; i++) {
        size_t n = find_values(result->list.hits[i].advert, token, values);

        for (size_t j = 0; j < n; j++) {
            if (strcmp(values[j]->text, value) == 0) { /* it is there as is */
                free(like);
                return NULL;
            }
            if (!like && strcasecmp(values[j]->text, value) == 0)
                like = strdup(values[j]->text);
        }
    }
    return like;
}

static bool look_at(const struct find_options *opt,
                    const struct net_identity *identity, const Xn__Expr *expr,
                    char **value_out, char **like_out)
{
    struct find_result result = {.matching = 0};

    *like_out = NULL;
    if (ask_having(opt, identity, expr->token, SAMPLE, &result)) {
        for (size_t i = 0; i < expr->n_values && !*like_out; i++) {
            *like_out = like_value(&result, expr->token, expr->values[i]);
            if (*like_out) *value_out = strdup(expr->values[i]);
        }
    }
    find_result_clear(&result);
    return *like_out && *value_out;
}

bool find_case_slip(const struct find_options *opt, const struct query *query,
                    const struct net_identity *identity, char **token_out,
                    char **value_out, char **like_out)
{
    const Xn__Expr *all = query_proto(query)->where;
    size_t n, asked = 0;

    *token_out = *value_out = *like_out = NULL;
    if (!all) return false;
    n = all->op == XN__EXPR_OP__ALL ? all->n_args : 1;
    for (size_t i = 0; i < n && asked < TOKENS_MAX; i++) {
        const Xn__Expr *expr = all->op == XN__EXPR_OP__ALL ? all->args[i] : all;
        const struct xn_token_info *info = xn_token_info(expr->token);

        if (expr->op != XN__EXPR_OP__IN ||
            (info && info->type == XN_TOKEN_NUMBER)) {
            continue;
        }
        asked++;
        if (!look_at(opt, identity, expr, value_out, like_out)) continue;
        *token_out = strdup(expr->token);
        return *token_out != NULL;
    }
    return false;
}

/* ---- an order that orders nothing ---- */

const char *find_idle_sort(const struct query *query,
                           const struct find_result *result)
{
    const struct advert_value *values[ADVERT_ROWS_MAX];
    const Xn__Sort *sort = query_proto(query)->sort;

    if (!sort || !sort->token[0] || strcmp(sort->token, "total") == 0 ||
        result->list.n == 0) {
        return NULL;
    }
    for (size_t i = 0; i < result->list.n; i++) {
        if (find_values(result->list.hits[i].advert, sort->token, values))
            return NULL;
    }
    return sort->token;
}

void find_advise(const struct find_options *opt, const struct query *query,
                 const struct net_identity *identity,
                 const struct find_result *result)
{
    static const char what[] = "no server matches [XS-3-NONE]";
    const char *token = NULL, *like;
    char *slip, *value, *meant, try[XN_TOKEN_MAX + XN_VALUE_MAX + 4];

    if (result->known == 0 && find_nobody_there(opt, identity)) {
        xn_gripe(opt->program, what, "no server is advertised there at all",
                 "xenodev status, or another --node");
    } else if (result->other_currency && query_uses_price(query)) {
        xn_gripef(opt->program, what, "another --currency",
                  "of %llu known, %llu ask for other money than %s",
                  (unsigned long long)result->known,
                  (unsigned long long)result->other_currency,
                  query_currency(query));
    } else if ((token = find_unknown_token(opt, query, identity))) {
        like = find_token_like(token);
        xn_gripef(opt->program, what, like, "no server advertises '%s'%s%s%s",
                  token, like ? ", did you mean " : "", like ? like : "",
                  like ? "?" : "");
    } else if (find_case_slip(opt, query, identity, &slip, &value, &meant)) {
        snprintf(try, sizeof try, "%s:%s", slip, meant);
        xn_gripef(opt->program, what, try,
                  "%s '%s' is written '%s' by those who have it", slip, value,
                  meant);
        free(slip);
        free(value);
        free(meant);
    } else {
        xn_gripef(opt->program, what,
                  opt->explain ? "the relaxation above"
                  : strcmp(opt->program, FIND_PROGRAM) == 0
                      ? "--explain, to see which one is in the way"
                      : "xenofind --explain, to see which one is in the way",
                  "none of %llu known meets all conditions",
                  (unsigned long long)result->known);
    }
}

int find_no_nodes(const struct find_options *opt)
{
    xn_gripe(opt->program, "no node to ask [XS-2-NODES]",
             "neither --node, XENO_NODES nor find.nodes names one",
             "--node https://HOST:PORT, or eval \"$(xenodev env)\"");
    return XN_EINVAL;
}

/* ---- servers asked for by id ---- */

void find_tell_missing(const struct find_options *opt,
                       const struct find_result *result)
{
    const struct find_list *list = &result->list;
    char hex[XN_ID_HEX];
    size_t i, j;

    for (i = 0; i < opt->n_servers; i++) {
        for (j = 0; j < list->n; j++) {
            if (xn_id_eq(&list->hits[j].server, &opt->servers[i])) break;
        }
        if (j < list->n || result->lied[i]) continue;
        xn_id_hex(&opt->servers[i], hex);
        xn_gripef(
            opt->program, "no such advertisement [XS-3-SERVER]",
            "the id once more (xenofind -o json has whole ids), or later",
            "%s advertises nothing now: it withdrew, or its lease ran out",
            hex);
    }
}

/* ---- revoked keys ---- */

void find_tell_unlisted(const struct find_options *opt,
                        const struct find_result *result)
{
    char names[FIND_CORPS_MAX * (XN_NAME_MAX + 2)] = "", name[XN_NAME_MAX];
    size_t i, at = 0;

    for (i = 0; i < result->n_unlisted; i++) {
        xn_id_name(&result->unlisted[i], NULL, name);
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s",
                               i ? ", " : "", name);
    }
    if (i == 0) return;
    xn_gripef(opt->program, "a server shown may be revoked [XS-0-REVOKED]",
              "another --node, or again in a minute",
              "no node gave the newest list of keys that XenoCorp %s revoked",
              names);
}
