/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Right or wrong: an answer beside a filter over all ads there are.
 *
 * Three things are told apart.  Wrong: something shown that is not so, at any
 * time.  Missed while settled: a violation too.  Missed while nodes come and
 * go: counted, since an ad whose copies die together is gone until its server
 * puts it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/market_state.h"

#define CONFIRMED_US 5000000ULL /* an ad must be found so long after its ack */

static uint64_t wall_us(const struct sim_market *market)
{
    return SIM_WALL_START + sim_world_now(market->run->world);
}

bool market_must(const struct sim_market *market, uint32_t server,
                 uint64_t asked_us)
{
    const struct market_server *s = &market->servers[server];

    return s->state == MARKET_ON && s->alive && s->acked_us && !s->gone &&
           s->acked_us + CONFIRMED_US <= asked_us &&
           sim_world_since(market->run->world, server) <= s->acked_us &&
           s->until_us > wall_us(market);
}

/* ---- one hit ---- */

struct hit {
    uint32_t server;
    const struct market_ad *ad;
};

static bool unpack_lease(const Xn__SignedAd *signed_ad, Xn__Lease **lease_out)
{
    Xn__SignedBlob *blob = xn__signed_blob__unpack(NULL, signed_ad->lease.len,
                                                   signed_ad->lease.data);

    *lease_out =
        blob ? xn__lease__unpack(NULL, blob->payload.len, blob->payload.data)
             : NULL;
    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return *lease_out != NULL;
}

static uint32_t server_of(const struct sim_market *market,
                          const Xn__SignedAd *signed_ad)
{
    Xn__SignedBlob *blob = xn__signed_blob__unpack(
        NULL, signed_ad->envelope.len, signed_ad->envelope.data);
    uint32_t number = UINT32_MAX;

    if (blob) number = sim_spki_number(&blob->spki);
    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return number < market->nodes ? number : UINT32_MAX;
}

static bool same_document(const Xn__SignedAd *signed_ad,
                          const struct market_ad *ad)
{
    Xn__SignedBlob *blob = xn__signed_blob__unpack(
        NULL, signed_ad->envelope.len, signed_ad->envelope.data);
    bool same = blob && blob->payload.len == ad->xml.len &&
                !memcmp(blob->payload.data, ad->xml.data, ad->xml.len);

    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return same;
}

/* Can everybody know by then what was confirmed at this time?  Not who was on
 * the other side of a partition. */
static bool is_known(const struct sim_market *market, uint64_t confirmed_us,
                     uint64_t asked_us)
{
    uint64_t whole_us = sim_world_whole_since(market->run->world);

    return confirmed_us && confirmed_us + MARKET_OVERLAP_US < asked_us &&
           whole_us < asked_us &&
           (!whole_us || whole_us + market->run->scn->settle_us < asked_us);
}

/* NULL: this version may be shown; else why not. */
static const char *refute_version(const struct sim_market *market,
                                  const struct market_server *s,
                                  const struct market_ad *ad, uint64_t asked_us)
{
    if (ad == &s->old && is_known(market, s->acked_us, asked_us)) {
        return "an old version";
    }
    if (s->state == MARKET_WITHDRAWN &&
        is_known(market, s->withdrawn_us, asked_us)) {
        return "withdrawn";
    }
    return NULL;
}

static const char *refute_hit(const struct sim_market *market,
                              const struct market_ask *ask,
                              const Xn__SignedAd *signed_ad, struct hit *hit)
{
    const struct market_server *s;
    Xn__Lease *lease = NULL;
    uint64_t version, until_us;
    struct query_rank rank;

    hit->server = server_of(market, signed_ad);
    if (hit->server == UINT32_MAX) return "not one of ours";
    if (!unpack_lease(signed_ad, &lease)) return "no lease";
    version = lease->version;
    until_us = lease->until_us;
    xn__lease__free_unpacked(lease, NULL);
    s = &market->servers[hit->server];
    hit->ad = s->now.advert && s->now.version == version   ? &s->now
              : s->old.advert && s->old.version == version ? &s->old
                                                           : NULL;
    if (!hit->ad) return "a version that is long gone";
    if (!same_document(signed_ad, hit->ad)) return "altered";
    if (until_us + market->run->options->scn->settle_us < wall_us(market) &&
        until_us < SIM_WALL_START + ask->asked_us) {
        return "expired";
    }
    if (!query_match_advert(ask->query, hit->ad->advert, &s->id, &rank)) {
        return "does not match";
    }
    return refute_version(market, s, hit->ad, ask->asked_us);
}

/* ---- the whole answer ---- */

struct judged {
    struct hit *hits;
    size_t n;
    const char *wrong;
    uint32_t wrong_server;
    uint64_t must, missing;
    uint32_t missing_server;
};

static bool shown(const struct judged *j, uint32_t server)
{
    size_t i;

    for (i = 0; i < j->n; i++) {
        if (j->hits[i].server == server) return true;
    }
    return false;
}

