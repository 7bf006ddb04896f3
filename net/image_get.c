/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/image_get.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "lib/err.h"
#include "net/addr.h"
#include "net/image_url.h"
#include "net/transfer.h"

#define PIECE 65536
#define ATTEMPTS 6
#define CONNECT_S 15
#define SLOW_BYTES_PER_S 1024
#define SLOW_S 30

struct getting {
    struct image_get *get;
    EVP_MD_CTX *hash; /* of the first `have` bytes */
    uint64_t have;
    int fd;
    int rc;       /* why taking what came failed */
    bool resumed; /* its beginning is of another time */
    CURL *easy;
    const char *closed; /* why an address was refused, and what else to try */
    const char *open;
    char error[CURL_ERROR_SIZE];
};

static int __attribute__((format(printf, 4, 5)))
refuse(struct getting *g, int rc, const char *advice, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(g->get->because, sizeof g->get->because, fmt, ap);
    va_end(ap);
    g->get->advice = advice;
    return rc;
}

/* What is in the log besides. */
static void __attribute__((format(printf, 2, 3)))
note(struct getting *g, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(g->get->detail, sizeof g->get->detail, fmt, ap);
    va_end(ap);
}

static bool is_stopped(const struct getting *g)
{
    return g->get->stop && atomic_load(g->get->stop);
}

/* ---- the file ------------------------------------------------------------ */

static int disk_failed(struct getting *g)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

    return refuse(g, full ? XN_ENOSPC : XN_EIO,
                  full ? "a smaller image, or another server"
                       : "another server",
                  "writing the image: %s", strerror(errno));
}

static int append(struct getting *g, const uint8_t *data, size_t n)
{
    if (n > g->get->bytes_max - g->have)
        return refuse(g, XN_ETOOBIG, "a smaller image",
                      "the image is larger than %llu bytes",
                      (unsigned long long)g->get->bytes_max);
    while (n > 0) {
        ssize_t done = pwrite(g->fd, data, n, (off_t)g->have);

        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return disk_failed(g);
        EVP_DigestUpdate(g->hash, data, (size_t)done);
        g->have += (uint64_t)done;
        data += done;
        n -= (size_t)done;
    }
    return 0;
}

static int from_nothing(struct getting *g)
{
    g->have = 0;
    g->resumed = false;
    if (EVP_DigestInit_ex(g->hash, EVP_sha256(), NULL) != 1) return XN_ENOMEM;
    return ftruncate(g->fd, 0) ? disk_failed(g) : 0;
}

/* What is there already is hashed again: nobody remembers its state. */
static int take_part(struct getting *g)
{
    uint8_t *piece = malloc(PIECE);
    ssize_t n = 1;

    if (!piece) return XN_ENOMEM;
    while (n > 0 && !is_stopped(g)) {
        n = pread(g->fd, piece, PIECE, (off_t)g->have);
        if (n <= 0) break;
        EVP_DigestUpdate(g->hash, piece, (size_t)n);
        g->have += (uint64_t)n;
    }
    free(piece);
    if (n < 0 || g->have > g->get->bytes_max) return from_nothing(g);
    g->resumed = g->have > 0;
    return 0;
}

/* Locked, so that nobody takes it away meanwhile.  Whoever has it locked is of an
 * earlier time, and may keep it, under no name. */
static int open_locked(const struct image_get *get)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(get->dir, get->name, flags, 0600);

    if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB)) return fd;
    close(fd);
    unlinkat(get->dir, get->name, 0);
    fd = openat(get->dir, get->name, flags | O_EXCL, 0600);
    if (fd >= 0) flock(fd, LOCK_EX | LOCK_NB);
    return fd;
}

static int open_part(struct getting *g)
{
    struct stat st;

    g->fd = open_locked(g->get);
    if (g->fd < 0 || fstat(g->fd, &st)) return disk_failed(g);
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return disk_failed(g);
    }
    if (EVP_DigestInit_ex(g->hash, EVP_sha256(), NULL) != 1) return XN_ENOMEM;
    return take_part(g);
}

