/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocking HTTPS requests for command-line programs. */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <time.h>

#include "lib/buf.h"
#include "net/identity.h"

struct net_reply {
    int status;
    struct xn_buf body;
    struct xn_cert server; /* who answered; its corp is one of the anchors */
    unsigned retry_s;      /* it asks for so long a wait; 0: it does not */
    time_t date; /* by its clock, in whole seconds; below 1: unknown */
    bool sent;   /* even without an answer: the peer may have got the request */
};

/* identity's anchors decide whom we talk to; its certificate is shown.  peer
 * may be NULL: any certified one.  0 whatever the status; XN_EUNREACH,
 * XN_ETIMEOUT, XN_EIDENT; why_out gets a line. */
int net_request(const struct net_identity *identity, const char *method,
                const char *url, const void *body, size_t len,
                const xn_id *peer, unsigned timeout_ms,
                struct net_reply *reply_out, char *why_out, size_t why_len);
/* The same; of who has not proved its identity within meet_ms (0: timeout_ms)
 * nothing more is awaited: XN_ETIMEOUT, and reply_out->sent is false. */
int net_request_met(const struct net_identity *identity, const char *method,
                    const char *url, const void *body, size_t len,
                    const xn_id *peer, unsigned meet_ms, unsigned timeout_ms,
                    struct net_reply *reply_out, char *why_out, size_t why_len);
/* The same where the peer's id alone is the proof, since no corp is accepted
 * yet: to meet a corp for the first time. */
int net_request_pinned(const struct net_identity *identity, const char *method,
                       const char *url, const void *body, size_t len,
                       const xn_id *peer, unsigned timeout_ms,
                       struct net_reply *reply_out, char *why_out,
                       size_t why_len);
void net_reply_clear(struct net_reply *reply);

/* What a transfer that libcurl has ended (with a CURLcode) came to; the
 * transfer stays the caller's. */
struct net_transfer;
int net_reply_take(struct net_transfer *transfer, int code, const char *url,
                   struct net_reply *reply_out, char *why_out, size_t why_len);

#endif
