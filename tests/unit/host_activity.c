/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes of whom tasks talked to: what binds them to claims, who reads them, how
 * long they are kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/money_kit.h"
#include "tests/unit/task_kit.h"
#include "wire/nest.h"

#define KEEP_US (90 * DAY_US)
#define CLIENT "192.0.2.7"

static char *text(const char *of)
{
    return (char *)(uintptr_t)of;
}

/* ---- reading ---- */

static uint64_t ask(struct market *m, const char *query,
                    const Xn__Caller *caller)
{
    uint64_t ticket = market_ask(m, "GET", "/v1/activity", query, NULL, caller);

    market_serve(m);
    return ticket;
}

static uint64_t ask_session(struct market *m, const Xn__Caller *caller)
{
    char query[100] = "session=";

    xn_id_hex(&m->session, query + strlen(query));
    return ask(m, query, caller);
}

static Xn__ActivityNotes *answered(struct market *m, uint64_t ticket)
{
    return crank_answered(&m->h, ticket, &xn__activity_notes__descriptor);
}

static size_t count(struct market *m)
{
    Xn__ActivityNotes *notes = answered(m, ask_session(m, &m->operator));
    size_t n = notes->n_notes;

    xn__activity_notes__free_unpacked(notes, NULL);
    return n;
}

/* The last there is, to be freed; its hash. */
static Xn__ActivityNote *last_note(struct market *m, xn_id *hash_out)
{
    Xn__ActivityNotes *notes = answered(m, ask_session(m, &m->operator));
    Xn__ActivityNote *note;

    assert_true(notes->n_notes > 0);
    assert_int_equal(notes->kept_us, KEEP_US);
    note = xn__activity_note__unpack(NULL, notes->notes[notes->n_notes - 1].len,
                                     notes->notes[notes->n_notes - 1].data);
    assert_non_null(note);
    xn_id_hash(notes->notes[notes->n_notes - 1].data,
               notes->notes[notes->n_notes - 1].len, hash_out);
    xn__activity_notes__free_unpacked(notes, NULL);
    return note;
}

/* ---- what there is ---- */

static struct host_session *session_of(struct market *m)
{
    return session_find((struct host *)m->h.core, &m->session);
}

static void carries(struct market *m, uint64_t sent, uint64_t got)
{
    m->dom.sent = sent;
    m->dom.got = got;
}

static void begin(struct market *m)
{
    m->s.client.caller.address = text(CLIENT ":4711");
    tasks_begin(m);
    tasks_run(m, 1, false);
}

static void begins_a_stream(struct market *m)
{
    tasks_ask_forward(m, 80);
    market_serve(m);
    assert_true(m->dom.n_waiting > 0);
}

/* Until a claim has made it so many. */
static void until_noted(struct market *m, size_t n)
{
    for (unsigned i = 0; i < 60 && count(m) < n; i++)
        market_pass(m, SECOND_US);
    assert_int_equal(count(m), n);
}

/* It stands in the claim that was made last. */
static void claims(struct market *m, const xn_id *hash)
{
    char want[XN_ID_HEX + 10] = "; note ";
    const struct host_session *s = session_of(m);

    xn_id_hex(hash, want + strlen(want));
    assert_non_null(strstr(s->claimed.activity, want));
    assert_true(strncmp(s->claimed.activity, "tasks in a ", 11) == 0);
}

