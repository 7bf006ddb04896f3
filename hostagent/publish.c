/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what is stored to what is published, step by step:
 *
 *   READ record -> [write document -> SIGN envelope -> TXN record]
 *     -> SIGN lease -> CALL publish -> rest -> SIGN lease -> ...
 *
 * The bracket is gone through only for a new version: the first, another
 * offer, another certificate, a withdrawal.  At most one step is under way; its
 * ticket is host->step.
 *
 * A version is in the record, with all places that may hold it or an older one,
 * before any node hears of it.  So whatever happens to us, the next version is
 * higher and reaches every place where an old one may lie.
 */
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/state.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define SIGN_US (10 * SECOND_US)
#define STORE_US (30 * SECOND_US)
#define PUBLISH_US (10 * SECOND_US)
#define PAUSE_US (SECOND_US / 4) /* after the first failed round */
#define PAUSE_US_MAX (30 * SECOND_US)
#define RECORD_KEY "h"

/* ---- going on, now or after a pause ---- */

static void go_on(struct host *host, const struct xn_now *now);

static void give_up_step(struct host *host)
{
    if (host->step) xn_ticket_forget(host->tickets, host->step);
    host->step = 0;
    host->pausing = false;
}

static void on_pause_over(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    host->pausing = false;
    go_on(host, now);
}

static void pause_for(struct host *host, const struct xn_now *now, uint64_t us)
{
    host->step = xn_ticket(host->tickets, now->mono_us + us, on_pause_over,
                           host, NULL, &host->out);
    host->pausing = true;
}

/* Twice as long each time, at most 30 s, and never in step with others. */
static void pause_longer(struct host *host, const struct xn_now *now)
{
    uint64_t us = PAUSE_US << (host->rounds < 7 ? host->rounds : 7);

    if (us > PAUSE_US_MAX) us = PAUSE_US_MAX;
    host->rounds++;
    host->failures = 0;
    pause_for(host, now, xn_rng_between(&host->rng, us / 2, us));
}

void host_resume(struct host *host, const struct xn_now *now)
{
    give_up_step(host);
    host->rounds = host->failures = 0;
    go_on(host, now);
}

bool host_is_publishing(const struct host *host)
{
    return host->step && !host->pausing;
}

/* ---- the node ---- */

static void next_node(struct host *host, const struct xn_now *now)
{
    host_unwatch(host);
    give_up_step(host);
    host->node = (host->node + 1) % host->config.n_nodes;
    host->failures++;
    if (host->failures < host->config.n_nodes)
        go_on(host, now);
    else
        pause_longer(host, now);
}

void host_node_failed(struct host *host, const struct xn_now *now,
                      const char *why)
{
    xn_out_log(&host->out, XN_LOG_WARN, "%s: %s",
               host->config.nodes[host->node], why);
    next_node(host, now);
}

void host_republish(struct host *host, const struct xn_now *now)
{
    give_up_step(host);
    go_on(host, now);
}

/* ---- publishing ---- */

static void rest(struct host *host, const struct xn_now *now)
{
    uint64_t us = host->config.renew_us;

    host->rounds = host->failures = 0;
    if (host->record->withdrawn) { /* nothing to renew or to watch */
        host_unwatch(host);
        return;
    }
    pause_for(host, now, xn_rng_between(&host->rng, us - us / 4, us));
    host_watch(host, now);
}

static void save(struct host *host, const struct xn_now *now,
                 const Xn__HostRecord *record, xn_ended *fn);

static void on_places_saved(void *owner, void *ctx, const struct xn_now *now,
                            int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    if (rc) { /* more places than needed stay in the record: no harm */
        xn_out_log(out, XN_LOG_WARN, "cannot store where we published: %s",
                   xn_strerror(rc));
    }
    rest(host, now);
    host_order_done(host);
}

/* Everything is where it should be. */
static void placed(struct host *host, const struct xn_now *now,
                   const Xn__Published *published)
{
    Xn__HostRecord *record = host->record;
    bool first = !record->placed;

    xn_out_log(&host->out, first ? XN_LOG_INFO : XN_LOG_DEBUG,
               "%s through %s, version %llu, %u copies at least",
               record->withdrawn ? "withdrawn" : "published",
               host->config.nodes[host->node],
               (unsigned long long)record->version, published->copies_least);
    record->placed = true;
    if (host_drop_places(host, published) || first) {
        save(host, now, record, on_places_saved);
        return;
    }
    rest(host, now);
    host_order_done(host);
}

/* A holder has a higher version than ours: we lost a record, or somebody plays
 * an old one back to us.  Believed only half as far ahead as nodes would accept
 * it: at the very end, a liar would have us refused by every node whose clock is
 * behind ours.  What is further ahead is believed when its time has come. */
