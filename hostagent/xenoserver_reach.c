/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Seen from outside: the node is asked, which asks others whether they reach what
 * stands beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hostagent/xenoserver_doctor.h"
#include "lib/err.h"
#include "net/addr.h"
#include "net/clock.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define URL_MAX 512
#define TRIES 4 /* where all were busy */

static unsigned port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

    return port < 65536 ? (unsigned)port : 0;
}

/* However each of them is spelled. */
static bool is_host(const char *address, const char *host)
{
    char there[NET_ADDR_TEXT + 8], a_text[NET_ADDR_TEXT], b_text[NET_ADDR_TEXT];
    struct net_addr a, b;

    snprintf(there, sizeof there, "%s:%u", host, port_of(address));
    if (net_addr_parse(address, &a) || net_addr_parse(there, &b)) return false;
    net_addr_text((struct sockaddr *)&a.sa, a_text);
    net_addr_text((struct sockaddr *)&b.sa, b_text);
    return strcmp(a_text, b_text) == 0;
}

static bool is_numeric(const char *address)
{
    return address[0] == '[' || !address[strspn(address, "0123456789.:")];
}

/* XN_ENOTYET: nobody can look yet. */
static int ask(const struct doctor *d, const char *node,
               const struct doctor_aim *aim, Xn__Reached **reached_out,
               char *why_out, size_t len)
{
    Xn__Reach body = XN__REACH__INIT;
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], try[200];
    uint8_t *bytes = NULL;
    size_t n = 0;
    int rc;

    body.port = port_of(aim->address);
    body.id = xn_id_bytes(aim->id);
    snprintf(url, sizeof url, "%s/v1/reach", node);
    rc = xn_pack(&body, &bytes, &n);
    if (!rc) {
        rc = net_request(&d->identity, "POST", url, bytes, n, NULL,
                         d->server->timeout_ms, &reply, why_out, len);
    }
    if (!rc && reply.status != 200) {
        rc = server_refusal(&reply, why_out, len, try, sizeof try);
    } else if (!rc) {
        *reached_out = xn_unpack(&xn__reached__descriptor, reply.body.data,
                                 reply.body.len);
        if (!*reached_out) rc = XN_EPROTO;
    }
    net_reply_clear(&reply);
    free(bytes);
    return rc;
}

/* ---- what they say ---- */

static void found(struct doctor *d, const struct doctor_aim *aim,
                  const Xn__ReachedBy *by)
{
    const char *there = by->node->address;

    doctor_find(d, "outside", DOCTOR_OK, NULL, "%s: %s is reached by %s",
                aim->about, aim->address, there[0] ? there : "another node");
}

/* The port is open there, but that is not what others are told. */
static void elsewhere(struct doctor *d, const struct doctor_aim *aim,
                      const Xn__ReachedBy *by)
{
    char try[200];

    snprintf(try, sizeof try, "tell others %.80s:%u%s", by->seen,
             port_of(aim->address),
             strcmp(aim->about, "node") == 0
                 ? ": overlay.address of xenonoded"
                 : ": xenoserver offer Endpoint=https://..");
    doctor_find(d, "outside", DOCTOR_FAIL, try,
                "%s: others see this machine as %s and reach it there, but are "
                "told %s",
                aim->about, by->seen, aim->address);
}

static void not_found(struct doctor *d, const struct doctor_aim *aim,
                      const Xn__ReachedBy *by, unsigned n)
{
    unsigned port = port_of(aim->address);
    bool nat = is_numeric(aim->address) && !is_host(aim->address, by->seen);
    char try[200];

    if (nat) {
        snprintf(try, sizeof try,
                 "let the router pass port %u to this machine, and tell others "
                 "%.60s:%u; or %s",
                 port, by->seen, port, aim->otherwise);
        doctor_find(d, "outside", DOCTOR_FAIL, try,
                    "%s: others see this machine as %s, so addresses are "
                    "translated on the way, and port %u does not lead here",
                    aim->about, by->seen, port);
        return;
    }
    snprintf(try, sizeof try, "open TCP port %u in the firewall for %s; or %s",
             port, aim->whom, aim->otherwise);
    doctor_find(d, "outside", DOCTOR_FAIL, try,
                "%s: %u of %u nodes asked could not reach %s", aim->about, n, n,
                aim->address);
}

