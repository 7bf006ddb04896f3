/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno list, xeno top: the sessions that are kept here, as their servers tell
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/span.h"
#include "lib/text.h"
#include "net/clock.h"
#include "tools/xeno_list.h"
#include "tools/xeno_task.h"

#define FORGET_US (30ULL * 86400 * 1000000) /* what ended so long ago */
#define EVERY_US 2000000ULL

static void list_clear(struct xeno_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->rows[i].now)
            xn__host_session__free_unpacked(list->rows[i].now, NULL);
    }
    free(list->rows);
    if (list->n_members) xeno_members_clear(list->members, list->n_members);
}

static int list_open(const struct xeno *xeno, struct xeno_list *list)
{
    struct xeno_kept *kept = NULL;
    int code;

    memset(list, 0, sizeof *list);
    list->xeno = xeno;
    code = xeno_kept_all(xeno, &kept, &list->n);
    if (!code && list->n) {
        code = xeno_members(xeno, list->members, &list->n_members);
        list->rows = calloc(list->n, sizeof *list->rows);
        if (!code && !list->rows) code = xeno_no_memory();
    }
    if (code) list->n = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct xeno_row *row = &list->rows[i];

        row->kept = kept[i];
        row->share = -1;
        for (size_t m = 0; m < list->n_members; m++) {
            if (xn_id_eq(&list->members[m].corp.id, &kept[i].corp))
                row->member = &list->members[m];
        }
    }
    free(kept);
    return code;
}

/* ---- telling ---- */

static const char *state_of(const struct xeno_row *row)
{
    if (row->now) return xeno_session_state(row->now->state);
    if (row->rc == XN_ENOENT) return "forgotten";
    return "unknown";
}

static json_t *row_json(const struct xeno_row *row)
{
    json_t *top = row->now ? xeno_session_json(row->now)
                           : json_pack("{s:o, s:s}", "session",
                                       xeno_json_id(&row->kept.session),
                                       "state", state_of(row));

    if (!top) return NULL;
    json_object_set_new(top, "server", json_string(row->kept.server));
    json_object_set_new(top, "doing", json_string(row->kept.doing));
    if (row->share >= 0)
        json_object_set_new(top, "cpu_share", json_real(row->share));
    if (!row->now && row->rc != XN_ENOENT)
        json_object_set_new(top, "because", json_string(row->why.because));
    return top;
}

static int print_json(const struct xeno_list *list, bool ended_too)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < list->n; i++) {
        if (ended_too || !xeno_row_ended(&list->rows[i]))
            json_array_append_new(rows, row_json(&list->rows[i]));
    }
    return xeno_print_json(
        json_pack("{s:s, s:o}", "schema", "xeno.sessions/1", "sessions", rows));
}

struct cells {
    char session[XENO_SERIAL_SHORT + 1], host[80], age[XN_SPAN_TEXT_MAX],
        task[16], share[16], memory[24], charged[MONEY_TEXT_MAX],
        of[MONEY_TEXT_MAX];
};

static void fill_task(const struct xeno_row *row, struct cells *c)
{
    const Xn__HostTask *task = row->now->task;

    if (!task) return;
    snprintf(c->task, sizeof c->task, "%u", (unsigned)task->task);
    if (task->state == XN__TASK_STATE__ENDED) return;
    if (row->share >= 0)
        snprintf(c->share, sizeof c->share, "%.1f %%", 100 * row->share);
    snprintf(c->memory, sizeof c->memory, "%.1f MiB",
             (double)task->memory_bytes / 1048576);
}

static void fill(const struct xeno_row *row, struct cells *c)
{
    const char *host = strstr(row->kept.server, "://");
    uint64_t now_us = net_wall_us(), since_us = row->kept.since_us;
    char hex[XN_ID_HEX];

    memset(c, 0, sizeof *c);
    xn_id_hex(&row->kept.session, hex);
    snprintf(c->session, sizeof c->session, "%.*s", XENO_SERIAL_SHORT, hex);
    host = host ? host + 3 : row->kept.server;
    snprintf(c->host, sizeof c->host, "%.*s", (int)strcspn(host, "#/"), host);
    xn_span_format(now_us > since_us + 1000000
                       ? (now_us - since_us) / 1000000 * 1000000
                       : 1000000,
                   c->age);
    if (!row->now) return;
    money_text(row->now->charged, row->now->currency, c->charged);
    money_text(row->now->amount, row->now->currency, c->of);
    fill_task(row, c);
}

static int print_list(const struct xeno_list *list, bool ended_too)
{
    static const char *const headings[] = {"SESSION", "SERVER", "STATE",
                                           "TASK",    "AGE",    "CHARGED",
                                           "OF",      "COMMAND"};
    struct xeno_table *table =
        xeno_table_new(headings, 8, 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);

    for (size_t i = 0; i < list->n; i++) {
        const struct xeno_row *row = &list->rows[i];
        struct cells c;
        const char *texts[] = {c.session, c.host, state_of(row),  c.task, c.age,
                               c.charged, c.of,   row->kept.doing};

        if (xeno_row_ended(row) && !ended_too) continue;
        fill(row, &c);
        if (table) xeno_table_row(table, texts);
    }
    return xeno_table_print(table);
}

