/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The members of a cluster: whether they live, what they have, what ends on
 * them.  Each is asked over and over for its news; an answer is the sign of life.
 * What it says is bounded and judged here: it is another machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define WAIT_MS 2000                 /* of a member without news */
#define WATCH_US (4 * SECOND_US)     /* for its answer */
#define SILENT_US (4 * SECOND_US)    /* then it is not there */
#define AGAIN_US (SECOND_US / 2)     /* between questions without an answer */
#define GAP_US (SECOND_US / 50)      /* between others, at least */
#define ANEW_US SECOND_US            /* where all that it has is looked at */
#define DOCUMENT_US (10 * SECOND_US) /* between new documents, at least */
#define TELL_MS 10000                /* for what nobody waits for */
#define URL_MAX 300
#define AMOUNT_MAX 1000000000000LL /* of anything */
#define TEXT_MAX 1024              /* of what it tells */

/* ---- to ask one ---- */

static int call_of(const struct host_machine *m, const char *path,
                   const void *body, char url[URL_MAX], Xn__Call *call)
{
    xn__call__init(call);
    snprintf(url, URL_MAX, "%s%s", m->url, path);
    call->method = (char *)(uintptr_t) "POST";
    call->url = url;
    call->peer_id = xn_id_bytes(&m->id);
    return xn_pack(body, &call->body.data, &call->body.len);
}

uint64_t member_call(struct host_machine *m, const struct xn_now *now,
                     const char *path, const void *body, uint64_t patience_us,
                     Xn__CallLane lane, xn_ended *fn, void *ctx)
{
    struct host *host = m->host;
    char url[URL_MAX];
    Xn__Call call;
    uint64_t ticket = 0;

    if (call_of(m, path, body, url, &call)) {
        host->out.rc = XN_ENOMEM;
        return 0;
    }
    call.patience_ms = (uint32_t)(patience_us / 1000);
    call.lane = lane;
    /* The driver ends it first, unless it is lost. */
    ticket = xn_ticket(host->tickets, now->mono_us + patience_us + SECOND_US,
                       fn, host, ctx, &host->out);
    if (ticket) {
        xn_out_emit(&host->out, XN_ACT_CALL, ticket, XN_PEER_NONE,
                    XN__KIND__CALL, &call);
    }
    free(call.body.data);
    return ticket;
}

void member_tell(struct host_machine *m, const char *path, const void *body)
{
    struct host *host = m->host;
    char url[URL_MAX];
    Xn__Call call;

    if (call_of(m, path, body, url, &call)) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    call.patience_ms = TELL_MS;
    xn_out_emit(&host->out, XN_ACT_CALL, 0, XN_PEER_NONE, XN__KIND__CALL,
                &call);
    free(call.body.data);
}

/* Only what was refused by the member itself was certainly not done. */
static int refused(const Xn__Answer *answer)
{
    Xn__Refusal *refusal = xn_unpack(&xn__refusal__descriptor,
                                     answer->body.data, answer->body.len);
    int rc = refusal ? refusal->rc : 0;

    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    return rc == XN_EUNREACH || rc == XN_ENOENT || rc == XN_EPERM ? rc
                                                                  : XN_EUNKNOWN;
}

int member_said(struct host *host, int rc, const struct xn_msg *msg,
                const ProtobufCMessageDescriptor *type, const void **body_out)
{
    struct host_market *market = &host->market;
    const Xn__Answer *answer;

    *body_out = NULL;
    if (rc) return rc == XN_ECANCELLED ? rc : XN_EUNKNOWN;
    if (!msg || msg->kind != XN__KIND__ANSWER) return XN_EPROTO;
    answer = XN_BODY(msg, Xn__Answer);
    if (answer->status != 200) return refused(answer);
    if (market->told) protobuf_c_message_free_unpacked(market->told, NULL);
    market->told = xn_unpack(type, answer->body.data, answer->body.len);
    *body_out = market->told;
    return market->told ? 0 : XN_EPROTO;
}

/* ---- what is offered ---- */

bool host_cluster_met(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        if (!host->market.machines[i].met) return false;
    }
    return true;
}

static void say(struct host *host, const struct xn_now *now)
{
    host->market.said_us = now->mono_us;
    host_resume(host, now);
}

static void say_by(struct host *host, uint64_t us);

