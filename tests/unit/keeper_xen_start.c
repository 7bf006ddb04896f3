/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain's start: what its command line says, what is booted, its disks, and
 * what is refused. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/domain_kit.h"
#include "tests/unit/xen_fake.h"
#include "wire/frame.h"

/* ---- starts that fail ---------------------------------------------------- */

enum bad_file { WRITABLE, FOLDER_WRITABLE, LINK, FIFO, FOLDER, MISSING };

static void spoil(const struct bench *b, const char *path, enum bad_file how)
{
    unlink(path);
    if (how < LINK) close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (how == WRITABLE) assert_int_equal(chmod(path, 0602), 0);
    if (how == FOLDER_WRITABLE) assert_int_equal(chmod(b->path, 0720), 0);
    if (how == LINK) assert_int_equal(symlink("/proc/version", path), 0);
    if (how == FIFO) assert_int_equal(mkfifo(path, 0600), 0);
    if (how == FOLDER) assert_int_equal(mkdir(path, 0700), 0);
}

/* What libxl would read as root and others could have written, or put there. */
static void only_roots_files_are_booted(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"kernel", "ramdisk", "disk"};
    char path[600], said[40];

    for (int how = WRITABLE; how <= MISSING; how++) {
        for (int which = 0; which < 3; which++) {
            snprintf(path, sizeof path, "%.500s/%s", b->path, names[which]);
            snprintf(said, sizeof said, "image's %s",
                     names[how == FOLDER_WRITABLE ? 0 : which]);
            if (which && how == MISSING) continue; /* which may be */
            spoil(b, path, (enum bad_file)how);
            bench_write_spec(b, 0);
            assert_int_not_equal(bench_start(b), 0);
            assert_int_equal(b->keeper.last.end, XN__TASK_END__NOT_STARTED);
            assert_non_null(strstr(b->keeper.because, said));
            assert_int_equal(fake_there(), 0);
            bench_put_away(b);
            chmod(b->path, 0700);
            if (rmdir(path)) unlink(path);
            close(open(b->kernel, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
    }
    bench_started(b);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
}

/* The image's is everybody's; its own is blank at first, kept when it boots
 * again, and gone with it. */
static void its_disks_are_two(void **state)
{
    struct bench *b = *state;
    char path[600], word[5] = "";
    Xn__TaskSpec spec;
    int fd;

    snprintf(path, sizeof path, "%.500s/disk", b->path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 8192), 0);
    close(fd);
    bench_fill(&spec);
    spec.disk_bytes = MIB;
    bench_put_spec(b, &spec);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(fake_last()->disk_bytes[0], 8192);
    assert_false(fake_last()->disk_writable[0]);
    assert_int_equal(fake_last()->disk_bytes[1], MIB);
    assert_true(fake_last()->disk_writable[1]);
    fd = openat(b->keeper.dir, KEEPER_DISK, O_RDWR | O_CLOEXEC);
    assert_int_equal(read(fd, word, 4), 4);
    assert_memory_equal(word, "\0\0\0\0", 4);
    assert_int_equal(pwrite(fd, "mine", 4, 0), 4);
    close(fd);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    assert_int_equal(fake_last()->disk_bytes[1], MIB);
    fd = openat(b->keeper.dir, KEEPER_DISK, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, word, 4), 4);
    assert_string_equal(word, "mine");
    close(fd);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
    assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
}

/* ---- a client's image ---------------------------------------------------- */

#define TAIL 300000 /* behind a hole */

struct brought {
    char folder[560], disk[600];
};

static void bring(const struct bench *b, struct brought *image)
{
    char *real = realpath(b->path, NULL);
    int fd;

    assert_non_null(real);
    snprintf(image->folder, sizeof image->folder, "%.500s/client", real);
    free(real);
    snprintf(image->disk, sizeof image->disk, "%s/disk", image->folder);
    assert_int_equal(mkdir(image->folder, 0755), 0);
    fd = open(image->disk, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "root", 4), 4);
    assert_int_equal(pwrite(fd, "tail", 4, TAIL), 4);
    assert_int_equal(fchmod(fd, 0644), 0);
    close(fd);
}

static void take_back(const struct brought *image)
{
    if (rmdir(image->disk)) unlink(image->disk);
    rmdir(image->folder);
}

static void holds(int dir, const char *name, off_t at, const char *text)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char word[5] = "";

    assert_int_equal(pread(fd, word, 4, at), 4);
    assert_string_equal(word, text);
    close(fd);
}

static void scribble(const struct bench *b)
{
    int fd = openat(b->keeper.dir, KEEPER_DISK, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, "mine", 4, 0), 4);
    close(fd);
}

