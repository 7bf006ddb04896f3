/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server as an order meets it, and a bad line to a XenoCorp.
 *
 *   seller quote URL#ID DIR FILE            a signed quote into FILE
 *   seller sell URL#ID DIR ORDER QUOTE HOW  accept the order in that folder for
 *                                           the quote and charge it; HOW: fair,
 *                                           or lie: one claim too much first
 *   seller relay HOST:PORT                  says its own port, and loses every
 *                                           answer */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/client.h"
#include "net/clock.h"
#include "wire/claim.h"
#include "wire/msg.h"

#define PROGRAM "seller"
#define MINUTE_US (60 * 1000000ULL)

struct paper {
    struct money doc;
    struct xn_buf bytes;
};

static struct net_identity self;
static struct net_corp corp;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", PROGRAM, what, why);
    exit(1);
}

static void enrol(const char *url, const char *dir)
{
    struct net_enrolment enrolment = {.program = PROGRAM,
                                      .corp = &corp,
                                      .role = XN__ROLE__SERVER,
                                      .label = "stall"};

    if (net_corp_parse(url, &corp)) die("no XenoCorp", url);
    mkdir(dir, 0700);
    if (net_identity_load(dir, &self) &&
        net_identity_enrol(dir, &enrolment, &self))
        die("enrol", dir);
}

static void open_paper(enum money_type type, const uint8_t *data, size_t len,
                       struct paper *out)
{
    struct money_refusal why;

    if (money_open(type, data, len, self.anchors, net_wall_us(), &out->doc,
                   &why))
        die(money_name(type), why.text);
    xn_buf_init(&out->bytes, 0);
    xn_buf_add(&out->bytes, data, len);
}

static void read_paper(enum money_type type, const char *path,
                       struct paper *out)
{
    struct xn_buf bytes;

    xn_buf_init(&bytes, 8192);
    if (xn_file_read(path, &bytes)) die("cannot read", path);
    open_paper(type, bytes.data, bytes.len, out);
    xn_buf_clear(&bytes);
}

static ProtobufCBinaryData bytes_of(const struct paper *paper)
{
    return (ProtobufCBinaryData){paper->bytes.len, paper->bytes.data};
}

static void seal(struct paper *paper)
{
    uint8_t *data;
    size_t len;

    if (money_seal(&paper->doc, self.key, self.x509, &data, &len))
        die("seal", money_name(paper->doc.type));
    paper->doc.head.corp = self.cert.corp;
    xn_buf_init(&paper->bytes, 0);
    xn_buf_add(&paper->bytes, data, len);
    free(data);
}

/* 0 and the answer, or what it was refused with. */
static int ask(const char *path, const void *message, struct xn_buf *out)
{
    struct net_reply reply;
    Xn__Refusal *refusal;
    uint8_t *body = NULL;
    char url[256], why[300] = "";
    size_t len;
    int rc;

    if (xn_pack(message, &body, &len)) die(path, "out of memory");
    snprintf(url, sizeof url, "%s%s", corp.url, path);
    rc = net_request(&self, "POST", url, body, len, &corp.id, 60000, &reply,
                     why, sizeof why);
    if (rc) die(path, why);
    free(body);
    if (reply.status == 200) {
        xn_buf_add(out, reply.body.data, reply.body.len);
    } else {
        refusal = xn__refusal__unpack(NULL, reply.body.len, reply.body.data);
        if (!refusal) die(path, "no refusal");
        rc = refusal->rc;
        fprintf(stderr, "%s: %s\n", refusal->what, refusal->because);
        xn__refusal__free_unpacked(refusal, NULL);
    }
    net_reply_clear(&reply);
    return rc;
}

/* ---- quote ---- */

static void quote(const char *path)
{
    struct paper paper = {.doc = {.type = MONEY_QUOTE}};
    struct money_quote *q = &paper.doc.quote;
    FILE *file = fopen(path, "we");

    q->head.issued_us = net_wall_us();
    q->until_us = q->head.issued_us + 60 * MINUTE_US;
    q->version = 1;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates.cpu_smps = xn_dec_int(1000);
    q->rates.memory_mb = xn_dec_int(512);
    q->prices.setup = xn_dec_from_micro(500000);
    q->prices.per_hour = xn_dec_from_micro(100000);
    seal(&paper);
    if (!file ||
        fwrite(paper.bytes.data, 1, paper.bytes.len, file) != paper.bytes.len ||
        fclose(file))
        die("cannot write", path);
    xn_buf_clear(&paper.bytes);
}

/* ---- sell ---- */

struct deal {
    struct paper order, narrowings[ORDER_NARROWINGS_MAX], quote, acceptance;
    struct money_narrowing signed_narrowings[ORDER_NARROWINGS_MAX];
    struct order_chain chain;
    struct claim_terms terms;
    struct claim_state state;
};

static void read_order(struct deal *d, const char *folder, const char *quoted)
{
    char path[600];

    snprintf(path, sizeof path, "%s/order", folder);
    read_paper(MONEY_ORDER, path, &d->order);
    read_paper(MONEY_QUOTE, quoted, &d->quote);
    d->chain.order = &d->order.doc.order;
    d->chain.narrowings = d->signed_narrowings;
    for (;;) {
        snprintf(path, sizeof path, "%s/narrowing-%zu", folder, d->chain.n + 1);
        if (access(path, F_OK)) break;
        read_paper(MONEY_NARROWING, path, &d->narrowings[d->chain.n]);
        d->signed_narrowings[d->chain.n] =
            d->narrowings[d->chain.n].doc.narrowing;
        d->chain.n++;
    }
}

