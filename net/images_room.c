/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What lies in the folder of images, and what of it goes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "net/clock.h"
#include "net/images_in.h"
#include "net/tree.h"

#define NOTE_MAX 256

void image_name(const xn_id *id, const char *url, struct image_name *out)
{
    char hex[XN_ID_HEX];
    xn_id from;

    xn_id_hash(url, strlen(url), &from);
    xn_id_hex(&from, hex);
    xn_id_hex(id, out->tree);
    snprintf(out->note, sizeof out->note, "%s.note", out->tree);
    snprintf(out->part, sizeof out->part, "%s.part-%.32s", out->tree, hex);
    snprintf(out->fresh, sizeof out->fresh, "%s.new-%.32s", out->tree, hex);
}

/* ---- notes --------------------------------------------------------------- */

int image_read_note(struct image_cache *cache, const char *note,
                    xn_id *digest_out, uint64_t *bytes_out)
{
    int fd = openat(cache->dir, note, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[NOTE_MAX], hex[XN_ID_HEX], again[NOTE_MAX];
    ssize_t n;

    if (fd < 0) return net_trouble_passes(errno) ? XN_EBUSY : XN_ENOENT;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "image 1 %64s %" SCNu64, hex, bytes_out) != 2 ||
        xn_id_unhex(hex, strlen(hex), digest_out)) {
        return XN_EINTEGRITY;
    }
    snprintf(again, sizeof again, "image 1 %s %" PRIu64 "\n", hex, *bytes_out);
    return strcmp(text, again) == 0 ? 0 : XN_EINTEGRITY;
}

int image_write_note(struct image_cache *cache, const char *note,
                     const xn_id *digest, uint64_t bytes)
{
    int fd =
        openat(cache->dir, note,
               O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    char text[NOTE_MAX], hex[XN_ID_HEX];
    int n, rc = 0;

    if (fd < 0) return errno == ENOSPC ? XN_ENOSPC : XN_EIO;
    xn_id_hex(digest, hex);
    n = snprintf(text, sizeof text, "image 1 %s %" PRIu64 "\n", hex, bytes);
    if (write(fd, text, (size_t)n) != n)
        rc = errno == ENOSPC || errno == EFBIG ? XN_ENOSPC : XN_EIO;
    close(fd);
    if (rc) unlinkat(cache->dir, note, 0);
    return rc;
}

/* ---- locks --------------------------------------------------------------- */

static int open_tree(struct image_cache *cache, const char *tree)
{
    return openat(cache->dir, tree,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int image_lock(struct image_cache *cache, const char *tree)
{
    int fd = open_tree(cache, tree);

    if (fd < 0) return net_trouble_passes(errno) ? XN_EBUSY : XN_ENOENT;
    if (flock(fd, LOCK_SH | LOCK_NB)) {
        close(fd);
        return XN_ENOENT;
    }
    return fd;
}

static void let_go(struct image_hold *hold)
{
    if (hold->fd) close(hold->fd);
    hold->fd = 0;
}

void image_hold(struct image_cache *cache, int fd)
{
    struct image_hold *at = cache->holds;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < IMAGES_HOLDS; i++) {
        struct image_hold *hold = &cache->holds[i];

        if (!hold->fd || (at->fd && hold->until_us < at->until_us)) at = hold;
    }
    let_go(at);
    at->fd = fd;
    at->until_us = net_mono_us() + NET_IMAGES_HOLD_US;
    pthread_mutex_unlock(&cache->lock);
}

static void let_go_old(struct image_cache *cache)
{
    uint64_t now = net_mono_us();

    for (size_t i = 0; i < IMAGES_HOLDS; i++) {
        if (cache->holds[i].until_us <= now) let_go(&cache->holds[i]);
    }
}

/* ---- away ---------------------------------------------------------------- */

/* Removes a tree that is no image any more, unless it is used. */
static bool remove_unused(struct image_cache *cache, const char *name)
{
    int fd = open_tree(cache, name);
    bool done = false;

    if (fd < 0) return errno == ENOENT;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        done = !net_tree_remove(cache->dir, name);
    close(fd);
    return done;
}

/* The caller has the lock.  Under its new name nobody finds it.  `alone`: he
 * knows that nobody uses it. */
static void put_aside(struct image_cache *cache, const struct image_name *name,
                      bool alone)
{
    char gone[XN_ID_HEX + 32];

    snprintf(gone, sizeof gone, "%s.gone-%u", name->tree, cache->gone++);
    unlinkat(cache->dir, name->note, 0);
    if (renameat(cache->dir, name->tree, cache->dir, gone)) return;
    if (alone)
        net_tree_remove(cache->dir, gone);
    else
        remove_unused(cache, gone);
}

void image_put_aside(struct image_cache *cache, const struct image_name *name)
{
    pthread_mutex_lock(&cache->lock);
    put_aside(cache, name, false);
    pthread_mutex_unlock(&cache->lock);
}

static bool evict(struct image_cache *cache, const struct image_name *name)
{
    int fd = open_tree(cache, name->tree);
    bool alone = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);

    if (alone) {
        xn_log(XN_LOG_INFO, "image %.12s makes room", name->tree);
        put_aside(cache, name, true);
    }
    if (fd >= 0) close(fd);
    return alone;
}

/* ---- what there is ------------------------------------------------------- */

struct kept {
    struct image_name name;
    uint64_t bytes;
    struct timespec used;
    bool stays; /* it is in use */
};

struct survey {
    struct kept *all;
    size_t n, cap;
    uint64_t bytes;
};

static bool ends_with(const char *name, const char *end)
{
    return strlen(name) > XN_ID_HEX - 1 &&
           strncmp(name + XN_ID_HEX - 1, end, strlen(end)) == 0;
}

static int add_kept(struct image_cache *cache, struct survey *s,
                    const char *note, const struct stat *st)
{
    struct kept *kept;
    xn_id id, digest;

    if (xn_id_unhex(note, XN_ID_HEX - 1, &id)) return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        struct kept *more = realloc(s->all, cap * sizeof *more);

        if (!more) return XN_ENOMEM;
        s->all = more;
        s->cap = cap;
    }
    kept = &s->all[s->n++];
    memset(kept, 0, sizeof *kept);
    image_name(&id, "", &kept->name);
    kept->used = st->st_mtim;
    if (image_read_note(cache, note, &digest, &kept->bytes)) kept->bytes = 0;
    s->bytes += kept->bytes;
    return 0;
}