/* Where the answer is cut off at its limit, only what ranks before its last
 * hit must be there. */
static bool ranks_before_last(const struct sim_market *market,
                              const struct market_ask *ask,
                              const struct judged *j,
                              const struct query_rank *rank)
{
    const struct hit *hit;
    struct query_rank last;

    if (!j->n) return false;
    hit = &j->hits[j->n - 1];
    if (!query_match_advert(ask->query, hit->ad->advert,
                            &market->servers[hit->server].id, &last)) {
        return false;
    }
    return query_rank_cmp(ask->query, rank, &last) < 0;
}

static void find_missing(struct sim_market *market,
                         const struct market_ask *ask, bool cut,
                         struct judged *j)
{
    struct query_rank rank;
    uint32_t i;

    for (i = 0; i < market->nodes; i++) {
        const struct market_server *s = &market->servers[i];

        if (!market_must(market, i, ask->asked_us)) continue;
        if (!query_match_advert(ask->query, s->now.advert, &s->id, &rank)) {
            continue;
        }
        j->must++;
        if (shown(j, i)) continue;
        if (cut && !ranks_before_last(market, ask, j, &rank)) continue;
        j->missing++;
        j->missing_server = i;
    }
}

static void judge_hits(struct sim_market *market, const struct market_ask *ask,
                       const Xn__SearchResult *result, struct judged *j)
{
    size_t i;

    for (i = 0; i < result->n_hits; i++) {
        struct hit hit = {0};
        const char *why =
            result->hits[i]->ad
                ? refute_hit(market, ask, result->hits[i]->ad, &hit)
                : "empty";

        if (!why && shown(j, hit.server)) why = "shown twice";
        if (why) {
            j->wrong = why;
            j->wrong_server = hit.server;
            return;
        }
        j->hits[j->n++] = hit;
    }
}

static void tell(struct sim_market *market, const struct market_ask *ask,
                 const char *what, uint32_t server)
{
    struct xn_buf text = {0};
    char *shown_text;

    query_text(ask->query, &text);
    shown_text = xn_buf_steal_str(&text);
    sim_run_violation(market->run, "asked at node %u: %s: server %u %s",
                      ask->node, shown_text ? shown_text : "?", server, what);
    free(shown_text);
}

static void count_wrong(struct sim_tally *tally, const struct market_ask *ask)
{
    if (ask->kind == MARKET_GET) {
        tally->get_wrong++;
    } else {
        tally->find_wrong++;
    }
}

static bool was_settled(const struct sim_market *market,
                        const struct market_ask *ask)
{
    return ask->strict || sim_run_settled(market->run, ask->asked_us);
}

static void settle_accounts(struct sim_market *market,
                            const struct market_ask *ask,
                            const struct judged *j)
{
    struct sim_tally *tally = &market->run->tally;

    if (j->wrong) {
        count_wrong(tally, ask);
        tell(market, ask, j->wrong, j->wrong_server);
    } else if (j->missing) {
        if (ask->kind == MARKET_GET) {
            tally->get_missed++;
        } else {
            tally->find_missed++;
        }
        if (was_settled(market, ask)) {
            count_wrong(tally, ask);
            tell(market, ask, "is missing", j->missing_server);
        }
    }
    tally->find_hits += j->n;
}

static struct sim_hist *delays_of(const struct sim_market *market,
                                  const struct market_ask *ask)
{
    struct sim_tally *tally = &market->run->tally;

    if (ask->kind != MARKET_GET) return &tally->find;
    return ask->by_id && sim_world_slow(market->run->world, ask->node)
               ? &tally->get_slow
               : &tally->get;
}

void market_judge(struct sim_market *market, const struct market_ask *ask,
                  const Xn__SearchResult *result)
{
    struct judged j = {.hits = calloc(result->n_hits + 1, sizeof *j.hits)};
    uint64_t took_us = sim_world_now(market->run->world) - ask->asked_us;

    if (!j.hits) {
        sim_world_stop(market->run->world, XN_ENOMEM);
        return;
    }
    sim_hist_add(delays_of(market, ask), took_us);
    judge_hits(market, ask, result, &j);
    if (!j.wrong && result->answered_ppm < 1000000) {
        market_failed(market, ask, "was answered in part");
    } else {
        if (!j.wrong) find_missing(market, ask, result->more, &j);
        settle_accounts(market, ask, &j);
    }
    free(j.hits);
}

void market_failed(struct sim_market *market, const struct market_ask *ask,
                   const char *why)
{
    struct sim_tally *tally = &market->run->tally;

    if (ask->kind == MARKET_GET) {
        tally->get_failed++;
    } else {
        tally->find_failed++;
    }
    /* A slow node's round trips may be longer than anybody's patience. */
    if (ask->by_id && sim_world_slow(market->run->world, ask->node)) return;
    if (sim_world_runs(market->run->world, ask->node) &&
        was_settled(market, ask)) {
        sim_run_violation(market->run, "a search at node %u %s", ask->node,
                          why);
    }
}
