/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/text.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *log_name = "xeno";
static enum xn_log_level log_level = XN_LOG_INFO;
static xn_log_form *log_form;

void xn_log_open(const char *name, enum xn_log_level level, xn_log_form *form)
{
    log_name = name;
    log_level = level;
    log_form = form;
}

int xn_log_level_parse(const char *text)
{
    int i;

    for (i = 0; i < 4; i++) {
        if (strcmp(text, level_names[i]) == 0) return i;
    }
    return -1;
}

static void time_now(char *out, size_t len)
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(out, len, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, len - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

static size_t as_text(const struct xn_log_event *e, char *out, size_t len)
{
    int n =
        snprintf(out, len, "%s %s %s: %s", e->time, e->level, e->name, e->text);

    if (n < 0) return 0;
    return (size_t)n < len ? (size_t)n : len - 1;
}

/* One write per line, so that lines of several threads do not mix. */
void xn_log(enum xn_log_level level, const char *fmt, ...)
{
    int saved = errno;
    char time[32], text[900], line[6000]; /* "\u00XX" is six bytes */
    struct xn_log_event event = {time, level_names[level], log_name, text};
    size_t len = 0;
    va_list ap;

    if (level > log_level) return;
    time_now(time, sizeof time);
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = '\0';
    va_end(ap);
    xn_plain(text);
    if (log_form) len = log_form(&event, line, sizeof line - 1);
    if (!len) len = as_text(&event, line, sizeof line - 1);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) len = 0;
    errno = saved;
}
