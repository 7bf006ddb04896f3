/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/text.h"

#define STAND_US 1000 /* between signals that do not get there */
#define JOIN_US 20000 /* between signals while others may come in, at least */
#define JOIN_PART 8   /* of the time since one did */
#define EVASIONS_MAX 3
#define TYPE_US 10000 /* between looks for room in a full terminal */
#define PTY_US 100000 /* a flood may fill the console at 10 MiB/s */
#define PTY_BYTES (1 << 20)
#define FAR_US 3600000000ULL

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- readings ------------------------------------------------------------ */

static void read_now(struct keeper *keeper, uint64_t now, Xn__TaskReading *out)
{
    xn__task_reading__init(out);
    keeper->runner->meter(keeper, now, out);
    out->wall_us = sys_wall_us();
    if (!keeper->started_mono_us) { /* nothing ran */
        out->cpu_ns = 0;
        return;
    }
    out->memory_kib_s = keeper->memory_kib_ms / 1000;
    out->memory_bytes = keeper->memory_bytes;
    out->run_ms = (now - keeper->started_mono_us) / 1000;
}

void keeper_reading(struct keeper *keeper, uint64_t since_us,
                    Xn__TaskReading *out)
{
    if (keeper->ended_mono_us) {
        read_now(keeper, keeper->ended_mono_us, out);
    } else if (keeper->noted_us >= since_us) {
        *out = keeper->noted;
    } else {
        read_now(keeper, sys_mono_us(), out);
    }
}

void keeper_note_reading(struct keeper *keeper)
{
    uint64_t now = sys_mono_us();

    read_now(keeper, now, &keeper->noted);
    keeper->noted_us = now;
    record_renote(keeper->dir, KEEPER_METER, &keeper->meter, &keeper->noted);
}

/* ---- signals to all ------------------------------------------------------ */

/* false: it does not have it yet. */
static bool send(struct keeper *keeper, int sig)
{
    int rc = keeper->runner->signal(keeper, sig);

    if (!rc || rc == XN_ENOENT) { /* there, or nobody is there any more */
        keeper->evasions = 0;
        return true;
    }
    if (rc == XN_EPERM && ++keeper->evasions >= EVASIONS_MAX) {
        keeper_stop(keeper, XN__TASK_END__EVADED,
                    "somebody in the sandbox keeps signals from it", 0);
    }
    return false;
}

/* Who has come in since it was told to stand is told then: soon after he was
 * begun, and the longer that is ago the later. */
static uint64_t tell_again_us(const struct keeper *keeper, uint64_t mono_us)
{
    uint64_t us = (mono_us - keeper->joined_us) / JOIN_PART;

    return mono_us + (us < JOIN_US ? JOIN_US : us);
}

/* Stands or goes on as pause and cap together want; while it is being stopped,
 * the cap holds on.  Where a messenger does not come back, nobody knows whether
 * they got it: another is sent until one does, or who fights one would be rid of
 * the cap.  Nor is whoever comes in while they stand. */
static void set_standing(struct keeper *keeper, uint64_t mono_us)
{
    bool stand = keeper->paused || (keeper->caps_itself && keeper->cap.held);

    if (stand == keeper->stands && !keeper->stand_us) return;
    if (!send(keeper, stand ? SIGSTOP : SIGCONT)) {
        keeper->stand_us = mono_us + STAND_US;
        return;
    }
    keeper->stand_us =
        stand && keeper->n_execs ? tell_again_us(keeper, mono_us) : 0;
    if (stand == keeper->stands) return;
    if (stand) {
        keeper->run_us += mono_us - keeper->run_since_us;
    } else {
        keeper->run_since_us = mono_us;
    }
    keeper->stands = stand;
}

int keeper_save(struct keeper *keeper, bool save)
{
    if (!keeper->runner->save) return XN_EREFUSED;
    if (keeper->state != XN__TASK_STATE__RUNNING &&
        keeper->state != XN__TASK_STATE__PAUSED &&
        keeper->state != XN__TASK_STATE__SAVED) {
        return XN_ECONFLICT;
    }
    keeper->look_us = 0;
    return keeper->runner->save(keeper, save);
}

