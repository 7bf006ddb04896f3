/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenosim with nodes that lie, so that each of its checkers is seen to fail.
 * The node core is the real one; what it hands to the driver is altered on the
 * way, from lie.from on:  --set lie.how=twice --set lie.from=60s */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/span.h"
#include "seam/out.h"
#include "sim/cli.h"
#include "sim/with_node.h"

enum { SEEN_MAX = 64, FLOOD = 70000 };

/* Of all ads in answers the first version that was shown. */
struct seen {
    Xn__SignedAd *ad;
    xn_id server;
};

struct liars {
    const struct lie *lie;
    uint64_t from_us;
    const struct xn_core_ops *honest;
    const struct xn_core *first; /* node 0 */
    struct sim_maker maker;
    struct sim_probe probe;
    sim_looked_up *looked_up;
    struct seen seen[SEEN_MAX];
    size_t n_seen;
    size_t turn;
    bool told;         /* what is told once only */
    struct xn_out out; /* the altered outbox of the last step */
};

/* Cores have no room for a pointer of ours. */
static struct liars liars;

struct lie {
    const char *name;
    /* These alter an answer to a search, a message sent, or the whole step. */
    void (*result)(Xn__SearchResult *result);
    void (*hit)(Xn__Hit *hit);
    bool (*drops)(const struct xn_action *act);
    void (*add)(struct xn_out *out);
    /* These what the checkers ask a node. */
    bool state, owner, leaves, settled, unsure, none, one, alone;
};

/* ---- lies about ads ---- */

static void set_bytes(ProtobufCBinaryData *bytes, const void *data, size_t len)
{
    free(bytes->data);
    bytes->data = malloc(len + 1);
    if (!bytes->data) abort();
    memcpy(bytes->data, data, len);
    bytes->len = len;
}

/* The modelled envelope is a signed blob, and its signature nobody checks who
 * only compares documents. */
static void alter(Xn__Hit *hit)
{
    ProtobufCBinaryData *envelope = &hit->ad->envelope;
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, envelope->len, envelope->data);
    uint8_t *bytes;
    size_t len;

    if (!blob || !blob->payload.len) abort();
    blob->payload.data[blob->payload.len / 2] ^= 1;
    if (xn_pack(blob, &bytes, &len)) abort();
    set_bytes(envelope, bytes, len);
    free(bytes);
    xn__signed_blob__free_unpacked(blob, NULL);
}

static void forge(Xn__Hit *hit)
{
    set_bytes(&hit->ad->envelope, "no envelope", 11);
}

static void drop_lease(Xn__Hit *hit)
{
    set_bytes(&hit->ad->lease, "\xff", 1);
}

static void drop_ad(Xn__Hit *hit)
{
    xn__signed_ad__free_unpacked(hit->ad, NULL);
    hit->ad = NULL;
}

static Xn__SignedAd *copy_ad(const Xn__SignedAd *ad)
{
    uint8_t *bytes;
    size_t len;
    Xn__SignedAd *copy;

    if (xn_pack(ad, &bytes, &len)) abort();
    copy = xn__signed_ad__unpack(NULL, len, bytes);
    free(bytes);
    if (!copy) abort();
    return copy;
}

/* Whose it is: the modelled key stands in the envelope. */
static void server_of(const Xn__SignedAd *ad, xn_id *server_out)
{
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, ad->envelope.len, ad->envelope.data);

    if (!blob) abort();
    xn_id_hash(blob->spki.data, blob->spki.len, server_out);
    xn__signed_blob__free_unpacked(blob, NULL);
}

static const struct seen *first_seen(const Xn__SignedAd *ad)
{
    struct seen *row = &liars.seen[liars.n_seen];
    xn_id server;
    size_t i;

    server_of(ad, &server);
    for (i = 0; i < liars.n_seen; i++) {
        if (xn_id_eq(&liars.seen[i].server, &server)) return &liars.seen[i];
    }
    if (liars.n_seen == SEEN_MAX) return NULL;
    *row = (struct seen){copy_ad(ad), server};
    liars.n_seen++;
    return row;
}

static void show_first(Xn__Hit *hit)
{
    const struct seen *first = first_seen(hit->ad);

    if (!first) return;
    xn__signed_ad__free_unpacked(hit->ad, NULL);
    hit->ad = copy_ad(first->ad);
}

static void first_lease(Xn__Hit *hit)
{
    const struct seen *first = first_seen(hit->ad);

    if (!first) return;
    set_bytes(&hit->ad->lease, first->ad->lease.data, first->ad->lease.len);
}

/* ---- lies about answers ---- */

static void add_hit(Xn__SearchResult *result, const Xn__SignedAd *ad)
{
    Xn__Hit *hit = malloc(sizeof *hit);

    result->hits =
        realloc(result->hits, (result->n_hits + 1) * sizeof(Xn__Hit *));
    if (!hit || !result->hits) abort();
    xn__hit__init(hit);
    hit->ad = copy_ad(ad);
    result->hits[result->n_hits++] = hit;
}

