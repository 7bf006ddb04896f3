/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno bill: what orders cost, added up here.  Nothing of a bill is shown
 * before all of it was verified. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/clock.h"
#include "tools/xeno_bill.h"
#include "tools/xeno_orders.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define FILE_MAX (256 << 20)
#define CLAIMS_MAX (1 << 20) /* one every five minutes for ten years */

static const char cannot[] = "cannot get the bill";

struct choice {
    const char *verify, *save, *file;
};

/* ---- fetching ---- */

static int add_claims(Xn__Bill *bill, Xn__Bill *page)
{
    Xn__BillClaim **all = realloc(
        bill->claims, (bill->n_claims + page->n_claims + 1) * sizeof *all);

    if (!all) return XN_ENOMEM;
    bill->claims = all;
    for (size_t i = 0; i < page->n_claims; i++) {
        all[bill->n_claims++] = page->claims[i];
        page->claims[i] = NULL;
    }
    page->n_claims = 0;
    return 0;
}

/* The papers of the first page; all else as the last one says. */
static int add_page(Xn__Bill *bill, Xn__Bill *page)
{
    Xn__BillClaim *stop = bill->stop;
    int rc = add_claims(bill, page);

    bill->fate = page->fate;
    bill->charged = page->charged;
    bill->paid = page->paid;
    bill->released = page->released;
    bill->sequence = page->sequence;
    bill->more = page->more;
    bill->stop = page->stop;
    page->stop = stop;
    return rc;
}

static int fetch(const struct xeno *xeno, const struct xeno_member *member,
                 const xn_id *serial, Xn__Bill **bill_out)
{
    char path[64 + XN_ID_HEX], hex[XN_ID_HEX];
    const struct xeno_question question = {.what = cannot,
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__bill__descriptor};
    Xn__Bill *bill = NULL, *page = NULL;
    int rc;

    xn_id_hex(serial, hex);
    snprintf(path, sizeof path, "/v1/bill?serial=%s", hex);
    rc = xeno_ask(xeno, member, &question, &bill);
    while (!rc && bill->more && bill->n_claims < CLAIMS_MAX) {
        size_t before = bill->n_claims;

        xeno_progress("claims:", before);
        snprintf(path, sizeof path, "/v1/bill?serial=%s&after=%zu", hex,
                 before);
        rc = xeno_ask(xeno, member, &question, &page);
        if (rc) break;
        rc = add_page(bill, page);
        if (rc) xeno_no_memory();
        xn__bill__free_unpacked(page, NULL);
        if (!rc && bill->n_claims == before) break; /* verifying says so */
    }
    xeno_progress(NULL, 0);
    if (!rc) {
        *bill_out = bill;
        return XN_EXIT_OK;
    }
    if (bill) xn__bill__free_unpacked(bill, NULL);
    return xn_exit_code(rc);
}

/* ---- files ---- */

static int save(const Xn__Bill *bill, const char *path)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int code = xn_pack(bill, &bytes, &len)
                   ? xeno_no_memory()
                   : xeno_save(path, bytes, len, true, "cannot keep the bill");

    free(bytes);
    return code;
}

static int read_file(const char *path, Xn__Bill **bill_out)
{
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, FILE_MAX);
    errno = 0;
    rc = xn_file_read(path, &buf);
    if (rc) {
        xn_buf_clear(&buf);
        return xeno_gripef(XN_EINVAL, cannot, "a file of --save", "%s: %s",
                           path, errno ? strerror(errno) : xn_strerror(rc));
    }
    *bill_out = xn_unpack(&xn__bill__descriptor, buf.data, buf.len);
    xn_buf_clear(&buf);
    if (*bill_out) return XN_EXIT_OK;
    return xeno_gripef(XN_EINTEGRITY, "the bill is wrong",
                       "a file of xeno bill --save", "%s is no bill", path);
}

/* ---- verifying ---- */

static int verify(const Xn__Bill *from, const struct bill_view *view,
                  struct bill *bill_out)
{
    char because[sizeof(struct bill_fault) + 8];
    struct bill_fault fault;
    int rc = bill_read(from, view, bill_out, &fault);

    if (!rc) return XN_EXIT_OK;
    if (rc != XN_EINTEGRITY)
        return xeno_gripe(rc, cannot, xn_strerror(rc), NULL);
    snprintf(because, sizeof because, "%s: %s", fault.part, fault.text);
    return xeno_gripe_reason(
        rc, fault.reason == REASON_BAD ? "BILL" : reason_name(fault.reason),
        "the bill is wrong", because,
        "report it; xeno bill ORDER --save FILE keeps the evidence");
}

/* ---- one, all, a file ---- */

