/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Command line, environment and configuration of xenofind. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "lib/span.h"
#include "lib/text.h"
#include "net/client_conf.h"

static const char help[] =
    "usage: xenofind [OPTION]... [TOKEN:VALUE]...\n"
    "       xenofind [OPTION]... lookup TOKEN LO..HI\n"
    "       xenofind [OPTION]... get SERVER...\n"
    "Find servers by what they advertise; every answer is verified here.\n"
    "\n"
    "  TOKEN:V  TOKEN:A,B  TOKEN:LO..HI  TOKEN:LO..  TOKEN:..HI  TOKEN:*\n"
    "  --where TEXT         and or not ( ) = != < <= > >= in (A, B) has TOKEN\n"
    "  --requirements FILE  an EnvironmentalRequirements document\n"
    "  --for JOB            time=6h cpu=2h mem=4GiB*6h out=10GiB disk=20GB*6h\n"
    "  --budget AMOUNT      the job's total at most, such as 10GBP\n"
    "  --currency CUR       of all prices asked about\n"
    "  -s KEY[:desc]        sort by a token or by total\n"
    "  -n N|all             how many to show (10)\n"
    "  -o FORMAT            table, wide, json, jsonl, csv, xml, name or "
    "address\n"
    "  -c COLS              tokens, id, name, age, corp, total, currency\n"
    "  --explain            count the servers that meet each condition\n"
    "  --paranoid           ask every copy of the index, name who hides\n"
    "  --node URL, --rd URL ask this node ($XENO_NODES); may be repeated\n"
    "  --from N --count N   position and length, of lookup\n"
    "  --within DUR         ask further copies so that an answer comes in it\n"
    "  --timeout DUR        for one node's answer (10s)\n"
    "  --config FILE  --help  --version\n"
    "\n"
    "  xenofind EnvType:Linux CPUsmps:4000.. -s PricePerHour\n"
    "  xenofind --for 'cpu=2h mem=4GiB*6h' --budget 10USD -s total\n";

/* What the command line said that has to be judged, or has other sources too.
 */
struct line {
    const char *config, *timeout, *limit, *output, *columns, *from;
    const char *explain, *paranoid, *within, *help, *version;
    const char *nodes[FIND_NODES_MAX];
    size_t n_nodes;
};

#define WITHIN_US_MIN 1000 /* of --within */
#define WITHIN_US_MAX 60000000

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int usage(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xn_gripe_usage(FIND_PROGRAM, fmt, ap);
    va_end(ap);
    return XN_EINVAL;
}

/* ---- lists of URLs ---- */

static int add_node(struct find_options *opt, const char *text, size_t len)
{
    while (len > 8 && text[len - 1] == '/')
        len--;
    if (len < 9 || strncmp(text, "https://", 8) != 0) {
        return usage("'%s' is no https:// address of a node", text);
    }
    if (opt->n_nodes == FIND_NODES_MAX) return usage("too many nodes");
    opt->nodes[opt->n_nodes] = strndup(text, len);
    if (!opt->nodes[opt->n_nodes]) return XN_ENOMEM;
    opt->n_nodes++;
    return 0;
}

static int add_corp(struct find_options *opt, const char *text, size_t len)
{
    char copy[512];

    if (opt->n_corps == FIND_CORPS_MAX) return usage("too many XenoCorps");
    snprintf(copy, sizeof copy, "%.*s", (int)(len < 500 ? len : 500), text);
    if (net_corp_parse(copy, &opt->corps[opt->n_corps])) {
        return usage("'%s' is no XenoCorp's https://host:port#ID", copy);
    }
    opt->n_corps++;
    return 0;
}

static int add_all(struct find_options *opt, const char *text,
                   int (*add)(struct find_options *, const char *, size_t))
{
    int rc = 0;

    while (text && *text && !rc) {
        size_t len = strcspn(text, ", \t\n");

        if (len) rc = add(opt, text, len);
        text += len + (text[len] != '\0');
    }
    return rc;
}

/* ---- the command line ---- */

static int read_output(struct find_options *opt, const char *text)
{
    static const char *const names[] = {"table", "wide", "json", "jsonl",
                                        "csv",   "xml",  "name", "address"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        opt->output = (enum find_output)i;
        return 0;
    }
    return usage("-o %s: it is table, wide, json, jsonl, csv, xml, name or "
                 "address",
                 text);
}

