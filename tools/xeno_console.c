/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno console, and what `xeno run` shows: a task's console by long polls, what
 * is typed here, and ctrl-C. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"

enum {
    POLL_MS = 20000,
    PIECE_MAX = 256 << 10,
    INPUT_MAX = 4096,
    ROOM_MS = 30,         /* between two looks for room in the terminal */
    PATIENCE_MS = 180000, /* with a server that does not answer */
    AWAY_MS = 30000,      /* with what runs its tasks, for what is there now */
    GRACE_MS = 5000,
};
#define END_OF_INPUT 4 /* ctrl-D, as a terminal has it */

static const char cannot[] = "cannot show the console";

struct watch {
    struct xeno_stream *stream;
    struct xeno_asking console, stop, typing;
    struct xeno_question console_q, stop_q, typing_q;
    struct xeno_why why, typing_why;
    Xn__StopTask stop_body;
    Xn__TaskInput typing_body;
    char path[XN_ID_HEX + 100], hex[XN_ID_HEX];
    uint8_t typed[INPUT_MAX];
    bool asking, stopping, sending; /* which of the three are under way */
    size_t n_typed;                 /* not taken yet */
    uint64_t type_us;               /* then it is tried again */
    uint64_t asked_us, ask_us;      /* the console: when it was, and is again */
    unsigned pause_ms;
    bool silent; /* it did not answer last time, which was told */
    bool typed_all, in_line, asked_stop, leaves, ended;
    uint64_t answered_us;
    int rc; /* what it failed with */
};

/* ---- the console ---- */

static void ask_console(struct watch *w)
{
    struct xeno_stream *s = w->stream;
    unsigned wait_ms = s->follow ? POLL_MS : 0;

    snprintf(w->path, sizeof w->path,
             "/v1/console?session=%s&task=%u&from=%llu&wait_ms=%u", w->hex,
             (unsigned)s->task, (unsigned long long)s->from, wait_ms);
    w->console_q = (struct xeno_question){
        .what = cannot,
        .method = "GET",
        .path = w->path,
        .answer = &xn__console_piece__descriptor,
        .why = &w->why,
        .wait_ms = wait_ms,
    };
    xeno_ask_begin(s->xeno, s->server, &w->console_q, &w->console);
    w->asked_us = net_mono_us();
    w->asking = true;
}

static int put(const struct xeno_stream *s, const ProtobufCBinaryData *data)
{
    if (s->keep) {
        size_t room = s->keep->max - s->keep->len;

        xn_buf_add(s->keep, data->data, data->len < room ? data->len : room);
        return 0;
    }
    errno = 0;
    if (fwrite(data->data, 1, data->len, stdout) != data->len || fflush(stdout))
        return XN_EIO;
    return 0;
}

static void take_piece(struct watch *w, const Xn__ConsolePiece *piece)
{
    struct xeno_stream *s = w->stream;

    if (piece->data.len > PIECE_MAX || piece->from < s->from) {
        w->rc = XN_EPROTO;
        xeno_gripe(w->rc, cannot,
                   "the server's answer is not what was asked "
                   "for",
                   "report it");
        return;
    }
    if (piece->from > s->from && piece->data.len)
        fprintf(stderr, XENO_PROGRAM ": %llu bytes were no longer kept\n",
                (unsigned long long)(piece->from - s->from));
    if (piece->data.len) {
        w->rc = put(s, &piece->data);
        s->from = piece->from + piece->data.len;
    }
    if (w->rc == XN_EIO && errno != EPIPE)
        xeno_gripe(XN_EIO, cannot, strerror(errno), "more room");
    w->ended = piece->end || (!s->follow && !piece->data.len);
}

static void ask_later(struct watch *w)
{
    w->ask_us = net_mono_us() + xeno_pause_next(&w->pause_ms) * 1000ULL;
}

/* Nothing to show, before anybody had to wait for it. */
static bool is_early(const struct watch *w, const Xn__ConsolePiece *piece)
{
    return !piece->data.len &&
           net_mono_us() - w->asked_us < POLL_MS / 2 * 1000ULL;
}

/* What runs the server's tasks begins anew, or has just been killed. */
static bool is_away(int rc)
{
    return rc == XN_ENOTYET || rc == XN_EUNKNOWN;
}

