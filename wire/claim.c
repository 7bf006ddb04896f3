/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/claim.h"

#include <string.h>

#include "lib/err.h"

#define HOUR_US ((xn_i128)3600 * 1000000)

/* ---- what time allows ---- */

/* The kinds of usage.  rate x us / per is the most in that time. */
static const struct kind {
    const char *name;
    size_t rate; /* offset in money_rates; HELD: the time itself */
    size_t usage;
    xn_i128 per;
} kinds[] = {
#define HELD SIZE_MAX
#define KIND(name, rate, usage, per)                                           \
    {                                                                          \
        name, offsetof(struct money_rates, rate),                              \
            offsetof(struct price_usage, usage), per                           \
    }
    {"UsedHours", HELD, offsetof(struct price_usage, hours), HOUR_US},
    KIND("UsedCPUSeconds", cpu_smps, cpu_s, 1000000000),
    KIND("UsedMemoryMBHours", memory_mb, memory_mb_h, HOUR_US),
    /* Mbit/s to GB, both ways at once: 2 / 8e9 of each us. */
    KIND("UsedNetGB", net_mbps, net_gb, 4000000000),
    KIND("UsedDiskGBHours", disk_gb, disk_gb_h, HOUR_US),
};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define MOST (XN_DEC_ONE * XN_DEC_ONE * XN_DEC_ONE) /* more than anything */

static xn_dec *usage_at(struct price_usage *usage, const struct kind *kind)
{
    return (xn_dec *)((char *)usage + kind->usage);
}

static xn_dec usage_of(const struct price_usage *usage, const struct kind *kind)
{
    xn_dec d;

    memcpy(&d, (const char *)usage + kind->usage, sizeof d);
    return d;
}

static xn_dec rate_of(const struct money_rates *rates, const struct kind *kind)
{
    xn_dec rate = xn_dec_int(1);

    if (kind->rate != HELD) {
        memcpy(&rate, (const char *)rates + kind->rate, sizeof rate);
    }
    return rate;
}

/* The most of a kind in `us`: floor(rate x us / per), at most MOST. */
static xn_dec most_in(const struct money_rates *rates, const struct kind *kind,
                      uint64_t us)
{
    xn_i128 rate = rate_of(rates, kind).v, whole, part;

    if (__builtin_mul_overflow(rate / kind->per, (xn_i128)us, &whole) ||
        whole > MOST) {
        return (xn_dec){MOST};
    }
    /* Below 4e9 x 2^64. */
    part = rate % kind->per * (xn_i128)us / kind->per;
    return (xn_dec){whole + part > MOST ? MOST : whole + part};
}

static uint64_t span(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? to_us - from_us : 0;
}

/* The first kind of which there is more than that time allows; NULL: none. */
static const struct kind *excess(const struct money_rates *rates,
                                 const struct price_usage *base,
                                 const struct price_usage *usage, uint64_t us)
{
    for (size_t i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];

        if (usage_of(usage, kind).v - usage_of(base, kind).v >
            most_in(rates, kind, us).v) {
            return kind;
        }
    }
    return NULL;
}

/* No claim reaches behind the order's end. */
static uint64_t until(const struct claim_terms *terms, uint64_t till_us)
{
    return till_us < terms->until_us ? till_us : terms->until_us;
}

void claim_cut(const struct claim_terms *terms, const struct claim_state *state,
               uint64_t till_us, struct price_usage *usage)
{
    uint64_t end_us = until(terms, till_us);
    uint64_t all_us = span(terms->since_us, end_us);
    uint64_t step_us = span(state->till_us, end_us);

    for (size_t i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        xn_dec *used = usage_at(usage, kind);
        xn_i128 before = usage_of(&state->usage, kind).v;
        xn_i128 most = most_in(&terms->rates, kind, all_us).v;
        xn_i128 step = most_in(&terms->rates, kind, step_us).v;

        if (before + step < most) most = before + step;
        if (used->v > most) used->v = most;
        if (used->v < before) used->v = before;
    }
}

/* ---- what the order allows ---- */

int64_t claim_ceiling(const struct claim_terms *terms, uint64_t till_us)
{
    uint64_t us = span(terms->since_us, until(terms, till_us));
    xn_i128 hours = (us + HOUR_US - 1) / HOUR_US, most;

    if (!terms->most_per_hour) return terms->amount;
    if (hours == 0) hours = 1;
    most = hours * terms->most_per_hour;
    return most < terms->amount ? (int64_t)most : terms->amount;
}

