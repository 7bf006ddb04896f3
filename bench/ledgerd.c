/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger in a process of its own, driven as xenocorpd drives it: the same
 * loop, the same thread that owns the store, the same batches; requests come
 * over a Unix socket rather than HTTPS.
 *
 *   ledgerd STORE SOCKET */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "bench/wire.h"
#include "corp/ledger.h"
#include "lib/err.h"
#include "net/clock.h"
#include "net/loop.h"
#include "net/post.h"
#include "net/store.h"
#include "net/wal.h"
#include "seam/out.h"

enum { CONNS_MAX = 2048, ACCOUNTS_MAX = 4096 };

struct server;

struct conn {
    struct server *server;
    int fd;
    struct event *event;
};

/* One request under way: the ASK's ticket is where it lies. */
struct call {
    struct conn *conn;
    struct bench_request request;
};

struct server {
    struct xn_core core; /* first */
    struct xn_out out;
    struct xn_tickets *tickets;
    struct ledger *ledger;
    struct net_loop *loop;
    struct net_post *post;
    struct net_store *store;
    bool started;
};

/* ---- the core ---- */

static void on_answer(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *r, struct xn_out *out)
{
    struct call *call = ctx;
    struct bench_reply reply = {r->rc, r->index, r->seq};

    if (r->rc) fprintf(stderr, "ledgerd: %s\n", r->because);
    if (write(call->conn->fd, &reply, sizeof reply) != (ssize_t)sizeof reply) {
        /* He is gone, and his loop with him. */
    }
    free(call);
}

/* Who charges knows the accounts: no hashing of theirs is measured. */
static const xn_id *account_id(uint32_t n)
{
    static xn_id ids[ACCOUNTS_MAX];

    if (n >= ACCOUNTS_MAX) exit(1);
    if (xn_id_is_zero(&ids[n])) xn_id_hash(&n, sizeof n, &ids[n]);
    return &ids[n];
}

static void open_account(const struct bench_request *r, struct ledger_op *op)
{
    const xn_id *account = account_id(r->to);
    xn_id id;

    memcpy(id.b, r->id, sizeof id.b);
    ledger_op_open(op, &id, account, LEDGER_CLIENT, "GBP",
                   r->to ? 0 : LEDGER_FLOOR_NONE);
    if (!r->micro) return;
    op->postings[0] = (struct ledger_posting){*account_id(0), -r->micro, "GBP"};
    op->postings[1] = (struct ledger_posting){*account, r->micro, "GBP"};
    op->n_postings = 2;
}

static void post(struct server *s, const struct xn_now *now, struct call *call)
{
    const struct bench_request *r = &call->request;
    struct ledger_op op;

    if (r->what == BENCH_OPEN) {
        open_account(r, &op);
    } else {
        xn_id id;

        memcpy(id.b, r->id, sizeof id.b);
        ledger_op_move(&op, LEDGER_CHARGE, &id, account_id(r->from),
                       account_id(r->to), r->micro, "GBP");
    }
    ledger_post(s->ledger, now, &op, on_answer, s, call, &s->out);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *box)
{
    struct server *s = (struct server *)(void *)core;

    xn_out_reset(&s->out);
    if (!s->started) {
        s->started = true;
        ledger_start(s->ledger, now, &s->out);
    }
    if (ev->kind == XN_EV_ASK) {
        post(s, now, (struct call *)(uintptr_t)ev->ticket);
    } else if (ev->kind == XN_EV_DONE) {
        xn_ticket_end(s->tickets, ev->ticket, now, ev->rc, ev->msg, &s->out);
    }
    xn_tickets_run(s->tickets, now, &s->out);
    *box = xn_out_box(&s->out, xn_tickets_next(s->tickets));
    return s->out.rc;
}

static const struct xn_core_ops core_ops = {"bench", step, NULL, NULL};

/* ---- the driver ---- */

