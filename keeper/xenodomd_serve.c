/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "wire/frame.h"

#define TAKE 16384

void dom_drop(struct dom *dom, size_t i)
{
    struct dom_client *client = &dom->clients[i];
    size_t k;

    if (client->fd >= 0) close(client->fd);
    if (client->passes >= 0) close(client->passes);
    client->fd = client->passes = -1;
    client->waits = client->watches = client->closing = false;
    if (client->held) xn__dom_ask__free_unpacked(client->held, NULL);
    client->held = NULL;
    xn_buf_clear(&client->in);
    xn_buf_clear(&client->out);
    for (k = 0; k < dom->n_live; k++) {
        if (dom->live[k].client == (int)i) dom->live[k].client = -1;
    }
}

/* The kernel's word for who is at the other end. */
static bool may_ask(const struct dom *dom, int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    size_t i;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) return false;
    if (who.uid == 0 || who.uid == geteuid()) return true;
    for (i = 0; i < dom->envelope.n_uids; i++) {
        if (dom->envelope.uids[i] == who.uid) return true;
    }
    xn_log(XN_LOG_WARN, "user %u may not ask", (unsigned)who.uid);
    return false;
}

void dom_accept(struct dom *dom)
{
    int fd = accept4(dom->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t i;

    if (fd < 0) return;
    for (i = 0; i < DOM_CLIENTS_MAX; i++) {
        struct dom_client *client = &dom->clients[i];

        if (client->fd >= 0) continue;
        if (!may_ask(dom, fd)) break;
        client->fd = fd;
        client->passes = -1;
        xn_buf_init(&client->in, FRAME_ASK_MAX + 4 + TAKE);
        xn_buf_init(&client->out, FRAME_TELL_MAX + 4);
        dom_serve(dom, i, POLLIN); /* who connects has asked, as a rule */
        return;
    }
    close(fd);
}

static int put(struct dom_client *client, const Xn__DomTell *tell)
{
    if (client->out.len == 0) client->moved_us = sys_mono_us();
    return frame_put(&client->out, tell);
}

void dom_answer(struct dom *dom, int i, Xn__DomTell *tell)
{
    struct dom_client *client = &dom->clients[i];

    client->waits = false;
    if (put(client, tell)) client->closing = true;
}

/* All that keepers are asked goes through here. */
static unsigned wait_ms(struct dom *dom, struct live *live)
{
    size_t silent = 0;

    if (!live) return SESSIONS_KEEPER_MS;
    for (size_t i = 0; live->patience.silent && i < dom->n_live; i++)
        silent += dom->live[i].patience.silent;
    return patience_for(&live->patience, sys_mono_us(), silent);
}

/* One that makes its domain still, or copies a disk for it, is as silent as one
 * that is stuck, but nothing to log. */
static void note_answer(struct live *live, int rc)
{
    bool silent = rc == XN_ETIMEOUT;

    if (!live || (live->watch < 0 && live->ready < 0)) return;
    if (live->patience.silent == silent) return;
    live->patience.silent = silent;
    if (live->watch < 0) return;
    xn_log(silent ? XN_LOG_WARN : XN_LOG_INFO, "session %s: its keeper %s",
           live->name, silent ? "does not answer" : "answers again");
}

static int status_of(struct dom *dom, int folder, const char *name,
                     Xn__TaskStatus **status_out)
{
    struct live *live = dom_find(dom, name);
    int nowhere = -1;
    int rc = session_status(folder, name, live ? &live->talk : &nowhere,
                            wait_ms(dom, live), status_out);

    note_answer(live, rc);
    return rc;
}

/* One who reads too slowly loses the connection: he has missed something, and
 * the next time he looks at all. */
void dom_tell_end(struct dom *dom, const char *name)
{
    int folder = session_open(dom->sessions, name);
    Xn__TaskStatus *status = NULL;
    Xn__DomTell news;
    size_t i;

    if (folder < 0) return;
    xn__dom_tell__init(&news);
    news.exact = dom->exact;
    news.tasks = &status;
    news.n_tasks = 1;
    for (i = 0; i < DOM_CLIENTS_MAX; i++) {
        if (dom->clients[i].fd < 0 || !dom->clients[i].watches) continue;
        if (!status && status_of(dom, folder, name, &status)) break;
        if (put(&dom->clients[i], &news)) dom_drop(dom, i);
    }
    if (status) xn__task_status__free_unpacked(status, NULL);
    close(folder);
}

/* ---- requests ------------------------------------------------------------ */

struct list {
    struct dom *dom;
    const char *after;
    Xn__TaskStatus *tasks[DOM_LIST_MAX];
    size_t n;
    bool more;
};

static int list_one(void *context, const char *name)
{
    struct list *list = context;
    int folder;

    if (strcmp(name, list->after) <= 0) return 0;
    if (list->n == DOM_LIST_MAX) {
        list->more = true;
        return XN_ETOOBIG;
    }
    folder = session_open(list->dom->sessions, name);
    if (folder < 0) return 0;
    if (status_of(list->dom, folder, name, &list->tasks[list->n]) == 0)
        list->n++;
    close(folder);
    return 0;
}

static void answer_list(struct dom *dom, size_t client, const Xn__DomAsk *ask)
{
    struct list list = {.dom = dom, .after = ask->after};
    Xn__DomTell answer;
    size_t i;

    xn__dom_tell__init(&answer);
    dom_adopt(dom);
    sessions_each(dom->sessions, list_one, &list);
    answer.tasks = list.tasks;
    answer.n_tasks = list.n;
    answer.more = list.more;
    dom_answer(dom, (int)client, &answer);
    for (i = 0; i < list.n; i++) {
        xn__task_status__free_unpacked(list.tasks[i], NULL);
    }
}

/* To the keeper and back. */
static int forward(struct dom *dom, int folder, const Xn__DomAsk *ask,
                   Xn__KeeperOp op)
{
    struct live *live = dom_find(dom, ask->name);
    Xn__KeeperTell *tell = NULL;
    Xn__KeeperAsk forwarded;
    int rc;

    if (!session_lives(folder)) {
        return session_is_lost(folder) ? XN_EUNREACH : XN_ECONFLICT;
    }
    xn__keeper_ask__init(&forwarded);
    forwarded.op = op;
    forwarded.reason = ask->reason;
    forwarded.grace_ms = ask->grace_ms;
    forwarded.input = ask->input;
    forwarded.life_ms = ask->life_ms;
    rc = session_ask(folder, &forwarded, wait_ms(dom, live), &tell);
    note_answer(live, rc);
    if (rc) return rc;
    rc = tell->rc;
    xn__keeper_tell__free_unpacked(tell, NULL);
    return rc;
}

/* Bytes of consoles do not pass through us. */
static int open_console(int folder, struct dom_client *client, bool *live_out)
{
    int fd = -1;

    *live_out = false;
    if (session_lives(folder)) {
        fd = sys_unix_connect(folder, KEEPER_SOCKET, SESSIONS_KEEPER_MS);
        *live_out = fd >= 0;
    }
    if (fd < 0) {
        fd = openat(folder, KEEPER_CONSOLE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    client->passes = fd;
    return fd < 0 ? XN_ENOENT : 0;
}

static int obey(struct dom *dom, struct dom_client *client, int folder,
                const Xn__DomAsk *ask, bool *live_out)
{
    switch (ask->op) {
    case XN__DOM_OP__DOM_STATUS: return 0;
    case XN__DOM_OP__DOM_STOP:
        return forward(dom, folder, ask, XN__KEEPER_OP__STOP);
    case XN__DOM_OP__DOM_PAUSE:
        return forward(dom, folder, ask, XN__KEEPER_OP__PAUSE);
    case XN__DOM_OP__DOM_RESUME:
        return forward(dom, folder, ask, XN__KEEPER_OP__RESUME);
    case XN__DOM_OP__DOM_INPUT:
        return forward(dom, folder, ask, XN__KEEPER_OP__INPUT);
    case XN__DOM_OP__DOM_LIFETIME:
        return forward(dom, folder, ask, XN__KEEPER_OP__LIFETIME);
    case XN__DOM_OP__DOM_SAVE:
        return forward(dom, folder, ask, XN__KEEPER_OP__SAVE);
    case XN__DOM_OP__DOM_RESTORE:
        return forward(dom, folder, ask, XN__KEEPER_OP__RESTORE);
    case XN__DOM_OP__DOM_CONSOLE: return open_console(folder, client, live_out);
    case XN__DOM_OP__DOM_FORGET:
        dom_adopt(dom);
        if (!session_lives(folder)) dom_forget_flows(dom, ask->name, folder);
        return session_forget(dom->sessions, ask->name);
    default: return XN_EPROTO;
    }
}

static const char *why_not(Xn__DomOp op, int rc, const char **try_out)
{
    *try_out = rc ? PROGRAM " list" : "";
    switch (rc) {
    case 0: return "";
    case XN_EREFUSED:
        *try_out = "wait until it has ended, or " PROGRAM " stop";
        return "a sandbox cannot be saved: it ends with the machine";
    case XN_ENOTYET: *try_out = PROGRAM " restore"; return "it is saved";
    case XN_ENOENT: return "there is no such session";
    case XN_ECONFLICT: return "it has ended";
    case XN_ETIMEOUT:
    case XN_EUNREACH: return "its keeper does not answer";
    case XN_EBUSY:
        return op == XN__DOM_OP__DOM_FORGET ? "it has not ended"
                                            : "its terminal is full";
    default: return xn_strerror(rc);
    }
}

static void answer_named(struct dom *dom, size_t i, const Xn__DomAsk *ask)
{
    struct dom_client *client = &dom->clients[i];
    int folder = session_open(dom->sessions, ask->name);
    Xn__TaskStatus *status = NULL;
    const char *try;
    Xn__DomTell answer;
    bool live = false;

    xn__dom_tell__init(&answer);
    answer.rc = folder < 0 ? XN_ENOENT : obey(dom, client, folder, ask, &live);
    if (folder >= 0 && ask->op != XN__DOM_OP__DOM_FORGET) {
        int rc = status_of(dom, folder, ask->name, &status);

        if (rc == XN_ENOENT && !dom_adopt(dom)) {
            rc = status_of(dom, folder, ask->name, &status);
        }
        if (!answer.rc) answer.rc = rc;
    }
    answer.because = (char *)why_not(ask->op, answer.rc, &try);
    answer.advice = (char *)try;
    answer.live = live;
    answer.tasks = &status;
    answer.n_tasks = status ? 1 : 0;
    dom_answer(dom, (int)i, &answer);
    if (status) xn__task_status__free_unpacked(status, NULL);
    if (folder >= 0) close(folder);
}

static void refuse(struct dom *dom, size_t i, int rc, const char *because,
                   const char *try)
{
    Xn__DomTell answer;

    xn__dom_tell__init(&answer);
    answer.rc = rc;
    answer.because = (char *)because;
    answer.advice = (char *)try;
    dom_answer(dom, (int)i, &answer);
}

static bool is_saved(const struct dom *dom, const struct live *live)
{
    char path[SPEC_NAME_MAX + sizeof KEEPER_MEMORY + 1];

    snprintf(path, sizeof path, "%s/%s", live->name, KEEPER_MEMORY);
    return faccessat(dom->sessions, path, F_OK, 0) == 0;
}

/* What is free and what they have, within the envelope; of what is saved it is
 * free, and theirs. */
static uint64_t xen_bytes(const struct dom *dom)
{
    uint64_t bytes = dom->probe.room_kib << 10;
    size_t i;

    for (i = 0; i < dom->n_live; i++) {
        if (dom->live[i].runner == XN__RUNNER__XEN &&
            !is_saved(dom, &dom->live[i]))
            bytes += dom->live[i].memory_bytes;
    }
    return bytes < dom->envelope.memory_bytes ? bytes
                                              : dom->envelope.memory_bytes;
}

/* What is free where their disks are, and what they have. */
static uint64_t disk_bytes(const struct dom *dom)
{
    struct statvfs at;
    uint64_t bytes;
    size_t i;

    if (fstatvfs(dom->sessions, &at)) return 0;
    bytes = (uint64_t)at.f_bavail * at.f_frsize;
    for (i = 0; i < dom->n_live; i++) {
        if (dom->live[i].runner == XN__RUNNER__XEN)
            bytes += dom->live[i].disk_bytes;
    }
    return bytes ? bytes : 1; /* 0 would be: not said */
}

static void begin_watch(struct dom *dom, size_t i)
{
    Xn__DomTell answer;

    xn__dom_tell__init(&answer);
    answer.exact = dom->exact;
    answer.no_xen = dom->probe.no_xen;
    answer.xen = !answer.no_xen[0];
    if (answer.xen) answer.xen_bytes = xen_bytes(dom);
    if (answer.xen) answer.disk_bytes = disk_bytes(dom);
    answer.pvh = answer.xen && dom->probe.pvh;
    answer.bridge = answer.xen && dom->envelope.network.bridge;
    dom_answer(dom, (int)i, &answer);
    dom->clients[i].watches = true;
}

/* Does its answer depend on whether there is a Xen? */
static bool wants_probe(const Xn__DomAsk *ask)
{
    return ask->op == XN__DOM_OP__DOM_WATCH ||
           (ask->op == XN__DOM_OP__DOM_START &&
            ask->spec->runner == XN__RUNNER__XEN);
}

/* What was judged. */
static void answer_now(struct dom *dom, size_t i, Xn__DomAsk *ask)
{
    const char *try = "man " PROGRAM;
    char because[256] = "";
    int rc;

    switch (ask->op) {
    case XN__DOM_OP__DOM_START:
        rc = dom_start(dom, ask->spec, (int)i, because, sizeof because, &try);
        dom->clients[i].waits = !rc;
        if (rc) refuse(dom, i, rc, because, try);
        break;
    case XN__DOM_OP__DOM_WATCH: begin_watch(dom, i); break;
    case XN__DOM_OP__DOM_LIST:
    case XN__DOM_OP__DOM_ADOPT: answer_list(dom, i, ask); break;
    case XN__DOM_OP__DOM_METER: dom_answer_readings(dom, (int)i, ask); break;
    case XN__DOM_OP__DOM_FLOWS: dom_answer_flows(dom, (int)i, ask); break;
    default: answer_named(dom, i, ask);
    }
}

/* Takes the request.  libxl may wait for half a minute, and the others' answers
 * do not. */
static void answer_one(struct dom *dom, size_t i, Xn__DomAsk *ask)
{
    struct dom_client *client = &dom->clients[i];
    char because[256] = "";
    int rc = spec_check_dom_ask(ask, because, sizeof because);

    if (!rc && wants_probe(ask) && manager_probe(dom)) {
        client->held = ask;
        client->waits = true;
        return;
    }
    if (rc)
        refuse(dom, i, rc, because, "man " PROGRAM);
    else
        answer_now(dom, i, ask);
    xn__dom_ask__free_unpacked(ask, NULL);
}

void dom_answer_held(struct dom *dom)
{
    for (size_t i = 0; i < DOM_CLIENTS_MAX; i++) {
        struct dom_client *client = &dom->clients[i];
        Xn__DomAsk *ask = client->held;

        if (!ask) continue;
        client->held = NULL;
        client->waits = false;
        answer_now(dom, i, ask);
        xn__dom_ask__free_unpacked(ask, NULL);
    }
}

/* ---- bytes --------------------------------------------------------------- */

/* One at a time, each answered before the next. */
static void take_ask(struct dom *dom, size_t i)
{
    struct dom_client *client = &dom->clients[i];
    ProtobufCMessage *body;
    int rc;

    if (client->out.len > 0 || client->waits || client->closing) return;
    if (client->watches) {
        /* news alone from here on */
        client->closing = client->in.len > 0;
        return;
    }
    rc =
        frame_next(&client->in, FRAME_ASK_MAX, &xn__dom_ask__descriptor, &body);
    if (rc == XN_ENOENT) return;
    if (rc) {
        refuse(dom, i, rc, "no request that can be understood", "man " PROGRAM);
        client->closing = true;
        return;
    }
    answer_one(dom, i, (Xn__DomAsk *)body);
}

static bool receive(struct dom_client *client)
{
    char data[TAKE];
    ssize_t n = recv(client->fd, data, sizeof data, 0);

    if (n < 0) return errno == EAGAIN || errno == EINTR;
    xn_buf_add(&client->in, data, (size_t)n);
    return n > 0 && !xn_buf_rc(&client->in);
}

static bool flush(struct dom_client *client)
{
    ssize_t n;

    if (client->out.len == 0) return true;
    n = sys_send(client->fd, client->out.data, client->out.len, client->passes);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (client->passes >= 0) close(client->passes);
    client->passes = -1;
    xn_buf_drop(&client->out, (size_t)n);
    client->moved_us = sys_mono_us();
    return true;
}

void dom_serve(struct dom *dom, size_t i, short events)
{
    struct dom_client *client = &dom->clients[i];

    if (client->fd < 0) return;
    if ((events & (POLLIN | POLLHUP | POLLERR)) && !receive(client)) {
        dom_drop(dom, i);
        return;
    }
    for (;;) {
        take_ask(dom, i);
        if (client->out.len == 0) break;
        if (!flush(client)) {
            dom_drop(dom, i);
            return;
        }
        if (client->out.len > 0) break;
    }
    if (client->closing && client->out.len == 0) dom_drop(dom, i);
}

void dom_drop_idle(struct dom *dom)
{
    uint64_t now = sys_mono_us();
    size_t i;

    for (i = 0; i < DOM_CLIENTS_MAX; i++) {
        const struct dom_client *client = &dom->clients[i];

        if (client->fd >= 0 && client->out.len > 0 &&
            now - client->moved_us >= DOM_TAKE_US) {
            dom_drop(dom, i);
        }
    }
}
