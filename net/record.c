/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/record.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/err.h"
#include "lib/log.h"
#include "seam/record.h"

enum { BUFFER = 256 * 1024 };

struct net_record {
    int fd;
    struct event *tick;
    struct xn_buf buf;
    bool failed; /* said so, and stopped */
};

static void fail(struct net_record *record, const char *why)
{
    xn_log(XN_LOG_ERROR, "the recording ends here: %s", why);
    record->failed = true;
    xn_buf_clear(&record->buf);
}

static void write_out(struct net_record *record)
{
    size_t at = 0;

    while (at < record->buf.len && !record->failed) {
        ssize_t n =
            write(record->fd, record->buf.data + at, record->buf.len - at);

        if (n > 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            fail(record, strerror(errno));
            return;
        }
    }
    record->buf.len = 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    write_out(arg);
}

int net_record_new(struct event_base *base, const char *path,
                   struct net_record **record_out)
{
    struct net_record *record = calloc(1, sizeof *record);
    struct timeval tick = {1, 0};

    if (!record) return XN_ENOMEM;
    record->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (record->fd < 0) {
        free(record);
        return errno == EEXIST ? XN_ECONFLICT : XN_EIO;
    }
    record->tick = event_new(base, -1, EV_PERSIST, on_tick, record);
    if (!record->tick || event_add(record->tick, &tick)) {
        net_record_free(record);
        return XN_ENOMEM;
    }
    *record_out = record;
    return 0;
}

void net_record_free(struct net_record *record)
{
    if (!record) return;
    write_out(record);
    if (record->tick) event_free(record->tick);
    if (close(record->fd)) fail(record, strerror(errno));
    xn_buf_clear(&record->buf);
    free(record);
}

static void wrote(struct net_record *record, int rc)
{
    if (rc) {
        fail(record, xn_strerror(rc));
    } else if (record->buf.len >= BUFFER) {
        write_out(record);
    }
}

void net_record_head(struct net_record *record, const char *program,
                     uint64_t seed, const void *config, size_t len)
{
    Xn__Recording head = XN__RECORDING__INIT;

    head.program = (char *)(uintptr_t)program;
    head.version = (char *)(uintptr_t)VERSION;
    head.seed = seed;
    head.config.data = (uint8_t *)(uintptr_t)config;
    head.config.len = len;
    wrote(record, xn_record_head(&head, &record->buf));
}

void net_record_step(struct net_record *record, const struct xn_now *now,
                     const struct xn_event *ev, const struct xn_outbox *box)
{
    xn_id digest;

    if (record->failed) return;
    xn_record_digest(box, &digest);
    wrote(record, xn_record_step(now, ev, &digest, &record->buf));
}
