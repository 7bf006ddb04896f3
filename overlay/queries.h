/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A request under way, and what the files that move it share: queries.c holds
 * them, ask.c begins our own, arrive.c takes those of peers, route.c delivers
 * and sends on, answer.c ends them. */
#ifndef OVERLAY_QUERIES_H
#define OVERLAY_QUERIES_H

#include "overlay/inside.h"

/* A request that we sent on, or that we have to answer.  `number` is both the
 * rid on links and the token of ov_answer. */
struct query {
    uint64_t number;
    struct query *sent_prev, *sent_next, *held_prev, *held_next;
    struct link *via;  /* it waits there; NULL: nowhere */
    struct link *from; /* who asked us; NULL: we ourselves */
    uint64_t from_rid;
    bool direct, acked, delivered;
    bool enough;    /* for nobody: only its round trip counts (ov_enough) */
    bool pinned;    /* for whom a search has found, and nobody else */
    bool witness;   /* who asks us would answer itself, but doubts */
    bool witnessed; /* sent so by us, the last time */
    bool yours;     /* a witness said that it is ours */
    uint8_t n_tried, n_sent;
    xn_peer tried[WAYS_MAX]; /* none that is gone */
    xn_id key;
    uint32_t copy, hops, kind;
    struct xn_msg *carrier; /* keeps the payload */
    size_t kept;            /* its bytes, where another's request */
    const uint8_t *payload;
    size_t payload_len;
    uint64_t got_us, ack_us; /* another's: when it came; our ACK is due; 0: it
                                is not owed */
    uint64_t deadline_us, sent_us, timer, due_us;
    uint64_t asked_us; /* own ones */
    ov_replied *fn;
    void *ctx;
};

/* ---- queries.c */

/* In the order of their numbers. */
struct query *query_at(const struct ov *ov, size_t i);
struct query *query_find(const struct ov *ov, uint64_t number);
/* `from`: who asks us; NULL: we ourselves.  NULL: out of memory. */
struct query *query_new(struct ov *ov, struct link *from);
/* A peer's: `carrier` holds the payload, while it may have to be sent on. */
void query_keep(struct ov *ov, struct query *q, struct xn_msg *carrier);
void query_let_go(struct ov *ov, struct query *q);
/* It waits for nobody. */
void query_unsend(struct query *q);
/* Out of all tables; the memory is the caller's, who calls query_drop. */
void query_detach(struct ov *ov, struct query *q);
void query_drop(struct query *q);
/* As if it had not been sent there. */
void query_untry(struct query *q, xn_peer peer);

/* ---- route.c */

/* At its deadline at the latest. */
void route_set_timer(struct ov *ov, struct query *q, uint64_t due_us,
                     struct xn_out *out);
void route_ack_now(const struct xn_now *now, struct query *q,
                   struct xn_out *out);
/* Most answers come soon enough to speak for themselves. */
void route_owe_ack(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out);
/* These four may end it. */
void route_deliver(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out);
void route_on(struct ov *ov, const struct xn_now *now, struct query *q,
              struct xn_out *out);
void route_over(struct ov *ov, const struct xn_now *now, struct query *q,
                struct link *to, bool witness, struct xn_out *out);
/* No ACK in time, or the link is gone: somebody else, as if that one did not
 * exist. */
void route_again(struct ov *ov, const struct xn_now *now, struct query *q,
                 struct xn_out *out);

/* ---- answer.c */

/* Knows this peer what came with OV_FEATURE_TERSE? */
bool link_is_terse(const struct link *link);
void answer_count(struct ov_stats *stats, int rc, uint32_t hops,
                  uint64_t took_us);
/* The end of a request.  `msg`: the payload where it is decoded already. */
void answer_finish(struct ov *ov, const struct xn_now *now, struct query *q,
                   const Xn__Reply *body, struct xn_msg *msg,
                   struct xn_out *out);
void answer_fail(struct ov *ov, const struct xn_now *now, struct query *q,
                 int rc, struct xn_out *out);
/* The answer to a witness question. */
void answer_yours(struct ov *ov, const struct xn_now *now, struct query *q,
                  struct xn_out *out);
/* To a request that was not taken. */
void answer_refuse(struct ov *ov, struct link *link, uint64_t rid, int rc,
                   struct xn_out *out);

#endif
