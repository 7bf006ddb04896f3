/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session: orders brought to a server, and what became of them.
 *
 * A request's name follows from order and quote: the same command again is the
 * same request, and so the same session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"

#define PAPER_MAX 8192
#define REQUIREMENTS_MAX (16 * 1024)

/* ---- showing them ---- */

const char *xeno_session_state(Xn__SessionState state)
{
    switch (state) {
    case XN__SESSION_STATE__SESSION_CLAIMED: return "asking";
    case XN__SESSION_STATE__SESSION_UNSETTLED: return "unsettled";
    case XN__SESSION_STATE__SESSION_RUNNING: return "running";
    case XN__SESSION_STATE__SESSION_PAUSED: return "paused";
    case XN__SESSION_STATE__SESSION_ENDING: return "ending";
    case XN__SESSION_STATE__SESSION_ENDED: return "ended";
    case XN__SESSION_STATE__SESSION_REFUSED: return "refused";
    default: return "?";
    }
}

json_t *xeno_session_json(const Xn__HostSession *s)
{
    xn_id id = {{0}}, serial = {{0}};

    (void)xn_id_from_bytes(&s->session, &id);
    (void)xn_id_from_bytes(&s->serial, &serial);
    return json_pack(
        "{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s, s:s, "
        "s:s, s:s, s:i, s:i, s:o, s:i, s:o, s:s}",
        "session", xeno_json_id(&id), "state", xeno_session_state(s->state),
        "order", xeno_json_id(&serial), "currency", s->currency, "amount",
        xeno_json_money(s->amount), "charged", xeno_json_money(s->charged),
        "claimed", xeno_json_money(s->claimed), "claims",
        (json_int_t)s->sequence, "since", xeno_json_time(s->since_us), "until",
        xeno_json_time(s->until_us), "till", xeno_json_time(s->till_us), "type",
        s->env_type, "manager", s->manager, "reason", s->reason, "trouble",
        s->trouble, "warned", (int)s->warned, "tasks", (int)s->tasks, "task",
        s->task ? xeno_task_json(s->task) : json_null(), "extended",
        (int)s->extended, "before", xeno_json_money(s->before),
        "virtualisation", s->virtualisation);
}

int xeno_session_print(const struct xeno *xeno, const Xn__HostSession *s)
{
    char hex[XN_ID_HEX], text[MONEY_TEXT_MAX];
    xn_id id = {{0}};

    if (xeno->json) {
        json_t *top = xeno_session_json(s);

        if (top) {
            json_object_set_new(top, "schema", json_string("xeno.session/1"));
        }
        return xeno_print_json(top);
    }
    (void)xn_id_from_bytes(&s->session, &id);
    xn_id_hex(&id, hex);
    xeno_say("session", "%s", hex);
    xeno_say("state", "%s", xeno_session_state(s->state));
    if (s->reason[0]) xeno_say("because", "%s", s->reason);
    if (s->amount) {
        xeno_say("order", "%s", money_text(s->amount, s->currency, text));
    }
    xeno_say("charged", "%s", money_text(s->charged, s->currency, text));
    if (s->extended) {
        xeno_say("before", "%s, by %u order%s",
                 money_text(s->before, s->currency, text), s->extended,
                 s->extended == 1 ? "" : "s");
    }
    xeno_say("runs in", "%s%s%s", s->manager, *s->virtualisation ? ", " : "",
             s->virtualisation);
    if (s->warned) xeno_say("left", "less than %u %%", s->warned);
    if (s->trouble[0]) xeno_say("trouble", "%s", s->trouble);
    if (s->task) xeno_task_say(s->task);
    return XN_EXIT_OK;
}

static int show_list(const struct xeno *xeno, const Xn__Sessions *list)
{
    static const char *const headings[] = {"SESSION", "STATE", "CHARGED", "OF",
                                           "BECAUSE"};
    json_t *rows = json_array();
    struct xeno_table *table = NULL;

    if (!xeno->json) table = xeno_table_new(headings, 5, 1 << 2 | 1 << 3);
    for (size_t i = 0; i < list->n_sessions; i++) {
        const Xn__HostSession *s = list->sessions[i];
        char hex[XN_ID_HEX] = "", of[MONEY_TEXT_MAX], charged[MONEY_TEXT_MAX];
        const char *row[] = {hex, xeno_session_state(s->state), charged, of,
                             s->reason};
        xn_id id = {{0}};

        json_array_append_new(rows, xeno_session_json(s));
        (void)xn_id_from_bytes(&s->session, &id);
        xn_id_hex(&id, hex);
        money_text(s->charged, s->currency, charged);
        money_text(s->amount, s->currency, of);
        if (table) xeno_table_row(table, row);
    }
    if (!xeno->json) {
        json_decref(rows);
        return table ? xeno_table_print(table) : xn_exit_code(XN_ENOMEM);
    }
    return xeno_print_json(
        json_pack("{s:s, s:o}", "schema", "xeno.sessions/1", "sessions", rows));
}

