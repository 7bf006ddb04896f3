/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include <pthread.h>
#include <stdio.h>

#include "lib/buf.h"
#include "wire/advert.h"
#include "wire/xml.h"

#define HEAD                                                                   \
    "<XenoServerAdvertisement xmlns=\"urn:xenoserver:advertisement:1\""        \
    " version=\"1795255200000000\">"
#define SERVER                                                                 \
    "<Server><ServerName>otter</ServerName><XenoCorp>alpha.example</XenoCorp>" \
    "<Endpoint>https://127.0.0.1:1</Endpoint></Server>"
#define LINUX "<Environment><EnvType>Linux</EnvType></Environment>"
#define AMOUNT                                                                 \
    "<Availability><CPUsmps>8000</CPUsmps>"                                    \
    "<MemoryMB>6144</MemoryMB></Availability>"
#define PRICES                                                                 \
    "<Prices currency=\"GBP\">"                                                \
    "<PricePerHour>0.0121</PricePerHour></Prices>"
#define BASIC HEAD SERVER LINUX AMOUNT PRICES
#define TAIL "</XenoServerAdvertisement>"

static char why[256];

static int parse_bytes(const void *xml, size_t len, struct advert **out)
{
    uint8_t *exact = malloc(len ? len : 1);
    int rc;

    if (len) memcpy(exact, xml, len);
    memset(why, 'x', sizeof why);
    rc = advert_parse(exact, len, out, why, sizeof why);
    free(exact);
    assert_non_null(memchr(why, 0, sizeof why));
    return rc;
}

static struct advert *good(const char *xml)
{
    struct advert *advert = NULL;
    int rc = parse_bytes(xml, strlen(xml), &advert);

    if (rc) fail_msg("%s: %s", xn_errname(rc), why);
    assert_int_equal(why[0], 0);
    return advert;
}

static int bad(const char *xml)
{
    struct advert *advert = NULL;
    int rc = parse_bytes(xml, strlen(xml), &advert);

    if (rc) assert_int_not_equal(why[0], 0);
    if (!rc) advert_free(advert);
    return rc;
}

static const char *text(const struct advert *advert, size_t row,
                        const char *token)
{
    const struct advert_value *value =
        advert_row_get(&advert->rows[row], token);

    return value ? value->text : NULL;
}

/* The value's first character; NUL where the row lacks the token. */
static char initial(const struct advert *a, size_t row, const char *token)
{
    const char *value = text(a, row, token);

    return value ? value[0] : '\0';
}

static void test_basic(void **state)
{
    struct advert *a = good(BASIC TAIL);
    const struct advert_value *value;

    (void)state;
    assert_int_equal(a->version, 1795255200000000ULL);
    assert_string_equal(a->server_name, "otter");
    assert_string_equal(a->currency, "GBP");
    assert_int_equal(a->n_rows, 1);
    assert_int_equal(a->n_tokens, 8);
    for (size_t i = 1; i < a->n_tokens; i++)
        assert_true(strcmp(a->tokens[i - 1], a->tokens[i]) < 0);
    value = advert_row_get(&a->rows[0], "PricePerHour");
    assert_true(value->is_number);
    assert_true(value->number.v == XN_DEC_ONE / 10000 * 121);
    assert_string_equal(value->text, "0.0121");
    assert_false(advert_row_get(&a->rows[0], "EnvType")->is_number);
    assert_null(advert_row_get(&a->rows[0], "Server"));
    assert_null(advert_row_get(&a->rows[0], "Zebra"));
    assert_null(advert_row_get(&a->rows[0], "A"));
    advert_free(a);
    advert_free(NULL);
}

static void test_two_environments(void **state)
{
    struct advert *a =
        good(HEAD SERVER
             "<Environment><EnvType>Linux</EnvType>"
             "<EnvKernel>6.1</EnvKernel></Environment>"
             "<Environment><EnvType>NetBSD</EnvType>"
             "<EnvKernel>9.3</EnvKernel></Environment>" AMOUNT PRICES TAIL);

    (void)state;
    assert_int_equal(a->n_rows, 2);
    assert_string_equal(text(a, 0, "EnvType"), "Linux");
    assert_string_equal(text(a, 0, "EnvKernel"), "6.1");
    assert_string_equal(text(a, 1, "EnvType"), "NetBSD");
    assert_string_equal(text(a, 1, "EnvKernel"), "9.3");
    assert_string_equal(text(a, 1, "CPUsmps"), "8000");
    assert_false(advert_row_get(&a->rows[0], "EnvKernel")->is_number);
    advert_free(a);
}

