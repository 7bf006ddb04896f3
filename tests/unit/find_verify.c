/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenofind's judgement of answers, on answers made by hand: good ones, and one
 * for each kind of lie. */
#include "tests/unit/wire_kit.h"

#include <stdio.h>

#include "discovery/verify.h"
#include "tests/unit/ad_kit.h"

#define MINUTE_US (60 * 1000000ULL)
enum { SERVERS = 4 };

struct fixture {
    struct kit_party corp, rogue, servers[SERVERS], stranger, node;
    struct xn_anchors *anchors;
    struct query *query;
    struct find_check check;
    struct find_asked asked;
    struct find_list list;
    xn_id liar; /* the source of every hit */
    bool clean;
};

static struct fixture f;

/* What may be wrong with an ad. */
struct recipe {
    const struct kit_party *server;
    const struct kit_party *lease_by; /* NULL: the server */
    const char *cpu;
    uint64_t version; /* 0: NOW_US - an hour */
    uint64_t lease_version;
    uint64_t issued_us, until_us;
    bool withdrawn;
    const char *context;
};

static char *document_of(const struct recipe *r, uint64_t version)
{
    char *text = NULL;

    assert_true(
        asprintf(&text,
                 "<XenoServerAdvertisement "
                 "xmlns=\"urn:xenoserver:advertisement:1\" version=\"%llu\">"
                 "<Server><ServerName>otter</ServerName><XenoCorp>alpha.example"
                 "</XenoCorp><Endpoint>e</Endpoint></Server><Environment>"
                 "<EnvType>Linux</EnvType></Environment><Availability>"
                 "<CPUsmps>%s</CPUsmps><MemoryMB>6144</MemoryMB></Availability>"
                 "<Prices currency=\"GBP\"/></XenoServerAdvertisement>",
                 (unsigned long long)version, r->cpu ? r->cpu : "1000") > 0);
    return text;
}

static void set_lease(const struct recipe *r, const char *xml, uint64_t version,
                      Xn__SignedAd *ad)
{
    struct ad_lease lease = {.version =
                                 r->lease_version ? r->lease_version : version,
                             .issued_us = NOW_US - 2 * MINUTE_US,
                             .until_us = NOW_US + 10 * MINUTE_US,
                             .withdrawn = r->withdrawn};
    EVP_PKEY *key = r->lease_by ? r->lease_by->key : r->server->key;

    if (r->issued_us) lease.issued_us = r->issued_us;
    if (r->until_us) lease.until_us = r->until_us;
    kit_sign_lease(xml, &lease, key, r->context, ad);
}

static Xn__Hit *hit_of(const struct recipe *r)
{
    uint64_t version = r->version ? r->version : NOW_US - 60 * MINUTE_US;
    char *xml = document_of(r, version);
    Xn__Hit *hit = malloc(sizeof *hit);
    Xn__SignedAd *ad = malloc(sizeof *ad);

    assert_non_null(hit);
    assert_non_null(ad);
    xn__hit__init(hit);
    xn__signed_ad__init(ad);
    hit->ad = ad;
    hit->source.data = malloc(XN_ID_SIZE);
    hit->source.len = XN_ID_SIZE;
    memcpy(hit->source.data, f.liar.b, XN_ID_SIZE);
    kit_sign_document(xml, r->server->key, r->server->x509, ad);
    set_lease(r, xml, version, ad);
    free(xml);
    return hit;
}

static void add(Xn__SearchResult *result, Xn__Hit *hit)
{
    result->hits =
        realloc(result->hits, (result->n_hits + 1) * sizeof(Xn__Hit *));
    assert_non_null(result->hits);
    result->hits[result->n_hits++] = hit;
}

static Xn__SearchResult *answer(void)
{
    Xn__SearchResult *result = malloc(sizeof *result);

    assert_non_null(result);
    xn__search_result__init(result);
    return result;
}

/* Judges the answer and frees it. */
static void judge(Xn__SearchResult *result)
{
    find_list_clear(&f.list);
    assert_int_equal(find_verify(&f.check, &f.asked, result, &f.list, &f.clean),
                     0);
    xn__search_result__free_unpacked(result, NULL);
}

