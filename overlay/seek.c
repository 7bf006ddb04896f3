/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A search of our own for the nodes nearest to a key, past malicious ones
 * (Castro et al., OSDI 2002).
 *
 * A request that is sent on is in the hands of every hop.  So whoever wants to
 * be sure asks by itself: some of its links, those nearest to the key, tell who
 * is nearest that they know (NEAR); whom they name is met over a link of our own
 * (visit.c), so that its certificate shows that it exists and where it stands;
 * the nearest so met are asked the same, until none is nearer.  One honest
 * answer from beside the key is enough: lies add claims, they remove none.
 * Where all answers may have been lies, as the routing failure test tells
 * (doubt.h), more links are asked, in two steps.
 *
 * The question itself then goes to each of those found.  What was found is kept
 * for a moment for whoever asks another copy of the same key. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "overlay/claims.h"
#include "overlay/doubt.h"
#include "overlay/inside.h"

#define SEEK_US (6 * SECOND_US)   /* at most */
#define NEAR_US SECOND_US         /* for an answer */
#define KEPT_US (3 * SECOND_US)   /* less than a visit lasts unused */
#define VISIT_LATE_US SECOND_US   /* for a dial; others are dialled then */
#define GATHER_US (SECOND_US / 2) /* for answers, before the first dial */
#define STARTS 8U                 /* links asked first, */
#define ROUNDS 3U                 /* and as many, and twice as many more */
#define WAITERS_MAX 16U

struct seek {
    struct ov *ov;
    struct claims claims;
    size_t want;
    unsigned round, asked; /* NEARs not answered yet */
    bool over, busy;
    int rc;
    uint64_t timer, deadline_us;
    uint64_t begun_us, late_us;    /* when dials are late that are under way */
    uint64_t waiters[WAITERS_MAX]; /* questions, and the copy of each */
    uint32_t copies[WAITERS_MAX];
    size_t n_waiters;
    struct seek *prev, *next;
};

struct near { /* a NEAR under way; its search may be gone */
    struct ov *ov;
    struct seek *seek;
    xn_id id;
    struct near *prev, *next;
};

static void go_on(struct seek *seek, const struct xn_now *now,
                  struct xn_out *out);

/* ---- what is asked of us ---- */

void seek_near(struct ov *ov, const struct xn_now *now,
               const struct ov_request *request, struct xn_out *out)
{
    Xn__Contact rows[NEAR_MAX], *near[NEAR_MAX];
    Xn__NearDone done = XN__NEAR_DONE__INIT;
    struct walk walk;
    xn_id key;
    size_t at;
    int rc = xn_id_from_bytes(&XN_BODY(request->msg, Xn__Near)->key, &key);

    if (!rc) walk_start(&walk, ov, &key);
    while (!rc && done.n_near < NEAR_MAX && walk_next(&walk, &at)) {
        if (at == RING_SELF || ring_peer(ov, at) == request->from) continue;
        if (ov->ring.routes[at].silent) continue;
        if (!contact_at(ov, at, &rows[done.n_near])) continue;
        near[done.n_near] = &rows[done.n_near];
        done.n_near++;
    }
    done.near = near;
    ov_answer(ov, now, request->token, rc ? XN_EINVAL : 0, XN__KIND__NEAR_DONE,
              rc ? NULL : &done, out);
}

/* ---- the end ---- */

static void seek_free(struct seek *seek)
{
    struct ov *ov = seek->ov;
    struct near *near;

    DL_FOREACH(ov->nears, near)
    {
        if (near->seek == seek) near->seek = NULL;
    }
    if (seek->timer) xn_ticket_forget(ov->tickets, seek->timer);
    DL_DELETE(ov->seeks, seek);
    ov->n_seeks--;
    claims_clear(&seek->claims);
    free(seek);
}

/* Who may own something.  Whoever accepts no links does not, whatever others say
 * of it. */
static struct link *link_of_owner(struct ov *ov, const xn_id *id)
{
    struct link *link = link_need_id(ov, id);

    return link && link->state == LINK_LIVE && !link->nowhere ? link : NULL;
}

static struct link *met_link(const struct seek *seek, uint32_t copy)
{
    size_t i = claims_met(&seek->claims, copy);

    return i == CLAIM_NONE ? NULL
                           : link_of_owner(seek->ov, &seek->claims.v[i].id);
}

static void send_one(struct seek *seek, const struct xn_now *now,
                     uint64_t number, uint32_t copy, struct xn_out *out)
{
    struct link *link = met_link(seek, copy);

    route_sought(seek->ov, now, number, link, link ? 0 : XN_EUNREACH, out);
}

static void seek_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out);

