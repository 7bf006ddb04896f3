/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log before the store: damaged anywhere; killed, cut off and out of room at
 * each step of its life.  wal_form.c has what its bytes may be. */
#include "tests/unit/net_kit.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/wal.h"
#include "net/wal_in.h"
#include "tests/soak/powercut.h"
#include "tests/unit/store_kit.h"

enum { KEYS = 9, LOG = 10 * 1024, MOST = 12000, OPS = 24, CALLS_MOST = 600 };

static struct {
    char dir[64], file[128], log[2][160];
    uint64_t seed; /* POWERCUT_SEED; 1 */
} here;

static int setup(void **state)
{
    /* What is durable is played: a disk would only be slow. */
    snprintf(here.dir, sizeof here.dir, "%s/xn-test.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(here.dir));
    snprintf(here.file, sizeof here.file, "%s/store.kct", here.dir);
    here.seed = getenv("POWERCUT_SEED")
                    ? strtoull(getenv("POWERCUT_SEED"), NULL, 10)
                    : 1;
    snprintf(here.log[0], sizeof here.log[0], "%s.log0", here.file);
    snprintf(here.log[1], sizeof here.log[1], "%s.log1", here.file);
    return 0;
}

static int teardown(void **state)
{
    kit_rmdir(here.dir);
    return 0;
}

/* ---- a life ---- */

static int open_it(struct net_wal **wal, bool keep,
                   struct net_wal_report *report)
{
    struct net_wal_options options = {.log_bytes = LOG,
                                      .log_most = 2 * LOG,
                                      .slice = 6,
                                      .create = true,
                                      .keep = keep};

    return net_wal_open(here.file, &options, wal, report);
}

/* One is longer than the log is as a rule. */
static size_t len_of(unsigned n)
{
    return n == 13 ? MOST : n * 977 % 2400;
}

/* Operation n, 1 and up, guarded by the count: writes n under one key, and
 * under the next n - 1 is gone. */
static int do_op(struct net_wal *wal, unsigned n)
{
    char was[16], is[16], key[2][16], value[MOST];
    Xn__Guard guard = XN__GUARD__INIT, *guards[] = {&guard};
    Xn__Write w[3], *writes[] = {&w[0], &w[1], &w[2]};
    Xn__Txn txn = XN__TXN__INIT;
    const Xn__Txn *list = &txn;
    int rc;

    snprintf(was, sizeof was, "%u", n - 1);
    snprintf(is, sizeof is, "%u", n);
    snprintf(key[0], sizeof key[0], "key%u", n % KEYS);
    snprintf(key[1], sizeof key[1], "key%u", (n + 1) % KEYS);
    memset(value, 'a' + (int)(n % 26), sizeof value);
    guard.key = bin("count");
    guard.absent = n == 1;
    if (n > 1) guard.value = bin(was);
    xn__write__init(&w[0]);
    xn__write__init(&w[1]);
    xn__write__init(&w[2]);
    w[0].key = bin("count");
    w[0].value = bin(is);
    w[1].key = bin(key[0]);
    w[1].value = (ProtobufCBinaryData){len_of(n), (uint8_t *)value};
    w[2].key = bin(key[1]);
    w[2].drop = true;
    txn.guards = guards;
    txn.n_guards = 1;
    txn.writes = writes;
    txn.n_writes = 3;
    net_wal_apply(wal, &list, 1, &rc);
    return rc;
}

/* What is there must be what `n` operations leave; returns n. */
static unsigned judge(struct net_wal *wal)
{
    Xn__Read read = XN__READ__INIT;
    unsigned n = 0, i, k, at = 1;
    const Xn__Records *all;
    struct xn_msg *msg = NULL;

    assert_int_equal(net_wal_read(wal, &read, &msg), 0);
    all = XN_BODY(msg, Xn__Records);
    if (all->n_records) {
        assert_memory_equal(all->records[0]->key.data, "count", 5);
        for (i = 0; i < all->records[0]->value.len; i++)
            n = 10 * n + all->records[0]->value.data[i] - '0';
    }
    for (k = 0; k < KEYS && n; k++) {
        unsigned last = n - (n + KEYS - k) % KEYS; /* that wrote key k */
        char key[16];

        if (last < 1 || last > n || (n + 1) % KEYS == k) continue;
        snprintf(key, sizeof key, "key%u", k);
        assert_true(at < all->n_records);
        assert_int_equal(all->records[at]->key.len, strlen(key));
        assert_memory_equal(all->records[at]->key.data, key, strlen(key));
        assert_int_equal(all->records[at]->value.len, len_of(last));
        at++;
    }
    assert_int_equal(all->n_records, n ? at : 0);
    xn_msg_free(msg);
    return n;
}

static unsigned told_so_far;

static void live(struct net_wal *wal, int tell)
{
    unsigned n;

    for (n = 1; n <= OPS; n++) {
        int tries = 0;

        while (do_op(wal, n)) {
            if (++tries > 20) _exit(30 - do_op(wal, n));
        }
        if (write(tell, "x", 1) != 1) _exit(4);
        told_so_far = n;
        /* Now and then the merging lags, and the next log waits for it. */
        if (n % 3) net_wal_tend(wal, true);
    }
}

/* Who was killed begins again, and tells what he finds: to read it is to say
 * that it is so. */
static void tell_again(int tell)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    unsigned n;

    if (open_it(&wal, false, &report)) _exit(2);
    for (n = judge(wal); told_so_far < n; told_so_far++) {
        if (write(tell, "x", 1) != 1) _exit(4);
    }
}

