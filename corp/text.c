/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/text.h"

#include <stdint.h>
#include <string.h>

#include "wire/id.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool corp_label_ok(const char *label)
{
    size_t len = strlen(label);

    return len <= CORP_LABEL_MAX && !strchr(label, '.') &&
           xn_label_valid(label, len);
}

/* Length of the UTF-8 sequence at s, 0 where it is none.  Overlong forms,
 * surrogates and what lies beyond U+10FFFF are none. */
static size_t utf8_len(const uint8_t *s)
{
    size_t n, i;

    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;
    for (i = 1; i < n; i++) { /* a NUL ends it too */
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return n;
}

bool corp_text_ok(const char *text, size_t max)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t n;

    if (strlen(text) > max) return false;
    for (; *s; s += n) {
        n = utf8_len(s);
        if (n == 0 || *s < 0x20 || *s == 0x7f) return false;
        if (s[0] == 0xc2 && s[1] < 0xa0) return false; /* C1 controls */
    }
    return true;
}

static bool port_ok(const char *port)
{
    unsigned value = 0;
    size_t i, len = strlen(port);

    if (len < 1 || len > 5 || strspn(port, DIGITS) != len) return false;
    for (i = 0; i < len; i++)
        value = 10 * value + (unsigned)(port[i] - '0');
    return port[0] != '0' && value <= 65535;
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
