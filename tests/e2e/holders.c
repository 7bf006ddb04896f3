/* SPDX-License-Identifier: GPL-3.0-or-later */
/* holders STATE TOKEN NEAR FAR: the numbers of the servers whose nodes hold
 * the copies of a token's root, by the positions that the nodes report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/client.h"
#include "tools/dev.h"
#include "wire/token.h"

struct member {
    unsigned number;
    xn_id position;
    bool taken;
};

static int ask_position(const struct net_identity *client, int port,
                        xn_id *position_out)
{
    struct net_reply reply = {.status = 0};
    Xn__NodeStatus *status = NULL;
    char url[64], why[256];
    int rc;

    snprintf(url, sizeof url, "https://127.0.0.1:%d/v1/status", port);
    rc = net_request(client, "GET", url, NULL, 0, NULL, 5000, &reply, why,
                     sizeof why);
    if (!rc) {
        status = xn__node_status__unpack(NULL, reply.body.len, reply.body.data);
        rc = status && status->self
                 ? xn_id_from_bytes(&status->self->position, position_out)
                 : XN_EPROTO;
    }
    if (status) xn__node_status__free_unpacked(status, NULL);
    net_reply_clear(&reply);
    return rc;
}

static struct member *nearest(struct member *members, size_t n,
                              const xn_id *key)
{
    struct member *best = NULL;
    size_t i;

    for (i = 0; i < n; i++) {
        if (members[i].taken) continue;
        if (!best ||
            xn_ring_nearer(key, &members[i].position, &best->position)) {
            best = &members[i];
        }
    }
    return best;
}

/* The k nearest; each is printed once, though it may hold near and far. */
static void print_copies(struct member *members, size_t n, const char *token,
                         bool far, unsigned k, bool *printed)
{
    xn_id key;
    size_t i;

    xn_token_key(token, NULL, 0, far, &key);
    for (i = 0; i < n; i++)
        members[i].taken = false;
    while (k-- > 0) {
        struct member *m = nearest(members, n, &key);

        if (!m) return;
        m->taken = true;
        if (!printed[m->number]) printf("%u\n", m->number);
        printed[m->number] = true;
    }
}

int main(int argc, char **argv)
{
    static struct dev_platform platform;
    static struct member members[DEV_SERVERS_MAX];
    static bool printed[DEV_SERVERS_MAX + 1];
    struct net_identity client = {.key = NULL};
    size_t i, n = 0;

    if (argc != 5) {
        fprintf(stderr, "usage: holders STATE TOKEN NEAR FAR\n");
        return 2;
    }
    if (dev_open(&platform, argv[1], DEV_LOOK) || dev_load(&platform)) return 1;
    if (dev_client(&platform, &client)) return 1;
    for (i = 0; i < platform.n_servers; i++) {
        const struct dev_server *server = &platform.servers[i];

        if (!dev_alive(&server->node)) continue;
        if (ask_position(&client, server->node.port_api,
                         &members[n].position)) {
            return 1;
        }
        members[n++].number = server->number;
    }
    print_copies(members, n, argv[2], false, (unsigned)atoi(argv[3]), printed);
    print_copies(members, n, argv[2], true, (unsigned)atoi(argv[4]), printed);
    net_identity_clear(&client);
    dev_close(&platform);
    return 0;
}
