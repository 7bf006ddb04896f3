/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What searches and gets share: the question that copies of one shard are
 * asked, who has been asked it, and when the next one is (race.h). */
#ifndef DISCOVERY_INSIDE_H
#define DISCOVERY_INSIDE_H

#include "discovery/merge.h"
#include "discovery/race.h"
#include "discovery/rd.h"
#include "discovery/summaries.h"

/* All of a question, and when a copy counts as silent, whatever the budget. */
#define RD_QUESTION_US 8000000
#define RD_TRY_US 2000000

#define RD_AVOID_MAX 64

struct search;
struct get;

struct rd {
    struct rd_index index;
    struct xn_rng *rng;
    struct xn_tickets *tickets;
    struct rd_summaries *summaries;
    struct race_budget budget;
    struct rd_stats stats;
    struct search *searches;
    struct get *gets;
    size_t n_under_way; /* searches and gets that somebody waits for */
};

struct rd_asking {
    struct rd *rd;
    struct xn_msg *find; /* what each copy is asked */
    struct race race;
    uint64_t deadline_us;
    uint32_t pending;
    uint64_t timer; /* when the next one is due; 0: none */
    xn_id avoid[RD_AVOID_MAX];
    size_t n_avoid;
};

const Xn__Find *rd_asked(const struct rd_asking *asking);
/* XN_EINVAL. */
int rd_asking_avoid(struct rd_asking *asking, size_t n,
                    const ProtobufCBinaryData *ids);
/* `find` is set.  within_ms as of Search, nearest and wait_us as of struct race. */
void rd_asking_begin(struct rd_asking *asking, const struct xn_now *now,
                     uint32_t within_ms, bool nearest, uint64_t wait_us);
/* Another copy to ask, and time for it? */
bool rd_asking_more(const struct rd_asking *asking, const struct xn_now *now);
/* Ask the next copy.  The answer may come within.  `due` (NULL: none) is called
 * with ctx when it is time for one more. */
void rd_asking_next(struct rd_asking *asking, const struct xn_now *now,
                    rd_found *fn, xn_ended *due, void *ctx, struct xn_out *out);
/* It is: ask it?  If not, `due` may be called again later. */
bool rd_asking_due(struct rd_asking *asking, const struct xn_now *now,
                   xn_ended *due, void *ctx, struct xn_out *out);
/* It is answered: nobody else is asked, and what is under way is forgotten. */
void rd_asking_enough(struct rd_asking *asking, const void *ctx);
/* An answer's rc: whether it is one, from somebody not avoided. */
int rd_asking_judge(const struct rd_asking *asking, int rc,
                    const struct xn_msg *found, const xn_id *from);
void rd_asking_clear(struct rd_asking *asking);

/* get.c */
void rd_gets_cancel(struct rd *rd, uint64_t ticket);
void rd_gets_free(struct rd *rd);

/* Why a request was refused. */
void rd_refuse(uint64_t ticket, int rc, struct xn_out *out);

#endif
