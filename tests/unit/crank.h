/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A driver by hand for unit tests of cores: the test steps the core, looks at
 * each action, and decides what becomes of it.  The store is a sorted list in
 * memory.  Whatever the core asks for is checked by cmocka asserts. */
#ifndef TESTS_UNIT_CRANK_H
#define TESTS_UNIT_CRANK_H

#include "seam/xn_core.h"
#include "wire/id.h"

#define CRANK_RECORDS_MAX 8192

struct crank_record {
    uint8_t *key, *value;
    size_t key_len, value_len;
};

struct crank {
    struct xn_core *core;
    struct xn_now now;
    uint64_t wake_us;
    struct xn_action *pending; /* with references, oldest first */
    size_t n_pending, cap;
    uint64_t asked; /* last ticket of ours */
    xn_id digest;   /* chained over every action */
    struct crank_record records[CRANK_RECORDS_MAX];
    size_t n_records;
    char log[512]; /* last LOG */
};

void crank_init(struct crank *c, struct xn_core *core, uint64_t mono_us,
                uint64_t wall_us);
/* Frees core and pending actions; the store stays for a restart. */
void crank_stop(struct crank *c);
/* Its store is as new. */
void crank_empty(struct crank *c);
void crank_clear(struct crank *c);

void crank_event(struct crank *c, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg);
/* That peer has linked to the core. */
void crank_up(struct crank *c, xn_peer peer);
/* That peer says this. */
void crank_hear(struct crank *c, xn_peer peer, struct xn_msg *msg);
void crank_wake(struct crank *c);
/* Let time pass, waking the core whenever it wants. */
void crank_pass(struct crank *c, uint64_t us);

/* An ASK with a protobuf body (may be NULL) or raw bytes; returns its ticket.
 * `caller` may be NULL. */
uint64_t crank_ask(struct crank *c, const char *method, const char *path,
                   const void *body, const Xn__Caller *caller);
uint64_t crank_ask_raw(struct crank *c, const char *method, const char *path,
                       const uint8_t *body, size_t len,
                       const Xn__Caller *caller);

/* How many actions of that kind wait? */
size_t crank_count(const struct crank *c, enum xn_act kind);
/* Take the oldest of that kind out; fails the test where there is none.  The
 * message is the caller's (xn_msg_free). */
struct xn_action crank_take(struct crank *c, enum xn_act kind);
/* The answer to that question, or fails.  *msg_out is the caller's. */
const Xn__Answer *crank_answer(struct crank *c, uint64_t ask,
                               struct xn_msg **msg_out);
/* It must be status 200 with a body of that type, which the caller frees
 * (protobuf_c_message_free_unpacked). */
void *crank_answered(struct crank *c, uint64_t ask,
                     const ProtobufCMessageDescriptor *type);
/* It must be a refusal that says what and because: its rc. */
int crank_refused(struct crank *c, uint64_t ask);
/* And what to try.  `because_out` may be NULL. */
int crank_refused_why(struct crank *c, uint64_t ask, char because_out[300]);

/* End an action; frees its message.  `body` may be NULL. */
void crank_done(struct crank *c, struct xn_action *act, int rc, unsigned kind,
                const void *body);
/* An Answer with that status to a CALL. */
void crank_called(struct crank *c, struct xn_action *act, int status,
                  const void *body, const Xn__Caller *server);
/* Serve the oldest READ or TXN from the store; TXN honours its guards. */
void crank_serve_read(struct crank *c);
void crank_serve_txn(struct crank *c);
/* All READ and TXN that wait, and those that follow. */
void crank_serve_store(struct crank *c);

#endif
