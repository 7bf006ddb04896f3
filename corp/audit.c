/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

struct book {
    xn_id id;
    struct ledger_account account;
    bool seen;
    UT_hash_handle hh;
};

struct deed {
    xn_id id;
    xn_id answer; /* hash of the LedgerDone that must be there */
    bool seen;
    UT_hash_handle hh;
};

struct wrote {
    size_t key_len;
    xn_id hash;
    bool dropped, seen;
    UT_hash_handle hh;
    uint8_t key[LEDGER_KEY_MAX];
};

struct audit {
    struct audit_report report;
    uint64_t expect_seq;
    xn_id expect_hash;
    bool has_head;
    struct book *books;
    struct deed *deeds;
    struct wrote *records;
    char why[LEDGER_BECAUSE + 120];
};

static int fault(struct audit *audit, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int fault(struct audit *audit, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(audit->why, sizeof audit->why, fmt, ap);
    va_end(ap);
    return XN_EINTEGRITY;
}

int audit_new(struct audit **audit_out)
{
    *audit_out = calloc(1, sizeof **audit_out);
    return *audit_out ? 0 : XN_ENOMEM;
}

void audit_free(struct audit *audit)
{
    struct book *book, *next_book;
    struct deed *deed, *next_deed;
    struct wrote *wrote, *next_wrote;

    if (!audit) return;
    HASH_ITER(hh, audit->books, book, next_book)
    {
        HASH_DEL(audit->books, book);
        free(book);
    }
    HASH_ITER(hh, audit->deeds, deed, next_deed)
    {
        HASH_DEL(audit->deeds, deed);
        free(deed);
    }
    HASH_ITER(hh, audit->records, wrote, next_wrote)
    {
        HASH_DEL(audit->records, wrote);
        free(wrote);
    }
    free(audit);
}

const char *audit_why(const struct audit *audit)
{
    return audit->why;
}

void audit_expect(struct audit *audit, uint64_t seq, const xn_id *hash)
{
    audit->expect_seq = seq;
    audit->expect_hash = *hash;
}

/* ---- the journal ---- */

static int find_book(struct audit *audit, const xn_id *id,
                     struct book **book_out)
{
    struct book *book;

    HASH_FIND(hh, audit->books, id, sizeof *id, book);
    if (!book) {
        book = calloc(1, sizeof *book);
        if (!book) return XN_ENOMEM;
        book->id = *id;
        HASH_ADD(hh, audit->books, id, sizeof book->id, book);
    }
    *book_out = book;
    return 0;
}

struct named {
    struct book *books[LEDGER_NAMED_MAX];
    xn_id ids[LEDGER_NAMED_MAX];
    struct ledger_account after[LEDGER_NAMED_MAX];
    size_t n;
};

static int name(struct audit *audit, const xn_id *id, struct named *named)
{
    struct book *book = NULL;
    size_t i;
    int rc;

    for (i = 0; i < named->n; i++) {
        if (xn_id_eq(&named->ids[i], id)) return 0;
    }
    rc = find_book(audit, id, &book);
    if (rc) return rc;
    named->books[named->n] = book;
    named->ids[named->n] = *id;
    named->after[named->n++] = book->account;
    return 0;
}

static int name_all(struct audit *audit, const struct ledger_op *op,
                    struct named *named)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < op->n_opens && !rc; i++)
        rc = name(audit, &op->opens[i].account, named);
    for (i = 0; i < op->n_floors && !rc; i++)
        rc = name(audit, &op->floors[i].account, named);
    for (i = 0; i < op->n_postings && !rc; i++)
        rc = name(audit, &op->postings[i].account, named);
    for (i = 0; i < op->n_closes && !rc; i++)
        rc = name(audit, &op->closes[i], named);
    return rc;
}

