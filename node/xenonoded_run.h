/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program around the node core, apart from main(): the tests build nodes
 * that misbehave from the same. */
#ifndef NODE_XENONODED_RUN_H
#define NODE_XENONODED_RUN_H

#include "seam/xn_core.h"

/* Runs the daemon and gives its exit code.  `wrap` (may be NULL) gets the
 * node's core and gives the one that the driver runs, which owns it. */
int xenonoded_run(int argc, char **argv,
                  struct xn_core *(*wrap)(struct xn_core *core));

#endif
