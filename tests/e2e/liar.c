/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node that lies: the real one with its answers altered on their way out.
 * XN_LIE says how:
 *
 *   alter        a byte of the first ad's envelope
 *   other        the first ad's lease with another server's envelope
 *   uncertified  the first ad signed again by a key that no corp certified
 *   old          the version of each ad that it saw first
 *   expired      the lease of each ad that it saw first
 *   hide         the first ad left out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/cms.h>
#include <uthash.h>

#include "lib/err.h"
#include "node/xenonoded_run.h"
#include "seam/out.h"
#include "wire/ad.h"
#include "wire/envelope.h"

struct first { /* what was seen first of a server */
    xn_id server;
    ProtobufCBinaryData envelope, lease;
    UT_hash_handle hh;
};

struct asked { /* a search under way at this node: what a REPLY answers, it need
                * not say */
    struct asker {
        uint64_t peer; /* XN_PEER_NONE: a client */
        uint64_t id;   /* a request's, or the ticket */
    } by;
    UT_hash_handle hh;
};

struct liar {
    struct xn_core core;
    struct xn_core *inner;
    const char *how;
    struct first *seen;
    struct asked *searches;
    struct xn_out out; /* the altered outbox */
    EVP_PKEY *key;
    X509 *x509;
};

static ProtobufCBinaryData copy(const void *data, size_t len)
{
    ProtobufCBinaryData bytes = {len, malloc(len + 1)};

    if (!bytes.data) abort();
    memcpy(bytes.data, data, len);
    return bytes;
}

static void replace(ProtobufCBinaryData *bytes, const void *data, size_t len)
{
    ProtobufCBinaryData fresh = copy(data, len);

    free(bytes->data);
    *bytes = fresh;
}

static xn_id server_of(const Xn__SignedAd *ad)
{
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, ad->lease.len, ad->lease.data);
    xn_id id = {{0}};

    if (blob) xn_id_hash(blob->spki.data, blob->spki.len, &id);
    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return id;
}

static struct first *first_seen(struct liar *liar, const Xn__SignedAd *ad)
{
    xn_id id = server_of(ad);
    struct first *first;

    HASH_FIND(hh, liar->seen, &id, sizeof id, first);
    if (first) return first;
    first = calloc(1, sizeof *first);
    if (!first) abort();
    first->server = id;
    first->envelope = copy(ad->envelope.data, ad->envelope.len);
    first->lease = copy(ad->lease.data, ad->lease.len);
    HASH_ADD(hh, liar->seen, server, sizeof first->server, first);
    return first;
}

/* The document inside, whoever signed it. */
static void sign_again(struct liar *liar, Xn__SignedAd *ad)
{
    const uint8_t *p = ad->envelope.data;
    CMS_ContentInfo *cms =
        d2i_CMS_ContentInfo(NULL, &p, (long)ad->envelope.len);
    ASN1_OCTET_STRING **content = cms ? CMS_get0_content(cms) : NULL;
    struct ad_lease lease = {.version = 1};
    struct advert *advert = NULL;
    uint8_t *data, *payload;
    size_t len, payload_len;

    if (!content || !*content) abort();
    if (advert_parse((*content)->data, (size_t)(*content)->length, &advert,
                     NULL, 0)) {
        abort();
    }
    lease.version = advert->version;
    advert_free(advert);
    if (envelope_sign((*content)->data, (size_t)(*content)->length, liar->key,
                      liar->x509, &data, &len)) {
        abort();
    }
    replace(&ad->envelope, data, len);
    free(data);
    xn_key_id(liar->key, &lease.server);
    xn_id_hash((*content)->data, (size_t)(*content)->length, &lease.document);
    lease.issued_us = (uint64_t)time(NULL) * 1000000;
    lease.until_us = lease.issued_us + 600000000;
    if (ad_lease_encode(&lease, &payload, &payload_len) ||
        blob_sign(payload, payload_len, LEASE_CONTEXT, liar->key, &data,
                  &len)) {
        abort();
    }
    replace(&ad->lease, data, len);
    free(payload);
    free(data);
    CMS_ContentInfo_free(cms);
}

