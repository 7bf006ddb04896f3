/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control groups of a session, where this machine lets us have any: version 2,
 * or the controllers of version 1, each on its own. */
#ifndef KEEPER_CGROUP_H
#define KEEPER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 512

enum cgroup_what {
    CGROUP_METER, /* v2's cpu.stat, or cpuacct */
    CGROUP_CPU,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_KINDS
};

struct cgroup {
    char path[CGROUP_KINDS][CGROUP_PATH_MAX]; /* "": not to be had */
    bool v2[CGROUP_KINDS];
};

/* Where the groups of this session would be; nothing is made. */
void cgroup_plan(const char *name, struct cgroup *out);
/* Makes them; what cannot be made is not to be had. */
void cgroup_make(struct cgroup *group);
/* All of them as lines, for the sweeper; false: too long. */
bool cgroup_list(const struct cgroup *group, char *text_out, size_t len);

static inline bool cgroup_has(const struct cgroup *group, enum cgroup_what what)
{
    return group->path[what][0] != '\0';
}

/* Each false: no such limit, and the group for it is given up. */
bool cgroup_limit_cpu(struct cgroup *group, uint32_t ms_per_s);
bool cgroup_limit_memory(struct cgroup *group, uint64_t bytes);
bool cgroup_limit_processes(struct cgroup *group, uint32_t n);

/* Until it is limited again. */
void cgroup_ease_cpu(const struct cgroup *group);

/* As fork(), of a process with one thread: the child is in all of them.  What
 * did not take it is given up, in both. */
pid_t cgroup_fork(struct cgroup *group);
/* The same of groups in which others run, who may have used up their CPU time:
 * so it waits for nobody, gives up none, and the child finds out for itself
 * whether all have taken it. */
pid_t cgroup_join(const struct cgroup *group, bool *all_out);

/* What is read again and again, kept open: hundreds of keepers cost what theirs
 * cost.  -1: not to be had. */
struct cgroup_files {
    int cpu, memory, kills;
    bool v2_meter;
};
#define CGROUP_NO_FILES ((struct cgroup_files){-1, -1, -1, false})

void cgroup_open(const struct cgroup *group, struct cgroup_files *out);
/* Harmless if repeated. */
void cgroup_close(struct cgroup_files *files);

/* The file of CPU time alone, by the list of a session that has such a group. */
void cgroup_open_listed(const char *text, const char *name,
                        struct cgroup_files *out);

/* XN_ENOENT where there is no such file or number. */
int cgroup_cpu_ns(const struct cgroup_files *files, uint64_t *ns_out);
int cgroup_memory(const struct cgroup_files *files, uint64_t *bytes_out);
/* How often the kernel killed somebody in it for memory. */
int cgroup_memory_kills(const struct cgroup_files *files, uint64_t *n_out);

/* Kills who is left in it and removes it; false: it is still there. */
bool cgroup_remove(const char *path);
/* Of all lines of a list, those that are a session's of this name; false: one
 * is still there. */
bool cgroup_remove_listed(const char *text, const char *name);

/* A daemon that owns a version 2 group moves into a part of it, so that the
 * rest can have controllers.  Harmless where it does not. */
void cgroup_make_room(void);

#endif
