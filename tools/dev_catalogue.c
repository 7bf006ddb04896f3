/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Catalogues of offers: CSV (RFC 4180), plain or packed with xz. */
#include "tools/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/rng.h"
#include "wire/token.h"

enum { COLUMNS_MAX = 64 };

#define CATALOGUE_BYTES_MAX (64U << 20)

struct dev_catalogue {
    struct xn_arena arena;
    const char *names[COLUMNS_MAX];
    size_t n_columns;
    const char ***rows; /* of n_columns values each */
    size_t n_rows, cap;
};

/* ---- reading ---- */

static int unpack_xz(const struct xn_buf *in, struct xn_buf *out)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    uint8_t chunk[65536];
    lzma_ret ret;

    if (lzma_stream_decoder(&stream, UINT64_MAX, 0) != LZMA_OK) {
        return XN_ENOMEM;
    }
    stream.next_in = in->data;
    stream.avail_in = in->len;
    do {
        stream.next_out = chunk;
        stream.avail_out = sizeof chunk;
        ret = lzma_code(&stream, LZMA_FINISH);
        xn_buf_add(out, chunk, sizeof chunk - stream.avail_out);
    } while (ret == LZMA_OK && !xn_buf_rc(out));
    lzma_end(&stream);
    return ret == LZMA_STREAM_END ? xn_buf_rc(out) : XN_EINTEGRITY;
}

static int read_text(const char *path, struct xn_buf *text)
{
    size_t len = strlen(path);
    struct xn_buf packed;
    int rc;

    if (len < 3 || strcmp(path + len - 3, ".xz"))
        return xn_file_read(path, text);
    xn_buf_init(&packed, CATALOGUE_BYTES_MAX);
    rc = xn_file_read(path, &packed);
    if (!rc) rc = unpack_xz(&packed, text);
    xn_buf_clear(&packed);
    return rc;
}

/* ---- CSV ---- */

/* One field from *p, unquoted into the arena; *p is left at the comma, the
 * line's end or the text's end. */
static const char *take_field(struct xn_arena *arena, const char **p,
                              const char *end)
{
    const char *from = *p;
    char *to, *field;
    size_t max = 0;

    if (from == end || *from != '"') {
        while (*p < end && !strchr(",\r\n", **p))
            (*p)++;
        return xn_arena_strndup(arena, from, (size_t)(*p - from));
    }
    for (*p = ++from; *p < end; (*p)++, max++) {
        if (**p != '"') continue;
        if (*p + 1 < end && (*p)[1] == '"') {
            (*p)++;
            continue;
        }
        break;
    }
    field = to = xn_arena_alloc(arena, max + 1);
    if (!field) return NULL;
    for (; from < *p; from++) {
        *to++ = *from;
        if (*from == '"') from++;
    }
    while (*p < end && !strchr(",\r\n", **p))
        (*p)++;
    return field;
}

/* Fields of one line; how many, or -1 when out of memory. */
static int take_line(struct xn_arena *arena, const char **p, const char *end,
                     const char **fields)
{
    int n = 0;

    while (n < COLUMNS_MAX) {
        fields[n] = take_field(arena, p, end);
        if (!fields[n++]) return -1;
        if (*p == end || **p != ',') break;
        (*p)++;
    }
    while (*p < end && **p != '\n')
        (*p)++;
    if (*p < end) (*p)++;
    return n;
}

static int add_row(struct dev_catalogue *c, const char **fields, size_t n)
{
    const char **row;
    size_t j;

    if (c->n_rows == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 256;
        const char ***rows = realloc(c->rows, cap * sizeof *rows);

        if (!rows) return XN_ENOMEM;
        c->rows = rows;
        c->cap = cap;
    }
    row = xn_arena_alloc(&c->arena, c->n_columns * sizeof *row);
    if (!row) return XN_ENOMEM;
    for (j = 0; j < c->n_columns; j++)
        row[j] = j < n ? fields[j] : "";
    c->rows[c->n_rows++] = row;
    return 0;
}

