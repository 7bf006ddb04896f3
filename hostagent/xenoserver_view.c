/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenoserver_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"
#include "net/clock.h"
#include "wire/envelope.h"
#include "wire/msg.h"

const char *view_session_state(unsigned state)
{
    static const char *const names[SESSION_STATES] = {
        "none",   "claimed", "unsettled", "running",
        "paused", "ending",  "ended",     "refused"};

    return state < SESSION_STATES ? names[state] : "unknown";
}

void view_clear(struct view *view)
{
    if (view->status) xn__host_status__free_unpacked(view->status, NULL);
    for (size_t i = 0; i < view->n_pages; i++)
        xn__sessions__free_unpacked(view->pages[i], NULL);
    view->status = NULL;
    view->n_pages = 0;
}

static void take_lease(struct view *view)
{
    const ProtobufCBinaryData *blob = &view->status->lease;
    uint8_t *payload = NULL;
    size_t len = 0;
    xn_id signer;

    if (blob_verify(blob->data, blob->len, LEASE_CONTEXT, &signer, &payload,
                    &len)) {
        return;
    }
    view->has_lease =
        ad_lease_decode(payload, len, &signer, &view->lease) == 0 &&
        xn_id_eq(&signer, &view->identity->cert.id);
    free(payload);
}

static void note_trouble(struct view *view, const Xn__HostSession *session)
{
    char name[XN_NAME_MAX] = "?";
    xn_id id;

    if (!session->trouble[0] || view->troubled++) return;
    if (!xn_id_from_bytes(&session->session, &id)) xn_id_name(&id, NULL, name);
    snprintf(view->trouble, sizeof view->trouble, "%s: %s", name,
             session->trouble);
    xn_plain(view->trouble);
}

static void count(struct view *view, const Xn__Sessions *page)
{
    for (size_t i = 0; i < page->n_sessions; i++) {
        unsigned state = (unsigned)page->sessions[i]->state;

        if (state < SESSION_STATES) view->sessions[state]++;
        note_trouble(view, page->sessions[i]);
    }
}

/* A xenohostd that keeps none refuses the path: then there is nothing to
 * tell. */
static void ask_sessions(const struct server *server, struct view *view)
{
    char path[120] = "/v1/sessions", hex[XN_ID_HEX];
    const struct server_question question = {
        .what = "cannot tell the sessions",
        .method = "GET",
        .path = path,
        .answer = &xn__sessions__descriptor,
        .quiet = true,
    };
    bool more = true;
    xn_id last;

    while (more && view->n_pages < VIEW_PAGES_MAX) {
        Xn__Sessions *page = NULL;

        if (server_ask(server, view->identity, &question, &page)) return;
        view->has_sessions = true;
        view->pages[view->n_pages++] = page;
        count(view, page);
        more = page->more && page->n_sessions > 0 &&
               !xn_id_from_bytes(&page->sessions[page->n_sessions - 1]->session,
                                 &last);
        if (!more) return;
        xn_id_hex(&last, hex);
        snprintf(path, sizeof path, "/v1/sessions?after=%s", hex);
    }
}

static const char *state_of(const struct view *view)
{
    if (view->status->member) return "member";
    if (!view->has_lease) return "drained";
    if (view->lease.withdrawn) return "drained";
    if (view->lease.until_us <= net_wall_us()) return "lapsed";
    return view->status->published_us ? "offered" : "publishing";
}

/* Who has withdrawn refuses to tell an advertisement; who has just begun, too.
 */
int view_ask(const struct server *server, const struct net_identity *identity,
             bool quiet, struct view *view)
{
    struct server_question question = {
        .what = "cannot tell the status",
        .method = "GET",
        .path = "/v1/status",
        .answer = &xn__host_status__descriptor,
        .quiet = true,
    };
    int rc;

    *view = (struct view){.identity = identity, .state = "silent"};
    rc = server_ask(server, identity, &question, &view->status);
    if (!rc) {
        take_lease(view);
        view->state = state_of(view);
    } else if (rc == XN_ENOENT) {
        view->state = "drained";
    } else if (rc == XN_ENOTYET) {
        view->state = "starting";
    } else {
        question.quiet = quiet;
        return quiet ? rc
                     : server_ask(server, identity, &question, &view->status);
    }
    ask_sessions(server, view);
    return 0;
}

/* That it has nothing to tell is an answer, too. */
int view_order(const struct server *server, const struct net_identity *identity,
               const char *what, const char *method, const char *path,
               struct view *view)
{
    const struct server_question question = {
        .what = what,
        .method = method,
        .path = path,
        .answer = &xn__host_status__descriptor,
    };
    int rc;

    *view = (struct view){.identity = identity, .state = "silent"};
    rc = server_ask(server, identity, &question, &view->status);
    if (rc) return rc;
    take_lease(view);
    view->state = state_of(view);
    ask_sessions(server, view);
    return 0;
}
