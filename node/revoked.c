/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of revoked keys: from the corps' answers to announcements, from the
 * store, and from peers.  Each is verified before it is believed or passed on.
 *
 *   offer -> VERIFY -> take -> TXN, links and ads go -> some peers are told
 *
 * Who is told asks back for what it lacks, and tells others in turn.  Now and
 * then any peer is asked, so that who missed it hears of it all the same. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "lib/log.h"
#include "node/state.h"

#define SECOND_US 1000000ULL
#define VERIFY_US (30 * SECOND_US)
#define READ_US (30 * SECOND_US)
#define ASK_US (10 * SECOND_US)
#define TICK_US (60 * SECOND_US)
#define OFFERS_MAX 16           /* being verified */
#define ASKS_MAX 16             /* of ours, under way, */
#define BACK_MAX 8              /* of these, of who says to know more */
#define SPREAD 6                /* peers at random that are told, and */
#define NEIGHBOURS 2            /* neighbours */
#define ANSWER_MAX (768U << 10) /* bytes of lists in one answer */
#define SERVED_MAX (4U << 20)   /* of all answers, in a second */

static const char prefix[] = "node/revoked/";
#define PREFIX_SIZE (sizeof prefix - 1)

struct offer { /* a list that is being verified */
    xn_id corp;
    uint64_t number;
    bool stored; /* it comes from there */
    ProtobufCBinaryData blob;
    struct offer *prev, *next;
};

static void offer_free(struct node *node, struct offer *offer)
{
    DL_DELETE(node->offers, offer);
    node->n_offers--;
    free(offer->blob.data);
    free(offer);
}

struct revoked_ask {
    xn_peer peer;
    bool back; /* it says that it knows more */
    struct revoked_ask *prev, *next;
};

static void ask_free(struct node *node, struct revoked_ask *ask)
{
    DL_DELETE(node->revoked_asks, ask);
    free(ask);
}

void node_revoked_clear(struct node *node)
{
    while (node->revoked_asks)
        ask_free(node, node->revoked_asks);
    while (node->offers)
        offer_free(node, node->offers);
    revoked_clear(&node->revoked);
}

static uint64_t number_of(const struct node *node, const xn_id *corp)
{
    const struct revoked_list *list = revoked_of(&node->revoked, corp);

    return list ? list->number : 0;
}

/* ---- asking a peer ---- */

static void asked(void *user, void *ctx, const struct xn_now *now,
                  const struct ov_reply *reply, struct xn_out *out)
{
    struct node *node = user;
    const Xn__RevokedDone *done;
    size_t i;

    ask_free(node, ctx);
    if (reply->rc || reply->msg->kind != XN__KIND__REVOKED_DONE) return;
    done = XN_BODY(reply->msg, Xn__RevokedDone);
    for (i = 0; i < done->n_lists && i < XN_ANCHORS_MAX; i++)
        node_revoked_offer(node, now, &done->lists[i], out);
}

/* Nobody is asked twice at once, and those who want to be asked leave room for
 * those whom we choose: else few could keep lists from coming, by not answering.
 */
static bool may_ask(const struct node *node, xn_peer peer, bool back)
{
    const struct revoked_ask *ask;
    unsigned n = 0, n_back = 0;

    DL_FOREACH(node->revoked_asks, ask)
    {
        if (ask->peer == peer) return false;
        n++;
        n_back += ask->back;
    }
    return n < ASKS_MAX && (!back || n_back < BACK_MAX) &&
           (ov_features(node->ov, peer) & OV_FEATURE_REVOKED);
}

static void ask(struct node *node, const struct xn_now *now, xn_peer peer,
                bool back, struct xn_out *out)
{
    Xn__Revoked body = XN__REVOKED__INIT;
    Xn__RevokedHeld held[XN_ANCHORS_MAX], *rows[XN_ANCHORS_MAX];
    struct revoked_ask *ask;
    size_t i;

    if (!may_ask(node, peer, back)) return;
    ask = malloc(sizeof *ask);
    if (!ask) return;
    *ask = (struct revoked_ask){.peer = peer, .back = back};
    DL_APPEND(node->revoked_asks, ask);
    for (i = 0; i < node->revoked.n; i++) {
        xn__revoked_held__init(&held[i]);
        held[i].corp = xn_id_bytes(&node->revoked.lists[i].corp);
        held[i].number = node->revoked.lists[i].number;
        rows[i] = &held[i];
    }
    body.held = rows;
    body.n_held = i;
    ov_ask_peer(node->ov, now, peer, XN__KIND__REVOKED, &body,
                now->mono_us + ASK_US, asked, ask, out);
}

