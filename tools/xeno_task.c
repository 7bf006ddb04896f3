/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno task: what is to run, and asking about it. */
#include "tools/xeno_task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/span.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"

enum {
    POLL_MS = 20000,
    PATIENCE_MS = 180000, /* with a server that does not answer */
    PAUSE_MS = 1000,
    PAUSE_LEAST = 50,
    GRACE_MS = 5000,
    GRACE_MS_MAX = 60000,
};

static const char cannot_start[] = "cannot start the task";
static const char cannot_tell[] = "cannot tell about the task";

/* ---- the command line ---- */

size_t xeno_work_options(struct xeno_work *work, struct xn_option *rows,
                         size_t n)
{
    const struct xn_option own[] = {
        {"env", 'e', "NAME=VALUE", "in its environment; may be repeated",
         work->env, XENO_ENV_MAX, &work->n_env},
        {"file", 'f', "[NAME=]FILE",
         "put into its home folder, where it starts", work->put, XENO_PUT_MAX,
         &work->n_put},
        XN_OPTION("terminal", 't', NULL, "echo and line ends as for a person",
                  &work->terminal),
        XN_OPTION("image", 0, "URL@sha256:HEX",
                  "runs in this, not with the server's programs", &work->image),
    };

    memcpy(rows + n, own, sizeof own);
    return n + sizeof own / sizeof own[0];
}

int xeno_work_split(struct xeno_work *work, int *argc, char **argv)
{
    int at;

    for (at = 1; at < *argc; at++) {
        if (strcmp(argv[at], "--") == 0) break;
    }
    if (at == *argc) return -1; /* --help may be among the options */
    work->argv = argv + at + 1;
    work->argc = *argc - at - 1;
    *argc = at;
    if (work->argc > XENO_ARGV_MAX)
        return xeno_usage("a command of more than %d words", XENO_ARGV_MAX);
    return -1;
}

void xeno_work_text(const struct xeno_work *work, char *out, size_t len)
{
    size_t at = 0;

    out[0] = '\0';
    for (int i = 0; i < work->argc && at + 1 < len; i++)
        at += (size_t)snprintf(out + at, len - at, "%s%s", i ? " " : "",
                               work->argv[i]);
}

/* ---- the message ---- */

static char *plain(const char *text)
{
    return (char *)(uintptr_t)text; /* messages have no const */
}

/* "NAME=FILE", or FILE by its own name. */
static int add_file(struct xeno_deed *deed, const char *text, size_t *left)
{
    const char *equals = strchr(text, '='), *path = equals ? equals + 1 : text;
    const char *slash = strrchr(path, '/');
    Xn__TaskFile *file = &deed->files[deed->n_data];
    struct xn_buf *data = &deed->data[deed->n_data];
    int rc;

    xn__task_file__init(file);
    deed->file_list[deed->n_data++] = file;
    xn_buf_init(data, *left + 1);
    errno = 0;
    rc = xn_file_read(path, data);
    if (rc || data->len > *left) {
        return xeno_gripef(XN_EINVAL, cannot_start, "another file", "%s: %s",
                           path,
                           rc && errno ? strerror(errno)
                                       : "more than 512 KiB of files together");
    }
    *left -= data->len;
    file->name = equals ? strndup(text, (size_t)(equals - text))
                        : strdup(slash ? slash + 1 : path);
    if (!file->name) return xeno_no_memory();
    file->data = (ProtobufCBinaryData){data->len, data->data};
    file->executable = access(path, X_OK) == 0;
    return XN_EXIT_OK;
}

/* The server starts programs by their whole path: env finds the others. */
static void add_argv(const struct xeno_work *work, struct xeno_deed *deed)
{
    size_t n = 0;

    if (work->argv[0][0] != '/') {
        deed->argv[n++] = plain("/usr/bin/env");
        deed->argv[n++] = plain("--");
    }
    for (int i = 0; i < work->argc; i++)
        deed->argv[n++] = work->argv[i];
    deed->task.argv = deed->argv;
    deed->task.n_argv = n;
}

static int add_life(const struct xeno_work *work, struct xeno_deed *deed)
{
    uint64_t us;

    if (!work->life) return XN_EXIT_OK;
    if (xn_span_parse(work->life, &us) || us < 1000000)
        return xeno_usage("'%.60s' is no time such as 90s or 2h", work->life);
    deed->task.life_ms = us / 1000;
    return XN_EXIT_OK;
}

