/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the ledger.
 *
 * An entry (an operation or a question) goes through these lists, in the order
 * of its coming:
 *
 *   queue      not yet judged: an account it needs is being read, or the batch
 *              is full, or the ledger is not ready
 *   gathering  judged; those that change something are in the next TXN
 *   flying     in the TXN under way
 *
 * A refusal is in doubt until the store has said that the operation was not
 * done long ago: then its recorded answer counts, whatever the rules would say
 * today.  Such an entry waits in its batch for that READ.
 *
 * Judging changes the accounts in memory at once.  So when a TXN fails, all
 * that any account of `flying` or `gathering` says is void, and read again. */
#ifndef CORP_LEDGER_IN_H
#define CORP_LEDGER_IN_H

#include <uthash.h>

#include "corp/ledger.h"
#include "lib/arena.h"
#include "wire/store.pb-c.h"

#define LEDGER_FORMAT 1
#define LEDGER_KEY_HEAD "K"
#define LEDGER_JOURNAL_KEY (1 + 8)
#define LEDGER_ID_KEY (1 + XN_ID_SIZE + 1)
#define LEDGER_BECAUSE 200
#define LEDGER_TRIES_MAX 4
/* All accounts one operation can name. */
#define LEDGER_NAMED_MAX                                                       \
    (LEDGER_POSTINGS_MAX + LEDGER_OPENS_MAX + LEDGER_FLOORS_MAX +              \
     LEDGER_CLOSES_MAX)

/* An account in memory. */
struct ledger_row {
    xn_id id;
    struct ledger_account now;      /* as all judged operations leave it */
    bool known;                     /* else it must be read */
    uint64_t reading;               /* ticket; 0: none */
    int rc;                         /* why it could not be read */
    uint32_t pins;                  /* entries and batches that point here */
    bool touched;                   /* in gathering's list */
    struct ledger_row *prev, *next; /* unpinned ones, longest unused first */
    UT_hash_handle hh;
};

/* A caller's record that is not durable yet. */
struct ledger_pending {
    uint8_t *key; /* this block: key, value, was */
    size_t key_len;
    uint8_t *value;
    size_t len;
    bool drop;
    enum ledger_guard guard; /* that the TXN must check */
    uint8_t *was;
    size_t was_len;
    UT_hash_handle hh;
};

enum ledger_entry_kind { ENTRY_OP, ENTRY_LOOK, ENTRY_RECALL };

struct ledger_entry {
    enum ledger_entry_kind kind;
    xn_id id;            /* OP, RECALL */
    struct ledger_op op; /* OP; note and writes point into `bytes` */
    uint8_t *bytes;
    uint8_t *form; /* OP: as the journal has it, but for what it wrote */
    size_t form_len;
    size_t cost; /* bytes that it adds to a batch */
    xn_id content;
    struct ledger_row *rows[LEDGER_NAMED_MAX]; /* pinned, each once */
    size_t n_rows;
    bool careful;     /* look before the leap: the TXN met a conflict */
    uint64_t reading; /* ticket of a careful one's, a RECALL's or a doubtful
                         one's READ */
    bool doubtful;    /* judged and refused; is it in the store? */
    unsigned step;    /* how many of these came: the id, then the guarded */
    struct ledger_recent *record; /* the id is in the store, and says this */
    int look_rc;
    uint8_t *seen[LEDGER_WRITES_MAX]; /* guarded records; NULL: absent */
    size_t seen_len[LEDGER_WRITES_MAX];
    unsigned tries;
    bool effect; /* judged, and it changes something */
    struct ledger_result answer;
    int64_t balances[LEDGER_POSTINGS_MAX];
    struct ledger_account looks[LEDGER_POSTINGS_MAX];
    char because[LEDGER_BECAUSE];
    ledger_answer *fn;
    void *owner, *ctx;
    struct ledger_entry *twins;       /* the same again, waiting for this */
    struct ledger_entry *prev, *next; /* list */
    bool hashed;
    UT_hash_handle hh; /* by id: operations that wait, without twins */
};

/* An answer kept for the next that asks. */
struct ledger_recent {
    xn_id id;
    xn_id content;
    uint64_t seq, wall_us;
    uint32_t index;
    uint32_t n_balances;
    int64_t balances[LEDGER_POSTINGS_MAX];
    struct ledger_recent *prev, *next; /* oldest first */
    UT_hash_handle hh;
};

