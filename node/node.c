/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "node/state.h"

static struct node *node_of(struct xn_core *core)
{
    return (struct node *)core;
}

/* ---- the overlay's upcalls ---- */

static void deliver(void *user, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    struct node *node = user;

    if (request->msg->kind == XN__KIND__REVOKED)
        node_revoked_deliver(node, now, request, out);
    else if (request->msg->kind == XN__KIND__REACH)
        node_reach_deliver(node, now, request, out);
    else
        xis_deliver(node->xis, now, request, out);
}

static void leaves_changed(void *user, const struct xn_now *now,
                           struct xn_out *out)
{
    struct node *node = user;

    xis_leaves_changed(node->xis, now, out);
}

static void peer_changed(void *user, const struct xn_now *now, xn_peer peer,
                         bool joined, struct xn_out *out)
{
    struct node *node = user;

    xis_peer_changed(node->xis, now, peer, joined, out);
    node_corps_changed(node, now, out);
    if (joined) node_revoked_joined(node, now, peer, out);
}

/* ---- discovery's way to the index ---- */

struct question { /* under way in the overlay */
    rd_found *fn;
    void *owner;
    void *ctx;
    uint32_t copy;
    struct question *prev, *next;
};

static void question_replied(void *user, void *ctx, const struct xn_now *now,
                             const struct ov_reply *reply, struct xn_out *out)
{
    struct node *node = user;
    struct question *question = ctx;

    DL_DELETE(node->questions, question);
    question->fn(question->owner, question->ctx, now, reply->rc, reply->msg,
                 &reply->from, question->copy, out);
    free(question);
}

static void index_key(const struct node *node, const Xn__Find *find,
                      uint32_t *copy, xn_id *key_out)
{
    uint32_t near = xis_self(node->xis)->copies_near;
    bool far = *copy >= near;

    if (far) *copy -= near;
    xn_token_key(find->token, find->prefix.data, find->prefix.len, far,
                 key_out);
}

static void expect_of_index(void *user, const struct xn_now *now,
                            const Xn__Find *find, uint32_t copy,
                            struct rd_expect *expect_out)
{
    struct node *node = user;
    struct ov_expect expect;
    xn_id key;

    index_key(node, find, &copy, &key);
    ov_expect(node->ov, now, &key, copy, &expect);
    *expect_out = (struct rd_expect){expect.rtt_us, expect.late_us};
}

static void enough_of_index(void *user, const void *ctx)
{
    struct node *node = user;
    struct question *question, *next;

    DL_FOREACH_SAFE(node->questions, question, next)
    {
        if (question->ctx != ctx) continue;
        ov_enough(node->ov, question);
        DL_DELETE(node->questions, question);
        free(question);
    }
}

static void ask_index(void *user, const struct xn_now *now,
                      const Xn__Find *find, uint32_t copy, uint64_t deadline_us,
                      rd_found *fn, void *owner, void *ctx, struct xn_out *out)
{
    struct node *node = user;
    struct question *question = calloc(1, sizeof *question);
    xn_id key;

    if (!question) {
        out->rc = XN_ENOMEM;
        return;
    }
    *question =
        (struct question){.fn = fn, .owner = owner, .ctx = ctx, .copy = copy};
    DL_APPEND(node->questions, question);
    index_key(node, find, &copy, &key);
    ov_ask(node->ov, now, &key, copy, XN__KIND__FIND, find, deadline_us,
           question_replied, question, out);
}

/* Most nodes of a large overlay are never asked to search. */
struct rd *node_discovery(struct node *node, struct xn_out *out)
{
    const struct xis_config *store = xis_self(node->xis);
    const struct rd_index index = {
        .user = node,
        .ask = ask_index,
        .copies = store->copies_near + store->copies_far,
        .copies_near = store->copies_near,
        .lease_us_max = store->lease_us_max,
        .revoked = &node->revoked,
        .expect = expect_of_index,
        .enough = enough_of_index,
    };

    if (!node->rd)
        out->rc = rd_new(&index, &node->rng, node->tickets, &node->rd);
    return node->rd;
}

/* ---- the step ---- */

static void begin(struct node *node, const struct xn_now *now,
                  struct xn_out *out)
{
    node->started = true;
    node->started_us = now->mono_us;
    node_revoked_start(node, now, out);
    xis_start(node->xis, now, out);
    node_corps_start(node, now, out);
}

static void dispatch(struct node *node, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    switch (ev->kind) {
    case XN_EV_UP:
        ov_up(node->ov, now, ev->peer, XN_BODY(ev->msg, Xn__Up), out);
        break;
    case XN_EV_MSG: ov_msg(node->ov, now, ev->peer, ev->msg, out); break;
    case XN_EV_GONE: ov_gone(node->ov, now, ev->peer, out); break;
    case XN_EV_ASK:
        node_api_ask(node, now, ev->ticket, XN_BODY(ev->msg, Xn__Ask), out);
        break;
    case XN_EV_CANCEL:
        if (node->rd) rd_cancel(node->rd, ev->ticket);
        break;
    case XN_EV_DONE:
        xn_ticket_end(node->tickets, ev->ticket, now, ev->rc, ev->msg, out);
        break;
    case XN_EV_NEWS:
        if (strcmp(XN_BODY(ev->msg, Xn__News)->kind, "stop") == 0) {
            node_corps_remember(node, out);
            ov_leave(node->ov, now, out);
        }
        break;
    case XN_EV_WAKE:
    case XN_EV_MORE: break;
    }
}

