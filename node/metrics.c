/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node counts, for Prometheus.  The driver adds what it knows (bytes,
 * queues, the process): the core's part must not depend on that. */
#include <string.h>

#include "lib/err.h"
#include "lib/prom.h"
#include "node/state.h"

#define METRICS_MAX 65536U

static const struct row {
    const char *name, *help;
    size_t at; /* in struct ov_stats */
} rows[] = {
#define ROW(name, member, help)                                                \
    {                                                                          \
        "xeno_overlay_" name "_total", help, offsetof(struct ov_stats, member) \
    }
    ROW("dials", dials, "Links that this node tried to open."),
    ROW("dials_failed", dials_failed, "Dials that reached nobody."),
    ROW("links_refused", refused, "Links refused for want of room."),
    ROW("links_evicted", evicted, "Links closed to make room for better ones."),
    ROW("links_rude", rude, "Links closed since the peer broke the protocol."),
    ROW("links_silent", suspected, "Links closed since the peer was silent."),
    ROW("requests_asked", asked, "Requests that this node made."),
    ROW("requests_delivered", delivered,
        "Requests that this node was to "
        "answer."),
    ROW("requests_forwarded", forwarded, "Requests of others, sent on."),
    ROW("requests_rerouted", rerouted,
        "Requests sent another way round a "
        "silent node."),
    ROW("requests_doubted", doubted,
        "Requests sent to a witness, since their "
        "node may be gone."),
    ROW("requests_straight", straight,
        "Requests of this node sent straight to "
        "who had answered before."),
#undef ROW
};

static uint64_t member(const struct ov_stats *stats, size_t at)
{
    uint64_t value;

    memcpy(&value, (const char *)stats + at, sizeof value);
    return value;
}

static void put_gauge(struct xn_buf *buf, const char *name, const char *help,
                      uint64_t value)
{
    xn_prom_one(buf, XN_PROM_GAUGE, name, help, value);
}

/* How old the oldest list is: it should be under six hours. */
static uint64_t list_age_s(const struct node *node, const struct xn_now *now)
{
    uint64_t age_us = 0;
    size_t i;

    for (i = 0; i < node->revoked.n; i++) {
        uint64_t at_us = node->revoked.lists[i].issued_us;

        if (at_us + age_us < now->wall_us) age_us = now->wall_us - at_us;
    }
    return age_us / 1000000;
}

static size_t list_names(const struct node *node)
{
    size_t n = 0, i;

    for (i = 0; i < node->revoked.n; i++)
        n += node->revoked.lists[i].n;
    return n;
}

static void put_node(const struct node *node, const struct xn_now *now,
                     struct xn_buf *buf)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&ov_self(node->ov)->id, hex);
    xn_prom_family(buf, XN_PROM_GAUGE, "xeno_node_info", "Which node this is.");
    xn_prom_sample(buf, "xeno_node_info", "id", hex, 1);
    put_gauge(buf, "xeno_node_uptime_seconds", "Since its start.",
              (now->mono_us - node->started_us) / 1000000);
    put_gauge(buf, "xeno_index_ads", "Live advertisements held here.",
              xis_ads(node->xis));
    put_gauge(buf, "xeno_index_settled",
              "1: this node has been handed all that it is to hold.",
              xis_settled(node->xis));
    put_gauge(buf, "xeno_revoked_keys", "Keys that XenoCorps have revoked.",
              list_names(node));
    put_gauge(buf, "xeno_revoked_list_age_seconds",
              "Of the oldest list of revoked keys held; beyond a day it is "
              "late.",
              list_age_s(node, now));
}

/* How far from most nodes', either way. */
static void put_clock(const struct node *node, struct xn_buf *buf)
{
    int64_t off_s = ov_clock_off_s(node->ov);

    put_gauge(buf, "xeno_overlay_clock_off_seconds",
              "How far this clock is from those of most nodes; 0 up to 300.",
              (uint64_t)(off_s < 0 ? -off_s : off_s));
}

static void put_links(const struct node *node, const struct xn_now *now,
                      struct xn_buf *buf)
{
    xn_peer leaves[2 * OV_LEAVES_MAX];
    struct ov_load load;

