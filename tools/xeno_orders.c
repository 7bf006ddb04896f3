/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tools/xeno_orders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/span.h"
#include "lib/text.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "wire/pemfile.h"

#define PAPER_MAX 8192
#define SERIAL_LEAST 4
#define ORDERS_MAX (1 << 20)
#define HEX_DIGITS "0123456789abcdef"

static const char what[] = "cannot find the order";

/* ---- the folder ---- */

int xeno_orders_lock(const struct xeno *xeno, int *lock_out)
{
    char folder[NET_PATH_MAX], path[NET_PATH_MAX + 8];
    int fd, code = xeno_folder(xeno, "orders", folder);

    if (code) return code;
    snprintf(path, sizeof path, "%s/lock", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX)) {
        code = xeno_gripef(XN_EIO, "cannot use the orders kept here",
                           "another XENO_KEY", "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return code;
    }
    *lock_out = fd;
    return XN_EXIT_OK;
}

void xeno_orders_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

static void path_of(const struct xeno *xeno, const xn_id *serial,
                    const char *name, char out[NET_PATH_MAX])
{
    char hex[XN_ID_HEX], inner[XN_ID_HEX + 40];

    xn_id_hex(serial, hex);
    snprintf(inner, sizeof inner, "orders/%s%s%s", hex, name[0] ? "/" : "",
             name);
    net_file_path(out, xeno->state, inner);
}

int xeno_order_keep(const struct xeno *xeno, const xn_id *serial,
                    const char *name, const void *data, size_t len)
{
    char folder[NET_PATH_MAX], path[NET_PATH_MAX];
    int rc, code = xeno_folder(xeno, "orders", folder);

    if (code) return code;
    path_of(xeno, serial, "", folder);
    path_of(xeno, serial, name, path);
    rc = net_file_dir(folder);
    if (!rc) rc = net_file_sync_dir(folder);
    if (!rc) rc = pemfile_write(path, data, len, true);
    if (!rc) return XN_EXIT_OK;
    return xeno_gripef(rc, "cannot keep the order", "more room", "%s: %s", path,
                       errno ? strerror(errno) : xn_strerror(rc));
}

int xeno_order_read(const struct xeno *xeno, const xn_id *serial,
                    const char *name, struct xeno_paper *out)
{
    char path[NET_PATH_MAX];
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, PAPER_MAX);
    path_of(xeno, serial, name, path);
    rc = xn_file_read(path, &buf);
    if (rc) {
        xn_buf_clear(&buf);
        return rc;
    }
    out->data = buf.data;
    out->len = buf.len;
    return 0;
}

void xeno_order_note(const struct xeno *xeno, const xn_id *serial,
                     char out[XENO_NOTE_MAX + 1])
{
    struct xeno_paper paper = {NULL, 0};

    out[0] = '\0';
    if (xeno_order_read(xeno, serial, "note", &paper)) return;
    if (paper.len <= XENO_NOTE_MAX && paper.len) {
        memcpy(out, paper.data, paper.len);
        out[paper.len] = '\0';
        xn_plain(out);
    }
    free(paper.data);
}

/* ---- what the XenoCorp says ---- */

static int add_page(Xn__Orders *page, Xn__OrderStatus ***all, size_t *n)
{
    Xn__OrderStatus **more =
        realloc(*all, (*n + page->n_orders + 1) * sizeof **all);

    if (!more) return XN_ENOMEM;
    *all = more;
    for (size_t i = 0; i < page->n_orders; i++) {
        more[(*n)++] = page->orders[i];
        page->orders[i] = NULL;
    }
    page->n_orders = 0;
    return 0;
}

/* Serials only go forward, else there would be no end of it. */
static bool goes_forward(const Xn__Orders *page, const xn_id *after)
{
    xn_id last = *after, serial;

    for (size_t i = 0; i < page->n_orders; i++) {
        if (xn_id_from_bytes(&page->orders[i]->serial, &serial) ||
            xn_id_cmp(&serial, &last) <= 0)
            return false;
        last = serial;
    }
    return page->n_orders || !page->more;
}

