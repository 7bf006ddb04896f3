/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this machine is, where nobody says otherwise. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "hostagent/xenoserver.h"

/* The machine's name as far as it can be a label. */
void server_self_label(char out[33])
{
    char host[256] = "";
    size_t n = 0;

    (void)gethostname(host, sizeof host - 1);
    for (const char *p = host; *p && *p != '.' && n < 32; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            (c == '-' && n)) {
            out[n++] = c;
        }
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    if (!n) strcpy(out, "server");
}

void server_self_machine(char *out, size_t len)
{
    struct utsname name;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);

    if (uname(&name)) strcpy(name.machine, "unknown");
    snprintf(out, len, "%.60s, %ld CPUs, %ld MiB", name.machine, cpus,
             pages / 1024 * (size / 1024));
}

/* Nothing is sent. */
bool server_self_address(const struct net_corp *corp, char out[SERVER_HOST_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
    struct sockaddr_storage self;
    socklen_t len = sizeof self;
    char host[128], *port, address[SERVER_HOST_MAX - 4];
    bool good;
    int fd;

    snprintf(host, sizeof host, "%s", corp->url + strlen("https://"));
    port = strrchr(host, ':');
    if (!port) return false;
    *port++ = '\0';
    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }
    if (getaddrinfo(host, port, &hints, &list)) return false;
    fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    good = fd >= 0 && !connect(fd, list->ai_addr, list->ai_addrlen) &&
           !getsockname(fd, (struct sockaddr *)&self, &len) &&
           !getnameinfo((struct sockaddr *)&self, len, address, sizeof address,
                        NULL, 0, NI_NUMERICHOST);
    if (good) {
        snprintf(out, SERVER_HOST_MAX, strchr(address, ':') ? "[%s]" : "%s",
                 address);
    }
    if (fd >= 0) close(fd);
    freeaddrinfo(list);
    return good;
}

/* An address that can be bound is ours. */
static bool is_own(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICHOST},
                    *list = NULL;
    bool own;
    int fd;

    if (getaddrinfo(host, NULL, &hints, &list)) return false;
    fd = socket(list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    own = fd >= 0 && !bind(fd, list->ai_addr, list->ai_addrlen);
    if (fd >= 0) close(fd);
    freeaddrinfo(list);
    return own;
}

bool server_self_url(const char *url)
{
    char bare[SERVER_HOST_MAX];
    const char *host = url + strlen("https://");
    size_t len = strcspn(host, *host == '[' ? "]" : ":/");

    if (strncmp(url, "https://", 8) != 0 || len >= sizeof bare) return false;
    snprintf(bare, sizeof bare, "%.*s", (int)len, host + (*host == '['));
    bare[strcspn(bare, "]")] = '\0';
    return is_own(bare);
}

bool server_self_node(const char *nodes, char host_out[SERVER_HOST_MAX])
{
    static const char end[] = ":" SERVER_NODE_PORT;
    char bare[SERVER_HOST_MAX];
    size_t len;

    for (; *nodes; nodes += len) {
        nodes += strspn(nodes, " ");
        len = strcspn(nodes, " ");
        if (len <= 8 + strlen(end) || len >= SERVER_HOST_MAX ||
            strncmp(nodes, "https://", 8) != 0 ||
            strncmp(nodes + len - strlen(end), end, strlen(end)) != 0) {
            continue;
        }
        snprintf(host_out, SERVER_HOST_MAX, "%.*s",
                 (int)(len - 8 - strlen(end)), nodes + 8);
        snprintf(bare, sizeof bare, "%s", host_out + (host_out[0] == '['));
        bare[strcspn(bare, "]")] = '\0';
        if (is_own(bare)) return true;
    }
    return false;
}
