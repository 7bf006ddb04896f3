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

void xn_log_open(const char *name, enum xn_log_level level)
{
    log_name = name;
    log_level = level;
}

int xn_log_level_parse(const char *text)
{
    int i;

    for (i = 0; i < 4; i++) {
        if (strcmp(text, level_names[i]) == 0) return i;
    }
    return -1;
}

/* One write per line, so that lines of several threads do not mix. */
void xn_log(enum xn_log_level level, const char *fmt, ...)
{
    int saved = errno, len, more;
    char line[1024];
    struct timespec ts;
    struct tm tm;
    va_list ap;

    if (level > log_level) return;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    len = (int)strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    len += snprintf(line + len, sizeof line - (size_t)len,
                    ".%03ldZ %s %s: ", ts.tv_nsec / 1000000, level_names[level],
                    log_name);
    va_start(ap, fmt);
    more = vsnprintf(line + len, sizeof line - (size_t)len - 1, fmt, ap);
    va_end(ap);
    if (more < 0) more = 0;
    len += more;
    if (len > (int)sizeof line - 2) len = (int)sizeof line - 2;
    line[len] = '\0';
    xn_plain(line);
    len = (int)strlen(line);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)len) < 0) len = 0;
    errno = saved;
}
