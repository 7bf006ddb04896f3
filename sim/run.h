/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One run: a scenario carried out on a world, watched by the market (ads and
 * queries), the lookups and the checkers, and told in a summary.
 *
 * What the run wants from cores beyond the seam comes through struct
 * sim_probe, so that only one file knows which core is run.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdio.h>

#include "lib/trace.h"
#include "sim/graph.h"
#include "sim/hist.h"
#include "sim/scenario.h"
#include "sim/world.h"

#define SIM_LOOKUP_US 10000000ULL /* a lookup ends by then, somehow */

struct sim_run;
struct sim_market;
struct sim_gets;
struct sim_malice;
struct sim_reach;

/* How a lookup ended; `from` is zero where nobody answered. */
typedef void sim_looked_up(struct sim_run *run, uint64_t number, int rc,
                           const xn_id *from, uint32_t hops);

/* Functions may be NULL: such cores have no such thing. */
struct sim_probe {
    void *user;
    /* A setting of the core.  XN_ENOENT: unknown key; XN_EINVAL: the value;
     * names_out (may be NULL) gets the known keys, NULL-terminated. */
    int (*set)(void *user, const char *key, const char *value);
    const char *const *(*settings)(void *user);
    /* Ask this copy of `key` (0: the owner), from this node; `done` is called
     * once, unless the node dies before. */
    int (*lookup)(void *user, struct sim_run *run, uint32_t node,
                  const xn_id *key, uint32_t copy, uint64_t number,
                  sim_looked_up *done);
    /* How large its tables are: links_max and leaves. */
    void (*shape)(void *user, struct sim_graph_config *graph);
    /* Whom does this node take for the key's owner? */
    bool (*owner)(void *user, uint32_t node, struct xn_core *core,
                  const xn_id *key, uint32_t *owner_out);
    /* Does this node take part, so that it would answer as an owner? */
    bool (*member)(void *user, struct xn_core *core, const struct xn_now *now);
    /* Does it take itself to be linked to everybody?  NULL: all do. */
    bool (*knows_all)(void *user, struct xn_core *core,
                      const struct xn_now *now);
    /* Its leaf set, clockwise then counter-clockwise, nearest first. */
    size_t (*leaves)(void *user, struct xn_core *core, uint32_t *out);
    /* Does it hold this version of the server's ad? */
    bool (*holds)(void *user, struct xn_core *core, const xn_id *server,
                  uint64_t version, const struct xn_now *now);
    /* And would it with what its disk has now? */
    bool (*keeps)(void *user, struct xn_core *core, const xn_id *server,
                  uint64_t version, const struct xn_now *then);
    /* On how many nodes an ad is, at least, once it had time to get there. */
    uint32_t (*copies)(void *user);
    bool (*settled)(void *user, struct xn_core *core);
    /* Requests that it sent since it started because somebody searched. */
    uint64_t (*sent)(void *user, struct xn_core *core);
    /* Actions and timers under way. */
    size_t (*waits)(void *user, const struct xn_core *core);
    void (*clear)(void *user); /* forget lookups under way */
};

struct sim_run_options {
    const char *program;
    const char *command; /* that repeats this run */
    const struct scn *scn;
    uint32_t nodes; /* beats the scenario's; 0: not given */
    uint64_t seed;
    bool wire;
    bool verbose;        /* tell the cores' LOG lines on stderr */
    const char *latency; /* file; NULL: the scenario's */
    const char *out;     /* folder; NULL: none */
    struct sim_maker maker;
    struct sim_probe probe;
};

enum { SIM_WHYS = 20, SIM_WHY_LEN = 240, SIM_LEAVES_MAX = 128 };

struct sim_tally {
    struct sim_hist find, get, lookup, hops, rtt;
    uint64_t find_count, find_wrong, find_missed, find_failed, find_hits;
    uint64_t get_count, get_wrong, get_missed, get_failed;
    struct sim_hist get_slow, get_limit;   /* slow askers; the nearest copy */
    uint64_t gets, gets_slow, get_unasked; /* by id: fast askers, slow ones */
    uint64_t lookup_count, lookup_wrong, lookup_failed, lookup_lost;
    uint64_t lookup_unknown, lookup_settled, lookup_settled_wrong;
    uint64_t lookup_right;
    uint64_t lookup_took_us, lookup_direct_us; /* sums: all the way, directly */
    struct sim_hist reach; /* until all of one key had answered */
    uint64_t reach_count, reach_all, reach_copies, reach_missed;
    uint64_t reach_victims, reach_victims_all;
    uint64_t publish_count, publish_failed;
    uint64_t checks, checks_settled, checked_cores, checked_keys, checked_ads;
    uint64_t checked_leaves, checked_disks, ads_gone, waits_max;
    uint64_t violations;
    char whys[SIM_WHYS][SIM_WHY_LEN]; /* the first ones */
    /* All; of it, before converged nodes stood; while lookups were under way.
     */
    double cpu_s, built_cpu_s, lookup_cpu_s;
    uint64_t rss_bytes, empty_rss_bytes;
};

