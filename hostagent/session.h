/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions of a server: what was sold of it, and what is owed for it.
 *
 *   (papers checked) -> CLAIMED -> RUNNING <-> PAUSED -> ENDING -> ENDED
 *                        |     \-> REFUSED
 *                        \-> UNSETTLED (the corp did not answer in time, or
 *                                       its machine was lost before)
 *
 * A state is durable before it has any effect: the papers before the corp is
 * asked, the acceptance before the environment starts, a claim before it is
 * sent, the end before the environment ends.  So a restart reads the records
 * and goes on from there, with the same bytes.
 *
 * One step of a session is under way at a time (`step`), a timer included;
 * session_go decides the next from what is durable. */
#ifndef HOSTAGENT_SESSION_H
#define HOSTAGENT_SESSION_H

#include "hostagent/state.h"
#include "wire/claim.h"

#define SESSION_PAPER_MAX 8192 /* an envelope of a document of money */
#define SESSION_REQUIREMENTS_MAX (16 * 1024)
#define SESSION_REASON_MAX 200
#define HOST_ADDRESS_MAX 80 /* that a client asks from */

struct host_bytes {
    uint8_t *data;
    size_t len;
};

struct host_admit; /* papers that are being checked: admit.c */
struct host_session;
typedef void session_next(struct host_session *s, const struct xn_now *now);

struct host_sale { /* an order, and what it is good for */
    xn_id serial, narrowing, quote;
    /* Before the acceptance: what the order allows. */
    struct claim_terms terms;
};

#define TASKS_KEPT 16 /* of a session; those before are forgotten */

struct host_task;                        /* task.h */
struct host_work {                       /* the tasks of a session */
    struct host_task *tasks[TASKS_KEPT]; /* in order of number */
    size_t n;
    bool open;     /* the session's environment has begun: tasks may */
    bool sure;     /* what xenodomd said of the last is of this connection */
    uint64_t step; /* ticket of what is under way */
    unsigned rounds;
    uint64_t read;  /* the session's step, where that waits for its meter */
    unsigned reads; /* of it, up to now */
    bool alone;     /* it was not read with others' */
    bool is_read;   /* at the last look at it, or there was nothing to read */
    /* The session's step waits for the first to run, or for the last to end. */
    bool starting, ending;
    bool waiting;       /* nothing else is that step */
    bool fetches;       /* the first's image is fetched, which is paid for */
    uint64_t fetch_us;  /* mono: since then */
    uint64_t asked_us;  /* mono: the same, of a member, last */
    uint64_t late_us;   /* mono: else it has until then to run */
    uint64_t left_us;   /* of that, while its image is fetched */
    uint64_t ending_us; /* mono: since then */
};

struct flows;
struct host_activity {      /* activity.h: whom its tasks talked to */
    struct flows *flows;    /* since the last claim; NULL: nobody */
    struct flows *bound;    /* those of the claim that is not taken yet */
    struct host_bytes note; /* the same: an ActivityNote */
    uint64_t note_us;       /* wall; when it was written first */
    size_t kept;            /* bytes of one of then that is in the store, or
                             * goes there; 0: there is none */
    bool is_signed;         /* its claim is: it goes to the store */
    bool excused;           /* the last had but a reason why nothing is known */
    uint32_t asked;         /* number of the task that is asked for */
};

struct host_session {
    struct host *host;
    xn_id id;
    xn_id request; /* hash of the CreateSession */
    xn_id holder;
    struct host_sale sale;  /* of its last order */
    Xn__SessionState state; /* SESSION_NONE: its papers are being checked */
    uint64_t created_us;
    char env_type[XN_VALUE_MAX + 1];
    bool pvh; /* its tasks are PVH domains */
    bool accepted;
    struct host_bytes validate, requirements; /* while it is not accepted */
    struct host_bytes acceptance;             /* envelope */

    struct claim_state claims; /* by the last receipt */
    struct host_bytes receipt;
    struct host_bytes claim, document; /* the one without a receipt */
    struct money_claim claimed;        /* the same, read */
    unsigned cuts;                     /* claims cut because they came late */
    uint64_t refused_till_us;

    struct price_usage metered;
    uint64_t metered_us;
    uint64_t saved_ms; /* by then: of its tasks' time, what is not paid */
    bool counting;

    struct price_usage base; /* used under the orders before */
    int64_t before;          /* charged under these */
    uint32_t extended;       /* so many there were */
    xn_id extension;         /* hash of the last ExtendSession; zero: none */
    struct host_extension *next_order; /* extend.c; NULL: none */

    xn_id machine; /* that it runs on: a member's, or zero */

    unsigned warned; /* 50, 20, 5; 0 */
    uint64_t paused_us, ended_us;
    char reason[SESSION_REASON_MAX];
    int rc;
    bool down; /* its environment is gone for good, or never was */
    bool used; /* sold by the CPU time used */

