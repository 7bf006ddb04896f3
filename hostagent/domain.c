/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodomd, which runs the tasks: what it is asked, what it says by itself, and
 * what it has that belongs to no session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define ASK_US (20 * SECOND_US)
#define START_US (120 * SECOND_US)
/* Of a member: what is not known by then is looked up. */
#define FAR_PATH "/v1/domain"
#define FAR_ASK_US (10 * SECOND_US)
#define FAR_START_US (25 * SECOND_US)
#define OWED_US (5 * SECOND_US) /* to the next look at all that it has */

uint64_t host_dom(struct host_machine *m, const struct xn_now *now,
                  const Xn__DomAsk *ask, xn_ended *fn, void *ctx)
{
    struct host *host = m->host;
    uint64_t us = ask->op == XN__DOM_OP__DOM_START ? START_US : ASK_US;
    uint64_t ticket;

    if (m->url) {
        us = ask->op == XN__DOM_OP__DOM_START ? FAR_START_US : FAR_ASK_US;
        return member_call(m, now, FAR_PATH, ask, us, XN__CALL_LANE__LANE_SHORT,
                           fn, ctx);
    }
    ticket =
        xn_ticket(host->tickets, now->mono_us + us, fn, host, ctx, &host->out);
    if (ticket) {
        xn_out_emit(&host->out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE,
                    XN__KIND__DOM_ASK, ask);
    }
    return ticket;
}

static int told_by_member(struct host *host, int rc, const struct xn_msg *msg,
                          const Xn__DomTell **tell_out)
{
    const Xn__DomTell *tell;
    const void *body;

    rc = member_said(host, rc, msg, &xn__dom_tell__descriptor, &body);
    if (rc) return rc;
    tell = body;
    for (size_t i = 0; i < tell->n_tasks; i++) {
        if (!member_status_ok(tell->tasks[i])) return XN_EPROTO;
    }
    *tell_out = tell;
    return tell->rc < 0 ? tell->rc : 0;
}

int host_told(struct host *host, int rc, const struct xn_msg *msg,
              const Xn__DomTell **tell_out)
{
    *tell_out = NULL;
    if (!rc && msg && msg->kind == XN__KIND__ANSWER)
        return told_by_member(host, rc, msg, tell_out);
    if (!rc && (!msg || msg->kind != XN__KIND__DOM_TELL)) rc = XN_EPROTO;
    if (rc) return rc;
    *tell_out = XN_BODY(msg, Xn__DomTell);
    return (*tell_out)->rc < 0 ? (*tell_out)->rc : 0;
}

/* Nobody waits for these: what is missed comes with the next list, which is
 * owed. */
static void emit(struct host_machine *m, Xn__DomOp op, const char *name)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;

    ask.op = op;
    ask.name = (char *)(uintptr_t)name;
    if (op == XN__DOM_OP__DOM_STOP)
        ask.reason = (char *)(uintptr_t) "no session has it";
    if (m->url)
        member_tell(m, FAR_PATH, &ask);
    else
        xn_out_emit(&m->host->out, XN_ACT_DOMAIN, 0, XN_PEER_NONE,
                    XN__KIND__DOM_ASK, &ask);
}

void host_dom_forget(struct host_session *s, uint32_t number)
{
    struct host_machine *m = session_machine(s);
    char name[TASK_NAME_MAX];

    if (!m) return;
    task_name(s, number, name);
    emit(m, XN__DOM_OP__DOM_FORGET, name);
}

/* ---- whose is it? ---- */

static void owe(struct host_machine *m, const struct xn_now *now);

static void end_orphan(struct host_machine *m, const struct xn_now *now,
                       const Xn__TaskStatus *status)
{
    emit(m, status->exit ? XN__DOM_OP__DOM_FORGET : XN__DOM_OP__DOM_STOP,
         status->name);
    owe(m, now);
}

static struct host_session *find(const struct host *host,
                                 const uint8_t session[16])
{
    const struct host_market *m = &host->market;
    xn_id id = {{0}};
    size_t at;

    memcpy(id.b, session, 16);
    at = session_at(host, &id);
    if (at == m->n_sessions || memcmp(m->sessions[at]->id.b, session, 16))
        return NULL;
    return m->sessions[at];
}

/* Whatever bears such a name was begun by this server: what it has no session
 * for, or has one for that gave it up, must not run on unpaid. */
void host_dom_take(struct host_machine *m, const struct xn_now *now,
                   const Xn__TaskStatus *status)
{
    struct host *host = m->host;
    struct host_session *s;
    struct host_task *t;
    uint8_t session[16];
    uint32_t number;

    if (!host->market.loaded) return;
    if (!task_name_parse(status->name, session, &number)) return;
    s = find(host, session);
    if (s && !xn_id_eq(&s->machine, &m->id)) s = NULL;
    t = s ? task_find(s, number) : NULL;
    if (t && t->over && !status->exit) {
        end_orphan(m, now, status);
    } else if (t && t == task_last(s)) {
        task_heard(s, now, status);
    } else if (!host->market.damaged && !t) {
        end_orphan(m, now, status);
    }
}

/* ---- all that it has ---- */

static void sweep(struct host_machine *m, const struct xn_now *now,
                  const char *after);

