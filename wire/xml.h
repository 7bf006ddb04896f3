/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hostile XML, made safe: for advert.c, flat.c and requirement.c.
 *
 * A document is bounded before libxml2 sees it (size, depth, elements,
 * attributes of one element), is UTF-8, and has no DTD and so no entities but
 * the five of XML.  Nothing is ever fetched.
 */
#ifndef WIRE_XML_H
#define WIRE_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libxml/tree.h>

#include "lib/arena.h"
#include "lib/buf.h"

#define XML_BYTES_MAX (32 * 1024)
#define XML_DEPTH_MAX 16
#define XML_ELEMENTS_MAX 512
#define XML_ATTRIBUTES_MAX 32 /* of one element, xmlns ones counted */

/* Where the caller wants one line that says what is wrong; text may be NULL. */
struct xml_why {
    char *text;
    size_t len;
};

/* Says it, with the line in the document (0: none), if nothing was said
 * before.  Control characters come out as '?'. */
void xml_why(struct xml_why *why, unsigned long line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* XN_ETOOBIG, XN_EINVAL (not well-formed, a DTD, not UTF-8, too deep),
 * XN_ENOMEM.  The caller frees with xmlFreeDoc. */
int xml_parse(const uint8_t *bytes, size_t len, xmlDoc **doc_out,
              struct xml_why *why);

enum xml_schema { XML_ADVERTISEMENT, XML_REQUIREMENTS, XML_MONEY };

/* Against the schema that was compiled in; also refuses attributes of XML
 * Schema itself (xsi:type and such).  XN_ESCHEMA, XN_ENOMEM.  Thread-safe. */
int xml_validate(xmlDoc *doc, enum xml_schema which, struct xml_why *why);

/* Is it an element of this name, in this namespace (NULL: any)? */
int xml_is(const xmlNode *node, const char *name, const char *ns);
/* The first element from `node` on among its siblings; NULL: none. */
xmlNode *xml_element(xmlNode *node);

/* What comes after `node` in the document, elements before what they hold, as
 * long as it is within `root`; NULL: the end. */
xmlNode *xml_next(const xmlNode *node, const xmlNode *root);

/* The text of an element that has no child elements, blanks at both ends
 * trimmed, in the arena.  XN_ESCHEMA: child elements, comments or control
 * characters within, or more than XN_VALUE_MAX bytes. */
int xml_text(const xmlNode *node, struct xn_arena *arena, const char **text_out,
             struct xml_why *why);
/* The same for text that stands elsewhere (attributes). */
int xml_trim(const char *text, unsigned long line, struct xn_arena *arena,
             const char **text_out, struct xml_why *why);
/* Appends text as it stands within an element or a quoted attribute.  false: it
 * has control characters, which no document holds. */
bool xml_escape(struct xn_buf *out, const char *text);

/* XN_ESCHEMA: an element that holds elements also holds text. */
int xml_no_text(const xmlNode *node, struct xml_why *why);

#endif
