/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core, driven by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostagent/host.h"
#include "hostagent/state.h"
#include "lib/err.h"
#include "tests/unit/crank.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/store.pb-c.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define WALL (1795255200ULL * SECOND)

static const char *const three[] = {
    "https://127.0.0.1:1", "https://127.0.0.1:2", "https://127.0.0.1:3"};

struct fix {
    struct crank c;
    xn_id me, certificate;
    xn_id node_id;
    Xn__Caller node;   /* who answers our calls */
    unsigned sealed;   /* envelopes signed */
    bool keep_nothing; /* the node says: no copy */
};

static xn_id id_of(const char *text)
{
    xn_id id;

    xn_id_hash(text, strlen(text), &id);
    return id;
}

static struct advert_offer an_offer(const char *price)
{
    static const char *const corps[] = {"alpha.example"};
    static const struct advert_environment environments[] = {
        {"Linux", "6.1", "pv"}, {"NetBSD", "9.3", "pv"}};
    static const struct advert_extra extras[] = {{"Family", "m5"}};
    struct advert_offer offer;

    memset(&offer, 0, sizeof offer);
    offer.server_name = "otter";
    offer.corps = corps;
    offer.n_corps = 1;
    offer.endpoint = "https://127.0.0.1:9";
    offer.architecture = "x86_64";
    offer.country = "GB";
    offer.city = "London";
    offer.environments = environments;
    offer.n_environments = 2;
    offer.cpu_smps = "8000";
    offer.memory_mb = "6144";
    offer.currency = "GBP";
    offer.price_per_hour = price;
    offer.disk_gb_hour = "0.0001";
    offer.extras = extras;
    offer.n_extras = 1;
    return offer;
}

static struct xn_core *new_host(struct fix *f, const char *price, size_t n)
{
    struct advert_offer offer = an_offer(price);
    struct host_config config;
    struct xn_core *core = NULL;
    size_t i;

    host_config_default(&config);
    config.id = f->me;
    config.certificate = f->certificate;
    config.offer = &offer;
    config.n_nodes = n;
    for (i = 0; i < n; i++)
        config.nodes[i] = three[i];
    assert_int_equal(host_new(&config, 7, &core), 0);
    return core;
}

/* ---- the driver's and the node's part ---- */

static void serve_sign(struct fix *f, Xn__Form form)
{
    struct xn_action act = crank_take(&f->c, XN_ACT_SIGN);
    const Xn__Sign *sign = XN_BODY(act.msg, Xn__Sign);
    Xn__Signed body = XN__SIGNED__INIT;

    assert_int_equal(sign->form, form);
    f->sealed += form == XN__FORM__ENVELOPE;
    if (form == XN__FORM__BLOB) {
        assert_string_equal(sign->context, LEASE_CONTEXT);
    }
    body.data = sign->payload; /* a signature that adds nothing */
    crank_done(&f->c, &act, 0, XN__KIND__SIGNED, &body);
}

static struct xn_action take_call(struct fix *f, const char *method,
                                  const char *url)
{
    struct xn_action act = crank_take(&f->c, XN_ACT_CALL);
    const Xn__Call *call = XN_BODY(act.msg, Xn__Call);

    assert_string_equal(call->method, method);
    assert_string_equal(call->url, url);
    assert_true(call->patience_ms > 0);
    return act;
}

struct said { /* what a Publish held */
    struct ad_lease lease;
    uint64_t version; /* in the document; 0: none */
    size_t n_old;
    bool old_has_family, old_has_price;
};

static void read_publish(struct fix *f, const struct xn_action *act,
                         struct said *said)
{
    const Xn__Call *call = XN_BODY(act->msg, Xn__Call);
    Xn__Publish *publish =
        xn__publish__unpack(NULL, call->body.len, call->body.data);
    const ProtobufCBinaryData *xml, *lease;
    struct advert *advert = NULL;
    xn_id hash;
    size_t i;

