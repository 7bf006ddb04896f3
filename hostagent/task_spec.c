/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may be asked of a task, and what its session's terms let it have. */
#include <string.h>

#include "hostagent/task.h"

#define MB (1 << 20)
#define GB 1000000000
#define NET_KBIT_PER_S_MAX 100000000
#define MEMORY_BYTES_MIN (8 * MB) /* of a keeper */

static bool words_fit(char *const *words, size_t n)
{
    size_t bytes = 0;

    if (n > TASK_WORDS_MAX) return false;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(words[i]) + 1;
    return bytes <= TASK_TEXT_MAX;
}

static bool env_ok(const Xn__NewTask *want)
{
    for (size_t i = 0; i < want->n_env; i++) {
        const char *equals = strchr(want->env[i], '=');

        if (!equals || equals == want->env[i]) return false;
    }
    return true;
}

/* Where it may come from is the driver's to judge. */
static bool image_ok(const Xn__TaskImage *image)
{
    return !image || (image->sha256.len == XN_ID_SIZE && image->url[0] &&
                      strlen(image->url) <= TASK_IMAGE_URL_MAX);
}

/* Below the home folder: no way out of it, no empty part. */
static bool path_ok(const char *path)
{
    size_t len = strlen(path);

    if (!len || len > TASK_FILE_NAME_MAX) return false;
    for (;;) {
        size_t n = strcspn(path, "/");

        if (n == 0 || (n == 1 && path[0] == '.') ||
            (n == 2 && path[0] == '.' && path[1] == '.')) {
            return false;
        }
        if (!path[n]) return true;
        path += n + 1;
    }
}

static const char *files_wrong(const Xn__NewTask *want)
{
    size_t bytes = 0;

    if (want->n_files > TASK_FILES_MAX) return "at most 64 files";
    for (size_t i = 0; i < want->n_files; i++) {
        if (!path_ok(want->files[i]->name))
            return "a file's name is a path below the home folder, of at most "
                   "128 bytes";
        bytes += want->files[i]->data.len;
        if (bytes > TASK_FILE_BYTES_MAX)
            return "the files are more than 524288 bytes together";
    }
    return NULL;
}

const char *task_malformed(const Xn__NewTask *want)
{
    if (!want->n_argv || want->argv[0][0] != '/')
        return "no program by its whole path";
    if (!words_fit(want->argv, want->n_argv))
        return "its arguments are more than 256, or 65536 bytes";
    if (!env_ok(want)) return "env is not of the form NAME=VALUE";
    if (!words_fit(want->env, want->n_env))
        return "its environment is more than 256 words, or 65536 bytes";
    if (want->life_ms > TASK_LIFE_MS_MAX) return "no life is that long";
    if (!image_ok(want->image))
        return "an image is a URL of at most 2048 bytes and a SHA-256";
    return files_wrong(want);
}

/* d x unit, at most `max`. */
static uint64_t amount(xn_dec d, uint64_t unit, uint64_t max)
{
    xn_i128 whole = d.v / XN_DEC_ONE, part = d.v % XN_DEC_ONE;

    if (whole >= (xn_i128)(max / unit)) return max;
    return (uint64_t)(whole * (xn_i128)unit +
                      part * (xn_i128)unit / XN_DEC_ONE);
}

const char *task_too_small(const struct money_rates *rates)
{
    if (amount(rates->memory_mb, MB, 1ULL << 44) >= MEMORY_BYTES_MIN)
        return NULL;
    return "a task wants at least 8 MB of memory";
}

const char *task_lacks_disk(const struct host *host, const Xn__NewTask *want,
                            const struct money_rates *rates)
{
    if (!want->image || !host->config.xen || rates->disk_gb.v) return NULL;
    return "a domain's image is a disk of its own, and none was asked for";
}

#define LATE_MS 60000 /* whoever is there has ended the session before */

uint64_t task_life_ms(const struct host_session *s, uint64_t from_us,
                      uint64_t want_ms)
{
    uint64_t until_us = session_until(s), ms = LATE_MS;

    if (until_us > from_us) ms += (until_us - from_us) / 1000;
    if (ms > TASK_LIFE_MS_MAX) ms = TASK_LIFE_MS_MAX;
    return want_ms && want_ms < ms ? want_ms : ms;
}

void task_spec(const struct host_session *s, const Xn__NewTask *want,
               Xn__TaskSpec *out)
{
    const struct money_rates *rates = &s->sale.terms.rates;

    xn__task_spec__init(out);
    out->argv = want->argv;
    out->n_argv = want->n_argv;
    out->env = want->env;
    out->n_env = want->n_env;
    out->put = want->files;
    out->n_put = want->n_files;
    out->terminal = want->terminal;
    if (s->host->config.xen) {
        out->runner = XN__RUNNER__XEN;
        out->pvh = s->pvh;
        out->image = (char *)(uintptr_t)s->host->config.image;
        out->net_kbit_per_s =
            (uint32_t)amount(rates->net_mbps, 1000, NET_KBIT_PER_S_MAX);
    }
    out->life_ms = want->life_ms;
    out->memory_bytes = amount(rates->memory_mb, MB, 1ULL << 44);
    out->cpu_ms_per_s = (uint32_t)amount(rates->cpu_smps, 1, 1000000);
    if (!out->cpu_ms_per_s) out->cpu_ms_per_s = 1; /* 0 would be no cap */
    if (!rates->disk_gb.v) return;
    out->disk_bytes = amount(rates->disk_gb, GB, 1ULL << 44);
    if (out->disk_bytes < MB) out->disk_bytes = MB;
    out->file_bytes = out->disk_bytes;
}