static void outrun(struct host *host, const struct xn_now *now,
                   uint64_t version)
{
    if (version > now->wall_us + AD_AHEAD_US_MAX / 2) return;
    if (version > host->heard) host->heard = version;
    if (version > host->floor) host->floor = version;
}

/* 0, or why this answer is no success. */
static const char *judge(struct host *host, const struct xn_now *now,
                         const Xn__Published *published)
{
    const Xn__PutResult *result;
    xn_id server;

    if (published->n_results != 1) return "it answered for other ads";
    if (published->n_tokens > HOST_TOKENS_MAX)
        return "it names too many places";
    result = published->results[0];
    if (xn_id_from_bytes(&result->server, &server) ||
        !xn_id_eq(&server, &host->config.id)) {
        return "it answered for another server";
    }
    if (result->rc == XN_ESTALE) outrun(host, now, result->version);
    if (result->rc) return xn_strerror(result->rc);
    host->published_us = now->wall_us;
    host->copies_least = published->copies_least;
    if (published->copies_least == 0) return "no copy is kept at some place";
    return NULL;
}

static void on_published(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    Xn__Published *published = NULL;
    const Xn__Answer *answer;
    const char *wrong;
    char why[128];

    host->step = 0;
    answer = host_answer(rc, msg, why, sizeof why);
    if (!answer) {
        host_node_failed(host, now, why);
        return;
    }
    published = xn_unpack(&xn__published__descriptor, answer->body.data,
                          answer->body.len);
    wrong = published ? judge(host, now, published) : "its answer is malformed";
    if (wrong)
        host_node_failed(host, now, wrong);
    else
        placed(host, now, published);
    if (published) xn__published__free_unpacked(published, NULL);
}

static void publish(struct host *host, const struct xn_now *now)
{
    Xn__Publish body = XN__PUBLISH__INIT;
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, *ads[1] = {&ad};

    ad.envelope = host->record->envelope;
    ad.lease = XN_BODY(host->lease, Xn__Signed)->data;
    body.n_ads = 1;
    body.ads = ads;
    body.n_old_tokens = host->record->n_tokens;
    body.old_tokens = host->record->tokens;
    host->step = host_call(host, now, "POST", "/v1/publish", &body, PUBLISH_US,
                           on_published);
}

/* ---- signing ---- */

static void sign(struct host *host, const struct xn_now *now, Xn__Form form,
                 const uint8_t *payload, size_t len, xn_ended *fn)
{
    Xn__Sign body = XN__SIGN__INIT;

    body.form = form;
    body.payload.data = (uint8_t *)(uintptr_t)payload;
    body.payload.len = len;
    if (form == XN__FORM__BLOB) body.context = (char *)(uintptr_t)LEASE_CONTEXT;
    host->step = xn_ticket(host->tickets, now->mono_us + SIGN_US, fn, host,
                           NULL, &host->out);
    if (!host->step) return;
    xn_out_emit(&host->out, XN_ACT_SIGN, host->step, XN_PEER_NONE,
                XN__KIND__SIGN, &body);
}

/* Our own failure (key, disk, memory): nothing a node could help with. */
static void own_failure(struct host *host, const struct xn_now *now,
                        const char *what, int rc)
{
    xn_out_log(&host->out, XN_LOG_ERROR, "cannot %s: %s", what,
               xn_strerror(rc));
    xn__host_record__free_unpacked(host->draft, NULL);
    host->draft = NULL;
    host_order_failed(host, rc, xn_strerror(rc), "see the log");
    pause_longer(host, now);
}

static int signed_rc(int rc, const struct xn_msg *msg)
{
    if (rc) return rc;
    return msg && msg->kind == XN__KIND__SIGNED ? 0 : XN_EPROTO;
}

static void on_leased(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    rc = signed_rc(rc, msg);
    if (rc) {
        own_failure(host, now, "sign a lease", rc);
        return;
    }
    xn_msg_free(host->lease);
    host->lease = xn_msg_ref(msg);
    host->leased_us = now->mono_us;
    publish(host, now);
}

static void lease(struct host *host, const struct xn_now *now)
{
    const Xn__HostRecord *record = host->record;
    struct ad_lease terms = {.server = host->config.id,
                             .version = record->version,
                             .issued_us = now->wall_us,
                             .until_us = now->wall_us + host->config.lease_us,
                             .withdrawn = record->withdrawn};
    uint8_t *payload = NULL;
    size_t len = 0;
    int rc;

    if (!record->withdrawn) {
        xn_id_hash(record->document.data, record->document.len,
                   &terms.document);
    }
    rc = ad_lease_encode(&terms, &payload, &len);
    if (rc)
        own_failure(host, now, "write a lease", rc);
    else
        sign(host, now, XN__FORM__BLOB, payload, len, on_leased);
    free(payload);
}

/* ---- the record ---- */

