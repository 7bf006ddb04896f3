/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain as what a keeper keeps.  What is noted before there is one makes it
 * found again, whoever is killed when. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "keeper/domain_make.h"
#include "keeper/domain_save.h"
#include "keeper/domain_use.h"
#include "keeper/keeper.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "lib/log.h"

#define LOOK_US 200000 /* between looks at what became of it */
#define AWAIT_MS 500   /* until what cannot be destroyed is tried again */
/* Making a domain is this host's work, which nobody pays: one that boots again
 * and again is ended. */
#define SHORT_BOOT_US 10000000
#define SHORT_BOOTS_MAX 5
#define WAKES_MAX 3 /* of one that suspends itself, for the same reason */

/* Another domain, and what the old one used stays used.  Noted before it runs,
 * as at the first: until then whoever is killed leaves it to be made again. */
static int boot(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    int rc;

    domain_use_ends(d);
    d->booted_us = sys_mono_us();
    rc = domain_make(keeper, -1);
    d->boots = false;
    if (!rc) rc = domain_note(keeper);
    if (!rc && !keeper->stands) rc = d->calls->unpause(d->xen, d->id);
    return rc;
}

/* Killed between two domains, the last keeper left none, or a part of one. */
static int boot_at_last(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    if (d->there) domain_destroy(keeper);
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
    domain_drop_unsaved(keeper);
    if (d->saved_us) return domain_find_saved(keeper);
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
    (void)domain_open_console(keeper);
    return 0;
}

static void close_all(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    domain_close_console(keeper);
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
    if (!keeper->again) return domain_make(keeper, -1);
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
    if (rc) domain_say(keeper, "the domain cannot begin");
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

static int save(struct keeper *keeper, bool save)
{
    struct domain *d = &keeper->domain;

    d->unsaved[0] = '\0';
    if (save)
        d->wants_save = !d->saved_us;
    else
        d->restores = d->saved_us != 0;
    return 0;
}

static void describe(const struct keeper *keeper, Xn__TaskStatus *status)
{
    status->unsaved = (char *)keeper->domain.unsaved;
    status->memory_by = (char *)"hypervisor";
    status->cap_by =
        (char *)(keeper->spec->cpu_ms_per_s ? "hypervisor" : "none");
    status->processes_by = (char *)"none";
    if (keeper->spec->net) status->address = keeper->spec->net->address;
    if (domain_has_ipv6(keeper->spec->net))
        status->address6 = keeper->spec->net->address6;
}

/* ---- end ----------------------------------------------------------------- */

static bool end_as(struct keeper *keeper, Xn__TaskEnd end, int code,
                   const char *because)
{
    keeper->status = code << 8;
    if (!keeper->end) {
        keeper->end = end;
        domain_say(keeper, because);
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
    domain_last_words(keeper);
    /* who is killed between the two domains leaves none, and no usage unsaid */
    keeper_note_reading(keeper);
    d->boots = true;
    if (domain_note(keeper)) return false; /* at the next look */
    domain_destroy(keeper);
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

/* It was to be saved, and is not. */
static bool go_on(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    if (d->wakes++ < WAKES_MAX && !d->calls->wake(d->xen, d->id)) return false;
    return end_as(keeper, XN__TASK_END__CRASHED, 1,
                  "the domain is suspended and does not go on");
}

static bool is_lost(struct keeper *keeper)
{
    return domain_keep_saved(keeper) &&
           end_as(keeper, XN__TASK_END__CRASHED, 1, "");
}

static bool has_ended(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct xen_look now;
    int rc;

    if (d->saved_us && !d->killed) return is_lost(keeper);
    rc = domain_look(d, &now);
    if (rc == XN_ENOENT) {
        if (d->killed) return end_as(keeper, keeper->end, 128 + SIGKILL, "");
        return end_as(keeper, XN__TASK_END__CRASHED, 1,
                      "the domain is gone, and was not ended by its keeper");
    }
    if (rc) return false; /* nothing is known: again later */
    if (d->killed) domain_destroy(keeper);
    if (d->killed && !d->there)
        return end_as(keeper, keeper->end, 128 + SIGKILL, "");
    switch (now.end) {
    case XEN_LIVES:
        if (d->wants_save)
            domain_save(keeper);
        else
            hold(keeper, now.paused);
        return false;
    case XEN_SUSPENDED: return go_on(keeper);
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
    domain_last_words(keeper);
    domain_destroy(keeper);
}

/* However long it takes: an end is not told while there may be a domain. */
static void await(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;

    while (d->there) {
        domain_destroy(keeper);
        if (d->there) poll(NULL, 0, AWAIT_MS);
    }
    domain_saved_ends(d);
}

static void clear(struct keeper *keeper)
{
    close_all(keeper);
    unlinkat(keeper->dir, KEEPER_MEMORY, 0);
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
    .save = save,
};
