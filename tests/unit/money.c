/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documents of money: their form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"

#include "tests/unit/money_kit.h"
#include "wire/flat.h"
#include "wire/xml.h"

static char why[256];

static int parse(enum money_type type, const char *xml, size_t len,
                 struct money *out)
{
    uint8_t *exact = malloc(len ? len : 1);
    int rc;

    if (len) memcpy(exact, xml, len);
    memset(why, 'x', sizeof why);
    rc = money_parse(type, exact, len, out, why, sizeof why);
    free(exact);
    assert_non_null(memchr(why, 0, sizeof why));
    assert_int_equal(why[0] == 0, rc == 0);
    return rc;
}

static char *text_of(struct money *doc)
{
    struct xn_buf buf;

    xn_buf_init(&buf, 0);
    assert_int_equal(money_write(doc, &buf), 0);
    return xn_buf_steal_str(&buf);
}

/* ---- the form ---- */

/* PROTOCOL shows this one. */
static const char golden[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Claim xmlns=\"urn:xenoserver:money:1\">\n"
    "  <Server>5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
    "</Server>\n"
    "  <Issued>2026-11-21T11:00:00Z</Issued>\n"
    "  "
    "<Session>5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
    "</Session>\n"
    "  <Sequence>1</Sequence>\n"
    "  <Previous>%s</Previous>\n"
    "  <Till>2026-11-21T11:00:00Z</Till>\n"
    "  <UsedHours>1</UsedHours>\n"
    "  <UsedCPUSeconds>3600.5</UsedCPUSeconds>\n"
    "  <UsedMemoryMBHours>512</UsedMemoryMBHours>\n"
    "  <UsedNetGB>0.25</UsedNetGB>\n"
    "  <UsedDiskGBHours>19.999999999999</UsedDiskGBHours>\n"
    "  <Currency>GBP</Currency>\n"
    "  <Amount>0.121629</Amount>\n"
    "  <State>running</State>\n"
    "  <Activity>make -j2 &amp; &quot;tests&quot; &lt;all&gt;</Activity>\n"
    "</Claim>\n";

static void test_golden(void **state)
{
    char hex[XN_ID_HEX], expected[2048], *text;
    struct money back;
    struct sale s;

    (void)state;
    kit_sale(&s);
    xn_id_hex(&s.acceptance.head.hash, hex);
    snprintf(expected, sizeof expected, golden, hex);
    text = text_of(&s.claim);
    assert_string_equal(text, expected);
    assert_int_equal(parse(MONEY_CLAIM, text, strlen(text), &back), 0);
    assert_true(back.claim.amount == 121629);
    assert_true(back.claim.usage.cpu_s.v == kit_dec("3600.5").v);
    assert_string_equal(back.claim.activity, "make -j2 & \"tests\" <all>");
    assert_int_equal(back.claim.state, MONEY_RUNNING);
    assert_true(back.claim.till_us == KIT_NOW_US + KIT_HOUR_US);
    assert_true(xn_id_is_zero(&back.head.corp));
    free(text);
}

/* What is written reads back to the same, and the hash is of its bytes. */
static void test_round_trip(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&s, i), back;
        char *text = text_of(&doc), *again;
        xn_id hash;

        assert_int_equal(parse(doc.type, text, strlen(text), &back), 0);
        xn_id_hash(text, strlen(text), &hash);
        assert_true(xn_id_eq(&hash, &doc.head.hash));
        assert_true(xn_id_eq(&hash, &back.head.hash));
        again = text_of(&back);
        assert_string_equal(text, again);
        /* Of another type it is not. */
        for (int type = 0; type < MONEY_TYPES; type++) {
            int rc = parse(type, text, strlen(text), &back);

            assert_int_equal(rc, type == (int)doc.type ? 0 : XN_ESCHEMA);
        }
        free(again);
        free(text);
    }
}

