/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of a link, whole and cut anywhere: both ways must give the same
 * messages and end alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/frame.h"
#include "wire/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The digest over all messages; *rc_out: how it ended. */
static xn_id run(const uint8_t *data, size_t len, size_t cut, int *rc_out)
{
    struct net_frames frames;
    struct xn_msg *msg;
    xn_id digest = {{0}}, before;
    size_t at = 0;
    int rc = XN_ENOENT;

    net_frames_init(&frames);
    while (at < len && rc == XN_ENOENT) {
        size_t part = cut < len - at ? cut : len - at;

        rc = net_frames_add(&frames, data + at, part);
        at += part;
        while (!rc) {
            rc = net_frames_next(&frames, &msg);
            if (rc) break;
            before = digest;
            xn_id_hash2(before.b, sizeof before.b, msg->bytes, msg->size,
                        &digest);
            if (!xn_kind_is_wire(msg->kind)) abort();
            xn_msg_free(msg);
        }
    }
    net_frames_clear(&frames);
    *rc_out = rc;
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    xn_id whole, pieces;
    int whole_rc, pieces_rc;

    if (len == 0) return 0;
    if (len > 65536) len = 65536;
    whole = run(data, len, len, &whole_rc);
    pieces = run(data, len, 1 + data[0] % 7, &pieces_rc);
    if (!xn_id_eq(&whole, &pieces) || whole_rc != pieces_rc) abort();
    return 0;
}
