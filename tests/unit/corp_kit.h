/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the XenoCorp core share: a core driven by hand, whom it
 * registers, who announces itself. */
#ifndef TESTS_UNIT_CORP_KIT_H
#define TESTS_UNIT_CORP_KIT_H

#include "corp/corp.h"
#include "tests/unit/crank.h"

#define SECOND 1000000ULL
#define WALL (1795255200ULL * SECOND)
#define DAY (86400 * SECOND)

struct fix {
    struct crank c;
    unsigned issued; /* certificates made: each has its number */
};
struct xn_core *new_corp(const char *invitation, uint32_t nodes_max);
void fix_start(struct fix *f, struct xn_core *core);
int fix_set_up(void **state);
int fix_tear_down(void **state);
Xn__Register an_order(Xn__Role role, const char *key, const char *label);

/* A name made of the "request", as the driver takes it from the key. */
void serve_issue(struct fix *f);

/* Over a connection with the same key. */
uint64_t ask_register(struct fix *f, const Xn__Register *reg);

/* The certificate in the answer, as text; `n_out` contacts beside it. */
void registered(struct fix *f, uint64_t ask, char text_out[32], size_t *n_out);
void expect_registered(struct fix *f, const Xn__Register *reg,
                       const char *certificate);

struct who {
    xn_id id, position;
    Xn__Caller caller;
    Xn__Contact contact;
    Xn__Announce announce;
    char address[32];
};
void make_node(struct who *w, unsigned n);
uint64_t announce(struct fix *f, const struct who *w);
size_t sample_size(struct fix *f, uint64_t ask, xn_id *first_out);
size_t ask_sample(struct fix *f, const Xn__Caller *caller, xn_id *first_out);
void announce_many(struct fix *f, unsigned from, unsigned to);

#endif
