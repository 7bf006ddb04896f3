/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration file of a daemon. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct net_setting rows[] = {
    {"overlay.links", NET_NUMBER, "512", 4, 4096, "budget"},
    {"overlay.address", NET_TEXT, NULL, 3, 20, "where"},
    {"overlay.join", NET_BOOL, "yes", 0, 1, "whether"},
    {"index.lease", NET_SPAN, "15m", 1, 86400000000ULL, "how long"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct net_settings *settings = NULL;
    char *text = malloc(len + 1), why[300];

    if (!text) return 0;
    if (len) memcpy(text, data, len);
    text[len] = '\0';
    if (!net_settings_new(rows, sizeof rows / sizeof rows[0], &settings)) {
        int rc = net_settings_parse(settings, "f", text, why, sizeof why);
        uint64_t links = net_settings_number(settings, "overlay.links");

        if (rc && !why[0]) abort(); /* an error without a word */
        if (links < 4 || links > 4096) abort();
        net_settings_set(settings, text, why, sizeof why);
    }
    net_settings_free(settings);
    free(text);
    return 0;
}
