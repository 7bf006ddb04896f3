/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tests/soak/overlay.t does to an overlay besides killing its nodes.
 *
 *   overlay_play publish CORP-URL CORP-DIR WORK-DIR COUNT URL...
 *     COUNT advertisements, ad-0 and so on, through the nodes in turn
 *   overlay_play settle WORK-DIR SECONDS LINKS URL...
 *     until each is linked to as many and settled
 *   overlay_play crowd COUNT ADDRESS:PORT...
 *     so many connections that say nothing, opened again where they end
 *   overlay_play storm ADDRESS:PORT...
 *     handshakes of TLS that are left when the other side has done its part
 *
 * The last two say "ready", and end with their input. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tests/soak/ads.h"
#include "wire/msg.h"

enum { TARGETS_MAX = 16, CROWD_MAX = 20000, STORM_AT_ONCE = 16 };
#define LEASE_US (3600 * 1000000ULL)

static void die(const char *what, const char *why)
{
    fprintf(stderr, "overlay_play: %s: %s\n", what, why);
    exit(1);
}

/* ---- publish, settle ---- */

static void publish_one(const struct ads *ads, const char *node,
                        const struct ads_ad *ad)
{
    Xn__Publish publish = XN__PUBLISH__INIT;
    Xn__SignedAd signed_ad = XN__SIGNED_AD__INIT, *list = &signed_ad;
    struct net_reply reply = {.status = 0};
    Xn__Published *published;
    uint8_t *body = NULL;
    char url[256], why[256];
    size_t len;

    ads_sign(ads, ad, &signed_ad);
    publish.ads = &list;
    publish.n_ads = 1;
    ads_must(ads, xn_pack(&publish, &body, &len), "a request");
    snprintf(url, sizeof url, "%s/v1/publish", node);
    if (net_request(&ads->client, "POST", url, body, len, NULL, 60000, &reply,
                    why, sizeof why))
        die(url, why);
    if (reply.status != 200) die(url, "refused");
    published = xn__published__unpack(NULL, reply.body.len, reply.body.data);
    if (!published || published->n_results != 1) die(url, "not understood");
    ads_must(ads, published->results[0]->rc, url);
    xn__published__free_unpacked(published, NULL);
    net_reply_clear(&reply);
    free(body);
    free(signed_ad.envelope.data);
    free(signed_ad.lease.data);
}

static int publish(int argc, char **argv)
{
    struct ads ads = {.program = "overlay_play", .lease_us = LEASE_US};
    unsigned count, i;
    char name[32];

    if (argc < 5) return 2;
    count = (unsigned)strtoul(argv[3], NULL, 10);
    ads_open(&ads, argv[0], argv[1], argv[2]);
    for (i = 0; i < count; i++) {
        struct ads_ad ad = {.version = 0};

        snprintf(name, sizeof name, "ad-%u", i);
        ads_make(&ads, name, name + 3, 0, &ad);
        publish_one(&ads, argv[4 + i % (unsigned)(argc - 4)], &ad);
        ads_free(&ad);
    }
    ads_close(&ads);
    return 0;
}

static int settle(int argc, char **argv)
{
    struct ads ads = {.program = "overlay_play"};
    bool good;

    if (argc < 4) return 2;
    ads_must(&ads, net_identity_load(argv[0], &ads.client), argv[0]);
    good =
        ads_settle(&ads, argv + 3, (size_t)argc - 3, strtoul(argv[2], NULL, 10),
                   (unsigned)strtoul(argv[1], NULL, 10));
    ads_close(&ads);
    return good ? 0 : 1;
}

/* ---- who says nothing, who shakes hands ---- */