/* Where element `name` begins and ends with its tags; NULL: it is not there. */
static const char *element(const char *xml, const char *name, size_t *len_out)
{
    char open[80], shut[80];
    const char *at, *end;

    snprintf(open, sizeof open, "  <%s>", name);
    snprintf(shut, sizeof shut, "</%s>\n", name);
    at = strstr(xml, open);
    if (!at) return NULL;
    end = strstr(at, shut);
    assert_non_null(end);
    *len_out = (size_t)(end - at) + strlen(shut);
    return at;
}

/* xml with [at, at + len) replaced by `by`. */
static char *splice(const char *xml, const char *at, size_t len, const char *by)
{
    char *out = malloc(strlen(xml) + strlen(by) + 1);

    memcpy(out, xml, (size_t)(at - xml));
    strcpy(out + (at - xml), by);
    strcat(out, at + len);
    return out;
}

static bool schema_takes(const char *xml)
{
    struct xml_why nobody = {NULL, 0};
    xmlDoc *doc = NULL;
    int rc = xml_parse((const uint8_t *)xml, strlen(xml), &doc, &nobody);

    if (!rc) rc = xml_validate(doc, XML_MONEY, &nobody);
    xmlFreeDoc(doc);
    return rc == 0;
}

/* Without the schema. */
static int reader_alone(enum money_type type, const char *xml)
{
    struct flat_form form = *money_form(type);
    struct xml_why line = {why, sizeof why};
    struct money back = {.type = type};

    form.schema = -1;
    why[0] = 0;
    return flat_read(&form, (const uint8_t *)xml, strlen(xml), &back, &line);
}

/* Refused by the reader alone, by the schema alone too unless `loose`, with a
 * line that names the element. */
static void refused(enum money_type type, const char *xml, const char *name,
                    bool loose)
{
    struct money back;
    int rc = parse(type, xml, strlen(xml), &back);

    assert_int_equal(rc, XN_ESCHEMA);
    rc = reader_alone(type, xml);
    if (rc != XN_ESCHEMA || (name && !strstr(why, name)))
        fail_msg("%s: %s: %s\n%s", name, xn_errname(rc), why, xml);
    if (schema_takes(xml) != loose) fail_msg("schema: %s\n%s", name, xml);
}

static void with_value(const struct money *doc, const char *xml,
                       const struct flat_field *field, const char *value,
                       bool loose)
{
    char by[1024], *altered;
    const char *at;
    size_t len;

    at = element(xml, field->name, &len);
    assert_non_null(at);
    snprintf(by, sizeof by, "  <%s>%s</%s>\n", field->name, value, field->name);
    altered = splice(xml, at, len, by);
    refused(doc->type, altered, field->name, loose);
    free(altered);
}

struct bad_value {
    const char *text;
    bool loose; /* XML Schema takes it */
};

#define HEX63 "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
#define ZEROS16 "0000000000000000"

