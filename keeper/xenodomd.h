/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodomd: starts keepers, finds them again, and sweeps after them. */
#ifndef KEEPER_XENODOMD_H
#define KEEPER_XENODOMD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/network.h"
#include "keeper/patience.h"
#include "keeper/sessions.h"
#include "keeper/spec.h"
#include "keeper/tally.h"
#include "lib/buf.h"
#include "wire/flows.h"
#include "wire/task.pb-c.h"

#define PROGRAM "xenodomd"
#define DOM_CLIENTS_MAX 64
#define DOM_SESSIONS_MAX 1000
#define DOM_FOLDERS_MAX 16
#define DOM_UIDS_MAX 16
#define DOM_LIST_MAX SPEC_NAMES_MAX /* in one answer */
#define DOM_TAKE_US 10000000 /* for a client to take a part of its answer */

/* What the operator lets be asked for. */
struct envelope {
    uint64_t memory_bytes; /* of all live sessions */
    size_t sessions;
    const char *images[DOM_FOLDERS_MAX]; /* folders of images */
    size_t n_images;
    uid_t uids[DOM_UIDS_MAX]; /* who may ask, besides root and our own */
    size_t n_uids;
    uint32_t uid_base;   /* as root, tasks run as this and those behind it */
    Xn__MeterKind meter; /* the best that may be used */
    struct network network;
};

struct dom_client {
    int fd; /* -1: a free place */
    struct xn_buf in, out;
    int passes;        /* goes with the answer; -1: nothing */
    uint64_t moved_us; /* mono; when a part of `out` was last taken */
    Xn__DomAsk *held;  /* until it is known whether there is a Xen; NULL */
    bool waits;        /* for a start, or with what is held */
    bool watches;      /* is told of every end */
    bool closing;
};

/* A session that lives, as far as we know. */
struct live {
    char name[SPEC_NAME_MAX];
    uint64_t memory_bytes, disk_bytes;
    uint32_t uid;
    uint32_t address; /* IPv4; 0: none */
    int watch;        /* the keeper's socket: it closes when the keeper ends */
    int talk;   /* the same, while each question got its answer there; -1 */
    int ready;  /* of a start under way; -1 */
    int client; /* who asked for it; -1 */
    bool stuck; /* it has ended, but cannot be swept yet */
    struct patience patience; /* with its keeper */
    struct tally tally;       /* of its control group; closed: not asked for */
    Xn__Runner runner;
    uint64_t again_us; /* mono; not before then another keeper */
};

/* Whether there is a Xen, asked in a process of its own, which may wait as long
 * as libxl does. */
struct probe {
    int fd; /* it says so here; -1: nobody is asked just now */
    pid_t pid;
    uint64_t until_us; /* mono; longer is not waited */
    char no_xen[256]; /* the last answer: why there is none; "": there is one */
    uint64_t room_kib; /* that was free for domains */
    bool pvh;          /* domains can be PVH ones */
};

struct dom {
    struct envelope envelope;
    const char *keeper, *bwrap; /* of sandboxes */
    int state, sessions;        /* folders */
    int listener, signals;
    int news;         /* epoll: all keepers' sockets and starts under way */
    bool exact;       /* sessions get an exact meter */
    uint32_t address; /* given last: who had one does not leave it warm */
    struct probe probe;
    char no_flows[FLOWS_UNKNOWN_MAX]; /* why they were not counted last */
    struct live live[DOM_SESSIONS_MAX];
    uint32_t
        keys[DOM_SESSIONS_MAX]; /* of their names: a look at all is short */
    size_t n_live;
    bool alone; /* perhaps one has no keeper, and is none being started */
    struct dom_client clients[DOM_CLIENTS_MAX];
};

/* ---- xenodomd_managers.c ---- */

/* Task managers: what a task is run in, as a table of functions.  What they have
 * in common is the keeper, which answers all that is asked of a session. */
struct manager {
    /* Can it be had here?  XN_EREFUSED: why not, and what to try. */
    int (*check)(struct dom *dom, char *because_out, size_t len,
                 const char **try_out);
    /* Puts in what is not for the caller to choose.  Errors as of spec_check, or
     * those of check. */
    int (*fit)(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
               size_t len, const char **try_out);
    void (*programs)(const struct dom *dom, struct session_programs *out);
};

