/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only file that knows libxl.  A process has one context and one domain, so
 * libxl may wait, fork and reap as it likes to; an alarm ends the process where
 * it would wait for ever (as it does where xenstored is gone). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LIBXL_API_VERSION 0x041400
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>

#include "keeper/loop.h"
#include "keeper/traffic.h"
#include "keeper/xen.h"
#include "lib/err.h"

#define HOTPLUG XN_LIBEXECDIR "/xeno-hotplug"
#define CREATE_S 120 /* hotplug scripts on a busy host included */
#define CALL_S 30
#define SUSPEND_S 120          /* libxl waits a minute for the guest's word */
#define MEMORY_KIB_S (8 << 10) /* of memory, to a slow disk and back */
#define RATE_US 50000     /* in which the rate of an interface may be used up */
#define CONSOLE_TRIES 200 /* xenconsoled takes a moment */
#define CONSOLE_NS 50000000
#define WEIGHT 256
/* Where Xen keeps a PVH domain's tables: with libxl's own sum alone, one of less
 * than 20 MiB is not made. */
#define PVH_TABLES_KIB 512

struct xen {
    xentoollog_logger log; /* first: libxl hands it back */
    libxl_ctx *ctx;
    int traffic; /* asked by; negative: not open */
    char why[XEN_WHY_MAX];
};

/* ---- what libxl says ----------------------------------------------------- */

/* Errors, one behind the other: what went wrong first says most.  Each without
 * its `libxl.c:102:libxl_ctx_alloc: '. */
__attribute__((format(printf, 5, 0))) static void keep_line(
    xentoollog_logger *log, xentoollog_level level, int err,
    const char *context, const char *format, va_list al)
{
    struct xen *xen = (struct xen *)log;
    size_t n = strlen(xen->why);
    char line[XEN_WHY_MAX];
    const char *text;

    (void)context;
    if (level < XTL_ERROR) return;
    vsnprintf(line, sizeof line, format, al);
    text = strncmp(line, "libxl", 5) == 0 ? strstr(line, ": ") : NULL;
    snprintf(xen->why + n, sizeof xen->why - n, "%s%s%s%s", n ? "; " : "",
             text ? text + 2 : line, err > 0 ? ": " : "",
             err > 0 ? strerror(err) : "");
}

static void no_progress(xentoollog_logger *log, const char *context,
                        const char *what, int percent, unsigned long done,
                        unsigned long total)
{
    (void)log;
    (void)context;
    (void)what;
    (void)percent;
    (void)done;
    (void)total;
}

static void no_destroy(xentoollog_logger *log)
{
    (void)log;
}

static const char *why(const struct xen *xen)
{
    return xen->why;
}

/* Ours for libxl's; the alarm of the call is off. */
static int done(int libxl_rc)
{
    alarm(0);
    switch (libxl_rc) {
    case 0: return 0;
    case ERROR_DOMAIN_NOTFOUND:
    case ERROR_DOMAIN_DESTROYED: return XN_ENOENT;
    default: return XN_EIO;
    }
}

static void begin_call(struct xen *xen, unsigned seconds)
{
    xen->why[0] = '\0';
    alarm(seconds);
}

/* ---- open ---------------------------------------------------------------- */

static void xen_close(struct xen *xen)
{
    if (!xen) return;
    libxl_ctx_free(xen->ctx);
    if (xen->traffic >= 0) close(xen->traffic);
    free(xen);
}

