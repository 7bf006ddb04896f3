/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What keepers leave in files and say over sockets; the cap's arithmetic. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/cap.h"
#include "keeper/console.h"
#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sessions.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "wire/frame.h"

struct folder {
    char path[512];
    int fd;
};

static int open_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (!folder) return 1;
    snprintf(folder->path, sizeof folder->path, "%s/keeper-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder->path)) return 1;
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY);
    *state = folder;
    return folder->fd < 0;
}

static int close_folder(void **state)
{
    static const char *const names[] = {"r", "r.new", "c", "lock", "sock"};
    struct folder *folder = *state;
    size_t i;
    int rc;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        unlinkat(folder->fd, names[i], 0);
    }
    close(folder->fd);
    rc = rmdir(folder->path);
    free(folder);
    return rc;
}

/* ---- records ------------------------------------------------------------- */

static void a_record_comes_back(void **state)
{
    struct folder *folder = *state;
    ProtobufCMessage *body = NULL;
    Xn__TaskExit last;
    int i;

    assert_int_equal(
        record_get(folder->fd, "r", &xn__task_exit__descriptor, &body),
        XN_ENOENT);
    for (i = 0; i < 3; i++) {
        xn__task_exit__init(&last);
        last.name = (char *)"a-session";
        last.code = i;
        assert_int_equal(record_put(folder->fd, "r", &last), 0);
        assert_int_equal(
            record_get(folder->fd, "r", &xn__task_exit__descriptor, &body), 0);
        assert_string_equal(((Xn__TaskExit *)body)->name, "a-session");
        assert_int_equal(((Xn__TaskExit *)body)->code, i);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    assert_int_equal(faccessat(folder->fd, "r.new", F_OK, 0), -1);
}

/* In place where it is no shorter, by another file where it is. */
static void a_note_comes_back(void **state)
{
    static const char *const names[] = {
        "a", "a-longer-one", "b", "c", "longest of all there are", ""};
    struct folder *folder = *state;
    struct record record = RECORD_CLOSED;
    ProtobufCMessage *body = NULL;
    Xn__TaskExit last;
    struct stat before, now;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        size_t was = i ? strlen(names[i - 1]) : SIZE_MAX;

        if (i) assert_int_equal(fstatat(folder->fd, "r", &before, 0), 0);
        xn__task_exit__init(&last);
        last.name = (char *)(uintptr_t)names[i];
        assert_int_equal(record_renote(folder->fd, "r", &record, &last), 0);
        assert_int_equal(
            record_get(folder->fd, "r", &xn__task_exit__descriptor, &body), 0);
        assert_string_equal(((Xn__TaskExit *)body)->name, names[i]);
        protobuf_c_message_free_unpacked(body, NULL);
        assert_int_equal(fstatat(folder->fd, "r", &now, 0), 0);
        if (strlen(names[i]) >= was)
            assert_int_equal(now.st_ino, before.st_ino);
    }
    record_close(&record);
    assert_int_equal(faccessat(folder->fd, "r.new", F_OK, 0), -1);
}

