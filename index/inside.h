/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the index share; nobody else includes this.
 *
 *   xis.c      lifecycle, dispatch of requests
 *   blob.c     counted bytes
 *   tokens.c   the tokens known here, by name
 *   columns.c  dictionary-coded columns over rows
 *   order.c    ads in the order of their servers' ids
 *   ads.c      held ads and withdrawals; their rows, digests and end
 *   walk.c     ads under some tokens, in order
 *   find.c     evaluating a FIND;  top.c  the best so many;  explain.c
 *   put.c      accepting ads: verify, judge, store, only then answer
 *   store.c    records of the store; load.c reads them at the start
 *   places.c   who holds what; what we may speak about (settled)
 *   publish.c  one publish, from the ASK to its answer
 *   spread.c   keeping ads at their places;  dest.c  the PUTs that go out
 *   parcel.c   ads that go into one message
 *   settle.c   with whom to exchange, and when we know what we should
 *   sync.c     one such exchange, the side that asks;  serve.c  the side asked
 *
 * Bytes of ads are shared (struct xis_blob) between the table and whoever
 * sends them.  A struct xis_ad lives until it is removed from the table: its
 * address is kept by its publication alone.
 */
#ifndef INDEX_INSIDE_H
#define INDEX_INSIDE_H

#include <uthash.h>

#include "index/xis.h"
#include "wire/ad.h"
#include "wire/query.h"
#include "wire/store.pb-c.h"

#define XIS_SECOND_US 1000000ULL

#define XIS_PUT_ADS_MAX 64
#define XIS_PUT_BYTES_MAX (512U * 1024)
#define XIS_ENVELOPE_MAX (48U * 1024)
#define XIS_LEASE_MAX 4608U
#define XIS_BATCHES_PEER_MAX 64U /* PUTs of one peer in progress */
#define XIS_BATCHES_MAX 1024U
#define XIS_VERIFY_US (120 * XIS_SECOND_US)
#define XIS_TXN_US (60 * XIS_SECOND_US)
#define XIS_CHANGES_MAX 30U /* new documents of one server per minute */
#define XIS_TOMBS_MAX 65536U
#define XIS_TOMBS_BLIND_MAX 4096U /* of servers of whom we held nothing */
#define XIS_TOKENS_MAX 65536U

#define XIS_FIND_MAX 1000U
#define XIS_ANSWER_BYTES_MAX (700U * 1024)
#define XIS_OFFER_MAX 1000U
#define XIS_WANT_ADS_MAX 4096U
#define XIS_WALK_MAX 20000U /* ads looked at for one OFFER or its answer */
#define XIS_SYNC_TOKENS_MAX 2000U
#define XIS_HAVE_MAX 1000U
#define XIS_SERVES_MAX 200U /* SYNC and OFFER of one peer per second */
#define XIS_SERVED_MAX 32U  /* peers that are answered in one second; ... */
#define XIS_SERVED_FAR 8U   /* ... while so few are, no neighbours too */

#define XIS_SIDE 4U       /* neighbours on each side that we exchange with */
#define XIS_VIEW_SIDE 16U /* of a view, which outlasts what may go at once */
#define XIS_VIEW_MAX (2U * XIS_VIEW_SIDE)
#define XIS_YOUNG_US (3 * XIS_SECOND_US)
#define XIS_SESSION_US (600 * XIS_SECOND_US)
#define XIS_RETRY_US (1 * XIS_SECOND_US)
#define XIS_IDLE_US (60 * XIS_SECOND_US)     /* of one that brings nothing */
#define XIS_PATIENCE_US (30 * XIS_SECOND_US) /* with one who refuses us */
#define XIS_LOADING_US (300 * XIS_SECOND_US) /* with one who says "not yet" */
#define XIS_ASK_US (20 * XIS_SECOND_US)
#define XIS_SWEEP_US (5 * XIS_SECOND_US)
#define XIS_ORPHAN_US (300 * XIS_SECOND_US)
#define XIS_PUBLISH_US (8 * XIS_SECOND_US)

#define XIS_LOAD_PAGE 256U

/* ---- blob.c */

