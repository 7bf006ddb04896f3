/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the verbs share: options, configuration, errors, output. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostagent/xenohostd_offer.h"
#include "hostagent/xenoserver.h"
#include "hostagent/xenoserver_units.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "net/client_conf.h"
#include "net/json.h"
#include "net/options.h"

#define TIMEOUT_US (40 * 1000000ULL) /* xenohostd waits 30 s for a node */

struct line {
    const char *state, *config, *output, *timeout, *help;
    const char *corps[SERVER_CORPS_MAX];
    size_t n_corps;
};

/* ---- errors ---- */

int server_gripe(int rc, const char *what, const char *because, const char *try)
{
    return xn_gripe_rc(SERVER_PROGRAM, rc, NULL, what, because, try);
}

int server_gripef(int rc, const char *what, const char *try,
                  const char *because_fmt, ...)
{
    char because[800];
    va_list ap;

    va_start(ap, because_fmt);
    vsnprintf(because, sizeof because, because_fmt, ap);
    va_end(ap);
    return server_gripe(rc, what, because, try);
}

static char command[64] = SERVER_PROGRAM; /* for the help that errors name */

int server_usage(const char *because_fmt, ...)
{
    va_list ap;
    int code;

    va_start(ap, because_fmt);
    code = xn_gripe_usage(command, because_fmt, ap);
    va_end(ap);
    return code;
}

/* ---- output ---- */

void server_say(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xn_say(name, fmt, ap);
    va_end(ap);
}

int server_print_json(json_t *top)
{
    return net_json_print(SERVER_PROGRAM, top);
}

/* ---- options ---- */

static int help(const struct server *server, const struct xn_options *options)
{
    const struct server_verb *verb = server->verb;

    printf("usage: xenoserver %s [OPTION]...%s%s\n%s.\n\n", verb->verb,
           verb->words[0] ? " " : "", verb->words, verb->help);
    xn_options_help(options);
    return XN_EXIT_OK;
}

static int read_line(struct server *server, const struct xn_option *own,
                     size_t n, int argc, char **argv, struct line *line,
                     int *words_out)
{
    const struct xn_option common[] = {
        XN_OPTION("state", 0, "DIR", "xenohostd's state folder", &line->state),
        XN_OPTION("config", 0, "FILE",
                  "xenohostd's configuration (STATE/xenohostd.conf)",
                  &line->config),
        XN_OPTION_LIST("corp", "URL#ID", "a XenoCorp ($XENO_CORP)", line->corps,
                       &line->n_corps),
        XN_OPTION("url", 0, "URL", "where xenohostd answers; found out",
                  &server->url),
        XN_OPTION("output", 'o', "FORMAT", "table or json", &line->output),
        XN_OPTION("timeout", 0, "DUR", "for one answer (40s)", &line->timeout),
        XN_OPTION("help", 'h', NULL, "this text", &line->help),
    };
    const size_t n_common = sizeof common / sizeof common[0];
    struct xn_option
        rows[SERVER_OPTIONS_MAX + sizeof common / sizeof common[0]];
    const struct xn_options options = {rows, n + n_common, true};
    char because[160];

    if (n > SERVER_OPTIONS_MAX) return XN_EXIT_FAILED;
    if (n) memcpy(rows, own, n * sizeof *rows);
    memcpy(rows + n, common, sizeof common);
    if (xn_options_read(&options, argc, argv, words_out, because,
                        sizeof because)) {
        return server_usage("%s", because);
    }
    return line->help ? help(server, &options) : -1;
}

static int add_corp(struct server *server, const char *text)
{
    struct net_corp corp;

    if (net_corp_parse(text, &corp) || !corp.pinned) {
        return server_usage("'%.200s' is no XenoCorp's https://host:port#ID",
                            text);
    }
    if (server->n_corps == SERVER_CORPS_MAX) {
        return server_usage("more than %d XenoCorps", SERVER_CORPS_MAX);
    }
    server->corps[server->n_corps++] = corp;
    return -1;
}

/* As net/daemon.c has it for xenohostd. */
static int find_state(struct server *server, const char *given)
{
    const char *home = net_env("HOME");

    server->state_option = given;
    if (given) {
        snprintf(server->state, sizeof server->state, "%s", given);
    } else if (geteuid() == 0) {
        snprintf(server->state, sizeof server->state,
                 "/var/lib/xeno/xenohostd");
    } else if (home) {
        snprintf(server->state, sizeof server->state,
                 "%.300s/.local/state/xeno/xenohostd", home);
    } else {
        return server_usage("no --state, and HOME is not set");
    }
    return strlen(server->state) < 300 ? -1
                                       : server_usage("--state is too long");
}

