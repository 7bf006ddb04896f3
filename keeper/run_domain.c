/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain as what a keeper keeps.  What is noted before there is one makes it
 * found again, whoever is killed when. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "keeper/domain_use.h"
#include "keeper/keeper.h"
#include "keeper/network.h"
#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"

#define DOMAIN_NAME_MAX (SPEC_NAME_MAX + 8)
#define LOOK_US 200000 /* between looks at what became of it */
#define LAST_WORDS_US 1000000
#define AWAIT_MS 500 /* until what cannot be destroyed is tried again */
/* Making a domain is this host's work, which nobody pays: one that boots again
 * and again is ended. */
#define SHORT_BOOT_US 10000000
#define SHORT_BOOTS_MAX 5

static void say(struct keeper *keeper, const char *what)
{
    struct domain *d = &keeper->domain;
    const char *why = d->xen ? d->calls->why(d->xen) : "";

    if (keeper->because[0]) return;
    snprintf(keeper->because, sizeof keeper->because, "%s%s%s", what,
             *why ? ": " : "", why);
    xn_plain(keeper->because);
}

/* Its last reading comes first. */
static void destroy(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look last;

    if (domain_look(d, &last)) return;
    domain_count(keeper);
    if (d->calls->destroy(d->xen, d->id) == 0) d->there = false;
}

/* ---- making one ---------------------------------------------------------- */

static int plan(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    if (getrandom(d->uuid, sizeof d->uuid, 0) != sizeof d->uuid) return XN_EIO;
    d->uuid[6] = (uint8_t)((d->uuid[6] & 0x0f) | 0x40); /* RFC 4122: random */
    d->uuid[8] = (uint8_t)((d->uuid[8] & 0x3f) | 0x80);
    return domain_note(keeper);
}

static void domain_name(const struct keeper *keeper, char out[DOMAIN_NAME_MAX])
{
    snprintf(out, DOMAIN_NAME_MAX, "xeno-%s", keeper->spec->name);
}

static int ask_for_it(struct keeper *keeper, struct xen_want *want)
{
    const Xn__TaskNet *net = keeper->spec->net;
    struct domain *d = &keeper->domain;
    char address[NETWORK_TEXT_MAX], address6[NETWORK_TEXT6_MAX];
    struct xen_nic nic = {.address = address,
                          .kbit_per_s = keeper->spec->net_kbit_per_s};
    int rc;

    if (net) {
        nic.bridge = net->bridge;
        network_text(net->address, address);
        network_mac(net->address, nic.mac);
        if (domain_has_ipv6(net)) {
            network_digits6(net->address6.data, address6);
            nic.address6 = address6;
        }
        want->nic = &nic;
    }
    rc = d->calls->create(d->xen, want, &d->id);
    want->nic = NULL;
    if (rc) say(keeper, "the domain cannot be made"); /* before another call */
    if (rc == XN_EIO) rc = XN_EREFUSED; /* as it would be at any time */
    d->there = !rc || d->calls->find(d->xen, d->uuid, &d->id) == 0;
    return rc;
}

static bool goes_on(void *keeper)
{
    return !keeper_unwanted(keeper);
}

static int create(struct keeper *keeper)
{
    char kernel[1100], ramdisk[1100], line[DOMAIN_LINE_MAX];
    char name[DOMAIN_NAME_MAX];
    const Xn__TaskSpec *spec = keeper->spec;
    struct xen_want want = {.pvh = spec->pvh,
                            .name = name,
                            .kernel = kernel,
                            .ramdisk = ramdisk,
                            .line = line,
                            .memory_kib = spec->memory_bytes >> 10,
                            .vcpus = domain_vcpus(spec),
                            .cap = domain_cap(spec)};
    const struct domain_heed heed = {goes_on, keeper};
    bool has_ramdisk;
    int rc;

    rc = domain_line(spec, line, sizeof line);
    if (!rc)
        rc = domain_check_image(keeper->image, &has_ramdisk, keeper->because,
                                sizeof keeper->because);
    if (rc) return rc;
    memcpy(want.uuid, keeper->domain.uuid, sizeof want.uuid);
    domain_name(keeper, name);
    snprintf(kernel, sizeof kernel, "%s/kernel", spec->image);
    snprintf(ramdisk, sizeof ramdisk, "%s/ramdisk", spec->image);
    if (!has_ramdisk) want.ramdisk = NULL;
    rc = domain_open_disks(keeper->image, keeper->dir, KEEPER_DISK, spec, &heed,
                           want.disks, keeper->because, sizeof keeper->because);
    if (rc == XN_ECANCELLED) { /* so it has not begun, and will not */
        rc = XN_EREFUSED;
        snprintf(keeper->because, sizeof keeper->because, "%s",
                 keeper->unwanted);
    }
    if (!rc) rc = ask_for_it(keeper, &want);
    domain_close_disks(want.disks);
    return rc;
}

