/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tools/xeno_signals.h"

#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/clock.h"

#define MOMENT_US 1000000ULL

void xeno_signals_init(struct xeno_signals *signals)
{
    memset(signals, 0, sizeof *signals);
    signals->fd = -1;
}

void xeno_signals_hold(struct xeno_signals *signals)
{
    sigset_t set;

    if (signals->fd >= 0) return;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd >= 0) sigprocmask(SIG_BLOCK, &set, &signals->before);
}

void xeno_signals_close(struct xeno_signals *signals)
{
    if (signals->fd >= 0) {
        close(signals->fd);
        sigprocmask(SIG_SETMASK, &signals->before, NULL);
    }
    xeno_signals_init(signals);
}

bool xeno_signals_heard(const struct xeno_signals *signals)
{
    return signals && signals->heard[0];
}

bool xeno_signals_over(const struct xeno_signals *signals)
{
    return xeno_signals_heard(signals) && net_mono_us() >= signals->until_us;
}

int xeno_signals_take(struct xeno_signals *signals)
{
    int first = signals->heard[0];

    signals->heard[0] = signals->heard[1];
    signals->heard[1] = 0;
    return first;
}

/* A second one asks for an end at once. */
static void hear(struct xeno_signals *signals)
{
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        int at = signals->heard[0] ? 1 : 0;

        signals->heard[at] = (int)info.ssi_signo;
        signals->until_us = net_mono_us() + (at ? 0 : MOMENT_US);
    }
}

/* What is left of a moment bounds every wait. */
static int shorter(const struct xeno_signals *signals, int timeout_ms)
{
    uint64_t now_us = net_mono_us(), left_ms = 0;

    if (!xeno_signals_heard(signals)) return timeout_ms;
    if (signals->until_us > now_us)
        left_ms = (signals->until_us - now_us + 999) / 1000;
    return timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms ? timeout_ms
                                                             : (int)left_ms;
}

void xeno_signals_wait(struct xeno_signals *signals, struct net_talk *talk,
                       struct pollfd *other, int timeout_ms)
{
    struct pollfd all[2] = {{.fd = -1}};
    unsigned n = 0;

    if (!signals || signals->fd < 0) {
        net_talk_wait(talk, other, other ? 1 : 0, timeout_ms);
        return;
    }
    if (other) all[n++] = *other;
    all[n++].fd = signals->fd;
    net_talk_wait(talk, all, n, shorter(signals, timeout_ms));
    if (other) other->revents = all[0].revents;
    if (all[n - 1].revents) hear(signals);
}

bool xeno_signals_pause(struct xeno_signals *signals, struct net_talk *talk,
                        unsigned ms)
{
    uint64_t until_us = net_mono_us() + ms * 1000ULL, now_us;

    for (;;) {
        if (xeno_signals_heard(signals)) return false;
        now_us = net_mono_us();
        if (now_us >= until_us) return true;
        xeno_signals_wait(signals, talk, NULL,
                          (int)((until_us - now_us + 999) / 1000));
    }
}
