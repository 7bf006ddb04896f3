/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "keeper/console.h"
#include "lib/err.h"
#include "wire/stream.h"

#define LIFE_MS_MAX (1ULL << 40)

#define MIB (1ULL << 20)

struct bound {
    const char *field;
    uint64_t value, min, max;
};

bool spec_is_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n < SPEC_NAME_MAX && name[0] != '-' && name[n - 1] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

void spec_complete(Xn__TaskSpec *spec)
{
    if (!spec->memory_bytes) spec->memory_bytes = 256 * MIB;
    if (!spec->processes) spec->processes = 64;
    if (!spec->file_bytes) spec->file_bytes = 64 * MIB;
    if (!spec->files) spec->files = 256;
    if (!spec->disk_bytes && spec->runner == XN__RUNNER__SANDBOX)
        spec->disk_bytes = 64 * MIB;
    if (!spec->console_bytes) spec->console_bytes = MIB;
    if (!spec->meter_ms) spec->meter_ms = 15000;
}

static int check_bounds(const struct bound *rows, size_t n, char *because_out,
                        size_t len)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (rows[i].value >= rows[i].min && rows[i].value <= rows[i].max) {
            continue;
        }
        snprintf(because_out, len,
                 "%s is %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
                 rows[i].field, rows[i].value, rows[i].min, rows[i].max);
        return XN_EINVAL;
    }
    return 0;
}

static int check_numbers(const Xn__TaskSpec *spec, char *because_out,
                         size_t len)
{
    const struct bound rows[] = {
        {"memory_bytes", spec->memory_bytes, 8 * MIB, 1ULL << 44},
        {"processes", spec->processes, 1, 100000},
        {"file_bytes", spec->file_bytes, 4096, 1ULL << 44},
        {"files", spec->files, 16, 65536},
        {"disk_bytes", spec->disk_bytes,
         spec->runner == XN__RUNNER__SANDBOX ? 4096 : 0, 1ULL << 44},
        {"cpu_ms_per_s", spec->cpu_ms_per_s, 0, 1000000},
        {"console_bytes", spec->console_bytes, CONSOLE_BYTES_MIN,
         CONSOLE_BYTES_MAX},
        {"meter_ms", spec->meter_ms, 100, 3600000},
        {"life_ms", spec->life_ms, 0, LIFE_MS_MAX},
        {"net_kbit_per_s", spec->net_kbit_per_s, 0, 100000000},
        {"uid", spec->uid, 0, 0xfffffffe},
        {"meter", (uint64_t)spec->meter, 0, XN__METER_KIND__RESERVED},
        {"runner", (uint64_t)spec->runner, 0, XN__RUNNER__XEN},
    };

    return check_bounds(rows, sizeof rows / sizeof rows[0], because_out, len);
}

static int check_words(const char *field, char *const *words, size_t n,
                       char *because_out, size_t len)
{
    size_t bytes = 0, i;

    for (i = 0; i < n; i++)
        bytes += strlen(words[i]) + 1;
    if (n <= SPEC_WORDS_MAX && bytes <= SPEC_TEXT_MAX) return 0;
    snprintf(because_out, len, "%s has more than %d words or %d bytes", field,
             SPEC_WORDS_MAX, SPEC_TEXT_MAX);
    return XN_EINVAL;
}

static int check_env(const Xn__TaskSpec *spec, char *because_out, size_t len)
{
    size_t i;

    for (i = 0; i < spec->n_env; i++) {
        const char *equals = strchr(spec->env[i], '=');

        if (equals && equals != spec->env[i]) continue;
        snprintf(because_out, len, "env: not of the form NAME=VALUE");
        return XN_EINVAL;
    }
    return check_words("env", spec->env, spec->n_env, because_out, len);
}

bool spec_is_put_name(const char *name)
{
    const char *word = name, *at;
    size_t n;

    if (strlen(name) > SPEC_PUT_NAME_MAX) return false;
    for (at = name; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) return false;
    }
    for (;;) {
        n = strcspn(word, "/");
        if (n == 0 || (n == 1 && word[0] == '.') ||
            (n == 2 && word[0] == '.' && word[1] == '.')) {
            return false;
        }
        if (!word[n]) return true;
        word += n + 1;
    }
}

