/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keeper as a program: its folder, its descriptors, its loop.  xenodomd
 * starts one for each session: xeno-keeper for a sandbox, itself for a domain.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.h"
#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"
#include "wire/frame.h"

#define PROGRAM "xeno-keeper"
#define LINGER_US 5000000 /* for clients that have not got the end yet */

struct arguments {
    const char *bwrap, *lock, *ready, *help, *version, *folder;
};

static int parse(int argc, char **argv, struct arguments *args)
{
    const struct xn_option rows[] = {
        XN_OPTION("bwrap", 0, "PROGRAM", "bubblewrap", &args->bwrap),
        XN_OPTION("lock", 0, "FD", "the folder's lock, taken already",
                  &args->lock),
        XN_OPTION("ready", 0, "FD", "where to say that the task runs",
                  &args->ready),
        XN_OPTION("help", 'h', NULL, "this text", &args->help),
        XN_OPTION("version", 'V', NULL, "the version", &args->version),
    };
    const struct xn_options options = {rows, sizeof rows / sizeof *rows, true};
    char because[256];
    int words = argc;

    if (xn_options_read(&options, argc, argv, &words, because,
                        sizeof because) == 0) {
        if (args->help) {
            puts("Usage: xeno-keeper [OPTION]... FOLDER\n"
                 "Keeps one task; xenodomd starts it.\n");
            xn_options_help(&options);
        }
        if (args->version) puts(PROGRAM " (XenoServer) " PACKAGE_VERSION);
        if (args->help || args->version) return 0;
        snprintf(because, sizeof because, "not one folder, but %d words",
                 argc - words);
        if (argc - words == 1) {
            args->folder = argv[words];
            return 0;
        }
    }
    xn_gripe_rc(PROGRAM, XN_EINVAL, "USAGE", "cannot understand the command",
                because, PROGRAM " --help");
    return XN_EINVAL;
}

/* Nothing of ours gets into a task, whatever we were started with. */
static int close_others(void)
{
    return close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) ? XN_EIO : 0;
}

