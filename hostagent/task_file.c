/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks and their records, and as others see them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/hex.h"
#include "lib/text.h"

#define NAME_BYTES 16 /* of the session's id */

/* ---- names ---- */

void task_name(const struct host_session *s, uint32_t number,
               char out[TASK_NAME_MAX])
{
    xn_hex(s->id.b, NAME_BYTES, out);
    snprintf(out + 2 * NAME_BYTES, TASK_NAME_MAX - 2 * NAME_BYTES, "-%" PRIu32,
             number);
}

bool task_name_parse(const char *name, uint8_t session_out[16],
                     uint32_t *number_out)
{
    uint64_t number;

    if (strlen(name) <= 2 * NAME_BYTES + 1 || name[2 * NAME_BYTES] != '-' ||
        xn_unhex(name, 2 * NAME_BYTES, session_out, NAME_BYTES) ||
        xn_number_parse(name + 2 * NAME_BYTES + 1, UINT32_MAX, &number)) {
        return false;
    }
    *number_out = (uint32_t)number;
    return number > 0;
}

/* ---- in memory ---- */

static void task_free(struct host_task *t)
{
    if (t->record) xn__task_record__free_unpacked(t->record, NULL);
    free(t->image);
    free(t);
}

void task_clear_all(struct host_session *s)
{
    while (s->work.n)
        task_free(s->work.tasks[--s->work.n]);
}

static int append(struct host_session *s, uint32_t number,
                  struct host_task **t_out)
{
    struct host_work *w = &s->work;
    struct host_task *t = calloc(1, sizeof *t);

    if (!t) return XN_ENOMEM;
    if (w->n == TASKS_KEPT) { /* its records were dropped before */
        task_free(w->tasks[0]);
        memmove(w->tasks, w->tasks + 1, --w->n * sizeof *w->tasks);
    }
    t->number = number;
    w->tasks[w->n++] = t;
    *t_out = t;
    return 0;
}

static void take_back(struct host_session *s)
{
    task_free(s->work.tasks[--s->work.n]);
}

/* A copy of a message, as one that was unpacked. */
static void *copy_of(const void *message)
{
    const ProtobufCMessage *m = message;
    uint8_t *bytes = NULL;
    size_t len;
    void *copy;

    if (xn_pack(message, &bytes, &len)) return NULL;
    copy = protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
    free(bytes);
    return copy;
}

int task_add(struct host_session *s, const struct xn_now *now,
             const Xn__NewTask *want, const xn_id *request)
{
    static const xn_id none = {{0}};
    Xn__TaskRecord record = XN__TASK_RECORD__INIT;
    const struct host_task *last = task_last(s);
    struct host_task *t;
    Xn__TaskSpec spec;
    int rc;

    task_spec(s, want, &spec);
    record.word = want->request.len ? want->request : xn_id_bytes(&none);
    record.request = xn_id_bytes(request);
    record.last = want->last;
    record.created_us = now->wall_us;
    record.cpu_before_ns = task_cpu_ns(s);
    record.saved_before_ms = task_saved_ms(s);
    task_traffic(s, &record.sent_before, &record.got_before);
    record.exact = true;
    record.spec = &spec;
    record.image = want->image;
    rc = append(s, last ? last->number + 1 : 1, &t);
    if (rc) return rc;
    t->record = copy_of(&record);
    t->dirty = true;
    if (t->record) return 0;
    take_back(s);
    return XN_ENOMEM;
}

void task_trim(struct host_task *t)
{
    Xn__TaskSpec *spec = t->record->spec;
    size_t bytes = 0, n = 0;

    while (n < spec->n_argv && bytes + strlen(spec->argv[n]) < TASK_ARGV_TOLD)
        bytes += strlen(spec->argv[n++]) + 1;
    while (spec->n_argv > n)
        free(spec->argv[--spec->n_argv]);
    while (spec->n_env)
        free(spec->env[--spec->n_env]);
    while (spec->n_put)
        xn__task_file__free_unpacked(spec->put[--spec->n_put], NULL);
}

