/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store: transactions, damage, a full disk, a killed process. */
#include "tests/unit/net_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/kv_in.h"
#include "tests/unit/store_kit.h"

struct place {
    char dir[64], file[128];
};

static struct place here;

static int setup(void **state)
{
    kit_mkdir(here.dir);
    snprintf(here.file, sizeof here.file, "%s/store.kct", here.dir);
    return 0;
}

static int teardown(void **state)
{
    kit_rmdir(here.dir);
    return 0;
}

static struct net_kv *open_kv(struct net_kv_report *report)
{
    struct net_kv *kv = NULL;

    assert_int_equal(net_kv_open(here.file, &kv, report), 0);
    return kv;
}

static struct net_kv *open_quiet(void)
{
    struct net_kv_report report;
    struct net_kv *kv = open_kv(&report);

    assert_int_equal(report.damaged, 0);
    assert_string_equal(report.set_aside, "");
    return kv;
}

/* Write one record; a guard where guard_value is given ("-": absent). */
static int put(struct net_kv *kv, const char *key, const char *value,
               const char *guard_value)
{
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    Xn__Guard guard = XN__GUARD__INIT, *guards[] = {&guard};
    const Xn__Txn *txns[] = {&txn};
    int rc;

    write.key = bin(key);
    if (value) {
        write.value = bin(value);
    } else {
        write.drop = true;
    }
    txn.writes = writes;
    txn.n_writes = 1;
    if (guard_value) {
        guard.key = bin(key);
        guard.absent = guard_value[0] == '-';
        if (!guard.absent) guard.value = bin(guard_value);
        txn.guards = guards;
        txn.n_guards = 1;
    }
    net_kv_apply(kv, txns, 1, &rc);
    return rc;
}

/* All that a READ gives, as "key=value key=value" with '+' where more is. */
static const char *get(struct net_kv *kv, const char *prefix, const char *from,
                       uint32_t limit)
{
    static char text[4096];
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg;

    read.prefix = bin(prefix);
    read.from = bin(from);
    read.limit = limit;
    assert_int_equal(net_kv_read(kv, &read, &msg), 0);
    records_text(XN_BODY(msg, Xn__Records), text, sizeof text);
    xn_msg_free(msg);
    return text;
}

static void pages(void **state)
{
    struct net_kv *kv = open_quiet();

    assert_int_equal(put(kv, "a/1", "one", NULL), 0);
    assert_int_equal(put(kv, "a/2", "two", NULL), 0);
    assert_int_equal(put(kv, "a/3", "", NULL), 0);
    assert_int_equal(put(kv, "b/1", "x", NULL), 0);
    assert_string_equal(get(kv, "a/", "", 0), "a/1=one a/2=two a/3=");
    assert_string_equal(get(kv, "a/", "", 2), "a/1=one a/2=two+");
    assert_string_equal(get(kv, "a/", "a/2", 0), "a/2=two a/3=");
    assert_string_equal(get(kv, "a/", "a/20", 0), "a/3=");
    assert_string_equal(get(kv, "a/", "a", 1), "a/1=one+");
    assert_string_equal(get(kv, "", "", 0), "a/1=one a/2=two a/3= b/1=x");
    assert_string_equal(get(kv, "b", "c", 0), "");
    assert_string_equal(get(kv, "c", "", 0), "");
    assert_int_equal(put(kv, "a/2", NULL, NULL), 0);
    assert_int_equal(put(kv, "nothing", NULL, NULL), 0);
    assert_string_equal(get(kv, "a/", "", 0), "a/1=one a/3=");
    net_kv_close(kv);
    kv = open_quiet();
    assert_string_equal(get(kv, "a/", "", 0), "a/1=one a/3=");
    net_kv_close(kv);
}

static void guards(void **state)
{
    struct net_kv *kv = open_quiet();

    assert_int_equal(put(kv, "k", "1", "-"), 0);
    assert_int_equal(put(kv, "k", "2", "-"), XN_ECONFLICT);
    assert_int_equal(put(kv, "k", "2", "9"), XN_ECONFLICT);
    assert_string_equal(get(kv, "", "", 0), "k=1");
    assert_int_equal(put(kv, "k", "2", "1"), 0);
    assert_string_equal(get(kv, "", "", 0), "k=2");
    net_kv_close(kv);
}

