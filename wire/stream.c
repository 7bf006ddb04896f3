/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/stream.h"

#include <string.h>

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
    bool empty = data[0] == STREAM_END || data[0] == STREAM_NOOP;

    if (data[0] < STREAM_DATA || data[0] > STREAM_NOOP || len > STREAM_MAX ||
        empty != (len == 0) ||
        (data[0] == STREAM_WINDOW && len != STREAM_WINDOW_LEN)) {
        return XN_EPROTO;
    }
    head_out->kind = (enum stream_kind)data[0];
    head_out->len = len;
    return 0;
}

void stream_window_put(uint16_t rows, uint16_t columns,
                       uint8_t out[STREAM_WINDOW_LEN])
{
    out[0] = (uint8_t)(rows >> 8);
    out[1] = (uint8_t)rows;
    out[2] = (uint8_t)(columns >> 8);
    out[3] = (uint8_t)columns;
}

void stream_window_get(const uint8_t data[STREAM_WINDOW_LEN],
                       uint16_t *rows_out, uint16_t *columns_out)
{
    *rows_out = (uint16_t)(data[0] << 8 | data[1]);
    *columns_out = (uint16_t)(data[2] << 8 | data[3]);
}

bool stream_terminal_ok(const Xn__Terminal *terminal)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-+._";

    return !terminal ||
           (terminal->rows <= UINT16_MAX && terminal->columns <= UINT16_MAX &&
            strlen(terminal->type) <= STREAM_TERM_MAX &&
            terminal->type[strspn(terminal->type, letters)] == '\0');
}
