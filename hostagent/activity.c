/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/activity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/text.h"

#define GATHER_US 3000000ULL

/* NULL: out of memory. */
static struct flows *flows_of(struct host_session *s)
{
    struct host_activity *a = &s->activity;

    if (!a->flows) a->flows = calloc(1, sizeof *a->flows);
    if (!a->flows) s->host->out.rc = XN_ENOMEM;
    return a->flows;
}

void activity_add(struct host_session *s, const struct flow *flow)
{
    struct flows *flows = flows_of(s);

    if (flows) flows_add(flows, flow);
}

static void add_all(struct host_session *s, const struct flows *from)
{
    struct flows *flows = flows_any(from) ? flows_of(s) : NULL;

    if (flows) flows_merge(flows, from);
}

/* Not all is known, for that reason. */
static void unknown(struct host_session *s, const char *because)
{
    struct flows *flows = flows_of(s);

    if (!flows) return;
    snprintf(flows->unknown, sizeof flows->unknown, "%s", because);
    xn_plain(flows->unknown);
}

/* ---- domains: one task after the other ---- */

static bool may_talk(const struct host_session *s)
{
    return s->host->config.xen && s->sale.terms.rates.net_mbps.v > 0;
}

static void ask_next(struct host_session *s, const struct xn_now *now);

static void on_flows(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = task_find(s, s->activity.asked);
    const Xn__DomTell *tell;
    struct flows flows;

    s->step = 0;
    rc = host_told(s->host, rc, msg, &tell);
    if (!rc && !tell->flows) rc = XN_EPROTO;
    if (!rc) rc = flows_take(tell->flows, now->wall_us, &flows);
    if (!rc)
        add_all(s, &flows);
    else
        unknown(s, tell && tell->rc && tell->because[0] ? tell->because
                                                        : xn_strerror(rc));
    if (t) t->flows_told = t->over;
    ask_next(s, now);
}

/* One that has ended is asked for once more. */
static struct host_task *next_task(const struct host_session *s)
{
    for (size_t i = 0; may_talk(s) && i < s->work.n; i++) {
        struct host_task *t = s->work.tasks[i];

        if (t->number > s->activity.asked && t->record->seen && !t->flows_told)
            return t;
    }
    return NULL;
}

static void ask_next(struct host_session *s, const struct xn_now *now)
{
    struct host_machine *m = session_machine(s);
    struct host_task *t = next_task(s);
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    char name[TASK_NAME_MAX];

    if (!t) {
        s->next(s, now);
    } else if (!m || !session_is_up(s)) {
        unknown(s, "what runs tasks was not there");
        s->next(s, now);
    } else {
        s->activity.asked = t->number;
        task_name(s, t->number, name);
        ask.op = XN__DOM_OP__DOM_FLOWS;
        ask.name = name;
        s->step = host_dom(m, now, &ask, on_flows, s);
        xn_ticket_postpone(s->host->tickets, s->step, now->mono_us + GATHER_US);
    }
}

/* ---- what this server carries ---- */

static void take_carried(struct host_session *s, const struct xn_now *now,
                         const Xn__AllCarried *all)
{
    struct task_wait *wait;

    DL_FOREACH(s->host->market.waits, wait)
    {
        if (wait->kind != WAIT_STREAM || !xn_id_eq(&wait->session, &s->id))
            continue;
        for (size_t i = 0; i < all->n_streams; i++) {
            if (all->streams[i]->ticket == wait->ticket)
                task_stream_carried(wait, now, all->streams[i]);
        }
    }
}

static void on_carried(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;

    s->step = 0;
    if (!rc && msg && msg->kind == XN__KIND__ALL_CARRIED)
        take_carried(s, now, XN_BODY(msg, Xn__AllCarried));
    else
        unknown(s, "what was carried to its ports is not known");
    ask_next(s, now);
}

static bool has_streams(const struct host_session *s)
{
    const struct task_wait *wait;

    DL_FOREACH(s->host->market.waits, wait)
    {
        if (wait->kind == WAIT_STREAM && wait->carried.port &&
            xn_id_eq(&wait->session, &s->id))
            return true;
    }
    return false;
}

