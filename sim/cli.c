/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/text.h"
#include "sim/campaign.h"

enum { SETS_MAX = 64 };

struct line { /* the command line, taken apart */
    const char *command;
    const char *file;
    uint32_t nodes;
    uint64_t seed;
    bool seeded;
    uint32_t seeds, jobs;
    const char *nodes_text, *seed_text, *wire, *verbose, *help, *version;
    const char *seeds_text, *jobs_text, *keep_going;
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
    puts("\nExit: 0 all checks held, 1 one did not or a run failed, 2 "
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

/* So many processors as there are. */
static uint32_t jobs_default(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > SIM_JOBS_MAX ? SIM_JOBS_MAX : (uint32_t)n;
}

/* -1: go on; else the exit code. */
static int judge_campaign(const struct sim_cli *cli, struct line *line)
{
    uint64_t seeds = 0, jobs = jobs_default();

    if (line->seeds_text &&
        (xn_number_parse(line->seeds_text, SIM_SEEDS_MAX, &seeds) || !seeds)) {
        return usage(cli, "--seeds wants a number from 1 to 1000000");
    }
    if (line->jobs_text &&
        (xn_number_parse(line->jobs_text, SIM_JOBS_MAX, &jobs) || !jobs)) {
        return usage(cli, "--jobs wants a number from 1 to 1024");
    }
    if (!seeds && (line->jobs_text || line->keep_going)) {
        return usage(cli, "--jobs and --keep-going are for --seeds");
    }
    if (seeds && line->out) {
        return usage(cli, "--out is for one run, --seeds for many");
    }
    line->seeds = (uint32_t)seeds;
    line->jobs = (uint32_t)jobs;
    return -1;
}

/* -1: go on; else the exit code. */
static int judge_line(const struct sim_cli *cli, struct line *line)
{
    uint64_t n = 0;
    size_t i;

    if (line->nodes_text &&
        (xn_number_parse(line->nodes_text, SIM_NODES_MAX, &n) || !n)) {
        return usage(cli, "--nodes wants a number from 1 to 8388608");
    }
    line->nodes = (uint32_t)n;
    if (line->seed_text &&
        xn_number_parse(line->seed_text, UINT64_MAX, &line->seed)) {
        return usage(cli, "--seed wants a number");
    }
    line->seeded = line->seed_text != NULL;
    for (i = 0; i < line->n_sets; i++) {
        if (!strchr(line->sets[i], '=')) {
            return usage(cli, "--set wants KEY=VALUE");
        }
    }
    return judge_campaign(cli, line);
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
        XN_OPTION("seeds", 0, "N",
                  "this seed and the next ones, each a run of its own",
                  &line->seeds_text),
        XN_OPTION("jobs", 0, "N", "so many of these at a time",
                  &line->jobs_text),
        XN_OPTION("keep-going", 0, NULL, "do not stop at a seed that fails",
                  &line->keep_going),
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
        const char *text = (const char *)buf.data;

        rc = line->seeded
                 ? scn_parse_seeded(text, buf.len, line->seed, scn, &error)
                 : scn_parse(text, buf.len, scn, &error);
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
    options.seed = scn.has_seed ? scn.seed : SCN_SEED;
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

/* ---- run --seeds ---- */

struct many {
    const struct sim_cli *cli;
    struct line line; /* of one seed */
    struct scn scn;   /* with the first one */
};

static int run_seed(void *user, uint64_t seed)
{
    struct many *many = user;

    many->line.seed = seed;
    many->line.seeded = true;
    return run(many->cli, &many->line);
}

static char *command_of(void *user, uint64_t seed)
{
    const struct many *many = user;

    return again(many->cli, &many->line, &many->scn, seed);
}

static int run_many(const struct sim_cli *cli, const struct line *line)
{
    struct many many = {.cli = cli, .line = *line};
    struct sim_campaign campaign = {
        .program = cli->program,
        .seeds = line->seeds,
        .jobs = line->jobs < line->seeds ? line->jobs : line->seeds,
        .keep_going = line->keep_going != NULL,
        .user = &many,
        .run = run_seed,
        .command = command_of,
    };
    int rc = load(cli, line, &many.scn);

    campaign.first = many.scn.has_seed ? many.scn.seed : SCN_SEED;
    if (!rc) {
        rc = sim_campaign(&campaign);
    } else {
        rc = rc == XN_EINVAL ? XN_EXIT_USAGE : XN_EXIT_FAILED;
    }
    scn_free(&many.scn);
    return rc;
}

int sim_cli_main(const struct sim_cli *cli, int argc, char **argv)
{
    struct line line = {0};
    int rc = take_line(cli, argc, argv, &line);

    if (rc >= 0) return rc;
    if (!strcmp(line.command, "run")) {
        return line.seeds ? run_many(cli, &line) : run(cli, &line);
    }
    if (!strcmp(line.command, "replay") && cli->replayed) {
        return sim_replay(cli, line.file) ? XN_EXIT_FAILED : XN_EXIT_OK;
    }
    return usage(cli, "the first word is a command that does not exist");
}
