/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/requirement.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "wire/token.h"
#include "wire/xml.h"

#define NS "urn:xenoserver:requirements:1"
#define ROOT "EnvironmentalRequirements"

struct reader {
    struct xn_arena arena;
    struct xml_why *why;
    Xn__Expr *args[XML_ELEMENTS_MAX];
    size_t n;
    const char *job, *budget, *currency; /* NULL: not given */
    unsigned long budget_line;
};

static unsigned long line_of(const xmlNode *node)
{
    return (unsigned long)xmlGetLineNo(node);
}

/* ---- conditions ---- */

static char *plain(const char *text)
{
    return (char *)(uintptr_t)text; /* messages have no const */
}

static int add_condition(struct reader *r, Xn__ExprOp op, const char *token,
                         const char *text)
{
    Xn__Expr *expr = xn_arena_alloc(&r->arena, sizeof *expr);
    char **values = xn_arena_alloc(&r->arena, sizeof *values);

    if (!expr || !values) return XN_ENOMEM;
    xn__expr__init(expr);
    expr->op = op;
    expr->token = plain(token);
    if (op == XN__EXPR_OP__RANGE) {
        expr->lo = plain(text);
        expr->has_lo = true;
    } else {
        values[0] = plain(text);
        expr->values = values;
        expr->n_values = 1;
    }
    r->args[r->n++] = expr; /* room for one per element */
    return 0;
}

static int add_amount(struct reader *r, const xmlNode *node, const char *token,
                      const char *text)
{
    xn_dec d;

    if (xn_dec_parse(text, strlen(text), &d) || d.v < 0) {
        xml_why(r->why, line_of(node), "%s: not an amount: \"%s\"",
                (const char *)node->name, text);
        return XN_ESCHEMA;
    }
    return add_condition(r, XN__EXPR_OP__RANGE, token, text);
}

/* A simple element; `at_least`: it stands among amounts. */
static int read_leaf(struct reader *r, const xmlNode *node, bool at_least)
{
    const char *name = (const char *)node->name, *token, *text;
    int rc;

    if (!xn_token_valid(name, strlen(name))) {
        xml_why(r->why, line_of(node), "%.80s cannot be a token", name);
        return XN_ESCHEMA;
    }
    rc = xml_text(node, &r->arena, &text, r->why);
    if (rc) return rc;
    if (!*text) {
        xml_why(r->why, line_of(node), "%s is empty", name);
        return XN_ESCHEMA;
    }
    if (strcmp(name, "EnvName") == 0) return 0; /* the client's own label */
    if (strcmp(name, "EnvIPAddresses") == 0) {
        return add_amount(r, node, "IPv4Addresses", text);
    }
    token = xn_arena_strdup(&r->arena, name);
    if (!token) return XN_ENOMEM;
    if (at_least) return add_amount(r, node, token, text);
    return add_condition(r, XN__EXPR_OP__IN, token, text);
}

/* ---- job and budget ---- */

static int read_once(struct reader *r, const xmlNode *node, const char **out)
{
    if (*out) {
        xml_why(r->why, line_of(node), "%s stands twice",
                (const char *)node->name);
        return XN_ESCHEMA;
    }
    return xml_text(node, &r->arena, out, r->why);
}

static int read_budget(struct reader *r, const xmlNode *node)
{
    xmlChar *currency;
    int rc;

    rc = read_once(r, node, &r->budget);
    if (rc) return rc;
    r->budget_line = line_of(node);
    currency = xmlGetNoNsProp(node, (const xmlChar *)"currency");
    if (!currency) return 0;
    rc = xml_trim((const char *)currency, line_of(node), &r->arena,
                  &r->currency, r->why);
    xmlFree(currency);
    return rc;
}

static int apply_job(struct reader *r, struct query *query)
{
    struct query_error error = {0};
    char text[XN_DEC_TEXT_MAX + 8];
    int rc;

    if (r->job) {
        rc = query_set_job(query, r->job, &error);
        if (rc) {
            xml_why(r->why, 0, "Job: %s", error.text);
            return rc == XN_ENOMEM ? rc : XN_ESCHEMA;
        }
    }
    if (!r->budget) return 0;
    snprintf(text, sizeof text, "%s%s", r->budget,
             r->currency ? r->currency : "");
    rc = query_set_budget(query, text, &error);
    if (rc) {
        xml_why(r->why, r->budget_line, "Budget: %s", error.text);
        return rc == XN_ENOMEM ? rc : XN_ESCHEMA;
    }
    return 0;
}

