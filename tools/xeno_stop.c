/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session stop, xeno stop: the signed end of a session. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_stop.h"

#define STOPS_MAX 4096 /* as many as are kept */

static const char cannot_stop[] = "cannot stop the session";

/* The XenoCorp hears it as well: from then on it pays nothing, whatever the
 * server does. */
static int tell_corp(const struct xeno *xeno, const struct xeno_member *member,
                     const struct xeno_order *order,
                     const ProtobufCBinaryData *stop)
{
    Xn__StopOrder body = XN__STOP_ORDER__INIT;
    struct xeno_question question = {.what = cannot_stop,
                                     .method = "POST",
                                     .path = "/v1/stop",
                                     .body = &body,
                                     .answer = &xn__charged__descriptor,
                                     .changes = true,
                                     .patient = true};
    Xn__Charged *charged = NULL;
    int rc;

    body.serial = xn_id_bytes(&order->order.serial);
    body.stop = *stop;
    rc = xeno_ask(xeno, member, &question, &charged);
    if (charged) xn__charged__free_unpacked(charged, NULL);
    return xn_exit_code(rc);
}

static int tell_server(const struct xeno *xeno,
                       const struct xeno_member *server, const xn_id *session,
                       const ProtobufCBinaryData *stop, struct xeno_why *why,
                       Xn__HostSession **session_out)
{
    Xn__StopSession body = XN__STOP_SESSION__INIT;
    struct xeno_question question = {.what = cannot_stop,
                                     .method = "POST",
                                     .path = "/v1/sessions/stop",
                                     .body = &body,
                                     .answer = &xn__host_session__descriptor,
                                     .changes = true,
                                     .patient = true,
                                     .why = why};

    body.session = xn_id_bytes(session);
    body.stop = *stop;
    return xn_exit_code(xeno_ask(xeno, server, &question, session_out));
}

int xeno_stop_seal(const struct xeno_member *member,
                   const struct xeno_order *order, struct xeno_paper *paper_out)
{
    struct money doc = {.type = MONEY_STOP};

    if (!order->n) {
        return xeno_gripe(XN_EMONEY, cannot_stop,
                          "the order was never narrowed to a server",
                          "xeno order void");
    }
    doc.head.issued_us = net_wall_us();
    doc.stop.narrowing = order->narrowings[order->n - 1].head.hash;
    return xn_exit_code(money_seal(&doc, member->identity.key,
                                   member->identity.x509, &paper_out->data,
                                   &paper_out->len));
}

bool xeno_stop_follow(const struct xeno *xeno, const struct xeno_member *server,
                      const xn_id *session, const xn_id *serial,
                      struct xeno_member *member_out,
                      struct xeno_order *order_out)
{
    Xn__HostSession *now = NULL;
    char hex[XN_ID_HEX];
    xn_id other;
    bool known;

    if (xeno_session_get(xeno, server, session, true, &now)) return false;
    known = !xn_id_from_bytes(&now->serial, &other);
    xn__host_session__free_unpacked(now, NULL);
    if (!known || xn_id_eq(&other, serial)) return false;
    xn_id_hex(&other, hex);
    if (xeno_order_find(xeno, hex, member_out, order_out)) return false;
    /* Else a server names any order of ours, and we stop that one. */
    if (xeno_order_extends(xeno, member_out, order_out, session)) return true;
    xeno_order_clear(order_out);
    xeno_member_clear(member_out);
    return false;
}

/* The XenoCorp first: from then on nothing is paid, whatever the server does.
 * What it says where all has ended long ago does not matter. */
static int end_by(const struct xeno *xeno, const struct xeno_member *member,
                  const struct xeno_member *server,
                  const struct xeno_order *order, const xn_id *session,
                  struct xeno_why *why, Xn__HostSession **session_out)
{
    struct xeno_paper sealed = {NULL, 0};
    ProtobufCBinaryData paper;
    int at_corp, code = xeno_stop_seal(member, order, &sealed);

    if (code) return code;
    paper = (ProtobufCBinaryData){sealed.len, sealed.data};
    at_corp = tell_corp(xeno, member, order, &paper);
    code = tell_server(xeno, server, session, &paper, why, session_out);
    free(sealed.data);
    if (at_corp == XN_EXIT_MONEY && !code) at_corp = XN_EXIT_OK;
    return at_corp ? at_corp : code;
}

int xeno_session_end(const struct xeno *xeno, const struct xeno_member *member,
                     const struct xeno_member *server,
                     const struct xeno_order *order, const xn_id *session,
                     Xn__HostSession **session_out)
{
    struct xeno_why why = {.rc = 0};
    struct xeno_member other;
    struct xeno_order next;
    int code = end_by(xeno, member, server, order, session, &why, session_out);

    if (why.rc == XN_EINTEGRITY && /* it is no stop of that session's order */
        xeno_stop_follow(xeno, server, session, &order->order.serial, &other,
                         &next)) {
        memset(&why, 0, sizeof why);
        code = end_by(xeno, &other, server, &next, session, &why, session_out);
        xeno_order_clear(&next);
        xeno_member_clear(&other);
    }
    if (why.rc) xeno_tell(&why, cannot_stop);
    return code;
}

static int end(const struct xeno *xeno, const struct xeno_member *member,
               const struct xeno_member *server, const struct xeno_order *order,
               const xn_id *session)
{
    Xn__HostSession *ended = NULL;
    int code = xeno_session_end(xeno, member, server, order, session, &ended);

    if (ended && !code) code = xeno_session_print(xeno, ended);
    if (ended) xn__host_session__free_unpacked(ended, NULL);
    return code;
}

/* By what the state folder knows of it. */
static int end_kept(const struct xeno *xeno, const char *text)
{
    struct xeno_place place;
    struct xeno_member member = {.talk = NULL};
    struct xeno_order order;
    char hex[XN_ID_HEX];
    int code = xeno_place(xeno, text, &place);

    if (code) return code;
    xn_id_hex(&place.kept.serial, hex);
    code = xeno_order_find(xeno, hex, &member, &order);
    if (!code) {
        code = end(xeno, &member, &place.server, &order, &place.kept.session);
        xeno_order_clear(&order);
        xeno_member_clear(&member);
    }
    xeno_place_clear(&place);
    return code;
}

/* SERVER SESSION ORDER: of one that is not kept here. */
static int end_named(const struct xeno *xeno, char **words)
{
    struct xeno_member member, server;
    struct xeno_order order;
    xn_id session;
    int code = xeno_session_take(words[1], &session);

    if (!code) code = xeno_order_find(xeno, words[2], &member, &order);
    if (code) return code;
    code = xeno_server_as(words[0], &member, &server);
    if (!code) code = end(xeno, &member, &server, &order, &session);
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}

int xeno_session_stop(struct xeno *xeno, int argc, char **argv)
{
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 3, &words);
    if (code >= 0) return code;
    if (argc - words == 2)
        return xeno_usage("SESSION alone, or SERVER SESSION ORDER");
    return argc - words == 1 ? end_kept(xeno, argv[words])
                             : end_named(xeno, argv + words);
}

int xeno_stop(struct xeno *xeno, int argc, char **argv)
{
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, STOPS_MAX, &words);
    if (code >= 0) return code;
    if (argc - words == 1) return end_kept(xeno, argv[words]);
    return xeno_stops(xeno, (size_t)(argc - words), argv + words);
}
