/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One image: from the folder if it is there and whole, else fetched, unpacked and
 * put there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "net/image_get.h"
#include "net/images_in.h"
#include "net/tree.h"

#define TICK_MS 200 /* between looks at whether it is wanted still */

static int refuse(struct image_ask *ask, int rc, const char *advice,
                  const char *because)
{
    snprintf(ask->because, sizeof ask->because, "%s", because);
    ask->advice = advice;
    return rc;
}

/* ---- what is there ------------------------------------------------------- */

/* fd: the one that is.  Another may be in its place already. */
static void drop_damaged(struct image_cache *cache,
                         const struct image_name *name, int fd)
{
    struct stat is, named;

    pthread_mutex_lock(&cache->place);
    if (!fstat(fd, &is) &&
        !fstatat(cache->dir, name->tree, &named, AT_SYMLINK_NOFOLLOW) &&
        is.st_dev == named.st_dev && is.st_ino == named.st_ino) {
        xn_log(XN_LOG_WARN, "image %.12s is damaged: it is dropped",
               name->tree);
        close(fd); /* ours would keep it */
        fd = -1;
        image_put_aside(cache, name);
    }
    pthread_mutex_unlock(&cache->place);
    if (fd >= 0) close(fd);
}

/* It could not be looked at, which says nothing about it. */
static bool is_passing(int rc)
{
    return rc == XN_ECANCELLED || rc == XN_EBUSY || rc == XN_ENOMEM;
}

/* XN_ENOENT: not there, or not any more; XN_EBUSY, XN_ENOMEM: not now. */
static int use_kept(struct image_cache *cache, struct image_ask *ask,
                    const struct image_name *name)
{
    xn_id is, should;
    int fd, rc = 0;

    pthread_mutex_lock(&cache->place);
    fd = image_lock(cache, name->tree);
    if (fd >= 0) rc = image_read_note(cache, name->note, &should, &ask->bytes);
    pthread_mutex_unlock(&cache->place);
    if (fd < 0) return fd;
    if (!rc)
        rc = net_tree_digest(cache->dir, name->tree, &ask->stop, &is,
                             &ask->bytes);
    if (is_passing(rc)) {
        close(fd);
        return rc == XN_ENOMEM ? XN_EBUSY : rc;
    }
    if (!rc && xn_id_eq(&is, &should)) {
        utimensat(cache->dir, name->note, NULL, 0);
        image_hold(cache, fd);
        return 0;
    }
    drop_damaged(cache, name, fd);
    return XN_ENOENT;
}

/* ---- unpacking ----------------------------------------------------------- */

static int start(struct image_cache *cache, char **argv, int archive, int out,
                 pid_t *pid_out)
{
    char *env[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    int err;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawn_file_actions_adddup2(&files, archive, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    err = posix_spawn(pid_out, argv[0], &files, &how, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    errno = err;
    return err ? XN_EIO : 0;
}

/* What it says, until it ends; it is ended where nobody waits any more. */
static void listen_to(struct image_ask *ask, pid_t pid, int fd, char *text,
                      size_t len)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};
    size_t at = 0;
    ssize_t n = 1;

    while (n > 0) {
        char rest[64];
        bool full = at + 1 >= len;

        if (atomic_load(&ask->stop)) kill(pid, SIGKILL);
        if (poll(&poll_fd, 1, TICK_MS) <= 0) continue;
        n = full ? read(fd, rest, sizeof rest)
                 : read(fd, text + at, len - 1 - at);
        if (n > 0 && !full) at += (size_t)n;
    }
    text[at] = '\0';
    text[strcspn(text, "\n")] = '\0';
    xn_plain(text);
}

static int end_of(struct image_ask *ask, pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (atomic_load(&ask->stop)) return XN_ECANCELLED;
    if (WIFEXITED(status)) return -WEXITSTATUS(status);
    snprintf(ask->because, sizeof ask->because,
             "unpacking took too much time or memory");
    return XN_ETOOBIG;
}

static int unpack_into(struct image_cache *cache, struct image_ask *ask,
                       int archive, const struct image_name *name)
{
    char path[PATH_MAX + sizeof name->fresh + 1], bytes[32], because[300] = "";
    char *argv[] = {(char *)(uintptr_t)cache->config.unpack, path, bytes, NULL};
    int pipe_fds[2], rc;
    pid_t pid;

    snprintf(path, sizeof path, "%s/%s", cache->path, name->fresh);
    snprintf(bytes, sizeof bytes, "%" PRIu64, ask->size_max);
    if (pipe2(pipe_fds, O_CLOEXEC)) return XN_EIO;
    rc = start(cache, argv, archive, pipe_fds[1], &pid);
    close(pipe_fds[1]);
    if (rc) {
        snprintf(because, sizeof because, "%.200s: %s", argv[0],
                 strerror(errno));
        xn_log(XN_LOG_ERROR, "images: %s", because);
        refuse(ask, rc, "another server", "this server cannot unpack it");
    } else {
        listen_to(ask, pid, pipe_fds[0], because, sizeof because);
        refuse(ask, 0, "another image", because);
        rc = end_of(ask, pid);
    }
    close(pipe_fds[0]);
    return rc;
}

/* ---- fetching ------------------------------------------------------------ */

static int disk_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? XN_ENOSPC : XN_EIO;
}

/* The note comes last: a tree without one is nothing.  The same may have come from
 * another URL meanwhile, and then that one stays. */
