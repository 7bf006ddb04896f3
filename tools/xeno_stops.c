/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno stop of several sessions: the XenoCorps of some are told at once, then
 * their servers, whatever those said; a line for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_stop.h"

#define AT_ONCE 16

static const char cannot[] = "cannot stop the session";

struct stop {
    const char *text;
    struct xeno_kept kept;
    struct xeno_member member; /* at its XenoCorp */
    struct xeno_member server; /* nothing of it to clear */
    struct xeno_order order;
    struct xeno_paper paper; /* the stop, signed */
    bool has_order;
    Xn__StopOrder to_corp;
    Xn__StopSession to_server;
    struct xeno_question question;
    struct xeno_asking asking;
    struct xeno_why why; /* rc 0: nothing is wrong */
    struct xeno_why at_corp;
    int code; /* an exit code; then it goes no further */
    Xn__HostSession *session;
};

static bool goes_on(const struct stop *stop)
{
    return !stop->code;
}

/* ---- which one, and its paper ---- */

static void seal(struct stop *stop)
{
    stop->code =
        xeno_server_as(stop->kept.server, &stop->member, &stop->server);
    if (!stop->code)
        stop->code = xeno_stop_seal(&stop->member, &stop->order, &stop->paper);
}

static void prepare(const struct xeno *xeno, struct stop *stop)
{
    char hex[XN_ID_HEX];

    stop->code = xeno_kept_find(xeno, stop->text, &stop->kept, NULL);
    if (stop->code) return;
    xn_id_hex(&stop->kept.serial, hex);
    stop->code = xeno_order_find(xeno, hex, &stop->member, &stop->order);
    if (stop->code) return;
    stop->has_order = true;
    seal(stop);
}

static void clear(struct stop *stop)
{
    free(stop->paper.data);
    if (stop->session) xn__host_session__free_unpacked(stop->session, NULL);
    if (!stop->has_order) return;
    xeno_order_clear(&stop->order);
    xeno_member_clear(&stop->member);
}

/* ---- who is told ---- */

static void begin(const struct xeno *xeno, struct stop *stop,
                  const struct xeno_member *whom)
{
    stop->question.what = cannot;
    stop->question.method = "POST";
    stop->question.changes = stop->question.patient = true;
    stop->question.why = &stop->why;
    xeno_ask_begin(xeno, whom, &stop->question, &stop->asking);
}

static void begin_corp(const struct xeno *xeno, struct stop *stop)
{
    xn__stop_order__init(&stop->to_corp);
    stop->to_corp.serial = xn_id_bytes(&stop->order.order.serial);
    stop->to_corp.stop =
        (ProtobufCBinaryData){stop->paper.len, stop->paper.data};
    stop->question = (struct xeno_question){
        .path = "/v1/stop",
        .body = &stop->to_corp,
        .answer = &xn__charged__descriptor,
    };
    begin(xeno, stop, &stop->member);
}

static void begin_server(const struct xeno *xeno, struct stop *stop)
{
    xn__stop_session__init(&stop->to_server);
    stop->to_server.session = xn_id_bytes(&stop->kept.session);
    stop->to_server.stop =
        (ProtobufCBinaryData){stop->paper.len, stop->paper.data};
    stop->question = (struct xeno_question){
        .path = "/v1/sessions/stop",
        .body = &stop->to_server,
        .answer = &xn__host_session__descriptor,
    };
    begin(xeno, stop, &stop->server);
}

static void take_corp(struct stop *stop, int rc, void *answer)
{
    if (answer) xn__charged__free_unpacked(answer, NULL);
    stop->at_corp = stop->why;
    stop->at_corp.rc = rc;
    memset(&stop->why, 0, sizeof stop->why);
    /* Where all has ended long ago the server's word is enough. */
    if (xn_exit_code(rc) == XN_EXIT_MONEY) stop->at_corp.rc = 0;
}

static void take_server(struct stop *stop, int rc, void *answer)
{
    stop->session = answer;
    stop->code = xn_exit_code(rc);
}

/* All that go on are told, and then heard. */
static void tell(const struct xeno *xeno, struct stop *stops, size_t n,
                 void (*begins)(const struct xeno *xeno, struct stop *stop),
                 void (*takes)(struct stop *stop, int rc, void *answer))
{
    struct xeno_asking *askings[AT_ONCE];
    struct stop *asked[AT_ONCE];
    size_t n_asked = 0;

    for (size_t i = 0; i < n; i++) {
        if (!goes_on(&stops[i])) continue;
        begins(xeno, &stops[i]);
        askings[n_asked] = &stops[i].asking;
        asked[n_asked++] = &stops[i];
    }
    xeno_ask_await_all(xeno, askings, n_asked);
    for (size_t i = 0; i < n_asked; i++) {
        void *answer = NULL;
        int rc = xeno_ask_end(askings[i], &answer);

        takes(asked[i], rc, answer);
    }
}

