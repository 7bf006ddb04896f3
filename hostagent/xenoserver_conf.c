/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing a configuration file and leaving the rest as its owner wrote it.
 * The form is libconfuse's: sections in braces, key = value, three kinds of
 * comments.  What this scanner takes for another thing than libconfuse does is
 * found out by whoever parses the result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver.h"
#include "lib/err.h"

#define BLANK " \t\r"

enum kind { END, WORD, TEXT, SIGN, COMMENT, BAD };

struct token {
    enum kind kind;
    const char *from, *to;
};

/* ---- scanning ---- */

static const char *skip_quoted(const char *p)
{
    char quote = *p++;

    while (*p && *p != quote)
        p += *p == '\\' && p[1] ? 2 : 1;
    return *p ? p + 1 : NULL;
}

static struct token next(const char *p)
{
    struct token t = {END, NULL, NULL};

    p += strspn(p, BLANK "\n");
    t.from = p;
    t.to = p;
    if (!*p) return t;
    t.kind = WORD;
    if (*p == '#' || (*p == '/' && p[1] == '/')) {
        t.kind = COMMENT;
        t.to = p + strcspn(p, "\n");
    } else if (*p == '/' && p[1] == '*') {
        t.kind = COMMENT;
        t.to = strstr(p + 2, "*/");
        if (t.to) t.to += 2;
    } else if (*p == '"' || *p == '\'') {
        t.kind = TEXT;
        t.to = skip_quoted(p);
    } else if (strchr("{}=,()", *p) || (*p == '+' && p[1] == '=')) {
        t.kind = SIGN;
        t.to = p + 1 + (*p == '+');
    } else {
        t.to = p + strcspn(p, BLANK "\n{}=,()\"'#");
        if (t.to == p) t.to = p + 1;
    }
    if (!t.to) t.kind = BAD;
    return t;
}

static bool is(const struct token *t, const char *text, size_t len)
{
    return (size_t)(t->to - t->from) == len && !memcmp(t->from, text, len);
}

/* Where a key stands, or where it would. */
struct place {
    const char *key, *value, *value_end; /* NULL: not there */
    const char *note, *note_end;         /* a comment "#key = .." */
    const char *brace;                   /* that closes the section */
};

static bool is_note(const struct token *t, const char *name)
{
    size_t len = strlen(name);
    const char *p = t->from + 1;

    if (t->kind != COMMENT || *t->from != '#' || strncmp(p, name, len) != 0)
        return false;
    p += len;
    p += strspn(p, BLANK);
    return *p == '=';
}

/* Inside the section, behind its '{'. */
static int scan_section(const char *p, const char *name, struct place *out)
{
    struct token t, word = {END, NULL, NULL};

    for (;; p = t.to) {
        t = next(p);
        if (t.kind == END || t.kind == BAD) return XN_EINVAL;
        if (is_note(&t, name)) {
            out->note = t.from;
            out->note_end = t.to;
        }
        if (t.kind == COMMENT) continue;
        if (is(&t, "}", 1)) break;
        if (t.kind == SIGN && *t.from == '=' && word.kind == WORD) {
            t = next(t.to);
            if (t.kind != TEXT && t.kind != WORD) return XN_EINVAL;
            if (is(&word, name, strlen(name))) {
                out->key = word.from;
                out->value = t.from;
                out->value_end = t.to;
            }
        }
        word = t;
    }
    out->brace = t.from;
    return 0;
}

/* Past the brace that closes what was opened before p. */
static const char *past_section(const char *p)
{
    struct token t;

    for (;; p = t.to) {
        t = next(p);
        if (t.kind == END || t.kind == BAD) return NULL;
        if (is(&t, "}", 1)) return t.to;
    }
}

/* XN_ENOENT: there is no such section. */
static int scan(const char *text, const char *key, struct place *out)
{
    size_t len = strcspn(key, ".");
    struct token t, word = {END, NULL, NULL};
    const char *p = text;

    memset(out, 0, sizeof *out);
    if (!key[len]) return XN_EINVAL;
    for (;;) {
        t = next(p);
        if (t.kind == END) return XN_ENOENT;
        if (t.kind == BAD) return XN_EINVAL;
        p = t.to;
        if (t.kind == COMMENT) continue;
        if (is(&t, "{", 1)) {
            if (word.kind == WORD && is(&word, key, len)) {
                return scan_section(p, key + len + 1, out);
            }
            p = past_section(p);
            if (!p) return XN_EINVAL;
        }
        word = t;
    }
}

bool server_conf_find(const char *text, const char *key, unsigned *line_out,
                      unsigned *column_out)
{
    struct place place;
    const char *p;

    if (scan(text, key, &place) || !place.key) return false;
    *line_out = *column_out = 1;
    for (p = text; p < place.key; p++) {
        if (*p == '\n') ++*line_out;
        *column_out = *p == '\n' ? 1 : *column_out + 1;
    }
    return true;
}

/* ---- writing ---- */

/* libconfuse expands "${..}" and knows \n and the like; a line's end in a value
 * would hide what comes behind it from whoever reads by lines. */
static bool may_stand(const char *value)
{
    for (const char *p = value; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) return false;
        if (*p == '$' && p[1] == '{') return false;
    }
    return true;
}

static void put_value(const char *value, struct xn_buf *out)
{
    xn_buf_char(out, '"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\') xn_buf_char(out, '\\');
        xn_buf_char(out, *value);
    }
    xn_buf_char(out, '"');
}

static void put(struct xn_buf *out, const char *from, const char *to)
{
    xn_buf_add(out, from, (size_t)(to - from));
}

