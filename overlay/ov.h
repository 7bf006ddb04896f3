/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overlay: one node's part of the ring.
 *
 * The key's owner is the live node whose position is nearest to it (shorter
 * way round; a tie goes to the smaller position); its copies are the next
 * nearest.  Only linked peers route: what others tell about third nodes is a
 * hint whom to dial.  Below the link budget every node links to every other
 * and a lookup is one hop; above it links are the leaf set, then those that
 * fill the prefix table (Rowstron and Druschel, Middleware 2001).
 *
 * A component of the node core: called with (now, event), it adds actions to
 * `out`.  It calls its user back through struct ov_user, always from within one
 * of the calls below.  Units: microseconds of mono time.
 */
#ifndef OVERLAY_OV_H
#define OVERLAY_OV_H

#include "lib/rng.h"
#include "seam/out.h"
#include "seam/peers.h"
#include "seam/tickets.h"
#include "wire/id.h"
#include "wire/revoked.h"

#define OV_COPIES_MAX 8
#define OV_LEAVES_MAX 64U /* each side */
#define OV_ADDRESS_MAX 80
#define OV_CACHE_MAX 1024U

struct ov;

struct ov_config {
    xn_id id;
    xn_id position;
    /* Where we accept links, at most OV_ADDRESS_MAX; "" or NULL: nowhere.  Lent
     * for the node's life. */
    const char *address;
    uint32_t links_max; /* budget; 512 */
    uint32_t leaves;    /* each side; 8; at least copies */
    uint32_t copies;    /* of each key, owner included; 3 */
    /* Requests of this kind go to the next copy while the one asked is silent;
     * all others wait until it is known to be gone.  0: none. */
    uint32_t any_copy_kind;
    /* Whose links are refused; the user's, and ov_revoke is called when it has
     * changed.  NULL: nobody's. */
    const struct revoked *revoked;
    /* 1: a question for a key far from us goes over a link of our own to whom a
     * search of our own has found (seek.c), so that malicious nodes on the way
     * cannot keep it.  0: it is sent on from hop to hop. */
    uint32_t secure;
    /* So many who answered are remembered, to be asked directly; at most
     * OV_CACHE_MAX.  0: none. */
    uint32_t cache;
};

/* A question that arrived here, to be answered once with ov_answer, now or
 * later.  `from` is the link it came over: the asker itself only if direct. */
struct ov_request {
    uint64_t token; /* names it to ov_answer */
    xn_id key;
    uint32_t copy;
    bool direct;
    xn_peer from; /* XN_PEER_SELF: asked by this node */
    uint32_t hops;
    uint64_t deadline_us; /* the asker's patience ends */
    struct xn_msg *msg;   /* lent */
};

/* Answer to ov_ask: rc 0 and msg, or an error and NULL.  `from`: whose id the
 * path names (the peer's own certificate where hops <= 1); beyond a hop, but for
 * any_copy_kind, perhaps its first bytes alone, OV_FROM_SAID at least, the others
 * zero. */
#define OV_FROM_SAID XN_ID_BRIEF
struct ov_reply {
    int rc;
    struct xn_msg *msg; /* lent */
    xn_id from;
    uint32_t hops;
};

/* `user` is that of struct ov_user, `ctx` as given to ov_ask. */
typedef void ov_replied(void *user, void *ctx, const struct xn_now *now,
                        const struct ov_reply *reply, struct xn_out *out);

struct ov_user {
    void *user;
    /* A request for us: we own the key, are the copy asked, or were asked
     * directly. */
    void (*deliver)(void *user, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out);
    /* The set of linked peers near us on the ring changed. */
    void (*leaves_changed)(void *user, const struct xn_now *now,
                           struct xn_out *out);
    /* A peer joined (its HELLO came) or left: for those who keep per-peer
     * state. */
    void (*peer_changed)(void *user, const struct xn_now *now, xn_peer peer,
                         bool joined, struct xn_out *out);
};

/* Make of links_max, leaves, copies and address what an overlay goes by: 0, NULL
 * and what does not fit together are replaced.  ov_new does so by itself. */
void ov_config_fit(struct ov_config *config);
int ov_new(const struct ov_config *config, const struct xn_peers *peers,
           struct xn_rng *rng, struct xn_tickets *tickets,
           const struct ov_user *user, struct ov **ov_out);
