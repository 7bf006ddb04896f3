/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Can others reach this machine?  Only they know: peers are asked to look
 * (REACH), each at the address from which our link to it comes, and at no other.
 *
 *   POST /v1/reach -> REACH to some peers -> their PROBE -> REACH_DONE of each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "node/state.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define ASK_US (10 * SECOND_US)  /* a peer's answer */
#define PROBE_US (8 * SECOND_US) /* the driver ends it first */
#define PEERS 3U                 /* that are asked */
#define ASKS_MAX 4U              /* POSTs under way, of a caller one */
#define PROBES_MAX 16U           /* ours for peers, in a second, */
#define PROBES_OF_ONE 2U         /* and for one of them */
#define PORT_MAX 65535U

/* ---- looking, for a peer ---- */

struct probe { /* kept for a second at least, which paces them */
    xn_id who;
    uint64_t token; /* of its REACH; 0: answered */
    uint64_t begun_us;
    struct probe *prev, *next;
};

static void probed(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    struct probe *probe = ctx;
    Xn__ReachDone done = XN__REACH_DONE__INIT;
    const Xn__Probed *found;
    uint64_t token = probe->token;

    probe->token = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__PROBED)) rc = XN_EPROTO;
    if (!rc) {
        found = XN_BODY(msg, Xn__Probed);
        done.seen = found->seen;
        done.met = found->met;
    }
    ov_answer(node->ov, now, token, rc, XN__KIND__REACH_DONE, &done, out);
}

static void probe_free(struct node *node, struct probe *probe)
{
    DL_DELETE(node->probes, probe);
    node->n_probes--;
    free(probe);
}

/* Room for one more, and it is not asked for too often. */
static bool may_probe(struct node *node, const struct xn_now *now,
                      const xn_id *who)
{
    struct probe *probe, *next;
    unsigned n = 0;

    DL_FOREACH_SAFE(node->probes, probe, next)
    {
        if (!probe->token && now->mono_us - probe->begun_us >= SECOND_US)
            probe_free(node, probe);
        else
            n += xn_id_eq(&probe->who, who);
    }
    return n < PROBES_OF_ONE && node->n_probes < PROBES_MAX;
}

static int probe_begin(struct node *node, const struct xn_now *now,
                       const struct ov_request *request, struct xn_out *out)
{
    const Xn__Reach *reach = XN_BODY(request->msg, Xn__Reach);
    const xn_id *who = &ov_contact(node->ov, request->from)->id;
    Xn__Probe body = XN__PROBE__INIT;
    struct probe *probe;
    uint64_t ticket;

    if (!request->direct || !reach->port || reach->port > PORT_MAX ||
        reach->id.len != XN_ID_SIZE) {
        return XN_EINVAL;
    }
    if (!may_probe(node, now, who)) return XN_EBUSY;
    probe = calloc(1, sizeof *probe);
    ticket = probe ? xn_ticket(node->tickets, now->mono_us + PROBE_US, probed,
                               node, probe, out)
                   : 0;
    if (!ticket) {
        free(probe);
        return XN_ENOMEM;
    }
    *probe = (struct probe){
        .who = *who, .token = request->token, .begun_us = now->mono_us};
    DL_APPEND(node->probes, probe);
    node->n_probes++;
    body.id = reach->id;
    body.port = reach->port;
    xn_out_emit(out, XN_ACT_PROBE, ticket, request->from, XN__KIND__PROBE,
                &body);
    return 0;
}

void node_reach_deliver(struct node *node, const struct xn_now *now,
                        const struct ov_request *request, struct xn_out *out)
{
    int rc = request->from == XN_PEER_SELF
                 ? XN_EINVAL
                 : probe_begin(node, now, request, out);

    if (rc) ov_answer(node->ov, now, request->token, rc, 0, NULL, out);
}

/* ---- being looked for ---- */

struct reached_by { /* a peer that is asked */
    struct reach *reach;
    xn_id id;
    char address[OV_ADDRESS_MAX + 1];
    char seen[OV_ADDRESS_MAX + 1];
    int rc;
    bool met;
};

struct reach {
    struct node *node;
    uint64_t ticket; /* of the POST */
    xn_id caller;
    struct reached_by by[PEERS];
    unsigned n, open;
    struct reach *prev, *next;
};

static void answer(struct reach *reach, struct xn_out *out)
{
    Xn__ReachedBy by[PEERS], *rows[PEERS];
    Xn__Contact nodes[PEERS];
    Xn__Reached body = XN__REACHED__INIT;

    for (unsigned i = 0; i < reach->n; i++) {
        xn__contact__init(&nodes[i]);
        nodes[i].id = xn_id_bytes(&reach->by[i].id);
        nodes[i].address = reach->by[i].address;
        xn__reached_by__init(&by[i]);
        by[i].node = &nodes[i];
        by[i].rc = reach->by[i].rc;
        by[i].seen = reach->by[i].seen;
        by[i].met = reach->by[i].met;
        rows[i] = &by[i];
    }
    body.by = rows;
    body.n_by = reach->n;
    xn_out_answer(out, reach->ticket, 200, &body);
    DL_DELETE(reach->node->reaches, reach);
    free(reach);
}

