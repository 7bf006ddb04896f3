/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver join: from nothing to a configured server.  Whatever is there
 * already stays: the same command again changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostagent/xenohostd_offer.h"
#include "hostagent/xenoserver.h"
#include "hostagent/xenoserver_units.h"
#include "lib/err.h"
#include "net/clock.h"

#define API_PORT "7403"

static const char what[] = "cannot join";

struct choice {
    const char *label, *owner, *payout, *machine, *invitation, *listen;
    const char *nodes[SERVER_NODES_MAX];
    size_t n_nodes;
    char label_own[33], machine_own[120], listen_own[SERVER_HOST_MAX + 8];
    char nodes_own[2048], corps_own[300], host[SERVER_HOST_MAX];
    bool given;       /* the XenoCorp, by its URL */
    bool units, node; /* systemd runs it, and a node beside it */
    bool changed;     /* the XenoCorps of the configuration */
    bool node_knows;  /* the node's configuration names the XenoCorp */
};

/* ---- what is not said ---- */

/* Where nothing else is said: our own node, beside us. */
static int complete(const struct server *server, struct choice *c,
                    const struct net_corp *corp)
{
    char hex[XN_ID_HEX], *host = c->host;
    size_t len = 0;

    c->units = server_has_unit(server, "xenohostd");
    strcpy(host, "127.0.0.1");
    (void)server_self_address(corp, host);
    xn_id_hex(&corp->id, hex);
    snprintf(c->corps_own, sizeof c->corps_own, "%s#%s", corp->url, hex);
    server_self_label(c->label_own);
    server_self_machine(c->machine_own, sizeof c->machine_own);
    snprintf(c->listen_own, sizeof c->listen_own, "%s:" API_PORT, host);
    if (!c->label) c->label = c->label_own;
    if (!c->machine) c->machine = c->machine_own;
    if (!c->listen) c->listen = c->listen_own;
    if (!c->n_nodes) {
        snprintf(c->nodes_own, sizeof c->nodes_own,
                 "https://%s:" SERVER_NODE_PORT, host);
    }
    for (size_t i = 0; i < c->n_nodes; i++) {
        if (strncmp(c->nodes[i], "https://", 8) != 0 ||
            strpbrk(c->nodes[i], " \t\"\\") || strlen(c->nodes[i]) > 120) {
            return server_usage("--node: '%.100s' is no https://HOST:PORT",
                                c->nodes[i]);
        }
        len += (size_t)snprintf(c->nodes_own + len, sizeof c->nodes_own - len,
                                "%s%s", i ? " " : "", c->nodes[i]);
    }
    return -1;
}

/* ---- registering ---- */

static int cannot_use(const struct server *server, const char *because)
{
    return server_gripef(XN_EIO, what, "--state DIR", "%s: %s", server->state,
                         because);
}

static int open_state(const struct server *server)
{
    if (net_file_parents(server->state) || net_file_dir(server->state))
        return cannot_use(server, strerror(errno));
    if (net_file_private(server->state)) {
        return server_gripef(XN_EPERM, what, "chmod go-w, or another --state",
                             "%s: others can change what is in it",
                             server->state);
    }
    return -1;
}

static int enrol(const struct server *server, const struct net_corp *corp,
                 const struct choice *c, struct net_identity *identity_out)
{
    const struct net_enrolment enrolment = {
        .program = SERVER_PROGRAM,
        .corp = corp,
        .role = XN__ROLE__SERVER,
        .label = c->label,
        .owner = c->owner,
        .payout = c->payout,
        .machine = c->machine,
        .index_node = c->n_nodes ? c->nodes[0] : c->nodes_own,
        .invitation = c->invitation,
    };

    return xn_exit_code(
        net_identity_enrol(server->state, &enrolment, identity_out));
}