static void close_terminal(struct keeper *keeper)
{
    if (keeper->terminal >= 0) close(keeper->terminal);
    keeper->terminal = -1;
}

/* Its console is there before its first instruction, so that no byte is
 * missed. */
static int make(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    int rc;

    rc = plan(keeper);
    if (rc) {
        say(keeper, "the domain cannot be noted");
        return rc;
    }
    rc = create(keeper);
    if (rc) {
        say(keeper, "the domain cannot be made");
        return rc;
    }
    close_terminal(keeper);
    rc = d->calls->console(d->xen, d->id, &keeper->terminal);
    if (rc) say(keeper, "the domain has no console");
    return rc;
}

/* Another domain, and what the old one used stays used.  Noted before it runs,
 * as at the first: until then whoever is killed leaves it to be made again. */
static int boot(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    int rc;

    domain_use_ends(d);
    d->booted_us = sys_mono_us();
    rc = make(keeper);
    d->boots = false;
    if (!rc) rc = domain_note(keeper);
    if (!rc && !keeper->stands) rc = d->calls->unpause(d->xen, d->id);
    return rc;
}

/* Killed between two domains, the last keeper left none, or a part of one. */
static int boot_at_last(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    if (d->there) destroy(keeper);
    if (d->there) return XN_EIO;
    return boot(keeper) ? XN_ENOENT : 0;
}

/* The note is damaged, and will be each time that somebody looks: the domain is
 * found by its name, and noted anew.  What was used before it booted last is what
 * the last reading has above its own: never too much. */
static int mend_note(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look now;
    char name[DOMAIN_NAME_MAX];
    struct domain_use last;
    int rc;

    domain_last_use(keeper, &last, &keeper->started_us);
    domain_name(keeper, name);
    xn_log(XN_LOG_ERROR, "session %s: its note of the domain is damaged",
           keeper->spec->name);
    rc = d->calls->find_name(d->xen, name, d->uuid, &d->id);
    if (rc == XN_ENOENT) d->use = last;
    if (rc) return rc;
    d->there = true;
    rc = domain_look(d, &now);
    if (rc) return rc;
    domain_count(keeper);
    domain_use_before(d, &last);
    d->begun = keeper->started_us || !now.paused;
    if (d->begun && !keeper->started_us) keeper->started_us = sys_wall_us();
    return domain_note(keeper);
}

static int find(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look now;
    int rc;

    rc = domain_noted(keeper);
    if (rc == XN_EINTEGRITY) rc = mend_note(keeper);
    if (rc) return rc;
    rc = d->calls->find(d->xen, d->uuid, &d->id);
    if (rc == XN_ENOENT && d->boots) return boot_at_last(keeper);
    if (rc) return rc;
    d->there = true;
    rc = domain_look(d, &now);
    if (rc) return rc;
    if (d->boots && now.end == XEN_LIVES) return boot_at_last(keeper);
    keeper->paused = now.paused;
    keeper->memory_bytes = d->memory_bytes;
    /* without one it is kept all the same */
    if (d->calls->console(d->xen, d->id, &keeper->terminal)) {
        keeper->terminal = -1;
    }
    return 0;
}

static void close_all(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    close_terminal(keeper);
    if (d->xen) d->calls->close(d->xen);
    d->xen = NULL;
}

static int build(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    int rc;

    keeper->look_every_us = LOOK_US;
    if (!d->xen) {
        rc = d->calls->open(&d->xen, keeper->because, sizeof keeper->because);
        if (rc) return rc;
    }
    d->booted_us = sys_mono_us();
    if (!keeper->again) return make(keeper);
    rc = find(keeper);
    if (rc && rc != XN_ENOENT) close_all(keeper);
    return rc;
}

/* Noted first: one that may have run is never taken for one that did not. */
static int begin(struct keeper *keeper, uint64_t mono_us)
{
    struct domain *d = &keeper->domain;
    int rc;

    d->begun = true;
    d->booted_us = mono_us;
    rc = domain_note(keeper);
    if (!rc) rc = d->calls->unpause(d->xen, d->id);
    if (rc) say(keeper, "the domain cannot begin");
    return rc;
}

/* ---- while it runs ------------------------------------------------------- */

static int send(struct keeper *keeper, int sig)
{
    struct domain *d = &keeper->domain;

    if (d->there && sig == SIGSTOP)
        d->calls->pause(d->xen, d->id);
    else if (d->there && sig == SIGCONT)
        d->calls->unpause(d->xen, d->id);
    else if (d->there)
        d->calls->shutdown(d->xen, d->id);
    return 0; /* what became of it is seen at the next look */
}

static void meter(struct keeper *keeper, uint64_t mono_us, Xn__TaskReading *out)
{
    struct domain *d = &keeper->domain;
    struct xen_look now;

    (void)mono_us;
    if (d->there) domain_look(d, &now);
    domain_count(keeper);
    domain_read(d, out);
}

