/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

#define TEXT_MAX (64 << 10)
#define PREFIX "xeno-"
#define DAEMON "xenodomd" /* the part of a group where the daemon sits */
#define ROOT "/sys/fs/cgroup"
#define PERIOD_US 100000      /* in which a cap is held */
#define PERIOD_US_MAX 1000000 /* the kernel's most */
#define QUOTA_US_MIN 1000     /* the kernel's least */
#define EASE_MS_PER_S 1000000 /* more than any machine has */

static const char *const controller[CGROUP_KINDS] = {"cpuacct", "cpu", "memory",
                                                     "pids"};

/* Is `word` one of a list with commas? */
static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);

    while (list) {
        if (strncmp(list, word, n) == 0 && (list[n] == ',' || !list[n])) {
            return true;
        }
        list = strchr(list, ',');
        if (list) list++;
    }
    return false;
}

/* This process's group in the hierarchy with that controller; "": version 2.
 * Lines are "number:controllers:path". */
static bool own_path(const char *wanted, char *out, size_t len)
{
    char text[8192], *line, *save = NULL;

    if (sys_read_text(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) < 0) {
        return false;
    }
    for (line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char *list = strchr(line, ':'), *path;

        if (!list) continue;
        path = strchr(++list, ':');
        if (!path) continue;
        *path++ = '\0';
        if (wanted[0] ? !in_list(list, wanted) : list[0] != '\0') continue;
        return snprintf(out, len, "%s", path) < (int)len;
    }
    return false;
}

/* Where that hierarchy is mounted, and which part of it: fields 5 and 4 of
 * mountinfo; type and options stand behind " - ". */
static bool mounted(const char *wanted, char *point, char *root, size_t len)
{
    char *text = malloc(TEXT_MAX), *line, *save = NULL;
    bool found = false;

    if (!text ||
        sys_read_text(AT_FDCWD, "/proc/self/mountinfo", text, TEXT_MAX) < 0) {
        free(text);
        return false;
    }
    for (line = strtok_r(text, "\n", &save); line && !found;
         line = strtok_r(NULL, "\n", &save)) {
        char from[256], at[256], type[32], options[256];
        const char *rest = strstr(line, " - ");

        if (!rest || sscanf(line, "%*s %*s %*s %255s %255s", from, at) != 2 ||
            sscanf(rest, " - %31s %*s %255s", type, options) != 2) {
            continue;
        }
        found = wanted[0]
                    ? strcmp(type, "cgroup") == 0 && in_list(options, wanted)
                    : strcmp(type, "cgroup2") == 0;
        if (found) {
            snprintf(root, len, "%s", from);
            snprintf(point, len, "%s", at);
        }
    }
    free(text);
    return found;
}

/* The folder of this process's own group. */
static bool own_folder(const char *wanted, char *out)
{
    char path[256], point[256], root[256];
    const char *rest = path;
    size_t n;

    if (!own_path(wanted, path, sizeof path) ||
        !mounted(wanted, point, root, sizeof root)) {
        return false;
    }
    n = strlen(root);
    if (n > 1 && strncmp(path, root, n) == 0) rest = path + n;
    if (strcmp(rest, "/") == 0) rest = "";
    n = (size_t)snprintf(out, CGROUP_PATH_MAX, "%s%s", point, rest);
    return n < CGROUP_PATH_MAX && strncmp(out, ROOT, strlen(ROOT)) == 0 &&
           (out[strlen(ROOT)] == '/' || !out[strlen(ROOT)]);
}

/* Version 2: the group next to the daemon's own part, or within ours. */
static bool parent_v2(char *out)
{
    char *last;

    if (!own_folder("", out)) return false;
    last = strrchr(out, '/');
    if (last && strcmp(last, "/" DAEMON) == 0) *last = '\0';
    return true;
}

static bool v2_has(const char *parent, const char *name)
{
    char path[CGROUP_PATH_MAX + 32], text[256], *at;
    size_t n = strlen(name);

    snprintf(path, sizeof path, "%s/cgroup.controllers", parent);
    if (sys_read_text(AT_FDCWD, path, text, sizeof text) < 0) return false;
    for (at = text; (at = strstr(at, name)); at += n) {
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || !at[n])) {
            return true;
        }
    }
    return false;
}