/* Unless somebody is writing it. */
static void drop_part(struct image_cache *cache, const char *name)
{
    int fd = openat(cache->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) return;
    if (!flock(fd, LOCK_EX | LOCK_NB)) unlinkat(cache->dir, name, 0);
    close(fd);
}

static int survey(struct image_cache *cache, struct survey *s)
{
    int fd = openat(cache->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat st;
    int rc = 0;

    if (!list) {
        if (fd >= 0) close(fd);
        return XN_EIO;
    }
    while (!rc && (entry = readdir(list))) {
        const char *name = entry->d_name;

        if (fstatat(cache->dir, name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (ends_with(name, ".note"))
            rc = add_kept(cache, s, name, &st);
        else if (ends_with(name, ".part")) /* these go before any image does */
            drop_part(cache, name);
        else if (ends_with(name, ".gone-"))
            remove_unused(cache, name);
    }
    closedir(list);
    return rc;
}

static struct kept *oldest(struct survey *s)
{
    struct kept *best = NULL;

    for (size_t i = 0; i < s->n; i++) {
        struct kept *k = &s->all[i];

        if (k->stays) continue;
        if (!best || k->used.tv_sec < best->used.tv_sec ||
            (k->used.tv_sec == best->used.tv_sec &&
             k->used.tv_nsec < best->used.tv_nsec)) {
            best = k;
        }
    }
    return best;
}

/* Until no more than `most` bytes are left; true: so it is. */
static bool shrink(struct image_cache *cache, struct survey *s, uint64_t most)
{
    struct kept *k;

    while (s->bytes > most && (k = oldest(s))) {
        k->stays = true;
        if (evict(cache, &k->name)) s->bytes -= k->bytes;
    }
    return s->bytes <= most;
}

int image_make_room(struct image_cache *cache, uint64_t bytes)
{
    struct survey s = {0};
    int rc;

    pthread_mutex_lock(&cache->lock);
    let_go_old(cache);
    rc = survey(cache, &s);
    if (!rc && (bytes > cache->config.room ||
                !shrink(cache, &s, cache->config.room - bytes))) {
        rc = XN_ENOSPC;
    }
    pthread_mutex_unlock(&cache->lock);
    free(s.all);
    return rc;
}

bool image_clear_unused(struct image_cache *cache)
{
    struct survey s = {0};
    uint64_t had = 0;
    int rc;

    pthread_mutex_lock(&cache->place);
    pthread_mutex_lock(&cache->lock);
    let_go_old(cache);
    rc = survey(cache, &s);
    had = s.bytes;
    if (!rc) shrink(cache, &s, 0);
    pthread_mutex_unlock(&cache->lock);
    pthread_mutex_unlock(&cache->place);
    free(s.all);
    return s.bytes < had;
}

/* ---- cut downloads ------------------------------------------------------- */

static int is_part(const struct dirent *entry)
{
    return ends_with(entry->d_name, ".part");
}

/* How many are newer?  One that went meanwhile is the oldest. */
static unsigned newer(struct image_cache *cache, struct dirent **list, int n,
                      const char *name)
{
    struct stat is, other;
    unsigned count = 0;

    if (fstatat(cache->dir, name, &is, AT_SYMLINK_NOFOLLOW)) return UINT_MAX;
    for (int i = 0; i < n; i++) {
        if (fstatat(cache->dir, list[i]->d_name, &other, AT_SYMLINK_NOFOLLOW))
            continue;
        count += other.st_mtim.tv_sec > is.st_mtim.tv_sec ||
                 (other.st_mtim.tv_sec == is.st_mtim.tv_sec &&
                  other.st_mtim.tv_nsec > is.st_mtim.tv_nsec);
    }
    return count;
}

void image_drop_parts(struct image_cache *cache, const char *but)
{
    struct dirent **list;
    int n;

    pthread_mutex_lock(&cache->lock);
    n = scandirat(cache->dir, ".", &list, is_part, NULL);
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i]->d_name, but) != 0 &&
            newer(cache, list, n, list[i]->d_name) >= IMAGES_PARTS_KEPT)
            drop_part(cache, list[i]->d_name);
    }
    pthread_mutex_unlock(&cache->lock);
    for (int i = 0; i < n; i++)
        free(list[i]);
    if (n >= 0) free(list);
}

