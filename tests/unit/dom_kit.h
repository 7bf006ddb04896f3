/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A xenodomd that is none: answers what a core asks of DOMAIN from a table of
 * tasks, which a test may let run, end, vanish; it may be gone, fail, lose its
 * answers or keep silent. */
#ifndef TESTS_UNIT_DOM_KIT_H
#define TESTS_UNIT_DOM_KIT_H

#include "lib/rng.h"
#include "tests/unit/crank.h"
#include "wire/task.pb-c.h"

#define DOM_TASKS_MAX 160
#define DOM_TASK_MEMORY (1 << 20) /* that each has */

struct dom_task {
    char name[64];
    Xn__TaskSpec *spec; /* as started */
    Xn__TaskState state;
    uint64_t cpu_ns, started_us;
    uint64_t sent_bytes, got_bytes, saved_ms;
    bool ended;
    Xn__TaskEnd end;
    int32_t code;
    char because[128];
    char typed[64];
    uint64_t life_ms; /* as told since; 0: it was not */
};

struct dom {
    bool up, exact, xen, pvh, bridge;
    uint64_t disk_bytes;
    const char *no_xen; /* NULL: as an older one, which does not say */
    struct dom_task tasks[DOM_TASKS_MAX];
    size_t n;
    /* The next asks: */
    int refuse;      /* DomTell.rc of the next start; 0: it is done */
    unsigned lose;   /* so many are done and answered XN_EUNKNOWN */
    unsigned silent; /* so many are never answered, nor done */
    unsigned loses_of_100;
    int no_meter;   /* DomTell.rc of METER, as of an older one */
    bool uncounted; /* no task's meter can be read without its keeper */
    struct xn_rng *rng;
    /* Counted. */
    unsigned starts, stops, pauses, resumes, forgets, consoles, aborts;
    unsigned looks;    /* at one task, STATUS */
    unsigned meters;   /* questions, whatever they ask of */
    size_t metered;    /* readings in their answers */
    uint32_t grace_ms; /* of the last stop */
    bool stops_slowly; /* a stop is heard, the end comes by dom_end */
    const char *console;
    unsigned streams;              /* asked for */
    uint32_t port;                 /* of the last */
    size_t words;                  /* the same, of its command */
    int refuse_streams;            /* DomTell.rc; 0: they begin */
    uint64_t sent, got;            /* that each has carried */
    bool carries_unasked;          /* what lasts is not told */
    unsigned flow_asks;            /* FLOWS */
    Xn__Flows *flows;              /* of whatever task; NULL: an older one */
    struct xn_action waiting[128]; /* consoles that wait, streams that last */
    size_t n_waiting;
};

void dom_clear(struct dom *dom);
struct dom_task *dom_find(struct dom *dom, const char *name);
/* The one that was started last; fails the test where there is none. */
struct dom_task *dom_last(struct dom *dom);
size_t dom_live(const struct dom *dom);
/* DOMAIN or ABORT, taken from the crank. */
void dom_serve(struct dom *dom, struct crank *c, struct xn_action *act);
/* It is there (again), or gone: the core hears of it. */
void dom_connect(struct dom *dom, struct crank *c);
void dom_vanish(struct dom *dom, struct crank *c);
/* A task ends; `tell`: the core hears of it. */
void dom_end(struct dom *dom, struct crank *c, struct dom_task *task,
             Xn__TaskEnd end, int32_t code, bool tell);
/* Answers a console that waits. */
void dom_say(struct dom *dom, struct crank *c, const char *text, bool end);
/* The stream that was begun last ends. */
void dom_end_stream(struct dom *dom, struct crank *c);
/* CPU time goes by in whatever runs. */
void dom_burn(struct dom *dom, uint64_t ns);

#endif
