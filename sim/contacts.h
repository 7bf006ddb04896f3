/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is who in a world: the one table of contacts, by number, with what many
 * nodes look for in it side by side. */
#ifndef SIM_CONTACTS_H
#define SIM_CONTACTS_H

#include "seam/peers.h"

#define SIM_ADDRESS_MAX 20

struct sim_contacts {
    struct xn_peers peers; /* first: a core's questions come with it alone */
    struct xn_contact *rows;
    char (*addresses)[SIM_ADDRESS_MAX];
    uint32_t *heads;
    uint32_t *slots; /* hash table of numbers + 1 by id; 0: free */
    uint32_t n_slots;
};

/* XN_ENOMEM; to be cleared in any case. */
int sim_contacts_init(struct sim_contacts *contacts, uint64_t seed,
                      uint32_t nodes);
void sim_contacts_clear(struct sim_contacts *contacts);
/* Its certificate puts it elsewhere on the ring. */
void sim_contacts_place(struct sim_contacts *contacts, uint32_t node,
                        const xn_id *position);

void sim_address(uint32_t node, char out[SIM_ADDRESS_MAX]);
/* UINT32_MAX: none of ours. */
uint32_t sim_address_node(const char *address);

#endif
