/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An ad that was published through us is put at all its places, and while its
 * lease lasts it is put again wherever a place changes hands. Nobody else
 * watches over it; the server's agent notices when we are gone.
 *
 * A holder that says "stale" is believed only together with others: a single
 * liar must not end an ad. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"

#define OLD_MAX 512                   /* tokens of one ad's old places */
#define STEP_MAX 200                  /* ads placed anew in one step */
#define STEP_US 10000                 /* between such steps */
#define BACKOFF_MAX 5                 /* doublings of a second */
#define TWICE_US (20 * XIS_SECOND_US) /* until one out of sight hears again */

/* ---- old places */

static void drop_old(struct xis *xis, struct xis_pub *pub)
{
    size_t i;

    for (i = 0; i < pub->n_old; i++)
        xis_token_drop(xis, pub->old[i]);
    free(pub->old);
    pub->old = NULL;
    pub->n_old = 0;
}

/* Without memory a place is forgotten: the old version there ends with its
 * lease. */
void xis_pub_old(struct xis *xis, struct xis_pub *pub, const char *name)
{
    struct xis_token *token, **old;
    size_t i;

    for (i = 0; i < pub->n_old; i++) {
        if (strcmp(pub->old[i]->name, name) == 0) return;
    }
    if (pub->n_old >= OLD_MAX) return;
    token = xis_token_take(xis, name);
    if (!token) return;
    old = realloc(pub->old, (pub->n_old + 1) * sizeof *old);
    if (!old) {
        xis_token_drop(xis, token);
        return;
    }
    pub->old = old;
    pub->old[pub->n_old++] = token;
}

void xis_pub_replaced(struct xis *xis, struct xis_pub *pub)
{
    uint32_t i;

    for (i = 0; i < pub->ad->n_tokens; i++)
        xis_pub_old(xis, pub, pub->ad->tokens[i]->name);
}

void xis_pub_changed(struct xis_ad *ad)
{
    if (ad->pub) ad->pub->foreign = true;
}

/* ---- places */

struct xis_place *xis_pub_place(struct xis_pub *pub,
                                const struct xis_dest *dest)
{
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        if (pub->places[i].dest == dest) return &pub->places[i];
    }
    return NULL;
}

struct placing {
    struct xis *xis;
    struct xis_pub *pub;
    uint64_t stamp;
    struct xis_place *places;
    size_t n, cap;
    bool known; /* guess that new places have the document */
    int rc;
};

/* Takes over a reference. */
static void add_place(struct placing *p, struct xis_dest *dest)
{
    struct xis_place *place;

    if (!dest) {
        p->rc = XN_ENOMEM;
        return;
    }
    if (dest->seen == p->stamp) {
        xis_dest_drop(p->xis, dest);
        return;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct xis_place *v = realloc(p->places, cap * sizeof *v);

        if (!v) {
            p->rc = XN_ENOMEM;
            xis_dest_drop(p->xis, dest);
            return;
        }
        p->places = v;
        p->cap = cap;
    }
    dest->seen = p->stamp;
    place = &p->places[p->n++];
    if (dest->stamp == p->stamp) {
        *place = p->pub->places[dest->slot];
    } else {
        *place = (struct xis_place){.known = p->known};
    }
    place->dest = dest;
}

static void add_token(struct placing *p, const struct xn_now *now,
                      struct xis_token *token)
{
    struct xis *xis = p->xis;
    bool mesh = ov_is_mesh(xis->ov, now);
    uint32_t n[2] = {xis->config.copies_near, xis->config.copies_far}, i;
    int far;

    if (mesh) xis_token_places(xis, token);
    for (far = 0; far < 2; far++) {
        for (i = 0; mesh && i < token->n[far]; i++) {
            if (token->peers[far][i] == XN_PEER_SELF) continue;
            add_place(p, xis_dest_peer(xis, token->peers[far][i]));
        }
        for (i = 0; !mesh && i < n[far]; i++)
            add_place(p, xis_dest_key(xis, &token->key[far], i));
    }
}

