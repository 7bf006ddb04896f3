/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks: they wait for one of a few connections, are sent, answered, told. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/dom_in.h"
#include "wire/frame.h"

#define START_US 120000000ULL /* a start on a busy machine */
#define ASK_US 60000000ULL
#define AWAY_US 200000 /* until a console is asked for again */

void dom_set_timer(struct dom_job *job, uint64_t mono_us)
{
    uint64_t now = net_mono_us(), in = mono_us > now ? mono_us - now : 0;
    struct timeval tv = {(time_t)(in / 1000000), (suseconds_t)(in % 1000000)};

    event_add(job->timer, &tv);
}

/* Others may begin now, but not in the middle of this. */
static void leave(struct dom_job *job, enum dom_state state)
{
    if (job->state == DOM_ASKED) {
        job->dom->n_asked--;
        event_active(job->dom->pump, EV_TIMEOUT, 0);
    }
    job->state = state;
    net_unix_close(&job->sock);
}

static void job_free(struct dom_job *job)
{
    struct net_dom *dom = job->dom;

    if (dom_is_console(job)) {
        dom->n_consoles--;
    } else if (dom_is_stream(job)) {
        dom->n_streams--;
    } else {
        dom->n_asks--;
        dom->bytes -= job->msg->size;
    }
    DL_DELETE(dom->jobs, job);
    net_unix_close(&job->sock);
    if (job->timer) event_free(job->timer);
    if (job->connects) event_free(job->connects);
    if (job->stream >= 0) close(job->stream);
    xn_buf_clear(&job->data);
    xn_msg_free(job->msg);
    free(job);
}

void dom_finish(struct dom_job *job, int rc, unsigned kind, const void *body)
{
    struct net_loop *loop = job->dom->loop;

    if (rc)
        net_loop_done(loop, job->ticket, rc, NULL);
    else
        net_loop_done_body(loop, job->ticket, kind, body);
    dom_forget(job);
}

void dom_forget(struct dom_job *job)
{
    leave(job, DOM_WAITS);
    job_free(job);
}

void dom_rest(struct dom_job *job, uint64_t us)
{
    leave(job, DOM_RESTS);
    dom_set_timer(job, net_mono_us() + us);
}

/* Who waits for a byte waits for xenodomd as well. */
static bool may_wait(const struct dom_job *job)
{
    return dom_is_console(job) && net_mono_us() < job->wait_us;
}

/* ---- the answer ---------------------------------------------------------- */

/* Was nothing done where no answer came? */
static bool is_harmless(const struct dom_job *job)
{
    if (dom_is_console(job) || dom_is_stream(job)) return true;
    switch (XN_BODY(job->msg, Xn__DomAsk)->op) {
    case XN__DOM_OP__DOM_LIST:
    case XN__DOM_OP__DOM_STATUS:
    case XN__DOM_OP__DOM_ADOPT:
    case XN__DOM_OP__DOM_METER: return true;
    default: return false;
    }
}

/* The connection is kept for another question. */
static void spare(struct dom_job *job)
{
    struct net_dom *dom = job->dom;

    if (dom->spare >= 0 || job->sock.rc || job->sock.in.len) return;
    dom->spare = job->sock.fd;
    job->sock.fd = -1;
}

static void on_answer(void *arg)
{
    struct dom_job *job = arg;
    ProtobufCMessage *body = NULL;
    int rc = net_unix_next(&job->sock, &body), fd;

    if (rc == XN_ENOENT) return;
    if (rc == XN_EUNREACH && job->spared) { /* another may be there now */
        leave(job, DOM_WAITS);
        return;
    }
    if (rc == XN_EUNREACH && may_wait(job)) {
        dom_rest(job, AWAY_US);
        return;
    }
    if (rc == XN_EUNREACH && !is_harmless(job)) rc = XN_EUNKNOWN;
    if (rc) {
        dom_finish(job, rc, 0, NULL);
        return;
    }
    dom_watch_now(job->dom);
    fd = net_unix_take_fd(&job->sock);
    if (fd < 0) spare(job);
    leave(job, DOM_WAITS);
    if (dom_is_console(job)) {
        dom_console_tell(job, (Xn__DomTell *)body, fd);
    } else if (dom_is_stream(job)) {
        dom_stream_tell(job, (Xn__DomTell *)body, fd);
    } else {
        if (fd >= 0) evutil_closesocket(fd);
        dom_finish(job, 0, XN__KIND__DOM_TELL, body);
    }
    protobuf_c_message_free_unpacked(body, NULL);
}

