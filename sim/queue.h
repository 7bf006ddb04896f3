/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulator's event queue: a timing wheel of 256 us slots for the next
 * four seconds and a heap for what is farther away.
 *
 * Events leave in order of (at_us, key).  The key is the sender and the
 * sender's own counter, so the order does not depend on how nodes are spread
 * over processes, nor on the order of pushing.  A slot is sorted when its time
 * comes: the events that follow are then known, and their nodes can be
 * prefetched (a heap cannot do that).
 *
 * The queue copies events; what `msg` points to is the caller's.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xn_msg;

struct sim_event {
    uint64_t at_us;
    uint64_t key;    /* sender << 32 | sender's counter */
    uint64_t ticket; /* or the connection's number */
    struct xn_msg *msg;
    uint32_t to;
    uint32_t from;
    uint32_t mark; /* incarnation of `to`, or a counter of the sender */
    int16_t rc;
    uint8_t kind;
};

struct sim_queue;

int sim_queue_new(struct sim_queue **queue_out);
/* Forgets what is in it; `drop` (may be NULL) sees each event before. */
void sim_queue_free(struct sim_queue *queue,
                    void (*drop)(struct sim_event *event));

/* at_us must not be before the last popped event's.  XN_ENOMEM. */
int sim_queue_push(struct sim_queue *queue, const struct sim_event *event);

/* The earliest event at or before until_us; false: none. */
bool sim_queue_pop(struct sim_queue *queue, uint64_t until_us,
                   struct sim_event *event_out);

/* The i-th event that will come after the one popped last, as far as is known
 * without work; NULL where it is not.  A hint: later pushes may go between. */
const struct sim_event *sim_queue_ahead(const struct sim_queue *queue,
                                        size_t i);

size_t sim_queue_count(const struct sim_queue *queue);
/* Out of memory while popping: events are lost, the run must end. */
bool sim_queue_failed(const struct sim_queue *queue);

#endif
