/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/order.h"

#include <string.h>

#include "lib/utc.h"

static bool is_vouched(const struct money_head *head)
{
    return !xn_id_is_zero(&head->corp);
}

/* ---- limits ---- */

static enum money_reason widens(struct money_refusal *why, const char *field)
{
    return reason_refuse(why, REASON_WIDENS, "%s", field);
}

static enum money_reason lower(int64_t *limit, int64_t to, const char *currency,
                               const char *field, struct money_refusal *why)
{
    char from_text[MONEY_TEXT_MAX], to_text[MONEY_TEXT_MAX];

    if (!to) return REASON_FINE;
    if (*limit && to > *limit) {
        return reason_refuse(why, REASON_WIDENS, "%s: %s, of %s", field,
                             money_text(to, currency, to_text),
                             money_text(*limit, currency, from_text));
    }
    *limit = to;
    return REASON_FINE;
}

/* What can only be set once. */
static enum money_reason fix_id(xn_id *limit, const xn_id *to,
                                const char *field, struct money_refusal *why)
{
    if (xn_id_is_zero(to)) return REASON_FINE;
    if (!xn_id_is_zero(limit) && !xn_id_eq(limit, to))
        return widens(why, field);
    *limit = *to;
    return REASON_FINE;
}

static enum money_reason narrow_time(struct money_limits *limits,
                                     const struct money_limits *to,
                                     struct money_refusal *why)
{
    if (to->from_us) {
        if (to->from_us < limits->from_us) return widens(why, "From");
        limits->from_us = to->from_us;
    }
    if (to->until_us) {
        if (to->until_us > limits->until_us) return widens(why, "Until");
        limits->until_us = to->until_us;
    }
    if (limits->from_us >= limits->until_us) {
        return reason_refuse(why, REASON_EMPTY, "From is not before Until");
    }
    return REASON_FINE;
}

static enum money_reason narrow_money(struct money_limits *limits,
                                      const struct money_limits *to,
                                      struct money_refusal *why)
{
    enum money_reason reason;

    if (strcmp(to->currency, limits->currency) != 0) {
        return reason_refuse(why, REASON_CURRENCY, "%s, not %s", to->currency,
                             limits->currency);
    }
    reason =
        lower(&limits->amount, to->amount, limits->currency, "Amount", why);
    if (reason) return reason;
    return lower(&limits->most_per_hour, to->most_per_hour, limits->currency,
                 "MostPerHour", why);
}

static enum money_reason narrow(struct money_limits *limits,
                                const struct money_limits *to,
                                struct money_refusal *why)
{
    enum money_reason reason;

    reason = narrow_money(limits, to, why);
    if (reason) return reason;
    reason = narrow_time(limits, to, why);
    if (reason) return reason;
    if (to->env_type[0]) {
        if (limits->env_type[0] &&
            strcmp(limits->env_type, to->env_type) != 0) {
            return widens(why, "EnvType");
        }
        memcpy(limits->env_type, to->env_type, sizeof limits->env_type);
    }
    reason = fix_id(&limits->server, &to->server, "Server", why);
    if (reason) return reason;
    return fix_id(&limits->quote, &to->quote, "Quote", why);
}

/* ---- the chain ---- */

/* `before`: the narrowing under it, NULL where that is the order. */
static enum money_reason check_link(const struct money_order *order,
                                    const struct money_narrowing *before,
                                    const struct money_narrowing *narrowing,
                                    struct money_refusal *why)
{
    const xn_id *under = before ? &before->head.hash : &order->head.hash;

    if (!is_vouched(&narrowing->head)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Narrowing");
    }
    if (!xn_id_eq(&narrowing->head.by, &order->holder)) {
        return reason_refuse(why, REASON_HOLDER, "Narrowing");
    }
    if (!xn_id_eq(&narrowing->head.corp, &order->head.by)) {
        return reason_refuse(why, REASON_OTHER_CORP, "Narrowing");
    }
    if (!xn_id_eq(&narrowing->over, under)) {
        return reason_refuse(why, REASON_CHAIN, "Over");
    }
    if (before && !xn_id_is_zero(&before->limits.server)) {
        return reason_refuse(why, REASON_CLOSED, NULL);
    }
    return REASON_FINE;
}

