/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenofind as a program against nodes that are made here: a small index that
 * answers truly, and some that do not. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>

#include "net/client.h"
#include "net/clock.h"
#include "tests/unit/ad_kit.h"
#include "wire/nest.h"
#include "wire/query.h"
#include "wire/revoked.h"

enum { ADS = 230 };

struct ad {
    Xn__SignedAd signed_ad;
    struct advert *advert;
    xn_id server;
    int cpu;
};

static struct net_identity corp, corp2, node, node2, foreign;
static struct ad ads[ADS];
static struct ad garbled[2]; /* signed, but no advertisements */
static char dir[64];

/* How a node behaves; set before it is spawned. */
static enum {
    TRUE_,
    ALTERS,
    ALTERS_BY_SOURCE,
    SILENT,
    HIDES,
    SCRAMBLES,
    GARBLES,
    REPEATS,
    HIDES_7,
    LATE,
    UNLISTED
} way;

/* ---- the advertisements ---- */

static char *document_of(int i, uint64_t version)
{
    char *text = NULL;

    assert_true(
        asprintf(&text,
                 "<XenoServerAdvertisement "
                 "xmlns=\"urn:xenoserver:advertisement:1\" version=\"%llu\">"
                 "<Server><ServerName>s%03d</ServerName><XenoCorp>alpha.example"
                 "</XenoCorp><Endpoint>https://x</Endpoint><Country>%s"
                 "</Country></Server><Environment><EnvType>Linux</EnvType>"
                 "<EnvKernel>6.10</EnvKernel></Environment><Environment>"
                 "<EnvType>NetBSD</EnvType><EnvKernel>9.3</EnvKernel>"
                 "</Environment><Availability><CPUsmps>%d</CPUsmps><MemoryMB>"
                 "6144</MemoryMB></Availability><Prices currency=\"%s\">"
                 "<PricePerHour>0.%04d</PricePerHour></Prices><Odd>a,\"b\""
                 "</Odd><Share>0.1</Share><Sum>=1+1</Sum><Sums>@a,b</Sums>"
                 "<Less>-1.5</Less></XenoServerAdvertisement>",
                 (unsigned long long)version, i, i % 2 ? "GB" : "US",
                 ads[i].cpu, i % 10 ? "USD" : "EUR", 1 + i * 7 % 1000) > 0);
    return text;
}

/* Signs it as a server of the corp; whether it is an advertisement is not
 * looked at. */
static void sign_ad(const char *xml, uint64_t version, const char *label,
                    struct ad *ad)
{
    uint64_t now = net_wall_us();
    struct ad_lease lease = {.version = version,
                             .issued_us = now - 120000000ULL,
                             .until_us = now + 600000000ULL};
    struct net_identity server;

    kit_make_member(&corp, XN__ROLE__SERVER, label, &server);
    ad->server = server.cert.id;
    xn__signed_ad__init(&ad->signed_ad);
    kit_sign_document(xml, server.key, server.x509, &ad->signed_ad);
    kit_sign_lease(xml, &lease, server.key, NULL, &ad->signed_ad);
    net_identity_clear(&server);
}

static void make_ad(int i)
{
    uint64_t version = net_wall_us() - 3600000000ULL;
    struct ad *ad = &ads[i];
    char label[16], *xml;

    ad->cpu = 1000 + i * 37 % 500;
    snprintf(label, sizeof label, "s%03d", i);
    xml = document_of(i, version);
    assert_int_equal(
        advert_parse((uint8_t *)xml, strlen(xml), &ad->advert, NULL, 0), 0);
    sign_ad(xml, version, label, ad);
    free(xml);
}

/* What is wrong with them is told with a piece of them, in letters of two bytes
 * each, and cut: in one of the two within a letter. */
static void make_garbled(int i)
{
    char xml[256];

    snprintf(xml, sizeof xml,
             "<XenoServerAdvertisement "
             "xmlns=\"urn:xenoserver:advertisement:1\" version=\"1\"><x%s"
             "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
             "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
             "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
             "/></XenoServerAdvertisement>",
             i ? "x" : "");
    sign_ad(xml, 1, "garbled", &garbled[i]);
}

/* ---- a node ---- */

struct match {
    struct query_rank rank;
    int ad;
};