    memset(said, 0, sizeof *said);
    assert_non_null(publish);
    assert_int_equal(publish->n_ads, 1);
    lease = &publish->ads[0]->lease;
    xml = &publish->ads[0]->envelope;
    assert_int_equal(
        ad_lease_decode(lease->data, lease->len, &f->me, &said->lease), 0);
    assert_int_equal(
        ad_lease_check(&said->lease, f->c.now.wall_us, AD_LEASE_US_MAX), 0);
    if (said->lease.withdrawn) {
        assert_int_equal(xml->len, 0);
    } else {
        assert_int_equal(advert_parse(xml->data, xml->len, &advert, NULL, 0),
                         0);
        said->version = advert->version;
        assert_true(said->version == said->lease.version);
        xn_id_hash(xml->data, xml->len, &hash);
        assert_true(xn_id_eq(&hash, &said->lease.document));
        advert_free(advert);
    }
    said->n_old = publish->n_old_tokens;
    for (i = 0; i < publish->n_old_tokens; i++) {
        said->old_has_family |= !strcmp(publish->old_tokens[i], "Family");
        said->old_has_price |= !strcmp(publish->old_tokens[i], "PricePerHour");
    }
    xn__publish__free_unpacked(publish, NULL);
}

static void answer_publish(struct fix *f, struct xn_action *act, int rc,
                           uint64_t version, uint32_t copies)
{
    char *tokens[] = {(char *)(uintptr_t) "ServerName",
                      (char *)(uintptr_t) "Nonsense"};
    Xn__Published published = XN__PUBLISHED__INIT;
    Xn__PutResult result = XN__PUT_RESULT__INIT, *results[1] = {&result};

    result.server = xn_id_bytes(&f->me);
    result.rc = rc;
    result.version = version;
    published.n_results = 1;
    published.results = results;
    published.n_tokens = 2;
    published.tokens = tokens;
    published.copies_least = copies;
    crank_called(&f->c, act, 200, &published, &f->node);
}

static void answer_status(struct fix *f, struct xn_action *act, uint64_t up_s)
{
    Xn__NodeStatus status = XN__NODE_STATUS__INIT;

    status.uptime_s = up_s;
    crank_called(&f->c, act, 200, &status, &f->node);
}

static void serve_publish(struct fix *f, const char *url, struct said *said)
{
    struct xn_action act = take_call(f, "POST", url);

    read_publish(f, &act, said);
    answer_publish(f, &act, 0, said->lease.version, 3);
}

/* From the start to the first rest. */
static void bring_up(struct fix *f, struct said *said)
{
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", said);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_pending, 0);
}

static void restart(struct fix *f, const char *price)
{
    struct xn_now now = f->c.now;

    crank_stop(&f->c);
    crank_init(&f->c, new_host(f, price, 3), 77, now.wall_us);
}

static int set_up(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    f->me = id_of("me");
    f->certificate = id_of("certificate");
    f->node_id = id_of("node");
    xn__caller__init(&f->node);
    f->node.id = xn_id_bytes(&f->node_id);
    f->node.role = XN__ROLE__NODE;
    crank_init(&f->c, new_host(f, "0.0121", 3), 1000, WALL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fix *f = *state;

    crank_clear(&f->c);
    free(f);
    return 0;
}

static Xn__HostRecord *stored(const struct fix *f)
{
    Xn__HostRecord *record;

    assert_int_equal(f->c.n_records, 1);
    record = xn__host_record__unpack(NULL, f->c.records[0].value_len,
                                     f->c.records[0].value);
    assert_non_null(record);
    return record;
}

static bool record_has(const Xn__HostRecord *record, const char *token)
{
    size_t i;

    for (i = 0; i < record->n_tokens; i++) {
        if (!strcmp(record->tokens[i], token)) return true;
    }
    return false;
}

/* ---- tests ---- */

static void version_is_durable_before_it_is_said(void **state)
{
    struct fix *f = *state;
    Xn__HostRecord *record;
    struct said said;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
    assert_int_equal(crank_count(&f->c, XN_ACT_SIGN), 0);
    crank_serve_txn(&f->c);
    record = stored(f);
    assert_true(record->version == WALL);
    assert_true(record_has(record, "PricePerHour"));
    assert_true(record_has(record, "Family"));
    assert_false(record->placed);
    xn__host_record__free_unpacked(record, NULL);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.version == WALL);
    assert_true(said.lease.until_us == WALL + 15 * MINUTE);
    crank_serve_txn(&f->c);
    record = stored(f);
    assert_true(record->placed);
    /* A node's list of places takes nothing away from ours, adds nothing. */
    assert_true(record_has(record, "Family"));
    assert_false(record_has(record, "Nonsense"));
    xn__host_record__free_unpacked(record, NULL);
}