/* Cut at each length, or with one bit turned: never taken for another. */
static void a_damaged_record_is_refused(void **state)
{
    struct folder *folder = *state;
    uint8_t data[512], one[512];
    ProtobufCMessage *body = NULL;
    Xn__TaskExit last;
    ssize_t len, i;
    int fd, bit;

    xn__task_exit__init(&last);
    last.name = (char *)"name";
    last.ended_us = 1234567890;
    assert_int_equal(record_put(folder->fd, "r", &last), 0);
    fd = openat(folder->fd, "r", O_RDONLY);
    len = read(fd, data, sizeof data);
    close(fd);
    assert_true(len > 12);
    for (i = 0; i < len; i++) {
        assert_int_equal(
            record_parse(data, (size_t)i, &xn__task_exit__descriptor, &body),
            XN_EINTEGRITY);
        for (bit = 0; bit < 8; bit++) {
            memcpy(one, data, (size_t)len);
            one[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(record_parse(one, (size_t)len,
                                          &xn__task_exit__descriptor, &body),
                             XN_EINTEGRITY);
        }
    }
}

static void a_record_has_a_bound(void **state)
{
    struct folder *folder = *state;
    char *text = malloc(RECORD_MAX + 1);
    Xn__TaskExit last;

    assert_non_null(text);
    memset(text, 'x', RECORD_MAX);
    text[RECORD_MAX] = '\0';
    xn__task_exit__init(&last);
    last.because = text;
    assert_int_equal(record_put(folder->fd, "r", &last), XN_ETOOBIG);
    text[RECORD_MAX - 4] = '\0'; /* a tag and a length of three bytes */
    assert_int_equal(record_put(folder->fd, "r", &last), 0);
    free(text);
}

/* ---- frames -------------------------------------------------------------- */

static void frames_are_cut_anywhere(void **state)
{
    struct xn_buf whole = {0}, in = {0};
    ProtobufCMessage *body = NULL;
    Xn__KeeperAsk ask;
    size_t i, got = 0;
    int rc;

    (void)state;
    xn__keeper_ask__init(&ask);
    for (i = 1; i <= 3; i++) {
        ask.op = (Xn__KeeperOp)i;
        assert_int_equal(frame_put(&whole, &ask), 0);
    }
    for (i = 0; i < whole.len; i++) {
        xn_buf_add(&in, whole.data + i, 1);
        rc = frame_next(&in, FRAME_ASK_MAX, &xn__keeper_ask__descriptor, &body);
        if (rc == XN_ENOENT) continue;
        assert_int_equal(rc, 0);
        assert_int_equal(((Xn__KeeperAsk *)body)->op, ++got);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    assert_int_equal(got, 3);
    assert_int_equal(in.len, 0);
    xn_buf_clear(&whole);
    xn_buf_clear(&in);
}

static void a_frame_has_a_bound(void **state)
{
    static const uint8_t most[] = {0, 0, 0, 8}, over[] = {0, 0, 0, 9},
                         bad[] = {0, 0, 0, 1, 0xff};
    ProtobufCMessage *body;
    struct xn_buf in = {0};

    (void)state;
    xn_buf_add(&in, most, sizeof most);
    assert_int_equal(frame_next(&in, 8, &xn__keeper_ask__descriptor, &body),
                     XN_ENOENT);
    xn_buf_clear(&in);
    xn_buf_add(&in, over, sizeof over);
    assert_int_equal(frame_next(&in, 8, &xn__keeper_ask__descriptor, &body),
                     XN_ETOOBIG);
    xn_buf_clear(&in);
    xn_buf_add(&in, bad, sizeof bad);
    assert_int_equal(frame_next(&in, 8, &xn__keeper_ask__descriptor, &body),
                     XN_EPROTO);
    xn_buf_clear(&in);
}

static void a_socket_carries_frames(void **state)
{
    struct folder *folder = *state;
    int listener = sys_unix_listen(folder->fd, "sock"), fd, peer;
    ProtobufCMessage *body = NULL;
    Xn__KeeperAsk ask;

    assert_true(listener >= 0);
    fd = sys_unix_connect(folder->fd, "sock", 60000);
    assert_true(fd >= 0);
    peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    xn__keeper_ask__init(&ask);
    ask.reason = (char *)"why";
    assert_int_equal(frame_send(fd, &ask), 0);
    assert_int_equal(
        frame_receive(peer, 64, &xn__keeper_ask__descriptor, &body, NULL), 0);
    assert_string_equal(((Xn__KeeperAsk *)body)->reason, "why");
    protobuf_c_message_free_unpacked(body, NULL);
    close(fd);
    assert_int_equal(
        frame_receive(peer, 64, &xn__keeper_ask__descriptor, &body, NULL),
        XN_EUNREACH);
    close(peer);
    close(listener);
}

/* ---- console ------------------------------------------------------------- */

/* Byte i of everything that was ever written. */
static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761U >> 13);
}