struct xis_blob {
    uint32_t refs;
    uint32_t len;
    uint8_t b[];
};

struct xis_blob *xis_blob_new(const void *data, size_t len); /* NULL: memory */
struct xis_blob *xis_blob_ref(struct xis_blob *blob);
void xis_blob_drop(struct xis_blob *blob); /* NULL is fine */
ProtobufCBinaryData xis_blob_bytes(const struct xis_blob *blob);

/* ---- columns.c */

/* A distinct value of a column; number 0 is "the row lacks the token". */
struct xis_value {
    struct query_cell cell; /* its text is owned */
    uint32_t refs;          /* 0: free */
    uint32_t hash;          /* of the text; next free one while free */
};

/* One token's values over rows: dense, an array by row, or sparse, rows and
 * values side by side in order of row. */
struct xis_column {
    struct xis_value *values;
    uint32_t n_values, cap_values, free_value, used_values;
    uint32_t *slots; /* open addressing by hash; 0: empty */
    uint32_t n_slots;
    uint32_t *ids;   /* dense: by row; sparse: beside `rows` */
    uint32_t *rows;  /* sparse alone */
    uint32_t n, cap; /* sparse: entries; dense: rows */
    uint32_t used;   /* rows that have the token */
    bool dense;
};

struct xis_cursor { /* for rows in ascending order */
    const struct xis_column *column;
    uint32_t at;
};

int xis_column_set(struct xis_column *column, uint32_t row, uint32_t n_rows,
                   const struct query_cell *cell);
void xis_column_unset(struct xis_column *column, uint32_t row);
void xis_column_clear(struct xis_column *column);
/* The number of the row's value, 0 where it has none. */
uint32_t xis_cursor_at(struct xis_cursor *cursor, uint32_t row);
/* The first row >= `row` that has the token; UINT32_MAX: none. */
uint32_t xis_cursor_next(struct xis_cursor *cursor, uint32_t row);

/* Rows of all ads; those of one ad are neighbours. */
struct xis_rows {
    struct xis_ad **ad;
    uint64_t *until_us; /* the ad's, here for the scan's sake */
    uint32_t n, cap;
    struct xis_runs *free; /* of 1, 2, ... rows; NULL: none yet */
};

struct xis_runs { /* free ones of one length: their first rows */
    uint32_t *v;
    uint32_t n, cap;
};

int xis_rows_take(struct xis_rows *rows, uint32_t n, struct xis_ad *ad,
                  uint32_t *first_out);
void xis_rows_give(struct xis_rows *rows, uint32_t first, uint32_t n);
void xis_rows_clear(struct xis_rows *rows);

/* ---- tokens.c */

struct xis_token {
    char *name;
    uint32_t refs;
    xn_id key[2];  /* near, far */
    uint64_t view; /* that the places are of; 0: none yet */
    uint32_t n[2];
    xn_peer peers[2][OV_COPIES_MAX];
    bool held;
    uint64_t mark; /* of whoever walks ads by a set of tokens */
    uint64_t ads;  /* that have it, withdrawals not */
    uint8_t digest[16];
    struct xis_column column;
};

struct xis_tokens { /* by name */
    struct xis_token **v;
    uint32_t n, cap;
};

struct xis_token *xis_token_find(const struct xis *xis, const char *name);
/* How many names come before this one, or are this one. */
size_t xis_token_after(const struct xis *xis, const char *name);
/* Finds or makes it and counts a user; NULL: no memory or too many. */
struct xis_token *xis_token_take(struct xis *xis, const char *name);
void xis_token_drop(struct xis *xis, struct xis_token *token);
void xis_tokens_clear(struct xis *xis);

/* ---- order.c */

struct xis_leaf;
struct xis_order {
    struct xis_leaf **leaves;
    size_t n_leaves, cap;
    size_t n;
};
struct xis_place_in_order {
    size_t leaf, at;
};

struct xis_ad *xis_order_find(const struct xis_order *order, const xn_id *id);
int xis_order_add(struct xis_order *order, struct xis_ad *ad);
void xis_order_remove(struct xis_order *order, const struct xis_ad *ad);
/* The first ad whose server is after `id` (NULL: the first of all). */
struct xis_place_in_order xis_order_after(const struct xis_order *order,
                                          const xn_id *id);
