/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does to every file of a XenoCorp's state folder, one at a time, what disks
 * and people do: a bit flipped, cut off, emptied, removed.  Each must be noticed
 * by `xenocorp audit verify` or at the start of xenocorpd, with an exit code
 * and the file's name; or it must be without any effect: the same records, the
 * same key, the same certificate.  What was damaged stays damaged: a xenocorpd
 * that starts on it does not make it look whole.
 *
 *   spoil XENOCORP XENOCORPD FOLDER WORK FLIPS SEED */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "tests/soak/market.h"

enum { FILES = 16, NAME = 64, ALL_FLIPS = 300 };

struct file {
    char name[NAME];
    uint8_t *data;
    size_t len;
};

/* What a folder is, as far as anybody can tell from outside. */
struct content {
    int audit;      /* exit code */
    bool starts;    /* xenocorpd does */
    int refusal;    /* its exit code where it does not */
    xn_id records;  /* hash of a backup */
    xn_id identity; /* hash of what it says it is, and its certificate */
};

static const char *tool, *daemon_, *work;
static struct file files[FILES];
static size_t n_files;
static struct xn_rng rng;
static char copy_[300], said[300]; /* folder; what the last program said */
static uint64_t damages, by_audit, by_start, harmless, bad;

/* ---- files ---- */

static void read_file(const char *path, uint8_t **data, size_t *len)
{
    FILE *f = fopen(path, "re");
    struct stat st;

    if (!f || fstat(fileno(f), &st)) die("%s: %s", path, strerror(errno));
    *len = (size_t)st.st_size;
    *data = malloc(*len + 1);
    if (!*data || fread(*data, 1, *len, f) != *len) die("%s: short", path);
    fclose(f);
}

static void write_file(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || (len && write(fd, data, len) != (ssize_t)len))
        die("%s: %s", path, strerror(errno));
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name,
                  ((const struct file *)b)->name);
}

static void take_files(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[700];

    if (!dir) die("%s: no folder", folder);
    while ((entry = readdir(dir))) {
        struct file *f = &files[n_files];

        if (entry->d_name[0] == '.') continue;
        if (n_files == FILES || strlen(entry->d_name) >= NAME)
            die("%s: more than known", folder);
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        strcpy(f->name, entry->d_name);
        read_file(path, &f->data, &f->len);
        n_files++;
    }
    closedir(dir);
    qsort(files, n_files, sizeof files[0], by_name);
}

static void clear_copy(void)
{
    DIR *dir = opendir(copy_);
    struct dirent *entry;
    char path[700];

    if (!dir) {
        if (mkdir(copy_, 0700)) die("%s: %s", copy_, strerror(errno));
        return;
    }
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof path, "%s/%s", copy_, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    closedir(dir);
}

/* The folder as it was but for file i: `len` bytes of `data`; NULL: gone. */
static void lay_out(size_t i, const uint8_t *data, size_t len)
{
    char path[500];

    clear_copy();
    for (size_t j = 0; j < n_files; j++) {
        snprintf(path, sizeof path, "%s/%.*s", copy_, NAME, files[j].name);
        if (j != i) {
            write_file(path, files[j].data, files[j].len);
        } else if (data) {
            write_file(path, data, len);
        }
    }
}

/* ---- programs ---- */

static void hear(int fd)
{
    size_t got = 0;
    char rest[512];
    ssize_t n;

    for (;;) {
        char *to = got + 1 < sizeof said ? said + got : rest;
        size_t room = to == rest ? sizeof rest : sizeof said - 1 - got;

        n = read(fd, to, room);
        if (n <= 0) break;
        if (to != rest) got += (size_t)n;
    }
    said[got] = 0;
    close(fd);
}

