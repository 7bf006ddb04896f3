/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/soak/ads.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/clock.h"
#include "wire/envelope.h"
#include "wire/msg.h"

enum { NOTE_TAGS = 16 };
#define DAY_US (24 * 3600 * 1000000ULL)

void ads_must(const struct ads *ads, int rc, const char *what)
{
    if (!rc) return;
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", ads->program, what, xn_strerror(rc));
    exit(1);
}

/* ---- who takes part ---- */

void ads_open(struct ads *ads, const char *corp_url, const char *corp_dir,
              const char *work)
{
    struct net_corp corp;
    struct net_enrolment enrolment = {.program = ads->program,
                                      .corp = &corp,
                                      .role = XN__ROLE__CLIENT,
                                      .label = "client"};
    char path[512];

    ads_must(ads, net_corp_parse(corp_url, &corp), corp_url);
    ads_must(ads, net_identity_enrol(work, &enrolment, &ads->client), work);
    snprintf(path, sizeof path, "%s/key.pem", corp_dir);
    ads_must(ads, xn_key_load(path, &ads->corp_key), path);
    snprintf(path, sizeof path, "%s/cert.pem", corp_dir);
    ads_must(ads, xn_cert_load(path, &ads->corp_x509), path);
}

void ads_close(struct ads *ads)
{
    EVP_PKEY_free(ads->corp_key);
    X509_free(ads->corp_x509);
    net_identity_clear(&ads->client);
}

/* ---- advertisements ---- */

static void certify(const struct ads *ads, const char *label, struct ads_ad *ad)
{
    uint64_t now_us = net_wall_us();
    struct xn_cert_order order = {
        .role = XN__ROLE__SERVER,
        .label = label,
        .not_before_us = now_us,
        .not_after_us = now_us + DAY_US,
    };
    uint8_t *csr = NULL;

    ads_must(ads, xn_key_generate(&ad->key), "a key");
    ads_must(ads, xn_key_id(ad->key, &ad->server), "a key");
    ads_must(ads, xn_csr_make(ad->key, label, &csr, &order.csr_len),
             "a request");
    order.csr = csr;
    ads_must(ads,
             xn_cert_issue(&order, ads->corp_key, ads->corp_x509, &ad->x509),
             "a certificate");
    free(csr);
}

void ads_make(const struct ads *ads, const char *name, const char *rank,
              size_t bytes, struct ads_ad *ad)
{
    static const struct advert_environment environment = {"Linux", "6.1",
                                                          "sandbox"};
    static const char *const corps[] = {"bench.example"};
    char note[256] = "";
    const struct advert_extra extras[] = {{"Rank", rank}, {"Note", note}};
    struct advert_offer offer = {
        .server_name = name,
        .corps = corps,
        .n_corps = 1,
        .endpoint = "https://127.0.0.1:9/",
        .environments = &environment,
        .n_environments = 1,
        .cpu_smps = "8000",
        .memory_mb = "6144",
        .currency = "GBP",
        .price_per_hour = "0.0121",
        .extras = extras,
        .n_extras = 1,
    };
    size_t lack;

    certify(ads, name, ad);
    ad->version = net_wall_us();
    xn_buf_init(&ad->xml, ADVERT_BYTES_MAX);
    ads_must(ads, advert_write(&offer, ad->version, &ad->xml), "a document");
    if (ad->xml.len + NOTE_TAGS >= bytes) return;
    lack = bytes - ad->xml.len - NOTE_TAGS;
    memset(note, 'x', lack < sizeof note ? lack : sizeof note - 1);
    offer.n_extras = 2;
    xn_buf_clear(&ad->xml);
    ads_must(ads, advert_write(&offer, ad->version, &ad->xml), "a document");
}

void ads_free(struct ads_ad *ad)
{
    EVP_PKEY_free(ad->key);
    X509_free(ad->x509);
    xn_buf_clear(&ad->xml);
}

void ads_sign(const struct ads *ads, const struct ads_ad *ad, Xn__SignedAd *out)
{
    struct ad_lease lease = {.version = ad->version, .server = ad->server};
    uint8_t *payload = NULL;
    size_t len;

    ads_must(ads,
             envelope_sign(ad->xml.data, ad->xml.len, ad->key, ad->x509,
                           &out->envelope.data, &out->envelope.len),
             "an envelope");
    xn_id_hash(ad->xml.data, ad->xml.len, &lease.document);
    lease.issued_us = net_wall_us();
    lease.until_us = lease.issued_us + ads->lease_us;
    ads_must(ads, ad_lease_encode(&lease, &payload, &len), "a lease");
    ads_must(ads,
             blob_sign(payload, len, LEASE_CONTEXT, ad->key, &out->lease.data,
                       &out->lease.len),
             "a lease");
    free(payload);
}

/* ---- nodes ---- */

Xn__NodeStatus *ads_node(const struct ads *ads, const char *url)
{
    struct net_reply reply = {.status = 0};
    Xn__NodeStatus *status = NULL;
    char at[256], why[256];

    snprintf(at, sizeof at, "%s/v1/status", url);
    if (!net_request(&ads->client, "GET", at, NULL, 0, NULL, 10000, &reply, why,
                     sizeof why) &&
        reply.status == 200)
        status = xn__node_status__unpack(NULL, reply.body.len, reply.body.data);
    net_reply_clear(&reply);
    return status;
}

bool ads_settle(const struct ads *ads, char *const *urls, size_t n,
                size_t links, unsigned seconds)
{
    uint64_t until_us = net_mono_us() + seconds * 1000000ULL;
    size_t i = 0;

    while (i < n) {
        Xn__NodeStatus *status = ads_node(ads, urls[i]);
        bool good = status && status->settled && status->links >= links;

        if (!good && net_mono_us() >= until_us)
            fprintf(stderr, "%s: %s: %u links, %s\n", ads->program, urls[i],
                    status ? status->links : 0,
                    !status           ? "no answer"
                    : status->settled ? "settled"
                                      : "not settled");
        if (status) xn__node_status__free_unpacked(status, NULL);
        if (good) {
            i++;
            continue;
        }
        if (net_mono_us() >= until_us) return false;
        poll(NULL, 0, 100);
    }
    return true;
}
