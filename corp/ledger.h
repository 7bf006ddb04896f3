/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger of a XenoCorp: accounts, and operations that move money between
 * them.  Double entry: the postings of an operation sum to zero per currency,
 * so all accounts together always do.  Amounts are int64 micro-units.
 *
 * A part of the corp core, as pure as it: it asks for TXN and READ through
 * `out`, and its tickets are the core's.  What it holds in memory runs ahead of
 * the disk; whoever waits is answered only when all that his answer rests on is
 * durable, be it done or refused.  Operations are judged in the order they
 * came.  While a TXN is under way others gather; together they become the next.
 *
 * One operation has one id, for ever: the same again gives the recorded
 * answer, the same id with other content XN_ECONFLICT.  A refusal is not
 * recorded.
 *
 * The caller's records (an order's state) may go with the money, in one
 * transaction.  They are not part of the content: what a retry would write
 * depends on the state it meets, what it means does not.
 *
 * Keys in the store (wire/store.proto): 'J' seq, the journal; 'K', its head;
 * 'L' id 'a', an account; 'L' id 'o', an operation.  The caller's may be any
 * other; 'L' id and another letter stands beside the account of that id, on
 * the same page of a tree, which is what a transaction pays for.  Give the
 * operations of one order ids that begin like the order's account for the same
 * reason. */
#ifndef CORP_LEDGER_H
#define CORP_LEDGER_H

#include "seam/out.h"
#include "seam/tickets.h"
#include "wire/id.h"

#define LEDGER_POSTINGS_MAX 16
#define LEDGER_OPENS_MAX 4
#define LEDGER_FLOORS_MAX 4
#define LEDGER_CLOSES_MAX 4
#define LEDGER_WRITES_MAX 8
#define LEDGER_NOTE_MAX 256             /* bytes */
#define LEDGER_KEY_MAX 128              /* of a caller's record */
#define LEDGER_VALUE_MAX (128U << 10)   /* of a caller's record */
#define LEDGER_BATCH_MAX 512            /* operations in one TXN */
#define LEDGER_BATCH_BYTES (1U << 20)   /* no more are added past this */
#define LEDGER_CHECK_BYTES (2ULL << 20) /* of journal that a start verifies */
#define LEDGER_CURRENCY 4               /* "GBP" and its NUL */
#define LEDGER_FLOOR_NONE INT64_MIN     /* may go as far down as it likes */

enum ledger_kind {
    LEDGER_CLIENT = 1,
    LEDGER_SERVER,
    LEDGER_INCOME,   /* the corp's own */
    LEDGER_EXTERNAL, /* money in the world: below zero by what was paid in */
    LEDGER_FENCE,    /* what is set apart for an order */
};

/* For the audit's reader; the ledger treats all alike. */
enum ledger_what {
    LEDGER_OPEN = 1,
    LEDGER_PAY_IN,
    LEDGER_PAY_OUT,
    LEDGER_CREDIT, /* floors alone */
    LEDGER_ISSUE,
    LEDGER_CHARGE,
    LEDGER_RELEASE,
    LEDGER_VOID,
    LEDGER_OTHER,
    LEDGER_TAKE_BACK, /* a pay-in that was a mistake */
};

struct ledger_posting {
    xn_id account;
    int64_t micro; /* not 0; below 0: out of the account */
    char currency[LEDGER_CURRENCY];
};

struct ledger_open {
    xn_id account;
    enum ledger_kind kind;
    char currency[LEDGER_CURRENCY];
    int64_t floor; /* 0: no overdraft; -credit; LEDGER_FLOOR_NONE */
};

struct ledger_floor {
    xn_id account;
    int64_t floor;
};

enum ledger_guard { LEDGER_ANY, LEDGER_ABSENT, LEDGER_EQUALS };

/* A record of the caller's.  Guards speak of what is there right before this
 * operation, be it durable or not. */
struct ledger_write {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *value;
    size_t len;
    bool drop;
    enum ledger_guard guard;
    const uint8_t *was; /* EQUALS */
    size_t was_len;
};

/* Order within an operation: opens, floors, postings, closes, writes. */
struct ledger_op {
    xn_id id;
    enum ledger_what what;
    const char *note; /* for people; NULL: none */
    struct ledger_open opens[LEDGER_OPENS_MAX];
    size_t n_opens;
    struct ledger_floor floors[LEDGER_FLOORS_MAX];
    size_t n_floors;
    struct ledger_posting postings[LEDGER_POSTINGS_MAX];
    size_t n_postings;
    xn_id closes[LEDGER_CLOSES_MAX]; /* must be empty by then */
    size_t n_closes;
    struct ledger_write writes[LEDGER_WRITES_MAX];
    size_t n_writes;
};

struct ledger_account {
    bool exists;
    bool closed;
    enum ledger_kind kind;
    char currency[LEDGER_CURRENCY];
    int64_t floor;
    int64_t balance;
    uint64_t opened_seq;
    uint64_t changed_seq;
};

/* rc of an operation:
 *   0              done and durable
 *   XN_EINVAL      malformed, or its postings do not sum to zero
 *   XN_ETOOBIG     over a bound above
 *   XN_EFUNDS      an account would fall below its floor
 *   XN_ENOENT      no such account, or it is closed
 *   XN_ECONFLICT   the id was used for another operation, an account to be
 *                  opened is there, one to be closed is not empty, a guard of
 *                  a write does not hold, a currency is not the account's
 *   XN_EOVERFLOW   a balance would leave int64
 *   XN_EBUSY       too many wait
 *   XN_ENOSPC, XN_EIO, XN_ENOMEM   the store failed: nothing was done
 *   XN_EINTEGRITY  a record is damaged, or the ledger is
 *   XN_EUNKNOWN    the store failed and does not say whether it was done: ask
 *                  again with the same id
 * Valid during the call. */