static void show_twice(Xn__SearchResult *result)
{
    if (result->n_hits > 0) add_hit(result, result->hits[0]->ad);
}

static void hide_one(Xn__SearchResult *result)
{
    size_t i;

    if (result->n_hits == 0) return;
    xn__hit__free_unpacked(result->hits[0], NULL);
    result->n_hits--;
    for (i = 0; i < result->n_hits; i++)
        result->hits[i] = result->hits[i + 1];
}

/* One that was not asked for, or should not be there any more. */
static void show_spare(Xn__SearchResult *result)
{
    if (liars.n_seen == 0) return;
    add_hit(result, liars.seen[liars.turn++ % liars.n_seen].ad);
}

static void answer_half(Xn__SearchResult *result)
{
    result->answered_ppm = 500000;
}

/* ---- lies about messages ---- */

static bool is_answer(const struct xn_action *act)
{
    return act->kind == XN_ACT_ANSWER;
}

static bool is_reply(const struct xn_action *act)
{
    return act->kind == XN_ACT_SEND && act->msg->kind == XN__KIND__REPLY;
}

static void flood(struct xn_out *out)
{
    if (liars.told) return;
    liars.told = true;
    while (out->n < FLOOD && !out->rc)
        xn_out_log(out, 0, "flood");
}

static void send_nothing(struct xn_out *out)
{
    xn_out_add(out, XN_ACT_SEND, 0, 0, NULL);
}

/* No honest builder makes a message over the bound. */
static void send_too_much(struct xn_out *out)
{
    struct xn_msg *msg = NULL;
    Xn__Ping ping = XN__PING__INIT;
    xn_peer peer;

    if (liars.told) return;
    liars.told = true;
    for (peer = 0; peer < 2; peer++) {
        if (xn_msg_new(XN__KIND__PING, &ping, &msg)) abort();
        msg->size = XN_MSG_MAX + 1; /* its own bytes are a part of it */
        msg->bytes = calloc(1, msg->size);
        if (!msg->bytes) abort();
        xn_out_add(out, XN_ACT_SEND, 0, peer, msg);
    }
}

static const struct lie lies[] = {
    {.name = "altered", .hit = alter},
    {.name = "forged", .hit = forge},
    {.name = "unleased", .hit = drop_lease},
    {.name = "empty", .hit = drop_ad},
    {.name = "first", .hit = show_first},
    {.name = "lease", .hit = first_lease},
    {.name = "twice", .result = show_twice},
    {.name = "hidden", .result = hide_one},
    {.name = "spare", .result = show_spare},
    {.name = "half", .result = answer_half},
    {.name = "silent", .drops = is_answer},
    {.name = "mute", .drops = is_reply},
    {.name = "flood", .add = flood},
    {.name = "nothing", .add = send_nothing},
    {.name = "long", .add = send_too_much},
    {.name = "state", .state = true},
    {.name = "owner", .owner = true},
    {.name = "leaves", .leaves = true},
    {.name = "settled", .settled = true},
    {.name = "unsure", .unsure = true},
    {.name = "alone", .alone = true},
    {.name = "none", .none = true},
    {.name = "one", .one = true},
};
enum { LIES = sizeof lies / sizeof lies[0] };

/* ---- the core that tells them ---- */

static void answer(const struct xn_action *act)
{
    const Xn__Answer *body = XN_BODY(act->msg, Xn__Answer);
    Xn__SearchResult *result =
        xn__search_result__unpack(NULL, body->body.len, body->body.data);
    size_t i;

    if (!result) abort();
    if (liars.lie->result) liars.lie->result(result);
    for (i = 0; liars.lie->hit && i < result->n_hits; i++)
        liars.lie->hit(result->hits[i]);
    xn_out_answer(&liars.out, act->ticket, body->status, result);
    xn__search_result__free_unpacked(result, NULL);
}

/* A publication's answer has another form, and is left alone: it is shorter
 * than any result with a hit. */
static bool is_result(const struct xn_action *act)
{
    const Xn__Answer *body;
    Xn__SearchResult *result;
    bool is = false;

    if (act->kind != XN_ACT_ANSWER || act->msg->kind != XN__KIND__ANSWER) {
        return false;
    }
    body = XN_BODY(act->msg, Xn__Answer);
    if (body->status != 200) return false;
    result = xn__search_result__unpack(NULL, body->body.len, body->body.data);
    is = result && result->engine && result->engine[0];
    if (result) xn__search_result__free_unpacked(result, NULL);
    return is;
}

static void pass(const struct xn_action *act)
{
    if (liars.lie->drops && liars.lie->drops(act)) return;
    if ((liars.lie->result || liars.lie->hit) && is_result(act)) {
        answer(act);
    } else {
        xn_out_add(&liars.out, act->kind, act->ticket, act->peer,
                   xn_msg_ref(act->msg));
    }
}

