/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver join decides everything first, looking only, and then does it: so
 * --dry-run tells what would be done and not something like it. */
#ifndef HOSTAGENT_XENOSERVER_JOIN_H
#define HOSTAGENT_XENOSERVER_JOIN_H

#include "hostagent/xenoserver.h"
#include "hostagent/xenoserver_units.h"

struct join_choice { /* what is said, completed by what is found out */
    const struct net_corp *corp;
    const char *label, *owner, *payout, *machine, *invitation, *listen;
    const char *nodes[SERVER_NODES_MAX];
    size_t n_nodes;
    char label_own[33], machine_own[120], listen_own[SERVER_HOST_MAX + 8];
    char nodes_own[2048], corps_own[300], host[SERVER_HOST_MAX];
    bool given;               /* the XenoCorp, by its URL */
    const char *const *words; /* TOKEN=VALUE */
    size_t n_words;
};

enum join_how { JOIN_REGISTER, JOIN_REGISTERED, JOIN_ACCEPT, JOIN_ACCEPTED };

struct join_plan {
    enum join_how how;
    struct net_identity identity;  /* empty where it is to register */
    const char *index_node;        /* that the XenoCorp is told */
    bool corp_new;                 /* STATE/joined lacks it */
    char *before, *config;         /* xenohostd's; before NULL: there is none */
    struct net_settings *settings; /* of it */
    char not_yet[700];             /* why nothing can be offered yet, or "" */
    bool units;                    /* systemd runs it here */
    bool restart;                  /* a xenohostd that runs must read it anew */
    bool node;                     /* a node beside it, as a unit */
    bool node_knows;   /* the configuration that it has names the XenoCorp */
    char *node_config; /* to be written for it, or NULL */
    const char *start[UNITS_MAX + 1]; /* units, ending with NULL */
};

/* ---- xenoserver_plan.c: looks, and changes nothing ---- */

/* Fills what was not said.  An exit code, or -1: go on; errors are told. */
int join_complete(struct join_choice *choice);
/* To be cleared, whatever comes.  An exit code; errors are told. */
int join_plan(struct server *server, const struct join_choice *choice,
              struct join_plan *plan_out);
void join_plan_clear(struct join_plan *plan);

/* ---- xenoserver_dry.c ---- */

int join_tell(struct server *server, const struct join_choice *choice,
              const struct join_plan *plan);

#endif
