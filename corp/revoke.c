/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates taken back, step by step:
 *
 *   ASK -> READ the member -> SIGN a list with it -> TXN list and member -> ANSWER
 *
 * One list at a time is under way.  Its TXN is guarded by the list before, so
 * where another daemon on these books has signed one meanwhile, all is read
 * again: else its revocations would be missing in ours. */
#include "corp/revoke.h"

#include <stdlib.h>
#include <string.h>

#include "corp/job.h"
#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/revoked.h"

#define SECOND_US 1000000ULL
#define STEP_US (30 * SECOND_US)
#define AGAIN_US (60 * SECOND_US)
#define ISSUE_US (REVOKED_LIFE_US_MAX / 4) /* between lists */
#define SKEW_US (5 * 60 * SECOND_US)       /* what certificates forgive */
#define PAGE 1000
#define WHY_MAX 256
#define KEY_SIZE (1 + XN_ID_SIZE)

static const uint8_t list_key[] = {'V'};

struct name {
    xn_id id;
    uint64_t at_us, until_us;
};

struct corp_revoked {
    struct name *names; /* ascending; for ever */
    size_t n, cap;
    uint8_t *record; /* of the newest list; NULL: none yet */
    size_t record_len;
    Xn__StoredRevokedList *list; /* the same, read */
    uint64_t number;             /* its; 0 */
    uint8_t load_from[KEY_SIZE + 1];
    size_t load_from_len;
    uint64_t timer;
    bool busy;            /* a list is under way: */
    struct corp_job *job; /* who asked for it; NULL: nobody */
    struct name next;     /* whom it adds; id zero: nobody */
    uint64_t next_number;
    uint8_t *next_record; /* signed, being stored */
    size_t next_record_len;
};

static const struct job_form form = {
    .what = "cannot revoke",
    .role = XN__ROLE__ANYBODY,
    .body = &xn__revoke__descriptor,
    .body_max = 512,
};

int corp_revoked_new(struct corp_revoked **revoked_out)
{
    *revoked_out = calloc(1, sizeof **revoked_out);
    return *revoked_out ? 0 : XN_ENOMEM;
}

void corp_revoked_free(struct corp_revoked *revoked)
{
    if (!revoked) return;
    if (revoked->list)
        xn__stored_revoked_list__free_unpacked(revoked->list, NULL);
    free(revoked->names);
    free(revoked->record);
    free(revoked->next_record);
    free(revoked);
}

/* ---- the names ---- */

