/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From options to the query, and to the identity under which it is asked. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "net/clock.h"
#include "net/file.h"
#include "wire/requirement.h"

/* ---- errors with a caret ---- */

/* Continuation bytes of UTF-8 take no column. */
static bool takes_column(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* The text, shortened around the place, and a caret under it. */
static void show_caret(const char *text, size_t offset)
{
    enum { BEFORE = 50, AFTER = 24 };
    size_t len = strlen(text), from, to, i;

    if (offset > len) offset = len;
    from = offset > BEFORE ? offset - BEFORE : 0;
    to = len - offset > AFTER ? offset + AFTER : len;
    while (from > 0 && !takes_column(text[from]))
        from--;
    while (to < len && !takes_column(text[to]))
        to++;
    fputs("    ", stderr);
    for (i = from; i < to; i++) {
        unsigned char c = (unsigned char)text[i];

        fputc(c < 0x20 || c == 0x7f ? ' ' : c, stderr);
    }
    fputs("\n    ", stderr);
    for (i = from; i < offset; i++) {
        if (takes_column(text[i])) fputc(' ', stderr);
    }
    fputs("^\n", stderr);
}

static int tell(const struct find_options *opt, const char *what,
                const char *text, const struct query_error *error)
{
    char line[128];

    snprintf(line, sizeof line, "cannot understand %s [XS-2-QUERY]", what);
    xn_gripe(opt->program, line, error->text, "xenofind --help");
    show_caret(text, error->offset);
    return XN_EINVAL;
}

/* ---- conditions ---- */

static int join(const struct find_options *opt, struct query **query,
                struct query *more)
{
    int rc = query_and(query, more);

    query_free(more);
    if (rc) {
        xn_gripe(opt->program, "cannot ask all that at once [XS-2-QUERY]",
                 xn_strerror(rc), NULL);
    }
    return rc;
}

static int add_words(const struct find_options *opt, struct query **query)
{
    struct query_error error = {0, "out of memory"};
    struct query *more = NULL;
    struct xn_buf text = {0};
    char *joined;
    size_t i;
    int rc = query_parse_words(opt->words, opt->n_words, &more, &error);

    if (!rc) return join(opt, query, more);
    for (i = 0; i < opt->n_words; i++) {
        xn_buf_printf(&text, "%s%s", i ? " " : "", opt->words[i]);
    }
    joined = xn_buf_steal_str(&text);
    tell(opt, "the constraint", joined ? joined : "", &error);
    free(joined);
    return rc;
}

/* lookup TOKEN LO..HI is a word, sorted by its token. */
static int add_lookup(const struct find_options *opt, struct query **query)
{
    struct query_error error = {0, "out of memory"};
    struct xn_buf text = {0};
    const char *word;
    char *joined;
    int rc;

    xn_buf_printf(&text, "%s:%s", opt->words[1], opt->words[2]);
    joined = xn_buf_steal_str(&text);
    if (!joined) return XN_ENOMEM;
    word = joined;
    rc = query_parse_words(&word, 1, query, &error);
    if (rc) tell(opt, "the lookup", joined, &error);
    if (!rc) rc = query_set_sort(*query, opt->words[1], false);
    free(joined);
    return rc;
}

static int add_where(const struct find_options *opt, struct query **query)
{
    struct query_error error = {0, "out of memory"};
    struct query *more = NULL;
    int rc;

    if (!opt->where) return 0;
    rc = query_parse_where(opt->where, &more, &error);
    if (rc) return tell(opt, "--where", opt->where, &error);
    return join(opt, query, more);
}

/* The document may hold a job and a budget too: its query is the first. */
static int add_requirements(const struct find_options *opt,
                            struct query **query)
{
    struct xn_buf xml;
    char why[256] = "";
    bool unread;
    int rc;

    if (!opt->requirements) return 0;
    xn_buf_init(&xml, ADVERT_BYTES_MAX + 1);
    rc = xn_file_read(opt->requirements, &xml);
    unread = rc == XN_EIO || rc == XN_ENOENT;
    if (rc) snprintf(why, sizeof why, "%s", xn_file_why(rc));
    if (!rc) {
        rc = requirement_parse(xml.data, xml.len, query, why, sizeof why);
    }
    xn_buf_clear(&xml);
    if (!rc) return 0;
    xn_gripef(
        opt->program, "cannot use the requirements [XS-2-XML]",
        "an EnvironmentalRequirements document, as schema/requirements.xsd "
        "has it",
        "%s: %s", opt->requirements, why[0] ? why : xn_strerror(rc));
    return unread ? XN_EINVAL : rc;
}

/* ---- ranges that hold nothing ---- */

static bool is_empty(const Xn__Expr *range)
{
    xn_dec lo, hi;
    int order;

    if (!range->has_lo || !range->has_hi) return false;
    if (xn_dec_parse(range->lo, strlen(range->lo), &lo) == 0 &&
        xn_dec_parse(range->hi, strlen(range->hi), &hi) == 0) {
        order = xn_dec_cmp(lo, hi);
    } else {
        order = strcmp(range->lo, range->hi);
    }
    return order > 0 || (order == 0 && (range->lo_open || range->hi_open));
}

/* Deep as a query may be, and no deeper. */
static const Xn__Expr *find_empty(const Xn__Expr *expr)
{
    const Xn__Expr *found = NULL;

    if (expr->op == XN__EXPR_OP__RANGE) return is_empty(expr) ? expr : NULL;
    for (size_t i = 0; i < expr->n_args && !found; i++)
        found = find_empty(expr->args[i]);
    return found;
}

static int check_ranges(const struct find_options *opt,
                        const struct query *query)
{
    const Xn__Expr *where = query_proto(query)->where;
    const Xn__Expr *empty = where ? find_empty(where) : NULL;
    char try[XN_TOKEN_MAX + 2 * XN_VALUE_MAX + 4];

    if (!empty) return 0;
    snprintf(try, sizeof try, "%s:%s..%s", empty->token, empty->hi, empty->lo);
    xn_gripef(opt->program, "cannot understand the range [XS-2-RANGE]", try,
              "%s: nothing is from %s to %s", empty->token, empty->lo,
              empty->hi);
    return XN_EINVAL;
}

/* ---- order, money ---- */

static int set_sort(const struct find_options *opt, struct query *query)
{
    const char *colon, *way;
    char key[XN_TOKEN_MAX + 1];
    bool down = false;
    bool job = query_proto(query)->job;
    size_t len;

    /* A job without an order is asked for by its cost: nodes sort so too. */
    if (!opt->sort) return job ? query_set_sort(query, "total", false) : 0;
    colon = strchr(opt->sort, ':');
    len = colon ? (size_t)(colon - opt->sort) : strlen(opt->sort);
    way = colon ? colon + 1 : "asc";
    if (strcmp(way, "desc") == 0) down = true;
    if (!xn_token_valid(opt->sort, len) || (!down && strcmp(way, "asc") != 0)) {
        xn_gripef(opt->program, "cannot understand -s [XS-2-QUERY]",
                  "-s PricePerHour, or -s CPUsmps:desc",
                  "'%s' is not KEY, KEY:asc or KEY:desc", opt->sort);
        return XN_EINVAL;
    }
    memcpy(key, opt->sort, len);
    key[len] = '\0';
    if (strcmp(key, "total") == 0 && !job) {
        xn_gripe(opt->program, "cannot sort by total [XS-2-QUERY]",
                 "there is no job whose cost that would be",
                 "--for 'cpu=2h mem=4GiB*6h'");
        return XN_EINVAL;
    }
    return query_set_sort(query, key, down);
}

static int two_currencies(const struct find_options *opt, const char *a,
                          const char *b)
{
    xn_gripef(opt->program, "cannot compare prices [XS-2-MONEY]",
              "one currency for both", "--currency %s, but a budget in %s", a,
              b);
    return XN_EINVAL;
}

/* A budget's currency beats a configured one, not one that was given. */
static int set_currency(const struct find_options *opt, struct query *query)
{
    const char *budgets = query_currency(query); /* of the requirements */

    if (!opt->currency || (budgets[0] && !opt->currency_given)) return 0;
    if (budgets[0] && strcmp(budgets, opt->currency) != 0) {
        return two_currencies(opt, opt->currency, budgets);
    }
    if (query_set_currency(query, opt->currency) == 0) return 0;
    xn_gripef(opt->program, "cannot understand --currency [XS-2-QUERY]",
              "--currency GBP", "'%s' is no currency", opt->currency);
    return XN_EINVAL;
}

static int set_money(const struct find_options *opt, struct query *query)
{
    struct query_error error = {0, "out of memory"};
    const char *letters;
    int rc;

    if (opt->job && query_set_job(query, opt->job, &error)) {
        return tell(opt, "--for", opt->job, &error);
    }
    rc = set_currency(opt, query);
    if (rc) return rc;
    if (!opt->budget) return 0;
    if (query_set_budget(query, opt->budget, &error)) {
        return tell(opt, "--budget", opt->budget, &error);
    }
    letters = opt->budget + strspn(opt->budget, "0123456789.");
    if (!*letters || !opt->currency_given ||
        strcmp(letters, opt->currency) == 0) {
        return 0;
    }
    return two_currencies(opt, opt->currency, letters);
}

int find_query_make(const struct find_options *opt, struct query **query_out)
{
    struct query *query = NULL;
    int rc;

    rc = add_requirements(opt, &query);
    if (!rc)
        rc = opt->lookup ? add_lookup(opt, &query) : add_words(opt, &query);
    if (!rc) rc = add_where(opt, &query);
    if (!rc) rc = check_ranges(opt, query);
    if (!rc) rc = set_money(opt, query);
    if (!rc && (opt->sort || !opt->lookup)) rc = set_sort(opt, query);
    if (!rc && query_uses_price(query) && !query_currency(query)[0]) {
        xn_gripe(opt->program, "cannot compare prices [XS-2-MONEY]",
                 "it is not said in which currency",
                 "--currency USD, or find { currency = \"USD\" } in the "
                 "configuration");
        rc = XN_EINVAL;
    }
    if (rc) {
        query_free(query);
        return rc;
    }
    *query_out = query;
    return 0;
}

/* ---- identity ---- */

static int add_anchor(const char *path, struct net_identity *identity)
{
    X509 *x509 = NULL;
    uint8_t *der = NULL;
    size_t len = 0;
    int rc = xn_cert_load(path, &x509);

    if (!rc) rc = xn_cert_to_der(x509, &der, &len);
    if (!rc) rc = xn_anchors_add(identity->anchors, der, len, net_wall_us());
    free(der);
    X509_free(x509);
    return rc;
}

static int add_anchors(const struct find_options *opt, const char *folder,
                       struct net_identity *identity)
{
    char path[1024];
    struct dirent **entries = NULL;
    int n, i, rc = 0;

    n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0) rc = XN_EIO;
    for (i = 0; i < n; i++) {
        size_t len = strlen(entries[i]->d_name);

        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (!rc && len > 4 &&
            strcmp(entries[i]->d_name + len - 4, ".pem") == 0) {
            rc = add_anchor(path, identity);
        }
        free(entries[i]);
    }
    free(entries);
    if (rc) {
        xn_gripef(opt->program,
                  "cannot use the XenoCorps' certificates "
                  "[XS-6-CORPS]",
                  NULL, "%s: %s", n < 0 ? folder : path,
                  n < 0 ? strerror(errno) : xn_strerror(rc));
        return XN_EIDENT;
    }
    return 0;
}

