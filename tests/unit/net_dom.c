/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DOMAIN and its news: against a real xenodomd, and against one that closes,
 * babbles, falls silent or passes what it should not. */
#include "tests/unit/net_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/dom.h"
#include "wire/frame.h"

#define TICKETS 200
#define EVER 25000 /* ms; a wait that something ends */

static struct net_identity corp, host;
static char dir[64], path[100];

/* What the servers' processes and the test share. */
static struct shared {
    int asked;    /* connections with another question */
    int watched;  /* connections that asked to watch */
    int consoles; /* questions for a console */
    int watch_fails;
} * shared;

/* ---- the core ------------------------------------------------------------ */

struct seen {
    int rc[TICKETS];
    struct xn_msg *msg[TICKETS];
    bool done[TICKETS];
    unsigned n_done, domains, gone, ended;
    bool exact;
    char last[80]; /* name of the last that ended */
    int step;
    void (*next)(struct seen *seen, struct xn_out *out);
};

static void take_news(struct seen *seen, const Xn__News *news)
{
    Xn__DomTell *tell =
        xn__dom_tell__unpack(NULL, news->detail.len, news->detail.data);

    if (strcmp(news->kind, "domains") == 0) {
        seen->domains++;
        seen->exact = tell->exact;
    } else if (strcmp(news->kind, "domains-gone") == 0) {
        seen->gone++;
    } else if (strcmp(news->kind, "domain") == 0) {
        assert_int_equal(tell->n_tasks, 1);
        assert_string_equal(tell->tasks[0]->name, news->name);
        assert_int_equal(tell->tasks[0]->state, XN__TASK_STATE__ENDED);
        snprintf(seen->last, sizeof seen->last, "%s", news->name);
        seen->ended++;
    }
    xn__dom_tell__free_unpacked(tell, NULL);
}

static void on_event(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct seen *seen = core->ctx;

    if (ev->kind == XN_EV_DONE) {
        assert_true(ev->ticket < TICKETS);
        assert_false(seen->done[ev->ticket]); /* exactly one */
        seen->done[ev->ticket] = true;
        seen->rc[ev->ticket] = ev->rc;
        seen->msg[ev->ticket] = xn_msg_ref(ev->msg);
        seen->n_done++;
    } else if (ev->kind == XN_EV_NEWS) {
        take_news(seen, XN_BODY(ev->msg, Xn__News));
    }
    seen->next(seen, out);
}

static void run(struct seen *seen)
{
    struct net_config config = kit_config(&host);
    struct net_driver *driver = NULL;

    config.listen_links = config.listen_api = NULL;
    config.dom_path = path;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, on_event, seen);
    net_driver_free(driver);
}

static void clear(struct seen *seen)
{
    size_t i;

    for (i = 0; i < TICKETS; i++)
        xn_msg_free(seen->msg[i]);
}

static void ask(struct xn_out *out, uint64_t ticket, Xn__DomOp op,
                const char *name)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;

    body.op = op;
    body.name = (char *)(uintptr_t)name;
    xn_out_emit(out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE, XN__KIND__DOM_ASK,
                &body);
}

static void ask_console(struct xn_out *out, uint64_t ticket, const char *name,
                        uint64_t from, uint32_t most, uint32_t wait_ms)
{
    Xn__AskConsole body = XN__ASK_CONSOLE__INIT;

    body.name = (char *)(uintptr_t)name;
    body.from = from;
    body.most = most;
    body.wait_ms = wait_ms;
    xn_out_emit(out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE, XN__KIND__ASK_CONSOLE,
                &body);
}

static void cancel(struct xn_out *out, uint64_t ticket)
{
    xn_out_add(out, XN_ACT_ABORT, ticket, XN_PEER_NONE, NULL);
}

static const Xn__ConsolePiece *piece(const struct seen *seen, uint64_t ticket)
{
    assert_true(seen->done[ticket]);
    assert_int_equal(seen->rc[ticket], 0);
    assert_int_equal(seen->msg[ticket]->kind, XN__KIND__CONSOLE_PIECE);
    return XN_BODY(seen->msg[ticket], Xn__ConsolePiece);
}

static bool holds(const Xn__ConsolePiece *got, const char *text)
{
    size_t n = strlen(text);

    return got->data.len == n &&
           (n == 0 || memcmp(got->data.data, text, n) == 0);
}

