/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One server's ad by its id.  Who asks wants the ad and not what a copy says:
 * so an answer counts when its signatures and its lease hold, and until then
 * the race between the copies goes on. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "discovery/inside.h"
#include "lib/err.h"
#include "wire/ad.h"
#include "wire/token.h"

#define LEASE_CONTEXT "xn.lease.1" /* wire/envelope.h */
#define VERIFY_US 8000000          /* of one signature */

/* An ad is small: rather asked for twice than waited for any longer, where the
 * nearest copy is far. */
#define WAIT_US 50000

struct get {
    struct rd_asking asking; /* first */
    uint64_t ticket;         /* of the ASK */
    xn_id server;
    struct proof *proofs; /* answers whose signatures are being checked */
    struct rd_merge merge;
    struct get *prev, *next;
};

/* An answer that is being proved: its lease, then its document. */
struct proof {
    struct proof *prev, *next;
    struct get *get;
    struct xn_msg *found;
    xn_id from;
    uint32_t copy;
    uint64_t ticket; /* of the VERIFY; 0: none */
    struct ad_lease lease;
};

static void proof_free(struct proof *proof)
{
    if (proof->ticket) {
        xn_ticket_forget(proof->get->asking.rd->tickets, proof->ticket);
    }
    DL_DELETE(proof->get->proofs, proof);
    xn_msg_free(proof->found);
    free(proof);
}

static void get_free(struct get *g)
{
    while (g->proofs)
        proof_free(g->proofs);
    rd_asking_clear(&g->asking);
    rd_merge_clear(&g->merge);
    free(g);
}

void rd_gets_free(struct rd *rd)
{
    struct get *g, *next;

    DL_FOREACH_SAFE(rd->gets, g, next) get_free(g);
}

static void end(struct get *g)
{
    g->asking.rd->n_under_way--;
    rd_asking_enough(&g->asking, g);
    DL_DELETE(g->asking.rd->gets, g);
    get_free(g);
}

void rd_gets_cancel(struct rd *rd, uint64_t ticket)
{
    struct get *g, *next;

    DL_FOREACH_SAFE(rd->gets, g, next)
    {
        if (g->ticket == ticket) end(g);
    }
}

static void answer(struct get *g, const struct xn_now *now, struct xn_out *out)
{
    rd_merge_answer(&g->merge, now->wall_us, g->ticket, "get",
                    rd_asked(&g->asking)->token, out);
    end(g);
}

/* ---- asking ---- */

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          uint32_t copy, struct xn_out *out);

static void next_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct get *g = ctx;

    (void)owner, (void)rc, (void)msg;
    if (rd_asking_due(&g->asking, now, next_due, g, out)) {
        rd_asking_next(&g->asking, now, copy_answered, next_due, g, out);
    }
}

/* This one was of no use: the next at once, whoever else is still asked. */
static void go_on(struct get *g, const struct xn_now *now, uint32_t copy,
                  struct xn_out *out)
{
    race_fail(&g->asking.race, copy);
    if (rd_asking_more(&g->asking, now)) {
        rd_asking_next(&g->asking, now, copy_answered, next_due, g, out);
    } else if (!g->asking.pending && !g->proofs) {
        answer(g, now, out);
    }
}

/* ---- proving ---- */

static void proof_end(struct proof *proof, const struct xn_now *now, int rc,
                      struct xn_out *out)
{
    struct get *g = proof->get;
    uint32_t copy = proof->copy;

    rd_merge_add(&g->merge, rc, proof->found, &proof->from);
    if (rc) g->asking.rd->stats.refuted++;
    proof_free(proof);
    if (rc)
        go_on(g, now, copy, out);
    else
        answer(g, now, out);
}

static const Xn__SignedAd *ad_of(const struct proof *proof)
{
    return XN_BODY(proof->found, Xn__Found)->ads[0];
}

static void verify(struct proof *proof, const struct xn_now *now, Xn__Form form,
                   const ProtobufCBinaryData *data, const char *context,
                   xn_ended *fn, struct xn_out *out)
{
    struct rd *rd = proof->get->asking.rd;
    Xn__Verify body = XN__VERIFY__INIT;

    proof->ticket =
        xn_ticket(rd->tickets, now->mono_us + VERIFY_US, fn, rd, proof, out);
    body.form = form;
    body.data = *data;
    body.context = (char *)(uintptr_t)context;
    xn_out_emit(out, XN_ACT_VERIFY, proof->ticket, XN_PEER_NONE,
                XN__KIND__VERIFY, &body);
}

static const Xn__Verified *verified(int rc, const struct xn_msg *msg)
{
    if (rc || !msg || msg->kind != XN__KIND__VERIFIED) return NULL;
    return XN_BODY(msg, Xn__Verified)->signer ? XN_BODY(msg, Xn__Verified)
                                              : NULL;
}

