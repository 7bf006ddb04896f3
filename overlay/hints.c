/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes that we have heard of.  What a peer says of others is hearsay: it only
 * orders the dialling, and the table is bounded.  What is known from a link
 * that we had (`met`) counts for more, and no hearsay takes its place. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"

#define FAILURES_MAX 6U /* then a hint is forgotten, unless ... */
/* ... it would be a neighbour: the network may be parted, for days.  Such ones
 * are tried in turn, one now and then, and when one is reached after all, some
 * more at once: where a partition healed these succeed too, and so on, in one
 * wave; where a single node came back, nothing follows. */
#define LOST_US (3 * 86400 * SECOND_US)
#define LOST_PACE_US (20 * SECOND_US) /* between tries of any of them */
#define LOST_PER_LEAF 4U              /* so many such are kept, */
#define UNMET_PER_LEAF 1U             /* of these of hearsay */
#define LOST_MORE 4U                  /* tried when one is reached */
#define NAMED_US (10 * SECOND_US) /* between tries of a met one that is named */
#define RETRY_MAX_US (60 * SECOND_US)

static size_t hint_lower(const struct ov *ov, const xn_id *id)
{
    size_t lo = 0, hi = ov->hints.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (xn_id_cmp(&hint_at(&ov->hints, mid)->id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* By claimed position, then id: liars may claim the same one. */
size_t hint_pos_lower(const struct ov *ov, const xn_id *position,
                      const xn_id *id)
{
    size_t lo = 0, hi = ov->hints_pos.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct hint *hint = hint_at(&ov->hints_pos, mid);
        int cmp = xn_id_cmp(&hint->position, position);

        if (cmp == 0) cmp = xn_id_cmp(&hint->id, id);
        if (cmp < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Those that were linked first, of each kind by when it may be dialled, then
 * id. */
static size_t due_lower(const struct ov *ov, bool met, uint64_t due_us,
                        const xn_id *id)
{
    size_t lo = met ? 0 : ov->n_met, hi = met ? ov->n_met : ov->hints_due.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct hint *hint = hint_at(&ov->hints_due, mid);

        if (hint->next_us == due_us ? xn_id_cmp(&hint->id, id) < 0
                                    : hint->next_us < due_us)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t hints_due(const struct ov *ov, const struct xn_now *now, bool met)
{
    static const xn_id zero;

    return due_lower(ov, met, now->mono_us + 1, &zero);
}

static size_t due_place(const struct ov *ov, const struct hint *hint)
{
    return due_lower(ov, hint->met, hint->next_us, &hint->id);
}

/* There is room for it: it was there before. */
void hint_due(struct ov *ov, struct hint *hint, uint64_t due_us)
{
    vec_drop(&ov->hints_due, due_place(ov, hint));
    ov->n_met -= hint->met;
    hint->next_us = due_us;
    vec_put(&ov->hints_due, due_place(ov, hint), hint);
    ov->n_met += hint->met;
}

struct hint *hint_find(const struct ov *ov, const xn_id *id)
{
    size_t i = hint_lower(ov, id);

    if (i == ov->hints.n || !xn_id_eq(&hint_at(&ov->hints, i)->id, id)) {
        return NULL;
    }
    return hint_at(&ov->hints, i);
}

struct hint *hint_find_head(const struct ov *ov, const uint8_t *head,
                            size_t len)
{
    xn_id least = {{0}};
    size_t i;

    memcpy(least.b, head, len);
    i = hint_lower(ov, &least);
    if (i == ov->hints.n || memcmp(hint_at(&ov->hints, i)->id.b, head, len)) {
        return NULL;
    }
    return hint_at(&ov->hints, i);
}

/* ---- who may live ---- */

static bool is_fresh(const struct hint *hint, const struct xn_now *now)
{
    return hint->news_us && now->mono_us - hint->news_us < DOUBT_US;
}

bool hints_fresh(const struct ov *ov, const struct xn_now *now)
{
    size_t i;

    for (i = 0; i < ov->hints.n; i++) {
        if (is_fresh(hint_at(&ov->hints, i), now)) return true;
    }
    return false;
}

/* The i-th of those nearer to the key than we, on one side of it; NULL: there
 * are no more. */
static struct hint *nearer(const struct ov *ov, const xn_id *key, bool up,
                           size_t i)
{
    static const xn_id zero;
    size_t n = ov->hints_pos.n, at;
    struct hint *hint;

    if (i >= n) return NULL;
    at = hint_pos_lower(ov, key, &zero);
    hint = hint_at(&ov->hints_pos, up ? (at + i) % n : (at + n - 1 - i) % n);
    return xn_ring_nearer(key, &hint->position, &ov->config.position) ? hint
                                                                      : NULL;
}

bool hints_doubt(const struct ov *ov, const struct xn_now *now,
                 const xn_id *key)
{
    const struct hint *hint;
    size_t i;
    int up;

    for (up = 0; up < 2; up++) {
        for (i = 0; (hint = nearer(ov, key, up, i)) != NULL; i++) {
            if (is_fresh(hint, now)) return true;
        }
    }
    return false;
}

void hints_hurry(struct ov *ov, const struct xn_now *now, const xn_id *key)
{
    struct hint *hint;
    size_t i;
    int up;

    for (up = 0; up < 2; up++) {
        for (i = 0; (hint = nearer(ov, key, up, i)) != NULL; i++) {
            if (!is_fresh(hint, now) || hint->ticket || hint->failures ||
                hint->next_us <= now->mono_us) {
                continue;
            }
            hint_due(ov, hint, now->mono_us);
            ov->dial_dirty = true;
        }
    }
}

void hints_believe(struct ov *ov, const xn_id *key)
{
    struct hint *hint;
    size_t i;
    int up;

    for (up = 0; up < 2; up++) {
        for (i = 0; (hint = nearer(ov, key, up, i)) != NULL; i++)
            hint->news_us = 0;
    }
}

size_t hints_untried(const struct ov *ov, const struct xn_now *now)
{
    size_t n = 0, i;

    for (i = 0; i < ov->hints.n; i++) {
        const struct hint *hint = hint_at(&ov->hints, i);

        n += hint->failures == 0 &&
             (hint->met || teller_may(ov, now, hint->teller));
    }
    return n;
}

void hint_drop(struct ov *ov, struct hint *hint)
{
    if (hint->ticket) {
        xn_ticket_forget(ov->tickets, hint->ticket);
        dial_over(ov, hint);
    }
    vec_drop(&ov->hints, hint_lower(ov, &hint->id));
    vec_drop(&ov->hints_pos, hint_pos_lower(ov, &hint->position, &hint->id));
    vec_drop(&ov->hints_due, due_place(ov, hint));
    ov->n_met -= hint->met;
    free(hint->named);
    free(hint);
}

void hint_forget(struct ov *ov, const xn_id *id)
{
    struct hint *hint = hint_find(ov, id);

    if (hint) hint_drop(ov, hint);
}

/* Those whose keys are revoked, as their links have shown: whoever names them
 * is not asked whether he knows. */
struct shunned {
    struct {
        xn_id id, corp;
    } rows[SHUNNED_MAX];
    unsigned n;
};

static bool is_shunned(const struct ov *ov, const xn_id *id)
{
    const struct shunned *shunned = ov->shunned;
    unsigned i;

    for (i = 0; shunned && i < shunned->n && i < SHUNNED_MAX; i++) {
        if (xn_id_eq(&shunned->rows[i].id, id))
            return revoked_has(ov->config.revoked, &shunned->rows[i].corp, id);
    }
    return false;
}

void hint_shun(struct ov *ov, const struct xn_contact *contact)
{
    unsigned at;

    hint_forget(ov, &contact->id);
    if (is_shunned(ov, &contact->id)) return;
    if (!ov->shunned) ov->shunned = calloc(1, sizeof *ov->shunned);
    if (!ov->shunned) return;
    at = ov->shunned->n++ % SHUNNED_MAX;
    ov->shunned->rows[at].id = contact->id;
    ov->shunned->rows[at].corp = contact->corp;
}

void hints_clear(struct ov *ov)
{
    free(ov->shunned);
    while (ov->hints.n > 0)
        hint_drop(ov, hint_at(&ov->hints, ov->hints.n - 1));
    free(ov->tellers);
    free(ov->hints.v);
    free(ov->hints_pos.v);
    free(ov->hints_due.v);
}

bool address_is_good(const char *address)
{
    size_t len = strlen(address), i;

    if (len == 0 || len > OV_ADDRESS_MAX) return false;
    for (i = 0; i < len; i++) {
        if (address[i] <= ' ' || address[i] > '~') return false;
    }
    return true;
}

/* Who has all its links wants a few for those that it will lose; gossip brings
 * others all the time. */
static size_t hints_max(const struct ov *ov)
{
    size_t max = ov->config.links_max;

    if (max < HINTS_MIN || ov->ring.n >= ov->config.links_max) return HINTS_MIN;
    return max < HINTS_MAX ? max : HINTS_MAX;
}

enum worth { FAR, FAR_MET, LEAF, LEAF_MET };

static enum worth worth_of(const struct ov *ov, const xn_id *position, bool met)
{
    if (ring_is_leaf(ov, position)) return met ? LEAF_MET : LEAF;
    return met ? FAR_MET : FAR;
}

/* Full: from a random one on, one that is not being dialled gives way, of the
 * least worth.  A liar can invent neighbours without end, so they do not last
 * before one that was linked, and never take the place of a neighbour that
 * was. */
static bool make_room(struct ov *ov, enum worth newcomer)
{
    static const enum worth gives_way[] = {[FAR] = FAR_MET,
                                           [FAR_MET] = LEAF,
                                           [LEAF] = LEAF,
                                           [LEAF_MET] = LEAF_MET};
    size_t n = ov->hints.n, at, i, tries = n;
    struct hint *worst = NULL;
    enum worth least = gives_way[newcomer];

    if (n < hints_max(ov)) return true;
    if (newcomer == FAR || newcomer == LEAF) tries = GAP_TRIES;
    at = xn_rng_below(ov->rng, n);
    for (i = 0; i < tries && i < n; i++) {
        struct hint *hint = hint_at(&ov->hints, (at + i) % n);
        enum worth worth = worth_of(ov, &hint->position, hint->met);

        if (hint->ticket || worth > least || (worst && worth == least)) {
            continue;
        }
        worst = hint;
        least = worth;
        if (worth == FAR) break;
    }
    if (worst) hint_drop(ov, worst);
    return worst != NULL;
}

/* What we had a link to is tried where that was, too. */
static void take_named(struct hint *hint, const char *address, uint16_t teller)
{
    char *copy;

    if (strcmp(hint->address, address) == 0) return;
    hint->teller = teller;
    if (!hint->met) {
        memcpy(hint->address, address, strlen(address) + 1);
        return;
    }
    copy = strdup(address);
    if (!copy) return;
    free(hint->named);
    hint->named = copy;
}

/* Somebody names a node that we could not reach: it has, lately, so the network
 * may have healed.  It is tried at once, but not as often as it is named. */
static void heard_again(struct ov *ov, const struct xn_now *now,
                        struct hint *hint, const char *address, uint16_t teller)
{
    uint64_t again_us =
        hint->dialled_us + (hint->met ? NAMED_US : RETRY_MAX_US);

    if (hint->failures == 0 || hint->ticket) return;
    take_named(hint, address, teller);
    if (again_us > now->mono_us || hint->next_us <= now->mono_us) return;
    hint->news_us = now->mono_us;
    hint_due(ov, hint, now->mono_us);
    ov->dial_dirty = true;
}

/* Whoever told of it first is believed no more, and is not the only one. */
static void vouch(struct ov *ov, const struct xn_now *now, struct hint *hint,
                  const char *address, uint16_t teller)
{
    if (hint->met || hint->ticket || teller_may(ov, now, hint->teller) ||
        !teller_may(ov, now, teller)) {
        return;
    }
    take_named(hint, address, teller);
    hint->teller = teller;
    ov->dial_dirty = true;
}

static struct hint *hint_new(struct ov *ov, const struct xn_now *now,
                             const xn_id *id, const xn_id *position,
                             const char *address, bool met)
{
    struct hint *hint = calloc(1, sizeof *hint);

    if (!hint) return NULL;
    hint->id = *id;
    hint->position = *position;
    hint->met = met;
    memcpy(hint->address, address, strlen(address) + 1);
    hint->next_us = hint->news_us = now->mono_us;
    if (!vec_put(&ov->hints, hint_lower(ov, id), hint)) goto none;
    if (!vec_put(&ov->hints_pos, hint_pos_lower(ov, position, id), hint)) {
        goto by_id;
    }
    if (!vec_put(&ov->hints_due, due_place(ov, hint), hint)) goto by_position;
    ov->n_met += met;
    ov->dial_dirty = true;
    return hint;
by_position:
    vec_drop(&ov->hints_pos, hint_pos_lower(ov, position, id));
by_id:
    vec_drop(&ov->hints, hint_lower(ov, id));
none:
    free(hint);
    return NULL;
}

/* A visit ends. */
static bool is_linked(const struct ov *ov, const xn_id *id)
{
    const struct link *link = link_find_id(ov, id);

    return link ? !link->visit : link_has_id(ov, id);
}

static struct hint *add(struct ov *ov, const struct xn_now *now,
                        const xn_id *id, const xn_id *position,
                        const char *address, bool met, uint16_t teller)
{
    struct hint *hint;

    if (xn_id_eq(id, &ov->config.id) || !address_is_good(address)) return NULL;
    if (strcmp(address, ov->config.address) == 0) return NULL;
    if (is_linked(ov, id) || is_shunned(ov, id)) return NULL;
    hint = hint_find(ov, id);
    if (hint) {
        if (!met) hint->named_us = now->mono_us;
        vouch(ov, now, hint, address, teller);
        heard_again(ov, now, hint, address, teller);
        return hint;
    }
    if (!make_room(ov, worth_of(ov, position, met))) return NULL;
    hint = hint_new(ov, now, id, position, address, met);
    if (!hint) return NULL;
    if (!met) hint->named_us = now->mono_us;
    hint->teller = teller;
    return hint;
}

struct hint *hint_add(struct ov *ov, const struct xn_now *now, const xn_id *id,
                      const xn_id *position, const char *address, bool met)
{
    return add(ov, now, id, position, address, met, 0);
}

bool hints_take(struct ov *ov, const struct xn_now *now, const xn_id *teller,
                Xn__Contact *const *contacts, size_t n)
{
    uint16_t told_by = teller ? teller_of(teller) : 0;
    bool may = teller_may(ov, now, told_by);
    size_t i;

    for (i = 0; i < n; i++) {
        xn_id id, position;

        if (xn_id_from_bytes(&contacts[i]->id, &id) ||
            xn_id_from_bytes(&contacts[i]->position, &position) ||
            strlen(contacts[i]->address) > OV_ADDRESS_MAX) {
            return false;
        }
        if (i < HINTS_PER_MSG && may) {
            add(ov, now, &id, &position, contacts[i]->address, false, told_by);
        }
    }
    return true;
}

/* Half of `us` and up to as much again: those who lost the same node must not
 * come back all at once. */
uint64_t hints_jittered(struct ov *ov, uint64_t us)
{
    return us / 2 + xn_rng_below(ov->rng, us);
}

static bool is_lost(const struct hint *hint)
{
    return hint->failures > FAILURES_MAX;
}

static size_t count_lost(const struct ov *ov, bool met)
{
    size_t n = 0, i;

    for (i = 0; i < ov->hints.n; i++) {
        const struct hint *hint = hint_at(&ov->hints, i);

        n += is_lost(hint) && hint->met == met;
    }
    return n;
}

static bool may_be_lost(const struct ov *ov, const struct xn_now *now,
                        const struct hint *hint)
{
    return (ring_is_leaf(ov, &hint->position) || ov_is_guest(ov)) &&
           now->mono_us - hint->failed_us <= LOST_US;
}

/* Who is forgotten for want of room among the lost; NULL: there is room.  All
 * are tried equally often, so it is one at random, not the one known for
 * longest; but inventions must not take the places of who was there. */
static struct hint *too_many_lost(const struct ov *ov)
{
    size_t met = count_lost(ov, true), unmet = count_lost(ov, false), i, k;
    size_t leaves = ov->config.leaves;

    if (unmet <= UNMET_PER_LEAF * leaves &&
        met + unmet <= LOST_PER_LEAF * leaves) {
        return NULL;
    }
    k = xn_rng_below(ov->rng, unmet ? unmet : met);
    for (i = 0; i < ov->hints.n; i++) {
        struct hint *hint = hint_at(&ov->hints, i);

        if (is_lost(hint) && hint->met == !unmet && k-- == 0) return hint;
    }
    return NULL;
}

/* A refusal for want of room (`full`) is worth no hurry either. */
static uint64_t retry_us(const struct ov *ov, const struct hint *hint,
                         bool full)
{
    unsigned doubled = hint->failures < 16 ? hint->failures - 1 : 15;
    uint64_t wait_us = SECOND_US << doubled;

    if (is_lost(hint)) {
        return LOST_PACE_US * (count_lost(ov, true) + count_lost(ov, false));
    }
    return full || wait_us > RETRY_MAX_US ? RETRY_MAX_US : wait_us;
}

void hint_failed(struct ov *ov, const struct xn_now *now, struct hint *hint,
                 bool full)
{
    struct hint *goes = NULL;

    ov->dial_dirty = true;
    if (hint->failures == 0) hint->failed_us = now->mono_us;
    if (hint->failures < UINT8_MAX) hint->failures++;
    if (is_lost(hint)) {
        goes = may_be_lost(ov, now, hint) ? too_many_lost(ov) : hint;
    }
    if (goes) hint_drop(ov, goes);
    if (goes == hint) return;
    hint_due(ov, hint,
             now->mono_us + hints_jittered(ov, retry_us(ov, hint, full)));
}

void hints_found(struct ov *ov, const struct xn_now *now,
                 const struct hint *hint)
{
    size_t n = ov->hints.n, at, i, more = LOST_MORE;

    if (!is_lost(hint)) return;
    at = xn_rng_below(ov->rng, n);
    for (i = 0; i < n && more > 0; i++) {
        struct hint *other = hint_at(&ov->hints, (at + i) % n);

        if (!is_lost(other) || other->ticket || other->next_us <= now->mono_us)
            continue;
        hint_due(ov, other, now->mono_us);
        ov->dial_dirty = true;
        more--;
    }
}