int task_set_advice(struct host_task *t, const char *advice)
{
    char *copy = strdup(advice);

    if (!copy) return XN_ENOMEM;
    if (t->record->advice != protobuf_c_empty_string) free(t->record->advice);
    t->record->advice = copy;
    return 0;
}

int task_set_exit(struct host_task *t, const Xn__TaskExit *exit)
{
    Xn__TaskExit *copy = copy_of(exit);

    if (!copy) return XN_ENOMEM;
    if (t->record->exit) xn__task_exit__free_unpacked(t->record->exit, NULL);
    t->record->exit = copy;
    t->dirty = true;
    task_trim(t);
    return 0;
}

/* ---- the store ---- */

static void set_key(const struct host_session *s, uint32_t number,
                    struct task_write *room)
{
    room->key[0] = 't';
    memcpy(room->key + 1, s->id.b, XN_ID_SIZE);
    for (size_t i = 0; i < 4; i++)
        room->key[1 + XN_ID_SIZE + i] = (uint8_t)(number >> (24 - 8 * i));
    xn__write__init(&room->write);
    room->write.key = (ProtobufCBinaryData){sizeof room->key, room->key};
}

int task_write(const struct host_session *s, const struct host_task *t,
               struct task_write *room)
{
    set_key(s, t->number, room);
    return xn_pack(t->record, &room->write.value.data, &room->write.value.len);
}

void task_write_drop(const struct host_session *s, uint32_t number,
                     struct task_write *room)
{
    set_key(s, number, room);
    room->write.drop = true;
}

static bool record_ok(const struct host_session *s, uint32_t number,
                      const Xn__TaskRecord *r)
{
    const struct host_task *last = task_last(s);

    return r->word.len == XN_ID_SIZE && r->request.len == XN_ID_SIZE &&
           r->spec && r->spec->n_argv > 0 && number > 0 &&
           (!last || number > last->number);
}

int task_take_record(struct host_session *s, uint32_t number,
                     const uint8_t *bytes, size_t len)
{
    Xn__TaskRecord *r = xn__task_record__unpack(NULL, len, bytes);
    struct host_task *t;
    int rc = r && record_ok(s, number, r) ? 0 : XN_EINTEGRITY;

    if (!rc) rc = append(s, number, &t);
    if (rc) {
        if (r) xn__task_record__free_unpacked(r, NULL);
        return rc;
    }
    t->record = r;
    t->stored = true;
    t->tried = true; /* perhaps */
    t->over = r->exit != NULL;
    if (t->over) t->console_bytes = r->exit->console_bytes;
    return 0;
}

/* ---- as others see it ---- */

static void describe_exit(const Xn__TaskExit *exit, Xn__HostTask *out)
{
    out->state = XN__TASK_STATE__ENDED;
    out->end = exit->end;
    out->code = exit->code;
    out->because = exit->because;
    out->ended_us = exit->ended_us;
    out->memory_bytes = 0;
    if (exit->started_us) out->started_us = exit->started_us;
}

void task_describe(const struct host_session *s, const struct host_task *t,
                   Xn__HostTask *out)
{
    const Xn__TaskRecord *r = t->record;

    xn__host_task__init(out);
    out->session = xn_id_bytes(&s->id);
    out->task = t->number;
    out->state = r->seen ? t->state : XN__TASK_STATE__STARTING;
    if (out->state == XN__TASK_STATE__ENDED) /* which is not on record yet */
        out->state = XN__TASK_STATE__STOPPING;
    out->started_us = r->started_us;
    out->argv = r->spec->argv;
    out->n_argv = r->spec->n_argv;
    out->cpu_ns = r->cpu_ns;
    out->memory_bytes = t->memory_bytes;
    out->console_bytes = t->console_bytes;
    out->address = t->address;
    if (t->has_address6) {
        out->address6 = (ProtobufCBinaryData){
            sizeof t->address6, (uint8_t *)(uintptr_t)t->address6};
    }
    out->sent_bytes = r->sent_bytes;
    out->got_bytes = r->got_bytes;
    out->exact = r->exact;
    if (r->image) out->image = r->image->sha256;
    if (!t->over) return;
    describe_exit(r->exit, out);
    out->rc = r->rc;
    out->advice = r->advice;
}
