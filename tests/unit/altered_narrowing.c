/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Narrowings that widen, in each limit that there is: refused by the client's
 * tool and the server, who ask the rules, and by the XenoCorp, for one reason.
 * And one that narrows honestly, but to later. */
#include "tests/unit/altered_kit.h"

static int show_two(struct stage *t, const struct shop_doc *first,
                    const struct sealed *second, char because[300])
{
    ProtobufCBinaryData list[2] = {shop_bytes(first),
                                   {second->len, second->data}};
    Xn__Validate validate = XN__VALIDATE__INIT;
    uint64_t ask;

    validate.order = shop_bytes(&t->d.order);
    validate.quote = shop_bytes(&t->d.quote);
    validate.narrowings = list;
    validate.n_narrowings = 2;
    validate.session = xn_id_bytes(&t->d.session);
    ask =
        crank_ask(&t->s.c, "POST", "/v1/validate", &validate, &t->d.by->caller);
    shop_serve(&t->s);
    return shop_refused(&t->s, ask, because);
}

/* `second` stands over `first`, and says more in that field. */
static void must_widen(struct stage *t, const struct shop_doc *first,
                       const struct xn_buf *second, const char *field)
{
    struct money_narrowing two[2] = {first->doc.narrowing};
    struct order_chain chain = {
        .order = &t->d.order.doc.order, .narrowings = two, .n = 2};
    bool is_currency = strcmp(field, "Currency") == 0;
    struct sealed sealed = seal_text(second, &t->s.client.party);
    struct money_refusal why = {.text = ""};
    struct money_limits out;
    struct money doc;
    char because[300];
    enum money_reason reason;

    /* As the client's tool and the server ask. */
    assert_int_equal(money_open(MONEY_NARROWING, sealed.data, sealed.len,
                                t->s.anchors, t->s.c.now.wall_us, &doc, &why),
                     0);
    two[0].head.corp = t->s.corp_id;
    two[1] = doc.narrowing;
    reason = order_effective(&chain, &out, &why);
    assert_int_equal(reason, is_currency ? REASON_CURRENCY : REASON_WIDENS);
    if (!is_currency) assert_non_null(strstr(why.text, field));
    /* As the XenoCorp does. */
    assert_int_equal(show_two(t, first, &sealed, because), XN_EMONEY);
    assert_string_equal(because, why.text);
    free(sealed.data);
}

/* Over one that repeats all of the order's limits: none of them moves. */
static void each_limit_widened(void **state)
{
    struct stage *t = *state;
    const struct flat_form *form = money_form(MONEY_NARROWING);
    struct money doc = t->d.narrowing.doc;
    struct shop_doc first = {.doc = doc};
    unsigned limits = 0;

    /* The first is open, so that another may stand over it. */
    memset(&first.doc.narrowing.limits.server, 0, sizeof(xn_id));
    shop_seal(&first, &t->s.client.party);
    doc.narrowing.over = first.doc.head.hash;
    for (size_t i = 0; i < form->n; i++) {
        struct xn_buf text;

        if (form->fields[i].at < offsetof(struct money, narrowing.limits)) {
            continue;
        }
        limits++;
        assert_true(alter(&doc, &form->fields[i], OTHER, &text));
        must_widen(t, &first, &text, form->fields[i].name);
        xn_buf_clear(&text);
    }
    assert_int_equal(limits, 8); /* every limit that there is */
    shop_doc_clear(&first);
    stage_settled(t);
}

/* Narrower, and honest: it is no lie, only too early. */
static void not_yet(void **state)
{
    struct stage *t = *state;
    struct money_limits *limits = &t->d.narrowing.doc.narrowing.limits;
    char because[300];

    limits->from_us = t->s.c.now.wall_us + HOUR_US;
    shop_seal(&t->d.narrowing, &t->s.client.party);
    assert_int_equal(stage_show(t, NARROWING, because), XN_EFUTURE);
    limits->from_us = t->s.c.now.wall_us;
    shop_seal(&t->d.narrowing, &t->s.client.party);
    stage_settled(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(each_limit_widened),
        STAGE_TEST(not_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
