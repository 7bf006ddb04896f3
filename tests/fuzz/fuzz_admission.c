/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets a link: certificates that strangers show, and what they send before
 * they are known.
 *
 *     input = mode body
 *
 * mode 'x': body is a certificate.  'k': the part of a certificate that is
 * signed; a key of ours is put where a key stands and an accepted XenoCorp
 * signs it, so that what lies behind a good signature is reached.  'l', 'd': as
 * 'k', and with that certificate the peer shakes hands as the one who dials, or
 * is dialled.  's', 'c': body is all that the one who dials, or is dialled,
 * ever sends. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/identity.h"
#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROUNDS = 8, DAY_S = 86400 };

struct stage {
    EVP_PKEY *corp_key, *peer_key;
    X509 *corp;
    xn_id corp_id, peer_id;
    uint8_t spki[XN_SPKI_SIZE]; /* the peer's */
    struct net_identity own;
    SSL_CTX *server, *client;
};

static void make_own(struct stage *s, uint64_t now_us)
{
    static const uint8_t salt[32] = {1};
    struct xn_cert_order order = {.role = XN__ROLE__NODE,
                                  .label = "ours",
                                  .salt = salt,
                                  .not_before_us = now_us,
                                  .not_after_us = now_us + DAY_S * 1000000ULL};
    uint8_t *csr, *der;
    size_t der_len;

    if (xn_key_generate(&s->own.key) ||
        xn_csr_make(s->own.key, "ours", &csr, &order.csr_len)) {
        abort();
    }
    order.csr = csr;
    if (xn_cert_issue(&order, s->corp_key, s->corp, &s->own.x509) ||
        xn_anchors_new(&s->own.anchors) ||
        xn_cert_to_der(s->corp, &der, &der_len) ||
        xn_anchors_add(s->own.anchors, der, der_len, now_us)) {
        abort();
    }
    free(csr);
    free(der);
}

static struct stage *stage(void)
{
    static struct stage kept;
    uint64_t now_us = net_wall_us();

    if (kept.corp) return &kept;
    if (xn_key_generate(&kept.corp_key) || xn_key_generate(&kept.peer_key) ||
        xn_key_id(kept.corp_key, &kept.corp_id) ||
        xn_key_id(kept.peer_key, &kept.peer_id) ||
        xn_key_spki(kept.peer_key, kept.spki) ||
        xn_cert_self(kept.corp_key, XN__ROLE__CORP, "alpha.example", now_us,
                     now_us + DAY_S * 1000000ULL, &kept.corp)) {
        abort();
    }
    make_own(&kept, now_us);
    if (net_tls_links(&kept.own, &kept.server, &kept.client)) abort();
    return &kept;
}

/* ---- a certificate around its inner part ---- */

/* Wherever a key stands, the peer's. */
static void put_key(const struct stage *s, uint8_t *inner, size_t len)
{
    uint8_t *at;

    if (len < XN_SPKI_SIZE) return;
    at = memmem(inner, len, s->spki, 26); /* all of it but the point */
    if (at && (size_t)(inner + len - at) >= XN_SPKI_SIZE) {
        memcpy(at, s->spki, XN_SPKI_SIZE);
    }
}

static size_t put_head(uint8_t *out, uint8_t tag, size_t len)
{
    out[0] = tag;
    out[1] = 0x82;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    return 4;
}

static X509 *sign(const struct stage *s, const uint8_t *inner, size_t len)
{
    static const uint8_t algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    uint8_t der[4096], *p = der + 4;
    const uint8_t *at = der;
    size_t sig_len = 128;
    EVP_MD_CTX *ctx;
    X509 *x509;

    if (len > sizeof der - 256) return NULL;
    memcpy(p, inner, len);
    put_key(s, p, len);
    ctx = EVP_MD_CTX_new();
    if (!ctx ||
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->corp_key) != 1 ||
        EVP_DigestSign(ctx, p + len + sizeof algorithm + 3, &sig_len, p, len) !=
            1) {
        abort();
    }
    EVP_MD_CTX_free(ctx);
    p += len;
    memcpy(p, algorithm, sizeof algorithm);
    p += sizeof algorithm;
    *p++ = 0x03;
    *p++ = (uint8_t)(sig_len + 1);
    *p++ = 0;
    p += sig_len;
    put_head(der, 0x30, (size_t)(p - der) - 4);
    x509 = d2i_X509(NULL, &at, p - der);
    ERR_clear_error();
    return x509;
}

/* ---- what is believed ---- */