/* Two corps, two environments, two GPUs: eight rows, each pair once. */
static void test_product(void **state)
{
    struct advert *a = good(
        HEAD
        "<Server><ServerName>otter</ServerName>"
        "<XenoCorp>alpha.example</XenoCorp><XenoCorp>beta.example"
        "</XenoCorp><Endpoint>e</Endpoint></Server>" LINUX
        "<Environment><EnvType>NetBSD</EnvType></Environment>" AMOUNT PRICES
        "<GPU><GPUModel>a</GPUModel><GPUMemoryMB>1</GPUMemoryMB>"
        "</GPU><GPU><GPUModel>b</GPUModel></GPU>" TAIL);
    unsigned seen = 0;

    (void)state;
    assert_int_equal(a->n_rows, 8);
    for (size_t i = 0; i < 8; i++) {
        unsigned n = (initial(a, i, "XenoCorp") == 'b') |
                     (initial(a, i, "EnvType") == 'N') << 1 |
                     (initial(a, i, "GPUModel") == 'b') << 2;

        seen |= 1U << n;
        assert_int_equal(text(a, i, "GPUMemoryMB") != NULL,
                         initial(a, i, "GPUModel") == 'a');
    }
    assert_int_equal(seen, 0xff);
    advert_free(a);
}

/* `n` environments, each with `corps` of a repeated element within. */
static int rows_of(unsigned n, unsigned each, size_t *rows_out)
{
    struct advert *a = NULL;
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, 0);
    xn_buf_str(&buf, HEAD SERVER);
    for (unsigned i = 0; i < n; i++) {
        xn_buf_printf(&buf, "<Environment><EnvType>E%u</EnvType>", i);
        for (unsigned j = 0; j < each; j++)
            xn_buf_printf(&buf, "<f:Fork xmlns:f=\"urn:f\">%u</f:Fork>", j);
        xn_buf_str(&buf, "</Environment>");
    }
    xn_buf_str(&buf, AMOUNT PRICES TAIL);
    rc = parse_bytes(buf.data, buf.len, &a);
    if (!rc) *rows_out = a->n_rows;
    advert_free(a);
    xn_buf_clear(&buf);
    return rc;
}

static void test_row_bound(void **state)
{
    size_t rows = 0;

    (void)state;
    assert_int_equal(rows_of(32, 1, &rows), 0);
    assert_int_equal(rows, 32);
    assert_int_equal(rows_of(33, 1, &rows), XN_ETOOBIG);
    assert_int_equal(rows_of(8, 4, &rows), 0);
    assert_int_equal(rows, 32);
    assert_int_equal(rows_of(8, 5, &rows), XN_ETOOBIG);
    assert_int_equal(rows_of(1, 33, &rows), XN_ETOOBIG);
    assert_int_equal(rows_of(1, 400, &rows), XN_ETOOBIG);
}

static void test_extras(void **state)
{
    struct advert *a = good(
        BASIC "<Coordinate x=\"12.1\" y=\"-40.7\" h=\"3.2\" error=\"0.08\"/>"
              "<Cores>8.0</Cores><Model>8 cores</Model><Empty/>"
              "<m:Mine xmlns:m=\"urn:mine\" a=\"b\">x &amp; <![CDATA[<y>]]>"
              "&#65;</m:Mine><Big>100000000000000000000000000</Big>" TAIL);

    (void)state;
    assert_int_equal(a->n_rows, 1);
    assert_string_equal(text(a, 0, "CoordinateX"), "12.1");
    assert_string_equal(text(a, 0, "CoordinateY"), "-40.7");
    assert_string_equal(text(a, 0, "CoordinateH"), "3.2");
    assert_string_equal(text(a, 0, "CoordinateError"), "0.08");
    assert_true(advert_row_get(&a->rows[0], "Cores")->is_number);
    assert_false(advert_row_get(&a->rows[0], "Model")->is_number);
    assert_string_equal(text(a, 0, "Empty"), "");
    assert_false(advert_row_get(&a->rows[0], "Empty")->is_number);
    assert_string_equal(text(a, 0, "Mine"), "x & <y>A");
    /* Too large for an exact decimal: a string. */
    assert_false(advert_row_get(&a->rows[0], "Big")->is_number);
    advert_free(a);
    a = good(BASIC "<Tag>a</Tag><Tag>b</Tag><Spaced>\n  b c \t</Spaced>" TAIL);
    assert_int_equal(a->n_rows, 2);
    assert_string_equal(text(a, 0, "Tag"), "a");
    assert_string_equal(text(a, 1, "Tag"), "b");
    assert_string_equal(text(a, 0, "Spaced"), "b c");
    advert_free(a);
}

