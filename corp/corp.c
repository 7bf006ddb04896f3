/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp core: what it answers to, and its start. */
#include "corp/corp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/core.h"
#include "corp/money.h"
#include "corp/revoke.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define LOAD_US (30 * SECOND_US)
#define LOAD_PAGE 1000
#define LOAD_PAUSE_MAX (30 * SECOND_US)
#define FLUSH_US (10 * SECOND_US)
#define TXN_US (30 * SECOND_US)
#define REFUSALS_BURST 256 /* claims of one server, refused and on record */
#define REFUSALS_STEP_US (10 * SECOND_US)
#define ANNOUNCE_MAX 1024
#define HELD_BODY_MAX 8192 /* what is longer is refused at once, not kept */
#define CERTIFICATE_MAX 8192

/* ---- nodes: sample and announce ---- */

/* `list`: of revoked keys, or none. */
static void answer_sample(struct corp *corp, const struct xn_now *now,
                          uint64_t ask, const xn_id *but,
                          ProtobufCBinaryData list)
{
    Xn__Contact contacts[CORP_SAMPLE_MAX];
    Xn__Contact *rows[CORP_SAMPLE_MAX];
    Xn__Sample sample = XN__SAMPLE__INIT;
    size_t i;

    sample.n_nodes = corp_nodes_sample(corp->nodes, now, &corp->rng, but,
                                       corp->config.sample_max, contacts);
    for (i = 0; i < sample.n_nodes; i++)
        rows[i] = &contacts[i];
    sample.nodes = rows;
    sample.revoked = list;
    xn_out_answer(&corp->out, ask, 200, &sample);
}

static void on_sample(struct corp *corp, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question)
{
    const ProtobufCBinaryData none = {0, NULL};
    xn_id id;

    if (question->caller && !xn_id_from_bytes(&question->caller->id, &id)) {
        answer_sample(corp, now, ask, &id, none);
    } else {
        answer_sample(corp, now, ask, NULL, none);
    }
}

static void flush_soon(struct corp *corp, const struct xn_now *now);

static void on_flushed(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;

    corp->flushing = false;
    if (rc) {
        xn_out_log(out, XN_LOG_WARN, "cannot store the live nodes: %s",
                   xn_strerror(rc));
    }
    corp_nodes_written(corp->nodes, rc);
    flush_soon(corp, now);
}

static void on_flush_time(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    uint64_t ticket;

    corp->flushing = false;
    if (!corp_nodes_dirty(corp->nodes, now)) return;
    ticket = xn_ticket(corp->tickets, now->mono_us + TXN_US, on_flushed, corp,
                       NULL, out);
    if (!ticket) return;
    if (corp_nodes_write(corp->nodes, now, ticket, out))
        corp->flushing = true;
    else
        xn_ticket_forget(corp->tickets, ticket);
}

/* The daemon is told to stop: what a restart would miss is written now. */
static void on_news(struct corp *corp, const struct xn_now *now,
                    const struct xn_event *ev)
{
    if (!ev->msg || ev->msg->kind != XN__KIND__NEWS) return;
    if (strcmp(XN_BODY(ev->msg, Xn__News)->kind, "stop") != 0) return;
    if (corp_nodes_write(corp->nodes, now, 0, &corp->out)) {
        corp_nodes_written(corp->nodes, 0);
    }
}

/* Everything that changes within 10 s goes into one TXN. */
static void flush_soon(struct corp *corp, const struct xn_now *now)
{
    if (corp->flushing || !corp_nodes_dirty(corp->nodes, now)) return;
    corp->flushing = xn_ticket(corp->tickets, now->mono_us + FLUSH_US,
                               on_flush_time, corp, NULL, &corp->out) != 0;
}

