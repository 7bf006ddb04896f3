/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/flows.h"

#include <string.h>

#include "lib/err.h"
#include "lib/text.h"

#define PORT_MAX 65535
#define PROTOCOL_MAX 255

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/* ---- addresses ---- */

/* What an address is made of; whoever tells one knows which it is. */
static bool is_address(const char *text, size_t len)
{
    static const char digits[] = "0123456789abcdef.:";

    return len && len < FLOW_PEER_MAX && strspn(text, digits) >= len;
}

static int set_address(struct flow *flow, const char *text, size_t len)
{
    if (!is_address(text, len)) return XN_EINVAL;
    memcpy(flow->peer, text, len);
    flow->peer[len] = 0;
    return 0;
}

int flow_set_peer(struct flow *flow, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t port;

    if (!colon || xn_number_parse(colon + 1, PORT_MAX, &port)) return XN_EINVAL;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    flow->peer_port = (uint16_t)port;
    return set_address(flow, text, len);
}

/* ---- adding ---- */

static bool is_same(const struct flow *a, const struct flow *b)
{
    return a->protocol == b->protocol && a->carried == b->carried &&
           a->peer_port == b->peer_port && a->own_port == b->own_port &&
           strcmp(a->peer, b->peer) == 0;
}

static void grow(struct flow *flow, const struct flow *by)
{
    flow->sent = sum(flow->sent, by->sent);
    flow->got = sum(flow->got, by->got);
    if (by->first_us && (!flow->first_us || by->first_us < flow->first_us))
        flow->first_us = by->first_us;
    if (by->last_us > flow->last_us) flow->last_us = by->last_us;
}

static uint64_t bytes_of(const struct flow *flow)
{
    return sum(flow->sent, flow->got);
}

static void add_other(struct flows *flows, const struct flow *flow)
{
    flows->others = sum(flows->others, 1);
    flows->others_sent = sum(flows->others_sent, flow->sent);
    flows->others_got = sum(flows->others_got, flow->got);
}

void flows_add(struct flows *flows, const struct flow *flow)
{
    struct flow *least = flows->list;

    for (size_t i = 0; i < flows->n; i++) {
        if (is_same(&flows->list[i], flow)) {
            grow(&flows->list[i], flow);
            return;
        }
        if (bytes_of(&flows->list[i]) < bytes_of(least))
            least = &flows->list[i];
    }
    if (flows->n < FLOWS_MAX) {
        flows->list[flows->n++] = *flow;
    } else if (bytes_of(flow) > bytes_of(least)) {
        add_other(flows, least);
        *least = *flow;
    } else {
        add_other(flows, flow);
    }
}

void flows_merge(struct flows *flows, const struct flows *from)
{
    for (size_t i = 0; i < from->n; i++)
        flows_add(flows, &from->list[i]);
    flows->others = sum(flows->others, from->others);
    flows->others_sent = sum(flows->others_sent, from->others_sent);
    flows->others_got = sum(flows->others_got, from->others_got);
    if (from->unknown[0])
        memcpy(flows->unknown, from->unknown, sizeof flows->unknown);
}

bool flows_any(const struct flows *flows)
{
    return flows->n || flows->others_sent || flows->others_got ||
           flows->unknown[0];
}

/* ---- messages ---- */

static uint64_t not_behind(uint64_t us, uint64_t now_us)
{
    return us > now_us ? now_us : us;
}

static int take_one(const Xn__Flow *from, uint64_t now_us, struct flow *out)
{
    memset(out, 0, sizeof *out);
    if (from->protocol > PROTOCOL_MAX || from->peer_port > PORT_MAX ||
        from->own_port > PORT_MAX ||
        set_address(out, from->peer, strlen(from->peer))) {
        return XN_EPROTO;
    }
    out->protocol = (uint8_t)from->protocol;
    out->carried = from->carried;
    out->peer_port = (uint16_t)from->peer_port;
    out->own_port = (uint16_t)from->own_port;
    out->sent = from->sent;
    out->got = from->got;
    out->last_us = not_behind(from->last_us, now_us);
    out->first_us = not_behind(from->first_us, now_us);
    return 0;
}

int flows_take(const Xn__Flows *from, uint64_t now_us, struct flows *out)
{
    struct flow one;

    memset(out, 0, sizeof *out);
    if (from->n_flows > FLOWS_MAX || strlen(from->unknown) >= FLOWS_UNKNOWN_MAX)
        return XN_EPROTO;
    for (size_t i = 0; i < from->n_flows; i++) {
        if (take_one(from->flows[i], now_us, &one)) return XN_EPROTO;
        flows_add(out, &one);
    }
    out->others = from->others;
    out->others_sent = from->others_sent;
    out->others_got = from->others_got;
    memcpy(out->unknown, from->unknown, strlen(from->unknown));
    xn_plain(out->unknown);
    return 0;
}

static void put_one(const struct flow *flow, Xn__Flow *row)
{
    xn__flow__init(row);
    row->protocol = flow->protocol;
    row->peer = (char *)(uintptr_t)flow->peer;
    row->peer_port = flow->peer_port;
    row->own_port = flow->own_port;
    row->sent = flow->sent;
    row->got = flow->got;
    row->first_us = flow->first_us;
    row->last_us = flow->last_us;
    row->carried = flow->carried;
}

void flows_put(const struct flows *flows, struct flows_room *room)
{
    uint8_t order[FLOWS_MAX];
    size_t at;

    for (size_t i = 0; i < flows->n;
         i++) { /* by insertion; ties as they came */
        uint64_t bytes = bytes_of(&flows->list[i]);

        for (at = i; at > 0; at--) {
            if (bytes_of(&flows->list[order[at - 1]]) >= bytes) break;
            order[at] = order[at - 1];
        }
        order[at] = (uint8_t)i;
    }
    xn__flows__init(&room->body);
    for (size_t i = 0; i < flows->n; i++) {
        put_one(&flows->list[order[i]], &room->rows[i]);
        room->list[i] = &room->rows[i];
    }
    room->body.flows = room->list;
    room->body.n_flows = flows->n;
    room->body.others = flows->others;
    room->body.others_sent = flows->others_sent;
    room->body.others_got = flows->others_got;
    room->body.unknown = (char *)(uintptr_t)flows->unknown;
}