/* Whoever is called: watch calls are answered, the publication comes back. */
static struct xn_action next_publish(struct fix *f, uint64_t us_max)
{
    uint64_t until = f->c.now.mono_us + us_max;

    while (f->c.now.mono_us < until) {
        struct xn_action act;

        if (crank_count(&f->c, XN_ACT_SIGN)) serve_sign(f, XN__FORM__BLOB);
        if (!crank_count(&f->c, XN_ACT_CALL)) {
            crank_pass(&f->c, SECOND / 10);
            continue;
        }
        act = crank_take(&f->c, XN_ACT_CALL);
        if (strstr(XN_BODY(act.msg, Xn__Call)->url, "publish")) return act;
        answer_status(f, &act, f->c.now.mono_us / SECOND);
    }
    fail_msg("nothing published in %llu us", (unsigned long long)us_max);
    return (struct xn_action){0};
}

static void renews_the_lease(void **state)
{
    struct fix *f = *state;
    struct said first, again;
    struct xn_action act;
    int i;

    bring_up(f, &first);
    for (i = 0; i < 5; i++) {
        uint64_t from = f->c.now.mono_us;

        act = next_publish(f, 5 * MINUTE + SECOND);
        assert_true(f->c.now.mono_us - from >= 225 * SECOND);
        read_publish(f, &act, &again);
        assert_true(again.version == first.version);
        assert_true(again.lease.issued_us > first.lease.issued_us);
        answer_publish(f, &act, 0, again.version, 3);
        assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 0);
    }
    assert_int_equal(f->sealed, 1);
}

static void fails_over_at_once(void **state)
{
    struct fix *f = *state;
    struct said said;
    struct xn_action act;

    bring_up(f, &said);
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:1/v1/status");
    crank_done(&f->c, &act, XN_EUNREACH, 0, NULL);
    serve_publish(f, "https://127.0.0.1:2/v1/publish", &said);
    /* And watches that one. */
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:2/v1/status");
    answer_status(f, &act, 9);
    assert_int_equal(f->c.n_pending, 0);
}

static void tries_each_node_then_waits_longer(void **state)
{
    struct fix *f = *state;
    uint64_t longest = 0, last;
    unsigned calls = 0, i;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    last = f->c.now.mono_us;
    for (i = 0; i < 60; i++) {
        struct xn_action act = next_publish(f, 40 * SECOND);
        char url[64];

        snprintf(url, sizeof url, "%s/v1/publish", three[i % 3]);
        assert_string_equal(XN_BODY(act.msg, Xn__Call)->url, url);
        if (i % 3) assert_true(f->c.now.mono_us == last);
        if (f->c.now.mono_us - last > longest) {
            longest = f->c.now.mono_us - last;
        }
        last = f->c.now.mono_us;
        calls++;
        crank_done(&f->c, &act, i % 2 ? XN_EUNREACH : XN_ETIMEOUT, 0, NULL);
    }
    assert_int_equal(calls, 60);
    assert_true(longest >= 15 * SECOND && longest <= 31 * SECOND);
}

static void lost_results_end(void **state)
{
    struct fix *f = *state;
    struct xn_action act;
    struct said said;

    crank_wake(&f->c);
    act = crank_take(&f->c, XN_ACT_READ);
    xn_msg_free(act.msg);
    crank_pass(&f->c, 31 * SECOND);
    crank_serve_read(&f->c);
    act = crank_take(&f->c, XN_ACT_SIGN);
    xn_msg_free(act.msg);
    crank_pass(&f->c, 12 * SECOND);
    serve_sign(f, XN__FORM__ENVELOPE);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_pass(&f->c, 33 * SECOND);
    serve_sign(f, XN__FORM__ENVELOPE);   /* a version above the uncertain one */
    crank_done(&f->c, &act, 0, 0, NULL); /* late: nobody cares */
    assert_int_equal(crank_count(&f->c, XN_ACT_SIGN), 0);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    xn_msg_free(act.msg);
    crank_pass(&f->c, 12 * SECOND);
    serve_publish(f, "https://127.0.0.1:2/v1/publish", &said);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_pending, 0);
}

static void full_disk_says_nothing(void **state)
{
    struct fix *f = *state;
    struct xn_action act;
    struct said said;
    uint64_t first;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_done(&f->c, &act, XN_ENOSPC, 0, NULL);
    assert_non_null(strstr(f->c.log, "no space"));
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
    first = f->c.now.wall_us;
    crank_pass(&f->c, SECOND);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.version > first);
}

