/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many questions to a XenoCorp at the same time, on one thread, over
 * connections that stay open; and the xenocorpd itself, which is started and
 * killed again and again. */
#ifndef TESTS_SOAK_CROWD_H
#define TESTS_SOAK_CROWD_H

#include <sys/types.h>

#include "tests/soak/market.h"

/* As many of each as one identity's connections carry at once. */
#define CROWD_SEAT 8

struct corpd {
    const char *program, *dir;
    const char *preload;                 /* LD_PRELOAD for it; NULL: none */
    struct market *m;                    /* whose corp.url is kept right */
    pid_t pid;                           /* 0: it does not run */
    uint64_t starts, slowest_us, sum_us; /* from spawning to first answer */
};

/* Until it is ready and has answered a question about money of `asker` (NULL:
 * nobody is registered yet).  false: it ended instead. */
bool corpd_start(struct corpd *c, const char *name,
                 const struct net_identity *asker);
/* One that is killed so long after it was spawned, ready or not. */
void corpd_start_and_die(struct corpd *c, uint64_t us);
/* Has it ended by itself? */
bool corpd_is_gone(struct corpd *c);
/* SIGKILL, or whatever ends it; it is gone when this returns. */
void corpd_kill(struct corpd *c, int signal);
void corpd_report(const struct corpd *c);

struct crowd;

/* rc 0: the body of the answer.  Else a refusal's or the network's code. */
typedef void crowd_answered(void *ctx, int rc, ProtobufCBinaryData body,
                            const char *why);

struct crowd *crowd_new(struct market *m);
void crowd_free(struct crowd *crowd);
/* The bytes are copied.  fn comes later, once, from within crowd_run. */
void crowd_ask(struct crowd *crowd, const struct net_identity *as,
               const char *path, const uint8_t *body, size_t len,
               crowd_answered *fn, void *ctx);
/* How many of this identity's, or of all (NULL), have no answer yet? */
unsigned crowd_flying(const struct crowd *crowd, const struct net_identity *as);
/* Until crowd_stop, from within fn or what follows it. */
void crowd_run(struct crowd *crowd);
void crowd_stop(struct crowd *crowd);
/* Call this after so many microseconds, from within crowd_run. */
void crowd_later(struct crowd *crowd, uint64_t us, void (*fn)(void *ctx),
                 void *ctx);

#endif
