/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/campaign.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "wire/id.h"

enum { LINE = 256 };

/* What is added up over all seeds, of their summaries. */
static const char *const sums[] = {
    "virtual.seconds", "kills",         "starts",
    "links.broken",    "lost",          "lookup.count",
    "lookup.right",    "lookup.wrong",  "lookup.unknown",
    "lookup.failed",   "find.count",    "find.missed",
    "find.failed",     "get.count",     "publish.count",
    "publish.failed",  "ads.gone",      "checks.settled",
    "checks.owners",   "checks.leaves", "checks.disks",
    "checks.ads",      "cpu.seconds",
};
enum { SUMS = sizeof sums / sizeof sums[0] };

struct job {
    pid_t pid; /* 0: free */
    uint64_t seed;
    FILE *out, *err;
    int status; /* as it ended */
};

struct state {
    const struct sim_campaign *campaign;
    struct job *jobs;
    struct job first; /* of those that failed; not told yet */
    uint32_t begun, ended, failed, unsettled;
    bool hopeless; /* no seed can be run */
    double sum[SUMS];
    xn_id *digests; /* by seed */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

/* ---- a seed's process ---- */

static _Noreturn void be_child(const struct state *s, const struct job *job)
{
    const struct sim_campaign *c = s->campaign;
    int rc = XN_EXIT_FAILED;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (dup2(fileno(job->out), STDOUT_FILENO) >= 0 &&
        dup2(fileno(job->err), STDERR_FILENO) >= 0) {
        rc = c->run(c->user, job->seed);
    }
    fflush(stdout);
    _exit(rc);
}

static void job_clear(struct job *job)
{
    if (job->out) fclose(job->out);
    if (job->err) fclose(job->err);
    memset(job, 0, sizeof *job);
}

static bool job_begin(struct state *s, struct job *job)
{
    job->seed = s->campaign->first + s->begun;
    job->out = tmpfile();
    job->err = tmpfile();
    fflush(NULL);
    job->pid = job->out && job->err ? fork() : -1;
    if (job->pid == 0) be_child(s, job);
    if (job->pid > 0) {
        s->begun++;
        return true;
    }
    xn_gripe(s->campaign->program, "cannot begin a seed [XS-1-CAMPAIGN]",
             strerror(errno), "fewer --jobs");
    job_clear(job);
    return false;
}

/* ---- what became of it ---- */

static void take_line(struct state *s, const struct job *job, char *line)
{
    char *value = strchr(line, ' '), *end;
    size_t i;

    if (!value) return;
    *value++ = '\0';
    end = strchr(value, ' ');
    if (end) *end = '\0';
    if (!strcmp(line, "digest")) {
        xn_id_hash(value, strlen(value),
                   &s->digests[job->seed - s->campaign->first]);
    }
    if (!strcmp(line, "checks.settled")) s->unsettled += !strcmp(value, "0");
    for (i = 0; i < SUMS; i++) {
        if (!strcmp(line, sums[i])) s->sum[i] += strtod(value, NULL);
    }
}

static void copy_err(struct job *job)
{
    char bytes[4096];
    size_t n;

    rewind(job->err);
    while ((n = fread(bytes, 1, sizeof bytes, job->err)) > 0)
        fwrite(bytes, 1, n, stderr);
}

static void tell_failed(const struct state *s, struct job *job)
{
    const struct sim_campaign *c = s->campaign;
    char *command = c->command(c->user, job->seed);

    copy_err(job);
    if (WIFSIGNALED(job->status)) {
        xn_gripef(c->program, "a seed came to no end [XS-1-CAMPAIGN]", command,
                  "seed %llu: %s", (unsigned long long)job->seed,
                  strsignal(WTERMSIG(job->status)));
    }
    printf("%s\n", command ? command : "");
    fflush(stdout);
    free(command);
}

/* Whoever stops at a failure is told of one, the first in the order of seeds,
 * however many run at a time: all before it have begun, and are waited for. */
static void take_failed(struct state *s, struct job *job)
{
    s->failed++;
    if (s->campaign->keep_going) {
        tell_failed(s, job);
    } else if (!s->first.err || job->seed < s->first.seed) {
        job_clear(&s->first);
        s->first = *job;
        memset(job, 0, sizeof *job);
    }
}

static void job_end(struct state *s, struct job *job, int status)
{
    char line[LINE];

    job->status = status;
    s->ended++;
    rewind(job->out);
    while (fgets(line, sizeof line, job->out))
        take_line(s, job, line);
    if (WIFEXITED(status) && WEXITSTATUS(status) == XN_EXIT_USAGE) {
        if (!s->hopeless) copy_err(job);
        s->hopeless = true;
    } else if (status != 0) {
        take_failed(s, job);
    }
    job_clear(job);
}

static struct job *job_of(struct state *s, pid_t pid)
{
    uint32_t i;

