/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno overlay trace: the way of a request, hop by hop. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"
#include "tools/xeno_overlay.h"
#include "wire/token.h"

static const char cannot[] = "cannot trace the way";

struct target {
    const char *text;  /* as given */
    const char *token; /* NULL: a key was given */
    xn_id key;
    uint32_t copy;
};

/* ---- what is asked ---- */

static int read_target(const char *text, const char *copy, const char *far,
                       struct target *target)
{
    size_t len = strlen(text);

    target->text = text;
    if (copy && (strlen(copy) != 1 || copy[0] < '0' || copy[0] > '7')) {
        return xeno_usage("--copy %.20s: it is 0, the owner, to 7", copy);
    }
    if (copy) target->copy = (uint32_t)(copy[0] - '0');
    if (len == XN_ID_HEX - 1 && !xn_id_unhex(text, len, &target->key)) {
        return far ? xeno_usage("--far is for a token's key") : -1;
    }
    if (!xn_token_valid(text, len)) {
        return xeno_usage("'%.70s' is neither 64 hex digits nor a token", text);
    }
    target->token = text;
    xn_token_key(text, NULL, 0, far != NULL, &target->key);
    return -1;
}

/* ---- what is told ---- */

static const char *why_of(const Xn__TraceHop *hop, size_t i)
{
    static const char *const texts[] = {
        [XN__WAY__WAY_NONE] = "",
        [XN__WAY__WAY_OWNER] = "the key is its, as its neighbour says",
        [XN__WAY__WAY_NEAREST] = "nearest to the key of all links",
        [XN__WAY__WAY_BESIDE] = "best of those that may know the owner",
        [XN__WAY__WAY_PLACE] = "quickest of those in the key's direction",
        [XN__WAY__WAY_WITNESS] = "may know whether a silent node is gone",
    };

    if (i == 0) return "asked first";
    return (unsigned)hop->way < sizeof texts / sizeof texts[0] ? texts[hop->way]
                                                               : "?";
}

static const char *way_name(Xn__Way way)
{
    static const char *const names[] = {
        [XN__WAY__WAY_NONE] = "none",       [XN__WAY__WAY_OWNER] = "owner",
        [XN__WAY__WAY_NEAREST] = "nearest", [XN__WAY__WAY_BESIDE] = "beside",
        [XN__WAY__WAY_PLACE] = "place",     [XN__WAY__WAY_WITNESS] = "witness",
    };

    return (unsigned)way < sizeof names / sizeof names[0] ? names[way] : "?";
}

static const char *end_name(Xn__TraceEnd end)
{
    static const char *const names[] = {
        [XN__TRACE_END__TRACE_OWNER] = "owner",
        [XN__TRACE_END__TRACE_SILENT] = "silent",
        [XN__TRACE_END__TRACE_WAITS] = "waits",
        [XN__TRACE_END__TRACE_LOOPS] = "loops",
        [XN__TRACE_END__TRACE_NOWHERE] = "nowhere",
        [XN__TRACE_END__TRACE_LONG] = "long",
        [XN__TRACE_END__TRACE_FARTHER] = "farther",
    };

    return (unsigned)end < sizeof names / sizeof names[0] ? names[end] : "?";
}

static const Xn__TraceHop *owner_of(const Xn__Traced *traced)
{
    return traced->end == XN__TRACE_END__TRACE_OWNER
               ? traced->hops[traced->owner]
               : NULL;
}

static json_t *hop_json(const Xn__TraceHop *hop)
{
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:I, s:b, s:s?}", "id",
                     xeno_node_json_id(&hop->node->id), "position",
                     xeno_node_json_id(&hop->node->position), "address",
                     hop->node->address, "way", way_name(hop->way), "rtt_ms",
                     xeno_node_json_ms(hop->rtt_us), "took_ms",
                     xeno_node_json_ms(hop->took_us), "links",
                     (json_int_t)hop->links, "mesh", hop->mesh, "error",
                     hop->rc ? xn_errname(hop->rc) : NULL);
}

