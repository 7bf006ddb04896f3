/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pay-ins: how much, what the books can count, and mistakes taken back. */
#include "tests/unit/corp_money_kit.h"

#define HALF (INT64_MAX / 2)

static uint64_t ask_with(struct shop *s, const char *path, uint8_t word,
                         int64_t micro, const Xn__Caller *caller)
{
    Xn__PayIn pay = XN__PAY_IN__INIT; /* TakeBack and Credit look alike */
    uint8_t request[32];
    uint64_t ask;

    memset(request, word, sizeof request);
    pay.client = xn_id_bytes(&s->client.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = (ProtobufCBinaryData){sizeof request, request};
    pay.note = (char *)(uintptr_t) "bank";
    ask = crank_ask(&s->c, "POST", path, &pay, caller);
    shop_serve(s);
    return ask;
}

static int64_t pays_in(struct shop *s, uint8_t word, int64_t micro)
{
    return shop_account(s, ask_with(s, "/v1/accounts", word, micro, &s->staff),
                        NULL);
}

static int64_t takes_back(struct shop *s, uint8_t word, int64_t micro)
{
    return shop_account(s, ask_with(s, "/v1/takebacks", word, micro, &s->staff),
                        NULL);
}

static int pay_in_refused(struct shop *s, uint8_t word, int64_t micro,
                          char because[300])
{
    return shop_refused(s, ask_with(s, "/v1/accounts", word, micro, &s->staff),
                        because);
}

static int take_back_refused(struct shop *s, uint8_t word, int64_t micro,
                             char because[300])
{
    return shop_refused(s, ask_with(s, "/v1/takebacks", word, micro, &s->staff),
                        because);
}

/* ---- how much ---- */

static void so_much_at_once(void **state)
{
    struct shop *s = *state;
    const int64_t most = s->config.most;
    char because[300];
    uint64_t ask;

    assert_true(most > 0);
    assert_int_equal(pay_in_refused(s, 1, most + 1, because), XN_ETOOBIG);
    assert_non_null(strstr(because, "1000000 GBP"));
    assert_int_equal(shop_records(s, 'P'), 0);
    assert_int_equal(pays_in(s, 1, most), most);
    assert_int_equal(pays_in(s, 2, most), 2 * most);
    ask = ask_with(s, "/v1/credits", 1, most + 1, &s->staff);
    assert_int_equal(shop_refused(s, ask, because), XN_ETOOBIG);
    ask = ask_with(s, "/v1/credits", 2, most, &s->staff);
    assert_int_equal(shop_account(s, ask, NULL), 2 * most);
    shop_audit(s);
}

/* A bound that was lowered since does not unsay what was done. */
static void the_same_again_is_no_larger(void **state)
{
    struct shop *s = *state;

    assert_int_equal(pays_in(s, 1, 20 * GBP), 20 * GBP);
    s->config.most = 5 * GBP;
    shop_restart(s);
    assert_int_equal(pays_in(s, 1, 20 * GBP), 20 * GBP);
    assert_int_equal(pay_in_refused(s, 2, 20 * GBP, NULL), XN_ETOOBIG);
    assert_int_equal(takes_back(s, 1, 20 * GBP), 0);
    shop_audit(s);
}

static void any_amount(struct corp_config *config)
{
    config->most = 0;
}

static int rich_set_up(void **state)
{
    struct shop *s = calloc(1, sizeof *s);

    assert_non_null(s);
    shop_open(s, any_amount);
    *state = s;
    return 0;
}

/* What the books cannot count is refused when it comes, not when it is due. */
static void no_sum_overflows(void **state)
{
    struct shop *s = *state;
    char because[300];
    struct deal d;

    assert_int_equal(pay_in_refused(s, 1, INT64_MAX, because), XN_EOVERFLOW);
    assert_non_null(strstr(because, "GBP"));
    assert_int_equal(pay_in_refused(s, 1, HALF + 1, NULL), XN_EOVERFLOW);
    assert_int_equal(pays_in(s, 1, HALF - 5 * GBP), HALF - 5 * GBP);
    deal_begin(s, &d, 1, 100 * GBP, &s->server[0]);
    /* What is fenced comes back one day. */
    assert_int_equal(pay_in_refused(s, 2, 5 * GBP + 1, NULL), XN_EOVERFLOW);
    assert_int_equal(pays_in(s, 2, 5 * GBP), HALF - 100 * GBP);
    assert_int_equal(pay_in_refused(s, 3, 1, NULL), XN_EOVERFLOW);
    assert_int_equal(pays_in(s, 2, 5 * GBP), HALF - 100 * GBP); /* again */
    deal_ask_void(s, &d);
    shop_serve(s);
    assert_int_equal(shop_balance(s), HALF);
    assert_int_equal(takes_back(s, 2, 5 * GBP), HALF - 5 * GBP);
    assert_int_equal(pays_in(s, 3, 1), HALF - 5 * GBP + 1);
    shop_audit(s);
    deal_clear(&d);
}

/* ---- back ---- */

static void a_mistake_is_taken_back(void **state)
{
    struct shop *s = *state;
    size_t records;

    pays_in(s, 1, 3 * GBP);
    assert_int_equal(pays_in(s, 2, 4 * GBP), 7 * GBP);
    assert_int_equal(takes_back(s, 1, 3 * GBP), 4 * GBP);
    records = s->c.n_records;
    assert_int_equal(takes_back(s, 1, 3 * GBP), 4 * GBP); /* once */
    shop_restart(s);
    assert_int_equal(takes_back(s, 1, 3 * GBP), 4 * GBP);
    assert_int_equal(s->c.n_records, records);
    /* The old word neither pays in anew nor says that it did. */
    assert_int_equal(pay_in_refused(s, 1, 3 * GBP, NULL), XN_ECONFLICT);
    assert_int_equal(shop_balance(s), 4 * GBP);
    shop_audit(s);
}

static void only_what_was_paid_in(void **state)
{
    struct shop *s = *state;
    uint64_t ask;

    assert_int_equal(take_back_refused(s, 1, GBP, NULL), XN_ENOENT);
    pays_in(s, 1, 3 * GBP);
    assert_int_equal(take_back_refused(s, 2, 3 * GBP, NULL), XN_ENOENT);
    assert_int_equal(take_back_refused(s, 1, 2 * GBP, NULL), XN_ECONFLICT);
    assert_int_equal(take_back_refused(s, 1, 0, NULL), XN_EINVAL);
    assert_int_equal(take_back_refused(s, 1, -3 * GBP, NULL), XN_EINVAL);
    assert_int_equal(pay_in_refused(s, 1, 2 * GBP, NULL), XN_ECONFLICT);
    ask = ask_with(s, "/v1/takebacks", 1, 3 * GBP, &s->client.caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
    ask = ask_with(s, "/v1/takebacks", 1, 3 * GBP, &s->server[0].caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
    assert_int_equal(shop_balance(s), 3 * GBP);
    shop_audit(s);
}

/* What is set apart for an order stays there. */
static void only_what_is_free(void **state)
{
    struct shop *s = *state;
    char because[300];
    struct deal d;
    uint64_t ask;

    pays_in(s, 1, 5 * GBP);
    deal_begin(s, &d, 1, 2 * GBP, &s->server[0]);
    assert_int_equal(take_back_refused(s, 1, 5 * GBP, because), XN_EFUNDS);
    assert_non_null(strstr(because, "3 GBP"));
    assert_int_equal(shop_balance(s), 3 * GBP);
    deal_ask_void(s, &d);
    shop_serve(s);
    assert_int_equal(takes_back(s, 1, 5 * GBP), 0);
    deal_clear(&d);
    /* As if it had never come: where there is credit, into that. */
    pays_in(s, 2, 5 * GBP);
    ask = ask_with(s, "/v1/credits", 1, GBP, &s->staff);
    assert_int_equal(shop_account(s, ask, NULL), 5 * GBP);
    deal_begin(s, &d, 2, GBP, &s->server[0]);
    assert_int_equal(takes_back(s, 2, 5 * GBP), -GBP);
    shop_audit(s);
    deal_clear(&d);
}

/* An order and a take-back for the same money at the same time: one has it. */
static void an_order_at_the_same_time(void **state)
{
    struct shop *s = *state;
    Xn__TakeBack back = XN__TAKE_BACK__INIT;
    struct xn_msg *msg = NULL;
    uint8_t request[32];
    unsigned ordered = 0, taken = 0;
    uint64_t a, b;
    int status;

    memset(request, 1, sizeof request);
    back.client = xn_id_bytes(&s->client.id);
    back.currency = (char *)(uintptr_t) "GBP";
    back.micro = 5 * GBP;
    back.request = (ProtobufCBinaryData){sizeof request, request};
    for (uint64_t first = 0; first < 12; first++) {
        shop_reset(s);
        pays_in(s, 1, 5 * GBP);
        a = crank_ask(&s->c, "POST", "/v1/takebacks", &back, &s->staff);
        for (uint64_t i = 0; i < first; i++)
            shop_serve_nth(s, i);
        b = shop_ask_issue(s, 1, 5 * GBP);
        shop_serve(s);
        status = crank_answer(&s->c, b, &msg)->status;
        xn_msg_free(msg);
        if (status == 200) {
            assert_int_equal(shop_refused(s, a, NULL), XN_EFUNDS);
            ordered++;
        } else {
            taken++;
            assert_int_equal(shop_account(s, a, NULL), 0);
        }
        assert_int_equal(shop_balance(s), 0);
        shop_audit(s);
    }
    assert_true(ordered && taken);
}

/* Twice at once is once. */
static void twice_at_the_same_time(void **state)
{
    struct shop *s = *state;
    Xn__TakeBack back = XN__TAKE_BACK__INIT;
    uint8_t request[32];
    uint64_t asks[3];

    memset(request, 1, sizeof request);
    pays_in(s, 1, 5 * GBP);
    pays_in(s, 2, 5 * GBP);
    back.client = xn_id_bytes(&s->client.id);
    back.currency = (char *)(uintptr_t) "GBP";
    back.micro = 5 * GBP;
    back.request = (ProtobufCBinaryData){sizeof request, request};
    for (int i = 0; i < 3; i++)
        asks[i] = crank_ask(&s->c, "POST", "/v1/takebacks", &back, &s->staff);
    shop_serve(s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(shop_account(s, asks[i], NULL), 5 * GBP);
    for (int i = 0; i < 3; i++)
        asks[i] = shop_ask_pay_in(s, 3, GBP);
    shop_serve(s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(shop_account(s, asks[i], NULL), 6 * GBP);
    shop_audit(s);
}

/* ---- the list ---- */

static Xn__PayIns *list(struct shop *s, const char *after)
{
    char query[300], hex[XN_ID_HEX];
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer;
    Xn__PayIns *page;
    uint64_t ask;

    xn_id_hex(&s->client.id, hex);
    snprintf(query, sizeof query, "client=%s&currency=GBP%s%s", hex,
             after[0] ? "&after=" : "", after);
    ask = shop_ask_query(s, "/v1/payins", query, &s->staff);
    shop_serve(s);
    answer = crank_answer(&s->c, ask, &msg);
    assert_int_equal(answer->status, 200);
    page = xn__pay_ins__unpack(NULL, answer->body.len, answer->body.data);
    assert_non_null(page);
    xn_msg_free(msg);
    return page;
}

static void all_are_listed(void **state)
{
    struct shop *s = *state;
    char after[XN_ID_HEX];
    Xn__PayIns *page;
    xn_id last;

    for (uint8_t word = 1; word <= 70; word++)
        pays_in(s, word, word * GBP);
    takes_back(s, 7, 7 * GBP);
    page = list(s, "");
    assert_int_equal(page->n_pay_ins, 64);
    assert_true(page->more);
    for (size_t i = 0; i < 64; i++) {
        const Xn__PayInInfo *info = page->pay_ins[i];

        assert_int_equal(info->request.len, 32);
        assert_int_equal(info->request.data[0], i + 1);
        assert_int_equal(info->micro, (int64_t)(i + 1) * GBP);
        assert_string_equal(info->note, "bank");
        assert_true(info->at_us >= NOW_US);
        assert_int_equal(info->taken_us != 0, i == 6);
    }
    assert_int_equal(xn_id_from_bytes(&page->pay_ins[63]->request, &last), 0);
    xn_id_hex(&last, after);
    xn__pay_ins__free_unpacked(page, NULL);
    page = list(s, after);
    assert_int_equal(page->n_pay_ins, 6);
    assert_false(page->more);
    xn__pay_ins__free_unpacked(page, NULL);
}

static void the_list_is_the_brokers(void **state)
{
    static const char *const bad[] = {"",
                                      "currency=GBP",
                                      "client=77",
                                      "currency=GBP&client=77",
                                      "currency=gbp&client=%s",
                                      "currency=GBP&client=%s&after=1"};
    struct shop *s = *state;
    char query[300], hex[XN_ID_HEX];
    uint64_t ask;

    xn_id_hex(&s->client.id, hex);
    snprintf(query, sizeof query, "client=%s&currency=GBP", hex);
    ask = shop_ask_query(s, "/v1/payins", query, &s->client.caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *at = strstr(bad[i], "%s");

        snprintf(query, sizeof query, "%.*s%s%s",
                 at ? (int)(at - bad[i]) : (int)strlen(bad[i]), bad[i],
                 at ? hex : "", at ? at + 2 : "");
        ask = shop_ask_query(s, "/v1/payins", query, &s->staff);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(so_much_at_once),
        SHOP_TEST(the_same_again_is_no_larger),
        cmocka_unit_test_setup_teardown(no_sum_overflows, rich_set_up,
                                        shop_tear_down),
        SHOP_TEST(a_mistake_is_taken_back),
        SHOP_TEST(only_what_was_paid_in),
        SHOP_TEST(only_what_is_free),
        SHOP_TEST(an_order_at_the_same_time),
        SHOP_TEST(twice_at_the_same_time),
        SHOP_TEST(all_are_listed),
        SHOP_TEST(the_list_is_the_brokers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
