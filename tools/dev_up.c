/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bringing the platform's programs up. */
#include "tools/dev.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"

enum { READY_MS = 180000, URL_MAX = 256, ARGS_MAX = 200, FAILOVER = 3 };

/* Arguments of one program, with the memory of those that are made up. */
struct args {
    char *v[ARGS_MAX];
    size_t n;
    struct xn_buf text[ARGS_MAX / 2];
    size_t n_text;
};

static void add(struct args *args, const char *word)
{
    if (args->n + 1 < ARGS_MAX) args->v[args->n++] = (char *)(uintptr_t)word;
    args->v[args->n] = NULL;
}

/* An option and its value, copied. */
static void add2(struct args *args, const char *option, const char *value)
{
    struct xn_buf *text = &args->text[args->n_text++];

    xn_buf_str(text, value);
    xn_buf_char(text, '\0');
    add(args, option);
    add(args, xn_buf_rc(text) ? "" : (char *)text->data);
}

static void clear(struct args *args)
{
    while (args->n_text > 0)
        xn_buf_clear(&args->text[--args->n_text]);
}

static void add_address(struct args *args, const char *option, int port)
{
    char text[32];

    snprintf(text, sizeof text, "127.0.0.1:%d", port);
    add2(args, option, text);
}

static void add_state(const struct dev_platform *platform, struct args *args,
                      const char *folder)
{
    char path[DEV_PATH_MAX];

    dev_path(platform, path, "%s", folder);
    add2(args, "--state", path);
}

void dev_corp_url(const struct dev_platform *platform, size_t i, char *out,
                  size_t len)
{
    const struct dev_process *process = &platform->corps[i].process;

    snprintf(out, len, "https://127.0.0.1:%d#%s", process->port_api,
             process->id);
}

/* ---- corps ---- */

/* Both corps' keys are made before either runs, so that each can be given the
 * other's certificate: they accept each other's nodes. */
int dev_make_corps(struct dev_platform *platform)
{
    struct net_identity made[DEV_CORPS] = {{.key = NULL}};
    char path[DEV_PATH_MAX];
    size_t i, j;
    int rc = 0;

    for (i = 0; !rc && i < DEV_CORPS; i++) {
        struct dev_corp *corp = &platform->corps[i];

        dev_path(platform, path, "corp-%s", corp->name);
        rc = dev_mkdir(path);
        if (!rc) {
            rc = net_identity_corp(DEV_PROGRAM, path, corp->name, &made[i]);
        }
        if (!rc) xn_id_hex(&made[i].cert.id, corp->process.id);
    }
    for (i = 0; !rc && i < DEV_CORPS; i++) {
        dev_path(platform, path, "corp-%s/corps", platform->corps[i].name);
        rc = dev_mkdir(path);
        for (j = 0; !rc && j < DEV_CORPS; j++) {
            if (i == j) continue;
            dev_path(platform, path, "corp-%s/corps/%s.pem",
                     platform->corps[i].name, platform->corps[j].name);
            rc = xn_cert_save(made[j].x509, path);
        }
    }
    for (i = 0; i < DEV_CORPS; i++)
        net_identity_clear(&made[i]);
    return rc;
}

int dev_start_corp(struct dev_platform *platform, size_t i)
{
    struct dev_corp *corp = &platform->corps[i];
    struct args args = {.n = 0};
    char log[DEV_PATH_MAX], folder[80];
    int ready, rc;

    snprintf(folder, sizeof folder, "corp-%s", corp->name);
    dev_path(platform, log, "log/%s.log", folder);
    add(&args, "xenocorpd");
    add_state(platform, &args, folder);
    add2(&args, "--name", corp->name);
    add_address(&args, "--listen-api", corp->process.port_api);
    /* One machine plays everybody. */
    add2(&args, "--set", "limits.connects=0"); /* all from one address */
    add2(&args, "--set", "register.per_minute=0");
    add2(&args, "--set", "nodes.per_day=0");
    add2(&args, "--set", "orders.per_minute=0");
    add2(&args, "--set", "claims.per_minute=0");
    rc = dev_spawn("corp", args.v, log, &corp->process, &ready);
    if (!rc) rc = dev_save(platform); /* so that it can be stopped */
    if (!rc) dev_go(ready);
    if (!rc) rc = dev_wait_ready(&corp->process, ready, log, READY_MS);
    clear(&args);
    return rc;
}

