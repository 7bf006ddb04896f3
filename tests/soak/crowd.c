/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/soak/crowd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/call.h"
#include "net/clock.h"
#include "net/loop.h"

enum { SEATS = 1 + MARKET_CLIENTS_MAX + MARKET_SERVERS_MAX };

/* ---- the daemon ---- */

static void become(const struct corpd *c, const char *name, int ready)
{
    char fd[16], log[400];
    int out;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(log, sizeof log, "%s.log", c->dir);
    out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) _exit(126);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    fcntl(ready, F_SETFD, 0);
    snprintf(fd, sizeof fd, "%d", ready);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* inherited: a full disk is an error to it */
    if (c->preload) setenv("LD_PRELOAD", c->preload, 1);
    execl(c->program, c->program, "--state", c->dir, "--ready-fd", fd, "--set",
          "limits.certified=0", "--set", "limits.connects=0", "--set",
          "limits.connections=1024", "--set", "money.prepay=setup", "--set",
          "money.grace=1d", "--set", "orders.per_minute=0", "--set",
          "claims.per_minute=0", "--set", "register.per_minute=0", "--set",
          "nodes.per_day=0", "--log-level", "error",
          name ? "--name" : (char *)NULL, name, (char *)NULL);
    _exit(127);
}

/* The line that it says when all is bound; false: it ended before. */
static bool hear_ready(int fd, char *line, size_t len)
{
    size_t got = 0;

    while (got + 1 < len) {
        ssize_t n = read(fd, line + got, len - 1 - got);

        if (n <= 0) break;
        got += (size_t)n;
    }
    line[got] = 0;
    return strncmp(line, "ready ", 6) == 0;
}

static void take_address(struct corpd *c, const char *line)
{
    const char *id = strstr(line, " id="), *api = strstr(line, " api=");

    if (!id || !api || xn_id_unhex(id + 4, 64, &c->m->corp.id))
        die("not understood: %s", line);
    snprintf(c->m->corp.url, sizeof c->m->corp.url, "https://%.*s",
             (int)strcspn(api + 5, " \n"), api + 5);
    c->m->corp.pinned = true;
}

/* The first answer waits for the ledger. */
static bool ask_first(struct corpd *c, const struct net_identity *asker)
{
    struct xn_buf out;
    char why[300] = "";
    int rc;

    xn_buf_init(&out, 1 << 20);
    rc = market_ask(c->m, asker, "GET", "/v1/accounts?currency=GBP", NULL, &out,
                    why, sizeof why);
    xn_buf_clear(&out);
    if (!rc || rc == XN_ENOENT) return true;
    if (rc == XN_EUNREACH && c->preload) return false;
    die("its first answer: %s (%s)", xn_strerror(rc), why);
}

static int spawn(struct corpd *c, const char *name)
{
    int ready[2];

    if (pipe2(ready, O_CLOEXEC)) die("no pipe");
    c->pid = fork();
    if (c->pid < 0) die("no process");
    if (c->pid == 0) become(c, name, ready[1]);
    close(ready[1]);
    return ready[0];
}

void corpd_start_and_die(struct corpd *c, uint64_t us)
{
    int ready = spawn(c, NULL);

    usleep((useconds_t)us);
    corpd_kill(c, SIGKILL);
    close(ready);
}

bool corpd_start(struct corpd *c, const char *name,
                 const struct net_identity *asker)
{
    uint64_t from_us = net_mono_us(), us;
    char line[300];
    int ready = spawn(c, name);
    bool good = hear_ready(ready, line, sizeof line);

    close(ready);
    if (good) take_address(c, line);
    if (good && asker) good = ask_first(c, asker);
    if (!good) {
        corpd_kill(c, SIGKILL);
        return false;
    }
    us = net_mono_us() - from_us;
    if (!asker) return true;
    c->starts++;
    c->sum_us += us;
    if (us > c->slowest_us) c->slowest_us = us;
    return true;
}

bool corpd_is_gone(struct corpd *c)
{
    if (c->pid && waitpid(c->pid, NULL, WNOHANG) == c->pid) c->pid = 0;
    return c->pid == 0;
}

void corpd_kill(struct corpd *c, int signal)
{
    if (!c->pid) return;
    kill(c->pid, signal);
    waitpid(c->pid, NULL, 0);
    c->pid = 0;
}

void corpd_report(const struct corpd *c)
{
    printf("%llu restarts, spawned to first answer about money: slowest %llu "
           "ms, mean %llu ms\n",
           (unsigned long long)c->starts,
           (unsigned long long)c->slowest_us / 1000,
           (unsigned long long)(c->starts ? c->sum_us / c->starts / 1000 : 0));
}

/* ---- asking ---- */

struct ask {
    struct crowd *crowd;
    unsigned seat;
    crowd_answered *fn;
    void *ctx;
    struct ask *prev, *next;
};

/* A core that only hears what became of its calls. */
struct crowd {
    struct xn_core core; /* first */
    struct market *m;
    struct net_loop *loop;
    struct {
        const struct net_identity *as;
        struct net_calls *calls; /* with connections of its own */
        unsigned flying;
    } seats[SEATS];
    unsigned n_seats;
    struct ask *asks;
    struct event *timer;
    void (*later)(void *ctx);
    void *later_ctx;
};