static void tell_some(struct node *node, const struct xn_now *now,
                      struct xn_out *out)
{
    xn_peer leaves[2 * OV_LEAVES_MAX];
    size_t n = ov_leaves(node->ov, leaves), i;

    for (i = 0; i < NEIGHBOURS && i < n; i++)
        ask(node, now, leaves[i * (n / NEIGHBOURS)], false, out);
    for (i = 0; i < SPREAD && ov_links(node->ov) > 0; i++)
        ask(node, now, ov_draw(node->ov), false, out);
}

void node_revoked_joined(struct node *node, const struct xn_now *now,
                         xn_peer peer, struct xn_out *out)
{
    if (node->revoked.n > 0 && ov_revoked_differs(node->ov, peer))
        ask(node, now, peer, false, out);
}

/* ---- now and then ---- */

static void report_late(struct node *node, const struct xn_now *now,
                        struct xn_out *out)
{
    char name[XN_NAME_MAX];
    bool late = false;
    size_t i;

    for (i = 0; i < node->revoked.n; i++) {
        const struct revoked_list *list = &node->revoked.lists[i];

        if (!revoked_is_late(list, now->wall_us)) continue;
        late = true;
        if (node->late_told) continue;
        xn_id_name(&list->corp, NULL, name);
        xn_out_log(
            out, XN_LOG_WARN,
            "the list of keys that XenoCorp %s revoked is %llu s older "
            "than it may be: newer revocations are not known here",
            name,
            (unsigned long long)((now->wall_us - list->until_us) / SECOND_US));
    }
    node->late_told = late;
}

static void tick_again(struct node *node, const struct xn_now *now,
                       struct xn_out *out);

static void tick(void *owner, void *ctx, const struct xn_now *now, int rc,
                 struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;

    (void)ctx, (void)rc, (void)msg;
    node->revoked_timer = 0;
    report_late(node, now, out);
    if (ov_links(node->ov) > 0) ask(node, now, ov_draw(node->ov), false, out);
    tick_again(node, now, out);
}

static void tick_again(struct node *node, const struct xn_now *now,
                       struct xn_out *out)
{
    uint64_t pause_us = xn_rng_between(&node->rng, TICK_US / 2, TICK_US);

    if (node->revoked_timer) return;
    node->revoked_timer = xn_ticket(node->tickets, now->mono_us + pause_us,
                                    tick, node, NULL, out);
}

/* ---- taking a list ---- */

static void keep(const struct offer *offer, struct xn_out *out)
{
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    uint8_t key[PREFIX_SIZE + XN_ID_SIZE];

    memcpy(key, prefix, PREFIX_SIZE);
    memcpy(key + PREFIX_SIZE, offer->corp.b, XN_ID_SIZE);
    write.key.data = key;
    write.key.len = sizeof key;
    write.value = offer->blob;
    txn.writes = writes;
    txn.n_writes = 1;
    xn_out_emit(out, XN_ACT_TXN, 0, XN_PEER_NONE, XN__KIND__TXN, &txn);
}

static int take(struct node *node, const struct xn_now *now,
                const struct offer *offer, const struct xn_msg *msg)
{
    const Xn__Verified *body;
    xn_id signer;

    if (!msg || msg->kind != XN__KIND__VERIFIED) return XN_EPROTO;
    body = XN_BODY(msg, Xn__Verified);
    if (!body->signer || xn_id_from_bytes(&body->signer->id, &signer)) {
        return XN_EPROTO;
    }
    /* Anybody can sign one; those of accepted corps count. */
    if (body->signer->role != XN__ROLE__CORP ||
        !xn_id_eq(&signer, &offer->corp)) {
        return XN_EIDENT;
    }
    return revoked_take(&node->revoked, &signer, &body->payload, &offer->blob,
                        now->wall_us);
}