int keeper_pause(struct keeper *keeper, bool pause)
{
    if (keeper->state == XN__TASK_STATE__SAVED) return XN_ENOTYET;
    if (keeper->state != XN__TASK_STATE__RUNNING &&
        keeper->state != XN__TASK_STATE__PAUSED) {
        return XN_ECONFLICT;
    }
    keeper->paused = pause;
    keeper->state = pause ? XN__TASK_STATE__PAUSED : XN__TASK_STATE__RUNNING;
    set_standing(keeper, sys_mono_us());
    return 0;
}

void keeper_stop(struct keeper *keeper, Xn__TaskEnd end, const char *because,
                 uint32_t grace_ms)
{
    uint64_t now = sys_mono_us();

    if (keeper->state == XN__TASK_STATE__ENDED) return;
    if (!keeper->end) {
        keeper->end = end;
        snprintf(keeper->because, sizeof keeper->because, "%s", because);
        xn_plain(keeper->because);
    }
    if (keeper->state != XN__TASK_STATE__STOPPING) keeper->look_us = 0;
    if (keeper->state == XN__TASK_STATE__SAVED) grace_ms = 0;
    keeper->state = XN__TASK_STATE__STOPPING;
    if (grace_ms == 0) {
        keeper->runner->kill(keeper);
        return;
    }
    if (keeper->kill_us) { /* asked before: never later than that */
        keeper->kill_us =
            min_u64(keeper->kill_us, now + (uint64_t)grace_ms * 1000);
        return;
    }
    keeper->kill_us = now + (uint64_t)grace_ms * 1000;
    keeper->paused = false;
    send(keeper, SIGTERM);
    set_standing(keeper, now);
}

/* ---- commands beside it -------------------------------------------------- */

int keeper_exec(struct keeper *keeper, const Xn__KeeperAsk *what, int *fd_out)
{
    unsigned i = 0;
    int rc;

    if (!keeper->runner->exec) return XN_EINVAL;
    if (keeper->state != XN__TASK_STATE__RUNNING) return XN_ECONFLICT;
    while (i < KEEPER_EXECS_MAX && keeper->execs[i])
        i++;
    if (i == KEEPER_EXECS_MAX) return XN_EBUSY;
    rc = keeper->runner->exec(keeper, what, &keeper->execs[i], fd_out);
    if (keeper->execs[i]) keeper->n_execs++;
    if (rc) return rc;
    keeper->joined_us = sys_mono_us();
    /* it comes in while the others stand, or soon will */
    if (keeper->stands)
        keeper->stand_us = tell_again_us(keeper, keeper->joined_us);
    return 0;
}

void keeper_reap(struct keeper *keeper)
{
    int status;

    for (unsigned i = 0; i < KEEPER_EXECS_MAX; i++) {
        pid_t pid = keeper->execs[i];

        if (!pid || waitpid(pid, &status, WNOHANG) != pid) continue;
        keeper->execs[i] = 0;
        keeper->n_execs--;
        if (keeper->stands) keeper->stand_us = sys_mono_us();
    }
}

/* ---- the terminal -------------------------------------------------------- */

static size_t read_some(struct keeper *keeper, size_t most)
{
    char data[32768];
    ssize_t n;

    if (most > sizeof data) most = sizeof data;
    n = read(keeper->terminal, data, most);
    if (n <= 0) return 0;
    if (console_append(&keeper->console, data, (size_t)n)) {
        /* its room was taken at the start; only the disk can have failed */
        keeper_stop(keeper, XN__TASK_END__STOPPED,
                    "the console cannot be written", 0);
    }
    return (size_t)n;
}

void keeper_read_terminal(struct keeper *keeper, uint64_t mono_us)
{
    size_t n;

    if (mono_us >= keeper->pty_us) {
        keeper->pty_us = mono_us + PTY_US;
        keeper->pty_bytes = PTY_BYTES;
    }
    /* a part, so that everything else has its turn */
    n = read_some(keeper, keeper->pty_bytes);
    keeper->pty_bytes -= n;
    /* one whose other end is gone is readable for ever */
    if (n == 0) keeper->pty_bytes = 0;
}

