/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver status, drain, undrain: questions to the running xenohostd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver_view.h"
#include "lib/err.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "net/json.h"

/* ---- showing ---- */

static json_t *sessions_json(const struct view *view)
{
    json_t *counts;

    if (!view->has_sessions) return json_null();
    counts = json_object();
    for (size_t i = 1; i < SESSION_STATES; i++) {
        (void)json_object_set_new(counts, view_session_state((unsigned)i),
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
                                view_session_state((unsigned)i));
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
    const struct xn_cert *cert = &view->identity->cert;
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
    const struct xn_cert *cert = &view->identity->cert;
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

int server_status(struct server *server, int argc, char **argv)
{
    struct net_identity identity = {.key = NULL};
    struct view view = {.state = "silent"};
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    code = server_identity(server, "cannot tell the status", &identity);
    if (!code) code = xn_exit_code(view_ask(server, &identity, false, &view));
    if (!code) code = show(server, &view);
    view_clear(&view);
    net_identity_clear(&identity);
    return code;
}

/* ---- drain, undrain ---- */

static int order(struct server *server, int argc, char **argv, const char *what,
                 const char *path)
{
    struct net_identity identity = {.key = NULL};
    struct view view = {.state = "silent"};
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    code = server_identity(server, what, &identity);
    if (!code)
        code = xn_exit_code(
            view_order(server, &identity, what, "POST", path, &view));
    if (!code) code = show(server, &view);
    view_clear(&view);
    net_identity_clear(&identity);
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
