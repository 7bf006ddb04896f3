/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The set of sessions: which there are, what they hold, who may ask. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/bucket.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
/* A caller's questions. */
static const struct xn_rate rate = {.burst = 50, .step_us = SECOND_US / 10};

bool session_holds(const struct host_session *s)
{
    switch (s->state) {
    case XN__SESSION_STATE__SESSION_CLAIMED:
    case XN__SESSION_STATE__SESSION_RUNNING:
    case XN__SESSION_STATE__SESSION_PAUSED: return true;
    case XN__SESSION_STATE__SESSION_ENDING: return !s->down;
    default: return false;
    }
}

/* ---- the list ---- */

size_t session_at(const struct host *host, const xn_id *id)
{
    const struct host_market *m = &host->market;
    size_t from = 0, to = m->n_sessions;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (memcmp(m->sessions[mid]->id.b, id->b, XN_ID_SIZE) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

struct host_session *session_find(const struct host *host, const xn_id *id)
{
    const struct host_market *m = &host->market;
    size_t at = session_at(host, id);

    if (at == m->n_sessions || !xn_id_eq(&m->sessions[at]->id, id)) return NULL;
    return m->sessions[at];
}

bool session_is_over(const struct host_session *s)
{
    return s->state == XN__SESSION_STATE__SESSION_ENDED ||
           s->state == XN__SESSION_STATE__SESSION_REFUSED;
}

/* What was refused before what ran: it costs nothing to be refused, and who had
 * a session may still want to know how it ended. */
static bool goes_first(const struct host_session *s,
                       const struct host_session *than)
{
    bool refused = s->state == XN__SESSION_STATE__SESSION_REFUSED;

    if (refused != (than->state == XN__SESSION_STATE__SESSION_REFUSED))
        return refused;
    return s->ended_us < than->ended_us;
}

/* Nothing of it goes on any more. */
static bool may_drop(const struct host_session *s)
{
    return session_is_over(s) && !s->step && !s->stop && !s->work.step &&
           !s->next_order && !(s->host->config.sandbox && task_lives(s));
}

/* Drops the one that is over for longest, where one may be dropped. */
static bool make_room(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;
    struct host_session *oldest = NULL;

    if (m->n_sessions < host->config.sessions_max) return true;
    for (size_t i = 0; i < m->n_sessions; i++) {
        struct host_session *s = m->sessions[i];

        if (!may_drop(s)) continue;
        if (!oldest || goes_first(s, oldest)) oldest = s;
    }
    if (!oldest) return false;
    session_drop(oldest, now);
    return true;
}

int session_insert(struct host *host, struct host_session *s)
{
    struct host_market *m = &host->market;
    size_t at = session_at(host, &s->id);
    struct host_session **list =
        realloc(m->sessions, (m->n_sessions + 1) * sizeof *list);

    if (!list) return XN_ENOMEM;
    m->sessions = list;
    memmove(list + at + 1, list + at, (m->n_sessions - at) * sizeof *list);
    list[at] = s;
    m->n_sessions++;
    return 0;
}

int session_new(struct host *host, const struct xn_now *now, const xn_id *id,
                struct host_session **s_out)
{
    struct host_session *s;
    int rc;

    if (!make_room(host, now)) return XN_EBUSY;
    s = calloc(1, sizeof *s);
    if (!s) return XN_ENOMEM;
    s->host = host;
    s->id = *id;
    rc = session_insert(host, s);
    if (rc) {
        free(s);
        return rc;
    }
    *s_out = s;
    return 0;
}

void host_bytes_clear(struct host_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct host_bytes){NULL, 0};
}

void session_set_bytes(struct host_session *s, struct host_bytes *to,
                       const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);

    if (!copy) {
        s->host->out.rc = XN_ENOMEM;
        return;
    }
    if (len) memcpy(copy, data, len);
    free(to->data);
    *to = (struct host_bytes){copy, len};
}

void session_clear(struct host_session *s)
{
    session_admit_clear(s);
    session_extension_clear(s);
    task_clear_all(s);
    activity_clear(s);
    host_bytes_clear(&s->validate);
    host_bytes_clear(&s->requirements);
    host_bytes_clear(&s->acceptance);
    host_bytes_clear(&s->receipt);
    host_bytes_clear(&s->claim);
    host_bytes_clear(&s->document);
    host_bytes_clear(&s->candidate);
    free(s);
}

void session_free(struct host_session *s)
{
    struct host_market *m;
    size_t at;

    if (!s) return;
    m = &s->host->market;
    at = session_at(s->host, &s->id);
    if (s->step) xn_ticket_forget(s->host->tickets, s->step);
    if (s->stop) xn_ticket_forget(s->host->tickets, s->stop);
    if (s->policy) xn_ticket_forget(s->host->tickets, s->policy);
    if (s->work.step) xn_ticket_forget(s->host->tickets, s->work.step);
    task_waits_drop(s);
    memmove(m->sessions + at, m->sessions + at + 1,
            (m->n_sessions - at - 1) * sizeof *m->sessions);
    m->n_sessions--;
    session_clear(s);
}