/* ---- a server that is not as it should be -------------------------------- */

static void send_all(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) _exit(0);
}

/* An answer, with a descriptor as often as asked. */
static void answer(int fd, const Xn__DomTell *tell, int pass, size_t times)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct xn_buf out = {0};
    struct iovec part;
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    size_t i;

    if (frame_put(&out, tell)) _exit(1);
    part = (struct iovec){out.data, out.len};
    if (times > 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(times * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(times * sizeof(int));
        for (i = 0; i < times; i++) {
            memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &pass,
                   sizeof(int));
        }
    }
    if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0) _exit(0);
    xn_buf_clear(&out);
}

static void await_close(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0) {}
}

static void serve_watch(int fd)
{
    Xn__DomTell tell = XN__DOM_TELL__INIT;
    int n = __atomic_add_fetch(&shared->watched, 1, __ATOMIC_SEQ_CST);

    __atomic_sub_fetch(&shared->asked, 1, __ATOMIC_SEQ_CST);

    if (n <= shared->watch_fails) {
        if (n % 3 == 1) tell.rc = XN_EPROTO;
        if (n % 3 == 2) send_all(fd, "\0\0\0\2\xff\xff", 6);
        if (n % 3 == 0) return;
    }
    tell.exact = true;
    answer(fd, &tell, -1, 0);
    if (shared->watch_fails < 0 && n == 1) return; /* closed once */
    await_close(fd);
}

static void part(int fd, uint64_t from, const char *text, bool end, int rc)
{
    Xn__KeeperTell tell = XN__KEEPER_TELL__INIT;
    struct xn_buf out = {0};

    tell.rc = rc;
    tell.from = from;
    tell.console.data = (uint8_t *)(uintptr_t)text;
    tell.console.len = strlen(text);
    tell.end = end;
    if (frame_put(&out, &tell)) _exit(1);
    send_all(fd, out.data, out.len);
    xn_buf_clear(&out);
}

static void keep(const char *how, int fd, uint64_t from)
{
    if (strcmp(how, "whole") == 0) {
        part(fd, from, "one ", false, 0);
        part(fd, from + 4, "two", true, 0);
    } else if (strcmp(how, "pieces") == 0) {
        part(fd, from, "abcdef", true, 0);
    } else if (strcmp(how, "older") == 0) {
        part(fd, from - 1, "x", true, 0);
    } else if (strcmp(how, "dropped") == 0) {
        part(fd, from + 100, "old", false, 0);
        part(fd, from + 200, "new", true, 0);
    } else if (strcmp(how, "refuses") == 0) {
        part(fd, from, "", false, XN_EIO);
    } else if (strcmp(how, "babbles") == 0) {
        send_all(fd, "\x7f\xff\xff\xff", 4);
    } else if (strcmp(how, "closes") == 0) {
        return;
    }
    await_close(fd);
}

/* A console whose keeper is a process as well. */
static void serve_console(int fd, const char *how)
{
    Xn__TaskStatus status = XN__TASK_STATUS__INIT, *tasks[] = {&status};
    Xn__DomTell tell = XN__DOM_TELL__INIT;
    int n = __atomic_add_fetch(&shared->consoles, 1, __ATOMIC_SEQ_CST);
    ProtobufCMessage *body;
    int ends[2];

    status.state = XN__TASK_STATE__RUNNING;
    status.console_bytes = strcmp(how, "whole") == 0 ? 7 : 0;
    tell.tasks = tasks;
    tell.n_tasks = 1;
    tell.live = true;
    if (strcmp(how, "nothing") == 0) {
        answer(fd, &tell, -1, 0);
    } else if (strcmp(how, "pipe") == 0 && pipe(ends) == 0) {
        answer(fd, &tell, ends[0], 1);
    } else if (strcmp(how, "file") == 0 ||
               (strcmp(how, "closes") == 0 && n > 2)) {
        tell.live = false;
        status.state = XN__TASK_STATE__ENDED;
        answer(fd, &tell, open("/proc/self/exe", O_RDONLY), 3);
    } else if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
        answer(fd, &tell, ends[1], 1);
        close(ends[1]);
        if (frame_receive(ends[0], FRAME_ASK_MAX, &xn__keeper_ask__descriptor,
                          &body, NULL)) {
            return;
        }
        keep(how, ends[0], ((Xn__KeeperAsk *)body)->from);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    await_close(fd);
}

