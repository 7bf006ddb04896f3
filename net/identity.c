/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/identity.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "net/clock.h"
#include "net/file.h"

#define DAY_US (24 * 3600 * 1000000ULL)

/* It is written into configurations and lists: nothing that ends a word or a
 * text there. */
static bool may_stand(const char *url)
{
    for (; *url; url++) {
        if (*url <= ' ' || *url >= 0x7f || strchr("\"'\\{}$,<>`", *url))
            return false;
    }
    return true;
}

int net_corp_parse(const char *text, struct net_corp *corp_out)
{
    struct net_corp corp = {.pinned = false};
    const char *hash = strchr(text, '#');
    size_t len = hash ? (size_t)(hash - text) : strlen(text);

    if (strncmp(text, "https://", 8) != 0 || len <= 8) return XN_EINVAL;
    if (len >= sizeof corp.url) return XN_ETOOBIG;
    memcpy(corp.url, text, len);
    while (len > 8 && corp.url[len - 1] == '/')
        corp.url[--len] = '\0';
    if (!may_stand(corp.url)) return XN_EINVAL;
    if (hash) {
        if (xn_id_unhex(hash + 1, strlen(hash + 1), &corp.id)) {
            return XN_EINVAL;
        }
        corp.pinned = true;
    }
    *corp_out = corp;
    return 0;
}

static int add_anchor(struct net_identity *identity, X509 *x509)
{
    uint8_t *der = NULL;
    size_t len = 0;
    int rc = xn_cert_to_der(x509, &der, &len);

    if (!rc) rc = xn_anchors_add(identity->anchors, der, len, net_wall_us());
    free(der);
    return rc;
}

static int is_pem(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 4 && strcmp(entry->d_name + len - 4, ".pem") == 0;
}

/* Every corps/NAME.pem.  One that is not good (any more) is said and left out:
 * the others still count. */
