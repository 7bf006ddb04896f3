/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One log, as bytes and as a file: torn and damaged anywhere. */
#include "tests/unit/net_kit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/wal_file.h"

static struct {
    char dir[64], log[160];
} here;

static int setup(void **state)
{
    snprintf(here.dir, sizeof here.dir, "%s/xn-test.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(here.dir));
    snprintf(here.log, sizeof here.log, "%s/store.log1", here.dir);
    return 0;
}

static int teardown(void **state)
{
    kit_rmdir(here.dir);
    return 0;
}

/* ---- the form ---- */

enum { SECTORS = 24 };

struct log {
    uint8_t bytes[SECTORS * WAL_SECTOR];
    uint32_t ends[SECTORS]; /* sector behind record i */
    size_t n;
};

static void add(struct log *log, size_t len)
{
    static uint8_t payload[4096];
    uint32_t at = log->n ? log->ends[log->n - 1] : 1;
    size_t i;

    for (i = 0; i < len; i++)
        payload[i] = (uint8_t)(i * 31 + log->n);
    wal_put(log->bytes + at * WAL_SECTOR, at, 5, 100 + log->n, payload, len);
    log->ends[log->n++] = at + (uint32_t)wal_sectors(len);
}

static void fill(struct log *log)
{
    static const size_t lens[] = {1, 484, 485, 1400, 30, 969};
    size_t i;

    memset(log, 0, sizeof *log);
    wal_put_head(log->bytes, 5, 100, SECTORS);
    for (i = 0; i < sizeof lens / sizeof lens[0]; i++)
        add(log, lens[i]);
}

static int count(void *ctx, const struct wal_head *head, uint64_t seq,
                 const uint8_t *payload, size_t len)
{
    size_t *n = ctx;

    assert_int_equal(seq, 100 + *n);
    assert_int_equal(payload[0], *n);
    (*n)++;
    return 0;
}

/* Records found, or the error. */
static int scan(const uint8_t *bytes, size_t size, struct wal_scan *out)
{
    size_t n = 0;
    int rc = wal_scan(bytes, size, count, &n, out);

    return rc ? rc : (int)n;
}

static void whole_log(void **state)
{
    struct wal_scan out;
    struct log log;

    fill(&log);
    assert_int_equal(scan(log.bytes, sizeof log.bytes, &out), 6);
    assert_int_equal(out.end, log.ends[5]);
    assert_int_equal(out.next_seq, 106);
    assert_int_equal(out.torn, 0);
    assert_false(out.goes_on);
    add(&log, 0);
    assert_int_equal(scan(log.bytes, sizeof log.bytes, &out), 6);
    assert_true(out.goes_on);
}

/* Cut off at each byte while record i was written over zeros, or over a log of
 * the epoch before: sectors are whole or not at all. */
static void torn_at_every_byte(void **state)
{
    struct log log, old, torn;
    struct wal_scan out;
    size_t i, at, r;

    fill(&log);
    for (r = 0; r < 2 * log.n; r++) {
        uint32_t from = r / 2 ? log.ends[r / 2 - 1] : 1;
        uint32_t to = log.ends[r / 2];

        memset(&old, 0, sizeof old);
        for (i = 1; i < SECTORS && r % 2; i++)
            wal_put(old.bytes + i * WAL_SECTOR, (uint32_t)i, 4, i, "old", 3);
        for (at = 0; at <= (size_t)(to - from) * WAL_SECTOR; at++) {
            size_t sectors = from + (at + WAL_SECTOR - 1) / WAL_SECTOR;

            torn = old;
            memcpy(torn.bytes, log.bytes, sectors * WAL_SECTOR);
            assert_int_equal(scan(torn.bytes, sizeof torn.bytes, &out),
                             (int)(sectors < to ? r / 2 : r / 2 + 1));
            assert_int_equal(out.end, sectors < to ? from : to);
            assert_int_equal(out.torn, sectors < to ? sectors - from : 0);
        }
    }
}

/* The same with the last of its sectors written first. */
static void torn_from_behind(void **state)
{
    struct wal_scan out;
    struct log log;

    fill(&log);
    memset(log.bytes + log.ends[4] * WAL_SECTOR, 0, WAL_SECTOR);
    assert_int_equal(scan(log.bytes, sizeof log.bytes, &out), 5);
    assert_int_equal(out.end, log.ends[4]);
    assert_int_equal(out.torn, 3);
}

static void flipped_at_every_byte(void **state)
{
    struct wal_scan out;
    struct log log;
    size_t i;

    fill(&log);
    for (i = 0; i < sizeof log.bytes; i++) {
        log.bytes[i] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(scan(log.bytes, sizeof log.bytes, &out),
                         XN_EINTEGRITY);
        assert_true(out.why[0]);
        log.bytes[i] ^= (uint8_t)(1 << i % 8);
    }
}

/* A sector that was lost, doubled or moved. */
static void sectors_out_of_place(void **state)
{
    struct log log, bad;
    struct wal_scan out;
    uint32_t a, b;

    fill(&log);
    for (a = 1; a + 1 < log.ends[4]; a++) {
        bad = log;
        memset(bad.bytes + a * WAL_SECTOR, 0, WAL_SECTOR);
        assert_int_equal(scan(bad.bytes, sizeof bad.bytes, &out),
                         XN_EINTEGRITY);
        for (b = 1; b < SECTORS; b++) {
            if (a == b) continue;
            bad = log;
            memcpy(bad.bytes + b * WAL_SECTOR, bad.bytes + a * WAL_SECTOR,
                   WAL_SECTOR);
            assert_int_equal(scan(bad.bytes, sizeof bad.bytes, &out),
                             XN_EINTEGRITY);
        }
    }
}

static void cut_and_emptied(void **state)
{
    struct wal_scan out;
    struct log log;
    size_t size;

    fill(&log);
    for (size = 0; size < sizeof log.bytes; size++)
        assert_int_equal(scan(log.bytes, size, &out), XN_EINTEGRITY);
}

static void read_log(struct log *log)
{
    int fd = open(here.log, O_RDONLY | O_CLOEXEC);

    assert_int_equal(read(fd, log->bytes, sizeof log->bytes),
                     sizeof log->bytes);
    close(fd);
}

/* ---- a disk of larger sectors ---- */

static unsigned disk_sector; /* 0: as it is */

/* In the place of the C library's. */
int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
    typedef int statx_fn(int, const char *, int, unsigned, struct statx *);
    statx_fn *fn = (statx_fn *)(uintptr_t)dlsym(RTLD_NEXT, "statx");
    int rc = fn(dir, path, flags, mask, st);

#ifdef STATX_DIOALIGN
    if (rc == 0 && disk_sector) {
        st->stx_mask |= STATX_DIOALIGN;
        st->stx_dio_mem_align = st->stx_dio_offset_align = disk_sector;
    }
#endif
    return rc;
}

