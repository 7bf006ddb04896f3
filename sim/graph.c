/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/graph.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "sim/order.h"

/* What choosing wants of a node: many are looked at for one link, so they are
 * small and lie side by side. */
struct spot {
    float x, y;      /* on a plane: ms, one way */
    float access;    /* the same, to be added */
    uint32_t degree; /* so many links it has */
    uint32_t gaps;   /* its empty places that somebody could fill */
};

/* Nodes are named by their rank, their place in the order of positions.  Two
 * levels of places: what the next ones would hold is in leaf sets. */
struct sim_graph {
    struct sim_graph_config config;
    unsigned digit; /* bits */
    const struct xn_peers *peers;
    const struct sim_latency *latency;
    struct xn_rng rng;
    uint32_t places;    /* of a table */
    uint32_t *rank_of;  /* by node */
    uint32_t *heads;    /* by rank: the first 32 bits of the position */
    uint32_t *nodes;    /* by rank */
    struct spot *spots; /* by rank */
    bool plane;         /* distances are those of the spots */
    uint32_t *start;    /* rank of the first behind each two digits; one more */
    struct xn_route *links; /* links_max a node; ranks, in the end nodes */
    size_t *first;          /* in the end: where a rank's begin; one more */
    uint8_t *taken;         /* links in each place, up to 255 */
};

static uint32_t prefix_of(const struct sim_graph *g, uint32_t rank,
                          unsigned bits)
{
    return g->heads[rank] >> (32 - bits);
}

/* ---- places, by number: first digits, then second ones ---- */

static uint32_t place_of(const struct sim_graph *g, uint32_t self,
                         uint32_t other)
{
    uint32_t digit = prefix_of(g, other, g->digit);

    if (digit != prefix_of(g, self, g->digit)) return digit;
    return (1U << g->digit) +
           (prefix_of(g, other, 2 * g->digit) & ((1U << g->digit) - 1));
}

/* The ranks of those in it. */
static void place_ranks(const struct sim_graph *g, uint32_t self,
                        uint32_t place, uint32_t *first_out, uint32_t *end_out)
{
    uint32_t digits = 1U << g->digit, at;

    if (place < digits) {
        *first_out = g->start[place << g->digit];
        *end_out = g->start[(place + 1) << g->digit];
        return;
    }
    at = prefix_of(g, self, g->digit) << g->digit | (place - digits);
    *first_out = g->start[at];
    *end_out = g->start[at + 1];
}

/* Our own first digit is no place: the second ones take it apart. */
static bool is_place(const struct sim_graph *g, uint32_t self, uint32_t place)
{
    return place >= 1U << g->digit || place != prefix_of(g, self, g->digit);
}

static uint8_t *taken(const struct sim_graph *g, uint32_t self, uint32_t place)
{
    return &g->taken[(size_t)self * g->places + place];
}

static uint32_t count_gaps(const struct sim_graph *g, uint32_t self)
{
    uint32_t place, n = 0, first, end;

    for (place = 0; place < g->places; place++) {
        if (!is_place(g, self, place)) continue;
        place_ranks(g, self, place, &first, &end);
        n += end - first > (end - first == 1 && first == self);
    }
    return n;
}

/* ---- links ---- */

static bool is_linked(const struct sim_graph *g, uint32_t a, uint32_t b)
{
    const struct xn_route *links = &g->links[(size_t)a * g->config.links_max];
    uint32_t i;

    for (i = 0; i < g->spots[a].degree; i++) {
        if (links[i].peer == b) return true;
    }
    return false;
}

/* Room that is kept for gaps is for who fills one. */
static bool has_room(const struct sim_graph *g, uint32_t self, uint32_t other)
{
    const struct spot *spot = &g->spots[self];

    if (spot->degree + spot->gaps < g->config.links_max) return true;
    return spot->degree < g->config.links_max &&
           !*taken(g, self, place_of(g, self, other));
}

static void add_half(struct sim_graph *g, uint32_t self, uint32_t other)
{
    struct spot *spot = &g->spots[self];
    uint8_t *n = taken(g, self, place_of(g, self, other));

    if (*n == 0) spot->gaps--;
    if (*n < UINT8_MAX) ++*n;
    g->links[(size_t)self * g->config.links_max + spot->degree++].peer =
        other & (XN_PEERS_MAX - 1);
}

static void add_link(struct sim_graph *g, uint32_t a, uint32_t b)
{
    add_half(g, a, b);
    add_half(g, b, a);
}

/* The best so far of those that are looked at for a place. */
struct pick {
    uint32_t self, best; /* UINT32_MAX: none */
    float ms;            /* one way and access of the best */
};

static void take(struct pick *pick, uint32_t other, float ms)
{
    pick->best = other;
    pick->ms = ms;
}

