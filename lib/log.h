/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line per event to standard error, "time level name: text" or in the form
 * that the program chooses.  Cores do not log: they emit LOG actions.  Never a
 * secret in a log line.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stddef.h>

enum xn_log_level {
    XN_LOG_ERROR = 0,
    XN_LOG_WARN = 1,
    XN_LOG_INFO = 2,
    XN_LOG_DEBUG = 3,
};

struct xn_log_event {
    const char *time, *level, *name; /* "2026-01-02T03:04:05.678Z", "info" */
    const char *text;
};
/* Write the event as one line without its end; returns its length, which must
 * be below len, or 0: it is written as text.  May run in several threads. */
typedef size_t xn_log_form(const struct xn_log_event *event, char *out,
                           size_t len);

/* `name` is the program's; lines above `level` are dropped; form NULL: text. */
void xn_log_open(const char *name, enum xn_log_level level, xn_log_form *form);
/* Control characters in the text come out as '?': a peer's text cannot forge
 * a line.  Keeps errno. */
void xn_log(enum xn_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A level by its name ("warn"), or -1. */
int xn_log_level_parse(const char *text);

#endif
