/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes in the store: by session, and by age, so that the oldest are found
 * without a look at all. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
#define STORE_US (30 * SECOND_US)
#define WATCH_US (60 * SECOND_US)
#define PAGE 64
#define KEPT_KEY "fn"
#define LENGTH 4

/* ---- keys ---- */

static void put_number(uint8_t *to, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        to[i] = (uint8_t)number;
}

static uint64_t get_number(const uint8_t *from)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++)
        number = number << 8 | from[i];
    return number;
}

static void note_key(const uint8_t session[XN_ID_SIZE], uint64_t sequence,
                     uint64_t us, uint8_t key[ACTIVITY_KEY])
{
    key[0] = 'a';
    memcpy(key + 1, session, XN_ID_SIZE);
    put_number(key + 1 + XN_ID_SIZE, sequence);
    put_number(key + 1 + XN_ID_SIZE + 8, us);
}

static void age_key(const uint8_t session[XN_ID_SIZE], uint64_t sequence,
                    uint64_t us, uint8_t key[ACTIVITY_KEY])
{
    key[0] = 'i';
    put_number(key + 1, us);
    memcpy(key + 1 + 8, session, XN_ID_SIZE);
    put_number(key + 1 + 8 + XN_ID_SIZE, sequence);
}

/* Of a note, as it stands with its age; 0: that does not tell. */
static uint64_t length_of(const ProtobufCBinaryData *value)
{
    uint64_t len = 0;

    for (size_t i = 0; value->len == LENGTH && i < LENGTH; i++)
        len = len << 8 | value->data[i];
    return len;
}

/* ---- writing ---- */

static ProtobufCBinaryData key_data(uint8_t key[ACTIVITY_KEY])
{
    return (ProtobufCBinaryData){ACTIVITY_KEY, key};
}

static int put_kept(const struct host_market *m, Xn__Write *write)
{
    Xn__NotesKept body = XN__NOTES_KEPT__INIT;

    xn__write__init(write);
    write->key.data = (uint8_t *)(uintptr_t)KEPT_KEY;
    write->key.len = strlen(KEPT_KEY);
    body.notes = m->notes.n;
    body.bytes = m->notes.bytes;
    return xn_pack(&body, &write->value.data, &write->value.len);
}

int activity_put(const struct host_session *s, struct activity_writes *room)
{
    const struct host_activity *a = &s->activity;
    Xn__Write *note = &room->writes[0], *age = &room->writes[1];

    xn__write__init(note);
    xn__write__init(age);
    note_key(s->id.b, s->claimed.sequence, a->note_us, room->note_key);
    age_key(s->id.b, s->claimed.sequence, a->note_us, room->age_key);
    note->key = key_data(room->note_key);
    age->key = key_data(room->age_key);
    note->value.data = malloc(a->note.len);
    age->value.data = malloc(LENGTH);
    if (note->value.data) {
        memcpy(note->value.data, a->note.data, a->note.len);
        note->value.len = a->note.len;
    }
    if (age->value.data) {
        age->value.len = LENGTH;
        for (unsigned i = 0; i < LENGTH; i++)
            age->value.data[i] = (uint8_t)(a->note.len >> (24 - 8 * i));
    }
    if (put_kept(&s->host->market, &room->writes[2]) || !note->value.data ||
        !age->value.data) {
        return XN_ENOMEM;
    }
    return 0;
}

/* ---- dropping what is old ---- */

bool activity_is_old(const struct host *host, const struct xn_now *now,
                     uint64_t note_us)
{
    return now->wall_us >= note_us &&
           now->wall_us - note_us >= host->config.activity_us;
}

static void read_ages(struct host *host, const struct xn_now *now);

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->market.sweep_notes = 0;
    read_ages(host, now);
}

void activity_watch(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;
    uint64_t us = host->config.activity_us / 4;

    if (m->sweep_notes || !m->notes.n) return;
    if (us > WATCH_US) us = WATCH_US;
    m->sweep_notes = xn_ticket(host->tickets, now->mono_us + us, on_time, host,
                               NULL, &host->out);
}

static void on_dropped(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->market.sweep_notes = 0;
    if (rc) {
        xn_out_log(out, XN_LOG_ERROR, "cannot drop old activity notes: %s",
                   xn_strerror(rc));
        host->market.notes.n += host->market.notes_dropped.n;
        host->market.notes.bytes += host->market.notes_dropped.bytes;
        activity_watch(host, now);
    } else {
        read_ages(host, now); /* there may be more */
    }
}

