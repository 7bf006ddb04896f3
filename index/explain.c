/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why so few: for each of a query's conditions how many servers meet it alone,
 * together with those before it, and how many would be left without it; and
 * the nearest value to which it could be widened to let somebody in. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

#define CONDITIONS_MAX 64

struct part {
    uint64_t alone, together, without, nearest_count;
    bool in_alone, in_together, in_without; /* the present ad */
    bool in_nearest;
    bool has_gap;
    xn_dec gap;
};

struct explain {
    struct xis_scan scan;
    size_t n;
    bool meets[CONDITIONS_MAX];
    struct part parts[CONDITIONS_MAX];
    const struct xis_ad *ad;
};

/* How many conditions the row fails, and the last of them. */
static size_t look(struct explain *e, size_t *failed_out)
{
    size_t i, n = 0;

    for (i = 0; i < e->n; i++) {
        e->meets[i] = query_condition_match(e->scan.query, i, e->scan.cells);
        if (e->meets[i]) continue;
        *failed_out = i;
        n++;
    }
    return n;
}

static void end_ad(struct explain *e)
{
    size_t i;

    for (i = 0; i < e->n; i++) {
        struct part *part = &e->parts[i];

        part->alone += part->in_alone;
        part->together += part->in_together;
        part->without += part->in_without;
        part->nearest_count += part->in_nearest;
        part->in_alone = part->in_together = part->in_without = false;
        part->in_nearest = false;
    }
}

static void next_ad(struct explain *e, const struct xis_ad *ad)
{
    if (ad == e->ad) return;
    end_ad(e);
    e->ad = ad;
}

static void count_row(struct explain *e)
{
    size_t failed = 0, n_failed = look(e, &failed), i;
    bool all = true;

    for (i = 0; i < e->n; i++) {
        struct part *part = &e->parts[i];

        all = all && e->meets[i];
        if (e->meets[i]) part->in_alone = true;
        if (all) part->in_together = true;
        if (n_failed == 0 || (n_failed == 1 && failed == i)) {
            part->in_without = true;
        }
    }
}

/* The row fails one condition alone: how far outside is it? */
static void gap_row(struct explain *e, Xn__Found *found)
{
    size_t failed = 0;
    struct xn_buf text;
    struct part *part;
    xn_dec gap;
    char *nearest;

    if (look(e, &failed) != 1) return;
    part = &e->parts[failed];
    xn_buf_init(&text, 0);
    if (query_condition_widen(e->scan.query, failed, e->scan.cells, &gap,
                              &text) == 0 &&
        (!part->has_gap || xn_dec_cmp(gap, part->gap) < 0)) {
        nearest = xn_buf_steal_str(&text);
        if (nearest) {
            free(found->conditions[failed]->nearest);
            found->conditions[failed]->nearest = nearest;
            part->has_gap = true;
            part->gap = gap;
        }
    }
    xn_buf_clear(&text);
}

/* Would the row match if the one condition that it fails were widened? */
static void widened_row(struct explain *e)
{
    size_t failed = 0, n_failed = look(e, &failed), i;
    struct xn_buf text;
    xn_dec gap;

    if (n_failed > 1) return;
    for (i = 0; n_failed == 0 && i < e->n; i++)
        e->parts[i].in_nearest = true;
    if (n_failed == 0 || !e->parts[failed].has_gap) return;
    xn_buf_init(&text, 0);
    if (query_condition_widen(e->scan.query, failed, e->scan.cells, &gap,
                              &text) == 0 &&
        xn_dec_cmp(gap, e->parts[failed].gap) <= 0) {
        e->parts[failed].in_nearest = true;
    }
    xn_buf_clear(&text);
}

/* What the query demands beside its conditions holds in any case. */
static bool in_currency(const struct explain *e)
{
    return query_match_currency(e->scan.query, e->scan.cells);
}

static int make_rows(struct explain *e, Xn__Found *found)
{
    size_t i;

    found->conditions = calloc(e->n + 1, sizeof *found->conditions);
    if (!found->conditions) return XN_ENOMEM;
    for (i = 0; i < e->n; i++) {
        Xn__Condition *row = malloc(sizeof *row);
        struct xn_buf text;

        if (!row) return XN_ENOMEM;
        xn__condition__init(row);
        found->conditions[found->n_conditions++] = row;
        row->text = row->nearest = NULL;
        xn_buf_init(&text, 0);
        query_condition_text(e->scan.query, i, &text);
        row->text = xn_buf_steal_str(&text);
        row->nearest = strdup("");
        if (!row->text || !row->nearest) return XN_ENOMEM;
    }
    return 0;
}

static void give(const struct explain *e, Xn__Found *found)
{
    size_t i;

    for (i = 0; i < e->n; i++) {
        const struct part *part = &e->parts[i];

        found->conditions[i]->alone = part->alone;
        found->conditions[i]->together = part->together;
        found->conditions[i]->without = part->without;
        if (!part->has_gap) continue;
        found->conditions[i]->nearest_count = part->nearest_count;
    }
}

int xis_explain(struct xis *xis, const struct query *query,
                const struct xis_token *shard, uint64_t wall_us,
                Xn__Found *found)
{
    struct explain *e = calloc(1, sizeof *e);
    const struct xis_ad *ad;
    int rc;

    if (!e) return XN_ENOMEM;
    e->n = query_conditions(query);
    if (e->n > CONDITIONS_MAX) e->n = CONDITIONS_MAX;
    rc = xis_scan_start(&e->scan, xis, query, shard, wall_us);
    if (rc) goto out;
    rc = make_rows(e, found);
    if (rc) goto out;
    while ((ad = xis_scan_next(&e->scan)) != NULL) {
        next_ad(e, ad);
        if (!in_currency(e)) continue;
        count_row(e);
        gap_row(e, found);
    }
    end_ad(e);
    e->ad = NULL;
    rc = xis_scan_start(&e->scan, xis, query, shard, wall_us);
    if (rc) goto out;
    while ((ad = xis_scan_next(&e->scan)) != NULL) {
        next_ad(e, ad);
        if (in_currency(e)) widened_row(e);
    }
    end_ad(e);
    /* The second walk counts nothing but the nearest. */
    give(e, found);
out:
    free(e);
    return rc;
}

void xis_conditions_free(Xn__Found *found)
{
    size_t i;

    for (i = 0; i < found->n_conditions; i++) {
        free(found->conditions[i]->text);
        free(found->conditions[i]->nearest);
        free(found->conditions[i]);
    }
    free(found->conditions);
}