static int read_columns(struct find_options *opt, const char *text)
{
    char *save = NULL, *column;

    free(opt->split);
    opt->n_columns = 0;
    opt->split = strdup(text);
    if (!opt->split) return XN_ENOMEM;
    for (column = strtok_r(opt->split, ",", &save); column;
         column = strtok_r(NULL, ",", &save)) {
        if (!xn_token_valid(column, strlen(column))) {
            return usage("-c: '%s' is no column", column);
        }
        if (opt->n_columns == FIND_COLUMNS_MAX) {
            return usage("-c: too many columns");
        }
        opt->columns[opt->n_columns++] = column;
    }
    return opt->n_columns ? 0 : usage("-c needs a column");
}

static int read_limit(struct find_options *opt, const char *text)
{
    if (strcmp(text, "all") == 0) {
        opt->limit = FIND_ALL;
        return 0;
    }
    return xn_number_parse(text, UINT64_MAX, &opt->limit)
               ? usage("'%s' is neither a number nor all", text)
               : 0;
}

/* In full, alone or behind the # of an address: a short name is nobody's. */
static int add_server(struct find_options *opt, const char *text)
{
    const char *hash = strrchr(text, '#'), *hex = hash ? hash + 1 : text;
    xn_id id;
    size_t i;

    if (xn_id_unhex(hex, strlen(hex), &id)) {
        return usage("get: '%s' is no server's whole id of 64 hexadecimal "
                     "digits",
                     text);
    }
    for (i = 0; i < opt->n_servers; i++) {
        if (xn_id_eq(&opt->servers[i], &id)) return 0;
    }
    if (i == FIND_SERVERS_MAX)
        return usage("get: more than %d servers", FIND_SERVERS_MAX);
    opt->servers[opt->n_servers++] = id;
    return 0;
}

static int read_servers(struct find_options *opt)
{
    size_t i;
    int rc = 0;

    if (opt->n_words == 1) return usage("get wants SERVER");
    if (opt->where || opt->requirements || opt->job || opt->budget ||
        opt->sort || opt->explain || opt->paranoid || opt->offset) {
        return usage("get takes no condition and no order");
    }
    for (i = 1; i < opt->n_words && !rc; i++)
        rc = add_server(opt, opt->words[i]);
    opt->n_words = 0; /* they are no conditions */
    opt->limit = FIND_ALL;
    return rc;
}

static int read_words(struct find_options *opt, int n, char **words)
{
    int i;

    if (n > FIND_WORDS_MAX) {
        return usage("more than %d constraints", FIND_WORDS_MAX);
    }
    for (i = 0; i < n; i++)
        opt->words[opt->n_words++] = words[i];
    if (opt->n_words && strcmp(opt->words[0], "get") == 0) {
        return read_servers(opt);
    }
    if (opt->n_words && strcmp(opt->words[0], "lookup") == 0) {
        opt->lookup = true;
        if (opt->n_words != 3) return usage("lookup wants TOKEN LO..HI");
        if (opt->where || opt->requirements) {
            return usage("lookup takes no other condition");
        }
    } else if (opt->offset) {
        return usage("--from is for lookup");
    }
    return 0;
}

static int read_line(int argc, char **argv, struct find_options *opt,
                     struct line *line, int *words_out)
{
    const struct xn_option table[] = {
        XN_OPTION("where", 0, "TEXT", NULL, &opt->where),
        XN_OPTION("requirements", 0, "FILE", NULL, &opt->requirements),
        XN_OPTION("for", 0, "JOB", NULL, &opt->job),
        XN_OPTION("budget", 0, "AMOUNT", NULL, &opt->budget),
        XN_OPTION("currency", 0, "CUR", NULL, &opt->currency),
        XN_OPTION("sort", 's', "KEY", NULL, &opt->sort),
        XN_OPTION("count", 'n', "N", NULL, &line->limit),
        XN_OPTION("output", 'o', "FORMAT", NULL, &line->output),
        XN_OPTION("columns", 'c', "COLS", NULL, &line->columns),
        XN_OPTION("explain", 0, NULL, NULL, &line->explain),
        XN_OPTION("paranoid", 0, NULL, NULL, &line->paranoid),
        XN_OPTION_LIST("node", "URL", NULL, line->nodes, &line->n_nodes),
        XN_OPTION_LIST("rd", "URL", NULL, line->nodes, &line->n_nodes),
        XN_OPTION("from", 0, "N", NULL, &line->from),
        XN_OPTION("within", 0, "DUR", NULL, &line->within),
        XN_OPTION("timeout", 0, "DUR", NULL, &line->timeout),
        XN_OPTION("config", 0, "FILE", NULL, &line->config),
        XN_OPTION("help", 0, NULL, NULL, &line->help),
        XN_OPTION("version", 0, NULL, NULL, &line->version),
    };
    const struct xn_options options = {table, sizeof table / sizeof table[0],
                                       false};
    char because[160];

