/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/xis_kit.h"
#include "wire/ad.h"

#define SEED 7
#define CONTEXT "xn.lease.1" /* wire/envelope.h */

/* ---- the driver */

static struct kit_node *own(struct node *node)
{
    return node->component;
}

static void start(struct node *node, struct xn_out *out)
{
    const struct xis_config config = {.copies_near = 3,
                                      .copies_far = 2,
                                      .lease_us_max = AD_LEASE_US_MAX,
                                      .sync_us = 60 * SEC,
                                      .grace_us = 15 * SEC,
                                      .ads_max = 10000};

    assert_int_equal(
        xis_new(&config, node->ov, &node->rng, node->tickets, &own(node)->xis),
        0);
    xis_start(own(node)->xis, &node->net->now, out);
}

static void stop(struct node *node)
{
    xis_free(own(node)->xis);
    own(node)->xis = NULL;
}

static void answered(struct kit_node *at, const Xn__Answer *answer)
{
    Xn__Published *body;

    at->answers++;
    at->status = answer->status;
    if (answer->status != 200) return;
    body = xn__published__unpack(NULL, answer->body.len, answer->body.data);
    assert_non_null(body);
    at->copies_least = body->copies_least;
    at->results_rc = body->results[0]->rc;
    xn__published__free_unpacked(body, NULL);
}

static uint64_t verify_us(const struct kit_node *at, const struct xn_msg *msg)
{
    xn_id slow;

    if (!at->slow || !msg) return 500;
    kit_server_id(at->slow - 1, &slow);
    return memcmp(XN_BODY(msg, Xn__Verified)->signer->id.data, slow.b,
                  XN_ID_SIZE)
               ? 500
               : SEC;
}

static void act(struct node *node, const struct xn_action *action)
{
    struct kit_node *at = own(node);
    struct xn_msg *msg = NULL;
    uint64_t took_us = 500;
    int rc = 0;

    switch (action->kind) {
    case XN_ACT_VERIFY:
        rc = sim_verify(SEED, node->net->now.wall_us + 1000 * LEASE_US,
                        XN_BODY(action->msg, Xn__Verify), &msg);
        took_us = verify_us(at, msg);
        break;
    case XN_ACT_TXN:
        at->txns++;
        if (at->hold_txn) return;
        rc = at->lose_txn
                 ? XN_ENOSPC
                 : sim_store_txn(&at->store, XN_BODY(action->msg, Xn__Txn));
        break;
    case XN_ACT_READ:
        rc = sim_store_read(at->store, XN_BODY(action->msg, Xn__Read), &msg);
        break;
    case XN_ACT_ANSWER: answered(at, XN_BODY(action->msg, Xn__Answer)); return;
    default: return;
    }
    if (action->ticket) {
        net_ended(node->net, node->index, action->ticket, rc, msg, took_us);
    } else {
        xn_msg_free(msg);
    }
}

static void check(struct node *node)
{
    char why[200];

    if (!own(node)->xis) return;
    if (!xis_check(own(node)->xis, why, sizeof why)) fail_msg("%s", why);
    if (xn_tickets_next(node->tickets) <= node->net->now.mono_us) {
        fail_msg("node %u wants to be woken in the past", node->index);
    }
}

/* ---- calls from the overlay */

/* Servers' ids in small steps, without end. */
static void go_on(struct node *node, const struct xn_now *now,
                  const struct ov_request *request, struct xn_out *out)
{
    uint64_t n = ++own(node)->lies;
    Xn__SyncDiff diff = XN__SYNC_DIFF__INIT;
    Xn__Want want = XN__WANT__INIT;
    char name[] = "CPUsmps", *names[] = {name};
    xn_id next = {{0}};
    int i;

    for (i = 0; i < 8; i++)
        next.b[i] = (uint8_t)(n >> (56 - 8 * i));
    diff.tokens = names;
    diff.n_tokens = 1;
    want.next = xn_id_bytes(&next);
    if (request->msg->kind == XN__KIND__SYNC) {
        ov_answer(node->ov, now, request->token, 0, XN__KIND__SYNC_DIFF, &diff,
                  out);
    } else {
        ov_answer(node->ov, now, request->token, 0, XN__KIND__WANT, &want, out);
    }
}

static void be_young(struct node *node, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out)
{
    Xn__SyncDiff diff = XN__SYNC_DIFF__INIT;

    if (own(node)->lies++ >= 3 || request->msg->kind != XN__KIND__SYNC) return;
    ov_answer(node->ov, now, request->token, 0, XN__KIND__SYNC_DIFF, &diff,
              out);
}

static bool lies(struct node *node, const struct xn_now *now,
                 const struct ov_request *request, struct xn_out *out)
{
    unsigned kind = request->msg->kind;

    if (own(node)->lie == HONEST) return false;
    if (kind != XN__KIND__SYNC && kind != XN__KIND__OFFER) return false;
    if (own(node)->lie == REFUSES) {
        ov_answer(node->ov, now, request->token, XN_EREFUSED, 0, NULL, out);
    } else if (own(node)->lie == YOUNG_FOR_EVER) {
        be_young(node, now, request, out);
    } else {
        go_on(node, now, request, out);
    }
    return true;
}

