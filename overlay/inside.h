/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the overlay share; nobody else includes this.
 *
 *   ov.c      lifecycle, the calls that come in, the upcalls that go out
 *   ring.c    the live links by position;  full.c  links in full, by handle, by
 *             id
 *   hints.c   nodes that we have heard of;  tellers.c  who told of them, and is
 *             he worth it;  pick.c  which to dial next;  dials.c  dialling
 *   links.c   links from their opening to their end;  hello.c  whether they
 *             count
 *   leaves.c  the leaf set, and spreading who is there (PEERS)
 *   life.c    how long nodes live, and how many links that is worth
 *   choose.c  where a request goes next;  way.c  which of the ways there
 *   table.c   the places of the prefix table;  places.c  the links in them
 *   pns.c     for each place the nearest in time; vivaldi.c  where a node is
 *   queries.c the requests under way; ask.c begins our own, arrive.c takes
 *             those of peers, route.c sends them on, answer.c ends them
 *   trace.c   where would a request go? (NEXT)
 *   seek.c    a search of our own for who is nearest to a key (NEAR); claims.c
 *             whom it has heard of;  doubt.c  the routing failure test
 *   owners.c  who answered for which keys
 *   visit.c   links opened to ask and given back;  guest.c  nodes that accept
 *             no links
 *   clock.c   is our clock wrong?
 *   watch.c   who is alive (PING, SUSPECT, LEAVE)
 *   check.c   do the tables hold together?
 *
 * Upcalls run only when the call that came in is done with our tables
 * (ov_enter, ov_exit): a user may call us from within one.  A link's memory
 * lives until the driver's GONE, so pointers to links outlast any upcall; but
 * one that stood is but a row again, if unused, at the outermost ov_exit
 * (links_rest).
 */
#ifndef OVERLAY_INSIDE_H
#define OVERLAY_INSIDE_H

#include "overlay/ov.h"
#include "overlay/table.h"
#include "overlay/vivaldi.h"
#include "seam/dial.h"

#define VERSION 1U
/* That we have. */
#define FEATURES                                                               \
    (OV_FEATURE_NEXT | OV_FEATURE_TERSE | OV_FEATURE_REVOKED |                 \
     OV_FEATURE_NEAR | OV_FEATURE_PNS | OV_FEATURE_BRIEF | OV_FEATURE_REACH |  \
     OV_FEATURE_SHORT | OV_FEATURE_SPARE)

#define DIALS_MAX 16U  /* outstanding */
#define NEW_MAX 32U    /* links over the budget until their HELLO */
#define HINTS_MIN 256U /* the table holds links_max within these */
#define HINTS_MAX 4096U
#define GAP_TRIES 8U        /* looks at random hints */
#define HINTS_PER_MSG 512U  /* taken from one message */
#define PAGE_MAX 256U       /* contacts in one PEERS */
#define HELLO_PEERS_MAX 32U /* in one HELLO */
#define HAVE_MAX 192U       /* ids named in one PEERS: leaf set and failures */
#define SOME_MAX 64U        /* contacts from all around, in one PEERS */
#define LIFE_TOLD 15U       /* peers whose word a newcomer takes */
#define LIFE_ENDED 128U     /* nodes of the last ends, remembered */
#define HOPS_MAX 32U
#define KEY_SAID 6U            /* bytes of a key, in a REQUEST */
#define SENDS_MAX 6U           /* of one request to where it waits ... */
#define WAYS_MAX 12U           /* ... and in all: the others are reroutes */
#define QUERIES_MAX 16384U     /* pending, all */
#define QUERIES_FROM_ALL 8192U /* of these, from peers */
#define QUERIES_FROM_ONE 512U  /* of these, from one peer */
/* Requests sent on are kept until their end.  Of one peer's no more than half
 * of what a link may queue, or it could have us close one by filling it. */
#define KEPT_FROM_ALL (64U << 20)
#define KEPT_FROM_ONE (4U << 20)
#define PATIENCE_MS_MAX 600000U
#define PATIENCE_MS_FINE 1000U /* from here on tenths of a second are enough */
#define FROM_SAID_ONCE 8U   /* OV_FROM_SAID to who has not OV_FEATURE_SPARE */
#define VIA_MAX 16U         /* ids in one NEXT */
#define NEXT_BYTES_MAX 1024 /* of one, and of its answer */
#define TRACES_MAX 16U      /* our own, under way */
#define TRACES_OF_ONE 4U    /* of these, for one who asks */
#define RELAYS_MAX 128U     /* NEXTs passed on, under way */
#define RELAYS_FROM_ONE 32U /* of these, for one node */
#define NEAR_MAX 16U        /* contacts in one NEAR_DONE */
#define SEEKS_MAX 256U      /* searches, those kept for a while included */
#define VISITS_MAX 256U     /* links that we opened to ask, or are opening */
#define SHUNNED_MAX 64U     /* revoked ones, remembered */
#define VISITED_MAX 128U    /* that others opened so */
#define EARLY_MAX 32U       /* messages before their HELLO */
#define AWAKE_MAX 2U /* links that stood, in full and with nothing to do */
#define BUCKETS 16U  /* of the digest: sixteenths of the ring */

