/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Of the person before the terminal: what shows that work goes on, and the
 * wish that it ends. */
#include "tools/dev.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/err.h"

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

void dev_catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction old, act = {.sa_handler = on_signal};
    size_t i;

    sigemptyset(&act.sa_mask);
    for (i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        /* What nohup made us deaf to stays so. */
        if (sigaction(signals[i], NULL, &old) == 0 &&
            old.sa_handler != SIG_IGN) {
            sigaction(signals[i], &act, NULL);
        }
    }
}

int dev_interrupted(void)
{
    return caught ? XN_ECANCELLED : 0;
}

void dev_end_as_caught(void)
{
    if (!caught) return;
    /* A shell that runs a script goes on unless it sees us die of it. */
    signal(caught, SIG_DFL);
    raise(caught);
}

void dev_progress(const char *what, size_t done, size_t n)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r\033[K");
    if (done < n) fprintf(stderr, "xenodev: %s %zu of %zu ", what, done, n);
    fflush(stderr);
}
