/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenofind as a program against a node that answers truly. */
#include "tests/unit/find_kit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void check_everything(const char *url)
{
    bool seen[ADS] = {false};
    json_t *top;

    assert_exit(0, url, "-n all -o json"); /* two pages */
    top = find_json();
    assert_int_equal(find_shown(top), ADS);
    for (size_t i = 0; i < ADS; i++)
        seen[find_number(top, i)] = true;
    for (size_t i = 0; i < ADS; i++)
        assert_true(seen[i]);
    assert_int_equal(find_rejected(top), 0);
    json_decref(top);
}

static void check_sorted(const char *url)
{
    int before = 2000, expected = 0;
    json_t *top;

    for (int i = 0; i < ADS; i++)
        expected += find_ads[i].cpu <= 1300 && i % 2;
    assert_exit(0, url,
                "CPUsmps:..1300 --where 'Country = GB and EnvType = NetBSD' "
                "-s CPUsmps:desc -n all -o json");
    top = find_json();
    assert_int_equal(find_shown(top), expected);
    for (size_t i = 0; i < find_shown(top); i++) {
        int cpu = find_ads[find_number(top, i)].cpu;

        assert_true(cpu <= before && cpu <= 1300);
        before = cpu;
    }
    json_decref(top);
}

/* Numbers as numbers, prices as strings, rows that differ as arrays. */
static void check_values(const char *url)
{
    const json_t *server, *tokens;
    json_t *top;

    assert_exit(0, url, "ServerName:s003 -o json");
    top = find_json();
    assert_int_equal(find_shown(top), 1);
    server = json_array_get(json_object_get(top, "servers"), 0);
    tokens = json_object_get(server, "tokens");
    assert_int_equal(json_integer_value(json_object_get(tokens, "CPUsmps")),
                     find_ads[3].cpu);
    assert_string_equal(
        json_string_value(json_object_get(tokens, "PricePerHour")), "0.0022");
    assert_string_equal(json_string_value(json_object_get(server, "currency")),
                        "USD");
    assert_int_equal(json_array_size(json_object_get(tokens, "EnvType")), 2);
    assert_true(json_is_real(json_object_get(tokens, "Share")));
    assert_non_null(strstr(find_out, "\"Share\": 0.1,"));
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(tokens, "EnvKernel"), 0)),
                        "6.10");
    json_decref(top);
    assert_exit(3, url, "EnvType:NetBSD EnvKernel:6.10 -o json");
}

static void check_money(const char *url)
{
    json_t *top;
    const char *total;

    assert_exit(0, url,
                "--for time=10h --budget 0.05USD -o json --currency USD");
    top = find_json();
    total = json_string_value(json_object_get(
        json_array_get(json_object_get(top, "servers"), 0), "total"));
    assert_string_equal(total,
                        "0.002"); /* server 0 is cheaper, in another currency */
    json_decref(top);
    assert_exit(0, url, "--for time=10h --currency EUR -n 1 -c name,total");
    assert_non_null(strstr(find_out, "0.001"));
}

static void check_forms(const char *url)
{
    assert_exit(0, url, "ServerName:s003 -o csv -c ServerName,Odd,Country");
    assert_string_equal(
        find_out, "ServerName,Odd,Country\r\ns003,\"a,\"\"b\"\"\",GB\r\n");
    assert_exit(0, url, "ServerName:s003 -o csv -c Sum,Sums,Less");
    assert_string_equal(find_out, "Sum,Sums,Less\r\n'=1+1,\"'@a,b\",-1.5\r\n");
    assert_exit(0, url, "ServerName:s003 -o name");
    assert_string_equal(find_out + 4, "-s003\n");
    assert_exit(0, url, "ServerName:s003");
    assert_non_null(strstr(find_out, "NAME"));
    assert_non_null(strstr(find_out, "s003"));
    assert_says("shown 1 of 1 matching (230 known), ads ");
    assert_exit(3, url, "CPUsmps:9000.. --explain");
    assert_non_null(strstr(find_out, "cheapest relaxation: CPUsmps:1499.."));
    assert_says("no server matches [XS-3-NONE]");
}