void keeper_drain_terminal(struct keeper *keeper)
{
    while (keeper->console.fd >= 0 && read_some(keeper, 32768) > 0) {}
}

/* A terminal takes what it has room for, and tells nobody when it has room
 * again. */
static void type_rest(struct keeper *keeper, uint64_t mono_us)
{
    ssize_t n = write(keeper->terminal, keeper->typed.data, keeper->typed.len);

    if (n > 0) xn_buf_drop(&keeper->typed, (size_t)n);
    keeper->type_us = mono_us + TYPE_US;
}

int keeper_type(struct keeper *keeper, const void *data, size_t len)
{
    uint64_t mono_us = sys_mono_us();

    if (keeper->terminal < 0) return XN_EBUSY;
    if (keeper->typed.len) type_rest(keeper, mono_us);
    if (keeper->typed.len) return XN_EBUSY;
    xn_buf_add(&keeper->typed, data, len);
    if (xn_buf_rc(&keeper->typed)) return XN_ENOMEM;
    type_rest(keeper, mono_us);
    return 0;
}

/* ---- limits -------------------------------------------------------------- */

static void look_at_memory(struct keeper *keeper, uint64_t mono_us)
{
    uint64_t passed = mono_us - keeper->memory_since_us;

    keeper->memory_kib_ms += (keeper->memory_bytes >> 10) * passed / 1000;
    keeper->memory_since_us = mono_us;
    if (keeper->runner->memory(keeper, &keeper->memory_bytes)) {
        keeper_stop(keeper, XN__TASK_END__MEMORY,
                    "the task needs more memory than it may have", 0);
    }
}

static void hold_to_cap(struct keeper *keeper, uint64_t mono_us)
{
    uint64_t wait = cap_step(&keeper->cap, mono_us,
                             keeper->runner->cap_reading(keeper, mono_us));

    keeper->cap_us = mono_us + wait;
    set_standing(keeper, mono_us);
}

/* A sandbox has one keeper; whoever keeps a domain next reads it in the spec, so
 * the same again is written again: it may have failed before. */
int keeper_lifetime(struct keeper *keeper, uint64_t life_ms)
{
    if (keeper->state == XN__TASK_STATE__ENDED) return XN_ECONFLICT;
    keeper->spec->life_ms = life_ms;
    if (keeper->spec->runner == XN__RUNNER__SANDBOX) return 0;
    return record_put(keeper->dir, KEEPER_SPEC, keeper->spec);
}

/* It may have begun before this machine's clock did. */
static uint64_t life_us(const struct keeper *keeper, uint64_t mono_us)
{
    uint64_t ran_us = mono_us - keeper->started_mono_us;
    uint64_t us = keeper->spec->life_ms * 1000;

    if (!us) return UINT64_MAX;
    return ran_us < us ? mono_us + us - ran_us : mono_us;
}

/* What its group counts is there without us (tally.h): then with each look. */
static uint64_t note_every_us(const struct keeper *keeper)
{
    uint64_t us = (uint64_t)keeper->spec->meter_ms * 1000;

    return keeper->noted.base_ns && us < keeper->look_every_us
               ? keeper->look_every_us
               : us;
}

void keeper_hasten(struct keeper *keeper, uint64_t mono_us)
{
    if (keeper->state == XN__TASK_STATE__ENDED || !keeper->note_us ||
        mono_us + note_every_us(keeper) / 2 < keeper->note_us) {
        return;
    }
    keeper->note_us = mono_us + note_every_us(keeper);
    look_at_memory(keeper, mono_us);
    keeper_note_reading(keeper);
}

