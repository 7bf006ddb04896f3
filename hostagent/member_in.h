/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside a member's core. */
#ifndef HOSTAGENT_MEMBER_IN_H
#define HOSTAGENT_MEMBER_IN_H

#include "hostagent/member.h"
#include "lib/arena.h"
#include "seam/out.h"
#include "seam/tickets.h"
#include "wire/api.pb-c.h"

#define SECOND_US 1000000ULL
#define WHAT "cannot ask this machine"
#define ENDS_KEPT 32    /* of tasks: who missed more looks at all */
#define FETCHES_MAX 64  /* under way, or told a while ago */
#define STREAMS_MAX 120 /* the manager counts to fewer: some still end */
#define ASKERS_MAX 16   /* that wait for the same; others hear "not yet" */

struct member_asker {
    uint64_t ask; /* 0: nobody */
    uint64_t timer;
};

struct member_fetch {
    xn_id key;           /* SHA-256 of what was asked; zero: a free row */
    uint64_t ticket;     /* 0: it is done */
    uint64_t patience;   /* until it is given up, when nobody asks again */
    struct xn_msg *told; /* Fetched, once it is done */
    uint64_t done_us;    /* mono */
    struct member_asker askers[ASKERS_MAX];
};

struct asked {    /* a question that is passed on */
    uint64_t ask; /* 0: nobody waits any more */
    uint64_t ticket;
    unsigned kind; /* of the answer */
    struct asked *prev, *next;
};

struct member {
    struct xn_core core;
    struct member_config config;
    struct xn_arena arena;
    struct xn_tickets *tickets;
    struct xn_out out;
    struct asked *asked, *streams; /* streams: they last, and have no kind */
    size_t n_asked, n_streams;

    /* xenodomd, as it said; up: life is of this connection. */
    bool up, exact, xen, pvh, bridge;
    uint64_t disk_bytes;
    char no_xen[256];
    uint64_t life;
    uint64_t seen;                   /* ends in this life */
    Xn__TaskStatus *ends[ENDS_KEPT]; /* the last, end n at n % ENDS_KEPT */

    uint64_t asked_us;     /* wall: by its manager, last; 0: it has not */
    uint64_t questions;    /* of its, since the start, ... */
    uint64_t refused;      /* ... and of others that were no matter of theirs */
    uint64_t fetched;      /* images, since the start */
    uint64_t watch, timer; /* who waits for news; 0: nobody */
    struct member_fetch fetches[FETCHES_MAX];
};

/* The machine's amounts, as it tells them; texts are the core's. */
void member_amounts(const struct member *m, Xn__Amounts *out);

/* ---- member_self.c: what its own operator is told ---- */

/* The same key asks: is it its own? */
bool member_is_self(const struct member *m, const Xn__Caller *caller);
void member_on_self(struct member *m, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);

/* ---- member_fetch.c: images ---- */

/* A Fetch: the Fetched, or one that says not yet; the same again goes on. */
void member_on_fetch(struct member *m, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question);
/* Was this folder told as one's, and is it still kept for its user? */
bool member_has_image(const struct member *m, const struct xn_now *now,
                      const char *path);
void member_fetch_cancel(struct member *m, uint64_t ask);
size_t member_fetch_tickets(const struct member *m);
uint32_t member_fetches(const struct member *m); /* under way */
void member_fetch_clear(struct member *m);

/* ---- member_stream.c: connections to tasks ---- */

void member_on_stream(struct member *m, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question);
void member_stream_cancel(struct member *m, uint64_t ask);
void member_streams_clear(struct member *m);

/* What was asked has another form. */
void member_malformed(struct member *m, uint64_t ask);

#endif