static bool memory(struct keeper *keeper, uint64_t *bytes_out)
{
    struct xen_look now;

    domain_look(&keeper->domain, &now);
    *bytes_out = keeper->domain.memory_bytes;
    return false; /* the hypervisor gives it no more than it may have */
}

static void describe(const struct keeper *keeper, Xn__TaskStatus *status)
{
    status->memory_by = (char *)"hypervisor";
    status->cap_by =
        (char *)(keeper->spec->cpu_ms_per_s ? "hypervisor" : "none");
    status->processes_by = (char *)"none";
    if (keeper->spec->net) status->address = keeper->spec->net->address;
    if (domain_has_ipv6(keeper->spec->net))
        status->address6 = keeper->spec->net->address6;
}

/* ---- end ----------------------------------------------------------------- */

/* What the guest wrote comes by way of xenconsoled, and is lost with the domain:
 * until nothing more comes for a moment. */
static void take_last_words(struct keeper *keeper)
{
    struct pollfd wait = {keeper->terminal, POLLIN, 0};
    uint64_t until = sys_mono_us() + LAST_WORDS_US, before;

    if (!keeper->domain.there) return;
    do {
        before = keeper->console.total;
        keeper_drain_terminal(keeper);
        if (poll(&wait, 1, keeper->domain.calls->quiet_ms) <= 0) return;
        if (wait.revents & (POLLHUP | POLLERR)) break;
    } while (sys_mono_us() < until && keeper->console.total > before);
    keeper_drain_terminal(keeper);
}

static bool end_as(struct keeper *keeper, Xn__TaskEnd end, int code,
                   const char *because)
{
    keeper->status = code << 8;
    if (!keeper->end) {
        keeper->end = end;
        say(keeper, because);
    }
    return true;
}

/* The guest wants to begin anew: another domain, and what the old one used
 * stays used.  true: it ends instead. */
static bool boot_again(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    uint64_t now = sys_mono_us();

    if (keeper->end) return end_as(keeper, keeper->end, 0, "");
    d->short_boots =
        now - d->booted_us < SHORT_BOOT_US ? d->short_boots + 1 : 0;
    if (d->short_boots >= SHORT_BOOTS_MAX) {
        return end_as(keeper, XN__TASK_END__CRASHED, 1,
                      "the domain boots again and again");
    }
    take_last_words(keeper);
    /* who is killed between the two domains leaves none, and no usage unsaid */
    keeper_note_reading(keeper);
    d->boots = true;
    if (domain_note(keeper)) return false; /* at the next look */
    destroy(keeper);
    if (d->there) return false;
    if (boot(keeper)) {
        return end_as(keeper, XN__TASK_END__CRASHED, 1,
                      "the domain did not boot again");
    }
    return false;
}

/* What did not come about is asked for again. */
static void hold(struct keeper *keeper, bool paused)
{
    if (paused != keeper->stands) {
        send(keeper, keeper->stands ? SIGSTOP : SIGCONT);
    }
}

static bool has_ended(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look now;
    int rc = domain_look(d, &now);

    if (rc == XN_ENOENT) {
        if (d->killed) return end_as(keeper, keeper->end, 128 + SIGKILL, "");
        return end_as(keeper, XN__TASK_END__CRASHED, 1,
                      "the domain is gone, and was not ended by its keeper");
    }
    if (rc) return false; /* nothing is known: again later */
    if (d->killed) destroy(keeper);
    if (d->killed && !d->there)
        return end_as(keeper, keeper->end, 128 + SIGKILL, "");
    switch (now.end) {
    case XEN_LIVES: hold(keeper, now.paused); return false;
    case XEN_POWEROFF: keeper->status = 0; return true;
    case XEN_REBOOT: return boot_again(keeper);
    case XEN_CRASH:
        return end_as(keeper, XN__TASK_END__CRASHED, 1, "the domain crashed");
    default:
        return end_as(keeper, XN__TASK_END__CRASHED, 1,
                      "the domain stands and will not go on");
    }
}

static void kill_domain(struct keeper *keeper)
{
    keeper->domain.killed = true;
    take_last_words(keeper);
    destroy(keeper);
}

/* However long it takes: an end is not told while there may be a domain. */
static void await(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    while (d->there) {
        destroy(keeper);
        if (d->there) poll(NULL, 0, AWAIT_MS);
    }
}

static void clear(struct keeper *keeper)
{
    close_all(keeper);
    unlinkat(keeper->dir, KEEPER_DISK, 0);
    unlinkat(keeper->dir, KEEPER_DOMAIN, 0);
}

const struct runner runner_xen = {
    .build = build,
    .begin = begin,
    .signal = send,
    .has_ended = has_ended,
    .kill = kill_domain,
    .await = await,
    .clear = clear,
    .meter = meter,
    .memory = memory,
    .describe = describe,
};
