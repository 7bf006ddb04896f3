/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A registration, step by step:
 *
 *   ASK -> check -> ISSUE -> READ what is known of this key -> TXN -> ANSWER
 *
 * One registers over a connection that proves the same key as the request: who
 * merely got hold of a request registers nothing.
 *
 * The key's name is known only once the request has been checked, which the
 * driver does on ISSUE; so a certificate is made first, and thrown away where
 * the key has a good one.  A node keeps the certificate it has until its last
 * third: a new one would carry a new salt, and so a new place on the ring, and
 * who could have as many places as he likes would surround a rival (Castro et
 * al. 2002).
 *
 * The TXN is guarded by what was read, so that of two registrations of one key
 * at the same time one wins and the other reads again.
 */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/core.h"
#include "corp/revoke.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"
#include "wire/store.pb-c.h"

#define SECOND_US 1000000ULL
#define ISSUE_US (10 * SECOND_US)
#define STORE_US (20 * SECOND_US)
#define BODY_MAX 8192
#define CSR_MAX 4096
#define OWNER_MAX 256
#define INDEX_MAX 128
#define ROUNDS_MAX 3
#define KEY_SIZE (2 + XN_ID_SIZE)
#define WHAT "cannot register"

struct corp_member {
    uint64_t ask; /* 0: nobody waits any more */
    Xn__Register *order;
    xn_id caller;          /* the key that the connection proved; zero: none */
    xn_id id;              /* of the key in the request */
    struct xn_msg *issued; /* Issued, from the driver */
    struct xn_msg *stored; /* Records: what was known, or NULL */
    unsigned rounds;
    uint64_t source; /* where it asks from */
    bool has_place;  /* one of that source's places counts as taken */
    struct corp_member *prev, *next;
};

void corp_member_free(struct corp *corp, struct corp_member *member)
{
    DL_DELETE(corp->members, member);
    corp->n_members--;
    if (member->has_place)
        corp_rates_give(corp->places, &member->source, sizeof member->source);
    xn__register__free_unpacked(member->order, NULL);
    xn_msg_free(member->issued);
    xn_msg_free(member->stored);
    free(member);
}

static void refuse(struct corp *corp, struct corp_member *member, int rc,
                   const char *because, const char *try)
{
    if (member->ask) {
        xn_out_refuse(&corp->out, member->ask, rc, WHAT, because, try);
    }
    corp_member_free(corp, member);
}

static void put_off(struct corp *corp, struct corp_member *member,
                    const struct corp_rates *rates, const char *of,
                    uint64_t wait_us)
{
    char text[CORP_RATES_TEXT];

    corp_rates_text(rates, of, text);
    if (member->ask)
        xn_out_refuse_until(&corp->out, member->ask, WHAT, text, wait_us);
    corp_member_free(corp, member);
}

static const Xn__Issued *issued_of(const struct corp_member *member)
{
    return XN_BODY(member->issued, Xn__Issued);
}

/* ---- the answer ---- */

static void answer(struct corp *corp, const struct xn_now *now,
                   struct corp_member *member, ProtobufCBinaryData certificate)
{
    Xn__Registered registered = XN__REGISTERED__INIT;
    Xn__Contact contacts[CORP_SAMPLE_MAX];
    Xn__Contact *list[CORP_SAMPLE_MAX];
    size_t i;

    registered.certificate = certificate;
    registered.corp.data = (uint8_t *)(uintptr_t)corp->config.certificate;
    registered.corp.len = corp->config.certificate_len;
    registered.n_nodes =
        corp_nodes_sample(corp->nodes, now, &corp->rng, &member->id,
                          corp->config.sample_max, contacts);
    for (i = 0; i < registered.n_nodes; i++)
        list[i] = &contacts[i];
    registered.nodes = list;
    if (member->ask) xn_out_answer(&corp->out, member->ask, 200, &registered);
    corp_member_free(corp, member);
}

static const char *role_name(Xn__Role role)
{
    switch (role) {
    case XN__ROLE__NODE: return "node";
    case XN__ROLE__SERVER: return "server";
    case XN__ROLE__CLIENT: return "client";
    default: return "?";
    }
}

/* The audit note; who owns it stays in the store. */
static void note(struct corp *corp, const struct corp_member *member,
                 bool known)
{
    char name[XN_NAME_MAX], hex[XN_ID_HEX];

    xn_id_name(&member->id, member->order->label, name);
    xn_id_hex(&member->id, hex);
    xn_out_log(&corp->out, XN_LOG_INFO, "%s %s %s %s until %llu us",
               known ? "renewed" : "registered", role_name(member->order->role),
               name, hex,
               (unsigned long long)issued_of(member)->who->not_after_us);
}

