/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which machines there are, what is free on each, and where a session goes. */
#include "hostagent/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

#define AMOUNTS 5
#define GB 1000000000

static const struct amount {
    const char *token;
    size_t at;
} amounts[AMOUNTS] = {
    {"CPUsmps", offsetof(struct money_rates, cpu_smps)},
    {"MemoryMB", offsetof(struct money_rates, memory_mb)},
    {"DiskGB", offsetof(struct money_rates, disk_gb)},
    {"NetMbps", offsetof(struct money_rates, net_mbps)},
    {"IPv4Addresses", offsetof(struct money_rates, ipv4_addresses)},
};

static xn_dec *amount_at(struct money_rates *rates, size_t i)
{
    return (xn_dec *)(void *)((char *)rates + amounts[i].at);
}

static xn_dec amount_of(const struct money_rates *rates, size_t i)
{
    xn_dec d;

    memcpy(&d, (const char *)rates + amounts[i].at, sizeof d);
    return d;
}

/* ---- the set ---- */

static void add(struct host *host, const struct host_member *member)
{
    struct host_market *market = &host->market;
    struct host_machine *m = &market->machines[market->n_machines++];

    m->host = host;
    m->met = !member;
    m->pvh = true;
    m->images = !member && host->config.images;
    if (!member) return;
    m->id = member->id;
    m->url = member->url;
}

int host_machines_take(struct host *host)
{
    const struct host_config *config = &host->config;

    host->market.machines =
        calloc(config->n_members + 1, sizeof *host->market.machines);
    if (!host->market.machines) return XN_ENOMEM;
    if (!config->bare || !config->n_members) add(host, NULL);
    for (size_t i = 0; i < config->n_members; i++)
        add(host, &config->members[i]);
    return 0;
}

void host_machines_clear(struct host *host)
{
    free(host->market.machines);
    host->market.machines = NULL;
    host->market.n_machines = 0;
}

struct host_machine *host_machine(const struct host *host, const xn_id *id)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        if (xn_id_eq(&host->market.machines[i].id, id))
            return &host->market.machines[i];
    }
    return NULL;
}

struct host_machine *session_machine(const struct host_session *s)
{
    return host_machine(s->host, &s->machine);
}

bool session_is_up(const struct host_session *s)
{
    const struct host_machine *m = session_machine(s);

    return m && m->up;
}

bool session_is_stranded(const struct host_session *s)
{
    const struct host_machine *m = session_machine(s);

    return s->host->config.sandbox && (!m || m->lost);
}

uint64_t session_known_us(const struct host_session *s, uint64_t wall_us)
{
    const struct host_machine *m = session_machine(s);

    if (m && (!m->url || m->up || wall_us <= m->heard_wall_us)) return wall_us;
    return m ? m->heard_wall_us : 0;
}

bool host_is_up(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        if (host->market.machines[i].up) return true;
    }
    return false;
}

bool host_has_images(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        if (host->market.machines[i].images) return true;
    }
    return false;
}

bool host_can_domain(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        const struct host_machine *m = &host->market.machines[i];

        if (m->up && m->xen) return true;
    }
    return false;
}

const char *host_no_xen(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        const struct host_machine *m = &host->market.machines[i];

        if (m->up && !m->xen) return m->no_xen;
    }
    return "this host runs no Xen";
}

static bool knows_use(const struct host_machine *m)
{
    return m->host->config.xen ? m->xen : m->exact;
}

bool host_is_exact(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        const struct host_machine *m = &host->market.machines[i];

        if (m->up && !knows_use(m)) return false;
    }
    return host_is_up(host);
}

/* ---- what is free ---- */

/* A sandbox has no network. */
static bool has_network(const struct host_machine *m)
{
    return !m->host->config.sandbox || (m->host->config.xen && m->bridge);
}

/* What is offered, as far as it is there. */
static void machine_has(const struct host_machine *m, struct money_rates *out)
{
    xn_dec room = {(xn_i128)m->disk_bytes * (XN_DEC_ONE / GB)};

    *out = m->offered;
    if (!has_network(m)) out->net_mbps.v = 0;
    if (m->disk_bytes && xn_dec_cmp(out->disk_gb, room) > 0)
        out->disk_gb = room;
}

const char *host_cannot(const struct host *host, const char *token)
{
    if (strcmp(token, "NetMbps")) return NULL;
    for (size_t i = 0; i < host->market.n_machines; i++) {
        if (has_network(&host->market.machines[i])) return NULL;
    }
    return host->config.xen ? "its domains have no network"
                            : "its sandboxes have no network";
}

