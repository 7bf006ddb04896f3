/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Validation.  The schemas are part of the library: nothing is read at run
 * time, and what is valid does not depend on what is installed. */
#include "wire/xml.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlschemas.h>

#include "lib/err.h"

#define XSI "http://www.w3.org/2001/XMLSchema-instance"

/* Made from schema/NAME.xsd by the build. */
static const char advertisement_xsd[] =
#include "wire/advertisement.xsd.h"
    ;
static const char requirements_xsd[] =
#include "wire/requirements.xsd.h"
    ;
static const char money_xsd[] =
#include "wire/money.xsd.h"
    ;

static const struct {
    const char *text;
    size_t len;
} texts[] = {
    [XML_ADVERTISEMENT] = {advertisement_xsd, sizeof advertisement_xsd - 1},
    [XML_REQUIREMENTS] = {requirements_xsd, sizeof requirements_xsd - 1},
    [XML_MONEY] = {money_xsd, sizeof money_xsd - 1},
};

static xmlSchema *compile(const char *text, size_t len)
{
    xmlSchemaParserCtxt *ctxt;
    xmlSchema *schema = NULL;

    xmlInitParser();
    ctxt = xmlSchemaNewMemParserCtxt(text, (int)len);
    if (ctxt) schema = xmlSchemaParse(ctxt);
    xmlSchemaFreeParserCtxt(ctxt);
    return schema;
}

/* Compiled once, then only read, by any thread.  The one thing in wire/ that
 * outlives its call: compiling costs ten times what validating does.  One thread
 * at a time: the library makes its table of built-in types at the first call,
 * and two that did so at once would spoil it. */
static const xmlSchema *schema_of(enum xml_schema which)
{
    static pthread_mutex_t compiling = PTHREAD_MUTEX_INITIALIZER;
    static _Atomic(xmlSchema *) kept[sizeof texts / sizeof texts[0]];
    xmlSchema *schema = atomic_load(&kept[which]);

    if (schema) return schema;
    pthread_mutex_lock(&compiling);
    schema = atomic_load(&kept[which]);
    if (!schema) {
        schema = compile(texts[which].text, texts[which].len);
        atomic_store(&kept[which], schema);
    }
    pthread_mutex_unlock(&compiling);
    return schema;
}

static void on_error(void *user, xmlErrorPtr error)
{
    xml_why(user, error->line > 0 ? (unsigned long)error->line : 0, "%s",
            error->message ? error->message : "not valid");
}

/* xsi:type would let a document choose its own types. */
static bool has_xsi(const xmlNode *root, struct xml_why *why)
{
    const xmlNode *node;

    for (node = root; node; node = xml_next(node, root)) {
        const xmlAttr *attr =
            node->type == XML_ELEMENT_NODE ? node->properties : NULL;

        for (; attr; attr = attr->next) {
            if (!attr->ns || strcmp((const char *)attr->ns->href, XSI) != 0) {
                continue;
            }
            xml_why(why, (unsigned long)xmlGetLineNo(node),
                    "attribute %s of XML Schema is not allowed",
                    (const char *)attr->name);
            return true;
        }
    }
    return false;
}

int xml_validate(xmlDoc *doc, enum xml_schema which, struct xml_why *why)
{
    /* Validation reads the schema; the interface forgets to say so. */
    xmlSchema *schema = (xmlSchema *)(uintptr_t)schema_of(which);
    xmlSchemaValidCtxt *ctxt;
    int result;

    if (!schema) return XN_ENOMEM;
    if (has_xsi(xmlDocGetRootElement(doc), why)) return XN_ESCHEMA;
    ctxt = xmlSchemaNewValidCtxt(schema);
    if (!ctxt) return XN_ENOMEM;
    xmlSchemaSetValidStructuredErrors(ctxt, on_error, why);
    result = xmlSchemaValidateDoc(ctxt, doc);
    xmlSchemaFreeValidCtxt(ctxt);
    if (result == 0) return 0;
    if (result < 0) return XN_ENOMEM; /* an internal error, no judgement */
    xml_why(why, 0, "does not follow the schema");
    return XN_ESCHEMA;
}
