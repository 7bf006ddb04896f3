/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/image_url.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

/* ---- URLs ---------------------------------------------------------------- */

static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
    }
    return true;
}

/* No part of it is "..", so it stays below; links are the opener's care. */
static bool stays_below(const char *path)
{
    if (!*path || *path == '/') return false;
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && path[0] == '.' && path[1] == '.') return false;
        path += n + (path[n] == '/');
    }
    return true;
}

static const char *below(const char *path, const char *store)
{
    size_t n = strlen(store);

    while (n > 1 && store[n - 1] == '/')
        n--;
    if (strncmp(path, store, n) != 0 || path[n] != '/') return NULL;
    path += n;
    while (*path == '/')
        path++;
    return path;
}

enum image_source image_source(const char *url, const char *store,
                               const char **path_out)
{
    const char *path = url;

    *path_out = NULL;
    if (!*url || strlen(url) > IMAGE_URL_MAX || !is_plain(url))
        return IMAGE_NOWHERE;
    if (strncasecmp(url, "https://", 8) == 0 ||
        strncasecmp(url, "http://", 7) == 0)
        return IMAGE_WEB;
    if (!store) return IMAGE_NOWHERE;
    if (strncasecmp(url, "file://", 7) == 0)
        path = below(url + 7, store);
    else if (strstr(url, "://"))
        return IMAGE_NOWHERE;
    if (!path || !stays_below(path)) return IMAGE_NOWHERE;
    *path_out = path;
    return IMAGE_STORE;
}

/* ---- hosts --------------------------------------------------------------- */

static bool is_meant(const char *host, const char *pattern, size_t n)
{
    size_t len = strlen(host);

    if (n == 1 && *pattern == '*') return true;
    if (len == n) return strncasecmp(host, pattern, n) == 0;
    if (*pattern != '.') return false;
    if (len + 1 == n) return strncasecmp(host, pattern + 1, len) == 0;
    return len > n && strncasecmp(host + len - n, pattern, n) == 0;
}

static bool is_listed(const char *host, const char *hosts)
{
    while (*hosts) {
        size_t n = strcspn(hosts, " ");

        if (n && is_meant(host, hosts, n)) return true;
        hosts += n + (hosts[n] == ' ');
    }
    return false;
}

/* By libcurl's own reading of the URL: there is none that means one host here
 * and another there. */
bool image_host_ok(const char *url, const char *hosts)
{
    CURLU *parsed = hosts ? curl_url() : NULL;
    char *host = NULL;
    bool ok = false;

    if (parsed &&
        !curl_url_set(parsed, CURLUPART_URL, url, CURLU_GUESS_SCHEME) &&
        !curl_url_get(parsed, CURLUPART_HOST, &host, 0)) {
        ok = is_listed(host, hosts);
    }
    curl_free(host);
    curl_url_cleanup(parsed);
    return ok;
}

/* ---- addresses ----------------------------------------------------------- */

static bool is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family) return false;
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    }
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

bool image_address_is_own(const struct sockaddr *address)
{
    struct ifaddrs *all = NULL, *at;
    bool own = false;

    if (getifaddrs(&all)) return true; /* who knows */
    for (at = all; at && !own; at = at->ifa_next)
        own = at->ifa_addr && is_same(at->ifa_addr, address);
    freeifaddrs(all);
    return own;
}

bool image_port_is_closed(const struct sockaddr *address)
{
    unsigned port = 0;

    if (address->sa_family == AF_INET)
        port = ntohs(
            ((const struct sockaddr_in *)(const void *)address)->sin_port);
    else if (address->sa_family == AF_INET6)
        port = ntohs(
            ((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return port < 1024 && port != 80 && port != 443;
}
