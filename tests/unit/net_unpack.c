/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Archives become folders, hostile ones do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "lib/err.h"
#include "net/unpack.h"
#include "net/unpack_confine.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER
#endif
#endif

#define MB (1 << 20)
#define ENTRIES_MAX 200

struct item {
    const char *path;
    int type, mode;
    const char *text; /* contents, or where a link leads */
};

struct fixture {
    char top[64], dir[80], because[300];
    char out[80]; /* beside dir: nothing may ever be there */
    int root;
    FILE *file;
};

static int drop(const char *path, const struct stat *st, int type,
                struct FTW *ftw)
{
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->top, sizeof f->top, "/tmp/xn-unpack-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->dir, sizeof f->dir, "%s/in", f->top);
    snprintf(f->out, sizeof f->out, "%s/out", f->top);
    assert_false(mkdir(f->dir, 0755));
    f->root = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->file = tmpfile();
    assert_true(f->root >= 0 && f->file);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->root);
    fclose(f->file);
    nftw(f->top, drop, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void add(struct archive *out, const struct item *item)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, item->path);
    archive_entry_set_perm(entry, (mode_t)item->mode);
    if (item->type == 'h') {
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_hardlink(entry, item->text);
    } else {
        archive_entry_set_filetype(entry, (unsigned)item->type);
    }
    if (item->type == AE_IFLNK) archive_entry_set_symlink(entry, item->text);
    if (item->type == AE_IFCHR) archive_entry_set_rdev(entry, 0x103);
    if (item->type == AE_IFREG)
        archive_entry_set_size(entry, (int64_t)strlen(item->text));
    assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
    if (item->type == AE_IFREG)
        archive_write_data(out, item->text, strlen(item->text));
    archive_entry_free(entry);
}

static int take(struct fixture *f, uint64_t max)
{
    rewind(f->file);
    return unpack(fileno(f->file), f->root, max, ENTRIES_MAX, f->because,
                  sizeof f->because);
}

static void pack(struct fixture *f, const struct item *items, size_t n)
{
    struct archive *out = archive_write_new();

    rewind(f->file);
    assert_false(ftruncate(fileno(f->file), 0));
    archive_write_set_format_pax_restricted(out);
    archive_write_add_filter_gzip(out);
    assert_int_equal(archive_write_open_fd(out, fileno(f->file)), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++)
        add(out, &items[i]);
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
}

static int pack_and_take(struct fixture *f, const struct item *items, size_t n,
                         uint64_t max)
{
    pack(f, items, n);
    return take(f, max);
}

#define TAKE(f, items, max)                                                    \
    pack_and_take(f, items, sizeof(items) / sizeof *(items), max)

static void test_whole(void **state)
{
    static const struct item items[] = {
        {"./", AE_IFDIR, 0700, ""},
        {"./bin/", AE_IFDIR, 0700, ""},
        {"./bin/sh", AE_IFREG, 06711, "#!shell"},
        {"etc/deep/in/motd", AE_IFREG, 0600, "hello"},
        {"bin/ash", 'h', 0, "./bin/sh"},
        {"lib", AE_IFLNK, 0777, "/usr/lib"},
        {"dev/null", AE_IFCHR, 0666, ""},
        {"run/pipe", AE_IFIFO, 0666, ""},
    };
    struct fixture *f = *state;
    char text[16] = "";
    struct stat st, of;
    int fd;

    assert_int_equal(TAKE(f, items, MB), 0);
    assert_false(fstatat(f->root, "bin/sh", &st, AT_SYMLINK_NOFOLLOW));
    assert_int_equal(st.st_mode, S_IFREG | 0755); /* no set-user-id */
    assert_false(fstatat(f->root, "bin/ash", &of, AT_SYMLINK_NOFOLLOW));
    assert_true(st.st_ino == of.st_ino);
    assert_false(fstatat(f->root, "etc/deep/in/motd", &st, 0));
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    fd = openat(f->root, "etc/deep/in/motd", O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text), 5);
    close(fd);
    assert_string_equal(text, "hello");
    assert_false(fstatat(f->root, "bin", &st, 0));
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    assert_int_equal(readlinkat(f->root, "lib", text, sizeof text), 8);
    assert_int_equal(fstatat(f->root, "dev/null", &st, AT_SYMLINK_NOFOLLOW),
                     -1);
    assert_int_equal(fstatat(f->root, "run/pipe", &st, AT_SYMLINK_NOFOLLOW),
                     -1);
}

