/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/text.h"

/* Not every daemon has links, and a XenoCorp joins none: theirs come first. */
#define LINK_SETTINGS 4
#define JOIN_SETTINGS 3
static const struct net_setting common_settings[] = {
    {"limits.links", NET_NUMBER, "2048", 8, 65536,
     "links in any state: accepted, dialled, half open"},
    {"limits.handshakes", NET_NUMBER, "50", 0, 10000,
     "handshakes of links per second that come in; 0: no bound"},
    {"links.private", NET_BOOL, "no", 0, 0,
     "dial private addresses even where links come in at no such one"},
    {"listen.links", NET_TEXT, "127.0.0.1:0", 3, 63, "where links come in"},
    {"join.corps", NET_TEXT, NULL, 1, 4096,
     "URL#ID of XenoCorps, between blanks, where no --corp is given"},
    {"join.label", NET_TEXT, NULL, 1, 63, "where no --label is given"},
    {"join.invitation", NET_TEXT, NULL, 1, 128,
     "where no --invitation is given"},
    {"limits.connections", NET_NUMBER, "512", 4, 65536,
     "HTTPS connections at once"},
    {"limits.connects", NET_NUMBER, "100", 0, 1000000,
     "HTTPS connections per second and address that begin; 0: no bound"},
    {"limits.connects_all", NET_NUMBER, "400", 0, 1000000,
     "the same of all addresses where no member has proved itself; 0: no "
     "bound"},
    {"limits.anonymous", NET_NUMBER, "50", 0, 1000000,
     "requests per second and address without a certificate; 0: no bound"},
    {"limits.certified", NET_NUMBER, "500", 0, 1000000,
     "requests per second of one certified caller; 0: no bound"},
    {"limits.threads", NET_NUMBER, "1", 1, 16, "threads that sign and verify"},
    {"listen.api", NET_TEXT, "127.0.0.1:0", 3, 63, "where HTTPS comes in"},
    {"log.form", NET_TEXT, "text", 4, 4, "text, or json: an object a line"},
    {"log.level", NET_TEXT, "info", 4, 5, "error, warn, info or debug"},
};

const struct net_setting *net_common_settings(Xn__Role role, size_t *n_out)
{
    const size_t skip = role == XN__ROLE__NODE ? 0
                        : role == XN__ROLE__SERVER
                            ? LINK_SETTINGS
                            : LINK_SETTINGS + JOIN_SETTINGS;

    *n_out = sizeof common_settings / sizeof common_settings[0] - skip;
    return common_settings + skip;
}

/* What one parse needs: the common options' places, and all as one table. */
struct command {
    struct xn_option all[XN_OPTIONS_MAX];
    size_t n;
    const char *corps[NET_DAEMON_CORPS_MAX];
    size_t n_corps;
    const char *ready_fd, *seed, *help, *version;
};

static void add(struct command *c, struct xn_option option)
{
    assert(c->n < XN_OPTIONS_MAX);
    c->all[c->n++] = option;
}

static void add_one(struct command *c, const char *name, const char *arg,
                    const char *help, const char **value)
{
    add(c, (struct xn_option)XN_OPTION(name, 0, arg, help, value));
}

static void add_common(struct command *c, struct net_daemon *d)
{
    add_one(c, "config", "FILE", "settings", &d->config);
    add(c, (struct xn_option)XN_OPTION_LIST(
               "set", "KEY=VALUE", "one setting, before those of --config",
               d->sets, &d->n_sets));
    add_one(c, "state", "DIR", "key, certificate, store; one daemon per folder",
            &d->state);
    if (d->wants_links) {
        add_one(c, "listen", "ADDRESS", "where links come in (listen.links)",
                &d->listen);
        add_one(c, "delay", "FILE", "for tests: hold frames back, by peer",
                &d->delay);
    }
    if (d->wants_api) {
        add_one(c, "listen-api", "ADDRESS", "where HTTPS comes in (listen.api)",
                &d->listen_api);
    }
    add_one(c, "log-level", "LEVEL", "error, warn, info or debug (log.level)",
            &d->log_level);
    add_one(c, "record", "FILE", "write every step down, for xenosim replay",
            &d->record);
    add_one(c, "seed", "N", "of choices that may repeat", &c->seed);
    add_one(c, "ready-fd", "N", "say there when all is bound, and close it",
            &c->ready_fd);
    add_one(c, "help", NULL, "this text", &c->help);
    add_one(c, "version", NULL, "the version", &c->version);
}