static void told(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_reply *reply, struct xn_out *out)
{
    struct reached_by *by = ctx;
    const Xn__ReachDone *done;

    (void)user, (void)now;
    by->rc = reply->rc;
    if (!by->rc && reply->msg->kind != XN__KIND__REACH_DONE) by->rc = XN_EPROTO;
    if (!by->rc) {
        done = XN_BODY(reply->msg, Xn__ReachDone);
        by->met = done->met;
        if (strlen(done->seen) <= OV_ADDRESS_MAX) strcpy(by->seen, done->seen);
    }
    if (--by->reach->open == 0) answer(by->reach, out);
}

/* Up to its port: is it one machine? */
static bool same_host(const char *a, const char *b)
{
    const char *colon = strrchr(a, ':');
    size_t len = colon ? (size_t)(colon - a) + 1 : 0;

    return len && strncmp(a, b, len) == 0;
}

/* Those of other machines first, from a random one on. */
static unsigned choose(struct node *node, struct ov_peer chosen[PEERS])
{
    const char *own = ov_self(node->ov)->address;
    size_t links = ov_links(node->ov), first;
    unsigned n = 0;

    if (!links) return 0;
    first = (size_t)xn_rng_between(&node->rng, 0, links - 1);
    for (int here = 0; here < 2 && !n; here++) {
        for (size_t i = 0; i < links && n < PEERS; i++) {
            struct ov_peer *peer = &chosen[n];

            if (!ov_peer(node->ov, (first + i) % links, peer)) continue;
            if (!(peer->features & OV_FEATURE_REACH)) continue;
            n += same_host(own, peer->address) == (here == 1);
        }
    }
    return n;
}

static bool may_ask(const struct node *node, const xn_id *caller)
{
    const struct reach *reach;
    unsigned under_way = 0;

    DL_FOREACH(node->reaches, reach)
    {
        if (xn_id_eq(&reach->caller, caller)) return false;
        under_way++;
    }
    return under_way < ASKS_MAX;
}

static int ask_peers(struct node *node, const struct xn_now *now,
                     uint64_t ticket, const xn_id *caller,
                     const Xn__Reach *body, struct xn_out *out)
{
    struct ov_peer chosen[PEERS];
    struct reach *reach;
    unsigned n = choose(node, chosen);

    if (!may_ask(node, caller)) return XN_EBUSY;
    if (!n) return XN_ENOTYET;
    reach = calloc(1, sizeof *reach);
    if (!reach) return XN_ENOMEM;
    reach->node = node;
    reach->ticket = ticket;
    reach->caller = *caller;
    reach->n = reach->open = n;
    DL_APPEND(node->reaches, reach);
    for (unsigned i = 0; i < n; i++) {
        struct reached_by *by = &reach->by[i];

        by->reach = reach;
        by->id = chosen[i].contact->id;
        snprintf(by->address, sizeof by->address, "%s", chosen[i].address);
    }
    reach->open++; /* none of the answers frees it */
    for (unsigned i = 0; i < n; i++) {
        ov_ask_peer(node->ov, now, chosen[i].peer, XN__KIND__REACH, body,
                    now->mono_us + ASK_US, told, &reach->by[i], out);
    }
    if (--reach->open == 0) answer(reach, out);
    return 0;
}

/* Where nothing is said it is this node that should be met. */
void node_api_reach(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out)
{
    xn_id caller = {{0}};
    Xn__Reach *body;
    int rc = XN_EINVAL;

    if (!node_api_member(ask, ticket, "looking refused", out)) return;
    (void)xn_id_from_bytes(&ask->caller->id, &caller); /* a member has one */
    body = xn_unpack(&xn__reach__descriptor, ask->body.data, ask->body.len);
    if (body && body->port && body->port <= PORT_MAX &&
        body->id.len == XN_ID_SIZE) {
        rc = ask_peers(node, now, ticket, &caller, body, out);
    }
    if (body) xn__reach__free_unpacked(body, NULL);
    if (rc == XN_EINVAL) {
        xn_out_refuse(out, ticket, rc, "looking refused",
                      "the body is no Reach message of a port and an id",
                      "a Reach as doc/PROTOCOL.md has it");
    } else if (rc == XN_ENOTYET) {
        xn_out_refuse(out, ticket, rc, "nobody can look",
                      "this node is linked to none that can",
                      "again when it has met other nodes");
    } else if (rc) {
        xn_out_refuse(out, ticket, rc, "looking refused", xn_strerror(rc),
                      "again in some seconds");
    }
}

void node_reach_clear(struct node *node)
{
    struct reach *reach, *next;

    while (node->probes)
        probe_free(node, node->probes);
    DL_FOREACH_SAFE(node->reaches, reach, next) free(reach);
}
