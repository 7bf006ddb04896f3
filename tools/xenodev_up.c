/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodev up: what a platform is laid out as, from nothing or from its state. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xenodev.h"

#ifndef XN_DATADIR
#define XN_DATADIR "/usr/local/share/xenoserver"
#endif

/* The catalogue that ships: installed, or beside us in a build tree. */
static const char *default_catalogue(void)
{
    static char path[DEV_PATH_MAX];
    const char *source = getenv("XENODEV_CATALOGUE");
    char self[DEV_PATH_MAX - 64];
    ssize_t len;
    char *slash;

    if (source && *source) return source;
    len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    snprintf(path, sizeof path, "%s/../share/xenoserver/catalogue.csv", self);
    if (access(path, R_OK) == 0) return path;
    snprintf(path, sizeof path, "%s/catalogue.csv", self);
    if (access(path, R_OK) == 0) return path;
    return XN_DATADIR "/catalogue.csv";
}

static int write_client_config(const struct dev_platform *platform)
{
    char path[DEV_PATH_MAX], text[256];

    snprintf(text, sizeof text,
             "find {\n    currency = \"%s\"\n    lease = \"%s\"\n}\n",
             platform->currency, platform->lease_max);
    dev_path(platform, path, "xeno.conf");
    return dev_write_file(path, text, strlen(text));
}

static int make_folders(const struct dev_platform *platform)
{
    char path[DEV_PATH_MAX];

    dev_path(platform, path, "log");
    return dev_mkdir(path);
}

static int take_ports(struct dev_platform *platform)
{
    /* Where to begin: differs from run to run, so that platforms side by side
     * have ports of their own after a restart too. */
    unsigned from = (unsigned)getpid() * 97U + (unsigned)time(NULL);
    int ports[DEV_PORTS_MAX];
    size_t i, at = 0;
    int rc = dev_ports_find(&platform->ports, from, ports,
                            DEV_CORPS + 3 * platform->n_servers);

    if (rc) return rc;
    for (i = 0; i < DEV_CORPS; i++) {
        platform->corps[i].process.port_api = ports[at++];
    }
    for (i = 0; i < platform->n_servers; i++) {
        platform->servers[i].node.port_links = ports[at++];
        platform->servers[i].node.port_api = ports[at++];
        platform->servers[i].host.port_api = ports[at++];
    }
    return 0;
}

/* The port it had, or another where that has been taken since. */
static int take_again(struct dev_platform *platform, int *port)
{
    unsigned next = (unsigned)*port + 1;

    if (dev_ports_keep(&platform->ports, *port)) return 0;
    fprintf(stderr,
            "xenodev: port %d is taken by now, another is used: "
            "eval \"$(xenodev env)\" again\n",
            *port);
    return dev_ports_find(&platform->ports, next, port, 1);
}

int xenodev_take_again(struct dev_platform *platform, const unsigned *numbers,
                       size_t n)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < n && !rc; i++) {
        struct dev_server *server = &platform->servers[numbers[i] - 1];

        if (!dev_alive(&server->node)) {
            rc = take_again(platform, &server->node.port_links);
            if (!rc) rc = take_again(platform, &server->node.port_api);
        }
        if (!rc && !dev_alive(&server->host)) {
            rc = take_again(platform, &server->host.port_api);
        }
    }
    return rc;
}

static int take_all_again(struct dev_platform *platform)
{
    size_t i;
    unsigned number;
    int rc = 0;

    for (i = 0; i < DEV_CORPS && !rc; i++) {
        rc = take_again(platform, &platform->corps[i].process.port_api);
    }
    for (number = 1; number <= platform->n_servers && !rc; number++) {
        rc = xenodev_take_again(platform, &number, 1);
    }
    return rc;
}

static int take_images(struct dev_platform *platform, const char *folder)
{
    char *real = realpath(folder, NULL);

    if (!real || strlen(real) + 4 > sizeof platform->images) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL, "cannot keep images",
                     "a folder that is there", "%s: %s", folder,
                     real ? "too long" : strerror(errno));
        free(real);
        return XN_EINVAL;
    }
    snprintf(platform->images, sizeof platform->images, "%s", real);
    free(real);
    return 0;
}

static int lay_out(struct dev_platform *platform,
                   const struct xenodev_options *opt)
{
    static const char *const names[DEV_CORPS] = {"alpha.example",
                                                 "beta.example"};
    size_t i;

    snprintf(platform->currency, sizeof platform->currency, "%s",
             opt->currency);
    snprintf(platform->lease, sizeof platform->lease, "%s", opt->lease);
    snprintf(platform->lease_max, sizeof platform->lease_max, "%s", opt->lease);
    platform->seed = opt->seed;
    for (i = 0; i < opt->n_sets; i++)
        platform->sets[i] = opt->sets[i];
    platform->n_sets = opt->n_sets;
    for (i = 0; i < DEV_CORPS; i++) {
        snprintf(platform->corps[i].name, sizeof platform->corps[i].name, "%s",
                 names[i]);
    }
    platform->tasks = opt->manager ? strcmp(opt->manager, "sandbox") == 0
                                   : dev_tasks_possible(platform);
    if (opt->images && take_images(platform, opt->images)) return XN_EINVAL;
    platform->n_servers = opt->servers;
    for (i = 0; i < opt->servers; i++) {
        struct dev_server *server = &platform->servers[i];
        const char *program = opt->programs[i + 1];

        server->number = (unsigned)i + 1;
        snprintf(server->name, sizeof server->name, "server-%02zu", i + 1);
        snprintf(server->program, sizeof server->program, "%s",
                 program ? program : "");
    }
    return take_ports(platform);
}