static void put_pair(const char *key, const char *value, struct xn_buf *out)
{
    xn_buf_str(out, strchr(key, '.') + 1);
    xn_buf_str(out, " = ");
    put_value(value, out);
}

/* The line's blanks before p, if nothing else is before it. */
static const char *line_of(const char *text, const char *p)
{
    const char *start = p;

    while (start > text && strchr(BLANK, start[-1]))
        start--;
    return start == text || start[-1] == '\n' ? start : NULL;
}

static void insert(const char *text, const char *key, const char *value,
                   const struct place *place, struct xn_buf *out)
{
    const char *line = line_of(text, place->brace);

    if (line) {
        put(out, text, line);
        xn_buf_str(out, "    ");
        put_pair(key, value, out);
        xn_buf_char(out, '\n');
        xn_buf_str(out, line);
    } else {
        put(out, text, place->brace);
        xn_buf_char(out, '\n');
        xn_buf_str(out, "    ");
        put_pair(key, value, out);
        xn_buf_char(out, '\n');
        xn_buf_str(out, place->brace);
    }
}

static void add_section(const char *text, const char *key, const char *value,
                        struct xn_buf *out)
{
    size_t len = strlen(text);

    xn_buf_str(out, text);
    if (len && text[len - 1] != '\n') xn_buf_char(out, '\n');
    put(out, key, strchr(key, '.'));
    xn_buf_str(out, " {\n    ");
    put_pair(key, value, out);
    xn_buf_str(out, "\n}\n");
}

/* As a comment where it has its line, else not at all. */
static void leave_out(const char *text, const struct place *place,
                      struct xn_buf *out)
{
    put(out, text, place->key);
    if (line_of(text, place->key)) {
        const char *rest = place->value_end + strspn(place->value_end, BLANK);

        xn_buf_char(out, '#');
        put(out, place->key, place->value_end);
        /* What else is on the line stays in force. */
        if (*rest && *rest != '\n' && *rest != '#') xn_buf_char(out, '\n');
    }
    xn_buf_str(out, place->value_end);
}

int server_conf_set(const char *text, const char *key, const char *value,
                    struct xn_buf *out)
{
    struct place place;
    int rc = scan(text, key, &place);

    if (rc == XN_EINVAL || (value && !may_stand(value))) return XN_EINVAL;
    if (!value && !place.key) {
        xn_buf_str(out, text);
    } else if (!value) {
        leave_out(text, &place, out);
    } else if (rc == XN_ENOENT) {
        add_section(text, key, value, out);
    } else if (place.key) {
        put(out, text, place.value);
        put_value(value, out);
        xn_buf_str(out, place.value_end);
    } else if (place.note) {
        put(out, text, place.note);
        put_pair(key, value, out);
        xn_buf_str(out, place.note_end);
    } else {
        insert(text, key, value, &place, out);
    }
    return xn_buf_rc(out);
}

/* ---- the XenoCorps ---- */

int server_conf_corps(const char *list, const struct net_corp *corps, size_t n,
                      const struct net_corp *now, struct xn_buf *out)
{
    char hex[XN_ID_HEX], own[XN_ID_HEX] = "";
    const char *p;
    size_t i, len, url;

    if (now) xn_id_hex(&now->id, own);
    for (p = list + strspn(list, " "); *p; p += strspn(p, " ")) {
        len = strcspn(p, " ");
        url = strcspn(p, "# ");
        if (out->len) xn_buf_char(out, ' ');
        if (now && len - url == XN_ID_HEX &&
            !memcmp(p + url + 1, own, XN_ID_HEX - 1)) {
            xn_buf_printf(out, "%s#%s", now->url, own);
        } else {
            xn_buf_add(out, p, len);
        }
        p += len;
    }
    for (i = 0; i < n; i++) {
        xn_id_hex(&corps[i].id, hex);
        if (strstr(list, hex)) continue;
        xn_buf_printf(out, "%s%s#%s", out->len ? " " : "", corps[i].url, hex);
    }
    return xn_buf_rc(out);
}

/* ---- a new one ---- */

static void put_row(const struct net_setting *row, const char *value,
                    struct xn_buf *out)
{
    xn_buf_printf(out, "    # %s\n    ", row->help);
    if (value) {
        put_pair(row->key, value, out);
    } else {
        xn_buf_char(out, '#');
        put_pair(row->key, row->fallback ? row->fallback : "", out);
    }
    xn_buf_char(out, '\n');
}

static bool same_section(const char *a, const char *b)
{
    size_t len = strcspn(a, ".");

    return strncmp(a, b, len + 1) == 0;
}

/* Sections in the order of their first rows, rows in that of the table. */
int server_conf_new(const struct net_setting *rows, size_t n,
                    const char *const *values, struct xn_buf *out)
{
    size_t i, j;

    xn_buf_str(out, "# What this server offers, for xenohostd(8): see "
                    "xenohostd.conf(5).\n"
                    "# `xenoserver offer` changes it and keeps the comments; "
                    "what is commented out\n"
                    "# is as shown, or found out by xenohostd.\n");
    for (i = 0; i < n; i++) {
        for (j = 0; j < i && !same_section(rows[i].key, rows[j].key); j++)
            ;
        if (j < i) continue;
        xn_buf_printf(out, "\n%.*s {\n", (int)strcspn(rows[i].key, "."),
                      rows[i].key);
        for (j = i; j < n; j++) {
            if (same_section(rows[i].key, rows[j].key)) {
                if (values[j] && !may_stand(values[j])) return XN_EINVAL;
                put_row(&rows[j], values[j], out);
            }
        }
        xn_buf_str(out, "}\n");
    }
    return xn_buf_rc(out);
}
