/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/err.h"

#define SLOT_BITS 8 /* 256 us */
#define SLOTS (1U << 14)
#define NIL UINT32_MAX

/* Where an event stands, with all that its order needs: sorting touches no
 * event. */
struct ref {
    uint64_t at_us;
    uint64_t key;
    uint32_t index; /* into the pool */
};

struct refs {
    struct ref *a;
    size_t n, cap;
};

struct sim_queue {
    struct sim_event *pool;
    uint32_t *next; /* of each pool entry: in its slot, or free */
    uint32_t pool_n, pool_cap, free;
    uint32_t slots[SLOTS]; /* heads of lists, unsorted */
    uint64_t turn;         /* absolute number of the current slot */
    size_t in_wheel;       /* events in slots after the current one */
    struct refs now;       /* current slot, sorted */
    size_t now_at;         /* next of it */
    struct refs late;      /* heap: pushed into the current slot */
    struct refs far;       /* heap: beyond the wheel */
    size_t count;
    bool failed;
};

static bool before(const struct ref *a, const struct ref *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->key < b->key);
}

static int refs_room(struct refs *refs)
{
    size_t cap = refs->cap ? 2 * refs->cap : 64;
    struct ref *a;

    if (refs->n < refs->cap) return 0;
    a = realloc(refs->a, cap * sizeof *a);
    if (!a) return XN_ENOMEM;
    refs->a = a;
    refs->cap = cap;
    return 0;
}

