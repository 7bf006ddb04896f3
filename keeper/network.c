/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/network.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"

#define PREFIX_MIN 8
#define PREFIX_MAX 30

static bool parse_address(const char *text, uint32_t *out)
{
    struct in_addr in;

    if (inet_pton(AF_INET, text, &in) != 1) return false;
    *out = ntohl(in.s_addr);
    return true;
}

uint32_t network_mask(uint32_t prefix)
{
    return prefix ? ~0U << (32 - prefix) : 0;
}

static bool parse_range(const char *text, struct network *out)
{
    char room[64], *dash, *slash;
    uint64_t prefix;

    if (snprintf(room, sizeof room, "%s", text) >= (int)sizeof room) {
        return false;
    }
    dash = strchr(room, '-');
    slash = strchr(room, '/');
    if (!dash || !slash || slash < dash) return false;
    *dash = *slash = '\0';
    if (!parse_address(room, &out->first) ||
        !parse_address(dash + 1, &out->last) ||
        xn_number_parse(slash + 1, PREFIX_MAX, &prefix)) {
        return false;
    }
    out->prefix = (uint32_t)prefix;
    return prefix >= PREFIX_MIN;
}

static bool is_host(uint32_t address, const struct network *net)
{
    uint32_t host = address & ~network_mask(net->prefix);

    return host != 0 && host != ~network_mask(net->prefix);
}

static const char *wrong(const char *bridge, const char *addresses,
                         const char *gateway, struct network *out)
{
    uint32_t mask;

    if (!bridge || !addresses || !gateway)
        return "--bridge, --addresses and --gateway belong together";
    if (!bridge[0] || strlen(bridge) > NETWORK_BRIDGE_MAX ||
        strspn(bridge, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789_-.") != strlen(bridge))
        return "--bridge: no interface is called so";
    if (!parse_range(addresses, out))
        return "--addresses: FIRST-LAST/PREFIX, as "
               "192.0.2.10-192.0.2.99/24";
    if (!parse_address(gateway, &out->gateway))
        return "--gateway: no IPv4 address";
    mask = network_mask(out->prefix);
    if (((out->first ^ out->last) | (out->first ^ out->gateway)) & mask)
        return "--addresses, --gateway: not all in one network";
    if (out->first > out->last || !is_host(out->first, out) ||
        !is_host(out->last, out))
        return "--addresses: not from a host's to another's";
    if (out->gateway >= out->first && out->gateway <= out->last)
        return "--gateway: it is among --addresses";
    return NULL;
}

int network_parse(const char *bridge, const char *addresses,
                  const char *gateway, struct network *out, char *because_out,
                  size_t len)
{
    const char *because;

    memset(out, 0, sizeof *out);
    if (!bridge && !addresses && !gateway) return 0;
    because = wrong(bridge, addresses, gateway, out);
    if (because) {
        snprintf(because_out, len, "%s", because);
        return XN_EINVAL;
    }
    out->bridge = bridge;
    return 0;
}

void network_text(uint32_t address, char out[NETWORK_TEXT_MAX])
{
    snprintf(out, NETWORK_TEXT_MAX, "%u.%u.%u.%u", address >> 24,
             address >> 16 & 255, address >> 8 & 255, address & 255);
}

void network_mac(uint32_t address, uint8_t out[NETWORK_MAC])
{
    const uint8_t mac[NETWORK_MAC] = {0x02,
                                      0x58, /* X */
                                      (uint8_t)(address >> 24),
                                      (uint8_t)(address >> 16),
                                      (uint8_t)(address >> 8),
                                      (uint8_t)address};

    memcpy(out, mac, sizeof mac);
}