void activity_gather(struct host_session *s, const struct xn_now *now,
                     session_next *next)
{
    struct host *host = s->host;
    Xn__AskCarried ask = XN__ASK_CARRIED__INIT;

    s->next = next;
    s->activity.asked = 0;
    if (!has_streams(s)) {
        ask_next(s, now);
        return;
    }
    s->step = xn_ticket(host->tickets, now->mono_us + GATHER_US, on_carried,
                        host, s, &host->out);
    if (!s->step) return;
    xn_out_emit(&host->out, XN_ACT_DOMAIN, s->step, XN_PEER_NONE,
                XN__KIND__ASK_CARRIED, &ask);
}

/* ---- the note ---- */

static void note_clear(struct host_activity *a)
{
    host_bytes_clear(&a->note);
    a->is_signed = false;
}

/* A claim that was not made after all gives back what was its. */
static void unbind(struct host_session *s)
{
    struct host_activity *a = &s->activity;

    if (a->bound) {
        add_all(s, a->bound);
        a->excused = false;
    }
    free(a->bound);
    a->bound = NULL;
    note_clear(a);
}

static uint64_t begin_of(const struct host_session *s)
{
    return s->claims.till_us > s->sale.terms.since_us ? s->claims.till_us
                                                      : s->sale.terms.since_us;
}

static int pack(struct host_session *s, const struct xn_now *now,
                const struct money *claim)
{
    struct host_activity *a = &s->activity;
    Xn__ActivityNote note = XN__ACTIVITY_NOTE__INIT;
    struct flows_room room;

    flows_put(a->bound, &room);
    note.session = xn_id_bytes(&s->id);
    note.holder = xn_id_bytes(&s->holder);
    note.serial = xn_id_bytes(&s->sale.serial);
    note.sequence = claim->claim.sequence;
    note.since_us = begin_of(s);
    note.till_us = now->wall_us;
    if (!a->kept) a->note_us = now->wall_us;
    note.flows = &room.body;
    return xn_pack(&note, &a->note.data, &a->note.len);
}

/* Behind what is said already; XN_VALUE_MAX has room for it. */
static void put_hash(const struct host_bytes *note, char *text, size_t size)
{
    size_t len = strlen(text);
    char hex[XN_ID_HEX];
    xn_id hash;

    xn_id_hash(note->data, note->len, &hash);
    xn_id_hex(&hash, hex);
    snprintf(text + len, size - len, "; note %s", hex);
}

/* A reason that is all there is to tell is told once, until there is more: or a
 * server that cannot count would note that at each claim. */
static bool is_told(const struct host_activity *a)
{
    const struct flows *f = a->flows;

    return !f || !flows_any(f) ||
           (a->excused && !f->n && !f->others_sent && !f->others_got);
}

int activity_bind(struct host_session *s, const struct xn_now *now,
                  struct money *claim)
{
    struct host_activity *a = &s->activity;
    int rc;

    unbind(s);
    if (is_told(a)) return 0;
    a->excused = !a->flows->n;
    a->bound = a->flows;
    a->flows = NULL;
    rc = pack(s, now, claim);
    if (rc) return rc;
    put_hash(&a->note, claim->claim.activity, sizeof claim->claim.activity);
    return 0;
}

void activity_signed(struct host_session *s, const struct xn_now *now)
{
    struct notes_kept *kept = &s->host->market.notes;
    struct host_activity *a = &s->activity;

    if (!a->note.len || a->is_signed) return;
    a->is_signed = true;
    if (!a->kept) kept->n++; /* else it takes the place of the one before */
    kept->bytes += a->note.len;
    kept->bytes -= a->kept < kept->bytes ? a->kept : kept->bytes;
    a->kept = a->note.len;
    activity_watch(s->host, now);
}

void activity_stored(struct host_session *s)
{
    if (s->activity.is_signed) note_clear(&s->activity);
}

void activity_taken(struct host_session *s)
{
    struct host_activity *a = &s->activity;

    free(a->bound);
    a->bound = NULL;
    a->kept = 0;
}

void activity_clear(struct host_session *s)
{
    struct host_activity *a = &s->activity;

    free(a->flows);
    free(a->bound);
    a->flows = a->bound = NULL;
    note_clear(a);
}