#define SECOND_US 1000000ULL
#define DIAL_US (XN_DIALLED_US + 5 * SECOND_US) /* the driver ends it first */
#define HELLO_US (3 * SECOND_US)                /* then it is said again */
#define HELLOS_MAX 4U                           /* then the link is closed */
#define FRESH_US                                                               \
    (10 * SECOND_US) /* two links this young were dialled at once */
#define RTO_FIRST_US SECOND_US
#define RTO_MIN_US (SECOND_US / 4)
#define RTO_MAX_US (3 * SECOND_US)
#define PROBE_US SECOND_US /* at least, between two tries */
#define PROBES_MAX 3U
#define WATCH_US (5 * SECOND_US)  /* at least, between looks at the neighbour */
#define DOUBT_US (5 * SECOND_US)  /* so long such news leave doubt */
#define YOUNG_US (10 * SECOND_US) /* at most so long a newcomer doubts */
#define WAIT_US (SECOND_US / 4)   /* in doubt: looked at again */
#define LATE_US (SECOND_US / 2)   /* an ACK may wait for the REPLY */
#define ACKED_US (3 * SECOND_US)  /* no reply for so long: asked again */
#define CALM_US (20 * SECOND_US)  /* between dials that only better the table */
#define GOSSIP_MIN_US (2 * SECOND_US)
#define GOSSIP_MAX_US (30 * SECOND_US)
#define RELAY_US (15 * SECOND_US) /* so long at most a NEXT is passed on */
#define CROWDED_US (600 * SECOND_US)
#define SKEW_US (OV_SKEW_S * SECOND_US)

/* A growing array of pointers. */
struct vec {
    void **v;
    uint32_t n, cap;
};

enum link_state { LINK_NEW, LINK_LIVE, LINK_CLOSING };

/* What a peer may make us do per second. */
enum allowance {
    ALLOW_PONG,
    ALLOW_PROBE,
    ALLOW_PEERS,
    ALLOW_HELLO,
    ALLOWANCES
};

struct query;
struct trace;
struct relay;
struct seek;
struct near;
struct visit;
struct shunned;
struct pns;

/* A link in full.  One that has stood from the start (ov_stand) is but a row of
 * the ring until it is used, and again when others were used after it. */
struct link {
    xn_peer peer;
    uint32_t serial;  /* in the order in which they came; 0: it stood */
    uint8_t state;    /* enum link_state */
    bool clock_asked; /* its next HELLO is to tell it */
    uint8_t hellos;   /* said by us */
    uint8_t early;    /* messages ignored for want of their HELLO */
    uint8_t probes;   /* PINGs unanswered */
    bool incoming : 1;
    bool hearsay : 1; /* probed because of a SUSPECT */
    bool shed : 1;    /* it ends, not its node */
    bool stood : 1;   /* from the start: its address is its contact's */
    bool paging : 1;  /* we read its contacts page by page */
    bool visit : 1;   /* opened to ask, in nobody's tables */
    bool guest : 1;   /* of a node that accepts no links: in none of ours */
    bool nowhere : 1; /* its node accepts no links, a visit's too */
    bool coy : 1;     /* it may be a visit: our HELLO waits for theirs */
    bool sample : 1;  /* its next round trip tells where we are (pns.c) */
    uint8_t pages;    /* read so */
    uint8_t used[ALLOWANCES];
    uint32_t rtt_us, rtt_var_us; /* RFC 6298; 0: no sample */
    uint32_t opened_us; /* the least that our opening it and answers that were
                           not held took; 0: not known */
    uint32_t trip_us;   /* of its first packets; hearsay of the way there */
    uint64_t head;      /* of its id */
    uint64_t rid_max;   /* that it used */
    uint32_t revoked;   /* its lists of revoked keys (revoked_mark) */
    uint32_t clock_s;   /* its clock less our mono time; 0: not told */
    uint32_t asked;     /* its requests under way here */
    uint64_t features;  /* OV_FEATURE_*, and what we do not know */
    uint32_t kept;      /* bytes of these */
    uint32_t nonce;
    uint64_t window_us; /* when `used` was last set to zero */
    uint64_t up_us, heard_us, ping_us;
    uint64_t timer;            /* HELLO while new, PING while probed; 0: none */
    struct vivaldi coordinate; /* as it said last; error 0: it has not */
    struct query *sent;        /* that wait for this peer */
    struct query *held;        /* that this peer waits for */
    char *address;
};

/* The live links in the order of their positions, named by their place in it
 * until the next one comes or goes. */
