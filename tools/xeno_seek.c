/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server that answers no more at the address that is kept: it may have moved,
 * and its advertisement says where to.  Who it is, its key says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "tools/xeno_kept.h"
#include "wire/query.h"

enum { PROBE_MS = 5000 };

/* Its own words, in any case: even a refusal says that it is there. */
static bool answers(const struct xeno *xeno, const struct xeno_member *server)
{
    const struct xeno_question question = {.what = "cannot ask the server",
                                           .method = "GET",
                                           .path = "/v1/status",
                                           .answer =
                                               &xn__host_status__descriptor,
                                           .quiet = true};
    struct xeno quick = *xeno;
    Xn__HostStatus *status = NULL;
    int rc;

    if (quick.timeout_ms > PROBE_MS) quick.timeout_ms = PROBE_MS;
    rc = xeno_ask(&quick, server, &question, &status);
    if (status) xn__host_status__free_unpacked(status, NULL);
    return rc != XN_EUNREACH && rc != XN_ETIMEOUT && rc != XN_EIDENT;
}

static void take(const struct find_result *result, const xn_id *id,
                 char url[XENO_URL_MAX])
{
    char hex[XN_ID_HEX];

    for (size_t i = 0; i < result->list.n; i++) {
        const struct find_hit *hit = &result->list.hits[i];
        const struct advert_value *endpoint;

        if (!xn_id_eq(&hit->server, id) || !hit->advert->n_rows) continue;
        endpoint = advert_row_get(&hit->advert->rows[0], "Endpoint");
        if (!endpoint || strlen(endpoint->text) + XN_ID_HEX + 1 > XENO_URL_MAX)
            continue;
        xn_id_hex(id, hex);
        snprintf(url, XENO_URL_MAX, "%s#%s", endpoint->text, hex);
    }
}

static int ask(const struct find_options *opt, const xn_id *id,
               char url[XENO_URL_MAX])
{
    struct net_identity identity = {.key = NULL};
    struct find_result result = {.matching = 0};
    struct query *query = NULL;
    int rc = opt->n_nodes ? find_query_make(opt, &query) : XN_ENOENT;

    if (!rc) rc = find_identity_make(opt, &identity);
    if (!rc) rc = find_fetch(opt, query, &identity, &result);
    if (!rc) find_tell_unlisted(opt, &result);
    if (!rc) take(&result, id, url);
    find_result_clear(&result);
    net_identity_clear(&identity);
    query_free(query);
    return rc;
}

static int seek(const struct xeno *xeno, const xn_id *id,
                char url[XENO_URL_MAX])
{
    char program[] = "xenofind", config[] = "--config", get[] = "get";
    char path[NET_PATH_MAX], hex[XN_ID_HEX], *argv[5];
    struct find_options *opt = calloc(1, sizeof *opt);
    int argc = 0, rc;

    if (!opt) return XN_ENOMEM;
    argv[argc++] = program;
    if (xeno->config) {
        snprintf(path, sizeof path, "%s", xeno->config);
        argv[argc++] = config, argv[argc++] = path;
    }
    xn_id_hex(id, hex);
    argv[argc++] = get, argv[argc++] = hex;
    opt->program = XENO_PROGRAM;
    rc = find_options_parse(argc, argv, opt);
    if (!rc && xeno->n_corps) {
        memcpy(opt->corps, xeno->corps, sizeof opt->corps);
        opt->n_corps = xeno->n_corps;
    }
    if (!rc) rc = ask(opt, id, url);
    find_options_clear(opt);
    free(opt);
    return rc;
}

bool xeno_seek(const struct xeno *xeno, struct xeno_member *server,
               char url[XENO_URL_MAX])
{
    struct net_corp at;
    char found[XENO_URL_MAX] = "";

    if (answers(xeno, server) || xeno_signals_heard(xeno->signals))
        return false;
    (void)seek(xeno, &server->corp.id, found);
    if (!found[0] || strcmp(found, url) == 0 || net_corp_parse(found, &at) ||
        !at.pinned)
        return false;
    fprintf(stderr, XENO_PROGRAM ": the server has moved to %s\n", at.url);
    server->corp = at;
    memcpy(url, found, sizeof found);
    return true;
}
