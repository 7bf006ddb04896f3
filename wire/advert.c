/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From XML to rows.
 *
 * A child of the document is a simple element (one value), or a group: an
 * element that holds simple ones.  Each kind of child, by name and namespace,
 * gives alternatives: its instances, and within an instance the values of a
 * simple element that repeats.  A row takes one alternative of each kind.
 * Kinds with one alternative, nearly all, are kept apart as `fixed`, so that
 * the product is over real choices only.
 */
#include "wire/advert.h"

#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "wire/xml.h"

#define ADVERT_NS "urn:xenoserver:advertisement:1"
#define ADVERT_ROOT "XenoServerAdvertisement"

_Static_assert(ADVERT_BYTES_MAX == XML_BYTES_MAX, "one bound");
_Static_assert(ADVERT_DEPTH_MAX == XML_DEPTH_MAX, "one bound");

struct store { /* what advert_parse returns, and its memory */
    struct advert advert;
    struct xn_arena arena;
};

struct set { /* one alternative: values in no order */
    const struct advert_value **values;
    size_t n;
};

struct sets {
    struct set sets[ADVERT_ROWS_MAX];
    size_t n;
};

struct bundle { /* the rows of a part: each of `rows` together with `fixed` */
    const struct advert_value **fixed;
    size_t n_fixed;
    struct sets rows;
};

struct reader {
    struct xn_arena *arena;    /* of values: lives with the advertisement */
    struct xn_arena *products; /* of sets: scratch, until the final rows */
    struct xml_why *why;
    const struct advert_value *all[XML_ELEMENTS_MAX + 16]; /* + attributes */
    size_t n_all;
};

static unsigned long line_of(const xmlNode *node)
{
    return (unsigned long)xmlGetLineNo(node);
}

/* ---- values ---- */

static bool may_be_negative(const char *token)
{
    return strcmp(token, "CoordinateX") == 0 ||
           strcmp(token, "CoordinateY") == 0;
}

static int read_number(struct reader *r, struct advert_value *value,
                       unsigned long line)
{
    const struct xn_token_info *info = xn_token_info(value->token);
    int rc;

    if (info && info->type == XN_TOKEN_STRING) return 0;
    rc = xn_dec_parse(value->text, strlen(value->text), &value->number);
    value->is_number = rc == 0;
    if (!info) return 0;
    if (rc) {
        xml_why(r->why, line, "%s: not an exact decimal: \"%s\"", value->token,
                value->text);
        return XN_ESCHEMA;
    }
    if (value->number.v < 0 && !may_be_negative(value->token)) {
        xml_why(r->why, line, "%s: less than nothing: %s", value->token,
                value->text);
        return XN_ESCHEMA;
    }
    return 0;
}

/* `text` and `token` must live in the arena or for ever. */
static int new_value(struct reader *r, const char *token, const char *text,
                     unsigned long line, const struct advert_value **out)
{
    struct advert_value *value = xn_arena_alloc(r->arena, sizeof *value);
    int rc;

    if (!value) return XN_ENOMEM;
    value->token = token;
    value->text = text;
    rc = read_number(r, value, line);
    if (rc) return rc;
    if (r->n_all == sizeof r->all / sizeof r->all[0]) return XN_ETOOBIG;
    r->all[r->n_all++] = value;
    *out = value;
    return 0;
}

static bool is_part_name(const char *name)
{
    static const char *const parts[] = {"Server", "Environment", "Availability",
                                        "Status", "Prices",      "Coordinate"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(parts[i], name) == 0) return true;
    }
    return false;
}

static int read_leaf(struct reader *r, const xmlNode *node,
                     const struct advert_value **out)
{
    const char *name = (const char *)node->name, *token, *text;
    int rc;

    if (!xn_token_valid(name, strlen(name)) || is_part_name(name)) {
        xml_why(r->why, line_of(node), "%.80s cannot be a token here", name);
        return XN_ESCHEMA;
    }
    rc = xml_text(node, r->arena, &text, r->why);
    if (rc) return rc;
    token = xn_arena_strdup(r->arena, name);
    if (!token) return XN_ENOMEM;
    return new_value(r, token, text, line_of(node), out);
}

static int read_attribute(struct reader *r, const xmlNode *node,
                          const char *attribute, const char *token,
                          const struct advert_value **out)
{
    xmlChar *raw = xmlGetNoNsProp(node, (const xmlChar *)attribute);
    const char *text;
    int rc;

    if (!raw) return XN_ENOMEM; /* the schema saw it */
    rc = xml_trim((const char *)raw, line_of(node), r->arena, &text, r->why);
    xmlFree(raw);
    if (rc) return rc;
    return new_value(r, token, text, line_of(node), out);
}

/* ---- products ---- */

