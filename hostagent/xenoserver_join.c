/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver join: from nothing to a configured server.  Whatever is there
 * already stays: the same command again changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenohostd_cluster.h"
#include "hostagent/xenoserver_doctor.h"
#include "hostagent/xenoserver_join.h"
#include "lib/err.h"

/* ---- doing it ---- */

static int open_state(const struct server *server)
{
    if (net_file_parents(server->state) == 0 &&
        net_file_dir(server->state) == 0) {
        return XN_EXIT_OK;
    }
    return server_gripef(XN_EIO, "cannot join", "--state DIR", "%s: %s",
                         server->state, strerror(errno));
}

/* One XenoCorp certifies; a further one is accepted beside it. */
static int be_member(const struct server *server, const struct join_choice *c,
                     struct join_plan *plan)
{
    const struct net_enrolment enrolment = {
        .program = SERVER_PROGRAM,
        .corp = c->corp,
        .role = XN__ROLE__SERVER,
        .label = c->label,
        .owner = c->owner,
        .payout = c->payout,
        .machine = c->machine,
        .index_node = plan->index_node,
        .invitation = c->invitation,
    };
    int rc = 0;

    if (plan->how == JOIN_REGISTER) {
        rc = net_identity_enrol(server->state, &enrolment, &plan->identity);
    } else if (plan->how == JOIN_ACCEPT) {
        rc = net_identity_accept(SERVER_PROGRAM, server->state, c->corp,
                                 &plan->identity);
    }
    return xn_exit_code(rc);
}

static int write_config(const struct server *server,
                        const struct join_plan *plan)
{
    char why[600];
    int rc;

    if (plan->before && strcmp(plan->before, plan->config) == 0)
        return XN_EXIT_OK;
    rc = server_config_write(server, plan->config, why, sizeof why);
    return rc ? server_gripe(rc, "cannot write the configuration", why,
                             "df, or another --config")
              : XN_EXIT_OK;
}

static int carry_out(const struct server *server, const struct join_choice *c,
                     struct join_plan *plan)
{
    int code = open_state(server);

    if (!code) code = be_member(server, c, plan);
    if (!code && plan->corp_new) code = server_corps_keep(server, c->corp);
    if (!code) code = write_config(server, plan);
    if (!code && plan->node_config) code = server_node_write(plan->node_config);
    if (!code && plan->start[0])
        code = server_units_start(plan->start, plan->restart);
    return code;
}

/* ---- seen from outside ---- */

#define MEET_S 20 /* a node that was just started has met others by then */

/* What others see of what was started; NULL: no node beside it was. */
static struct doctor *look(struct server *server, const struct join_plan *plan)
{
    const char *endpoint = net_settings_text(plan->settings, "offer.endpoint");
    const char *nodes = net_settings_text(plan->settings, "publish.nodes");
    char host[SERVER_HOST_MAX], node[SERVER_HOST_MAX + 20];
    struct doctor *d;

    if (!plan->node || !nodes || !server_self_node(nodes, host)) return NULL;
    d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->server = server;
    d->identity = plan->identity; /* lent */
    if (endpoint && strncmp(endpoint, "https://", 8) == 0)
        endpoint += 8;
    else
        endpoint = net_settings_text(plan->settings, "listen.api");
    if (endpoint)
        snprintf(d->endpoint, sizeof d->endpoint, "%.*s",
                 (int)strcspn(endpoint, "/"), endpoint);
    snprintf(node, sizeof node, "https://%s:" SERVER_NODE_PORT, host);
    doctor_await_outside(d, node, MEET_S);
    return d;
}

/* ---- what is next ---- */

static void say_units(const struct join_plan *plan)
{
    server_say("started", "%sxenodomd and xenohostd, by systemd",
               plan->node ? "xenonoded, " : "");
    if (plan->node && !plan->node_knows) {
        server_say("not yet",
                   "%s is left as it is and lacks this XenoCorp: join.corps "
                   "there, then systemctl restart xenonoded",
                   UNITS_NODE_CONFIG);
    }
    server_say("then", "xenoserver doctor");
}

/* What its manager is to be told: where it answers, and its key. */
static bool member_word(const struct join_plan *plan, char *out, size_t len)
{
    const char *listen = net_settings_text(plan->settings, "listen.api");
    char hex[XN_ID_HEX];

    if (!xenohostd_is_member(plan->settings)) return false;
    xn_id_hex(&plan->identity.cert.id, hex);
    snprintf(out, len, "https://%.*s#%s", SERVER_HOST_MAX,
             listen ? listen : "HOST:7403", hex);
    return true;
}

