/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/unpack_confine.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lib/err.h"

/* Calls of other kernels and architectures have no number here, and are left
 * out. */
static const char *const allowed[] = {
    /* bytes */
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "pwrite64",
    "lseek",
    "_llseek",
    "close",
    "fcntl",
    "fcntl64",
    "poll",
    "ppoll",
    /* files; Landlock says which */
    "open",
    "openat",
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "ftruncate",
    "ftruncate64",
    "fallocate",
    "fstat",
    "fstat64",
    "fstatat64",
    "newfstatat",
    "lstat",
    "stat",
    "statx",
    "umask",
    "utimensat",
    /* memory, but to run what is in it */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    /* oneself */
    "clock_gettime",
    "clock_gettime64",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sysinfo",
    "time",
};

static const char *const deadly[] = {
    "bpf",
    "clone",
    "clone3",
    "connect",
    "execve",
    "execveat",
    "fork",
    "io_uring_setup",
    "keyctl",
    "kill",
    "mount",
    "perf_event_open",
    "pidfd_getfd",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "sendmsg",
    "sendto",
    "setns",
    "setuid",
    "socket",
    "socketpair",
    "tkill",
    "unshare",
    "userfaultfd",
    "vfork",
};

static int rule(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR) return 0;
    return seccomp_rule_add(ctx, action, number, 0);
}

/* Memory may be had, and never be made a program. */
static int judge_memory(scmp_filter_ctx ctx)
{
    static const char *const names[] = {"mmap", "mmap2", "mprotect"};
    const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof names / sizeof *names; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);

        if (number != __NR_SCMP_ERROR)
            rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 1, data);
    }
    return rc;
}

int unpack_confine(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = 0;

    if (!ctx) return XN_ENOMEM;
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; !rc && i < sizeof allowed / sizeof *allowed; i++)
        rc = rule(ctx, SCMP_ACT_ALLOW, allowed[i]);
    for (size_t i = 0; !rc && i < sizeof deadly / sizeof *deadly; i++)
        rc = rule(ctx, SCMP_ACT_KILL_PROCESS, deadly[i]);
    if (!rc) rc = judge_memory(ctx);
    if (!rc) rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc ? XN_EREFUSED : 0;
}
