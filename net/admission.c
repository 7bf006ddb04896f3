/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/admission.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <utlist.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "net/json.h"

#define PATH_BYTES 1024

struct run {
    struct net_admission *admission;
    uint64_t ticket;
    pid_t pid;
    int out, life; /* what it says; readable when it has ended */
    struct event *said, *ended, *late;
    char text[NET_ADMISSION_SAYS + 1];
    size_t len;
    struct run *prev, *next;
};

struct net_admission {
    struct net_loop *loop;
    char *program;
    uint64_t time_us;
    struct run *runs;
    unsigned n;
};

/* ---- may it be run? ---- */

static bool is_ours(const struct stat *st)
{
    bool shared = (st->st_mode & 022) != 0;

    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)) shared = false;
    return (st->st_uid == 0 || st->st_uid == geteuid()) && !shared;
}

/* One of the parts of a path without links. */
static int check_part(const char *path, bool last, char *why_out, size_t len)
{
    struct stat st;

    if (lstat(path, &st)) {
        snprintf(why_out, len, "%s: %s", path, strerror(errno));
        return XN_EIO;
    }
    if (last && (!S_ISREG(st.st_mode) || access(path, X_OK))) {
        snprintf(why_out, len, "%s is no program that can be run", path);
        return XN_EIO;
    }
    if (is_ours(&st)) return 0;
    snprintf(why_out, len,
             "%s: others than root and the agent's user can change it", path);
    return XN_EPERM;
}

/* The path with its links followed, each part looked at. */
static int resolve(const char *program, char path_out[PATH_BYTES],
                   char *why_out, size_t len)
{
    char *real = program[0] == '/' ? realpath(program, NULL) : NULL;
    int rc;

    if (program[0] != '/') {
        snprintf(why_out, len, "%s is no absolute path", program);
        return XN_EIO;
    }
    if (!real || strlen(real) >= PATH_BYTES) {
        snprintf(why_out, len, "%s: %s", program,
                 real ? "its path is too long" : strerror(errno));
        free(real);
        return XN_EIO;
    }
    strcpy(path_out, real);
    rc = check_part("/", false, why_out, len);
    for (char *p = real + 1; !rc && *p; p++) {
        p += strcspn(p, "/");
        if (*p) {
            *p = '\0';
            rc = check_part(real, false, why_out, len);
            *p = '/';
        } else {
            rc = check_part(real, true, why_out, len);
            break;
        }
    }
    free(real);
    return rc;
}

int net_admission_check(const char *program, char *why_out, size_t len)
{
    char path[PATH_BYTES];

    return resolve(program, path, why_out, len);
}

/* ---- what it is told ---- */

/* Others' words may be no UTF-8. */
static json_t *words(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value ? NULL : strdup(text);

    if (!copy) return value;
    for (char *p = copy; *p; p++)
        if (*p & 0x80) *p = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

static json_t *words_or_null(const char *text)
{
    return text[0] ? words(text) : json_null();
}

static json_t *hex(const ProtobufCBinaryData *bytes)
{
    xn_id id = {{0}};

    (void)xn_id_from_bytes(bytes, &id);
    return net_json_id(&id);
}

static json_t *requirements_of(const Xn__Admit *what)
{
    const ProtobufCBinaryData *xml = &what->requirements;
    char *text = xml->len ? strndup((const char *)xml->data, xml->len) : NULL;
    json_t *value = text && text[0] ? words(text) : json_null();

    free(text);
    return value;
}

static json_t *task_of(const Xn__Admit *what)
{
    json_t *argv = json_array();

    if (!what->task) {
        json_decref(argv);
        return json_null();
    }
    for (size_t i = 0; i < what->n_argv; i++)
        (void)json_array_append_new(argv, words(what->argv[i]));
    return json_pack("{s:o, s:o}", "argv", argv, "image",
                     words_or_null(what->image));
}

static json_t *amounts_of(const Xn__Amounts *a)
{
    const char *const rows[][2] = {
        {"CPUsmps", a->cpu_smps},
        {"MemoryMB", a->memory_mb},
        {"DiskGB", a->disk_gb},
        {"NetMbps", a->net_mbps},
        {"IPv4Addresses", a->ipv4_addresses},
    };
    json_t *object = json_object();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i][1][0])
            (void)json_object_set_new(object, rows[i][0], words(rows[i][1]));
    return object;
}

