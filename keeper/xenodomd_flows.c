/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom domains talk to: counted from their start until they are forgotten, since
 * what they said last is asked for when they have ended. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keeper/flows.h"
#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/log.h"

static bool has_bridge(const char *bridge)
{
    return bridge && if_nametoindex(bridge) > 0;
}

static int find_one(void *context, const char *name)
{
    return XN_EBUSY;
}

void dom_begin_flows(struct dom *dom)
{
    if (has_bridge(dom->envelope.network.bridge) &&
        !sessions_each(dom->sessions, find_one, NULL))
        keeper_flows_clear();
}

void dom_count_flows(struct dom *dom, const Xn__TaskSpec *spec)
{
    if (!spec->net) return;
    if (!has_bridge(spec->net->bridge)) { /* it will not start either */
        snprintf(dom->no_flows, sizeof dom->no_flows, "there is no bridge %s",
                 spec->net->bridge);
        return;
    }
    if (!keeper_flows_begin(spec->name, spec->net, dom->no_flows,
                            sizeof dom->no_flows)) {
        dom->no_flows[0] = 0;
        return;
    }
    xn_log(XN_LOG_WARN, "whom %s talks to is not counted: %s", spec->name,
           dom->no_flows);
}

void dom_count_flows_again(struct dom *dom, const Xn__TaskSpec *spec)
{
    if (spec->net && !keeper_flows_has(spec->name)) dom_count_flows(dom, spec);
}

static bool is_used(const struct dom *dom, uint32_t address)
{
    for (size_t i = 0; i < dom->n_live; i++) {
        if (dom->live[i].address == address) return true;
    }
    return false;
}

void dom_forget_flows(struct dom *dom, const char *name, int folder)
{
    ProtobufCMessage *body = NULL;
    const Xn__TaskNet *net;

    if (record_get(folder, KEEPER_SPEC, &xn__task_spec__descriptor, &body))
        return;
    net = ((const Xn__TaskSpec *)body)->net;
    if (net) keeper_flows_end(name, is_used(dom, net->address) ? NULL : net);
    protobuf_c_message_free_unpacked(body, NULL);
}

void dom_answer_flows(struct dom *dom, int client, const Xn__DomAsk *ask)
{
    struct flows_room room;
    struct flows flows;
    Xn__DomTell answer;

    xn__dom_tell__init(&answer);
    answer.rc = keeper_flows_take(ask->name, sys_wall_us(), &flows);
    if (!answer.rc) {
        flows_put(&flows, &room);
        answer.flows = &room.body;
    } else if (answer.rc == XN_ENOENT) {
        answer.because = dom->no_flows[0]
                             ? dom->no_flows
                             : (char *)(uintptr_t) "its flows are not counted";
    } else {
        answer.because = (char *)(uintptr_t)xn_strerror(answer.rc);
    }
    answer.advice =
        (char *)(uintptr_t)(answer.rc ? "apt install nftables" : "");
    dom_answer(dom, client, &answer);
}