static void set_timer(struct seek *seek, uint64_t due_us, struct xn_out *out)
{
    struct ov *ov = seek->ov;

    if (due_us > seek->deadline_us) due_us = seek->deadline_us;
    if (seek->timer && xn_ticket_postpone(ov->tickets, seek->timer, due_us))
        return;
    seek->timer = xn_ticket(ov->tickets, due_us, seek_due, ov, seek, out);
}

static void finish(struct seek *seek, const struct xn_now *now,
                   struct xn_out *out)
{
    size_t i;

    seek->over = true;
    seek->deadline_us = now->mono_us + KEPT_US;
    set_timer(seek, seek->deadline_us, out);
    for (i = 0; i < seek->n_waiters; i++)
        send_one(seek, now, seek->waiters[i], seek->copies[i], out);
    seek->n_waiters = 0;
}

/* Some time has gone by: what was dialled at the last look is late. */
static void look_again(struct seek *seek, const struct xn_now *now,
                       struct xn_out *out)
{
    size_t i;

    set_timer(seek, now->mono_us + VISIT_LATE_US, out);
    if (now->mono_us >= seek->late_us) {
        for (i = 0; i < seek->claims.n; i++) {
            struct claim *claim = &seek->claims.v[i];

            claim->looks += claim->state == CLAIM_DIALLED;
        }
        seek->late_us = now->mono_us + VISIT_LATE_US;
    }
    go_on(seek, now, out);
}

static void seek_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct seek *seek = ctx;

    (void)rc, (void)msg;
    ov_enter(ov);
    seek->timer = 0;
    if (seek->over)
        seek_free(seek);
    else if (now->mono_us >= seek->deadline_us)
        finish(seek, now, out);
    else
        look_again(seek, now, out);
    ov_exit(ov, now, out);
}

/* ---- asking ---- */

/* Answers that are not what they should be are none. */
static bool near_is_good(const struct xn_msg *msg)
{
    const Xn__NearDone *done;
    size_t i;

    if (msg->kind != XN__KIND__NEAR_DONE) return false;
    done = XN_BODY(msg, Xn__NearDone);
    if (done->n_near > NEAR_MAX) return false;
    for (i = 0; i < done->n_near; i++) {
        const Xn__Contact *contact = done->near[i];

        if (contact->id.len != XN_ID_SIZE ||
            contact->position.len != XN_ID_SIZE ||
            !address_is_good(contact->address))
            return false;
    }
    return true;
}

static bool take_claims(struct seek *seek, const Xn__NearDone *done)
{
    struct ov *ov = seek->ov;
    unsigned source = claims_source(&seek->claims);
    size_t i;

    if (source == SOURCES_MAX) return true;
    for (i = 0; i < done->n_near && i < CLAIMS_OF_ONE; i++) {
        const Xn__Contact *contact = done->near[i];
        xn_id id, position;

        xn_id_from_bytes(&contact->id, &id);
        xn_id_from_bytes(&contact->position, &position);
        if (xn_id_eq(&id, &ov->config.id) ||
            !strcmp(contact->address, ov->config.address))
            continue;
        if (!claims_say(&seek->claims, source, &id, &position,
                        contact->address))
            return false;
    }
    return true;
}

static void near_told(void *user, void *ctx, const struct xn_now *now,
                      const struct ov_reply *reply, struct xn_out *out)
{
    struct near *near = ctx;
    struct ov *ov = near->ov;
    struct seek *seek = near->seek;
    bool good = reply->rc == 0 && near_is_good(reply->msg);
    size_t i;

    (void)user;
    DL_DELETE(ov->nears, near);
    if (seek) {
        seek->asked--;
        i = claims_find(&seek->claims, &near->id, CLAIM_ASKED);
        if (i != CLAIM_NONE)
            seek->claims.v[i].state = good ? CLAIM_TOLD : CLAIM_MUTE;
        if (good && !seek->over &&
            !take_claims(seek, XN_BODY(reply->msg, Xn__NearDone)))
            out->rc = XN_ENOMEM;
    }
    free(near);
    if (seek) go_on(seek, now, out);
}

static void ask_near(struct seek *seek, const struct xn_now *now, size_t i,
                     struct xn_out *out)
{
    struct ov *ov = seek->ov;
    struct claim *claim = &seek->claims.v[i];
    const struct link *link = link_of_owner(ov, &claim->id);
    struct near *near;
    Xn__Near body = XN__NEAR__INIT;

    claim->state = CLAIM_MUTE;
    if (!link || !(link->features & OV_FEATURE_NEAR)) return;
    near = calloc(1, sizeof *near);
    if (!near) {
        out->rc = XN_ENOMEM;
        return;
    }
    *near = (struct near){.ov = ov, .seek = seek, .id = claim->id};
    DL_APPEND(ov->nears, near);
    claim->state = CLAIM_ASKED;
    seek->asked++;
    body.key = xn_id_bytes(&seek->claims.key);
    ov_ask_peer(ov, now, link->peer, XN__KIND__NEAR, &body,
                now->mono_us + NEAR_US, near_told, near, out);
}