static void act(void *user, const struct xn_action *action)
{
    struct server *s = user;

    if (action->kind == XN_ACT_TXN) {
        net_store_txn(s->store, action->ticket, action->msg);
    } else if (action->kind == XN_ACT_READ) {
        net_store_read(s->store, action->ticket, action->msg);
    }
}

static void on_gone(void *user, xn_peer peer)
{
}

static void on_turned(void *user)
{
}

static void on_stepped(void *user, const struct xn_now *now,
                       const struct xn_event *ev, const struct xn_outbox *box)
{
}

static void on_request(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;
    struct bench_request requests[64];
    ssize_t n = read(fd, requests, sizeof requests);
    size_t i;

    if (n <= 0 || (size_t)n % sizeof requests[0]) {
        event_del(conn->event);
        shutdown(fd, SHUT_RDWR);
        return;
    }
    for (i = 0; i < (size_t)n / sizeof requests[0]; i++) {
        struct call *call = malloc(sizeof *call);

        if (!call) exit(1);
        call->conn = conn;
        call->request = requests[i];
        net_loop_raise(conn->server->loop, XN_EV_ASK, (uintptr_t)call, 0,
                       XN_PEER_NONE, NULL);
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn) exit(1);
    conn->server = s;
    conn->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (conn->fd < 0) {
        free(conn);
        return;
    }
    conn->event = event_new(net_loop_base(s->loop), conn->fd,
                            EV_READ | EV_PERSIST, on_request, conn);
    if (!conn->event || event_add(conn->event, NULL)) exit(1);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    net_loop_stop(((struct server *)arg)->loop, XN_ECANCELLED);
}

static int listen_at(struct server *s, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct event *event, *end;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) ||
        listen(fd, CONNS_MAX)) {
        perror(path);
        return XN_EIO;
    }
    event = event_new(net_loop_base(s->loop), fd, EV_READ | EV_PERSIST,
                      on_accept, s);
    end = evsignal_new(net_loop_base(s->loop), SIGTERM, on_signal, s);
    if (!event || !end || event_add(event, NULL) || event_add(end, NULL)) {
        return XN_ENOMEM;
    }
    return 0;
}

static int make_store(const char *path, const xn_id *corp)
{
    struct net_wal_options options = {.create = true};
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    struct xn_msg *msg = NULL;
    const Xn__Txn *txn;
    int rc = net_wal_open(path, &options, &wal, &report);

    if (!rc) rc = ledger_genesis(corp, net_wall_us(), &msg);
    if (rc) return rc;
    txn = XN_BODY(msg, Xn__Txn);
    net_wal_apply(wal, &txn, 1, &rc);
    xn_msg_free(msg);
    net_wal_close(wal);
    return rc;
}

static int open_all(struct server *s, const char *store, const char *socket)
{
    struct net_loop_user user = {s, act, on_gone, on_turned, on_stepped};
    struct ledger_config config;
    int rc;

    ledger_config_default(&config);
    memset(config.corp.b, 0x11, sizeof config.corp.b);
    s->core.ops = &core_ops;
    xn_out_init(&s->out);
    rc = access(store, F_OK) ? make_store(store, &config.corp) : 0;
    if (!rc) rc = xn_tickets_new(&s->tickets);
    if (!rc) rc = ledger_new(&config, s->tickets, &s->ledger);
    if (!rc) rc = net_loop_new(&user, &s->loop);
    if (!rc) rc = net_post_new(net_loop_base(s->loop), &s->post);
    if (!rc) {
        rc = net_store_new(s->loop, s->post, "ledgerd", store, NET_STORE_LEDGER,
                           &s->store);
    }
    return rc ? rc : listen_at(s, socket);
}

int main(int argc, char **argv)
{
    struct server *s = calloc(1, sizeof *s);
    int rc;

    if (!s || argc != 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    rc = open_all(s, argv[1], argv[2]);
    if (rc) {
        fprintf(stderr, "ledgerd: %s: %s\n", argv[1], xn_strerror(rc));
        return xn_exit_code(rc);
    }
    net_loop_run(s->loop, &s->core);
    net_store_free(s->store);
    return 0;
}
