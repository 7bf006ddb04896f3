/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The market's state, shared by market*.c. */
#ifndef SIM_MARKET_STATE_H
#define SIM_MARKET_STATE_H

#include <uthash.h>

#include "lib/buf.h"
#include "sim/market.h"
#include "wire/advert.h"
#include "wire/query.h"

enum market_state { MARKET_OFF, MARKET_ON, MARKET_WITHDRAWN };

struct market_ad { /* one version */
    uint64_t version;
    struct xn_buf xml;
    xn_id document;
    struct advert *advert;
};

struct market_server {
    xn_id id; /* from its first ad on */
    enum market_state state;
    bool alive;
    bool gone;       /* with the last node that held it, until its next lease */
    bool publishing; /* a request is under way or due */
    uint64_t ticket; /* of that request; 0: it is due */
    uint32_t epoch;  /* of the due one: others are stale */
    struct market_ad now, old;
    uint64_t acked_us;      /* this version confirmed; 0: not yet */
    uint64_t withdrawn_us;  /* confirmed; 0: not yet */
    uint64_t until_us;      /* wall: end of the confirmed lease */
    uint64_t sent_until_us; /* wall: of the lease sent last */
};

enum market_kind { MARKET_PUBLISH = 1, MARKET_FIND, MARKET_GET };

struct market_ask { /* a request under way */
    uint64_t ticket;
    enum market_kind kind;
    uint32_t node;
    uint32_t server; /* PUBLISH, GET */
    bool by_id;      /* GET: not by its name */
    bool strict;     /* GET: a miss is a violation whatever happened lately */
    uint64_t asked_us;
    uint32_t limit;
    struct query *query;
    UT_hash_handle hh;
};

struct sim_market {
    struct sim_run *run;
    uint32_t nodes;
    struct market_server *servers;
    struct market_ask *asks; /* by ticket */
    uint64_t tickets;
    uint32_t round;             /* where market_get goes on */
    unsigned crashes;           /* under way */
    struct market_held *held;   /* each server's ad, before these; NULL: none */
    struct market_disk **disks; /* of each node that is down; NULL: none was */
};

/* market_ad.c: the offer of version number `version` of server n. */
int market_ad_write(struct sim_run *run, uint32_t server, uint64_t version,
                    struct market_ad *ad);
void market_ad_clear(struct market_ad *ad);

/* market_query.c: a random one, with what it would match drawn from ads. */
int market_query_make(struct sim_market *market, struct query **query_out,
                      uint32_t *limit_out);

/* market_survey.c */
void market_held_free(struct sim_market *market);
/* This node's disk is lost. */
void market_held_wiped(struct sim_market *market, uint32_t node);

/* market_disk.c */
void market_disks_free(struct sim_market *market);
void market_disk_ends(struct sim_market *market, uint32_t node, bool wiped);
void market_disk_begins(struct sim_market *market, uint32_t node);

/* market_ask.c */
int market_ask_send(struct sim_market *market, uint32_t node,
                    const struct market_ask *ask, const char *path,
                    Xn__Role role, const void *body);
void market_ask_drop(struct sim_market *market, struct market_ask *ask);
int market_search(struct sim_market *market, uint32_t node,
                  const struct market_ask *ask);

/* market_judge.c: is this answer right? */
void market_judge(struct sim_market *market, const struct market_ask *ask,
                  const Xn__SearchResult *result);
/* Must an answer to a question asked at `asked_us` have this server's ad? */
bool market_must(const struct sim_market *market, uint32_t server,
                 uint64_t asked_us);
/* A question about `server` (or any) had no complete answer. */
void market_failed(struct sim_market *market, const struct market_ask *ask,
                   const char *why);

#endif