void machine_free_now(const struct host_machine *m,
                      struct money_rates *free_out)
{
    const struct host_market *market = &m->host->market;

    machine_has(m, free_out);
    for (size_t n = 0; n < market->n_sessions; n++) {
        const struct host_session *s = market->sessions[n];

        if (!session_holds(s) || !xn_id_eq(&s->machine, &m->id)) continue;
        for (size_t i = 0; i < AMOUNTS; i++)
            amount_at(free_out, i)->v -= amount_of(&s->sale.terms.rates, i).v;
    }
    for (size_t i = 0; i < AMOUNTS; i++) { /* less is offered than was sold */
        if (amount_at(free_out, i)->v < 0) amount_at(free_out, i)->v = 0;
    }
}

uint32_t machine_sessions(const struct host_machine *m)
{
    const struct host_market *market = &m->host->market;
    uint32_t n = 0;

    for (size_t i = 0; i < market->n_sessions; i++) {
        n += session_holds(market->sessions[i]) &&
             xn_id_eq(&market->sessions[i]->machine, &m->id);
    }
    return n;
}

/* One's own is offered also while xenodomd is restarted. */
static bool is_offered(const struct host_machine *m)
{
    return !m->url || m->up;
}

static void most(const struct host *host, bool now, struct money_rates *out)
{
    struct money_rates of;

    memset(out, 0, sizeof *out);
    for (size_t n = 0; n < host->market.n_machines; n++) {
        const struct host_machine *m = &host->market.machines[n];

        if (!is_offered(m)) continue;
        machine_has(m, &of);
        if (now) machine_free_now(m, &of);
        for (size_t i = 0; i < AMOUNTS; i++) {
            if (xn_dec_cmp(amount_of(&of, i), amount_of(out, i)) > 0)
                *amount_at(out, i) = amount_of(&of, i);
        }
    }
}

void host_offered(const struct host *host, struct money_rates *offered_out)
{
    most(host, false, offered_out);
}

void host_free_now(const struct host *host, struct money_rates *free_out)
{
    most(host, true, free_out);
}

void host_whole(const struct host *host, bool free_now,
                struct money_rates *whole_out)
{
    struct money_rates of;

    memset(whole_out, 0, sizeof *whole_out);
    for (size_t n = 0; n < host->market.n_machines; n++) {
        const struct host_machine *m = &host->market.machines[n];

        if (!is_offered(m)) continue;
        machine_has(m, &of);
        if (free_now) machine_free_now(m, &of);
        for (size_t i = 0; i < AMOUNTS; i++)
            amount_at(whole_out, i)->v += amount_of(&of, i).v;
    }
}

const char *host_amount(const struct money_rates *rates, size_t i,
                        xn_dec *amount_out)
{
    if (i >= AMOUNTS) return NULL;
    *amount_out = amount_of(rates, i);
    return amounts[i].token;
}

/* ---- where to ---- */

/* The first that `left` has too little of; AMOUNTS: none. */
static size_t lacks(const struct money_rates *left,
                    const struct money_rates *want)
{
    size_t i;

    for (i = 0; i < AMOUNTS; i++) {
        if (xn_dec_cmp(amount_of(want, i), amount_of(left, i)) > 0) break;
    }
    return i;
}

/* Less is left over, of CPU time first. */
static bool is_tighter(const struct money_rates *left,
                       const struct money_rates *than)
{
    for (size_t i = 0; i < AMOUNTS; i++) {
        int cmp = xn_dec_cmp(amount_of(left, i), amount_of(than, i));

        if (cmp) return cmp < 0;
    }
    return false;
}

static bool may_take(const struct host_machine *m, struct host_needs needs)
{
    const struct host_config *config = &m->host->config;

    if (!is_offered(m) || (config->xen && m->url && !m->xen)) return false;
    if ((needs.image && !m->images) || (needs.pvh && !m->pvh)) return false;
    return !m->url || !needs.used || knows_use(m);
}

struct host_machine *host_place(const struct host *host,
                                const struct money_rates *want,
                                struct host_needs needs)
{
    struct host_machine *best = NULL;
    struct money_rates left, least;

    for (size_t n = 0; n < host->market.n_machines; n++) {
        struct host_machine *m = &host->market.machines[n];

        if (!may_take(m, needs)) continue;
        machine_free_now(m, &left);
        if (lacks(&left, want) < AMOUNTS) continue;
        if (best && !is_tighter(&left, &least)) continue;
        best = m;
        least = left;
    }
    return best;
}

