/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders as the client sees them: issued, listed, made void.
 *
 *   issue  READ -> SIGN -> ledger: money fenced, order recorded -> ANSWER
 *   void   READ -> ledger: `b` written where it is absent, fence closed
 *
 * The serial follows from the holder and a word of his, so who asks again after
 * a lost answer gets the order that he has, not a second. */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"

#define LIST_MAX 16

static const struct job_form issuing = {
    .what = "cannot issue the order",
    .role = XN__ROLE__CLIENT,
    .body = &xn__issue_order__descriptor,
    .body_max = 1024,
    .begins = true,
};
static const struct job_form voiding = {
    .what = "cannot make the order void",
    .role = XN__ROLE__CLIENT,
    .body = &xn__void_order__descriptor,
    .body_max = 64,
};
static const struct job_form listing = {
    .what = "cannot list the orders",
    .role = XN__ROLE__CLIENT,
    .staff_too = true,
};

/* ---- issue ---- */

static const Xn__IssueOrder *wanted(const struct corp_job *job)
{
    return (const Xn__IssueOrder *)(const void *)job->request;
}

/* What was asked, to be told from another question with the same word. */
static int request_hash(const struct corp_job *job, xn_id *out)
{
    uint8_t *bytes = NULL;
    size_t len;
    int rc = xn_pack(job->request, &bytes, &len);

    if (!rc) xn_id_hash(bytes, len, out);
    free(bytes);
    return rc;
}

static void answer_order(struct corp_job *job, ProtobufCBinaryData envelope)
{
    Xn__IssuedOrder answer = XN__ISSUED_ORDER__INIT;

    answer.serial = xn_id_bytes(&job->serial);
    answer.order = envelope;
    job_answer(job, &answer);
}

static void issued(struct corp_job *job, const struct xn_now *now)
{
    answer_order(job, job_signed(job));
}

static void issue_found(struct corp_job *job, const struct xn_now *now);

static void issue_read(struct corp_job *job, const struct xn_now *now)
{
    job_read_order(job, now, issue_found);
}

static int pack_record(const struct corp_job *job, uint8_t **bytes_out,
                       size_t *len_out)
{
    const struct money_order *order = &job->made.order;
    Xn__OrderRecord record = XN__ORDER_RECORD__INIT;
    xn_id request;
    int rc = request_hash(job, &request);

    if (rc) return rc;
    record.envelope = job_signed(job);
    record.document = xn_id_bytes(&order->head.hash);
    record.request = xn_id_bytes(&request);
    record.account = xn_id_bytes(&order->account);
    record.holder = xn_id_bytes(&order->holder);
    record.currency = (char *)(uintptr_t)order->limits.currency;
    record.amount = order->limits.amount;
    record.until_us = order->limits.until_us;
    return xn_pack(&record, bytes_out, len_out);
}

static void issue_signed(struct corp_job *job, const struct xn_now *now)
{
    const struct money_order *order = &job->made.order;
    struct order_key record = order_key(&job->serial, 'r');
    struct order_key holder = order_key_holder(&order->holder, &job->serial);
    struct order_key end = order_key_end(order->limits.until_us, &job->serial);
    struct ledger_op op;
    uint8_t *bytes = NULL;
    size_t len;
    xn_id id;
    int rc = pack_record(job, &bytes, &len);

    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        return;
    }
    order_op_id(&job->serial, "issue", NULL, 0, &id);
    ledger_op_issue(&op, &id, &order->account, &job->serial,
                    order->limits.amount, order->limits.currency);
    op_write(&op, &record, bytes, len, LEDGER_ABSENT);
    op_write(&op, &holder, NULL, 0, LEDGER_ANY);
    op_write(&op, &end, NULL, 0, LEDGER_ANY);
    job_post(job, now, &op, issued, issue_read);
    free(bytes);
}

static void issue_make(struct corp_job *job, const struct xn_now *now)
{
    const Xn__IssueOrder *want = wanted(job);
    struct money_order *order = &job->made.order;
    struct money_limits *limits = &order->limits;

    memset(&job->made, 0, sizeof job->made);
    job->made.type = MONEY_ORDER;
    order->serial = job->serial;
    order->holder = job->caller;
    order_account(&job->corp->config.id, LEDGER_CLIENT, &job->caller,
                  want->currency, &order->account);
    memcpy(limits->currency, want->currency, sizeof limits->currency);
    limits->amount = want->amount;
    limits->until_us = want->until_us;
    limits->most_per_hour = want->most_per_hour;
    limits->from_us = want->from_us;
    memcpy(limits->env_type, want->env_type, strlen(want->env_type));
    if (want->server.len)
        (void)xn_id_from_bytes(&want->server, &limits->server);
    job_sign(job, now, issue_signed);
}

