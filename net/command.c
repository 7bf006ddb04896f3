/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/liveness.h"
#include "net/relay.h"
#include "net/terminal.h"
#include "net/upgrade.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum {
    SIGNALS = 4,
    MOVES = 3,
    OUTPUTS = 2,
    PART = 16 << 10,
    OUT_HIGH = 128 << 10,
    OUT_LOW = 32 << 10
};

struct run {
    const struct net_command *command;
    struct net_command_end *end;
    struct event_base *base;
    struct event *signals[SIGNALS], *input;
    struct event *moves[MOVES]; /* of a terminal */
    struct net_terminal terminal;
    struct event *looks; /* whether the server is there */
    struct net_liveness liveness;
    struct event *outputs[OUTPUTS]; /* where one takes nothing for now */
    int fds[OUTPUTS];               /* standard output and error */
    struct net_upgrade *upgrade;
    struct bufferevent *far;
    size_t left; /* bytes of the frame under way */
    int to;      /* and where they go: of fds */
    bool waits;  /* for that: nothing is read from the server either */
    bool cut;    /* the server is gone */
    bool over;
};

static void end(struct run *r, int rc, const char *because, const char *try)
{
    if (r->over) return;
    r->over = true;
    r->end->rc = rc;
    snprintf(r->end->because, sizeof r->end->because, "%s", because);
    snprintf(r->end->try, sizeof r->end->try, "%s", try);
    event_base_loopbreak(r->base);
}

/* ---- what it says -------------------------------------------------------- */

static void is_cut(struct run *r)
{
    end(r, XN_EUNREACH, "the connection was cut", "xeno task show");
}

static void wait_for(struct run *r)
{
    r->waits = true;
    bufferevent_disable(r->far, EV_READ);
    if (event_add(r->outputs[r->to], NULL))
        end(r, XN_ENOMEM, "out of memory", "the same again");
}

/* No more than a pipe takes without waiting.  Each of these: true: there may be
 * more. */
static bool write_some(struct run *r)
{
    struct evbuffer *in = bufferevent_get_input(r->far);
    struct pollfd room = {r->fds[r->to], POLLOUT, 0};
    size_t len = evbuffer_get_length(in);
    ssize_t n = -1;

    if (len > r->left) len = r->left;
    if (len > PIPE_BUF) len = PIPE_BUF;
    if (!len) return false;
    errno = EAGAIN;
    if (poll(&room, 1, 0) > 0)
        n = write(room.fd, evbuffer_pullup(in, (ev_ssize_t)len), len);
    if (n >= 0) {
        evbuffer_drain(in, (size_t)n);
        r->left -= (size_t)n;
    } else if (errno == EAGAIN || errno == EINTR) {
        wait_for(r);
    } else {
        end(r, errno == EPIPE ? XN_ECANCELLED : XN_EIO, strerror(errno),
            "more room");
    }
    return n >= 0;
}

static void take_over(struct run *r, const uint8_t *data, size_t len)
{
    Xn__StreamOver *over = xn_unpack(&xn__stream_over__descriptor, data, len);

    if (over && over->exited && over->code >= 0 && over->code < 256) {
        r->end->code = over->code;
        end(r, 0, "", "");
    } else if (over && !over->exited && over->rc < 0) {
        end(r, over->rc, over->because, "xeno task show");
    } else {
        end(r, XN_EPROTO, "it is not understood how it has ended",
            "another version of xeno");
    }
    if (over) xn__stream_over__free_unpacked(over, NULL);
}

static bool take_frame(struct run *r)
{
    struct evbuffer *in = bufferevent_get_input(r->far);
    uint8_t data[STREAM_HEAD];
    struct stream_head head;

    if (evbuffer_copyout(in, data, sizeof data) != sizeof data) return false;
    if (stream_head_parse(data, &head) || head.kind == STREAM_END ||
        head.kind == STREAM_WINDOW) {
        end(r, XN_EPROTO, "its server does not keep to the form",
            "another version of xeno");
        return false;
    }
    if (head.kind == STREAM_OVER) {
        if (evbuffer_get_length(in) < STREAM_HEAD + head.len) return false;
        evbuffer_drain(in, STREAM_HEAD);
        take_over(r, evbuffer_pullup(in, (ev_ssize_t)head.len), head.len);
        return false;
    }
    evbuffer_drain(in, STREAM_HEAD);
    r->left = head.len; /* 0 of a NOOP */
    r->to = head.kind == STREAM_ERR;
    return true;
}