static void test_schema(void **state)
{
    (void)state;
    assert_int_equal(bad(HEAD TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD LINUX AMOUNT PRICES TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD SERVER AMOUNT PRICES TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD SERVER LINUX PRICES TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD SERVER LINUX AMOUNT TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD LINUX SERVER AMOUNT PRICES TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC PRICES TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC LINUX TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC SERVER TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<Status xmlns=\"urn:f\"/>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(HEAD SERVER LINUX AMOUNT "<Prices/>" TAIL),
                     XN_ESCHEMA);
    assert_int_equal(
        bad(HEAD SERVER LINUX AMOUNT "<Prices currency=\"gbp\"/>" TAIL),
        XN_ESCHEMA);
    assert_int_equal(
        bad(HEAD SERVER LINUX
            "<Availability><CPUsmps>lots"
            "</CPUsmps><MemoryMB>1</MemoryMB></Availability>" PRICES TAIL),
        XN_ESCHEMA);
    assert_int_equal(
        bad(HEAD SERVER LINUX
            "<Availability><CPUsmps>-1"
            "</CPUsmps><MemoryMB>1</MemoryMB></Availability>" PRICES TAIL),
        XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<Coordinate x=\"1\" y=\"1\" h=\"1\"/>" TAIL),
                     XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<Coordinate x=\"1\" y=\"1\" h=\"-1\" "
                               "error=\"0\"/>" TAIL),
                     XN_ESCHEMA);
    assert_int_equal(
        bad(BASIC "<Coordinate x=\"1\" y=\"1\" h=\"1\" error=\"0\"/>"
                  "<Coordinate x=\"1\" y=\"1\" h=\"1\" error=\"0\"/>" TAIL),
        XN_ESCHEMA);
    assert_int_equal(bad("<Coordinate xmlns=\"urn:xenoserver:advertisement:1\" "
                         "x=\"1\" y=\"1\" h=\"1\" error=\"0\"/>"),
                     XN_ESCHEMA);
    assert_int_equal(bad("<a/>"), XN_ESCHEMA);
    assert_int_equal(bad("<XenoServerAdvertisement version=\"1\"/>"),
                     XN_ESCHEMA);
    assert_int_equal(bad(HEAD "<Server xmlns:xsi=\"http://www.w3.org/2001/"
                              "XMLSchema-instance\" xsi:nil=\"true\"/>" TAIL),
                     XN_ESCHEMA);
}

static void test_why(void **state)
{
    (void)state;
    assert_int_equal(bad(BASIC "\n<GPU><a><b/></a></GPU>" TAIL), XN_ESCHEMA);
    assert_string_equal(why, "line 2: a: plain text is wanted here");
    assert_int_equal(bad("<a>\n\n<b></a>"), XN_EINVAL);
    assert_memory_equal(why, "line 3: ", 8);
    assert_int_equal(bad(HEAD SERVER LINUX AMOUNT "<Prices/>" TAIL),
                     XN_ESCHEMA);
    assert_non_null(strstr(why, "currency"));
    /* None wanted, or no room: no harm. */
    assert_int_equal(advert_parse((const uint8_t *)"<a>", 3, NULL, NULL, 0),
                     XN_EINVAL);
    assert_int_equal(advert_parse((const uint8_t *)"<a>", 3, NULL, why, 1),
                     XN_EINVAL);
    assert_int_equal(why[0], 0);
}

