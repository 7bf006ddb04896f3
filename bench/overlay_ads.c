/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ours: signs advertisements, each under a key and certificate of its own, has
 * nodes put them, gets each again through another node and verifies it.
 *
 *   overlay_ads CORP-URL CORP-DIR WORK-DIR VALUES BYTES AT-ONCE PIDS URL...
 *
 * PIDS: all that runs for it but this program, with commas between.  A URL for
 * each node.  Lines: ours put|get COUNT SECONDS CPU-US CLIENT-US OTHERS-US
 * BYTES, and ours copies COUNT. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/load.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "net/call.h"
#include "net/client.h"
#include "net/clock.h"
#include "net/loop.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/msg.h"
#include "wire/query.h"

enum { PROCESSES_MAX = 512, NOTE_TAGS = 16, COPIES = 3 };
#define LEASE_US (15 * 60 * 1000000ULL)
#define HOUR_US (3600ULL * 1000000)

struct value { /* an advertisement and who signs it */
    EVP_PKEY *key;
    X509 *x509;
    xn_id server;
    struct xn_buf xml;
    uint64_t version;
};

struct bench {
    struct xn_core core; /* first: hears what became of its calls */
    struct net_loop *loop;
    struct net_calls *calls;
    struct net_identity client;
    EVP_PKEY *corp_key;
    X509 *corp_x509;
    char **urls;
    size_t n_nodes;
    pid_t pids[PROCESSES_MAX];
    size_t n_pids;
    struct value *values;
    size_t n, bytes, at_once;
    /* of the phase under way */
    void (*ask)(struct bench *b, size_t i);
    void (*answered)(struct bench *b, size_t i, const Xn__Answer *answer);
    size_t next, done, envelope;
    uint64_t from_us, nodes_us, self_us, all_us;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "overlay_ads: %s: %s\n", what, why);
    exit(1);
}

static void must(int rc, const char *what)
{
    if (rc) die(what, xn_strerror(rc));
}

/* ---- what is put */

static void certify(struct bench *b, const char *label, struct value *v)
{
    uint64_t now_us = net_wall_us();
    struct xn_cert_order order = {
        .role = XN__ROLE__SERVER,
        .label = label,
        .not_before_us = now_us,
        .not_after_us = now_us + 24 * HOUR_US,
    };
    uint8_t *csr = NULL;

    must(xn_key_generate(&v->key), "a key");
    must(xn_key_id(v->key, &v->server), "a key");
    must(xn_csr_make(v->key, label, &csr, &order.csr_len), "a request");
    order.csr = csr;
    must(xn_cert_issue(&order, b->corp_key, b->corp_x509, &v->x509),
         "a certificate");
    free(csr);
}

/* A note fills it up to the length that is wanted, as far as a token's value
 * may be long. */
static void write_ad(const struct bench *b, const char *name, struct value *v)
{
    static const struct advert_environment environment = {"Linux", "6.1",
                                                          "sandbox"};
    static const char *const corps[] = {"bench.example"};
    char note[256] = "";
    const struct advert_extra filler = {"Note", note};
    struct advert_offer offer = {
        .server_name = name,
        .corps = corps,
        .n_corps = 1,
        .endpoint = "https://127.0.0.1:9/",
        .environments = &environment,
        .n_environments = 1,
        .cpu_smps = "8000",
        .memory_mb = "6144",
        .currency = "GBP",
        .price_per_hour = "0.0121",
        .extras = &filler,
    };
    size_t lack;

    v->version = net_wall_us();
    xn_buf_init(&v->xml, ADVERT_BYTES_MAX);
    must(advert_write(&offer, v->version, &v->xml), "a document");
    if (v->xml.len + NOTE_TAGS >= b->bytes) return;
    lack = b->bytes - v->xml.len - NOTE_TAGS;
    memset(note, 'x', lack < sizeof note ? lack : sizeof note - 1);
    offer.n_extras = 1;
    xn_buf_clear(&v->xml);
    must(advert_write(&offer, v->version, &v->xml), "a document");
}

