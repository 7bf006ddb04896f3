/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/utc.h"

json_t *net_json_money(int64_t micro)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(xn_dec_from_micro(micro), text);
    return json_string(text);
}

json_t *net_json_id(const xn_id *id)
{
    char text[XN_ID_HEX];

    if (xn_id_is_zero(id)) return json_null();
    xn_id_hex(id, text);
    return json_string(text);
}

json_t *net_json_time(uint64_t us)
{
    char text[XN_UTC_TEXT_MAX];

    if (!us) return json_null();
    xn_utc_format(us, text);
    return json_string(text);
}

int net_cannot_print(const char *program, int rc)
{
    return xn_gripe_rc(program, rc, NULL, "cannot print the answer",
                       rc == XN_EIO && errno ? strerror(errno)
                                             : xn_strerror(rc),
                       "more room, or another place to print to");
}

int net_json_print(const char *program, json_t *top)
{
    int rc = top ? 0 : XN_ENOMEM;

    errno = 0;
    if (!rc && json_dumpf(top, stdout, JSON_INDENT(2))) rc = XN_EIO;
    if (!rc && (putchar('\n') == EOF || fflush(stdout))) rc = XN_EIO;
    json_decref(top);
    return rc ? net_cannot_print(program, rc) : XN_EXIT_OK;
}
