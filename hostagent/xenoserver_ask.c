/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking the running xenohostd; which XenoCorps there are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "hostagent/xenoserver.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/file.h"
#include "net/client_conf.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define URL_MAX 400
#define JOINED_MAX 4096

int server_identity(const struct server *server, const char *what,
                    struct net_identity *identity_out)
{
    int rc = net_identity_load(server->state, identity_out);

    if (!rc) return XN_EXIT_OK;
    if (rc == XN_ENOENT) {
        return server_gripef(XN_EIDENT, what,
                             "xenoserver join URL#ID, or --state DIR",
                             "%s holds no key and certificate", server->state);
    }
    return server_gripef(rc == XN_ENOMEM ? rc : XN_EIDENT, what,
                         "xenoserver doctor", "%s: %s", server->state,
                         xn_strerror(rc));
}

/* ---- where it answers ---- */

/* A wildcard is where one listens, not where one asks. */
static void put_url(const char *address, char *url_out, size_t len)
{
    const char *port = strrchr(address, ':');

    if (strncmp(address, "0.0.0.0:", 8) == 0) {
        snprintf(url_out, len, "https://127.0.0.1%s", port);
    } else if (strncmp(address, "[::]:", 5) == 0) {
        snprintf(url_out, len, "https://[::1]%s", port);
    } else {
        snprintf(url_out, len, "https://%s", address);
    }
}

bool server_find(const struct server *server, bool *runs_out, char *url_out,
                 size_t len)
{
    char path[NET_PATH_MAX], text[512], *at;
    ssize_t n;
    int fd;

    *runs_out = false;
    net_file_path(path, server->state, "lock");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    *runs_out = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "\napi=");
    if (!*runs_out || !at) return false;
    at += 5;
    at[strcspn(at, "\n")] = '\0';
    put_url(at, url_out, len);
    return true;
}

static int find_url(const struct server *server, char url[URL_MAX],
                    char *because_out, size_t len)
{
    bool runs = false;
    size_t n;

    if (server->url) {
        snprintf(url, URL_MAX, "%s", server->url);
        n = strlen(url);
        while (n > 8 && url[n - 1] == '/')
            url[--n] = '\0';
    } else if (!server_find(server, &runs, url, URL_MAX)) {
        snprintf(because_out, len,
                 runs ? "what runs on %s does not say where it answers"
                      : "no xenohostd runs on %s",
                 server->state);
        return XN_EUNREACH;
    }
    return 0;
}

/* ---- asking ---- */

int server_refusal(const struct net_reply *reply, char *because_out, size_t len,
                   char *try_out, size_t try_len)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = refusal && refusal->rc < 0 ? refusal->rc : XN_EPROTO;

    try_out[0] = '\0';
    if (refusal) {
        snprintf(because_out, len, "%s", refusal->because);
        snprintf(try_out, try_len, "%s", refusal->try_);
        xn__refusal__free_unpacked(refusal, NULL);
    } else {
        snprintf(because_out, len, "it answered with status %d", reply->status);
    }
    return rc;
}

static int understand(const struct server_question *question,
                      struct net_reply *reply, void *answer_out, char *because,
                      size_t len)
{
    void *answer;

    if (!question->answer) {
        memcpy(answer_out, &reply->body, sizeof reply->body);
        xn_buf_init(&reply->body, 0);
        return 0;
    }
    answer = xn_unpack(question->answer, reply->body.data, reply->body.len);
    memcpy(answer_out, &answer, sizeof answer);
    if (answer) return 0;
    snprintf(because, len, "the answer is not understood");
    return XN_EPROTO;
}

