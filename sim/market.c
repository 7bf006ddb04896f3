/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/market.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/market_state.h"
#include "wire/ad.h"
#include "wire/envelope.h"

#define RESTART_US 2000000ULL /* the host agent starts after its machine */

int market_new(struct sim_run *run, struct sim_market **market_out)
{
    struct sim_market *market = calloc(1, sizeof *market);

    if (!market) return XN_ENOMEM;
    market->run = run;
    market->nodes = sim_world_config(run->world)->nodes;
    market->servers = calloc(market->nodes, sizeof *market->servers);
    if (!market->servers) {
        free(market);
        return XN_ENOMEM;
    }
    *market_out = market;
    return 0;
}

void market_free(struct sim_market *market)
{
    struct market_ask *ask, *next;
    uint32_t i;

    if (!market) return;
    HASH_ITER(hh, market->asks, ask, next) market_ask_drop(market, ask);
    for (i = 0; i < market->nodes; i++) {
        market_ad_clear(&market->servers[i].now);
        market_ad_clear(&market->servers[i].old);
    }
    market_held_free(market);
    market_disks_free(market);
    free(market->servers);
    free(market);
}

static uint64_t wall_us(const struct sim_market *market)
{
    return SIM_WALL_START + sim_world_now(market->run->world);
}

/* ---- publishing ---- */

static void publish_in(struct sim_market *market, uint32_t node,
                       uint64_t after_us)
{
    struct market_server *s = &market->servers[node];
    uint64_t now_us = sim_world_now(market->run->world);

    sim_key_id(XN__ROLE__SERVER, node, &s->id);
    s->publishing = true;
    s->ticket = 0;
    s->epoch = (s->epoch + 1) & 0xffffff;
    sim_world_at(market->run->world, now_us + after_us,
                 SIM_CTL(SIM_CTL_PUBLISH, (uint64_t)s->epoch << 32 | node));
}

static int seal_lease(struct sim_market *market, uint32_t node,
                      ProtobufCBinaryData *out)
{
    struct market_server *s = &market->servers[node];
    struct ad_lease lease = {
        .document = s->now.document,
        .version = s->now.version,
        .issued_us = wall_us(market),
        .until_us = wall_us(market) + MARKET_LEASE_US,
        .withdrawn = s->state == MARKET_WITHDRAWN,
    };
    uint8_t *payload = NULL;
    size_t len;
    int rc;

    lease.server = s->id;
    if (lease.withdrawn) {
        memset(&lease.document, 0, sizeof lease.document);
        lease.version++;
    }
    rc = ad_lease_encode(&lease, &payload, &len);
    if (rc) return rc;
    rc = sim_seal(XN__ROLE__SERVER, node, XN__FORM__BLOB, LEASE_CONTEXT,
                  payload, len, &out->data, &out->len);
    free(payload);
    s->sent_until_us = lease.until_us;
    return rc;
}

static int send_publish(struct sim_market *market, uint32_t node,
                        Xn__SignedAd *ad)
{
    struct market_server *s = &market->servers[node];
    struct market_ask ask = {.kind = MARKET_PUBLISH, .server = node};
    Xn__Publish publish = XN__PUBLISH__INIT;
    Xn__SignedAd *ads[] = {ad};
    const struct advert *advert =
        s->state == MARKET_WITHDRAWN ? s->now.advert : s->old.advert;
    int rc;

    publish.ads = ads;
    publish.n_ads = 1;
    if (advert) {
        publish.old_tokens = (char **)(uintptr_t)advert->tokens;
        publish.n_old_tokens = advert->n_tokens;
    }
    rc = market_ask_send(market, node, &ask, "/v1/publish", XN__ROLE__SERVER,
                         &publish);
    if (!rc) s->ticket = market->tickets;
    market->run->tally.publish_count++;
    return rc;
}

void market_publish_due(struct sim_market *market, uint64_t n)
{
    uint32_t node = (uint32_t)n;
    struct market_server *s = &market->servers[node];
    Xn__SignedAd ad = XN__SIGNED_AD__INIT;
    int rc = 0;

    if (n >> 32 != s->epoch || s->ticket || s->state == MARKET_OFF) return;
    if (!sim_world_runs(market->run->world, node)) {
        s->publishing = false;
        return;
    }
    if (s->state == MARKET_ON) {
        rc = sim_seal(XN__ROLE__SERVER, node, XN__FORM__ENVELOPE, "",
                      s->now.xml.data, s->now.xml.len, &ad.envelope.data,
                      &ad.envelope.len);
    }
    if (!rc) rc = seal_lease(market, node, &ad.lease);
    if (!rc) rc = send_publish(market, node, &ad);
    free(ad.envelope.data);
    free(ad.lease.data);
    if (rc) sim_world_stop(market->run->world, rc);
}