/* Does the contact name its sender?  What the certificate says counts. */
static int check_contact(const Xn__Caller *caller, const Xn__Contact *contact,
                         xn_id *id, xn_id *position, const char **because)
{
    xn_id claimed;

    *because = "only a node that an accepted XenoCorp certified announces "
               "itself";
    if (!caller || caller->role != XN__ROLE__NODE) return XN_EPERM;
    if (xn_id_from_bytes(&caller->id, id) ||
        xn_id_from_bytes(&caller->position, position)) {
        return XN_EPERM;
    }
    *because = "the contact names another node than the certificate";
    if (!contact || xn_id_from_bytes(&contact->id, &claimed) ||
        !xn_id_eq(&claimed, id)) {
        return XN_EIDENT;
    }
    if (xn_id_from_bytes(&contact->position, &claimed) ||
        !xn_id_eq(&claimed, position)) {
        return XN_EIDENT;
    }
    *because = "an address is host:port, at most 80 bytes, IPv6 in brackets";
    return corp_address_ok(contact->address) ? 0 : XN_EINVAL;
}

static void on_announce(struct corp *corp, const struct xn_now *now,
                        uint64_t ask, const Xn__Ask *question)
{
    const char *because = "the body is not an Announce message";
    const char *try = "an Announce as doc/PROTOCOL.md has it";
    Xn__Announce *announce = NULL;
    uint64_t held = 0;
    xn_id id, position;
    int rc = XN_EPROTO;

    if (question->body.len <= ANNOUNCE_MAX) {
        announce = xn_unpack(&xn__announce__descriptor, question->body.data,
                             question->body.len);
    }
    if (announce) {
        rc = check_contact(question->caller, announce->contact, &id, &position,
                           &because);
        try = "the node's own certificate and contact";
    }
    if (!rc && corp_revoked_us(corp, &id)) {
        because = "its key was revoked";
        try = "ask the XenoCorp why; a new key is another node";
        rc = XN_EREVOKED;
    }
    if (!rc) {
        held = announce->revoked;
        because = "no more nodes can be remembered now";
        try = "again later: nodes that fall silent are forgotten";
        rc = corp_nodes_seen(corp->nodes, now, &id, &position,
                             announce->contact->address);
    }
    if (announce) xn__announce__free_unpacked(announce, NULL);
    if (rc) {
        xn_out_refuse(&corp->out, ask, rc, "cannot announce", because, try);
        return;
    }
    flush_soon(corp, now);
    answer_sample(corp, now, ask, &id, corp_revoked_list(corp, held));
}

static void on_certificate(struct corp *corp, const struct xn_now *now,
                           uint64_t ask, const Xn__Ask *question)
{
    Xn__Answer answer = XN__ANSWER__INIT;

    answer.status = 200;
    answer.content_type = (char *)(uintptr_t) "application/pkix-cert";
    answer.body.data = (uint8_t *)(uintptr_t)corp->config.certificate;
    answer.body.len = corp->config.certificate_len;
    xn_out_emit(&corp->out, XN_ACT_ANSWER, ask, XN_PEER_NONE, XN__KIND__ANSWER,
                &answer);
}

/* ---- questions ---- */

