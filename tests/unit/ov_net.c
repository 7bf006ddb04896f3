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
#include "tests/unit/ov_net.h"

struct conn {
    uint32_t node[2]; /* [0] dialled */
    uint32_t life[2];
    bool open[2];
    xn_peer handle[2]; /* at node[side], names the other */
    uint64_t delay_us;
    uint64_t ticket;
};

enum kind { DIALLED, CAME_UP, CAME, WENT, FAILED, WAKES, ENDED };

struct happening {
    uint64_t at_us, seq;
    enum kind kind;
    uint32_t node, life;
    size_t conn;
    unsigned side;
    uint64_t ticket;
    int rc;
    struct xn_msg *msg;
};

static bool sooner(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void happen(struct net *net, struct happening h)
{
    size_t i;

    h.seq = net->seq++;
    if (net->n_heap == net->cap_heap) {
        net->cap_heap = net->cap_heap ? 2 * net->cap_heap : 64;
        net->heap = realloc(net->heap, net->cap_heap * sizeof h);
        assert_non_null(net->heap);
    }
    i = net->n_heap++;
    while (i > 0 && sooner(&h, &net->heap[(i - 1) / 2])) {
        net->heap[i] = net->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    net->heap[i] = h;
}

static struct happening next(struct net *net)
{
    struct happening first = net->heap[0], h = net->heap[--net->n_heap];
    size_t i = 0, c;

    while ((c = 2 * i + 1) < net->n_heap) {
        if (c + 1 < net->n_heap && sooner(&net->heap[c + 1], &net->heap[c])) {
            c++;
        }
        if (!sooner(&net->heap[c], &h)) break;
        net->heap[i] = net->heap[c];
        i = c;
    }
    net->heap[i] = h;
    return first;
}

/* ---- the nodes' user ---- */

static void answer_later(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    Xn__Found found = XN__FOUND__INIT;

    (void)rc, (void)msg;
    found.known = node->index;
    ov_answer(node->ov, now, (uintptr_t)ctx, 0, XN__KIND__FOUND, &found, out);
}

static void deliver(void *user, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    struct node *node = user;

    if (request->msg->kind == XN__KIND__REVOKED) {
        const Xn__RevokedDone done = XN__REVOKED_DONE__INIT;

        ov_answer(node->ov, now, request->token, 0, XN__KIND__REVOKED_DONE,
                  &done, out);
        return;
    }
    if (request->msg->kind != XN__KIND__FIND) { /* of a villain's */
        ov_answer(node->ov, now, request->token, XN_EPROTO, 0, NULL, out);
        return;
    }
    node->delivered++;
    node->last_hops = request->hops;
    if (node->answer == ANSWER_NOW) {
        answer_later(node, (void *)(uintptr_t)request->token, now, 0, NULL,
                     out);
    } else if (node->answer == ANSWER_LATER) {
        xn_ticket(node->tickets, now->mono_us + 2 * SEC, answer_later, node,
                  (void *)(uintptr_t)request->token, out);
    }
}

static void leaves_changed(void *user, const struct xn_now *now,
                           struct xn_out *out)
{
    (void)now, (void)out;
    ((struct node *)user)->leaves_changed++;
}

static void peer_changed(void *user, const struct xn_now *now, xn_peer peer,
                         bool joined, struct xn_out *out)
{
    struct node *node = user;

    (void)now, (void)peer, (void)out;
    if (joined)
        node->joined++;
    else
        node->left++;
}

/* ---- links ---- */

static struct conn *conn_find(struct net *net, uint32_t i, xn_peer handle,
                              unsigned *side_out)
{
    size_t at = net->config.handle_per_link
                    ? handle / 2
                    : (size_t)net->pair[i * net->config.nodes + handle];

    if (at >= net->n_conn) return NULL;
    *side_out = net->conn[at].node[1] == i;
    return &net->conn[at];
}

static void set_pair(struct net *net, const struct conn *conn, int32_t to)
{
    net->pair[conn->node[0] * net->config.nodes + conn->node[1]] = to;
    net->pair[conn->node[1] * net->config.nodes + conn->node[0]] = to;
}

static size_t conn_new(struct net *net, uint32_t a, uint32_t b)
{
    struct conn *conn;
    size_t at = net->n_conn;

    if (net->n_conn == net->cap_conn) {
        net->cap_conn = net->cap_conn ? 2 * net->cap_conn : 64;
        net->conn = realloc(net->conn, net->cap_conn * sizeof *net->conn);
        assert_non_null(net->conn);
        if (net->config.handle_per_link) {
            net->rows =
                realloc(net->rows, 2 * net->cap_conn * sizeof *net->rows);
            assert_non_null(net->rows);
            net->peers.rows = net->rows;
        }
    }
    conn = &net->conn[net->n_conn++];
    *conn = (struct conn){.node = {a, b},
                          .life = {net->node[a].life, net->node[b].life},
                          .open = {true, true}};
    conn->delay_us = net->config.way_us
                         ? net->config.way_us(a, b)
                         : 1000 + 37 * (uint64_t)((a + b) % 100) * 10;
    if (net->config.handle_per_link) {
        net->rows[2 * at] = net->node[b].contact;
        net->rows[2 * at + 1] = net->node[a].contact;
        net->peers.n = 2 * net->n_conn;
        conn->handle[0] = (xn_peer)(2 * at);
        conn->handle[1] = (xn_peer)(2 * at + 1);
    } else {
        conn->handle[0] = b;
        conn->handle[1] = a;
        set_pair(net, conn, (int32_t)at);
    }
    return at;
}

static void close_side(struct net *net, size_t at, unsigned side,
                       uint64_t in_us)
{
    struct conn *conn = &net->conn[at];

    happen(net, (struct happening){.at_us = net->now.mono_us + in_us,
                                   .kind = WENT,
                                   .node = conn->node[side],
                                   .life = conn->life[side],
                                   .conn = at,
                                   .side = side});
}

/* ---- a step ---- */

static void act_dial(struct net *net, struct node *node,
                     const struct xn_action *act)
{
    const Xn__Contact *contact = XN_BODY(act->msg, Xn__Dial)->contact;
    uint32_t to = (uint32_t)strtoul(contact->address + 1, NULL, 10);
    struct happening h = {.at_us = net->now.mono_us + 3000,
                          .kind = DIALLED,
                          .node = node->index,
                          .life = node->life,
                          .conn = to,
                          .ticket = act->ticket};

    if (to < net->config.nodes) net->node[to].dialled++;
    if (to >= net->config.nodes || to == node->index || net->node[to].guest)
        h.kind = FAILED;
    else
        h.at_us += net->node[to].gate_us;
    /* Two round trips, of which the last way is the peer's word. */
    if (net->config.way_us && h.kind == DIALLED)
        h.at_us = net->now.mono_us + 3 * net->config.way_us(node->index, to);
    happen(net, h);
}

/* PEERS of proximity; those of the leaf set stay as they are. */
static struct xn_msg *as_named(const struct node *node, struct xn_msg *msg)
{
    Xn__Peers peers = *XN_BODY(msg, Xn__Peers);
    Xn__Contact *names = node->names;
    struct xn_msg *other = NULL;

    if (!peers.coordinate || peers.want) return xn_msg_ref(msg);
    peers.sample = &names;
    peers.n_sample = 1;
    assert_int_equal(xn_msg_new(XN__KIND__PEERS, &peers, &other), 0);
    return other;
}

static struct xn_msg *as_said(const struct node *node, struct xn_msg *msg)
{
    struct xn_msg *other = NULL;
    uint8_t one = 1;
    ProtobufCMessageUnknownField field = {500, PROTOBUF_C_WIRE_TYPE_VARINT, 1,
                                          &one};
    Xn__Hello hello;

    if (node->names && msg->kind == XN__KIND__PEERS) return as_named(node, msg);
    if (!node->lacks && !node->newer && !node->partial) return xn_msg_ref(msg);
    if (msg->kind != XN__KIND__HELLO) return xn_msg_ref(msg);
    hello = *XN_BODY(msg, Xn__Hello);
    hello.features = node->newer ? UINT64_MAX : hello.features & ~node->lacks;
    hello.partial |= node->partial;
    if (node->newer) {
        hello.base.n_unknown_fields = 1;
        hello.base.unknown_fields = &field;
    }
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &hello, &other), 0);
    return other;
}