/* Questions under way are forgotten without a call: whoever keeps a ctx that
 * must be freed keeps a list of its own. */
void ov_free(struct ov *ov);
/* A call will come soon: fetches memory that it will want, in three steps (3 to
 * 1) with some time between them. */
void ov_warm(const struct ov *ov, int steps);

/* Begin to join through these contacts (from a corp's sample, or remembered).
 * May be called again at any time with more.  Until it is called, and until one
 * of the contacts has told us of others or none could be reached, we answer
 * nothing as owner (for some seconds).  With none: there are no others. */
void ov_join(struct ov *ov, const struct xn_now *now,
             Xn__Contact *const *contacts, size_t n, struct xn_out *out);

/* Instead of ov_join, before anything else: begin as a node that joined long
 * ago and is linked to these, each of which knows it; all: there are no others.
 * In the order of their positions, and lent for the node's life, which writes
 * there how near they are: such a link costs no more until it is used.  Round
 * trips as measured; 0: not.  For simulations of large overlays, which have no
 * time for so many joins.  Tells the user of nothing.  XN_ENOMEM; XN_EINVAL:
 * more than the budget. */
int ov_stand(struct ov *ov, const struct xn_now *now, struct xn_route *routes,
             const uint32_t *rtts_us, size_t n, bool all, struct xn_out *out);

/* The driver's link events. */
void ov_up(struct ov *ov, const struct xn_now *now, xn_peer peer,
           const Xn__Up *up, struct xn_out *out);
void ov_gone(struct ov *ov, const struct xn_now *now, xn_peer peer,
             struct xn_out *out);
/* More keys are revoked: links to them end. */
void ov_revoke(struct ov *ov, const struct xn_now *now, struct xn_out *out);
/* Leave on purpose: tell every peer, close every link, dial no more (until
 * ov_join is called again). */
void ov_leave(struct ov *ov, const struct xn_now *now, struct xn_out *out);
/* Any message of kinds HELLO..REPLY; others are rude and drop the link. */
void ov_msg(struct ov *ov, const struct xn_now *now, xn_peer peer,
            struct xn_msg *msg, struct xn_out *out);

/* Ask the owner of `key` (copy 0) or its copy-th neighbour.  `fn` is called
 * exactly once, at the latest at deadline_us, perhaps before this returns when
 * we are the one asked.  A silent hop is routed around within the deadline, so
 * a request may be delivered twice, at two nodes or at one: it must bear that.
 * Nobody answers in the place of a node that is silent but not known to be gone
 * (some seconds after a power loss), except kind any_copy_kind.
 * XN_ENOENT: there are not so many nodes; XN_EUNREACH: nobody left to try;
 * XN_EBUSY: too much under way here or there; XN_ETOOBIG: over a frame. */
void ov_ask(struct ov *ov, const struct xn_now *now, const xn_id *key,
            uint32_t copy, unsigned kind, const void *body,
            uint64_t deadline_us, ov_replied *fn, void *ctx,
            struct xn_out *out);
/* Another copy has answered: the question with this ctx ends, and `fn` is not
 * called any more.  An answer that comes within some seconds still shows how far
 * that node is.  Looks at all that is under way. */
void ov_enough(struct ov *ov, const void *ctx);

/* What is to be expected of a copy of a key before it is asked. */
struct ov_expect {
    uint32_t rtt_us;  /* there and back; 1: we are it; 0: not known: it is not
                        linked to us, or not measured */
    uint32_t late_us; /* nineteen answers of twenty have come by then */
};
/* A kind that any copy may answer would go to this node if it were asked now.
 * Cheap: for choosing among copies. */
void ov_expect(const struct ov *ov, const struct xn_now *now, const xn_id *key,
               uint32_t copy, struct ov_expect *expect_out);
/* Ask this linked peer itself. */
void ov_ask_peer(struct ov *ov, const struct xn_now *now, xn_peer peer,
                 unsigned kind, const void *body, uint64_t deadline_us,
                 ov_replied *fn, void *ctx, struct xn_out *out);

/* Answer a delivered request; rc != 0 or a message.  Late answers are
 * ignored.  `body` NULL with rc != 0. */
