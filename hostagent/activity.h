/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The audit trail (the paper, II-A.4, II-B.1(5)): before a claim is made, whom
 * the session's tasks talked to is asked for; what there is becomes a note, whose
 * hash stands in the claim and which is stored with it, before it is sent.
 *
 *   claim: AskCarried, DOM_FLOWS -> the note -> SIGN -> TXN: claim and note
 *
 * A sandbox has no network: of it there are the connections that this server
 * carried.  Notes are kept for config.activity_us, and no more than
 * config.notes_max, of config.notes_bytes: the oldest go first. */
#ifndef HOSTAGENT_ACTIVITY_H
#define HOSTAGENT_ACTIVITY_H

#include "hostagent/session.h"
#include "wire/flows.h"

/* ---- activity.c ---- */

/* Asks for what is not known yet, where there may be something, then `next`. */
void activity_gather(struct host_session *s, const struct xn_now *now,
                     session_next *next);
/* A flow of its tasks that ended, or grew. */
void activity_add(struct host_session *s, const struct flow *flow);
/* A note of what was gathered, and its hash in the claim that is to be signed;
 * nothing where there is nothing to tell.  XN_ENOMEM. */
int activity_bind(struct host_session *s, const struct xn_now *now,
                  struct money *claim);
/* The claim is signed. */
void activity_signed(struct host_session *s, const struct xn_now *now);
/* The note is in the store, if it was to go there. */
void activity_stored(struct host_session *s);
/* The claim has its receipt.  Until then another may be made in its place, whose
 * note takes that of its note. */
void activity_taken(struct host_session *s);
void activity_clear(struct host_session *s);

/* ---- activity_kept.c: in the store ---- */

#define ACTIVITY_KEY (1 + XN_ID_SIZE + 8 + 8)
#define ACTIVITY_WRITES 3
struct activity_writes {
    uint8_t note_key[ACTIVITY_KEY], age_key[ACTIVITY_KEY];
    Xn__Write writes[ACTIVITY_WRITES];
};
/* Those of a signed claim's note; their values are the caller's (free).
 * XN_ENOMEM. */
int activity_put(const struct host_session *s, struct activity_writes *room);
/* From now on what is too old is dropped. */
void activity_watch(struct host *host, const struct xn_now *now);
bool activity_is_old(const struct host *host, const struct xn_now *now,
                     uint64_t note_us);

/* ---- activity_tell.c: who asks ---- */

#define ACTIVITY_ASKS_MAX 16
void host_activity(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
void activity_cancel(struct host *host, uint64_t ask);
void activity_asks_clear(struct host *host);

#endif