static int bundle_init(struct reader *r, struct bundle *bundle, size_t max)
{
    memset(bundle, 0, sizeof *bundle);
    bundle->rows.n = 1; /* one row without choices */
    bundle->fixed = xn_arena_alloc(r->products, (max + 1) * sizeof(void *));
    return bundle->fixed ? 0 : XN_ENOMEM;
}

static int join(struct reader *r, const struct set *a, const struct set *b,
                struct set *out)
{
    size_t bytes = sizeof *a->values;

    out->n = a->n + b->n;
    out->values = xn_arena_alloc(r->products, (out->n + 1) * bytes);
    if (!out->values) return XN_ENOMEM;
    if (a->n) memcpy(out->values, a->values, a->n * bytes);
    if (b->n) memcpy(out->values + a->n, b->values, b->n * bytes);
    return 0;
}

static int too_many_rows(struct reader *r)
{
    xml_why(r->why, 0, "more than %d combinations of what repeats",
            ADVERT_ROWS_MAX);
    return XN_ETOOBIG;
}

/* Each row of the bundle with each of the alternatives. */
static int bundle_choose(struct reader *r, struct bundle *bundle,
                         const struct sets *choice)
{
    struct sets product = {.n = 0};
    int rc;

    if (bundle->rows.n * choice->n > ADVERT_ROWS_MAX) return too_many_rows(r);
    for (size_t i = 0; i < bundle->rows.n; i++) {
        for (size_t j = 0; j < choice->n; j++) {
            rc = join(r, &bundle->rows.sets[i], &choice->sets[j],
                      &product.sets[product.n++]);
            if (rc) return rc;
        }
    }
    bundle->rows = product;
    return 0;
}

/* The bundle's rows, whole, as further alternatives. */
static int bundle_append(struct reader *r, const struct bundle *bundle,
                         struct sets *sets)
{
    struct set fixed = {bundle->fixed, bundle->n_fixed};
    int rc;

    if (sets->n + bundle->rows.n > ADVERT_ROWS_MAX) return too_many_rows(r);
    for (size_t i = 0; i < bundle->rows.n; i++) {
        rc = join(r, &fixed, &bundle->rows.sets[i], &sets->sets[sets->n++]);
        if (rc) return rc;
    }
    return 0;
}

static int by_token(const void *a, const void *b)
{
    const struct advert_value *const *x = a, *const *y = b;

    return strcmp((*x)->token, (*y)->token);
}

/* Values of one instance, of which those with one name are a choice.  qsort
 * may swap equals, so the order of alternatives is settled by their text. */
static int by_token_and_text(const void *a, const void *b)
{
    const struct advert_value *const *x = a, *const *y = b;
    int order = by_token(a, b);

    return order ? order : strcmp((*x)->text, (*y)->text);
}

static int bundle_values(struct reader *r, struct bundle *bundle,
                         const struct advert_value **values, size_t n)
{
    size_t i, next;
    int rc;

    qsort(values, n, sizeof *values, by_token_and_text);
    for (i = 0; i < n; i = next) {
        struct sets choice = {.n = 0};

        for (next = i; next < n && by_token(values + i, values + next) == 0;
             next++) {
            if (choice.n == ADVERT_ROWS_MAX) return too_many_rows(r);
            choice.sets[choice.n++] = (struct set){values + next, 1};
        }
        if (choice.n == 1) {
            bundle->fixed[bundle->n_fixed++] = values[i];
            continue;
        }
        rc = bundle_choose(r, bundle, &choice);
        if (rc) return rc;
    }
    return 0;
}

/* ---- elements ---- */

static size_t count_children(const xmlNode *node)
{
    size_t n = 0;

    for (xmlNode *at = xml_element(node->children); at;
         at = xml_element(at->next))
        n++;
    return n;
}

static bool is_coordinate(const xmlNode *node)
{
    return xml_is(node, "Coordinate", ADVERT_NS);
}

static bool is_group(const xmlNode *node)
{
    return xml_element(node->children) ||
           is_part_name((const char *)node->name);
}

static int read_coordinate(struct reader *r, const xmlNode *node,
                           const struct advert_value **values, size_t *n)
{
    static const char *const map[][2] = {{"x", "CoordinateX"},
                                         {"y", "CoordinateY"},
                                         {"h", "CoordinateH"},
                                         {"error", "CoordinateError"}};
    int rc;

    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        rc = read_attribute(r, node, map[i][0], map[i][1], &values[*n]);
        if (rc) return rc;
        ++*n;
    }
    return 0;
}

/* The values of a group's instance.  `values` has room for its children and
 * four more. */
