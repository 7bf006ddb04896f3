/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes over an upgraded connection, at either end of it, or from what it
 * leads to: its first byte says which, and whether the other has closed.  Whatever
 * it is, it comes to an end, and no more comes out than went in, but for why. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "net/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MAX = 65536, TURNS_MAX = 1000, OVER_MAX = 400 };

static void on_over(void *arg, int rc, const char *because)
{
    bool *over = arg;

    if (*over || rc > 0 || !because) abort();
    *over = true;
}

static void open_pair(int out[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, out)) abort();
}

static size_t drain(int fd)
{
    uint8_t data[4096];
    size_t sum = 0;
    ssize_t n;

    while ((n = read(fd, data, sizeof data)) > 0)
        sum += (size_t)n;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool over = false;
    struct net_relay_config config = {.over = on_over, .arg = &over};
    struct net_relay *relay = NULL;
    size_t in = 0, out = 0;
    int far[2], near[2], from, to;
    unsigned turns = 0;

    if (len < 1 || len > INPUT_MAX) return 0;
    open_pair(far);
    open_pair(near);
    config.base = event_base_new();
    config.far =
        bufferevent_socket_new(config.base, far[0], BEV_OPT_CLOSE_ON_FREE);
    config.serves = data[0] & 1;
    config.whole = data[0] & 4;
    config.lost = "it is lost";
    config.near = net_relay_socket(config.base, near[0]);
    if (net_relay_new(&config, &relay)) abort();
    from = data[0] & 8 ? near[1] : far[1];
    to = data[0] & 8 ? far[1] : near[1];
    if (data[0] & 2) shutdown(to, SHUT_WR);
    while (!over) {
        ssize_t n = in + 1 < len
                        ? send(from, data + 1 + in, len - 1 - in, MSG_NOSIGNAL)
                        : 0;

        if (n > 0) in += (size_t)n;
        if (in + 1 >= len) shutdown(from, SHUT_WR);
        if (data[0] & 8 && turns > 9) shutdown(to, SHUT_WR);
        event_base_loop(config.base, EVLOOP_NONBLOCK);
        out += drain(to);
        drain(from);
        if (++turns > TURNS_MAX) abort();
    }
    out += drain(to);
    if (data[0] & 8 && !config.whole) in += (in / 1024 + 2) * 4; /* heads */
    if (out > in + (data[0] & 8 ? OVER_MAX : 0)) abort();
    net_relay_free(relay);
    bufferevent_free(config.far);
    event_base_free(config.base);
    close(far[1]);
    close(near[1]);
    return 0;
}