static void test_flattening_refuses(void **state)
{
    struct xn_buf buf;

    (void)state;
    /* A token in two parts. */
    assert_int_equal(bad(BASIC "<CPUsmps>9</CPUsmps>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A><T>1</T></A><B><T>1</T></B>" TAIL),
                     XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<CoordinateX>9</CoordinateX>"
                               "<Coordinate x=\"1\" y=\"1\" h=\"1\" "
                               "error=\"0\"/>" TAIL),
                     XN_ESCHEMA);
    /* A known amount elsewhere keeps its type. */
    assert_int_equal(bad(BASIC "<DiskGB>40</DiskGB>" TAIL), 0);
    assert_int_equal(bad(BASIC "<DiskGB>lots</DiskGB>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<NetGB>-1</NetGB>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>x</A><A><B>y</B></A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>x<B>y</B></A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>x<!-- -->y</A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>x<?y?></A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>x\ny</A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "stray" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<\xc3\xa9>1</\xc3\xa9>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<!-- fine --><A>x</A>" TAIL), 0);
    for (int over = 0; over < 2; over++) {
        struct advert *a = NULL;

        xn_buf_init(&buf, 0);
        xn_buf_str(&buf, BASIC "<A>");
        for (int i = 0; i < XN_VALUE_MAX + over; i++)
            xn_buf_char(&buf, 'v');
        xn_buf_str(&buf, "</A>" TAIL);
        assert_int_equal(parse_bytes(buf.data, buf.len, &a),
                         over ? XN_ESCHEMA : 0);
        advert_free(a);
        xn_buf_clear(&buf);
    }
}

static void test_version(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"1", 0},
        {"9223372036854775807", 0},
        {"9223372036854775808", XN_ESCHEMA},
        {"99999999999999999999", XN_ESCHEMA},
        {"0", XN_ESCHEMA},
        {"-1", XN_ESCHEMA},
        {"+1", XN_ESCHEMA},
        {" 1", XN_ESCHEMA},
        {"01", XN_ESCHEMA},
        {"1.0", XN_ESCHEMA},
        {"", XN_ESCHEMA},
    };
    char xml[2048];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(xml, sizeof xml,
                 "<XenoServerAdvertisement"
                 " xmlns=\"urn:xenoserver:advertisement:1\" version=\"%s\">"
                 "%s</XenoServerAdvertisement>",
                 cases[i].text, SERVER LINUX AMOUNT PRICES);
        assert_int_equal(bad(xml), cases[i].rc);
    }
}

/* ---- XML that means harm ---- */

static void test_documents_types(void **state)
{
    (void)state;
    assert_int_equal(
        bad("<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;&b;\">"
            "<!ENTITY d \"&c;&c;&c;\">]><a>&d;</a>"),
        XN_EINVAL);
    assert_non_null(strstr(why, "document type"));
    assert_int_equal(bad("<!DOCTYPE a><a/>"), XN_EINVAL);
    assert_int_equal(bad("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"),
                     XN_EINVAL);
    assert_int_equal(bad("<a>&unknown;</a>"), XN_EINVAL);
    assert_int_equal(bad(""), XN_EINVAL);
    assert_int_equal(bad("  "), XN_EINVAL);
    assert_int_equal(bad("text"), XN_EINVAL);
    assert_int_equal(bad("<a/><b/>"), XN_EINVAL);
    assert_int_equal(bad(BASIC), XN_EINVAL);
    assert_int_equal(bad("<a b='<'/>"), XN_EINVAL);
    assert_int_equal(bad("<a"), XN_EINVAL);
    assert_int_equal(bad("<a b=\"x>"), XN_EINVAL);
    assert_int_equal(bad("<!-- "), XN_EINVAL);
    assert_int_equal(bad("<a><![CDATA[ </a>"), XN_EINVAL);
    assert_int_equal(bad("<?xml version=\"1.0\""), XN_EINVAL);
}

