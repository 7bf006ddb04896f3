/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operator's bridge, and the IPv4 addresses that guests on it may have.
 * Addresses are numbers of this machine: 10.0.0.1 is 0x0a000001. */
#ifndef KEEPER_NETWORK_H
#define KEEPER_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#define NETWORK_BRIDGE_MAX 15 /* bytes of an interface's name */
#define NETWORK_TEXT_MAX 16
#define NETWORK_MAC 6

struct network {
    const char *bridge; /* NULL: guests have no interface */
    uint32_t first, last, gateway;
    uint32_t prefix; /* bits */
};

/* `addresses`: FIRST-LAST/PREFIX.  All NULL: no network.  XN_EINVAL: because_out
 * says which does not go. */
int network_parse(const char *bridge, const char *addresses,
                  const char *gateway, struct network *out, char *because_out,
                  size_t len);

void network_text(uint32_t address, char out[NETWORK_TEXT_MAX]);
/* Locally administered, and on a bridge as unique as the address. */
void network_mac(uint32_t address, uint8_t out[NETWORK_MAC]);
uint32_t network_mask(uint32_t prefix);

#endif
