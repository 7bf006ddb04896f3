/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kills the ledger program again and again and holds what it finds against
 * what it was told: each acknowledged operation is in the journal once and
 * where the answer said, no refused one is, and everything adds up.
 *
 *   ledger_kill kill|power|full ROUNDS SEED PROGRAM FILE
 *
 * kill: SIGKILL at random moments with at least 50 operations under way.
 * power: of what was written since the last fsync any sectors are there.
 * full: no more room for the file; room again; nothing is lost. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "corp/audit.h"
#include "lib/err.h"
#include "lib/rng.h"
#include "net/clock.h"
#include "net/wal.h"
#include "tests/soak/ledger_run.h"

enum { FLIGHT = 64, LEAST = 50 };

enum fate { NEVER, UNDER_WAY, UNKNOWN, DONE, REFUSED };

struct told { /* of operation n */
    struct run_request req;
    struct run_reply reply;
    enum fate fate;
};

struct soak {
    const char *mode, *program, *file;
    uint64_t seed;
    struct xn_rng rng;
    struct told *told; /* by n */
    size_t n, cap;     /* numbers used: 1 .. n - 1 */
    size_t flying;
    pid_t pid;
    int to, from;
    uint64_t start_us_max, start_us_sum, starts, acknowledged, refused,
        repeated, resent, failed;
};