/* All of a key, and each millisecond, to who lacks the bits; to others what they
 * need of it. */
static void check_request(const struct node *to, const struct xn_msg *msg)
{
    const Xn__Request *request = XN_BODY(msg, Xn__Request);

    if (to->lacks & OV_FEATURE_BRIEF)
        assert_int_equal(request->key.len, XN_ID_SIZE);
    else
        assert_in_range(request->key.len, 0, request->direct ? 0 : 6);
    if (to->lacks & OV_FEATURE_SPARE)
        assert_int_equal(request->patience_ds, 0);
    else
        assert_in_range(request->patience_ms, 0, 999);
}

/* All of who answered to who asks any copy; to others the first bytes at most,
 * but to who lacks the bits. */
static void check_from(const struct net *net, const struct node *to,
                       const Xn__Reply *reply)
{
    size_t said = to->lacks & OV_FEATURE_SPARE ? 8 : OV_FROM_SAID;

    if (net->config.any_copy_kind || (to->lacks & OV_FEATURE_SHORT))
        said = XN_ID_SIZE;
    if (reply->from.len || (to->lacks & OV_FEATURE_TERSE))
        assert_int_equal(reply->from.len, said);
}

/* Who lacks the bit is told what it answers, and how many links it crossed. */
static void check_reply(const struct node *to, const Xn__Reply *reply)
{
    bool spared = !(to->lacks & OV_FEATURE_SPARE);

    if (reply->rc == 0) assert_int_equal(reply->kind == 0, spared);
    if (reply->from.len == 0 && spared) assert_int_equal(reply->hops, 0);
    if (reply->rc == 0 && !spared) assert_int_not_equal(reply->hops, 0);
}