static int accept_corps(const struct find_options *opt,
                        struct net_identity *identity)
{
    size_t i;
    int rc = 0, last;

    for (i = 0; i < opt->n_corps; i++) {
        if (!opt->corps[i].pinned) continue;
        if (xn_anchors_find(identity->anchors, &opt->corps[i].id)) continue;
        /* Whether it worked shows when something is put there. */
        if (net_file_parents(opt->state) == 0) (void)net_file_dir(opt->state);
        last = net_identity_accept(opt->program, opt->state, &opt->corps[i],
                                   identity);
        if (last) rc = last;
    }
    return rc;
}

int find_identity_make(const struct find_options *opt,
                       struct net_identity *identity_out)
{
    struct net_identity identity = {0};
    int rc = net_identity_load(opt->state, &identity), corps_rc;

    if (rc == XN_ENOENT) { /* searching needs no account */
        rc = net_identity_anonymous(&identity);
        if (!rc) rc = net_identity_anchors(opt->state, &identity);
    }
    if (rc) {
        return net_identity_gripe(opt->program, opt->state, rc);
    }
    if (opt->anchors) rc = add_anchors(opt, opt->anchors, &identity);
    if (!rc) {
        corps_rc = accept_corps(opt, &identity);
        if (xn_anchors_count(identity.anchors) == 0) {
            rc = corps_rc ? corps_rc : XN_EIDENT;
            if (!corps_rc) {
                xn_gripe(opt->program, "no XenoCorp is accepted [XS-6-CORPS]",
                         "nothing that a server says could be verified",
                         "XENO_CORP=https://host:port#ID, or eval \"$(xenodev "
                         "env)\"");
            }
        }
    }
    if (rc) {
        net_identity_clear(&identity);
        return rc;
    }
    *identity_out = identity;
    return 0;
}
