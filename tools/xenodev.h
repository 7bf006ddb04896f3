/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of xenodev share, beside the platform itself (tools/dev.h):
 *
 *     xenodev.c         the command line
 *     xenodev_up.c      laying a platform out
 *     xenodev_run.c     its processes: down, kill, start
 *     xenodev_show.c    env, status
 *
 * Functions return 0 or a code of lib/err.h, which has been told. */
#ifndef TOOLS_XENODEV_H
#define TOOLS_XENODEV_H

#include "tools/dev.h"

struct xenodev_options {
    unsigned servers;
    uint64_t ads;
    uint64_t seed;
    const char *catalogue;
    const char *latency;
    const char *currency;
    const char *state;
    const char *lease;
    const char *manager;
    const char *images;
    const char *sets[64];
    size_t n_sets;
    const char *programs[DEV_SERVERS_MAX + 1]; /* by number */
    bool keep;
};

int xenodev_up(struct dev_platform *platform,
               const struct xenodev_options *opt);
/* Ports of these servers, as they were. */
int xenodev_take_again(struct dev_platform *platform, const unsigned *numbers,
                       size_t n);

bool xenodev_is_up(struct dev_platform *platform);
void xenodev_stop_all(struct dev_platform *platform);
int xenodev_down(struct dev_platform *platform,
                 const struct xenodev_options *opt);
/* kill -9 of these servers' programs, and their tasks. */
int xenodev_kill(struct dev_platform *platform, const unsigned *numbers,
                 size_t n);
int xenodev_start(struct dev_platform *platform, const unsigned *numbers,
                  size_t n);

void xenodev_env(const struct dev_platform *platform);
int xenodev_status(struct dev_platform *platform);

#endif
