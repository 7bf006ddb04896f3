/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/log_json.h"

#include <unistd.h>

#include <jansson.h>

size_t net_log_json(const struct xn_log_event *event, char *out, size_t len)
{
    json_t *line = json_pack("{s:s, s:s, s:s, s:i, s:s}", "time", event->time,
                             "level", event->level, "program", event->name,
                             "pid", (int)getpid(), "text", event->text);
    size_t n = line ? json_dumpb(line, out, len, JSON_COMPACT) : 0;

    json_decref(line);
    return n < len ? n : 0;
}