/* ---- servers ---- */

/* The first corp of the list issues; which one alternates. */
static void add_corps(const struct dev_platform *platform, struct args *args,
                      size_t first)
{
    size_t i;

    for (i = 0; i < DEV_CORPS; i++) {
        char url[URL_MAX];

        dev_corp_url(platform, (first + i) % DEV_CORPS, url, sizeof url);
        add2(args, "--corp", url);
    }
}

static int spawn_node(struct dev_platform *platform, struct dev_server *server,
                      int *ready_out)
{
    struct args args = {.n = 0};
    char log[DEV_PATH_MAX], folder[80], lease[64], delays[DEV_PATH_MAX];
    size_t i;
    int rc;

    snprintf(folder, sizeof folder, "node-%02u", server->number);
    dev_path(platform, log, "log/%s.log", folder);
    add(&args, *server->program ? server->program : "xenonoded");
    add_state(platform, &args, folder);
    add2(&args, "--label", server->name);
    add_address(&args, "--listen", server->node.port_links);
    add_address(&args, "--listen-api", server->node.port_api);
    add_corps(platform, &args, server->number);
    snprintf(lease, sizeof lease, "index.lease=%s", platform->lease_max);
    add2(&args, "--set", lease);
    if (dev_latency_file(platform, server, delays)) {
        add2(&args, "--delay", delays);
    }
    /* All clients come from one address here. */
    add2(&args, "--set", "limits.connects=0");
    add2(&args, "--set", "limits.anonymous=0");
    add2(&args, "--set", "limits.certified=0");
    for (i = 0; i < platform->n_sets; i++) {
        add2(&args, "--set", platform->sets[i]);
    }
    rc = dev_spawn("node", args.v, log, &server->node, ready_out);
    clear(&args);
    return rc;
}

/* Its own server's node first, then the next ones. */
static void add_nodes(const struct dev_platform *platform, struct args *args,
                      size_t first)
{
    size_t i;

    for (i = 0; i < FAILOVER && i < platform->n_servers; i++) {
        const struct dev_server *server =
            &platform->servers[(first + i) % platform->n_servers];
        char url[64];

        snprintf(url, sizeof url, "https://127.0.0.1:%d",
                 server->node.port_api);
        add2(args, "--node", url);
    }
}

/* A server offers what stands in a catalogue, not what this machine has: its
 * xenodomd holds nothing back.  As root, tasks of each are users of its own. */
static int spawn_domd(struct dev_platform *platform, struct dev_server *server,
                      int *ready_out)
{
    struct args args = {.n = 0};
    char log[DEV_PATH_MAX], folder[80], keeper[DEV_PATH_MAX], uid[32];
    char images[DEV_PATH_MAX];
    int rc;

    if (platform->images[0]) {
        rc = dev_images_folder(platform, server->number, images);
        if (rc) return rc;
    }
    snprintf(folder, sizeof folder, "domd-%02u", server->number);
    snprintf(uid, sizeof uid, "%u", 2000000 + 1000 * server->number);
    dev_path(platform, log, "log/%s.log", folder);
    dev_program("keeper", "xeno-keeper", keeper);
    add(&args, "xenodomd");
    add_state(platform, &args, folder);
    add2(&args, "--memory", "1048576");
    add2(&args, "--sessions", "1000");
    add2(&args, "--uid-base", uid);
    if (strchr(keeper, '/')) add2(&args, "--keeper", keeper);
    if (platform->images[0]) add2(&args, "--images", images);
    rc = dev_spawn("keeper", args.v, log, &server->domd, ready_out);
    clear(&args);
    return rc;
}

