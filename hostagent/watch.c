/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is our node alive, and the same as before?  A node that was restarted has
 * put our ad back from its store at best, and is told again at once. */
#include <string.h>

#include "hostagent/state.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define PATIENCE_US 3000000ULL

void host_unwatch(struct host *host)
{
    if (host->watch) xn_ticket_forget(host->tickets, host->watch);
    host->watch = 0;
    host->node_known = false;
}

/* Remember the node's age; true: it is a younger one, or another. */
static bool is_new(struct host *host, const Xn__NodeStatus *status,
                   const Xn__Caller *who)
{
    bool new = false;
    xn_id id;

    if (xn_id_from_bytes(&who->id, &id)) memset(&id, 0, sizeof id);
    if (host->node_known) {
        new =
            status->uptime_s < host->uptime_s || !xn_id_eq(&id, &host->node_id);
    }
    host->node_known = true;
    host->node_id = id;
    host->uptime_s = status->uptime_s;
    return new;
}

static void on_status(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    Xn__NodeStatus *status = NULL;
    const Xn__Answer *answer;
    char why[128];
    bool new;

    host->watch = 0;
    answer = host_answer(rc, msg, why, sizeof why);
    if (answer) {
        status = xn_unpack(&xn__node_status__descriptor, answer->body.data,
                           answer->body.len);
    }
    if (!status) {
        host_node_failed(host, now, answer ? "its status is malformed" : why);
        return;
    }
    new = is_new(host, status, answer->server);
    xn__node_status__free_unpacked(status, NULL);
    host_watch(host, now);
    if (new) {
        xn_out_log(out, XN_LOG_INFO, "%s was restarted: publishing again",
                   host->config.nodes[host->node]);
        host_republish(host, now);
    }
}

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;

    host->watch =
        host_call(host, now, "GET", "/v1/status", NULL, PATIENCE_US, on_status);
}

void host_watch(struct host *host, const struct xn_now *now)
{
    uint64_t watch_us = host->config.watch_us;

    if (host->watch) return;
    watch_us = xn_rng_between(&host->rng, watch_us - watch_us / 4, watch_us);
    host->watch = xn_ticket(host->tickets, now->mono_us + watch_us, on_time,
                            host, NULL, &host->out);
}
