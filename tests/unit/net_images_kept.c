/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images that were fetched: kept, used, damaged, dropped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tree.h"
#include "tests/unit/image_kit.h"

static void spoil(struct fixture *f, const struct image *image,
                  const char *inside)
{
    char path[256];
    FILE *file;

    path_of(f, &image->id, inside, path);
    file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 20, SEEK_SET);
    fputc(fgetc(file) ^ 1, file);
    fclose(file);
}

/* A flipped byte, another mode, a file more, a damaged note. */
static void test_damaged(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    char path[256];
    int fd;

    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    spoil(f, &image, "/bin/one");
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(f->ask.cached);
    path_of(f, &image.id, "/bin/one", path);
    assert_false(chmod(path, 0644));
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(f->ask.cached);
    path_of(f, &image.id, "/bin/two", path);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_false(close(fd));
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(f->ask.cached);
    spoil(f, &image, ".note");
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(f->ask.cached);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_true(f->ask.cached);
    assert_int_equal(server.asked, 5);
    free(image.data);
}

/* No descriptor is left at this moment: that says nothing about the image. */
static void test_passing_trouble(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    struct rlimit was, less;
    int next;

    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    reopen(f);
    assert_false(getrlimit(RLIMIT_NOFILE, &was));
    less = was;
    next = dup(f->cache.dir);
    assert_true(next >= 0);
    close(next);
    for (rlim_t left = 0; left < 4; left++) { /* of tree, note, folder, file */
        less.rlim_cur = (rlim_t)next + left;
        assert_false(setrlimit(RLIMIT_NOFILE, &less));
        obtain(f, "/image", &image.id);
        assert_false(setrlimit(RLIMIT_NOFILE, &was));
        if (f->ask.rc) assert_int_equal(f->ask.rc, XN_EBUSY);
        assert_true(is_there(f, &image.id, "/bin/one"));
        assert_true(is_there(f, &image.id, ".note"));
        reopen(f);
    }
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_true(f->ask.cached);
    assert_int_equal(server.asked, 1);
    free(image.data);
}

static void *clear_all(void *arg)
{
    struct image_cache *cache = arg;

    image_clear_unused(cache);
    return NULL;
}

/* Nothing goes while a tree and its note are put in place. */
static void test_not_meanwhile(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    struct timespec soon;
    pthread_t thread;
    int err;

    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    reopen(f); /* lets go of it */
    pthread_mutex_lock(&f->cache.place);
    assert_false(pthread_create(&thread, NULL, clear_all, &f->cache));
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec++;
    err = pthread_timedjoin_np(thread, NULL, &soon);
    pthread_mutex_unlock(&f->cache.place);
    assert_int_equal(err, ETIMEDOUT);
    assert_false(pthread_join(thread, NULL));
    assert_false(is_there(f, &image.id, ""));
    free(image.data);
}

static int lock_as_user(struct fixture *f, const struct image *image)
{
    char path[256];
    int fd;

    path_of(f, &image->id, "", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0 && !flock(fd, LOCK_SH | LOCK_NB));
    return fd;
}

static void old(struct fixture *f, const struct image *image, time_t s)
{
    struct timespec times[2] = {{.tv_sec = s}, {.tv_sec = s}};
    char path[256];

    path_of(f, &image->id, ".note", path);
    assert_false(utimensat(AT_FDCWD, path, times, 0));
}

/* Room for two: the one used longest ago goes, not one in use. */
static void test_room(void **state)
{
    struct fixture *f = *state;
    struct image image[4];
    int user;

    f->cache.config.room = 2 * MB + 5 * NET_TREE_ENTRY_BYTES;
    for (unsigned i = 0; i < 4; i++) {
        image[i] = make_image("bin/one", MB, 10 + i);
        serve_image(&image[i]);
        if (i == 2) { /* all are held: they were just handed out */
            assert_int_equal(obtain(f, "/image", &image[2].id), XN_ENOSPC);
            assert_true(left_nothing(f, &image[2].id));
        }
        if (i < 2) assert_int_equal(obtain(f, "/image", &image[i].id), 0);
    }
    old(f, &image[0], 1000);
    old(f, &image[1], 2000);
    user = lock_as_user(f, &image[0]);
    reopen(f);
    f->cache.config.room = 2 * MB + 5 * NET_TREE_ENTRY_BYTES;
    serve_image(&image[2]);
    assert_int_equal(obtain(f, "/image", &image[2].id), 0);
    assert_true(is_there(f, &image[0].id, "/bin/one")); /* in use */
    assert_true(left_nothing(f, &image[1].id));
    close(user);
    reopen(f);
    f->cache.config.room = 2 * MB + 5 * NET_TREE_ENTRY_BYTES;
    serve_image(&image[3]);
    assert_int_equal(obtain(f, "/image", &image[3].id), 0);
    assert_true(left_nothing(f, &image[0].id));
    assert_true(is_there(f, &image[2].id, "/bin/one"));
    for (unsigned i = 0; i < 4; i++)
        free(image[i].data);
}

