/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenosim: runs scenarios on the node code under virtual time. */
#include "lib/err.h"
#include "lib/gripe.h"
#include "sim/cli.h"
#include "sim/with_node.h"

int main(int argc, char **argv)
{
    struct sim_cli cli = {
        .program = "xenosim",
        .purpose = "Run the node code under virtual time, with faults, and "
                   "check it.",
        .replayed = sim_nodes_replay,
    };
    struct sim_nodes *nodes = NULL;
    int rc = sim_nodes_new(&nodes);

    if (rc) {
        xn_gripe(cli.program, "cannot start", xn_strerror(rc), NULL);
        return XN_EXIT_FAILED;
    }
    sim_nodes_maker(nodes, &cli.maker);
    sim_nodes_probe(nodes, &cli.probe);
    rc = sim_cli_main(&cli, argc, argv);
    sim_nodes_free(nodes);
    return rc;
}