/* A URL may hold an @ itself, so the last one counts. */
static int add_image(const struct xeno_work *work, struct xeno_deed *deed)
{
    static const char mark[] = "@sha256:";
    const char *text = work->image;
    size_t len = text ? strlen(text) : 0, tail = strlen(mark) + 64;

    if (!text) return XN_EXIT_OK;
    if (len <= tail || strncmp(text + len - tail, mark, strlen(mark)) != 0 ||
        xn_id_unhex(text + len - 64, 64, &deed->image_sha256)) {
        return xeno_usage("--image '%.80s' is not URL@sha256:HEX, with the 64 "
                          "digits that sha256sum prints",
                          text);
    }
    deed->image_url = strndup(text, len - tail);
    if (!deed->image_url) return xeno_no_memory();
    xn__task_image__init(&deed->image);
    deed->image.url = deed->image_url;
    deed->image.sha256 = xn_id_bytes(&deed->image_sha256);
    deed->task.image = &deed->image;
    return XN_EXIT_OK;
}

int xeno_deed_make(const struct xeno_work *work, struct xeno_deed *deed_out)
{
    size_t left = XENO_PUT_BYTES_MAX;
    int code = XN_EXIT_OK;

    memset(deed_out, 0, sizeof *deed_out);
    xn__new_task__init(&deed_out->task);
    if (!work->argc)
        return xeno_usage("what is to run?  ... -- COMMAND [ARGUMENT]...");
    for (size_t i = 0; i < work->n_env; i++) {
        if (!strchr(work->env[i], '=') || work->env[i][0] == '=')
            return xeno_usage("-e '%.60s' is not NAME=VALUE", work->env[i]);
    }
    for (size_t i = 0; i < work->n_put && !code; i++)
        code = add_file(deed_out, work->put[i], &left);
    if (!code) code = add_life(work, deed_out);
    if (!code) code = add_image(work, deed_out);
    if (code) return code;
    add_argv(work, deed_out);
    deed_out->task.env = (char **)(uintptr_t)work->env;
    deed_out->task.n_env = work->n_env;
    deed_out->task.files = deed_out->file_list;
    deed_out->task.n_files = deed_out->n_data;
    deed_out->task.terminal = work->terminal != NULL;
    return XN_EXIT_OK;
}

void xeno_deed_clear(struct xeno_deed *deed)
{
    for (size_t i = 0; i < deed->n_data; i++) {
        xn_buf_clear(&deed->data[i]);
        if (deed->files[i].name != (char *)protobuf_c_empty_string)
            free(deed->files[i].name);
    }
    deed->n_data = 0;
    free(deed->image_url);
    deed->image_url = NULL;
}

/* ---- asking ---- */

int xeno_task_get(const struct xeno *xeno, const struct xeno_member *server,
                  const xn_id *session, uint32_t task, unsigned wait_ms,
                  struct xeno_why *why, Xn__HostTask **task_out)
{
    char path[XN_ID_HEX + 80], hex[XN_ID_HEX];
    const struct xeno_question question = {
        .what = cannot_tell,
        .method = "GET",
        .path = path,
        .answer = &xn__host_task__descriptor,
        .why = why,
        .wait_ms = wait_ms,
    };

    xn_id_hex(session, hex);
    snprintf(path, sizeof path, "/v1/tasks?session=%s&task=%u&wait_ms=%u", hex,
             (unsigned)task, wait_ms);
    return xeno_ask(xeno, server, &question, task_out);
}

static bool passes(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EBUSY;
}

static bool goes_on(const Xn__HostTask *task)
{
    return task->state != XN__TASK_STATE__ENDED;
}

unsigned xeno_pause_next(unsigned *pause_ms)
{
    unsigned ms = *pause_ms ? *pause_ms : PAUSE_LEAST;

    *pause_ms = 2 * ms < PAUSE_MS ? 2 * ms : PAUSE_MS;
    return ms;
}

struct awaited {
    uint64_t heard_us; /* mono: the server's last word */
    uint64_t until_us; /* it must have ended by then */
    unsigned pause_ms;
};

/* Is it asked again?  rc: of the question that was asked at that time. */
static bool goes_on_asking(const struct xeno *xeno, struct net_talk *talk,
                           struct awaited *a, uint64_t asked_us, int rc,
                           struct xeno_why *why)
{
    uint64_t now_us = net_mono_us();