static void serve_one(int fd);

static void serve_ask(int fd, const char *how)
{
    Xn__TaskStatus status = XN__TASK_STATUS__INIT, *tasks[] = {&status};
    Xn__DomTell tell = XN__DOM_TELL__INIT;
    struct xn_buf out = {0};
    size_t i;

    tell.tasks = tasks;
    tell.n_tasks = 1;
    if (strcmp(how, "closes") == 0) return;
    if (strcmp(how, "again") == 0 || strcmp(how, "once") == 0) {
        answer(fd, &tell, -1, 0);
        if (strcmp(how, "again") == 0) serve_one(fd);
        return;
    }
    if (strcmp(how, "half") == 0) {
        send_all(fd, "\0\0\0\40half", 8);
        return;
    }
    if (strcmp(how, "babbles") == 0) send_all(fd, "\0\0\0\3\xff\xff\xff", 7);
    if (strcmp(how, "long") == 0) send_all(fd, "\0\x10\0\1", 4);
    if (strcmp(how, "passes") == 0) answer(fd, &tell, fd, 8);
    if (strcmp(how, "bytes") == 0) {
        if (frame_put(&out, &tell)) _exit(1);
        for (i = 0; i < out.len; i++)
            send_all(fd, out.data + i, 1);
        xn_buf_clear(&out);
    }
    await_close(fd);
}

static void serve_one(int fd)
{
    ProtobufCMessage *body;
    Xn__DomAsk *got;

    if (frame_receive(fd, FRAME_ASK_MAX, &xn__dom_ask__descriptor, &body,
                      NULL)) {
        return;
    }
    got = (Xn__DomAsk *)body;
    if (got->op == XN__DOM_OP__DOM_WATCH)
        serve_watch(fd);
    else if (got->op == XN__DOM_OP__DOM_CONSOLE)
        serve_console(fd, got->name);
    else
        serve_ask(fd, got->name);
    protobuf_c_message_free_unpacked(body, NULL);
}

static void ends_with_its_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(0);
}

/* A process for each connection, which ends with it, or with the first. */
static pid_t start_server(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    pid_t pid;

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    unlink(path);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 200), 0);
    pid = fork();
    if (pid) {
        close(listener);
        assert_true(pid > 0);
        return pid;
    }
    ends_with_its_parent();
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        fd = accept(listener, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            ends_with_its_parent();
            close(listener);
            __atomic_add_fetch(&shared->asked, 1, __ATOMIC_SEQ_CST);
            serve_one(fd);
            _exit(0);
        }
        close(fd);
    }
}

static void end_server(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(path);
}

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__SERVER, "host", &host);
    kit_mkdir(dir);
    snprintf(path, sizeof path, "%s/socket", dir);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&host);
    munmap(shared, sizeof *shared);
    kit_rmdir(dir);
    return 0;
}

static int fresh(void **state)
{
    memset(shared, 0, sizeof *shared);
    return 0;
}

/* ---- faults -------------------------------------------------------------- */

static const struct fault {
    const char *how;
    Xn__DomOp op;
    int rc;
} faults[] = {
    {"closes", XN__DOM_OP__DOM_STATUS, XN_EUNREACH},
    {"closes", XN__DOM_OP__DOM_STOP, XN_EUNKNOWN},
    {"closes", XN__DOM_OP__DOM_FORGET, XN_EUNKNOWN},
    {"half", XN__DOM_OP__DOM_STATUS, XN_EUNREACH},
    {"half", XN__DOM_OP__DOM_INPUT, XN_EUNKNOWN},
    {"babbles", XN__DOM_OP__DOM_STATUS, XN_EPROTO},
    {"long", XN__DOM_OP__DOM_STATUS, XN_ETOOBIG},
    {"passes", XN__DOM_OP__DOM_STATUS, 0},
    {"bytes", XN__DOM_OP__DOM_STOP, 0},
    {"bytes", XN__DOM_OP__DOM_WATCH, XN_EINVAL},
    {"bytes", XN__DOM_OP__DOM_CONSOLE, XN_EINVAL},
};
enum { FAULTS = sizeof faults / sizeof *faults };

static void next_fault(struct seen *seen, struct xn_out *out)
{
    uint64_t i;

    if (seen->step++ == 0) {
        for (i = 0; i < FAULTS; i++)
            ask(out, i + 1, faults[i].op, faults[i].how);
    }
    if (seen->n_done == FAULTS) kit_stop();
}

