/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images: fetched from a server of this process, kept, used, dropped. */
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
#include <unistd.h>

#include "net/image_url.h"
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
    free(image.data);
}

static void test_moved(void **state)
{
    struct image image = make_image("bin/one", MB, 1);
    struct fixture *f = *state;

    serve_image(&image);
    assert_int_equal(obtain(f, "/trap", &image.id), XN_EINVAL);
    assert_true(left_nothing(f, &image.id));
    assert_int_equal(obtain(f, "/moved", &image.id), 0);
    free(image.data);
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
    xn_id_hex(&image.id, hex);
    assert_non_null(strstr(f->ask.because, hex)); /* what it is instead */
    xn_id_hex(&other, hex);
    assert_non_null(strstr(f->ask.because, hex));
    assert_true(left_nothing(f, &other));
    assert_int_equal(server.asked, 1);
    free(image.data);
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
    free(image.data);
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
    free(image.data);
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
    free(image.data);
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
    free(image.data);
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
    free(image.data);
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
    free(hostile.data);
}

static int bind_one(struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *at;

    *at = (struct sockaddr_in){.sin_family = AF_INET};
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_false(bind(fd, (struct sockaddr *)at, sizeof *at));
    assert_false(getsockname(fd, (struct sockaddr *)at, &len));
    return fd;
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
    assert_int_equal(obtain(f, "/none", &id), XN_ENOENT);
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
    free(image.data);
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
    free(image.data);
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

static void test_patterns(void **state)
{
    static const struct {
        const char *url, *hosts;
        bool ok;
    } rows[] = {
        {"https://a.org/x", "a.org", true},
        {"https://A.org:8443/x", "b.org a.ORG", true},
        {"https://a.org/x", "*", true},
        {"https://a.org/x", NULL, false},
        {"https://a.org/x", "", false},
        {"https://b.a.org/x", "a.org", false},
        {"https://b.a.org/x", ".a.org", true},
        {"https://a.org/x", ".a.org", true},
        {"https://ba.org/x", ".a.org", false},
        {"https://a.org.b.net/x", "a.org .a.org", false},
        {"https://a.org@b.net/x", "a.org", false},
        {"https://b.net@a.org/x", "a.org", true},
        {"https://b.net#@a.org/x", "a.org", false},
        {"https://b.net/a.org", "a.org", false},
        {"https://[::1]/x", "[::1]", true},
        {"https://", "*", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(image_host_ok(rows[i].url, rows[i].hosts), rows[i].ok);
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
    free(image.data);
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
    free(image.data);
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

    if (!mount_small(f, "size=512k")) {
        free(image.data);
        free(other.data);
        skip();
    }
    serve_image(&image);
    assert_int_equal(obtain(f, "/image", &image.id), XN_ENOSPC);
    assert_true(left_nothing(f, &image.id));
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
    free(image.data);
    free(other.data);
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
    free(image.data);
}

/* ---- keeping ------------------------------------------------------------- */

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

/* ---- words --------------------------------------------------------------- */

static bool closed(const char *text)
{
    struct sockaddr_in six4 = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &six4.sin_addr) == 1)
        return image_address_is_private((struct sockaddr *)&six4);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return image_address_is_private((struct sockaddr *)&six);
}

static void test_addresses(void **state)
{
    static const char *const private[] = {
        "0.0.0.0",        "10.1.2.3",        "100.64.0.1",  "127.0.0.1",
        "169.254.1.1",    "172.31.255.255",  "192.168.0.1", "198.19.0.1",
        "224.0.0.1",      "255.255.255.255", "::",          "::1",
        "fe80::1",        "fd00::1",         "ff02::1",     "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::",    "2001::1",     "2001:db8::1",
    };
    static const char *const open_to_all[] = {
        "8.8.8.8",        "172.32.0.1",           "100.128.0.1",
        "193.0.0.1",      "2001:4860:4860::8888", "2a00::1",
        "::ffff:8.8.8.8",
    };

    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        assert_true(closed(private[i]));
    for (size_t i = 0; i < sizeof open_to_all / sizeof *open_to_all; i++)
        assert_false(closed(open_to_all[i]));
}

/* ---- the action ---------------------------------------------------------- */

struct play {
    struct fixture *f;
    struct image image;
    int done, cached, wrong, cancelled;
};

static void emit_fetch(struct xn_out *out, uint64_t ticket, const char *path,
                       const xn_id *id)
{
    Xn__Fetch fetch = XN__FETCH__INIT;
    char url[80];

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server.port, path);
    fetch.url = url;
    fetch.sha256 = xn_id_bytes(id);
    xn_out_emit(out, XN_ACT_FETCH, ticket, XN_PEER_NONE, XN__KIND__FETCH,
                &fetch);
}