/* ---- the store ---- */

static void read_member(struct corp *corp, const struct xn_now *now,
                        struct corp_member *member);

static void put_key(const struct corp_member *member, uint8_t key[KEY_SIZE])
{
    key[0] = 'm';
    key[1] = (uint8_t)member->order->role;
    memcpy(key + 2, member->id.b, XN_ID_SIZE);
}

static const Xn__Record *stored_record(const struct corp_member *member)
{
    const Xn__Records *records;

    if (!member->stored) return NULL;
    records = XN_BODY(member->stored, Xn__Records);
    return records->n_records ? records->records[0] : NULL;
}

static void on_stored(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_member *member = ctx;

    if (rc == XN_ECONFLICT && member->rounds < ROUNDS_MAX) {
        read_member(corp, now, member);
    } else if (rc == XN_ETIMEOUT) {
        member->has_place = false; /* perhaps */
        refuse(corp, member, XN_EUNKNOWN, "the ledger did not answer in time",
               "the same again: registering twice does no harm");
    } else if (rc) {
        xn_out_log(out, XN_LOG_ERROR, "cannot store a registration: %s",
                   xn_strerror(rc));
        refuse(corp, member, rc, xn_strerror(rc),
               "later; XenoCorp's operator has been told");
    } else {
        member->has_place = false; /* and it does not come back */
        note(corp, member, stored_record(member) != NULL);
        answer(corp, now, member, issued_of(member)->certificate);
    }
}

/* The record as it will be; `old` may be NULL.  *value_out is the caller's. */
static uint64_t max_us(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int pack_member(const struct corp_member *member,
                       const struct xn_now *now, const Xn__Member *old,
                       ProtobufCBinaryData *value_out)
{
    const Xn__Issued *issued = issued_of(member);
    Xn__Member record = XN__MEMBER__INIT;

    record.role = member->order->role;
    record.id = xn_id_bytes(&member->id);
    record.label = member->order->label;
    record.owner = member->order->owner;
    record.payout = member->order->payout;
    record.machine = member->order->machine;
    record.index_node = member->order->index_node;
    record.certificate = issued->certificate;
    record.registered_us = old ? old->registered_us : now->wall_us;
    record.issued_us = now->wall_us;
    record.not_after_us = issued->who->not_after_us;
    record.good_until_us =
        max_us(record.not_after_us,
               old ? max_us(old->not_after_us, old->good_until_us) : 0);
    return xn_pack(&record, &value_out->data, &value_out->len);
}

static void store_member(struct corp *corp, const struct xn_now *now,
                         struct corp_member *member, const Xn__Member *old)
{
    const Xn__Record *record = stored_record(member);
    Xn__Guard guard = XN__GUARD__INIT, *guards[1] = {&guard};
    Xn__Write write = XN__WRITE__INIT, *writes[1] = {&write};
    Xn__Txn txn = XN__TXN__INIT;
    uint8_t key[KEY_SIZE];
    uint64_t ticket;
    int rc;

    put_key(member, key);
    rc = pack_member(member, now, old, &write.value);
    if (rc) {
        refuse(corp, member, rc, xn_strerror(rc), "later");
        return;
    }
    guard.key.data = write.key.data = key;
    guard.key.len = write.key.len = KEY_SIZE;
    guard.absent = !record;
    if (record) guard.value = record->value;
    txn.n_guards = txn.n_writes = 1;
    txn.guards = guards;
    txn.writes = writes;
    ticket = xn_ticket(corp->tickets, now->mono_us + STORE_US, on_stored, corp,
                       member, &corp->out);
    if (ticket) {
        xn_out_emit(&corp->out, XN_ACT_TXN, ticket, XN_PEER_NONE, XN__KIND__TXN,
                    &txn);
    } else {
        refuse(corp, member, XN_ENOMEM, xn_strerror(XN_ENOMEM), "later");
    }
    free(write.value.data);
}

/* Is the node's certificate good for more than a third of its life? */
static bool still_good(const struct corp *corp, const struct xn_now *now,
                       const Xn__Member *old)
{
    return old->not_after_us > now->wall_us &&
           old->not_after_us - now->wall_us > corp->config.certificate_us / 3;
}

/* Each new key of a node is a place drawn: who draws many and uses the best
 * surrounds a rival.  A renewal draws one, too, but only late in the life of the
 * certificate, and is nobody else's to take. */
static uint64_t no_place(struct corp *corp, const struct xn_now *now,
                         struct corp_member *member, const Xn__Member *old)
{
    uint64_t wait_us;

    if (member->order->role != XN__ROLE__NODE || member->has_place || old)
        return 0;
    wait_us = corp_rates_take(corp->places, &member->source,
                              sizeof member->source, now->mono_us);
    member->has_place = wait_us == 0;
    return wait_us;
}

static void decide(struct corp *corp, const struct xn_now *now,
                   struct corp_member *member, const Xn__Member *old)
{
    uint64_t wait_us;

    if (!old || member->order->role != XN__ROLE__NODE ||
        !still_good(corp, now, old)) {
        wait_us = no_place(corp, now, member, old);
        if (wait_us)
            put_off(corp, member, corp->places,
                    "places on the ring for nodes of one address", wait_us);
        else
            store_member(corp, now, member, old);
    } else if (strcmp(old->label, member->order->label) != 0) {
        refuse(corp, member, XN_ECONFLICT,
               "this key has a node's certificate with another label, and "
               "with it its place on the ring",
               "the label it has, or a new key");
    } else {
        answer(corp, now, member, old->certificate);
    }
}

static void on_read(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_member *member = ctx;
    const Xn__Record *record;
    Xn__Member *old = NULL;

    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        refuse(corp, member, rc, xn_strerror(rc), "later");
        return;
    }
    xn_msg_free(member->stored);
    member->stored = xn_msg_ref(msg);
    record = stored_record(member);
    if (record) {
        old = xn__member__unpack(NULL, record->value.len, record->value.data);
        if (!old) {
            xn_out_log(out, XN_LOG_ERROR, "a registration is damaged");
            refuse(corp, member, XN_EINTEGRITY,
                   "what is known of this key is damaged",
                   "another key, or ask XenoCorp's operator");
            return;
        }
    }
    decide(corp, now, member, old);
    if (old) xn__member__free_unpacked(old, NULL);
}