    /* Not durable. */
    uint64_t step;      /* ticket of what is under way */
    session_next *next; /* after it */
    bool started;
    bool loaded; /* from the store, and its meter has not been waited for */
    bool stored; /* a record of it may be in the store */
    bool filed;  /* its papers and first task are there */
    struct host_work work;
    struct host_activity activity;
    unsigned rounds;      /* failures in a row */
    unsigned refusals;    /* of this claim in a row */
    unsigned denials;     /* the same, for what is no matter of its */
    uint64_t patience_us; /* mono: the corp has until then to answer */
    uint64_t ask;         /* who waits for it to be created; 0: nobody */
    uint64_t stop;        /* ticket of a stop that is being verified */
    uint64_t policy;      /* of what the operator's program is asked */
    uint64_t ask_end;     /* who waits for its end to be on record */
    struct host_admit *admit;
    struct money made;                /* being signed */
    struct host_bytes candidate;      /* the corp's document being verified */
    char trouble[SESSION_REASON_MAX]; /* what keeps a claim from being taken */
};

/* ---- market.c: the set of sessions, and what is free ---- */

/* Does it hold capacity? */
bool session_holds(const struct host_session *s);

/* NULL: there is none. */
struct host_session *session_find(const struct host *host, const xn_id *id);
/* The first that is not before id. */
size_t session_at(const struct host *host, const xn_id *id);
/* A new one, in order of ids; the oldest ended one makes room.  XN_EBUSY: there
 * is none, XN_ENOMEM. */
int session_new(struct host *host, const struct xn_now *now, const xn_id *id,
                struct host_session **s_out);
/* Among the others, in order of ids.  XN_ENOMEM. */
int session_insert(struct host *host, struct host_session *s);
bool session_is_over(const struct host_session *s);
void session_free(struct host_session *s); /* NULL is fine */
/* The same for one that is not among the others. */
void session_clear(struct host_session *s);
void session_set_bytes(struct host_session *s, struct host_bytes *to,
                       const uint8_t *data, size_t len);
void host_bytes_clear(struct host_bytes *bytes);

/* Quotes, sessions: may this caller ask now?  Counts it. */
bool host_budget_take(struct host *host, const struct xn_now *now,
                      const xn_id *caller);
/* A client certified by the corp for which this server sells; else it is
 * refused.  Also where nothing is sold, or not now. */
bool host_admits(struct host *host, uint64_t ask, const Xn__Ask *question,
                 const char *what, xn_id *caller_out);
bool host_is_operator(const struct host *host, const Xn__Caller *caller);

void host_market_clear(struct host *host);
void host_market_cancel(struct host *host, uint64_t ask);
/* So many tickets at most are theirs. */
size_t host_market_tickets(const struct host *host);
/* What does not hold together; NULL: all does. */
const char *host_market_wrong(const struct host *host);

/* ---- market_load.c ---- */

/* Reads what sessions there are, and goes on with each. */
void host_market_begin(struct host *host, const struct xn_now *now);

/* ---- policy.c: the operator's program ---- */

#define POLICY_BUSY "too many wait for the operator's word"
#define POLICY_OF_HOLDER 2 /* asked at once: the program has few places */
struct policy_case {
    const struct money_order *order;
    const struct money_quote *quote;
    const struct money_limits *limits;
    const Xn__NewTask *task; /* NULL: none comes with it */
    ProtobufCBinaryData requirements;
    const char *address; /* that the client asks from */
    bool extends;
};
struct policy_word { /* refused: what the client is told; lent by the message */
    int rc;
    const char *because, *try;
};
/* `fn` gets the session as ctx.  XN_EBUSY: POLICY_OF_HOLDER of its holder's are
 * asked already; XN_ENOMEM. */
int policy_ask(struct host_session *s, const struct xn_now *now,
               const struct policy_case *what, xn_ended *fn);
/* What came of it; false: it is refused with *no_out. */
bool policy_agrees(struct host_session *s, int rc, const struct xn_msg *msg,
                   struct policy_word *no_out);

/* ---- session_file.c: a session and its record ---- */

int session_pack(const struct host_session *s, uint8_t **bytes_out,
                 size_t *len_out);
/* Into a fresh one.  XN_EINTEGRITY. */
int session_unpack(const uint8_t *bytes, size_t len, struct host_session *s);
/* Make the state durable, then `next`.  A failing store is tried again, and
 * nothing goes on meanwhile. */
void session_save(struct host_session *s, const struct xn_now *now,
                  session_next *next);
/* Forget it, store and memory, but for the time of its acceptance. */
void session_drop(struct host_session *s, const struct xn_now *now);
/* Was it accepted in another life, which is forgotten?  A XenoCorp that is asked
 * the same again says what it said then. */
