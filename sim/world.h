/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The world: nodes, each a core with its links, store and modelled key, on
 * virtual time.  The other driver of the seam; it has no model of the
 * protocol, it runs it.
 *
 * A node is a number from 0; the number is its peer handle everywhere (one
 * table of contacts serves all) and gives its seed, key, address and place, so
 * a node does not depend on how many others there are or who started first.
 * Nodes meet only through events that take at least SIM_LATENCY_US_MIN.
 *
 * A machine is up or down, and so is the process on it.  Time: us of virtual
 * time since the start.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>

#include "seam/peers.h"
#include "seam/xn_core.h"
#include "sim/contacts.h"
#include "sim/digest.h"
#include "sim/latency.h"

#define SIM_NODES_MAX XN_PEERS_MAX
#define SIM_WALL_START 1795255200000000ULL /* wall time of virtual time 0 */
#define SIM_CORP_URL "https://corp.sim"

struct sim_world;
struct sim_event;

/* Makes a node's core: the only place that knows which core is run.  The peers
 * table and the contact are the world's. */
struct sim_maker {
    const char *name;
    void *user;
    int (*make)(void *user, const struct sim_world *world, uint32_t number,
                uint64_t seed, struct xn_core **core_out);
    /* Instead of its first WAKE: it begins linked to these, which are lent
     * until the core is freed.  NULL: cannot. */
    int (*stand)(void *user, const struct sim_world *world, uint32_t number,
                 struct xn_core *core, struct xn_route *routes, size_t n,
                 struct xn_outbox *box_out);
    /* All that it said is done: it may let go of that.  NULL: it keeps it. */
    void (*said)(void *user, struct xn_core *core);
    /* An event for it comes soon, in so many steps of this: from 3 to 1.  Its
     * memory may be fetched, as far as was fetched before.  NULL: not. */
    void (*warm)(void *user, const struct xn_core *core, int steps);
};

/* Who wants to know what. */
struct sim_hooks {
    void *user;
    /* A node answered the question `ticket` (sim_world_ask); one that dies
     * before does not. */
    void (*answered)(void *user, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer);
    /* The time set with sim_world_at has come. */
    void (*control)(void *user, uint64_t what);
    /* A node's core did what a core must not: `why` says what. */
    void (*broken)(void *user, uint32_t node, const char *why);
    /* A node's process is about to end. */
    void (*ending)(void *user, uint32_t node, unsigned how);
    /* A node's process began or ended. */
    void (*changed)(void *user, uint32_t node, bool runs);
    /* A LOG action. */
    void (*log)(void *user, uint32_t node, const Xn__Log *log);
    /* A message comes to a node; true: it is not its core's to see. */
    bool (*meets)(void *user, uint32_t node, uint32_t from,
                  const struct xn_msg *msg);
};

/* Costs and faults; all may be changed while the world runs. */
struct sim_settings {
    uint64_t sign_us, verify_us, blob_us; /* on one thread per node */
    uint64_t txn_us, read_us;
    uint64_t corp_us;      /* XenoCorp's thinking */
    uint64_t dial_us;      /* a dial without any answer ends */
    uint64_t silence_us;   /* unacknowledged data end a link */
    uint64_t keepalive_us; /* an idle link to nowhere ends */
    uint32_t loss_ppm;     /* of messages: delayed by retransmission */
    uint32_t break_ppm;    /* of lost messages: the link dies */
    uint32_t jitter_ppm;   /* of the latency, at most, added per message */
    uint32_t slow_ppm;     /* of nodes */
    uint64_t slow_us;      /* added to what a slow node receives */
    uint32_t nat_ppm;      /* of nodes: nobody can dial these */
    uint32_t slow_times;   /* its every delay is so many times as long */
    uint64_t bits;         /* per second that a node can send; 0: any */
    uint64_t queue_bytes;  /* waiting to be sent: a link that adds more dies */
    uint64_t skew_us;      /* wall clocks differ by at most so much; */
    uint32_t skew_ppm;     /* not 0: these by just so much, others not at all */
    uint32_t keys;         /* so many are looked up; 0: any */
    uint64_t median_us;    /* of poisson churn, beats the step's; 0: does not */
    bool corp_off;         /* XenoCorp cannot be reached */
    uint32_t queue_max;    /* actions from one step: a bound */
};

struct sim_config {
    uint32_t nodes;
    uint64_t seed;
    bool wire;         /* decode each delivery anew and check it */
    const char *trace; /* of churn; NULL: none */
    uint64_t flip;     /* number of the MSG delivery to damage; 0: none */
    struct sim_settings settings;
};

/* What bytes on the wire were for: a kind of message, and for REQUEST and REPLY
 * what they carry; or one of these, under kind 0. */
enum sim_purpose { SIM_OPEN, SIM_CLOSING_LINK, SIM_NOBODY, SIM_ACKS };
#define SIM_PURPOSES 64 /* of each kind; kinds of messages are below, too */

struct sim_spent {
    uint64_t n, bytes;
};

struct sim_totals {
    struct sim_spent spent[SIM_PURPOSES][SIM_PURPOSES];