/* Is this the n ads' first chance to lie?  Returns how many are left. */
static size_t lie(struct liar *liar, Xn__SignedAd **ads, size_t n)
{
    size_t i;

    if (n == 0) return 0;
    if (strcmp(liar->how, "alter") == 0) {
        ads[0]->envelope.data[ads[0]->envelope.len / 2] ^= 1;
    } else if (strcmp(liar->how, "other") == 0 && n > 1) {
        replace(&ads[0]->envelope, ads[1]->envelope.data, ads[1]->envelope.len);
    } else if (strcmp(liar->how, "uncertified") == 0) {
        sign_again(liar, ads[0]);
    }
    for (i = 0; i < n; i++) {
        struct first *first = first_seen(liar, ads[i]);

        if (strcmp(liar->how, "old") == 0) {
            replace(&ads[i]->envelope, first->envelope.data,
                    first->envelope.len);
        }
        if (strcmp(liar->how, "old") == 0 ||
            strcmp(liar->how, "expired") == 0) {
            replace(&ads[i]->lease, first->lease.data, first->lease.len);
        }
    }
    return strcmp(liar->how, "hide") == 0 ? n - 1 : n;
}

static bool lie_found(struct liar *liar, Xn__Found *found)
{
    size_t n = found->n_ads, left = lie(liar, found->ads, n);

    if (left < n) {
        xn__signed_ad__free_unpacked(found->ads[0], NULL);
        memmove(found->ads, found->ads + 1, left * sizeof *found->ads);
        found->n_ads = left;
        found->matching--;
    }
    return n > 0;
}

static void lie_reply(struct liar *liar, const struct xn_action *act)
{
    Xn__Reply reply = *XN_BODY(act->msg, Xn__Reply);
    Xn__Found *found =
        xn__found__unpack(NULL, reply.payload.len, reply.payload.data);
    uint8_t *data;

    if (!found) abort();
    lie_found(liar, found);
    data = malloc(xn__found__get_packed_size(found) + 1);
    if (!data) abort();
    reply.payload.len = xn__found__pack(found, data);
    reply.payload.data = data;
    xn_out_send(&liar->out, act->peer, XN__KIND__REPLY, &reply);
    free(data);
    xn__found__free_unpacked(found, NULL);
}

static void lie_answer(struct liar *liar, const struct xn_action *act)
{
    const Xn__Answer *answer = XN_BODY(act->msg, Xn__Answer);
    Xn__SearchResult *result =
        xn__search_result__unpack(NULL, answer->body.len, answer->body.data);
    Xn__SignedAd *ads[1024];
    size_t i, n, left;

    if (!result || answer->status != 200) {
        if (result) xn__search_result__free_unpacked(result, NULL);
        xn_out_add(&liar->out, act->kind, act->ticket, act->peer,
                   xn_msg_ref(act->msg));
        return;
    }
    n = result->n_hits < 1024 ? result->n_hits : 1024;
    for (i = 0; i < n; i++)
        ads[i] = result->hits[i]->ad;
    left = lie(liar, ads, n);
    if (left < n) {
        xn__hit__free_unpacked(result->hits[0], NULL);
        memmove(result->hits, result->hits + 1,
                (--result->n_hits) * sizeof *result->hits);
        result->matching--;
    }
    xn_out_answer(&liar->out, act->ticket, 200, result);
    xn__search_result__free_unpacked(result, NULL);
}

static void note_search(struct liar *liar, uint64_t peer, uint64_t id)
{
    struct asked *asked = calloc(1, sizeof *asked);

    if (!asked) abort();
    asked->by = (struct asker){peer, id};
    HASH_ADD(hh, liar->searches, by, sizeof asked->by, asked);
}