static void learn(const struct xn_action *act)
{
    const Xn__Answer *body = XN_BODY(act->msg, Xn__Answer);
    Xn__SearchResult *result;
    size_t i;

    if (!is_result(act)) return;
    result = xn__search_result__unpack(NULL, body->body.len, body->body.data);
    for (i = 0; i < result->n_hits; i++)
        first_seen(result->hits[i]->ad);
    xn__search_result__free_unpacked(result, NULL);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *box)
{
    int rc = liars.honest->step(core, now, ev, box);
    size_t i;

    for (i = 0; i < box->n; i++)
        learn(&box->act[i]);
    if (rc || now->mono_us < liars.from_us) return rc;
    xn_out_reset(&liars.out);
    for (i = 0; i < box->n; i++)
        pass(&box->act[i]);
    if (liars.lie->add) liars.lie->add(&liars.out);
    *box = xn_out_box(&liars.out, box->wake_us);
    return liars.out.rc;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    if (!liars.lie->state) return liars.honest->check(core, why_out, len);
    snprintf(why_out, len, "broken on purpose");
    return false;
}

static void core_free(struct xn_core *core)
{
    liars.honest->free(core);
}

static const struct xn_core_ops liar_ops = {"node", step, check, core_free};

static int make(void *user, const struct sim_world *world, uint32_t number,
                uint64_t seed, struct xn_core **core_out)
{
    int rc = liars.maker.make(liars.maker.user, world, number, seed, core_out);

    (void)user;
    if (rc || !liars.lie) return rc;
    if (number == 0) liars.first = *core_out;
    liars.honest = (*core_out)->ops;
    (*core_out)->ops = &liar_ops;
    return 0;
}

/* ---- what the checkers ask ---- */

static bool owner(void *user, uint32_t node, struct xn_core *core,
                  const xn_id *key, uint32_t *owner_out)
{
    bool says = liars.probe.owner(user, node, core, key, owner_out);

    if (liars.lie && liars.lie->owner) *owner_out = (*owner_out + 1) % 2;
    return says;
}

static size_t leaves(void *user, struct xn_core *core, uint32_t *out)
{
    size_t n = liars.probe.leaves(user, core, out);
    uint32_t first = out[0];

    if (liars.lie && liars.lie->alone && n > 1) return 1;
    if (!liars.lie || !liars.lie->leaves || n < 2) return n;
    out[0] = out[1];
    out[1] = first;
    return n;
}

static bool settled(void *user, struct xn_core *core)
{
    if (liars.lie && liars.lie->settled) return false;
    return liars.probe.settled(user, core);
}

/* Nobody holds any ad, or node 0 alone does. */
static bool holds(void *user, struct xn_core *core, const xn_id *server,
                  uint64_t version, const struct xn_now *now)
{
    bool now_lies = liars.lie && now->mono_us >= liars.from_us;

    if (now_lies && liars.lie->none) return false;
    if (now_lies && liars.lie->one) return core == liars.first;
    return liars.probe.holds(user, core, server, version, now);
}

static void not_yet(struct sim_run *run, uint64_t number, int rc,
                    const xn_id *from, uint32_t hops)
{
    liars.looked_up(run, number, rc ? rc : XN_ENOTYET, from, hops);
}

static int lookup(void *user, struct sim_run *run, uint32_t node,
                  const xn_id *key, uint32_t copy, uint64_t number,
                  sim_looked_up *done)
{
    liars.looked_up = done;
    if (liars.lie && liars.lie->unsure) done = not_yet;
    return liars.probe.lookup(user, run, node, key, copy, number, done);
}

static int set(void *user, const char *key, const char *value)
{
    size_t i;

    if (!strcmp(key, "lie.from")) return xn_span_parse(value, &liars.from_us);
    if (strcmp(key, "lie.how") != 0) return liars.probe.set(user, key, value);
    for (i = 0; i < LIES; i++) {
        if (!strcmp(value, lies[i].name)) liars.lie = &lies[i];
    }
    return liars.lie ? 0 : XN_EINVAL;
}

int main(int argc, char **argv)
{
    struct sim_cli cli = {
        .program = "liarsim",
        .purpose = "Run the node code among lies, to see the checkers fail.",
    };
    struct sim_nodes *nodes;
    int rc = sim_nodes_new(&nodes);

    if (rc) return XN_EXIT_FAILED;
    xn_out_init(&liars.out);
    sim_nodes_maker(nodes, &liars.maker);
    sim_nodes_probe(nodes, &liars.probe);
    cli.maker = (struct sim_maker){"node", NULL, make, NULL, NULL, NULL};
    cli.probe = liars.probe;
    cli.probe.owner = owner;
    cli.probe.leaves = leaves;
    cli.probe.holds = holds;
    cli.probe.lookup = lookup;
    cli.probe.settled = settled;
    cli.probe.set = set;
    rc = sim_cli_main(&cli, argc, argv);
    while (liars.n_seen > 0)
        xn__signed_ad__free_unpacked(liars.seen[--liars.n_seen].ad, NULL);
    xn_out_clear(&liars.out);
    sim_nodes_free(nodes);
    return rc;
}