static int check_names(const struct dev_catalogue *c, const char *path,
                       size_t *price_out)
{
    size_t j;

    *price_out = c->n_columns;
    for (j = 0; j < c->n_columns; j++) {
        if (!xn_token_valid(c->names[j], strlen(c->names[j]))) {
            xn_gripe_rcf(
                DEV_PROGRAM, XN_EINVAL, NULL, "cannot use the catalogue",
                "a first line of column names",
                "%s: '%s' cannot be a token's name", path, c->names[j]);
            return XN_EINVAL;
        }
        if (strcmp(c->names[j], "Price") == 0) *price_out = j;
    }
    if (*price_out < c->n_columns) return 0;
    xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL, "cannot use the catalogue",
                 "a CSV with vCPUs, MemoryGiB and Price",
                 "%s has no column Price", path);
    return XN_EINVAL;
}

static int parse(struct dev_catalogue *c, const char *path,
                 const struct xn_buf *text)
{
    const char *p = (const char *)text->data, *end = p + text->len;
    const char *fields[COLUMNS_MAX];
    size_t price;
    int n, rc;

    n = p ? take_line(&c->arena, &p, end, c->names) : 0;
    if (n < 0) return XN_ENOMEM;
    c->n_columns = (size_t)n;
    rc = check_names(c, path, &price);
    while (!rc && p < end) {
        n = take_line(&c->arena, &p, end, fields);
        if (n < 0) return XN_ENOMEM;
        if ((size_t)n <= price || !*fields[price]) continue;
        rc = add_row(c, fields, (size_t)n);
    }
    return rc;
}

int dev_catalogue_read(const char *path, struct dev_catalogue **catalogue_out)
{
    struct dev_catalogue *c = calloc(1, sizeof *c);
    struct xn_buf text;
    int rc;

    xn_buf_init(&text, CATALOGUE_BYTES_MAX);
    if (!c) return XN_ENOMEM;
    xn_arena_init(&c->arena, 0);
    rc = read_text(path, &text);
    if (rc) {
        xn_gripe_rcf(DEV_PROGRAM, rc == XN_ENOENT ? XN_EIO : rc, NULL,
                     "cannot read the catalogue", "--catalogue CSV", "%s: %s",
                     path, xn_file_why(rc));
        if (rc == XN_ENOENT) rc = XN_EIO; /* "none" is for what matches */
        goto out;
    }
    rc = parse(c, path, &text);
    if (rc) goto out;
    *catalogue_out = c;
    c = NULL;
out:
    xn_buf_clear(&text);
    dev_catalogue_free(c);
    return rc;
}

void dev_catalogue_free(struct dev_catalogue *c)
{
    if (!c) return;
    xn_arena_clear(&c->arena);
    free(c->rows);
    free(c);
}

size_t dev_catalogue_rows(const struct dev_catalogue *c)
{
    return c->n_rows;
}

/* Fisher and Yates, so that row i depends on the seed alone. */
void dev_catalogue_shuffle(struct dev_catalogue *c, uint64_t seed)
{
    struct xn_rng rng;
    size_t i;

    xn_rng_seed(&rng, seed);
    for (i = 0; i + 1 < c->n_rows; i++) {
        size_t j = i + xn_rng_below(&rng, c->n_rows - i);
        const char **swap = c->rows[i];

        c->rows[i] = c->rows[j];
        c->rows[j] = swap;
    }
}

size_t dev_catalogue_columns(const struct dev_catalogue *c)
{
    return c->n_columns;
}

const char *dev_catalogue_column(const struct dev_catalogue *c, size_t j)
{
    return c->names[j];
}

const char *dev_catalogue_value(const struct dev_catalogue *c, size_t i,
                                size_t j)
{
    return c->rows[i][j];
}
