/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/crank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"

void crank_init(struct crank *c, struct xn_core *core, uint64_t mono_us,
                uint64_t wall_us)
{
    c->core = core;
    c->now.mono_us = mono_us;
    c->now.wall_us = wall_us;
    c->wake_us = UINT64_MAX;
    memset(&c->digest, 0, sizeof c->digest);
    c->log[0] = 0;
}

static void drop_pending(struct crank *c)
{
    size_t i;

    for (i = 0; i < c->n_pending; i++)
        xn_msg_free(c->pending[i].msg);
    c->n_pending = 0;
}

void crank_stop(struct crank *c)
{
    drop_pending(c);
    xn_core_free(c->core);
    c->core = NULL;
}

void crank_empty(struct crank *c)
{
    while (c->n_records > 0) {
        c->n_records--;
        free(c->records[c->n_records].key);
        free(c->records[c->n_records].value);
    }
}

void crank_clear(struct crank *c)
{
    crank_stop(c);
    free(c->pending);
    crank_empty(c);
    memset(c, 0, sizeof *c);
}

static void chain(struct crank *c, const struct xn_action *act)
{
    uint64_t head[4] = {act->kind, act->ticket, act->peer,
                        act->msg ? act->msg->kind : 0};

    xn_id_hash2(&c->digest, sizeof c->digest, head, sizeof head, &c->digest);
    if (act->msg) {
        xn_id_hash2(&c->digest, sizeof c->digest, act->msg->bytes,
                    act->msg->size, &c->digest);
    }
}

/* Whatever is refused has a reason and a next step.  Where XN_REFUSALS names a
 * file they are gathered there, for tests/refusals-host.t. */
static void note_refusal(const Xn__Answer *answer)
{
    const char *path = getenv("XN_REFUSALS");
    Xn__Refusal *refusal =
        xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
    FILE *file;

    assert_non_null(refusal);
    assert_true(refusal->rc < 0);
    if (!refusal->what[0] || !refusal->because[0] || !refusal->try_[0]) {
        fail_msg("a refusal without reason or next step: %s: %s", refusal->what,
                 refusal->because);
    }
    file = path ? fopen(path, "ae") : NULL;
    if (file) {
        fprintf(file, "%d\t%s\t%s\t%s\n", refusal->rc, refusal->what,
                refusal->because, refusal->try_);
        fclose(file);
    }
    xn__refusal__free_unpacked(refusal, NULL);
}

static void keep(struct crank *c, const struct xn_action *act)
{
    chain(c, act);
    if (act->kind == XN_ACT_ANSWER &&
        XN_BODY(act->msg, Xn__Answer)->status >= 400) {
        note_refusal(XN_BODY(act->msg, Xn__Answer));
    }
    if (act->kind == XN_ACT_LOG) {
        snprintf(c->log, sizeof c->log, "%s", XN_BODY(act->msg, Xn__Log)->text);
        return;
    }
    if (c->n_pending == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 16;
        c->pending = realloc(c->pending, c->cap * sizeof *c->pending);
        assert_non_null(c->pending);
    }
    c->pending[c->n_pending] = *act;
    xn_msg_ref(act->msg);
    c->n_pending++;
}

static void step(struct crank *c, const struct xn_event *ev)
{
    struct xn_outbox out;
    char why[256] = "";
    size_t i;

    assert_int_equal(xn_core_step(c->core, &c->now, ev, &out), 0);
    for (i = 0; i < out.n; i++)
        keep(c, &out.act[i]);
    c->wake_us = out.wake_us;
    if (!xn_core_check(c->core, why, sizeof why)) fail_msg("%s", why);
}

void crank_event(struct crank *c, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg)
{
    struct xn_event ev = {kind, ticket, rc, XN_PEER_NONE, msg};

    step(c, &ev);
}

void crank_up(struct crank *c, xn_peer peer)
{
    struct xn_event ev = {.kind = XN_EV_UP, .peer = peer};
    Xn__Up body = XN__UP__INIT;

    body.incoming = true;
    assert_int_equal(xn_msg_new(XN__KIND__UP, &body, &ev.msg), 0);
    step(c, &ev);
    xn_msg_free(ev.msg);
}

void crank_hear(struct crank *c, xn_peer peer, struct xn_msg *msg)
{
    const struct xn_event ev = {.kind = XN_EV_MSG, .peer = peer, .msg = msg};

    step(c, &ev);
}

void crank_wake(struct crank *c)
{
    crank_event(c, XN_EV_WAKE, 0, 0, NULL);
}

void crank_pass(struct crank *c, uint64_t us)
{
    uint64_t until = c->now.mono_us + us;

    while (c->wake_us <= until) {
        uint64_t to = c->wake_us > c->now.mono_us ? c->wake_us : c->now.mono_us;

        c->now.wall_us += to - c->now.mono_us;
        c->now.mono_us = to;
        crank_wake(c);
    }
    c->now.wall_us += until - c->now.mono_us;
    c->now.mono_us = until;
}

