/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libconfuse reads the syntax; every value comes to us as text and is judged
 * here, since the library takes octal and signed numbers, lets the last of two
 * equal keys win and tells lines alone. */
#include "net/settings.h"

#include <assert.h>
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/span.h"
#include "lib/text.h"

enum { KEY_ROOM = 64, TOKEN_ROOM = 128 };

/* libconfuse takes a section or a text that the file's end cuts off.  So a key
 * of ours is put behind the file: it must come out as a key, in no section. */
static const char last_key[] = "xeno-end-of-file";

struct value {
    const struct net_setting *row;
    char *text;      /* NULL: unset */
    uint64_t number; /* of NET_NUMBER, NET_SPAN, NET_BOOL */
    bool pinned;     /* by --set: a file does not change it */
    bool seen;       /* in the file that is being read */
};

struct net_settings {
    struct value *values;
    size_t n;
};

/* ---- values ------------------------------------------------------------ */

/* What others take for octal is refused, not read as decimal. */
static bool looks_octal(const char *text)
{
    return text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

static int parse_number(const char *text, uint64_t *number_out)
{
    if (looks_octal(text)) return XN_EINVAL;
    return xn_number_parse(text, UINT64_MAX, number_out) ? XN_EINVAL : 0;
}

/* Nothing needs no unit. */
static int parse_span(const char *text, uint64_t *us_out)
{
    if (strcmp(text, "0") == 0) return parse_number(text, us_out);
    if (looks_octal(text)) return XN_EINVAL;
    return xn_span_parse(text, us_out) ? XN_EINVAL : 0;
}

static int parse_bool(const char *text, uint64_t *on_out)
{
    static const char *const words[] = {"false", "true", "no",
                                        "yes",   "off",  "on"};
    uint64_t i;

    for (i = 0; i < 6; i++) {
        if (strcmp(text, words[i]) == 0) {
            *on_out = i % 2;
            return 0;
        }
    }
    return XN_EINVAL;
}

static void print_bound(enum net_setting_type type, uint64_t n,
                        char out[XN_SPAN_TEXT_MAX])
{
    if (type == NET_SPAN)
        xn_span_format(n, out);
    else
        snprintf(out, XN_SPAN_TEXT_MAX, "%llu", (unsigned long long)n);
}

static int parse_value(const struct net_setting *row, const char *text,
                       uint64_t *number_out, char *why, size_t len)
{
    static const char *const forms[] = {"a text", "a whole number",
                                        "an amount of time such as 15m",
                                        "true or false"};
    char min[XN_SPAN_TEXT_MAX], max[XN_SPAN_TEXT_MAX];
    int rc = 0;

    switch (row->type) {
    case NET_TEXT: *number_out = strlen(text); break;
    case NET_NUMBER: rc = parse_number(text, number_out); break;
    case NET_SPAN: rc = parse_span(text, number_out); break;
    case NET_BOOL:
        rc = parse_bool(text, number_out);
        if (!rc) return 0;
        break;
    }
    if (rc) {
        snprintf(why, len, "%s is %s, not '%.40s'", row->key, forms[row->type],
                 text);
        return rc;
    }
    if (*number_out >= row->min && *number_out <= row->max) return 0;
    print_bound(row->type, row->min, min);
    print_bound(row->type, row->max, max);
    snprintf(why, len, "%s%s is from %s to %s", row->key,
             row->type == NET_TEXT ? "'s length" : "", min, max);
    return XN_EINVAL;
}

static int assign(struct value *value, const char *text, char *why, size_t len)
{
    uint64_t number = 0;
    char *copy;
    int rc = parse_value(value->row, text, &number, why, len);

    if (rc) return rc;
    copy = strdup(text);
    if (!copy) return XN_ENOMEM;
    free(value->text);
    value->text = copy;
    value->number = number;
    return 0;
}

/* ---- keys -------------------------------------------------------------- */

static struct value *find(const struct net_settings *settings, const char *key)
{
    size_t i;

    for (i = 0; i < settings->n; i++) {
        if (strcmp(settings->values[i].row->key, key) == 0) {
            return &settings->values[i];
        }
    }
    return NULL;
}

/* The known key that was probably meant: the same name in another section, or
 * the nearest by spelling. */
static const char *meant(const struct net_settings *settings, const char *key)
{
    const char *dot = strrchr(key, '.'), *name = dot ? dot + 1 : key;
    const char **keys, *best = NULL;
    size_t i;

    for (i = 0; i < settings->n; i++) {
        const char *known = settings->values[i].row->key;

        if (strcmp(strchr(known, '.') + 1, name) == 0) return known;
    }
    keys = calloc(settings->n + 1, sizeof *keys);
    if (!keys) return NULL;
    for (i = 0; i < settings->n; i++)
        keys[i] = settings->values[i].row->key;
    best = xn_nearest(key, keys, settings->n);
    free(keys);
    return best;
}

static void say_unknown(const struct net_settings *settings, const char *key,
                        char *why, size_t len)
{
    const char *near = meant(settings, key);

    snprintf(why, len, "unknown key %s%s%s%s", key,
             near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

/* ---- files ------------------------------------------------------------- */

/* libconfuse's callbacks carry no pointer of ours. */
struct reading {
    struct net_settings *settings;
    const char *name, *text;
    char *why;
    size_t len;
    int rc;
    bool whole; /* last_key has been seen */
};
static _Thread_local struct reading *reading;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

static const char *line_start(const char *text, int line)
{
    const char *p = text;

    while (--line > 0 && (p = strchr(p, '\n')))
        p++;
    return p ? p : text;
}

/* Where the word stands in that line, from 1; 0: it does not. */
static size_t column_of(const char *text, int line, const char *word)
{
    const char *start = line_start(text, line), *p = start;
    size_t len = strlen(word), end = strcspn(start, "\n");

    for (; len && p + len <= start + end; p++) {
        if (memcmp(p, word, len) == 0 && (p == start || !is_word(p[-1])) &&
            !is_word(p[len])) {
            return (size_t)(p - start) + 1;
        }
    }
    return 0;
}

static int lines_of(const char *text)
{
    int n = 1;

    for (; *text; text++)
        n += *text == '\n' && text[1];
    return n;
}

/* The first error counts: it says where and what. */
static void complain(int line, const char *word, const char *what)
{
    int last = lines_of(reading->text);
    size_t column;

    if (line > last) line = last; /* what we put behind it */
    column = column_of(reading->text, line, word);

    /* The library may have read on to the next line before it said so. */
    if (!column && line > 1) {
        column = column_of(reading->text, line - 1, word);
        if (column) line--;
    }
    if (reading->rc) return;
    reading->rc = XN_EINVAL;
    snprintf(reading->why, reading->len, "%s:%d:%zu: %s", reading->name, line,
             column ? column : 1, what);
}

static void full_key(cfg_t *cfg, const char *name, char out[KEY_ROOM])
{
    const char *section = cfg_name(cfg);

    if (section && strcmp(section, "root") != 0) {
        snprintf(out, KEY_ROOM, "%.30s.%.32s", section, name);
    } else {
        snprintf(out, KEY_ROOM, "%.63s", name);
    }
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    char text[256], key[KEY_ROOM], what[512], word[TOKEN_ROOM] = "";
    char *from, *to;

    vsnprintf(text, sizeof text, fmt, ap);
    from = strchr(text, '\'');
    to = from ? strchr(from + 1, '\'') : NULL;
    if (to && (size_t)(to - from) < sizeof word) {
        memcpy(word, from + 1, (size_t)(to - from - 1));
    }
    if (strcmp(word, last_key) == 0) {
        snprintf(what, sizeof what, "%s is not closed", cfg_name(cfg));
        snprintf(word, sizeof word, "%s", cfg_name(cfg));
    } else if (strncmp(text, "no such option", 14) == 0) {
        full_key(cfg, word, key);
        say_unknown(reading->settings, key, what, sizeof what);
    } else {
        snprintf(what, sizeof what, "%s", text);
    }
    complain(cfg->line, word, what);
}

/* A key has got its value. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
    char key[KEY_ROOM], what[256];
    struct value *value;
    const char *text = cfg_opt_getnstr(opt, 0);
    int rc;

    if (strcmp(cfg_opt_name(opt), last_key) == 0) {
        reading->whole = true;
        return 0;
    }
    full_key(cfg, cfg_opt_name(opt), key);
    value = find(reading->settings, key);
    if (!value || !text) return -1;
    if (value->seen) {
        snprintf(what, sizeof what, "%s is given twice", key);
        complain(cfg->line, cfg_opt_name(opt), what);
        return -1;
    }
    value->seen = true;
    if (value->pinned) return 0;
    rc = assign(value, text, what, sizeof what);
    if (rc == XN_EINVAL) complain(cfg->line, cfg_opt_name(opt), what);
    if (rc && !reading->rc) reading->rc = rc;
    return rc ? -1 : 0;
}

/* The sections and keys as libconfuse's tables: `opts` for the keys, two ends
 * and more than enough; `tops` for the sections. */
static void build(const struct net_settings *settings, cfg_opt_t *opts,
                  cfg_opt_t *tops, char *names)
{
    const cfg_opt_t end = CFG_END();
    size_t n_tops = 0, at = 0, i, j;

    for (i = 0; i < settings->n; i++) {
        const char *key = settings->values[i].row->key;
        size_t len = (size_t)(strchr(key, '.') - key) + 1; /* with the dot */
        char *section = names + i * KEY_ROOM;
        bool known = false;

        for (j = 0; j < i && !known; j++)
            known = strncmp(settings->values[j].row->key, key, len) == 0;
        if (known) continue;
        snprintf(section, KEY_ROOM, "%.*s", (int)len - 1, key);
        tops[n_tops++] = (cfg_opt_t)CFG_SEC(section, opts + at, CFGF_NONE);
        for (j = i; j < settings->n; j++) {
            const char *other = settings->values[j].row->key;

            if (strncmp(other, key, len) == 0) {
                opts[at++] =
                    (cfg_opt_t)CFG_STR(other + len, NULL, CFGF_NODEFAULT);
            }
        }
        opts[at++] = end;
    }
    tops[n_tops++] = (cfg_opt_t)CFG_STR(last_key, NULL, CFGF_NODEFAULT);
    tops[n_tops] = end;
}

static void listen_to(cfg_t *cfg, const struct net_settings *settings)
{
    char path[KEY_ROOM];
    size_t i;

    for (i = 0; i < settings->n; i++) {
        snprintf(path, sizeof path, "%s", settings->values[i].row->key);
        *strchr(path, '.') = '|';
        cfg_set_validate_func(cfg, path, on_value);
        settings->values[i].seen = false;
    }
    cfg_set_validate_func(cfg, last_key, on_value);
    cfg_set_error_function(cfg, on_error);
}

static int run_parser(struct reading *r)
{
    size_t n = r->settings->n;
    cfg_opt_t *opts = calloc(2 * n + 1, sizeof *opts);
    cfg_opt_t *tops = calloc(n + 2, sizeof *tops);
    char *names = calloc(n + 1, KEY_ROOM), *text = NULL;
    cfg_t *cfg = NULL;
    int rc = XN_ENOMEM;

    if (asprintf(&text, "%s\n%s=1\n", r->text, last_key) < 0) text = NULL;
    if (!opts || !tops || !names || !text) goto out;
    build(r->settings, opts, tops, names);
    cfg = cfg_init(tops, CFGF_NONE);
    if (!cfg) goto out;
    listen_to(cfg, r->settings);
    reading = r;
    if ((cfg_parse_buf(cfg, text) || !r->whole) && !r->rc) {
        complain(cfg->line, "", "not understood, or a text is not closed");
    }
    reading = NULL;
    rc = r->rc;
out:
    if (cfg) cfg_free(cfg);
    free(opts);
    free(tops);
    free(names);
    free(text);
    return rc;
}

int net_settings_parse(struct net_settings *settings, const char *name,
                       const char *text, char *why_out, size_t len)
{
    struct reading r = {settings, name, text, why_out, len, 0, false};
    const char *dollar = strstr(text, "${"), *p;
    int line = 1;

    why_out[0] = '\0';
    if (strlen(text) > NET_CONFIG_BYTES_MAX) {
        snprintf(why_out, len, "%s: larger than %d bytes", name,
                 NET_CONFIG_BYTES_MAX);
        return XN_ETOOBIG;
    }
    if (dollar) {
        for (p = text; p < dollar; p++)
            line += *p == '\n';
        snprintf(why_out, len, "%s:%d:%zu: ${...} is not expanded here", name,
                 line, (size_t)(dollar - line_start(text, line)) + 1);
        return XN_EINVAL;
    }
    return run_parser(&r);
}

int net_settings_file(struct net_settings *settings, const char *path,
                      char *why_out, size_t len)
{
    struct xn_buf buf;
    char *text;
    size_t size;
    int rc;

    xn_buf_init(&buf, NET_CONFIG_BYTES_MAX);
    rc = xn_file_read(path, &buf);
    if (rc) {
        snprintf(why_out, len, "%s: %s", path, xn_file_why(rc));
        xn_buf_clear(&buf);
        return rc;
    }
    size = buf.len;
    text = xn_buf_steal_str(&buf);
    if (!text) return XN_ENOMEM;
    if (strlen(text) != size) {
        snprintf(why_out, len, "%s: not a text", path);
        rc = XN_EINVAL;
    } else {
        rc = net_settings_parse(settings, path, text, why_out, len);
    }
    free(text);
    return rc;
}

/* ---- the rest ---------------------------------------------------------- */

int net_settings_set(struct net_settings *settings, const char *assignment,
                     char *why_out, size_t len)
{
    const char *equal = strchr(assignment, '=');
    char key[KEY_ROOM];
    struct value *value;
    int rc;

    if (!equal || (size_t)(equal - assignment) >= sizeof key) {
        snprintf(why_out, len, "'%.60s' is not section.key=value", assignment);
        return XN_EINVAL;
    }
    snprintf(key, sizeof key, "%.*s", (int)(equal - assignment), assignment);
    value = find(settings, key);
    if (!value) {
        say_unknown(settings, key, why_out, len);
        return XN_EINVAL;
    }
    rc = assign(value, equal + 1, why_out, len);
    if (!rc) value->pinned = true;
    return rc;
}

int net_settings_new(const struct net_setting *rows, size_t n,
                     struct net_settings **settings_out)
{
    struct net_settings *settings = calloc(1, sizeof *settings);
    char why[256];
    size_t i;
    int rc = XN_ENOMEM;

    if (!settings) return XN_ENOMEM;
    settings->values = calloc(n + 1, sizeof *settings->values);
    if (!settings->values) goto out;
    settings->n = n;
    for (i = 0; i < n; i++) {
        settings->values[i].row = &rows[i];
        assert(strchr(rows[i].key, '.') && strlen(rows[i].key) < KEY_ROOM);
        if (!rows[i].fallback) continue;
        rc = assign(&settings->values[i], rows[i].fallback, why, sizeof why);
        assert(rc != XN_EINVAL);
        if (rc) goto out;
    }
    *settings_out = settings;
    settings = NULL;
    rc = 0;
out:
    net_settings_free(settings);
    return rc;
}

void net_settings_free(struct net_settings *settings)
{
    size_t i;

    if (!settings) return;
    for (i = 0; i < settings->n; i++)
        free(settings->values[i].text);
    free(settings->values);
    free(settings);
}

static const struct value *of_type(const struct net_settings *settings,
                                   const char *key, enum net_setting_type type)
{
    const struct value *value = find(settings, key);

    assert(value && value->row->type == type);
    return value;
}

const char *net_settings_text(const struct net_settings *settings,
                              const char *key)
{
    return of_type(settings, key, NET_TEXT)->text;
}

uint64_t net_settings_number(const struct net_settings *settings,
                             const char *key)
{
    return of_type(settings, key, NET_NUMBER)->number;
}

uint64_t net_settings_span_us(const struct net_settings *settings,
                              const char *key)
{
    return of_type(settings, key, NET_SPAN)->number;
}

bool net_settings_bool(const struct net_settings *settings, const char *key)
{
    return of_type(settings, key, NET_BOOL)->number != 0;
}
