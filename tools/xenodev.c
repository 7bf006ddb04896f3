/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodev: the whole platform on one machine, as real processes on loopback;
 * no Xen, no root, no network. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libsmartcols/libsmartcols.h>

#include "config.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/span.h"
#include "lib/text.h"
#include "net/client.h"
#include "net/file.h"
#include "tools/dev.h"

#ifndef XN_DATADIR
#define XN_DATADIR "/usr/local/share/xenoserver"
#endif

struct options {
    unsigned servers;
    uint64_t ads;
    uint64_t seed;
    const char *catalogue;
    const char *latency;
    const char *currency;
    const char *state;
    const char *lease;
    const char *manager;
    const char *images;
    const char *sets[64];
    size_t n_sets;
    const char *programs[DEV_SERVERS_MAX + 1]; /* by number */
    bool keep;
};

struct texts { /* of options that are still to be judged */
    const char *servers, *ads, *seed, *keep, *help, *version;
    const char *noded[DEV_SERVERS_MAX];
    size_t n_noded;
};

static const char usage_text[] =
    "usage: xenodev up [OPTION]...\n"
    "       xenodev down [--keep] | status | env | kill N... | start N...\n"
    "\n"
    "The whole platform on this machine: two XenoCorps and N servers, each a\n"
    "node, a host agent and what runs its tasks, as processes on loopback.\n"
    "\n"
    "  up       start it, wait until every server is findable, print env\n"
    "  env      print the environment: eval \"$(xenodev env)\"\n"
    "  status   what runs\n"
    "  kill     kill -9 all processes of these servers, and their tasks\n"
    "  start    start what of them does not run, from its state\n"
    "  down     stop everything, tasks too; removes the state unless --keep\n"
    "\n";

static int usage_error(const char *because)
{
    xn_gripe_rc(DEV_PROGRAM, XN_EINVAL, "USAGE",
                "cannot understand the command", because, "xenodev --help");
    return XN_EXIT_USAGE;
}

/* ---- where things are ---- */

static int default_state(char *out, size_t len)
{
    const char *env = getenv("XENODEV_STATE"), *home = getenv("HOME");

    if (env && *env) {
        snprintf(out, len, "%s", env);
        return 0;
    }
    if (!home || !*home) {
        xn_gripe_rc(DEV_PROGRAM, XN_EINVAL, NULL,
                    "cannot choose a state folder", "HOME is not set",
                    "--state DIR");
        return XN_EINVAL;
    }
    snprintf(out, len, "%s/.local/state/xenodev", home);
    if (net_file_parents(out)) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EIO, NULL, "cannot choose a state folder",
                     "--state DIR", "%s: %s", out, strerror(errno));
        return XN_EIO;
    }
    return 0;
}

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

/* ---- up ---- */

/* NAME='STATE/file' for a shell, whatever is in the path. */
static void print_path(const char *name, const struct dev_platform *platform,
                       const char *file)
{
    const char *p;

    printf("export %s='", name);
    for (p = platform->state; *p; p++) {
        if (*p == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*p);
        }
    }
    printf("%s'\n", file);
}

static void print_env(const struct dev_platform *platform)
{
    char url[256];
    size_t i;

    printf("export XENO_NODES='");
    for (i = 0; i < platform->n_servers; i++) {
        printf("%shttps://127.0.0.1:%d", i ? " " : "",
               platform->servers[i].node.port_api);
    }
    printf("'\nexport XENO_CORP='");
    for (i = 0; i < DEV_CORPS; i++) {
        dev_corp_url(platform, i, url, sizeof url);
        printf("%s%s", i ? " " : "", url);
    }
    puts("'");
    print_path("XENO_KEY", platform, "/client");
    print_path("XENO_CONFIG", platform, "/xeno.conf");
    print_path("XENODEV_STATE", platform, "");
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

static int take_servers_again(struct dev_platform *platform,
                              const unsigned *numbers, size_t n)
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
        rc = take_servers_again(platform, &number, 1);
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

static int lay_out(struct dev_platform *platform, const struct options *opt)
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

static void stop_everything(struct dev_platform *platform)
{
    struct dev_process *all[DEV_CORPS + 3 * DEV_SERVERS_MAX];
    size_t i, n = all_processes(platform, all);

    for (i = 0; i < n; i++)
        dev_signal(all[i], SIGTERM);
    dev_reap(all, n, 10000);
    dev_tasks_end(platform, NULL, 0, SIGTERM, true);
}

static bool is_up(struct dev_platform *platform)
{
    struct dev_process *all[DEV_CORPS + 3 * DEV_SERVERS_MAX];
    size_t i, n = all_processes(platform, all);

    for (i = 0; i < n; i++) {
        if (dev_alive(all[i])) return true;
    }
    return false;
}

static int up_new(struct dev_platform *platform, const struct options *opt)
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
    if (!rc) rc = dev_wait_findable(platform, platform->n_servers, 120);
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

    stop_everything(platform);
    dev_path(platform, path, "platform.json");
    unlink(path);
    if (dev_interrupted()) {
        dev_images_end(platform);
        dev_wipe(platform, true);
    }
}