/* Its exit code; `said` gets what it says on standard error. */
static int run(const char *program, const char *a, const char *b, const char *c,
               const char *d)
{
    int out[2], status;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC)) die("no pipe");
    pid = fork();
    if (pid < 0) die("no process");
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        execl(program, program, a, b, c, d, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    hear(out[0]);
    if (waitpid(pid, &status, 0) != pid) die("no end");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void hash_records(struct content *is)
{
    char path[500];
    uint8_t *data;
    size_t len;

    snprintf(path, sizeof path, "%s/backup", work);
    unlink(path);
    memset(&is->records, 0, sizeof is->records);
    if (run(tool, "backup", copy_, path, NULL)) return;
    read_file(path, &data, &len);
    xn_id_hash(data, len, &is->records);
    free(data);
}

static void audit(struct content *is)
{
    is->audit = run(tool, "audit", "verify", copy_, NULL);
}

/* Who answers, over TLS: id and certificate. */
static void ask_identity(const char *line, struct content *is)
{
    const char *id = strstr(line, " id="), *api = strstr(line, " api=");
    struct net_identity nobody;
    struct net_reply reply;
    char url[200], why[300];
    xn_id peer;

    memset(&is->identity, 0, sizeof is->identity);
    if (!id || !api || xn_id_unhex(id + 4, 64, &peer)) return;
    snprintf(url, sizeof url, "https://%.*s/v1/certificate",
             (int)strcspn(api + 5, " \n"), api + 5);
    if (net_identity_anonymous(&nobody)) die("no identity");
    if (!net_request_pinned(&nobody, "GET", url, NULL, 0, &peer, 30000, &reply,
                            why, sizeof why)) {
        if (reply.status == 200)
            xn_id_hash2(peer.b, XN_ID_SIZE, reply.body.data, reply.body.len,
                        &is->identity);
        net_reply_clear(&reply);
    }
    net_identity_clear(&nobody);
}

static pid_t spawn(int *ready_out, int *err_out)
{
    int ready[2], err[2];
    char fd[16];
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) die("no pipe");
    pid = fork();
    if (pid < 0) die("no process");
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        fcntl(ready[1], F_SETFD, 0);
        snprintf(fd, sizeof fd, "%d", ready[1]);
        execl(daemon_, daemon_, "--state", copy_, "--ready-fd", fd,
              (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    close(err[1]);
    *ready_out = ready[0];
    *err_out = err[0];
    return pid;
}

static void start(struct content *is)
{
    char line[300];
    int ready, err, status;
    pid_t pid = spawn(&ready, &err);
    ssize_t n = read(ready, line, sizeof line - 1);

    line[n > 0 ? n : 0] = 0;
    close(ready);
    is->starts = strncmp(line, "ready ", 6) == 0;
    if (is->starts) {
        ask_identity(line, is);
        kill(pid, SIGTERM);
    }
    hear(err);
    if (waitpid(pid, &status, 0) != pid) die("no end");
    is->refusal =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- judging ---- */

static struct content whole;

static void fault(const char *what, const char *name, const char *how)
{
    printf("not noticed: %s: %s: %s (%s)\n", name, how, what, said);
    bad++;
}

static bool names_it(const char *name)
{
    /* A store and its logs are one thing to whoever reads it. */
    if (strncmp(name, "store.", 6) == 0) return strstr(said, "store.kct");
    return strstr(said, name) || strstr(said, copy_);
}

static bool is_refused(int code, const char *name, const char *how)
{
    if (code == 0 || code > 12) {
        fault("it does not end well", name, how);
        return false;
    }
    if (!strstr(said, "because:") || !names_it(name))
        fault("it is not named", name, how);
    return true;
}

/* Both look at what is laid out; the daemon last, since it writes. */
static void judge(const char *name, const char *how)
{
    struct content is = {.audit = 0};
    bool noticed;

    damages++;
    audit(&is);
    noticed = is.audit && is_refused(is.audit, name, how);
    by_audit += noticed;
    if (!is.audit) {
        hash_records(&is);
        if (!xn_id_eq(&is.records, &whole.records))
            fault("other records, and the audit says nothing", name, how);
    }
    start(&is);
    if (!is.starts) {
        by_start += is_refused(is.refusal, name, how);
        return;
    }
    if (is.refusal) fault("xenocorpd ended badly", name, how);
    if (!xn_id_eq(&is.identity, &whole.identity))
        fault("xenocorpd is somebody else, and starts", name, how);
    audit(&is);
    if (noticed && !is.audit) fault("xenocorpd made it look whole", name, how);
    if (!noticed && is.audit) fault("xenocorpd made it worse", name, how);
    harmless += !noticed;
}

/* ---- damage ---- */

static void spoil(size_t i, const uint8_t *data, size_t len, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));

static void spoil(size_t i, const uint8_t *data, size_t len, const char *fmt,
                  ...)
{
    char how[100];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(how, sizeof how, fmt, ap);
    va_end(ap);
    lay_out(i, data, len);
    judge(files[i].name, how);
}

static void flip(size_t i, size_t at, unsigned bit)
{
    struct file *f = &files[i];

    f->data[at] ^= (uint8_t)(1U << bit);
    spoil(i, f->data, f->len, "bit %u of byte %zu of %zu flipped", bit, at,
          f->len);
    f->data[at] ^= (uint8_t)(1U << bit);
}

static void flips(size_t i, uint64_t n)
{
    size_t len = files[i].len;

    if (len <= ALL_FLIPS && n >= ALL_FLIPS) {
        for (size_t at = 0; at < len; at++)
            flip(i, at, (unsigned)xn_rng_below(&rng, 8));
        return;
    }
    for (uint64_t k = 0; k < n && len; k++) {
        /* Half of them where files say what they are. */
        size_t room = k % 2 && len > 512 ? 512 : len;

        flip(i, (size_t)xn_rng_below(&rng, room),
             (unsigned)xn_rng_below(&rng, 8));
    }
}

static void cuts(size_t i, uint64_t n)
{
    const struct file *f = &files[i];

    spoil(i, NULL, 0, "removed");
    if (!f->len) return;
    spoil(i, f->data, 0, "emptied");
    if (f->len > 1) spoil(i, f->data, f->len - 1, "cut by a byte");
    if (f->len > 3) spoil(i, f->data, f->len / 2, "cut by half");
    for (uint64_t k = 0; k < n / 8 && f->len > 3; k++) {
        size_t to = 1 + (size_t)xn_rng_below(&rng, f->len - 1);

        spoil(i, f->data, to, "cut to %zu of %zu", to, f->len);
    }
}

int main(int argc, char **argv)
{
    uint64_t n;

    if (argc != 7) return 2;
    signal(SIGPIPE, SIG_IGN);
    tool = argv[1];
    daemon_ = argv[2];
    work = argv[4];
    n = strtoull(argv[5], NULL, 10);
    xn_rng_seed(&rng, strtoull(argv[6], NULL, 10));
    snprintf(copy_, sizeof copy_, "%s/copy", work);
    take_files(argv[3]);
    lay_out(FILES, NULL, 0);
    audit(&whole);
    hash_records(&whole);
    start(&whole);
    if (whole.audit || !whole.starts || xn_id_is_zero(&whole.records) ||
        xn_id_is_zero(&whole.identity))
        die("it is not whole at all: %s", said);
    for (size_t i = 0; i < n_files; i++) {
        uint64_t before = bad, all = damages, none = harmless;

        flips(i, n);
        cuts(i, n);
        printf("%s, %zu bytes: %llu damages, %llu without effect, %llu not "
               "noticed\n",
               files[i].name, files[i].len, (unsigned long long)(damages - all),
               (unsigned long long)(harmless - none),
               (unsigned long long)(bad - before));
        fflush(stdout);
    }
    printf("%llu damages: %llu named by the audit, %llu by xenocorpd at its "
           "start, %llu without effect, %llu not noticed\n",
           (unsigned long long)damages, (unsigned long long)by_audit,
           (unsigned long long)by_start, (unsigned long long)harmless,
           (unsigned long long)bad);
    for (size_t i = 0; i < n_files; i++)
        free(files[i].data);
    return bad != 0;
}
