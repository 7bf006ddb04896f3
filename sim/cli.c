/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/text.h"

enum { SETS_MAX = 64 };

struct line { /* the command line, taken apart */
    const char *command;
    const char *file;
    uint32_t nodes;
    uint64_t seed;
    bool has_seed, wire, verbose;
    const char *out, *latency;
    char *sets[SETS_MAX]; /* key=value */
    size_t n_sets;
};

static void help(const struct sim_cli *cli)
{
    printf("Usage: %s run SCENARIO [OPTION]...\n", cli->program);
    if (cli->replayed) printf("       %s replay RECORDING\n", cli->program);
    printf("%s\n\n"
           "  --nodes N         how many nodes; beats the scenario\n"
           "  --seed S          another seed, another run; beats the "
           "scenario; default 1\n"
           "  --out DIR         write summary.csv, series.csv and plots "
           "there\n"
           "  --wire            decode every message anew from its bytes and "
           "check it\n"
           "  --set KEY=VALUE   a setting of the cores or of the simulator; "
           "repeatable\n"
           "  --latency FILE    latencies: rtt_*_NxN.u16le.xz, .txt, .tsv or "
           ".csv\n"
           "  --verbose         tell what the cores log\n"
           "  --help            this text\n"
           "  --version         the version\n\n"
           "Exit: 0 all checks held, 1 one did not or the run failed, 2 "
           "usage.\n",
           cli->purpose);
}

static int usage(const struct sim_cli *cli, const char *because)
{
    char try[64];

    snprintf(try, sizeof try, "%s --help", cli->program);
    xn_gripe(cli->program, "cannot understand the command line", because, try);
    return XN_EXIT_USAGE;
}

static const struct option longs[] = {
    {"nodes", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"out", required_argument, NULL, 'o'},
    {"wire", no_argument, NULL, 'w'},
    {"set", required_argument, NULL, 'e'},
    {"latency", required_argument, NULL, 'l'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static int bad_option(const struct sim_cli *cli, const char *why,
                      const char *word)
{
    char text[200];

    snprintf(text, sizeof text, "%s: %s", word, why);
    return usage(cli, text);
}

/* -1: go on; else the exit code. */
static int take_option(const struct sim_cli *cli, struct line *line, int c,
                       const char *word)
{
    uint64_t n;

    switch (c) {
    case 'n':
        if (xn_number_parse(optarg, SIM_NODES_MAX, &n) || !n) {
            return usage(cli, "--nodes wants a number from 1 to 16777216");
        }
        line->nodes = (uint32_t)n;
        return -1;
    case 's':
        if (xn_number_parse(optarg, UINT64_MAX, &line->seed)) {
            return usage(cli, "--seed wants a number");
        }
        line->has_seed = true;
        return -1;
    case 'o': line->out = optarg; return -1;
    case 'w': line->wire = true; return -1;
    case 'v': line->verbose = true; return -1;
    case 'l': line->latency = optarg; return -1;
    case 'e':
        if (!strchr(optarg, '=') || line->n_sets == SETS_MAX) {
            return usage(cli, "--set wants KEY=VALUE, at most 64 of them");
        }
        line->sets[line->n_sets++] = optarg;
        return -1;
    case 'h': help(cli); return XN_EXIT_OK;
    case 'V':
        printf("%s (XenoServer) %s\n", cli->program, PACKAGE_VERSION);
        return XN_EXIT_OK;
    default:
        return bad_option(cli, optopt ? "needs a value" : "unknown option",
                          word);
    }
}

static int take_line(const struct sim_cli *cli, int argc, char **argv,
                     struct line *line)
{
    int c, rc;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        rc = take_option(cli, line, c, argv[optind - 1]);
        if (rc >= 0) return rc;
    }
    if (argc - optind != 2) {
        return usage(cli, cli->replayed ? "expected run SCENARIO or replay "
                                          "RECORDING"
                                        : "expected run SCENARIO");
    }
    line->command = argv[optind];
    line->file = argv[optind + 1];
    return -1;
}

/* ---- run ---- */

static int cannot_read(const struct sim_cli *cli, const char *path, int rc)
{
    xn_gripef(cli->program, "cannot read the scenario",
              "sim/scenarios has some", "%s: %s", path, xn_file_why(rc));
    return XN_EIO;
}

static int load(const struct sim_cli *cli, const struct line *line,
                struct scn *scn)
{
    struct xn_buf buf;
    struct scn_error error;
    int rc;

    xn_buf_init(&buf, 2 * SCN_BYTES_MAX);
    rc = xn_file_read(line->file, &buf);
    if (rc) {
        rc = cannot_read(cli, line->file, rc);
    } else {
        rc = scn_parse((const char *)buf.data, buf.len, scn, &error);
        if (rc) {
            xn_gripef(cli->program, "cannot understand the scenario",
                      "doc/SCENARIOS.md has the language", "%s:%u:%u: %s",
                      line->file, error.line, error.column,
                      error.text[0] ? error.text : xn_strerror(rc));
        }
    }
    xn_buf_clear(&buf);
    if (!rc && ((!scn->nodes && !line->nodes) || !scn->run_us)) {
        xn_gripe(cli->program, "cannot run the scenario",
                 scn->run_us ? "it does not say how many nodes"
                             : "it does not say how long",
                 scn->run_us ? "--nodes 100" : "a line: run 10m");
        rc = XN_EINVAL;
    }
    return rc;
}

static int add_sets(const struct sim_cli *cli, const struct line *line,
                    struct scn *scn)
{
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < line->n_sets; i++) {
        const char *eq = strchr(line->sets[i], '=');
        char key[SCN_WORD_MAX] = "";
        size_t len = (size_t)(eq - line->sets[i]);

        if (len < sizeof key) memcpy(key, line->sets[i], len);
        rc = scn_add_set(scn, key, eq + 1);
    }
    if (rc) {
        xn_gripe(cli->program, "cannot use a setting", xn_strerror(rc), NULL);
    }
    return rc;
}

