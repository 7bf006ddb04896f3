/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program's key, certificate and accepted corps, in its state folder:
 * key.pem (0600), cert.pem, corps/NAME.pem. */
#ifndef NET_IDENTITY_H
#define NET_IDENTITY_H

#include "wire/cert.h"
#include "wire/key.h"

struct net_identity {
    EVP_PKEY *key;
    X509 *x509;
    struct xn_cert cert;
    struct xn_anchors *anchors;
};

/* How to find and trust a corp: "https://host:port#<64 hex of its id>". */
struct net_corp {
    char url[128];
    xn_id id;
    bool pinned;
};
/* XN_EINVAL: it is none, or its URL holds a blank, a control character, a quote
 * or another sign that no such URL has; XN_ETOOBIG. */
int net_corp_parse(const char *text, struct net_corp *corp_out);

/* Load what the folder has; XN_ENOENT where key or certificate is missing. */
int net_identity_load(const char *dir, struct net_identity *identity_out);
/* The same with another file than cert.pem: one key may be registered with
 * several corps. */
int net_identity_load_cert(const char *dir, const char *cert,
                           struct net_identity *identity_out);
/* A self-made certificate in memory: for searching, and to speak TLS before
 * there is another.  _self takes over the key, in any case; _anonymous makes
 * one. */
int net_identity_self(EVP_PKEY *key, struct net_identity *identity_out);
int net_identity_anonymous(struct net_identity *identity_out);
/* A corp's own: makes key and self-signed certificate where they are missing;
 * the corp is its own first anchor.  Errors are told with xn_gripe. */
int net_identity_corp(const char *program, const char *dir, const char *label,
                      struct net_identity *identity_out);
/* Make the key if there is none, register it with the corp, save what comes
 * back.  Errors are told with xn_gripe. */
struct net_enrolment {
    const char *program; /* for messages */
    const struct net_corp *corp;
    Xn__Role role;
    const char *label, *owner, *payout, *machine, *index_node, *invitation;
    const char *cert; /* file for the certificate; NULL: cert.pem */
};
int net_identity_enrol(const char *dir, const struct net_enrolment *enrolment,
                       struct net_identity *identity_out);
/* Fetch and keep a further accepted corp's certificate, checked by its pin. */
int net_identity_accept(const char *program, const char *dir,
                        const struct net_corp *corp,
                        struct net_identity *identity);
/* Add the folder's corps/NAME.pem to an identity that was made otherwise. */
int net_identity_anchors(const char *dir, struct net_identity *identity);
/* The three lines for an error of net_identity_load; returns what to end with:
 * XN_EIDENT, XN_ENOMEM, XN_ENOSPC. */
int net_identity_gripe(const char *program, const char *dir, int rc);
void net_identity_clear(struct net_identity *identity);

#endif
