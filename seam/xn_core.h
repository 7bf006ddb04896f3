/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The seam: what a protocol core is, and all that passes between a core and
 * whoever drives it.
 *
 * A core is a deterministic state machine: same configuration, seed, stored
 * records, events and times, hence the same actions.  Behind this header there
 * is no clock, socket, file, thread or entropy.  Two drivers turn the crank:
 * net/ with sockets and real time, sim/ with virtual time.  The node, the
 * XenoCorp and the host agent are cores of this one kind.
 *
 * Time: mono_us is for timeouts and order, wall_us for dates in documents.
 *
 * Links and peers.  xn_peer is a handle that the driver hands out with UP and
 * takes back after GONE has been handled; xn_peers (seam/peers.h) says who it
 * is.  A peer is what its certificate proved, never what a message says.
 *
 * Events (driver to core):
 *   WAKE    the time asked for has come, or any other time: harmless
 *   UP      peer, msg Up: a link is open and authenticated
 *   MSG     peer, msg: a frame came over that link
 *   GONE    peer, msg Reason: the link is closed; the handle dies after this
 *   ASK     ticket, msg Ask: an HTTPS request; answer with that ticket
 *   MORE    ticket: the asker of a streamed answer can take another piece
 *   CANCEL  ticket: the asker went away; do not answer
 *   DONE    ticket, rc, msg: the action with that ticket has ended
 *   NEWS    msg News: nobody asked (a domain died, a revocation list came)
 *
 * Actions (core to driver); with ticket != 0 exactly one DONE comes back, with
 * the rc and the message named here:
 *   DIAL    msg Dial: open a link; DONE on failure alone, UP on success
 *   HANG    peer, msg Reason: close the link when what was said before is out (rc
 *           XN_ETIMEOUT: it is silent, at once); GONE follows
 *   SEND    peer, msg: best effort, in order, no ticket; dropped with the link
 *   ANSWER  ticket of the ASK, msg Answer: the whole answer
 *   SIGN    msg Sign     -> Signed      with the core's own key
 *   VERIFY  msg Verify   -> Verified
 *   ISSUE   msg Issue    -> Issued      XenoCorp alone
 *   RANDOM  msg Random   -> Bytes
 *   TXN     msg Txn      -> (none)      durable at DONE; in order; batched
 *   READ    msg Read     -> Records     of the core's own store
 *   CALL    msg Call     -> Answer      HTTPS to a corp, node or host
 *   DOMAIN  msg DomAsk     -> DomTell       what sessions run in: xenodomd
 *           msg AskConsole -> ConsolePiece
 *           msg AskStream  -> (none) or DomTell; carries bytes over the
 *           connection of an ASK, which is answered thereby, to this machine's
 *           or another's
 *   PROBE   peer, msg Probe -> Probed   who answers at a port of that peer's
 *           host; a driver that cannot look answers XN_EREFUSED, as
 *   FETCH   msg Fetch -> Fetched, and
 *   ADMIT   msg Admit -> Admitted       where there is no back end for it
 *   ABORT   ticket, msg Reason or none: that action is no longer wanted; its
 *           DONE comes all the same, early, with XN_ECANCELLED or its result
 *   LOG     msg Log
 */
#ifndef SEAM_XN_CORE_H
#define SEAM_XN_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/msg.h"

struct xn_now {
    uint64_t mono_us;
    uint64_t wall_us; /* since 1970, UTC */
};

typedef uint32_t xn_peer;
#define XN_PEER_NONE UINT32_MAX
#define XN_PEER_SELF (UINT32_MAX - 1) /* where a set of peers includes us */

enum xn_ev {
    XN_EV_WAKE = 1,
    XN_EV_UP,
    XN_EV_MSG,
    XN_EV_GONE,
    XN_EV_ASK,
    XN_EV_MORE,
    XN_EV_CANCEL,
    XN_EV_DONE,
    XN_EV_NEWS,
};

/* Lent to the core until xn_core_step returns. */
struct xn_event {
    enum xn_ev kind;
    uint64_t ticket;
    int rc;
    xn_peer peer;
    struct xn_msg *msg; /* may be NULL; xn_msg_ref to keep it */
};

enum xn_act {
    XN_ACT_DIAL = 1,
    XN_ACT_HANG,
    XN_ACT_SEND,
    XN_ACT_ANSWER,
    XN_ACT_SIGN,
    XN_ACT_VERIFY,
    XN_ACT_ISSUE,
    XN_ACT_RANDOM,
    XN_ACT_TXN,
    XN_ACT_READ,
    XN_ACT_CALL,
    XN_ACT_FETCH,
    XN_ACT_DOMAIN,
    XN_ACT_PROBE,
    XN_ACT_ADMIT,
    XN_ACT_ABORT,
    XN_ACT_LOG,
};

struct xn_action {
    enum xn_act kind;
    uint64_t ticket; /* 0: no DONE wanted */
    xn_peer peer;
    struct xn_msg *msg; /* the outbox's reference; xn_msg_ref to keep it */
};

/* The core's own; valid until its next step. */
struct xn_outbox {
    const struct xn_action *act;
    size_t n;
    uint64_t wake_us; /* mono_us of the next WAKE wanted; UINT64_MAX: none */
};

struct xn_core;

struct xn_core_ops {
    const char *name; /* "node", "corp", "host" */
    int (*step)(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *out);
    bool (*check)(const struct xn_core *core, char *why_out, size_t len);
    void (*free)(struct xn_core *core);
};

/* First member of every core. */
struct xn_core {
    const struct xn_core_ops *ops;
};

/* Handle one event.  0, or XN_ENOMEM when the core can no longer go on: a rude
 * peer is never an error of the step. */
int xn_core_step(struct xn_core *core, const struct xn_now *now,
                 const struct xn_event *ev, struct xn_outbox *out);
/* Does the core's state hold together?  If not, why_out says what is wrong. */
bool xn_core_check(const struct xn_core *core, char *why_out, size_t len);
void xn_core_free(struct xn_core *core); /* NULL is fine */

const char *xn_ev_name(enum xn_ev ev);
const char *xn_act_name(enum xn_act act);
/* The kind of message that such an action must bring (enum XnKind); 0: none, or
 * it may differ. */
unsigned xn_act_msg_kind(enum xn_act act);

#endif