uint64_t keeper_tick(struct keeper *keeper, uint64_t mono_us)
{
    uint64_t next = mono_us + FAR_US;

    if (keeper->state == XN__TASK_STATE__ENDED) return next;
    /* with every note, too: what costs is the waking up */
    if (mono_us >= keeper->look_us || mono_us >= keeper->note_us) {
        keeper->look_us = mono_us + keeper->look_every_us;
        look_at_memory(keeper, mono_us);
        keeper_finish(keeper);
        if (keeper->state == XN__TASK_STATE__ENDED) return next;
    }
    if (keeper->caps_itself && mono_us >= keeper->cap_us) {
        hold_to_cap(keeper, mono_us);
    }
    if (keeper->stand_us && mono_us >= keeper->stand_us) {
        set_standing(keeper, mono_us);
    }
    if (keeper->typed.len && mono_us >= keeper->type_us)
        type_rest(keeper, mono_us);
    if (mono_us >= keeper->note_us) {
        keeper->note_us = mono_us + note_every_us(keeper);
        keeper_note_reading(keeper);
    }
    if (mono_us >= life_us(keeper, mono_us)) {
        keeper_stop(keeper, XN__TASK_END__LIFE, "its time was over", 0);
    }
    if (keeper->kill_us && mono_us >= keeper->kill_us) {
        keeper->kill_us = UINT64_MAX;
        keeper->runner->kill(keeper);
    }
    next = min_u64(next, keeper->look_us);
    next = min_u64(next, keeper->note_us);
    next = min_u64(next, life_us(keeper, mono_us));
    if (keeper->caps_itself) next = min_u64(next, keeper->cap_us);
    if (keeper->stand_us) next = min_u64(next, keeper->stand_us);
    if (keeper->kill_us) next = min_u64(next, keeper->kill_us);
    if (keeper->typed.len) next = min_u64(next, keeper->type_us);
    /* Later than that, the terminal is waited for. */
    if (keeper->pty_bytes == 0 && keeper->pty_us > mono_us) {
        next = min_u64(next, keeper->pty_us);
    }
    return next;
}

/* ---- start and end ------------------------------------------------------- */

static bool is_told_to_end(void)
{
    sigset_t set;

    return sigpending(&set) == 0 &&
           (sigismember(&set, SIGTERM) || sigismember(&set, SIGINT));
}

const char *keeper_unwanted(struct keeper *keeper)
{
    uint64_t life_us = keeper->spec->life_ms * 1000;

    if (is_told_to_end())
        keeper->unwanted = "the keeper was told to end";
    else if (life_us && sys_mono_us() - keeper->asked_us >= life_us)
        keeper->unwanted = "its time was over";
    else if (keeper_hears_stop(keeper))
        keeper->unwanted = "asked to stop";
    return keeper->unwanted;
}

/* The last line that bwrap, or who should have become it, had to say. */
static void add_last_words(struct keeper *keeper)
{
    char words[512], *line;
    size_t n = 0, used = strlen(keeper->because);
    uint64_t from = 0;

    keeper_drain_terminal(keeper);
    if (keeper->console.total > sizeof words - 1) {
        from = keeper->console.total - (sizeof words - 1);
    }
    if (console_read(&keeper->console, &from, words, sizeof words - 1, &n) ||
        n == 0) {
        return;
    }
    while (n > 0 && (words[n - 1] == '\n' || words[n - 1] == '\r'))
        n--;
    words[n] = '\0';
    line = strrchr(words, '\n');
    snprintf(keeper->because + used, sizeof keeper->because - used, ": %s",
             line ? line + 1 : words);
    xn_plain(keeper->because);
}

static void fill_exit(struct keeper *keeper)
{
    Xn__TaskExit *last = &keeper->last;
    int status = keeper->status;

    xn__task_exit__init(last);
    keeper_reading(keeper, keeper->ended_mono_us, &keeper->last_reading);
    last->name = keeper->spec->name;
    last->end = keeper->end;
    last->because = keeper->because;
    last->reading = &keeper->last_reading;
    last->started_us = keeper->started_us;
    last->ended_us = sys_wall_us();
    last->console_bytes = keeper->console.total;
    if (keeper->started_mono_us && WIFEXITED(status)) {
        last->code = WEXITSTATUS(status);
        if (last->code > 128 && last->code <= 128 + 64) {
            last->signal = last->code - 128; /* as shells say it */
        }
    } else if (keeper->started_mono_us && WIFSIGNALED(status)) {
        last->signal = WTERMSIG(status);
        last->code = 128 + last->signal;
    }
}

