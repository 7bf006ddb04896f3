/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ledger over a real store, and nothing else: operations come in on standard
 * input, answers go out on standard output, as fast as both ends can.
 *
 *   ledger_run FILE [create]
 *
 * LEDGER_FSIZE=N limits the size of files: a full disk.  LEDGER_LOG=N: bytes of
 * a log, so that merging is always under way. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "corp/ledger.h"
#include "lib/err.h"
#include "net/clock.h"
#include "net/wal.h"
#include "tests/soak/ledger_run.h"

struct runner {
    struct net_wal *wal;
    struct ledger *ledger;
    struct xn_tickets *tickets;
    struct xn_out out;
    struct xn_action *actions;
    size_t n_actions, cap;
    uint8_t in[1 << 16];
    size_t in_len;
    bool told_ready;
};

static struct xn_now now(void)
{
    struct xn_now t = {net_mono_us(), net_wall_us()};

    return t;
}

static xn_id id_of(unsigned kind, uint64_t n)
{
    xn_id id;

    memset(&id, (int)kind, sizeof id);
    memcpy(id.b + 24, &n, sizeof n);
    return id;
}

static void say(const struct run_reply *reply)
{
    if (write(STDOUT_FILENO, reply, sizeof *reply) != (ssize_t)sizeof *reply) {
        exit(0); /* nobody listens any more */
    }
}

static void on_answer(void *owner, void *ctx, const struct xn_now *t,
                      const struct ledger_result *r, struct xn_out *out)
{
    struct run_reply reply;

    memset(&reply, 0, sizeof reply);
    reply.n = (uint64_t)(uintptr_t)ctx;
    reply.seq = r->seq;
    reply.index = r->index;
    reply.rc = r->rc;
    reply.repeated = r->repeated;
    if (r->n_balances == 2) memcpy(reply.balances, r->balances, 16);
    say(&reply);
}

static void gather(struct runner *run)
{
    size_t i;

    if (run->out.rc) exit(3);
    for (i = 0; i < run->out.n; i++) {
        const struct xn_action *act = &run->out.act[i];

        if (act->kind == XN_ACT_LOG) {
            if (getenv("LEDGER_SAYS")) {
                fprintf(stderr, "%s\n", XN_BODY(act->msg, Xn__Log)->text);
            }
            continue;
        }
        if (run->n_actions == run->cap) {
            run->cap = run->cap ? 2 * run->cap : 64;
            run->actions =
                realloc(run->actions, run->cap * sizeof *run->actions);
            if (!run->actions) exit(3);
        }
        run->actions[run->n_actions] = *act;
        xn_msg_ref(act->msg);
        run->n_actions++;
    }
    xn_out_reset(&run->out);
}

static void step(struct runner *run)
{
    struct xn_action act = run->actions[0];
    struct xn_msg *msg = NULL;
    struct xn_now t;
    int rc;

    run->n_actions--;
    memmove(run->actions, run->actions + 1, run->n_actions * sizeof act);
    if (act.kind == XN_ACT_TXN) {
        const Xn__Txn *txn = XN_BODY(act.msg, Xn__Txn);

        net_wal_apply(run->wal, &txn, 1, &rc);
        net_wal_tend(run->wal, false);
    } else {
        rc = net_wal_read(run->wal, XN_BODY(act.msg, Xn__Read), &msg);
    }
    t = now();
    xn_ticket_end(run->tickets, act.ticket, &t, rc, msg, &run->out);
    xn_msg_free(msg);
    xn_msg_free(act.msg);
    gather(run);
}

static void post(struct runner *run, const struct run_request *req)
{
    xn_id id = id_of(0xbb, req->n), from = id_of(0xaa, req->from);
    xn_id to = id_of(0xaa, req->to);
    struct xn_now t = now();
    struct ledger_op op;

    if (req->from == req->to) {
        ledger_op_open(&op, &id, &to, LEDGER_CLIENT, "GBP",
                       req->to ? 0 : LEDGER_FLOOR_NONE);
    } else {
        ledger_op_move(&op, LEDGER_CHARGE, &id, &from, &to, req->micro, "GBP");
    }
    ledger_post(run->ledger, &t, &op, on_answer, run, (void *)(uintptr_t)req->n,
                &run->out);
    gather(run);
}

