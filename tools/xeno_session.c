/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session: orders brought to a server, and what became of them.
 *
 * A request's name follows from order and quote: the same command again is the
 * same request, and so the same session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "tools/xeno_server.h"

#define PAPER_MAX 8192
#define REQUIREMENTS_MAX (16 * 1024)

/* ---- showing them ---- */

static const char *state_name(Xn__SessionState state)
{
    switch (state) {
    case XN__SESSION_STATE__SESSION_CLAIMED: return "asking";
    case XN__SESSION_STATE__SESSION_UNSETTLED: return "unsettled";
    case XN__SESSION_STATE__SESSION_RUNNING: return "running";
    case XN__SESSION_STATE__SESSION_PAUSED: return "paused";
    case XN__SESSION_STATE__SESSION_ENDING: return "ending";
    case XN__SESSION_STATE__SESSION_ENDED: return "ended";
    case XN__SESSION_STATE__SESSION_REFUSED: return "refused";
    default: return "?";
    }
}

static json_t *json_of(const Xn__HostSession *s)
{
    xn_id id = {{0}}, serial = {{0}};

    (void)xn_id_from_bytes(&s->session, &id);
    (void)xn_id_from_bytes(&s->serial, &serial);
    return json_pack(
        "{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s, s:s, "
        "s:s, s:s}",
        "session", xeno_json_id(&id), "state", state_name(s->state), "order",
        xeno_json_id(&serial), "currency", s->currency, "amount",
        xeno_json_money(s->amount), "charged", xeno_json_money(s->charged),
        "claimed", xeno_json_money(s->claimed), "claims",
        (json_int_t)s->sequence, "since", xeno_json_time(s->since_us), "until",
        xeno_json_time(s->until_us), "till", xeno_json_time(s->till_us), "type",
        s->env_type, "manager", s->manager, "reason", s->reason, "trouble",
        s->trouble);
}

static int show(const struct xeno *xeno, const Xn__HostSession *s)
{
    char hex[XN_ID_HEX], text[MONEY_TEXT_MAX];
    xn_id id = {{0}};

    if (xeno->json) {
        json_t *top = json_of(s);

        if (top) {
            json_object_set_new(top, "schema", json_string("xeno.session/1"));
        }
        return xeno_print_json(top);
    }
    (void)xn_id_from_bytes(&s->session, &id);
    xn_id_hex(&id, hex);
    xeno_say("session", "%s", hex);
    xeno_say("state", "%s", state_name(s->state));
    if (s->reason[0]) xeno_say("because", "%s", s->reason);
    if (s->amount) {
        xeno_say("order", "%s", money_text(s->amount, s->currency, text));
    }
    xeno_say("charged", "%s", money_text(s->charged, s->currency, text));
    xeno_say("runs in", "%s", s->manager);
    if (s->warned) xeno_say("left", "less than %u %%", s->warned);
    if (s->trouble[0]) xeno_say("trouble", "%s", s->trouble);
    return XN_EXIT_OK;
}

static int show_list(const struct xeno *xeno, const Xn__Sessions *list)
{
    static const char *const headings[] = {"SESSION", "STATE", "CHARGED", "OF",
                                           "BECAUSE"};
    json_t *rows = json_array();
    struct xeno_table *table = NULL;

    if (!xeno->json) table = xeno_table_new(headings, 5, 1 << 2 | 1 << 3);
    for (size_t i = 0; i < list->n_sessions; i++) {
        const Xn__HostSession *s = list->sessions[i];
        char hex[XN_ID_HEX] = "", of[MONEY_TEXT_MAX], charged[MONEY_TEXT_MAX];
        const char *row[] = {hex, state_name(s->state), charged, of, s->reason};
        xn_id id = {{0}};

        json_array_append_new(rows, json_of(s));
        (void)xn_id_from_bytes(&s->session, &id);
        xn_id_hex(&id, hex);
        money_text(s->charged, s->currency, charged);
        money_text(s->amount, s->currency, of);
        if (table) xeno_table_row(table, row);
    }
    if (!xeno->json) {
        json_decref(rows);
        return table ? xeno_table_print(table) : xn_exit_code(XN_ENOMEM);
    }
    return xeno_print_json(
        json_pack("{s:s, s:o}", "schema", "xeno.sessions/1", "sessions", rows));
}