static void add_images(const struct dev_platform *platform, struct args *args,
                       const struct dev_server *server)
{
    char path[DEV_PATH_MAX], set[DEV_PATH_MAX + 32];

    if (dev_images_folder(platform, server->number, path)) return;
    snprintf(set, sizeof set, "images.folder=%s", path);
    add2(args, "--set", set);
    snprintf(set, sizeof set, "images.store=%s", platform->images);
    add2(args, "--set", set);
    add2(args, "--set", "images.hosts=*");
    add2(args, "--set", "images.private=yes"); /* all is on loopback */
    dev_program("net", "xeno-unpack", path);
    if (!strchr(path, '/')) return;
    snprintf(set, sizeof set, "images.unpacker=%s", path);
    add2(args, "--set", set);
}

static void add_manager(const struct dev_platform *platform, struct args *args,
                        const struct dev_server *server)
{
    char path[DEV_PATH_MAX], set[DEV_PATH_MAX + 32];

    if (platform->tasks && platform->images[0])
        add_images(platform, args, server);
    if (!platform->tasks) {
        add2(args, "--set", "sell.manager=reserve");
        return;
    }
    dev_path(platform, path, "domd-%02u/socket", server->number);
    snprintf(set, sizeof set, "sell.xenodomd=%s", path);
    add2(args, "--set", set);
}

static int spawn_host(struct dev_platform *platform, struct dev_server *server,
                      int *ready_out)
{
    struct args args = {.n = 0};
    char log[DEV_PATH_MAX], folder[80], config[DEV_PATH_MAX];
    int rc;

    snprintf(folder, sizeof folder, "host-%02u", server->number);
    dev_path(platform, log, "log/%s.log", folder);
    dev_path(platform, config, "%s.conf", folder);
    add(&args, "xenohostd");
    add_state(platform, &args, folder);
    add2(&args, "--label", server->name);
    add2(&args, "--config", config);
    add_address(&args, "--listen-api", server->host.port_api);
    add_corps(platform, &args, server->number);
    add_nodes(platform, &args, (size_t)(server - platform->servers));
    add_manager(platform, &args, server);
    rc = dev_spawn("hostagent", args.v, log, &server->host, ready_out);
    clear(&args);
    return rc;
}

/* What a server consists of, in the order in which it is started. */
static const struct part {
    const char *word; /* of its folder and log */
    const char *what;
    size_t at; /* of its process in a dev_server */
    int (*spawn)(struct dev_platform *platform, struct dev_server *server,
                 int *ready_out);
} parts[] = {
    {"node", "nodes up:", offsetof(struct dev_server, node), spawn_node},
    {"domd", "runners of tasks up:", offsetof(struct dev_server, domd),
     spawn_domd},
    {"host", "host agents up:", offsetof(struct dev_server, host), spawn_host},
};

static struct dev_process *process_of(struct dev_server *server,
                                      const struct part *part)
{
    return (struct dev_process *)(void *)((char *)server + part->at);
}

/* Starts one program of each server, all at once, then waits for all.  What
 * was started is saved before: whatever becomes of us, it can be stopped. */
static int start_all(struct dev_platform *platform, struct dev_server **servers,
                     size_t n, const struct part *part)
{
    int ready[DEV_SERVERS_MAX], rc = 0;
    char log[DEV_PATH_MAX];
    size_t i, started;

    for (started = 0; started < n; started++) {
        ready[started] = -1;
        if (dev_alive(process_of(servers[started], part))) continue;
        rc = dev_interrupted();
        if (!rc) rc = part->spawn(platform, servers[started], &ready[started]);
        if (rc) break;
    }
    if (dev_save(platform) && !rc) rc = XN_EIO;
    for (i = 0; i < started; i++) {
        if (ready[i] >= 0 && !rc) dev_go(ready[i]);
    }
    for (i = 0; i < started; i++) {
        if (ready[i] < 0) continue;
        if (rc) {
            close(ready[i]);
            continue;
        }
        dev_path(platform, log, "log/%s-%02u.log", part->word,
                 servers[i]->number);
        rc = dev_wait_ready(process_of(servers[i], part), ready[i], log,
                            READY_MS);
        dev_progress(part->what, i + 1, n);
    }
    dev_progress("", 0, 0);
    return rc;
}

