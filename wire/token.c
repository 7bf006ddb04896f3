/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/token.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER(name, unit, mandatory)                                          \
    {                                                                          \
        name, XN_TOKEN_NUMBER, unit, mandatory, false                          \
    }
#define PRICE(name, unit)                                                      \
    {                                                                          \
        name, XN_TOKEN_NUMBER, unit, false, true                               \
    }
#define STRING(name, mandatory)                                                \
    {                                                                          \
        name, XN_TOKEN_STRING, "", mandatory, false                            \
    }

/* In the order of strcmp, for bsearch. */
static const struct xn_token_info table[] = {
    STRING("Architecture", false),
    PRICE("CPUSecond", "per s of CPU time"),
    NUMBER("CPUUtilisation", "0 to 1", false),
    NUMBER("CPUsmps", "ms of CPU time per s", true),
    STRING("City", false),
    NUMBER("Clients", "", false),
    NUMBER("CoordinateError", "relative", false),
    NUMBER("CoordinateH", "ms", false),
    NUMBER("CoordinateX", "ms", false),
    NUMBER("CoordinateY", "ms", false),
    STRING("Country", false),
    STRING("Currency", true),
    NUMBER("DiskGB", "GB", false),
    PRICE("DiskGBHour", "per GB and h"),
    STRING("Endpoint", true),
    STRING("EnvKernel", false),
    STRING("EnvType", true),
    NUMBER("IPv4Addresses", "", false),
    NUMBER("MemoryMB", "MB", true),
    PRICE("MemoryMBHour", "per MB and h"),
    PRICE("NetGB", "per GB"),
    NUMBER("NetMbps", "Mbit/s", false),
    PRICE("PricePerHour", "per h"),
    STRING("ServerName", true),
    NUMBER("Sessions", "", false),
    PRICE("SetUp", ""),
    STRING("Virtualisation", false),
    STRING("XenoCorp", true),
};

static int by_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct xn_token_info *)row)->name);
}

const struct xn_token_info *xn_token_info(const char *name)
{
    return bsearch(name, table, sizeof table / sizeof table[0], sizeof table[0],
                   by_name);
}

const struct xn_token_info *xn_token_table(size_t *n_out)
{
    *n_out = sizeof table / sizeof table[0];
    return table;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_later(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-';
}

bool xn_token_valid(const char *name, size_t len)
{
    size_t i;

    if (len == 0 || len > XN_TOKEN_MAX || !is_letter(name[0])) return false;
    for (i = 1; i < len; i++) {
        if (!is_letter(name[i]) && !is_later(name[i])) return false;
    }
    return true;
}

void xn_token_server(const xn_id *server, char out[XN_TOKEN_SERVER_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    memcpy(out, "_server.", 8);
    out[8] = digits[server->b[0] >> 4];
    out[9] = digits[server->b[0] & 15];
    out[10] = '\0';
}

void xn_token_key(const char *token, const uint8_t *prefix, size_t prefix_len,
                  bool far, xn_id *key_out)
{
    static const char here_salt[] = "xn.trie.1", far_salt[] = "xn.trie.far.1";
    size_t salt_len = far ? sizeof far_salt : sizeof here_salt;
    size_t len = strnlen(token, XN_TOKEN_MAX);
    char head[sizeof far_salt + XN_TOKEN_MAX + 1];

    memcpy(head, far ? far_salt : here_salt, salt_len); /* with its zero */
    memcpy(head + salt_len, token, len);
    head[salt_len + len] = 0;
    xn_id_hash2(head, salt_len + len + 1, prefix, prefix_len, key_out);
}
