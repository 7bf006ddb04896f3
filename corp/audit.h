/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger added up again, from its first record: an auditor that trusts
 * nothing but arithmetic.  It is given every record of the store and holds the
 * journal against itself (order, chain, rules, sums) and all other records
 * against the journal (balances, answers, the callers' records).
 *
 * Keeps some 150 bytes per operation and account in memory.  The first fault
 * ends it: XN_EINTEGRITY, and audit_why() names the place. */
#ifndef CORP_AUDIT_H
#define CORP_AUDIT_H

#include "corp/ledger.h"
#include "lib/dec.h"
#include "wire/store.pb-c.h"

struct audit;

#define AUDIT_CURRENCIES_MAX 64

struct audit_currency {
    char currency[LEDGER_CURRENCY];
    xn_i128 held[LEDGER_FENCE + 1]; /* micro-units, by enum ledger_kind */
};

struct audit_report {
    uint64_t seq; /* last journal record */
    xn_id hash;
    uint64_t operations, accounts;
    uint64_t first_us, last_us; /* wall time of records */
    struct audit_currency currencies[AUDIT_CURRENCIES_MAX];
    size_t n_currencies;
};

int audit_new(struct audit **audit_out);
void audit_free(struct audit *audit);
const char *audit_why(const struct audit *audit);

/* The journal must hold record `seq` with this hash: what a receipt or an
 * earlier audit said.  A ledger that was set back lacks it. */
void audit_expect(struct audit *audit, uint64_t seq, const xn_id *hash);

/* In this order: the journal's records from the first on, the head, then all
 * other records of the store, in any order. */
int audit_journal(struct audit *audit, const uint8_t *key, size_t key_len,
                  const uint8_t *value, size_t len);
int audit_head(struct audit *audit, const uint8_t *value, size_t len);
int audit_record(struct audit *audit, const uint8_t *key, size_t key_len,
                 const uint8_t *value, size_t len);
int audit_end(struct audit *audit, struct audit_report *report_out);

#endif
