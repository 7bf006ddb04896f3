/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/bwrap.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sandbox.h"
#include "keeper/spec.h"
#include "lib/err.h"

#define ENTRIES_MAX 64 /* of an image's top folder */
#define WORDS_MAX                                                              \
    (ENTRIES_MAX * 3 + SPEC_WORDS_MAX * 4 + SPEC_PUT_MAX * 5 + 128)

struct words {
    struct xn_arena *arena;
    char **v;
    size_t n;
    int rc;
};

static void add(struct words *words, const char *text)
{
    char *copy = xn_arena_strdup(words->arena, text);

    if (!copy || words->n + 1 >= WORDS_MAX) {
        words->rc = XN_ENOMEM;
        return;
    }
    words->v[words->n++] = copy;
}

/* Several, up to NULL. */
static void add_all(struct words *words, ...)
{
    const char *text;
    va_list list;

    va_start(list, words);
    while ((text = va_arg(list, const char *)))
        add(words, text);
    va_end(list);
}

static void add_number(struct words *words, const char *option, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, number);
    add_all(words, option, text, NULL);
}

/* A temporary file system; its size counts for this one alone. */
static void add_tmpfs(struct words *words, const char *path, uint64_t bytes)
{
    add_number(words, "--size", bytes);
    add_all(words, "--tmpfs", path, NULL);
}

/* One entry of the image's top folder: links stay links. */
static void add_entry(struct words *words, const char *from, const char *name)
{
    char path[1400], at[300], target[1024];
    struct stat st;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", from, name);
    snprintf(at, sizeof at, "/%s", name);
    if (lstat(path, &st)) return;
    if (S_ISLNK(st.st_mode)) {
        n = readlink(path, target, sizeof target - 1);
        if (n <= 0) return;
        target[n] = '\0';
        add_all(words, "--symlink", target, at, NULL);
    } else if (S_ISDIR(st.st_mode)) {
        add_all(words, "--ro-bind", path, at, NULL);
    }
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(name, list[i]) == 0) return true;
    }
    return false;
}

/* All folders of an image but those that the sandbox makes itself. */
static int add_image(struct words *words, const char *base)
{
    static const char *const ours[] = {".",    "..",  "dev",   "home",
                                       "proc", "run", "sys",   "tmp",
                                       "mnt",  "srv", "media", "lost+found"};
    struct dirent *entry;
    DIR *dir = opendir(base);
    int n = 0;

    if (!dir) return XN_ENOENT;
    while ((entry = readdir(dir)) && n < ENTRIES_MAX) {
        if (is_one_of(entry->d_name, ours, sizeof ours / sizeof *ours)) {
            continue;
        }
        add_entry(words, base, entry->d_name);
        n++;
    }
    closedir(dir);
    return 0;
}

/* Of this machine only what programs need to run; of /etc what has no names of
 * people, machines or networks. */
static void add_host(struct words *words)
{
    static const char *const folders[] = {"usr",   "bin",   "sbin",  "lib",
                                          "lib32", "lib64", "libx32"};
    static const char *const files[] = {"/etc/alternatives", "/etc/ld.so.cache",
                                        "/etc/localtime", "/etc/ssl/certs"};
    size_t i;

    for (i = 0; i < sizeof folders / sizeof *folders; i++) {
        add_entry(words, "", folders[i]);
    }
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        add_all(words, "--ro-bind-try", files[i], files[i], NULL);
    }
}

static void add_namespaces(struct words *words)
{
    add_all(words, "--unshare-user", "--unshare-net", "--unshare-pid",
            "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
            "--disable-userns", "--die-with-parent", "--cap-drop", "ALL",
            "--uid", "1000", "--gid", "1000", "--hostname", "task",
            "--clearenv", NULL);
}

/* The task's own: it may change them. */
static void add_put(struct words *words, const Xn__TaskSpec *spec,
                    const struct bwrap_fds *fds)
{
    char path[sizeof SANDBOX_HOME + 1 + SPEC_PUT_NAME_MAX];
    size_t i;

    for (i = 0; i < spec->n_put; i++) {
        const Xn__TaskFile *file = spec->put[i];

        snprintf(path, sizeof path, SANDBOX_HOME "/%s", file->name);
        add_all(words, "--perms", file->executable ? "0755" : "0644", NULL);
        add_number(words, "--file", (uint64_t)fds->put[i]);
        add(words, path);
    }
}

/* What is written lies in memory of limited size; the rest, the root and /dev
 * included, cannot be written. */
static void add_own(struct words *words, const Xn__TaskSpec *spec,
                    const struct bwrap_fds *fds)
{
    add_all(words, "--proc", "/proc", "--dev", "/dev", NULL);
    add_tmpfs(words, "/dev/shm", spec->disk_bytes);
    add_tmpfs(words, "/tmp", spec->disk_bytes);
    add_tmpfs(words, SANDBOX_HOME, spec->disk_bytes);
    add_put(words, spec, fds);
    if (!spec->image[0]) {
        add_number(words, "--ro-bind-data", (uint64_t)fds->passwd);
        add(words, "/etc/passwd");
        add_number(words, "--ro-bind-data", (uint64_t)fds->group);
        add(words, "/etc/group");
    }
    add_all(words, "--remount-ro", "/dev", "--remount-ro", "/", NULL);
}

static void add_environment(struct words *words, const Xn__TaskSpec *spec)
{
    char name[SPEC_TEXT_MAX];
    const char *equals;
    size_t i, n;

    add_all(words, "--setenv", "HOME", SANDBOX_HOME, "--setenv", "PATH",
            "/usr/local/bin:/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
            "--chdir", SANDBOX_HOME, NULL);
    for (i = 0; i < spec->n_env; i++) {
        equals = strchr(spec->env[i], '=');
        n = (size_t)(equals - spec->env[i]);
        memcpy(name, spec->env[i], n);
        name[n] = '\0';
        add_all(words, "--setenv", name, equals + 1, NULL);
    }
}

int bwrap_words(const Xn__TaskSpec *spec, const char *program,
                const struct bwrap_fds *fds, struct xn_arena *arena,
                char ***argv_out)
{
    struct words words = {.arena = arena};
    size_t i;
    int rc = 0;

    words.v = xn_arena_alloc(arena, WORDS_MAX * sizeof *words.v);
    if (!words.v) return XN_ENOMEM;
    add(&words, program);
    add_namespaces(&words);
    if (spec->image[0])
        rc = add_image(&words, spec->image);
    else
        add_host(&words);
    if (rc) return rc;
    add_own(&words, spec, fds);
    add_number(&words, "--seccomp", (uint64_t)fds->filter);
    add_number(&words, "--json-status-fd", (uint64_t)fds->news);
    add_number(&words, "--block-fd", (uint64_t)fds->gate);
    add_environment(&words, spec);
    add(&words, "--");
    for (i = 0; i < spec->n_argv; i++)
        add(&words, spec->argv[i]);
    words.v[words.n] = NULL;
    *argv_out = words.v;
    return words.rc;
}
