/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xeno-unpack may still ask of the kernel (seccomp), since what it reads may
 * take it over. */
#ifndef NET_UNPACK_CONFINE_H
#define NET_UNPACK_CONFINE_H

/* From here on this process can read, write and make files, and end.  Whatever
 * else programs ask for does not exist (ENOSYS), so that a newer C library falls
 * back on what is there; whoever starts a program or a process, or wants a
 * socket or another process's insides, dies by SIGSYS.  Wants PR_SET_NO_NEW_PRIVS
 * or root.  XN_ENOMEM, XN_EREFUSED. */
int unpack_confine(void);

#endif
