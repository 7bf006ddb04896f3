/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"
#include "wire/envelope.h"

/* Lies are remembered up to here; more of them teach nothing. */
enum { REJECTS_MAX = 1024 };

static void clear_hit(struct find_hit *hit)
{
    advert_free(hit->advert);
    memset(hit, 0, sizeof *hit);
}

void find_list_cut(struct find_list *list, size_t n)
{
    while (list->n > n)
        clear_hit(&list->hits[--list->n]);
}

void find_list_clear(struct find_list *list)
{
    find_list_cut(list, 0);
    free(list->hits);
    free(list->rejects);
    memset(list, 0, sizeof *list);
}

int find_list_reject(struct find_list *list, const struct find_reject *reject)
{
    size_t i, cap = list->cap_rejects ? 2 * list->cap_rejects : 16;
    struct find_reject *more;

    for (i = 0; i < list->n_rejects; i++) {
        const struct find_reject *known = &list->rejects[i];

        if (xn_id_eq(&known->node, &reject->node) &&
            xn_id_eq(&known->via, &reject->via) &&
            xn_id_eq(&known->server, &reject->server)) {
            return 0;
        }
    }
    if (list->n_rejects == REJECTS_MAX) return 0;
    if (list->n_rejects == list->cap_rejects) {
        more = realloc(list->rejects, cap * sizeof *more);
        if (!more) return XN_ENOMEM;
        list->rejects = more;
        list->cap_rejects = cap;
    }
    list->rejects[list->n_rejects] = *reject;
    xn_plain(list->rejects[list->n_rejects].why); /* cut, and partly a peer's */
    list->n_rejects++;
    return 0;
}

/* ---- one hit ---- */

struct parts { /* of a hit under examination */
    uint8_t *lease, *document;
    size_t lease_len, document_len;
};

static int fail(char why[FIND_WHY_MAX], const char *what, int rc)
{
    snprintf(why, FIND_WHY_MAX, "%s: %s", what, xn_strerror(rc));
    return rc;
}

static int check_lease(const struct find_check *check, const Xn__SignedAd *ad,
                       struct parts *parts, struct find_hit *hit, char *why)
{
    int rc = blob_verify(ad->lease.data, ad->lease.len, LEASE_CONTEXT,
                         &hit->server, &parts->lease, &parts->lease_len);

    if (rc) return fail(why, "the lease", rc);
    rc = ad_lease_decode(parts->lease, parts->lease_len, &hit->server,
                         &hit->lease);
    if (rc) return fail(why, "the lease", rc);
    if (hit->lease.withdrawn) {
        return fail(why, "the advertisement is withdrawn", XN_ENOENT);
    }
    rc = ad_lease_check(&hit->lease, check->wall_us, check->lease_us_max);
    return rc ? fail(why, "the lease", rc) : 0;
}

static int check_document(const struct find_check *check,
                          const Xn__SignedAd *ad, struct parts *parts,
                          struct find_hit *hit, char *why)
{
    Xn__Caller signer = XN__CALLER__INIT;
    char detail[FIND_WHY_MAX / 2];
    int rc = envelope_verify(ad->envelope.data, ad->envelope.len,
                             check->anchors, check->wall_us, &hit->signer,
                             &parts->document, &parts->document_len);

    if (rc) return fail(why, "the envelope", rc);
    if (revoked_has(check->revoked, &hit->signer.corp, &hit->signer.id)) {
        return fail(why, "the server's key", XN_EREVOKED);
    }
    rc = advert_parse(parts->document, parts->document_len, &hit->advert,
                      detail, sizeof detail);
    if (rc) {
        snprintf(why, FIND_WHY_MAX, "the document: %s", detail);
        return rc;
    }
    signer.id = xn_id_bytes(&hit->signer.id);
    signer.corp = xn_id_bytes(&hit->signer.corp);
    signer.role = hit->signer.role;
    rc = ad_match(&hit->lease, parts->document, parts->document_len,
                  hit->advert, &signer);
    return rc ? fail(why, "lease and document", rc) : 0;
}

/* The lease first: it is cheap, and says whose advertisement this is. */
static int check_hit(const struct find_check *check, const Xn__Hit *raw,
                     struct find_hit *hit, char *why)
{
    struct parts parts = {NULL, NULL, 0, 0};
    int rc;

    memset(hit, 0, sizeof *hit);
    if (!raw->ad) return fail(why, "no advertisement", XN_EINVAL);
    rc = check_lease(check, raw->ad, &parts, hit, why);
    if (!rc) rc = check_document(check, raw->ad, &parts, hit, why);
    if (!rc && !query_match_advert(check->query, hit->advert, &hit->server,
                                   &hit->rank)) {
        rc = fail(why, "it does not meet the query", XN_EINVAL);
    }
    free(parts.lease);
    free(parts.document);
    return rc;
}

/* ---- its place ---- */

/* Where in the list a server stands; n where it does not. */
static size_t find_server(const struct find_list *list, const xn_id *server)
{
    size_t i;

    for (i = 0; i < list->n; i++) {
        if (xn_id_eq(&list->hits[i].server, server)) break;
    }
    return i;
}

static int insert(const struct find_check *check, struct find_list *list,
                  struct find_hit *hit)
{
    size_t at = list->n, cap = list->cap ? 2 * list->cap : 64;
    struct find_hit *more;