/* In one batch: the second's guard sees the first's write. */
static void batch(void **state)
{
    struct net_kv *kv = open_quiet();
    Xn__Txn one = XN__TXN__INIT, two = XN__TXN__INIT;
    Xn__Write w1 = XN__WRITE__INIT, w2 = XN__WRITE__INIT;
    Xn__Write *ws1[] = {&w1}, *ws2[] = {&w2};
    Xn__Guard guard = XN__GUARD__INIT, *gs[] = {&guard};
    const Xn__Txn *txns[] = {&one, &two};
    int rcs[2];

    w1.key = w2.key = guard.key = bin("k");
    w1.value = bin("first");
    w2.value = bin("second");
    guard.absent = true;
    one.writes = ws1;
    two.writes = ws2;
    one.n_writes = two.n_writes = 1;
    one.guards = two.guards = gs;
    one.n_guards = two.n_guards = 1;
    net_kv_apply(kv, txns, 2, rcs);
    assert_int_equal(rcs[0], 0);
    assert_int_equal(rcs[1], XN_ECONFLICT);
    assert_string_equal(get(kv, "", "", 0), "k=first");
    net_kv_close(kv);
}

static void one_process(void **state)
{
    struct net_kv *kv = open_quiet(), *other = NULL;
    struct net_kv_report report;

    assert_int_equal(net_kv_open(here.file, &other, &report), XN_EBUSY);
    net_kv_close(kv);
    assert_int_equal(net_kv_open("/tmp/a#b", &other, &report), XN_EINVAL);
    assert_int_equal(net_kv_open("/nowhere/store", &other, &report), XN_EIO);
}

/* Where in the file these bytes stand. */
static long offset_of(const char *needle)
{
    FILE *f = fopen(here.file, "rb");
    static char all[4 << 20];
    size_t n = fread(all, 1, sizeof all, f);
    char *at = memmem(all, n, needle, strlen(needle));

    fclose(f);
    assert_non_null(at);
    return at - all;
}