/* libxl reaps what it forks, and hears of it by the signal. */
static void let_children_be_heard(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* libxl says that a door does not open; whether there is a house behind it is
 * said by the kernel. */
static void explain(const struct xen *xen, char *why_out, size_t len)
{
    const char *what = "this host runs no Xen", *said = xen->why;

    if (access("/proc/xen/capabilities", F_OK) == 0)
        what = geteuid() ? "Xen may be asked by root alone"
                         : "Xen does not answer here";
    snprintf(why_out, len, "%s%s%s%s", what, *said ? " (libxl: " : "", said,
             *said ? ")" : "");
}

/* A context alone shows little: it falls back on other doors. */
static bool answers(struct xen *xen)
{
    bool there = libxl_ctx_alloc(&xen->ctx, LIBXL_VERSION, 0, &xen->log) == 0 &&
                 libxl_get_version_info(xen->ctx);

    alarm(0);
    return there;
}

static int xen_open(struct xen **out, char *why_out, size_t len)
{
    struct xen *xen = calloc(1, sizeof *xen);

    if (!xen) return XN_ENOMEM;
    xen->traffic = -1;
    xen->log.vmessage = keep_line;
    xen->log.progress = no_progress;
    xen->log.destroy = no_destroy;
    signal(SIGALRM, SIG_DFL);
    begin_call(xen, CALL_S);
    if (!answers(xen)) {
        explain(xen, why_out, len);
        xen_close(xen);
        return XN_EUNREACH;
    }
    let_children_be_heard();
    *out = xen;
    return 0;
}

static int xen_room(struct xen *xen, uint64_t *kib_out)
{
    begin_call(xen, CALL_S);
    return done(libxl_get_free_memory(xen->ctx, kib_out));
}

/* By hardware that virtualises, the tables of pages included: without those Xen
 * would follow each change of a guest's itself. */
static int xen_can_pvh(struct xen *xen, bool *out)
{
    libxl_physinfo info;
    int rc;

    libxl_physinfo_init(&info);
    begin_call(xen, CALL_S);
    rc = done(libxl_get_physinfo(xen->ctx, &info));
    *out = !rc && info.cap_hvm && info.cap_hap;
    libxl_physinfo_dispose(&info);
    return rc;
}

/* ---- create -------------------------------------------------------------- */

/* Neither has a device model: disks and interfaces are back ends of dom0's. */
static libxl_domain_type type_of(const struct xen_want *want)
{
    return want->pvh ? LIBXL_DOMAIN_TYPE_PVH : LIBXL_DOMAIN_TYPE_PV;
}

static int fill_build(struct xen *xen, const struct xen_want *want,
                      libxl_domain_build_info *info)
{
    libxl_domain_build_info_init_type(info, type_of(want));
    info->max_vcpus = (int)want->vcpus;
    if (libxl_cpu_bitmap_alloc(xen->ctx, &info->avail_vcpus,
                               (int)want->vcpus)) {
        return XN_ENOMEM;
    }
    libxl_bitmap_set_any(&info->avail_vcpus);
    info->target_memkb = info->max_memkb = want->memory_kib;
    if (want->pvh) {
        info->shadow_memkb =
            PVH_TABLES_KIB +
            libxl_get_required_shadow_memory(want->memory_kib, want->vcpus);
    }
    info->sched_params.weight = WEIGHT;
    info->sched_params.cap = (int)want->cap;
    info->kernel = strdup(want->kernel);
    info->cmdline = strdup(want->line);
    if (want->ramdisk) info->ramdisk = strdup(want->ramdisk);
    if (!info->kernel || !info->cmdline || (want->ramdisk && !info->ramdisk)) {
        return XN_ENOMEM;
    }
    return 0;
}

/* A disk by a loop device, which is Xen's alone once its back end has it:
 * loop_out, closed then, is all that is ours. */
static int add_disk(struct xen *xen, libxl_domain_config *config, size_t i,
                    const struct xen_disk *disk, int *loop_out)
{
    libxl_device_disk *add = &config->disks[config->num_disks++];
    char path[LOOP_PATH_MAX], vdev[] = "xvda";

    libxl_device_disk_init(add);
    *loop_out = loop_attach(disk->file, disk->writable, path);
    if (*loop_out < 0) {
        snprintf(xen->why, sizeof xen->why, "no loop device for a disk: %s",
                 strerror(errno));
        return XN_EIO;
    }
    vdev[3] = (char)('a' + i);
    add->pdev_path = strdup(path);
    add->vdev = strdup(vdev);
    add->script = strdup(HOTPLUG);
    add->backend = LIBXL_DISK_BACKEND_PHY;
    add->format = LIBXL_DISK_FORMAT_RAW;
    add->readwrite = disk->writable;
    return add->pdev_path && add->vdev && add->script ? 0 : XN_ENOMEM;
}

static int add_disks(struct xen *xen, const struct xen_want *want,
                     libxl_domain_config *config, int loops_out[XEN_DISKS_MAX])
{
    size_t i;
    int rc = 0;

    config->disks = calloc(XEN_DISKS_MAX, sizeof *config->disks);
    if (!config->disks) return XN_ENOMEM;
    for (i = 0; !rc && i < XEN_DISKS_MAX; i++) {
        if (want->disks[i].file < 0) continue;
        rc = add_disk(xen, config, i, &want->disks[i], &loops_out[i]);
    }
    return rc;
}

static int add_nic(const struct xen_nic *nic, libxl_domain_config *config)
{
    libxl_device_nic *add = calloc(1, sizeof *add);

    if (!add) return XN_ENOMEM;
    libxl_device_nic_init(add);
    config->nics = add;
    config->num_nics = 1;
    add->bridge = strdup(nic->bridge);
    if (asprintf(&add->ip, "%s%s%s", nic->address, nic->address6 ? " " : "",
                 nic->address6 ? nic->address6 : "") < 0)
        add->ip = NULL;
    add->script = strdup(HOTPLUG);
    add->nictype = LIBXL_NIC_TYPE_VIF;
    memcpy(add->mac, nic->mac, sizeof nic->mac);
    add->rate_interval_usecs = RATE_US;
    add->rate_bytes_per_interval = nic->kbit_per_s * RATE_US / 8000;
    return add->bridge && add->ip && add->script ? 0 : XN_ENOMEM;
}

/* Advice alone: who watches it is the keeper. */
static void leave_to_keeper(libxl_domain_config *config)
{
    config->on_poweroff = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
    config->on_reboot = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
    config->on_crash = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
    config->on_watchdog = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
}

static int make(struct xen *xen, libxl_domain_config *config, uint32_t *out)
{
    begin_call(xen, CREATE_S);
    return done(libxl_domain_create_new(xen->ctx, config, out, NULL, NULL));
}

static unsigned memory_s(uint64_t kib)
{
    return SUSPEND_S + (unsigned)(kib / MEMORY_KIB_S);
}

static int make_saved(struct xen *xen, libxl_domain_config *config, int file,
                      uint32_t *out)
{
    libxl_domain_restore_params params;
    int rc;

    libxl_domain_restore_params_init(&params);
    params.stream_version = 2; /* as libxl_domain_suspend writes it */
    begin_call(xen, memory_s(config->b_info.max_memkb));
    rc = done(libxl_domain_create_restore(xen->ctx, config, out, file, -1,
                                          &params, NULL, NULL));
    libxl_domain_restore_params_dispose(&params);
    return rc;
}

static int xen_create(struct xen *xen, const struct xen_want *want,
                      uint32_t *out)
{
    int loops[XEN_DISKS_MAX] = {-1, -1}, rc = XN_ENOMEM;
    libxl_domain_config config;
    size_t i;

    xen->why[0] = '\0';
    libxl_domain_config_init(&config);
    config.c_info.type = type_of(want);
    config.c_info.name = strdup(want->name);
    memcpy(config.c_info.uuid.uuid, want->uuid, XEN_UUID);
    leave_to_keeper(&config);
    if (!config.c_info.name) goto out;
    rc = fill_build(xen, want, &config.b_info);
    if (!rc) rc = add_disks(xen, want, &config, loops);
    if (!rc && want->nic) rc = add_nic(want->nic, &config);
    if (rc) goto out;
    *out = INVALID_DOMID;
    rc = want->saved < 0 ? make(xen, &config, out)
                         : make_saved(xen, &config, want->saved, out);
out:
    for (i = 0; i < XEN_DISKS_MAX; i++)
        if (loops[i] >= 0) close(loops[i]);
    libxl_domain_config_dispose(&config);
    return rc;
}

static int xen_find(struct xen *xen, const uint8_t uuid[XEN_UUID],
                    uint32_t *out)
{
    libxl_dominfo *list;
    int n = 0, i, rc = XN_ENOENT;

    begin_call(xen, CALL_S);
    list = libxl_list_domain(xen->ctx, &n);
    alarm(0);
    if (!list) return XN_EIO;
    for (i = 0; i < n; i++) {
        if (memcmp(list[i].uuid.uuid, uuid, XEN_UUID) || list[i].dying) {
            continue;
        }
        *out = list[i].domid;
        rc = 0;
    }
    libxl_dominfo_list_free(list, n);
    return rc;
}

static int xen_find_name(struct xen *xen, const char *name,
                         uint8_t uuid_out[XEN_UUID], uint32_t *out)
{
    libxl_dominfo *list;
    int n = 0, i, rc = XN_ENOENT;

    begin_call(xen, CALL_S);
    list = libxl_list_domain(xen->ctx, &n);
    for (i = 0; list && i < n; i++) {
        char *is = libxl_domid_to_name(xen->ctx, list[i].domid);

        if (is && strcmp(is, name) == 0 && !list[i].dying) {
            memcpy(uuid_out, list[i].uuid.uuid, XEN_UUID);
            *out = list[i].domid;
            rc = 0;
        }
        free(is);
    }
    alarm(0);
    if (!list) return XN_EIO;
    libxl_dominfo_list_free(list, n);
    return rc;
}

/* ---- of one that is there ------------------------------------------------ */

static enum xen_end end_of(const libxl_dominfo *info)
{
    if (!info->shutdown) return XEN_LIVES;
    switch (info->shutdown_reason) {
    case LIBXL_SHUTDOWN_REASON_SUSPEND: return XEN_SUSPENDED;
    case LIBXL_SHUTDOWN_REASON_POWEROFF: return XEN_POWEROFF;
    case LIBXL_SHUTDOWN_REASON_REBOOT: return XEN_REBOOT;
    case LIBXL_SHUTDOWN_REASON_CRASH:
    case LIBXL_SHUTDOWN_REASON_WATCHDOG: return XEN_CRASH;
    default: return XEN_OTHER;
    }
}

static int xen_look(struct xen *xen, uint32_t id, struct xen_look *out)
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    begin_call(xen, CALL_S);
    rc = done(libxl_domain_info(xen->ctx, &info, id));
    if (!rc && info.dying) rc = XN_ENOENT;
    if (!rc) {
        out->end = end_of(&info);
        out->paused = info.paused;
        out->cpu_ns = info.cpu_time;
        out->memory_kib = info.current_memkb;
    }
    libxl_dominfo_dispose(&info);
    return rc;
}

