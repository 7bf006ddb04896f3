/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Discovery against an index made up here: each copy answers, fails or stays
 * silent as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/rd.h"
#include "lib/err.h"

enum { COPIES = 5, NEAR = 3, ADS_MAX = 8, LIVE = 100000 };

struct copy {
    int rc;
    bool silent; /* answers when the test says so */
    /* 0 ends; server number, + 1000 per version, + LIVE */
    unsigned ads[ADS_MAX];
    bool more;
    unsigned asked;
    /* what it was asked with, for a late answer */
    rd_found *fn;
    void *owner, *ctx;
};

struct kit {
    struct rd *rd;
    struct xn_rng rng;
    struct xn_tickets *tickets;
    struct xn_out out;
    struct xn_now now;
    struct copy copies[COPIES];
    char token[XN_TOKEN_MAX + 1]; /* asked last */
    uint32_t limit;               /* the same */
    Xn__SearchResult *result;
    Xn__Refusal *refusal;
};

static xn_id node_id(uint32_t copy)
{
    xn_id id = {{0xc0, (uint8_t)copy}};

    return id;
}

static xn_id server_id(unsigned number)
{
    xn_id id = {{0x5e, (uint8_t)(number % 1000)}};

    return id;
}

/* An ad whose lease can be read and no more. */
static void fill_ad(Xn__SignedAd *ad, unsigned number)
{
    Xn__SignedBlob blob = XN__SIGNED_BLOB__INIT;
    Xn__Lease lease = XN__LEASE__INIT;
    xn_id id = server_id(number);

    lease.server = lease.document = xn_id_bytes(&id);
    lease.version = number % LIVE / 1000 + 1;
    lease.until_us = number / LIVE; /* the clock stands at 0 */
    blob.payload.data = malloc(128);
    blob.payload.len = xn__lease__pack(&lease, blob.payload.data);
    xn__signed_ad__init(ad);
    ad->lease.data = malloc(256);
    ad->lease.len = xn__signed_blob__pack(&blob, ad->lease.data);
    free(blob.payload.data);
}

static void answer_copy(struct kit *kit, uint32_t i, rd_found *fn, void *owner,
                        void *ctx)
{
    struct copy *copy = &kit->copies[i];
    Xn__Found found = XN__FOUND__INIT;
    Xn__Summary summary = XN__SUMMARY__INIT;
    Xn__SignedAd rows[ADS_MAX], *list[ADS_MAX];
    struct xn_msg *msg = NULL;
    xn_id from = node_id(i);
    size_t n = 0;

    while (n < ADS_MAX && copy->ads[n]) {
        fill_ad(&rows[n], copy->ads[n]);
        list[n] = &rows[n];
        n++;
    }
    found.ads = list;
    found.n_ads = n;
    found.matching = n;
    found.more = copy->more;
    summary.ads = 7;
    found.summary = &summary;
    assert_int_equal(xn_msg_new(XN__KIND__FOUND, &found, &msg), 0);
    while (n > 0)
        free(rows[--n].lease.data);
    fn(owner, ctx, &kit->now, copy->rc, copy->rc ? NULL : msg, &from, i,
       &kit->out);
    xn_msg_free(msg);
}

static void enough(void *user, const void *ctx)
{
    struct kit *kit = user;
    uint32_t i;

    for (i = 0; i < COPIES; i++) {
        if (kit->copies[i].ctx == ctx) kit->copies[i].fn = NULL;
    }
}

static void ask(void *user, const struct xn_now *now, const Xn__Find *find,
                uint32_t i, uint64_t deadline_us, rd_found *fn, void *owner,
                void *ctx, struct xn_out *out)
{
    struct kit *kit = user;
    struct copy *copy = &kit->copies[i];

    (void)out;
    assert_in_range(i, 0, COPIES - 1);
    assert_true(deadline_us > now->mono_us);
    strcpy(kit->token, find->token);
    kit->limit = find->limit;
    copy->asked++;
    if (!copy->silent) {
        answer_copy(kit, i, fn, owner, ctx);
        return;
    }
    copy->fn = fn;
    copy->owner = owner;
    copy->ctx = ctx;
}

