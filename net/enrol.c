/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registering with a XenoCorp, and accepting further ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"
#include "net/clock.h"
#include "net/file.h"
#include "wire/msg.h"
#include "wire/nest.h"

enum { TIMEOUT_MS = 15000, REFUSAL_TEXT = 300 };

/* What is wrong, for the three lines. */
struct trouble {
    char because[REFUSAL_TEXT];
    char try[REFUSAL_TEXT];
};

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

/* ---- to ask a corp ----------------------------------------------------- */

static int refused(const struct net_reply *reply, struct trouble *trouble)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = XN_EREFUSED;

    if (refusal && refusal->rc < 0) {
        rc = refusal->rc;
        snprintf(trouble->because, sizeof trouble->because, "%s: %s",
                 refusal->what, refusal->because);
        snprintf(trouble->try, sizeof trouble->try, "%s", refusal->try_);
    } else {
        snprintf(trouble->because, sizeof trouble->because,
                 "it answered with status %d", reply->status);
    }
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

static int ask(const struct net_identity *as, const struct net_corp *corp,
               const char *method, const char *path, const void *body,
               size_t len, struct net_reply *reply_out, struct trouble *trouble)
{
    char url[sizeof corp->url + 32];
    int rc;

    if (!corp->pinned) {
        snprintf(trouble->because, sizeof trouble->because,
                 "%s names no id that its key must have", corp->url);
        snprintf(trouble->try, sizeof trouble->try,
                 "https://host:port#ID, with the id that the XenoCorp told");
        return XN_EIDENT;
    }
    snprintf(url, sizeof url, "%s%s", corp->url, path);
    rc = net_request_pinned(as, method, url, body, len, &corp->id, TIMEOUT_MS,
                            reply_out, trouble->because,
                            sizeof trouble->because);
    if (rc == XN_EIDENT) {
        snprintf(trouble->because, sizeof trouble->because,
                 "%s has another key than its #ID says", corp->url);
        snprintf(trouble->try, sizeof trouble->try,
                 "the URL#ID that xenocorpd printed; if it is the same, do not "
                 "trust what answers there");
        return rc;
    }
    if (rc) {
        snprintf(trouble->try, sizeof trouble->try,
                 "again when the XenoCorp answers, or --corp with its URL#ID");
        return rc;
    }
    if (reply_out->status == 200) return 0;
    rc = refused(reply_out, trouble);
    net_reply_clear(reply_out);
    return rc;
}

/* ---- a corp's certificate ---------------------------------------------- */

/* Keep it as corps/ID.pem, if it is the corp that was meant. */
static int keep_corp(const char *dir, const struct net_corp *corp,
                     const uint8_t *der, size_t len)
{
    struct xn_anchors *anchors = NULL;
    char folder[NET_PATH_MAX], path[NET_PATH_MAX + 80], hex[XN_ID_HEX];
    X509 *x509 = NULL;
    int rc;

    rc = xn_anchors_new(&anchors);
    if (!rc) rc = xn_anchors_add(anchors, der, len, net_wall_us());
    if (!rc && !xn_anchors_find(anchors, &corp->id)) rc = XN_EIDENT;
    if (!rc) rc = xn_cert_from_der(der, len, &x509);
    if (rc) goto out;
    net_file_path(folder, dir, "corps");
    rc = net_file_dir(folder);
    if (rc) goto out;
    xn_id_hex(&corp->id, hex);
    snprintf(path, sizeof path, "%s/%s.pem", folder, hex);
    rc = xn_cert_save(x509, path);
out:
    X509_free(x509);
    xn_anchors_free(anchors);
    return rc;
}

static int tell(const char *program, const char *what, int rc,
                const struct trouble *trouble)
{
    xn_gripe_rc(program, rc, NULL, what,
                trouble->because[0] ? trouble->because : xn_strerror(rc),
                trouble->try[0] ? trouble->try : NULL);
    return rc;
}

int net_identity_accept(const char *program, const char *dir,
                        const struct net_corp *corp,
                        struct net_identity *identity)
{
    struct trouble trouble = {{0}, {0}};
    struct net_reply reply = {0};
    int rc;