/* What must be found under the operation's id. */
static int keep_deed(struct audit *audit, const struct ledger_op *op,
                     const int64_t *balances, uint64_t wall_us, uint32_t index)
{
    struct ledger_entry *entry;
    uint8_t bytes[LEDGER_DONE_ROOM];
    struct deed *deed;
    uint8_t *form = NULL;
    size_t len;
    int rc = XN_ENOMEM;

    HASH_FIND(hh, audit->deeds, &op->id, sizeof op->id, deed);
    if (deed) {
        return fault(audit, "record %llu: operation %u was done before",
                     (unsigned long long)audit->report.seq, index);
    }
    deed = calloc(1, sizeof *deed);
    entry = calloc(1, sizeof *entry);
    if (!deed || !entry) goto out;
    rc = ledger_content(op, &entry->content, &form, &len);
    if (rc) goto out;
    entry->op.n_postings = op->n_postings;
    memcpy(entry->balances, balances, sizeof entry->balances);
    entry->answer.seq = audit->report.seq;
    entry->answer.index = index;
    entry->answer.wall_us = wall_us;
    xn_id_hash(bytes, ledger_done_pack(entry, bytes), &deed->answer);
    deed->id = op->id;
    HASH_ADD(hh, audit->deeds, id, sizeof deed->id, deed);
    deed = NULL;
out:
    free(form);
    free(entry);
    free(deed);
    return rc;
}

static int keep_wrote(struct audit *audit, const Xn__LedgerWrote *stored)
{
    struct wrote *wrote;

    if (!ledger_key_free(stored->key.data, stored->key.len)) {
        return fault(audit, "record %llu: a key that no caller may write",
                     (unsigned long long)audit->report.seq);
    }
    HASH_FIND(hh, audit->records, stored->key.data, stored->key.len, wrote);
    if (!wrote) {
        wrote = calloc(1, sizeof *wrote);
        if (!wrote) return XN_ENOMEM;
        wrote->key_len = stored->key.len;
        memcpy(wrote->key, stored->key.data, stored->key.len);
        HASH_ADD(hh, audit->records, key, (unsigned)wrote->key_len, wrote);
    }
    wrote->dropped = stored->hash.len == 0;
    if (wrote->dropped) return 0;
    if (xn_id_from_bytes(&stored->hash, &wrote->hash)) {
        return fault(audit, "record %llu: not a hash",
                     (unsigned long long)audit->report.seq);
    }
    return 0;
}

static int do_op(struct audit *audit, const Xn__LedgerOp *stored,
                 uint64_t wall_us, uint32_t index)
{
    char because[LEDGER_BECAUSE] = "it cannot be read";
    int64_t balances[LEDGER_POSTINGS_MAX] = {0};
    struct named named = {.n = 0};
    struct ledger_op op;
    size_t i;
    int rc;

    rc = ledger_op_parse(stored, &op);
    if (!rc) rc = ledger_rules_form(&op, because);
    if (rc) goto bad;
    rc = name_all(audit, &op, &named);
    if (rc) return rc;
    rc = ledger_rules_apply(&op, named.ids, named.n, named.after, balances,
                            because);
    if (rc) goto bad;
    for (i = 0; i < named.n; i++) {
        struct ledger_account *account = &named.books[i]->account;

        *account = named.after[i];
        if (!account->opened_seq) account->opened_seq = audit->report.seq;
        account->changed_seq = audit->report.seq;
    }
    for (i = 0; i < stored->n_wrote && !rc; i++)
        rc = keep_wrote(audit, stored->wrote[i]);
    audit->report.operations++;
    return rc ? rc : keep_deed(audit, &op, balances, wall_us, index);
bad:
    return fault(audit, "record %llu: operation %u breaks the rules: %s",
                 (unsigned long long)audit->report.seq, index, because);
}

static int check_chain(struct audit *audit, const Xn__LedgerBatch *batch)
{
    uint64_t seq = audit->report.seq + 1;
    xn_id previous;

    if (!batch || batch->seq != seq ||
        xn_id_from_bytes(&batch->previous, &previous) ||
        !xn_id_eq(&previous, &audit->report.hash)) {
        return fault(audit, "record %llu: it does not follow the one before",
                     (unsigned long long)seq);
    }
    return 0;
}