static int setup(void **state)
{
    struct kit *kit = calloc(1, sizeof *kit);
    struct rd_index index = {.user = kit,
                             .ask = ask,
                             .enough = enough,
                             .copies = COPIES,
                             .copies_near = NEAR,
                             .lease_us_max = 900000000};

    if (!kit) return -1;
    xn_rng_seed(&kit->rng, 1);
    xn_out_init(&kit->out);
    kit->now.mono_us = 1000000;
    *state = kit;
    if (xn_tickets_new(&kit->tickets)) return -1;
    return rd_new(&index, &kit->rng, kit->tickets, &kit->rd);
}

static void forget(struct kit *kit)
{
    if (kit->result) xn__search_result__free_unpacked(kit->result, NULL);
    if (kit->refusal) xn__refusal__free_unpacked(kit->refusal, NULL);
    kit->result = NULL;
    kit->refusal = NULL;
}

static int teardown(void **state)
{
    struct kit *kit = *state;

    forget(kit);
    rd_free(kit->rd);
    xn_tickets_free(kit->tickets, NULL);
    xn_out_clear(&kit->out);
    free(kit);
    return 0;
}

/* Takes the answer out of the outbox, if there is one. */
static bool answered(struct kit *kit, uint64_t ticket)
{
    const Xn__Answer *answer;
    size_t i;

    forget(kit);
    for (i = 0; i < kit->out.n; i++) {
        if (kit->out.act[i].kind != XN_ACT_ANSWER) continue;
        assert_int_equal(kit->out.act[i].ticket, ticket);
        answer = XN_BODY(kit->out.act[i].msg, Xn__Answer);
        if (answer->status == 200) {
            kit->result = xn__search_result__unpack(NULL, answer->body.len,
                                                    answer->body.data);
            assert_non_null(kit->result);
        } else {
            kit->refusal =
                xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
            assert_non_null(kit->refusal);
        }
    }
    xn_out_reset(&kit->out);
    return kit->result || kit->refusal;
}

static Xn__Search request(void)
{
    Xn__Search search = XN__SEARCH__INIT;

    search.limit = 10;
    return search;
}

static unsigned all_asked(const struct kit *kit)
{
    unsigned sum = 0, i;

    for (i = 0; i < COPIES; i++)
        sum += kit->copies[i].asked;
    return sum;
}

static void one_copy_answers(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].ads[0] = 1;
    rd_search(kit->rd, &kit->now, 42, &search, &kit->out);
    assert_true(answered(kit, 42));
    assert_int_equal(all_asked(kit), 1);
    assert_int_equal(kit->result->n_hits, 1);
    assert_int_equal(kit->result->answered_ppm, 1000000);
    assert_string_equal(kit->token, XN_TOKEN_EVERY);
    assert_string_equal(kit->result->engine, "match");
    assert_int_equal(rd_searches(kit->rd), 0);
}

static void the_next_copy_is_asked_when_one_fails(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES - 1; i++)
        kit->copies[i].rc = XN_ENOTYET;
    kit->copies[COPIES - 1].ads[0] = 9;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(all_asked(kit), COPIES);
    assert_int_equal(kit->result->n_hits, 1);
    assert_int_equal(kit->result->n_sources, COPIES);
}

static void when_all_fail_it_says_so(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].rc = XN_ETIMEOUT;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->result->answered_ppm, 0);
    assert_int_equal(kit->result->n_silent, 1);
    assert_string_equal(kit->result->silent[0], XN_TOKEN_EVERY);
}

static void avoided_nodes_do_not_count(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    ProtobufCBinaryData avoid[COPIES];
    xn_id ids[COPIES];
    unsigned i;

    for (i = 0; i < COPIES; i++) {
        kit->copies[i].ads[0] = i + 1;
        ids[i] = node_id(i);
        avoid[i] = xn_id_bytes(&ids[i]);
    }
    search.avoid = avoid;
    search.n_avoid = COPIES - 1;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->result->n_hits, 1);
    assert_memory_equal(kit->result->hits[0]->source.data, ids[COPIES - 1].b,
                        XN_ID_SIZE);
}

