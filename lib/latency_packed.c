/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packed matrices: raw unsigned 16-bit little-endian integers in xz. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>

#include "lib/err.h"
#include "lib/latency_form.h"

#define UNPACK_MAX (64U << 20)
#define CELL_NONE 65535

struct shape {
    uint32_t slices, n;
    bool one_way;
};

/* NAME_99x99.u16le.xz or NAME_688x99x99.u16le.xz */
static bool shape_of(const char *path, struct shape *shape)
{
    const char *base = strrchr(path, '/');
    const char *dims = strrchr(path, '_');
    unsigned a, b, c;

    base = base ? base + 1 : path;
    if (!dims || dims < base) return false;
    if (sscanf(dims, "_%9ux%9ux%9u.", &a, &b, &c) == 3) {
        shape->slices = a;
    } else if (sscanf(dims, "_%9ux%9u.", &b, &c) == 2) {
        shape->slices = 1;
    } else {
        return false;
    }
    shape->n = b;
    shape->one_way =
        !strncmp(base, "latency_", 8) || !strncmp(base, "jitter_", 7);
    return b == c && b > 0 && b <= XN_LATENCY_MATRIX_MAX && shape->slices > 0 &&
           (uint64_t)shape->slices * b * b * 2 <= UNPACK_MAX;
}

/* "Unit 0.1 ms" in the README.md beside the file. */
static int unit_of(const struct latency_reader *r, uint64_t *unit_us_out)
{
    const char *slash = strrchr(r->path, '/');
    char *name = NULL, *all = NULL, number[16];
    struct xn_buf path = {0};
    const char *at;
    double ms = 0;
    int rc;

    if (slash) xn_buf_add(&path, r->path, (size_t)(slash - r->path) + 1);
    xn_buf_str(&path, "README.md");
    name = xn_buf_steal_str(&path);
    if (!name) return XN_ENOMEM;
    rc = latency_slurp_text(r, name, &all);
    if (rc) {
        latency_fail(r, rc, "no README.md beside it says the unit; give one");
        goto out;
    }
    at = strstr(all, "Unit ");
    if (!at || sscanf(at, "Unit %15[0-9.] ms", number) != 1 ||
        !latency_number(number, &ms) || ms < 0.001 || ms > 1e4) {
        rc = latency_fail(r, XN_EINVAL, "its README.md does not say the unit");
        goto out;
    }
    *unit_us_out = (uint64_t)(ms * 1000 + 0.5);
out:
    free(name);
    free(all);
    return rc;
}

static int unpack(const struct latency_reader *r, const struct xn_buf *packed,
                  size_t want, uint8_t **out)
{
    uint64_t memory = 256U << 20;
    size_t in_at = 0, out_at = 0;
    uint8_t *data = malloc(want + 1);
    lzma_ret ret;

    if (!data) return XN_ENOMEM;
    ret = lzma_stream_buffer_decode(&memory, 0, NULL, packed->data, &in_at,
                                    packed->len, data, &out_at, want);
    if (ret != LZMA_OK || out_at != want) {
        free(data);
        return latency_fail(r, XN_EINVAL,
                            "not an xz file of the size that its name says");
    }
    *out = data;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint16_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The median over the slices of one cell; CELL_NONE: missing in all. */
static uint16_t cell_of(const uint8_t *data, const struct shape *shape,
                        size_t cell, uint16_t *series)
{
    size_t area = (size_t)shape->n * shape->n, n = 0;
    uint32_t s;

    for (s = 0; s < shape->slices; s++) {
        const uint8_t *p = data + 2 * (s * area + cell);
        uint16_t v = (uint16_t)(p[0] | p[1] << 8);

        if (v != CELL_NONE) series[n++] = v;
    }
    if (!n) return CELL_NONE;
    if (n > 1) qsort(series, n, sizeof *series, by_value);
    return series[n / 2];
}

static int matrix_from(const uint8_t *data, const struct shape *shape,
                       uint64_t unit_us, struct xn_latency **out)
{
    size_t area = (size_t)shape->n * shape->n, i;
    uint32_t *us = malloc(area * sizeof *us);
    uint16_t *series = malloc(shape->slices * sizeof *series);

    if (!us || !series) {
        free(us);
        free(series);
        return XN_ENOMEM;
    }
    for (i = 0; i < area; i++) {
        uint16_t v = cell_of(data, shape, i, series);
        uint64_t t = v * unit_us / (shape->one_way ? 1 : 2);

        us[i] = v == CELL_NONE   ? UINT32_MAX
                : t < UINT32_MAX ? (uint32_t)t
                                 : UINT32_MAX - 1;
    }
    free(series);
    return latency_of_matrix(shape->n, us, out);
}

int latency_load_packed(const struct latency_reader *r, uint64_t unit_us,
                        struct xn_latency **out)
{
    struct xn_buf packed = {0};
    struct shape shape;
    uint8_t *data = NULL;
    int rc;

    if (!shape_of(r->path, &shape)) {
        return latency_fail(r, XN_EINVAL,
                            "its name does not end in _NxN.u16le.xz with N "
                            "up to 4096");
    }
    rc = unit_us ? 0 : unit_of(r, &unit_us);
    if (rc) goto out;
    rc = latency_slurp(r, r->path, &packed);
    if (rc) goto out;
    rc =
        unpack(r, &packed, 2 * (size_t)shape.slices * shape.n * shape.n, &data);
    if (rc) goto out;
    rc = matrix_from(data, &shape, unit_us, out);
out:
    free(data);
    xn_buf_clear(&packed);
    return rc;
}
