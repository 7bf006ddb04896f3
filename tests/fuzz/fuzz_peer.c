/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two members of a small overlay say whatever the input has them say, of every
 * kind, among what they say as nodes; all are whole nodes on the simulator,
 * with ads, searches, deaths and returns.  One of the others is a guest, whom
 * nobody can dial, and in some runs one of the two.  After each step every core
 * must hold together.  When the two are gone the others are linked to each other
 * again, agree on who owns what, and show their ads to whoever asks.
 *
 * Input: a byte of what neither does any more that a node does and which world
 * it is, then a row of steps: a byte for what happens, and what it takes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "node/node.h"
#include "seam/out.h"
#include "sim/crypto.h"
#include "sim/with_node.h"
#include "tests/fuzz/any_msg.h"
#include "wire/ad.h"
#include "wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SECOND 1000000ULL
#define LASTS_US (600 * SECOND) /* of virtual time, then no more steps */

enum { RING = 3, HONEST = 4, NODES = 6, SEEN = 64, STEPS = 300, ASKS_MAX = 20 };
enum { SEED = 7, SEED_RUDE = 8 }; /* that decide so: see begin */
enum what { SAY, AGAIN, REPLY, SOON, LATER, SEARCH, GET, HANG, DIE, WHATS };
/* What a bit of the first byte keeps from the two. */
enum { MUTE_REQUESTS = 1, MUTE_GOSSIP = 2, MUTE_ALL = 4, RUDE_GUEST = 8 };

struct seen { /* what came to one of the two */
    struct xn_msg *msg;
    uint32_t node, from;
};

struct fuzz {
    struct sim_latency *latency;
    struct sim_nodes *nodes;
    struct sim_probe probe;
    struct sim_world *world;
    struct any_pool pool;
    struct any_input in;
    struct seen seen[SEEN];
    size_t n_seen;
    uint8_t *documents[4 * HONEST];
    size_t n_documents;
    xn_id servers[HONEST];
    char addresses[NODES + 1][SIM_ADDRESS_MAX];
    unsigned mute;
    bool rude_guest; /* the last of the two is a guest, too */
    uint64_t tickets, answered, found;
    size_t asks;
};

