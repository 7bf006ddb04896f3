/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who holds what, and about what we may say "none".
 *
 * Near copies of a token are the nodes nearest to its key, far ones those
 * nearest to its salted key. We may speak about a token of which we are a
 * copy if
 *   - we have exchanged with all our neighbours since the last loss, or
 *   - we were a copy already the last time when that was so;
 * and if some copy of before the last loss is still alive: else nobody could
 * have handed it to us, and publishers get a time of grace to put again.
 * That a node nearer to the key than us lies between us and its mirror image
 * beyond the key is why neighbours are enough to know our rank. */
#include <stdlib.h>

#include "index/inside.h"
#include "lib/err.h"

static uint32_t copies(const struct xis *xis, int far)
{
    uint32_t n = far ? xis->config.copies_far : xis->config.copies_near;

    return n < OV_COPIES_MAX ? n : OV_COPIES_MAX;
}

void xis_token_places(struct xis *xis, struct xis_token *token)
{
    int far;
    uint32_t i;

    if (token->view == xis->view) return;
    token->view = xis->view;
    token->held = false;
    for (far = 0; far < 2; far++) {
        token->n[far] = (uint32_t)ov_nearest(
            xis->ov, &token->key[far], copies(xis, far), token->peers[far]);
        for (i = 0; i < token->n[far]; i++) {
            if (token->peers[far][i] == XN_PEER_SELF) token->held = true;
        }
    }
}

bool xis_token_held(struct xis *xis, struct xis_token *token)
{
    xis_token_places(xis, token);
    return token->held;
}

bool xis_token_has_peer(struct xis *xis, struct xis_token *token, xn_peer peer)
{
    int far;
    uint32_t i;

    xis_token_places(xis, token);
    for (far = 0; far < 2; far++) {
        for (i = 0; i < token->n[far]; i++) {
            if (token->peers[far][i] == peer) return true;
        }
    }
    return false;
}

static bool key_held(const struct xis *xis, const xn_id *key, int far)
{
    xn_peer peers[OV_COPIES_MAX];
    size_t n = ov_nearest(xis->ov, key, copies(xis, far), peers), i;

    for (i = 0; i < n; i++) {
        if (peers[i] == XN_PEER_SELF) return true;
    }
    return false;
}

bool xis_name_held(struct xis *xis, const char *name)
{
    struct xis_token *token = xis_token_find(xis, name);
    xn_id key;

    if (token) return xis_token_held(xis, token);
    xn_token_key(name, NULL, 0, false, &key);
    if (key_held(xis, &key, 0)) return true;
    xn_token_key(name, NULL, 0, true, &key);
    return key_held(xis, &key, 1);
}

/* ---- views */

static xn_id position_in(const struct xis_view *view, size_t at)
{
    xn_id position = {{0}};
    size_t i;

    for (i = 0; i < 8; i++)
        position.b[i] = (uint8_t)(view->heads[at] >> (56 - 8 * i));
    return position;
}

static uint64_t head_of_peer(const struct xis *xis, xn_peer peer)
{
    return xn_id_head(&ov_contact(xis->ov, peer)->position);
}

static bool is_now(const struct xis *xis, const struct xis_view *view,
                   const xn_peer *peers, size_t n)
{
    size_t i;

    if (!view || view->n != n) return false;
    for (i = 0; i < n; i++) {
        if (view->heads[i] != head_of_peer(xis, peers[i])) return false;
    }
    return true;
}

void xis_view_set(struct xis_view **view, struct xis_view *of)
{
    if (of) of->refs++;
    if (*view && --(*view)->refs == 0) free(*view);
    *view = of;
}

void xis_view_take(const struct xis *xis, struct xis_view **view,
                   struct xn_out *out)
{
    xn_peer peers[XIS_VIEW_MAX];
    size_t n = ov_beside(xis->ov, XIS_VIEW_SIDE, peers), i;
    struct xis_view *new;

    if (is_now(xis, xis->leaves, peers, n)) {
        xis_view_set(view, xis->leaves);
        return;
    }
    if (is_now(xis, xis->settled, peers, n)) {
        xis_view_set(view, xis->settled);
        return;
    }
    new = malloc(sizeof *new + n * sizeof new->heads[0]);
    if (!new) {
        out->rc = XN_ENOMEM;
        return;
    }
    new->refs = 0;
    new->n = (unsigned)n;
    for (i = 0; i < n; i++)
        new->heads[i] = head_of_peer(xis, peers[i]);
    xis_view_set(view, new);
}

static bool is_there(const struct xis *xis, const xn_id *position)
{
    xn_peer peer;

    if (ov_nearest(xis->ov, position, 1, &peer) != 1) return false;
    return peer != XN_PEER_SELF &&
           head_of_peer(xis, peer) == xn_id_head(position);
}

bool xis_view_lives(const struct xis *xis, const struct xis_view *view)
{
    size_t i;

    for (i = 0; view && i < view->n; i++) {
        xn_id position = position_in(view, i);

        if (!is_there(xis, &position)) return false;
    }
    return true;
}

/* How many of them are nearer to the key than that position? */
static size_t count_nearer(const struct xis_view *view, const xn_id *key,
                           const xn_id *than)
{
    size_t i, n = 0;

    for (i = 0; view && i < view->n; i++) {
        xn_id position = position_in(view, i);

        n += xn_ring_nearer(key, &position, than);
    }
    return n;
}

/* Were we among the `n` nearest to the key then? */
static bool was_copy(const struct xis *xis, const struct xis_view *view,
                     const xn_id *key, uint32_t n)
{
    return count_nearer(view, key, ov_position(xis->ov)) < n;
}

/* Is any of the `n` that were nearest to the key then still there? */
static bool copy_lives(const struct xis *xis, const struct xis_view *then,
                       const xn_id *key, uint32_t n)
{
    xn_peer peers[XIS_VIEW_MAX];
    size_t n_now = ov_beside(xis->ov, XIS_VIEW_SIDE, peers), i, k;

    for (i = 0; then && i < then->n; i++) {
        xn_id position = position_in(then, i);

        for (k = 0; k < n_now; k++) {
            if (head_of_peer(xis, peers[k]) == then->heads[i]) break;
        }
        if (k == n_now) continue;
        if (count_nearer(then, key, &position) +
                xn_ring_nearer(key, ov_position(xis->ov), &position) <
            n) {
            return true;
        }
    }
    return false;
}

static bool key_settled(const struct xis *xis, const struct xn_now *now,
                        const xn_id *key, uint32_t n)
{
    if (xis->is_settled) {
        if (now->mono_us >= xis->before_until_us) return true;
        return was_copy(xis, xis->before, key, n) ||
               copy_lives(xis, xis->before, key, n);
    }
    return xis->has_settled && was_copy(xis, xis->settled, key, n) &&
           (now->mono_us >= xis->before_until_us ||
            was_copy(xis, xis->before, key, n) ||
            copy_lives(xis, xis->before, key, n));
}

/* Either of the two places will do; where we are neither, whoever asks us
 * means us and gets what we have. */
bool xis_name_settled(struct xis *xis, const struct xn_now *now,
                      const char *name)
{
    bool held = false;
    int far;
    xn_id key;

    for (far = 0; far < 2; far++) {
        xn_token_key(name, NULL, 0, far, &key);
        if (!key_held(xis, &key, far)) continue;
        held = true;
        if (key_settled(xis, now, &key, copies(xis, far))) return true;
    }
    return !held && xis->is_settled;
}