static const struct bad_value bad_ids[] = {
    {HEX63, false},      {HEX63 "5e", false},
    {HEX63 "E", false},  {HEX63 "g", false},
    {HEX63 " 5", false}, {ZEROS16 ZEROS16 ZEROS16 ZEROS16, true},
    {"<x/>", false},     {"", false},
    {"0x" HEX63, false}, {NULL, false},
};
static const struct bad_value bad_times[] = {
    {"", false},
    {"2026-11-21", false},
    {"2026-11-21T10:00:00", false},
    {"2026-11-21T10:00:00z", false},
    {"2026-11-21T10:00:00+00:00", false},
    {"2026-11-21T24:00:00Z", true},
    {"2026-11-21T10:60:00Z", false},
    {"2026-11-21T10:00:60Z", false},
    {"2026-02-29T10:00:00Z", false},
    {"2026-13-01T10:00:00Z", false},
    {"2026-00-01T10:00:00Z", false},
    {"2026-11-00T10:00:00Z", false},
    {"2026-11-31T10:00:00Z", false},
    {"2026-11-21T10:00:00.0Z", false},
    {"2026-11-21T10:00:00.10Z", false},
    {"2026-11-21T10:00:00.0000001Z", false},
    {"2026-11-21T10:00:00.Z", false},
    {"20260-11-21T10:00:00Z", false},
    {"-2026-11-21T10:00:00Z", false},
    {"1969-12-31T23:59:59Z", true},
    {"1970-01-01T00:00:00Z", true},
    {"1795255200", false},
    {NULL, false},
};
static const struct bad_value bad_money[] = {
    {"", false},
    {"-1", false},
    {"+1", false},
    {"1e3", false},
    {"01", false},
    {".5", false},
    {"1.", false},
    {"1.0000001", false},
    {"1,5", false},
    {"9223372036854.775808", false},
    {"10000000000000", false},
    {"NaN", false},
    {"INF", false},
    {"0x10", false},
    {"1 0", false},
    {NULL, false},
};
static const struct bad_value bad_decimals[] = {
    {"", false},    {"-1", false},
    {"+1", false},  {"1e3", false},
    {"00", false},  {".5", false},
    {"1.", false},  {"0.0000000000001", false},
    {"INF", false}, {"10000000000000000000000000", false},
    {"1 0", false}, {NULL, false},
};
static const struct bad_value bad_counts[] = {
    {"", false},    {"-1", false}, {"1.0", false},
    {"01", false},  {"+1", false}, {"9223372036854775808", false},
    {"1e3", false}, {NULL, false},
};
static const struct bad_value bad_currencies[] = {
    {"", false},    {"gbp", false}, {"GB", false}, {"GBPP", false},
    {"G P", false}, {"GB1", false}, {NULL, false},
};
static const struct bad_value bad_texts[] = {
    {"", false},
    {"  ", false},
    {"a<b/>", false},
    {NULL, false},
};
static const struct bad_value bad_words[] = {
    {"", false},           {"Used", false}, {"run", false},
    {"final used", false}, {NULL, false},
};
static const struct bad_value *const bad_values[] = {
    [FLAT_ID] = bad_ids,       [FLAT_UTC] = bad_times,
    [FLAT_MONEY] = bad_money,  [FLAT_DECIMAL] = bad_decimals,
    [FLAT_COUNT] = bad_counts, [FLAT_CURRENCY] = bad_currencies,
    [FLAT_TEXT] = bad_texts,   [FLAT_WORD] = bad_words,
};

/* Each element: every bad value; away; twice; with an attribute; with a comment
 * within.  Reader and schema agree but where the schema cannot say it. */
static void alter_field(const struct money *doc, const char *xml,
                        const struct flat_field *field)
{
    const struct bad_value *bad = bad_values[field->type];
    char by[1024], *altered;
    struct money back;
    const char *at;
    size_t len;

    at = element(xml, field->name, &len);
    if (!at) return;
    for (; bad->text; bad++)
        with_value(doc, xml, field, bad->text, bad->loose);
    if (field->positive) with_value(doc, xml, field, "0", false);
    altered = splice(xml, at, len, "");
    if (field->need == FLAT_MUST) {
        refused(doc->type, altered, field->name, false);
    } else {
        assert_int_equal(parse(doc->type, altered, strlen(altered), &back), 0);
        assert_false(xn_id_eq(&back.head.hash, &doc->head.hash));
    }
    free(altered);
    snprintf(by, sizeof by, "%.*s%.*s", (int)len, at, (int)len, at);
    altered = splice(xml, at, len, by);
    refused(doc->type, altered, field->name, false);
    free(altered);
    snprintf(by, sizeof by, "  <%s a=\"b\">", field->name);
    altered = splice(xml, at, strlen(field->name) + 4, by);
    refused(doc->type, altered, field->name, false);
    free(altered);
    snprintf(by, sizeof by, "  <%s><!--c-->", field->name);
    altered = splice(xml, at, strlen(field->name) + 4, by);
    refused(doc->type, altered, field->name, true);
    free(altered);
}