static void test_encodings(void **state)
{
    static const char utf16[] = "\xff\xfe<\0a\0/\0>\0";
    struct advert *a = NULL;

    (void)state;
    assert_int_equal(
        bad("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" BASIC TAIL),
        XN_EINVAL);
    assert_string_equal(why, "not UTF-8");
    assert_int_equal(bad("<?xml version='1.0' encoding='UTF-16'?>" BASIC TAIL),
                     XN_EINVAL);
    assert_int_equal(bad("<?xml version='1.0' encoding='utf-8'?>" BASIC TAIL),
                     0);
    assert_int_equal(bad("<?xml version=\"1.0\"?>" BASIC TAIL), 0);
    assert_int_equal(bad("\xef\xbb\xbf<?xml version=\"1.0\" "
                         "encoding=\"UTF-8\"?>" BASIC TAIL),
                     0);
    assert_int_equal(bad("\xef\xbb\xbf<?xml version=\"1.0\" "
                         "encoding=\"UTF-7\"?>" BASIC TAIL),
                     XN_EINVAL);
    assert_int_equal(parse_bytes(utf16, sizeof utf16 - 1, &a), XN_EINVAL);
    assert_int_equal(parse_bytes("<a>\0</a>", 8, &a), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>caf\xc3\xa9 \xf0\x9f\xa6\xa6</A>" TAIL), 0);
    assert_int_equal(bad(BASIC "<A>\xe9</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>\xc0\xaf</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>\xed\xa0\x80</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>\xe2\x82</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>\xf4\x90\x80\x80</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>\x01</A>" TAIL), XN_EINVAL);
    assert_int_equal(bad(BASIC "<A>a\x7f</A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>a\xc2\x9b"
                               "31m</A>" TAIL),
                     XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>a&#x85;</A>" TAIL), XN_ESCHEMA);
    assert_int_equal(bad(BASIC "<A>a\xc2\xa0z</A>" TAIL), 0);
}

static int nested(unsigned depth)
{
    struct advert *a = NULL;
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, 0);
    for (unsigned i = 0; i < depth; i++)
        xn_buf_str(&buf, "<a>");
    for (unsigned i = 0; i < depth; i++)
        xn_buf_str(&buf, "</a>");
    rc = parse_bytes(buf.data, buf.len, &a);
    xn_buf_clear(&buf);
    return rc;
}

static int attributes(unsigned n)
{
    struct advert *a = NULL;
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, 0);
    xn_buf_str(&buf, BASIC "<A");
    for (unsigned i = 0; i < n; i++)
        xn_buf_printf(&buf, " a%u='>'", i);
    xn_buf_str(&buf, "/>" TAIL);
    rc = parse_bytes(buf.data, buf.len, &a);
    if (!rc) advert_free(a);
    xn_buf_clear(&buf);
    return rc;
}

static int elements(unsigned n)
{
    struct advert *a = NULL;
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, 0);
    xn_buf_str(&buf, BASIC);
    for (unsigned i = 0; i < n; i++)
        xn_buf_printf(&buf, "<A%u/>", i);
    xn_buf_str(&buf, TAIL);
    rc = parse_bytes(buf.data, buf.len, &a);
    if (!rc) advert_free(a);
    xn_buf_clear(&buf);
    return rc;
}

static int padded_to(size_t len)
{
    char *xml = malloc(len);
    struct advert *a = NULL;
    int rc;

    memset(xml, ' ', len);
    memcpy(xml, BASIC, sizeof BASIC - 1);
    memcpy(xml + len - (sizeof TAIL - 1), TAIL, sizeof TAIL - 1);
    rc = parse_bytes(xml, len, &a);
    if (!rc) advert_free(a);
    free(xml);
    return rc;
}

static void test_bounds(void **state)
{
    (void)state;
    assert_int_equal(nested(ADVERT_DEPTH_MAX), XN_ESCHEMA); /* parsed */
    assert_int_equal(nested(ADVERT_DEPTH_MAX + 1), XN_EINVAL);
    assert_int_equal(nested(4000), XN_EINVAL);
    assert_int_equal(attributes(XML_ATTRIBUTES_MAX), 0);
    assert_int_equal(attributes(XML_ATTRIBUTES_MAX + 1), XN_EINVAL);
    assert_int_equal(attributes(1000), XN_EINVAL);
    assert_int_equal(elements(ADVERT_TOKENS_MAX - 8), 0);
    assert_int_equal(elements(ADVERT_TOKENS_MAX - 7), XN_ETOOBIG);
    assert_int_equal(elements(XML_ELEMENTS_MAX + 1), XN_ETOOBIG);
    assert_int_equal(padded_to(ADVERT_BYTES_MAX), 0);
    assert_int_equal(padded_to(ADVERT_BYTES_MAX + 1), XN_ETOOBIG);
}

/* No prefix of a good document is good. */
static void test_cut(void **state)
{
    static const char xml[] = BASIC TAIL;
    struct advert *a = NULL;

    (void)state;
    for (size_t len = 0; len < sizeof xml - 1; len++)
        assert_int_equal(parse_bytes(xml, len, &a), XN_EINVAL);
}