static int one(const struct xeno *xeno, const struct xeno_member *member,
               const xn_id *serial, const struct choice *choice,
               struct bill *bill_out)
{
    struct bill_view view = {.anchors = member->identity.anchors,
                             .now_us = net_wall_us(),
                             .serial = *serial,
                             .corp = member->corp.id,
                             .holder = member->identity.cert.id};
    Xn__Bill *from = NULL;
    int code = fetch(xeno, member, serial, &from);

    if (code) return code;
    if (choice->save) code = save(from, choice->save);
    if (!code) code = verify(from, &view, bill_out);
    xn__bill__free_unpacked(from, NULL);
    return code;
}

static int named(const struct xeno *xeno, const char *text,
                 const struct choice *choice)
{
    struct xeno_member member;
    struct xeno_order order;
    struct bill bill;
    int code = xeno_order_find(xeno, text, &member, &order);

    if (code) return code;
    code = one(xeno, &member, &order.order.serial, choice, &bill);
    if (!code) {
        code = xeno_bill_print(xeno, &bill, xeno_corp_name(&member),
                               choice->verify);
        bill_clear(&bill);
    }
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}

static int of_member(const struct xeno *xeno, const struct xeno_member *member,
                     const struct choice *choice, struct xeno_bills *bills)
{
    Xn__OrderStatus **all;
    struct bill bill;
    size_t n;
    xn_id serial;
    int code = xeno_statuses(xeno, member, &all, &n);

    if (code) return code;
    for (size_t i = 0; i < n && !code; i++) {
        (void)xn_id_from_bytes(&all[i]->serial, &serial);
        code = one(xeno, member, &serial, choice, &bill);
        if (code) break;
        xeno_bills_add(bills, &bill, xeno_corp_name(member));
        bill_clear(&bill);
    }
    xeno_statuses_free(all, n);
    return code;
}

static int every(const struct xeno *xeno, const struct choice *choice)
{
    struct xeno_member members[XENO_CORPS_MAX];
    struct xeno_bills *bills = xeno_bills_new(xeno);
    size_t n;
    int code = xeno_members(xeno, members, &n);

    for (size_t i = 0; i < n && (!code || code == XN_EXIT_PARTIAL); i++)
        code = xeno_part(n, code, of_member(xeno, &members[i], choice, bills));
    xeno_members_clear(members, n);
    return xeno_bills_end(bills, code);
}

/* Anybody's: who hears a complaint has such a file and the XenoCorp's
 * certificate. */
static int from_file(const struct xeno *xeno, const struct choice *choice)
{
    struct net_identity identity = {.key = NULL};
    struct bill_view view = {.now_us = net_wall_us()};
    Xn__Bill *from = NULL;
    struct bill bill;
    int rc, code;

    rc = net_identity_anonymous(&identity);
    if (!rc) rc = net_identity_anchors(xeno->state, &identity);
    for (size_t i = 0; i < xeno->n_corps && !rc; i++) {
        if (xn_anchors_find(identity.anchors, &xeno->corps[i].id)) continue;
        if (net_file_parents(xeno->state) || net_file_dir(xeno->state)) break;
        rc = net_identity_accept(XENO_PROGRAM, xeno->state, &xeno->corps[i],
                                 &identity);
    }
    if (rc) {
        net_identity_clear(&identity);
        return xn_exit_code(rc);
    }
    view.anchors = identity.anchors;
    code = read_file(choice->file, &from);
    if (!code) code = verify(from, &view, &bill);
    if (!code) {
        const struct xn_cert *corp =
            xn_anchors_find(identity.anchors, &bill.order.head.by);

        code = xeno_bill_print(xeno, &bill, corp ? corp->label : "",
                               choice->verify);
        bill_clear(&bill);
    }
    if (from) xn__bill__free_unpacked(from, NULL);
    net_identity_clear(&identity);
    return code;
}

int xeno_bill(struct xeno *xeno, int argc, char **argv)
{
    struct choice choice = {NULL, NULL, NULL};
    const struct xn_option own[] = {
        XN_OPTION("verify", 0, NULL, "say what was gone over, not the bill",
                  &choice.verify),
        XN_OPTION("save", 0, "FILE", "keep it as it came, even if it is wrong",
                  &choice.save),
        XN_OPTION("file", 0, "FILE", "one that was kept; nobody is asked",
                  &choice.file),
    };
    int words, code;

    code = xeno_options(xeno, own, sizeof own / sizeof own[0], argc, argv, 0, 1,
                        &words);
    if (code >= 0) return code;
    if (choice.file && (words < argc || choice.save))
        return xeno_usage("--file has the bill: no ORDER, no --save");
    if (choice.save && words == argc)
        return xeno_usage("--save is for one ORDER");
    if (choice.file) return from_file(xeno, &choice);
    return words < argc ? named(xeno, argv[words], &choice)
                        : every(xeno, &choice);
}