struct ring {
    /* near: its round trip, coarsely; 0: not known.  silent: passed over, it
     * will soon be gone, or heard again. */
    struct xn_route *routes;
    uint32_t n, cap;    /* cap 0: they are lent (ov_stand) */
    uint32_t n_stood;   /* of these, not in full */
    uint32_t n_awake;   /* of those that stood from the start, in full */
    uint32_t rest_wait; /* steps until one of these is sought that may rest */
};

#define RING_SELF SIZE_MAX       /* not in it: us */
#define RING_NONE (SIZE_MAX - 1) /* nobody */

/* A node that we have heard of and are not linked to. */
struct hint {
    xn_id id;
    xn_id position; /* as claimed */
    char address[OV_ADDRESS_MAX + 1];
    char *named;     /* another one, that others say; NULL: none */
    bool met;        /* position and address were a link's */
    bool given_up;   /* that one we closed to make room */
    bool by_name;    /* `named` is being dialled, or was last */
    uint16_t teller; /* whose hearsay it is, tellers.c; 0: nobody's */
    uint8_t failures;
    struct hint *dial_prev, *dial_next;
    uint64_t ticket;     /* of the DIAL under way; 0: none */
    uint64_t dialled_us; /* when that began */
    uint64_t failed_us;  /* first failure */
    uint64_t told_us;  /* we told all that it is gone; 0: not since its link */
    uint64_t next_us;  /* not dialled before: hint_due */
    uint64_t named_us; /* when a peer last told us of it; 0: none has */
    uint64_t news_us;  /* heard of then, or its link lost, and no dial has
                         failed since: it may live; 0: no */
};

struct lives;

/* How long nodes live, as far as we have seen and were told. */
struct life {
    uint64_t stood_us;   /* all links together, until ... */
    uint64_t counted_us; /* ... then */
    uint64_t ours_us;    /* we stood still: what ends until then is our doing */
    uint32_t ends;       /* of them, with their node */
    uint32_t n_told;     /* how long others live */
    struct lives *lives; /* life.c; NULL: nothing has ended or been told yet */
};

struct change {
    xn_peer peer;
    bool joined;
};

struct ov {
    struct ov_config config;
    const struct xn_peers *peers;
    struct xn_rng *rng;
    struct xn_tickets *tickets;
    struct ov_user user;

    struct vec by_peer; /* links in full, every state, by handle */
    xn_peer *handles;   /* theirs: a search touches nothing else */
    struct vec by_id;   /* links in full, new and live, by id; but for those
                           that stood, whom the ring finds */
    struct ring ring;   /* all live ones */
    uint32_t self_at;   /* how many of these lie before us */
    uint32_t n_new;
    uint64_t stood_us; /* since when those stand that did from the start */
    uint32_t serial;

    struct vec hints;        /* by id */
    struct vec hints_pos;    /* the same, by claimed position */
    struct vec hints_due;    /* the same, those linked before first, of each
                                kind by when they may be dialled */
    uint32_t n_met;          /* of these, linked before */
    uint32_t n_dials;        /* of these, being dialled */
    bool skewed;             /* somebody's clock differs from ours */
    uint64_t clock_us;       /* mono; when to look next at what they show */
    int64_t base_s;          /* our clock less mono time, as last set */
    int64_t clock_off_s;     /* ov_clock_off_s */
    struct shunned *shunned; /* hints.c */
    uint64_t *tellers;       /* tellers.c */
    struct hint *dials;      /* those being dialled */

    struct vec queries; /* by number, which only grows */
    uint32_t n_from;    /* of these, from peers */
    size_t kept;        /* bytes of their messages */
    uint64_t number;

    uint64_t leaves_mark; /* of the leaf set that the user knows */
    struct change *changes;
    uint32_t n_changes, cap_changes;
    unsigned depth;
    unsigned paged; /* peers whose contacts we have asked for */
    bool leaving, dial_dirty;
    bool joined;             /* told whom to join */
    bool introduced;         /* a peer has told us its contacts */
    bool grown;              /* it had as many links as it wants, and not lost a
                            quarter of them since */
    bool lost_up, lost_down; /* neighbours, on that side */
    uint8_t turned_away;     /* as a guest, one had no room: rounds left */
    uint64_t young_us;       /* until then, if not introduced */