/* By id: each named server's advertisement, or that it has none. */
static void check_get(const char *url)
{
    char a[XN_ID_HEX], b[XN_ID_HEX], args[512];
    xn_id nobody;
    json_t *top;

    xn_id_hex(&find_ads[7].server, a);
    xn_id_hex(&find_ads[199].server, b);
    snprintf(args, sizeof args, "get %s https://x#%s %s --within 2s -o json", a,
             b, a);
    assert_exit(0, url, args);
    top = find_json();
    assert_int_equal(find_shown(top), 2);
    assert_int_equal(find_number(top, 0) + find_number(top, 1), 206);
    json_decref(top);
    xn_id_hash("nobody", 6, &nobody);
    xn_id_hex(&nobody, b);
    snprintf(args, sizeof args, "get %s %s -o name", a, b);
    assert_exit(3, url, args);
    assert_string_equal(find_out + 4, "-s007\n");
    assert_says("no such advertisement [XS-3-SERVER]");
    assert_says(b);
}

/* What cannot be, or has no effect, is said. */
static void check_slips(const char *url)
{
    assert_exit(2, url, "CPUsmps:5..1");
    assert_says("because: CPUsmps: nothing is from 5 to 1");
    assert_says("try:     CPUsmps:1..5");
    assert_exit(2, url, "CPUsmps:10..9.5 -o json");
    assert_exit(2, url, "ServerName:b..a");
    assert_exit(2, url, "--where 'not (MemoryMB >= 1 and 7 <= CPUsmps < 7)'");
    assert_exit(2, url, "lookup CPUsmps 5..1");
    assert_exit(0, url, "CPUsmps:9..2000"); /* numbers, not texts */
    assert_exit(0, url, "-s Pricey -n 3");
    assert_says("because: no server shown has 'Pricey'");
    assert_exit(0, url, "-s country -n 3");
    assert_says("did you mean Country?");
    assert_exit(0, url, "-s Share -n 3");
    assert_null(strstr(find_err, "because:"));
    assert_exit(3, url, "EnvType:linux");
    assert_says("because: EnvType 'linux' is written 'Linux'");
    assert_says("try:     EnvType:Linux");
    assert_exit(3, url, "Country:gb,fr CPUsmps:1..");
    assert_says("try:     Country:GB");
    assert_exit(3, url, "EnvType:Plan9");
    assert_says("try:     --explain");
}

static void check_xml(const char *url)
{
    xmlDoc *doc;

    assert_exit(0, url, "ServerName:s003 -o xml --for time=10h --currency USD");
    doc = find_xml();
    assert_non_null(strstr(find_out, "matching=\"1\" shown=\"1\" known=\"230\" "
                                     "answered=\"1.000000\""));
    assert_non_null(strstr(find_out, "total=\"0.022\" currency=\"USD\">"));
    assert_non_null(
        strstr(find_out, "<Token name=\"Odd\">a,&quot;b&quot;</Token>"));
    assert_non_null(strstr(find_out, "<Token name=\"EnvType\">Linux</Token>\n"
                                     "    <Token name=\"EnvType\">NetBSD<"));
    xmlFreeDoc(doc);
    assert_exit(0, url, "-n all -o xml");
    doc = find_xml();
    assert_int_equal(xmlChildElementCount(xmlDocGetRootElement(doc)), ADS);
    xmlFreeDoc(doc);
    assert_exit(3, url, "CPUsmps:9000.. -o xml --explain");
    xmlFreeDoc(find_xml());
    assert_says("cheapest relaxation: CPUsmps:1499..");
}