/* That a node met it elsewhere is its word alone: nothing beside another's who
 * met it where it is said to be, or sees it there and did not meet it. */
void doctor_judge_outside(struct doctor *d, const struct doctor_aim *aim,
                          const Xn__Reached *reached)
{
    const Xn__ReachedBy *met = NULL, *astray = NULL, *missed = NULL;
    bool is_there = false;
    unsigned n = 0;

    for (size_t i = 0; i < reached->n_by; i++) {
        const Xn__ReachedBy *by = reached->by[i];

        if (by->rc || !by->node) continue;
        if (!by->met)
            missed = by;
        else if (is_numeric(aim->address) && !is_host(aim->address, by->seen))
            astray = by;
        else
            met = by;
        is_there |= is_host(aim->address, by->seen);
        n += !by->met;
    }
    if (met) {
        found(d, aim, met);
    } else if (astray && !is_there) {
        elsewhere(d, aim, astray);
    } else if (missed) {
        not_found(d, aim, missed, n);
    } else {
        doctor_find(d, "outside", DOCTOR_WARN, "again in some seconds",
                    "%s: no node that was asked had time to look", aim->about);
    }
}

/* They look for one asker twice a second. */
static bool all_busy(const Xn__Reached *reached)
{
    size_t n = 0;

    while (n < reached->n_by && reached->by[n]->rc == XN_EBUSY)
        n++;
    return n > 0 && n == reached->n_by;
}

static void check(struct doctor *d, const char *node,
                  const struct doctor_aim *aim)
{
    const struct timespec pause = {.tv_sec = 1};
    Xn__Reached *reached = NULL;
    char why[300] = "";
    int rc;

    if (!port_of(aim->address)) return;
    rc = ask(d, node, aim, &reached, why, sizeof why);
    for (int i = 0; i < TRIES && reached && all_busy(reached); i++) {
        xn__reached__free_unpacked(reached, NULL);
        reached = NULL;
        nanosleep(&pause, NULL);
        rc = ask(d, node, aim, &reached, why, sizeof why);
    }
    if (rc == XN_ENOTYET) {
        doctor_find(d, "outside", DOCTOR_WARN, "again when there are others",
                    "%s: %s", aim->about, why);
    } else if (rc) {
        doctor_find(d, "outside", DOCTOR_WARN, "again in some seconds",
                    "%s: %s could not have it looked for: %s", aim->about, node,
                    why[0] ? why : xn_strerror(rc));
    } else if (reached) {
        doctor_judge_outside(d, aim, reached);
        xn__reached__free_unpacked(reached, NULL);
    }
}

/* ---- what is looked for ---- */

void doctor_check_outside(struct doctor *d, const char *node,
                          const Xn__NodeStatus *status)
{
    struct doctor_aim aim = {.about = "node",
                             .whom = "all",
                             .otherwise =
                                 "overlay.address = \"none\" in "
                                 "xenonoded's configuration: it then dials "
                                 "and is not dialled"};
    xn_id id;

    if (status->self && !xn_id_from_bytes(&status->self->id, &id)) {
        aim.id = &id;
        aim.address = status->self->address;
        if (aim.address[0])
            check(d, node, &aim);
        else
            doctor_find(d, "outside", DOCTOR_OK, NULL,
                        "node: it dials and need not be reached");
    }
    if (!d->endpoint[0]) return;
    aim = (struct doctor_aim){.about = "server",
                              .whom = "clients",
                              .address = d->endpoint,
                              .otherwise =
                                  "sell from a machine that clients reach",
                              .id = &d->identity.cert.id};
    check(d, node, &aim);
}

void doctor_await_outside(struct doctor *d, const char *node, unsigned seconds)
{
    uint64_t until_us = net_mono_us() + seconds * 1000000ULL;
    const struct timespec pause = {.tv_nsec = 500000000};
    Xn__NodeStatus *status;
    char why[300] = "";
    bool met = false;

    for (;;) {
        (void)doctor_ask_node(d, node, &status, why, sizeof why);
        met = status && status->links > 0;
        if (met) doctor_check_outside(d, node, status);
        if (status) xn__node_status__free_unpacked(status, NULL);
        if (met || net_mono_us() >= until_us) break;
        nanosleep(&pause, NULL);
    }
    if (!met) {
        doctor_find(d, "outside", DOCTOR_WARN, "xenoserver doctor, later",
                    "%s has met no other node yet, which could look", node);
    }
}
