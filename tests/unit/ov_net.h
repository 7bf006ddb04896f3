/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small network in memory for tests of the overlay: virtual time, links with
 * a delay, crashes that are seen (GONE) or silent, loss.  Every step of a node
 * is followed by ov_check. */
#ifndef TESTS_UNIT_OV_NET_H
#define TESTS_UNIT_OV_NET_H

#include "overlay/ov.h"

#define SEC 1000000ULL

enum answer { ANSWER_NOW, ANSWER_LATER, ANSWER_NEVER };

struct net;
struct node;

/* A component above the overlay, for tests of it. */
struct net_user {
    struct ov_user ov; /* `user` there is the struct node */
    void (*start)(struct node *node, struct xn_out *out);
    void (*stop)(struct node *node);
    /* Any action that is not of the overlay; it may call net_ended. */
    void (*act)(struct node *node, const struct xn_action *act);
    void (*check)(struct node *node); /* after each step */
};

struct node {
    struct net *net;
    uint32_t index;
    struct xn_contact contact;
    char address[16];
    struct ov *ov;
    struct xn_rng rng;
    struct xn_tickets *tickets;
    struct xn_out out;
    bool up;
    bool deaf;      /* takes part in nothing, and nobody is told */
    bool newer;     /* has them all in HELLO, and a field that nobody knows */
    bool partial;   /* says in HELLO that there are more than it is linked to */
    bool guest;     /* nobody can dial it, and it says so */
    bool keeps;     /* acknowledges the requests that come to it, and no more */
    bool refuses;   /* them: it knows no way */
    uint64_t lacks; /* features that it does not say in HELLO */
    Xn__Contact *names; /* asked who is near: this one; NULL: who is */
    uint64_t late_us;   /* all it says arrives so much later */
    uint64_t ahead_us;  /* its wall clock; negative ones wrap */
    unsigned misdated;  /* ov_clock said so */
    uint64_t gate_us;   /* so long wait those who dial it */
    uint32_t life;      /* restarts */
    uint64_t wake_us;
    enum answer answer;
    unsigned dialled; /* by others */
    unsigned peers_said;
    unsigned leaves_changed, joined, left, delivered;
    uint32_t last_hops;
    void *component; /* of struct net_user */
};

struct net_config {
    uint32_t nodes, links_max, leaves;
    bool handle_per_link; /* as net/ does; else one per node, as sim/ does */
    unsigned loss_percent;
    uint32_t any_copy_kind;
    bool secure;
    uint32_t cache;
    uint64_t (*way_us)(uint32_t a, uint32_t b); /* one way; NULL: some */
    uint64_t seed;
    const struct net_user *user; /* NULL: a plain one */
};

struct conn;
struct happening;

struct net {
    struct net_config config;
    struct node *node;
    struct xn_peers peers;
    struct xn_contact *rows;
    struct conn *conn;
    size_t n_conn, cap_conn;
    int32_t *pair; /* open link of two nodes, where there is one per pair */
    struct happening *heap;
    size_t n_heap, cap_heap;
    uint64_t seq, steps, sent, sent_bytes, aborted;
    uint64_t check_every; /* steps */
    struct xn_rng rng;
    struct xn_now now;
};

struct net *net_new(const struct net_config *config);
void net_free(struct net *net);
/* Run until this much later. */
void net_run(struct net *net, uint64_t us);
/* Run until the predicate holds; false: it did not within `us`. */
bool net_until(struct net *net, uint64_t us, bool (*done)(struct net *));

/* Start a node and let it join through `via` (itself: through nobody). */
void net_start(struct net *net, uint32_t i, uint32_t via);
void net_join(struct net *net, uint32_t i, uint32_t via);
void net_leave(struct net *net, uint32_t i);
/* seen: its peers get GONE. */
void net_crash(struct net *net, uint32_t i, bool seen);
/* The link of two nodes breaks, both see it. */
void net_cut(struct net *net, uint32_t i, uint32_t j);
/* Hand node i a message as if its peer j had sent it; false: not linked. */
bool net_inject(struct net *net, uint32_t i, uint32_t j, struct xn_msg *msg);

/* A call into node i's overlay or component stands between these two. */
struct xn_out *net_begin(struct net *net, uint32_t i);
void net_end(struct net *net, uint32_t i);
/* Later, the action with that ticket ends; takes over the message. */
void net_ended(struct net *net, uint32_t i, uint64_t ticket, int rc,
               struct xn_msg *msg, uint64_t in_us);
/* Node i's handle of node j; false: not linked. */
bool net_peer(const struct net *net, uint32_t i, uint32_t j, xn_peer *peer_out);

/* What came of a question. */
struct asked {
    unsigned calls;
    int rc;
    uint32_t by; /* who answered */
    uint32_t hops;
    xn_id from;
};
void net_ask(struct net *net, uint32_t i, const xn_id *key, uint32_t copy,
             uint64_t patience_us, struct asked *asked);
void net_ask_peer(struct net *net, uint32_t i, uint32_t j, uint64_t patience_us,
                  struct asked *asked);
void net_ask_peer_of(struct net *net, uint32_t i, uint32_t j, unsigned kind,
                     const void *body, uint64_t patience_us,
                     struct asked *asked);

/* The truth: rank-th nearest of all that are up; UINT32_MAX: none. */
uint32_t net_nearest(const struct net *net, const xn_id *key, uint32_t rank);
/* Which node a handle of node i names. */
uint32_t net_who(const struct net *net, uint32_t i, xn_peer peer);
bool net_is_mesh(struct net *net);
/* Every node has its true neighbours among its links. */
bool net_has_leaves(struct net *net);
void net_key(struct net *net, xn_id *key);

#endif