/* Each line is a server of -o json, in the same order, and says its schema. */
static void check_jsonl(const char *url)
{
    json_t *top, *line;
    char *at = find_out;

    assert_exit(0, url, "CPUsmps:1100.. -n 7 -o json");
    top = find_json();
    assert_exit(0, url, "CPUsmps:1100.. -n 7 -o jsonl");
    for (size_t i = 0; i < 7; i++) {
        json_t *server = json_array_get(json_object_get(top, "servers"), i);
        char *end = strchr(at, '\n');

        assert_non_null(end);
        *end = '\0';
        line = json_loads(at, 0, NULL);
        assert_non_null(line);
        assert_string_equal(json_string_value(json_object_get(line, "schema")),
                            "xeno.find.server/1");
        json_object_del(line, "schema");
        json_object_del(line, "age_s"); /* a second may have passed */
        json_object_del(server, "age_s");
        assert_true(json_equal(line, server));
        json_decref(line);
        at = end + 1;
    }
    assert_string_equal(at, "");
    json_decref(top);
    assert_exit(3, url, "CPUsmps:9000.. -o jsonl --explain");
    assert_string_equal(find_out, "");
}

/* All that there is, uncut, in the same columns whatever the order. */
static void check_wide(const char *url)
{
    char heading[2000], hex[XN_ID_HEX];
    size_t len;

    assert_exit(0, url, "ServerName:s003,s004 -o wide");
    len = strcspn(find_out, "\n");
    assert_true(len < sizeof heading);
    memcpy(heading, find_out, len);
    heading[len] = '\0';
    assert_non_null(strstr(heading, "EnvKernel"));
    assert_non_null(strstr(heading, "Share"));
    assert_non_null(strstr(heading, "Endpoint"));
    xn_id_hex(&find_ads[3].server, hex);
    assert_non_null(strstr(find_out, hex));
    xn_id_hex(&find_corp.cert.id, hex);
    assert_non_null(strstr(find_out, hex));
    assert_exit(0, url, "ServerName:s003,s004 -s ServerName:desc -o wide");
    assert_true(strncmp(find_out, heading, len) == 0 && find_out[len] == '\n');
    assert_exit(0, url, "ServerName:s003 -o wide -c name,Share");
    assert_int_equal(strncmp(find_out, "NAME", 4), 0);
    assert_null(strstr(find_out, "Linux"));
}

/* What a program reads from a pipe. */
static void check_pipes(const char *url)
{
    assert_exit(3, url, "CPUsmps:9000.. -o csv --explain");
    assert_string_equal(find_out, /* the same columns as with an answer */
                        "name,EnvType,CPUsmps,MemoryMB,DiskGB,NetMbps,Country,"
                        "City,PricePerHour,Currency,age\r\n");
    assert_says("cheapest relaxation: CPUsmps:1499..");
    assert_exit(0, url, "ServerName:s003 -o name --explain");
    assert_string_equal(find_out + 4, "-s003\n");
    assert_says("CONDITION");
    assert_exit(3, url, "CPUsmps:9000..");
    assert_string_equal(find_out, "");
    assert_says("try:     --explain");
    assert_exit(3, url, "CPUsmp:9..");
    assert_says("no server advertises 'CPUsmp', did you mean CPUsmps?");
    assert_exit(3, url, "country:GB CPUsmps:1..");
    assert_says("no server advertises 'country', did you mean Country?");
    assert_exit(3, url, "Odd:x GPU:*");
    assert_says("because: no server advertises 'GPU'\n");
    assert_exit(3, url, "Odd:x");
    assert_says("try:     --explain");
    assert_exit(2, url, "MemoryMB:4GiB..");
    assert_says("MemoryMB is a number (MB), '4GiB' is none");
}

static void check_lookup(const char *url)
{
    json_t *top;

    assert_exit(0, url,
                "lookup CPUsmps 1000..1499 --from 200 --count 5 -o json");
    top = find_json();
    assert_int_equal(find_shown(top), 5);
    assert_int_equal(find_ads[find_number(top, 0)].cpu >= 1400, 1);
    json_decref(top);
}

static void test_true_node(void **state)
{
    struct kit_child child;
    char url[96];

    (void)state;
    find_spawn(&find_node, TRUE_, &child);
    find_url(&child, url);
    check_everything(url);
    check_sorted(url);
    check_values(url);
    check_money(url);
    check_forms(url);
    check_get(url);
    check_slips(url);
    check_xml(url);
    check_jsonl(url);
    check_wide(url);
    check_pipes(url);
    check_lookup(url);
    kit_kill(&child, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_node),
    };

    return cmocka_run_group_tests(tests, find_set_up, find_tear_down);
}
