/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random operations, failing stores, crashes: ledger and model must agree.
 *
 *   LEDGER_SEQUENCES=N   how many (300)
 *   LEDGER_SEED=N        of the first (1); a failure names its own
 *   LEDGER_TRACE=1       say what happens
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "tests/unit/ledger_kit.h"
#include "tests/unit/ledger_model.h"
#include "tests/unit/mem_store.h"
#include "wire/store.pb-c.h"

enum { STEPS = 80, ASKED_MAX = 256, ACCOUNTS = MODEL_ACCOUNTS };

/* An operation that was given, and what came of it. */
struct asked {
    struct run *run;
    struct ledger_op op;
    uint64_t values[LEDGER_WRITES_MAX], was[LEDGER_WRITES_MAX];
    uint8_t keys[LEDGER_WRITES_MAX][2];
    bool answered;
    bool unknown;
    int rc;
    unsigned answered_step;
};

struct run {
    uint64_t seed;
    unsigned step;
    struct xn_rng rng;
    struct mem_store store;
    struct ledger_kit kit;
    struct model model;
    struct asked asked[ASKED_MAX];
    size_t n_asked;
    unsigned faults; /* injected so far */
    bool unknown;    /* somebody was told XN_EUNKNOWN */
    unsigned done, refused, repeated, failed, crashes;
};

