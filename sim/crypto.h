/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modelled keys and signatures: same messages as the real ones, checkable, and
 * cheap.  A signature is a SHA-256 over key, context and payload, which anybody
 * could make: it detects damage and mistakes, and simulated liars are
 * programs that do not make it.  What real ones would cost is charged as
 * virtual time by the world.
 *
 * A modelled SubjectPublicKeyInfo is 91 bytes that hold a role and a number.
 */
#ifndef SIM_CRYPTO_H
#define SIM_CRYPTO_H

#include "wire/id.h"
#include "wire/msg.h"

#define SIM_SPKI 91
#define SIM_CORP_NUMBER 0

/* The number in it; UINT32_MAX: not a modelled key. */
uint32_t sim_spki_number(const ProtobufCBinaryData *spki);
/* SHA-256 of it: the name. */
void sim_key_id(Xn__Role role, uint32_t number, xn_id *id_out);
/* Where a node's modelled certificate puts it; `seed` is the corp's. */
void sim_position(uint64_t seed, uint32_t number, xn_id *position_out);

/* Who holds that key: fills the caller; pointers live in `ids`. */
struct sim_caller {
    Xn__Caller caller;
    xn_id id, corp, position;
    char label[24], address[40];
};
void sim_caller(uint64_t seed, Xn__Role role, uint32_t number,
                uint64_t not_after_us, struct sim_caller *out);

/* A container of either form.  *bytes_out is the caller's (free). */
int sim_seal(Xn__Role role, uint32_t number, Xn__Form form, const char *context,
             const uint8_t *payload, size_t len, uint8_t **bytes_out,
             size_t *len_out);
/* Action SIGN by the node's key: a SIGNED message. */
int sim_sign(Xn__Role role, uint32_t number, const Xn__Sign *sign,
             struct xn_msg **signed_out);
/* Action VERIFY: a VERIFIED message, or XN_EINVAL, XN_ESIGNATURE. */
int sim_verify(uint64_t seed, uint64_t not_after_us, const Xn__Verify *verify,
               struct xn_msg **verified_out);
/* Action ISSUE: XN_EINVAL where the request holds no modelled key. */
int sim_issue(uint64_t seed, const Xn__Issue *issue,
              struct xn_msg **issued_out);

#endif
