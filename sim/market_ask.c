/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of the market to nodes: sent, answered, or late. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/market_state.h"

/* Tickets of one ask are a counter: no node is asked twice with one. */
int market_ask_send(struct sim_market *market, uint32_t node,
                    const struct market_ask *form, const char *path,
                    Xn__Role role, const void *body)
{
    struct market_ask *ask = malloc(sizeof *ask);
    Xn__Ask request = XN__ASK__INIT;
    struct sim_caller caller;
    uint8_t *bytes = NULL;
    int rc = XN_ENOMEM;

    if (!ask) goto out;
    rc = xn_pack(body, &bytes, &request.body.len);
    if (rc) goto out;
    *ask = *form;
    ask->ticket = ++market->tickets;
    ask->node = node;
    ask->asked_us = sim_world_now(market->run->world);
    request.method = (char *)(uintptr_t) "POST";
    request.path = (char *)(uintptr_t)path;
    request.body.data = bytes;
    sim_caller(market->run->seed, role, node, UINT64_MAX, &caller);
    request.caller = &caller.caller;
    rc = sim_world_ask(market->run->world, node, ask->ticket, &request);
    if (rc) goto out;
    rc = sim_world_at(market->run->world, ask->asked_us + MARKET_ANSWER_US,
                      SIM_CTL(SIM_CTL_ASK_LATE, ask->ticket));
    HASH_ADD(hh, market->asks, ticket, sizeof ask->ticket, ask);
    ask = NULL;
out:
    free(bytes);
    free(ask);
    return rc;
}

void market_ask_drop(struct sim_market *market, struct market_ask *ask)
{
    HASH_DEL(market->asks, ask);
    query_free(ask->query);
    free(ask);
}

int market_search(struct sim_market *market, uint32_t node,
                  const struct market_ask *ask)
{
    Xn__Search search = XN__SEARCH__INIT;

    search.query = (Xn__Query *)(uintptr_t)query_proto(ask->query);
    search.limit = ask->limit;
    return market_ask_send(market, node, ask, "/v1/search", XN__ROLE__CLIENT,
                           &search);
}

size_t market_asking(const struct sim_market *market)
{
    return HASH_COUNT(market->asks);
}
