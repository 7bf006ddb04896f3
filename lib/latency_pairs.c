/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of pairs and of coordinates: TSV and CSV with a line of names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/latency_form.h"

#define NAME_MAX_ 32U /* of a place, with NUL */

struct table {
    char sep;
    int value; /* column */
};
static int load_plane(const struct latency_reader *r, char *at,
                      struct xn_latency **out)
{
    double *xy = malloc(2 * XN_LATENCY_PLANE_MAX * sizeof *xy);
    char *f[3];
    uint32_t n = 0;

    if (!xy) return XN_ENOMEM;
    while (latency_line(&at, '\t', f, 3) == 2) {
        if (n == XN_LATENCY_PLANE_MAX || !latency_number(f[0], &xy[2 * n]) ||
            !latency_number(f[1], &xy[2 * n + 1])) {
            break;
        }
        n++;
    }
    if (*at || !n) {
        free(xy);
        return latency_fail(r, XN_EINVAL,
                            "not lines of x and y, or more than 16384");
    }
    return latency_of_plane(n, xy, out);
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

static int read_pairs(const struct latency_reader *r, char *at,
                      const struct table *table, struct pairs *p)
{
    char *f[16];
    size_t n;
    double ms;
    int rc;

    while ((n = latency_line(&at, table->sep, f, 16)) > 0) {
        if (n <= (size_t)table->value || strlen(f[0]) >= NAME_MAX_ ||
            strlen(f[1]) >= NAME_MAX_ ||
            !latency_number(f[table->value], &ms) || ms < 0) {
            return latency_fail(r, XN_EINVAL, "a line is not: from, to, ms");
        }
        rc = add_pair(p, f, ms);
        if (rc) return rc;
    }
    return p->n ? 0 : latency_fail(r, XN_EINVAL, "has no pairs");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Places are numbered by name, so that the order of lines does not matter. */
static int number_names(const struct latency_reader *r, struct pairs *p)
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
    if (n > XN_LATENCY_MATRIX_MAX)
        return latency_fail(r, XN_ETOOBIG, "more than 4096 places");
    return 0;
}

static size_t place_of(const struct pairs *p, const char *name)
{
    char(*found)[NAME_MAX_] =
        bsearch(name, p->names, p->n_names, sizeof *p->names, by_name);

    return (size_t)(found - p->names);
}

static int load_pairs(const struct latency_reader *r, char *at,
                      const struct table *table, struct xn_latency **out)
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
    rc = latency_of_matrix((uint32_t)p.n_names, us, out);
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

int latency_parse_pairs(const struct latency_reader *r, char sep, char *text,
                        struct xn_latency **out)
{
    struct table table = {sep, -1};
    char *f[16];
    size_t n = latency_line(&text, sep, f, 16);

    if (n == 2 && !strcmp(f[0], "x") && !strcmp(f[1], "y")) {
        return load_plane(r, text, out);
    }
    table.value = value_column(f, n);
    if (table.value >= 0) return load_pairs(r, text, &table, out);
    return latency_fail(r, XN_EINVAL,
                        "its header is neither \"x y\" nor has a column "
                        "p50_ms, avg_ms, rtt_ms or mean_ms after two names");
}