static void sign_value(const struct value *v, Xn__SignedAd *ad)
{
    struct ad_lease lease = {.version = v->version, .server = v->server};
    uint8_t *payload = NULL;
    size_t len;

    must(envelope_sign(v->xml.data, v->xml.len, v->key, v->x509,
                       &ad->envelope.data, &ad->envelope.len),
         "an envelope");
    xn_id_hash(v->xml.data, v->xml.len, &lease.document);
    lease.issued_us = net_wall_us();
    lease.until_us = lease.issued_us + LEASE_US;
    must(ad_lease_encode(&lease, &payload, &len), "a lease");
    must(blob_sign(payload, len, LEASE_CONTEXT, v->key, &ad->lease.data,
                   &ad->lease.len),
         "a lease");
    free(payload);
}

/* ---- asking: so many at a time, in the order of the values ---- */

static void make_call(struct bench *b, size_t i, size_t node, const char *path,
                      const void *message)
{
    Xn__Call call = XN__CALL__INIT;
    uint8_t *body = NULL;
    char url[256];
    size_t len;

    must(xn_pack(message, &body, &len), "a request");
    snprintf(url, sizeof url, "%s%s", b->urls[node % b->n_nodes], path);
    call.method = (char *)(uintptr_t) "POST";
    call.url = url;
    call.body = (ProtobufCBinaryData){len, body};
    net_calls_make(b->calls, i + 1, &call);
    free(body);
}

static void ask_next(struct bench *b)
{
    size_t i = b->next++;

    b->ask(b, i);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *out)
{
    struct bench *b = (struct bench *)(void *)core;

    (void)now;
    out->act = NULL;
    out->n = 0;
    out->wake_us = UINT64_MAX;
    if (ev->kind != XN_EV_DONE) return 0;
    must(ev->rc, "a call");
    b->answered(b, ev->ticket - 1, XN_BODY(ev->msg, Xn__Answer));
    if (++b->done == b->n) net_loop_stop(b->loop, 0);
    if (b->next < b->n) ask_next(b);
    return 0;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    (void)core, (void)why_out, (void)len;
    return true;
}

static void no_act(void *user, const struct xn_action *action)
{
    (void)user, (void)action;
}

static void no_gone(void *user, xn_peer peer)
{
    (void)user, (void)peer;
}

static void no_turned(void *user)
{
    (void)user;
}

static void no_stepped(void *user, const struct xn_now *now,
                       const struct xn_event *ev, const struct xn_outbox *box)
{
    (void)user, (void)now, (void)ev, (void)box;
}

static void refused(const Xn__Answer *answer)
{
    Xn__Refusal *refusal =
        xn__refusal__unpack(NULL, answer->body.len, answer->body.data);

    die("refused", refusal ? refusal->because : "no reason");
}

/* ---- put ---- */

static void ask_put(struct bench *b, size_t i)
{
    Xn__Publish publish = XN__PUBLISH__INIT;
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, *list = &ad;

    sign_value(&b->values[i], &ad);
    b->envelope = ad.envelope.len;
    publish.ads = &list;
    publish.n_ads = 1;
    make_call(b, i, i, "/v1/publish", &publish);
    free(ad.envelope.data);
    free(ad.lease.data);
}

static void answered_put(struct bench *b, size_t i, const Xn__Answer *answer)
{
    Xn__Published *published;

    (void)b, (void)i;
    if (answer->status != 200) refused(answer);
    published =
        xn__published__unpack(NULL, answer->body.len, answer->body.data);
    if (!published || published->n_results != 1) die("put", "not understood");
    must(published->results[0]->rc, "put");
    if (published->copies_least < COPIES) die("put", "too few copies");
    xn__published__free_unpacked(published, NULL);
}

/* ---- get ---- */

