/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno overlay status, xeno overlay peers. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xeno_overlay.h"

static const char *span_text(uint64_t s, char out[32])
{
    if (s < 3600)
        snprintf(out, 32, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 2 * 86400)
        snprintf(out, 32, "%uh%02um", (unsigned)(s / 3600),
                 (unsigned)(s / 60 % 60));
    else
        snprintf(out, 32, "%llud%02uh", (unsigned long long)(s / 86400),
                 (unsigned)(s / 3600 % 24));
    return out;
}

/* ---- status ---- */

struct shown {
    struct xeno_table *table;
    json_t *array;
    size_t n, silent;
};

static const char *state_of(const Xn__NodeStatus *status)
{
    if (!status->settled) return "settling";
    return status->mesh ? "linked to all" : "routing";
}

static bool is_told(const Xn__NodeStatus *status)
{
    return status->links_max > 0; /* to strangers it is not */
}

static json_t *told(const Xn__NodeStatus *status, uint64_t number)
{
    return is_told(status) ? json_integer((json_int_t)number) : json_null();
}

static void status_row(const char *url, const Xn__NodeStatus *status,
                       const char *id, struct xeno_table *table)
{
    char up[32], links[48], leaves[24], known[24] = "-", ads[24];
    char failed[48] = "-";

    snprintf(links, sizeof links, "%u/-", status->links);
    if (is_told(status)) {
        snprintf(links, sizeof links, "%u/%u", status->links,
                 status->links_max);
        snprintf(known, sizeof known, "%u", status->known);
        snprintf(failed, sizeof failed, "%llu/%llu",
                 (unsigned long long)status->lookups_failed,
                 (unsigned long long)status->lookups);
    }
    snprintf(leaves, sizeof leaves, "%zu", status->n_leaves);
    snprintf(ads, sizeof ads, "%u", status->ads);
    xeno_table_row(table,
                   (const char *const[]){id, state_of(status),
                                         span_text(status->uptime_s, up), links,
                                         leaves, known, ads, failed, url});
}

static json_t *status_json(const char *url, const Xn__NodeStatus *status)
{
    static const ProtobufCBinaryData none;
    const Xn__Contact *self = status->self;

    return json_pack(
        "{s:s, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:o, s:o, s:I, s:o, s:I, "
        "s:o, s:o}",
        "node", url, "id", xeno_node_json_id(self ? &self->id : &none),
        "position", xeno_node_json_id(self ? &self->position : &none),
        "address", self ? self->address : "", "settled", status->settled,
        "mesh", status->mesh, "uptime_s", (json_int_t)status->uptime_s, "links",
        (json_int_t)status->links, "incoming", told(status, status->incoming),
        "links_max", told(status, status->links_max), "leaves",
        (json_int_t)status->n_leaves, "known", told(status, status->known),
        "ads", (json_int_t)status->ads, "lookups",
        told(status, status->lookups), "lookups_failed",
        told(status, status->lookups_failed));
}

static void show_status(const char *url, const Xn__NodeStatus *status,
                        struct shown *shown)
{
    static const ProtobufCBinaryData none;
    char id[XENO_NODE_SHORT];

    xeno_node_short(status->self ? &status->self->id : &none, id);
    status_row(url, status, id, shown->table);
    json_array_append_new(shown->array, status_json(url, status));
}

static void show_silent(const char *url, const struct xeno_why *why,
                        struct shown *shown)
{
    shown->silent++;
    xeno_table_row(shown->table,
                   (const char *const[]){NULL, "no answer", NULL, NULL, NULL,
                                         NULL, NULL, NULL, url});
    json_array_append_new(
        shown->array, json_pack("{s:s, s:s, s:s}", "node", url, "error",
                                xn_errname(why->rc), "because", why->because));
}

