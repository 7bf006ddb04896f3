/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/graph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "sim/order.h"

/* Where a node is, with all that choosing wants of it side by side. */
struct spot {
    uint32_t head;      /* of its position: the first 32 bits */
    uint32_t place;     /* of the latencies */
    uint32_t access_us; /* each way */
    uint32_t node;
    uint32_t degree; /* so many links it has */
    uint32_t gaps;   /* its empty places that somebody could fill */
};

/* Nodes are named by their rank, their place in the order of positions.  Two
 * levels of places: what the next ones would hold is in leaf sets. */
struct sim_graph {
    struct sim_graph_config config;
    struct table_shape shape;
    const struct xn_peers *peers;
    const struct sim_latency *latency;
    struct xn_rng rng;
    uint32_t places;    /* of a table */
    uint32_t *rank_of;  /* by node */
    struct spot *spots; /* by rank */
    uint32_t *start;    /* rank of the first behind each two digits; one more */
    uint32_t *links;    /* links_max a node; ranks, in the end nodes */
    uint32_t *degree;   /* so many of these are taken, in the end */
    uint8_t *taken;     /* links in each place, up to 255 */
};

static uint32_t prefix_of(const struct sim_graph *g, uint32_t rank,
                          unsigned bits)
{
    return g->spots[rank].head >> (32 - bits);
}

/* ---- places, by number: first digits, then second ones ---- */

static uint32_t place_of(const struct sim_graph *g, uint32_t self,
                         uint32_t other)
{
    unsigned first = g->shape.first, both = first + g->shape.next;
    uint32_t digit = prefix_of(g, other, first);

    if (digit != prefix_of(g, self, first)) return digit;
    return (1U << first) +
           (prefix_of(g, other, both) & ((1U << g->shape.next) - 1));
}

/* The ranks of those in it. */
static void place_ranks(const struct sim_graph *g, uint32_t self,
                        uint32_t place, uint32_t *first_out, uint32_t *end_out)
{
    unsigned next = g->shape.next;
    uint32_t digits = 1U << g->shape.first, at;

    if (place < digits) {
        *first_out = g->start[place << next];
        *end_out = g->start[(place + 1) << next];
        return;
    }
    at = prefix_of(g, self, g->shape.first) << next | (place - digits);
    *first_out = g->start[at];
    *end_out = g->start[at + 1];
}