/* XN_EINTEGRITY: it is another image, or not all of it. */
static int check(struct getting *g, bool own)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    char is[XN_ID_HEX], should[XN_ID_HEX];
    int rc = XN_ENOMEM;
    xn_id id;

    if (!copy || EVP_MD_CTX_copy_ex(copy, g->hash) != 1) goto out;
    EVP_DigestFinal_ex(copy, id.b, NULL);
    rc = 0;
    if (xn_id_eq(&id, &g->get->sha256)) goto out;
    xn_id_hex(&id, is);
    xn_id_hex(&g->get->sha256, should);
    note(g, "it is %s", is);
    rc = refuse(g, XN_EINTEGRITY,
                "the hash of the image that you mean, or where that one is",
                "the image's SHA-256 is not %s%s%s", should,
                own ? ", but " : "", own ? is : "");
out:
    EVP_MD_CTX_free(copy);
    return rc;
}

/* ---- the local store ----------------------------------------------------- */

static int copy_all(struct getting *g, int from)
{
    uint8_t *piece = malloc(PIECE);
    int rc = piece ? 0 : XN_ENOMEM;

    while (!rc) {
        ssize_t n = read(from, piece, PIECE);

        if (n == 0) break;
        if (is_stopped(g))
            rc = XN_ECANCELLED;
        else if (n < 0)
            rc = refuse(g, XN_EIO, "another image", "reading it: %s",
                        strerror(errno));
        else
            rc = append(g, piece, (size_t)n);
    }
    free(piece);
    return rc;
}

static int from_store(struct getting *g, const char *path)
{
    int dir = open(g->get->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int from =
        dir < 0 ? -1 : openat(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    int rc;

    if (from < 0 || fstat(from, &st) || !S_ISREG(st.st_mode)) {
        rc = refuse(g, XN_ENOENT, "a URL, or another name",
                    "the server's store has no image %.200s", path);
    } else {
        rc = from_nothing(g);
        if (!rc) rc = copy_all(g, from);
        if (!rc) rc = check(g, true); /* the operator offers it */
    }
    if (from >= 0) close(from);
    if (dir >= 0) close(dir);
    return rc;
}

/* ---- the web ------------------------------------------------------------- */

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
    struct getting *g = arg;

    g->rc = append(g, (const uint8_t *)data, size * n);
    return g->rc ? 0 : size * n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now,
                       curl_off_t up_total, curl_off_t up_now)
{
    return is_stopped(arg);
}

static bool may_ask(struct getting *g, const char *url)
{
    if (image_host_ok(url, g->get->hosts)) return true;
    g->closed = "the server takes no images from that host";
    g->open = g->get->store ? "a name in the server's store, or another server"
                            : "another server";
    return false;
}

static bool may_connect(struct getting *g, const struct sockaddr *at)
{
    g->open = "a URL that the whole world can reach";
    if (image_port_is_closed(at)) {
        g->closed = "the URL leads to a port that is not the web's";
        return false;
    }
    if (g->get->private_ok ||
        (!net_addr_is_private(at) && !image_address_is_own(at))) {
        return true;
    }
    g->closed = "the URL leads to an address of this server's network";
    return false;
}

/* The address that is really connected to, whatever names say of it now; and
 * where a redirection led. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose,
                               struct curl_sockaddr *at)
{
    struct getting *g = arg;
    char *url = NULL;

    g->closed = NULL;
    curl_easy_getinfo(g->easy, CURLINFO_EFFECTIVE_URL, &url);
    if (!url || !may_ask(g, url) || !may_connect(g, &at->addr))
        return CURL_SOCKET_BAD;
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

static void set_safety(struct getting *g, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                     (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS,
                     (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SLOW_S);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, g);
    if (g->get->ca) curl_easy_setopt(easy, CURLOPT_CAINFO, g->get->ca);
}

static int web_failed(struct getting *g, CURLcode code, long status)
{
    const char *why = g->error[0] ? g->error : curl_easy_strerror(code);

    if (g->rc) return g->rc;
    if (is_stopped(g)) return XN_ECANCELLED;
    if (g->closed) return refuse(g, XN_EPERM, g->open, "%s", g->closed);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
        note(g, "it said %ld", status);
        return refuse(g, XN_ENOENT, "another URL",
                      "the image's server does not give it");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return refuse(g, XN_EINVAL, "https://HOST/PATH", "%s", why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        note(g, "%s", why);
        return refuse(g, XN_EIDENT, "another URL",
                      "the image's server has not proved who it is");
    case CURLE_OUT_OF_MEMORY: return XN_ENOMEM;
    default: break;
    }
    note(g, "%s", why);
    if (code == CURLE_OPERATION_TIMEDOUT && g->have > 0)
        return refuse(g, XN_ETIMEOUT, "again later",
                      "the image's server is too slow");
    return refuse(g, XN_EUNREACH, "again later",
                  g->have > 0 ? "the image's server broke off"
                              : "the image's server cannot be reached");
}

/* Once, from where we are. */
static int attempt(struct getting *g)
{
    CURL *easy = curl_easy_init();
    long status = 0;
    CURLcode code;

    if (!easy) return XN_ENOMEM;
    g->rc = 0;
    g->easy = easy;
    g->closed = NULL;
    g->error[0] = '\0';
    set_safety(g, easy);
    curl_easy_setopt(easy, CURLOPT_URL, g->get->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "xeno/" VERSION);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, g->error);
    curl_easy_setopt(easy, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)g->have);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, g);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, g);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    if (code == CURLE_RANGE_ERROR) { /* it cannot go on: all of it again */
        int rc = from_nothing(g);

        return rc ? rc
                  : refuse(g, XN_EUNREACH, "again later",
                           "the image's server sends wholes alone");
    }
    return code == CURLE_OK ? check(g, false) : web_failed(g, code, status);
}