/* The ad there, and on to the next; NULL at the end. */
struct xis_ad *xis_order_next(const struct xis_order *order,
                              struct xis_place_in_order *place);
void xis_order_clear(struct xis_order *order);

/* ---- ads.c */

struct xis_ad {
    xn_id server;
    xn_id document; /* SHA-256 of the XML */
    xn_id corp;     /* that certified the server; zero: not known */
    uint64_t version, lease_us, issued_us;
    uint64_t not_after_us; /* of the server's certificate */
    uint64_t until_us;     /* lease and certificate; of a withdrawal: kept */
    uint64_t orphan_us;    /* mono; since when it has no place here; 0 */
    uint64_t changes_us;   /* wall; since when `changes` counts */
    uint32_t changes;
    bool withdrawn;
    bool blind; /* a withdrawal of which we held nothing */
    uint32_t first_row, n_rows;
    uint32_t n_tokens;
    struct xis_token **tokens;
    struct xis_blob *envelope, *lease;
    struct xis_blob *xml; /* the document, until it is durable */
    uint64_t txn;         /* the TXN that carries all this; 0: none yet */
    uint64_t kept_version, kept_lease_us; /* what is durable */
    uint8_t digest[16];                   /* as it stands in its tokens' */
    struct xis_pub *pub;
};

/* A document as it goes into the table; what is kept of it is referred to. */
struct xis_document {
    const struct advert *advert;
    struct xis_blob *envelope, *lease;
    struct xis_blob *xml; /* NULL: it comes from the store */
    uint64_t not_after_us;
    xn_id corp;
};

struct xis_ad *xis_ad_find(const struct xis *xis, const xn_id *server);
bool xis_ad_live(const struct xis_ad *ad, const struct xn_now *now);
/* Store a document or replace what is held; on failure nothing is held. */
int xis_ad_put(struct xis *xis, const struct xn_now *now,
               const struct ad_lease *lease,
               const struct xis_document *document, struct xis_ad **ad_out);
void xis_ad_renew(struct xis *xis, struct xis_ad *ad,
                  const struct ad_lease *lease, struct xis_blob *lease_blob);
int xis_ad_withdraw(struct xis *xis, const struct ad_lease *lease,
                    struct xis_blob *lease_blob, struct xis_ad **ad_out);
void xis_ad_remove(struct xis *xis, struct xis_ad *ad);
/* Is it durable as it stands? */
bool xis_ad_is_kept(const struct xis_ad *ad);
/* Such a version with such a lease has become durable. */
void xis_ad_kept(struct xis_ad *ad, uint64_t version, uint64_t lease_us);
/* May this server bring another document now? */
bool xis_ad_may_change(const struct xis_ad *ad, const struct xn_now *now);
/* A place of any of its tokens is here. */
bool xis_ad_held(struct xis *xis, const struct xis_ad *ad);
/* ... or at that peer. */
bool xis_ad_has_peer(struct xis *xis, const struct xis_ad *ad, xn_peer peer);
bool xis_ad_has(const struct xis_ad *ad, const struct xis_token *token);
void xis_ads_sweep(struct xis *xis, const struct xn_now *now,
                   struct xn_out *out);
void xis_ads_clear(struct xis *xis);

/* ---- walk.c */

/* Ads under any of some tokens, in the order of their servers' ids.  Where
 * these are few they are looked up under the tokens; else all ads are walked,
 * XIS_WALK_MAX at the most, and then withdrawals are among those returned.
 * Expired ones may be. */
struct xis_walk {
    struct xis *xis;
    uint64_t mark; /* of the tokens */
    struct xis_place_in_order at;
    struct xis_ad **picked; /* NULL: all are walked */
    size_t n, i;
    size_t seen;
    bool more; /* it ended with `last` for its length, not for want of ads */
    xn_id last;
};

/* `from`: only those after this server; NULL: all.  Owned memory: _clear. */
int xis_walk_start(struct xis_walk *walk, struct xis *xis, char *const *tokens,
                   size_t n, const xn_id *from);
