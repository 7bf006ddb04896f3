/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/prom.h"

#include <stdio.h>

void xn_prom_family(struct xn_buf *buf, enum xn_prom_type type,
                    const char *name, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram",
                                        "summary"};

    xn_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                  types[type]);
}

/* Within double quotes. */
static void put_label(struct xn_buf *buf, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            xn_buf_str(buf, "\\n");
            continue;
        }
        if (*text == '"' || *text == '\\') xn_buf_char(buf, '\\');
        xn_buf_char(buf, *text);
    }
}

static void put_name(struct xn_buf *buf, const char *name, const char *label,
                     const char *text)
{
    xn_buf_str(buf, name);
    if (!label || !text) return;
    xn_buf_printf(buf, "{%s=\"", label);
    put_label(buf, text);
    xn_buf_str(buf, "\"}");
}

void xn_prom_sample(struct xn_buf *buf, const char *name, const char *label,
                    const char *text, uint64_t value)
{
    put_name(buf, name, label, text);
    xn_buf_printf(buf, " %llu\n", (unsigned long long)value);
}

void xn_prom_millionths(struct xn_buf *buf, const char *name, const char *label,
                        const char *text, uint64_t millionths)
{
    put_name(buf, name, label, text);
    xn_buf_printf(buf, " %llu.%06llu\n",
                  (unsigned long long)(millionths / 1000000),
                  (unsigned long long)(millionths % 1000000));
}

void xn_prom_one(struct xn_buf *buf, enum xn_prom_type type, const char *name,
                 const char *help, uint64_t value)
{
    xn_prom_family(buf, type, name, help);
    xn_prom_sample(buf, name, NULL, NULL, value);
}

void xn_prom_histogram(struct xn_buf *buf, const char *name, const char *help,
                       const uint64_t *bounds, const uint64_t *counts, size_t n,
                       uint64_t sum)
{
    uint64_t below = 0;
    char le[24];

    xn_prom_family(buf, XN_PROM_HISTOGRAM, name, help);
    for (size_t i = 0; i <= n; i++) {
        below += counts[i];
        if (i < n)
            snprintf(le, sizeof le, "%llu", (unsigned long long)bounds[i]);
        else
            snprintf(le, sizeof le, "+Inf");
        xn_buf_printf(buf, "%s_bucket{le=\"%s\"} %llu\n", name, le,
                      (unsigned long long)below);
    }
    xn_buf_printf(buf, "%s_sum %llu\n%s_count %llu\n", name,
                  (unsigned long long)sum, name, (unsigned long long)below);
}
