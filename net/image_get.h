/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One image from where it is into a file, for a thread that may wait.  What a
 * cut download left is gone on with; nothing but a file with the right hash is
 * ever handed out. */
#ifndef NET_IMAGE_GET_H
#define NET_IMAGE_GET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "wire/id.h"

struct image_get {
    const char *url;
    const char *store; /* folder of local images; NULL: none */
    const char *ca;    /* file of authorities besides; NULL: the system's */
    const char *hosts; /* that they may come from: image_host_ok */
    bool private_ok;   /* addresses of this network too */
    int dir;           /* where the file is made */
    const char *name;  /* of the file */
    xn_id sha256;      /* that it must have */
    uint64_t bytes_max;
    const atomic_bool *stop; /* give up soon */

    char because
        [400]; /* after an error: what whoever asked may know, which is not
                        * what an address that only this machine reaches says */
    const char *advice;
    char
        detail[400]; /* the rest, for the log; may hold what a stranger wrote */
};

/* *fd_out is the caller's, at the file's beginning.  XN_EINTEGRITY: another
 * hash; XN_EINVAL, XN_EPERM: such a URL is not taken; XN_ENOENT, XN_EUNREACH,
 * XN_ETIMEOUT, XN_EIDENT, XN_ETOOBIG, XN_ENOSPC, XN_EIO, XN_ECANCELLED,
 * XN_ENOMEM.  The file stays where going on could help. */
int image_get(struct image_get *get, int *fd_out);

#endif