/* On a plane the square tells most of them apart without its root. */
static void look_plane(const struct sim_graph *g, struct pick *pick,
                       uint32_t first, uint32_t end)
{
    const struct spot *self = &g->spots[pick->self], *spot;
    uint32_t other;

    for (other = first; other < end; other++) {
        float dx, dy, square, left;

        spot = &g->spots[other];
        left = pick->ms - spot->access;
        dx = spot->x - self->x;
        dy = spot->y - self->y;
        square = dx * dx + dy * dy;
        if (left <= 0 || square >= left * left) continue;
        if (other == pick->self || !has_room(g, other, pick->self)) continue;
        take(pick, other, sqrtf(square) + spot->access);
    }
}

static void look_pairs(const struct sim_graph *g, struct pick *pick,
                       uint32_t first, uint32_t end)
{
    uint64_t seed = g->config.seed;
    uint32_t node = g->nodes[pick->self], other;

    for (other = first; other < end; other++) {
        uint64_t us = sim_latency_us(g->latency, seed, node, g->nodes[other]) +
                      sim_latency_us(g->latency, seed, g->nodes[other], node);
        float ms = (float)us / 2000;

        if (ms >= pick->ms || other == pick->self ||
            !has_room(g, other, pick->self)) {
            continue;
        }
        take(pick, other, ms);
    }
}

static void look(const struct sim_graph *g, struct pick *pick, uint32_t first,
                 uint32_t end)
{
    if (g->plane)
        look_plane(g, pick, first, end);
    else
        look_pairs(g, pick, first, end);
}

enum { TOGETHER = 256 }; /* nodes whose tables are filled side by side */

/* The nearest of some in the place, which is empty, with whom we can have one
 * more link: there is none yet with any of them.  Who stands side by side on
 * the ring is anywhere in the world: a run of ranks is as good as as many at
 * random. */
static void fill_place(struct sim_graph *g, uint32_t self, uint32_t place)
{
    struct pick pick = {self, UINT32_MAX, FLT_MAX};
    uint32_t first, end, n, tries, at;

    place_ranks(g, self, place, &first, &end);
    n = end - first;
    tries = n < g->config.candidates ? n : g->config.candidates;
    at = first + (n > tries ? (uint32_t)xn_rng_below(&g->rng, n) : 0);
    if (end - at >= tries) {
        look(g, &pick, at, at + tries);
    } else {
        look(g, &pick, at, end);
        look(g, &pick, first, first + tries - (end - at));
    }
    if (pick.best != UINT32_MAX) add_link(g, self, pick.best);
}

static void fill_gap(struct sim_graph *g, uint32_t self, uint32_t place)
{
    if (g->spots[self].degree == g->config.links_max) return;
    if (!is_place(g, self, place) || *taken(g, self, place)) return;
    fill_place(g, self, place);
}

/* In the order of numbers, which is none on the ring.  Place by place for some
 * of them at a time, so that who is in the place is at hand. */
static void fill_tables(struct sim_graph *g, uint32_t from, uint32_t to)
{
    uint32_t n = g->config.nodes, first, i, place;

    for (first = 0; first < n; first += TOGETHER) {
        uint32_t end = n - first < TOGETHER ? n : first + TOGETHER;

        for (place = from; place < to; place++) {
            for (i = first; i < end; i++)
                fill_gap(g, g->rank_of[i], place);
        }
    }
}

static void link_leaves(struct sim_graph *g)
{
    uint32_t n = g->config.nodes, most = g->config.leaves, rank, d;

    if (n <= g->config.links_max + 1) most = n / 2; /* everybody */
    if (most > n / 2) most = n / 2;
    for (rank = 0; rank < n; rank++) {
        for (d = 1; d <= most; d++) {
            uint32_t other = (rank + d) % n;

            if (other == rank || !has_room(g, rank, other) ||
                !has_room(g, other, rank) || is_linked(g, rank, other)) {
                continue;
            }
            add_link(g, rank, other);
        }
    }
}

/* ---- order ---- */

static struct spot spot_of(const struct sim_graph *g, uint32_t node)
{
    uint64_t seed = g->config.seed;
    struct spot spot = {0};

    spot.access = (float)sim_latency_access_us(g->latency, seed, node) / 1000;
    sim_latency_at(g->latency, seed, node, &spot.x, &spot.y);
    return spot;
}

static int rank_nodes(struct sim_graph *g)
{
    uint32_t n = g->config.nodes, i, at = 0;
    unsigned both = 2 * g->digit;
    int rc = sim_order(g->peers, n, g->nodes);

    for (i = 0; i < n && !rc; i++) {
        const xn_id *position = &g->peers->rows[g->nodes[i]].position;

        g->rank_of[g->nodes[i]] = i;
        g->heads[i] = (uint32_t)(xn_id_head(position) >> 32);
        g->spots[i] = spot_of(g, g->nodes[i]);
        while (at <= prefix_of(g, i, both))
            g->start[at++] = i;
    }
    while (at <= 1U << both && !rc)
        g->start[at++] = n;
    return rc;
}

enum { DIGIT = 8, DIGITS = 1 << DIGIT };

/* By one digit; the order among equals stays. */
static void sort_digit(const struct xn_route *from, struct xn_route *to,
                       uint32_t n, unsigned shift)
{
    uint32_t at[DIGITS + 1] = {0}, i;

    for (i = 0; i < n; i++)
        at[(from[i].peer >> shift) % DIGITS + 1]++;
    for (i = 1; i < DIGITS; i++)
        at[i] += at[i - 1];
    for (i = 0; i < n; i++)
        to[at[(from[i].peer >> shift) % DIGITS]++] = from[i];
}

