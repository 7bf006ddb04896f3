/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a link costs on the wire, of IP, TCP and TLS, each byte counted at the
 * end that sends it; what is below IP is not counted.
 *
 * IPv4 and TCP headers are 52 bytes (with timestamps), 60 in the first packet.
 * TLS 1.3 puts a record around each message: 5 bytes of header, one of kind, 16
 * that authenticate.  Handshakes are both sides', with a certificate each.
 *
 * Every second full segment is acknowledged by an empty one; what came last by
 * the next that goes the other way, if that is within 40 ms, else by an empty
 * one.  A kernel learns of it (Linux 6.18, tcp_input.c): when nothing went in
 * time, what comes next is acknowledged at once, until an answer was quick
 * again.  A link over which nothing went for long is probed from each end.
 * tests/unit/sim_wire.c holds all of this against a real link. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message of so many bytes with its frame's head, but for the last empty
 * segment. */
uint64_t sim_wire_message(size_t bytes);
/* Of a frame's head (net/frame.h), to who reads short ones or not. */
size_t sim_wire_head(size_t body, bool brief);

/* One end of a link: what it owes the other, and when it last talked. */
struct sim_wire_end {
    uint32_t got_ms, talked_ms; /* virtual time */
    bool owes;                  /* an acknowledgement, since got_ms */
    bool quick;                 /* it acknowledges at once */
};

/* It sends, it gets something: the bytes of empty segments that it has sent by
 * that. */
uint64_t sim_wire_sends(struct sim_wire_end *end, uint64_t now_us);
uint64_t sim_wire_gets(struct sim_wire_end *end, uint64_t now_us);
/* One packet without data: a first one, another. */
#define SIM_WIRE_SYN 60
#define SIM_WIRE_EMPTY 52
/* What the dialling and the dialled end send to open a link, SYNs apart. */
#define SIM_WIRE_DIALLER 866
#define SIM_WIRE_DIALLED 878
/* What both ends send to close one: TLS's word and TCP's, and a reset in
 * return.  Where the other is silent, or knows of no link: the reset alone. */
#define SIM_WIRE_CLOSE (24 + 52 + SIM_WIRE_RESET)
#define SIM_WIRE_RESET 52
/* A probe and its answer, which each end causes every so long. */
#define SIM_WIRE_PROBE (2 * SIM_WIRE_EMPTY)
/* SYNs to nobody until a dial of ten seconds is given up: 0, 1, 3, 7 s. */
#define SIM_WIRE_NOBODY (3 * SIM_WIRE_SYN)

#endif
