/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of the program: each asks a daemon and prints what it says. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/text.h"
#include "wire/console.h"
#include "wire/frame.h"

#define ANSWER_MS 120000 /* a start on a busy machine included */
#define MIB (1ULL << 20)

static int bad_word(const char *because)
{
    xn_gripe_rc(PROGRAM, XN_EINVAL, "USAGE", "cannot understand the command",
                because, PROGRAM " --help");
    return XN_EXIT_USAGE;
}

static int connect_to(const char *state)
{
    int dir = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

    if (dir >= 0) {
        fd = sys_unix_connect(dir, "socket", ANSWER_MS);
        close(dir);
    }
    if (fd < 0) {
        xn_gripe_rcf(PROGRAM, XN_EUNREACH, NULL, "cannot reach the daemon",
                     PROGRAM " --state DIR", "%s/socket: %s", state,
                     strerror(errno));
    }
    return fd;
}

int ask_daemon(const struct ask_options *options, const Xn__DomAsk *question,
               Xn__DomTell **tell_out, int *fd_out)
{
    int fd = connect_to(options->state), rc;
    ProtobufCMessage *body;

    *tell_out = NULL;
    if (fd < 0) return XN_EUNREACH;
    rc = frame_send(fd, question);
    if (!rc) {
        rc = frame_receive(fd, FRAME_TELL_MAX, &xn__dom_tell__descriptor, &body,
                           fd_out);
    }
    close(fd);
    if (rc) {
        xn_gripe_rc(PROGRAM, rc, NULL, "no answer", xn_strerror(rc),
                    "man " PROGRAM);
        return rc;
    }
    *tell_out = (Xn__DomTell *)body;
    return (*tell_out)->rc;
}

int ask_told(const struct ask_options *options, const Xn__DomAsk *question,
             Xn__DomTell **tell_out, int *fd_out)
{
    int rc = ask_daemon(options, question, tell_out, fd_out);
    Xn__DomTell *tell = *tell_out;

    if (!rc || !tell) return rc ? xn_exit_code(rc) : 0;
    xn_gripe_rc(PROGRAM, tell->rc, NULL, "the daemon refuses",
                tell->because[0] ? tell->because : xn_strerror(tell->rc),
                tell->advice[0] ? tell->advice : NULL);
    rc = xn_exit_code(tell->rc);
    xn__dom_tell__free_unpacked(tell, NULL);
    *tell_out = NULL;
    if (fd_out && *fd_out >= 0) close(*fd_out);
    return rc;
}

/* ---- what is printed ----------------------------------------------------- */

static void print_reading(const Xn__TaskReading *reading)
{
    printf("meter %s%s\ncpu_ns %" PRIu64 "\nmemory_kib_s %" PRIu64
           "\nmemory_bytes %" PRIu64 "\nrun_ms %" PRIu64 "\n",
           spec_meter_name(reading->kind), reading->exact ? "" : " (not exact)",
           reading->cpu_ns, reading->memory_kib_s, reading->memory_bytes,
           reading->run_ms);
    if (reading->saved_ms) printf("saved_ms %" PRIu64 "\n", reading->saved_ms);
    if (reading->sent_bytes || reading->got_bytes) {
        printf("sent_bytes %" PRIu64 "\ngot_bytes %" PRIu64 "\n",
               reading->sent_bytes, reading->got_bytes);
    }
}

static void print_status(const Xn__TaskStatus *status)
{
    const Xn__TaskExit *last = status->exit;
    char address[NETWORK_TEXT_MAX], address6[NETWORK_TEXT6_MAX];

    printf("name %s\nstate %s\n", status->name, spec_state_name(status->state));
    if (status->keeper_pid) printf("keeper %u\n", status->keeper_pid);
    if (status->address) {
        network_text(status->address, address);
        printf("address %s\n", address);
    }
    if (status->address6.len == NETWORK_ADDRESS6) {
        network_text6(status->address6.data, address6);
        printf("address6 %s\n", address6);
    }
    if (status->memory_by[0]) {
        printf("memory_by %s\nprocesses_by %s\ncap_by %s\n", status->memory_by,
               status->processes_by, status->cap_by);
    }
    if (status->reading) print_reading(status->reading);
    printf("console_bytes %" PRIu64 "\n", status->console_bytes);
    if (status->unsaved[0]) {
        fputs("unsaved ", stdout);
        xn_put_plain(status->unsaved, stdout);
        putchar('\n');
    }
    if (!last) return;
    printf("end %s\ncode %d\nsignal %d\nbecause ", spec_end_name(last->end),
           last->code, last->signal);
    xn_put_plain(last->because, stdout);
    putchar('\n');
}