/* Some more of our links, those nearest to the key that were not asked yet. */
static bool start_more(struct seek *seek, unsigned more, struct xn_out *out)
{
    struct ov *ov = seek->ov;
    struct walk walk;
    bool any = false;
    size_t at;

    walk_start(&walk, ov, &seek->claims.key);
    while (more > 0 && walk_next(&walk, &at)) {
        const struct xn_contact *contact;
        Xn__Contact row;
        size_t i;

        if (at == RING_SELF || ov->ring.routes[at].silent) continue;
        contact = ring_contact(ov, at);
        i = claims_prove(&seek->claims, &contact->id, &contact->position,
                         contact_at(ov, at, &row) ? row.address : NULL);
        if (i == CLAIM_NONE) {
            out->rc = XN_ENOMEM;
            break;
        }
        if (seek->claims.v[i].is_start) continue;
        seek->claims.v[i].is_start = true;
        any = true;
        more--;
    }
    return any;
}

/* ---- on and on ---- */

static void prove(struct seek *seek, const struct link *link,
                  struct xn_out *out)
{
    const struct xn_contact *contact = link_contact(seek->ov, link);

    if (claims_prove(&seek->claims, &contact->id, &contact->position,
                     link_address(seek->ov, link)) == CLAIM_NONE)
        out->rc = XN_ENOMEM;
}

static void meet(struct seek *seek, const struct xn_now *now, size_t i,
                 struct xn_out *out)
{
    struct claim *claim = &seek->claims.v[i];
    const struct link *link = link_need_id(seek->ov, &claim->id);

    if (link && link->state == LINK_LIVE && link->nowhere) {
        claim->state = CLAIM_FAILED; /* who said it may have known it before */
    } else if (link && link->state == LINK_LIVE) {
        prove(seek, link, out);
    } else if (visit_dial(seek->ov, now, &claim->id, claim->address, out)) {
        claim->state = CLAIM_FAILED; /* no room: nobody's fault */
    } else {
        claim->state = CLAIM_DIALLED;
    }
}

/* A link that others opened is theirs to close, and so may be gone: who was met
 * over such a one is dialled, once.  true: somebody is to be met. */
static bool meet_again(struct seek *seek, const struct xn_now *now,
                       struct xn_out *out)
{
    bool any = false;
    size_t rank, i;

    for (rank = 0; rank < seek->want && !out->rc; rank++) {
        struct claim *claim;

        i = claims_met(&seek->claims, rank);
        if (i == CLAIM_NONE) break;
        claim = &seek->claims.v[i];
        if (claim->again || !claim->address[0] ||
            met_link(seek, (uint32_t)rank))
            continue;
        claim->again = true;
        meet(seek, now, i, out);
        any = true;
    }
    return any;
}

/* Dialling pays once those asked have told, or agree. */
static bool is_ready(const struct seek *seek, const struct xn_now *now)
{
    return seek->asked == 0 || now->mono_us >= seek->begun_us + GATHER_US ||
           claims_agree(&seek->claims, seek->want);
}

/* Does what can be done now; is anything under way that may tell more? */
static bool work(struct seek *seek, const struct xn_now *now,
                 struct xn_out *out)
{
    struct claims *claims = &seek->claims;
    bool waits = false;
    size_t i;

    while (!out->rc && is_ready(seek, now) &&
           (i = claims_next(claims, seek->want)) != CLAIM_NONE)
        meet(seek, now, i, out);
    for (i = 0; i < claims->n && !out->rc; i++) {
        bool counts = claims_counts(claims, i, seek->want);

        if (claims->v[i].state == CLAIM_PROVED &&
            (counts || claims->v[i].is_start))
            ask_near(seek, now, i, out);
        waits |= counts && claims->v[i].state == CLAIM_DIALLED;
    }
    return waits || seek->asked > 0;
}

static bool in_doubt(const struct seek *seek)
{
    const struct ov *ov = seek->ov;
    size_t last = claims_met(&seek->claims, seek->want - 1);
    uint64_t spacing = ring_reach(ov) / ov->config.leaves;

    /* A guest's few links do not tell how dense nodes are. */
    if (last == CLAIM_NONE || ov_is_guest(ov)) return true;
    return doubt_fires(
        spacing, table_apart(&seek->claims.key, &seek->claims.v[last].position),
        seek->want, seek->round <= 1);
}