enum money_reason order_effective(const struct order_chain *chain,
                                  struct money_limits *limits_out,
                                  struct money_refusal *why)
{
    struct money_limits limits = chain->order->limits;
    enum money_reason reason;

    if (!is_vouched(&chain->order->head)) {
        return reason_refuse(why, REASON_UNVERIFIED, "PurchaseOrder");
    }
    if (chain->n > ORDER_NARROWINGS_MAX) {
        return reason_refuse(why, REASON_TOO_MANY, "%d", ORDER_NARROWINGS_MAX);
    }
    for (size_t i = 0; i < chain->n; i++) {
        const struct money_narrowing *at = &chain->narrowings[i];

        reason = check_link(chain->order, i ? at - 1 : NULL, at, why);
        if (reason) return reason;
        reason = narrow(&limits, &at->limits, why);
        if (reason) return reason;
    }
    *limits_out = limits;
    return REASON_FINE;
}

/* ---- spending it ---- */

/* Does the last narrowing name the server? */
static bool is_closed(const struct order_chain *chain)
{
    return chain->n &&
           !xn_id_is_zero(&chain->narrowings[chain->n - 1].limits.server);
}

/* Of one that is. */
static const xn_id *closing(const struct order_chain *chain)
{
    return &chain->narrowings[chain->n - 1].head.hash;
}

static enum money_reason check_time(const struct money_limits *limits,
                                    const struct money_quote *quote,
                                    uint64_t at_us, struct money_refusal *why)
{
    char text[XN_UTC_TEXT_MAX];

    if (at_us < limits->from_us) {
        xn_utc_format(limits->from_us, text);
        return reason_refuse(why, REASON_EARLY, "from %s", text);
    }
    if (at_us >= limits->until_us) {
        xn_utc_format(limits->until_us, text);
        return reason_refuse(why, REASON_EXPIRED, "until %s", text);
    }
    if (at_us >= quote->until_us) {
        xn_utc_format(quote->until_us, text);
        return reason_refuse(why, REASON_QUOTE_EXPIRED, "until %s", text);
    }
    return REASON_FINE;
}

static enum money_reason check_quote(const struct order_chain *chain,
                                     const struct money_limits *limits,
                                     const struct money_quote *quote,
                                     struct money_refusal *why)
{
    if (!is_vouched(&quote->head)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Quote");
    }
    if (!xn_id_eq(&quote->head.by, &limits->server)) {
        return reason_refuse(why, REASON_QUOTE_SERVER, NULL);
    }
    if (!xn_id_eq(&quote->head.corp, &chain->order->head.by)) {
        return reason_refuse(why, REASON_OTHER_CORP, "Quote");
    }
    if (!xn_id_eq(&quote->head.hash, &limits->quote)) {
        return reason_refuse(why, REASON_QUOTE, NULL);
    }
    if (strcmp(quote->currency, limits->currency) != 0) {
        return reason_refuse(why, REASON_CURRENCY, "%s, not %s",
                             quote->currency, limits->currency);
    }
    if (limits->env_type[0] && strcmp(limits->env_type, quote->env_type) != 0) {
        return reason_refuse(why, REASON_TYPE, "%.60s, not %.60s",
                             quote->env_type, limits->env_type);
    }
    return REASON_FINE;
}

/* A session that could never run is refused before it is paid for. */
static enum money_reason check_setup(const struct money_limits *limits,
                                     const struct money_quote *quote,
                                     struct money_refusal *why)
{
    const struct price_usage none = {.hours = {0}};
    char text[MONEY_TEXT_MAX];
    int64_t setup;

    if (price_amount(&quote->prices, &none, &setup) != 0) {
        return reason_refuse(why, REASON_TOO_SMALL, NULL);
    }
    if (setup <= limits->amount &&
        (!limits->most_per_hour || setup <= limits->most_per_hour)) {
        return REASON_FINE;
    }
    return reason_refuse(why, REASON_TOO_SMALL, "%s",
                         money_text(setup, quote->currency, text));
}

enum money_reason order_accepts(const struct order_chain *chain,
                                const struct money_quote *quote,
                                const xn_id *server, uint64_t at_us,
                                struct money_limits *limits_out,
                                struct money_refusal *why)
{
    struct money_limits limits;
    enum money_reason reason;