/* Behind the last of these; a list that does not go on would have no end. */
static void sweep_on(struct host_machine *m, const struct xn_now *now,
                     const Xn__DomTell *tell)
{
    const char *last =
        tell->n_tasks ? tell->tasks[tell->n_tasks - 1]->name : "";

    if (strlen(last) < sizeof m->swept && strcmp(last, m->swept) > 0)
        sweep(m, now, last);
    else
        owe(m, now);
}

static void on_list(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    struct host_machine *m = ctx;
    const Xn__DomTell *tell;

    m->sweep = 0;
    if (host_told(host, rc, msg, &tell)) {
        owe(m, now);
        return;
    }
    for (size_t i = 0; i < tell->n_tasks; i++)
        host_dom_take(m, now, tell->tasks[i]);
    if (tell->more)
        sweep_on(m, now, tell);
    else if (m->owes)
        owe(m, now);
}

static void sweep(struct host_machine *m, const struct xn_now *now,
                  const char *after)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;

    if (m->sweep) xn_ticket_forget(m->host->tickets, m->sweep);
    ask.op = XN__DOM_OP__DOM_LIST;
    snprintf(m->swept, sizeof m->swept, "%s", after);
    ask.after = m->swept;
    m->sweep = host_dom(m, now, &ask, on_list, m);
}

static void sweep_all(struct host_machine *m, const struct xn_now *now)
{
    m->owes = false;
    sweep(m, now, "");
}

static void on_owed(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host_machine *m = ctx;

    m->sweep = 0;
    if (m->up) sweep_all(m, now); /* else at the next connection */
}

/* Until its list is clean: what was to end has ended. */
static void owe(struct host_machine *m, const struct xn_now *now)
{
    m->owes = true;
    if (m->sweep) return; /* at its end */
    m->sweep = xn_ticket(m->host->tickets, now->mono_us + OWED_US, on_owed,
                         m->host, m, &m->host->out);
}

void host_dom_begin(struct host_machine *m, const struct xn_now *now)
{
    struct host_market *market = &m->host->market;

    if (!market->loaded || !m->up) return;
    for (size_t i = 0; i < market->n_sessions; i++) {
        if (xn_id_eq(&market->sessions[i]->machine, &m->id))
            task_go(market->sessions[i], now);
    }
    sweep_all(m, now);
}

/* ---- what this server's own says by itself ---- */

static void unsure(struct host_machine *m, const struct xn_now *now)
{
    struct host_market *market = &m->host->market;

    for (size_t i = 0; i < market->n_sessions; i++) {
        if (!xn_id_eq(&market->sessions[i]->machine, &m->id)) continue;
        task_unsure(market->sessions[i]);
        sandbox_fetches(market->sessions[i], now);
    }
}

static void take_pvh(struct host_machine *m, const struct xn_now *now, bool can)
{
    if (m->pvh == can) return;
    m->pvh = can;
    host_offer_follows(m->host, now);
}

static void take_abilities(struct host_machine *m, const struct xn_now *now,
                           const Xn__DomTell *tell)
{
    struct host *host = m->host;
    bool exact = host->config.xen ? tell->xen : tell->exact;

    m->exact = tell->exact;
    m->xen = tell->xen;
    take_pvh(m, now, tell->pvh);
    m->bridge = tell->bridge;
    m->disk_bytes = tell->disk_bytes;
    snprintf(m->no_xen, sizeof m->no_xen, "%s",
             tell->no_xen[0] ? tell->no_xen : "this host runs no Xen");
    xn_plain(m->no_xen);
    xn_out_log(&host->out, XN_LOG_INFO, "xenodomd is there; its meters are %s",
               exact ? "exact" : "not exact: reserved CPU is charged");
    if (host->config.xen && !tell->xen) {
        xn_out_log(&host->out, XN_LOG_WARN, "nothing can be sold: %s",
                   m->no_xen);
    }
}

static void connected(struct host_machine *m, const struct xn_now *now,
                      const Xn__DomTell *tell)
{
    m->up = true;
    take_abilities(m, now, tell);
    unsure(m, now);
    host_dom_begin(m, now);
}

static void gone(struct host_machine *m, const struct xn_now *now)
{
    if (m->up) xn_out_log(&m->host->out, XN_LOG_WARN, "xenodomd is gone");
    m->up = false;
    unsure(m, now);
}

void host_dom_news(struct host *host, const struct xn_now *now,
                   const Xn__News *news)
{
    static const xn_id own;
    struct host_machine *m = host_machine(host, &own);
    Xn__DomTell *tell;

    if (!host->config.sandbox || !m) return;
    if (strcmp(news->kind, "domains-gone") == 0) {
        gone(m, now);
        return;
    }
    if (strcmp(news->kind, "domains") && strcmp(news->kind, "domain")) return;
    tell = xn_unpack(&xn__dom_tell__descriptor, news->detail.data,
                     news->detail.len);
    if (!tell) return;
    if (strcmp(news->kind, "domains") == 0) {
        connected(m, now, tell);
    } else {
        for (size_t i = 0; i < tell->n_tasks; i++)
            host_dom_take(m, now, tell->tasks[i]);
    }
    xn__dom_tell__free_unpacked(tell, NULL);
}
