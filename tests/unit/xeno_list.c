/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno list and top, in front of a server with more sessions than it lets
 * anybody ask for at once: it is asked for its list, and again when it says. */
#include "tests/unit/net_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xeno_list.h"
#include "wire/api.pb-c.h"

#define METERED "\"cpu_ns\": 7000000"

enum { PAGE = 64, SECOND_US = 1000000, CLAIMED_MS = 3, METERED_MS = 7 };

static struct plan { /* of the server */
    unsigned n;      /* sessions */
    unsigned burst;  /* questions at once */
    unsigned wait_s; /* then none for so long */
    bool stubborn;   /* and the next burst never comes */
    bool tasks;      /* of each session one */
    bool reversed;   /* its pages are */
    bool endless;    /* they go on with nothing */
} plan;

static struct net_identity corp, server, client;
static struct kit_child child;
static char folder[64], url[160];
static struct xeno xeno;

static xn_id nth(unsigned i)
{
    xn_id id = {{1}};

    id.b[1] = (uint8_t)(i >> 8);
    id.b[2] = (uint8_t)i;
    return id;
}

/* ---- the server ---- */

static bool may_ask(const struct xn_now *now, uint64_t *wait_us_out)
{
    static uint64_t until_us;
    static unsigned asked;

    if (until_us && now->mono_us >= until_us && !plan.stubborn)
        until_us = asked = 0;
    if (!until_us && asked++ < plan.burst) return true;
    if (!until_us || plan.stubborn)
        until_us = now->mono_us + plan.wait_s * (uint64_t)SECOND_US;
    *wait_us_out = until_us - now->mono_us;
    return false;
}

struct told {
    xn_id id;
    Xn__HostTask task;
    Xn__HostSession body;
};

static Xn__HostSession *describe(struct told *told, unsigned i)
{
    told->id = nth(i);
    xn__host_session__init(&told->body);
    told->body.session = xn_id_bytes(&told->id);
    told->body.state = XN__SESSION_STATE__SESSION_RUNNING;
    xn__host_task__init(&told->task);
    told->task.task = 1;
    told->task.state = XN__TASK_STATE__RUNNING;
    told->task.cpu_ns = CLAIMED_MS * 1000000ULL;
    if (plan.tasks) told->body.task = &told->task;
    return &told->body;
}

static void tell_page(struct xn_out *out, uint64_t ticket, const xn_id *after)
{
    static struct told told[PAGE];
    Xn__HostSession *list[PAGE];
    Xn__Sessions page = XN__SESSIONS__INIT;
    unsigned i = 0;

    for (; i < plan.n; i++) {
        xn_id id = nth(i);

        if (xn_id_cmp(&id, after) > 0) break;
    }
    for (; i < plan.n && page.n_sessions < PAGE && !plan.endless; i++) {
        size_t at = page.n_sessions++;

        list[at] = describe(&told[at], plan.reversed ? plan.n - 1 - i : i);
    }
    page.more = i < plan.n;
    page.sessions = list;
    xn_out_answer(out, ticket, 200, &page);
}

static void tell_sessions(struct xn_out *out, uint64_t ticket,
                          const char *query)
{
    struct told told;
    xn_id id = {{0}};

    if (strncmp(query, "session=", 8) == 0) {
        for (unsigned i = 0; i < plan.n; i++) {
            char hex[XN_ID_HEX];

            describe(&told, i);
            xn_id_hex(&told.id, hex);
            if (strcmp(query + 8, hex)) continue;
            xn_out_answer(out, ticket, 200, &told.body);
            return;
        }
        xn_out_refuse(out, ticket, XN_ENOENT, "no", "no such session", "");
        return;
    }
    if (strncmp(query, "after=", 6) == 0 &&
        xn_id_unhex(query + 6, strlen(query + 6), &id))
        abort();
    tell_page(out, ticket, &id);
}

