/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PUTs that go out, grouped by where they go: an ad travels once to each node,
 * for however many tokens the node holds it, and with up to 63 others. */
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"

#define ASKED_MAX 2

/* ---- questions */

struct xis_ask *xis_ask_new(struct xis *xis)
{
    struct xis_ask *ask = calloc(1, sizeof *ask);

    if (!ask) return NULL;
    ask->xis = xis;
    DL_APPEND(xis->asks, ask);
    return ask;
}

void xis_ask_free(struct xis_ask *ask)
{
    struct xis *xis = ask->xis;

    DL_DELETE(xis->asks, ask);
    if (ask->dest) xis_dest_drop(xis, ask->dest);
    free(ask->after);
    free(ask->sent);
    free(ask);
}

void xis_replied(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_reply *reply, struct xn_out *out)
{
    struct xis_ask *ask = ctx;

    (void)user; /* the node's, not ours */
    ask->fn(ask, now, reply, out);
    xis_ask_free(ask);
}

/* ---- destinations */

static struct xis_dest *dest_new(struct xis *xis, const struct xis_where *where)
{
    struct xis_dest *dest = calloc(1, sizeof *dest);

    if (!dest) return NULL;
    dest->where = *where;
    dest->refs = 1;
    DL_APPEND(xis->dests, dest);
    HASH_ADD(hh, xis->dest_index, where, sizeof dest->where, dest);
    return dest;
}

static struct xis_dest *dest_get(struct xis *xis, const struct xis_where *where)
{
    struct xis_dest *dest;

    HASH_FIND(hh, xis->dest_index, where, sizeof *where, dest);
    if (!dest) return dest_new(xis, where);
    dest->refs++;
    return dest;
}

struct xis_dest *xis_dest_peer(struct xis *xis, xn_peer peer)
{
    const struct xis_where where = {.peer = peer};

    return dest_get(xis, &where);
}

struct xis_dest *xis_dest_key(struct xis *xis, const xn_id *key, uint32_t copy)
{
    const struct xis_where where = {XN_PEER_NONE, copy, *key};

    return dest_get(xis, &where);
}

void xis_dest_drop(struct xis *xis, struct xis_dest *dest)
{
    if (--dest->refs) return;
    if (!dest->dead) HASH_DEL(xis->dest_index, dest);
    DL_DELETE(xis->dests, dest);
    free(dest->queue);
    free(dest);
}

void xis_dests_clear(struct xis *xis)
{
    struct xis_dest *dest, *next;

    HASH_CLEAR(hh, xis->dest_index);
    DL_FOREACH_SAFE(xis->dests, dest, next)
    {
        DL_DELETE(xis->dests, dest);
        free(dest->queue);
        free(dest);
    }
}

/* The handle dies: what refers to it finds out when it next looks. */
void xis_dest_gone(struct xis *xis, xn_peer peer)
{
    const struct xis_where where = {.peer = peer};
    struct xis_dest *dest;

    HASH_FIND(hh, xis->dest_index, &where, sizeof where, dest);
    if (!dest) return;
    HASH_DEL(xis->dest_index, dest);
    dest->dead = true;
}

int xis_dest_queue(struct xis_dest *dest, const xn_id *server)
{
    if (dest->n_queue == dest->cap) {
        size_t cap = dest->cap ? 2 * dest->cap : 8, i;
        xn_id *queue = malloc(cap * sizeof *queue);

        if (!queue) return XN_ENOMEM;
        for (i = 0; i < dest->n_queue; i++)
            queue[i] = dest->queue[(dest->head + i) % dest->cap];
        free(dest->queue);
        dest->queue = queue;
        dest->cap = cap;
        dest->head = 0;
    }
    dest->queue[(dest->head + dest->n_queue++) % dest->cap] = *server;
    return 0;
}

static const xn_id *queue_first(const struct xis_dest *dest)
{
    return dest->n_queue ? &dest->queue[dest->head] : NULL;
}

static void queue_pop(struct xis_dest *dest)
{
    dest->head = (dest->head + 1) % dest->cap;
    dest->n_queue--;
}

/* ---- sending */

