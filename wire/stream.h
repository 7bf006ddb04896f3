/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a connection carries once it has been upgraded to "xeno-stream": frames,
 * both ways, of a kind (1 byte), a length (3 bytes, most significant first) and
 * that many bytes.  How fast they come is TCP's affair: whoever does not read
 * makes the other end wait. */
#ifndef WIRE_STREAM_H
#define WIRE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/task.pb-c.h"

#define STREAM_PROTOCOL "xeno-stream"
#define STREAM_HEAD 4
#define STREAM_MAX (32 << 10) /* bytes behind the head */
#define STREAM_WINDOW_LEN 4
#define STREAM_TERM_MAX 64 /* bytes of a terminal's type */

enum stream_kind {
    STREAM_DATA = 1, /* to the task: what it gets; from it: what it says */
    STREAM_ERR,      /* from a command: its standard error */
    STREAM_END,      /* no DATA comes from this side any more; no bytes */
    STREAM_OVER,   /* from the server, the last: StreamOver (wire/api.proto) */
    STREAM_WINDOW, /* to a command's terminal: its window is another now */
    STREAM_NOOP,   /* from the server, to be passed over; no bytes */
};

struct stream_head {
    enum stream_kind kind;
    size_t len;
};

void stream_head_put(enum stream_kind kind, size_t len,
                     uint8_t out[STREAM_HEAD]);
/* XN_EPROTO: no such kind, or a length that it cannot have. */
int stream_head_parse(const uint8_t data[STREAM_HEAD],
                      struct stream_head *head_out);

/* Behind the head of a WINDOW: rows and columns, 2 bytes each, most significant
 * first. */
void stream_window_put(uint16_t rows, uint16_t columns,
                       uint8_t out[STREAM_WINDOW_LEN]);
void stream_window_get(const uint8_t data[STREAM_WINDOW_LEN],
                       uint16_t *rows_out, uint16_t *columns_out);
/* Is it one that can be made?  NULL, none, is. */
bool stream_terminal_ok(const Xn__Terminal *terminal);

#endif
