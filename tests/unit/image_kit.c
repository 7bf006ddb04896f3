/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/image_kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- an image ------------------------------------------------------------ */

/* Noise, so that packing does not make it small. */
static void add_noise(struct archive *out, const char *path, size_t len,
                      uint32_t seed)
{
    struct archive_entry *entry = archive_entry_new();
    char *noise = malloc(len);

    for (size_t i = 0; i < len; i++)
        noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0755);
    archive_entry_set_size(entry, (int64_t)len);
    assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
    archive_write_data(out, noise, len);
    archive_entry_free(entry);
    free(noise);
}

struct image make_image(const char *path, size_t len, uint32_t seed)
{
    struct archive *out = archive_write_new();
    struct image image = {malloc(len + 32768), 0, {{0}}};

    archive_write_set_format_ustar(out);
    archive_write_open_memory(out, image.data, len + 32768, &image.len);
    add_noise(out, path, len, seed);
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
    xn_id_hash(image.data, image.len, &image.id);
    return image;
}

/* ---- a server ------------------------------------------------------------ */

struct image_server server;
static pthread_mutex_t answering = PTHREAD_MUTEX_INITIALIZER;

void free_image(struct image *image)
{
    pthread_mutex_lock(&answering);
    free(image->data);
    pthread_mutex_unlock(&answering);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void send_image(int fd, const char *ask)
{
    const char *range = strstr(ask, "Range: bytes=");
    size_t from = 0, n;
    char head[200];

    if (range && server.ranges) {
        from = strtoul(range + 13, NULL, 10);
        server.resumed++;
    }
    if (from > server.image->len) {
        say(fd, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n");
        return;
    }
    n = server.image->len - from;
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Range: bytes "
             "%zu-%zu/%zu\r\nConnection: close\r\n\r\n",
             from ? "206 Part" : "200 All", n, from, server.image->len - 1,
             server.image->len);
    say(fd, head);
    if (server.at_most && n > server.at_most) n = server.at_most;
    while (n > 0) {
        ssize_t sent = send(fd, server.image->data + from, n, MSG_NOSIGNAL);

        if (sent <= 0) return;
        from += (size_t)sent;
        n -= (size_t)sent;
    }
}

static void send_endless(int fd)
{
    static const char piece[4096];

    say(fd, "HTTP/1.1 200 All\r\nConnection: close\r\n\r\n");
    while (send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0) {}
}

static void answer(int fd)
{
    char ask[2048];
    size_t n = 0;

    ask[0] = '\0';
    while (!strstr(ask, "\r\n\r\n") && n + 1 < sizeof ask) {
        ssize_t got = recv(fd, ask + n, sizeof ask - 1 - n, 0);

        if (got <= 0) return;
        n += (size_t)got;
        ask[n] = '\0';
    }
    server.asked++;
    if (strncmp(ask, "GET /image ", 11) == 0)
        send_image(fd, ask);
    else if (strncmp(ask, "GET /endless ", 13) == 0)
        send_endless(fd);
    else if (strncmp(ask, "GET /moved ", 11) == 0)
        say(fd, "HTTP/1.1 302 There\r\nLocation: /image\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n");
    else if (strncmp(ask, "GET /away ", 10) == 0) {
        char text[200];

        snprintf(text, sizeof text,
                 "HTTP/1.1 302 There\r\nLocation: http://localhost:%u/image"
                 "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                 server.port);
        say(fd, text);
    } else if (strncmp(ask, "GET /trap ", 10) == 0)
        say(fd, "HTTP/1.1 302 There\r\nLocation: file:///etc/passwd\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n");
    else if (strncmp(ask, "GET /refused ", 13) == 0)
        say(fd, "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n");
    else
        say(fd, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n");
}

static void *serve(void *arg)
{
    int fd;

    while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&answering);
        answer(fd);
        pthread_mutex_unlock(&answering);
        close(fd);
    }
    return NULL;
}

void serve_image(const struct image *image)
{
    server.image = image;
    server.at_most = 0;
    server.ranges = true;
    server.asked = server.resumed = 0;
}

int start_server(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_false(bind(server.fd, (struct sockaddr *)&at, sizeof at));
    assert_false(listen(server.fd, 16));
    assert_false(getsockname(server.fd, (struct sockaddr *)&at, &len));
    server.port = ntohs(at.sin_port);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

int stop_server(void **state)
{
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    return close(server.fd);
}

/* ---- a cache ------------------------------------------------------------- */

/* Where it was built: beside the tests. */
static void find_unpack(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 32);

    assert_true(n > 0);
    out[n] = '\0';
    *strrchr(out, '/') = '\0'; /* tests/unit */
    strcat(out, "/../../net/xeno-unpack");
}

int cache_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    kit_mkdir(f->dir);
    find_unpack(f->unpack);
    snprintf(f->images, sizeof f->images, "%s/images", f->dir);
    snprintf(f->store, sizeof f->store, "%s/store", f->dir);
    assert_false(mkdir(f->store, 0700));
    f->config = (struct net_images_config){.dir = f->images,
                                           .store = f->store,
                                           .hosts = "127.0.0.1 localhost",
                                           .unpack = f->unpack,
                                           .size_max = 4 * MB,
                                           .room = 8 * MB,
                                           .private_ok = true};
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
    *state = f;
    return 0;
}

int cache_teardown(void **state)
{
    struct fixture *f = *state;

    image_cache_close(&f->cache);
    kit_rmdir(f->dir);
    free(f);
    return 0;
}

void reopen(struct fixture *f)
{
    image_cache_close(&f->cache);
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
}

int obtain_url(struct fixture *f, const char *url, const xn_id *id)
{
    memset(&f->ask, 0, sizeof f->ask);
    f->ask.url = (char *)(uintptr_t)url;
    f->ask.sha256 = *id;
    image_obtain(&f->cache, &f->ask);
    if (f->ask.rc) assert_true(f->ask.because[0] && f->ask.advice);
    return f->ask.rc;
}

int obtain(struct fixture *f, const char *path, const xn_id *id)
{
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u%s", server.port, path);
    return obtain_url(f, f->url, id);
}

void path_of(const struct fixture *f, const xn_id *id, const char *more,
             char out[256])
{
    char hex[XN_ID_HEX];

    xn_id_hex(id, hex);
    snprintf(out, 256, "%s/%s%s", f->images, hex, more);
}

bool is_there(const struct fixture *f, const xn_id *id, const char *more)
{
    char path[256];

    path_of(f, id, more, path);
    return access(path, F_OK) == 0;
}

bool is_halfway(const struct fixture *f, const xn_id *id)
{
    DIR *list = opendir(f->images);
    char part[XN_ID_HEX + 8], fresh[XN_ID_HEX + 8];
    struct dirent *entry;
    bool found = false;

    assert_non_null(list);
    xn_id_hex(id, part);
    strcpy(fresh, part);
    strcat(part, ".part");
    strcat(fresh, ".new");
    while ((entry = readdir(list))) {
        found |= strncmp(entry->d_name, part, strlen(part)) == 0 ||
                 strncmp(entry->d_name, fresh, strlen(fresh)) == 0;
    }
    closedir(list);
    return found;
}

bool left_nothing(const struct fixture *f, const xn_id *id)
{
    return !is_there(f, id, "") && !is_there(f, id, ".note") &&
           !is_halfway(f, id);
}

int bind_one(struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *at;

    *at = (struct sockaddr_in){.sin_family = AF_INET};
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_false(bind(fd, (struct sockaddr *)at, sizeof *at));
    assert_false(getsockname(fd, (struct sockaddr *)at, &len));
    return fd;
}
