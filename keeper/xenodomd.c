/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process that starts things: options and loop. */
#include "keeper/xenodomd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "keeper/cgroup.h"
#include "keeper/meter.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "lib/options.h"
#include "lib/text.h"

#define SOCKET "socket"
#define BWRAP "/usr/bin/bwrap"
#define SOON_MS 50    /* until a keeper that is ending is looked at again */
#define TAKE_MS 1000  /* until clients that take nothing are looked at */
#define STUCK_MS 1000 /* until what cannot be swept is tried again */

struct arguments {
    const char *state, *memory, *sessions, *uid_base, *meter;
    const char *bridge, *addresses, *gateway, *net6, *gateway6, *nat;
    const char *keeper, *bwrap, *ready, *help, *version;
    const char *users[DOM_UIDS_MAX];
    uint64_t ready_fd;
    struct ask_options ask;
    struct envelope envelope;
};

static const char usage[] =
    "Usage: xenodomd [--state DIR] [OPTION]...\n"
    "       xenodomd [--state DIR] start NAME [--set KEY=VALUE]... "
    "-- PROGRAM [ARG]...\n"
    "       xenodomd [--state DIR] list | adopt | watch\n"
    "       xenodomd [--state DIR] check | sweep\n"
    "       xenodomd [--state DIR] status|stop|pause|resume|console|forget "
    "NAME\n"
    "       xenodomd [--state DIR] type NAME TEXT\n"
    "       xenodomd [--state DIR] save | restore [NAME]\n"
    "Starts tasks in sandboxes or domains, each with a keeper of its own.\n";

static int gripe(int rc, const char *what, const char *because)
{
    xn_gripe_rc(PROGRAM, rc, NULL, what, because, PROGRAM " --help");
    return rc;
}

static int read_number(const char *text, const char *name, uint64_t max,
                       uint64_t *out)
{
    char what[64];

    if (!text || xn_number_parse(text, max, out) == 0) return 0;
    snprintf(what, sizeof what, "cannot take --%s", name);
    return gripe(XN_EINVAL, what, text);
}

/* By number or name, once: who is called so later has it from the next start
 * on. */
static int take_users(struct arguments *args)
{
    struct envelope *envelope = &args->envelope;
    const struct passwd *user;
    uint64_t uid;
    size_t i;

    for (i = 0; i < envelope->n_uids; i++) {
        if (xn_number_parse(args->users[i], UINT32_MAX, &uid)) {
            user = getpwnam(args->users[i]);
            if (!user) {
                return gripe(XN_EINVAL, "cannot take --allow: no such user",
                             args->users[i]);
            }
            uid = user->pw_uid;
        }
        envelope->uids[i] = (uid_t)uid;
    }
    return 0;
}

static int take_numbers(struct arguments *args)
{
    uint64_t memory_mib = 1024, sessions = 64, uid_base = 2000000;
    struct envelope *envelope = &args->envelope;
    int meter = args->meter ? spec_meter_parse(args->meter) : 0;

    if (meter < 0) return gripe(XN_EINVAL, "cannot take --meter", args->meter);
    if (read_number(args->memory, "memory", 1 << 30, &memory_mib) ||
        read_number(args->sessions, "sessions", DOM_SESSIONS_MAX, &sessions) ||
        read_number(args->uid_base, "uid-base", 0xf0000000, &uid_base) ||
        read_number(args->ready, "ready-fd", 1 << 20, &args->ready_fd)) {
        return XN_EINVAL;
    }
    if (uid_base == 0) {
        return gripe(XN_EINVAL, "cannot take --uid-base",
                     "tasks never run as root");
    }
    envelope->memory_bytes = memory_mib << 20;
    envelope->sessions = sessions;
    envelope->uid_base = (uint32_t)uid_base;
    envelope->meter = (Xn__MeterKind)meter;
    return 0;
}

static int take_network(struct arguments *args)
{
    char because[128];

    if (!network_parse(args->bridge, args->addresses, args->gateway,
                       &args->envelope.network, because, sizeof because) &&
        !network_parse6(args->net6, args->gateway6, &args->envelope.network,
                        because, sizeof because)) {
        return 0;
    }
    return gripe(XN_EINVAL, "cannot take a network", because);
}

