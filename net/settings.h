/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of a daemon: a table of keys with types and bounds, a
 * configuration file (libconfuse) and --set, which beats it.
 *
 *     overlay {
 *         links = 512
 *     }
 *     listen { api = "127.0.0.1:0" }
 *
 * Every key is section.key.  Unknown keys are errors with file, line, column
 * and the nearest known one; a key that is given twice, a number out of range,
 * an octal or signed number and a "${...}" are errors too.  Amounts of time are
 * a number and its unit: us, ms, s, m, h, d.
 */
#ifndef NET_SETTINGS_H
#define NET_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_CONFIG_BYTES_MAX (64 * 1024)

enum net_setting_type {
    NET_TEXT,   /* min and max: length */
    NET_NUMBER, /* whole, decimal, min..max */
    NET_SPAN,   /* of time; min and max in microseconds */
    NET_BOOL,   /* true, false, yes, no, on, off */
};

struct net_setting {
    const char *key; /* "overlay.links" */
    enum net_setting_type type;
    const char *fallback; /* in the form of the file; NULL: unset */
    uint64_t min, max;
    const char *help;
};

struct net_settings;

/* The table is `rows`, which must outlive the settings; keys are unique. */
int net_settings_new(const struct net_setting *rows, size_t n,
                     struct net_settings **settings_out);
void net_settings_free(struct net_settings *settings);

/* XN_ENOENT, XN_EIO, XN_ETOOBIG, XN_EINVAL; why_out says what and where
 * ("xeno.conf:3:5: unknown key links.max, did you mean overlay.links?"). */
int net_settings_file(struct net_settings *settings, const char *path,
                      char *why_out, size_t len);
/* The same from memory; `name` stands for the file. */
int net_settings_parse(struct net_settings *settings, const char *name,
                       const char *text, char *why_out, size_t len);
/* "overlay.links=24". */
int net_settings_set(struct net_settings *settings, const char *assignment,
                     char *why_out, size_t len);

/* The key must be in the table with that type (asserted). */
const char *net_settings_text(const struct net_settings *settings,
                              const char *key); /* NULL: unset */
uint64_t net_settings_number(const struct net_settings *settings,
                             const char *key);
uint64_t net_settings_span_us(const struct net_settings *settings,
                              const char *key);
bool net_settings_bool(const struct net_settings *settings, const char *key);

#endif