struct ledger_batch {
    struct ledger_entry *entries;
    size_t n, n_effects, bytes;
    bool careful; /* of careful ones: others wait for the next */
    struct ledger_row **touched;
    size_t n_touched, cap_touched;
    struct ledger_pending *pending; /* by key */
};

struct ledger_head {
    uint64_t seq;
    xn_id hash;
    uint64_t operations;
    uint64_t checked_seq;
    xn_id checked_hash;
    uint64_t unchecked;
};

struct ledger {
    struct ledger_config config;
    struct xn_tickets *tickets;
    enum ledger_state state;
    int fault;
    char because[LEDGER_BECAUSE];

    struct ledger_head head; /* durable */
    uint8_t *head_bytes;     /* as stored: the TXN's guard */
    size_t head_len;
    struct ledger_head next; /* what the TXN under way makes of it */
    uint8_t *next_bytes;
    size_t next_len;

    struct ledger_row *rows;
    struct ledger_row *idle; /* of rows: unpinned */
    size_t n_idle;
    struct ledger_entry *by_id;
    struct ledger_recent *recent, *recent_oldest;
    struct ledger_entry *queue;
    size_t n_entries; /* all that wait, twins too */
    struct ledger_batch gathering, flying;
    bool has_landed; /* flying is durable and waits for its doubts */
    struct ledger_entry *finished; /* to be answered */
    uint64_t ticket;     /* TXN, or READ of the head or journal, or a pause */
    int failed;          /* ASKING: rc of the TXN */
    bool given_up;       /* ASKING: those who flew have been told EUNKNOWN */
    unsigned failures;   /* of READs in a row */
    uint64_t verify_seq; /* STARTING: verified up to here */
    xn_id verify_hash;
    bool pumping;
};

/* ledger_form.c: records and keys */
void ledger_key_journal(uint64_t seq, uint8_t key[LEDGER_JOURNAL_KEY]);
void ledger_key_id(const xn_id *id, char letter, uint8_t key[LEDGER_ID_KEY]);
/* May the caller write there? */
bool ledger_key_free(const uint8_t *key, size_t len);
bool ledger_currency_ok(const char *currency);
int ledger_head_parse(const uint8_t *data, size_t len, struct ledger_head *head,
                      xn_id *corp_out);
/* *bytes_out is the caller's. */
int ledger_head_pack(const struct ledger_head *head, const xn_id *corp,
                     uint8_t **bytes_out, size_t *len_out);
int ledger_account_parse(const uint8_t *data, size_t len,
                         struct ledger_account *account_out);
/* Into `out`, room for LEDGER_ACCOUNT_ROOM; returns the length. */
#define LEDGER_ACCOUNT_ROOM 96
size_t ledger_account_pack(const struct ledger_account *account, uint8_t *out);
int ledger_done_parse(const uint8_t *data, size_t len, struct ledger_recent *r);
#define LEDGER_DONE_ROOM 320
size_t ledger_done_pack(const struct ledger_entry *entry, uint8_t *out);
/* The operation in its form for the journal, without what it wrote, which is
 * the caller's, and SHA-256 of that. */
int ledger_content(const struct ledger_op *op, xn_id *content_out,
                   uint8_t **form_out, size_t *len_out);
/* An operation of the journal; points into `stored`.  What it wrote has keys
 * alone. */
int ledger_op_parse(const Xn__LedgerOp *stored, struct ledger_op *op);
/* The journal record of a batch, in the arena.  XN_ENOMEM. */
int ledger_batch_pack(uint64_t seq, const xn_id *previous, uint64_t wall_us,
                      const struct ledger_entry *entries,
                      struct xn_arena *arena, ProtobufCBinaryData *record_out);

/* ledger_rules.c: what may be done */
/* Is it well formed by itself?  because: LEDGER_BECAUSE bytes. */
int ledger_rules_form(const struct ledger_op *op, char *because);
/* The accounts as the operation leaves them: after[i] is of ids[i], which name
 * all that it names.  balances: behind each posting. */