static void ask_status(const struct xeno *xeno, struct xeno_nodes *nodes,
                       size_t i, struct xeno_why *why, struct shown *shown)
{
    const struct xeno_question question = {.what = "cannot ask the node",
                                           .method = "GET",
                                           .path = "/v1/status",
                                           .answer =
                                               &xn__node_status__descriptor,
                                           .node = true,
                                           .why = why};
    Xn__NodeStatus *status = NULL;

    shown->n++;
    nodes->us.corp = nodes->nodes[i];
    if (xeno_ask(xeno, &nodes->us, &question, &status)) {
        show_silent(nodes->us.corp.url, why, shown);
        return;
    }
    if (status->self && !xeno_node_is_sound(status->self)) {
        *why = (struct xeno_why){.rc = XN_EPROTO,
                                 .because = "the answer is not understood",
                                 .try = "another version of xeno"};
        show_silent(nodes->us.corp.url, why, shown);
    } else {
        show_status(nodes->us.corp.url, status, shown);
    }
    xn__node_status__free_unpacked(status, NULL);
}

static int end_status(const struct xeno *xeno, const struct xeno_why *why,
                      struct shown *shown)
{
    int code;

    if (xeno->json) {
        xeno_table_free(shown->table);
        code = xeno_print_json(json_pack(
            "{s:s, s:o}", "schema", "xeno.overlay/1", "nodes", shown->array));
    } else {
        json_decref(shown->array);
        code = xeno_table_print(shown->table);
    }
    if (code || !shown->silent) return code;
    if (shown->silent == shown->n) return xeno_tell(why, "no node answers");
    xn_gripe(XENO_PROGRAM, "the answer is not whole [XS-10-PARTIAL]",
             why->because, "again when it does");
    return XN_EXIT_PARTIAL;
}

int xeno_overlay_status(struct xeno *xeno, int argc, char **argv)
{
    static const char *const headings[] = {"NODE",  "STATE",        "UP",
                                           "LINKS", "LEAVES",       "KNOWN",
                                           "ADS",   "FAILED/ASKED", "URL"};
    static struct xeno_nodes nodes;
    const char *node = NULL;
    const struct xn_option options[] = {
        XN_OPTION("node", 0, "URL", "these ($XENO_NODES)", &node),
    };
    struct xeno_why why = {.rc = 0};
    struct shown shown = {.n = 0};
    int words, code;

    code = xeno_options(xeno, options, 1, argc, argv, 0, 0, &words);
    if (code >= 0) return code;
    code = xeno_nodes_open(xeno, node, &nodes);
    if (code) return code;
    shown.table = xeno_table_new(headings, 9, 4 | 8 | 16 | 32 | 64 | 128);
    shown.array = json_array();
    for (size_t i = 0; i < nodes.n; i++)
        ask_status(xeno, &nodes, i, &why, &shown);
    code = end_status(xeno, &why, &shown);
    xeno_nodes_clear(&nodes);
    return code;
}

/* ---- peers ---- */

/* By the bits of HELLO; those that are not known here by their numbers. */
static json_t *features_json(uint64_t features)
{
    static const char *const names[] = {"next", "terse", "revoked", "near"};
    json_t *array = json_array();
    char number[24];

    for (unsigned i = 0; i < 64; i++) {
        if (!(features >> i & 1)) continue;
        snprintf(number, sizeof number, "bit %u", i);
        json_array_append_new(
            array,
            json_string(i < sizeof names / sizeof *names ? names[i] : number));
    }
    return array;
}

static const char *bytes_text(uint64_t bytes, char out[32])
{
    static const char units[] = "kMGTPE";
    double n = (double)bytes;
    size_t i = 0;

    if (bytes < 1000) {
        snprintf(out, 32, "%u", (unsigned)bytes);
        return out;
    }
    for (n /= 1000; n >= 999.95; n /= 1000)
        i++;
    snprintf(out, 32, "%.1f%c", n, units[i]);
    return out;
}