static void answered(struct crowd *crowd, struct ask *ask, int rc,
                     const struct xn_msg *msg)
{
    const Xn__Answer *answer = msg ? XN_BODY(msg, Xn__Answer) : NULL;
    ProtobufCBinaryData body = {0, NULL};
    Xn__Refusal *refusal = NULL;
    const char *why = xn_strerror(rc);

    if (!rc && answer) body = answer->body;
    if (!rc && answer && answer->status != 200) {
        refusal = xn__refusal__unpack(NULL, body.len, body.data);
        rc = refusal ? refusal->rc : XN_EPROTO;
        why = refusal ? refusal->because : "not understood";
    }
    crowd->seats[ask->seat].flying--;
    DL_DELETE(crowd->asks, ask);
    ask->fn(ask->ctx, rc, body, why);
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    free(ask);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *out)
{
    struct crowd *crowd = (struct crowd *)(void *)core;

    out->act = NULL;
    out->n = 0;
    out->wake_us = UINT64_MAX;
    if (ev->kind == XN_EV_DONE) {
        answered(crowd, (struct ask *)(uintptr_t)ev->ticket, ev->rc, ev->msg);
    }
    return 0;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    return true;
}

static void no_act(void *user, const struct xn_action *action)
{
}

static void no_gone(void *user, xn_peer peer)
{
}

static void no_turned(void *user)
{
}

static void no_stepped(void *user, const struct xn_now *now,
                       const struct xn_event *ev, const struct xn_outbox *box)
{
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct crowd *crowd = arg;

    crowd->later(crowd->later_ctx);
}

static void add_seat(struct crowd *crowd, const struct net_identity *as)
{
    crowd->seats[crowd->n_seats].as = as;
    if (net_calls_new(crowd->loop, as, NET_CALLS_OF_HOST,
                      &crowd->seats[crowd->n_seats].calls))
        die("out of memory");
    crowd->n_seats++;
}

struct crowd *crowd_new(struct market *m)
{
    static const struct xn_core_ops ops = {"crowd", step, check, NULL};
    const struct net_loop_user user = {.act = no_act,
                                       .gone = no_gone,
                                       .turned = no_turned,
                                       .stepped = no_stepped};
    struct crowd *crowd = calloc(1, sizeof *crowd);

    if (!crowd || net_loop_new(&user, &crowd->loop)) die("out of memory");
    crowd->core.ops = &ops;
    crowd->m = m;
    crowd->timer = evtimer_new(net_loop_base(crowd->loop), on_timer, crowd);
    if (!crowd->timer) die("out of memory");
    add_seat(crowd, &m->staff);
    for (unsigned i = 0; i < m->n_clients; i++)
        add_seat(crowd, &m->clients[i]);
    for (unsigned i = 0; i < m->n_servers; i++)
        add_seat(crowd, &m->servers[i]);
    return crowd;
}

void crowd_free(struct crowd *crowd)
{
    struct ask *ask, *tmp;

    for (unsigned i = 0; i < crowd->n_seats; i++)
        net_calls_free(crowd->seats[i].calls);
    DL_FOREACH_SAFE(crowd->asks, ask, tmp)
    {
        DL_DELETE(crowd->asks, ask);
        free(ask);
    }
    event_free(crowd->timer);
    net_loop_free(crowd->loop);
    free(crowd);
}

static unsigned seat_of(const struct crowd *crowd,
                        const struct net_identity *as)
{
    for (unsigned i = 0; i < crowd->n_seats; i++) {
        if (crowd->seats[i].as == as) return i;
    }
    die("nobody of the market");
}

void crowd_ask(struct crowd *crowd, const struct net_identity *as,
               const char *path, const uint8_t *body, size_t len,
               crowd_answered *fn, void *ctx)
{
    struct ask *ask = calloc(1, sizeof *ask);
    Xn__Call call = XN__CALL__INIT;
    char url[200];

    if (!ask) die("out of memory");
    snprintf(url, sizeof url, "%s%s", crowd->m->corp.url, path);
    ask->crowd = crowd;
    ask->seat = seat_of(crowd, as);
    ask->fn = fn;
    ask->ctx = ctx;
    call.method = (char *)(uintptr_t) "POST";
    call.url = url;
    call.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body};
    call.peer_id = xn_id_bytes(&crowd->m->corp.id);
    crowd->seats[ask->seat].flying++;
    DL_APPEND(crowd->asks, ask);
    net_calls_make(crowd->seats[ask->seat].calls, (uint64_t)(uintptr_t)ask,
                   &call);
}

unsigned crowd_flying(const struct crowd *crowd, const struct net_identity *as)
{
    unsigned n = 0;

    for (unsigned i = 0; i < crowd->n_seats; i++) {
        if (!as || crowd->seats[i].as == as) n += crowd->seats[i].flying;
    }
    return n;
}

void crowd_run(struct crowd *crowd)
{
    if (net_loop_run(crowd->loop, &crowd->core)) die("the loop ended");
}

void crowd_stop(struct crowd *crowd)
{
    net_loop_stop(crowd->loop, 0);
}

void crowd_later(struct crowd *crowd, uint64_t us, void (*fn)(void *ctx),
                 void *ctx)
{
    struct timeval tv = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    crowd->later = fn;
    crowd->later_ctx = ctx;
    event_add(crowd->timer, &tv);
}