struct drops {
    uint8_t keys[2 * PAGE][ACTIVITY_KEY];
    Xn__Write writes[2 * PAGE + 1], *list[2 * PAGE + 1];
    Xn__Txn txn;
};

static void add_drop(struct drops *d, const uint8_t *key, size_t len)
{
    size_t n = d->txn.n_writes++;

    xn__write__init(&d->writes[n]);
    memcpy(d->keys[n], key, len);
    d->writes[n].key = (ProtobufCBinaryData){len, d->keys[n]};
    d->writes[n].drop = true;
    d->list[n] = &d->writes[n];
}

/* Those of the page that are to go: they come by age. */
static size_t gather(struct host *host, const struct xn_now *now,
                     const Xn__Records *page, struct drops *d,
                     uint64_t *bytes_out)
{
    const struct host_market *m = &host->market;
    uint64_t max = host->config.notes_max, bytes = 0;
    uint64_t bytes_max = host->config.notes_bytes;
    size_t n = 0;

    while (n < page->n_records && n < PAGE) {
        const ProtobufCBinaryData *key = &page->records[n]->key;
        uint8_t note[ACTIVITY_KEY];

        if (key->len != ACTIVITY_KEY) break; /* none of ours */
        if (!activity_is_old(host, now, get_number(key->data + 1)) &&
            m->notes.n <= max + n && m->notes.bytes <= bytes_max + bytes) {
            break;
        }
        note_key(key->data + 1 + 8, get_number(key->data + 1 + 8 + XN_ID_SIZE),
                 get_number(key->data + 1), note);
        add_drop(d, note, sizeof note);
        add_drop(d, key->data, key->len);
        bytes += length_of(&page->records[n]->value);
        n++;
    }
    *bytes_out = bytes;
    return n;
}

static void drop(struct host *host, const struct xn_now *now,
                 const Xn__Records *page)
{
    struct host_market *m = &host->market;
    struct drops *d = calloc(1, sizeof *d);
    uint64_t bytes = 0;
    Xn__Write *kept;
    size_t n;

    if (!d) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    xn__txn__init(&d->txn);
    d->txn.writes = d->list;
    n = gather(host, now, page, d, &bytes);
    if (!n) {
        activity_watch(host, now);
        goto out;
    }
    m->notes_dropped.n = m->notes.n > n ? n : m->notes.n;
    m->notes_dropped.bytes = m->notes.bytes > bytes ? bytes : m->notes.bytes;
    m->notes.n -= m->notes_dropped.n;
    m->notes.bytes -= m->notes_dropped.bytes;
    kept = d->list[d->txn.n_writes] = &d->writes[d->txn.n_writes];
    if (put_kept(m, kept)) {
        host->out.rc = XN_ENOMEM;
        goto out;
    }
    d->txn.n_writes++;
    m->sweep_notes = xn_ticket(host->tickets, now->mono_us + STORE_US,
                               on_dropped, host, NULL, &host->out);
    if (m->sweep_notes) {
        xn_out_emit(&host->out, XN_ACT_TXN, m->sweep_notes, XN_PEER_NONE,
                    XN__KIND__TXN, &d->txn);
    }
    free(kept->value.data);
out:
    free(d);
}

static void on_ages(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    struct host_market *m = &host->market;
    const Xn__Records *page;

    m->sweep_notes = 0;
    if (rc || !msg || msg->kind != XN__KIND__RECORDS) {
        activity_watch(host, now);
        return;
    }
    page = XN_BODY(msg, Xn__Records);
    if (m->notes.n < page->n_records) m->notes.n = page->n_records;
    if (!page->n_records) m->notes = (struct notes_kept){0};
    drop(host, now, page);
}

static void read_ages(struct host *host, const struct xn_now *now)
{
    struct host_market *m = &host->market;
    Xn__Read read = XN__READ__INIT;

    read.prefix.data = (uint8_t *)(uintptr_t) "i";
    read.prefix.len = 1;
    read.limit = PAGE;
    m->sweep_notes = xn_ticket(host->tickets, now->mono_us + STORE_US, on_ages,
                               host, NULL, &host->out);
    if (!m->sweep_notes) return;
    xn_out_emit(&host->out, XN_ACT_READ, m->sweep_notes, XN_PEER_NONE,
                XN__KIND__READ, &read);
}
