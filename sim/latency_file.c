/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Readers of the latency files: packed matrices, pairs and coordinates. */
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "sim/latency.h"

#define FILE_MAX (32U << 20) /* as stored */
#define UNPACK_MAX (64U << 20)
#define PLACES_MAX 16384U
#define MATRIX_MAX 4096U /* places of a matrix: 64 MiB */
#define NAME_MAX_ 32U    /* of a place, with NUL */
#define CELL_NONE 65535

struct reader {
    const char *path;
    char *why;
    size_t why_len;
};

static int fail(const struct reader *r, int rc, const char *text)
{
    snprintf(r->why, r->why_len, "%s: %s", r->path, text);
    return rc;
}

static int slurp(const struct reader *r, const char *path, struct xn_buf *out)
{
    FILE *f = fopen(path, "rb");
    uint8_t block[8192];
    size_t n;
    int rc;

    if (!f) return fail(r, XN_EIO, "cannot be opened");
    xn_buf_init(out, FILE_MAX);
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        xn_buf_add(out, block, n);
    }
    rc = ferror(f) ? XN_EIO : xn_buf_rc(out);
    fclose(f);
    if (rc) fail(r, rc, "cannot be read whole");
    return rc;
}

/* ---- packed matrices ---- */

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
    return b == c && b > 0 && b <= MATRIX_MAX && shape->slices > 0 &&
           (uint64_t)shape->slices * b * b * 2 <= UNPACK_MAX;
}

/* "Unit 0.1 ms" in the README.md beside the file. */
static int unit_of(const struct reader *r, uint64_t *unit_us_out)
{
    const char *slash = strrchr(r->path, '/');
    struct xn_buf path = {0}, text = {0};
    char *name = NULL, *all = NULL;
    const char *at;
    double ms = 0;
    int rc;

    if (slash) xn_buf_add(&path, r->path, (size_t)(slash - r->path) + 1);
    xn_buf_str(&path, "README.md");
    name = xn_buf_steal_str(&path);
    if (!name) return XN_ENOMEM;
    rc = slurp(r, name, &text);
    if (rc) {
        fail(r, rc, "no README.md beside it says the unit; give one");
        goto out;
    }
    all = xn_buf_steal_str(&text);
    at = all ? strstr(all, "Unit ") : NULL;
    if (!at || sscanf(at, "Unit %lf ms", &ms) != 1 || ms < 0.001 || ms > 1e4) {
        rc = fail(r, XN_EINVAL, "its README.md does not say the unit");
        goto out;
    }
    *unit_us_out = (uint64_t)(ms * 1000 + 0.5);
out:
    xn_buf_clear(&text);
    free(name);
    free(all);
    return rc;
}

