/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/client_conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"

static const struct net_setting rows[] = {
    {"find.currency", NET_TEXT, NULL, 3, 8, "of prices asked about"},
    {"find.lease", NET_SPAN, "15m", 1000000, 86400000000ULL,
     "longest lease accepted"},
    {"find.nodes", NET_TEXT, NULL, 1, 32768, "URLs of nodes to ask"},
    {"find.corps", NET_TEXT, NULL, 1, 4096, "URL#ID of accepted XenoCorps"},
    {"find.anchors", NET_TEXT, NULL, 1, 500,
     "folder of accepted XenoCorps' certificates"},
    {"find.key", NET_TEXT, NULL, 1, 500, "state folder"},
    {"find.timeout", NET_SPAN, "10s", 1000, 3600000000ULL,
     "for one node's answer"},
};

const char *net_env(const char *name)
{
    const char *text = getenv(name);

    return text && *text ? text : NULL;
}

int net_client_settings(const char *path, struct net_settings **settings_out,
                        char *why_out, size_t len)
{
    int rc = net_settings_new(rows, sizeof rows / sizeof rows[0], settings_out);

    if (rc || !path) return rc;
    rc = net_settings_file(*settings_out, path, why_out, len);
    /* What cannot be read is no better than what cannot be understood. */
    return rc && rc != XN_ENOMEM ? XN_EINVAL : rc;
}

void net_client_state(const struct net_settings *settings,
                      char out[NET_PATH_MAX])
{
    const char *given = net_env("XENO_KEY"), *home = net_env("HOME");
    const char *base = net_env("XDG_STATE_HOME");

    if (!given) given = net_settings_text(settings, "find.key");
    if (given) {
        snprintf(out, NET_PATH_MAX, "%s", given);
    } else if (base) {
        snprintf(out, NET_PATH_MAX, "%s/xenoserver", base);
    } else {
        snprintf(out, NET_PATH_MAX, "%s/.local/state/xenoserver",
                 home ? home : ".");
    }
}
