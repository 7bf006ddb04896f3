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
#define PREFIX6_MIN 16
#define PREFIX6_MAX 96 /* an IPv4 address goes behind it */

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

static const char *wrong6(const char *net, const char *gateway,
                          struct network *out)
{
    char room[64], *slash;
    uint64_t bits = 0;

    if (!net || !gateway) return "--net6 and --gateway6 belong together";
    if (!out->bridge) return "--net6 wants --bridge and --addresses";
    if (snprintf(room, sizeof room, "%s", net) >= (int)sizeof room ||
        !(slash = strchr(room, '/')))
        return "--net6: ADDRESS/BITS, as 2001:db8:1::/64";
    *slash = '\0';
    if (inet_pton(AF_INET6, room, out->net6) != 1 ||
        xn_number_parse(slash + 1, PREFIX6_MAX, &bits) || bits < PREFIX6_MIN)
        return "--net6: ADDRESS/BITS, of 16 to 96 bits";
    for (uint64_t i = bits; i < 8 * NETWORK_ADDRESS6; i++) {
        if (out->net6[i / 8] & 0x80 >> i % 8)
            return "--net6: it has more than BITS";
    }
    if (inet_pton(AF_INET6, gateway, out->gateway6) != 1)
        return "--gateway6: no IPv6 address";
    out->prefix6 = (uint32_t)bits;
    return NULL;
}

/* Is it one that a guest may get? */
static bool is_guests(const struct network *net)
{
    const uint8_t *g = net->gateway6;
    uint32_t last = (uint32_t)g[12] << 24 | (uint32_t)g[13] << 16 |
                    (uint32_t)g[14] << 8 | g[15];

    return !memcmp(g, net->net6, NETWORK_ADDRESS6 - 4) && last >= net->first &&
           last <= net->last;
}

int network_parse6(const char *net, const char *gateway, struct network *out,
                   char *because_out, size_t len)
{
    const char *because;

    out->prefix6 = 0;
    if (!net && !gateway) return 0;
    because = wrong6(net, gateway, out);
    if (!because && is_guests(out)) because = "--gateway6: a guest may get it";
    if (!because) return 0;
    out->prefix6 = 0;
    snprintf(because_out, len, "%s", because);
    return XN_EINVAL;
}

void network_address6(const struct network *net, uint32_t address,
                      uint8_t out[NETWORK_ADDRESS6])
{
    const uint8_t last[] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
                            (uint8_t)(address >> 8), (uint8_t)address};

    memcpy(out, net->net6, NETWORK_ADDRESS6);
    memcpy(out + NETWORK_ADDRESS6 - sizeof last, last, sizeof last);
}

void network_text6(const uint8_t address[NETWORK_ADDRESS6],
                   char out[NETWORK_TEXT6_MAX])
{
    inet_ntop(AF_INET6, address, out, NETWORK_TEXT6_MAX);
}

void network_digits6(const uint8_t address[NETWORK_ADDRESS6],
                     char out[NETWORK_TEXT6_MAX])
{
    size_t i, n = 0;

    for (i = 0; i < NETWORK_ADDRESS6; i++) {
        n += (size_t)snprintf(out + n, NETWORK_TEXT6_MAX - n, "%s%02x",
                              i && i % 2 == 0 ? ":" : "", address[i]);
    }
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