static void die(const struct soak *soak, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(const struct soak *soak, const char *fmt, ...)
{
    va_list ap;

    printf("not ok - seed %llu: ", (unsigned long long)soak->seed);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    if (soak->pid > 0) kill(soak->pid, SIGKILL);
    exit(1);
}

/* ---- the program ---- */

static struct told *new_op(struct soak *soak)
{
    if (soak->n == soak->cap) {
        soak->cap = soak->cap ? 2 * soak->cap : 1024;
        soak->told = realloc(soak->told, soak->cap * sizeof *soak->told);
        if (!soak->told) die(soak, "out of memory");
    }
    memset(&soak->told[soak->n], 0, sizeof soak->told[0]);
    soak->told[soak->n].req.n = soak->n;
    return &soak->told[soak->n++];
}

static void set_number(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

static void launch(struct soak *soak, bool create)
{
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) die(soak, "no pipe");
    soak->pid = fork();
    if (soak->pid < 0) die(soak, "no process");
    if (soak->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execl(soak->program, soak->program, soak->file,
              create ? "create" : (char *)NULL, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    soak->to = in[1];
    soak->from = out[0];
}

/* 0: the program is gone. */
static int hear(struct soak *soak, struct run_reply *reply)
{
    size_t got = 0;

    while (got < sizeof *reply) {
        ssize_t n = read(soak->from, (char *)reply + got, sizeof *reply - got);

        if (n <= 0) return 0;
        got += (size_t)n;
    }
    return 1;
}

/* Returns false where the power was cut before it was ready. */
static bool start(struct soak *soak, bool create)
{
    uint64_t from_us = net_mono_us(), us;
    struct run_reply ready;

    launch(soak, create);
    if (!hear(soak, &ready)) return false;
    if (ready.n || ready.rc) {
        die(soak, "it does not start: %s", xn_strerror(ready.rc));
    }
    us = net_mono_us() - from_us;
    if (us > soak->start_us_max) soak->start_us_max = us;
    soak->start_us_sum += us;
    soak->starts++;
    return true;
}

static void send(struct soak *soak, struct told *told)
{
    if (write(soak->to, &told->req, sizeof told->req) !=
        (ssize_t)sizeof told->req) {
        /* It is gone: whether it read this is not known. */
    }
    told->fate = UNDER_WAY;
    soak->flying++;
}

static void take(struct soak *soak, const struct run_reply *reply)
{
    struct told *told;

    if (reply->n == 0 || reply->n >= soak->n) die(soak, "a reply to nobody");
    told = &soak->told[reply->n];
    if (told->fate != UNDER_WAY) die(soak, "answered twice");
    told->reply = *reply;
    soak->flying--;
    soak->repeated += reply->repeated;
    switch (reply->rc) {
    case 0:
        told->fate = DONE;
        soak->acknowledged++;
        break;
    case XN_EFUNDS:
        told->fate = REFUSED;
        soak->refused++;
        break;
    case XN_ENOSPC:
    case XN_EIO:
        told->fate = REFUSED;
        soak->failed++;
        break;
    case XN_EUNKNOWN:
        told->fate = UNKNOWN;
        soak->failed++;
        break;
    default:
        die(soak, "operation %llu: %s", (unsigned long long)reply->n,
            xn_strerror(reply->rc));
    }
}

/* The process is gone: what was under way may have happened or not. */
static void bury(struct soak *soak)
{
    struct run_reply reply;
    size_t i;

    while (hear(soak, &reply)) /* said before it died */
        take(soak, &reply);
    close(soak->to);
    close(soak->from);
    waitpid(soak->pid, NULL, 0);
    soak->pid = 0;
    for (i = 1; i < soak->n; i++) {
        if (soak->told[i].fate == UNDER_WAY) soak->told[i].fate = UNKNOWN;
    }
    soak->flying = 0;
}

/* ---- load ---- */

static void send_new(struct soak *soak)
{
    struct told *told = new_op(soak);
    bool pay_in = xn_rng_below(&soak->rng, 5) == 0;

    told->req.from =
        pay_in ? 0 : 1 + (uint32_t)xn_rng_below(&soak->rng, RUN_ACCOUNTS - 1);
    do {
        told->req.to = 1 + (uint32_t)xn_rng_below(&soak->rng, RUN_ACCOUNTS - 1);
    } while (told->req.to == told->req.from);
    told->req.micro = 1 + (int64_t)xn_rng_below(&soak->rng, 2000000);
    send(soak, told);
}

/* Some of those whose fate is unknown are given again; the oldest may have
 * been done long ago. */
static void send_again(struct soak *soak)
{
    size_t i, sent = 0;

    for (i = soak->n; i-- > 1 && sent < FLIGHT / 2;) {
        struct told *told = &soak->told[i];

        if (told->fate != UNKNOWN || xn_rng_below(&soak->rng, 2)) continue;
        send(soak, told);
        sent++;
        soak->resent++;
    }
}

static void open_accounts(struct soak *soak)
{
    struct run_reply reply;
    uint32_t i;

    for (i = 0; i < RUN_ACCOUNTS; i++) {
        struct told *told = new_op(soak);

        told->req.from = told->req.to = i;
        send(soak, told);
    }
    while (soak->flying && hear(soak, &reply))
        take(soak, &reply);
    if (soak->flying) die(soak, "it ended while accounts were opened");
}

/* Keep FLIGHT under way until `replies` have come.  false: it is gone. */
static bool load(struct soak *soak, uint64_t replies)
{
    struct run_reply reply;

    for (;;) {
        while (soak->flying < FLIGHT)
            send_new(soak);
        if (replies-- == 0) return true;
        if (!hear(soak, &reply)) return false;
        take(soak, &reply);
    }
}

/* ---- the judge ---- */

struct judge {
    struct soak *soak;
    struct audit *audit;
    uint8_t *seen;
};

static int judge_journal(struct judge *judge, const Xn__Record *r)
{
    Xn__LedgerBatch *batch =
        xn__ledger_batch__unpack(NULL, r->value.len, r->value.data);
    size_t i;
    int rc = audit_journal(judge->audit, r->key.data, r->key.len, r->value.data,
                           r->value.len);

    if (rc || !batch) die(judge->soak, "%s", audit_why(judge->audit));
    for (i = 0; i < batch->n_ops; i++) {
        const struct told *told;
        uint64_t n;

        memcpy(&n, batch->ops[i]->id.data + 24, sizeof n);
        if (n == 0 || n >= judge->soak->n) {
            die(judge->soak, "the journal has an operation nobody gave");
        }
        told = &judge->soak->told[n];
        if (judge->seen[n])
            die(judge->soak, "%llu was done twice", (unsigned long long)n);
        judge->seen[n] = 1;
        if (told->fate == REFUSED) {
            die(judge->soak, "%llu was refused and is done",
                (unsigned long long)n);
        }
        if (told->fate == DONE &&
            (told->reply.seq != batch->seq || told->reply.index != i)) {
            die(judge->soak, "%llu is not where it was said to be",
                (unsigned long long)n);
        }
    }
    xn__ledger_batch__free_unpacked(batch, NULL);
    return 0;
}

static void judge_rest(struct judge *judge, const Xn__Record *r)
{
    int rc = 0;

    if (r->key.data[0] == 'J') return;
    if (r->key.data[0] == 'K') {
        rc = audit_head(judge->audit, r->value.data, r->value.len);
    } else {
        rc = audit_record(judge->audit, r->key.data, r->key.len, r->value.data,
                          r->value.len);
    }
    if (rc) die(judge->soak, "%s", audit_why(judge->audit));
}

static void each(struct judge *judge, struct net_wal *wal)
{
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg = NULL;
    uint8_t from[1025];
    bool more = true;
    size_t i;

    read.from.data = from;
    while (more) {
        const Xn__Records *records;

        if (net_wal_read(wal, &read, &msg)) die(judge->soak, "cannot read");
        records = XN_BODY(msg, Xn__Records);
        more = records->more;
        for (i = 0; i < records->n_records; i++) {
            const Xn__Record *r = records->records[i];

            if (r->key.data[0] == 'J') judge_journal(judge, r);
            judge_rest(judge, r);
            memcpy(from, r->key.data, r->key.len);
            from[r->key.len] = 0;
            read.from.len = r->key.len + 1;
        }
        xn_msg_free(msg);
    }
}

/* SOAK_KEEP=FOLDER: the files as they were before the judge opened them. */
static void save_for_seeing(const struct soak *soak)
{
    const char *folder = getenv("SOAK_KEEP");
    char command[700];

    if (!folder) return;
    snprintf(command, sizeof command, "cp -f '%s'* '%s'/", soak->file, folder);
    if (system(command)) die(soak, "cannot keep the files");
}

/* The program does not run. */
static void look(struct soak *soak)
{
    struct judge judge = {.soak = soak};
    struct audit_report report;
    struct net_wal_options options = {.keep = true};
    struct net_wal_report report_of;
    struct net_wal *wal = NULL;
    uint64_t i;
    int rc;

    save_for_seeing(soak);
    judge.seen = calloc(soak->n + 1, 1);
    rc = net_wal_open(soak->file, &options, &wal, &report_of);
    if (rc || audit_new(&judge.audit) || !judge.seen) {
        die(soak, "cannot look: %s", xn_strerror(rc));
    }
    each(&judge, wal);
    if (audit_end(judge.audit, &report))
        die(soak, "%s", audit_why(judge.audit));
    for (i = 1; i < soak->n; i++) {
        if (soak->told[i].fate == DONE && !judge.seen[i]) {
            die(soak, "%llu was acknowledged and is lost",
                (unsigned long long)i);
        }
        /* From now on it is known. */
        if (soak->told[i].fate == UNKNOWN && judge.seen[i]) continue;
    }
    audit_free(judge.audit);
    free(judge.seen);
    net_wal_close(wal);
}

/* ---- the ways to die ---- */

static void round_kill(struct soak *soak)
{
    uint64_t replies = xn_rng_below(&soak->rng, 300);

    if (!start(soak, false)) die(soak, "it died by itself");
    send_again(soak);
    if (!load(soak, replies)) die(soak, "it died by itself");
    /* Anywhere within the batches under way. */
    usleep((useconds_t)xn_rng_below(&soak->rng, 3000));
    if (soak->flying < LEAST) die(soak, "too few operations under way");
    kill(soak->pid, SIGKILL);
    bury(soak);
}

static void round_power(struct soak *soak)
{
    bool alive;

    /* Often so early that what the last cut left is being undone. */
    set_number(
        "POWERCUT_AT",
        1 + xn_rng_below(&soak->rng, xn_rng_below(&soak->rng, 2) ? 60 : 4000));
    set_number("POWERCUT_SEED", xn_rng_u64(&soak->rng) >> 1);
    alive = start(soak, false);
    if (alive) {
        send_again(soak);
        alive = load(soak, UINT64_MAX);
        if (alive) die(soak, "the power stayed on");
    }
    bury(soak);
    unsetenv("POWERCUT_AT");
}

/* The file may grow by a little; when it is full, the ledger says so and goes
 * on living; then there is room again. */
static void round_full(struct soak *soak)
{
    uint64_t failed = soak->failed, done;
    struct stat st;

    if (stat(soak->file, &st)) die(soak, "no file");
    set_number("LEDGER_FSIZE",
               (uint64_t)st.st_size + xn_rng_below(&soak->rng, 1 << 16));
    if (!start(soak, false)) die(soak, "it died by itself");
    while (soak->failed == failed) {
        if (!load(soak, 20)) die(soak, "a full disk killed it");
    }
    kill(soak->pid, SIGKILL);
    bury(soak);
    unsetenv("LEDGER_FSIZE");
    look(soak);
    done = soak->acknowledged;
    if (!start(soak, false)) die(soak, "it does not start again");
    send_again(soak);
    if (!load(soak, 100)) die(soak, "it died by itself");
    if (soak->acknowledged == done) die(soak, "it does not go on");
    kill(soak->pid, SIGKILL);
    bury(soak);
}

int main(int argc, char **argv)
{
    struct soak soak;
    unsigned long rounds, i;

    if (argc != 6) return 2;
    memset(&soak, 0, sizeof soak);
    signal(SIGPIPE, SIG_IGN);
    soak.mode = argv[1];
    rounds = strtoul(argv[2], NULL, 10);
    soak.seed = strtoull(argv[3], NULL, 10);
    soak.program = argv[4];
    soak.file = argv[5];
    soak.n = 1;
    xn_rng_seed(&soak.rng, soak.seed);
    soak.n = 0;
    new_op(&soak); /* number 0 is nobody's */
    if (!start(&soak, true)) die(&soak, "it died by itself");
    open_accounts(&soak);
    kill(soak.pid, SIGKILL);
    bury(&soak);
    soak.start_us_max = soak.start_us_sum = soak.starts = 0;
    for (i = 0; i < rounds; i++) {
        if (!strcmp(soak.mode, "kill"))
            round_kill(&soak);
        else if (!strcmp(soak.mode, "power"))
            round_power(&soak);
        else
            round_full(&soak);
        if (i % 10 == 9 || i + 1 == rounds || soak.mode[0] == 'p') look(&soak);
    }
    printf("ok - %s: %lu rounds, %llu acknowledged, %llu refused, %llu given "
           "again (%llu of them were done), %llu failed with the store, "
           "starts take %llu ms, the slowest %llu\n",
           soak.mode, rounds, (unsigned long long)soak.acknowledged,
           (unsigned long long)soak.refused, (unsigned long long)soak.resent,
           (unsigned long long)soak.repeated, (unsigned long long)soak.failed,
           (unsigned long long)(soak.start_us_sum / 1000 /
                                (soak.starts ? soak.starts : 1)),
           (unsigned long long)(soak.start_us_max / 1000));
    free(soak.told);
    return 0;
}
