/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images fetched from a server of this process. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "net/tree.h"
#include "tests/unit/image_kit.h"

/* ---- fetching ------------------------------------------------------------ */

static void test_once(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(f->ask.cached);
    assert_int_equal(f->ask.bytes, MB + 2 * NET_TREE_ENTRY_BYTES);
    assert_true(is_there(f, &image.id, "/bin/one"));
    assert_false(is_halfway(f, &image.id));
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_true(f->ask.cached);
    reopen(f);
    assert_int_equal(obtain(f, "/nowhere", &image.id), 0);
    assert_true(f->ask.cached);
    assert_int_equal(server.asked, 1);
    free_image(&image);
}

static void test_moved(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    assert_int_equal(obtain(f, "/trap", &image.id), XN_EINVAL);
    assert_true(left_nothing(f, &image.id));
    assert_int_equal(obtain(f, "/moved", &image.id), 0);
    free_image(&image);
}

static void test_wrong_hash(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    xn_id other = image.id;
    char hex[XN_ID_HEX];

    other.b[31] ^= 1;
    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &other), XN_EINTEGRITY);
    assert_int_equal(xn_exit_code(f->ask.rc), XN_EXIT_INTEGRITY);
    xn_id_hex(&other, hex);
    assert_non_null(strstr(f->ask.because, hex));
    xn_id_hex(&image.id,
              hex); /* what it is instead is not the asker's to know */
    assert_null(strstr(f->ask.because, hex));
    assert_true(left_nothing(f, &other));
    assert_int_equal(server.asked, 1);
    free_image(&image);
}

/* A connection that breaks again and again; then one that does so too often. */
static void test_cut(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    server.at_most = image.len / 4 + 1;
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_int_equal(server.asked, 4);
    assert_int_equal(server.resumed, 3);
    image_clear_unused(&f->cache);
    free_image(&image);
    image = make_image("bin/one", MB, 2);
    serve_image(&image);
    server.at_most = image.len / 9;
    assert_int_equal(obtain(f, "/image", &image.id), XN_EUNREACH);
    assert_true(is_halfway(f, &image.id));
    assert_int_equal(server.asked, 6);
    reopen(f);
    server.at_most = 0;
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_int_equal(server.asked, 7);
    assert_int_equal(server.resumed, 6);
    free_image(&image);
}

/* A server that knows no ranges begins anew, and ends well if it is let. */
static void test_cut_without_ranges(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    server.ranges = false;
    server.at_most = image.len / 2;
    assert_int_equal(obtain(f, "/image", &image.id), XN_EUNREACH);
    server.at_most = 0;
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    free_image(&image);
}

/* What lay there was of something else, shorter and longer than the image. */
static void test_wrong_part(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    size_t sizes[] = {1000, image.len, image.len + 1000};
    struct fixture *f = *state;
    struct image_name name;
    char path[256], *junk = calloc(1, image.len + 1000);

    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u/image", server.port);
    image_name(&image.id, f->url, &name);
    snprintf(path, sizeof path, "%s/%s", f->images, name.part);
    for (size_t i = 0; i < 3; i++) {
        FILE *file = fopen(path, "w");

        serve_image(&image);
        assert_int_equal(fwrite(junk, 1, sizes[i], file), sizes[i]);
        fclose(file);
        assert_int_equal(obtain(f, "/image", &image.id), 0);
        assert_true(server.asked >= 2);
        reopen(f); /* lets go of it */
        assert_true(image_clear_unused(&f->cache));
    }
    free(junk);
    free_image(&image);
}

static void test_too_large(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    assert_int_equal(obtain(f, "/endless", &image.id), XN_ETOOBIG);
    assert_true(left_nothing(f, &image.id));
    f->cache.config.size_max = image.len - 1;
    assert_int_equal(obtain(f, "/image", &image.id), XN_ETOOBIG);
    assert_true(left_nothing(f, &image.id));
    f->cache.config.size_max = image.len;
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    free_image(&image);
}

static void test_no_archive(void **state)
{
    static char text[] = "this is not an archive, but it has the right hash";
    struct image image = {text, sizeof text, {{0}}};
    struct image hostile = make_image("../../escaped", 100, 1);
    struct fixture *f = *state;
    char path[256];

    xn_id_hash(image.data, image.len, &image.id);
    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), XN_EINVAL);
    assert_true(left_nothing(f, &image.id));
    serve_image(&hostile);
    assert_int_equal(obtain(f, "/image", &hostile.id), XN_EINVAL);
    assert_non_null(strstr(f->ask.because, "leads out"));
    assert_true(left_nothing(f, &hostile.id));
    snprintf(path, sizeof path, "%s/escaped", f->dir);
    assert_int_equal(access(path, F_OK), -1);
    free_image(&hostile);
}

static void test_no_server(void **state)
{
    struct fixture *f = *state;
    xn_id id = {{7}};

    struct sockaddr_in at;
    int fd = bind_one(&at); /* taken, but nobody listens */
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", ntohs(at.sin_port));
    assert_int_equal(obtain_url(f, url, &id), XN_EUNREACH);
    assert_false(close(fd));
    /* nor what its server says, nor why it could not be reached */
    assert_string_equal(f->ask.because, "the image's server cannot be reached");
    assert_int_equal(obtain(f, "/none", &id), XN_ENOENT);
    assert_string_equal(f->ask.because, "the image's server does not give it");
    assert_int_equal(obtain(f, "/refused", &id), XN_ENOENT);
    assert_string_equal(f->ask.because, "the image's server does not give it");
    assert_int_equal(obtain_url(f, "ftp://127.0.0.1/x", &id), XN_EINVAL);
    assert_int_equal(obtain_url(f, "", &id), XN_EINVAL);
}