static void ask_get(struct bench *b, size_t i)
{
    Xn__Search search = XN__SEARCH__INIT;
    struct query_error error;
    struct query *query = NULL;
    char word[64];
    const char *words[] = {word};

    snprintf(word, sizeof word, "ServerName:value-%zu", i);
    must(query_parse_words(words, 1, &query, &error), "a query");
    search.query = (Xn__Query *)(uintptr_t)query_proto(query);
    search.limit = 1;
    make_call(b, i, i + 1 + i % (b->n_nodes - 1), "/v1/search", &search);
    query_free(query);
}

/* Signatures, certificate, lease, and that it is what was put. */
static void verify(const struct bench *b, const struct value *v,
                   const Xn__SignedAd *ad)
{
    struct xn_cert signer;
    struct ad_lease lease;
    uint8_t *xml = NULL, *payload = NULL;
    size_t len;
    xn_id id;

    must(blob_verify(ad->lease.data, ad->lease.len, LEASE_CONTEXT, &id,
                     &payload, &len),
         "a lease's signature");
    must(ad_lease_decode(payload, len, &id, &lease), "a lease");
    must(ad_lease_check(&lease, net_wall_us(), LEASE_US), "a lease");
    free(payload);
    must(envelope_verify(ad->envelope.data, ad->envelope.len, b->client.anchors,
                         net_wall_us(), &signer, &xml, &len),
         "an envelope");
    if (!xn_id_eq(&signer.id, &v->server) || !xn_id_eq(&id, &v->server) ||
        lease.version != v->version || len != v->xml.len ||
        memcmp(xml, v->xml.data, len) != 0) {
        die("get", "another advertisement than was put");
    }
    free(xml);
}

static void answered_get(struct bench *b, size_t i, const Xn__Answer *answer)
{
    Xn__SearchResult *result;

    if (answer->status != 200) refused(answer);
    result =
        xn__search_result__unpack(NULL, answer->body.len, answer->body.data);
    if (!result || result->n_hits != 1) die("get", "it was not found");
    verify(b, &b->values[i], result->hits[0]->ad);
    xn__search_result__free_unpacked(result, NULL);
}

/* ---- what came of it ---- */

static uint64_t cpu_of_nodes(const struct bench *b)
{
    uint64_t us = 0;

    for (size_t i = 0; i < b->n_pids; i++)
        us += bench_cpu_of_process(b->pids[i]);
    return us;
}

static void run(struct bench *b, const char *what,
                void (*ask)(struct bench *b, size_t i),
                void (*answered)(struct bench *b, size_t i,
                                 const Xn__Answer *answer))
{
    uint64_t took_us, all_us, self_us, own_us;

    b->ask = ask;
    b->answered = answered;
    b->next = b->done = 0;
    b->nodes_us = cpu_of_nodes(b);
    b->self_us = bench_cpu_of_self();
    b->all_us = bench_cpu_of_all();
    b->from_us = net_mono_us();
    while (b->next < b->n && b->next < b->at_once)
        ask_next(b);
    if (net_loop_run(b->loop, &b->core)) die(what, "the loop ended");
    took_us = net_mono_us() - b->from_us;
    all_us = bench_cpu_of_all() - b->all_us;
    self_us = bench_cpu_of_self() - b->self_us;
    own_us = self_us + cpu_of_nodes(b) - b->nodes_us;
    printf("ours %s %zu %.3f %llu %llu %llu %zu\n", what, b->n,
           (double)took_us / 1e6, (unsigned long long)own_us,
           (unsigned long long)self_us,
           (unsigned long long)(all_us > own_us ? all_us - own_us : 0),
           b->envelope);
    fflush(stdout);
}

static Xn__NodeStatus *status_of(const struct bench *b, size_t i)
{
    struct net_reply reply = {.status = 0};
    Xn__NodeStatus *status;
    char url[256], why[256];

    snprintf(url, sizeof url, "%s/v1/status", b->urls[i]);
    if (net_request(&b->client, "GET", url, NULL, 0, NULL, 60000, &reply, why,
                    sizeof why))
        die(url, why);
    status = xn__node_status__unpack(NULL, reply.body.len, reply.body.data);
    if (!status) die(url, "not understood");
    net_reply_clear(&reply);
    return status;
}

