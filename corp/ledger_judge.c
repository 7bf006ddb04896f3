/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Judging: whether an operation may be done is found out in memory, and takes
 * effect there at once.  Its records wait, pending, for the TXN. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

void ledger_pending_free(struct ledger_pending *p)
{
    if (!p) return;
    free(p->key);
    free(p->value);
    free(p->was);
    free(p);
}

static struct ledger_pending *find_pending(struct ledger_batch *batch,
                                           const struct ledger_write *w)
{
    struct ledger_pending *p;

    HASH_FIND(hh, batch->pending, w->key, w->key_len, p);
    return p;
}

static bool equals(const struct ledger_write *w, const uint8_t *value,
                   size_t len)
{
    return len == w->was_len && (len == 0 || !memcmp(value, w->was, len));
}

/* Does the guard hold, as far as it can be told without the store? */
static bool guard_holds(struct ledger *ledger, const struct ledger_entry *entry,
                        size_t i)
{
    const struct ledger_write *w = &entry->op.writes[i];
    const struct ledger_pending *p = find_pending(&ledger->gathering, w);

    if (w->guard == LEDGER_ANY) return true;
    if (!p) p = find_pending(&ledger->flying, w);
    if (p) {
        if (w->guard == LEDGER_ABSENT) return p->drop;
        return !p->drop && equals(w, p->value, p->len);
    }
    if (!entry->careful) return true;
    if (w->guard == LEDGER_ABSENT) return !entry->seen[i];
    return entry->seen[i] && equals(w, entry->seen[i], entry->seen_len[i]);
}

static int copy_bytes(uint8_t **out, const uint8_t *data, size_t len)
{
    *out = malloc(len + 1);
    if (!*out) return XN_ENOMEM;
    if (len) memcpy(*out, data, len);
    return 0;
}

static struct ledger_pending *new_pending(const struct ledger_write *w)
{
    struct ledger_pending *p = calloc(1, sizeof *p);

    if (!p) return NULL;
    if (copy_bytes(&p->key, w->key, w->key_len) ||
        copy_bytes(&p->value, w->value, w->len) ||
        copy_bytes(&p->was, w->was, w->was_len)) {
        ledger_pending_free(p);
        return NULL;
    }
    p->key_len = w->key_len;
    p->len = w->len;
    p->drop = w->drop;
    p->was_len = w->was_len;
    return p;
}

/* The TXN checks a guard only where nothing before it on the way to the store
 * writes that record. */
static void add_pending(struct ledger *ledger, const struct ledger_write *w,
                        struct ledger_pending *fresh)
{
    struct ledger_pending *p = find_pending(&ledger->gathering, w);
    uint8_t *value;

    if (!p) {
        if (!find_pending(&ledger->flying, w)) fresh->guard = w->guard;
        HASH_ADD_KEYPTR(hh, ledger->gathering.pending, fresh->key,
                        fresh->key_len, fresh);
        return;
    }
    value = p->value;
    p->value = fresh->value;
    p->len = fresh->len;
    p->drop = fresh->drop;
    fresh->value = value;
    ledger_pending_free(fresh);
}

static int touch(struct ledger_batch *batch, struct ledger_row *row)
{
    if (row->touched) return 0;
    if (batch->n_touched == batch->cap_touched) {
        size_t cap = batch->cap_touched ? 2 * batch->cap_touched : 16;
        struct ledger_row **rows =
            realloc(batch->touched, cap * sizeof(struct ledger_row *));

        if (!rows) return XN_ENOMEM;
        batch->touched = rows;
        batch->cap_touched = cap;
    }
    batch->touched[batch->n_touched++] = row;
    row->touched = true;
    row->pins++;
    return 0;
}

/* Room first, changes then: what runs out of memory has done nothing but to
 * touch rows, which are written once more for nothing. */
