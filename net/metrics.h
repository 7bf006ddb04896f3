/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the driver counts, in Prometheus' text form: behind what a core says of
 * itself (an answer of the content type XN_PROM_TYPE). */
#ifndef NET_METRICS_H
#define NET_METRICS_H

#include "lib/buf.h"
#include "net/http.h"
#include "net/links.h"

/* links NULL: there are none. */
void net_metrics(const struct net_links *links, const struct net_http *http,
                 struct xn_buf *buf);

#endif