static int by_id(const void *a, const void *b)
{
    xn_id x, y;

    xn_key_id(((const struct kit_party *)a)->key, &x);
    xn_key_id(((const struct kit_party *)b)->key, &y);
    return xn_id_cmp(&x, &y);
}

static int set_up(void **state)
{
    (void)state;
    f.corp = kit_corp("alpha.example");
    f.rogue = kit_corp("rogue.example");
    for (int i = 0; i < SERVERS; i++) {
        f.servers[i] = kit_member(&f.corp, XN__ROLE__SERVER, "otter");
    }
    qsort(f.servers, SERVERS, sizeof f.servers[0], by_id);
    f.stranger = kit_member(&f.rogue, XN__ROLE__SERVER, "stoat");
    f.node = kit_member(&f.corp, XN__ROLE__NODE, "node");
    assert_int_equal(xn_anchors_new(&f.anchors), 0);
    kit_trust(f.anchors, &f.corp);
    assert_int_equal(query_parse_where("CPUsmps >= 500", &f.query, NULL), 0);
    f.check =
        (struct find_check){f.query, f.anchors, NOW_US, AD_LEASE_US_MAX, NULL};
    xn_id_hash("via", 3, &f.asked.via);
    xn_id_hash("liar", 4, &f.liar);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    find_list_clear(&f.list);
    query_free(f.query);
    xn_anchors_free(f.anchors);
    for (int i = 0; i < SERVERS; i++)
        kit_clear(&f.servers[i]);
    kit_clear(&f.stranger);
    kit_clear(&f.node);
    kit_clear(&f.corp);
    kit_clear(&f.rogue);
    return 0;
}

/* ---- good answers ---- */

static void test_good(void **state)
{
    Xn__SearchResult *result = answer();
    char name[XN_NAME_MAX];

    (void)state;
    for (int i = 0; i < SERVERS; i++) {
        add(result, hit_of(&(struct recipe){.server = &f.servers[i]}));
    }
    judge(result);
    assert_true(f.clean);
    assert_int_equal(f.list.n, SERVERS);
    assert_int_equal(f.list.n_rejects, 0);
    for (int i = 0; i < SERVERS; i++) {
        xn_id id;

        assert_int_equal(xn_key_id(f.servers[i].key, &id), 0);
        assert_true(xn_id_eq(&f.list.hits[i].server, &id));
        assert_true(xn_id_eq(&f.list.hits[i].source, &f.liar));
    }
    xn_id_name(&f.list.hits[0].server, f.list.hits[0].signer.label, name);
    assert_string_equal(name + 4, "-otter");
}

static void test_empty(void **state)
{
    (void)state;
    judge(answer());
    assert_true(f.clean);
    assert_int_equal(f.list.n, 0);
}

/* ---- lies, each beside a good hit that must survive ---- */

static void assert_rejected(Xn__Hit *lie, const char *why)
{
    Xn__SearchResult *result = answer();
    const struct find_reject *reject;

    add(result, hit_of(&(struct recipe){.server = &f.servers[0]}));
    add(result, lie);
    judge(result);
    assert_false(f.clean);
    assert_int_equal(f.list.n, 1);
    assert_int_equal(f.list.n_rejects, 1);
    reject = &f.list.rejects[0];
    assert_true(xn_id_eq(&reject->node, &f.liar));
    assert_true(xn_id_eq(&reject->via, &f.asked.via));
    if (!strstr(reject->why, why)) fail_msg("'%s', not '%s'", reject->why, why);
}

