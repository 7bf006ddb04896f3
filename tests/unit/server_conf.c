/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing a configuration leaves everything else as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostagent/xenoserver.h"
#include "lib/buf.h"
#include "lib/err.h"

static const struct {
    const char *name, *text, *key, *value, *want; /* want NULL: refused */
} cases[] = {
    {"a value is replaced",
     "# mine\noffer {\n    city = \"Ulm\" # yes\n    country = \"DE\"\n}\n",
     "offer.city", "Bonn",
     "# mine\noffer {\n    city = \"Bonn\" # yes\n    country = \"DE\"\n}\n"},
    {"a bare value is replaced", "offer {\n cpu_smps = 4000\n}\n",
     "offer.cpu_smps", "8000", "offer {\n cpu_smps = \"8000\"\n}\n"},
    {"a missing key is added before the brace",
     "offer {\n    city = \"Ulm\"\n}\nprice { }\n", "offer.country", "DE",
     "offer {\n    city = \"Ulm\"\n    country = \"DE\"\n}\nprice { }\n"},
    {"also where all stands on one line", "price { currency = \"GBP\" }\n",
     "price.net_gb", "1",
     "price { currency = \"GBP\" \n    net_gb = \"1\"\n}\n"},
    {"a missing section is added", "offer { }", "price.net_gb", "1",
     "offer { }\nprice {\n    net_gb = \"1\"\n}\n"},
    {"what is left out becomes a comment", "offer {\n    city = \"Ulm\"\n}\n",
     "offer.city", NULL, "offer {\n    #city = \"Ulm\"\n}\n"},
    {"its own comment behind it stays one",
     "offer {\n    city = \"Ulm\" # home\n}\n", "offer.city", NULL,
     "offer {\n    #city = \"Ulm\" # home\n}\n"},
    {"what else is on its line stays in force",
     "offer {\n    city = \"Ulm\" country = \"DE\"\n}\n", "offer.city", NULL,
     "offer {\n    #city = \"Ulm\"\n country = \"DE\"\n}\n"},
    {"and is gone where it has no line of its own",
     "offer { city = \"Ulm\" }\n", "offer.city", NULL, "offer {  }\n"},
    {"such a comment is taken back", "offer {\n    #city = \"Ulm\"\n}\n",
     "offer.city", "Bonn", "offer {\n    city = \"Bonn\"\n}\n"},
    {"a remark about the key is none",
     "offer {\n    # city = the nearest one\n}\n", "offer.city", "Ulm",
     "offer {\n    # city = the nearest one\n    city = \"Ulm\"\n}\n"},
    {"the same name in another section is another key",
     "place {\n    x = \"1\"\n}\noffer {\n}\n", "offer.x", "2",
     "place {\n    x = \"1\"\n}\noffer {\n    x = \"2\"\n}\n"},
    {"braces in texts and comments are none",
     "offer {\n    # }\n    city = \"}\" /* } */\n    country = \"DE\"\n}\n",
     "offer.country", "GB",
     "offer {\n    # }\n    city = \"}\" /* } */\n    country = \"GB\"\n}\n"},
    {"quotes and backslashes are escaped", "offer {\n}\n", "offer.tokens",
     "A=\"b\\;c\"", "offer {\n    tokens = \"A=\\\"b\\\\;c\\\"\"\n}\n"},
    {"a value with a line's end is refused", "offer {\n}\n", "offer.city",
     "Ulm\ncountry = \"DE\"", NULL},
    {"so is one that would be expanded", "offer {\n}\n", "offer.city",
     "${HOME}", NULL},
    {"a section that is not closed is refused", "offer {\n city = \"a\"\n",
     "offer.city", "b", NULL},
    {"a text that is not closed is refused", "offer {\n city = \"a\n}\n",
     "offer.city", "b", NULL},
    {"what is not there is left out already", "offer {\n}\n", "offer.city",
     NULL, "offer {\n}\n"},
};

static void changes_what_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xn_buf out;
        char *text;
        int rc;

        xn_buf_init(&out, 4096);
        rc = server_conf_set(cases[i].text, cases[i].key, cases[i].value, &out);
        text = xn_buf_steal_str(&out);
        if (!cases[i].want) {
            if (rc != XN_EINVAL) fail_msg("%s: %d", cases[i].name, rc);
        } else if (rc || strcmp(text, cases[i].want) != 0) {
            fail_msg("%s: %d '%s'", cases[i].name, rc, text);
        }
        free(text);
    }
}

/* Cut anywhere, it is refused or changed, and never read past its end. */
static void any_prefix_is_survived(void **state)
{
    static const char whole[] =
        "# a\noffer {\n  city = \"U\\\"lm\" // b\n  /* c */ country = 'D'\n}\n"
        "price { currency = GBP }\n";

    (void)state;
    for (size_t n = 0; n < sizeof whole; n++) {
        char *text = strndup(whole, n);
        struct xn_buf out;

        xn_buf_init(&out, 4096);
        (void)server_conf_set(text, "offer.country", n % 2 ? "GB" : NULL, &out);
        (void)server_conf_set(text, "price.setup", "1", &out);
        xn_buf_clear(&out);
        free(text);
    }
}

