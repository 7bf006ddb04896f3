/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task in a domain of its own.  The session's image is a folder with `kernel`
 * and, if it wants them, `ramdisk` and `disk`; env, argv go to the kernel, which
 * gives them to the program.  A client's image is a folder with `disk` alone, which
 * nobody here parses.  The domain outlives its keeper. */
#ifndef KEEPER_DOMAIN_H
#define KEEPER_DOMAIN_H

#include "keeper/xen.h"
#include "wire/task.pb-c.h"

#define DOMAIN_LINE_MAX 1024 /* what Xen passes to a guest, its 0 included */
#define DOMAIN_VCPUS_MAX 128

struct domain_use {
    uint64_t cpu_ns;
    uint64_t sent_bytes, got_bytes; /* by its interface */
};

struct domain {
    const struct xen_calls *calls;
    struct xen *xen; /* NULL: not open */
    uint8_t uuid[XEN_UUID];
    uint32_t id;
    bool there;              /* as far as we know */
    bool killed;             /* by us */
    bool begun;              /* has run */
    bool boots;              /* begins anew: what there is of it never ran */
    struct domain_use use;   /* of this boot, when it was last looked at */
    struct domain_use older; /* of those before it */
    uint32_t short_boots;    /* one after another */
    uint64_t booted_us;      /* mono */
    uint64_t memory_bytes;
    uint64_t saved_us;    /* wall; since then it is saved; 0: it is not */
    uint64_t saved_ms;    /* that it was before */
    bool wants_save;      /* at the next look */
    uint32_t wakes;       /* since then: it was suspended and is not saved */
    bool restores;        /* asked to, or the machine was started anew */
    uint64_t restore_us;  /* mono; the next try */
    uint64_t patience_us; /* mono; tries fail until then; 0: none did */
    char unsaved[256];    /* why it could not be saved, or restored yet */
};

/* XN_EINVAL: because_out says in a line why a domain cannot be like that. */
int domain_fit(const Xn__TaskSpec *spec, char *because_out, size_t len);
bool domain_has_ipv6(const Xn__TaskNet *net); /* NULL has none */
/* The kernel's command line: `[console=hvc0] [ip=...] [ip6=...] NAME=VALUE...
 * init=PROGRAM -- ARG...`, as Linux reads it.  XN_EINVAL, XN_ETOOBIG. */
int domain_line(const Xn__TaskSpec *spec, char *out, size_t len);
/* How many CPUs it gets, and how much of one all of them may use together. */
uint32_t domain_vcpus(const Xn__TaskSpec *spec);
uint32_t domain_cap(const Xn__TaskSpec *spec);

/* libxl parses what is in an image as root: kernel and ramdisk, if there is one,
 * are root's (or ours, who is root where there is a Xen), and nobody else may
 * write them.  XN_ENOENT, XN_EPERM with a reason. */
int domain_check_image(int folder, bool *ramdisk_out, char *because_out,
                       size_t len);

/* Asked again and again while a disk is copied; false: that is given up. */
struct domain_heed {
    bool (*goes_on)(void *arg);
    void *arg;
};

/* Its disks: the image's, which all who have that image read, and a blank one of
 * its own of disk_bytes, `name` in its session's folder, made where there is none
 * yet.  Both may be left out.  With spec->disk there is one: its own, which
 * begins as a copy of `disk` in there and is blank behind that.
 * domain_close_disks afterwards, whatever came of it.  XN_ENOENT, XN_EPERM,
 * XN_EREFUSED: there is nothing that could be copied, or it is larger than
 * disk_bytes; XN_ENOSPC, XN_EIO, XN_ECANCELLED; with a reason. */
int domain_open_disks(int image, int folder, const char *name,
                      const Xn__TaskSpec *spec, const struct domain_heed *heed,
                      struct xen_disk disks_out[XEN_DISKS_MAX],
                      char *because_out, size_t len);
void domain_close_disks(struct xen_disk disks[XEN_DISKS_MAX]);

#endif
