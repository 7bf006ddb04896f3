/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "corp/text.h"
#include "lib/arena.h"
#include "lib/err.h"
#include "wire/store.pb-c.h"

#define DAY_US (24 * 3600 * 1000000ULL)
#define REWRITE_US (3600 * 1000000ULL) /* how old a stored time may grow */
#define SLOT_NONE UINT32_MAX
#define KEY_SIZE (1 + XN_ID_SIZE)
#define SAMPLE_MAX 64
#define ROW_BYTES 512 /* key, value and structs of one write, at most */

struct row {
    xn_id id;
    xn_id position;
    char address[CORP_ADDRESS_MAX + 1];
    uint64_t seen_us;
    uint64_t seen_wall_us;
    uint64_t stored_wall_us; /* as the store has it; 0: never written */
    uint32_t slot;           /* in live[]; SLOT_NONE: fell silent */
    bool dirty;              /* in the list of what is to be written */
    bool flying;             /* in the batch under way */
    struct row *prev, *next; /* by seen_us: live ones */
    struct row *prev_dirty, *next_dirty; /* in the order of change */
    UT_hash_handle hh;
};

struct corp_nodes {
    struct row *by_id; /* live, or still to be dropped from the store */
    struct row **live;
    uint32_t n_live, cap;
    uint32_t max;
    uint64_t alive_us;
    struct row *oldest; /* live ones, longest unseen first */
    struct row *dirty;
    struct row *flying[CORP_NODES_BATCH];
    size_t n_flying;
};

int corp_nodes_new(uint32_t max, uint64_t alive_us,
                   struct corp_nodes **nodes_out)
{
    struct corp_nodes *nodes = calloc(1, sizeof *nodes);

    if (!nodes) return XN_ENOMEM;
    nodes->max = max;
    nodes->alive_us = alive_us;
    *nodes_out = nodes;
    return 0;
}

void corp_nodes_free(struct corp_nodes *nodes)
{
    struct row *row, *tmp;

    if (!nodes) return;
    HASH_ITER(hh, nodes->by_id, row, tmp)
    {
        HASH_DEL(nodes->by_id, row);
        free(row);
    }
    free(nodes->live);
    free(nodes);
}

static struct row *find(const struct corp_nodes *nodes, const xn_id *id)
{
    struct row *row;

    HASH_FIND(hh, nodes->by_id, id, sizeof *id, row);
    return row;
}

static void mark(struct corp_nodes *nodes, struct row *row)
{
    if (row->dirty) return;
    row->dirty = true;
    DL_APPEND2(nodes->dirty, row, prev_dirty, next_dirty);
}

static void unmark(struct corp_nodes *nodes, struct row *row)
{
    row->dirty = false;
    DL_DELETE2(nodes->dirty, row, prev_dirty, next_dirty);
}

/* The row leaves the live; the store learns of it with the next batch. */
static void bury(struct corp_nodes *nodes, struct row *row)
{
    struct row *last = nodes->live[--nodes->n_live];

    nodes->live[row->slot] = last;
    last->slot = row->slot;
    row->slot = SLOT_NONE;
    DL_DELETE(nodes->oldest, row);
    mark(nodes, row);
}

static void expire(struct corp_nodes *nodes, const struct xn_now *now)
{
    while (nodes->oldest &&
           now->mono_us - nodes->oldest->seen_us >= nodes->alive_us) {
        bury(nodes, nodes->oldest);
    }
}

static int make_room(struct corp_nodes *nodes)
{
    uint32_t cap = nodes->cap ? 2 * nodes->cap : 16;
    struct row **live;

    if (nodes->n_live < nodes->cap) return 0;
    live = realloc(nodes->live, cap * sizeof *live);
    if (!live) return XN_ENOMEM;
    nodes->live = live;
    nodes->cap = cap;
    return 0;
}

/* Find or make the row and put it last among the live. */
static int revive(struct corp_nodes *nodes, const struct xn_now *now,
                  const xn_id *id, struct row **row_out)
{
    struct row *row = find(nodes, id);
    int rc;

    if (!row && HASH_COUNT(nodes->by_id) >= nodes->max) return XN_EBUSY;
    rc = make_room(nodes);
    if (rc) return rc;
    if (!row) {
        row = calloc(1, sizeof *row);
        if (!row) return XN_ENOMEM;
        row->id = *id;
        row->slot = SLOT_NONE;
        HASH_ADD(hh, nodes->by_id, id, sizeof row->id, row);
    }
    if (row->slot == SLOT_NONE) {
        row->slot = nodes->n_live++;
        nodes->live[row->slot] = row;
    } else {
        DL_DELETE(nodes->oldest, row);
    }
    DL_APPEND(nodes->oldest, row);
    row->seen_us = now->mono_us;
    *row_out = row;
    return 0;
}