static bool passes(const struct xeno_stream *s, int rc)
{
    return is_away(rc) || (s->follow && (rc == XN_EUNREACH ||
                                         rc == XN_ETIMEOUT || rc == XN_EBUSY));
}

static unsigned patience_ms(const struct xeno_stream *s)
{
    return s->follow ? PATIENCE_MS : AWAY_MS;
}

static void tell_silence(const struct watch *w)
{
    fprintf(stderr,
            XENO_PROGRAM ": no answer, asked again for %u seconds: %s\n",
            patience_ms(w->stream) / 1000, w->why.because);
}

static void end_console(struct watch *w)
{
    const struct xeno_stream *s = w->stream;
    Xn__ConsolePiece *piece = NULL;
    int rc = xeno_ask_end(&w->console, &piece);

    w->asking = false;
    if (!rc) {
        w->answered_us = net_mono_us();
        w->silent = false;
        if (is_early(w, piece))
            ask_later(w);
        else
            w->pause_ms = 0;
        take_piece(w, piece);
        xn__console_piece__free_unpacked(piece, NULL);
    } else if (!passes(s, rc) || net_mono_us() - w->answered_us >
                                     patience_ms(s) * UINT64_C(1000)) {
        w->rc = rc;
        xeno_tell(&w->why, cannot);
    } else {
        if (!w->silent) tell_silence(w);
        w->silent = true;
        ask_later(w);
    }
}

/* ---- ctrl-C ---- */

static void ask_stop(struct watch *w)
{
    struct xeno_stream *s = w->stream;

    w->asked_stop = true;
    w->stopping = true;
    xn__stop_task__init(&w->stop_body);
    w->stop_body.session = xn_id_bytes(&s->session);
    w->stop_body.task = s->task;
    w->stop_body.grace_ms = GRACE_MS;
    w->stop_q = (struct xeno_question){
        .what = "cannot stop the task",
        .method = "POST",
        .path = "/v1/tasks/stop",
        .body = &w->stop_body,
        .answer = &xn__host_task__descriptor,
        .wait_ms = GRACE_MS,
    };
    xeno_ask_begin(s->xeno, s->server, &w->stop_q, &w->stop);
    fprintf(stderr, XENO_PROGRAM ": stopping the task; again to leave it "
                                 "alone\n");
}

static void on_signal(struct watch *w, int signal)
{
    if (signal == SIGHUP || !w->stream->stops || w->asked_stop) {
        w->leaves = true;
    } else {
        ask_stop(w);
    }
}

static void end_stop(struct watch *w)
{
    Xn__HostTask *task = NULL;
    int rc = xeno_ask_end(&w->stop, &task);

    w->stopping = false;
    if (rc) w->asked_stop = false; /* it has been told: ctrl-C tries again */
    if (task) xn__host_task__free_unpacked(task, NULL);
}

/* ---- what is typed ---- */

/* Signals stay what they are: ctrl-C is ours. */
static bool take_keys(struct termios *before)
{
    struct termios now;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before)) return false;
    now = *before;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_iflag &= ~(tcflag_t)ICRNL;
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &now) == 0;
}

static void send_typed(struct watch *w)
{
    const struct xeno_stream *s = w->stream;

    xn__task_input__init(&w->typing_body);
    w->typing_body.session = xn_id_bytes(&s->session);
    w->typing_body.task = s->task;
    w->typing_body.input = (ProtobufCBinaryData){w->n_typed, w->typed};
    w->typing_q = (struct xeno_question){
        .what = "cannot pass on what was typed",
        .method = "POST",
        .path = "/v1/tasks/input",
        .body = &w->typing_body,
        .answer = &xn__host_task__descriptor,
        .why = &w->typing_why,
    };
    xeno_ask_begin(s->xeno, s->server, &w->typing_q, &w->typing);
    w->sending = true;
}

static void on_typed(struct watch *w)
{
    ssize_t n = read(STDIN_FILENO, w->typed, sizeof w->typed);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n > 0) w->in_line = w->typed[n - 1] != '\n';
    if (n <= 0) { /* within a line the first only ends that */
        w->typed_all = true;
        w->typed[0] = w->typed[1] = END_OF_INPUT;
        n = w->in_line ? 2 : 1;
    }
    w->n_typed = (size_t)n;
    send_typed(w);
}