/* A connection that breaks is made again as long as something came over it.
 * A wrong hash over what lay here before may be that one's fault. */
static int from_web(struct getting *g)
{
    int rc;

    if (!may_ask(g, g->get->url))
        return refuse(g, XN_EPERM, g->open, "%s", g->closed);
    rc = g->resumed ? check(g, false) : XN_EINTEGRITY;
    for (int i = 0; rc && i < ATTEMPTS; i++) {
        uint64_t had = g->have;

        rc = attempt(g);
        if (rc == XN_EINTEGRITY && g->resumed)
            rc = from_nothing(g) ? XN_EIO : XN_EUNREACH;
        else if (rc != XN_EUNREACH || g->have == had)
            break;
    }
    return rc;
}

/* ---- all together -------------------------------------------------------- */

static int get_from(struct getting *g)
{
    const char *path;
    int rc;

    switch (image_source(g->get->url, g->get->store, &path)) {
    case IMAGE_WEB: rc = open_part(g); return rc ? rc : from_web(g);
    case IMAGE_STORE: rc = open_part(g); return rc ? rc : from_store(g, path);
    default:
        return refuse(g, XN_EINVAL,
                      g->get->store
                          ? "https://HOST/PATH, or a name in the server's store"
                          : "https://HOST/PATH",
                      "an image does not come from such a URL");
    }
}

/* May the next one go on with it? */
static bool is_worth_keeping(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_ECANCELLED;
}

int image_get(struct image_get *get, int *fd_out)
{
    struct getting g = {.get = get, .fd = -1};
    int rc = net_transfer_library();

    get->because[0] = get->detail[0] = '\0';
    get->advice = "again later";
    if (rc) return rc;
    g.hash = EVP_MD_CTX_new();
    rc = g.hash ? get_from(&g) : XN_ENOMEM;
    EVP_MD_CTX_free(g.hash);
    if (!rc && lseek(g.fd, 0, SEEK_SET) != 0) rc = disk_failed(&g);
    if (!rc) {
        *fd_out = g.fd;
        return 0;
    }
    if (!get->because[0]) refuse(&g, rc, get->advice, "%s", xn_strerror(rc));
    if (g.fd >= 0) {
        if (!is_worth_keeping(rc)) unlinkat(get->dir, get->name, 0);
        close(g.fd);
    }
    return rc;
}
