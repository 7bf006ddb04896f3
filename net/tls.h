/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS contexts.  TLS 1.3 alone, P-256 certificates, our own check against the
 * accepted corps in place of the library's, no tickets, no session cache. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/ssl.h>

#include "net/identity.h"
#include "wire/local.pb-c.h"

/* Both ends of overlay links: the other side must be a node that an accepted
 * corp certified.  identity must outlive the contexts. */
int net_tls_links(const struct net_identity *identity, SSL_CTX **server_out,
                  SSL_CTX **client_out);
/* Where the facts of the peer's certificate go during the handshake. */
void net_tls_peer_to(SSL *ssl, struct xn_cert *cert);

/* A server whose clients may show a certificate or none. */
int net_tls_api(const struct net_identity *identity, SSL_CTX **ctx_out);
/* A client of one, who looks at net_tls_caller before he says anything. */
int net_tls_client(const struct net_identity *identity, SSL_CTX **ctx_out);
/* Who is at the other end: ANYBODY with the id of its key where no accepted
 * corp vouches for it now, ANYBODY with a zero id where it showed none. */
void net_tls_caller(SSL *ssl, const struct net_identity *identity,
                    struct xn_cert *cert_out);

/* The oldest error of OpenSSL's queue as text, which it empties. */
const char *net_tls_error(char *out, size_t len);

/* A certificate's facts as a message field; the strings borrow from cert and
 * address. */
void net_caller(const struct xn_cert *cert, const char *address,
                Xn__Caller *caller_out);

#endif