int xeno_statuses(const struct xeno *xeno, const struct xeno_member *member,
                  Xn__OrderStatus ***statuses_out, size_t *n_out)
{
    char path[40 + XN_ID_HEX] = "/v1/orders", hex[XN_ID_HEX];
    const struct xeno_question question = {.what = "cannot list the orders",
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__orders__descriptor};
    Xn__Orders *page = NULL;
    bool more = true;
    xn_id after;
    int rc = 0;

    memset(&after, 0, sizeof after);
    *statuses_out = NULL;
    *n_out = 0;
    while (more && !rc) {
        rc = xeno_ask(xeno, member, &question, &page);
        if (rc) break;
        more = page->more;
        if (!goes_forward(page, &after) || *n_out > ORDERS_MAX) {
            rc = XN_EPROTO;
            xeno_gripe(rc, question.what, "the list has no end", "report it");
        } else {
            rc = add_page(page, statuses_out, n_out);
            if (rc) xeno_no_memory();
        }
        xn__orders__free_unpacked(page, NULL);
        if (rc || !more) break;
        (void)xn_id_from_bytes(&(*statuses_out)[*n_out - 1]->serial, &after);
        xn_id_hex(&after, hex);
        snprintf(path, sizeof path, "/v1/orders?after=%s", hex);
        xeno_progress("orders:", *n_out);
    }
    xeno_progress(NULL, 0);
    if (!rc) return XN_EXIT_OK;
    xeno_statuses_free(*statuses_out, *n_out);
    *statuses_out = NULL;
    *n_out = 0;
    return xn_exit_code(rc);
}

void xeno_statuses_free(Xn__OrderStatus **statuses, size_t n)
{
    for (size_t i = 0; i < n; i++)
        xn__order_status__free_unpacked(statuses[i], NULL);
    free(statuses);
}

const char *xeno_fate_name(Xn__OrderFate fate)
{
    switch (fate) {
    case XN__ORDER_FATE__ISSUED_ORDER: return "issued";
    case XN__ORDER_FATE__ACCEPTED_ORDER: return "accepted";
    case XN__ORDER_FATE__CLOSED_ORDER: return "closed";
    case XN__ORDER_FATE__VOID_ORDER: return "void";
    case XN__ORDER_FATE__EXPIRED_ORDER: return "expired";
    default: return "unknown";
    }
}

/* ---- which order is meant ---- */

struct search {
    const char *text;
    size_t len, found;
    xn_id serial;
};

static void look_at(struct search *search, const xn_id *serial)
{
    char hex[XN_ID_HEX];

    xn_id_hex(serial, hex);
    if (memcmp(hex, search->text, search->len) != 0) return;
    if (search->found && xn_id_eq(&search->serial, serial)) return;
    search->serial = *serial;
    search->found++;
}

static void look_here(const struct xeno *xeno, struct search *search)
{
    char folder[NET_PATH_MAX];
    const struct dirent *entry;
    xn_id serial;
    DIR *dir;

    net_file_path(folder, xeno->state, "orders");
    dir = opendir(folder);
    while (dir && (entry = readdir(dir))) {
        if (!xn_id_unhex(entry->d_name, strlen(entry->d_name), &serial))
            look_at(search, &serial);
    }
    if (dir) closedir(dir);
}

/* The paper of the one that matched is kept: it is of use the next time. */
static int look_there(const struct xeno *xeno, const struct xeno_member *member,
                      struct search *search)
{
    Xn__OrderStatus **all;
    size_t n;
    xn_id serial;
    int code = xeno_statuses(xeno, member, &all, &n);

    for (size_t i = 0; i < n && !code; i++) {
        size_t before = search->found;

        (void)xn_id_from_bytes(&all[i]->serial, &serial);
        look_at(search, &serial);
        if (search->found > before && all[i]->order.len <= PAPER_MAX) {
            code = xeno_order_keep(xeno, &serial, "order", all[i]->order.data,
                                   all[i]->order.len);
        }
    }
    xeno_statuses_free(all, n);
    return code;
}

static int find_serial(const struct xeno *xeno, const char *text,
                       xn_id *serial_out)
{
    struct search search = {.text = text, .len = strlen(text)};
    struct xeno_member members[XENO_CORPS_MAX];
    size_t n = 0;
    int code = XN_EXIT_OK;

    if (search.len < SERIAL_LEAST || search.len >= XN_ID_HEX ||
        strspn(text, HEX_DIGITS) != search.len) {
        return xeno_usage("'%.80s' is no serial of an order: 4 to 64 of 0-9a-f",
                          text);
    }
    look_here(xeno, &search);
    if (!search.found) {
        code = xeno_members(xeno, members, &n);
        for (size_t i = 0; i < n && !code; i++)
            code = look_there(xeno, &members[i], &search);
        xeno_members_clear(members, n);
    }
    if (code) return code;
    *serial_out = search.serial;
    if (search.found == 1) return XN_EXIT_OK;
    return xeno_gripef(XN_ENOENT, what, "xeno order list",
                       search.found ? "%s begins more than one serial"
                                    : "%s: you have no such order",
                       text);
}

/* ---- loading one ---- */

static int bad_paper(const char *name, const struct money_refusal *why)
{
    return xeno_gripef(reason_rc(why->reason), "cannot use the order",
                       reason_try(why->reason), "%s: %s", name, why->text);
}

static int open_paper(const struct xeno *xeno, const xn_id *serial,
                      const char *name, enum money_type type,
                      const struct xeno_member *member,
                      struct xeno_paper *paper, struct money *doc_out)
{
    struct money_refusal why;
    int rc = xeno_order_read(xeno, serial, name, paper);

