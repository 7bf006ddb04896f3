/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of sandboxes run inside:
 *     burner work MS       uses that much CPU time in each of eight processes:
 *                          waited for, not waited for, and orphaned twice over
 *     burner spin          forks spinners that end and are replaced
 *     burner eat MIB       takes that much memory
 *     burner bomb          forks without end
 *     burner fill FILE     writes until it cannot; says how many MiB it got
 *     burner flood         writes to the console without end
 *     burner share MIB     takes that much that two processes share, keeps it
 *     burner hoard         tries for memory that no process needs to map
 *     burner freeze        stops all others, again and again
 *     burner slay          kills all others, again and again
 *     burner stubborn      takes no notice of SIGTERM, and works
 *     burner hide          leaves a process in a session of its own, ends
 *     burner listen FILE   listens on a port of its machine, named in the file
 *     burner reach PORT    connects to it; says whether it could
 *     burner escape PID PORT PATH   tries to get out; says what it could.  Inside
 *                          only: outside, some of it would work
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void burn(double ms)
{
    double until = cpu_ms() + ms;

    while (cpu_ms() < until) {}
}

static void burn_apart(double ms, int levels)
{
    pid_t pid = fork();

    if (pid != 0) return;
    if (levels == 0)
        burn(ms);
    else
        burn_apart(ms, levels - 1);
    _exit(0);
}

/* Eight that burn: ourselves, two that are waited for, two that are not, three
 * that are orphans. */
static int work(double ms)
{
    int ends[2], i;
    char byte;

    if (pipe(ends)) return 1;
    for (i = 0; i < 3; i++)
        burn_apart(ms, 1 + i % 2);
    for (i = 0; i < 2; i++)
        burn_apart(ms, 0);
    while (wait(NULL) > 0) {}
    signal(SIGCHLD, SIG_IGN);
    for (i = 0; i < 2; i++)
        burn_apart(ms, 0);
    burn(ms);
    close(ends[1]); /* the others hold it until they end */
    while (read(ends[0], &byte, 1) > 0) {}
    printf("worked %.0f\n", 8 * ms);
    return 0;
}

static void spin(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        pid_t pid = fork();

        if (pid == 0) {
            burn(3);
            _exit(0);
        }
        burn(2);
    }
}

static int eat(size_t mib)
{
    size_t i;

    for (i = 0; i < mib; i++) {
        /* volatile, or it is not taken at all */
        char *volatile part = malloc(1 << 20);

        if (!part) {
            printf("refused at %zu\n", i);
            return 3;
        }
        memset(part, (int)i + 1, 1 << 20);
    }
    puts("eaten");
    return 0;
}

static void bomb(void)
{
    unsigned long n = 0;

    for (;;) {
        pid_t pid = fork();

        if (pid == 0) pause();
        if (pid < 0 && n > 0) {
            printf("refused at %lu\n", n);
            fflush(stdout);
            pause();
        }
        n++;
    }
}

static int fill(const char *path)
{
    static char part[1 << 16];
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    unsigned long n = 0;

    signal(SIGXFSZ, SIG_IGN);
    while (fd >= 0 && write(fd, part, sizeof part) > 0)
        n++;
    printf("filled %lu MiB: %s\n", n / 16, strerror(errno));
    return 0;
}

static void flood(void)
{
    static char line[4096];

    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    while (write(1, line, sizeof line) > 0) {}
}

/* With a child that has all of it mapped as well. */
static int share(size_t mib)
{
    static char *parts[256];
    size_t i, k;

    for (i = 0; i < mib && i < sizeof parts / sizeof *parts; i++) {
        char *part = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (part == MAP_FAILED) return 3;
        memset(part, (int)i + 1, 1 << 20);
        parts[i] = part;
    }
    if (fork() == 0) {
        for (i = 0; i < mib && parts[i]; i++) {
            for (k = 0; k < 1 << 20; k += 4096)
                (void)*(volatile char *)(parts[i] + k);
        }
        puts("shared");
    }
    pause();
    return 0;
}

/* Messengers of the keeper's are among the others. */
static void fight(int sig)
{
    signal(SIGTERM, SIG_IGN);
    puts("fighting");
    for (;;)
        kill(-1, sig);
}

