/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenofind as a program against nodes that lie, hide or are silent. */
#include "tests/unit/find_kit.h"

#include <signal.h>
#include <stdio.h>

/* Another server's advertisement is true, but is no answer. */
static void test_get_of_another(void **state)
{
    struct kit_child child;
    char url[96], a[XN_ID_HEX], args[128];

    (void)state;
    find_spawn(&find_node, HIDES, &child);
    xn_id_hex(&find_ads[7].server, a);
    snprintf(args, sizeof args, "get %s", a);
    assert_exit(9, find_url(&child, url), args);
    assert_says("it is not the server that was asked for");
    kit_kill(&child, SIGTERM);
    find_spawn(&find_node, SILENT, &child);
    assert_exit(10, find_url(&child, url), args);
    kit_kill(&child, SIGTERM);
}

/* One of two is rejected: that it advertises nothing is not known. */
static void test_get_of_one_hidden(void **state)
{
    struct kit_child child;
    char url[96], a[XN_ID_HEX], b[XN_ID_HEX], args[256];

    (void)state;
    find_spawn(&find_node, HIDES_7, &child);
    xn_id_hex(&find_ads[3].server, a);
    xn_id_hex(&find_ads[7].server, b);
    snprintf(args, sizeof args, "get %s %s -o name", a, b);
    assert_exit(9, find_url(&child, url), args);
    assert_string_equal(find_out + 4, "-s003\n");
    assert_null(strstr(find_err, "XS-3-SERVER"));
    kit_kill(&child, SIGTERM);
}

/* Whose revocations are not known is said, of those shown. */
static void test_unlisted(void **state)
{
    static const int ways[] = {LATE, UNLISTED};
    struct kit_child child;
    char url[96];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        find_spawn(&find_node, ways[i], &child);
        assert_exit(0, find_url(&child, url), "ServerName:s003");
        assert_says("a server shown may be revoked [XS-0-REVOKED]");
        assert_exit(3, url, "CPUsmps:9000..");
        assert_null(strstr(find_err, "XS-0-REVOKED"));
        kit_kill(&child, SIGTERM);
    }
    find_spawn(&find_node, TRUE_, &child);
    assert_exit(0, find_url(&child, url), "ServerName:s003");
    assert_null(strstr(find_err, "XS-0-REVOKED"));
    kit_kill(&child, SIGTERM);
}

/* A liar first, a true one second: nothing false, the liar named. */
static void test_liars(void **state)
{
    static const int ways[] = {ALTERS, SCRAMBLES, GARBLES};
    struct kit_child liar, honest;
    char urls[256], url[96], hex[XN_ID_HEX];
    json_t *top;

    (void)state;
    xn_id_hex(&find_node.cert.id, hex);
    find_spawn(&find_node2, TRUE_, &honest);
    for (size_t i = 0; i < 3; i++) {
        find_spawn(&find_node, ways[i], &liar);
        find_url(&liar, url);
        snprintf(urls, sizeof urls, "%s https://%s", url, honest.api);
        assert_exit(0, urls, "CPUsmps:1100.. -n 5 -o json");
        top = find_json();
        assert_int_equal(find_shown(top), 5);
        assert_true(find_rejected(top) > 0);
        assert_string_equal(
            json_string_value(json_object_get(
                json_array_get(json_object_get(top, "rejected"), 0), "via")),
            hex);
        assert_says("is not to be believed");
        json_decref(top);
        kit_kill(&liar, SIGTERM);
    }
    kit_kill(&honest, SIGTERM);
}

static void test_avoid(void **state)
{
    struct kit_child child;
    char url[96];
    json_t *top;

    (void)state;
    find_spawn(&find_node, ALTERS_BY_SOURCE, &child);
    assert_exit(0, find_url(&child, url), "-n all -o json");
    top = find_json();
    assert_int_equal(find_shown(top), ADS);
    assert_true(find_rejected(top) > 0);
    json_decref(top);
    kit_kill(&child, SIGTERM);
}

static void test_only_lies(void **state)
{
    struct kit_child child;
    char url[96];
    json_t *top;

    (void)state;
    find_spawn(&find_node, ALTERS, &child);
    assert_exit(9, find_url(&child, url), "ServerName:s003 -o json");
    top = find_json();
    assert_int_equal(find_shown(top), 0);
    json_decref(top);
    assert_exit(9, url, "ServerName:s003 -o xml");
    assert_non_null(strstr(find_out, "<Rejected node=\""));
    xmlFreeDoc(find_xml());
    kit_kill(&child, SIGTERM);
}

static void test_hiding(void **state)
{
    struct kit_child child;
    char url[96];
    json_t *top;

    (void)state;
    find_spawn(&find_node2, HIDES, &child);
    assert_exit(0, find_url(&child, url), "CPUsmps:1100.. --paranoid -o json");
    top = find_json();
    assert_int_equal(find_shown(top), 10);
    assert_int_equal(find_rejected(top), 1);
    assert_says("hides a live advertisement");
    json_decref(top);
    assert_exit(0, url, "CPUsmps:1100.. -o json");
    top = find_json();
    assert_int_equal(find_rejected(top), 0);
    json_decref(top);
    kit_kill(&child, SIGTERM);
}

/* More than was asked for is no answer; the next node is asked. */
static void test_too_much(void **state)
{
    struct kit_child child, honest;
    char urls[256], url[96];
    json_t *top;

    (void)state;
    find_spawn(&find_node, REPEATS, &child);
    assert_exit(7, find_url(&child, url), "CPUsmps:1100.. -n 5");
    assert_says("more than was asked for");
    find_spawn(&find_node2, TRUE_, &honest);
    snprintf(urls, sizeof urls, "%s,https://%s", url, honest.api);
    assert_exit(0, urls, "CPUsmps:1100.. -n 5 -o json");
    top = find_json();
    assert_int_equal(find_shown(top), 5);
    json_decref(top);
    kit_kill(&child, SIGTERM);
    kit_kill(&honest, SIGTERM);
}

static void test_silent(void **state)
{
    struct kit_child silent, honest;
    char urls[256], url[96];

    (void)state;
    find_spawn(&find_node, SILENT, &silent);
    assert_exit(10, find_url(&silent, url), "CPUsmps:1100.. -o json");
    assert_says("the answer is not whole [XS-10-PARTIAL]");
    find_spawn(&find_node2, TRUE_, &honest);
    snprintf(urls, sizeof urls, "%s,https://%s", url, honest.api);
    assert_exit(0, urls, "CPUsmps:1100.. -o json");
    kit_kill(&silent, SIGKILL);
    assert_exit(0, urls, "CPUsmps:1100.. -o json");
    kit_kill(&honest, SIGKILL);
    assert_exit(7, urls, "CPUsmps:1100.. -o json");
    assert_says("because:");
}

static void test_foreign(void **state)
{
    struct kit_child child;
    char url[96];

    (void)state;
    find_spawn(&find_foreign, TRUE_, &child);
    assert_exit(6, find_url(&child, url), "CPUsmps:1100..");
    kit_kill(&child, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_of_another),
        cmocka_unit_test(test_liars),
        cmocka_unit_test(test_avoid),
        cmocka_unit_test(test_only_lies),
        cmocka_unit_test(test_hiding),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_unlisted),
        cmocka_unit_test(test_get_of_one_hidden),
    };

    return cmocka_run_group_tests(tests, find_set_up, find_tear_down);
}
