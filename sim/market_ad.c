/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What simulated servers offer: drawn from the seed, the server's number and
 * the version, in the proportions of rented machines. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "sim/crypto.h"
#include "sim/market_state.h"

enum { SALT_OFFER = 0x6f66, TEXT = 32 };

static const char *const countries[] = {"GB", "DE", "FR", "US", "JP",
                                        "BR", "IN", "AU", "ZA", "CA"};
static const char *const types[] = {"Linux", "NetBSD", "FreeBSD"};
static const char *const kernels[][3] = {
    {"5.10", "6.1", "6.6"}, {"9.3", "10.0", "10.1"}, {"13.2", "14.0", "14.1"}};

struct numbers {
    char name[TEXT], endpoint[TEXT], cpu[TEXT], memory[TEXT], disk[TEXT],
        net[TEXT], price[TEXT], sessions[TEXT];
};

static void draw_numbers(struct xn_rng *fixed, struct xn_rng *moving,
                         uint32_t server, struct numbers *n)
{
    uint64_t cpus = 1ULL << xn_rng_below(fixed, 7);
    uint64_t memory = cpus * 1024 * (1ULL << xn_rng_below(fixed, 4));
    uint64_t price = cpus * xn_rng_between(moving, 4000, 30000); /* 1e-6 */

    snprintf(n->name, TEXT, "s%u", server);
    snprintf(n->endpoint, TEXT, "https://s%u.sim:7443", server);
    snprintf(n->cpu, TEXT, "%llu", (unsigned long long)(cpus * 1000));
    snprintf(n->memory, TEXT, "%llu", (unsigned long long)memory);
    snprintf(n->disk, TEXT, "%llu",
             (unsigned long long)(10 * xn_rng_between(fixed, 1, 100)));
    snprintf(n->net, TEXT, "%u", xn_rng_below(fixed, 2) ? 100U : 1000U);
    snprintf(n->price, TEXT, "%llu.%06llu",
             (unsigned long long)(price / 1000000),
             (unsigned long long)(price % 1000000));
    snprintf(n->sessions, TEXT, "%u", (unsigned)xn_rng_below(moving, 8));
}

static void draw_environment(struct xn_rng *fixed,
                             struct advert_environment *environment)
{
    size_t type = xn_rng_below(fixed, 3);

    environment->type = types[type];
    environment->kernel = kernels[type][xn_rng_below(fixed, 3)];
    environment->virtualisation = xn_rng_below(fixed, 2) ? "pv" : "hvm";
}

static int write_offer(struct sim_run *run, uint32_t server, uint64_t version,
                       struct xn_buf *xml)
{
    static const char *const corps[] = {"corp.sim"};
    struct advert_environment environments[2];
    struct advert_offer offer = {0};
    struct xn_rng fixed, moving;
    struct numbers n;

    xn_rng_seed(&fixed, xn_rng_mix(run->seed ^ SALT_OFFER, server));
    xn_rng_seed(&moving, xn_rng_mix(run->seed ^ version, server));
    draw_numbers(&fixed, &moving, server, &n);
    draw_environment(&fixed, &environments[0]);
    draw_environment(&fixed, &environments[1]);
    offer.server_name = n.name;
    offer.corps = corps;
    offer.n_corps = 1;
    offer.endpoint = n.endpoint;
    offer.architecture = xn_rng_below(&fixed, 4) ? "x86_64" : "aarch64";
    offer.country = countries[xn_rng_below(&fixed, 10)];
    offer.environments = environments;
    offer.n_environments = xn_rng_below(&fixed, 3) ? 1 : 2;
    offer.cpu_smps = n.cpu;
    offer.memory_mb = n.memory;
    offer.disk_gb = n.disk;
    offer.net_mbps = n.net;
    offer.sessions = n.sessions;
    offer.currency = "GBP";
    offer.price_per_hour = n.price;
    return advert_write(&offer, version, xml);
}

int market_ad_write(struct sim_run *run, uint32_t server, uint64_t version,
                    struct market_ad *ad)
{
    char why[200] = "";
    int rc;

    memset(ad, 0, sizeof *ad);
    ad->version = version;
    xn_buf_init(&ad->xml, ADVERT_BYTES_MAX);
    rc = write_offer(run, server, version, &ad->xml);
    if (!rc) rc = xn_buf_rc(&ad->xml);
    if (!rc) {
        rc = advert_parse(ad->xml.data, ad->xml.len, &ad->advert, why,
                          sizeof why);
    }
    if (rc) {
        sim_run_violation(run, "our own advertisement is bad: %s",
                          why[0] ? why : xn_strerror(rc));
        market_ad_clear(ad);
        return rc;
    }
    xn_id_hash(ad->xml.data, ad->xml.len, &ad->document);
    return 0;
}

void market_ad_clear(struct market_ad *ad)
{
    advert_free(ad->advert);
    xn_buf_clear(&ad->xml);
    memset(ad, 0, sizeof *ad);
}