/* So are archives of cloud images. */
static void that_may_be_called_raw(void **state)
{
    struct bench *b = *state;
    struct brought image;
    Xn__TaskSpec spec;
    char raw[620];

    bring(b, &image);
    snprintf(raw, sizeof raw, "%s.raw", image.disk);
    assert_int_equal(rename(image.disk, raw), 0);
    bench_fill(&spec);
    spec.disk_bytes = MIB;
    spec.disk = image.folder;
    bench_put_spec(b, &spec);
    assert_int_equal(bench_start(b), 0);
    holds(b->keeper.dir, KEEPER_DISK, TAIL, "tail");
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
    assert_int_equal(rename(raw, image.disk), 0);
    take_back(&image);
}

/* Its domain has a copy, which is its own: what it writes it finds when it has
 * booted again, and nobody else does. */
static void a_clients_image_is_its_disk(void **state)
{
    struct bench *b = *state;
    struct brought image;
    Xn__TaskSpec spec;

    bring(b, &image);
    bench_fill(&spec);
    spec.disk_bytes = MIB;
    spec.disk = image.folder;
    bench_put_spec(b, &spec);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(fake_last()->disk_bytes[0], MIB);
    assert_true(fake_last()->disk_writable[0]);
    assert_int_equal(fake_last()->disk_bytes[1], 0);
    holds(b->keeper.dir, KEEPER_DISK, 0, "root");
    holds(b->keeper.dir, KEEPER_DISK, 4, "");
    holds(b->keeper.dir, KEEPER_DISK, TAIL, "tail");
    scribble(b);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    assert_int_equal(fake->n, 2);
    holds(b->keeper.dir, KEEPER_DISK, 0, "mine");
    holds(AT_FDCWD, image.disk, 0, "root");
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
    assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
    take_back(&image);
}

#define LATE (TAIL + 100000) /* what has come since it was judged */

static const char *grows; /* when it is copied */
static void (*meanwhile)(void);

/* In the place of the C library's. */
ssize_t copy_file_range(int from, off_t *in, int to, off_t *out, size_t len,
                        unsigned flags)
{
    if (grows) {
        int fd = open(grows, O_WRONLY | O_CLOEXEC);

        assert_int_equal(pwrite(fd, "late", 4, LATE), 4);
        close(fd);
        grows = NULL;
    }
    if (meanwhile) meanwhile();
    meanwhile = NULL;
    return syscall(SYS_copy_file_range, from, in, to, out, len, flags);
}

/* Who has his disk grow while it is copied has no more of it copied. */
static void no_more_is_copied_than_was_judged(void **state)
{
    struct bench *b = *state;
    struct brought image;
    Xn__TaskSpec spec;

    bring(b, &image);
    bench_fill(&spec);
    spec.disk_bytes = MIB;
    spec.disk = image.folder;
    bench_put_spec(b, &spec);
    grows = image.disk;
    assert_int_equal(bench_start(b), 0);
    assert_null(grows);
    holds(AT_FDCWD, image.disk, LATE, "late");
    holds(b->keeper.dir, KEEPER_DISK, TAIL, "tail");
    holds(b->keeper.dir, KEEPER_DISK, LATE, "");
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
    take_back(&image);
}

static struct keeper *copies;
static int asker = -1;

static void asks_for_stop(void)
{
    Xn__KeeperAsk ask = XN__KEEPER_ASK__INIT;
    struct xn_buf out;

    ask.op = XN__KEEPER_OP__STOP;
    xn_buf_init(&out, 0);
    assert_int_equal(frame_put(&out, &ask), 0);
    copies->listener = sys_unix_listen(copies->dir, KEEPER_SOCKET);
    asker = sys_unix_connect(copies->dir, KEEPER_SOCKET, 60000);
    assert_true(asker >= 0);
    assert_int_equal(sys_write_all(asker, out.data, out.len), 0);
    xn_buf_clear(&out);
}

static void sends_sigterm(void)
{
    raise(SIGTERM);
}

static void lets_time_pass(void)
{
    usleep(2000);
}

static void is_answered(void)
{
    ProtobufCMessage *body;

    for (size_t i = 0; i < copies->n_clients; i++)
        keeper_serve(copies, &copies->clients[i], POLLIN);
    assert_int_equal(
        frame_read(asker, FRAME_TELL_MAX, &xn__keeper_tell__descriptor, &body),
        0);
    assert_int_equal(((Xn__KeeperTell *)body)->rc, 0);
    assert_int_equal(((Xn__KeeperTell *)body)->status->state,
                     XN__TASK_STATE__ENDED);
    protobuf_c_message_free_unpacked(body, NULL);
    for (size_t i = 0; i < copies->n_clients; i++)
        keeper_drop(&copies->clients[i]);
    close(copies->listener);
    copies->listener = -1;
    close(asker);
    asker = -1;
}