    if (xn_anchors_find(identity->anchors, &corp->id)) return 0;
    rc = ask(identity, corp, "GET", "/v1/certificate", NULL, 0, &reply,
             &trouble);
    if (!rc) rc = keep_corp(dir, corp, reply.body.data, reply.body.len);
    if (!rc) {
        rc = xn_anchors_add(identity->anchors, reply.body.data, reply.body.len,
                            net_wall_us());
    }
    net_reply_clear(&reply);
    return rc ? tell(program, "cannot accept that XenoCorp", rc, &trouble) : 0;
}

/* ---- registering ------------------------------------------------------- */

/* A lost key is not replaced in silence: a new one is another member. */
static int own_key(const char *dir, EVP_PKEY **key_out, struct trouble *trouble)
{
    char path[NET_PATH_MAX], cert[NET_PATH_MAX];

    net_file_path(path, dir, "key.pem");
    net_file_path(cert, dir, "cert.pem");
    if (access(path, F_OK) && access(cert, F_OK) == 0) {
        snprintf(trouble->because, sizeof trouble->because,
                 "%.200s is missing, its certificate is there", path);
        snprintf(trouble->try, sizeof trouble->try,
                 "key.pem from a backup; to begin anew, another folder");
        return XN_EIDENT;
    }
    return xn_key_own(path, key_out);
}

static int pack_request(const struct net_enrolment *e, EVP_PKEY *key,
                        uint8_t **bytes_out, size_t *len_out)
{
    Xn__Register body = XN__REGISTER__INIT;
    int rc;

    rc = xn_csr_make(key, text_of(e->label), &body.csr.data, &body.csr.len);
    if (rc) return rc;
    body.role = e->role;
    body.label = text_of(e->label);
    body.owner = text_of(e->owner);
    body.payout = text_of(e->payout);
    body.machine = text_of(e->machine);
    body.index_node = text_of(e->index_node);
    body.invitation = text_of(e->invitation);
    rc = xn_pack(&body, bytes_out, len_out);
    free(body.csr.data);
    return rc;
}

/* The corp first, the certificate last: what is half done is done again. */
static int keep(const char *dir, const struct net_enrolment *e,
                const struct net_reply *reply)
{
    Xn__Registered *got = xn_unpack(&xn__registered__descriptor,
                                    reply->body.data, reply->body.len);
    char path[NET_PATH_MAX];
    X509 *x509 = NULL;
    int rc;

    if (!got) return XN_EPROTO;
    rc = keep_corp(dir, e->corp, got->corp.data, got->corp.len);
    if (!rc) {
        rc = xn_cert_from_der(got->certificate.data, got->certificate.len,
                              &x509);
    }
    net_file_path(path, dir, e->cert ? e->cert : "cert.pem");
    if (!rc) rc = xn_cert_save(x509, path);
    X509_free(x509);
    xn__registered__free_unpacked(got, NULL);
    return rc;
}

static int enrol(const char *dir, const struct net_enrolment *e,
                 struct trouble *trouble)
{
    struct net_identity self = {0};
    struct net_reply reply = {0};
    uint8_t *body = NULL;
    EVP_PKEY *key = NULL;
    size_t len = 0;
    int rc;

    rc = own_key(dir, &key, trouble);
    if (!rc) rc = net_identity_self(key, &self);
    if (!rc) rc = pack_request(e, key, &body, &len);
    if (!rc) {
        rc = ask(&self, e->corp, "POST", "/v1/register", body, len, &reply,
                 trouble);
    }
    if (!rc) rc = keep(dir, e, &reply);
    net_identity_clear(&self);
    net_reply_clear(&reply);
    free(body);
    return rc;
}

int net_identity_enrol(const char *dir, const struct net_enrolment *e,
                       struct net_identity *identity_out)
{
    struct trouble trouble = {{0}, {0}};
    int rc = enrol(dir, e, &trouble);

    if (!rc) {
        rc = net_identity_load_cert(dir, e->cert ? e->cert : "cert.pem",
                                    identity_out);
    }
    if (!rc && identity_out->cert.role != e->role) {
        net_identity_clear(identity_out);
        rc = XN_EIDENT;
    }
    return rc ? tell(e->program, "cannot register with the XenoCorp", rc,
                     &trouble)
              : 0;
}
