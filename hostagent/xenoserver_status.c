/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver status, drain, undrain: questions to the running xenohostd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver.h"
#include "lib/err.h"
#include "lib/text.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "net/json.h"
#include "wire/ad.h"
#include "wire/envelope.h"
#include "wire/msg.h"

#define SESSION_STATES 8

struct view { /* what is known of the server */
    struct net_identity identity;
    const char
        *state; /* "offered", "drained", "starting", "silent", "member" */
    Xn__HostStatus *status;
    struct ad_lease lease;
    bool has_lease, has_sessions;
    unsigned sessions[SESSION_STATES]; /* by state */
    /* What keeps claims from being taken, and of how many sessions. */
    unsigned troubled;
    char trouble[300]; /* of the first */
};

static void view_clear(struct view *view)
{
    if (view->status) xn__host_status__free_unpacked(view->status, NULL);
    net_identity_clear(&view->identity);
}

/* ---- asking ---- */

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
        xn_id_eq(&signer, &view->identity.cert.id);
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
    Xn__Sessions *page = NULL;
    bool more = true;
    xn_id last;

    for (unsigned n = 0; more && n < 1000; n++) {
        if (server_ask(server, &view->identity, &question, &page)) return;
        view->has_sessions = true;
        count(view, page);
        more = page->more && page->n_sessions > 0 &&
               !xn_id_from_bytes(&page->sessions[page->n_sessions - 1]->session,
                                 &last);
        xn__sessions__free_unpacked(page, NULL);
        xn_id_hex(&last, hex);
        snprintf(path, sizeof path, "/v1/sessions?after=%s", hex);
    }
}

/* That it has nothing to tell is an answer, too. */
static int ask(const struct server *server, const char *what,
               const char *method, const char *path, struct view *view)
{
    const struct server_question question = {
        .what = what,
        .method = method,
        .path = path,
        .answer = &xn__host_status__descriptor,
    };
    int rc, code = server_identity(server, what, &view->identity);

    if (code) return code;
    rc = server_ask(server, &view->identity, &question, &view->status);
    if (rc) return xn_exit_code(rc);
    take_lease(view);
    return XN_EXIT_OK;
}

/* ---- showing ---- */

static const char *const state_names[SESSION_STATES] = {
    "none",   "claimed", "unsettled", "running",
    "paused", "ending",  "ended",     "refused"};

static json_t *sessions_json(const struct view *view)
{
    json_t *counts;

    if (!view->has_sessions) return json_null();
    counts = json_object();
    for (size_t i = 1; i < SESSION_STATES; i++) {
        (void)json_object_set_new(counts, state_names[i],
                                  json_integer(view->sessions[i]));
    }
    return counts;
}

static void say_sessions(const struct view *view)
{
    char text[200] = "";
    size_t len = 0;

    for (size_t i = 1; i < SESSION_STATES; i++) {
        if (!view->sessions[i]) continue;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%u %s",
                                len ? ", " : "", view->sessions[i],
                                state_names[i]);
    }
    if (view->has_sessions) server_say("sessions", "%s", len ? text : "none");
    if (view->troubled > 1)
        server_say("trouble", "%s (and %u more)", view->trouble,
                   view->troubled - 1);
    else if (view->troubled)
        server_say("trouble", "%s", view->trouble);
}

static const char *machine_state(const Xn__HostMachine *m)
{
    return m->up ? "there" : m->lost ? "lost" : "silent";
}

static const char *machine_name(const Xn__HostMachine *m, char out[XN_NAME_MAX])
{
    xn_id id;

    snprintf(out, XN_NAME_MAX, "own");
    if (m->url[0] && !xn_id_from_bytes(&m->id, &id)) xn_id_name(&id, NULL, out);
    return out;
}

static json_t *amounts_json(const Xn__Amounts *a)
{
    return json_pack("{s:s, s:s, s:s}", "CPUsmps", a ? a->cpu_smps : "",
                     "MemoryMB", a ? a->memory_mb : "", "DiskGB",
                     a ? a->disk_gb : "");
}

static json_t *machines_json(const Xn__HostStatus *s)
{
    json_t *list = json_array();

    for (size_t i = 0; s && i < s->n_machines; i++) {
        const Xn__HostMachine *m = s->machines[i];
        char hex[XN_ID_HEX] = "";
        xn_id id;

        if (!xn_id_from_bytes(&m->id, &id) && !xn_id_is_zero(&id))
            xn_id_hex(&id, hex);
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o, s:i, s:o, s:o}", "id", hex, "url",
                      m->url, "state", machine_state(m), "heard",
                      net_json_time(m->heard_us), "sessions", (int)m->sessions,
                      "offered", amounts_json(m->offered), "free",
                      amounts_json(m->free)));
    }
    return list;
}

static const char *or_none(const char *amount)
{
    return amount[0] ? amount : "0";
}

static void say_machines(const Xn__HostStatus *s)
{
    for (size_t i = 0; s && i < s->n_machines; i++) {
        const Xn__HostMachine *m = s->machines[i];
        char name[XN_NAME_MAX];

        if (!m->offered || !m->free) continue;
        server_say("machine",
                   "%s %s: %u sessions, free %s of %s CPUsmps, %s of %s "
                   "MemoryMB%s%s",
                   machine_name(m, name), machine_state(m),
                   (unsigned)m->sessions, or_none(m->free->cpu_smps),
                   or_none(m->offered->cpu_smps), or_none(m->free->memory_mb),
                   or_none(m->offered->memory_mb), m->url[0] ? ", " : "",
                   m->url);
    }
}

