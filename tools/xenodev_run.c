/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodev down, kill, start: processes of a platform that is there. */
#include <signal.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xenodev.h"

static size_t all_processes(struct dev_platform *platform,
                            struct dev_process **out)
{
    size_t i, n = 0;

    /* Hosts first: a withdrawn server needs its node. */
    for (i = 0; i < platform->n_servers; i++) {
        out[n++] = &platform->servers[i].host;
    }
    for (i = 0; i < platform->n_servers; i++) {
        out[n++] = &platform->servers[i].node;
        out[n++] = &platform->servers[i].domd;
    }
    for (i = 0; i < DEV_CORPS; i++)
        out[n++] = &platform->corps[i].process;
    return n;
}

void xenodev_stop_all(struct dev_platform *platform)
{
    struct dev_process *all[DEV_CORPS + 3 * DEV_SERVERS_MAX];
    size_t i, n = all_processes(platform, all);

    for (i = 0; i < n; i++)
        dev_signal(all[i], SIGTERM);
    dev_reap(all, n, 60000);
    dev_tasks_end(platform, NULL, 0, SIGTERM, true);
}

bool xenodev_is_up(struct dev_platform *platform)
{
    struct dev_process *all[DEV_CORPS + 3 * DEV_SERVERS_MAX];
    size_t i, n = all_processes(platform, all);

    for (i = 0; i < n; i++) {
        if (dev_alive(all[i])) return true;
    }
    return false;
}

int xenodev_down(struct dev_platform *platform,
                 const struct xenodev_options *opt)
{
    xenodev_stop_all(platform);
    if (!opt->keep) dev_images_end(platform);
    return opt->keep ? 0 : dev_wipe(platform, true);
}

int xenodev_kill(struct dev_platform *platform, const unsigned *numbers,
                 size_t n)
{
    struct dev_process *victims[3 * DEV_SERVERS_MAX];
    size_t i;

    for (i = 0; i < n; i++) {
        struct dev_server *server = &platform->servers[numbers[i] - 1];

        victims[3 * i] = &server->node;
        victims[3 * i + 1] = &server->host;
        victims[3 * i + 2] = &server->domd;
    }
    for (i = 0; i < 3 * n; i++)
        dev_signal(victims[i], SIGKILL);
    dev_reap(victims, 3 * n, 10000);
    dev_tasks_end(platform, numbers, n, SIGKILL, false);
    return 0;
}

int xenodev_start(struct dev_platform *platform, const unsigned *numbers,
                  size_t n)
{
    size_t i;
    int rc;

    for (i = 0; i < n; i++) {
        const struct dev_server *server = &platform->servers[numbers[i] - 1];

        if (!dev_alive(&server->node) || !dev_alive(&server->host) ||
            (platform->tasks && !dev_alive(&server->domd))) {
            continue;
        }
        xn_gripe_rcf(DEV_PROGRAM, XN_EBUSY, NULL, "cannot start a server",
                     "xenodev kill first", "%s runs already", server->name);
        return XN_EBUSY;
    }
    rc = xenodev_take_again(platform, numbers, n);
    for (i = 0; !rc && i < DEV_CORPS; i++) { /* no server is there without */
        if (!dev_alive(&platform->corps[i].process))
            rc = dev_start_corp(platform, i);
    }
    if (!rc) rc = dev_start_servers(platform, numbers, n);
    if (dev_save(platform) && !rc) rc = XN_EIO;
    return rc;
}