    if (xn_options_read(&options, argc, argv, words_out, because,
                        sizeof because)) {
        return usage("%s", because);
    }
    return 0;
}

static int judge_line(struct find_options *opt, const struct line *line)
{
    size_t i;
    int rc = 0;

    opt->explain = line->explain;
    opt->paranoid = line->paranoid;
    opt->currency_given = opt->currency;
    if (line->limit) rc = read_limit(opt, line->limit);
    if (!rc && line->output) rc = read_output(opt, line->output);
    if (!rc && line->columns) rc = read_columns(opt, line->columns);
    if (!rc && line->from &&
        xn_number_parse(line->from, QUERY_OFFSET_MAX, &opt->offset)) {
        rc = usage("--from %s is no position (0 to %d)", line->from,
                   QUERY_OFFSET_MAX);
    }
    if (!rc && line->within) {
        if (xn_span_parse(line->within, &opt->within_us) ||
            opt->within_us < WITHIN_US_MIN || opt->within_us > WITHIN_US_MAX) {
            rc = usage("--within %s is no time from 1ms to 1m", line->within);
        }
    }
    for (i = 0; !rc && i < line->n_nodes; i++)
        rc = add_all(opt, line->nodes[i], add_node);
    return rc;
}

/* ---- the other sources ---- */

static int read_config(struct find_options *opt, const char *path)
{
    char why[256] = "";
    int rc = net_client_settings(path, &opt->settings, why, sizeof why);

    if (rc == XN_EINVAL) {
        xn_gripe(FIND_PROGRAM, "cannot use the configuration [XS-2-CONF]", why,
                 "another --config or XENO_CONFIG; man xenofind");
    }
    return rc;
}

static const char *setting(const struct find_options *opt, const char *key)
{
    return net_settings_text(opt->settings, key);
}

static int complete(struct find_options *opt, const struct line *line)
{
    const char *nodes = net_env("XENO_NODES"), *corps = net_env("XENO_CORP");
    char because[160];
    int rc = 0;

    opt->lease_us_max = net_settings_span_us(opt->settings, "find.lease");
    opt->timeout_us = net_settings_span_us(opt->settings, "find.timeout");
    if (xn_options_timeout(line->timeout, &opt->timeout_us, because,
                           sizeof because)) {
        return usage("%s", because);
    }
    if (!opt->currency) opt->currency = net_env("XENO_CURRENCY");
    if (!opt->currency) opt->currency = setting(opt, "find.currency");
    opt->anchors = net_env("XENO_CORPS");
    if (!opt->anchors) opt->anchors = setting(opt, "find.anchors");
    net_client_state(opt->settings, opt->state_own);
    opt->state = opt->state_own;
    if (!corps) corps = setting(opt, "find.corps");
    rc = add_all(opt, corps, add_corp);
    if (rc || opt->n_nodes) return rc;
    if (!nodes) nodes = setting(opt, "find.nodes");
    return add_all(opt, nodes, add_node);
}

int find_options_parse(int argc, char **argv, struct find_options *opt)
{
    struct line line = {.config = NULL};
    int rc, words;

    opt->limit = 10;
    rc = read_line(argc, argv, opt, &line, &words);
    if (rc) return rc;
    opt->exit_now = line.help || line.version;
    if (line.help) {
        fputs(help, stdout);
    } else if (line.version) {
        printf("xenofind (XenoServer) %s\n", PACKAGE_VERSION);
    }
    if (opt->exit_now) return 0;
    rc = judge_line(opt, &line);
    if (!rc) rc = read_words(opt, argc - words, argv + words);
    if (rc) return rc;
    rc = read_config(opt, line.config ? line.config : net_env("XENO_CONFIG"));
    return rc ? rc : complete(opt, &line);
}

void find_options_clear(struct find_options *opt)
{
    size_t i;

    for (i = 0; i < opt->n_nodes; i++)
        free(opt->nodes[i]);
    free(opt->split);
    net_settings_free(opt->settings);
}