/* As its first word, this program is a keeper of domains: what calls libxl and
 * may wait for ever is a process of its own. */
#define MANAGER_KEEP_DOMAIN "keep-domain"

const struct manager *manager_of(Xn__Runner runner);
/* Asks, unless somebody is being asked.  False: nobody need be asked, and
 * dom->probe.no_xen holds. */
bool manager_probe(struct dom *dom);
/* It may be known now: the answer has come, or the time is over. */
bool manager_probed(struct dom *dom);
int manager_keep_domain(int argc, char **argv);

/* ---- xenodomd_network.c: interfaces of domains ---- */

/* Who had an address last is known from here on. */
void network_begin(struct dom *dom);
/* What the spec has of an interface; errors as of a manager's fit. */
int network_fit(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
                size_t len, const char **try_out);
/* Guests go out under this host's address, and are asked nothing from outside.
 * XN_EINVAL, XN_EREFUSED: why not, and what to try. */
int network_nat(const struct network *net, char *because_out, size_t len,
                const char **try_out);

/* ---- xenodomd_live.c: what lives ---- */

/* Looks at all folders: takes up who lives, sweeps who does not. */
int dom_adopt(struct dom *dom);
struct live *dom_find(struct dom *dom, const char *name);
int dom_start(struct dom *dom, Xn__TaskSpec *spec, int client,
              char *because_out, size_t len, const char **try_out);
/* The keeper at this place has ended. */
void dom_bury(struct dom *dom, size_t i);
/* Takes what came over `news`: ends, and how starts went. */
void dom_hear(struct dom *dom);

/* ---- xenodomd_serve.c: who asks ---- */
void dom_accept(struct dom *dom);
void dom_serve(struct dom *dom, size_t i, short events);
/* Lets those go who do not take what they get: one whose own end waits, passed,
 * in our socket would otherwise stay when its process is gone. */
void dom_drop_idle(struct dom *dom);
void dom_answer(struct dom *dom, int client, Xn__DomTell *tell);
/* It is known whether there is a Xen: those whose questions were held get their
 * answers. */
void dom_answer_held(struct dom *dom);
void dom_drop(struct dom *dom, size_t i);
/* A session has ended: who watches is told. */
void dom_tell_end(struct dom *dom, const char *name);

/* ---- xenodomd_meter.c: readings of many ---- */
/* Of those of its names that can be read so. */
void dom_answer_readings(struct dom *dom, int client, const Xn__DomAsk *ask);

/* ---- xenodomd_flows.c: whom domains talk to ---- */
/* Where there is no session, nobody's are left. */
void dom_begin_flows(struct dom *dom);
/* From now on, where it has an interface; it starts in any case. */
void dom_count_flows(struct dom *dom, const Xn__TaskSpec *spec);
/* The same, where the machine was started anew since. */
void dom_count_flows_again(struct dom *dom, const Xn__TaskSpec *spec);
/* The session in that folder is about to go. */
void dom_forget_flows(struct dom *dom, const char *name, int folder);
void dom_answer_flows(struct dom *dom, int client, const Xn__DomAsk *ask);

/* ---- xenodomd_ask.c: the program's words, which ask a daemon ---- */
struct ask_options {
    const char *state;
    const char *reason, *grace, *runner;
    const char *sets[128];
    size_t n_sets;
};
int ask_main(const struct ask_options *options, int n_words, char **words);
/* 0 and the answer, or what stands against it; *tell_out then is one that says so,
 * or NULL: there was none.  It is the caller's. */
int ask_daemon(const struct ask_options *options, const Xn__DomAsk *question,
               Xn__DomTell **tell_out, int *fd_out);
/* The same, told; returns an exit code. */
int ask_told(const struct ask_options *options, const Xn__DomAsk *question,
             Xn__DomTell **tell_out, int *fd_out);

/* ---- xenodomd_save.c: the same, `save` and `restore` ---- */
/* One of that name, or (NULL) all that can be, one after the other. */
int ask_save(const struct ask_options *options, bool save, char *name);

#endif