static void test_every_field(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&s, i);
        const struct flat_form *form = money_form(doc.type);
        char *text = text_of(&doc);

        assert_true(schema_takes(text));
        for (size_t j = 0; j < form->n; j++)
            alter_field(&doc, text, &form->fields[j]);
        free(text);
    }
}

/* Every field stands in one of the sale's documents, or the test above would
 * pass it over. */
static void test_kit_is_whole(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (int type = 0; type < MONEY_TYPES; type++) {
        const struct flat_form *form = money_form(type);

        for (size_t j = 0; j < form->n; j++) {
            size_t found = 0, len;

            /* A corp may name server, type and quote as well. */
            if (type == MONEY_ORDER && j >= form->n - 3) continue;
            for (size_t i = 0; i < KIT_DOCS; i++) {
                struct money doc = kit_get(&s, i);
                char *text = text_of(&doc);

                if ((int)doc.type == type)
                    found += element(text, form->fields[j].name, &len) != NULL;
                free(text);
            }
            if (!found) fail_msg("%s", form->fields[j].name);
        }
    }
}

static void test_order_of_elements(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&s, i);
        char *text = text_of(&doc), *line = strstr(text, "\n  <") + 1;

        /* Each element and the next change places. */
        while (line[0] == ' ' && *(strchr(line, '\n') + 1) == ' ') {
            char *next = strchr(line, '\n') + 1;
            char *end = strchr(next, '\n') + 1, by[2048], *altered;

            snprintf(by, sizeof by, "%.*s%.*s", (int)(end - next), next,
                     (int)(next - line), line);
            altered = splice(text, line, (size_t)(end - line), by);
            refused(doc.type, altered, NULL, false);
            free(altered);
            line = next;
        }
        free(text);
    }
}

#define HEX64 HEX63 "e"
#define STOP_BODY                                                              \
    "<Holder>" HEX64 "</Holder><Issued>2026-11-21T10:00:00Z</Issued>"          \
    "<Narrowing>" HEX64 "</Narrowing>"
#define STOP "<Stop xmlns=\"urn:xenoserver:money:1\">"

static int stop(const char *xml)
{
    struct money back;

    return parse(MONEY_STOP, xml, strlen(xml), &back);
}