static void on_far_read(struct bufferevent *far, void *arg)
{
    struct run *r = arg;

    while (!r->waits && !r->over && (r->left ? write_some(r) : take_frame(r))) {
    }
}

static void on_far_event(struct bufferevent *far, short what, void *arg)
{
    struct run *r = arg;

    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    r->cut = true;
    if (!r->waits) is_cut(r);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct run *r = arg;

    if (net_liveness_lost(&r->liveness, bufferevent_getfd(r->far),
                          net_mono_us()))
        is_cut(r);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct run *r = arg;

    r->waits = false;
    on_far_read(r->far, r);
    if (r->waits) return;
    if (r->cut) is_cut(r); /* what it said before that has been written */
    bufferevent_enable(r->far, EV_READ);
}

/* ---- what it is told ----------------------------------------------------- */

static void put(struct run *r, enum stream_kind kind, const void *data,
                size_t len)
{
    uint8_t head[STREAM_HEAD];

    stream_head_put(kind, len, head);
    bufferevent_write(r->far, head, sizeof head);
    if (len) bufferevent_write(r->far, data, len);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct run *r = arg;
    uint8_t data[PART];
    ssize_t n = read(fd, data, sizeof data);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    put(r, n > 0 ? STREAM_DATA : STREAM_END, data, n > 0 ? (size_t)n : 0);
    if (n <= 0) {
        event_free(r->input);
        r->input = NULL;
    } else if (evbuffer_get_length(bufferevent_get_output(r->far)) >=
               OUT_HIGH) {
        event_del(r->input);
    }
}

static void on_far_written(struct bufferevent *far, void *arg)
{
    struct run *r = arg;

    if (r->input) event_add(r->input, NULL);
}

/* ---- signals ------------------------------------------------------------- */

/* Also where a write to a terminal that could not be opened waits: libevent would
 * have it go on. */
static int hear(struct run *r, int signal, event_callback_fn heard,
                struct event **event_out)
{
    struct sigaction action;

    *event_out = evsignal_new(r->base, signal, heard, r);
    if (!*event_out || event_add(*event_out, NULL) ||
        sigaction(signal, NULL, &action))
        return XN_ENOMEM;
    action.sa_flags &= ~SA_RESTART;
    return sigaction(signal, &action, NULL) ? XN_ENOMEM : 0;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    end(arg, XN_ECANCELLED, "a signal came", "the same again");
}

/* ---- a terminal ---------------------------------------------------------- */

static void put_window(struct run *r)
{
    uint8_t data[STREAM_WINDOW_LEN];
    uint16_t rows, columns;

    if (!r->far || !r->input) return; /* behind END nothing is said */
    net_terminal_window(&rows, &columns);
    stream_window_put(rows, columns, data);
    put(r, STREAM_WINDOW, data, sizeof data);
}

/* Who is stopped leaves the terminal as it was; who goes on finds it changed. */
static void on_move(evutil_socket_t signal, short what, void *arg)
{
    struct run *r = arg;

    if (signal == SIGTSTP) {
        net_terminal_give_back(&r->terminal);
        raise(SIGSTOP);
    }
    if (!r->far) return;
    if (signal != SIGWINCH) net_terminal_take(&r->terminal);
    put_window(r);
}

static int open_terminal(struct run *r)
{
    static const int moves[MOVES] = {SIGWINCH, SIGTSTP, SIGCONT};
    int rc = 0;

    for (size_t i = 0; !rc && r->command->terminal && i < MOVES; i++)
        rc = hear(r, moves[i], on_move, &r->moves[i]);
    return rc;
}

/* ---- begin and end ------------------------------------------------------- */

