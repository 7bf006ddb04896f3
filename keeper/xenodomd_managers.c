/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/sandbox.h"
#include "keeper/sys.h"
#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/text.h"

#define PROBE_US 20000000ULL /* who watches waits for half a minute */

/* ---- sandboxes ----------------------------------------------------------- */

static int check_sandbox(struct dom *dom, char *because_out, size_t len,
                         const char **try_out)
{
    if (access(dom->bwrap, X_OK)) {
        snprintf(because_out, len, "%s: %s", dom->bwrap, strerror(errno));
        *try_out = "apt install bubblewrap";
        return XN_EREFUSED;
    }
    return sandbox_check(because_out, len, try_out) ? XN_EREFUSED : 0;
}

/* A user of its own for each: they cannot reach each other even where a
 * namespace fails. */
static uint32_t free_uid(const struct dom *dom)
{
    uint32_t uid = dom->envelope.uid_base;
    size_t i;

    for (i = 0; i < dom->n_live; i++) {
        if (dom->live[i].uid != uid) continue;
        uid++;
        i = (size_t)-1; /* again from the first */
    }
    return uid;
}

/* Whether one can be made shows when it is: trying takes as long. */
static int fit_sandbox(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
                       size_t len, const char **try_out)
{
    (void)try_out;
    if (spec->net_kbit_per_s) {
        snprintf(because_out, len, "net_kbit_per_s: a sandbox has no network");
        return XN_EINVAL;
    }
    if (spec->pvh || spec->disk[0]) {
        snprintf(because_out, len, "%s: a sandbox is no domain",
                 spec->pvh ? "pvh" : "disk");
        return XN_EINVAL;
    }
    if (geteuid() == 0) spec->uid = free_uid(dom);
    if (spec->meter < dom->envelope.meter) spec->meter = dom->envelope.meter;
    return 0;
}

static void sandbox_programs(const struct dom *dom,
                             struct session_programs *out)
{
    *out = (struct session_programs){
        .keeper = dom->keeper, .name = "xeno-keeper", .bwrap = dom->bwrap};
}

/* ---- domains ------------------------------------------------------------- */

#if !defined(XEN_BACK_END) && defined(HAVE_XEN)
#define XEN_BACK_END &xen_libxl
#elif !defined(XEN_BACK_END)
#define XEN_BACK_END NULL
#endif

static const struct xen_calls *const xen = XEN_BACK_END;

static int say_xen(const struct dom *dom, char *because_out, size_t len,
                   const char **try_out)
{
    snprintf(because_out, len, "%s", dom->probe.no_xen);
    if (!dom->probe.no_xen[0]) return 0;
    *try_out = xen ? "run it as root in dom0 of a Xen host, or use the sandbox"
                   : "install libxen-dev and configure --with-xen";
    return XN_EREFUSED;
}

/* What the child writes, at once. */
struct said {
    char no_xen[256]; /* "": there is one */
    uint64_t room_kib;
    bool pvh;
};

/* In the child.  Of what the parent has open, nothing stays: the lock of its
 * folder, above all. */
static void try_xen(int out)
{
    struct said said = {.no_xen = ""};
    struct xen *opened = NULL;

    if (dup2(out, 3) < 0 || close_range(4, ~0U, 0)) _exit(1);
    if (xen->open(&opened, said.no_xen, sizeof said.no_xen) == 0) {
        said.no_xen[0] = '\0';
        if (xen->room(opened, &said.room_kib)) said.room_kib = 0;
        if (xen->can_pvh(opened, &said.pvh)) said.pvh = false;
        xen->close(opened);
    }
    _exit(sys_write_all(3, &said, sizeof said) ? 1 : 0);
}

bool manager_probe(struct dom *dom)
{
    struct probe *probe = &dom->probe;
    int ends[2];

    if (!xen) {
        snprintf(probe->no_xen, sizeof probe->no_xen,
                 "this xenodomd was built without libxl");
        return false;
    }
    if (probe->fd >= 0) return true;
    snprintf(probe->no_xen, sizeof probe->no_xen, "it could not be asked");
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) return false;
    probe->pid = fork();
    if (probe->pid == 0) try_xen(ends[1]);
    close(ends[1]);
    if (probe->pid < 0) {
        close(ends[0]);
        return false;
    }
    probe->fd = ends[0];
    probe->until_us = sys_mono_us() + PROBE_US;
    return true;
}

bool manager_probed(struct dom *dom)
{
    struct probe *probe = &dom->probe;
    struct said said;
    ssize_t n = read(probe->fd, &said, sizeof said);

    if (n < 0 && (errno == EAGAIN || errno == EINTR) &&
        sys_mono_us() < probe->until_us) {
        return false;
    }
    if (n < 0) {
        kill(probe->pid, SIGKILL); /* libxl waits, perhaps for ever */
        snprintf(probe->no_xen, sizeof probe->no_xen, "Xen does not answer");
    } else if (n == sizeof said) {
        said.no_xen[sizeof said.no_xen - 1] = '\0';
        xn_plain(said.no_xen);
        memcpy(probe->no_xen, said.no_xen, sizeof said.no_xen);
        probe->room_kib = said.room_kib;
        probe->pvh = said.pvh;
    }
    close(probe->fd);
    probe->fd = -1;
    return true;
}

/* For the program's word alone: the daemon never waits. */
static int check_xen(struct dom *dom, char *because_out, size_t len,
                     const char **try_out)
{
    struct pollfd said = {.events = POLLIN};

    if (manager_probe(dom)) {
        said.fd = dom->probe.fd;
        (void)poll(&said, 1, PROBE_US / 1000);
        while (!manager_probed(dom)) {}
    }
    return say_xen(dom, because_out, len, try_out);
}

/* It is asked after the probe.  Its meter is the hypervisor, and nobody of this
 * machine runs it. */
static int fit_xen(struct dom *dom, Xn__TaskSpec *spec, char *because_out,
                   size_t len, const char **try_out)
{
    int rc = say_xen(dom, because_out, len, try_out);

    spec->meter = XN__METER_KIND__ANY_METER;
    if (!rc && spec->pvh && !dom->probe.pvh) {
        snprintf(because_out, len,
                 "pvh: this machine's processors do not virtualise for Xen");
        *try_out = "a PV domain; or AMD-V with NPT, VT-x with EPT: perhaps "
                   "the firmware has it off";
        rc = XN_EREFUSED;
    }
    if (!rc) rc = network_fit(dom, spec, because_out, len, try_out);
    return rc ? rc : domain_fit(spec, because_out, len);
}

static void xen_programs(const struct dom *dom, struct session_programs *out)
{
    *out = (struct session_programs){.keeper = "/proc/self/exe",
                                     .name = PROGRAM,
                                     .word = MANAGER_KEEP_DOMAIN,
                                     .bwrap = dom->bwrap};
}

int manager_keep_domain(int argc, char **argv)
{
    /* a session of a xenodomd that had libxl waits for another */
    return xen ? keep_main(argc, argv, &runner_xen, xen) : XN_EXIT_REFUSED;
}

static const struct manager managers[] = {
    [XN__RUNNER__SANDBOX] = {check_sandbox, fit_sandbox, sandbox_programs},
    [XN__RUNNER__XEN] = {check_xen, fit_xen, xen_programs},
};

const struct manager *manager_of(Xn__Runner runner)
{
    return (size_t)runner < sizeof managers / sizeof *managers
               ? &managers[runner]
               : &managers[XN__RUNNER__SANDBOX];
}