int dev_start_servers(struct dev_platform *platform, const unsigned *numbers,
                      size_t n)
{
    struct dev_server *servers[DEV_SERVERS_MAX];
    size_t i;
    int rc = 0;

    for (i = 0; i < n; i++)
        servers[i] = &platform->servers[numbers[i] - 1];
    for (i = 0; !rc && i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].spawn == spawn_domd && !platform->tasks) continue;
        rc = start_all(platform, servers, n, &parts[i]);
    }
    return rc;
}

/* ---- is everything findable? ---- */

int dev_client(struct dev_platform *platform, struct net_identity *identity)
{
    struct net_corp corps[DEV_CORPS];
    struct net_enrolment enrolment = {
        .program = DEV_PROGRAM,
        .corp = &corps[0],
        .role = XN__ROLE__CLIENT,
        .label = "developer",
    };
    char path[DEV_PATH_MAX], url[URL_MAX];
    size_t i;
    int rc;

    dev_path(platform, path, "client");
    rc = dev_mkdir(path);
    if (rc) return rc;
    for (i = 0; i < DEV_CORPS; i++) {
        dev_corp_url(platform, i, url, sizeof url);
        rc = net_corp_parse(url, &corps[i]);
        if (rc) return rc;
    }
    rc = net_identity_enrol(path, &enrolment, identity);
    for (i = 1; !rc && i < DEV_CORPS; i++) {
        rc = net_identity_accept(DEV_PROGRAM, path, &corps[i], identity);
    }
    return rc;
}

/* How many ads this node finds; 0 where it cannot say. */
static uint64_t known_at(const struct net_identity *client, int port)
{
    static const uint8_t everything[] = {0}; /* an empty Search, no limit */
    Xn__SearchResult *result = NULL;
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[256];
    uint64_t known = 0;

    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1/search", port);
    if (net_request(client, "POST", url, everything, 0, NULL, 10000, &reply,
                    why, sizeof why) == 0 &&
        reply.status == 200) {
        result =
            xn__search_result__unpack(NULL, reply.body.len, reply.body.data);
    }
    if (result) {
        known = result->answered_ppm == 1000000 ? result->matching : 0;
        xn__search_result__free_unpacked(result, NULL);
    }
    net_reply_clear(&reply);
    return known;
}

int dev_node_status(const struct net_identity *client, int port,
                    Xn__NodeStatus **status_out)
{
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[256];
    int rc;

    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1/status", port);
    rc = net_request(client, "GET", url, NULL, 0, NULL, 10000, &reply, why,
                     sizeof why);
    if (!rc) {
        *status_out =
            xn__node_status__unpack(NULL, reply.body.len, reply.body.data);
        if (!*status_out) rc = XN_EPROTO;
    }
    net_reply_clear(&reply);
    return rc;
}

/* Does it find n ads, and has it settled? */
static bool is_ready(const struct net_identity *client, int port, size_t n)
{
    Xn__NodeStatus *status = NULL;
    bool settled;

    if (known_at(client, port) < n) return false;
    if (dev_node_status(client, port, &status)) return false;
    settled = status->settled;
    xn__node_status__free_unpacked(status, NULL);
    return settled;
}

int dev_wait_findable(struct dev_platform *platform, size_t n,
                      unsigned timeout_s)
{
    struct net_identity client = {.key = NULL};
    time_t deadline = time(NULL) + (time_t)timeout_s;
    size_t i = 0;
    int rc = dev_client(platform, &client);

    while (!rc && i < platform->n_servers) {
        const struct dev_server *server = &platform->servers[i];

        rc = dev_interrupted();
        if (rc) break;
        dev_progress("nodes that find every server:", i, platform->n_servers);
        if (!dev_alive(&server->node) ||
            is_ready(&client, server->node.port_api, n)) {
            i++;
            continue;
        }
        if (time(NULL) >= deadline) {
            xn_gripe_rcf(DEV_PROGRAM, XN_ETIMEOUT, NULL,
                         "not every server is findable", "xenodev status",
                         "%s does not find all %zu after %u s", server->name, n,
                         timeout_s);
            rc = XN_ETIMEOUT;
        }
        poll(NULL, 0, 50);
    }
    dev_progress("", 0, 0);
    net_identity_clear(&client);
    return rc;
}