static void drop_places(struct xis *xis, struct xis_pub *pub)
{
    size_t i;

    for (i = 0; i < pub->n_places; i++)
        xis_dest_drop(xis, pub->places[i].dest);
    free(pub->places);
    pub->places = NULL;
    pub->n_places = 0;
}

/* Works out the places as the overlay now is; what is known about those that
 * stay is kept. */
static int place(struct xis *xis, const struct xn_now *now, struct xis_pub *pub,
                 bool known)
{
    struct placing p = {
        .xis = xis, .pub = pub, .stamp = ++xis->stamp, .known = known};
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        if (pub->places[i].dest->dead) continue;
        pub->places[i].dest->stamp = p.stamp;
        pub->places[i].dest->slot = i;
    }
    for (i = 0; i < pub->ad->n_tokens; i++)
        add_token(&p, now, pub->ad->tokens[i]);
    for (i = 0; i < pub->n_old; i++)
        add_token(&p, now, pub->old[i]);
    drop_places(xis, pub);
    pub->places = p.places;
    pub->n_places = p.n;
    pub->view = xis->view;
    return p.rc;
}

static void set_timer(struct xis *xis, uint64_t due_us, struct xn_out *out);

void xis_pub_send(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub, struct xn_out *out)
{
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        struct xis_place *at = &pub->places[i];

        if (at->state != XIS_DUE || at->dest->dead) continue;
        if (at->next_us > now->mono_us) {
            xis->retry = true;
            continue;
        }
        if (xis_dest_queue(at->dest, &pub->ad->server)) {
            out->rc = XN_ENOMEM;
            return;
        }
        at->state = XIS_QUEUED;
    }
    if (xis->retry) set_timer(xis, now->mono_us + XIS_RETRY_US, out);
}

void xis_pubs_flush(struct xis *xis, const struct xn_now *now,
                    struct xn_out *out)
{
    struct xis_dest *dest, *next;

    /* `next` is held while its turn has not come: flushing may end others. */
    for (dest = xis->dests; dest; dest = next) {
        dest->refs++;
        xis_dest_flush(xis, now, dest, out);
        next = dest->next;
        xis_dest_drop(xis, dest);
    }
}

/* ---- what the places say */

/* Marks the places that hold the ad, and counts for each of its tokens how
 * many of the nodes that should hold it do. */
uint32_t xis_pub_copies(struct xis *xis, const struct xn_now *now,
                        const struct xis_pub *pub)
{
    bool gone = pub->ad->n_tokens == 0;
    size_t n = gone ? pub->n_old : pub->ad->n_tokens, i, k;
    struct xis_token **tokens = gone ? pub->old : pub->ad->tokens;
    uint32_t least = UINT32_MAX;

    for (i = 0; i < n; i++) {
        struct placing p = {.xis = xis, .stamp = ++xis->stamp};
        uint32_t count = 0, near;
        int far;

        p.pub = (struct xis_pub *)(uintptr_t)pub;
        /* As if the token were the only one: its places, once each. */
        add_token(&p, now, tokens[i]);
        for (k = 0; k < p.n; k++) {
            const struct xis_place *at = xis_pub_place(p.pub, p.places[k].dest);

            if (at && at->state == XIS_DONE && at->rc == 0) count++;
            xis_dest_drop(xis, p.places[k].dest);
        }
        free(p.places);
        for (far = 0, near = 0; ov_is_mesh(xis->ov, now) && far < 2; far++) {
            for (k = 0; k < tokens[i]->n[far]; k++) {
                if (tokens[i]->peers[far][k] == XN_PEER_SELF) near = 1;
            }
        }
        count += near; /* we hold it ourselves */
        if (count < least) least = count;
    }
    return n ? least : 0;
}