/* The same path, or one of them a folder that the other is in. */
static bool collide(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), less = n < m ? n : m;

    if (strncmp(a, b, less) != 0) return false;
    return n == m || (n < m ? b[n] : a[m]) == '/';
}

static bool is_twice(const Xn__TaskSpec *spec, size_t i)
{
    size_t k;

    for (k = 0; k < i; k++) {
        if (collide(spec->put[k]->name, spec->put[i]->name)) return true;
    }
    return false;
}

#define PAGE 4096 /* what a file in memory takes is a number of these */

/* Their room is part of what the task may use, and each is a file like those
 * that it makes. */
static int check_put(const Xn__TaskSpec *spec, char *because_out, size_t len)
{
    uint64_t bytes = 0, room = 0, largest = 0;
    size_t i;

    for (i = 0; i < spec->n_put && i < SPEC_PUT_MAX; i++) {
        const Xn__TaskFile *file = spec->put[i];

        if (!spec_is_put_name(file->name) || is_twice(spec, i)) {
            snprintf(because_out, len,
                     "put: file %zu has no name of its own below the home "
                     "folder",
                     i + 1);
            return XN_EINVAL;
        }
        bytes += file->data.len;
        room += (file->data.len + PAGE - 1) / PAGE * PAGE;
        if (file->data.len > largest) largest = file->data.len;
    }
    {
        const struct bound rows[] = {
            {"files put", spec->n_put, 0, SPEC_PUT_MAX},
            {"bytes put", bytes, 0, SPEC_PUT_BYTES_MAX},
            {"bytes of disk for what is put", room, 0, spec->disk_bytes},
            {"bytes of the largest file put", largest, 0, spec->file_bytes},
        };

        return check_bounds(rows, sizeof rows / sizeof rows[0], because_out,
                            len);
    }
}

/* An absolute path without "..": what xenodomd compares with its envelope. */
static bool is_plain_path(const char *path)
{
    const char *at;

    if (path[0] != '/' || strlen(path) > 1024) return false;
    for (at = path; (at = strstr(at, "/..")); at += 3) {
        if (at[3] == '/' || at[3] == '\0') return false;
    }
    return true;
}

int spec_check(const Xn__TaskSpec *spec, char *because_out, size_t len)
{
    int rc;

    if (!spec_is_name(spec->name)) {
        snprintf(because_out, len,
                 "name: up to %d of a-z, 0-9 and dashes within",
                 SPEC_NAME_MAX - 1);
        return XN_EINVAL;
    }
    if (spec->n_argv == 0 || spec->argv[0][0] != '/') {
        snprintf(because_out, len, "argv: no program by its whole path");
        return XN_EINVAL;
    }
    if (spec->image[0] && !is_plain_path(spec->image)) {
        snprintf(because_out, len, "image: not an absolute path without ..");
        return XN_EINVAL;
    }
    if (spec->disk[0] && !is_plain_path(spec->disk)) {
        snprintf(because_out, len, "disk: not an absolute path without ..");
        return XN_EINVAL;
    }
    rc = check_words("argv", spec->argv, spec->n_argv, because_out, len);
    if (!rc) rc = check_env(spec, because_out, len);
    if (!rc) rc = check_numbers(spec, because_out, len);
    return rc ? rc : check_put(spec, because_out, len);
}

static int check_command(const Xn__KeeperAsk *ask, char *because_out,
                         size_t len)
{
    size_t bytes = 0;

    if (ask->op != XN__KEEPER_OP__EXEC) return 0;
    for (size_t i = 0; i < ask->n_argv; i++)
        bytes += strlen(ask->argv[i]) + 1;
    if (ask->n_argv > 0 && ask->n_argv <= SPEC_EXEC_WORDS_MAX &&
        bytes <= SPEC_EXEC_TEXT_MAX && ask->argv[0][0] == '/' &&
        stream_terminal_ok(ask->terminal))
        return 0;
    snprintf(because_out, len,
             "argv: no program by its whole path with at most %d words of %d "
             "bytes, or no such terminal",
             SPEC_EXEC_WORDS_MAX, SPEC_EXEC_TEXT_MAX);
    return XN_EINVAL;
}

