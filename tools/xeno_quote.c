/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno quote: what a server asks for what is wanted, signed by it.  The quote
 * goes into a file, for `xeno order narrow --quote` and `xeno session new`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/utc.h"
#include "net/client.h"
#include "net/clock.h"
#include "tools/xeno_server.h"

#define REQUIREMENTS_MAX (16 * 1024)

static const char cannot[] = "cannot have a quote";

int xeno_server_as(const char *text, const struct xeno_member *member,
                   struct xeno_member *server_out)
{
    struct net_corp server;

    if (net_corp_parse(text, &server) || !server.pinned) {
        return xeno_usage("'%.80s' is no server: https://HOST:PORT#ID, its "
                          "Endpoint and id of xenofind -o json",
                          text);
    }
    *server_out = *member;
    server_out->corp = server;
    return XN_EXIT_OK;
}

/* Which XenoCorp certified it: that one's clients it sells to. */
static int corp_of(const struct xeno *xeno, const struct xeno_member *server,
                   xn_id *corp_out)
{
    struct net_reply reply = {.status = 0};
    char url[300], why[300] = "";
    int rc;

    snprintf(url, sizeof url, "%s/v1/status", server->corp.url);
    rc = net_request(&server->identity, "GET", url, NULL, 0, &server->corp.id,
                     xeno->timeout_ms, &reply, why, sizeof why);
    *corp_out = reply.server.corp;
    net_reply_clear(&reply);
    if (!rc) return XN_EXIT_OK;
    return xeno_gripe(rc, "cannot ask the server", why, "another server");
}

int xeno_server(const struct xeno *xeno, const char *text,
                struct xeno_member *server_out)
{
    struct xeno_member any, member, server;
    xn_id corp;
    int code = xeno_member(xeno, NULL, &any);

    if (code) return code;
    code = xeno_server_as(text, &any, &server);
    if (!code) code = corp_of(xeno, &server, &corp);
    if (!code) code = xeno_member(xeno, &corp, &member);
    if (!code) (void)xeno_server_as(text, &member, server_out);
    xeno_member_clear(&any);
    return code;
}

int xeno_file(const char *path, size_t max, struct xn_buf *out,
              const char *what)
{
    xn_buf_init(out, max);
    errno = 0;
    if (!xn_file_read(path, out)) return XN_EXIT_OK;
    xn_buf_clear(out);
    return xeno_gripef(XN_EINVAL, what, "another file", "%s: %s", path,
                       errno ? strerror(errno) : "too large");
}

/* ---- showing it ---- */

static json_t *decimal(xn_dec d)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(d, text);
    return json_string(text);
}

static json_t *json_rates(const struct money_rates *rates)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "CPUsmps", decimal(rates->cpu_smps),
        "MemoryMB", decimal(rates->memory_mb), "DiskGB",
        decimal(rates->disk_gb), "NetMbps", decimal(rates->net_mbps),
        "IPv4Addresses", decimal(rates->ipv4_addresses));
}

static json_t *json_prices(const struct price_list *prices)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "SetUp", decimal(prices->setup),
        "PricePerHour", decimal(prices->per_hour), "CPUSecond",
        decimal(prices->cpu_second), "MemoryMBHour",
        decimal(prices->memory_mb_hour), "NetGB", decimal(prices->net_gb),
        "DiskGBHour", decimal(prices->disk_gb_hour));
}

static void say(const char *name, xn_dec d, const char *unit)
{
    char text[XN_DEC_TEXT_MAX];

    if (!d.v) return;
    xn_dec_format(d, text);
    xeno_say(name, "%s %s", text, unit);
}

static const char *metering(const struct money_quote *q)
{
    return q->metering == MONEY_RESERVED ? "reserved" : "used";
}

static int show(const struct xeno *xeno, const struct money_quote *q,
                const Xn__Quoted *quoted)
{
    char hex[XN_ID_HEX], until[XN_UTC_TEXT_MAX];

    if (xeno->json) {
        return xeno_print_json(json_pack(
            "{s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:s, s:{s:s, "
            "s:s}}",
            "schema", "xeno.quote/1", "quote", xeno_json_id(&q->head.hash),
            "server", xeno_json_id(&q->head.by), "until",
            xeno_json_time(q->until_us), "type", q->env_type, "virtualisation",
            q->virtualisation, "rates", json_rates(&q->rates), "cpu_metering",
            metering(q), "currency", q->currency, "prices",
            json_prices(&q->prices), "manager", quoted->manager, "free",
            "CPUsmps", quoted->free ? quoted->free->cpu_smps : "", "MemoryMB",
            quoted->free ? quoted->free->memory_mb : ""));
    }
    xn_id_hex(&q->head.hash, hex);
    xn_utc_format(q->until_us, until);
    xeno_say("quote", "%s", hex);
    xeno_say("until", "%s", until);
    xeno_say("type", "%s%s%s", q->env_type, *q->virtualisation ? ", " : "",
             q->virtualisation);
    say("CPU", q->rates.cpu_smps, "ms/s");
    say("memory", q->rates.memory_mb, "MB");
    say("disk", q->rates.disk_gb, "GB");
    say("network", q->rates.net_mbps, "Mbit/s");
    xeno_say("CPU time", "as %s", metering(q));
    say("set-up", q->prices.setup, q->currency);
    say("an hour", q->prices.per_hour, q->currency);
    say("CPU second", q->prices.cpu_second, q->currency);
    say("MB hour", q->prices.memory_mb_hour, q->currency);
    say("network GB", q->prices.net_gb, q->currency);
    say("disk GB hour", q->prices.disk_gb_hour, q->currency);
    return XN_EXIT_OK;
}