    uint64_t events;      /* given to cores */
    uint64_t messages;    /* MSG events */
    uint64_t bytes;       /* of their bodies, with 6 of header */
    uint64_t wire_bytes;  /* sent, as sim/wire.h counts, probes apart */
    uint64_t link_us;     /* how long all halves of links were up: a sum */
    uint64_t talk_us;     /* of it, between what went over a link and before
                             it would have been probed */
    uint64_t node_us;     /* how long all processes ran: a sum */
    uint64_t queue_bytes; /* most that ever waited to be sent at a node */
    uint64_t lost, broken_links, dials, dials_failed, ups;
    uint64_t message_max; /* bytes */
    uint64_t signs, verifies, txns, calls, logs;
    uint64_t kills, starts;
    uint64_t queue_max; /* most actions from one step */
    uint64_t last_disturbed_us;
};

void sim_settings_default(struct sim_settings *settings);

/* Latency and maker must outlive the world. */
int sim_world_new(const struct sim_config *config,
                  const struct sim_latency *latency,
                  const struct sim_maker *maker, const struct sim_hooks *hooks,
                  struct sim_world **world_out);
void sim_world_free(struct sim_world *world);

/* Run all that happens before until_us, then stand there.  XN_ENOMEM; XN_EINVAL
 * when a core broke a rule (hooks->broken was told). */
int sim_world_run(struct sim_world *world, uint64_t until_us);
void sim_world_stop(struct sim_world *world, int rc); /* from a hook */

uint64_t sim_world_now(const struct sim_world *world);
/* Since when nothing starts, dies, parts or heals: each part of a world that is
 * parted may have come to rest.  UINT64_MAX: it is parted, if that counts. */
uint64_t sim_world_quiet_since(const struct sim_world *world, bool whole);
/* When the last partition healed; UINT64_MAX: one is there. */
uint64_t sim_world_whole_since(const struct sim_world *world);
/* When a link of the node last broke on the way, or was held up by losses for so
 * long that its ends may take each other for dead; 0: none has. */
uint64_t sim_world_broke_us(const struct sim_world *world, uint32_t node);
/* A partition is between these two. */
bool sim_world_apart(const struct sim_world *world, uint32_t a, uint32_t b);
/* Its every delay is longer. */
bool sim_world_slow(const struct sim_world *world, uint32_t node);
/* Nobody can dial it, and it says so. */
bool sim_world_nat(const struct sim_world *world, uint32_t node);
/* As the latencies have it: without jitter and other faults. */
uint64_t sim_world_rtt_us(const struct sim_world *world, uint32_t a,
                          uint32_t b);
struct xn_now sim_world_time(const struct sim_world *world, uint32_t node);
const struct sim_config *sim_world_config(const struct sim_world *world);
struct sim_settings *sim_world_settings(struct sim_world *world);
const struct sim_totals *sim_world_totals(const struct sim_world *world);
/* All that was sent, of IP, TCP and TLS (sim/wire.h). */
uint64_t sim_world_wire_bytes(struct sim_world *world);
/* What bytes on the wire, links and nodes are counted for begins now. */
void sim_world_measure(struct sim_world *world);
/* Of these, the probes of links over which nothing goes. */
uint64_t sim_world_probe_bytes(struct sim_world *world);
const struct xn_peers *sim_world_peers(const struct sim_world *world);
void sim_world_digest(struct sim_world *world, xn_id *digest_out);

/* ---- steering ---- */

/* hooks->control(what) at that time, after all events of the nodes then. */
int sim_world_at(struct sim_world *world, uint64_t at_us, uint64_t what);
/* Before it starts: its certificate puts it elsewhere on the ring. */
void sim_world_place(struct sim_world *world, uint32_t node,
                     const xn_id *position);
/* Start a node's process (and machine); nothing where it runs. */
int sim_world_start(struct sim_world *world, uint32_t node, uint64_t at_us);
/* Start those that the graph has (sim/graph.h) at once, now, linked as it says.
 * It is the world's from now on, whatever comes of it. */
struct sim_graph;
int sim_world_stand(struct sim_world *world, struct sim_graph *graph);
enum sim_end {
    SIM_END_POWER = 1, /* the machine goes too, so peers are not told */
    SIM_END_WIPED = 2, /* its disk is lost */
};
/* End it; `how`: of enum sim_end. */
int sim_world_kill(struct sim_world *world, uint32_t node, uint64_t at_us,
                   unsigned how);
/* Cut the nodes in two groups until then; share_ppm of them in one. */
void sim_world_cut(struct sim_world *world, uint32_t share_ppm,
                   uint64_t until_us);
/* An HTTPS request to a running node, now; hooks->answered brings the answer.
 * The ticket must be new at that node. */
int sim_world_ask(struct sim_world *world, uint32_t node, uint64_t ticket,
                  const Xn__Ask *ask);
/* Act as if the node's core had said so: for probes that call into it. */
int sim_world_perform(struct sim_world *world, uint32_t node,
                      const struct xn_outbox *box);

/* ---- looking ---- */

bool sim_world_runs(const struct sim_world *world, uint32_t node);
/* Virtual time at which its process started; UINT64_MAX: it does not run. */
uint64_t sim_world_since(const struct sim_world *world, uint32_t node);
struct xn_core *sim_world_core(const struct sim_world *world, uint32_t node);
uint32_t sim_world_running(const struct sim_world *world);
/* How many began as nodes that converged before (sim_world_stand). */
uint32_t sim_world_standing(const struct sim_world *world);
/* Live links of a node, to nodes that run. */
uint32_t sim_world_links(const struct sim_world *world, uint32_t node);

#endif
