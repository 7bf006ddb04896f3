/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables for people, JSON for programs. */
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/utc.h"
#include "tools/xeno.h"

static int cannot_print(int rc)
{
    return xeno_gripe(rc, "cannot print the answer",
                      rc == XN_EIO && errno ? strerror(errno) : xn_strerror(rc),
                      "more room, or another place to print to");
}

/* ---- JSON ---- */

json_t *xeno_json_money(int64_t micro)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(xn_dec_from_micro(micro), text);
    return json_string(text);
}

json_t *xeno_json_id(const xn_id *id)
{
    char text[XN_ID_HEX];

    if (xn_id_is_zero(id)) return json_null();
    xn_id_hex(id, text);
    return json_string(text);
}

json_t *xeno_json_time(uint64_t us)
{
    char text[XN_UTC_TEXT_MAX];

    if (!us) return json_null();
    xn_utc_format(us, text);
    return json_string(text);
}

int xeno_print_json(json_t *top)
{
    int rc = top ? 0 : XN_ENOMEM;

    errno = 0;
    if (!rc && json_dumpf(top, stdout, JSON_INDENT(2))) rc = XN_EIO;
    if (!rc && (putchar('\n') == EOF || fflush(stdout))) rc = XN_EIO;
    json_decref(top);
    return rc ? cannot_print(rc) : XN_EXIT_OK;
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
        if (!scols_table_new_column(table->scols, headings[i], 0,
                                    right >> i & 1 ? SCOLS_FL_RIGHT : 0)) {
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
    return rc ? cannot_print(rc) : XN_EXIT_OK;
}

/* A peer's words may be among them. */
void xeno_say(const char *name, const char *fmt, ...)
{
    char text[640];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    printf("%-14s", name);
    xn_put_plain(text, stdout);
    putchar('\n');
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