/* NULL at the end. */
struct xis_ad *xis_walk_next(struct xis_walk *walk);
void xis_walk_clear(struct xis_walk *walk);

/* ---- top.c */

/* The best `max` of the ranks shown to it. */
struct xis_hit {
    struct query_rank rank;
    const struct xis_ad *ad;
};
struct xis_top {
    const struct query *query;
    struct xis_hit *heap; /* the worst on top */
    size_t n, cap, max;
    int rc;
};

void xis_top_add(struct xis_top *top, const struct query_rank *rank,
                 const struct xis_ad *ad);
/* Best first. */
void xis_top_sort(struct xis_top *top);
void xis_top_clear(struct xis_top *top);

/* ---- find.c, explain.c */

#define XIS_CELLS_MAX 320
/* One query over the columns of a shard. */
struct xis_scan {
    struct xis *xis;
    const struct query *query;
    uint64_t wall_us;
    const struct xis_column *shard;
    size_t n_tokens;
    struct xis_cursor cursors[XIS_CELLS_MAX];
    struct query_cell cells[XIS_CELLS_MAX];
    struct xis_cursor over;
    uint32_t row;
};

int xis_scan_start(struct xis_scan *scan, struct xis *xis,
                   const struct query *query, const struct xis_token *shard,
                   uint64_t wall_us);
/* On to the next live row that has the token, its cells filled; NULL: end. */
struct xis_ad *xis_scan_next(struct xis_scan *scan);

int xis_explain(struct xis *xis, const struct query *query,
                const struct xis_token *shard, uint64_t wall_us,
                Xn__Found *found);
void xis_conditions_free(Xn__Found *found);

/* ---- store.c */

/* Writes of one TXN. */
struct xis_writes {
    Xn__Write **v;
    size_t n, cap;
    int rc;
};
/* The ad as it stands: its lease, and its document if that is not durable. */
void xis_write_ad(struct xis_writes *writes, const struct xis_ad *ad);
/* Drop what is stored of this server: the document alone, or all. */
void xis_write_drop(struct xis_writes *writes, const xn_id *server, bool all);
void xis_writes_clear(struct xis_writes *writes);
/* Emits the TXN (ticket may be 0) and empties the list. */
void xis_writes_commit(struct xis_writes *writes, uint64_t ticket,
                       struct xn_out *out);

/* ---- put.c */

struct xis_result {
    xn_id server;
    int rc;
    uint64_t version; /* held now; 0: none */
    bool stored;      /* this batch brought it */
    /* The end of the batch: what has to be durable before it may be told. */
    bool rests, wrote; /* on this version and lease; in the batch's TXN */
    uint64_t lease_us;
};

struct xis_batch;
/* Called exactly once, when all is durable or refused; with the `number` given
 * at the start. */
typedef void xis_batch_done(struct xis *xis, uint64_t number,
                            const struct xn_now *now,
                            const struct xis_result *results, size_t n,
                            struct xn_out *out);

struct xis_batch {
    struct xis_batch *prev, *next;
    struct xis *xis;
    xn_peer from;
    struct xis_result *results;
    struct xis_check *checks;
    size_t n, pending;
    uint64_t txn; /* that it waits for */
    xis_batch_done *fn;
    uint64_t number;
};

/* XN_EBUSY, XN_ENOMEM: fn is not called.  It may be called at once. */
int xis_batch_start(struct xis *xis, const struct xn_now *now, xn_peer from,
                    Xn__SignedAd *const *ads, size_t n, xis_batch_done *fn,
                    uint64_t number, struct xn_out *out);
void xis_put_deliver(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out);
void xis_batches_clear(struct xis *xis);

/* ---- places.c */

/* The nodes near us at some time: counted, never changed, shared while nothing
 * changes.  First 64 bits of positions: nobody comes to share these. */
struct xis_view {
    unsigned refs;
    unsigned n;
    uint64_t heads[];
};

