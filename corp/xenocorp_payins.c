/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was paid into a client's account, and what of it was taken back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/text.h"
#include "corp/xenocorp.h"
#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_lists.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"
#include "net/json.h"

struct payins {
    Xn__PayInInfo **all;
    size_t n;
};

/* The page's are ours from now on. */
static int add_page(struct payins *list, Xn__PayIns *page)
{
    Xn__PayInInfo **all = realloc(list->all, (list->n + page->n_pay_ins + 1) *
                                                 sizeof(Xn__PayInInfo *));

    if (!all) return XN_ENOMEM;
    list->all = all;
    for (size_t i = 0; i < page->n_pay_ins; i++)
        all[list->n++] = page->pay_ins[i];
    page->n_pay_ins = 0;
    return 0;
}

static int fetch(struct staff *staff, const char *client, const char *currency,
                 struct payins *list)
{
    char path[320], after[XN_ID_HEX] = "";
    bool more = true;
    xn_id last;
    int rc = 0;

    while (more && !rc) {
        Xn__PayIns *page;

        snprintf(path, sizeof path, "/v1/payins?client=%s&currency=%s%s%s",
                 client, currency, after[0] ? "&after=" : "", after);
        rc = staff_ask(staff, path, NULL, &xn__pay_ins__descriptor, &page);
        if (rc) return rc;
        more = page->more && page->n_pay_ins;
        rc = add_page(list, page);
        xn__pay_ins__free_unpacked(page, NULL);
        if (more && !rc)
            rc = xn_id_from_bytes(&list->all[list->n - 1]->request, &last);
        if (more && !rc) xn_id_hex(&last, after);
    }
    return rc;
}

static int by_time(const void *a, const void *b)
{
    const Xn__PayInInfo *x = *(Xn__PayInInfo *const *)a;
    const Xn__PayInInfo *y = *(Xn__PayInInfo *const *)b;

    return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

static json_t *row_of(const Xn__PayInInfo *info, const char *currency)
{
    json_t *row = json_object();

    json_object_set_new(row, "paid", table_time(info->at_us));
    json_object_set_new(row, "amount", net_json_money(info->micro));
    json_object_set_new(row, "currency", json_string(currency));
    json_object_set_new(row, "reference", json_string(info->note));
    json_object_set_new(row, "taken_back", table_time(info->taken_us));
    return row;
}

static int take(struct payins *list, const char *currency, int code, bool json)
{
    static const char *const keys[] = {"paid", "amount", "currency",
                                       "reference", "taken_back"};
    json_t *array = json_array();

    if (list->n) qsort(list->all, list->n, sizeof *list->all, by_time);
    for (size_t i = 0; i < list->n; i++) {
        json_array_append_new(array, row_of(list->all[i], currency));
        xn__pay_in_info__free_unpacked(list->all[i], NULL);
    }
    free(list->all);
    if (!code)
        return table_print(array, "xenocorp.payins/1", "pay_ins", keys, 5,
                           json);
    json_decref(array);
    return code;
}

int list_pay_ins(const char *program, const char *dir, const char *client,
                 const char *currency, bool json)
{
    struct payins list = {.all = NULL};
    Xn__Members *who = NULL;
    struct staff staff;
    char hex[XN_ID_HEX];
    xn_id id;
    int code;

    if (!corp_currency_ok(currency))
        return corp_usage("a currency is three capital letters, not '%.60s'",
                          currency);
    code = staff_open(&staff, program, "cannot list the pay-ins", dir);
    if (!code) code = staff_member(&staff, "client", client, STAFF_LEAST, &who);
    if (!code && xn_id_from_bytes(&who->members[0]->id, &id))
        code = staff_gripe(&staff, XN_EPROTO, NULL, NULL);
    if (!code) {
        xn_id_hex(&id, hex);
        code = xn_exit_code(fetch(&staff, hex, currency, &list));
    }
    if (who) xn__members__free_unpacked(who, NULL);
    staff_close(&staff);
    return take(&list, currency, code, json);
}
