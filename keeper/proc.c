/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "keeper/sandbox.h"
#include "keeper/sys.h"
#include "lib/err.h"

typedef void visit_fn(pid_t pid, void *context);

static bool namespace_of(const char *pid, char *out, size_t len)
{
    char path[PATH_MAX];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%s/ns/pid", pid);
    n = readlink(path, out, len - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    return true;
}

static int walk(pid_t init, visit_fn *visit, void *context)
{
    char wanted[64], ns[64], name[16];
    struct dirent *entry;
    DIR *dir;

    snprintf(name, sizeof name, "%d", (int)init);
    if (!namespace_of(name, wanted, sizeof wanted)) return XN_ENOENT;
    dir = opendir("/proc");
    if (!dir) return XN_ENOENT;
    while ((entry = readdir(dir))) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        if (!namespace_of(entry->d_name, ns, sizeof ns)) continue;
        if (strcmp(ns, wanted) == 0) {
            visit((pid_t)strtol(entry->d_name, NULL, 10), context);
        }
    }
    closedir(dir);
    return 0;
}

static uint64_t ticks_ns(unsigned long long ticks)
{
    return ticks * (1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static void add(pid_t pid, void *context)
{
    unsigned long long user, system, child_user, child_system;
    struct proc_sum *sum = context;
    uint64_t kib;
    char path[64], text[1024];
    const char *at;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (sys_read_text(AT_FDCWD, path, text, sizeof text) <= 0) return;
    at = strrchr(text, ')'); /* the name before it may hold anything */
    if (!at || sscanf(at,
                      ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
                      " %llu %llu %llu %llu",
                      &user, &system, &child_user, &child_system) != 4) {
        return;
    }
    sum->cpu_ns += ticks_ns(user + system + child_user + child_system);
    sum->n++;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (sys_read_number(path, "RssAnon:", &kib) == 0)
        sum->memory_bytes += kib << 10;
    if (sys_read_number(path, "RssShmem:", &kib) == 0)
        sum->memory_bytes += kib << 10;
}

int proc_sum(pid_t init, struct proc_sum *out)
{
    memset(out, 0, sizeof *out);
    return walk(init, add, out);
}

/* Shared memory that is no file of a temporary file system: of those, whether
 * they are mapped or not, the file system's own count is taken. */
static bool is_unnamed(const char *line)
{
    return strstr(line, " /dev/zero (deleted)") || strstr(line, " /memfd:") ||
           strstr(line, " /SYSV") || strstr(line, " [anon_shmem:");
}

static uint64_t shared_kib(pid_t pid)
{
    char path[64], line[512];
    uint64_t sum = 0, kib;
    bool counts = false;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    maps = fopen(path, "re");
    if (!maps) return 0;
    while (fgets(line, sizeof line, maps)) {
        if (isdigit((unsigned char)line[0]) || islower((unsigned char)line[0]))
            counts = is_unnamed(line);
        else if (counts && sscanf(line, "Pss: %" SCNu64, &kib) == 1)
            sum += kib;
    }
    fclose(maps);
    return sum;
}

static void add_exact(pid_t pid, void *context)
{
    uint64_t *sum = context, kib;
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    if (sys_read_number(path, "Pss_Anon:", &kib) == 0) *sum += kib << 10;
    if (sys_read_number(path, "Pss_Shmem:", &kib) == 0 && kib > 0)
        *sum += shared_kib(pid) << 10;
}

int proc_memory_exact(pid_t init, uint64_t *bytes_out)
{
    *bytes_out = 0;
    return walk(init, add_exact, bytes_out);
}

uint64_t proc_disk_bytes(pid_t init, uint64_t size)
{
    static const char *const folders[] = {SANDBOX_HOME, "/tmp", "/dev/shm"};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), sum = 0;
    struct statvfs fs;
    char path[64];
    size_t i;

    for (i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "/proc/%d/root%s", (int)init, folders[i]);
        if (statvfs(path, &fs)) continue;
        /* A process that is ending may show another root, so they are known
         * by their size. */
        if ((uint64_t)fs.f_blocks * fs.f_frsize / page ==
            (size + page - 1) / page) {
            sum += (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
            /* an empty file costs the kernel about a KiB */
            sum += (uint64_t)(fs.f_files - fs.f_ffree) << 10;
        }
    }
    return sum;
}
