/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What net/images*.c share: the cache, which threads work on. */
#ifndef NET_IMAGES_IN_H
#define NET_IMAGES_IN_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/images.h"
#include "wire/id.h"

#define IMAGES_HOLDS 64
#define IMAGES_PARTS_KEPT 2 /* cut downloads that may be gone on with */

struct image_hold {
    int fd; /* with a shared lock; 0: none */
    uint64_t until_us;
};

struct image_cache {
    struct net_images_config config; /* its texts are ours */
    char path[PATH_MAX];             /* of the folder, where links lead to */
    int dir;
    pthread_mutex_t place; /* of a tree and its note together; before lock */
    pthread_mutex_t lock;  /* of what is below, and of removing */
    struct image_hold holds[IMAGES_HOLDS];
    unsigned gone; /* trees that were put aside */
};

struct image_ask {
    char *url;
    xn_id sha256;
    uint64_t size_max;
    atomic_bool stop;

    /* Filled by image_obtain. */
    int rc;
    char because[400];
    const char *advice;
    uint64_t bytes;
    bool cached;
};

/* XN_EIO with errno, XN_EBUSY: another process has it; XN_ENOMEM. */
int image_cache_open(struct image_cache *cache,
                     const struct net_images_config *config);
void image_cache_close(struct image_cache *cache);
/* In any thread.  Is it there?  rc XN_ENOENT: no. */
void image_look(struct image_cache *cache, struct image_ask *ask);
/* In any thread, not for one hash and URL in two at once.  Waits. */
void image_obtain(struct image_cache *cache, struct image_ask *ask);

/* ---- images_room.c ---- */

struct image_name {
    char tree[XN_ID_HEX], note[XN_ID_HEX + 8];
    char part[XN_ID_HEX + 40], fresh[XN_ID_HEX + 40]; /* of one URL alone */
};

void image_name(const xn_id *id, const char *url, struct image_name *out);
/* Descriptor of the tree's top folder with a shared lock.  XN_ENOENT: none, or it
 * is going at this moment; XN_EBUSY: no descriptor is left. */
int image_lock(struct image_cache *cache, const char *tree);
/* Keeps the lock for a while; takes fd over. */
void image_hold(struct image_cache *cache, int fd);
/* It is no image from now on, whoever uses it.  The caller has `place`. */
void image_put_aside(struct image_cache *cache, const struct image_name *name);
/* Room for so many bytes more; the caller has `place`.  XN_ENOSPC: what is there is in use. */
int image_make_room(struct image_cache *cache, uint64_t bytes);
/* All that nobody uses: for a full disk.  Was there anything? */
bool image_clear_unused(struct image_cache *cache);
/* Cut downloads, but for this one and the newest few. */
void image_drop_parts(struct image_cache *cache, const char *but);
/* What an earlier process left halfway. */
void image_sweep(struct image_cache *cache);
/* What stands in a note.  XN_ENOENT, XN_EINTEGRITY; XN_EBUSY: not now. */
int image_read_note(struct image_cache *cache, const char *note,
                    xn_id *digest_out, uint64_t *bytes_out);
int image_write_note(struct image_cache *cache, const char *note,
                     const xn_id *digest, uint64_t bytes);

#endif
