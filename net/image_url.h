/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where an image may come from. */
#ifndef NET_IMAGE_URL_H
#define NET_IMAGE_URL_H

#include <stdbool.h>
#include <sys/socket.h>

#define IMAGE_URL_MAX 2048

enum image_source {
    IMAGE_NOWHERE, /* malformed, or of a scheme that is not taken */
    IMAGE_WEB,     /* http:// or https:// */
    IMAGE_STORE,   /* a path in the local store: "debian.tar.xz", or below
                      file:// and the store's folder */
};

/* store: absolute, NULL: there is none.  *path_out: within the store, points
 * into url. */
enum image_source image_source(const char *url, const char *store,
                               const char **path_out);

/* Is it one of this machine, of its network, or none that one connects to?  Who
 * rents must not reach through this server what he cannot reach himself. */
bool image_address_is_private(const struct sockaddr *address);

#endif