bool session_is_forgotten(const struct host_session *s, uint64_t accepted_us);
struct amounts_text {
    char text[5][XN_DEC_TEXT_MAX];
    Xn__Amounts body;
};
/* What is none is left out. */
void amounts_describe(const struct money_rates *rates,
                      struct amounts_text *room);
struct session_text {
    struct amounts_text amounts;
    Xn__HostTask task;
};
/* As answered; envelopes where `whole`. */
void session_describe(const struct host_session *s, bool whole,
                      struct session_text *room, Xn__HostSession *out);
void session_answer(struct host_session *s, uint64_t *ask);

/* ---- step.c: what the steps are made of ---- */

void session_pause_for(struct host_session *s, const struct xn_now *now,
                       uint64_t us, session_next *next);
/* Ever longer, up to a minute. */
void session_pause_longer(struct host_session *s, const struct xn_now *now,
                          session_next *next);
/* POST to the corp; `fn` gets the session as ctx. */
void session_call(struct host_session *s, const struct xn_now *now,
                  const char *path, const uint8_t *body, size_t len,
                  xn_ended *fn);
void session_sign(struct host_session *s, const struct xn_now *now,
                  const uint8_t *text, size_t len, xn_ended *fn);
uint64_t host_verify(struct host *host, const struct xn_now *now,
                     ProtobufCBinaryData envelope, xn_ended *fn, void *ctx);
/* What a VERIFY said of a document of that type. */
enum money_reason host_verified(enum money_type type, const struct xn_now *now,
                                int rc, const struct xn_msg *msg,
                                struct money *out, struct money_refusal *why);

struct host_word {                   /* what the corp said to a CALL */
    const ProtobufCBinaryData *body; /* NULL: it did not do it */
    bool outage; /* that is its trouble or the network's: ask again */
    bool broken; /* what it keeps is damaged, it says */
    int rc;
    enum money_reason reason; /* REASON_FINE: it named none */
    char because[SESSION_REASON_MAX];
};
void host_corp_word(const struct host *host, int rc, const struct xn_msg *msg,
                    struct host_word *word);

/* ---- life.c: environment and meter ---- */

/* What is to be done next with a durable session. */
void session_go(struct host_session *s, const struct xn_now *now);
/* It is accepted and durable: start the environment. */
void session_start(struct host_session *s, const struct xn_now *now);
/* It could not begin, and has ended: whoever asks for it again is told so. */
void session_unable(struct host_session *s);
/* It is to end for that reason, once what is under way is done. */
void session_end(struct host_session *s, const struct xn_now *now, int rc,
                 const char *reason);
/* Give up what is under way: it is decided anew. */
void session_give_up(struct host_session *s);

/* ---- charge.c ---- */

/* Claim what was used up to the last reading of the meter; then session_go. */
void session_claim(struct host_session *s, const struct xn_now *now);
/* The next claim, not signed: what the meter said, cut to what may be claimed.
 * false: there is none. */
bool session_next_claim(const struct host_session *s, struct money *claim_out);
/* A last claim would say nothing, or none is taken any more. */
bool session_settled(const struct host_session *s);
#define SESSION_CUTS_MAX 6

/* What was used under this order, of what the meter says. */
struct price_usage session_usage(const struct host_session *s,
                                 const struct price_usage *metered);

/* ---- papers.c: an order that is brought, and what belongs to it ---- */

#define PAPERS_MAX (ORDER_NARROWINGS_MAX + 2)

struct host_brought { /* envelopes, lent */
    ProtobufCBinaryData order, quote;
    const ProtobufCBinaryData *narrowings;
    size_t n;
};
struct host_paper {
    struct host_papers *of;
    struct money doc;
    uint64_t ticket; /* 0: it was looked at */
    int outage;
    enum money_reason reason;
    struct money_refusal why;
};
struct host_papers { /* zeroed but for the first two */
    struct host_session *session;
    session_next *next; /* once all were looked at */
    struct host_paper list[PAPERS_MAX];
    size_t n, waiting;
};

/* NULL: nothing is wrong with their sizes. */
const char *papers_malformed(const struct host_brought *brought);
void papers_begin(struct host_papers *papers, const struct xn_now *now,
                  const struct host_brought *brought);
/* They are looked at no more. */
void papers_forget(struct host_papers *papers);
/* By signatures, rules and holder; no other session has the order.  Refused,
 * where false; ask 0: nobody waits. */
bool papers_judge(const struct host_papers *papers, const struct xn_now *now,
                  uint64_t ask, const char *what,
                  struct money_limits *limits_out);
const struct money_order *papers_order(const struct host_papers *papers);
const struct money_quote *papers_quote(const struct host_papers *papers);
/* name: the session's, with the corp. */
void papers_sale(const struct host_papers *papers,
                 const struct money_limits *limits, const xn_id *name,
                 struct host_sale *sale_out);
