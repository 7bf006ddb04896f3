/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numeric addresses with ports, as text: "127.0.0.1:4001", "[::1]:4001". */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#define NET_ADDR_TEXT 64
#define NET_NOWHERE "none" /* in place of one: nobody can dial it */

struct net_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* XN_EINVAL: not numeric, or no port. */
int net_addr_parse(const char *text, struct net_addr *addr_out);
/* An IPv4 host as that, by whichever listener it came. */
void net_addr_text(const struct sockaddr *sa, char out[NET_ADDR_TEXT]);
/* Do both come from one source: the same IPv4 host, the same IPv6 /64? */
int net_addr_same_source(const struct sockaddr *a, const struct sockaddr *b);
/* What net_addr_same_source compares, in 8 bytes. */
unsigned long long net_addr_source(const struct sockaddr *sa);

/* The network that it is of: an IPv4 /24, an IPv6 /48; 0: of this machine. */
unsigned long long net_addr_network(const struct sockaddr *sa);
/* Is it one of this machine, of its network, reserved, or none that one connects
 * to? */
bool net_addr_is_private(const struct sockaddr *sa);
/* May a node that listens at `own` dial an address of which others told it?
 * Never what names no host (unspecified, multicast, broadcast, link-local, port
 * 0); its own machine's services only where it listens there alone; private ones
 * only where it listens at one, or as private_ok says. */
bool net_addr_may_dial(const struct sockaddr *sa, const struct sockaddr *own,
                       bool private_ok);

/* A listening socket: non-blocking, close on exec, TCP_NODELAY (which accepted
 * ones inherit).  Writes the bound address.  XN_EINVAL; XN_EIO with errno. */
int net_listen(const char *text, int *fd_out, char bound_out[NET_ADDR_TEXT]);
/* From here on who connects and says nothing is the kernel's, for some `s`
 * seconds (up to twice that; TCP_DEFER_ACCEPT): we accept him once he has spoken,
 * or after that.  For protocols in which who connects speaks first.  Those who
 * find no place there are accepted at once, by SYN cookies; where the kernel makes
 * none they would be shut out, and this changes nothing.  0: neither. */
void net_listen_defer(int fd, unsigned s);

#endif
