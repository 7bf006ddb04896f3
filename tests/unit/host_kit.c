/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/host_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "wire/envelope.h"

const char *const three[] = {"https://127.0.0.1:1", "https://127.0.0.1:2",
                             "https://127.0.0.1:3"};

xn_id id_of(const char *text)
{
    xn_id id;

    xn_id_hash(text, strlen(text), &id);
    return id;
}

struct advert_offer an_offer(const char *price)
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

void serve_sign(struct fix *f, Xn__Form form)
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

struct xn_action take_call(struct fix *f, const char *method, const char *url)
{
    struct xn_action act = crank_take(&f->c, XN_ACT_CALL);
    const Xn__Call *call = XN_BODY(act.msg, Xn__Call);

    assert_string_equal(call->method, method);
    assert_string_equal(call->url, url);
    assert_true(call->patience_ms > 0);
    return act;
}

void read_publish(struct fix *f, const struct xn_action *act, struct said *said)
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

void answer_publish(struct fix *f, struct xn_action *act, int rc,
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

void answer_status(struct fix *f, struct xn_action *act, uint64_t up_s)
{
    Xn__NodeStatus status = XN__NODE_STATUS__INIT;

    status.uptime_s = up_s;
    crank_called(&f->c, act, 200, &status, &f->node);
}

void serve_publish(struct fix *f, const char *url, struct said *said)
{
    struct xn_action act = take_call(f, "POST", url);

    read_publish(f, &act, said);
    answer_publish(f, &act, 0, said->lease.version, 3);
}

void begin_publish(struct fix *f)
{
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
}

void bring_up(struct fix *f, struct said *said)
{
    begin_publish(f);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", said);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_pending, 0);
}

void fix_restart(struct fix *f, const char *price)
{
    struct xn_now now = f->c.now;

    crank_stop(&f->c);
    crank_init(&f->c, new_host(f, price, 3), 77, now.wall_us);
}

int fix_set_up(void **state)
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

int fix_tear_down(void **state)
{
    struct fix *f = *state;

    crank_clear(&f->c);
    free(f);
    return 0;
}

Xn__HostRecord *stored_record(const struct fix *f)
{
    Xn__HostRecord *record;

    assert_int_equal(f->c.n_records, 1);
    record = xn__host_record__unpack(NULL, f->c.records[0].value_len,
                                     f->c.records[0].value);
    assert_non_null(record);
    return record;
}

bool record_has(const Xn__HostRecord *record, const char *token)
{
    size_t i;

    for (i = 0; i < record->n_tokens; i++) {
        if (!strcmp(record->tokens[i], token)) return true;
    }
    return false;
}

/* ---- tests ---- */

struct xn_action next_publish(struct fix *f, uint64_t us_max)
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