    ov_load(node->ov, &load);
    xn_prom_family(buf, XN_PROM_GAUGE, "xeno_overlay_links",
                   "Links to other nodes, by who opened them.");
    xn_prom_sample(buf, "xeno_overlay_links", "opened", "here",
                   load.links - load.incoming);
    xn_prom_sample(buf, "xeno_overlay_links", "opened", "there", load.incoming);
    put_clock(node, buf);
    put_gauge(buf, "xeno_overlay_guests", "Links of nodes that accept none.",
              load.guests);
    put_gauge(buf, "xeno_overlay_links_max", "The budget of links.",
              load.links_max);
    put_gauge(buf, "xeno_overlay_links_unproved",
              "Links whose other end has not said HELLO yet.", load.unproved);
    put_gauge(buf, "xeno_overlay_leaves", "Neighbours on the ring, linked to.",
              ov_leaves(node->ov, leaves));
    put_gauge(buf, "xeno_overlay_known",
              "Nodes heard of that this node is not linked to.", load.known);
    put_gauge(buf, "xeno_overlay_mesh",
              "1: linked to every node that it knows of.",
              ov_is_mesh(node->ov, now));
    put_gauge(buf, "xeno_overlay_requests_waiting",
              "Requests under way here, own and others'.", load.requests);
    put_gauge(buf, "xeno_overlay_requests_waiting_bytes",
              "What is kept of others' requests under way.",
              load.request_bytes);
}

static void put_lookups(const struct ov_stats *stats, struct xn_buf *buf)
{
    static const char *const outcomes[OV_OUTCOMES] = {
        [OV_ANSWERED] = "answered",
        [OV_NOBODY] = "nobody",
        [OV_UNREACHABLE] = "unreachable",
        [OV_TIMEOUT] = "timeout",
        [OV_BUSY] = "busy",
        [OV_NOT_YET] = "not_yet",
        [OV_OTHER] = "other",
    };
    static const char took[] = "xeno_overlay_lookup_duration_seconds";
    static const uint64_t hops[OV_HOPS_BOUNDS] = OV_HOPS_BOUNDS_LIST;
    static const char dropped[] = "xeno_overlay_requests_dropped_total";
    static const char lookups[] = "xeno_overlay_lookups_total";
    uint64_t all = 0;

    xn_prom_family(buf, XN_PROM_COUNTER, lookups,
                   "Requests of this node for a key's owner or copies, by what "
                   "came of them.");
    for (size_t i = 0; i < OV_OUTCOMES; i++) {
        xn_prom_sample(buf, lookups, "outcome", outcomes[i],
                       stats->outcomes[i]);
        all += stats->outcomes[i];
    }
    xn_prom_family(buf, XN_PROM_SUMMARY, took, "How long these took.");
    xn_prom_millionths(buf, "xeno_overlay_lookup_duration_seconds_sum", NULL,
                       NULL, stats->lookups_us);
    xn_prom_sample(buf, "xeno_overlay_lookup_duration_seconds_count", NULL,
                   NULL, all);
    xn_prom_histogram(buf, "xeno_overlay_lookup_hops",
                      "Links that lookups crossed which were answered.", hops,
                      stats->hops, OV_HOPS_BOUNDS, stats->hops_sum);
    xn_prom_family(buf, XN_PROM_COUNTER, dropped,
                   "Requests of others that were not answered, by why.");
    xn_prom_sample(buf, dropped, "reason", "busy", stats->busy);
    xn_prom_sample(buf, dropped, "reason", "expired", stats->expired);
}

static void put_all(const struct node *node, const struct xn_now *now,
                    struct xn_buf *buf)
{
    const struct ov_stats *stats = ov_stats(node->ov);

    put_node(node, now, buf);
    put_links(node, now, buf);
    put_lookups(stats, buf);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        xn_prom_one(buf, XN_PROM_COUNTER, rows[i].name, rows[i].help,
                    member(stats, rows[i].at));
    }
}

void node_api_metrics(struct node *node, const struct xn_now *now,
                      uint64_t ticket, const Xn__Ask *ask, struct xn_out *out)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    struct xn_buf buf;

    if (!node_api_member(ask, ticket, "metrics refused", out)) return;
    xn_buf_init(&buf, METRICS_MAX);
    put_all(node, now, &buf);
    if (xn_buf_rc(&buf)) {
        out->rc = xn_buf_rc(&buf);
    } else {
        answer.status = 200;
        answer.content_type = (char *)(uintptr_t)XN_PROM_TYPE;
        answer.body.data = buf.data;
        answer.body.len = buf.len;
        xn_out_emit(out, XN_ACT_ANSWER, ticket, XN_PEER_NONE, XN__KIND__ANSWER,
                    &answer);
    }
    xn_buf_clear(&buf);
}
