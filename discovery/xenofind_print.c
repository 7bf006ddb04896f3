/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Columns, plain outputs, and what is said on stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/clock.h"

/* ---- values ---- */

uint64_t find_age_s(const struct find_hit *hit)
{
    uint64_t now = net_wall_us(), issued = hit->lease.issued_us;

    return now > issued ? (now - issued) / 1000000 : 0;
}

static bool put_total(const struct query *query, const struct find_hit *hit,
                      struct xn_buf *out)
{
    char text[XN_DEC_TEXT_MAX];
    xn_dec total;

    if (!query_total_advert(query, hit->advert, &total)) return false;
    xn_dec_format(total, text);
    xn_buf_str(out, text);
    return true;
}

static bool put_token(const struct find_hit *hit, const char *token,
                      struct xn_buf *out)
{
    const struct advert_value *values[ADVERT_ROWS_MAX];
    size_t n = find_values(hit->advert, token, values), i;

    for (i = 0; i < n; i++) {
        if (i) xn_buf_char(out, ',');
        xn_buf_str(out, values[i]->text);
    }
    return n > 0;
}

bool find_column(const struct query *query, const struct find_hit *hit,
                 const char *column, struct xn_buf *out)
{
    char text[XN_ID_HEX];

    if (strcmp(column, "name") == 0) {
        xn_id_name(&hit->server, hit->signer.label, text);
        xn_buf_str(out, text);
    } else if (strcmp(column, "id") == 0) {
        xn_id_hex(&hit->server, text);
        xn_buf_str(out, text);
    } else if (strcmp(column, "corp") == 0) {
        xn_id_hex(&hit->signer.corp, text);
        xn_buf_str(out, text);
    } else if (strcmp(column, "age") == 0) {
        xn_buf_printf(out, "%llus", (unsigned long long)find_age_s(hit));
    } else if (strcmp(column, "currency") == 0) {
        return put_token(hit, "Currency", out);
    } else if (strcmp(column, "total") == 0) {
        return put_total(query, hit, out);
    } else {
        return put_token(hit, column, out);
    }
    return true;
}

/* ---- which columns ---- */

static bool any_has(const struct query *query, const struct find_result *result,
                    const char *column)
{
    struct xn_buf out = {0};
    bool any = false;
    size_t i;

    for (i = 0; i < result->list.n && !any; i++) {
        any = find_column(query, &result->list.hits[i], column, &out);
    }
    xn_buf_clear(&out);
    return any;
}

static size_t add_column(const char **out, size_t n, const char *column)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(out[i], column) == 0) return n;
    }
    if (n < FIND_COLUMNS_MAX) out[n++] = column;
    return n;
}

/* Sorted, so that the same servers give the same columns in any order. */
static size_t add_tokens(const struct find_result *result, const char **out,
                         size_t n)
{
    const char *least;
    char last[XN_TOKEN_MAX + 1] = "";
    size_t i, j;

    do {
        least = NULL;
        for (i = 0; i < result->list.n; i++) {
            const struct advert *advert = result->list.hits[i].advert;

            for (j = 0; j < advert->n_tokens; j++) {
                const char *token = advert->tokens[j];

                if (strcmp(token, last) <= 0) continue;
                if (!least || strcmp(token, least) < 0) least = token;
            }
        }
        if (!least) break;
        snprintf(last, sizeof last, "%s", least);
        n = add_column(out, n, least);
    } while (n < FIND_COLUMNS_MAX);
    return n;
}

size_t find_columns(const struct find_options *opt, const struct query *query,
                    const struct find_result *result, const char **out)
{
    static const char *const usual[] = {
        "EnvType", "CPUsmps", "MemoryMB",     "DiskGB",   "NetMbps",
        "Country", "City",    "PricePerHour", "Currency",
    };
    const struct query_token *tokens;
    bool all = opt->output == FIND_CSV;
    size_t n = 0, i, n_tokens = query_tokens(query, &tokens);

    if (opt->n_columns) {
        for (i = 0; i < opt->n_columns; i++)
            out[i] = opt->columns[i];
        return opt->n_columns;
    }
    n = add_column(out, n, "name");
    if (query_proto(query)->job) n = add_column(out, n, "total");
    for (i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (all || any_has(query, result, usual[i]))
            n = add_column(out, n, usual[i]);
    }
    /* What was asked about is of interest. */
    for (i = 0; i < n_tokens && n < 16; i++) {
        const struct xn_token_info *info = xn_token_info(tokens[i].name);

        if (info && info->price && query_proto(query)->job) continue;
        if (all || any_has(query, result, tokens[i].name)) {
            n = add_column(out, n, tokens[i].name);
        }
    }
    n = add_column(out, n, "age");
    if (opt->output != FIND_WIDE) return n;
    n = add_column(out, n, "id");
    n = add_column(out, n, "corp");
    return add_tokens(result, out, n);
}