static void test_strict(void **state)
{
    char *large = malloc(MONEY_BYTES_MAX + 2);
    int n;

    (void)state;
    assert_int_equal(stop(STOP STOP_BODY "</Stop>"), 0);
    assert_int_equal(
        stop("<m:Stop xmlns:m=\"urn:xenoserver:money:1\"><m:Holder>" HEX64
             "</m:Holder>\n <m:Issued> 2026-11-21T10:00:00Z\n</m:Issued>"
             "<m:Narrowing>" HEX64 "</m:Narrowing></m:Stop>"),
        0);
    assert_int_equal(stop("<Stop>" STOP_BODY "</Stop>"), XN_ESCHEMA);
    assert_int_equal(stop("<Stop xmlns=\"urn:x\">" STOP_BODY "</Stop>"),
                     XN_ESCHEMA);
    assert_int_equal(stop(STOP "<!-- c -->" STOP_BODY "</Stop>"), XN_ESCHEMA);
    assert_int_equal(stop(STOP "<?p i?>" STOP_BODY "</Stop>"), XN_ESCHEMA);
    assert_int_equal(stop(STOP "x" STOP_BODY "</Stop>"), XN_ESCHEMA);
    assert_int_equal(stop("<!-- c -->" STOP STOP_BODY "</Stop>"), XN_ESCHEMA);
    assert_int_equal(stop(STOP STOP_BODY "</Stop><!-- c -->"), XN_ESCHEMA);
    assert_int_equal(stop(STOP STOP_BODY "</Stop>x"), XN_EINVAL);
    assert_int_equal(stop(STOP STOP_BODY "<More>1</More></Stop>"), XN_ESCHEMA);
    assert_int_equal(
        reader_alone(MONEY_STOP, STOP STOP_BODY "<More>1</More></Stop>"),
        XN_ESCHEMA);
    assert_int_equal(stop(STOP STOP_BODY "<x:More xmlns:x=\"urn:x\"/></Stop>"),
                     XN_ESCHEMA);
    assert_int_equal(stop("<!DOCTYPE Stop>" STOP STOP_BODY "</Stop>"),
                     XN_EINVAL);
    assert_int_equal(
        stop("<Stop xmlns=\"urn:xenoserver:money:1\" a=\"b\">" STOP_BODY
             "</Stop>"),
        XN_ESCHEMA);
    assert_int_equal(
        stop("<Stop xmlns=\"urn:xenoserver:money:1\" xmlns:xsi=\"http://www.w3"
             ".org/2001/XMLSchema-instance\" xsi:type=\"Stop\">" STOP_BODY
             "</Stop>"),
        XN_ESCHEMA);
    assert_int_equal(stop(""), XN_EINVAL);
    n = snprintf(large, MONEY_BYTES_MAX + 2, "%s%*s%s", STOP,
                 (int)(MONEY_BYTES_MAX - strlen(STOP STOP_BODY "</Stop>")), "",
                 STOP_BODY "</Stop>");
    assert_int_equal(n, MONEY_BYTES_MAX);
    assert_int_equal(stop(large), 0);
    strcat(large, "\n");
    assert_int_equal(stop(large), XN_ETOOBIG);
    free(large);
}

static void test_cut(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&s, i), back;
        char *text = text_of(&doc);

        for (size_t len = 0; len + 1 < strlen(text); len++)
            assert_int_not_equal(parse(doc.type, text, len, &back), 0);
        free(text);
    }
}

