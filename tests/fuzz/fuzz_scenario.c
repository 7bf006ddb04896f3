/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenario files: any bytes give steps within bounds, or the place of the
 * first error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct scn_error error;
    struct scn scn;
    size_t i;
    int rc = scn_parse((const char *)data, len, &scn, &error);

    if (rc == XN_EINVAL && (!error.line || !error.column || !error.text[0])) {
        abort();
    }
    for (i = 0; !rc && i < scn.n_steps; i++) {
        if (i && scn.steps[i].at_us < scn.steps[i - 1].at_us) abort();
        if (scn.steps[i].ppm > SCN_MILLION) abort();
        if (scn_amount_of(&scn.steps[i].amount, 100) > 100) abort();
    }
    scn_free(&scn);
    return 0;
}
