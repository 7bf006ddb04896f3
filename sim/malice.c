/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/malice.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "lib/span.h"
#include "lib/text.h"
#include "seam/out.h"

enum {
    SALT_WHO = 0x6d61,
    SALT_HOW = 0x6d68,
    FLOOD_PEERS = 4, /* each tenth of a second */
    FLOOD_ASKS = 8,
    NEAR_MAX = 16,
    PLACE_MAX = 4, /* read of an answer about a place of the table */
    COPIES = 3,
    DRAWS_MAX = 64
};
#define TICK_US 100000ULL

enum how { HONEST, DROP, MISROUTE, LIE, ECLIPSE, FLOOD, MIXED };
static const char *const hows[] = {"none",    "drop",  "misroute", "lie",
                                   "eclipse", "flood", "mixed"};

struct sim_malice {
    uint8_t *how;   /* enum how, by node */
    uint32_t *who;  /* malicious ones by position; */
    uint32_t n;     /* so many */
    uint32_t draws; /* of what they do at random */
};

const char *const sim_malice_settings[] = {"malice.draws", "malice.how",
                                           "malice.share", NULL};

static int set_how(struct sim_malice_config *config, const char *value)
{
    uint32_t i;

    for (i = 0; i < sizeof hows / sizeof *hows; i++) {
        if (strcmp(hows[i], value) != 0) continue;
        config->how = i;
        return 0;
    }
    return XN_EINVAL;
}

static int set_share(struct sim_malice_config *config, const char *value)
{
    char number[8];
    size_t len = strlen(value);
    uint64_t percent;

    if (len < 2 || len > sizeof number || value[len - 1] != '%')
        return XN_EINVAL;
    memcpy(number, value, len - 1);
    number[len - 1] = '\0';
    if (xn_number_parse(number, 99, &percent)) return XN_EINVAL;
    config->percent = (uint32_t)percent;
    return 0;
}

int sim_malice_set(struct sim_malice_config *config, const char *key,
                   const char *value)
{
    uint64_t draws;

    if (!strcmp(key, "malice.how")) return set_how(config, value);
    if (!strcmp(key, "malice.share")) return set_share(config, value);
    if (strcmp(key, "malice.draws") != 0) return XN_ENOENT;
    if (xn_number_parse(value, DRAWS_MAX, &draws) || !draws) return XN_EINVAL;
    config->draws = (uint32_t)draws;
    return 0;
}

/* ---- who, and where ---- */

bool sim_malice_is(const struct sim_run *run, uint32_t node)
{
    return run->malice && run->malice->how[node] != HONEST;
}

void sim_malice_victim(const struct sim_run *run, uint32_t number,
                       xn_id *key_out)
{
    uint64_t word = xn_rng_mix(run->seed ^ SALT_WHO, UINT64_MAX - number);

    xn_id_hash(&word, sizeof word, key_out);
}

static uint8_t how_of(const struct sim_run *run, uint32_t node)
{
    uint64_t draw = xn_rng_mix(run->seed ^ SALT_WHO, node);

    if (draw % 100 >= run->malice_config.percent) return HONEST;
    if (run->malice_config.how != MIXED) return (uint8_t)run->malice_config.how;
    return (uint8_t)(DROP + xn_rng_mix(run->seed ^ SALT_HOW, node) %
                                (ECLIPSE - DROP + 1));
}

static bool is_nearer(const xn_id *victims, const xn_id *a, const xn_id *b)
{
    uint64_t best_a = UINT64_MAX, best_b = UINT64_MAX;
    size_t i;

    for (i = 0; i < MALICE_VICTIMS; i++) {
        uint64_t to_a = table_apart(&victims[i], a);
        uint64_t to_b = table_apart(&victims[i], b);

        if (to_a < best_a) best_a = to_a;
        if (to_b < best_b) best_b = to_b;
    }
    return best_a < best_b;
}

/* The best of its draws; the first is the one that it would have anyway. */
static void place(struct sim_run *run, uint32_t node, const xn_id *victims)
{
    xn_id best = sim_world_peers(run->world)->rows[node].position, other;
    uint32_t i;

    for (i = 1; i < run->malice_config.draws; i++) {
        uint64_t word = (uint64_t)i << 32 | node;

        xn_id_hash2(best.b, sizeof best.b, &word, sizeof word, &other);
        if (is_nearer(victims, &other, &best)) best = other;
    }
    sim_world_place(run->world, node, &best);
}