static const Xn__Source *source_of(const struct kit *kit, uint32_t copy)
{
    xn_id id = node_id(copy);
    size_t i;

    for (i = 0; i < kit->result->n_sources; i++) {
        if (!memcmp(kit->result->sources[i]->node.data, id.b, XN_ID_SIZE)) {
            return kit->result->sources[i];
        }
    }
    fail();
    return NULL;
}

static void paranoia_unites_and_names_who_hid(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    xn_id hidden = server_id(2);
    unsigned i;

    for (i = 0; i < COPIES; i++) {
        memcpy(kit->copies[i].ads, (unsigned[]){1, 2, 3, 0},
               4 * sizeof(unsigned));
        kit->copies[i].more = true;
    }
    /* Copy 1 hides 2; what it gives instead at the end proves nothing against
     * the others, whose answers were full. */
    memcpy(kit->copies[1].ads, (unsigned[]){1, 3, 4, 0}, 4 * sizeof(unsigned));
    search.paranoid = true;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(all_asked(kit), COPIES);
    assert_int_equal(kit->result->n_hits, 4);
    for (i = 0; i < COPIES; i++) {
        assert_int_equal(source_of(kit, i)->n_missing, i == 1);
    }
    assert_memory_equal(source_of(kit, 1)->missing[0].data, hidden.b,
                        XN_ID_SIZE);
}

static void the_newest_version_wins_and_the_old_counts_as_missing(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].ads[0] = 1001;
    kit->copies[2].ads[0] = 1; /* an older version of the same */
    search.paranoid = true;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->result->n_hits, 1);
    for (i = 0; i < COPIES; i++) {
        assert_int_equal(source_of(kit, i)->n_missing, i == 2);
    }
}

static void a_lease_that_is_over_counts_as_missing(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].ads[0] = LIVE + 1;
    kit->copies[0].ads[0] = 1; /* the same version without its renewal */
    kit->copies[4].ads[0] = 1;
    search.paranoid = true;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->result->n_hits, 1);
    for (i = 0; i < COPIES; i++) {
        assert_int_equal(source_of(kit, i)->n_missing, i % 4 == 0);
    }
}

static void where_all_leases_are_over_nobody_is_without(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].ads[0] = 1;
    search.paranoid = true;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    /* The asker gets to see it, and whom it is from. */
    assert_int_equal(kit->result->n_hits, 1);
    for (i = 0; i < COPIES; i++) {
        assert_int_equal(source_of(kit, i)->n_missing, 0);
    }
}

static void the_smallest_shard_is_asked(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    Xn__Query query = XN__QUERY__INIT;
    Xn__Expr all = XN__EXPR__INIT, a = XN__EXPR__INIT, b = XN__EXPR__INIT;
    Xn__Expr *args[] = {&a, &b};
    char *one = (char *)(uintptr_t) "1";

    a.op = b.op = XN__EXPR_OP__IN;
    a.token = (char *)(uintptr_t) "Aa";
    b.token = (char *)(uintptr_t) "Bb";
    a.values = b.values = &one;
    a.n_values = b.n_values = 1;
    all.args = args;
    all.n_args = 2;
    query.where = &all;
    search.query = &query;
    /* Bb's size becomes known by asking it. */
    search.token = (char *)(uintptr_t) "Bb";
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    search.token = (char *)(uintptr_t) "";
    rd_search(kit->rd, &kit->now, 2, &search, &kit->out);
    assert_true(answered(kit, 2));
    assert_string_equal(kit->token, "Bb");
    search.explain = true;
    rd_search(kit->rd, &kit->now, 3, &search, &kit->out);
    assert_true(answered(kit, 3));
    assert_string_equal(kit->token, XN_TOKEN_EVERY);
}

