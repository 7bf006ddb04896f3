/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bills as people and programs read them. */
#ifndef TOOLS_XENO_BILL_H
#define TOOLS_XENO_BILL_H

#include "tools/xeno.h"
#include "wire/bill.h"

/* One, whole; `briefly`: what was gone over alone.  corp: the XenoCorp's name.
 * An exit code. */
int xeno_bill_print(const struct xeno *xeno, const struct bill *bill,
                    const char *corp, bool briefly);

/* Many, a line each, and their sums by currency. */
struct xeno_bills;
struct xeno_bills *xeno_bills_new(const struct xeno *xeno);
void xeno_bills_add(struct xeno_bills *bills, const struct bill *bill,
                    const char *corp);
/* Prints them where code is 0, frees them; the exit code. */
int xeno_bills_end(struct xeno_bills *bills, int code);

int xeno_bill(struct xeno *xeno, int argc, char **argv);

#endif
