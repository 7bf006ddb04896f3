/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/xen_fake.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"

struct xen {
    char why[XEN_WHY_MAX];
};

struct fake_host *fake;

/* ---- what tests do ------------------------------------------------------- */

static void map_host(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof *fake)) abort();
    fake = mmap(NULL, sizeof *fake, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fake == MAP_FAILED) abort();
    close(fd);
}

void fake_begin(const char *folder)
{
    char path[600];

    snprintf(path, sizeof path, "%s/xen", folder);
    map_host(path);
    snprintf(fake->folder, sizeof fake->folder, "%s", folder);
    setenv("XEN_FAKE", path, 1);
}

static void tty_of(uint32_t id, char *out, size_t len)
{
    snprintf(out, len, "%.500s/tty%u", fake->folder, id);
}

void fake_end(void)
{
    char path[600];
    size_t i;

    for (i = 0; i < fake->n; i++) {
        tty_of((uint32_t)i + 1, path, sizeof path);
        unlink(path);
    }
    unlink(getenv("XEN_FAKE"));
    munmap(fake, sizeof *fake);
    fake = NULL;
}

struct fake_domain *fake_last(void)
{
    return &fake->domains[fake->n - 1];
}

size_t fake_there(void)
{
    size_t i, n = 0;

    for (i = 0; i < fake->n; i++)
        n += fake->domains[i].there;
    return n;
}

void fake_pass(uint64_t ns)
{
    size_t i;

    for (i = 0; i < fake->n; i++) {
        struct fake_domain *d = &fake->domains[i];

        if (!d->there || d->paused || d->end) continue;
        d->cpu_ns += d->cap ? ns / 100 * d->cap : ns * d->vcpus;
    }
}

static int open_tty(uint32_t id)
{
    char path[600];

    tty_of(id, path, sizeof path);
    mkfifo(path, 0600);
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

void fake_say(const char *text)
{
    int fd = open_tty((uint32_t)fake->n);

    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    close(fd);
}

/* ---- the table ----------------------------------------------------------- */

static void enter(struct xen *xen)
{
    if (xen) xen->why[0] = '\0';
    if (++fake->calls == fake->die_at && !fake->die_after) _exit(9);
}

static int leave(int rc)
{
    if (fake->calls == fake->die_at) _exit(9);
    return rc;
}

static int fail(struct xen *xen, const char *why)
{
    snprintf(xen->why, sizeof xen->why, "%s", why);
    return leave(XN_EIO);
}

static bool comes_true(unsigned *left)
{
    if (*left == 0) return false;
    --*left;
    return true;
}

static struct fake_domain *domain(uint32_t id)
{
    if (id == 0 || id > fake->n || !fake->domains[id - 1].there) return NULL;
    return &fake->domains[id - 1];
}

static int fake_open(struct xen **out, char *why_out, size_t len)
{
    if (!fake) map_host(getenv("XEN_FAKE"));
    enter(NULL);
    while (*(volatile bool *)&fake->stuck)
        poll(NULL, 0, 1);
    if (fake->absent) {
        snprintf(why_out, len, "this host runs no Xen (fake)");
        return leave(XN_EUNREACH);
    }
    *out = calloc(1, sizeof **out);
    fake->open++;
    return leave(*out ? 0 : XN_ENOMEM);
}

static void fake_close(struct xen *xen)
{
    fake->open--;
    free(xen);
}

static const char *fake_why(const struct xen *xen)
{
    return xen->why;
}

static int fake_room(struct xen *xen, uint64_t *kib_out)
{
    enter(xen);
    *kib_out = fake->room_kib;
    return leave(0);
}

static int fake_can_pvh(struct xen *xen, bool *out)
{
    enter(xen);
    *out = !fake->no_pvh;
    return leave(0);
}

static void take_disks(struct fake_domain *d, const struct xen_want *want)
{
    struct stat st;
    size_t i;

    for (i = 0; i < XEN_DISKS_MAX; i++) {
        if (want->disks[i].file < 0) continue;
        if (fstat(want->disks[i].file, &st)) abort();
        d->disk_bytes[i] = (uint64_t)st.st_size;
        d->disk_writable[i] = want->disks[i].writable;
    }
}

static void take_nic(struct fake_domain *d, const struct xen_nic *nic)
{
    if (!nic) return;
    snprintf(d->address, sizeof d->address, "%s", nic->address);
    snprintf(d->bridge, sizeof d->bridge, "%s", nic->bridge);
    if (nic->address6)
        snprintf(d->address6, sizeof d->address6, "%s", nic->address6);
    memcpy(d->mac, nic->mac, sizeof d->mac);
    d->kbit_per_s = nic->kbit_per_s;
}

/* Its memory is of the same size, and what it has seen of time its own. */
static void take_saved(struct fake_domain *d, int file)
{
    struct fake_domain was;

    if (file < 0) return;
    if (pread(file, &was, sizeof was, 0) != sizeof was) abort();
    if (was.memory_kib != d->memory_kib || strcmp(was.name, d->name)) abort();
    d->restored = true;
}

static int fake_create(struct xen *xen, const struct xen_want *want,
                       uint32_t *out)
{
    struct fake_domain *d;
    bool bad = comes_true(&fake->bad_create);

    enter(xen);
    while (*(volatile bool *)&fake->slow)
        poll(NULL, 0, 20);
    if (bad && !fake->part) return fail(xen, "no such kernel");
    if (fake->n == FAKE_DOMAINS) abort();
    d = &fake->domains[fake->n++];
    d->there = d->paused = true;
    memcpy(d->uuid, want->uuid, sizeof d->uuid);
    snprintf(d->name, sizeof d->name, "%s", want->name);
    snprintf(d->kernel, sizeof d->kernel, "%s", want->kernel);
    snprintf(d->ramdisk, sizeof d->ramdisk, "%s",
             want->ramdisk ? want->ramdisk : "");
    snprintf(d->line, sizeof d->line, "%s", want->line);
    d->pvh = want->pvh;
    d->memory_kib = want->memory_kib;
    d->vcpus = want->vcpus;
    d->cap = want->cap;
    take_disks(d, want);
    take_nic(d, want->nic);
    take_saved(d, want->saved);
    *out = (uint32_t)fake->n;
    return bad ? fail(xen, "no memory") : leave(0);
}

static int fake_find(struct xen *xen, const uint8_t uuid[XEN_UUID],
                     uint32_t *out)
{
    size_t i;

    enter(xen);
    for (i = 0; i < fake->n; i++) {
        struct fake_domain *d = &fake->domains[i];

        if (!d->there || memcmp(d->uuid, uuid, sizeof d->uuid)) continue;
        *out = (uint32_t)i + 1;
        return leave(0);
    }
    return leave(XN_ENOENT);
}

static int fake_find_name(struct xen *xen, const char *name,
                          uint8_t uuid_out[XEN_UUID], uint32_t *out)
{
    size_t i;

    enter(xen);
    for (i = 0; i < fake->n; i++) {
        struct fake_domain *d = &fake->domains[i];

        if (!d->there || strcmp(d->name, name)) continue;
        memcpy(uuid_out, d->uuid, sizeof d->uuid);
        *out = (uint32_t)i + 1;
        return leave(0);
    }
    return leave(XN_ENOENT);
}

static int fake_look(struct xen *xen, uint32_t id, struct xen_look *out)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    if (comes_true(&fake->bad_look)) return fail(xen, "no answer");
    out->end = d->end;
    out->paused = d->paused;
    out->cpu_ns = d->cpu_ns;
    out->memory_kib = d->memory_kib;
    return leave(0);
}