/* The first interface of a domain is called so. */
static int xen_traffic(struct xen *xen, uint32_t id, uint64_t *sent_out,
                       uint64_t *got_out)
{
    char interface[IF_NAMESIZE];
    int rc;

    if (xen->traffic < 0) xen->traffic = traffic_open();
    if (xen->traffic < 0) return xen->traffic;
    snprintf(interface, sizeof interface, "vif%u.0", id);
    rc = traffic_read(xen->traffic, interface, sent_out, got_out);
    if (rc != XN_EIO) return rc;
    close(xen->traffic); /* no late answer is the next one's */
    xen->traffic = -1;
    return rc;
}

static int xen_pause(struct xen *xen, uint32_t id)
{
    begin_call(xen, CALL_S);
    return done(libxl_domain_pause(xen->ctx, id, NULL));
}

static int xen_unpause(struct xen *xen, uint32_t id)
{
    begin_call(xen, CALL_S);
    return done(libxl_domain_unpause(xen->ctx, id, NULL));
}

static void nobody_waits(libxl_ctx *ctx, int libxl_rc, void *context)
{
    (void)ctx;
    (void)libxl_rc;
    (void)context;
}

/* libxl would wait a minute for the guest to say that it has heard.  Given up,
 * the wait leaves the request where the guest finds it. */
