/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One scenario under many seeds, each in a process of its own, so many at a
 * time.  What becomes of a seed does not depend on the others. */
#ifndef SIM_CAMPAIGN_H
#define SIM_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

enum { SIM_SEEDS_MAX = 1000000, SIM_JOBS_MAX = 1024 };

struct sim_campaign {
    const char *program;
    uint64_t first;  /* seed */
    uint32_t seeds;  /* so many from there on */
    uint32_t jobs;   /* at a time */
    bool keep_going; /* after a seed that failed */
    void *user;
    /* In the seed's process: what it prints is the summary, its exit code what
     * is returned.  0: all held; XN_EXIT_USAGE: no seed can be run. */
    int (*run)(void *user, uint64_t seed);
    /* The command that repeats it; the caller's to free; NULL: no memory. */
    char *(*command)(void *user, uint64_t seed);
};

/* An exit code: 0, all seeds held; XN_EXIT_FAILED, one did not: the command
 * that repeats it is a line of stdout, why stands on stderr. */
int sim_campaign(const struct sim_campaign *campaign);

#endif
