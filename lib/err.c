/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/err.h"

#include <stddef.h>

struct row {
    const char *name;
    const char *text;
    int rc;
    int exit_code;
};

static const struct row rows[] = {{"OK", "success", 0, XN_EXIT_OK},
#define X(name, value, code, text) {#name, text, -(value), code},
                                  XN_ERRORS(X)
#undef X
};

static const struct row *find(int rc)
{
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].rc == rc) return &rows[i];
    }
    return NULL;
}

const char *xn_strerror(int rc)
{
    const struct row *row = find(rc);

    return row ? row->text : "unknown error";
}

const char *xn_errname(int rc)
{
    const struct row *row = find(rc);

    return row ? row->name : "EWHAT";
}

int xn_exit_code(int rc)
{
    const struct row *row = find(rc);

    return row ? row->exit_code : XN_EXIT_FAILED;
}