/* One XenoCorp certifies; a further one is accepted beside it. */
static int be_member(const struct server *server, const struct net_corp *corp,
                     const struct choice *c, struct net_identity *identity_out,
                     const char **how_out)
{
    int rc = net_identity_load(server->state, identity_out);

    *how_out = "registered";
    if (rc == XN_ENOENT || rc == XN_EEXPIRED)
        return enrol(server, corp, c, identity_out);
    if (rc) {
        return server_gripef(XN_EIDENT, what,
                             "xenoserver doctor, or another --state", "%s: %s",
                             server->state, xn_strerror(rc));
    }
    *how_out = "registered already";
    if (xn_id_eq(&identity_out->cert.corp, &corp->id)) return XN_EXIT_OK;
    if (xn_anchors_find(identity_out->anchors, &corp->id)) {
        *how_out = "accepted already";
        return XN_EXIT_OK;
    }
    *how_out = "accepted";
    return xn_exit_code(
        net_identity_accept(SERVER_PROGRAM, server->state, corp, identity_out));
}

/* ---- the configuration ---- */

static int new_config(const struct server *server, const struct choice *c,
                      char **text_out)
{
    const char **values = calloc(server->n_rows, sizeof *values);
    struct xn_buf out;
    int rc = values ? 0 : XN_ENOMEM;

    xn_buf_init(&out, NET_CONFIG_BYTES_MAX);
    for (size_t i = 0; i < server->n_rows && !rc; i++) {
        if (strcmp(server->rows[i].key, "listen.api") == 0)
            values[i] = c->listen;
        if (strcmp(server->rows[i].key, "publish.nodes") == 0)
            values[i] = c->nodes_own;
        if (strcmp(server->rows[i].key, "join.corps") == 0)
            values[i] = c->corps_own;
        if (strcmp(server->rows[i].key, "join.invitation") == 0)
            values[i] = c->invitation;
        if (strcmp(server->rows[i].key, "sell.xenodomd") == 0 && c->units)
            values[i] = UNITS_DOMD_SOCKET;
    }
    if (!rc) {
        rc = server_conf_new(server->rows, server->n_rows, values, &out);
    }
    if (!rc) *text_out = xn_buf_steal_str(&out);
    if (!rc && !*text_out) rc = XN_ENOMEM;
    free(values);
    xn_buf_clear(&out);
    return rc;
}

static int write_config(const struct server *server, const char *text)
{
    char why[600];
    int rc = server_config_write(server, text, why, sizeof why);

    return rc ? server_gripe(rc, "cannot write the configuration", why,
                             "df, or another --config")
              : XN_EXIT_OK;
}

/* There is none: one is made, with the words' values. */
static int make_config(const struct server *server, const struct choice *c,
                       const char *const *words, size_t n)
{
    char *text = NULL, *edited = NULL;
    int code, rc = new_config(server, c, &text);

    if (rc) {
        return server_gripe(rc, "cannot write the configuration",
                            "--listen-api or --node cannot stand in it",
                            "xenoserver join --help");
    }
    code = n ? server_offer_edit(server, text, words, n, &edited) : XN_EXIT_OK;
    if (!code) code = write_config(server, edited ? edited : text);
    free(edited);
    free(text);
    return code;
}

/* There is one: it says what the words say, or they are for `offer`. */
static int same_config(const struct server *server, const char *text,
                       const char *const *words, size_t n)
{
    char *edited = NULL;
    int code = server_offer_edit(server, text, words, n, &edited);

    if (!code && strcmp(edited, text) != 0) {
        code = server_gripef(XN_EREFUSED, "cannot change the configuration",
                             "xenoserver offer TOKEN=VALUE...",
                             "%s is there already and says otherwise",
                             server->config);
    }
    free(edited);
    return code;
}