    for (i = 0; i < s->campaign->jobs; i++) {
        if (s->jobs[i].pid == pid) return &s->jobs[i];
    }
    return NULL;
}

/* ---- all of them ---- */

static bool goes_on(const struct state *s)
{
    return s->begun < s->campaign->seeds && !s->hopeless &&
           (!s->failed || s->campaign->keep_going);
}

static void tell_progress(const struct state *s)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r%u of %u seeds, %u failed ", s->ended,
            s->campaign->seeds, s->failed);
}

static int run_all(struct state *s)
{
    struct job *job;
    int status;
    pid_t pid;

    for (;;) {
        while (goes_on(s) && (job = job_of(s, 0))) {
            if (!job_begin(s, job)) return XN_EXIT_FAILED;
        }
        if (s->ended == s->begun) return XN_EXIT_OK;
        tell_progress(s);
        pid = waitpid(-1, &status, 0);
        if (interrupted) return XN_EXIT_FAILED; /* its seeds die of that too */
        if (pid < 0 && errno != EINTR) return XN_EXIT_FAILED;
        job = pid > 0 ? job_of(s, pid) : NULL;
        if (job) job_end(s, job, status);
    }
}

static void tell_sums(const struct state *s)
{
    char hex[XN_ID_HEX];
    xn_id digest;
    size_t i;

    printf("seeds %u count\nseeds.failed %u count\nseeds.unsettled %u count\n",
           s->ended, s->failed, s->unsettled);
    for (i = 0; i < SUMS; i++) {
        printf("%s %.0f %s\n", sums[i], s->sum[i],
               strstr(sums[i], "seconds") ? "s" : "count");
    }
    if (interrupted) return; /* of no beginning of the seeds */
    xn_id_hash(s->digests, s->ended * sizeof *s->digests, &digest);
    xn_id_hex(&digest, hex);
    printf("digest %s sha256\n", hex);
}

/* Those that still run are of no use. */
static void end_jobs(struct state *s)
{
    uint32_t i;

    for (i = 0; s->jobs && i < s->campaign->jobs; i++) {
        if (!s->jobs[i].pid) continue;
        kill(s->jobs[i].pid, SIGKILL);
        waitpid(s->jobs[i].pid, NULL, 0);
        job_clear(&s->jobs[i]);
    }
}

static void tell_interrupted(const struct state *s)
{
    xn_gripef(s->campaign->program, "was interrupted [XS-1-CAMPAIGN]",
              "the same again, or the rest by --seed and --seeds",
              "%u of %u seeds ended, %u of them failed", s->ended,
              s->campaign->seeds, s->failed);
}

static void catch_signals(void)
{
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

int sim_campaign(const struct sim_campaign *campaign)
{
    struct state s = {.campaign = campaign};
    int rc = XN_EXIT_FAILED;

    catch_signals();
    s.jobs = calloc(campaign->jobs, sizeof *s.jobs);
    s.digests = calloc(campaign->seeds, sizeof *s.digests);
    if (!s.jobs || !s.digests) {
        xn_gripe(campaign->program, "cannot go on [XS-1-CAMPAIGN]",
                 xn_strerror(XN_ENOMEM), NULL);
        goto out;
    }
    rc = run_all(&s);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (s.hopeless) rc = XN_EXIT_USAGE;
    if (s.failed) rc = XN_EXIT_FAILED;
    if (s.first.err) tell_failed(&s, &s.first);
    if (interrupted) tell_interrupted(&s);
    if (!rc || interrupted || (s.failed && campaign->keep_going)) tell_sums(&s);
out:
    end_jobs(&s);
    job_clear(&s.first);
    free(s.jobs);
    free(s.digests);
    return rc;
}