static size_t open_files(void)
{
    size_t n = 0;
    int fd;

    for (fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void faults_are_told_apart(void **state)
{
    struct seen seen = {.next = next_fault};
    pid_t server = start_server();
    size_t before = open_files(), i;

    run(&seen);
    for (i = 0; i < FAULTS; i++)
        assert_int_equal(seen.rc[i + 1], faults[i].rc);
    assert_int_equal(seen.msg[8]->kind, XN__KIND__DOM_TELL);
    assert_int_equal(open_files(), before);
    clear(&seen);
    end_server(server);
}

/* One question after the other: over one connection, but where it has closed
 * meanwhile, or where it does harm to ask twice. */
static const struct {
    const char *how;
    Xn__DomOp op;
    int asked; /* connections after it */
} turns[] = {
    {"again", XN__DOM_OP__DOM_STATUS, 1}, {"again", XN__DOM_OP__DOM_STATUS, 1},
    {"once", XN__DOM_OP__DOM_STATUS, 1},  {"again", XN__DOM_OP__DOM_STATUS, 2},
    {"again", XN__DOM_OP__DOM_STOP, 3},   {"again", XN__DOM_OP__DOM_STATUS, 3},
};
enum { TURNS = sizeof turns / sizeof *turns };

static void next_turn(struct seen *seen, struct xn_out *out)
{
    if (!seen->domains) return; /* the watch is no question of ours */
    if (seen->n_done)
        assert_int_equal(shared->asked, turns[seen->n_done - 1].asked);
    if (seen->n_done == TURNS) {
        kit_stop();
    } else if ((size_t)seen->step == seen->n_done) {
        seen->step++;
        ask(out, seen->n_done + 1, turns[seen->n_done].op,
            turns[seen->n_done].how);
    }
}

static void a_connection_is_used_again(void **state)
{
    struct seen seen = {.next = next_turn};
    pid_t server = start_server();
    size_t before = open_files(), i;

    run(&seen);
    for (i = 0; i < TURNS; i++)
        assert_int_equal(seen.rc[i + 1], 0);
    assert_int_equal(open_files(), before);
    clear(&seen);
    end_server(server);
}

/* Nobody there, then somebody. */
static pid_t late;

static void next_absent(struct seen *seen, struct xn_out *out)
{
    if (seen->step++ == 0) {
        ask(out, 1, XN__DOM_OP__DOM_START, "a");
        ask_console(out, 2, "a", 0, 0, 0);
        ask_console(out, 3, "whole", 0, 0, EVER);
    }
    if (seen->n_done == 2 && !late) late = start_server();
    if (seen->domains == 1 && seen->done[3]) kit_stop();
}

static void nobody_there_is_said_at_once(void **state)
{
    struct seen seen = {.next = next_absent};

    run(&seen);
    assert_int_equal(seen.rc[1], XN_EUNREACH);
    assert_int_equal(seen.rc[2], XN_EUNREACH);
    assert_true(holds(piece(&seen, 3), "one two")); /* it may wait */
    assert_int_equal(seen.gone, 0);                 /* nobody was there */
    assert_true(seen.exact);
    clear(&seen);
    end_server(late);
}

static void next_watch(struct seen *seen, struct xn_out *out)
{
    if (seen->domains == 2 || (shared->watch_fails > 0 && seen->domains == 1)) {
        kit_stop();
    }
}

static void a_watch_is_taken_up_again(void **state)
{
    struct seen seen = {.next = next_watch};
    pid_t server;

    shared->watch_fails = -1;
    server = start_server();
    run(&seen);
    assert_int_equal(seen.gone, 1);
    end_server(server);
    memset(shared, 0, sizeof *shared);
    memset(&seen, 0, sizeof seen);
    seen.next = next_watch;
    shared->watch_fails = 3; /* refused, babbled at, closed upon */
    server = start_server();
    run(&seen);
    assert_int_equal(seen.domains, 1);
    assert_int_equal(seen.gone, 0);
    assert_int_equal(shared->watched, 4);
    end_server(server);
}

static void next_console(struct seen *seen, struct xn_out *out)
{
    static const char *const how[] = {"whole",   "pieces",  "older", "dropped",
                                      "refuses", "babbles", "pipe",  "nothing",
                                      "file",    "silent"};
    uint64_t i;

    if (seen->step++ == 0) {
        for (i = 0; i < sizeof how / sizeof *how; i++)
            ask_console(out, i + 1, how[i], 5, i == 1 ? 4 : 0, EVER);
        ask_console(out, 11, "silent", 0, 0, 100);
        ask_console(out, 12, "silent", 0, 0, 0);
    }
    if (seen->n_done == 11 && seen->step < 100) {
        seen->step = 100;
        cancel(out, 10);
    }
    if (seen->n_done == 12) kit_stop();
}

static void consoles_come_in_pieces(void **state)
{
    struct seen seen = {.next = next_console};
    pid_t server = start_server();
    size_t before = open_files();

    run(&seen);
    assert_true(holds(piece(&seen, 1), "one "));
    assert_false(piece(&seen, 1)->end);
    assert_true(holds(piece(&seen, 2), "abcd")); /* as much as was asked for */
    assert_false(piece(&seen, 2)->end);
    assert_int_equal(seen.rc[3], XN_EPROTO);
    assert_true(holds(piece(&seen, 4), "old"));
    assert_int_equal(piece(&seen, 4)->from, 105);
    assert_int_equal(seen.rc[5], XN_EIO);
    assert_int_equal(seen.rc[6], XN_EPROTO);
    assert_int_not_equal(seen.rc[7], 0);
    assert_int_equal(seen.rc[8], XN_EPROTO);
    assert_int_equal(seen.rc[9], XN_EINTEGRITY);
    assert_int_equal(seen.rc[10], XN_ECANCELLED);
    assert_true(holds(piece(&seen, 11), "") && !piece(&seen, 11)->end);
    assert_true(holds(piece(&seen, 12), "") && !piece(&seen, 12)->end);
    assert_int_equal(open_files(), before);
    clear(&seen);
    end_server(server);
}

static void next_whole(struct seen *seen, struct xn_out *out)
{
    if (seen->step++ == 0) {
        ask_console(out, 1, "whole", 0, 0, EVER);
        ask_console(out, 2, "closes", 0, 0, EVER);
    }
    if (seen->n_done == 2) kit_stop();
}

/* What is there is gathered; who loses the keeper asks again. */
static void a_keeper_that_closes_is_asked_again(void **state)
{
    struct seen seen = {.next = next_whole};
    pid_t server = start_server();

    run(&seen);
    assert_true(holds(piece(&seen, 1), "one two"));
    assert_true(piece(&seen, 1)->end);
    assert_int_equal(seen.rc[2], XN_EINTEGRITY); /* the file that came then */
    assert_true(shared->consoles >= 3);
    clear(&seen);
    end_server(server);
}

/* ---- bounds -------------------------------------------------------------- */

static pid_t silent;

static void next_crowd(struct seen *seen, struct xn_out *out)
{
    uint64_t i;

    if (seen->step++ == 0) {
        for (i = 1; i <= NET_DOM_ASKS_MAX + 1; i++)
            ask(out, i, XN__DOM_OP__DOM_STATUS, "silent");
    }
    if (seen->n_done == 1 && seen->step < 100) {
        seen->step = 100;
        for (i = 1; i <= NET_DOM_ASKS_MAX; i++)
            cancel(out, i);
    }
    /* what xenodomd has is not called back: it ends with xenodomd */
    if (silent && seen->n_done > NET_DOM_ASKS_MAX - NET_DOM_AT_ONCE) {
        end_server(silent);
        silent = 0;
    }
    if (seen->n_done == 1 + NET_DOM_ASKS_MAX) kit_stop();
}

static void a_crowd_is_refused(void **state)
{
    struct seen seen = {.next = next_crowd};
    unsigned cancelled = 0, i;

    silent = start_server();
    run(&seen);
    assert_int_equal(seen.rc[NET_DOM_ASKS_MAX + 1], XN_EBUSY);
    for (i = 1; i <= NET_DOM_ASKS_MAX; i++)
        cancelled += seen.rc[i] == XN_ECANCELLED;
    assert_true(cancelled >= NET_DOM_ASKS_MAX - NET_DOM_AT_ONCE);
    clear(&seen);
}

static void next_heavy(struct seen *seen, struct xn_out *out)
{
    static uint8_t data[512 << 10];
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    Xn__TaskFile file = XN__TASK_FILE__INIT, *put[] = {&file, &file};
    uint64_t i;

    body.op = XN__DOM_OP__DOM_START;
    body.name = (char *)(uintptr_t) "silent";
    body.spec = &spec;
    spec.put = put;
    spec.n_put = 1;
    file.data.data = data;
    file.data.len = sizeof data;
    for (i = 1; seen->step == 0 && i <= 40; i++) {
        spec.n_put = i == 40 ? 2 : 1;
        xn_out_emit(out, XN_ACT_DOMAIN, i, XN_PEER_NONE, XN__KIND__DOM_ASK,
                    &body);
    }
    seen->step++;
    if (seen->n_done >= 9) kit_stop();
}

/* 31 of half a MiB and a little are 16 MiB. */
static void heavy_asks_are_refused(void **state)
{
    struct seen seen = {.next = next_heavy};
    unsigned i;

    silent = start_server();
    run(&seen);
    for (i = 1; i <= 31; i++)
        assert_false(seen.done[i] && seen.rc[i] == XN_EBUSY);
    for (i = 32; i <= 39; i++)
        assert_int_equal(seen.rc[i], XN_EBUSY);
    assert_int_equal(seen.rc[40], XN_ETOOBIG);
    clear(&seen);
    end_server(silent);
}

/* ---- a real one ---------------------------------------------------------- */

static char domd[300], keeper[300], state_dir[100];
static pid_t real;
static char task[32]; /* a name of its own, as control groups have names */

static pid_t start_real(void)
{
    pid_t pid = fork();
    int null;

    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    execl(domd, "xenodomd", "--state", state_dir, "--keeper", keeper, NULL);
    _exit(127);
}

static bool has_sandboxes(void)
{
    const char *build = getenv("XN_BUILD");
    char command[400];

    snprintf(domd, sizeof domd, "%s/keeper/xenodomd", build ? build : ".");
    snprintf(keeper, sizeof keeper, "%s/keeper/xeno-keeper",
             build ? build : ".");
    snprintf(command, sizeof command, "'%s' check >/dev/null 2>&1", domd);
    return access("/usr/bin/bwrap", X_OK) == 0 && system(command) == 0;
}

static void start_task(struct xn_out *out, uint64_t ticket, const char *name,
                       const char *script)
{
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t)script};
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    Xn__TaskFile file = XN__TASK_FILE__INIT, *put[] = {&file};

    body.op = XN__DOM_OP__DOM_START;
    body.spec = &spec;
    spec.name = (char *)(uintptr_t)name;
    spec.argv = argv;
    spec.n_argv = 3;
    spec.put = put;
    spec.n_put = 1;
    spec.life_ms = 300000; /* should this test die */
    file.name = (char *)(uintptr_t) "in/file";
    file.data.data = (uint8_t *)(uintptr_t) "from outside\n";
    file.data.len = 13;
    xn_out_emit(out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE, XN__KIND__DOM_ASK,
                &body);
}