void ov_answer(struct ov *ov, const struct xn_now *now, uint64_t token, int rc,
               unsigned kind, const void *body, struct xn_out *out);

/* ---- diagnosis: which way would a request take? ---- */

#define OV_TRACE_MAX 16 /* hops */

struct ov_hop {
    xn_id id, position;
    char address[OV_ADDRESS_MAX + 1]; /* "": it accepts no links */
    Xn__Way way;                      /* why the hop before takes it */
    uint32_t rtt_us;  /* between the two, as that one knows it; 0: not yet */
    uint64_t took_us; /* our question to it, along the hops, and back */
    uint32_t links;   /* that it has */
    bool mesh;        /* it is linked to every node that it knows of */
    int rc;           /* 0, or why it told us nothing */
};

struct ov_trace {
    struct ov_hop hops[OV_TRACE_MAX]; /* [0] is this node */
    size_t n;
    Xn__TraceEnd end;
    size_t owner;          /* which hop; TRACE_OWNER, TRACE_FARTHER */
    struct ov_hop awaited; /* TRACE_WAITS; id zero: not known */
};

typedef void ov_traced(void *user, void *ctx, const struct xn_now *now,
                       const struct ov_trace *trace, struct xn_out *out);

/* Ask hop after hop where it would send a request for this copy of the key, and
 * tell what came out, once, perhaps before this returns.  What a hop says is
 * nobody else's word.  XN_EBUSY: 16 are under way, or 4 of the one whose it is;
 * XN_ENOMEM; XN_EINVAL: no such copy: nothing was begun and `fn` is not called.
 */
int ov_trace(struct ov *ov, const struct xn_now *now, const xn_id *key,
             uint32_t copy, const xn_id *whose, uint64_t deadline_us,
             ov_traced *fn, void *ctx, struct xn_out *out);

/* ---- who is there ---- */

/* The n nodes nearest to key among us and our linked peers, nearest first;
 * XN_PEER_SELF stands for us.  Returns how many (fewer in a small overlay).
 * True for keys near us; elsewhere only in a full mesh. */
size_t ov_nearest(const struct ov *ov, const xn_id *key, size_t n,
                  xn_peer *peers_out);
/* Are we among the config.copies nearest to key? */
bool ov_holds(const struct ov *ov, const xn_id *key);
/* Peers of the leaf set, clockwise then counter-clockwise side, nearest first;
 * at most 2 * config.leaves. */
size_t ov_leaves(const struct ov *ov, xn_peer *peers_out);
/* The same, of these so many on each side. */
size_t ov_beside(const struct ov *ov, size_t most, xn_peer *peers_out);
size_t ov_links(const struct ov *ov); /* live links, HELLO done */
/* All live links in ring order. */
size_t ov_all(const struct ov *ov, xn_peer *peers_out, size_t max);
const struct xn_contact *ov_contact(const struct ov *ov, xn_peer peer);
const xn_id *ov_position(const struct ov *ov); /* ours */
/* What it was made of, as ov_config_fit left it. */
const struct ov_config *ov_self(const struct ov *ov);
/* Are we, as far as we know, linked to every node? */
bool ov_is_mesh(const struct ov *ov, const struct xn_now *now);
/* Have we been told so much of the others that we answer as owner? */
bool ov_is_member(const struct ov *ov, const struct xn_now *now);
/* The peer's own address from its HELLO; "" where it has none. */
const char *ov_address(const struct ov *ov, xn_peer peer);
/* Do we accept no links (config.address is empty)?  Such a node, behind a NAT
 * or a firewall, is a guest of those that it dials: it asks and answers over
 * these links as anybody does, but owns no keys and keeps no copies, since
 * other guests could not reach it. */
bool ov_is_guest(const struct ov *ov);
/* How many seconds our wall clock is ahead of those of most nodes (negative:
 * behind), where that is more than OV_SKEW_S; else 0. */
#define OV_SKEW_S 300
int64_t ov_clock_off_s(const struct ov *ov);
/* Looks at the clocks: to be called at each step, before anything is judged by
 * its date.  true: until now that may have been judged wrongly, for ours was
 * off or has been set by more than OV_SKEW_S. */