static int place(struct image_cache *cache, struct image_ask *ask,
                 const struct image_name *name, const xn_id *digest)
{
    bool there = false;
    int fd, rc;

    if (renameat(cache->dir, name->fresh, cache->dir, name->tree)) {
        there = errno == EEXIST || errno == ENOTEMPTY;
        if (!there) return disk_error();
        net_tree_remove(cache->dir, name->fresh);
    }
    fd = image_lock(cache, name->tree);
    if (fd < 0) return XN_EIO;
    rc = there ? 0 : image_write_note(cache, name->note, digest, ask->bytes);
    if (!rc) {
        image_hold(cache, fd);
    } else {
        close(fd);
        image_put_aside(cache, name);
    }
    return rc;
}

static int put_in_place(struct image_cache *cache, struct image_ask *ask,
                        const struct image_name *name)
{
    xn_id digest;
    int rc;

    rc = net_tree_digest(cache->dir, name->fresh, &ask->stop, &digest,
                         &ask->bytes);
    if (rc) return rc;
    pthread_mutex_lock(&cache->place);
    rc = image_make_room(cache, ask->bytes);
    if (rc == XN_ENOSPC)
        refuse(ask, rc, "again later, or a smaller image",
               "the images that are in use leave it no room");
    if (!rc) rc = place(cache, ask, name, &digest);
    pthread_mutex_unlock(&cache->place);
    return rc;
}

static int unpack_new(struct image_cache *cache, struct image_ask *ask,
                      int archive, const struct image_name *name)
{
    int rc;

    net_tree_remove(cache->dir, name->fresh);
    if (mkdirat(cache->dir, name->fresh, 0755) ||
        fchmodat(cache->dir, name->fresh, 0755, 0)) { /* whatever the umask */
        return disk_error();
    }
    rc = unpack_into(cache, ask, archive, name);
    if (rc != XN_ECANCELLED) unlinkat(cache->dir, name->part, 0);
    if (!rc) rc = put_in_place(cache, ask, name);
    if (rc) net_tree_remove(cache->dir, name->fresh);
    return rc;
}

static int fetch(struct image_cache *cache, struct image_ask *ask,
                 const struct image_name *name)
{
    struct image_get get = {.url = ask->url,
                            .store = cache->config.store,
                            .hosts = cache->config.hosts,
                            .ca = cache->config.ca,
                            .private_ok = cache->config.private_ok,
                            .dir = cache->dir,
                            .name = name->part,
                            .sha256 = ask->sha256,
                            .bytes_max = ask->size_max,
                            .stop = &ask->stop};
    int archive, rc;

    image_drop_parts(cache, name->part);
    rc = image_get(&get, &archive);
    if (rc) {
        if (get.detail[0]) {
            xn_plain(get.detail);
            xn_log(XN_LOG_INFO, "image %.12s: %s: %s", name->tree, get.because,
                   get.detail);
        }
        return refuse(ask, rc, get.advice, get.because);
    }
    rc = unpack_new(cache, ask, archive, name);
    close(archive);
    return rc;
}

void image_look(struct image_cache *cache, struct image_ask *ask)
{
    struct image_name name;

    image_name(&ask->sha256, ask->url, &name);
    ask->rc = use_kept(cache, ask, &name);
    ask->cached = !ask->rc;
}

void image_obtain(struct image_cache *cache, struct image_ask *ask)
{
    struct image_name name;
    int rc;

    image_name(&ask->sha256, ask->url, &name);
    ask->advice = "again later";
    if (!ask->size_max || ask->size_max > cache->config.size_max)
        ask->size_max = cache->config.size_max;
    rc = use_kept(cache, ask, &name);
    ask->cached = !rc;
    if (rc == XN_ENOENT) rc = fetch(cache, ask, &name);
    if (rc == XN_ENOSPC && image_clear_unused(cache))
        rc = fetch(cache, ask, &name);
    if (rc && !ask->because[0]) refuse(ask, rc, ask->advice, xn_strerror(rc));
    ask->rc = rc;
}

/* ---- begin and end ------------------------------------------------------- */

static char *copy_of(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy) *failed = true;
    return copy;
}

int image_cache_open(struct image_cache *cache,
                     const struct net_images_config *config)
{
    bool failed = false;

    memset(cache, 0, sizeof *cache);
    cache->dir = -1;
    pthread_mutex_init(&cache->place, NULL);
    pthread_mutex_init(&cache->lock, NULL);
    cache->config = *config;
    cache->config.dir = NULL;
    cache->config.store = copy_of(config->store, &failed);
    cache->config.hosts = copy_of(config->hosts, &failed);
    cache->config.ca = copy_of(config->ca, &failed);
    cache->config.unpack =
        copy_of(config->unpack ? config->unpack : XN_LIBEXECDIR "/xeno-unpack",
                &failed);
    if (failed) return XN_ENOMEM;
    if (mkdir(config->dir, 0755) && errno != EEXIST) return XN_EIO;
    if (!realpath(config->dir, cache->path)) return XN_EIO;
    cache->dir = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->dir < 0) return XN_EIO;
    /* What is halfway for one process is left over for another. */
    if (flock(cache->dir, LOCK_EX | LOCK_NB)) return XN_EBUSY;
    /* Tasks are other users. */
    if (fchmod(cache->dir, 0755)) return XN_EIO;
    image_sweep(cache);
    return 0;
}

void image_cache_close(struct image_cache *cache)
{
    for (size_t i = 0; i < IMAGES_HOLDS; i++) {
        if (cache->holds[i].fd) close(cache->holds[i].fd);
    }
    if (cache->dir >= 0) close(cache->dir);
    free((char *)(uintptr_t)cache->config.store);
    free((char *)(uintptr_t)cache->config.hosts);
    free((char *)(uintptr_t)cache->config.ca);
    free((char *)(uintptr_t)cache->config.unpack);
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->place);
}