static bool is_revoked(const struct proof *proof, const Xn__Caller *signer)
{
    xn_id corp;

    return !xn_id_from_bytes(&signer->corp, &corp) &&
           revoked_has(proof->get->asking.rd->index.revoked, &corp,
                       &proof->lease.server);
}

static void document_verified(void *owner, void *ctx, const struct xn_now *now,
                              int rc, struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Verified *body = verified(rc, msg);
    struct proof *proof = ctx;
    struct advert *advert = NULL;

    (void)owner;
    proof->ticket = 0;
    if (!body) {
        proof_end(proof, now, rc ? rc : XN_EINVAL, out);
        return;
    }
    rc = advert_parse(body->payload.data, body->payload.len, &advert, NULL, 0);
    if (rc == 0) {
        rc = ad_match(&proof->lease, body->payload.data, body->payload.len,
                      advert, body->signer);
    }
    if (rc == 0 && is_revoked(proof, body->signer)) rc = XN_EREVOKED;
    advert_free(advert);
    proof_end(proof, now, rc, out);
}

static int lease_proved(struct proof *proof, const struct xn_now *now,
                        const Xn__Verified *body)
{
    xn_id signer;
    int rc = xn_id_from_bytes(&body->signer->id, &signer);

    if (rc) return rc;
    rc = ad_lease_decode(body->payload.data, body->payload.len, &signer,
                         &proof->lease);
    if (rc) return rc;
    if (!xn_id_eq(&proof->lease.server, &proof->get->server)) return XN_EIDENT;
    if (proof->lease.withdrawn) return XN_EEXPIRED;
    return ad_lease_check(&proof->lease, now->wall_us,
                          proof->get->asking.rd->index.lease_us_max);
}

static void lease_verified(void *owner, void *ctx, const struct xn_now *now,
                           int rc, struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Verified *body = verified(rc, msg);
    struct proof *proof = ctx;

    (void)owner;
    proof->ticket = 0;
    rc = body ? lease_proved(proof, now, body) : rc ? rc : XN_EINVAL;
    if (rc) {
        proof_end(proof, now, rc, out);
        return;
    }
    verify(proof, now, XN__FORM__ENVELOPE, &ad_of(proof)->envelope, "",
           document_verified, out);
}

static void prove(struct get *g, const struct xn_now *now, struct xn_msg *found,
                  const xn_id *from, uint32_t copy, struct xn_out *out)
{
    struct proof *proof = calloc(1, sizeof *proof);

    if (!proof) {
        out->rc = XN_ENOMEM;
        go_on(g, now, copy, out);
        return;
    }
    *proof = (struct proof){
        .get = g, .found = xn_msg_ref(found), .from = *from, .copy = copy};
    DL_APPEND(g->proofs, proof);
    verify(proof, now, XN__FORM__BLOB, &ad_of(proof)->lease, LEASE_CONTEXT,
           lease_verified, out);
}

/* ---- answers ---- */

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          uint32_t copy, struct xn_out *out)
{
    struct get *g = ctx;

    (void)owner;
    g->asking.pending--;
    rc = rd_asking_judge(&g->asking, rc, found, from);
    if (rc == 0 && XN_BODY(found, Xn__Found)->n_ads) {
        prove(g, now, found, from, copy, out);
        return;
    }
    rd_merge_add(&g->merge, rc, found, from);
    go_on(g, now, copy, out);
}

/* ---- the request ---- */

static int prepare(struct get *g, const Xn__Get *request)
{
    Xn__Find find = XN__FIND__INIT;
    char shard[XN_TOKEN_SERVER_SIZE];
    int rc = xn_id_from_bytes(&request->server, &g->server);

    if (rc) return rc;
    xn_token_server(&g->server, shard);
    find.token = shard;
    find.server = xn_id_bytes(&g->server);
    find.limit = 1;
    rc = rd_asking_avoid(&g->asking, request->n_avoid, request->avoid);
    return rc ? rc : xn_msg_new(XN__KIND__FIND, &find, &g->asking.find);
}

void rd_get(struct rd *rd, const struct xn_now *now, uint64_t ticket,
            const Xn__Get *request, struct xn_out *out)
{
    struct get *g;
    int rc;

    if (rd->n_under_way >= RD_SEARCHES_MAX) {
        rd_refuse(ticket, XN_EBUSY, out);
        return;
    }
    g = calloc(1, sizeof *g);
    if (!g) {
        out->rc = XN_ENOMEM;
        return;
    }
    g->asking.rd = rd;
    g->ticket = ticket;
    rc = prepare(g, request);
    if (rc) {
        get_free(g);
        rd_refuse(ticket, rc, out);
        return;
    }
    DL_APPEND(rd->gets, g);
    rd->n_under_way++;
    rd->stats.gets++;
    rd_asking_begin(&g->asking, now, request->within_ms, true, WAIT_US);
    rd_asking_next(&g->asking, now, copy_answered, next_due, g, out);
}