static void on_upgraded(void *arg, int rc, const char *because, const char *try)
{
    const struct timeval every = {NET_LIVENESS_LOOK_S, 0};
    struct run *r = arg;

    if (rc) {
        end(r, rc, because, try);
        return;
    }
    r->end->began = true;
    r->far = net_upgrade_take(r->upgrade);
    net_liveness_watch(bufferevent_getfd(r->far));
    bufferevent_setcb(r->far, on_far_read, on_far_written, on_far_event, r);
    bufferevent_setwatermark(r->far, EV_WRITE, OUT_LOW, 0);
    r->input =
        event_new(r->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, r);
    r->looks = event_new(r->base, -1, EV_PERSIST, on_look, r);
    if (!r->input || event_add(r->input, NULL) || !r->looks ||
        event_add(r->looks, &every)) {
        end(r, XN_ENOMEM, "out of memory", "the same again");
        return;
    }
    if (r->command->terminal) {
        net_terminal_take(&r->terminal);
        put_window(r); /* it may be another since we asked */
    }
    on_far_read(r->far, r);
}

/* A terminal may take less than it is given, and waits.  It is not ours to make it
 * one that does not, since others write there, too: so it is opened once more. */
static int open_output(int fd)
{
    char path[32];
    int own = -1;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (isatty(fd))
        own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fd;
}

static int open_outputs(struct run *r)
{
    for (int i = 0; i < OUTPUTS; i++) {
        r->fds[i] = open_output(STDOUT_FILENO + i);
        r->outputs[i] = event_new(r->base, r->fds[i], EV_WRITE, on_output, r);
        if (!r->outputs[i]) return XN_ENOMEM;
    }
    return 0;
}

/* What is read may be a file, which not every way of waiting takes. */
static int open_base(struct run *r)
{
    static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct event_config *config = event_config_new();
    int rc = 0;

    if (config) {
        event_config_require_features(config, EV_FEATURE_FDS);
        r->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!r->base) return XN_ENOMEM;
    for (size_t i = 0; !rc && i < SIGNALS; i++)
        rc = hear(r, signals[i], on_signal, &r->signals[i]);
    if (!rc) rc = open_outputs(r);
    return rc ? rc : open_terminal(r);
}

static int begin(struct run *r)
{
    const struct net_command *command = r->command;
    const struct net_upgrade_order order = {
        .base = r->base,
        .identity = command->identity,
        .url = command->url,
        .path = command->path,
        .peer = command->server,
        .body = command->body,
        .timeout_ms = command->timeout_ms,
        .ended = on_upgraded,
        .arg = r,
    };

    return net_upgrade_new(&order, &r->upgrade);
}

void net_command_run(const struct net_command *command,
                     struct net_command_end *end_out)
{
    struct run r = {.command = command, .end = end_out};
    int rc = open_base(&r);

    memset(end_out, 0, sizeof *end_out);
    if (!rc) rc = begin(&r);
    if (rc) {
        end_out->rc = rc;
        snprintf(end_out->because, sizeof end_out->because, "%s",
                 xn_strerror(rc));
    } else if (event_base_dispatch(r.base) < 0) {
        end_out->rc = XN_EIO;
    }
    net_terminal_give_back(&r.terminal);
    net_upgrade_free(r.upgrade);
    if (r.input) event_free(r.input);
    if (r.looks) event_free(r.looks);
    if (r.far) {
        bufferevent_setcb(r.far, NULL, NULL, NULL, NULL);
        bufferevent_free(r.far);
    }
    for (size_t i = 0; i < SIGNALS; i++) {
        if (r.signals[i]) event_free(r.signals[i]);
    }
    for (size_t i = 0; i < MOVES; i++) {
        if (r.moves[i]) event_free(r.moves[i]);
    }
    for (size_t i = 0; i < OUTPUTS; i++) {
        if (r.outputs[i]) event_free(r.outputs[i]);
        if (r.fds[i] > STDERR_FILENO) close(r.fds[i]);
    }
    if (r.base) net_relay_base_free(r.base);
}
