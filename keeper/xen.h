/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is asked of Xen, as a table of functions in libxl's shape: xen_libxl.c
 * has it of libxl, the unit tests of a hypervisor that they make up.  Each waits
 * until it is done; what takes longer than it may ends the process, whose
 * domain another takes up.
 *
 * Errors: XN_EUNREACH, there is no Xen, or it may not be asked; XN_ENOENT, no
 * such domain; XN_EIO otherwise.  `why` has more. */
#ifndef KEEPER_XEN_H
#define KEEPER_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XEN_UUID 16
#define XEN_WHY_MAX 200

struct xen; /* the back end's */

enum xen_end {
    XEN_LIVES,
    XEN_POWEROFF,
    XEN_REBOOT,
    XEN_CRASH,
    XEN_SUSPENDED, /* as it is to be saved; `wake` goes on */
    XEN_OTHER      /* it stands, and will not go on */
};

#define XEN_DISKS_MAX 2

/* A file that a domain sees as a disk: the first as xvda, the next as xvdb. */
struct xen_disk {
    int file; /* -1: this one is left out */
    bool writable;
};

/* What it sends from another address, of either kind, is dropped. */
struct xen_nic {
    const char *bridge;
    const char *address;  /* IPv4 */
    const char *address6; /* IPv6 with all its digits; NULL: none */
    uint8_t mac[6];
    uint64_t kbit_per_s; /* each way */
};

struct xen_want {
    bool pvh; /* else PV */
    const char *name;
    uint8_t uuid[XEN_UUID];
    const char *kernel, *ramdisk; /* files; NULL: no ramdisk */
    const char *line;             /* the kernel's command line */
    uint64_t memory_kib;
    uint32_t vcpus;
    uint32_t cap; /* percent of one CPU; 0: none */
    struct xen_disk disks[XEN_DISKS_MAX];
    const struct xen_nic *nic; /* NULL: none */
    int saved; /* a file that `save` wrote, from its start: it is restored; -1 */
};

struct xen_look {
    enum xen_end end;
    bool paused;
    uint64_t cpu_ns; /* since it was created */
    uint64_t memory_kib;
};

struct xen_calls {
    /* A console that is silent for that long has nothing more to say. */
    int quiet_ms;
    /* *out is the caller's: close.  Else why_out has a line. */
    int (*open)(struct xen **out, char *why_out, size_t len);
    void (*close)(struct xen *xen);
    /* What was logged of the last call, which failed, in a line; "": nothing. */
    const char *(*why)(const struct xen *xen);
    /* Memory that domains could still be given. */
    int (*room)(struct xen *xen, uint64_t *kib_out);
    /* Can it make PVH domains? */
    int (*can_pvh)(struct xen *xen, bool *out);
    /* It stands before its first instruction, or where it was saved.  On failure
     * there may be a part of it: find. */
    int (*create)(struct xen *xen, const struct xen_want *want, uint32_t *out);
    int (*find)(struct xen *xen, const uint8_t uuid[XEN_UUID], uint32_t *out);
    int (*find_name)(struct xen *xen, const char *name,
                     uint8_t uuid_out[XEN_UUID], uint32_t *out);
    /* A domain that is being taken down is gone. */
    int (*look)(struct xen *xen, uint32_t id, struct xen_look *out);
    /* Bytes that crossed its interface, as dom0 counts them: what the guest does
     * with its end sets nothing back. */
    int (*traffic)(struct xen *xen, uint32_t id, uint64_t *sent_out,
                   uint64_t *got_out);
    int (*pause)(struct xen *xen, uint32_t id);
    int (*unpause)(struct xen *xen, uint32_t id);
    /* Asks the guest, and does not wait for it; it may not hear. */
    int (*shutdown)(struct xen *xen, uint32_t id);
    int (*destroy)(struct xen *xen, uint32_t id);
    /* Has the guest suspend itself, and writes its memory and its processors into
     * that file: it is XEN_SUSPENDED then.  On failure it may be, too. */
    int (*save)(struct xen *xen, uint32_t id, int file);
    int (*wake)(struct xen *xen, uint32_t id);
    /* Its console, raw; does not block. */
    int (*console)(struct xen *xen, uint32_t id, int *fd_out);
};

/* Where this was built with libxl; in tests. */
extern const struct xen_calls xen_libxl, xen_fake;

#endif
