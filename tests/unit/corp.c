/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp core, driven by hand: registrations, paths, what strangers write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corp/corp.h"
#include "corp/text.h"
#include "lib/err.h"
#include "tests/unit/corp_kit.h"
#include "tests/unit/crank.h"
#include "wire/store.pb-c.h"

/* ---- registration ---- */

static void answers_after_it_is_durable(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key-a", "otter");
    uint64_t ask = ask_register(f, &reg);
    char text[32];

    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    serve_issue(f);
    crank_serve_read(&f->c);
    assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 1);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    crank_serve_txn(&f->c);
    registered(f, ask, text, NULL);
    assert_string_equal(text, "CERT1");
    assert_non_null(strstr(f->c.log, "registered server"));
    assert_non_null(strstr(f->c.log, "-otter"));
}

static void keeps_what_was_told(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key-a", "otter");
    Xn__Member *member;
    uint64_t first_us;

    reg.owner = (char *)(uintptr_t) "Ann \xc3\x96zer";
    reg.payout = (char *)(uintptr_t) "account 7";
    expect_registered(f, &reg, "CERT1");
    assert_int_equal(f->c.n_records, 1);
    member = xn__member__unpack(NULL, f->c.records[0].value_len,
                                f->c.records[0].value);
    assert_non_null(member);
    assert_string_equal(member->owner, reg.owner);
    assert_string_equal(member->payout, reg.payout);
    assert_int_equal(member->role, XN__ROLE__SERVER);
    assert_true(member->not_after_us == f->c.now.wall_us + 90 * DAY);
    first_us = member->registered_us;
    xn__member__free_unpacked(member, NULL);

    /* Again, later: a fresh certificate, the same first day. */
    crank_pass(&f->c, 5 * SECOND);
    expect_registered(f, &reg, "CERT2");
    assert_int_equal(f->c.n_records, 1);
    member = xn__member__unpack(NULL, f->c.records[0].value_len,
                                f->c.records[0].value);
    assert_true(member->registered_us == first_us);
    assert_true(member->issued_us == first_us + 5 * SECOND);
    xn__member__free_unpacked(member, NULL);
}

static void node_keeps_its_position(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__NODE, "key-n", "otter");
    Xn__Register other = an_order(XN__ROLE__NODE, "key-n", "badger");
    Xn__Register server = an_order(XN__ROLE__SERVER, "key-n", "otter");
    uint64_t ask;

    expect_registered(f, &reg, "CERT1");
    expect_registered(f, &reg, "CERT1");
    /* Another label is no way to a new position. */
    ask = ask_register(f, &other);
    serve_issue(f);
    crank_serve_store(&f->c);
    assert_int_equal(crank_refused(&f->c, ask), XN_ECONFLICT);
    /* The key may have another role beside. */
    expect_registered(f, &server, "CERT4");
    crank_pass(&f->c, 59 * DAY);
    expect_registered(f, &reg, "CERT1");
    /* In its last third the certificate is renewed. */
    crank_pass(&f->c, 2 * DAY);
    expect_registered(f, &reg, "CERT6");
    expect_registered(f, &reg, "CERT6");
}

static void two_at_once_get_one_position(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__NODE, "key-n", "otter");
    uint64_t a = ask_register(f, &reg), b = ask_register(f, &reg);
    char text[32];

    serve_issue(f);
    serve_issue(f);
    crank_serve_read(&f->c);
    crank_serve_read(&f->c);
    assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 2);
    crank_serve_store(&f->c);
    registered(f, a, text, NULL);
    assert_string_equal(text, "CERT1");
    registered(f, b, text, NULL);
    assert_string_equal(text, "CERT1");
}

static void survives_a_restart(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__NODE, "key-n", "otter");

    expect_registered(f, &reg, "CERT1");
    crank_stop(&f->c);
    fix_start(f, new_corp(NULL, 0));
    expect_registered(f, &reg, "CERT1");
}