static int judge_line(struct server *server, const struct line *line)
{
    uint64_t timeout_us = TIMEOUT_US;
    char because[160];
    int code = find_state(server, line->state);

    for (size_t i = 0; i < line->n_corps && code < 0; i++)
        code = add_corp(server, line->corps[i]);
    if (code >= 0) return code;
    if (line->config && strlen(line->config) < sizeof server->config) {
        snprintf(server->config, sizeof server->config, "%s", line->config);
    } else {
        net_file_path(server->config, server->state, "xenohostd.conf");
    }
    if (xn_options_output(line->output, &server->json, because,
                          sizeof because) ||
        xn_options_timeout(line->timeout, &timeout_us, because,
                           sizeof because)) {
        return server_usage("%s", because);
    }
    server->timeout_ms = (unsigned)(timeout_us / 1000);
    return -1;
}

/* xenohostd's own rows, then those of all daemons. */
static int join_rows(struct server *server)
{
    size_t n_common;
    const struct net_setting *common =
        net_common_settings(XN__ROLE__SERVER, &n_common);
    const size_t n_own =
        sizeof xenohostd_offer_rows / sizeof xenohostd_offer_rows[0];

    server->n_rows = n_own + n_common;
    server->rows = calloc(server->n_rows, sizeof *server->rows);
    if (!server->rows) return XN_ENOMEM;
    memcpy(server->rows, xenohostd_offer_rows, sizeof xenohostd_offer_rows);
    memcpy(server->rows + n_own, common, n_common * sizeof *common);
    return 0;
}

int server_options(struct server *server, const struct xn_option *own, size_t n,
                   int argc, char **argv, int most, int *words_out)
{
    struct line line = {.config = NULL};
    int code;

    snprintf(command, sizeof command, "%s %s", SERVER_PROGRAM,
             server->verb->verb);
    code = read_line(server, own, n, argc, argv, &line, words_out);

    if (code < 0) code = judge_line(server, &line);
    if (code < 0) code = server_as_owner(server);
    if (code >= 0) return code;
    if (argc - *words_out > most) {
        return server_usage("'%.60s' is one word too many",
                            argv[*words_out + most]);
    }
    return join_rows(server)
               ? server_gripe(XN_ENOMEM, "cannot begin", "out of memory", NULL)
               : -1;
}

void server_clear(struct server *server)
{
    free(server->rows);
    server->rows = NULL;
}

/* ---- the configuration ---- */

int server_settings(const struct server *server, const char *path,
                    const char *text, struct net_settings **settings_out,
                    char *why_out, size_t len)
{
    int rc = net_settings_new(server->rows, server->n_rows, settings_out);

    snprintf(why_out, len, "out of memory");
    if (!rc && text) {
        rc = net_settings_parse(*settings_out, path, text, why_out, len);
        if (rc) net_settings_free(*settings_out);
        if (rc) *settings_out = NULL;
    }
    return rc;
}

int server_config_read(const struct server *server, char **text_out,
                       char *why_out, size_t len)
{
    struct xn_buf text;
    size_t size;
    int rc;

    xn_buf_init(&text, NET_CONFIG_BYTES_MAX);
    rc = xn_file_read(server->config, &text);
    if (rc) {
        snprintf(why_out, len, "%s: %s", server->config, xn_file_why(rc));
        xn_buf_clear(&text);
        return rc;
    }
    size = text.len;
    *text_out = xn_buf_steal_str(&text);
    if (!*text_out) return XN_ENOMEM;
    if (strlen(*text_out) == size) return 0;
    snprintf(why_out, len, "%s: not a text", server->config);
    free(*text_out);
    *text_out = NULL;
    return XN_EINVAL;
}

static bool write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = write(fd, text, left);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text += n;
        left -= (size_t)n;
    }
    return fsync(fd) == 0;
}

int server_config_write(const struct server *server, const char *text,
                        char *why_out, size_t len)
{
    char temporary[NET_PATH_MAX + 16];
    bool good;
    int fd;

    snprintf(temporary, sizeof temporary, "%s.XXXXXX", server->config);
    fd = mkostemp(temporary, O_CLOEXEC);
    good = fd >= 0 && write_all(fd, text);
    if (fd >= 0 && close(fd)) good = false;
    if (good && rename(temporary, server->config) == 0 &&
        net_file_sync_dir(server->config) == 0) {
        return 0;
    }
    snprintf(why_out, len, "%s: %s", server->config, strerror(errno));
    if (fd >= 0) unlink(temporary);
    return XN_EIO;
}