static void deliver(void *user, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    own(user)->syncs += request->msg->kind == XN__KIND__SYNC;
    if (lies(user, now, request, out)) return;
    xis_deliver(own(user)->xis, now, request, out);
}

static void leaves_changed(void *user, const struct xn_now *now,
                           struct xn_out *out)
{
    if (own(user)->xis) xis_leaves_changed(own(user)->xis, now, out);
}

static void peer_changed(void *user, const struct xn_now *now, xn_peer peer,
                         bool joined, struct xn_out *out)
{
    if (own(user)->xis) {
        xis_peer_changed(own(user)->xis, now, peer, joined, out);
    }
}

/* ---- the network */

static const struct net_user net_user = {
    .ov = {NULL, deliver, leaves_changed, peer_changed},
    .start = start,
    .stop = stop,
    .act = act,
    .check = check,
};

struct kit *kit_new(uint32_t nodes, uint64_t seed)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = true,
                                      .seed = seed,
                                      .user = &net_user};
    struct kit *kit = calloc(1, sizeof *kit);
    uint32_t i;

    assert_non_null(kit);
    kit->net = net_new(&config);
    kit->node = calloc(nodes, sizeof *kit->node);
    assert_non_null(kit->node);
    for (i = 0; i < nodes; i++)
        kit->net->node[i].component = &kit->node[i];
    return kit;
}

void kit_free(struct kit *kit)
{
    uint32_t i, n = kit->net->config.nodes;

    net_free(kit->net);
    for (i = 0; i < n; i++)
        sim_store_free(kit->node[i].store);
    free(kit->node);
    free(kit);
}

struct xis *kit_xis(struct kit *kit, uint32_t i)
{
    return kit->node[i].xis;
}

static bool all_settled(struct net *net)
{
    uint32_t i;

    for (i = 0; i < net->config.nodes; i++) {
        struct node *node = &net->node[i];

        if (node->up && !xis_settled(own(node)->xis)) return false;
    }
    return net_is_mesh(net);
}

bool kit_settled(struct kit *kit, uint64_t us)
{
    return net_until(kit->net, us, all_settled);
}

void kit_start_all(struct kit *kit)
{
    uint32_t i;

    for (i = 0; i < kit->net->config.nodes; i++)
        net_start(kit->net, i, 0);
    assert_true(kit_settled(kit, 60 * SEC));
}

/* ---- ads */

struct kit_ad kit_ad(const struct kit *kit, uint32_t server, uint64_t version)
{
    return (struct kit_ad){.server = server,
                           .version = version,
                           .until_us = kit->net->now.wall_us + LEASE_US};
}

void kit_server_id(uint32_t server, xn_id *id_out)
{
    sim_key_id(XN__ROLE__SERVER, server, id_out);
}

enum { FLOOD_MAX = 200, NAME_ROOM = 24 };

/* Names that stand before all others. */
static size_t add_extras(const struct kit_ad *ad, struct advert_extra *extras,
                         char names[][NAME_ROOM])
{
    size_t n = 0;

    if (ad->extra) extras[n++] = (struct advert_extra){ad->extra, "1"};
    assert_true(ad->flood <= FLOOD_MAX);
    for (unsigned i = 0; i < ad->flood; i++) {
        snprintf(names[i], NAME_ROOM, "A%u.%u", ad->server, i);
        extras[n++] = (struct advert_extra){names[i], "1"};
    }
    return n;
}

static void write_xml(const struct kit_ad *ad, struct xn_buf *xml)
{
    static const char *const corps[] = {"corp.sim"};
    struct advert_environment environment = {"Linux", "6.1", "pv"};
    struct advert_extra extras[FLOOD_MAX + 1];
    char names[FLOOD_MAX][NAME_ROOM];
    char name[32], endpoint[64], cpu[16];
    struct advert_offer offer = {.server_name = name,
                                 .corps = corps,
                                 .n_corps = 1,
                                 .endpoint = endpoint,
                                 .architecture = "x86_64",
                                 .country = ad->country ? ad->country : "GB",
                                 .environments = &environment,
                                 .n_environments = 1,
                                 .cpu_smps = cpu,
                                 .memory_mb = "1024",
                                 .disk_gb = "10",
                                 .net_mbps = "100",
                                 .sessions = "0",
                                 .currency = "GBP",
                                 .price_per_hour = "0.02",
                                 .extras = extras};

    offer.n_extras = add_extras(ad, extras, names);
    snprintf(name, sizeof name, "s%u", ad->server);
    snprintf(endpoint, sizeof endpoint, "https://s%u.sim:7443", ad->server);
    snprintf(cpu, sizeof cpu, "%u", ad->cpu ? ad->cpu : 100);
    xn_buf_init(xml, ADVERT_BYTES_MAX);
    assert_int_equal(advert_write(&offer, ad->version, xml), 0);
}