/* In a child that `what` hits at its at-th call; returns how many operations it
 * was told are durable.  *ended_out: it came to its end. */
static unsigned one_life(enum powercut what, long at, bool *ended_out)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    int ends[2], status;
    unsigned told = 0;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        int tries = 0;

        powercut_then(tell_again, ends[1]);
        powercut_seed(here.seed << 20 ^ (uint64_t)at);
        powercut_arm(what, at);
        while (open_it(&wal, false, &report)) {
            if (++tries > 20) _exit(2);
        }
        live(wal, ends[1]);
        net_wal_close(wal);
        _exit(0);
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) == 1)
        told++;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ended_out = WIFEXITED(status);
    while (wait(&status) > 0) {
        assert_true(WIFSIGNALED(status));
        status = 0;
    }
    if (*ended_out) assert_int_equal(WEXITSTATUS(status), 0);
    return told;
}

static void unlink_all(void)
{
    static const char *const ends[] = {
        "",     ".log0",     ".log1", ".log0.new", ".log1.new",
        ".wal", ".wal.kept", ".lock", ".new",      ".new.wal"};
    char path[160];
    size_t i;

    for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", here.file, ends[i]);
        unlink(path);
    }
}

/* Everything that was told is there; one more may be. */
static void look(unsigned told, bool ended)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    unsigned n, i;
    int rc = open_it(&wal, true, &report);

    if (rc) {
        fail_msg("seed %llu: %s: %s: %s", (unsigned long long)here.seed,
                 report.file, report.why, xn_strerror(rc));
    }
    n = judge(wal);
    if (n != told && (ended || n != told + 1)) {
        fail_msg("seed %llu: %u were told, %u are there",
                 (unsigned long long)here.seed, told, n);
    }
    /* It goes on from there. */
    for (i = n + 1; i < n + 4; i++)
        assert_int_equal(do_op(wal, i), 0);
    net_wal_close(wal);
    assert_int_equal(open_it(&wal, false, &report), 0);
    assert_int_equal(judge(wal), n + 3);
    net_wal_close(wal);
    assert_int_equal(open_it(&wal, true, &report), 0);
    assert_int_equal(judge(wal), n + 3);
    net_wal_close(wal);
}

