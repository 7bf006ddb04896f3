/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interfaces of domains: who has which address, and the way out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "keeper/nft.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"

#define LAST_ADDRESS "address" /* TaskNet: the one given last */
#define FORWARDS "/proc/sys/net/ipv4/ip_forward"

/* ---- addresses ----------------------------------------------------------- */

static bool is_theirs(const struct network *net, uint32_t address)
{
    return address >= net->first && address <= net->last;
}

/* Where it is not known which was given last: not always the first again. */
static uint32_t any_address(const struct network *net)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, 0) != sizeof random) return 0;
    return net->first + random % (net->last - net->first + 1);
}

static uint32_t noted_address(const struct dom *dom)
{
    ProtobufCMessage *body = NULL;
    uint32_t address;

    if (record_get(dom->state, LAST_ADDRESS, &xn__task_net__descriptor, &body))
        return 0;
    address = ((Xn__TaskNet *)body)->address;
    protobuf_c_message_free_unpacked(body, NULL);
    return address;
}

void network_begin(struct dom *dom)
{
    const struct network *net = &dom->envelope.network;

    if (!net->bridge) return;
    dom->address = noted_address(dom);
    if (!is_theirs(net, dom->address)) dom->address = any_address(net);
}

/* Of a machine that goes down nobody's neighbours remember any. */
static void note_address(const struct dom *dom)
{
    Xn__TaskNet last;

    xn__task_net__init(&last);
    last.address = dom->address;
    (void)record_note(dom->state, LAST_ADDRESS, &last);
}

static bool is_taken(const struct dom *dom, uint32_t address)
{
    size_t i;

    for (i = 0; i < dom->n_live; i++) {
        if (dom->live[i].address == address) return true;
    }
    return false;
}

/* 0: none is free.  Each is used once before any is used again. */
static uint32_t free_address(const struct dom *dom)
{
    const struct network *net = &dom->envelope.network;
    uint32_t n = net->last - net->first + 1, i, at;

    at = dom->address >= net->first ? dom->address - net->first + 1 : 0;
    for (i = 0; i < n && i <= DOM_SESSIONS_MAX; i++) {
        uint32_t address = net->first + (at + i) % n;

        if (!is_taken(dom, address)) return address;
    }
    return 0;
}

static int copy6(const uint8_t address[NETWORK_ADDRESS6],
                 ProtobufCBinaryData *to)
{
    to->data = malloc(NETWORK_ADDRESS6);
    if (!to->data) return XN_ENOMEM;
    memcpy(to->data, address, NETWORK_ADDRESS6);
    to->len = NETWORK_ADDRESS6;
    return 0;
}

static int add_address6(const struct network *network, Xn__TaskNet *net)
{
    uint8_t address[NETWORK_ADDRESS6];
    int rc;

    network_address6(network, net->address, address);
    rc = copy6(address, &net->address6);
    if (!rc) rc = copy6(network->gateway6, &net->gateway6);
    net->prefix6 = network->prefix6;
    return rc;
}

int network_fit(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
                size_t len, const char **try_out)
{
    const struct network *network = &dom->envelope.network;
    uint32_t address;

    if (!spec->net_kbit_per_s) return 0;
    if (!network->bridge) {
        snprintf(because_out, len, "there is no bridge for an interface");
        *try_out = PROGRAM " --bridge BRIDGE --addresses FIRST-LAST/PREFIX "
                           "--gateway ADDRESS";
        return XN_EREFUSED;
    }
    address = free_address(dom);
    if (!address) {
        snprintf(because_out, len, "all addresses are given away");
        *try_out = "when a session has ended";
        return XN_EREFUSED;
    }
    spec->net = malloc(sizeof *spec->net);
    if (!spec->net) return XN_ENOMEM;
    xn__task_net__init(spec->net);
    spec->net->bridge = strdup(network->bridge);
    spec->net->address = dom->address = address;
    spec->net->gateway = network->gateway;
    spec->net->prefix = network->prefix;
    note_address(dom);
    if (!spec->net->bridge) return XN_ENOMEM;
    return network->prefix6 ? add_address6(network, spec->net) : 0;
}

/* ---- the way out --------------------------------------------------------- */

/* What guests send goes out as this host's; to them comes what answers it.  Of
 * link-local addresses (RFC 3927) nothing goes out: there a cloud tells a host
 * its secrets.  All of it is one table of our own, put in place of the last in
 * one step. */
static const char rules[] =
    "table ip xenodomd\n"
    "delete table ip xenodomd\n"
    "table ip xenodomd {\n"
    "    chain out {\n"
    "        type nat hook postrouting priority srcnat\n"
    "        ip saddr %s/%u oifname != \"%s\" masquerade\n"
    "    }\n"
    "    chain through {\n"
    "        type filter hook forward priority filter\n"
    "        iifname \"%s\" ip daddr 169.254.0.0/16 drop\n"
    "        oifname != \"%s\" accept\n"
    "        iifname \"%s\" accept\n"
    "        ct state established,related accept\n"
    "        drop\n"
    "    }\n"
    "}\n";

static bool forwards(void)
{
    FILE *f = fopen(FORWARDS, "re");
    int c = f ? getc(f) : EOF;

    if (f) fclose(f);
    return c == '1';
}

int network_nat(const struct network *net, char *because_out, size_t len,
                const char **try_out)
{
    char address[NETWORK_TEXT_MAX], text[sizeof rules + 128];

    *try_out = "--bridge, --addresses, --gateway";
    if (!net->bridge) {
        snprintf(because_out, len, "there is no bridge for it");
        return XN_EINVAL;
    }
    *try_out = "sysctl -w net.ipv4.ip_forward=1";
    if (!forwards()) {
        snprintf(because_out, len, FORWARDS " is not 1");
        return XN_EREFUSED;
    }
    *try_out = "apt install nftables; run it as root";
    network_text(net->first & network_mask(net->prefix), address);
    snprintf(text, sizeof text, rules, address, net->prefix, net->bridge,
             net->bridge, net->bridge, net->bridge);
    return nft_run(text, because_out, len);
}