/* The price of that usage, or what is allowed where that is less. */
static int owed(const struct claim_terms *terms,
                const struct price_usage *usage, uint64_t till_us,
                int64_t *micro_out)
{
    int64_t ceiling = claim_ceiling(terms, till_us);
    int rc = price_amount(&terms->prices, usage, micro_out);

    if (rc == XN_EOVERFLOW) {
        *micro_out = ceiling;
        return 0;
    }
    if (rc) return rc;
    if (*micro_out > ceiling) *micro_out = ceiling;
    return 0;
}

/* ---- judging ---- */

enum money_reason claim_terms(const struct order_chain *chain,
                              const struct money_quote *quote,
                              const struct money_acceptance *acceptance,
                              struct claim_terms *terms_out,
                              struct money_refusal *why)
{
    struct claim_terms terms = {.since_us = acceptance->head.issued_us};
    enum money_reason reason;
    struct money_limits limits;

    reason = order_accepted(chain, quote, acceptance, why);
    if (reason) return reason;
    reason = order_effective(chain, &limits, why);
    if (reason) return reason;
    terms.corp = acceptance->head.by;
    terms.holder = chain->order->holder;
    terms.server = acceptance->server;
    terms.session = acceptance->session;
    terms.acceptance = acceptance->head.hash;
    memcpy(terms.currency, acceptance->currency, sizeof terms.currency);
    terms.amount = acceptance->amount;
    terms.most_per_hour = limits.most_per_hour;
    terms.until_us = acceptance->until_us;
    terms.rates = quote->rates;
    terms.prices = quote->prices;
    *terms_out = terms;
    return REASON_FINE;
}

void claim_begin(const struct claim_terms *terms, struct claim_state *state)
{
    memset(state, 0, sizeof *state);
    state->hash = terms->acceptance;
}

static enum money_reason check_who(const struct claim_terms *terms,
                                   const struct money_claim *claim,
                                   struct money_refusal *why)
{
    if (xn_id_is_zero(&claim->head.corp)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Claim");
    }
    if (!xn_id_eq(&claim->head.by, &terms->server)) {
        return reason_refuse(why, REASON_CLAIM_SERVER, NULL);
    }
    if (!xn_id_eq(&claim->head.corp, &terms->corp)) {
        return reason_refuse(why, REASON_OTHER_CORP, "Claim");
    }
    if (!xn_id_eq(&claim->session, &terms->session)) {
        return reason_refuse(why, REASON_CLAIM_SESSION, NULL);
    }
    if (strcmp(claim->currency, terms->currency) != 0) {
        return reason_refuse(why, REASON_CURRENCY, "%s, not %s",
                             claim->currency, terms->currency);
    }
    return REASON_FINE;
}

static enum money_reason check_place(const struct claim_state *state,
                                     const struct money_claim *claim,
                                     struct money_refusal *why)
{
    unsigned long long is = claim->sequence, last = state->sequence;

    if (is == last) {
        return reason_refuse(why,
                             xn_id_eq(&claim->head.hash, &state->hash)
                                 ? REASON_REPEATED
                                 : REASON_CLAIM_TWICE,
                             "%llu", is);
    }
    if (is < last) {
        return reason_refuse(why, REASON_CLAIM_OLD, "%llu, of %llu", is, last);
    }
    if (state->final) {
        return reason_refuse(why, REASON_CLAIM_FINAL, "%llu", last);
    }
    if (is > last + 1) {
        /* What follows on the last one has the number behind it. */
        if (xn_id_eq(&claim->previous, &state->hash)) {
            return reason_refuse(why, REASON_CLAIM_CHAIN, "Sequence");
        }
        return reason_refuse(why, REASON_CLAIM_GAP, "%llu, after %llu", is,
                             last);
    }
    if (!xn_id_eq(&claim->previous, &state->hash)) {
        return reason_refuse(why, REASON_CLAIM_CHAIN, NULL);
    }
    return REASON_FINE;
}

