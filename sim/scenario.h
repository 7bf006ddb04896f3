/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scenario language (doc/SCENARIOS.md): what a run consists of, as text.
 * Parsing is pure: bytes in, a list of steps or the place of the first error
 * out. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCN_BYTES_MAX 65536
#define SCN_STEPS_MAX 4096
#define SCN_WORD_MAX 256
#define SCN_SEED 1           /* where none is said */
#define SCN_MILLION 1000000U /* shares are in parts per million */

enum scn_verb {
    SCN_JOIN = 1,
    SCN_CRASH,
    SCN_RESTART,
    SCN_ADVERTISE,
    SCN_REWRITE,
    SCN_WITHDRAW,
    SCN_CHURN,
    SCN_PARTITION,
    SCN_LOSS,
    SCN_JITTER,
    SCN_SLOW,
    SCN_SKEW,
    SCN_QUERY,
    SCN_LOOKUP,
    SCN_GET,
    SCN_CHECK,
    SCN_CONVERGE,
    SCN_BANDWIDTH,
    SCN_CORP,
    SCN_MEASURE,
    SCN_REACH,
};

enum scn_law { SCN_EXP, SCN_PARETO, SCN_WEIBULL, SCN_POISSON, SCN_TRACE };

/* Of nodes: all, so many, or a share. */
struct scn_amount {
    enum { SCN_ALL, SCN_COUNT, SCN_SHARE } form;
    uint64_t n; /* a count, or parts per million */
};

struct scn_step {
    uint64_t at_us;
    enum scn_verb verb;
    uint32_t line;
    struct scn_amount amount; /* join crash restart advertise .. */
    bool off;                 /* churn, query, lookup, check, corp: stop it */
    bool now;                 /* check: once, and settled or not */
    bool power;               /* crash: with its machine */
    bool wiped;               /* crash: and its disk is lost */
    uint32_t ppm;  /* loss jitter slow partition; churn: share with power */
    uint32_t ppm2; /* loss: share of the lost that break the link */
    uint64_t us;   /* over, for, by, every, from; churn: mean session, or
                      median of poisson */
    uint64_t us2;  /* churn: mean downtime */
    enum scn_law law;
    uint32_t shape_milli; /* of pareto and weibull, thousandths */
    uint32_t rate_milli;  /* query, lookup: thousandths per second */
    uint32_t times;       /* slow: delays are so many times as long */
    uint64_t bits;        /* bandwidth: per second; 0: no limit */
};

enum scn_latency { SCN_NO_LATENCY, SCN_UNIFORM, SCN_FILE };

struct scn_set {
    char key[SCN_WORD_MAX];
    char value[SCN_WORD_MAX];
    uint32_t line, column; /* of the key; 0: from the command line */
};

struct scn {
    uint32_t nodes; /* 0: not said */
    uint64_t seed;
    bool has_seed;
    uint64_t run_us; /* 0: not said */
    uint64_t settle_us;
    enum scn_latency latency;
    uint64_t lo_us, hi_us, unit_us;
    uint64_t access_lo_us, access_hi_us; /* 0: no access delay */
    char file[SCN_WORD_MAX];
    struct scn_set *sets;
    size_t n_sets;
    struct scn_step *steps; /* by time, then line */
    size_t n_steps;
};

struct scn_error {
    uint32_t line, column; /* from 1 */
    char text[200];
};

/* XN_EINVAL: see error_out; XN_ETOOBIG; XN_ENOMEM.  scn_free in any case. */
int scn_parse(const char *text, size_t len, struct scn *scn_out,
              struct scn_error *error_out);
/* With this seed, whatever it says itself: what it leaves to the seed is drawn
 * from that. */
int scn_parse_seeded(const char *text, size_t len, uint64_t seed,
                     struct scn *scn_out, struct scn_error *error_out);
void scn_free(struct scn *scn);
/* A setting from the command line, after all of the file. */
int scn_add_set(struct scn *scn, const char *key, const char *value);

/* How many of `of` this is. */
uint64_t scn_amount_of(const struct scn_amount *amount, uint64_t of);

#endif
