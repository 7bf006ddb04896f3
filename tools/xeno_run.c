/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno run: find, quote, order, session, task, console and end in one. */
#include "tools/xeno_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/span.h"
#include "lib/text.h"

#define MAX_UNITS "1"
#define LIFE "1h"
#define LIFE_US_LEAST 1000000ULL
#define LIFE_US_MOST (30ULL * 86400 * 1000000)
enum {
    CONSOLE_KEPT = 256 << 10, /* bytes, of -o json */
    END_MS = 180000,          /* of the task, after its console's */
};

struct how { /* not part of what is bought */
    const char *config, *detach, *keep, *input, *pass, *afresh;
};

/* ---- the command line ---- */

static int take_money(const struct xeno *xeno, struct run_wish *wish)
{
    char text[MONEY_TEXT_MAX];

    if (!wish->max) {
        if (!xeno->currency) {
            return xeno_usage("--max AMOUNT is missing, and no --currency says "
                              "in which one it would be " MAX_UNITS);
        }
        snprintf(text, sizeof text, MAX_UNITS "%.8s", xeno->currency);
    } else if (wish->max[strspn(wish->max, "0123456789.")] || !xeno->currency) {
        snprintf(text, sizeof text, "%.30s", wish->max);
    } else {
        snprintf(text, sizeof text, "%.25s%.8s", wish->max, xeno->currency);
    }
    if (!money_amount_parse(text, &wish->max_micro, wish->currency))
        return XN_EXIT_OK;
    return xeno_usage("--max '%.40s' is no amount: like 2.50GBP", text);
}

static int take_wish(const struct xeno *xeno, struct run_wish *wish,
                     char **argv, int from, int to)
{
    const char *life = wish->life ? wish->life : LIFE;

    if (to - from > RUN_WORDS_MAX)
        return xeno_usage("more than %d conditions", RUN_WORDS_MAX);
    for (int i = from; i < to; i++) {
        if (strcmp(argv[i], "lookup") == 0)
            return xeno_usage("'lookup' is no condition");
        wish->words[wish->n_words++] = argv[i];
    }
    if (xn_span_parse(life, &wish->life_us) || wish->life_us < LIFE_US_LEAST ||
        wish->life_us > LIFE_US_MOST) {
        return xeno_usage("--for is a time from 1s to 30d, not '%.60s'", life);
    }
    return take_money(xeno, wish);
}

/* ---- telling it ---- */

static void tell_begin(const struct run *run)
{
    char cost[MONEY_TEXT_MAX], hex[XN_ID_HEX], life[XN_SPAN_TEXT_MAX];

    if (!isatty(STDERR_FILENO)) return;
    xn_id_hex(&run->session, hex);
    xn_span_format(run->wish.life_us, life);
    fprintf(stderr, XENO_PROGRAM ": %s, session %.*s", run->name,
            XENO_SERIAL_SHORT, hex);
    if (run->cost)
        fprintf(stderr, ", at most %s for %s",
                money_text(run->cost, run->wish.currency, cost), life);
    fputc('\n', stderr);
}

static void tell_detached(const struct run *run, FILE *to)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&run->session, hex);
    fprintf(to,
            XENO_PROGRAM ": it goes on; xeno console --follow %.*s shows "
                         "it, xeno stop %.*s ends it\n",
            XENO_SERIAL_SHORT, hex, XENO_SERIAL_SHORT, hex);
}

/* Nobody said how it ended: perhaps it has. */
static void tell_left(const struct run *run)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&run->session, hex);
    fprintf(stderr,
            XENO_PROGRAM ": xeno wait %.*s tells how it ended, xeno stop %.*s "
                         "ends its session\n",
            XENO_SERIAL_SHORT, hex, XENO_SERIAL_SHORT, hex);
}

static int print_detached(const struct run *run)
{
    char hex[XN_ID_HEX];

    if (run->xeno->json) {
        return xeno_print_json(json_pack(
            "{s:s, s:o, s:o, s:s, s:s}", "schema", "xeno.run/1", "session",
            xeno_json_id(&run->session), "order", xeno_json_id(&run->serial),
            "server", run->record->server, "currency", run->wish.currency));
    }
    xn_id_hex(&run->session, hex);
    puts(hex);
    if (isatty(STDERR_FILENO)) tell_detached(run, stderr);
    return XN_EXIT_OK;
}

static int print_end(const struct run *run, const Xn__HostTask *task,
                     struct xn_buf *console)
{
    char *text;
    json_t *top;

    xn_buf_char(console, '\0');
    text = xn_buf_steal_str(console);
    if (text) { /* what is no UTF-8 is shown as '?' */
        for (size_t at = 0, left = strlen(text); left;) {
            size_t n = xn_utf8_len(text + at, left);

            if (!n) text[at] = '?';
            if (!n) n = 1;
            at += n;
            left -= n;
        }
    }
    top = json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:s}", "schema",
                    "xeno.run/1", "session", xeno_json_id(&run->session),
                    "order", xeno_json_id(&run->serial), "server",
                    run->record->server, "currency", run->wish.currency, "task",
                    xeno_task_json(task), "console", text ? text : "");
    free(text);
    return xeno_print_json(top);
}