/* "#A" and "#B" written out; the caller's. */
static char *with_ids(const char *text, const char id[2][XN_ID_HEX])
{
    struct xn_buf out;

    xn_buf_init(&out, 4096);
    for (; *text; text++) {
        xn_buf_char(&out, *text);
        if (*text == '#') xn_buf_str(&out, id[*++text - 'A']);
    }
    xn_buf_str(&out, "");
    return xn_buf_steal_str(&out);
}

/* What an operator added stays, and a XenoCorp that moved is followed. */
static void xenocorps_are_added(void **state)
{
    static const char id[2][XN_ID_HEX] = {
        "0101010101010101010101010101010101010101010101010101010101010101",
        "0202020202020202020202020202020202020202020202020202020202020202"};
    struct net_corp corps[2] = {{.url = "https://a:1", .pinned = true},
                                {.url = "https://b:1", .pinned = true}};
    struct net_corp moved = {.url = "https://a:2", .pinned = true};
    const struct {
        const char *list, *want;
        const struct net_corp *now;
    } rows[] = {
        {"", "https://a:1#A https://b:1#B", NULL},
        {"https://x:9 https://b:7#B", "https://x:9 https://b:7#B https://a:1#A",
         NULL},
        {" https://a:1#A  https://b:1#B ", "https://a:2#A https://b:1#B",
         &moved},
    };

    (void)state;
    memset(corps[0].id.b, 1, sizeof corps[0].id.b);
    memset(corps[1].id.b, 2, sizeof corps[1].id.b);
    moved.id = corps[0].id;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *list = with_ids(rows[i].list, id),
             *want = with_ids(rows[i].want, id), *got;
        struct xn_buf out;

        xn_buf_init(&out, 4096);
        assert_int_equal(server_conf_corps(list, corps, 2, rows[i].now, &out),
                         0);
        got = xn_buf_steal_str(&out);
        assert_string_equal(got, want);
        free(got);
        free(list);
        free(want);
    }
}

static void knows_its_own_node(void **state)
{
    char host[SERVER_HOST_MAX];

    (void)state;
    assert_true(server_self_node("https://127.0.0.1:7402", host));
    assert_string_equal(host, "127.0.0.1");
    assert_true(server_self_node(
        "https://192.0.2.1:7402  https://127.0.0.2:7402 ", host));
    assert_string_equal(host, "127.0.0.2");
    assert_false(server_self_node("", host));
    assert_false(server_self_node("https://192.0.2.1:7402", host));
    assert_false(server_self_node("https://127.0.0.1:7403", host));
    assert_false(server_self_node("https://node.example:7402", host));
    assert_false(server_self_node("https://:7402", host));
}

static void says_where_a_key_stands(void **state)
{
    static const char text[] = "offer {\n    city = \"Ulm\"\n  #net_gb = 1\n}\n"
                               "price { net_gb = \"x\" }\n";
    unsigned line = 0, column = 0;

    (void)state;
    assert_true(server_conf_find(text, "price.net_gb", &line, &column));
    assert_int_equal(line, 5);
    assert_int_equal(column, 9);
    assert_false(server_conf_find(text, "offer.net_gb", &line, &column));
    assert_false(server_conf_find(text, "place.x", &line, &column));
}

/* What is written is understood by xenohostd, and says what was asked for. */
static void a_new_one_is_good(void **state)
{
    static const struct net_setting rows[] = {
        {"a.text", NET_TEXT, NULL, 1, 80, "a \"text\" of { braces }"},
        {"b.span", NET_SPAN, "15m", 1000000, 86400000000ULL, "a time"},
        {"a.more", NET_TEXT, NULL, 1, 80, "another"},
    };
    const char *values[] = {"x\\y \"z\"", NULL, NULL};
    struct net_settings *settings = NULL;
    struct xn_buf out;
    char *text, why[200] = "";

    (void)state;
    xn_buf_init(&out, 4096);
    assert_int_equal(server_conf_new(rows, 3, values, &out), 0);
    text = xn_buf_steal_str(&out);
    assert_int_equal(net_settings_new(rows, 3, &settings), 0);
    if (net_settings_parse(settings, "new", text, why, sizeof why))
        fail_msg("%s in '%s'", why, text);
    assert_string_equal(net_settings_text(settings, "a.text"), values[0]);
    assert_null(net_settings_text(settings, "a.more"));
    net_settings_free(settings);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_what_it_should),
        cmocka_unit_test(any_prefix_is_survived),
        cmocka_unit_test(xenocorps_are_added),
        cmocka_unit_test(knows_its_own_node),
        cmocka_unit_test(says_where_a_key_stands),
        cmocka_unit_test(a_new_one_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
