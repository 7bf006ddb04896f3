/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside net/dom*.c. */
#ifndef NET_DOM_IN_H
#define NET_DOM_IN_H

#include "lib/buf.h"
#include "net/dom.h"
#include "net/unix.h"

enum dom_state {
    DOM_WAITS, /* for a connection to xenodomd */
    DOM_RESTS, /* until it is tried again */
    DOM_ASKED, /* xenodomd has it */
    DOM_READS, /* a keeper's frames, or is being connected */
};

struct dom_job {
    struct net_dom *dom;
    uint64_t ticket;
    struct xn_msg *msg;
    enum dom_state state;
    struct net_unix sock;
    struct event *timer;
    uint64_t due_us; /* mono; then it ends with XN_ETIMEOUT */
    bool spared;     /* asked over a connection that was spare */

    /* A console's. */
    uint64_t wait_us; /* mono; until then it may wait for a byte */
    uint64_t from;    /* byte of the first in data */
    uint64_t known;   /* bytes written when xenodomd was asked */
    size_t most;
    struct xn_buf data;

    /* A stream's. */
    int stream;             /* a socket that connects; -1 */
    struct event *connects; /* tells when it has */

    struct dom_job *prev, *next;
};

enum watch_state { WATCH_AWAY, WATCH_ASKED, WATCH_THERE };

struct net_dom {
    struct net_loop *loop;
    char *path;
    struct dom_job *jobs; /* as they came */
    struct event *pump;
    size_t n_asks, n_consoles, n_streams, bytes;
    struct net_streams *streams; /* NULL: no streams */
    size_t n_asked;              /* connections to xenodomd */
    int spare;                   /* one over which no answer is owed; -1 */

    struct net_unix watch;
    enum watch_state watch_state;
    struct event *watch_timer;
    unsigned watch_ms; /* until it is tried again */
    bool told_away;    /* in the log */
};

static inline bool dom_is_console(const struct dom_job *job)
{
    return job->msg->kind == XN__KIND__ASK_CONSOLE;
}

static inline bool dom_is_stream(const struct dom_job *job)
{
    return job->msg->kind == XN__KIND__ASK_STREAM;
}

/* dom.c */
void dom_finish(struct dom_job *job, int rc, unsigned kind, const void *body);
void dom_forget(struct dom_job *job); /* its DONE is somebody else's */
/* Lets it wait, and begin again from asking xenodomd. */
#define DOM_REST_US 50000 /* where too many want in, or a keeper ends */
void dom_rest(struct dom_job *job, uint64_t us);
void dom_set_timer(struct dom_job *job, uint64_t mono_us);

/* dom_console.c: what follows on xenodomd's answer, and the end of a wait. */
int dom_console_begin(struct dom_job *job);
void dom_console_tell(struct dom_job *job, const Xn__DomTell *tell, int fd);
void dom_console_timeout(struct dom_job *job);

/* dom_stream.c: the same of a stream. */
void dom_stream_begin(struct dom_job *job);
void dom_stream_tell(struct dom_job *job, const Xn__DomTell *tell, int fd);
void dom_stream_timeout(struct dom_job *job);

/* dom_watch.c */
int dom_watch_new(struct net_dom *dom);
void dom_watch_free(struct net_dom *dom);
/* Somebody has had an answer. */
void dom_watch_now(struct net_dom *dom);

#endif
