/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/sessions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/cgroup.h"
#include "keeper/console.h"
#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "keeper/tally.h"
#include "lib/err.h"
#include "wire/frame.h"

static const char *const files[] =
    {
        KEEPER_SPEC,    KEEPER_SOCKET,
        KEEPER_CONSOLE, KEEPER_METER,
        KEEPER_EXIT,    KEEPER_SPEC ".new",
        KEEPER_CGROUPS, KEEPER_EXIT ".new",
        KEEPER_DOMAIN,  KEEPER_DOMAIN ".new",
        KEEPER_DISK,    KEEPER_METER ".new",
        KEEPER_MEMORY,  KEEPER_MEMORY ".new",
        KEEPER_LOCK, /* last: it says who may do this */
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_session(const struct dirent *entry)
{
    return spec_is_name(entry->d_name);
}

int sessions_each(int sessions, sessions_fn *visit, void *context)
{
    struct dirent **list = NULL;
    int n, i, rc = 0;

    n = scandirat(sessions, ".", &list, is_session, by_name);
    if (n < 0) return XN_EIO;
    for (i = 0; i < n; i++) {
        if (!rc) rc = visit(context, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return rc;
}

int session_open(int sessions, const char *name)
{
    return openat(sessions, name,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

bool session_lives(int folder)
{
    return sys_is_locked(folder, KEEPER_LOCK);
}

static bool has(int folder, const char *file)
{
    struct stat st;

    return fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool session_is_lost(int folder)
{
    return has(folder, KEEPER_DOMAIN) && !has(folder, KEEPER_EXIT);
}

/* ---- start --------------------------------------------------------------- */

static void run_keeper(int sessions, const char *name,
                       const struct session_programs *programs, int lock,
                       int ready)
{
    char lock_text[16], ready_text[16];
    const char *const argv[] = {
        programs->name, programs->word ? programs->word : programs->name,
        "--bwrap",      programs->bwrap,
        "--lock",       lock_text,
        "--ready",      ready_text,
        name,           NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    snprintf(lock_text, sizeof lock_text, "%d", lock);
    snprintf(ready_text, sizeof ready_text, "%d", ready);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* a session of its own: what ends us does not end it */
    if (setsid() < 0 || fchdir(sessions) || null < 0 || dup2(null, 0) < 0 ||
        dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
        !sys_set_inherited(lock, true) || !sys_set_inherited(ready, true)) {
        _exit(1);
    }
    /* without a first word, all is one place on */
    execv(programs->keeper, (char **)argv + (programs->word ? 0 : 1));
    _exit(127);
}

/* Of a domain it is on the disk, for what it may do to others.  A sandbox ends
 * with the machine and leaves nothing, and to wait for the disk twice would take
 * longer than to make it. */
static int record_spec(int sessions, int folder, const Xn__TaskSpec *spec)
{
    int rc;

    if (spec->runner == XN__RUNNER__SANDBOX)
        return record_note(folder, KEEPER_SPEC, spec);
    rc = record_put(folder, KEEPER_SPEC, spec);
    return !rc && fsync(sessions) ? XN_EIO : rc;
}

static int make_folder(int sessions, const Xn__TaskSpec *spec, int *folder_out,
                       int *lock_out)
{
    if (mkdirat(sessions, spec->name, 0700)) {
        return errno == EEXIST ? XN_ECONFLICT : XN_EIO;
    }
    *folder_out = session_open(sessions, spec->name);
    if (*folder_out < 0) return XN_EIO;
    *lock_out = sys_lock(*folder_out, KEEPER_LOCK);
    if (*lock_out < 0) return XN_EIO;
    return record_spec(sessions, *folder_out, spec);
}

/* The keeper has the lock from here on. */
static int launch(int sessions, const char *name,
                  const struct session_programs *programs, int lock,
                  int *ready_out)
{
    int ready[2];
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC)) return XN_EIO;
    pid = fork();
    if (pid == 0) run_keeper(sessions, name, programs, lock, ready[1]);
    close(ready[1]);
    if (pid < 0) {
        close(ready[0]);
        return XN_EIO;
    }
    *ready_out = ready[0];
    return 0;
}

int session_start(int sessions, const Xn__TaskSpec *spec,
                  const struct session_programs *programs, int *ready_out)
{
    int folder = -1, lock = -1, rc;

    rc = make_folder(sessions, spec, &folder, &lock);
    if (rc == XN_ECONFLICT) return rc;
    if (!rc) rc = launch(sessions, spec->name, programs, lock, ready_out);
    if (lock >= 0) close(lock);
    if (folder >= 0) close(folder);
    if (rc) session_forget(sessions, spec->name);
    return rc;
}

int session_restart(int sessions, const char *name,
                    const struct session_programs *programs, int *ready_out)
{
    int folder = session_open(sessions, name), lock, rc;

    if (folder < 0) return XN_ENOENT;
    lock = sys_lock(folder, KEEPER_LOCK);
    rc =
        lock < 0 ? XN_EBUSY : launch(sessions, name, programs, lock, ready_out);
    if (lock >= 0) close(lock);
    close(folder);
    return rc;
}

/* ---- asking -------------------------------------------------------------- */

static int ask_over(int fd, const Xn__KeeperAsk *ask, Xn__KeeperTell **tell_out)
{
    ProtobufCMessage *body;
    int rc = frame_send(fd, ask);

    if (!rc) {
        rc = frame_receive(fd, FRAME_TELL_MAX, &xn__keeper_tell__descriptor,
                           &body, NULL);
    }
    if (!rc) *tell_out = (Xn__KeeperTell *)body;
    return rc;
}

int session_ask(int folder, const Xn__KeeperAsk *ask, unsigned wait_ms,
                Xn__KeeperTell **tell_out)
{
    int fd = sys_unix_connect(folder, KEEPER_SOCKET, wait_ms), rc;

    if (fd < 0) return XN_EUNREACH;
    rc = ask_over(fd, ask, tell_out);
    close(fd);
    return rc;
}

/* A copy of a status, which owns its parts. */
static int copy_status(const Xn__TaskStatus *from, Xn__TaskStatus **out)
{
    size_t len = xn__task_status__get_packed_size(from);
    uint8_t *bytes = malloc(len + 1);

    if (!bytes) return XN_ENOMEM;
    xn__task_status__pack(from, bytes);
    *out = xn__task_status__unpack(NULL, len, bytes);
    free(bytes);
    return *out ? 0 : XN_ENOMEM;
}

/* A new connection costs both ends more than question and answer. */
static int live_status(int folder, int *talk, unsigned wait_ms,
                       Xn__TaskStatus **status_out)
{
    Xn__KeeperTell *tell = NULL;
    Xn__KeeperAsk ask;
    int rc = XN_EUNREACH;

    xn__keeper_ask__init(&ask);
    ask.op = XN__KEEPER_OP__STATUS;
    if (*talk >= 0) {
        bool usual = wait_ms == SESSIONS_KEEPER_MS;

        if (!usual) sys_unix_set_timeout(*talk, wait_ms);
        rc = ask_over(*talk, &ask, &tell);
        if (!usual) sys_unix_set_timeout(*talk, SESSIONS_KEEPER_MS);
    }
    if (rc) *talk = -1;
    if (rc == XN_EUNREACH && session_lives(folder))
        rc = session_ask(folder, &ask, wait_ms, &tell);
    if (rc) return rc;
    rc = XN_EPROTO;
    if (tell->status) {
        *status_out = tell->status; /* taken out of what is freed */
        tell->status = NULL;
        rc = 0;
    }
    xn__keeper_tell__free_unpacked(tell, NULL);
    return rc;
}

static int ended_status(int folder, const char *name,
                        Xn__TaskStatus **status_out)
{
    ProtobufCMessage *body = NULL;
    Xn__TaskStatus status;
    Xn__TaskExit *last;
    int rc = record_get(folder, KEEPER_EXIT, &xn__task_exit__descriptor, &body);

    if (rc) return rc;
    last = (Xn__TaskExit *)body;
    xn__task_status__init(&status);
    status.name = (char *)name;
    status.state = XN__TASK_STATE__ENDED;
    status.reading = last->reading;
    status.exit = last;
    status.console_bytes = last->console_bytes;
    rc = copy_status(&status, status_out);
    protobuf_c_message_free_unpacked(body, NULL);
    return rc;
}

int session_status(int folder, const char *name, int *talk, unsigned wait_ms,
                   Xn__TaskStatus **status_out)
{
    if (live_status(folder, talk, wait_ms, status_out) == 0) return 0;
    if (ended_status(folder, name, status_out) == 0) return 0;
    return session_lives(folder) || session_is_lost(folder) ? XN_ETIMEOUT
                                                            : XN_ENOENT;
}

/* ---- sweeping ------------------------------------------------------------ */

/* What the keeper would have said: it cannot any more. */
static int write_exit(int folder, const char *name)
{
    ProtobufCMessage *reading = NULL;
    struct console console;
    Xn__TaskExit last;
    int rc;

    if (has(folder, KEEPER_EXIT)) return 0;
    xn__task_exit__init(&last);
    last.name = (char *)name;
    last.end = XN__TASK_END__KEEPER;
    last.because = (char *)"its keeper was killed, and the task with it";
    last.code = -1;
    last.ended_us = sys_wall_us();
    if (record_get(folder, KEEPER_METER, &xn__task_reading__descriptor,
                   &reading) == 0) {
        last.reading = (Xn__TaskReading *)reading;
    }
    if (console_reopen(folder, KEEPER_CONSOLE, &console) == 0) {
        last.console_bytes = console.total;
        console_finish(&console);
        console_close(&console);
    }
    rc = record_put(folder, KEEPER_EXIT, &last);
    if (reading) protobuf_c_message_free_unpacked(reading, NULL);
    return rc;
}

/* What was used since its keeper noted a reading, while the group knows. */
static void note_last(int folder, const char *name)
{
    Xn__TaskReading reading;
    struct tally tally;

    if (has(folder, KEEPER_EXIT)) return;
    if (!tally_open(folder, name, &tally) && !tally_read(&tally, &reading))
        (void)record_note(folder, KEEPER_METER, &reading);
    tally_close(&tally);
}

static int sweep_cgroups(int folder, const char *name)
{
    char text[CGROUP_KINDS * CGROUP_PATH_MAX];

    if (sys_read_text(folder, KEEPER_CGROUPS, text, sizeof text) < 0) return 0;
    note_last(folder, name);
    if (!cgroup_remove_listed(text, name)) return XN_EBUSY;
    unlinkat(folder, KEEPER_CGROUPS, 0);
    return 0;
}

/* Whoever made it was killed before its task could run: there never was a
 * session. */
static bool never_began(int folder)
{
    return !has(folder, KEEPER_SPEC) ||
           (!has(folder, KEEPER_METER) && !has(folder, KEEPER_DOMAIN) &&
            !has(folder, KEEPER_EXIT));
}

/* Takes the lock meanwhile, so that nobody else is at it. */
static int sweep_locked(int folder, const char *name)
{
    int rc;

    if (never_began(folder)) return XN_ENOENT;
    /* A domain lives on: what became of it is for another keeper to say. */
    if (session_is_lost(folder)) return XN_ENOTYET;
    unlinkat(folder, KEEPER_DOMAIN, 0);
    unlinkat(folder, KEEPER_DISK, 0);
    unlinkat(folder, KEEPER_MEMORY, 0);
    unlinkat(folder, KEEPER_MEMORY ".new", 0);
    rc = sweep_cgroups(folder, name);
    if (!rc) rc = write_exit(folder, name);
    unlinkat(folder, KEEPER_SOCKET, 0);
    unlinkat(folder, KEEPER_METER ".new", 0);
    unlinkat(folder, KEEPER_EXIT ".new", 0);
    return rc;
}

static int remove_all(int sessions, int folder, const char *name)
{
    size_t i;

    for (i = 0; i < sizeof files / sizeof *files; i++) {
        unlinkat(folder, files[i], 0);
    }
    return unlinkat(sessions, name, AT_REMOVEDIR) ? XN_EBUSY : 0;
}

static int with_lock(int sessions, const char *name, bool forget)
{
    int folder = session_open(sessions, name), lock, rc;

    if (folder < 0) return XN_ENOENT;
    lock = sys_lock(folder, KEEPER_LOCK);
    rc = lock < 0 ? XN_EBUSY : sweep_locked(folder, name);
    if (forget && rc == XN_ENOTYET)
        rc = XN_EBUSY;
    else if (lock >= 0 && (forget || rc == XN_ENOENT)) {
        /* what cannot be recorded any more may still be removed */
        rc = sweep_cgroups(folder, name);
        if (!rc) rc = remove_all(sessions, folder, name);
    }
    if (lock >= 0) close(lock);
    close(folder);
    return rc;
}

int session_sweep(int sessions, const char *name)
{
    return with_lock(sessions, name, false);
}

int session_forget(int sessions, const char *name)
{
    return with_lock(sessions, name, true);
}
