/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno order new, xeno order void.
 *
 * The 32 bytes that tell one order from another are on the disk before the
 * XenoCorp is asked.  Where no answer comes they stay there, and the same
 * command again asks with the same bytes: one order, however often. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "tools/xeno_orders.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/pemfile.h"

#define REQUEST_MAX 1024
#define LIFE "24h"

static const char cannot[] = "cannot issue the order";

struct wish { /* as the command line says it */
    const char *amount, *life, *until, *from, *most, *type, *server, *note;
};

struct attempt {
    char path[NET_PATH_MAX]; /* of the request that is kept */
    bool again;              /* it was asked before */
    Xn__IssueOrder *ask;
};

/* ---- what is wanted ---- */

static int bad_amount(const char *option, const char *text)
{
    size_t whole = strspn(text, "0123456789");

    return xeno_usage(
        whole > 12 ? "%s'%.60s' is too large"
                   : "%s'%.60s' is no amount: above zero, like 10.50GBP, with "
                     "at most six places",
        option, text);
}

static int parse_money(const struct wish *wish, Xn__IssueOrder *ask,
                       char currency[MONEY_CURRENCY_SIZE])
{
    char other[MONEY_CURRENCY_SIZE];
    int64_t micro;

    if (money_amount_parse(wish->amount, &micro, currency))
        return bad_amount("", wish->amount);
    ask->amount = micro;
    ask->currency = currency;
    if (!wish->most) return XN_EXIT_OK;
    if (money_amount_parse(wish->most, &micro, other))
        return bad_amount("--most-per-hour ", wish->most);
    ask->most_per_hour = micro;
    if (strcmp(currency, other) == 0) return XN_EXIT_OK;
    return xeno_usage("the amount is in %s, its most per hour in %s", currency,
                      other);
}

static int bad_time(const char *text)
{
    return xeno_usage("'%.60s' is neither a time like 2026-11-21T10:00:00Z nor "
                      "one like 24h",
                      text);
}

/* --for counts from --from, where that is given. */
static int parse_times(const struct wish *wish, Xn__IssueOrder *ask)
{
    uint64_t now_us = net_wall_us(), begin_us = now_us;
    const char *until = wish->until  ? wish->until
                        : wish->life ? wish->life
                                     : LIFE;
    char end[XN_UTC_TEXT_MAX];

    if (wish->until && wish->life)
        return xeno_usage("--for and --until say the same thing");
    if (wish->from && xeno_time_parse(wish->from, now_us, &ask->from_us))
        return bad_time(wish->from);
    if (ask->from_us > now_us) begin_us = ask->from_us;
    if (xeno_time_parse(until, begin_us, &ask->until_us))
        return bad_time(until);
    if (ask->until_us <= now_us)
        return xeno_usage("%.60s: that is over", until);
    if (ask->until_us > now_us + ORDER_LIFE_US_MOST) {
        xn_utc_format(ask->until_us, end);
        return xeno_usage("it would end at %s: an order lasts at most "
                          "366 days from now",
                          end);
    }
    if (ask->until_us <= ask->from_us)
        return xeno_usage("it would end at %.60s, before it begins", until);
    return XN_EXIT_OK;
}

static int parse_rest(const struct wish *wish, Xn__IssueOrder *ask,
                      xn_id *server)
{
    if (wish->type) ask->env_type = (char *)(uintptr_t)wish->type;
    if (wish->type && strlen(wish->type) > XN_VALUE_MAX)
        return xeno_usage("--type is too long");
    if (wish->note && strlen(wish->note) > XENO_NOTE_MAX)
        return xeno_usage("--note is at most %d bytes", XENO_NOTE_MAX);
    if (!wish->server) return XN_EXIT_OK;
    if (xn_id_unhex(wish->server, strlen(wish->server), server))
        return xeno_usage("--server wants 64 digits 0-9a-f: xenofind -o json");
    ask->server = xn_id_bytes(server);
    return XN_EXIT_OK;
}

/* ---- the request that is kept ---- */

static void add_word(struct xn_buf *buf, const char *word)
{
    xn_buf_str(buf, word ? word : "");
    xn_buf_char(buf, '\0');
}

