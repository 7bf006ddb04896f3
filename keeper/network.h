/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operator's bridge, and the addresses that guests on it may have.  Those of
 * IPv4 are numbers of this machine: 10.0.0.1 is 0x0a000001; of IPv6 each has one
 * that ends in its IPv4 address, so there is one list of who has which. */
#ifndef KEEPER_NETWORK_H
#define KEEPER_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#define NETWORK_BRIDGE_MAX 15 /* bytes of an interface's name */
#define NETWORK_TEXT_MAX 16
#define NETWORK_MAC 6
#define NETWORK_ADDRESS6 16
#define NETWORK_TEXT6_MAX 46

struct network {
    const char *bridge; /* NULL: guests have no interface */
    uint32_t first, last, gateway;
    uint32_t prefix; /* bits */
    uint8_t net6[NETWORK_ADDRESS6], gateway6[NETWORK_ADDRESS6];
    uint32_t prefix6; /* bits; 0: no IPv6 */
};

/* `addresses`: FIRST-LAST/PREFIX.  All NULL: no network.  XN_EINVAL: because_out
 * says which does not go. */
int network_parse(const char *bridge, const char *addresses,
                  const char *gateway, struct network *out, char *because_out,
                  size_t len);

/* `net`: ADDRESS/BITS.  Both NULL: no IPv6.  After network_parse.  XN_EINVAL. */
int network_parse6(const char *net, const char *gateway, struct network *out,
                   char *because_out, size_t len);

void network_text(uint32_t address, char out[NETWORK_TEXT_MAX]);
/* Locally administered, and on a bridge as unique as the address. */
void network_mac(uint32_t address, uint8_t out[NETWORK_MAC]);
/* The one that goes with that IPv4 address. */
void network_address6(const struct network *net, uint32_t address,
                      uint8_t out[NETWORK_ADDRESS6]);
/* As people write it; with all its digits. */
void network_text6(const uint8_t address[NETWORK_ADDRESS6],
                   char out[NETWORK_TEXT6_MAX]);
void network_digits6(const uint8_t address[NETWORK_ADDRESS6],
                     char out[NETWORK_TEXT6_MAX]);
uint32_t network_mask(uint32_t prefix);

#endif
