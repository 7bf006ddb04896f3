/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/der.h"

#include <string.h>

static bool take(struct der *from, size_t n, struct der *out)
{
    if (n > from->len) return false;
    out->at = from->at;
    out->len = n;
    from->at += n;
    from->len -= n;
    return true;
}

static bool take_length(struct der *from, size_t *len_out)
{
    size_t extra, n = 0;
    struct der byte;

    if (!take(from, 1, &byte)) return false;
    if (byte.at[0] < 0x80) {
        *len_out = byte.at[0];
        return true;
    }
    extra = byte.at[0] & 0x7f;
    if (extra < 1 || extra > 2 || !take(from, extra, &byte)) return false;
    for (size_t i = 0; i < extra; i++)
        n = n << 8 | byte.at[i];
    if (n < (extra == 1 ? 0x80U : 0x100U)) return false;
    *len_out = n;
    return true;
}

bool der_take(struct der *from, uint8_t tag, struct der *out)
{
    struct der byte;
    size_t len;

    return take(from, 1, &byte) && byte.at[0] == tag &&
           take_length(from, &len) && take(from, len, out);
}

bool der_take_whole(struct der *from, uint8_t tag, struct der *out)
{
    struct der start = *from, contents;

    if (!der_take(from, tag, &contents)) return false;
    out->at = start.at;
    out->len = start.len - from->len;
    return true;
}

bool der_take_bytes(struct der *from, const void *bytes, size_t n)
{
    struct der got;

    if (n > from->len || memcmp(from->at, bytes, n) != 0) return false;
    return take(from, n, &got);
}

bool der_is(const struct der *from, uint8_t tag)
{
    return from->len > 0 && from->at[0] == tag;
}

bool der_eq(struct der a, struct der b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}
