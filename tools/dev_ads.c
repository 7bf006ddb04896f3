/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many advertisements without as many programs: each under a key of its own
 * that the first corp certified (with the corp's key, which a development
 * platform has at hand), published through the nodes in turn. */
#include "tools/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/span.h"
#include "net/client.h"
#include "net/clock.h"
#include "wire/ad.h"
#include "wire/advert.h"
#include "wire/envelope.h"
#include "wire/msg.h"

enum { BATCH = 64, URL_MAX = 128 };

struct injector {
    struct dev_platform *platform;
    const struct dev_catalogue *catalogue;
    const struct net_identity *client;
    EVP_PKEY *corp_key;
    X509 *corp_x509;
    uint64_t lease_us;
    Xn__SignedAd rows[BATCH], *list[BATCH];
    size_t n;
    size_t node; /* whose turn it is */
};

/* A key and the certificate that the corp gives it. */
static int certified_key(const struct injector *in, const char *label,
                         EVP_PKEY **key_out, X509 **x509_out)
{
    uint64_t now_us = net_wall_us();
    struct xn_cert_order order = {
        .role = XN__ROLE__SERVER,
        .label = label,
        .not_before_us = now_us,
        .not_after_us = now_us + 30 * 86400 * 1000000ULL,
    };
    uint8_t *csr = NULL;
    int rc;

    rc = xn_key_generate(key_out);
    if (rc) return rc;
    rc = xn_csr_make(*key_out, label, &csr, &order.csr_len);
    if (rc) return rc;
    order.csr = csr;
    rc = xn_cert_issue(&order, in->corp_key, in->corp_x509, x509_out);
    free(csr);
    return rc;
}

static int sign_lease(const struct injector *in, EVP_PKEY *key,
                      const struct xn_buf *xml, uint64_t version,
                      Xn__SignedAd *ad)
{
    struct ad_lease lease = {.version = version};
    uint8_t *payload = NULL;
    size_t len;
    int rc;

    rc = xn_key_id(key, &lease.server);
    if (rc) return rc;
    xn_id_hash(xml->data, xml->len, &lease.document);
    lease.issued_us = net_wall_us();
    lease.until_us = lease.issued_us + in->lease_us;
    rc = ad_lease_encode(&lease, &payload, &len);
    if (rc) return rc;
    rc = blob_sign(payload, len, LEASE_CONTEXT, key, &ad->lease.data,
                   &ad->lease.len);
    free(payload);
    return rc;
}

static int make_ad(const struct injector *in, size_t row, Xn__SignedAd *ad)
{
    struct dev_offer *offer = NULL;
    struct advert_offer full;
    EVP_PKEY *key = NULL;
    X509 *x509 = NULL;
    uint64_t version = net_wall_us();
    struct xn_buf xml;
    char name[32];
    int rc;

    xn__signed_ad__init(ad);
    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    snprintf(name, sizeof name, "ad-%zu", row + 1);
    rc = dev_offer_new(in->platform, in->catalogue, row, name,
                       in->platform->corps[0].name, &offer);
    if (rc) goto out;
    full = *dev_offer_get(offer);
    full.endpoint = "https://127.0.0.1:9/"; /* nobody: an ad alone */
    rc = advert_write(&full, version, &xml);
    if (rc) goto out;
    rc = certified_key(in, name, &key, &x509);
    if (rc) goto out;
    rc = envelope_sign(xml.data, xml.len, key, x509, &ad->envelope.data,
                       &ad->envelope.len);
    if (rc) goto out;
    rc = sign_lease(in, key, &xml, version, ad);
out:
    EVP_PKEY_free(key);
    X509_free(x509);
    xn_buf_clear(&xml);
    dev_offer_free(offer);
    return rc;
}

static void drop_batch(struct injector *in)
{
    while (in->n > 0) {
        in->n--;
        free(in->rows[in->n].envelope.data);
        free(in->rows[in->n].lease.data);
    }
}

/* Every ad stored at least once? */
static int judge(const struct net_reply *reply, size_t n, const char *url)
{
    Xn__Published *published;
    size_t i;
    int rc = XN_EPROTO;

    if (reply->status != 200) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EREFUSED, NULL,
                     "cannot inject advertisements", "xenodev status",
                     "%s answers %d", url, reply->status);
        return XN_EREFUSED;
    }
    published = xn__published__unpack(NULL, reply->body.len, reply->body.data);
    if (!published) return rc;
    rc = published->n_results == n ? 0 : XN_EPROTO;
    for (i = 0; !rc && i < n; i++)
        rc = published->results[i]->rc;
    if (rc) {
        xn_gripe_rcf(DEV_PROGRAM, rc, NULL, "cannot inject advertisements",
                     "xenodev status", "%s refuses one: %s", url,
                     xn_strerror(rc));
    }
    xn__published__free_unpacked(published, NULL);
    return rc;
}

static int flush(struct injector *in)
{
    Xn__Publish publish = XN__PUBLISH__INIT;
    const struct dev_server *server =
        &in->platform->servers[in->node++ % in->platform->n_servers];
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[256];
    uint8_t *body = NULL;
    size_t len;
    int rc;

    if (in->n == 0) return 0;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1/publish",
             server->node.port_api);
    publish.ads = in->list;
    publish.n_ads = in->n;
    rc = xn_pack(&publish, &body, &len);
    if (rc) return rc;
    rc = net_request(in->client, "POST", url, body, len, NULL, 60000, &reply,
                     why, sizeof why);
    if (rc) {
        xn_gripe_rc(DEV_PROGRAM, rc, NULL, "cannot inject advertisements", why,
                    "xenodev status");
    } else {
        rc = judge(&reply, in->n, url);
    }
    net_reply_clear(&reply);
    free(body);
    drop_batch(in);
    return rc;
}

static int load_corp(struct injector *in)
{
    char path[DEV_PATH_MAX];
    int rc;

    dev_path(in->platform, path, "corp-%s/key.pem",
             in->platform->corps[0].name);
    rc = xn_key_load(path, &in->corp_key);
    if (rc) return rc;
    dev_path(in->platform, path, "corp-%s/cert.pem",
             in->platform->corps[0].name);
    return xn_cert_load(path, &in->corp_x509);
}

int dev_inject(struct dev_platform *platform,
               const struct dev_catalogue *catalogue, size_t first, size_t n,
               const struct net_identity *client)
{
    struct injector in = {
        .platform = platform, .catalogue = catalogue, .client = client};
    size_t i;
    int rc;

    if (first + n > dev_catalogue_rows(catalogue)) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL,
                     "cannot inject so many advertisements",
                     "fewer --ads, or a larger --catalogue",
                     "%zu are asked, the catalogue has %zu rows left", n,
                     dev_catalogue_rows(catalogue) - first);
        return XN_EINVAL;
    }
    rc = xn_span_parse(platform->lease, &in.lease_us);
    if (rc) return rc;
    for (i = 0; i < BATCH; i++)
        in.list[i] = &in.rows[i];
    rc = load_corp(&in);
    for (i = 0; !rc && i < n; i++) {
        rc = make_ad(&in, first + i, &in.rows[in.n]);
        in.n++;
        if (!rc && in.n == BATCH) rc = flush(&in);
        if (i % BATCH == BATCH - 1) {
            dev_progress("further advertisements:", i + 1, n);
            if (!rc) rc = dev_interrupted();
        }
    }
    dev_progress("", 0, 0);
    if (!rc) rc = flush(&in);
    drop_batch(&in);
    EVP_PKEY_free(in.corp_key);
    X509_free(in.corp_x509);
    return rc;
}