/* Until all are linked to all and have exchanged what they have. */
static void settle(const struct bench *b)
{
    size_t i = 0;

    while (i < b->n_nodes) {
        Xn__NodeStatus *status = status_of(b, i);

        if (status->settled && status->links + 1 >= b->n_nodes)
            i++;
        else
            poll(NULL, 0, 100);
        xn__node_status__free_unpacked(status, NULL);
    }
}

static void count_copies(const struct bench *b)
{
    unsigned long copies = 0;

    for (size_t i = 0; i < b->n_nodes; i++) {
        Xn__NodeStatus *status = status_of(b, i);

        copies += status->ads;
        xn__node_status__free_unpacked(status, NULL);
    }
    printf("ours copies %lu\n", copies);
}

/* ---- the beginning ---- */

static void open_corp(struct bench *b, char *url, const char *corp_dir,
                      const char *work)
{
    struct net_corp corp;
    struct net_enrolment enrolment = {.program = "overlay_ads",
                                      .corp = &corp,
                                      .role = XN__ROLE__CLIENT,
                                      .label = "client"};
    char path[512];

    must(net_corp_parse(url, &corp), "the XenoCorp's URL");
    if (net_identity_enrol(work, &enrolment, &b->client)) exit(1);
    snprintf(path, sizeof path, "%s/key.pem", corp_dir);
    must(xn_key_load(path, &b->corp_key), path);
    snprintf(path, sizeof path, "%s/cert.pem", corp_dir);
    must(xn_cert_load(path, &b->corp_x509), path);
}

static void make_values(struct bench *b)
{
    char name[32];

    b->values = calloc(b->n, sizeof *b->values);
    if (!b->values) die("values", "out of memory");
    for (size_t i = 0; i < b->n; i++) {
        snprintf(name, sizeof name, "value-%zu", i);
        certify(b, name, &b->values[i]);
        write_ad(b, name, &b->values[i]);
    }
}

static void open_loop(struct bench *b)
{
    static const struct xn_core_ops ops = {"overlay_ads", step, check, NULL};
    const struct net_loop_user user = {.act = no_act,
                                       .gone = no_gone,
                                       .turned = no_turned,
                                       .stepped = no_stepped};

    b->core.ops = &ops;
    must(net_loop_new(&user, &b->loop), "the loop");
    must(net_calls_new(b->loop, &b->client, &b->calls), "the loop");
}

static void end(struct bench *b)
{
    net_calls_free(b->calls);
    net_loop_free(b->loop);
    for (size_t i = 0; i < b->n; i++) {
        EVP_PKEY_free(b->values[i].key);
        X509_free(b->values[i].x509);
        xn_buf_clear(&b->values[i].xml);
    }
    free(b->values);
    EVP_PKEY_free(b->corp_key);
    X509_free(b->corp_x509);
    net_identity_clear(&b->client);
}

int main(int argc, char **argv)
{
    static struct bench b;
    char *word, *rest = NULL;

    if (argc < 10) return 2;
    signal(SIGPIPE, SIG_IGN);
    b.n = strtoul(argv[4], NULL, 10);
    b.bytes = strtoul(argv[5], NULL, 10);
    b.at_once = strtoul(argv[6], NULL, 10);
    for (word = strtok_r(argv[7], ",", &rest); word && b.n_pids < PROCESSES_MAX;
         word = strtok_r(NULL, ",", &rest))
        b.pids[b.n_pids++] = (pid_t)strtol(word, NULL, 10);
    b.urls = argv + 8;
    b.n_nodes = (size_t)argc - 8;
    if (!b.n || !b.at_once) return 2;
    open_corp(&b, argv[1], argv[2], argv[3]);
    make_values(&b);
    open_loop(&b);
    settle(&b);
    run(&b, "put", ask_put, answered_put);
    run(&b, "get", ask_get, answered_get);
    count_copies(&b);
    end(&b);
    return 0;
}
