/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling who started us that we are ready, where that is a service manager:
 * sd_notify(3)'s protocol, a datagram to the socket that it named. */
#ifndef LIB_NOTIFY_H
#define LIB_NOTIFY_H

/* "READY=1" to $NOTIFY_SOCKET, if that is set; takes the name out of the
 * environment, so that no child is heard in our place.  That nobody listens is
 * no error. */
void xn_notify_ready(void);

#endif
