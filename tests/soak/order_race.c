/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One client and many servers at a real XenoCorp.  Each round the client has an
 * order issued and signs it away to every server; all of them present it at the
 * same time, and ask again where the XenoCorp dies meanwhile.  Exactly one may
 * get it.  That one then claims, twice over.
 *
 *   order_race URL#ID CORP-DIR WORK-DIR ROUNDS SERVERS
 *
 * CORP-DIR holds the XenoCorp's key, to pay in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "net/client.h"
#include "wire/claim.h"
#include "wire/msg.h"

#define PROGRAM "order_race"
#define SERVERS_MAX 16
#define GBP 1000000
#define PATIENCE_S 120

struct world {
    struct net_corp corp;
    struct net_identity staff, client, servers[SERVERS_MAX];
    unsigned n;
    const char *work;
};

struct paper {
    struct money doc;
    uint8_t *data;
    size_t len;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", PROGRAM, what, why);
    exit(1);
}

static uint64_t wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Once: 0 and the body, or an error of the network or of the refusal. */
static int ask_once(const struct world *w, const struct net_identity *as,
                    const char *path, const uint8_t *body, size_t len,
                    struct xn_buf *out, char *why, size_t why_len)
{
    struct net_reply reply;
    Xn__Refusal *refusal;
    char url[200];
    int rc;

    memset(&reply, 0, sizeof reply);
    snprintf(url, sizeof url, "%s%s", w->corp.url, path);
    rc = net_request(as, "POST", url, body, len, &w->corp.id, 10000, &reply,
                     why, why_len);
    if (rc) return rc;
    if (reply.status == 200) {
        xn_buf_add(out, reply.body.data, reply.body.len);
    } else {
        refusal = xn__refusal__unpack(NULL, reply.body.len, reply.body.data);
        rc = refusal ? refusal->rc : XN_EPROTO;
        snprintf(why, why_len, "%s", refusal ? refusal->because : "no refusal");
        if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    }
    net_reply_clear(&reply);
    return rc;
}

/* Again while nobody answers: whatever is asked here is safe to repeat. */
static int ask(const struct world *w, const struct net_identity *as,
               const char *path, const void *message, struct xn_buf *out)
{
    const struct timespec pause = {0, 20000000};
    time_t end = time(NULL) + PATIENCE_S;
    uint8_t *body = NULL;
    char why[300] = "";
    size_t len;
    int rc;

    if (xn_pack(message, &body, &len)) die(path, "out of memory");
    for (;;) {
        rc = ask_once(w, as, path, body, len, out, why, sizeof why);
        if (rc != XN_EUNREACH && rc != XN_ETIMEOUT && rc != XN_EUNKNOWN &&
            rc != XN_EBUSY) {
            break;
        }
        if (time(NULL) > end) die(path, why);
        nanosleep(&pause, NULL);
    }
    if (rc && rc != XN_EMONEY) die(path, why);
    free(body);
    return rc;
}

static ProtobufCBinaryData bytes_of(const struct paper *p)
{
    return (ProtobufCBinaryData){p->len, p->data};
}

static void seal(struct paper *p, const struct net_identity *by)
{
    if (money_seal(&p->doc, by->key, by->x509, &p->data, &p->len))
        die("seal", money_name(p->doc.type));
}

static void open_paper(const struct world *w, enum money_type type,
                       ProtobufCBinaryData from, struct paper *out)
{
    struct money_refusal why;

    if (money_open(type, from.data, from.len, w->client.anchors, wall_us(),
                   &out->doc, &why)) {
        die("open", why.text);
    }
    out->data = malloc(from.len);
    memcpy(out->data, from.data, from.len);
    out->len = from.len;
}

/* ---- who takes part ---- */

static void enrol(struct world *w, const char *name, Xn__Role role,
                  struct net_identity *out)
{
    struct net_enrolment enrolment = {
        .program = PROGRAM, .corp = &w->corp, .role = role, .label = name};
    char dir[400];

