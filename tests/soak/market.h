/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Those who trade at a real XenoCorp in the soak tests: its staff, clients and
 * servers with keys and certificates of their own, and the documents that they
 * sign.  Whatever goes wrong here ends the program with a line that says so. */
#ifndef TESTS_SOAK_MARKET_H
#define TESTS_SOAK_MARKET_H

#include "lib/rng.h"
#include "net/client.h"
#include "wire/claim.h"
#include "wire/msg.h"

#define MARKET_CLIENTS_MAX 8
#define MARKET_SERVERS_MAX 16
#define GBP 1000000
#define HOUR_US (3600ULL * 1000000)

struct market {
    const char *program;
    struct net_corp corp; /* its URL changes with every start */
    struct net_identity staff, clients[MARKET_CLIENTS_MAX],
        servers[MARKET_SERVERS_MAX];
    unsigned n_clients, n_servers;
};

struct paper { /* a document in its envelope */
    struct money doc;
    uint8_t *data;
    size_t len;
};

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* CORP-DIR holds the XenoCorp's key; the others register with it, and keep
 * what they have in folders of WORK-DIR. */
void market_open(struct market *m, const char *corp_dir, const char *work,
                 unsigned n_clients, unsigned n_servers);
void market_close(struct market *m);

/* 0 and the body, or the code of the refusal or of the network; `why` gets what
 * the refusal says. */
int market_ask(const struct market *m, const struct net_identity *as,
               const char *method, const char *path, const void *message,
               struct xn_buf *out, char *why, size_t len);
/* Filled once more; must go well. */
void market_pay_in(const struct market *m, const xn_id *client, int64_t micro);

/* A number as 32 bytes, none of which is zero throughout. */
xn_id word_of(char kind, uint64_t n);

void paper_free(struct paper *p);
ProtobufCBinaryData paper_bytes(const struct paper *p);
/* The document of `out` is signed by `by`. */
void paper_seal(struct paper *p, const struct net_identity *by);
/* As anybody would who gets it. */
void paper_open(const struct market *m, enum money_type type,
                ProtobufCBinaryData from, struct paper *out);

/* 0.001 GBP to set up and 36 GBP an hour, which is a hundredth of one each
 * second. */
void paper_quote(const struct market *m, const struct net_identity *server,
                 struct paper *quote);
void paper_narrow(const struct market *m, const struct paper *order,
                  const struct paper *quote, const struct net_identity *client,
                  struct paper *narrowing);
/* How the acceptance is to be charged; refused where it is none of these. */
void paper_terms(const struct paper *order, const struct paper *narrowing,
                 const struct paper *quote, const struct paper *acceptance,
                 struct claim_terms *terms);
/* The next claim, for so long since the acceptance. */
void paper_claim(const struct claim_terms *terms,
                 const struct claim_state *state, uint64_t used_us,
                 enum money_state ending, const char *activity,
                 const struct net_identity *server, struct paper *claim);

#endif
