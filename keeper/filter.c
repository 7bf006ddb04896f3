/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task is any program, written against any C library, so a list of what is
 * allowed would be a list of all that libraries have called so far, and would
 * break the next one.  A list of what is denied would let through what the next
 * kernel brings.  So: calls up to NEWEST that are not denied are allowed; those
 * behind it do not exist (ENOSYS), which is what libraries expect of an older
 * kernel.  Other architectures' calls (32 bits, x32) do not exist either. */
#include "keeper/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"

#define NEWEST "set_mempolicy_home_node"
#define CALLS_MAX 1024
#define FAMILIES 64 /* of sockets, more than there are */
static const unsigned new_namespace[] = {
    CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
    CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

static const char *const denied[] = {
    /* file systems and their roots */
    "chroot",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "umount",
    "umount2",
    "quotactl",
    "quotactl_fd",
    "swapoff",
    "swapon",
    /* files by handle go round the mounts */
    "name_to_handle_at",
    "open_by_handle_at",
    /* namespaces (clone's flags below) */
    "setns",
    "unshare",
    /* the kernel and the machine */
    "acct",
    "bpf",
    "create_module",
    "delete_module",
    "finit_module",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "lookup_dcookie",
    "modify_ldt",
    "nfsservctl",
    "perf_event_open",
    "query_module",
    "reboot",
    "sysfs",
    "_sysctl",
    "syslog",
    "uselib",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
    /* clocks */
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime",
    "clock_settime64",
    "settimeofday",
    "stime",
    /* keys belong to a user, not to a sandbox */
    "add_key",
    "keyctl",
    "request_key",
    /* other processes' insides */
    "kcmp",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    /* much code, many holes so far, and programs do without */
    "fanotify_init",
    "fanotify_mark",
    "userfaultfd",
    "vmsplice",
    /* memory's place is the machine's concern */
    "get_mempolicy",
    "mbind",
    "migrate_pages",
    "move_pages",
    "set_mempolicy",
    "set_mempolicy_home_node",
    /* memory that no limit but a cgroup's sees */
    "memfd_secret",
};

/* Programs fall back on something else where these do not exist. */
static const char *const missing[] = {
    "clone3", /* its flags lie where a filter cannot look */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
};

/* Memory that no process has mapped, and so nobody but a cgroup counts. */
static const char *const unseen[] = {"memfd_create", "shmget", "msgget"};

static int number(const char *name)
{
    return seccomp_syscall_resolve_name(name);
}

static void strike(bool *plain, int newest, const char *const *list, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        int call = number(list[i]);

        if (call >= 0 && call <= newest) plain[call] = false;
    }
}

static struct scmp_arg_cmp argument(unsigned n, enum scmp_compare how,
                                    scmp_datum_t a, scmp_datum_t b)
{
    struct scmp_arg_cmp compare = {n, how, a, b};

    return compare;
}

/* Allowed whatever their arguments are; those judged have rules below. */
static int allow_plain(scmp_filter_ctx ctx, bool watched)
{
    static const char *const judged[] = {"clone", "ioctl", "personality",
                                         "socket", "sched_setaffinity"};
    bool plain[CALLS_MAX];
    int newest = number(NEWEST), call, rc = 0;

    if (newest < 0 || newest >= CALLS_MAX) return XN_EINVAL;
    for (call = 0; call <= newest; call++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

        plain[call] = name != NULL;
        free(name);
    }
    strike(plain, newest, denied, sizeof denied / sizeof *denied);
    strike(plain, newest, missing, sizeof missing / sizeof *missing);
    if (watched) strike(plain, newest, unseen, sizeof unseen / sizeof *unseen);
    strike(plain, newest, judged, sizeof judged / sizeof *judged);
    for (call = 0; !rc && call <= newest; call++) {
        if (plain[call]) rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
    }
    return rc;
}

static int deny_listed(scmp_filter_ctx ctx)
{
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < sizeof denied / sizeof *denied; i++) {
        int call = number(denied[i]);

        if (call < 0) continue; /* this machine has no such call */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    return rc;
}