static void end_processes(struct keeper *keeper)
{
    keeper->runner->kill(keeper);
    keeper->runner->await(keeper);
    keeper->ended_mono_us = sys_mono_us();
    keeper_drain_terminal(keeper);
    console_finish(&keeper->console);
    keeper->state = XN__TASK_STATE__ENDED;
    fill_exit(keeper);
}

/* Whoever hears of the end may take the folder away at once. */
static void leave(struct keeper *keeper)
{
    keeper->runner->clear(keeper);
    unlinkat(keeper->dir, KEEPER_SOCKET, 0);
    close(keeper->lock);
    keeper->lock = -1;
}

/* Everything is gone before the record says so, and counted. */
static void end_all(struct keeper *keeper)
{
    end_processes(keeper);
    record_put(keeper->dir, KEEPER_EXIT, &keeper->last);
    leave(keeper);
}

void keeper_finish(struct keeper *keeper)
{
    if (!keeper->runner->has_ended(keeper)) return;
    look_at_memory(keeper, sys_mono_us());
    if (!keeper->end) {
        keeper->end = XN__TASK_END__FINISHED;
        snprintf(keeper->because, sizeof keeper->because, "the task ended");
    }
    end_all(keeper);
}

static int fail_start(struct keeper *keeper, int rc)
{
    keeper->end = XN__TASK_END__NOT_STARTED;
    if (keeper->console.fd >= 0 && keeper->terminal >= 0) {
        keeper->runner->kill(keeper);
        add_last_words(keeper);
    }
    end_all(keeper);
    return rc;
}

static void set_clocks(struct keeper *keeper, uint64_t now)
{
    cap_init(&keeper->cap, keeper->spec->cpu_ms_per_s, now);
    keeper->look_us = keeper->cap_us = keeper->memory_since_us = now;
    keeper->run_since_us = now;
    keeper->note_us = now + note_every_us(keeper);
}

static int begin(struct keeper *keeper)
{
    uint64_t now = sys_mono_us();
    int rc;

    set_clocks(keeper, now);
    keeper->started_us = sys_wall_us();
    keeper_note_reading(keeper); /* from here on it may have run */
    rc = keeper->runner->begin(keeper, now);
    if (rc) {
        keeper->started_us = 0;
        return rc;
    }
    keeper->started_mono_us = now;
    keeper->state = XN__TASK_STATE__RUNNING;
    keeper_note_reading(keeper); /* from what it counts, too */
    return 0;
}

/* The files have been passed on, and stay in the record of the spec. */
static void drop_put(Xn__TaskSpec *spec)
{
    size_t i;

    for (i = 0; i < spec->n_put; i++)
        xn__task_file__free_unpacked(spec->put[i], NULL);
    free(spec->put);
    spec->put = NULL;
    spec->n_put = 0;
}

/* Whoever keeps images leaves one that is locked where it is; and what is not
 * there any more under its name was being removed. */
static int lock_image(struct keeper *keeper)
{
    const char *path = keeper->spec->image;
    struct stat is, named;

    if (!path[0]) return 0;
    keeper->image = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (keeper->image >= 0 && !flock(keeper->image, LOCK_SH | LOCK_NB) &&
        !fstat(keeper->image, &is) && !stat(path, &named) &&
        is.st_dev == named.st_dev && is.st_ino == named.st_ino) {
        return 0;
    }
    snprintf(keeper->because, sizeof keeper->because, "its image is not there");
    return XN_ENOENT;
}

static int start_first(struct keeper *keeper)
{
    int rc;

    rc = console_create(keeper->dir, KEEPER_CONSOLE,
                        keeper->spec->console_bytes, &keeper->console);
    if (rc) {
        snprintf(keeper->because, sizeof keeper->because,
                 "the console file: %s", strerror(errno));
        return fail_start(keeper, rc);
    }
    rc = lock_image(keeper);
    if (!rc) rc = keeper->runner->build(keeper);
    drop_put(keeper->spec);
    if (!rc) rc = begin(keeper);
    return rc ? fail_start(keeper, rc) : 0;
}

