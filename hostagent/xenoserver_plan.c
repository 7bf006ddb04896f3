/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver join: what is to be done, in the order in which it will be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostagent/xenoserver_join.h"
#include "lib/err.h"

#define API_PORT "7403"

static const char what[] = "cannot join";
static const char writing[] = "cannot write the configuration";

/* ---- what is not said ---- */

/* Where nothing else is said: our own node, beside us. */
int join_complete(struct join_choice *c)
{
    char hex[XN_ID_HEX], *host = c->host;
    size_t len = 0;

    strcpy(host, "127.0.0.1");
    (void)server_self_address(c->corp, host);
    xn_id_hex(&c->corp->id, hex);
    snprintf(c->corps_own, sizeof c->corps_own, "%s#%s", c->corp->url, hex);
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

/* ---- the state folder, and who we are ---- */

static int plan_identity(const struct server *server,
                         const struct join_choice *c, struct join_plan *plan)
{
    int rc = net_identity_load(server->state, &plan->identity);

    if (rc == XN_ENOENT || rc == XN_EEXPIRED) {
        plan->how = JOIN_REGISTER;
        return XN_EXIT_OK;
    }
    if (rc) {
        return server_gripef(XN_EIDENT, what,
                             "xenoserver doctor, or another --state", "%s: %s",
                             server->state, xn_strerror(rc));
    }
    if (xn_id_eq(&plan->identity.cert.corp, &c->corp->id)) {
        plan->how = JOIN_REGISTERED;
    } else if (xn_anchors_find(plan->identity.anchors, &c->corp->id)) {
        plan->how = JOIN_ACCEPTED;
    } else {
        plan->how = JOIN_ACCEPT;
    }
    return XN_EXIT_OK;
}

static int plan_state(const struct server *server, const struct join_choice *c,
                      struct join_plan *plan)
{
    if (access(server->state, F_OK) == 0 && net_file_private(server->state)) {
        return server_gripef(XN_EPERM, what, "chmod go-w, or another --state",
                             "%s: others can change what is in it",
                             server->state);
    }
    plan->corp_new = !server_corps_has(server, c->corp);
    plan->index_node = c->n_nodes ? c->nodes[0] : c->nodes_own;
    return plan_identity(server, c, plan);
}

/* ---- the configuration ---- */

static int new_config(const struct server *server, const struct join_choice *c,
                      const struct join_plan *plan, char **text_out)
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
        if (strcmp(server->rows[i].key, "sell.xenodomd") == 0 && plan->units)
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

/* There is none: one is made, with the words' values. */
static int make_config(const struct server *server, const struct join_choice *c,
                       struct join_plan *plan)
{
    char *text = NULL;
    int code, rc = new_config(server, c, plan, &text);

    if (rc) {
        return server_gripe(rc, writing,
                            "--listen-api or --node cannot stand in it",
                            "xenoserver join --help");
    }
    if (!c->n_words) {
        plan->config = text;
        return XN_EXIT_OK;
    }
    code = server_offer_edit(server, text, c->words, c->n_words, &plan->config);
    free(text);
    return code;
}

/* There is one: it says what the words say, or they are for `offer`. */
static int same_config(const struct server *server, const struct join_choice *c,
                       struct join_plan *plan)
{
    int code = XN_EXIT_OK;

    if (c->n_words) {
        code = server_offer_edit(server, plan->before, c->words, c->n_words,
                                 &plan->config);
    } else {
        plan->config = strdup(plan->before);
        if (!plan->config)
            return server_gripe(XN_ENOMEM, what, "out of memory", NULL);
    }
    if (!code && strcmp(plan->config, plan->before) != 0) {
        code = server_gripef(XN_EREFUSED, "cannot change the configuration",
                             "xenoserver offer TOKEN=VALUE...",
                             "%s is there already and says otherwise",
                             server->config);
    }
    return code;
}

/* Every XenoCorp that was joined, as xenohostd reads it. */
static int set_corps(const struct server *server, const struct join_choice *c,
                     const char *configured, struct join_plan *plan)
{
    struct xn_buf list, edited;
    char *value = NULL;
    int rc;

    xn_buf_init(&list, 4096);
    xn_buf_init(&edited, NET_CONFIG_BYTES_MAX);
    rc = server_conf_corps(configured, server->corps, server->n_corps,
                           c->given ? c->corp : NULL, &list);
    if (!rc) value = xn_buf_steal_str(&list);
    if (!rc && !value) rc = XN_ENOMEM;
    plan->restart = !rc && strcmp(value, configured) != 0;
    if (plan->restart) {
        rc = server_conf_set(plan->config, "join.corps", value, &edited);
        free(plan->config);
        plan->config = rc ? NULL : xn_buf_steal_str(&edited);
        if (!rc && !plan->config) rc = XN_ENOMEM;
    }
    free(value);
    xn_buf_clear(&edited);
    xn_buf_clear(&list);
    return rc ? server_gripe(rc, writing, xn_strerror(rc), "xenoserver offer")
              : XN_EXIT_OK;
}

static int plan_corps(struct server *server, const struct join_choice *c,
                      struct join_plan *plan)
{
    struct net_settings *settings = NULL;
    const char *configured;
    char why[700];
    int code, rc = server_corps_joined(server, c->corp);

    snprintf(why, sizeof why, "out of memory");
    if (!rc) {
        rc = server_settings(server, server->config, plan->config, &settings,
                             why, sizeof why);
    }
    if (rc) {
        return server_gripe(rc, "cannot read the configuration", why,
                            "xenoserver offer, man xenohostd.conf");
    }
    configured = net_settings_text(settings, "join.corps");
    code = set_corps(server, c, configured ? configured : "", plan);
    net_settings_free(settings);
    return code;
}

static int plan_config(struct server *server, const struct join_choice *c,
                       struct join_plan *plan)
{
    char why[700];
    int code, rc = server_config_read(server, &plan->before, why, sizeof why);

    if (rc && rc != XN_ENOENT) {
        return server_gripe(rc, "cannot read the configuration", why,
                            "another --config");
    }
    code = rc ? make_config(server, c, plan) : same_config(server, c, plan);
    if (!code) code = plan_corps(server, c, plan);
    if (code) return code;
    rc = server_settings(server, server->config, plan->config, &plan->settings,
                         why, sizeof why);
    if (rc) {
        return server_gripe(rc, writing, why, "man xenohostd.conf");
    }
    if (server_offer_check(server, plan->config, why, sizeof why))
        snprintf(plan->not_yet, sizeof plan->not_yet, "%s", why);
    return XN_EXIT_OK;
}

/* ---- starting ---- */

/* What systemd runs here is started once there is an offer; the node only where
 * the configuration publishes through it, whoever wrote that. */
static int plan_units(const struct server *server, struct join_choice c,
                      struct join_plan *plan)
{
    const char *nodes = net_settings_text(plan->settings, "publish.nodes");
    struct server_node node = {c.corp, c.label, c.host, c.invitation};

    if (!plan->units || plan->not_yet[0]) return XN_EXIT_OK;
    if (plan->how != JOIN_REGISTER) node.label = plan->identity.cert.label;
    if (!node.invitation)
        node.invitation = net_settings_text(plan->settings, "join.invitation");
    plan->node = nodes && server_has_unit(server, "xenonoded") &&
                 server_self_node(nodes, c.host);
    server_units_list(server, plan->node, plan->start);
    return plan->node
               ? server_node_plan(&node, &plan->node_config, &plan->node_knows)
               : XN_EXIT_OK;
}

/* ---- the whole ---- */

int join_plan(struct server *server, const struct join_choice *choice,
              struct join_plan *plan)
{
    int code;

    memset(plan, 0, sizeof *plan);
    plan->units = server_has_unit(server, "xenohostd");
    code = plan_state(server, choice, plan);
    if (!code) code = plan_config(server, choice, plan);
    if (!code) code = plan_units(server, *choice, plan);
    return code;
}

void join_plan_clear(struct join_plan *plan)
{
    net_identity_clear(&plan->identity);
    net_settings_free(plan->settings);
    free(plan->before);
    free(plan->config);
    free(plan->node_config);
}
