/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A XenoCorp that sells, driven by hand with documents that are really signed:
 * one client, several servers, and deals between them. */
#ifndef TESTS_UNIT_CORP_MONEY_KIT_H
#define TESTS_UNIT_CORP_MONEY_KIT_H

#include "corp/corp.h"
#include "tests/unit/crank.h"
#include "tests/unit/wire_kit.h"
#include "wire/claim.h"

#define SHOP_SERVERS 10
#define GBP 1000000
#define HOUR_US (3600ULL * 1000000)

struct shop_member {
    struct kit_party party;
    xn_id id;
    Xn__Caller caller;
};

struct shop {
    struct crank c;
    struct corp_config config;
    struct kit_party corp;
    xn_id corp_id;
    Xn__Caller staff;
    struct shop_member client, stranger; /* another client */
    struct shop_member server[SHOP_SERVERS];
    struct xn_anchors *anchors;
};

struct shop_doc { /* a document and its envelope */
    struct money doc;
    uint8_t *data;
    size_t len;
};

struct deal {
    const struct shop_member *by; /* the server */
    xn_id serial, session;
    struct shop_doc order, quote, narrowing, acceptance;
    struct claim_terms terms;
    struct claim_state state;
};

/* `policy` may change the configuration. */
void shop_open(struct shop *s, void (*policy)(struct corp_config *config));
void shop_close(struct shop *s);
/* All is forgotten but keys and configuration. */
void shop_reset(struct shop *s);
/* The process dies and begins again on what the store holds. */
void shop_restart(struct shop *s);
/* The same, and nothing of the store is served yet. */
void shop_restart_begin(struct shop *s);
int shop_set_up(void **state);
int shop_tear_down(void **state);
#define SHOP_TEST(f)                                                           \
    cmocka_unit_test_setup_teardown(f, shop_set_up, shop_tear_down)

/* The client is registered; others are known by their certificates alone. */
void shop_enrol(struct shop *s, const struct shop_member *m);

/* One action of that kind; SIGN and VERIFY are done for real. */
void shop_serve_one(struct shop *s, enum xn_act kind);
/* All of them and all that follow. */
void shop_serve(struct shop *s);
/* All but TXN. */
void shop_serve_until_txn(struct shop *s);
/* One of those that wait, by that number; false: none waits. */
bool shop_serve_nth(struct shop *s, uint64_t n);

/* Sign; the former envelope is freed. */
void shop_seal(struct shop_doc *doc, const struct kit_party *by);
void shop_doc_clear(struct shop_doc *doc);
ProtobufCBinaryData shop_bytes(const struct shop_doc *doc);
/* What came from the corp, opened as anybody would. */
void shop_take_doc(struct shop *s, enum money_type type,
                   ProtobufCBinaryData bytes, struct shop_doc *out);

uint64_t shop_ask_pay_in(struct shop *s, uint8_t word, int64_t micro);
void shop_pay_in(struct shop *s, uint8_t word, int64_t micro);
int64_t shop_balance(struct shop *s);
/* An ASK with a query, without a body. */
uint64_t shop_ask_query(struct shop *s, const char *path, const char *query,
                        const Xn__Caller *caller);
/* The balance that an Account says; credit_out may be NULL. */
int64_t shop_account(struct shop *s, uint64_t ask, int64_t *credit_out);
/* Of a member's account in GBP, in the store; 0: there is none. */
int64_t shop_stored(struct shop *s, const xn_id *account);
int64_t shop_earned(struct shop *s, const struct shop_member *server);
/* The auditor goes over the whole store; the accounts sum to zero. */
void shop_audit(struct shop *s);
size_t shop_records(const struct shop *s, char letter);

Xn__IssueOrder shop_order(const uint8_t word[32], int64_t amount,
                          uint64_t until_us);
uint64_t shop_ask_issue(struct shop *s, uint8_t word, int64_t amount);
/* An order of that amount, a quote of the server, and the narrowing of the one
 * to the other. */
void deal_begin(struct shop *s, struct deal *d, uint8_t word, int64_t amount,
                const struct shop_member *server);
void deal_narrow(struct shop *s, struct deal *d);
void deal_clear(struct deal *d);
uint64_t deal_ask_validate(struct shop *s, struct deal *d);
/* Fills acceptance, terms and state. */
void deal_accepted(struct shop *s, struct deal *d, uint64_t ask);
void deal_validate(struct shop *s, struct deal *d);
/* From nothing: 5 GBP paid in, and a deal of so much of it begun with the first
 * server. */
void deal_ordered(struct shop *s, struct deal *d, int64_t amount);
/* And accepted. */
void deal_made(struct shop *s, struct deal *d, int64_t amount);
/* The next claim for so long since the acceptance, at full use of the CPU. */
void deal_claim(struct shop *s, struct deal *d, uint64_t used_us,
                enum money_state ending, struct shop_doc *claim_out);
uint64_t ask_charge(struct shop *s, const struct shop_doc *claim,
                    const struct shop_member *by);
/* The refusal's rc; because_out may be NULL. */
int charge_refused(struct shop *s, const struct shop_doc *claim,
                   const struct shop_member *by, char because_out[300]);
/* The receipt, as opened; its envelope in `receipt_out`. */
void charged(struct shop *s, uint64_t ask, struct shop_doc *receipt_out);
/* Claim, charge, check the receipt, go on from there. */
int64_t deal_charge(struct shop *s, struct deal *d, uint64_t used_us,
                    enum money_state ending);
uint64_t deal_ask_stop(struct shop *s, struct deal *d);
uint64_t deal_ask_void(struct shop *s, const struct deal *d);
/* Let time pass, and do what the corp does by itself. */
void shop_pass(struct shop *s, uint64_t us);
Xn__OrderFate deal_fate(struct shop *s, const struct deal *d,
                        int64_t *fenced_out);
/* What the refusal says. */
int shop_refused(struct shop *s, uint64_t ask, char because_out[300]);

#endif
