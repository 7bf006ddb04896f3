/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>

#include "lib/buf.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL
#define TIME_MAX (UINT64_MAX / 8)

struct reader {
    struct xn_trace *trace;
    size_t cap;
    uint32_t line;
    uint32_t base; /* of the group read: number of its first machine */
    const char *path;
    char *why;
    size_t why_len;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct reader *r,
                                                      int rc, const char *fmt,
                                                      ...)
{
    char text[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->line) {
        snprintf(r->why, r->why_len, "%s: line %u: %s", r->path, r->line, text);
    } else {
        snprintf(r->why, r->why_len, "%s: %s", r->path, text);
    }
    return rc;
}

/* ---- the file ---- */

/* Through lzma, which tells a plain file apart by what it begins with. */
static int unpack(const struct reader *r, FILE *f, bool packed,
                  struct xn_buf *text)
{
    uint8_t in[16384], out[16384];
    lzma_stream lzma = LZMA_STREAM_INIT;
    lzma_ret ret = LZMA_OK;
    size_t n;

    if (packed && lzma_stream_decoder(&lzma, 256U << 20, 0) != LZMA_OK) {
        return XN_ENOMEM;
    }
    while (ret == LZMA_OK && (n = fread(in, 1, sizeof in, f)) > 0) {
        if (!packed) xn_buf_add(text, in, n);
        lzma.next_in = in;
        lzma.avail_in = packed ? n : 0;
        while (lzma.avail_in > 0 && ret == LZMA_OK) {
            lzma.next_out = out;
            lzma.avail_out = sizeof out;
            ret = lzma_code(&lzma, LZMA_RUN);
            xn_buf_add(text, out, sizeof out - lzma.avail_out);
        }
        if (text->len > XN_TRACE_BYTES_MAX) break;
    }
    while (packed && ret == LZMA_OK && text->len <= XN_TRACE_BYTES_MAX) {
        lzma.next_out = out;
        lzma.avail_out = sizeof out;
        ret = lzma_code(&lzma, LZMA_FINISH);
        xn_buf_add(text, out, sizeof out - lzma.avail_out);
    }
    lzma_end(&lzma);
    if (ferror(f)) return fail(r, XN_EIO, "%s", strerror(errno));
    if (text->len > XN_TRACE_BYTES_MAX) {
        return fail(r, XN_ETOOBIG, "over %u bytes", XN_TRACE_BYTES_MAX);
    }
    if (packed && ret != LZMA_STREAM_END) {
        return fail(r, XN_EINVAL, "not an xz file, or a damaged one");
    }
    return 0;
}

static int slurp(const struct reader *r, char **text_out)
{
    size_t len = strlen(r->path);
    bool packed = len > 3 && !strcmp(r->path + len - 3, ".xz");
    struct xn_buf text = {0};
    FILE *f = fopen(r->path, "r");
    int rc;

    if (!f) return fail(r, XN_EIO, "%s", strerror(errno));
    rc = unpack(r, f, packed, &text);
    fclose(f);
    *text_out = xn_buf_steal_str(&text);
    return rc || *text_out ? rc : XN_ENOMEM;
}

/* ---- changes ---- */

static int add_change(struct reader *r, uint64_t at_us, uint32_t node, bool up)
{
    struct xn_trace *trace = r->trace;

    if (trace->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 1024;
        struct xn_trace_change *changes =
            realloc(trace->changes, cap * sizeof *changes);

        if (!changes) return XN_ENOMEM;
        trace->changes = changes;
        r->cap = cap;
    }
    trace->changes[trace->n++] = (struct xn_trace_change){at_us, node, up};
    if (node >= trace->nodes) trace->nodes = node + 1;
    return 0;
}

static int add_span(struct reader *r, uint64_t node, uint64_t from_us,
                    uint64_t to_us)
{
    int rc;

    if (node >= XN_TRACE_NODES_MAX || to_us < from_us || to_us > TIME_MAX) {
        return fail(r, XN_EINVAL, "no such node, or up to before it was up");
    }
    if (from_us == to_us) return 0;
    rc = add_change(r, from_us, (uint32_t)node, true);
    return rc ? rc : add_change(r, to_us, (uint32_t)node, false);
}

/* Where one time up ends another begins: then it goes down first. */
static int by_time(const void *a, const void *b)
{
    const struct xn_trace_change *x = a, *y = b;

    if (x->at_us != y->at_us) return x->at_us < y->at_us ? -1 : 1;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    return (x->up > y->up) - (x->up < y->up);
}

/* ---- lines ---- */

static bool take_number(char **at, uint64_t max, uint64_t *n_out)
{
    uint64_t n = 0;
    char *s = *at;

    if (!isdigit((unsigned char)*s)) return false;
    for (; isdigit((unsigned char)*s); s++) {
        n = n * 10 + (uint64_t)(*s - '0');
        if (n > max) return false;
    }
    *at = s;
    *n_out = n;
    return true;
}

