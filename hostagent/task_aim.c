/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/task_aim.h"

#include "lib/err.h"
#include "wire/nest.h"

void task_refuse(struct host *host, uint64_t ask, int rc, const char *what,
                 const char *because, const char *try)
{
    xn_out_refuse(&host->out, ask, rc, what, because, try);
}

bool task_aim_session(struct host *host, uint64_t ask, const Xn__Ask *question,
                      const char *what, bool operators, const xn_id *id,
                      struct task_aim *aim)
{
    bool all = operators && host_is_operator(host, question->caller);

    if (all)
        aim->caller = host->config.id;
    else if (!host_admits(host, ask, question, what, &aim->caller))
        return false;
    aim->s = session_find(host, id);
    if (aim->s && aim->s->state != XN__SESSION_STATE__SESSION_NONE &&
        (all || xn_id_eq(&aim->s->holder, &aim->caller))) {
        return true;
    }
    task_refuse(host, ask, XN_ENOENT, what, "you have no such session here",
                "GET /v1/sessions");
    return false;
}

bool task_aim_task(struct host *host, uint64_t ask, const char *what,
                   uint32_t number, struct task_aim *aim)
{
    aim->t = number ? task_find(aim->s, number) : task_last(aim->s);
    if (aim->t) return true;
    task_refuse(host, ask, XN_ENOENT, what, "the session has no such task",
                "GET /v1/tasks?session=ID");
    return false;
}

void *task_body(struct host *host, uint64_t ask, const Xn__Ask *question,
                const char *what, size_t max,
                const ProtobufCMessageDescriptor *type)
{
    void *body = NULL;

    if (question->body.len > max) {
        task_refuse(host, ask, XN_ETOOBIG, what,
                    "the body is larger than it can be", "less of it");
        return NULL;
    }
    body = xn_unpack(type, question->body.data, question->body.len);
    if (!body) {
        task_refuse(host, ask, XN_EPROTO, what,
                    "the body is not what this path takes",
                    "what doc/PROTOCOL.md has for it");
    }
    return body;
}
