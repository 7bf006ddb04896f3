/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver page: what `status` tells, in a browser on this machine.
 *
 * It reads and nothing else: each look asks the running xenohostd anew.  It
 * listens on loopback alone; a word in its address, drawn at its start, keeps
 * other users of the machine out, and the Host of each request must be what it
 * listens at, so that no name of somebody else's leads a browser here (DNS
 * rebinding).  One request at a time, each on a connection of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostagent/xenoserver_html.h"
#include "lib/err.h"
#include "net/addr.h"
#include "net/clock.h"
#include "wire/envelope.h"

#define REFRESH_S 10
#define REQUEST_MAX 8192
#define REQUEST_US 2000000ULL /* for all of a request, and for an answer */
#define PAGE_MAX (4U << 20)
#define WORD 32 /* hexadecimal digits */

static const char what[] = "cannot show the page";

struct page {
    struct server *server;
    struct net_identity identity;
    int fd;
    char at[NET_ADDR_TEXT], word[WORD + 1];
};

/* ---- what is shown ---- */

static struct advert *read_offer(const struct page *page,
                                 const struct view *view)
{
    struct advert *advert = NULL;
    uint8_t *payload = NULL;
    struct xn_cert signer;
    size_t len = 0;
    char why[200];

    if (view->status &&
        envelope_verify(view->status->envelope.data, view->status->envelope.len,
                        page->identity.anchors, net_wall_us(), &signer,
                        &payload, &len) == 0 &&
        advert_parse(payload, len, &advert, why, sizeof why)) {
        advert = NULL;
    }
    free(payload);
    return advert;
}

/* What is looked at without asking anybody. */
static struct doctor *examine(const struct page *page)
{
    struct doctor *d = calloc(1, sizeof *d);

    if (!d) return NULL;
    d->server = page->server;
    doctor_check_files(d);
    doctor_check_certificate(d);
    doctor_check_configuration(d);
    doctor_check_disk(d);
    doctor_check_kernel_clock(d);
    return d;
}

static void doctor_free(struct doctor *d)
{
    net_settings_free(d->settings);
    net_identity_clear(&d->identity);
    free(d->text);
    free(d);
}

static int render(const struct page *page, struct xn_buf *out)
{
    const struct xn_cert *self = &page->identity.cert;
    struct doctor *doctor = examine(page);
    char name[XN_NAME_MAX], why[200];
    struct advert *offer;
    struct view view;
    int rc;

    if (!doctor) return XN_ENOMEM;
    rc = view_ask(page->server, &page->identity, true, &view);
    snprintf(why, sizeof why, "it does not answer: %s", xn_strerror(rc));
    offer = read_offer(page, &view);
    xn_id_name(&self->id, self->label, name);
    html_page(&(struct html_facts){.name = name,
                                   .because = rc ? why : NULL,
                                   .view = &view,
                                   .offer = offer,
                                   .doctor = doctor,
                                   .now_us = net_wall_us(),
                                   .refresh_s = REFRESH_S},
              out);
    advert_free(offer);
    view_clear(&view);
    doctor_free(doctor);
    return xn_buf_rc(out);
}

/* ---- HTTP/1.1, as much of it as a browser's GET is ---- */

static void send_all(int fd, const char *data, size_t len)
{
    uint64_t until_us = net_mono_us() + REQUEST_US;

    while (len > 0 && net_mono_us() < until_us) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        data += n;
        len -= (size_t)n;
    }
}

