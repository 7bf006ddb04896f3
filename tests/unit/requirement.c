/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include "lib/buf.h"
#include "wire/requirement.h"

static char why[256];

static int parse(const char *xml, struct query **out)
{
    return requirement_parse((const uint8_t *)xml, strlen(xml), out, why,
                             sizeof why);
}

/* The document as --where text, or the error's name. */
static const char *where(const char *xml)
{
    static char text[2048];
    struct query *query = NULL;
    struct xn_buf buf;
    int rc = parse(xml, &query);

    if (rc) return xn_errname(rc);
    xn_buf_init(&buf, sizeof text - 1);
    assert_int_equal(query_text(query, &buf), 0);
    if (buf.len) memcpy(text, buf.data, buf.len);
    text[buf.len] = 0;
    xn_buf_clear(&buf);
    query_free(query);
    return text;
}

/* The same query as this --where text? */
static void same(const char *xml, const char *expected)
{
    struct query_error error;
    struct query *query = NULL;
    struct xn_buf buf;
    int rc = query_parse_where(expected, &query, &error);
    char *text;

    if (rc) fail_msg("%s: %s", expected, error.text);
    xn_buf_init(&buf, 0);
    assert_int_equal(query_text(query, &buf), 0);
    text = xn_buf_steal_str(&buf);
    query_free(query);
    assert_string_equal(where(xml), text);
    free(text);
}

/* II-A.3, with "..." left out. */
static const char paper[] = "<EnvironmentalRequirements>\n"
                            "  <Basic>\n"
                            "    <EnvName>MyEnvironment</EnvName>\n"
                            "    <EnvType>Linux</EnvType>\n"
                            "    <EnvKernel>2.4.18</EnvKernel>\n"
                            "  </Basic>\n"
                            "  <Network>\n"
                            "    <EnvIPAddresses>1</EnvIPAddresses>\n"
                            "  </Network>\n"
                            "  <QoS>\n"
                            "    <CPUsmps>150</CPUsmps>\n"
                            "    <NetMbps>5</NetMbps>\n"
                            "  </QoS>\n"
                            "</EnvironmentalRequirements>\n";

static void test_paper(void **state)
{
    (void)state;
    same(paper, "EnvType = \"Linux\" and EnvKernel = \"2.4.18\" and "
                "IPv4Addresses >= 1 and CPUsmps >= 150 and NetMbps >= 5");
}

#define DOC(body)                                                              \
    "<EnvironmentalRequirements xmlns=\"urn:xenoserver:requirements:1\">" body \
    "</EnvironmentalRequirements>"

static void test_parts(void **state)
{
    (void)state;
    same(DOC("<Resources><MemoryMB>512</MemoryMB></Resources>"
             "<Location><Country>GB</Country></Location><City>London</City>"),
         "MemoryMB >= 512 and Country = \"GB\" and City = \"London\"");
    same(DOC("<Basic><EnvType>a \"b\" \\ &lt;c&gt; and 'd'</EnvType></Basic>"),
         "EnvType = \"a \\\"b\\\" \\\\ <c> and 'd'\"");
    same(DOC("<QoS><x:Depth xmlns:x=\"urn:x\">2.5</x:Depth></QoS>"),
         "Depth >= 2.5");
}

static void test_empty(void **state)
{
    struct query *query = NULL;

    (void)state;
    assert_int_equal(parse("<EnvironmentalRequirements/>", &query), 0);
    assert_int_equal(query_conditions(query), 0);
    query_free(query);
    assert_int_equal(
        parse(DOC("<QoS/><Basic><EnvName>x</EnvName></Basic>"), &query), 0);
    assert_int_equal(query_conditions(query), 0);
    query_free(query);
}

static void test_job_and_budget(void **state)
{
    struct query *query = NULL;

    (void)state;
    assert_int_equal(parse(DOC("<Budget currency=\"GBP\">10</Budget>"
                               "<Job>cpu=2h</Job>"),
                           &query),
                     0);
    assert_string_equal(query_currency(query), "GBP");
    assert_string_equal(query_proto(query)->budget, "10");
    assert_true(query_uses_price(query));
    query_free(query);
    assert_string_equal(where(DOC("<Budget>10</Budget>")), "ESCHEMA");
    assert_non_null(strstr(why, "Budget"));
    assert_string_equal(where(DOC("<Job>cpu=much</Job>")), "ESCHEMA");
    assert_string_equal(where(DOC("<Budget currency=\"pounds\">1</Budget>")),
                        "ESCHEMA");
    assert_string_equal(where(DOC("<Job>cpu=2h</Job><Job>cpu=2h</Job>")),
                        "ESCHEMA");
}

static void test_refused(void **state)
{
    (void)state;
    assert_string_equal(where(DOC("<QoS><CPUsmps>fast</CPUsmps></QoS>")),
                        "ESCHEMA");
    assert_string_equal(where(DOC("<QoS><Speed>fast</Speed></QoS>")),
                        "ESCHEMA");
    assert_non_null(strstr(why, "not an amount"));
    assert_string_equal(where(DOC("<QoS><Speed>-1</Speed></QoS>")), "ESCHEMA");
    assert_string_equal(where(DOC("<Network><EnvIPAddresses>x"
                                  "</EnvIPAddresses></Network>")),
                        "ESCHEMA");
    assert_string_equal(where(DOC("<Basic><A/></Basic>")), "ESCHEMA");
    assert_string_equal(where(DOC("<Basic><EnvType> </EnvType></Basic>")),
                        "ESCHEMA");
    assert_string_equal(where(DOC("<Basic>x</Basic>")), "ESCHEMA");
    assert_string_equal(where(DOC("<Basic><A><B>1</B></A></Basic>")),
                        "ESCHEMA");
    assert_string_equal(where("<Basic/>"), "ESCHEMA");
    assert_string_equal(
        where("<EnvironmentalRequirements xmlns=\"urn:other\"/>"), "ESCHEMA");
    assert_string_equal(where("<!DOCTYPE EnvironmentalRequirements>"
                              "<EnvironmentalRequirements/>"),
                        "EINVAL");
    assert_string_equal(where("<EnvironmentalRequirements>"), "EINVAL");
    assert_string_equal(where(""), "EINVAL");
}

static void test_many(void **state)
{
    struct query *query = NULL;
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 0);
    xn_buf_str(&buf, "<EnvironmentalRequirements>");
    for (int i = 0; i < QUERY_TERMS_MAX + 10; i++)
        xn_buf_printf(&buf, "<T%d>1</T%d>", i, i);
    xn_buf_str(&buf, "</EnvironmentalRequirements>");
    assert_int_equal(
        requirement_parse(buf.data, buf.len, &query, why, sizeof why),
        XN_ETOOBIG);
    assert_int_not_equal(why[0], 0);
    xn_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_job_and_budget),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