/* ---- new ---- */

static const char cannot_create[] = "cannot create the session";

void xeno_session_body(const struct xeno_order *order,
                       const struct xeno_paper *quote,
                       const struct xeno_paper *wants,
                       struct xeno_session_body *body_out)
{
    Xn__CreateSession *body = &body_out->body;

    xn__create_session__init(body);
    xn_id_hash2(order->order.serial.b, XN_ID_SIZE, quote->data, quote->len,
                &body_out->request);
    for (size_t i = 0; i < order->n; i++) {
        body_out->papers[i] =
            (ProtobufCBinaryData){order->papers[i].len, order->papers[i].data};
    }
    body->request = xn_id_bytes(&body_out->request);
    body->order =
        (ProtobufCBinaryData){order->order_paper.len, order->order_paper.data};
    body->narrowings = body_out->papers;
    body->n_narrowings = order->n;
    body->quote = (ProtobufCBinaryData){quote->len, quote->data};
    body->requirements = (ProtobufCBinaryData){wants->len, wants->data};
}

int xeno_session_post(const struct xeno *xeno, const struct xeno_member *server,
                      const Xn__CreateSession *body, struct xeno_why *why,
                      Xn__HostSession **session_out)
{
    struct xeno_question question = {.what = cannot_create,
                                     .method = "POST",
                                     .path = "/v1/sessions",
                                     .body = body,
                                     .answer = &xn__host_session__descriptor,
                                     .changes = true,
                                     .why = why};

    return xeno_ask(xeno, server, &question, session_out);
}

/* So that its id alone is enough from now on. */
static int keep(const struct xeno *xeno, const char *url,
                const struct xeno_member *server,
                const Xn__HostSession *session)
{
    struct xeno_kept kept = {.since_us = net_wall_us()};

    kept.corp = server->identity.cert.corp;
    snprintf(kept.server, sizeof kept.server, "%s", url);
    (void)xn_id_from_bytes(&session->serial, &kept.serial);
    if (xn_id_from_bytes(&session->session, &kept.session)) return XN_EXIT_OK;
    return xeno_kept_put(xeno, &kept);
}

static int create(const struct xeno *xeno, const char *url,
                  const struct xeno_member *server,
                  const struct xeno_order *order, const struct xn_buf *quote,
                  const struct xn_buf *wants)
{
    struct xeno_paper q = {quote->data, quote->len};
    struct xeno_paper w = {wants->data, wants->len};
    Xn__HostSession *session = NULL;
    struct xeno_session_body body;
    int code;

    xeno_session_body(order, &q, &w, &body);
    code = xn_exit_code(
        xeno_session_post(xeno, server, &body.body, NULL, &session));
    if (!code) code = keep(xeno, url, server, session);
    if (!code) code = xeno_session_print(xeno, session);
    if (session) xn__host_session__free_unpacked(session, NULL);
    return code;
}

int xeno_session_new(struct xeno *xeno, int argc, char **argv)
{
    const char *quote_path = NULL, *wants_path = NULL;
    const struct xn_option own[] = {
        XN_OPTION("quote", 0, "FILE", "as xeno quote --save kept it",
                  &quote_path),
        XN_OPTION("requirements", 0, "FILE", "XML that the quote must meet",
                  &wants_path),
    };
    struct xeno_member member, server;
    struct xeno_order order;
    struct xn_buf quote, wants;
    int words, code;

    code = xeno_options(xeno, own, 2, argc, argv, 2, 2, &words);
    if (code >= 0) return code;
    if (!quote_path) return xeno_usage("--quote FILE is missing");
    xn_buf_init(&wants, 0);
    code = xeno_file(quote_path, PAPER_MAX, &quote, cannot_create);
    if (code) return code;
    if (wants_path)
        code = xeno_file(wants_path, REQUIREMENTS_MAX, &wants, cannot_create);
    if (!code) code = xeno_order_find(xeno, argv[words + 1], &member, &order);
    if (!code) {
        code = xeno_server_as(argv[words], &member, &server);
        if (!code)
            code = create(xeno, argv[words], &server, &order, &quote, &wants);
        xeno_order_clear(&order);
        xeno_member_clear(&member);
    }
    xn_buf_clear(&quote);
    xn_buf_clear(&wants);
    return code;
}

/* ---- list, show ---- */

static const char cannot_tell[] = "cannot tell the sessions";

#define LISTED_MAX 65536 /* sessions of a server */

/* Behind the last of those before, and not nothing where it goes on. */
static bool goes_on(const Xn__Sessions *page, xn_id *last)
{
    for (size_t i = 0; i < page->n_sessions; i++) {
        xn_id id;

        if (xn_id_from_bytes(&page->sessions[i]->session, &id) ||
            xn_id_cmp(&id, last) <= 0)
            return false;
        *last = id;
    }
    return !page->more || page->n_sessions;
}