static void serves(struct kit_core *core, const struct xn_now *now,
                   const struct xn_event *ev, struct xn_out *out)
{
    Xn__HostTask task = XN__HOST_TASK__INIT;
    const Xn__Ask *ask;
    uint64_t wait_us;

    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (write(kit_child_out, "?", 1) != 1) abort();
    if (!may_ask(now, &wait_us)) {
        xn_out_refuse_until(out, ev->ticket, "no", "too often", wait_us);
    } else if (strcmp(ask->path, "/v1/tasks") == 0) {
        task.task = 1;
        task.state = XN__TASK_STATE__RUNNING;
        task.cpu_ns = METERED_MS * 1000000ULL;
        xn_out_answer(out, ev->ticket, 200, &task);
    } else {
        tell_sessions(out, ev->ticket, ask->query ? ask->query : "");
    }
}

static unsigned questions(void)
{
    char all[1000];
    ssize_t n;

    fcntl(child.out, F_SETFL, O_NONBLOCK);
    n = read(child.out, all, sizeof all);
    return n > 0 ? (unsigned)n : 0;
}

/* ---- we ---- */

static void say_nothing(const char *what, const char *because, const char *try)
{
}

static void path_in(const char *name, char out[80])
{
    snprintf(out, 80, "%s/%s", folder, name);
}

static int setup(void **state)
{
    char path[80];

    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__SERVER, "server", &server);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    signal(SIGPIPE, SIG_IGN);
    kit_mkdir(folder);
    path_in("key.pem", path);
    assert_int_equal(xn_key_save(client.key, path), 0);
    path_in("cert.pem", path);
    assert_int_equal(xn_cert_save(client.x509, path), 0);
    path_in("corps", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_in("corps/alpha.pem", path);
    assert_int_equal(xn_cert_save(corp.x509, path), 0);
    xeno = (struct xeno){.timeout_ms = 120000, .json = true, .n_corps = 1};
    snprintf(xeno.state, sizeof xeno.state, "%s", folder);
    snprintf(xeno.corps[0].url, sizeof xeno.corps[0].url, "https://nobody:1");
    xeno.corps[0].id = corp.cert.id;
    xeno.corps[0].pinned = true;
    xn_gripe_listen(say_nothing);
    return 0;
}

static int teardown(void **state)
{
    kit_kill(&child, SIGTERM);
    kit_rmdir(folder);
    net_identity_clear(&corp);
    net_identity_clear(&server);
    net_identity_clear(&client);
    return 0;
}

static void serve(struct plan what)
{
    struct net_config config = kit_config(&server);
    char hex[XN_ID_HEX];

    plan = what;
    kit_spawn(&config, serves, &child);
    xn_id_hex(&server.cert.id, hex);
    snprintf(url, sizeof url, "https://%s#%s", child.api, hex);
}

static void keep(unsigned i)
{
    struct xeno_kept kept = {
        .session = nth(i), .corp = corp.cert.id, .since_us = 1700000000000000};

    snprintf(kept.server, sizeof kept.server, "%s", url);
    assert_int_equal(xeno_kept_put(&xeno, &kept), XN_EXIT_OK);
}

static void keep_all(void)
{
    for (unsigned i = 0; i < plan.n; i++)
        keep(i);
}

/* What it writes; free. */
static char *told_by(int (*run)(void), int code)
{
    char path[80], *text = calloc(1, 1 << 20);
    int out = dup(STDOUT_FILENO), file, rc;

    assert_non_null(text);
    path_in("told", path);
    fflush(stdout);
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0 && dup2(file, STDOUT_FILENO) >= 0);
    rc = run();
    fflush(stdout);
    assert_true(dup2(out, STDOUT_FILENO) >= 0);
    assert_true(pread(file, text, (1 << 20) - 1, 0) >= 0);
    close(file);
    close(out);
    assert_int_equal(rc, code);
    return text;
}

static int list_kept(void)
{
    return xeno_list_all(&xeno, false);
}

static int list_ended(void)
{
    return xeno_list_all(&xeno, true);
}

static char *listed(bool ended_too, int code)
{
    return told_by(ended_too ? list_ended : list_kept, code);
}