    if (list->n == list->cap) {
        more = realloc(list->hits, cap * sizeof *more);
        if (!more) return XN_ENOMEM;
        list->hits = more;
        list->cap = cap;
    }
    while (at > 0 && query_rank_cmp(check->query, &list->hits[at - 1].rank,
                                    &hit->rank) > 0) {
        at--;
    }
    memmove(&list->hits[at + 1], &list->hits[at], (list->n - at) * sizeof *hit);
    list->hits[at] = *hit;
    list->n++;
    memset(hit, 0, sizeof *hit);
    return 0;
}

static void drop(struct find_list *list, size_t at)
{
    clear_hit(&list->hits[at]);
    list->n--;
    memmove(&list->hits[at], &list->hits[at + 1],
            (list->n - at) * sizeof *list->hits);
}

/* The last hit's place in the answer as it came; its text is a copy, since
 * the advertisement may give way to a newer one. */
struct page {
    struct query_rank last;
    bool has_last;
    char *text;
};

static int remember(struct page *page, const struct query_rank *rank)
{
    free(page->text);
    page->text = NULL;
    page->last = *rank;
    page->has_last = true;
    if (!rank->text) return 0;
    page->last.text = page->text = strdup(rank->text);
    return page->text ? 0 : XN_ENOMEM;
}

/* The same server again is a lie, and so is an older version beside a newer
 * one. */
static const char *judge_place(const struct find_check *check,
                               const struct find_asked *asked,
                               const struct page *page,
                               const struct find_list *list,
                               const struct find_hit *hit)
{
    const struct query *query = check->query;
    size_t at = find_server(list, &hit->server);

    if (asked->server && !xn_id_eq(asked->server, &hit->server)) {
        return "it is not the server that was asked for";
    }
    if (at < list->n && list->hits[at].lease.version >= hit->lease.version) {
        return "the same server stands in the answer already";
    }
    if (asked->after && query_rank_cmp(query, &hit->rank, asked->after) <= 0) {
        return "it stands before the place asked for";
    }
    if (!asked->merged && page->has_last &&
        query_rank_cmp(query, &page->last, &hit->rank) > 0) {
        return "it stands out of order";
    }
    return NULL;
}

/* Takes the hit over; of one server the higher version stays. */
static int keep(const struct find_check *check, struct find_list *list,
                struct find_hit *hit)
{
    size_t at = find_server(list, &hit->server);
    int rc = 0;

    if (at < list->n && list->hits[at].lease.version >= hit->lease.version) {
        clear_hit(hit);
        return 0;
    }
    if (at < list->n) drop(list, at);
    rc = insert(check, list, hit);
    if (rc) clear_hit(hit);
    return rc;
}

int find_list_move(const struct find_check *check, struct find_list *from,
                   struct find_list *to)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < from->n && !rc; i++)
        rc = keep(check, to, &from->hits[i]);
    for (i = 0; i < from->n_rejects && !rc; i++)
        rc = find_list_reject(to, &from->rejects[i]);
    find_list_clear(from);
    return rc;
}

static int judge(const struct find_check *check, const struct find_asked *asked,
                 const Xn__Hit *raw, struct page *page, struct find_list *list,
                 bool *clean_out)
{
    struct find_reject reject = {.via = asked->via};
    const char *wrong = NULL;
    struct find_hit hit;
    int rc;

    if (xn_id_from_bytes(&raw->source, &reject.node)) reject.node = asked->via;
    rc = check_hit(check, raw, &hit, reject.why);
    hit.source = reject.node;
    if (!rc) wrong = judge_place(check, asked, page, list, &hit);
    if (wrong) snprintf(reject.why, sizeof reject.why, "%s", wrong);
    if (rc || wrong) {
        *clean_out = false;
        reject.server = hit.server;
        clear_hit(&hit);
        return find_list_reject(list, &reject);
    }
    rc = remember(page, &hit.rank);
    if (rc) {
        clear_hit(&hit);
        return rc;
    }
    return keep(check, list, &hit);
}

/* ---- who hid something ---- */

/* Has every copy had the time to get it? */
static bool is_settled(const struct ad_lease *lease, uint64_t wall_us)
{
    uint64_t settle_us =
        (lease->until_us - lease->issued_us) / FIND_SETTLE_PART;

    return lease->issued_us + settle_us <= wall_us;
}

static int name_hiding(const struct find_check *check,
                       const struct find_asked *asked, const Xn__Source *source,
                       struct find_list *list)
{
    struct find_reject reject = {.via = asked->via};
    size_t i, at;
    int rc;

    if (source->rc || xn_id_from_bytes(&source->node, &reject.node)) return 0;
    for (i = 0; i < source->n_missing; i++) {
        if (xn_id_from_bytes(&source->missing[i], &reject.server)) continue;
        at = find_server(list, &reject.server);
        if (at == list->n || xn_id_eq(&list->hits[at].source, &reject.node)) {
            continue;
        }
        if (!is_settled(&list->hits[at].lease, check->wall_us)) continue;
        snprintf(reject.why, sizeof reject.why,
                 "it hides a live advertisement (or its last version) that "
                 "another copy served");
        rc = find_list_reject(list, &reject);
        if (rc) return rc;
    }
    return 0;
}

int find_verify(const struct find_check *check, const struct find_asked *asked,
                const Xn__SearchResult *result, struct find_list *list,
                bool *clean_out)
{
    struct page page = {.has_last = false};
    size_t i;
    int rc = 0;

    *clean_out = true;
    for (i = 0; i < result->n_hits && !rc; i++) {
        rc = judge(check, asked, result->hits[i], &page, list, clean_out);
    }
    for (i = 0; asked->merged && i < result->n_sources && !rc; i++) {
        rc = name_hiding(check, asked, result->sources[i], list);
    }
    free(page.text);
    return rc;
}
