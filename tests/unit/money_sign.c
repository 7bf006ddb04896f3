/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documents of money: signatures, who may say what, and the reasons why
 * not. */
#include "tests/unit/wire_kit.h"

#include <stdio.h>

#include "tests/unit/money_kit.h"
#include "wire/envelope.h"
#include "wire/flat.h"

static char *text_of(struct money *doc)
{
    struct xn_buf buf;

    xn_buf_init(&buf, 0);
    assert_int_equal(money_write(doc, &buf), 0);
    return xn_buf_steal_str(&buf);
}

struct world {
    struct kit_party corp, other_corp, client, server, node;
    struct xn_anchors *anchors;
    struct sale sale;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->corp = kit_corp("alpha.example");
    w->other_corp = kit_corp("beta.example");
    w->client = kit_member(&w->corp, XN__ROLE__CLIENT, "ann");
    w->server = kit_member(&w->corp, XN__ROLE__SERVER, "otter");
    w->node = kit_member(&w->corp, XN__ROLE__NODE, "n");
    assert_int_equal(xn_anchors_new(&w->anchors), 0);
    kit_trust(w->anchors, &w->corp);
    xn_key_id(w->corp.key, &w->sale.corp);
    xn_key_id(w->client.key, &w->sale.holder);
    xn_key_id(w->server.key, &w->sale.server);
    kit_sell(&w->sale);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    kit_clear(&w->corp);
    kit_clear(&w->other_corp);
    kit_clear(&w->client);
    kit_clear(&w->server);
    kit_clear(&w->node);
    xn_anchors_free(w->anchors);
    free(w);
    return 0;
}

static const struct kit_party *signer_of(const struct world *w,
                                         enum money_type type)
{
    switch (type) {
    case MONEY_ORDER:
    case MONEY_ACCEPTANCE:
    case MONEY_RECEIPT: return &w->corp;
    case MONEY_NARROWING:
    case MONEY_STOP: return &w->client;
    default: return &w->server;
    }
}

struct sealed {
    uint8_t *data;
    size_t len;
};

static struct sealed seal(struct money *doc, const struct kit_party *by)
{
    struct sealed out = {NULL, 0};

    assert_int_equal(money_seal(doc, by->key, by->x509, &out.data, &out.len),
                     0);
    return out;
}

static struct money_refusal said;

static enum money_reason open_at(const struct world *w, enum money_type type,
                                 const struct sealed *sealed, uint64_t at_us,
                                 struct money *out)
{
    enum money_reason reason;

    memset(&said, 'x', sizeof said);
    reason = money_open(type, sealed->data, sealed->len, w->anchors, at_us, out,
                        &said);
    if (!reason) return reason;
    assert_int_equal(said.reason, reason);
    assert_non_null(memchr(said.text, 0, sizeof said.text));
    assert_int_not_equal(said.text[0], 0);
    assert_non_null(strstr(said.text, money_name(type)));
    return reason;
}

static void test_open(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&w->sale, i), back;
        struct sealed sealed = seal(&doc, signer_of(w, doc.type));
        char *text, *again;

        if (open_at(w, doc.type, &sealed, doc.head.issued_us, &back))
            fail_msg("%s", said.text);
        assert_true(xn_id_eq(&back.head.hash, &doc.head.hash));
        assert_true(xn_id_eq(&back.head.corp, &w->sale.corp));
        text = text_of(&doc);
        again = text_of(&back);
        assert_string_equal(text, again);
        free(text);
        free(again);
        free(sealed.data);
    }
}

/* Each field of each signed document altered in place: exit 9. */
static void test_every_signed_field(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&w->sale, i), back;
        struct sealed sealed = seal(&doc, signer_of(w, doc.type));
        const struct flat_form *form = money_form(doc.type);
        size_t altered = 0;

        for (size_t j = 0; j < form->n; j++) {
            char open[80];
            uint8_t *at;

            snprintf(open, sizeof open, "<%s>", form->fields[j].name);
            at = memmem(sealed.data, sealed.len, open, strlen(open));
            if (!at) continue;
            at += strlen(open);
            *at ^= 1;
            assert_int_equal(
                open_at(w, doc.type, &sealed, doc.head.issued_us, &back),
                REASON_SIGNATURE);
            assert_int_equal(xn_exit_code(reason_rc(REASON_SIGNATURE)), 9);
            *at ^= 1;
            altered++;
        }
        assert_in_range(altered, 3, 64);
        assert_int_equal(
            open_at(w, doc.type, &sealed, doc.head.issued_us, &back), 0);
        free(sealed.data);
    }
}