static int validate(struct deal *d)
{
    ProtobufCBinaryData list[ORDER_NARROWINGS_MAX];
    Xn__Validate want = XN__VALIDATE__INIT;
    struct xn_buf out = {.data = NULL};
    Xn__Validated *validated;
    struct money_refusal why;
    uint8_t session[32];
    int rc;

    RAND_bytes(session, sizeof session);
    for (size_t i = 0; i < d->chain.n; i++)
        list[i] = bytes_of(&d->narrowings[i]);
    want.order = bytes_of(&d->order);
    want.quote = bytes_of(&d->quote);
    want.narrowings = list;
    want.n_narrowings = d->chain.n;
    want.session = (ProtobufCBinaryData){sizeof session, session};
    rc = ask("/v1/validate", &want, &out);
    if (rc) return rc;
    validated = xn__validated__unpack(NULL, out.len, out.data);
    if (!validated) die("validate", "not understood");
    open_paper(MONEY_ACCEPTANCE, validated->acceptance.data,
               validated->acceptance.len, &d->acceptance);
    xn__validated__free_unpacked(validated, NULL);
    xn_buf_clear(&out);
    if (claim_terms(&d->chain, &d->quote.doc.quote,
                    &d->acceptance.doc.acceptance, &d->terms, &why))
        die("acceptance", why.text);
    claim_begin(&d->terms, &d->state);
    return 0;
}

static int claim(struct deal *d, enum money_state ending, int64_t more)
{
    struct price_usage usage = {.hours = xn_dec_int(1)};
    uint64_t till_us = net_wall_us();
    struct paper paper = {.doc = {.type = MONEY_CLAIM}};
    Xn__Charge charge = XN__CHARGE__INIT;
    struct xn_buf out = {.data = NULL};
    int rc;

    claim_cut(&d->terms, &d->state, till_us, &usage);
    if (claim_next(&d->terms, &d->state, &usage, till_us, ending,
                   "a stall <on> a market", &paper.doc))
        die("claim", "cannot be said");
    paper.doc.claim.amount += more;
    seal(&paper);
    charge.claim = bytes_of(&paper);
    rc = ask("/v1/charge", &charge, &out);
    if (!rc) claim_taken(&paper.doc.claim, &d->state);
    xn_buf_clear(&paper.bytes);
    xn_buf_clear(&out);
    return rc;
}

static int sell(const char *folder, const char *quoted, bool lie)
{
    static struct deal d;
    int rc;

    read_order(&d, folder, quoted);
    rc = validate(&d);
    if (rc) return xn_exit_code(rc);
    if (lie && claim(&d, MONEY_RUNNING, 1) != XN_EINTEGRITY)
        die("a claim of a micro-unit too much", "was taken");
    if (claim(&d, MONEY_RUNNING, 0) || claim(&d, MONEY_RUNNING, 0) ||
        claim(&d, MONEY_FINAL, 0))
        die("claim", "refused");
    printf("%lld\n", (long long)d.state.amount);
    return 0;
}

/* ---- relay ---- */

static int connect_to(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const void *)to, sizeof *to))
        die("relay", "cannot connect");
    return fd;
}

static bool pass(int from, int to)
{
    char data[16384];
    ssize_t n = read(from, data, sizeof data), done = 0, part;

    for (; done < n; done += part) {
        part = to < 0 ? n : write(to, data + done, (size_t)(n - done));
        if (part <= 0) return false;
    }
    return n > 0;
}

/* The handshake passes: the caller's hello, the answer to it.  Once he has sent
 * more after that, his request is on its way, and no answer comes back. */
static void carry(int caller, int server)
{
    struct pollfd fds[2] = {{.fd = caller, .events = POLLIN},
                            {.fd = server, .events = POLLIN}};
    bool greeted = false, deaf = false;

    while (poll(fds, 2, -1) > 0) {
        if (fds[1].revents) {
            if (!pass(server, deaf ? -1 : caller)) fds[1].fd = -1;
            greeted = true;
        }
        if (fds[0].revents) {
            deaf = greeted;
            if (!pass(caller, server)) return;
        }
    }
}

static void relay(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET}, own = to;
    const char *colon = strrchr(address, ':');
    socklen_t len = sizeof own;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : "0"));
    if (fd < 0 || bind(fd, (const void *)&own, sizeof own) || listen(fd, 8) ||
        getsockname(fd, (void *)&own, &len))
        die("relay", "cannot listen");
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    for (;;) {
        int caller = accept(fd, NULL, NULL), server;

        if (caller < 0) die("relay", "cannot accept");
        server = connect_to(&to);
        carry(caller, server);
        close(caller);
        close(server);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "relay") == 0) relay(argv[2]);
    if (argc < 5) die("usage", "seller quote|sell|relay");
    enrol(argv[2], argv[3]);
    if (strcmp(argv[1], "quote") == 0) {
        quote(argv[4]);
        return 0;
    }
    if (argc != 7) die("usage", "seller sell URL#ID DIR ORDER QUOTE HOW");
    return sell(argv[4], argv[5], strcmp(argv[6], "lie") == 0);
}
