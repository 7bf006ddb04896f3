/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the broker's staff looks up: who is registered, which claims were
 * refused.  Whoever asks has the corp's own key. */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "corp/revoke.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/hex.h"

#define MEMBERS_MAX 64
#define REFUSED_MAX 32
#define PLACE_SIZE (8 + XN_ID_SIZE) /* of a refused claim's key */

/* ---- members ---- */

static const struct job_form members_form = {.what = "cannot list the members",
                                             .role = XN__ROLE__ANYBODY};

static Xn__Role role_of(const char *text)
{
    if (strcmp(text, "client") == 0) return XN__ROLE__CLIENT;
    if (strcmp(text, "server") == 0) return XN__ROLE__SERVER;
    if (strcmp(text, "node") == 0) return XN__ROLE__NODE;
    return XN__ROLE__ROLE_NONE;
}

static void fill_member(const struct corp *corp, const Xn__Member *from,
                        Xn__MemberInfo *to)
{
    xn_id id;

    xn__member_info__init(to);
    to->role = from->role;
    to->id = from->id;
    to->label = from->label;
    to->owner = from->owner;
    to->payout = from->payout;
    to->machine = from->machine;
    to->index_node = from->index_node;
    to->registered_us = from->registered_us;
    to->issued_us = from->issued_us;
    to->not_after_us = from->not_after_us;
    if (!xn_id_from_bytes(&from->id, &id))
        to->revoked_us = corp_revoked_us(corp, &id);
}

static void members_found(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    Xn__Member *members[MEMBERS_MAX];
    Xn__MemberInfo infos[MEMBERS_MAX], *list[MEMBERS_MAX];
    Xn__Members answer = XN__MEMBERS__INIT;
    size_t n = 0;

    for (; n < records->n_records && n < MEMBERS_MAX; n++) {
        const ProtobufCBinaryData *value = &records->records[n]->value;

        members[n] = xn__member__unpack(NULL, value->len, value->data);
        if (!members[n]) break;
        fill_member(job->corp, members[n], &infos[n]);
        list[n] = &infos[n];
    }
    answer.members = list;
    answer.n_members = n;
    answer.more = records->more;
    if (n < records->n_records && n < MEMBERS_MAX) {
        job_refuse(job, XN_EINTEGRITY, "what the books say of one is damaged",
                   "XenoCorp's operator must look");
    } else {
        job_answer(job, &answer);
    }
    while (n > 0)
        xn__member__free_unpacked(members[--n], NULL);
}

static void add(struct order_key *key, const xn_id *id)
{
    memcpy(key->b + key->len, id->b, XN_ID_SIZE);
    key->len += XN_ID_SIZE;
}

void corp_members(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &members_form);
    struct corp_arg args[] = {
        {.name = "role"}, {.name = "after"}, {.name = "id"}};
    const char *after = args[1].value, *only = args[2].value;
    struct order_key prefix = {.b = {'m'}, .len = 2}, from;
    Xn__Role role;
    xn_id id;

    if (!job) return;
    if (corp_args(question->query, args, 3)) goto bad;
    role = role_of(args[0].value);
    if (role == XN__ROLE__ROLE_NONE) goto bad;
    prefix.b[1] = (uint8_t)role;
    from = prefix;
    if (after[0]) {
        if (xn_id_unhex(after, strlen(after), &id)) goto bad;
        add(&from, &id);
        from.b[from.len++] = 0; /* right behind it */
    }
    if (only[0]) {
        if (after[0] || xn_id_unhex(only, strlen(only), &id)) goto bad;
        add(&prefix, &id);
        from = prefix;
    }
    job_read(job, now, &prefix, &from, MEMBERS_MAX, members_found);
    return;
bad:
    job_refuse(job, XN_EINVAL, "not a place in the list",
               "/v1/members?role=client, and &after=ID or &id=ID");
}

/* ---- refused claims ---- */

static const struct job_form refused_form = {
    .what = "cannot list the refused claims", .role = XN__ROLE__ANYBODY};

static void fill_refused(const Xn__Record *record, const Xn__RefusedClaim *from,
                         Xn__RefusedInfo *to)
{
    xn__refused_info__init(to);
    to->at_us = from->at_us;
    to->server = from->server;
    to->session = from->session;
    to->sequence = from->sequence;
    to->reason = from->reason;
    to->text = from->text;
    to->claim = from->envelope;
    to->place.data = record->key.data + 1;
    to->place.len = record->key.len - 1;
}

static void refused_found(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    Xn__RefusedClaim *claims[REFUSED_MAX];
    Xn__RefusedInfo infos[REFUSED_MAX], *list[REFUSED_MAX];
    Xn__RefusedClaims answer = XN__REFUSED_CLAIMS__INIT;
    size_t n = 0;

    for (; n < records->n_records && n < REFUSED_MAX; n++) {
        const Xn__Record *record = records->records[n];

        claims[n] = xn__refused_claim__unpack(NULL, record->value.len,
                                              record->value.data);
        if (!claims[n]) break;
        fill_refused(record, claims[n], &infos[n]);
        list[n] = &infos[n];
    }
    answer.refused = list;
    answer.n_refused = n;
    answer.more = records->more;
    if (n < records->n_records && n < REFUSED_MAX) {
        job_refuse(job, XN_EINTEGRITY, "what the books say of one is damaged",
                   "XenoCorp's operator must look");
    } else {
        job_answer(job, &answer);
    }
    while (n > 0)
        xn__refused_claim__free_unpacked(claims[--n], NULL);
}

void corp_refused(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &refused_form);
    struct corp_arg args[] = {{.name = "after"}};
    const char *after = args[0].value;
    struct order_key prefix = {.b = {'R'}, .len = 1}, from = prefix;

    if (!job) return;
    if (corp_args(question->query, args, 1) ||
        (after[0] &&
         (strlen(after) != 2 * PLACE_SIZE ||
          xn_unhex(after, strlen(after), from.b + 1, PLACE_SIZE)))) {
        job_refuse(job, XN_EINVAL, "not a place in the list",
                   "/v1/refused?after=PLACE");
        return;
    }
    if (after[0]) from.len = 1 + PLACE_SIZE + 1; /* right behind it */
    job_read(job, now, &prefix, &from, REFUSED_MAX, refused_found);
}
