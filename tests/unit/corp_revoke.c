/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys whose certificates the XenoCorp takes back, and the list that says so. */
#include "tests/unit/corp_money_kit.h"

#include "wire/envelope.h"
#include "wire/revoked.h"

#define SECOND 1000000ULL

static uint64_t ask_revoke(struct shop *s, const struct shop_member *m,
                           const char *why, const Xn__Caller *by)
{
    Xn__Revoke body = XN__REVOKE__INIT;

    body.role = m->caller.role;
    body.id = xn_id_bytes(&m->id);
    body.why = (char *)(uintptr_t)why;
    return crank_ask(&s->c, "POST", "/v1/revoke", &body, by);
}

static uint64_t revoke_it(struct shop *s, const struct shop_member *m)
{
    uint64_t ask = ask_revoke(s, m, "no more", &s->staff), number;
    Xn__RevokedKey *key;

    shop_serve(s);
    key = (Xn__RevokedKey *)(void *)crank_answered(
        &s->c, ask, &xn__revoked_key__descriptor);
    number = key->number;
    assert_memory_equal(key->id.data, m->id.b, XN_ID_SIZE);
    xn__revoked_key__free_unpacked(key, NULL);
    return number;
}

/* Fetches the list as anybody would; `set` is emptied first. */
static const struct revoked_list *fetch(struct shop *s, struct revoked *set)
{
    uint64_t ask = crank_ask(&s->c, "GET", "/v1/revoked", NULL, NULL);
    ProtobufCBinaryData payload;
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer;
    xn_id signer;

    shop_serve(s);
    answer = crank_answer(&s->c, ask, &msg);
    assert_int_equal(answer->status, 200);
    assert_int_equal(blob_verify(answer->body.data, answer->body.len,
                                 REVOKED_CONTEXT, &signer, &payload.data,
                                 &payload.len),
                     0);
    assert_true(xn_id_eq(&signer, &s->corp_id));
    revoked_clear(set);
    assert_int_equal(
        revoked_take(set, &signer, &payload, &answer->body, s->c.now.wall_us),
        0);
    free(payload.data);
    xn_msg_free(msg);
    return revoked_of(set, &s->corp_id);
}

static void a_list_is_there_from_the_start(void **state)
{
    struct shop *s = *state;
    struct revoked set = {0};
    const struct revoked_list *list = fetch(s, &set);

    assert_int_equal(list->n, 0);
    assert_true(list->until_us - list->issued_us <= REVOKED_LIFE_US_MAX);
    revoked_clear(&set);
}

static void staff_revokes(void **state)
{
    struct shop *s = *state;
    struct revoked set = {0};
    uint64_t number = fetch(s, &set)->number, ask;

    shop_enrol(s, &s->server[0]);
    assert_true(revoke_it(s, &s->server[0]) > number);
    assert_int_equal(fetch(s, &set)->n, 1);
    assert_true(revoked_has(&set, &s->corp_id, &s->server[0].id));
    number = fetch(s, &set)->number;
    /* Again: known.  Another one: both. */
    assert_int_equal(revoke_it(s, &s->server[0]), number);
    revoke_it(s, &s->client);
    assert_int_equal(fetch(s, &set)->n, 2);
    assert_true(fetch(s, &set)->number > number);
    /* Nobody else may, nobody else can be, and not without a reason. */
    ask = ask_revoke(s, &s->client, "me", &s->client.caller);
    assert_int_equal(crank_refused(&s->c, ask), XN_EPERM);
    ask = ask_revoke(s, &s->server[3], "who?", &s->staff);
    shop_serve(s);
    assert_int_equal(crank_refused(&s->c, ask), XN_ENOENT);
    ask = ask_revoke(s, &s->client, "", &s->staff);
    assert_int_equal(crank_refused(&s->c, ask), XN_EINVAL);
    ask = ask_revoke(s, &s->client, "\n", &s->staff);
    assert_int_equal(crank_refused(&s->c, ask), XN_EINVAL);
    revoked_clear(&set);
}

/* It registers no more, orders nothing, and what it was revoked for outlives
 * a restart; numbers only grow, also where the clock went back. */
static void it_holds(void **state)
{
    struct shop *s = *state;
    struct revoked set = {0};
    Xn__Register reg = XN__REGISTER__INIT;
    Xn__Issued issued = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    struct xn_action act;
    uint64_t number, ask;

    shop_pay_in(s, 1, 20 * GBP);
    revoke_it(s, &s->client);
    number = fetch(s, &set)->number;
    ask = shop_ask_issue(s, 1, GBP);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);
    s->c.now.wall_us -= HOUR_US;
    shop_restart(s);
    shop_serve(s);
    assert_true(fetch(s, &set)->number > number);
    assert_true(revoked_has(&set, &s->corp_id, &s->client.id));
    ask = shop_ask_issue(s, 1, GBP);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);

    reg.role = XN__ROLE__SERVER; /* as whatever */
    reg.csr.data = (uint8_t *)(uintptr_t) "csr";
    reg.csr.len = 3;
    reg.label = (char *)(uintptr_t) "ann";
    ask = crank_ask(&s->c, "POST", "/v1/register", &reg, &s->client.caller);
    act = crank_take(&s->c, XN_ACT_ISSUE);
    who.id = xn_id_bytes(&s->client.id);
    issued.who = &who;
    crank_done(&s->c, &act, 0, XN__KIND__ISSUED, &issued);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);
    shop_audit(s);
    revoked_clear(&set);
}