/* Takes what is in the page. */
static int add_page(Xn__Sessions *all, Xn__Sessions *page)
{
    size_t n = all->n_sessions + page->n_sessions;
    Xn__HostSession **list =
        realloc(all->sessions, (n + 1) * sizeof *all->sessions);

    if (!list) return XN_ENOMEM;
    if (page->n_sessions)
        memcpy(list + all->n_sessions, page->sessions,
               page->n_sessions * sizeof *list);
    all->sessions = list;
    all->n_sessions = n;
    page->n_sessions = 0;
    return 0;
}

/* All that the server has of ours, page by page; the caller's, whatever comes.
 */
static int list_all(const struct xeno *xeno, const struct xeno_member *server,
                    Xn__Sessions *all)
{
    char path[40 + XN_ID_HEX] = "/v1/sessions", hex[XN_ID_HEX];
    const struct xeno_question question = {.what = cannot_tell,
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__sessions__descriptor,
                                           .patient = true};
    bool more = true;
    xn_id last = {{0}};
    int rc = 0;

    while (more && !rc) {
        Xn__Sessions *page = NULL;

        rc = xeno_ask(xeno, server, &question, &page);
        if (rc) break;
        more = page->more;
        if (!goes_on(page, &last) || all->n_sessions > LISTED_MAX) {
            rc = XN_EPROTO;
            xeno_gripe(rc, cannot_tell, "its list is out of order",
                       "another version of xeno");
        } else {
            rc = add_page(all, page);
            if (rc) xeno_no_memory();
        }
        xn__sessions__free_unpacked(page, NULL);
        xn_id_hex(&last, hex);
        snprintf(path, sizeof path, "/v1/sessions?after=%s", hex);
    }
    return xn_exit_code(rc);
}

int xeno_session_list_at(const struct xeno *xeno, const char *text)
{
    Xn__Sessions all = XN__SESSIONS__INIT;
    struct xeno_member server;
    int code = xeno_server(xeno, text, &server);

    if (code) return code;
    code = list_all(xeno, &server, &all);
    if (!code) code = show_list(xeno, &all);
    for (size_t i = 0; i < all.n_sessions; i++)
        xn__host_session__free_unpacked(all.sessions[i], NULL);
    free(all.sessions);
    xeno_member_clear(&server);
    return code;
}

int xeno_session_list(struct xeno *xeno, int argc, char **argv)
{
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 0, 1, &words);
    if (code >= 0) return code;
    return words == argc ? xeno_list_all(xeno, true)
                         : xeno_session_list_at(xeno, argv[words]);
}

int xeno_session_get(const struct xeno *xeno, const struct xeno_member *server,
                     const xn_id *session, bool quiet,
                     Xn__HostSession **session_out)
{
    char path[40 + XN_ID_HEX], hex[XN_ID_HEX];
    const struct xeno_question question = {.what = cannot_tell,
                                           .method = "GET",
                                           .path = path,
                                           .answer =
                                               &xn__host_session__descriptor,
                                           .quiet = quiet};

    xn_id_hex(session, hex);
    snprintf(path, sizeof path, "/v1/sessions?session=%s", hex);
    return xeno_ask(xeno, server, &question, session_out);
}

/* A session tells of its task what the last claim knew; the task itself is
 * asked for what its meter says now.  Where it does not tell, that stays. */
static void refresh(const struct xeno *xeno, const struct xeno_member *server,
                    const xn_id *id, Xn__HostSession *session)
{
    Xn__HostTask *task = NULL;
    struct xeno_why why;

    if (!session->task || session->task->state == XN__TASK_STATE__ENDED ||
        xeno_task_get(xeno, server, id, session->task->task, 0, &why, &task))
        return;
    xn__host_task__free_unpacked(session->task, NULL);
    session->task = task;
}

static int show_at(const struct xeno *xeno, const struct xeno_member *server,
                   const xn_id *id)
{
    Xn__HostSession *session = NULL;
    int code =
        xn_exit_code(xeno_session_get(xeno, server, id, false, &session));

    if (!code) refresh(xeno, server, id, session);
    if (!code) code = xeno_session_print(xeno, session);
    if (session) xn__host_session__free_unpacked(session, NULL);
    return code;
}

int xeno_session_take(const char *text, xn_id *out)
{
    if (!xn_id_unhex(text, strlen(text), out)) return XN_EXIT_OK;
    return xeno_usage("'%.80s' is no session: 64 digits 0-9a-f", text);
}

/* SESSION, or SERVER SESSION for one that is not kept here. */
int xeno_session_show(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_member server;
    struct xeno_place place;
    xn_id id;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 2, &words);
    if (code >= 0) return code;
    if (words + 1 == argc) {
        code = xeno_place(xeno, argv[words], &place);
        if (code) return code;
        code = show_at(xeno, &place.server, &place.kept.session);
        xeno_place_clear(&place);
        return code;
    }
    code = xeno_session_take(argv[words + 1], &id);
    if (!code) code = xeno_server(xeno, argv[words], &server);
    if (code) return code;
    code = show_at(xeno, &server, &id);
    xeno_member_clear(&server);
    return code;
}
