/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger as its callers see it. */
#include "corp/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

#define FETCH_AHEAD 64 /* of the queue, whose accounts are read beforehand */

void ledger_config_default(struct ledger_config *config)
{
    memset(config, 0, sizeof *config);
    config->ops_max = 8192;
    config->accounts_max = 65536;
    config->recent_max = 8192;
}

int ledger_new(const struct ledger_config *config, struct xn_tickets *tickets,
               struct ledger **ledger_out)
{
    struct ledger *ledger;

    if (config->ops_max == 0 || xn_id_is_zero(&config->corp)) return XN_EINVAL;
    ledger = calloc(1, sizeof *ledger);
    if (!ledger) return XN_ENOMEM;
    ledger->config = *config;
    ledger->tickets = tickets;
    *ledger_out = ledger;
    return 0;
}

static void drop_list(struct ledger *ledger, struct ledger_entry **list,
                      void (*drop)(void *owner, void *ctx))
{
    struct ledger_entry *entry, *twin;

    while ((entry = *list)) {
        DL_DELETE(*list, entry);
        while ((twin = entry->twins)) {
            LL_DELETE(entry->twins, twin);
            if (drop) drop(twin->owner, twin->ctx);
            ledger_entry_free(ledger, twin);
        }
        if (drop) drop(entry->owner, entry->ctx);
        ledger_entry_free(ledger, entry);
    }
}

void ledger_free(struct ledger *ledger, void (*drop)(void *owner, void *ctx))
{
    struct ledger_row *row, *tmp;
    struct ledger_recent *r, *next;

    if (!ledger) return;
    if (ledger->ticket) xn_ticket_forget(ledger->tickets, ledger->ticket);
    HASH_ITER(hh, ledger->rows, row, tmp)
    {
        if (!row->reading) continue;
        xn_ticket_forget(ledger->tickets, row->reading);
        row->reading = 0;
        ledger_row_unpin(ledger, row);
    }
    drop_list(ledger, &ledger->queue, drop);
    drop_list(ledger, &ledger->gathering.entries, drop);
    drop_list(ledger, &ledger->flying.entries, drop);
    drop_list(ledger, &ledger->finished, drop);
    ledger_batch_clear(ledger, &ledger->gathering);
    ledger_batch_clear(ledger, &ledger->flying);
    HASH_ITER(hh, ledger->rows, row, tmp)
    {
        HASH_DEL(ledger->rows, row);
        free(row);
    }
    HASH_ITER(hh, ledger->recent, r, next)
    {
        HASH_DEL(ledger->recent, r);
        free(r);
    }
    free(ledger->head_bytes);
    free(ledger->next_bytes);
    free(ledger);
}

/* ---- going on ---- */

/* Those who bring conflicts find no company that was through with them. */
static bool may_join(const struct ledger_batch *batch,
                     const struct ledger_entry *entry)
{
    return !ledger_batch_full(batch) &&
           (entry->careful || entry->kind != ENTRY_OP || !batch->careful);
}

static void judge_queue(struct ledger *ledger, const struct xn_now *now,
                        struct xn_out *out)
{
    struct ledger_entry *entry;
    unsigned n = 0;

    if (ledger->state != LEDGER_READY) return;
    while ((entry = ledger->queue) && may_join(&ledger->gathering, entry) &&
           ledger_have(ledger, now, entry, true, out)) {
        DL_DELETE(ledger->queue, entry);
        ledger_judge(ledger, now, entry, out);
    }
    DL_FOREACH(ledger->queue, entry)
    {
        if (n++ == FETCH_AHEAD) break;
        ledger_have(ledger, now, entry, n == 1, out);
    }
}

/* false: there was nobody to answer. */
static bool answer_all(struct ledger *ledger, const struct xn_now *now,
                       struct xn_out *out)
{
    struct ledger_entry *entry;
    bool any = ledger->finished != NULL;

    while ((entry = ledger->finished)) {
        DL_DELETE(ledger->finished, entry);
        entry->fn(entry->owner, entry->ctx, now, &entry->answer, out);
        ledger_entry_free(ledger, entry);
    }
    return any;
}

