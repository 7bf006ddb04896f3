/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests alone: what arrives over a link is held back, as if the peer were
 * far away.  A file says how far, one peer a line, # begins a comment:
 *
 *     ID DELAY [JITTER]      64 hexadecimal digits; microseconds, one way
 *
 * Each frame waits DELAY and up to JITTER more, drawn from a generator that
 * the peer's id seeds; frames of a link stay in order.  Peers that the file
 * does not name have no delay.  Handshakes and HTTPS are not delayed. */
#ifndef NET_DELAY_H
#define NET_DELAY_H

#include "wire/id.h"
#include "wire/msg.h"

#define NET_DELAY_US_MAX 1000000000U
#define NET_DELAY_HELD_MAX (8U << 20) /* bytes of one link, counting each */
#define NET_DELAY_FRAME_COST 256U     /* frame with this much more */

struct event_base;
struct net_delays; /* the file */
struct net_delay;  /* one link's */

/* Takes over the message. */
typedef void net_delay_hand(void *arg, struct xn_msg *msg);

/* The file's text, which is cut in place.  XN_EINVAL: *line_out is wrong;
 * XN_ECONFLICT: names a peer twice; XN_ENOMEM. */
int net_delays_parse(char *text, struct net_delays **delays_out,
                     size_t *line_out);
/* XN_EINVAL, XN_ETOOBIG, XN_EIO, told with xn_gripe already. */
int net_delays_load(const char *program, const char *path,
                    struct net_delays **delays_out);
void net_delays_free(struct net_delays *delays); /* NULL is fine */

/* For a link to this peer; *delay_out is NULL where it has no delay. */
int net_delay_new(const struct net_delays *delays, struct event_base *base,
                  const xn_id *peer, net_delay_hand *hand, void *arg,
                  struct net_delay **delay_out);
/* Takes over the message and hands it on later.  Past NET_DELAY_HELD_MAX the
 * oldest goes early: a peer cannot fill our memory. */
void net_delay_put(struct net_delay *delay, struct xn_msg *msg);
/* The link ends: what is held is handed on now.  NULL is fine. */
void net_delay_end(struct net_delay *delay);

#endif