static void read_member(struct corp *corp, const struct xn_now *now,
                        struct corp_member *member)
{
    Xn__Read read = XN__READ__INIT;
    uint8_t key[KEY_SIZE];
    uint64_t ticket;

    member->rounds++;
    put_key(member, key);
    read.prefix.data = read.from.data = key;
    read.prefix.len = read.from.len = KEY_SIZE;
    read.limit = 1;
    ticket = xn_ticket(corp->tickets, now->mono_us + STORE_US, on_read, corp,
                       member, &corp->out);
    if (!ticket) {
        refuse(corp, member, XN_ENOMEM, xn_strerror(XN_ENOMEM), "later");
        return;
    }
    xn_out_emit(&corp->out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

/* ---- the certificate ---- */

static void on_issued(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    struct corp_member *member = ctx;
    const Xn__Issued *issued;

    if (rc == XN_ESIGNATURE || rc == XN_EINVAL) {
        refuse(corp, member, rc,
               "the certificate request is not one, is not for a P-256 key, "
               "or is not signed by that key",
               "openssl req -in FILE -verify");
        return;
    }
    issued = !rc && msg && msg->kind == XN__KIND__ISSUED
                 ? XN_BODY(msg, Xn__Issued)
                 : NULL;
    if (!issued || !issued->who ||
        xn_id_from_bytes(&issued->who->id, &member->id)) {
        refuse(corp, member, rc ? rc : XN_EPROTO,
               "the certificate could not be made", "later");
        return;
    }
    /* A request is no secret: another XenoCorp's staff has seen it, and could
     * send it here with a payout of their own. */
    if (!xn_id_eq(&member->id, &member->caller)) {
        refuse(corp, member, XN_EIDENT,
               "the request is for another key than the connection's",
               "a client certificate of that key; a self-made one will do");
        return;
    }
    if (corp_revoked_us(corp, &member->id)) {
        refuse(corp, member, XN_EREVOKED, "this key was revoked",
               "XenoCorp's operator says why; another key");
        return;
    }
    member->issued = xn_msg_ref(msg);
    read_member(corp, now, member);
}

static void issue(struct corp *corp, const struct xn_now *now,
                  struct corp_member *member)
{
    Xn__Issue issue = XN__ISSUE__INIT;
    uint64_t ticket;

    issue.csr = member->order->csr;
    issue.role = member->order->role;
    issue.label = member->order->label;
    issue.not_after_us = now->wall_us + corp->config.certificate_us;
    ticket = xn_ticket(corp->tickets, now->mono_us + ISSUE_US, on_issued, corp,
                       member, &corp->out);
    if (!ticket) {
        refuse(corp, member, XN_ENOMEM, xn_strerror(XN_ENOMEM), "later");
        return;
    }
    xn_out_emit(&corp->out, XN_ACT_ISSUE, ticket, XN_PEER_NONE, XN__KIND__ISSUE,
                &issue);
}

/* ---- the question ---- */

/* Over digests, so that the time does not show where they differ. */
static bool knows_invitation(const struct corp *corp, const char *word)
{
    unsigned i, differ = 0;
    xn_id digest;

    xn_id_hash(word, strlen(word), &digest);
    for (i = 0; i < XN_ID_SIZE; i++) {
        differ |= (unsigned)(digest.b[i] ^ corp->config.invitation.b[i]);
    }
    return differ == 0;
}

/* 0 or what to refuse with. */
static int check(const struct corp *corp, const Xn__Register *order,
                 const char **because, const char **try)
{
    *try = "man xenonoded, or xenohostd";
    if (corp->config.invited && !knows_invitation(corp, order->invitation)) {
        *because = "this XenoCorp registers by invitation, and that was not it";
        *try = "ask its operator for an invitation";
        return XN_EPERM;
    }
    if (order->role != XN__ROLE__NODE && order->role != XN__ROLE__SERVER &&
        order->role != XN__ROLE__CLIENT) {
        *because = "one registers as a node, a server or a client";
        return XN_EINVAL;
    }
    if (!corp_label_ok(order->label)) {
        *try = "--label otter";
        *because = "a label is 1 to 32 of a-z, 0-9 and -, no dash at its ends";
        return XN_EINVAL;
    }
    if (!corp_text_ok(order->owner, OWNER_MAX) ||
        !corp_text_ok(order->payout, OWNER_MAX) ||
        !corp_text_ok(order->machine, OWNER_MAX) ||
        !corp_text_ok(order->index_node, INDEX_MAX)) {
        *because = "owner, payout and machine are at most 256 bytes of UTF-8 "
                   "without control characters, the index node at most 128";
        return XN_EINVAL;
    }
    if (order->csr.len == 0 || order->csr.len > CSR_MAX) {
        *because = "a certificate request is 1 to 4096 bytes";
        return order->csr.len ? XN_ETOOBIG : XN_EINVAL;
    }
    return 0;
}

/* A key costs nothing, and who it is stays in the books.  How many there are
 * behind one address is not known: so they are many. */
static uint64_t too_often(struct corp *corp, const struct xn_now *now,
                          const struct corp_member *member)
{
    return corp_rates_take(corp->registers, &member->source,
                           sizeof member->source, now->mono_us);
}

static int begin(struct corp *corp, uint64_t ask, const Xn__Ask *question,
                 struct corp_member **member_out, const char **because,
                 const char **try)
{
    struct corp_member *member = NULL;
    Xn__Register *order = NULL;
    int rc;

    *because = "the body is not a Register message of at most 8192 bytes";
    *try = "a Register as doc/PROTOCOL.md has it";
    rc = XN_ETOOBIG;
    if (question->body.len > BODY_MAX) goto out;
    order = xn_unpack(&xn__register__descriptor, question->body.data,
                      question->body.len);
    rc = XN_EPROTO;
    if (!order) goto out;
    rc = check(corp, order, because, try);
    if (rc) goto out;
    *because = "too many register at this moment";
    *try = "again in a second";
    rc = XN_EBUSY;
    if (corp->n_members >= CORP_MEMBERS_MAX) goto out;
    member = calloc(1, sizeof *member);
    *because = xn_strerror(XN_ENOMEM);
    rc = XN_ENOMEM;
    if (!member) goto out;
    member->ask = ask;
    if (question->caller) {
        (void)xn_id_from_bytes(&question->caller->id, &member->caller);
        member->source = question->caller->source;
    }
    member->order = order;
    order = NULL;
    DL_APPEND(corp->members, member);
    corp->n_members++;
    *member_out = member;
    rc = 0;
out:
    if (order) xn__register__free_unpacked(order, NULL);
    return rc;
}

void corp_register(struct corp *corp, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question)
{
    struct corp_member *member = NULL;
    const char *because = NULL, *try = NULL;
    uint64_t wait_us;
    int rc = begin(corp, ask, question, &member, &because, &try);

    if (rc) {
        xn_out_refuse(&corp->out, ask, rc, WHAT, because, try);
        return;
    }
    wait_us = too_often(corp, now, member);
    if (wait_us) {
        put_off(corp, member, corp->registers, "registrations from one address",
                wait_us);
        return;
    }
    issue(corp, now, member);
}

void corp_register_cancel(struct corp *corp, uint64_t ask)
{
    struct corp_member *member;

    DL_FOREACH(corp->members, member)
    {
        if (member->ask == ask) member->ask = 0;
    }
}
