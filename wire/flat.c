/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/flat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/utc.h"
#include "wire/id.h"
#include "wire/token.h"

#define MICRO (XN_DEC_ONE / 1000000) /* 1e-12ths in a micro-unit */
#define TEXT_SIZE (XN_VALUE_MAX + 1)

/* ---- values ---- */

/* Digits without needless zeros in front, at most `places` behind a point. */
static bool is_decimal(const char *text, size_t places)
{
    size_t whole = strspn(text, "0123456789"), behind;

    if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
    if (!text[whole]) return true;
    if (text[whole] != '.') return false;
    behind = strspn(text + whole + 1, "0123456789");
    return behind > 0 && behind <= places && !text[whole + 1 + behind];
}

static bool read_id(const struct flat_field *field, const char *text,
                    void *slot)
{
    xn_id *id = slot;

    (void)field;
    return strspn(text, "0123456789abcdef") == strlen(text) &&
           xn_id_unhex(text, strlen(text), id) == 0 && !xn_id_is_zero(id);
}

static bool write_id(const struct flat_field *field, const void *slot,
                     struct xn_buf *out)
{
    char text[XN_ID_HEX];

    (void)field;
    if (xn_id_is_zero(slot)) return false;
    xn_id_hex(slot, text);
    xn_buf_str(out, text);
    return true;
}

static bool read_utc(const struct flat_field *field, const char *text,
                     void *slot)
{
    uint64_t *us = slot;

    (void)field;
    return xn_utc_parse(text, strlen(text), us) == 0 && *us != 0;
}

static bool write_utc(const struct flat_field *field, const void *slot,
                      struct xn_buf *out)
{
    const uint64_t *us = slot;
    char text[XN_UTC_TEXT_MAX];

    (void)field;
    if (*us == 0 || *us > XN_UTC_US_MAX) return false;
    xn_utc_format(*us, text);
    xn_buf_str(out, text);
    return true;
}

static bool read_money(const struct flat_field *field, const char *text,
                       void *slot)
{
    int64_t *micro = slot;
    xn_dec d;

    if (!is_decimal(text, 6) || xn_dec_parse(text, strlen(text), &d) != 0 ||
        xn_dec_to_micro(d, micro) != 0) {
        return false;
    }
    return *micro > 0 || !field->positive;
}

static bool write_money(const struct flat_field *field, const void *slot,
                        struct xn_buf *out)
{
    const int64_t *micro = slot;
    char text[XN_DEC_TEXT_MAX];

    if (*micro < 0 || (*micro == 0 && field->positive)) return false;
    xn_dec_format(xn_dec_from_micro(*micro), text);
    xn_buf_str(out, text);
    return true;
}

static bool read_decimal(const struct flat_field *field, const char *text,
                         void *slot)
{
    (void)field;
    return is_decimal(text, XN_DEC_PLACES) &&
           xn_dec_parse(text, strlen(text), slot) == 0;
}

static bool write_decimal(const struct flat_field *field, const void *slot,
                          struct xn_buf *out)
{
    const xn_dec *d = slot;
    char text[XN_DEC_TEXT_MAX];

    (void)field;
    if (d->v < 0) return false;
    xn_dec_format(*d, text);
    xn_buf_str(out, text);
    return true;
}

