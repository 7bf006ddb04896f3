/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"

static int parse_port(const char *text, in_port_t *port_out)
{
    unsigned port = 0;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9' && p - text < 5; p++)
        port = 10 * port + (unsigned)(*p - '0');
    if (p == text || *p || port > 65535) return XN_EINVAL;
    *port_out = htons((in_port_t)port);
    return 0;
}

int net_addr_parse(const char *text, struct net_addr *addr_out)
{
    struct net_addr addr = {0};
    struct sockaddr_in *in = (void *)&addr.sa;
    struct sockaddr_in6 *in6 = (void *)&addr.sa;
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    size_t len = colon ? (size_t)(colon - text) : sizeof host;

    if (len < 2 || len >= sizeof host) return XN_EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        addr.len = sizeof *in6;
        addr.sa.ss_family = AF_INET6;
        if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1) {
            return XN_EINVAL;
        }
    } else {
        addr.len = sizeof *in;
        addr.sa.ss_family = AF_INET;
        if (inet_pton(AF_INET, host, &in->sin_addr) != 1) return XN_EINVAL;
    }
    /* The port stands at one place in both forms. */
    if (parse_port(colon + 1, &in->sin_port)) return XN_EINVAL;
    *addr_out = addr;
    return 0;
}

void net_addr_text(const struct sockaddr *sa, char out[NET_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in mapped = {.sin_family = AF_INET};
    const struct sockaddr_in6 *six = (const void *)sa;

    if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        memcpy(&mapped.sin_addr, &six->sin6_addr.s6_addr[12], 4);
        mapped.sin_port = six->sin6_port;
        sa = (const struct sockaddr *)&mapped;
    }
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, NET_ADDR_TEXT, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(out, NET_ADDR_TEXT, "[%s]:%u", host, ntohs(six->sin6_port));
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
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(in6)) { /* to a listener of both */
            memcpy(&source, &in6->s6_addr[12], 4);
        } else {
            memcpy(&source, in6, sizeof source);
        }
    }
    return source;
}

int net_addr_same_source(const struct sockaddr *a, const struct sockaddr *b)
{
    return a->sa_family == b->sa_family &&
           net_addr_source(a) == net_addr_source(b);
}

static bool is_private_4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } closed[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
        {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
        {0xc0586300, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24},
        {0xcb007100, 24}, {0xe0000000, 3}, /* multicast, reserved, broadcast */
    };

    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        if ((a ^ closed[i].net) >> (32 - closed[i].bits) == 0) return true;
    }
    return false;
}

/* Of version 6 what is given out to the world is 2000::/3; some of it is for
 * tunnels, whose other end is anywhere, and for books. */
static bool is_private_6(const uint8_t *b)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(b, mapped, sizeof mapped) == 0)
        return is_private_4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 |
                            (uint32_t)b[14] << 8 | b[15]);
    if (b[0] >> 5 != 1) return true;
    if (b[0] == 0x20 && b[1] == 0x01 && b[2] < 2) return true;
    if (b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8)
        return true;
    return (b[0] == 0x20 && b[1] == 0x02) || (b[0] == 0x3f && b[1] == 0xff);
}

bool net_addr_is_private(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        return is_private_4(ntohl(in->sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)sa;

        return is_private_6(in->sin6_addr.s6_addr);
    }
    return true;
}

enum scope { NOWHERE, LOOPBACK, PRIVATE, ELSEWHERE };

static enum scope scope_of_ipv4(uint32_t host)
{
    if (host >> 24 == 127) return LOOPBACK;
    if (host >> 24 == 0 || host >= 0xe0000000) return NOWHERE;
    if (host >> 16 == 0xa9fe) return NOWHERE; /* 169.254/16 */
    return is_private_4(host) ? PRIVATE : ELSEWHERE;
}

static enum scope scope_of(const struct sockaddr *sa)
{
    const struct in6_addr *in6 =
        &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    uint32_t host;

    if (sa->sa_family == AF_INET) {
        return scope_of_ipv4(ntohl(
            ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr));
    }
    if (sa->sa_family != AF_INET6) return NOWHERE;
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
        memcpy(&host, &in6->s6_addr[12], sizeof host);
        return scope_of_ipv4(ntohl(host));
    }
    if (IN6_IS_ADDR_LOOPBACK(in6)) return LOOPBACK;
    if (IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_MULTICAST(in6) ||
        IN6_IS_ADDR_LINKLOCAL(in6)) {
        return NOWHERE;
    }
    return is_private_6(in6->s6_addr) ? PRIVATE : ELSEWHERE;
}

unsigned long long net_addr_network(const struct sockaddr *sa)
{
    const struct sockaddr_in *in = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;
    unsigned long long network = 0;

    if (scope_of(sa) == LOOPBACK) return 0;
    if (sa->sa_family == AF_INET) {
        memcpy(&network, &in->sin_addr, 3);
    } else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memcpy(&network, &in6->sin6_addr.s6_addr[12], 3);
    } else {
        memcpy(&network, &in6->sin6_addr, 6);
        network |= 1ULL << 63; /* not that of an IPv4 address */
    }
    return network;
}

bool net_addr_may_dial(const struct sockaddr *sa, const struct sockaddr *own,
                       bool private_ok)
{
    enum scope scope = scope_of(sa);

    /* The port stands at one place in both forms. */
    if (((const struct sockaddr_in *)(const void *)sa)->sin_port == 0) {
        return false;
    }
    if (scope == NOWHERE) return false;
    if (scope == PRIVATE && private_ok) return true;
    return scope == ELSEWHERE || scope_of(own) == scope;
}

/* Those who wait, not accepted yet. */
enum { QUEUE = 512, QUEUE_DEFERRED = 4096 };

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
    if (listen(fd, QUEUE)) goto out; /* in a longer one all wait longer */
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

static bool makes_cookies(void)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_syncookies", "re");
    int c = file ? getc(file) : EOF;

    if (file) fclose(file);
    return c == '1' || c == '2';
}

/* The deferred fill the queue, not those who have spoken, so it is a long one. */
void net_listen_defer(int fd, unsigned s)
{
    int seconds = (int)s;

    if (!s || !makes_cookies()) return;
    if (setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds))
        return;
    listen(fd, QUEUE_DEFERRED);
}