static int write_bytes(struct console *console, size_t n)
{
    uint8_t data[10000];
    size_t i;

    for (i = 0; i < n; i++)
        data[i] = byte_at(console->total + i);
    return console_append(console, data, n);
}

/* Everything that is there from `from` on is what was written there. */
static uint64_t check_from(const struct console *console, uint64_t from)
{
    uint8_t data[1000];
    size_t n = 1, i;

    while (n > 0) {
        assert_int_equal(console_read(console, &from, data, sizeof data, &n),
                         0);
        for (i = 0; i < n; i++)
            assert_int_equal(data[i], byte_at(from + i));
        from += n;
    }
    return from;
}

static void the_console_keeps_the_last(void **state)
{
    static const size_t parts[] = {1, 100, 4095, 4096, 4097, 10000, 3, 8192};
    struct folder *folder = *state;
    struct console console, reader;
    uint64_t from;
    size_t i, n;
    uint8_t byte;

    assert_int_equal(console_create(folder->fd, "c", 4096, &console), 0);
    for (i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_int_equal(write_bytes(&console, parts[i]), 0);
        assert_int_equal(console_open(folder->fd, "c", &reader), 0);
        assert_int_equal(reader.total, console.total);
        assert_int_equal(check_from(&reader, 0), console.total);
        from = 0;
        assert_int_equal(console_read(&reader, &from, &byte, 1, &n), 0);
        assert_int_equal(from, console.total > 4096 ? console.total - 4096 : 0);
        from = console.total; /* nothing behind it, nor beyond */
        assert_int_equal(console_read(&reader, &from, &byte, 1, &n), 0);
        assert_int_equal(n, 0);
        from = UINT64_MAX;
        assert_int_equal(console_read(&reader, &from, &byte, 1, &n), 0);
        assert_int_equal(n, 0);
        console_close(&reader);
    }
    console_close(&console);
}

/* A writer that is killed anywhere leaves no wrong byte. */
static void a_killed_writer_leaves_it_whole(void **state)
{
    struct folder *folder = *state;
    struct console console;
    int round, status, ends[2];
    char byte;
    pid_t pid;

    for (round = 0; round < 40; round++) {
        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0) {
            if (console_create(folder->fd, "c", 4096, &console)) _exit(1);
            if (write_bytes(&console, 5000) || write(ends[1], "", 1) != 1) {
                _exit(1);
            }
            for (;;)
                write_bytes(&console, 1 + console.total % 7001);
        }
        assert_int_equal(read(ends[0], &byte, 1), 1);
        usleep((useconds_t)(round * 37 % 400));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(console_open(folder->fd, "c", &console), 0);
        assert_int_equal(check_from(&console, 0), console.total);
        assert_true(console.total >= 5000);
        console_close(&console);
    }
}

/* What was never written to is no room taken, and what was is all there. */
static void an_ended_console_has_no_spare_room(void **state)
{
    static const size_t parts[] = {0, 1, 5000, 200000};
    struct folder *folder = *state;
    struct console console, reader;
    struct stat st;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_int_equal(console_create(folder->fd, "c", 1 << 16, &console), 0);
        for (size_t n = 0; n < parts[i]; n += 5000)
            assert_int_equal(
                write_bytes(&console, parts[i] < 5000 ? parts[i] : 5000), 0);
        console_finish(&console);
        assert_int_equal(fstat(console.fd, &st), 0);
        assert_int_equal(st.st_size,
                         sizeof(struct console_head) +
                             (parts[i] < 1 << 16 ? parts[i] : 1 << 16));
        console_close(&console);
        assert_int_equal(console_open(folder->fd, "c", &reader), 0);
        assert_int_equal(check_from(&reader, 0), parts[i]);
        console_close(&reader);
    }
}

