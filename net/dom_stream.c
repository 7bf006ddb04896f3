/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection to a port of a task: of a sandbox its keeper passes a socket of
 * the network inside; a domain has an address, which xenodomd tells.  Nothing
 * else is ever connected to.  Or a command beside a task, of which its keeper
 * passes a socket. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/dom_in.h"
#include "net/streams.h"

#define STREAM_US 10000000ULL /* until it is connected */
#define PART_MAX (128 << 10)  /* of a keeper's frame */

void dom_stream_begin(struct dom_job *job)
{
    job->due_us = net_mono_us() + STREAM_US;
    dom_set_timer(job, job->due_us);
}

static bool is_command(const struct dom_job *job)
{
    return XN_BODY(job->msg, Xn__AskStream)->n_argv > 0;
}

static void refuse(struct dom_job *job, int rc, const char *because,
                   const char *advice)
{
    Xn__DomTell tell = XN__DOM_TELL__INIT;

    tell.rc = rc;
    tell.because = (char *)(uintptr_t)because;
    tell.advice = (char *)(uintptr_t)advice;
    dom_finish(job, 0, XN__KIND__DOM_TELL, &tell);
}

static void refuse_port(struct dom_job *job, int rc, const char *what)
{
    char because[128];

    snprintf(because, sizeof because, "%s port %u there", what,
             XN_BODY(job->msg, Xn__AskStream)->port);
    refuse(job, rc, because, "a program of the task that listens there");
}

/* Its DONE comes at its end. */
static void hand_over(struct dom_job *job)
{
    const Xn__AskStream *ask = XN_BODY(job->msg, Xn__AskStream);
    int fd = job->stream, rc;

    job->stream = -1;
    rc = net_streams_begin(job->dom->streams, job->ticket, ask->ask, fd,
                           is_command(job));
    if (!rc)
        dom_forget(job);
    else if (rc == XN_EPROTO)
        refuse(job, rc, "no Upgrade: xeno-stream came with the question",
               "another version of xeno");
    else if (rc == XN_EBUSY)
        refuse(job, rc, "this server carries as many connections as it can",
               "again when others have ended");
    else
        dom_finish(job, rc, 0, NULL);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct dom_job *job = arg;
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)) error = errno;
    event_free(job->connects);
    job->connects = NULL;
    if (!error)
        hand_over(job);
    else if (error == ECONNREFUSED)
        refuse_port(job, XN_EREFUSED, "nothing listens on");
    else
        refuse_port(job, XN_EUNREACH, "nothing answers on");
}

/* A socket that connects, which it takes. */
static void await_connection(struct dom_job *job, int fd)
{
    job->stream = fd;
    job->connects = event_new(net_loop_base(job->dom->loop), fd, EV_WRITE,
                              on_connected, job);
    job->state = DOM_READS;
    if (!job->connects || event_add(job->connects, NULL))
        dom_finish(job, XN_ENOMEM, 0, NULL);
    else
        dom_set_timer(job, job->due_us);
}

void dom_stream_timeout(struct dom_job *job)
{
    if (job->connects)
        refuse_port(job, XN_ETIMEOUT, "nobody takes connections on");
    else
        dom_finish(job, XN_ETIMEOUT, 0, NULL);
}

/* ---- of a sandbox -------------------------------------------------------- */

static void on_socket(void *arg)
{
    struct dom_job *job = arg;
    ProtobufCMessage *body = NULL;
    int rc = net_unix_next(&job->sock, &body), fd;
    const Xn__KeeperTell *tell = (const Xn__KeeperTell *)body;

    if (rc == XN_ENOENT) return;
    if (!rc) rc = tell->rc < 0 ? tell->rc : 0;
    if (body) protobuf_c_message_free_unpacked(body, NULL);
    fd = net_unix_take_fd(&job->sock);
    net_unix_close(&job->sock);
    if (!rc && fd >= 0 && is_command(job)) {
        job->stream = fd;
        if (evutil_make_socket_nonblocking(fd))
            dom_finish(job, XN_EIO, 0, NULL);
        else
            hand_over(job);
        return;
    }
    if (!rc && fd >= 0) {
        await_connection(job, fd);
        return;
    }
    if (fd >= 0) close(fd);
    if (is_command(job) && rc == XN_EBUSY)
        refuse(job, rc, "as many commands run beside the task as can",
               "when one of them has ended");
    else if (is_command(job) && rc == XN_EREFUSED)
        refuse(job, rc,
               "what further commands beside the task use cannot be counted",
               "xeno task new");
    else if (rc == XN_EREFUSED)
        refuse_port(job, rc, "nothing listens on");
    else if (rc == XN_EUNREACH || rc == XN_ECONFLICT || rc == XN_ENOENT)
        refuse(job, XN_EREFUSED, "the task has just ended", "a new one");
    else if (rc == XN_EINVAL && is_command(job))
        refuse(job, XN_EREFUSED, "its task is a domain",
               "xeno console --input");
    else if (rc == XN_EINVAL)
        refuse(job, XN_EREFUSED, "its domain has no interface",
               "a session with NetMbps, or its console");
    else
        dom_finish(job, rc ? rc : XN_EPROTO, 0, NULL);
}

static void ask_keeper(struct dom_job *job, int fd)
{
    const Xn__AskStream *want = XN_BODY(job->msg, Xn__AskStream);
    Xn__KeeperAsk ask = XN__KEEPER_ASK__INIT;
    int rc;

    net_unix_init(&job->sock, &xn__keeper_tell__descriptor, PART_MAX, on_socket,
                  job);
    rc = net_unix_adopt(&job->sock, net_loop_base(job->dom->loop), fd);
    job->state = DOM_READS;
    ask.op = is_command(job) ? XN__KEEPER_OP__EXEC : XN__KEEPER_OP__FORWARD;
    ask.port = want->port;
    ask.argv = want->argv;
    ask.n_argv = want->n_argv;
    ask.terminal = want->terminal;
    if (!rc) rc = net_unix_send(&job->sock, &ask);
    if (rc)
        dom_finish(job, rc, 0, NULL);
    else
        dom_set_timer(job, job->due_us);
}

/* ---- of a domain --------------------------------------------------------- */

static void connect_to(struct dom_job *job, uint32_t address)
{
    const Xn__AskStream *ask = XN_BODY(job->msg, Xn__AskStream);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)ask->port),
                             .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        dom_finish(job, XN_ENOMEM, 0, NULL);
    } else if (connect(fd, (struct sockaddr *)&to, sizeof to) &&
               errno != EINPROGRESS) {
        close(fd);
        refuse_port(job, XN_EUNREACH, "no way leads to");
    } else {
        await_connection(job, fd);
    }
}

void dom_stream_tell(struct dom_job *job, const Xn__DomTell *tell, int fd)
{
    const Xn__TaskStatus *status = tell->n_tasks > 0 ? tell->tasks[0] : NULL;
    uint32_t address = status ? status->address : 0;

    if (!tell->rc && tell->live && fd >= 0 && (!address || is_command(job))) {
        ask_keeper(job, fd);
        return;
    }
    if (fd >= 0) close(fd);
    if (tell->rc)
        refuse(job, tell->rc, tell->because, "xeno task show");
    else if (!tell->live)
        refuse(job, XN_EREFUSED, "the task has just ended", "a new one");
    else if (!address)
        dom_finish(job, XN_EPROTO, 0, NULL);
    else
        connect_to(job, address);
}
