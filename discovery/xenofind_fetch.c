/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking nodes: page by page, around whoever lies, until enough has come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/text.h"
#include "net/clock.h"
#include "net/talk.h"
#include "wire/msg.h"
#include "wire/nest.h"

enum {
    PAGE = 200,       /* ads asked for at once: they fit one frame */
    RETRIES = 3,      /* of one node, around the liars that it named */
    AVOID_MAX = 64,   /* liars named to one node */
    COPIES_MAX = 16,  /* whose answers are put together into one */
    LISTS_PAGES = 32, /* of lists of revoked keys, from one node */
    MEET_MS = 2000    /* then another is tried, while there is one */
};

#define LISTS_US 1000000ULL /* for a page of them, whatever --within says */

/* One node's answer, as far as it was good. */
struct answer {
    struct find_list list;
    Xn__SearchResult *raw;
    bool clean, merged;
};

struct run {
    const struct find_options *opt;
    const struct query *query;
    const struct net_identity *identity;
    struct net_talk *talk; /* search and lists over one connection */
    struct find_result *result;
    size_t node; /* that is asked first */
    bool paranoid, first;
    bool hurried;            /* others may be met sooner */
    bool unmet;              /* the last was not met in time */
    bool lied;               /* something that came for `server` was rejected */
    const xn_id *server;     /* whose advertisement; NULL: a search */
    struct query_rank after; /* where the page begins; its text is ours */
    bool has_after;
    char *after_text;
    xn_id avoid[AVOID_MAX];
    size_t n_avoid;
    struct revoked revoked; /* the newest lists that any node gave */
    const char *listed;     /* the node that gave its last */
    int rc;                 /* of the last node that gave no answer, and why */
    char what[160], why[512], try[256];
};

static void answer_clear(struct answer *answer)
{
    find_list_clear(&answer->list);
    if (answer->raw) xn__search_result__free_unpacked(answer->raw, NULL);
    memset(answer, 0, sizeof *answer);
}

/* ---- one request ---- */

static uint32_t within_ms(const struct run *run)
{
    return (uint32_t)(run->opt->within_us / 1000);
}

static void fill_search(struct run *run, uint32_t want, Xn__Search *search,
                        Xn__Cursor *cursor, char number[XN_DEC_TEXT_MAX])
{
    const struct find_options *opt = run->opt;

    xn__search__init(search);
    search->query = (Xn__Query *)(uintptr_t)query_proto(run->query);
    search->limit = want;
    search->explain = opt->explain && run->first;
    search->paranoid = run->paranoid;
    if (opt->lookup) search->token = (char *)(uintptr_t)opt->words[1];
    if (run->has_after) {
        query_cursor_write(&run->after, number, cursor);
        search->after = cursor;
    } else {
        search->offset = (uint32_t)opt->offset;
    }
    search->within_ms = within_ms(run);
}

static int pack(struct run *run, uint32_t want, uint8_t **body, size_t *len)
{
    ProtobufCBinaryData avoid[AVOID_MAX];
    char number[XN_DEC_TEXT_MAX];
    Xn__Search search;
    Xn__Cursor cursor;
    Xn__Get get = XN__GET__INIT;
    size_t i;

    for (i = 0; i < run->n_avoid; i++)
        avoid[i] = xn_id_bytes(&run->avoid[i]);
    if (run->server) {
        get.server = xn_id_bytes(run->server);
        get.within_ms = within_ms(run);
        get.avoid = avoid;
        get.n_avoid = run->n_avoid;
        return xn_pack(&get, body, len);
    }
    fill_search(run, want, &search, &cursor, number);
    search.avoid = avoid;
    search.n_avoid = run->n_avoid;
    return xn_pack(&search, body, len);
}