/* The same command at the same XenoCorp has the same file. */
static int request_path(const struct xeno *xeno, const xn_id *corp,
                        const struct wish *wish, char out[NET_PATH_MAX])
{
    const char *words[] = {wish->amount, wish->life, wish->until,  wish->from,
                           wish->most,   wish->type, wish->server, wish->note};
    char name[XN_ID_HEX + 20], hex[XN_ID_HEX];
    struct xn_buf buf;
    xn_id hash;
    int rc;

    xn_buf_init(&buf, 0);
    xn_buf_add(&buf, corp->b, XN_ID_SIZE);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        add_word(&buf, words[i]);
    rc = xn_buf_rc(&buf);
    if (!rc) xn_id_hash(buf.data, buf.len, &hash);
    xn_buf_clear(&buf);
    if (rc) return rc;
    xn_id_hex(&hash, hex);
    snprintf(name, sizeof name, "orders/new-%s", hex);
    net_file_path(out, xeno->state, name);
    return 0;
}

/* What was asked before and is still of use; NULL: nothing is. */
static Xn__IssueOrder *read_request(const char *path)
{
    Xn__IssueOrder *ask = NULL;
    struct xn_buf buf;

    xn_buf_init(&buf, REQUEST_MAX);
    if (!xn_file_read(path, &buf))
        ask = xn_unpack(&xn__issue_order__descriptor, buf.data, buf.len);
    xn_buf_clear(&buf);
    if (ask && ask->until_us > net_wall_us() && ask->request.len == XN_ID_SIZE)
        return ask;
    if (ask) xn__issue_order__free_unpacked(ask, NULL);
    return NULL;
}

static int draw_request(const struct wish *wish, const char *path,
                        Xn__IssueOrder **ask_out)
{
    Xn__IssueOrder ask = XN__ISSUE_ORDER__INIT;
    char currency[MONEY_CURRENCY_SIZE];
    uint8_t word[XN_ID_SIZE], *bytes = NULL;
    xn_id server;
    size_t len = 0;
    int rc, code = parse_money(wish, &ask, currency);

    if (!code) code = parse_times(wish, &ask);
    if (!code) code = parse_rest(wish, &ask, &server);
    if (code) return code;
    rc = RAND_bytes(word, sizeof word) == 1 ? 0 : XN_EIO;
    ask.request = (ProtobufCBinaryData){sizeof word, word};
    if (!rc) rc = xn_pack(&ask, &bytes, &len);
    if (!rc) rc = pemfile_write(path, bytes, len, true);
    if (!rc) {
        *ask_out = xn_unpack(&xn__issue_order__descriptor, bytes, len);
        if (!*ask_out) rc = XN_ENOMEM;
    }
    free(bytes);
    if (!rc) return XN_EXIT_OK;
    return xeno_gripef(rc, cannot, "another XENO_KEY", "%s: %s", path,
                       xn_strerror(rc));
}

/* Does this answer settle that the order was not and will not be issued? */
bool xeno_order_settled(bool again, int rc)
{
    switch (rc) {
    case XN_EUNKNOWN: return false;
    case XN_EFUNDS:
    case XN_ENOENT:
    case XN_EPERM:
    case XN_EINVAL:
    case XN_EREFUSED:
    case XN_ECONFLICT: return true;
    default: return !again;
    }
}

/* ---- the order ---- */

static bool is_as_asked(const struct money_order *order,
                        const Xn__IssueOrder *ask,
                        const struct xeno_member *member)
{
    const struct money_limits *limits = &order->limits;
    xn_id server = {{0}};

    (void)xn_id_from_bytes(&ask->server, &server);
    return xn_id_eq(&order->head.by, &member->corp.id) &&
           xn_id_eq(&order->holder, &member->identity.cert.id) &&
           strcmp(limits->currency, ask->currency) == 0 &&
           limits->amount == ask->amount && limits->until_us == ask->until_us &&
           limits->most_per_hour == ask->most_per_hour &&
           limits->from_us == ask->from_us &&
           strcmp(limits->env_type, ask->env_type) == 0 &&
           xn_id_eq(&limits->server, &server) && xn_id_is_zero(&limits->quote);
}

