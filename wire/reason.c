/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/reason.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"

static const struct {
    const char *name;
    int rc;
    const char *because, *hint;
} table[] = {
#define X(symbol, code, because, try) {#symbol, code, because, try},
    REASONS(X)
#undef X
};

enum money_reason reason_refuse(struct money_refusal *why,
                                enum money_reason reason, const char *fmt, ...)
{
    size_t at;
    va_list ap;

    if (!why) return reason;
    why->reason = reason;
    at = (size_t)snprintf(why->text, sizeof why->text, "%s%s",
                          table[reason].because, fmt ? ": " : "");
    if (!fmt || at >= sizeof why->text) return reason;
    va_start(ap, fmt);
    vsnprintf(why->text + at, sizeof why->text - at, fmt, ap);
    va_end(ap);
    return reason;
}

const char *reason_name(enum money_reason reason)
{
    return table[reason].name;
}

int reason_rc(enum money_reason reason)
{
    return table[reason].rc;
}

const char *reason_try(enum money_reason reason)
{
    return table[reason].hint;
}

int reason_parse(const char *name, enum money_reason *reason_out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) != 0) continue;
        *reason_out = (enum money_reason)i;
        return 0;
    }
    return XN_ENOENT;
}