static void what_is_carried_is_noted(void **state)
{
    struct market *m = *state;
    Xn__ActivityNote *note;
    xn_id hash;

    begin(m);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(count(m), 0); /* nobody talked to it */
    begins_a_stream(m);
    carries(m, 1000, 70);
    until_noted(m, 1); /* it lasts */
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_memory_equal(note->session.data, m->session.b, XN_ID_SIZE);
    assert_int_equal(note->sequence, session_of(m)->claimed.sequence);
    assert_int_equal(note->flows->n_flows, 1);
    assert_int_equal(note->flows->flows[0]->protocol, 6);
    assert_string_equal(note->flows->flows[0]->peer, CLIENT);
    assert_int_equal(note->flows->flows[0]->peer_port, 4711);
    assert_int_equal(note->flows->flows[0]->own_port, 80);
    assert_int_equal(note->flows->flows[0]->sent, 1000);
    assert_int_equal(note->flows->flows[0]->got, 70);
    assert_true(note->flows->flows[0]->carried);
    assert_true(note->since_us < note->till_us);
    xn__activity_note__free_unpacked(note, NULL);
    carries(m, 1500, 75);
    dom_end_stream(&m->dom, &m->h);
    until_noted(m, 2);
    note = last_note(m, &hash); /* what it has grown by, once */
    claims(m, &hash);
    assert_int_equal(note->flows->flows[0]->sent, 500);
    assert_int_equal(note->flows->flows[0]->got, 5);
    xn__activity_note__free_unpacked(note, NULL);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(count(m), 2);
}

/* Where the last claim is all that there is. */
static void the_last_claim_has_one(void **state)
{
    struct market *m = *state;
    Xn__ActivityNote *note;
    xn_id hash;

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    dom_end_stream(&m->dom, &m->h);
    market_pass(m, SECOND_US);
    assert_int_equal(count(m), 0);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 30 * SECOND_US);
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_int_equal(note->flows->flows[0]->sent, 9);
    xn__activity_note__free_unpacked(note, NULL);
}

/* It is there before the XenoCorp hears of the claim, through a death at once. */
static void is_stored_before_it_is_sent(void **state)
{
    struct market *m = *state;
    Xn__ActivityNote *note;
    xn_id hash;

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    dom_end_stream(&m->dom, &m->h);
    m->corp_down = true;
    market_pass(m, 15 * SECOND_US);
    m->corp_down = false;
    market_restart(m);
    note = last_note(m, &hash);
    claims(m, &hash);
    xn__activity_note__free_unpacked(note, NULL);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(count(m), 1);
}

/* The first claim comes too late, and then less is claimed. */
static void is_cut(struct market *m)
{
    struct xn_action call;

    for (unsigned i = 0; i < 8 && !market_has_call(m, "/v1/charge"); i++) {
        crank_pass(&m->h, 10 * SECOND_US);
        market_serve_but_calls(m);
    }
    call = market_take_call(m, "/v1/charge");
    market_say_refusal(m, &call, XN_ECONFLICT, "CLAIM_STOPPED");
    m->s.c.now = m->h.now;
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
}

/* A claim that is given up, for it came too late, gives its note to the next. */
static void a_cut_claim_has_it_too(void **state)
{
    struct market *m = *state;
    Xn__ActivityNote *note;
    xn_id hash;

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    dom_end_stream(&m->dom, &m->h);
    is_cut(m);
    assert_int_equal(count(m), 1);
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_int_equal(note->flows->n_flows, 1);
    assert_int_equal(note->flows->flows[0]->sent, 9);
    xn__activity_note__free_unpacked(note, NULL);
}

static void unknown_is_said(void **state)
{
    struct market *m = *state;
    Xn__ActivityNote *note;
    xn_id hash;

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    m->dom.carries_unasked = true;
    until_noted(m, 1);
    note = last_note(m, &hash);
    assert_int_equal(note->flows->n_flows, 0);
    assert_string_equal(note->flows->unknown,
                        "what was carried to its ports is not known");
    xn__activity_note__free_unpacked(note, NULL);
    m->dom.carries_unasked = false;
    until_noted(m, 2); /* and is told later */
    note = last_note(m, &hash);
    assert_int_equal(note->flows->flows[0]->sent, 9);
    assert_string_equal(note->flows->unknown, "");
    xn__activity_note__free_unpacked(note, NULL);
}

/* ---- of domains ---- */