static void test_lies(void **state)
{
    const struct kit_party *me = &f.servers[1];
    const struct {
        struct recipe recipe;
        const char *why;
    } rows[] = {
        {{.server = me, .lease_by = &f.servers[2]}, "lease and document"},
        {{.server = &f.stranger}, "the envelope"},
        {{.server = &f.node}, "lease and document"},
        {{.server = me,
          .issued_us = NOW_US - 20 * MINUTE_US,
          .until_us = NOW_US - 6 * MINUTE_US},
         "expired"},
        {{.server = me, .until_us = NOW_US + 60 * MINUTE_US}, "the lease"},
        {{.server = me, .issued_us = NOW_US + 6 * MINUTE_US}, "the lease"},
        {{.server = me, .version = NOW_US - 5, .lease_version = NOW_US - 4},
         "newer version"},
        {{.server = me, .withdrawn = true}, "withdrawn"},
        {{.server = me, .context = "xn.other.1"}, "the lease"},
        {{.server = me, .cpu = "499"}, "does not meet the query"},
        {{.server = me, .cpu = "lots"}, "the document"},
        {{.server = &f.servers[0]}, "already"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_rejected(hit_of(&rows[i].recipe), rows[i].why);
    }
}

/* One byte of envelope or lease altered, wherever it is. */
static void test_altered(void **state)
{
    Xn__Hit *hit = hit_of(&(struct recipe){.server = &f.servers[1]});
    size_t lens[2] = {hit->ad->envelope.len, hit->ad->lease.len};

    (void)state;
    for (int part = 0; part < 2; part++) {
        for (size_t at = 0; at < lens[part]; at += 7) {
            Xn__SearchResult *result = answer();
            uint8_t *bytes =
                part ? hit->ad->lease.data : hit->ad->envelope.data;

            bytes[at] ^= 1;
            add(result, hit);
            find_list_clear(&f.list);
            assert_int_equal(
                find_verify(&f.check, &f.asked, result, &f.list, &f.clean), 0);
            /* A byte that no signature covers may change nothing: then what
             * was read is what was signed. */
            if (f.list.n == 1) {
                assert_string_equal(f.list.hits[0].advert->server_name,
                                    "otter");
            } else {
                assert_false(f.clean);
            }
            bytes[at] ^= 1;
            free(result->hits);
            free(result);
        }
    }
    xn__hit__free_unpacked(hit, NULL);
}

static void test_no_ad(void **state)
{
    Xn__Hit *hit = hit_of(&(struct recipe){.server = &f.servers[1]});

    (void)state;
    xn__signed_ad__free_unpacked(hit->ad, NULL);
    hit->ad = NULL;
    assert_rejected(hit, "no advertisement");
    hit = hit_of(&(struct recipe){.server = &f.servers[1]});
    hit->ad->envelope.len = 0;
    assert_rejected(hit, "the envelope");
}

static void test_order(void **state)
{
    Xn__SearchResult *result = answer();

    (void)state;
    add(result, hit_of(&(struct recipe){.server = &f.servers[1]}));
    add(result, hit_of(&(struct recipe){.server = &f.servers[0]}));
    judge(result);
    assert_false(f.clean);
    assert_int_equal(f.list.n, 1);
    assert_non_null(strstr(f.list.rejects[0].why, "out of order"));
    /* a union of copies comes as it comes, and is put in order here */
    result = answer();
    add(result, hit_of(&(struct recipe){.server = &f.servers[1]}));
    add(result, hit_of(&(struct recipe){.server = &f.servers[0]}));
    f.asked.merged = true;
    judge(result);
    f.asked.merged = false;
    assert_true(f.clean);
    assert_int_equal(f.list.n, 2);
    assert_true(xn_id_cmp(&f.list.hits[0].server, &f.list.hits[1].server) < 0);
}

static void test_sorted(void **state)
{
    Xn__SearchResult *result = answer();

    (void)state;
    assert_int_equal(query_set_sort(f.query, "CPUsmps", true), 0);
    add(result,
        hit_of(&(struct recipe){.server = &f.servers[0], .cpu = "2000"}));
    add(result,
        hit_of(&(struct recipe){.server = &f.servers[2], .cpu = "1000.5"}));
    add(result,
        hit_of(&(struct recipe){.server = &f.servers[1], .cpu = "3000"}));
    judge(result);
    assert_int_equal(query_set_sort(f.query, NULL, false), 0);
    assert_false(f.clean);
    assert_int_equal(f.list.n, 2);
    assert_non_null(strstr(f.list.rejects[0].why, "out of order"));
}

static void test_cursor(void **state)
{
    struct query_rank after = {.absent = false};
    Xn__SearchResult *result = answer();

    (void)state;
    assert_int_equal(xn_key_id(f.servers[1].key, &after.server), 0);
    f.asked.after = &after;
    add(result, hit_of(&(struct recipe){.server = &f.servers[1]}));
    add(result, hit_of(&(struct recipe){.server = &f.servers[2]}));
    judge(result);
    f.asked.after = NULL;
    assert_false(f.clean);
    assert_int_equal(f.list.n, 1);
    assert_non_null(strstr(f.list.rejects[0].why, "before the place"));
}

/* Between two pages a server may rewrite its ad: the higher version stays. */
static void test_move(void **state)
{
    struct find_list all = {.n = 0};
    Xn__SearchResult *result = answer();

    (void)state;
    add(result,
        hit_of(&(struct recipe){.server = &f.servers[1], .cpu = "600"}));
    judge(result);
    assert_int_equal(find_list_move(&f.check, &f.list, &all), 0);
    assert_int_equal(f.list.n, 0);
    result = answer();
    add(result, hit_of(&(struct recipe){.server = &f.servers[0]}));
    add(result,
        hit_of(&(struct recipe){
            .server = &f.servers[1], .cpu = "700", .version = NOW_US - 5}));
    judge(result);
    assert_int_equal(find_list_move(&f.check, &f.list, &all), 0);
    assert_int_equal(all.n, 2);
    assert_int_equal(all.hits[1].lease.version, NOW_US - 5);
    assert_int_equal(
        xn_dec_cmp(
            advert_row_get(&all.hits[1].advert->rows[0], "CPUsmps")->number,
            xn_dec_int(700)),
        0);
    find_list_cut(&all, 1);
    assert_int_equal(all.n, 1);
    find_list_clear(&all);
    find_list_clear(&all);
}

/* ---- who hid something ---- */

static Xn__Source *source_without(const char *node, const xn_id *server)
{
    Xn__Source *source = malloc(sizeof *source);
    xn_id id;

    assert_non_null(source);
    xn__source__init(source);
    xn_id_hash(node, strlen(node), &id);
    source->node.data = malloc(XN_ID_SIZE);
    source->node.len = XN_ID_SIZE;
    memcpy(source->node.data, id.b, XN_ID_SIZE);
    source->n_missing = 1;
    source->missing = malloc(sizeof *source->missing);
    source->missing[0].data = malloc(XN_ID_SIZE);
    source->missing[0].len = XN_ID_SIZE;
    memcpy(source->missing[0].data, server->b, XN_ID_SIZE);
    return source;
}

/* A lease of `lease_s` seconds, given out `age_s` seconds ago. */
static void assert_hiding(uint64_t age_s, uint64_t lease_s, const char *node,
                          size_t named)
{
    uint64_t issued_us = NOW_US - age_s * 1000000ULL;
    Xn__SearchResult *result = answer();
    xn_id server;

    assert_int_equal(xn_key_id(f.servers[1].key, &server), 0);
    add(result,
        hit_of(&(struct recipe){.server = &f.servers[1],
                                .issued_us = issued_us,
                                .until_us = issued_us + lease_s * 1000000ULL}));
    result->sources = malloc(sizeof *result->sources);
    result->sources[result->n_sources++] = source_without(node, &server);
    f.asked.merged = true;
    judge(result);
    f.asked.merged = false;
    assert_true(f.clean); /* what was served is true */
    assert_int_equal(f.list.n, 1);
    assert_int_equal(f.list.n_rejects, named);
    if (named) assert_non_null(strstr(f.list.rejects[0].why, "hides"));
}

static void test_hiding(void **state)
{
    (void)state;
    assert_hiding(60, 900, "hider", 1);
    assert_hiding(2, 30, "hider", 1);
    /* too young for every copy to have it */
    assert_hiding(59, 900, "hider", 0);
    assert_hiding(1, 30, "hider", 0);
    /* it served it itself */
    assert_hiding(61, 900, "liar", 0);
}

/* A reason is cut to its room, perhaps within a character, and may hold what a
 * liar wrote: it must be fit to be shown, and to stand in JSON. */
static void test_reasons_are_plain(void **state)
{
    struct find_reject reject = {.why = "the document: \x1b[2J caf\xc3"};
    struct find_list list = {.n = 0};

    (void)state;
    assert_int_equal(find_list_reject(&list, &reject), 0);
    assert_string_equal(list.rejects[0].why, "the document: ?[2J caf?");
    find_list_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_no_ad),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_hiding),
        cmocka_unit_test(test_reasons_are_plain),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