static void refusals_fail_over(void **state)
{
    struct fix *f = *state;
    Xn__Refusal refusal = XN__REFUSAL__INIT;
    struct xn_action act;
    struct said said;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    refusal.rc = XN_EBUSY;
    refusal.because = (char *)(uintptr_t) "too many at once";
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    crank_called(&f->c, &act, 429, &refusal, &f->node);
    assert_non_null(strstr(f->c.log, "too many at once"));
    /* Whoever is no node is not believed. */
    act = take_call(f, "POST", "https://127.0.0.1:2/v1/publish");
    f->node.role = XN__ROLE__SERVER;
    answer_publish(f, &act, 0, 0, 3);
    f->node.role = XN__ROLE__NODE;
    assert_non_null(strstr(f->c.log, "not a certified node"));
    /* Nor success without a copy. */
    act = take_call(f, "POST", "https://127.0.0.1:3/v1/publish");
    answer_publish(f, &act, 0, 0, 0);
    assert_non_null(strstr(f->c.log, "no copy"));
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
    crank_pass(&f->c, SECOND);
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    read_publish(f, &act, &said);
    assert_true(said.version == WALL);
    answer_publish(f, &act, 0, 0, 1);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_pending, 0);
}

static void restarted_node_is_told_again(void **state)
{
    struct fix *f = *state;
    struct said said;
    struct xn_action act;

    bring_up(f, &said);
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:1/v1/status");
    answer_status(f, &act, 100);
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:1/v1/status");
    answer_status(f, &act, 105);
    assert_int_equal(f->c.n_pending, 0);
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:1/v1/status");
    answer_status(f, &act, 2);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    /* Another node at the same address. */
    crank_pass(&f->c, 5 * SECOND);
    act = take_call(f, "GET", "https://127.0.0.1:1/v1/status");
    f->node_id = id_of("another");
    answer_status(f, &act, 500);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
}

static void same_offer_keeps_its_version(void **state)
{
    struct fix *f = *state;
    struct said first, again;

    bring_up(f, &first);
    crank_pass(&f->c, SECOND);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__BLOB); /* no new envelope */
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &again);
    assert_true(again.version == first.version);
}

static void changed_offer_goes_to_old_places_too(void **state)
{
    struct fix *f = *state;
    struct said first, again;

    bring_up(f, &first);
    /* The record of a run whose places were others. */
    {
        Xn__HostRecord *record = stored(f);
        struct crank_record *r = &f->c.records[0];

        free(record->tokens[0]);
        record->tokens[0] = strdup("Abandoned");
        free(r->value);
        r->value_len = xn__host_record__get_packed_size(record);
        r->value = malloc(r->value_len);
        xn__host_record__pack(record, r->value);
        xn__host_record__free_unpacked(record, NULL);
    }
    restart(f, "0.02");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    {
        Xn__HostRecord *record = stored(f);

        assert_true(record_has(record, "Abandoned"));
        xn__host_record__free_unpacked(record, NULL);
    }
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &again);
    assert_true(again.version > first.version);
    assert_true(again.old_has_price);
    assert_int_equal(again.n_old, first.n_old + 1);
    crank_serve_txn(&f->c);
    {
        Xn__HostRecord *record = stored(f);

        assert_false(record_has(record, "Abandoned"));
        assert_true(record_has(record, "PricePerHour"));
        xn__host_record__free_unpacked(record, NULL);
    }
}

static void clock_that_steps_back_is_outdone(void **state)
{
    struct fix *f = *state;
    struct said first;
    struct xn_action act;

    bring_up(f, &first);
    f->c.now.wall_us -= 60 * SECOND;
    restart(f, "0.02");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    act = crank_take(&f->c, XN_ACT_CALL);
    read_publish(f, &act, &first);
    assert_true(first.version == WALL + 1);
    answer_publish(f, &act, 0, 0, 3);
}

static void new_certificate_asks_for_a_new_envelope(void **state)
{
    struct fix *f = *state;
    struct said said;

    bring_up(f, &said);
    f->certificate = id_of("renewed");
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    assert_int_equal(f->sealed, 2);
}