static void type_in(struct xn_out *out, uint64_t ticket, const char *name,
                    const char *text)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;

    body.op = XN__DOM_OP__DOM_INPUT;
    body.name = (char *)(uintptr_t)name;
    body.input.data = (uint8_t *)(uintptr_t)text;
    body.input.len = strlen(text);
    xn_out_emit(out, XN_ACT_DOMAIN, ticket, XN_PEER_NONE, XN__KIND__DOM_ASK,
                &body);
}

static const Xn__DomTell *told(const struct seen *seen, uint64_t ticket)
{
    assert_true(seen->done[ticket]);
    assert_int_equal(seen->rc[ticket], 0);
    assert_int_equal(seen->msg[ticket]->kind, XN__KIND__DOM_TELL);
    return XN_BODY(seen->msg[ticket], Xn__DomTell);
}

static void restart_real(void)
{
    kill(real, SIGKILL);
    waitpid(real, NULL, 0);
    real = start_real();
}

/* From step to step, as soon as what it waits for has come. */
static bool next_of_task(struct seen *seen, struct xn_out *out)
{
    switch (seen->step) {
    case 0:
        if (seen->domains == 0) return false;
        start_task(out, 1, task,
                   "cat in/file; read a; echo got $a; read b; exit 7");
        return true;
    case 1:
        if (!seen->done[1]) return false;
        assert_int_equal(told(seen, 1)->rc, 0);
        start_task(out, 2, task, "echo twice");
        ask_console(out, 3, task, 0, 0, EVER);
        ask_console(out, 4, task, 13, 0, EVER);
        return true;
    case 2:
        if (!seen->done[2] || !seen->done[3]) return false;
        assert_int_equal(told(seen, 2)->rc, XN_ECONFLICT);
        assert_true(holds(piece(seen, 3), "from outside\n"));
        assert_false(piece(seen, 3)->end);
        assert_false(seen->done[4]); /* there is nothing yet */
        type_in(out, 5, task, "word\n");
        return true;
    case 3:
        if (!seen->done[4] || !seen->done[5]) return false;
        assert_int_equal(told(seen, 5)->rc, 0);
        assert_true(holds(piece(seen, 4), "got word\n"));
        assert_int_equal(seen->gone, 0);
        restart_real();
        return true;
    case 4:
        if (seen->gone != 1 || seen->domains != 2) return false;
        ask(out, 6, XN__DOM_OP__DOM_STATUS, task);
        ask_console(out, 7, task, 22, 0, EVER);
        return true;
    case 5:
        if (!seen->done[6]) return false;
        assert_int_equal(told(seen, 6)->tasks[0]->state,
                         XN__TASK_STATE__RUNNING);
        assert_int_equal(seen->ended, 0);
        type_in(out, 8, task, "end\n");
        return true;
    case 6:
        if (!seen->done[7] || !seen->done[8] || seen->ended == 0) return false;
        assert_true(piece(seen, 7)->end);
        assert_string_equal(seen->last, task);
        ask_console(out, 9, task, 5, 7, EVER);
        ask_console(out, 10, task, 0, 0, EVER);
        ask(out, 11, XN__DOM_OP__DOM_STATUS, task);
        type_in(out, 12, task, "late\n");
        return true;
    case 7:
        if (seen->n_done != 12) return false;
        assert_true(holds(piece(seen, 9), "outside"));
        assert_false(piece(seen, 9)->end);
        assert_true(holds(piece(seen, 10), "from outside\ngot word\n"));
        assert_true(piece(seen, 10)->end);
        assert_int_equal(told(seen, 11)->tasks[0]->exit->code, 7);
        assert_int_equal(told(seen, 12)->rc, XN_ECONFLICT);
        ask(out, 13, XN__DOM_OP__DOM_FORGET, task);
        return true;
    case 8:
        if (!seen->done[13]) return false;
        assert_int_equal(told(seen, 13)->rc, 0);
        ask_console(out, 14, task, 0, 0, EVER);
        ask(out, 15, XN__DOM_OP__DOM_STATUS, task);
        return true;
    case 9:
        if (!seen->done[14] || !seen->done[15]) return false;
        assert_int_equal(seen->rc[14], XN_ENOENT);
        assert_int_equal(told(seen, 15)->rc, XN_ENOENT);
        kit_stop();
        return true;
    default: return false;
    }
}

