/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the verbs share: options, configuration, errors. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/json.h"
#include "tools/xeno.h"
#include "wire/pemfile.h"

#define TIMEOUT_US (30 * 1000000ULL)

/* What is still to be judged. */
struct line {
    const char *config, *corp, *output, *timeout, *help;
};

/* ---- errors ---- */

int xeno_gripe_reason(int rc, const char *reason, const char *what,
                      const char *because, const char *try)
{
    return xn_gripe_rc(XENO_PROGRAM, rc, reason, what, because, try);
}

int xeno_gripe(int rc, const char *what, const char *because, const char *try)
{
    return xeno_gripe_reason(rc, NULL, what, because, try);
}

int xeno_gripef(int rc, const char *what, const char *try,
                const char *because_fmt, ...)
{
    char because[640];
    va_list ap;

    va_start(ap, because_fmt);
    vsnprintf(because, sizeof because, because_fmt, ap);
    va_end(ap);
    return xeno_gripe(rc, what, because, try);
}

int xeno_no_memory(void)
{
    return xeno_gripe(XN_ENOMEM, "cannot go on", xn_strerror(XN_ENOMEM), NULL);
}

static char command[64] = XENO_PROGRAM; /* for the help that errors name */

int xeno_usage(const char *because_fmt, ...)
{
    va_list ap;
    int code;

    va_start(ap, because_fmt);
    code = xn_gripe_usage(command, because_fmt, ap);
    va_end(ap);
    return code;
}

/* ---- options ---- */

static int help(const struct xeno *xeno, const struct xn_options *options)
{
    const struct xeno_verb *verb = xeno->verb;

    printf("usage: xeno %s%s%s [OPTION]...%s%s\n%s.\n\n", verb->noun,
           verb->verb ? " " : "", verb->verb ? verb->verb : "",
           verb->words[0] ? " " : "", verb->words, verb->help);
    xn_options_help(options);
    return XN_EXIT_OK;
}

static int read_line(struct xeno *xeno, const struct xn_option *own, size_t n,
                     int argc, char **argv, struct line *line, int *words_out)
{
    const struct xn_option common[] = {
        XN_OPTION("corp", 0, "NAME|URL#ID", "this one of $XENO_CORP",
                  &line->corp),
        XN_OPTION("currency", 0, "CUR", "of the account that is asked about",
                  &xeno->currency),
        XN_OPTION("output", 'o', "FORMAT", "table or json", &line->output),
        XN_OPTION("timeout", 0, "DUR", "for one answer (30s)", &line->timeout),
        XN_OPTION("config", 0, "FILE", "configuration ($XENO_CONFIG)",
                  &line->config),
        XN_OPTION("help", 'h', NULL, "this text", &line->help),
    };
    const size_t n_common = sizeof common / sizeof common[0];
    struct xn_option rows[XENO_OPTIONS_MAX + sizeof common / sizeof common[0]];
    const struct xn_options options = {rows, n + n_common, true};
    char because[160];

    if (n > XENO_OPTIONS_MAX) return XN_EXIT_FAILED;
    if (n) memcpy(rows, own, n * sizeof *rows);
    memcpy(rows + n, common, sizeof common);
    if (xn_options_read(&options, argc, argv, words_out, because,
                        sizeof because)) {
        return xeno_usage("%s", because);
    }
    return line->help ? help(xeno, &options) : -1;
}

static int judge_line(struct xeno *xeno, const struct line *line)
{
    uint64_t timeout_us = TIMEOUT_US;
    char because[160];

    if (xn_options_output(line->output, &xeno->json, because, sizeof because) ||
        xn_options_timeout(line->timeout, &timeout_us, because,
                           sizeof because)) {
        return xeno_usage("%s", because);
    }
    xeno->timeout_ms = (unsigned)(timeout_us / 1000);
    if (xeno->json) net_json_errors();
    return -1;
}

