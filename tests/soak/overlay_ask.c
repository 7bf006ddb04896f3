/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks by xenofind, so many times a second whatever becomes of those before,
 * and judges each answer by what must be there.
 *
 *   overlay_ask XENOFIND RATE ADS URL...
 *
 * ads ad-0 and so on, each with its number as Rank.  Every other question is put
 * to the first node, then to two more, the others to any three; each three are a
 * third of all apart, so that no half is without one.
 * A line of input names a phase: what was asked before it, once all that is
 * answered, is told as "PHASE asked N partial N wrong N failed N p50 MS p99 MS
 * most MS late N": those were not asked, since too many had no answer yet.  Ends
 * with the input, with 1 where one was wrong or failed. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/rng.h"
#include "net/clock.h"

enum {
    FLYING_MAX = 400,
    SAMPLES = 1 << 20,
    WIDTH = 5, /* of a range */
    ENTRIES = 3,
    TOLD_MAX = 20, /* of each kind */
    EXIT_PARTIAL = 10,
    ANSWER_MAX = 4096,
};

struct question {
    pid_t pid; /* 0: none */
    int out, err;
    unsigned from, to, phase; /* ranks */
    char nodes[400];
    uint64_t asked_us;
};

struct phase {
    char name[32];
    unsigned asked, flying, partial, wrong, failed, late;
    uint32_t *us;
};

struct asker {
    const char *program;
    char **urls;
    unsigned n_urls, ads, told[2]; /* failed, wrong */
    uint64_t gap_us, next_us;
    struct xn_rng rng;
    struct question at[FLYING_MAX];
    struct phase phases[64];
    unsigned n_phases; /* the last is now */
    bool bad;
};