/* Children get the controller; fails where processes sit in the parent. */
static bool v2_hand_down(const char *parent, const char *name)
{
    char path[CGROUP_PATH_MAX + 32], word[32];

    if (!v2_has(parent, name)) return false;
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", parent);
    snprintf(word, sizeof word, "+%s", name);
    return sys_write_text(AT_FDCWD, path, word) == 0;
}

static bool join(char *out, const char *folder, const char *name)
{
    int n = snprintf(out, CGROUP_PATH_MAX, "%s/" PREFIX "%s", folder, name);

    if (n > 0 && n < CGROUP_PATH_MAX) return true;
    out[0] = '\0';
    return false;
}

/* Version 1 keeps a sum.  Version 2's is gathered when it is read, from groups
 * beside it as well: some 100 us among hundreds of them. */
static bool plan_meter(const char *name, struct cgroup *out)
{
    char folder[CGROUP_PATH_MAX];

    return own_folder(controller[CGROUP_METER], folder) &&
           access(folder, W_OK) == 0 &&
           join(out->path[CGROUP_METER], folder, name);
}

void cgroup_plan(const char *name, struct cgroup *out)
{
    char folder[CGROUP_PATH_MAX] = "";
    bool v2 = parent_v2(folder) && access(folder, W_OK) == 0, v1;
    int i;

    memset(out, 0, sizeof *out);
    v1 = plan_meter(name, out);
    for (i = 0; i < CGROUP_KINDS; i++) {
        /* cpu.stat counts without a controller */
        if (v2 &&
            (i == CGROUP_METER ? !v1 : v2_hand_down(folder, controller[i])))
            out->v2[i] = join(out->path[i], folder, name);
    }
    for (i = 0; i < CGROUP_KINDS; i++) {
        if (!cgroup_has(out, i) && own_folder(controller[i], folder)) {
            join(out->path[i], folder, name);
        }
    }
}

static void give_up(struct cgroup *group, enum cgroup_what what)
{
    int i;

    for (i = 0; i < CGROUP_KINDS; i++) {
        if (i != (int)what && strcmp(group->path[i], group->path[what]) == 0) {
            break; /* another limit's as well */
        }
    }
    if (i == CGROUP_KINDS) rmdir(group->path[what]);
    group->path[what][0] = '\0';
}

void cgroup_make(struct cgroup *group)
{
    int i;

    for (i = 0; i < CGROUP_KINDS; i++) {
        if (!cgroup_has(group, i)) continue;
        if (mkdir(group->path[i], 0755) && errno != EEXIST) {
            group->path[i][0] = '\0';
        }
    }
}

bool cgroup_list(const struct cgroup *group, char *text_out, size_t len)
{
    size_t at = 0;
    int i, n;

    text_out[0] = '\0';
    for (i = 0; i < CGROUP_KINDS; i++) {
        if (!cgroup_has(group, i)) continue;
        n = snprintf(text_out + at, len - at, "%s\n", group->path[i]);
        if (n < 0 || (size_t)n >= len - at) return false;
        at += (size_t)n;
    }
    return true;
}

static bool put(const struct cgroup *group, enum cgroup_what what,
                const char *file, const char *text)
{
    char path[CGROUP_PATH_MAX + 48];

    snprintf(path, sizeof path, "%s/%s", group->path[what], file);
    return sys_write_text(AT_FDCWD, path, text) == 0;
}

static bool put_number(const struct cgroup *group, enum cgroup_what what,
                       const char *file, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, number);
    return put(group, what, file, text);
}

static bool put_cap(const struct cgroup *group, uint32_t ms_per_s)
{
    uint64_t period = PERIOD_US, quota = ms_per_s * period / 1000;
    char text[64];

    if (quota < QUOTA_US_MIN) { /* a small share in a longer time */
        period = PERIOD_US_MAX;
        quota = ms_per_s * period / 1000;
    }
    if (quota < QUOTA_US_MIN) quota = QUOTA_US_MIN;
    snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64, quota, period);
    if (group->v2[CGROUP_CPU]) return put(group, CGROUP_CPU, "cpu.max", text);
    return put_number(group, CGROUP_CPU, "cpu.cfs_period_us", period) &&
           put_number(group, CGROUP_CPU, "cpu.cfs_quota_us", quota);
}

bool cgroup_limit_cpu(struct cgroup *group, uint32_t ms_per_s)
{
    if (!cgroup_has(group, CGROUP_CPU)) return false;
    if (put_cap(group, ms_per_s)) return true;
    give_up(group, CGROUP_CPU);
    return false;
}