static void lost_record_is_outdone(void **state)
{
    struct fix *f = *state;
    struct xn_action act;
    struct said said;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    /* A liar's version of next year changes nothing. */
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    answer_publish(f, &act, XN_ESTALE, WALL + 365ULL * 86400 * SECOND, 0);
    act = take_call(f, "POST", "https://127.0.0.1:2/v1/publish");
    read_publish(f, &act, &said);
    assert_true(said.version == WALL);
    answer_publish(f, &act, XN_ESTALE, WALL + 2 * MINUTE, 0);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:3/v1/publish", &said);
    assert_true(said.version == WALL + 2 * MINUTE + 1);
}

/* The last version that nodes would accept leaves no room for clocks that are
 * behind: it is outdone when its time has come nearer. */
static void version_far_ahead_is_not_chased(void **state)
{
    struct fix *f = *state;
    struct xn_action act;
    struct said said;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    answer_publish(f, &act, XN_ESTALE, WALL + 5 * MINUTE, 0);
    act = take_call(f, "POST", "https://127.0.0.1:2/v1/publish");
    read_publish(f, &act, &said);
    assert_true(said.version == WALL);
    answer_publish(f, &act, 0, WALL, 3);
}

static void too_many_places_are_no_answer(void **state)
{
    struct fix *f = *state;
    char *tokens[HOST_TOKENS_MAX + 1];
    Xn__Published published = XN__PUBLISHED__INIT;
    Xn__PutResult result = XN__PUT_RESULT__INIT, *results[1] = {&result};
    struct xn_action act;
    size_t i;

    for (i = 0; i <= HOST_TOKENS_MAX; i++)
        tokens[i] = (char *)(uintptr_t) "Token";
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    act = take_call(f, "POST", "https://127.0.0.1:1/v1/publish");
    result.server = xn_id_bytes(&f->me);
    published.n_results = 1;
    published.results = results;
    published.copies_least = 3;
    published.tokens = tokens;
    published.n_tokens = HOST_TOKENS_MAX + 1;
    crank_called(&f->c, &act, 200, &published, &f->node);
    act = take_call(f, "POST", "https://127.0.0.1:2/v1/publish");
    published.n_tokens = HOST_TOKENS_MAX;
    crank_called(&f->c, &act, 200, &published, &f->node);
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
}

static void damaged_record_is_told(void **state)
{
    struct fix *f = *state;
    struct said said;

    bring_up(f, &said);
    f->c.records[0].value[0] = 0xff;
    crank_pass(&f->c, SECOND);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    assert_non_null(strstr(f->c.log, "damaged"));
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.version > WALL);
}

/* ---- questions and orders ---- */

static void read_status(struct fix *f, uint64_t ask, Xn__HostStatus **out)
{
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(&f->c, ask, &msg);

    assert_int_equal(answer->status, 200);
    *out = xn__host_status__unpack(NULL, answer->body.len, answer->body.data);
    assert_non_null(*out);
    xn_msg_free(msg);
}

static void tells_its_status(void **state)
{
    struct fix *f = *state;
    Xn__HostStatus *status = NULL;
    struct ad_lease lease;
    struct said said;

    crank_wake(&f->c);
    assert_int_equal(
        crank_refused(&f->c, crank_ask(&f->c, "GET", "/v1/status", NULL, NULL)),
        XN_ENOTYET);
    assert_int_equal(
        crank_refused(&f->c, crank_ask(&f->c, "GET", "/v1/x", NULL, NULL)),
        XN_ENOENT);
    bring_up(f, &said);
    read_status(f, crank_ask(&f->c, "GET", "/v1/status", NULL, NULL), &status);
    assert_int_equal(
        ad_lease_decode(status->lease.data, status->lease.len, &f->me, &lease),
        0);
    assert_true(lease.version == said.version);
    assert_true(status->envelope.len > 0);
    assert_true(status->published_us == WALL);
    assert_int_equal(status->copies_least, 3);
    assert_string_equal(status->node, three[0]);
    xn__host_status__free_unpacked(status, NULL);
}

