/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/rd.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "discovery/engine.h"
#include "discovery/merge.h"
#include "lib/err.h"
#include "lib/rng.h"

enum { COPIES_MAX = 16, AVOID_MAX = 64 };

/* All of a search, and what one copy is given before the next is asked. */
#define SEARCH_US 8000000
#define TRY_US 2000000

struct search {
    struct rd *rd;
    uint64_t ticket;     /* of the ASK; 0: cancelled, nobody waits */
    struct xn_msg *find; /* what each copy is asked */
    const struct rd_engine *engine;
    bool paranoid;
    uint64_t deadline_us;
    uint32_t order[COPIES_MAX]; /* copies, in the order they are asked */
    uint32_t n_copies, asked, pending;
    xn_id avoid[AVOID_MAX];
    size_t n_avoid;
    struct rd_merge merge;
    struct search *prev, *next;
};

struct rd {
    struct rd_index index;
    struct xn_rng *rng;
    struct rd_summaries *summaries;
    struct search *searches;
    size_t n_searches;
};

static void search_free(struct search *s)
{
    if (!s) return;
    xn_msg_free(s->find);
    rd_merge_clear(&s->merge);
    free(s);
}

int rd_new(const struct rd_index *index, struct xn_rng *rng, struct rd **rd_out)
{
    struct rd *rd = calloc(1, sizeof *rd);
    int rc;

    if (!rd) return XN_ENOMEM;
    rd->index = *index;
    rd->rng = rng;
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
    rd_summaries_free(rd->summaries);
    free(rd);
}

size_t rd_searches(const struct rd *rd)
{
    return rd->n_searches;
}

void rd_cancel(struct rd *rd, uint64_t ticket)
{
    struct search *s;

    /* The copies' answers still come: the search ends with the last. */
    DL_FOREACH(rd->searches, s)
    {
        if (s->ticket == ticket) s->ticket = 0;
    }
}

static void end(struct search *s)
{
    DL_DELETE(s->rd->searches, s);
    s->rd->n_searches--;
    search_free(s);
}

static const Xn__Find *find_of(const struct search *s)
{
    return XN_BODY(s->find, Xn__Find);
}

static void answer(struct search *s, const struct xn_now *now,
                   struct xn_out *out)
{
    const Xn__Find *find = find_of(s);

    if (s->ticket) {
        rd_merge_answer(&s->merge, now->wall_us, s->ticket, s->engine->name,
                        find->token, out);
    }
    end(s);
}

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          struct xn_out *out);

/* Near copies come first, in random order, so that load spreads; then the far
 * ones. */
static void shuffle(struct search *s)
{
    uint32_t near = s->rd->index.copies_near, i, j, swap;

    if (near > s->n_copies) near = s->n_copies;
    for (i = 0; i < s->n_copies; i++)
        s->order[i] = i;
    for (i = 0; i + 1 < near; i++) {
        j = i + (uint32_t)xn_rng_below(s->rd->rng, near - i);
        swap = s->order[i];
        s->order[i] = s->order[j];
        s->order[j] = swap;
    }
}

/* Ask the next copy; s->pending counts it before the call, for the answer may
 * come within. */
static void ask_next(struct search *s, const struct xn_now *now,
                     struct xn_out *out)
{
    uint32_t copy = s->order[s->asked++];
    uint64_t deadline_us = now->mono_us + TRY_US;

    if (s->paranoid || deadline_us > s->deadline_us) {
        deadline_us = s->deadline_us;
    }
    s->pending++;
    s->rd->index.ask(s->rd->index.user, now, find_of(s), copy, deadline_us,
                     copy_answered, s->rd, s, out);
}

/* Another copy to ask, now that nothing is under way? */
static bool more_to_ask(const struct search *s, const struct xn_now *now)
{
    return s->ticket && s->asked < s->n_copies &&
           now->mono_us < s->deadline_us &&
           (s->paranoid || !rd_merge_answered(&s->merge));
}

static bool avoided(const struct search *s, const xn_id *id)
{
    size_t i;

    for (i = 0; i < s->n_avoid; i++) {
        if (xn_id_eq(&s->avoid[i], id)) return true;
    }
    return false;
}

/* More ads than were asked for are no answer: putting them together would take
 * as long as a liar likes. */
static bool is_answer(const struct search *s, const struct xn_msg *found)
{
    return found && found->kind == XN__KIND__FOUND &&
           XN_BODY(found, Xn__Found)->n_ads <= find_of(s)->limit;
}

static void copy_answered(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *found, const xn_id *from,
                          struct xn_out *out)
{
    struct rd *rd = owner;
    struct search *s = ctx;

    if (rc == 0 && !is_answer(s, found)) rc = XN_EPROTO;
    if (rc == 0 && avoided(s, from)) rc = XN_EREFUSED;
    if (rc == 0) {
        const Xn__Summary *summary = XN_BODY(found, Xn__Found)->summary;

        if (summary) {
            rd_summary_put(rd->summaries, find_of(s)->token, summary->ads);
        }
    }
    rd_merge_add(&s->merge, rc, found, from);
    s->pending--;
    if (s->pending > 0) return;
    if (more_to_ask(s, now)) {
        ask_next(s, now, out);
        return;
    }
    answer(s, now, out);
}

/* Everything of the request that each copy needs, checked and copied. */
static int prepare(struct search *s, const Xn__Search *request)
{
    static const Xn__Query everything = XN__QUERY__INIT;
    Xn__Find find = XN__FIND__INIT;
    struct query *query = NULL;
    struct query_rank rank;
    size_t i;
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
        find.token = (char *)(uintptr_t)(request->explain
                                             ? XN_TOKEN_EVERY
                                             : s->engine->token(
                                                   query, s->rd->summaries));
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
    for (i = 0; i < request->n_avoid && i < AVOID_MAX; i++) {
        rc = xn_id_from_bytes(&request->avoid[i], &s->avoid[s->n_avoid++]);
        if (rc) goto out;
    }
    rc = xn_msg_new(XN__KIND__FIND, &find, &s->find);
out:
    query_free(query);
    return rc;
}

static void refuse(uint64_t ticket, int rc, struct xn_out *out)
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

    if (rd->n_searches >= RD_SEARCHES_MAX) {
        refuse(ticket, XN_EBUSY, out);
        return;
    }
    s = calloc(1, sizeof *s);
    if (!s) {
        out->rc = XN_ENOMEM;
        return;
    }
    s->rd = rd;
    s->ticket = ticket;
    s->deadline_us = now->mono_us + SEARCH_US;
    s->n_copies = rd->index.copies < COPIES_MAX ? rd->index.copies : COPIES_MAX;
    rc = prepare(s, request);
    if (rc) {
        search_free(s);
        refuse(ticket, rc, out);
        return;
    }
    shuffle(s);
    DL_APPEND(rd->searches, s);
    rd->n_searches++;
    if (!s->paranoid) {
        ask_next(s, now, out);
        return;
    }
    s->pending = 1; /* so that no answer from within ends the search */
    while (s->asked < s->n_copies)
        ask_next(s, now, out);
    if (--s->pending == 0) answer(s, now, out);
}
