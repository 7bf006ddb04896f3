/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line per event to a sink that the program chooses (stderr by default):
 * "time level name: text".  Cores do not log: they emit LOG actions.  Never a
 * secret in a log line.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

enum xn_log_level {
    XN_LOG_ERROR = 0,
    XN_LOG_WARN = 1,
    XN_LOG_INFO = 2,
    XN_LOG_DEBUG = 3,
};

/* `name` is the program's; lines above `level` are dropped. */
void xn_log_open(const char *name, enum xn_log_level level);
/* Control characters in the text come out as '?': a peer's text cannot forge
 * a line.  Keeps errno. */
void xn_log(enum xn_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A level by its name ("warn"), or -1. */
int xn_log_level_parse(const char *text);

#endif
