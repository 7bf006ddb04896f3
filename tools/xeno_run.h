/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno run, in the order in which it happens: search, quotes, order, session.
 *
 *     xeno_run.c         the verb: options, console, end
 *     xeno_run_find.c    candidates, as xenofind finds them, and their quotes
 *     xeno_run_buy.c     from the cheapest quote to a session, or the next one
 *     xeno_run_record.c  what is kept, so that nothing is paid twice
 */
#ifndef TOOLS_XENO_RUN_H
#define TOOLS_XENO_RUN_H

#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"
#include "wire/client.pb-c.h"

#define RUN_WORDS_MAX 64
#define RUN_CANDIDATES_MAX 24
#define RUN_AMOUNTS 5
#define RUN_KINDS 3

struct run_wish { /* as the command line says it */
    const char *words[RUN_WORDS_MAX];
    size_t n_words;
    const char *where, *max, *life;
    int64_t max_micro;
    char currency[MONEY_CURRENCY_SIZE];
    uint64_t life_us;
    bool keep;
};

/* What the quote is asked for: amounts, 0: any, and what the tasks run in, "":
 * in anything. */
struct run_wanted {
    xn_dec amount[RUN_AMOUNTS];
    char kind[RUN_KINDS][64];
};

struct run_candidate {
    char url[XENO_URL_MAX]; /* URL#ID */
    char name[XN_NAME_MAX];
    char server_name[XENO_SERVER_NAME_MAX];
    xn_id corp;
    xn_dec total; /* by the advertisement */
    bool asked;
    /* an offer, where quoted.paper.data is not NULL */
    struct xeno_quoted quoted;
    int64_t cost; /* of the whole time, by the quote */
};

struct run {
    const struct xeno *xeno;
    struct run_wish wish;
    const struct xeno_work *work;
    struct xeno_deed *deed;
    struct run_wanted wanted;
    struct xn_buf requirements; /* the same, XML */
    struct xeno_member members[XENO_CORPS_MAX];
    size_t n_members;
    struct run_candidate candidates[RUN_CANDIDATES_MAX];
    size_t n;
    struct xeno_why why; /* the last refusal, and by whom */
    char by[XN_NAME_MAX];
    size_t refused;
    int64_t least; /* cost of those that were too dear */
    /* ---- what was bought ---- */
    struct xeno_signals signals; /* held once an order may be under way */
    int lock;
    char path[NET_PATH_MAX], lock_path[NET_PATH_MAX + 8];
    Xn__RunRecord *record;     /* NULL: nothing is under way */
    struct xeno_member server; /* nothing of it to clear */
    char name[XN_NAME_MAX];
    int64_t cost;
    xn_id session, serial;
};

static const char run_cannot[] = "cannot run the task";

const struct xeno_member *run_member(const struct run *run, const xn_id *corp);

/* ---- xeno_run_find.c ---- */

/* An exit code; errors are told. */
int run_find(struct run *run, const char *config);
/* Quotes of the best that were not asked yet, until some are there or nobody is
 * left; the cheapest that the wish allows, or NULL: run->why says why. */
struct run_candidate *run_cheapest(struct run *run);
void run_candidate_clear(struct run_candidate *candidate);
/* The token of which the quote has less than was wanted; NULL: it has all. */
const char *run_falls_short(const struct run_wanted *wanted,
                            const struct xeno_quoted *quoted);
/* The price of using all that the quote allows for so long; XN_EOVERFLOW. */
int run_cost(const struct money_quote *quote, uint64_t us, int64_t *micro_out);

/* ---- xeno_run_buy.c ---- */

/* Until a session has begun: run->server, session, serial.  An exit code,
 * errors are told. */
int run_buy(struct run *run);
/* Goes on with what the record says.  An exit code; -1: there is nothing to go on
 * with, and nothing left of it. */
int run_again(struct run *run);

/* ---- xeno_run_record.c ---- */

/* A place of its own for this command, and what was kept there.  An exit code.
 * The same command twice at once has two places. */
int run_record_open(struct run *run, bool afresh);
/* As it is now: durable.  An exit code. */
int run_record_put(struct run *run);
/* Nothing is under way any more. */
void run_record_drop(struct run *run);
void run_record_close(struct run *run);

#endif