static void act_send(struct net *net, struct node *node,
                     const struct xn_action *act)
{
    unsigned side = 0;
    struct conn *conn = conn_find(net, node->index, act->peer, &side);
    uint32_t other;
    size_t at;

    if (!conn || !conn->open[side]) return;
    at = (size_t)(conn - net->conn);
    other = conn->node[!side];
    net->sent++;
    node->peers_said += act->msg->kind == XN__KIND__PEERS;
    net->sent_bytes += act->msg->size;
    if (!conn->open[!side] || conn->life[!side] != net->node[other].life) {
        /* What is there now knows nothing of this link. */
        if (net->node[other].up) close_side(net, at, side, conn->delay_us);
        return;
    }
    if (act->msg->kind == XN__KIND__REQUEST)
        check_request(&net->node[other], act->msg);
    if (act->msg->kind == XN__KIND__REPLY && !node->refuses) {
        check_from(net, &net->node[other], XN_BODY(act->msg, Xn__Reply));
        check_reply(&net->node[other], XN_BODY(act->msg, Xn__Reply));
    }
    if (xn_rng_below(&net->rng, 100) < net->config.loss_percent) return;
    happen(net, (struct happening){.at_us = net->now.mono_us + conn->delay_us +
                                            node->late_us,
                                   .kind = CAME,
                                   .node = other,
                                   .life = net->node[other].life,
                                   .conn = at,
                                   .side = !side,
                                   .msg = as_said(node, act->msg)});
}

static void act_hang(struct net *net, struct node *node,
                     const struct xn_action *act)
{
    unsigned side = 0;
    struct conn *conn = conn_find(net, node->index, act->peer, &side);
    size_t at;

    if (!conn || !conn->open[side]) return;
    at = (size_t)(conn - net->conn);
    close_side(net, at, side, 0);
    if (conn->open[!side]) close_side(net, at, !side, conn->delay_us);
}

static void begin(struct node *node)
{
    node->net->now.wall_us += node->ahead_us;
    xn_out_reset(&node->out);
}

static void end(struct node *node)
{
    struct net *net = node->net;
    char why[200];
    uint64_t next_us;
    size_t i;

    node->misdated += ov_clock(node->ov, &net->now, &node->out);
    xn_tickets_run(node->tickets, &net->now, &node->out);
    assert_int_equal(node->out.rc, 0);
    for (i = 0; i < node->out.n; i++) {
        const struct xn_action *act = &node->out.act[i];

        if (act->kind == XN_ACT_DIAL)
            act_dial(net, node, act);
        else if (act->kind == XN_ACT_SEND)
            act_send(net, node, act);
        else if (act->kind == XN_ACT_HANG)
            act_hang(net, node, act);
        else if (act->kind == XN_ACT_ABORT)
            net->aborted++;
        else if (net->config.user)
            net->config.user->act(node, act);
    }
    if (net->config.user) net->config.user->check(node);
    if (++net->steps % net->check_every == 0 &&
        !ov_check(node->ov, why, sizeof why)) {
        fail_msg("node %u at %llu us: %s", node->index,
                 (unsigned long long)net->now.mono_us, why);
    }
    next_us = xn_tickets_next(node->tickets);
    if (next_us < node->wake_us) {
        node->wake_us = next_us;
        happen(net, (struct happening){.at_us = next_us,
                                       .kind = WAKES,
                                       .node = node->index,
                                       .life = node->life});
    }
    net->now.wall_us -= node->ahead_us;
}

