/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of a simulator program, whatever core it runs. */
#ifndef SIM_CLI_H
#define SIM_CLI_H

#include "sim/run.h"

/* What differs between programs. */
struct sim_cli {
    const char *program;
    const char *purpose; /* a line for --help */
    struct sim_maker maker;
    struct sim_probe probe;
    /* NULL: this program replays nothing.  Makes the recorded core. */
    int (*replayed)(const Xn__Recording *head, const struct xn_peers *peers,
                    struct xn_core **core_out);
};

/* The program's exit code. */
int sim_cli_main(const struct sim_cli *cli, int argc, char **argv);

/* replay.c: play a recording back.  0; XN_ENOENT, XN_EIO; XN_EPROTO: not a
 * recording; XN_EINTEGRITY: it was changed, or the core did something else than
 * recorded.  Errors are told. */
int sim_replay(const struct sim_cli *cli, const char *path);

#endif