static void verified(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    struct offer *offer = ctx;
    char name[XN_NAME_MAX];

    if (!rc) rc = take(node, now, offer, msg);
    xn_id_name(&offer->corp, NULL, name);
    if (rc == 0) {
        xn_out_log(out, XN_LOG_INFO, "XenoCorp %s revokes %zu keys, list %llu",
                   name, revoked_of(&node->revoked, &offer->corp)->n,
                   (unsigned long long)offer->number);
        if (!offer->stored) keep(offer, out);
        node->late_told = false;
        ov_revoke(node->ov, now, out);
        xis_revoke(node->xis, out);
        tell_some(node, now, out);
        tick_again(node, now, out);
    } else if (rc != XN_ESTALE) {
        xn_out_log(out, XN_LOG_INFO, "a list of revoked keys is refused: %s",
                   xn_strerror(rc));
    }
    offer_free(node, offer);
}

static void offer_list(struct node *node, const struct xn_now *now,
                       const ProtobufCBinaryData *blob, bool stored,
                       struct xn_out *out)
{
    Xn__Verify verify = XN__VERIFY__INIT;
    struct offer *offer, *other;
    uint64_t number, ticket;
    xn_id corp;

    if (blob->len == 0 || revoked_peek(blob->data, blob->len, &corp, &number)) {
        return;
    }
    if (number <= number_of(node, &corp)) return;
    DL_FOREACH(node->offers, other)
    {
        if (xn_id_eq(&other->corp, &corp) && other->number == number) return;
    }
    if (node->n_offers >= OFFERS_MAX) return;
    offer = calloc(1, sizeof *offer);
    if (!offer) return;
    *offer = (struct offer){.corp = corp, .number = number, .stored = stored};
    offer->blob.data = malloc(blob->len);
    DL_APPEND(node->offers, offer);
    node->n_offers++;
    ticket = offer->blob.data
                 ? xn_ticket(node->tickets, now->mono_us + VERIFY_US, verified,
                             node, offer, out)
                 : 0;
    if (!ticket) {
        offer_free(node, offer);
        return;
    }
    memcpy(offer->blob.data, blob->data, blob->len);
    offer->blob.len = blob->len;
    verify.form = XN__FORM__BLOB;
    verify.data = offer->blob;
    verify.context = (char *)(uintptr_t)REVOKED_CONTEXT;
    xn_out_emit(out, XN_ACT_VERIFY, ticket, XN_PEER_NONE, XN__KIND__VERIFY,
                &verify);
}

void node_revoked_offer(struct node *node, const struct xn_now *now,
                        const ProtobufCBinaryData *blob, struct xn_out *out)
{
    offer_list(node, now, blob, false, out);
}

/* ---- the start ---- */

static void lists_read(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    const Xn__Records *records;
    size_t i;

    (void)ctx;
    if (rc || !msg || msg->kind != XN__KIND__RECORDS) return;
    records = XN_BODY(msg, Xn__Records);
    for (i = 0; i < records->n_records; i++)
        offer_list(node, now, &records->records[i]->value, true, out);
}

void node_revoked_start(struct node *node, const struct xn_now *now,
                        struct xn_out *out)
{
    Xn__Read read = XN__READ__INIT;
    uint64_t ticket = xn_ticket(node->tickets, now->mono_us + READ_US,
                                lists_read, node, NULL, out);

    read.prefix.data = (uint8_t *)(uintptr_t)prefix;
    read.prefix.len = PREFIX_SIZE;
    read.limit = OFFERS_MAX;
    xn_out_emit(out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ, &read);
}

/* ---- what peers and callers ask ---- */

/* The number of a corp's list that the asker holds; 0: none. */
static uint64_t held_by(const Xn__Revoked *body, const xn_id *corp)
{
    size_t i;

    for (i = 0; i < body->n_held; i++) {
        const ProtobufCBinaryData *id = &body->held[i]->corp;

        if (id->len == XN_ID_SIZE && !memcmp(id->data, corp->b, XN_ID_SIZE))
            return body->held[i]->number;
    }
    return 0;
}

/* Of a corp of which we hold a list, or its own: others' need not be accepted
 * here. */
