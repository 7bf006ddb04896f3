/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver doctor: checks what keeps a server from earning.  Here: the verb,
 * and what others have to be asked for. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver_doctor.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/clock.h"
#include "wire/envelope.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/query.h"

#define CLOCK_FAIL_S 300 /* what peers tolerate */
#define CLOCK_WARN_S 30
#define MANAGER_S 30 /* that a member is not asked for */
#define SECOND_US 1000000ULL
#define URL_MAX 512

void doctor_find(struct doctor *d, const char *about, enum doctor_level level,
                 const char *try, const char *because_fmt, ...)
{
    struct doctor_finding *f = &d->findings[d->n];
    va_list ap;

    if (d->n == DOCTOR_FINDINGS_MAX) return;
    d->n++;
    f->about = about;
    f->level = level;
    snprintf(f->try, sizeof f->try, "%s", try ? try : "");
    va_start(ap, because_fmt);
    vsnprintf(f->because, sizeof f->because, because_fmt, ap);
    va_end(ap);
}

/* ---- XenoCorps, and their clocks ---- */

static void check_clock(struct doctor *d, const char *url, time_t date)
{
    long long off = date - (long long)(net_wall_us() / 1000000);
    long long far = off < 0 ? -off : off;

    if (date < 1) return;
    if (far > CLOCK_WARN_S) {
        doctor_find(d, "clock", far > CLOCK_FAIL_S ? DOCTOR_FAIL : DOCTOR_WARN,
                    "date, chrony or systemd-timesyncd",
                    "it is %lld s %s that of %s", far,
                    off > 0 ? "behind" : "ahead of", url);
    } else {
        doctor_find(d, "clock", DOCTOR_OK, NULL, "within %lld s of %s", far + 1,
                    url);
    }
}

static void check_corp(struct doctor *d, const struct net_corp *corp)
{
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[300] = "";
    uint64_t begun = net_mono_us();
    int rc;

    snprintf(url, sizeof url, "%s/v1/certificate", corp->url);
    rc = net_request_pinned(&d->identity, "GET", url, NULL, 0, &corp->id,
                            d->server->timeout_ms, &reply, why, sizeof why);
    if (rc) {
        doctor_find(d, "corp", DOCTOR_FAIL,
                    rc == XN_EIDENT ? "the URL#ID that the XenoCorp told"
                                    : "the network, or ask the XenoCorp",
                    "%s", why[0] ? why : xn_strerror(rc));
    } else {
        doctor_find(d, "corp", DOCTOR_OK, NULL, "%s answers in %llu ms",
                    corp->url,
                    (unsigned long long)(net_mono_us() - begun) / 1000);
        check_clock(d, corp->url, reply.date);
    }
    net_reply_clear(&reply);
}

static void check_corps(struct doctor *d)
{
    if (server_corps(d->server)) {
        doctor_find(d, "corp", DOCTOR_WARN, "--corp URL#ID, or xenoserver join",
                    "it is not known which one to ask");
        return;
    }
    for (size_t i = 0; i < d->server->n_corps; i++)
        check_corp(d, &d->server->corps[i]);
}

/* ---- xenohostd ---- */

/* It sells nothing by itself: its manager asks it, and it its xenodomd. */
static void check_member(struct doctor *d, const Xn__MemberStatus *m)
{
    uint64_t now_us = net_wall_us();
    unsigned long long s =
        now_us > m->asked_us ? (now_us - m->asked_us) / SECOND_US : 0;
    char name[XN_NAME_MAX] = "?";
    xn_id id;

    if (!xn_id_from_bytes(&m->manager, &id)) xn_id_name(&id, NULL, name);
    if (!m->up) {
        doctor_find(d, "member", DOCTOR_FAIL, "start it; sell.xenodomd",
                    "its xenodomd is not there");
    } else if (!m->asked_us || s > MANAGER_S) {
        doctor_find(d, "member", DOCTOR_FAIL,
                    "cluster.members there, cluster.manager here, and the "
                    "network from there",
                    "its manager %s has not asked %s", name,
                    m->asked_us ? "for half a minute" : "since the start");
    } else {
        doctor_find(d, "member", DOCTOR_OK, NULL,
                    "it runs at %s, and its manager %s asked %llu s ago",
                    d->api, name, s);
    }
}