/* Fills the token's places for the overlay as it is now. */
void xis_token_places(struct xis *xis, struct xis_token *token);
bool xis_token_held(struct xis *xis, struct xis_token *token);
bool xis_token_has_peer(struct xis *xis, struct xis_token *token, xn_peer peer);
bool xis_name_held(struct xis *xis, const char *name);
/* May we say "none" about this token? */
bool xis_name_settled(struct xis *xis, const struct xn_now *now,
                      const char *name);
/* Puts the present view in *view; without memory, out->rc, it stays. */
void xis_view_take(const struct xis *xis, struct xis_view **view,
                   struct xn_out *out);
/* Makes *view another name of `of`; NULL: of none. */
void xis_view_set(struct xis_view **view, struct xis_view *of);
/* Is everybody in it still there? */
bool xis_view_lives(const struct xis *xis, const struct xis_view *view);

/* ---- parcel.c */

/* Ads in one message, bounded in number and bytes. */
struct xis_parcel {
    Xn__SignedAd *rows, **list; /* `list` goes into the message */
    size_t n, max, bytes, bytes_max;
};

int xis_parcel_init(struct xis_parcel *parcel, size_t max, size_t bytes_max);
/* false: it does not fit any more. */
bool xis_parcel_add(struct xis_parcel *parcel, const struct xis_ad *ad,
                    bool lease_alone);
void xis_parcel_empty(struct xis_parcel *parcel);
void xis_parcel_clear(struct xis_parcel *parcel);

/* ---- dest.c */

/* A linked peer; or XN_PEER_NONE and (in an overlay too large to be linked to
 * all) a copy of a token's trie node. */
struct xis_where {
    xn_peer peer;
    uint32_t copy;
    xn_id key;
};

/* Where PUTs go. */
struct xis_dest {
    struct xis_dest *prev, *next;
    UT_hash_handle hh; /* for lookup alone */
    struct xis_where where;
    uint32_t refs; /* places, asks */
    bool dead;     /* the peer is gone */
    bool flushing; /* an answer that comes at once must not flush again */
    xn_id *queue;  /* servers whose ads are due there: a ring */
    size_t head, n_queue, cap;
    uint32_t asked;       /* PUTs under way */
    uint64_t stamp, seen; /* marks of publish.c: was, is a place */
    size_t slot;
};

enum xis_place_state { XIS_DUE, XIS_QUEUED, XIS_SENT, XIS_DONE };

/* An ad at one place. */
struct xis_place {
    struct xis_dest *dest;
    uint8_t state;
    bool known;    /* it holds this version's document */
    bool answered; /* since the last publish of this ad, well or not */
    bool told;     /* and well; only those out of sight are told again */
    uint8_t tries; /* that failed, in a row */
    int rc;
    uint64_t next_us;
};

/* Both give one more reference; NULL: no memory. */
struct xis_dest *xis_dest_peer(struct xis *xis, xn_peer peer);
struct xis_dest *xis_dest_key(struct xis *xis, const xn_id *key, uint32_t copy);
void xis_dest_drop(struct xis *xis, struct xis_dest *dest);
int xis_dest_queue(struct xis_dest *dest, const xn_id *server);
/* Sends what is queued, as far as may be under way at once. */
void xis_dest_flush(struct xis *xis, const struct xn_now *now,
                    struct xis_dest *dest, struct xn_out *out);
void xis_dest_gone(struct xis *xis, xn_peer peer);
void xis_dests_clear(struct xis *xis);

/* ---- spread.c */

struct xis_pub { /* an ad that was published through us */
    struct xis_pub *prev, *next;
    struct xis_ad *ad;
    struct xis_token **old; /* places of the version before */
    size_t n_old;
    uint64_t old_until_us; /* wall: until then that one may be shown there */
    struct xis_place *places;
    size_t n_places;
    uint64_t view;          /* that the places are of */
    uint64_t version;       /* that the places were told of */
    uint64_t stale_version; /* that a place claims to have instead */
    bool foreign;           /* a newer version came through another node */
    struct xis_op *op;      /* that waits for it; NULL: none */
    size_t op_at;
};

