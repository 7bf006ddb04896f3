/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef KEEPER_HERD_H
#define KEEPER_HERD_H

/* A signal to all processes of a sandbox at once, but its first: whoever forks
 * meanwhile gets it too.  init: a pidfd of its first process.  XN_EPERM: the
 * namespaces may not be entered, or somebody inside killed or
 * stopped the messenger; XN_ENOENT: the sandbox is gone. */
int herd_signal(int init, int signal);

#endif