/* ---- the document ---- */

static int read_part(struct reader *r, const xmlNode *part)
{
    bool at_least = xml_is(part, "QoS", NS) || xml_is(part, "Resources", NS);
    int rc;

    rc = xml_no_text(part, r->why);
    if (rc) return rc;
    for (xmlNode *at = xml_element(part->children); at;
         at = xml_element(at->next)) {
        rc = read_leaf(r, at, at_least);
        if (rc) return rc;
    }
    return 0;
}

static bool is_part(const xmlNode *node)
{
    return xml_element(node->children) || xml_is(node, "Basic", NS) ||
           xml_is(node, "Network", NS) || xml_is(node, "QoS", NS) ||
           xml_is(node, "Resources", NS);
}

static int read_document(struct reader *r, const xmlNode *root)
{
    int rc;

    rc = xml_no_text(root, r->why);
    if (rc) return rc;
    for (xmlNode *at = xml_element(root->children); at;
         at = xml_element(at->next)) {
        if (xml_is(at, "Job", NS))
            rc = read_once(r, at, &r->job);
        else if (xml_is(at, "Budget", NS))
            rc = read_budget(r, at);
        else if (is_part(at))
            rc = read_part(r, at);
        else
            rc = read_leaf(r, at, false);
        if (rc) return rc;
    }
    return 0;
}

static int make_query(struct reader *r, struct query **query_out)
{
    Xn__Expr all = XN__EXPR__INIT;
    Xn__Query proto = XN__QUERY__INIT;
    struct query *query = NULL;
    int rc;

    all.op = XN__EXPR_OP__ALL;
    all.args = r->args;
    all.n_args = r->n;
    proto.where = &all;
    rc = query_from_proto(&proto, &query);
    if (rc) return rc;
    rc = apply_job(r, query);
    if (rc) {
        query_free(query);
        return rc;
    }
    *query_out = query;
    return 0;
}

/* The paper's example has no namespace: its elements are taken as ours. */
static int adopt(xmlNode *root)
{
    xmlNode *node = root;
    xmlNs *ns;

    if (root->ns) return 0;
    ns = xmlNewNs(root, (const xmlChar *)NS, NULL);
    if (!ns) return XN_ENOMEM;
    for (; node; node = xml_next(node, root)) {
        if (node->type == XML_ELEMENT_NODE && !node->ns) xmlSetNs(node, ns);
    }
    return 0;
}

static int check_root(const xmlNode *root, struct xml_why *why)
{
    if (xml_is(root, ROOT, NS)) return 0;
    xml_why(why, line_of(root), "the root is not " ROOT " of " NS);
    return XN_ESCHEMA;
}

static int read_doc(xmlDoc *doc, struct xml_why *why, struct query **query_out)
{
    struct reader *r = NULL;
    xmlNode *root = xmlDocGetRootElement(doc);
    int rc;

    rc = adopt(root);
    if (rc) return rc;
    rc = check_root(root, why);
    if (rc) return rc;
    rc = xml_validate(doc, XML_REQUIREMENTS, why);
    if (rc) return rc;
    r = calloc(1, sizeof *r);
    if (!r) return XN_ENOMEM;
    xn_arena_init(&r->arena, 0);
    r->why = why;
    rc = read_document(r, root);
    if (!rc) rc = make_query(r, query_out);
    xn_arena_clear(&r->arena);
    free(r);
    return rc;
}

int requirement_parse(const uint8_t *xml, size_t len, struct query **query_out,
                      char *why_out, size_t why_len)
{
    struct xml_why why = {why_out, why_len};
    xmlDoc *doc = NULL;
    int rc;

    if (why_out && why_len) why_out[0] = 0;
    rc = xml_parse(xml, len, &doc, &why);
    if (!rc) rc = read_doc(doc, &why, query_out);
    if (rc) xml_why(&why, 0, "%s", xn_strerror(rc));
    xmlFreeDoc(doc);
    return rc;
}