    struct life life;
    uint64_t calm_us;     /* when crowded: no dial before, neighbours apart */
    uint64_t crowded_us;  /* until then: the overlay exceeds the budget, */
    uint64_t silent_us;   /* when a link was dropped for silence, last */
    uint64_t silent_more; /* others looked at when the next one is */
    uint64_t missed_us;   /* told of a neighbour that could not be reached */
    uint64_t partial_us;  /* as we ourselves have seen */
    uint64_t gossip_us;   /* interval now */
    struct trace *traces;
    struct relay *relays;
    struct seek *seeks;
    struct vec owners;     /* that answered */
    uint64_t sought_owner; /* brief, whose address was asked for last */
    uint64_t sought_us;    /* not again before */
    struct near *nears;    /* NEARs under way */
    struct visit *dialled; /* for a visit */
    struct pns *pns;       /* NULL: nobody has told its coordinate yet */
    uint16_t n_traces, n_relays, n_seeks;
    uint16_t n_visits, n_visited; /* live or dialled by us; by others */
    uint16_t digit;               /* of the prefix table, in bits */
    unsigned n_guests;
    uint64_t gossip_timer, watch_timer, dial_timer, ask_timer;
    uint64_t watch_us; /* when the watch falls due; 0: not at all */
    uint64_t dial_timer_us;
    struct ov_stats stats;
};

/* ---- ring.c */

bool vec_put(struct vec *vec, size_t at, void *item);
void vec_drop(struct vec *vec, size_t at);

static inline struct link *link_at(const struct vec *vec, size_t i)
{
    return vec->v[i];
}

const struct xn_contact *link_contact(const struct ov *ov,
                                      const struct link *link);
/* In full, whatever its state; by id, new and live ones.  NULL: there is none,
 * or it only stands. */
struct link *link_find(const struct ov *ov, xn_peer peer);
struct link *link_find_live(const struct ov *ov, xn_peer peer);
struct link *link_find_id(const struct ov *ov, const xn_id *id);
/* The same, in full where it only stood; NULL: there is none, or no memory. */
struct link *link_need(struct ov *ov, xn_peer peer);
struct link *link_need_id(struct ov *ov, const xn_id *id);
bool link_has_id(const struct ov *ov, const xn_id *id);
/* The same of whom the first OV_FROM_SAID bytes of `id` tell. */
struct link *link_need_head(struct ov *ov, const xn_id *id);
/* Nobody has a pointer to a link: some that stood are but rows again. */
void links_rest(struct ov *ov);
/* All: false when out of memory; dropping a live one needs some only where the
 * ring's handles are lent. */
bool ring_add_peer(struct ov *ov, struct link *link);
bool ring_add_id(struct ov *ov, struct link *link);
bool ring_add_live(struct ov *ov, struct link *link);
bool ring_drop_live(struct ov *ov, struct link *link);
void ring_stand(struct ov *ov, struct xn_route *routes, const uint32_t *rtts_us,
                size_t n);
void ring_drop_peer(struct ov *ov, struct link *link);
void ring_drop_id(struct ov *ov, struct link *link);
void ring_clear(struct ring *ring);

static inline xn_peer ring_peer(const struct ov *ov, size_t at)
{
    return ov->ring.routes[at].peer;
}

#define AHEAD 16U /* contacts that are fetched before they are looked at */

static inline const struct xn_contact *ring_contact(const struct ov *ov,
                                                    size_t at)
{
    return xn_peer_contact(ov->peers, ring_peer(ov, at));
}

/* RING_NONE: it is not live.  By id: only where some stood. */
size_t ring_find(const struct ov *ov, xn_peer peer);
size_t ring_find_id(const struct ov *ov, const xn_id *id);
/* In full; NULL: no memory. */
struct link *ring_link(struct ov *ov, size_t at);
/* Its round trip as far as we know it, for choosing; 0: not at all. */
uint32_t ring_near(const struct ov *ov, size_t at);
/* A live link's round trip has been seen, or it fell silent or was heard. */
void ring_note(struct ov *ov, const struct link *link);
/* The first place whose position is not before `position`. */
size_t ring_lower(const struct ov *ov, const xn_id *position);
/* Is it within so much of the position at that place (table_apart)?  Mostly
 * known without a look at the contact. */
bool ring_apart_within(const struct ov *ov, size_t at, const xn_id *position,
                       uint64_t within);
/* The links of a place of the prefix table: first and behind the last. */
void ring_within(const struct ov *ov, const struct table_place *place,
                 size_t *first_out, size_t *end_out);

/* Us and the live links from near a key outwards. */
struct walk {
    const struct ov *ov;
    const xn_id *key;
    size_t down, up, left;
};

void walk_start(struct walk *walk, const struct ov *ov, const xn_id *key);
/* false at the end; else a place of the ring, or RING_SELF. */
bool walk_next(struct walk *walk, size_t *at_out);
/* After how many do we come, without going there? */
size_t walk_rank_of_us(const struct walk *walk);

/* Place of the d-th live link clockwise or counter-clockwise from us; d from
 * 1. */
