/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the driver counts, added to what a core says of itself: in Prometheus'
 * text form (an answer of the content type XN_PROM_TYPE), and of each link (one
 * of XN_PEERS_TYPE). */
#ifndef NET_METRICS_H
#define NET_METRICS_H

#include "lib/buf.h"
#include "net/http.h"
#include "net/links.h"

/* links NULL: there are none. */
void net_metrics(const struct net_links *links, const struct net_http *http,
                 struct xn_buf *buf);

/* A NodePeers with the bytes of each link; *bytes_out is the caller's (free).
 * XN_EPROTO, XN_ENOMEM. */
int net_metrics_peers(const struct net_links *links,
                      const ProtobufCBinaryData *peers, uint8_t **bytes_out,
                      size_t *len_out);

#endif
