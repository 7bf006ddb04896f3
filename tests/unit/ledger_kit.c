/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/ledger_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corp/audit.h"
#include "lib/err.h"

xn_id lk_id(unsigned kind, uint64_t n)
{
    xn_id id;
    int i;

    memset(&id, (int)kind, sizeof id);
    for (i = 0; i < 8; i++)
        id.b[24 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

void lk_init(struct ledger_kit *kit, const struct net_backing_ops *ops,
             void *backing)
{
    memset(kit, 0, sizeof *kit);
    kit->ops = ops;
    kit->backing = backing;
    ledger_config_default(&kit->config);
    kit->config.corp = lk_id(0x11, 0);
    kit->now.mono_us = 1000000;
    kit->now.wall_us = 1795255200000000;
    xn_out_init(&kit->out);
}

void lk_genesis(struct ledger_kit *kit)
{
    struct xn_msg *msg = NULL;
    const Xn__Txn *txn;
    int rc;

    assert_int_equal(ledger_genesis(&kit->config.corp, kit->now.wall_us, &msg),
                     0);
    txn = XN_BODY(msg, Xn__Txn);
    kit->ops->apply(kit->backing, &txn, 1, &rc);
    assert_int_equal(rc, 0);
    xn_msg_free(msg);
}

void lk_start(struct ledger_kit *kit)
{
    assert_int_equal(xn_tickets_new(&kit->tickets), 0);
    assert_int_equal(ledger_new(&kit->config, kit->tickets, &kit->ledger), 0);
    ledger_start(kit->ledger, &kit->now, &kit->out);
    lk_gather(kit);
}

void lk_begin(struct ledger_kit *kit, const struct net_backing_ops *ops,
              void *backing)
{
    lk_init(kit, ops, backing);
    lk_genesis(kit);
    lk_start(kit);
    lk_settle(kit);
}

void lk_open(struct ledger_kit *kit, const xn_id *op, const xn_id *account,
             enum ledger_kind kind, int64_t floor)
{
    struct ledger_op open;

    ledger_op_open(&open, op, account, kind, "GBP", floor);
    assert_int_equal(lk_do(kit, &open, NULL), 0);
}

void lk_stop(struct ledger_kit *kit)
{
    size_t i;

    for (i = 0; i < kit->n_actions; i++)
        xn_msg_free(kit->actions[i].msg);
    kit->n_actions = 0;
    ledger_free(kit->ledger, NULL);
    kit->ledger = NULL;
    if (kit->tickets) {
        assert_int_equal(xn_tickets_count(kit->tickets), 0);
        xn_tickets_free(kit->tickets, NULL);
    }
    kit->tickets = NULL;
    xn_out_reset(&kit->out);
}

void lk_clear(struct ledger_kit *kit)
{
    lk_stop(kit);
    free(kit->actions);
    kit->actions = NULL;
    xn_out_clear(&kit->out);
}

void lk_gather(struct ledger_kit *kit)
{
    char why[200] = "";
    size_t i;

    assert_int_equal(kit->out.rc, 0);
    for (i = 0; i < kit->out.n; i++) {
        const struct xn_action *act = &kit->out.act[i];

        if (act->kind == XN_ACT_LOG) {
            snprintf(kit->log, sizeof kit->log, "%s",
                     XN_BODY(act->msg, Xn__Log)->text);
            continue;
        }
        if (kit->n_actions == kit->cap) {
            kit->cap = kit->cap ? 2 * kit->cap : 64;
            kit->actions =
                realloc(kit->actions, kit->cap * sizeof *kit->actions);
            assert_non_null(kit->actions);
        }
        kit->actions[kit->n_actions] = *act;
        xn_msg_ref(act->msg);
        kit->n_actions++;
    }
    xn_out_reset(&kit->out);
    if (!ledger_check(kit->ledger, why, sizeof why)) fail_msg("%s", why);
}

static void carry_out(struct ledger_kit *kit, const struct xn_action *act,
                      int *rc_out, struct xn_msg **msg_out)
{
    const Xn__Txn *txn;

    if (act->kind == XN_ACT_TXN) {
        txn = XN_BODY(act->msg, Xn__Txn);
        kit->ops->apply(kit->backing, &txn, 1, rc_out);
    } else {
        assert_int_equal(act->kind, XN_ACT_READ);
        *rc_out =
            kit->ops->read(kit->backing, XN_BODY(act->msg, Xn__Read), msg_out);
    }
}

bool lk_step(struct ledger_kit *kit, bool silent)
{
    struct xn_action act;
    struct xn_msg *msg = NULL;
    int rc;

    if (!kit->n_actions) return false;
    act = kit->actions[0];
    kit->n_actions--;
    memmove(kit->actions, kit->actions + 1, kit->n_actions * sizeof act);
    carry_out(kit, &act, &rc, &msg);
    if (!silent) {
        xn_ticket_end(kit->tickets, act.ticket, &kit->now, rc, msg, &kit->out);
        lk_gather(kit);
    }
    xn_msg_free(msg);
    xn_msg_free(act.msg);
    return true;
}

void lk_settle(struct ledger_kit *kit)
{
    while (lk_step(kit, false))
        ;
}

void lk_pass(struct ledger_kit *kit, uint64_t us)
{
    kit->now.mono_us += us;
    kit->now.wall_us += us;
    xn_tickets_run(kit->tickets, &kit->now, &kit->out);
    lk_gather(kit);
}

void lk_post(struct ledger_kit *kit, const struct ledger_op *op,
             ledger_answer *fn, void *owner, void *ctx)
{
    ledger_post(kit->ledger, &kit->now, op, fn, owner, ctx, &kit->out);
    lk_gather(kit);
}

void lk_keep(void *owner, void *ctx, const struct xn_now *now,
             const struct ledger_result *result, struct xn_out *out)
{
    struct lk_result *keep = ctx;

    assert_false(keep->answered);
    keep->answered = true;
    keep->r = *result;
    snprintf(keep->because, sizeof keep->because, "%s", result->because);
    keep->r.because = keep->because;
    if (result->n_balances) {
        memcpy(keep->balances, result->balances,
               result->n_balances * sizeof keep->balances[0]);
    }
    if (result->n_accounts) {
        memcpy(keep->accounts, result->accounts,
               result->n_accounts * sizeof keep->accounts[0]);
    }
}

int lk_do(struct ledger_kit *kit, const struct ledger_op *op,
          struct lk_result *result_out)
{
    struct lk_result own, *result = result_out ? result_out : &own;

    memset(result, 0, sizeof *result);
    lk_post(kit, op, lk_keep, NULL, result);
    lk_settle(kit);
    assert_true(result->answered);
    return result->r.rc;
}

struct ledger_account lk_look(struct ledger_kit *kit, const xn_id *id)
{
    struct lk_result result = {.answered = false};

    ledger_look(kit->ledger, &kit->now, id, 1, lk_keep, NULL, &result,
                &kit->out);
    lk_gather(kit);
    lk_settle(kit);
    assert_true(result.answered);
    assert_int_equal(result.r.rc, 0);
    assert_int_equal(result.r.n_accounts, 1);
    return result.accounts[0];
}

int lk_recall(struct ledger_kit *kit, const xn_id *id,
              struct lk_result *result_out)
{
    memset(result_out, 0, sizeof *result_out);
    ledger_recall(kit->ledger, &kit->now, id, lk_keep, NULL, result_out,
                  &kit->out);
    lk_gather(kit);
    lk_settle(kit);
    assert_true(result_out->answered);
    return result_out->r.rc;
}

typedef int visit(struct audit *audit, const uint8_t *key, size_t key_len,
                  const uint8_t *value, size_t len);

static int audit_all(struct ledger_kit *kit, struct audit *audit,
                     const char *prefix, visit *fn)
{
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg = NULL;
    uint8_t from[1025];
    bool more = true;
    size_t i;
    int rc = 0;

    read.prefix =
        (ProtobufCBinaryData){strlen(prefix), (uint8_t *)(uintptr_t)prefix};
    read.from.data = from;
    while (more && !rc) {
        const Xn__Records *records;

        rc = kit->ops->read(kit->backing, &read, &msg);
        if (rc) break;
        records = XN_BODY(msg, Xn__Records);
        more = records->more;
        for (i = 0; i < records->n_records && !rc; i++) {
            const Xn__Record *r = records->records[i];

            rc =
                fn(audit, r->key.data, r->key.len, r->value.data, r->value.len);
            memcpy(from, r->key.data, r->key.len);
            from[r->key.len] = 0;
            read.from.len = r->key.len + 1;
        }
        xn_msg_free(msg);
    }
    return rc;
}

static int head_only(struct audit *audit, const uint8_t *key, size_t key_len,
                     const uint8_t *value, size_t len)
{
    return audit_head(audit, value, len);
}

static int others(struct audit *audit, const uint8_t *key, size_t key_len,
                  const uint8_t *value, size_t len)
{
    if (key[0] == 'J' || key[0] == 'K') return 0;
    return audit_record(audit, key, key_len, value, len);
}

int lk_audit(struct ledger_kit *kit, uint64_t expect_seq,
             const xn_id *expect_hash)
{
    struct audit_report report;
    struct audit *audit = NULL;
    int rc = audit_new(&audit);

    assert_int_equal(rc, 0);
    if (expect_seq) audit_expect(audit, expect_seq, expect_hash);
    rc = audit_all(kit, audit, "J", audit_journal);
    if (!rc) rc = audit_all(kit, audit, "K", head_only);
    if (!rc) rc = audit_all(kit, audit, "", others);
    if (!rc) rc = audit_end(audit, &report);
    snprintf(kit->log, sizeof kit->log, "%s", rc ? audit_why(audit) : "");
    audit_free(audit);
    return rc;
}
