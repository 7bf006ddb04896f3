/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/stream.h"

#include <stdbool.h>

#include "lib/err.h"

void stream_head_put(enum stream_kind kind, size_t len,
                     uint8_t out[STREAM_HEAD])
{
    out[0] = (uint8_t)kind;
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
}

int stream_head_parse(const uint8_t data[STREAM_HEAD],
                      struct stream_head *head_out)
{
    size_t len = (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
    bool ends = data[0] == STREAM_END;

    if (data[0] < STREAM_DATA || data[0] > STREAM_OVER || len > STREAM_MAX ||
        ends != (len == 0)) {
        return XN_EPROTO;
    }
    head_out->kind = (enum stream_kind)data[0];
    head_out->len = len;
    return 0;
}