static bool can_go_on(const struct ledger *ledger)
{
    return ledger->state == LEDGER_READY && ledger->gathering.n &&
           !ledger->flying.n &&
           (ledger->gathering.n_effects ? !ledger_holds_back(ledger)
                                        : !ledger_in_doubt(&ledger->gathering));
}

void ledger_pump(struct ledger *ledger, const struct xn_now *now,
                 struct xn_out *out)
{
    if (ledger->pumping) return; /* who answers goes on himself */
    ledger->pumping = true;
    do {
        judge_queue(ledger, now, out);
        ledger_send(ledger, now, out);
    } while (answer_all(ledger, now, out) || can_go_on(ledger));
    ledger->pumping = false;
}

/* ---- what comes in ---- */

/* Who gets no place in the queue is answered at once. */
static void answer_now(void *owner, void *ctx, const struct xn_now *now, int rc,
                       const char *because, ledger_answer *fn,
                       struct xn_out *out)
{
    struct ledger_result result = {.rc = rc, .because = because};

    fn(owner, ctx, now, &result, out);
}

/* May one more wait?  0, or the reason why not. */
static int admit(const struct ledger *ledger, const char **because)
{
    if (ledger->state == LEDGER_BROKEN) {
        *because = ledger->because;
        return ledger->fault;
    }
    if (ledger->state == LEDGER_ASKING && ledger->given_up) {
        *because = "the store cannot be reached";
        return XN_EIO;
    }
    if (ledger->n_entries >= ledger->config.ops_max) {
        *because = "as many operations wait as may";
        return XN_EBUSY;
    }
    *because = "";
    return 0;
}

static void enter(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, ledger_answer *fn, void *owner,
                  void *ctx, struct xn_out *out)
{
    entry->fn = fn;
    entry->owner = owner;
    entry->ctx = ctx;
    DL_APPEND(ledger->queue, entry);
    ledger_pump(ledger, now, out);
}

/* The same operation waits already: with it, or against it. */
static void join(struct ledger *ledger, const struct xn_now *now,
                 struct ledger_entry *entry, struct ledger_entry *twin,
                 struct xn_out *out)
{
    if (xn_id_eq(&entry->content, &twin->content)) {
        LL_APPEND(entry->twins, twin);
        return;
    }
    ledger_refuse(twin, XN_ECONFLICT,
                  "another operation with this id is under way");
    ledger_finish(ledger, twin);
    ledger_pump(ledger, now, out);
}

void ledger_post(struct ledger *ledger, const struct xn_now *now,
                 const struct ledger_op *op, ledger_answer *fn, void *owner,
                 void *ctx, struct xn_out *out)
{
    char text[LEDGER_BECAUSE] = "";
    const char *because = text;
    const struct ledger_recent *recent;
    struct ledger_entry *entry = NULL, *other;
    int rc;

    rc = ledger_rules_form(op, text);
    if (!rc) rc = admit(ledger, &because);
    if (!rc) rc = ledger_entry_new(ledger, ENTRY_OP, op, &entry);
    if (rc) {
        answer_now(owner, ctx, now, rc, because[0] ? because : xn_strerror(rc),
                   fn, out);
        return;
    }
    entry->fn = fn;
    entry->owner = owner;
    entry->ctx = ctx;
    HASH_FIND(hh, ledger->by_id, &entry->id, sizeof entry->id, other);
    if (other) {
        join(ledger, now, other, entry, out);
        return;
    }
    recent = ledger_recent_find(ledger, &entry->id);
    if (recent) {
        ledger_recent_answer(recent, entry);
        ledger_finish(ledger, entry);
        ledger_pump(ledger, now, out);
        return;
    }
    HASH_ADD(hh, ledger->by_id, id, sizeof entry->id, entry);
    entry->hashed = true;
    enter(ledger, now, entry, fn, owner, ctx, out);
}