/* The caller's (free). */
static char *tell(const Xn__Admit *what)
{
    static const Xn__Amounts none = XN__AMOUNTS__INIT;
    json_t *top = json_pack(
        "{s:s, s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:b}",
        "schema", "xenohostd.admission/1", "session", hex(&what->session),
        "client", hex(&what->client), "address", what->address, "order",
        hex(&what->order), "environment", words_or_null(what->environment),
        "metering", what->used ? "used" : "reserved", "amounts",
        amounts_of(what->amounts ? what->amounts : &none), "currency",
        words(what->currency), "amount", net_json_money(what->amount),
        "most_per_hour",
        what->most_per_hour ? net_json_money(what->most_per_hour) : json_null(),
        "until", net_json_time(what->until_us), "requirements",
        requirements_of(what), "task", task_of(what), "extends",
        (int)what->extends);
    char *text = top ? json_dumps(top, JSON_COMPACT) : NULL;

    json_decref(top);
    return text;
}

/* ---- its end ---- */

static void stop(struct run *run)
{
    int status;

    if (run->pid <= 0) return;
    kill(-run->pid, SIGKILL);
    kill(run->pid, SIGKILL);
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
        ;
    run->pid = 0;
}

static void run_free(struct run *run)
{
    stop(run);
    if (run->said) event_free(run->said);
    if (run->ended) event_free(run->ended);
    if (run->late) event_free(run->late);
    if (run->out >= 0) close(run->out);
    if (run->life >= 0) close(run->life);
    DL_DELETE(run->admission->runs, run);
    run->admission->n--;
    free(run);
}

static void done(struct run *run, int rc, const Xn__Admitted *said)
{
    struct net_loop *loop = run->admission->loop;
    uint64_t ticket = run->ticket;

    if (rc) {
        xn_log(XN_LOG_WARN, "%s: %s", run->admission->program,
               rc == XN_ETIMEOUT ? "no answer in time"
                                 : "its answer is not understood");
        net_loop_done(loop, ticket, rc, NULL);
    } else {
        net_loop_done_body(loop, ticket, XN__KIND__ADMITTED, said);
    }
    run_free(run);
}

/* "accept", or "refuse REASON" and a line with what to try. */
static int understand(char *text, Xn__Admitted *said)
{
    char *more = text + strcspn(text, "\n"), *rest = NULL;

    if (*more) *more++ = '\0';
    rest = more + strcspn(more, "\n");
    if (*rest) *rest++ = '\0';
    if (*rest) return XN_EPROTO;
    xn_plain(text);
    xn_plain(more);
    said->accept = strcmp(text, "accept") == 0;
    if (said->accept) return *more ? XN_EPROTO : 0;
    if (strncmp(text, "refuse", 6) != 0 || (text[6] && text[6] != ' '))
        return XN_EPROTO;
    text += 6;
    said->because = text + strspn(text, " ");
    said->advice = more;
    return 0;
}