    snprintf(dir, sizeof dir, "%s/%s", w->work, name);
    if (mkdir(dir, 0700) && errno != EEXIST) die(dir, strerror(errno));
    if (net_identity_enrol(dir, &enrolment, out)) die("enrol", name);
}

static void pay_in(struct world *w, int64_t micro)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    struct xn_buf out = {.data = NULL};
    uint8_t word[32];

    RAND_bytes(word, sizeof word);
    pay.client = xn_id_bytes(&w->client.cert.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = (ProtobufCBinaryData){sizeof word, word};
    if (ask(w, &w->staff, "/v1/accounts", &pay, &out)) die("pay in", "refused");
    xn_buf_clear(&out);
}

/* ---- a round ---- */

static void issue(const struct world *w, struct paper *order)
{
    Xn__IssueOrder want = XN__ISSUE_ORDER__INIT;
    struct xn_buf out = {.data = NULL};
    Xn__IssuedOrder *issued;
    uint8_t word[32];

    RAND_bytes(word, sizeof word);
    want.request = (ProtobufCBinaryData){sizeof word, word};
    want.currency = (char *)(uintptr_t) "GBP";
    want.amount = GBP;
    want.until_us = wall_us() + 3600ULL * 1000000;
    if (ask(w, &w->client, "/v1/orders", &want, &out)) die("issue", "no money");
    issued = xn__issued_order__unpack(NULL, out.len, out.data);
    if (!issued) die("issue", "not understood");
    open_paper(w, MONEY_ORDER, issued->order, order);
    xn__issued_order__free_unpacked(issued, NULL);
    xn_buf_clear(&out);
}

static void make_quote(const struct net_identity *server, struct paper *quote)
{
    struct money_quote *q = &quote->doc.quote;

    memset(quote, 0, sizeof *quote);
    quote->doc.type = MONEY_QUOTE;
    q->head.issued_us = wall_us();
    q->until_us = q->head.issued_us + 600ULL * 1000000;
    q->version = 1;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates.cpu_smps = xn_dec_int(1000);
    q->rates.memory_mb = xn_dec_int(512);
    q->prices.setup = xn_dec_from_micro(1000);
    seal(quote, server);
}

static void narrow(const struct world *w, const struct paper *order,
                   const struct paper *quote, const struct net_identity *to,
                   struct paper *narrowing)
{
    struct money_narrowing *n = &narrowing->doc.narrowing;

    memset(narrowing, 0, sizeof *narrowing);
    narrowing->doc.type = MONEY_NARROWING;
    n->head.issued_us = wall_us();
    n->over = order->doc.head.hash;
    strcpy(n->limits.currency, "GBP");
    n->limits.server = to->cert.id;
    n->limits.quote = quote->doc.head.hash;
    seal(narrowing, &w->client);
}

/* What a server does once it has been accepted: claim all, once and again. */
static void claim(const struct world *w, const struct net_identity *server,
                  const struct order_chain *chain, const struct paper *quote,
                  ProtobufCBinaryData acceptance)
{
    struct paper accepted, mine = {.data = NULL}, receipt;
    struct price_usage none = {.hours = {0}};
    struct claim_terms terms;
    struct claim_state state, after;
    struct money_refusal why;

    open_paper(w, MONEY_ACCEPTANCE, acceptance, &accepted);
    if (claim_terms(chain, &quote->doc.quote, &accepted.doc.acceptance, &terms,
                    &why)) {
        die("acceptance", why.text);
    }
    claim_begin(&terms, &state);
    if (claim_next(&terms, &state, &none, wall_us(), MONEY_FINAL, "a race",
                   &mine.doc)) {
        die("claim", "cannot be said");
    }
    seal(&mine, server);
    claim_taken(&mine.doc.claim, &after);
    for (int i = 0; i < 2; i++) {
        Xn__Charge charge = XN__CHARGE__INIT;
        struct xn_buf out = {.data = NULL};
        Xn__Charged *charged;

        charge.claim = bytes_of(&mine);
        if (ask(w, server, "/v1/charge", &charge, &out)) die("charge", "?");
        charged = xn__charged__unpack(NULL, out.len, out.data);
        open_paper(w, MONEY_RECEIPT, charged->receipt, &receipt);
        if (claim_receipted(&terms, &mine.doc.head.hash, &state, &after,
                            &receipt.doc.receipt, &why)) {
            die("receipt", why.text);
        }
        xn__charged__free_unpacked(charged, NULL);
        xn_buf_clear(&out);
    }
}