int spec_check_keeper_ask(const Xn__KeeperAsk *ask, char *because_out,
                          size_t len)
{
    const struct bound rows[] = {
        {"op", (uint64_t)ask->op, XN__KEEPER_OP__STATUS,
         XN__KEEPER_OP__RESTORE},
        {"port", ask->port, ask->op == XN__KEEPER_OP__FORWARD, UINT16_MAX},
        {"life_ms", ask->life_ms, ask->op == XN__KEEPER_OP__LIFETIME,
         LIFE_MS_MAX},
        {"bytes of reason", strlen(ask->reason), 0, SPEC_REASON_MAX},
        {"bytes of input", ask->input.len, 0, SPEC_INPUT_MAX},
        {"grace_ms", ask->grace_ms, 0, SPEC_GRACE_MS_MAX},
    };

    int rc = check_bounds(rows, sizeof rows / sizeof rows[0], because_out, len);

    return rc ? rc : check_command(ask, because_out, len);
}

int spec_check_dom_ask(const Xn__DomAsk *ask, char *because_out, size_t len)
{
    const struct bound rows[] = {
        {"op", (uint64_t)ask->op, XN__DOM_OP__DOM_START,
         XN__DOM_OP__DOM_RESTORE},
        {"names", ask->n_names, ask->op == XN__DOM_OP__DOM_METER,
         SPEC_NAMES_MAX},
        {"life_ms", ask->life_ms, ask->op == XN__DOM_OP__DOM_LIFETIME,
         LIFE_MS_MAX},
        {"bytes of reason", strlen(ask->reason), 0, SPEC_REASON_MAX},
        {"bytes of input", ask->input.len, 0, SPEC_INPUT_MAX},
        {"grace_ms", ask->grace_ms, 0, SPEC_GRACE_MS_MAX},
    };
    bool named =
        ask->op != XN__DOM_OP__DOM_START && ask->op != XN__DOM_OP__DOM_LIST &&
        ask->op != XN__DOM_OP__DOM_ADOPT && ask->op != XN__DOM_OP__DOM_WATCH &&
        ask->op != XN__DOM_OP__DOM_METER;
    int rc = check_bounds(rows, sizeof rows / sizeof rows[0], because_out, len);

    if (rc) return rc;
    if ((named && !spec_is_name(ask->name)) ||
        (ask->after[0] && !spec_is_name(ask->after))) {
        snprintf(because_out, len, "no session has such a name");
        return XN_EINVAL;
    }
    if (ask->op != XN__DOM_OP__DOM_START) return 0;
    if (!ask->spec) {
        snprintf(because_out, len, "spec: there is none");
        return XN_EINVAL;
    }
    return 0;
}

static const char *const meters[] = {"any",  "cgroup",   "perf",
                                     "proc", "reserved", "hypervisor"};
static const char *const states[] = {"starting", "running", "paused",
                                     "stopping", "ended",   "saved"};
static const char *const ends[] = {
    "not yet",     "finished",    "stopped",        "memory", "life",
    "not started", "keeper died", "evaded its cap", "crashed"};
static const char *const runners[] = {"sandbox", "xen"};

static const char *name_of(const char *const *names, size_t n, int i)
{
    return i >= 0 && (size_t)i < n ? names[i] : "?";
}

const char *spec_meter_name(Xn__MeterKind kind)
{
    return name_of(meters, sizeof meters / sizeof *meters, (int)kind);
}

const char *spec_state_name(Xn__TaskState state)
{
    return name_of(states, sizeof states / sizeof *states, (int)state);
}

const char *spec_end_name(Xn__TaskEnd end)
{
    return name_of(ends, sizeof ends / sizeof *ends, (int)end);
}

int spec_meter_parse(const char *name)
{
    int i;

    for (i = 0; i <= XN__METER_KIND__RESERVED; i++) {
        if (strcmp(name, meters[i]) == 0) return i;
    }
    return -1;
}

int spec_runner_parse(const char *name)
{
    int i;

    for (i = 0; i <= XN__RUNNER__XEN; i++) {
        if (strcmp(name, runners[i]) == 0) return i;
    }
    return -1;
}
