/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/text.h"

#include <string.h>

#include "lib/err.h"
#include "lib/text.h"
#include "wire/id.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool corp_label_ok(const char *label)
{
    size_t len = strlen(label);

    return len <= CORP_LABEL_MAX && !strchr(label, '.') &&
           xn_label_valid(label, len);
}

bool corp_text_ok(const char *text, size_t max)
{
    size_t left = strlen(text), n;

    if (left > max) return false;
    for (; left; text += n, left -= n) {
        n = xn_utf8_len(text, left);
        if (n == 0 || xn_control_len(text)) return false;
    }
    return true;
}

bool corp_currency_ok(const char *text)
{
    return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

size_t corp_text_cut(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);

    if (len <= max) return len;
    for (len = max; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

static bool port_ok(const char *port)
{
    uint64_t value;

    return port[0] != '0' && xn_number_parse(port, 65535, &value) == 0;
}

bool corp_address_ok(const char *address)
{
    size_t host;

    if (strlen(address) > CORP_ADDRESS_MAX) return false;
    if (address[0] == '[') {
        host = strspn(address + 1, DIGITS "abcdefABCDEF:.");
        return host >= 2 && address[1 + host] == ']' &&
               address[2 + host] == ':' && port_ok(address + 3 + host);
    }
    host = strspn(address, LOWER DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.");
    return host >= 1 && address[host] == ':' && port_ok(address + host + 1);
}

static struct corp_arg *find_arg(const char *name, size_t len,
                                 struct corp_arg *args, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(args[i].name) == len &&
            memcmp(args[i].name, name, len) == 0) {
            return &args[i];
        }
    }
    return NULL;
}

int corp_args(const char *query, struct corp_arg *args, size_t n)
{
    for (size_t i = 0; i < n; i++)
        args[i].value[0] = '\0';
    while (*query) {
        size_t name = strcspn(query, "=&"), len;
        struct corp_arg *arg = find_arg(query, name, args, n);

        if (!arg || query[name] != '=' || arg->value[0]) return XN_EINVAL;
        query += name + 1;
        len = strcspn(query, "&");
        if (!len || len >= sizeof arg->value) return XN_EINVAL;
        memcpy(arg->value, query, len);
        arg->value[len] = '\0';
        query += len + (query[len] == '&');
    }
    return 0;
}
