/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xenoserver tells an operator of what others say: which of them is
 * believed, and what sessions were charged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hostagent/xenoserver_html.h"

/* ---- what the rest of xenoserver would do ---- */

void doctor_find(struct doctor *d, const char *about, enum doctor_level level,
                 const char *try, const char *because_fmt, ...)
{
    struct doctor_finding *f = &d->findings[d->n++];
    va_list args;

    f->about = about;
    f->level = level;
    snprintf(f->try, sizeof f->try, "%s", try ? try : "");
    va_start(args, because_fmt);
    vsnprintf(f->because, sizeof f->because, because_fmt, args);
    va_end(args);
}

int doctor_ask_node(const struct doctor *doctor, const char *node,
                    Xn__NodeStatus **status_out, char *why_out, size_t len)
{
    (void)doctor, (void)node, (void)status_out, (void)why_out, (void)len;
    return -1;
}

int server_refusal(const struct net_reply *reply, char *why_out, size_t len,
                   char *try_out, size_t try_len)
{
    (void)reply, (void)why_out, (void)len, (void)try_out, (void)try_len;
    return -1;
}

const char *view_session_state(unsigned state)
{
    (void)state;
    return "running";
}

/* ---- who met it where ---- */

static const struct doctor_finding *judged_at(struct doctor *d,
                                              const char *told,
                                              const char *const *seen, size_t n)
{
    const struct doctor_aim aim = {.about = "server",
                                   .whom = "clients",
                                   .otherwise = "sell elsewhere",
                                   .address = told};
    Xn__Contact node = XN__CONTACT__INIT;
    Xn__ReachedBy rows[3], *by[3];
    Xn__Reached reached = XN__REACHED__INIT;

    node.address = (char *)(uintptr_t) "198.51.100.7:1";
    for (size_t i = 0; i < n; i++) {
        xn__reached_by__init(&rows[i]);
        rows[i].node = &node;
        rows[i].met = seen[i][0] != '-';
        rows[i].seen = (char *)(uintptr_t)(seen[i] + !rows[i].met);
        by[i] = &rows[i];
    }
    reached.by = by;
    reached.n_by = n;
    memset(d, 0, sizeof *d);
    doctor_judge_outside(d, &aim, &reached);
    assert_int_equal(d->n, 1);
    return &d->findings[0];
}

static const struct doctor_finding *judged(struct doctor *d,
                                           const char *const *seen, size_t n)
{
    return judged_at(d, "192.0.2.1:7403", seen, n);
}

/* One that lies has nobody told to advertise another's address. */
static void one_word_is_nothing_beside_two(void **state)
{
    static const char *const rows[][3] = {
        {"192.0.2.1", "192.0.2.1", "203.0.113.9"},
        {"203.0.113.9", "192.0.2.1", "192.0.2.1"},
        {"-192.0.2.1", "192.0.2.1", "203.0.113.9"},
    };
    struct doctor d;

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(judged(&d, rows[i], 3)->level, DOCTOR_OK);
}

static void else_it_is_told(void **state)
{
    static const char *const astray[] = {"203.0.113.9", "-203.0.113.9"};
    static const char *const missed[] = {"-192.0.2.1", "-192.0.2.1"};
    static const char *const lied_to[] = {"-192.0.2.1", "203.0.113.9"};
    const struct doctor_finding *f;
    struct doctor d;

    f = judged(&d, astray, 2);
    assert_int_equal(f->level, DOCTOR_FAIL);
    assert_non_null(strstr(f->try, "203.0.113.9:7403"));
    f = judged(&d, missed, 2);
    assert_int_equal(f->level, DOCTOR_FAIL);
    assert_non_null(strstr(f->because, "2 of 2 nodes"));
    f = judged(&d, lied_to, 2);
    assert_int_equal(f->level, DOCTOR_FAIL);
    assert_null(strstr(f->try, "203.0.113.9"));
}

/* An address has many spellings. */
static void one_address_is_one(void **state)
{
    static const char *const six[] = {"[2001:db8::1]"};
    static const char *const four[] = {"[::ffff:192.0.2.1]"};
    struct doctor d;

    assert_int_equal(judged_at(&d, "[2001:DB8:0::1]:7403", six, 1)->level,
                     DOCTOR_OK);
    assert_int_equal(judged(&d, four, 1)->level, DOCTOR_OK);
    assert_int_equal(judged_at(&d, "[2001:db8::2]:7403", six, 1)->level,
                     DOCTOR_FAIL);
}

/* ---- the page ---- */

static void orders_of_before_are_charged_too(void **state)
{
    Xn__HostSession one = XN__HOST_SESSION__INIT, two = XN__HOST_SESSION__INIT;
    Xn__HostSession odd = XN__HOST_SESSION__INIT;
    Xn__HostSession *list[] = {&one, &two, &odd};
    Xn__Sessions page = XN__SESSIONS__INIT;
    struct view view = {.state = "offered", .has_sessions = true};
    struct doctor d = {.n = 0};
    struct xn_buf out;

    one.currency = two.currency = odd.currency = (char *)(uintptr_t) "GBP";
    one.charged = 1250000;
    two.charged = 500000;
    two.before = 3000000;
    two.extended = 2;
    odd.charged = odd.before = INT64_MAX;
    page.sessions = list;
    page.n_sessions = 3;
    view.pages[view.n_pages++] = &page;
    xn_buf_init(&out, 1 << 20);
    html_page(
        &(struct html_facts){
            .name = "otter", .view = &view, .doctor = &d, .refresh_s = 10},
        &out);
    xn_buf_char(&out, '\0');
    assert_int_equal(xn_buf_rc(&out), 0);
    assert_non_null(strstr((char *)out.data,
                           "charged by these sessions</span><b>4.75 GBP</b>"));
    assert_non_null(strstr((char *)out.data, ">before: 3<"));
    xn_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_word_is_nothing_beside_two),
        cmocka_unit_test(else_it_is_told),
        cmocka_unit_test(one_address_is_one),
        cmocka_unit_test(orders_of_before_are_charged_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
