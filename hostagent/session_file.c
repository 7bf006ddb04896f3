/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session and its record, and as others see it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
#define STORE_US (30 * SECOND_US)

#define RATES (sizeof(struct money_rates) / sizeof(xn_dec))
#define PRICES (sizeof(struct price_list) / sizeof(xn_dec))
#define USAGES (sizeof(struct price_usage) / sizeof(xn_dec))

/* ---- writing ---- */

struct decs { /* room for a record's */
    uint8_t rates[RATES * XN_DEC_BYTES], prices[PRICES * XN_DEC_BYTES];
    uint8_t usage[USAGES * XN_DEC_BYTES], metered[USAGES * XN_DEC_BYTES];
    struct extension_record extension;
};

static ProtobufCBinaryData bytes_of(const struct host_bytes *bytes)
{
    return (ProtobufCBinaryData){bytes->len, bytes->data};
}

static ProtobufCBinaryData decs(const void *from, size_t n, uint8_t *room)
{
    xn_decs_put(from, n, room);
    return (ProtobufCBinaryData){n * XN_DEC_BYTES, room};
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* messages have no const */
}

static void put_sale(const struct host_session *s, struct decs *room,
                     Xn__SessionRecord *r)
{
    r->request = xn_id_bytes(&s->request);
    r->holder = xn_id_bytes(&s->holder);
    r->serial = xn_id_bytes(&s->sale.serial);
    r->narrowing = xn_id_bytes(&s->sale.narrowing);
    r->quote = xn_id_bytes(&s->sale.quote);
    r->env_type = text_of(s->env_type);
    r->pvh = s->pvh;
    r->rates = decs(&s->sale.terms.rates, RATES, room->rates);
    r->prices = decs(&s->sale.terms.prices, PRICES, room->prices);
    r->currency = text_of(s->sale.terms.currency);
    r->created_us = s->created_us;
    r->amount = s->sale.terms.amount;
    r->most_per_hour = s->sale.terms.most_per_hour;
    r->until_us = s->sale.terms.until_us;
    if (!s->accepted) return;
    r->acceptance = xn_id_bytes(&s->sale.terms.acceptance);
    r->since_us = s->sale.terms.since_us;
    r->envelope = bytes_of(&s->acceptance);
}

static void put_claims(const struct host_session *s, struct decs *room,
                       Xn__SessionRecord *r)
{
    r->sequence = s->claims.sequence;
    r->last = xn_id_bytes(&s->claims.hash);
    r->till_us = s->claims.till_us;
    r->usage = decs(&s->claims.usage, USAGES, room->usage);
    r->charged = s->claims.amount;
    r->final = s->claims.final;
    r->receipt = bytes_of(&s->receipt);
    r->claim = bytes_of(&s->claim);
    r->claim_document = bytes_of(&s->document);
    r->metered = decs(&s->metered, USAGES, room->metered);
    r->metered_us = s->metered_us;
    r->saved_ms = s->saved_ms;
    r->counting = s->counting;
    r->refused_till_us = s->refused_till_us;
    r->cuts = s->cuts;
}

int session_pack(const struct host_session *s, uint8_t **bytes_out,
                 size_t *len_out)
{
    Xn__SessionRecord r = XN__SESSION_RECORD__INIT;
    struct decs room;

    r.state = s->state;
    put_sale(s, &room, &r);
    put_claims(s, &room, &r);
    session_extension_put(s, &room.extension, &r);
    r.warned = s->warned;
    r.paused_us = s->paused_us;
    r.ended_us = s->ended_us;
    r.reason = text_of(s->reason);
    r.rc = s->rc;
    r.down = s->down;
    r.used = s->used;
    if (!xn_id_is_zero(&s->machine)) r.machine = xn_id_bytes(&s->machine);
    return xn_pack(&r, bytes_out, len_out);
}

/* ---- reading ---- */

static int get_id(const ProtobufCBinaryData *from, xn_id *out)
{
    return xn_id_from_bytes(from, out) ? XN_EINTEGRITY : 0;
}

static int get_text(const char *from, char *out, size_t size)
{
    if (strlen(from) >= size) return XN_EINTEGRITY;
    memcpy(out, from, strlen(from) + 1);
    return 0;
}

static int get_decs(const ProtobufCBinaryData *from, void *out, size_t n)
{
    return xn_decs_get(from->data, from->len, out, n);
}

static int get_bytes(const ProtobufCBinaryData *from, struct host_bytes *to)
{
    if (!from->len) return 0;
    to->data = malloc(from->len);
    if (!to->data) return XN_ENOMEM;
    memcpy(to->data, from->data, from->len);
    to->len = from->len;
    return 0;
}