/* A question whose answer is one session; shown. */
static int ask_one(const struct xeno *xeno, const struct xeno_member *server,
                   const struct xeno_question *question)
{
    Xn__HostSession *session = NULL;
    int code = xn_exit_code(xeno_ask(xeno, server, question, &session));

    if (!code) code = show(xeno, session);
    if (session) xn__host_session__free_unpacked(session, NULL);
    return code;
}

/* ---- new ---- */

static const char cannot_create[] = "cannot create the session";

static int create(const struct xeno *xeno, const struct xeno_member *server,
                  const struct xeno_order *order, const struct xn_buf *quote,
                  const struct xn_buf *wants)
{
    ProtobufCBinaryData papers[ORDER_NARROWINGS_MAX];
    Xn__CreateSession body = XN__CREATE_SESSION__INIT;
    struct xeno_question question = {.what = cannot_create,
                                     .method = "POST",
                                     .path = "/v1/sessions",
                                     .body = &body,
                                     .answer = &xn__host_session__descriptor,
                                     .changes = true};
    xn_id request;

    xn_id_hash2(order->order.serial.b, XN_ID_SIZE, quote->data, quote->len,
                &request);
    for (size_t i = 0; i < order->n; i++) {
        papers[i] =
            (ProtobufCBinaryData){order->papers[i].len, order->papers[i].data};
    }
    body.request = xn_id_bytes(&request);
    body.order =
        (ProtobufCBinaryData){order->order_paper.len, order->order_paper.data};
    body.narrowings = papers;
    body.n_narrowings = order->n;
    body.quote = (ProtobufCBinaryData){quote->len, quote->data};
    body.requirements = (ProtobufCBinaryData){wants->len, wants->data};
    return ask_one(xeno, server, &question);
}

int xeno_session_new(struct xeno *xeno, int argc, char **argv)
{
    const char *quote_path = NULL, *wants_path = NULL;
    const struct xn_option own[] = {
        XN_OPTION("quote", 0, "FILE", "as xeno quote --save kept it",
                  &quote_path),
        XN_OPTION("requirements", 0, "FILE", "XML that the quote must meet",
                  &wants_path),
    };
    struct xeno_member member, server;
    struct xeno_order order;
    struct xn_buf quote, wants;
    int words, code;

    code = xeno_options(xeno, own, 2, argc, argv, 2, 2, &words);
    if (code >= 0) return code;
    if (!quote_path) return xeno_usage("--quote FILE is missing");
    xn_buf_init(&wants, 0);
    code = xeno_file(quote_path, PAPER_MAX, &quote, cannot_create);
    if (code) return code;
    if (wants_path)
        code = xeno_file(wants_path, REQUIREMENTS_MAX, &wants, cannot_create);
    if (!code) code = xeno_order_find(xeno, argv[words + 1], &member, &order);
    if (!code) {
        code = xeno_server_as(argv[words], &member, &server);
        if (!code) code = create(xeno, &server, &order, &quote, &wants);
        xeno_order_clear(&order);
        xeno_member_clear(&member);
    }
    xn_buf_clear(&quote);
    xn_buf_clear(&wants);
    return code;
}

/* ---- list, show ---- */

static const char cannot_tell[] = "cannot tell the sessions";

int xeno_session_list(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_question question = {.what = cannot_tell,
                                     .method = "GET",
                                     .path = "/v1/sessions",
                                     .answer = &xn__sessions__descriptor};
    struct xeno_member server;
    Xn__Sessions *list = NULL;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_server(xeno, argv[words], &server);
    if (code) return code;
    code = xn_exit_code(xeno_ask(xeno, &server, &question, &list));
    if (!code) code = show_list(xeno, list);
    if (list) xn__sessions__free_unpacked(list, NULL);
    xeno_member_clear(&server);
    return code;
}

static int take_session(const char *text, xn_id *out)
{
    if (!xn_id_unhex(text, strlen(text), out)) return XN_EXIT_OK;
    return xeno_usage("'%.80s' is no session: 64 digits 0-9a-f", text);
}