/* The verdict of the places; ours alone where there is no other. */
int xis_pub_rc(const struct xis_pub *pub)
{
    size_t i, stale = 0, good = 0;

    for (i = 0; i < pub->n_places; i++) {
        const struct xis_place *at = &pub->places[i];

        if (at->state == XIS_DONE && at->rc == 0) good++;
        if (at->answered && at->rc == XN_ESTALE) stale++;
    }
    return stale > good ? XN_ESTALE : 0;
}

static bool all_done(const struct xis_pub *pub)
{
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        if (pub->places[i].state != XIS_DONE) return false;
    }
    return true;
}

/* Old places are history when everybody has been told; not before the last
 * lease of what they had is over, since some of them may be behind a partition
 * and come into sight when it heals.  A withdrawal has no other places. */
void xis_pub_tidy(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub)
{
    if (pub->op || pub->ad->withdrawn || now->wall_us < pub->old_until_us ||
        !all_done(pub)) {
        return;
    }
    drop_old(xis, pub);
}

/* Has every place said something since the ad was published? */
void xis_pub_look(struct xis_pub *pub, const struct xn_now *now,
                  struct xn_out *out)
{
    struct xis_op *op = pub->op;
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        const struct xis_place *at = &pub->places[i];

        if (!at->answered && !at->dest->dead) return;
    }
    if (op) xis_op_part(op, pub->op_at, now, out);
}

/* ---- answers of places */

static void retry_later(struct xis *xis, const struct xn_now *now,
                        struct xis_place *at, struct xn_out *out)
{
    uint8_t k = at->tries < BACKOFF_MAX ? at->tries : BACKOFF_MAX;

    at->tries++;
    at->state = XIS_DUE;
    at->next_us = now->mono_us + (XIS_RETRY_US << k);
    xis->retry = true;
    set_timer(xis, now->mono_us + XIS_RETRY_US, out);
}

static void place_done(struct xis *xis, const struct xn_now *now,
                       struct xis_pub *pub, struct xis_place *at,
                       struct xn_out *out)
{
    at->tries = 0;
    if (at->dest->where.peer == XN_PEER_NONE) {
        /* Out of sight: say it again from time to time, and the first time
         * soon.  Where the ring has just changed, nodes on the way may not
         * agree yet who the copies are, and one was passed over. */
        uint64_t us = xis->config.sync_us;

        if (!at->told && us > TWICE_US) us = TWICE_US;
        at->told = true;
        at->next_us = now->mono_us + us;
        xis->retry = true;
        set_timer(xis, now->mono_us + XIS_RETRY_US, out);
    }
    xis_pub_tidy(xis, now, pub);
}

void xis_pub_result(struct xis *xis, const struct xn_now *now,
                    struct xis_dest *dest, const xn_id *server,
                    uint64_t version, uint64_t lease_us, int rc,
                    struct xn_out *out)
{
    struct xis_ad *ad = xis_ad_find(xis, server);
    struct xis_pub *pub = ad ? ad->pub : NULL;
    struct xis_place *at = pub ? xis_pub_place(pub, dest) : NULL;
    bool same = at && ad->version == version && ad->lease_us == lease_us;

    if (!at || at->state != XIS_SENT) return;
    at->rc = rc;
    if (rc == 0 && same) {
        at->known = at->answered = true;
        at->state = XIS_DONE;
        place_done(xis, now, pub, at, out);
        if (ad->pub) xis_pub_look(pub, now, out);
        return;
    }
    if (rc == 0 || (rc == XN_ENOENT && at->known)) {
        /* Another version or lease by now, or the document is wanted too. */
        at->known = rc == 0 && ad->version == version;
        at->state = XIS_DUE;
        at->next_us = 0;
        xis_pub_send(xis, now, pub, out);
        return;
    }
    at->answered = true;
    if (rc == XN_ESTALE) {
        at->state = XIS_DONE;
        if (version > pub->stale_version) pub->stale_version = version;
    } else {
        retry_later(xis, now, at, out);
    }
    xis_pub_look(pub, now, out);
}

/* ---- time */

