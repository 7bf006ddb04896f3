/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ctrl-C, SIGTERM and SIGHUP of a command that has something under way which
 * wants a word at its end: they are held, and every wait heeds them.
 *
 * Who waits for an answer when one comes may go on for a moment, since most
 * answers are nearly there; then all his questions end with XN_ECANCELLED, or
 * XN_EUNKNOWN where something may have been done. */
#ifndef TOOLS_XENO_SIGNALS_H
#define TOOLS_XENO_SIGNALS_H

#include <signal.h>

#include "net/talk.h"

#define XENO_SIGNALS_KEPT 2

struct xeno_signals {
    int fd;                       /* -1: they end us as usual */
    int heard[XENO_SIGNALS_KEPT]; /* that nobody took yet, the first first */
    uint64_t until_us;            /* so long who waits may go on */
    sigset_t before;
};

void xeno_signals_init(struct xeno_signals *signals);
/* From now on.  Where they cannot be held, they stay what they are. */
void xeno_signals_hold(struct xeno_signals *signals);
/* They are again what they were; those that nobody heard yet, too. */
void xeno_signals_close(struct xeno_signals *signals);

/* Has one come that nobody took?  NULL: none has. */
bool xeno_signals_heard(const struct xeno_signals *signals);
/* The first of them, which is forgotten; 0. */
int xeno_signals_take(struct xeno_signals *signals);
/* One came, and its moment is over: nothing is asked any more. */
bool xeno_signals_over(const struct xeno_signals *signals);

/* As net_talk_wait with one other at most (NULL: none); returns as well when a
 * signal has come, or when its moment is over. */
void xeno_signals_wait(struct xeno_signals *signals, struct net_talk *talk,
                       struct pollfd *other, int timeout_ms);
/* Lets a time pass; false: a signal came. */
bool xeno_signals_pause(struct xeno_signals *signals, struct net_talk *talk,
                        unsigned ms);

#endif
