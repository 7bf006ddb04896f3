/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/nft.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>

#include "lib/err.h"

#define RUN "PATH=$PATH:/usr/sbin:/sbin exec nft -f -"
#define NOT_FOUND 127 /* by the shell */

static int run(const char *command, const char *text)
{
    void (*before)(int) = signal(SIGCHLD, SIG_DFL); /* else none is told of */
    void (*pipe)(int) = signal(SIGPIPE, SIG_IGN);
    FILE *to = popen(command, "we");
    bool sent = to && fputs(text, to) >= 0;
    int status = to ? pclose(to) : -1;

    signal(SIGPIPE, pipe);
    signal(SIGCHLD, before);
    return sent || status ? status : -1;
}

int nft_run(const char *text, char *because_out, size_t len)
{
    int status = run(because_out ? RUN : RUN " 2>/dev/null", text);

    if (!status) return 0;
    if (because_out && WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        snprintf(because_out, len, "there is no nft on this machine");
    else if (because_out)
        snprintf(because_out, len, "nft does not take its rules (status %d)",
                 status);
    return XN_EREFUSED;
}