/* ---- the question -------------------------------------------------------- */

static int send_question(struct dom_job *job)
{
    Xn__DomAsk console = XN__DOM_ASK__INIT; /* a keeper's socket */

    console.op = XN__DOM_OP__DOM_CONSOLE;
    if (dom_is_console(job))
        console.name = XN_BODY(job->msg, Xn__AskConsole)->name;
    else if (dom_is_stream(job))
        console.name = XN_BODY(job->msg, Xn__AskStream)->name;
    else
        return net_unix_send(&job->sock, job->msg->body);
    return net_unix_send(&job->sock, &console);
}

/* Over the spare connection, where it does no harm to ask twice. */
static int connect_job(struct dom_job *job)
{
    struct net_dom *dom = job->dom;
    int fd = dom->spare;

    job->spared = fd >= 0 && !job->spared && is_harmless(job);
    if (!job->spared)
        return net_unix_open(&job->sock, net_loop_base(dom->loop), dom->path);
    dom->spare = -1;
    return net_unix_adopt(&job->sock, net_loop_base(dom->loop), fd);
}

static void begin(struct dom_job *job)
{
    struct net_dom *dom = job->dom;
    int rc;

    net_unix_init(&job->sock, &xn__dom_tell__descriptor, FRAME_TELL_MAX,
                  on_answer, job);
    rc = connect_job(job);
    if (rc == XN_EBUSY || (rc == XN_EUNREACH && may_wait(job))) {
        dom_rest(job, rc == XN_EBUSY ? DOM_REST_US : AWAY_US);
        return;
    }
    if (!rc) {
        job->state = DOM_ASKED;
        dom->n_asked++;
        rc = send_question(job);
    }
    if (rc)
        dom_finish(job, rc, 0, NULL);
    else
        dom_set_timer(job, job->due_us);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct net_dom *dom = arg;
    struct dom_job *job, *next;

    DL_FOREACH_SAFE(dom->jobs, job, next)
    {
        if (dom->n_asked >= NET_DOM_AT_ONCE) return;
        if (job->state == DOM_WAITS) begin(job);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dom_job *job = arg;
    uint64_t now = net_mono_us();

    if (job->state == DOM_READS && dom_is_stream(job)) {
        dom_stream_timeout(job);
    } else if (job->state == DOM_READS) {
        dom_console_timeout(job);
    } else if (now >= job->due_us) {
        dom_finish(job, XN_ETIMEOUT, 0, NULL);
    } else if (job->state == DOM_RESTS) {
        job->state = DOM_WAITS;
        dom_set_timer(job, job->due_us);
        event_active(job->dom->pump, EV_TIMEOUT, 0);
    } else {
        dom_set_timer(job, job->due_us);
    }
}

/* 0: it may be asked. */
static int judge(const struct net_dom *dom, const struct xn_msg *msg)
{
    const Xn__DomAsk *ask;

    if (msg && msg->kind == XN__KIND__ASK_CONSOLE) {
        return dom->n_consoles < NET_DOM_CONSOLES_MAX ? 0 : XN_EBUSY;
    }
    if (msg && msg->kind == XN__KIND__ASK_STREAM) {
        if (!dom->streams) return XN_EREFUSED;
        return dom->n_streams < NET_DOM_STREAMS_MAX ? 0 : XN_EBUSY;
    }
    if (!msg || msg->kind != XN__KIND__DOM_ASK) return XN_EINVAL;
    ask = XN_BODY(msg, Xn__DomAsk);
    /* these are ours: their answers are more than one, or a descriptor */
    if (ask->op == XN__DOM_OP__DOM_WATCH ||
        ask->op == XN__DOM_OP__DOM_CONSOLE) {
        return XN_EINVAL;
    }
    if (msg->size > FRAME_ASK_MAX) return XN_ETOOBIG;
    if (dom->n_asks >= NET_DOM_ASKS_MAX ||
        dom->bytes + msg->size > NET_DOM_BYTES_MAX) {
        return XN_EBUSY;
    }
    return 0;
}

static int add_job(struct net_dom *dom, uint64_t ticket, struct xn_msg *msg)
{
    struct dom_job *job = calloc(1, sizeof *job);
    bool starts = false;

    if (!job) return XN_ENOMEM;
    job->timer = evtimer_new(net_loop_base(dom->loop), on_timer, job);
    if (!job->timer) {
        free(job);
        return XN_ENOMEM;
    }
    job->dom = dom;
    job->stream = -1;
    job->ticket = ticket;
    job->msg = xn_msg_ref(msg);
    net_unix_init(&job->sock, NULL, 0, NULL, NULL);
    DL_APPEND(dom->jobs, job);
    if (dom_is_console(job)) {
        dom->n_consoles++;
        return dom_console_begin(job);
    }
    if (dom_is_stream(job)) {
        dom->n_streams++;
        dom_stream_begin(job);
        return 0;
    }
    dom->n_asks++;
    dom->bytes += msg->size;
    starts = XN_BODY(msg, Xn__DomAsk)->op == XN__DOM_OP__DOM_START;
    job->due_us = net_mono_us() + (starts ? START_US : ASK_US);
    dom_set_timer(job, job->due_us);
    return 0;
}

void net_dom_act(struct net_dom *dom, uint64_t ticket, struct xn_msg *msg)
{
    int rc = judge(dom, msg);

    if (!rc) rc = add_job(dom, ticket, msg);
    if (rc)
        net_loop_done(dom->loop, ticket, rc, NULL);
    else
        event_active(dom->pump, EV_TIMEOUT, 0);
}

void net_dom_abort(struct net_dom *dom, uint64_t ticket)
{
    struct dom_job *job;

    DL_FOREACH(dom->jobs, job)
    {
        if (job->ticket != ticket) continue;
        if (dom_is_console(job) || dom_is_stream(job) ||
            job->state != DOM_ASKED) {
            dom_finish(job, XN_ECANCELLED, 0, NULL);
        }
        return;
    }
}

/* ---- begin and end ------------------------------------------------------- */

void net_dom_carry(struct net_dom *dom, struct net_streams *streams)
{
    dom->streams = streams;
}

bool net_dom_idle(const struct net_dom *dom)
{
    return dom->n_asks == 0;
}

int net_dom_new(struct net_loop *loop, const char *path,
                struct net_dom **dom_out)
{
    struct net_dom *dom = calloc(1, sizeof *dom);
    int rc = XN_ENOMEM;

    if (!dom) goto out;
    dom->loop = loop;
    dom->spare = -1;
    dom->path = strdup(path);
    dom->pump = event_new(net_loop_base(loop), -1, 0, on_pump, dom);
    net_unix_init(&dom->watch, NULL, 0, NULL, NULL);
    if (!dom->path || !dom->pump) goto out;
    rc = dom_watch_new(dom);
    if (rc) goto out;
    *dom_out = dom;
    dom = NULL;
out:
    net_dom_free(dom);
    return rc;
}

void net_dom_free(struct net_dom *dom)
{
    struct dom_job *job, *next;

    if (!dom) return;
    DL_FOREACH_SAFE(dom->jobs, job, next)
    {
        job_free(job);
    }
    dom_watch_free(dom);
    if (dom->spare >= 0) close(dom->spare);
    if (dom->pump) event_free(dom->pump);
    free(dom->path);
    free(dom);
}
