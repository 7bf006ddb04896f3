/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/domain_use.h"

#include <string.h>

#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"

/* ---- what is noted ------------------------------------------------------- */

int domain_note(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    char boot[SYS_BOOT_ID];
    Xn__DomainNote note;

    xn__domain_note__init(&note);
    note.uuid.data = d->uuid;
    note.uuid.len = sizeof d->uuid;
    note.cpu_ns = d->older.cpu_ns;
    note.sent_bytes = d->older.sent_bytes;
    note.got_bytes = d->older.got_bytes;
    note.begun = d->begun;
    note.boots = d->boots;
    note.started_us = keeper->started_us;
    note.saved_us = d->saved_us;
    note.saved_ms = d->saved_ms;
    note.paused = keeper->paused;
    note.boot = boot;
    sys_boot_id(boot);
    return record_put(keeper->dir, KEEPER_DOMAIN, &note);
}

void domain_last_use(struct keeper *keeper, struct domain_use *out,
                     uint64_t *started_us_out)
{
    ProtobufCMessage *body = NULL;
    const Xn__TaskReading *reading;

    *started_us_out = 0;
    memset(out, 0, sizeof *out);
    if (record_get(keeper->dir, KEEPER_METER, &xn__task_reading__descriptor,
                   &body)) {
        return;
    }
    reading = (Xn__TaskReading *)body;
    *out = (struct domain_use){reading->cpu_ns, reading->sent_bytes,
                               reading->got_bytes};
    if (reading->wall_us > reading->run_ms * 1000)
        *started_us_out = reading->wall_us - reading->run_ms * 1000;
    protobuf_c_message_free_unpacked(body, NULL);
}

static uint64_t less(uint64_t all, uint64_t older)
{
    return all > older ? all - older : 0;
}

/* Of this boot: what was read when it was still read. */
static void take_last(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct domain_use last;
    uint64_t since_us;

    domain_last_use(keeper, &last, &since_us);
    d->use.cpu_ns = less(last.cpu_ns, d->older.cpu_ns);
    d->use.sent_bytes = less(last.sent_bytes, d->older.sent_bytes);
    d->use.got_bytes = less(last.got_bytes, d->older.got_bytes);
}

static void take_saved(struct keeper *keeper, const Xn__DomainNote *note)
{
    char boot[SYS_BOOT_ID];

    if (!note->saved_us) return;
    sys_boot_id(boot);
    keeper->domain.restores = strcmp(note->boot, boot) != 0;
    keeper->paused = note->paused;
}

int domain_noted(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    ProtobufCMessage *body = NULL;
    const Xn__DomainNote *note;
    int rc;

    rc = record_get(keeper->dir, KEEPER_DOMAIN, &xn__domain_note__descriptor,
                    &body);
    if (rc) return rc;
    note = (Xn__DomainNote *)body;
    if (note->uuid.len == sizeof d->uuid) {
        memcpy(d->uuid, note->uuid.data, sizeof d->uuid);
        d->older = (struct domain_use){note->cpu_ns, note->sent_bytes,
                                       note->got_bytes};
        d->begun = note->begun;
        d->boots = note->boots;
        d->saved_us = note->saved_us;
        d->saved_ms = note->saved_ms;
        take_saved(keeper, note);
        if (d->begun) keeper->started_us = note->started_us;
        take_last(keeper);
    } else {
        rc = XN_EINTEGRITY;
    }
    protobuf_c_message_free_unpacked(body, NULL);
    return rc;
}

/* ---- looking ------------------------------------------------------------- */

int domain_look(struct domain *d, struct xen_look *out)
{
    int rc;

    memset(out, 0, sizeof *out);
    if (!d->there || d->saved_us) return XN_ENOENT;
    rc = d->calls->look(d->xen, d->id, out);
    if (rc == XN_ENOENT) d->there = false;
    if (rc) return rc;
    if (out->cpu_ns > d->use.cpu_ns) d->use.cpu_ns = out->cpu_ns;
    d->memory_bytes = out->memory_kib << 10;
    return 0;
}

/* One that shows less than before has begun anew, or is too narrow for what
 * came: what it showed last is the least that is true.  true: it did. */
static bool take_count(uint64_t count, uint64_t *use, uint64_t *older)
{
    bool anew = count < *use;

    if (anew) *older += *use;
    *use = count;
    return anew;
}

void domain_count(struct keeper *keeper)
{
    struct domain *d = &keeper->domain;
    struct domain_use before = d->use, older = d->older;
    uint64_t sent, got;
    bool anew;

    if (!keeper->spec->net || !d->there || d->saved_us ||
        d->calls->traffic(d->xen, d->id, &sent, &got)) {
        return;
    }
    anew = take_count(sent, &d->use.sent_bytes, &d->older.sent_bytes);
    anew |= take_count(got, &d->use.got_bytes, &d->older.got_bytes);
    /* a reading on record before that would have the same bytes twice */
    if (!anew || domain_note(keeper) == 0) return;
    d->use = before;
    d->older = older;
}

static uint64_t since_saved_ms(const struct domain *d)
{
    return d->saved_us ? less(sys_wall_us(), d->saved_us) / 1000 : 0;
}

void domain_saved_ends(struct domain *d)
{
    d->saved_ms += since_saved_ms(d);
    d->saved_us = 0;
}

void domain_read(const struct domain *d, Xn__TaskReading *out)
{
    out->kind = XN__METER_KIND__HYPERVISOR;
    out->exact = true;
    out->cpu_ns = d->older.cpu_ns + d->use.cpu_ns;
    out->sent_bytes = d->older.sent_bytes + d->use.sent_bytes;
    out->got_bytes = d->older.got_bytes + d->use.got_bytes;
    out->saved_ms = d->saved_ms + since_saved_ms(d);
}

void domain_use_before(struct domain *d, const struct domain_use *all)
{
    d->older = (struct domain_use){less(all->cpu_ns, d->use.cpu_ns),
                                   less(all->sent_bytes, d->use.sent_bytes),
                                   less(all->got_bytes, d->use.got_bytes)};
}

void domain_use_ends(struct domain *d)
{
    d->older.cpu_ns += d->use.cpu_ns;
    d->older.sent_bytes += d->use.sent_bytes;
    d->older.got_bytes += d->use.got_bytes;
    memset(&d->use, 0, sizeof d->use);
}
