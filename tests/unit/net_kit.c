/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/clock.h"

#define HOUR_US (3600 * 1000000ULL)

int kit_child_out = -1;

/* ---- identities -------------------------------------------------------- */

void kit_accept(struct net_identity *identity, const struct net_identity *corp)
{
    uint8_t *der;
    size_t len;

    assert_int_equal(xn_cert_to_der(corp->x509, &der, &len), 0);
    assert_int_equal(xn_anchors_add(identity->anchors, der, len, net_wall_us()),
                     0);
    free(der);
}

void kit_make_corp(struct net_identity *corp_out, const char *name)
{
    uint64_t now_us = net_wall_us();

    memset(corp_out, 0, sizeof *corp_out);
    assert_int_equal(xn_anchors_new(&corp_out->anchors), 0);
    assert_int_equal(xn_key_generate(&corp_out->key), 0);
    assert_int_equal(xn_cert_self(corp_out->key, XN__ROLE__CORP, name,
                                  now_us - HOUR_US, now_us + 240 * HOUR_US,
                                  &corp_out->x509),
                     0);
    kit_accept(corp_out, corp_out);
    assert_int_equal(xn_cert_check(corp_out->x509, corp_out->anchors, now_us,
                                   &corp_out->cert),
                     0);
}

void kit_make_member(const struct net_identity *corp, Xn__Role role,
                     const char *label, struct net_identity *member_out)
{
    static const uint8_t salt[32] = {7};
    uint64_t now_us = net_wall_us();
    struct xn_cert_order order = {.role = role,
                                  .label = label,
                                  .not_before_us = now_us - HOUR_US,
                                  .not_after_us = now_us + 24 * HOUR_US};
    uint8_t *csr;

    memset(member_out, 0, sizeof *member_out);
    assert_int_equal(xn_anchors_new(&member_out->anchors), 0);
    kit_accept(member_out, corp);
    assert_int_equal(xn_key_generate(&member_out->key), 0);
    assert_int_equal(xn_csr_make(member_out->key, label, &csr, &order.csr_len),
                     0);
    order.csr = csr;
    if (role == XN__ROLE__NODE) order.salt = salt;
    assert_int_equal(
        xn_cert_issue(&order, corp->key, corp->x509, &member_out->x509), 0);
    free(csr);
    assert_int_equal(xn_cert_check(member_out->x509, member_out->anchors,
                                   now_us, &member_out->cert),
                     0);
}

/* ---- the core ---------------------------------------------------------- */

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *box_out)
{
    struct kit_core *kit = (struct kit_core *)(void *)core;

    xn_out_reset(&kit->out);
    kit->on(kit, now, ev, &kit->out);
    *box_out = xn_out_box(&kit->out, kit->wake_us);
    return kit->out.rc;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    return true;
}

static void release(struct xn_core *core)
{
    struct kit_core *kit = (struct kit_core *)(void *)core;

    xn_out_clear(&kit->out);
    free(kit);
}

static const struct xn_core_ops kit_ops = {
    .name = "kit", .step = step, .check = check, .free = release};

static struct xn_core *kit_core_new(kit_on *on, void *ctx,
                                    const struct xn_peers *peers)
{
    struct kit_core *kit = calloc(1, sizeof *kit);

    assert_non_null(kit);
    kit->core.ops = &kit_ops;
    kit->on = on;
    kit->ctx = ctx;
    kit->peers = peers;
    kit->wake_us = UINT64_MAX;
    return &kit->core;
}

void kit_stop(void)
{
    kill(getpid(), SIGTERM);
}

/* ---- drivers ----------------------------------------------------------- */

struct net_config kit_config(const struct net_identity *identity)
{
    struct net_config config;

    net_config_default(&config);
    config.program = "test";
    config.identity = identity;
    config.listen_links = "127.0.0.1:0";
    config.listen_api = "127.0.0.1:0";
    config.defer_s = 0; /* who says nothing is ours to judge */
    return config;
}

