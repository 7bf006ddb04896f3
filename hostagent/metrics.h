/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server counts. */
#ifndef HOSTAGENT_METRICS_H
#define HOSTAGENT_METRICS_H

#include "hostagent/state.h"

/* GET /metrics, for the operator. */
void host_metrics(struct host *host, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);
/* There is a receipt for so much more, in millionths. */
void host_count_charge(struct host *host, const char *currency, int64_t micro);

#endif