/* A task that does not read yet fills its terminal: what it has no room for
 * waits here. */
static void end_typing(struct watch *w)
{
    Xn__HostTask *task = NULL;
    int rc = xeno_ask_end(&w->typing, &task);

    w->sending = false;
    if (task) xn__host_task__free_unpacked(task, NULL);
    if (rc == XN_EBUSY || rc == XN_ENOTYET) {
        w->type_us = net_mono_us() + ROOM_MS * 1000;
        return;
    }
    w->n_typed = 0;
    if (!rc) return;
    w->typed_all = true;
    /* Nobody reads it any more: its end says why. */
    if (rc != XN_EREFUSED && rc != XN_ECONFLICT)
        xeno_tell(&w->typing_why, w->typing_q.what);
}

/* ---- all of them at once ---- */

/* What is due first of what is to be asked again; -1: nothing is. */
static int wait_ms(const struct watch *w)
{
    uint64_t now_us = net_mono_us(), due_us = UINT64_MAX;

    if (w->n_typed && !w->sending) due_us = w->type_us;
    if (!w->asking && w->ask_us < due_us) due_us = w->ask_us;
    if (due_us == UINT64_MAX) return -1;
    return due_us > now_us ? (int)((due_us - now_us + 999) / 1000) : 0;
}

static void wait_for_any(struct watch *w)
{
    struct xeno_stream *s = w->stream;
    struct xeno_signals *signals = s->xeno->signals;
    struct pollfd typed = {.fd = STDIN_FILENO};
    bool reads = s->input && !w->typed_all && !w->sending && !w->n_typed;

    xeno_signals_wait(signals, s->server->talk, reads ? &typed : NULL,
                      wait_ms(w));
    while (xeno_signals_heard(signals))
        on_signal(w, xeno_signals_take(signals));
    if (reads && typed.revents) on_typed(w);
    if (w->stopping && w->stop.said.done) end_stop(w);
    if (w->sending && w->typing.said.done) end_typing(w);
    if (w->n_typed && !w->sending && net_mono_us() >= w->type_us) send_typed(w);
    if (w->asking && w->console.said.done) end_console(w);
}

static void give_up(struct watch *w)
{
    struct net_talk *talk = w->stream->server->talk;

    if (w->asking) {
        net_talk_give_up(talk, &w->console.said);
        net_said_clear(&w->console.said);
    }
    if (w->stopping) {
        net_talk_give_up(talk, &w->stop.said);
        net_said_clear(&w->stop.said);
    }
    if (w->sending) {
        net_talk_give_up(talk, &w->typing.said);
        net_said_clear(&w->typing.said);
    }
}

int xeno_stream(struct xeno_stream *stream, enum xeno_stream_end *end_out)
{
    struct watch *w = calloc(1, sizeof *w);
    struct termios before;
    bool keys;
    int rc;

    *end_out = STREAM_LOST;
    if (!w) return xeno_no_memory();
    w->stream = stream;
    w->answered_us = net_mono_us();
    xn_id_hex(&stream->session, w->hex);
    keys = stream->by_key && take_keys(&before);
    while (!w->ended && !w->leaves && !w->rc) {
        if (!w->asking && net_mono_us() >= w->ask_us) ask_console(w);
        wait_for_any(w);
    }
    if (keys) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    give_up(w);
    rc = w->rc;
    if (!rc) *end_out = w->leaves ? STREAM_DETACHED : STREAM_ENDED;
    free(w);
    return xn_exit_code(rc);
}

/* ---- the verb ---- */

int xeno_console(struct xeno *xeno, int argc, char **argv)
{
    const char *follow = NULL, *input = NULL;
    const struct xn_option own[] = {
        XN_OPTION("follow", 'f', NULL, "until the task has ended", &follow),
        XN_OPTION("input", 'i', NULL, "and pass on what is typed", &input),
    };
    struct xeno_stream stream = {.xeno = xeno};
    enum xeno_stream_end end;
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, own, 2, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    if (xeno->json) return xeno_usage("a console is no JSON");
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    stream.server = &place.server;
    stream.session = place.kept.session;
    stream.task = place.task;
    stream.follow = follow || input;
    stream.input = input;
    code = xeno_stream(&stream, &end);
    xeno_place_clear(&place);
    return code;
}