static void save(struct host *host, const struct xn_now *now,
                 const Xn__HostRecord *record, xn_ended *fn)
{
    Xn__Write write = XN__WRITE__INIT, *writes[1] = {&write};
    Xn__Txn txn = XN__TXN__INIT;

    write.key.data = (uint8_t *)(uintptr_t)RECORD_KEY;
    write.key.len = strlen(RECORD_KEY);
    txn.n_writes = 1;
    txn.writes = writes;
    host->step = xn_ticket(host->tickets, now->mono_us + STORE_US, fn, host,
                           NULL, &host->out);
    if (host->step && !xn_pack(record, &write.value.data, &write.value.len)) {
        xn_out_emit(&host->out, XN_ACT_TXN, host->step, XN_PEER_NONE,
                    XN__KIND__TXN, &txn);
    } else {
        host->out.rc = XN_ENOMEM;
    }
    free(write.value.data);
}

static void on_saved(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    /* A full disk has stored nothing: what is published stays good.  After any
     * other failure the store may yet hold the draft. */
    if (rc == 0 || rc == XN_ENOSPC) host->unsure = 0;
    if (rc) {
        own_failure(host, now, "store the new version", rc);
        return;
    }
    xn__host_record__free_unpacked(host->record, NULL);
    host->record = host->draft;
    host->draft = NULL;
    host->damaged = false;
    xn_msg_free(host->lease);
    host->lease = NULL;
    if (host->record->withdrawn && host->record->placed)
        host_order_done(host); /* nobody has to hear of it */
    else
        lease(host, now);
}

/* ---- a new version ---- */

static void save_draft(struct host *host, const struct xn_now *now)
{
    host->unsure = host->draft->version;
    save(host, now, host->draft, on_saved);
}

static void on_enveloped(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    rc = signed_rc(rc, msg);
    if (!rc) {
        const Xn__Signed *body = XN_BODY(msg, Xn__Signed);

        rc = host_set_bytes(&host->draft->envelope, body->data.data,
                            body->data.len);
    }
    if (rc)
        own_failure(host, now, "sign the advertisement", rc);
    else
        save_draft(host, now);
}

static void compose(struct host *host, const struct xn_now *now)
{
    int rc;

    xn__host_record__free_unpacked(host->draft, NULL);
    host->draft = NULL;
    rc = host_make_draft(host, now);
    if (rc) {
        own_failure(host, now, "write the advertisement", rc);
    } else if (host->draft->withdrawn) {
        save_draft(host, now);
    } else {
        sign(host, now, XN__FORM__ENVELOPE, host->draft->document.data,
             host->draft->document.len, on_enveloped);
    }
}

/* ---- what is to be done ---- */

/* A lease just signed is tried at the next node as it is. */
static bool has_fresh_lease(const struct host *host, const struct xn_now *now)
{
    return host->lease &&
           now->mono_us - host->leased_us < host->config.renew_us / 4;
}

static void go_on(struct host *host, const struct xn_now *now)
{
    if (!host->loaded) {
        host_begin(host, now);
    } else if (!host_cluster_met(host)) {
        return; /* what is offered is not known yet: cluster.c */
    } else if (host_needs_version(host)) {
        compose(host, now);
    } else if (host->record->withdrawn && host->record->placed) {
        host_order_done(host);
    } else if (has_fresh_lease(host, now)) {
        publish(host, now);
    } else {
        lease(host, now);
    }
}

/* ---- the start ---- */

static void take_record(struct host *host, const Xn__Records *records)
{
    const ProtobufCBinaryData *value;

    if (records->n_records == 0) return;
    value = &records->records[0]->value;
    host->record = xn__host_record__unpack(NULL, value->len, value->data);
    if (!host->record) {
        /* The clock gives a higher version in all likelihood; a node that
         * knows better says so. */
        host->damaged = true;
        xn_out_log(&host->out, XN_LOG_ERROR,
                   "the record of what we published is damaged");
        return;
    }
    host->floor = host->record->version;
    host->withdraw = host->record->withdrawn;
}

static void on_read(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->step = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        own_failure(host, now, "read what we published", rc);
        return;
    }
    host->loaded = true;
    take_record(host, XN_BODY(msg, Xn__Records));
    go_on(host, now);
}

void host_begin(struct host *host, const struct xn_now *now)
{
    Xn__Read read = XN__READ__INIT;

    read.prefix.data = (uint8_t *)(uintptr_t)RECORD_KEY;
    read.prefix.len = strlen(RECORD_KEY);
    read.limit = 1;
    host->step = xn_ticket(host->tickets, now->mono_us + STORE_US, on_read,
                           host, NULL, &host->out);
    if (!host->step) return;
    xn_out_emit(&host->out, XN_ACT_READ, host->step, XN_PEER_NONE,
                XN__KIND__READ, &read);
}