void ledger_look(struct ledger *ledger, const struct xn_now *now,
                 const xn_id *accounts, size_t n, ledger_answer *fn,
                 void *owner, void *ctx, struct xn_out *out)
{
    struct ledger_entry *entry = NULL;
    const char *because;
    size_t i;
    int rc = admit(ledger, &because);

    if (!rc && n > LEDGER_POSTINGS_MAX) rc = XN_ETOOBIG;
    if (!rc) rc = ledger_entry_new(ledger, ENTRY_LOOK, NULL, &entry);
    for (i = 0; i < n && !rc; i++) {
        rc = ledger_entry_pin(ledger, entry, &accounts[i]);
        if (!rc && entry->n_rows != i + 1) rc = XN_EINVAL; /* named twice */
    }
    if (rc) {
        if (entry) ledger_entry_free(ledger, entry);
        answer_now(owner, ctx, now, rc, because[0] ? because : xn_strerror(rc),
                   fn, out);
        return;
    }
    enter(ledger, now, entry, fn, owner, ctx, out);
}

void ledger_recall(struct ledger *ledger, const struct xn_now *now,
                   const xn_id *op, ledger_answer *fn, void *owner, void *ctx,
                   struct xn_out *out)
{
    struct ledger_entry *entry = NULL;
    const struct ledger_recent *recent;
    const char *because;
    int rc = admit(ledger, &because);

    if (!rc) rc = ledger_entry_new(ledger, ENTRY_RECALL, NULL, &entry);
    if (rc) {
        answer_now(owner, ctx, now, rc, because[0] ? because : xn_strerror(rc),
                   fn, out);
        return;
    }
    entry->id = *op;
    recent = ledger_recent_find(ledger, op);
    if (!recent) {
        enter(ledger, now, entry, fn, owner, ctx, out);
        return;
    }
    entry->fn = fn;
    entry->owner = owner;
    entry->ctx = ctx;
    ledger_recent_answer(recent, entry);
    ledger_finish(ledger, entry);
    ledger_pump(ledger, now, out);
}

/* ---- what it says of itself ---- */

enum ledger_state ledger_state(const struct ledger *ledger)
{
    return ledger->state;
}

int ledger_fault(const struct ledger *ledger, const char **because_out)
{
    *because_out = ledger->because;
    return ledger->fault;
}

uint64_t ledger_seq(const struct ledger *ledger, xn_id *hash_out)
{
    *hash_out = ledger->head.hash;
    return ledger->state == LEDGER_STARTING ? 0 : ledger->head.seq;
}

size_t ledger_waiting(const struct ledger *ledger)
{
    return ledger->n_entries;
}

static size_t count(const struct ledger_entry *list)
{
    const struct ledger_entry *entry, *twin;
    size_t n = 0;

    for (entry = list; entry; entry = entry->next) {
        n++;
        for (twin = entry->twins; twin; twin = twin->next)
            n++;
    }
    return n;
}

static const char *wrong(const struct ledger *ledger)
{
    const struct ledger_row *row;
    size_t n = 0;

    for (row = ledger->idle; row; row = row->next) {
        if (row->pins) return "an idle account is in use";
        if (!row->known) return "an idle account is not known";
        n++;
    }
    if (n != ledger->n_idle) return "idle accounts miscounted";
    if (n > ledger->config.accounts_max) return "too many accounts in memory";
    n = 0;
    for (row = ledger->rows; row; row = row->hh.next)
        n += row->pins == 0;
    if (n != ledger->n_idle) return "an unused account is not idle";
    n = count(ledger->queue) + count(ledger->gathering.entries) +
        count(ledger->flying.entries) + count(ledger->finished);
    if (n != ledger->n_entries) return "those who wait are miscounted";
    if (ledger->finished && !ledger->pumping) return "an answer was kept back";
    if (can_go_on(ledger)) return "a batch waits for nothing";
    return NULL;
}

bool ledger_check(const struct ledger *ledger, char *why_out, size_t len)
{
    const char *why = wrong(ledger);

    if (why) snprintf(why_out, len, "ledger: %s", why);
    return !why;
}
