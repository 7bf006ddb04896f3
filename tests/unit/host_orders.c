/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core, driven by hand: query status, withdrawal, other orders
 * of its operator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostagent/host.h"
#include "hostagent/offer.h"
#include "lib/err.h"
#include "tests/unit/crank.h"
#include "tests/unit/host_kit.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/store.pb-c.h"

static Xn__HostStatus *read_status(struct fix *f, uint64_t ask)
{
    return crank_answered(&f->c, ask, &xn__host_status__descriptor);
}

static void tells_its_status(void **state)
{
    struct fix *f = *state;
    Xn__HostStatus *status;
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
    status = read_status(f, crank_ask(&f->c, "GET", "/v1/status", NULL, NULL));
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
    Xn__HostStatus *status;
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
    assert_int_equal(crank_refused(&f->c, crank_ask(&f->c, "POST", "/v1/quote",
                                                    NULL, &caller)),
                     XN_EREFUSED); /* no XenoCorp: it only advertises */
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
    status = read_status(f, ask);
    assert_int_equal(status->envelope.len, 0);
    xn__host_status__free_unpacked(status, NULL);
    /* Idle, also after a restart. */
    crank_pass(&f->c, 60 * MINUTE);
    assert_int_equal(f->c.n_pending, 0);
    fix_restart(f, "0.0121");
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
    status = read_status(f, ask);
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
    fix_restart(f, "0.0121");
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
    Xn__HostStatus *status;
    uint64_t ask;

    crank_wake(&f->c);
    crank_serve_read(&f->c);
    caller.id = xn_id_bytes(&f->me);
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    crank_serve_txn(&f->c);
    status = read_status(f, ask);
    xn__host_status__free_unpacked(status, NULL);
    assert_int_equal(crank_count(&f->c, XN_ACT_CALL), 0);
    fix_restart(f, "0.0121");
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
    fix_restart(f, "0.0121");
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

/* ---- another offer ---- */

static uint64_t ask_offer(struct fix *f, const struct advert_offer *offer)
{
    Xn__Caller caller = XN__CALLER__INIT;
    uint8_t *body = NULL;
    size_t len = 0;
    uint64_t ask;

    caller.id = xn_id_bytes(&f->me);
    assert_int_equal(offer_pack(offer, &body, &len), 0);
    ask = crank_ask_raw(&f->c, "POST", "/v1/offer", body, len, &caller);
    free(body);
    return ask;
}

static bool document_has(const struct fix *f, const char *text)
{
    Xn__HostRecord *record = stored_record(f);
    bool has = memmem(record->document.data, record->document.len, text,
                      strlen(text)) != NULL;

    xn__host_record__free_unpacked(record, NULL);
    return has;
}

/* What it says is new; what was found out at the start is as it was. */
static void another_offer_is_published(void **state)
{
    struct fix *f = *state;
    struct advert_extra extra = {"Rack", "7"};
    struct advert_offer offer = {.currency = "GBP",
                                 .price_per_hour = "0.5",
                                 .extras = &extra,
                                 .n_extras = 1};
    Xn__HostStatus *status;
    struct said first, said;
    uint64_t ask;

    bring_up(f, &first);
    assert_true(document_has(f, "0.0121"));
    ask = ask_offer(f, &offer);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    crank_serve_txn(&f->c);
    status = read_status(f, ask);
    xn__host_status__free_unpacked(status, NULL);
    assert_true(said.version > first.version);
    assert_true(said.old_has_family); /* it ends where it was, too */
    assert_true(document_has(f, "<PricePerHour>0.5<"));
    assert_true(document_has(f, "<Rack>7</Rack>"));
    assert_true(document_has(f, "<ServerName>"));
    assert_true(document_has(f, "<CPUsmps>"));
    assert_true(document_has(f, "<EnvType>"));
    assert_false(document_has(f, "0.0121"));
    /* The same again is no new version, and is answered. */
    ask = ask_offer(f, &offer);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &first);
    assert_true(first.version == said.version);
    status = read_status(f, ask);
    xn__host_status__free_unpacked(status, NULL);
}

static void a_bad_offer_changes_nothing(void **state)
{
    struct fix *f = *state;
    struct advert_extra extra = {"Rack", "7"};
    struct advert_offer offer = {.currency = "pounds", .price_per_hour = "1"};
    Xn__Caller caller = XN__CALLER__INIT;
    const uint8_t junk[] = {0x0a, 0x01, 'x'};
    struct said said;

    bring_up(f, &said);
    assert_int_equal(crank_refused(&f->c, ask_offer(f, &offer)), XN_EINVAL);
    offer.currency = "GBP";
    offer.price_per_hour = "cheap";
    assert_int_equal(crank_refused(&f->c, ask_offer(f, &offer)), XN_EINVAL);
    caller.id = xn_id_bytes(&f->me);
    assert_int_equal(
        crank_refused(&f->c, crank_ask_raw(&f->c, "POST", "/v1/offer", junk,
                                           sizeof junk, &caller)),
        XN_EINVAL);
    caller.id = xn_id_bytes(&f->node_id);
    assert_int_equal(
        crank_refused(&f->c, crank_ask_raw(&f->c, "POST", "/v1/offer", junk,
                                           sizeof junk, &caller)),
        XN_EPERM);
    offer.price_per_hour = "1";
    extra.token = "no token";
    offer.extras = &extra;
    offer.n_extras = 1;
    assert_int_equal(crank_refused(&f->c, ask_offer(f, &offer)), XN_EINVAL);
    assert_true(document_has(f, "0.0121"));
    assert_int_equal(crank_count(&f->c, XN_ACT_SIGN), 0);
}

/* While it is drained, another offer waits until that ends. */
static void an_offer_does_not_undrain(void **state)
{
    struct fix *f = *state;
    struct advert_offer offer = {.currency = "GBP", .price_per_hour = "0.5"};
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__HostStatus *status;
    struct said said;
    uint64_t ask;

    bring_up(f, &said);
    caller.id = xn_id_bytes(&f->me);
    ask = crank_ask(&f->c, "POST", "/v1/withdraw", NULL, &caller);
    crank_serve_txn(&f->c);
    serve_sign(f, XN__FORM__BLOB);
    serve_publish(f, "https://127.0.0.1:1/v1/publish", &said);
    crank_serve_txn(&f->c);
    status = read_status(f, ask);
    xn__host_status__free_unpacked(status, NULL);
    ask = ask_offer(f, &offer);
    status = read_status(f, ask);
    assert_int_equal(status->envelope.len, 0);
    xn__host_status__free_unpacked(status, NULL);
    crank_pass(&f->c, 60 * MINUTE);
    assert_int_equal(f->c.n_pending, 0);
    crank_ask(&f->c, "POST", "/v1/offer", NULL, &caller);
    serve_sign(f, XN__FORM__ENVELOPE);
    crank_serve_txn(&f->c);
    assert_true(document_has(f, "<PricePerHour>0.5<"));
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fix_set_up, fix_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(another_offer_is_published),
        TEST(a_bad_offer_changes_nothing),
        TEST(an_offer_does_not_undrain),
        TEST(early_withdrawal_is_durable),
        TEST(damaged_record_can_be_withdrawn),
        TEST(tells_its_status),
        TEST(withdraws_for_its_operator_alone),
        TEST(withdrawal_survives_a_crash),
        TEST(orders_end),
        TEST(cancelled_order_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