/* A damaged one that is in use stays where its user has it, under no name. */
static void test_damaged_in_use(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    int user;

    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    user = lock_as_user(f, &image);
    spoil(f, &image, "/bin/one");
    assert_int_equal(obtain(f, "/image", &image.id), 0);
    assert_false(faccessat(user, "bin/one", F_OK, 0));
    assert_true(is_there(f, &image.id, ".gone-0"));
    reopen(f);
    assert_true(is_there(f, &image.id, ".gone-0"));
    close(user);
    reopen(f);
    assert_false(is_there(f, &image.id, ".gone-0"));
    assert_true(is_there(f, &image.id, "/bin/one"));
    free(image.data);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    char path[256];
    xn_id id = {{9}};
    int fd;

    path_of(f, &id, ".new-0123", path);
    assert_false(mkdir(path, 0755));
    path_of(f, &id, "", path);
    assert_false(mkdir(path, 0755));
    reopen(f);
    assert_true(left_nothing(f, &id));
    path_of(f, &id, ".note", path);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_false(close(fd));
    reopen(f);
    assert_true(left_nothing(f, &id));
}

struct moved {
    struct fixture *f;
    xn_id id;
};

static void *obtain_moved(void *arg)
{
    struct moved *moved = arg;
    struct image_ask ask = {.sha256 = moved->id};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/moved", server.port);
    ask.url = url;
    image_obtain(&moved->f->cache, &ask);
    return ask.rc ? arg : NULL;
}

/* From two URLs at once: there is one, whole, and nothing else. */
static void test_at_once(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;
    struct moved moved = {f, image.id};
    pthread_t thread;
    void *failed;

    for (int round = 0; round < 5; round++) {
        serve_image(&image);
        assert_false(pthread_create(&thread, NULL, obtain_moved, &moved));
        assert_int_equal(obtain(f, "/image", &image.id), 0);
        assert_false(pthread_join(thread, &failed));
        assert_null(failed);
        assert_true(is_there(f, &image.id, "/bin/one"));
        assert_true(is_there(f, &image.id, ".note"));
        assert_false(is_halfway(f, &image.id));
        assert_int_equal(obtain(f, "/nowhere", &image.id), 0);
        reopen(f);
        assert_true(image_clear_unused(&f->cache));
        assert_true(left_nothing(f, &image.id));
    }
    free(image.data);
}

/* Cut downloads are few, whatever was begun. */
static void test_parts(void **state)
{
    struct fixture *f = *state;
    struct image image[5];
    int kept = 0;

    for (unsigned i = 0; i < 5; i++) {
        image[i] = make_image("bin/one", MB, 20 + i);
        serve_image(&image[i]);
        server.at_most = image[i].len / 9;
        assert_int_equal(obtain(f, "/image", &image[i].id), XN_EUNREACH);
    }
    for (unsigned i = 0; i < 5; i++)
        kept += is_halfway(f, &image[i].id);
    assert_int_equal(kept, IMAGES_PARTS_KEPT + 1);
    assert_true(is_halfway(f, &image[4].id));
    serve_image(&image[0]);
    assert_int_equal(obtain(f, "/image", &image[0].id), 0); /* wants room */
    for (unsigned i = 0; i < 5; i++) {
        assert_false(is_halfway(f, &image[i].id));
        free(image[i].data);
    }
}

/* Two processes would take each other's for left over. */
static void test_two_of_us(void **state)
{
    struct fixture *f = *state;
    struct image_cache other;

    assert_int_equal(image_cache_open(&other, &f->config), XN_EBUSY);
    image_cache_close(&other);
}

int main(void)
{
#define TEST(fn)                                                               \
    cmocka_unit_test_setup_teardown(fn, cache_setup, cache_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_damaged),        TEST(test_passing_trouble),
        TEST(test_not_meanwhile),  TEST(test_room),
        TEST(test_damaged_in_use), TEST(test_sweep),
        TEST(test_at_once),        TEST(test_parts),
        TEST(test_two_of_us),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
