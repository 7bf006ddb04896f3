/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver doctor, what can be seen without asking anybody. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostagent/xenoserver_doctor.h"
#include "lib/err.h"
#include "net/client_conf.h"
#include "net/clock.h"

#define DAY_US (86400 * 1000000ULL)
#define DISK_LEAST_MB 64
#define DISK_FEW_MB 1024

/* ---- files ---- */

static void check_mode(struct doctor *d, const char *name)
{
    char path[NET_PATH_MAX], try[NET_PATH_MAX + 20];
    struct stat st;

    net_file_path(path, d->server->state, name);
    snprintf(try, sizeof try, "chmod 600 %.150s", path);
    if (lstat(path, &st)) {
        if (errno != ENOENT) {
            doctor_find(d, "files", DOCTOR_FAIL,
                        "run this as the user that runs xenohostd", "%s: %s",
                        path, strerror(errno));
        }
    } else if (st.st_mode & 077) {
        doctor_find(d, "files", DOCTOR_FAIL, try,
                    "%s: others can read it (mode %03o)", path,
                    (unsigned)st.st_mode & 0777);
    } else if (st.st_uid != geteuid() && geteuid() != 0) {
        doctor_find(d, "files", DOCTOR_FAIL,
                    "run this as the user that runs xenohostd",
                    "%s belongs to another user", path);
    }
}

void doctor_check_files(struct doctor *d)
{
    const char *state = d->server->state;
    size_t before = d->n;

    if (access(state, F_OK)) {
        doctor_find(d, "files", DOCTOR_FAIL,
                    "xenoserver join URL#ID, or --state DIR", "%s: %s", state,
                    strerror(errno));
        return;
    }
    if (net_file_private(state)) {
        doctor_find(d, "files", DOCTOR_FAIL, "chmod go-w, chown",
                    "%s: others can change what is in it", state);
    }
    check_mode(d, "key.pem");
    check_mode(d, "store.kct");
    if (d->n == before) {
        doctor_find(d, "files", DOCTOR_OK, NULL, "%s is this user's alone",
                    state);
    }
}

/* ---- certificate ---- */

void doctor_check_certificate(struct doctor *d)
{
    const struct xn_cert *cert = &d->identity.cert;
    uint64_t now = net_wall_us(), left;
    int rc = net_identity_load(d->server->state, &d->identity);

    d->has_identity = !rc;
    if (rc) {
        doctor_find(d, "certificate", DOCTOR_FAIL, "xenoserver join URL#ID",
                    rc == XN_ENOENT ? "%s holds no key and certificate"
                                    : "%s: its certificate is no good",
                    d->server->state);
        return;
    }
    left = cert->not_after_us > now ? cert->not_after_us - now : 0;
    if (cert->role != XN__ROLE__SERVER) {
        doctor_find(d, "certificate", DOCTOR_FAIL,
                    "another --state: xenohostd's", "it is not a server's");
    } else if (left < 7 * DAY_US) {
        doctor_find(d, "certificate", DOCTOR_WARN,
                    "xenohostd --corp URL#ID: it renews at its start",
                    "%llu days are left", (unsigned long long)(left / DAY_US));
    } else {
        doctor_find(d, "certificate", DOCTOR_OK, NULL, "%llu days are left",
                    (unsigned long long)(left / DAY_US));
    }
}

/* ---- configuration ---- */

void doctor_check_configuration(struct doctor *d)
{
    char why[700];
    int rc = server_config_read(d->server, &d->text, why, sizeof why);

    if (!rc) rc = server_offer_check(d->server, d->text, why, sizeof why);
    if (!rc) {
        rc = server_settings(d->server, d->server->config, d->text,
                             &d->settings, why, sizeof why);
    }
    if (rc) {
        doctor_find(d, "configuration", DOCTOR_FAIL,
                    rc == XN_ENOENT ? "xenoserver join URL#ID, or --config FILE"
                                    : "xenoserver offer, man xenohostd.conf",
                    "%s", why);
    } else {
        doctor_find(d, "configuration", DOCTOR_OK, NULL, "%s is good",
                    d->server->config);
    }
}

/* ---- disk ---- */

