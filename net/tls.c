/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/tls.h"

#include <string.h>

#include <openssl/err.h>

#include "lib/err.h"
#include "net/clock.h"

enum { CERTIFICATES_MAX = 16 * 1024 }; /* bytes that a peer may show */

static SSL_CTX *new_context(const SSL_METHOD *method,
                            const struct net_identity *identity)
{
    static const unsigned char context[] = "xeno";
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (!ctx) return NULL;
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set1_sigalgs_list(ctx, "ecdsa_secp256r1_sha256") ||
        !SSL_CTX_set1_groups_list(ctx, "X25519:P-256") ||
        SSL_CTX_use_certificate(ctx, identity->x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, identity->key) != 1 ||
        !SSL_CTX_set_session_id_context(ctx, context, sizeof context - 1) ||
        !SSL_CTX_set_num_tickets(ctx, 0)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
                              SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static int verify_node(X509_STORE_CTX *store, void *arg)
{
    const struct net_identity *identity = arg;
    SSL *ssl =
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct xn_cert *cert = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int rc = leaf && cert
                 ? xn_cert_check(leaf, identity->anchors, net_wall_us(), cert)
                 : XN_EIDENT;

    if (!rc && cert->role != XN__ROLE__NODE) rc = XN_EIDENT;
    X509_STORE_CTX_set_error(store, !rc ? X509_V_OK
                                    : rc == XN_EEXPIRED
                                        ? X509_V_ERR_CERT_HAS_EXPIRED
                                        : X509_V_ERR_CERT_UNTRUSTED);
    return rc == 0;
}

static SSL_CTX *link_context(const SSL_METHOD *method,
                             const struct net_identity *identity)
{
    SSL_CTX *ctx = new_context(method, identity);

    if (!ctx) return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_node,
                                     (void *)(uintptr_t)identity);
    /* That makes it look like TLS 1.2 to those who meddle with port 443: 79
     * bytes of a handshake. */
    SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    return ctx;
}

int net_tls_links(const struct net_identity *identity, SSL_CTX **server_out,
                  SSL_CTX **client_out)
{
    SSL_CTX *server = link_context(TLS_server_method(), identity);
    SSL_CTX *client = link_context(TLS_client_method(), identity);

    if (!server || !client) {
        SSL_CTX_free(server);
        SSL_CTX_free(client);
        return XN_EIDENT;
    }
    *server_out = server;
    *client_out = client;
    return 0;
}

void net_tls_peer_to(SSL *ssl, struct xn_cert *cert)
{
    SSL_set_app_data(ssl, cert);
}

/* A certificate only proves a key at this point: what a client may do is decided
 * at its first request, and who a server is before there is any. */
static int verify_later(X509_STORE_CTX *store, void *arg)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int api_context(const SSL_METHOD *method,
                       const struct net_identity *identity, SSL_CTX **ctx_out)
{
    SSL_CTX *ctx = new_context(method, identity);

    if (!ctx) return XN_EIDENT;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_later, NULL);
    *ctx_out = ctx;
    return 0;
}

int net_tls_api(const struct net_identity *identity, SSL_CTX **ctx_out)
{
    return api_context(TLS_server_method(), identity, ctx_out);
}

int net_tls_client(const struct net_identity *identity, SSL_CTX **ctx_out)
{
    return api_context(TLS_client_method(), identity, ctx_out);
}

void net_tls_caller(SSL *ssl, const struct net_identity *identity,
                    struct xn_cert *cert_out)
{
    X509 *x509 = SSL_get0_peer_certificate(ssl);

    memset(cert_out, 0, sizeof *cert_out);
    cert_out->role = XN__ROLE__ANYBODY;
    if (!x509) return;
    if (xn_cert_check(x509, identity->anchors, net_wall_us(), cert_out)) {
        memset(cert_out, 0, sizeof *cert_out);
        cert_out->role = XN__ROLE__ANYBODY;
        if (xn_key_id(X509_get0_pubkey(x509), &cert_out->id)) {
            memset(&cert_out->id, 0, sizeof cert_out->id);
        }
    }
}

const char *net_tls_error(char *out, size_t len)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    snprintf(out, len, "%s", reason ? reason : "connection closed");
    return out;
}

void net_caller(const struct xn_cert *cert, const char *address,
                Xn__Caller *caller_out)
{
    Xn__Caller caller = XN__CALLER__INIT;

    if (!xn_id_is_zero(&cert->id)) caller.id = xn_id_bytes(&cert->id);
    if (!xn_id_is_zero(&cert->corp)) caller.corp = xn_id_bytes(&cert->corp);
    if (!xn_id_is_zero(&cert->position)) {
        caller.position = xn_id_bytes(&cert->position);
    }
    caller.role = cert->role;
    caller.label = (char *)(uintptr_t)cert->label;
    caller.not_after_us = cert->not_after_us;
    caller.address = (char *)(uintptr_t)address;
    *caller_out = caller;
}
