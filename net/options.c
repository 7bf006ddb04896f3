/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/text.h"

enum { OPTIONS_MAX = 64 };

static const struct net_setting common_settings[] = {
    {"limits.links", NET_NUMBER, "2048", 8, 65536,
     "links in any state: accepted, dialled, half open"},
    {"limits.connections", NET_NUMBER, "512", 4, 65536,
     "HTTPS connections at once"},
    {"limits.anonymous", NET_NUMBER, "50", 0, 1000000,
     "requests per second and address without a certificate; 0: no bound"},
    {"limits.threads", NET_NUMBER, "1", 1, 16, "threads that sign and verify"},
    {"listen.links", NET_TEXT, "127.0.0.1:0", 3, 63, "where links come in"},
    {"listen.api", NET_TEXT, "127.0.0.1:0", 3, 63, "where HTTPS comes in"},
    {"log.level", NET_TEXT, "info", 4, 5, "error, warn, info or debug"},
};

const struct net_setting *net_common_settings(size_t *n_out)
{
    *n_out = sizeof common_settings / sizeof common_settings[0];
    return common_settings;
}

/* What one parse needs: the common options' places, and all as one table. */
struct command {
    struct net_option all[OPTIONS_MAX];
    size_t n;
    const char *corps[NET_DAEMON_CORPS_MAX];
    size_t n_corps;
    const char *ready_fd, *seed, *help, *version;
};

static void add(struct command *c, struct net_option option)
{
    if (c->n < OPTIONS_MAX - 1) c->all[c->n++] = option;
}

static void add_common(struct command *c, struct net_daemon *d)
{
    add(c,
        (struct net_option){"config", "FILE", "settings", &d->config, 1, NULL});
    add(c, (struct net_option){"set", "KEY=VALUE",
                               "one setting, before those of --config", d->sets,
                               NET_DAEMON_SETS_MAX, &d->n_sets});
    add(c, (struct net_option){"state", "DIR",
                               "key, certificate, store; one daemon per folder",
                               &d->state, 1, NULL});
    if (d->wants_links) {
        add(c, (struct net_option){"listen", "ADDRESS",
                                   "where links come in (listen.links)",
                                   &d->listen, 1, NULL});
        add(c, (struct net_option){"delay", "FILE",
                                   "for tests: hold frames back, by peer",
                                   &d->delay, 1, NULL});
    }
    if (d->wants_api) {
        add(c, (struct net_option){"listen-api", "ADDRESS",
                                   "where HTTPS comes in (listen.api)",
                                   &d->listen_api, 1, NULL});
    }
    add(c, (struct net_option){"log-level", "LEVEL",
                               "error, warn, info or debug (log.level)",
                               &d->log_level, 1, NULL});
    add(c, (struct net_option){"record", "FILE",
                               "write every step down, for xenosim replay",
                               &d->record, 1, NULL});
    add(c, (struct net_option){"seed", "N", "of choices that may repeat",
                               &c->seed, 1, NULL});
    add(c, (struct net_option){"ready-fd", "N",
                               "say there when all is bound, and close it",
                               &c->ready_fd, 1, NULL});
    add(c, (struct net_option){"help", NULL, "this text", &c->help, 1, NULL});
    add(c, (struct net_option){"version", NULL, "the version", &c->version, 1,
                               NULL});
}

static void add_enrolment(struct command *c, struct net_daemon *d)
{
    if (d->role == XN__ROLE__CORP) {
        add(c, (struct net_option){"name", "NAME",
                                   "what it is called; for its first start",
                                   &d->label, 1, NULL});
        return;
    }
    add(c, (struct net_option){"corp", "URL#ID",
                               "a XenoCorp to accept; the first one certifies",
                               c->corps, NET_DAEMON_CORPS_MAX, &c->n_corps});
    add(c, (struct net_option){"label", "NAME", "how people call it", &d->label,
                               1, NULL});
    add(c, (struct net_option){"owner", "TEXT", "for the register", &d->owner,
                               1, NULL});
    add(c, (struct net_option){"invitation", "TEXT",
                               "where the XenoCorp asks for one",
                               &d->invitation, 1, NULL});
    if (d->role != XN__ROLE__SERVER) return;
    add(c, (struct net_option){"payout", "TEXT", "where earnings go",
                               &d->payout, 1, NULL});
    add(c, (struct net_option){"machine", "TEXT", "hardware, for the register",
                               &d->machine, 1, NULL});
}

static void print_option(const struct net_option *option)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", option->name,
             option->arg ? " " : "", option->arg ? option->arg : "");
    printf("  %-24s %s\n", left, option->help);
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
    size_t i;

    printf("Usage: %s [OPTION]...\n%s\n\n", d->program, d->purpose);
    for (i = 0; i < c->n; i++)
        print_option(&c->all[i]);
    printf("\nSettings and what they are unless given:\n");
    print_settings(d->settings_rows, d->n_settings_rows);
    print_settings(common_settings,
                   sizeof common_settings / sizeof common_settings[0]);
}

static int usage(const struct net_daemon *d, const char *because,
                 const char *try)
{
    xn_gripe(d->program, "cannot start", because, try);
    return XN_EINVAL;
}

static int unknown(const struct net_daemon *d, const struct command *c,
                   const char *word)
{
    const char *names[OPTIONS_MAX], *near;
    char because[160], try[80];
    size_t i, len = strcspn(word, "=");
    char bare[64];

    for (i = 0; i < c->n; i++)
        names[i] = c->all[i].name;
    snprintf(bare, sizeof bare, "%.*s", len < 60 ? (int)len : 60, word);
    near =
        strncmp(bare, "--", 2) == 0 ? xn_nearest(bare + 2, names, c->n) : NULL;
    snprintf(because, sizeof because, "unknown option %s", bare);
    snprintf(try, sizeof try, "--%s", near ? near : "help");
    return usage(d, because, try);
}

static int take(const struct net_daemon *d, const struct net_option *option,
                size_t *count, const char *value)
{
    char because[160];

    if (*count == option->max) {
        snprintf(because, sizeof because, "--%s is given more than %s",
                 option->name,
                 option->max == 1 ? "once" : "so often as it may");
        return usage(d, because, NULL);
    }
    option->values[(*count)++] = value ? value : "";
    if (option->n) *option->n = *count;
    return 0;
}

static int read_words(struct net_daemon *d, struct command *c, int argc,
                      char **argv)
{
    struct option longs[OPTIONS_MAX] = {{0}};
    size_t counts[OPTIONS_MAX] = {0}, i;
    char because[160];
    int at, got, rc = 0;

    for (i = 0; i < c->n; i++) {
        longs[i].name = c->all[i].name;
        longs[i].has_arg = c->all[i].arg ? required_argument : no_argument;
    }
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    while (!rc) {
        at = -1;
        got = getopt_long(argc, argv, "+:", longs, &at);
        if (got == -1) break;
        if (got == ':') {
            snprintf(because, sizeof because, "%.60s wants a value",
                     argv[optind - 1]);
            rc = usage(d, because, "--help");
        } else if (got != 0 || at < 0) {
            rc = unknown(d, c, argv[optind - 1]);
        } else {
            rc = take(d, &c->all[at], &counts[at], optarg);
        }
    }
    if (!rc && optind < argc) {
        snprintf(because, sizeof because, "'%.60s' is not an option",
                 argv[optind]);
        rc = usage(d, because, "--help");
    }
    return rc;
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