static int print_list(const struct ask_options *options, Xn__DomOp op)
{
    char after[SPEC_NAME_MAX] = "";
    Xn__DomTell *tell = NULL;
    Xn__DomAsk question;
    bool more = true;
    size_t i;
    int rc;

    xn__dom_ask__init(&question);
    question.op = op;
    question.after = after;
    while (more) {
        rc = ask_told(options, &question, &tell, NULL);
        if (rc) return rc;
        for (i = 0; i < tell->n_tasks; i++) {
            const Xn__TaskStatus *task = tell->tasks[i];

            printf("%s %s %s\n", task->name, spec_state_name(task->state),
                   task->exit ? spec_end_name(task->exit->end) : "-");
            snprintf(after, sizeof after, "%s", task->name);
        }
        more = tell->more && tell->n_tasks > 0;
        xn__dom_tell__free_unpacked(tell, NULL);
    }
    return xn_end(PROGRAM, 0);
}

/* A line for each end, until the daemon ends. */
static int print_ends(const struct ask_options *options)
{
    int fd = connect_to(options->state), rc;
    bool first = true;
    Xn__DomAsk question;

    if (fd < 0) return XN_EXIT_NETWORK;
    xn__dom_ask__init(&question);
    question.op = XN__DOM_OP__DOM_WATCH;
    rc = frame_send(fd, &question);
    sys_unix_set_timeout(fd, 0);
    while (!rc) {
        ProtobufCMessage *body = NULL;
        Xn__DomTell *tell;

        rc = frame_receive(fd, FRAME_TELL_MAX, &xn__dom_tell__descriptor, &body,
                           NULL);
        if (rc) break;
        tell = (Xn__DomTell *)body;
        if (first) printf("meter %s\n", tell->exact ? "exact" : "not exact");
        if (tell->n_tasks > 0 && tell->tasks[0]->exit) {
            printf("%s %s\n", tell->tasks[0]->name,
                   spec_end_name(tell->tasks[0]->exit->end));
        }
        fflush(stdout);
        first = false;
        protobuf_c_message_free_unpacked(body, NULL);
    }
    close(fd);
    xn_gripe_rc(PROGRAM, rc, NULL, "the watch ends", xn_strerror(rc), NULL);
    return xn_exit_code(rc);
}

/* ---- consoles ------------------------------------------------------------ */

static int follow_keeper(int fd, uint64_t *from, bool *end)
{
    Xn__KeeperTell *tell;
    ProtobufCMessage *body;
    Xn__KeeperAsk question;
    int rc;

    sys_unix_set_timeout(fd, 0);
    xn__keeper_ask__init(&question);
    question.op = XN__KEEPER_OP__CONSOLE;
    question.from = *from;
    rc = frame_send(fd, &question);
    while (!rc && !*end) {
        rc = frame_receive(fd, FRAME_TELL_MAX, &xn__keeper_tell__descriptor,
                           &body, NULL);
        if (rc) break;
        tell = (Xn__KeeperTell *)body;
        if (tell->console.len > 0) {
            fwrite(tell->console.data, 1, tell->console.len, stdout);
        }
        fflush(stdout);
        *from = tell->from + tell->console.len;
        *end = tell->end;
        xn__keeper_tell__free_unpacked(tell, NULL);
    }
    close(fd);
    return rc;
}

static int print_file(int fd, uint64_t *from)
{
    struct console console;
    char data[32768];
    size_t n = 1;
    int rc = console_adopt(fd, &console);

    while (!rc && n > 0) {
        rc = console_read(&console, from, data, sizeof data, &n);
        if (!rc) fwrite(data, 1, n, stdout);
        *from += n;
    }
    console_close(&console);
    return rc;
}