static int check(const Xn__IssuedOrder *issued, const Xn__IssueOrder *ask,
                 const struct xeno_member *member, struct money *doc_out)
{
    struct money_refusal why;
    const char *because = NULL;

    if (money_open(MONEY_ORDER, issued->order.data, issued->order.len,
                   member->identity.anchors, net_wall_us(), doc_out, &why)) {
        because = why.text;
    } else if (!is_as_asked(&doc_out->order, ask, member)) {
        because = "the XenoCorp signed another order than was asked for";
    }
    return because ? xeno_gripe(XN_EINTEGRITY, cannot, because, "report it")
                   : XN_EXIT_OK;
}

static int show_new(const struct xeno *xeno, const struct xeno_member *member,
                    const struct money_order *order, bool again)
{
    const struct money_limits *limits = &order->limits;
    char hex[XN_ID_HEX], amount[MONEY_TEXT_MAX], until[32];

    if (xeno->json) {
        return xeno_print_json(json_pack(
            "{s:s, s:o, s:o, s:s, s:s, s:o, s:s, s:o}", "schema",
            "xeno.order/1", "serial", xeno_json_id(&order->serial), "corp",
            xeno_json_id(&order->head.by), "corp_name", xeno_corp_name(member),
            "state", "issued", "amount", xeno_json_money(limits->amount),
            "currency", limits->currency, "until",
            xeno_json_time(limits->until_us)));
    }
    xn_id_hex(&order->serial, hex);
    xn_utc_format(limits->until_us, until);
    xeno_say("order", "%.*s", XENO_SERIAL_SHORT, hex);
    xeno_say("XenoCorp", "%s", xeno_corp_name(member));
    xeno_say("amount", "%s",
             money_text(limits->amount, limits->currency, amount));
    xeno_say("until", "%s", until);
    if (again) xeno_say("note", "asked again, with the same bytes as before");
    xeno_say("next", "xeno order narrow %.*s --quote FILE", XENO_SERIAL_SHORT,
             hex);
    return XN_EXIT_OK;
}

static int keep_new(const struct xeno *xeno, const Xn__IssuedOrder *issued,
                    const struct money_order *order, const char *note)
{
    int code = XN_EXIT_OK;

    if (note)
        code =
            xeno_order_keep(xeno, &order->serial, "note", note, strlen(note));
    if (code) return code;
    return xeno_order_keep(xeno, &order->serial, "order", issued->order.data,
                           issued->order.len);
}

int xeno_order_issue(const struct xeno *xeno, const struct xeno_member *member,
                     const Xn__IssueOrder *ask, const char *note, int *rc_out,
                     struct money_order *order_out)
{
    const struct xeno_question question = {
        .what = cannot,
        .method = "POST",
        .path = "/v1/orders",
        .body = ask,
        .answer = &xn__issued_order__descriptor,
        .none = XN_EFUNDS, /* no account */
        .changes = true,
    };
    Xn__IssuedOrder *issued = NULL;
    struct money doc;
    int code;

    *rc_out = xeno_ask(xeno, member, &question, &issued);
    if (*rc_out) return xn_exit_code(*rc_out);
    code = check(issued, ask, member, &doc);
    if (!code) code = keep_new(xeno, issued, &doc.order, note);
    if (!code) *order_out = doc.order;
    xn__issued_order__free_unpacked(issued, NULL);
    return code;
}

static int issue(const struct xeno *xeno, const struct xeno_member *member,
                 const struct attempt *attempt, const char *note)
{
    struct money_order order;
    int rc,
        code = xeno_order_issue(xeno, member, attempt->ask, note, &rc, &order);

    if (!code || (rc && xeno_order_settled(attempt->again, rc)))
        unlink(attempt->path);
    return code ? code : show_new(xeno, member, &order, attempt->again);
}

