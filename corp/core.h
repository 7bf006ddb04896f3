/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the XenoCorp core: its state, and the steps of a registration. */
#ifndef CORP_CORE_H
#define CORP_CORE_H

#include "corp/corp.h"
#include "corp/ledger.h"
#include "corp/nodes.h"
#include "corp/order_file.h"
#include "corp/rates.h"
#include "lib/rng.h"
#include "seam/out.h"
#include "seam/tickets.h"

#define CORP_SAMPLE_MAX 64   /* bound of sample_max */
#define CORP_MEMBERS_MAX 256 /* registrations under way */
#define CORP_RATES_MAX 16384 /* who is not forgotten for asking often */
#define CORP_HELD_MAX 256    /* questions that wait for the store's answer */

struct corp_member; /* a registration under way: member.c */

struct corp_job; /* a question about money under way: job.c */

struct corp_revoked; /* whose certificates were taken back: revoke.c */

struct corp_held {
    uint64_t ask;
    struct xn_msg *msg;
};

struct corp {
    struct xn_core core;
    struct corp_config config; /* its pointers are ours */
    struct xn_rng rng;
    struct xn_tickets *tickets;
    struct xn_out out;
    struct corp_nodes *nodes;
    struct corp_member *members; /* oldest first */
    size_t n_members;
    uint64_t loading; /* ticket of the READ or pause under way; 0: loaded */
    bool nodes_loaded;
    bool loaded; /* all that is wanted from the beginning */
    uint32_t load_failures;
    struct corp_revoked *revoked; /* NULL: it has no key of its own to sign */
    uint8_t load_from[2 + XN_ID_SIZE]; /* right behind the last key read */
    size_t load_from_len;
    struct corp_held held[CORP_HELD_MAX];
    size_t n_held;
    struct ledger *ledger; /* NULL: it keeps none */
    bool ledger_started;
    struct corp_job *jobs; /* oldest first */
    size_t n_jobs;
    struct corp_job *look; /* of jobs: what releases ended orders */
    struct order_key look_from;
    /* By client, by server, by address. */
    struct corp_rates *orders, *claims, *registers, *places;
    struct corp_rates *refusals; /* on record, by server */
    bool flushing;               /* a timer or a TXN of nodes is under way */
};

/* ASK POST /v1/register. */
void corp_register(struct corp *corp, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
/* The asker of this registration went away: finish it, answer nobody. */
void corp_register_cancel(struct corp *corp, uint64_t ask);
/* All that the store knew is read: goes on with what waits for it.  rc: it
 * cannot be read now. */
void corp_loaded(struct corp *corp, const struct xn_now *now, int rc);
/* Drops a registration whose ticket is forgotten: for xn_tickets_free. */
void corp_member_free(struct corp *corp, struct corp_member *member);

#endif