/* A stored time that is off by more than an hour, either way: the clock may
 * have been set. */
static bool is_outdated(const struct row *row)
{
    return row->seen_wall_us - row->stored_wall_us > REWRITE_US;
}

int corp_nodes_seen(struct corp_nodes *nodes, const struct xn_now *now,
                    const xn_id *id, const xn_id *position, const char *address)
{
    struct row *row = NULL;
    bool revived;
    int rc;

    expire(nodes, now);
    row = find(nodes, id);
    revived = !row || row->slot == SLOT_NONE;
    rc = revive(nodes, now, id, &row);
    if (rc) return rc;
    row->seen_wall_us = now->wall_us;
    if (revived || is_outdated(row) || !xn_id_eq(&row->position, position) ||
        strcmp(row->address, address) != 0) {
        mark(nodes, row);
    }
    row->position = *position;
    snprintf(row->address, sizeof row->address, "%s", address);
    return 0;
}

void corp_nodes_forget(struct corp_nodes *nodes, const xn_id *id)
{
    struct row *row = find(nodes, id);

    if (row && row->slot != SLOT_NONE) bury(nodes, row);
}

static int restore(struct corp_nodes *nodes, const struct xn_now *now,
                   const Xn__KnownNode *known)
{
    const Xn__Contact *contact = known->contact;
    struct row *row;
    xn_id id, position;
    int rc;

    if (!contact || xn_id_from_bytes(&contact->id, &id) ||
        xn_id_from_bytes(&contact->position, &position) ||
        !corp_address_ok(contact->address)) {
        return XN_EINVAL;
    }
    row = find(nodes, &id);
    if (row) return 0; /* it announced itself before we came to its record */
    rc = revive(nodes, now, &id, &row);
    if (rc) return rc;
    row->position = position;
    snprintf(row->address, sizeof row->address, "%s", contact->address);
    row->seen_wall_us = row->stored_wall_us = known->seen_us;
    if (known->seen_us < now->wall_us &&
        now->wall_us - known->seen_us > DAY_US) {
        bury(nodes, row);
    }
    return 0;
}

int corp_nodes_restore(struct corp_nodes *nodes, const struct xn_now *now,
                       const uint8_t *value, size_t len)
{
    Xn__KnownNode *known = xn__known_node__unpack(NULL, len, value);
    int rc;

    if (!known) return XN_EINVAL;
    rc = restore(nodes, now, known);
    xn__known_node__free_unpacked(known, NULL);
    return rc;
}

static void fill(Xn__Contact *contact, const struct row *row)
{
    xn__contact__init(contact);
    contact->id = xn_id_bytes(&row->id);
    contact->position = xn_id_bytes(&row->position);
    contact->address = (char *)(uintptr_t)row->address;
}

/* Draw by a Fisher-Yates shuffle of which only the first `max` places are
 * made: the array's order means nothing, so it is shuffled in place. */
size_t corp_nodes_sample(struct corp_nodes *nodes, const struct xn_now *now,
                         struct xn_rng *rng, const xn_id *but, size_t max,
                         Xn__Contact *list)
{
    uint32_t i, j;
    size_t n = 0;

    expire(nodes, now);
    for (i = 0; i < nodes->n_live && n < max; i++) {
        struct row *row;

        j = i + (uint32_t)xn_rng_below(rng, nodes->n_live - i);
        row = nodes->live[j];
        nodes->live[j] = nodes->live[i];
        nodes->live[j]->slot = j;
        nodes->live[i] = row;
        row->slot = i;
        if (but && xn_id_eq(&row->id, but)) continue;
        fill(&list[n++], row);
    }
    return n;
}

/* ---- the store ---- */