static size_t parse(int argc, char **argv, struct sockaddr_in *out)
{
    size_t n = 0;

    for (int i = 0; i < argc && n < TARGETS_MAX; i++, n++) {
        char *port = strrchr(argv[i], ':');

        memset(&out[n], 0, sizeof out[n]);
        out[n].sin_family = AF_INET;
        if (!port) die(argv[i], "no ADDRESS:PORT");
        *port++ = 0;
        out[n].sin_port = htons((uint16_t)strtoul(port, NULL, 10));
        if (inet_pton(AF_INET, argv[i], &out[n].sin_addr) != 1)
            die(argv[i], "no address");
    }
    return n;
}

static int dial(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) die("a socket", strerror(errno));
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Has our input ended? */
static bool is_over(int timeout_ms)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char c;

    return poll(&in, 1, timeout_ms) > 0 && read(0, &c, 1) <= 0;
}

static int crowd(int argc, char **argv)
{
    static int fds[CROWD_MAX];
    struct sockaddr_in to[TARGETS_MAX];
    struct rlimit limit;
    size_t count = argc ? strtoul(argv[0], NULL, 10) : 0, n, i;
    uint64_t again = 0;

    if (argc < 2 || !count || count > CROWD_MAX) return 2;
    if (getrlimit(RLIMIT_NOFILE, &limit)) die("descriptors", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit)) die("descriptors", strerror(errno));
    n = parse(argc - 1, argv + 1, to);
    for (i = 0; i < count; i++)
        fds[i] = dial(&to[i % n]);
    printf("ready\n");
    fflush(stdout);
    for (i = 0;; i = (i + 1) % count) {
        char c;

        if (i % 64 == 0 && is_over(1)) break;
        if (fds[i] >= 0 && (recv(fds[i], &c, 1, MSG_DONTWAIT) < 0 &&
                            (errno == EAGAIN || errno == ENOTCONN)))
            continue;
        if (fds[i] >= 0) close(fds[i]);
        fds[i] = dial(&to[i % n]);
        again++;
    }
    printf("%zu connections, %llu opened again\n", count,
           (unsigned long long)again);
    return 0;
}

struct shake {
    int fd;
    SSL *ssl;
};

static bool is_member(const SSL *ssl)
{
    return SSL_get0_peer_certificate(ssl) != NULL;
}

/* true: it goes on. */
static bool shake_on(struct shake *s)
{
    int rc;

    rc = SSL_do_handshake(s->ssl);
    if (rc == 1 || is_member(s->ssl)) return false;
    rc = SSL_get_error(s->ssl, rc);
    return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE;
}

static int storm(int argc, char **argv)
{
    struct shake at[STORM_AT_ONCE] = {{.fd = -1}};
    struct sockaddr_in to[TARGETS_MAX];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    uint64_t done = 0, from_us = net_mono_us();
    size_t n = parse(argc, argv, to), i;

    if (!n || !ctx) return 2;
    for (i = 0; i < STORM_AT_ONCE; i++)
        at[i].fd = -1;
    printf("ready\n");
    fflush(stdout);
    while (!is_over(1)) {
        for (i = 0; i < STORM_AT_ONCE; i++) {
            struct shake *s = &at[i];

            if (s->fd >= 0 && shake_on(s)) continue;
            if (s->fd >= 0) {
                done += is_member(s->ssl);
                SSL_free(s->ssl);
                close(s->fd);
            }
            s->fd = dial(&to[(done + i) % n]);
            if (s->fd < 0) continue;
            s->ssl = SSL_new(ctx);
            if (!s->ssl || !SSL_set_fd(s->ssl, s->fd)) die("TLS", "no memory");
            SSL_set_connect_state(s->ssl);
        }
    }
    printf(
        "%llu handshakes, %llu a second\n", (unsigned long long)done,
        (unsigned long long)(done * 1000000 / (net_mono_us() - from_us + 1)));
    SSL_CTX_free(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        int (*run)(int argc, char **argv);
    } words[] = {{"publish", publish},
                 {"settle", settle},
                 {"crowd", crowd},
                 {"storm", storm}};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof *words; i++) {
        if (strcmp(argv[1], words[i].word) == 0)
            return words[i].run(argc - 2, argv + 2);
    }
    return 2;
}