int audit_journal(struct audit *audit, const uint8_t *key, size_t key_len,
                  const uint8_t *value, size_t len)
{
    struct audit_report *report = &audit->report;
    uint8_t want[LEDGER_JOURNAL_KEY];
    Xn__LedgerBatch *batch;
    size_t i;
    int rc;

    ledger_key_journal(report->seq + 1, want);
    if (key_len != sizeof want || memcmp(key, want, sizeof want) != 0) {
        return fault(audit, "record %llu: it is missing",
                     (unsigned long long)report->seq + 1);
    }
    batch = xn__ledger_batch__unpack(NULL, len, value);
    rc = check_chain(audit, batch);
    if (rc) goto out;
    report->seq++;
    xn_id_hash(value, len, &report->hash);
    if (report->seq == 1) report->first_us = batch->wall_us;
    report->last_us = batch->wall_us;
    for (i = 0; i < batch->n_ops && !rc; i++)
        rc = do_op(audit, batch->ops[i], batch->wall_us, (uint32_t)i);
    if (!rc && report->seq == audit->expect_seq &&
        !xn_id_eq(&report->hash, &audit->expect_hash)) {
        rc = fault(audit,
                   "record %llu: it is not the one that was there when the "
                   "receipt was given",
                   (unsigned long long)report->seq);
    }
out:
    if (batch) xn__ledger_batch__free_unpacked(batch, NULL);
    return rc;
}

int audit_head(struct audit *audit, const uint8_t *value, size_t len)
{
    struct audit_report *report = &audit->report;
    struct ledger_head head;
    xn_id corp;

    audit->has_head = true;
    if (ledger_head_parse(value, len, &head, &corp)) {
        return fault(audit, "the journal's head cannot be read");
    }
    if (head.seq != report->seq || !xn_id_eq(&head.hash, &report->hash) ||
        head.operations != report->operations) {
        return fault(
            audit, "the journal ends with record %llu; its head says %llu",
            (unsigned long long)report->seq, (unsigned long long)head.seq);
    }
    if (report->seq < audit->expect_seq) {
        return fault(audit,
                     "the journal ends with record %llu, and there was a "
                     "record %llu: it was set back to an older state",
                     (unsigned long long)report->seq,
                     (unsigned long long)audit->expect_seq);
    }
    return 0;
}

/* ---- everything else, against the journal ---- */

static const char *hex8(const xn_id *id, char out[9])
{
    snprintf(out, 9, "%02x%02x%02x%02x", id->b[0], id->b[1], id->b[2],
             id->b[3]);
    return out;
}

static int check_account(struct audit *audit, const xn_id *id,
                         const uint8_t *value, size_t len)
{
    uint8_t want[LEDGER_ACCOUNT_ROOM];
    struct ledger_account stored = {.balance = 0};
    struct book *book;
    char text[9];

    HASH_FIND(hh, audit->books, id, sizeof *id, book);
    if (!book || !book->account.exists) {
        return fault(audit, "account %s: the journal does not know it",
                     hex8(id, text));
    }
    if (ledger_account_pack(&book->account, want) != len ||
        memcmp(want, value, len) != 0) {
        if (ledger_account_parse(value, len, &stored)) {
            return fault(audit, "account %s: it cannot be read",
                         hex8(id, text));
        }
        return fault(audit,
                     "account %s: it holds %lld micro-units since record %llu; "
                     "the journal makes that %lld since %llu",
                     hex8(id, text), (long long)stored.balance,
                     (unsigned long long)stored.changed_seq,
                     (long long)book->account.balance,
                     (unsigned long long)book->account.changed_seq);
    }
    book->seen = true;
    return 0;
}

static int check_deed(struct audit *audit, const xn_id *id,
                      const uint8_t *value, size_t len)
{
    struct deed *deed;
    char text[9];
    xn_id hash;

    HASH_FIND(hh, audit->deeds, id, sizeof *id, deed);
    xn_id_hash(value, len, &hash);
    if (!deed || !xn_id_eq(&deed->answer, &hash)) {
        return fault(audit,
                     "operation %s: its recorded answer is not what the "
                     "journal makes it",
                     hex8(id, text));
    }
    deed->seen = true;
    return 0;
}

