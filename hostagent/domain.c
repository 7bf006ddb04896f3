/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodomd, which runs the tasks: what it is asked, what it says by itself, and
 * what it has that belongs to no session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define ASK_US (20 * SECOND_US)
#define START_US (120 * SECOND_US)

uint64_t host_dom(struct host *host, const struct xn_now *now,
                  const Xn__DomAsk *ask, xn_ended *fn, void *ctx)
{
    uint64_t us = ask->op == XN__DOM_OP__DOM_START ? START_US : ASK_US;
    uint64_t ticket =
        xn_ticket(host->tickets, now->mono_us + us, fn, host, ctx, &host->out);

    if (ticket) {
        xn_out_emit(&host->out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE,
                    XN__KIND__DOM_ASK, ask);
    }
    return ticket;
}

int host_told(int rc, const struct xn_msg *msg, const Xn__DomTell **tell_out)
{
    *tell_out = NULL;
    if (!rc && (!msg || msg->kind != XN__KIND__DOM_TELL)) rc = XN_EPROTO;
    if (rc) return rc;
    *tell_out = XN_BODY(msg, Xn__DomTell);
    return (*tell_out)->rc < 0 ? (*tell_out)->rc : 0;
}

/* Nobody waits for these: what is missed comes with the next list. */
static void emit(struct host *host, Xn__DomOp op, const char *name)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;

    ask.op = op;
    ask.name = (char *)(uintptr_t)name;
    if (op == XN__DOM_OP__DOM_STOP)
        ask.reason = (char *)(uintptr_t) "no session has it";
    xn_out_emit(&host->out, XN_ACT_DOMAIN, 0, XN_PEER_NONE, XN__KIND__DOM_ASK,
                &ask);
}

void host_dom_forget(struct host_session *s, uint32_t number)
{
    char name[TASK_NAME_MAX];

    task_name(s, number, name);
    emit(s->host, XN__DOM_OP__DOM_FORGET, name);
}

/* ---- whose is it? ---- */

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

/* Whatever bears such a name was begun by this server, for a session that it
 * has no more: it must not run on unpaid. */
static void take_one(struct host *host, const struct xn_now *now,
                     const Xn__TaskStatus *status)
{
    struct host_session *s;
    uint8_t session[16];
    uint32_t number;

    if (!task_name_parse(status->name, session, &number)) return;
    s = find(host, session);
    if (s && task_last(s) && task_last(s)->number == number) {
        task_heard(s, now, status);
    } else if (!host->market.damaged && (!s || !task_find(s, number))) {
        emit(host, status->exit ? XN__DOM_OP__DOM_FORGET : XN__DOM_OP__DOM_STOP,
             status->name);
    }
}

/* ---- all that it has ---- */

static void sweep(struct host *host, const struct xn_now *now,
                  const char *after);

static void on_list(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    const Xn__DomTell *tell;

    host->market.sweep = 0;
    if (host_told(rc, msg, &tell)) return; /* at the next connection */
    for (size_t i = 0; i < tell->n_tasks; i++)
        take_one(host, now, tell->tasks[i]);
    if (tell->more && tell->n_tasks)
        sweep(host, now, tell->tasks[tell->n_tasks - 1]->name);
}

static void sweep(struct host *host, const struct xn_now *now,
                  const char *after)
{
    struct host_market *m = &host->market;
    Xn__DomAsk ask = XN__DOM_ASK__INIT;

    if (m->sweep) xn_ticket_forget(host->tickets, m->sweep);
    ask.op = XN__DOM_OP__DOM_LIST;
    ask.after = (char *)(uintptr_t)after;
    m->sweep = host_dom(host, now, &ask, on_list, NULL);
}

/* ---- what it says by itself ---- */

void host_dom_begin(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;

    if (!m->loaded || !m->dom_up) return;
    for (size_t i = 0; i < m->n_sessions; i++)
        task_go(m->sessions[i], now);
    sweep(host, now, "");
}

static void unsure(struct host *host, const struct xn_now *now)
{
    for (size_t i = 0; i < host->market.n_sessions; i++) {
        task_unsure(host->market.sessions[i]);
        sandbox_fetches(host->market.sessions[i], now);
    }
}

static void take_abilities(struct host *host, const Xn__DomTell *tell)
{
    struct host_market *m = &host->market;
    bool exact = host->config.xen ? tell->xen : tell->exact;

    m->dom_exact = tell->exact;
    m->dom_xen = tell->xen;
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

static void connected(struct host *host, const struct xn_now *now,
                      const Xn__DomTell *tell)
{
    host->market.dom_up = true;
    take_abilities(host, tell);
    unsure(host, now);
    host_dom_begin(host, now);
}

static void gone(struct host *host, const struct xn_now *now)
{
    if (host->market.dom_up)
        xn_out_log(&host->out, XN_LOG_WARN, "xenodomd is gone");
    host->market.dom_up = false;
    unsure(host, now);
}

void host_dom_news(struct host *host, const struct xn_now *now,
                   const Xn__News *news)
{
    Xn__DomTell *tell;

    if (!host->config.sandbox) return;
    if (strcmp(news->kind, "domains-gone") == 0) {
        gone(host, now);
        return;
    }
    if (strcmp(news->kind, "domains") && strcmp(news->kind, "domain")) return;
    tell = xn_unpack(&xn__dom_tell__descriptor, news->detail.data,
                     news->detail.len);
    if (!tell) return;
    if (strcmp(news->kind, "domains") == 0) {
        connected(host, now, tell);
    } else if (host->market.loaded) {
        for (size_t i = 0; i < tell->n_tasks; i++)
            take_one(host, now, tell->tasks[i]);
    }
    xn__dom_tell__free_unpacked(tell, NULL);
}