/* The body of a Validate; XN_ENOMEM. */
int papers_validate(const struct host_brought *brought, const xn_id *name,
                    struct host_bytes *out);

/* ---- extend.c: another order for a session that runs ----
 *
 *   VERIFY all papers -> rules, the operator's program -> TXN: on record
 *     -> CALL validate -> VERIFY the acceptance -> TXN
 *     -> meter -> the last claim of the order before
 *     -> TXN: it is the session's order -> ANSWER
 *
 * All but the first are steps of the session.  The corp knows the session by
 * another name under each order, so nothing is new to it: one order ends with a
 * last claim, another has its first.  What the meter says is divided at the
 * reading of that last claim. */
struct host_extension {
    bool on;       /* on record; else its papers are being checked */
    xn_id request; /* hash of the ExtendSession */
    struct host_sale sale;
    bool accepted;
    struct host_bytes acceptance; /* envelope */
    struct host_bytes validate;   /* while it is not accepted */
    uint64_t asked_us;
    bool divided;            /* the last claim of the order before was made, */
    struct price_usage base; /* at this reading */
    bool forgone;            /* what is used behind it is not to be paid */
    /* Not durable. */
    bool taken; /* it is the session's own from the next save on */
    struct host_papers *papers;
    Xn__ExtendSession *want;
    bool agreed; /* the operator's program takes it */
    char address[HOST_ADDRESS_MAX];
    uint64_t ask, timer; /* who waits, and until when */
    uint64_t due_us;     /* mono: the corp is asked then */
    unsigned rounds;
};

void host_extend(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
/* Has it an order that was accepted and is not its own yet? */
bool session_closes(const struct host_session *s);
/* The end of its order; while another follows it, of the one that is longer. */
uint64_t session_until(const struct host_session *s);
/* The next step of its extension, where that has the turn; false: it has not.
 */
bool session_extend(struct host_session *s, const struct xn_now *now);
/* A last claim of the order before is made, of what the meter said. */
void session_divide(struct host_session *s);
void session_extension_clear(struct host_session *s);
/* The record's part; XN_EINTEGRITY, XN_ENOMEM. */
struct extension_record {
    uint8_t prices[sizeof(struct price_list) / sizeof(xn_dec) * XN_DEC_BYTES];
    uint8_t base[2][sizeof(struct price_usage) / sizeof(xn_dec) * XN_DEC_BYTES];
    Xn__SessionExtension body;
};
void session_extension_put(const struct host_session *s,
                           struct extension_record *room, Xn__SessionRecord *r);
int session_extension_get(const Xn__SessionRecord *r, struct host_session *s);

/* ---- admit.c ---- */

void host_create(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
void session_admit_clear(struct host_session *s);
/* Whoever waits for it to begin is told so. */
void session_refuse(struct host_session *s, int rc, const char *because,
                    const char *try);

/* ---- accept.c ---- */

/* Ask the corp, again with the same bytes. */
void session_validate(struct host_session *s, const struct xn_now *now);
/* It was refused, and that is on record. */
void session_refused(struct host_session *s, const struct xn_now *now);
/* Is this the corp's acceptance of that sale, under the name in its terms?  The
 * terms that follow from it. */
enum money_reason sale_accepted(const struct host_session *s,
                                const struct host_sale *sale,
                                const struct money_acceptance *acceptance,
                                struct claim_terms *terms_out,
                                struct money_refusal *why);

/* ---- quote.c, stop.c, list.c ---- */

void host_quote(struct host *host, const struct xn_now *now, uint64_t ask,
                const Xn__Ask *question);
void host_quotes_cancel(struct host *host, uint64_t ask);
void host_quotes_clear(struct host *host);
void host_stop(struct host *host, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question);
void host_list(struct host *host, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question);
/* The order's holder and narrowing as documents, for the rules. */
struct session_chain {
    struct money_order order;
    struct money_narrowing last;
    struct order_chain chain;
};
void sale_chain(const struct host_sale *sale, struct session_chain *room);

/* ---- match.c ---- */

struct host_want {
    struct money_rates rates;
    char env_type[XN_VALUE_MAX + 1];
    bool pvh;
};
/* What the requirements ask for, of what is free; the first environment of
 * ours that meets them.  what: "cannot quote"; refused where false. */
bool host_match(struct host *host, uint64_t ask, const char *what,
                ProtobufCBinaryData xml, struct host_want *want_out);
/* Are they met by what was quoted? */
bool host_matches(struct host *host, uint64_t ask, const char *what,
                  ProtobufCBinaryData xml, const struct money_quote *quote);
/* Refused, where that is not free. */
bool host_fits(struct host *host, uint64_t ask, const char *what,
               const struct money_rates *rates);

#endif