static void end_ticket(struct net *net, const struct happening *h, int rc)
{
    struct node *node = &net->node[h->node];

    begin(node);
    xn_ticket_end(node->tickets, h->ticket, &net->now, rc, h->msg, &node->out);
    end(node);
}

static void fail_dial(struct net *net, const struct happening *h, int rc)
{
    end_ticket(net, h, rc);
}

struct xn_out *net_begin(struct net *net, uint32_t i)
{
    begin(&net->node[i]);
    return &net->node[i].out;
}

void net_end(struct net *net, uint32_t i)
{
    end(&net->node[i]);
}

void net_ended(struct net *net, uint32_t i, uint64_t ticket, int rc,
               struct xn_msg *msg, uint64_t in_us)
{
    happen(net, (struct happening){.at_us = net->now.mono_us + in_us,
                                   .kind = ENDED,
                                   .node = i,
                                   .life = net->node[i].life,
                                   .ticket = ticket,
                                   .rc = rc,
                                   .msg = msg});
}

static void dialled(struct net *net, const struct happening *h)
{
    uint32_t to = (uint32_t)h->conn;
    unsigned side;
    size_t at;

    if (net->node[to].deaf) return;
    if (!net->node[to].up) {
        fail_dial(net, h, XN_EUNREACH);
        return;
    }
    if (!net->config.handle_per_link &&
        net->pair[h->node * net->config.nodes + to] >= 0) {
        fail_dial(net, h, XN_ECONFLICT);
        return;
    }
    at = conn_new(net, h->node, to);
    net->conn[at].ticket = h->ticket;
    /* The dialler's last word of the handshake is the first that the other
     * knows of it. */
    for (side = 0; side < 2; side++) {
        happen(net,
               (struct happening){.at_us = net->now.mono_us +
                                           (side + 1) * net->conn[at].delay_us,
                                  .kind = CAME_UP,
                                  .node = net->conn[at].node[side],
                                  .life = net->conn[at].life[side],
                                  .conn = at,
                                  .side = side});
    }
}

static void came_up(struct net *net, const struct happening *h)
{
    struct node *node = &net->node[h->node];
    struct conn *conn = &net->conn[h->conn];
    Xn__Up up = XN__UP__INIT;

    if (!conn->open[h->side]) return;
    up.incoming = h->side == 1;
    up.ticket = h->side == 0 ? conn->ticket : 0;
    up.trip_us = 2 * conn->delay_us;
    begin(node);
    ov_up(node->ov, &net->now, conn->handle[h->side], &up, &node->out);
    end(node);
}

static void went(struct net *net, const struct happening *h)
{
    struct node *node = &net->node[h->node];
    struct conn *conn = &net->conn[h->conn];

    if (!conn->open[h->side]) return;
    conn->open[h->side] = false;
    if (!net->config.handle_per_link && !conn->open[!h->side]) {
        set_pair(net, conn, -1);
    }
    begin(node);
    ov_gone(node->ov, &net->now, conn->handle[h->side], &node->out);
    end(node);
}

/* It says that it has it, and that is all. */
static void keep(struct node *node, xn_peer peer, uint64_t rid)
{
    struct xn_action act = {.kind = XN_ACT_SEND, .peer = peer};
    Xn__Ack ack = XN__ACK__INIT;

    ack.rid = rid;
    assert_int_equal(xn_msg_new(XN__KIND__ACK, &ack, &act.msg), 0);
    act_send(node->net, node, &act);
    xn_msg_free(act.msg);
}