/* Neither by its address nor by a name, and nothing is asked. */
static void test_private(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    char url[64];

    serve_image(&image);
    f->cache.config.private_ok = false;
    assert_int_equal(obtain(f, "/image", &image.id), XN_EPERM);
    snprintf(url, sizeof url, "http://localhost:%u/image", server.port);
    assert_int_equal(obtain_url(f, url, &image.id), XN_EPERM);
    assert_int_equal(server.asked, 0);
    free_image(&image);
}

/* Neither asked nor followed to: only the host that the operator named. */
static void test_hosts(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    const char *hosts = f->cache.config.hosts;

    serve_image(&image);
    f->cache.config.hosts = "localhost .example.org";
    assert_int_equal(obtain(f, "/image", &image.id), XN_EPERM);
    f->cache.config.hosts = NULL;
    assert_int_equal(obtain(f, "/image", &image.id), XN_EPERM);
    assert_int_equal(server.asked, 0);
    f->cache.config.hosts = "127.0.0.1";
    assert_int_equal(obtain(f, "/away", &image.id), XN_EPERM);
    assert_int_equal(server.asked, 1);
    assert_true(left_nothing(f, &image.id));
    assert_int_equal(obtain(f, "/moved", &image.id), 0);
    f->cache.config.hosts = hosts;
    free_image(&image);
}

/* Only the web's ports, or those of whoever: nobody's mail. */
static void test_ports(void **state)
{
    struct fixture *f = *state;
    xn_id id = {{7}};

    assert_int_equal(obtain_url(f, "http://127.0.0.1:25/x", &id), XN_EPERM);
    assert_non_null(strstr(f->ask.because, "port"));
    assert_int_equal(obtain_url(f, "https://127.0.0.1:22/x", &id), XN_EPERM);
}

static void test_store(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    char path[256], url[300];
    FILE *file;

    snprintf(path, sizeof path, "%s/debian.tar", f->store);
    file = fopen(path, "w");
    assert_int_equal(fwrite(image.data, 1, image.len, file), image.len);
    fclose(file);
    assert_int_equal(obtain_url(f, "other.tar", &image.id), XN_ENOENT);
    assert_int_equal(obtain_url(f, "../store/debian.tar", &image.id),
                     XN_EINVAL);
    assert_int_equal(obtain_url(f, "file:///etc/passwd", &image.id), XN_EINVAL);
    assert_int_equal(obtain_url(f, "/etc/passwd", &image.id), XN_EINVAL);
    assert_int_equal(obtain_url(f, "debian.tar", &image.id), 0);
    reopen(f);
    assert_true(image_clear_unused(&f->cache));
    snprintf(url, sizeof url, "file://%s", path);
    assert_int_equal(obtain_url(f, url, &image.id), 0);
    assert_false(f->ask.cached);
    free_image(&image);
}

static void test_full_disk(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    struct rlimit was, small;

    serve_image(&image);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = MB / 2;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(obtain(f, "/image", &image.id), XN_ENOSPC);
    assert_true(left_nothing(f, &image.id));
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    free_image(&image);
}

/* A file system of that size under the cache, if we may; only we see it. */
static bool mount_small(struct fixture *f, const char *options)
{
    image_cache_close(&f->cache);
    umount2(f->images, MNT_DETACH);
    if (unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", f->images, "tmpfs", 0, options)) {
        assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
        return false;
    }
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
    return true;
}

/* The disk is full while it comes, while it is unpacked, and then what nobody
 * uses makes room. */
static void test_small_disk(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct image other = make_image("bin/one", MB, 2);
    struct fixture *f = *state;
    struct statvfs fs;

    if (!mount_small(f, "size=512k")) {
        free_image(&image);
        free_image(&other);
        skip();
    }
    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), XN_ENOSPC);
    assert_true(left_nothing(f, &image.id));
    assert_true(mount_small(f, "size=8m,nr_inodes=2"));
    if (!statvfs(f->images, &fs) && fs.f_files == 2) { /* no folder */
        assert_int_equal(obtain(f, "/image", &image.id), XN_ENOSPC);
        assert_true(left_nothing(f, &image.id));
    }
    assert_true(mount_small(f, "size=1536k"));
    assert_int_equal(obtain(f, "/image", &image.id), XN_ENOSPC);
    assert_true(left_nothing(f, &image.id));
    assert_true(mount_small(f, "size=2560k"));
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    serve_image(&other);
    assert_int_equal(obtain(f, "/image", &other.id), XN_ENOSPC); /* held */
    reopen(f);
    assert_int_equal(obtain(f, "/image", &other.id), 0);
    assert_true(left_nothing(f, &image.id));
    image_cache_close(&f->cache);
    assert_false(umount2(f->images, MNT_DETACH));
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
    free_image(&image);
    free_image(&other);
}

static void test_stopped(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    memset(&f->ask, 0, sizeof f->ask);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u/endless", server.port);
    f->ask.url = f->url;
    f->ask.sha256 = image.id;
    f->ask.stop = true;
    image_obtain(&f->cache, &f->ask);
    assert_int_equal(f->ask.rc, XN_ECANCELLED);
    free_image(&image);
}

int main(void)
{
#define TEST(fn)                                                               \
    cmocka_unit_test_setup_teardown(fn, cache_setup, cache_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_once),
        TEST(test_moved),
        TEST(test_wrong_hash),
        TEST(test_cut),
        TEST(test_cut_without_ranges),
        TEST(test_wrong_part),
        TEST(test_too_large),
        TEST(test_no_archive),
        TEST(test_no_server),
        TEST(test_private),
        TEST(test_hosts),
        TEST(test_ports),
        TEST(test_store),
        TEST(test_full_disk),
        TEST(test_small_disk),
        TEST(test_stopped),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