/* Of what no machine has enough; where each has some of it, what the first
 * lacks. */
const char *host_lacks(const struct host *host, const struct money_rates *want,
                       xn_dec *want_out, xn_dec *free_out)
{
    const struct host_needs none = {.pvh = false};
    struct money_rates left;
    size_t i;

    if (host_place(host, want, none)) return NULL;
    host_free_now(host, &left);
    i = lacks(&left, want);
    for (size_t n = 0; i == AMOUNTS && n < host->market.n_machines; n++) {
        if (!may_take(&host->market.machines[n], none)) continue;
        machine_free_now(&host->market.machines[n], &left);
        i = lacks(&left, want);
    }
    if (i == AMOUNTS) i = 0;
    *want_out = amount_of(want, i);
    *free_out = amount_of(&left, i);
    return amounts[i].token;
}

/* ---- environments ---- */

bool host_env_is_pvh(const struct host *host,
                     const struct advert_environment *env)
{
    return host->config.xen && env->virtualisation &&
           strcmp(env->virtualisation, "pvh") == 0;
}

static bool has_pvh(const struct host *host)
{
    for (size_t i = 0; i < host->market.n_machines; i++) {
        const struct host_machine *m = &host->market.machines[i];

        if (is_offered(m) && m->pvh) return true;
    }
    return false;
}

bool host_can_run(const struct host *host, const struct advert_environment *env)
{
    return !host_env_is_pvh(host, env) || has_pvh(host);
}

struct advert_offer host_able_offer(
    const struct host *host,
    struct advert_environment room[OFFER_ENVIRONMENTS_MAX])
{
    struct advert_offer offer = host->offer;
    size_t n = 0;

    for (size_t i = 0; i < offer.n_environments; i++) {
        if (n < OFFER_ENVIRONMENTS_MAX &&
            host_can_run(host, &offer.environments[i])) {
            room[n++] = offer.environments[i];
        }
    }
    if (n) {
        offer.environments = room;
        offer.n_environments = n;
    }
    return offer;
}

/* ---- what is said of a cluster ---- */

int host_bind_offer(struct host *host, struct advert_offer *offer,
                    struct xn_arena *arena)
{
    static const char *const tokens[] = {"Machines", "ClusterCPUsmps",
                                         "ClusterMemoryMB"};
    struct host_market *market = &host->market;
    struct advert_extra *extras;
    size_t n = offer->n_extras;

    if (!host->config.n_members) return 0;
    extras = xn_arena_alloc(arena, (n + 3) * sizeof *extras);
    if (!extras) return XN_ENOMEM;
    if (n) memcpy(extras, offer->extras, n * sizeof *extras);
    for (size_t i = 0; i < 3; i++)
        extras[n + i] = (struct advert_extra){tokens[i], market->whole[i]};
    offer->extras = extras;
    offer->n_extras = n + 3;
    offer->cpu_smps = market->largest[0];
    offer->memory_mb = market->largest[1];
    offer->disk_gb = market->largest[2];
    offer->net_mbps = market->largest[3];
    offer->ipv4_addresses = market->largest[4];
    host_say_machines(host);
    return 0;
}

bool host_say_machines(struct host *host)
{
    struct host_market *market = &host->market;
    struct money_rates offered, whole;
    char before[sizeof market->largest + sizeof market->whole];
    bool pvh = market->pvh;
    uint32_t up = 0;

    memcpy(before, market->largest, sizeof market->largest);
    memcpy(before + sizeof market->largest, market->whole,
           sizeof market->whole);
    memset(market->largest, 0, sizeof market->largest);
    memset(market->whole, 0, sizeof market->whole);
    host_offered(host, &offered);
    for (size_t i = 0; i < AMOUNTS; i++)
        xn_dec_format(amount_of(&offered, i), market->largest[i]);
    for (size_t n = 0; n < market->n_machines; n++) {
        up += is_offered(&market->machines[n]);
    }
    host_whole(host, false, &whole);
    xn_dec_format(xn_dec_int(up), market->whole[0]);
    xn_dec_format(whole.cpu_smps, market->whole[1]);
    xn_dec_format(whole.memory_mb, market->whole[2]);
    market->pvh = has_pvh(host);
    return market->pvh != pvh ||
           memcmp(before, market->largest, sizeof market->largest) != 0 ||
           memcmp(before + sizeof market->largest, market->whole,
                  sizeof market->whole) != 0;
}