/* Every byte of an envelope: none may be another. */
static void test_every_byte(void **state)
{
    struct world *w = *state;
    struct money doc = w->sale.claim, back;
    struct sealed sealed = seal(&doc, &w->server);

    for (size_t i = 0; i < sealed.len; i++) {
        enum money_reason reason;
        int code;

        sealed.data[i] ^= 1;
        reason = open_at(w, MONEY_CLAIM, &sealed, doc.head.issued_us, &back);
        code = xn_exit_code(reason_rc(reason));
        if (code != 9) fail_msg("byte %zu: %s", i, said.text);
        sealed.data[i] ^= 1;
    }
    sealed.len--;
    assert_int_equal(
        open_at(w, MONEY_CLAIM, &sealed, doc.head.issued_us, &back),
        REASON_BAD);
    free(sealed.data);
}

/* Signed by every party: only the right one may say it. */
static void test_roles(void **state)
{
    struct world *w = *state;
    const struct kit_party *parties[] = {&w->corp, &w->client, &w->server,
                                         &w->node, &w->other_corp};

    for (size_t i = 0; i < KIT_DOCS; i++) {
        for (size_t j = 0; j < sizeof parties / sizeof parties[0]; j++) {
            struct money doc = kit_get(&w->sale, i), back;
            struct sealed sealed = seal(&doc, parties[j]);
            enum money_reason reason =
                open_at(w, doc.type, &sealed, doc.head.issued_us, &back);

            if (parties[j] == signer_of(w, doc.type)) {
                assert_int_equal(reason, 0);
            } else if (parties[j] == &w->other_corp) {
                assert_int_equal(reason, REASON_STRANGER);
                assert_int_equal(xn_exit_code(reason_rc(reason)), 6);
            } else {
                assert_int_equal(reason, REASON_SIGNER);
                assert_int_equal(xn_exit_code(reason_rc(reason)), 9);
            }
            free(sealed.data);
        }
    }
}

/* The right role, but the document names another. */
static void test_names_another(void **state)
{
    struct world *w = *state;
    struct kit_party rival = kit_member(&w->corp, XN__ROLE__SERVER, "rival");
    struct money doc = w->sale.quote, back;
    struct sealed sealed;
    struct xn_buf buf;

    xn_buf_init(&buf, 0);
    assert_int_equal(money_write(&doc, &buf), 0);
    assert_int_equal(envelope_sign(buf.data, buf.len, rival.key, rival.x509,
                                   &sealed.data, &sealed.len),
                     0);
    assert_int_equal(open_at(w, MONEY_QUOTE, &sealed, NOW_US, &back),
                     REASON_SIGNER);
    free(sealed.data);
    xn_buf_clear(&buf);
    kit_clear(&rival);
}

/* As a core does it, by what the driver says of the signer. */
static void test_vouch(void **state)
{
    struct world *w = *state;
    struct money doc = w->sale.quote;
    Xn__Caller caller = XN__CALLER__INIT;
    xn_id nobody = {{0}};

    memset(&doc.head.corp, 0, sizeof doc.head.corp);
    caller.role = XN__ROLE__SERVER;
    assert_int_equal(money_vouch(&doc, &caller, NOW_US, &said), REASON_SIGNER);
    caller.id = xn_id_bytes(&w->sale.server);
    assert_int_equal(money_vouch(&doc, &caller, NOW_US, &said), REASON_SIGNER);
    caller.corp = xn_id_bytes(&nobody);
    assert_int_equal(money_vouch(&doc, &caller, NOW_US, &said), REASON_SIGNER);
    assert_true(xn_id_is_zero(&doc.head.corp));
    caller.corp = xn_id_bytes(&w->sale.corp);
    assert_int_equal(money_vouch(&doc, &caller, NOW_US, &said), 0);
    assert_true(xn_id_eq(&doc.head.corp, &w->sale.corp));
    /* A second look that fails takes the first one back. */
    caller.role = XN__ROLE__ANYBODY;
    assert_int_equal(money_vouch(&doc, &caller, NOW_US, &said), REASON_SIGNER);
    assert_true(xn_id_is_zero(&doc.head.corp));
}

