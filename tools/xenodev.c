/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodev: the whole platform on one machine, as real processes on loopback;
 * no Xen, no root, no network. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/span.h"
#include "lib/text.h"
#include "net/file.h"
#include "tools/xenodev.h"

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

/* ---- verbs ---- */

static int no_platform(const struct dev_platform *platform)
{
    xn_gripe_rcf(DEV_PROGRAM, XN_ENOENT, NULL, "there is no platform",
                 "xenodev up", "%s/platform.json does not exist",
                 platform->state);
    return XN_ENOENT;
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

/* ---- options ---- */

static int parse_program(const char *text, struct xenodev_options *opt)
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

static int judge_options(const struct texts *texts, struct xenodev_options *opt)
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
static int parse_options(int argc, char **argv, struct xenodev_options *opt,
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

/* ---- main ---- */

static int run_verb(const char *verb, struct dev_platform *platform,
                    const struct xenodev_options *opt, char **words,
                    int n_words)
{
    unsigned numbers[DEV_SERVERS_MAX];
    size_t n;
    int rc;

    if (strcmp(verb, "up") == 0) return xenodev_up(platform, opt);
    rc = dev_load(platform);
    if (rc == XN_ENOENT) return no_platform(platform);
    if (rc) return rc;
    if (strcmp(verb, "down") == 0) return xenodev_down(platform, opt);
    if (strcmp(verb, "status") == 0) return xenodev_status(platform);
    if (strcmp(verb, "env") == 0) {
        xenodev_env(platform);
        return 0;
    }
    rc = parse_numbers(platform, words, n_words, numbers, &n);
    if (rc) return rc;
    if (strcmp(verb, "kill") == 0) return xenodev_kill(platform, numbers, n);
    return xenodev_start(platform, numbers, n);
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
    struct xenodev_options opt = {
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