static int parse(struct arguments *args, int argc, char **argv, int *words_out)
{
    struct envelope *envelope = &args->envelope;
    const struct xn_option rows[] = {
        XN_OPTION("state", 0, "DIR", "where sessions are kept", &args->state),
        XN_OPTION("memory", 0, "MIB", "for all tasks together [1024]",
                  &args->memory),
        XN_OPTION("sessions", 0, "N", "at once, at most [64]", &args->sessions),
        XN_OPTION_LIST("images", "DIR", "images may be within; repeatable",
                       envelope->images, &envelope->n_images),
        XN_OPTION_LIST("allow", "USER", "a user who may ask; repeatable",
                       args->users, &envelope->n_uids),
        XN_OPTION("uid-base", 0, "UID",
                  "as root: tasks run as this user and those behind it "
                  "[2000000]",
                  &args->uid_base),
        XN_OPTION("bridge", 0, "BRIDGE", "domains have an interface there",
                  &args->bridge),
        XN_OPTION("addresses", 0, "RANGE", "FIRST-LAST/PREFIX, theirs; IPv4",
                  &args->addresses),
        XN_OPTION("gateway", 0, "ADDRESS", "theirs", &args->gateway),
        XN_OPTION("net6", 0, "NET", "ADDRESS/BITS, in which they have IPv6",
                  &args->net6),
        XN_OPTION("gateway6", 0, "ADDRESS", "theirs", &args->gateway6),
        XN_OPTION("nat", 0, NULL, "they go out under this host's address",
                  &args->nat),
        XN_OPTION("meter", 0, "KIND",
                  "best to use: cgroup, perf, proc, reserved", &args->meter),
        XN_OPTION("keeper", 0, "PROGRAM", "the keeper", &args->keeper),
        XN_OPTION("bwrap", 0, "PROGRAM", "bubblewrap", &args->bwrap),
        XN_OPTION("ready-fd", 0, "FD", "where to write a line once it answers",
                  &args->ready),
        XN_OPTION("runner", 0, "NAME", "start, check: sandbox, xen [sandbox]",
                  &args->ask.runner),
        XN_OPTION_LIST("set", "KEY=VALUE", "start: a limit; repeatable",
                       args->ask.sets, &args->ask.n_sets),
        XN_OPTION("reason", 0, "TEXT", "stop: why", &args->ask.reason),
        XN_OPTION("grace", 0, "MS", "stop: from SIGTERM to SIGKILL [0]",
                  &args->ask.grace),
        XN_OPTION("help", 'h', NULL, "this text", &args->help),
        XN_OPTION("version", 'V', NULL, "the version", &args->version),
    };
    const struct xn_options options = {rows, sizeof rows / sizeof *rows, true};
    char because[256];

    if (xn_options_read(&options, argc, argv, words_out, because,
                        sizeof because)) {
        return gripe(XN_EINVAL, "cannot understand the command line", because);
    }
    if (args->help) {
        puts(usage);
        xn_options_help(&options);
    } else if (args->version) {
        puts(PROGRAM " (XenoServer) " PACKAGE_VERSION);
    }
    return 0;
}

/* ---- the daemon ---------------------------------------------------------- */

/* Only its owner gets in. */
static int make_dir(int at, const char *path)
{
    struct stat st;
    int fd;

    if (mkdirat(at, path, 0700) && errno != EEXIST) return -1;
    fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &st) || st.st_uid != geteuid() || (st.st_mode & 022)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* keepers are nobody's children */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Others than its owner may be let in, and are asked who they are: so the
 * folder can be passed, but not read. */
static int open_listener(struct dom *dom, const char *path)
{
    bool others = dom->envelope.n_uids > 0;

    if (!others || fchmod(dom->state, 0711) == 0) {
        dom->listener = sys_unix_listen(dom->state, SOCKET);
        if (dom->listener >= 0 &&
            (!others || fchmodat(dom->state, SOCKET, 0666, 0) == 0)) {
            return 0;
        }
    }
    xn_gripe_rcf(PROGRAM, XN_EIO, NULL, "cannot listen", "--state DIR",
                 "%s/%s: %s", path, SOCKET, strerror(errno));
    return XN_EIO;
}

/* The folder and its lock. */
static int open_state(struct dom *dom, const struct arguments *args)
{
    int state = make_dir(AT_FDCWD, args->state), rc = 0;

    if (state < 0) rc = XN_EIO;
    if (!rc && sys_lock(state, "lock") < 0) {
        rc = errno == EWOULDBLOCK ? XN_EBUSY : XN_EIO;
    }
    if (!rc) dom->sessions = make_dir(state, "sessions");
    if (!rc && dom->sessions < 0) rc = XN_EIO;
    if (rc) {
        xn_gripe_rcf(PROGRAM, rc, NULL, "cannot use the state folder",
                     "--state DIR", "%s: %s", args->state,
                     rc == XN_EBUSY ? "another xenodomd has it"
                                    : strerror(errno));
    }
    dom->state = state;
    return rc;
}

