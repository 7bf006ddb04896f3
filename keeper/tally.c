/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/tally.h"

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"

static int take_note(int folder, struct tally *tally)
{
    ProtobufCMessage *body;
    int rc =
        record_get(folder, KEEPER_METER, &xn__task_reading__descriptor, &body);

    if (rc) return rc;
    tally->noted = *(Xn__TaskReading *)body; /* it has no parts of its own */
    tally->noted.base.n_unknown_fields = 0;
    tally->noted.base.unknown_fields = NULL;
    tally->base = tally->noted.base_ns;
    protobuf_c_message_free_unpacked(body, NULL);
    return tally->noted.kind == XN__METER_KIND__CGROUP && tally->base
               ? 0
               : XN_ENOENT;
}

int tally_open(int folder, const char *name, struct tally *out)
{
    char list[CGROUP_KINDS * CGROUP_PATH_MAX];

    *out = TALLY_CLOSED;
    if (take_note(folder, out) ||
        sys_read_text(folder, KEEPER_CGROUPS, list, sizeof list) <= 0)
        return XN_ENOENT;
    cgroup_open_listed(list, name, &out->files);
    return out->files.cpu < 0 ? XN_ENOENT : 0;
}

int tally_read(const struct tally *tally, Xn__TaskReading *out)
{
    uint64_t ns = 0, used;
    int rc = cgroup_cpu_ns(&tally->files, &ns);

    if (rc) return rc;
    *out = tally->noted;
    used = ns > tally->base ? ns - tally->base : 0;
    if (used > out->cpu_ns) out->cpu_ns = used;
    out->wall_us = sys_wall_us();
    return 0;
}

void tally_close(struct tally *tally)
{
    cgroup_close(&tally->files);
}
