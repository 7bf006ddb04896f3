/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/err.h"
#include "net/relay.h"
#include "net/terminal.h"
#include "net/upgrade.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum {
    SIGNALS = 4,
    MOVES = 3,
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
    struct net_upgrade *upgrade;
    struct bufferevent *far;
};

static void end(struct run *r, int rc, const char *because, const char *try)
{
    r->end->rc = rc;
    snprintf(r->end->because, sizeof r->end->because, "%s", because);
    snprintf(r->end->try, sizeof r->end->try, "%s", try);
    event_base_loopbreak(r->base);
}

/* ---- what it says -------------------------------------------------------- */

/* Waits, if need be: then nothing is read from the server either. */
static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR) return false;
        if (n < 0) continue;
        data += n;
        len -= (size_t)n;
    }
    return true;
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

/* A whole one, of which a NOOP has nothing; false: there is none yet, or it is
 * over. */
static bool take_frame(struct run *r)
{
    struct evbuffer *in = bufferevent_get_input(r->far);
    uint8_t data[STREAM_HEAD], *all;
    struct stream_head head;

    if (evbuffer_copyout(in, data, sizeof data) != sizeof data) return false;
    if (stream_head_parse(data, &head) || head.kind == STREAM_END) {
        end(r, XN_EPROTO, "its server does not keep to the form",
            "another version of xeno");
        return false;
    }
    if (evbuffer_get_length(in) < STREAM_HEAD + head.len) return false;
    evbuffer_drain(in, STREAM_HEAD);
    all = evbuffer_pullup(in, (ev_ssize_t)head.len);
    if (head.kind == STREAM_OVER) {
        take_over(r, all, head.len);
        return false;
    }
    if (!write_all(head.kind == STREAM_ERR ? STDERR_FILENO : STDOUT_FILENO, all,
                   head.len)) {
        end(r, errno == EPIPE ? XN_ECANCELLED : XN_EIO, strerror(errno),
            "more room");
        return false;
    }
    evbuffer_drain(in, head.len);
    return true;
}

static void on_far_read(struct bufferevent *far, void *arg)
{
    while (take_frame(arg)) {}
}

static void on_far_event(struct bufferevent *far, short what, void *arg)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        end(arg, XN_EUNREACH, "the connection was cut", "xeno task show");
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

    if (!r->far) return;
    if (signal == SIGTSTP) {
        net_terminal_give_back(&r->terminal);
        raise(SIGSTOP);
    }
    if (signal != SIGWINCH) net_terminal_take(&r->terminal);
    put_window(r);
}

static int open_terminal(struct run *r)
{
    static const int moves[MOVES] = {SIGWINCH, SIGTSTP, SIGCONT};

    if (!r->command->terminal) return 0;
    for (size_t i = 0; i < MOVES; i++) {
        r->moves[i] = evsignal_new(r->base, moves[i], on_move, r);
        if (!r->moves[i] || event_add(r->moves[i], NULL)) return XN_ENOMEM;
    }
    return 0;
}

/* ---- begin and end ------------------------------------------------------- */

static void on_upgraded(void *arg, int rc, const char *because, const char *try)
{
    struct run *r = arg;

    if (rc) {
        end(r, rc, because, try);
        return;
    }
    r->end->began = true;
    r->far = net_upgrade_take(r->upgrade);
    net_relay_watch(bufferevent_getfd(r->far));
    bufferevent_setcb(r->far, on_far_read, on_far_written, on_far_event, r);
    bufferevent_setwatermark(r->far, EV_WRITE, OUT_LOW, 0);
    r->input =
        event_new(r->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, r);
    if (!r->input || event_add(r->input, NULL)) {
        end(r, XN_ENOMEM, "out of memory", "the same again");
        return;
    }
    if (r->command->terminal) {
        net_terminal_take(&r->terminal);
        put_window(r); /* it may be another since we asked */
    }
    on_far_read(r->far, r);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    end(arg, XN_ECANCELLED, "a signal came", "the same again");
}

/* What is read may be a file, which not every way of waiting takes. */
static int open_base(struct run *r)
{
    static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct event_config *config = event_config_new();

    if (config) {
        event_config_require_features(config, EV_FEATURE_FDS);
        r->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!r->base) return XN_ENOMEM;
    for (size_t i = 0; i < SIGNALS; i++) {
        r->signals[i] = evsignal_new(r->base, signals[i], on_signal, r);
        if (!r->signals[i] || event_add(r->signals[i], NULL)) return XN_ENOMEM;
    }
    return open_terminal(r);
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
    if (r.base) net_relay_base_free(r.base);
}
