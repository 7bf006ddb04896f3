/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From outside, processes can only be found one by one while they fork; from
 * inside, kill(-1) reaches all of a pid namespace under the kernel's own lock.
 * So a messenger goes inside, for that one call. */
#include "keeper/herd.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

#define PATIENCE_S 10 /* with a messenger that somebody keeps from running */

enum { SENT, NOBODY, NOT_ENTERED, NOT_SENT };

static void deliver(int sig)
{
    if (kill(-1, sig) == 0) _exit(SENT);
    _exit(errno == ESRCH ? NOBODY : NOT_SENT);
}

/* Whoever is of our user inside may stop it: then it never ends by itself, and
 * we would not either. */
static int await_messenger(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, WUNTRACED) != pid) return NOT_SENT;
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    if (WIFSTOPPED(status)) kill(pid, SIGKILL);
    return NOT_SENT;
}

static void enter(int init, int sig)
{
    pid_t pid;

    /* Nobody inside may look at us, nor use what we have open. */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(PATIENCE_S);
    if (setns(init, CLONE_NEWUSER | CLONE_NEWPID)) _exit(NOT_ENTERED);
    prctl(PR_SET_DUMPABLE, 0);
    close_range(3, ~0U, 0);
    pid = fork(); /* only children are in the new pid namespace */
    if (pid == 0) deliver(sig);
    _exit(pid > 0 ? await_messenger(pid) : NOT_SENT);
}

int herd_signal(int init, int signal)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) enter(init, signal);
    if (pid < 0) return XN_ENOMEM;
    status = sys_wait(pid);
    if (status < 0 || !WIFEXITED(status)) return XN_EPERM;
    switch (WEXITSTATUS(status)) {
    case SENT: return 0;
    case NOBODY: return 0;
    case NOT_ENTERED: return XN_ENOENT;
    default: return XN_EPERM;
    }
}
