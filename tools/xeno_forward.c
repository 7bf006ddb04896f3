/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session forward: ports of this machine that lead to a task's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/text.h"
#include "net/forward.h"
#include "net/json.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"
#include "wire/nest.h"

enum { LOOK_MS = 20000, PORT_MAX = 65535 };

static const char cannot[] = "cannot forward ports";

struct forwarding {
    struct xeno *xeno;
    struct xeno_place place;
    struct net_forward_port ports[NET_FORWARD_PORTS_MAX];
    size_t n;
    struct xeno_why why; /* there is nothing to forward to any more */
};

/* ---- words: PORT, LOCALPORT:PORT, ADDRESS:LOCALPORT:PORT ---- */

/* Its address is both loopback ones where none is named. */
static bool add_port(struct forwarding *f, const char *host, uint64_t local,
                     uint64_t to)
{
    struct net_forward_port *port = &f->ports[f->n];
    int n;

    if (f->n == NET_FORWARD_PORTS_MAX) return false;
    n = snprintf(port->address, sizeof port->address, "%s:%u", host,
                 (unsigned)local);
    port->to = (uint16_t)to;
    f->n++;
    return n < (int)sizeof port->address;
}

static bool take_word(struct forwarding *f, const char *word)
{
    char text[NET_ADDR_TEXT * 2], *colon, *local = text;
    uint64_t from, to;

    if (strlen(word) >= sizeof text) return false;
    snprintf(text, sizeof text, "%s", word);
    colon = strrchr(text, ':');
    if (xn_number_parse(colon ? colon + 1 : text, PORT_MAX, &to) || !to)
        return false;
    if (colon) *colon = '\0';
    colon = colon ? strrchr(text, ':') : NULL;
    if (colon) {
        *colon = '\0';
        local = colon + 1;
    }
    if (xn_number_parse(local, PORT_MAX, &from)) return false;
    if (colon) return add_port(f, text, from, to);
    return add_port(f, "127.0.0.1", from, to) && add_port(f, "[::1]", from, to);
}

static int take_words(struct forwarding *f, char **words, int n)
{
    for (int i = 0; i < n; i++) {
        if (take_word(f, words[i])) continue;
        return xeno_usage("'%.80s' is no [[ADDRESS:]LOCALPORT:]PORT", words[i]);
    }
    return XN_EXIT_OK;
}

/* ---- listening ---- */

static int cannot_listen(const char *address, int rc, int error)
{
    if (rc == XN_EINVAL)
        return xeno_usage("'%.80s' is no numeric address", address);
    return xeno_gripef(rc, "cannot listen",
                       error == EACCES ? "a LOCALPORT above 1023"
                                       : "another LOCALPORT; 0 is any that "
                                         "is free",
                       "%s: %s", address,
                       rc == XN_EIO ? strerror(error) : xn_strerror(rc));
}

static bool has_no_ipv6(const struct net_forward_port *port, int rc)
{
    return rc == XN_EIO && port->address[0] == '[' &&
           (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
}

/* Beside the one before it, whose port it has if any was free. */
static void follow(struct net_forward_port *port)
{
    const char *before = strrchr(port[-1].address, ':');
    char *own = strrchr(port->address, ':');

    if (strcmp(port->address, "[::1]:0") == 0 && before &&
        strncmp(port[-1].address, "127.0.0.1:", 10) == 0)
        snprintf(own, sizeof port->address - (size_t)(own - port->address),
                 "%s", before);
}

static int listen_at_all(struct forwarding *f, struct net_forward *forward)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        struct net_forward_port port;
        int rc;

        if (i) follow(&f->ports[i]);
        port = f->ports[i];
        rc = net_forward_add(forward, &port);
        if (has_no_ipv6(&port, rc)) continue;
        if (rc) return cannot_listen(port.address, rc, errno);
        f->ports[n++] = port;
    }
    f->n = n;
    return XN_EXIT_OK;
}