bool ov_clock(struct ov *ov, const struct xn_now *now, struct xn_out *out);
/* What it answers, as its HELLO said: bits of OV_FEATURE_*. */
#define OV_FEATURE_NEXT 1U
#define OV_FEATURE_TERSE 2U /* no ACK where the REPLY comes soon */
#define OV_FEATURE_REVOKED 4U
#define OV_FEATURE_NEAR 8U   /* and it takes visits */
#define OV_FEATURE_PNS 16U   /* who of its links is near to a coordinate */
#define OV_FEATURE_BRIEF 32U /* of a REQUEST's key the first bytes */
#define OV_FEATURE_REACH 64U /* whether it can dial us; the user answers */
#define OV_FEATURE_SHORT XN_FEATURE_SHORT
#define OV_FEATURE_SPARE 256U /* what it knows is left out of a REPLY */
uint64_t ov_features(const struct ov *ov, xn_peer peer);
/* Did it hold other lists of revoked keys than we do, when its HELLO came? */
bool ov_revoked_differs(const struct ov *ov, xn_peer peer);
/* A live link at random; there is one. */
xn_peer ov_draw(struct ov *ov);
/* Contacts to remember for the next start and to hand out: at most n, with
 * addresses.  Strings live until the next call into ov. */
size_t ov_sample(struct ov *ov, size_t n, Xn__Contact *contacts_out);

/* What came of a request for a key. */
enum ov_outcome {
    OV_ANSWERED,
    OV_NOBODY, /* there are not so many nodes */
    OV_UNREACHABLE,
    OV_TIMEOUT,
    OV_BUSY,
    OV_NOT_YET,
    OV_OTHER, /* any other error */
    OV_OUTCOMES,
};

/* Hops are counted up to each of these, and above the last. */
#define OV_HOPS_BOUNDS 6
#define OV_HOPS_BOUNDS_LIST                                                    \
    {                                                                          \
        0, 1, 2, 3, 4, 6                                                       \
    }

/* Counts since the start. */
struct ov_stats {
    uint64_t dials, dials_failed;
    uint64_t refused;   /* links that the budget had no room for */
    uint64_t evicted;   /* links closed to make room */
    uint64_t rude;      /* peers dropped for breaking the protocol */
    uint64_t suspected; /* peers dropped for silence */
    uint64_t asked, delivered, forwarded, rerouted, expired;
    uint64_t busy;                 /* requests refused for want of room */
    uint64_t doubted;              /* requests sent to a witness, see route.c */
    uint64_t seeks, seeks_doubted; /* searches; where the failure test fired */
    uint64_t visits, visits_failed;
    uint64_t straight; /* our own, to who had answered before (owners.c) */
    uint64_t any_sent; /* our own of any_copy_kind, each time one was sent */
    /* Of those by ov_ask that have ended. */
    uint64_t outcomes[OV_OUTCOMES];
    uint64_t lookups_us;                         /* that all took */
    uint64_t hops[OV_HOPS_BOUNDS + 1], hops_sum; /* of those answered */
};
const struct ov_stats *ov_stats(const struct ov *ov);

/* How full it is now. */
struct ov_load {
    size_t links, incoming, links_max;
    size_t guests;        /* links of nodes that accept none */
    size_t unproved;      /* links before their HELLO */
    size_t known;         /* nodes heard of and not linked to */
    size_t requests;      /* under way, own and others' */
    size_t request_bytes; /* kept of others' */
};
void ov_load(const struct ov *ov, struct ov_load *load_out);

/* A link as we see it. */
struct ov_peer {
    const struct xn_contact *contact;
    xn_peer peer;
    const char *address; /* "": it accepts no links */
    int leaf; /* the so-many-th clockwise, or (negative) the other way; 0: it is
                 no neighbour */
    bool incoming;
    bool guest;        /* it accepts no links, and owns nothing */
    uint32_t version;  /* of the protocol */
    uint64_t features; /* OV_FEATURE_* */
    uint32_t rtt_us;   /* 0: not measured yet */
    uint64_t up_us, heard_us;
    unsigned unanswered; /* PINGs */
    uint32_t asked;      /* its requests under way here */
};
/* The i-th live link clockwise from us, and behind these the guests; false:
 * there are not so many. */
bool ov_peer(const struct ov *ov, size_t i, struct ov_peer *peer_out);

bool ov_check(const struct ov *ov, char *why_out, size_t len);

#endif