static void a_damaged_console_is_refused(void **state)
{
    struct folder *folder = *state;
    struct console console;
    uint64_t from = 0, huge = UINT64_MAX;
    uint8_t byte;
    size_t n;

    assert_int_equal(console_open(folder->fd, "c", &console), XN_ENOENT);
    assert_int_equal(console_create(folder->fd, "c", 4096, &console), 0);
    assert_int_equal(write_bytes(&console, 100), 0);
    /* the size: a reader would divide by it */
    assert_int_equal(pwrite(console.fd, "\0\0\0\0\0\0\0\0", 8, 8), 8);
    assert_int_equal(console_read(&console, &from, &byte, 1, &n),
                     XN_EINTEGRITY);
    assert_int_equal(pwrite(console.fd, &huge, 8, 8), 8);
    assert_int_equal(console_read(&console, &from, &byte, 1, &n),
                     XN_EINTEGRITY);
    console_close(&console);
    assert_int_equal(console_open(folder->fd, "c", &console), XN_EINTEGRITY);
}

/* ---- specs --------------------------------------------------------------- */

static char *some_argv[] = {(char *)"/bin/true"};

static void good_spec(Xn__TaskSpec *spec)
{
    xn__task_spec__init(spec);
    spec->name = (char *)"a1-b";
    spec->argv = some_argv;
    spec->n_argv = 1;
    spec_complete(spec);
}

static int judged(const Xn__TaskSpec *spec)
{
    char because[256] = "";
    int rc = spec_check(spec, because, sizeof because);

    if (rc) assert_true(because[0] != '\0');
    return rc;
}

static void names_are_plain(void **state)
{
    static const char *const bad[] = {"",   ".",   "..",  "a/b", "A", "-a",
                                      "a-", "a b", "a\n", "a.b", "ä", "a_b"};
    char longest[SPEC_NAME_MAX + 1];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(spec_is_name(bad[i]));
    }
    memset(longest, 'a', sizeof longest);
    longest[SPEC_NAME_MAX] = '\0';
    assert_false(spec_is_name(longest));
    longest[SPEC_NAME_MAX - 1] = '\0';
    assert_true(spec_is_name(longest));
    assert_true(spec_is_name("0"));
}

static void numbers_have_bounds(void **state)
{
    Xn__TaskSpec spec;

    (void)state;
    good_spec(&spec);
    assert_int_equal(judged(&spec), 0);
#define AT(field, good, bad)                                                   \
    do {                                                                       \
        good_spec(&spec);                                                      \
        spec.field = (good);                                                   \
        assert_int_equal(judged(&spec), 0);                                    \
        spec.field = (bad);                                                    \
        assert_int_equal(judged(&spec), XN_EINVAL);                            \
    } while (0)
    AT(memory_bytes, 8 << 20, (8 << 20) - 1);
    AT(memory_bytes, 1ULL << 44, (1ULL << 44) + 1);
    AT(processes, 1, 0);
    AT(processes, 100000, 100001);
    AT(file_bytes, 4096, 4095);
    AT(files, 16, 15);
    AT(files, 65536, 65537);
    AT(disk_bytes, 4096, 4095);
    AT(cpu_ms_per_s, 1000000, 1000001);
    AT(console_bytes, CONSOLE_BYTES_MIN, CONSOLE_BYTES_MIN - 1);
    AT(console_bytes, CONSOLE_BYTES_MAX, CONSOLE_BYTES_MAX + 1ULL);
    AT(meter_ms, 100, 99);
    AT(meter_ms, 3600000, 3600001);
    AT(life_ms, 1ULL << 40, (1ULL << 40) + 1);
    AT(meter, XN__METER_KIND__RESERVED, XN__METER_KIND__HYPERVISOR);
    AT(meter, XN__METER_KIND__ANY_METER, (Xn__MeterKind)-1);
    AT(runner, XN__RUNNER__XEN, (Xn__Runner)2);
    AT(uid, 0xfffffffe, 0xffffffff);
    AT(image, (char *)"/a/..b", (char *)"/a/../b");
    AT(image, (char *)"/a", (char *)"a");
    AT(image, (char *)"/a", (char *)"/a/..");
    AT(name, (char *)"x", (char *)"../x");
    AT(n_argv, 1, 0);
#undef AT
}

