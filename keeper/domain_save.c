/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/domain_save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "keeper/domain_make.h"
#include "keeper/domain_use.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/text.h"

#define FRESH KEEPER_MEMORY ".new"
/* Beside the memory: where its pages are, what its processors and devices held. */
#define MORE_BYTES (16 << 20)
#define MORE_PART 64
/* What a machine that has just been started has not ready yet is waited for. */
#define RESTORE_AGAIN_US 5000000
#define RESTORE_PATIENCE_US 180000000

/* ---- saving -------------------------------------------------------------- */

static void tell(struct keeper *keeper, const char *what, const char *why)
{
    struct domain *d = &keeper->domain;

    snprintf(d->unsaved, sizeof d->unsaved, "%s%s%s", what, *why ? ": " : "",
             why);
    xn_plain(d->unsaved);
}

/* How many pages it says that it has is the guest's word: whoever writes them is
 * held to what a guest of its size can have. */
static int write_memory(struct keeper *keeper, int file, uint64_t bytes)
{
    struct domain *d = &keeper->domain;
    struct rlimit before, limit;
    int rc;

    if (getrlimit(RLIMIT_FSIZE, &before)) return XN_EIO;
    limit = before;
    if (limit.rlim_max > bytes) limit.rlim_cur = bytes;
    if (setrlimit(RLIMIT_FSIZE, &limit)) return XN_EIO;
    rc = d->calls->save(d->xen, d->id, file);
    setrlimit(RLIMIT_FSIZE, &before);
    return rc;
}

/* One that stands still would not hear that it is to suspend itself. */
static int suspend(struct keeper *keeper, int file, uint64_t bytes)
{
    struct domain *d = &keeper->domain;
    int rc = keeper->stands ? d->calls->unpause(d->xen, d->id) : 0;

    if (!rc) rc = write_memory(keeper, file, bytes);
    if (rc) tell(keeper, "the guest was not suspended", d->calls->why(d->xen));
    return rc;
}

/* What the guest knows to be written must be when its memory comes back. */
static int sync_disk(const struct keeper *keeper)
{
    int fd = openat(keeper->dir, KEEPER_DISK, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0) return errno == ENOENT ? 0 : XN_EIO;
    rc = fsync(fd) ? XN_EIO : 0;
    close(fd);
    return rc;
}

/* Its room is taken first: no guest is suspended for want of it. */
static int write_file(struct keeper *keeper)
{
    uint64_t bytes = keeper->spec->memory_bytes;
    int fd, rc;

    bytes += bytes / MORE_PART + MORE_BYTES;
    fd = openat(keeper->dir, FRESH,
                O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) &&
                   errno != EOPNOTSUPP)) {
        tell(keeper, "no room for its memory in the state folder",
             strerror(errno));
        rc = XN_ENOSPC;
    } else {
        rc = suspend(keeper, fd, bytes);
    }
    if (!rc && (fsync(fd) || sync_disk(keeper) ||
                renameat(keeper->dir, FRESH, keeper->dir, KEEPER_MEMORY))) {
        tell(keeper, "its memory cannot be written", strerror(errno));
        rc = XN_EIO;
    }
    if (fd >= 0) close(fd);
    return rc;
}

/* It runs no more: these are its last words, and this is its last reading. */
static int note_saved(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct domain_use use, older;
    struct xen_look now;
    int rc;

    rc = domain_look(d, &now);
    if (rc) return rc;
    domain_last_words(keeper);
    domain_count(keeper);
    use = d->use;
    older = d->older;
    keeper->memory_bytes = d->memory_bytes = 0;
    keeper_note_reading(keeper);
    record_close(&keeper->meter);
    rc = record_put(keeper->dir, KEEPER_METER, &keeper->noted);
    if (rc) return rc;
    domain_use_ends(d);
    d->saved_us = sys_wall_us();
    rc = domain_note(keeper);
    if (!rc) return 0;
    d->saved_us = 0;
    d->use = use;
    d->older = older;
    (void)domain_note(keeper); /* what failed may stand there */
    return rc;
}

void domain_save(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    d->wants_save = false;
    d->wakes = 0;
    if (!write_file(keeper) && note_saved(keeper) && !d->unsaved[0])
        tell(keeper, "that it is saved cannot be noted", strerror(errno));
    domain_drop_unsaved(keeper);
    if (!d->saved_us) return;
    domain_destroy(keeper);
    domain_close_console(keeper);
    keeper->state = XN__TASK_STATE__SAVED;
}

void domain_drop_unsaved(struct keeper *keeper)
{
    unlinkat(keeper->dir, FRESH, 0);
    if (!keeper->domain.saved_us) unlinkat(keeper->dir, KEEPER_MEMORY, 0);
}

/* ---- restoring ----------------------------------------------------------- */

/* What is there is that which was saved, or a part of what it was to become. */
int domain_find_saved(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    d->there = d->calls->find(d->xen, d->uuid, &d->id) == 0;
    keeper->state = XN__TASK_STATE__SAVED;
    return 0;
}

static int make_again(struct keeper *keeper)
{
    int fd = openat(keeper->dir, KEEPER_MEMORY, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0) {
        snprintf(keeper->because, sizeof keeper->because,
                 "its memory cannot be read: %s", strerror(errno));
        return XN_EIO;
    }
    rc = domain_make(keeper, fd);
    close(fd);
    return rc;
}

/* Noted before it runs. */
static int run_again(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    uint64_t since_us = d->saved_us, before_ms = d->saved_ms;
    int rc;

    domain_saved_ends(d);
    d->booted_us = sys_mono_us();
    rc = domain_note(keeper);
    if (rc) {
        d->saved_us = since_us;
        d->saved_ms = before_ms;
        (void)domain_note(keeper);
        domain_say(keeper, "that it runs again cannot be noted");
        return rc;
    }
    d->restores = false;
    d->unsaved[0] = '\0';
    keeper->stands = keeper->paused;
    keeper->state =
        keeper->paused ? XN__TASK_STATE__PAUSED : XN__TASK_STATE__RUNNING;
    /* what fails is done at the next look */
    if (!keeper->stands) (void)d->calls->unpause(d->xen, d->id);
    domain_drop_unsaved(keeper);
    return 0;
}

/* true: not for much longer. */
static bool is_patient(struct domain *d, uint64_t now_us)
{
    if (!d->patience_us) d->patience_us = now_us + RESTORE_PATIENCE_US;
    d->restore_us = now_us + RESTORE_AGAIN_US;
    return now_us < d->patience_us;
}

int domain_keep_saved(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    uint64_t now_us = sys_mono_us();
    int rc;

    domain_destroy(keeper);
    if (d->there || !d->restores || now_us < d->restore_us) return 0;
    rc = make_again(keeper);
    if (!rc) rc = run_again(keeper);
    if (!rc) return 0;
    domain_close_console(keeper);
    domain_destroy(keeper);
    if (!is_patient(d, now_us)) return rc;
    tell(keeper, keeper->because, "");
    keeper->because[0] = '\0';
    return 0;
}