static bool take_char(char **at, char c)
{
    if (**at != c) return false;
    (*at)++;
    return true;
}

/* node up_from up_to */
static int read_interval(struct reader *r, char *at)
{
    uint64_t node, from, to;

    if (!take_number(&at, UINT32_MAX, &node) || !take_char(&at, '\t') ||
        !take_number(&at, TIME_MAX / SECOND_US, &from) ||
        !take_char(&at, '\t') || !take_number(&at, TIME_MAX / SECOND_US, &to) ||
        *at) {
        return fail(r, XN_EINVAL, "expected node, up_from and up_to");
    }
    return add_span(r, node, from * SECOND_US, to * SECOND_US);
}

/* id .. first_ms last_ms */
static int read_presence(struct reader *r, char *at)
{
    char *last = strrchr(at, '\t'), *first;
    uint64_t node, from, to;

    if (!last) return fail(r, XN_EINVAL, "expected id, first_ms and last_ms");
    *last++ = '\0';
    first = strrchr(at, '\t');
    if (first) first++;
    if (!first || !take_number(&at, UINT32_MAX, &node) ||
        !take_number(&first, TIME_MAX / 1000, &from) || *first ||
        !take_number(&last, TIME_MAX / 1000, &to) || *last) {
        return fail(r, XN_EINVAL, "expected id, first_ms and last_ms");
    }
    return add_span(r, node, from * 1000, to * 1000);
}

/* From so many machines of the group to so many. */
static int change_group(struct reader *r, uint64_t at_us, uint64_t from,
                        uint64_t to)
{
    int rc = 0;

    for (; !rc && from < to; from++)
        rc = add_change(r, at_us, r->base + (uint32_t)from, true);
    for (; !rc && from > to; from--)
        rc = add_change(r, at_us, r->base + (uint32_t)from - 1, false);
    return rc;
}

/* trace gap_s ticks VALUExTICKS.. */
static int read_group(struct reader *r, char *at)
{
    uint64_t gap, ticks, value, count, up = 0, now_us = 0;
    int rc = 0;

    at += strcspn(at, "\t");
    if (!take_char(&at, '\t') || !take_number(&at, 1000000, &gap) ||
        !take_char(&at, '\t') || !take_number(&at, 1000000000, &ticks) ||
        !take_char(&at, '\t')) {
        return fail(r, XN_EINVAL, "expected trace, gap_s, ticks and values");
    }
    while (!rc && *at) {
        if (!take_number(&at, 4096, &value) || !take_char(&at, 'x') ||
            !take_number(&at, 1000000000, &count) || (*at && *at != ' ')) {
            return fail(r, XN_EINVAL, "expected words such as 1x20");
        }
        if (*at) at++;
        if (r->base + value > XN_TRACE_NODES_MAX) {
            return fail(r, XN_EINVAL, "too many machines");
        }
        if (gap && count > (TIME_MAX - now_us) / (gap * SECOND_US)) {
            return fail(r, XN_EINVAL, "too long");
        }
        rc = change_group(r, now_us, up, value);
        up = value;
        now_us += count * gap * SECOND_US;
    }
    if (!rc) rc = change_group(r, now_us, up, 0);
    r->base = r->trace->nodes;
    return rc;
}

typedef int read_line(struct reader *r, char *at);

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

static read_line *form_of(const char *header)
{
    if (!strcmp(header, "node\tup_from\tup_to")) return read_interval;
    if (!strncmp(header, "id\t", 3) && ends_in(header, "\tfirst_ms\tlast_ms")) {
        return read_presence;
    }
    if (!strcmp(header, "trace\tgap_s\tticks\tvalue_run_lengths")) {
        return read_group;
    }
    return NULL;
}

static int read_lines(struct reader *r, char *text)
{
    read_line *read = NULL;
    char *end;
    int rc = 0;

    for (; text && *text && !rc; text = end) {
        end = strchr(text, '\n');
        if (end) *end++ = '\0';
        r->line++;
        if (read) {
            rc = read(r, text);
        } else {
            read = form_of(text);
            if (!read) return fail(r, XN_EINVAL, "no header that is known");
        }
    }
    if (!rc && !r->trace->n) rc = fail(r, XN_EINVAL, "nothing was ever up");
    return rc;
}

int xn_trace_load(const char *path, struct xn_trace *trace_out, char *why_out,
                  size_t why_len)
{
    struct reader r = {
        .trace = trace_out, .path = path, .why = why_out, .why_len = why_len};
    char *text = NULL;
    int rc;

    memset(trace_out, 0, sizeof *trace_out);
    why_out[0] = '\0';
    rc = slurp(&r, &text);
    if (!rc) rc = read_lines(&r, text);
    free(text);
    if (rc) {
        xn_trace_clear(trace_out);
        return rc;
    }
    qsort(trace_out->changes, trace_out->n, sizeof *trace_out->changes,
          by_time);
    return 0;
}

void xn_trace_clear(struct xn_trace *trace)
{
    free(trace->changes);
    memset(trace, 0, sizeof *trace);
}
