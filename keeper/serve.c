/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "wire/frame.h"

#define PART 32768          /* console bytes in a frame */
#define OUT_MAX (256 << 10) /* bytes that wait for one client */
#define TAKE 16384
#define ASK_MAX (16 << 10) /* of a request */
#define IN_MAX (ASK_MAX + 4 + TAKE)

void keeper_drop(struct keeper_client *client)
{
    if (client->fd >= 0) close(client->fd);
    if (client->passes >= 0) close(client->passes);
    client->fd = client->passes = -1;
    xn_buf_clear(&client->in);
    xn_buf_clear(&client->out);
    client->follows = client->closing = false;
}

static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

void keeper_accept(struct keeper *keeper)
{
    int fd =
        accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t i;

    if (fd < 0) return;
    for (i = 0; i < KEEPER_CLIENTS_MAX; i++) {
        struct keeper_client *client = &keeper->clients[i];

        if (client->fd >= 0 || !is_ours(fd)) continue;
        client->fd = fd;
        xn_buf_init(&client->in, IN_MAX);
        xn_buf_init(&client->out, OUT_MAX);
        if (i >= keeper->n_clients) keeper->n_clients = i + 1;
        return;
    }
    close(fd);
}

static int tell(struct keeper *keeper, uint64_t asked_us,
                Xn__KeeperTell *tell_out, struct xn_buf *out)
{
    Xn__TaskStatus status;
    Xn__TaskReading reading;

    xn__task_status__init(&status);
    keeper_reading(keeper, asked_us, &reading);
    status.name = keeper->spec->name;
    status.state = keeper->state;
    status.reading = &reading;
    if (keeper->state == XN__TASK_STATE__ENDED) status.exit = &keeper->last;
    keeper->runner->describe(keeper, &status);
    status.console_bytes = keeper->console.total;
    status.memory_bytes = keeper->spec->memory_bytes;
    status.uid = keeper->spec->uid;
    if (!status.exit) status.keeper_pid = (uint32_t)getpid();
    tell_out->status = &status;
    return frame_put(out, tell_out);
}

int keeper_tell_status(struct keeper *keeper, int rc, struct xn_buf *out)
{
    Xn__KeeperTell answer;

    xn__keeper_tell__init(&answer);
    answer.rc = rc;
    answer.because = keeper->because;
    return tell(keeper, sys_mono_us(), &answer, out);
}

static int type_in(struct keeper *keeper, const ProtobufCBinaryData *input)
{
    if (keeper->state == XN__TASK_STATE__ENDED) return XN_ECONFLICT;
    return keeper_type(keeper, input->data, input->len);
}

static int forward(struct keeper *keeper, struct keeper_client *client,
                   uint16_t port)
{
    if (keeper->state == XN__TASK_STATE__ENDED) return XN_ECONFLICT;
    if (!keeper->runner->connect) return XN_EINVAL;
    return keeper->runner->connect(keeper, port, &client->passes);
}

/* How the answer looks: 0, or what stands against it. */
static int obey(struct keeper *keeper, struct keeper_client *client,
                uint64_t asked_us, const Xn__KeeperAsk *ask)
{
    switch (ask->op) {
    case XN__KEEPER_OP__STATUS: keeper_hasten(keeper, asked_us); return 0;
    case XN__KEEPER_OP__STOP:
        keeper_stop(keeper, XN__TASK_END__STOPPED,
                    ask->reason[0] ? ask->reason : "asked to stop",
                    ask->grace_ms);
        return 0;
    case XN__KEEPER_OP__PAUSE: return keeper_pause(keeper, true);
    case XN__KEEPER_OP__RESUME: return keeper_pause(keeper, false);
    case XN__KEEPER_OP__CONSOLE:
        client->follows = true;
        client->from = ask->from;
        return 0;
    case XN__KEEPER_OP__INPUT: return type_in(keeper, &ask->input);
    case XN__KEEPER_OP__LIFETIME: return keeper_lifetime(keeper, ask->life_ms);
    case XN__KEEPER_OP__FORWARD:
        return forward(keeper, client, (uint16_t)ask->port);
    case XN__KEEPER_OP__SAVE: return keeper_save(keeper, true);
    case XN__KEEPER_OP__RESTORE: return keeper_save(keeper, false);
    case XN__KEEPER_OP__EXEC: return keeper_exec(keeper, ask, &client->passes);
    default: return XN_EPROTO;
    }
}

/* One that cannot be understood gets its answer and is let go. */
static void answer_one(struct keeper *keeper, struct keeper_client *client,
                       const Xn__KeeperAsk *ask)
{
    uint64_t asked_us = sys_mono_us();
    char because[128] = "";
    Xn__KeeperTell answer;

    xn__keeper_tell__init(&answer);
    answer.because = because;
    answer.rc = spec_check_keeper_ask(ask, because, sizeof because);
    if (!answer.rc)
        answer.rc = obey(keeper, client, asked_us, ask);
    else
        client->closing = true;
    /* the console's own frames say enough */
    if (client->follows && !answer.rc && ask->op == XN__KEEPER_OP__CONSOLE) {
        return;
    }
    if (tell(keeper, asked_us, &answer, &client->out)) client->closing = true;
}