static void stubborn(void)
{
    signal(SIGTERM, SIG_IGN);
    puts("set");
    for (;;) {}
}

static void hide(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGHUP, SIG_IGN);
            signal(SIGTERM, SIG_IGN);
            for (;;)
                pause();
        }
        _exit(0);
    }
    wait(NULL);
    puts("hidden");
}

static int listen_here(const char *path)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FILE *file;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        listen(fd, 5) || getsockname(fd, (struct sockaddr *)&at, &len)) {
        return 1;
    }
    file = fopen(path, "w");
    if (!file) return 1;
    fprintf(file, "%d\n", ntohs(at.sin_port));
    fclose(file);
    pause();
    return 0;
}

/* ---- escape -------------------------------------------------------------- */

static int escaped;

static void judge(const char *name, int got_through)
{
    printf("%s %s\n", got_through ? "ESCAPED" : "held", name);
    if (got_through) escaped = 1;
}

static void judge_call(const char *name, long result)
{
    judge(name, result >= 0);
}

static int hoard(void)
{
    judge_call("a file in memory", syscall(SYS_memfd_create, "x", 0));
    judge_call("a segment", shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT));
    judge_call("a queue", msgget(IPC_PRIVATE, 0600 | IPC_CREAT));
    return escaped;
}

static void judge_open(const char *name, const char *path, int flags)
{
    int fd = open(path, flags, 0600);

    judge(name, fd >= 0);
    if (fd >= 0) close(fd);
}

static void judge_socket(const char *name, int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);

    judge(name, fd >= 0);
    if (fd >= 0) close(fd);
}