size_t ring_cw(const struct ov *ov, size_t d);
size_t ring_ccw(const struct ov *ov, size_t d);
/* Would a node at this position be in our leaf set? */
bool ring_is_leaf(const struct ov *ov, const xn_id *position);
/* How far our leaf set reaches on its shorter side, in 2^-64ths of the ring. */
uint64_t ring_reach(const struct ov *ov);
/* Of nodes on the ring, in the mean of our leaf set. */
uint64_t ring_spacing(const struct ov *ov);
/* So many there are, as close as those beside us lie: nobody's word.  Of 2 l
 * leaves it is mostly right within one part in the root of 2 l. */
uint64_t ring_nodes(const struct ov *ov);

/* ---- hints.c */

static inline struct hint *hint_at(const struct vec *vec, size_t i)
{
    return vec->v[i];
}

/* The first place in hints_pos that is not before this. */
size_t hint_pos_lower(const struct ov *ov, const xn_id *position,
                      const xn_id *id);
struct hint *hint_find(const struct ov *ov, const xn_id *id);
/* The first whose id begins so. */
struct hint *hint_find_head(const struct ov *ov, const uint8_t *head,
                            size_t len);
/* NULL: not taken (ours, linked, no room, no usable address). */
struct hint *hint_add(struct ov *ov, const struct xn_now *now, const xn_id *id,
                      const xn_id *position, const char *address, bool met);
void hint_drop(struct ov *ov, struct hint *hint);
void hint_forget(struct ov *ov, const xn_id *id); /* if there is one */
/* Its key is revoked: the same, and it is dialled no more, whoever names it. */
void hint_shun(struct ov *ov, const struct xn_contact *contact);
/* What this peer tells (NULL: it is no hearsay).  false: one of them is
 * malformed. */
bool hints_take(struct ov *ov, const struct xn_now *now, const xn_id *teller,
                Xn__Contact *const *contacts, size_t n);
void hint_failed(struct ov *ov, const struct xn_now *now, struct hint *hint,
                 bool full);
/* Behind the last in hints_due of those linked before, or of the others, that
 * may be dialled or are being dialled. */
size_t hints_due(const struct ov *ov, const struct xn_now *now, bool met);
void hint_due(struct ov *ov, struct hint *hint, uint64_t due_us);
/* This one is linked now. */
void hints_found(struct ov *ov, const struct xn_now *now,
                 const struct hint *hint);
/* Is there one that may live, nearer to the key than we are? */
bool hints_doubt(const struct ov *ov, const struct xn_now *now,
                 const xn_id *key);
bool hints_fresh(const struct ov *ov, const struct xn_now *now); /* any */
/* Not failed, as yet, nor told by who had us dial for nothing too often. */
size_t hints_untried(const struct ov *ov, const struct xn_now *now);
/* Dial those nearer at once. */
void hints_hurry(struct ov *ov, const struct xn_now *now, const xn_id *key);
/* Those are gone, a witness says. */
void hints_believe(struct ov *ov, const xn_id *key);
/* Half of `us` and up to as much again. */
uint64_t hints_jittered(struct ov *ov, uint64_t us);
bool address_is_good(const char *address);
void hints_clear(struct ov *ov);

/* ---- tellers.c */

/* What a hint remembers of who told of it. */
uint16_t teller_of(const xn_id *id);
/* May it have us dial for nothing once more? */
bool teller_may(const struct ov *ov, const struct xn_now *now, uint16_t teller);
/* A dial by its hearsay begins; it was not in vain. */
void teller_dialled(struct ov *ov, const struct xn_now *now, uint16_t teller);
void teller_was_right(struct ov *ov, uint16_t teller);

/* ---- pick.c */

/* The hint to dial now, or NULL. */
struct hint *hint_pick(struct ov *ov, const struct xn_now *now);
/* When there may be another. */
uint64_t hints_next(const struct ov *ov, const struct xn_now *now);
/* Where links last and there are more nodes than the budget: so many are dialled
 * for, and above that those that are of no use are given up. */
size_t links_enough(const struct ov *ov);

/* ---- dials.c */

/* All that is to be dialled now. */
void links_dial(struct ov *ov, const struct xn_now *now, struct xn_out *out);
/* A dial of ours became a link to `id`.  Its address (free) is the peer's until
 * its HELLO says another; since when it was dialled.  false: the hint lied, it
 * was for somebody else. */
bool dial_answered(struct ov *ov, const struct xn_now *now, uint64_t ticket,
                   const xn_id *id, char **address_out, uint64_t *since_us_out);
/* Where it is being dialled, or was last. */
const char *hint_address(const struct hint *hint);
/* Is it dialled, or was last, because somebody says that it is there? */
bool dial_is_hearsay(const struct hint *hint);
/* Is somebody dialled there?  By hearsay all of many could be said to be at one
 * address, to aim us at it. */
bool dials_go_to(const struct ov *ov, const char *address);
/* Is there no room for another? */
bool dials_full(const struct ov *ov);
/* Whom that DIAL is for; NULL: nobody, any more. */
struct hint *dial_find(const struct ov *ov, uint64_t ticket);
void dial_begun(struct ov *ov, const struct xn_now *now, struct hint *hint,
                uint64_t ticket);