static void take_asks(struct keeper *keeper, struct keeper_client *client)
{
    ProtobufCMessage *body;
    int rc = 0;

    while (!client->closing && client->passes < 0 &&
           client->out.len < OUT_MAX / 2) {
        rc = frame_next(&client->in, ASK_MAX, &xn__keeper_ask__descriptor,
                        &body);
        if (rc) break;
        answer_one(keeper, client, (Xn__KeeperAsk *)body);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    if (rc && rc != XN_ENOENT) client->closing = true;
}

/* ---- before anybody is served ---- */

/* The first that it asks, which is left there. */
static bool asks_to_stop(const struct keeper_client *client)
{
    ProtobufCMessage *body = NULL;
    struct xn_buf in;
    char data[TAKE];
    ssize_t n = recv(client->fd, data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
    bool stops;

    if (n <= 0) return false;
    xn_buf_init(&in, IN_MAX);
    xn_buf_add(&in, data, (size_t)n);
    stops = frame_next(&in, ASK_MAX, &xn__keeper_ask__descriptor, &body) == 0 &&
            ((const Xn__KeeperAsk *)body)->op == XN__KEEPER_OP__STOP;
    if (body) protobuf_c_message_free_unpacked(body, NULL);
    xn_buf_clear(&in);
    return stops;
}

/* Who was not served in time has gone, and leaves his place. */
bool keeper_hears_stop(struct keeper *keeper)
{
    struct pollfd comes = {keeper->listener, POLLIN, 0};
    bool stops = false;

    if (poll(&comes, 1, 0) > 0) keeper_accept(keeper);
    for (size_t i = 0; !stops && i < keeper->n_clients; i++) {
        struct keeper_client *client = &keeper->clients[i];
        struct pollfd goes = {client->fd, 0, 0};

        if (client->fd < 0) continue;
        stops = asks_to_stop(client);
        if (!stops && poll(&goes, 1, 0) > 0) keeper_drop(client);
    }
    return stops;
}

/* ---- one client ---- */

/* Reads what came; false: the other end has closed. */
static bool receive(struct keeper_client *client)
{
    char data[TAKE];
    ssize_t n = recv(client->fd, data, sizeof data, 0);

    if (n < 0) return errno == EAGAIN || errno == EINTR;
    xn_buf_add(&client->in, data, (size_t)n);
    return n > 0 && !xn_buf_rc(&client->in);
}

static bool flush(struct keeper_client *client)
{
    ssize_t n;

    if (client->out.len == 0) return true;
    n = sys_send(client->fd, client->out.data, client->out.len, client->passes);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (client->passes >= 0) close(client->passes);
    client->passes = -1;
    xn_buf_drop(&client->out, (size_t)n);
    return true;
}

/* The next part of the console, when all before it is on its way.  A client
 * that is slow finds older bytes gone, and `from` says so; nothing queues. */
static void add_console(struct keeper *keeper, struct keeper_client *client)
{
    bool ended = keeper->state == XN__TASK_STATE__ENDED;
    uint8_t data[PART];
    Xn__KeeperTell part;
    size_t n = 0;

    if (!client->follows || client->out.len > 0) return;
    xn__keeper_tell__init(&part);
    if (keeper->console.fd >= 0) {
        part.rc = console_read(&keeper->console, &client->from, data,
                               sizeof data, &n);
    }
    part.end = part.rc || (ended && n == 0);
    if (n == 0 && !part.end) return;
    part.from = client->from;
    part.console.data = data;
    part.console.len = n;
    client->from += n;
    if (part.end) client->follows = false;
    if (frame_put(&client->out, &part)) client->closing = true;
}

void keeper_serve(struct keeper *keeper, struct keeper_client *client,
                  short events)
{
    if (client->fd < 0) return;
    if ((events & (POLLIN | POLLHUP | POLLERR)) && !receive(client)) {
        keeper_drop(client);
        return;
    }
    take_asks(keeper, client);
    add_console(keeper, client);
    if (!flush(client) || (client->closing && client->out.len == 0)) {
        keeper_drop(client);
    }
}

short keeper_wants(struct keeper *keeper, struct keeper_client *client)
{
    short events = 0;

    if (client->out.len < OUT_MAX / 2 && !client->closing) events |= POLLIN;
    if (client->out.len > 0 ||
        (client->follows && (client->from < keeper->console.total ||
                             keeper->state == XN__TASK_STATE__ENDED))) {
        events |= POLLOUT;
    }
    return events;
}