static json_t *member_json(const Xn__HostStatus *s)
{
    const Xn__MemberStatus *m = s ? s->member : NULL;
    char hex[XN_ID_HEX] = "";
    xn_id id;

    if (!m) return json_null();
    if (!xn_id_from_bytes(&m->manager, &id)) xn_id_hex(&id, hex);
    return json_pack("{s:s, s:o, s:b, s:o, s:i, s:i}", "manager", hex, "asked",
                     net_json_time(m->asked_us), "xenodomd", (int)m->up,
                     "amounts", amounts_json(m->amounts), "questions",
                     (int)m->questions, "fetches", (int)m->fetches);
}

static void say_time(const char *name, uint64_t us)
{
    char text[XN_UTC_TEXT_MAX];
    uint64_t now = net_wall_us();

    xn_utc_format(us, text);
    if (us > now) {
        server_say(name, "%s (in %llu s)", text,
                   (unsigned long long)((us - now) / 1000000));
    } else {
        server_say(name, "%s (%llu s ago)", text,
                   (unsigned long long)((now - us) / 1000000));
    }
}

static int show_json(const struct view *view)
{
    const Xn__HostStatus *s = view->status;
    const struct xn_cert *cert = &view->identity.cert;
    char name[XN_NAME_MAX], hex[XN_ID_HEX];

    xn_id_name(&cert->id, cert->label, name);
    xn_id_hex(&cert->id, hex);
    return server_print_json(json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, "
        "s:o, s:o}",
        "schema", "xenoserver.status/1", "name", name, "id", hex, "state",
        view->state, "version",
        view->has_lease ? json_integer((json_int_t)view->lease.version)
                        : json_null(),
        "lease_until",
        net_json_time(view->has_lease ? view->lease.until_us : 0), "node",
        s && s->node[0] ? json_string(s->node) : json_null(), "published",
        net_json_time(s ? s->published_us : 0), "copies",
        s ? json_integer(s->copies_least) : json_null(), "sessions",
        sessions_json(view), "troubled", (int)view->troubled, "trouble",
        view->troubled ? json_string(view->trouble) : json_null(), "machines",
        machines_json(s), "member", member_json(s)));
}

static void say_member(const Xn__MemberStatus *m)
{
    char name[XN_NAME_MAX] = "?";
    xn_id id;

    if (!xn_id_from_bytes(&m->manager, &id)) xn_id_name(&id, NULL, name);
    server_say("manager", "%s", name);
    if (m->asked_us)
        say_time("asked", m->asked_us);
    else
        server_say("asked", "not since the start");
    server_say("xenodomd", "%s", m->up ? "there" : "gone");
    if (m->amounts)
        server_say("amounts", "%s CPUsmps, %s MemoryMB",
                   or_none(m->amounts->cpu_smps),
                   or_none(m->amounts->memory_mb));
    server_say("under way", "%u questions, %u images", (unsigned)m->questions,
               (unsigned)m->fetches);
}

static int show(const struct server *server, const struct view *view)
{
    const Xn__HostStatus *s = view->status;
    const struct xn_cert *cert = &view->identity.cert;
    char name[XN_NAME_MAX], hex[XN_ID_HEX];

    if (server->json) return show_json(view);
    xn_id_name(&cert->id, cert->label, name);
    xn_id_hex(&cert->id, hex);
    server_say("name", "%s", name);
    server_say("id", "%s", hex);
    server_say("state", "%s", view->state);
    if (view->has_lease) {
        server_say("version", "%llu", (unsigned long long)view->lease.version);
        say_time("lease until", view->lease.until_us);
    }
    if (s && s->member) {
        say_member(s->member);
        return XN_EXIT_OK;
    }
    if (s) {
        server_say("node", "%s", s->node);
        if (s->published_us) say_time("published", s->published_us);
        server_say("copies", "%u", (unsigned)s->copies_least);
    }
    say_machines(s);
    say_sessions(view);
    return XN_EXIT_OK;
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
static int ask_state(const struct server *server, struct view *view)
{
    static const char what[] = "cannot tell the status";
    const struct server_question question = {
        .what = what,
        .method = "GET",
        .path = "/v1/status",
        .answer = &xn__host_status__descriptor,
        .quiet = true,
    };
    int rc, code = server_identity(server, what, &view->identity);

    if (code) return code;
    rc = server_ask(server, &view->identity, &question, &view->status);
    if (!rc) {
        take_lease(view);
        view->state = state_of(view);
    } else if (rc == XN_ENOENT) {
        view->state = "drained";
    } else if (rc == XN_ENOTYET) {
        view->state = "starting";
    } else {
        struct server_question aloud = question;

        aloud.quiet = false;
        return xn_exit_code(
            server_ask(server, &view->identity, &aloud, &view->status));
    }
    ask_sessions(server, view);
    return XN_EXIT_OK;
}

int server_status(struct server *server, int argc, char **argv)
{
    struct view view = {.state = "silent"};
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    code = ask_state(server, &view);
    if (!code && view.state) code = show(server, &view);
    view_clear(&view);
    return code;
}

/* ---- drain, undrain ---- */

static int order(struct server *server, int argc, char **argv, const char *what,
                 const char *path)
{
    struct view view = {.state = "silent"};
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    code = ask(server, what, "POST", path, &view);
    if (!code) {
        view.state = state_of(&view);
        ask_sessions(server, &view);
        code = show(server, &view);
    }
    view_clear(&view);
    return code;
}

int server_drain(struct server *server, int argc, char **argv)
{
    return order(server, argc, argv, "cannot take the advertisement back",
                 "/v1/withdraw");
}

int server_undrain(struct server *server, int argc, char **argv)
{
    return order(server, argc, argv, "cannot offer again", "/v1/offer");
}
