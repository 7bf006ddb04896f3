/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the broker's staff looks up at the running XenoCorp.  All return an exit
 * code; errors are told. */
#ifndef CORP_XENOCORP_LISTS_H
#define CORP_XENOCORP_LISTS_H

#include <stdbool.h>

#include "corp/xenocorp_ask.h"
#include "wire/id.h"

/* role: "client", "server" or "node"; show: with its accounts in these currencies.  A
 * member and an order are an id or its first digits. */
int list_members(const char *program, const char *dir, const char *role,
                 bool json);
int show_member(const char *program, const char *dir, const char *role,
                const char *member, const char *const *currencies, int n,
                bool json);
/* Take back the certificates of the key; why: for the books. */
int revoke_member(const char *program, const char *dir, const char *role,
                  const char *member, const char *why, bool json);
int list_pay_ins(const char *program, const char *dir, const char *client,
                 const char *currency, bool json);
/* client: NULL: everybody's. */
int list_orders(const char *program, const char *dir, const char *client,
                bool json);
/* The whole bill, verified. */
int show_order(const char *program, const char *dir, const char *order,
               bool json);
/* Of one order (else NULL), of one client's (else NULL), or of all. */
int list_charges(const char *program, const char *dir, const char *order,
                 const char *client, bool json);
/* The documents of one, as signed. */
int show_charge(const char *program, const char *dir, const char *order,
                const char *sequence);
/* Claims that were refused; one of them as signed, by its hash. */
int list_refused(const char *program, const char *dir, bool json);
int show_refused(const char *program, const char *dir, const char *claim);

/* ---- what these share ---- */

/* Each order of a holder (its whole id), or of all (NULL); 0 or a code that was
 * told, or the callback's. */
typedef int on_order(struct staff *staff, const Xn__OrderStatus *status,
                     void *ctx);
int each_order(struct staff *staff, const char *holder, on_order *take,
               void *ctx);
/* The serial of the one order that begins with the word; an exit code. */
int find_order(struct staff *staff, const char *word, char out[XN_ID_HEX]);
/* The whole id of the one client that begins with the word. */
int find_holder(struct staff *staff, const char *word, char out[XN_ID_HEX]);
const char *fate_name(Xn__OrderFate fate);

#endif