/* `xeno session list SERVER` */
static int list_server(void)
{
    return xeno_session_list_at(&xeno, url);
}

static unsigned times(const char *text, const char *what)
{
    unsigned n = 0;

    while ((text = strstr(text, what))) {
        text++;
        n++;
    }
    return n;
}

static void a_server_is_asked_for_its_list(void **state)
{
    char *text;

    serve((struct plan){.n = 150, .burst = 2, .wait_s = 1});
    keep_all();
    text = listed(false, XN_EXIT_OK);
    assert_int_equal(times(text, "\"running\""), 150);
    assert_int_equal(questions(), 4); /* three pages, one of them put off */
    free(text);
}

static void a_table_asks_for_no_meters(void **state)
{
    char *text;

    xeno.json = false;
    serve((struct plan){.n = 150, .burst = 1000, .tasks = true});
    keep_all();
    text = listed(false, XN_EXIT_OK);
    assert_int_equal(times(text, "running"), 150);
    assert_int_equal(questions(), 3);
    free(text);
}

static void meters_are_asked_for_again(void **state)
{
    char *text;

    serve((struct plan){.n = 150, .burst = 100, .wait_s = 1, .tasks = true});
    keep_all();
    text = listed(false, XN_EXIT_OK);
    assert_int_equal(times(text, METERED), 150);
    assert_in_range(questions(), 153 + 1, 153 + 16);
    free(text);
}

/* And one that the server has forgotten, behind all that it has. */
static void of_many_a_few_are_sought(void **state)
{
    char *text;

    serve((struct plan){.n = 1000, .burst = 1000});
    keep(3);
    keep(5);
    keep(700);
    keep(1000);
    text = listed(true, XN_EXIT_OK);
    assert_int_equal(times(text, "\"running\""), 3);
    assert_int_equal(times(text, "\"forgotten\""), 1);
    assert_int_equal(questions(), 3);
    free(text);
}

static void a_servers_own_list_has_all_pages(void **state)
{
    char *text;

    serve((struct plan){.n = 150, .burst = 1000});
    text = told_by(list_server, XN_EXIT_OK);
    assert_int_equal(times(text, "\"running\""), 150);
    free(text);
}

/* ---- one that means harm ---- */

static void a_servers_own_list_has_an_end(void **state)
{
    serve((struct plan){.n = 60, .burst = 1000, .reversed = true});
    free(told_by(list_server, xn_exit_code(XN_EPROTO)));
    kit_kill(&child, SIGTERM);
    serve((struct plan){.n = 100, .burst = 1000, .endless = true});
    free(told_by(list_server, xn_exit_code(XN_EPROTO)));
}

static void is_given_up(struct plan what, unsigned asked)
{
    char *text;

    serve(what);
    keep_all();
    text = listed(false, XN_EXIT_PARTIAL);
    assert_int_equal(times(text, "\"unknown\""), plan.n);
    assert_int_equal(questions(), asked);
    free(text);
}

static void nobody_waits_for_an_hour(void **state)
{
    is_given_up((struct plan){.n = 2, .wait_s = 3600}, 1);
}

static void nobody_is_put_off_for_ever(void **state)
{
    is_given_up((struct plan){.n = 2, .wait_s = 1, .stubborn = true}, 9);
}

static void a_list_out_of_order_is_refused(void **state)
{
    is_given_up((struct plan){.n = 60, .burst = 1000, .reversed = true}, 1);
}

static void a_list_without_end_is_refused(void **state)
{
    is_given_up((struct plan){.n = 100, .burst = 1000, .endless = true}, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_server_is_asked_for_its_list),
        TEST(a_table_asks_for_no_meters),
        TEST(meters_are_asked_for_again),
        TEST(of_many_a_few_are_sought),
        TEST(a_servers_own_list_has_all_pages),
        TEST(a_servers_own_list_has_an_end),
        TEST(nobody_waits_for_an_hour),
        TEST(nobody_is_put_off_for_ever),
        TEST(a_list_out_of_order_is_refused),
        TEST(a_list_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