#define NETWORKED                                                              \
    "<EnvironmentalRequirements><Resources><MemoryMB>512</MemoryMB>"           \
    "</Resources><QoS><CPUsmps>1000</CPUsmps><NetMbps>8</NetMbps></QoS>"       \
    "</EnvironmentalRequirements>"

static struct market *begin_domain(const char *want)
{
    struct market *m = market_open_xen(true, NULL);

    market_quote(m, want);
    market_order(m, m->word, 10 * GBP);
    market_ask_create(m);
    market_serve(m);
    market_know_session(m);
    tasks_run(m, 1, false);
    return m;
}

static void domains_are_asked_for_theirs(void **state)
{
    struct market *m = begin_domain(NETWORKED);
    Xn__Flows flows = XN__FLOWS__INIT;
    Xn__Flow flow = XN__FLOW__INIT, *list[] = {&flow};
    Xn__ActivityNote *note;
    unsigned asks;
    xn_id hash;

    (void)state;
    flow.protocol = 17;
    flow.peer = text("198.51.100.9");
    flow.peer_port = 53;
    flow.sent = 4000;
    flows.flows = list;
    flows.n_flows = 1;
    flows.others = 3;
    flows.others_got = 33;
    m->dom.flows = &flows;
    until_noted(m, 1);
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_string_equal(note->flows->flows[0]->peer, "198.51.100.9");
    assert_int_equal(note->flows->flows[0]->sent, 4000);
    assert_int_equal(note->flows->others_got, 33);
    xn__activity_note__free_unpacked(note, NULL);
    flow.peer_port = 99999; /* a word that breaks a bound is none */
    until_noted(m, 2);
    note = last_note(m, &hash);
    assert_int_equal(note->flows->n_flows, 0);
    assert_string_equal(note->flows->unknown, xn_strerror(XN_EPROTO));
    xn__activity_note__free_unpacked(note, NULL);
    flow.peer_port = 53;
    /* one that has ended is asked for once more, and no more */
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_serve(m);
    asks = m->dom.flow_asks;
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(m->dom.flow_asks, asks + 1);
    market_close(m);
}

/* One that cannot count says so, and not at each claim. */
static void a_reason_is_noted_once(void **state)
{
    struct market *m = begin_domain(NETWORKED);
    Xn__Flows flows = XN__FLOWS__INIT;
    Xn__ActivityNote *note;
    xn_id hash;

    (void)state;
    flows.unknown = text("there is no nft on this machine");
    m->dom.flows = &flows;
    until_noted(m, 1);
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_string_equal(note->flows->unknown, flows.unknown);
    xn__activity_note__free_unpacked(note, NULL);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(count(m), 1);
    assert_true(m->dom.flow_asks > 3);
    flows.others_sent = 1;
    until_noted(m, 2);
    market_close(m);
}

static void a_cut_claim_has_a_reason_too(void **state)
{
    struct market *m = begin_domain(NETWORKED);
    Xn__Flows flows = XN__FLOWS__INIT;
    Xn__ActivityNote *note;
    xn_id hash;

    (void)state;
    flows.unknown = text("there is no nft on this machine");
    m->dom.flows = &flows;
    is_cut(m);
    assert_int_equal(count(m), 1);
    note = last_note(m, &hash);
    claims(m, &hash);
    assert_string_equal(note->flows->unknown, flows.unknown);
    xn__activity_note__free_unpacked(note, NULL);
    market_close(m);
}

static void who_has_no_network_is_not_asked(void **state)
{
    struct market *m = begin_domain(SMALL);

    (void)state;
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(m->dom.flow_asks, 0);
    assert_int_equal(count(m), 0);
    market_close(m);
}

/* ---- who reads them ---- */

