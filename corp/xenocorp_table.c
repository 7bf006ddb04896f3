/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "corp/xenocorp.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/json.h"

#define SHORT 12
#define WIDTH_MAX 60

json_t *table_time(uint64_t us)
{
    return net_json_time(us - us % 1000000);
}

json_t *table_id(const ProtobufCBinaryData *bytes)
{
    char text[XN_ID_HEX];
    xn_id id;

    if (xn_id_from_bytes(bytes, &id)) return json_null();
    xn_id_hex(&id, text);
    return json_string(text);
}

/* ---- people's form ---- */

static void text_of(const json_t *value, bool whole, char out[WIDTH_MAX + 1])
{
    const char *text = json_string_value(value);

    if (json_is_integer(value)) {
        snprintf(out, WIDTH_MAX + 1, "%lld",
                 (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(out, WIDTH_MAX + 1, "%s", json_is_true(value) ? "yes" : "no");
    } else if (!text || !text[0]) {
        strcpy(out, "-");
    } else {
        bool id = strlen(text) == XN_ID_HEX - 1;

        snprintf(out, WIDTH_MAX + 1, "%.*s", id && !whole ? SHORT : WIDTH_MAX,
                 text);
    }
}

/* Characters, more or less: each is taken for one column wide. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_cell(const char *text, size_t width, bool last)
{
    xn_put_plain(text, stdout);
    if (!last) printf("%*s", (int)(width - width_of(text) + 2), "");
}

static void put_heading(const char *key, size_t width, bool last)
{
    char text[WIDTH_MAX + 1];
    size_t i;

    for (i = 0; i < WIDTH_MAX && key[i]; i++)
        text[i] = (char)toupper((unsigned char)key[i]);
    text[i] = '\0';
    put_cell(text, width, last);
}

/* Columns get wider from part to part, never narrower. */
static void widen(struct table *table, const json_t *array)
{
    char text[WIDTH_MAX + 1];
    const json_t *row;
    size_t i, j, width;

    for (j = 0; j < table->n; j++) {
        width = strlen(table->keys[j]);
        if (width > table->width[j]) table->width[j] = width;
        json_array_foreach(array, i, row)
        {
            text_of(json_object_get(row, table->keys[j]), false, text);
            width = width_of(text);
            if (width > table->width[j]) table->width[j] = width;
        }
    }
}

void table_part(struct table *table, json_t *array)
{
    char text[WIDTH_MAX + 1];
    const json_t *row;
    size_t i, j;

    widen(table, array);
    for (j = 0; j < table->n && !table->begun; j++)
        put_heading(table->keys[j], table->width[j], j + 1 == table->n);
    if (!table->begun) putchar('\n');
    table->begun = true;
    json_array_foreach(array, i, row)
    {
        for (j = 0; j < table->n; j++) {
            text_of(json_object_get(row, table->keys[j]), false, text);
            put_cell(text, table->width[j], j + 1 == table->n);
        }
        putchar('\n');
    }
    json_array_clear(array);
    fflush(stdout);
}

int table_print(json_t *array, const char *schema, const char *name,
                const char *const *keys, size_t n, bool json)
{
    struct table table = {.keys = keys, .n = n};

    if (!json) {
        table_part(&table, array);
        json_decref(array);
        return XN_EXIT_OK;
    }
    return net_json_print(
        CORP_PROGRAM, json_pack("{s:s, s:o}", "schema", schema, name, array));
}

int table_show(json_t *object, const char *schema, bool json)
{
    const char *key;
    const json_t *value;

    if (json) {
        json_object_set_new(object, "schema", json_string(schema));
        return net_json_print(CORP_PROGRAM, object);
    }
    json_object_foreach(object, key, value)
    {
        if (json_is_object(value) || json_is_array(value)) continue;
        printf("%-14s", key);
        xn_put_plain(json_is_string(value) ? json_string_value(value) : "",
                     stdout);
        if (json_is_integer(value))
            printf("%lld", (long long)json_integer_value(value));
        putchar('\n');
    }
    json_decref(object);
    return XN_EXIT_OK;
}