static void tell_end(const struct run *run, const Xn__HostTask *task)
{
    char serial[XN_ID_HEX];

    if (!isatty(STDERR_FILENO)) return;
    xn_id_hex(&run->serial, serial);
    fprintf(stderr, XENO_PROGRAM ": %.3f s of CPU in %.3f s; xeno bill %.*s\n",
            (double)task->cpu_ns / 1e9,
            task->ended_us > task->started_us
                ? (double)(task->ended_us - task->started_us) / 1e6
                : 0.0,
            XENO_SERIAL_SHORT, serial);
}

/* ---- watching it ---- */

static int end_of(struct run *run, const struct how *how,
                  struct xn_buf *console)
{
    Xn__HostTask *task = NULL;
    int code, shown = XN_EXIT_OK;

    code = xeno_task_await(run->xeno, &run->server, &run->session, 1, END_MS,
                           &task);
    if (code) {
        tell_left(run);
        return code;
    }
    if (run->xeno->json) {
        shown = print_end(run, task, console);
    } else {
        tell_end(run, task);
    }
    run_record_drop(run);
    code = xeno_task_code(task, how->pass);
    xn__host_task__free_unpacked(task, NULL);
    return code ? code : shown;
}

static int watch(struct run *run, const struct how *how)
{
    struct xn_buf console;
    struct xeno_stream stream = {
        .xeno = run->xeno,
        .server = &run->server,
        .session = run->session,
        .task = 1,
        .follow = true,
        .input = how->input,
        .by_key = how->input && run->work->terminal,
        .stops = true,
        .keep = run->xeno->json ? &console : NULL,
    };
    enum xeno_stream_end end;
    int code;

    xn_buf_init(&console, CONSOLE_KEPT + 1);
    code = xeno_stream(&stream, &end);
    if (end == STREAM_ENDED) code = end_of(run, how, &console);
    if (end == STREAM_DETACHED) run_record_drop(run);
    /* Also where nobody reads the console any more, or the server is silent. */
    if (end != STREAM_ENDED) tell_detached(run, stderr);
    xn_buf_clear(&console);
    return code;
}

/* ---- the whole ---- */

static int obtain(struct run *run, const struct how *how)
{
    int code = -1;

    code = run_record_open(run, how->afresh);
    if (code) return code;
    if (run->record) {
        code = run_again(run);
        if (code >= 0) return code;
        xeno_signals_close(&run->signals); /* nothing is under way */
    }
    code = run_find(run, how->config);
    return code ? code : run_buy(run);
}

static int all(struct xeno *xeno, struct run *run, const struct how *how)
{
    int code;

    xeno_signals_init(&run->signals);
    xeno->signals = &run->signals;
    code = xeno_members(run->xeno, run->members, &run->n_members);
    if (!code) code = obtain(run, how);
    if (!code && how->detach) {
        code = print_detached(run);
        /* Who could not be told asks again. */
        if (!code && fflush(stdout) == 0) run_record_drop(run);
    } else if (!code) {
        tell_begin(run);
        code = watch(run, how);
    }
    xeno->signals = NULL;
    xeno_signals_close(&run->signals);
    run_record_close(run);
    for (size_t i = 0; i < run->n; i++)
        run_candidate_clear(&run->candidates[i]);
    xn_buf_clear(&run->requirements);
    xeno_members_clear(run->members, run->n_members);
    return code;
}

int xeno_run(struct xeno *xeno, int argc, char **argv)
{
    struct run *run = calloc(1, sizeof *run);
    struct xeno_deed *deed = calloc(1, sizeof *deed);
    struct xeno_work work = {.argc = 0};
    struct how how = {.config = NULL};
    int words, code = run && deed ? -1 : xeno_no_memory();

    if (code < 0) code = xeno_work_split(&work, &argc, argv);
    if (code < 0) {
        struct xn_option rows[XENO_OPTIONS_MAX] = {
            XN_OPTION("max", 0, "AMOUNT",
                      "to pay in all, at most (" MAX_UNITS " of --currency)",
                      &run->wish.max),
            XN_OPTION("for", 0, "DUR", "then it is stopped (" LIFE ")",
                      &run->wish.life),
            XN_OPTION("where", 0, "TEXT", "conditions, as of xenofind",
                      &run->wish.where),
            XN_OPTION("input", 'i', NULL, "pass on what is typed", &how.input),
            XN_OPTION("keep", 0, NULL, "the session stays when it ends",
                      &how.keep),
            XN_OPTION("detach", 'd', NULL, "do not wait for it", &how.detach),
            XN_OPTION("new", 0, NULL,
                      "even where the same was begun and not seen to its end",
                      &how.afresh),
            XN_OPTION("exit-code", 0, NULL, "end with the task's own",
                      &how.pass),
        };
        size_t n = xeno_work_options(&work, rows, 8);

        code =
            xeno_options(xeno, rows, n, argc, argv, 0, RUN_WORDS_MAX, &words);
    }
    if (code < 0) {
        run->xeno = xeno;
        run->work = &work;
        run->deed = deed;
        run->lock = -1;
        run->wish.keep = how.keep;
        how.config = xeno->config;
        code = take_wish(xeno, &run->wish, argv, words, argc);
        if (!code) code = xeno_deed_make(&work, deed);
        deed->task.last = !how.keep;
        deed->task.life_ms = run->wish.life_us / 1000;
        if (!code) code = all(xeno, run, &how);
    }
    if (deed) xeno_deed_clear(deed);
    free(deed);
    free(run);
    return code;
}
