/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server whose tasks run in domains: what it asks for, and what it says where
 * there is no Xen. */
#include "hostagent/session.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/money_kit.h"
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

#define NETWORKED                                                              \
    "<EnvironmentalRequirements><Resources><MemoryMB>512</MemoryMB>"           \
    "</Resources><QoS><CPUsmps>1000</CPUsmps><NetMbps>8</NetMbps></QoS>"       \
    "</EnvironmentalRequirements>"

static void traffic(struct dom *dom, uint64_t sent_bytes, uint64_t got_bytes)
{
    dom_last(dom)->sent_bytes = sent_bytes;
    dom_last(dom)->got_bytes = got_bytes;
}

/* What goes over its interface is paid for, both ways, of all its tasks; never
 * more than its rate allows. */
static void its_traffic_is_charged(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    const struct host_session *s;
    struct price_usage before;
    Xn__HostTask *task;
    struct money claim;

    (void)state;
    market_quote(m, NETWORKED);
    market_order(m, m->word, 10 * GBP);
    market_ask_create(m);
    market_serve(m);
    market_know_session(m);
    tasks_run(m, 1, false);
    assert_int_equal(dom_last(&m->dom)->spec->net_kbit_per_s, 8000);
    traffic(&m->dom, 6000000, 1500000);
    market_pass(m, 30 * SECOND_US);
    s = session_find((struct host *)m->h.core, &m->session);
    assert_true(s->claims.usage.net_gb.v == kit_dec("0.0075").v);
    assert_true(session_next_claim(s, &claim));
    assert_string_equal(claim.claim.activity,
                        "tasks in a domain; 6000000 bytes sent, 1500000 "
                        "received");
    task = tasks_look(m);
    assert_int_equal(task->sent_bytes, 6000000);
    assert_int_equal(task->got_bytes, 1500000);
    xn__host_task__free_unpacked(task, NULL);
    /* another task's begin at zero, and a machine that says less is not heard */
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_serve(m);
    tasks_run(m, 2, false);
    traffic(&m->dom, 1000000, 0);
    market_pass(m, 30 * SECOND_US);
    assert_true(s->claims.usage.net_gb.v == kit_dec("0.0085").v);
    traffic(&m->dom, 0, 0);
    market_restart(m);
    market_pass(m, 30 * SECOND_US);
    s = session_find((struct host *)m->h.core, &m->session);
    before = s->claims.usage;
    assert_true(before.net_gb.v == kit_dec("0.0085").v);
    traffic(&m->dom, UINT64_MAX, UINT64_MAX);
    market_pass(m, 30 * SECOND_US);
    assert_true(s->claims.usage.net_gb.v > before.net_gb.v);
    /* 2 MB a second, both ways together */
    assert_true(s->claims.usage.net_gb.v <=
                before.net_gb.v + kit_dec("0.09").v);
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

#define DISK_OF(gb)                                                            \
    "<EnvironmentalRequirements><Resources><MemoryMB>512</"                    \
    "MemoryMB><DiskGB>" gb "</DiskGB></Resources></EnvironmentalRequirements>"

static void refused(struct market *m, const char *requirements, const char *why)
{
    uint64_t ask = market_ask_quote(m, requirements, &m->s.client.caller);
    char because[300];

    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_string_equal(because, why);
}

/* 40 GB and 100 Mbit/s are offered. */
static void what_is_not_there_is_not_promised(void **state)
{
    struct market *m = market_open_xen(true, NULL);

    (void)state;
    market_quote(m, NETWORKED);
    market_quote(m, DISK_OF("40"));
    m->dom.bridge = false;
    m->dom.disk_bytes = 12500000000;
    dom_connect(&m->dom, &m->h);
    refused(m, NETWORKED, "NetMbps: 8 asked, and its domains have no network");
    refused(m, DISK_OF("12.6"), "DiskGB: 12.6 asked, 12.5 free");
    market_quote(m, DISK_OF("12.5"));
    m->dom.bridge = true;
    dom_connect(&m->dom, &m->h);
    market_quote(m, NETWORKED);
    market_close(m);
    m = market_open_sandbox(NULL, "0.1");
    refused(m, NETWORKED,
            "NetMbps: 8 asked, and its sandboxes have no network");
    market_close(m);
}

#define KIND(kind)                                                             \
    "<EnvironmentalRequirements><Virtualisation>" kind                         \
    "</Virtualisation><Resources><MemoryMB>512</MemoryMB></Resources>"         \
    "</EnvironmentalRequirements>"

static bool advertises(struct market *m, const char *element)
{
    uint64_t ask = market_ask(m, "GET", "/v1/status", "", NULL, &m->operator);
    Xn__HostStatus *status;
    bool has;

    market_serve(m);
    status = crank_answered(&m->h, ask, &xn__host_status__descriptor);
    has = memmem(status->envelope.data, status->envelope.len, element,
                 strlen(element)) != NULL;
    xn__host_status__free_unpacked(status, NULL);
    return has;
}

static const Xn__TaskSpec *bought(struct market *m, const char *requirements)
{
    Xn__HostSession *session;
    uint64_t ask;

    market_quote(m, requirements);
    market_order(m, ++m->word, GBP);
    ask = tasks_ask_create(m, false);
    market_serve(m);
    session = market_session(m, ask);
    assert_string_equal(session->virtualisation,
                        m->d.quote.doc.quote.virtualisation[0] ? "pvh" : "pv");
    xn__host_session__free_unpacked(session, NULL);
    return dom_last(&m->dom)->spec;
}

/* pv and pvh are offered, in that order. */
static void pvh_is_had_by_who_asks_for_it(void **state)
{
    struct market *m = market_open_xen(true, NULL);

    (void)state;
    assert_true(advertises(m, "<Virtualisation>pvh</Virtualisation>"));
    assert_true(bought(m, KIND("pvh"))->pvh);
    market_restart(m); /* which is on record */
    market_serve(m);
    assert_true(m->d.quote.doc.quote.virtualisation[0]);
    assert_false(bought(m, KIND("pv"))->pvh);
    assert_false(bought(m, SMALL)->pvh);
    market_close(m);
}

static void without_the_hardware_it_is_not_advertised(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    char because[300];
    uint64_t ask;

    (void)state;
    market_quote(m, KIND("pvh"));
    m->dom.pvh = false;
    dom_connect(&m->dom, &m->h);
    market_pass(m, 30 * SECOND_US);
    assert_false(advertises(m, ">pvh<"));
    assert_true(advertises(m, ">pv<"));
    refused(m, KIND("pvh"),
            "Virtualisation: its environment is pvh, and its hardware does "
            "not virtualise");
    refused(m, KIND("hvm"), "its offer does not meet Virtualisation:hvm");
    /* a quote of before */
    market_order(m, ++m->word, GBP);
    ask = market_ask_create(m);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_string_equal(because,
                        "no machine that has room can make PVH domains");
    market_quote(m, SMALL);
    m->dom.pvh = true;
    dom_connect(&m->dom, &m->h);
    market_pass(m, 30 * SECOND_US);
    assert_true(advertises(m, ">pvh<"));
    market_quote(m, KIND("pvh"));
    market_close(m);
}

#define WITH_DISK DISK_OF("2")

/* A client's image is its domain's disk: the kernel stays the operator's. */
static void its_image_is_a_disk(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    const Xn__TaskSpec *spec;
    char because[300];
    uint64_t ask;

    (void)state;
    m->brings_image = true;
    spec = bought(m, WITH_DISK);
    assert_int_equal(m->fetch.n, 1);
    assert_string_equal(spec->image, "/images/linux");
    assert_string_equal(spec->disk, "/images/one");
    assert_int_equal(spec->disk_bytes, 2000000000);
    /* it wants room of its own, of the first and of each that follows */
    market_quote(m, SMALL);
    market_order(m, ++m->word, GBP);
    ask = tasks_ask_create(m, true);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_string_equal(because, "a domain's image is a disk of its own, and "
                                 "none was asked for");
    assert_int_equal(m->fetch.n, 1);
    m->brings_image = false;
    bought(m, SMALL);
    market_know_session(m);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_serve(m);
    m->brings_image = true;
    ask = tasks_ask_new(m, 9, false);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_string_equal(because, "a domain's image is a disk of its own, and "
                                 "none was asked for");
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
        cmocka_unit_test(its_traffic_is_charged),
        cmocka_unit_test(the_setup_is_kept),
        cmocka_unit_test(what_is_not_there_is_not_promised),
        cmocka_unit_test(its_image_is_a_disk),
        cmocka_unit_test(pvh_is_had_by_who_asks_for_it),
        cmocka_unit_test(without_the_hardware_it_is_not_advertised),
        cmocka_unit_test(without_xen_nothing_is_sold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