static void refuses_bad_orders(void **state)
{
    static const char *const labels[] = {
        "",        "Otter",  "ot ter", "\xc3\xb6tter",
        "o\ntter", "../x",   "a.b.c",  "abcdefghijklmnopqrstuvwxyz0123456",
        "-otter",  "otter-", "-"};
    struct fix *f = *state;
    char big[5000];
    size_t i;

    memset(big, 'x', sizeof big);
    for (i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        Xn__Register reg = an_order(XN__ROLE__SERVER, "key", labels[i]);

        assert_int_equal(crank_refused(&f->c, ask_register(f, &reg)),
                         XN_EINVAL);
    }
    for (i = 0; i < 7; i++) {
        Xn__Register reg = an_order((Xn__Role)i, "key", "otter");

        if (i >= XN__ROLE__NODE && i <= XN__ROLE__CLIENT) continue;
        assert_int_equal(crank_refused(&f->c, ask_register(f, &reg)),
                         XN_EINVAL);
    }
    for (i = 256; i <= 257; i++) { /* at the bound and one past it */
        Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
        char text[258];
        uint64_t ask;

        memset(text, 'o', i);
        text[i] = 0;
        reg.owner = text;
        ask = ask_register(f, &reg);
        if (i > 256)
            assert_int_equal(crank_refused(&f->c, ask), XN_EINVAL);
        else
            assert_int_equal(crank_count(&f->c, XN_ACT_ISSUE), 1);
    }
    for (i = 4096; i <= 4097; i++) {
        Xn__Register reg = an_order(XN__ROLE__SERVER, "", "otter");
        uint64_t ask;

        reg.csr.data = (uint8_t *)big;
        reg.csr.len = i;
        ask = ask_register(f, &reg);
        if (i > 4096)
            assert_int_equal(crank_refused(&f->c, ask), XN_ETOOBIG);
        else
            assert_int_equal(crank_count(&f->c, XN_ACT_ISSUE), 2);
    }
    assert_int_equal(
        crank_refused(&f->c,
                      crank_ask_raw(&f->c, "POST", "/v1/register",
                                    (const uint8_t *)"\xff\xff", 2, NULL)),
        XN_EPROTO);
    assert_int_equal(f->issued, 0);
}

static void demands_the_invitation(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__CLIENT, "key", "otter");

    crank_stop(&f->c);
    fix_start(f, new_corp("open sesame", 0));
    assert_int_equal(crank_refused(&f->c, ask_register(f, &reg)), XN_EPERM);
    reg.invitation = (char *)(uintptr_t) "open sesam";
    assert_int_equal(crank_refused(&f->c, ask_register(f, &reg)), XN_EPERM);
    reg.invitation = (char *)(uintptr_t) "open sesame";
    expect_registered(f, &reg, "CERT1");
}

static void tells_a_bad_request(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    uint64_t ask = ask_register(f, &reg);
    struct xn_action act = crank_take(&f->c, XN_ACT_ISSUE);

    crank_done(&f->c, &act, XN_ESIGNATURE, 0, NULL);
    assert_int_equal(crank_refused(&f->c, ask), XN_ESIGNATURE);
    assert_int_equal(f->c.n_records, 0);
}

static void replayed_request_registers_nothing(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    Xn__Caller caller = XN__CALLER__INIT;
    xn_id other;
    uint64_t ask;

    reg.payout = (char *)(uintptr_t) "the thief's";
    xn_id_hash("other", 5, &other);
    caller.id = xn_id_bytes(&other);
    ask = crank_ask(&f->c, "POST", "/v1/register", &reg, &caller);
    serve_issue(f);
    assert_int_equal(crank_refused(&f->c, ask), XN_EIDENT);
    ask = crank_ask(&f->c, "POST", "/v1/register", &reg, NULL);
    serve_issue(f);
    assert_int_equal(crank_refused(&f->c, ask), XN_EIDENT);
    assert_int_equal(f->c.n_records, 0);
    assert_int_equal(f->c.n_pending, 0);
}

/* What is far too long is not kept until the store has been read. */
static void nothing_long_is_held(void **state)
{
    struct fix *f = *state;
    uint8_t *big = calloc(1, 1 << 20);

    assert_non_null(big);
    crank_stop(&f->c);
    crank_init(&f->c, new_corp(NULL, 0), 1000, WALL);
    crank_wake(&f->c);
    assert_int_equal(
        crank_refused(&f->c, crank_ask_raw(&f->c, "POST", "/v1/register", big,
                                           1 << 20, NULL)),
        XN_ETOOBIG);
    free(big);
}

