/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/latency.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/latency_form.h"

#define FILE_MAX (32U << 20) /* as stored */

/* ---- for the readers ---- */

int latency_fail(const struct latency_reader *r, int rc, const char *text)
{
    snprintf(r->why, r->why_len, "%s: %s", r->path, text);
    return rc;
}

int latency_slurp(const struct latency_reader *r, const char *path,
                  struct xn_buf *out)
{
    int rc;

    xn_buf_init(out, FILE_MAX);
    rc = xn_file_read(path, out);
    if (!rc) return 0;
    return latency_fail(r, rc == XN_ENOENT ? XN_EIO : rc, xn_file_why(rc));
}

int latency_slurp_text(const struct latency_reader *r, const char *path,
                       char **text_out)
{
    struct xn_buf buf = {0};
    int rc = latency_slurp(r, path, &buf);

    if (!rc) {
        *text_out = xn_buf_steal_str(&buf);
        rc = *text_out ? 0 : XN_ENOMEM;
    }
    xn_buf_clear(&buf);
    return rc;
}

/* Digits past the twelfth decimal tell nothing of a latency. */
bool latency_number(const char *text, double *out)
{
    size_t len = strlen(text), cut = strcspn(text, ".") + 1 + XN_DEC_PLACES;
    xn_dec value;

    if (len > cut) {
        if (text[cut + strspn(text + cut, "0123456789")]) return false;
        len = cut;
    }
    if (xn_dec_parse(text, len, &value)) return false;
    *out = (double)value.v / (double)XN_DEC_ONE;
    return *out > -1e9 && *out < 1e9;
}

size_t latency_line(char **at, char sep, char **fields, size_t max)
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

static int by_u32(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int make(uint32_t n, uint32_t *us, double *xy, struct xn_latency **out)
{
    struct xn_latency *latency = calloc(1, sizeof *latency);

    if (!latency) {
        free(us);
        free(xy);
        return XN_ENOMEM;
    }
    *latency = (struct xn_latency){n, us, xy};
    *out = latency;
    return 0;
}

int latency_of_matrix(uint32_t n, uint32_t *us, struct xn_latency **out)
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
    return make(n, us, NULL, out);
}

int latency_of_plane(uint32_t n, double *xy_ms, struct xn_latency **out)
{
    return make(n, NULL, xy_ms, out);
}

/* ---- for everybody ---- */

static bool ends_in(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

/* sep 0: a matrix as text. */
static int load_text(const struct latency_reader *r, char sep,
                     struct xn_latency **out)
{
    char *text;
    int rc = latency_slurp_text(r, r->path, &text);

    if (rc) return rc;
    rc = sep ? latency_parse_pairs(r, sep, text, out)
             : latency_parse_text(r, text, out);
    free(text);
    return rc;
}

int xn_latency_load(const char *path, uint64_t unit_us,
                    struct xn_latency **latency_out, char *why_out,
                    size_t why_len)
{
    struct latency_reader r = {path, why_out, why_len};

    *why_out = '\0';
    if (ends_in(path, ".u16le.xz")) {
        return latency_load_packed(&r, unit_us, latency_out);
    }
    if (ends_in(path, ".txt")) return load_text(&r, 0, latency_out);
    if (ends_in(path, ".tsv")) return load_text(&r, '\t', latency_out);
    if (ends_in(path, ".csv")) return load_text(&r, ',', latency_out);
    return latency_fail(&r, XN_EINVAL,
                        "is none of .u16le.xz, .txt, .tsv, .csv");
}

void xn_latency_free(struct xn_latency *latency)
{
    if (!latency) return;
    free(latency->matrix);
    free(latency->xy);
    free(latency);
}

uint64_t xn_latency_us(const struct xn_latency *latency, uint32_t from,
                       uint32_t to)
{
    const double *a, *b;
    double dx, dy;

    if (latency->matrix) {
        return latency->matrix[(size_t)from * latency->places + to];
    }
    a = &latency->xy[2 * (size_t)from];
    b = &latency->xy[2 * (size_t)to];
    dx = a[0] - b[0];
    dy = a[1] - b[1];
    /* sqrt is exact in IEEE 754; hypot's last bit varies. */
    return (uint64_t)(1000 * sqrt(dx * dx + dy * dy));
}
