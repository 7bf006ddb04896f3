/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core: what it answers to, and its start. */
#include "hostagent/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/metrics.h"
#include "hostagent/offer.h"
#include "hostagent/session.h"
#include "hostagent/state.h"
#include "hostagent/task.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL
#define ORDER_US (30 * SECOND_US)
#define ARENA_MAX (1 << 20)
#define URL_MAX 256

/* ---- query status ---- */

static void answer_status(struct host *host, uint64_t ask,
                          const Xn__Caller *caller)
{
    struct machine_text room[HOST_MEMBERS_MAX + 1];
    Xn__HostMachine *machines[HOST_MEMBERS_MAX + 1];
    Xn__HostStatus status = XN__HOST_STATUS__INIT;

    status.machines = machines;
    for (size_t i = 0; host->config.n_members && i < host->market.n_machines &&
                       host_is_operator(host, caller);
         i++) {
        machine_describe(&host->market.machines[i], &room[i]);
        machines[status.n_machines++] = &room[i].body;
    }
    if (host->record) status.envelope = host->record->envelope;
    if (host->lease) status.lease = XN_BODY(host->lease, Xn__Signed)->data;
    status.node = (char *)(uintptr_t)host->config.nodes[host->node];
    status.published_us = host->published_us;
    status.copies_least = host->copies_least;
    xn_out_answer(&host->out, ask, 200, &status);
}

static void on_query(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    if (host->record && host->lease) {
        answer_status(host, ask, question->caller);
        return;
    }
    if (host->record && host->record->withdrawn && host->record->placed) {
        xn_out_refuse(&host->out, ask, XN_ENOENT, "cannot tell the status",
                      "its operator has withdrawn this server",
                      "another server; its operator: xenoserver undrain");
        return;
    }
    xn_out_refuse(&host->out, ask, XN_ENOTYET, "cannot tell the status",
                  "nothing has been signed yet", "again in a second");
}

/* ---- orders of the operator: withdraw, offer again ---- */

static void end_order(struct host *host)
{
    if (host->order_timer) {
        xn_ticket_forget(host->tickets, host->order_timer);
    }
    host->order = host->order_timer = 0;
}

void host_order_done(struct host *host)
{
    if (host->order) answer_status(host, host->order, NULL);
    end_order(host);
}

void host_order_failed(struct host *host, int rc, const char *because,
                       const char *try)
{
    if (!host->order) return;
    host->withdraw = host->record && host->record->withdrawn;
    xn_out_refuse(&host->out, host->order, rc, "cannot do as ordered", because,
                  try);
    end_order(host);
}

static void on_order_time(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    xn_out_refuse(out, host->order, XN_EUNKNOWN, "cannot tell the outcome",
                  "no node has confirmed it yet",
                  "nothing: it is tried until one does");
    host->order = host->order_timer = 0;
}

/* Else it is refused. */
static bool may_order(struct host *host, uint64_t ask, const Xn__Ask *question)
{
    if (!host_is_operator(host, question->caller)) {
        xn_out_refuse(&host->out, ask, XN_EPERM, "cannot do as ordered",
                      "only the server's own key may order this",
                      "the key and certificate in the state folder");
        return false;
    }
    if (host->order || !host->loaded) {
        xn_out_refuse(&host->out, ask, XN_EBUSY, "cannot do as ordered",
                      "another order is under way, or the start is",
                      "again in a second");
        return false;
    }
    return true;
}

static void take_order(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question, bool withdraw)
{
    if (!may_order(host, ask, question)) return;
    host->order = ask;
    host->order_timer = xn_ticket(host->tickets, now->mono_us + ORDER_US,
                                  on_order_time, host, NULL, &host->out);
    host->withdraw = withdraw;
    host_resume(host, now);
}

static void on_withdraw(struct host *host, const struct xn_now *now,
                        uint64_t ask, const Xn__Ask *question)
{
    take_order(host, now, ask, question, true);
}

/* An absent or odd text is nothing: the document was read back already. */
static xn_dec number(const char *text)
{
    xn_dec d = {0};

    if (text && xn_dec_parse(text, strlen(text), &d)) d.v = 0;
    return d;
}

void host_take_rates(struct host *host, const struct advert_offer *o)
{
    struct host_market *m = &host->market;
    struct money_rates *own = &m->machines[0].offered, before = *own;

    if (!m->machines[0].url) {
        *own = (struct money_rates){number(o->cpu_smps), number(o->memory_mb),
                                    number(o->disk_gb), number(o->net_mbps),
                                    number(o->ipv4_addresses)};
        if (!o->cpu_smps) own->cpu_smps = before.cpu_smps;
        if (!o->memory_mb) own->memory_mb = before.memory_mb;
    }
    m->prices =
        (struct price_list){number(o->setup),      number(o->price_per_hour),
                            number(o->cpu_second), number(o->memory_mb_hour),
                            number(o->net_gb),     number(o->disk_gb_hour)};
}