/* Also while it starts, and does not know yet whom it revoked. */
static void it_holds_from_the_start(void **state)
{
    struct shop *s = *state;
    Xn__Revoke large = XN__REVOKE__INIT; /* any body too large to be held */
    char why[9000];
    uint64_t ask;

    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = 0;
    large.why = why;
    shop_pay_in(s, 1, 20 * GBP);
    revoke_it(s, &s->client);
    shop_restart_begin(s);
    ask = crank_ask(&s->c, "POST", "/v1/orders", &large, &s->client.caller);
    assert_int_equal(crank_refused(&s->c, ask), XN_EBUSY);
    ask = shop_ask_issue(s, 1, GBP);
    shop_serve(s);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);
}

/* An order that was issued before buys nothing more. */
static void nothing_begins(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t ask;

    deal_ordered(s, &d, GBP);
    revoke_it(s, &s->client);
    ask = deal_ask_validate(s, &d);
    shop_serve(s);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);
    deal_clear(&d);
}

/* Signed anew several times a day; who is out of date leaves the list. */
static void lists_follow(void **state)
{
    struct shop *s = *state;
    struct revoked set = {0};
    uint64_t number, days;

    revoke_it(s, &s->client);
    number = fetch(s, &set)->number;
    shop_pass(s, 7 * HOUR_US);
    shop_serve(s);
    assert_true(fetch(s, &set)->number > number);
    assert_int_equal(fetch(s, &set)->n, 1);
    assert_false(revoked_is_late(fetch(s, &set), s->c.now.wall_us));
    for (days = 0; days < 91 * 4; days++)
        shop_pass(s, 6 * HOUR_US + SECOND);
    shop_serve(s);
    assert_int_equal(fetch(s, &set)->n, 0);
    revoked_clear(&set);
}

/* Until the last certificate of that key has ended, in whatever role and
 * however short their lives are by now. */
static void it_stays_listed(void **state)
{
    struct shop *s = *state;
    struct shop_member also = s->server[0];
    struct revoked set = {0};

    also.caller.role = XN__ROLE__CLIENT;
    shop_enrol(s, &s->server[0]);
    s->config.certificate_us = 24 * HOUR_US;
    shop_restart(s);
    shop_enrol(s, &s->client); /* again */
    shop_enrol(s, &also);
    revoke_it(s, &s->client);
    revoke_it(s, &also);
    shop_pass(s, 72 * HOUR_US);
    assert_int_equal(fetch(s, &set)->n, 2);
    revoked_clear(&set);
}

/* Of an announcement's answer: what the node lacks. */
static void nodes_are_told(void **state)
{
    struct shop *s = *state;
    Xn__Announce announce = XN__ANNOUNCE__INIT;
    Xn__Contact contact = XN__CONTACT__INIT;
    Xn__Caller node = s->server[1].caller;
    struct revoked set = {0};
    Xn__Sample *sample;
    uint64_t ask;

    node.role = XN__ROLE__NODE;
    node.position = node.id;
    contact.id = contact.position = node.id;
    contact.address = (char *)(uintptr_t) "10.0.0.1:7000";
    announce.contact = &contact;
    announce.revoked = fetch(s, &set)->number;
    for (int older = 0; older < 2; older++) {
        announce.revoked -= (uint64_t)older;
        ask = crank_ask(&s->c, "POST", "/v1/announce", &announce, &node);
        sample = (Xn__Sample *)(void *)crank_answered(&s->c, ask,
                                                      &xn__sample__descriptor);
        assert_int_equal(sample->revoked.len > 0, older);
        xn__sample__free_unpacked(sample, NULL);
    }
    /* A node that is revoked is no node any more, also where the store was not
     * told in time. */
    shop_pass(s, 20 * SECOND);
    assert_int_equal(shop_records(s, 'n'), 1);
    shop_enrol(s, &s->server[1]);
    revoke_it(s, &s->server[1]);
    shop_restart(s);
    assert_int_equal(shop_records(s, 'n'), 1);
    ask = crank_ask(&s->c, "POST", "/v1/announce", &announce, &node);
    assert_int_equal(crank_refused(&s->c, ask), XN_EREVOKED);
    ask = crank_ask(&s->c, "GET", "/v1/sample", NULL, NULL);
    sample = (Xn__Sample *)(void *)crank_answered(&s->c, ask,
                                                  &xn__sample__descriptor);
    assert_int_equal(sample->n_nodes, 0);
    xn__sample__free_unpacked(sample, NULL);
    revoked_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(a_list_is_there_from_the_start),
        SHOP_TEST(staff_revokes),
        SHOP_TEST(it_holds),
        SHOP_TEST(it_holds_from_the_start),
        SHOP_TEST(nothing_begins),
        SHOP_TEST(lists_follow),
        SHOP_TEST(it_stays_listed),
        SHOP_TEST(nodes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
