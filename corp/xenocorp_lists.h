/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the broker's staff looks up at the running XenoCorp.  All return an exit
 * code; errors are told. */
#ifndef CORP_XENOCORP_LISTS_H
#define CORP_XENOCORP_LISTS_H

#include <stdbool.h>

/* role: "client" or "server"; show: with its accounts in these currencies and
 * those of its orders. */
int list_members(const char *program, const char *dir, const char *role,
                 bool json);
int show_member(const char *program, const char *dir, const char *role,
                const char *id, const char *const *currencies, int n,
                bool json);
/* holder: a client's id; NULL: everybody's. */
int list_orders(const char *program, const char *dir, const char *holder,
                bool json);
/* The whole bill, verified. */
int show_order(const char *program, const char *dir, const char *serial,
               bool json);
/* serial: of that order; NULL: of all. */
int list_charges(const char *program, const char *dir, const char *serial,
                 bool json);
int list_refused(const char *program, const char *dir, bool json);
/* The documents of one, as signed. */
int show_charge(const char *program, const char *dir, const char *serial,
                const char *sequence);

#endif
