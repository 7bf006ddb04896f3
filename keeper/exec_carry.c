/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What carries a command's streams: frames to and from the keeper's socket. */
#include "keeper/exec_in.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/api.pb-c.h"

enum {
    OUT_MAX = 64 << 10,    /* of its output that waits: then it is not read */
    UNREAD_MAX = 80 << 10, /* bytes that a terminal may hold */
    END_OF_INPUT = 4,      /* ctrl-D, as a terminal has it */
};

void exec_close(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- what it says -------------------------------------------------------- */

static void say(struct exec *e, enum stream_kind kind, const void *data,
                size_t len)
{
    uint8_t head[STREAM_HEAD];

    stream_head_put(kind, len, head);
    xn_buf_add(&e->said, head, sizeof head);
    xn_buf_add(&e->said, data, len);
    if (xn_buf_rc(&e->said)) e->over = true;
}

static void say_over(struct exec *e, int code)
{
    Xn__StreamOver over = XN__STREAM_OVER__INIT;
    uint8_t data[32];

    over.exited = true;
    over.code = code;
    say(e, STREAM_OVER, data, xn__stream_over__pack(&over, data));
}

/* At most `most` bytes; how many there were. */
static size_t hear(struct exec *e, int *fd, enum stream_kind kind, size_t most)
{
    uint8_t data[EXEC_PART];
    ssize_t n = *fd < 0 || !most
                    ? 0
                    : read(*fd, data, most < sizeof data ? most : sizeof data);

    if (n > 0) say(e, kind, data, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) exec_close(fd);
    return n > 0 ? (size_t)n : 0;
}

static void flush(struct exec *e)
{
    ssize_t n = 0;

    if (e->said.len)
        n = send(e->link, e->said.data, e->said.len,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) xn_buf_drop(&e->said, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) e->over = true;
}

/* ---- what it is told ----------------------------------------------------- */

static void listen_up(struct exec *e)
{
    uint8_t data[EXEC_PART];
    ssize_t n = recv(e->link, data, sizeof data, MSG_DONTWAIT);

    if (n > 0) xn_buf_add(&e->taken, data, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) e->over = true;
    if (xn_buf_rc(&e->taken)) e->over = true;
}

/* Part of a frame's bytes to its input; false: it takes none now. */
static bool pass_some(struct exec *e)
{
    size_t len = e->left < e->taken.len ? e->left : e->taken.len;
    ssize_t n = (ssize_t)len;

    if (!len) return false;
    if (!e->deaf) n = write(e->in, e->taken.data, len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n < 0) { /* it has closed it, or ended */
        e->deaf = true;
        exec_close(&e->in);
        return true;
    }
    xn_buf_drop(&e->taken, (size_t)n);
    e->left -= (size_t)n;
    return true;
}

/* A terminal has no end of its input but what is typed for one. */
static void end_input(struct exec *e)
{
    const char end = END_OF_INPUT;

    if (e->terminal && e->in >= 0) (void)!write(e->in, &end, 1);
    e->all_said = e->deaf = true;
    exec_close(&e->in);
}

/* Whoever is before it hears of that by SIGWINCH. */
static bool set_window(struct exec *e)
{
    const uint8_t *data = e->taken.data + STREAM_HEAD;
    struct winsize size = {0};

    if (e->taken.len < STREAM_HEAD + STREAM_WINDOW_LEN) return false;
    stream_window_get(data, &size.ws_row, &size.ws_col);
    if (e->out >= 0) ioctl(e->out, TIOCSWINSZ, &size);
    xn_buf_drop(&e->taken, STREAM_HEAD + STREAM_WINDOW_LEN);
    return true;
}

static bool may_say(const struct exec *e, enum stream_kind kind)
{
    return !e->all_said && (kind == STREAM_DATA || kind == STREAM_END ||
                            (kind == STREAM_WINDOW && e->terminal));
}

static bool next_frame(struct exec *e)
{
    struct stream_head head;

    if (e->taken.len < STREAM_HEAD) return false;
    if (stream_head_parse(e->taken.data, &head) || !may_say(e, head.kind)) {
        e->over = true;
        return false;
    }
    if (head.kind == STREAM_WINDOW) return set_window(e);
    xn_buf_drop(&e->taken, STREAM_HEAD);
    e->left = head.len;
    if (head.kind == STREAM_END) end_input(e);
    return true;
}

static void pass_on(struct exec *e)
{
    bool more = true;

    while (more && !e->over)
        more = e->left ? pass_some(e) : next_frame(e);
}

/* ---- until both have ended ----------------------------------------------- */

static void turn(struct exec *e)
{
    bool hears = e->said.len < OUT_MAX;
    struct pollfd polls[] = {
        {e->link,
         (short)((e->taken.len < EXEC_IN_MAX ? POLLIN : 0) |
                 (e->said.len ? POLLOUT : 0)),
         0},
        {e->left && e->taken.len && !e->deaf ? e->in : -1, POLLOUT, 0},
        {hears ? e->out : -1, POLLIN, 0},
        {hears ? e->err : -1, POLLIN, 0},
        {e->ended, POLLIN, 0},
    };

    if (poll(polls, sizeof polls / sizeof *polls, -1) < 0) return;
    if (polls[0].revents & (POLLIN | POLLHUP | POLLERR) &&
        e->taken.len < EXEC_IN_MAX)
        listen_up(e);
    if (polls[0].revents & (POLLHUP | POLLERR)) e->over = true;
    pass_on(e);
    if (polls[2].revents) hear(e, &e->out, STREAM_DATA, EXEC_PART);
    if (polls[3].revents) hear(e, &e->err, STREAM_ERR, EXEC_PART);
    if (polls[4].revents) exec_close(&e->ended);
    flush(e);
}

static size_t waiting(int fd)
{
    int n = 0;

    return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 ? (size_t)n : 0;
}

/* What was written before it ended is said, however long that takes; who has its
 * output still, in the background, is not waited for, nor heard: of a terminal,
 * which cannot say how much there is, no more than fits. */
static void finish(struct exec *e, int code)
{
    struct pollfd room = {.fd = e->link, .events = POLLOUT};
    size_t out = e->terminal ? UNREAD_MAX : waiting(e->out);
    size_t err = waiting(e->err), n;
    bool more = true;

    while (!e->over && (more || e->said.len)) {
        if (more) {
            out -= n = hear(e, &e->out, STREAM_DATA, out);
            more = n > 0;
            err -= n = hear(e, &e->err, STREAM_ERR, err);
            more = more || n > 0;
            if (!more) say_over(e, code);
        }
        if (poll(&room, 1, -1) < 0 && errno != EINTR) e->over = true;
        flush(e);
    }
}

void exec_carry(struct exec *e)
{
    int status = 0;

    while (!e->over && e->ended >= 0)
        turn(e);
    if (e->over) kill(-e->pid, SIGKILL);
    if (e->over) kill(e->pid, SIGKILL); /* it may lead no group yet */
    while (waitpid(e->pid, &status, 0) < 0 && errno == EINTR) {}
    finish(e, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void exec_say_why_not(struct exec *e, const char *why)
{
    static const char what[] = "xeno-keeper: the sandbox cannot be entered: ";

    say(e, STREAM_ERR, what, sizeof what - 1);
    say(e, STREAM_ERR, why, strlen(why));
    say(e, STREAM_ERR, "\n", 1);
    finish(e, EXEC_NOT_ENTERED);
}