static int heap_push(struct refs *heap, struct ref ref)
{
    int rc = refs_room(heap);
    size_t i = heap->n;

    if (rc) return rc;
    heap->n++;
    while (i > 0 && before(&ref, &heap->a[(i - 1) / 2])) {
        heap->a[i] = heap->a[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->a[i] = ref;
    return 0;
}

static struct ref heap_pop(struct refs *heap)
{
    struct ref top = heap->a[0], last = heap->a[--heap->n];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < heap->n) {
        if (child + 1 < heap->n &&
            before(&heap->a[child + 1], &heap->a[child])) {
            child++;
        }
        if (!before(&heap->a[child], &last)) break;
        heap->a[i] = heap->a[child];
        i = child;
    }
    if (heap->n) heap->a[i] = last;
    return top;
}

int sim_queue_new(struct sim_queue **queue_out)
{
    struct sim_queue *q = calloc(1, sizeof *q);
    size_t i;

    if (!q) return XN_ENOMEM;
    for (i = 0; i < SLOTS; i++)
        q->slots[i] = NIL;
    q->free = NIL;
    *queue_out = q;
    return 0;
}

static void drop_refs(struct sim_queue *q, const struct refs *refs, size_t from,
                      void (*drop)(struct sim_event *event))
{
    size_t i;

    for (i = from; i < refs->n; i++)
        drop(&q->pool[refs->a[i].index]);
}

void sim_queue_free(struct sim_queue *q, void (*drop)(struct sim_event *event))
{
    size_t i;
    uint32_t e;

    if (!q) return;
    if (drop) {
        drop_refs(q, &q->now, q->now_at, drop);
        drop_refs(q, &q->late, 0, drop);
        drop_refs(q, &q->far, 0, drop);
        for (i = 0; i < SLOTS; i++) {
            for (e = q->slots[i]; e != NIL; e = q->next[e])
                drop(&q->pool[e]);
        }
    }
    free(q->now.a);
    free(q->late.a);
    free(q->far.a);
    free(q->pool);
    free(q->next);
    free(q);
}

static int pool_grow(struct sim_queue *q)
{
    uint32_t cap = q->pool_cap ? 2 * q->pool_cap : 1024;
    struct sim_event *pool;
    uint32_t *next;

    if (q->pool_cap > UINT32_MAX / 4) return XN_ENOMEM;
    pool = realloc(q->pool, cap * sizeof *pool);
    if (!pool) return XN_ENOMEM;
    q->pool = pool;
    next = realloc(q->next, cap * sizeof *next);
    if (!next) return XN_ENOMEM;
    q->next = next;
    q->pool_cap = cap;
    return 0;
}

static int pool_take(struct sim_queue *q, uint32_t *index_out)
{
    int rc = 0;

    if (q->free != NIL) {
        *index_out = q->free;
        q->free = q->next[q->free];
        return 0;
    }
    if (q->pool_n == q->pool_cap) rc = pool_grow(q);
    if (!rc) *index_out = q->pool_n++;
    return rc;
}

static void pool_give(struct sim_queue *q, uint32_t index)
{
    q->next[index] = q->free;
    q->free = index;
}

static void to_slot(struct sim_queue *q, uint64_t at_us, uint32_t index)
{
    uint32_t *head = &q->slots[(at_us >> SLOT_BITS) % SLOTS];

    q->next[index] = *head;
    *head = index;
    q->in_wheel++;
}

int sim_queue_push(struct sim_queue *q, const struct sim_event *event)
{
    struct ref ref = {event->at_us, event->key, 0};
    uint64_t turn = event->at_us >> SLOT_BITS;
    int rc = pool_take(q, &ref.index);

    if (rc) return rc;
    q->pool[ref.index] = *event;
    assert(turn >= q->turn);
    if (turn == q->turn) {
        rc = heap_push(&q->late, ref);
    } else if (turn - q->turn < SLOTS) {
        to_slot(q, event->at_us, ref.index);
    } else {
        rc = heap_push(&q->far, ref);
    }
    if (rc) {
        pool_give(q, ref.index);
        return rc;
    }
    q->count++;
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;

    return before(x, y) ? -1 : before(y, x);
}

/* Most slots hold a few events: insertion beats qsort's calls there. */
static void sort_refs(struct ref *a, size_t n)
{
    size_t i, j;

    if (n > 32) {
        qsort(a, n, sizeof *a, by_order);
        return;
    }
    for (i = 1; i < n; i++) {
        struct ref ref = a[i];

        for (j = i; j > 0 && before(&ref, &a[j - 1]); j--)
            a[j] = a[j - 1];
        a[j] = ref;
    }
}

/* Move into the wheel what the far heap has within its horizon. */
static void draw_near(struct sim_queue *q)
{
    while (q->far.n && (q->far.a[0].at_us >> SLOT_BITS) - q->turn < SLOTS) {
        struct ref ref = heap_pop(&q->far);

        to_slot(q, ref.at_us, ref.index);
    }
}

/* Make the slot `turn` current and sort it. */
static int open_slot(struct sim_queue *q, uint64_t turn)
{
    uint32_t *head, e;
    int rc;

    q->turn = turn;
    q->now.n = q->now_at = 0;
    draw_near(q);
    head = &q->slots[turn % SLOTS];
    for (e = *head; e != NIL; e = q->next[e]) {
        rc = refs_room(&q->now);
        if (rc) return rc;
        q->now.a[q->now.n++] =
            (struct ref){q->pool[e].at_us, q->pool[e].key, e};
    }
    *head = NIL;
    q->in_wheel -= q->now.n;
    sort_refs(q->now.a, q->now.n);
    return 0;
}

/* The next slot that holds anything, at most `last`. */
static uint64_t next_turn(const struct sim_queue *q, uint64_t last)
{
    uint64_t turn;

    if (!q->in_wheel) {
        turn = q->far.n ? q->far.a[0].at_us >> SLOT_BITS : last;
        return turn < last ? turn : last;
    }
    turn = q->turn + 1;
    /* What is far comes after all that the wheel holds. */
    while (turn < last && q->slots[turn % SLOTS] == NIL)
        turn++;
    return turn;
}

/* The earlier of the sorted slot and the late heap; NULL: both are empty. */
static const struct ref *first(const struct sim_queue *q, bool *late_out)
{
    const struct ref *now = q->now_at < q->now.n ? &q->now.a[q->now_at] : NULL;
    const struct ref *late = q->late.n ? &q->late.a[0] : NULL;

    *late_out = late && (!now || before(late, now));
    return *late_out ? late : now;
}

bool sim_queue_pop(struct sim_queue *q, uint64_t until_us,
                   struct sim_event *event_out)
{
    uint64_t last = until_us >> SLOT_BITS;
    const struct ref *ref;
    uint32_t index;
    bool late;

    while (!(ref = first(q, &late))) {
        if (!q->count || q->turn >= last || q->failed) return false;
        q->failed = open_slot(q, next_turn(q, last)) != 0;
    }
    if (ref->at_us > until_us) return false;
    index = ref->index;
    if (late) {
        heap_pop(&q->late);
    } else {
        q->now_at++;
    }
    *event_out = q->pool[index];
    pool_give(q, index);
    q->count--;
    return true;
}

const struct sim_event *sim_queue_ahead(const struct sim_queue *q, size_t i)
{
    if (q->now.n - q->now_at <= i) return NULL;
    return &q->pool[q->now.a[q->now_at + i].index];
}

size_t sim_queue_count(const struct sim_queue *q)
{
    return q->count;
}

bool sim_queue_failed(const struct sim_queue *q)
{
    return q->failed;
}
