/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runs/HASH-N and its lock: HASH is of the command, N tells apart the same
 * command several times at once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/clock.h"
#include "tools/xeno_run.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/pemfile.h"

#define RECORD_MAX (2 << 20)
#define PLACES 64

static void add(struct xn_buf *buf, const char *word)
{
    xn_buf_str(buf, word ? word : "");
    xn_buf_char(buf, '\0');
}

static int hash_of(const struct run *run, char hex[XN_ID_HEX])
{
    const struct xeno_work *work = run->work;
    struct xn_buf buf;
    xn_id hash;
    int rc;

    xn_buf_init(&buf, 0);
    add(&buf, run->wish.where);
    add(&buf, run->wish.max);
    add(&buf, run->wish.life);
    add(&buf, run->wish.keep ? "keep" : "");
    add(&buf, work->terminal);
    if (work->image) add(&buf, work->image);
    for (size_t i = 0; i < run->wish.n_words; i++)
        add(&buf, run->wish.words[i]);
    add(&buf, "");
    for (size_t i = 0; i < work->n_env; i++)
        add(&buf, work->env[i]);
    add(&buf, "");
    for (size_t i = 0; i < work->n_put; i++)
        add(&buf, work->put[i]);
    add(&buf, "");
    for (int i = 0; i < work->argc; i++)
        add(&buf, work->argv[i]);
    rc = xn_buf_rc(&buf);
    if (!rc) xn_id_hash(buf.data, buf.len, &hash);
    xn_buf_clear(&buf);
    if (!rc) xn_id_hex(&hash, hex);
    return rc;
}

/* Held, and still the file of that name: who held it before may have removed
 * it. */
static bool is_held(int fd, const char *path)
{
    struct stat mine, named;

    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 &&
           stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

static bool take_place(struct run *run, const char *folder, const char *hex,
                       int n)
{
    char name[XN_ID_HEX + 16];

    snprintf(name, sizeof name, "%s-%d", hex, n);
    net_file_path(run->path, folder, name);
    snprintf(run->lock_path, sizeof run->lock_path, "%s.lock", run->path);
    run->lock = open(run->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (run->lock < 0) return false;
    if (is_held(run->lock, run->lock_path)) return true;
    close(run->lock);
    run->lock = -1;
    return false;
}

/* Of a write that was cut short by a kill. */
static void sweep(const char *folder, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    size_t len = strlen(name);
    const struct dirent *entry;
    char stale[NET_PATH_MAX];
    DIR *dir = opendir(folder);

    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, name, len) != 0 ||
            entry->d_name[len] != '.' ||
            strcmp(entry->d_name + len, ".lock") == 0)
            continue;
        net_file_path(stale, folder, entry->d_name);
        unlink(stale);
    }
    if (dir) closedir(dir);
}

static void read_record(struct run *run)
{
    struct xn_buf buf;

    xn_buf_init(&buf, RECORD_MAX);
    if (!xn_file_read(run->path, &buf)) {
        run->record = xn_unpack(&xn__run_record__descriptor, buf.data, buf.len);
    }
    xn_buf_clear(&buf);
    if (run->record && run->record->until_us <= net_wall_us())
        run_record_drop(run);
}

int run_record_open(struct run *run, bool afresh)
{
    char folder[NET_PATH_MAX], hex[XN_ID_HEX];
    int code = xeno_folder(run->xeno, "runs", folder);

    if (code) return code;
    if (hash_of(run, hex)) return xeno_no_memory();
    for (int n = 1; n <= PLACES; n++) {
        if (!take_place(run, folder, hex, n)) continue;
        sweep(folder, run->path);
        read_record(run);
        if (!run->record || !afresh) return XN_EXIT_OK;
        /* What is under way stays as it is, for whoever asks without --new. */
        xn__run_record__free_unpacked(run->record, NULL);
        run->record = NULL;
        close(run->lock);
        run->lock = -1;
    }
    return xeno_gripef(XN_EBUSY, run_cannot, "when one of them has ended",
                       "the same command is under way %d times", PLACES);
}

int run_record_put(struct run *run)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = xn_pack(run->record, &bytes, &len);

    errno = 0;
    if (!rc) rc = pemfile_write(run->path, bytes, len, true);
    free(bytes);
    if (!rc) return XN_EXIT_OK;
    return xeno_gripef(rc, "cannot keep what is being bought", "more room",
                       "%s: %s", run->path,
                       errno ? strerror(errno) : xn_strerror(rc));
}

void run_record_drop(struct run *run)
{
    if (run->record) xn__run_record__free_unpacked(run->record, NULL);
    run->record = NULL;
    unlink(run->path);
}

void run_record_close(struct run *run)
{
    bool kept = run->record;

    if (run->record) xn__run_record__free_unpacked(run->record, NULL);
    run->record = NULL;
    if (run->lock < 0) return;
    if (!kept) unlink(run->lock_path);
    close(run->lock);
    run->lock = -1;
}