static void on_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->market.due = 0;
    if (host_is_publishing(host))
        say_by(host, now->mono_us + AGAIN_US);
    else
        say(host, now);
}

static void say_by(struct host *host, uint64_t us)
{
    host->market.due =
        xn_ticket(host->tickets, us, on_due, host, NULL, &host->out);
}

void host_offer_follows(struct host *host, const struct xn_now *now)
{
    struct host_market *market = &host->market;
    uint64_t by = market->said_us + DOCUMENT_US;

    if (host->loaded && !market->due)
        say_by(host, by > now->mono_us ? by : now->mono_us);
}

/* Unless the start is not over. */
static void offer_anew(struct host *host, const struct xn_now *now,
                       bool was_met)
{
    bool changed = host_say_machines(host);

    if (!host->loaded || !host_cluster_met(host)) return;
    if (!was_met)
        say(host, now);
    else if (changed)
        host_offer_follows(host, now);
}

/* ---- it is not there ---- */

static void each_session(struct host_machine *m, const struct xn_now *now,
                         void (*fn)(struct host_session *s,
                                    const struct xn_now *now))
{
    struct host_market *market = &m->host->market;

    for (size_t i = 0; market->loaded && i < market->n_sessions; i++) {
        if (xn_id_eq(&market->sessions[i]->machine, &m->id))
            fn(market->sessions[i], now);
    }
}

static void unsure(struct host_session *s, const struct xn_now *now)
{
    task_unsure(s);
    sandbox_fetches(s, now);
}

static void leave(struct host_machine *m, const struct xn_now *now,
                  const char *why)
{
    bool was_met = host_cluster_met(m->host), was_up = m->up;

    m->met = true;
    m->up = false;
    if (!was_up && was_met) return;
    xn_out_log(&m->host->out, XN_LOG_WARN, "%s is not there: %s", m->url, why);
    each_session(m, now, unsure);
    offer_anew(m->host, now, was_met);
}

static void strand(struct host_session *s, const struct xn_now *now)
{
    session_strand(s, now);
}

static void lose(struct host_machine *m, const struct xn_now *now)
{
    m->lost = true;
    xn_out_log(&m->host->out, XN_LOG_ERROR,
               "%s is lost: what ran there ends (%u sessions)", m->url,
               (unsigned)machine_sessions(m));
    each_session(m, now, strand);
}

static void watch(struct host_machine *m, const struct xn_now *now);

static void on_pause_over(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_machine *m = ctx;

    m->watch = 0;
    watch(m, now);
}

static void watch_after(struct host_machine *m, const struct xn_now *now,
                        uint64_t us)
{
    m->watch = xn_ticket(m->host->tickets, now->mono_us + us, on_pause_over,
                         m->host, m, &m->host->out);
}

static void missed(struct host_machine *m, const struct xn_now *now,
                   const char *why)
{
    uint64_t silent_us = now->mono_us - m->heard_us;
    bool lost;

    if (!m->missed_us) m->missed_us = now->mono_us;
    lost = now->mono_us - m->missed_us >= m->host->config.grace_us;
    if (lost || silent_us >= SILENT_US) leave(m, now, why);
    if (lost && !m->lost && m->host->market.loaded) lose(m, now);
    watch_after(m, now, AGAIN_US);
}

/* ---- it is there ---- */

static bool take_amount(const char *text, xn_dec *out)
{
    *out = (xn_dec){0};
    if (!text[0]) return true;
    return !xn_dec_parse(text, strlen(text), out) && out->v >= 0 &&
           xn_dec_cmp(*out, xn_dec_int(AMOUNT_MAX)) <= 0;
}

static bool take_amounts(const Xn__Machine *told, struct money_rates *out)
{
    const Xn__Amounts *a = told->amounts;

    return a && take_amount(a->cpu_smps, &out->cpu_smps) &&
           take_amount(a->memory_mb, &out->memory_mb) &&
           take_amount(a->disk_gb, &out->disk_gb) &&
           take_amount(a->net_mbps, &out->net_mbps) &&
           take_amount(a->ipv4_addresses, &out->ipv4_addresses);
}

static bool is_short(const char *text)
{
    return strlen(text) <= TEXT_MAX;
}