/* Our own first digit is no place: the second ones take it apart. */
static bool is_place(const struct sim_graph *g, uint32_t self, uint32_t place)
{
    return place >= 1U << g->shape.first ||
           place != prefix_of(g, self, g->shape.first);
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
    const uint32_t *links = &g->links[(size_t)a * g->config.links_max];
    uint32_t i;

    for (i = 0; i < g->spots[a].degree; i++) {
        if (links[i] == b) return true;
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
    g->links[(size_t)self * g->config.links_max + spot->degree++] = other;
}

static void add_link(struct sim_graph *g, uint32_t a, uint32_t b)
{
    add_half(g, a, b);
    add_half(g, b, a);
}

static uint64_t rtt_us(const struct sim_graph *g, uint32_t a, uint32_t b)
{
    const struct spot *x = &g->spots[a], *y = &g->spots[b];
    const struct sim_latency *l = g->latency;

    if (!sim_latency_places(l)) {
        return sim_latency_us(l, g->config.seed, x->node, y->node) +
               sim_latency_us(l, g->config.seed, y->node, x->node);
    }
    return 2 * (uint64_t)(x->access_us + y->access_us) +
           sim_latency_round(l, x->place, y->place);
}

/* The nearest of some in the place, which is empty, with whom we can have one
 * more link: there is none yet with any of them.  Who stands side by side on
 * the ring is anywhere in the world: a run of ranks is as good as as many at
 * random. */
static void fill_place(struct sim_graph *g, uint32_t self, uint32_t place)
{
    uint32_t first, end, n, tries, at, i, best = UINT32_MAX;
    uint64_t best_us = UINT64_MAX;

    place_ranks(g, self, place, &first, &end);
    n = end - first;
    tries = n < g->config.candidates ? n : g->config.candidates;
    at = n > tries ? (uint32_t)xn_rng_below(&g->rng, n) : 0;
    for (i = 0; i < tries; i++) {
        uint32_t other = first + (at + i) % n;
        uint64_t us = rtt_us(g, self, other);

        if (us >= best_us || other == self || !has_room(g, other, self)) {
            continue;
        }
        best = other;
        best_us = us;
    }
    if (best != UINT32_MAX) add_link(g, self, best);
}

/* In the order of numbers, which is none on the ring. */
static void fill_tables(struct sim_graph *g, uint32_t from, uint32_t to)
{
    uint32_t i, place;

    for (i = 0; i < g->config.nodes; i++) {
        uint32_t self = g->rank_of[i];

        for (place = from; place < to; place++) {
            if (!is_place(g, self, place) || *taken(g, self, place)) continue;
            if (g->spots[self].degree == g->config.links_max) break;
            fill_place(g, self, place);
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
    const xn_id *position = &g->peers->rows[node].position;
    uint64_t seed = g->config.seed;

    return (struct spot){
        .head = (uint32_t)(xn_id_head(position) >> 32),
        .place = sim_latency_place(g->latency, seed, node),
        .access_us = (uint32_t)sim_latency_access_us(g->latency, seed, node),
        .node = node,
    };
}

static int rank_nodes(struct sim_graph *g)
{
    uint32_t n = g->config.nodes, i, at = 0;
    unsigned both = g->shape.first + g->shape.next;
    uint32_t *nodes = malloc((n + 1) * sizeof *nodes);
    int rc = nodes ? sim_order(g->peers, n, nodes) : XN_ENOMEM;

    for (i = 0; i < n && !rc; i++) {
        g->rank_of[nodes[i]] = i;
        g->spots[i] = spot_of(g, nodes[i]);
        while (at <= prefix_of(g, i, both))
            g->start[at++] = i;
    }
    while (at <= 1U << both && !rc)
        g->start[at++] = n;
    free(nodes);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void sort_links(struct sim_graph *g)
{
    uint32_t i, j;

    for (i = 0; i < g->config.nodes; i++) {
        uint32_t *links = &g->links[(size_t)i * g->config.links_max];

        g->degree[i] = g->spots[i].degree;
        qsort(links, g->degree[i], sizeof *links, by_number);
        for (j = 0; j < g->degree[i]; j++)
            links[j] = g->spots[links[j]].node;
    }
}

/* ---- the whole ---- */

static int make_room(struct sim_graph *g)
{
    size_t n = g->config.nodes;

    g->places = (1U << g->shape.first) + (1U << g->shape.next);
    g->rank_of = calloc(n, sizeof *g->rank_of);
    g->spots = calloc(n, sizeof *g->spots);
    g->start =
        calloc((1U << (g->shape.first + g->shape.next)) + 1, sizeof *g->start);
    g->links = calloc(n * g->config.links_max, sizeof *g->links);
    g->degree = calloc(n, sizeof *g->degree);
    g->taken = calloc(n, g->places);
    return g->rank_of && g->spots && g->start && g->links && g->degree &&
                   g->taken
               ? 0
               : XN_ENOMEM;
}

/* What only choosing wants. */
static void clear_means(struct sim_graph *g)
{
    free(g->spots);
    free(g->start);
    free(g->taken);
    g->spots = NULL;
    g->start = NULL;
    g->taken = NULL;
}

int sim_graph_new(const struct sim_graph_config *config,
                  const struct xn_peers *peers,
                  const struct sim_latency *latency,
                  struct sim_graph **graph_out)
{
    struct sim_graph *g = calloc(1, sizeof *g);
    uint32_t i;
    int rc;

    if (!g) return XN_ENOMEM;
    g->config = *config;
    g->peers = peers;
    g->latency = latency;
    if (config->nodes > config->links_max + 1) {
        g->shape = table_shape(config->links_max);
    } else { /* a mesh */
        g->shape = table_shape(0);
    }
    xn_rng_seed(&g->rng, config->seed);
    rc = make_room(g);
    if (!rc) rc = rank_nodes(g);
    if (rc) {
        sim_graph_free(g);
        return rc;
    }
    for (i = 0; i < config->nodes; i++)
        g->spots[i].gaps = count_gaps(g, i);
    link_leaves(g);
    fill_tables(g, 0, 1U << g->shape.first);
    fill_tables(g, 1U << g->shape.first, g->places);
    sort_links(g);
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
    free(g->degree);
    free(g);
}

size_t sim_graph_of(const struct sim_graph *g, uint32_t node,
                    const uint32_t **peers_out)
{
    uint32_t rank = g->rank_of[node];

    *peers_out = &g->links[(size_t)rank * g->config.links_max];
    return g->degree[rank];
}

uint32_t sim_graph_nodes(const struct sim_graph *graph)
{
    return graph->config.nodes;
}

bool sim_graph_links(const struct sim_graph *g, uint32_t a, uint32_t b)
{
    const uint32_t *peers;
    size_t lo = 0, n = sim_graph_of(g, a, &peers), hi = n;

    if (b >= g->config.nodes) return false; /* it joined later */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (g->rank_of[peers[mid]] < g->rank_of[b])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && peers[lo] == b;
}