static void words_have_bounds(void **state)
{
    static char name[] = "A=b", bad[] = "=b", none[] = "b";
    char *env[SPEC_WORDS_MAX + 1], *text;
    Xn__TaskSpec spec;
    size_t i;

    (void)state;
    for (i = 0; i <= SPEC_WORDS_MAX; i++)
        env[i] = name;
    good_spec(&spec);
    spec.env = env;
    spec.n_env = SPEC_WORDS_MAX;
    assert_int_equal(judged(&spec), 0);
    spec.n_env++;
    assert_int_equal(judged(&spec), XN_EINVAL);
    spec.n_env = 1;
    env[0] = bad;
    assert_int_equal(judged(&spec), XN_EINVAL);
    env[0] = none;
    assert_int_equal(judged(&spec), XN_EINVAL);
    text = malloc(SPEC_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, '/', SPEC_TEXT_MAX);
    text[SPEC_TEXT_MAX] = '\0';
    good_spec(&spec);
    spec.argv = &text;
    assert_int_equal(judged(&spec), XN_EINVAL);
    text[SPEC_TEXT_MAX - 1] = '\0';
    assert_int_equal(judged(&spec), 0);
    free(text);
}

static void names_of_files_stay_below(void **state)
{
    static const char *const bad[] = {
        "",     ".",   "..",    "/a",   "a/",    "a//b", "../a", "a/../b",
        "a/..", "./a", "a/./b", "a\nb", "a\x7f", "\x01", "/",    "a/."};
    static const char *const good[] = {"a",   "a/b", "...",      ".a",
                                       "a..", "a b", "\xc3\xa4", "..a/b"};
    char longest[SPEC_PUT_NAME_MAX + 2];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(spec_is_put_name(bad[i]));
    }
    for (i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(spec_is_put_name(good[i]));
    }
    memset(longest, 'a', sizeof longest);
    longest[SPEC_PUT_NAME_MAX + 1] = '\0';
    assert_false(spec_is_put_name(longest));
    longest[SPEC_PUT_NAME_MAX] = '\0';
    assert_true(spec_is_put_name(longest));
}

struct put_spec {
    Xn__TaskSpec spec;
    Xn__TaskFile files[SPEC_PUT_MAX + 1];
    Xn__TaskFile *put[SPEC_PUT_MAX + 1];
    char names[SPEC_PUT_MAX + 1][16];
};

/* `n` files of `len` bytes, whose contents nobody looks at. */
static void make_put(struct put_spec *in, size_t n, size_t len)
{
    size_t i;

    good_spec(&in->spec);
    for (i = 0; i < n; i++) {
        xn__task_file__init(&in->files[i]);
        snprintf(in->names[i], sizeof in->names[i], "f%zu", i);
        in->files[i].name = in->names[i];
        in->files[i].data.len = len;
        in->put[i] = &in->files[i];
    }
    in->spec.put = in->put;
    in->spec.n_put = n;
}

static void files_have_bounds(void **state)
{
    struct put_spec *in = calloc(1, sizeof *in);

    (void)state;
    assert_non_null(in);
    make_put(in, SPEC_PUT_MAX, SPEC_PUT_BYTES_MAX / SPEC_PUT_MAX);
    assert_int_equal(judged(&in->spec), 0);
    in->files[7].data.len++;
    assert_int_equal(judged(&in->spec), XN_EINVAL);
    make_put(in, SPEC_PUT_MAX + 1, 1);
    assert_int_equal(judged(&in->spec), XN_EINVAL);
    make_put(in, 2, 1);
    in->spec.disk_bytes = 8192;
    assert_int_equal(judged(&in->spec), 0);
    in->files[1].data.len = 4097;
    assert_int_equal(judged(&in->spec), XN_EINVAL);
    make_put(in, 1, 5000);
    in->spec.file_bytes = 4999;
    assert_int_equal(judged(&in->spec), XN_EINVAL);
    in->spec.file_bytes = 5000;
    assert_int_equal(judged(&in->spec), 0);
    free(in);
}