/* Sockets of this kernel and of the (empty) network alone: a vsock, say, would
 * reach past the network's namespace to whoever runs this machine. */
static int judge_socket(scmp_filter_ctx ctx)
{
    int call = SCMP_SYS(socket), rc = 0;
    unsigned family;

    for (family = 0; !rc && family < FAMILIES; family++) {
        bool ok = family == AF_UNIX || family == AF_INET || family == AF_INET6;

        if (family == AF_NETLINK) continue;
        rc = seccomp_rule_add(
            ctx, ok ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1,
            argument(0, SCMP_CMP_EQ, family, 0));
    }
    /* names of interfaces: the route protocol, number 0 */
    if (!rc) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 2,
                              argument(0, SCMP_CMP_EQ, AF_NETLINK, 0),
                              argument(2, SCMP_CMP_EQ, 0, 0));
    }
    return rc;
}

static int judge_clone(scmp_filter_ctx ctx)
{
    scmp_datum_t all = 0;
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < sizeof new_namespace / sizeof *new_namespace; i++) {
        all |= new_namespace[i];
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              argument(0, SCMP_CMP_MASKED_EQ, new_namespace[i],
                                       new_namespace[i]));
    }
    if (rc) return rc;
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            argument(0, SCMP_CMP_MASKED_EQ, all, 0));
}

static int allow_ioctls(scmp_filter_ctx ctx, uint32_t mask, uint32_t value)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                            argument(1, SCMP_CMP_MASKED_EQ, mask, value));
}

/* All but typing into the terminal for others, and the console's own tricks.
 * The kernel looks at 32 bits of the number, so a filter that compared it whole
 * would be passed by one with more; masks are all that there is for parts, and
 * these add up to every number but the two: those that differ from both in a
 * higher bit, whatever follows it, and then the last digit one by one. */
static int judge_ioctl(scmp_filter_ctx ctx)
{
    const uint32_t both = TIOCSTI & ~0xfU;
    uint32_t digit;
    int bit, rc = 0;

    if ((TIOCLINUX & ~0xfU) != both) return XN_EINVAL;
    for (bit = 31; !rc && bit >= 4; bit--) {
        uint32_t mask = ~0U << bit;

        rc = allow_ioctls(ctx, mask, (both & mask) ^ 1U << bit);
    }
    for (digit = 0; !rc && digit < 16; digit++) {
        if ((both | digit) == TIOCSTI || (both | digit) == TIOCLINUX) continue;
        rc = allow_ioctls(ctx, ~0U, both | digit);
    }
    return rc;
}

/* The usual one, and what asks which it is. */
static int judge_personality(scmp_filter_ctx ctx)
{
    int call = SCMP_SYS(personality), rc;

    rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
                          argument(0, SCMP_CMP_EQ, 0, 0));
    if (rc) return rc;
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
                            argument(0, SCMP_CMP_EQ, 0xffffffff, 0));
}

static int add_rules(scmp_filter_ctx ctx, bool pinned, bool watched)
{
    uint32_t cpus = pinned ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW;
    int rc;

    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (!rc) rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!rc) rc = allow_plain(ctx, watched);
    if (!rc) rc = deny_listed(ctx);
    if (!rc) rc = judge_socket(ctx);
    if (!rc) rc = judge_clone(ctx);
    if (!rc) rc = judge_ioctl(ctx);
    if (!rc) rc = judge_personality(ctx);
    if (rc) return rc;
    return seccomp_rule_add(ctx, cpus, SCMP_SYS(sched_setaffinity), 0);
}

int filter_write(bool pinned, bool watched, int fd)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc;

    if (!ctx) return XN_ENOMEM;
    rc = add_rules(ctx, pinned, watched);
    if (!rc) rc = seccomp_export_bpf(ctx, fd);
    if (!rc && lseek(fd, 0, SEEK_SET) != 0) rc = XN_EIO;
    seccomp_release(ctx);
    return rc ? XN_EIO : 0;
}
