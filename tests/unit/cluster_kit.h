/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of clusters share: a manager with three members, all of them the
 * real cores, each member with a xenodomd that is none. */
#ifndef TESTS_UNIT_CLUSTER_KIT_H
#define TESTS_UNIT_CLUSTER_KIT_H

#include "tests/unit/task_kit.h"

#define MACHINES 3
#define STREAMS 128
#define STEP_US (SECOND_US / 10)
#define GRACE_US (30 * SECOND_US)

enum health { WELL, SILENT, DEAD };
enum lie { NONE, AMOUNTS, LIVES }; /* that are others each time */

struct held { /* a call that its member has not answered */
    struct xn_action act;
    uint64_t ask; /* 0: it stands behind others of its lane */
    uint64_t until_us;
};

struct far {
    struct crank c;
    struct dom dom;
    xn_id id;
    const char *url;
    enum health health;
    enum lie lie;
    uint64_t lies;
    struct held held[64];
    size_t n_held;
    bool begun;
    bool stalls;                       /* xenodomd answers nothing */
    unsigned loses_lists, loses_stops; /* so many are lost on the way */
    bool endless;                      /* its list has no end */
    unsigned lists;
    struct xn_action fetch; /* under way, where it is slow */
    bool slow;
    unsigned fetches, aborted;
    struct held streams[STREAMS]; /* that were upgraded */
    size_t n_streams;
    char why[300]; /* the last that was aborted was to end */
};

extern struct far far[MACHINES];

/* Time goes by for all. */
void cluster_pass(struct market *m, uint64_t us);
/* The manager dies, and what it asked is not heard of. */
void cluster_restart(struct market *m);
int cluster_set_up(void **state);
int cluster_tear_down(void **state);
/* A session of 1000 CPUsmps and 512 MemoryMB with a task. */
xn_id cluster_begin(struct market *m);
/* On which machine it is. */
size_t cluster_machine_of(const xn_id *session);
/* As its holder sees it, to be freed. */
Xn__HostSession *cluster_look(struct market *m, const xn_id *session);
Xn__SessionState cluster_state_of(struct market *m, const xn_id *session);
int64_t cluster_paid_of(struct market *m, const xn_id *session);
/* What is advertised: the document holds that element. */
bool cluster_says(struct market *m, const char *element);
/* Its agent dies; xenodomd lives on. */
void far_restart(struct far *f, struct market *m);
/* Its driver's part, but for its answers. */
void far_serve(struct far *f);
/* The connection of its stream that was begun last is cut. */
void far_cut(struct far *f, struct market *m);
/* That FETCH of its ends well. */
void far_fetched(struct far *f, struct xn_action *act);

#endif
