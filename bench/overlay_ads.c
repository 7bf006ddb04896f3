/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ours: signs advertisements, each under a key and certificate of its own, has
 * nodes put them, gets each again through another node and verifies it.
 *
 *   overlay_ads CORP-URL CORP-DIR WORK-DIR VALUES BYTES AT-ONCE PIDS URL...
 *
 * PIDS: all that runs for it but this program, with commas between.  A URL for
 * each node.  Lines: ours put|get COUNT SECONDS CPU-US CLIENT-US OTHERS-US
 * BYTES, and ours copies COUNT. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "lib/err.h"
#include "net/call.h"
#include "net/clock.h"
#include "net/loop.h"
#include "tests/soak/ads.h"
#include "wire/envelope.h"
#include "wire/msg.h"
#include "wire/query.h"

enum { PROCESSES_MAX = 512, COPIES = 3 };
#define LEASE_US (15 * 60 * 1000000ULL)

struct bench {
    struct xn_core core; /* first: hears what became of its calls */
    struct net_loop *loop;
    struct net_calls *calls;
    struct ads ads;
    char **urls;
    size_t n_nodes;
    pid_t pids[PROCESSES_MAX];
    size_t n_pids;
    struct ads_ad *values;
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

/* ---- asking: so many at a time, in the order of the values ---- */

static void make_call(struct bench *b, size_t i, size_t node, const char *path,
                      const void *message)
{
    Xn__Call call = XN__CALL__INIT;
    uint8_t *body = NULL;
    char url[256];
    size_t len;

    ads_must(&b->ads, xn_pack(message, &body, &len), "a request");
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
    ads_must(&b->ads, ev->rc, "a call");
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

    ads_sign(&b->ads, &b->values[i], &ad);
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
    ads_must(&b->ads, published->results[0]->rc, "put");
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
    ads_must(&b->ads, query_parse_words(words, 1, &query, &error), "a query");
    search.query = (Xn__Query *)(uintptr_t)query_proto(query);
    search.limit = 1;
    make_call(b, i, i + 1 + i % (b->n_nodes - 1), "/v1/search", &search);
    query_free(query);
}

/* Signatures, certificate, lease, and that it is what was put. */
static void verify(const struct bench *b, const struct ads_ad *v,
                   const Xn__SignedAd *ad)
{
    struct xn_cert signer;
    struct ad_lease lease;
    uint8_t *xml = NULL, *payload = NULL;
    size_t len;
    xn_id id;

    ads_must(&b->ads,
             blob_verify(ad->lease.data, ad->lease.len, LEASE_CONTEXT, &id,
                         &payload, &len),
             "a lease's signature");
    ads_must(&b->ads, ad_lease_decode(payload, len, &id, &lease), "a lease");
    ads_must(&b->ads, ad_lease_check(&lease, net_wall_us(), LEASE_US),
             "a lease");
    free(payload);
    ads_must(&b->ads,
             envelope_verify(ad->envelope.data, ad->envelope.len,
                             b->ads.client.anchors, net_wall_us(), &signer,
                             &xml, &len),
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

static void count_copies(const struct bench *b)
{
    unsigned long copies = 0;

    for (size_t i = 0; i < b->n_nodes; i++) {
        Xn__NodeStatus *status = ads_node(&b->ads, b->urls[i]);

        if (!status) die(b->urls[i], "no answer");
        copies += status->ads;
        xn__node_status__free_unpacked(status, NULL);
    }
    printf("ours copies %lu\n", copies);
}

/* ---- the beginning ---- */

static void make_values(struct bench *b)
{
    char name[32];

    b->values = calloc(b->n, sizeof *b->values);
    if (!b->values) die("values", "out of memory");
    for (size_t i = 0; i < b->n; i++) {
        snprintf(name, sizeof name, "value-%zu", i);
        ads_make(&b->ads, name, "1", b->bytes, &b->values[i]);
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
    ads_must(&b->ads, net_loop_new(&user, &b->loop), "the loop");
    ads_must(
        &b->ads,
        net_calls_new(b->loop, &b->ads.client, NET_CALLS_OF_HOST, &b->calls),
        "the loop");
}

static void end(struct bench *b)
{
    net_calls_free(b->calls);
    net_loop_free(b->loop);
    for (size_t i = 0; i < b->n; i++)
        ads_free(&b->values[i]);
    free(b->values);
    ads_close(&b->ads);
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
    b.ads.program = "overlay_ads";
    b.ads.lease_us = LEASE_US;
    ads_open(&b.ads, argv[1], argv[2], argv[3]);
    make_values(&b);
    open_loop(&b);
    if (!ads_settle(&b.ads, b.urls, b.n_nodes, b.n_nodes - 1, 300))
        die("the nodes", "not linked to each other");
    run(&b, "put", ask_put, answered_put);
    run(&b, "get", ask_get, answered_get);
    count_copies(&b);
    end(&b);
    return 0;
}
