/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/rd.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "discovery/engine.h"
#include "discovery/inside.h"
#include "lib/err.h"
#include "lib/rng.h"

struct search {
    struct rd_asking asking; /* first */
    uint64_t ticket;         /* of the ASK */
    const struct rd_engine *engine;
    bool paranoid;
    struct rd_merge merge;
    struct search *prev, *next;
};

static void search_free(struct search *s)
{
    if (!s) return;
    rd_asking_clear(&s->asking);
    rd_merge_clear(&s->merge);
    free(s);
}

int rd_new(const struct rd_index *index, struct xn_rng *rng,
           struct xn_tickets *tickets, struct rd **rd_out)
{
    struct rd *rd = calloc(1, sizeof *rd);
    int rc;

    if (!rd) return XN_ENOMEM;
    rd->index = *index;
    rd->rng = rng;
    rd->tickets = tickets;
    rd->budget.left = RACE_BURST;
    rc = rd_summaries_new(&rd->summaries);
    if (rc) goto out;
    *rd_out = rd;
    rd = NULL;
out:
    rd_free(rd);
    return rc;
}

void rd_free(struct rd *rd)
{
    struct search *s, *next;

    if (!rd) return;
    DL_FOREACH_SAFE(rd->searches, s, next) search_free(s);
    rd_gets_free(rd);
    rd_summaries_free(rd->summaries);
    free(rd);
}

size_t rd_searches(const struct rd *rd)
{
    return rd->n_under_way;
}

const struct rd_stats *rd_stats(const struct rd *rd)
{
    return &rd->stats;
}

static void end(struct search *s)
{
    s->asking.rd->n_under_way--;
    rd_asking_enough(&s->asking, s);
    DL_DELETE(s->asking.rd->searches, s);
    search_free(s);
}

void rd_cancel(struct rd *rd, uint64_t ticket)
{
    struct search *s, *next;

    DL_FOREACH_SAFE(rd->searches, s, next)
    {
        if (s->ticket == ticket) end(s);
    }
    rd_gets_cancel(rd, ticket);
}

/* Answered, or it never will be. */
static void answer(struct search *s, const struct xn_now *now,
                   struct xn_out *out)
{
    rd_merge_answer(&s->merge, now->wall_us, s->ticket, s->engine->name,
                    rd_asked(&s->asking)->token, out);
    end(s);
}

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          uint32_t copy, struct xn_out *out);

static void next_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out);

static void ask_next(struct search *s, const struct xn_now *now,
                     struct xn_out *out)
{
    rd_asking_next(&s->asking, now, copy_answered,
                   s->paranoid ? NULL : next_due, s, out);
}

static void next_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct search *s = ctx;

    (void)owner, (void)rc, (void)msg;
    if (rd_asking_due(&s->asking, now, next_due, s, out)) {
        ask_next(s, now, out);
    }
}

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          uint32_t copy, struct xn_out *out)
{
    struct rd *rd = owner;
    struct search *s = ctx;

    s->asking.pending--;
    rc = rd_asking_judge(&s->asking, rc, found, from);
    if (rc == 0) {
        const Xn__Summary *summary = XN_BODY(found, Xn__Found)->summary;

        if (summary) {
            rd_summary_put(rd->summaries, rd_asked(&s->asking)->token,
                           summary->ads);
        }
    }
    rd_merge_add(&s->merge, rc, found, from);
    if (s->paranoid ? !s->asking.pending : rd_merge_answered(&s->merge)) {
        answer(s, now, out);
    } else if (s->paranoid) {
        return;
    } else if (rd_asking_more(&s->asking, now)) {
        race_fail(&s->asking.race, copy);
        ask_next(s, now, out);
    } else if (!s->asking.pending) {
        answer(s, now, out);
    }
}

/* Everything of the request that each copy needs, checked and copied. */
static int prepare(struct search *s, const Xn__Search *request)
{
    static const Xn__Query everything = XN__QUERY__INIT;
    Xn__Find find = XN__FIND__INIT;
    struct query *query = NULL;
    struct query_rank rank;
    int rc;

    rc = XN_EINVAL;
    if (request->offset > QUERY_OFFSET_MAX) goto out;
    rc =
        query_from_proto(request->query ? request->query : &everything, &query);
    if (rc) goto out;
    s->engine = rd_engine_find(request->engine, query);
    rc = s->engine ? s->engine->prepare(query) : XN_ENOENT;
    if (rc) goto out;
    find.token = request->token;
    if (!*find.token) {
        /* Explaining counts who fails a condition too: ask where all are. */
        find.token =
            (char *)(uintptr_t)(request->explain
                                    ? XN_TOKEN_EVERY
                                    : s->engine->token(
                                          query, s->asking.rd->summaries));
    }
    rc = xn_token_valid(find.token, strlen(find.token)) ? 0 : XN_EINVAL;
    if (rc) goto out;
    if (request->after) rc = query_cursor_read(query, request->after, &rank);
    if (rc) goto out;
    find.query = (Xn__Query *)(uintptr_t)query_proto(query);
    find.limit = request->limit < RD_ADS_MAX ? request->limit : RD_ADS_MAX;
    find.after = request->after;
    find.offset = request->offset;
    find.explain = request->explain;
    s->paranoid = request->paranoid;
    rc = rd_asking_avoid(&s->asking, request->n_avoid, request->avoid);
    if (rc) goto out;
    rc = xn_msg_new(XN__KIND__FIND, &find, &s->asking.find);
out:
    query_free(query);
    return rc;
}

void rd_refuse(uint64_t ticket, int rc, struct xn_out *out)
{
    if (rc == XN_EBUSY) {
        xn_out_refuse(out, ticket, rc, "search refused",
                      "this node runs as many searches as it may",
                      "again in a second, or another node");
    } else if (rc == XN_ENOENT) {
        xn_out_refuse(out, ticket, rc, "search refused",
                      "this node has no such engine", "engine match or cost");
    } else {
        xn_out_refuse(out, ticket, rc, "search refused", xn_strerror(rc),
                      "see doc/PROTOCOL.md, Query language");
    }
}

void rd_search(struct rd *rd, const struct xn_now *now, uint64_t ticket,
               const Xn__Search *request, struct xn_out *out)
{
    struct search *s = NULL;
    int rc;

    if (rd->n_under_way >= RD_SEARCHES_MAX) {
        rd_refuse(ticket, XN_EBUSY, out);
        return;
    }
    s = calloc(1, sizeof *s);
    if (!s) {
        out->rc = XN_ENOMEM;
        return;
    }
    s->asking.rd = rd;
    s->ticket = ticket;
    rc = prepare(s, request);
    if (rc) {
        search_free(s);
        rd_refuse(ticket, rc, out);
        return;
    }
    DL_APPEND(rd->searches, s);
    rd->n_under_way++;
    rd->stats.searches++;
    /* Any copy first: the load is shared, and who lies or hides is noticed. */
    rd_asking_begin(&s->asking, now, request->within_ms, false, 0);
    if (!s->paranoid) {
        ask_next(s, now, out);
        return;
    }
    s->asking.pending = 1; /* so that no answer from within ends the search */
    while (!race_is_over(&s->asking.race))
        ask_next(s, now, out);
    if (--s->asking.pending == 0) answer(s, now, out);
}