static enum money_reason check_growth(const struct claim_state *state,
                                      const struct money_claim *claim,
                                      struct money_refusal *why)
{
    if (claim->till_us < state->till_us) {
        return reason_refuse(why, REASON_CLAIM_SHRINKS, "Till");
    }
    for (size_t i = 0; i < KINDS; i++) {
        if (usage_of(&claim->usage, &kinds[i]).v >=
            usage_of(&state->usage, &kinds[i]).v) {
            continue;
        }
        return reason_refuse(why, REASON_CLAIM_SHRINKS, "%s", kinds[i].name);
    }
    if (claim->amount < state->amount) {
        return reason_refuse(why, REASON_CLAIM_SHRINKS, "Amount");
    }
    return REASON_FINE;
}

/* When paid time ends, and what to say of what lies behind it. */
static uint64_t end_of(const struct claim_terms *terms,
                       const struct claim_clock *clock,
                       enum money_reason *reason_out)
{
    uint64_t end_us = clock->now_us;

    *reason_out = REASON_CLAIM_RATE;
    if (terms->until_us <= end_us) {
        end_us = terms->until_us;
        *reason_out = REASON_CLAIM_ENDED;
    }
    if (clock->stopped_us && clock->stopped_us <= end_us) {
        end_us = clock->stopped_us;
        *reason_out = REASON_CLAIM_STOPPED;
    }
    return end_us;
}

static bool is_ahead(uint64_t us, uint64_t of_us)
{
    return us > MONEY_AHEAD_US_MAX && us - MONEY_AHEAD_US_MAX > of_us;
}

/* By the corp's time in all, by the server's since the claim before: who has
 * claimed little for the past does not claim it afterwards. */
static enum money_reason check_usage(const struct claim_terms *terms,
                                     const struct claim_state *state,
                                     const struct money_claim *claim,
                                     const struct claim_clock *clock,
                                     struct money_refusal *why)
{
    const struct price_usage none = {.hours = {0}};
    const struct kind *kind;
    enum money_reason over;
    uint64_t end_us = end_of(terms, clock, &over);

    if (is_ahead(claim->till_us, end_us)) {
        return reason_refuse(
            why, over == REASON_CLAIM_RATE ? REASON_CLAIM_DATE : over, "Till");
    }
    if (is_ahead(terms->since_us, claim->till_us)) {
        return reason_refuse(why, REASON_CLAIM_SHRINKS,
                             "Till is before the acceptance");
    }
    kind = excess(&terms->rates, &none, &claim->usage,
                  span(terms->since_us, end_us) + clock->slack_us);
    if (kind) {
        if (!excess(&terms->rates, &none, &claim->usage,
                    span(terms->since_us, clock->now_us) + clock->slack_us)) {
            return reason_refuse(why, over, "%s", kind->name);
        }
        return reason_refuse(why, REASON_CLAIM_RATE, "%s", kind->name);
    }
    /* Before the first claim Till is 1970, and this refuses nothing. */
    kind = excess(&terms->rates, &state->usage, &claim->usage,
                  span(state->till_us, claim->till_us));
    if (!kind) return REASON_FINE;
    return reason_refuse(why, REASON_CLAIM_RATE, "%s since the claim before",
                         kind->name);
}

static enum money_reason check_amount(const struct claim_terms *terms,
                                      const struct money_claim *claim,
                                      const struct claim_clock *clock,
                                      struct money_refusal *why)
{
    char is[MONEY_TEXT_MAX], right[MONEY_TEXT_MAX];
    enum money_reason reason = REASON_CLAIM_PRICE;
    uint64_t now_us = clock->now_us + clock->slack_us;
    int64_t owes, ceiling = claim_ceiling(terms, claim->till_us);

    money_text(claim->amount, terms->currency, is);
    if (claim->amount > terms->amount) {
        return reason_refuse(why, REASON_CLAIM_AMOUNT, "%s, of %s", is,
                             money_text(terms->amount, terms->currency, right));
    }
    if (claim_ceiling(terms, now_us) < ceiling) {
        ceiling = claim_ceiling(terms, now_us);
    }
    if (claim->amount > ceiling) {
        return reason_refuse(why, REASON_CLAIM_HOURLY, "%s, of %s", is,
                             money_text(ceiling, terms->currency, right));
    }
    if (owed(terms, &claim->usage, claim->till_us, &owes) != 0 ||
        owes != claim->amount) {
        return reason_refuse(why, reason, "%s", is);
    }
    return REASON_FINE;
}