static int print_top(const struct xeno_list *list)
{
    static const char *const headings[] = {"SESSION", "STATE",  "TASK",
                                           "CPU",     "MEMORY", "CHARGED",
                                           "OF",      "COMMAND"};
    struct xeno_table *table =
        xeno_table_new(headings, 8, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);

    for (size_t i = 0; i < list->n; i++) {
        const struct xeno_row *row = &list->rows[i];
        struct cells c;
        const char *texts[] = {c.session, state_of(row),  c.task,
                               c.share,   c.memory,       c.charged,
                               c.of,      row->kept.doing};

        if (xeno_row_ended(row)) continue;
        fill(row, &c);
        if (table) xeno_table_row(table, texts);
    }
    return xeno_table_print(table);
}

/* Those whose servers did not answer make the answer a part of one. */
static int judge(const struct xeno_list *list)
{
    const struct xeno_row *silent = NULL;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (list->rows[i].now || list->rows[i].rc == XN_ENOENT) continue;
        silent = &list->rows[i];
        n++;
    }
    if (!silent) return XN_EXIT_OK;
    return xeno_gripef(XN_ENOTYET, "not all sessions are known",
                       "again, when the server answers",
                       "%zu not told; %.120s: %.250s", n, silent->kept.server,
                       silent->member ? silent->why.because
                                      : "its XenoCorp is none of ours");
}

/* What ended long ago is of no use to anybody. */
static void forget(const struct xeno_list *list)
{
    uint64_t now_us = net_wall_us();

    for (size_t i = 0; i < list->n; i++) {
        const struct xeno_row *row = &list->rows[i];

        if (xeno_row_ended(row) && now_us > row->kept.since_us &&
            now_us - row->kept.since_us > FORGET_US)
            xeno_kept_drop(list->xeno, &row->kept.session);
    }
}

int xeno_list_all(const struct xeno *xeno, bool ended_too)
{
    struct xeno_list list;
    int code = list_open(xeno, &list);

    if (!code) code = xeno_list_ask(&list, xeno->json);
    if (!code) {
        code = xeno->json ? print_json(&list, ended_too)
                          : print_list(&list, ended_too);
        if (!code) code = judge(&list);
        forget(&list);
    }
    list_clear(&list);
    return code;
}

int xeno_list(struct xeno *xeno, int argc, char **argv)
{
    const char *all = NULL;
    const struct xn_option own[] = {
        XN_OPTION("all", 'a', NULL, "those that have ended too", &all),
    };
    int words, code;

    code = xeno_options(xeno, own, 1, argc, argv, 0, 0, &words);
    return code >= 0 ? code : xeno_list_all(xeno, all);
}

/* ---- top ---- */

static int watch(struct xeno_list *list, uint64_t every_us, uint64_t rounds)
{
    bool screen = isatty(STDOUT_FILENO) && !list->xeno->json;
    int code = XN_EXIT_OK;

    for (uint64_t i = 0; !code && (!rounds || i < rounds); i++) {
        if (i) usleep((useconds_t)every_us);
        code = xeno_list_ask(list, true);
        if (code) return code;
        if (screen) fputs("\033[H\033[2J", stdout);
        code = list->xeno->json ? print_json(list, false) : print_top(list);
        fflush(stdout);
    }
    return code ? code : judge(list);
}

/* On a terminal until ctrl-C; else once, unless more was asked for. */
int xeno_top(struct xeno *xeno, int argc, char **argv)
{
    const char *every = NULL, *count = NULL;
    const struct xn_option own[] = {
        XN_OPTION("every", 0, "DUR", "between two readings (2s)", &every),
        XN_OPTION("count", 'n', "N", "readings; on a terminal without end",
                  &count),
    };
    uint64_t every_us = EVERY_US, rounds = isatty(STDOUT_FILENO) ? 0 : 1;
    struct xeno_list list;
    int words, code;

    code = xeno_options(xeno, own, 2, argc, argv, 0, 0, &words);
    if (code >= 0) return code;
    if (every && (xn_span_parse(every, &every_us) || every_us < 100000 ||
                  every_us > 3600000000ULL))
        return xeno_usage("--every is a time from 100ms to 1h, not '%.60s'",
                          every);
    if (count && (xn_number_parse(count, 1000000, &rounds) || !rounds))
        return xeno_usage("--count is a number from 1, not '%.60s'", count);
    code = list_open(xeno, &list);
    if (!code) code = watch(&list, every_us, rounds);
    list_clear(&list);
    return code;
}