static int read_values(struct reader *r, const xmlNode *node,
                       const struct advert_value **values, size_t *n)
{
    int rc;

    rc = xml_no_text(node, r->why);
    if (rc) return rc;
    if (is_coordinate(node)) return read_coordinate(r, node, values, n);
    if (xml_is(node, "Prices", ADVERT_NS)) {
        rc = read_attribute(r, node, "currency", "Currency", &values[*n]);
        if (rc) return rc;
        ++*n;
    }
    for (xmlNode *at = xml_element(node->children); at;
         at = xml_element(at->next)) {
        rc = read_leaf(r, at, &values[*n]);
        if (rc) return rc;
        ++*n;
    }
    return 0;
}

static int bundle_group(struct reader *r, struct bundle *bundle,
                        const xmlNode *node)
{
    size_t room = count_children(node) + 4, n = 0;
    const struct advert_value **values;
    int rc;

    values = xn_arena_alloc(r->products, room * sizeof *values);
    if (!values) return XN_ENOMEM;
    rc = read_values(r, node, values, &n);
    if (rc) return rc;
    return bundle_values(r, bundle, values, n);
}

static bool same_kind(const xmlNode *a, const xmlNode *b)
{
    return xmlStrEqual(a->name, b->name) &&
           xmlStrEqual(a->ns ? a->ns->href : NULL, b->ns ? b->ns->href : NULL);
}

/* One instance's rows as alternatives. */
static int add_alternatives(struct reader *r, const xmlNode *node,
                            struct sets *sets)
{
    struct bundle part;
    int rc;

    rc = bundle_init(r, &part, count_children(node) + 4);
    if (rc) return rc;
    if (is_group(node)) {
        rc = bundle_group(r, &part, node);
    } else {
        rc = read_leaf(r, node, &part.fixed[0]);
        if (!rc) part.n_fixed = 1;
    }
    if (rc) return rc;
    return bundle_append(r, &part, sets);
}

/* All elements of the kind of `first`, which is the first of them. */
static int read_kind(struct reader *r, struct bundle *bundle, xmlNode *first)
{
    struct sets sets = {.n = 0};
    int rc;

    for (xmlNode *at = first; at; at = xml_element(at->next)) {
        if (!same_kind(first, at)) continue;
        if (is_group(first) != is_group(at)) {
            xml_why(r->why, line_of(at), "%s: sometimes text, sometimes not",
                    (const char *)at->name);
            return XN_ESCHEMA;
        }
        rc = add_alternatives(r, at, &sets);
        if (rc) return rc;
    }
    if (sets.n > 1) return bundle_choose(r, bundle, &sets);
    for (size_t i = 0; i < sets.sets[0].n; i++)
        bundle->fixed[bundle->n_fixed++] = sets.sets[0].values[i];
    return 0;
}

/* The schema checks order and number of the known parts up to Prices.  What
 * comes behind may not pass itself off as one of them. */
static int check_place(struct reader *r, const xmlNode *node, bool behind,
                       bool *coordinate_seen)
{
    const char *name = (const char *)node->name;

    if (!behind || !is_part_name(name)) return 0;
    if (is_coordinate(node) && !*coordinate_seen) {
        *coordinate_seen = true;
        return 0;
    }
    xml_why(r->why, line_of(node), "%s stands twice or in the wrong place",
            name);
    return XN_ESCHEMA;
}

static bool is_first_of_kind(xmlNode *root, const xmlNode *node)
{
    xmlNode *at = xml_element(root->children);

    while (at != node && !same_kind(at, node))
        at = xml_element(at->next);
    return at == node;
}

static int read_document(struct reader *r, xmlNode *root, struct bundle *bundle)
{
    bool behind = false, coordinate_seen = false;
    int rc;

    rc = xml_no_text(root, r->why);
    if (rc) return rc;
    rc = bundle_init(r, bundle, XML_ELEMENTS_MAX + 16);
    if (rc) return rc;
    for (xmlNode *at = xml_element(root->children); at;
         at = xml_element(at->next)) {
        rc = check_place(r, at, behind, &coordinate_seen);
        if (rc) return rc;
        if (xml_is(at, "Prices", ADVERT_NS)) behind = true;
        if (!is_first_of_kind(root, at)) continue;
        rc = read_kind(r, bundle, at);
        if (rc) return rc;
    }
    return 0;
}

/* ---- the result ---- */

static int check_row(struct reader *r, const struct set *row)
{
    for (size_t i = 1; i < row->n; i++) {
        if (by_token(row->values + i - 1, row->values + i) != 0) continue;
        xml_why(r->why, 0, "%s stands in two different parts",
                row->values[i]->token);
        return XN_ESCHEMA;
    }
    return 0;
}

static int store_rows(struct reader *r, const struct bundle *bundle,
                      struct advert *advert)
{
    struct advert_row *rows;
    struct sets sets = {.n = 0};
    int rc;