/* ---- no memory, many threads ---- */

static long allocations_left = -1; /* -1: as many as wanted */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return __real_calloc(n, size);
}

static void test_no_memory(void **state)
{
    static const char xml[] =
        BASIC "<Tag>a</Tag><Tag>b</Tag><G><a>1</a><a>2</a></G>" TAIL;
    struct advert *a = NULL;
    long n = 0;
    int rc;

    (void)state;
    for (;; n++) {
        allocations_left = n;
        rc = advert_parse((const uint8_t *)xml, sizeof xml - 1, &a, NULL, 0);
        allocations_left = -1;
        if (!rc) break;
        assert_int_equal(rc, XN_ENOMEM);
    }
    assert_true(n >= 3);
    assert_int_equal(a->n_rows, 4);
    advert_free(a);
}

static void *parse_many(void *ok)
{
    static const char xml[] = BASIC "<Tag>a</Tag><Tag>b</Tag>" TAIL;

    for (int i = 0; i < 200; i++) {
        struct advert *a = NULL;

        if (advert_parse((const uint8_t *)xml, sizeof xml - 1, &a, NULL, 0)) {
            return NULL;
        }
        if (a->n_rows != 2) return NULL;
        advert_free(a);
        if (!advert_parse((const uint8_t *)xml, sizeof xml - 3, &a, NULL, 0)) {
            return NULL;
        }
    }
    return ok;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    void *ok;

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, parse_many, why), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_ptr_equal(ok, why);
    }
}

/* ---- writing ---- */

static const char *const corps[] = {"alpha.example", "beta.example"};
static const struct advert_environment environments[] = {{"Linux", "6.1", "pv"},
                                                         {"NetBSD", NULL, ""}};
static const struct advert_extra extras[] = {{"GPUs", "2"},
                                             {"Motto", "<a> & \"b\" 'c'"}};

static struct advert_offer whole_offer(void)
{
    return (struct advert_offer){
        .server_name = "otter",
        .corps = corps,
        .n_corps = 2,
        .endpoint = "https://127.0.0.1:4711/",
        .architecture = "x86_64",
        .country = "GB",
        .city = "King's Lynn",
        .environments = environments,
        .n_environments = 2,
        .cpu_smps = "8000",
        .memory_mb = "6144",
        .disk_gb = "40",
        .net_mbps = "100",
        .ipv4_addresses = "3",
        .cpu_utilisation = "0.21",
        .sessions = "4",
        .clients = "3",
        .currency = "GBP",
        .price_per_hour = "0.0121",
        .cpu_second = "0.000001",
        .memory_mb_hour = "0.0000002",
        .net_gb = "0.05",
        .setup = "0",
        .disk_gb_hour = "0.0001",
        .coord_x = "12.1",
        .coord_y = "-40.7",
        .coord_h = "3.2",
        .coord_error = "0.08",
        .extras = extras,
        .n_extras = 2,
    };
}

static void test_write(void **state)
{
    struct advert_offer offer = whole_offer();
    struct advert *a = NULL;
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, ADVERT_BYTES_MAX);
    assert_int_equal(advert_write(&offer, 7, &buf), 0);
    if (parse_bytes(buf.data, buf.len, &a) != 0) fail_msg("%s", why);
    assert_int_equal(a->version, 7);
    assert_int_equal(a->n_rows, 4);
    assert_int_equal(a->n_tokens, 28 + 2);
    assert_string_equal(text(a, 0, "Motto"), "<a> & \"b\" 'c'");
    assert_string_equal(text(a, 3, "City"), "King's Lynn");
    assert_string_equal(text(a, 0, "DiskGBHour"), "0.0001");
    assert_string_equal(text(a, 0, "CoordinateY"), "-40.7");
    advert_free(a);
    xn_buf_clear(&buf);
}