static void retry_all(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_pub *pub;
    size_t i;

    xis->retry = false;
    DL_FOREACH(xis->pubs, pub)
    {
        if (pub->foreign) continue;
        for (i = 0; i < pub->n_places; i++) {
            struct xis_place *at = &pub->places[i];

            if (at->state != XIS_DONE) continue;
            if (at->dest->where.peer != XN_PEER_NONE) continue;
            xis->retry = true;
            if (at->next_us <= now->mono_us) at->state = XIS_DUE;
        }
        xis_pub_send(xis, now, pub, out);
    }
    if (xis->retry) set_timer(xis, now->mono_us + XIS_RETRY_US, out);
}

static void pubs_tick(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_pub *pub;
    size_t n = 0;

    while ((pub = xis->pubs) != NULL && pub->view != xis->view &&
           n++ < STEP_MAX) {
        if (pub->foreign) {
            xis_pub_forget(xis, pub);
            continue;
        }
        DL_DELETE(xis->pubs, pub);
        DL_APPEND(xis->pubs, pub);
        if (place(xis, now, pub, true)) out->rc = XN_ENOMEM;
        xis_pub_send(xis, now, pub, out);
        xis_pub_look(pub, now, out);
    }
    if (xis->pubs && xis->pubs->view != xis->view) {
        xis_pubs_flush(xis, now, out);
        set_timer(xis, now->mono_us + STEP_US, out);
        return;
    }
    if (xis->retry) retry_all(xis, now, out);
    xis_pubs_flush(xis, now, out);
}

static void pub_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis->pub_timer = 0;
    pubs_tick(xis, now, out);
}

static void set_timer(struct xis *xis, uint64_t due_us, struct xn_out *out)
{
    if (xis->pub_timer) {
        if (due_us >= xis->pub_timer_us) return;
        xn_ticket_postpone(xis->tickets, xis->pub_timer, due_us);
    } else {
        xis->pub_timer =
            xn_ticket(xis->tickets, due_us, pub_due, xis, NULL, out);
    }
    xis->pub_timer_us = due_us;
}

void xis_pubs_view_changed(struct xis *xis, const struct xn_now *now,
                           struct xn_out *out)
{
    if (xis->pubs) set_timer(xis, now->mono_us + STEP_US, out);
}

/* ---- begin and end */

void xis_pub_forget(struct xis *xis, struct xis_pub *pub)
{
    if (pub->ad) pub->ad->pub = NULL;
    drop_places(xis, pub);
    drop_old(xis, pub);
    DL_DELETE(xis->pubs, pub);
    free(pub);
}

struct xis_pub *xis_pub_of(struct xis *xis, struct xis_ad *ad)
{
    struct xis_pub *pub = ad->pub;

    if (pub) return pub;
    pub = calloc(1, sizeof *pub);
    if (!pub) return NULL;
    pub->ad = ad;
    ad->pub = pub;
    DL_APPEND(xis->pubs, pub);
    return pub;
}

int xis_pub_begin(struct xis *xis, const struct xn_now *now,
                  struct xis_pub *pub)
{
    size_t i;
    int rc = place(xis, now, pub, false);

    if (rc) return rc;
    DL_DELETE(xis->pubs, pub); /* those of an older view stay in front */
    DL_APPEND(xis->pubs, pub);
    for (i = 0; i < pub->n_places; i++) {
        struct xis_place *at = &pub->places[i];

        at->answered = at->told = false;
        if (pub->version != pub->ad->version) at->known = false;
        at->next_us = 0;
        if (at->state == XIS_DONE) at->state = XIS_DUE;
    }
    if (pub->version != pub->ad->version) {
        pub->old_until_us = now->wall_us + xis->config.lease_us_max;
    }
    pub->version = pub->ad->version;
    pub->stale_version = 0;
    pub->foreign = false;
    return 0;
}

void xis_pubs_clear(struct xis *xis)
{
    while (xis->pubs)
        xis_pub_forget(xis, xis->pubs);
}
