/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a quote to a session that runs the task, or to the next server.
 *
 * An order that was brought to a server that refused is taken back before
 * another is issued.  Where no answer came, taking it back also finds out what
 * became of it: a void order was never accepted, and one that was accepted
 * cannot be made void. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno_run.h"
#include "wire/msg.h"
#include "wire/nest.h"

enum { PAUSE_MS = 500, SERVERS_MAX = 6 };
#define SLACK_US (60 * 1000000ULL) /* the order outlives the task */
#define LEAST_MICRO 10000

const struct xeno_member *run_member(const struct run *run, const xn_id *corp)
{
    for (size_t i = 0; i < run->n_members; i++) {
        if (xn_id_eq(&run->members[i].corp.id, corp)) return &run->members[i];
    }
    return NULL;
}

static int set_bytes(ProtobufCBinaryData *field, const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy) return xeno_no_memory();
    memcpy(copy, data, len);
    free(field->data);
    *field = (ProtobufCBinaryData){len, copy};
    return XN_EXIT_OK;
}

static int set_text(char **field, const char *text)
{
    char *copy = strdup(text);

    if (!copy) return xeno_no_memory();
    if (*field != protobuf_c_empty_string) free(*field);
    *field = copy;
    return XN_EXIT_OK;
}

/* ---- the order ---- */

static int64_t amount_for(const struct run *run, const struct run_candidate *c)
{
    int64_t amount;

    if (run_cost(&c->quoted.quote, run->wish.life_us + SLACK_US, &amount) ||
        amount > run->wish.max_micro)
        return run->wish.max_micro;
    if (amount < LEAST_MICRO && run->wish.max_micro >= LEAST_MICRO)
        return LEAST_MICRO;
    return amount ? amount : run->wish.max_micro;
}

/* On the disk before the XenoCorp hears of it. */
static int keep_ask(struct run *run, const struct run_candidate *c,
                    Xn__IssueOrder *ask)
{
    char doing[XENO_DOING_MAX];
    uint8_t *bytes = NULL;
    size_t len = 0;
    Xn__RunRecord *r;
    int code = XN_EXIT_OK;

    run_record_drop(run);
    r = run->record = malloc(sizeof *r);
    if (!r) return xeno_no_memory();
    xn__run_record__init(r);
    r->since_us = net_wall_us();
    r->until_us = ask->until_us;
    xeno_work_text(run->work, doing, sizeof doing);
    if (xn_pack(ask, &bytes, &len)) code = xeno_no_memory();
    if (!code) code = set_text(&r->doing, doing);
    if (!code) code = set_text(&r->server, c->url);
    if (!code) code = set_text(&r->name, c->server_name);
    if (!code) code = set_bytes(&r->corp, c->corp.b, XN_ID_SIZE);
    if (!code) code = set_bytes(&r->ask, bytes, len);
    free(bytes);
    return code ? code : run_record_put(run);
}

static int issue(struct run *run, const struct xeno_member *member,
                 const struct run_candidate *c, struct xeno_order *order)
{
    Xn__IssueOrder ask = XN__ISSUE_ORDER__INIT;
    uint8_t word[XN_ID_SIZE];
    char note[XENO_NOTE_MAX];
    int rc, code;

    if (RAND_bytes(word, sizeof word) != 1) return xeno_no_memory();
    ask.request = (ProtobufCBinaryData){sizeof word, word};
    ask.currency = run->wish.currency;
    ask.amount = amount_for(run, c);
    ask.until_us = net_wall_us() + run->wish.life_us + SLACK_US;
    ask.until_us -= ask.until_us % 1000000;
    code = keep_ask(run, c, &ask);
    if (code) return code;
    xeno_work_text(run->work, note, sizeof note);
    code = xeno_order_issue(run->xeno, member, &ask, note, &rc, &order->order);
    if (code && rc && xeno_order_settled(false, rc)) run_record_drop(run);
    if (code) return code;
    run->serial = order->order.serial;
    if (xeno_order_read(run->xeno, &run->serial, "order", &order->order_paper))
        return xeno_no_memory();
    xeno_order_note(run->xeno, &run->serial, order->note);
    code = set_bytes(&run->record->serial, run->serial.b, XN_ID_SIZE);
    return code ? code : run_record_put(run);
}

/* What the order is found to be: 0: taken back; XN_EMONEY: somebody accepted
 * it. */
static int take_back(struct run *run, const struct xeno_member *member)
{
    Xn__OrderStatus *status = NULL;
    struct xeno_why why;
    int rc =
        xeno_order_take_back(run->xeno, member, &run->serial, &why, &status);

    if (status) xn__order_status__free_unpacked(status, NULL);
    if (!rc) run_record_drop(run);
    return rc;
}

/* ---- the session ---- */