static void hit_everywhere(enum powercut what, long step)
{
    const char *soak = getenv("SOAK");
    bool ended = false;
    long at, lives = 0;

    /* Elsewhere with another seed. */
    if (soak && strcmp(soak, "full") == 0) step = 1;
    at = 1 + (long)(here.seed % (uint64_t)step);

    for (; at < 100000; at += step, lives++) {
        unsigned told = one_life(what, at, &ended);

        look(told, ended);
        unlink_all();
        if (ended && what != POWERCUT_FULL && what != POWERCUT_LOG) break;
        if (at > CALLS_MOST) break;
    }
    assert_true(lives > 40);
    print_message("# %ld lives, %ld calls\n", lives, at);
}

static void killed_everywhere(void **state)
{
    hit_everywhere(POWERCUT_KILL, 5);
}

static void power_cut_everywhere(void **state)
{
    hit_everywhere(POWERCUT_POWER, 3);
}

/* What a restart found was in the system's memory, perhaps, and not on the disk:
 * who is told of it must be able to rely on it. */
static void killed_and_cut_everywhere(void **state)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    hit_everywhere(POWERCUT_TWICE, 7);
}

static void full_everywhere(void **state)
{
    hit_everywhere(POWERCUT_FULL, 12);
}

static void log_fails_everywhere(void **state)
{
    hit_everywhere(POWERCUT_LOG, 12);
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* ---- refused ---- */

/* How many operations are there, as the store says; -1: it does not. */
static int ask(struct net_wal *wal)
{
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg = NULL;

    if (net_wal_read(wal, &read, &msg)) return -1;
    xn_msg_free(msg);
    return (int)judge(wal);
}

/* Of six operations the log refuses the last, and `fails` of its calls fail;
 * what the store says of that afterwards is the child's last word. */
static int be_refused(int fails, bool power)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    int ends[2], status, said = -1;
    unsigned n;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        if (open_it(&wal, false, &report)) _exit(2);
        for (n = 1; n < 6; n++) {
            if (do_op(wal, n)) _exit(3);
        }
        powercut_for(fails);
        powercut_arm(POWERCUT_LOG, 1);
        if (do_op(wal, 6) != XN_EIO) _exit(4);
        said = ask(wal);
        if (write(ends[1], &said, sizeof said) != sizeof said) _exit(5);
        if (power) powercut_now();
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &said, sizeof said), sizeof said);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(power ? WIFSIGNALED(status) : WIFEXITED(status));
    return said;
}

/* What was refused does not come back, once the store has said so; a store that
 * cannot know what will come back says nothing. */
static void refused_for_good(void **state)
{
    unsigned i, quiet = 0;

    for (i = 0; i < 60; i++) {
        struct net_wal_report report;
        struct net_wal *wal = NULL;
        int said;

        powercut_seed(here.seed << 20 ^ i);
        said = be_refused(1 + i % 5, i % 2);
        quiet += said < 0;
        assert_int_equal(open_it(&wal, true, &report), 0);
        if (said < 0) {
            assert_in_range(judge(wal), 5, 6);
        } else {
            assert_int_equal(said, 5);
            assert_int_equal(judge(wal), 5);
        }
        net_wal_close(wal);
        unlink_all();
    }
    assert_in_range(quiet, 1, i - 1);
}

/* ---- how long one commit takes ---- */

enum { PACED_LOG = 256 * 1024, PACED_SLICE = 32, ROWS_MOST = 300 };

static int open_paced(size_t slice, struct net_wal **wal)
{
    struct net_wal_options options = {
        .log_bytes = PACED_LOG, .slice = slice, .create = true, .keep = true};
    struct net_wal_report report;

    return net_wal_open(here.file, &options, wal, &report);
}

/* New rows, the n-th and those behind it, of `len` bytes; and what the store's
 * thread does then. */
