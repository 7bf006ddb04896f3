/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/task_kit.h"

#include <stdio.h>

int tasks_set_up(void **state)
{
    *state = market_open_sandbox(NULL, "0.1");
    return 0;
}

struct asked { /* a NewTask */
    Xn__NewTask body;
    Xn__TaskFile file, *files[1];
    char *argv[2], *env[1];
    uint8_t data[4], word[32];
    Xn__TaskImage image;
    xn_id sha256;
};

static void bring_image(struct asked *a)
{
    xn__task_image__init(&a->image);
    xn_id_hash("image", 5, &a->sha256);
    a->image.url = (char *)(uintptr_t) "https://images.example/one.tar";
    a->image.sha256 = xn_id_bytes(&a->sha256);
    a->body.image = &a->image;
}

static void fill(struct asked *a, bool last)
{
    xn__new_task__init(&a->body);
    xn__task_file__init(&a->file);
    memcpy(a->data, "text", 4);
    a->file.name = (char *)(uintptr_t) "dir/file";
    a->file.data = (ProtobufCBinaryData){sizeof a->data, a->data};
    a->files[0] = &a->file;
    a->argv[0] = (char *)(uintptr_t) "/bin/echo";
    a->argv[1] = (char *)(uintptr_t) "hello";
    a->env[0] = (char *)(uintptr_t) "HOME=/home";
    a->body.argv = a->argv;
    a->body.n_argv = 2;
    a->body.env = a->env;
    a->body.n_env = 1;
    a->body.files = a->files;
    a->body.n_files = 1;
    a->body.last = last;
}

uint64_t tasks_ask_create(struct market *m, bool last)
{
    Xn__CreateSession body = XN__CREATE_SESSION__INIT;
    ProtobufCBinaryData narrowing = shop_bytes(&m->d.narrowing);
    struct asked task;
    uint8_t word[32];

    memset(word, m->word, sizeof word);
    fill(&task, last);
    if (m->brings_image) bring_image(&task);
    body.request = (ProtobufCBinaryData){sizeof word, word};
    body.order = shop_bytes(&m->d.order);
    body.quote = shop_bytes(&m->d.quote);
    body.narrowings = &narrowing;
    body.n_narrowings = 1;
    body.task = &task.body;
    return market_ask(m, "POST", "/v1/sessions", "", &body,
                      &m->s.client.caller);
}

void tasks_begin(struct market *m)
{
    market_begin(m, 10 * GBP);
}

uint64_t tasks_ask_new(struct market *m, uint8_t word, bool last)
{
    struct asked task;

    fill(&task, last);
    if (m->brings_image) bring_image(&task);
    memset(task.word, word, sizeof task.word);
    task.body.session = xn_id_bytes(&m->session);
    task.body.request = (ProtobufCBinaryData){sizeof task.word, task.word};
    return market_ask(m, "POST", "/v1/tasks", "", &task.body,
                      &m->s.client.caller);
}

static uint64_t get(struct market *m, const char *path, const char *more,
                    const Xn__Caller *caller)
{
    char query[200], hex[XN_ID_HEX];

    xn_id_hex(&m->session, hex);
    snprintf(query, sizeof query, "session=%s%s", hex, more);
    return market_ask(m, "GET", path, query, NULL, caller);
}

uint64_t tasks_ask_wait(struct market *m, uint32_t number, unsigned wait_ms)
{
    char more[80];

    snprintf(more, sizeof more, "&task=%u&wait_ms=%u", number, wait_ms);
    return get(m, "/v1/tasks", more, &m->s.client.caller);
}

uint64_t tasks_ask_console(struct market *m, uint64_t from, unsigned wait_ms,
                           const Xn__Caller *caller)
{
    char more[80];

    snprintf(more, sizeof more, "&task=0&from=%llu&wait_ms=%u",
             (unsigned long long)from, wait_ms);
    return get(m, "/v1/console", more, caller);
}

uint64_t tasks_ask_input(struct market *m, const char *text)
{
    Xn__TaskInput body = XN__TASK_INPUT__INIT;

    body.session = xn_id_bytes(&m->session);
    body.input.data = (uint8_t *)(uintptr_t)text;
    body.input.len = strlen(text);
    return market_ask(m, "POST", "/v1/tasks/input", "", &body,
                      &m->s.client.caller);
}

uint64_t tasks_ask_pause(struct market *m, bool pause)
{
    Xn__PauseTask body = XN__PAUSE_TASK__INIT;

    body.session = xn_id_bytes(&m->session);
    return market_ask(m, "POST", pause ? "/v1/tasks/pause" : "/v1/tasks/resume",
                      "", &body, &m->s.client.caller);
}

uint64_t tasks_ask_forward(struct market *m, uint32_t port)
{
    Xn__ForwardTask body = XN__FORWARD_TASK__INIT;

    body.session = xn_id_bytes(&m->session);
    body.port = port;
    return market_ask(m, "POST", "/v1/tasks/forward", "", &body,
                      &m->s.client.caller);
}

uint64_t tasks_ask_stop(struct market *m, const Xn__Caller *caller)
{
    Xn__StopTask body = XN__STOP_TASK__INIT;

    body.session = xn_id_bytes(&m->session);
    body.grace_ms = 500;
    return market_ask(m, "POST", "/v1/tasks/stop", "", &body, caller);
}

Xn__HostTask *tasks_answered(struct market *m, uint64_t ask)
{
    return crank_answered(&m->h, ask, &xn__host_task__descriptor);
}

void tasks_run(struct market *m, uint8_t word, bool last)
{
    uint64_t ask = tasks_ask_new(m, word, last);
    Xn__HostTask *task;

    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
}

Xn__HostTask *tasks_look(struct market *m)
{
    uint64_t ask = tasks_ask_wait(m, 0, 0);

    market_serve(m);
    return tasks_answered(m, ask);
}