/* ---- the beginning ------------------------------------------------------- */

/* A tree without a note was never finished, nor is a note without a tree. */
static void sweep_one(struct image_cache *cache, const char *entry)
{
    struct image_name name;
    struct stat st;
    xn_id id;

    if (strlen(entry) < XN_ID_HEX - 1 ||
        xn_id_unhex(entry, XN_ID_HEX - 1, &id)) {
        return;
    }
    image_name(&id, "", &name);
    if (ends_with(entry, ".new") || ends_with(entry, ".gone-"))
        remove_unused(cache, entry);
    else if (ends_with(entry, ".note") &&
             fstatat(cache->dir, name.tree, &st, AT_SYMLINK_NOFOLLOW))
        unlinkat(cache->dir, entry, 0);
    else if (!entry[XN_ID_HEX - 1] &&
             fstatat(cache->dir, name.note, &st, AT_SYMLINK_NOFOLLOW))
        put_aside(cache, &name, false);
}

void image_sweep(struct image_cache *cache)
{
    struct dirent **list;
    int n = scandirat(cache->dir, ".", &list, NULL, NULL);
    unsigned long most = 0;

    if (n < 0) return;
    for (int i = 0; i < n; i++) { /* a name of an earlier time is not used */
        if (strlen(list[i]->d_name) > XN_ID_HEX + 5 &&
            ends_with(list[i]->d_name, ".gone-")) {
            unsigned long at =
                strtoul(list[i]->d_name + XN_ID_HEX + 5, NULL, 10);

            if (at >= most) most = at + 1;
        }
    }
    cache->gone = (unsigned)most;
    for (int i = 0; i < n; i++) {
        sweep_one(cache, list[i]->d_name);
        free(list[i]);
    }
    free(list);
}