/* Of two pieces the second is not copied any more. */
static void a_copy_is_given_up(void **state)
{
    static const struct {
        void (*meanwhile)(void);
        uint64_t life_ms;
        const char *because;
    } rows[] = {{asks_for_stop, 0, "asked to stop"},
                {sends_sigterm, 0, "the keeper was told to end"},
                {lets_time_pass, 1, "its time was over"}};
    struct bench *b = *state;
    struct brought image;
    Xn__TaskSpec spec;
    sigset_t term;

    copies = &b->keeper;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    bring(b, &image);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench_fill(&spec);
        spec.disk_bytes = MIB;
        spec.disk = image.folder;
        spec.life_ms = rows[i].life_ms;
        bench_put_spec(b, &spec);
        meanwhile = rows[i].meanwhile;
        assert_int_equal(bench_start(b), XN_EREFUSED);
        meanwhile = NULL; /* its time may be over at the first look */
        bench_ended(b, XN__TASK_END__NOT_STARTED, 0, 0, rows[i].because);
        assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
        if (asker >= 0) is_answered();
        if (rows[i].meanwhile == sends_sigterm)
            assert_int_equal(sigwaitinfo(&term, NULL), SIGTERM);
    }
    sigprocmask(SIG_UNBLOCK, &term, NULL);
    take_back(&image);
}

static void make_other(const struct brought *image, enum bad_file how)
{
    unlink(image->disk);
    if (how == LINK) assert_int_equal(symlink("/proc/version", image->disk), 0);
    if (how == FIFO) assert_int_equal(mkfifo(image->disk, 0644), 0);
    if (how == FOLDER) assert_int_equal(mkdir(image->disk, 0755), 0);
}

static void what_is_no_disk_of_a_clients(void **state)
{
    static const struct {
        int rc;
        const char *because;
        uint64_t bytes;
        mode_t mode;       /* 0: as it is */
        enum bad_file how; /* WRITABLE: none */
        bool elsewhere;
    } rows[] = {
        {XN_EREFUSED, "larger than what was asked for", TAIL, 0, WRITABLE,
         false},
        {XN_EREFUSED, "no file that all may read", MIB, 0640, WRITABLE, false},
        {XN_EREFUSED, "its image has no file `disk`", MIB, 0, MISSING, false},
        {XN_EREFUSED, "its image has no file `disk`", MIB, 0, LINK, false},
        {XN_EREFUSED, "no file that all may read", MIB, 0, FIFO, false},
        {XN_EREFUSED, "no file that all may read", MIB, 0, FOLDER, false},
        {XN_ENOENT, "its image is not there", MIB, 0, WRITABLE, true},
        {XN_ENOSPC, "a disk of its own: ", 1ULL << 44, 0, WRITABLE, false},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct brought image;
        Xn__TaskSpec spec;

        bring(b, &image);
        if (rows[i].mode) chmod(image.disk, rows[i].mode);
        if (rows[i].how != WRITABLE) make_other(&image, rows[i].how);
        bench_fill(&spec);
        spec.disk_bytes = rows[i].bytes;
        spec.disk = rows[i].elsewhere ? image.disk : image.folder;
        bench_put_spec(b, &spec);
        assert_int_equal(bench_start(b), rows[i].rc);
        assert_non_null(strstr(b->keeper.because, rows[i].because));
        assert_int_equal(fake->n, 0);
        assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
        bench_put_away(b);
        take_back(&image);
    }
}

/* xenodomd has followed those that were there when it allowed the folder. */
static void links_to_it_are_not_followed(void **state)
{
    static const char *const rows[] = {"/link", "/way/client"};
    struct bench *b = *state;
    char link[620], way[620], path[620];
    struct brought image;
    Xn__TaskSpec spec;

    bring(b, &image);
    snprintf(link, sizeof link, "%.500s/link", b->path);
    snprintf(way, sizeof way, "%.500s/way", b->path);
    assert_int_equal(symlink("client", link) || symlink(".", way), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(path, sizeof path, "%.500s%s", b->path, rows[i]);
        bench_fill(&spec);
        spec.disk_bytes = MIB;
        spec.disk = path;
        bench_put_spec(b, &spec);
        assert_int_equal(bench_start(b), XN_ENOENT);
        assert_non_null(strstr(b->keeper.because, "its image is not there"));
        assert_int_equal(fake->n, 0);
        bench_put_away(b);
    }
    assert_int_equal(unlink(link) || unlink(way), 0);
    take_back(&image);
}

static void a_disk_without_room_is_refused(void **state)
{
    struct bench *b = *state;
    Xn__TaskSpec spec;

    bench_fill(&spec);
    spec.disk_bytes = 1ULL << 44;
    bench_put_spec(b, &spec);
    assert_int_equal(bench_start(b), XN_ENOSPC);
    assert_non_null(strstr(b->keeper.because, "a disk of its own: "));
    assert_int_equal(fake->n, 0);
    assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
}