static bool outside_is_clean(const struct fixture *f)
{
    struct stat st;

    return lstat(f->out, &st) && errno == ENOENT;
}

/* Each alone, and behind something that would help it. */
static void test_escapes(void **state)
{
    struct fixture *f = *state;
    const struct item one[] = {
        {"../out", AE_IFREG, 0644, "x"},
        {f->out, AE_IFREG, 0644, "x"},
        {"a/../../out", AE_IFREG, 0644, "x"},
        {"a/..", AE_IFREG, 0644, "x"},
        {"..", AE_IFDIR, 0755, ""},
        {"../out", AE_IFLNK, 0777, "/etc"},
        {"a", 'h', 0, "../../etc/passwd"},
        {"a", 'h', 0, "/etc/passwd"},
        {"a", 'h', 0, "nothing"},
        {"a", AE_IFLNK, 0777, ""},
    };

    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        assert_int_equal(pack_and_take(f, &one[i], 1, MB), XN_EINVAL);
        assert_true(f->because[0]);
        assert_true(outside_is_clean(f));
    }
}

/* More links to one file than some disks take are the archive's fault. */
#define LINKS 65000

static void test_not_taken(void **state)
{
    struct archive *out = archive_write_new();
    struct fixture *f = *state;
    char name[16];
    int rc;

    archive_write_set_format_ustar(out);
    assert_int_equal(archive_write_open_fd(out, fileno(f->file)), ARCHIVE_OK);
    add(out, &(struct item){"file", AE_IFREG, 0644, ""});
    for (unsigned i = 0; i < LINKS; i++) {
        snprintf(name, sizeof name, "%u", i);
        add(out, &(struct item){name, 'h', 0, "file"});
    }
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
    rewind(f->file);
    rc = unpack(fileno(f->file), f->root, MB, LINKS + 10, f->because,
                sizeof f->because);
    assert_true(rc == 0 || rc == XN_EINVAL);
}

static void test_through_links(void **state)
{
    struct fixture *f = *state;
    const struct item file[] = {{"a", AE_IFLNK, 0777, f->top},
                                {"a/out", AE_IFREG, 0644, "x"}};
    static const struct item up[] = {{"b", AE_IFLNK, 0777, ".."},
                                     {"b/out", AE_IFREG, 0644, "x"}};
    const struct item over[] = {{"c", AE_IFLNK, 0777, f->out},
                                {"c", AE_IFREG, 0644, "x"}};
    const struct item folder[] = {{"d", AE_IFLNK, 0777, f->top},
                                  {"d/", AE_IFDIR, 0755, ""},
                                  {"d/out", AE_IFDIR, 0, ""}};
    static const struct item hard[] = {{"e", AE_IFLNK, 0777, "/etc"},
                                       {"f", 'h', 0, "e/passwd"}};
    const struct item alias[] = {{"g", AE_IFLNK, 0777, f->out},
                                 {"h", 'h', 0, "g"},
                                 {"h", AE_IFREG, 0644, "x"}};

    assert_int_equal(TAKE(f, file, MB), XN_EINVAL);
    assert_int_equal(TAKE(f, up, MB), XN_EINVAL);
    assert_int_equal(TAKE(f, over, MB), XN_EINVAL);
    assert_int_equal(TAKE(f, folder, MB), XN_EINVAL);
    assert_int_equal(TAKE(f, hard, MB), XN_EINVAL);
    assert_int_equal(TAKE(f, alias, MB), XN_EINVAL);
    assert_true(outside_is_clean(f));
}