static int say_listening(const struct forwarding *f)
{
    char hex[XN_ID_HEX];
    json_t *rows;

    xn_id_hex(&f->place.kept.session, hex);
    if (f->xeno->json) {
        rows = json_array();
        for (size_t i = 0; i < f->n; i++)
            json_array_append_new(rows, json_pack("{s:s, s:i}", "address",
                                                  f->ports[i].address, "port",
                                                  (int)f->ports[i].to));
        return xeno_print_json(json_pack("{s:s, s:s, s:o}", "schema",
                                         "xeno.forward/1", "session", hex,
                                         "listens", rows));
    }
    for (size_t i = 0; i < f->n; i++)
        printf("%s leads to port %u of %.12s\n", f->ports[i].address,
               (unsigned)f->ports[i].to, hex);
    return fflush(stdout) ? net_cannot_print(XENO_PROGRAM, XN_EIO) : XN_EXIT_OK;
}

/* ---- while it runs ---- */

/* Of one connection: it was not made, or was cut. */
static void on_refused(void *arg, uint16_t to, int rc, const char *because,
                       const char *try)
{
    const struct forwarding *f = arg;

    if (f->xeno->json) {
        (void)xeno_print_json(json_pack("{s:s, s:i, s:i, s:s, s:s}", "schema",
                                        "xeno.cut/1", "port", (int)to, "exit",
                                        xn_exit_code(rc), "because", because,
                                        "try", try ? try : ""));
        (void)fflush(stdout);
        return;
    }
    fprintf(stderr, XENO_PROGRAM ": no connection to port %u: ", (unsigned)to);
    xn_put_plain(because, stderr);
    if (try && try[0]) {
        fputs("; try: ", stderr);
        xn_put_plain(try, stderr);
    }
    fputc('\n', stderr);
}

int xeno_task_reach(const struct xeno *xeno, const struct xeno_member *server,
                    const xn_id *session, uint32_t task, const char *what,
                    struct xeno_why *why)
{
    Xn__ForwardTask body = XN__FORWARD_TASK__INIT; /* to no port */
    const struct xeno_question question = {
        .what = what,
        .method = "POST",
        .path = "/v1/tasks/forward",
        .body = &body,
        .answer = &xn__host_task__descriptor,
        .why = why,
    };
    Xn__HostTask *answer = NULL;
    int rc;

    body.session = xn_id_bytes(session);
    body.task = task;
    rc = xeno_ask(xeno, server, &question, &answer);
    if (answer) xn__host_task__free_unpacked(answer, NULL);
    return rc;
}

static int may_carry(const struct forwarding *f, struct xeno_why *why)
{
    return xeno_task_reach(f->xeno, &f->place.server, &f->place.kept.session,
                           f->place.task, cannot, why);
}

/* A task may come after the one that has ended, after a session nothing does. */
static bool on_look(void *arg)
{
    struct forwarding *f = arg;

    return may_carry(f, &f->why) != XN_ENOENT;
}

static int run(struct forwarding *f)
{
    const struct net_forward_config config = {
        .identity = &f->place.server.identity,
        .url = f->place.server.corp.url,
        .server = &f->place.server.corp.id,
        .session = &f->place.kept.session,
        .task = f->place.task,
        .timeout_ms = f->xeno->timeout_ms,
        .look_ms = LOOK_MS,
        .refused = on_refused,
        .look = on_look,
        .arg = f,
    };
    struct net_forward *forward = NULL;
    int code, rc = net_forward_new(&config, &forward);

    if (rc) return xeno_no_memory();
    code = listen_at_all(f, forward);
    if (!code) code = say_listening(f);
    if (!code) {
        rc = net_forward_run(forward);
        if (rc == XN_ENOENT)
            code = xeno_tell(&f->why, cannot);
        else if (rc)
            code = xeno_gripe(rc, cannot, xn_strerror(rc), "the same again");
    }
    net_forward_free(forward);
    return code;
}

int xeno_session_forward(struct xeno *xeno, int argc, char **argv)
{
    struct forwarding f = {.xeno = xeno};
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 2,
                        1 + NET_FORWARD_PORTS_MAX / 2, &words);
    if (code >= 0) return code;
    code = take_words(&f, argv + words + 1, argc - words - 1);
    if (!code) code = xeno_place(xeno, argv[words], &f.place);
    if (code) return code;
    if (may_carry(&f, &f.why))
        code = xeno_tell(&f.why, cannot);
    else
        code = run(&f);
    xeno_place_clear(&f.place);
    return code;
}