/* A keeper that ends closes its socket; the file has the rest then. */
static int print_console(const struct ask_options *options, char *name)
{
    Xn__DomTell *tell = NULL;
    uint64_t from = 0;
    Xn__DomAsk question;
    bool end = false;
    int fd = -1, rc;

    xn__dom_ask__init(&question);
    question.op = XN__DOM_OP__DOM_CONSOLE;
    question.name = name;
    while (!end) {
        rc = ask_told(options, &question, &tell, &fd);
        if (rc) return rc;
        end = !tell->live;
        rc = end ? print_file(fd, &from) : follow_keeper(fd, &from, &end);
        xn__dom_tell__free_unpacked(tell, NULL);
        if (!rc || rc == XN_EUNREACH) continue;
        xn_gripe_rc(PROGRAM, rc, NULL, "the console ends early",
                    xn_strerror(rc), PROGRAM " status NAME");
        return xn_exit_code(rc);
    }
    return xn_end(PROGRAM, 0);
}

/* A line, as if at the task's keyboard. */
static int type_in(const struct ask_options *options, char *name,
                   const char *text)
{
    char line[SPEC_INPUT_MAX];
    Xn__DomTell *tell = NULL;
    Xn__DomAsk question;
    int n, rc;

    n = snprintf(line, sizeof line, "%s\n", text);
    if (n >= (int)sizeof line) return bad_word("type: that is too long");
    xn__dom_ask__init(&question);
    question.op = XN__DOM_OP__DOM_INPUT;
    question.name = name;
    question.input.data = (uint8_t *)line;
    question.input.len = (size_t)n;
    rc = ask_told(options, &question, &tell, NULL);
    if (!rc) xn__dom_tell__free_unpacked(tell, NULL);
    return rc;
}

/* ---- start --------------------------------------------------------------- */

/* The number of a KEY=NUMBER; what it is counted in is in the key's name. */
static bool set_number(Xn__TaskSpec *spec, const char *key, uint64_t n)
{
    if (strcmp(key, "memory_mib") == 0)
        spec->memory_bytes = n * MIB;
    else if (strcmp(key, "processes") == 0)
        spec->processes = (uint32_t)n;
    else if (strcmp(key, "file_mib") == 0)
        spec->file_bytes = n * MIB;
    else if (strcmp(key, "files") == 0)
        spec->files = (uint32_t)n;
    else if (strcmp(key, "disk_mib") == 0)
        spec->disk_bytes = n * MIB;
    else if (strcmp(key, "cpu_ms_per_s") == 0)
        spec->cpu_ms_per_s = (uint32_t)n;
    else if (strcmp(key, "net_kbit_per_s") == 0)
        spec->net_kbit_per_s = (uint32_t)n;
    else if (strcmp(key, "console_kib") == 0)
        spec->console_bytes = n << 10;
    else if (strcmp(key, "meter_ms") == 0)
        spec->meter_ms = (uint32_t)n;
    else if (strcmp(key, "life_ms") == 0)
        spec->life_ms = n;
    else if (strcmp(key, "pvh") == 0)
        spec->pvh = n != 0;
    else if (strcmp(key, "terminal") == 0)
        spec->terminal = n != 0;
    else
        return false;
    return true;
}

/* NAME=FILE: the file goes along, by that name. */
static bool put_file(Xn__TaskSpec *spec, Xn__TaskFile **put, char *text)
{
    Xn__TaskFile *file = calloc(1, sizeof *file);
    char *equals = strchr(text, '=');
    struct xn_buf data;

    xn_buf_init(&data, SPEC_PUT_BYTES_MAX);
    if (!file || !equals || xn_file_read(equals + 1, &data)) {
        xn_buf_clear(&data);
        free(file);
        return false;
    }
    *equals = '\0';
    xn__task_file__init(file);
    file->name = text;
    file->data.data = data.data; /* drop_files frees it */
    file->data.len = data.len;
    file->executable = access(equals + 1, X_OK) == 0;
    put[spec->n_put++] = file;
    return true;
}

static bool set_one(Xn__TaskSpec *spec, char **env, char *text)
{
    char *equals = strchr(text, '=');
    char key[32];
    uint64_t n;
    int kind;

    if (!equals || (size_t)(equals - text) >= sizeof key) return false;
    memcpy(key, text, (size_t)(equals - text));
    key[equals - text] = '\0';
    if (strcmp(key, "disk") == 0) {
        spec->disk = equals + 1;
    } else if (strcmp(key, "image") == 0) {
        spec->image = equals + 1;
    } else if (strcmp(key, "env") == 0) {
        env[spec->n_env++] = equals + 1;
    } else if (strcmp(key, "put") == 0) {
        return put_file(spec, spec->put, equals + 1);
    } else if (strcmp(key, "meter") == 0) {
        kind = spec_meter_parse(equals + 1);
        if (kind < 0) return false;
        spec->meter = (Xn__MeterKind)kind;
    } else {
        return xn_number_parse(equals + 1, UINT32_MAX, &n) == 0 &&
               set_number(spec, key, n);
    }
    return true;
}