/* One that answers no more where it was may have moved. */
static void tell_moved(const struct xeno *xeno, struct stop *stop)
{
    int rc = stop->why.rc;

    if (!stop->code || (rc != XN_EUNREACH && rc != XN_ETIMEOUT &&
                        rc != XN_EIDENT && rc != XN_EUNKNOWN))
        return;
    if (!stop->has_order || !xeno_seek(xeno, &stop->server, stop->kept.server))
        return;
    (void)xeno_kept_put(xeno, &stop->kept);
    stop->code = XN_EXIT_OK;
    memset(&stop->why, 0, sizeof stop->why);
    tell(xeno, stop, 1, begin_server, take_server);
}

/* One whose order is another by now is told that one's stop. */
static void tell_extended(const struct xeno *xeno, struct stop *stop)
{
    struct xeno_member member;
    struct xeno_order order;

    if (stop->why.rc != XN_EINTEGRITY || !stop->has_order ||
        !xeno_stop_follow(xeno, &stop->server, &stop->kept.session,
                          &stop->order.order.serial, &member, &order))
        return;
    clear(stop);
    stop->order = order;
    stop->member = member;
    stop->paper = (struct xeno_paper){NULL, 0};
    memset(&stop->why, 0, sizeof stop->why);
    seal(stop);
    tell(xeno, stop, 1, begin_corp, take_corp);
    tell(xeno, stop, 1, begin_server, take_server);
}

/* ---- what became of it ---- */

static int code_of(const struct stop *stop)
{
    return stop->code ? stop->code : xn_exit_code(stop->at_corp.rc);
}

static json_t *json_of(const struct stop *stop)
{
    json_t *top = stop->session ? xeno_session_json(stop->session)
                                : json_pack("{s:o, s:s}", "session",
                                            xeno_json_id(&stop->kept.session),
                                            "state", "unknown");
    const struct xeno_why *why = stop->code ? &stop->why : &stop->at_corp;

    if (top && why->rc)
        json_object_set_new(top, "because", json_string(why->because));
    if (top) json_object_set_new(top, "exit", json_integer(code_of(stop)));
    return top;
}

/* By all its orders; what a server says may be anything. */
static int64_t charged_by(const Xn__HostSession *session)
{
    int64_t all;

    return __builtin_add_overflow(session->charged, session->before, &all)
               ? INT64_MAX
               : all;
}

/* What was found out of it here was told already. */
static void say(const struct stop *stop)
{
    char hex[XN_ID_HEX], charged[MONEY_TEXT_MAX];

    if (!stop->has_order) return;
    xn_id_hex(&stop->kept.session, hex);
    if (stop->code) {
        printf("%.12s  not stopped: %s\n", hex,
               stop->why.rc ? stop->why.because : "see above");
    } else {
        money_text(charged_by(stop->session), stop->session->currency, charged);
        printf("%.12s  %s, charged %s", hex,
               xeno_session_state(stop->session->state), charged);
        if (stop->at_corp.rc)
            printf("; its XenoCorp was not told: %s", stop->at_corp.because);
        putchar('\n');
    }
    (void)fflush(stdout);
}

/* At most AT_ONCE of them; the worst of their exit codes. */
static int stop_some(const struct xeno *xeno, struct stop *stops, size_t n,
                     json_t *rows)
{
    int worst = XN_EXIT_OK;

    for (size_t i = 0; i < n; i++)
        prepare(xeno, &stops[i]);
    tell(xeno, stops, n, begin_corp, take_corp);
    tell(xeno, stops, n, begin_server, take_server);
    for (size_t i = 0; i < n; i++) {
        tell_moved(xeno, &stops[i]);
        tell_extended(xeno, &stops[i]);
        if (rows)
            json_array_append_new(rows, json_of(&stops[i]));
        else
            say(&stops[i]);
        if (code_of(&stops[i]) > worst) worst = code_of(&stops[i]);
        clear(&stops[i]);
    }
    return worst;
}

int xeno_stops(const struct xeno *xeno, size_t n, char **texts)
{
    struct stop *stops = calloc(AT_ONCE, sizeof *stops);
    json_t *rows = xeno->json ? json_array() : NULL;
    int worst = XN_EXIT_OK, code;

    if (!stops) return xeno_no_memory();
    while (n) {
        size_t some = n < AT_ONCE ? n : AT_ONCE;

        memset(stops, 0, AT_ONCE * sizeof *stops);
        for (size_t i = 0; i < some; i++)
            stops[i].text = texts[i];
        code = stop_some(xeno, stops, some, rows);
        if (code > worst) worst = code;
        texts += some;
        n -= some;
    }
    free(stops);
    if (!rows) return worst;
    code = xeno_print_json(
        json_pack("{s:s, s:o}", "schema", "xeno.sessions/1", "sessions", rows));
    return code > worst ? code : worst;
}