static int run_up(struct dev_platform *platform, const struct options *opt)
{
    int rc = dev_load(platform);

    if (rc == 0 && is_up(platform)) {
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
        if (!rc) rc = dev_wait_findable(platform, platform->n_servers, 120);
        if (rc) stop_everything(platform);
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
    print_env(platform);
    return 0;
}

/* ---- the other verbs ---- */

static int no_platform(const struct dev_platform *platform)
{
    xn_gripe_rcf(DEV_PROGRAM, XN_ENOENT, NULL, "there is no platform",
                 "xenodev up", "%s/platform.json does not exist",
                 platform->state);
    return XN_ENOENT;
}

static int run_down(struct dev_platform *platform, const struct options *opt)
{
    stop_everything(platform);
    if (!opt->keep) dev_images_end(platform);
    return opt->keep ? 0 : dev_wipe(platform, true);
}

static void status_row(struct libscols_table *table, const char *what,
                       const struct dev_process *process,
                       const Xn__NodeStatus *status)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    char text[64];

    if (!line) return;
    scols_line_set_data(line, 0, what);
    snprintf(text, sizeof text, "%d", (int)process->pid);
    scols_line_set_data(line, 1, dev_alive(process) ? text : "-");
    snprintf(text, sizeof text, "%d", process->port_api);
    scols_line_set_data(line, 2, process->port_api ? text : "");
    if (!status) return;
    snprintf(text, sizeof text, "%u", status->links);
    scols_line_set_data(line, 3, text);
    snprintf(text, sizeof text, "%u", status->ads);
    scols_line_set_data(line, 4, text);
    scols_line_set_data(line, 5, status->settled ? "yes" : "no");
}

static int run_status(struct dev_platform *platform)
{
    static const char *const columns[] = {"PROGRAM", "PID", "API",
                                          "LINKS",   "ADS", "SETTLED"};
    struct net_identity client = {.key = NULL};
    struct libscols_table *table;
    char what[96], path[DEV_PATH_MAX];
    size_t i;

    scols_init_debug(0);
    table = scols_new_table();
    for (i = 0; i < 6; i++) {
        scols_table_new_column(table, columns[i], 0,
                               i && i < 5 ? SCOLS_FL_RIGHT : 0);
    }
    dev_path(platform, path, "client");
    if (net_identity_load(path, &client)) net_identity_anonymous(&client);
    for (i = 0; i < DEV_CORPS; i++) {
        snprintf(what, sizeof what, "corp %s", platform->corps[i].name);
        status_row(table, what, &platform->corps[i].process, NULL);
    }
    for (i = 0; i < platform->n_servers; i++) {
        const struct dev_server *server = &platform->servers[i];
        Xn__NodeStatus *status = NULL;

        if (dev_alive(&server->node)) {
            dev_node_status(&client, server->node.port_api, &status);
        }
        snprintf(what, sizeof what, "node %s", server->name);
        status_row(table, what, &server->node, status);
        if (status) xn__node_status__free_unpacked(status, NULL);
        if (platform->tasks) {
            snprintf(what, sizeof what, "domd %s", server->name);
            status_row(table, what, &server->domd, NULL);
        }
        snprintf(what, sizeof what, "host %s", server->name);
        status_row(table, what, &server->host, NULL);
    }
    scols_print_table(table);
    scols_unref_table(table);
    net_identity_clear(&client);
    return 0;
}

/* Each server once, however often it is named. */
static int parse_numbers(const struct dev_platform *platform, char **words,
                         int n_words, unsigned *numbers, size_t *n_out)
{
    bool named[DEV_SERVERS_MAX + 1] = {false};
    int i;

    *n_out = 0;
    for (i = 0; i < n_words; i++) {
        uint64_t number;

        if (xn_number_parse(words[i], platform->n_servers, &number) ||
            number < 1) {
            xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL,
                         "there is no such server", "xenodev status",
                         "'%s' is not a number from 1 to %zu", words[i],
                         platform->n_servers);
            return XN_EINVAL;
        }
        if (!named[number]) numbers[(*n_out)++] = (unsigned)number;
        named[number] = true;
    }
    return 0;
}