static void seal_lease(const struct kit *kit, const struct kit_ad *ad,
                       const struct xn_buf *xml, Xn__SignedAd *out)
{
    uint64_t now_us = kit->net->now.wall_us;
    struct ad_lease lease = {.version = ad->version,
                             .until_us = ad->until_us,
                             .issued_us = now_us,
                             .withdrawn = ad->withdrawn};
    uint8_t *payload;
    size_t len;

    if (lease.until_us <= now_us) lease.issued_us = lease.until_us - SEC;
    kit_server_id(ad->server, &lease.server);
    if (!ad->withdrawn) xn_id_hash(xml->data, xml->len, &lease.document);
    assert_int_equal(ad_lease_encode(&lease, &payload, &len), 0);
    assert_int_equal(sim_seal(XN__ROLE__SERVER, ad->server, XN__FORM__BLOB,
                              CONTEXT, payload, len, &out->lease.data,
                              &out->lease.len),
                     0);
    free(payload);
}

Xn__SignedAd *kit_seal(const struct kit *kit, const struct kit_ad *ad)
{
    Xn__SignedAd *out = malloc(sizeof *out);
    struct xn_buf xml;

    assert_non_null(out);
    xn__signed_ad__init(out);
    write_xml(ad, &xml);
    seal_lease(kit, ad, &xml, out);
    if (!ad->withdrawn && !ad->bare) {
        assert_int_equal(sim_seal(XN__ROLE__SERVER, ad->server,
                                  XN__FORM__ENVELOPE, "", xml.data, xml.len,
                                  &out->envelope.data, &out->envelope.len),
                         0);
    }
    xn_buf_clear(&xml);
    return out;
}

void kit_unseal(Xn__SignedAd *ad)
{
    free(ad->lease.data);
    free(ad->envelope.data);
    free(ad);
}

void kit_publish(struct kit *kit, uint32_t i, const struct kit_ad *ads,
                 size_t n)
{
    Xn__Publish body = XN__PUBLISH__INIT;
    Xn__SignedAd *list[64];
    struct xn_out *out;
    size_t k;

    assert_true(n <= 64);
    for (k = 0; k < n; k++)
        list[k] = kit_seal(kit, &ads[k]);
    body.ads = list;
    body.n_ads = n;
    out = net_begin(kit->net, i);
    xis_publish(kit_xis(kit, i), &kit->net->now, 1, &body, out);
    net_end(kit->net, i);
    for (k = 0; k < n; k++)
        kit_unseal(list[k]);
}

/* ---- questions */

static void replied(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct kit_reply *to = ctx;

    (void)user, (void)now, (void)out;
    to->calls++;
    to->rc = reply->rc;
    to->msg = xn_msg_ref(reply->msg);
}

void kit_ask(struct kit *kit, uint32_t i, uint32_t j, unsigned kind,
             const void *body, struct kit_reply *reply)
{
    struct net *net = kit->net;
    struct xn_out *out;
    xn_peer peer;

    memset(reply, 0, sizeof *reply);
    assert_true(net_peer(net, i, j, &peer));
    out = net_begin(net, i);
    ov_ask_peer(net->node[i].ov, &net->now, peer, kind, body,
                net->now.mono_us + 20 * SEC, replied, reply, out);
    net_end(net, i);
}

int kit_put(struct kit *kit, uint32_t i, uint32_t j, const struct kit_ad *ad)
{
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd *sealed = kit_seal(kit, ad);
    struct kit_reply reply;
    int rc;

    put.ads = &sealed;
    put.n_ads = 1;
    put.epoch = 1;
    kit_ask(kit, i, j, XN__KIND__PUT, &put, &reply);
    net_run(kit->net, SEC);
    assert_int_equal(reply.calls, 1);
    rc = reply.rc;
    if (rc == 0) rc = XN_BODY(reply.msg, Xn__PutDone)->results[0]->rc;
    xn_msg_free(reply.msg);
    kit_unseal(sealed);
    return rc;
}

int kit_count(struct kit *kit, uint32_t i, const char *token)
{
    char name[65];
    Xn__Find find = XN__FIND__INIT;
    Xn__Found *found = NULL;
    int rc;

    snprintf(name, sizeof name, "%s", token);
    find.token = name;
    rc = xis_find(kit_xis(kit, i), &kit->net->now, &find, &found);
    if (rc) return rc;
    rc = (int)found->matching;
    xis_found_free(found);
    return rc;
}

bool kit_has(struct kit *kit, uint32_t i, uint32_t server, uint64_t version)
{
    xn_id id;

    if (!kit->net->node[i].up) return false;
    kit_server_id(server, &id);
    return xis_has(kit_xis(kit, i), &id, version, &kit->net->now);
}

uint32_t kit_holders(struct kit *kit, uint32_t server, uint64_t version)
{
    uint32_t i, n = 0;

    for (i = 0; i < kit->net->config.nodes; i++)
        n += kit_has(kit, i, server, version);
    return n;
}