enum money_reason claim_check(const struct claim_terms *terms,
                              const struct claim_state *state,
                              const struct money_claim *claim,
                              const struct claim_clock *clock,
                              struct claim_state *next_out,
                              struct money_refusal *why)
{
    enum money_reason reason;

    reason = check_who(terms, claim, why);
    if (reason) return reason;
    reason = check_place(state, claim, why);
    if (reason) return reason;
    reason = check_growth(state, claim, why);
    if (reason) return reason;
    reason = check_usage(terms, state, claim, clock, why);
    if (reason) return reason;
    reason = check_amount(terms, claim, clock, why);
    if (reason) return reason;
    claim_taken(claim, next_out);
    return REASON_FINE;
}

/* ---- receipts ---- */

void claim_receipt(const struct claim_terms *terms, const xn_id *of,
                   const struct claim_state *before,
                   const struct claim_state *after, uint64_t now_us,
                   struct money *receipt_out)
{
    struct money_receipt *receipt = &receipt_out->receipt;

    memset(receipt_out, 0, sizeof *receipt_out);
    receipt_out->type = MONEY_RECEIPT;
    receipt->head.by = terms->corp;
    receipt->head.issued_us = now_us;
    receipt->of = *of;
    receipt->session = terms->session;
    receipt->sequence = after->sequence;
    memcpy(receipt->currency, terms->currency, sizeof receipt->currency);
    receipt->charge = after->amount - before->amount;
    receipt->amount = after->amount;
    receipt->left = terms->amount - after->amount;
}

enum money_reason claim_receipted(const struct claim_terms *terms,
                                  const xn_id *of,
                                  const struct claim_state *before,
                                  const struct claim_state *after,
                                  const struct money_receipt *receipt,
                                  struct money_refusal *why)
{
    const char *field = NULL;
    struct money right;

    if (xn_id_is_zero(&receipt->head.corp)) {
        return reason_refuse(why, REASON_UNVERIFIED, "Receipt");
    }
    claim_receipt(terms, of, before, after, 0, &right);
    if (!xn_id_eq(&receipt->head.by, &right.head.by))
        field = "Corp";
    else if (!xn_id_eq(&receipt->of, &right.receipt.of))
        field = "Of";
    else if (!xn_id_eq(&receipt->session, &right.receipt.session))
        field = "Session";
    else if (receipt->sequence != right.receipt.sequence)
        field = "Sequence";
    else if (strcmp(receipt->currency, right.receipt.currency) != 0)
        field = "Currency";
    else if (receipt->charge != right.receipt.charge)
        field = "Charge";
    else if (receipt->amount != right.receipt.amount)
        field = "Amount";
    else if (receipt->left != right.receipt.left)
        field = "Left";
    return field ? reason_refuse(why, REASON_RECEIPT, "%s", field)
                 : REASON_FINE;
}

/* ---- claiming ---- */

int claim_next(const struct claim_terms *terms, const struct claim_state *state,
               const struct price_usage *usage, uint64_t till_us,
               enum money_state ending, const char *activity,
               struct money *claim_out)
{
    struct money_claim *claim = &claim_out->claim;
    int rc;

    memset(claim_out, 0, sizeof *claim_out);
    claim_out->type = MONEY_CLAIM;
    if (strlen(activity) >= sizeof claim->activity) return XN_EINVAL;
    claim->head.by = terms->server;
    claim->head.issued_us = till_us;
    claim->session = terms->session;
    claim->sequence = state->sequence + 1;
    claim->previous = state->hash;
    claim->till_us = until(terms, till_us);
    claim->usage = *usage;
    memcpy(claim->currency, terms->currency, sizeof claim->currency);
    claim->state = ending;
    memcpy(claim->activity, activity, strlen(activity) + 1);
    rc = owed(terms, usage, till_us, &claim->amount);
    if (rc) return rc;
    return check_growth(state, claim, NULL) ? XN_EINVAL : 0;
}

void claim_taken(const struct money_claim *claim, struct claim_state *state)
{
    memset(state, 0, sizeof *state);
    state->sequence = claim->sequence;
    state->hash = claim->head.hash;
    state->till_us = claim->till_us;
    state->usage = claim->usage;
    state->amount = claim->amount;
    state->final = claim->state == MONEY_FINAL;
}