static int judge(const struct stage *s, X509 *x509, struct xn_cert *cert)
{
    uint64_t now_us = net_wall_us();
    int rc;

    memset(cert, 0xa5, sizeof *cert);
    rc = xn_cert_check(x509, s->own.anchors, now_us, cert);
    assert(ERR_peek_error() == 0);
    if (rc) return rc;
    assert(cert->label[0] && strlen(cert->label) <= XN_LABEL_MAX);
    assert(cert->not_before_us <= now_us + 301 * 1000000ULL &&
           cert->not_after_us + 301 * 1000000ULL >= now_us);
    assert(xn_id_is_zero(&cert->position) == (cert->role != XN__ROLE__NODE));
    assert(xn_id_is_zero(&cert->corp) == (cert->role == XN__ROLE__ANYBODY));
    if (cert->role != XN__ROLE__ANYBODY) {
        assert(xn_id_eq(&cert->corp, &s->corp_id));
        assert(X509_verify(x509, s->corp_key) == 1);
    }
    return 0;
}

static void judge_bytes(const struct stage *s, const uint8_t *data, size_t len)
{
    struct xn_cert cert;
    uint8_t *again;
    size_t again_len;
    X509 *x509;

    if (xn_cert_from_der(data, len, &x509)) return;
    if (xn_cert_to_der(x509, &again, &again_len)) abort();
    assert(again_len == len && memcmp(again, data, len) == 0);
    free(again);
    /* The XenoCorp's key was made a moment ago: it signed nothing like it. */
    if (!judge(s, x509, &cert)) assert(cert.role == XN__ROLE__ANYBODY);
    X509_free(x509);
}

/* ---- hands ---- */

static SSL *end(SSL_CTX *ctx, bool dials)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(ctx);

    if (!in || !out || !ssl) abort();
    SSL_set_bio(ssl, in, out);
    if (dials)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* What one end has written comes to the other. */
static void carry(SSL *from, SSL *to)
{
    char *bytes;
    long n = BIO_get_mem_data(SSL_get_wbio(from), &bytes);

    if (n > 0) BIO_write(SSL_get_rbio(to), bytes, (int)n);
    (void)BIO_reset(SSL_get_wbio(from));
}

static SSL_CTX *peer_context(const struct stage *s, X509 *x509, bool dials)
{
    SSL_CTX *ctx =
        SSL_CTX_new(dials ? TLS_client_method() : TLS_server_method());

    if (!ctx) abort();
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_security_level(ctx, 0);
    if (SSL_CTX_use_certificate(ctx, x509) == 1 &&
        SSL_CTX_use_PrivateKey(ctx, s->peer_key) == 1) {
        return ctx;
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

static void shake(const struct stage *s, X509 *x509, bool dials)
{
    SSL_CTX *ctx = peer_context(s, x509, dials);
    struct xn_cert seen = {.label = ""}, cert;
    SSL *peer, *own;
    int ret = 0, i;

    if (!ctx) return;
    peer = end(ctx, dials);
    own = end(dials ? s->server : s->client, !dials);
    net_tls_peer_to(own, &seen);
    for (i = 0; i < ROUNDS && ret != 1; i++) {
        SSL_do_handshake(peer);
        carry(peer, own);
        ret = SSL_do_handshake(own);
        carry(own, peer);
        ERR_clear_error();
    }
    if (ret == 1) {
        assert(!judge(s, x509, &cert) && cert.role == XN__ROLE__NODE);
        assert(xn_id_eq(&seen.id, &s->peer_id));
        assert(xn_id_eq(&seen.position, &cert.position));
    }
    SSL_free(peer);
    SSL_free(own);
    SSL_CTX_free(ctx);
}

static void babble(const struct stage *s, const uint8_t *data, size_t len,
                   bool dials)
{
    struct xn_cert seen = {.label = ""};
    SSL *own = end(dials ? s->server : s->client, !dials);
    int ret;

    net_tls_peer_to(own, &seen);
    SSL_do_handshake(own);
    if (len) BIO_write(SSL_get_rbio(own), data, (int)len);
    ret = SSL_do_handshake(own);
    assert(ret != 1 && xn_id_is_zero(&seen.id));
    ERR_clear_error();
    SSL_free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct stage *s = stage();
    char mode = len ? (char)data[0] : 'x';
    struct xn_cert cert;
    X509 *x509;

    if (len) data++, len--;
    if (mode == 's' || mode == 'c') {
        babble(s, data, len, mode == 's');
    } else if (mode == 'k' || mode == 'l' || mode == 'd') {
        x509 = sign(s, data, len);
        if (x509) judge(s, x509, &cert);
        if (x509 && mode != 'k') shake(s, x509, mode == 'l');
        X509_free(x509);
    } else {
        judge_bytes(s, data, len);
    }
    return 0;
}
