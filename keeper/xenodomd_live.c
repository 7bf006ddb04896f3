/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/frame.h"

#define REVIVE_US 1000000 /* between two keepers of one domain */

/* FNV-1a. */
static uint32_t key_of(const char *name)
{
    uint32_t key = 2166136261U;

    while (*name)
        key = (key ^ (uint8_t)*name++) * 16777619U;
    return key;
}

struct live *dom_find(struct dom *dom, const char *name)
{
    uint32_t key = key_of(name);
    size_t i;

    for (i = 0; i < dom->n_live; i++) {
        if (dom->keys[i] == key && strcmp(dom->live[i].name, name) == 0)
            return &dom->live[i];
    }
    return NULL;
}

static struct live *add(struct dom *dom, const Xn__TaskSpec *spec)
{
    struct live *live;

    if (dom->n_live >= DOM_SESSIONS_MAX) return NULL;
    dom->keys[dom->n_live] = key_of(spec->name);
    live = &dom->live[dom->n_live++];
    dom->alone = true;
    snprintf(live->name, sizeof live->name, "%s", spec->name);
    live->memory_bytes = spec->memory_bytes;
    live->disk_bytes = spec->disk_bytes;
    live->uid = spec->uid;
    live->address = spec->net ? spec->net->address : 0;
    live->watch = live->talk = live->ready = live->client = -1;
    live->stuck = false;
    live->patience = (struct patience){.silent = false};
    live->runner = spec->runner;
    live->again_us = 0;
    live->tally = TALLY_CLOSED;
    return live;
}

/* To poll hundreds of them each time would cost more than what is asked. */
static void listen_to(struct dom *dom, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd >= 0) epoll_ctl(dom->news, EPOLL_CTL_ADD, fd, &event);
}

/* A child that has not become a keeper yet may hold it, too: closing it is not
 * enough. */
