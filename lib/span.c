/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/span.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"

static const struct {
    const char *name;
    uint64_t us;
} units[] = {
    {"us", 1},          {"ms", 1000},         {"s", 1000000},
    {"m", 60000000ULL}, {"h", 3600000000ULL}, {"d", 86400000000ULL},
};
enum { UNITS = sizeof units / sizeof units[0] };

static uint64_t unit_us(const char *unit)
{
    size_t i;

    for (i = 0; i < UNITS; i++) {
        if (strcmp(unit, units[i].name) == 0) return units[i].us;
    }
    return 0;
}

int xn_span_parse(const char *text, uint64_t *us_out)
{
    uint64_t n = 0, us;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9'; p++) {
        if (n > INT64_MAX / 100) return XN_EOVERFLOW;
        n = 10 * n + (uint64_t)(*p - '0');
    }
    us = unit_us(p);
    if (p == text || us == 0) return XN_EINVAL;
    if (n > INT64_MAX / us) return XN_EOVERFLOW;
    *us_out = n * us;
    return 0;
}

void xn_span_format(uint64_t us, char out[XN_SPAN_TEXT_MAX])
{
    size_t i = UNITS;

    while (i > 1 && us % units[i - 1].us)
        i--;
    snprintf(out, XN_SPAN_TEXT_MAX, "%llu%s",
             (unsigned long long)(us / units[i - 1].us), units[i - 1].name);
}