static void go_on(struct seek *seek, const struct xn_now *now,
                  struct xn_out *out)
{
    if (seek->over || seek->busy) return;
    seek->busy = true;
    while (!work(seek, now, out)) {
        if (meet_again(seek, now, out)) continue;
        if (seek->round < ROUNDS && in_doubt(seek)) {
            unsigned more = seek->round < 2 ? STARTS : 2 * STARTS;

            seek->round++;
            if (seek->round == 2) seek->ov->stats.seeks_doubted++;
            if (start_more(seek, more, out)) continue;
        }
        finish(seek, now, out);
        break;
    }
    seek->busy = false;
}

static void tell_all(struct ov *ov, const struct xn_now *now, const xn_id *id,
                     const char *missed_at, struct xn_out *out)
{
    const struct link *link = missed_at ? NULL : link_need_id(ov, id);
    struct seek *seek, *after;

    DL_FOREACH_SAFE(ov->seeks, seek, after)
    {
        bool any = false;
        size_t i;

        if (seek->over) continue;
        for (i = 0; i < seek->claims.n; i++) {
            const struct claim *claim = &seek->claims.v[i];

            if (claim->state != CLAIM_DIALLED || !xn_id_eq(&claim->id, id))
                continue;
            any = true;
            if (!missed_at) break;
            if (!strcmp(claim->address, missed_at))
                claims_fail(&seek->claims, i);
        }
        if (any && link && !link->nowhere) prove(seek, link, out);
        if (any) go_on(seek, now, out);
    }
}

void seek_met(struct ov *ov, const struct xn_now *now, const xn_id *id,
              struct xn_out *out)
{
    tell_all(ov, now, id, NULL, out);
}

void seek_missed(struct ov *ov, const struct xn_now *now, const xn_id *id,
                 const char *address, struct xn_out *out)
{
    tell_all(ov, now, id, address, out);
}

/* ---- the beginning ---- */

static struct seek *seek_find(const struct ov *ov, const xn_id *key,
                              uint32_t copy)
{
    struct seek *seek;

    DL_FOREACH(ov->seeks, seek)
    {
        if (!xn_id_eq(&seek->claims.key, key) || copy >= seek->want) continue;
        if (!seek->over || met_link(seek, copy)) return seek;
    }
    return NULL;
}

static struct seek *seek_new(struct ov *ov, const struct xn_now *now,
                             const xn_id *key, uint32_t copy,
                             uint64_t deadline_us, struct xn_out *out)
{
    struct seek *seek = calloc(1, sizeof *seek);
    uint64_t left_us = deadline_us - now->mono_us;

    if (!seek) return NULL;
    seek->ov = ov;
    claims_init(&seek->claims, key, ring_reach(ov) / 2 * 3);
    seek->want = copy < ov->config.copies ? ov->config.copies : copy + 1;
    /* The question itself takes time too. */
    left_us -= left_us / 4;
    seek->deadline_us = now->mono_us + (left_us < SEEK_US ? left_us : SEEK_US);
    seek->begun_us = now->mono_us;
    seek->late_us = now->mono_us + VISIT_LATE_US;
    set_timer(seek, now->mono_us + GATHER_US, out);
    DL_APPEND(ov->seeks, seek);
    ov->n_seeks++;
    ov->stats.seeks++;
    seek->round = 1;
    start_more(seek, STARTS, out);
    return seek;
}

int seek_join(struct ov *ov, const struct xn_now *now, const xn_id *key,
              uint32_t copy, uint64_t number, uint64_t deadline_us,
              struct xn_out *out)
{
    struct seek *seek = seek_find(ov, key, copy);

    if (deadline_us <= now->mono_us) return XN_ETIMEOUT;
    if (!seek && ov->n_seeks >= SEEKS_MAX) return XN_EBUSY;
    if (!seek) seek = seek_new(ov, now, key, copy, deadline_us, out);
    if (!seek) return XN_ENOMEM;
    if (seek->over) {
        send_one(seek, now, number, copy, out);
        return 0;
    }
    if (seek->n_waiters == WAITERS_MAX) return XN_EBUSY;
    seek->waiters[seek->n_waiters] = number;
    seek->copies[seek->n_waiters++] = copy;
    go_on(seek, now, out);
    return 0;
}

void seek_clear(struct ov *ov)
{
    struct near *near, *near_after;
    struct seek *seek, *seek_after;

    DL_FOREACH_SAFE(ov->seeks, seek, seek_after) seek_free(seek);
    DL_FOREACH_SAFE(ov->nears, near, near_after) free(near);
}

bool seek_check(const struct ov *ov)
{
    const struct seek *seek;
    const struct near *near;
    unsigned n = 0, asked = 0, nears = 0;

    DL_FOREACH(ov->seeks, seek)
    {
        n++;
        asked += seek->asked;
        if (!seek->timer && ov->depth == 0) return false;
    }
    DL_FOREACH(ov->nears, near) nears += near->seek != NULL;
    return n == ov->n_seeks && n <= SEEKS_MAX && asked == nears;
}
