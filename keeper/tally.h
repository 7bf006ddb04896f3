/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a session's control group has counted, read without its keeper: for who
 * asks of hundreds at once, and of one whose keeper was killed. */
#ifndef KEEPER_TALLY_H
#define KEEPER_TALLY_H

#include "keeper/cgroup.h"
#include "wire/task.pb-c.h"

struct tally {
    struct cgroup_files files;
    uint64_t base;         /* counted before its task began */
    Xn__TaskReading noted; /* its keeper's last when this was opened */
};
#define TALLY_CLOSED ((struct tally){.files = CGROUP_NO_FILES})

/* Of the session in that folder.  XN_ENOENT: its keeper counts otherwise, or has
 * not noted yet from what on. */
int tally_open(int folder, const char *name, struct tally *out);
/* The keeper's own reading, but for the CPU time and the time of now.  XN_ENOENT:
 * the group has gone. */
int tally_read(const struct tally *tally, Xn__TaskReading *out);
/* Harmless if repeated. */
void tally_close(struct tally *tally);

#endif