static int get_sale(const Xn__SessionRecord *r, struct host_session *s)
{
    int rc = get_id(&r->request, &s->request);

    s->pvh = r->pvh;
    if (!rc) rc = get_id(&r->holder, &s->holder);
    if (!rc) rc = get_id(&r->serial, &s->sale.serial);
    if (!rc) rc = get_id(&r->narrowing, &s->sale.narrowing);
    if (!rc) rc = get_id(&r->quote, &s->sale.quote);
    if (!rc) rc = get_text(r->env_type, s->env_type, sizeof s->env_type);
    if (!rc) rc = get_decs(&r->rates, &s->sale.terms.rates, RATES);
    if (!rc) rc = get_decs(&r->prices, &s->sale.terms.prices, PRICES);
    if (!rc) {
        rc = get_text(r->currency, s->sale.terms.currency,
                      sizeof s->sale.terms.currency);
    }
    s->created_us = r->created_us;
    s->sale.terms.corp = s->host->config.corp;
    s->sale.terms.server = s->host->config.id;
    s->sale.terms.holder = s->holder;
    s->sale.terms.session = s->id;
    s->sale.terms.amount = r->amount;
    s->sale.terms.most_per_hour = r->most_per_hour;
    s->sale.terms.since_us = r->since_us;
    s->sale.terms.until_us = r->until_us;
    s->accepted = r->acceptance.len > 0;
    if (!rc && s->accepted)
        rc = get_id(&r->acceptance, &s->sale.terms.acceptance);
    if (!rc) rc = get_bytes(&r->envelope, &s->acceptance);
    return rc;
}

static int get_claim(struct host_session *s)
{
    struct money doc;
    int rc;

    if (!s->claim.len) return 0;
    rc = money_parse(MONEY_CLAIM, s->document.data, s->document.len, &doc, NULL,
                     0);
    if (!rc) s->claimed = doc.claim;
    return rc == XN_ENOMEM ? rc : rc ? XN_EINTEGRITY : 0;
}

static int get_claims(const Xn__SessionRecord *r, struct host_session *s)
{
    int rc = get_id(&r->last, &s->claims.hash);

    s->claims.sequence = r->sequence;
    s->claims.till_us = r->till_us;
    s->claims.amount = r->charged;
    s->claims.final = r->final;
    s->metered_us = r->metered_us;
    s->saved_ms = r->saved_ms;
    s->counting = r->counting;
    s->refused_till_us = r->refused_till_us;
    s->cuts = r->cuts;
    if (!rc) rc = get_decs(&r->usage, &s->claims.usage, USAGES);
    if (!rc) rc = get_decs(&r->metered, &s->metered, USAGES);
    if (!rc) rc = get_bytes(&r->receipt, &s->receipt);
    if (!rc) rc = get_bytes(&r->claim, &s->claim);
    if (!rc) rc = get_bytes(&r->claim_document, &s->document);
    return rc ? rc : get_claim(s);
}

static bool state_ok(Xn__SessionState state)
{
    return state > XN__SESSION_STATE__SESSION_NONE &&
           state <= XN__SESSION_STATE__SESSION_REFUSED;
}

int session_unpack(const uint8_t *bytes, size_t len, struct host_session *s)
{
    Xn__SessionRecord *r = xn__session_record__unpack(NULL, len, bytes);
    int rc = r && state_ok(r->state) ? 0 : XN_EINTEGRITY;

    if (!rc) rc = get_sale(r, s);
    if (!rc) rc = get_claims(r, s);
    if (!rc) rc = session_extension_get(r, s);
    if (!rc) rc = get_text(r->reason, s->reason, sizeof s->reason);
    if (!rc && r->machine.len) rc = get_id(&r->machine, &s->machine);
    if (!rc) {
        s->state = r->state;
        s->warned = r->warned;
        s->paused_us = r->paused_us;
        s->ended_us = r->ended_us;
        s->rc = r->rc;
        s->down = r->down;
        s->used = r->used;
        s->stored = s->filed = true;
    }
    if (r) xn__session_record__free_unpacked(r, NULL);
    return rc;
}

/* ---- the store ---- */

struct key {
    uint8_t b[1 + XN_ID_SIZE];
};

static struct key key_of(const struct host_session *s, char letter)
{
    struct key key;

    key.b[0] = (uint8_t)letter;
    memcpy(key.b + 1, s->id.b, XN_ID_SIZE);
    return key;
}

static void save_again(struct host_session *s, const struct xn_now *now)
{
    session_save(s, now, s->next);
}