struct route {
    const char *method;
    const char *path;
    bool stored; /* needs what the store knows: waits until it is loaded */
    void (*handle)(struct corp *corp, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
};

static const struct route routes[] = {
    {"GET", "/v1/accounts", false, corp_account},
    {"POST", "/v1/accounts", false, corp_pay_in},
    {"GET", "/v1/payins", false, corp_pay_ins},
    {"POST", "/v1/payouts", false, corp_pay_out},
    {"POST", "/v1/credits", false, corp_credit},
    {"POST", "/v1/announce", true, on_announce},
    {"GET", "/v1/bill", false, corp_make_bill},
    {"GET", "/v1/certificate", false, on_certificate},
    {"POST", "/v1/charge", false, corp_charge},
    {"GET", "/v1/members", false, corp_members},
    {"GET", "/v1/orders", false, corp_list},
    {"POST", "/v1/orders", true, corp_issue},
    {"GET", "/v1/refused", false, corp_refused},
    {"POST", "/v1/register", true, corp_register},
    {"POST", "/v1/revoke", true, corp_revoke},
    {"GET", "/v1/revoked", true, corp_revoked},
    {"GET", "/v1/sample", true, on_sample},
    {"POST", "/v1/stop", false, corp_stop},
    {"POST", "/v1/takebacks", false, corp_take_back},
    {"POST", "/v1/validate", true, corp_validate},
    {"POST", "/v1/void", false, corp_void},
};

static const struct route *find_route(const Xn__Ask *question)
{
    size_t i;

    for (i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, question->path) == 0 &&
            strcmp(routes[i].method, question->method) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* Keep the question until the store has been read. */
static void hold(struct corp *corp, uint64_t ask, struct xn_msg *msg)
{
    if (corp->n_held == CORP_HELD_MAX) {
        xn_out_refuse(&corp->out, ask, XN_EBUSY, "cannot answer yet",
                      "this XenoCorp is starting", "again in a second");
        return;
    }
    corp->held[corp->n_held++] = (struct corp_held){ask, xn_msg_ref(msg)};
}

static void on_ask(struct corp *corp, const struct xn_now *now,
                   const struct xn_event *ev)
{
    const Xn__Ask *question = XN_BODY(ev->msg, Xn__Ask);
    const struct route *route = find_route(question);

    if (!route) {
        xn_out_refuse(
            &corp->out, ev->ticket, XN_ENOENT, "cannot answer",
            "a XenoCorp has no such path for this method",
            "GET /v1/certificate, /v1/sample, /v1/revoked, /v1/accounts, "
            "/v1/orders or /v1/bill, POST /v1/register, /v1/announce, "
            "/v1/orders, /v1/void, /v1/validate, /v1/charge or "
            "/v1/stop");
    } else if (route->stored && !corp->loaded &&
               question->body.len <= HELD_BODY_MAX) {
        hold(corp, ev->ticket, ev->msg);
    } else {
        route->handle(corp, now, ev->ticket, question);
    }
}

static void on_cancel(struct corp *corp, uint64_t ask)
{
    size_t i;

    corp_register_cancel(corp, ask);
    job_cancel(corp, ask);
    for (i = 0; i < corp->n_held; i++) {
        if (corp->held[i].ask != ask) continue;
        xn_msg_free(corp->held[i].msg);
        corp->n_held--;
        memmove(&corp->held[i], &corp->held[i + 1],
                (corp->n_held - i) * sizeof corp->held[0]);
        return;
    }
}

/* ---- the start: live nodes are read, page by page ---- */

static void load(struct corp *corp, const struct xn_now *now);

static void release_held(struct corp *corp, const struct xn_now *now, int rc)
{
    size_t i;

    for (i = 0; i < corp->n_held; i++) {
        struct corp_held *held = &corp->held[i];
        const Xn__Ask *question = XN_BODY(held->msg, Xn__Ask);

        if (rc) {
            xn_out_refuse(&corp->out, held->ask, rc, "cannot answer yet",
                          "the store cannot be read", "again in a minute");
        } else {
            find_route(question)->handle(corp, now, held->ask, question);
        }
        xn_msg_free(held->msg);
    }
    corp->n_held = 0;
}

static void on_load_again(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;

    corp->loading = 0;
    load(corp, now);
}

static void load_failed(struct corp *corp, const struct xn_now *now, int rc)
{
    uint64_t pause = SECOND_US
                     << (corp->load_failures < 5 ? corp->load_failures : 5);

    xn_out_log(&corp->out, XN_LOG_ERROR, "cannot read the store: %s",
               xn_strerror(rc));
    corp->load_failures++;
    if (pause > LOAD_PAUSE_MAX) pause = LOAD_PAUSE_MAX;
    corp->loading = xn_ticket(corp->tickets, now->mono_us + pause,
                              on_load_again, corp, NULL, &corp->out);
    release_held(corp, now, rc);
}

static void load_page(struct corp *corp, const struct xn_now *now,
                      const Xn__Records *records)
{
    size_t i;
    int rc;

    for (i = 0; i < records->n_records; i++) {
        const Xn__Record *record = records->records[i];

        rc = corp_nodes_restore(corp->nodes, now, record->value.data,
                                record->value.len);
        if (rc == XN_EINVAL) {
            xn_out_log(&corp->out, XN_LOG_WARN, "a stored node is damaged");
        }
        if (rc == XN_ENOMEM) corp->out.rc = rc;
    }
}

/* The next page begins right behind the last key. */
static bool load_goes_on(struct corp *corp, const Xn__Records *records)
{
    const ProtobufCBinaryData *key;

    if (!records->more || records->n_records == 0) return false;
    key = &records->records[records->n_records - 1]->key;
    if (key->len + 1 > sizeof corp->load_from) return false;
    memcpy(corp->load_from, key->data, key->len);
    corp->load_from[key->len] = 0;
    corp->load_from_len = key->len + 1;
    return true;
}

static void on_loaded(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;
    const Xn__Records *records;

    corp->loading = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        load_failed(corp, now, rc);
        return;
    }
    records = XN_BODY(msg, Xn__Records);
    load_page(corp, now, records);
    if (load_goes_on(corp, records)) {
        load(corp, now);
        return;
    }
    xn_out_log(out, XN_LOG_INFO, "%s: %zu nodes remembered", corp->config.name,
               corp_nodes_live(corp->nodes));
    corp->nodes_loaded = true;
    if (corp->revoked)
        corp_revoked_load(corp, now);
    else
        corp_loaded(corp, now, 0);
}

void corp_loaded(struct corp *corp, const struct xn_now *now, int rc)
{
    if (!rc) corp->loaded = true;
    release_held(corp, now, rc);
    flush_soon(corp, now);
}

static void load(struct corp *corp, const struct xn_now *now)
{
    Xn__Read read = XN__READ__INIT;

    corp->loading = xn_ticket(corp->tickets, now->mono_us + LOAD_US, on_loaded,
                              corp, NULL, &corp->out);
    if (!corp->loading) return;
    read.prefix.data = (uint8_t *)(uintptr_t)CORP_NODES_KEY;
    read.prefix.len = strlen(CORP_NODES_KEY);
    read.from.data = corp->load_from;
    read.from.len = corp->load_from_len;
    read.limit = LOAD_PAGE;
    xn_out_emit(&corp->out, XN_ACT_READ, corp->loading, XN_PEER_NONE,
                XN__KIND__READ, &read);
}

/* ---- the core ---- */

static int corp_step(struct xn_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_outbox *out)
{
    struct corp *corp = (struct corp *)core;

    xn_out_reset(&corp->out);
    if (corp->ledger && !corp->ledger_started) {
        corp->ledger_started = true;
        ledger_start(corp->ledger, now, &corp->out);
        corp_release_start(corp, now);
    }
    if (!corp->nodes_loaded && !corp->loading) load(corp, now);
    switch (ev->kind) {
    case XN_EV_ASK:
        if (ev->msg && ev->msg->kind == XN__KIND__ASK) on_ask(corp, now, ev);
        break;
    case XN_EV_CANCEL: on_cancel(corp, ev->ticket); break;
    case XN_EV_DONE:
        xn_ticket_end(corp->tickets, ev->ticket, now, ev->rc, ev->msg,
                      &corp->out);
        break;
    case XN_EV_NEWS: on_news(corp, now, ev); break;
    default: break; /* a corp has no links, streams or back ends */
    }
    xn_tickets_run(corp->tickets, now, &corp->out);
    *out = xn_out_box(&corp->out, xn_tickets_next(corp->tickets));
    return corp->out.rc;
}

static bool corp_check(const struct xn_core *core, char *why_out, size_t len)
{
    const struct corp *corp = (const struct corp *)core;

    if (corp->n_members > CORP_MEMBERS_MAX) {
        snprintf(why_out, len, "too many registrations under way");
        return false;
    }
    if (corp->loaded && corp->n_held) {
        snprintf(why_out, len, "questions held for no reason");
        return false;
    }
    if (corp->n_jobs > JOBS_MAX + JOBS_OWN_MAX) {
        snprintf(why_out, len, "too many questions about money under way");
        return false;
    }
    if (corp->ledger && !ledger_check(corp->ledger, why_out, len)) return false;
    return corp_nodes_check(corp->nodes, why_out, len);
}

static void corp_free(struct xn_core *core)
{
    struct corp *corp = (struct corp *)core;
    size_t i;

    ledger_free(corp->ledger, NULL);
    xn_tickets_free(corp->tickets, NULL);
    job_drop_all(corp);
    while (corp->members)
        corp_member_free(corp, corp->members);
    for (i = 0; i < corp->n_held; i++)
        xn_msg_free(corp->held[i].msg);
    corp_nodes_free(corp->nodes);
    corp_revoked_free(corp->revoked);
    corp_rates_free(corp->orders);
    corp_rates_free(corp->claims);
    corp_rates_free(corp->registers);
    corp_rates_free(corp->places);
    corp_rates_free(corp->refusals);
    xn_out_clear(&corp->out);
    free((char *)(uintptr_t)corp->config.name);
    free((uint8_t *)(uintptr_t)corp->config.certificate);
    free(corp);
}

static const struct xn_core_ops corp_ops = {"corp", corp_step, corp_check,
                                            corp_free};

static bool config_ok(const struct corp_config *config)
{
    return config->name && config->name[0] && config->certificate &&
           config->certificate_len > 0 &&
           config->certificate_len <= CERTIFICATE_MAX &&
           config->certificate_us > 0 && config->alive_us > 0 &&
           config->sample_max > 0 && config->sample_max <= CORP_SAMPLE_MAX &&
           config->nodes_max > 0 && config->prepay && config->payout &&
           config->share_ppm <= 1000000 && config->most >= 0;
}

/* Take copies of what the configuration points to. */
static int copy_config(struct corp *corp, const struct corp_config *config)
{
    uint8_t *certificate = malloc(config->certificate_len);

    corp->config = *config;
    corp->config.name = strdup(config->name);
    corp->config.certificate = certificate;
    if (!corp->config.name || !certificate) return XN_ENOMEM;
    memcpy(certificate, config->certificate, config->certificate_len);
    return 0;
}

static int new_ledger(struct corp *corp)
{
    struct ledger_config config;

    if (xn_id_is_zero(&corp->config.id)) return 0;
    ledger_config_default(&config);
    config.corp = corp->config.id;
    return ledger_new(&config, corp->tickets, &corp->ledger);
}

static int new_rates(struct corp *corp, uint64_t seed)
{
    static const struct xn_rate refusals = {REFUSALS_BURST, REFUSALS_STEP_US};
    uint64_t secret = xn_rng_mix(seed, 0x7261746573); /* "rates" */
    int rc = corp_rates_new(&corp->config.orders, CORP_RATES_MAX, secret,
                            &corp->orders);

    if (!rc)
        rc = corp_rates_new(&corp->config.claims, CORP_RATES_MAX, secret,
                            &corp->claims);
    if (!rc)
        rc = corp_rates_new(&corp->config.registers, CORP_RATES_MAX, secret,
                            &corp->registers);
    if (!rc)
        rc = corp_rates_new(&corp->config.places, CORP_RATES_MAX, secret,
                            &corp->places);
    if (rc) return rc;
    return corp_rates_new(&refusals, CORP_RATES_MAX, secret, &corp->refusals);
}

int corp_new(const struct corp_config *config, uint64_t seed,
             struct xn_core **core_out)
{
    struct corp *corp = NULL;
    int rc;

    if (!config_ok(config)) return XN_EINVAL;
    corp = calloc(1, sizeof *corp);
    if (!corp) return XN_ENOMEM;
    corp->core.ops = &corp_ops;
    xn_out_init(&corp->out);
    xn_rng_seed(&corp->rng, seed);
    rc = copy_config(corp, config);
    if (rc) goto out;
    rc = xn_tickets_new(&corp->tickets);
    if (rc) goto out;
    rc = new_ledger(corp);
    if (rc) goto out;
    rc = new_rates(corp, seed);
    if (rc) goto out;
    if (corp->ledger) rc = corp_revoked_new(&corp->revoked);
    if (rc) goto out;
    rc = corp_nodes_new(config->nodes_max, config->alive_us, &corp->nodes);
    if (rc) goto out;
    *core_out = &corp->core;
    corp = NULL;
out:
    if (corp) corp_free(&corp->core);
    return rc;
}
