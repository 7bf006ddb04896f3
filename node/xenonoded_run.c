/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/xenonoded_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "lib/span.h"
#include "net/addr.h"
#include "net/daemon.h"
#include "node/node.h"

enum { CONTACTS_MAX = 64, SETTINGS_MAX = 32 };

_Static_assert((int)NET_DAEMON_CORPS_MAX <= (int)NODE_CORPS_MAX, "all corps");

/* ---- settings: what the core lets people set, and our address ---- */

struct settings {
    struct net_setting rows[SETTINGS_MAX];
    char fallbacks[SETTINGS_MAX][XN_SPAN_TEXT_MAX];
    size_t n;
};

static void list_settings(struct settings *list)
{
    static const struct net_setting address = {
        "overlay.address",
        NET_TEXT,
        NULL,
        3,
        OV_ADDRESS_MAX,
        "where others reach our links, if not where we listen; none: nowhere"};
    const struct node_setting *settings;
    struct node_config config;
    size_t i;

    node_config_default(&config);
    settings = node_settings(&list->n);
    assert(list->n < SETTINGS_MAX);
    for (i = 0; i < list->n; i++) {
        const struct node_setting *from = &settings[i];
        uint64_t value = node_setting_get(from, &config);
        char *text = list->fallbacks[i];

        if (from->is_time)
            xn_span_format(value, text);
        else
            snprintf(text, XN_SPAN_TEXT_MAX, "%llu", (unsigned long long)value);
        list->rows[i] = (struct net_setting){
            from->key, from->is_time ? NET_SPAN : NET_NUMBER,
            text,      from->min,
            from->max, from->help};
    }
    list->rows[list->n++] = address;
}

static int check_address(const char *address)
{
    struct net_addr addr;

    if (!address || !strcmp(address, NET_NOWHERE)) return 0;
    if (!net_addr_parse(address, &addr)) return 0;
    xn_gripef("xenonoded", "cannot use these settings [XS-2-CONF]",
              "overlay.address = 192.0.2.7:7000, or none",
              "overlay.address: '%s' is no numeric address with a port",
              address);
    return XN_EINVAL;
}

static void warn_of_address(const struct net_daemon *daemon,
                            const char *address)
{
    bool private_ok = net_settings_bool(daemon->settings, "links.private");
    const struct sockaddr *sa;
    struct net_addr addr;

    if (net_addr_parse(address, &addr)) return;
    sa = (const struct sockaddr *)&addr.sa;
    if (!net_addr_may_dial(sa, sa, true))
        xn_log(XN_LOG_WARN,
               "nobody can dial %s: overlay.address says where others reach "
               "this node, or none",
               address);
    else if (!private_ok && net_addr_is_private(sa))
        xn_log(XN_LOG_WARN,
               "%s is private: nodes elsewhere cannot dial it; overlay.address "
               "says where they can, or none",
               address);
}

/* "URL#ID", as --corp takes it. */
struct corp_text {
    char text[sizeof((struct net_corp *)0)->url + XN_ID_HEX];
};

static int configure(const struct net_daemon *daemon,
                     struct corp_text corps[NODE_CORPS_MAX],
                     struct node_config *config)
{
    const char *address =
        net_settings_text(daemon->settings, "overlay.address");
    const struct node_setting *settings;
    size_t i, n;
    int rc = 0;

    node_config_default(config);
    settings = node_settings(&n);
    for (i = 0; !rc && i < n; i++) {
        const char *key = settings[i].key;
        uint64_t value = settings[i].is_time
                             ? net_settings_span_us(daemon->settings, key)
                             : net_settings_number(daemon->settings, key);

        rc = node_setting_put(&settings[i], value, config);
    }
    config->overlay.id = daemon->identity.cert.id;
    config->overlay.position = daemon->identity.cert.position;
    if (!address) address = net_driver_links_address(daemon->driver);
    warn_of_address(daemon, address);
    if (strcmp(address, NET_NOWHERE) != 0) config->overlay.address = address;
    for (i = 0; i < daemon->n_corps; i++) {
        char hex[XN_ID_HEX];

        xn_id_hex(&daemon->corps[i].id, hex);
        snprintf(corps[i].text, sizeof corps[i].text, "%s#%s",
                 daemon->corps[i].url, hex);
        config->corps[config->n_corps++] = corps[i].text;
    }
    return rc;
}