    if (rc)
        return xeno_gripef(rc, "cannot use the order", "xeno order list",
                           "%s: %s", name, xn_strerror(rc));
    if (money_open(type, paper->data, paper->len, member->identity.anchors,
                   net_wall_us(), doc_out, &why))
        return bad_paper(name, &why);
    return XN_EXIT_OK;
}

static bool has_paper(const struct xeno *xeno, const xn_id *serial,
                      const char *name)
{
    char path[NET_PATH_MAX];

    path_of(xeno, serial, name, path);
    return access(path, F_OK) == 0;
}

static int load_narrowings(const struct xeno *xeno, const xn_id *serial,
                           const struct xeno_member *member,
                           struct xeno_order *order)
{
    struct money_limits limits;
    struct money_refusal why;
    struct order_chain chain;
    struct money doc;
    char name[32];
    int code = XN_EXIT_OK;

    while (!code && order->n < ORDER_NARROWINGS_MAX) {
        snprintf(name, sizeof name, "narrowing-%zu", order->n + 1);
        if (!has_paper(xeno, serial, name)) break;
        code = open_paper(xeno, serial, name, MONEY_NARROWING, member,
                          &order->papers[order->n], &doc);
        if (code) break;
        order->narrowings[order->n++] = doc.narrowing;
    }
    chain = xeno_order_chain(order);
    if (!code && order_effective(&chain, &limits, &why))
        code = bad_paper("narrowings", &why);
    return code;
}

/* Whose it is must be known before it can be verified. */
static int find_member(const struct xeno *xeno, const xn_id *serial,
                       struct xeno_member *member_out, struct xeno_order *order)
{
    struct xeno_member members[XENO_CORPS_MAX];
    struct money_refusal why = {.reason = REASON_FINE};
    struct xeno_paper *paper = &order->order_paper;
    size_t n;
    struct money doc;
    int rc, code = xeno_members(xeno, members, &n);

    if (code) return code;
    rc = xeno_order_read(xeno, serial, "order", paper);
    if (rc)
        code = xeno_gripef(rc, what, "xeno order list", "orders/: %s",
                           xn_strerror(rc));
    else if (money_open(MONEY_ORDER, paper->data, paper->len,
                        members[0].identity.anchors, net_wall_us(), &doc, &why))
        code = bad_paper("order", &why);
    xeno_members_clear(members, n);
    if (code) return code;
    order->order = doc.order;
    return xeno_member(xeno, &doc.order.head.by, member_out);
}

static int load(const struct xeno *xeno, const xn_id *serial,
                struct xeno_member *member, struct xeno_order *order)
{
    int code = find_member(xeno, serial, member, order);

    if (code) return code;
    if (!xn_id_eq(&order->order.serial, serial))
        return xeno_gripe(XN_EINTEGRITY, what,
                          "the order kept under this serial is another",
                          "remove it from orders/: the XenoCorp has it");
    if (!xn_id_eq(&order->order.holder, &member->identity.cert.id))
        return xeno_gripe(XN_EIDENT, what, "it is another key's",
                          "XENO_KEY with the key that it was issued to");
    xeno_order_note(xeno, serial, order->note);
    return load_narrowings(xeno, serial, member, order);
}

int xeno_order_find(const struct xeno *xeno, const char *text,
                    struct xeno_member *member_out,
                    struct xeno_order *order_out)
{
    struct xeno_member member = {.identity = {.key = NULL}};
    struct xeno_order *order = calloc(1, sizeof *order);
    xn_id serial;
    int code = order ? find_serial(xeno, text, &serial) : xeno_no_memory();

    if (!code) code = load(xeno, &serial, &member, order);
    if (code) {
        xeno_member_clear(&member);
        if (order) xeno_order_clear(order);
    } else {
        *member_out = member;
        *order_out = *order;
    }
    free(order);
    return code;
}

void xeno_order_clear(struct xeno_order *order)
{
    free(order->order_paper.data);
    for (size_t i = 0; i < ORDER_NARROWINGS_MAX; i++)
        free(order->papers[i].data);
    memset(order, 0, sizeof *order);
}

struct order_chain xeno_order_chain(const struct xeno_order *order)
{
    return (struct order_chain){
        .order = &order->order, .narrowings = order->narrowings, .n = order->n};
}

int xeno_time_parse(const char *text, uint64_t now_us, uint64_t *us_out)
{
    uint64_t span_us;

    if (!xn_utc_parse(text, strlen(text), us_out)) return 0;
    if (xn_span_parse(text, &span_us) || !span_us ||
        span_us > XN_UTC_US_MAX - now_us)
        return XN_EINVAL;
    *us_out = now_us + span_us;
    *us_out -= *us_out % 1000000; /* whole seconds read better */
    return 0;
}
