/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/find_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxml/xmlschemas.h>

#include "net/client.h"
#include "net/clock.h"
#include "wire/nest.h"
#include "wire/query.h"
#include "wire/revoked.h"

static struct net_identity corp2;
struct net_identity find_corp, find_node, find_node2, find_foreign;
struct ad find_ads[ADS];
static struct ad garbled[2]; /* signed, but no advertisements */
char find_dir[64];

static enum find_way way; /* set before a node is spawned */

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
                 find_ads[i].cpu, i % 10 ? "USD" : "EUR",
                 1 + i * 7 % 1000) > 0);
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

    kit_make_member(&find_corp, XN__ROLE__SERVER, label, &server);
    ad->server = server.cert.id;
    xn__signed_ad__init(&ad->signed_ad);
    kit_sign_document(xml, server.key, server.x509, &ad->signed_ad);
    kit_sign_lease(xml, &lease, server.key, NULL, &ad->signed_ad);
    net_identity_clear(&server);
}

static void make_ad(int i)
{
    uint64_t version = net_wall_us() - 3600000000ULL;
    struct ad *ad = &find_ads[i];
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
        if (query_match_advert(query, find_ads[i].advert, &find_ads[i].server,
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
        hit->ad = &find_ads[list[at].ad].signed_ad;
        hit->source = xn_id_bytes(&source);
        pointers[result.n_hits++] = hit;
    }
    result.more = at < n && way != SILENT;
    if (way == HIDES && search->paranoid && result.n_hits) {
        hider.node = xn_id_bytes(&find_node.cert.id);
        missing = xn_id_bytes(&find_ads[list[0].ad].server);
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
    for (i = 0; i < ADS && !xn_id_eq(&find_ads[i].server, &server);)
        i++;
    result.answered_ppm = way == SILENT ? 0 : 1000000;
    if (i < ADS && way != SILENT) {
        bool hides = way == HIDES || (way == HIDES_7 && i == 7);

        hit.ad = &find_ads[hides ? (i + 1) % ADS : i].signed_ad;
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
        blob_sign(payload, len, REVOKED_CONTEXT, find_corp.key, &list.data,
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

void find_spawn(const struct net_identity *who, enum find_way how,
                struct kit_child *child)
{
    struct net_config config = kit_config(who);

    way = how;
    kit_spawn(&config, serve, child);
}

/* ---- the program ---- */

char find_out[1 << 20];
char find_err[1 << 14];

static void slurp(const char *name, char *out, size_t len)
{
    char path[128];
    FILE *file;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", find_dir, name);
    file = fopen(path, "r");
    assert_non_null(file);
    n = fread(out, 1, len - 1, file);
    out[n] = '\0';
    fclose(file);
}

/* Runs xenofind against these nodes; its exit code. */
int find_run(const char *nodes, const char *args)
{
    const char *build = getenv("XN_BUILD");
    char command[2048];
    int status;

    snprintf(command, sizeof command,
             "env -u XENO_CONFIG -u XENO_CORP XENO_NODES='%s' XENO_CORPS=%s/ca "
             "XENO_KEY=%s/none %s/discovery/xenofind %s >%s/out 2>%s/err",
             nodes, find_dir, find_dir, build ? build : ".", args, find_dir,
             find_dir);
    status = system(command);
    slurp("out", find_out, sizeof find_out);
    slurp("err", find_err, sizeof find_err);
    if (!WIFEXITED(status)) fail_msg("%s\n%s", command, find_err);
    return WEXITSTATUS(status);
}

void assert_exit(int code, const char *nodes, const char *args)
{
    int got = find_run(nodes, args);

    if (got != code) fail_msg("exit %d of %s:\n%s", got, args, find_err);
}

void assert_says(const char *text)
{
    if (!strstr(find_err, text)) fail_msg("'%s' not in:\n%s", text, find_err);
}

json_t *find_json(void)
{
    json_error_t error;
    json_t *top = json_loads(find_out, 0, &error);

    if (!top) fail_msg("%s", error.text);
    assert_string_equal(json_string_value(json_object_get(top, "schema")),
                        "xeno.find/1");
    return top;
}

/* The output follows its schema; the caller frees. */
xmlDoc *find_xml(void)
{
    const char *src = getenv("XN_SRC");
    char path[300];
    xmlSchemaParserCtxt *parser;
    xmlSchemaValidCtxt *valid;
    xmlSchema *schema;
    xmlDoc *doc =
        xmlReadMemory(find_out, (int)strlen(find_out), "out", NULL, 0);

    if (!doc) fail_msg("not XML: %s", find_out);
    snprintf(path, sizeof path, "%s/schema/find.xsd", src ? src : ".");
    parser = xmlSchemaNewParserCtxt(path);
    schema = xmlSchemaParse(parser);
    assert_non_null(schema);
    valid = xmlSchemaNewValidCtxt(schema);
    if (xmlSchemaValidateDoc(valid, doc)) fail_msg("%s", find_out);
    xmlSchemaFreeValidCtxt(valid);
    xmlSchemaFree(schema);
    xmlSchemaFreeParserCtxt(parser);
    return doc;
}

size_t find_shown(const json_t *top)
{
    return json_array_size(json_object_get(top, "servers"));
}

size_t find_rejected(const json_t *top)
{
    return json_array_size(json_object_get(top, "rejected"));
}

/* The servers' numbers, as their names say. */
int find_number(const json_t *top, size_t i)
{
    const json_t *server = json_array_get(json_object_get(top, "servers"), i);
    const char *name = json_string_value(
        json_object_get(json_object_get(server, "tokens"), "ServerName"));

    assert_non_null(name);
    return atoi(name + 1);
}

int find_set_up(void **state)
{
    char path[128];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    kit_mkdir(find_dir);
    kit_make_corp(&find_corp, "alpha.example");
    kit_make_corp(&corp2, "beta.example");
    kit_make_member(&find_corp, XN__ROLE__NODE, "node", &find_node);
    kit_make_member(&find_corp, XN__ROLE__NODE, "node2", &find_node2);
    kit_make_member(&corp2, XN__ROLE__NODE, "foreign", &find_foreign);
    for (int i = 0; i < ADS; i++)
        make_ad(i);
    make_garbled(0);
    make_garbled(1);
    snprintf(path, sizeof path, "%s/ca", find_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/ca/alpha.pem", find_dir);
    assert_int_equal(xn_cert_save(find_corp.x509, path), 0);
    return 0;
}

int find_tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < ADS; i++) {
        advert_free(find_ads[i].advert);
        free(find_ads[i].signed_ad.envelope.data);
        free(find_ads[i].signed_ad.lease.data);
    }
    for (int i = 0; i < 2; i++) {
        free(garbled[i].signed_ad.envelope.data);
        free(garbled[i].signed_ad.lease.data);
    }
    net_identity_clear(&find_corp);
    net_identity_clear(&corp2);
    net_identity_clear(&find_node);
    net_identity_clear(&find_node2);
    net_identity_clear(&find_foreign);
    kit_rmdir(find_dir);
    return 0;
}

char *find_url(const struct kit_child *child, char out[96])
{
    snprintf(out, 96, "https://%s", child->api);
    return out;
}