static int fail(struct run *run, const char *node, int rc, const char *why)
{
    run->rc = rc;
    snprintf(run->what, sizeof run->what, "%s",
             rc == XN_EIDENT ? "no node proved its identity [XS-6-NODES]"
                             : "cannot reach any node [XS-7-NODES]");
    if (strncmp(why, node, strlen(node)) == 0) { /* it names the URL */
        snprintf(run->why, sizeof run->why, "%s", why);
    } else if (why != run->why) {
        snprintf(run->why, sizeof run->why, "%s: %s", node, why);
    }
    run->try[0] = '\0';
    return rc;
}

static int refused(struct run *run, const char *node,
                   const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    char because[256];
    int rc = XN_EREFUSED;

    if (!refusal || refusal->rc >= 0) {
        snprintf(because, sizeof because, "status %d", reply->status);
        fail(run, node, rc, because);
    } else {
        rc = refusal->rc;
        fail(run, node, rc, refusal->because);
        snprintf(run->what, sizeof run->what, "%s", refusal->what);
        snprintf(run->try, sizeof run->try, "%s", refusal->try_);
    }
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

static int post(struct run *run, const char *node, uint32_t want,
                struct net_reply *reply)
{
    char url[512];
    uint8_t *body = NULL;
    struct net_ask ask = {.identity = run->identity,
                          .method = "POST",
                          .url = url,
                          .meet_ms = run->hurried ? MEET_MS : 0,
                          .timeout_ms =
                              (unsigned)(run->opt->timeout_us / 1000)};
    struct net_said said;
    int rc = pack(run, want, &body, &ask.len);

    if (rc) return rc;
    ask.body = body;
    snprintf(url, sizeof url, "%s/v1/%s", node, run->server ? "get" : "search");
    net_talk_ask(run->talk, &ask, &said);
    *reply = said.reply;
    rc = said.rc;
    run->unmet = rc == XN_ETIMEOUT && !reply->sent;
    free(body);
    if (rc) return fail(run, node, rc, said.why);
    if (reply->server.role != XN__ROLE__NODE) {
        rc = fail(run, node, XN_EIDENT, "its certificate is not a node's");
    } else if (reply->status != 200) {
        rc = refused(run, node, reply);
    }
    if (rc) net_reply_clear(reply);
    return rc;
}

static void take_list(struct run *run, const ProtobufCBinaryData *blob)
{
    ProtobufCBinaryData payload = {0, NULL};
    xn_id corp;

    if (blob_verify(blob->data, blob->len, REVOKED_CONTEXT, &corp,
                    &payload.data, &payload.len)) {
        return;
    }
    if (xn_anchors_find(run->identity->anchors, &corp)) {
        (void)revoked_take(&run->revoked, &corp, &payload, blob, net_wall_us());
    }
    free(payload.data);
}

/* The lists behind that corp's; NULL: the node gave none, for whatever reason. */
static Xn__RevokedDone *fetch_page_of_lists(const struct run *run,
                                            const char *node,
                                            const xn_id *after)
{
    uint64_t within_us = run->opt->within_us;
    uint64_t timeout_us = run->opt->timeout_us;
    Xn__RevokedDone *done = NULL;
    char url[512], hex[XN_ID_HEX] = "";
    struct net_ask ask = {
        .identity = run->identity, .method = "GET", .url = url};
    struct net_said said;

    if (within_us && within_us < LISTS_US) within_us = LISTS_US;
    if (within_us && within_us < timeout_us) timeout_us = within_us;
    if (after) xn_id_hex(after, hex);
    snprintf(url, sizeof url, "%s/v1/revoked%s%s", node, after ? "?after=" : "",
             hex);
    ask.timeout_ms = (unsigned)(timeout_us / 1000);
    net_talk_ask(run->talk, &ask, &said);
    if (!said.rc && said.reply.status == 200) {
        done = xn_unpack(&xn__revoked_done__descriptor, said.reply.body.data,
                         said.reply.body.len);
    }
    net_said_clear(&said);
    return done;
}

/* The lists of revoked keys that the node holds: each proves itself.  Who gives
 * none, or old ones, can do no more than hide what is new, for a day. */
static void fetch_lists(struct run *run, const char *node)
{
    Xn__RevokedDone *done;
    bool more = true;
    uint64_t number;
    xn_id last;
    size_t i, page;

    if (run->listed == node) return;
    run->listed = node;
    for (page = 0; more && page < LISTS_PAGES; page++) {
        done = fetch_page_of_lists(run, node, page ? &last : NULL);
        if (!done) return;
        for (i = 0; i < done->n_lists && i < XN_ANCHORS_MAX; i++)
            take_list(run, &done->lists[i]);
        more = done->more && i > 0 &&
               !revoked_peek(done->lists[i - 1].data, done->lists[i - 1].len,
                             &last, &number);
        xn__revoked_done__free_unpacked(done, NULL);
    }
}

/* Whose revocations may be unknown here: no list came, or one that is late. */
static void note_unlisted(const struct run *run)
{
    struct find_result *result = run->result;
    uint64_t wall_us = net_wall_us();
    size_t i, j;

    for (i = 0; i < result->list.n; i++) {
        const xn_id *corp = &result->list.hits[i].signer.corp;
        const struct revoked_list *list = revoked_of(&run->revoked, corp);

        if (list && !revoked_is_late(list, wall_us)) continue;
        for (j = 0; j < result->n_unlisted; j++)
            if (xn_id_eq(&result->unlisted[j], corp)) break;
        if (j == result->n_unlisted && j < FIND_CORPS_MAX)
            result->unlisted[result->n_unlisted++] = *corp;
    }
}

static int ask(struct run *run, const char *node, uint32_t want,
               struct answer *answer)
{
    struct find_check check = {.query = run->query,
                               .anchors = run->identity->anchors,
                               .lease_us_max = run->opt->lease_us_max,
                               .revoked = &run->revoked};
    struct find_asked asked = {.after = run->has_after ? &run->after : NULL,
                               .server = run->server,
                               .merged = run->paranoid};
    struct net_reply reply = {.status = 0};
    int rc = post(run, node, want, &reply);

    if (rc) return rc;
    asked.via = reply.server.id;
    fetch_lists(run, node);
    check.wall_us = net_wall_us();
    answer->merged = run->paranoid;
    answer->raw = xn_unpack(&xn__search_result__descriptor, reply.body.data,
                            reply.body.len);
    net_reply_clear(&reply);
    if (!answer->raw) {
        return fail(run, node, XN_EPROTO, "its answer is no SearchResult");
    }
    /* Each costs a millisecond to verify: as many as a liar likes, minutes. */
    if (answer->raw->n_hits > (run->paranoid ? COPIES_MAX : 1) * (size_t)want) {
        return fail(run, node, XN_EPROTO, "it gives more than was asked for");
    }
    return find_verify(&check, &asked, answer->raw, &answer->list,
                       &answer->clean);
}

/* ---- around liars ---- */

/* Every reason is kept; true: someone new can be avoided. */
static bool note_liars(struct run *run, const struct find_list *list)
{
    bool any = false;
    size_t i, j;

    for (i = 0; i < list->n_rejects; i++) {
        const struct find_reject *reject = &list->rejects[i];

        for (j = 0; j < run->n_avoid; j++) {
            if (xn_id_eq(&run->avoid[j], &reject->node)) break;
        }
        if (j < run->n_avoid || run->n_avoid == AVOID_MAX) continue;
        run->avoid[run->n_avoid++] = reject->node;
        any = true;
    }
    return any;
}

static int keep_rejects(struct run *run, const struct answer *answer)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < answer->list.n_rejects && !rc; i++) {
        rc = find_list_reject(&run->result->list, &answer->list.rejects[i]);
    }
    return rc;
}

