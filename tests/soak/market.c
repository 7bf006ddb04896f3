/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/soak/market.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "net/clock.h"

void die(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "died: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    exit(1);
}

/* ---- who takes part ---- */

static void enrol(struct market *m, const char *work, const char *name,
                  Xn__Role role, struct net_identity *out)
{
    struct net_enrolment enrolment = {
        .program = m->program, .corp = &m->corp, .role = role, .label = name};
    char dir[400];

    snprintf(dir, sizeof dir, "%s/%s", work, name);
    if (mkdir(dir, 0700) && errno != EEXIST) die("%s: no folder", dir);
    if (net_identity_enrol(dir, &enrolment, out)) die("%s: enrol", name);
}

void market_open(struct market *m, const char *corp_dir, const char *work,
                 unsigned n_clients, unsigned n_servers)
{
    char name[32];

    if (net_identity_corp(m->program, corp_dir, NULL, &m->staff))
        die("%s: no XenoCorp", corp_dir);
    for (unsigned i = 0; i < n_clients; i++) {
        snprintf(name, sizeof name, "client%u", i);
        enrol(m, work, name, XN__ROLE__CLIENT, &m->clients[i]);
    }
    for (unsigned i = 0; i < n_servers; i++) {
        snprintf(name, sizeof name, "server%u", i);
        enrol(m, work, name, XN__ROLE__SERVER, &m->servers[i]);
    }
    m->n_clients = n_clients;
    m->n_servers = n_servers;
}

void market_close(struct market *m)
{
    net_identity_clear(&m->staff);
    for (unsigned i = 0; i < m->n_clients; i++)
        net_identity_clear(&m->clients[i]);
    for (unsigned i = 0; i < m->n_servers; i++)
        net_identity_clear(&m->servers[i]);
}

/* ---- asking ---- */

static int take_reply(struct net_reply *reply, struct xn_buf *out, char *why,
                      size_t len)
{
    Xn__Refusal *refusal;
    int rc;

    if (reply->status == 200) {
        xn_buf_add(out, reply->body.data, reply->body.len);
        return xn_buf_rc(out);
    }
    refusal = xn__refusal__unpack(NULL, reply->body.len, reply->body.data);
    if (!refusal) return XN_EPROTO;
    rc = refusal->rc;
    snprintf(why, len, "%s", refusal->because);
    xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

int market_ask(const struct market *m, const struct net_identity *as,
               const char *method, const char *path, const void *message,
               struct xn_buf *out, char *why, size_t len)
{
    struct net_reply reply;
    uint8_t *body = NULL;
    size_t body_len = 0;
    char url[200];
    int rc;

    memset(&reply, 0, sizeof reply);
    if (message && xn_pack(message, &body, &body_len)) die("out of memory");
    snprintf(url, sizeof url, "%s%s", m->corp.url, path);
    rc = net_request(as, method, url, body, body_len, &m->corp.id, 300000,
                     &reply, why, len);
    if (!rc) rc = take_reply(&reply, out, why, len);
    net_reply_clear(&reply);
    free(body);
    return rc;
}

void market_pay_in(const struct market *m, const xn_id *client, int64_t micro)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    struct xn_buf out;
    uint8_t word[32];
    char why[300] = "";

    xn_buf_init(&out, 1 << 20);
    if (RAND_bytes(word, sizeof word) != 1) die("no random bytes");
    pay.client = xn_id_bytes(client);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = (ProtobufCBinaryData){sizeof word, word};
    if (market_ask(m, &m->staff, "POST", "/v1/accounts", &pay, &out, why,
                   sizeof why)) {
        die("pay in: %s", why);
    }
    xn_buf_clear(&out);
}

xn_id word_of(char kind, uint64_t n)
{
    xn_id id;

    memset(&id, kind, sizeof id);
    memcpy(id.b + 8, &n, sizeof n);
    return id;
}

/* ---- documents ---- */

void paper_free(struct paper *p)
{
    free(p->data);
    p->data = NULL;
    p->len = 0;
}

ProtobufCBinaryData paper_bytes(const struct paper *p)
{
    return (ProtobufCBinaryData){p->len, p->data};
}

void paper_seal(struct paper *p, const struct net_identity *by)
{
    paper_free(p);
    if (money_seal(&p->doc, by->key, by->x509, &p->data, &p->len))
        die("cannot sign: %s", money_name(p->doc.type));
}

void paper_open(const struct market *m, enum money_type type,
                ProtobufCBinaryData from, struct paper *out)
{
    struct money_refusal why;

    if (money_open(type, from.data, from.len, m->clients[0].anchors,
                   net_wall_us(), &out->doc, &why)) {
        die("the XenoCorp said: %s", why.text);
    }
    paper_free(out);
    out->data = malloc(from.len);
    if (!out->data) die("out of memory");
    memcpy(out->data, from.data, from.len);
    out->len = from.len;
}

void paper_quote(const struct market *m, const struct net_identity *server,
                 struct paper *quote)
{
    struct money_quote *q = &quote->doc.quote;

    memset(quote, 0, sizeof *quote);
    quote->doc.type = MONEY_QUOTE;
    q->head.issued_us = net_wall_us();
    q->until_us = q->head.issued_us + 24 * HOUR_US;
    q->version = 1;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates.cpu_smps = xn_dec_int(1000);
    q->rates.memory_mb = xn_dec_int(512);
    q->prices.setup = xn_dec_from_micro(1000);
    q->prices.per_hour = xn_dec_int(36);
    q->prices.cpu_second = xn_dec_from_micro(1000);
    paper_seal(quote, server);
    quote->doc.head.corp = m->corp.id;
}

void paper_narrow(const struct market *m, const struct paper *order,
                  const struct paper *quote, const struct net_identity *client,
                  struct paper *narrowing)
{
    struct money_narrowing *n = &narrowing->doc.narrowing;

    memset(narrowing, 0, sizeof *narrowing);
    narrowing->doc.type = MONEY_NARROWING;
    n->head.issued_us = net_wall_us();
    n->over = order->doc.head.hash;
    strcpy(n->limits.currency, "GBP");
    n->limits.server = quote->doc.head.by;
    n->limits.quote = quote->doc.head.hash;
    paper_seal(narrowing, client);
    narrowing->doc.head.corp = m->corp.id;
}

void paper_terms(const struct paper *order, const struct paper *narrowing,
                 const struct paper *quote, const struct paper *acceptance,
                 struct claim_terms *terms)
{
    struct order_chain chain = {.order = &order->doc.order,
                                .narrowings = &narrowing->doc.narrowing,
                                .n = 1};
    struct money_refusal why;

    if (claim_terms(&chain, &quote->doc.quote, &acceptance->doc.acceptance,
                    terms, &why)) {
        die("a false acceptance: %s", why.text);
    }
}

void paper_claim(const struct claim_terms *terms,
                 const struct claim_state *state, uint64_t used_us,
                 enum money_state ending, const char *activity,
                 const struct net_identity *server, struct paper *claim)
{
    struct price_usage usage = {.hours = {0}};

    memset(claim, 0, sizeof *claim);
    usage.hours.v = (xn_i128)used_us * XN_DEC_ONE / HOUR_US;
    usage.cpu_s.v = (xn_i128)used_us * XN_DEC_ONE / 1000000;
    claim_cut(terms, state, terms->since_us + used_us, &usage);
    if (claim_next(terms, state, &usage, terms->since_us + used_us, ending,
                   activity, &claim->doc)) {
        die("a claim that cannot be said");
    }
    paper_seal(claim, server);
}
