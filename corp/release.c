/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is left of an order goes back to its account when nobody can claim it
 * any more: a while after its end or its stop, so that a server that was
 * unreachable can still claim what it earned before.
 *
 * 'E' end serial says when it ended; it is written with the order and with the
 * stop, and dropped with the release.  One order at a time: this is not urgent.
 */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "lib/err.h"
#include "lib/log.h"

#define LOOK_US (60 * 1000000ULL)
#define END_KEY (1 + 8 + XN_ID_SIZE)

void corp_op_release(const struct order_file *order, int64_t rest,
                     struct order_key key_out[2], struct ledger_op *op)
{
    uint64_t stopped_us = order->state.stopped_us;

    if (rest) {
        ledger_op_add(op, &order->serial, -rest, order->currency);
        ledger_op_add(op, &order->account, rest, order->currency);
    }
    op->closes[op->n_closes++] = order->serial;
    key_out[0] = order_key_end(order->until_us, &order->serial);
    op_drop(op, &key_out[0]);
    if (!stopped_us || stopped_us == order->until_us) return;
    key_out[1] = order_key_end(stopped_us, &order->serial);
    op_drop(op, &key_out[1]);
}

/* ---- one order ---- */

static void look(struct corp *corp, const struct xn_now *now);

static void released(struct corp_job *job, const struct xn_now *now)
{
    struct corp *corp = job->corp;

    job_free(job);
    look(corp, now);
}

static void find(struct corp_job *job, const struct xn_now *now);

/* Nothing to release, then: an entry that has outlived its order. */
static void forget(struct corp_job *job, const struct xn_now *now)
{
    struct ledger_op op = {.what = LEDGER_OTHER};
    struct order_key key = order_key_end(job->came_us, &job->serial);

    order_op_id(&job->serial, "forget", key.b, key.len, &op.id);
    op_drop(&op, &key);
    job_post(job, now, &op, released, NULL);
}

static int pack_end(const struct corp_job *job, const struct xn_now *now,
                    uint8_t **bytes_out, size_t *len_out)
{
    struct order_bound bound = {.fate = XN__ORDER_FATE__EXPIRED_ORDER,
                                .at_us = now->wall_us};
    struct order_state state = job->order.state;

    state.closed = true;
    if (job->order.has_state)
        return order_state_pack(&state, bytes_out, len_out);
    return order_bound_pack(&bound, (ProtobufCBinaryData){0, NULL}, bytes_out,
                            len_out);
}

static void release(struct corp_job *job, const struct xn_now *now)
{
    const struct order_file *order = &job->order;
    struct order_key key =
        order_key(&job->serial, order->has_state ? 's' : 'b');
    struct ledger_op op = {.what = LEDGER_RELEASE};
    struct order_key ends[2];
    uint8_t *bytes = NULL;
    size_t len;
    int rc = pack_end(job, now, &bytes, &len);

    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), NULL);
        return;
    }
    order_op_id(&job->serial, "release", NULL, 0, &op.id);
    corp_op_release(order, order_fenced(order), ends, &op);
    op_write(&op, &key, bytes, len,
             order->has_state ? LEDGER_EQUALS : LEDGER_ABSENT);
    op.writes[op.n_writes - 1].was = order->state_bytes.data;
    op.writes[op.n_writes - 1].was_len = order->state_bytes.len;
    job_post(job, now, &op, released, find);
    free(bytes);
}

static void found(struct corp_job *job, const struct xn_now *now)
{
    switch (order_fate(&job->order)) {
    case XN__ORDER_FATE__ISSUED_ORDER:
    case XN__ORDER_FATE__ACCEPTED_ORDER: release(job, now); break;
    default: forget(job, now);
    }
}

static void find(struct corp_job *job, const struct xn_now *now)
{
    job_read_order(job, now, found);
}

/* ---- looking ---- */

static uint64_t number_of(const uint8_t *bytes)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++)
        n = n << 8 | bytes[i];
    return n;
}

/* The first that ended long enough ago.  The next look goes on behind it, come
 * of it what may: one damaged order does not keep the others. */
static void end_found(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    const ProtobufCBinaryData *key;
    struct corp *corp = job->corp;
    uint64_t end_us;

    corp->look_from.len = 0;
    if (records->n_records == 0) goto none;
    key = &records->records[0]->key;
    if (key->len != END_KEY) goto none;
    end_us = number_of(key->data + 1);
    if (end_us > now->wall_us || now->wall_us - end_us < corp->config.grace_us)
        goto none;
    memcpy(corp->look_from.b, key->data, END_KEY);
    corp->look_from.b[END_KEY] = 0;
    corp->look_from.len = END_KEY + 1;
    job->came_us = end_us;
    memcpy(job->serial.b, key->data + END_KEY - XN_ID_SIZE, XN_ID_SIZE);
    find(job, now);
    return;
none:
    job_free(job);
}

static void look(struct corp *corp, const struct xn_now *now)
{
    struct order_key prefix = {.b = {'E'}, .len = 1};
    struct corp_job *job;

    if (corp->look) return;
    job = job_own(corp, now, "cannot release an order");
    if (!job) return;
    corp->look = job;
    job_read(job, now, &prefix, corp->look_from.len ? &corp->look_from : NULL,
             1, end_found);
}

static void on_look_time(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct corp *corp = owner;

    look(corp, now);
    corp_release_start(corp, now);
}

void corp_release_start(struct corp *corp, const struct xn_now *now)
{
    xn_ticket(corp->tickets, now->mono_us + LOOK_US, on_look_time, corp, NULL,
              &corp->out);
}
