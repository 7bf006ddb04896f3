/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One publish, from the ASK to its answer: its ads are stored here like any
 * others, then put at all their places (spread.c), and when each place has said
 * something, or time is up, the asker hears what became of them. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"

#define OPS_MAX 1024
#define OLD_MAX 512 /* tokens of one publish's old places */

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

/* ---- its end */

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
            uint32_t count = xis_pub_copies(op->xis, now, ad->pub);

            if (count < least) least = count;
            a->rc = xis_pub_rc(ad->pub);
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
        xis_pub_tidy(xis, now, ad->pub);
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

void xis_op_part(struct xis_op *op, size_t at, const struct xn_now *now,
                 struct xn_out *out)
{
    if (!op->ads[at].open) return;
    op->ads[at].open = false;
    if (--op->n_open == 0) op_end(op, now, out);
}

/* ---- its course */

/* Stored here: now everywhere else. */
static int publish_ad(struct xis_op *op, const struct xn_now *now, size_t at,
                      struct xn_out *out)
{
    struct xis *xis = op->xis;
    struct xis_ad *ad = xis_ad_find(xis, &op->ads[at].server);
    struct xis_pub *pub = ad ? xis_pub_of(xis, ad) : NULL;
    char shard[XN_TOKEN_SERVER_SIZE];
    size_t i;
    int rc;

    if (!pub) return ad ? XN_ENOMEM : XN_EEXPIRED;
    /* First, for it counts among the old ones, of which not all may fit. */
    xn_token_server(&ad->server, shard);
    if (ad->withdrawn) xis_pub_old(xis, pub, shard);
    for (i = 0; i < op->n_old; i++)
        xis_pub_old(xis, pub, op->old[i]);
    if (pub->op) {
        struct xis_op *other = pub->op;

        pub->op = NULL;
        xis_op_part(other, pub->op_at, now, out);
    }
    rc = xis_pub_begin(xis, now, pub);
    if (rc) return rc;
    pub->op = op;
    pub->op_at = at;
    return 0;
}

void xis_ops_clear(struct xis *xis)
{
    struct xis_op *op, *next;

    DL_FOREACH_SAFE(xis->ops, op, next)
    {
        DL_DELETE(xis->ops, op);
        op_free(op);
    }
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
            xis_op_part(op, i, now, out);
            continue;
        }
        xis_pub_send(xis, now, ad->pub, out);
        xis_pub_look(ad->pub, now, out);
    }
    xis_pubs_flush(xis, now, out);
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
                                                     : "xenoserver doctor");
}