static int fake_traffic(struct xen *xen, uint32_t id, uint64_t *sent_out,
                        uint64_t *got_out)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d || !d->address[0]) return leave(XN_ENOENT);
    if (comes_true(&fake->bad_traffic)) return fail(xen, "no answer");
    *sent_out = d->sent;
    *got_out = d->got;
    return leave(0);
}

static int set_paused(struct xen *xen, uint32_t id, bool paused)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    if (!fake->deaf_to_pause) d->paused = paused;
    return leave(0);
}

static int fake_pause(struct xen *xen, uint32_t id)
{
    return set_paused(xen, id, true);
}

static int fake_unpause(struct xen *xen, uint32_t id)
{
    return set_paused(xen, id, false);
}

static int fake_shutdown(struct xen *xen, uint32_t id)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    d->asked = true;
    return leave(0);
}

/* As xenconsoled does when it closes a terminal. */
static void drop_unread(uint32_t id)
{
    int fd = open_tty(id);
    char data[4096];

    while (read(fd, data, sizeof data) > 0) {}
    close(fd);
}

static int fake_destroy(struct xen *xen, uint32_t id)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    if (comes_true(&fake->bad_destroy)) return fail(xen, "xenstore is slow");
    d->there = false;
    drop_unread(id);
    return leave(0);
}

static bool write_zeros(int file, size_t bytes)
{
    static const char zeros[4096];

    for (; bytes > 0; bytes -= bytes < sizeof zeros ? bytes : sizeof zeros) {
        if (write(file, zeros, bytes < sizeof zeros ? bytes : sizeof zeros) < 0)
            return false;
    }
    return true;
}

/* One that stands still hears nothing. */
static int fake_save(struct xen *xen, uint32_t id, int file)
{
    struct fake_domain *d = domain(id);
    bool bad = comes_true(&fake->bad_save);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    if (d->paused || (bad && !fake->late))
        return fail(xen, "the guest does not answer");
    d->end = XEN_SUSPENDED;
    if (bad || write(file, d, sizeof *d) != sizeof *d ||
        !write_zeros(file, fake->save_bytes))
        return fail(xen, "it cannot be written");
    return leave(0);
}

static int fake_wake(struct xen *xen, uint32_t id)
{
    struct fake_domain *d = domain(id);

    enter(xen);
    if (!d) return leave(XN_ENOENT);
    if (comes_true(&fake->bad_wake)) return fail(xen, "it does not go on");
    if (d->end == XEN_SUSPENDED) d->end = XEN_LIVES;
    return leave(0);
}

static int fake_console(struct xen *xen, uint32_t id, int *fd_out)
{
    enter(xen);
    if (!domain(id)) return leave(XN_ENOENT);
    if (comes_true(&fake->bad_console)) return fail(xen, "no xenconsoled");
    *fd_out = open_tty(id);
    return leave(*fd_out < 0 ? XN_EIO : 0);
}

const struct xen_calls xen_fake = {
    .quiet_ms = 0, /* what a guest wrote is there at once */
    .open = fake_open,
    .close = fake_close,
    .why = fake_why,
    .room = fake_room,
    .can_pvh = fake_can_pvh,
    .create = fake_create,
    .find = fake_find,
    .find_name = fake_find_name,
    .look = fake_look,
    .traffic = fake_traffic,
    .pause = fake_pause,
    .unpause = fake_unpause,
    .shutdown = fake_shutdown,
    .destroy = fake_destroy,
    .save = fake_save,
    .wake = fake_wake,
    .console = fake_console,
};