/* Another offer than before: while it is drained, for when that ends. */
static void on_new_offer(struct host *host, const struct xn_now *now,
                         uint64_t ask, const Xn__Ask *question)
{
    char why[256];
    int rc;

    if (!may_order(host, ask, question)) return;
    rc = host_take_offer(host, question->body.data, question->body.len, why,
                         sizeof why);
    if (rc) {
        xn_out_refuse(&host->out, ask, rc, "cannot offer that", why,
                      "man xenohostd.conf");
        return;
    }
    if (host->record && host->record->withdrawn)
        answer_status(host, ask, question->caller);
    else
        take_order(host, now, ask, question, false);
}

static void on_offer(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    if (question->body.len)
        on_new_offer(host, now, ask, question);
    else
        take_order(host, now, ask, question, false);
}

/* ---- questions ---- */

struct route {
    const char *method;
    const char *path;
    void (*handle)(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
};

static const struct route routes[] = {
    {"GET", "/metrics", host_metrics},
    {"GET", "/v1/activity", host_activity},
    {"GET", "/v1/console", host_task_console},
    {"POST", "/v1/offer", on_offer},
    {"POST", "/v1/quote", host_quote},
    {"POST", "/v1/sessions", host_create},
    {"GET", "/v1/sessions", host_list},
    {"POST", "/v1/sessions/extend", host_extend},
    {"POST", "/v1/sessions/stop", host_stop},
    {"GET", "/v1/status", on_query},
    {"POST", "/v1/tasks", host_task_new},
    {"GET", "/v1/tasks", host_task_list},
    {"POST", "/v1/tasks/exec", host_task_exec},
    {"POST", "/v1/tasks/forward", host_task_forward},
    {"POST", "/v1/tasks/input", host_task_input},
    {"POST", "/v1/tasks/pause", host_task_pause},
    {"POST", "/v1/tasks/resume", host_task_resume},
    {"POST", "/v1/tasks/stop", host_task_stop},
    {"POST", "/v1/withdraw", on_withdraw},
};

static void on_ask(struct host *host, const struct xn_now *now,
                   const struct xn_event *ev)
{
    const Xn__Ask *question = XN_BODY(ev->msg, Xn__Ask);
    size_t i;

    for (i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, question->path) == 0 &&
            strcmp(routes[i].method, question->method) == 0) {
            routes[i].handle(host, now, ev->ticket, question);
            return;
        }
    }
    xn_out_refuse(&host->out, ev->ticket, XN_ENOENT, "cannot answer",
                  "a server has no such path for this method",
                  "GET /v1/status or /v1/sessions, POST /v1/quote, "
                  "/v1/sessions, /v1/tasks; doc/PROTOCOL.md has them all");
}

/* ---- the core ---- */

static int host_step(struct xn_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_outbox *out)
{
    struct host *host = (struct host *)core;

    xn_out_reset(&host->out);
    if (!host->loaded && !host->step) host_begin(host, now);
    host_market_begin(host, now);
    host_cluster_begin(host, now);
    switch (ev->kind) {
    case XN_EV_ASK:
        if (ev->msg && ev->msg->kind == XN__KIND__ASK) on_ask(host, now, ev);
        break;
    case XN_EV_CANCEL: /* the order stands, nobody waits for it */
        if (host->order && ev->ticket == host->order) end_order(host);
        host_market_cancel(host, ev->ticket);
        break;
    case XN_EV_DONE:
        xn_ticket_end(host->tickets, ev->ticket, now, ev->rc, ev->msg,
                      &host->out);
        break;
    case XN_EV_NEWS:
        if (ev->msg && ev->msg->kind == XN__KIND__NEWS)
            host_dom_news(host, now, XN_BODY(ev->msg, Xn__News));
        break;
    default: break;
    }
    xn_tickets_run(host->tickets, now, &host->out);
    *out = xn_out_box(&host->out, xn_tickets_next(host->tickets));
    return host->out.rc;
}

static const char *wrong(const struct host *host)
{
    if (host->node >= host->config.n_nodes) return "no such node";
    if (host->record && host->record->version > host->floor) {
        return "version above the floor";
    }
    if (host->record && host->record->n_tokens > HOST_TOKENS_MAX) {
        return "too many places";
    }
    if (xn_tickets_count(host->tickets) > 3 + host_market_tickets(host)) {
        return "too much under way";
    }
    if (host->loaded && host_cluster_met(host) && !host->step &&
        !host->out.rc &&
        !(host->withdraw && (!host->record || host->record->placed))) {
        return "stands still";
    }
    return host_market_wrong(host);
}

