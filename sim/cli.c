/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/cli.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/text.h"

enum { SETS_MAX = 64 };

struct line { /* the command line, taken apart */
    const char *command;
    const char *file;
    uint32_t nodes;
    uint64_t seed;
    const char *nodes_text, *seed_text, *wire, *verbose, *help, *version;
    const char *out, *latency;
    const char *sets[SETS_MAX]; /* key=value */
    size_t n_sets;
};

static void help(const struct sim_cli *cli, const struct xn_options *options)
{
    printf("Usage: %s run SCENARIO [OPTION]...\n", cli->program);
    if (cli->replayed) printf("       %s replay RECORDING\n", cli->program);
    printf("%s\n\n", cli->purpose);
    xn_options_help(options);
    puts("\nExit: 0 all checks held, 1 one did not or the run failed, 2 "
         "usage.");
}

static int usage(const struct sim_cli *cli, const char *because)
{
    char try[64];

    snprintf(try, sizeof try, "%s --help", cli->program);
    xn_gripe(cli->program, "cannot understand the command line [XS-2-USAGE]",
             because, try);
    return XN_EXIT_USAGE;
}

/* -1: go on; else the exit code. */
static int judge_line(const struct sim_cli *cli, struct line *line)
{
    uint64_t n = 0;
    size_t i;

    if (line->nodes_text &&
        (xn_number_parse(line->nodes_text, SIM_NODES_MAX, &n) || !n)) {
        return usage(cli, "--nodes wants a number from 1 to 16777216");
    }
    line->nodes = (uint32_t)n;
    if (line->seed_text &&
        xn_number_parse(line->seed_text, UINT64_MAX, &line->seed)) {
        return usage(cli, "--seed wants a number");
    }
    for (i = 0; i < line->n_sets; i++) {
        if (!strchr(line->sets[i], '=')) {
            return usage(cli, "--set wants KEY=VALUE");
        }
    }
    return -1;
}

static int take_line(const struct sim_cli *cli, int argc, char **argv,
                     struct line *line)
{
    const struct xn_option table[] = {
        XN_OPTION("nodes", 0, "N", "how many nodes; beats the scenario",
                  &line->nodes_text),
        XN_OPTION("seed", 0, "S",
                  "another seed, another run; beats the scenario; default 1",
                  &line->seed_text),
        XN_OPTION("out", 0, "DIR",
                  "write summary.csv, series.csv and plots there", &line->out),
        XN_OPTION("wire", 0, NULL,
                  "decode every message anew from its bytes and check it",
                  &line->wire),
        XN_OPTION_LIST("set", "KEY=VALUE",
                       "a setting of the cores or of the simulator; repeatable",
                       line->sets, &line->n_sets),
        XN_OPTION("latency", 0, "FILE",
                  "latencies: rtt_*_NxN.u16le.xz, .txt, .tsv or .csv",
                  &line->latency),
        XN_OPTION("verbose", 0, NULL, "tell what the cores log",
                  &line->verbose),
        XN_OPTION("help", 0, NULL, "this text", &line->help),
        XN_OPTION("version", 0, NULL, "the version", &line->version),
    };
    const struct xn_options options = {table, sizeof table / sizeof table[0],
                                       false};
    char because[200];
    int words;

    if (xn_options_read(&options, argc, argv, &words, because,
                        sizeof because)) {
        return usage(cli, because);
    }
    if (line->help) {
        help(cli, &options);
        return XN_EXIT_OK;
    }
    if (line->version) {
        printf("%s (XenoServer) %s\n", cli->program, PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    if (argc - words != 2) {
        return usage(cli, cli->replayed ? "expected run SCENARIO or replay "
                                          "RECORDING"
                                        : "expected run SCENARIO");
    }
    line->command = argv[words];
    line->file = argv[words + 1];
    return judge_line(cli, line);
}

/* ---- run ---- */

static int cannot_read(const struct sim_cli *cli, const char *path, int rc)
{
    xn_gripef(cli->program, "cannot read the scenario [XS-1-SCENARIO]",
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
            xn_gripef(cli->program,
                      "cannot understand the scenario [XS-2-SCENARIO]",
                      "doc/SCENARIOS.md has the language", "%s:%u:%u: %s",
                      line->file, error.line, error.column,
                      error.text[0] ? error.text : xn_strerror(rc));
        }
    }
    xn_buf_clear(&buf);
    if (!rc && ((!scn->nodes && !line->nodes) || !scn->run_us)) {
        xn_gripe(cli->program, "cannot run the scenario [XS-2-SCENARIO]",
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
        xn_gripe(cli->program, "cannot use a setting [XS-2-SETTING]",
                 xn_strerror(rc), NULL);
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
    options.seed = line->seed_text ? line->seed : scn.has_seed ? scn.seed : 1;
    command = again(cli, line, &scn, options.seed);
    options.command = command ? command : "";
    rc = sim_run(&options);
    if (rc == XN_ENOMEM) {
        xn_gripe(cli->program, "cannot go on [XS-1-RUN]", xn_strerror(rc),
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
