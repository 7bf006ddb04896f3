/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One HTTPS request by libcurl, for CALL and for command-line programs alike:
 * our certificate, our check of theirs, nothing from the environment. */
#ifndef NET_TRANSFER_H
#define NET_TRANSFER_H

#include <curl/curl.h>

#include "lib/buf.h"
#include "net/identity.h"

struct net_transfer_order {
    const struct net_identity *identity; /* outlives the connection */
    const char *method, *url;
    const void *body; /* copied */
    size_t len;
    const xn_id *peer; /* who must answer; NULL: any corp, node or server
                            that an accepted corp certified */
    bool pin_suffices; /* peer is enough: no corp need have certified it */
    unsigned meet_ms;  /* until its identity is proved; 0: as timeout_ms */
    unsigned timeout_ms;
    size_t answer_max; /* bytes */
};

struct net_transfer {
    CURL *easy;
    struct curl_slist *headers;
    const struct net_identity *identity;
    struct xn_buf answer;
    char content_type[64];
    struct xn_cert server;
    bool met;    /* server is filled */
    time_t date; /* of the answer, by its clock; below 1: not told */
    int status;
    char error[CURL_ERROR_SIZE];
};

/* Global set-up of libcurl; cheap when done already. */
int net_transfer_library(void);
int net_transfer_init(struct net_transfer *transfer,
                      const struct net_transfer_order *order);
void net_transfer_clear(struct net_transfer *transfer);
/* After libcurl has ended it: 0 whatever the HTTP status, else XN_EUNREACH,
 * XN_ETIMEOUT, XN_EIDENT, XN_ETOOBIG, XN_EINVAL, XN_ENOMEM. */
int net_transfer_end(struct net_transfer *transfer, CURLcode code);

#endif