/* Where a group above is held to less, this one stays as it is. */
void cgroup_ease_cpu(const struct cgroup *group)
{
    if (cgroup_has(group, CGROUP_CPU)) put_cap(group, EASE_MS_PER_S);
}

bool cgroup_limit_memory(struct cgroup *group, uint64_t bytes)
{
    enum cgroup_what what = CGROUP_MEMORY;
    bool ok;

    if (!cgroup_has(group, what)) return false;
    if (group->v2[what]) {
        ok = put_number(group, what, "memory.max", bytes);
        put(group, what, "memory.swap.max", "0");
    } else {
        ok = put_number(group, what, "memory.limit_in_bytes", bytes);
        put_number(group, what, "memory.memsw.limit_in_bytes", bytes);
    }
    if (!ok) give_up(group, what);
    return ok;
}

bool cgroup_limit_processes(struct cgroup *group, uint32_t n)
{
    if (!cgroup_has(group, CGROUP_PIDS)) return false;
    if (put_number(group, CGROUP_PIDS, "pids.max", n)) return true;
    give_up(group, CGROUP_PIDS);
    return false;
}

/* As fork().  To be made in a group costs nothing; to be moved into one waits for
 * all processors (the kernel's lock against forks), some 14 ms. */
static pid_t clone_into(const char *folder)
{
    struct clone_args args = {.flags = CLONE_INTO_CGROUP,
                              .exit_signal = SIGCHLD};
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t pid;

    if (fd < 0) return -1;
    args.cgroup = (uint64_t)fd;
    pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    close(fd);
    return pid;
}

static pid_t clone_v2(const struct cgroup *group)
{
    int i;

    for (i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup_has(group, i) && group->v2[i])
            return clone_into(group->path[i]); /* version 2 has one for all */
    }
    return -1;
}

/* The child: into all but where it is.  A thread that moves itself alone, which
 * version 1 lets it, waits for nobody either. */
static unsigned enter(const struct cgroup *group, bool in_v2)
{
    unsigned in = 0;
    int i;

    for (i = 0; i < CGROUP_KINDS; i++) {
        if (!cgroup_has(group, i)) continue;
        if ((in_v2 && group->v2[i]) ||
            put(group, i, group->v2[i] ? "cgroup.procs" : "tasks", "0"))
            in |= 1U << i;
    }
    return in;
}

/* In the child *in_out has a bit for each that it is in. */
static pid_t fork_into(const struct cgroup *group, uint8_t *in_out)
{
    pid_t pid = clone_v2(group);
    bool cloned = pid >= 0;

    if (!cloned) pid = fork();
    if (pid != 0) return pid;
    sys_lose_precedence(); /* which version 1 takes into no new group */
    *in_out = (uint8_t)enter(group, cloned);
    return 0;
}

pid_t cgroup_fork(struct cgroup *group)
{
    uint8_t in = 0;
    int ends[2], i;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC)) return -1;
    pid = fork_into(group, &in);
    if (pid == 0) (void)sys_write_all(ends[1], &in, 1);
    close(ends[1]);
    if (pid > 0 && read(ends[0], &in, 1) != 1) in = 0; /* it has died */
    close(ends[0]);
    for (i = 0; pid >= 0 && i < CGROUP_KINDS; i++) {
        if (cgroup_has(group, i) && !(in & 1U << i)) give_up(group, i);
    }
    return pid;
}

pid_t cgroup_join(const struct cgroup *group, bool *all_out)
{
    uint8_t in = 0;
    pid_t pid = fork_into(group, &in);

    *all_out = true;
    for (int i = 0; pid == 0 && i < CGROUP_KINDS; i++) {
        if (cgroup_has(group, i) && !(in & 1U << i)) *all_out = false;
    }
    return pid;
}

/* ---- readings ------------------------------------------------------------ */