static int add_rows(struct net_wal *wal, unsigned n, unsigned rows, size_t len)
{
    static char keys[ROWS_MOST][16];
    static uint8_t value[60000];
    Xn__Write w[ROWS_MOST], *writes[ROWS_MOST];
    Xn__Txn txn = XN__TXN__INIT;
    const Xn__Txn *list = &txn;
    unsigned i;
    int rc;

    for (i = 0; i < rows; i++) {
        snprintf(keys[i], sizeof keys[i], "%08x", (n + i) * 2654435769U);
        xn__write__init(&w[i]);
        w[i].key = bin(keys[i]);
        w[i].value = (ProtobufCBinaryData){len, value};
        writes[i] = &w[i];
    }
    txn.writes = writes;
    txn.n_writes = rows;
    net_wal_apply(wal, &list, 1, &rc);
    net_wal_tend(wal, false);
    return rc;
}

struct pace {
    unsigned rows;
    long longest; /* of all commits, in calls */
    unsigned changes;
};

/* Until the logs change: `at` most of a log's sectors are in use then. */
static void commit_until(struct pace *pace, struct net_wal *wal, unsigned rows,
                         size_t len, unsigned sectors)
{
    uint64_t epoch = wal->active.epoch;

    while (wal->active.epoch == epoch && wal->active.end < sectors) {
        long from = powercut_calls();

        assert_int_equal(add_rows(wal, pace->rows, rows, len), 0);
        from = powercut_calls() - from;
        if (from > pace->longest) pace->longest = from;
        pace->rows += rows;
    }
    pace->changes += wal->active.epoch != epoch;
}

/* Whatever comes, small commits, large ones, a restart just before a log is full:
 * none has to wait until all of the other log is merged, and none is refused. */
static void no_commit_waits_long(void **state)
{
    struct pace pace = {.rows = 1};
    struct net_wal *wal = NULL;
    long slice = 0, from;
    unsigned i;

    powercut_arm(POWERCUT_KILL, LONG_MAX);
    assert_int_equal(open_paced(PACED_SLICE, &wal), 0);
    assert_int_equal(add_rows(wal, 0, 1, 60), 0);
    for (i = 0; i < 4; i++) {
        commit_until(&pace, wal, 4, 60, UINT_MAX);
        commit_until(&pace, wal, 4, 60, wal->active.sectors * 3 / 5);
        if (i % 2)
            commit_until(&pace, wal, 4, 60, wal->active.sectors * 9 / 10);
        net_wal_close(wal);
        assert_int_equal(open_paced(PACED_SLICE, &wal), 0);
        commit_until(&pace, wal, 200 >> i, i == 3 ? 600 : 40, UINT_MAX);
    }
    assert_int_equal(pace.changes, 8);
    for (i = 0; i < 4; i++) {
        from = powercut_calls();
        net_wal_tend(wal, true);
        from = powercut_calls() - from;
        if (from > slice) slice = from;
    }
    print_message("# a slice takes %ld calls, the longest commit %ld\n", slice,
                  pace.longest);
    assert_in_range(pace.longest, 1, 10 * slice);
    net_wal_close(wal);
    powercut_arm(POWERCUT_KILL, 0);
}

/* Fewer commits than there are slices by eight: they wait, they are not
 * refused, also where idle time has merged a part. */
static void large_commits_behind_small_ones(void **state)
{
    struct pace pace = {.rows = 1};
    struct net_wal *wal = NULL;
    unsigned round, i;

    assert_int_equal(open_paced(4, &wal), 0);
    for (round = 0; round < 3; round++) {
        commit_until(&pace, wal, 4, 60, UINT_MAX);
        for (i = 0; i < 200 * round; i++)
            net_wal_tend(wal, true);
        commit_until(&pace, wal, 1, PACED_LOG / 15, UINT_MAX);
    }
    assert_int_equal(pace.changes, 6);
    net_wal_close(wal);
}

/* ---- a disk that is nearly full ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static uint64_t count_rows(struct net_wal *wal)
{
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg = NULL;
    uint64_t n;

    assert_int_equal(net_wal_read(wal, &read, &msg), 0);
    n = XN_BODY(msg, Xn__Records)->n_records;
    xn_msg_free(msg);
    return n;
}

/* There is no room for a log as large as it should be, but for a small one: it
 * will do, to the end and over a restart, and what is there can be read. */