static int put_value(struct xn_arena *arena, const struct row *row,
                     ProtobufCBinaryData *value_out)
{
    Xn__KnownNode known = XN__KNOWN_NODE__INIT;
    Xn__Contact contact;

    fill(&contact, row);
    known.contact = &contact;
    known.seen_us = row->seen_wall_us;
    value_out->len = xn__known_node__get_packed_size(&known);
    value_out->data = xn_arena_alloc(arena, value_out->len);
    if (!value_out->data) return XN_ENOMEM;
    xn__known_node__pack(&known, value_out->data);
    return 0;
}

static Xn__Write *new_write(struct xn_arena *arena, const struct row *row)
{
    Xn__Write *write = xn_arena_alloc(arena, sizeof *write);
    uint8_t *key = xn_arena_alloc(arena, KEY_SIZE);

    if (!write || !key) return NULL;
    xn__write__init(write);
    key[0] = (uint8_t)CORP_NODES_KEY[0];
    memcpy(key + 1, row->id.b, XN_ID_SIZE);
    write->key.data = key;
    write->key.len = KEY_SIZE;
    write->drop = row->slot == SLOT_NONE;
    if (!write->drop && put_value(arena, row, &write->value)) return NULL;
    return write;
}

bool corp_nodes_write(struct corp_nodes *nodes, const struct xn_now *now,
                      uint64_t ticket, struct xn_out *out)
{
    Xn__Write *writes[CORP_NODES_BATCH];
    Xn__Txn txn = XN__TXN__INIT;
    struct xn_arena arena;
    struct row *row, *tmp;

    if (nodes->n_flying || !corp_nodes_dirty(nodes, now)) return false;
    xn_arena_init(&arena, (size_t)CORP_NODES_BATCH * ROW_BYTES);
    DL_FOREACH_SAFE2(nodes->dirty, row, tmp, next_dirty)
    {
        if (txn.n_writes == CORP_NODES_BATCH) break;
        writes[txn.n_writes] = new_write(&arena, row);
        if (!writes[txn.n_writes]) {
            out->rc = XN_ENOMEM;
            break;
        }
        unmark(nodes, row);
        row->flying = true;
        nodes->flying[txn.n_writes++] = row;
    }
    nodes->n_flying = txn.n_writes;
    txn.writes = writes;
    if (txn.n_writes) {
        xn_out_emit(out, XN_ACT_TXN, ticket, XN_PEER_NONE, XN__KIND__TXN, &txn);
    }
    xn_arena_clear(&arena);
    return txn.n_writes > 0;
}

static void landed(struct corp_nodes *nodes, struct row *row, int rc)
{
    row->flying = false;
    if (rc) {
        mark(nodes, row);
    } else if (row->slot != SLOT_NONE) {
        row->stored_wall_us = row->seen_wall_us;
    } else if (!row->dirty) {
        HASH_DEL(nodes->by_id, row);
        free(row);
    }
}

void corp_nodes_written(struct corp_nodes *nodes, int rc)
{
    size_t i;

    for (i = 0; i < nodes->n_flying; i++)
        landed(nodes, nodes->flying[i], rc);
    nodes->n_flying = 0;
}

bool corp_nodes_dirty(struct corp_nodes *nodes, const struct xn_now *now)
{
    expire(nodes, now);
    return nodes->dirty != NULL;
}

size_t corp_nodes_live(const struct corp_nodes *nodes)
{
    return nodes->n_live;
}

static const char *wrong(const struct corp_nodes *nodes)
{
    const struct row *row;
    uint32_t i, n = 0;

    for (i = 0; i < nodes->n_live; i++) {
        if (nodes->live[i]->slot != i) return "slot of a live node";
        if (find(nodes, &nodes->live[i]->id) != nodes->live[i]) {
            return "live node not by id";
        }
    }
    DL_FOREACH(nodes->oldest, row)
    {
        if (row->slot == SLOT_NONE) return "silent node among the live";
        if (row->next && row->next->seen_us < row->seen_us) {
            return "live nodes not in order of last seen";
        }
        n++;
    }
    if (n != nodes->n_live) return "live nodes miscounted";
    for (row = nodes->by_id; row; row = row->hh.next) {
        if (row->slot == SLOT_NONE && !row->dirty && !row->flying) {
            return "silent node kept";
        }
    }
    return NULL;
}

bool corp_nodes_check(const struct corp_nodes *nodes, char *why_out, size_t len)
{
    const char *why = wrong(nodes);

    if (why) snprintf(why_out, len, "nodes: %s", why);
    return !why;
}
