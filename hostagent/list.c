/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What sessions there are: a client sees his own, the operator all. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"

#define WHAT "cannot tell the sessions"
#define LIST_MAX 64

struct view {
    bool all;
    xn_id holder;
};

static bool sees(const struct view *view, const struct host_session *s)
{
    return s->state != XN__SESSION_STATE__SESSION_NONE &&
           (view->all || xn_id_eq(&view->holder, &s->holder));
}

/* "NAME=HEX" */
static bool take_id(const char *query, const char *name, xn_id *id_out)
{
    size_t n = strlen(name);

    return strncmp(query, name, n) == 0 &&
           !xn_id_unhex(query + n, strlen(query + n), id_out);
}

static void answer_one(struct host *host, uint64_t ask, const struct view *view,
                       const xn_id *id)
{
    struct host_session *s = session_find(host, id);
    struct session_text room;
    Xn__HostSession body;

    if (!s || !sees(view, s)) {
        xn_out_refuse(&host->out, ask, XN_ENOENT, WHAT,
                      "you have no such session here", "GET /v1/sessions");
        return;
    }
    session_describe(s, true, &room, &body);
    xn_out_answer(&host->out, ask, 200, &body);
}

struct page {
    Xn__HostSession rows[LIST_MAX], *list[LIST_MAX];
    struct session_text room[LIST_MAX];
};

static void answer_list(struct host *host, uint64_t ask,
                        const struct view *view, size_t from)
{
    const struct host_market *m = &host->market;
    Xn__Sessions body = XN__SESSIONS__INIT;
    struct page *page = calloc(1, sizeof *page);

    if (!page) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    body.sessions = page->list;
    for (size_t i = from; i < m->n_sessions; i++) {
        if (!sees(view, m->sessions[i])) continue;
        if (body.n_sessions == LIST_MAX) {
            body.more = true;
            break;
        }
        session_describe(m->sessions[i], false, &page->room[body.n_sessions],
                         &page->rows[body.n_sessions]);
        page->list[body.n_sessions] = &page->rows[body.n_sessions];
        body.n_sessions++;
    }
    xn_out_answer(&host->out, ask, 200, &body);
    free(page);
}

void host_list(struct host *host, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question)
{
    struct view view = {.all = host_is_operator(host, question->caller)};
    const char *query = question->query ? question->query : "";
    xn_id id = {{0}};

    if (!view.all && !host_admits(host, ask, question, WHAT, &view.holder))
        return;
    if (take_id(query, "session=", &id)) {
        answer_one(host, ask, &view, &id);
    } else if (!*query) {
        answer_list(host, ask, &view, 0);
    } else if (take_id(query, "after=", &id)) {
        answer_list(host, ask, &view,
                    session_at(host, &id) + (session_find(host, &id) != NULL));
    } else {
        xn_out_refuse(&host->out, ask, XN_EINVAL, WHAT,
                      "not a place in the list",
                      "/v1/sessions?session=ID or ?after=ID");
    }
}
