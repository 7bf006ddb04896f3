/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/liveness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { LOST_S = 120, IDLE_S = 60, STEP_S = 15, STEPS = 4 };

void net_liveness_watch(int fd)
{
    const int on = 1, idle_s = IDLE_S, step_s = STEP_S, steps = STEPS;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step_s, sizeof step_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &steps, sizeof steps);
}

/* What was said again and not answered, or asked before a closed window: an answer
 * sets both to 0, be the window closed or not. */
static bool is_answered(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
           (!info.tcpi_retransmits && !info.tcpi_probes);
}

bool net_liveness_lost(struct net_liveness *liveness, int fd, uint64_t now_us)
{
    if (is_answered(fd))
        liveness->since_us = 0;
    else if (!liveness->since_us)
        liveness->since_us = now_us;
    return liveness->since_us &&
           now_us - liveness->since_us >= LOST_S * 1000000ULL;
}