static void refuse(struct node *node, xn_peer peer, const Xn__Request *request)
{
    struct xn_action act = {.kind = XN_ACT_SEND, .peer = peer};
    Xn__Reply reply = XN__REPLY__INIT;

    reply.rid = request->rid;
    reply.rc = XN_EUNREACH;
    reply.from = xn_id_bytes(&node->contact.id);
    reply.hops = request->hops + 1;
    assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &act.msg), 0);
    act_send(node->net, node, &act);
    xn_msg_free(act.msg);
}

static void came(struct net *net, const struct happening *h)
{
    struct node *node = &net->node[h->node];
    struct conn *conn = &net->conn[h->conn];

    if (!conn->open[h->side]) return;
    if (node->keeps && h->msg->kind == XN__KIND__REQUEST) {
        keep(node, conn->handle[h->side], XN_BODY(h->msg, Xn__Request)->rid);
        return;
    }
    if (node->refuses && h->msg->kind == XN__KIND__REQUEST) {
        refuse(node, conn->handle[h->side], XN_BODY(h->msg, Xn__Request));
        return;
    }
    begin(node);
    ov_msg(node->ov, &net->now, conn->handle[h->side], h->msg, &node->out);
    end(node);
}

static void run_one(struct net *net)
{
    struct happening h = next(net);
    struct node *node = &net->node[h.node];

    net->now.wall_us += h.at_us - net->now.mono_us;
    net->now.mono_us = h.at_us;
    if (node->up && !node->deaf && node->life == h.life) {
        switch (h.kind) {
        case DIALLED: dialled(net, &h); break;
        case CAME_UP: came_up(net, &h); break;
        case CAME: came(net, &h); break;
        case WENT: went(net, &h); break;
        case FAILED: fail_dial(net, &h, XN_EUNREACH); break;
        case ENDED: end_ticket(net, &h, h.rc); break;
        case WAKES:
            node->wake_us = UINT64_MAX;
            begin(node);
            end(node);
            break;
        }
    }
    xn_msg_free(h.msg);
}

void net_run(struct net *net, uint64_t us)
{
    uint64_t until_us = net->now.mono_us + us;

    while (net->n_heap > 0 && net->heap[0].at_us <= until_us)
        run_one(net);
    net->now.wall_us += until_us - net->now.mono_us;
    net->now.mono_us = until_us;
}

bool net_until(struct net *net, uint64_t us, bool (*done)(struct net *))
{
    uint64_t i;

    for (i = 0; i < us; i += SEC / 5) {
        if (done(net)) return true;
        net_run(net, SEC / 5);
    }
    return done(net);
}

/* ---- life and death ---- */

struct net *net_new(const struct net_config *config)
{
    struct net *net = calloc(1, sizeof *net);
    size_t i, pairs = (size_t)config->nodes * config->nodes;

    assert_non_null(net);
    net->config = *config;
    net->check_every = config->nodes > 50 ? 97 : 1;
    net->now = (struct xn_now){1000 * SEC, 1700000000 * SEC};
    xn_rng_seed(&net->rng, config->seed);
    net->node = calloc(config->nodes, sizeof *net->node);
    assert_non_null(net->node);
    net->pair = malloc(pairs * sizeof *net->pair);
    assert_non_null(net->pair);
    for (i = 0; i < pairs; i++)
        net->pair[i] = -1;
    if (!config->handle_per_link) {
        net->rows = calloc(config->nodes, sizeof *net->rows);
        assert_non_null(net->rows);
        net->peers.rows = net->rows;
        net->peers.n = config->nodes;
    }
    for (i = 0; i < config->nodes; i++) {
        struct node *node = &net->node[i];

        node->net = net;
        node->index = (uint32_t)i;
        snprintf(node->address, sizeof node->address, "n%zu", i);
        xn_id_hash(&i, sizeof i, &node->contact.id);
        xn_id_hash2(&config->seed, sizeof config->seed, &i, sizeof i,
                    &node->contact.position);
        if (!config->handle_per_link) net->rows[i] = node->contact;
    }
    return net;
}

static void stop(struct node *node)
{
    if (node->net->config.user) node->net->config.user->stop(node);
    ov_free(node->ov);
    xn_tickets_free(node->tickets, NULL);
    xn_out_clear(&node->out);
    node->ov = NULL;
    node->tickets = NULL;
    node->up = false;
    node->deaf = false;
    node->life++;
}

