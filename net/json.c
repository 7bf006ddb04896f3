/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/text.h"
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

/* ---- errors ---- */

static struct {
    bool wanted, printed;
    char what[240], because[640], try[240];
} last;

static void heard(const char *what, const char *because, const char *try)
{
    snprintf(last.what, sizeof last.what, "%s", what);
    snprintf(last.because, sizeof last.because, "%s", because ? because : "");
    snprintf(last.try, sizeof last.try, "%s", try ? try : "");
    xn_plain(last.what);
    xn_plain(last.because);
    xn_plain(last.try);
}

void net_json_errors(void)
{
    last.wanted = true;
    xn_gripe_listen(heard);
}

/* "cannot run the task [XS-5-FUNDS]" is two things. */
int net_json_end(const char *program, int code)
{
    char *open = strstr(last.what, " [XS-");
    char name[64] = "";

    if (!last.wanted || last.printed || code == XN_EXIT_OK) return code;
    if (open) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(open + 2, "]"),
                 open + 2);
        *open = '\0';
    }
    (void)net_json_print(program,
                         json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "schema",
                                   "xeno.error/1", "exit", code, "error", name,
                                   "what", last.what, "because", last.because,
                                   "try", last.try));
    return code;
}

int net_json_print(const char *program, json_t *top)
{
    int rc = top ? 0 : XN_ENOMEM;

    last.printed = true;
    errno = 0;
    if (!rc && json_dumpf(top, stdout, JSON_INDENT(2))) rc = XN_EIO;
    if (!rc && (putchar('\n') == EOF || fflush(stdout))) rc = XN_EIO;
    json_decref(top);
    return rc ? net_cannot_print(program, rc) : XN_EXIT_OK;
}