static int node_step(struct xn_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_outbox *box_out)
{
    struct node *node = node_of(core);

    xn_out_reset(&node->out);
    if (!node->started) begin(node, now, &node->out);
    if (ov_clock(node->ov, now, &node->out))
        xis_unsettle(node->xis, now, &node->out);
    xn_tickets_run(node->tickets, now, &node->out);
    dispatch(node, now, ev, &node->out);
    *box_out = xn_out_box(&node->out, xn_tickets_next(node->tickets));
    return node->out.rc;
}

int node_stand(struct xn_core *core, const struct xn_now *now,
               struct xn_route *routes, const uint32_t *rtts_us, size_t n,
               bool all, struct xn_outbox *box_out)
{
    struct node *node = node_of(core);
    int rc;

    xn_out_reset(&node->out);
    node->started = true;
    node->started_us = now->mono_us;
    rc = ov_stand(node->ov, now, routes, rtts_us, n, all, &node->out);
    if (rc) return rc;
    xis_stand(node->xis, now, &node->out);
    node_corps_stand(node, now, &node->out);
    *box_out = xn_out_box(&node->out, xn_tickets_next(node->tickets));
    return node->out.rc;
}

void node_said(struct xn_core *core)
{
    xn_out_clear(&node_of(core)->out);
}

void node_warm(const struct xn_core *core, int steps)
{
    const struct node *node = (const struct node *)core;

    if (steps == 3) __builtin_prefetch(node->tickets);
    ov_warm(node->ov, steps);
}

static bool node_check(const struct xn_core *core, char *why_out, size_t len)
{
    const struct node *node = (const struct node *)core;

    return ov_check(node->ov, why_out, len) &&
           xis_check(node->xis, why_out, len);
}

static void drop_context(void *owner, void *ctx, xn_ended *fn)
{
    /* Contexts belong to the components, which free them themselves. */
    (void)owner, (void)ctx, (void)fn;
}

static void node_free(struct xn_core *core)
{
    struct node *node = node_of(core);
    struct question *question, *next;

    DL_FOREACH_SAFE(node->questions, question, next) free(question);
    node_revoked_clear(node);
    node_reach_clear(node);
    rd_free(node->rd);
    xis_free(node->xis);
    ov_free(node->ov);
    xn_tickets_free(node->tickets, drop_context);
    xn_out_clear(&node->out);
    xn_msg_free(node->bootstrap);
    free(node->texts);
    free(node);
}

static const struct xn_core_ops node_ops = {
    .name = "node",
    .step = node_step,
    .check = node_check,
    .free = node_free,
};

/* ---- making one ---- */

/* All texts in one piece; *address_out lies in it. */
static int copy_texts(struct node *node, const struct node_config *config,
                      const char **address_out)
{
    size_t size = strlen(config->overlay.address) + 1, i;
    char *text;

    if (size > OV_ADDRESS_MAX + 1) return XN_EINVAL;
    for (i = 0; i < config->n_corps && i < NODE_CORPS_MAX; i++)
        size += strlen(config->corps[i]) + 1;
    node->n_corps = i;
    text = node->texts = malloc(size);
    if (!text) return XN_ENOMEM;
    for (i = 0; i < node->n_corps; i++)
        text = stpcpy(text, config->corps[i]) + 1;
    *address_out = strcpy(text, config->overlay.address);
    return 0;
}

static int copy_config(struct node *node, const struct node_config *config)
{
    Xn__Sample sample = XN__SAMPLE__INIT;

    node->announce_us = config->announce_us;
    if (config->n_bootstrap == 0 && config->n_corps > 0) return 0;
    sample.nodes = (Xn__Contact **)(uintptr_t)config->bootstrap;
    sample.n_nodes = config->n_bootstrap;
    return xn_msg_new(XN__KIND__SAMPLE, &sample, &node->bootstrap);
}

static int make_parts(struct node *node, const struct node_config *config,
                      const struct xn_peers *peers)
{
    struct ov_config overlay = config->overlay;
    struct xis_config store = config->index;
    const struct ov_user user = {node, deliver, leaves_changed, peer_changed};
    int rc;

    rc = copy_texts(node, config, &overlay.address);
    if (rc) return rc;
    /* Whoever holds a copy of the shard can search it. */
    overlay.any_copy_kind = XN__KIND__FIND;
    overlay.revoked = &node->revoked;
    store.revoked = &node->revoked;
    rc = xn_tickets_new(&node->tickets);
    if (rc) return rc;
    rc = ov_new(&overlay, peers, &node->rng, node->tickets, &user, &node->ov);
    if (rc) return rc;
    return xis_new(&store, node->ov, &node->rng, node->tickets, &node->xis);
}

int node_new(const struct node_config *config, const struct xn_peers *peers,
             uint64_t seed, struct xn_core **core_out)
{
    struct node *node = calloc(1, sizeof *node);
    int rc;

    if (!node) return XN_ENOMEM;
    node->core.ops = &node_ops;
    xn_rng_seed(&node->rng, seed);
    xn_out_init(&node->out);
    rc = copy_config(node, config);
    if (rc) goto out;
    rc = make_parts(node, config, peers);
    if (rc) goto out;
    *core_out = &node->core;
    node = NULL;
out:
    if (node) node_free(&node->core);
    return rc;
}

struct ov *node_overlay(struct xn_core *core)
{
    return node_of(core)->ov;
}

struct xis *node_index(struct xn_core *core)
{
    return node_of(core)->xis;
}

size_t node_waits(const struct xn_core *core)
{
    return xn_tickets_count(((const struct node *)core)->tickets);
}