static int load_anchors(const char *dir, struct net_identity *identity)
{
    char corps[NET_PATH_MAX], path[NET_PATH_MAX + 300];
    struct dirent **entries = NULL;
    int n, i, rc = 0;

    net_file_path(corps, dir, "corps");
    n = scandir(corps, &entries, is_pem, alphasort);
    if (n < 0) return errno == ENOENT ? 0 : XN_EIO;
    for (i = 0; i < n; i++) {
        X509 *x509 = NULL;
        int bad;

        snprintf(path, sizeof path, "%s/%s", corps, entries[i]->d_name);
        bad = xn_cert_load(path, &x509);
        if (!bad) bad = add_anchor(identity, x509);
        if (bad) {
            xn_log(XN_LOG_WARN, "%s is left out: %s", path, xn_strerror(bad));
        }
        if (bad == XN_ENOMEM) rc = bad;
        X509_free(x509);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int check_own(struct net_identity *identity)
{
    xn_id id;
    int rc = xn_cert_check(identity->x509, identity->anchors, net_wall_us(),
                           &identity->cert);

    if (!rc) rc = xn_key_id(identity->key, &id);
    if (!rc && !xn_id_eq(&id, &identity->cert.id)) rc = XN_EIDENT;
    return rc;
}

/* A corp's own certificate is good because it is its own. */
static int open_folder(const char *dir, const char *cert, bool is_corp,
                       struct net_identity *identity_out)
{
    struct net_identity identity = {0};
    char path[NET_PATH_MAX];
    int rc = xn_anchors_new(&identity.anchors);

    if (!rc) rc = load_anchors(dir, &identity);
    net_file_path(path, dir, "key.pem");
    if (!rc) rc = xn_key_load(path, &identity.key);
    net_file_path(path, dir, cert);
    if (!rc) rc = xn_cert_load(path, &identity.x509);
    if (!rc && is_corp) rc = add_anchor(&identity, identity.x509);
    if (!rc) rc = check_own(&identity);
    if (!rc && is_corp && identity.cert.role != XN__ROLE__CORP) rc = XN_EIDENT;
    if (rc) {
        net_identity_clear(&identity);
        return rc;
    }
    *identity_out = identity;
    return 0;
}

int net_identity_load(const char *dir, struct net_identity *identity_out)
{
    return open_folder(dir, "cert.pem", false, identity_out);
}

int net_identity_load_cert(const char *dir, const char *cert,
                           struct net_identity *identity_out)
{
    return open_folder(dir, cert, false, identity_out);
}

int net_identity_self(EVP_PKEY *key, struct net_identity *identity_out)
{
    struct net_identity identity = {.key = key};
    uint64_t now_us = net_wall_us();
    int rc = xn_anchors_new(&identity.anchors);

    if (!rc) {
        rc = xn_cert_self(key, XN__ROLE__ANYBODY, "anybody", now_us,
                          now_us + DAY_US, &identity.x509);
    }
    if (!rc) rc = check_own(&identity);
    if (rc) {
        net_identity_clear(&identity);
        return rc;
    }
    *identity_out = identity;
    return 0;
}

int net_identity_anonymous(struct net_identity *identity_out)
{
    EVP_PKEY *key = NULL;
    int rc = xn_key_generate(&key);

    return rc ? rc : net_identity_self(key, identity_out);
}

int net_identity_anchors(const char *dir, struct net_identity *identity)
{
    return load_anchors(dir, identity);
}

/* ---- a corp's own ------------------------------------------------------ */

static int make_corp(const char *dir, const char *label)
{
    char path[NET_PATH_MAX];
    EVP_PKEY *key = NULL;
    X509 *x509 = NULL;
    uint64_t now_us = net_wall_us();
    int rc;

    net_file_path(path, dir, "key.pem");
    rc = xn_key_own(path, &key);
    if (!rc) {
        rc = xn_cert_self(key, XN__ROLE__CORP, label, now_us,
                          now_us + 3650 * DAY_US, &x509);
    }
    net_file_path(path, dir, "cert.pem");
    if (!rc) rc = xn_cert_save(x509, path);
    EVP_PKEY_free(key);
    X509_free(x509);
    return rc;
}

static bool has(const char *dir, const char *name)
{
    char path[NET_PATH_MAX];

    net_file_path(path, dir, name);
    return access(path, F_OK) == 0;
}

/* What is wrong with the folder, and what to end with: all but a lack of
 * memory or room is a matter of identity. */
static int gripe(const char *program, const char *dir, int rc,
                 const char *register_try)
{
    bool lost = has(dir, "cert.pem") && !has(dir, "key.pem");
    const char *because = xn_strerror(rc), *try = NULL;

    if (rc == XN_EPERM) {
        because = "key.pem can be read by others";
        try = "chmod 600 key.pem in that folder";
    } else if (rc == XN_ENOENT && lost) {
        because = "key.pem is missing, cert.pem is there";
        try = "key.pem from a backup; to begin anew, another folder";
    } else if (rc == XN_ENOENT) {
        because = "key.pem or cert.pem is missing";
        try = register_try;
    } else if (rc == XN_EEXPIRED) {
        because = "cert.pem has expired";
        try = register_try;
    } else if (rc == XN_EINVAL) {
        because = "key.pem or cert.pem is not of our form";
        try = "openssl pkey -in key.pem -text -noout";
    } else if (rc == XN_EIO) {
        because = "key.pem or cert.pem cannot be read";
        try = "ls -l in that folder";
    } else if (rc == XN_EIDENT) {
        because = "cert.pem is another key's, or of no XenoCorp in corps/";
        try = "key.pem, cert.pem and corps/ of one backup";
    }
    if (rc == XN_ENOSPC) try = "more room, or another folder";
    if (rc != XN_ENOMEM && rc != XN_ENOSPC) rc = XN_EIDENT;
    xn_gripe_rcf(program, rc, rc == XN_EIDENT ? "KEY" : NULL,
                 "cannot use the identity", try, "%s: %s", dir, because);
    return rc;
}

int net_identity_gripe(const char *program, const char *dir, int rc)
{
    return gripe(program, dir, rc,
                 "--corp URL#ID, to register with a XenoCorp");
}

int net_identity_corp(const char *program, const char *dir, const char *label,
                      struct net_identity *identity_out)
{
    int rc = open_folder(dir, "cert.pem", true, identity_out);

    /* A certificate whose key is lost is not overwritten: a new key would be
     * another XenoCorp, which nobody has accepted. */
    if (rc == XN_ENOENT && label &&
        (has(dir, "key.pem") || !has(dir, "cert.pem"))) {
        rc = make_corp(dir, label);
        if (!rc) rc = open_folder(dir, "cert.pem", true, identity_out);
    }
    return rc ? gripe(program, dir, rc, "xenocorp init DIR NAME") : 0;
}

void net_identity_clear(struct net_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->x509);
    xn_anchors_free(identity->anchors);
    memset(identity, 0, sizeof *identity);
}
