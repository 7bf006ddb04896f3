/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Advertisements of servers that are nothing else, each under a key of its own
 * that a XenoCorp, whose folder is at hand, certified: for soaks and benches.
 * Whatever goes wrong here ends the program with a line that says so. */
#ifndef TESTS_SOAK_ADS_H
#define TESTS_SOAK_ADS_H

#include "lib/buf.h"
#include "net/client.h"
#include "wire/ad.h"
#include "wire/overlay.pb-c.h"

struct ads {
    const char *program;
    struct net_identity client; /* who publishes, asks and gets */
    EVP_PKEY *corp_key;
    X509 *corp_x509;
    uint64_t lease_us;
};

struct ads_ad { /* and who signs it */
    EVP_PKEY *key;
    X509 *x509;
    xn_id server;
    struct xn_buf xml;
    uint64_t version;
};

void ads_must(const struct ads *ads, int rc, const char *what);

/* corp_url is URL#ID; the client enrols with it and keeps that in `work`. */
void ads_open(struct ads *ads, const char *corp_url, const char *corp_dir,
              const char *work);
void ads_close(struct ads *ads);

/* ServerName and Rank as told; a note fills it up to about so many bytes, as
 * far as a token's value may be long. */
void ads_make(const struct ads *ads, const char *name, const char *rank,
              size_t bytes, struct ads_ad *ad);
void ads_free(struct ads_ad *ad);
/* Both parts are the caller's (free). */
void ads_sign(const struct ads *ads, const struct ads_ad *ad,
              Xn__SignedAd *out);

/* What a node says of itself; NULL: it does not answer. */
Xn__NodeStatus *ads_node(const struct ads *ads, const char *url);
/* Until each is linked to as many and has exchanged what it has; false: not
 * within so long. */
bool ads_settle(const struct ads *ads, char *const *urls, size_t n,
                size_t links, unsigned seconds);

#endif