static int check_wrote(struct audit *audit, const uint8_t *key, size_t key_len,
                       const uint8_t *value, size_t len)
{
    struct wrote *wrote;
    xn_id hash;

    if (key_len > LEDGER_KEY_MAX) return 0;
    HASH_FIND(hh, audit->records, key, key_len, wrote);
    if (!wrote) return 0; /* written by others */
    xn_id_hash(value, len, &hash);
    if (wrote->dropped || !xn_id_eq(&wrote->hash, &hash)) {
        return fault(audit, "a record of '%c': it is not what the journal says",
                     key[0] > ' ' && key[0] < 127 ? key[0] : '?');
    }
    wrote->seen = true;
    return 0;
}

int audit_record(struct audit *audit, const uint8_t *key, size_t key_len,
                 const uint8_t *value, size_t len)
{
    xn_id id;

    if (key_len == LEDGER_ID_KEY && key[0] == 'L') {
        memcpy(id.b, key + 1, XN_ID_SIZE);
        if (key[LEDGER_ID_KEY - 1] == 'a')
            return check_account(audit, &id, value, len);
        if (key[LEDGER_ID_KEY - 1] == 'o')
            return check_deed(audit, &id, value, len);
    }
    return check_wrote(audit, key, key_len, value, len);
}

/* ---- the end ---- */

static int add_up(struct audit *audit, const struct ledger_account *account)
{
    struct audit_report *report = &audit->report;
    struct audit_currency *row = NULL;
    size_t i;

    for (i = 0; i < report->n_currencies && !row; i++) {
        if (!strcmp(report->currencies[i].currency, account->currency)) {
            row = &report->currencies[i];
        }
    }
    if (!row) {
        if (report->n_currencies == AUDIT_CURRENCIES_MAX) return XN_ENOMEM;
        row = &report->currencies[report->n_currencies++];
        memcpy(row->currency, account->currency, LEDGER_CURRENCY);
    }
    if (account->kind > LEDGER_FENCE) {
        return fault(audit, "an account in %s is of no known kind",
                     account->currency);
    }
    row->held[account->kind] += account->balance;
    return 0;
}

static int check_sums(struct audit *audit)
{
    size_t i, kind;

    for (i = 0; i < audit->report.n_currencies; i++) {
        const struct audit_currency *row = &audit->report.currencies[i];
        xn_i128 sum = 0;

        for (kind = 0; kind <= LEDGER_FENCE; kind++)
            sum += row->held[kind];
        if (sum != 0) {
            return fault(audit, "the accounts in %s do not sum to zero",
                         row->currency);
        }
    }
    return 0;
}

int audit_end(struct audit *audit, struct audit_report *report_out)
{
    struct book *book;
    struct deed *deed;
    struct wrote *wrote;
    char text[9];
    int rc = 0;

    if (!audit->has_head) return fault(audit, "the journal has no head");
    for (book = audit->books; book && !rc; book = book->hh.next) {
        if (!book->account.exists) continue;
        if (!book->seen) {
            rc = fault(audit, "account %s: it is missing",
                       hex8(&book->id, text));
        } else {
            audit->report.accounts++;
            rc = add_up(audit, &book->account);
        }
    }
    for (deed = audit->deeds; deed && !rc; deed = deed->hh.next) {
        if (!deed->seen) {
            rc = fault(audit, "operation %s: its recorded answer is missing",
                       hex8(&deed->id, text));
        }
    }
    for (wrote = audit->records; wrote && !rc; wrote = wrote->hh.next) {
        if (!wrote->seen && !wrote->dropped) {
            rc =
                fault(audit, "a record of '%c': it is missing",
                      wrote->key[0] > ' ' && wrote->key[0] < 127 ? wrote->key[0]
                                                                 : '?');
        }
    }
    if (!rc) rc = check_sums(audit);
    *report_out = audit->report;
    return rc;
}
