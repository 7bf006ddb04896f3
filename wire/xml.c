/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/xml.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include "lib/err.h"
#include "lib/text.h"
#include "wire/token.h"

void xml_why(struct xml_why *why, unsigned long line, const char *fmt, ...)
{
    size_t at = 0;
    va_list ap;

    if (!why->text || !why->len || why->text[0]) return;
    if (line) {
        int n = snprintf(why->text, why->len, "line %lu: ", line);

        at = n > 0 && (size_t)n < why->len ? (size_t)n : 0;
    }
    va_start(ap, fmt);
    vsnprintf(why->text + at, why->len - at, fmt, ap);
    va_end(ap);
    for (at = strlen(why->text); at && why->text[at - 1] == '\n'; at--)
        why->text[at - 1] = 0;
    xn_plain(why->text);
}

/* ---- before the parser ---- */

static bool is_utf8(const char *s, size_t len)
{
    while (len) {
        size_t n = s[0] ? xn_utf8_len(s, len) : 0;

        if (!n) return false;
        s += n;
        len -= n;
    }
    return true;
}

struct scan {
    const char *at, *end;
    unsigned long line;
    size_t depth, elements;
};

static bool starts(const struct scan *scan, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(scan->end - scan->at) >= len &&
           memcmp(scan->at, text, len) == 0;
}

/* Past the next `text`; false: there is none. */
static bool skip_past(struct scan *scan, const char *text)
{
    for (; scan->at < scan->end; scan->at++) {
        if (starts(scan, text)) {
            scan->at += strlen(text);
            return true;
        }
        if (*scan->at == '\n') scan->line++;
    }
    return false;
}

/* A start tag, from behind its '<' to behind its '>': how many attributes, and
 * is it empty?  A '>' within quotes does not end it. */
static bool skip_tag(struct scan *scan, size_t *attributes_out, bool *empty_out)
{
    char quote = 0, last = 0;

    *attributes_out = 0;
    for (; scan->at < scan->end; scan->at++) {
        char c = *scan->at;

        if (c == '\n') scan->line++;
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '=') {
            ++*attributes_out;
        } else if (c == '>') {
            scan->at++;
            *empty_out = last == '/';
            return true;
        }
        last = c;
    }
    return false;
}

static int scan_start_tag(struct scan *scan, struct xml_why *why)
{
    unsigned long line = scan->line;
    size_t attributes;
    bool empty = false;

    if (!skip_tag(scan, &attributes, &empty)) {
        xml_why(why, line, "a tag does not end");
        return XN_EINVAL;
    }
    if (attributes > XML_ATTRIBUTES_MAX) {
        xml_why(why, line, "more than %d attributes", XML_ATTRIBUTES_MAX);
        return XN_EINVAL;
    }
    if (++scan->elements > XML_ELEMENTS_MAX) {
        xml_why(why, line, "more than %d elements", XML_ELEMENTS_MAX);
        return XN_ETOOBIG;
    }
    if (scan->depth == XML_DEPTH_MAX) {
        xml_why(why, line, "elements nested deeper than %d", XML_DEPTH_MAX);
        return XN_EINVAL;
    }
    if (!empty) scan->depth++;
    return 0;
}

/* One piece of markup, from its '<' on. */
static int scan_markup(struct scan *scan, struct xml_why *why)
{
    unsigned long line = scan->line;
    bool ended;

    if (starts(scan, "<!--")) {
        scan->at += 4;
        ended = skip_past(scan, "-->");
    } else if (starts(scan, "<![CDATA[")) {
        ended = skip_past(scan, "]]>");
    } else if (starts(scan, "<?")) {
        ended = skip_past(scan, "?>");
    } else if (starts(scan, "<!")) {
        xml_why(why, line, "a document type or entity is not allowed");
        return XN_EINVAL;
    } else if (starts(scan, "</")) {
        if (scan->depth) scan->depth--;
        ended = skip_past(scan, ">");
    } else {
        scan->at++;
        return scan_start_tag(scan, why);
    }
    if (ended) return 0;
    xml_why(why, line, "markup does not end");
    return XN_EINVAL;
}

/* libxml2's time grows with the square of an element's attributes and its
 * stack with the depth, so both are counted first.  The count need not agree
 * with XML on what is not well-formed; it never counts less. */
static int scan_document(const uint8_t *bytes, size_t len, struct xml_why *why)
{
    struct scan scan = {.at = (const char *)bytes, .line = 1};
    int rc;

    scan.end = scan.at + len;
    while (scan.at < scan.end) {
        if (*scan.at == '<') {
            rc = scan_markup(&scan, why);
            if (rc) return rc;
            continue;
        }
        if (*scan.at == '\n') scan.line++;
        scan.at++;
    }
    return 0;
}

/* An XML declaration may name UTF-8 and nothing else: the bytes are UTF-8
 * whatever it says, and a reader that believed it would read another text. */
static bool names_other_encoding(const char *text, size_t len)
{
    const char *end, *at;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len < 5 || memcmp(text, "<?xml", 5) != 0) return false;
    end = memmem(text, len, "?>", 2);
    if (!end) return true;
    at = memmem(text, (size_t)(end - text), "encoding", 8);
    if (!at) return false;
    at += 8;
    while (at < end && strchr(" \t\r\n=\"'", *at))
        at++;
    return end - at < 6 || strncasecmp(at, "UTF-8", 5) != 0 ||
           (at[5] != '"' && at[5] != '\'');
}