void doctor_check_disk(struct doctor *d)
{
    char state[NET_PATH_MAX], *slash;
    struct statvfs vfs;
    unsigned long long mb;

    /* Before there is one, where it will be. */
    snprintf(state, sizeof state, "%s", d->server->state);
    while (access(state, F_OK) && (slash = strrchr(state, '/')) != NULL)
        slash[slash == state] = '\0';
    if (statvfs(state, &vfs)) return; /* told with the files */
    mb = (unsigned long long)vfs.f_bavail * vfs.f_frsize >> 20;
    if (mb < DISK_LEAST_MB) {
        doctor_find(d, "disk", DOCTOR_FAIL, "make room",
                    "%s: %llu MiB are free", state, mb);
    } else if (mb < DISK_FEW_MB) {
        doctor_find(d, "disk", DOCTOR_WARN, "make room",
                    "%s: %llu MiB are free", state, mb);
    } else {
        doctor_find(d, "disk", DOCTOR_OK, NULL, "%llu MiB are free", mb);
    }
}

/* ---- clock ---- */

void doctor_check_kernel_clock(struct doctor *d)
{
    struct timex tx = {.modes = 0};

    if (adjtimex(&tx) == TIME_ERROR || tx.status & STA_UNSYNC) {
        doctor_find(d, "clock", DOCTOR_WARN,
                    "chrony or systemd-timesyncd, unless the host keeps it",
                    "nothing keeps this machine's clock in step");
    }
}

/* ---- what tasks run in ---- */

static bool in_path(const char *program)
{
    const char *path = net_env("PATH");
    char file[512];

    while (path && *path) {
        size_t len = strcspn(path, ":");

        snprintf(file, sizeof file, "%.*s/%s", (int)(len < 400 ? len : 400),
                 path, program);
        if (access(file, X_OK) == 0) return true;
        path += len + (path[len] == ':');
    }
    return false;
}

/* In a child, since there is no way back out of a namespace. */
static bool has_user_namespaces(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) _exit(unshare(CLONE_NEWUSER) ? 1 : 0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_cgroup(struct doctor *d)
{
    bool v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    bool may = v2 && access("/sys/fs/cgroup/cgroup.procs", W_OK) == 0;

    if (may) {
        doctor_find(d, "cgroup", DOCTOR_OK, NULL,
                    "version 2, this user may make groups");
    } else {
        doctor_find(d, "cgroup", DOCTOR_WARN,
                    "systemd: Delegate=yes; without, CPU is measured and "
                    "capped less exactly",
                    v2 ? "this user may not make groups"
                       : "version 2 is not mounted on /sys/fs/cgroup");
    }
}

/* Who is in dom0 sees it there; xenodomd, which asks libxl, has the reason where
 * it cannot make domains all the same. */
static void check_xen(struct doctor *d)
{
    const char *name =
        d->settings ? net_settings_text(d->settings, "sell.manager") : NULL;
    bool wanted = name && strcmp(name, "xen") == 0;
    char text[64] = "";
    int fd = open("/proc/xen/capabilities", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0) close(fd);
    if (n > 0 && strstr(text, "control_d")) {
        doctor_find(d, "xen", DOCTOR_OK, NULL,
                    "this is dom0 of a Xen host; xenodomd check --runner xen");
    } else if (wanted) {
        doctor_find(d, "xen", DOCTOR_FAIL,
                    "sell { manager = \"sandbox\" }, or boot under Xen",
                    "%s, and sell.manager is \"xen\"",
                    fd < 0 ? "this host runs no Xen"
                           : "this is a guest of a Xen host, not its dom0");
    } else {
        doctor_find(d, "xen", DOCTOR_OK, NULL, "%s: tasks run in sandboxes",
                    fd < 0 ? "this host runs no Xen"
                           : "this is a guest of a Xen host, not its dom0");
    }
}

void doctor_check_sandbox(struct doctor *d)
{
    const char *bwrap = "bubblewrap is not installed";
    bool has_bwrap = in_path("bwrap");

    check_xen(d);
    if (has_bwrap && has_user_namespaces()) {
        doctor_find(d, "sandbox", DOCTOR_OK, NULL,
                    "bubblewrap and user namespaces");
    } else {
        doctor_find(d, "sandbox", DOCTOR_WARN,
                    has_bwrap ? "sysctl user.max_user_namespaces, "
                                "kernel.unprivileged_userns_clone"
                              : "apt install bubblewrap",
                    "no sandbox: %s", has_bwrap ? "no user namespaces" : bwrap);
    }
    check_cgroup(d);
}