int ledger_rules_apply(const struct ledger_op *op, const xn_id *ids, size_t n,
                       struct ledger_account *after, int64_t *balances,
                       char *because);

/* ledger_entry.c: entries, rows, recent answers */
int ledger_entry_new(struct ledger *ledger, enum ledger_entry_kind kind,
                     const struct ledger_op *op, struct ledger_entry **out);
void ledger_entry_free(struct ledger *ledger, struct ledger_entry *entry);
int ledger_entry_pin(struct ledger *ledger, struct ledger_entry *entry,
                     const xn_id *id);
void ledger_row_unpin(struct ledger *ledger, struct ledger_row *row);
void ledger_remember(struct ledger *ledger, const struct ledger_entry *entry);
const struct ledger_recent *ledger_recent_find(struct ledger *ledger,
                                               const xn_id *id);
void ledger_recent_answer(const struct ledger_recent *r,
                          struct ledger_entry *entry);
/* Set what the entry will be answered; effect = false. */
void ledger_refuse(struct ledger_entry *entry, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The entry, which is in no list, is to be answered. */
void ledger_finish(struct ledger *ledger, struct ledger_entry *entry);
/* Forget what a careful one has seen. */
void ledger_entry_unsee(struct ledger *ledger, struct ledger_entry *entry);

/* ledger_batch.c: from gathering to durable */
/* All that gathering or flying did to the accounts is void. */
void ledger_void(struct ledger *ledger);
/* All of the batch get this answer. */
void ledger_batch_refuse(struct ledger *ledger, struct ledger_batch *batch,
                         int rc, const char *because);
bool ledger_batch_full(const struct ledger_batch *batch);
/* More careful ones are about to be judged: the batch waits for them. */
bool ledger_holds_back(const struct ledger *ledger);
/* Send what has gathered, if nothing flies. */
void ledger_send(struct ledger *ledger, const struct xn_now *now,
                 struct xn_out *out);
void ledger_batch_clear(struct ledger *ledger, struct ledger_batch *batch);

/* ledger_judge.c */
/* Judge the entry and put it behind gathering. */
void ledger_judge(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, struct xn_out *out);
void ledger_pending_free(struct ledger_pending *p); /* NULL is fine */

/* ledger_draft.c: what has gathered as a TXN, and `next`.  *txn_out is the
 * caller's. */
int ledger_draft_txn(struct ledger *ledger, const struct xn_now *now,
                     struct xn_msg **txn_out);

/* ledger_read.c: what must be read before judging */
/* true: all is there; else it is being read, or will be once the entry is the
 * `first` of the queue. */
bool ledger_have(struct ledger *ledger, const struct xn_now *now,
                 struct ledger_entry *entry, bool first, struct xn_out *out);
/* Look whether the refused entry was done before. */
void ledger_doubt(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, struct xn_out *out);
bool ledger_in_doubt(const struct ledger_batch *batch);
void ledger_read(struct ledger *ledger, uint64_t ticket, const uint8_t *key,
                 size_t key_len, struct xn_out *out);
/* The value of exactly that key in a READ's answer: 0, XN_ENOENT, XN_EPROTO. */
int ledger_found(const struct xn_msg *msg, const uint8_t *key, size_t key_len,
                 ProtobufCBinaryData *value_out);

/* ledger_start.c */
void ledger_break(struct ledger *ledger, struct xn_out *out, int rc,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Ask the head; what becomes of it: the function. */
void ledger_ask_head(struct ledger *ledger, const struct xn_now *now,
                     xn_ended *fn, struct xn_out *out);
/* After 1, 2, 4 .. 30 s. */
void ledger_pause(struct ledger *ledger, const struct xn_now *now, xn_ended *fn,
                  struct xn_out *out);
/* *stored_out points into the message. */
int ledger_take_head(struct ledger *ledger, const struct xn_msg *msg,
                     struct ledger_head *head_out,
                     ProtobufCBinaryData *stored_out);
/* From now on the TXN's guard. */
int ledger_keep_head(struct ledger *ledger, ProtobufCBinaryData stored);

/* ledger.c: go on with whatever can go on, then answer. */
void ledger_pump(struct ledger *ledger, const struct xn_now *now,
                 struct xn_out *out);

#endif