static void what_cannot_start_says_why(void **state)
{
    static const struct {
        bool absent, part;
        unsigned create, console, destroy;
        const char *because;
    } rows[] = {
        {true, false, 0, 0, 0, "this host runs no Xen"},
        {false, false, 1, 0, 0, "no such kernel"},
        {false, true, 1, 0, 2, "no memory"},
        {false, false, 0, 1, 0, "no xenconsoled"},
    };
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench_write_spec(b, 0);
        fake->absent = rows[i].absent;
        fake->part = rows[i].part;
        fake->bad_create = rows[i].create;
        fake->bad_console = rows[i].console;
        fake->bad_destroy = rows[i].destroy;
        assert_int_not_equal(bench_start(b), 0);
        bench_ended(b, XN__TASK_END__NOT_STARTED, 0, 0, rows[i].because);
    }
}

/* ---- what can be asked for ----------------------------------------------- */

static void a_line_is_what_linux_reads(void **state)
{
    static char *const words[][4] = {
        {(char *)"/a"},
        {(char *)"/a", (char *)"b", (char *)""},
        {(char *)"/a b", (char *)"c d"},
    };
    static const char *const lines[] = {"init=/a", "init=/a -- b \"\"",
                                        "\"init=/a b\" -- \"c d\""};
    char line[DOMAIN_LINE_MAX];
    Xn__TaskSpec spec;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        xn__task_spec__init(&spec);
        spec.argv = (char **)words[i];
        while (words[i][spec.n_argv])
            spec.n_argv++;
        assert_int_equal(domain_line(&spec, line, sizeof line), 0);
        assert_string_equal(line, lines[i]);
        assert_int_equal(domain_line(&spec, line, strlen(lines[i]) + 1), 0);
        assert_int_equal(domain_line(&spec, line, strlen(lines[i])),
                         XN_ETOOBIG);
    }
    xn__task_spec__init(&spec);
    spec.argv = (char **)words[0];
    spec.n_argv = 1;
    spec.pvh = true;
    assert_int_equal(domain_line(&spec, line, sizeof line), 0);
    assert_string_equal(line, "console=hvc0 init=/a");
}

static void what_a_domain_cannot_be_is_said(void **state)
{
    char *quote[] = {(char *)"/a\"b"}, *control[] = {(char *)"/a\nb"};
    Xn__TaskFile file = XN__TASK_FILE__INIT, *put[] = {&file};
    char because[256];
    Xn__TaskSpec spec;

    (void)state;
#define REFUSED(change, word)                                                  \
    do {                                                                       \
        bench_fill(&spec);                                                     \
        assert_int_equal(domain_fit(&spec, because, sizeof because), 0);       \
        change;                                                                \
        assert_int_equal(domain_fit(&spec, because, sizeof because),           \
                         XN_EINVAL);                                           \
        assert_non_null(strstr(because, word));                                \
    } while (0)
    REFUSED(spec.image = (char *)"", "image");
    REFUSED((spec.put = put, spec.n_put = 1), "put");
    REFUSED((spec.argv = quote, spec.n_argv = 1), "quote");
    REFUSED((spec.argv = control, spec.n_argv = 1), "control");
    REFUSED(spec.cpu_ms_per_s = 128001, "128 CPUs");
#undef REFUSED
    bench_fill(&spec);
    spec.cpu_ms_per_s = 128000;
    assert_int_equal(domain_fit(&spec, because, sizeof because), 0);
}

static void a_cap_is_never_less_than_was_bought(void **state)
{
    static const uint32_t rows[][3] = {
        /* ms/s, CPUs, percent */
        {0, 1, 0},      {1, 1, 1},      {150, 1, 15},   {151, 1, 16},
        {1000, 1, 100}, {1001, 2, 101}, {4000, 4, 400}, {128000, 128, 12800},
    };
    Xn__TaskSpec spec;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        xn__task_spec__init(&spec);
        spec.cpu_ms_per_s = rows[i][0];
        assert_int_equal(domain_vcpus(&spec), rows[i][1]);
        assert_int_equal(domain_cap(&spec), rows[i][2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_roots_files_are_booted),
        T(its_disks_are_two),
        T(a_clients_image_is_its_disk),
        T(a_copy_is_given_up),
        T(that_may_be_called_raw),
        T(no_more_is_copied_than_was_judged),
        T(what_is_no_disk_of_a_clients),
        T(links_to_it_are_not_followed),
        T(a_disk_without_room_is_refused),
        T(what_cannot_start_says_why),
        cmocka_unit_test(a_line_is_what_linux_reads),
        cmocka_unit_test(what_a_domain_cannot_be_is_said),
        cmocka_unit_test(a_cap_is_never_less_than_was_bought),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