static const struct query *sort_query;

static int by_rank(const void *a, const void *b)
{
    return query_rank_cmp(sort_query, &((const struct match *)a)->rank,
                          &((const struct match *)b)->rank);
}

static size_t match_all(const struct query *query, struct match *out)
{
    size_t n = 0;

    for (int i = 0; i < ADS; i++) {
        out[n].ad = i;
        if (query_match_advert(query, ads[i].advert, &ads[i].server,
                               &out[n].rank)) {
            n++;
        }
    }
    sort_query = query;
    qsort(out, n, sizeof *out, by_rank);
    return n;
}

static bool avoided(const Xn__Search *search, const xn_id *id)
{
    for (size_t i = 0; i < search->n_avoid; i++) {
        if (memcmp(search->avoid[i].data, id->b, XN_ID_SIZE) == 0) return true;
    }
    return false;
}

/* Which of the matches an answer begins with. */
static size_t begin(const struct query *query, const Xn__Search *search,
                    const struct match *list, size_t n)
{
    struct query_rank after;
    size_t at = search->offset;

    if (!search->after) return at < n ? at : n;
    if (query_cursor_read(query, search->after, &after)) abort();
    for (at = 0; at < n; at++) {
        if (query_rank_cmp(query, &list[at].rank, &after) > 0) break;
    }
    return at;
}

static void spoil(Xn__SearchResult *result, const Xn__Search *search,
                  const xn_id *source)
{
    if (result->n_hits == 0) return;
    if (way == ALTERS ||
        (way == ALTERS_BY_SOURCE && !avoided(search, source))) {
        Xn__SignedAd *ad = result->hits[0]->ad;

        ad->envelope.data[ad->envelope.len / 3] ^= 1;
    }
    if (way == SCRAMBLES && result->n_hits > 1) {
        Xn__Hit *swap = result->hits[0];

        result->hits[0] = result->hits[1];
        result->hits[1] = swap;
    }
}

static void answer(const Xn__Search *search, uint64_t ticket,
                   struct xn_out *out)
{
    static struct match list[ADS + 1];
    static Xn__Hit hits[ADS];
    static Xn__Hit *pointers[ADS + 1];
    Xn__SearchResult result = XN__SEARCH_RESULT__INIT;
    Xn__Condition condition = XN__CONDITION__INIT, *conditions[] = {&condition};
    Xn__Source hider = XN__SOURCE__INIT, *sources[] = {&hider};
    ProtobufCBinaryData missing;
    static char nearest[] = "CPUsmps:1499..", text[] = "CPUsmps:9000..";
    struct query *query = NULL;
    xn_id source;
    size_t n, at;

    xn_id_hash("source", 6, &source);
    if (query_from_proto(search->query, &query)) abort();
    n = match_all(query, list);
    result.matching = n;
    result.known = ADS;
    result.answered_ppm = way == SILENT ? 0 : 1000000;
    result.hits = pointers;
    at = begin(query, search, list, n);
    for (; way != SILENT && at < n && result.n_hits < search->limit; at++) {
        Xn__Hit *hit = &hits[result.n_hits];

        xn__hit__init(hit);
        hit->ad = &ads[list[at].ad].signed_ad;
        hit->source = xn_id_bytes(&source);
        pointers[result.n_hits++] = hit;
    }
    result.more = at < n && way != SILENT;
    if (way == HIDES && search->paranoid && result.n_hits) {
        hider.node = xn_id_bytes(&node.cert.id);
        missing = xn_id_bytes(&ads[list[0].ad].server);
        hider.missing = &missing;
        hider.n_missing = 1;
        result.sources = sources;
        result.n_sources = 1;
    }
    if (search->explain) {
        condition.text = text;
        condition.nearest = nearest;
        condition.nearest_count = 1;
        result.conditions = conditions;
        result.n_conditions = 1;
    }
    for (size_t i = 0; way == GARBLES && i < 2 && i < result.n_hits; i++)
        hits[i].ad = &garbled[i].signed_ad;
    if (way == REPEATS && result.n_hits) {
        pointers[result.n_hits] = pointers[result.n_hits - 1];
        result.n_hits++;
    }
    spoil(&result, search, &source);
    xn_out_answer(out, ticket, 200, &result);
    spoil(&result, search, &source); /* and back */
    query_free(query);
}

