/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency files: any text gives places with times between them, or a reason.
 * The first byte chooses the form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/latency_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char why[XN_LATENCY_TEXT] = "", *text;
    struct latency_reader r = {"f", why, sizeof why};
    struct xn_latency *latency = NULL;
    int rc;

    if (len == 0) return 0;
    text = malloc(len);
    if (!text) return 0;
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    rc = data[0] == 'm' ? latency_parse_text(&r, text, &latency)
                        : latency_parse_pairs(&r, data[0] == 'c' ? ',' : '\t',
                                              text, &latency);
    if (rc && !why[0]) abort(); /* an error without a word */
    if (!rc) {
        uint32_t last = latency->places - 1;

        if (xn_latency_us(latency, 0, last) > UINT32_MAX * 2ULL * 1000) abort();
        xn_latency_us(latency, last, 0);
    }
    xn_latency_free(latency);
    free(text);
    return 0;
}