static int by_position(const struct sim_run *run, struct sim_malice *malice)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i;

    malice->who = malloc((nodes + 1) * sizeof *malice->who);
    if (!malice->who) return XN_ENOMEM;
    for (i = 0; i < nodes; i++) {
        uint32_t node = run->by_position[i];

        if (malice->how[node] != HONEST) malice->who[malice->n++] = node;
    }
    return 0;
}

int sim_malice_new(struct sim_run *run)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i;
    xn_id victims[MALICE_VICTIMS];
    struct sim_malice *malice;
    int rc;

    if (run->malice_config.percent && run->malice_config.how != HONEST) {
        malice = calloc(1, sizeof *malice);
        if (!malice) return XN_ENOMEM;
        run->malice = malice;
        malice->how = calloc(nodes, sizeof *malice->how);
        if (!malice->how) return XN_ENOMEM;
        for (i = 0; i < MALICE_VICTIMS; i++)
            sim_malice_victim(run, i, &victims[i]);
        for (i = 0; i < nodes; i++) {
            malice->how[i] = how_of(run, i);
            if (malice->how[i] != HONEST) place(run, i, victims);
        }
    }
    rc = sim_owner_start(run);
    return rc || !run->malice ? rc : by_position(run, run->malice);
}

void sim_malice_free(struct sim_run *run)
{
    if (!run->malice) return;
    free(run->malice->how);
    free(run->malice->who);
    free(run->malice);
    run->malice = NULL;
}

/* ---- what they say ---- */

static uint64_t draw(struct sim_run *run)
{
    return xn_rng_mix(run->seed ^ SALT_HOW, UINT64_MAX - run->malice->draws++);
}

static const struct xn_contact *contact_of(const struct sim_run *run,
                                           uint32_t node)
{
    return &sim_world_peers(run->world)->rows[node];
}

static void say(struct sim_run *run, uint32_t node, uint32_t to, unsigned kind,
                const void *body)
{
    struct xn_outbox box;
    struct xn_out out;

    xn_out_init(&out);
    xn_out_send(&out, to, kind, body);
    box = xn_out_box(&out, UINT64_MAX);
    if (out.rc)
        sim_world_stop(run->world, out.rc);
    else
        sim_world_perform(run->world, node, &box);
    xn_out_clear(&out);
}

static void acknowledge(struct sim_run *run, uint32_t node, uint32_t to,
                        const Xn__Request *request)
{
    Xn__Ack ack = XN__ACK__INIT;

    ack.rid = request->rid;
    say(run, node, to, XN__KIND__ACK, &ack);
}

static void reply(struct sim_run *run, uint32_t node, uint32_t to,
                  const Xn__Request *request, const xn_id *from, unsigned kind,
                  const void *body)
{
    Xn__Reply reply = XN__REPLY__INIT;
    struct xn_msg *inner = NULL;
    int rc = xn_msg_new(kind, body, &inner);

    if (rc) {
        sim_world_stop(run->world, rc);
        return;
    }
    reply.rid = request->rid;
    reply.kind = kind;
    reply.payload.data = inner->bytes;
    reply.payload.len = inner->size;
    reply.from = xn_id_bytes(from);
    reply.hops = request->hops + 2;
    say(run, node, to, XN__KIND__REPLY, &reply);
    xn_msg_free(inner);
}

