/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session extend: another order for a session that runs.
 *
 * The quote is kept before the order is narrowed to it, and both before the
 * server is asked.  So the same command again brings the same papers, and the
 * session is extended once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_stop.h"

#define QUOTE "quote"

static const char cannot[] = "cannot extend the session";

/* ---- the quote ---- */

static bool is_for(const struct money_quote *quote,
                   const struct xeno_place *place)
{
    return xn_id_eq(&quote->head.by, &place->server.corp.id) &&
           xn_id_eq(&quote->session, &place->kept.session);
}

/* One for this session, kept with the order. */
static int ask_quote(const struct xeno *xeno, const struct xeno_place *place,
                     const struct xeno_order *order, struct xeno_quoted *out)
{
    Xn__AskQuote body = XN__ASK_QUOTE__INIT;
    const struct xeno_question question = {.what = cannot,
                                           .method = "POST",
                                           .path = "/v1/quote",
                                           .body = &body,
                                           .answer = &xn__quoted__descriptor};
    Xn__Quoted *quoted = NULL;
    struct xeno_why why;
    int code;

    body.session = xn_id_bytes(&place->kept.session);
    code = xn_exit_code(xeno_ask(xeno, &place->server, &question, &quoted));
    if (code) return code;
    if (xeno_quote_take(&place->server, quoted, out, &why))
        code = xeno_tell(&why, cannot);
    else if (!is_for(&out->quote, place))
        code = xeno_gripe(XN_EINTEGRITY, cannot,
                          "the server's quote is not for this session",
                          "report it");
    xn__quoted__free_unpacked(quoted, NULL);
    if (code) return code;
    return xeno_order_keep(xeno, &order->order.serial, QUOTE, out->paper.data,
                           out->paper.len);
}

/* The quote that the session's present order was narrowed to, as the XenoCorp
 * has it: by the hash that we signed. */
static int present_quote(const struct xeno *xeno,
                         const struct xeno_place *place,
                         struct money_quote *out)
{
    char path[64 + XN_ID_HEX], hex[XN_ID_HEX];
    const struct xeno_question question = {.what = cannot,
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__bill__descriptor,
                                           .patient = true};
    struct money_limits limits = {.amount = 0};
    struct money_refusal why;
    struct xeno_member member;
    struct xeno_order order;
    struct order_chain chain;
    struct money doc;
    Xn__Bill *bill = NULL;
    int code;

    xn_id_hex(&place->kept.serial, hex);
    code = xeno_order_find(xeno, hex, &member, &order);
    if (code) return code;
    chain = xeno_order_chain(&order);
    (void)order_effective(&chain, &limits, NULL);
    snprintf(path, sizeof path, "/v1/bill?serial=%s", hex);
    code = xn_exit_code(xeno_ask(xeno, &member, &question, &bill));
    if (!code &&
        (money_open(MONEY_QUOTE, bill->quote.data, bill->quote.len,
                    member.identity.anchors, net_wall_us(), &doc, &why) ||
         !xn_id_eq(&doc.head.hash, &limits.quote)))
        code = xeno_gripe(XN_EMONEY, cannot,
                          "what the session costs now cannot be looked up",
                          "xeno session extend --dearer");
    if (!code) *out = doc.quote;
    if (bill) xn__bill__free_unpacked(bill, NULL);
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}

/* Who holds a session is in no place to bargain: what costs more than now is
 * told before it is signed. */
static int check_prices(const struct price_list *now,
                        const struct price_list *then, const char *currency)
{
    const struct {
        const char *token;
        xn_dec now, then;
    } rows[] = {
        {"SetUp", {0}, then->setup},
        {"PricePerHour", now->per_hour, then->per_hour},
        {"CPUSecond", now->cpu_second, then->cpu_second},
        {"MemoryMBHour", now->memory_mb_hour, then->memory_mb_hour},
        {"NetGB", now->net_gb, then->net_gb},
        {"DiskGBHour", now->disk_gb_hour, then->disk_gb_hour},
    };
    char was[XN_DEC_TEXT_MAX], is[XN_DEC_TEXT_MAX], because[200];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (xn_dec_cmp(rows[i].then, rows[i].now) <= 0) continue;
        xn_dec_format(rows[i].now, was);
        xn_dec_format(rows[i].then, is);
        snprintf(because, sizeof because, "%s is %s %s by now, and was %s",
                 rows[i].token, is, currency, was);
        return xeno_gripe(XN_EMONEY, cannot, because,
                          "xeno session extend --dearer");
    }
    return XN_EXIT_OK;
}

/* What the order was narrowed to when this was asked before. */
static int kept_quote(const struct xeno *xeno, const struct xeno_place *place,
                      const struct xeno_order *order,
                      const struct money_limits *limits,
                      struct xeno_quoted *out)
{
    struct money_refusal why;
    struct money doc;

