/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The form "xeno.find/1": fields are only ever added. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"

/* Digits after which a double written by jansson is the text again. */
enum { DIGITS = 15 };

/* A number as a JSON number where that says it exactly, else as a string.
 * Prices are strings always: many readers take numbers for doubles. */
static json_t *number_of(const struct advert_value *value)
{
    char text[XN_DEC_TEXT_MAX], printed[64];
    xn_dec back;
    double real;

    xn_dec_format(value->number, text);
    if (!strchr(text, '.')) {
        xn_i128 whole = value->number.v / XN_DEC_ONE;

        if (whole >= INT64_MIN && whole <= INT64_MAX) {
            return json_integer((json_int_t)whole);
        }
        return json_string(text);
    }
    real = strtod(text, NULL);
    snprintf(printed, sizeof printed, "%.*g", DIGITS, real);
    if (xn_dec_parse(printed, strlen(printed), &back) == 0 &&
        xn_dec_cmp(back, value->number) == 0) {
        return json_real(real);
    }
    return json_string(text);
}

static json_t *value_of(const char *token, const struct advert_value *value)
{
    const struct xn_token_info *info = xn_token_info(token);

    if (!value->is_number || (info && info->price)) {
        return json_string(value->text);
    }
    return number_of(value);
}

static json_t *token_of(const struct advert *advert, const char *token)
{
    const struct advert_value *values[ADVERT_ROWS_MAX];
    size_t n = find_values(advert, token, values), i;
    json_t *array;

    if (n == 1) return value_of(token, values[0]);
    array = json_array();
    for (i = 0; i < n && array; i++) {
        if (json_array_append_new(array, value_of(token, values[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *tokens_of(const struct advert *advert)
{
    json_t *tokens = json_object();
    size_t i;

    for (i = 0; i < advert->n_tokens && tokens; i++) {
        const char *token = advert->tokens[i];

        if (json_object_set_new(tokens, token, token_of(advert, token))) {
            json_decref(tokens);
            return NULL;
        }
    }
    return tokens;
}

static json_t *id_of(const xn_id *id)
{
    char text[XN_ID_HEX];

    xn_id_hex(id, text);
    return json_string(text);
}

static int set_total(const struct query *query, const struct find_hit *hit,
                     json_t *server)
{
    char text[XN_DEC_TEXT_MAX];
    xn_dec total;

    if (!query_total_advert(query, hit->advert, &total)) return 0;
    xn_dec_format(total, text);
    return json_object_set_new(server, "total", json_string(text));
}

static json_t *server_of(const struct query *query, const struct find_hit *hit)
{
    const char *currency = hit->advert->currency;
    char name[XN_NAME_MAX];
    json_t *server = json_object();
    int bad = 0;

    if (!server) return NULL;
    xn_id_name(&hit->server, hit->signer.label, name);
    bad |= json_object_set_new(server, "id", id_of(&hit->server));
    bad |= json_object_set_new(server, "name", json_string(name));
    bad |= json_object_set_new(server, "corp", id_of(&hit->signer.corp));
    bad |= json_object_set_new(server, "age_s",
                               json_integer((json_int_t)find_age_s(hit)));
    bad |= json_object_set_new(server, "tokens", tokens_of(hit->advert));
    bad |= set_total(query, hit, server);
    if (currency && *currency) {
        bad |= json_object_set_new(server, "currency", json_string(currency));
    }
    if (!bad) return server;
    json_decref(server);
    return NULL;
}

static json_t *servers_of(const struct query *query,
                          const struct find_list *list)
{
    json_t *servers = json_array();
    size_t i;

    for (i = 0; i < list->n && servers; i++) {
        if (json_array_append_new(servers, server_of(query, &list->hits[i]))) {
            json_decref(servers);
            return NULL;
        }
    }
    return servers;
}

static json_t *rejected_of(const struct find_list *list)
{
    json_t *rejected = json_array();
    size_t i;

    for (i = 0; i < list->n_rejects && rejected; i++) {
        const struct find_reject *reject = &list->rejects[i];
        json_t *row = json_object();
        int bad = 0;

        bad |= json_object_set_new(row, "node", id_of(&reject->node));
        bad |= json_object_set_new(row, "via", id_of(&reject->via));
        bad |= json_object_set_new(row, "server",
                                   xn_id_is_zero(&reject->server)
                                       ? json_null()
                                       : id_of(&reject->server));
        bad |= json_object_set_new(row, "reason", json_string(reject->why));
        bad |= json_array_append_new(rejected, row);
        if (!bad) continue;
        json_decref(rejected);
        return NULL;
    }
    return rejected;
}

static json_t *silent_of(const struct find_result *result)
{
    json_t *silent = json_array();
    size_t i;

    for (i = 0; i < result->n_silent; i++) {
        (void)json_array_append_new(silent, json_string(result->silent[i]));
    }
    return silent;
}

static json_t *count(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* A node's own words, unverified; text that is no UTF-8 comes out as null. */
static json_t *conditions_of(const Xn__SearchResult *raw)
{
    json_t *conditions = json_array();
    size_t i;

    for (i = 0; i < raw->n_conditions; i++) {
        const Xn__Condition *from = raw->conditions[i];
        json_t *row = json_object(), *text = json_string(from->text);

        (void)json_object_set_new(row, "condition", text ? text : json_null());
        (void)json_object_set_new(row, "alone", count(from->alone));
        (void)json_object_set_new(row, "together", count(from->together));
        (void)json_object_set_new(row, "without", count(from->without));
        text = json_string(from->nearest);
        if (text && from->nearest[0]) {
            (void)json_object_set(row, "nearest", text);
            (void)json_object_set_new(row, "nearest_count",
                                      count(from->nearest_count));
        }
        json_decref(text);
        (void)json_array_append_new(conditions, row);
    }
    return conditions;
}

int find_print_json(const struct find_options *opt, const struct query *query,
                    const struct find_result *result)
{
    json_t *top = json_object();
    int bad = 0, rc = 0;

    (void)opt;
    bad |= json_object_set_new(top, "schema", json_string("xeno.find/1"));
    bad |= json_object_set_new(top, "matching", count(result->matching));
    bad |= json_object_set_new(top, "shown", count(result->list.n));
    bad |= json_object_set_new(top, "known", count(result->known));
    bad |= json_object_set_new(top, "answered",
                               json_real(result->answered_ppm / 1e6));
    bad |= json_object_set_new(top, "other_currency",
                               count(result->other_currency));
    bad |=
        json_object_set_new(top, "servers", servers_of(query, &result->list));
    bad |= json_object_set_new(top, "rejected", rejected_of(&result->list));
    bad |= json_object_set_new(top, "silent", silent_of(result));
    if (result->explained) {
        bad |= json_object_set_new(top, "conditions",
                                   conditions_of(result->explained));
    }
    if (bad) {
        rc = XN_ENOMEM;
    } else if (json_dumpf(top, stdout,
                          JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS))) {
        rc = XN_EIO;
    }
    putchar('\n');
    json_decref(top);
    return rc;
}

/* What programs read line by line: each line says by itself what it is. */
int find_print_jsonl(const struct query *query,
                     const struct find_result *result)
{
    int rc = 0;

    for (size_t i = 0; i < result->list.n && !rc; i++) {
        json_t *server = server_of(query, &result->list.hits[i]);
        json_t *line = json_pack("{s:s}", "schema", "xeno.find.server/1");

        if (!server || !line || json_object_update(line, server)) {
            rc = XN_ENOMEM;
        } else if (json_dumpf(line, stdout,
                              JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) ||
                   putchar('\n') == EOF) {
            rc = XN_EIO;
        }
        json_decref(server);
        json_decref(line);
    }
    return rc;
}