static int keep_create(struct run *run, const struct run_candidate *c,
                       const struct xeno_order *order)
{
    struct xeno_paper wants = {run->requirements.data, run->requirements.len};
    struct xeno_session_body body;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int code = XN_EXIT_OK;

    xeno_session_body(order, &c->quoted.paper, &wants, &body);
    body.body.task = &run->deed->task;
    if (xn_pack(&body.body, &bytes, &len)) code = xeno_no_memory();
    if (!code) code = set_bytes(&run->record->create, bytes, len);
    free(bytes);
    return code ? code : run_record_put(run);
}

/* Kept by its id; the record stays until its end has been seen. */
static int take_session(struct run *run, const Xn__HostSession *session)
{
    struct xeno_kept kept = {.since_us = net_wall_us()};
    int code;

    if (xn_id_from_bytes(&session->session, &run->session)) {
        return xeno_gripe(XN_EPROTO, run_cannot, "the session has no name",
                          "report it");
    }
    kept.session = run->session;
    kept.serial = run->serial;
    kept.corp = run->server.identity.cert.corp;
    snprintf(kept.server, sizeof kept.server, "%s", run->record->server);
    snprintf(kept.name, sizeof kept.name, "%s", run->record->name);
    snprintf(kept.doing, sizeof kept.doing, "%s", run->record->doing);
    code = xeno_kept_put(run->xeno, &kept);
    if (!code)
        code = set_bytes(&run->record->session, run->session.b, XN_ID_SIZE);
    return code ? code : run_record_put(run);
}

static bool is_unknown(int rc)
{
    return rc == XN_EUNKNOWN || rc == XN_ETIMEOUT;
}

/* The kept request, again where no answer comes.  0 or a code of lib/err.h,
 * which stands in run->why; *exit_out: what happened here. */
static int post(struct run *run, int *exit_out)
{
    Xn__CreateSession *body =
        xn_unpack(&xn__create_session__descriptor, run->record->create.data,
                  run->record->create.len);
    Xn__HostSession *session = NULL;
    int rc = XN_EUNKNOWN;

    *exit_out = XN_EXIT_OK;
    if (!body) {
        *exit_out = xeno_gripe(XN_EINTEGRITY, run_cannot,
                               "what was kept of it is damaged", "--new");
        return XN_EINTEGRITY;
    }
    for (int i = 0; i < XENO_BEGIN_TRIES(&run->deed->task) && is_unknown(rc);
         i++) {
        if (i)
            xeno_signals_pause(run->xeno->signals, run->server.talk, PAUSE_MS);
        rc = xeno_session_post(run->xeno, &run->server, body, &run->why,
                               &session);
    }
    if (!rc) *exit_out = take_session(run, session);
    if (session) xn__host_session__free_unpacked(session, NULL);
    xn__create_session__free_unpacked(body, NULL);
    return rc;
}

static int stopped(const struct run *run)
{
    return xeno_gripe(XN_ECANCELLED, run_cannot,
                      "a signal came before it began; what was ordered for it "
                      "is taken back",
                      "the same again");
}

static int unknown(const struct run *run)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&run->serial, hex);
    if (xeno_signals_heard(run->xeno->signals)) {
        return xeno_gripef(XN_EUNKNOWN, run_cannot,
                           "the same again, which is paid once; xeno order "
                           "void",
                           "%s: a signal came before anybody said whether the "
                           "session began; order %.*s may pay for it",
                           run->name, XENO_SERIAL_SHORT, hex);
    }
    return xeno_gripef(XN_EUNKNOWN, run_cannot,
                       "the same again: it is paid once",
                       "%s: neither the server nor the XenoCorp says whether "
                       "the session began: %s",
                       run->name, run->why.because);
}

/* Would the same request be answered so at any time?  Not where nobody answered,
 * or another one did, or the server lacked something just then. */
static bool is_final(int rc)
{
    switch (rc) {
    case XN_EUNKNOWN:
    case XN_ETIMEOUT:
    case XN_EUNREACH:
    case XN_ECANCELLED:
    case XN_EBUSY:
    case XN_ENOTYET:
    case XN_EIDENT:
    case XN_EPROTO:
    case XN_EIO:
    case XN_ENOSPC:
    case XN_ENOMEM: return false;
    default: return true;
    }
}

/* Accepted, and yet nothing will run: to ask again would not tell more. */
static int bound(struct run *run, int rc)
{
    char hex[XN_ID_HEX], try[100];

    xn_id_hex(&run->serial, hex);
    snprintf(try, sizeof try, "xeno bill %.*s; the same again buys anew",
             XENO_SERIAL_SHORT, hex);
    run_record_drop(run);
    return xeno_gripef(rc, run_cannot, try,
                       "%s: order %.*s is bound to a session that this server "
                       "will not run: %s",
                       run->name, XENO_SERIAL_SHORT, hex, run->why.because);
}

/* After a post that failed: -1: the order is taken back, go on; else the exit
 * code to end with, OK: it began after all. */