/* By rank, and then named by node; without the room that was not taken. */
static int sort_links(struct sim_graph *g)
{
    struct xn_route *spare = malloc(g->config.links_max * sizeof *spare), *fit;
    uint32_t i, j;
    size_t at = 0;
    unsigned shift;

    if (!spare) return XN_ENOMEM;
    for (i = 0; i < g->config.nodes; i++) {
        struct xn_route *links = &g->links[(size_t)i * g->config.links_max];
        uint32_t n = g->spots[i].degree;

        for (shift = 0; shift < 32; shift += 2 * DIGIT) {
            sort_digit(links, spare, n, shift);
            sort_digit(spare, links, n, shift + DIGIT);
        }
        g->first[i] = at;
        for (j = 0; j < n; j++)
            g->links[at++].peer = g->nodes[links[j].peer] & (XN_PEERS_MAX - 1);
    }
    g->first[i] = at;
    free(spare);
    fit = realloc(g->links, (at + 1) * sizeof *fit);
    if (fit) g->links = fit;
    return 0;
}

/* ---- the whole ---- */

static int make_room(struct sim_graph *g)
{
    size_t n = g->config.nodes;

    g->places = 2U << g->digit;
    g->rank_of = calloc(n, sizeof *g->rank_of);
    g->heads = calloc(n, sizeof *g->heads);
    g->nodes = calloc(n, sizeof *g->nodes);
    g->spots = calloc(n, sizeof *g->spots);
    g->start = calloc((1U << 2 * g->digit) + 1, sizeof *g->start);
    g->links = calloc(n * g->config.links_max, sizeof *g->links);
    g->first = calloc(n + 1, sizeof *g->first);
    g->taken = calloc(n, g->places);
    if (!g->rank_of || !g->heads || !g->nodes || !g->spots) return XN_ENOMEM;
    if (!g->start || !g->links || !g->first || !g->taken) return XN_ENOMEM;
    return 0;
}

/* What only choosing wants. */
static void clear_means(struct sim_graph *g)
{
    free(g->heads);
    free(g->nodes);
    free(g->spots);
    free(g->start);
    free(g->taken);
    g->heads = g->nodes = NULL;
    g->spots = NULL;
    g->start = NULL;
    g->taken = NULL;
}

static int choose_links(struct sim_graph *g)
{
    uint32_t i;

    for (i = 0; i < g->config.nodes; i++)
        g->spots[i].gaps = count_gaps(g, i);
    link_leaves(g);
    fill_tables(g, 0, 1U << g->digit);
    fill_tables(g, 1U << g->digit, g->places);
    return sort_links(g);
}

int sim_graph_new(const struct sim_graph_config *config,
                  const struct xn_peers *peers,
                  const struct sim_latency *latency,
                  struct sim_graph **graph_out)
{
    struct sim_graph *g = calloc(1, sizeof *g);
    int rc;

    if (!g) return XN_ENOMEM;
    g->config = *config;
    g->peers = peers;
    g->latency = latency;
    if (config->nodes > config->links_max + 1) {
        g->digit = table_digit(config->links_max);
    } else { /* a mesh */
        g->digit = table_digit(0);
    }
    g->plane = sim_latency_is_plane(latency);
    xn_rng_seed(&g->rng, config->seed);
    rc = make_room(g);
    if (!rc) rc = rank_nodes(g);
    if (!rc) rc = choose_links(g);
    if (rc) {
        sim_graph_free(g);
        return rc;
    }
    clear_means(g);
    *graph_out = g;
    return 0;
}

void sim_graph_free(struct sim_graph *g)
{
    if (!g) return;
    clear_means(g);
    free(g->rank_of);
    free(g->links);
    free(g->first);
    free(g);
}

size_t sim_graph_of(const struct sim_graph *g, uint32_t node,
                    struct xn_route **routes_out)
{
    uint32_t rank = g->rank_of[node];

    *routes_out = &g->links[g->first[rank]];
    return g->first[rank + 1] - g->first[rank];
}

uint32_t sim_graph_nodes(const struct sim_graph *graph)
{
    return graph->config.nodes;
}

bool sim_graph_links(const struct sim_graph *g, uint32_t a, uint32_t b)
{
    struct xn_route *routes;
    size_t lo = 0, n = sim_graph_of(g, a, &routes), hi = n;

    if (b >= g->config.nodes) return false; /* it joined later */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (g->rank_of[routes[mid].peer] < g->rank_of[b])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && routes[lo].peer == b;
}

void sim_graph_warm(const struct sim_graph *g, uint32_t node)
{
    struct xn_route *routes;
    size_t n, i;

    if (node >= g->config.nodes) return;
    n = sim_graph_of(g, node, &routes);
    for (i = 1; i < 8; i++) /* where a search looks first */
        __builtin_prefetch(&routes[i * n / 8]);
}
