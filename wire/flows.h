/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom a task talked to: the flows of a note, the largest by bytes, and the sum
 * of the others.  Times are microseconds of wall time. */
#ifndef WIRE_FLOWS_H
#define WIRE_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/task.pb-c.h"

#define FLOWS_MAX 64
#define FLOW_PEER_MAX 46 /* an address as text, with its NUL */
#define FLOWS_UNKNOWN_MAX 120

struct flow {
    uint8_t protocol; /* IANA's number */
    bool carried;
    uint16_t peer_port, own_port;
    char peer[FLOW_PEER_MAX];
    uint64_t sent, got;         /* bytes; they stop at 2^64 - 1 */
    uint64_t first_us, last_us; /* 0: not known */
};

struct flows { /* zeroed: none */
    struct flow list[FLOWS_MAX];
    size_t n;
    uint64_t others, others_sent, others_got;
    char unknown[FLOWS_UNKNOWN_MAX]; /* why not all are known; "": they are */
};

/* The peer's address and port of "ADDRESS:PORT", IPv6 in brackets.  XN_EINVAL:
 * it is none. */
int flow_set_peer(struct flow *flow, const char *text);

/* To the one between the same ends, or as another: the smallest gives way, and is
 * summed.  O(FLOWS_MAX). */
void flows_add(struct flows *flows, const struct flow *flow);
/* All of `from`. */
void flows_merge(struct flows *flows, const struct flows *from);
/* Is there anything to tell? */
bool flows_any(const struct flows *flows);

/* From whoever: XN_EPROTO where a bound is not kept.  Times behind now_us are
 * now_us. */
int flows_take(const Xn__Flows *from, uint64_t now_us, struct flows *out);

struct flows_room { /* of a message that points into the flows and into this */
    Xn__Flow rows[FLOWS_MAX], *list[FLOWS_MAX];
    Xn__Flows body;
};
/* The largest first. */
void flows_put(const struct flows *flows, struct flows_room *room);

#endif
