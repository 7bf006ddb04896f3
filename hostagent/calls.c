/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/state.h"
#include "lib/err.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define URL_MAX 512

uint64_t host_call(struct host *host, const struct xn_now *now,
                   const char *method, const char *path, const void *body,
                   uint64_t patience_us, xn_ended *fn)
{
    Xn__Call call = XN__CALL__INIT;
    uint8_t *bytes = NULL;
    uint64_t ticket;
    char url[URL_MAX];

    if (body && xn_pack(body, &bytes, &call.body.len)) {
        host->out.rc = XN_ENOMEM;
        return 0;
    }
    call.body.data = bytes;
    snprintf(url, sizeof url, "%s%s", host->config.nodes[host->node], path);
    call.method = (char *)(uintptr_t)method;
    call.url = url;
    call.patience_ms = (uint32_t)(patience_us / 1000);
    /* The driver ends it first, unless it is lost. */
    ticket = xn_ticket(host->tickets, now->mono_us + patience_us + SECOND_US,
                       fn, host, NULL, &host->out);
    if (ticket) {
        xn_out_emit(&host->out, XN_ACT_CALL, ticket, XN_PEER_NONE,
                    XN__KIND__CALL, &call);
    }
    free(bytes);
    return ticket;
}

static void explain(const Xn__Answer *answer, char *why_out, size_t len)
{
    Xn__Refusal *refusal = xn_unpack(&xn__refusal__descriptor,
                                     answer->body.data, answer->body.len);

    if (refusal && refusal->because[0]) {
        snprintf(why_out, len, "%.100s", refusal->because);
    } else {
        snprintf(why_out, len, "HTTP status %d", (int)answer->status);
    }
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
}

const Xn__Answer *host_answer(int rc, const struct xn_msg *msg, char *why_out,
                              size_t len)
{
    const Xn__Answer *answer;

    if (!rc && (!msg || msg->kind != XN__KIND__ANSWER)) rc = XN_EPROTO;
    if (rc) {
        snprintf(why_out, len, "%s", xn_strerror(rc));
        return NULL;
    }
    answer = XN_BODY(msg, Xn__Answer);
    if (!answer->server || answer->server->role != XN__ROLE__NODE) {
        snprintf(why_out, len, "what answered is not a certified node");
        return NULL;
    }
    if (answer->status != 200) {
        explain(answer, why_out, len);
        return NULL;
    }
    return answer;
}
