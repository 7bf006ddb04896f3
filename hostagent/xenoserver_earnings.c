/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver earnings: what this server's accounts hold, at each XenoCorp. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver.h"
#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client_conf.h"
#include "wire/money.h"
#include "wire/msg.h"
#include "wire/nest.h"

static const char what[] = "cannot tell the earnings";

struct row {
    const struct net_corp *corp;
    int rc;
    char why[300];
    Xn__Account *account; /* NULL: none yet, or it was not told */
};

/* --currency, else what the configuration sells in. */
static int find_currency(const struct server *server, const char *given,
                         char out[MONEY_CURRENCY_SIZE])
{
    struct net_settings *settings = NULL;
    char *text = NULL, why[600];

    if (!given && server_config_read(server, &text, why, sizeof why) == 0 &&
        server_settings(server, server->config, text, &settings, why,
                        sizeof why) == 0) {
        given = net_settings_text(settings, "price.currency");
    }
    if (!given) given = net_env("XENO_CURRENCY");
    if (given) snprintf(out, MONEY_CURRENCY_SIZE, "%.3s", given);
    if (given && strlen(given) != MONEY_CURRENCY_SIZE - 1) given = NULL;
    net_settings_free(settings);
    free(text);
    return given ? -1
                 : server_usage("--currency is missing, or is not three "
                                "capitals such as GBP");
}

/* An account begins with the first charge: that there is none is no error. */
static void ask(const struct server *server, const struct net_identity *as,
                const char *currency, struct row *row)
{
    struct net_reply reply = {.status = 0};
    char url[300], try[200];

    snprintf(url, sizeof url, "%s/v1/accounts?currency=%s", row->corp->url,
             currency);
    row->rc =
        net_request(as, "GET", url, NULL, 0, &row->corp->id, server->timeout_ms,
                    &reply, row->why, sizeof row->why);
    if (!row->rc && reply.status != 200) {
        row->rc =
            server_refusal(&reply, row->why, sizeof row->why, try, sizeof try);
    } else if (!row->rc) {
        row->account = xn_unpack(&xn__account__descriptor, reply.body.data,
                                 reply.body.len);
        if (!row->account) row->rc = XN_EPROTO;
    }
    if (row->rc == XN_EPERM && !xn_id_eq(&as->cert.corp, &row->corp->id)) {
        row->rc = 0; /* accepted is not registered: nothing is owed there */
        snprintf(row->why, sizeof row->why, "this server has no account there");
    }
    if (row->rc && !row->why[0]) {
        snprintf(row->why, sizeof row->why, "%s", xn_strerror(row->rc));
    }
    net_reply_clear(&reply);
}

static json_t *row_json(const struct row *row, const char *currency)
{
    char hex[XN_ID_HEX], micro[XN_DEC_TEXT_MAX];
    int64_t balance = row->account ? row->account->balance : 0;

    xn_id_hex(&row->corp->id, hex);
    xn_dec_format(xn_dec_from_micro(balance), micro);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o}", "corp", hex, "url", row->corp->url,
        "currency", currency, "balance",
        row->account || row->rc == XN_ENOENT ? json_string(micro) : json_null(),
        "because",
        row->rc && row->rc != XN_ENOENT ? json_string(row->why) : json_null());
}

static void say_row(const struct row *row, const char *currency)
{
    char text[MONEY_TEXT_MAX];

    printf("%-36s ", row->corp->url);
    if (row->account) {
        xn_put_plain(
            money_text(row->account->balance, row->account->currency, text),
            stdout);
    } else if (row->rc == XN_ENOENT) {
        printf("%s (nothing was ever charged)", money_text(0, currency, text));
    } else {
        fputs(row->rc ? "not told: " : "", stdout);
        xn_put_plain(row->why, stdout);
    }
    putchar('\n');
}

static int show(const struct server *server, const char *currency,
                const struct row *rows)
{
    json_t *list = json_array();
    size_t told = 0;
    int first = 0, code = XN_EXIT_OK;

    for (size_t i = 0; i < server->n_corps; i++) {
        bool good = !rows[i].rc || rows[i].rc == XN_ENOENT;

        told += good;
        if (!good && !first) first = rows[i].rc;
        if (server->json) {
            (void)json_array_append_new(list, row_json(&rows[i], currency));
        } else {
            say_row(&rows[i], currency);
        }
    }
    if (server->json) {
        code = server_print_json(json_pack(
            "{s:s, s:O}", "schema", "xenoserver.earnings/1", "accounts", list));
    }
    json_decref(list);
    if (code || !first) return code;
    if (told) return XN_EXIT_PARTIAL;
    return server_gripe(first, what, "no XenoCorp told what it holds",
                        "xenoserver doctor");
}

int server_earnings(struct server *server, int argc, char **argv)
{
    const char *given = NULL;
    const struct xn_option own[] = {
        XN_OPTION("currency", 0, "CUR", "of the account; what is sold in",
                  &given),
    };
    struct row rows[SERVER_CORPS_MAX] = {{.rc = 0}};
    struct net_identity identity = {.key = NULL};
    char currency[MONEY_CURRENCY_SIZE];
    int words, code = server_options(server, own, 1, argc, argv, 0, &words);

    if (code < 0) code = find_currency(server, given, currency);
    if (code >= 0) return code;
    if (server_corps(server)) {
        return server_gripe(XN_EINVAL, what,
                            "it is not known at which XenoCorp",
                            "--corp URL#ID, or xenoserver join URL#ID");
    }
    code = server_identity(server, what, &identity);
    for (size_t i = 0; i < server->n_corps && !code; i++) {
        rows[i].corp = &server->corps[i];
        ask(server, &identity, currency, &rows[i]);
    }
    if (!code) code = show(server, currency, rows);
    for (size_t i = 0; i < server->n_corps; i++) {
        if (rows[i].account) xn__account__free_unpacked(rows[i].account, NULL);
    }
    net_identity_clear(&identity);
    return code;
}