static int print_json(const struct target *target, const char *node,
                      const Xn__Traced *traced)
{
    const Xn__TraceHop *owner = owner_of(traced);
    json_t *hops = json_array();

    for (size_t i = 0; i < traced->n_hops; i++)
        json_array_append_new(hops, hop_json(traced->hops[i]));
    return xeno_print_json(json_pack(
        "{s:s, s:o, s:s?, s:i, s:s, s:s, s:o, s:o, s:o}", "schema",
        "xeno.trace/1", "key", xeno_json_id(&target->key), "token",
        target->token, "copy", (int)target->copy, "node", node, "end",
        end_name(traced->end), "owner",
        owner ? xeno_node_json_id(&owner->node->id) : json_null(), "awaited",
        traced->awaited ? xeno_node_json_id(&traced->awaited->id) : json_null(),
        "hops", hops));
}

static int print_table(const struct target *target, const Xn__Traced *traced)
{
    static const char *const headings[] = {"HOP",  "NODE",  "ADDRESS", "RTT",
                                           "TOOK", "LINKS", "WHY"};
    struct xeno_table *table = xeno_table_new(headings, 7, 1 | 8 | 16 | 32);
    const Xn__TraceHop *owner = owner_of(traced);
    char key[XN_ID_HEX], id[XENO_NODE_SHORT], rtt[32], took[32];
    char number[24], links[24];
    int code;

    xn_id_hex(&target->key, key);
    xeno_say("key", "%s%s%s", key, target->token ? "  " : "",
             target->token ? target->token : "");
    if (target->copy) xeno_say("copy", "%u", target->copy);
    for (size_t i = 0; i < traced->n_hops; i++) {
        const Xn__TraceHop *hop = traced->hops[i];

        snprintf(number, sizeof number, "%zu", i);
        snprintf(links, sizeof links, "%u", hop->links);
        xeno_table_row(table,
                       (const char *const[]){
                           number, xeno_node_short(&hop->node->id, id),
                           hop->node->address, xeno_node_ms(hop->rtt_us, rtt),
                           xeno_node_ms(hop->took_us, took),
                           hop->rc ? NULL : links, why_of(hop, i)});
    }
    code = xeno_table_print(table);
    if (code || !owner) return code;
    xeno_say(target->copy ? "holder" : "owner", "%s  %u hop%s",
             xeno_node_short(&owner->node->id, id), traced->owner,
             traced->owner == 1 ? "" : "s");
    return code;
}

/* ---- where it did not come to its end ---- */

/* It reached us through all hops before: any of them may have said so. */
static int tell_silent(const Xn__Traced *traced)
{
    size_t i = traced->n_hops - 1;
    const Xn__TraceHop *last = traced->hops[i];
    const char *try =
        "again in some seconds: a node that is gone is missed soon";
    const char *text = xn_strerror(last->rc);
    char id[XENO_NODE_SHORT];

    if (last->rc == XN_EPROTO) {
        text = "it is of an older version, or what it said makes no sense";
        try = "a newer version there";
    } else if (last->rc == XN_EBUSY) {
        text = "too many traces are passed on there, or on the way to it";
        try = "again in some seconds";
    }
    return xeno_gripef(XN_ENOTYET, cannot, try,
                       "hop %zu%s says that hop %zu, %s at %s, does not tell: "
                       "%s",
                       i - 1, i > 1 ? " or one before it" : "", i,
                       xeno_node_short(&last->node->id, id),
                       last->node->address, text);
}

static int tell_farther(const struct target *target, const Xn__Traced *traced)
{
    const Xn__TraceHop *owner = traced->hops[traced->owner];
    char id[XENO_NODE_SHORT], other[XENO_NODE_SHORT];
    xn_id nearest = {{0}}, position;
    size_t at = traced->owner;

    (void)xn_id_from_bytes(&owner->node->position, &nearest);
    for (size_t i = 0; i < traced->n_hops; i++) {
        if (xn_id_from_bytes(&traced->hops[i]->node->position, &position) ||
            !xn_ring_nearer(&target->key, &position, &nearest))
            continue;
        nearest = position;
        at = i;
    }
    return xeno_gripef(XN_ENOTYET, cannot,
                       "again in some seconds: if it stays, one of them lies",
                       "hop %u, %s, is said to own the key, but hop %zu, %s, "
                       "is nearer to it",
                       traced->owner, xeno_node_short(&owner->node->id, id), at,
                       xeno_node_short(&traced->hops[at]->node->id, other));
}