/* ---- after another keeper ------------------------------------------------ */

/* Time went on while nobody read: it ran, and had its memory. */
static void catch_up(struct keeper *keeper, uint64_t now)
{
    uint64_t wall = sys_wall_us(), since = keeper->started_us, ran;
    ProtobufCMessage *body = NULL;

    if (record_get(keeper->dir, KEEPER_METER, &xn__task_reading__descriptor,
                   &body) == 0) {
        const Xn__TaskReading *reading = (Xn__TaskReading *)body;

        keeper->memory_kib_ms = reading->memory_kib_s * 1000;
        if (reading->memory_bytes) keeper->memory_bytes = reading->memory_bytes;
        since = reading->wall_us;
        protobuf_c_message_free_unpacked(body, NULL);
    }
    if (wall > since) {
        keeper->memory_kib_ms +=
            (keeper->memory_bytes >> 10) * ((wall - since) / 1000);
    }
    ran = wall > keeper->started_us ? wall - keeper->started_us : 0;
    keeper->started_mono_us = now != ran ? now - ran : 1;
}

/* Nothing of it has run, so it never was: who asked for it may begin it anew
 * (session_sweep). */
static int undo_start(struct keeper *keeper, int rc)
{
    keeper->end = XN__TASK_END__NOT_STARTED;
    snprintf(keeper->because, sizeof keeper->because,
             "its keeper was killed while it was started");
    end_processes(keeper);
    unlinkat(keeper->dir, KEEPER_METER, 0);
    leave(keeper);
    return rc;
}

static int end_lost(struct keeper *keeper, int rc)
{
    keeper->end = XN__TASK_END__KEEPER;
    snprintf(keeper->because, sizeof keeper->because,
             "its keeper was killed, and it is gone");
    end_all(keeper);
    return rc;
}

/* Where it cannot be looked at, nothing is said of it: the next keeper may. */
static int take_up(struct keeper *keeper)
{
    uint64_t now = sys_mono_us();
    int rc;

    rc = console_reopen(keeper->dir, KEEPER_CONSOLE, &keeper->console);
    /* a guest that boots again wants it; until then it is not missed */
    if (lock_image(keeper)) keeper->because[0] = '\0';
    if (!rc) rc = keeper->runner->build(keeper);
    drop_put(keeper->spec);
    if (rc && rc != XN_ENOENT) return rc;
    if (!keeper->started_us) return undo_start(keeper, XN_EREFUSED);
    catch_up(keeper, now);
    if (rc) return end_lost(keeper, XN_EREFUSED);
    set_clocks(keeper, now);
    keeper->stands = keeper->paused;
    if (keeper->state != XN__TASK_STATE__SAVED)
        keeper->state =
            keeper->paused ? XN__TASK_STATE__PAUSED : XN__TASK_STATE__RUNNING;
    return 0;
}

int keeper_start(struct keeper *keeper)
{
    keeper->asked_us = sys_mono_us();
    keeper->again = faccessat(keeper->dir, KEEPER_DOMAIN, F_OK, 0) == 0;
    return keeper->again ? take_up(keeper) : start_first(keeper);
}

void keeper_init(struct keeper *keeper, const struct runner *runner)
{
    size_t i;

    memset(keeper, 0, sizeof *keeper);
    keeper->runner = runner;
    keeper->listener = keeper->signals = keeper->dir = keeper->lock = -1;
    keeper->image = -1;
    xn_buf_init(&keeper->typed, SPEC_INPUT_MAX);
    keeper->console.fd = keeper->terminal = -1;
    keeper->box.init_fd = keeper->box.terminal = -1;
    keeper->box.files = CGROUP_NO_FILES;
    keeper->meter = RECORD_CLOSED;
    for (i = 0; i < KEEPER_CLIENTS_MAX; i++)
        keeper->clients[i].fd = keeper->clients[i].passes = -1;
}
