/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/inside.h"
#include "lib/err.h"

const Xn__Find *rd_asked(const struct rd_asking *asking)
{
    return XN_BODY(asking->find, Xn__Find);
}

int rd_asking_avoid(struct rd_asking *asking, size_t n,
                    const ProtobufCBinaryData *ids)
{
    size_t i;
    int rc;

    for (i = 0; i < n && i < RD_AVOID_MAX; i++) {
        rc = xn_id_from_bytes(&ids[i], &asking->avoid[asking->n_avoid++]);
        if (rc) return rc;
    }
    return 0;
}

void rd_asking_begin(struct rd_asking *asking, const struct xn_now *now,
                     uint32_t within_ms, bool nearest, uint64_t wait_us)
{
    struct rd *rd = asking->rd;
    const struct rd_index *index = &rd->index;
    struct rd_expect expect[RACE_COPIES_MAX] = {{0}};
    uint32_t n = index->copies, i;

    if (n > RACE_COPIES_MAX) n = RACE_COPIES_MAX;
    for (i = 0; index->expect && i < n; i++)
        index->expect(index->user, now, rd_asked(asking), i, &expect[i]);
    asking->deadline_us = now->mono_us + RD_QUESTION_US;
    race_start(&asking->race, expect, n, index->copies_near, nearest, rd->rng,
               &rd->budget);
    asking->race.wait_us = wait_us;
    if (within_ms) {
        asking->race.by_us = now->mono_us + 1000 * (uint64_t)within_ms;
    }
}

bool rd_asking_more(const struct rd_asking *asking, const struct xn_now *now)
{
    return !race_is_over(&asking->race) && now->mono_us < asking->deadline_us;
}

static void set_timer(struct rd_asking *asking, uint64_t due_us, xn_ended *due,
                      void *ctx, struct xn_out *out)
{
    struct rd *rd = asking->rd;

    if (due_us >= asking->deadline_us) return;
    if (asking->timer &&
        xn_ticket_postpone(rd->tickets, asking->timer, due_us)) {
        return;
    }
    asking->timer = xn_ticket(rd->tickets, due_us, due, rd, ctx, out);
}

/* pending counts it before the call, for the answer may come within. */
void rd_asking_next(struct rd_asking *asking, const struct xn_now *now,
                    rd_found *fn, xn_ended *due, void *ctx, struct xn_out *out)
{
    struct rd *rd = asking->rd;
    uint32_t copy = race_next(&asking->race, now->mono_us);

    if (due) set_timer(asking, race_due(&asking->race), due, ctx, out);
    rd->stats.asked++;
    asking->pending++;
    rd->index.ask(rd->index.user, now, rd_asked(asking), copy,
                  asking->deadline_us, fn, rd, ctx, out);
}

/* What the budget does not allow now comes when the one asked counts as
 * silent, or when a bound wants it. */
bool rd_asking_due(struct rd_asking *asking, const struct xn_now *now,
                   xn_ended *due, void *ctx, struct xn_out *out)
{
    struct rd *rd = asking->rd;
    uint64_t silent_us = asking->race.asked_us + RD_TRY_US;
    uint64_t bound_us = race_bound(&asking->race);

    asking->timer = 0;
    if (!rd_asking_more(asking, now)) return false;
    if (now->mono_us < silent_us &&
        !race_may_hedge(&asking->race, now->mono_us, &rd->budget)) {
        set_timer(asking, bound_us < silent_us ? bound_us : silent_us, due, ctx,
                  out);
        return false;
    }
    rd->stats.hedged++;
    return true;
}

void rd_asking_enough(struct rd_asking *asking, const void *ctx)
{
    struct rd *rd = asking->rd;

    if (asking->timer) xn_ticket_forget(rd->tickets, asking->timer);
    asking->timer = 0;
    if (asking->pending) rd->index.enough(rd->index.user, ctx);
    asking->pending = 0;
}

static bool is_avoided(const struct rd_asking *asking, const xn_id *id)
{
    size_t i;

    for (i = 0; i < asking->n_avoid; i++) {
        if (xn_id_eq(&asking->avoid[i], id)) return true;
    }
    return false;
}

/* More ads than were asked for are no answer: putting them together would take
 * as long as a liar likes. */
int rd_asking_judge(const struct rd_asking *asking, int rc,
                    const struct xn_msg *found, const xn_id *from)
{
    if (rc) return rc;
    if (!found || found->kind != XN__KIND__FOUND ||
        XN_BODY(found, Xn__Found)->n_ads > rd_asked(asking)->limit) {
        return XN_EPROTO;
    }
    return is_avoided(asking, from) ? XN_EREFUSED : 0;
}

void rd_asking_clear(struct rd_asking *asking)
{
    if (asking->timer) {
        xn_ticket_forget(asking->rd->tickets, asking->timer);
    }
    asking->timer = 0;
    xn_msg_free(asking->find);
    asking->find = NULL;
}
