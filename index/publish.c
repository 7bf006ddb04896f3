/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Publishing: an ad that came to us from its server is stored here and put at
 * all its places, and while its lease lasts it is put again wherever a place
 * changes hands. Nobody else watches over it; the server's agent notices when
 * we are gone.
 *
 * A holder that says "stale" is believed only together with others: a single
 * liar must not end an ad. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"

#define OPS_MAX 1024
#define OLD_MAX 512   /* tokens of one ad's old places */
#define STEP_MAX 200  /* ads placed anew in one step */
#define STEP_US 10000 /* between such steps */
#define BACKOFF_MAX 5 /* doublings of a second */

/* A publish under way: its ads, and what became of each. */
struct xis_op {
    struct xis_op *prev, *next;
    struct xis *xis;
    uint64_t number, ask, timer;
    struct op_ad {
        xn_id server;
        int rc;
        uint64_t version;
        bool open;
    } * ads;
    size_t n, n_open;
    char **old;
    size_t n_old;
};

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
static void add_old(struct xis *xis, struct xis_pub *pub, const char *name)
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
        add_old(xis, pub, pub->ad->tokens[i]->name);
}

void xis_pub_changed(struct xis *xis, struct xis_ad *ad)
{
    (void)xis;
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

/* Queues what is due now; a flush sends it. */
static void send_due(struct xis *xis, const struct xn_now *now,
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

static void flush_all(struct xis *xis, const struct xn_now *now,
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

/* ---- the end of a publish */

static struct xis_op *op_find(const struct xis *xis, uint64_t number)
{
    struct xis_op *op;

    DL_SEARCH_SCALAR(xis->ops, op, number, number);
    return op;
}

static void op_free(struct xis_op *op)
{
    size_t i;

    for (i = 0; i < op->n_old; i++)
        free(op->old[i]);
    free(op->old);
    free(op->ads);
    free(op);
}

/* Marks the places that hold the ad, and counts for each of its tokens how
 * many of the nodes that should hold it do. */
static uint32_t copies_of(struct xis *xis, const struct xn_now *now,
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
static int places_rc(const struct xis_pub *pub)
{
    size_t i, stale = 0, good = 0;

    for (i = 0; i < pub->n_places; i++) {
        const struct xis_place *at = &pub->places[i];

        if (at->state == XIS_DONE && at->rc == 0) good++;
        if (at->answered && at->rc == XN_ESTALE) stale++;
    }
    return stale > good ? XN_ESTALE : 0;
}

static void add_names(struct xn_buf *names, size_t *n,
                      const struct xis_pub *pub)
{
    uint32_t i;

    for (i = 0; i < pub->ad->n_tokens; i++) {
        const char *name = pub->ad->tokens[i]->name;

        xn_buf_add(names, &name, sizeof name);
        (*n)++;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t unique(char **names, size_t n)
{
    size_t i, kept = 0;

    qsort(names, n, sizeof *names, by_name);
    for (i = 0; i < n; i++) {
        if (kept && strcmp(names[kept - 1], names[i]) == 0) continue;
        names[kept++] = names[i];
    }
    return kept;
}

static void op_answer(struct xis_op *op, const struct xn_now *now,
                      struct xn_out *out)
{
    Xn__Published body = XN__PUBLISHED__INIT;
    Xn__PutResult *rows = calloc(op->n, sizeof *rows);
    Xn__PutResult **list = calloc(op->n, sizeof *list);
    struct xn_buf names;
    size_t i, n = 0;
    uint32_t least = UINT32_MAX;

    xn_buf_init(&names, 0);
    for (i = 0; rows && list && i < op->n; i++) {
        struct op_ad *a = &op->ads[i];
        const struct xis_ad *ad = xis_ad_find(op->xis, &a->server);

        if (a->rc == 0 && ad && ad->pub) {
            uint32_t count = copies_of(op->xis, now, ad->pub);

            if (count < least) least = count;
            a->rc = places_rc(ad->pub);
            if (a->rc) a->version = ad->pub->stale_version;
            add_names(&names, &n, ad->pub);
        }
        xn__put_result__init(&rows[i]);
        rows[i].server = xn_id_bytes(&a->server);
        rows[i].rc = a->rc;
        rows[i].version = a->version;
        list[i] = &rows[i];
    }
    if (!rows || !list || xn_buf_rc(&names)) {
        out->rc = XN_ENOMEM;
    } else {
        body.results = list;
        body.n_results = op->n;
        body.tokens = (char **)(void *)names.data;
        body.n_tokens = n ? unique(body.tokens, n) : 0;
        body.copies_least = least == UINT32_MAX ? 0 : least;
        xn_out_answer(out, op->ask, 200, &body);
    }
    xn_buf_clear(&names);
    free(rows);
    free(list);
}

static bool all_done(const struct xis_pub *pub)
{
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        if (pub->places[i].state != XIS_DONE) return false;
    }
    return true;
}

/* Told everybody: old places are history, and so is a withdrawal. */
static void tidy(struct xis *xis, struct xis_pub *pub)
{
    if (pub->op || !all_done(pub)) return;
    drop_old(xis, pub);
    if (pub->ad->withdrawn) xis_pub_forget(xis, pub);
}

static void op_end(struct xis_op *op, const struct xn_now *now,
                   struct xn_out *out)
{
    struct xis *xis = op->xis;
    size_t i;

    op_answer(op, now, out);
    for (i = 0; i < op->n; i++) {
        const struct xis_ad *ad = xis_ad_find(xis, &op->ads[i].server);

        if (!ad || !ad->pub || ad->pub->op != op) continue;
        ad->pub->op = NULL;
        tidy(xis, ad->pub);
    }
    if (op->timer) xn_ticket_forget(xis->tickets, op->timer);
    DL_DELETE(xis->ops, op);
    xis->n_ops--;
    op_free(op);
}

static void op_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct xis_op *op = ctx;

    (void)owner, (void)rc, (void)msg;
    op->timer = 0;
    op_end(op, now, out);
}

static void op_part(struct xis_op *op, size_t at, const struct xn_now *now,
                    struct xn_out *out)
{
    if (!op->ads[at].open) return;
    op->ads[at].open = false;
    if (--op->n_open == 0) op_end(op, now, out);
}

/* Has every place said something since the ad was published? */
static void look_done(struct xis_pub *pub, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_op *op = pub->op;
    size_t i;

    for (i = 0; i < pub->n_places; i++) {
        const struct xis_place *at = &pub->places[i];

        if (!at->answered && !at->dest->dead) return;
    }
    if (op) op_part(op, pub->op_at, now, out);
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
        /* Out of sight: say it again from time to time. */
        at->next_us = now->mono_us + xis->config.sync_us;
        xis->retry = true;
        set_timer(xis, now->mono_us + XIS_RETRY_US, out);
    }
    tidy(xis, pub);
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
        if (ad->pub) look_done(pub, now, out);
        return;
    }
    if (rc == 0 || (rc == XN_ENOENT && at->known)) {
        /* Another version or lease by now, or the document is wanted too. */
        at->known = rc == 0 && ad->version == version;
        at->state = XIS_DUE;
        at->next_us = 0;
        send_due(xis, now, pub, out);
        return;
    }
    at->answered = true;
    if (rc == XN_ESTALE) {
        at->state = XIS_DONE;
        if (version > pub->stale_version) pub->stale_version = version;
    } else {
        retry_later(xis, now, at, out);
    }
    look_done(pub, now, out);
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
        send_due(xis, now, pub, out);
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
        send_due(xis, now, pub, out);
        look_done(pub, now, out);
    }
    if (xis->pubs && xis->pubs->view != xis->view) {
        flush_all(xis, now, out);
        set_timer(xis, now->mono_us + STEP_US, out);
        return;
    }
    if (xis->retry) retry_all(xis, now, out);
    flush_all(xis, now, out);
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

/* ---- publish */

void xis_pub_forget(struct xis *xis, struct xis_pub *pub)
{
    if (pub->ad) pub->ad->pub = NULL;
    drop_places(xis, pub);
    drop_old(xis, pub);
    DL_DELETE(xis->pubs, pub);
    free(pub);
}

void xis_pubs_clear(struct xis *xis)
{
    struct xis_op *op, *next;

    while (xis->pubs)
        xis_pub_forget(xis, xis->pubs);
    DL_FOREACH_SAFE(xis->ops, op, next)
    {
        DL_DELETE(xis->ops, op);
        op_free(op);
    }
}

static struct xis_pub *pub_of(struct xis *xis, struct xis_ad *ad)
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

/* Stored here: now everywhere else. */
static int publish_ad(struct xis_op *op, const struct xn_now *now, size_t at,
                      struct xn_out *out)
{
    struct xis *xis = op->xis;
    struct xis_ad *ad = xis_ad_find(xis, &op->ads[at].server);
    struct xis_pub *pub = ad ? pub_of(xis, ad) : NULL;
    size_t i;
    int rc;

    if (!pub) return ad ? XN_ENOMEM : XN_EEXPIRED;
    for (i = 0; i < op->n_old; i++)
        add_old(xis, pub, op->old[i]);
    if (pub->op) {
        struct xis_op *other = pub->op;

        pub->op = NULL;
        op_part(other, pub->op_at, now, out);
    }
    rc = place(xis, now, pub, false);
    if (rc) return rc;
    DL_DELETE(xis->pubs, pub); /* those of an older view stay in front */
    DL_APPEND(xis->pubs, pub);
    for (i = 0; i < pub->n_places; i++) {
        struct xis_place *place = &pub->places[i];

        place->answered = false;
        if (pub->version != ad->version) place->known = false;
        place->next_us = 0;
        if (place->state == XIS_DONE) place->state = XIS_DUE;
    }
    pub->version = ad->version;
    pub->stale_version = 0;
    pub->foreign = false;
    pub->op = op;
    pub->op_at = at;
    return 0;
}

static void publish_checked(struct xis *xis, uint64_t number,
                            const struct xn_now *now,
                            const struct xis_result *results, size_t n,
                            struct xn_out *out)
{
    struct xis_op *op = op_find(xis, number);
    size_t i;

    if (!op) return; /* gave up meanwhile */
    for (i = 0; i < n; i++) {
        op->ads[i].server = results[i].server;
        op->ads[i].version = results[i].version;
        op->ads[i].rc = results[i].rc;
        if (results[i].rc == 0) {
            op->ads[i].rc = publish_ad(op, now, i, out);
        }
    }
    /* From here on parts may end, and with the last the operation. */
    op->n_open++;
    for (i = 0; i < n; i++) {
        struct xis_ad *ad = xis_ad_find(xis, &op->ads[i].server);

        if (op->ads[i].rc || !ad || !ad->pub) {
            op_part(op, i, now, out);
            continue;
        }
        send_due(xis, now, ad->pub, out);
        look_done(ad->pub, now, out);
    }
    flush_all(xis, now, out);
    if (--op->n_open == 0) op_end(op, now, out);
}

static struct xis_op *op_new(struct xis *xis, const struct xn_now *now,
                             uint64_t ticket, const Xn__Publish *publish,
                             struct xn_out *out)
{
    struct xis_op *op = calloc(1, sizeof *op);
    size_t i;

    if (!op) return NULL;
    op->xis = xis;
    op->ads = calloc(publish->n_ads, sizeof *op->ads);
    op->old = calloc(publish->n_old_tokens + 1, sizeof *op->old);
    if (!op->ads || !op->old) goto fail;
    for (i = 0; i < publish->n_old_tokens; i++) {
        op->old[i] = strdup(publish->old_tokens[i]);
        if (!op->old[i]) goto fail;
        op->n_old++;
    }
    op->number = ++xis->op_number;
    op->ask = ticket;
    op->n = op->n_open = publish->n_ads;
    for (i = 0; i < op->n; i++) {
        op->ads[i].open = true;
        op->ads[i].rc = XN_ETIMEOUT;
    }
    op->timer = xn_ticket(xis->tickets, now->mono_us + XIS_PUBLISH_US, op_due,
                          xis, op, out);
    DL_APPEND(xis->ops, op);
    xis->n_ops++;
    return op;
fail:
    op_free(op);
    return NULL;
}

static int publish_check(const struct xis *xis, const Xn__Publish *publish)
{
    size_t i;

    if (!xis->loaded) return XN_ENOTYET;
    if (publish->n_ads == 0) return XN_EINVAL;
    if (publish->n_ads > XIS_PUT_ADS_MAX) return XN_ETOOBIG;
    if (publish->n_old_tokens > OLD_MAX) return XN_ETOOBIG;
    for (i = 0; i < publish->n_old_tokens; i++) {
        const char *name = publish->old_tokens[i];

        if (!xn_token_valid(name, strlen(name))) return XN_EINVAL;
    }
    return xis->n_ops >= OPS_MAX ? XN_EBUSY : 0;
}

void xis_publish(struct xis *xis, const struct xn_now *now, uint64_t ticket,
                 const Xn__Publish *publish, struct xn_out *out)
{
    int rc = publish_check(xis, publish);
    struct xis_op *op = NULL;

    if (rc == 0) {
        op = op_new(xis, now, ticket, publish, out);
        rc = op ? xis_batch_start(xis, now, XN_PEER_SELF, publish->ads,
                                  publish->n_ads, publish_checked, op->number,
                                  out)
                : XN_ENOMEM;
    }
    if (rc == 0) return;
    if (op) {
        if (op->timer) xn_ticket_forget(xis->tickets, op->timer);
        DL_DELETE(xis->ops, op);
        xis->n_ops--;
        op_free(op);
    }
    xn_out_refuse(out, ticket, rc, "cannot publish", xn_strerror(rc),
                  rc == XN_ENOTYET || rc == XN_EBUSY ? "again in a moment"
                                                     : NULL);
}
