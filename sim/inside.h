/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The world's state, shared by the files of this folder that make it up:
 * world.c (nodes, the loop), link.c, act.c, corp.c, fault.c. */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include "sim/queue.h"
#include "sim/store.h"
#include "sim/wire.h"
#include "sim/world.h"

enum sim_kind {
    SIM_WAKE = 1,
    SIM_SYN, /* a dial: these five, each one latency */
    SIM_SYNACK,
    SIM_CONNECT,
    SIM_READY,
    SIM_FINISHED,
    SIM_REFUSE,
    SIM_DIAL_LATE,   /* no answer to a dial, or its handshake took too long */
    SIM_ACCEPT_LATE, /* the last word of one has not come */
    SIM_MSG,
    SIM_CLOSE, /* the other end closed, reset, died or fell silent */
    SIM_HUNG,  /* our own end closed */
    SIM_DONE,
    SIM_ASK,
    SIM_START,
    SIM_KILL,
    SIM_CONTROL,
};

enum sim_half {
    SIM_FREE,
    SIM_DIALLING,
    SIM_ACCEPTED, /* dialled, and the dialler's last word is missing */
    SIM_UP,
    SIM_CLOSING,
    SIM_ENDED /* one that stood does so no more */
};

/* One end of a link.  The two ends know of each other only by events.  The
 * half of a link that stands from the start, and over which nothing is on its
 * way, is not kept: the graph knows it. */
struct sim_link {
    uint32_t peer;
    uint8_t state; /* enum sim_half */
    bool heard;    /* dialling: the peer has answered so far */
    bool brief;    /* the peer reads short frames */
    struct sim_wire_end end;
    union {
        uint32_t trip_us; /* dialling: when it began, then what the SYN took */
        uint32_t peer_mark; /* later: the peer's counter when it agreed */
    };
    uint64_t conn; /* dialler << 32 | dialler's counter */
    union {
        uint64_t ticket;  /* dialling: of our DIAL */
        uint64_t last_us; /* later: arrival of what was sent last, for TCP
                             keeps order */
    };
};

struct sim_node {
    struct xn_core *core;   /* NULL: the process is down */
    uint64_t wake_us;       /* wanted by the core */
    uint64_t pending_us;    /* earliest WAKE in the queue */
    uint64_t since_us;      /* start of the process */
    struct sim_link *links; /* hash table by peer */
    uint32_t links_n, links_cap;
    uint32_t counter; /* of events sent: goes on over crashes */
    uint32_t draws;
    uint32_t life; /* incarnation */
    bool power;    /* the machine is up */
    bool stands;   /* linked as the graph says, but for what `links` says */
    struct sim_store *store;
};

/* What most runs have nothing of lies apart: unwritten it takes no memory. */
struct sim_toll {
    uint64_t busy_us;  /* its crypto thread is busy until then */
    uint64_t broke_us; /* a link of it broke, or was held up, last */
    uint64_t line_us;  /* what it sends is on the line by then */
};

struct sim_corp {
    uint32_t *nodes; /* announced ones */
    uint32_t *index; /* of node number + 1 in it; 0: not there */
    uint64_t *seen_us;
    uint32_t n;
};

struct sim_world {
    struct sim_config config;
    const struct sim_latency *latency;
    struct sim_maker maker;
    struct sim_hooks hooks;
    struct sim_queue *queue;
    struct sim_digest *digest;
    struct sim_totals totals;
    struct sim_node *nodes;
    struct sim_toll *tolls; /* of the nodes */
    /* Kinds of requests under way, hashed by asker and rid.  Two may share a
     * place, so what is counted by them is right within one part in a hundred.
     * asked_last: the last place, all ones. */
    uint8_t *asked;
    uint32_t asked_last;
    struct sim_contacts contacts;
    struct sim_corp corp;
    struct sim_graph *graph; /* of those that stand; NULL: none does */
    uint64_t now_us;
    uint64_t cut_from_us, cut_until_us;
    uint32_t cut_ppm, cuts;
    uint32_t running;
    uint32_t standing;         /* so many began so */
    uint64_t running_since_us; /* totals.node_us counts until then */
    uint64_t links_up;         /* halves, now */
    uint64_t links_since_us;   /* totals.link_us counts until then */
    uint32_t control;          /* counter of control events */
    int rc;
};

