/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a client wants, against what this server offers: the advertisement is
 * written once more with the amounts and the environment in question, and the
 * requirements are asked of it as of any other. */
#include <stdio.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/offer.h"
#include "hostagent/session.h"
#include "lib/err.h"
#include "wire/requirement.h"

/* What who does not say gets. */
#define CPU_SMPS 100
#define MEMORY_MB 64

static void refuse(struct host *host, uint64_t ask, const char *what, int rc,
                   const char *because, const char *try)
{
    xn_out_refuse(&host->out, ask, rc, what, because, try);
}

bool host_fits(struct host *host, uint64_t ask, const char *what,
               const struct money_rates *rates)
{
    char asked[XN_DEC_TEXT_MAX], left[XN_DEC_TEXT_MAX], because[160], try[120];
    xn_dec want, is_free;
    const char *token = host_lacks(host, rates, &want, &is_free), *cannot;

    if (!token) return true;
    if (!ask) return false;
    xn_dec_format(want, asked);
    xn_dec_format(is_free, left);
    cannot = host_cannot(host, token);
    if (cannot) {
        snprintf(because, sizeof because, "%s: %s asked, and %s", token, asked,
                 cannot);
        snprintf(try, sizeof try, "no %s  |  another server", token);
    } else {
        snprintf(because, sizeof because, "%s: %s asked, %s free", token, asked,
                 left);
        snprintf(try, sizeof try, "%s:%s  |  xenofind %s:%s..", token, left,
                 token, asked);
    }
    refuse(host, ask, what, XN_EREFUSED, because, try);
    return false;
}

/* ---- what is wanted ---- */

static xn_dec *amount_for(struct money_rates *rates, const char *token)
{
    if (strcmp(token, "CPUsmps") == 0) return &rates->cpu_smps;
    if (strcmp(token, "MemoryMB") == 0) return &rates->memory_mb;
    if (strcmp(token, "DiskGB") == 0) return &rates->disk_gb;
    if (strcmp(token, "NetMbps") == 0) return &rates->net_mbps;
    if (strcmp(token, "IPv4Addresses") == 0) return &rates->ipv4_addresses;
    return NULL;
}

static void take_amount(const Xn__Expr *expr, struct money_rates *rates)
{
    xn_dec *amount = expr->token ? amount_for(rates, expr->token) : NULL;
    const char *text = NULL;
    xn_dec d;

    if (expr->op == XN__EXPR_OP__RANGE && expr->has_lo) text = expr->lo;
    if (expr->op == XN__EXPR_OP__IN && expr->n_values == 1)
        text = expr->values[0];
    if (!amount || !text || xn_dec_parse(text, strlen(text), &d)) return;
    if (xn_dec_cmp(d, *amount) > 0) *amount = d;
}

static void take_wants(const struct query *query, struct money_rates *rates)
{
    const Xn__Expr *where = query_proto(query)->where;

    memset(rates, 0, sizeof *rates);
    if (where && where->op == XN__EXPR_OP__ALL) {
        for (size_t i = 0; i < where->n_args; i++)
            take_amount(where->args[i], rates);
    } else if (where) {
        take_amount(where, rates);
    }
    if (!rates->cpu_smps.v) rates->cpu_smps = xn_dec_int(CPU_SMPS);
    if (!rates->memory_mb.v) rates->memory_mb = xn_dec_int(MEMORY_MB);
}

/* ---- the advertisement of one sale ---- */

struct sale {
    struct advert_offer offer;
    char text[5][XN_DEC_TEXT_MAX];
};

static const char *amount_text(xn_dec d, char *room)
{
    xn_dec_format(d, room);
    return room;
}

static void make_sale(const struct host *host, const struct money_rates *rates,
                      const struct advert_environment *env, struct sale *sale)
{
    struct advert_offer *offer = &sale->offer;

    *offer = host->offer;
    offer->cpu_smps = amount_text(rates->cpu_smps, sale->text[0]);
    offer->memory_mb = amount_text(rates->memory_mb, sale->text[1]);
    offer->disk_gb = amount_text(rates->disk_gb, sale->text[2]);
    offer->net_mbps = amount_text(rates->net_mbps, sale->text[3]);
    offer->ipv4_addresses = amount_text(rates->ipv4_addresses, sale->text[4]);
    offer->environments = env;
    offer->n_environments = 1;
}

static int write_sale(const struct host *host, const struct money_rates *rates,
                      const struct advert_environment *env,
                      struct advert **advert_out)
{
    struct sale sale;
    struct xn_buf xml;
    char why[128];
    int rc;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    make_sale(host, rates, env, &sale);
    rc = offer_write(&sale.offer, 1, &xml, advert_out, why, sizeof why);
    xn_buf_clear(&xml);
    return rc;
}

static bool meets(const struct host *host, const struct query *query,
                  const struct money_rates *rates,
                  const struct advert_environment *env)
{
    struct advert *advert = NULL;
    struct query_rank rank;
    bool does = false;

    if (!write_sale(host, rates, env, &advert))
        does = query_match_advert(query, advert, &host->config.id, &rank);
    advert_free(advert);
    return does;
}

/* ---- why not ---- */

#define TOKENS_MAX 64