static int check_bytes(const uint8_t *bytes, size_t len, struct xml_why *why)
{
    if (len > XML_BYTES_MAX) {
        xml_why(why, 0, "larger than %d bytes", XML_BYTES_MAX);
        return XN_ETOOBIG;
    }
    if (len == 0) {
        xml_why(why, 0, "empty");
        return XN_EINVAL;
    }
    if (!is_utf8((const char *)bytes, len) ||
        names_other_encoding((const char *)bytes, len)) {
        xml_why(why, 0, "not UTF-8");
        return XN_EINVAL;
    }
    return scan_document(bytes, len, why);
}

int xml_parse(const uint8_t *bytes, size_t len, xmlDoc **doc_out,
              struct xml_why *why)
{
    const int options = XML_PARSE_NONET | XML_PARSE_NOERROR |
                        XML_PARSE_NOWARNING | XML_PARSE_NOCDATA |
                        XML_PARSE_IGNORE_ENC;
    const xmlError *error;
    xmlParserCtxt *ctxt;
    xmlDoc *doc;
    int rc;

    rc = check_bytes(bytes, len, why);
    if (rc) return rc;
    ctxt = xmlNewParserCtxt();
    if (!ctxt) return XN_ENOMEM;
    doc = xmlCtxtReadMemory(ctxt, (const char *)bytes, (int)len, NULL, "UTF-8",
                            options);
    rc = 0;
    if (!doc) {
        error = xmlCtxtGetLastError(ctxt);
        rc = error && error->code == XML_ERR_NO_MEMORY ? XN_ENOMEM : XN_EINVAL;
        xml_why(why, error && error->line > 0 ? (unsigned long)error->line : 0,
                "%s", error && error->message ? error->message : "no XML");
    } else if (doc->intSubset || doc->extSubset || !xmlDocGetRootElement(doc)) {
        xml_why(why, 0, "a document type is not allowed");
        rc = XN_EINVAL;
    }
    xmlFreeParserCtxt(ctxt);
    if (rc) {
        xmlFreeDoc(doc);
        return rc;
    }
    *doc_out = doc;
    return 0;
}

/* ---- elements ---- */

int xml_is(const xmlNode *node, const char *name, const char *ns)
{
    if (node->type != XML_ELEMENT_NODE) return 0;
    if (strcmp((const char *)node->name, name) != 0) return 0;
    return !ns || (node->ns && strcmp((const char *)node->ns->href, ns) == 0);
}

xmlNode *xml_next(const xmlNode *node, const xmlNode *root)
{
    if (node->type == XML_ELEMENT_NODE && node->children) return node->children;
    while (node != root && !node->next)
        node = node->parent;
    return node == root ? NULL : node->next;
}

xmlNode *xml_element(xmlNode *node)
{
    while (node && node->type != XML_ELEMENT_NODE)
        node = node->next;
    return node;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Trims text[0..len), which then is a value: short, without line ends. */
static int to_value(const char *text, size_t len, unsigned long line,
                    struct xn_arena *arena, const char **text_out,
                    struct xml_why *why)
{
    while (len && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len && is_blank(text[len - 1]))
        len--;
    if (len > XN_VALUE_MAX) {
        xml_why(why, line, "value longer than %d bytes", XN_VALUE_MAX);
        return XN_ESCHEMA;
    }
    for (size_t i = 0; i < len; i++) {
        if (xn_control_len(text + i)) {
            xml_why(why, line, "control character within a value");
            return XN_ESCHEMA;
        }
    }
    *text_out = xn_arena_strndup(arena, text, len);
    return *text_out ? 0 : XN_ENOMEM;
}

int xml_trim(const char *text, unsigned long line, struct xn_arena *arena,
             const char **text_out, struct xml_why *why)
{
    return to_value(text, strlen(text), line, arena, text_out, why);
}

int xml_text(const xmlNode *node, struct xn_arena *arena, const char **text_out,
             struct xml_why *why)
{
    unsigned long line = (unsigned long)xmlGetLineNo(node);
    const xmlNode *child = node->children;

    /* More than one text node: a comment or an element divides the text, and
     * readers would differ in what they see. */
    if (child && (child->type != XML_TEXT_NODE || child->next)) {
        xml_why(why, line, "%s: plain text is wanted here",
                (const char *)node->name);
        return XN_ESCHEMA;
    }
    if (!child || !child->content) {
        return to_value("", 0, line, arena, text_out, why);
    }
    return to_value((const char *)child->content,
                    strlen((const char *)child->content), line, arena, text_out,
                    why);
}

int xml_no_text(const xmlNode *node, struct xml_why *why)
{
    const xmlNode *child;

    for (child = node->children; child; child = child->next) {
        const char *at = (const char *)child->content;

        if (child->type == XML_ELEMENT_NODE || child->type == XML_COMMENT_NODE)
            continue;
        while (child->type == XML_TEXT_NODE && at && is_blank(*at))
            at++;
        if (child->type == XML_TEXT_NODE && (!at || !*at)) continue;
        xml_why(why, (unsigned long)xmlGetLineNo(child),
                "%s: text beside elements", (const char *)node->name);
        return XN_ESCHEMA;
    }
    return 0;
}

/* ---- writing ---- */

bool xml_escape(struct xn_buf *out, const char *text)
{
    bool plain = true;

    for (; *text; text++) {
        switch (*text) {
        case '&': xn_buf_str(out, "&amp;"); break;
        case '<': xn_buf_str(out, "&lt;"); break;
        case '>': xn_buf_str(out, "&gt;"); break;
        case '"': xn_buf_str(out, "&quot;"); break;
        default:
            if ((unsigned char)*text < ' ' || *text == 0x7f) plain = false;
            xn_buf_char(out, *text);
        }
    }
    return plain;
}