static void on_play(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    struct play *p = core->ctx;
    xn_id other = {{3}};

    if (ev->kind == XN_EV_WAKE && !p->done && !server.asked) {
        for (uint64_t t = 1; t <= 3; t++) /* one after the other */
            emit_fetch(out, t, "/image", &p->image.id);
        emit_fetch(out, 4, "/image", &other);
        emit_fetch(out, 5, "/endless", &other); /* behind the one before */
        xn_out_add(out, XN_ACT_ABORT, 5, XN_PEER_NONE, NULL);
        core->wake_us = UINT64_MAX;
    } else if (ev->kind == XN_EV_DONE) {
        p->done++;
        if (ev->rc) {
            assert_int_equal(ev->ticket, 5);
            p->cancelled += ev->rc == XN_ECANCELLED;
        } else {
            p->cached += XN_BODY(ev->msg, Xn__Fetched)->cached;
            p->wrong += XN_BODY(ev->msg, Xn__Fetched)->rc == XN_EINTEGRITY;
        }
        if (p->done == 5) kit_stop();
    }
}

static void run_images(struct fixture *f, kit_on *on_event, void *ctx)
{
    struct net_identity corp, self;
    struct net_driver *driver;
    struct net_config config;

    image_cache_close(&f->cache);
    kit_make_corp(&corp, "corp");
    kit_make_member(&corp, XN__ROLE__SERVER, "server", &self);
    config = kit_config(&self);
    config.images = &f->config;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, on_event, ctx);
    net_driver_free(driver);
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
    net_identity_clear(&self);
    net_identity_clear(&corp);
}

static void test_action(void **state)
{
    struct fixture *f = *state;
    struct play play = {.f = f, .image = make_image("bin/one", MB, 1)};

    serve_image(&play.image);
    run_images(f, on_play, &play);
    assert_int_equal(play.done, 5);
    assert_int_equal(play.cached, 2);
    assert_int_equal(play.wrong, 1);
    assert_int_equal(play.cancelled, 1);
    free(play.image.data);
}

/* One owner's slow images, more than are fetched at once and one of them by the same
 * hash, keep no other waiting. */
struct crowd {
    struct image image;
    unsigned silent; /* a port that takes connections and says nothing */
    int cancelled;
    bool begun, other;
};

static void fetch_slow(struct crowd *c, struct xn_out *out, uint64_t ticket)
{
    Xn__Fetch fetch = XN__FETCH__INIT;
    xn_id hash = ticket == 1 ? c->image.id : (xn_id){{(uint8_t)ticket}};
    xn_id owner = {{1}};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/", c->silent);
    fetch.url = url;
    fetch.sha256 = xn_id_bytes(&hash);
    fetch.owner = xn_id_bytes(&owner);
    xn_out_emit(out, XN_ACT_FETCH, ticket, XN_PEER_NONE, XN__KIND__FETCH,
                &fetch);
}

static void on_crowd(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct crowd *c = core->ctx;

    if (ev->kind == XN_EV_WAKE && !c->begun) {
        c->begun = true;
        core->wake_us = UINT64_MAX;
        for (uint64_t t = 1; t <= NET_IMAGES_OWNER_ASKS_MAX + 1; t++)
            fetch_slow(c, out, t);
        emit_fetch(out, 100, "/image", &c->image.id);
    } else if (ev->kind == XN_EV_DONE && ev->ticket == 100) {
        c->other = !ev->rc && !XN_BODY(ev->msg, Xn__Fetched)->rc;
        for (uint64_t t = 1; t <= NET_IMAGES_OWNER_ASKS_MAX; t++)
            xn_out_add(out, XN_ACT_ABORT, t, XN_PEER_NONE, NULL);
    } else if (ev->kind == XN_EV_DONE) {
        c->cancelled += ev->rc == XN_ECANCELLED;
        if (ev->ticket > NET_IMAGES_OWNER_ASKS_MAX) /* one too many */
            assert_int_equal(ev->rc, XN_EBUSY);
        if (c->cancelled == NET_IMAGES_OWNER_ASKS_MAX) kit_stop();
    }
}

static void test_slow_owner(void **state)
{
    struct crowd crowd = {.image = make_image("bin/one", MB, 1)};
    struct fixture *f = *state;
    struct sockaddr_in at;
    int fd = bind_one(&at);

    assert_false(listen(fd, 64));
    crowd.silent = ntohs(at.sin_port);
    serve_image(&crowd.image);
    run_images(f, on_crowd, &crowd);
    assert_true(crowd.other);
    assert_int_equal(crowd.cancelled, NET_IMAGES_OWNER_ASKS_MAX);
    close(fd);
    free(crowd.image.data);
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
        cmocka_unit_test(test_patterns),
        TEST(test_store),
        TEST(test_full_disk),
        TEST(test_small_disk),
        TEST(test_stopped),
        TEST(test_damaged),
        TEST(test_room),
        TEST(test_damaged_in_use),
        TEST(test_sweep),
        TEST(test_at_once),
        TEST(test_parts),
        TEST(test_two_of_us),
        cmocka_unit_test(test_addresses),
        TEST(test_action),
        TEST(test_slow_owner),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