/* ---- asking for it ---- */

static int bad(struct xeno_why *why, int rc, const char *reason,
               const char *because, const char *try)
{
    why->rc = rc;
    snprintf(why->reason, sizeof why->reason, "%s", reason);
    snprintf(why->because, sizeof why->because, "%s", because);
    snprintf(why->try, sizeof why->try, "%s", try ? try : "");
    return rc;
}

int xeno_quote_take(const struct xeno_member *server, const Xn__Quoted *quoted,
                    struct xeno_quoted *out, struct xeno_why *why)
{
    struct money_refusal refusal;
    struct money doc;

    memset(out, 0, sizeof *out);
    if (money_open(MONEY_QUOTE, quoted->quote.data, quoted->quote.len,
                   server->identity.anchors, net_wall_us(), &doc, &refusal)) {
        return bad(why, reason_rc(refusal.reason), reason_name(refusal.reason),
                   refusal.text, reason_try(refusal.reason));
    }
    if (!xn_id_eq(&doc.head.by, &server->corp.id)) {
        return bad(why, XN_EIDENT, "", "it is another server's quote",
                   "report it");
    }
    out->paper.data = malloc(quoted->quote.len + 1);
    if (!out->paper.data)
        return bad(why, XN_ENOMEM, "", xn_strerror(XN_ENOMEM), NULL);
    memcpy(out->paper.data, quoted->quote.data, quoted->quote.len);
    out->paper.len = quoted->quote.len;
    out->quote = doc.quote;
    snprintf(out->manager, sizeof out->manager, "%s", quoted->manager);
    return 0;
}

static int take(const struct xeno *xeno, const struct xeno_member *server,
                const Xn__Quoted *quoted, const char *path)
{
    struct xeno_quoted got;
    struct xeno_why why;
    int code = XN_EXIT_OK;

    if (xeno_quote_take(server, quoted, &got, &why))
        return xeno_tell(&why, cannot);
    if (path)
        code = xeno_save(path, quoted->quote.data, quoted->quote.len, false,
                         "cannot keep the quote");
    if (!code) code = show(xeno, &got.quote, quoted);
    free(got.paper.data);
    return code;
}

/* Whose orders it takes, and what comes next. */
static void say_next(const struct xeno_member *server, const char *path)
{
    const struct net_identity *us = &server->identity;
    const struct xn_cert *corp = xn_anchors_find(us->anchors, &us->cert.corp);

    xeno_say("XenoCorp", "%s", corp ? corp->label : "");
    if (path) {
        xeno_say("next", "xeno order narrow ORDER --quote %s", path);
    } else {
        xeno_say("next", "the same with --save FILE");
    }
}

int xeno_quote(struct xeno *xeno, int argc, char **argv)
{
    const char *path = NULL;
    const struct xn_option own[] = {
        XN_OPTION("save", 0, "FILE", "keep the quote as signed", &path),
    };
    Xn__AskQuote body = XN__ASK_QUOTE__INIT;
    struct xeno_question question = {.what = cannot,
                                     .method = "POST",
                                     .path = "/v1/quote",
                                     .body = &body,
                                     .answer = &xn__quoted__descriptor};
    struct xeno_member server;
    Xn__Quoted *quoted = NULL;
    struct xn_buf wants;
    int words, code;

    code = xeno_options(xeno, own, 1, argc, argv, 1, 2, &words);
    if (code >= 0) return code;
    xn_buf_init(&wants, 0);
    code = XN_EXIT_OK;
    if (words + 1 < argc)
        code = xeno_file(argv[words + 1], REQUIREMENTS_MAX, &wants, cannot);
    if (!code) code = xeno_server(xeno, argv[words], &server);
    if (!code) {
        body.requirements = (ProtobufCBinaryData){wants.len, wants.data};
        code = xn_exit_code(xeno_ask(xeno, &server, &question, &quoted));
        if (!code) code = take(xeno, &server, quoted, path);
        if (!code && !xeno->json) say_next(&server, path);
        if (quoted) xn__quoted__free_unpacked(quoted, NULL);
        xeno_member_clear(&server);
    }
    xn_buf_clear(&wants);
    return code;
}