void dial_over(struct ov *ov, struct hint *hint);

/* ---- places.c */

/* Of these places of the ring, the nearest in time that says who is near (PNS)
 * and is not silent; RING_NONE. */
size_t places_nearest(const struct ov *ov, size_t first, size_t end);
/* Is it that in its place? */
bool places_is_nearest(const struct ov *ov, const struct link *link);
/* Who could go most easily: not a neighbour, from the place in which most are,
 * so many; the farthest of these.  RING_NONE: nobody. */
size_t places_fullest(const struct ov *ov, size_t *count_out);
/* Is the part of the prefix table empty that this position belongs in, and
 * another so full that a link can be spared for it? */
bool places_fills_gap(const struct ov *ov, const xn_id *position);
/* How many links we dialled ourselves; those that stood are of these. */
size_t places_ours(const struct ov *ov);
/* Of these one (idle: that waits for nothing) that is nearest nowhere, from the
 * place in which we have the most.  RING_NONE: there is none.  Both go through
 * all links. */
size_t places_spare(const struct ov *ov, bool idle);

/* ---- links.c */

/* Not linked to every node: there is a budget, or a peer says so of itself. */
bool links_crowded(const struct ov *ov, const struct xn_now *now);
/* So it is for ten minutes. */
void links_set_crowded(struct ov *ov, const struct xn_now *now);
/* Closes the one at that place of the ring, for a better one. */
void links_evict(struct ov *ov, const struct xn_now *now, size_t at,
                 struct xn_out *out);
/* We ourselves know of more nodes than we are linked to. */
void links_set_partial(struct ov *ov, const struct xn_now *now);
/* Takes the link out of all use; its memory stays until GONE. */
void link_lose(struct ov *ov, const struct xn_now *now, struct link *link,
               struct xn_out *out);
void link_hang(struct ov *ov, const struct xn_now *now, struct link *link,
               int rc, const char *why, struct xn_out *out);
/* The peer broke the protocol. */
void link_rude(struct ov *ov, const struct xn_now *now, struct link *link,
               const char *why, struct xn_out *out);
bool link_allows(struct link *link, const struct xn_now *now,
                 enum allowance what);
void link_timer(struct ov *ov, struct link *link, uint64_t due_us, xn_ended *fn,
                struct xn_out *out);
void link_timer_stop(struct ov *ov, struct link *link);
void link_free(struct link *link);
/* In full what only stood so far; NULL: no memory. */
struct link *link_of_stood(struct ov *ov, xn_peer peer, uint32_t near_us);
/* NULL: it has none. */
const char *link_address(const struct ov *ov, const struct link *link);

/* ---- hello.c */

/* full: that we have no room, and whom to try instead. */
void link_say_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                    bool full, struct xn_out *out);
/* Says it again, and at last hangs up, until theirs comes. */
void link_await_hello(struct ov *ov, const struct xn_now *now,
                      struct link *link, struct xn_out *out);
/* There is no room. */
void link_refuse(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out);
/* Is there room for a link to this position, or is it worth more than one that we
 * have? */
bool link_is_wanted(const struct ov *ov, const xn_id *position);
void links_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_msg *msg, struct xn_out *out);

/* ---- leaves.c */

void leaves_live(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out);
void leaves_peers(struct ov *ov, const struct xn_now *now, struct link *link,
                  const Xn__Peers *body, struct xn_out *out);
/* Compares the leaf set with what it was; true if it changed. */
bool leaves_update(struct ov *ov);
uint64_t leaves_mark(const struct ov *ov);
/* A live link has been lost: was it a neighbour? */
void leaves_lost(struct ov *ov, const xn_id *position);
/* Asks for neighbours in place of those lost. */
void leaves_ask(struct ov *ov, const struct xn_now *now, struct xn_out *out);
void leaves_gossip(struct ov *ov, const struct xn_now *now, struct xn_out *out);
/* Contact of a live link for a message; false where it has no address. */
bool contact_at(const struct ov *ov, size_t at, Xn__Contact *contact_out);

/* ---- life.c */

void life_clear(struct ov *ov);
/* Before the number of live links changes. */
void life_count(struct ov *ov, const struct xn_now *now);
/* A link has ended with its node, as far as we know. */
void life_ended(struct ov *ov, const struct xn_now *now, const xn_id *id);
/* It is linked again: if that was soon, it had not ended. */
void life_back(struct ov *ov, const struct xn_now *now, const xn_id *id);
/* So says a peer that we have dialled. */
void life_told(struct ov *ov, const xn_id *id, uint32_t life_s);
uint32_t life_seen_s(const struct ov *ov); /* 0: not yet */
/* How long one that fell silent may go unnoticed. */
uint64_t life_watch_us(const struct ov *ov);
/* How many links to dial for: at most the budget. */
size_t links_wanted(const struct ov *ov);