static void test_long_names(void **state)
{
    char path[2 * UNPACK_PATH_MAX] = "";
    struct item item = {path, AE_IFREG, 0644, "x"};
    struct fixture *f = *state;
    size_t i;

    for (i = 0; i < UNPACK_DEPTH_MAX - 1; i++)
        strcat(path, "d/");
    strcat(path, "x");
    assert_int_equal(pack_and_take(f, &item, 1, MB), 0);
    strcat(path, "/y");
    assert_int_equal(pack_and_take(f, &item, 1, MB), XN_EINVAL);
    memset(path, 'n', 256);
    path[256] = '\0';
    assert_int_equal(pack_and_take(f, &item, 1, MB), XN_EINVAL);
}

/* Six bytes may be unpacked, in one file or three; a bomb is cut. */
static void test_size(void **state)
{
    static const struct item items[] = {{"a", AE_IFREG, 0644, "12"},
                                        {"b", AE_IFREG, 0644, "12"},
                                        {"c", AE_IFREG, 0644, "12"}};
    static const struct item more[] = {{"d", AE_IFREG, 0644, "12"},
                                       {"e", AE_IFREG, 0644, "12345"}};
    struct fixture *f = *state;
    char *bomb = calloc(1, 4 * MB + 1);
    struct item item = {"bomb", AE_IFREG, 0644, bomb};

    memset(bomb, 'b', 4 * MB);
    assert_int_equal(TAKE(f, items, 6), 0);
    assert_int_equal(TAKE(f, more, 6), XN_ETOOBIG);
    assert_int_equal(pack_and_take(f, &item, 1, 4 * MB - 1), XN_ETOOBIG);
    free(bomb);
}

/* Each name of a file has its size: who reads the tree reads it as often. */
static void test_hard_links(void **state)
{
    static const struct item items[] = {
        {"a", AE_IFREG, 0644, "123"}, {"b", 'h', 0, "a"}, {"c", 'h', 0, "a"}};
    static const struct item more[] = {
        {"d", AE_IFREG, 0644, "123"}, {"e", 'h', 0, "d"}, {"f", 'h', 0, "d"}};
    struct fixture *f = *state;

    assert_int_equal(TAKE(f, items, 9), 0);
    assert_int_equal(TAKE(f, more, 8), XN_ETOOBIG);
}

/* Entries, and the folders that nobody named, are counted. */
static void test_many(void **state)
{
    static struct item items[ENTRIES_MAX + 1];
    static char names[ENTRIES_MAX + 1][16];
    struct fixture *f = *state;

    for (size_t i = 0; i <= ENTRIES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        items[i] = (struct item){names[i], AE_IFREG, 0644, ""};
    }
    assert_int_equal(pack_and_take(f, items, ENTRIES_MAX, MB), 0);
    for (size_t i = 0; i <= ENTRIES_MAX; i++)
        snprintf(names[i], sizeof names[i], "d/%zu", i);
    assert_int_equal(TAKE(f, items, MB), XN_ETOOBIG);
    for (size_t i = 0; i <= ENTRIES_MAX; i++) { /* each brings a folder */
        snprintf(names[i], sizeof names[i], "e%zu/f", i);
    }
    assert_int_equal(pack_and_take(f, items, ENTRIES_MAX / 2, MB), 0);
    for (size_t i = 0; i <= ENTRIES_MAX; i++)
        snprintf(names[i], sizeof names[i], "g%zu/f", i);
    assert_int_equal(pack_and_take(f, items, ENTRIES_MAX / 2 + 1, MB),
                     XN_ETOOBIG);
    for (size_t i = 0; i <= ENTRIES_MAX; i++) { /* the same again and again */
        snprintf(names[i], sizeof names[i], "h");
        items[i].type = AE_IFDIR;
    }
    assert_int_equal(TAKE(f, items, MB), XN_ETOOBIG);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit was, small;
    char *text = calloc(1, MB + 1);
    struct item item = {"large", AE_IFREG, 0644, text};

    memset(text, 't', MB);
    assert_int_equal(pack_and_take(f, &item, 1, 2 * MB), 0);
    item.path = "again";
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = MB / 2;
    setrlimit(RLIMIT_FSIZE, &small); /* the archive is smaller: gzip */
    assert_int_equal(pack_and_take(f, &item, 1, 2 * MB), XN_ENOSPC);
    setrlimit(RLIMIT_FSIZE, &was);
    free(text);
}