static void next_task(struct seen *seen, struct xn_out *out)
{
    while (next_of_task(seen, out))
        seen->step++;
}

static void a_task_is_run(void **state)
{
    struct seen seen = {.next = next_task};

    if (!has_sandboxes()) {
        print_message("no sandboxes here (xenodomd check says why)\n");
        skip();
    }
    snprintf(state_dir, sizeof state_dir, "%s/domd", dir);
    snprintf(path, sizeof path, "%s/domd/socket", dir);
    snprintf(task, sizeof task, "n%d-1", (int)getpid());
    real = start_real();
    run(&seen);
    assert_int_equal(seen.step, 10);
    clear(&seen);
    kill(real, SIGTERM);
    waitpid(real, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(faults_are_told_apart, fresh),
        cmocka_unit_test_setup(a_connection_is_used_again, fresh),
        cmocka_unit_test_setup(nobody_there_is_said_at_once, fresh),
        cmocka_unit_test_setup(a_watch_is_taken_up_again, fresh),
        cmocka_unit_test_setup(consoles_come_in_pieces, fresh),
        cmocka_unit_test_setup(a_keeper_that_closes_is_asked_again, fresh),
        cmocka_unit_test_setup(a_crowd_is_refused, fresh),
        cmocka_unit_test_setup(heavy_asks_are_refused, fresh),
        cmocka_unit_test_setup(a_task_is_run, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