static void no_two_files_meet(void **state)
{
    static const struct {
        const char *a, *b;
        int rc;
    } rows[] = {{"a", "a", XN_EINVAL},   {"a", "a/b", XN_EINVAL},
                {"a/b", "a", XN_EINVAL}, {"a", "ab", 0},
                {"ab/c", "a", 0},        {"a/b", "a/c", 0},
                {"a", "../b", XN_EINVAL}};
    struct put_spec *in = calloc(1, sizeof *in);
    size_t i;

    (void)state;
    assert_non_null(in);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_put(in, 2, 1);
        in->files[0].name = (char *)rows[i].a;
        in->files[1].name = (char *)rows[i].b;
        assert_int_equal(judged(&in->spec), rows[i].rc);
    }
    free(in);
}

/* All that a spec may hold goes into one request, and into a record. */
static void the_largest_spec_fits(void **state)
{
    struct folder *folder = *state;
    struct put_spec *in = calloc(1, sizeof *in);
    size_t len = SPEC_PUT_BYTES_MAX / SPEC_PUT_MAX, i;
    uint8_t *data = calloc(1, len);
    char *text = malloc(SPEC_TEXT_MAX), *env = malloc(SPEC_TEXT_MAX);
    ProtobufCMessage *body = NULL;
    struct xn_buf out = {0};
    Xn__DomAsk ask;

    assert_non_null(in);
    assert_non_null(data);
    assert_non_null(text);
    assert_non_null(env);
    make_put(in, SPEC_PUT_MAX, len);
    for (i = 0; i < SPEC_PUT_MAX; i++)
        in->files[i].data.data = data;
    memset(text, '/', SPEC_TEXT_MAX);
    memset(env, '=', SPEC_TEXT_MAX);
    env[0] = 'A';
    text[SPEC_TEXT_MAX - 1] = env[SPEC_TEXT_MAX - 1] = '\0';
    in->spec.argv = &text;
    in->spec.env = &env;
    in->spec.n_env = 1;
    assert_int_equal(judged(&in->spec), 0);
    xn__dom_ask__init(&ask);
    ask.op = XN__DOM_OP__DOM_START;
    ask.spec = &in->spec;
    assert_int_equal(frame_put(&out, &ask), 0);
    assert_int_equal(
        frame_next(&out, FRAME_ASK_MAX, &xn__dom_ask__descriptor, &body), 0);
    protobuf_c_message_free_unpacked(body, NULL);
    assert_int_equal(record_put(folder->fd, "r", &in->spec), 0);
    assert_int_equal(
        record_get(folder->fd, "r", &xn__task_spec__descriptor, &body), 0);
    assert_int_equal(((Xn__TaskSpec *)body)->n_put, SPEC_PUT_MAX);
    protobuf_c_message_free_unpacked(body, NULL);
    xn_buf_clear(&out);
    free(text);
    free(env);
    free(data);
    free(in);
}