static int take_effect(struct ledger *ledger, struct ledger_entry *entry,
                       const struct ledger_account *after)
{
    struct ledger_pending *fresh[LEDGER_WRITES_MAX];
    size_t i, n = 0;
    int rc = 0;

    for (i = 0; i < entry->n_rows && !rc; i++)
        rc = touch(&ledger->gathering, entry->rows[i]);
    for (; n < entry->op.n_writes && !rc; n++) {
        fresh[n] = new_pending(&entry->op.writes[n]);
        if (!fresh[n]) rc = XN_ENOMEM;
    }
    if (rc) goto out;
    for (i = 0; i < n; i++)
        add_pending(ledger, &entry->op.writes[i], fresh[i]);
    n = 0;
    for (i = 0; i < entry->n_rows; i++)
        entry->rows[i]->now = after[i];
out:
    while (n > 0)
        ledger_pending_free(fresh[--n]);
    return rc;
}

static void judge_op(struct ledger *ledger, struct ledger_entry *entry)
{
    struct ledger_account after[LEDGER_NAMED_MAX];
    xn_id ids[LEDGER_NAMED_MAX];
    size_t i;
    int rc;

    for (i = 0; i < entry->n_rows; i++) {
        ids[i] = entry->rows[i]->id;
        after[i] = entry->rows[i]->now;
        if (!entry->rows[i]->rc) continue;
        ledger_refuse(entry, entry->rows[i]->rc,
                      "account %02x%02x%02x%02x cannot be read: %s",
                      ids[i].b[0], ids[i].b[1], ids[i].b[2], ids[i].b[3],
                      xn_strerror(entry->rows[i]->rc));
        return;
    }
    rc = ledger_rules_apply(&entry->op, ids, entry->n_rows, after,
                            entry->balances, entry->because);
    for (i = 0; i < entry->op.n_writes && !rc; i++) {
        if (guard_holds(ledger, entry, i)) continue;
        rc = XN_ECONFLICT;
        ledger_refuse(entry, rc, "record %zu is not what it was thought to be",
                      i);
    }
    if (!rc) {
        rc = take_effect(ledger, entry, after);
        if (rc) ledger_refuse(entry, rc, "%s", xn_strerror(rc));
    }
    entry->answer.rc = rc;
    entry->effect = rc == 0;
    entry->answer.n_balances = rc ? 0 : entry->op.n_postings;
}

static void judge_look(struct ledger_entry *entry)
{
    size_t i;

    entry->answer.rc = 0;
    for (i = 0; i < entry->n_rows; i++) {
        const struct ledger_row *row = entry->rows[i];

        entry->looks[i] = row->now;
        if (row->rc) {
            ledger_refuse(entry, row->rc, "an account cannot be read: %s",
                          xn_strerror(row->rc));
            return;
        }
    }
    entry->answer.n_accounts = entry->n_rows;
}

void ledger_judge(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, struct xn_out *out)
{
    entry->effect = false;
    entry->because[0] = 0;
    if (entry->tries >= LEDGER_TRIES_MAX) {
        ledger_refuse(entry, XN_ECONFLICT, "others write here all the time");
    } else if (entry->look_rc) {
        ledger_refuse(entry, entry->look_rc, "the store cannot be read: %s",
                      xn_strerror(entry->look_rc));
    } else if (entry->record) {
        ledger_recent_answer(entry->record, entry);
    } else if (entry->kind == ENTRY_RECALL) {
        ledger_refuse(entry, XN_ENOENT, "no operation has this id");
    } else if (entry->kind == ENTRY_LOOK) {
        judge_look(entry);
    } else {
        judge_op(ledger, entry);
        if (entry->answer.rc && !entry->careful) {
            ledger_doubt(ledger, now, entry, out);
        }
    }
    DL_APPEND(ledger->gathering.entries, entry);
    ledger->gathering.n++;
    if (entry->careful) ledger->gathering.careful = true;
    if (!entry->effect) return;
    ledger->gathering.n_effects++;
    ledger->gathering.bytes += entry->cost;
}
