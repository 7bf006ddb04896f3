/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recordings of a core's run: written by net/ (--record), played back by
 * `xenosim replay`.
 *
 * A file is a sequence of records: a head of 16 bytes, then protobuf, first one
 * Recording, then one LoggedEvent per step.  The head is the length (4 bytes,
 * big endian), the first 4 bytes of the length's SHA-256 and the first 8 of the
 * body's: a changed byte is noticed even where no action shows it, and is told
 * from a cut-off last record, where the recorder was killed: that ends the
 * file.
 */
#ifndef SEAM_RECORD_H
#define SEAM_RECORD_H

#include "lib/buf.h"
#include "seam/peers.h"
#include "seam/xn_core.h"

#define XN_RECORD_MAX (XN_LOCAL_MAX + 1024) /* bytes of one record */

/* SHA-256 over the step's actions in order: each one's kind, ticket, peer and
 * message. */
void xn_record_digest(const struct xn_outbox *box, xn_id *digest_out);

/* Append one record to `out`. */
int xn_record_head(const Xn__Recording *head, struct xn_buf *out);
int xn_record_step(const struct xn_now *now, const struct xn_event *ev,
                   const xn_id *digest, struct xn_buf *out);

/* A recording in memory, read from front to back. */
struct xn_replay {
    const uint8_t *data;
    size_t len;
    size_t at;
};

/* The head; freed with xn__recording__free_unpacked.  XN_EPROTO: not a
 * recording, or one whose head was changed. */
int xn_replay_head(struct xn_replay *replay, Xn__Recording **head_out);
/* The next step.  ev_out->msg is the caller's (xn_msg_free).  XN_ENOENT: the
 * end; XN_EINTEGRITY: changed since it was written; XN_EPROTO: not a recording.
 */
int xn_replay_next(struct xn_replay *replay, struct xn_now *now_out,
                   struct xn_event *ev_out, xn_id *digest_out);

/* The row of the peers table that an UP fills: what its certificate proved. */
int xn_contact_of(const Xn__Caller *who, struct xn_contact *contact_out);

#endif