static int order_as_wished(const struct xeno *xeno, const struct wish *wish)
{
    struct xeno_member member = {.identity = {.key = NULL}};
    struct attempt attempt = {.ask = NULL};
    int lock = -1, code = xeno_member(xeno, NULL, &member);

    if (!code) code = xeno_orders_lock(xeno, &lock);
    if (code) goto out;
    if (request_path(xeno, &member.corp.id, wish, attempt.path)) {
        code = xeno_no_memory();
        goto out;
    }
    attempt.ask = read_request(attempt.path);
    attempt.again = attempt.ask;
    if (!attempt.ask) code = draw_request(wish, attempt.path, &attempt.ask);
    if (!code) code = issue(xeno, &member, &attempt, wish->note);
out:
    if (attempt.ask) xn__issue_order__free_unpacked(attempt.ask, NULL);
    xeno_orders_unlock(lock);
    xeno_member_clear(&member);
    return code;
}

int xeno_order_new(struct xeno *xeno, int argc, char **argv)
{
    struct wish wish = {.amount = NULL};
    const struct xn_option own[] = {
        XN_OPTION("for", 0, "DUR", "how long it is good, once it is (" LIFE ")",
                  &wish.life),
        XN_OPTION("until", 0, "TIME", "until when; instead of --for",
                  &wish.until),
        XN_OPTION("from", 0, "TIME", "not before", &wish.from),
        XN_OPTION("most-per-hour", 0, "AMOUNT", "in each hour at most",
                  &wish.most),
        XN_OPTION("type", 0, "TYPE", "of environment: Linux", &wish.type),
        XN_OPTION("server", 0, "ID", "for this one alone", &wish.server),
        XN_OPTION("note", 0, "TEXT", "what it is for; stays here", &wish.note),
    };
    Xn__IssueOrder probe = XN__ISSUE_ORDER__INIT;
    char currency[MONEY_CURRENCY_SIZE];
    int words, code;
    xn_id server;

    code = xeno_options(xeno, own, sizeof own / sizeof own[0], argc, argv, 1, 1,
                        &words);
    if (code >= 0) return code;
    wish.amount = argv[words];
    /* What is wrong with the command is said before anybody is asked. */
    code = parse_money(&wish, &probe, currency);
    if (!code) code = parse_times(&wish, &probe);
    if (!code) code = parse_rest(&wish, &probe, &server);
    return code ? code : order_as_wished(xeno, &wish);
}

/* ---- void ---- */

static int show_void(const struct xeno *xeno, const Xn__OrderStatus *status,
                     const char *hex)
{
    char amount[MONEY_TEXT_MAX];

    if (xeno->json) {
        return xeno_print_json(json_pack(
            "{s:s, s:s, s:s, s:o, s:s}", "schema", "xeno.order/1", "serial",
            hex, "state", xeno_fate_name(status->fate), "amount",
            xeno_json_money(status->amount), "currency", status->currency));
    }
    xeno_say("order", "%.*s", XENO_SERIAL_SHORT, hex);
    xeno_say("state", "%s", xeno_fate_name(status->fate));
    xeno_say("back", "%s, in your account again",
             money_text(status->amount, status->currency, amount));
    return XN_EXIT_OK;
}

int xeno_order_take_back(const struct xeno *xeno,
                         const struct xeno_member *member, const xn_id *serial,
                         struct xeno_why *why, Xn__OrderStatus **status_out)
{
    Xn__VoidOrder body = XN__VOID_ORDER__INIT;
    const struct xeno_question question = {
        .what = "cannot make the order void",
        .method = "POST",
        .path = "/v1/void",
        .body = &body,
        .answer = &xn__order_status__descriptor,
        .changes = true,
        .why = why,
    };

    body.serial = xn_id_bytes(serial);
    return xeno_ask(xeno, member, &question, status_out);
}

int xeno_order_void(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_member member;
    struct xeno_order order;
    Xn__OrderStatus *status = NULL;
    char hex[XN_ID_HEX];
    int words, rc, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_order_find(xeno, argv[words], &member, &order);
    if (code) return code;
    xn_id_hex(&order.order.serial, hex);
    rc =
        xeno_order_take_back(xeno, &member, &order.order.serial, NULL, &status);
    code = rc ? xn_exit_code(rc) : show_void(xeno, status, hex);
    if (status) xn__order_status__free_unpacked(status, NULL);
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}
