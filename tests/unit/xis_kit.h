/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Index nodes on the network of ov_net.h: a driver with a store in memory and
 * modelled signatures, and servers with ads of known content. */
#ifndef TESTS_UNIT_XIS_KIT_H
#define TESTS_UNIT_XIS_KIT_H

#include "index/xis.h"
#include "sim/crypto.h"
#include "sim/store.h"
#include "tests/unit/ov_net.h"

#define LEASE_US (300 * SEC)

/* What it does instead of serving SYNC and OFFER. */
enum kit_lie {
    HONEST,
    REFUSES,
    GOES_ON_FOR_EVER,
    YOUNG_FOR_EVER, /* not settled, it says, and then nothing more */
};

/* What a node's driver has; stores outlive crashes. */
struct kit_node {
    struct xis *xis;
    struct sim_store *store;
    enum kit_lie lie;
    uint64_t lies;
    bool hold_txn; /* TXNs do not end */
    bool lose_txn; /* they fail, and leave nothing behind */
    uint32_t slow; /* checking a signature of server slow - 1 takes 1 s */
    unsigned txns, answers, syncs;
    int status;            /* of the last ANSWER */
    uint32_t copies_least; /* in it */
    int results_rc;        /* of its first ad */
};

struct kit {
    struct net *net;
    struct kit_node *node;
};

struct kit *kit_new(uint32_t nodes, uint64_t seed); /* none is started */
void kit_free(struct kit *kit);
void kit_start_all(struct kit *kit);
bool kit_settled(struct kit *kit, uint64_t us);
struct xis *kit_xis(struct kit *kit, uint32_t i);

/* A server's ad: its lease ends LEASE_US from now. */
struct kit_ad {
    uint32_t server;
    uint64_t version, until_us;
    bool withdrawn, bare; /* bare: the lease alone */
    unsigned cpu;         /* CPUsmps; 0: 100 */
    const char *country;  /* NULL: "GB" */
    const char *extra;    /* a token of its own; NULL: none */
    unsigned flood;       /* so many tokens more that nobody else has */
};
struct kit_ad kit_ad(const struct kit *kit, uint32_t server, uint64_t version);
void kit_server_id(uint32_t server, xn_id *id_out);
Xn__SignedAd *kit_seal(const struct kit *kit, const struct kit_ad *ad);
void kit_unseal(Xn__SignedAd *ad);

/* Through node i; the answer stands in its kit_node. */
void kit_publish(struct kit *kit, uint32_t i, const struct kit_ad *ads,
                 size_t n);

struct kit_reply {
    unsigned calls;
    int rc;
    struct xn_msg *msg;
};
/* Node i asks node j; the reply is cleared first. */
void kit_ask(struct kit *kit, uint32_t i, uint32_t j, unsigned kind,
             const void *body, struct kit_reply *reply);
/* The first result's rc, or the reply's. */
int kit_put(struct kit *kit, uint32_t i, uint32_t j, const struct kit_ad *ad);
/* At node i itself; counts alone.  XN_E..., or how many match. */
int kit_count(struct kit *kit, uint32_t i, const char *token);
bool kit_has(struct kit *kit, uint32_t i, uint32_t server, uint64_t version);
/* How many nodes that are up hold it. */
uint32_t kit_holders(struct kit *kit, uint32_t server, uint64_t version);

#endif