static bool read_count(const struct flat_field *field, const char *text,
                       void *slot)
{
    uint64_t *count = slot, value = 0;

    if (!is_decimal(text, 0) || strlen(text) > 19) return false;
    for (const char *at = text; *at; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (value > INT64_MAX) return false;
    *count = value;
    return value > 0 || !field->positive;
}

static bool write_count(const struct flat_field *field, const void *slot,
                        struct xn_buf *out)
{
    const uint64_t *count = slot;

    if (*count > INT64_MAX || (*count == 0 && field->positive)) return false;
    xn_buf_printf(out, "%" PRIu64, *count);
    return true;
}

static bool is_currency(const char *text)
{
    return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static bool read_currency(const struct flat_field *field, const char *text,
                          void *slot)
{
    (void)field;
    if (!is_currency(text)) return false;
    memcpy(slot, text, FLAT_CURRENCY_SIZE);
    return true;
}

static bool write_currency(const struct flat_field *field, const void *slot,
                           struct xn_buf *out)
{
    char text[FLAT_CURRENCY_SIZE + 1] = "";

    (void)field;
    memcpy(text, slot, FLAT_CURRENCY_SIZE);
    if (!is_currency(text)) return false;
    xn_buf_str(out, text);
    return true;
}

/* xml_text has looked at length and control characters. */
static bool read_text(const struct flat_field *field, const char *text,
                      void *slot)
{
    (void)field;
    if (!*text) return false;
    memcpy(slot, text, strlen(text) + 1);
    return true;
}

static bool write_text(const struct flat_field *field, const void *slot,
                       struct xn_buf *out)
{
    const char *text = slot;
    size_t len = strnlen(text, TEXT_SIZE);

    (void)field;
    if (len == 0 || len == TEXT_SIZE || text[0] == ' ' || text[len - 1] == ' ')
        return false;
    return xml_escape(out, text);
}

static bool read_word(const struct flat_field *field, const char *text,
                      void *slot)
{
    unsigned *index = slot;

    for (unsigned i = 0; field->words[i]; i++) {
        if (strcmp(field->words[i], text) != 0) continue;
        *index = i;
        return true;
    }
    return false;
}

static bool write_word(const struct flat_field *field, const void *slot,
                       struct xn_buf *out)
{
    const unsigned *index = slot;

    for (unsigned i = 0; field->words[i]; i++) {
        if (i != *index) continue;
        xn_buf_str(out, field->words[i]);
        return true;
    }
    return false;
}

/* By type.  `write` says nothing and false for what cannot be said. */
static const struct {
    const char *wanted;
    size_t size; /* of the slot: all zero means "not given" */
    bool (*read)(const struct flat_field *field, const char *text, void *slot);
    bool (*write)(const struct flat_field *field, const void *slot,
                  struct xn_buf *out);
} types[] = {
    [FLAT_ID] = {"64 hexadecimal digits", sizeof(xn_id), read_id, write_id},
    [FLAT_UTC] = {"a date as 2026-11-21T10:00:00Z", sizeof(uint64_t), read_utc,
                  write_utc},
    [FLAT_MONEY] = {"an amount of at most 6 places", sizeof(int64_t),
                    read_money, write_money},
    [FLAT_DECIMAL] = {"a decimal of at most 12 places", sizeof(xn_dec),
                      read_decimal, write_decimal},
    [FLAT_COUNT] = {"a whole number", sizeof(uint64_t), read_count,
                    write_count},
    [FLAT_CURRENCY] = {"three capital letters", FLAT_CURRENCY_SIZE,
                       read_currency, write_currency},
    [FLAT_TEXT] = {"text", 1, read_text, write_text},
    [FLAT_WORD] = {"one of its words", sizeof(unsigned), read_word, write_word},
};

/* ---- reading ---- */

struct reader {
    const struct flat_form *form;
    struct xn_arena arena;
    char *out;
    struct xml_why *why;
};

static unsigned long line_of(const xmlNode *node)
{
    return (unsigned long)xmlGetLineNo(node);
}

static int read_field(struct reader *r, const struct flat_field *field,
                      const xmlNode *node)
{
    const char *text;
    int rc;

    if (node->properties || node->nsDef) {
        xml_why(r->why, line_of(node), "%s has attributes", field->name);
        return XN_ESCHEMA;
    }
    rc = xml_text(node, &r->arena, &text, r->why);
    if (rc) return rc;
    if (types[field->type].read(field, text, r->out + field->at)) return 0;
    xml_why(r->why, line_of(node), "%s: not %s%s: \"%.80s\"", field->name,
            types[field->type].wanted, field->positive ? ", above zero" : "",
            text);
    return XN_ESCHEMA;
}

/* Elements with nothing but blanks between them. */
static int check_plain(struct reader *r, const xmlNode *root)
{
    for (const xmlNode *at = root->children; at; at = at->next) {
        if (at->type == XML_ELEMENT_NODE || at->type == XML_TEXT_NODE) continue;
        xml_why(r->why, line_of(at), "only elements may stand in %s",
                r->form->root);
        return XN_ESCHEMA;
    }
    return xml_no_text(root, r->why);
}

static int missing(struct reader *r, const struct flat_field *field,
                   const xmlNode *at)
{
    if (at) {
        xml_why(r->why, line_of(at), "%s is missing where %.80s stands",
                field->name, (const char *)at->name);
    } else {
        xml_why(r->why, 0, "%s is missing", field->name);
    }
    return XN_ESCHEMA;
}

static int read_fields(struct reader *r, const xmlNode *root)
{
    const struct flat_form *form = r->form;
    xmlNode *at = xml_element(root->children);
    int rc;

    for (size_t i = 0; i < form->n; i++) {
        const struct flat_field *field = &form->fields[i];

        if (at && xml_is(at, field->name, form->ns)) {
            rc = read_field(r, field, at);
            if (rc) return rc;
            at = xml_element(at->next);
        } else if (field->need == FLAT_MUST) {
            return missing(r, field, at);
        }
    }
    if (!at) return 0;
    xml_why(r->why, line_of(at), "%.80s is not known here",
            (const char *)at->name);
    return XN_ESCHEMA;
}

static int read_root(struct reader *r, const xmlDoc *doc)
{
    const xmlNode *root = xmlDocGetRootElement(doc);
    int rc;

    if (!xml_is(root, r->form->root, r->form->ns)) {
        xml_why(r->why, line_of(root), "the root is not %s of %s",
                r->form->root, r->form->ns);
        return XN_ESCHEMA;
    }
    if (root->properties || root->prev || root->next) {
        xml_why(r->why, line_of(root), "%s has attributes or neighbours",
                r->form->root);
        return XN_ESCHEMA;
    }
    rc = check_plain(r, root);
    if (rc) return rc;
    return read_fields(r, root);
}

int flat_read(const struct flat_form *form, const uint8_t *xml, size_t len,
              void *out, struct xml_why *why)
{
    struct reader r = {.form = form, .out = out, .why = why};
    xmlDoc *doc = NULL;
    int rc;

    if (len > form->bytes_max) {
        xml_why(why, 0, "larger than %zu bytes", form->bytes_max);
        return XN_ETOOBIG;
    }
    rc = xml_parse(xml, len, &doc, why);
    if (rc) return rc;
    xn_arena_init(&r.arena, 0);
    rc = read_root(&r, doc);
    /* Last, as its words are the poorer ones; it must not disagree. */
    if (!rc && form->schema >= 0) {
        rc = xml_validate(doc, (enum xml_schema)form->schema, why);
    }
    xn_arena_clear(&r.arena);
    xmlFreeDoc(doc);
    return rc;
}

/* ---- writing ---- */

static bool is_given(const struct flat_field *field, const char *slot)
{
    for (size_t i = 0; i < types[field->type].size; i++) {
        if (slot[i]) return true;
    }
    return false;
}

int flat_write(const struct flat_form *form, const void *in, struct xn_buf *out)
{
    const char *slots = in;
    bool said = true;

    xn_buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xn_buf_printf(out, "<%s xmlns=\"%s\">\n", form->root, form->ns);
    for (size_t i = 0; i < form->n; i++) {
        const struct flat_field *field = &form->fields[i];
        const char *slot = slots + field->at;

        if (field->need == FLAT_MAY && !is_given(field, slot)) continue;
        xn_buf_printf(out, "  <%s>", field->name);
        said = types[field->type].write(field, slot, out) && said;
        xn_buf_printf(out, "</%s>\n", field->name);
    }
    xn_buf_printf(out, "</%s>\n", form->root);
    if (!said) return XN_EINVAL;
    return xn_buf_rc(out);
}