void net_free(struct net *net)
{
    size_t i;

    for (i = 0; i < net->config.nodes; i++) {
        if (net->node[i].up) stop(&net->node[i]);
    }
    for (i = 0; i < net->n_heap; i++)
        xn_msg_free(net->heap[i].msg);
    free(net->heap);
    free(net->node);
    free(net->pair);
    free(net->rows);
    free(net->conn);
    free(net);
}

void net_join(struct net *net, uint32_t i, uint32_t via)
{
    struct node *node = &net->node[i], *other = &net->node[via];
    Xn__Contact contact = XN__CONTACT__INIT, *contacts[] = {&contact};

    contact.id = xn_id_bytes(&other->contact.id);
    contact.position = xn_id_bytes(&other->contact.position);
    contact.address = other->address;
    begin(node);
    ov_join(node->ov, &net->now, contacts, 1, &node->out);
    end(node);
}

void net_start(struct net *net, uint32_t i, uint32_t via)
{
    struct node *node = &net->node[i];
    struct ov_config config = {.id = node->contact.id,
                               .position = node->contact.position,
                               .links_max = net->config.links_max,
                               .leaves = net->config.leaves,
                               .copies = 3,
                               .any_copy_kind = net->config.any_copy_kind,
                               .secure = net->config.secure,
                               .cache = net->config.cache};
    struct ov_user user = {node, deliver, leaves_changed, peer_changed};

    if (net->config.user) user = net->config.user->ov;
    user.user = node;
    if (!node->guest) config.address = node->address;
    xn_rng_seed(&node->rng, xn_rng_mix(net->config.seed, i + node->life));
    xn_out_init(&node->out);
    assert_int_equal(xn_tickets_new(&node->tickets), 0);
    assert_int_equal(ov_new(&config, &net->peers, &node->rng, node->tickets,
                            &user, &node->ov),
                     0);
    node->up = true;
    node->wake_us = UINT64_MAX;
    if (net->config.user) {
        begin(node);
        net->config.user->start(node, &node->out);
        end(node);
    }
    net_join(net, i, via);
}

void net_leave(struct net *net, uint32_t i)
{
    begin(&net->node[i]);
    ov_leave(net->node[i].ov, &net->now, &net->node[i].out);
    end(&net->node[i]);
    net_run(net, SEC);
    stop(&net->node[i]);
}

void net_crash(struct net *net, uint32_t i, bool seen)
{
    size_t at;

    for (at = 0; at < net->n_conn; at++) {
        struct conn *conn = &net->conn[at];
        unsigned side = conn->node[1] == i;

        if (conn->node[side] != i || !conn->open[side]) continue;
        conn->open[side] = false;
        if (!conn->open[!side]) {
            if (!net->config.handle_per_link) set_pair(net, conn, -1);
        } else if (seen) {
            close_side(net, at, !side, conn->delay_us);
        }
    }
    stop(&net->node[i]);
}

void net_cut(struct net *net, uint32_t i, uint32_t j)
{
    size_t at;

    for (at = 0; at < net->n_conn; at++) {
        struct conn *conn = &net->conn[at];
        unsigned side = conn->node[1] == i;

        if (conn->node[side] != i || conn->node[!side] != j) continue;
        if (conn->open[side]) close_side(net, at, side, 0);
        if (conn->open[!side]) close_side(net, at, !side, 0);
    }
}

bool net_peer(const struct net *net, uint32_t i, uint32_t j, xn_peer *peer_out)
{
    static xn_peer all[4096];
    struct ov_peer guest;
    size_t n = ov_all(net->node[i].ov, all, 4096), k;

    for (k = 0; k < n; k++) {
        if (net_who(net, i, all[k]) == j) {
            *peer_out = all[k];
            return true;
        }
    }
    for (; ov_peer(net->node[i].ov, k, &guest); k++) {
        if (net_who(net, i, guest.peer) != j) continue;
        *peer_out = guest.peer;
        return true;
    }
    return false;
}

bool net_inject(struct net *net, uint32_t i, uint32_t j, struct xn_msg *msg)
{
    struct node *node = &net->node[i];
    xn_peer peer;

    if (!net_peer(net, i, j, &peer)) return false;
    begin(node);
    ov_msg(node->ov, &net->now, peer, msg, &node->out);
    end(node);
    return true;
}

/* ---- asking ---- */