static int configure(const struct server *server, const struct choice *c,
                     const char *const *words, size_t n, bool *made_out)
{
    char *text = NULL, why[600];
    int rc = server_config_read(server, &text, why, sizeof why);
    int code = XN_EXIT_OK;

    *made_out = rc == XN_ENOENT;
    if (rc == XN_ENOENT) {
        code = make_config(server, c, words, n);
    } else if (rc) {
        code = server_gripe(rc, "cannot read the configuration", why,
                            "another --config");
    } else if (n) {
        code = same_config(server, text, words, n);
    }
    free(text);
    return code;
}

/* Every XenoCorp that was joined, as xenohostd reads it. */
static int set_corps(const struct server *server, const char *text,
                     const char *configured, const struct net_corp *now,
                     bool *changed_out)
{
    struct xn_buf list, edited;
    char *value = NULL, *result = NULL;
    int rc, code = XN_EXIT_OK;

    xn_buf_init(&list, 4096);
    xn_buf_init(&edited, NET_CONFIG_BYTES_MAX);
    rc = server_conf_corps(configured, server->corps, server->n_corps, now,
                           &list);
    if (!rc) value = xn_buf_steal_str(&list);
    if (!rc && !value) rc = XN_ENOMEM;
    *changed_out = !rc && strcmp(value, configured) != 0;
    if (*changed_out) {
        rc = server_conf_set(text, "join.corps", value, &edited);
        if (!rc) result = xn_buf_steal_str(&edited);
        if (!rc && !result) rc = XN_ENOMEM;
    }
    if (rc) {
        code = server_gripe(rc, "cannot write the configuration",
                            xn_strerror(rc), "xenoserver offer");
    } else if (result) {
        code = write_config(server, result);
    }
    free(value);
    free(result);
    xn_buf_clear(&edited);
    xn_buf_clear(&list);
    return code;
}

static int keep_corps(struct server *server, const struct net_corp *corp,
                      struct choice *c)
{
    struct net_settings *settings = NULL;
    const char *configured;
    char *text = NULL, why[600];
    int code = XN_EXIT_OK,
        rc = server_config_read(server, &text, why, sizeof why);

    if (!rc) {
        rc = server_settings(server, server->config, text, &settings, why,
                             sizeof why);
    }
    server->n_corps = 0;
    if (rc) {
        code = server_gripe(rc, "cannot read the configuration", why,
                            "xenoserver offer, man xenohostd.conf");
    } else if (server_corps(server) == 0) {
        configured = net_settings_text(settings, "join.corps");
        code = set_corps(server, text, configured ? configured : "",
                         c->given ? corp : NULL, &c->changed);
    }
    net_settings_free(settings);
    free(text);
    return code;
}

/* ---- starting ---- */

/* The settings, once there is an offer; else NULL. */
static struct net_settings *ready_settings(const struct server *server)
{
    struct net_settings *settings = NULL;
    char *text = NULL, why[700];

    if (!server_config_read(server, &text, why, sizeof why) &&
        !server_offer_check(server, text, why, sizeof why) &&
        server_settings(server, server->config, text, &settings, why,
                        sizeof why)) {
        settings = NULL;
    }
    free(text);
    return settings;
}

/* What systemd runs here is started once there is an offer; the node only where
 * the configuration publishes through it, whoever wrote that. */
static int start(const struct server *server, const struct net_corp *corp,
                 const char *label, struct choice *c, bool *started_out)
{
    struct net_settings *settings = c->units ? ready_settings(server) : NULL;
    struct server_node node = {corp, label, c->host, c->invitation};
    const char *nodes;
    int code = XN_EXIT_OK;

    *started_out = false;
    if (!settings) return XN_EXIT_OK;
    nodes = net_settings_text(settings, "publish.nodes");
    if (!node.invitation)
        node.invitation = net_settings_text(settings, "join.invitation");
    c->node = nodes && server_has_unit(server, "xenonoded") &&
              server_self_node(nodes, c->host);
    if (c->node) code = server_node_configure(&node, &c->node_knows);
    if (!code) code = server_units_start(server, c->node, c->changed);
    *started_out = !code;
    net_settings_free(settings);
    return code;
}