static void hang_up(struct dom *dom, int *fd)
{
    if (*fd < 0) return;
    epoll_ctl(dom->news, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
    dom->alone = true;
}

static void take_out(struct dom *dom, size_t i)
{
    struct live *live = &dom->live[i];

    hang_up(dom, &live->watch);
    hang_up(dom, &live->ready);
    tally_close(&live->tally);
    *live = dom->live[--dom->n_live];
    dom->keys[i] = dom->keys[dom->n_live];
}

static void watch(struct dom *dom, struct live *live)
{
    int folder = session_open(dom->sessions, live->name);

    if (folder < 0) return;
    live->patience.silent = false; /* this one is another */
    live->watch = sys_unix_connect(folder, KEEPER_SOCKET, SESSIONS_KEEPER_MS);
    live->talk = live->watch;
    listen_to(dom, live->watch);
    close(folder);
}

/* What it keeps may live on without it.  What then cannot be looked at is tried
 * again, not too often. */
static int revive(struct dom *dom, struct live *live)
{
    const struct manager *manager = manager_of(live->runner);
    uint64_t now = sys_mono_us();
    struct session_programs programs;
    int rc;

    if (live->ready >= 0 || now < live->again_us) return XN_ENOTYET;
    live->again_us = now + REVIVE_US;
    manager->programs(dom, &programs);
    rc = session_restart(dom->sessions, live->name, &programs, &live->ready);
    if (rc) live->ready = -1;
    listen_to(dom, live->ready);
    if (!live->stuck) { /* else it has been said */
        xn_log(rc ? XN_LOG_WARN : XN_LOG_INFO, "session %s: another keeper%s%s",
               live->name, rc ? ": " : "", rc ? xn_strerror(rc) : "");
    }
    return rc;
}

static int adopt_one(void *context, const char *name)
{
    ProtobufCMessage *body = NULL;
    struct dom *dom = context;
    struct live *live;
    int folder, rc;
    bool lost;

    rc = session_sweep(dom->sessions, name);
    if ((rc != XN_EBUSY && rc != XN_ENOTYET) || dom_find(dom, name)) return 0;
    folder = session_open(dom->sessions, name);
    if (folder < 0) return 0;
    lost = rc == XN_ENOTYET;
    rc = record_get(folder, KEEPER_SPEC, &xn__task_spec__descriptor, &body);
    if (!rc) {
        live = add(dom, (Xn__TaskSpec *)body);
        if (lost) dom_count_flows_again(dom, (Xn__TaskSpec *)body);
        if (live && lost)
            revive(dom, live);
        else if (live)
            watch(dom, live);
        xn_log(XN_LOG_INFO, "session %s: taken up again", name);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    close(folder);
    return 0;
}

int dom_adopt(struct dom *dom)
{
    size_t i;

    /* those whose end nobody saw; from the last on, as burying moves the last
     * into the place */
    for (i = dom->n_live; i-- > 0;) {
        int folder = session_open(dom->sessions, dom->live[i].name);
        bool lives = folder >= 0 && session_lives(folder);

        if (folder >= 0) close(folder);
        if (!lives && dom->live[i].ready < 0) dom_bury(dom, i);
    }
    return sessions_each(dom->sessions, adopt_one, dom);
}

void dom_bury(struct dom *dom, size_t i)
{
    struct live *live = &dom->live[i];
    char name[SPEC_NAME_MAX];
    int folder, rc = 0;
    bool lives;

    memcpy(name, live->name, sizeof name);
    folder = session_open(dom->sessions, name);
    lives = folder >= 0 && session_lives(folder);
    if (folder >= 0) close(folder);
    if (!lives) rc = session_sweep(dom->sessions, name);
    if (rc == XN_ENOTYET && revive(dom, live) == 0) return;
    if (lives || (rc && rc != XN_ENOENT)) {
        /* One that was killed may lose its socket first: it is looked at again
         * soon.  So is one whose end cannot be recorded: who watches is told of
         * what stands in a record. */
        if (rc && !live->stuck) {
            xn_log(XN_LOG_WARN, "session %s: ended, but not swept: %s", name,
                   xn_strerror(rc));
        }
        live->stuck = rc != 0;
        hang_up(dom, &live->watch);
        live->talk = -1;
        return;
    }
    xn_log(XN_LOG_INFO, "session %s: ended", name);
    take_out(dom, i);
    dom_tell_end(dom, name);
}

/* ---- the envelope -------------------------------------------------------- */

static bool is_within(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Links are followed first: where they lead is what counts. */
static int check_folder(const struct dom *dom, const char *what, char **path,
                        char *because_out, size_t len)
{
    char *real;
    size_t i;

    if (!(*path)[0]) return 0;
    real = realpath(*path, NULL);
    for (i = 0; real && i < dom->envelope.n_images; i++) {
        if (!is_within(real, dom->envelope.images[i])) continue;
        free(*path);
        *path = real;
        return 0;
    }
    free(real);
    snprintf(because_out, len, "%s: no folder within --images", what);
    return XN_EPERM;
}

static int check_envelope(const struct dom *dom, const Xn__TaskSpec *spec,
                          char *because_out, size_t len)
{
    uint64_t used = 0;
    size_t i;

    for (i = 0; i < dom->n_live; i++)
        used += dom->live[i].memory_bytes;
    if (dom->n_live >= dom->envelope.sessions) {
        snprintf(because_out, len, "%zu sessions run, as many as may",
                 dom->n_live);
        return XN_EREFUSED;
    }
    if (used + spec->memory_bytes > dom->envelope.memory_bytes) {
        snprintf(because_out, len,
                 "%" PRIu64 " of %" PRIu64 " MiB of memory are given away",
                 used >> 20, dom->envelope.memory_bytes >> 20);
        return XN_EREFUSED;
    }
    return 0;
}

static int complete(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
                    size_t len, const char **try_out)
{
    const struct manager *manager;
    int rc;

    if (spec->uid || spec->net) {
        snprintf(because_out, len,
                 "uid, net: they are not for the caller to choose");
        return XN_EPERM;
    }
    spec_complete(spec);
    rc = spec_check(spec, because_out, len);
    if (rc) return rc;
    manager = manager_of(spec->runner);
    return manager->fit(dom, spec, because_out, len, try_out);
}

int dom_start(struct dom *dom, Xn__TaskSpec *spec, int client,
              char *because_out, size_t len, const char **try_out)
{
    struct session_programs programs;
    struct live *live;
    int ready, rc;

    rc = complete(dom, spec, because_out, len, try_out);
    if (!rc) rc = check_folder(dom, "image", &spec->image, because_out, len);
    if (!rc) rc = check_folder(dom, "disk", &spec->disk, because_out, len);
    if (!rc) rc = check_envelope(dom, spec, because_out, len);
    if (rc) return rc;
    manager_of(spec->runner)->programs(dom, &programs);
    rc = session_start(dom->sessions, spec, &programs, &ready);
    if (rc) {
        snprintf(because_out, len, "%s",
                 rc == XN_ECONFLICT ? "there is a session of that name"
                                    : strerror(errno));
        return rc;
    }
    live = add(dom, spec);
    if (!live) {
        close(ready);
        return XN_EREFUSED;
    }
    live->ready = ready;
    listen_to(dom, ready);
    live->client = client;
    dom_count_flows(dom, spec);
    return 0;
}

/* It said how the start went: the answer goes to who asked. */
static void ready(struct dom *dom, size_t i)
{
    struct live *live = &dom->live[i];
    ProtobufCMessage *body = NULL;
    Xn__KeeperTell *tell;
    Xn__DomTell answer;
    int rc;

    rc = frame_read(live->ready, FRAME_TELL_MAX, &xn__keeper_tell__descriptor,
                    &body);
    hang_up(dom, &live->ready);
    xn__dom_tell__init(&answer);
    tell = (Xn__KeeperTell *)body;
    answer.rc = rc ? XN_EUNKNOWN : tell->rc;
    answer.because = rc ? (char *)"the keeper died" : tell->because;
    answer.advice = (char *)(answer.rc ? PROGRAM " check" : "");
    if (!rc && tell->status) {
        answer.tasks = &tell->status;
        answer.n_tasks = 1;
    }
    if (live->client >= 0) dom_answer(dom, live->client, &answer);
    live->client = -1;
    if (answer.rc == 0) watch(dom, live);
    if (live->watch < 0) dom_bury(dom, i);
    if (body) protobuf_c_message_free_unpacked(body, NULL);
}

/* Nothing comes over a watch but its end, and answers that were too late. */
static bool has_closed(int watch)
{
    char late[4096];
    ssize_t n = recv(watch, late, sizeof late, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void hear_from(struct dom *dom, int fd)
{
    size_t i;

    for (i = 0; i < dom->n_live; i++) {
        struct live *live = &dom->live[i];

        if (live->ready == fd)
            ready(dom, i);
        else if (live->watch != fd)
            continue;
        else if (has_closed(fd))
            dom_bury(dom, i);
        return;
    }
}

/* One at a time: what one does may close others. */
void dom_hear(struct dom *dom)
{
    struct epoll_event event;
    size_t i, n = dom->n_live;

    for (i = 0; i < n && epoll_wait(dom->news, &event, 1, 0) == 1; i++)
        hear_from(dom, event.data.fd);
}
