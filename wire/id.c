/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/id.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "lib/err.h"
#include "lib/hex.h"

int xn_id_cmp(const xn_id *a, const xn_id *b)
{
    return memcmp(a->b, b->b, XN_ID_SIZE);
}

bool xn_id_eq(const xn_id *a, const xn_id *b)
{
    return xn_id_cmp(a, b) == 0;
}

bool xn_id_is_zero(const xn_id *id)
{
    static const xn_id zero;

    return xn_id_eq(id, &zero);
}

/* OpenSSL 3's EVP looks the digest up by name and allocates a context for each
 * of these, which costs more than hashing the bytes of a key or an id. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void xn_id_hash2(const void *a, size_t a_len, const void *b, size_t b_len,
                 xn_id *out)
{
    SHA256_CTX ctx;

    /* Nothing of `out` is touched before the end: it may be a part. */
    if (SHA256_Init(&ctx) != 1 || SHA256_Update(&ctx, a, a_len) != 1 ||
        SHA256_Update(&ctx, b, b_len) != 1 || SHA256_Final(out->b, &ctx) != 1) {
        memset(out, 0, sizeof *out);
    }
}

#pragma GCC diagnostic pop

void xn_id_hash(const void *data, size_t len, xn_id *out)
{
    xn_id_hash2(data, len, NULL, 0, out);
}

int xn_id_from_bytes(const ProtobufCBinaryData *bytes, xn_id *out)
{
    if (bytes->len != XN_ID_SIZE) return XN_EINVAL;
    memcpy(out->b, bytes->data, XN_ID_SIZE);
    return 0;
}

ProtobufCBinaryData xn_id_bytes(const xn_id *id)
{
    ProtobufCBinaryData bytes = {XN_ID_SIZE, (uint8_t *)(uintptr_t)id->b};

    return bytes;
}

void xn_id_hex(const xn_id *id, char out[XN_ID_HEX])
{
    xn_hex(id->b, XN_ID_SIZE, out);
}

int xn_id_unhex(const char *text, size_t len, xn_id *out)
{
    return xn_unhex(text, len, out->b, XN_ID_SIZE);
}

void xn_id_name(const xn_id *id, const char *label, char out[XN_NAME_MAX])
{
    /* RFC 4648 base 32, lower case: nothing to confuse with the dash. */
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits =
        (uint32_t)id->b[0] << 16 | (uint32_t)id->b[1] << 8 | id->b[2];

    snprintf(out, XN_NAME_MAX, "%c%c%c%c%s%.32s", digits[bits >> 19 & 31],
             digits[bits >> 14 & 31], digits[bits >> 9 & 31],
             digits[bits >> 4 & 31], label && *label ? "-" : "",
             label ? label : "");
}

/* Eight bytes at a time: routing does this for each link that it looks at. */
static uint64_t word_at(const xn_id *id, int i)
{
    uint64_t word;

    memcpy(&word, id->b + i, sizeof word);
    return be64toh(word);
}

void xn_ring_clockwise(const xn_id *a, const xn_id *b, xn_id *out)
{
    uint64_t borrow = 0;
    int i;

    for (i = XN_ID_SIZE - 8; i >= 0; i -= 8) {
        uint64_t x = word_at(a, i), y = word_at(b, i), d = y - x - borrow;

        borrow = y < x || (y == x && borrow);
        d = htobe64(d);
        memcpy(out->b + i, &d, sizeof d);
    }
}

bool xn_ring_between(const xn_id *a, const xn_id *b, const xn_id *c)
{
    bool from = xn_id_cmp(a, b) <= 0, to = xn_id_cmp(b, c) <= 0;

    return xn_id_cmp(a, c) <= 0 ? from && to : from || to;
}

void xn_ring_distance(const xn_id *a, const xn_id *b, xn_id *out)
{
    xn_id there, back;

    xn_ring_clockwise(a, b, &there);
    xn_ring_clockwise(b, a, &back);
    *out = xn_id_cmp(&there, &back) <= 0 ? there : back;
}

bool xn_ring_nearer(const xn_id *key, const xn_id *a, const xn_id *b)
{
    xn_id da, db;
    int cmp;

    xn_ring_distance(key, a, &da);
    xn_ring_distance(key, b, &db);
    cmp = xn_id_cmp(&da, &db);
    return cmp ? cmp < 0 : xn_id_cmp(a, b) < 0;
}

bool xn_label_valid(const char *label, size_t len)
{
    size_t i;

    if (len == 0 || len > XN_LABEL_MAX) return false;
    for (i = 0; i < len; i++) {
        char c = label[i];
        bool edge = i == 0 || i == len - 1;

        if (c >= 'a' && c <= 'z') continue;
        if (c >= '0' && c <= '9') continue;
        if (!edge && (c == '.' || c == '-')) continue;
        return false;
    }
    return true;
}