static void full_disk_is_told_and_forgotten(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__NODE, "key", "otter");
    uint64_t ask = ask_register(f, &reg);
    struct xn_action act;

    serve_issue(f);
    crank_serve_read(&f->c);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_done(&f->c, &act, XN_ENOSPC, 0, NULL);
    assert_int_equal(crank_refused(&f->c, ask), XN_ENOSPC);
    expect_registered(f, &reg, "CERT2");
}

/* Each step's DONE is lost in turn: the asker hears of it all the same, and
 * the late DONE harms nobody. */
static void lost_results_end(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    static const enum xn_act lost[] = {XN_ACT_ISSUE, XN_ACT_READ, XN_ACT_TXN};
    static const int rcs[] = {XN_ETIMEOUT, XN_ETIMEOUT, XN_EUNKNOWN};
    size_t i;

    for (i = 0; i < 3; i++) {
        uint64_t ask = ask_register(f, &reg);
        struct xn_action act;

        if (i > 0) serve_issue(f);
        if (i > 1) crank_serve_read(&f->c);
        act = crank_take(&f->c, lost[i]);
        crank_pass(&f->c, 60 * SECOND);
        assert_int_equal(crank_refused(&f->c, ask), rcs[i]);
        crank_done(&f->c, &act, 0, 0, NULL);
        assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    }
}

static void nobody_is_answered_after_cancel(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    uint64_t ask = ask_register(f, &reg);

    crank_event(&f->c, XN_EV_CANCEL, ask, 0, NULL);
    serve_issue(f);
    crank_serve_store(&f->c);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    assert_int_equal(f->c.n_records, 1); /* it is registered nonetheless */
}

static void bounds_what_is_under_way(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    uint64_t ask;
    int i;

    for (i = 0; i < 256; i++) {
        ask_register(f, &reg);
        assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    }
    ask = ask_register(f, &reg);
    assert_int_equal(crank_refused(&f->c, ask), XN_EBUSY);
}

/* ---- paths ---- */

static void serves_its_certificate(void **state)
{
    struct fix *f = *state;
    struct xn_msg *msg = NULL;
    uint64_t ask = crank_ask(&f->c, "GET", "/v1/certificate", NULL, NULL);
    const Xn__Answer *answer = crank_answer(&f->c, ask, &msg);

    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->content_type, "application/pkix-cert");
    assert_int_equal(answer->body.len, 4);
    assert_memory_equal(answer->body.data, "CORP", 4);
    xn_msg_free(msg);
}

static void knows_no_other_path(void **state)
{
    static const char *const paths[] = {"/",           "/v1/certificate/",
                                        "/v1/charge",  "/v1/register?x",
                                        "v1/register", ""};
    struct fix *f = *state;
    size_t i;

    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(
            crank_refused(&f->c, crank_ask(&f->c, "GET", paths[i], NULL, NULL)),
            XN_ENOENT);
    }
    assert_int_equal(
        crank_refused(&f->c,
                      crank_ask(&f->c, "GET", "/v1/register", NULL, NULL)),
        XN_ENOENT);
}

/* ---- the same events give the same actions ---- */

static xn_id story(void)
{
    struct fix *f = calloc(1, sizeof *f);
    Xn__Register reg = an_order(XN__ROLE__NODE, "key", "otter");
    xn_id digest;
    int i;

    fix_start(f, new_corp("x", 0));
    announce_many(f, 0, 50);
    for (i = 0; i < 20; i++)
        ask_sample(f, NULL, NULL);
    reg.invitation = (char *)(uintptr_t) "x";
    expect_registered(f, &reg, "CERT1");
    crank_pass(&f->c, 400 * SECOND);
    crank_serve_store(&f->c);
    digest = f->c.digest;
    crank_clear(&f->c);
    free(f);
    return digest;
}

static void repeats(void **state)
{
    xn_id a = story(), b = story();

    assert_true(xn_id_eq(&a, &b));
    assert_false(xn_id_is_zero(&a));
}

