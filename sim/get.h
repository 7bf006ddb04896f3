/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gets: one ad by its id, at a random node, while the network is as it is.
 *
 * What is measured is what a node does about copies whose slowness it does not
 * know.  So a fast asker is one that is no copy itself and never before asked
 * for anything of which one of the slow copies was a copy.  Slow ones are
 * counted apart. */
#ifndef SIM_GET_H
#define SIM_GET_H

#include "sim/run.h"

int sim_gets_new(struct sim_run *run);
void sim_gets_free(struct sim_run *run);
/* Gets begin: what nodes have asked before does not count. */
void sim_gets_begin(struct sim_run *run);
void sim_get_tick(struct sim_run *run);
/* What they took, so far. */
struct sim_gets_sent {
    uint64_t fast, slow; /* requests by askers of each kind */
};
void sim_gets_sent(const struct sim_run *run, struct sim_gets_sent *sent_out);

#endif