static void check_host(struct doctor *d)
{
    const struct server_question question = {
        .what = "",
        .method = "GET",
        .path = "/v1/status",
        .answer = &xn__host_status__descriptor,
        .quiet = true,
    };
    bool runs = false;
    int rc;

    if (d->server->url) {
        snprintf(d->api, sizeof d->api, "%s", d->server->url);
    } else if (!server_find(d->server, &runs, d->api, sizeof d->api)) {
        d->api[0] = '\0';
        doctor_find(
            d, "xenohostd", DOCTOR_FAIL, "start it: xenoserver join says how",
            runs ? "it does not say where it answers" : "none runs on %s",
            d->server->state);
        return;
    }
    rc = server_ask(d->server, &d->identity, &question, &d->status);
    if (!rc && d->status->member) {
        check_member(d, d->status->member);
        return;
    }
    d->drained = rc == XN_ENOENT || (!rc && !d->status->envelope.len);
    if (d->drained) {
        doctor_find(d, "xenohostd", DOCTOR_WARN, "xenoserver undrain",
                    "it runs, but the server is drained");
    } else if (rc) {
        doctor_find(d, "xenohostd", DOCTOR_FAIL, "its log", "%s: %s", d->api,
                    xn_strerror(rc));
    } else if (!d->status->published_us) {
        doctor_find(d, "xenohostd", DOCTOR_FAIL, "its log; do its nodes run?",
                    "it runs at %s, but no node took the advertisement",
                    d->api);
    } else {
        doctor_find(d, "xenohostd", DOCTOR_OK, NULL,
                    "it runs at %s, %u copies of the advertisement", d->api,
                    (unsigned)d->status->copies_least);
    }
}

/* Of a cluster: those that are not there are named. */
static void check_machines(struct doctor *d)
{
    size_t n = d->status ? d->status->n_machines : 0, there = 0;

    for (size_t i = 0; i < n; i++) {
        const Xn__HostMachine *m = d->status->machines[i];

        there += m->up;
        if (!m->up)
            doctor_find(d, "machine", DOCTOR_FAIL,
                        "its xenohostd and xenodomd, and the network to it",
                        "%s is %s, %u sessions",
                        m->url[0] ? m->url : "this server's own",
                        m->lost ? "lost" : "silent", (unsigned)m->sessions);
    }
    if (n)
        doctor_find(d, "cluster", there ? DOCTOR_OK : DOCTOR_FAIL,
                    there ? NULL : "the machines above",
                    "%zu of %zu machines are there", there, n);
}

/* ---- where clients come in ---- */

static void check_endpoint(struct doctor *d, const struct advert *advert)
{
    const struct advert_value *value =
        advert->n_rows ? advert_row_get(&advert->rows[0], "Endpoint") : NULL;
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[300] = "";
    int rc;

    if (!value) return;
    if (strstr(value->text, "://0.0.0.0") || strstr(value->text, "://[::]")) {
        doctor_find(d, "port", DOCTOR_FAIL,
                    "xenoserver offer Endpoint=https://NAME:PORT",
                    "%s is no address that others can reach", value->text);
        return;
    }
    if (strncmp(value->text, "https://", 8) == 0) {
        snprintf(d->endpoint, sizeof d->endpoint, "%.*s",
                 (int)strcspn(value->text + 8, "/"), value->text + 8);
    }
    snprintf(url, sizeof url, "%s/v1/status", value->text);
    rc = net_request(&d->identity, "GET", url, NULL, 0, &d->identity.cert.id,
                     d->server->timeout_ms, &reply, why, sizeof why);
    net_reply_clear(&reply);
    if (rc) {
        doctor_find(d, "port", DOCTOR_FAIL,
                    "the firewall; Endpoint= of xenoserver offer",
                    "clients are told %s: %s", value->text,
                    why[0] ? why : xn_strerror(rc));
    } else {
        doctor_find(d, "port", DOCTOR_OK, NULL,
                    "%s answers, seen from this machine", value->text);
    }
}