static int xen_shutdown(struct xen *xen, uint32_t id)
{
    const libxl_asyncop_how how = {.callback = nobody_waits,
                                   .u.for_callback = xen};
    int rc;

    begin_call(xen, CALL_S);
    rc = libxl_domain_shutdown(xen->ctx, id, &how);
    if (!rc) {
        libxl_ao_abort(xen->ctx, &how);
        xen->why[0] = '\0'; /* that it was given up is no failure */
    }
    return done(rc);
}

static int xen_destroy(struct xen *xen, uint32_t id)
{
    begin_call(xen, CREATE_S);
    return done(libxl_domain_destroy(xen->ctx, id, NULL));
}

static int xen_save(struct xen *xen, uint32_t id, int file)
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    begin_call(xen, CALL_S);
    rc = done(libxl_domain_info(xen->ctx, &info, id));
    if (!rc) {
        begin_call(xen, memory_s(info.max_memkb));
        rc = done(libxl_domain_suspend(xen->ctx, id, file, 0, NULL));
    }
    libxl_dominfo_dispose(&info);
    return rc;
}

static int xen_wake(struct xen *xen, uint32_t id)
{
    begin_call(xen, CALL_S);
    return done(libxl_domain_resume(xen->ctx, id, 1, NULL));
}

static int open_raw(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios mode;

    if (fd >= 0 && tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
    return fd;
}

static int xen_console(struct xen *xen, uint32_t id, int *fd_out)
{
    const struct timespec moment = {0, CONSOLE_NS};
    char *path = NULL;
    int i, rc = XN_EIO;

    for (i = 0; i < CONSOLE_TRIES && rc; i++) {
        if (i > 0) nanosleep(&moment, NULL);
        begin_call(xen, CALL_S);
        rc = done(libxl_console_get_tty(xen->ctx, id, 0, LIBXL_CONSOLE_TYPE_PV,
                                        &path));
        if (rc == XN_ENOENT) return rc;
    }
    if (rc) return rc;
    *fd_out = open_raw(path);
    if (*fd_out < 0) {
        snprintf(xen->why, sizeof xen->why, "%s: %s", path, strerror(errno));
        rc = XN_EIO;
    }
    free(path);
    return rc;
}

const struct xen_calls xen_libxl = {
    /* It comes by way of xenconsoled, which reads nothing of a guest that talks
     * much until 200 ms are over. */
    .quiet_ms = 300,
    .open = xen_open,
    .close = xen_close,
    .why = why,
    .room = xen_room,
    .can_pvh = xen_can_pvh,
    .create = xen_create,
    .find = xen_find,
    .find_name = xen_find_name,
    .look = xen_look,
    .traffic = xen_traffic,
    .pause = xen_pause,
    .unpause = xen_unpause,
    .shutdown = xen_shutdown,
    .destroy = xen_destroy,
    .save = xen_save,
    .wake = xen_wake,
    .console = xen_console,
};
