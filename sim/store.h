/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's store in memory: what its disk would keep over a crash.  Records in
 * order of key, by bytes. */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "wire/msg.h"

struct sim_store;

void sim_store_free(struct sim_store *store);
/* Creates *store when the first record comes.  0, XN_ECONFLICT: a guard does
 * not hold, nothing changed; XN_ENOMEM. */
int sim_store_txn(struct sim_store **store, const Xn__Txn *txn);
/* A RECORDS message; `store` may be NULL. */
int sim_store_read(const struct sim_store *store, const Xn__Read *read,
                   struct xn_msg **records_out);

#endif