static int judge(const struct target *target, const Xn__Traced *traced)
{
    const Xn__TraceHop *last = traced->hops[traced->n_hops - 1];
    char id[XENO_NODE_SHORT], other[XENO_NODE_SHORT];

    xeno_node_short(&last->node->id, id);
    switch (traced->end) {
    case XN__TRACE_END__TRACE_OWNER: return XN_EXIT_OK;
    case XN__TRACE_END__TRACE_SILENT: return tell_silent(traced);
    case XN__TRACE_END__TRACE_FARTHER: return tell_farther(target, traced);
    case XN__TRACE_END__TRACE_WAITS:
        return xeno_gripef(
            XN_ENOTYET, cannot, "again in some seconds",
            "hop %zu, %s, waits for %s%s to be heard of, or to be gone",
            traced->n_hops - 1, id,
            traced->awaited ? "" : "somebody whom it does not know",
            traced->awaited ? xeno_node_short(&traced->awaited->id, other)
                            : "");
    case XN__TRACE_END__TRACE_NOWHERE:
        if (traced->n_hops == 1)
            return xeno_gripef(XN_ENOENT, cannot, "a lower --copy",
                               "there are not so many nodes: %u besides this",
                               last->links);
        break;
    case XN__TRACE_END__TRACE_LOOPS:
        return xeno_gripef(XN_ENOTYET, cannot, "again in some seconds",
                           "it comes back to %s", id);
    default: break;
    }
    return xeno_gripef(XN_ENOTYET, cannot, "again in some seconds",
                       "it ends at hop %zu, %s: %s", traced->n_hops - 1, id,
                       end_name(traced->end));
}

/* What a node says may be anything. */
static bool is_sound(const Xn__Traced *traced)
{
    bool owned = traced->end == XN__TRACE_END__TRACE_OWNER ||
                 traced->end == XN__TRACE_END__TRACE_FARTHER;

    if (!traced->n_hops || traced->n_hops > 64) return false;
    for (size_t i = 0; i < traced->n_hops; i++) {
        if (!xeno_node_is_sound(traced->hops[i]->node) ||
            traced->hops[i]->rc > 0)
            return false;
    }
    if (traced->end == XN__TRACE_END__TRACE_SILENT && traced->n_hops < 2)
        return false; /* the first one answers us itself */
    return !owned || traced->owner < traced->n_hops;
}

static int tell(const struct xeno *xeno, const struct target *target,
                const char *node, const Xn__Traced *traced)
{
    int code;

    if (!is_sound(traced)) {
        return xeno_gripe(XN_EPROTO, cannot, "the answer is not understood",
                          "another version of xeno, or another --node");
    }
    code = xeno->json ? print_json(target, node, traced)
                      : print_table(target, traced);
    return code ? code : judge(target, traced);
}

int xeno_overlay_trace(struct xeno *xeno, int argc, char **argv)
{
    static struct xeno_nodes nodes;
    const char *node = NULL, *copy = NULL, *far = NULL;
    const struct xn_option options[] = {
        XN_OPTION("node", 0, "URL", "begin at this one ($XENO_NODES)", &node),
        XN_OPTION("copy", 0, "N", "the owner's N-th neighbour (0: the owner)",
                  &copy),
        XN_OPTION("far", 0, NULL, "of a token's second place", &far),
    };
    Xn__Trace body = XN__TRACE__INIT;
    const struct xeno_question question = {.what = cannot,
                                           .method = "POST",
                                           .path = "/v1/trace",
                                           .body = &body,
                                           .answer = &xn__traced__descriptor};
    struct target target = {.copy = 0};
    Xn__Traced *traced = NULL;
    int words, code, rc;

    code = xeno_options(xeno, options, sizeof options / sizeof options[0], argc,
                        argv, 1, 1, &words);
    if (code >= 0) return code;
    code = read_target(argv[words], copy, far, &target);
    if (code >= 0) return code;
    code = xeno_nodes_open(xeno, node, &nodes);
    if (code) return code;
    body.key = xn_id_bytes(&target.key);
    body.copy = target.copy;
    rc = xeno_nodes_ask(xeno, &nodes, &question, &traced);
    code =
        rc ? xn_exit_code(rc) : tell(xeno, &target, nodes.us.corp.url, traced);
    if (traced) xn__traced__free_unpacked(traced, NULL);
    xeno_nodes_clear(&nodes);
    return code;
}