bool member_status_ok(const Xn__TaskStatus *status)
{
    return is_short(status->name) && is_short(status->memory_by) &&
           is_short(status->cap_by) && is_short(status->processes_by) &&
           (!status->exit ||
            (is_short(status->exit->because) && is_short(status->exit->name)));
}

/* It begins anew, as far as we know: all that it has is looked at. */
static void meet(struct host_machine *m, const struct xn_now *now,
                 const Xn__Machine *told)
{
    m->exact = told->exact;
    m->xen = told->xen;
    m->pvh = told->pvh;
    m->bridge = told->bridge;
    m->disk_bytes = told->disk_bytes;
    m->images = told->images;
    snprintf(m->no_xen, sizeof m->no_xen, "%s",
             told->no_xen[0] ? told->no_xen : "that machine runs no Xen");
    xn_plain(m->no_xen);
    m->up = true;
    m->lost = false;
    xn_out_log(&m->host->out, XN_LOG_INFO, "%s is there", m->url);
    each_session(m, now, unsure);
    host_dom_begin(m, now);
}

/* true: all that it has is looked at. */
static bool take_ends(struct host_machine *m, const struct xn_now *now,
                      const Xn__Machine *told)
{
    if (told->seen - m->seen > told->n_ended) { /* some are not told any more */
        host_dom_begin(m, now);
        return true;
    }
    for (size_t i = 0; i < told->n_ended; i++) {
        if (member_status_ok(told->ended[i]))
            host_dom_take(m, now, told->ended[i]);
    }
    return false;
}

/* true: all that it has is looked at. */
static bool heard(struct host_machine *m, const struct xn_now *now,
                  const Xn__Machine *told, const struct money_rates *offered)
{
    bool was_met = host_cluster_met(m->host), new = told->life != m->life;
    bool anew = false;
    uint64_t seen = told->seen;

    m->heard_us = now->mono_us;
    m->missed_us = 0;
    m->heard_wall_us = now->wall_us;
    m->met = true;
    if (new) m->offered = *offered; /* the same for a life */
    m->life = told->life;
    if (!told->up) {
        leave(m, now, "its xenodomd is not there");
    } else if (new || !m->up) {
        meet(m, now, told);
        anew = true;
    } else if (seen != m->seen) {
        anew = take_ends(m, now, told);
    }
    m->seen = seen;
    offer_anew(m->host, now, was_met);
    return anew;
}

static void on_watched(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    struct host_machine *m = ctx;
    struct money_rates offered;
    const Xn__Machine *told;
    const void *body;
    int call_rc = rc;

    m->watch = 0;
    rc = member_said(host, rc, msg, &xn__machine__descriptor, &body);
    told = body;
    if (rc) {
        missed(m, now, xn_strerror(call_rc ? call_rc : rc));
    } else if (!take_amounts(told, &offered) || told->life == 0) {
        missed(m, now, "what it says is malformed");
    } else {
        watch_after(m, now, heard(m, now, told, &offered) ? ANEW_US : GAP_US);
    }
}

static void watch(struct host_machine *m, const struct xn_now *now)
{
    Xn__WatchMachine body = XN__WATCH_MACHINE__INIT;

    body.life = m->life;
    body.seen = m->seen;
    body.wait_ms = WAIT_MS;
    m->watch = member_call(m, now, "/v1/machine", &body, WATCH_US,
                           XN__CALL_LANE__LANE_WATCH, on_watched, m);
}

void host_cluster_begin(struct host *host, const struct xn_now *now)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        struct host_machine *m = &host->market.machines[i];

        if (!m->url || m->watch) continue;
        if (!m->heard_us) m->heard_us = now->mono_us;
        watch(m, now);
    }
}

/* ---- for its operator ---- */

void machine_describe(const struct host_machine *m, struct machine_text *room)
{
    struct money_rates left;

    machine_free_now(m, &left);
    amounts_describe(&m->offered, &room->offered);
    amounts_describe(&left, &room->left);
    xn__host_machine__init(&room->body);
    room->body.id = xn_id_bytes(&m->id);
    if (m->url) room->body.url = (char *)(uintptr_t)m->url;
    room->body.up = m->up;
    room->body.lost = m->lost;
    room->body.heard_us = m->heard_wall_us;
    room->body.sessions = machine_sessions(m);
    room->body.offered = &room->offered.body;
    room->body.free = &room->left.body;
}