#define CHECK(run, what)                                                       \
    do {                                                                       \
        if (!(what))                                                           \
            fail_msg("LEDGER_SEED=%llu step %u: %s",                           \
                     (unsigned long long)(run)->seed, (run)->step, #what);     \
    } while (0)

static void trace(const struct run *run, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void trace(const struct run *run, const char *fmt, ...)
{
    va_list ap;

    if (!getenv("LEDGER_TRACE")) return;
    printf("# step %u: ", run->step);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

static uint64_t below(struct run *run, uint64_t n)
{
    return xn_rng_below(&run->rng, n);
}

/* ---- making operations ---- */

static xn_id account(struct run *run)
{
    return lk_id(0xaa, below(run, ACCOUNTS));
}

static const char *currency(struct run *run)
{
    return below(run, 4) ? "GBP" : "USD";
}

static int64_t amount(struct run *run)
{
    if (below(run, 30) == 0) return INT64_MAX - (int64_t)below(run, 3);
    return 1 + (int64_t)below(run, 100);
}

static int64_t floor_of(struct run *run)
{
    switch (below(run, 4)) {
    case 0: return LEDGER_FLOOR_NONE;
    case 1: return -(int64_t)below(run, 200);
    default: return 0;
    }
}

static void any_postings(struct run *run, struct ledger_op *op)
{
    size_t i, n = 2 + below(run, 4);
    int64_t rest = 0;

    op->what = LEDGER_OTHER;
    op->n_postings = n;
    for (i = 0; i < n; i++) {
        op->postings[i].account = account(run);
        op->postings[i].micro = (int64_t)below(run, 61) - 30;
        if (i == n - 1 && below(run, 8)) op->postings[i].micro = -rest;
        if (op->postings[i].micro == 0) op->postings[i].micro = 1;
        rest += op->postings[i].micro;
        strcpy(op->postings[i].currency, currency(run));
    }
}

static void make_money(struct run *run, struct ledger_op *op, const xn_id *id)
{
    xn_id a = account(run), b = account(run), c = account(run);
    int64_t n = amount(run);

    switch (below(run, 10)) {
    case 0:
    case 1:
    case 2:
        ledger_op_open(op, id, &a, LEDGER_CLIENT, currency(run), floor_of(run));
        break;
    case 3:
    case 4: ledger_op_move(op, LEDGER_PAY_IN, id, &a, &b, n, "GBP"); break;
    case 5: ledger_op_issue(op, id, &a, &b, n, currency(run)); break;
    case 6:
        ledger_op_charge(op, id, &a, &b, &c, n, n / 10, currency(run));
        break;
    case 7:
        /* What is left of it, as the model knows it now: often right. */
        n = run->model.accounts[a.b[31]].balance;
        if (n < 0) n = 1;
        ledger_op_release(op, LEDGER_RELEASE, id, &a, &b, n, "GBP");
        break;
    case 8:
        memset(op, 0, sizeof *op);
        op->id = *id;
        op->what = LEDGER_CREDIT;
        op->n_floors = 1;
        op->floors[0].account = a;
        op->floors[0].floor = floor_of(run);
        break;
    default:
        memset(op, 0, sizeof *op);
        op->id = *id;
        any_postings(run, op);
    }
}

/* The newest value that somebody wrote or wants to write; often what is
 * there. */
static uint64_t last_value(struct run *run, unsigned record)
{
    size_t i, j;

    for (i = run->n_asked; i-- > 0;) {
        const struct ledger_op *op = &run->asked[i].op;

        for (j = 0; j < op->n_writes; j++) {
            if (run->asked[i].keys[j][1] == record && !op->writes[j].drop)
                return run->asked[i].values[j];
        }
        if (run->n_asked - i > 4) break;
    }
    return run->model.records[record];
}

static void make_writes(struct run *run, struct asked *asked)
{
    size_t n = below(run, 3) ? 0 : 1 + below(run, 2), i;

    asked->op.n_writes = n;
    for (i = 0; i < n; i++) {
        struct ledger_write *w = &asked->op.writes[i];
        unsigned record = (unsigned)(i * 2 + below(run, 2));

        asked->keys[i][0] = 'x';
        asked->keys[i][1] = (uint8_t)record;
        asked->values[i] = 1 + below(run, 1000);
        asked->was[i] = last_value(run, record);
        w->key = asked->keys[i];
        w->key_len = 2;
        w->value = (const uint8_t *)&asked->values[i];
        w->len = sizeof asked->values[i];
        w->drop = below(run, 6) == 0;
        w->guard = (enum ledger_guard)below(run, 3);
        if (w->guard != LEDGER_EQUALS) continue;
        if (!asked->was[i]) asked->was[i] = 1;
        w->was = (const uint8_t *)&asked->was[i];
        w->was_len = sizeof asked->was[i];
    }
}

static void on_answer(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *result, struct xn_out *out);

static void post(struct run *run, struct asked *asked)
{
    size_t i;

    trace(run, "post %u %s, %zu postings", asked->op.id.b[31],
          ledger_what_name(asked->op.what), asked->op.n_postings);
    for (i = 0; i < asked->op.n_writes; i++) {
        trace(run, "  record %u: %s %llu, guard %d %llu", asked->keys[i][1],
              asked->op.writes[i].drop ? "drop" : "write",
              (unsigned long long)asked->values[i], asked->op.writes[i].guard,
              (unsigned long long)asked->was[i]);
    }
    lk_post(&run->kit, &asked->op, on_answer, run, asked);
}

/* Something to begin with: money, and some who may have it. */
static void furnish(struct run *run)
{
    uint64_t i;

    for (i = 0; i < 5; i++) {
        struct asked *asked = &run->asked[run->n_asked++];
        xn_id id = lk_id(0xbb, run->n_asked), to = lk_id(0xaa, i);

        asked->run = run;
        ledger_op_open(&asked->op, &id, &to, LEDGER_CLIENT, "GBP",
                       i ? 0 : LEDGER_FLOOR_NONE);
        post(run, asked);
    }
    for (i = 1; i < 5; i++) {
        struct asked *asked = &run->asked[run->n_asked++];
        xn_id id = lk_id(0xbb, run->n_asked), from = lk_id(0xaa, 0);
        xn_id to = lk_id(0xaa, i);

        asked->run = run;
        ledger_op_move(&asked->op, LEDGER_PAY_IN, &id, &from, &to, 500, "GBP");
        post(run, asked);
    }
}

/* A new one, or one of before: the same again, or its id with other words. */
static void ask(struct run *run)
{
    struct asked *asked = &run->asked[run->n_asked], *old;
    xn_id id = lk_id(0xbb, 1 + run->n_asked);

    if (run->n_asked == ASKED_MAX) return;
    asked->run = run;
    make_money(run, &asked->op, &id);
    make_writes(run, asked);
    if (run->n_asked && below(run, 6) == 0) {
        old = &run->asked[below(run, run->n_asked)];
        if (below(run, 3)) {
            *asked = *old;
            asked->op.n_writes = 0; /* not part of what it says */
            asked->answered = asked->unknown = false;
        } else {
            asked->op.id = old->op.id;
        }
    }
    run->n_asked++;
    post(run, asked);
}

/* ---- judging answers ---- */

static bool is_failure(int rc)
{
    return rc == XN_EIO || rc == XN_ENOSPC || rc == XN_EUNKNOWN ||
           rc == XN_ETIMEOUT;
}

/* Does another with that id wait? */
static bool is_pending(const struct run *run, const struct asked *but)
{
    size_t i;

    for (i = 0; i < run->n_asked; i++) {
        const struct asked *a = &run->asked[i];

        if (a != but && !a->answered && xn_id_eq(&a->op.id, &but->op.id))
            return true;
    }
    return false;
}

/* Who repeats an operation that still waits shares its fate, refusals too,
 * though what it would write itself may differ. */
static bool shares_fate(const struct run *run, const struct asked *asked,
                        int rc)
{
    size_t i;

    for (i = 0; i < run->n_asked; i++) {
        const struct asked *a = &run->asked[i];

        if (a != asked && a->answered && a->answered_step == run->step &&
            a->rc == rc && xn_id_eq(&a->op.id, &asked->op.id) &&
            model_same(&a->op, &asked->op))
            return true;
    }
    return false;
}

static void record(struct run *run, const struct asked *asked,
                   const struct ledger_result *r)
{
    struct model_done *done = &run->model.done[run->model.n_done - 1];

    CHECK(run, r->seq > 0);
    CHECK(run, run->model.n_done <= MODEL_OPS);
    if (run->model.n_done > 1) {
        const struct model_done *last = done - 1;

        CHECK(run, r->seq > last->seq ||
                       (r->seq == last->seq && r->index == last->index + 1));
    }
    done->seq = r->seq;
    done->index = r->index;
}

static void on_answer(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *r, struct xn_out *out)
{
    int64_t balances[LEDGER_POSTINGS_MAX];
    struct asked *asked = ctx;
    struct run *run = owner;
    const struct model_done *known = model_find(&run->model, &asked->op.id);
    int rc;

    CHECK(run, !asked->answered);
    asked->answered = true;
    asked->rc = r->rc;
    asked->answered_step = run->step;
    trace(run, "answer %u %s %s%s record %llu.%u", asked->op.id.b[31],
          xn_errname(r->rc), r->because, r->repeated ? " (repeated)" : "",
          (unsigned long long)r->seq, r->index);
    if (is_failure(r->rc)) {
        CHECK(run, run->faults > 0);
        run->failed++;
        asked->unknown = r->rc == XN_EUNKNOWN;
        run->unknown |= asked->unknown;
        return;
    }
    if (r->rc == XN_ECONFLICT && is_pending(run, asked)) return;
    if (r->rc && shares_fate(run, asked, r->rc)) return;
    rc = model_do(&run->model, &asked->op, balances);
    if (rc != r->rc) {
        fail_msg("LEDGER_SEED=%llu step %u: model %s, ledger %s (%s)",
                 (unsigned long long)run->seed, run->step, xn_errname(rc),
                 xn_errname(r->rc), r->because);
    }
    CHECK(run, (r->rc == 0) == (r->because[0] == 0));
    if (r->rc) {
        run->refused++;
        return;
    }
    CHECK(run, r->repeated == (known != NULL));
    CHECK(run, r->n_balances == asked->op.n_postings);
    CHECK(run,
          !memcmp(balances, r->balances, r->n_balances * sizeof balances[0]));
    if (known) {
        CHECK(run, known->seq == r->seq && known->index == r->index);
        run->repeated++;
        return;
    }
    record(run, asked, r);
    run->done++;
}

/* ---- after a crash, or an unknown outcome ---- */

struct found {
    struct asked *asked;
    struct lk_result result;
};

static int by_place(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->result.r.seq != y->result.r.seq)
        return x->result.r.seq < y->result.r.seq ? -1 : 1;
    if (x->result.r.index != y->result.r.index)
        return x->result.r.index < y->result.r.index ? -1 : 1;
    return x->asked < y->asked ? -1 : 1; /* the first one's writes were made */
}

/* Ask what became of those whose fate is unknown; the model follows. */
static void find_out(struct run *run)
{
    struct found found[ASKED_MAX];
    int64_t balances[LEDGER_POSTINGS_MAX];
    size_t n = 0, i;

    for (i = 0; i < run->n_asked; i++) {
        struct asked *asked = &run->asked[i];
        bool open = !asked->answered || asked->unknown;

        asked->answered = true;
        asked->unknown = false;
        if (!open || model_find(&run->model, &asked->op.id)) continue;
        if (lk_recall(&run->kit, &asked->op.id, &found[n].result)) continue;
        found[n++].asked = asked;
    }
    qsort(found, n, sizeof found[0], by_place);
    for (i = 0; i < n; i++) {
        struct asked *asked = found[i].asked;

        /* Of two with one id and other words only one happened: the first
         * that the model can do with these balances. */
        if (model_find(&run->model, &asked->op.id)) continue;
        CHECK(run, model_do(&run->model, &asked->op, balances) == 0);
        CHECK(run, found[i].result.r.n_balances == asked->op.n_postings);
        record(run, asked, &found[i].result.r);
        run->done++;
    }
    run->unknown = false;
}

static void get_ready(struct run *run)
{
    unsigned n = 0;

    lk_settle(&run->kit);
    while (ledger_state(run->kit.ledger) != LEDGER_READY) {
        CHECK(run, ledger_state(run->kit.ledger) != LEDGER_BROKEN);
        CHECK(run, n++ < 50);
        lk_pass(&run->kit, 31000000);
        lk_settle(&run->kit);
    }
}

static void crash(struct run *run)
{
    run->crashes++;
    trace(run, "crash, %zu actions under way", run->kit.n_actions);
    if (run->kit.n_actions && below(run, 2)) {
        if (run->kit.actions[0].kind == XN_ACT_TXN) {
            lk_step(&run->kit, true); /* written, and nobody knows */
        }
    }
    lk_stop(&run->kit);
    run->store.fail_rc = 0;
    run->store.fail_reads = 0;
    lk_start(&run->kit);
    get_ready(run);
    find_out(run);
}

static void fault(struct run *run)
{
    static const int rcs[] = {XN_ENOSPC, XN_EIO, XN_ETIMEOUT};

    run->faults++;
    trace(run, "a fault is laid");
    if (below(run, 4) == 0) {
        run->store.fail_reads = 1 + (unsigned)below(run, 2);
        return;
    }
    run->store.fail_rc = rcs[below(run, 3)];
    run->store.fail_after = run->store.fail_rc != XN_ENOSPC && below(run, 2);
}

/* ---- the end ---- */

static void compare(struct run *run)
{
    Xn__LedgerHead *head;
    struct mem_record *r;
    int64_t sum[2] = {0, 0};
    size_t i;

    for (i = 0; i < ACCOUNTS; i++) {
        const struct ledger_account *want = &run->model.accounts[i];
        xn_id id = lk_id(0xaa, i);
        struct ledger_account is = lk_look(&run->kit, &id);

        CHECK(run, is.exists == want->exists && is.closed == want->closed);
        CHECK(run, is.balance == want->balance && is.floor == want->floor);
        CHECK(run, !strcmp(is.currency, want->currency));
        sum[!strcmp(is.currency, "GBP")] += is.balance;
    }
    CHECK(run, sum[0] == 0 && sum[1] == 0);
    for (i = 0; i < MODEL_RECORDS; i++) {
        uint8_t key[2] = {'x', (uint8_t)i};
        uint64_t value = 0;

        r = mem_store_get(&run->store, key, 2);
        if (r) memcpy(&value, r->value, sizeof value);
        CHECK(run, value == run->model.records[i]);
    }
    r = mem_store_get(&run->store, "K", 1);
    CHECK(run, r != NULL);
    head = xn__ledger_head__unpack(NULL, r->len, r->value);
    CHECK(run, head && head->operations == run->model.n_done);
    xn__ledger_head__free_unpacked(head, NULL);
}

static void sequence(struct run *run, uint64_t seed)
{
    memset(run, 0, sizeof *run);
    run->seed = seed;
    xn_rng_seed(&run->rng, seed);
    lk_init(&run->kit, &mem_store_ops, &run->store);
    run->kit.config.accounts_max = (uint32_t)below(&*run, 6);
    run->kit.config.recent_max = (uint32_t)below(run, 6);
    lk_genesis(&run->kit);
    lk_start(&run->kit);
    furnish(run);
    for (run->step = 0; run->step < STEPS; run->step++) {
        uint64_t dice = below(run, 100);

        if (dice < 50)
            ask(run);
        else if (dice < 95)
            lk_step(&run->kit, false);
        else if (dice < 97)
            fault(run);
        else if (dice < 98)
            get_ready(run);
        else
            crash(run);
        if (run->unknown) {
            get_ready(run);
            find_out(run);
        }
    }
    run->store.fail_rc = 0;
    run->store.fail_reads = 0;
    get_ready(run);
    CHECK(run, ledger_waiting(run->kit.ledger) == 0);
    if (run->unknown) find_out(run);
    compare(run);
    crash(run);
    compare(run);
    if (lk_audit(&run->kit, 0, NULL)) {
        fail_msg("LEDGER_SEED=%llu: audit: %s", (unsigned long long)run->seed,
                 run->kit.log);
    }
    lk_clear(&run->kit);
    mem_store_clear(&run->store);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void sequences(void **state)
{
    uint64_t n = from_environment("LEDGER_SEQUENCES", 300), i;
    uint64_t seed = from_environment("LEDGER_SEED", 1);
    uint64_t done = 0, refused = 0, repeated = 0, failed = 0, crashes = 0;
    struct run *run = malloc(sizeof *run);

    assert_non_null(run);
    for (i = 0; i < n; i++) {
        sequence(run, seed + i);
        done += run->done;
        refused += run->refused;
        repeated += run->repeated;
        failed += run->failed;
        crashes += run->crashes;
    }
    printf("# %llu sequences: %llu done, %llu refused, %llu repeated, %llu "
           "failed with the store, %llu crashes\n",
           (unsigned long long)n, (unsigned long long)done,
           (unsigned long long)refused, (unsigned long long)repeated,
           (unsigned long long)failed, (unsigned long long)crashes);
    if (n >= 100) { /* the generator reaches what it is for */
        assert_true(done > 5 * n && refused > n && repeated > n / 4);
        assert_true(failed > n / 4 && crashes >= n);
    }
    free(run);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(sequences)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