static int write_offers(const struct dev_platform *platform,
                        const struct dev_catalogue *catalogue)
{
    size_t i;
    int rc = 0;

    if (dev_catalogue_rows(catalogue) < platform->n_servers) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL, "cannot draw the servers",
                     "fewer --servers, or a larger --catalogue",
                     "the catalogue has %zu priced rows",
                     dev_catalogue_rows(catalogue));
        return XN_EINVAL;
    }
    for (i = 0; !rc && i < platform->n_servers; i++) {
        const struct dev_server *server = &platform->servers[i];
        const char *corp = platform->corps[server->number % DEV_CORPS].name;
        struct dev_offer *offer = NULL;
        char path[DEV_PATH_MAX];
        struct xn_buf text;

        xn_buf_init(&text, 0);
        rc = dev_offer_new(platform, catalogue, i, server->name, corp, &offer);
        if (!rc) rc = dev_offer_config(offer, platform->lease, &text);
        dev_path(platform, path, "host-%02u.conf", server->number);
        if (!rc) rc = dev_write_file(path, text.data, text.len);
        dev_offer_free(offer);
        xn_buf_clear(&text);
    }
    return rc;
}

static int inject(struct dev_platform *platform,
                  const struct dev_catalogue *catalogue, uint64_t ads)
{
    struct net_identity client = {.key = NULL};
    int rc;

    if (ads == 0) return 0;
    rc = dev_client(platform, &client);
    if (!rc)
        rc = dev_inject(platform, catalogue, platform->n_servers, ads, &client);
    net_identity_clear(&client);
    if (rc) return rc;
    return dev_wait_findable(platform, platform->n_servers + ads, 300);
}

static int start_everything(struct dev_platform *platform)
{
    unsigned numbers[DEV_SERVERS_MAX];
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < DEV_CORPS; i++)
        rc = dev_start_corp(platform, i);
    for (i = 0; i < platform->n_servers; i++) {
        numbers[i] = platform->servers[i].number;
    }
    if (!rc) rc = dev_give_money(platform);
    if (!rc) rc = dev_start_servers(platform, numbers, platform->n_servers);
    dev_ports_release(&platform->ports); /* all listen by now */
    return rc;
}

static int up_new(struct dev_platform *platform,
                  const struct xenodev_options *opt)
{
    struct dev_catalogue *catalogue = NULL;
    const char *path = opt->catalogue ? opt->catalogue : default_catalogue();
    int rc;

    rc = dev_catalogue_read(path, &catalogue);
    if (rc) return rc;
    dev_catalogue_shuffle(catalogue, opt->seed);
    rc = dev_claim(platform);
    if (!rc) rc = make_folders(platform);
    if (!rc) rc = lay_out(platform, opt);
    if (!rc && opt->latency) rc = dev_latency_read(platform, opt->latency);
    if (!rc && opt->latency) rc = dev_latency_delays(platform);
    if (!rc) rc = write_client_config(platform);
    if (!rc) rc = write_offers(platform, catalogue);
    if (!rc) rc = dev_make_corps(platform);
    if (!rc) rc = start_everything(platform);
    /* Saved in any case: what was started must be stoppable. */
    if (dev_save(platform) && !rc) rc = XN_EIO;
    if (!rc) rc = dev_wait_findable(platform, platform->n_servers, 300);
    if (!rc) rc = inject(platform, catalogue, opt->ads);
    dev_latency_free(platform->latency);
    platform->latency = NULL;
    dev_catalogue_free(catalogue);
    return rc;
}

/* A platform that never came up: its logs stay, the next `up` begins anew.
 * Nothing stays where that was somebody's wish. */
static void abandon(struct dev_platform *platform)
{
    char path[DEV_PATH_MAX];

    xenodev_stop_all(platform);
    dev_path(platform, path, "platform.json");
    unlink(path);
    if (dev_interrupted()) {
        dev_images_end(platform);
        dev_wipe(platform, true);
    }
}

int xenodev_up(struct dev_platform *platform, const struct xenodev_options *opt)
{
    int rc = dev_load(platform);

    if (rc == 0 && xenodev_is_up(platform)) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EBUSY, NULL, "cannot bring a platform up",
                     "xenodev status, or xenodev down",
                     "one runs already in %s", platform->state);
        return XN_EBUSY;
    }
    if (rc == 0) {
        fprintf(stderr, "xenodev: starting the platform kept in %s\n",
                platform->state);
        rc = take_all_again(platform);
        if (!rc) rc = start_everything(platform);
        if (dev_save(platform) && !rc) rc = XN_EIO;
        if (!rc) rc = dev_wait_findable(platform, platform->n_servers, 300);
        if (rc) xenodev_stop_all(platform);
    } else if (rc == XN_ENOENT) {
        rc = up_new(platform, opt);
        if (rc) abandon(platform);
    }
    if (rc == XN_ECANCELLED) {
        fputs("xenodev: interrupted; what was started is stopped again\n",
              stderr);
    }
    if (rc) return rc;
    fprintf(stderr,
            "xenodev: %zu servers are findable, 100 %s wait at each XenoCorp\n",
            platform->n_servers, platform->currency);
    xenodev_env(platform);
    return 0;
}