    reason = order_effective(chain, &limits, why);
    if (reason) return reason;
    if (!is_closed(chain) || xn_id_is_zero(&limits.quote)) {
        return reason_refuse(why, REASON_OPEN, NULL);
    }
    /* What the papers say of each other comes before who asks, and when. */
    reason = check_quote(chain, &limits, quote, why);
    if (reason) return reason;
    if (!xn_id_eq(&limits.server, server)) {
        return reason_refuse(why, REASON_SERVER, NULL);
    }
    reason = check_time(&limits, quote, at_us, why);
    if (reason) return reason;
    reason = check_setup(&limits, quote, why);
    if (reason) return reason;
    if (limits_out) *limits_out = limits;
    return REASON_FINE;
}

enum money_reason order_accept(const struct order_chain *chain,
                               const struct money_quote *quote,
                               const xn_id *server, const xn_id *session,
                               uint64_t at_us, struct money *acceptance_out,
                               struct money_refusal *why)
{
    struct money_acceptance *acceptance = &acceptance_out->acceptance;
    struct money_limits limits;
    enum money_reason reason;

    reason = order_accepts(chain, quote, server, at_us, &limits, why);
    if (reason) return reason;
    memset(acceptance_out, 0, sizeof *acceptance_out);
    acceptance_out->type = MONEY_ACCEPTANCE;
    acceptance->head.by = chain->order->head.by;
    acceptance->head.issued_us = at_us;
    acceptance->serial = chain->order->serial;
    acceptance->narrowing = *closing(chain);
    acceptance->server = *server;
    acceptance->session = *session;
    acceptance->quote = quote->head.hash;
    memcpy(acceptance->currency, limits.currency, sizeof limits.currency);
    acceptance->amount = limits.amount;
    acceptance->until_us = limits.until_us;
    return REASON_FINE;
}

static enum money_reason differs(struct money_refusal *why, const char *field)
{
    return reason_refuse(why, REASON_ACCEPTANCE, "%s", field);
}

enum money_reason order_accepted(const struct order_chain *chain,
                                 const struct money_quote *quote,
                                 const struct money_acceptance *acceptance,
                                 struct money_refusal *why)
{
    const struct money_order *order = chain->order;
    struct money_limits limits;
    enum money_reason reason;

    if (!is_vouched(&acceptance->head)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Acceptance");
    }
    reason = order_effective(chain, &limits, why);
    if (reason) return reason;
    reason = order_accepts(chain, quote, &limits.server,
                           acceptance->head.issued_us, NULL, why);
    /* A corp accepts nothing at a time when it cannot. */
    if (reason == REASON_EARLY || reason == REASON_EXPIRED ||
        reason == REASON_QUOTE_EXPIRED) {
        return differs(why, "Issued");
    }
    if (reason) return reason;
    if (!xn_id_eq(&acceptance->server, &limits.server))
        return differs(why, "Server");
    if (!xn_id_eq(&acceptance->head.by, &order->head.by))
        return differs(why, "Corp");
    if (!xn_id_eq(&acceptance->serial, &order->serial))
        return differs(why, "Serial");
    if (!xn_id_eq(&acceptance->narrowing, closing(chain)))
        return differs(why, "Narrowing");
    if (!xn_id_eq(&acceptance->quote, &quote->head.hash))
        return differs(why, "Quote");
    if (strcmp(acceptance->currency, limits.currency) != 0)
        return differs(why, "Currency");
    if (acceptance->amount > limits.amount) return differs(why, "Amount");
    if (acceptance->until_us > limits.until_us) return differs(why, "Until");
    return REASON_FINE;
}

enum money_reason order_stops(const struct order_chain *chain,
                              const struct money_stop *stop,
                              struct money_refusal *why)
{
    if (!is_vouched(&stop->head)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Stop");
    }
    if (!xn_id_eq(&stop->head.by, &chain->order->holder)) {
        return reason_refuse(why, REASON_HOLDER, "Stop");
    }
    if (!xn_id_eq(&stop->head.corp, &chain->order->head.by)) {
        return reason_refuse(why, REASON_OTHER_CORP, "Stop");
    }
    if (!is_closed(chain) || !xn_id_eq(&stop->narrowing, closing(chain))) {
        return reason_refuse(why, REASON_CHAIN, "Stop");
    }
    return REASON_FINE;
}