static void asks_have_bounds(void **state)
{
    char because[256], reason[SPEC_REASON_MAX + 2];
    char *command = (char *)(uintptr_t) "/bin/sh";
    Xn__Terminal terminal = XN__TERMINAL__INIT;
    Xn__KeeperAsk keeper;
    Xn__DomAsk dom;

    (void)state;
    memset(reason, 'r', sizeof reason);
    reason[SPEC_REASON_MAX + 1] = '\0';
    xn__keeper_ask__init(&keeper);
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    keeper.op = XN__KEEPER_OP__INPUT;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), 0);
    keeper.input.len = SPEC_INPUT_MAX + 1;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    keeper.input.len = SPEC_INPUT_MAX;
    keeper.reason = reason;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    reason[SPEC_REASON_MAX] = '\0';
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), 0);
    keeper.op = XN__KEEPER_OP__LIFETIME; /* of no time */
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    keeper.life_ms = 1ULL << 40;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), 0);
    keeper.life_ms++;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    keeper.life_ms = 1;
    keeper.op = (Xn__KeeperOp)8;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    xn__keeper_ask__init(&keeper);
    keeper.op = XN__KEEPER_OP__EXEC;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    keeper.argv = &command;
    keeper.n_argv = 1;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), 0);
    keeper.terminal = &terminal;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), 0);
    terminal.columns = 65536;
    assert_int_equal(spec_check_keeper_ask(&keeper, because, 256), XN_EINVAL);
    xn__dom_ask__init(&dom);
    dom.op = XN__DOM_OP__DOM_START;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.op = XN__DOM_OP__DOM_STATUS;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.name = (char *)"x";
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), 0);
    dom.grace_ms = SPEC_GRACE_MS_MAX + 1;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.grace_ms = 0;
    dom.op = XN__DOM_OP__DOM_INPUT;
    dom.input.len = SPEC_INPUT_MAX;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), 0);
    dom.input.len++;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.input.len = 0;
    dom.name = (char *)"";
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.op = XN__DOM_OP__DOM_WATCH; /* it has no name */
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), 0);
    dom.op = XN__DOM_OP__DOM_LIFETIME;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.name = (char *)"x";
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.life_ms = 1;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), 0);
    dom.op = XN__DOM_OP__DOM_METER; /* of nobody */
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.n_names = SPEC_NAMES_MAX;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), 0);
    dom.n_names++;
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
    dom.n_names = 1;
    dom.op = (Xn__DomOp)(XN__DOM_OP__DOM_RESTORE + 1);
    assert_int_equal(spec_check_dom_ask(&dom, because, 256), XN_EINVAL);
}

/* The check value that the sum is known by, so that records stay readable. */
static void the_sum_is_crc32(void **state)
{
    struct folder *folder = *state;
    Xn__TaskReading reading;
    uint8_t data[64];
    int fd;

    xn__task_reading__init(&reading);
    assert_int_equal(record_put(folder->fd, "r", &reading), 0);
    fd = openat(folder->fd, "r", O_RDONLY);
    assert_int_equal(read(fd, data, sizeof data), 12);
    close(fd);
    assert_memory_equal(data, "XNR1\0\0\0\0\0\0\0\0", 12);
    reading.cpu_ns = 5;
    assert_int_equal(record_put(folder->fd, "r", &reading), 0);
    fd = openat(folder->fd, "r", O_RDONLY);
    assert_int_equal(read(fd, data, sizeof data), 14);
    close(fd);
    assert_memory_equal(data,
                        "XNR1\0\0\0\2\xb3\xa8\x7e\x29\x18"
                        "\x05",
                        14);
}

/* ---- cap ----------------------------------------------------------------- */

/* A task that takes all it can of `cpus`, looked at when cap_step says so. */
static double greedy_share(uint32_t ms_per_s, unsigned cpus)
{
    uint64_t now = 1000000, used = 0, wait;
    struct cap cap;

    cap_init(&cap, ms_per_s, now);
    while (now < 21000000) {
        wait = cap_step(&cap, now, used);
        assert_true(wait > 0);
        if (!cap.held) used += wait * 1000 * cpus;
        now += wait;
    }
    return (double)used / 20e9;
}

static void a_cap_holds(void **state)
{
    (void)state;
    assert_true(greedy_share(150, 1) < 0.16 && greedy_share(150, 1) > 0.14);
    assert_true(greedy_share(150, 64) < 0.19 && greedy_share(150, 64) > 0.12);
    assert_true(greedy_share(1500, 2) < 1.52 && greedy_share(1500, 2) > 1.45);
    assert_true(greedy_share(1000, 1) > 0.99);
    /* a first look comes after 50 ms, and what it finds is owed */
    assert_true(greedy_share(1, 1) < 0.0026);
}

/* Who was idle has no more than a tenth of a second saved. */
static void idleness_is_not_saved_up(void **state)
{
    struct cap cap;

    (void)state;
    cap_init(&cap, 100, 0);
    cap_step(&cap, 3600000000ULL, 0);
    assert_false(cap.held);
    cap_step(&cap, 3600000000ULL, 9999999);
    assert_false(cap.held);
    cap_step(&cap, 3600000000ULL, 10000000);
    assert_true(cap.held);
}

