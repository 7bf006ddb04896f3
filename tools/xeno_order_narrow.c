/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno order narrow: the client's own limits, signed over the order.  The rules
 * are those that server and XenoCorp ask (wire/order.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/clock.h"
#include "tools/xeno_orders.h"

#define QUOTE_MAX 8192

static const char cannot[] = "cannot narrow the order";

struct wish {
    const char *amount, *most, *until, *from, *type, *server, *quote;
};

struct narrowing { /* being made */
    struct money doc;
    bool has_quote;
    struct money_quote quote; /* verified */
};

static int refuse(const struct money_refusal *why)
{
    char what[80];

    snprintf(what, sizeof what, "%s", cannot);
    return xeno_gripe_reason(reason_rc(why->reason), reason_name(why->reason),
                             what, why->text, reason_try(why->reason));
}

/* ---- what is wanted ---- */

static int take_amount(const char *text, const char *option,
                       const char *currency, int64_t *out)
{
    char own[MONEY_CURRENCY_SIZE];

    if (!text) return XN_EXIT_OK;
    if (money_amount_parse(text, out, own))
        return xeno_usage("%s '%.60s' is no amount: like 10.50GBP", option,
                          text);
    if (strcmp(own, currency) == 0) return XN_EXIT_OK;
    return xeno_usage("%s is in %s, the order in %s", option, own, currency);
}

static int take_time(const char *text, const char *option, uint64_t *out)
{
    if (!text || !xeno_time_parse(text, net_wall_us(), out)) return XN_EXIT_OK;
    return xeno_usage("%s '%.60s' is neither a time like "
                      "2026-11-21T10:00:00Z nor one like 24h",
                      option, text);
}

/* A file has the quote, of which more can be checked than of its hash. */
static int read_quote(const char *path, const struct xeno_member *member,
                      struct narrowing *n)
{
    struct money_refusal why;
    struct xn_buf buf;
    struct money doc;
    int code = XN_EXIT_OK;

    xn_buf_init(&buf, QUOTE_MAX);
    errno = 0;
    if (xn_file_read(path, &buf)) {
        code = xeno_gripef(XN_EINVAL, cannot,
                           "--quote with a file, or 64 digits 0-9a-f", "%s: %s",
                           path, errno ? strerror(errno) : "too large");
    } else if (money_open(MONEY_QUOTE, buf.data, buf.len,
                          member->identity.anchors, net_wall_us(), &doc,
                          &why)) {
        code = refuse(&why);
    } else {
        n->quote = doc.quote;
        n->has_quote = true;
    }
    xn_buf_clear(&buf);
    return code;
}

static int take_quote(const struct wish *wish, const struct xeno_member *member,
                      struct narrowing *n)
{
    struct money_limits *limits = &n->doc.narrowing.limits;
    int code;

    if (!wish->quote) return XN_EXIT_OK;
    if (!xn_id_unhex(wish->quote, strlen(wish->quote), &limits->quote))
        return XN_EXIT_OK;
    code = read_quote(wish->quote, member, n);
    if (code) return code;
    limits->quote = n->quote.head.hash;
    if (!wish->server) limits->server = n->quote.head.by;
    return XN_EXIT_OK;
}

static int take(const struct wish *wish, const struct xeno_member *member,
                const struct xeno_order *order, struct narrowing *n)
{
    struct money_limits *limits = &n->doc.narrowing.limits;
    const char *currency = order->order.limits.currency;
    int code;

    n->doc.type = MONEY_NARROWING;
    strcpy(limits->currency, currency);
    code = take_amount(wish->amount, "--amount", currency, &limits->amount);
    if (!code)
        code = take_amount(wish->most, "--most-per-hour", currency,
                           &limits->most_per_hour);
    if (!code) code = take_time(wish->until, "--until", &limits->until_us);
    if (!code) code = take_time(wish->from, "--from", &limits->from_us);
    if (!code && wish->type) {
        if (strlen(wish->type) > XN_VALUE_MAX)
            return xeno_usage("--type is too long");
        strcpy(limits->env_type, wish->type);
    }
    if (!code && wish->server &&
        xn_id_unhex(wish->server, strlen(wish->server), &limits->server))
        return xeno_usage("--server wants 64 digits 0-9a-f: xenofind -o json");
    return code ? code : take_quote(wish, member, n);
}

/* ---- judging and signing ---- */

static bool same(const struct money_limits *a, const struct money_limits *b)
{
    return a->amount == b->amount && a->until_us == b->until_us &&
           a->most_per_hour == b->most_per_hour && a->from_us == b->from_us &&
           strcmp(a->env_type, b->env_type) == 0 &&
           xn_id_eq(&a->server, &b->server) && xn_id_eq(&a->quote, &b->quote);
}

/* As server and XenoCorp will. */
static int judge(const struct xeno_order *order, const struct narrowing *n)
{
    struct order_chain chain = xeno_order_chain(order);
    struct money_limits limits;
    struct money_refusal why;

    if (order_effective(&chain, &limits, &why)) return refuse(&why);
    if (n->has_quote && !xn_id_is_zero(&limits.server) &&
        order_accepts(&chain, &n->quote, &limits.server, net_wall_us(), NULL,
                      &why) &&
        why.reason != REASON_EARLY)
        return refuse(&why);
    return XN_EXIT_OK;
}

static int show(const struct xeno *xeno, const struct xeno_order *order,
                bool is_new)
{
    struct order_chain chain = xeno_order_chain(order);
    char hex[XN_ID_HEX], text[MONEY_TEXT_MAX];
    struct money_limits limits;

    (void)order_effective(&chain, &limits, NULL);
    if (xeno->json) {
        return xeno_print_json(json_pack(
            "{s:s, s:b, s:o, s:i, s:o, s:s, s:o, s:o}", "schema",
            "xeno.narrowing/1", "new", is_new, "serial",
            xeno_json_id(&order->order.serial), "narrowings", (int)order->n,
            "amount", xeno_json_money(limits.amount), "currency",
            limits.currency, "server", xeno_json_id(&limits.server), "quote",
            xeno_json_id(&limits.quote)));
    }
    xn_id_hex(&order->order.serial, hex);
    xeno_say("order", "%.*s", XENO_SERIAL_SHORT, hex);
    xeno_say("narrowings", "%zu%s", order->n,
             is_new ? "" : ", which say so already");
    xeno_say("amount", "%s", money_text(limits.amount, limits.currency, text));
    if (!xn_id_is_zero(&limits.server)) {
        xn_id_hex(&limits.server, hex);
        xeno_say("server", "%s", hex);
        xeno_say("closed", "yes: nothing can be narrowed any more");
    }
    return XN_EXIT_OK;
}

/* The order owns the paper as well as what it says. */
static int sign(const struct xeno *xeno, const struct xeno_member *member,
                struct xeno_order *order, struct narrowing *n)
{
    struct money_narrowing *doc = &n->doc.narrowing;
    struct xeno_paper *paper = &order->papers[order->n];
    char name[32];
    int rc;

    rc = money_seal(&n->doc, member->identity.key, member->identity.x509,
                    &paper->data, &paper->len);
    if (rc)
        return xeno_gripe(rc, cannot, "that cannot be said in a document",
                          "times before the year 10000, a short type");
    snprintf(name, sizeof name, "narrowing-%zu", order->n + 1);
    order->narrowings[order->n++] = *doc;
    return xeno_order_keep(xeno, &order->order.serial, name, paper->data,
                           paper->len);
}

/* On a copy, which owns nothing of its own. */
static int judge_with(const struct xeno_order *order, const struct narrowing *n,
                      bool *new_out)
{
    struct xeno_order *tried = malloc(sizeof *tried);
    struct order_chain chain = xeno_order_chain(order);
    struct money_limits before, after;
    int code = XN_EXIT_OK;

    if (!tried) return xeno_no_memory();
    *tried = *order;
    tried->narrowings[tried->n++] = n->doc.narrowing;
    (void)order_effective(&chain, &before, NULL);
    chain = xeno_order_chain(tried);
    *new_out = order_effective(&chain, &after, NULL) != REASON_FINE ||
               !same(&before, &after);
    if (*new_out) code = judge(tried, n);
    free(tried);
    return code;
}

/* What does not hold already is signed and kept. */
static int narrow_by(const struct xeno *xeno, const struct xeno_member *member,
                     struct xeno_order *order, struct narrowing *n,
                     bool *new_out)
{
    struct money_narrowing *doc = &n->doc.narrowing;
    int code;

    doc->head.by = member->identity.cert.id;
    doc->head.corp = member->corp.id;
    doc->head.issued_us = net_wall_us();
    doc->over = order->n ? order->narrowings[order->n - 1].head.hash
                         : order->order.head.hash;
    if (order->n == ORDER_NARROWINGS_MAX) {
        return xeno_gripef(XN_EMONEY, cannot, "a fresh order",
                           "more narrowings than the %d allowed",
                           ORDER_NARROWINGS_MAX);
    }
    code = judge_with(order, n, new_out);
    return code || !*new_out ? code : sign(xeno, member, order, n);
}

int xeno_order_close(const struct xeno *xeno, const struct xeno_member *member,
                     struct xeno_order *order, const struct money_quote *quote)
{
    struct narrowing n = {.has_quote = true, .quote = *quote};
    struct money_limits *limits = &n.doc.narrowing.limits;
    bool is_new;

    n.doc.type = MONEY_NARROWING;
    strcpy(limits->currency, order->order.limits.currency);
    limits->quote = quote->head.hash;
    limits->server = quote->head.by;
    return narrow_by(xeno, member, order, &n, &is_new);
}

static int narrow(const struct xeno *xeno, const struct xeno_member *member,
                  struct xeno_order *order, const struct wish *wish)
{
    struct narrowing n = {.has_quote = false};
    bool is_new;
    int code = take(wish, member, order, &n);

    if (!code) code = narrow_by(xeno, member, order, &n, &is_new);
    return code ? code : show(xeno, order, is_new);
}

int xeno_order_narrow(struct xeno *xeno, int argc, char **argv)
{
    struct wish wish = {.amount = NULL};
    const struct xn_option own[] = {
        XN_OPTION("quote", 0, "FILE|HASH",
                  "for this quote of a server's, and for that server",
                  &wish.quote),
        XN_OPTION("server", 0, "ID", "for this one alone; closes the order",
                  &wish.server),
        XN_OPTION("amount", 0, "AMOUNT", "at most", &wish.amount),
        XN_OPTION("most-per-hour", 0, "AMOUNT", "in each hour at most",
                  &wish.most),
        XN_OPTION("until", 0, "TIME", "a time, or from now on: 2h",
                  &wish.until),
        XN_OPTION("from", 0, "TIME", "not before", &wish.from),
        XN_OPTION("type", 0, "TYPE", "of environment: Linux", &wish.type),
    };
    struct xeno_member member;
    struct xeno_order order;
    int words, lock = -1, code;

    code = xeno_options(xeno, own, sizeof own / sizeof own[0], argc, argv, 1, 1,
                        &words);
    if (code >= 0) return code;
    if (!wish.quote && !wish.server && !wish.amount && !wish.most &&
        !wish.until && !wish.from && !wish.type)
        return xeno_usage("narrow to what?  --quote, --server, --amount, ...");
    code = xeno_orders_lock(xeno, &lock);
    if (!code) code = xeno_order_find(xeno, argv[words], &member, &order);
    if (!code) {
        code = narrow(xeno, &member, &order, &wish);
        xeno_order_clear(&order);
        xeno_member_clear(&member);
    }
    xeno_orders_unlock(lock);
    return code;
}
