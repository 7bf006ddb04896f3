/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of requests that were upgraded, and what they carry: the server's
 * end of "xeno-stream", which leads to this machine or on to another.  Each is an action of the core's that is under way. */
#ifndef NET_STREAMS_H
#define NET_STREAMS_H

#include "net/http.h"
#include "net/loop.h"

#define NET_STREAMS_MAX 128 /* a half of the connections that there are */

struct net_streams;

int net_streams_new(struct net_loop *loop, struct net_http *http,
                    const struct net_identity *identity,
                    struct net_streams **streams_out);
void net_streams_free(struct net_streams *streams); /* they get no DONE */
/* Joins the connection of that ASK, which is answered thereby, to a socket, which
 * it takes in any case; DONE, a Carried, comes at the end.  whole: as of
 * net/relay.h, and it may be silent for as long as it likes.  XN_ENOENT: the asker
 * went away; XN_EPROTO: he has not asked for that; XN_EBUSY, XN_ENOMEM. */
int net_streams_begin(struct net_streams *streams, uint64_t ticket,
                      uint64_t ask, int fd, bool whole);
/* DONE of this ticket: what each has carried up to now. */
void net_streams_tell(struct net_streams *streams, uint64_t ticket);
/* Asks the agent of another machine for it, and joins the connection of that ASK
 * to the one that comes of it.  DONE comes at the end, or when it did not begin:
 * with DomTell where that agent has refused, in its words, else with rc:
 * XN_EUNREACH, XN_ETIMEOUT, XN_EIDENT: it cannot be asked; XN_ENOENT, XN_EPROTO,
 * XN_EBUSY, XN_ENOMEM as above. */
void net_streams_far(struct net_streams *streams, uint64_t ticket,
                     struct xn_msg *ask);
/* why: as the other end is told; NULL: that the server has ended it.  false: it is
 * none of these. */
bool net_streams_abort(struct net_streams *streams, uint64_t ticket,
                       const Xn__Reason *why);

#endif