static void on_saved(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    session_next *next = s->next;

    s->step = 0;
    if (rc) {
        xn_out_log(out, XN_LOG_ERROR, "cannot store a session: %s",
                   xn_strerror(rc));
        if (!s->stored && rc == XN_ENOSPC) { /* nothing of it is there */
            if (s->ask) {
                xn_out_refuse(out, s->ask, XN_ENOSPC,
                              "cannot create the session",
                              "the server's disk is full", "another server");
            }
            session_free(s);
            return;
        }
        s->stored = true; /* perhaps */
        session_pause_longer(s, now, save_again);
        s->next = next;
        return;
    }
    if (!s->filed && s->work.n) {
        s->work.tasks[0]->stored = true;
        s->work.tasks[0]->dirty = false;
    }
    s->stored = s->filed = true;
    s->rounds = 0;
    activity_stored(s);
    next(s, now);
}

static int pack_papers(const struct host_session *s, ProtobufCBinaryData *out)
{
    Xn__SessionPapers papers = XN__SESSION_PAPERS__INIT;

    papers.validate = bytes_of(&s->validate);
    papers.requirements = bytes_of(&s->requirements);
    return xn_pack(&papers, &out->data, &out->len);
}

/* With the record go, at first, the papers and a task that came with them; with a
 * claim its note. */
struct session_writes {
    Xn__Write state, papers, *list[3 + ACTIVITY_WRITES];
    struct key key_s, key_p;
    struct task_write task;
    struct activity_writes activity;
    Xn__Txn txn;
};

static void writes_clear(struct session_writes *w)
{
    for (size_t i = 0; i < w->txn.n_writes; i++)
        free(w->list[i]->value.data);
}

static void add_write(struct session_writes *w, Xn__Write *write)
{
    w->list[w->txn.n_writes++] = write;
}

static int writes_of(const struct host_session *s, struct session_writes *w)
{
    int rc;

    xn__write__init(&w->state);
    xn__write__init(&w->papers);
    xn__txn__init(&w->txn);
    w->txn.writes = w->list;
    w->key_s = key_of(s, 's');
    w->key_p = key_of(s, 'p');
    w->state.key = (ProtobufCBinaryData){sizeof w->key_s.b, w->key_s.b};
    w->papers.key = (ProtobufCBinaryData){sizeof w->key_p.b, w->key_p.b};
    add_write(w, &w->state);
    rc = session_pack(s, &w->state.value.data, &w->state.value.len);
    if (!rc && s->activity.is_signed) {
        rc = activity_put(s, &w->activity);
        for (size_t i = 0; i < ACTIVITY_WRITES; i++)
            add_write(w, &w->activity.writes[i]);
    }
    if (rc || s->filed) return rc;
    add_write(w, &w->papers);
    rc = pack_papers(s, &w->papers.value);
    if (rc || !s->work.n) return rc;
    rc = task_write(s, s->work.tasks[0], &w->task);
    if (!rc) add_write(w, &w->task.write);
    return rc;
}

void session_save(struct host_session *s, const struct xn_now *now,
                  session_next *next)
{
    struct host *host = s->host;
    struct session_writes w;
    int rc = writes_of(s, &w);

    s->next = next;
    s->step = xn_ticket(host->tickets, now->mono_us + STORE_US, on_saved, host,
                        s, &host->out);
    if (rc) {
        host->out.rc = rc;
    } else if (s->step) {
        xn_out_emit(&host->out, XN_ACT_TXN, s->step, XN_PEER_NONE,
                    XN__KIND__TXN, &w.txn);
    }
    writes_clear(&w);
}

bool session_is_forgotten(const struct host_session *s, uint64_t accepted_us)
{
    const struct host_market *m = &s->host->market;

    /* One that is older than that waits, perhaps, for an answer of long ago. */
    return accepted_us <= m->forgotten.accepted_us &&
           s->created_us >= m->forgotten.dropped_us;
}

/* The latest of all that are forgotten stands for them: what is accepted anew is
 * accepted later. */
static int note_forgotten(struct host_session *s, const struct xn_now *now,
                          Xn__Write *write)
{
    struct host_market *m = &s->host->market;
    Xn__ForgottenSessions body = XN__FORGOTTEN_SESSIONS__INIT;

    if (m->forgotten.accepted_us < s->sale.terms.since_us)
        m->forgotten.accepted_us = s->sale.terms.since_us;
    m->forgotten.dropped_us = now->wall_us;
    body.accepted_us = m->forgotten.accepted_us;
    body.dropped_us = m->forgotten.dropped_us;
    write->key.data = (uint8_t *)(uintptr_t) "f";
    write->key.len = 1;
    return xn_pack(&body, &write->value.data, &write->value.len);
}

