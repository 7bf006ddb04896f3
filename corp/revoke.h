/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose certificates the XenoCorp has taken back, and the list that says so
 * (wire/revoked.h): signed anew with every revocation and four times a day,
 * handed out once it is durable.  A key that was revoked is never registered
 * again; it leaves the list when no certificate of it can be good any more. */
#ifndef CORP_REVOKE_H
#define CORP_REVOKE_H

#include "corp/core.h"

int corp_revoked_new(struct corp_revoked **revoked_out);
void corp_revoked_free(struct corp_revoked *revoked);
/* Reads what the store has; corp_loaded follows. */
void corp_revoked_load(struct corp *corp, const struct xn_now *now);
/* When; 0: never. */
uint64_t corp_revoked_us(const struct corp *corp, const xn_id *id);
/* The newest list if its number is above this one; else none. */
ProtobufCBinaryData corp_revoked_list(const struct corp *corp, uint64_t above);

/* ASK POST /v1/revoke, GET /v1/revoked. */
void corp_revoke(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
void corp_revoked(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);

#endif