static void issue_found(struct corp_job *job, const struct xn_now *now)
{
    xn_id request;
    int rc;

    if (!job->order.has_record) {
        /* An order is for ever, and what becomes of it happens once: to bound
         * orders bounds the rest, and nobody waits to take his money back. */
        if (job_take(job, now, job->corp->orders, "orders of one client"))
            issue_make(job, now);
        return;
    }
    rc = request_hash(job, &request);
    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
    } else if (xn_id_eq(&request, &job->order.request)) {
        answer_order(job, job->order.order);
    } else {
        job_refuse(job, XN_ECONFLICT,
                   "another order was issued for this request's word",
                   "a fresh word");
    }
}

/* NULL: well formed. */
static const char *malformed(const Xn__IssueOrder *want, uint64_t now_us)
{
    xn_id server;

    if (want->request.len != XN_ID_SIZE) return "the request is 32 bytes";
    if (strlen(want->currency) != MONEY_CURRENCY_SIZE - 1)
        return "a currency is three capital letters";
    if (want->amount <= 0) return "an order is for more than nothing";
    if (want->most_per_hour < 0) return "the most per hour is below zero";
    if (want->until_us <= now_us) return "it would have ended by now";
    if (want->until_us > now_us + ORDER_LIFE_US_MOST)
        return "it would end in more than 366 days";
    if (want->from_us >= want->until_us) return "it ends before it begins";
    if (strlen(want->env_type) > XN_VALUE_MAX) return "the type is too long";
    if (want->server.len && xn_id_from_bytes(&want->server, &server))
        return "a server's name is 32 bytes";
    return NULL;
}

void corp_issue(struct corp *corp, const struct xn_now *now, uint64_t ask,
                const Xn__Ask *question)
{
    static const char word[] = "xn.order.1";
    struct corp_job *job = job_begin(corp, now, ask, question, &issuing);
    uint8_t parts[2 * XN_ID_SIZE];
    const char *because;

    if (!job) return;
    because = malformed(wanted(job), now->wall_us);
    if (because) {
        job_refuse(job, XN_EINVAL, because, "man xeno");
        return;
    }
    memcpy(parts, corp->config.id.b, XN_ID_SIZE);
    memcpy(parts + XN_ID_SIZE, job->caller.b, XN_ID_SIZE);
    xn_id_hash2(word, sizeof word, parts, sizeof parts, &job->serial);
    xn_id_hash2(job->serial.b, XN_ID_SIZE, wanted(job)->request.data,
                XN_ID_SIZE, &job->serial);
    issue_read(job, now);
}

/* ---- void ---- */

static void fill_status(const struct order_file *order, Xn__OrderStatus *status)
{
    status->serial = xn_id_bytes(&order->serial);
    status->fate = order_fate(order);
    status->currency = (char *)(uintptr_t)order->currency;
    status->amount = order->amount;
    status->until_us = order->until_us;
    status->fenced = order_fenced(order);
    status->order = order->order;
    status->holder = xn_id_bytes(&order->holder);
    if (!order->has_state) return;
    status->charged = order->state.claims.amount;
    status->stopped_us = order->state.stopped_us;
    status->server = xn_id_bytes(&order->bound.terms.server);
    status->session = xn_id_bytes(&order->bound.terms.session);
    status->acceptance = order->acceptance;
}

static void answer_status(struct corp_job *job)
{
    Xn__OrderStatus status = XN__ORDER_STATUS__INIT;

    fill_status(&job->order, &status);
    job_answer(job, &status);
}

static void voided(struct corp_job *job, const struct xn_now *now)
{
    job->order.is_bound = true;
    job->order.bound.fate = XN__ORDER_FATE__VOID_ORDER;
    answer_status(job);
}

static void void_found(struct corp_job *job, const struct xn_now *now);

static void void_read(struct corp_job *job, const struct xn_now *now)
{
    job_read_order(job, now, void_found);
}

static void void_order(struct corp_job *job, const struct xn_now *now)
{
    struct order_bound bound = {.fate = XN__ORDER_FATE__VOID_ORDER,
                                .at_us = now->wall_us};
    struct order_key key = order_key(&job->serial, 'b'), ends[2];
    struct ledger_op op = {.what = LEDGER_VOID};
    uint8_t *bytes = NULL;
    size_t len;
    int rc =
        order_bound_pack(&bound, (ProtobufCBinaryData){0, NULL}, &bytes, &len);

    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        return;
    }
    order_op_id(&job->serial, "void", NULL, 0, &op.id);
    corp_op_release(&job->order, job->order.amount, ends, &op);
    op_write(&op, &key, bytes, len, LEDGER_ABSENT);
    job_post(job, now, &op, voided, void_read);
    free(bytes);
}