static bool holds(const struct query *query, size_t condition,
                  const struct advert *advert)
{
    struct query_cell cells[TOKENS_MAX];
    const struct query_token *tokens;
    size_t n = query_tokens(query, &tokens);

    if (n > TOKENS_MAX) return true; /* then it is not named */
    for (size_t row = 0; row < advert->n_rows; row++) {
        for (size_t i = 0; i < n; i++) {
            const struct advert_value *value =
                advert_row_get(&advert->rows[row], tokens[i].name);

            cells[i] = (struct query_cell){NULL, false, {0}};
            if (!value) continue;
            cells[i] = (struct query_cell){value->text, value->is_number,
                                           value->number};
        }
        if (query_condition_match(query, condition, cells)) return true;
    }
    return false;
}

/* Names the first condition that no environment of ours meets. */
static void say_why_not(const struct host *host, const struct query *query,
                        const struct money_rates *rates, char *out, size_t len)
{
    snprintf(out, len, "its offer does not meet all of the requirements");
    for (size_t i = 0; i < query_conditions(query); i++) {
        struct xn_buf text;
        bool met = false;

        for (size_t e = 0; e < host->offer.n_environments && !met; e++) {
            struct advert *advert = NULL;

            met = write_sale(host, rates, &host->offer.environments[e],
                             &advert) != 0 ||
                  holds(query, i, advert);
            advert_free(advert);
        }
        if (met) continue;
        xn_buf_init(&text, 256);
        if (!query_condition_text(query, i, &text)) {
            snprintf(out, len, "its offer does not meet %.*s", (int)text.len,
                     (const char *)text.data);
        }
        xn_buf_clear(&text);
        return;
    }
}

/* ---- asking it ---- */

/* An empty document asks for nothing in particular. */
static bool read_requirements(struct host *host, uint64_t ask, const char *what,
                              ProtobufCBinaryData xml, struct query **query_out)
{
    static const char none[] = "<EnvironmentalRequirements/>";
    char why[200], because[240];
    int rc;

    if (!xml.len) {
        xml =
            (ProtobufCBinaryData){sizeof none - 1, (uint8_t *)(uintptr_t)none};
    }
    rc = requirement_parse(xml.data, xml.len, query_out, why, sizeof why);
    if (!rc) return true;
    snprintf(because, sizeof because, "the requirements: %s", why);
    refuse(host, ask, what, rc, because,
           "EnvironmentalRequirements of schema/requirements.xsd");
    return false;
}

/* The first environment that meets the query with those amounts, one that can be
 * run if there is any. */
static const struct advert_environment *choose(const struct host *host,
                                               const struct query *query,
                                               const struct money_rates *rates)
{
    const struct advert_environment *unable = NULL;

    for (size_t i = 0; i < host->offer.n_environments; i++) {
        const struct advert_environment *env = &host->offer.environments[i];

        if (!env->type || strlen(env->type) > XN_VALUE_MAX ||
            !meets(host, query, rates, env)) {
            continue;
        }
        if (host_can_run(host, env)) return env;
        unable = env;
    }
    return unable;
}

bool host_match(struct host *host, uint64_t ask, const char *what,
                ProtobufCBinaryData xml, struct host_want *want_out)
{
    const struct advert_environment *env = NULL;
    struct query *query = NULL;
    char because[240];

    memset(want_out, 0, sizeof *want_out);
    if (!read_requirements(host, ask, what, xml, &query)) return false;
    take_wants(query, &want_out->rates);
    /* What is missing is said before what does not fit. */
    if (host_fits(host, ask, what, &want_out->rates)) {
        env = choose(host, query, &want_out->rates);
        if (!env) {
            say_why_not(host, query, &want_out->rates, because, sizeof because);
            refuse(host, ask, what, XN_EREFUSED, because, "xenofind");
        } else if (!host_can_run(host, env)) {
            refuse(host, ask, what, XN_EREFUSED,
                   "Virtualisation: its environment is pvh, and its hardware "
                   "does not virtualise",
                   "Virtualisation:pv  |  xenofind Virtualisation:pvh");
            env = NULL;
        }
    }
    if (env) {
        snprintf(want_out->env_type, sizeof want_out->env_type, "%s",
                 env->type);
        want_out->pvh = host_env_is_pvh(host, env);
    }
    query_free(query);
    return env != NULL;
}

bool host_matches(struct host *host, uint64_t ask, const char *what,
                  ProtobufCBinaryData xml, const struct money_quote *quote)
{
    struct query *query = NULL;
    bool met = false;

    if (!read_requirements(host, ask, what, xml, &query)) return false;
    for (size_t i = 0; i < host->offer.n_environments && !met; i++) {
        const struct advert_environment *env = &host->offer.environments[i];

        met = env->type && strcmp(env->type, quote->env_type) == 0 &&
              strcmp(quote->virtualisation,
                     host_env_is_pvh(host, env) ? "pvh" : "") == 0 &&
              meets(host, query, &quote->rates, env);
    }
    if (!met) {
        refuse(host, ask, what, XN_EREFUSED,
               "the quote does not meet the requirements",
               "a quote for these requirements");
    }
    query_free(query);
    return met;
}
