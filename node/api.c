/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node's HTTPS interface: paths to components.  doc/PROTOCOL.md has the
 * table. */
#include "lib/err.h"
#include "node/state.h"
#include "wire/nest.h"

#include <string.h>

static bool is_member(const Xn__Ask *ask)
{
    return ask->caller && ask->caller->role != XN__ROLE__ANYBODY &&
           ask->caller->role != XN__ROLE__ROLE_NONE;
}

/* Whose key is revoked is a stranger. */
static bool is_revoked(const struct node *node, const Xn__Ask *ask)
{
    xn_id id, corp;

    return ask->caller && !xn_id_from_bytes(&ask->caller->id, &id) &&
           !xn_id_from_bytes(&ask->caller->corp, &corp) &&
           revoked_has(&node->revoked, &corp, &id);
}

bool node_api_member(const Xn__Ask *ask, uint64_t ticket, const char *what,
                     struct xn_out *out)
{
    if (is_member(ask)) return true;
    xn_out_refuse(out, ticket, XN_EIDENT, what,
                  "the caller shows no certificate of an accepted corp",
                  "register with a XenoCorp first");
    return false;
}

static void publish(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out)
{
    Xn__Publish *publish_body;

    /* Ads prove themselves; a certificate keeps strangers from filling us. */
    if (!node_api_member(ask, ticket, "publishing refused", out)) return;
    publish_body =
        xn_unpack(&xn__publish__descriptor, ask->body.data, ask->body.len);
    if (!publish_body) {
        xn_out_refuse(out, ticket, XN_EINVAL, "publishing refused",
                      "the body is no Publish message",
                      "a Publish as doc/PROTOCOL.md has it");
        return;
    }
    xis_publish(node->xis, now, ticket, publish_body, out);
    xn__publish__free_unpacked(publish_body, NULL);
}

static void search(struct node *node, const struct xn_now *now, uint64_t ticket,
                   const Xn__Ask *ask, struct xn_out *out)
{
    Xn__Search *request =
        xn_unpack(&xn__search__descriptor, ask->body.data, ask->body.len);
    struct rd *rd = node_discovery(node, out);

    if (!request) {
        xn_out_refuse(out, ticket, XN_EINVAL, "search refused",
                      "the body is no Search message",
                      "a Search as doc/PROTOCOL.md has it");
        return;
    }
    if (rd) rd_search(rd, now, ticket, request, out);
    xn__search__free_unpacked(request, NULL);
}

static void get(struct node *node, const struct xn_now *now, uint64_t ticket,
                const Xn__Ask *ask, struct xn_out *out)
{
    Xn__Get *request =
        xn_unpack(&xn__get__descriptor, ask->body.data, ask->body.len);
    struct rd *rd = node_discovery(node, out);

    if (!request) {
        xn_out_refuse(out, ticket, XN_EINVAL, "get refused",
                      "the body is no Get message",
                      "a Get as doc/PROTOCOL.md has it");
        return;
    }
    if (rd) rd_get(rd, now, ticket, request, out);
    xn__get__free_unpacked(request, NULL);
}

static void status(struct node *node, const struct xn_now *now, uint64_t ticket,
                   const Xn__Ask *ask, struct xn_out *out)
{
    Xn__NodeStatus body = XN__NODE_STATUS__INIT;
    Xn__Contact self = XN__CONTACT__INIT;
    Xn__Contact leaves[2 * OV_LEAVES_MAX], *rows[2 * OV_LEAVES_MAX];
    xn_peer peers[2 * OV_LEAVES_MAX];
    size_t i, n = ov_leaves(node->ov, peers);

    self.id = xn_id_bytes(&ov_self(node->ov)->id);
    self.position = xn_id_bytes(ov_position(node->ov));
    self.address = (char *)(uintptr_t)ov_self(node->ov)->address;
    for (i = 0; i < n; i++) {
        const struct xn_contact *contact = ov_contact(node->ov, peers[i]);

        xn__contact__init(&leaves[i]);
        leaves[i].id = xn_id_bytes(&contact->id);
        leaves[i].position = xn_id_bytes(&contact->position);
        leaves[i].address = (char *)(uintptr_t)ov_address(node->ov, peers[i]);
        rows[i] = &leaves[i];
    }
    body.self = &self;
    body.links = (uint32_t)ov_links(node->ov);
    body.ads = (uint32_t)xis_ads(node->xis);
    body.settled = xis_settled(node->xis);
    body.leaves = rows;
    body.n_leaves = n;
    body.uptime_s = (now->mono_us - node->started_us) / 1000000;
    body.mesh = ov_is_mesh(node->ov, now);
    /* Whoever may ask it often sees when others ask. */
    if (is_member(ask)) node_status_overlay(node, &body);
    xn_out_answer(out, ticket, 200, &body);
}

static const struct path {
    const char *method;
    const char *path;
    void (*serve)(struct node *node, const struct xn_now *now, uint64_t ticket,
                  const Xn__Ask *ask, struct xn_out *out);
} paths[] = {
    {"POST", "/v1/publish", publish},
    {"POST", "/v1/search", search},
    {"POST", "/v1/get", get},
    {"GET", "/v1/status", status},
    {"GET", "/v1/peers", node_api_peers},
    {"GET", "/v1/revoked", node_api_revoked},
    {"POST", "/v1/trace", node_api_trace},
    {"POST", "/v1/reach", node_api_reach},
    {"GET", "/metrics", node_api_metrics},
};

void node_api_ask(struct node *node, const struct xn_now *now, uint64_t ticket,
                  const Xn__Ask *ask, struct xn_out *out)
{
    Xn__Caller stranger = XN__CALLER__INIT;
    Xn__Ask copy = *ask;
    size_t i;

    if (is_revoked(node, ask)) {
        stranger.role = XN__ROLE__ANYBODY;
        stranger.address = ask->caller->address;
        copy.caller = &stranger;
    }
    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(ask->path, paths[i].path)) continue;
        if (strcmp(ask->method, paths[i].method)) continue;
        paths[i].serve(node, now, ticket, &copy, out);
        return;
    }
    xn_out_refuse(
        out, ticket, XN_ENOENT, "request refused",
        "a node has no such method and path",
        "POST /v1/search, /v1/get, /v1/publish, /v1/trace, /v1/reach or GET "
        "/v1/status, /v1/peers, /v1/revoked, /metrics");
}