static void die(const char *what)
{
    fprintf(stderr, "overlay_ask: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- asking ---- */

static void become(const struct asker *a, const struct question *q)
{
    char word[64];
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(q->out, STDOUT_FILENO);
    dup2(q->err, STDERR_FILENO);
    setenv("XENO_NODES", q->nodes, 1);
    if (q->from == q->to)
        snprintf(word, sizeof word, "ServerName:ad-%u", q->from);
    else
        snprintf(word, sizeof word, "Rank:%u..%u", q->from, q->to);
    execl(a->program, a->program, "-n", "all", "-o", "csv", "-c", "ServerName",
          word, (char *)NULL);
    _exit(127);
}

static void choose(struct asker *a, struct question *q)
{
    unsigned apart = a->n_urls > ENTRIES ? a->n_urls / ENTRIES : 1;
    bool first = xn_rng_below(&a->rng, 2) == 0;
    unsigned entry = first ? 0 : (unsigned)xn_rng_below(&a->rng, a->n_urls);
    size_t len = 0;

    for (unsigned i = 0; i < ENTRIES && i < a->n_urls; i++)
        len += (size_t)snprintf(q->nodes + len, sizeof q->nodes - len, "%s%s",
                                i ? " " : "",
                                a->urls[(entry + i * apart) % a->n_urls]);
    q->from = q->to = (unsigned)xn_rng_below(&a->rng, a->ads - WIDTH);
    if (xn_rng_below(&a->rng, 2)) q->to += WIDTH - 1;
}

static void ask(struct asker *a)
{
    struct phase *phase = &a->phases[a->n_phases - 1];
    struct question *q = NULL;

    for (unsigned i = 0; i < FLYING_MAX && !q; i++)
        if (!a->at[i].pid) q = &a->at[i];
    if (!q) {
        phase->late++;
        return;
    }
    choose(a, q);
    q->phase = a->n_phases - 1;
    q->out = memfd_create("out", MFD_CLOEXEC);
    q->err = memfd_create("err", MFD_CLOEXEC);
    if (q->out < 0 || q->err < 0) die("memfd");
    q->asked_us = net_mono_us();
    q->pid = fork();
    if (q->pid < 0) die("fork");
    if (q->pid == 0) become(a, q);
    phase->asked++;
    phase->flying++;
}

/* ---- judging ---- */

static size_t content(int fd, char text[ANSWER_MAX])
{
    ssize_t n = pread(fd, text, ANSWER_MAX - 1, 0);

    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* How many of those asked for came; -1: another came, or one twice. */
static int count(const struct question *q, char *text)
{
    bool seen[WIDTH] = {false};
    char *line, *rest = NULL;
    int n = 0;

    line = strtok_r(text, "\r\n", &rest);
    if (line && strcmp(line, "ServerName") != 0) return -1;
    while (line && (line = strtok_r(NULL, "\r\n", &rest))) {
        unsigned rank;
        char end;

        if (sscanf(line, "ad-%u%c", &rank, &end) != 1) return -1;
        if (rank < q->from || rank > q->to || seen[rank - q->from]) return -1;
        seen[rank - q->from] = true;
        n++;
    }
    return n;
}

static void tell(struct asker *a, const struct question *q, bool wrong,
                 int code, int n)
{
    char text[ANSWER_MAX];

    a->bad = true;
    if (a->told[wrong]++ >= TOLD_MAX) return;
    content(q->err, text);
    printf("%s in %s: exit %d, %d of %u came, ranks %u..%u at %s\n%s\n",
           wrong ? "wrong" : "failed", a->phases[q->phase].name, code, n,
           q->to - q->from + 1, q->from, q->to, q->nodes, text);
    fflush(stdout);
}

static void judge(struct asker *a, struct question *q, int status)
{
    struct phase *phase = &a->phases[q->phase];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128, n;
    unsigned all = q->to - q->from + 1;
    char text[ANSWER_MAX];

    content(q->out, text);
    n = count(q, text);
    if (n < 0 || (code == 0 && (unsigned)n != all) || code == 3) {
        phase->wrong++;
        tell(a, q, true, code, n);
    } else if (code == EXIT_PARTIAL) {
        phase->partial++;
    } else if (code) {
        phase->failed++;
        tell(a, q, false, code, n);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Once it is over and all of it is answered. */
static void report(struct asker *a, struct phase *phase)
{
    unsigned n = phase->asked;

    if (!n || phase->flying || phase == &a->phases[a->n_phases - 1]) return;
    qsort(phase->us, n, sizeof *phase->us, by_size);
    printf("%s asked %u partial %u wrong %u failed %u p50 %u p99 %u most %u "
           "late %u\n",
           phase->name, n, phase->partial, phase->wrong, phase->failed,
           phase->us[n / 2] / 1000, phase->us[n - 1 - n / 100] / 1000,
           phase->us[n - 1] / 1000, phase->late);
    fflush(stdout);
}

static void reap(struct asker *a)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < FLYING_MAX; i++) {
            struct question *q = &a->at[i];
            struct phase *phase = &a->phases[q->phase];

            if (q->pid != pid) continue;
            judge(a, q, status);
            phase->flying--;
            if (phase->asked - phase->flying <= SAMPLES)
                phase->us[phase->asked - phase->flying - 1] =
                    (uint32_t)(net_mono_us() - q->asked_us);
            close(q->out);
            close(q->err);
            q->pid = 0;
            report(a, phase);
            break;
        }
    }
}

/* ---- its course ---- */

static void begin(struct asker *a, const char *name)
{
    struct phase *phase = &a->phases[a->n_phases];

    if (a->n_phases == sizeof a->phases / sizeof *a->phases) die("phases");
    snprintf(phase->name, sizeof phase->name, "%s", name);
    phase->us = malloc(SAMPLES * sizeof *phase->us);
    if (!phase->us) die("memory");
    a->n_phases++;
    if (a->n_phases > 1) report(a, phase - 1);
}

static bool hear(struct asker *a)
{
    char line[64];
    ssize_t n = read(0, line, sizeof line - 1);

    if (n <= 0) return false;
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    begin(a, line);
    return true;
}

static bool any_flying(const struct asker *a)
{
    for (unsigned i = 0; i < FLYING_MAX; i++)
        if (a->at[i].pid) return true;
    return false;
}

static int run(struct asker *a, int ended)
{
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN},
                            {.fd = ended, .events = POLLIN}};
    struct signalfd_siginfo info;
    bool goes_on = true;

    a->next_us = net_mono_us();
    while (goes_on || any_flying(a)) {
        uint64_t now_us = net_mono_us();
        int wait_ms = -1;

        if (goes_on && now_us >= a->next_us) {
            ask(a);
            a->next_us += a->gap_us;
            continue;
        }
        if (goes_on) wait_ms = (int)((a->next_us - now_us) / 1000) + 1;
        if (poll(fds, 2, wait_ms) < 0 && errno != EINTR) die("poll");
        if (fds[1].revents && read(ended, &info, sizeof info) > 0) reap(a);
        if (fds[0].revents && goes_on && !hear(a)) {
            goes_on = false;
            fds[0].fd = -1;
            begin(a, "end");
        }
    }
    return a->bad ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct asker a;
    unsigned rate;
    sigset_t child;
    int ended;

    if (argc < 5) return 2;
    a.program = argv[1];
    rate = (unsigned)strtoul(argv[2], NULL, 10);
    a.ads = (unsigned)strtoul(argv[3], NULL, 10);
    a.urls = argv + 4;
    a.n_urls = (unsigned)argc - 4;
    if (!rate || a.ads <= WIDTH) return 2;
    a.gap_us = 1000000 / rate;
    xn_rng_seed(&a.rng, 1);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    ended = signalfd(-1, &child, SFD_CLOEXEC);
    if (ended < 0) die("signalfd");
    begin(&a, "begin");
    return run(&a, ended);
}
