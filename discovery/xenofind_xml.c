/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answer as XML: schema/find.xsd.  Elements and attributes are only ever
 * added. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/text.h"
#include "wire/xml.h"

/* Advertisements hold nothing that XML could not; a node's words may. */
static void put_attribute(struct xn_buf *out, const char *name,
                          const char *text)
{
    char plain[FIND_WHY_MAX + XN_VALUE_MAX];

    snprintf(plain, sizeof plain, "%s", text);
    xn_plain(plain);
    xn_buf_printf(out, " %s=\"", name);
    (void)xml_escape(out, plain);
    xn_buf_char(out, '"');
}

static void put_id(struct xn_buf *out, const char *name, const xn_id *id)
{
    char hex[XN_ID_HEX];

    xn_id_hex(id, hex);
    put_attribute(out, name, hex);
}

static void put_tokens(const struct advert *advert, struct xn_buf *out)
{
    const struct advert_value *values[ADVERT_ROWS_MAX];

    for (size_t i = 0; i < advert->n_tokens; i++) {
        size_t n = find_values(advert, advert->tokens[i], values);

        for (size_t j = 0; j < n; j++) {
            xn_buf_str(out, "    <Token");
            put_attribute(out, "name", advert->tokens[i]);
            xn_buf_char(out, '>');
            (void)xml_escape(out, values[j]->text);
            xn_buf_str(out, "</Token>\n");
        }
    }
}

static void put_server(const struct query *query, const struct find_hit *hit,
                       struct xn_buf *out)
{
    const char *currency = hit->advert->currency;
    char name[XN_NAME_MAX], total_text[XN_DEC_TEXT_MAX];
    xn_dec total;

    xn_id_name(&hit->server, hit->signer.label, name);
    xn_buf_str(out, "  <Server");
    put_id(out, "id", &hit->server);
    put_attribute(out, "name", name);
    put_id(out, "corp", &hit->signer.corp);
    xn_buf_printf(out, " age_s=\"%llu\"", (unsigned long long)find_age_s(hit));
    if (query_total_advert(query, hit->advert, &total)) {
        xn_dec_format(total, total_text);
        put_attribute(out, "total", total_text);
    }
    if (currency && *currency) put_attribute(out, "currency", currency);
    xn_buf_str(out, ">\n");
    put_tokens(hit->advert, out);
    xn_buf_str(out, "  </Server>\n");
}

static void put_reject(const struct find_reject *reject, struct xn_buf *out)
{
    xn_buf_str(out, "  <Rejected");
    put_id(out, "node", &reject->node);
    put_id(out, "via", &reject->via);
    if (!xn_id_is_zero(&reject->server)) put_id(out, "server", &reject->server);
    put_attribute(out, "reason", reject->why);
    xn_buf_str(out, "/>\n");
}

static void put_head(const struct find_result *result, struct xn_buf *out)
{
    xn_buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                    "<Servers xmlns=\"urn:xenoserver:find:1\"");
    xn_buf_printf(out,
                  " matching=\"%llu\" shown=\"%zu\" known=\"%llu\""
                  " answered=\"%u.%06u\" other_currency=\"%llu\">\n",
                  (unsigned long long)result->matching, result->list.n,
                  (unsigned long long)result->known,
                  result->answered_ppm / 1000000,
                  result->answered_ppm % 1000000,
                  (unsigned long long)result->other_currency);
}

/* Each server goes out by itself: an answer has no bound here. */
static int flush(struct xn_buf *out)
{
    int rc = xn_buf_rc(out);

    if (!rc && fwrite(out->data, 1, out->len, stdout) != out->len) rc = XN_EIO;
    xn_buf_clear(out);
    return rc;
}

int find_print_xml(const struct query *query, const struct find_result *result)
{
    const struct find_list *list = &result->list;
    struct xn_buf out = {0};
    int rc;

    put_head(result, &out);
    rc = flush(&out);
    for (size_t i = 0; i < list->n && !rc; i++) {
        put_server(query, &list->hits[i], &out);
        rc = flush(&out);
    }
    for (size_t i = 0; i < list->n_rejects; i++)
        put_reject(&list->rejects[i], &out);
    for (size_t i = 0; i < result->n_silent; i++) {
        xn_buf_str(&out, "  <Silent");
        put_attribute(&out, "token", result->silent[i]);
        xn_buf_str(&out, "/>\n");
    }
    xn_buf_str(&out, "</Servers>\n");
    return rc ? rc : flush(&out);
}