/* The ad's publication, new where there is none; NULL: no memory. */
struct xis_pub *xis_pub_of(struct xis *xis, struct xis_ad *ad);
/* This token's places may hold an older version. */
void xis_pub_old(struct xis *xis, struct xis_pub *pub, const char *token);
/* A publish brought the version held: every place is to hear of it. */
int xis_pub_begin(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub);
/* Queues what is due now; a flush sends it. */
void xis_pub_send(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub, struct xn_out *out);
void xis_pubs_flush(struct xis *xis, const struct xn_now *now,
                    struct xn_out *out);
/* Ends the publish that waits for it, once every place has answered. */
void xis_pub_look(struct xis_pub *pub, const struct xn_now *now,
                  struct xn_out *out);
/* No publish waits any more: forgets what every place has been told. */
void xis_pub_tidy(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub);
/* How many of the nodes that should hold it have said so, for the token where
 * these are fewest. */
uint32_t xis_pub_copies(struct xis *xis, const struct xn_now *now,
                        const struct xis_pub *pub);
/* What the places say, all in all: 0 or XN_ESTALE. */
int xis_pub_rc(const struct xis_pub *pub);
/* What became of one PUT to a place. */
void xis_pub_result(struct xis *xis, const struct xn_now *now,
                    struct xis_dest *dest, const xn_id *server,
                    uint64_t version, uint64_t lease_us, int rc,
                    struct xn_out *out);
struct xis_place *xis_pub_place(struct xis_pub *pub,
                                const struct xis_dest *dest);
/* The ad is about to be replaced: remember its places. */
void xis_pub_replaced(struct xis *xis, struct xis_pub *pub);
/* It has been: `pub` is foreign unless a publish brought it. */
void xis_pub_changed(struct xis_ad *ad);
void xis_pub_forget(struct xis *xis, struct xis_pub *pub);
void xis_pubs_view_changed(struct xis *xis, const struct xn_now *now,
                           struct xn_out *out);
void xis_pubs_clear(struct xis *xis);

/* ---- publish.c */

/* One ad of a publish has been everywhere. */
void xis_op_part(struct xis_op *op, size_t at, const struct xn_now *now,
                 struct xn_out *out);
void xis_ops_clear(struct xis *xis);

/* ---- asks */

/* A question of ours to another node; so that xis_free finds them all. */
struct xis_ask {
    struct xis_ask *prev, *next;
    struct xis *xis;
    void (*fn)(struct xis_ask *ask, const struct xn_now *now,
               const struct ov_reply *reply, struct xn_out *out);
    struct xis_dest *dest;
    uint64_t session;
    char *after; /* a SYNC is about names after this one; NULL: all */
    struct xis_sent {
        xn_id server;
        uint64_t version, lease_us;
    } * sent;
    size_t n_sent;
};

struct xis_ask *xis_ask_new(struct xis *xis);
void xis_ask_free(struct xis_ask *ask);
/* The ov_replied of every question. */
void xis_replied(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_reply *reply, struct xn_out *out);

/* ---- sync.c */

/* The exchange under way; one at a time. */
struct xis_session {
    bool all; /* about what either should have; else: what both should */
    xn_peer peer;
    uint64_t until_us, progress_us; /* mono; when it last brought an ad */
    bool learnt;                    /* it has brought something */
    /* What the other says about itself. */
    bool their_settled;
    uint32_t their_grace_ms;
    /* SYNC: token names up to and with `part` are compared; NULL: all. */
    char *part;
    char **diff; /* that differ in this part */
    size_t n_diff, cap_diff;
    /* OFFER: servers up to and with `from` are exchanged; the range under way
     * ends with `to`. */
    xn_id from, to;
    bool has_from, has_to;
    size_t pending; /* PUTs and batches of this range under way */
};

/* Begins one; xis_settle_ended is called at its end, perhaps at once. */
void xis_session_start(struct xis *xis, const struct xn_now *now, xn_peer peer,
                       bool all, struct xn_out *out);
/* Forgets the one under way without a call. */
void xis_session_drop(struct xis *xis);

/* ---- settle.c */