static void void_found(struct corp_job *job, const struct xn_now *now)
{
    const struct order_file *order = &job->order;

    if (!order->has_record || !xn_id_eq(&order->holder, &job->caller)) {
        job_refuse(job, XN_ENOENT, "you have no such order", "xeno order list");
        return;
    }
    switch (order_fate(order)) {
    case XN__ORDER_FATE__ISSUED_ORDER: void_order(job, now); break;
    case XN__ORDER_FATE__VOID_ORDER:
    case XN__ORDER_FATE__EXPIRED_ORDER: answer_status(job); break;
    default:
        job_refuse(job, XN_EMONEY, "a server has accepted it",
                   "xeno session stop: what is left is released then");
    }
}

void corp_void(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &voiding);
    const Xn__VoidOrder *want;

    if (!job) return;
    want = (const Xn__VoidOrder *)(const void *)job->request;
    if (xn_id_from_bytes(&want->serial, &job->serial)) {
        job_refuse(job, XN_EINVAL, "a serial is 32 bytes", "xeno order list");
        return;
    }
    void_read(job, now);
}

/* ---- list ---- */

static void list_next(struct corp_job *job, const struct xn_now *now);

/* A copy by packing: what was read goes with the next READ. */
static Xn__OrderStatus *copy_status(const struct order_file *order)
{
    Xn__OrderStatus status = XN__ORDER_STATUS__INIT, *copy = NULL;
    uint8_t *bytes = NULL;
    size_t len;

    fill_status(order, &status);
    if (!xn_pack(&status, &bytes, &len))
        copy = xn__order_status__unpack(NULL, len, bytes);
    free(bytes);
    return copy;
}

static void list_order(struct corp_job *job, const struct xn_now *now)
{
    Xn__OrderStatus *status;

    if (job->order.has_record) {
        status = copy_status(&job->order);
        if (!status) {
            job_refuse(job, XN_ENOMEM, xn_strerror(XN_ENOMEM), "again later");
            return;
        }
        xn__order_status__free_unpacked(job->list.orders[job->at], NULL);
        job->list.orders[job->at] = status;
    }
    job->at++;
    list_next(job, now);
}

static void list_next(struct corp_job *job, const struct xn_now *now)
{
    if (job->at == job->list.n_orders) {
        job_answer(job, &job->list);
        return;
    }
    (void)xn_id_from_bytes(&job->list.orders[job->at]->serial, &job->serial);
    job_read_order(job, now, list_order);
}

/* The names first, each in a status of its own. */
static int take_serials(struct corp_job *job, const Xn__Records *records)
{
    job->list.orders = calloc(LIST_MAX, sizeof *job->list.orders);
    if (!job->list.orders) return XN_ENOMEM;
    job->list.more = records->more;
    for (size_t i = 0; i < records->n_records && i < LIST_MAX; i++) {
        const ProtobufCBinaryData *key = &records->records[i]->key;
        struct order_file order;

        if (key->len != 1 + 2 * XN_ID_SIZE) return XN_EINTEGRITY;
        memset(&order, 0, sizeof order);
        memcpy(order.serial.b, key->data + 1 + XN_ID_SIZE, XN_ID_SIZE);
        job->list.orders[i] = copy_status(&order);
        if (!job->list.orders[i]) return XN_ENOMEM;
        job->list.n_orders++;
    }
    return 0;
}

static void list_found(struct corp_job *job, const struct xn_now *now)
{
    int rc = take_serials(job, XN_BODY(job->found, Xn__Records));

    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        return;
    }
    list_next(job, now);
}

/* The client's own; of the broker's, all orders by holder, or one holder's. */
static int list_place(const struct corp_job *job, const char *query,
                      struct order_key *prefix_out, struct order_key *from_out)
{
    struct corp_arg args[] = {{.name = "after"}, {.name = "holder"}};
    const char *after = args[0].value, *holder = args[1].value;
    xn_id who = job->caller, serial;

    if (corp_args(query, args, 2)) return XN_EINVAL;
    if (holder[0] &&
        (!job->is_staff || xn_id_unhex(holder, strlen(holder), &who))) {
        return XN_EINVAL;
    }
    *prefix_out = order_key_holder(&who, NULL);
    if (job->is_staff && !holder[0]) {
        prefix_out->len = 1;
        if (strlen(after) == 4 * XN_ID_SIZE) {
            if (xn_id_unhex(after, 2 * XN_ID_SIZE, &who)) return XN_EINVAL;
            after += 2 * XN_ID_SIZE;
        } else if (after[0]) {
            return XN_EINVAL;
        }
    }
    *from_out = *prefix_out;
    if (!after[0]) return 0;
    if (xn_id_unhex(after, strlen(after), &serial)) return XN_EINVAL;
    *from_out = order_key_holder(&who, &serial);
    from_out->b[from_out->len++] = 0; /* right behind it */
    return 0;
}

void corp_list(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &listing);
    struct order_key prefix, from;

    if (!job) return;
    if (list_place(job, question->query, &prefix, &from)) {
        job_refuse(job, XN_EINVAL, "not a place in the list",
                   "/v1/orders?after=SERIAL");
        return;
    }
    job_read(job, now, &prefix, &from, LIST_MAX, list_found);
}