static int unpack(const struct reader *r, const struct xn_buf *packed,
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
        return fail(r, XN_EINVAL,
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

static int by_u32(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Fill what is missing (UINT32_MAX): the other direction, else the median of
 * all; a place to itself, the least.  Takes over `us`. */
static int finish_matrix(uint32_t n, uint32_t *us, struct sim_latency **out)
{
    size_t area = (size_t)n * n, known = 0, i, j;
    uint32_t *sorted = malloc(area * sizeof *sorted);
    uint32_t median;

    if (!sorted) {
        free(us);
        return XN_ENOMEM;
    }
    for (i = 0; i < area; i++) {
        if (us[i] != UINT32_MAX) sorted[known++] = us[i];
    }
    qsort(sorted, known, sizeof *sorted, by_u32);
    median = known ? sorted[known / 2] : 50000;
    for (i = 0; i < n; i++) {
        if (us[i * n + i] == UINT32_MAX) us[i * n + i] = 0;
        for (j = 0; j < n; j++) {
            uint32_t *cell = &us[i * n + j];

            if (*cell == UINT32_MAX) *cell = us[j * n + i];
            if (*cell == UINT32_MAX) *cell = median;
        }
    }
    free(sorted);
    return sim_latency_matrix(n, us, out);
}

static int matrix_from(const uint8_t *data, const struct shape *shape,
                       uint64_t unit_us, struct sim_latency **out)
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
    return finish_matrix(shape->n, us, out);
}

static int load_packed(const struct reader *r, uint64_t unit_us,
                       struct sim_latency **out)
{
    struct xn_buf packed = {0};
    struct shape shape;
    uint8_t *data = NULL;
    int rc;

    if (!shape_of(r->path, &shape)) {
        return fail(r, XN_EINVAL,
                    "its name does not end in _NxN.u16le.xz with N "
                    "up to 4096");
    }
    rc = unit_us ? 0 : unit_of(r, &unit_us);
    if (rc) goto out;
    rc = slurp(r, r->path, &packed);
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

/* ---- tables ---- */

struct table {
    char *text;
    char sep;
    int value; /* column */
};

/* Cut the line at *at into at most `max` fields in place; 0 at the end. */
static size_t next_line(char **at, char sep, char **fields, size_t max)
{
    char *line, *end;
    size_t n = 0;

    do {
        line = *at;
        if (!*line) return 0;
        end = line + strcspn(line, "\n");
        *at = *end ? end + 1 : end;
        *end = '\0';
        if (end > line && end[-1] == '\r') end[-1] = '\0';
    } while (!*line || *line == '#');
    while (line && n < max) {
        fields[n++] = line;
        line = strchr(line, sep);
        if (line) *line++ = '\0';
    }
    return n;
}

static bool number_of(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && !*end && *out > -1e9 && *out < 1e9;
}

static int load_plane(const struct reader *r, char *at,
                      struct sim_latency **out)
{
    double *xy = malloc(2 * PLACES_MAX * sizeof *xy);
    char *f[3];
    uint32_t n = 0;

    if (!xy) return XN_ENOMEM;
    while (next_line(&at, '\t', f, 3) == 2) {
        if (n == PLACES_MAX || !number_of(f[0], &xy[2 * n]) ||
            !number_of(f[1], &xy[2 * n + 1])) {
            break;
        }
        n++;
    }
    if (*at || !n) {
        free(xy);
        return fail(r, XN_EINVAL, "not lines of x and y, or more than 16384");
    }
    return sim_latency_plane(n, xy, out);
}

struct pair {
    char from[NAME_MAX_], to[NAME_MAX_];
    double ms;
};

struct pairs {
    struct pair *a;
    size_t n, cap;
    char (*names)[NAME_MAX_];
    size_t n_names;
};

static int add_pair(struct pairs *p, char **f, double ms)
{
    struct pair *pair;

    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 1024;
        struct pair *a = realloc(p->a, cap * sizeof *a);

        if (!a) return XN_ENOMEM;
        p->a = a;
        p->cap = cap;
    }
    pair = &p->a[p->n++];
    snprintf(pair->from, sizeof pair->from, "%s", f[0]);
    snprintf(pair->to, sizeof pair->to, "%s", f[1]);
    pair->ms = ms;
    return 0;
}

static int read_pairs(const struct reader *r, char *at,
                      const struct table *table, struct pairs *p)
{
    char *f[16];
    size_t n;
    double ms;
    int rc;

    while ((n = next_line(&at, table->sep, f, 16)) > 0) {
        if (n <= (size_t)table->value || strlen(f[0]) >= NAME_MAX_ ||
            strlen(f[1]) >= NAME_MAX_ || !number_of(f[table->value], &ms) ||
            ms < 0) {
            return fail(r, XN_EINVAL, "a line is not: from, to, ms");
        }
        rc = add_pair(p, f, ms);
        if (rc) return rc;
    }
    return p->n ? 0 : fail(r, XN_EINVAL, "has no pairs");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Places are numbered by name, so that the order of lines does not matter. */
static int number_names(const struct reader *r, struct pairs *p)
{
    size_t i, n = 0;

    p->names = malloc(2 * p->n * sizeof *p->names);
    if (!p->names) return XN_ENOMEM;
    for (i = 0; i < p->n; i++) {
        memcpy(p->names[2 * i], p->a[i].from, NAME_MAX_);
        memcpy(p->names[2 * i + 1], p->a[i].to, NAME_MAX_);
    }
    qsort(p->names, 2 * p->n, sizeof *p->names, by_name);
    for (i = 0; i < 2 * p->n; i++) {
        if (n && !strcmp(p->names[n - 1], p->names[i])) continue;
        memmove(p->names[n++], p->names[i], NAME_MAX_);
    }
    p->n_names = n;
    if (n > MATRIX_MAX) return fail(r, XN_ETOOBIG, "more than 4096 places");
    return 0;
}

static size_t place_of(const struct pairs *p, const char *name)
{
    char(*found)[NAME_MAX_] =
        bsearch(name, p->names, p->n_names, sizeof *p->names, by_name);

    return (size_t)(found - p->names);
}

static int load_pairs(const struct reader *r, char *at,
                      const struct table *table, struct sim_latency **out)
{
    struct pairs p = {0};
    uint32_t *us = NULL;
    size_t i;
    int rc;

    rc = read_pairs(r, at, table, &p);
    if (rc) goto out;
    rc = number_names(r, &p);
    if (rc) goto out;
    us = malloc(p.n_names * p.n_names * sizeof *us);
    if (!us) {
        rc = XN_ENOMEM;
        goto out;
    }
    memset(us, 0xff, p.n_names * p.n_names * sizeof *us);
    for (i = 0; i < p.n; i++) {
        us[place_of(&p, p.a[i].from) * p.n_names + place_of(&p, p.a[i].to)] =
            (uint32_t)(p.a[i].ms > 2e6 ? 1e9 : p.a[i].ms * 500);
    }
    rc = finish_matrix((uint32_t)p.n_names, us, out);
out:
    free(p.a);
    free(p.names);
    return rc;
}

static int value_column(char **fields, size_t n)
{
    static const char *const known[] = {"p50_ms", "avg_ms", "rtt_ms",
                                        "mean_ms"};
    size_t i, k;

    for (k = 0; k < sizeof known / sizeof known[0]; k++) {
        for (i = 2; i < n; i++) {
            if (!strcmp(fields[i], known[k])) return (int)i;
        }
    }
    return -1;
}

static int load_table(const struct reader *r, char sep,
                      struct sim_latency **out)
{
    struct table table = {NULL, sep, -1};
    struct xn_buf buf = {0};
    char *f[16], *at;
    size_t n;
    int rc;

    rc = slurp(r, r->path, &buf);
    if (rc) goto out;
    table.text = xn_buf_steal_str(&buf);
    if (!table.text) {
        rc = XN_ENOMEM;
        goto out;
    }
    at = table.text;
    n = next_line(&at, sep, f, 16);
    if (n == 2 && !strcmp(f[0], "x") && !strcmp(f[1], "y")) {
        rc = load_plane(r, at, out);
        goto out;
    }
    table.value = value_column(f, n);
    rc = table.value < 0
             ? fail(r, XN_EINVAL,
                    "its header is neither \"x y\" nor has a column p50_ms, "
                    "avg_ms, rtt_ms or mean_ms after two names")
             : load_pairs(r, at, &table, out);
out:
    xn_buf_clear(&buf);
    free(table.text);
    return rc;
}

static bool ends_in(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

int sim_latency_load(const char *path, uint64_t unit_us,
                     struct sim_latency **latency_out, char *why_out,
                     size_t why_len)
{
    struct reader r = {path, why_out, why_len};

    *why_out = '\0';
    if (ends_in(path, ".u16le.xz")) {
        return load_packed(&r, unit_us, latency_out);
    }
    if (ends_in(path, ".tsv")) return load_table(&r, '\t', latency_out);
    if (ends_in(path, ".csv")) return load_table(&r, ',', latency_out);
    return fail(&r, XN_EINVAL, "is none of .u16le.xz, .tsv, .csv");
}