uint64_t crank_ask_raw(struct crank *c, const char *method, const char *path,
                       const uint8_t *body, size_t len,
                       const Xn__Caller *caller)
{
    Xn__Ask ask = XN__ASK__INIT;
    struct xn_msg *msg = NULL;

    ask.method = (char *)(uintptr_t)method;
    ask.path = (char *)(uintptr_t)path;
    ask.body.data = (uint8_t *)(uintptr_t)body;
    ask.body.len = len;
    ask.caller = (Xn__Caller *)(uintptr_t)caller;
    assert_int_equal(xn_msg_new(XN__KIND__ASK, &ask, &msg), 0);
    crank_event(c, XN_EV_ASK, ++c->asked, 0, msg);
    xn_msg_free(msg);
    return c->asked;
}

static uint8_t *pack(const ProtobufCMessage *body, size_t *len_out)
{
    uint8_t *bytes;

    *len_out = body ? protobuf_c_message_get_packed_size(body) : 0;
    bytes = malloc(*len_out + 1);
    assert_non_null(bytes);
    if (body) protobuf_c_message_pack(body, bytes);
    return bytes;
}

uint64_t crank_ask(struct crank *c, const char *method, const char *path,
                   const void *body, const Xn__Caller *caller)
{
    size_t len;
    uint8_t *bytes = pack(body, &len);
    uint64_t ask = crank_ask_raw(c, method, path, bytes, len, caller);

    free(bytes);
    return ask;
}

size_t crank_count(const struct crank *c, enum xn_act kind)
{
    size_t i, n = 0;

    for (i = 0; i < c->n_pending; i++)
        n += c->pending[i].kind == kind;
    return n;
}

static struct xn_action take_at(struct crank *c, size_t i)
{
    struct xn_action act = c->pending[i];

    c->n_pending--;
    memmove(&c->pending[i], &c->pending[i + 1],
            (c->n_pending - i) * sizeof c->pending[0]);
    return act;
}

struct xn_action crank_take(struct crank *c, enum xn_act kind)
{
    size_t i;

    for (i = 0; i < c->n_pending; i++) {
        if (c->pending[i].kind == kind) return take_at(c, i);
    }
    fail_msg("no %s among %zu actions; log: %s", xn_act_name(kind),
             c->n_pending, c->log);
    return (struct xn_action){0};
}

const Xn__Answer *crank_answer(struct crank *c, uint64_t ask,
                               struct xn_msg **msg_out)
{
    size_t i;

    for (i = 0; i < c->n_pending; i++) {
        if (c->pending[i].kind == XN_ACT_ANSWER &&
            c->pending[i].ticket == ask) {
            *msg_out = take_at(c, i).msg;
            assert_int_equal((*msg_out)->kind, XN__KIND__ANSWER);
            return XN_BODY(*msg_out, Xn__Answer);
        }
    }
    fail_msg("no answer to %llu; log: %s", (unsigned long long)ask, c->log);
    return NULL;
}

void *crank_answered(struct crank *c, uint64_t ask,
                     const ProtobufCMessageDescriptor *type)
{
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(c, ask, &msg);
    Xn__Refusal *refusal;
    ProtobufCMessage *body;

    if (answer->status != 200) {
        refusal =
            xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
        assert_non_null(refusal);
        fail_msg("refused: %s: %s", refusal->what, refusal->because);
    }
    body = protobuf_c_message_unpack(type, NULL, answer->body.len,
                                     answer->body.data);
    assert_non_null(body);
    xn_msg_free(msg);
    return body;
}

static Xn__Refusal *take_refusal(struct crank *c, uint64_t ask)
{
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(c, ask, &msg);
    Xn__Refusal *refusal =
        xn__refusal__unpack(NULL, answer->body.len, answer->body.data);

    assert_true(answer->status >= 400);
    assert_non_null(refusal);
    assert_string_not_equal(refusal->what, "");
    assert_string_not_equal(refusal->because, "");
    xn_msg_free(msg);
    return refusal;
}

