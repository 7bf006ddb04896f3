/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an operator asks a node about the overlay. */
#include "lib/err.h"
#include "node/state.h"
#include "wire/nest.h"

#define TRACE_US 12000000ULL /* within the time that an answer has */

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
    Xn__Trace *trace;
    xn_id key;
    int rc = XN_EINVAL;

    if (!node_api_member(ask, ticket, "tracing refused", out)) return;
    trace = xn_unpack(&xn__trace__descriptor, ask->body.data, ask->body.len);
    if (trace && xn_id_from_bytes(&trace->key, &key) == 0) {
        rc = ov_trace(node->ov, now, &key, trace->copy, now->mono_us + TRACE_US,
                      traced, (void *)(uintptr_t)ticket, out);
    }
    if (trace) xn__trace__free_unpacked(trace, NULL);
    if (rc == XN_EINVAL) {
        xn_out_refuse(out, ticket, rc, "tracing refused",
                      "the body is no Trace message of a key and a copy", NULL);
    } else if (rc) {
        xn_out_refuse(out, ticket, rc, "tracing refused", xn_strerror(rc),
                      "again in some seconds");
    }
}
