/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tests of images share: archives, a web server in a thread of this
 * process that may cut what it sends, a cache in a folder of its own. */
#ifndef TESTS_UNIT_IMAGE_KIT_H
#define TESTS_UNIT_IMAGE_KIT_H

#include <netinet/in.h>

#include "net/images_in.h"
#include "tests/unit/net_kit.h"

#define MB (1 << 20)

struct image {
    char *data; /* free, or free_image where the server may still send it */
    size_t len;
    xn_id id;
};

/* With one file of so much noise, so that packing does not make it small. */
struct image make_image(const char *path, size_t len, uint32_t seed);
/* Once the server does not send it. */
void free_image(struct image *image);

/* GET /image, /endless, /moved (to /image), /away (to /image of a host by another
 * name), /trap (to a file), /refused (401); else 404. */
struct image_server {
    int fd;
    unsigned port;
    pthread_t thread;
    const struct image *image;
    size_t at_most; /* bytes an answer, then it breaks off; 0: all */
    bool ranges;
    atomic_int asked, resumed;
};
extern struct image_server server;

int start_server(void **state);
int stop_server(void **state);
/* From now on this one, whole, from any byte; nothing was asked yet. */
void serve_image(const struct image *image);

/* A port of this machine that is taken: nobody listens unless the caller does. */
int bind_one(struct sockaddr_in *at);

struct fixture {
    char dir[64], images[80], store[80], unpack[PATH_MAX];
    struct net_images_config config;
    struct image_cache cache;
    struct image_ask ask;
    char url[128];
};

int cache_setup(void **state);
int cache_teardown(void **state);
/* As a new process: nothing is held. */
void reopen(struct fixture *f);
int obtain_url(struct fixture *f, const char *url, const xn_id *id);
/* From our server. */
int obtain(struct fixture *f, const char *path, const xn_id *id);
/* In the cache: "" its tree, "/bin/one" within, ".note". */
void path_of(const struct fixture *f, const xn_id *id, const char *more,
             char out[256]);
bool is_there(const struct fixture *f, const xn_id *id, const char *more);
/* Something that was begun is there. */
bool is_halfway(const struct fixture *f, const xn_id *id);
/* Nothing but what ends well stays. */
bool left_nothing(const struct fixture *f, const xn_id *id);

#endif