static void test_write_least(void **state)
{
    struct advert_offer offer = {.server_name = "otter",
                                 .corps = corps,
                                 .n_corps = 1,
                                 .endpoint = "e",
                                 .environments = environments,
                                 .n_environments = 1,
                                 .cpu_smps = "1",
                                 .memory_mb = "1",
                                 .currency = "USD"};
    struct advert_extra odd = {"not a token", "x"};
    struct advert *a = NULL;
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 0);
    assert_int_equal(advert_write(&offer, 1, &buf), 0);
    if (parse_bytes(buf.data, buf.len, &a) != 0) fail_msg("%s", why);
    advert_free(a);
    xn_buf_clear(&buf);
    offer.extras = &odd;
    offer.n_extras = 1;
    assert_int_equal(advert_write(&offer, 1, &buf), XN_EINVAL);
    xn_buf_clear(&buf);
    odd = (struct advert_extra){"Token", "a\x01"};
    assert_int_equal(advert_write(&offer, 1, &buf), XN_EINVAL);
    xn_buf_clear(&buf);
    xn_buf_init(&buf, 100);
    odd.value = "a";
    assert_int_equal(advert_write(&offer, 1, &buf), XN_ETOOBIG);
    xn_buf_clear(&buf);
}

/* ---- tokens ---- */

static void test_tokens(void **state)
{
    struct advert_offer offer = whole_offer();
    const struct xn_token_info *table;
    struct advert *a = NULL;
    struct xn_buf buf;
    size_t n;

    (void)state;
    table = xn_token_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (i) assert_true(strcmp(table[i - 1].name, table[i].name) < 0);
        assert_ptr_equal(xn_token_info(table[i].name), &table[i]);
        assert_true(xn_token_valid(table[i].name, strlen(table[i].name)));
    }
    assert_null(xn_token_info("GPU"));
    assert_true(xn_token_info(XN_TOKEN_EVERY)->mandatory);
    assert_true(xn_token_info("PricePerHour")->price);
    assert_int_equal(xn_token_info("EnvKernel")->type, XN_TOKEN_STRING);
    /* The table has what the schema has: every row comes out of a whole
     * offer, and what must be there is mandatory. */
    xn_buf_init(&buf, 0);
    assert_int_equal(advert_write(&offer, 7, &buf), 0);
    assert_int_equal(parse_bytes(buf.data, buf.len, &a), 0);
    for (size_t i = 0; i < n; i++)
        assert_non_null(advert_row_get(&a->rows[0], table[i].name));
    advert_free(a);
    xn_buf_clear(&buf);
    a = good(HEAD SERVER LINUX AMOUNT "<Prices currency=\"GBP\"/>" TAIL);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(advert_row_get(&a->rows[0], table[i].name) != NULL,
                         table[i].mandatory);
    }
    advert_free(a);
}

static void test_token_names(void **state)
{
    char longest[XN_TOKEN_MAX + 2];

    (void)state;
    memset(longest, 'a', sizeof longest);
    assert_true(xn_token_valid(longest, XN_TOKEN_MAX));
    assert_false(xn_token_valid(longest, XN_TOKEN_MAX + 1));
    assert_false(xn_token_valid("", 0));
    assert_true(xn_token_valid("_a.b-c9", 7));
    assert_false(xn_token_valid("9a", 2));
    assert_false(xn_token_valid("-a", 2));
    assert_false(xn_token_valid("a:b", 3));
    assert_false(xn_token_valid("a b", 3));
    assert_false(xn_token_valid("\xc3\xa9", 2));
}

/* Test vectors of doc/PROTOCOL.md. */
static void test_token_keys(void **state)
{
    char hex[XN_ID_HEX];
    xn_id key;

    (void)state;
    xn_token_key("CPUsmps", NULL, 0, false, &key);
    xn_id_hex(&key, hex);
    assert_string_equal(
        hex,
        "67d5261b316fcdfa806837985f2e9094b66cc89bce6310b9549b48cc6bc17453");
    xn_token_key("CPUsmps", NULL, 0, true, &key);
    xn_id_hex(&key, hex);
    assert_string_equal(
        hex,
        "b6d47951dde44b47f462e5061cddef8f14ed8a4b4f5db7c7144428d72f327e3e");
    xn_token_key("CPUsmps", (const uint8_t *)"\x80", 1, false, &key);
    xn_id_hex(&key, hex);
    assert_string_equal(
        hex,
        "a15b55468f9a9d10a5eea9c58107d5c0ab746e2a7900e4edeb3db472e085c9f5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), /* first: they race to compile */
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_two_environments),
        cmocka_unit_test(test_product),
        cmocka_unit_test(test_row_bound),
        cmocka_unit_test(test_extras),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_flattening_refuses),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_documents_types),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_least),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_names),
        cmocka_unit_test(test_token_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