    if (rc && (!passes(rc) || now_us - a->heard_us > PATIENCE_MS * 1000ULL))
        return false;
    if (!rc) {
        a->heard_us = now_us;
        if (now_us - asked_us >= POLL_MS / 2 * 1000ULL) a->pause_ms = 0;
    }
    if (!rc && now_us >= a->until_us) {
        *why = (struct xeno_why){.rc = XN_ETIMEOUT,
                                 .because = "its console has ended, but the "
                                            "server goes on saying that it "
                                            "runs",
                                 .try = "report it"};
        return false;
    }
    if (xeno_signals_pause(xeno->signals, talk, xeno_pause_next(&a->pause_ms)))
        return true;
    *why = (struct xeno_why){.rc = XN_ECANCELLED,
                             .because = "a signal came before the answer",
                             .try = "the same again"};
    return false;
}

int xeno_task_await(const struct xeno *xeno, const struct xeno_member *server,
                    const xn_id *session, uint32_t task, unsigned over_ms,
                    Xn__HostTask **task_out)
{
    struct awaited a = {.heard_us = net_mono_us(), .until_us = UINT64_MAX};
    Xn__HostTask *now = NULL;
    struct xeno_why why;

    if (over_ms) a.until_us = a.heard_us + over_ms * 1000ULL;
    for (;;) {
        uint64_t asked_us = net_mono_us();
        int rc =
            xeno_task_get(xeno, server, session, task, POLL_MS, &why, &now);

        if (!rc && !goes_on(now)) break;
        if (!rc) {
            task = now->task;
            xn__host_task__free_unpacked(now, NULL);
            now = NULL;
        }
        if (!goes_on_asking(xeno, server->talk, &a, asked_us, rc, &why))
            return xeno_tell(&why, cannot_tell);
    }
    *task_out = now;
    return XN_EXIT_OK;
}

int xeno_task_stop_at(const struct xeno *xeno, const struct xeno_member *server,
                      const xn_id *session, uint32_t task, uint32_t grace_ms,
                      Xn__HostTask **task_out)
{
    Xn__StopTask body = XN__STOP_TASK__INIT;
    const struct xeno_question question = {
        .what = "cannot stop the task",
        .method = "POST",
        .path = "/v1/tasks/stop",
        .body = &body,
        .answer = &xn__host_task__descriptor,
        .changes = true,
        .wait_ms = grace_ms,
    };

    body.session = xn_id_bytes(session);
    body.task = task;
    body.grace_ms = grace_ms;
    return xeno_ask(xeno, server, &question, task_out);
}

/* ---- verbs ---- */

/* Without an answer it is asked again, with the same bytes: one task. */
static int begin(const struct xeno *xeno, const struct xeno_place *place,
                 struct xeno_deed *deed, Xn__HostTask **task_out)
{
    struct xeno_why why;
    const struct xeno_question question = {
        .what = cannot_start,
        .method = "POST",
        .path = "/v1/tasks",
        .body = &deed->task,
        .answer = &xn__host_task__descriptor,
        .changes = true,
        .why = &why,
    };
    uint8_t word[XN_ID_SIZE];
    int rc = XN_EUNKNOWN;

    if (RAND_bytes(word, sizeof word) != 1) return xeno_no_memory();
    deed->task.session = xn_id_bytes(&place->kept.session);
    deed->task.request = (ProtobufCBinaryData){sizeof word, word};
    for (int i = 0; i < XENO_BEGIN_TRIES(&deed->task) && rc == XN_EUNKNOWN; i++)
        rc = xeno_ask(xeno, &place->server, &question, task_out);
    return rc ? xeno_tell(&why, cannot_start) : XN_EXIT_OK;
}