/* What no document says of itself. */
static void test_sense(void **state)
{
    struct money limited = {.type = MONEY_NARROWING};
    struct xn_buf buf = {0};
    struct sale s;

    (void)state;
    kit_sale(&s);
    s.order.order.limits.until_us = s.order.order.limits.from_us;
    assert_int_equal(money_write(&s.order, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
    s.order.order.limits.from_us = 0;
    s.order.order.limits.until_us = s.order.head.issued_us;
    assert_int_equal(money_write(&s.order, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
    limited.narrowing = s.narrowings[1];
    limited.narrowing.limits.until_us = limited.narrowing.limits.from_us;
    assert_int_equal(money_write(&limited, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
    s.quote.quote.until_us = s.quote.head.issued_us;
    assert_int_equal(money_write(&s.quote, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
    s.acceptance.acceptance.prepaid = s.acceptance.acceptance.amount + 1;
    assert_int_equal(money_write(&s.acceptance, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
    s.receipt.receipt.amount = s.receipt.receipt.charge - 1;
    assert_int_equal(money_write(&s.receipt, &buf), XN_ESCHEMA);
    xn_buf_clear(&buf);
}

/* What cannot be said is not written. */
static int written(struct money *doc)
{
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, MONEY_BYTES_MAX);
    rc = money_write(doc, &buf);
    xn_buf_clear(&buf);
    return rc;
}

static void test_writer_refuses(void **state)
{
    struct money_claim *claim;
    struct sale s;

    (void)state;
    kit_sale(&s);
    claim = &s.claim.claim;
    memset(claim->activity, 'a', XN_VALUE_MAX);
    claim->activity[XN_VALUE_MAX] = 0;
    assert_int_equal(written(&s.claim), 0);
    memset(claim->activity, '&', XN_VALUE_MAX);
    assert_int_equal(written(&s.claim), 0);
    memset(claim->activity, 'a', sizeof claim->activity); /* no end */
    assert_int_equal(written(&s.claim), XN_EINVAL);
    strcpy(claim->activity, " a");
    assert_int_equal(written(&s.claim), XN_EINVAL);
    strcpy(claim->activity, "a ");
    assert_int_equal(written(&s.claim), XN_EINVAL);
    strcpy(claim->activity, "a\nb");
    assert_int_equal(written(&s.claim), XN_EINVAL);
    strcpy(claim->activity, "a\177b");
    assert_int_equal(written(&s.claim), XN_EINVAL);
    strcpy(claim->activity, "\xff");
    assert_int_not_equal(written(&s.claim), 0);
    strcpy(claim->activity, "caf\xc3\xa9");
    assert_int_equal(written(&s.claim), 0);
    claim->state = 2;
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->state = MONEY_FINAL;
    claim->amount = -1;
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->amount = INT64_MAX;
    assert_int_equal(written(&s.claim), 0);
    claim->usage.hours.v = -1;
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->usage.hours.v = 0;
    claim->sequence = 0;
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->sequence = (uint64_t)INT64_MAX + 1;
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->sequence = INT64_MAX;
    assert_int_equal(written(&s.claim), 0);
    claim->till_us = 253402300800000000ULL; /* the year 10000 */
    assert_int_equal(written(&s.claim), XN_EINVAL);
    claim->till_us--;
    assert_int_equal(written(&s.claim), 0);
    memset(claim->currency, 'G', sizeof claim->currency); /* no end */
    assert_int_equal(written(&s.claim), XN_EINVAL);
    memset(&claim->previous, 0, sizeof claim->previous);
    strcpy(claim->currency, "GBP");
    assert_int_equal(written(&s.claim), XN_EINVAL);
}

/* ---- without memory ---- */

static long allocations_left = -1; /* below zero: no bound */

static bool may_allocate(void)
{
    if (allocations_left == 0) return false;
    if (allocations_left > 0) allocations_left--;
    return true;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return may_allocate() ? __real_realloc(old, size) : NULL;
}

/* Each allocation of ours fails in turn. */
static void test_no_memory(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    for (size_t i = 0; i < KIT_DOCS; i++) {
        struct money doc = kit_get(&s, i);
        long n = 0;
        int rc;

        do {
            allocations_left = n++;
            rc = written(&doc);
            allocations_left = -1;
            if (rc) assert_int_equal(rc, XN_ENOMEM);
        } while (rc);
        assert_true(n > 2);
    }
}

/* What people write for an amount. */
static void test_amounts(void **state)
{
    static const struct {
        const char *text;
        int64_t micro;
    } right[] = {
        {"5GBP", 5000000},
        {"10.50GBP", 10500000},
        {"10.50 GBP", 10500000},
        {"0.000001GBP", 1},
        {"9223372036854.775807GBP", INT64_MAX},
    };
    static const char *const wrong[] = {"",
                                        "GBP",
                                        "5",
                                        "0GBP",
                                        "5gbp",
                                        "5 GBPX",
                                        "5GB",
                                        "-5GBP",
                                        "+5GBP",
                                        "1e3GBP",
                                        "5.GBP",
                                        "GBP5",
                                        "5GBP ",
                                        "0.0000001GBP",
                                        "5,5GBP",
                                        "5 5GBP",
                                        "1.2.3GBP",
                                        ".5.GBP",
                                        "9223372036854.775808GBP",
                                        "99999999999999999999999999999GBP"};
    char currency[MONEY_CURRENCY_SIZE];
    int64_t micro;

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        micro = 0;
        assert_int_equal(money_amount_parse(right[i].text, &micro, currency),
                         0);
        assert_true(micro == right[i].micro);
        assert_string_equal(currency, "GBP");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (money_amount_parse(wrong[i], &micro, currency) != XN_EINVAL)
            fail_msg("'%s' is taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_kit_is_whole),
        cmocka_unit_test(test_order_of_elements),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_sense),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
