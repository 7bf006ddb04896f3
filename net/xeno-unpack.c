/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno-unpack DIR BYTES: unpacks the archive on its standard input into DIR.  It
 * is started by xenohostd for each image: what reads a stranger's archive holds
 * no key, no socket, and little of anything.  Standard output gets one line, why
 * it was refused; the exit status is the error, positive. */
#include "config.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/text.h"
#include "net/unpack.h"
#include "net/unpack_confine.h"

#define MEMORY_BYTES (256UL << 20) /* the widest window of zstd and of xz -9 */
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

#ifdef UNDER_SANITIZER /* which reads /proc at the end */
static void stay_within(int dir)
{
}

static int confine(void)
{
    return 0;
}
#else
/* Of all files only what is below `dir` can be reached from now on, to make and
 * write it: not the server's key, whatever a hostile archive brings about.  Where
 * the kernel has no Landlock that allows links between folders (Linux 5.19), the
 * limits remain. */
static void stay_within(int dir)
{
    struct landlock_ruleset_attr all = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_REFER << 1) - 1};
    struct landlock_path_beneath_attr below = {
        .allowed_access =
            LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
            LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR |
            LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |
            LANDLOCK_ACCESS_FS_REFER,
        .parent_fd = dir};
    int set = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);

    if (set < 0) return;
    if (!syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below,
                 0)) {
        syscall(SYS_landlock_restrict_self, set, 0);
    }
    close(set);
}

static int confine(void)
{
    return unpack_confine();
}
#endif

/* Has who waits for our line gone before we asked to be told? */
static void end_if_alone(void)
{
    struct pollfd line = {1, 0, 0};

    if (poll(&line, 1, 0) > 0 && line.revents & POLLERR) _exit(-XN_EIO);
}

static void limit_all(void)
{
    /* Who asked for it may be killed at any time. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    end_if_alone();
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
    stay_within(dir);
    rc = confine();
    if (rc) {
        printf("cannot give up what it does not need\n");
        return -rc;
    }
    rc = unpack(0, dir, bytes, UNPACK_ENTRIES_MAX, because, sizeof because);
    close(dir);
    if (rc) printf("%s\n", because);
    return -rc;
}