static void test_times(void **state)
{
    struct world *w = *state;
    struct money doc = w->sale.quote, back;
    uint64_t issued_us = doc.head.issued_us;
    struct sealed sealed = seal(&doc, &w->server);

    assert_int_equal(
        open_at(w, MONEY_QUOTE, &sealed, issued_us - MONEY_AHEAD_US_MAX, &back),
        0);
    assert_int_equal(open_at(w, MONEY_QUOTE, &sealed,
                             issued_us - MONEY_AHEAD_US_MAX - 1, &back),
                     REASON_FUTURE);
    assert_int_equal(xn_exit_code(reason_rc(REASON_FUTURE)), 8);
    assert_int_equal(
        open_at(w, MONEY_QUOTE, &sealed, NOW_US + 91 * DAY_US, &back),
        REASON_CERTIFICATE);
    assert_int_equal(xn_exit_code(reason_rc(REASON_CERTIFICATE)), 8);
    free(sealed.data);
}

static void test_not_xml(void **state)
{
    struct world *w = *state;
    struct sealed sealed;
    struct money back;

    assert_int_equal(envelope_sign((const uint8_t *)"<a/>", 4, w->server.key,
                                   w->server.x509, &sealed.data, &sealed.len),
                     0);
    assert_int_equal(open_at(w, MONEY_QUOTE, &sealed, NOW_US, &back),
                     REASON_BAD);
    free(sealed.data);
    sealed = seal(&w->sale.claim, &w->server);
    assert_int_equal(
        open_at(w, MONEY_QUOTE, &sealed, w->sale.claim.head.issued_us, &back),
        REASON_BAD);
    free(sealed.data);
}

/* ---- reasons ---- */

static void test_reasons(void **state)
{
    struct money_refusal refusal;
    int n = 0;

    (void)state;
#define X(symbol, code, because, try) n++;
    REASONS(X)
#undef X
    for (int i = 0; i < n; i++) {
        int code = xn_exit_code(reason_rc(i));

        assert_int_equal(reason_refuse(&refusal, i, NULL), i);
        assert_int_equal(refusal.reason, i);
        assert_int_not_equal(refusal.text[0], 0);
        assert_null(strstr(refusal.text, ": "));
        assert_int_not_equal(reason_name(i)[0], 0);
        assert_non_null(reason_try(i));
        if (i == REASON_FINE || i == REASON_REPEATED) {
            assert_int_equal(code, 0);
        } else if (i == REASON_NOMEM) {
            assert_int_equal(code, 1);
        } else {
            assert_true(code == 5 || code == 6 || code == 8 || code == 9);
        }
    }
    assert_int_equal(REASON_FINE, 0);
    assert_int_equal(reason_refuse(NULL, REASON_WIDENS, "%d", 1),
                     REASON_WIDENS);
    reason_refuse(&refusal, REASON_WIDENS, "%300d", 1); /* is cut */
    assert_int_equal(strlen(refusal.text), REASON_TEXT_MAX - 1);
}

/* PROTOCOL has a row for each. */
static void test_reasons_told(void **state)
{
    const char *src = getenv("XN_SRC");
    char path[4096], row[400], *page = calloc(1, 1 << 20);
    size_t len;
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/doc/PROTOCOL.md", src ? src : ".");
    f = fopen(path, "r");
    if (!f) fail_msg("%s cannot be read", path);
    len = fread(page, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(len > 0);
#define X(symbol, code, because, try)                                          \
    if (REASON_##symbol != REASON_FINE) {                                      \
        snprintf(row, sizeof row, "| `%s` | %s | %d |\n", #symbol, because,    \
                 xn_exit_code(code));                                          \
        if (!strstr(page, row)) fail_msg("PROTOCOL.md lacks %s", row);         \
    }
    REASONS(X)
#undef X
    free(page);
}

static void test_text(void **state)
{
    char text[MONEY_TEXT_MAX];

    (void)state;
    assert_string_equal(money_text(12500000, "GBP", text), "12.5 GBP");
    assert_string_equal(money_text(0, "USD", text), "0 USD");
    assert_string_equal(money_text(INT64_MIN, "USD", text),
                        "-9223372036854.775808 USD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_every_signed_field),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_names_another),
        cmocka_unit_test(test_vouch),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_not_xml),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_reasons_told),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
