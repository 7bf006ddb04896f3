/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Malicious nodes: a share of all, that know each other.
 *
 * They run the node's code, so that they are linked and known like any other,
 * and answer what is asked of them in their own way:
 *
 *   drop      acknowledge it, and nothing more
 *   misroute  hand it to one of them far away, which answers as if it owned the
 *             key; name nodes that are nowhere near
 *   lie       answer as if they owned the key; name those of them nearest to it,
 *             then honest ones from behind these, so that nothing looks sparse,
 *             and some that do not exist
 *   eclipse   the same, but name nobody else than themselves, ever, and as the
 *             nearest in time to whoever asks for such
 *   flood     drop, and ask others for more than they can do
 *   mixed     each one of the first four
 *
 * They place their ids as well as the rules allow: a position is drawn by the
 * corp for a key that it has seen, so all they can do is to have more
 * certificates made than they use, and to keep of so many `draws` the one that
 * is nearest to any of the victims, keys that they are after.
 */
#ifndef SIM_MALICE_H
#define SIM_MALICE_H

#include "sim/run.h"

#define MALICE_VICTIMS 64U

/* XN_ENOENT: no such setting; XN_EINVAL. */
int sim_malice_set(struct sim_malice_config *config, const char *key,
                   const char *value);
extern const char *const sim_malice_settings[]; /* names, NULL at the end */

/* Before anything starts: who it is, and where they stand.  XN_ENOMEM. */
int sim_malice_new(struct sim_run *run);
void sim_malice_free(struct sim_run *run);
bool sim_malice_is(const struct sim_run *run, uint32_t node);
/* The key that they are after, by number below MALICE_VICTIMS. */
void sim_malice_victim(const struct sim_run *run, uint32_t number,
                       xn_id *key_out);

/* A message comes to a node; true: it was dealt with, it is not its core's. */
bool sim_malice_meets(struct sim_run *run, uint32_t node, uint32_t from,
                      const struct xn_msg *msg);
/* They flood for a tenth of a second. */
void sim_malice_tick(struct sim_run *run);

#endif
