/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server whose tasks run in domains: what it asks for, and what it says where
 * there is no Xen. */
#include "hostagent/state.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

static void a_task_gets_a_domain(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    const Xn__TaskSpec *spec;
    Xn__HostSession *session;
    uint64_t ask;

    (void)state;
    market_quote(m, SMALL);
    assert_int_equal(m->d.quote.doc.quote.metering, MONEY_USED);
    market_order(m, m->word, 10 * GBP);
    ask = tasks_ask_create(m, true);
    market_serve(m);
    session = market_session(m, ask);
    assert_string_equal(session->manager, "xen");
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(m->dom.starts, 1);
    spec = dom_last(&m->dom)->spec;
    assert_int_equal(spec->runner, XN__RUNNER__XEN);
    assert_string_equal(spec->image, "/images/linux");
    assert_int_equal(spec->cpu_ms_per_s, 1000);
    market_close(m);
}

/* A recording of it is one of a host like it. */
static void the_setup_is_kept(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    struct xn_core *core = NULL;
    const struct host *host;
    uint8_t *bytes = NULL;
    size_t len;

    (void)state;
    assert_int_equal(host_config_pack(&m->config, &bytes, &len), 0);
    assert_int_equal(host_new_packed(bytes, len, 7, &core), 0);
    free(bytes);
    host = (const struct host *)core;
    assert_true(host->config.xen && host->config.sandbox);
    assert_string_equal(host->config.image, "/images/linux");
    xn_core_free(core);
    market_close(m);
}

/* What, because, try: before anybody has paid. */
static void without_xen_nothing_is_sold(void **state)
{
    static const struct {
        const char *no_xen, *because;
    } rows[] = {{"this host runs no Xen (libxl: \033[0m)",
                 "this host runs no Xen (libxl: ?[0m)"},
                {NULL, "this host runs no Xen"}};
    char because[300];
    struct market *m;
    uint64_t ask;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        m = market_open_xen(false, rows[i].no_xen);
        ask = market_ask_quote(m, SMALL, &m->s.client.caller);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
        assert_string_equal(because, rows[i].because);
        market_close(m);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_gets_a_domain),
        cmocka_unit_test(the_setup_is_kept),
        cmocka_unit_test(without_xen_nothing_is_sold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