struct ledger_result {
    int rc;
    const char *because; /* for people; "" when done */
    bool repeated;       /* this is the recorded answer */
    uint64_t seq;        /* journal record, place in it and its time */
    uint32_t index;
    uint64_t wall_us;
    const int64_t *balances; /* behind each posting, in their order */
    size_t n_balances;
    const struct ledger_account *accounts; /* ledger_look: in its order */
    size_t n_accounts;
};

/* Called exactly once, maybe before ledger_post returns; may post again. */
typedef void ledger_answer(void *owner, void *ctx, const struct xn_now *now,
                           const struct ledger_result *result,
                           struct xn_out *out);

struct ledger_config {
    xn_id corp;            /* whose ledger it must be */
    uint32_t ops_max;      /* that may wait; 8192 */
    uint32_t accounts_max; /* kept in memory beyond those in use; 65536 */
    uint32_t recent_max;   /* answers kept in memory; 8192 */
};

struct ledger;

void ledger_config_default(struct ledger_config *config);
/* `tickets` must live as long. XN_ENOMEM, XN_EINVAL. */
int ledger_new(const struct ledger_config *config, struct xn_tickets *tickets,
               struct ledger **ledger_out);
/* Forgets those who wait without a word to them; each ctx goes to `drop`,
 * which may be NULL. */
void ledger_free(struct ledger *ledger, void (*drop)(void *owner, void *ctx));

/* Read the head and verify the journal's end.  Operations may be given at
 * once: they wait. */
void ledger_start(struct ledger *ledger, const struct xn_now *now,
                  struct xn_out *out);

enum ledger_state {
    LEDGER_STARTING,
    LEDGER_READY,
    LEDGER_ASKING, /* a TXN failed: the store is asked what became of it */
    LEDGER_BROKEN, /* refuses everything */
};
enum ledger_state ledger_state(const struct ledger *ledger);
/* 0, or why it is broken: XN_ENOENT (there is none), XN_EINTEGRITY. */
int ledger_fault(const struct ledger *ledger, const char **because_out);

/* The operation is copied. */
void ledger_post(struct ledger *ledger, const struct xn_now *now,
                 const struct ledger_op *op, ledger_answer *fn, void *owner,
                 void *ctx, struct xn_out *out);
/* The accounts as they are behind all that was given before; n within
 * LEDGER_POSTINGS_MAX.  One that is not there has exists = false. */
void ledger_look(struct ledger *ledger, const struct xn_now *now,
                 const xn_id *accounts, size_t n, ledger_answer *fn,
                 void *owner, void *ctx, struct xn_out *out);
/* The recorded answer to an operation; XN_ENOENT: it was not done, and unless
 * it is given again it will not be. */
void ledger_recall(struct ledger *ledger, const struct xn_now *now,
                   const xn_id *op, ledger_answer *fn, void *owner, void *ctx,
                   struct xn_out *out);

/* Durable; 0 while it starts.  A receipt: keep it elsewhere and a ledger that
 * was set back is noticed (audit_expect). */
uint64_t ledger_seq(const struct ledger *ledger, xn_id *hash_out);
size_t ledger_waiting(const struct ledger *ledger);
bool ledger_check(const struct ledger *ledger, char *why_out, size_t len);

/* The TXN that makes an empty ledger; its guards refuse where one is.
 * *txn_out is the caller's (xn_msg_free). */
int ledger_genesis(const xn_id *corp, uint64_t wall_us,
                   struct xn_msg **txn_out);

/* ---- operations that a XenoCorp needs: `op` is filled whole ---- */

/* One more posting, for those that the functions below do not know. */
void ledger_op_add(struct ledger_op *op, const xn_id *account, int64_t micro,
                   const char *currency);
void ledger_op_open(struct ledger_op *op, const xn_id *id, const xn_id *account,
                    enum ledger_kind kind, const char *currency, int64_t floor);
/* Of PAY_IN, PAY_OUT, or any other move. */
void ledger_op_move(struct ledger_op *op, enum ledger_what what,
                    const xn_id *id, const xn_id *from, const xn_id *to,
                    int64_t micro, const char *currency);
/* The account may stand `credit` below zero from now on; credit >= 0. */
void ledger_op_credit(struct ledger_op *op, const xn_id *id,
                      const xn_id *account, int64_t credit);
/* Open `fence` and move `micro` from the client's account into it. */
void ledger_op_issue(struct ledger_op *op, const xn_id *id, const xn_id *client,
                     const xn_id *fence, int64_t micro, const char *currency);
/* micro out of the fence: fee to income, the rest to the server; 0 <= fee <=
 * micro. */
void ledger_op_charge(struct ledger_op *op, const xn_id *id, const xn_id *fence,
                      const xn_id *server, const xn_id *income, int64_t micro,
                      int64_t fee, const char *currency);
/* RELEASE or VOID: what is left, `rest` (0: nothing), back to the client, and
 * the fence is closed; XN_ECONFLICT where `rest` is not what is left. */
void ledger_op_release(struct ledger_op *op, enum ledger_what what,
                       const xn_id *id, const xn_id *fence, const xn_id *client,
                       int64_t rest, const char *currency);

const char *ledger_what_name(unsigned what);
const char *ledger_kind_name(unsigned kind);

#endif