static void judge_connect(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    judge("the machine's loopback",
          fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    at.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    judge("a network",
          fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    if (fd >= 0) close(fd);
}

static void try_namespaces(void)
{
    judge_call("unshare user", unshare(CLONE_NEWUSER));
    judge_call("unshare network", unshare(CLONE_NEWNET));
    judge_call("clone user",
               syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    judge_call("clone3", syscall(SYS_clone3, NULL, 0));
    judge_call("setns", setns(0, 0));
    judge_call("mount", mount("x", "/tmp", "tmpfs", 0, NULL));
    judge_call("umount", umount2("/tmp", MNT_DETACH));
    judge_call("remount",
               mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
    judge_call("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    judge_call("chroot", chroot("/tmp"));
    judge_call("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    judge_call("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    judge_call("open_by_handle_at", syscall(SYS_open_by_handle_at, 3, NULL, 0));
}

static void try_privilege(void)
{
    struct timeval now = {1, 0};
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

    judge_call("setuid 0", setuid(0));
    judge_call("setgid 0", setgid(0));
    judge_call("nice", setpriority(PRIO_PROCESS, 0, -10));
    judge_call("more files", setrlimit(RLIMIT_NOFILE, &all));
    judge_call("more processes", setrlimit(RLIMIT_NPROC, &all));
    judge_call("clock", settimeofday(&now, NULL));
    judge_call("host name", sethostname("x", 1));
    judge_call("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    judge_call("module", syscall(SYS_init_module, "", 0, ""));
    judge_call("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    judge_call("device", mknod("/tmp/d", S_IFBLK | 0600, 0xfe00));
    judge_call("personality", personality(ADDR_NO_RANDOMIZE));
}

static void try_kernel(void)
{
    char attr[128] = {0};

    judge_call("bpf", syscall(SYS_bpf, 0, NULL, 0));
    judge_call("perf", syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
    judge_call("userfaultfd", syscall(SYS_userfaultfd, 0));
    judge_call("io_uring", syscall(SYS_io_uring_setup, 1, attr));
    judge_call("key ring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
                                   KEY_SPEC_USER_KEYRING, 0));
    judge_call("add key", syscall(SYS_add_key, "user", "x", "y", 1,
                                  KEY_SPEC_PROCESS_KEYRING));
    judge_call("typing for others", ioctl(0, TIOCSTI, "x"));
    /* The kernel looks at 32 bits of these, a filter at 64. */
    judge("typing with a long number",
          syscall(SYS_ioctl, 0, TIOCSTI | 1UL << 32, "x") >= 0 ||
              (errno != EPERM && errno != ENOSYS));
    judge_call("vsock with a long number",
               syscall(SYS_socket, AF_VSOCK | 1UL << 32, SOCK_STREAM, 0));
    judge_call("personality with a long number",
               syscall(SYS_personality, ADDR_NO_RANDOMIZE | 1UL << 32));
    judge_call(
        "clone with a long number",
        syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD | 1UL << 32, 0, 0, 0, 0));
    judge_call("a call that is not known yet", syscall(462, 0, 0, 0));
    judge_socket("packet socket", AF_PACKET, SOCK_RAW, 0);
    judge_socket("raw socket", AF_INET, SOCK_RAW, 1);
    judge_socket("vsock", AF_VSOCK, SOCK_STREAM, 0);
    judge_socket("crypto socket", AF_ALG, SOCK_SEQPACKET, 0);
    judge_socket("netfilter socket", AF_NETLINK, SOCK_RAW, 12);
}

static void try_processes(pid_t pid, const char *path)
{
    char proc[64];
    struct iovec part = {proc, 1};

    judge_call("signal a process of the machine", kill(pid, 0));
    snprintf(proc, sizeof proc, "/proc/%d/status", (int)pid);
    judge_open("see a process of the machine", proc, O_RDONLY);
    judge_call("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    judge_call("ptrace the first", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
    judge_call("another's memory", process_vm_readv(1, &part, 1, &part, 1, 0));
    judge_open("a file of the machine", path, O_RDONLY);
    judge_open("write a program", "/usr/bin/x-trial", O_WRONLY | O_CREAT);
    judge_open("write the root", "/x-trial", O_WRONLY | O_CREAT);
    judge_open("write /dev", "/dev/x-trial", O_WRONLY | O_CREAT);
    judge_open("the shadow file", "/etc/shadow", O_RDONLY);
    judge_open("kernel settings", "/proc/sys/kernel/core_pattern", O_WRONLY);
    judge_open("sysrq", "/proc/sysrq-trigger", O_WRONLY);
    judge_open("kernel memory", "/dev/mem", O_RDONLY);
    judge_open("a disk", "/dev/vda", O_RDONLY);
    judge_open("groups of control", "/sys/fs/cgroup", O_RDONLY);
}

static int environment_leaks(void)
{
    char text[65536] = "";
    int fd = open("/proc/1/environ", O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;

    if (fd >= 0) close(fd);
    return n > 0;
}

static int escape(pid_t pid, int port, const char *path)
{
    if (getpid() > 100 || access("/etc/hostname", F_OK) == 0) {
        puts("this is no sandbox: nothing is tried");
        return 2;
    }
    try_namespaces();
    try_privilege();
    try_kernel();
    try_processes(pid, path);
    judge_connect(port);
    judge("the keeper's environment", environment_leaks());
    kill(1, SIGKILL); /* we are still here if it had no effect */
    printf("held the first process's life\nescape tried\n");
    return escaped;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const char *value = argc > 2 ? argv[2] : "0";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(word, "work") == 0) return work(atof(value));
    if (strcmp(word, "spin") == 0) spin();
    if (strcmp(word, "eat") == 0) return eat((size_t)atoi(value));
    if (strcmp(word, "bomb") == 0) bomb();
    if (strcmp(word, "fill") == 0) return fill(value);
    if (strcmp(word, "flood") == 0) flood();
    if (strcmp(word, "share") == 0) return share((size_t)atoi(value));
    if (strcmp(word, "hoard") == 0) return hoard();
    if (strcmp(word, "freeze") == 0) fight(SIGSTOP);
    if (strcmp(word, "slay") == 0) fight(SIGKILL);
    if (strcmp(word, "stubborn") == 0) stubborn();
    if (strcmp(word, "hide") == 0) hide();
    if (strcmp(word, "reach") == 0) judge_connect(atoi(value));
    if (strcmp(word, "listen") == 0) return listen_here(value);
    if (strcmp(word, "escape") == 0 && argc == 5) {
        return escape((pid_t)atoi(value), atoi(argv[3]), argv[4]);
    }
    return 0;
}