static void pool_bytes(struct fuzz *f, const void *data, size_t len)
{
    struct any_pool *pool = &f->pool;

    assert(pool->n_bytes < ANY_POOL);
    pool->bytes[pool->n_bytes++] =
        (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
}

static void pool_number(struct fuzz *f, uint64_t number)
{
    assert(f->pool.n_numbers < ANY_POOL);
    f->pool.numbers[f->pool.n_numbers++] = number;
}

static void run_until(struct fuzz *f, uint64_t until_us)
{
    int rc = sim_world_run(f->world, until_us);
    char why[200];
    uint32_t i;

    assert(rc == 0);
    for (i = 0; i < NODES; i++) {
        if (!sim_world_runs(f->world, i)) continue;
        if (xn_core_check(sim_world_core(f->world, i), why, sizeof why))
            continue;
        fprintf(stderr, "node %u: %s\n", i, why);
        abort();
    }
}

static void run_for(struct fuzz *f, uint64_t us)
{
    run_until(f, sim_world_now(f->world) + us);
}

/* ---- hooks ---- */

static void broken(void *user, uint32_t node, const char *why)
{
    (void)user;
    fprintf(stderr, "node %u broke a rule: %s\n", node, why);
    abort();
}

static void answered(void *user, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer)
{
    struct fuzz *f = user;
    Xn__SearchResult *result;

    (void)node, (void)ticket;
    f->answered++;
    if (answer->status != 200) return;
    result =
        xn__search_result__unpack(NULL, answer->body.len, answer->body.data);
    if (!result) return;
    f->found += result->n_hits > 0;
    xn__search_result__free_unpacked(result, NULL);
}

static bool is_gossip(unsigned kind)
{
    return kind == XN__KIND__PEERS || kind == XN__KIND__PING ||
           kind == XN__KIND__PONG;
}

static bool meets(void *user, uint32_t node, uint32_t from,
                  const struct xn_msg *msg)
{
    struct fuzz *f = user;
    struct seen *seen;

    if (node < HONEST) return false;
    if (from < HONEST) {
        seen = &f->seen[f->n_seen++ % SEEN];
        xn_msg_free(seen->msg);
        *seen = (struct seen){xn_msg_ref((struct xn_msg *)(uintptr_t)msg), node,
                              from};
    }
    if (f->mute & MUTE_ALL && msg->kind != XN__KIND__HELLO) return true;
    if (f->mute & MUTE_REQUESTS && msg->kind == XN__KIND__REQUEST) return true;
    return f->mute & MUTE_GOSSIP && is_gossip(msg->kind);
}

/* ---- the world ---- */

static void ask(struct fuzz *f, uint32_t node, const char *path, Xn__Role role,
                const void *body)
{
    Xn__Ask request = XN__ASK__INIT;
    struct sim_caller caller;
    uint8_t *bytes = NULL;

    if (!sim_world_runs(f->world, node)) return;
    assert(!xn_pack(body, &bytes, &request.body.len));
    request.method = (char *)(uintptr_t) "POST";
    request.path = (char *)(uintptr_t)path;
    request.body.data = bytes;
    sim_caller(1, role, node, UINT64_MAX, &caller);
    request.caller = &caller.caller;
    assert(!sim_world_ask(f->world, node, ++f->tickets, &request));
    free(bytes);
}

static uint8_t *keep(struct fuzz *f, uint8_t *bytes, size_t len)
{
    f->documents[f->n_documents++] = bytes;
    pool_bytes(f, bytes, len);
    return bytes;
}

/* An ad of this server as it travels; its parts are in the pool from now on. */
static void make_ad(struct fuzz *f, uint32_t server, uint64_t version_us,
                    Xn__SignedAd *ad_out)
{
    static const char *const corps[] = {"corp.sim"};
    struct advert_environment environment = {.type = "Linux", .kernel = "6.1"};
    struct advert_offer offer = {.corps = corps,
                                 .n_corps = 1,
                                 .server_name = "s",
                                 .endpoint = "https://s.sim:7443",
                                 .architecture = "x86_64",
                                 .environments = &environment,
                                 .n_environments = 1,
                                 .cpu_smps = "1000",
                                 .memory_mb = "1024",
                                 .currency = "GBP",
                                 .price_per_hour = "0.01"};
    struct ad_lease lease = {
        .version = version_us,
        .issued_us = version_us,
        .until_us = version_us + AD_LEASE_US_MAX,
        .server = f->servers[server],
    };
    struct xn_buf xml;
    uint8_t *bytes;
    size_t len;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    assert(!advert_write(&offer, version_us, &xml));
    xn_id_hash(xml.data, xml.len, &lease.document);
    assert(!sim_seal(XN__ROLE__SERVER, server, XN__FORM__ENVELOPE, "", xml.data,
                     xml.len, &ad_out->envelope.data, &ad_out->envelope.len));
    keep(f, ad_out->envelope.data, ad_out->envelope.len);
    assert(!ad_lease_encode(&lease, &bytes, &len));
    assert(!sim_seal(XN__ROLE__SERVER, server, XN__FORM__BLOB, LEASE_CONTEXT,
                     bytes, len, &ad_out->lease.data, &ad_out->lease.len));
    keep(f, ad_out->lease.data, ad_out->lease.len);
    free(bytes);
    xn_buf_clear(&xml);
}

static void publish(struct fuzz *f, uint32_t server)
{
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, later = XN__SIGNED_AD__INIT;
    Xn__SignedAd *ads[] = {&ad};
    Xn__Publish body = XN__PUBLISH__INIT;
    uint64_t wall_us = SIM_WALL_START + sim_world_now(f->world);

    sim_key_id(XN__ROLE__SERVER, server, &f->servers[server]);
    make_ad(f, server, wall_us, &ad);
    make_ad(f, server, wall_us + SECOND, &later); /* known to the two alone */
    body.ads = ads;
    body.n_ads = 1;
    ask(f, server, "/v1/publish", XN__ROLE__SERVER, &body);
}

static void fill_pool(struct fuzz *f)
{
    static const uint8_t blank[128] = {0};
    static const char *const words[] = {
        "", "MemoryMB", "ServerName", "Currency", "GBP", "1000", "s", "h:1"};
    static const uint64_t numbers[] = {UINT64_MAX,
                                       UINT32_MAX,
                                       1ULL << 63,
                                       SIM_WALL_START + SECOND,
                                       1000,
                                       (uint32_t)XN_ENOTYET,
                                       (uint32_t)XN_EBUSY,
                                       (uint32_t)XN_EUNREACH};
    const struct xn_peers *peers = sim_world_peers(f->world);
    uint32_t i;

    for (i = 0; i < sizeof words / sizeof *words; i++)
        f->pool.words[f->pool.n_words++] = words[i];
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
        pool_number(f, numbers[i]);
    for (i = 0; i <= NODES; i++) {
        sim_address(i, f->addresses[i]);
        f->pool.words[f->pool.n_words++] = f->addresses[i];
        if (i == NODES) break; /* that address nobody has */
        pool_bytes(f, &peers->rows[i].id, XN_ID_SIZE);
        pool_bytes(f, &peers->rows[i].position, XN_ID_SIZE);
    }
    for (i = 0; i < HONEST; i++)
        pool_bytes(f, &f->servers[i], XN_ID_SIZE);
    pool_bytes(f, blank, sizeof blank);
    pool_bytes(f, blank, XN_ID_SIZE);
    pool_bytes(f, blank, 16);
}

/* Whom nobody can dial: behind the honest ones of the ring, and in one world
 * the last of all. */
static bool is_guest(const struct fuzz *f, uint32_t node)
{
    if (node == NODES - 1) return f->rude_guest;
    return node >= RING && node < HONEST;
}

static void begin(struct fuzz *f)
{
    const struct sim_hooks hooks = {
        .user = f, .broken = broken, .answered = answered, .meets = meets};
    struct sim_config config = {.nodes = NODES,
                                .seed = f->rude_guest ? SEED_RUDE : SEED};
    struct sim_maker maker;
    uint32_t i;

    sim_settings_default(&config.settings);
    config.settings.nat_ppm = 250000;
    assert(!sim_latency_uniform(5000, 50000, &f->latency));
    assert(!sim_nodes_new(&f->nodes));
    sim_nodes_maker(f->nodes, &maker);
    sim_nodes_probe(f->nodes, &f->probe);
    assert(!sim_world_new(&config, f->latency, &maker, &hooks, &f->world));
    for (i = 0; i < NODES; i++) {
        assert(sim_world_nat(f->world, i) == is_guest(f, i));
        assert(!sim_world_start(f->world, i, 1000 * i));
    }
    run_until(f, 20 * SECOND);
    for (i = 0; i < HONEST; i++)
        publish(f, i);
    fill_pool(f);
    run_until(f, 25 * SECOND);
    assert(f->answered == HONEST);
}

static void end(struct fuzz *f)
{
    size_t i;

    f->probe.clear(f->probe.user);
    sim_world_free(f->world);
    sim_nodes_free(f->nodes);
    sim_latency_free(f->latency);
    for (i = 0; i < SEEN; i++)
        xn_msg_free(f->seen[i].msg);
    for (i = 0; i < f->n_documents; i++)
        free(f->documents[i]);
}

/* ---- steps ---- */

static void send_msg(struct fuzz *f, uint32_t node, uint32_t to,
                     struct xn_msg *msg)
{
    struct xn_action act = {.kind = XN_ACT_SEND, .peer = to, .msg = msg};
    const struct xn_outbox box = {&act, 1, UINT64_MAX};

    if (sim_world_runs(f->world, node))
        assert(!sim_world_perform(f->world, node, &box));
    xn_msg_free(msg);
}

static void send(struct fuzz *f, uint32_t node, uint32_t to, unsigned kind,
                 const void *body)
{
    struct xn_msg *msg = NULL;

    if (!xn_msg_new(kind, body, &msg)) send_msg(f, node, to, msg);
}

static void say(struct fuzz *f, uint32_t node, uint32_t to)
{
    unsigned kind = any_kind(&f->in);

    send(f, node, to, kind, any_msg(&f->in, xn_kind_type(kind)));
}

static struct seen *some_seen(struct fuzz *f)
{
    size_t n = f->n_seen < SEEN ? f->n_seen : SEEN;

    return n ? &f->seen[any_byte(&f->in) % n] : NULL;
}

/* What came from one, damaged, to another. */
static void again(struct fuzz *f, uint32_t node, uint32_t to)
{
    const struct seen *seen = some_seen(f);
    struct xn_msg *msg = NULL;
    unsigned hits = any_byte(&f->in) % 4;
    uint8_t *copy;
    size_t at;

    if (!seen || !seen->msg->size) return;
    copy = malloc(seen->msg->size);
    assert(copy);
    memcpy(copy, seen->msg->bytes, seen->msg->size);
    while (hits-- > 0) {
        at = any_byte(&f->in) | any_byte(&f->in) << 8;
        copy[at % seen->msg->size] = (uint8_t)any_byte(&f->in);
    }
    if (!xn_msg_decode(seen->msg->kind, copy, seen->msg->size, &msg))
        send_msg(f, node, to, msg);
    free(copy);
}

/* To a question that was asked. */
static void reply(struct fuzz *f)
{
    const struct seen *seen = some_seen(f);
    Xn__Reply body = XN__REPLY__INIT;
    const Xn__Request *request;

    if (!seen || seen->msg->kind != XN__KIND__REQUEST) return;
    request = XN_BODY(seen->msg, Xn__Request);
    body.rid = request->rid;
    body.rc = any_byte(&f->in) < 224 ? 0 : -(int)(any_byte(&f->in) % 64);
    body.kind = request->kind + 1;
    body.hops = request->hops + 1;
    body.yours = any_byte(&f->in) > 224;
    if (xn_kind_type(body.kind)) {
        void *answer = any_msg(&f->in, xn_kind_type(body.kind));
        ProtobufCBinaryData payload;

        assert(!xn_pack(answer, &payload.data, &payload.len));
        body.payload = payload;
        send(f, seen->node, seen->from, XN__KIND__REPLY, &body);
        free(payload.data);
    }
}

static void hang(struct fuzz *f, uint32_t node, uint32_t to)
{
    Xn__Reason reason = XN__REASON__INIT;
    struct xn_msg *msg = NULL;
    struct xn_action act = {.kind = XN_ACT_HANG, .peer = to};
    const struct xn_outbox box = {&act, 1, UINT64_MAX};

    if (!sim_world_runs(f->world, node)) return;
    assert(!xn_msg_new(XN__KIND__REASON, &reason, &msg));
    act.msg = msg;
    assert(!sim_world_perform(f->world, node, &box));
    xn_msg_free(msg);
}

/* One that does not run comes back, with what its disk has. */
static void die(struct fuzz *f, uint32_t node)
{
    uint64_t now_us = sim_world_now(f->world);

    if (sim_world_runs(f->world, node))
        assert(!sim_world_kill(f->world, node, now_us + 1,
                               any_byte(&f->in) % 2 ? SIM_END_POWER : 0));
    else
        assert(!sim_world_start(f->world, node, now_us + 1));
}

static void get(struct fuzz *f, uint32_t node, uint32_t server)
{
    Xn__Get body = XN__GET__INIT;

    body.server = xn_id_bytes(&f->servers[server]);
    ask(f, node, "/v1/get", XN__ROLE__CLIENT, &body);
}

static void search(struct fuzz *f, uint32_t node)
{
    if (f->asks++ >= ASKS_MAX) return;
    ask(f, node, "/v1/search", XN__ROLE__CLIENT,
        any_msg(&f->in, &xn__search__descriptor));
}

static void step(struct fuzz *f)
{
    enum what what = any_byte(&f->in) % WHATS;
    unsigned who = any_byte(&f->in);
    uint32_t honest = who % HONEST;
    uint32_t node = HONEST + (who / HONEST) % (NODES - HONEST);

    switch (what) {
    case SAY: say(f, node, honest); break;
    case AGAIN: again(f, node, honest); break;
    case REPLY: reply(f); break;
    case SOON: run_for(f, 1000 * (uint64_t)who); break;
    case LATER: run_for(f, SECOND / 8 * who); break;
    case SEARCH: search(f, honest); break;
    case GET: get(f, honest, (who / HONEST) % HONEST); break;
    case HANG: hang(f, node, honest); break;
    case DIE: die(f, who % NODES); break;
    default: break;
    }
    run_for(f, 1);
}

/* ---- what must hold when they are gone ---- */

static void check_owners(struct fuzz *f)
{
    uint32_t i, j, owner, first = 0;
    xn_id key;

    for (i = 0; i < 16; i++) {
        xn_id_hash(&i, sizeof i, &key);
        for (j = 0; j < RING; j++) {
            assert(f->probe.owner(f->probe.user, j, sim_world_core(f->world, j),
                                  &key, &owner));
            if (j == 0) first = owner;
            assert(owner == first && owner < RING);
        }
    }
}

static void alone(struct fuzz *f)
{
    uint64_t now_us = sim_world_now(f->world);
    uint64_t answered_before, found_before;
    uint32_t i;

    f->mute = 0;
    for (i = HONEST; i < NODES; i++)
        if (sim_world_runs(f->world, i))
            assert(!sim_world_kill(f->world, i, now_us + 1, 0));
    for (i = 0; i < HONEST; i++)
        if (!sim_world_runs(f->world, i))
            assert(!sim_world_start(f->world, i, now_us + 1));
    run_for(f, 120 * SECOND);

    check_owners(f);
    answered_before = f->answered;
    found_before = f->found;
    for (i = 0; i < HONEST; i++)
        get(f, i, (i + 1) % HONEST);
    run_for(f, 20 * SECOND);
    assert(f->answered == answered_before + HONEST);
    assert(f->found == found_before + HONEST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz *f = calloc(1, sizeof *f);
    struct xn_arena arena;
    unsigned steps = 0, how;

    if (!f) return 0;
    xn_arena_init(&arena, 0);
    f->in = (struct any_input){data, data + len, &f->pool, &arena};
    how = any_byte(&f->in) % 16;
    f->rude_guest = how & RUDE_GUEST;
    begin(f);
    f->mute = how;
    while (f->in.at < f->in.end && steps++ < STEPS &&
           sim_world_now(f->world) < LASTS_US) {
        step(f);
        xn_arena_clear(&arena);
    }
    alone(f);
    end(f);
    free(f);
    return 0;
}
