/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of a task, for people and programs. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xeno_task.h"

#define ADDRESS_MAX 16

const char *xeno_task_state(const Xn__HostTask *task)
{
    switch (task->state) {
    case XN__TASK_STATE__STARTING: return "starting";
    case XN__TASK_STATE__RUNNING: return "running";
    case XN__TASK_STATE__PAUSED: return "paused";
    case XN__TASK_STATE__STOPPING: return "stopping";
    case XN__TASK_STATE__ENDED: return "ended";
    case XN__TASK_STATE__SAVED: return "saved";
    default: return "?";
    }
}

static const char *end_name(Xn__TaskEnd end)
{
    switch (end) {
    case XN__TASK_END__NOT_YET: return "";
    case XN__TASK_END__FINISHED: return "finished";
    case XN__TASK_END__STOPPED: return "stopped";
    case XN__TASK_END__MEMORY: return "memory";
    case XN__TASK_END__LIFE: return "time";
    case XN__TASK_END__NOT_STARTED: return "not-started";
    case XN__TASK_END__KEEPER: return "keeper";
    case XN__TASK_END__EVADED: return "evaded";
    case XN__TASK_END__CRASHED: return "crashed";
    default: return "?";
    }
}

static const char *end_text(Xn__TaskEnd end)
{
    switch (end) {
    case XN__TASK_END__FINISHED: return "it ended by itself";
    case XN__TASK_END__STOPPED: return "it was stopped";
    case XN__TASK_END__MEMORY: return "it used more memory than it may";
    case XN__TASK_END__LIFE: return "its time was over";
    case XN__TASK_END__NOT_STARTED: return "it could not be started";
    case XN__TASK_END__KEEPER: return "the server lost what held it";
    case XN__TASK_END__EVADED: return "it fought what holds it to its limits";
    case XN__TASK_END__CRASHED: return "its domain crashed or was lost";
    default: return "it has not ended";
    }
}

/* The server's own word says more, but of an end that was the task's. */
void xeno_task_end(const Xn__HostTask *task, char *out, size_t len)
{
    const char *text = end_text(task->end);
    bool own = task->end == XN__TASK_END__FINISHED || !task->because[0] ||
               strcmp(task->because, text) == 0;

    snprintf(out, len, "%s%s%.200s, with code %d", text, own ? "" : ": ",
             own ? "" : task->because, (int)task->code);
}

static double seconds(const Xn__HostTask *task)
{
    return (double)task->cpu_ns / 1e9;
}

/* Why it did not start, in the words of "xeno.error/1". */
static void add_refusal(json_t *out, const Xn__HostTask *task)
{
    const char *name = xn_errname(task->rc);
    int code = xn_exit_code(task->rc);
    char error[48];

    snprintf(error, sizeof error, "XS-%d-%.30s", code, name + (*name == 'E'));
    json_object_set_new(out, "exit", json_integer(code));
    json_object_set_new(out, "error", json_string(error));
    json_object_set_new(out, "try", json_string(task->advice));
}

static void address_text(uint32_t address, char out[ADDRESS_MAX])
{
    snprintf(out, ADDRESS_MAX, "%u.%u.%u.%u", address >> 24,
             address >> 16 & 255, address >> 8 & 255, address & 255);
}

/* As inet_ntop does, since what comes over the network may be of any length. */
static bool address6_text(const Xn__HostTask *task, char out[INET6_ADDRSTRLEN])
{
    return task->address6.len == sizeof(struct in6_addr) &&
           inet_ntop(AF_INET6, task->address6.data, out, INET6_ADDRSTRLEN);
}

json_t *xeno_task_json(const Xn__HostTask *task)
{
    json_t *argv = json_array(), *out;
    char address[ADDRESS_MAX], address6[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < task->n_argv; i++)
        json_array_append_new(argv, json_string(task->argv[i]));
    out = json_pack(
        "{s:i, s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:I, s:b, s:I, s:I}",
        "number", (int)task->task, "state", xeno_task_state(task), "end",
        end_name(task->end), "code", (int)task->code, "because", task->because,
        "started", xeno_json_time(task->started_us), "ended_at",
        xeno_json_time(task->ended_us), "argv", argv, "cpu_ns",
        (json_int_t)task->cpu_ns, "exact", task->exact, "memory_bytes",
        (json_int_t)task->memory_bytes, "console_bytes",
        (json_int_t)task->console_bytes);
    if (task->address) {
        address_text(task->address, address);
        json_object_set_new(out, "address", json_string(address));
        json_object_set_new(out, "sent_bytes",
                            json_integer((json_int_t)task->sent_bytes));
        json_object_set_new(out, "got_bytes",
                            json_integer((json_int_t)task->got_bytes));
    }
    if (address6_text(task, address6))
        json_object_set_new(out, "address6", json_string(address6));
    if (task->end == XN__TASK_END__NOT_STARTED && task->advice[0])
        add_refusal(out, task);
    return out;
}

void xeno_task_say(const Xn__HostTask *task)
{
    struct xn_buf words = {0};
    char text[320];
    char *joined;

    for (size_t i = 0; i < task->n_argv && i < 16; i++)
        xn_buf_printf(&words, "%s%.200s", i ? " " : "", task->argv[i]);
    joined = xn_buf_steal_str(&words);
    xeno_say("task", "%u, %s: %s", (unsigned)task->task, xeno_task_state(task),
             joined ? joined : "");
    free(joined);
    if (task->state == XN__TASK_STATE__ENDED) {
        xeno_task_end(task, text, sizeof text);
        xeno_say("end", "%s", text);
    }
    xeno_say("CPU", "%.3f s%s", seconds(task),
             task->exact ? "" : ", not an exact reading");
    if (task->memory_bytes)
        xeno_say("memory", "%.1f MiB", (double)task->memory_bytes / 1048576);
    if (task->address) {
        address_text(task->address, text);
        xeno_say("address", "%s", text);
        xeno_say("network", "%llu bytes sent, %llu received",
                 (unsigned long long)task->sent_bytes,
                 (unsigned long long)task->got_bytes);
    }
    if (address6_text(task, text)) xeno_say("address", "%s", text);
    xeno_say("console", "%llu bytes", (unsigned long long)task->console_bytes);
}

int xeno_task_print(const struct xeno *xeno, const Xn__HostTask *task)
{
    json_t *top;

    if (!xeno->json) {
        xeno_task_say(task);
        return XN_EXIT_OK;
    }
    top = xeno_task_json(task);
    if (top) json_object_set_new(top, "schema", json_string("xeno.task/1"));
    return xeno_print_json(top);
}

int xeno_task_code(const Xn__HostTask *task, bool pass)
{
    char text[320];

    if (task->end == XN__TASK_END__FINISHED && task->code == 0)
        return XN_EXIT_OK;
    if (pass && task->code > 0 && task->code < 256) return task->code;
    if (task->end == XN__TASK_END__NOT_STARTED && task->advice[0])
        return xn_gripe_rc(XENO_PROGRAM, task->rc, NULL,
                           "cannot start the task", task->because,
                           task->advice);
    xeno_task_end(task, text, sizeof text);
    xn_gripe(XENO_PROGRAM, "the task failed [XS-12-TASK]", text,
             task->end == XN__TASK_END__MEMORY ? "MemoryMB with more"
             : task->end == XN__TASK_END__LIFE ? "--for with more"
                                               : "its console says more");
    return XN_EXIT_TASK;
}