static bool stored(const Xn__Answer *answer)
{
    Xn__Published *published;
    bool ok;

    if (answer->status != 200) return false;
    published =
        xn__published__unpack(NULL, answer->body.len, answer->body.data);
    ok = published && published->n_results == 1 &&
         published->results[0]->rc == 0;
    if (published) xn__published__free_unpacked(published, NULL);
    return ok;
}

/* answer NULL: none came. */
static void published(struct sim_market *market, const struct market_ask *ask,
                      const Xn__Answer *answer)
{
    struct market_server *s = &market->servers[ask->server];
    uint64_t now_us = sim_world_now(market->run->world);

    if (s->ticket != ask->ticket) return;
    s->ticket = 0;
    s->publishing = false;
    if (!s->alive) return;
    if (!answer || !stored(answer)) {
        market->run->tally.publish_failed++;
        publish_in(market, ask->server, MARKET_RETRY_US);
        return;
    }
    if (s->state == MARKET_WITHDRAWN) {
        s->withdrawn_us = now_us;
        return;
    }
    if (!s->acked_us || s->gone) s->acked_us = now_us;
    s->gone = false;
    s->until_us = s->sent_until_us;
    publish_in(market, ask->server, MARKET_RENEW_US);
}

/* ---- what servers do ---- */

static void write_version(struct sim_market *market, uint32_t node)
{
    struct market_server *s = &market->servers[node];
    struct market_ad ad;

    if (market_ad_write(market->run, node, wall_us(market), &ad)) return;
    market_ad_clear(&s->old);
    s->old = s->now;
    s->now = ad;
    s->state = MARKET_ON;
    s->acked_us = 0;
    s->withdrawn_us = 0;
    publish_in(market, node, 0);
}

static void advertise(struct sim_market *market, uint32_t node)
{
    struct market_server *s = &market->servers[node];

    s->alive = sim_world_runs(market->run->world, node);
    if (s->state == MARKET_ON || !s->alive) return;
    write_version(market, node);
}

static void rewrite(struct sim_market *market, uint32_t node)
{
    const struct market_server *s = &market->servers[node];

    if (s->state == MARKET_ON && s->alive) write_version(market, node);
}

static void withdraw(struct sim_market *market, uint32_t node)
{
    struct market_server *s = &market->servers[node];

    if (s->state != MARKET_ON || !s->alive) return;
    s->state = MARKET_WITHDRAWN;
    s->withdrawn_us = 0;
    publish_in(market, node, 0);
}

void market_plan(struct sim_market *market, enum market_deed deed,
                 uint32_t node, uint64_t at_us)
{
    sim_world_at(market->run->world, at_us,
                 SIM_CTL(SIM_CTL_MARKET, (uint64_t)deed << 32 | node));
}

void market_do(struct sim_market *market, uint64_t n)
{
    uint32_t node = (uint32_t)n;

    switch ((enum market_deed)(n >> 32)) {
    case MARKET_DO_ADVERTISE: advertise(market, node); break;
    case MARKET_DO_REWRITE: rewrite(market, node); break;
    case MARKET_DO_WITHDRAW: withdraw(market, node); break;
    }
}

bool market_has(const struct sim_market *market, uint32_t node)
{
    return market->servers[node].state == MARKET_ON;
}

void market_ending(struct sim_market *market, uint32_t node, bool wiped)
{
    market_disk_ends(market, node, wiped);
    if (wiped) market_held_wiped(market, node);
}

void market_started(struct sim_market *market, uint32_t node)
{
    struct market_server *s = &market->servers[node];

    market_disk_begins(market, node);

    s->alive = true;
    s->acked_us = 0;
    if (s->state != MARKET_OFF) publish_in(market, node, RESTART_US);
}

void market_died(struct sim_market *market, uint32_t node)
{
    struct market_server *s = &market->servers[node];

    s->alive = false;
    s->publishing = false;
    s->ticket = 0;
    s->epoch = (s->epoch + 1) & 0xffffff;
}

size_t market_live(const struct sim_market *market)
{
    size_t n = 0;
    uint32_t i;

    for (i = 0; i < market->nodes; i++) {
        n += market_must(market, i, sim_world_now(market->run->world));
    }
    return n;
}

/* ---- asking ---- */