static void drop_files(Xn__TaskSpec *spec)
{
    size_t i;

    for (i = 0; i < spec->n_put; i++) {
        free(spec->put[i]->data.data);
        free(spec->put[i]);
    }
}

static int start(const struct ask_options *options, int n, char **words)
{
    char *env[sizeof options->sets / sizeof *options->sets];
    Xn__TaskFile *put[sizeof options->sets / sizeof *options->sets];
    Xn__DomTell *tell = NULL;
    Xn__DomAsk question;
    Xn__TaskSpec spec;
    size_t i;
    int rc;

    if (n < 2) return bad_word("start wants a name and a program");
    xn__dom_ask__init(&question);
    xn__task_spec__init(&spec);
    question.op = XN__DOM_OP__DOM_START;
    question.spec = &spec;
    spec.name = words[0];
    spec.argv = words + 1;
    spec.n_argv = (size_t)(n - 1);
    spec.env = env;
    spec.put = put;
    if (options->runner) {
        spec.runner = (Xn__Runner)spec_runner_parse(options->runner);
    }
    for (i = 0; i < options->n_sets; i++) {
        if (!set_one(&spec, env, (char *)options->sets[i])) {
            rc = bad_word(options->sets[i]);
            goto out;
        }
    }
    rc = ask_told(options, &question, &tell, NULL);
    if (!rc) xn__dom_tell__free_unpacked(tell, NULL);
out:
    drop_files(&spec);
    return rc;
}

/* ---- words --------------------------------------------------------------- */

static int ask_named(const struct ask_options *options, Xn__DomOp op,
                     char *name)
{
    Xn__DomTell *tell = NULL;
    Xn__DomAsk question;
    uint64_t grace = 0;
    int rc;

    if (options->grace &&
        xn_number_parse(options->grace, SPEC_GRACE_MS_MAX, &grace)) {
        return bad_word("--grace: milliseconds up to 60000");
    }
    xn__dom_ask__init(&question);
    question.op = op;
    question.name = name;
    question.grace_ms = (uint32_t)grace;
    if (options->reason) question.reason = (char *)options->reason;
    rc = ask_told(options, &question, &tell, NULL);
    if (rc) return rc;
    if (op == XN__DOM_OP__DOM_STATUS && tell->n_tasks > 0) {
        print_status(tell->tasks[0]);
    }
    xn__dom_tell__free_unpacked(tell, NULL);
    return xn_end(PROGRAM, 0);
}

int ask_main(const struct ask_options *options, int n, char **words)
{
    static const struct {
        const char *word;
        Xn__DomOp op;
    } named[] = {
        {"status", XN__DOM_OP__DOM_STATUS}, {"stop", XN__DOM_OP__DOM_STOP},
        {"pause", XN__DOM_OP__DOM_PAUSE},   {"resume", XN__DOM_OP__DOM_RESUME},
        {"forget", XN__DOM_OP__DOM_FORGET},
    };
    size_t i;

    if (strcmp(words[0], "start") == 0) return start(options, n - 1, words + 1);
    if (n == 1 && strcmp(words[0], "list") == 0) {
        return print_list(options, XN__DOM_OP__DOM_LIST);
    }
    if (n == 1 && strcmp(words[0], "adopt") == 0) {
        return print_list(options, XN__DOM_OP__DOM_ADOPT);
    }
    if (n == 1 && strcmp(words[0], "watch") == 0) return print_ends(options);
    if (n == 2 && strcmp(words[0], "console") == 0) {
        return print_console(options, words[1]);
    }
    if (n <= 2 &&
        (strcmp(words[0], "save") == 0 || strcmp(words[0], "restore") == 0)) {
        return ask_save(options, words[0][0] == 's', n == 2 ? words[1] : NULL);
    }
    if (n == 3 && strcmp(words[0], "type") == 0) {
        return type_in(options, words[1], words[2]);
    }
    for (i = 0; n == 2 && i < sizeof named / sizeof *named; i++) {
        if (strcmp(words[0], named[i].word) == 0) {
            return ask_named(options, named[i].op, words[1]);
        }
    }
    return bad_word(words[0]);
}