enum { POLL_LISTENER, POLL_SIGNALS, POLL_PROBE, POLL_NEWS, POLL_CLIENTS };
#define POLLS (POLL_CLIENTS + DOM_CLIENTS_MAX)

/* Its keeper neither lives nor is being started: it is looked at again. */
static bool is_alone(const struct live *live)
{
    return live->watch < 0 && live->ready < 0;
}

static void see_alone(struct dom *dom, int *wait_out)
{
    size_t i;

    dom->alone = false;
    for (i = 0; i < dom->n_live && *wait_out != SOON_MS; i++) {
        if (!is_alone(&dom->live[i])) continue;
        *wait_out = dom->live[i].stuck ? STUCK_MS : SOON_MS;
        dom->alone = true;
    }
}

static void fill_polls(struct dom *dom, struct pollfd *polls, int *wait_out)
{
    size_t i;

    *wait_out = -1;
    polls[POLL_LISTENER] = (struct pollfd){dom->listener, POLLIN, 0};
    polls[POLL_SIGNALS] = (struct pollfd){dom->signals, POLLIN, 0};
    polls[POLL_PROBE] = (struct pollfd){dom->probe.fd, POLLIN, 0};
    polls[POLL_NEWS] = (struct pollfd){dom->news, POLLIN, 0};
    if (dom->probe.fd >= 0) *wait_out = TAKE_MS;
    for (i = 0; i < DOM_CLIENTS_MAX; i++) {
        struct dom_client *client = &dom->clients[i];
        /* one request at a time: what comes meanwhile waits in the socket */
        short events = client->out.len > 0 ? POLLOUT : POLLIN;

        if (client->watches) events |= POLLIN; /* its end */
        if (client->out.len > 0) *wait_out = TAKE_MS;
        polls[POLL_CLIENTS + i] =
            (struct pollfd){client->fd, client->waits ? 0 : events, 0};
    }
    if (dom->alone) see_alone(dom, wait_out);
}

/* From the last on: burying moves the last into the place. */
static void bury_alone(struct dom *dom)
{
    size_t i;

    for (i = dom->n_live; i-- > 0;) {
        if (is_alone(&dom->live[i])) dom_bury(dom, i);
    }
}

static void run(struct dom *dom)
{
    struct pollfd polls[POLLS];
    size_t i;
    int wait;

    for (;;) {
        fill_polls(dom, polls, &wait);
        if (poll(polls, POLLS, wait) < 0) continue;
        if (polls[POLL_SIGNALS].revents) break;
        if (dom->alone) bury_alone(dom);
        if (polls[POLL_NEWS].revents) dom_hear(dom);
        if (polls[POLL_LISTENER].revents) dom_accept(dom);
        for (i = 0; i < DOM_CLIENTS_MAX; i++) {
            const struct pollfd *client = &polls[POLL_CLIENTS + i];

            if (client->revents && client->fd == dom->clients[i].fd)
                dom_serve(dom, i, client->revents);
        }
        if (dom->probe.fd >= 0 && manager_probed(dom)) dom_answer_held(dom);
        dom_drop_idle(dom);
    }
}

/* Where they lead, since images are compared by where they lead. */
static int resolve_images(struct envelope *envelope)
{
    size_t i;

    for (i = 0; i < envelope->n_images; i++) {
        char *real = realpath(envelope->images[i], NULL);

        if (!real) {
            return gripe(XN_EINVAL, "cannot take --images",
                         envelope->images[i]);
        }
        envelope->images[i] = real; /* for the life of the daemon */
    }
    return 0;
}

/* The folder's number makes a name that is ours, the next time as well. */
static bool has_exact_meter(const struct dom *dom)
{
    char name[SPEC_NAME_MAX];
    struct stat st;

    if (fstat(dom->state, &st)) return false;
    snprintf(name, sizeof name, "probe-%" PRIu64, (uint64_t)st.st_ino);
    return meter_try(dom->envelope.meter, name);
}

static void say_ready(const struct arguments *args)
{
    static const char line[] = "ready " PROGRAM "\n";

    xn_notify_ready();
    if (!args->ready) return;
    /* who started us may be gone: that is no reason to end */
    (void)sys_write_all((int)args->ready_fd, line, sizeof line - 1);
    close((int)args->ready_fd);
}

static int set_up_nat(const struct dom *dom)
{
    const char *try = NULL;
    char because[160];
    int rc = network_nat(&dom->envelope.network, because, sizeof because, &try);

    if (rc)
        xn_gripe_rc(PROGRAM, rc, NULL, "cannot give guests a way out", because,
                    try);
    return rc;
}