/* Nobody waits for it: what is there again after a restart is over as well. */
void session_drop(struct host_session *s, const struct xn_now *now)
{
    Xn__Write state = XN__WRITE__INIT, papers = XN__WRITE__INIT;
    Xn__Write forgotten = XN__WRITE__INIT;
    Xn__Write *writes[3 + TASKS_KEPT] = {&state, &papers};
    struct task_write tasks[TASKS_KEPT];
    Xn__Txn txn = XN__TXN__INIT;
    struct key key_s = key_of(s, 's'), key_p = key_of(s, 'p');

    state.key = (ProtobufCBinaryData){sizeof key_s.b, key_s.b};
    papers.key = (ProtobufCBinaryData){sizeof key_p.b, key_p.b};
    state.drop = papers.drop = true;
    txn.writes = writes;
    txn.n_writes = 2;
    for (size_t i = 0; i < s->work.n; i++) {
        task_write_drop(s, s->work.tasks[i]->number, &tasks[i]);
        writes[txn.n_writes++] = &tasks[i].write;
    }
    if (s->accepted) {
        if (note_forgotten(s, now, &forgotten)) s->host->out.rc = XN_ENOMEM;
        writes[txn.n_writes++] = &forgotten;
    }
    if (s->stored) {
        xn_out_emit(&s->host->out, XN_ACT_TXN, 0, XN_PEER_NONE, XN__KIND__TXN,
                    &txn);
    }
    free(forgotten.value.data);
    for (size_t i = 0; i < s->work.n; i++)
        host_dom_forget(s, s->work.tasks[i]->number);
    session_free(s);
}

/* ---- as others see it ---- */

static char *amount_text(xn_dec d, char *room)
{
    room[0] = 0;
    if (d.v) xn_dec_format(d, room);
    return room;
}

void amounts_describe(const struct money_rates *rates,
                      struct amounts_text *room)
{
    xn__amounts__init(&room->body);
    room->body.cpu_smps = amount_text(rates->cpu_smps, room->text[0]);
    room->body.memory_mb = amount_text(rates->memory_mb, room->text[1]);
    room->body.disk_gb = amount_text(rates->disk_gb, room->text[2]);
    room->body.net_mbps = amount_text(rates->net_mbps, room->text[3]);
    room->body.ipv4_addresses =
        amount_text(rates->ipv4_addresses, room->text[4]);
}

static const char *trouble_of(const struct host_session *s)
{
    const struct host *host = s->host;
    bool lives = s->state == XN__SESSION_STATE__SESSION_RUNNING ||
                 s->state == XN__SESSION_STATE__SESSION_PAUSED ||
                 s->state == XN__SESSION_STATE__SESSION_ENDING;

    if (!s->trouble[0] && lives && host->config.sandbox && !session_is_up(s)) {
        return xn_id_is_zero(&s->machine)
                   ? "xenodomd, which runs the tasks, is not there"
                   : "the machine that it runs on is not there";
    }
    return s->trouble;
}

void session_describe(const struct host_session *s, bool whole,
                      struct session_text *room, Xn__HostSession *out)
{
    const struct host_task *t = task_last(s);

    amounts_describe(&s->sale.terms.rates, &room->amounts);
    xn__host_session__init(out);
    out->session = xn_id_bytes(&s->id);
    out->state = s->state;
    out->holder = xn_id_bytes(&s->holder);
    out->serial = xn_id_bytes(&s->sale.serial);
    out->currency = text_of(s->sale.terms.currency);
    out->charged = out->claimed = s->claims.amount;
    if (s->claim.len) out->claimed = s->claimed.amount;
    out->created_us = s->created_us;
    out->until_us = s->sale.terms.until_us;
    out->till_us = s->claims.till_us;
    out->sequence = s->claims.sequence;
    out->warned = s->warned;
    out->env_type = text_of(s->env_type);
    out->reserved = &room->amounts.body;
    if (s->host->config.xen)
        out->virtualisation = text_of(s->pvh ? "pvh" : "pv");
    out->manager = text_of(s->host->market.manager->name);
    out->reason = text_of(s->reason);
    out->rc = s->rc;
    out->trouble = text_of(trouble_of(s));
    if (t) {
        task_describe(s, t, &room->task);
        out->tasks = t->number;
        out->task = &room->task;
    }
    out->extended = s->extended;
    out->before = s->before;
    if (s->accepted) {
        out->amount = s->sale.terms.amount;
        out->since_us = s->sale.terms.since_us;
    }
    if (!whole) return;
    out->acceptance = bytes_of(&s->acceptance);
    out->receipt = bytes_of(&s->receipt);
}

void session_answer(struct host_session *s, uint64_t *ask)
{
    struct session_text room;
    Xn__HostSession body;

    if (!*ask) return;
    session_describe(s, true, &room, &body);
    xn_out_answer(&s->host->out, *ask, 200, &body);
    *ask = 0;
}