static int undo(struct run *run, const struct xeno_member *member)
{
    int code, rc = take_back(run, member);

    if (!rc) return -1;
    if (rc == XN_EMONEY) { /* accepted: so it is there */
        rc = post(run, &code);
        if (!rc || code) return code;
        if (is_final(rc)) return bound(run, rc);
    }
    return unknown(run);
}

/* -1: not there, go on with the next. */
static int try_one(struct run *run, struct run_candidate *c)
{
    const struct xeno_member *member = run_member(run, &c->corp);
    struct xeno_order *order = calloc(1, sizeof *order);
    int rc = 0, code = order ? XN_EXIT_OK : xeno_no_memory();

    snprintf(run->name, sizeof run->name, "%s", c->name);
    snprintf(run->by, sizeof run->by, "%s", c->name);
    run->cost = c->cost;
    if (!code) code = issue(run, member, c, order);
    if (!code && xeno_signals_heard(run->xeno->signals)) rc = XN_ECANCELLED;
    if (!code && !rc)
        code = xeno_order_close(run->xeno, member, order, &c->quoted.quote);
    if (!code && !rc) code = keep_create(run, c, order);
    if (!code && !rc) code = xeno_server_as(c->url, member, &run->server);
    if (!code && !rc) rc = post(run, &code);
    if (rc && !code) {
        run->refused++;
        code = undo(run, member);
    }
    if (order) xeno_order_clear(order);
    free(order);
    return code;
}

static int nobody(const struct run *run)
{
    char because[420];

    snprintf(because, sizeof because, "%s: %s", run->by, run->why.because);
    if (run->refused > 1) {
        size_t at = strlen(because);

        snprintf(because + at, sizeof because - at,
                 run->why.rc == XN_EFUNDS && run->least
                     ? " (the least of %zu that were asked)"
                     : " (the last of %zu that were asked)",
                 run->refused);
    }
    return xeno_gripe_reason(run->why.rc, run->why.reason, run_cannot, because,
                             run->why.try);
}

int run_buy(struct run *run)
{
    struct run_candidate *c;
    int code = -1;

    for (int i = 0; i < SERVERS_MAX && code < 0; i++) {
        c = run_cheapest(run);
        if (!c) break;
        /* From here on there is money under way: ctrl-C wants a word on what is
         * left behind, and a moment in which the task can be stopped. */
        xeno_signals_hold(&run->signals);
        code = try_one(run, c);
        run_candidate_clear(c);
        if (code < 0 && xeno_signals_heard(run->xeno->signals))
            return stopped(run);
    }
    return code < 0 ? nobody(run) : code;
}

/* ---- going on ---- */

/* The order that was asked for, by the same bytes. */
static int ask_again(struct run *run, const struct xeno_member *member)
{
    Xn__IssueOrder *ask =
        xn_unpack(&xn__issue_order__descriptor, run->record->ask.data,
                  run->record->ask.len);
    struct money_order order;
    int rc, code;

    if (!ask) return -1;
    code = xeno_order_issue(run->xeno, member, ask, NULL, &rc, &order);
    if (!code) run->serial = order.serial;
    xn__issue_order__free_unpacked(ask, NULL);
    return code;
}

static int go_on(struct run *run, const struct xeno_member *member)
{
    Xn__RunRecord *r = run->record;
    int code = -1, rc;

    if (xn_id_from_bytes(&r->serial, &run->serial)) {
        code = ask_again(run, member);
        if (code) return code;
    }
    if (r->create.len) {
        rc = post(run, &code);
        if (!rc || code > 0) return code;
    }
    return undo(run, member);
}

int run_again(struct run *run)
{
    const struct xeno_member *member = NULL;
    Xn__RunRecord *r = run->record;
    char url[XENO_URL_MAX];
    xn_id corp;
    int code;

    if (!xn_id_from_bytes(&r->corp, &corp)) member = run_member(run, &corp);
    if (!member || xeno_server_as(r->server, member, &run->server)) {
        return xeno_gripef(XN_EIDENT, run_cannot, "--new, or that XENO_CORP",
                           "it was begun with another XenoCorp");
    }
    /* Who has no name that was kept is called by the id. */
    xn_id_name(&run->server.corp.id, NULL, run->name);
    if (r->name[0]) snprintf(run->name, sizeof run->name, "%s", r->name);
    snprintf(url, sizeof url, "%s", r->server);
    if (xeno_seek(run->xeno, &run->server, url)) {
        code = set_text(&r->server, url);
        if (!code) code = run_record_put(run);
        if (code) return code;
    }
    xeno_signals_hold(&run->signals);
    fprintf(stderr, XENO_PROGRAM ": going on with what was begun before\n");
    if (!xn_id_from_bytes(&r->session, &run->session) &&
        !xn_id_from_bytes(&r->serial, &run->serial))
        return XN_EXIT_OK;
    code = go_on(run, member);
    if (code < 0 && xeno_signals_heard(run->xeno->signals)) return stopped(run);
    return code;
}
