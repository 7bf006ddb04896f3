/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables for people, JSON for programs. */
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/json.h"
#include "tools/xeno.h"

/* ---- JSON ---- */

json_t *xeno_json_money(int64_t micro)
{
    return net_json_money(micro);
}

json_t *xeno_json_id(const xn_id *id)
{
    return net_json_id(id);
}

json_t *xeno_json_time(uint64_t us)
{
    return net_json_time(us);
}

int xeno_print_json(json_t *top)
{
    return net_json_print(XENO_PROGRAM, top);
}

/* ---- tables ---- */

struct xeno_table {
    struct libscols_table *scols;
    size_t n;
    bool bad;
};

/* What went wrong is told when it is printed. */
struct xeno_table *xeno_table_new(const char *const *headings, size_t n,
                                  uint32_t right)
{
    struct xeno_table *table = calloc(1, sizeof *table);

    if (!table) return NULL;
    scols_init_debug(0);
    table->scols = scols_new_table();
    table->bad = !table->scols;
    table->n = n;
    /* Cut to the terminal's width for people; whole for pipes. */
    if (table->scols && !isatty(STDOUT_FILENO))
        scols_table_enable_maxout(table->scols, 0);
    for (size_t i = 0; i < n && !table->bad; i++) {
        int flags = right >> i & 1 ? SCOLS_FL_RIGHT : 0;

        /* The last is a text that may be cut: numbers never are. */
        if (i + 1 == n && !flags) flags = SCOLS_FL_TRUNC;
        if (!scols_table_new_column(table->scols, headings[i], 0, flags)) {
            table->bad = true;
        }
    }
    return table;
}

void xeno_table_row(struct xeno_table *table, const char *const *texts)
{
    struct libscols_line *line;

    if (!table || table->bad) return;
    line = scols_table_new_line(table->scols, NULL);
    for (size_t i = 0; i < table->n && line; i++) {
        const char *text = texts[i] && *texts[i] ? texts[i] : "-";

        if (scols_line_set_data(line, i, text)) line = NULL;
    }
    if (!line) table->bad = true;
}

void xeno_table_free(struct xeno_table *table)
{
    if (table && table->scols) scols_unref_table(table->scols);
    free(table);
}

int xeno_table_print(struct xeno_table *table)
{
    int rc = !table || table->bad ? XN_ENOMEM : 0;

    errno = 0;
    if (!rc && scols_print_table(table->scols)) rc = XN_EIO;
    xeno_table_free(table);
    return rc ? net_cannot_print(XENO_PROGRAM, rc) : XN_EXIT_OK;
}

void xeno_say(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xn_say(name, fmt, ap);
    va_end(ap);
}

void xeno_progress(const char *what, uint64_t done)
{
    if (!isatty(STDERR_FILENO)) return;
    if (what) {
        fprintf(stderr, "\r%s %llu", what, (unsigned long long)done);
    } else {
        fputs("\r\033[K", stderr);
    }
    fflush(stderr);
}