static void put_replied(struct xis_ask *ask, const struct xn_now *now,
                        const struct ov_reply *reply, struct xn_out *out)
{
    const Xn__PutDone *done = NULL;
    struct xis_dest *dest = ask->dest;
    size_t i;

    dest->asked--;
    if (reply->rc == 0 && reply->msg->kind == XN__KIND__PUT_DONE) {
        done = XN_BODY(reply->msg, Xn__PutDone);
    }
    for (i = 0; i < ask->n_sent; i++) {
        const struct xis_sent *sent = &ask->sent[i];
        uint64_t version = sent->version;
        int rc = reply->rc ? reply->rc : XN_EPROTO;

        if (done && i < done->n_results) {
            xn_id server;
            const Xn__PutResult *r = done->results[i];

            if (xn_id_from_bytes(&r->server, &server) == 0 &&
                xn_id_eq(&server, &sent->server)) {
                rc = r->rc;
                if (rc == XN_ESTALE) version = r->version;
            }
        }
        xis_pub_result(ask->xis, now, dest, &sent->server, version,
                       sent->lease_us, rc, out);
    }
    xis_dest_flush(ask->xis, now, dest, out);
}

/* Takes from the queue what goes into one PUT; `sent` has room for as many. */
static void fill(struct xis *xis, const struct xn_now *now,
                 struct xis_dest *dest, struct xis_parcel *parcel,
                 struct xis_sent *sent)
{
    const xn_id *server;

    while ((server = queue_first(dest)) != NULL) {
        struct xis_ad *ad = xis_ad_find(xis, server);
        struct xis_place *place =
            ad && ad->pub ? xis_pub_place(ad->pub, dest) : NULL;

        if (place && place->state == XIS_QUEUED) {
            if (ad->until_us <= now->wall_us) {
                place->state = XIS_DONE; /* over */
            } else if (!xis_parcel_add(parcel, ad, place->known)) {
                return;
            } else {
                sent[parcel->n - 1] =
                    (struct xis_sent){*server, ad->version, ad->lease_us};
                place->state = XIS_SENT;
            }
        }
        queue_pop(dest);
    }
}

static int send(struct xis *xis, const struct xn_now *now,
                struct xis_dest *dest, struct xis_parcel *parcel,
                struct xn_out *out)
{
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__Put put = XN__PUT__INIT;

    if (!ask) return XN_ENOMEM;
    ask->sent = malloc(XIS_PUT_ADS_MAX * sizeof *ask->sent);
    if (!ask->sent) {
        xis_ask_free(ask);
        return XN_ENOMEM;
    }
    xis_parcel_empty(parcel);
    fill(xis, now, dest, parcel, ask->sent);
    ask->n_sent = parcel->n;
    if (parcel->n == 0) {
        xis_ask_free(ask);
        return 0;
    }
    ask->fn = put_replied;
    ask->dest = dest;
    dest->refs++;
    dest->asked++;
    put.ads = parcel->list;
    put.n_ads = parcel->n;
    put.epoch = 1;
    if (dest->where.peer == XN_PEER_NONE) {
        ov_ask(xis->ov, now, &dest->where.key, dest->where.copy, XN__KIND__PUT,
               &put, now->mono_us + XIS_ASK_US, xis_replied, ask, out);
    } else {
        ov_ask_peer(xis->ov, now, dest->where.peer, XN__KIND__PUT, &put,
                    now->mono_us + XIS_ASK_US, xis_replied, ask, out);
    }
    return 0;
}

/* An answer that comes at once leads back here; the counts are then right. */
void xis_dest_flush(struct xis *xis, const struct xn_now *now,
                    struct xis_dest *dest, struct xn_out *out)
{
    struct xis_parcel parcel;

    if (dest->n_queue == 0 || dest->asked >= ASKED_MAX || dest->dead) return;
    if (dest->flushing) return; /* the loop below goes on */
    if (xis_parcel_init(&parcel, XIS_PUT_ADS_MAX, XIS_PUT_BYTES_MAX)) {
        out->rc = XN_ENOMEM;
        return;
    }
    dest->refs++;
    dest->flushing = true;
    while (dest->n_queue > 0 && dest->asked < ASKED_MAX && !dest->dead) {
        if (send(xis, now, dest, &parcel, out)) {
            out->rc = XN_ENOMEM;
            break;
        }
    }
    dest->flushing = false;
    xis_dest_drop(xis, dest);
    xis_parcel_clear(&parcel);
}