/* As a search whose only match is this server. */
static void answer_get(const Xn__Ask *ask, uint64_t ticket, struct xn_out *out)
{
    Xn__Get *get =
        xn_unpack(&xn__get__descriptor, ask->body.data, ask->body.len);
    Xn__SearchResult result = XN__SEARCH_RESULT__INIT;
    Xn__Hit hit = XN__HIT__INIT, *hits[] = {&hit};
    xn_id source, server;
    size_t i;

    if (!get || xn_id_from_bytes(&get->server, &server)) abort();
    xn_id_hash("source", 6, &source);
    for (i = 0; i < ADS && !xn_id_eq(&ads[i].server, &server);)
        i++;
    result.answered_ppm = way == SILENT ? 0 : 1000000;
    if (i < ADS && way != SILENT) {
        bool hides = way == HIDES || (way == HIDES_7 && i == 7);

        hit.ad = &ads[hides ? (i + 1) % ADS : i].signed_ad;
        hit.source = xn_id_bytes(&source);
        result.hits = hits;
        result.n_hits = 1;
    }
    xn_out_answer(out, ticket, 200, &result);
    xn__get__free_unpacked(get, NULL);
}

/* Nobody is revoked, as the corp says. */
static void answer_revoked(uint64_t ticket, struct xn_out *out)
{
    Xn__RevokedDone done = XN__REVOKED_DONE__INIT;
    uint64_t until_us = net_wall_us() + (way == LATE ? -1 : 1) * 3600000000ULL;
    ProtobufCBinaryData list = {0, NULL};
    uint8_t *payload = NULL;
    size_t len;

    if (revoked_pack(NULL, 0, 1, until_us - 2 * 3600000000ULL, until_us,
                     &payload, &len) ||
        blob_sign(payload, len, REVOKED_CONTEXT, corp.key, &list.data,
                  &list.len)) {
        abort();
    }
    done.lists = &list;
    done.n_lists = way != UNLISTED;
    xn_out_answer(out, ticket, 200, &done);
    free(payload);
    free(list.data);
}

static void serve(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    const Xn__Ask *ask;
    Xn__Search *search;

    (void)core, (void)now;
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/v1/get") == 0) {
        answer_get(ask, ev->ticket, out);
        return;
    }
    if (strcmp(ask->path, "/v1/revoked") == 0) {
        answer_revoked(ev->ticket, out);
        return;
    }
    search = xn_unpack(&xn__search__descriptor, ask->body.data, ask->body.len);
    if (!search || strcmp(ask->path, "/v1/search") != 0) abort();
    answer(search, ev->ticket, out);
    xn__search__free_unpacked(search, NULL);
}

static void spawn(const struct net_identity *who, int how,
                  struct kit_child *child)
{
    struct net_config config = kit_config(who);

    way = how;
    kit_spawn(&config, serve, child);
}

/* ---- the program ---- */

static char out_text[1 << 20];
static char err_text[1 << 14];

static void slurp(const char *name, char *out, size_t len)
{
    char path[128];
    FILE *file;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "r");
    assert_non_null(file);
    n = fread(out, 1, len - 1, file);
    out[n] = '\0';
    fclose(file);
}

/* Runs xenofind against these nodes; its exit code. */
static int find(const char *nodes, const char *args)
{
    const char *build = getenv("XN_BUILD");
    char command[2048];
    int status;

    snprintf(command, sizeof command,
             "env -u XENO_CONFIG -u XENO_CORP XENO_NODES='%s' XENO_CORPS=%s/ca "
             "XENO_KEY=%s/none %s/discovery/xenofind %s >%s/out 2>%s/err",
             nodes, dir, dir, build ? build : ".", args, dir, dir);
    status = system(command);
    slurp("out", out_text, sizeof out_text);
    slurp("err", err_text, sizeof err_text);
    if (!WIFEXITED(status)) fail_msg("%s\n%s", command, err_text);
    return WEXITSTATUS(status);
}

static void assert_exit(int code, const char *nodes, const char *args)
{
    int got = find(nodes, args);

    if (got != code) fail_msg("exit %d of %s:\n%s", got, args, err_text);
}

