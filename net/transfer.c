/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/transfer.h"

#include "config.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include <openssl/ssl.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/tls.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library_rc;

static void open_library(void)
{
    library_rc = curl_global_init(CURL_GLOBAL_DEFAULT) ? XN_ENOMEM : 0;
}

int net_transfer_library(void)
{
    pthread_once(&once, open_library);
    return library_rc;
}

static bool may_serve(Xn__Role role)
{
    return role == XN__ROLE__CORP || role == XN__ROLE__NODE ||
           role == XN__ROLE__SERVER;
}

static int verify_certified(X509_STORE_CTX *store, void *arg)
{
    const struct net_identity *identity = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    struct xn_cert cert;
    bool good = leaf &&
                !xn_cert_check(leaf, identity->anchors, net_wall_us(), &cert) &&
                may_serve(cert.role);

    X509_STORE_CTX_set_error(store,
                             good ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
    return good;
}

/* The pinned key, which libcurl compares, is all the proof. */
static int verify_pinned(X509_STORE_CTX *store, void *arg)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static CURLcode prepare(SSL_CTX *ctx, const struct net_identity *identity,
                        int (*verify)(X509_STORE_CTX *store, void *arg))
{
    SSL_CTX_set_cert_verify_callback(ctx, verify, (void *)(uintptr_t)identity);
    if (!identity->key || !identity->x509) return CURLE_OK;
    if (SSL_CTX_use_certificate(ctx, identity->x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, identity->key) != 1) {
        return CURLE_SSL_CERTPROBLEM;
    }
    return CURLE_OK;
}

static CURLcode prepare_certified(CURL *easy, void *ctx, void *arg)
{
    return prepare(ctx, arg, verify_certified);
}

static CURLcode prepare_pinned(CURL *easy, void *ctx, void *arg)
{
    return prepare(ctx, arg, verify_pinned);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct net_transfer *transfer = arg;

    xn_buf_add(&transfer->answer, data, size * n);
    return xn_buf_rc(&transfer->answer) ? 0 : size * n;
}

/* "Date: Sat, 21 Nov 2026 11:00:00 GMT", for whom clocks concern. */
static void take_date(struct net_transfer *transfer, const char *data,
                      size_t len)
{
    char text[64];

    if (len < 6 || len >= sizeof text || strncasecmp(data, "date:", 5) != 0)
        return;
    snprintf(text, sizeof text, "%.*s", (int)len - 5, data + 5);
    transfer->date = curl_getdate(text, NULL);
}

/* With the first header the connection is at hand, perhaps one that an earlier
 * request opened. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct net_transfer *transfer = arg;
    struct curl_tlssessioninfo *tls = NULL;

    take_date(transfer, data, size * n);
    if (transfer->met) return size * n;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &tls) || !tls ||
        tls->backend != CURLSSLBACKEND_OPENSSL || !tls->internals) {
        return 0;
    }
    net_tls_caller(tls->internals, transfer->identity, &transfer->server);
    transfer->met = true;
    return size * n;
}

static int set_pin(CURL *easy, const xn_id *peer)
{
    char pin[sizeof "sha256//" + 48];
    int n;

    memcpy(pin, "sha256//", 8);
    n = EVP_EncodeBlock((unsigned char *)pin + 8, peer->b, sizeof peer->b);
    pin[8 + n] = '\0';
    return curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, pin) ? XN_ENOMEM : 0;
}

static void set_method(CURL *easy, const struct net_transfer_order *order)
{
    if (strcmp(order->method, "GET") == 0) return;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)order->len);
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
                     order->len ? order->body : "");
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, order->method);
}

static void set_safety(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    /* Our own check replaces the list of public authorities, whose reading
     * alone takes longer than a handshake. */
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

int net_transfer_init(struct net_transfer *transfer,
                      const struct net_transfer_order *order)
{
    CURL *easy;
    int rc = net_transfer_library();

    memset(transfer, 0, sizeof *transfer);
    if (rc) return rc;
    easy = transfer->easy = curl_easy_init();
    transfer->headers =
        curl_slist_append(NULL, "Content-Type: application/x-protobuf");
    if (!easy || !transfer->headers ||
        !curl_slist_append(transfer->headers, "Expect:") ||
        !curl_slist_append(transfer->headers, "User-Agent: xeno/" VERSION)) {
        net_transfer_clear(transfer);
        return XN_ENOMEM;
    }
    transfer->identity = order->identity;
    xn_buf_init(&transfer->answer, order->answer_max);
    set_safety(easy);
    set_method(easy, order);
    if (order->peer) rc = set_pin(easy, order->peer);
    curl_easy_setopt(easy, CURLOPT_URL, order->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)order->timeout_ms);
    if (order->meet_ms)
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)order->meet_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 45L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, order->identity);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION,
                     order->peer && order->pin_suffices ? prepare_pinned
                                                        : prepare_certified);
    if (rc) net_transfer_clear(transfer);
    return rc;
}

void net_transfer_clear(struct net_transfer *transfer)
{
    if (transfer->easy) curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    xn_buf_clear(&transfer->answer);
    transfer->easy = NULL;
    transfer->headers = NULL;
}

static int rc_of(const struct net_transfer *transfer, CURLcode code)
{
    switch (code) {
    case CURLE_OK: return 0;
    case CURLE_OPERATION_TIMEDOUT: return XN_ETIMEOUT;
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION: return XN_EIDENT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return XN_EINVAL;
    case CURLE_OUT_OF_MEMORY: return XN_ENOMEM;
    case CURLE_WRITE_ERROR:
        return transfer->answer.rc ? transfer->answer.rc : XN_EIO;
    default: return XN_EUNREACH;
    }
}

int net_transfer_end(struct net_transfer *transfer, CURLcode code)
{
    int rc = rc_of(transfer, code);
    char *type = NULL;
    long status = 0;

    if (!transfer->error[0]) {
        snprintf(transfer->error, sizeof transfer->error, "%s",
                 curl_easy_strerror(code));
    }
    if (rc) return rc;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    transfer->status = (int)status;
    snprintf(transfer->content_type, sizeof transfer->content_type, "%s",
             type ? type : "");
    return 0;
}
