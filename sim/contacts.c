/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/contacts.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/world.h"

#define CERTIFICATE_US (90 * 86400 * 1000000ULL)

/* 10.a.b.c, port 7000: parses like any address and reads back at once. */
void sim_address(uint32_t node, char out[SIM_ADDRESS_MAX])
{
    snprintf(out, SIM_ADDRESS_MAX, "10.%u.%u.%u:7000", node >> 16 & 255,
             node >> 8 & 255, node & 255);
}

uint32_t sim_address_node(const char *address)
{
    unsigned a, b, c;
    int end = -1;

    if (sscanf(address, "10.%3u.%3u.%3u:7000%n", &a, &b, &c, &end) != 3 ||
        end < 0 || address[end] || a > 255 || b > 255 || c > 255) {
        return UINT32_MAX;
    }
    return a << 16 | b << 8 | c;
}

/* ---- by id: open addressing, half full at most ---- */

/* That one's, or the free one where it would be.  Ids are hashes themselves. */
static uint32_t *slot_of(const struct sim_contacts *c, const xn_id *id)
{
    uint32_t i = (uint32_t)xn_id_head(id) & (c->n_slots - 1);

    while (c->slots[i] && !xn_id_eq(&c->rows[c->slots[i] - 1].id, id))
        i = (i + 1) & (c->n_slots - 1);
    return &c->slots[i];
}

static xn_peer find(const struct xn_peers *peers, const xn_id *id)
{
    const struct sim_contacts *c = (const struct sim_contacts *)peers;
    uint32_t slot = *slot_of(c, id);

    return slot ? slot - 1 : XN_PEER_NONE;
}

/* ---- all of them ---- */

static void fill(struct sim_contacts *c, uint64_t seed)
{
    xn_id corp, position;
    uint32_t i;

    sim_key_id(XN__ROLE__CORP, SIM_CORP_NUMBER, &corp);
    for (i = 0; i < c->peers.n; i++) {
        struct xn_contact *row = &c->rows[i];

        sim_key_id(XN__ROLE__NODE, i, &row->id);
        sim_position(seed, i, &position);
        sim_contacts_place(c, i, &position);
        row->corp = corp;
        row->not_after_us = SIM_WALL_START + CERTIFICATE_US;
        sim_address(i, c->addresses[i]);
        row->address = c->addresses[i];
        *slot_of(c, &row->id) = i + 1;
    }
}

int sim_contacts_init(struct sim_contacts *c, uint64_t seed, uint32_t nodes)
{
    c->n_slots = 2;
    while (c->n_slots < 2 * nodes)
        c->n_slots *= 2;
    c->rows = calloc(nodes, sizeof *c->rows);
    c->addresses = calloc(nodes, sizeof *c->addresses);
    c->heads = calloc(nodes, sizeof *c->heads);
    c->slots = calloc(c->n_slots, sizeof *c->slots);
    if (!c->rows || !c->addresses || !c->heads || !c->slots) return XN_ENOMEM;
    c->peers = (struct xn_peers){
        .rows = c->rows, .n = nodes, .heads = c->heads, .find = find};
    fill(c, seed);
    return 0;
}

void sim_contacts_clear(struct sim_contacts *c)
{
    free(c->rows);
    free(c->addresses);
    free(c->heads);
    free(c->slots);
}

void sim_contacts_place(struct sim_contacts *c, uint32_t node,
                        const xn_id *position)
{
    c->rows[node].position = *position;
    c->heads[node] = (uint32_t)(xn_id_head(position) >> 32);
}
