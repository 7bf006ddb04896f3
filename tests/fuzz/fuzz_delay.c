/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of --delay: any text is delays, or the line that is wrong. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/delay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct net_delays *delays = NULL;
    char *text = malloc(len + 1);
    size_t line;
    int rc;

    if (!text) return 0;
    if (len) memcpy(text, data, len);
    text[len] = '\0';
    rc = net_delays_parse(text, &delays, &line);
    if (rc == XN_EINVAL && line == 0) abort();
    if (!rc != (delays != NULL)) abort();
    net_delays_free(delays);
    free(text);
    return 0;
}