static json_t *peer_json(const Xn__NodePeer *peer)
{
    return json_pack(
        "{s:o, s:o, s:s, s:b, s:i, s:b, s:o, s:I, s:f, s:I, s:I, s:I, s:o, "
        "s:I, s:I, s:o, s:o}",
        "id", xeno_node_json_id(&peer->node->id), "position",
        xeno_node_json_id(&peer->node->position), "address",
        peer->node->address, "guest", peer->guest, "leaf", (int)peer->leaf,
        "incoming", peer->incoming, "rtt_ms", xeno_node_json_ms(peer->rtt_us),
        "up_s", (json_int_t)peer->up_s, "heard_s",
        (double)peer->heard_ms / 1000, "unanswered",
        (json_int_t)peer->unanswered, "asked", (json_int_t)peer->asked,
        "version", (json_int_t)peer->version, "features",
        features_json(peer->features), "received_bytes",
        (json_int_t)peer->received, "sent_bytes", (json_int_t)peer->sent,
        "corp", xeno_node_json_id(&peer->corp), "certificate_until",
        xeno_json_time(peer->not_after_us));
}

static void peer_row(struct xeno_table *table, const Xn__NodePeer *peer)
{
    char id[XENO_NODE_SHORT], leaf[24] = "", rtt[32], up[32], heard[32];
    char received[32], sent[32], speaks[48];

    snprintf(speaks, sizeof speaks, "%u/%llx", peer->version,
             (unsigned long long)peer->features);
    if (peer->guest) snprintf(leaf, sizeof leaf, "guest");
    if (peer->leaf) snprintf(leaf, sizeof leaf, "%+d", (int)peer->leaf);
    snprintf(heard, sizeof heard, "%.1f s", (double)peer->heard_ms / 1000);
    xeno_table_row(
        table, (const char *const[]){
                   leaf, xeno_node_short(&peer->node->id, id),
                   peer->unanswered ? "silent" : "live",
                   peer->incoming ? "there" : "here",
                   xeno_node_ms(peer->rtt_us, rtt), span_text(peer->up_s, up),
                   heard, bytes_text(peer->received, received),
                   bytes_text(peer->sent, sent), speaks, peer->node->address});
}

static int print_peers(const struct xeno *xeno, const char *url,
                       const Xn__NodePeers *peers)
{
    static const char *const headings[] = {"LEAF", "NODE",   "STATE",  "OPENED",
                                           "RTT",  "UP",     "HEARD",  "IN",
                                           "OUT",  "SPEAKS", "ADDRESS"};
    struct xeno_table *table = NULL;
    json_t *array = json_array();

    for (size_t i = 0; i < peers->n_peers; i++) {
        if (xeno_node_is_sound(peers->peers[i]->node)) continue;
        json_decref(array);
        return xeno_gripe(XN_EPROTO, "cannot list the links",
                          "the answer is not understood",
                          "another version of xeno");
    }
    if (!xeno->json)
        table = xeno_table_new(headings, 11, 1 | 16 | 32 | 64 | 128 | 256);
    for (size_t i = 0; i < peers->n_peers; i++) {
        if (table)
            peer_row(table, peers->peers[i]);
        else
            json_array_append_new(array, peer_json(peers->peers[i]));
    }
    if (xeno->json) {
        return xeno_print_json(json_pack("{s:s, s:s, s:o}", "schema",
                                         "xeno.peers/1", "node", url, "peers",
                                         array));
    }
    json_decref(array);
    return xeno_table_print(table);
}

int xeno_overlay_peers(struct xeno *xeno, int argc, char **argv)
{
    static struct xeno_nodes nodes;
    const char *node = NULL;
    const struct xn_option options[] = {
        XN_OPTION("node", 0, "URL", "of this one ($XENO_NODES)", &node),
    };
    const struct xeno_question question = {.what = "cannot list the links",
                                           .method = "GET",
                                           .path = "/v1/peers",
                                           .answer =
                                               &xn__node_peers__descriptor};
    Xn__NodePeers *peers = NULL;
    int words, code, rc;

    code = xeno_options(xeno, options, 1, argc, argv, 0, 0, &words);
    if (code >= 0) return code;
    code = xeno_nodes_open(xeno, node, &nodes);
    if (code) return code;
    rc = xeno_nodes_ask(xeno, &nodes, &question, &peers);
    code = rc ? xn_exit_code(rc) : print_peers(xeno, nodes.us.corp.url, peers);
    if (peers) xn__node_peers__free_unpacked(peers, NULL);
    xeno_nodes_clear(&nodes);
    return code;
}
