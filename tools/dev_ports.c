/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports for the platform's programs, kept from when they are chosen until the
 * programs listen, so that platforms that start at once never choose the same.
 *
 * Kept is a name among the abstract sockets, which only one process can have
 * at a time, and which ends with it; all xenodevs on the machine agree on the
 * names.  Keeping the port itself bound would not do: the program could not
 * listen there. */
#include "tools/dev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"

/* Below the range that outgoing connections use, so that a restarted program
 * finds its port free again. */
enum { PORT_FIRST = 12000, PORTS = 20000 };

/* Can a program listen there?  `anew`: nothing has been there lately; else
 * what connections of a killed one left behind does not matter. */
static bool is_free(int port, bool anew)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    bool free;

    if (fd < 0) return false;
    if (!anew) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    free = bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
           listen(fd, 1) == 0;
    close(fd);
    return free;
}

/* The descriptor that keeps it; -1 where another process does. */
static int keep_name(int port)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int len = snprintf(sun.sun_path + 1, sizeof sun.sun_path - 1,
                       "xenodev/port/%d", port);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&sun,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                         (size_t)len)) == 0) {
        return fd;
    }
    close(fd);
    return -1;
}

static bool keep(struct dev_ports *ports, int port, bool anew)
{
    int fd;

    if (ports->n == DEV_PORTS_MAX) return false;
    fd = keep_name(port);
    if (fd < 0) return false;
    if (!is_free(port, anew)) {
        close(fd);
        return false;
    }
    ports->fds[ports->n++] = fd;
    return true;
}

bool dev_ports_keep(struct dev_ports *ports, int port)
{
    return keep(ports, port, false);
}

/* A descriptor for each port is more than the usual 1024 in all. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int dev_ports_find(struct dev_ports *ports, unsigned from, int *ports_out,
                   size_t n)
{
    size_t found = 0;
    unsigned tried;

    allow_descriptors();
    for (tried = 0; tried < PORTS && found < n; tried++) {
        int port = PORT_FIRST + (int)((from % PORTS + tried) % PORTS);

        if (keep(ports, port, true)) ports_out[found++] = port;
    }
    if (found == n) return 0;
    xn_gripe_rcf(DEV_PROGRAM, XN_EBUSY, NULL, "cannot find free ports",
                 "fewer --servers",
                 "of the loopback ports %d to %d only %zu are free", PORT_FIRST,
                 PORT_FIRST + PORTS - 1, found);
    return XN_EBUSY;
}

void dev_ports_release(struct dev_ports *ports)
{
    while (ports->n > 0)
        close(ports->fds[--ports->n]);
}
