/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A piece of a console: xenodomd passes the keeper's socket, which says what
 * there is and what comes, or the file of a task that has ended. */
#include <unistd.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/dom_in.h"
#include "wire/console.h"

#define MORE_US 10000000ULL  /* beyond the wait: for xenodomd and keepers */
#define PART_MAX (128 << 10) /* of a keeper's frame */

int dom_console_begin(struct dom_job *job)
{
    const Xn__AskConsole *ask = XN_BODY(job->msg, Xn__AskConsole);
    uint64_t wait_ms =
        ask->wait_ms < NET_DOM_WAIT_MS_MAX ? ask->wait_ms : NET_DOM_WAIT_MS_MAX;

    job->from = ask->from;
    job->most = ask->most > 0 && ask->most < NET_DOM_PIECE_MAX
                    ? ask->most
                    : NET_DOM_PIECE_MAX;
    xn_buf_init(&job->data, job->most);
    job->wait_us = net_mono_us() + wait_ms * 1000;
    job->due_us = job->wait_us + MORE_US;
    dom_set_timer(job, job->due_us);
    return 0;
}

static void finish_piece(struct dom_job *job, bool end)
{
    Xn__ConsolePiece piece = XN__CONSOLE_PIECE__INIT;

    piece.from = job->from;
    piece.data.data = job->data.data;
    piece.data.len = job->data.len;
    piece.end = end;
    dom_finish(job, 0, XN__KIND__CONSOLE_PIECE, &piece);
}

/* What there is; or else later, if there still is time. */
static void finish_or_rest(struct dom_job *job)
{
    if (job->data.len > 0 || net_mono_us() >= job->wait_us)
        finish_piece(job, false);
    else
        dom_rest(job, DOM_REST_US);
}

void dom_console_timeout(struct dom_job *job)
{
    finish_piece(job, false);
}

/* ---- of one that lives --------------------------------------------------- */

/* More than fits is left for the next time.  true: that was all. */
static bool take_part(struct dom_job *job, const Xn__KeeperTell *part)
{
    size_t room = job->most - job->data.len, n = part->console.len;
    bool cut = n > room;

    if (part->rc || (n > 0 && part->from < job->from)) {
        dom_finish(job, part->rc < 0 ? part->rc : XN_EPROTO, 0, NULL);
        return true;
    }
    if (n > 0 && job->data.len == 0) job->from = part->from;
    if (n > 0 && part->from != job->from + job->data.len) {
        finish_piece(job, false); /* the oldest was dropped meanwhile */
        return true;
    }
    xn_buf_add(&job->data, part->console.data, cut ? room : n);
    if (xn_buf_rc(&job->data)) {
        dom_finish(job, XN_ENOMEM, 0, NULL);
        return true;
    }
    if (!part->end && job->data.len < job->most &&
        (job->data.len == 0 || job->from + job->data.len < job->known)) {
        return false;
    }
    finish_piece(job, part->end && !cut);
    return true;
}

/* A keeper that ends closes: xenodomd has the file then. */
static void on_part(void *arg)
{
    struct dom_job *job = arg;
    ProtobufCMessage *body;
    bool done = false;
    int rc = 0;

    while (!done) {
        rc = net_unix_next(&job->sock, &body);
        if (rc) break;
        done = take_part(job, (Xn__KeeperTell *)body);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    if (done || rc == XN_ENOENT) return;
    if (rc == XN_EUNREACH)
        finish_or_rest(job);
    else
        dom_finish(job, XN_EPROTO, 0, NULL);
}

static void read_keeper(struct dom_job *job, int fd)
{
    Xn__KeeperAsk ask = XN__KEEPER_ASK__INIT;
    uint64_t now = net_mono_us();
    int rc;

    net_unix_init(&job->sock, &xn__keeper_tell__descriptor, PART_MAX, on_part,
                  job);
    rc = net_unix_adopt(&job->sock, net_loop_base(job->dom->loop), fd);
    job->state = DOM_READS;
    ask.op = XN__KEEPER_OP__CONSOLE;
    ask.from = job->from;
    if (!rc) rc = net_unix_send(&job->sock, &ask);
    if (rc) {
        dom_finish(job, rc, 0, NULL);
        return;
    }
    /* what is there already does not count as waiting for it */
    dom_set_timer(job, job->known > job->from && job->wait_us < now + MORE_US
                           ? now + MORE_US
                           : job->wait_us);
}

/* ---- of one that has ended ----------------------------------------------- */

static void read_file(struct dom_job *job, int fd, bool ended)
{
    uint64_t at = job->from;
    struct console console;
    uint8_t data[32768];
    size_t n, room;
    int rc = console_adopt(fd, &console);

    while (!rc) {
        room = job->most - job->data.len;
        rc = console_read(&console, &at, data,
                          room < sizeof data ? room : sizeof data, &n);
        if (rc || n == 0) break;
        if (job->data.len == 0) job->from = at;
        if (at != job->from + job->data.len) break; /* the old was dropped */
        xn_buf_add(&job->data, data, n);
        rc = xn_buf_rc(&job->data);
        at += n;
    }
    if (!rc && job->data.len == 0) job->from = at;
    if (rc)
        dom_finish(job, rc, 0, NULL);
    else if (ended)
        finish_piece(job, at >= console.total);
    else
        finish_or_rest(job);
    console_close(&console);
}

void dom_console_tell(struct dom_job *job, const Xn__DomTell *tell, int fd)
{
    const Xn__TaskStatus *status = tell->n_tasks > 0 ? tell->tasks[0] : NULL;
    bool ended = status && status->state == XN__TASK_STATE__ENDED;

    job->known = status ? status->console_bytes : 0;
    if (tell->rc || fd < 0) {
        if (fd >= 0) close(fd);
        dom_finish(job, tell->rc < 0 ? tell->rc : XN_EPROTO, 0, NULL);
    } else if (!tell->live) {
        read_file(job, fd, ended);
    } else if (job->known <= job->from && net_mono_us() >= job->wait_us) {
        close(fd);
        finish_piece(job, false);
    } else {
        read_keeper(job, fd);
    }
}