static void replied(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct asked *asked = ctx;

    (void)user, (void)now, (void)out;
    asked->calls++;
    asked->rc = reply->rc;
    asked->hops = reply->hops;
    asked->from = reply->from;
    if (reply->rc == 0 && reply->msg->kind != XN__KIND__REVOKED_DONE) {
        assert_int_equal(reply->msg->kind, XN__KIND__FOUND);
        asked->by = (uint32_t)XN_BODY(reply->msg, Xn__Found)->known;
    }
}

void net_ask(struct net *net, uint32_t i, const xn_id *key, uint32_t copy,
             uint64_t patience_us, struct asked *asked)
{
    struct node *node = &net->node[i];
    Xn__Find find = XN__FIND__INIT;

    memset(asked, 0, sizeof *asked);
    asked->by = UINT32_MAX;
    begin(node);
    ov_ask(node->ov, &net->now, key, copy, XN__KIND__FIND, &find,
           net->now.mono_us + patience_us, replied, asked, &node->out);
    end(node);
}

void net_ask_peer(struct net *net, uint32_t i, uint32_t j, uint64_t patience_us,
                  struct asked *asked)
{
    const Xn__Find find = XN__FIND__INIT;

    net_ask_peer_of(net, i, j, XN__KIND__FIND, &find, patience_us, asked);
}

void net_ask_peer_of(struct net *net, uint32_t i, uint32_t j, unsigned kind,
                     const void *body, uint64_t patience_us,
                     struct asked *asked)
{
    struct node *node = &net->node[i];
    xn_peer peer;

    memset(asked, 0, sizeof *asked);
    asked->by = UINT32_MAX;
    assert_true(net_peer(net, i, j, &peer));
    begin(node);
    ov_ask_peer(node->ov, &net->now, peer, kind, body,
                net->now.mono_us + patience_us, replied, asked, &node->out);
    end(node);
}

/* ---- the truth ---- */

uint32_t net_who(const struct net *net, uint32_t i, xn_peer peer)
{
    uint32_t j;

    if (peer == XN_PEER_SELF) return i;
    if (!net->config.handle_per_link) return peer;
    for (j = 0; j < net->config.nodes; j++) {
        if (xn_id_eq(&net->rows[peer].id, &net->node[j].contact.id)) return j;
    }
    return UINT32_MAX;
}

static bool counts(const struct node *node)
{
    return node->up && !node->deaf && !node->guest;
}

/* The nearest to key of those farther than node `last`; UINT32_MAX as last:
 * of all. */
static uint32_t nearest_beyond(const struct net *net, const xn_id *key,
                               uint32_t last)
{
    uint32_t i, best = UINT32_MAX;

    for (i = 0; i < net->config.nodes; i++) {
        const xn_id *position = &net->node[i].contact.position;

        if (!counts(&net->node[i])) continue;
        if (last != UINT32_MAX &&
            !xn_ring_nearer(key, &net->node[last].contact.position, position)) {
            continue;
        }
        if (best == UINT32_MAX ||
            xn_ring_nearer(key, position, &net->node[best].contact.position)) {
            best = i;
        }
    }
    return best;
}

uint32_t net_nearest(const struct net *net, const xn_id *key, uint32_t rank)
{
    uint32_t r, i = UINT32_MAX;

    for (r = 0; r <= rank; r++) {
        i = nearest_beyond(net, key, i);
        if (i == UINT32_MAX) break;
    }
    return i;
}

bool net_is_mesh(struct net *net)
{
    size_t i, n = 0;

    for (i = 0; i < net->config.nodes; i++)
        n += counts(&net->node[i]);
    for (i = 0; i < net->config.nodes; i++) {
        if (!counts(&net->node[i])) continue;
        if (ov_links(net->node[i].ov) != n - 1) return false;
    }
    return true;
}

bool net_has_leaves(struct net *net)
{
    uint32_t i, rank, j;
    xn_peer peer;

    for (i = 0; i < net->config.nodes; i++) {
        if (!counts(&net->node[i])) continue;
        for (rank = 0, j = i; rank < net->config.leaves; rank++) {
            j = nearest_beyond(net, &net->node[i].contact.position, j);
            if (j == UINT32_MAX) break;
            if (!net_peer(net, i, j, &peer)) return false;
        }
    }
    return true;
}

void net_key(struct net *net, xn_id *key)
{
    uint64_t word = xn_rng_u64(&net->rng);

    xn_id_hash(&word, sizeof word, key);
}