/* ---- choose.c */

enum hop {
    HOP_HERE,    /* deliver it */
    HOP_ON,      /* send it on */
    HOP_WITNESS, /* send it on: does that one still know the node meant? */
    HOP_YOURS,   /* tell the asker that it is meant itself */
    HOP_WAIT,    /* look again later */
    HOP_NOWHERE
};

/* *link_out: to send to; HOP_WAIT: the silent one waited for; NULL: us. */
enum hop route_choose(struct ov *ov, const struct xn_now *now,
                      const struct query *q, struct link **link_out);
/* Why it went over this link, as route_choose said. */
Xn__Way route_why(const struct ov *ov, const struct xn_now *now,
                  const struct query *q, const struct link *link);
bool query_tried(const struct query *q, xn_peer peer);
/* Do we know ourselves who is nearest to its key? */
bool route_is_near(const struct ov *ov, const struct xn_now *now,
                   const struct query *q);
/* May any copy answer it? */
bool query_is_lax(const struct ov *ov, const struct query *q);
/* Whom such a kind would reach as this copy: a place of the ring; RING_SELF;
 * RING_NONE: that is not known here. */
size_t route_copy(const struct ov *ov, const struct xn_now *now,
                  const xn_id *key, uint32_t copy);

/* ---- way.c */

/* Far from the key: the link over which a request is likely to come there
 * soonest.  `nearest` is the one nearest to it, which brings it nearer.  Links
 * are named by their places in the ring. */
size_t way_choose(const struct ov *ov, const struct query *q, size_t nearest);
/* Why it was chosen. */
Xn__Way way_why(const struct ov *ov, const struct query *q, size_t nearest,
                size_t chosen);
/* May it be sent there: not tried before, and not silent? */
bool query_may_use(const struct ov *ov, const struct query *q, size_t at);

/* ---- arrive.c, ask.c, route.c */

void route_request(struct ov *ov, const struct xn_now *now, struct link *link,
                   struct xn_msg *msg, struct xn_out *out);
void route_ack(struct ov *ov, const struct xn_now *now, struct link *link,
               const Xn__Ack *body, struct xn_out *out);
void route_reply(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_msg *msg, struct xn_out *out);
/* What waited for a search: it goes over this link, or ends with rc. */
void route_sought(struct ov *ov, const struct xn_now *now, uint64_t number,
                  struct link *link, int rc, struct xn_out *out);
/* The link is lost: what waits for it goes elsewhere, what it waits for is
 * forgotten. */
void route_lost(struct ov *ov, const struct xn_now *now, struct link *link,
                struct xn_out *out);

/* ---- queries.c */

/* The handle will name another one. */
void queries_gone(struct ov *ov, xn_peer peer);
void queries_clear(struct ov *ov);

/* ---- trace.c */

/* A NEXT was delivered: answers it. */
void trace_next(struct ov *ov, const struct xn_now *now,
                const struct ov_request *request, struct xn_out *out);
void trace_clear(struct ov *ov);
/* Are the counts those of the lists? */
bool trace_check(const struct ov *ov);

/* ---- seek.c */

/* The question `number` waits for this copy of the key: route_sought is called
 * once, perhaps before this returns 0.  XN_EBUSY, XN_ENOMEM, XN_EUNREACH: it
 * does not. */
int seek_join(struct ov *ov, const struct xn_now *now, const xn_id *key,
              uint32_t copy, uint64_t number, uint64_t deadline_us,
              struct xn_out *out);
/* A NEAR was delivered: answers it. */
void seek_near(struct ov *ov, const struct xn_now *now,
               const struct ov_request *request, struct xn_out *out);
/* There is a link to this node now. */
void seek_met(struct ov *ov, const struct xn_now *now, const xn_id *id,
              struct xn_out *out);
/* It could not be reached there. */
void seek_missed(struct ov *ov, const struct xn_now *now, const xn_id *id,
                 const char *address, struct xn_out *out);
void seek_clear(struct ov *ov);
/* Are the counts those of the lists? */
bool seek_check(const struct ov *ov);

/* ---- owners.c */

/* Our question was answered, over this link, by `from` as the path says. */
void owners_learn(struct ov *ov, const struct xn_now *now,
                  const struct query *q, const struct link *link,
                  const xn_id *from, struct xn_out *out);
/* To whom it is sent before any other: who answered for its key before; NULL. */
struct link *owners_link(struct ov *ov, const struct xn_now *now,
                         const struct query *q);
/* It was silent. */
void owners_forget(struct ov *ov, const xn_id *id);
void owners_clear(struct ov *ov);
bool owners_check(const struct ov *ov);

/* ---- visit.c */

/* Open a link to ask something; seek_met or seek_missed tells what came of it.
 * Nothing new where it is being dialled there already.  XN_EBUSY, XN_ENOMEM. */