/* ---- what is next ---- */

static void say_next(struct server *server, const struct choice *c,
                     const char *config)
{
    char why[700], *slash;
    struct net_settings *settings = NULL;
    const char *nodes, *given = server->state_option;

    if (server_offer_check(server, config, why, sizeof why)) {
        server_say("not yet", "%s", why);
        server_say("next",
                   "xenoserver offer %s%s%sCurrency=GBP PricePerHour=0.0121 "
                   "(or what you ask for)",
                   given ? "--state " : "", given ? given : "",
                   given ? " " : "");
        if (c->units) server_say("then", "xenoserver join, which starts it");
        return;
    }
    if (c->units) {
        server_say("started", "%sxenodomd and xenohostd, by systemd",
                   c->node ? "xenonoded, " : "");
        if (c->node && !c->node_knows) {
            server_say("not yet",
                       "%s is left as it is and lacks this XenoCorp:"
                       " join.corps there, then systemctl restart "
                       "xenonoded",
                       UNITS_NODE_CONFIG);
        }
        server_say("then", "xenoserver doctor");
        return;
    }
    if (server_settings(server, server->config, config, &settings, why,
                        sizeof why)) {
        return;
    }
    nodes = net_settings_text(settings, "publish.nodes");
    server_say("next", "a node at %s: man xenonoded", nodes ? nodes : "--node");
    net_settings_free(settings);
    slash = realpath(server->config, NULL);
    server_say("next", "xenohostd --state %s --config %s", server->state,
               slash ? slash : server->config);
    server_say("then", "xenoserver doctor%s%s", given ? " --state " : "",
               given ? given : "");
    free(slash);
}

static int show(struct server *server, const struct net_identity *identity,
                const struct net_corp *corp, const struct choice *c,
                const char *how, bool made, bool started)
{
    const struct xn_cert *known = xn_anchors_find(identity->anchors, &corp->id);
    char name[XN_NAME_MAX], hex[XN_ID_HEX], why[700], *text = NULL;
    bool ready;

    xn_id_name(&identity->cert.id, identity->cert.label, name);
    xn_id_hex(&identity->cert.id, hex);
    if (server_config_read(server, &text, why, sizeof why)) text = NULL;
    if (server->json) {
        ready = text && !server_offer_check(server, text, why, sizeof why);
        free(text);
        return server_print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "schema",
            "xenoserver.join/1", "how", how, "corp", known ? known->label : "",
            "name", name, "id", hex, "configuration", server->config,
            "configuration_new", made, "ready", ready, "started", started,
            "because", ready ? json_null() : json_string(why)));
    }
    server_say(how, "with %s as %s", known ? known->label : corp->url, name);
    server_say("id", "%s", hex);
    server_say("configuration", "%s (%s)", server->config,
               made ? "written" : "left as it is");
    if (text) say_next(server, c, text);
    free(text);
    return XN_EXIT_OK;
}

/* ---- the verb ---- */

static int join(struct server *server, const struct net_corp *corp,
                struct choice *c, const char *const *words, size_t n)
{
    struct net_identity identity = {.key = NULL};
    const char *how = "";
    bool made = false, started = false, news;
    int code = complete(server, c, corp);

    if (code < 0) code = open_state(server);
    if (code >= 0) return code;
    code = be_member(server, corp, c, &identity, &how);
    if (!code) code = server_corps_keep(server, corp, &news);
    if (!code) code = configure(server, c, words, n, &made);
    if (!code) code = keep_corps(server, corp, c);
    if (!code) code = start(server, corp, identity.cert.label, c, &started);
    if (!code) code = show(server, &identity, corp, c, how, made, started);
    net_identity_clear(&identity);
    return code;
}

int server_join(struct server *server, int argc, char **argv)
{
    struct choice c = {.label = NULL};
    const struct xn_option own[] = {
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
    return join(server, &corp, &c, (const char *const *)argv + words,
                (size_t)(argc - words));
}
