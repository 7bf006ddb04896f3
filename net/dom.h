/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DOMAIN: what sessions run in.  Asks xenodomd over its unix socket, each over a
 * connection of its own, and reads consoles from keepers and files; keeps one
 * more connection open and raises NEWS:
 *
 *   "domains"       xenodomd is there (again), detail: its DomTell, with `exact`;
 *                   what happened before is not told: look at all
 *   "domain"        name; detail: DomTell with the status of one that has ended
 *   "domains-gone"  it is not there any more; connecting is tried again and again
 *
 * An ask ends with XN_EUNREACH where nothing was done since xenodomd is not
 * there, XN_EUNKNOWN where it may have been, XN_ETIMEOUT, XN_EBUSY (too many),
 * XN_EPROTO; else DONE is 0 and DomTell.rc says more.  Asks that are under way at
 * once are in no order.  An AskConsole ends with DomTell's rc or ConsolePiece;
 * a piece without a byte and without `end`: nothing came in time.  As long as it
 * may wait it waits for xenodomd, too.  An AskStream is joined to the connection
 * of its ASK (net/streams.h); DONE comes with Carried when that has ended, or with
 * DomTell, which says why it did not begin. */
#ifndef NET_DOM_H
#define NET_DOM_H

#include "net/loop.h"

#define NET_DOM_ASKS_MAX 128          /* under way or waiting */
#define NET_DOM_BYTES_MAX (16 << 20)  /* of all of these */
#define NET_DOM_CONSOLES_MAX 512      /* AskConsole under way or waiting */
#define NET_DOM_STREAMS_MAX 64        /* AskStream that have not begun */
#define NET_DOM_AT_ONCE 24            /* connections to xenodomd */
#define NET_DOM_PIECE_MAX (256 << 10) /* bytes of a ConsolePiece */
#define NET_DOM_WAIT_MS_MAX 25000

struct net_dom;
struct net_streams;

int net_dom_new(struct net_loop *loop, const char *path,
                struct net_dom **dom_out);
/* From now on AskStream can be asked; not owned. */
void net_dom_carry(struct net_dom *dom, struct net_streams *streams);
/* What is under way gets no DONE. */
void net_dom_free(struct net_dom *dom);
/* msg: DomAsk, AskConsole or AskStream. */
void net_dom_act(struct net_dom *dom, uint64_t ticket, struct xn_msg *msg);
/* Ends the wait for a console or a stream with XN_ECANCELLED, and an ask that has
 * not begun; others end soon by themselves. */
void net_dom_abort(struct net_dom *dom, uint64_t ticket);
bool net_dom_idle(const struct net_dom *dom); /* no ask; consoles may wait */

#endif