struct xis_neighbour {
    xn_peer peer;
    bool done;         /* all is gone through, since it came or the last loss */
    bool young;        /* it was not settled then: to be asked again */
    uint8_t tries;     /* that failed, in a row */
    uint8_t waits;     /* for a young one, each longer than the one before */
    uint64_t next_us;  /* mono; not before */
    uint64_t since_us; /* mono; when we began to wait for it */
};

struct xis_settle {
    struct xis_neighbour near[2 * XIS_SIDE]; /* nearest first */
    uint32_t n_near;
    bool lost; /* one of these, since the last change */
    uint64_t timer, timer_us;
    uint64_t background_us;
};

/* The leaf set changed, or the store has been loaded. */
void xis_settle_stand(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out);
void xis_settle_changed(struct xis *xis, const struct xn_now *now,
                        struct xn_out *out);
void xis_settle_gone(struct xis *xis, const struct xn_now *now, xn_peer peer,
                     struct xn_out *out);
/* The one under way has just ended: it is lent. */
void xis_settle_ended(struct xis *xis, const struct xn_now *now,
                      const struct xis_session *session, int rc,
                      struct xn_out *out);
/* One that has been settled has asked about all, and nothing differs. */
void xis_settle_agreed(struct xis *xis, const struct xn_now *now, xn_peer peer,
                       uint32_t grace_ms, struct xn_out *out);
/* So long we still wait for ads lost. */
uint32_t xis_grace_ms(const struct xis *xis, const struct xn_now *now);

/* ---- serve.c */

struct xis_served { /* questions of one peer in this second */
    xn_peer peer;
    uint32_t n;
};

void xis_serve_sync(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out);
void xis_serve_offer(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out);
void xis_serve_have(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out);

/* ---- load.c */

void xis_load_start(struct xis *xis, const struct xn_now *now,
                    struct xn_out *out);

/* ---- xis.c */

/* Something may be held: looks soon and ever again what of it has aged. */
void xis_sweep_later(struct xis *xis, const struct xn_now *now,
                     struct xn_out *out);
/* The store is read: begin to take part. */
void xis_loaded(struct xis *xis, const struct xn_now *now, struct xn_out *out);

struct xis {
    struct xis_config config;
    struct ov *ov;
    struct xn_rng *rng;
    struct xn_tickets *tickets;

    bool loading, loaded;
    char load_kind;             /* of record that is being read */
    bool load_begun;            /* of that kind */
    bool sweep_begun, sweeping; /* amid all; again soon */
    bool has_settled;           /* `settled` was made in company */
    bool alone;                 /* `settled` was made without any neighbour */
    bool is_settled;
    bool retry; /* some place may be due later */
    xn_id last; /* server read; when all are: looked at by the sweep */

    struct xis_tokens tokens;
    struct xis_rows rows;
    struct xis_order ads; /* withdrawals too */
    uint32_t n_live;      /* of these, ads */
    uint32_t n_tombs, n_blind, n_ops;

    struct xis_batch *batches;
    uint64_t txns; /* number of the last TXN */
    struct xis_ask *asks;

    uint64_t view;           /* number of the overlay's present state; from 1 */
    struct xis_view *leaves; /* at the last change; NULL: nobody */
    struct xis_view *settled;
    struct xis_view *before;  /* the settled view before a loss ... */
    uint64_t before_until_us; /* ... counts until then (mono); 0: none */
    uint64_t start_us;        /* mono */
    uint64_t company_us;      /* mono; first neighbour; 0: none yet */
    uint64_t deaf_until_us;   /* a neighbour waits for lost ads until then */

    struct xis_session *session; /* NULL: none */
    uint64_t session_number;     /* of the last; late answers are told by it */
    struct xis_settle settle;
    uint64_t served_us;        /* mono; the second that `served` counts */
    struct xis_served *served; /* NULL: nobody has asked yet */
    uint32_t n_served, n_batches;

    struct xis_dest *dests, *dest_index;
    uint64_t stamp;
    struct xis_pub *pubs; /* those not placed in this view first */
    struct xis_op *ops;
    uint64_t op_number;
    uint64_t pub_timer, pub_timer_us; /* ticket and when it is due */
};

#endif
