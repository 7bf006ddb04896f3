/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/domain_make.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "keeper/domain_use.h"
#include "keeper/network.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/text.h"

#define LAST_WORDS_US 1000000

void domain_say(struct keeper *keeper, const char *what)
{
    struct domain *d = &keeper->domain;
    const char *why = d->xen ? d->calls->why(d->xen) : "";

    if (keeper->because[0]) return;
    snprintf(keeper->because, sizeof keeper->because, "%s%s%s", what,
             *why ? ": " : "", why);
    xn_plain(keeper->because);
}

/* What was saved is read no more: it has not run since. */
void domain_destroy(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look last;
    int rc;

    if (!d->there || (!d->saved_us && domain_look(d, &last))) return;
    domain_count(keeper);
    rc = d->calls->destroy(d->xen, d->id);
    if (!rc || rc == XN_ENOENT) d->there = false;
}

/* ---- its console --------------------------------------------------------- */

void domain_close_console(struct keeper *keeper)
{
    if (keeper->terminal >= 0) close(keeper->terminal);
    keeper->terminal = -1;
}

int domain_open_console(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    int rc;

    domain_close_console(keeper);
    rc = d->calls->console(d->xen, d->id, &keeper->terminal);
    if (rc) keeper->terminal = -1;
    return rc;
}

/* What the guest wrote comes by way of xenconsoled, and is lost with the domain:
 * until nothing more comes for a moment. */
void domain_last_words(struct keeper *keeper)
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

/* ---- making one ---------------------------------------------------------- */

static int plan(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    if (getrandom(d->uuid, sizeof d->uuid, 0) != sizeof d->uuid) return XN_EIO;
    d->uuid[6] = (uint8_t)((d->uuid[6] & 0x0f) | 0x40); /* RFC 4122: random */
    d->uuid[8] = (uint8_t)((d->uuid[8] & 0x3f) | 0x80);
    return domain_note(keeper);
}

void domain_name(const struct keeper *keeper, char out[DOMAIN_NAME_MAX])
{
    snprintf(out, DOMAIN_NAME_MAX, "xeno-%s", keeper->spec->name);
}

static const char *cannot(int saved)
{
    return saved < 0 ? "the domain cannot be made"
                     : "the domain cannot be restored";
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
    if (rc) domain_say(keeper, cannot(want->saved)); /* before another call */
    if (rc == XN_EIO) rc = XN_EREFUSED; /* as it would be at any time */
    d->there = !rc || d->calls->find(d->xen, d->uuid, &d->id) == 0;
    return rc;
}

static bool goes_on(void *keeper)
{
    return !keeper_unwanted(keeper);
}

static int create(struct keeper *keeper, int saved)
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
                            .cap = domain_cap(spec),
                            .saved = saved};
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

/* Its console is there before its first instruction, so that no byte is
 * missed. */
int domain_make(struct keeper *keeper, int saved)
{
    int rc = saved < 0 ? plan(keeper) : 0;

    if (rc) {
        domain_say(keeper, "the domain cannot be noted");
        return rc;
    }
    rc = create(keeper, saved);
    if (rc) {
        domain_say(keeper, cannot(saved));
        return rc;
    }
    rc = domain_open_console(keeper);
    if (rc) domain_say(keeper, "the domain has no console");
    return rc;
}
