/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Task managers: what a session runs in, as a table of functions.  The core
 * decides when; a manager does it, by actions whose ends it turns into the
 * calls below.  Each may be called again for a session after a restart, and
 * then finds what is there already. */
#ifndef HOSTAGENT_MANAGER_H
#define HOSTAGENT_MANAGER_H

#include "hostagent/session.h"

struct host_manager {
    const char *name;
    /* What a claim says the usage was for, up to the last reading. */
    void (*activity)(const struct host_session *s, char out[XN_VALUE_MAX + 1]);
    /* Which CPU time its meter tells, now. */
    enum money_metering (*metering)(const struct host *host);
    /* Begin it, or find the one that runs; ends with session_started. */
    void (*start)(struct host_session *s, const struct xn_now *now);
    /* Stand still, go on: nothing waits for these. */
    void (*pause)(struct host_session *s, const struct xn_now *now);
    void (*resume)(struct host_session *s, const struct xn_now *now);
    /* End it for good; ends with session_ended. */
    void (*end)(struct host_session *s, const struct xn_now *now);
    /* Read the meter; ends with session_metered. */
    void (*meter)(struct host_session *s, const struct xn_now *now);
};

/* Nothing runs: capacity is reserved and paid for as long as the session
 * lasts.  Its meter is the time, so no answer of it can be lost. */
extern const struct host_manager host_manager_reserve;
/* Tasks run through xenodomd, one at a time in a session (task.h); its meter is
 * the tasks' own where that is exact. */
extern const struct host_manager host_manager_sandbox;
/* The same, each task in a domain of Xen's; the hypervisor's meter is exact. */
extern const struct host_manager host_manager_xen;

/* ---- what a manager calls: life.c ---- */

void session_started(struct host_session *s, const struct xn_now *now);
/* It cannot begin: who waits is refused, and it ends. */
void session_failed(struct host_session *s, const struct xn_now *now, int rc,
                    const char *because);
/* Its machine is lost, or this server's no more: it ends. */
void session_strand(struct host_session *s, const struct xn_now *now);
/* All that time makes: hours, memory and disk, from the last reading up to
 * wall_us; the CPU time too where `cpu`.  Returns up to when. */
uint64_t session_reserved(const struct host_session *s, uint64_t wall_us,
                          bool cpu, struct price_usage *usage);
/* Would that cost all that the order has, or allows until then?  NULL: no. */
const char *session_spends_all(const struct host_session *s,
                               const struct price_usage *usage,
                               uint64_t till_us);
/* With the meter's last word; it stands from s->ended_us at the latest. */
void session_ended(struct host_session *s, const struct xn_now *now,
                   const struct price_usage *usage, uint64_t till_us);
/* Everything used since the session began, as read at till_us (wall). */
void session_metered(struct host_session *s, const struct xn_now *now,
                     const struct price_usage *usage, uint64_t till_us);

#endif
