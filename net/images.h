/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FETCH: images of tasks, named by the SHA-256 of their archives.
 *
 * The folder, which belongs to this process alone, has for each image its tree
 * (HEX), a note with the tree's own hash (HEX.note, whose time is that of its last
 * use), and while it is fetched HEX.part-URL and HEX.new-URL; a few that were cut stay, to
 * be gone on with.  An archive is hashed while it
 * comes, unpacked by xeno-unpack, and not kept; a tree is hashed anew each time
 * somebody is about to use it, and where it is not what it was it is dropped and
 * fetched again.
 *
 * Who uses a tree holds a shared flock on its top folder, so no list of uses can be
 * lost: what is locked is not removed.  From DONE on the lock is held here for
 * NET_IMAGES_HOLD_US, in which the user takes his own.  What was used longest ago
 * goes when there is no room.
 *
 * DONE is 0 with Fetched, whose rc says more; XN_EBUSY: too many at once;
 * XN_ECANCELLED.
 *
 * What is there already is looked at apart from what is fetched, and waits for no
 * fetch.  Of the places for fetches an owner has one at a time, and two asks for one
 * hash and URL follow each other: who names a slow server makes himself wait, not the
 * others.  A fetch's time begins with its place.  Who waits for others
 * alone, for a look or a place, is told so after NET_IMAGES_WAIT_US: XN_EBUSY; who waits
 * for himself, or for what is the same, after NET_IMAGES_WAITS times that: XN_ETIMEOUT. */
#ifndef NET_IMAGES_H
#define NET_IMAGES_H

#include "net/loop.h"
#include "net/post.h"

#define NET_IMAGES_ASKS_MAX 512
#define NET_IMAGES_AT_ONCE 8 /* fetched */
#define NET_IMAGES_LOOKS 2   /* threads that hash what is there */
#define NET_IMAGES_OWNER_ASKS_MAX 16
#define NET_IMAGES_HOLD_US 120000000ULL
#define NET_IMAGES_WAIT_US 20000000ULL
#define NET_IMAGES_WAITS 15
#define NET_IMAGES_FETCH_US 600000000ULL

struct net_images;

struct net_images_config { /* texts are copied */
    const char *dir;    /* made where it is missing; its parent must be there */
    const char *store;  /* folder of local images, absolute; NULL: none */
    const char *hosts;  /* of the web that they may come from; "*": any;
                         * NULL: none (net/image_url.h) */
    const char *ca;     /* file of authorities; NULL: the system's */
    const char *unpack; /* the program; NULL: the installed one */
    uint64_t size_max;  /* bytes of one, packed and unpacked alike */
    uint64_t room;      /* bytes of all; what is being fetched is besides */
    bool private_ok;    /* addresses of this network are taken too */
    uint64_t look_us;   /* wait for a look; 0: NET_IMAGES_WAIT_US */
    uint64_t wait_us;   /* wait for a place; 0: the same */
    uint64_t fetch_us;  /* 0: NET_IMAGES_FETCH_US */
};

/* XN_EIO with errno: the folder cannot be used; XN_EBUSY: another process does;
 * XN_EINVAL: the store is no absolute path, or room is less than size_max;
 * XN_ENOMEM. */
int net_images_new(struct net_loop *loop, struct net_post *post,
                   const struct net_images_config *config,
                   struct net_images **images_out);
/* What is under way gets no DONE. */
void net_images_free(struct net_images *images);
void net_images_fetch(struct net_images *images, uint64_t ticket,
                      const Xn__Fetch *fetch);
/* false: no such ticket. */
bool net_images_abort(struct net_images *images, uint64_t ticket);
bool net_images_idle(const struct net_images *images);

#endif