static void withdraws_for_its_operator_alone(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__HostStatus *status = NULL;
    struct said first, gone, back;
    uint64_t ask;

    bring_up(f, &first);
    caller.role = XN__ROLE__NODE;
    caller.id = xn_id_bytes(&f->node_id);
    assert_int_equal(
        crank_refused(&f->c,
                      crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller)),
        XN_EPERM);
    assert_int_equal(
        crank_refused(&f->c,
                      crank_ask(&f->c, "POST", "/v1/withdraw", NULL, NULL)),
        XN_EPERM);
    caller.id = xn_id_bytes(&f->me);
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    assert_int_equal(crank_refused(&f->c, crank_ask(&f->c, "POST", "/v1/offer",
                                                    NULL, &caller)),
                     XN_EBUSY);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &gone);
    assert_true(gone.lease.withdrawn);
    assert_true(gone.lease.version > first.version);
    assert_true(gone.old_has_price && gone.old_has_family);
    crank_serve_txn(&f->c);
    read_status(f, ask, &status);
    assert_int_equal(status->envelope.len, 0);
    xn__host_status__free_unpacked(status, NULL);
    /* Idle, also after a restart. */
    crank_pass(&f->c, 60 * MINUTE);
    assert_int_equal(f->c.n_pending, 0);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    crank_pass(&f->c, 60 * MINUTE);
    assert_int_equal(f->c.n_pending, 0);
    /* Until it is told to offer again. */
    ask = crank_ask(&f->c, "POST", "/v1/offer", NULL, &caller);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &back);
    crank_serve_txn(&f->c);
    assert_true(back.version > gone.lease.version);
    read_status(f, ask, &status);
    assert_true(status->envelope.len > 0);
    xn__host_status__free_unpacked(status, NULL);
}

static void withdrawal_survives_a_crash(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    struct said said;

    bring_up(f, &said);
    caller.id = xn_id_bytes(&f->me);
    crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    crank_serve_txn(&f->c);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.lease.withdrawn);
}

/* The order comes before anything was said: a restart must know of it. */
static void early_withdrawal_is_durable(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__HostStatus *status = NULL;
    uint64_t ask;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    caller.id = xn_id_bytes(&f->me);
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    crank_serve_txn(&f->c);
    read_status(f, ask, &status);
    xn__host_status__free_unpacked(status, NULL);
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    crank_pass(&f->c, MINUTE);
    assert_int_equal(f->c.n_pending, 0);
    assert_int_equal(
        crank_refused(&f->c, crank_ask(&f->c, "GET", "/v1/status", NULL, NULL)),
        XN_ENOENT);
}

/* Something was said, but where is not known: ours of today are told. */
static void damaged_record_can_be_withdrawn(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    struct said said;

    bring_up(f, &said);
    f->c.records[0].value[0] = 0xff;
    crank_pass(&f->c, SECOND);
    restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    caller.id = xn_id_bytes(&f->me);
    crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    serve_sign(f, XN__FORM__ENVELOPE); /* late: what it was for is given up */
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.lease.withdrawn);
    assert_true(said.lease.version > WALL);
    assert_true(said.old_has_price && said.old_has_family);
}

static void orders_end(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    struct xn_action act;
    struct said said;
    uint64_t ask;

    bring_up(f, &said);
    caller.id = xn_id_bytes(&f->me);
    /* The disk is full: nothing is withdrawn. */
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_done(&f->c, &act, XN_ENOSPC, 0, NULL);
    assert_int_equal(crank_refused(&f->c, ask), XN_ENOSPC);
    /* What is published needs no disk to live on. */
    crank_pass(&f->c, SECOND);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_false(said.lease.withdrawn);
    assert_true(said.version == WALL);
    /* Whether that one was stored nobody knows: outdone. */
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_done(&f->c, &act, XN_EIO, 0, NULL);
    assert_int_equal(crank_refused(&f->c, ask), XN_EIO);
    crank_pass(&f->c, SECOND);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_false(said.lease.withdrawn);
    assert_true(said.version > WALL);
    crank_serve_txn(&f->c);
    /* No node confirms: told after a while, tried on. */
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    while (crank_count(&f->c, XN_ACT_ANSWER) == 0) {
        crank_pass(&f->c, SECOND);
        if (crank_count(&f->c, XN_ACT_SIGN)) serve_sign(f, XN__FORM__BLOB);
    }
    assert_int_equal(crank_refused(&f->c, ask), XN_EUNKNOWN);
    while (crank_count(&f->c, XN_ACT_CALL) > 1) {
        act = crank_take(&f->c, XN_ACT_CALL);
        xn_msg_free(act.msg);
    }
    act = next_publish(f, 40 * SECOND);
    read_publish(f, &act, &said);
    assert_true(said.lease.withdrawn);
    answer_publish(f, &act, 0, 0, 3);
}

