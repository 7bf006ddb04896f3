/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The world around a XenoCorp's core for fuzz targets: a store in memory, a
 * clock that stands still, and signatures of play money.  An envelope is one
 * letter and the document: the letter says who signed it.  So what comes behind
 * a signature is reached thousands of times a second; what checks signatures
 * has targets of its own.
 *
 * The letters, for callers too; a name is 32 times its letter:
 *   c d  clients     s t  servers     n  a node     k  the XenoCorp itself
 *   o    another XenoCorp's client    a  anybody
 */
#ifndef TESTS_FUZZ_CORP_WORLD_H
#define TESTS_FUZZ_CORP_WORLD_H

#include "corp/corp.h"
#include "tests/unit/mem_store.h"
#include "wire/money.h"

#define WORLD_NOW_US (1795255200ULL * 1000000) /* 2026-11-21 10:00 UTC */
#define WORLD_HOUR_US (3600ULL * 1000000)

struct world {
    struct xn_core *core;
    struct xn_now now;
    uint64_t wake_us;
    struct mem_store store;
    struct xn_action *actions; /* with references, oldest first */
    size_t n, cap;
    bool is_real;      /* ISSUE is done with keys */
    bool claimed[128]; /* by letter: a claim of his was verified */
    void (*answer)(struct world *w, uint64_t ticket, const Xn__Answer *answer);
    void *user;
};

/* A core on what the store holds, at now; `core` must be NULL. */
void world_start(struct world *w, const struct corp_config *config);
void world_stop(struct world *w);
void world_copy_store(const struct mem_store *from, struct mem_store *to);

void world_event(struct world *w, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg);
/* Carry out actions until none is left. */
void world_run(struct world *w);
/* The caller of that letter; the ids are lent for ever. */
Xn__Caller world_caller(char letter);
xn_id world_id(char letter);
struct corp_config world_config(void);

/* A store with a history: pay-ins, an order that is issued, one that is
 * accepted and charged once, one void, members.  For ever. */
const struct mem_store *world_past(void);

/* ISSUE for real: key and certificate of a XenoCorp that is made once. */
int world_issue(const Xn__Issue *issue, uint64_t now_us, struct xn_msg **out);
const struct xn_anchors *world_anchors(void);

/* The audit goes over the whole store.  0 or aborts. */
void world_audit(const struct mem_store *store);
/* Sum of the accounts of that kind; aborts where one cannot be read. */
int64_t world_held(const struct mem_store *store, int kind);
/* Of one account; 0: there is none. */
int64_t world_balance(const struct mem_store *store, const xn_id *account);

#endif
