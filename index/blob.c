/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"

struct xis_blob *xis_blob_new(const void *data, size_t len)
{
    struct xis_blob *blob = malloc(sizeof *blob + len);

    if (!blob) return NULL;
    blob->refs = 1;
    blob->len = (uint32_t)len;
    if (len) memcpy(blob->b, data, len);
    return blob;
}

struct xis_blob *xis_blob_ref(struct xis_blob *blob)
{
    if (blob) blob->refs++;
    return blob;
}

void xis_blob_drop(struct xis_blob *blob)
{
    if (blob && --blob->refs == 0) free(blob);
}

ProtobufCBinaryData xis_blob_bytes(const struct xis_blob *blob)
{
    ProtobufCBinaryData bytes = {0, NULL};

    if (!blob) return bytes;
    bytes.len = blob->len;
    bytes.data = (uint8_t *)(uintptr_t)blob->b;
    return bytes;
}
