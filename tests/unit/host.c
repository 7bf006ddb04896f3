/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core, driven by hand: versions, leases, publishing. */
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
#include "tests/unit/host_kit.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/store.pb-c.h"

/* ---- the driver's and the node's part ---- */

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
    record = stored_record(f);
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
    record = stored_record(f);
    assert_true(record->placed);
    /* A node's list of places takes nothing away from ours, adds nothing. */
    assert_true(record_has(record, "Family"));
    assert_false(record_has(record, "Nonsense"));
    xn__host_record__free_unpacked(record, NULL);
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

    begin_publish(f);
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
    fix_restart(f, "0.0121");
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
        Xn__HostRecord *record = stored_record(f);
        struct crank_record *r = &f->c.records[0];

        free(record->tokens[0]);
        record->tokens[0] = strdup("Abandoned");
        free(r->value);
        r->value_len = xn__host_record__get_packed_size(record);
        r->value = malloc(r->value_len);
        xn__host_record__pack(record, r->value);
        xn__host_record__free_unpacked(record, NULL);
    }
    fix_restart(f, "0.02");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    {
        Xn__HostRecord *record = stored_record(f);

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
        Xn__HostRecord *record = stored_record(f);

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
    fix_restart(f, "0.02");
    begin_publish(f);
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
    fix_restart(f, "0.0121");
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

    begin_publish(f);
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

    begin_publish(f);
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
    begin_publish(f);
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
    fix_restart(f, "0.0121");
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    assert_non_null(strstr(f->c.log, "damaged"));
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    assert_true(said.version > WALL);
}

/* ---- the same events give the same actions ---- */

static xn_id story(void)
{
    void *state = NULL;
    struct fix *f;
    struct said said;
    xn_id digest;
    int i;

    fix_set_up(&state);
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
    fix_tear_down(&state);
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

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fix_set_up, fix_tear_down)

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
        TEST(packed_is_the_same),
        cmocka_unit_test(repeats),
        cmocka_unit_test(refuses_bad_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