static void overwrite(long at, const char *bytes, size_t len)
{
    int fd = open(here.file, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

static void flipped_value(void **state)
{
    struct net_kv_report report;
    struct net_kv *kv = open_quiet();

    assert_int_equal(put(kv, "good", "safe and sound", NULL), 0);
    assert_int_equal(put(kv, "hurt", "WILLBEFLIPPED", NULL), 0);
    net_kv_close(kv);
    overwrite(offset_of("WILLBEFLIPPED"), "w", 1);
    kv = open_kv(&report);
    assert_int_equal(report.damaged, 1);
    assert_int_equal(report.records, 1);
    assert_string_equal(report.set_aside, "");
    assert_string_equal(get(kv, "", "", 0), "good=safe and sound");
    /* For a guard it is not there; it can be written again. */
    assert_int_equal(put(kv, "hurt", "healed", "-"), 0);
    assert_string_equal(get(kv, "", "", 0), "good=safe and sound hurt=healed");
    net_kv_close(kv);
}

/* Fills the store with n records of 1000 bytes. */
static void fill(struct net_kv *kv, int n)
{
    char key[16], value[1001];
    int i;

    memset(value, 'v', 1000);
    value[1000] = '\0';
    for (i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%06d", i);
        assert_int_equal(put(kv, key, value, NULL), 0);
    }
}

static void torn_file(void **state)
{
    struct net_kv_report report;
    struct net_kv *kv = open_quiet();
    char zeros[16384] = {0};

    fill(kv, 200);
    net_kv_close(kv);
    overwrite(offset_of("000100"), zeros, sizeof zeros);
    kv = open_kv(&report);
    assert_string_not_equal(report.set_aside, "");
    assert_int_equal(access(report.set_aside, F_OK), 0);
    assert_true(report.records < 200);
    assert_int_equal(put(kv, "new", "life", NULL), 0);
    net_kv_close(kv);
    kv = open_quiet();
    assert_string_equal(get(kv, "new", "", 0), "new=life");
    net_kv_close(kv);
}

static void spoilt(size_t keep, const char *junk)
{
    struct net_kv_report report;
    struct net_kv *kv = open_quiet();

    assert_int_equal(put(kv, "k", "v", NULL), 0);
    net_kv_close(kv);
    assert_int_equal(truncate(here.file, (off_t)keep), 0);
    overwrite(0, junk, strlen(junk));
    kv = open_kv(&report);
    assert_string_not_equal(report.set_aside, "");
    assert_string_equal(get(kv, "", "", 0), "");
    assert_int_equal(put(kv, "k", "again", NULL), 0);
    net_kv_close(kv);
}

static void not_a_store(void **state)
{
    spoilt(100, "this is a letter to my aunt");
}

/* To the library this is a fresh store. */
static void emptied(void **state)
{
    spoilt(0, "");
}

static void full_disk(void **state)
{
    struct net_kv *kv = open_quiet();
    struct rlimit before, limit;
    char key[16], value[1001];
    int i, rc = 0;

    memset(value, 'v', 1000);
    value[1000] = '\0';
    assert_int_equal(put(kv, "early", "bird", NULL), 0);
    /* A file that may not grow is what a full disk looks like. */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (i = 0; i < 2000 && !rc; i++) {
        snprintf(key, sizeof key, "%06d", i);
        rc = put(kv, key, value, NULL);
    }
    assert_int_equal(rc, XN_ENOSPC);
    assert_int_equal(put(kv, "late", value, NULL), XN_ENOSPC);
    assert_string_equal(get(kv, "early", "", 0), "early=bird");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(put(kv, "later", "fine", NULL), 0);
    net_kv_close(kv);
    kv = open_quiet();
    assert_string_equal(get(kv, "early", "", 0), "early=bird");
    assert_string_equal(get(kv, "late", "", 0), "later=fine");
    /* All that was acknowledged is there, and the one that failed is not. */
    snprintf(key, sizeof key, "%06d", i - 2);
    assert_string_not_equal(get(kv, key, "", 0), "");
    snprintf(key, sizeof key, "%06d", i - 1);
    assert_string_equal(get(kv, key, "", 0), "");
    net_kv_close(kv);
}

/* Writes until it is killed, telling each number when it is durable. */
static void writer(int out)
{
    struct net_kv_report report;
    struct net_kv *kv;
    char key[16];
    int i;

    if (net_kv_open(here.file, &kv, &report)) _exit(1);
    for (i = 0;; i++) {
        snprintf(key, sizeof key, "%06d", i);
        if (put(kv, key, "value", NULL)) _exit(1);
        if (write(out, &i, sizeof i) != sizeof i) _exit(1);
    }
}

static void killed(void **state)
{
    int round, ends[2], last = -1, i, want = 50;

    for (round = 0; round < 5; round++) {
        struct net_kv *kv;
        char key[16];
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0) writer(ends[1]);
        close(ends[1]);
        for (i = 0; i < want + 37 * round; i++)
            assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(ends[0], &i, sizeof i) == sizeof i)
            last = i;
        close(ends[0]);
        kv = open_quiet();
        for (i = 0; i <= last; i++) {
            snprintf(key, sizeof key, "%06d", i);
            assert_string_not_equal(get(kv, key, "", 0), "");
        }
        net_kv_close(kv);
    }
}

/* ---- killed at every step of a transaction ---- */

/* The library calls this one. */
static int steps_left = -1; /* until this process is killed; -1: never */

int fsync(int fd)
{
    if (steps_left == 0) kill(getpid(), SIGKILL);
    if (steps_left > 0) steps_left--;
    (void)fd; /* what a killed process wrote is not lost with it */
    return 0;
}

enum { STATE_A = 40, STATE_B = 30 }; /* records */

/* Brings the store into one of two states, in one transaction: every record has
 * another value, and some come or go. */