/* ---- plain outputs ---- */

/* What spreadsheets take for a formula, they run: a server's text of that look
 * gets an apostrophe in front, as they themselves write it. */
static bool is_formula(const char *text)
{
    xn_dec number;

    return *text && strchr("=+-@", *text) &&
           xn_dec_parse(text, strlen(text), &number) != 0;
}

/* RFC 4180: quoted where it must be, lines end in CR LF. */
static void put_csv(const char *text)
{
    const char *lead = is_formula(text) ? "'" : "";

    if (!text[strcspn(text, ",\"\r\n")]) {
        printf("%s%s", lead, text);
        return;
    }
    printf("\"%s", lead);
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static int put_csv_row(const struct query *query, const struct find_hit *hit,
                       const char *const *columns, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        struct xn_buf out = {0};
        char *text;

        (void)find_column(query, hit, columns[i], &out);
        text = xn_buf_steal_str(&out);
        if (!text) return XN_ENOMEM;
        if (i) putchar(',');
        put_csv(text);
        free(text);
    }
    fputs("\r\n", stdout);
    return 0;
}

int find_print_csv(const struct find_options *opt, const struct query *query,
                   const struct find_result *result)
{
    const char *columns[FIND_COLUMNS_MAX];
    size_t n = find_columns(opt, query, result, columns), i;
    int rc = 0;

    for (i = 0; i < n; i++) {
        if (i) putchar(',');
        put_csv(columns[i]);
    }
    fputs("\r\n", stdout);
    for (i = 0; i < result->list.n && !rc; i++) {
        rc = put_csv_row(query, &result->list.hits[i], columns, n);
    }
    return rc;
}

int find_print_names(const struct find_result *result)
{
    char name[XN_NAME_MAX];
    size_t i;

    for (i = 0; i < result->list.n; i++) {
        const struct find_hit *hit = &result->list.hits[i];

        xn_id_name(&hit->server, hit->signer.label, name);
        puts(name);
    }
    return 0;
}

int find_print_addresses(const struct find_result *result)
{
    char id[XN_ID_HEX];
    size_t i;

    for (i = 0; i < result->list.n; i++) {
        const struct find_hit *hit = &result->list.hits[i];
        struct xn_buf out = {0};
        char *endpoint;

        (void)put_token(hit, "Endpoint", &out);
        endpoint = xn_buf_steal_str(&out);
        if (!endpoint) return XN_ENOMEM;
        xn_id_hex(&hit->server, id);
        xn_put_plain(endpoint, stdout);
        printf("#%s\n", id);
        free(endpoint);
    }
    return 0;
}

/* ---- stderr ---- */

static void put_liars(const struct find_list *list)
{
    char node[XN_ID_HEX], server[XN_ID_HEX];
    size_t i;

    for (i = 0; i < list->n_rejects; i++) {
        const struct find_reject *reject = &list->rejects[i];

        xn_id_hex(&reject->node, node);
        fprintf(stderr,
                "xenofind: node %.16s is not to be believed "
                "[XS-9-LIE]\n  because: ",
                node);
        xn_put_plain(reject->why, stderr);
        if (!xn_id_is_zero(&reject->server)) {
            xn_id_hex(&reject->server, server);
            fprintf(stderr, " (server %.16s)", server);
        }
        if (!xn_id_eq(&reject->node, &reject->via)) {
            xn_id_hex(&reject->via, node);
            fprintf(stderr, " (told by node %.16s)", node);
        }
        fputc('\n', stderr);
    }
}

void find_print_summary(const struct query *query,
                        const struct find_result *result)
{
    const struct find_list *list = &result->list;
    uint64_t least = UINT64_MAX, most = 0;
    size_t i;

    for (i = 0; i < list->n; i++) {
        uint64_t age = find_age_s(&list->hits[i]);

        if (age < least) least = age;
        if (age > most) most = age;
    }
    fflush(stdout);
    fprintf(stderr, "shown %zu of %llu matching (%llu known)", list->n,
            (unsigned long long)result->matching,
            (unsigned long long)result->known);
    if (list->n) {
        fprintf(stderr, ", ads %llu", (unsigned long long)least);
        if (most > least) fprintf(stderr, "..%llu", (unsigned long long)most);
        fputs(" s old", stderr);
    }
    if (query_uses_price(query) && result->other_currency) {
        fprintf(stderr, "; %llu more in other currencies than %s",
                (unsigned long long)result->other_currency,
                query_currency(query));
    }
    if (result->answered_ppm < 1000000) {
        fprintf(stderr, "; %u.%u %% of the index answered",
                result->answered_ppm / 10000, result->answered_ppm / 1000 % 10);
    }
    for (i = 0; i < result->n_silent; i++) {
        fprintf(stderr, "%s%s",
                i ? ", " : "; did not answer: ", result->silent[i]);
    }
    fputc('\n', stderr);
    put_liars(list);
}