static void nearly_full_disk(void **state)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    unsigned n = 0;
    int rc;

    sigaction(SIGXFSZ, &ignore, &was);
    assert_int_equal(net_wal_open(here.file,
                                  &(struct net_wal_options){.create = true},
                                  &wal, &report),
                     0);
    limit_files((rlim_t)size_of(here.file) + 100000);
    assert_int_equal(add_rows(wal, n++, 1, 60), 0);
    assert_in_range(size_of(here.log[1]), 64 << 10, 1 << 20);
    do {
        rc = add_rows(wal, n, 1, 1000);
        n += rc == 0;
    } while (!rc);
    assert_int_equal(rc, XN_ENOSPC);
    assert_true(n > 100);
    assert_int_equal(count_rows(wal), n);
    net_wal_close(wal);
    assert_int_equal(net_wal_open(here.file, NULL, &wal, &report), 0);
    assert_int_equal(count_rows(wal), n);
    limit_files(RLIM_INFINITY);
    assert_int_equal(add_rows(wal, n, 1, 1000), 0);
    assert_int_equal(count_rows(wal), n + 1);
    net_wal_close(wal);
    sigaction(SIGXFSZ, &was, NULL);
}

/* ---- files spoilt ---- */

/* A store with two logs in use, the first not merged. */
static unsigned make_two_logs(void)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    unsigned n;

    assert_int_equal(open_it(&wal, true, &report), 0);
    for (n = 1; access(here.log[0], F_OK) || access(here.log[1], F_OK); n++)
        assert_int_equal(do_op(wal, n), 0);
    assert_int_equal(do_op(wal, n), 0);
    assert_int_equal(judge(wal), n);
    net_wal_close(wal);
    return n;
}

static void refused(const char *file)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;

    assert_int_equal(open_it(&wal, true, &report), XN_EINTEGRITY);
    assert_string_equal(report.file, file);
    assert_true(report.why[0]);
}

static void move(const char *from, const char *to)
{
    assert_int_equal(rename(from, to), 0);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* The file without its last sector; `whole` is what it was. */
static void cut(const char *path, const char *whole)
{
    static uint8_t bytes[2 * LOG + 1];
    int from = open(path, O_RDONLY | O_CLOEXEC), to;
    ssize_t n = read(from, bytes, sizeof bytes);

    assert_in_range(n, LOG, 2 * LOG);
    move(path, whole);
    to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(to, bytes, (size_t)n - 512), n - 512);
    close(from);
    close(to);
}

static void logs_spoilt(void **state)
{
    char aside[200];
    unsigned i, n = make_two_logs();
    off_t at;

    snprintf(aside, sizeof aside, "%s.aside", here.file);
    for (i = 0; i < 2; i++) {
        move(here.log[i], aside);
        refused(here.log[i]); /* gone */
        close(open(here.log[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        refused(here.log[i]); /* emptied */
        move(aside, here.log[i]);
        for (at = 3; at < size_of(here.log[i]); at += 97) {
            flip(here.log[i], at);
            refused(here.log[i]);
            flip(here.log[i], at);
        }
        cut(here.log[i], aside);
        refused(here.log[i]);
        move(aside, here.log[i]);
    }
    move(here.log[0], aside);
    move(here.log[1], here.log[0]);
    move(aside, here.log[1]);
    refused(here.log[1]); /* each in the other's place */
    move(here.log[0], aside);
    move(here.log[1], here.log[0]);
    move(aside, here.log[1]);
    move(here.file, aside);
    refused(here.file); /* the store is gone */
    move(aside, here.file);
    look(n, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(logs_spoilt),
        TEST(nearly_full_disk),
        TEST(refused_for_good),
        TEST(no_commit_waits_long),
        TEST(large_commits_behind_small_ones),
        TEST(killed_everywhere),
        TEST(power_cut_everywhere),
        TEST(killed_and_cut_everywhere),
        TEST(full_everywhere),
        TEST(log_fails_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