static void answer(int fd, const char *status, const char *type,
                   const char *body, size_t len, bool headers_only)
{
    char head[800];
    int n = snprintf(
        head, sizeof head,
        "HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\n"
        "Content-Length: %zu\r\nConnection: close\r\nCache-Control: no-store"
        "\r\nContent-Security-Policy: default-src 'none'; style-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "Cross-Origin-Opener-Policy: same-origin\r\n%s\r\n",
        status, type, len,
        strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");

    send_all(fd, head, (size_t)n);
    if (!headers_only) send_all(fd, body, len);
}

static void refuse(int fd, const char *status)
{
    answer(fd, status, "text/plain", status, strlen(status), false);
}

/* A header's value in a request that ends with an empty line; NULL: it is not
 * there, or more than once. */
static const char *header(const char *request, const char *name,
                          size_t *len_out)
{
    const char *line = strstr(request, "\r\n"), *found = NULL;
    size_t len = strlen(name);

    for (; line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
            continue;
        if (found) return NULL;
        found = line + 3 + len;
        found += strspn(found, " \t");
        *len_out = strcspn(found, "\r");
    }
    return found;
}

static bool is_host(const struct page *page, const char *host, size_t len)
{
    char local[NET_ADDR_TEXT + 16];

    snprintf(local, sizeof local, "localhost%s", strrchr(page->at, ':'));
    return (strlen(page->at) == len && !strncasecmp(host, page->at, len)) ||
           (strlen(local) == len && !strncasecmp(host, local, len));
}

/* Not ended early by what differs. */
static bool same_word(const char *a, const char *b)
{
    unsigned char differs = 0;

    for (size_t i = 0; i < WORD; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return !differs;
}

/* "page", "style", or NULL: no such thing. */
static const char *thing(const struct page *page, const char *path, size_t len)
{
    static const char style[] = "style.css";

    if (len < WORD + 2 || path[0] != '/' || path[WORD + 1] != '/' ||
        !same_word(path + 1, page->word)) {
        return NULL;
    }
    path += WORD + 2;
    len -= WORD + 2;
    if (!len) return "page";
    return len == strlen(style) && !memcmp(path, style, len) ? "style" : NULL;
}

static void serve_page(const struct page *page, int fd, bool headers_only)
{
    struct xn_buf out;

    xn_buf_init(&out, PAGE_MAX);
    if (render(page, &out)) {
        refuse(fd, "503 Service Unavailable");
    } else {
        answer(fd, "200 OK", "text/html", (const char *)out.data, out.len,
               headers_only);
    }
    xn_buf_clear(&out);
}

static void serve(const struct page *page, int fd, const char *request)
{
    bool get = strncmp(request, "GET ", 4) == 0;
    bool head = strncmp(request, "HEAD ", 5) == 0;
    const char *path = request + (get ? 4 : 5), *host, *which;
    size_t len = strcspn(path, " ?\r"), host_len = 0;

    host = header(request, "Host", &host_len);
    if (!host || !is_host(page, host, host_len)) {
        refuse(fd, "421 Misdirected Request");
        return;
    }
    if (!get && !head) {
        refuse(fd, "405 Method Not Allowed");
        return;
    }
    which = thing(page, path, len);
    if (!which) {
        refuse(fd, "404 Not Found");
    } else if (strcmp(which, "style") == 0) {
        answer(fd, "200 OK", "text/css", html_style, strlen(html_style), head);
    } else {
        serve_page(page, fd, head);
    }
}

/* The request's head, all of it in so much time.  false: it is none. */
static bool read_request(int fd, char request[REQUEST_MAX + 1])
{
    uint64_t until_us = net_mono_us() + REQUEST_US, now_us;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    size_t len = 0;

    request[0] = '\0';
    while (!strstr(request, "\r\n\r\n")) {
        ssize_t n;

        now_us = net_mono_us();
        if (now_us >= until_us || len == REQUEST_MAX) return false;
        if (poll(&readable, 1, (int)((until_us - now_us) / 1000) + 1) <= 0)
            continue;
        n = recv(fd, request + len, REQUEST_MAX - len, 0);
        if (n <= 0) return false;
        len += (size_t)n;
        request[len] = '\0';
        if (strlen(request) != len) return false;
    }
    return true;
}

/* ---- the verb ---- */

static volatile sig_atomic_t ends;

static void on_signal(int number)
{
    (void)number;
    ends = 1;
}

/* Root that works as the folder's owner is that one from here on: this serves.
 */
static int drop_root(void)
{
    gid_t gid = getegid();
    uid_t uid = geteuid();

    return setresgid(gid, gid, gid) || setresuid(uid, uid, uid) ? XN_EPERM : 0;
}

static int draw_word(char word[WORD + 1])
{
    uint8_t bytes[WORD / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return XN_EIO;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(word + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static bool is_loopback(const struct net_addr *addr)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->sa;

    if (addr->sa.ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    return addr->sa.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int open_page(struct page *page, const char *listen)
{
    struct net_addr addr;
    int rc;

    if (net_addr_parse(listen, &addr) || !is_loopback(&addr)) {
        return server_usage("--listen: '%.60s' is no address of loopback with "
                            "a port, such as 127.0.0.1:7480",
                            listen);
    }
    rc = drop_root();
    if (!rc) rc = draw_word(page->word);
    if (!rc) rc = net_listen(listen, &page->fd, page->at);
    return rc ? server_gripef(rc, what, "--listen 127.0.0.1:0", "%s: %s",
                              listen,
                              rc == XN_EIO ? strerror(errno) : xn_strerror(rc))
              : XN_EXIT_OK;
}

static void loop(const struct page *page)
{
    static char request[REQUEST_MAX + 1];
    const struct timeval patience = {.tv_sec = REQUEST_US / 1000000};
    struct pollfd waiting = {.fd = page->fd, .events = POLLIN};

    while (!ends) {
        int fd;

        if (poll(&waiting, 1, 1000) <= 0) continue;
        fd = accept4(page->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (read_request(fd, request)) serve(page, fd, request);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

int server_page(struct server *server, int argc, char **argv)
{
    struct page page = {.server = server, .fd = -1};
    const char *listen = "127.0.0.1:0";
    const struct xn_option own[] = {
        XN_OPTION("listen", 0, "HOST:PORT",
                  "of loopback (127.0.0.1, a port that is free)", &listen),
    };
    const struct sigaction stop = {.sa_handler = on_signal};
    int words, code = server_options(server, own, 1, argc, argv, 0, &words);

    if (code >= 0) return code;
    if (server->json) return server_usage("a page has a form of its own");
    code = server_identity(server, what, &page.identity);
    if (!code) code = open_page(&page, listen);
    if (!code) {
        sigaction(SIGTERM, &stop, NULL);
        sigaction(SIGINT, &stop, NULL);
        printf("http://%s/%s/\n", page.at, page.word);
        if (fflush(stdout) == 0) loop(&page);
    }
    if (page.fd >= 0) close(page.fd);
    net_identity_clear(&page.identity);
    return code;
}