static bool was_search(struct liar *liar, uint64_t peer, uint64_t id)
{
    struct asker by = {peer, id};
    struct asked *asked;

    HASH_FIND(hh, liar->searches, &by, sizeof by, asked);
    if (!asked) return false;
    HASH_DEL(liar->searches, asked);
    free(asked);
    return true;
}

static void hear(struct liar *liar, const struct xn_event *ev)
{
    const Xn__Request *request;

    if (ev->kind == XN_EV_ASK &&
        strcmp(XN_BODY(ev->msg, Xn__Ask)->path, "/v1/search") == 0)
        note_search(liar, XN_PEER_NONE, ev->ticket);
    if (ev->kind != XN_EV_MSG || ev->msg->kind != XN__KIND__REQUEST) return;
    request = XN_BODY(ev->msg, Xn__Request);
    if (request->kind == XN__KIND__FIND)
        note_search(liar, ev->peer, request->rid);
}

static void pass(struct liar *liar, const struct xn_action *act)
{
    const Xn__Reply *reply = NULL;

    if (act->kind == XN_ACT_SEND && act->msg->kind == XN__KIND__REPLY)
        reply = XN_BODY(act->msg, Xn__Reply);
    if (reply && was_search(liar, act->peer, reply->rid) && !reply->rc) {
        lie_reply(liar, act);
    } else if (act->kind == XN_ACT_ANSWER &&
               was_search(liar, XN_PEER_NONE, act->ticket)) {
        lie_answer(liar, act);
    } else {
        xn_out_add(&liar->out, act->kind, act->ticket, act->peer,
                   xn_msg_ref(act->msg));
    }
}

static int liar_step(struct xn_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_outbox *box_out)
{
    struct liar *liar = (struct liar *)core;
    struct xn_outbox box;
    size_t i;
    int rc;

    hear(liar, ev);
    rc = xn_core_step(liar->inner, now, ev, &box);
    xn_out_reset(&liar->out);
    for (i = 0; i < box.n; i++)
        pass(liar, &box.act[i]);
    *box_out = xn_out_box(&liar->out, box.wake_us);
    return rc ? rc : liar->out.rc;
}

static bool liar_check(const struct xn_core *core, char *why_out, size_t len)
{
    return xn_core_check(((const struct liar *)core)->inner, why_out, len);
}

static void liar_free(struct xn_core *core)
{
    struct liar *liar = (struct liar *)core;
    struct first *first, *next;
    struct asked *asked, *next_asked;

    HASH_ITER(hh, liar->seen, first, next)
    {
        HASH_DEL(liar->seen, first);
        free(first->envelope.data);
        free(first->lease.data);
        free(first);
    }
    HASH_ITER(hh, liar->searches, asked, next_asked)
    {
        HASH_DEL(liar->searches, asked);
        free(asked);
    }
    xn_core_free(liar->inner);
    xn_out_clear(&liar->out);
    EVP_PKEY_free(liar->key);
    X509_free(liar->x509);
    free(liar);
}

static const struct xn_core_ops liar_ops = {
    .name = "node",
    .step = liar_step,
    .check = liar_check,
    .free = liar_free,
};

static struct xn_core *wrap(struct xn_core *inner)
{
    struct liar *liar = calloc(1, sizeof *liar);
    uint64_t now_us = (uint64_t)time(NULL) * 1000000;

    if (!liar) abort();
    liar->core.ops = &liar_ops;
    liar->inner = inner;
    liar->how = getenv("XN_LIE");
    if (!liar->how) liar->how = "";
    xn_out_init(&liar->out);
    if (xn_key_generate(&liar->key) ||
        xn_cert_self(liar->key, XN__ROLE__ANYBODY, "liar", now_us,
                     now_us + 3600000000ULL, &liar->x509)) {
        abort();
    }
    return &liar->core;
}

int main(int argc, char **argv)
{
    return xenonoded_run(argc, argv, wrap);
}