static int run_kill(struct dev_platform *platform, const unsigned *numbers,
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

static int run_start(struct dev_platform *platform, const unsigned *numbers,
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
    rc = take_servers_again(platform, numbers, n);
    if (!rc) rc = dev_start_servers(platform, numbers, n);
    if (dev_save(platform) && !rc) rc = XN_EIO;
    return rc;
}

/* ---- main ---- */

static int parse_program(const char *text, struct options *opt)
{
    const char *equal = strchr(text, '=');
    char number_text[8];
    uint64_t number;

    if (!equal || equal - text >= (int)sizeof number_text) return -1;
    snprintf(number_text, sizeof number_text, "%.*s", (int)(equal - text),
             text);
    if (xn_number_parse(number_text, DEV_SERVERS_MAX, &number) || !number) {
        return -1;
    }
    opt->programs[number] = equal + 1;
    return 0;
}

static int judge_options(const struct texts *texts, struct options *opt)
{
    uint64_t number, span_us;
    size_t i;

    if (texts->ads && xn_number_parse(texts->ads, UINT32_MAX, &opt->ads)) {
        return usage_error("--ads wants a number");
    }
    if (texts->servers) {
        if (xn_number_parse(texts->servers, DEV_SERVERS_MAX, &number) ||
            number < 1) {
            return usage_error("--servers wants a number from 1 to 256");
        }
        opt->servers = (unsigned)number;
    }
    if (texts->seed && xn_number_parse(texts->seed, UINT64_MAX, &opt->seed)) {
        return usage_error("--seed wants a number");
    }
    if (strlen(opt->currency) != 3 ||
        strspn(opt->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3) {
        return usage_error("--currency wants three capital letters");
    }
    if (xn_span_parse(opt->lease, &span_us) || strlen(opt->lease) > 15) {
        return usage_error("--lease wants a time such as 15m");
    }
    if (opt->manager && strcmp(opt->manager, "sandbox") != 0 &&
        strcmp(opt->manager, "reserve") != 0) {
        return usage_error("--manager wants sandbox or reserve");
    }
    for (i = 0; i < texts->n_noded; i++) {
        if (parse_program(texts->noded[i], opt)) {
            return usage_error("--noded wants N=PROGRAM");
        }
    }
    opt->keep = texts->keep;
    return XN_EXIT_OK;
}

/* -1: go on with the words from *words_out; else the exit code. */
static int parse_options(int argc, char **argv, struct options *opt,
                         int *words_out)
{
    struct texts texts = {.n_noded = 0};
    const struct xn_option table[] = {
        XN_OPTION("servers", 0, "N", "how many (default 24)", &texts.servers),
        XN_OPTION("catalogue", 0, "CSV",
                  "what they offer, rows drawn by seed (.xz too)",
                  &opt->catalogue),
        XN_OPTION("currency", 0, "CUR",
                  "of the catalogue's prices (default USD)", &opt->currency),
        XN_OPTION("seed", 0, "N", "of the draw (default 1)", &texts.seed),
        XN_OPTION("lease", 0, "DUR", "of the advertisements (default 15m)",
                  &opt->lease),
        XN_OPTION("manager", 0, "NAME",
                  "of sessions: sandbox runs tasks, reserve none "
                  "(default: what can be)",
                  &opt->manager),
        XN_OPTION("images", 0, "DIR",
                  "tasks may bring images, which are kept there", &opt->images),
        XN_OPTION("ads", 0, "N", "inject N more advertisements", &texts.ads),
        XN_OPTION("latency", 0, "MATRIX",
                  "places and delays, such as latency-seattle99.txt",
                  &opt->latency),
        XN_OPTION("state", 0, "DIR",
                  "default $XENODEV_STATE, else ~/.local/state/xenodev",
                  &opt->state),
        XN_OPTION_LIST("set", "KEY=VALUE",
                       "a setting of all nodes (see xenonoded(8))", opt->sets,
                       &opt->n_sets),
        XN_OPTION_LIST("noded", "N=PROGRAM",
                       "run PROGRAM as the node of server N", texts.noded,
                       &texts.n_noded),
        XN_OPTION("keep", 0, NULL, "down: leave the state for another up",
                  &texts.keep),
        XN_OPTION("help", 'h', NULL, "this text", &texts.help),
        XN_OPTION("version", 0, NULL, "the version", &texts.version),
    };
    const struct xn_options options = {table, sizeof table / sizeof table[0],
                                       false};
    char because[160];
    int code;

    if (xn_options_read(&options, argc, argv, words_out, because,
                        sizeof because)) {
        return usage_error(because);
    }
    if (texts.help) {
        fputs(usage_text, stdout);
        xn_options_help(&options);
        return XN_EXIT_OK;
    }
    if (texts.version) {
        puts("xenodev (XenoServer) " PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    code = judge_options(&texts, opt);
    return code ? code : -1;
}

static int run_verb(const char *verb, struct dev_platform *platform,
                    const struct options *opt, char **words, int n_words)
{
    unsigned numbers[DEV_SERVERS_MAX];
    size_t n;
    int rc;

    if (strcmp(verb, "up") == 0) return run_up(platform, opt);
    rc = dev_load(platform);
    if (rc == XN_ENOENT) return no_platform(platform);
    if (rc) return rc;
    if (strcmp(verb, "down") == 0) return run_down(platform, opt);
    if (strcmp(verb, "status") == 0) return run_status(platform);
    if (strcmp(verb, "env") == 0) {
        print_env(platform);
        return 0;
    }
    rc = parse_numbers(platform, words, n_words, numbers, &n);
    if (rc) return rc;
    if (strcmp(verb, "kill") == 0) return run_kill(platform, numbers, n);
    return run_start(platform, numbers, n);
}

/* kill and start want the servers' numbers, the others nothing. */
static int check_words(const char *verb, char *const *words, int n_words)
{
    bool wants = strcmp(verb, "kill") == 0 || strcmp(verb, "start") == 0;
    char because[160];

    if (wants == (n_words > 0)) return 0;
    if (wants) {
        snprintf(because, sizeof because, "%s which servers? 1, 2, ...", verb);
    } else {
        snprintf(because, sizeof because,
                 "%s takes no further word such as "
                 "'%.60s'",
                 verb, words[0]);
    }
    return usage_error(because);
}

static enum dev_access access_of(const char *verb)
{
    if (strcmp(verb, "up") == 0) return DEV_CREATE;
    if (strcmp(verb, "env") == 0 || strcmp(verb, "status") == 0) {
        return DEV_LOOK;
    }
    return DEV_CHANGE;
}

int main(int argc, char **argv)
{
    static const char *const verbs[] = {"up",  "down", "status",
                                        "env", "kill", "start"};
    static struct dev_platform platform;
    struct options opt = {
        .servers = 24, .seed = 1, .currency = "USD", .lease = "15m"};
    char state[DEV_PATH_MAX];
    const char *verb;
    int rc, words;
    size_t i;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    rc = parse_options(argc, argv, &opt, &words);
    if (rc >= 0) return xn_end(DEV_PROGRAM, rc);
    if (words == argc) return usage_error("no verb");
    verb = argv[words];
    if (strcmp(verb, "help") == 0) {
        static char help[] = "--help";
        char *line[] = {argv[0], help, NULL};

        return xn_end(DEV_PROGRAM, parse_options(2, line, &opt, &words));
    }
    for (i = 0; i < 6 && strcmp(verb, verbs[i]); i++)
        continue;
    if (i == 6) {
        const char *near = xn_nearest(verb, verbs, 6);

        xn_gripe_rcf(
            DEV_PROGRAM, XN_EINVAL, "USAGE", "cannot understand the command",
            "xenodev --help", "there is no verb '%s'%s%s%s", verb,
            near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
        return XN_EXIT_USAGE;
    }
    rc = check_words(verb, argv + words + 1, argc - words - 1);
    if (rc) return rc;
    if (opt.state) {
        snprintf(state, sizeof state, "%s", opt.state);
    } else {
        rc = default_state(state, sizeof state);
        if (rc) return xn_exit_code(rc);
    }
    /* What starts processes writes down which before it ends. */
    if (strcmp(verb, "up") == 0 || strcmp(verb, "start") == 0) {
        dev_catch_signals();
    }
    rc = dev_open(&platform, state, access_of(verb));
    if (rc == XN_ENOENT) rc = no_platform(&platform);
    if (!rc) {
        rc =
            run_verb(verb, &platform, &opt, argv + words + 1, argc - words - 1);
    }
    dev_ports_release(&platform.ports);
    dev_close(&platform);
    dev_end_as_caught();
    return xn_end(DEV_PROGRAM, xn_exit_code(rc));
}