static bool host_check(const struct xn_core *core, char *why_out, size_t len)
{
    const char *why = wrong((const struct host *)core);

    if (why) snprintf(why_out, len, "host: %s", why);
    return !why;
}

static void host_free(struct xn_core *core)
{
    struct host *host = (struct host *)core;

    host_market_clear(host);
    xn_tickets_free(host->tickets, NULL);
    xn__host_record__free_unpacked(host->record, NULL);
    xn__host_record__free_unpacked(host->draft, NULL);
    xn_msg_free(host->lease);
    xn_out_clear(&host->out);
    xn_arena_clear(&host->offer_arena);
    xn_arena_clear(&host->arena);
    free(host);
}

static const struct xn_core_ops host_ops = {"host", host_step, host_check,
                                            host_free};

static bool sale_ok(const struct host_config *config)
{
    if (xn_id_is_zero(&config->corp)) return true;
    return config->corp_url && strlen(config->corp_url) <= URL_MAX &&
           config->quote_us > 0 && config->charge_us > 0 &&
           config->patience_us > 0 && config->activity_us > 0 &&
           config->notes_max > 0 && config->sessions_max > 0 &&
           config->sessions_max <= HOST_SESSIONS_MAX;
}

static bool cluster_ok(const struct host_config *config)
{
    if (!config->n_members) return true;
    for (size_t i = 0; i < config->n_members; i++) {
        const struct host_member *m = &config->members[i];

        if (xn_id_is_zero(&m->id) || strlen(m->url) > URL_MAX) return false;
        for (size_t j = 0; j < i; j++) {
            if (xn_id_eq(&config->members[j].id, &m->id)) return false;
        }
    }
    return config->sandbox && config->grace_us > 0;
}

static bool config_ok(const struct host_config *config)
{
    size_t i;

    if (!config->offer || config->n_nodes == 0 ||
        config->n_nodes > HOST_NODES_MAX ||
        config->n_members > HOST_MEMBERS_MAX) {
        return false;
    }
    for (i = 0; i < config->n_nodes; i++) {
        size_t len = strlen(config->nodes[i]);

        if (len == 0 || len > URL_MAX) return false;
    }
    return config->watch_us > 0 && config->renew_us > 0 &&
           config->lease_us / 2 > config->renew_us && sale_ok(config) &&
           cluster_ok(config);
}

static int take_market(struct host *host)
{
    struct host_market *m = &host->market;
    int rc;

    m->on = !xn_id_is_zero(&host->config.corp);
    m->manager = host->config.xen       ? &host_manager_xen
                 : host->config.sandbox ? &host_manager_sandbox
                                        : &host_manager_reserve;
    if (host->config.image) {
        host->config.image = xn_arena_strdup(&host->arena, host->config.image);
        if (!host->config.image) return XN_ENOMEM;
    }
    rc = host_machines_take(host);
    if (rc) return rc;
    host_take_rates(host, &host->offer);
    if (!m->on) return 0;
    host->config.corp_url =
        xn_arena_strdup(&host->arena, host->config.corp_url);
    return host->config.corp_url ? 0 : XN_ENOMEM;
}

static int take_config(struct host *host, const struct host_config *config)
{
    size_t i;
    int rc;

    host->config = *config;
    for (i = 0; i < config->n_nodes; i++) {
        host->config.nodes[i] = xn_arena_strdup(&host->arena, config->nodes[i]);
        if (!host->config.nodes[i]) return XN_ENOMEM;
    }
    rc = offer_copy(config->offer, &host->arena, &host->offer);
    host->config.offer = &host->offer;
    for (i = 0; i < config->n_members && !rc; i++) {
        struct host_member *member = &host->config.members[i];

        member->url = xn_arena_strdup(&host->arena, member->url);
        if (!member->url) rc = XN_ENOMEM;
    }
    if (!rc) rc = take_market(host);
    if (!rc) rc = host_bind_offer(host, &host->offer, &host->arena);
    if (rc) return rc;
    /* What the document says decides where it goes. */
    return offer_tokens(&host->offer, &host->arena, &host->tokens,
                        &host->n_tokens);
}

int host_new(const struct host_config *config, uint64_t seed,
             struct xn_core **core_out)
{
    struct host *host = NULL;
    int rc;

    if (!config_ok(config)) return XN_EINVAL;
    host = calloc(1, sizeof *host);
    if (!host) return XN_ENOMEM;
    host->core.ops = &host_ops;
    xn_out_init(&host->out);
    xn_arena_init(&host->arena, ARENA_MAX);
    xn_rng_seed(&host->rng, seed);
    rc = xn_tickets_new(&host->tickets);
    if (rc) goto out;
    rc = take_config(host, config);
    if (rc) goto out;
    *core_out = &host->core;
    host = NULL;
out:
    if (host) host_free(&host->core);
    return rc;
}