/* In a process of its own: 0 accepted, 3 refused. */
static int present(const struct world *w, const struct paper *order, unsigned i)
{
    const struct net_identity *server = &w->servers[i];
    struct paper quote, narrowing;
    struct order_chain chain = {.order = &order->doc.order, .n = 1};
    Xn__Validate want = XN__VALIDATE__INIT;
    struct xn_buf out = {.data = NULL};
    ProtobufCBinaryData last;
    Xn__Validated *validated;
    uint8_t session[32];

    make_quote(server, &quote);
    narrow(w, order, &quote, server, &narrowing);
    quote.doc.head.corp = narrowing.doc.head.corp = w->corp.id;
    chain.narrowings = &narrowing.doc.narrowing;
    RAND_bytes(session, sizeof session);
    last = bytes_of(&narrowing);
    want.order = bytes_of(order);
    want.quote = bytes_of(&quote);
    want.narrowings = &last;
    want.n_narrowings = 1;
    want.session = (ProtobufCBinaryData){sizeof session, session};
    if (ask(w, server, "/v1/validate", &want, &out)) return 3;
    validated = xn__validated__unpack(NULL, out.len, out.data);
    if (!validated) die("validate", "not understood");
    claim(w, server, &chain, &quote, validated->acceptance);
    return 0;
}

static unsigned race(const struct world *w, const struct paper *order)
{
    unsigned accepted = 0;

    fflush(NULL);
    for (unsigned i = 0; i < w->n; i++) {
        pid_t pid = fork();

        if (pid < 0) die("fork", strerror(errno));
        if (pid == 0) _exit(present(w, order, i));
    }
    for (unsigned i = 0; i < w->n; i++) {
        int status = 0;

        if (wait(&status) < 0) die("wait", strerror(errno));
        if (!WIFEXITED(status) ||
            (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3)) {
            die("a server", "ended badly");
        }
        accepted += WEXITSTATUS(status) == 0;
    }
    return accepted;
}

int main(int argc, char **argv)
{
    static struct world w;
    char client[XN_ID_HEX];
    unsigned rounds;

    if (argc != 6 || net_corp_parse(argv[1], &w.corp)) die("usage", argv[0]);
    w.work = argv[3];
    rounds = (unsigned)strtoul(argv[4], NULL, 10);
    w.n = (unsigned)strtoul(argv[5], NULL, 10);
    if (w.n < 2 || w.n > SERVERS_MAX) die("usage", "2 to 16 servers");
    if (net_identity_corp(PROGRAM, argv[2], NULL, &w.staff))
        die("corp", argv[2]);
    enrol(&w, "client", XN__ROLE__CLIENT, &w.client);
    xn_id_hex(&w.client.cert.id, client);
    printf("client %s\n", client);
    for (unsigned i = 0; i < w.n; i++) {
        char name[32];

        snprintf(name, sizeof name, "server%u", i);
        enrol(&w, name, XN__ROLE__SERVER, &w.servers[i]);
    }
    pay_in(&w, (int64_t)rounds * GBP);
    for (unsigned r = 0; r < rounds; r++) {
        struct paper order;
        unsigned accepted;

        issue(&w, &order);
        printf("round %u presented\n", r + 1); /* a good moment to die */
        accepted = race(&w, &order);
        printf("round %u accepted %u\n", r + 1, accepted);
        fflush(stdout);
        if (accepted != 1) die("race", "not accepted exactly once");
        free(order.data);
    }
    net_identity_clear(&w.staff);
    net_identity_clear(&w.client);
    for (unsigned i = 0; i < w.n; i++)
        net_identity_clear(&w.servers[i]);
    return 0;
}