/* All there is by now; false: more than there may be. */
static bool take(struct run *run)
{
    ssize_t n;

    for (;;) {
        n = read(run->out, run->text + run->len, sizeof run->text - run->len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        run->len += (size_t)n;
        if (run->len == sizeof run->text) return false;
    }
    if (n == 0) event_del(run->said);
    run->text[run->len] = '\0';
    return true;
}

static void on_said(evutil_socket_t fd, short what, void *arg)
{
    struct run *run = arg;

    if (!take(run)) done(run, XN_EPROTO, NULL);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct run *run = arg;
    Xn__Admitted said = XN__ADMITTED__INIT;
    int status = -1, rc = XN_EPROTO;
    pid_t got = waitpid(run->pid, &status, WNOHANG);

    if (got == 0 || (got < 0 && errno == EINTR)) return;
    if (got > 0) kill(-run->pid, SIGKILL); /* what it left behind */
    run->pid = 0;
    if (got > 0 && take(run) && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
        strlen(run->text) == run->len) {
        rc = understand(run->text, &said);
    }
    done(run, rc, &said);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    done(arg, XN_ETIMEOUT, NULL);
}

/* ---- its beginning ---- */

static int spawn(const char *path, int in, int out, pid_t *pid_out)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    char *env[] = {(char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin",
                   (char *)(uintptr_t) "LANG=C.UTF-8", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    int err;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK |
                                       POSIX_SPAWN_SETSIGDEF |
                                       POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawn_file_actions_addchdir_np(&files, "/");
    err = posix_spawn(pid_out, path, &files, &how, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    errno = err;
    return err ? XN_EIO : 0;
}

/* All of it fits into the pipe, so that nobody waits for who does not read. */
static int fill(int fd, const char *text)
{
    size_t len = strlen(text);

    if (len > 4096 && fcntl(fd, F_SETPIPE_SZ, (int)len) < 0 && len > 65536)
        return XN_ETOOBIG;
    return write(fd, text, len) == (ssize_t)len ? 0 : XN_EIO;
}

static int start(struct run *run, const char *path, const char *text)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, rc = XN_EIO;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
        fcntl(in[1], F_SETFL, O_NONBLOCK) || fcntl(out[0], F_SETFL, O_NONBLOCK))
        goto out;
    rc = fill(in[1], text);
    if (!rc) rc = spawn(path, in[0], out[1], &run->pid);
    if (rc) goto out;
    run->life = (int)syscall(SYS_pidfd_open, run->pid, 0);
    if (run->life < 0) rc = XN_EIO;
    run->out = out[0];
    out[0] = -1;
out:
    for (int i = 0; i < 2; i++) {
        if (in[i] >= 0) close(in[i]);
        if (out[i] >= 0) close(out[i]);
    }
    return rc;
}

static int watch(struct run *run)
{
    struct event_base *base = net_loop_base(run->admission->loop);
    const uint64_t us = run->admission->time_us;
    const struct timeval tv = {(time_t)(us / 1000000),
                               (suseconds_t)(us % 1000000)};

    run->said = event_new(base, run->out, EV_READ | EV_PERSIST, on_said, run);
    run->ended =
        event_new(base, run->life, EV_READ | EV_PERSIST, on_ended, run);
    run->late = evtimer_new(base, on_late, run);
    return run->said && run->ended && run->late &&
                   !event_add(run->said, NULL) &&
                   !event_add(run->ended, NULL) && !event_add(run->late, &tv)
               ? 0
               : XN_ENOMEM;
}

void net_admission_ask(struct net_admission *a, uint64_t ticket,
                       const Xn__Admit *what)
{
    char path[PATH_BYTES], why[PATH_BYTES + 100], *text = NULL;
    struct run *run = NULL;
    int rc = a->n >= NET_ADMISSION_AT_ONCE ? XN_EBUSY : 0;

    if (!rc) {
        rc = resolve(a->program, path, why, sizeof why);
        if (rc) xn_log(XN_LOG_ERROR, "admission.program: %s", why);
    }
    if (!rc) {
        run = calloc(1, sizeof *run);
        text = tell(what);
        if (!run || !text) rc = XN_ENOMEM;
    }
    if (run) {
        run->admission = a;
        run->ticket = ticket;
        run->out = run->life = -1;
        DL_APPEND(a->runs, run);
        a->n++;
    }
    if (!rc) rc = start(run, path, text);
    if (!rc) rc = watch(run);
    free(text);
    if (!rc) return;
    if (run) run_free(run);
    net_loop_done(a->loop, ticket, rc, NULL);
}

/* ---- the whole ---- */

int net_admission_new(struct net_loop *loop, const char *program,
                      uint64_t time_us, struct net_admission **out)
{
    struct net_admission *a = calloc(1, sizeof *a);

    if (!a) return XN_ENOMEM;
    a->loop = loop;
    a->time_us = time_us;
    a->program = strdup(program);
    if (!a->program) {
        free(a);
        return XN_ENOMEM;
    }
    *out = a;
    return 0;
}

void net_admission_free(struct net_admission *a)
{
    if (!a) return;
    while (a->runs)
        run_free(a->runs);
    free(a->program);
    free(a);
}

bool net_admission_abort(struct net_admission *a, uint64_t ticket)
{
    struct run *run;

    DL_FOREACH(a->runs, run)
    {
        if (run->ticket != ticket) continue;
        run_free(run);
        net_loop_done(a->loop, ticket, XN_ECANCELLED, NULL);
        return true;
    }
    return false;
}

bool net_admission_idle(const struct net_admission *a)
{
    return !a->runs;
}