static int open_file(const struct cgroup *group, enum cgroup_what what,
                     const char *v1, const char *v2)
{
    char path[CGROUP_PATH_MAX + 48];

    if (!cgroup_has(group, what)) return -1;
    snprintf(path, sizeof path, "%s/%s", group->path[what],
             group->v2[what] ? v2 : v1);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void cgroup_open(const struct cgroup *group, struct cgroup_files *out)
{
    out->v2_meter = group->v2[CGROUP_METER];
    out->cpu = open_file(group, CGROUP_METER, "cpuacct.usage", "cpu.stat");
    out->memory = open_file(group, CGROUP_MEMORY, "memory.usage_in_bytes",
                            "memory.current");
    out->kills =
        open_file(group, CGROUP_MEMORY, "memory.oom_control", "memory.events");
}

void cgroup_close(struct cgroup_files *files)
{
    if (files->cpu >= 0) close(files->cpu);
    if (files->memory >= 0) close(files->memory);
    if (files->kills >= 0) close(files->kills);
    *files = CGROUP_NO_FILES;
}

int cgroup_cpu_ns(const struct cgroup_files *files, uint64_t *ns_out)
{
    uint64_t us;
    int rc;

    if (!files->v2_meter) return sys_reread_number(files->cpu, "", ns_out);
    rc = sys_reread_number(files->cpu, "usage_usec ", &us);
    if (!rc) *ns_out = us * 1000;
    return rc;
}

int cgroup_memory(const struct cgroup_files *files, uint64_t *bytes_out)
{
    return sys_reread_number(files->memory, "", bytes_out);
}

int cgroup_memory_kills(const struct cgroup_files *files, uint64_t *n_out)
{
    return sys_reread_number(files->kills, "oom_kill ", n_out);
}

/* ---- the end ------------------------------------------------------------- */

static void kill_all(const char *path)
{
    char procs[CGROUP_PATH_MAX + 32], text[8192], *at, *save = NULL;
    long pid;

    snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
    if (sys_read_text(AT_FDCWD, procs, text, sizeof text) <= 0) return;
    for (at = strtok_r(text, "\n", &save); at;
         at = strtok_r(NULL, "\n", &save)) {
        pid = strtol(at, NULL, 10);
        if (pid > 1) kill((pid_t)pid, SIGKILL);
    }
}

bool cgroup_remove(const char *path)
{
    int tries;

    for (tries = 0; tries < 200; tries++) {
        if (rmdir(path) == 0 || errno == ENOENT) return true;
        kill_all(path);
        poll(NULL, 0, 10); /* nothing tells when the last one has gone */
    }
    return false;
}

/* A line of a list, of n bytes.  The list is ours, but what it names is checked
 * all the same. */
static bool take_line(const char *line, size_t n, const char *name,
                      char path_out[CGROUP_PATH_MAX])
{
    char end[128];
    size_t tail = (size_t)snprintf(end, sizeof end, "/" PREFIX "%s", name);

    if (n >= CGROUP_PATH_MAX || n < tail) return false;
    memcpy(path_out, line, n);
    path_out[n] = '\0';
    return strncmp(path_out, ROOT "/", strlen(ROOT "/")) == 0 &&
           !strstr(path_out, "/../") && strcmp(path_out + n - tail, end) == 0;
}

bool cgroup_remove_listed(const char *text, const char *name)
{
    char path[CGROUP_PATH_MAX];
    bool all = true;
    size_t n;

    for (; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (take_line(text, n, name, path) && !cgroup_remove(path)) all = false;
    }
    return all;
}

void cgroup_open_listed(const char *text, const char *name,
                        struct cgroup_files *out)
{
    struct cgroup group = {0};
    char *path = group.path[CGROUP_METER];

    *out = CGROUP_NO_FILES;
    if (!take_line(text, strcspn(text, "\n"), name, path)) return;
    out->cpu = open_file(&group, CGROUP_METER, "cpuacct.usage", "");
    if (out->cpu >= 0) return;
    group.v2[CGROUP_METER] = out->v2_meter = true;
    out->cpu = open_file(&group, CGROUP_METER, "", "cpu.stat");
}

void cgroup_make_room(void)
{
    char own[CGROUP_PATH_MAX], part[CGROUP_PATH_MAX + 32];

    char controllers[256];

    if (!own_folder("", own) || access(own, W_OK) != 0) return;
    if (strcmp(strrchr(own, '/'), "/" DAEMON) == 0) return;
    snprintf(part, sizeof part, "%s/cgroup.controllers", own);
    if (sys_read_text(AT_FDCWD, part, controllers, sizeof controllers) <= 0) {
        return; /* nothing to gain */
    }
    snprintf(part, sizeof part, "%s/" DAEMON, own);
    if (mkdir(part, 0755) && errno != EEXIST) return;
    snprintf(part, sizeof part, "%s/" DAEMON "/cgroup.procs", own);
    if (sys_write_text(AT_FDCWD, part, "0")) {
        snprintf(part, sizeof part, "%s/" DAEMON, own);
        rmdir(part);
    }
}
