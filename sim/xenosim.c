/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenosim: runs scenarios on the node code under virtual time, and plays back
 * what any daemon recorded. */
#include <string.h>

#include "corp/corp.h"
#include "hostagent/host.h"
#include "hostagent/member.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "node/node.h"
#include "sim/cli.h"
#include "sim/with_node.h"

/* The core that a recording is of, by the name that it has in its xn_core_ops.
 */
static int make_recorded(const Xn__Recording *head,
                         const struct xn_peers *peers,
                         struct xn_core **core_out)
{
    const ProtobufCBinaryData *config = &head->config;

    if (!strcmp(head->program, "node")) {
        return node_new_packed(config->data, config->len, peers, head->seed,
                               core_out);
    }
    if (!strcmp(head->program, "corp")) {
        return corp_new_packed(config->data, config->len, head->seed, core_out);
    }
    if (!strcmp(head->program, "host")) {
        return host_new_packed(config->data, config->len, head->seed, core_out);
    }
    if (!strcmp(head->program, "member")) {
        return member_new_packed(config->data, config->len, head->seed,
                                 core_out);
    }
    return XN_EINVAL;
}

int main(int argc, char **argv)
{
    struct sim_cli cli = {
        .program = "xenosim",
        .purpose = "Run the node code under virtual time, with faults, and "
                   "check it.",
        .replayed = make_recorded,
    };
    struct sim_nodes *nodes = NULL;
    int rc = sim_nodes_new(&nodes);

    if (rc) {
        xn_gripe(cli.program, "cannot start [XS-1-START]", xn_strerror(rc),
                 NULL);
        return XN_EXIT_FAILED;
    }
    sim_nodes_maker(nodes, &cli.maker);
    sim_nodes_probe(nodes, &cli.probe);
    rc = sim_cli_main(&cli, argc, argv);
    sim_nodes_free(nodes);
    return xn_end(cli.program, rc);
}