/* ---- first contacts, "<64 hex>@host:port" each ---- */

struct contacts {
    const char *words[CONTACTS_MAX];
    xn_id ids[CONTACTS_MAX];
    Xn__Contact rows[CONTACTS_MAX], *list[CONTACTS_MAX];
    size_t n;
};

static int parse_contacts(struct contacts *contacts)
{
    for (size_t i = 0; i < contacts->n; i++) {
        const char *word = contacts->words[i];
        size_t hex = XN_ID_HEX - 1;
        Xn__Contact *row = &contacts->rows[i];

        if (strlen(word) <= hex || word[hex] != '@' ||
            xn_id_unhex(word, hex, &contacts->ids[i])) {
            xn_gripe_rcf("xenonoded", XN_EINVAL, NULL,
                         "cannot use a first node",
                         "--node <64 hex digits>@127.0.0.1:9000",
                         "'%s' is not ID@HOST:PORT", word);
            return XN_EINVAL;
        }
        xn__contact__init(row);
        row->id = xn_id_bytes(&contacts->ids[i]);
        row->address = (char *)(uintptr_t)(word + hex + 1);
        contacts->list[i] = row;
    }
    return 0;
}

static int serve(struct net_daemon *daemon, struct contacts *contacts,
                 struct xn_core *(*wrap)(struct xn_core *core))
{
    struct corp_text corps[NODE_CORPS_MAX];
    struct node_config config;
    struct xn_core *core = NULL;
    uint8_t *packed = NULL;
    size_t len = 0;
    int rc;

    rc = configure(daemon, corps, &config);
    if (rc) goto out;
    rc = parse_contacts(contacts);
    if (rc) goto out;
    config.bootstrap = contacts->list;
    config.n_bootstrap = contacts->n;
    rc = node_config_pack(&config, &packed, &len);
    if (rc) goto out;
    rc = node_new(&config, net_driver_peers(daemon->driver), daemon->seed,
                  &core);
    if (rc) goto out;
    if (wrap) core = wrap(core);
    rc = core ? net_daemon_run(daemon, core, packed, len) : XN_ENOMEM;
out:
    free(packed);
    return rc;
}

int xenonoded_run(int argc, char **argv,
                  struct xn_core *(*wrap)(struct xn_core *core))
{
    struct contacts contacts = {.n = 0};
    struct settings settings = {.n = 0};
    const struct xn_option options[] = {
        XN_OPTION_LIST("node", "ID@HOST:PORT",
                       "a first node to link to; repeatable", contacts.words,
                       &contacts.n),
    };
    struct net_daemon daemon = {
        .program = "xenonoded",
        .purpose = "one node of the overlay: routes, indexes, searches",
        .role = XN__ROLE__NODE,
        .wants_links = true,
        .wants_api = true,
        .store = NET_STORE_MENDED,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .settings_rows = settings.rows,
    };
    int rc;

    list_settings(&settings);
    daemon.n_settings_rows = settings.n;
    rc = net_daemon_init(&daemon, argc, argv);

    if (!rc && !daemon.exit_now) {
        daemon.announced =
            net_settings_text(daemon.settings, "overlay.address");
        rc = check_address(daemon.announced);
        if (!rc) rc = net_daemon_open(&daemon);
    }
    if (!rc && !daemon.exit_now) rc = serve(&daemon, &contacts, wrap);
    return net_daemon_end(&daemon, rc);
}