static void a_lock_is_seen(void **state)
{
    struct folder *folder = *state;
    int status, ends[2], lock;
    char byte;
    pid_t pid;

    assert_false(sys_is_locked(folder->fd, "lock"));
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        lock = sys_lock(folder->fd, "lock");
        if (write(ends[1], lock < 0 ? "n" : "y", 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_true(sys_is_locked(folder->fd, "lock"));
    assert_int_equal(sys_lock(folder->fd, "lock"), -1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_false(sys_is_locked(folder->fd, "lock"));
    close(ends[0]);
    close(ends[1]);
}

/* ---- what a killed one leaves ---- */

/* Without a reading nothing has run. */
static void what_never_began_is_gone(void **state)
{
    static const char *const files[] = {KEEPER_CONSOLE, KEEPER_METER};
    struct folder *folder = *state;
    Xn__TaskSpec spec;
    int session, file;

    xn__task_spec__init(&spec);
    spec.name = (char *)"r";
    for (int at = 0; at < 3; at++) {
        bool begun = at == 2;

        assert_int_equal(mkdirat(folder->fd, "r", 0700), 0);
        session = session_open(folder->fd, "r");
        assert_true(session >= 0);
        assert_int_equal(record_put(session, KEEPER_SPEC, &spec), 0);
        for (int i = 0; i < at; i++) {
            file = openat(session, files[i], O_CREAT | O_WRONLY, 0600);
            assert_true(file >= 0);
            close(file);
        }
        assert_int_equal(session_sweep(folder->fd, "r"), 0);
        if (begun)
            assert_int_equal(faccessat(session, KEEPER_EXIT, F_OK, 0), 0);
        close(session);
        assert_int_equal(faccessat(folder->fd, "r", F_OK, 0) == 0, begun);
    }
    assert_int_equal(session_forget(folder->fd, "r"), 0);
    assert_int_equal(faccessat(folder->fd, "r", F_OK, 0), -1);
}

/* ---- memory that runs out ---- */

static int oom_now(void)
{
    char text[32];

    return sys_read_text(AT_FDCWD, "/proc/self/oom_score_adj", text,
                         sizeof text) > 0
               ? atoi(text)
               : -2000;
}

/* 0: where we stand high ourselves, a task stands as high at least. */
static int task_stands_high(void)
{
    int before;

    if (oom_now() < 700)
        (void)sys_write_text(AT_FDCWD, "/proc/self/oom_score_adj", "700");
    before = oom_now();
    if (before < 700) return 2;
    sys_set_oom(SYS_OOM_TASK);
    return oom_now() > before || oom_now() == 1000 ? 0 : 1;
}

static void a_task_dies_before_its_keeper(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) _exit(task_stands_high());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define IN_FOLDER(test)                                                        \
    cmocka_unit_test_setup_teardown(test, open_folder, close_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_record_comes_back),
        IN_FOLDER(a_note_comes_back),
        IN_FOLDER(a_damaged_record_is_refused),
        IN_FOLDER(a_record_has_a_bound),
        cmocka_unit_test(frames_are_cut_anywhere),
        cmocka_unit_test(a_frame_has_a_bound),
        IN_FOLDER(a_socket_carries_frames),
        IN_FOLDER(the_console_keeps_the_last),
        IN_FOLDER(a_killed_writer_leaves_it_whole),
        IN_FOLDER(an_ended_console_has_no_spare_room),
        IN_FOLDER(a_damaged_console_is_refused),
        cmocka_unit_test(names_are_plain),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(words_have_bounds),
        cmocka_unit_test(names_of_files_stay_below),
        cmocka_unit_test(files_have_bounds),
        cmocka_unit_test(no_two_files_meet),
        IN_FOLDER(the_largest_spec_fits),
        IN_FOLDER(the_sum_is_crc32),
        cmocka_unit_test(asks_have_bounds),
        cmocka_unit_test(a_cap_holds),
        cmocka_unit_test(idleness_is_not_saved_up),
        IN_FOLDER(a_lock_is_seen),
        IN_FOLDER(what_never_began_is_gone),
        cmocka_unit_test(a_task_dies_before_its_keeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
