/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the host agent's core. */
#ifndef HOSTAGENT_STATE_H
#define HOSTAGENT_STATE_H

#include "hostagent/host.h"
#include "lib/arena.h"
#include "lib/rng.h"
#include "seam/out.h"
#include "seam/tickets.h"
#include "wire/money.h"
#include "wire/store.pb-c.h"

#define HOST_TOKENS_MAX 1024 /* places remembered */
#define HOST_CURRENCIES 4    /* counted */

struct host_session;
struct host_quote;
struct host_machine;
struct task_wait;
struct activity_ask;
struct host_manager;

struct host_budget { /* of one caller's questions */
    xn_id caller;
    uint64_t full_us; /* mono: when all of it is there again; 0: a free row */
};
#define HOST_BUDGETS 128

struct host_counts { /* since the start */
    uint64_t quotes, accepted, refused, claims;
    struct {
        char currency[MONEY_CURRENCY_SIZE];
        uint64_t micro;
    } charged[HOST_CURRENCIES];
};

struct notes_kept {
    uint64_t n, bytes;
};

struct host_market { /* what is sold: session.h */
    bool on;
    const struct host_manager *manager;
    struct price_list prices;
    struct host_machine *machines; /* machine.h */
    size_t n_machines;
    void *told; /* what a member said last, unpacked: until the next word */
    char largest[5][XN_DEC_TEXT_MAX]; /* what a cluster offers: of a machine, */
    char whole[3][XN_DEC_TEXT_MAX];   /* of all: machines, CPU, memory */
    uint64_t said_us; /* mono: the last that began to be published */
    bool pvh;         /* a machine of it can make PVH domains */
    uint64_t due;     /* ticket of the next; 0: nothing has changed */
    struct host_session **sessions; /* in order of id */
    size_t n_sessions;
    bool loaded;
    uint64_t load; /* ticket of the READ or pause under way */
    uint8_t from[1 + XN_ID_SIZE + 4 + 1];
    size_t from_len;
    uint32_t load_failures;
    struct host_quote *quotes; /* being signed */
    size_t n_quotes;
    bool damaged; /* a record could not be read: its tasks are unknown */
    enum { LOAD_FORGOTTEN, LOAD_SESSIONS, LOAD_TASKS } loading;
    struct {
        uint64_t accepted_us; /* by the corp's clock: the last of those, */
        uint64_t dropped_us;  /* wall: when that was forgotten */
    } forgotten;              /* sessions that made room */
    struct task_wait *waits;
    size_t n_waits;
    struct notes_kept notes;         /* activity.h: in the store, at most */
    struct notes_kept notes_dropped; /* by the TXN that is under way */
    uint64_t sweep_notes; /* ticket of the look at old ones; 0: none */
    struct activity_ask *activity_asks;
    size_t n_activity_asks;
    struct host_budget budgets[HOST_BUDGETS];
    struct host_counts counts;
};

struct host {
    struct xn_core core;
    struct host_config config; /* what it points to is in the arena */
    struct advert_offer offer;
    struct xn_arena arena;
    struct xn_arena offer_arena; /* of an offer that came later */
    const char **tokens;         /* of the offer, in its arena */
    size_t n_tokens;
    struct xn_rng rng;
    struct xn_tickets *tickets;
    struct xn_out out;

    /* What is durable, and the version in the making.  NULL: none. */
    Xn__HostRecord *record, *draft;
    bool loaded;
    bool damaged;    /* there was a record: what we said is not known */
    bool withdraw;   /* wanted; the record says what is */
    uint64_t floor;  /* the next version must be higher */
    uint64_t heard;  /* a holder has this one: ours must be higher */
    uint64_t unsure; /* being stored, or perhaps stored: outdo it; 0: none */

    /* The one thing under way: publish.c goes from step to step. */
    uint64_t step;
    bool pausing;         /* it is a pause */
    struct xn_msg *lease; /* Signed; of the record's version */
    uint64_t leased_us;   /* mono time of it */
    uint32_t rounds;      /* failed in a row: of the whole list */
    uint32_t failures;    /* nodes failed in this round */

    /* The node through which we publish, watched while it works. */
    size_t node;
    uint64_t watch; /* 0: not watched */
    uint64_t uptime_s;
    xn_id node_id;
    bool node_known;

    uint64_t published_us; /* wall; 0: never */
    uint32_t copies_least;

    struct host_market market;

    /* A withdrawal or renewed offer that somebody waits for. */
    uint64_t order, order_timer;
};

/* publish.c: from what is stored to what is published, again and again.
 * host_begin reads the store; host_resume goes on with what is wanted now,
 * giving up the step under way. */
void host_begin(struct host *host, const struct xn_now *now);
void host_resume(struct host *host, const struct xn_now *now);
/* A step is under way that is better not given up. */
bool host_is_publishing(const struct host *host);

/* version.c */
/* Does what is offered now differ from what the record says? */
bool host_needs_version(struct host *host);
/* host->draft: the next version, not signed yet. */
int host_make_draft(struct host *host, const struct xn_now *now);
/* Old places that the node no longer names have been ended: true where the
 * record lost some.  Only ever fewer: a lying node cannot make us forget where
 * this version belongs, nor add places. */
bool host_drop_places(struct host *host, const Xn__Published *published);
/* A copy of data in place of what was there. */
int host_set_bytes(ProtobufCBinaryData *to, const void *data, size_t len);

/* watch.c: ask our node every few seconds whether it lives. */
void host_watch(struct host *host, const struct xn_now *now);
void host_unwatch(struct host *host);
/* publish.c: the node through which we publish failed. */
void host_node_failed(struct host *host, const struct xn_now *now,
                      const char *why);
/* publish.c: it lives but has forgotten us. */
void host_republish(struct host *host, const struct xn_now *now);

/* host.c: what is published now is what the order wanted / it failed. */
void host_order_done(struct host *host);
void host_order_failed(struct host *host, int rc, const char *because,
                       const char *try);

/* calls.c */
/* A call to our node; returns its ticket, 0 out of memory. */
uint64_t host_call(struct host *host, const struct xn_now *now,
                   const char *method, const char *path, const void *body,
                   uint64_t patience_us, xn_ended *fn);
/* The body of a node's good answer; NULL and why_out otherwise. */
const Xn__Answer *host_answer(int rc, const struct xn_msg *msg, char *why_out,
                              size_t len);

/* ---- host.c ---- */

/* What sessions get from now on; those there are keep their terms.  CPU or
 * memory left out stays what it was. */
void host_take_rates(struct host *host, const struct advert_offer *offer);

/* ---- reoffer.c ---- */

/* Another offer than before, from a HostOffer: what runs on is the sessions,
 * what changes is what is said from now on.  XN_EINVAL, XN_ENOMEM: nothing is
 * changed; why_out says what is wrong. */
int host_take_offer(struct host *host, const uint8_t *bytes, size_t len,
                    char *why_out, size_t why_len);

#endif
