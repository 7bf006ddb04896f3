/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a client asks a server for: quotes and sessions.  A server is named by
 * URL#ID: its Endpoint and id as xenofind tells them. */
#ifndef TOOLS_XENO_SERVER_H
#define TOOLS_XENO_SERVER_H

#include "tools/xeno_orders.h"

/* Us, in front of that server; an exit code, errors are told.
 * xeno_member_clear. */
int xeno_server(const struct xeno *xeno, const char *text,
                struct xeno_member *server_out);
/* The same, as `member` speaks; nothing to clear. */
int xeno_server_as(const char *text, const struct xeno_member *member,
                   struct xeno_member *server_out);
/* A whole file of at most `max` bytes. */
int xeno_file(const char *path, size_t max, struct xn_buf *out,
              const char *what);

/* A server's signed quote for these requirements (XML; may be empty). */
struct xeno_quoted {
    struct money_quote quote;
    struct xeno_paper paper; /* free */
    char manager[32];        /* "sandbox" */
};
/* Is it that? Takes what it said.  0, or a reason's code in `why`. */
int xeno_quote_take(const struct xeno_member *server, const Xn__Quoted *quoted,
                    struct xeno_quoted *out, struct xeno_why *why);

/* ---- sessions ---- */

const char *xeno_session_state(Xn__SessionState state); /* "running" */
json_t *xeno_session_json(const Xn__HostSession *session);
int xeno_session_print(const struct xeno *xeno, const Xn__HostSession *session);

struct xeno_session_body { /* points into what it was made from */
    Xn__CreateSession body;
    xn_id request;
    ProtobufCBinaryData papers[ORDER_NARROWINGS_MAX];
};
/* The request that brings an order to a server.  Its name follows from order
 * and quote: the same again is the same session. */
void xeno_session_body(const struct xeno_order *order,
                       const struct xeno_paper *quote,
                       const struct xeno_paper *wants,
                       struct xeno_session_body *body_out);
/* As xeno_ask; errors are told where `why` is NULL. */
int xeno_session_post(const struct xeno *xeno, const struct xeno_member *server,
                      const Xn__CreateSession *body, struct xeno_why *why,
                      Xn__HostSession **session_out);
int xeno_session_get(const struct xeno *xeno, const struct xeno_member *server,
                     const xn_id *session, bool quiet,
                     Xn__HostSession **session_out);
/* Signs a stop and brings it to XenoCorp and server.  An exit code; the session
 * is the caller's. */
int xeno_session_end(const struct xeno *xeno, const struct xeno_member *member,
                     const struct xeno_member *server,
                     const struct xeno_order *order, const xn_id *session,
                     Xn__HostSession **session_out);
/* 64 digits; an exit code. */
int xeno_session_take(const char *text, xn_id *out);

int xeno_quote(struct xeno *xeno, int argc, char **argv);
int xeno_session_new(struct xeno *xeno, int argc, char **argv);
/* All that server's, page by page. */
int xeno_session_list_at(const struct xeno *xeno, const char *text);
int xeno_session_list(struct xeno *xeno, int argc, char **argv);
int xeno_session_show(struct xeno *xeno, int argc, char **argv);
int xeno_session_activity(struct xeno *xeno, int argc, char **argv);
int xeno_session_stop(struct xeno *xeno, int argc, char **argv);
int xeno_session_extend(struct xeno *xeno, int argc, char **argv);

/* ---- all sessions that are kept here ---- */

int xeno_list_all(const struct xeno *xeno, bool ended_too);
int xeno_list(struct xeno *xeno, int argc, char **argv);
int xeno_top(struct xeno *xeno, int argc, char **argv);
int xeno_stop(struct xeno *xeno, int argc, char **argv);

#endif