/* A word that a shell reads as it is. */
static void add_word(struct xn_buf *buf, const char *word)
{
    const char *p;

    xn_buf_char(buf, ' ');
    if (!word[strcspn(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!")] && *word) {
        xn_buf_str(buf, word);
        return;
    }
    xn_buf_char(buf, '\'');
    for (p = word; *p; p++) {
        if (*p == '\'') {
            xn_buf_str(buf, "'\\''");
        } else {
            xn_buf_char(buf, *p);
        }
    }
    xn_buf_char(buf, '\'');
}

static char *again(const struct sim_cli *cli, const struct line *line,
                   const struct scn *scn, uint64_t seed)
{
    struct xn_buf buf = {0};
    size_t i;

    xn_buf_printf(&buf, "%s run", cli->program);
    add_word(&buf, line->file);
    xn_buf_printf(&buf, " --nodes %u --seed %llu",
                  line->nodes ? line->nodes : scn->nodes,
                  (unsigned long long)seed);
    if (line->wire) xn_buf_str(&buf, " --wire");
    if (line->latency) {
        xn_buf_str(&buf, " --latency");
        add_word(&buf, line->latency);
    }
    for (i = 0; i < line->n_sets; i++) {
        xn_buf_str(&buf, " --set");
        add_word(&buf, line->sets[i]);
    }
    return xn_buf_steal_str(&buf);
}

static int run(const struct sim_cli *cli, const struct line *line)
{
    struct sim_run_options options = {
        .program = cli->program,
        .nodes = line->nodes,
        .wire = line->wire,
        .verbose = line->verbose,
        .latency = line->latency,
        .out = line->out,
        .maker = cli->maker,
        .probe = cli->probe,
    };
    struct scn scn = {0};
    char *command = NULL;
    int rc;

    rc = load(cli, line, &scn);
    if (!rc) rc = add_sets(cli, line, &scn);
    if (rc) goto out;
    options.scn = &scn;
    options.seed = line->has_seed ? line->seed : scn.has_seed ? scn.seed : 1;
    command = again(cli, line, &scn, options.seed);
    options.command = command ? command : "";
    rc = sim_run(&options);
    if (rc == XN_ENOMEM) {
        xn_gripe(cli->program, "cannot go on", xn_strerror(rc),
                 "fewer nodes, or more memory");
    }
out:
    free(command);
    scn_free(&scn);
    return !rc ? XN_EXIT_OK : rc == XN_EINVAL ? XN_EXIT_USAGE : XN_EXIT_FAILED;
}

int sim_cli_main(const struct sim_cli *cli, int argc, char **argv)
{
    struct line line = {0};
    int rc = take_line(cli, argc, argv, &line);

    if (rc >= 0) return rc;
    if (!strcmp(line.command, "run")) return run(cli, &line);
    if (!strcmp(line.command, "replay") && cli->replayed) {
        return sim_replay(cli, line.file) ? XN_EXIT_FAILED : XN_EXIT_OK;
    }
    return usage(cli, "the first word is a command that does not exist");
}