int visit_dial(struct ov *ov, const struct xn_now *now, const xn_id *id,
               const char *address, struct xn_out *out);
/* A dial became a link to `id`; false: it was for no visit.  *address_out: as
 * dialled (free); NULL: it was for somebody else, or there is no memory. */
bool visit_answered(struct ov *ov, const struct xn_now *now, uint64_t ticket,
                    const xn_id *id, char **address_out, struct xn_out *out);
/* Its HELLO came: from who was dialled, or who dialled us. */
void visit_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 const Xn__Hello *hello, struct xn_out *out);
/* Such a link is closed: the counts. */
void visit_lost(struct ov *ov, const struct link *link);
/* Would a message of this kind be said over such a link? */
bool visit_takes(unsigned kind);
void visit_clear(struct ov *ov);
bool visit_check(const struct ov *ov);

/* ---- clock.c */

/* So says its HELLO. */
void clock_told(struct ov *ov, const struct xn_now *now, struct link *link,
                uint64_t wall_us);

/* ---- guest.c */

/* Its HELLO came, and has no address. */
void guest_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 const Xn__Hello *hello, struct xn_out *out);
/* The ring has grown: a guest too many goes, if one waits for nothing. */
void guest_make_room(struct ov *ov, const struct xn_now *now,
                     struct xn_out *out);
/* So many links does a guest want of others: fewer for a while when one had no
 * room. */
size_t guest_wants(const struct ov *ov);
void guest_turned_away(struct ov *ov);
void guest_round(struct ov *ov);
/* The i-th live one by id; NULL: there are not so many. */
const struct link *guest_at(const struct ov *ov, size_t i);
bool guest_check(const struct ov *ov);

/* Is it in nobody's tables? */
static inline bool link_is_apart(const struct link *link)
{
    return link->visit || link->guest;
}

/* ---- pns.c */

/* It is live now; it has told its coordinate or not. */
void pns_live(struct ov *ov, const struct xn_now *now, struct link *link,
              struct xn_out *out);
/* Its round trip was measured by a PING. */
void pns_measured(struct ov *ov, const struct xn_now *now, struct link *link,
                  struct xn_out *out);
/* Ours, in *out. */
Xn__Coordinate *pns_say(const struct ov *ov, Xn__Coordinate *out);
/* PEERS with a coordinate; whom it names has become hints.  `from` as in it;
 * NULL: none. */
void pns_peers(struct ov *ov, const struct xn_now *now, struct link *link,
               const Xn__Peers *body, const xn_id *from, struct xn_out *out);
/* Who should be nearer than those that we are linked to in its place; NULL. */
struct hint *pns_pick(struct ov *ov);
void pns_clear(struct ov *ov);

/* ---- watch.c */

void watch_start(struct ov *ov, const struct xn_now *now, struct xn_out *out);
void watch_probe(struct ov *ov, const struct xn_now *now, struct link *link,
                 bool hearsay, struct xn_out *out);
void watch_heard(struct ov *ov, const struct xn_now *now, struct link *link);
void watch_pong(struct ov *ov, const struct xn_now *now, struct link *link,
                uint64_t nonce, struct xn_out *out);
/* SUSPECT: that peer should look at this node. */
void watch_tell(xn_peer peer, const xn_id *id, struct xn_out *out);
void watch_suspect(struct ov *ov, const struct xn_now *now, struct link *link,
                   const Xn__Suspect *body, struct xn_out *out);
/* A link has come: of whom we told the others before it did. */
void watch_live(const struct ov *ov, const struct xn_now *now,
                const struct link *link, struct xn_out *out);
/* The round trip as far as we know it, for choosing; 0: not at all. */
uint32_t watch_near(const struct link *link);
/* By when an answer of this node should have come; link NULL: it stands. */
uint32_t watch_late(uint32_t near_us, const struct link *link);
/* A dial of it failed. */
void watch_missed(struct ov *ov, const struct xn_now *now,
                  const struct hint *hint, struct xn_out *out);
void watch_rtt(struct ov *ov, struct link *link, uint64_t sample_us);
/* The same of an answer that was not held: less than that is not believed. */
void watch_direct(struct ov *ov, struct link *link, uint64_t sample_us);
uint64_t watch_rto(const struct link *link);

/* ---- ov.c */

void ov_enter(struct ov *ov);
void ov_exit(struct ov *ov, const struct xn_now *now, struct xn_out *out);
void ov_begun(struct ov *ov, const struct xn_now *now);
void ov_changed(struct ov *ov, xn_peer peer, bool joined, struct xn_out *out);
/* xn_out_send that takes a body too large for an error of the sender's, not of
 * the step.  0 or XN_ETOOBIG, XN_ENOMEM. */
int ov_send(struct xn_out *out, xn_peer peer, unsigned kind, const void *body);

#endif