static void say_next(const struct server *server, const struct join_plan *plan)
{
    const char *nodes, *given = server->state_option;
    char *slash;

    if (plan->not_yet[0]) {
        server_say("not yet", "%s", plan->not_yet);
        server_say("next",
                   "xenoserver offer %s%s%sCurrency=GBP PricePerHour=0.0121 "
                   "(or what you ask for)",
                   given ? "--state " : "", given ? given : "",
                   given ? " " : "");
        if (plan->units) server_say("then", "xenoserver join, which starts it");
        return;
    }
    if (plan->units) {
        say_units(plan);
        return;
    }
    nodes = net_settings_text(plan->settings, "publish.nodes");
    if (!xenohostd_is_member(plan->settings))
        server_say("next", "a node at %s: man xenonoded",
                   nodes ? nodes : "--node");
    slash = realpath(server->config, NULL);
    server_say("next", "xenohostd --state %s --config %s", server->state,
               slash ? slash : server->config);
    server_say("then", "xenoserver doctor%s%s", given ? " --state " : "",
               given ? given : "");
    free(slash);
}

static int show(const struct server *server, const struct join_choice *c,
                const struct join_plan *plan, const struct doctor *outside)
{
    static const char *const done[] = {
        [JOIN_REGISTER] = "registered",
        [JOIN_REGISTERED] = "registered already",
        [JOIN_ACCEPT] = "accepted",
        [JOIN_ACCEPTED] = "accepted already",
    };
    const struct net_identity *self = &plan->identity;
    const struct xn_cert *known = xn_anchors_find(self->anchors, &c->corp->id);
    const char *how = done[plan->how];
    char name[XN_NAME_MAX], hex[XN_ID_HEX];
    bool ready = !plan->not_yet[0];
    char word[SERVER_HOST_MAX + XN_ID_HEX + 20];
    bool is_member = member_word(plan, word, sizeof word);

    xn_id_name(&self->cert.id, self->cert.label, name);
    xn_id_hex(&self->cert.id, hex);
    if (server->json) {
        return server_print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o}",
            "schema", "xenoserver.join/1", "how", how, "corp",
            known ? known->label : "", "name", name, "id", hex, "configuration",
            server->config, "configuration_new", plan->before == NULL, "ready",
            ready, "started", plan->start[0] != NULL, "because",
            ready ? json_null() : json_string(plan->not_yet), "member",
            is_member ? json_string(word) : json_null(), "outside",
            outside ? doctor_json(outside) : json_null()));
    }
    server_say(how, "with %s as %s", known ? known->label : c->corp->url, name);
    server_say("id", "%s", hex);
    server_say("configuration", "%s (%s)", server->config,
               plan->before ? "left as it is" : "written");
    say_next(server, plan);
    if (is_member)
        server_say("manager",
                   "xenoserver offer cluster.members='%s' (all of them, "
                   "between blanks) there, and start xenohostd again",
                   word);
    if (outside) doctor_print(outside);
    return XN_EXIT_OK;
}

/* ---- the verb ---- */

static int join(struct server *server, struct join_choice *c, bool dry)
{
    struct doctor *outside = NULL;
    struct join_plan plan;
    int code = join_complete(c);

    if (code >= 0) return code;
    code = join_plan(server, c, &plan);
    if (!code && dry) {
        code = join_tell(server, c, &plan);
    } else if (!code) {
        code = carry_out(server, c, &plan);
        if (!code) outside = look(server, &plan);
        if (!code) code = show(server, c, &plan, outside);
    }
    free(outside);
    join_plan_clear(&plan);
    return code;
}

int server_join(struct server *server, int argc, char **argv)
{
    struct join_choice c = {.label = NULL};
    const char *dry = NULL;
    const struct xn_option own[] = {
        XN_OPTION("dry-run", 0, NULL, "tell what would be done, and do nothing",
                  &dry),
        XN_OPTION("label", 0, "NAME", "1 to 32 of a-z, 0-9 and '-' (hostname)",
                  &c.label),
        XN_OPTION("owner", 0, "TEXT", "for the register", &c.owner),
        XN_OPTION("payout", 0, "TEXT", "where earnings go", &c.payout),
        XN_OPTION("machine", 0, "TEXT", "hardware; found out", &c.machine),
        XN_OPTION("invitation", 0, "TEXT", "where the XenoCorp wants one",
                  &c.invitation),
        XN_OPTION_LIST("node", "URL",
                       "a node to publish through (this machine's, port 7402)",
                       c.nodes, &c.n_nodes),
        XN_OPTION("listen-api", 0, "HOST:PORT",
                  "where xenohostd answers (this machine's, port 7403)",
                  &c.listen),
    };
    struct net_corp corp;
    int words, code;

    code = server_options(server, own, sizeof own / sizeof own[0], argc, argv,
                          100, &words);
    if (code >= 0) return code;
    if (words < argc && strncmp(argv[words], "https://", 8) == 0) {
        if (net_corp_parse(argv[words], &corp) || !corp.pinned) {
            return server_usage(
                "'%.200s' is no XenoCorp's https://host:port#ID", argv[words]);
        }
        words++;
        c.given = true;
    } else if (server_corps(server) == 0) {
        corp = server->corps[0];
    } else {
        return server_usage("which XenoCorp?  xenoserver join URL#ID");
    }
    c.corp = &corp;
    c.words = (const char *const *)argv + words;
    c.n_words = (size_t)(argc - words);
    return join(server, &c, dry != NULL);
}
