/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Revocation: the keys whose certificates a XenoCorp takes back.
 *
 * A corp signs one list of names, numbered upwards, at least once a day; it
 * travels from node to node, so anybody may bring it and only the corp can make
 * it.  A blob as leases are, not an X.509 CRL: names, not serial numbers, are
 * what links and advertisements are known by, and what is signed has one
 * encoding.
 *
 * A set holds the newest list of each corp.  Who calls has verified the
 * signature (the driver's VERIFY, or blob_verify) and that the signer is an
 * accepted corp.  Times are microseconds of wall time. */
#ifndef WIRE_REVOKED_H
#define WIRE_REVOKED_H

#include <stdbool.h>

#include "wire/envelope.h"
#include "wire/id.h"

#define REVOKED_MAX 8192 /* names in a list */
#define REVOKED_LIFE_US_MAX (24 * 3600 * 1000000ULL)
#define REVOKED_AHEAD_US_MAX (5 * 60 * 1000000ULL)

struct revoked_list {
    xn_id corp;
    uint64_t number, issued_us, until_us;
    xn_id *names; /* ascending */
    size_t n;
    uint8_t *blob; /* as signed, for others */
    size_t blob_len;
};

struct revoked { /* a zeroed one is empty */
    struct revoked_list *lists;
    size_t n;
};

void revoked_clear(struct revoked *set);
/* Take a list whose signature has been verified; payload and blob are copied.
 * XN_ESTALE: its number is not above the one held; XN_EFUTURE: issued more than
 * 5 minutes ahead; XN_EINVAL: malformed; XN_ENOMEM (also: more than
 * XN_ANCHORS_MAX corps).  The set is unchanged then.  One that is late by now is
 * taken: it is the newest that is known. */
int revoked_take(struct revoked *set, const xn_id *corp,
                 const ProtobufCBinaryData *payload,
                 const ProtobufCBinaryData *blob, uint64_t wall_us);
/* Lent until the next change; NULL: none is held. */
const struct revoked_list *revoked_of(const struct revoked *set,
                                      const xn_id *corp);
/* Has this corp revoked this key?  O(log names).  set NULL: nobody has. */
bool revoked_has(const struct revoked *set, const xn_id *corp,
                 const xn_id *name);
/* A few bits that differ where two sets do; 0: it is empty. */
uint32_t revoked_mark(const struct revoked *set);
/* Should the next one have come by now? */
bool revoked_is_late(const struct revoked_list *list, uint64_t wall_us);

/* Whose list this is and which, as it says: nothing is proved yet.
 * XN_EINVAL. */
int revoked_peek(const uint8_t *blob, size_t len, xn_id *corp_out,
                 uint64_t *number_out);
/* The payload to sign; names ascending, at most REVOKED_MAX.  *out is the
 * caller's (free). */
int revoked_pack(const xn_id *names, size_t n, uint64_t number,
                 uint64_t issued_us, uint64_t until_us, uint8_t **out,
                 size_t *out_len);

#endif
