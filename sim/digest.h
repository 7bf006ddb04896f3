/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The digest of a run: SHA-256 over every event given to a core, in order:
 * time, node, kind, peer, result and the bytes of its message.  Two runs that
 * end with the same digest did the same. */
#ifndef SIM_DIGEST_H
#define SIM_DIGEST_H

#include "seam/xn_core.h"
#include "wire/id.h"

struct sim_digest;

int sim_digest_new(struct sim_digest **digest_out);
void sim_digest_free(struct sim_digest *digest);
void sim_digest_add(struct sim_digest *digest, uint64_t at_us, uint32_t node,
                    const struct xn_event *event);
/* Of all so far; more may follow. */
void sim_digest_now(struct sim_digest *digest, xn_id *out);

#endif
