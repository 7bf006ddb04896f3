/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ADMIT: a program of the operator's says whether an order becomes a session.
 *
 * It is started for each, without a shell, with nothing of our environment, and
 * gets the order as one JSON object ("xenohostd.admission/1") on its standard
 * input.  It writes "accept", or "refuse REASON" and perhaps a second line with
 * what to try, and ends with 0.  Whatever else it does (another end, a signal,
 * more than NET_ADMISSION_SAYS bytes, too long) is no answer; what is left of it
 * and of its process group is killed.
 *
 * DONE is 0 with Admitted; XN_EBUSY: too many at once; XN_ETIMEOUT; XN_EPROTO: no
 * answer; XN_EPERM: others could change the program; XN_EIO: it cannot be
 * started; XN_ECANCELLED. */
#ifndef NET_ADMISSION_H
#define NET_ADMISSION_H

#include "net/loop.h"

#define NET_ADMISSION_AT_ONCE 8
#define NET_ADMISSION_SAYS 1024

struct net_admission;

/* May this be run?  An absolute path; the file and all folders above it belong
 * to root or to us, and no other may write to them (but to a sticky folder); the
 * file can be executed.  Looked at before each run, too.  XN_EPERM, XN_EIO;
 * why_out says what is wrong. */
int net_admission_check(const char *program, char *why_out, size_t len);

/* `program` is copied. */
int net_admission_new(struct net_loop *loop, const char *program,
                      uint64_t time_us, struct net_admission **out);
void net_admission_free(struct net_admission *admission); /* ends what runs */
void net_admission_ask(struct net_admission *admission, uint64_t ticket,
                       const Xn__Admit *what);
bool net_admission_abort(struct net_admission *admission, uint64_t ticket);
bool net_admission_idle(const struct net_admission *admission);

#endif
