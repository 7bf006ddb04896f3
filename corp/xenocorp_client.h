/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's work on clients' accounts, at the XenoCorp that runs. */
#ifndef CORP_XENOCORP_CLIENT_H
#define CORP_XENOCORP_CLIENT_H

/* Pay in for the client with that key's name (64 digits).  amount: "10.50GBP".
 * reference: what the payment is known by; the same again pays in once.  Tells
 * its errors and returns an exit code. */
int client_pay_in(const char *program, const char *dir, const char *client,
                  const char *amount, const char *reference);

#endif
