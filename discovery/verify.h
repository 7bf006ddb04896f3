/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's own judgement of an answer: every hit is verified by itself
 * (signatures, certificate, lease, condition, place in the order), and whoever
 * served a false one is named.  Pure: the time comes in. */
#ifndef DISCOVERY_VERIFY_H
#define DISCOVERY_VERIFY_H

#include "wire/ad.h"
#include "wire/cert.h"
#include "wire/query.h"
#include "wire/revoked.h"

#define FIND_WHY_MAX 160
/* A copy that lacks an ad whose lease is younger than this part of its whole
 * length (a minute of 15) may just not have it yet. */
#define FIND_SETTLE_PART 15

struct find_check {
    const struct query *query;
    const struct xn_anchors *anchors;
    uint64_t wall_us;
    uint64_t lease_us_max;
    const struct revoked *revoked; /* whose do not count; NULL: nobody's */
};

struct find_hit {
    xn_id server, source;
    struct xn_cert signer;
    struct ad_lease lease;
    struct advert *advert;  /* the hit's own */
    struct query_rank rank; /* points into the advert */
};

struct find_reject {
    xn_id node;   /* that served it, as the one asked says */
    xn_id via;    /* that was asked */
    xn_id server; /* whose advertisement it is; zero where unknown */
    char why[FIND_WHY_MAX];
};

/* What has come so far, over pages and nodes.  A zeroed one is empty. */
struct find_list {
    struct find_hit *hits; /* in the order of the query */
    size_t n, cap;
    struct find_reject *rejects;
    size_t n_rejects, cap_rejects;
};

void find_list_clear(struct find_list *list);
/* Forgets the hits behind the first n. */
void find_list_cut(struct find_list *list, size_t n);
/* XN_ENOMEM. */
int find_list_reject(struct find_list *list, const struct find_reject *reject);

/* How an answer was asked for. */
struct find_asked {
    xn_id via;                      /* the node that answered */
    const struct query_rank *after; /* the cursor; NULL: from the start */
    const xn_id *server;            /* the only one; NULL: any that matches */
    bool merged;                    /* of several copies: then not in order */
};

/* Moves everything from one list to another; a server that is there already
 * stays with its higher version (it may have rewritten its advertisement
 * between two pages).  `from` is empty afterwards.  XN_ENOMEM. */
int find_list_move(const struct find_check *check, struct find_list *from,
                   struct find_list *to);

/* Puts what verifies of one answer into the list (empty before), in order, and
 * names the rest.  *clean_out: nothing that was served is false.  Copies that
 * hide an advertisement are named too, where `merged`.  XN_ENOMEM. */
int find_verify(const struct find_check *check, const struct find_asked *asked,
                const Xn__SearchResult *result, struct find_list *list,
                bool *clean_out);

#endif