/* All that has come; waits for something where nothing else is to be done. */
static void hear(struct runner *run)
{
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    int wait_ms = run->n_actions ? 0 : 1000;
    size_t done = 0;
    ssize_t n;

    if (poll(&in, 1, wait_ms) <= 0) return;
    n = read(STDIN_FILENO, run->in + run->in_len, sizeof run->in - run->in_len);
    if (n <= 0) exit(0);
    run->in_len += (size_t)n;
    while (run->in_len - done >= sizeof(struct run_request)) {
        struct run_request req;

        memcpy(&req, run->in + done, sizeof req);
        done += sizeof req;
        post(run, &req);
    }
    run->in_len -= done;
    memmove(run->in, run->in + done, run->in_len);
}

static void tell_state(struct runner *run)
{
    struct run_reply reply;
    const char *because;

    memset(&reply, 0, sizeof reply);
    if (run->told_ready || ledger_state(run->ledger) == LEDGER_STARTING) return;
    run->told_ready = true;
    reply.rc = ledger_fault(run->ledger, &because);
    if (reply.rc) fprintf(stderr, "ledger_run: %s\n", because);
    say(&reply);
    if (reply.rc) exit(1);
}

static int create(struct runner *run, const xn_id *corp)
{
    struct xn_msg *msg = NULL;
    const Xn__Txn *txn;
    int rc = ledger_genesis(corp, net_wall_us(), &msg);

    if (rc) return rc;
    txn = XN_BODY(msg, Xn__Txn);
    net_wal_apply(run->wal, &txn, 1, &rc);
    xn_msg_free(msg);
    return rc;
}

static int open_all(struct runner *run, const char *file, bool new)
{
    struct ledger_config config;
    struct net_wal_options options = {.create = new};
    struct net_wal_report report;
    const char *size = getenv("LEDGER_LOG");
    struct xn_now t = now();
    int rc;

    if (size) options.log_bytes = (size_t)atol(size);
    ledger_config_default(&config);
    config.corp = id_of(0x11, 0);
    config.recent_max = 100; /* so that repeats come to the store */
    rc = net_wal_open(file, &options, &run->wal, &report);
    if (rc) fprintf(stderr, "ledger_run: %s: %s\n", report.file, report.why);
    if (!rc && new) rc = create(run, &config.corp);
    if (!rc) rc = xn_tickets_new(&run->tickets);
    if (!rc) rc = ledger_new(&config, run->tickets, &run->ledger);
    if (rc) return rc;
    ledger_start(run->ledger, &t, &run->out);
    gather(run);
    return 0;
}

static void limit_files(void)
{
    const char *text = getenv("LEDGER_FSIZE");
    struct rlimit limit;

    if (!text) return;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = (rlim_t)atol(text);
    setrlimit(RLIMIT_FSIZE, &limit);
}

int main(int argc, char **argv)
{
    struct runner *run = calloc(1, sizeof *run);
    struct run_reply reply;
    struct xn_now t;
    int rc;

    if (!run || argc < 2) return 2;
    xn_out_init(&run->out);
    rc = open_all(run, argv[1], argc > 2);
    if (rc) {
        memset(&reply, 0, sizeof reply);
        reply.rc = rc;
        fprintf(stderr, "ledger_run: %s: %s\n", argv[1], xn_strerror(rc));
        say(&reply);
        return xn_exit_code(rc);
    }
    limit_files();
    for (;;) {
        tell_state(run);
        hear(run);
        if (run->n_actions) step(run);
        t = now();
        xn_tickets_run(run->tickets, &t, &run->out);
        gather(run);
    }
}