static int add_corps(struct xeno *xeno, const char *text)
{
    char copy[512];

    while (text && *text) {
        size_t len = strcspn(text, ", \t\n");

        snprintf(copy, sizeof copy, "%.*s", (int)(len < 500 ? len : 500), text);
        text += len + (text[len] != '\0');
        if (!len) continue;
        if (xeno->n_corps == XENO_CORPS_MAX) {
            return xeno_usage("more than %d XenoCorps", XENO_CORPS_MAX);
        }
        if (net_corp_parse(copy, &xeno->corps[xeno->n_corps]) ||
            !xeno->corps[xeno->n_corps].pinned) {
            return xeno_usage("'%s' is no XenoCorp's https://host:port#ID",
                              copy);
        }
        xeno->n_corps++;
    }
    return -1;
}

/* Options beat the environment, which beats the configuration. */
static int complete(struct xeno *xeno, const struct line *line)
{
    const char *path = line->config ? line->config : net_env("XENO_CONFIG");
    const char *corps = line->corp ? line->corp : net_env("XENO_CORP");
    char why[256] = "";
    int rc;

    xeno->config = line->config;
    rc = net_client_settings(path, &xeno->settings, why, sizeof why);

    if (rc) {
        return xeno_gripe(rc, "cannot use the configuration",
                          why[0] ? why : xn_strerror(rc),
                          "another --config or XENO_CONFIG; man xeno");
    }
    bool named = corps && line->corp && !strstr(corps, "://");

    if (named) corps = net_env("XENO_CORP");
    if (!corps) corps = net_settings_text(xeno->settings, "find.corps");
    if (!xeno->currency) xeno->currency = net_env("XENO_CURRENCY");
    if (!xeno->currency)
        xeno->currency = net_settings_text(xeno->settings, "find.currency");
    net_client_state(xeno->settings, xeno->state);
    rc = add_corps(xeno, corps);
    return rc < 0 && named ? xeno_corp_named(xeno, line->corp) : rc;
}

int xeno_options(struct xeno *xeno, const struct xn_option *own, size_t n,
                 int argc, char **argv, int least, int most, int *words_out)
{
    struct line line = {.config = NULL};
    const struct xeno_verb *verb = xeno->verb;
    int code, words;

    snprintf(command, sizeof command, "%s %s%s%s", XENO_PROGRAM, verb->noun,
             verb->verb ? " " : "", verb->verb ? verb->verb : "");
    code = read_line(xeno, own, n, argc, argv, &line, words_out);

    if (code < 0) code = judge_line(xeno, &line);
    if (code < 0) code = complete(xeno, &line);
    if (code >= 0) return code;
    words = argc - *words_out;
    if (words < least) return xeno_usage("%s is missing", xeno->verb->words);
    if (words > most) {
        return xeno_usage("'%.60s' is one word too many",
                          argv[*words_out + most]);
    }
    return -1;
}

void xeno_clear(struct xeno *xeno)
{
    net_settings_free(xeno->settings);
}

static int write_to(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "we");
    bool done = file && fwrite(data, 1, len, file) == len;

    if (file && fclose(file)) done = false;
    if (done) return 0;
    return errno == ENOSPC ? XN_ENOSPC : XN_EIO;
}

int xeno_save(const char *path, const void *data, size_t len, bool secret,
              const char *what)
{
    struct stat there;
    int rc;

    errno = 0;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        rc = write_to(path, data, len);
    } else {
        errno = 0;
        rc = pemfile_write(path, data, len, secret);
    }
    if (!rc) return XN_EXIT_OK;
    return xeno_gripef(rc, what, "another --save", "%s: %s", path,
                       errno ? strerror(errno) : xn_strerror(rc));
}

int xeno_folder(const struct xeno *xeno, const char *name,
                char out[NET_PATH_MAX])
{
    net_file_path(out, xeno->state, name);
    if (net_file_parents(xeno->state) == 0 && net_file_dir(xeno->state) == 0 &&
        net_file_dir(out) == 0) {
        return XN_EXIT_OK;
    }
    return xeno_gripef(XN_EIO, "cannot make a folder", "another XENO_KEY",
                       "%s: %s", out, strerror(errno));
}