static int change_to(struct net_kv *kv, size_t state)
{
    static char keys[STATE_A][8], values[STATE_A][2500];
    static Xn__Write rows[STATE_A], *list[STATE_A];
    Xn__Txn txn = XN__TXN__INIT;
    const Xn__Txn *txns[] = {&txn};
    size_t i;
    int rc;

    for (i = 0; i < STATE_A; i++) {
        xn__write__init(&rows[i]);
        list[i] = &rows[i];
        snprintf(keys[i], sizeof keys[i], "%04zu", i);
        rows[i].key = bin(keys[i]);
        rows[i].drop = i >= state;
        memset(values[i], (int)state, sizeof values[i]);
        rows[i].value.data = (uint8_t *)values[i];
        rows[i].value.len = state == STATE_A ? 10 + 60 * i : 2000 - 60 * i;
    }
    txn.writes = list;
    txn.n_writes = STATE_A;
    net_kv_apply(kv, txns, 1, &rc);
    return rc;
}

/* Which of the two it is in; wholly so. */
static size_t state_of(struct net_kv *kv)
{
    Xn__Read read = XN__READ__INIT;
    const Xn__Records *records;
    struct xn_msg *msg;
    size_t i, n;

    assert_int_equal(net_kv_read(kv, &read, &msg), 0);
    records = XN_BODY(msg, Xn__Records);
    n = records->n_records;
    assert_true(n == STATE_A || n == STATE_B);
    for (i = 0; i < n; i++) {
        assert_int_equal(records->records[i]->value.data[0], n);
    }
    xn_msg_free(msg);
    return n;
}

static void assert_no_other_file(void)
{
    struct dirent *entry;
    DIR *dir = opendir(here.dir);

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;

        if (name[0] == '.' || !strcmp(name, "store.kct")) continue;
        if (strcmp(name, "store.kct.lock")) fail_msg("there is a %s", name);
    }
    closedir(dir);
}

/* Opens it, changes it and closes it; killed at the n-th step, true: before it
 * came to its end. */
static bool is_killed_at(int n, size_t state)
{
    struct net_kv_report report;
    struct net_kv *kv;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        steps_left = n;
        if (net_kv_open(here.file, &kv, &report)) _exit(1);
        if (change_to(kv, state)) _exit(1);
        net_kv_close(kv);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void killed_at_every_step(void **state)
{
    struct net_kv *kv = open_quiet();
    size_t now = STATE_A, changes = 0;
    int n;

    assert_int_equal(change_to(kv, STATE_A), 0);
    net_kv_close(kv);
    for (n = 0; is_killed_at(n, STATE_A + STATE_B - now); n++) {
        size_t before = now;

        kv = open_quiet();
        now = state_of(kv);
        changes += now != before;
        net_kv_close(kv);
        assert_no_other_file();
    }
    assert_true(n > 10); /* or it is not we whom the library calls */
    assert_true(changes > 0 && changes < (size_t)n);
}

/* ---- through a driver -------------------------------------------------- */

static void stores_and_tells(struct kit_core *core, const struct xn_now *now,
                             const struct xn_event *ev, struct xn_out *out)
{
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write_ = XN__WRITE__INIT, *writes[] = {&write_};
    char key[16];
    int i;

    if (ev->kind == XN_EV_WAKE) {
        txn.writes = writes;
        txn.n_writes = 1;
        write_.value = bin("v");
        for (i = 1; i <= 700; i++) {
            snprintf(key, sizeof key, "%06d", i);
            write_.key = bin(key);
            xn_out_emit(out, XN_ACT_TXN, (uint64_t)i, XN_PEER_NONE,
                        XN__KIND__TXN, &txn);
        }
    }
    if (ev->kind == XN_EV_DONE && ev->ticket == 700 && !ev->rc) {
        if (write(kit_child_out, "durable\n", 8) != 8) abort();
    }
}

struct reading {
    size_t records;
};

static void reads(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    struct reading *r = core->ctx;
    Xn__Read read = XN__READ__INIT;

    if (ev->kind == XN_EV_WAKE) {
        xn_out_emit(out, XN_ACT_READ, 1, XN_PEER_NONE, XN__KIND__READ, &read);
    }
    if (ev->kind == XN_EV_DONE) {
        assert_int_equal(ev->rc, 0);
        r->records = XN_BODY(ev->msg, Xn__Records)->n_records;
        kit_stop();
    }
}

static void driver_killed(void **state)
{
    struct net_identity corp;
    struct net_config config;
    struct net_driver *driver;
    struct kit_child child;
    struct reading r = {0};
    char word[8];

    kit_make_corp(&corp, "alpha.example");
    config = kit_config(&corp);
    config.listen_links = NULL;
    config.store = NET_STORE_MENDED;
    config.store_path = here.file;
    kit_spawn(&config, stores_and_tells, &child);
    assert_int_equal(read(child.out, word, 8), 8);
    kit_kill(&child, SIGKILL);
    config.listen_api = NULL;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, reads, &r);
    net_driver_free(driver);
    assert_int_equal(r.records, 700);
    net_identity_clear(&corp);
}

