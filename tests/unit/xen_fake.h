/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hypervisor that tests make up, behind the same table as libxl.  It is in a
 * file that processes share, so that its domains live on when a keeper is
 * killed.  Programs find the file by XEN_FAKE in their environment. */
#ifndef TESTS_XEN_FAKE_H
#define TESTS_XEN_FAKE_H

#include "keeper/xen.h"

#define FAKE_DOMAINS 64

struct fake_domain {
    bool there, paused, asked; /* to shut down */
    bool pvh;
    uint8_t uuid[XEN_UUID];
    char name[80], kernel[256], ramdisk[256], line[1024];
    uint64_t memory_kib, cpu_ns;
    uint32_t vcpus, cap;
    uint64_t disk_bytes[XEN_DISKS_MAX]; /* 0: none */
    bool disk_writable[XEN_DISKS_MAX];
    char address[16], bridge[16]; /* "": no interface */
    char address6[46];
    uint8_t mac[6];
    uint64_t kbit_per_s;
    uint64_t sent, got; /* bytes, by its interface */
    enum xen_end end;
    bool restored;
};

struct fake_host {
    struct fake_domain domains[FAKE_DOMAINS]; /* its id less 1 */
    size_t n;
    char folder[512]; /* consoles are in it, FIFOs */
    bool absent;
    bool no_pvh;
    bool stuck;          /* it does not answer, not even that */
    bool slow;           /* what is made is not done */
    bool deaf_to_pause;  /* says yes and does nothing */
    unsigned bad_create; /* so many fail, */
    bool part;           /* each leaving a part */
    unsigned bad_destroy, bad_look, bad_console, bad_traffic, bad_wake;
    unsigned bad_save; /* so many fail, */
    bool late;         /* each when the guest is suspended */
    size_t save_bytes; /* that it writes; 0: the domain alone */
    uint64_t room_kib;
    int open;
    unsigned calls;  /* so far */
    unsigned die_at; /* in this call the process ends; 0: never */
    bool die_after;  /* when it is done, else before it is */
};

extern struct fake_host *fake;

/* A host without domains; its file, `xen`, and consoles are in that folder. */
void fake_begin(const char *folder);
void fake_end(void);

/* The domain of that number, from 1 on; the last. */
struct fake_domain *fake_last(void);
size_t fake_there(void); /* how many there are */
/* Time passes: who runs uses all of the CPUs that it may. */
void fake_pass(uint64_t ns);
/* The last domain writes. */
void fake_say(const char *text);

#endif