static bool is_whole(const struct answer *answer)
{
    return answer->clean && answer->raw->answered_ppm >= 1000000;
}

/* The better of two goes on in `best`. */
static void choose(struct answer *best, struct answer *other)
{
    struct answer swap;

    if (!best->raw || is_whole(other) || other->list.n > best->list.n) {
        swap = *best;
        *best = *other;
        *other = swap;
    }
    answer_clear(other);
}

/* Asks one node until it gives a whole answer without a lie.  What was best
 * goes into `best`. */
static int ask_node(struct run *run, const char *node, uint32_t want,
                    struct answer *best)
{
    int i, rc = 0;

    run->n_avoid = 0; /* what another node said of its sources is hearsay */
    for (i = 0; i <= RETRIES; i++) {
        struct answer answer = {.raw = NULL};
        bool again = false;

        rc = ask(run, node, want, &answer);
        if (rc) {
            answer_clear(&answer);
            break;
        }
        rc = keep_rejects(run, &answer);
        if (answer.list.n_rejects) run->lied = true;
        if (!answer.clean) again = note_liars(run, &answer.list);
        choose(best, &answer);
        if (rc || !again) break;
    }
    return rc;
}

/* One after the other, until one gives the page whole: that one is asked first
 * from now on.  `late`: who is asked, and then who could not be met in time. */