static void nonsense_is_refused(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();

    search.engine = (char *)(uintptr_t) "oracle";
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->refusal->rc, XN_ENOENT);
    search.engine = (char *)(uintptr_t) "";
    search.token = (char *)(uintptr_t) "no token";
    rd_search(kit->rd, &kit->now, 2, &search, &kit->out);
    assert_true(answered(kit, 2));
    assert_int_equal(kit->refusal->rc, XN_EINVAL);
    assert_int_equal(all_asked(kit), 0);
}

/* What a search carries goes to every copy: it is judged here. */
static void a_place_to_go_on_from_is_checked(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    Xn__Cursor after = XN__CURSOR__INIT;
    xn_id server = server_id(3);
    char *value = calloc(1, 1 << 20);

    assert_non_null(value);
    search.after = &after;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_non_null(kit->refusal);
    assert_int_equal(kit->refusal->rc, XN_EINVAL);
    after.server = xn_id_bytes(&server);
    memset(value, '9', (1 << 20) - 1);
    after.value = value;
    rd_search(kit->rd, &kit->now, 2, &search, &kit->out);
    assert_true(answered(kit, 2));
    assert_non_null(kit->refusal);
    assert_int_equal(kit->refusal->rc, XN_EINVAL);
    assert_int_equal(all_asked(kit), 0);
    value[XN_VALUE_MAX] = 0;
    rd_search(kit->rd, &kit->now, 3, &search, &kit->out);
    assert_true(answered(kit, 3));
    assert_non_null(kit->result);
    free(value);
}

static void more_ads_than_asked_for_are_no_answer(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++) {
        memcpy(kit->copies[i].ads, (unsigned[]){1, 2, 3, 0},
               4 * sizeof(unsigned));
    }
    search.limit = 2;
    kit->copies[4].ads[2] = 0;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_true(answered(kit, 1));
    assert_int_equal(kit->result->n_hits, 2);
    assert_int_equal(source_of(kit, 4)->rc, 0);
    assert_int_equal(source_of(kit, 0)->rc, XN_EPROTO);
    search.limit = UINT32_MAX;
    rd_search(kit->rd, &kit->now, 2, &search, &kit->out);
    assert_true(answered(kit, 2));
    assert_int_equal(kit->limit, RD_ADS_MAX);
}

static void a_cancelled_search_ends_in_silence(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].silent = true;
    rd_search(kit->rd, &kit->now, 1, &search, &kit->out);
    assert_false(answered(kit, 1));
    rd_cancel(kit->rd, 1);
    assert_int_equal(rd_searches(kit->rd), 0); /* its place is free */
    for (i = 0; i < COPIES; i++)
        assert_null(kit->copies[i].fn); /* and nobody is waited for */
    assert_false(answered(kit, 1));
}

static void searches_are_bounded(void **state)
{
    struct kit *kit = *state;
    Xn__Search search = request();
    unsigned i;

    for (i = 0; i < COPIES; i++)
        kit->copies[i].silent = true;
    for (i = 0; i < RD_SEARCHES_MAX; i++) {
        rd_search(kit->rd, &kit->now, i + 1, &search, &kit->out);
    }
    assert_false(answered(kit, 0));
    rd_search(kit->rd, &kit->now, 5000, &search, &kit->out);
    assert_true(answered(kit, 5000));
    assert_int_equal(kit->refusal->rc, XN_EBUSY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_copy_answers),
        TEST(the_next_copy_is_asked_when_one_fails),
        TEST(when_all_fail_it_says_so),
        TEST(avoided_nodes_do_not_count),
        TEST(paranoia_unites_and_names_who_hid),
        TEST(the_newest_version_wins_and_the_old_counts_as_missing),
        TEST(a_lease_that_is_over_counts_as_missing),
        TEST(where_all_leases_are_over_nobody_is_without),
        TEST(the_smallest_shard_is_asked),
        TEST(nonsense_is_refused),
        TEST(a_place_to_go_on_from_is_checked),
        TEST(more_ads_than_asked_for_are_no_answer),
        TEST(a_cancelled_search_ends_in_silence),
        TEST(searches_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