int xeno_session_show(struct xeno *xeno, int argc, char **argv)
{
    char path[40 + XN_ID_HEX], hex[XN_ID_HEX];
    struct xeno_question question = {.what = cannot_tell,
                                     .method = "GET",
                                     .path = path,
                                     .answer = &xn__host_session__descriptor};
    struct xeno_member server;
    xn_id id;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 2, 2, &words);
    if (code >= 0) return code;
    code = take_session(argv[words + 1], &id);
    if (!code) code = xeno_server(xeno, argv[words], &server);
    if (code) return code;
    xn_id_hex(&id, hex);
    snprintf(path, sizeof path, "/v1/sessions?session=%s", hex);
    code = ask_one(xeno, &server, &question);
    xeno_member_clear(&server);
    return code;
}

/* ---- stop ---- */

static const char cannot_stop[] = "cannot stop the session";

/* The XenoCorp hears it as well: from then on it pays nothing, whatever the
 * server does. */
static int tell_corp(const struct xeno *xeno, const struct xeno_member *member,
                     const struct xeno_order *order,
                     const ProtobufCBinaryData *stop)
{
    Xn__StopOrder body = XN__STOP_ORDER__INIT;
    struct xeno_question question = {.what = cannot_stop,
                                     .method = "POST",
                                     .path = "/v1/stop",
                                     .body = &body,
                                     .answer = &xn__charged__descriptor,
                                     .changes = true};
    Xn__Charged *charged = NULL;
    int rc;

    body.serial = xn_id_bytes(&order->order.serial);
    body.stop = *stop;
    rc = xeno_ask(xeno, member, &question, &charged);
    if (charged) xn__charged__free_unpacked(charged, NULL);
    return xn_exit_code(rc);
}

static int tell_server(const struct xeno *xeno,
                       const struct xeno_member *server, const xn_id *session,
                       const ProtobufCBinaryData *stop)
{
    Xn__StopSession body = XN__STOP_SESSION__INIT;
    struct xeno_question question = {.what = cannot_stop,
                                     .method = "POST",
                                     .path = "/v1/sessions/stop",
                                     .body = &body,
                                     .answer = &xn__host_session__descriptor,
                                     .changes = true};

    body.session = xn_id_bytes(session);
    body.stop = *stop;
    return ask_one(xeno, server, &question);
}

/* The XenoCorp first: from then on nothing is paid, whatever the server does.
 * What it says where all has ended long ago does not matter. */
static int stop(const struct xeno *xeno, const struct xeno_member *member,
                const struct xeno_member *server,
                const struct xeno_order *order, const xn_id *session)
{
    struct money doc = {.type = MONEY_STOP};
    ProtobufCBinaryData paper = {0, NULL};
    int code, at_corp;

    if (!order->n) {
        return xeno_gripe(XN_EMONEY, cannot_stop,
                          "the order was never narrowed to a server",
                          "xeno order void");
    }
    doc.head.issued_us = net_wall_us();
    doc.stop.narrowing = order->narrowings[order->n - 1].head.hash;
    if (money_seal(&doc, member->identity.key, member->identity.x509,
                   &paper.data, &paper.len)) {
        return xn_exit_code(XN_ENOMEM);
    }
    at_corp = tell_corp(xeno, member, order, &paper);
    code = tell_server(xeno, server, session, &paper);
    free(paper.data);
    if (at_corp == XN_EXIT_MONEY && !code) at_corp = XN_EXIT_OK;
    return at_corp ? at_corp : code;
}

int xeno_session_stop(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_member member, server;
    struct xeno_order order;
    int words, code;
    xn_id session;

    code = xeno_options(xeno, NULL, 0, argc, argv, 3, 3, &words);
    if (code >= 0) return code;
    code = take_session(argv[words + 1], &session);
    if (!code) code = xeno_order_find(xeno, argv[words + 2], &member, &order);
    if (code) return code;
    code = xeno_server_as(argv[words], &member, &server);
    if (!code) code = stop(xeno, &member, &server, &order, &session);
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}
