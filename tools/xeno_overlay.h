/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno overlay: what nodes say of the overlay. */
#ifndef TOOLS_XENO_OVERLAY_H
#define TOOLS_XENO_OVERLAY_H

#include "tools/xeno.h"

#define XENO_NODES_MAX 256
#define XENO_NODE_SHORT 13 /* first digits of an id, with NUL */

/* The nodes that may be asked. */
struct xeno_nodes {
    struct net_corp nodes[XENO_NODES_MAX]; /* none pinned: what proves itself a
                                              node is one */
    size_t n;
    struct xeno_member us; /* corp: the one being asked */
};

/* `named`: URLs, blanks or commas between; NULL: XENO_NODES, or the
 * configuration's.  An exit code; errors are told. */
int xeno_nodes_open(const struct xeno *xeno, const char *named,
                    struct xeno_nodes *nodes_out);
void xeno_nodes_clear(struct xeno_nodes *nodes);

/* Asks the nodes in turn until one answers or refuses; nodes->us.corp is that
 * one.  As xeno_ask, errors told. */
int xeno_nodes_ask(const struct xeno *xeno, struct xeno_nodes *nodes,
                   const struct xeno_question *question, void *answer_out);

/* Is it there, and its address text?  What a node says may be anything. */
bool xeno_node_is_sound(const Xn__Contact *node);
/* The first digits of an id, "-" where it is none. */
const char *xeno_node_short(const ProtobufCBinaryData *id,
                            char out[XENO_NODE_SHORT]);
json_t *xeno_node_json_id(const ProtobufCBinaryData *id);
/* "1.25 ms"; 0: "". */
const char *xeno_node_ms(uint64_t us, char out[32]);
json_t *xeno_node_json_ms(uint64_t us); /* 0: null */

int xeno_overlay_status(struct xeno *xeno, int argc, char **argv);
int xeno_overlay_peers(struct xeno *xeno, int argc, char **argv);
int xeno_overlay_metrics(struct xeno *xeno, int argc, char **argv);
int xeno_overlay_trace(struct xeno *xeno, int argc, char **argv);

#endif