static void others_read_nothing(void **state)
{
    struct market *m = *state;
    const Xn__Caller *stranger = &m->s.stranger.caller;
    Xn__ActivityNotes *notes;
    char because[300];

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    market_pass(m, 15 * SECOND_US);
    notes = answered(m, ask_session(m, &m->s.client.caller));
    assert_int_equal(notes->n_notes, 1);
    xn__activity_notes__free_unpacked(notes, NULL);
    notes = answered(m, ask(m, "", &m->operator));
    assert_int_equal(notes->n_notes, 1);
    xn__activity_notes__free_unpacked(notes, NULL);
    assert_int_equal(market_refused(m, ask_session(m, stranger), because),
                     XN_ENOENT);
    assert_string_equal(because, "you have no such session here");
    assert_int_equal(market_refused(m, ask_session(m, &m->node), NULL),
                     XN_EPERM);
    assert_int_equal(market_refused(m, ask(m, "", &m->s.client.caller), NULL),
                     XN_EINVAL);
    assert_int_equal(market_refused(m, ask(m, "session=7", &m->operator), NULL),
                     XN_EINVAL);
    assert_int_equal(market_refused(m, ask(m, "after=zz", &m->operator), NULL),
                     XN_EINVAL);
}

/* Page by page, each once and in order. */
static void all_pages_are_told(void **state)
{
    struct market *m = *state;
    char query[200] = "";
    size_t n = 0, pages = 0;
    uint64_t before = 0;
    bool more = true;

    begin(m);
    begins_a_stream(m);
    for (unsigned i = 1; i <= 40; i++) {
        carries(m, i, 0);
        market_pass(m, 11 * SECOND_US);
    }
    while (more) {
        Xn__ActivityNotes *page = answered(m, ask(m, query, &m->operator));

        for (size_t i = 0; i < page->n_notes; i++, n++) {
            Xn__ActivityNote *note = xn__activity_note__unpack(
                NULL, page->notes[i].len, page->notes[i].data);

            assert_true(note->sequence > before);
            before = note->sequence;
            xn__activity_note__free_unpacked(note, NULL);
        }
        more = page->last.len > 0;
        strcpy(query, "after=");
        for (size_t i = 0; i < page->last.len; i++)
            snprintf(query + 6 + 2 * i, 3, "%02x", page->last.data[i]);
        xn__activity_notes__free_unpacked(page, NULL);
        pages++;
    }
    assert_true(pages > 2);
    assert_int_equal(n, ((struct host *)m->h.core)->market.notes.n);
    assert_true(n >= 30);
}

/* ---- how long they are kept ---- */

static size_t stored(struct market *m, char letter)
{
    size_t n = 0;

    for (size_t i = 0; i < m->h.n_records; i++)
        n += m->h.records[i].key_len == ACTIVITY_KEY &&
             m->h.records[i].key[0] == (uint8_t)letter;
    return n;
}

static void the_old_go(void **state)
{
    struct market *m = *state;

    begin(m);
    begins_a_stream(m);
    carries(m, 9, 8);
    market_pass(m, 15 * SECOND_US);
    dom_end_stream(&m->dom, &m->h);
    assert_int_equal(stored(m, 'a'), 1);
    assert_int_equal(stored(m, 'i'), 1);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    market_restart(m);
    assert_int_equal(count(m), 1);
    m->h.now.wall_us += KEEP_US - DAY_US;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(stored(m, 'a'), 1);
    m->h.now.wall_us += DAY_US;
    assert_int_equal(count(m), 0); /* not told, before it has gone */
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(stored(m, 'a'), 0);
    assert_int_equal(stored(m, 'i'), 0);
}