static bool knows_more(const struct node *node, const Xn__Revoked *body,
                       xn_peer from)
{
    const xn_id *own = &ov_contact(node->ov, from)->corp;
    size_t i;
    xn_id corp;

    for (i = 0; i < body->n_held; i++) {
        uint64_t ours;

        if (xn_id_from_bytes(&body->held[i]->corp, &corp)) continue;
        ours = number_of(node, &corp);
        if (body->held[i]->number > ours && (ours || xn_id_eq(&corp, own)))
            return true;
    }
    return false;
}

/* Everybody may be told as much as he likes to ask for, but not all the time. */
static bool may_serve(struct served *served, const struct xn_now *now,
                      size_t bytes)
{
    if (now->mono_us - served->since_us >= SECOND_US) {
        served->since_us = now->mono_us;
        served->bytes = 0;
    }
    if (served->bytes + bytes > SERVED_MAX) return false;
    served->bytes += bytes;
    return true;
}

void node_revoked_deliver(struct node *node, const struct xn_now *now,
                          const struct ov_request *request, struct xn_out *out)
{
    const Xn__Revoked *body = XN_BODY(request->msg, Xn__Revoked);
    Xn__RevokedDone done = XN__REVOKED_DONE__INIT;
    ProtobufCBinaryData lists[XN_ANCHORS_MAX];
    size_t i, bytes = 0;
    xn_peer from = request->from;
    bool more;

    if (!request->direct || body->n_held > XN_ANCHORS_MAX) {
        ov_answer(node->ov, now, request->token, XN_EINVAL, 0, NULL, out);
        return;
    }
    more = from != XN_PEER_SELF && knows_more(node, body, from);
    done.lists = lists;
    for (i = 0; i < node->revoked.n; i++) {
        const struct revoked_list *list = &node->revoked.lists[i];

        if (list->number <= held_by(body, &list->corp) ||
            bytes + list->blob_len > ANSWER_MAX) {
            continue;
        }
        bytes += list->blob_len;
        lists[done.n_lists++] =
            (ProtobufCBinaryData){list->blob_len, list->blob};
    }
    if (may_serve(&node->served_peers, now, bytes)) {
        ov_answer(node->ov, now, request->token, 0, XN__KIND__REVOKED_DONE,
                  &done, out);
    } else {
        ov_answer(node->ov, now, request->token, XN_EBUSY, 0, NULL, out);
    }
    if (more) ask(node, now, from, true, out);
}

/* Where a page of the lists begins, by "after=ID" of the one before it. */
static bool find_place(const struct node *node, const char *query,
                       size_t *at_out)
{
    static const char after[] = "after=";
    const size_t n = sizeof after - 1;
    const struct revoked_list *list;
    xn_id corp;

    *at_out = 0;
    if (!query || !*query) return true;
    if (strncmp(query, after, n) ||
        xn_id_unhex(query + n, strlen(query + n), &corp)) {
        return false;
    }
    list = revoked_of(&node->revoked, &corp);
    if (list) *at_out = (size_t)(list - node->revoked.lists) + 1;
    return list != NULL;
}

void node_api_revoked(struct node *node, const struct xn_now *now,
                      uint64_t ticket, const Xn__Ask *question,
                      struct xn_out *out)
{
    static const char what[] = "lists of revoked keys refused";
    Xn__RevokedDone done = XN__REVOKED_DONE__INIT;
    ProtobufCBinaryData lists[XN_ANCHORS_MAX];
    size_t i, bytes = 0;

    if (!find_place(node, question->query, &i)) {
        xn_out_refuse(out, ticket, XN_EINVAL, what, "not a place among them",
                      "/v1/revoked or /v1/revoked?after=ID");
        return;
    }
    for (; i < node->revoked.n; i++) {
        const struct revoked_list *list = &node->revoked.lists[i];

        if (bytes + list->blob_len > ANSWER_MAX) break;
        bytes += list->blob_len;
        lists[done.n_lists++] =
            (ProtobufCBinaryData){list->blob_len, list->blob};
    }
    done.more = i < node->revoked.n;
    done.lists = lists;
    if (may_serve(&node->served_callers, now, bytes))
        xn_out_answer(out, ticket, 200, &done);
    else
        xn_out_refuse_until(out, ticket, what, "too many are asked for",
                            SECOND_US);
}
