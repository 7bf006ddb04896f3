/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a question reach whom it is for?  An honest node asks for every copy of a
 * key, owner included; it is well where each of these nodes that runs and is
 * honest has answered.  Where there are victims (sim/malice.h) half of the keys
 * are theirs, and counted apart too.  Nothing may start or die meanwhile. */
#ifndef SIM_REACH_H
#define SIM_REACH_H

#include "sim/run.h"

void sim_reach_tick(struct sim_run *run);
void sim_reach_clear(struct sim_run *run);
/* Messages of those questions and their searches so far, whoever said them. */
uint64_t sim_reach_messages(const struct sim_run *run);
/* The same and the links opened and closed, as bytes on the wire. */
uint64_t sim_reach_bytes(const struct sim_run *run);

#endif
