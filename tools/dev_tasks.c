/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks of a platform: whether there can be any, and their end with it. */
#include "tools/dev.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/tree.h"

#define WAIT_MS 20
#define TRIES 500 /* then what is left is killed */
#define AGAIN 20

/* What `xenodomd check` says stands in the log, on one line after `because`. */
static void say_why(const char *log)
{
    char line[512];
    FILE *file = fopen(log, "re");

    fputs("xenodev: servers run no tasks, they sell reserved capacity\n",
          stderr);
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "  ", 2) == 0) fputs(line, stderr);
    }
    if (file) fclose(file);
}

bool dev_tasks_possible(const struct dev_platform *platform)
{
    char program[DEV_PATH_MAX], log[DEV_PATH_MAX];
    char *argv[] = {program, (char *)(uintptr_t) "check", NULL};

    dev_program("keeper", "xenodomd", program);
    dev_path(platform, log, "log/check.log");
    if (dev_run_to(argv, log) == 0) return true;
    say_why(log);
    return false;
}

/* ---- their images --------------------------------------------------------- */

static void images_path(const struct dev_platform *platform, unsigned number,
                        char out[DEV_PATH_MAX])
{
    int n = snprintf(out, DEV_PATH_MAX, "%s/%02u", platform->images, number);

    if (n >= DEV_PATH_MAX) out[0] = '\0';
}

int dev_images_folder(const struct dev_platform *platform, unsigned number,
                      char out[DEV_PATH_MAX])
{
    int rc;

    images_path(platform, number, out);
    rc = dev_mkdir(out);
    /* As root, tasks are other users. */
    if (!rc && chmod(out, 0755)) rc = XN_EIO;
    return rc;
}

void dev_images_end(const struct dev_platform *platform)
{
    char path[DEV_PATH_MAX];

    for (unsigned i = 1; platform->images[0] && i <= platform->n_servers; i++) {
        images_path(platform, i, path);
        net_tree_remove(AT_FDCWD, path);
    }
}

/* ---- their end ----------------------------------------------------------- */

/* Of which server's sessions is this process a keeper?  It stays in the folder
 * of all sessions.  0: of none of ours. */
static unsigned keeper_of(const struct dev_platform *platform, const char *pid)
{
    char path[DEV_PATH_MAX + 64], link[64], prefix[DEV_PATH_MAX];
    unsigned number = 0;
    int end = 0;
    ssize_t n;

    snprintf(link, sizeof link, "/proc/%.20s/cwd", pid);
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = '\0';
    dev_path(platform, prefix, "domd-");
    n = (ssize_t)strlen(prefix);
    if (strncmp(path, prefix, (size_t)n) != 0) return 0;
    if (sscanf(path + n, "%u/sessions%n", &number, &end) != 1) return 0;
    return end > 0 && path[n + end] == '\0' ? number : 0;
}

/* How many there are. */
static size_t signal_keepers(const struct dev_platform *platform,
                             const bool *wanted, int sig)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    size_t n = 0;

    while (proc && (entry = readdir(proc))) {
        unsigned number;

        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        number = keeper_of(platform, entry->d_name);
        if (number == 0 || number > DEV_SERVERS_MAX || !wanted[number]) {
            continue;
        }
        n++;
        if (sig) kill((pid_t)atoi(entry->d_name), sig);
    }
    if (proc) closedir(proc);
    return n;
}

/* Control groups are not in our folder, so that wiping it does not remove
 * them. */
static int sweep_one(const struct dev_platform *platform, unsigned number)
{
    char program[DEV_PATH_MAX], state[DEV_PATH_MAX], log[DEV_PATH_MAX];
    char *argv[] = {program, (char *)(uintptr_t) "--state", state,
                    (char *)(uintptr_t) "sweep", NULL};

    dev_path(platform, state, "domd-%02u", number);
    if (access(state, F_OK)) return 0;
    dev_program("keeper", "xenodomd", program);
    dev_path(platform, log, "log/sweep-%02u.log", number);
    return dev_run_to(argv, log);
}

static void end_keepers(const struct dev_platform *platform, const bool *wanted,
                        int sig)
{
    size_t tries;

    signal_keepers(platform, wanted, sig);
    for (tries = 0; signal_keepers(platform, wanted, 0) > 0; tries++) {
        if (tries >= TRIES) signal_keepers(platform, wanted, SIGKILL);
        if (tries >= 2 * TRIES) break; /* nothing more can be done */
        poll(NULL, 0, WAIT_MS);
    }
}

void dev_tasks_end(const struct dev_platform *platform, const unsigned *numbers,
                   size_t n, int sig, bool sweep)
{
    bool wanted[DEV_SERVERS_MAX + 1] = {false};
    unsigned number;
    size_t i;
    int again = sweep ? AGAIN : 0;

    for (i = 0; i < n; i++)
        wanted[numbers[i]] = true;
    for (number = 1; n == 0 && number <= platform->n_servers; number++)
        wanted[number] = true;
    end_keepers(platform, wanted, sig);
    for (number = 1; sweep && number <= platform->n_servers; number++) {
        /* One that had just been started could not be told from others. */
        while (wanted[number] && sweep_one(platform, number) && again-- > 0)
            end_keepers(platform, wanted, sig);
    }
}
