/* SPDX-License-Identifier: GPL-3.0-or-later */
/* At the start: what sessions there are, page by page, and then each goes on. */
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
#define READ_US (20 * SECOND_US)
#define PAGE 32
#define PAGE_TASKS 8 /* one that has not begun holds its files */

static void read_page(struct host *host, const struct xn_now *now);

static void on_load_pause(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->market.load = 0;
    read_page(host, now);
}

static void load_later(struct host *host, const struct xn_now *now, int rc)
{
    struct host_market *m = &host->market;
    uint32_t n = m->load_failures < 5 ? m->load_failures++ : 5;

    xn_out_log(&host->out, XN_LOG_ERROR, "cannot read the sessions: %s",
               xn_strerror(rc));
    m->load = xn_ticket(host->tickets, now->mono_us + (SECOND_US << n),
                        on_load_pause, host, NULL, &host->out);
}

/* A record that cannot be read is left alone and named: what it was owed for
 * stands with the corp, and what runs for it runs on. */
static void is_damaged(struct host *host, const char *what, int rc)
{
    if (rc == XN_ENOMEM) host->out.rc = rc;
    host->market.damaged = true;
    xn_out_log(&host->out, XN_LOG_ERROR, "the record of a %s: %s", what,
               xn_strerror(rc));
}

static void take_session(struct host *host, const Xn__Record *record)
{
    struct host_session *s = NULL;
    xn_id id;
    int rc = XN_EINTEGRITY;

    if (record->key.len == 1 + XN_ID_SIZE) {
        memcpy(id.b, record->key.data + 1, XN_ID_SIZE);
        if (session_find(host, &id)) return;
        s = calloc(1, sizeof *s);
        rc = s ? 0 : XN_ENOMEM;
    }
    if (!rc) {
        s->host = host;
        s->id = id;
        s->loaded = true;
        rc = session_unpack(record->value.data, record->value.len, s);
        if (!rc) rc = session_insert(host, s);
    }
    if (!rc) return;
    if (s) session_clear(s);
    is_damaged(host, "session", rc);
}

static void take_task(struct host *host, const Xn__Record *record)
{
    struct host_session *s = NULL;
    uint32_t number = 0;
    xn_id id;
    int rc = XN_EINTEGRITY;

    if (record->key.len == 1 + XN_ID_SIZE + 4) {
        memcpy(id.b, record->key.data + 1, XN_ID_SIZE);
        for (size_t i = 1 + XN_ID_SIZE; i < record->key.len; i++)
            number = number << 8 | record->key.data[i];
        s = session_find(host, &id);
    }
    if (s && task_find(s, number)) return;
    if (s) {
        rc = task_take_record(s, number, record->value.data, record->value.len);
    }
    if (rc) is_damaged(host, "task", rc);
}

static void take_notes(struct host *host, const Xn__Record *record)
{
    Xn__NotesKept *body =
        xn__notes_kept__unpack(NULL, record->value.len, record->value.data);

    host->market.notes.n = body ? body->notes : 1; /* a look tells how many */
    host->market.notes.bytes = body ? body->bytes : 0;
    if (body) xn__notes_kept__free_unpacked(body, NULL);
}

/* Key 'f', or 'fn' beside it. */
static void take_forgotten(struct host *host, const Xn__Record *record)
{
    Xn__ForgottenSessions *body = NULL;

    if (record->key.len == 2 && record->key.data[1] == 'n') {
        take_notes(host, record);
        return;
    }
    body = xn__forgotten_sessions__unpack(NULL, record->value.len,
                                          record->value.data);
    if (!body) {
        is_damaged(host, "session that is forgotten", XN_EINTEGRITY);
        return;
    }
    host->market.forgotten.accepted_us = body->accepted_us;
    host->market.forgotten.dropped_us = body->dropped_us;
    xn__forgotten_sessions__free_unpacked(body, NULL);
}

/* What is over may have left a task that nobody could end. */
static void start_one(struct host_session *s, const struct xn_now *now)
{
    if (session_is_over(s)) {
        s->work.open = true;
        task_go(s, now);
    }
    session_go(s, now);
}

static void start_all(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;

    m->loaded = true;
    activity_watch(host, now);
    for (size_t i = 0; i < m->n_sessions; i++) {
        start_one(m->sessions[i], now);
        if (session_is_stranded(m->sessions[i]))
            session_strand(m->sessions[i], now);
    }
    for (size_t i = 0; i < m->n_machines; i++)
        host_dom_begin(&m->machines[i], now);
}

static bool take_page(struct host *host, const Xn__Records *page)
{
    struct host_market *m = &host->market;
    const Xn__Record *last =
        page->n_records ? page->records[page->n_records - 1] : NULL;

    for (size_t i = 0; i < page->n_records; i++) {
        switch (m->loading) {
        case LOAD_FORGOTTEN: take_forgotten(host, page->records[i]); break;
        case LOAD_SESSIONS: take_session(host, page->records[i]); break;
        default: take_task(host, page->records[i]);
        }
    }
    if (!page->more || !last || last->key.len >= sizeof m->from) return false;
    memcpy(m->from, last->key.data, last->key.len); /* right behind it */
    m->from[last->key.len] = 0;
    m->from_len = last->key.len + 1;
    return true;
}

static void on_page(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    struct host_market *m = &host->market;

    m->load = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        load_later(host, now, rc);
        return;
    }
    if (take_page(host, XN_BODY(msg, Xn__Records))) {
        read_page(host, now);
    } else if (m->loading < LOAD_TASKS) {
        m->loading++;
        m->from_len = 0;
        read_page(host, now);
    } else {
        start_all(host, now);
    }
}

static void read_page(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;
    Xn__Read read = XN__READ__INIT;

    read.prefix.data = (uint8_t *)(uintptr_t) & "fst"[m->loading];
    read.prefix.len = 1;
    read.from.data = m->from;
    read.from.len = m->from_len;
    read.limit = m->loading == LOAD_TASKS ? PAGE_TASKS : PAGE;
    m->load = xn_ticket(host->tickets, now->mono_us + READ_US, on_page, host,
                        NULL, &host->out);
    if (!m->load) return;
    xn_out_emit(&host->out, XN_ACT_READ, m->load, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

void host_market_begin(struct host *host, const struct xn_now *now)
{
    if (host->market.on && !host->market.loaded && !host->market.load) {
        read_page(host, now);
    }
}