static void test_damaged(void **state)
{
    static const struct item items[] = {{"a", AE_IFREG, 0644, "contents"}};
    struct fixture *f = *state;
    long size;

    assert_int_equal(TAKE(f, items, MB), 0);
    fseek(f->file, 0, SEEK_END);
    size = ftell(f->file);
    for (long cut = 0; cut < size - 8; cut += 7) {
        assert_false(ftruncate(fileno(f->file), size - 8 - cut));
        assert_int_not_equal(take(f, MB), 0);
    }
    assert_false(ftruncate(fileno(f->file), 0));
    assert_int_equal(take(f, MB), XN_EINVAL);
    fputs("this is no archive at all, though it is long enough", f->file);
    fflush(f->file);
    assert_int_equal(take(f, MB), XN_EINVAL);
}

/* ---- confined ---- */

static void opens_a_socket(struct fixture *f)
{
    _exit(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
}

static void starts_a_program(struct fixture *f)
{
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
}

static void starts_a_process(struct fixture *f)
{
    if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) _exit(1);
    _exit(1);
}

/* As waitpid says it. */
static int confined(struct fixture *f, void (*deed)(struct fixture *))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || unpack_confine())
            _exit(2);
        deed(f);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_crimes(void **state)
{
    static void (*const crimes[])(struct fixture *) = {
        opens_a_socket, starts_a_program, starts_a_process};

    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++)
        assert_int_equal(WTERMSIG(confined(*state, crimes[i])), SIGSYS);
}

#ifndef UNDER_SANITIZER /* which asks for more than we do */
static void unpacks(struct fixture *f)
{
    /* what it writes is seen by who waits for it */
    _exit(unpack(fileno(f->file), f->root, MB, ENTRIES_MAX, f->because,
                 sizeof f->because)
              ? 1
              : 0);
}

static void runs_its_data(struct fixture *f)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    _exit(page == MAP_FAILED && errno == ENOSYS ? 0 : 1);
}

static void test_confined(void **state)
{
    static const struct item items[] = {{"d/a", AE_IFREG, 0755, "contents"},
                                        {"l", AE_IFLNK, 0777, "d/a"},
                                        {"h", AE_IFREG, 0644, ""}};
    struct fixture *f = *state;
    struct stat st;

    pack(f, items, 3);
    rewind(f->file);
    assert_int_equal(confined(f, unpacks), 0);
    assert_int_equal(fstatat(f->root, "d/a", &st, 0), 0);
    assert_int_equal(st.st_size, strlen("contents"));
    assert_int_equal(confined(f, runs_its_data), 0);
}

/* The program itself, while it waits for its archive. */
static void test_program_is_confined(void **state)
{
    char program[300], path[64], text[8000], *word = NULL; /* in text */
    struct fixture *f = *state;
    ssize_t n = readlink("/proc/self/exe", program, 200);
    int in[2], out[2], fd, status;
    pid_t pid;

    assert_true(n > 0);
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    strcat(program, "/../../net/xeno-unpack");
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(program, "xeno-unpack", f->dir, "1000", (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    for (int i = 0; i < 60000 && !(word && word[9] == '2'); i++) {
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = read(fd, text, sizeof text - 1);
        close(fd);
        assert_true(n > 0);
        text[n] = '\0';
        word = strstr(text, "Seccomp:\t");
        assert_non_null(word);
        usleep(1000);
    }
    assert_int_equal(word[strlen("Seccomp:\t")], '2');
    close(in[1]); /* an archive of nothing */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), -XN_EINVAL);
    close(in[0]);
    close(out[0]);
    close(out[1]);
}
#endif

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_whole),         TEST(test_escapes),
        TEST(test_through_links), TEST(test_long_names),
        TEST(test_size),          TEST(test_hard_links),
        TEST(test_not_taken),     TEST(test_many),
        TEST(test_full_disk),     TEST(test_damaged),
        TEST(test_crimes),
#ifndef UNDER_SANITIZER
        TEST(test_confined),      TEST(test_program_is_confined),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