static void cancelled_order_stands(void **state)
{
    struct fix *f = *state;
    Xn__Caller caller = XN__CALLER__INIT;
    struct said said;
    uint64_t ask;

    bring_up(f, &said);
    caller.id = xn_id_bytes(&f->me);
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    crank_event(&f->c, XN_EV_CANCEL, ask, 0, NULL);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    crank_serve_txn(&f->c);
    assert_true(said.lease.withdrawn);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
}

/* ---- the same events give the same actions ---- */

static xn_id story(void)
{
    void *state = NULL;
    struct fix *f;
    struct said said;
    xn_id digest;
    int i;

    set_up(&state);
    f = state;
    bring_up(f, &said);
    for (i = 0; i < 8; i++) {
        struct xn_action act = next_publish(f, 6 * MINUTE);

        if (i % 2)
            answer_publish(f, &act, 0, 0, 3);
        else
            crank_done(&f->c, &act, XN_EUNREACH, 0, NULL);
    }
    digest = f->c.digest;
    tear_down(&state);
    return digest;
}

static void repeats(void **state)
{
    xn_id a = story(), b = story();

    assert_true(xn_id_eq(&a, &b));
    assert_false(xn_id_is_zero(&a));
}

/* A core made from the packed form says the same. */
static void packed_is_the_same(void **state)
{
    struct fix *f = *state;
    struct advert_offer offer = an_offer("0.0121");
    struct host_config config;
    struct xn_core *core = NULL;
    uint8_t *bytes = NULL;
    struct said first, again;
    size_t len = 0;

    bring_up(f, &first);
    host_config_default(&config);
    config.id = f->me;
    config.certificate = f->certificate;
    config.offer = &offer;
    config.n_nodes = 3;
    config.nodes[0] = three[0];
    config.nodes[1] = three[1];
    config.nodes[2] = three[2];
    assert_int_equal(host_config_pack(&config, &bytes, &len), 0);
    assert_int_equal(host_new_packed(bytes, len, 7, &core), 0);
    crank_stop(&f->c);
    crank_init(&f->c, core, 77, WALL);
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__BLOB); /* no new envelope: the same document */
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &again);
    assert_true(again.version == first.version);
    assert_int_equal(host_new_packed(bytes, len - 1, 7, &core), XN_EINVAL);
    free(bytes);
}

static void refuses_bad_configuration(void **state)
{
    struct advert_offer offer = an_offer("0.0121");
    struct host_config config;
    struct xn_core *core = NULL;

    host_config_default(&config);
    assert_int_equal(host_new(&config, 1, &core), XN_EINVAL);
    config.offer = &offer;
    assert_int_equal(host_new(&config, 1, &core), XN_EINVAL);
    config.nodes[0] = three[0];
    config.n_nodes = 1;
    config.renew_us = config.lease_us / 2;
    assert_int_equal(host_new(&config, 1, &core), XN_EINVAL);
    config.renew_us = 5 * MINUTE;
    offer.price_per_hour = "cheap";
    assert_int_not_equal(host_new(&config, 1, &core), 0);
    offer.price_per_hour = "0.0121";
    assert_int_equal(host_new(&config, 1, &core), 0);
    xn_core_free(core);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(version_is_durable_before_it_is_said),
        TEST(renews_the_lease),
        TEST(fails_over_at_once),
        TEST(tries_each_node_then_waits_longer),
        TEST(lost_results_end),
        TEST(full_disk_says_nothing),
        TEST(refusals_fail_over),
        TEST(restarted_node_is_told_again),
        TEST(same_offer_keeps_its_version),
        TEST(changed_offer_goes_to_old_places_too),
        TEST(clock_that_steps_back_is_outdone),
        TEST(new_certificate_asks_for_a_new_envelope),
        TEST(lost_record_is_outdone),
        TEST(version_far_ahead_is_not_chased),
        TEST(too_many_places_are_no_answer),
        TEST(damaged_record_is_told),
        TEST(early_withdrawal_is_durable),
        TEST(damaged_record_can_be_withdrawn),
        TEST(tells_its_status),
        TEST(withdraws_for_its_operator_alone),
        TEST(withdrawal_survives_a_crash),
        TEST(orders_end),
        TEST(cancelled_order_stands),
        TEST(packed_is_the_same),
        cmocka_unit_test(repeats),
        cmocka_unit_test(refuses_bad_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