static size_t lower(const struct corp_revoked *r, const xn_id *id)
{
    size_t lo = 0, hi = r->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (xn_id_cmp(&r->names[mid].id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint64_t corp_revoked_us(const struct corp *corp, const xn_id *id)
{
    const struct corp_revoked *r = corp->revoked;
    size_t at;

    if (!r) return 0;
    at = lower(r, id);
    return at < r->n && xn_id_eq(&r->names[at].id, id) ? r->names[at].at_us : 0;
}

/* Room for so many more. */
static int reserve(struct corp_revoked *r, size_t more)
{
    size_t cap = r->cap ? 2 * r->cap : 16;
    struct name *names;

    if (r->cap - r->n >= more) return 0;
    names = realloc(r->names, cap * sizeof *names);
    if (!names) return XN_ENOMEM;
    r->names = names;
    r->cap = cap;
    return 0;
}

/* There is room. */
static void add(struct corp_revoked *r, const struct name *name)
{
    size_t at = lower(r, &name->id);

    if (at < r->n && xn_id_eq(&r->names[at].id, &name->id)) return;
    memmove(&r->names[at + 1], &r->names[at], (r->n - at) * sizeof *r->names);
    r->names[at] = *name;
    r->n++;
}

ProtobufCBinaryData corp_revoked_list(const struct corp *corp, uint64_t above)
{
    const struct corp_revoked *r = corp->revoked;

    if (!r || !r->list || r->number <= above)
        return (ProtobufCBinaryData){0, NULL};
    return r->list->list;
}

/* ---- the start ---- */

static void load_page(struct corp *corp, const struct xn_now *now);

static void load_again(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    corp_revoked_load(owner, now);
}

static const Xn__Records *records_of(int *rc, const struct xn_msg *msg)
{
    if (!*rc && (!msg || msg->kind != XN__KIND__RECORDS)) *rc = XN_EPROTO;
    return *rc ? NULL : XN_BODY(msg, Xn__Records);
}

static void load_failed(struct corp *corp, const struct xn_now *now, int rc)
{
    xn_out_log(&corp->out, XN_LOG_ERROR, "cannot read whom we revoked: %s",
               xn_strerror(rc));
    xn_ticket(corp->tickets, now->mono_us + SECOND_US, load_again, corp, NULL,
              &corp->out);
    corp_loaded(corp, now, rc);
}

static void read_store(struct corp *corp, const struct xn_now *now,
                       const uint8_t *prefix, const uint8_t *from,
                       size_t from_len, uint32_t limit, xn_ended *fn)
{
    Xn__Read read = XN__READ__INIT;
    uint64_t ticket = xn_ticket(corp->tickets, now->mono_us + STEP_US, fn, corp,
                                NULL, &corp->out);

    if (!ticket) return;
    read.prefix.data = (uint8_t *)(uintptr_t)prefix;
    read.prefix.len = 1;
    read.from.data = (uint8_t *)(uintptr_t)from;
    read.from.len = from_len;
    read.limit = limit;
    xn_out_emit(&corp->out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

/* Takes the record over. */
static int keep_list(struct corp_revoked *r, uint8_t *record, size_t len)
{
    Xn__StoredRevokedList *list =
        xn__stored_revoked_list__unpack(NULL, len, record);

    if (!list || !list->number) {
        if (list) xn__stored_revoked_list__free_unpacked(list, NULL);
        free(record);
        return XN_EINTEGRITY;
    }
    if (r->list) xn__stored_revoked_list__free_unpacked(r->list, NULL);
    free(r->record);
    r->record = record;
    r->record_len = len;
    r->list = list;
    r->number = list->number;
    return 0;
}

static int copy_list(struct corp_revoked *r, const ProtobufCBinaryData *record)
{
    uint8_t *copy = malloc(record->len + 1);

    if (!copy) return XN_ENOMEM;
    if (record->len) memcpy(copy, record->data, record->len);
    return keep_list(r, copy, record->len);
}

static void issue(struct corp *corp, const struct xn_now *now);

static void on_list_read(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    const Xn__Records *records = records_of(&rc, msg);

    if (records && records->n_records)
        rc = copy_list(corp->revoked, &records->records[0]->value);
    if (rc) {
        load_failed(corp, now, rc);
        return;
    }
    corp_loaded(corp, now, 0);
    if (!corp->revoked->busy) issue(corp, now);
}

static int take_name(struct corp *corp, const Xn__Record *record)
{
    struct corp_revoked *r = corp->revoked;
    struct name name = {.at_us = 0};
    Xn__RevokedMember *body;
    int rc;

    if (record->key.len != KEY_SIZE) return XN_EINTEGRITY;
    body =
        xn__revoked_member__unpack(NULL, record->value.len, record->value.data);
    if (!body) return XN_EINTEGRITY;
    memcpy(name.id.b, record->key.data + 1, XN_ID_SIZE);
    name.at_us = body->at_us;
    name.until_us = body->until_us;
    xn__revoked_member__free_unpacked(body, NULL);
    rc = reserve(r, 2); /* one for a list that is under way */
    if (rc) return rc;
    add(r, &name);
    corp_nodes_forget(corp->nodes, &name.id); /* the store may not have */
    return 0;
}

static void on_names_read(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_revoked *r = corp->revoked;
    const Xn__Records *records = records_of(&rc, msg);
    size_t i;

    for (i = 0; !rc && i < records->n_records; i++)
        rc = take_name(corp, records->records[i]);
    if (rc) {
        load_failed(corp, now, rc);
    } else if (records->more && i) {
        memcpy(r->load_from, records->records[i - 1]->key.data, KEY_SIZE);
        r->load_from[KEY_SIZE] = 0; /* right behind it */
        r->load_from_len = sizeof r->load_from;
        load_page(corp, now);
    } else {
        read_store(corp, now, list_key, NULL, 0, 1, on_list_read);
    }
}

static void load_page(struct corp *corp, const struct xn_now *now)
{
    struct corp_revoked *r = corp->revoked;

    read_store(corp, now, (const uint8_t *)"v", r->load_from, r->load_from_len,
               PAGE, on_names_read);
}

void corp_revoked_load(struct corp *corp, const struct xn_now *now)
{
    corp->revoked->load_from_len = 0;
    load_page(corp, now);
}

/* ---- a list ---- */

static void on_issue_time(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;

    corp->revoked->timer = 0;
    if (!corp->revoked->busy) issue(corp, now);
}

/* This one is done with, one way or the other. */
static void finish(struct corp *corp, const struct xn_now *now, int rc)
{
    struct corp_revoked *r = corp->revoked;
    struct corp_job *job = r->job;
    Xn__RevokedKey key = XN__REVOKED_KEY__INIT;

    free(r->next_record);
    r->next_record = NULL;
    r->busy = false;
    r->job = NULL;
    if (r->timer) xn_ticket_forget(corp->tickets, r->timer);
    r->timer =
        xn_ticket(corp->tickets, now->mono_us + (rc ? AGAIN_US : ISSUE_US),
                  on_issue_time, corp, NULL, &corp->out);
    if (rc) {
        xn_out_log(&corp->out, XN_LOG_ERROR,
                   "cannot issue the list of revoked keys: %s",
                   xn_strerror(rc));
        if (job) job_refuse(job, rc, xn_strerror(rc), "the same again");
    } else if (job) {
        key.id = xn_id_bytes(&r->next.id);
        key.at_us = r->next.at_us;
        key.why = ((const Xn__Revoke *)(const void *)job->request)->why;
        key.number = r->number;
        job_answer(job, &key);
    }
}

static void on_stored(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_revoked *r = corp->revoked;

    if (rc == XN_ETIMEOUT) rc = XN_EUNKNOWN;
    if (!rc && !xn_id_is_zero(&r->next.id)) {
        add(r, &r->next);
        corp_nodes_forget(corp->nodes, &r->next.id);
    }
    if (!rc) {
        rc = keep_list(r, r->next_record, r->next_record_len);
        r->next_record = NULL;
    }
    finish(corp, now, rc);
    if (rc == XN_ECONFLICT || rc == XN_EUNKNOWN) corp_revoked_load(corp, now);
}

static int pack_member(const struct corp_revoked *r, ProtobufCBinaryData *out)
{
    const Xn__Revoke *want = (const Xn__Revoke *)(const void *)r->job->request;
    Xn__RevokedMember record = XN__REVOKED_MEMBER__INIT;

    record.at_us = r->next.at_us;
    record.until_us = r->next.until_us;
    record.role = want->role;
    record.why = want->why;
    return xn_pack(&record, &out->data, &out->len);
}

static void store(struct corp *corp, const struct xn_now *now)
{
    struct corp_revoked *r = corp->revoked;
    Xn__Guard guard = XN__GUARD__INIT, *guards[] = {&guard};
    Xn__Write list = XN__WRITE__INIT, member = XN__WRITE__INIT;
    Xn__Write *writes[] = {&list, &member};
    Xn__Txn txn = XN__TXN__INIT;
    uint8_t key[KEY_SIZE] = {'v'};
    uint64_t ticket;
    int rc = 0;

    list.key.data = guard.key.data = (uint8_t *)(uintptr_t)list_key;
    list.key.len = guard.key.len = sizeof list_key;
    list.value.data = r->next_record;
    list.value.len = r->next_record_len;
    guard.absent = !r->record;
    guard.value.data = r->record;
    guard.value.len = r->record_len;
    txn.guards = guards;
    txn.n_guards = 1;
    txn.writes = writes;
    txn.n_writes = r->job ? 2 : 1;
    if (r->job) {
        memcpy(key + 1, r->next.id.b, XN_ID_SIZE);
        member.key.data = key;
        member.key.len = sizeof key;
        rc = pack_member(r, &member.value);
    }
    ticket = rc ? 0
                : xn_ticket(corp->tickets, now->mono_us + STEP_US, on_stored,
                            corp, NULL, &corp->out);
    if (ticket) {
        xn_out_emit(&corp->out, XN_ACT_TXN, ticket, XN_PEER_NONE, XN__KIND__TXN,
                    &txn);
    } else {
        finish(corp, now, XN_ENOMEM);
    }
    free(member.value.data);
}

static void on_signed(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_revoked *r = corp->revoked;
    Xn__StoredRevokedList record = XN__STORED_REVOKED_LIST__INIT;

    if (!rc && (!msg || msg->kind != XN__KIND__SIGNED)) rc = XN_EPROTO;
    if (!rc) {
        record.number = r->next_number;
        record.list = XN_BODY(msg, Xn__Signed)->data;
        rc = xn_pack(&record, &r->next_record, &r->next_record_len);
    }
    if (rc)
        finish(corp, now, rc);
    else
        store(corp, now);
}

/* Those whose certificates may still look good, ascending. */
static int gather(const struct corp_revoked *r, uint64_t wall_us,
                  xn_id *names_out, size_t *n_out)
{
    size_t i, n = 0, at = lower(r, &r->next.id);

    for (i = 0; i <= r->n; i++) {
        if (i == at && !xn_id_is_zero(&r->next.id)) {
            if (n == REVOKED_MAX) return XN_ENOSPC;
            names_out[n++] = r->next.id;
        }
        if (i == r->n || r->names[i].until_us + SKEW_US < wall_us) continue;
        if (n == REVOKED_MAX) return XN_ENOSPC;
        names_out[n++] = r->names[i].id;
    }
    *n_out = n;
    return 0;
}

static int pack_list(struct corp_revoked *r, uint64_t wall_us,
                     ProtobufCBinaryData *out)
{
    xn_id *names = malloc(REVOKED_MAX * sizeof *names);
    size_t n;
    int rc = names ? gather(r, wall_us, names, &n) : XN_ENOMEM;

    r->next_number = wall_us > r->number ? wall_us : r->number + 1;
    if (!rc) {
        rc = revoked_pack(names, n, r->next_number, wall_us,
                          wall_us + REVOKED_LIFE_US_MAX, &out->data, &out->len);
    }
    free(names);
    return rc;
}

static void begin(struct corp *corp, const struct xn_now *now)
{
    struct corp_revoked *r = corp->revoked;
    Xn__Sign sign = XN__SIGN__INIT;
    uint64_t ticket;
    int rc = reserve(r, 1); /* once it is durable nothing may fail */

    if (!rc) rc = pack_list(r, now->wall_us, &sign.payload);
    r->busy = true;
    if (rc) {
        finish(corp, now, rc);
        return;
    }
    sign.form = XN__FORM__BLOB;
    sign.context = (char *)(uintptr_t)REVOKED_CONTEXT;
    ticket = xn_ticket(corp->tickets, now->mono_us + STEP_US, on_signed, corp,
                       NULL, &corp->out);
    if (ticket) {
        xn_out_emit(&corp->out, XN_ACT_SIGN, ticket, XN_PEER_NONE,
                    XN__KIND__SIGN, &sign);
    } else {
        finish(corp, now, XN_ENOMEM);
    }
    free(sign.payload.data);
}

static void issue(struct corp *corp, const struct xn_now *now)
{
    memset(&corp->revoked->next, 0, sizeof corp->revoked->next);
    begin(corp, now);
}

/* ---- the question ---- */

static const Xn__Revoke *wanted(const struct corp_job *job)
{
    return (const Xn__Revoke *)(const void *)job->request;
}

static void answer_known(struct corp_job *job, const xn_id *id)
{
    Xn__RevokedKey key = XN__REVOKED_KEY__INIT;

    key.id = xn_id_bytes(id);
    key.at_us = corp_revoked_us(job->corp, id);
    key.number = job->corp->revoked->number;
    job_answer(job, &key);
}

/* All its records are read, in whatever roles. */
static void revoke(struct corp_job *job, const struct xn_now *now)
{
    struct corp_revoked *r = job->corp->revoked;
    uint64_t until_us = now->wall_us + job->corp->config.certificate_us;
    xn_id id;

    (void)xn_id_from_bytes(&wanted(job)->id, &id);
    if (corp_revoked_us(job->corp, &id)) {
        answer_known(job, &id);
        return;
    }
    if (r->busy) {
        job_refuse(job, XN_EBUSY, "another list is being signed",
                   "again in a second");
        return;
    }
    /* One may be issued just now. */
    if (job->good_until_us > until_us) until_us = job->good_until_us;
    r->next = (struct name){id, now->wall_us, until_us};
    r->job = job;
    begin(job->corp, now);
}

static void note_member(struct corp_job *job, const Xn__Member *member)
{
    if (member->not_after_us > job->good_until_us)
        job->good_until_us = member->not_after_us;
    if (member->good_until_us > job->good_until_us)
        job->good_until_us = member->good_until_us;
}

static void read_role(struct corp_job *job, const struct xn_now *now);

/* Of role job->at. */
static void role_read(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    Xn__Member *member;

    if (records->n_records) {
        member = xn__member__unpack(NULL, records->records[0]->value.len,
                                    records->records[0]->value.data);
        if (!member) {
            job_refuse(job, XN_EINTEGRITY,
                       "what the books say of it is damaged",
                       "XenoCorp's operator must look");
            return;
        }
        note_member(job, member);
        xn__member__free_unpacked(member, NULL);
    } else if (job->at == (size_t)wanted(job)->role) {
        job_refuse(job, XN_ENOENT, "nobody is registered so under that key",
                   "xenocorp server list DIR");
        return;
    }
    if (job->at++ < XN__ROLE__CLIENT)
        read_role(job, now);
    else
        revoke(job, now);
}

static void read_role(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = {.b = {'m', (uint8_t)job->at}, .len = 2};

    memcpy(key.b + key.len, wanted(job)->id.data, XN_ID_SIZE);
    key.len += XN_ID_SIZE;
    job_read(job, now, &key, NULL, 1, role_read);
}

void corp_revoke(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &form);
    xn_id id;

    if (!job) return;
    if (xn_id_from_bytes(&wanted(job)->id, &id) || !wanted(job)->why[0] ||
        !corp_text_ok(wanted(job)->why, WHY_MAX) ||
        wanted(job)->role < XN__ROLE__NODE ||
        wanted(job)->role > XN__ROLE__CLIENT) {
        job_refuse(job, XN_EINVAL,
                   "it takes a role, a key's name, and why in 1 to 256 bytes "
                   "without control characters",
                   "xenocorp server revoke --why TEXT DIR SERVER");
        return;
    }
    job->at = XN__ROLE__NODE;
    read_role(job, now);
}

void corp_revoked(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    Xn__Answer answer = XN__ANSWER__INIT;

    answer.body = corp_revoked_list(corp, 0);
    if (!answer.body.len) {
        xn_out_refuse(&corp->out, ask, XN_ENOENT, "cannot answer",
                      "there is no list of revoked keys yet",
                      "again in a second");
        return;
    }
    answer.status = 200;
    answer.content_type = (char *)(uintptr_t) "application/x-protobuf";
    xn_out_emit(&corp->out, XN_ACT_ANSWER, ask, XN_PEER_NONE, XN__KIND__ANSWER,
                &answer);
}
