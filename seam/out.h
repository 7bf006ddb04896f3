/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The outbox builder: how cores emit actions.
 *
 * Actions gather in a growing array that lives in the core.  An allocation
 * that fails sticks in out->rc, and the core returns it from its step.
 */
#ifndef SEAM_OUT_H
#define SEAM_OUT_H

#include "seam/xn_core.h"
#include "wire/reason.h"

struct xn_out {
    struct xn_action *act;
    size_t n;
    size_t cap;
    int rc;
};

void xn_out_init(struct xn_out *out);
void xn_out_reset(struct xn_out *out); /* at the start of each step */
void xn_out_clear(struct xn_out *out);
/* What the step hands to the driver. */
struct xn_outbox xn_out_box(const struct xn_out *out, uint64_t wake_us);

/* Take over one reference to `msg`, which may be NULL. */
void xn_out_add(struct xn_out *out, enum xn_act kind, uint64_t ticket,
                xn_peer peer, struct xn_msg *msg);

/* Builds the message from a body and adds the action. */
void xn_out_emit(struct xn_out *out, enum xn_act kind, uint64_t ticket,
                 xn_peer peer, unsigned msg_kind, const void *body);

void xn_out_send(struct xn_out *out, xn_peer peer, unsigned msg_kind,
                 const void *body);
void xn_out_hang(struct xn_out *out, xn_peer peer, int rc, const char *text);
/* Answer a request with a protobuf body. */
/* What the driver knows more of than the core, it adds: to a NodePeers answered
 * under this type the bytes of each link. */
#define XN_PEERS_TYPE "application/x-protobuf; message=NodePeers"
void xn_out_answer(struct xn_out *out, uint64_t ticket, int status,
                   const void *body);
/* Answer with a Refusal; the HTTP status follows from rc. */
void xn_out_refuse(struct xn_out *out, uint64_t ticket, int rc,
                   const char *what, const char *because, const char *try);
/* XN_EBUSY, and when to ask again; the driver says so, too. */
void xn_out_refuse_until(struct xn_out *out, uint64_t ticket, const char *what,
                         const char *because, uint64_t wait_us);
/* The same about a document of money. */
void xn_out_refuse_why(struct xn_out *out, uint64_t ticket, const char *what,
                       const struct money_refusal *why);
/* level: enum xn_log_level. */
void xn_out_log(struct xn_out *out, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