static void add_enrolment(struct command *c, struct net_daemon *d)
{
    if (d->role == XN__ROLE__CORP) {
        add_one(c, "name", "NAME", "what it is called; for its first start",
                &d->label);
        return;
    }
    add(c,
        (struct xn_option)XN_OPTION_LIST(
            "corp", "URL#ID", "a XenoCorp to accept; the first one certifies",
            c->corps, &c->n_corps));
    add_one(c, "label", "NAME", "how people call it", &d->label);
    add_one(c, "owner", "TEXT", "for the register", &d->owner);
    add_one(c, "invitation", "TEXT", "where the XenoCorp asks for one",
            &d->invitation);
    if (d->role != XN__ROLE__SERVER) return;
    add_one(c, "payout", "TEXT", "where earnings go", &d->payout);
    add_one(c, "machine", "TEXT", "hardware, for the register", &d->machine);
}

static void print_settings(const struct net_setting *rows, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        printf("  %-20s %-12s %s\n", rows[i].key,
               rows[i].fallback ? rows[i].fallback : "", rows[i].help);
    }
}

static void print_help(const struct net_daemon *d, const struct command *c)
{
    const struct xn_options options = {c->all, c->n, true};
    size_t n_common;
    const struct net_setting *common = net_common_settings(d->role, &n_common);

    printf("Usage: %s [OPTION]...\n%s\n\n", d->program, d->purpose);
    xn_options_help(&options);
    printf("\nSettings and what they are unless given:\n");
    print_settings(d->settings_rows, d->n_settings_rows);
    print_settings(common, n_common);
}

static int usage(const struct net_daemon *d, const char *because,
                 const char *try)
{
    char help[80];

    snprintf(help, sizeof help, "%s --help", d->program);
    xn_gripe(d->program, "cannot start [XS-2-USAGE]", because,
             try ? try : help);
    return XN_EINVAL;
}

static int read_words(struct net_daemon *d, struct command *c, int argc,
                      char **argv)
{
    const struct xn_options options = {c->all, c->n, true};
    char because[160];
    int words;

    if (xn_options_read(&options, argc, argv, &words, because,
                        sizeof because)) {
        return usage(d, because, NULL);
    }
    if (words == argc) return 0;
    snprintf(because, sizeof because, "'%.60s' is no option", argv[words]);
    return usage(d, because, NULL);
}

static int read_number(const struct net_daemon *d, const char *name,
                       const char *text, uint64_t max, uint64_t *number_out)
{
    char because[160];

    if (xn_number_parse(text, max, number_out) == 0) return 0;
    snprintf(because, sizeof because,
             "--%s is a number up to %llu, not '%.40s'", name,
             (unsigned long long)max, text);
    return usage(d, because, NULL);
}

static int read_corps(struct net_daemon *d, const struct command *c)
{
    char because[300];
    size_t i;

    for (i = 0; i < c->n_corps; i++) {
        if (net_corp_parse(c->corps[i], &d->corps[i])) {
            snprintf(because, sizeof because, "'%.200s' is not a XenoCorp",
                     c->corps[i]);
            return usage(d, because, "--corp https://host:port#ID");
        }
    }
    d->n_corps = c->n_corps;
    return 0;
}

int net_options_corps(const char *list, struct net_corp *corps, size_t max,
                      size_t *n_out, char *bad_out, size_t len)
{
    size_t n;

    for (*n_out = 0;; list += n) {
        list += strspn(list, " ");
        n = strcspn(list, " ");
        if (!n) return 0;
        snprintf(bad_out, len, "%.*s", (int)n, list);
        if (*n_out == max || n >= len ||
            net_corp_parse(bad_out, &corps[*n_out])) {
            return XN_EINVAL;
        }
        ++*n_out;
    }
}

int net_options_parse(struct net_daemon *d, int argc, char **argv)
{
    struct command c = {.n = 0};
    uint64_t number;
    size_t i;
    int rc;

    d->ready_fd = -1;
    add_common(&c, d);
    if (d->role) add_enrolment(&c, d);
    for (i = 0; i < d->n_options; i++)
        add(&c, d->options[i]);
    rc = read_words(d, &c, argc, argv);
    if (rc) return rc;
    d->exit_now = c.help || c.version;
    if (c.help) {
        print_help(d, &c);
    } else if (c.version) {
        printf("%s (XenoServer) %s\n", d->program, VERSION);
    }
    if (d->exit_now) return 0;
    if (c.ready_fd) {
        rc = read_number(d, "ready-fd", c.ready_fd, 1023, &number);
        if (!rc) d->ready_fd = (int)number;
    }
    if (!rc && c.seed) {
        rc = read_number(d, "seed", c.seed, UINT64_MAX, &number);
        if (!rc) d->seed = number;
    }
    d->seed_given = c.seed != NULL;
    return rc ? rc : read_corps(d, &c);
}
