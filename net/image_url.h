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

/* May images come from there?  hosts: names and addresses between blanks,
 * ".example.org" is that one and all below it, "*" any; NULL: none. */
bool image_host_ok(const char *url, const char *hosts);

/* Does this machine bear it, private (net_addr_is_private) or not?  Who rents must
 * not reach through this server what he cannot reach himself. */
bool image_address_is_own(const struct sockaddr *address);
/* Of a service that is none of the web's: who rents must not knock there in this
 * server's name. */
bool image_port_is_closed(const struct sockaddr *address);

#endif