static int ask_nodes(struct run *run, uint32_t want, bool late[FIND_NODES_MAX],
                     struct answer *page)
{
    size_t n = run->opt->n_nodes, first = run->node, i;

    for (i = 0; i < n; i++) {
        size_t at = (first + i) % n;

        if (!late[at]) continue;
        if (ask_node(run, run->opt->nodes[at], want, page) == XN_ENOMEM) {
            return XN_ENOMEM;
        }
        late[at] = run->unmet;
        if (!run->unmet) run->node = at;
        if (page->raw && is_whole(page)) break;
        if (page->raw && !page->clean) run->paranoid = true;
    }
    return 0;
}

/* A page from the first node that gives it whole, else the best that came.  Who
 * is slow to meet has its time once nobody else has done so; then all have. */
static int fetch_page(struct run *run, uint32_t want, struct answer *page)
{
    bool late[FIND_NODES_MAX];
    int rc;

    memset(late, true, sizeof late);
    rc = ask_nodes(run, want, late, page);
    if (!rc && run->hurried && !(page->raw && is_whole(page)) &&
        memchr(late, true, run->opt->n_nodes)) {
        run->hurried = false;
        rc = ask_nodes(run, want, late, page);
    }
    return rc || page->raw ? rc : run->rc;
}

/* ---- pages ---- */

/* For people who wait for many; gone again at the end. */
static void tell_progress(const struct run *run, bool more)
{
    if (!isatty(STDERR_FILENO)) return;
    fputs("\r\033[K", stderr);
    if (more) {
        fprintf(stderr, "%zu of %llu verified ", run->result->list.n,
                (unsigned long long)run->result->matching);
    }
    fflush(stderr);
}

static int take_silent(struct find_result *result, const Xn__SearchResult *raw)
{
    size_t i;

    if (result->n_silent || raw->n_silent == 0) return 0;
    result->silent = calloc(raw->n_silent, sizeof *result->silent);
    if (!result->silent) return XN_ENOMEM;
    for (i = 0; i < raw->n_silent; i++) {
        result->silent[i] = strdup(raw->silent[i]);
        if (!result->silent[i]) return XN_ENOMEM;
        xn_plain(result->silent[i]);
        result->n_silent++;
    }
    return 0;
}

static int take_counts(struct run *run, struct answer *page)
{
    struct find_result *result = run->result;
    const Xn__SearchResult *raw = page->raw;

    if (raw->answered_ppm < result->answered_ppm) {
        result->answered_ppm = raw->answered_ppm;
    }
    if (run->first) {
        result->matching = raw->matching;
        result->known = raw->known;
        result->other_currency = raw->other_currency;
    }
    return take_silent(result, raw);
}