bool kit_makes_cookies(void)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_syncookies", "r");
    int c = file ? getc(file) : EOF;

    if (file) fclose(file);
    return c == '1' || c == '2';
}

void kit_run(struct net_driver *driver, kit_on *on, void *ctx)
{
    alarm(300);
    assert_int_equal(
        net_driver_run(driver, kit_core_new(on, ctx, net_driver_peers(driver)),
                       "kit", 1, NULL, 0),
        0);
    alarm(0);
}

static const char *shown(const char *address)
{
    return *address ? address : "-";
}

static void child_main(const struct net_config *config,
                       struct xn_core *(*make)(const struct xn_peers *peers,
                                               void *arg),
                       void *arg)
{
    struct net_driver *driver;
    char line[160];
    int n;

    if (net_driver_new(config, &driver)) _exit(1);
    n = snprintf(line, sizeof line, "%s %s\n",
                 shown(net_driver_links_address(driver)),
                 shown(net_driver_api_address(driver)));
    if (write(kit_child_out, line, (size_t)n) != n) _exit(1);
    alarm(300);
    net_driver_run(driver, make(net_driver_peers(driver), arg), "kit", 1, NULL,
                   0);
    net_driver_free(driver);
    _exit(0);
}

void kit_spawn_core(const struct net_config *config,
                    struct xn_core *(*make)(const struct xn_peers *peers,
                                            void *arg),
                    void *arg, struct kit_child *child_out)
{
    char line[160];
    size_t n = 0;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    child_out->pid = fork();
    if (child_out->pid == 0) {
        close(ends[0]);
        kit_child_out = ends[1];
        child_main(config, make, arg);
    }
    assert_true(child_out->pid > 0);
    close(ends[1]);
    child_out->out = ends[0];
    while (n < sizeof line - 1 && read(ends[0], line + n, 1) == 1 &&
           line[n] != '\n')
        n++;
    line[n] = '\0';
    assert_int_equal(
        sscanf(line, "%63s %63s", child_out->links, child_out->api), 2);
}

static struct xn_core *make_kit(const struct xn_peers *peers, void *arg)
{
    return kit_core_new(*(kit_on **)arg, NULL, peers);
}

void kit_spawn(const struct net_config *config, kit_on *on,
               struct kit_child *child_out)
{
    kit_spawn_core(config, make_kit, &on, child_out);
}

void kit_kill(struct kit_child *child, int signal)
{
    int status;

    if (child->pid <= 0) return;
    kill(child->pid, signal);
    waitpid(child->pid, &status, 0);
    close(child->out);
    child->pid = 0;
}

/* ---- actions ----------------------------------------------------------- */

void kit_dial(struct xn_out *out, uint64_t ticket, const char *address,
              const xn_id *id)
{
    Xn__Dial dial = XN__DIAL__INIT;
    Xn__Contact contact = XN__CONTACT__INIT;

    contact.address = (char *)(uintptr_t)address;
    if (id) contact.id = xn_id_bytes(id);
    dial.contact = &contact;
    xn_out_emit(out, XN_ACT_DIAL, ticket, XN_PEER_NONE, XN__KIND__DIAL, &dial);
}

void kit_ping(struct xn_out *out, xn_peer peer, uint64_t nonce)
{
    Xn__Ping ping = XN__PING__INIT;

    ping.nonce = nonce;
    xn_out_send(out, peer, XN__KIND__PING, &ping);
}

/* ---- folders ----------------------------------------------------------- */

char *kit_mkdir(char out[64])
{
    snprintf(out, 64, "/tmp/xn-test.XXXXXX");
    assert_non_null(mkdtemp(out));
    return out;
}

void kit_rmdir(const char *dir)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

void kit_polite(struct kit_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_out *out)
{
    Xn__Pong pong = XN__PONG__INIT;

    if (ev->kind == XN_EV_MSG && ev->msg->kind == XN__KIND__PING) {
        pong.nonce = XN_BODY(ev->msg, Xn__Ping)->nonce;
        xn_out_send(out, ev->peer, XN__KIND__PONG, &pong);
    }
}