void market_query(struct sim_market *market)
{
    struct market_ask ask = {.kind = MARKET_FIND};
    uint32_t node = sim_run_some_node(market->run);
    int rc;

    if (node == UINT32_MAX) return;
    rc = market_query_make(market, &ask.query, &ask.limit);
    if (!rc) rc = market_search(market, node, &ask);
    if (rc) {
        query_free(ask.query);
        sim_world_stop(market->run->world, rc);
        return;
    }
    market->run->tally.find_count++;
}

uint32_t market_some(struct sim_market *market)
{
    uint64_t now_us = sim_world_now(market->run->world);
    uint32_t keys = sim_world_settings(market->run->world)->keys, start, i;

    if (keys == 0 || keys > market->nodes) keys = market->nodes;
    start = (uint32_t)(sim_run_draw(market->run) % keys);
    for (i = 0; i < market->nodes; i++) {
        uint32_t server = (start + i) % market->nodes;

        if (market_must(market, server, now_us)) return server;
    }
    return UINT32_MAX;
}

const xn_id *market_server_id(const struct sim_market *market, uint32_t server)
{
    return &market->servers[server].id;
}

/* What an answer must match: its name. */
static int by_name(uint32_t server, struct query **query_out)
{
    struct query_error error;
    char word[40];
    const char *words[] = {word};

    snprintf(word, sizeof word, "ServerName:s%u", server);
    return query_parse_words(words, 1, query_out, &error);
}

int market_get_by_id(struct sim_market *market, uint32_t node, uint32_t server)
{
    struct market_ask ask = {
        .kind = MARKET_GET, .by_id = true, .server = server, .limit = 1};
    Xn__Get get = XN__GET__INIT;
    int rc = by_name(server, &ask.query);

    get.server = xn_id_bytes(&market->servers[server].id);
    if (!rc) {
        rc = market_ask_send(market, node, &ask, "/v1/get", XN__ROLE__CLIENT,
                             &get);
    }
    if (rc) query_free(ask.query);
    market->run->tally.get_count++;
    if (sim_world_slow(market->run->world, node))
        market->run->tally.gets_slow++;
    else
        market->run->tally.gets++;
    return rc;
}

static int get_one(struct sim_market *market, uint32_t server, bool strict)
{
    struct market_ask ask = {
        .kind = MARKET_GET, .server = server, .strict = strict, .limit = 10};
    uint32_t node = sim_run_some_node(market->run);
    int rc;

    if (node == UINT32_MAX) return 0;
    rc = by_name(server, &ask.query);
    if (!rc) rc = market_search(market, node, &ask);
    if (rc) {
        query_free(ask.query);
        sim_world_stop(market->run->world, rc);
        return rc;
    }
    market->run->tally.get_count++;
    return 0;
}

size_t market_get(struct sim_market *market, size_t most, bool strict)
{
    uint64_t now_us = sim_world_now(market->run->world);
    size_t n = 0;
    uint32_t i;

    for (i = 0; i < market->nodes && n < most; i++) {
        uint32_t server = market->round++ % market->nodes;

        if (!market_must(market, server, now_us)) continue;
        if (get_one(market, server, strict)) break;
        n++;
    }
    return n;
}

static void searched(struct sim_market *market, const struct market_ask *ask,
                     const Xn__Answer *answer)
{
    Xn__SearchResult *result = NULL;
    char why[64];

    if (answer->status == 200) {
        result = xn__search_result__unpack(NULL, answer->body.len,
                                           answer->body.data);
    }
    if (result) {
        market_judge(market, ask, result);
        xn__search_result__free_unpacked(result, NULL);
        return;
    }
    snprintf(why, sizeof why, "got HTTP status %d", (int)answer->status);
    market_failed(market, ask, why);
}

static struct market_ask *find_ask(struct sim_market *market, uint64_t ticket)
{
    struct market_ask *ask;

    HASH_FIND(hh, market->asks, &ticket, sizeof ticket, ask);
    return ask;
}

void market_answered(struct sim_market *market, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer)
{
    struct market_ask *ask = find_ask(market, ticket);

    if (!ask || ask->node != node) return;
    if (ask->kind == MARKET_PUBLISH) {
        published(market, ask, answer);
    } else {
        searched(market, ask, answer);
    }
    market_ask_drop(market, ask);
}

void market_late(struct sim_market *market, uint64_t ticket)
{
    struct market_ask *ask = find_ask(market, ticket);

    if (!ask) return;
    if (ask->kind == MARKET_PUBLISH) {
        published(market, ask, NULL);
    } else {
        market_failed(market, ask, "got no answer");
    }
    market_ask_drop(market, ask);
}