int xeno_task_new(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_work work = {.argc = 0};
    const char *last = NULL;
    struct xn_option rows[8] = {
        XN_OPTION("for", 0, "DUR", "then it is stopped", &work.life),
        XN_OPTION("last", 0, NULL, "the session ends when it ends", &last),
    };
    size_t n = xeno_work_options(&work, rows, 2);
    Xn__HostTask *task = NULL;
    struct xeno_place place;
    struct xeno_deed *deed;
    int words, code = xeno_work_split(&work, &argc, argv);

    if (code < 0) code = xeno_options(xeno, rows, n, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    deed = calloc(1, sizeof *deed);
    if (!deed) return xeno_no_memory();
    code = xeno_deed_make(&work, deed);
    if (!code) {
        deed->task.last = last != NULL;
        code = xeno_place(xeno, argv[words], &place);
    }
    if (!code) {
        code = begin(xeno, &place, deed, &task);
        if (!code) code = xeno_task_print(xeno, task);
        if (task) xn__host_task__free_unpacked(task, NULL);
        xeno_place_clear(&place);
    }
    xeno_deed_clear(deed);
    free(deed);
    return code;
}

static int show_all(const struct xeno *xeno, const Xn__Tasks *tasks)
{
    static const char *const headings[] = {"TASK", "STATE", "CODE", "CPU",
                                           "COMMAND"};
    struct xeno_table *table = NULL;
    json_t *list = json_array();

    if (!xeno->json) table = xeno_table_new(headings, 5, 1 | 1 << 2 | 1 << 3);
    for (size_t i = 0; i < tasks->n_tasks; i++) {
        const Xn__HostTask *t = tasks->tasks[i];
        char number[16], code[16] = "", cpu[32], doing[XENO_DOING_MAX];
        const char *row[] = {number, xeno_task_state(t), code, cpu, doing};
        struct xeno_work words = {.argv = t->argv, .argc = (int)t->n_argv};

        json_array_append_new(list, xeno_task_json(t));
        snprintf(number, sizeof number, "%u", (unsigned)t->task);
        if (!goes_on(t)) snprintf(code, sizeof code, "%d", (int)t->code);
        snprintf(cpu, sizeof cpu, "%.3f s", (double)t->cpu_ns / 1e9);
        xeno_work_text(&words, doing, sizeof doing);
        if (table) xeno_table_row(table, row);
    }
    if (xeno->json) {
        return xeno_print_json(
            json_pack("{s:s, s:o}", "schema", "xeno.tasks/1", "tasks", list));
    }
    json_decref(list);
    return xeno_table_print(table);
}

int xeno_task_list(struct xeno *xeno, int argc, char **argv)
{
    char path[XN_ID_HEX + 40], hex[XN_ID_HEX];
    const struct xeno_question question = {.what = cannot_tell,
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__tasks__descriptor};
    Xn__Tasks *tasks = NULL;
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    xn_id_hex(&place.kept.session, hex);
    snprintf(path, sizeof path, "/v1/tasks?session=%s", hex);
    code = xn_exit_code(xeno_ask(xeno, &place.server, &question, &tasks));
    if (!code) code = show_all(xeno, tasks);
    if (tasks) xn__tasks__free_unpacked(tasks, NULL);
    xeno_place_clear(&place);
    return code;
}

int xeno_task_show(struct xeno *xeno, int argc, char **argv)
{
    Xn__HostTask *task = NULL;
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    code = xn_exit_code(xeno_task_get(xeno, &place.server, &place.kept.session,
                                      place.task, 0, NULL, &task));
    if (!code) code = xeno_task_print(xeno, task);
    if (task) xn__host_task__free_unpacked(task, NULL);
    xeno_place_clear(&place);
    return code;
}

int xeno_task_stop(struct xeno *xeno, int argc, char **argv)
{
    const char *grace = NULL;
    const struct xn_option own[] = {
        XN_OPTION("grace", 0, "DUR",
                  "from the request to the end by force (5s)", &grace),
    };
    uint64_t grace_us = GRACE_MS * UINT64_C(1000);
    Xn__HostTask *task = NULL;
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, own, 1, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    if (grace && (xn_span_parse(grace, &grace_us) ||
                  grace_us > GRACE_MS_MAX * UINT64_C(1000)))
        return xeno_usage("--grace is a time up to 1m, not '%.60s'", grace);
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    code = xn_exit_code(xeno_task_stop_at(xeno, &place.server,
                                          &place.kept.session, place.task,
                                          (uint32_t)(grace_us / 1000), &task));
    if (!code) code = xeno_task_print(xeno, task);
    if (task) xn__host_task__free_unpacked(task, NULL);
    xeno_place_clear(&place);
    return code;
}

int xeno_wait(struct xeno *xeno, int argc, char **argv)
{
    const char *pass = NULL;
    const struct xn_option own[] = {
        XN_OPTION("exit-code", 0, NULL, "end with the task's own", &pass),
    };
    Xn__HostTask *task = NULL;
    struct xeno_place place;
    int words, code, shown = XN_EXIT_OK;

    code = xeno_options(xeno, own, 1, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    code = xeno_task_await(xeno, &place.server, &place.kept.session, place.task,
                           0, &task);
    if (!code && xeno->json) shown = xeno_task_print(xeno, task);
    if (!code) code = xeno_task_code(task, pass);
    if (task) xn__host_task__free_unpacked(task, NULL);
    xeno_place_clear(&place);
    return code ? code : shown;
}