static void check_advert(struct doctor *d)
{
    struct advert *advert = NULL;
    uint8_t *payload = NULL;
    struct xn_cert signer;
    size_t len = 0;
    char why[200];

    if (!d->status) return;
    if (envelope_verify(d->status->envelope.data, d->status->envelope.len,
                        d->identity.anchors, net_wall_us(), &signer, &payload,
                        &len) == 0 &&
        advert_parse(payload, len, &advert, why, sizeof why) == 0) {
        check_endpoint(d, advert);
    }
    advert_free(advert);
    free(payload);
}

/* ---- nodes, and the index behind them ---- */

/* Is this server among them?  Its name may be others' too. */
static bool holds_us(const struct doctor *d, const Xn__SearchResult *result)
{
    bool found = false;

    for (size_t i = 0; i < result->n_hits && !found; i++) {
        const Xn__SignedAd *ad = result->hits[i]->ad;
        struct xn_cert signer;
        uint8_t *payload = NULL;
        size_t len = 0;

        if (!ad || envelope_verify(ad->envelope.data, ad->envelope.len,
                                   d->identity.anchors, net_wall_us(), &signer,
                                   &payload, &len)) {
            continue;
        }
        found = xn_id_eq(&signer.id, &d->identity.cert.id);
        free(payload);
    }
    return found;
}

static int pack_search(const char *name, uint8_t **body_out, size_t *len_out)
{
    Xn__Search search = XN__SEARCH__INIT;
    struct query *query = NULL;
    char word[120];
    const char *words = word;
    int rc;

    snprintf(word, sizeof word, "ServerName:%.80s", name);
    rc = query_parse_words(&words, 1, &query, NULL);
    if (rc) return rc;
    search.query = (Xn__Query *)(uintptr_t)query_proto(query);
    search.limit = 100;
    rc = xn_pack(&search, body_out, len_out);
    query_free(query);
    return rc;
}

static const char *our_name(const struct doctor *d)
{
    const char *name =
        d->settings ? net_settings_text(d->settings, "offer.name") : NULL;

    return name ? name : d->identity.cert.label;
}

static void check_findable(struct doctor *d, const char *node)
{
    struct net_reply reply = {.status = 0};
    Xn__SearchResult *result = NULL;
    char url[URL_MAX], why[300] = "";
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = pack_search(our_name(d), &body, &len);

    snprintf(url, sizeof url, "%s/v1/search", node);
    if (!rc) {
        rc = net_request(&d->identity, "POST", url, body, len, NULL,
                         d->server->timeout_ms, &reply, why, sizeof why);
    }
    if (!rc && reply.status == 200) {
        result = xn_unpack(&xn__search_result__descriptor, reply.body.data,
                           reply.body.len);
    }
    if (result && holds_us(d, result)) {
        doctor_find(d, "findable", DOCTOR_OK, NULL, "the index has it, as %s",
                    our_name(d));
    } else if (result) {
        doctor_find(d, "findable",
                    d->status && !d->drained ? DOCTOR_FAIL : DOCTOR_WARN,
                    "xenoserver status; in a minute again",
                    "the index knows of no such server");
    } else {
        doctor_find(d, "findable", DOCTOR_WARN, "again in some seconds",
                    "%s told no search: %s", node,
                    why[0] ? why : xn_strerror(rc));
    }
    if (result) xn__search_result__free_unpacked(result, NULL);
    net_reply_clear(&reply);
    free(body);
}

int doctor_ask_node(const struct doctor *d, const char *node,
                    Xn__NodeStatus **status_out, char *why_out, size_t len)
{
    struct net_reply reply = {.status = 0};
    char url[URL_MAX];
    int rc;

    *status_out = NULL;
    snprintf(url, sizeof url, "%s/v1/status", node);
    rc = net_request(&d->identity, "GET", url, NULL, 0, NULL,
                     d->server->timeout_ms, &reply, why_out, len);
    if (!rc && reply.status == 200 && reply.server.role == XN__ROLE__NODE) {
        *status_out = xn_unpack(&xn__node_status__descriptor, reply.body.data,
                                reply.body.len);
    }
    net_reply_clear(&reply);
    return rc;
}