/* A core made from the packed form is the same. */
static void packed_is_the_same(void **state)
{
    struct corp_config config;
    struct xn_core *core = NULL;
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__CLIENT, "key", "otter");
    uint8_t *bytes = NULL;
    size_t len = 0;

    corp_config_default(&config);
    config.name = "alpha.example";
    config.certificate = (const uint8_t *)"CORP";
    config.certificate_len = 4;
    config.sample_max = 2;
    corp_config_invite(&config, "word");
    assert_int_equal(corp_config_pack(&config, &bytes, &len), 0);
    assert_null(memmem(bytes, len, "word", 4));
    assert_int_equal(corp_new_packed(bytes, len, 7, &core), 0);
    crank_stop(&f->c);
    fix_start(f, core);
    announce_many(f, 0, 3);
    assert_int_equal(ask_sample(f, NULL, NULL), 2);
    assert_int_equal(crank_refused(&f->c, ask_register(f, &reg)), XN_EPERM);
    reg.invitation = (char *)(uintptr_t) "word";
    expect_registered(f, &reg, "CERT1");
    assert_int_equal(corp_new_packed(bytes, len - 1, 7, &core), XN_EINVAL);
    free(bytes);
}

static void checks_addresses(void **state)
{
    static const char *const good[] = {"127.0.0.1:1", "[::1]:65535",
                                       "host.example:80", "[2001:db8::7]:9001"};
    static const char *const bad[] = {
        "",           "127.0.0.1",  ":1",         "a:0",    "a:65536",
        "a:080",      "a:1x",       "::1:80",     "[::1]",  "[::1]80",
        "[]:80",      "[:]:80",     "a b:80",     "a\n:80", "a:99999999",
        "[::1%lo]:1", "http://a:1", "\xc3\xa4:1", "a:1:2"};
    char longest[90];
    size_t i;

    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(corp_address_ok(good[i]));
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (corp_address_ok(bad[i])) fail_msg("%s", bad[i]);
    }
    memset(longest, 'a', sizeof longest);
    strcpy(longest + CORP_ADDRESS_MAX - 3, ":80");
    assert_true(corp_address_ok(longest));
    strcpy(longest + CORP_ADDRESS_MAX - 2, ":80");
    longest[CORP_ADDRESS_MAX - 3] = 'a';
    assert_false(corp_address_ok(longest));
}

static void checks_texts(void **state)
{
    static const char *const bad[] = {"\x01",
                                      "a\tb",
                                      "\x7f",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xff",
                                      "\xc2\x85",
                                      "\xe2\x82"};
    size_t i;

    assert_true(corp_text_ok("", 0));
    assert_true(corp_text_ok("\xe2\x82\xac 5, \xf0\x9f\xa6\xa6", 20));
    assert_true(corp_text_ok("abc", 3));
    assert_false(corp_text_ok("abcd", 3));
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (corp_text_ok(bad[i], 20)) fail_msg("%zu", i);
    }
}

static void refuses_bad_configuration(void **state)
{
    struct corp_config config;
    struct xn_core *core = NULL;

    corp_config_default(&config);
    assert_int_equal(corp_new(&config, 1, &core), XN_EINVAL);
    config.name = "alpha.example";
    assert_int_equal(corp_new(&config, 1, &core), XN_EINVAL);
    config.certificate = (const uint8_t *)"CORP";
    config.certificate_len = 4;
    config.sample_max = 65;
    assert_int_equal(corp_new(&config, 1, &core), XN_EINVAL);
    config.sample_max = 64;
    assert_int_equal(corp_new(&config, 1, &core), 0);
    xn_core_free(core);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fix_set_up, fix_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(answers_after_it_is_durable),
        TEST(keeps_what_was_told),
        TEST(node_keeps_its_position),
        TEST(two_at_once_get_one_position),
        TEST(survives_a_restart),
        TEST(refuses_bad_orders),
        TEST(demands_the_invitation),
        TEST(tells_a_bad_request),
        TEST(replayed_request_registers_nothing),
        TEST(nothing_long_is_held),
        TEST(full_disk_is_told_and_forgotten),
        TEST(lost_results_end),
        TEST(nobody_is_answered_after_cancel),
        TEST(bounds_what_is_under_way),
        TEST(serves_its_certificate),
        TEST(knows_no_other_path),
        TEST(packed_is_the_same),
        cmocka_unit_test(repeats),
        cmocka_unit_test(checks_addresses),
        cmocka_unit_test(checks_texts),
        cmocka_unit_test(refuses_bad_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
