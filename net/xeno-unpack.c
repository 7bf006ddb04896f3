/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno-unpack DIR BYTES: unpacks the archive on its standard input into DIR.  It
 * is started by xenohostd for each image: what reads a stranger's archive holds
 * no key, no socket, and little of anything.  Standard output gets one line, why
 * it was refused; the exit status is the error, positive. */
#include "config.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/text.h"
#include "net/unpack.h"

#define MEMORY_BYTES (512UL << 20)
#define CPU_S 600

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER
#endif
#endif

static void limit(int what, rlim_t most)
{
    struct rlimit is;

    if (getrlimit(what, &is) || is.rlim_max < most) return;
    is.rlim_cur = is.rlim_max = most;
    setrlimit(what, &is);
}

static void limit_all(void)
{
    /* Who asked for it may be killed at any time. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef UNDER_SANITIZER /* which wants both */
    prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_AS, MEMORY_BYTES);
#endif
    limit(RLIMIT_CPU, CPU_S);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 16);
    signal(SIGXFSZ, SIG_IGN);
}

int main(int argc, char **argv)
{
    char because[512];
    uint64_t bytes;
    int dir, rc;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("xeno-unpack (XenoServer) %s\n", VERSION);
        return 0;
    }
    if (argc != 3 || xn_number_parse(argv[2], INT64_MAX, &bytes)) {
        fprintf(stderr, "usage: xeno-unpack DIR BYTES <ARCHIVE\n");
        return -XN_EINVAL;
    }
    limit_all();
    umask(022);
    setlocale(LC_CTYPE, "C.UTF-8"); /* names are bytes, most of them so */
    dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        printf("cannot open the folder\n");
        return -XN_EIO;
    }
    rc = unpack(0, dir, bytes, because, sizeof because);
    close(dir);
    if (rc) printf("%s\n", because);
    return -rc;
}