int server_ask(const struct server *server, const struct net_identity *as,
               const struct server_question *question, void *answer_out)
{
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], path[URL_MAX + 64], because[400] = "", try[256] = "";
    int rc = find_url(server, url, because, sizeof because);

    if (rc) snprintf(try, sizeof try, "start xenohostd, or --state or --url");
    if (!rc) {
        snprintf(path, sizeof path, "%s%s", url, question->path);
        snprintf(try, sizeof try, "xenoserver doctor");
        rc = net_request(as, question->method, path, question->body,
                         question->len, &as->cert.id, server->timeout_ms,
                         &reply, because, sizeof because);
        if (!rc && reply.status != 200) {
            rc = server_refusal(&reply, because, sizeof because, try,
                                sizeof try);
        } else if (!rc) {
            rc = understand(question, &reply, answer_out, because,
                            sizeof because);
        }
    }
    if (rc && !question->quiet) {
        server_gripe(rc, question->what, because[0] ? because : xn_strerror(rc),
                     try);
    }
    net_reply_clear(&reply);
    return rc;
}

/* ---- the XenoCorps ---- */

static int read_joined(const struct server *server, char **text_out)
{
    char path[NET_PATH_MAX];
    struct xn_buf text;
    int rc;

    xn_buf_init(&text, JOINED_MAX);
    net_file_path(path, server->state, "joined");
    rc = xn_file_read(path, &text);
    if (rc) {
        xn_buf_clear(&text);
        return rc;
    }
    *text_out = xn_buf_steal_str(&text);
    return *text_out ? 0 : XN_ENOMEM;
}

/* A later URL of the same XenoCorp beats the one before. */
static void add_corp(struct server *server, const struct net_corp *corp)
{
    size_t i = 0;

    while (i < server->n_corps && !xn_id_eq(&server->corps[i].id, &corp->id))
        i++;
    if (i == SERVER_CORPS_MAX) return;
    server->corps[i] = *corp;
    if (i == server->n_corps) server->n_corps++;
}

static void add_corps(struct server *server, const char *text)
{
    char copy[300];

    while (text && *text) {
        size_t len = strcspn(text, ", \t\n");
        struct net_corp corp;

        snprintf(copy, sizeof copy, "%.*s", (int)(len < 299 ? len : 299), text);
        text += len + (text[len] != '\0');
        if (len && !net_corp_parse(copy, &corp) && corp.pinned)
            add_corp(server, &corp);
    }
}

int server_corps(struct server *server)
{
    char *text = NULL;
    int rc = 0;

    if (server->n_corps) return 0;
    rc = read_joined(server, &text);
    if (!rc) add_corps(server, text);
    free(text);
    if (rc == XN_ENOMEM) return rc;
    if (!server->n_corps) add_corps(server, net_env("XENO_CORP"));
    return server->n_corps ? 0 : XN_ENOENT;
}

int server_corps_joined(struct server *server, const struct net_corp *also)
{
    char *text = NULL;
    int rc = read_joined(server, &text);

    if (rc == XN_ENOMEM) return rc;
    server->n_corps = 0;
    add_corps(server, text);
    add_corp(server, also);
    free(text);
    return 0;
}

static void put_joined(const struct net_corp *corp, char line[300])
{
    char hex[XN_ID_HEX];

    xn_id_hex(&corp->id, hex);
    snprintf(line, 300, "%s#%s\n", corp->url, hex);
}

bool server_corps_has(const struct server *server, const struct net_corp *corp)
{
    char line[300], *text = NULL;
    bool has;

    put_joined(corp, line);
    has = read_joined(server, &text) == 0 && strstr(text, line);
    free(text);
    return has;
}

int server_corps_keep(const struct server *server, const struct net_corp *corp)
{
    char path[NET_PATH_MAX], line[300];
    FILE *file;
    bool good;

    put_joined(corp, line);
    net_file_path(path, server->state, "joined");
    file = fopen(path, "ae");
    good = file && fputs(line, file) >= 0;
    if (file && fclose(file)) good = false;
    if (good) return XN_EXIT_OK;
    return server_gripef(XN_EIO, "cannot remember the XenoCorp", "df", "%s: %s",
                         path, strerror(errno));
}