int crank_refused(struct crank *c, uint64_t ask)
{
    Xn__Refusal *refusal = take_refusal(c, ask);
    int rc = refusal->rc;

    xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

int crank_refused_why(struct crank *c, uint64_t ask, char because_out[300])
{
    Xn__Refusal *refusal = take_refusal(c, ask);
    int rc = refusal->rc;

    assert_string_not_equal(refusal->try_, "");
    if (because_out) snprintf(because_out, 300, "%s", refusal->because);
    xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

void crank_done(struct crank *c, struct xn_action *act, int rc, unsigned kind,
                const void *body)
{
    struct xn_msg *msg = NULL;

    if (body) assert_int_equal(xn_msg_new(kind, body, &msg), 0);
    if (act->ticket) crank_event(c, XN_EV_DONE, act->ticket, rc, msg);
    xn_msg_free(msg);
    xn_msg_free(act->msg);
    act->msg = NULL;
}

void crank_called(struct crank *c, struct xn_action *act, int status,
                  const void *body, const Xn__Caller *server)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    uint8_t *bytes = pack(body, &answer.body.len);

    answer.status = status;
    answer.content_type = (char *)(uintptr_t) "application/x-protobuf";
    answer.body.data = bytes;
    answer.server = (Xn__Caller *)(uintptr_t)server;
    crank_done(c, act, 0, XN__KIND__ANSWER, &answer);
    free(bytes);
}

/* ---- the store ---- */

static int key_cmp(const struct crank_record *r, const ProtobufCBinaryData *key)
{
    size_t n = r->key_len < key->len ? r->key_len : key->len;
    int d = n ? memcmp(r->key, key->data, n) : 0;

    if (d) return d;
    return r->key_len < key->len ? -1 : r->key_len > key->len;
}

/* The first record that is not before key. */
static size_t lower(const struct crank *c, const ProtobufCBinaryData *key)
{
    size_t i = 0;

    while (i < c->n_records && key_cmp(&c->records[i], key) < 0)
        i++;
    return i;
}

static bool has_prefix(const struct crank_record *r,
                       const ProtobufCBinaryData *prefix)
{
    return r->key_len >= prefix->len &&
           (!prefix->len || !memcmp(r->key, prefix->data, prefix->len));
}

void crank_serve_read(struct crank *c)
{
    struct xn_action act = crank_take(c, XN_ACT_READ);
    const Xn__Read *read = XN_BODY(act.msg, Xn__Read);
    Xn__Records records = XN__RECORDS__INIT;
    Xn__Record rows[1000], *list[1000];
    size_t i = lower(c, read->from.len ? &read->from : &read->prefix);

    assert_true(read->limit > 0 && read->limit <= 1000);
    for (; i < c->n_records; i++) {
        struct crank_record *r = &c->records[i];

        if (!has_prefix(r, &read->prefix)) break;
        if (records.n_records == read->limit) {
            records.more = true;
            break;
        }
        list[records.n_records] = &rows[records.n_records];
        xn__record__init(&rows[records.n_records]);
        rows[records.n_records].key.data = r->key;
        rows[records.n_records].key.len = r->key_len;
        rows[records.n_records].value.data = r->value;
        rows[records.n_records].value.len = r->value_len;
        records.n_records++;
    }
    records.records = list;
    crank_done(c, &act, 0, XN__KIND__RECORDS, &records);
}

static bool guard_holds(const struct crank *c, const Xn__Guard *guard)
{
    size_t i = lower(c, &guard->key);
    const struct crank_record *r = &c->records[i];

    if (i == c->n_records || key_cmp(r, &guard->key) != 0) {
        return guard->absent;
    }
    return !guard->absent && r->value_len == guard->value.len &&
           !memcmp(r->value, guard->value.data, r->value_len);
}

static void *copy(const ProtobufCBinaryData *data)
{
    void *bytes = malloc(data->len + 1);

    assert_non_null(bytes);
    if (data->len) memcpy(bytes, data->data, data->len);
    return bytes;
}

static void apply(struct crank *c, const Xn__Write *write)
{
    size_t i = lower(c, &write->key);
    struct crank_record *r = &c->records[i];

    if (i < c->n_records && key_cmp(r, &write->key) == 0) {
        free(r->key);
        free(r->value);
        memmove(r, r + 1, (--c->n_records - i) * sizeof *r);
    }
    if (write->drop) return;
    assert_true(c->n_records < CRANK_RECORDS_MAX);
    memmove(r + 1, r, (c->n_records++ - i) * sizeof *r);
    r->key = copy(&write->key);
    r->key_len = write->key.len;
    r->value = copy(&write->value);
    r->value_len = write->value.len;
}

void crank_serve_txn(struct crank *c)
{
    struct xn_action act = crank_take(c, XN_ACT_TXN);
    const Xn__Txn *txn = XN_BODY(act.msg, Xn__Txn);
    size_t i;

    for (i = 0; i < txn->n_guards; i++) {
        if (guard_holds(c, txn->guards[i])) continue;
        crank_done(c, &act, XN_ECONFLICT, 0, NULL);
        return;
    }
    for (i = 0; i < txn->n_writes; i++)
        apply(c, txn->writes[i]);
    crank_done(c, &act, 0, 0, NULL);
}

void crank_serve_store(struct crank *c)
{
    for (;;) {
        if (crank_count(c, XN_ACT_READ))
            crank_serve_read(c);
        else if (crank_count(c, XN_ACT_TXN))
            crank_serve_txn(c);
        else
            return;
    }
}