/* Where the first of them stands that is not before the key. */
static uint32_t lower(const struct sim_run *run, const xn_id *key)
{
    const struct sim_malice *malice = run->malice;
    uint32_t lo = 0, hi = malice->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (xn_id_cmp(&contact_of(run, malice->who[mid])->position, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Those of them nearest to the key, nearest first. */
static size_t friends(const struct sim_run *run, const xn_id *key, size_t most,
                      uint32_t *out)
{
    const struct sim_malice *malice = run->malice;
    uint32_t n = malice->n, up = lower(run, key), down = up + n;
    size_t got = 0;

    while (got < most && up < down) {
        uint32_t a = malice->who[up % n], b = malice->who[(down - 1) % n];
        bool b_first = xn_ring_nearer(key, &contact_of(run, b)->position,
                                      &contact_of(run, a)->position);

        out[got++] = b_first ? b : a;
        if (b_first)
            down--;
        else
            up++;
    }
    return got;
}

struct names {
    Xn__Contact rows[NEAR_MAX], *ptr[NEAR_MAX];
    size_t n;
};

static void name(struct names *names, const xn_id *id, const xn_id *position,
                 const char *address)
{
    Xn__Contact *row = &names->rows[names->n];

    if (names->n == NEAR_MAX) return;
    xn__contact__init(row);
    row->id = xn_id_bytes(id);
    row->position = xn_id_bytes(position);
    row->address = (char *)(uintptr_t)address;
    names->ptr[names->n++] = row;
}

static void name_node(const struct sim_run *run, struct names *names,
                      uint32_t node)
{
    const struct xn_contact *c = contact_of(run, node);

    name(names, &c->id, &c->position, c->address);
}

/* Honest ones that are farther from the key than the last one named. */
static void name_behind(const struct sim_run *run, struct names *names,
                        const xn_id *key, uint32_t last)
{
    const xn_id *from = &contact_of(run, last)->position;
    uint32_t nodes[8 * NEAR_MAX];
    size_t n = sim_run_copies(run, key, 8 * NEAR_MAX, nodes), i;

    for (i = 0; i < n; i++) {
        if (!sim_malice_is(run, nodes[i]) &&
            xn_ring_nearer(key, from, &contact_of(run, nodes[i])->position))
            name_node(run, names, nodes[i]);
    }
}

static void tell_near(struct sim_run *run, uint32_t node, uint32_t to,
                      const Xn__Request *request, const xn_id *key)
{
    const struct sim_malice *malice = run->malice;
    enum how how = malice->how[node];
    uint32_t nodes = (uint32_t)sim_world_peers(run->world)->n, near[NEAR_MAX];
    size_t n = friends(run, key, how == ECLIPSE ? NEAR_MAX : COPIES, near), i;
    Xn__NearDone done = XN__NEAR_DONE__INIT;
    struct names names = {.n = 0};
    xn_id nobody;

    if (how == MISROUTE) {
        for (i = 0; i < NEAR_MAX; i++)
            name_node(run, &names, (uint32_t)(draw(run) % nodes));
    } else {
        xn_id_hash(key->b, sizeof key->b, &nobody);
        if (how == LIE && node % 2)
            name(&names, &nobody, key, "10.255.255.254:7000");
        for (i = 0; i < n; i++)
            name_node(run, &names, near[i]);
        if (how == LIE && n) name_behind(run, &names, key, near[n - 1]);
    }
    done.near = names.ptr;
    done.n_near = names.n;
    reply(run, node, to, request, &contact_of(run, node)->id,
          XN__KIND__NEAR_DONE, &done);
}

/* As if one of them owned the key: one far away, or the nearest. */
static void answer(struct sim_run *run, uint32_t node, uint32_t to,
                   const Xn__Request *request, const xn_id *key)
{
    const struct sim_malice *malice = run->malice;
    Xn__HaveDone done = XN__HAVE_DONE__INIT;
    uint32_t owner = node;

    if (malice->how[node] == MISROUTE)
        owner = malice->who[draw(run) % malice->n];
    else
        friends(run, key, 1, &owner);
    reply(run, node, to, request, &contact_of(run, owner)->id,
          XN__KIND__HAVE_DONE, &done);
}

static bool meets_request(struct sim_run *run, uint32_t node, uint32_t from,
                          const Xn__Request *request)
{
    enum how how = run->malice->how[node];
    bool near = request->kind == XN__KIND__NEAR;
    Xn__Near *body = NULL;
    xn_id key = {{0}}; /* of a request's the first bytes are told */

    if (request->direct && !near) return false;
    if (how == DROP || how == FLOOD) {
        acknowledge(run, node, from, request);
        return true;
    }
    if (!near) {
        if (request->key.len == 0 || request->key.len > XN_ID_SIZE) return true;
        memcpy(key.b, request->key.data, request->key.len);
        answer(run, node, from, request, &key);
        return true;
    }
    body = xn__near__unpack(NULL, request->payload.len, request->payload.data);
    if (body && !xn_id_from_bytes(&body->key, &key))
        tell_near(run, node, from, request, &key);
    xn__near__free_unpacked(body, NULL);
    return true;
}

/* Whom of them it has in a place of the table: those who ask are to take them
 * for the nearest there. */
static void tell_nearer(struct sim_run *run, uint32_t node, uint32_t to,
                        const Xn__Peers *want)
{
    const struct sim_malice *malice = run->malice;
    Xn__Coordinate there = *want->coordinate;
    Xn__Peers peers = XN__PEERS__INIT;
    struct names names = {.n = 0};
    struct table_place place;
    uint32_t from, i;
    xn_id head;

    if (xn_id_from_bytes(&want->from, &head)) return;
    table_prefix(&head, want->bits, &place);
    from = (uint32_t)(draw(run) % malice->n);
    for (i = 0; i < malice->n && names.n < PLACE_MAX; i++) {
        uint32_t other = malice->who[(from + i) % malice->n];
        const xn_id *position = &contact_of(run, other)->position;

        if (other == to || xn_id_cmp(position, &place.lo) < 0 ||
            xn_id_cmp(position, &place.hi) > 0)
            continue;
        name_node(run, &names, other);
        names.rows[names.n - 1].coordinate = &there;
    }
    there.error = 5;
    peers.sample = names.ptr;
    peers.n_sample = names.n;
    peers.coordinate = &there;
    say(run, node, to, XN__KIND__PEERS, &peers);
}

static bool meets_want(struct sim_run *run, uint32_t node, uint32_t from,
                       const Xn__Peers *want)
{
    Xn__Peers peers = XN__PEERS__INIT;
    struct names names = {.n = 0};
    uint32_t near[NEAR_MAX];
    size_t n, i;

    if (run->malice->how[node] != ECLIPSE || !want->want) return false;
    if (want->coordinate) {
        tell_nearer(run, node, from, want);
        return true;
    }
    n = friends(run, &contact_of(run, from)->position, NEAR_MAX, near);
    for (i = 0; i < n; i++) {
        if (near[i] != from) name_node(run, &names, near[i]);
    }
    peers.leaves = names.ptr;
    peers.n_leaves = names.n;
    say(run, node, from, XN__KIND__PEERS, &peers);
    return true;
}

bool sim_malice_meets(struct sim_run *run, uint32_t node, uint32_t from,
                      const struct xn_msg *msg)
{
    if (!sim_malice_is(run, node)) return false;
    if (msg->kind == XN__KIND__REQUEST)
        return meets_request(run, node, from, XN_BODY(msg, Xn__Request));
    if (msg->kind == XN__KIND__PEERS)
        return meets_want(run, node, from, XN_BODY(msg, Xn__Peers));
    return false;
}

/* ---- flooding ---- */

static void flood_one(struct sim_run *run, uint32_t node, uint32_t to)
{
    Xn__Request request = XN__REQUEST__INIT;
    uint64_t word;
    xn_id key;
    int i;

    for (i = 0; i < FLOOD_ASKS; i++) {
        word = draw(run);
        xn_id_hash(&word, sizeof word, &key);
        request.rid = ((uint64_t)1 << 40) + run->malice->draws;
        request.key = xn_id_bytes(&key);
        request.patience_ms = 10000;
        request.kind = XN__KIND__FIND;
        say(run, node, to, XN__KIND__REQUEST, &request);
    }
}

void sim_malice_tick(struct sim_run *run)
{
    const struct sim_malice *malice = run->malice;
    uint32_t peers[SIM_LEAVES_MAX], i, k;

    if (run->malice_config.how != FLOOD || !malice) return;
    for (i = 0; i < malice->n; i++) {
        struct xn_core *core = sim_world_core(run->world, malice->who[i]);
        size_t n = core ? run->options->probe.leaves(run->options->probe.user,
                                                     core, peers)
                        : 0;

        for (k = 0; k < FLOOD_PEERS && n > 0; k++)
            flood_one(run, malice->who[i], peers[draw(run) % n]);
    }
    sim_world_at(run->world, sim_world_now(run->world) + TICK_US,
                 SIM_CTL(SIM_CTL_MALICE, 0));
}
