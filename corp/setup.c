/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A XenoCorp's configuration: defaults, and the form it has in a recording. */
#include <stdlib.h>
#include <string.h>

#include "corp/corp.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL

void corp_config_default(struct corp_config *config)
{
    memset(config, 0, sizeof *config);
    config->certificate_us = 90ULL * 24 * 3600 * SECOND_US;
    config->alive_us = 180 * SECOND_US;
    config->sample_max = 16;
    config->nodes_max = 1000000;
    config->prepay = corp_prepay_find("none");
    config->payout = corp_payout_find("all");
    config->most = 1000000LL * 1000000;
    config->slack_us = 2 * SECOND_US;
    config->grace_us = 600 * SECOND_US;
    config->orders = config->registers =
        (struct xn_rate){.burst = 1000, .step_us = SECOND_US};
    config->places =
        (struct xn_rate){.burst = 100, .step_us = 8640 * SECOND_US};
    config->claims =
        (struct xn_rate){.burst = 6000, .step_us = SECOND_US / 100};
}

void corp_config_invite(struct corp_config *config, const char *word)
{
    config->invited = true;
    xn_id_hash(word, strlen(word), &config->invitation);
}

int corp_config_pack(const struct corp_config *config, uint8_t **bytes_out,
                     size_t *len_out)
{
    Xn__CorpSetup setup = XN__CORP_SETUP__INIT;

    setup.name = (char *)(uintptr_t)config->name;
    setup.certificate.data = (uint8_t *)(uintptr_t)config->certificate;
    setup.certificate.len = config->certificate_len;
    if (config->invited) setup.invitation = xn_id_bytes(&config->invitation);
    setup.certificate_us = config->certificate_us;
    setup.alive_us = config->alive_us;
    setup.sample = config->sample_max;
    setup.nodes = config->nodes_max;
    if (!xn_id_is_zero(&config->id)) setup.id = xn_id_bytes(&config->id);
    setup.prepay = (char *)(uintptr_t)config->prepay->name;
    setup.payout = (char *)(uintptr_t)config->payout->name;
    setup.share_ppm = config->share_ppm;
    setup.most = config->most;
    setup.slack_us = config->slack_us;
    setup.grace_us = config->grace_us;
    setup.orders_burst = config->orders.burst;
    setup.orders_step_us = config->orders.step_us;
    setup.claims_burst = config->claims.burst;
    setup.claims_step_us = config->claims.step_us;
    setup.register_burst = config->registers.burst;
    setup.register_step_us = config->registers.step_us;
    setup.places_burst = config->places.burst;
    setup.places_step_us = config->places.step_us;
    return xn_pack(&setup, bytes_out, len_out);
}

int corp_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                    struct xn_core **core_out)
{
    Xn__CorpSetup *setup = xn__corp_setup__unpack(NULL, len, bytes);
    struct corp_config config = {.invited = false};
    int rc = 0;

    if (!setup) return XN_EINVAL;
    config.name = setup->name;
    config.certificate = setup->certificate.data;
    config.certificate_len = setup->certificate.len;
    config.certificate_us = setup->certificate_us;
    config.alive_us = setup->alive_us;
    config.sample_max = setup->sample;
    config.nodes_max = setup->nodes;
    config.prepay = corp_prepay_find(setup->prepay);
    config.payout = corp_payout_find(setup->payout);
    config.share_ppm = setup->share_ppm;
    config.most = setup->most;
    config.slack_us = setup->slack_us;
    config.grace_us = setup->grace_us;
    config.orders.burst = setup->orders_burst;
    config.orders.step_us = setup->orders_step_us;
    config.claims.burst = setup->claims_burst;
    config.claims.step_us = setup->claims_step_us;
    config.registers.burst = setup->register_burst;
    config.registers.step_us = setup->register_step_us;
    config.places.burst = setup->places_burst;
    config.places.step_us = setup->places_step_us;
    if (setup->id.len) rc = xn_id_from_bytes(&setup->id, &config.id);
    if (setup->invitation.len) {
        config.invited = true;
        if (!rc) {
            rc = xn_id_from_bytes(&setup->invitation, &config.invitation);
        }
    }
    if (!rc) rc = corp_new(&config, seed, core_out);
    xn__corp_setup__free_unpacked(setup, NULL);
    return rc;
}
