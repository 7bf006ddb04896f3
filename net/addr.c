/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include "lib/err.h"

int net_addr_parse(const char *text, struct net_addr *addr_out)
{
    struct net_addr addr = {0};
    const char *colon = strrchr(text, ':');
    int len = sizeof addr.sa;

    /* evutil takes an address without a port as well. */
    if (!colon || !colon[1] || strchr(colon, ']')) return XN_EINVAL;
    if (text[0] != '[' && strchr(text, ':') != colon) return XN_EINVAL;
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&addr.sa, &len)) {
        return XN_EINVAL;
    }
    addr.len = (socklen_t)len;
    *addr_out = addr;
    return 0;
}

void net_addr_text(const struct sockaddr *sa, char out[NET_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, NET_ADDR_TEXT, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(out, NET_ADDR_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        snprintf(out, NET_ADDR_TEXT, "?");
    }
}

unsigned long long net_addr_source(const struct sockaddr *sa)
{
    unsigned long long source = 0;

    if (sa->sa_family == AF_INET) {
        source =
            ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
    } else if (sa->sa_family == AF_INET6) {
        memcpy(&source,
               &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
               sizeof source);
    }
    return source;
}

int net_addr_same_source(const struct sockaddr *a, const struct sockaddr *b)
{
    return a->sa_family == b->sa_family &&
           net_addr_source(a) == net_addr_source(b);
}

int net_listen(const char *text, int *fd_out, char bound_out[NET_ADDR_TEXT])
{
    struct net_addr addr;
    int fd = -1, rc, one = 1;

    rc = net_addr_parse(text, &addr);
    if (rc) goto out;
    rc = XN_EIO;
    fd = socket(addr.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                0);
    if (fd < 0) goto out;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr.sa, addr.len)) goto out;
    if (listen(fd, 512)) goto out;
    addr.len = sizeof addr.sa;
    if (getsockname(fd, (struct sockaddr *)&addr.sa, &addr.len)) goto out;
    net_addr_text((struct sockaddr *)&addr.sa, bound_out);
    *fd_out = fd;
    fd = -1;
    rc = 0;
out:
    if (fd >= 0) {
        int saved = errno;

        close(fd);
        errno = saved;
    }
    return rc;
}