/* A socket and a counter for each session. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(const struct arguments *args)
{
    static struct dom dom;
    size_t i;
    int rc;

    umask(077);
    raise_limits();
    sys_set_oom(SYS_OOM_DAEMON);
    xn_log_open(PROGRAM, XN_LOG_INFO, NULL);
    dom.envelope = args->envelope;
    dom.probe.fd = -1;
    rc = resolve_images(&dom.envelope);
    if (rc) return rc;
    dom.keeper = args->keeper ? args->keeper : XN_LIBEXECDIR "/xeno-keeper";
    dom.bwrap = args->bwrap ? args->bwrap : BWRAP;
    for (i = 0; i < DOM_CLIENTS_MAX; i++) {
        dom.clients[i].fd = dom.clients[i].passes = -1;
    }
    dom.signals = open_signals();
    dom.news = epoll_create1(EPOLL_CLOEXEC);
    if (dom.news < 0) return XN_EIO;
    rc = open_state(&dom, args);
    if (!rc && args->nat) rc = set_up_nat(&dom);
    if (!rc) rc = open_listener(&dom, args->state);
    if (rc) return rc;
    network_begin(&dom);
    cgroup_make_room();
    dom.exact = has_exact_meter(&dom);
    dom_adopt(&dom);
    dom_begin_flows(&dom);
    xn_log(XN_LOG_INFO, "ready: %zu sessions live", dom.n_live);
    say_ready(args);
    run(&dom);
    for (i = 0; i < DOM_CLIENTS_MAX; i++)
        dom_drop(&dom, i);
    unlinkat(dom.state, SOCKET, 0);
    xn_log(XN_LOG_INFO, "ends; %zu sessions live on", dom.n_live);
    return 0;
}

/* What a daemon would sweep, without one: for who takes a state folder away. */
static int sweep(const struct arguments *args)
{
    static struct dom dom = {.news = -1};
    int rc;

    xn_log_open(PROGRAM, XN_LOG_WARN, NULL);
    rc = open_state(&dom, args);
    if (rc) return xn_exit_code(rc);
    dom_adopt(&dom);
    if (dom.n_live == 0) return 0;
    xn_gripe_rcf(PROGRAM, XN_EREFUSED, NULL, "not all is swept",
                 "stop what runs", "%zu sessions live on", dom.n_live);
    return XN_EXIT_REFUSED;
}

/* Can its tasks be run here? */
static int check(const struct arguments *args, Xn__Runner runner)
{
    static const char *const cannot[] = {"cannot make sandboxes here",
                                         "cannot make domains here"};
    struct dom dom = {.bwrap = args->bwrap ? args->bwrap : BWRAP,
                      .probe = {.fd = -1}};
    const char *try = NULL;
    char because[256];

    if (manager_of(runner)->check(&dom, because, sizeof because, &try)) {
        xn_gripe_rc(PROGRAM, XN_EREFUSED, NULL, cannot[runner], because, try);
        return XN_EXIT_REFUSED;
    }
    puts(runner == XN__RUNNER__SANDBOX ? "sandboxes can be made"
         : dom.probe.pvh               ? "domains can be made, PV and PVH"
                                       : "domains can be made, PV alone");
    return xn_end(PROGRAM, 0);
}

int main(int argc, char **argv)
{
    struct arguments args = {0};
    int words = argc, runner;

    if (argc > 1 && strcmp(argv[1], MANAGER_KEEP_DOMAIN) == 0) {
        return manager_keep_domain(argc - 1, argv + 1);
    }
    if (parse(&args, argc, argv, &words)) return XN_EXIT_USAGE;
    if (args.help || args.version) return xn_end(PROGRAM, 0);
    if (take_numbers(&args) || take_users(&args) || take_network(&args)) {
        return XN_EXIT_USAGE;
    }
    runner = spec_runner_parse(args.ask.runner ? args.ask.runner : "sandbox");
    if (runner < 0) {
        gripe(XN_EINVAL, "cannot take --runner", args.ask.runner);
        return XN_EXIT_USAGE;
    }
    if (!args.state) args.state = "/var/lib/xenoserver/xenodomd";
    if (words == argc) {
        int rc = serve(&args);

        return rc ? xn_exit_code(rc) : 0;
    }
    if (argc - words == 1 && strcmp(argv[words], "check") == 0) {
        return check(&args, (Xn__Runner)runner);
    }
    if (argc - words == 1 && strcmp(argv[words], "sweep") == 0) {
        return sweep(&args);
    }
    args.ask.state = args.state;
    return ask_main(&args.ask, argc - words, argv + words);
}