/* It is written by way of the system's memory, which has whole pages. */
static void larger_sectors(void **state)
{
#ifdef STATX_DIOALIGN
    struct wal_file file;
    struct wal_scan out;
    struct log log;

    disk_sector = 4096;
    assert_int_equal(wal_file_begin(here.log, 1, 1, SECTORS, &file), 0);
    assert_int_equal(fcntl(file.fd, F_GETFL) & (O_DIRECT | O_DSYNC), O_DSYNC);
    assert_int_equal(wal_file_append(&file, 1, "one", 3), 0);
    assert_int_equal(fcntl(file.fd, F_GETFL) & O_DIRECT, 0);
    wal_file_close(&file);
    disk_sector = 0;
    read_log(&log);
    assert_int_equal(wal_scan(log.bytes, sizeof log.bytes, NULL, NULL, &out),
                     0);
    assert_int_equal(out.next_seq, 2);
#else
    skip();
#endif
}

/* What was torn must not be taken for a part of what comes after it. */
static void shorter_than_what_was_torn(void **state)
{
    static uint8_t payload[5 * WAL_ROOM], bytes[5 * WAL_SECTOR];
    struct wal_file file;
    struct wal_scan out;
    struct log log;

    assert_int_equal(wal_file_begin(here.log, 1, 1, SECTORS, &file), 0);
    assert_int_equal(wal_file_append(&file, 1, "one", 3), 0);
    wal_put(bytes, file.end, 1, 2, payload, sizeof payload);
    assert_int_equal(pwrite(file.fd, bytes, sizeof bytes - WAL_SECTOR,
                            file.end * WAL_SECTOR),
                     sizeof bytes - WAL_SECTOR);
    wal_file_close(&file);
    read_log(&log);
    assert_int_equal(wal_scan(log.bytes, sizeof log.bytes, NULL, NULL, &out),
                     0);
    assert_int_equal(out.torn, 4);
    assert_int_equal(wal_file_resume(here.log, &out, &file), 0);
    assert_int_equal(wal_file_append(&file, 2, "two", 3), 0);
    assert_int_equal(wal_file_append(&file, 3, "three", 5), 0);
    wal_file_close(&file);
    read_log(&log);
    assert_int_equal(wal_scan(log.bytes, sizeof log.bytes, NULL, NULL, &out),
                     0);
    assert_int_equal(out.next_seq, 4);
    assert_int_equal(out.torn, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(whole_log),
        TEST(torn_at_every_byte),
        TEST(torn_from_behind),
        TEST(flipped_at_every_byte),
        TEST(sectors_out_of_place),
        TEST(cut_and_emptied),
        TEST(shorter_than_what_was_torn),
        TEST(larger_sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