static void assert_says(const char *text)
{
    if (!strstr(err_text, text)) fail_msg("'%s' not in:\n%s", text, err_text);
}

static json_t *json(void)
{
    json_error_t error;
    json_t *top = json_loads(out_text, 0, &error);

    if (!top) fail_msg("%s", error.text);
    assert_string_equal(json_string_value(json_object_get(top, "schema")),
                        "xeno.find/1");
    return top;
}

static size_t shown(const json_t *top)
{
    return json_array_size(json_object_get(top, "servers"));
}

static size_t rejected(const json_t *top)
{
    return json_array_size(json_object_get(top, "rejected"));
}

/* The servers' numbers, as their names say. */
static int number_of(const json_t *top, size_t i)
{
    const json_t *server = json_array_get(json_object_get(top, "servers"), i);
    const char *name = json_string_value(
        json_object_get(json_object_get(server, "tokens"), "ServerName"));

    assert_non_null(name);
    return atoi(name + 1);
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    kit_mkdir(dir);
    kit_make_corp(&corp, "alpha.example");
    kit_make_corp(&corp2, "beta.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_make_member(&corp, XN__ROLE__NODE, "node2", &node2);
    kit_make_member(&corp2, XN__ROLE__NODE, "foreign", &foreign);
    for (int i = 0; i < ADS; i++)
        make_ad(i);
    make_garbled(0);
    make_garbled(1);
    snprintf(path, sizeof path, "%s/ca", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/ca/alpha.pem", dir);
    assert_int_equal(xn_cert_save(corp.x509, path), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < ADS; i++) {
        advert_free(ads[i].advert);
        free(ads[i].signed_ad.envelope.data);
        free(ads[i].signed_ad.lease.data);
    }
    for (int i = 0; i < 2; i++) {
        free(garbled[i].signed_ad.envelope.data);
        free(garbled[i].signed_ad.lease.data);
    }
    net_identity_clear(&corp);
    net_identity_clear(&corp2);
    net_identity_clear(&node);
    net_identity_clear(&node2);
    net_identity_clear(&foreign);
    kit_rmdir(dir);
    return 0;
}

static char *url_of(const struct kit_child *child, char out[96])
{
    snprintf(out, 96, "https://%s", child->api);
    return out;
}

static void check_everything(const char *url)
{
    bool seen[ADS] = {false};
    json_t *top;

    assert_exit(0, url, "-n all -o json"); /* two pages */
    top = json();
    assert_int_equal(shown(top), ADS);
    for (size_t i = 0; i < ADS; i++)
        seen[number_of(top, i)] = true;
    for (size_t i = 0; i < ADS; i++)
        assert_true(seen[i]);
    assert_int_equal(rejected(top), 0);
    json_decref(top);
}

static void check_sorted(const char *url)
{
    int before = 2000, expected = 0;
    json_t *top;

    for (int i = 0; i < ADS; i++)
        expected += ads[i].cpu <= 1300 && i % 2;
    assert_exit(0, url,
                "CPUsmps:..1300 --where 'Country = GB and EnvType = NetBSD' "
                "-s CPUsmps:desc -n all -o json");
    top = json();
    assert_int_equal(shown(top), expected);
    for (size_t i = 0; i < shown(top); i++) {
        int cpu = ads[number_of(top, i)].cpu;

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
    top = json();
    assert_int_equal(shown(top), 1);
    server = json_array_get(json_object_get(top, "servers"), 0);
    tokens = json_object_get(server, "tokens");
    assert_int_equal(json_integer_value(json_object_get(tokens, "CPUsmps")),
                     ads[3].cpu);
    assert_string_equal(
        json_string_value(json_object_get(tokens, "PricePerHour")), "0.0022");
    assert_string_equal(json_string_value(json_object_get(server, "currency")),
                        "USD");
    assert_int_equal(json_array_size(json_object_get(tokens, "EnvType")), 2);
    assert_true(json_is_real(json_object_get(tokens, "Share")));
    assert_non_null(strstr(out_text, "\"Share\": 0.1,"));
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
    top = json();
    total = json_string_value(json_object_get(
        json_array_get(json_object_get(top, "servers"), 0), "total"));
    assert_string_equal(total,
                        "0.002"); /* server 0 is cheaper, in another currency */
    json_decref(top);
    assert_exit(0, url, "--for time=10h --currency EUR -n 1 -c name,total");
    assert_non_null(strstr(out_text, "0.001"));
}

static void check_forms(const char *url)
{
    assert_exit(0, url, "ServerName:s003 -o csv -c ServerName,Odd,Country");
    assert_string_equal(
        out_text, "ServerName,Odd,Country\r\ns003,\"a,\"\"b\"\"\",GB\r\n");
    assert_exit(0, url, "ServerName:s003 -o csv -c Sum,Sums,Less");
    assert_string_equal(out_text, "Sum,Sums,Less\r\n'=1+1,\"'@a,b\",-1.5\r\n");
    assert_exit(0, url, "ServerName:s003 -o name");
    assert_string_equal(out_text + 4, "-s003\n");
    assert_exit(0, url, "ServerName:s003");
    assert_non_null(strstr(out_text, "NAME"));
    assert_non_null(strstr(out_text, "s003"));
    assert_says("shown 1 of 1 matching (230 known), ads ");
    assert_exit(3, url, "CPUsmps:9000.. --explain");
    assert_non_null(strstr(out_text, "cheapest relaxation: CPUsmps:1499.."));
    assert_says("no server matches [XS-3-NONE]");
}

/* By id: each named server's advertisement, or that it has none. */
static void check_get(const char *url)
{
    char a[XN_ID_HEX], b[XN_ID_HEX], args[512];
    xn_id nobody;
    json_t *top;

    xn_id_hex(&ads[7].server, a);
    xn_id_hex(&ads[199].server, b);
    snprintf(args, sizeof args, "get %s https://x#%s %s --within 2s -o json", a,
             b, a);
    assert_exit(0, url, args);
    top = json();
    assert_int_equal(shown(top), 2);
    assert_int_equal(number_of(top, 0) + number_of(top, 1), 206);
    json_decref(top);
    xn_id_hash("nobody", 6, &nobody);
    xn_id_hex(&nobody, b);
    snprintf(args, sizeof args, "get %s %s -o name", a, b);
    assert_exit(3, url, args);
    assert_string_equal(out_text + 4, "-s007\n");
    assert_says("no such advertisement [XS-3-SERVER]");
    assert_says(b);
}

/* Another server's advertisement is true, but is no answer. */
static void test_get_of_another(void **state)
{
    struct kit_child child;
    char url[96], a[XN_ID_HEX], args[128];

    (void)state;
    spawn(&node, HIDES, &child);
    xn_id_hex(&ads[7].server, a);
    snprintf(args, sizeof args, "get %s", a);
    assert_exit(9, url_of(&child, url), args);
    assert_says("it is not the server that was asked for");
    kit_kill(&child, SIGTERM);
    spawn(&node, SILENT, &child);
    assert_exit(10, url_of(&child, url), args);
    kit_kill(&child, SIGTERM);
}

/* One of two is rejected: that it advertises nothing is not known. */
static void test_get_of_one_hidden(void **state)
{
    struct kit_child child;
    char url[96], a[XN_ID_HEX], b[XN_ID_HEX], args[256];

    (void)state;
    spawn(&node, HIDES_7, &child);
    xn_id_hex(&ads[3].server, a);
    xn_id_hex(&ads[7].server, b);
    snprintf(args, sizeof args, "get %s %s -o name", a, b);
    assert_exit(9, url_of(&child, url), args);
    assert_string_equal(out_text + 4, "-s003\n");
    assert_null(strstr(err_text, "XS-3-SERVER"));
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
        spawn(&node, ways[i], &child);
        assert_exit(0, url_of(&child, url), "ServerName:s003");
        assert_says("a server shown may be revoked [XS-0-REVOKED]");
        assert_exit(3, url, "CPUsmps:9000..");
        assert_null(strstr(err_text, "XS-0-REVOKED"));
        kit_kill(&child, SIGTERM);
    }
    spawn(&node, TRUE_, &child);
    assert_exit(0, url_of(&child, url), "ServerName:s003");
    assert_null(strstr(err_text, "XS-0-REVOKED"));
    kit_kill(&child, SIGTERM);
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
    assert_null(strstr(err_text, "because:"));
    assert_exit(3, url, "EnvType:linux");
    assert_says("because: EnvType 'linux' is written 'Linux'");
    assert_says("try:     EnvType:Linux");
    assert_exit(3, url, "Country:gb,fr CPUsmps:1..");
    assert_says("try:     Country:GB");
    assert_exit(3, url, "EnvType:Plan9");
    assert_says("try:     --explain");
}

/* The output follows its schema; the caller frees. */
static xmlDoc *xml(void)
{
    const char *src = getenv("XN_SRC");
    char path[300];
    xmlSchemaParserCtxt *parser;
    xmlSchemaValidCtxt *valid;
    xmlSchema *schema;
    xmlDoc *doc =
        xmlReadMemory(out_text, (int)strlen(out_text), "out", NULL, 0);

    if (!doc) fail_msg("not XML: %s", out_text);
    snprintf(path, sizeof path, "%s/schema/find.xsd", src ? src : ".");
    parser = xmlSchemaNewParserCtxt(path);
    schema = xmlSchemaParse(parser);
    assert_non_null(schema);
    valid = xmlSchemaNewValidCtxt(schema);
    if (xmlSchemaValidateDoc(valid, doc)) fail_msg("%s", out_text);
    xmlSchemaFreeValidCtxt(valid);
    xmlSchemaFree(schema);
    xmlSchemaFreeParserCtxt(parser);
    return doc;
}

static void check_xml(const char *url)
{
    xmlDoc *doc;

    assert_exit(0, url, "ServerName:s003 -o xml --for time=10h --currency USD");
    doc = xml();
    assert_non_null(strstr(out_text, "matching=\"1\" shown=\"1\" known=\"230\" "
                                     "answered=\"1.000000\""));
    assert_non_null(strstr(out_text, "total=\"0.022\" currency=\"USD\">"));
    assert_non_null(
        strstr(out_text, "<Token name=\"Odd\">a,&quot;b&quot;</Token>"));
    assert_non_null(strstr(out_text, "<Token name=\"EnvType\">Linux</Token>\n"
                                     "    <Token name=\"EnvType\">NetBSD<"));
    xmlFreeDoc(doc);
    assert_exit(0, url, "-n all -o xml");
    doc = xml();
    assert_int_equal(xmlChildElementCount(xmlDocGetRootElement(doc)), ADS);
    xmlFreeDoc(doc);
    assert_exit(3, url, "CPUsmps:9000.. -o xml --explain");
    xmlFreeDoc(xml());
    assert_says("cheapest relaxation: CPUsmps:1499..");
}

/* Each line is a server of -o json, in the same order, and says its schema. */
static void check_jsonl(const char *url)
{
    json_t *top, *line;
    char *at = out_text;

    assert_exit(0, url, "CPUsmps:1100.. -n 7 -o json");
    top = json();
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
    assert_string_equal(out_text, "");
}

/* All that there is, uncut, in the same columns whatever the order. */
static void check_wide(const char *url)
{
    char heading[2000], hex[XN_ID_HEX];
    size_t len;

    assert_exit(0, url, "ServerName:s003,s004 -o wide");
    len = strcspn(out_text, "\n");
    assert_true(len < sizeof heading);
    memcpy(heading, out_text, len);
    heading[len] = '\0';
    assert_non_null(strstr(heading, "EnvKernel"));
    assert_non_null(strstr(heading, "Share"));
    assert_non_null(strstr(heading, "Endpoint"));
    xn_id_hex(&ads[3].server, hex);
    assert_non_null(strstr(out_text, hex));
    xn_id_hex(&corp.cert.id, hex);
    assert_non_null(strstr(out_text, hex));
    assert_exit(0, url, "ServerName:s003,s004 -s ServerName:desc -o wide");
    assert_true(strncmp(out_text, heading, len) == 0 && out_text[len] == '\n');
    assert_exit(0, url, "ServerName:s003 -o wide -c name,Share");
    assert_int_equal(strncmp(out_text, "NAME", 4), 0);
    assert_null(strstr(out_text, "Linux"));
}

/* What a program reads from a pipe. */
static void check_pipes(const char *url)
{
    assert_exit(3, url, "CPUsmps:9000.. -o csv --explain");
    assert_string_equal(out_text, /* the same columns as with an answer */
                        "name,EnvType,CPUsmps,MemoryMB,DiskGB,NetMbps,Country,"
                        "City,PricePerHour,Currency,age\r\n");
    assert_says("cheapest relaxation: CPUsmps:1499..");
    assert_exit(0, url, "ServerName:s003 -o name --explain");
    assert_string_equal(out_text + 4, "-s003\n");
    assert_says("CONDITION");
    assert_exit(3, url, "CPUsmps:9000..");
    assert_string_equal(out_text, "");
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
    top = json();
    assert_int_equal(shown(top), 5);
    assert_int_equal(ads[number_of(top, 0)].cpu >= 1400, 1);
    json_decref(top);
}

static void test_true_node(void **state)
{
    struct kit_child child;
    char url[96];

    (void)state;
    spawn(&node, TRUE_, &child);
    url_of(&child, url);
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

/* A liar first, a true one second: nothing false, the liar named. */
static void test_liars(void **state)
{
    static const int ways[] = {ALTERS, SCRAMBLES, GARBLES};
    struct kit_child liar, honest;
    char urls[256], url[96], hex[XN_ID_HEX];
    json_t *top;

    (void)state;
    xn_id_hex(&node.cert.id, hex);
    spawn(&node2, TRUE_, &honest);
    for (size_t i = 0; i < 3; i++) {
        spawn(&node, ways[i], &liar);
        url_of(&liar, url);
        snprintf(urls, sizeof urls, "%s https://%s", url, honest.api);
        assert_exit(0, urls, "CPUsmps:1100.. -n 5 -o json");
        top = json();
        assert_int_equal(shown(top), 5);
        assert_true(rejected(top) > 0);
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
    spawn(&node, ALTERS_BY_SOURCE, &child);
    assert_exit(0, url_of(&child, url), "-n all -o json");
    top = json();
    assert_int_equal(shown(top), ADS);
    assert_true(rejected(top) > 0);
    json_decref(top);
    kit_kill(&child, SIGTERM);
}

static void test_only_lies(void **state)
{
    struct kit_child child;
    char url[96];
    json_t *top;

    (void)state;
    spawn(&node, ALTERS, &child);
    assert_exit(9, url_of(&child, url), "ServerName:s003 -o json");
    top = json();
    assert_int_equal(shown(top), 0);
    json_decref(top);
    assert_exit(9, url, "ServerName:s003 -o xml");
    assert_non_null(strstr(out_text, "<Rejected node=\""));
    xmlFreeDoc(xml());
    kit_kill(&child, SIGTERM);
}

static void test_hiding(void **state)
{
    struct kit_child child;
    char url[96];
    json_t *top;

    (void)state;
    spawn(&node2, HIDES, &child);
    assert_exit(0, url_of(&child, url), "CPUsmps:1100.. --paranoid -o json");
    top = json();
    assert_int_equal(shown(top), 10);
    assert_int_equal(rejected(top), 1);
    assert_says("hides a live advertisement");
    json_decref(top);
    assert_exit(0, url, "CPUsmps:1100.. -o json");
    top = json();
    assert_int_equal(rejected(top), 0);
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
    spawn(&node, REPEATS, &child);
    assert_exit(7, url_of(&child, url), "CPUsmps:1100.. -n 5");
    assert_says("more than was asked for");
    spawn(&node2, TRUE_, &honest);
    snprintf(urls, sizeof urls, "%s,https://%s", url, honest.api);
    assert_exit(0, urls, "CPUsmps:1100.. -n 5 -o json");
    top = json();
    assert_int_equal(shown(top), 5);
    json_decref(top);
    kit_kill(&child, SIGTERM);
    kit_kill(&honest, SIGTERM);
}

static void test_silent(void **state)
{
    struct kit_child silent, honest;
    char urls[256], url[96];

    (void)state;
    spawn(&node, SILENT, &silent);
    assert_exit(10, url_of(&silent, url), "CPUsmps:1100.. -o json");
    assert_says("the answer is not whole [XS-10-PARTIAL]");
    spawn(&node2, TRUE_, &honest);
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
    spawn(&foreign, TRUE_, &child);
    assert_exit(6, url_of(&child, url), "CPUsmps:1100..");
    kit_kill(&child, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_node),
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

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