static bool check_node(struct doctor *d, const char *node)
{
    Xn__NodeStatus *status;
    char why[300] = "";
    int rc = doctor_ask_node(d, node, &status, why, sizeof why);

    if (!status) {
        doctor_find(d, "node", DOCTOR_FAIL,
                    rc == XN_EIDENT
                        ? "accept its XenoCorp: xenoserver join URL#ID, and "
                          "--corp of xenohostd"
                        : "start it, or publish.nodes= of xenoserver offer",
                    "%s", why[0] ? why : "what answers there is no node");
    } else if (!status->settled) {
        doctor_find(d, "node", DOCTOR_WARN, "again in a minute",
                    "%s is still joining", node);
    } else {
        doctor_find(d, "node", DOCTOR_OK, NULL, "%s has %u links, %u ads", node,
                    (unsigned)status->links, (unsigned)status->ads);
        if (server_self_url(node)) {
            doctor_check_outside(d, node, status);
        } else {
            doctor_find(d, "outside", DOCTOR_WARN,
                        "a node beside the server: man xenonoded",
                        "%s is no address of this machine: nobody was asked "
                        "whether others reach it",
                        node);
        }
    }
    if (status) xn__node_status__free_unpacked(status, NULL);
    return !rc;
}

/* The one it publishes through; where that is not known, those configured. */
static void check_nodes(struct doctor *d)
{
    const char *list = d->status && d->status->node[0] ? d->status->node : NULL;
    char node[256];
    bool asked = false;

    if (d->status && d->status->member) return; /* it publishes nothing */
    if (!list && d->settings)
        list = net_settings_text(d->settings, "publish.nodes");
    if (!list) {
        doctor_find(d, "node", DOCTOR_WARN,
                    "xenoserver offer publish.nodes=https://HOST:PORT",
                    "no node is configured");
        return;
    }
    while (*list) {
        size_t len = strcspn(list, " ");

        snprintf(node, sizeof node, "%.*s", (int)(len < 250 ? len : 250), list);
        list += len + (list[len] == ' ');
        if (!node[0] || !check_node(d, node) || asked) continue;
        check_findable(d, node);
        asked = true;
    }
}

/* ---- the verb ---- */

static const char *const levels[] = {"ok", "warn", "fail"};

json_t *doctor_json(const struct doctor *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->findings[i];

        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o}", "about", f->about, "level",
                            levels[f->level], "because", f->because, "try",
                            f->try[0] ? json_string(f->try) : json_null()));
    }
    return list;
}

static unsigned failures_of(const struct doctor *d)
{
    unsigned n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->findings[i].level == DOCTOR_FAIL;
    return n;
}

void doctor_print(const struct doctor *d)
{
    unsigned n[3] = {0, 0, 0};

    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->findings[i];

        n[f->level]++;
        printf("%-5s %-14s ", levels[f->level], f->about);
        xn_put_plain(f->because, stdout);
        if (f->try[0]) {
            printf("\n%20s try: ", "");
            xn_put_plain(f->try, stdout);
        }
        putchar('\n');
    }
    printf("%u ok, %u warn, %u fail\n", n[0], n[1], n[2]);
}

static int show(const struct doctor *d)
{
    unsigned failures = failures_of(d);
    int code = XN_EXIT_OK;

    if (d->server->json) {
        code = server_print_json(
            json_pack("{s:s, s:b, s:o}", "schema", "xenoserver.doctor/1",
                      "good", failures == 0, "checks", doctor_json(d)));
    } else {
        doctor_print(d);
    }
    return !code && failures ? XN_EXIT_FAILED : code;
}

int server_doctor(struct server *server, int argc, char **argv)
{
    struct doctor *d;
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    d = calloc(1, sizeof *d);
    if (!d)
        return server_gripe(XN_ENOMEM, "cannot begin", "out of memory", NULL);
    d->server = server;
    doctor_check_files(d);
    doctor_check_certificate(d);
    doctor_check_configuration(d);
    doctor_check_disk(d);
    doctor_check_sandbox(d);
    doctor_check_domains(d);
    doctor_check_kernel_clock(d);
    if (d->has_identity) {
        check_corps(d);
        check_host(d);
        check_machines(d);
        check_advert(d);
        check_nodes(d);
    }
    code = show(d);
    if (d->status) xn__host_status__free_unpacked(d->status, NULL);
    net_settings_free(d->settings);
    net_identity_clear(&d->identity);
    free(d->text);
    free(d);
    return code;
}
