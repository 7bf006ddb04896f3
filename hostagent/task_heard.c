/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xenodomd says of a task, and what the task has used by that. */
#include <string.h>

#include "hostagent/task.h"
#include "lib/err.h"

/* Whatever a machine says, it does not fall. */
static uint64_t sum(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

uint64_t task_cpu_ns(const struct host_session *s)
{
    const struct host_task *t = task_last(s);

    return t ? sum(t->record->cpu_before_ns, t->record->cpu_ns) : 0;
}

uint64_t task_saved_ms(const struct host_session *s)
{
    const struct host_task *t = task_last(s);

    return t ? sum(t->record->saved_before_ms, t->record->saved_ms) : 0;
}

void task_traffic(const struct host_session *s, uint64_t *sent_out,
                  uint64_t *got_out)
{
    const struct host_task *t = task_last(s);

    *sent_out = t ? sum(t->record->sent_before, t->record->sent_bytes) : 0;
    *got_out = t ? sum(t->record->got_before, t->record->got_bytes) : 0;
}

/* A reading of before the last one changes nothing. */
static void take_reading(struct host_task *t, const Xn__TaskReading *reading)
{
    Xn__TaskRecord *r = t->record;

    if (reading->cpu_ns > r->cpu_ns) r->cpu_ns = reading->cpu_ns;
    if (reading->sent_bytes > r->sent_bytes)
        r->sent_bytes = reading->sent_bytes;
    if (reading->got_bytes > r->got_bytes) r->got_bytes = reading->got_bytes;
    if (reading->saved_ms > r->saved_ms) r->saved_ms = reading->saved_ms;
    r->exact = reading->exact;
}

void task_read(struct host_session *s, const Xn__TaskReading *reading)
{
    struct host_task *t = task_last(s);

    if (t && !t->record->exit) take_reading(t, reading);
}

static bool is_of(const struct host_session *s, const struct host_task *t,
                  const Xn__TaskStatus *status)
{
    char name[TASK_NAME_MAX];

    task_name(s, t->number, name);
    return strcmp(name, status->name) == 0;
}

void task_take_status(struct host_session *s, const struct xn_now *now,
                      struct host_task *t, const Xn__TaskStatus *status)
{
    Xn__TaskRecord *r = t->record;

    if (r->exit) return;
    if (status->reading) {
        take_reading(t, status->reading);
        t->memory_bytes = status->reading->memory_bytes;
    }
    t->state = status->state;
    t->console_bytes = status->console_bytes;
    t->address = status->address;
    t->has_address6 = status->address6.len == sizeof t->address6;
    if (t->has_address6)
        memcpy(t->address6, status->address6.data, sizeof t->address6);
    s->work.sure = true;
    if (status->exit) {
        if (status->exit->reading) take_reading(t, status->exit->reading);
        if (task_set_exit(t, status->exit)) s->host->out.rc = XN_ENOMEM;
    }
    if (r->seen || t->state == XN__TASK_STATE__STARTING) return;
    r->seen = true;
    r->started_us = status->exit ? status->exit->started_us : now->wall_us;
    t->dirty = true;
    if (status->exit) return; /* told once it is on record */
    task_log(s, t, "runs", "");
    task_trim(t);
    task_tell(s, t);
    sandbox_runs(s, now);
}

const Xn__TaskStatus *task_status_in(const struct host_session *s,
                                     const struct host_task *t,
                                     const Xn__DomTell *tell)
{
    if (!tell || tell->n_tasks != 1 || !is_of(s, t, tell->tasks[0]))
        return NULL;
    return tell->tasks[0];
}

void task_heard(struct host_session *s, const struct xn_now *now,
                const Xn__TaskStatus *status)
{
    struct host_task *t = task_last(s);

    if (!t || t->over || !t->stored || !is_of(s, t, status)) return;
    task_take_status(s, now, t, status);
    task_go(s, now);
}
