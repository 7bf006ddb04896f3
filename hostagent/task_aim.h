/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who asks for tasks: whose, and which one is meant. */
#ifndef HOSTAGENT_TASK_AIM_H
#define HOSTAGENT_TASK_AIM_H

#include "hostagent/task.h"

struct task_aim {
    xn_id caller;
    struct host_session *s;
    struct host_task *t; /* NULL: the session's are meant */
};

void task_refuse(struct host *host, uint64_t ask, int rc, const char *what,
                 const char *because, const char *try);
/* Another's session is none to him.  `operators`: the operator may as well.
 * false: refused. */
bool task_aim_session(struct host *host, uint64_t ask, const Xn__Ask *question,
                      const char *what, bool operators, const xn_id *id,
                      struct task_aim *aim);
/* 0: the last.  false: refused. */
bool task_aim_task(struct host *host, uint64_t ask, const char *what,
                   uint32_t number, struct task_aim *aim);
/* The caller's; NULL: refused. */
void *task_body(struct host *host, uint64_t ask, const Xn__Ask *question,
                const char *what, size_t max,
                const ProtobufCMessageDescriptor *type);

#endif