/* ---- world.c ---- */

/* Send an event from node `from`: fills at_us and key.  Takes over msg. */
void sim_push(struct sim_world *world, uint32_t from, uint64_t at_us,
              struct sim_event event);
/* Give an event to a node's core and perform what it says. */
void sim_step(struct sim_world *world, uint32_t node, enum xn_ev kind,
              uint64_t ticket, int rc, xn_peer peer, struct xn_msg *msg);
/* A rule was broken: ends the run. */
void sim_broken(struct sim_world *world, uint32_t node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t sim_node_draw(struct sim_world *world, uint32_t node);

/* ---- halves.c ---- */

#define SIM_STOOD UINT64_MAX /* connection of every link that stands */

/* In the table: one that has ended, too, and none that stands and rests; NULL. */
struct sim_link *sim_halves_find(const struct sim_node *node, uint32_t peer);
/* The half of the link to `peer`, NULL: there is none.  Pointers to others are
 * lost. */
struct sim_link *sim_halves_of(struct sim_world *world, uint32_t number,
                               uint32_t peer);
/* A new half in `state`; NULL: out of memory, the world has been told.  Pointers
 * to others are lost. */
struct sim_link *sim_halves_add(struct sim_world *world, uint32_t number,
                                uint32_t peer, enum sim_half state,
                                uint64_t conn);
void sim_halves_drop(struct sim_world *world, uint32_t number,
                     struct sim_link *link);
/* All that stand come into the table, to stay there for this event. */
void sim_halves_keep(struct sim_world *world, uint32_t number);

/* ---- link.c ---- */

void sim_link_event(struct sim_world *world, const struct sim_event *event);
void sim_link_dial(struct sim_world *world, uint32_t node,
                   const struct xn_action *action);
void sim_link_hang(struct sim_world *world, uint32_t node,
                   const struct xn_action *action);
void sim_link_send(struct sim_world *world, uint32_t node,
                   const struct xn_action *action);
void sim_link_abort(struct sim_world *world, uint32_t node, uint64_t ticket);
/* The process ends: tell the peers (if the machine went too they find out by
 * keepalive), forget. */
void sim_link_end_all(struct sim_world *world, uint32_t node, bool power);
/* A partition begins that outlasts keepalive: links across it will end. */
void sim_link_cut(struct sim_world *world, uint32_t node);

/* ---- wire.c ---- */

void sim_spend(struct sim_world *world, enum sim_purpose what, uint64_t bytes);
void sim_spend_message(struct sim_world *world, uint32_t from, uint32_t to,
                       const struct xn_msg *msg, uint64_t bytes);
/* Something goes over the link, from this end or to it. */
void sim_talk(struct sim_world *world, struct sim_link *link, bool sends);
/* So many more halves of links are up. */
void sim_count_links(struct sim_world *world, int more);
/* So many more processes run. */
void sim_count_nodes(struct sim_world *world, int more);

/* ---- act.c ---- */

void sim_perform(struct sim_world *world, uint32_t node,
                 const struct xn_outbox *box);
/* The action with that ticket ends after so long.  Takes over msg. */
void sim_done(struct sim_world *world, uint32_t node, uint64_t ticket,
              uint64_t after_us, int rc, struct xn_msg *msg);

/* ---- corp.c ---- */

int sim_corp_init(struct sim_corp *corp, uint32_t nodes);
void sim_corp_clear(struct sim_corp *corp);
void sim_corp_call(struct sim_world *world, uint32_t node,
                   const struct xn_action *action);

/* ---- fault.c ---- */

/* When a message of so many bytes sent now arrives: the line, latency, jitter,
 * slowness, loss.  UINT64_MAX: never, the link dies. */
uint64_t sim_arrival(struct sim_world *world, uint32_t from, uint32_t to,
                     size_t bytes);
/* The same for a packet of a handshake, sent again like any other; where no
 * way leads there, UINT64_MAX. */
uint64_t sim_arrival_bare(struct sim_world *world, uint32_t from, uint32_t to);
/* How long that takes at this node, which may be a slow one. */
uint64_t sim_pace_us(const struct sim_world *world, uint32_t node, uint64_t us);

#endif