    if (xeno_order_read(xeno, &order->order.serial, QUOTE, &out->paper) ||
        money_open(MONEY_QUOTE, out->paper.data, out->paper.len,
                   place->server.identity.anchors, net_wall_us(), &doc, &why) ||
        !xn_id_eq(&doc.head.hash, &limits->quote) ||
        !is_for(&doc.quote, place)) {
        return xeno_gripe(XN_EMONEY, cannot,
                          "the order is narrowed to something else",
                          "a fresh order: xeno order new");
    }
    out->quote = doc.quote;
    return XN_EXIT_OK;
}

/* The order, narrowed to a quote for this session. */
static int close_order(const struct xeno *xeno, const struct xeno_place *place,
                       bool dearer, const struct xeno_member *member,
                       struct xeno_order *order, struct xeno_quoted *quote_out)
{
    struct order_chain chain = xeno_order_chain(order);
    struct money_limits limits;
    struct money_quote present;
    int code;

    (void)order_effective(&chain, &limits, NULL);
    if (!xn_id_is_zero(&limits.quote))
        return kept_quote(xeno, place, order, &limits, quote_out);
    code = ask_quote(xeno, place, order, quote_out);
    if (!code && !dearer) code = present_quote(xeno, place, &present);
    if (!code && !dearer)
        code = check_prices(&present.prices, &quote_out->quote.prices,
                            quote_out->quote.currency);
    if (!code) code = xeno_order_close(xeno, member, order, &quote_out->quote);
    return code;
}

/* ---- the session ---- */

static int bring(const struct xeno *xeno, struct xeno_place *place,
                 const struct xeno_order *order, const struct xeno_paper *quote)
{
    static const struct xeno_paper none = {NULL, 0};
    Xn__ExtendSession body = XN__EXTEND_SESSION__INIT;
    const struct xeno_question question = {
        .what = cannot,
        .method = "POST",
        .path = "/v1/sessions/extend",
        .body = &body,
        .answer = &xn__host_session__descriptor,
        .changes = true,
        .patient = true,
    };
    Xn__HostSession *session = NULL;
    struct xeno_session_body papers;
    int code;

    xeno_session_body(order, quote, &none, &papers);
    body.session = xn_id_bytes(&place->kept.session);
    body.request = papers.body.request;
    body.order = papers.body.order;
    body.narrowings = papers.body.narrowings;
    body.n_narrowings = papers.body.n_narrowings;
    body.quote = papers.body.quote;
    code = xn_exit_code(xeno_ask(xeno, &place->server, &question, &session));
    if (code) return code;
    place->kept.serial = order->order.serial;
    code = xeno_kept_put(xeno, &place->kept);
    if (!code) code = xeno_session_print(xeno, session);
    xn__host_session__free_unpacked(session, NULL);
    return code;
}

static int extend(const struct xeno *xeno, struct xeno_place *place,
                  const char *text, bool dearer)
{
    struct xeno_quoted quote = {.paper = {NULL, 0}};
    struct xeno_member member;
    struct xeno_order order;
    int lock, code = xeno_orders_lock(xeno, &lock);

    if (code) return code;
    code = xeno_order_find(xeno, text, &member, &order);
    if (!code) {
        code = close_order(xeno, place, dearer, &member, &order, &quote);
        xeno_orders_unlock(lock);
        if (!code) code = bring(xeno, place, &order, &quote.paper);
        xeno_order_clear(&order);
        xeno_member_clear(&member);
    } else {
        xeno_orders_unlock(lock);
    }
    free(quote.paper.data);
    return code;
}

bool xeno_order_extends(const struct xeno *xeno,
                        const struct xeno_member *member,
                        const struct xeno_order *order, const xn_id *session)
{
    struct order_chain chain = xeno_order_chain(order);
    struct xeno_paper paper = {NULL, 0};
    struct money_limits limits = {.amount = 0};
    struct money_refusal why;
    struct money doc;
    bool extends;

    (void)order_effective(&chain, &limits, NULL);
    extends =
        xeno_order_read(xeno, &order->order.serial, QUOTE, &paper) == 0 &&
        money_open(MONEY_QUOTE, paper.data, paper.len, member->identity.anchors,
                   net_wall_us(), &doc, &why) == 0 &&
        xn_id_eq(&doc.head.hash, &limits.quote) &&
        xn_id_eq(&doc.quote.session, session);
    free(paper.data);
    return extends;
}

int xeno_session_extend(struct xeno *xeno, int argc, char **argv)
{
    const char *dearer = NULL;
    const struct xn_option own[] = {
        XN_OPTION("dearer", 0, NULL, "also where it costs more than now",
                  &dearer),
    };
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, own, 1, argc, argv, 2, 2, &words);
    if (code >= 0) return code;
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    code = extend(xeno, &place, argv[words + 1], dearer != NULL);
    xeno_place_clear(&place);
    return code;
}