static void no_more_than_so_many(void **state)
{
    struct market *m = *state;
    struct host *host;
    Xn__ActivityNote *note;
    uint64_t last;
    xn_id hash;

    begin(m);
    host = (struct host *)m->h.core;
    host->config.notes_max = 5;
    begins_a_stream(m);
    for (unsigned i = 1; i <= 100; i++) {
        carries(m, i, 0);
        market_pass(m, 11 * SECOND_US);
    }
    last = session_of(m)->claimed.sequence;
    market_pass(m, 70 * SECOND_US);
    assert_int_equal(stored(m, 'a'), 5);
    assert_int_equal(stored(m, 'i'), 5);
    note = last_note(m, &hash); /* the oldest have gone */
    assert_true(note->sequence + 1 >= last);
    xn__activity_note__free_unpacked(note, NULL);
}

/* Bytes of the notes that are stored. */
static uint64_t stored_bytes(struct market *m)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < m->h.n_records; i++) {
        if (m->h.records[i].key_len == ACTIVITY_KEY &&
            m->h.records[i].key[0] == 'a')
            bytes += m->h.records[i].value_len;
    }
    return bytes;
}

/* What is counted is what there is, also by who begins anew. */
static void no_more_than_so_many_bytes(void **state)
{
    struct market *m = *state;
    struct host *host;
    uint64_t all;

    begin(m);
    begins_a_stream(m);
    for (unsigned i = 1; i <= 30; i++) {
        carries(m, i * 1000, i);
        market_pass(m, 11 * SECOND_US);
    }
    dom_end_stream(&m->dom, &m->h);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    all = stored_bytes(m);
    assert_true(stored(m, 'a') >= 20);
    market_restart(m);
    market_serve(m);
    host = (struct host *)m->h.core;
    assert_int_equal(host->market.notes.bytes, all);
    host->config.notes_bytes = all / 2;
    market_pass(m, 130 * SECOND_US);
    assert_true(stored_bytes(m) <= all / 2);
    assert_true(stored_bytes(m) > all / 4);
    assert_int_equal(stored(m, 'i'), stored(m, 'a'));
    assert_int_equal(host->market.notes.n, stored(m, 'a'));
    assert_int_equal(host->market.notes.bytes, stored_bytes(m));
}

static void a_drop_that_fails_is_made_again(void **state)
{
    struct market *m = *state;
    struct xn_action act;

    begin(m);
    begins_a_stream(m);
    for (unsigned i = 1; i <= 90; i++) {
        carries(m, i, 0);
        market_pass(m, 11 * SECOND_US);
    }
    dom_end_stream(&m->dom, &m->h);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 30 * SECOND_US);
    assert_true(stored(m, 'a') > 70); /* more than a look sees */
    ((struct host *)m->h.core)->config.notes_max = 70;
    for (unsigned i = 0; i < 20 && !crank_count(&m->h, XN_ACT_TXN); i++) {
        crank_pass(&m->h, 10 * SECOND_US);
        while (!crank_count(&m->h, XN_ACT_TXN) && market_serve_one(m))
            ;
    }
    act = crank_take(&m->h, XN_ACT_TXN);
    crank_done(&m->h, &act, XN_ENOSPC, 0, NULL);
    m->s.c.now = m->h.now;
    market_pass(m, 130 * SECOND_US);
    assert_int_equal(stored(m, 'a'), 70);
    assert_int_equal(stored(m, 'i'), 70);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(what_is_carried_is_noted),
        TEST(the_last_claim_has_one),
        TEST(is_stored_before_it_is_sent),
        TEST(a_cut_claim_has_it_too),
        TEST(unknown_is_said),
        cmocka_unit_test(domains_are_asked_for_theirs),
        cmocka_unit_test(a_reason_is_noted_once),
        cmocka_unit_test(a_cut_claim_has_a_reason_too),
        cmocka_unit_test(who_has_no_network_is_not_asked),
        TEST(others_read_nothing),
        TEST(all_pages_are_told),
        TEST(the_old_go),
        TEST(no_more_than_so_many),
        TEST(no_more_than_so_many_bytes),
        TEST(a_drop_that_fails_is_made_again),
    };

    return cmocka_run_group_tests_name("host_activity", tests, NULL, NULL);
}