static int set_after(struct run *run, const struct find_hit *last)
{
    free(run->after_text);
    run->after_text = NULL;
    run->after = last->rank;
    run->has_after = true;
    if (!last->rank.text) return 0;
    run->after_text = strdup(last->rank.text);
    run->after.text = run->after_text;
    return run->after_text ? 0 : XN_ENOMEM;
}

static int take_page(struct run *run, uint32_t want, struct answer *page,
                     bool *more_out)
{
    struct find_check check = {.query = run->query};
    struct find_list *list = &page->list;
    int rc = take_counts(run, page);

    *more_out = page->raw->more || list->n > want;
    /* Of several copies' union no more than `want` is sure to be without a
     * gap: each copy gave its own first ones. */
    find_list_cut(list, want);
    if (list->n == 0) *more_out = false;
    if (!rc && list->n) rc = set_after(run, &list->hits[list->n - 1]);
    if (!rc) rc = find_list_move(&check, list, &run->result->list);
    if (run->first && run->opt->explain) {
        run->result->explained = page->raw;
        page->raw = NULL;
    }
    run->first = false;
    return rc;
}

/* One after the other: few are asked for. */
static int fetch_servers(struct run *run)
{
    const struct find_options *opt = run->opt;
    size_t i;
    int rc = 0;

    for (i = 0; i < opt->n_servers && !rc; i++) {
        struct answer page = {.raw = NULL};
        bool more;

        run->server = &opt->servers[i];
        run->has_after = run->lied = false;
        rc = fetch_page(run, 1, &page);
        run->result->lied[i] = run->lied && page.list.n == 0;
        if (!rc) rc = take_page(run, 1, &page, &more);
        answer_clear(&page);
    }
    return rc;
}

static int fetch_all(struct run *run)
{
    struct find_list *list = &run->result->list;
    bool more = true;
    int rc = 0;

    while (more && !rc) {
        struct answer page = {.raw = NULL};
        uint64_t left = run->opt->limit - list->n;
        uint32_t want = left < PAGE ? (uint32_t)left : PAGE;

        rc = fetch_page(run, want, &page);
        if (!rc) rc = take_page(run, want, &page, &more);
        answer_clear(&page);
        if (list->n >= run->opt->limit) more = false;
        tell_progress(run, more && !rc);
    }
    return rc;
}

int find_fetch(const struct find_options *opt, const struct query *query,
               const struct net_identity *identity, struct find_result *result)
{
    struct run run = {.opt = opt,
                      .query = query,
                      .identity = identity,
                      .result = result,
                      .paranoid = opt->paranoid,
                      .first = true};
    int rc = net_talk_new(&run.talk);

    if (rc) return rc;
    result->answered_ppm = 1000000;
    run.hurried = opt->n_nodes > 1 && opt->timeout_us > MEET_MS * 1000ULL;
    rc = opt->n_servers ? fetch_servers(&run) : fetch_all(&run);
    note_unlisted(&run);
    net_talk_free(run.talk);
    free(run.after_text);
    revoked_clear(&run.revoked);
    if (rc && !run.first && rc != XN_ENOMEM) {
        result->answered_ppm = 0; /* the pages before are good */
        rc = 0;
    }
    if (result->list.n > result->matching) result->matching = result->list.n;
    if (!rc) return 0;
    if (run.rc == rc) {
        xn_gripe(opt->program, run.what, run.why,
                 run.try[0] ? run.try : "another --node, or xenodev status");
    } else {
        xn_gripe(opt->program, "cannot search [XS-1-FAIL]", xn_strerror(rc),
                 NULL);
    }
    return rc;
}

void find_result_clear(struct find_result *result)
{
    size_t i;

    find_list_clear(&result->list);
    for (i = 0; i < result->n_silent; i++)
        free(result->silent[i]);
    free(result->silent);
    if (result->explained) {
        xn__search_result__free_unpacked(result->explained, NULL);
    }
    memset(result, 0, sizeof *result);
}
