/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node core: overlay, index and discovery joined into one state machine.
 * It owns the tickets, the seeded generator and the outbox, hands events to the
 * component they concern, and answers the client API (doc/PROTOCOL.md). */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "index/xis.h"
#include "overlay/ov.h"
#include "seam/peers.h"
#include "seam/xn_core.h"

#define NODE_CORPS_MAX 8

struct node_config {
    struct ov_config overlay; /* its address is copied */
    struct xis_config index;
    /* Where to announce and ask for samples: base URLs, "#ID" (64 hex) behind
     * where that corp alone may answer there, as it should. */
    const char *corps[NODE_CORPS_MAX];
    size_t n_corps;
    uint64_t announce_us;          /* to the corps; 60 s */
    Xn__Contact *const *bootstrap; /* first contacts; copied */
    size_t n_bootstrap;
};

/* Starts with its first WAKE.  `peers` must outlive the core. */
int node_new(const struct node_config *config, const struct xn_peers *peers,
             uint64_t seed, struct xn_core **core_out);
/* Defaults of every setting (design values); id, position, address empty. */
void node_config_default(struct node_config *config);

/* What of it people may set, by name: an amount, or a time in microseconds. */
struct node_setting {
    const char *key; /* "overlay.links" */
    bool is_time;
    uint64_t min, max;
    const char *help;
    size_t at, size; /* of its member: for the two below */
};

const struct node_setting *node_settings(size_t *n_out);
uint64_t node_setting_get(const struct node_setting *setting,
                          const struct node_config *config);
/* XN_EINVAL: out of range. */
int node_setting_put(const struct node_setting *setting, uint64_t value,
                     struct node_config *config);

/* The configuration as bytes (an Xn__NodeSetup), for the head of a recording;
 * *bytes_out is the caller's (free). */
int node_config_pack(const struct node_config *config, uint8_t **bytes_out,
                     size_t *len_out);
/* A node core from such bytes.  XN_EINVAL. */
int node_new_packed(const uint8_t *bytes, size_t len,
                    const struct xn_peers *peers, uint64_t seed,
                    struct xn_core **core_out);

/* Instead of its first WAKE: as if it had joined long ago and were linked to
 * these (ov_stand in overlay/ov.h), with an empty index.  XN_ENOMEM; XN_EINVAL. */
int node_stand(struct xn_core *core, const struct xn_now *now,
               struct xn_route *routes, const uint32_t *rtts_us, size_t n,
               bool all, struct xn_outbox *box_out);

/* ---- for who runs very many ---- */

/* What the last step said is done, and need not be kept until the next. */
void node_said(struct xn_core *core);
/* An event comes soon: fetches memory that it will want, in three steps (3 to
 * 1) with some time between them. */
void node_warm(const struct xn_core *core, int steps);

/* For the simulator's checkers. */
struct ov *node_overlay(struct xn_core *core);
struct xis *node_index(struct xn_core *core);
/* Actions and timers under way. */
size_t node_waits(const struct xn_core *core);

#endif