/* sim/malice.h */
struct sim_malice_config {
    uint32_t percent, draws;
    uint32_t how;
};

struct sim_run {
    const struct sim_run_options *options;
    const struct scn *scn;
    struct sim_world *world;
    struct sim_latency *latency;
    struct sim_market *market;
    struct sim_tally tally;
    uint64_t seed;
    uint64_t draws; /* of the run itself */
    /* What goes on now, as the scenario's steps left it. */
    struct scn_step churn, query, lookup, check, get, reach;
    bool churning, querying, looking, checking, lookup_timed, getting;
    bool reaching;
    uint32_t query_epoch, lookup_epoch, check_epoch, churn_epoch, get_epoch;
    uint32_t reach_epoch;
    uint64_t lookups; /* numbers given out */
    FILE *series;     /* DIR/series.csv */
    uint64_t sampled_messages, sampled_bytes;
    struct sim_gets *gets;
    struct sim_malice_config malice_config;
    struct sim_malice *malice;      /* NULL: nobody is */
    struct sim_reach *reach_rows;   /* under way, by number */
    struct sim_spent reach_before;  /* when the first was asked */
    struct sim_lookup *lookup_rows; /* under way, by number */
    uint32_t *by_position;          /* all nodes */
    uint32_t *heads;                /* of their positions, in this order */
    struct xn_trace trace;          /* of churn; empty: not read */
    size_t trace_at;                /* its next change */
    uint64_t trace_begun_us;        /* when it began to be followed */
};

/* 0: done, all checks held; XN_EINTEGRITY: a checker found something, or a core
 * broke a rule; others: could not be run.  Errors and the summary are told. */
int sim_run(const struct sim_run_options *options);

/* ---- for the parts of a run ---- */

enum sim_control { /* high byte of a control number */
                   SIM_CTL_STEP = 1,
                   SIM_CTL_QUERY,
                   SIM_CTL_LOOKUP,
                   SIM_CTL_CHECK,
                   SIM_CTL_SAMPLE,
                   SIM_CTL_PUBLISH,
                   SIM_CTL_MARKET,
                   SIM_CTL_ASK_LATE,
                   SIM_CTL_CRASH,
                   SIM_CTL_RESTART,
                   SIM_CTL_CHURN,
                   SIM_CTL_SURVEY,
                   SIM_CTL_GET,
                   SIM_CTL_DISK,
                   SIM_CTL_REACH,
                   SIM_CTL_MALICE,
};
#define SIM_CTL(kind, n) ((uint64_t)(kind) << 56 | (n))
#define SIM_CTL_KIND(what) ((enum sim_control)((what) >> 56))
#define SIM_CTL_N(what) ((what)&0xffffffffffffffULL)

uint64_t sim_run_draw(struct sim_run *run);
/* A running node, or UINT32_MAX after many tries. */
uint32_t sim_run_some_node(struct sim_run *run);
/* At that time nothing had disturbed the world for the scenario's settle time.
 * Now: the same of each part of a world that may be parted. */
bool sim_run_settled(const struct sim_run *run, uint64_t at_us);
bool sim_run_calm(const struct sim_run *run);
__attribute__((format(printf, 2, 3))) void sim_run_violation(
    struct sim_run *run, const char *fmt, ...);
/* The running node nearest to the key of those that `from` could reach, with
 * `members` of those that would answer for themselves; UINT32_MAX: none. */
uint32_t sim_run_owner(const struct sim_run *run, uint32_t from,
                       const xn_id *key, bool members);

/* Of who answered over others the first bytes are told (ov.h): is it that node? */
bool sim_run_is(const struct sim_run *run, const xn_id *from, uint32_t node);

/* The running nodes next to this one on the ring, nearest first, of those that
 * it could reach; how many. */
size_t sim_run_beside(const struct sim_run *run, uint32_t node, bool up,
                      uint32_t *out, size_t most);

/* The running nodes nearest to the key, nearest first; how many. */
size_t sim_run_copies(const struct sim_run *run, const xn_id *key, size_t most,
                      uint32_t *out);

/* CPU seconds of this process so far. */
double sim_run_cpu_s(void);

/* owner.c */
int sim_owner_start(struct sim_run *run);

/* churn.c */
int sim_churn_begin(struct sim_run *run, const struct scn_step *step);
void sim_churn_event(struct sim_run *run, uint64_t what);
void sim_churn_changed(struct sim_run *run, uint32_t node, bool runs);
void sim_churn_clear(struct sim_run *run);

/* lookup.c */
void sim_lookup_tick(struct sim_run *run);
/* Lookups begin, or may be over: keeps their CPU time. */
void sim_lookup_clock(struct sim_run *run);
/* Has one not ended? */
void sim_lookup_check(struct sim_run *run);
void sim_lookup_clear(struct sim_run *run);

/* check.c */
void sim_check_tick(struct sim_run *run, bool now);

/* report.c */
int sim_report_open(struct sim_run *run);
void sim_report_sample(struct sim_run *run);
int sim_report_end(struct sim_run *run);

#endif