void host_market_clear(struct host *host)
{
    struct host_market *m = &host->market;

    for (size_t i = 0; i < m->n_sessions; i++)
        session_clear(m->sessions[i]);
    free(m->sessions);
    m->sessions = NULL;
    m->n_sessions = 0;
    host_machines_clear(host);
    if (m->told) protobuf_c_message_free_unpacked(m->told, NULL);
    m->told = NULL;
    task_waits_clear(host);
    activity_asks_clear(host);
    host_quotes_clear(host);
}

void host_market_cancel(struct host *host, uint64_t ask)
{
    for (size_t i = 0; i < host->market.n_sessions; i++) {
        struct host_session *s = host->market.sessions[i];

        if (s->ask == ask) s->ask = 0;
        if (s->ask_end == ask) s->ask_end = 0;
        if (s->next_order && s->next_order->ask == ask) s->next_order->ask = 0;
    }
    host_quotes_cancel(host, ask);
    activity_cancel(host, ask);
    task_waits_cancel(host, ask);
}

/* ---- who may ask ---- */

bool host_budget_take(struct host *host, const struct xn_now *now,
                      const xn_id *caller)
{
    struct host_budget *rows = host->market.budgets, *row = rows;

    for (size_t i = 0; i < HOST_BUDGETS; i++) {
        if (rows[i].full_us && xn_id_eq(&rows[i].caller, caller)) {
            row = &rows[i];
            break;
        }
        if (rows[i].full_us < row->full_us) row = &rows[i];
    }
    if (!xn_id_eq(&row->caller, caller)) { /* who asked least gives way */
        *row = (struct host_budget){*caller, 0};
    }
    return xn_bucket_take(&row->full_us, &rate, now->mono_us) == 0;
}

bool host_is_operator(const struct host *host, const Xn__Caller *caller)
{
    xn_id id;

    return caller && !xn_id_from_bytes(&caller->id, &id) &&
           xn_id_eq(&id, &host->config.id);
}

static bool is_client(const struct host *host, const Xn__Caller *caller,
                      xn_id *id_out)
{
    xn_id corp;

    return caller && caller->role == XN__ROLE__CLIENT &&
           !xn_id_from_bytes(&caller->id, id_out) &&
           !xn_id_from_bytes(&caller->corp, &corp) &&
           xn_id_eq(&corp, &host->config.corp);
}

bool host_admits(struct host *host, uint64_t ask, const Xn__Ask *question,
                 const char *what, xn_id *caller_out)
{
    struct xn_out *out = &host->out;

    if (!host->market.on) {
        xn_out_refuse(out, ask, XN_EREFUSED, what,
                      "this server sells nothing: it only advertises",
                      "another server");
    } else if (!is_client(host, question->caller, caller_out)) {
        xn_out_refuse(out, ask, XN_EPERM, what,
                      "only clients of this server's XenoCorp ask that",
                      "xeno register");
    } else if (!host->market.loaded || !host->loaded) {
        xn_out_refuse(out, ask, XN_ENOTYET, what,
                      "the server is still starting", "again in a second");
    } else {
        return true;
    }
    return false;
}

/* ---- does it hold together? ---- */

static const char *session_wrong(const struct host_session *s)
{
    bool is_new = s->state == XN__SESSION_STATE__SESSION_NONE;

    if (is_new != (s->admit != NULL)) return "papers without a session";
    if (!is_new && !session_is_over(s) && !s->step)
        return "a session stands still";
    if (session_is_over(s) && s->claim.len)
        return "an ended session owes a claim";
    if (session_is_over(s) && s->next_order && s->next_order->on)
        return "an ended session has another order";
    if (s->claims.amount > s->sale.terms.amount)
        return "charged above the order";
    if (s->accepted && xn_id_is_zero(&s->sale.terms.acceptance))
        return "accepted without an acceptance";
    return task_wrong(s);
}

const char *host_market_wrong(const struct host *host)
{
    const struct host_market *m = &host->market;
    const char *why = NULL;

    if (!m->on) return NULL;
    if (!m->loaded && !m->load && !host->out.rc) return "sessions are not read";
    for (size_t i = 0; m->loaded && i < m->n_sessions && !why; i++) {
        why = session_wrong(m->sessions[i]);
        if (i && memcmp(m->sessions[i - 1]->id.b, m->sessions[i]->id.b,
                        XN_ID_SIZE) >= 0) {
            why = "sessions out of order";
        }
    }
    return why;
}

size_t host_market_tickets(const struct host *host)
{
    const struct host_market *m = &host->market;
    size_t n = m->n_quotes + (m->load != 0) + (m->due != 0) + m->n_waits +
               (m->sweep_notes != 0) + m->n_activity_asks;

    for (size_t i = 0; i < m->n_machines; i++)
        n += (m->machines[i].sweep != 0) + (m->machines[i].watch != 0) +
             (m->machines[i].reads.ticket != 0);
    for (size_t i = 0; i < m->n_sessions; i++)
        n += 3 + (m->sessions[i]->admit || m->sessions[i]->next_order
                      ? PAPERS_MAX + 1
                      : 0);
    return n;
}
