/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Servers that advertise and clients that search, with the truth kept beside:
 * what the index answers is compared with a filter over all live ads.
 *
 * Server n lives on node n's machine: it publishes through that node, renews
 * its lease, and publishes again after a crash, as the host agent does.
 */
#ifndef SIM_MARKET_H
#define SIM_MARKET_H

#include "sim/run.h"

#define MARKET_LEASE_US (15 * 60 * 1000000ULL)
#define MARKET_RENEW_US (5 * 60 * 1000000ULL)
#define MARKET_RETRY_US 4000000ULL
#define MARKET_ANSWER_US 30000000ULL  /* no answer in that time: failed */
#define MARKET_OVERLAP_US 30000000ULL /* an old version may show so long */

struct sim_market;

int market_new(struct sim_run *run, struct sim_market **market_out);
void market_free(struct sim_market *market);

/* The node's server begins to advertise, writes a new version, withdraws; at
 * that time, if its node runs then. */
enum market_deed { MARKET_DO_ADVERTISE, MARKET_DO_REWRITE, MARKET_DO_WITHDRAW };
void market_plan(struct sim_market *market, enum market_deed deed,
                 uint32_t node, uint64_t at_us);
void market_do(struct sim_market *market, uint64_t n);
bool market_has(const struct sim_market *market, uint32_t node);
/* The node's process is about to end, and the disk may be lost with it. */
void market_ending(struct sim_market *market, uint32_t node, bool wiped);
/* A node that came back has read its disk: has it all that it had? */
void market_disk(struct sim_market *market, uint64_t node);
/* The node's process began or ended. */
void market_started(struct sim_market *market, uint32_t node);
void market_died(struct sim_market *market, uint32_t node);

/* Ask a random query at a random node. */
void market_query(struct sim_market *market);
/* Ask for the ads that should be findable, `most` of them, going round. */
size_t market_get(struct sim_market *market, size_t most, bool strict);
/* One whose ad must be findable now, at random; UINT32_MAX: none. */
uint32_t market_some(struct sim_market *market);
const xn_id *market_server_id(const struct sim_market *market, uint32_t server);
/* Ask this node for its ad by its id. */
int market_get_by_id(struct sim_market *market, uint32_t node, uint32_t server);
/* Nodes are about to die together: who holds the ads?  XN_ENOMEM. */
int market_crash(struct sim_market *market);
/* They have: whose ad went with the last that held it? */
void market_survey(struct sim_market *market);
size_t market_live(const struct sim_market *market);
size_t market_asking(const struct sim_market *market);

/* From the world. */
void market_answered(struct sim_market *market, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer);
void market_late(struct sim_market *market, uint64_t ticket);
void market_publish_due(struct sim_market *market, uint64_t n);

#endif