/* ---- a transaction undone by its log ---- */

enum { BEFORE = 8192 }; /* bytes of the file */

static void put64(FILE *file, uint64_t n)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        fputc((int)(n >> shift & 0xff), file);
}

static void put_undo(FILE *log, uint64_t place, size_t len, int byte)
{
    fputc(0xee, log);
    put64(log, place);
    put64(log, len);
    for (size_t i = 0; i < len; i++)
        fputc(byte, log);
}

/* A file of 'a' that grew and was overwritten with 'x', a page at a time, and
 * the log of it: a place written twice, a record that could not be written, and
 * a torn one, whose place was not touched. */
static void leave_half(const char *log_path)
{
    FILE *file = fopen(here.file, "w"), *log = fopen(log_path, "w");

    assert_non_null(file);
    assert_non_null(log);
    for (int i = 0; i < 2 * BEFORE; i++)
        fputc(i < 4096 || i >= 4096 + 100 ? 'x' : 'a', file);
    fwrite("KW\n", 1, 4, log);
    put64(log, BEFORE);
    put_undo(log, 0, 4096, 'a');
    put_undo(log, 10, 20, 'x');
    for (int i = 0; i < 17 + 50; i++)
        fputc(0, log);
    put_undo(log, 4096 + 100, BEFORE - 4096 - 100, 'a');
    fputc(0xee, log);
    put64(log, 4096);
    put64(log, 100);
    fwrite("??", 1, 2, log);
    assert_int_equal(fclose(log), 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_undone(void)
{
    FILE *file = fopen(here.file, "r");
    int i, c;

    assert_non_null(file);
    for (i = 0; (c = fgetc(file)) != EOF; i++)
        assert_int_equal(c, 'a');
    assert_int_equal(i, BEFORE);
    fclose(file);
}

static void undone_by_its_log(void **state)
{
    char log[160];

    snprintf(log, sizeof log, "%s.wal", here.file);
    assert_int_equal(net_kv_undo(here.file), 0); /* nothing to be done */
    leave_half(log);
    assert_int_equal(net_kv_undo(here.file), 0);
    assert_undone();
    assert_int_not_equal(access(log, F_OK), 0);
    assert_int_equal(net_kv_undo(here.file), 0);
}

/* What cannot be written back now is written back later. */
static void undone_later(void **state)
{
    struct rlimit all, half = {4096, RLIM_INFINITY};
    char kept[160];

    snprintf(kept, sizeof kept, "%s.wal.kept", here.file);
    leave_half(kept);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    half.rlim_max = all.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &half), 0);
    assert_int_equal(net_kv_undo(here.file), XN_ENOSPC);
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(net_kv_undo(here.file), 0);
    assert_undone();
    assert_int_not_equal(access(kept, F_OK), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(undone_by_its_log),
        TEST(undone_later),
        TEST(pages),
        TEST(guards),
        TEST(batch),
        TEST(one_process),
        TEST(flipped_value),
        TEST(torn_file),
        TEST(not_a_store),
        TEST(emptied),
        TEST(full_disk),
        TEST(killed),
        TEST(killed_at_every_step),
        TEST(driver_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
