/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Meters that are due together are read together: one question to a machine for
 * what would be hundreds.  xenodomd answers it without waking who keeps them;
 * what it cannot read so, and each session from time to time, is asked for by
 * itself, which tells what else has become of its task.  Whose meter cannot be
 * read so is asked for by itself until then. */
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"

#define METER_US 5000000ULL
#define ALONE_EVERY 30 /* readings */

/* It may have been given up since, or read by itself. */
static bool is_waiting(const struct host_session *s)
{
    return s && s->step && s->step == s->work.read;
}

/* With what has been read, or else with what was read last. */
static void go_on(struct host_session *s, const struct xn_now *now)
{
    session_give_up(s);
    s->next(s, now);
}

static void on_alone(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    const Xn__DomTell *tell;

    s->step = 0;
    if (!host_told(s->host, rc, msg, &tell) && tell->n_tasks == 1) {
        s->work.is_read = tell->tasks[0]->reading != NULL;
        task_heard(s, now, tell->tasks[0]);
    }
    s->next(s, now);
}

static void ask_alone(struct host_session *s, const struct xn_now *now)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    char name[TASK_NAME_MAX];

    task_name(s, task_last(s)->number, name);
    ask.op = XN__DOM_OP__DOM_STATUS;
    ask.name = name;
    session_give_up(s);
    s->step = host_dom(session_machine(s), now, &ask, on_alone, s);
    xn_ticket_postpone(s->host->tickets, s->step, now->mono_us + METER_US);
}

static void gather(struct host_machine *m, const struct xn_now *now);

/* They stand in the answer as they were asked for; some may be missing. */
static const Xn__TaskStatus *next_of(const struct host_session *s,
                                     const Xn__DomTell *tell, size_t *at)
{
    char name[TASK_NAME_MAX];

    task_name(s, task_last(s)->number, name);
    for (size_t i = *at; i < tell->n_tasks; i++) {
        if (strcmp(name, tell->tasks[i]->name) != 0) continue;
        *at = i + 1;
        return tell->tasks[i]->reading ? tell->tasks[i] : NULL;
    }
    return NULL;
}

/* Nobody was there to say anything. */
static bool is_silence(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EUNKNOWN ||
           rc == XN_EBUSY || rc == XN_ECANCELLED;
}

static void on_readings(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    static const Xn__DomTell nothing = XN__DOM_TELL__INIT;
    struct host_machine *m = ctx;
    struct host_reads *r = &m->reads;
    const Xn__TaskStatus *status;
    const Xn__DomTell *tell;
    size_t at = 0;

    r->ticket = 0;
    rc = host_told(m->host, rc, msg, &tell);
    if (rc) tell = &nothing;
    for (size_t i = 0; i < r->n_asked; i++) {
        struct host_session *s = session_find(m->host, &r->asked[i]);

        if (!is_waiting(s)) continue;
        status = next_of(s, tell, &at);
        s->work.is_read = status != NULL;
        if (status) {
            task_read(s, status->reading);
            task_go(s, now);
        }
        if (status || is_silence(rc)) {
            go_on(s, now);
        } else {
            s->work.alone = true;
            ask_alone(s, now);
        }
    }
    r->n_asked = 0;
    if (r->more && !r->ticket) gather(m, now);
}

static void on_gathered(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    char names[HOST_READS_MAX][TASK_NAME_MAX], *list[HOST_READS_MAX];
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    struct host_machine *m = ctx;
    const struct host_market *market = &m->host->market;
    struct host_reads *r = &m->reads;
    size_t i;

    r->ticket = 0;
    for (i = 0; i < market->n_sessions && r->n_asked < HOST_READS_MAX; i++) {
        const struct host_session *s = market->sessions[i];

        if (!is_waiting(s) || !xn_id_eq(&s->machine, &m->id)) continue;
        r->asked[r->n_asked] = s->id;
        list[r->n_asked] = names[r->n_asked];
        task_name(s, task_last(s)->number, names[r->n_asked++]);
    }
    r->more = i < market->n_sessions; /* perhaps: after these */
    if (!r->n_asked) return;
    ask.op = XN__DOM_OP__DOM_METER;
    ask.names = list;
    ask.n_names = r->n_asked;
    r->ticket = host_dom(m, now, &ask, on_readings, m);
    xn_ticket_postpone(m->host->tickets, r->ticket, now->mono_us + METER_US);
}

/* At the end of this step, when all that are due have said so. */
static void gather(struct host_machine *m, const struct xn_now *now)
{
    m->reads.ticket = xn_ticket(m->host->tickets, now->mono_us, on_gathered,
                                m->host, m, &m->host->out);
}

void session_read(struct host_session *s, const struct xn_now *now,
                  session_next *next)
{
    struct host_machine *m = session_machine(s);
    struct host_reads *r = &m->reads;
    bool anew = (s->work.reads++ + s->id.b[1]) % ALONE_EVERY == 0;

    session_pause_for(s, now, METER_US, next);
    if (anew || s->work.alone) {
        if (anew) s->work.alone = false;
        ask_alone(s, now);
        return;
    }
    s->work.read = s->step;
    if (r->ticket)
        r->more = true; /* if that is asked already */
    else
        gather(m, now);
}
