/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who reads notes: the operator all of them, a client those of his sessions, also
 * of one that is forgotten. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/activity.h"
#include "lib/err.h"
#include "wire/nest.h"

#define WHAT "cannot tell the activity"
#define READ_US 20000000ULL
#define PAGE 16
#define PLACE (ACTIVITY_KEY - 1) /* bytes of a place in the list */

struct activity_ask {
    struct host *host;
    uint64_t ask; /* 0: nobody waits any more */
    uint64_t ticket;
    bool all;     /* the operator asks */
    xn_id caller; /* else who */
    bool one;     /* of this session alone */
    xn_id session;
    uint8_t from[ACTIVITY_KEY + 1]; /* key that it goes on at */
    size_t from_len;                /* 0: at the first */
    struct activity_ask *prev, *next;
};

static void drop(struct activity_ask *a)
{
    DL_DELETE(a->host->market.activity_asks, a);
    a->host->market.n_activity_asks--;
    free(a);
}

void activity_cancel(struct host *host, uint64_t ask)
{
    struct activity_ask *a;

    DL_FOREACH(host->market.activity_asks, a)
    {
        if (a->ask == ask) a->ask = 0;
    }
}

void activity_asks_clear(struct host *host)
{
    struct activity_ask *a, *next;

    DL_FOREACH_SAFE(host->market.activity_asks, a, next)
    {
        drop(a);
    }
}

/* ---- the answer ---- */

static void refuse(const struct activity_ask *a, int rc, const char *because,
                   const char *try)
{
    if (a->ask) xn_out_refuse(&a->host->out, a->ask, rc, WHAT, because, try);
}

/* Without a note it may still be a session of his. */
static bool is_his(const struct activity_ask *a)
{
    const struct host_session *s = session_find(a->host, &a->session);

    return a->all || (s && s->state != XN__SESSION_STATE__SESSION_NONE &&
                      xn_id_eq(&s->holder, &a->caller));
}

enum whose { HIS, ANOTHERS, OLD, BROKEN };

static enum whose look(const struct activity_ask *a, const struct xn_now *now,
                       const Xn__Record *record)
{
    Xn__ActivityNote *note = xn_unpack(&xn__activity_note__descriptor,
                                       record->value.data, record->value.len);
    enum whose whose = HIS;
    xn_id holder;

    if (!note || record->key.len != ACTIVITY_KEY ||
        xn_id_from_bytes(&note->holder, &holder))
        whose = BROKEN;
    else if (!a->all && !xn_id_eq(&holder, &a->caller))
        whose = ANOTHERS;
    else if (activity_is_old(a->host, now, note->till_us))
        whose = OLD;
    if (note) xn__activity_note__free_unpacked(note, NULL);
    return whose;
}

static void answer(const struct activity_ask *a, const struct xn_now *now,
                   const Xn__Records *page)
{
    Xn__ActivityNotes body = XN__ACTIVITY_NOTES__INIT;
    ProtobufCBinaryData notes[PAGE];
    bool his = is_his(a);

    body.notes = notes;
    body.kept_us = a->host->config.activity_us;
    for (size_t i = 0; i < page->n_records && i < PAGE; i++) {
        const Xn__Record *record = page->records[i];
        enum whose whose = look(a, now, record);

        if (whose == BROKEN) {
            refuse(a, XN_EINTEGRITY, "a note is damaged", "xenoserver doctor");
            return;
        }
        his |= whose == HIS || whose == OLD;
        if (whose == HIS) notes[body.n_notes++] = record->value;
        if (page->more)
            body.last = (ProtobufCBinaryData){PLACE, record->key.data + 1};
    }
    if (his)
        xn_out_answer(&a->host->out, a->ask, 200, &body);
    else
        refuse(a, XN_ENOENT, "you have no such session here",
               "GET /v1/sessions");
}

static void on_page(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct activity_ask *a = ctx;

    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc)
        refuse(a, rc, xn_strerror(rc), "again in a second");
    else if (a->ask)
        answer(a, now, XN_BODY(msg, Xn__Records));
    drop(a);
}

/* ---- the question ---- */

static int unhex(const char *text, uint8_t *out, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < 2 * n; i++) {
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;

        if (!at) return XN_EINVAL;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (at - digits));
    }
    return 0;
}

/* "session=ID", "after=PLACE", both with & between, or nothing. */
static int parse(const char *query, struct activity_ask *a)
{
    static const char session[] = "session=", after[] = "after=";

    if (strncmp(query, session, strlen(session)) == 0) {
        query += strlen(session);
        if (strlen(query) < 2 * XN_ID_SIZE ||
            xn_id_unhex(query, 2 * XN_ID_SIZE, &a->session)) {
            return XN_EINVAL;
        }
        a->one = true;
        query += 2 * XN_ID_SIZE;
        if (*query == '&') query++;
    }
    if (!*query) return 0;
    if (strncmp(query, after, strlen(after)) != 0) return XN_EINVAL;
    query += strlen(after);
    if (strlen(query) != 2 * PLACE) return XN_EINVAL;
    a->from[0] = 'a';
    a->from_len = sizeof a->from; /* right behind it */
    return unhex(query, a->from + 1, PLACE);
}

static void begin(struct activity_ask *a, const struct xn_now *now)
{
    struct host *host = a->host;
    uint8_t prefix[1 + XN_ID_SIZE] = {'a'};
    Xn__Read read = XN__READ__INIT;

    memcpy(prefix + 1, a->session.b, XN_ID_SIZE);
    read.prefix = (ProtobufCBinaryData){a->one ? sizeof prefix : 1, prefix};
    read.from = (ProtobufCBinaryData){a->from_len, a->from};
    read.limit = PAGE;
    a->ticket = xn_ticket(host->tickets, now->mono_us + READ_US, on_page, host,
                          a, &host->out);
    if (!a->ticket) return;
    xn_out_emit(&host->out, XN_ACT_READ, a->ticket, XN_PEER_NONE,
                XN__KIND__READ, &read);
}

void host_activity(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question)
{
    struct host_market *m = &host->market;
    struct activity_ask *a, from = {.host = host, .ask = ask};

    from.all = host_is_operator(host, question->caller);
    if (!from.all && !host_admits(host, ask, question, WHAT, &from.caller))
        return;
    if (parse(question->query ? question->query : "", &from) ||
        (!from.all && !from.one)) {
        refuse(&from, XN_EINVAL, "a session's id, and a place in the list",
               "/v1/activity?session=ID or ?session=ID&after=PLACE");
        return;
    }
    if (m->n_activity_asks >= ACTIVITY_ASKS_MAX) {
        refuse(&from, XN_EBUSY, "too many ask that just now",
               "again in a second");
        return;
    }
    a = malloc(sizeof *a);
    if (!a) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    *a = from;
    DL_APPEND(m->activity_asks, a);
    m->n_activity_asks++;
    begin(a, now);
}
