/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node as xenohostd sees one, for tests: it announces itself to its corp,
 * says yes to every publication and tells it on standard output:
 *
 *     publish version=1795255200000000 withdrawn=0 old=24
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/daemon.h"
#include "seam/out.h"
#include "seam/tickets.h"
#include "wire/ad.h"

struct fake {
    struct xn_core core;
    struct xn_out out;
    const struct net_daemon *daemon;
    uint64_t started_us;
    bool announced;
};

static void announce(struct fake *fake)
{
    const struct xn_cert *me = &fake->daemon->identity.cert;
    Xn__Announce body = XN__ANNOUNCE__INIT;
    Xn__Contact contact = XN__CONTACT__INIT;
    Xn__Call call = XN__CALL__INIT;
    uint8_t bytes[256];
    char url[256];

    snprintf(url, sizeof url, "%s/v1/announce", fake->daemon->corps[0].url);
    contact.id = xn_id_bytes(&me->id);
    contact.position = xn_id_bytes(&me->position);
    contact.address = (char *)(uintptr_t) "127.0.0.1:4711";
    body.contact = &contact;
    call.method = (char *)(uintptr_t) "POST";
    call.url = url;
    call.body.data = bytes;
    call.body.len = xn__announce__pack(&body, bytes);
    call.patience_ms = 5000;
    xn_out_emit(&fake->out, XN_ACT_CALL, 1, XN_PEER_NONE, XN__KIND__CALL,
                &call);
}

/* The server as its lease names it: nothing is verified here. */
static int read_lease(const Xn__Publish *publish, xn_id *server,
                      Xn__Lease **lease_out)
{
    Xn__SignedBlob *blob = NULL;
    int rc = XN_EINVAL;

    if (publish->n_ads != 1) return rc;
    blob = xn__signed_blob__unpack(NULL, publish->ads[0]->lease.len,
                                   publish->ads[0]->lease.data);
    if (!blob) return rc;
    *lease_out = xn__lease__unpack(NULL, blob->payload.len, blob->payload.data);
    if (*lease_out) rc = xn_id_from_bytes(&(*lease_out)->server, server);
    xn__signed_blob__free_unpacked(blob, NULL);
    return rc;
}

static void take(struct fake *fake, uint64_t ask, const Xn__Publish *publish)
{
    Xn__Published published = XN__PUBLISHED__INIT;
    Xn__PutResult result = XN__PUT_RESULT__INIT, *results[1] = {&result};
    Xn__Lease *lease = NULL;
    xn_id server;

    if (read_lease(publish, &server, &lease)) {
        xn_out_refuse(&fake->out, ask, XN_EINVAL, "refused", "bad lease", NULL);
    } else {
        printf("publish version=%llu withdrawn=%d old=%zu\n",
               (unsigned long long)lease->version, lease->withdrawn,
               publish->n_old_tokens);
        fflush(stdout);
        result.server = xn_id_bytes(&server);
        result.version = lease->version;
        published.n_results = 1;
        published.results = results;
        published.copies_least = 1;
        xn_out_answer(&fake->out, ask, 200, &published);
    }
    if (lease) xn__lease__free_unpacked(lease, NULL);
}

static void on_ask(struct fake *fake, const struct xn_now *now,
                   const struct xn_event *ev)
{
    const Xn__Ask *ask = XN_BODY(ev->msg, Xn__Ask);
    Xn__NodeStatus status = XN__NODE_STATUS__INIT;
    Xn__Publish *publish;

    if (strcmp(ask->path, "/v1/publish") != 0) {
        status.uptime_s = (now->mono_us - fake->started_us) / 1000000;
        xn_out_answer(&fake->out, ev->ticket, 200, &status);
        return;
    }
    publish = xn__publish__unpack(NULL, ask->body.len, ask->body.data);
    if (!publish) return;
    take(fake, ev->ticket, publish);
    xn__publish__free_unpacked(publish, NULL);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *out)
{
    struct fake *fake = (struct fake *)core;

    xn_out_reset(&fake->out);
    if (!fake->announced) {
        fake->announced = true;
        fake->started_us = now->mono_us;
        announce(fake);
    }
    if (ev->kind == XN_EV_ASK) on_ask(fake, now, ev);
    if (ev->kind == XN_EV_DONE) {
        const Xn__Answer *answer = ev->rc ? NULL : XN_BODY(ev->msg, Xn__Answer);

        printf("announced %d %d\n", ev->rc, answer ? (int)answer->status : 0);
        fflush(stdout);
    }
    *out = xn_out_box(&fake->out, UINT64_MAX);
    return 0;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    return true;
}

static void end(struct xn_core *core)
{
    struct fake *fake = (struct fake *)core;

    xn_out_clear(&fake->out);
    free(fake);
}

static const struct xn_core_ops ops = {"fake", step, check, end};

static int serve(struct net_daemon *daemon)
{
    struct fake *fake = calloc(1, sizeof *fake);

    if (!fake) return XN_ENOMEM;
    fake->core.ops = &ops;
    fake->daemon = daemon;
    return net_daemon_run(daemon, &fake->core, NULL, 0);
}

int main(int argc, char **argv)
{
    struct net_daemon daemon = {.program = "fake_node",
                                .purpose = "a node for tests",
                                .role = XN__ROLE__NODE,
                                .wants_api = true};
    int rc = net_daemon_init(&daemon, argc, argv);

    if (!rc && !daemon.exit_now) rc = net_daemon_open(&daemon);
    if (!rc && !daemon.exit_now) rc = serve(&daemon);
    return net_daemon_end(&daemon, rc);
}