    rc = bundle_append(r, bundle, &sets);
    if (rc) return rc;
    rows = xn_arena_alloc(r->arena, sets.n * sizeof *rows);
    if (!rows) return XN_ENOMEM;
    for (size_t i = 0; i < sets.n; i++) {
        struct set *row = &sets.sets[i];

        qsort(row->values, row->n, sizeof *row->values, by_token);
        rc = check_row(r, row);
        if (rc) return rc;
        rows[i].values = row->values;
        rows[i].n = row->n;
    }
    advert->rows = rows;
    advert->n_rows = sets.n;
    return 0;
}

static int store_tokens(struct reader *r, struct advert *advert)
{
    const char **tokens;
    size_t n = 0;

    qsort(r->all, r->n_all, sizeof r->all[0], by_token);
    tokens = xn_arena_alloc(r->arena, (r->n_all + 1) * sizeof *tokens);
    if (!tokens) return XN_ENOMEM;
    for (size_t i = 0; i < r->n_all; i++) {
        if (n && strcmp(tokens[n - 1], r->all[i]->token) == 0) continue;
        tokens[n++] = r->all[i]->token;
    }
    if (n > ADVERT_TOKENS_MAX) {
        xml_why(r->why, 0, "more than %d tokens", ADVERT_TOKENS_MAX);
        return XN_ETOOBIG;
    }
    advert->tokens = tokens;
    advert->n_tokens = n;
    return 0;
}

static const char *text_of(const struct advert *advert, const char *token)
{
    const struct advert_value *value = advert_row_get(&advert->rows[0], token);

    return value ? value->text : "";
}

/* Up to 19 digits, the schema says. */
static int store_version(struct reader *r, const xmlNode *root,
                         struct advert *advert)
{
    xmlChar *text = xmlGetNoNsProp(root, (const xmlChar *)"version");
    uint64_t version = 0;

    if (!text) return XN_ENOMEM;
    for (const xmlChar *at = text; *at; at++)
        version = version * 10 + (uint64_t)(*at - '0');
    xmlFree(text);
    if (version > INT64_MAX) {
        xml_why(r->why, line_of(root), "version out of range");
        return XN_ESCHEMA;
    }
    advert->version = version;
    return 0;
}

static int fill(struct reader *r, xmlNode *root, struct advert *advert)
{
    struct bundle bundle;
    int rc;

    rc = store_version(r, root, advert);
    if (rc) return rc;
    rc = read_document(r, root, &bundle);
    if (rc) return rc;
    rc = store_tokens(r, advert);
    if (rc) return rc;
    r->products = r->arena;
    rc = store_rows(r, &bundle, advert);
    if (rc) return rc;
    advert->server_name = text_of(advert, "ServerName");
    advert->currency = text_of(advert, "Currency");
    return 0;
}

/* Any global element of the schema would be valid as a root. */
static int check_root(const xmlNode *root, struct xml_why *why)
{
    if (xml_is(root, ADVERT_ROOT, ADVERT_NS)) return 0;
    xml_why(why, line_of(root),
            "the root is not " ADVERT_ROOT " of " ADVERT_NS);
    return XN_ESCHEMA;
}

static int read_doc(xmlDoc *doc, struct xml_why *why,
                    struct advert **advert_out)
{
    struct reader *reader = NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    struct store *store = NULL;
    struct xn_arena scratch;
    int rc;

    xn_arena_init(&scratch, 0);
    rc = check_root(root, why);
    if (rc) goto out;
    rc = xml_validate(doc, XML_ADVERTISEMENT, why);
    if (rc) goto out;
    rc = XN_ENOMEM;
    store = calloc(1, sizeof *store);
    reader = calloc(1, sizeof *reader);
    if (!store || !reader) goto out;
    xn_arena_init(&store->arena, 0);
    reader->arena = &store->arena;
    reader->products = &scratch;
    reader->why = why;
    rc = fill(reader, root, &store->advert);
    if (rc) goto out;
    *advert_out = &store->advert;
    store = NULL;
out:
    xn_arena_clear(&scratch);
    free(reader);
    if (store) advert_free(&store->advert);
    return rc;
}

int advert_parse(const uint8_t *xml, size_t len, struct advert **advert_out,
                 char *why_out, size_t why_len)
{
    struct xml_why why = {why_out, why_len};
    xmlDoc *doc = NULL;
    int rc;

    if (why_out && why_len) why_out[0] = 0;
    rc = xml_parse(xml, len, &doc, &why);
    if (!rc) rc = read_doc(doc, &why, advert_out);
    if (rc) xml_why(&why, 0, "%s", xn_strerror(rc));
    xmlFreeDoc(doc);
    return rc;
}

void advert_free(struct advert *advert)
{
    struct store *store = (struct store *)advert; /* its first member */

    if (!store) return;
    xn_arena_clear(&store->arena);
    free(store);
}

const struct advert_value *advert_row_get(const struct advert_row *row,
                                          const char *token)
{
    size_t lo = 0, hi = row->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(token, row->values[mid]->token);

        if (order == 0) return row->values[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