static int open_session(struct keeper *keeper, const struct arguments *args)
{
    ProtobufCMessage *body;
    char because[256];
    int rc;

    keeper->dir = open(args->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (keeper->dir < 0) return XN_EIO;
    keeper->lock =
        args->lock ? atoi(args->lock) : sys_lock(keeper->dir, KEEPER_LOCK);
    if (keeper->lock < 0) return XN_EBUSY;
    rc =
        record_get(keeper->dir, KEEPER_SPEC, &xn__task_spec__descriptor, &body);
    if (rc) return rc;
    keeper->spec = (Xn__TaskSpec *)body;
    rc = spec_check(keeper->spec, because, sizeof because);
    if (rc) return rc;
    keeper->listener = sys_unix_listen(keeper->dir, KEEPER_SOCKET);
    return keeper->listener < 0 ? XN_EIO : 0;
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(struct keeper *keeper)
{
    struct signalfd_siginfo info;

    while (read(keeper->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) continue;
        if (keeper->state ==
            XN__TASK_STATE__SAVED) { /* the machine goes down */
            keeper->leaves = true;
        } else {
            keeper_stop(keeper, XN__TASK_END__STOPPED,
                        "the keeper was told to end", 0);
        }
    }
    keeper_reap(keeper);
    if (keeper->state != XN__TASK_STATE__ENDED) keeper_finish(keeper);
}

static void say_ready(struct keeper *keeper, const struct arguments *args,
                      int rc)
{
    int fd = args->ready ? atoi(args->ready) : -1;
    struct xn_buf out;

    if (fd < 0) return;
    xn_buf_init(&out, FRAME_TELL_MAX);
    if (!keeper_tell_status(keeper, rc, &out)) {
        /* who started us may be gone: the task runs all the same */
        (void)sys_write_all(fd, out.data, out.len);
    }
    xn_buf_clear(&out);
    close(fd);
}

static bool has_clients(const struct keeper *keeper)
{
    size_t i;

    for (i = 0; i < KEEPER_CLIENTS_MAX; i++) {
        const struct keeper_client *client = &keeper->clients[i];

        if (client->fd >= 0 && (client->follows || client->out.len > 0)) {
            return true;
        }
    }
    return false;
}

static int wait_ms(uint64_t now, uint64_t then)
{
    if (then <= now) return 0;
    return (int)((then - now + 999) / 1000);
}

/* Once around: waits until something happens or `until`. */
static void turn(struct keeper *keeper, uint64_t until)
{
    bool lives = keeper->state != XN__TASK_STATE__ENDED;
    struct pollfd polls[KEEPER_POLLS];
    uint64_t now = sys_mono_us();
    size_t i, n = keeper->n_clients;

    for (i = 0; i < n; i++) {
        polls[i].fd = keeper->clients[i].fd;
        polls[i].events = keeper_wants(keeper, &keeper->clients[i]);
        polls[i].revents = 0;
    }
    polls[n] = (struct pollfd){lives ? keeper->listener : -1, POLLIN, 0};
    polls[n + 1] = (struct pollfd){keeper->signals, POLLIN, 0};
    polls[n + 2] = (struct pollfd){
        lives && (keeper->pty_bytes > 0 || now >= keeper->pty_us)
            ? keeper->terminal
            : -1,
        POLLIN, 0};
    if (poll(polls, n + 3, wait_ms(now, until)) < 0) return;
    if (polls[n + 2].revents) keeper_read_terminal(keeper, sys_mono_us());
    if (polls[n + 1].revents) take_signals(keeper);
    if (polls[n].revents) keeper_accept(keeper);
    for (i = 0; i < n; i++) {
        if (polls[i].revents) {
            keeper_serve(keeper, &keeper->clients[i], polls[i].revents);
        }
    }
}

static void run(struct keeper *keeper)
{
    uint64_t until, linger = 0;

    for (;;) {
        until = keeper_tick(keeper, sys_mono_us());
        if (keeper->state == XN__TASK_STATE__ENDED) {
            if (!linger) {
                linger = sys_mono_us() + LINGER_US;
                turn(keeper, 0); /* who asked before that */
            }
            if (!has_clients(keeper) || sys_mono_us() >= linger) break;
            until = linger;
        }
        turn(keeper, until);
        if (keeper->leaves) break;
    }
}

static void clear(struct keeper *keeper)
{
    size_t i;

    for (i = 0; i < KEEPER_CLIENTS_MAX; i++)
        keeper_drop(&keeper->clients[i]);
    console_close(&keeper->console);
    record_close(&keeper->meter);
    xn_buf_clear(&keeper->typed);
    close(keeper->listener);
    close(keeper->signals);
    close(keeper->dir);
    if (keeper->spec) xn__task_spec__free_unpacked(keeper->spec, NULL);
}

static int keep(const struct arguments *args, const struct runner *runner,
                const struct xen_calls *xen)
{
    struct keeper keeper;
    int rc;

    sys_set_oom(SYS_OOM_KEEPER);
    keeper_init(&keeper, runner);
    keeper.domain.calls = xen;
    keeper.bwrap = args->bwrap ? args->bwrap : "/usr/bin/bwrap";
    keeper.signals = open_signals();
    rc = keeper.signals < 0 ? XN_EIO : open_session(&keeper, args);
    if (rc) {
        xn_gripe_rcf(PROGRAM, rc, NULL, "cannot keep a session", "man xenodomd",
                     "%s: %s", args->folder, xn_strerror(rc));
    } else {
        rc = keeper_start(&keeper);
        say_ready(&keeper, args, rc);
        if (!rc || keeper.state == XN__TASK_STATE__ENDED) run(&keeper);
    }
    clear(&keeper);
    return rc ? xn_exit_code(rc) : 0;
}

int keep_main(int argc, char **argv, const struct runner *runner,
              const struct xen_calls *xen)
{
    struct arguments args = {0};

    if (parse(argc, argv, &args)) return XN_EXIT_USAGE;
    if (!args.folder) return xn_end(PROGRAM, 0);
    if (close_others()) return XN_EXIT_FAILED;
    return keep(&args, runner, xen);
}
