/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A host agent that sells, driven by hand beside a XenoCorp (the shop): both
 * are the real cores, documents are really signed, and the test carries the
 * messages between them. */
#ifndef TESTS_UNIT_MARKET_KIT_H
#define TESTS_UNIT_MARKET_KIT_H

#include "hostagent/host.h"
#include "lib/rng.h"
#include "tests/unit/corp_money_kit.h"
#include "tests/unit/dom_kit.h"

#define SECOND_US 1000000ULL
#define ROOT "EnvironmentalRequirements"
#define WANT(parts) "<" ROOT ">" parts "</" ROOT ">"

struct market {
    struct shop s;
    struct crank h;    /* the host agent's */
    struct dom dom;    /* its xenodomd, where sessions run tasks */
    struct {           /* FETCH: */
        int done, rc;  /* of DONE, of Fetched */
        bool silent;   /* it is not answered */
        unsigned n;    /* asked for */
        uint64_t last; /* ticket */
        unsigned aborted;
    } fetch;
    struct shop_member *server;
    xn_id node_id;
    unsigned publishes;
    Xn__Caller node, operator;
    struct host_config config;
    struct advert_offer offer;

    bool brings_image; /* the tasks that are asked for */
    /* Takes a call to a member of its cluster; false: it is none. */
    bool (*carry)(struct market *m, struct xn_action *call);

    /* One sale. */
    struct deal d;
    uint8_t word; /* of the request */
    xn_id session;

    /* Faults: of 100 calls so many are lost on the way there, so many on the
     * way back, so many arrive twice. */
    unsigned lose_there, lose_back, twice;
    struct xn_rng rng;
    unsigned calls_validate, calls_charge; /* that reached the corp */
    bool corp_down;
};

int market_set_up(void **state);
int market_tear_down(void **state);
/* With prices as given; NULL: none. */
struct market *market_open(const char *setup, const char *per_hour);
/* The same; sessions run tasks. */
struct market *market_open_sandbox(const char *setup, const char *per_hour);
/* Each task in a domain, where xenodomd can make any: else no_xen says why. */
struct market *market_open_xen(bool can, const char *no_xen);
/* A manager without a machine of its own. */
struct market *market_open_cluster(const struct host_member *members, size_t n,
                                   bool (*carry)(struct market *m,
                                                 struct xn_action *call));
void market_close(struct market *m);
/* The host's process dies and begins again on what its store holds. */
void market_restart(struct market *m);
/* The first of what the agent asked for is done, and nobody hears of it: before
 * it dies. */
void market_finish_pending(struct market *m);

/* The host's oldest action but answers: done for real, calls are carried to the
 * corp.  false: none waits. */
bool market_serve_one(struct market *m);
void market_serve(struct market *m);
/* The FETCH that was left silent ends as m->fetch says. */
void market_fetch_ends(struct market *m);
/* All but calls to the corp. */
void market_serve_but_calls(struct market *m);
/* Time goes by for both. */
void market_pass(struct market *m, uint64_t us);
/* A call to the corp that waits, taken out. */
struct xn_action market_take_call(struct market *m, const char *path);
bool market_has_call(const struct market *m, const char *path);
/* The corp answers so. */
void market_say(struct market *m, struct xn_action *call, int status,
                const void *body);
void market_say_refusal(struct market *m, struct xn_action *call, int rc,
                        const char *reason);
/* Carry it to the corp for real. */
void market_carry(struct market *m, struct xn_action *call);

uint64_t market_ask(struct market *m, const char *method, const char *path,
                    const char *query, const void *body,
                    const Xn__Caller *caller);
uint64_t market_ask_quote(struct market *m, const char *requirements,
                          const Xn__Caller *caller);
/* Free memory and CPU, as a quote tells them. */
void market_free(struct market *m, char memory[48], char cpu[48]);
/* A quote into m->d.quote. */
void market_quote(struct market *m, const char *requirements);
/* An order of so much and the narrowing to that quote. */
void market_order(struct market *m, uint8_t word, int64_t amount);
uint64_t market_ask_create(struct market *m);
/* The session in the answer; free with xn__host_session__free_unpacked. */
Xn__HostSession *market_session(struct market *m, uint64_t ask);
/* m->session: the name that it has whatever comes of it. */
void market_know_session(struct market *m);
/* Looked up by m->session. */
Xn__HostSession *market_look(struct market *m);
Xn__SessionState market_state(struct market *m);
/* Quote, order, session: it runs. */
void market_begin(struct market *m, int64_t amount);
uint64_t market_ask_stop(struct market *m, const struct shop_member *by,
                         const struct shop_member *caller);
int market_refused(struct market *m, uint64_t ask, char because_out[300]);
/* Charged by the host's last receipt; the corp's books say the same. */
int64_t market_charged(struct market *m);

#endif
