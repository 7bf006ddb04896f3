/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/xenonoded_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/daemon.h"
#include "node/node.h"

enum { CONTACTS_MAX = 64 };

#define SECOND 1000000ULL

static const struct net_setting settings[] = {
    {"overlay.links", NET_NUMBER, "512", 4, 4096,
     "link budget; below it every node links to every other"},
    {"overlay.leaves", NET_NUMBER, "8", 3, 32, "leaf set, each side"},
    {"overlay.announce", NET_SPAN, "60s", SECOND, 3600 * SECOND,
     "pause between announcements to the corps"},
    {"overlay.address", NET_TEXT, NULL, 3, OV_ADDRESS_MAX,
     "where others reach our links, if not where we listen"},
    {"index.lease", NET_SPAN, "15m", SECOND, 24 * 3600 * SECOND,
     "longest lease that is accepted"},
    {"index.sync", NET_SPAN, "60s", SECOND, 3600 * SECOND,
     "pause between digest exchanges with a neighbour"},
    {"index.grace", NET_SPAN, "15s", SECOND / 10, 3600 * SECOND,
     "how long a shard whose holders were all lost is 'not yet'"},
    {"index.ads", NET_NUMBER, "1000000", 1, 100000000,
     "most advertisements held"},
};

static void configure(const struct net_daemon *daemon,
                      struct node_config *config)
{
    const struct net_settings *set = daemon->settings;
    const char *address = net_settings_text(set, "overlay.address");
    size_t i;

    node_config_default(config);
    config->overlay.id = daemon->identity.cert.id;
    config->overlay.position = daemon->identity.cert.position;
    if (!address) address = net_driver_links_address(daemon->driver);
    snprintf(config->overlay.address, sizeof config->overlay.address, "%s",
             address);
    config->overlay.links_max =
        (uint32_t)net_settings_number(set, "overlay.links");
    config->overlay.leaves =
        (uint32_t)net_settings_number(set, "overlay.leaves");
    config->announce_us = net_settings_span_us(set, "overlay.announce");
    config->index.lease_us_max = net_settings_span_us(set, "index.lease");
    config->index.sync_us = net_settings_span_us(set, "index.sync");
    config->index.grace_us = net_settings_span_us(set, "index.grace");
    config->index.ads_max = net_settings_number(set, "index.ads");
    for (i = 0; i < daemon->n_corps; i++) {
        config->corps[config->n_corps++] = daemon->corps[i].url;
    }
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
            xn_gripef("xenonoded", "cannot use a first node",
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
    struct node_config config;
    struct xn_core *core = NULL;
    uint8_t *packed = NULL;
    size_t len = 0;
    int rc;

    configure(daemon, &config);
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
        .wants_store = true,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .settings_rows = settings,
        .n_settings_rows = sizeof settings / sizeof settings[0],
    };
    int rc = net_daemon_init(&daemon, argc, argv);

    if (!rc && !daemon.exit_now) rc = net_daemon_open(&daemon);
    if (!rc && !daemon.exit_now) rc = serve(&daemon, &contacts, wrap);
    return net_daemon_end(&daemon, rc);
}
