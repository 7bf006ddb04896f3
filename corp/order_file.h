/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the store holds of an order: keys and records (wire/store.proto).
 *
 *   'L' serial 'a'        the fence: an account of the ledger of that id
 *   'L' serial 'r'        the order as issued
 *   'L' serial 'b'        what became of it: accepted, void, expired
 *   'L' serial 's'        where an accepted one stands
 *   'L' serial 't'        narrowings and quote
 *   'L' serial 'x' seq    a claim and its receipt
 *   'L' serial 'y'        the stop and its receipt
 *   'S' server session    the serial
 *   'H' holder serial     nothing: who has which orders
 *   'E' end serial        nothing: when it ends, or was stopped
 *   'P' account request  a pay-in (payin.c)
 *   'R' minute hash       a claim that was refused, one of its kind
 *
 * The first four are read by one READ.  `r` and `b` never change, so of all who
 * would bind or void an order exactly one finds `b` absent. */
#ifndef CORP_ORDER_FILE_H
#define CORP_ORDER_FILE_H

#include "corp/ledger.h"
#include "wire/claim.h"
#include "wire/store.pb-c.h"

#define ORDER_FILE_RECORDS 4 /* a, b, r, s */
#define ORDER_KEY_MAX 80

struct order_key {
    uint8_t b[ORDER_KEY_MAX];
    size_t len;
};

/* letter 0: what all records of the order begin with. */
struct order_key order_key(const xn_id *serial, char letter);
struct order_key order_key_claim(const xn_id *serial, uint64_t sequence);
struct order_key order_key_session(const xn_id *server, const xn_id *session);
struct order_key order_key_holder(const xn_id *holder, const xn_id *serial);
struct order_key order_key_end(uint64_t end_us, const xn_id *serial);
/* request NULL: what all of the account begin with. */
struct order_key order_key_pay_in(const xn_id *account, const xn_id *request);
struct order_key order_key_refused(uint64_t minute_us, const xn_id *kind);

/* The account of a member, LEDGER_CLIENT or LEDGER_SERVER: one key may be both,
 * and what it earned is not what it spends.  And of the corp: 'i' its income,
 * 'e' the world. */
void order_account(const xn_id *corp, enum ledger_kind kind,
                   const xn_id *member, const char *currency,
                   xn_id *account_out);
void order_house(const xn_id *corp, char which, const char *currency,
                 xn_id *account_out);
/* The id of an operation on an order, which begins like its fence's: one page
 * of the store.  `more` (n bytes) tells it from others of that word. */
void order_op_id(const xn_id *serial, const char *word, const void *more,
                 size_t n, xn_id *id_out);
/* Of the n-th operation of that word: it stands behind those before it. */
void order_op_id_nth(const xn_id *serial, const char *word, uint64_t n,
                     xn_id *id_out);

struct order_bound {
    Xn__OrderFate fate;
    uint64_t at_us;
    xn_id narrowing, quote;
    int64_t prepaid;
    struct claim_terms terms;
};

struct order_state {
    struct claim_state claims;
    int64_t paid;
    uint64_t stopped_us;
    bool closed;
};

/* Plain values, but for what points into the message that was read. */
struct order_file {
    xn_id serial;
    bool has_record, is_bound, has_state;
    xn_id document, request, account, holder;
    char currency[MONEY_CURRENCY_SIZE];
    int64_t amount;
    uint64_t until_us;
    struct order_bound bound;
    struct order_state state;
    ProtobufCBinaryData order, acceptance; /* envelopes */
    ProtobufCBinaryData state_bytes;       /* what a guard is to find */
};

/* From a READ of order_key(serial, 0).  XN_EINTEGRITY: a record is damaged.
 * The unpacked records are kept in `keep_out`: order_file_drop. */
struct order_keep {
    Xn__OrderRecord *record;
    Xn__OrderBound *bound;
};
int order_file_read(const xn_id *corp, const xn_id *serial,
                    const Xn__Records *records, struct order_file *file,
                    struct order_keep *keep_out);
void order_keep_clear(struct order_keep *keep);

/* As bytes, which are the caller's (free). */
int order_bound_pack(const struct order_bound *bound,
                     ProtobufCBinaryData acceptance, uint8_t **bytes_out,
                     size_t *len_out);
int order_state_pack(const struct order_state *state, uint8_t **bytes_out,
                     size_t *len_out);

Xn__OrderFate order_fate(const struct order_file *file);
/* What is still in the fence; 0 where the order is closed, void or expired. */
int64_t order_fenced(const struct order_file *file);

#endif
