/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node core's state, shared by the files of this folder alone. */
#ifndef NODE_STATE_H
#define NODE_STATE_H

#include "discovery/rd.h"
#include "node/node.h"

struct question;
struct offer;
struct probe;
struct reach;

struct served { /* lists of revoked keys, within a second */
    uint64_t since_us;
    size_t bytes;
};

struct node {
    struct xn_core core; /* first: a node is a core */
    struct xn_out out;
    struct xn_tickets *tickets;
    struct xn_rng rng;
    struct ov *ov;
    struct xis *xis;
    struct rd *rd;              /* NULL: nobody has searched yet */
    struct question *questions; /* of rd to the index, under way */
    char *texts; /* of the corps, one behind the other, and our address */
    uint32_t n_corps, n_offers;
    uint64_t announce_us;
    bool started, late_told;
    bool peers_changed; /* since they were stored; soon they are again */
    uint32_t n_probes;
    uint64_t started_us;
    struct xn_msg *bootstrap; /* Sample: contacts to begin with, or NULL */
    struct revoked revoked;
    struct offer *offers; /* lists of revoked keys that are being verified */
    struct revoked_ask *revoked_asks; /* ours for such lists, under way */
    uint64_t revoked_timer;
    struct served served_peers, served_callers;
    struct probe *probes;  /* ours for peers, and the last ones */
    struct reach *reaches; /* questions whether we are reached, under way */
};

/* NULL: no memory, and out->rc says so. */
struct rd *node_discovery(struct node *node, struct xn_out *out);

/* ---- corps.c: how a node finds others and is found ---- */

/* Read remembered peers, ask the corps for a sample, announce; repeats. */
void node_corps_start(struct node *node, const struct xn_now *now,
                      struct xn_out *out);

/* The repetitions alone. */
void node_corps_stand(struct node *node, const struct xn_now *now,
                      struct xn_out *out);

/* A peer came or went: they are stored soon. */
void node_corps_changed(struct node *node, const struct xn_now *now,
                        struct xn_out *out);
/* Store the peers linked to now, if they changed. */
void node_corps_remember(struct node *node, struct xn_out *out);

/* ---- revoked.c: whose certificates do not count any more ---- */

void node_revoked_start(struct node *node, const struct xn_now *now,
                        struct xn_out *out);
/* A list, from wherever: verified, and believed if it is newer. */
void node_revoked_offer(struct node *node, const struct xn_now *now,
                        const ProtobufCBinaryData *blob, struct xn_out *out);
/* A peer's HELLO has come. */
void node_revoked_joined(struct node *node, const struct xn_now *now,
                         xn_peer peer, struct xn_out *out);
/* A peer asks. */
void node_revoked_deliver(struct node *node, const struct xn_now *now,
                          const struct ov_request *request, struct xn_out *out);
void node_revoked_clear(struct node *node);
void node_api_revoked(struct node *node, const struct xn_now *now,
                      uint64_t ticket, const Xn__Ask *ask, struct xn_out *out);

/* ---- reach.c: can others reach us? ---- */

/* A peer wants to know. */
void node_reach_deliver(struct node *node, const struct xn_now *now,
                        const struct ov_request *request, struct xn_out *out);
void node_reach_clear(struct node *node);
void node_api_reach(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out);

/* ---- api.c: the client interface ---- */

void node_api_ask(struct node *node, const struct xn_now *now, uint64_t ticket,
                  const Xn__Ask *ask, struct xn_out *out);

/* Strangers may search and no more: others are refused; false: it was one. */
bool node_api_member(const Xn__Ask *ask, uint64_t ticket, const char *what,
                     struct xn_out *out);

/* ---- api_overlay.c, metrics.c ---- */

/* What GET /v1/status tells of it to members. */
void node_status_overlay(const struct node *node, Xn__NodeStatus *body);
void node_api_peers(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out);
void node_api_metrics(struct node *node, const struct xn_now *now,
                      uint64_t ticket, const Xn__Ask *ask, struct xn_out *out);
void node_api_trace(struct node *node, const struct xn_now *now,
                    uint64_t ticket, const Xn__Ask *ask, struct xn_out *out);

#endif
