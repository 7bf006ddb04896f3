/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a link costs on the wire, of IP, TCP and TLS, each byte counted at the
 * end that sends it; what is below IP is not counted.
 *
 * IPv4 and TCP headers are 52 bytes (with timestamps), 60 in the first packet.
 * TLS 1.3 puts a record around each message: 5 bytes of header, one of kind, 16
 * that authenticate.  Every second full segment is acknowledged by an empty
 * one, and so is what came last, unless an answer does it in time: here, none
 * ever does.  Handshakes are both sides', with a certificate of at most 700
 * bytes each.  A link over which nothing comes is probed from each end.  So it
 * is a bound from above, of which a real link stays below where its two ends
 * talk in turn. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* A message of so many bytes with its frame's header, and its ACKs. */
uint64_t sim_wire_message(size_t bytes);
/* One packet without data: a first one, another. */
#define SIM_WIRE_SYN 60
#define SIM_WIRE_EMPTY 52
/* What the dialling and the dialled end send to open a link, SYNs apart. */
#define SIM_WIRE_DIALLER 1430
#define SIM_WIRE_DIALLED 1500
/* What both ends send to close one. */
#define SIM_WIRE_CLOSE (2 * (24 + 52) + 2 * SIM_WIRE_EMPTY)
/* A probe and its answer, which each end causes every so long. */
#define SIM_WIRE_PROBE (2 * SIM_WIRE_EMPTY)
/* SYNs to nobody until a dial of ten seconds is given up: 0, 1, 3, 7 s. */
#define SIM_WIRE_NOBODY (3 * SIM_WIRE_SYN)

#endif
