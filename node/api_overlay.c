/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an operator asks a node about the overlay. */
#include <stdlib.h>

#include "lib/err.h"
#include "node/state.h"
#include "wire/nest.h"

#define PEERS_MAX 4096U
#define TRACE_US 12000000ULL /* within the time that an answer has */

void node_status_overlay(const struct node *node, Xn__NodeStatus *body)
{
    const struct ov_stats *stats = ov_stats(node->ov);
    struct ov_load load;

    ov_load(node->ov, &load);
    body->links_max = (uint32_t)load.links_max;
    body->incoming = (uint32_t)load.incoming;
    body->known = (uint32_t)load.known;
    for (size_t i = 0; i < OV_OUTCOMES; i++)
        body->lookups += stats->outcomes[i];
    /* That there are not so many nodes is an answer. */
    body->lookups_failed = body->lookups - stats->outcomes[OV_ANSWERED] -
                           stats->outcomes[OV_NOBODY];
}

/* ---- peers ---- */

struct peer_row {
    Xn__NodePeer body;
    Xn__Contact node;
};

static void peer_row(struct peer_row *row, const struct ov_peer *peer,
                     const struct xn_now *now)
{
    xn__contact__init(&row->node);
    row->node.id = xn_id_bytes(&peer->contact->id);
    row->node.position = xn_id_bytes(&peer->contact->position);
    row->node.address = (char *)(uintptr_t)peer->address;
    xn__node_peer__init(&row->body);
    row->body.node = &row->node;
    row->body.leaf = peer->leaf;
    row->body.incoming = peer->incoming;
    row->body.rtt_us = peer->rtt_us;
    row->body.up_s = (now->mono_us - peer->up_us) / 1000000;
    row->body.heard_ms = (now->mono_us - peer->heard_us) / 1000;
    row->body.unanswered = peer->unanswered;
    row->body.asked = peer->asked;
    row->body.corp = xn_id_bytes(&peer->contact->corp);
    row->body.not_after_us = peer->contact->not_after_us;
    row->body.guest = peer->guest;
    row->body.version = peer->version;
    row->body.features = peer->features;
}

/* To which the driver adds what went over each link. */
static void answer_peers(struct xn_out *out, uint64_t ticket,
                         const Xn__NodePeers *body)
{
    Xn__Answer answer = XN__ANSWER__INIT;

    if (xn_pack(body, &answer.body.data, &answer.body.len)) {
        out->rc = XN_ENOMEM;
        return;
    }
    answer.status = 200;
    answer.content_type = (char *)(uintptr_t)XN_PEERS_TYPE;
    xn_out_emit(out, XN_ACT_ANSWER, ticket, XN_PEER_NONE, XN__KIND__ANSWER,
                &answer);
    free(answer.body.data);
}

void node_api_peers(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out)
{
    Xn__NodePeers body = XN__NODE_PEERS__INIT;
    size_t n, i;
    struct ov_load load;
    struct peer_row *rows;
    Xn__NodePeer **list;
    struct ov_peer peer;

    if (!node_api_member(ask, ticket, "list of peers refused", out)) return;
    ov_load(node->ov, &load);
    n = load.links + load.guests;
    if (n > PEERS_MAX) n = PEERS_MAX;
    rows = calloc(n + 1, sizeof *rows);
    list = calloc(n + 1, sizeof *list);
    if (!rows || !list) {
        out->rc = XN_ENOMEM;
        goto out;
    }
    for (i = 0; i < n && ov_peer(node->ov, i, &peer); i++) {
        peer_row(&rows[i], &peer, now);
        list[i] = &rows[i].body;
    }
    body.peers = list;
    body.n_peers = i;
    answer_peers(out, ticket, &body);
out:
    free(rows);
    free(list);
}

/* ---- trace ---- */

static void contact_of(Xn__Contact *contact, const struct ov_hop *hop)
{
    xn__contact__init(contact);
    contact->id = xn_id_bytes(&hop->id);
    contact->position = xn_id_bytes(&hop->position);
    contact->address = (char *)(uintptr_t)hop->address;
}

/* A hop, and the node that it is. */
static void hop_body(Xn__TraceHop *body, Xn__Contact *node,
                     const struct ov_hop *hop)
{
    xn__trace_hop__init(body);
    contact_of(node, hop);
    body->node = node;
    body->way = hop->way;
    body->rtt_us = hop->rtt_us;
    body->took_us = hop->took_us;
    body->links = hop->links;
    body->mesh = hop->mesh;
    body->rc = hop->rc;
}

static void traced(void *user, void *ctx, const struct xn_now *now,
                   const struct ov_trace *trace, struct xn_out *out)
{
    Xn__TraceHop hops[OV_TRACE_MAX], *rows[OV_TRACE_MAX];
    Xn__Contact nodes[OV_TRACE_MAX], awaited;
    Xn__Traced body = XN__TRACED__INIT;

    (void)user, (void)now;
    for (size_t i = 0; i < trace->n; i++) {
        hop_body(&hops[i], &nodes[i], &trace->hops[i]);
        rows[i] = &hops[i];
    }
    body.hops = rows;
    body.n_hops = trace->n;
    body.end = trace->end;
    body.owner = (uint32_t)trace->owner;
    if (!xn_id_is_zero(&trace->awaited.id)) {
        contact_of(&awaited, &trace->awaited);
        body.awaited = &awaited;
    }
    xn_out_answer(out, (uintptr_t)ctx, 200, &body);
}

void node_api_trace(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out)
{
    xn_id key, whose = {{0}};
    Xn__Trace *trace;
    int rc = XN_EINVAL;

    if (!node_api_member(ask, ticket, "tracing refused", out)) return;
    trace = xn_unpack(&xn__trace__descriptor, ask->body.data, ask->body.len);
    if (trace && xn_id_from_bytes(&trace->key, &key) == 0) {
        (void)xn_id_from_bytes(&ask->caller->id, &whose);
        rc = ov_trace(node->ov, now, &key, trace->copy, &whose,
                      now->mono_us + TRACE_US, traced,
                      (void *)(uintptr_t)ticket, out);
    }
    if (trace) xn__trace__free_unpacked(trace, NULL);
    if (rc == XN_EINVAL) {
        xn_out_refuse(out, ticket, rc, "tracing refused",
                      "the body is no Trace message of a key and a copy",
                      "a Trace as doc/PROTOCOL.md has it");
    } else if (rc) {
        xn_out_refuse(out, ticket, rc, "tracing refused", xn_strerror(rc),
                      "again in some seconds");
    }
}
