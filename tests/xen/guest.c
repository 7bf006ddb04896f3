/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole guest, PV or PVH as it is started, which is up in milliseconds where
 * Linux takes ten seconds: it says how much memory it has and then does what the
 * word in
 * `init=/WORD` on its command line says, and after that what is typed, a word a
 * line: spin, idle, exit, reboot, crash, deaf, talk, count, eat.
 * control/shutdown in xenstore is
 * obeyed unless it is deaf.  x86-64 alone; addresses begin at 0. */
#include <stdbool.h>
#include <stdint.h>

/* Else the headers give the numbers of hypercalls before 3.2. */
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>

#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define MS 1000000ULL
/* Between looks at what is typed and told: emulated, they cost much. */
#define LOOK_MS 250
#define WORD_MAX 32
#define COUNT 20 /* lines, and how long it works for each */
#define COUNT_MS 100

/* Notes say where the kernel begins, as PV and as PVH, where Xen is to write its
 * hypercalls, and that physical is virtual. */
__asm__(".pushsection .note.Xen, \"a\", @note\n"
        ".macro NOTE type, value:vararg\n"
        ".align 4\n.long 4, 2f - 1f, \\type\n.asciz \"Xen\"\n"
        "1: \\value\n2: .align 4\n.endm\n"
        "NOTE 6, .asciz \"xeno-guest\"\n" /* GUEST_OS */
        "NOTE 5, .asciz \"xen-3.0\"\n"    /* XEN_VERSION */
        "NOTE 8, .asciz \"generic\"\n"    /* LOADER */
        "NOTE 9, .asciz \"yes\"\n"        /* PAE_MODE */
        "NOTE 3, .quad 0\n"               /* VIRT_BASE */
        "NOTE 1, .quad _start\n"          /* ENTRY */
        "NOTE 2, .quad hypercalls\n"      /* HYPERCALL_PAGE */
        "NOTE 18, .long _start_pvh\n"     /* PHYS32_ENTRY */
        ".popsection\n"
        ".text\n.align 4096\n.globl hypercalls\nhypercalls: .skip 4096\n"
        ".globl _start\n_start:\ncld\nlea stack(%rip), %rsp\n"
        "xor %ebp, %ebp\nmov %rsi, %rdi\ncall guest_main\nud2\n"
        ".bss\n.align 4096\n.globl shared\nshared: .skip 4096\n"
        ".skip 16384\nstack:\n.text\n");

/* PVH begins with 32 bits and no pages: here it gets both as PV has them, 4 GiB
 * where physical is virtual.  0x20 is PAE, 0x100 LME, and the bits of cr0 are PG
 * and PE. */
__asm__(".code32\n.globl _start_pvh\n_start_pvh:\ncld\n"
        "mov %cr4, %eax\nor $0x20, %eax\nmov %eax, %cr4\n"
        "mov $top, %eax\nmov %eax, %cr3\n"
        "mov $0xc0000080, %ecx\nrdmsr\nor $0x100, %eax\nwrmsr\n"
        "mov %cr0, %eax\nor $0x80000001, %eax\nmov %eax, %cr0\n"
        "lgdt segments\nljmp $8, $1f\n"
        ".code64\n1: xor %eax, %eax\nmov %eax, %ss\nmov %eax, %ds\n"
        "mov %eax, %es\nlea stack(%rip), %rsp\nxor %ebp, %ebp\n"
        "mov %ebx, %edi\ncall guest_main_pvh\nud2\n"
        ".data\nsegments: .word 15\n.long descriptors\n.align 8\n"
        "descriptors: .quad 0, 0x00af9a000000ffff\n"
        ".align 4096\nlarge:\n.set at, 0x83\n"
        ".rept 2048\n.quad at\n.set at, at + 0x200000\n.endr\n"
        "gigabytes:\n.quad large + 3, large + 0x1003, large + 0x2003\n"
        ".quad large + 0x3003\n.skip 4096 - 32\n"
        "top: .quad gigabytes + 3\n.skip 4096 - 8\n.text\n");

extern char hypercalls[], shared[];

struct ring {
    void *page;
    uint32_t port;
};

static struct {
    const char *line;
    uint64_t pages; /* of memory */
    struct ring console, store;
} boot;

void guest_main(const start_info_t *start);
void guest_main_pvh(const struct hvm_start_info *start);

static long hypercall(unsigned nr, long a, long b, long c)
{
    register long rdi __asm__("rdi") = a, rsi __asm__("rsi") = b;
    register long rdx __asm__("rdx") = c;
    long rax = (long)hypercalls + nr * 32L;

    __asm__ volatile("call *%%rax"
                     : "+a"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx)
                     :
                     : "memory", "rcx", "r8", "r9", "r10", "r11");
    return rax;
}

static void barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

/* ---- time ---------------------------------------------------------------- */

/* Xen's own clock, since it booted. */
static uint64_t now_ns(void)
{
    volatile struct vcpu_time_info *time =
        &((shared_info_t *)shared)->vcpu_info[0].time;
    uint32_t version, low, high;
    uint64_t ns, ticks;

    do {
        version = time->version;
        __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
        ticks = (((uint64_t)high << 32) | low) - time->tsc_timestamp;
        ticks = time->tsc_shift >= 0 ? ticks << time->tsc_shift
                                     : ticks >> -time->tsc_shift;
        ns = time->system_time +
             (uint64_t)(((unsigned __int128)ticks * time->tsc_to_system_mul) >>
                        32);
    } while ((version & 1) || version != time->version);
    return ns;
}

static void nap(unsigned ms)
{
    struct sched_poll poll = {.nr_ports = 0, .timeout = now_ns() + ms * MS};

    hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (long)&poll, 0);
}

static void end(unsigned reason)
{
    struct sched_shutdown how = {reason};

    hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (long)&how, 0);
}

/* ---- rings --------------------------------------------------------------- */

static void kick(uint32_t port)
{
    struct evtchn_send send = {port};

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (long)&send, 0);
}

/* A ring is two counters, which only grow, and a power of two of bytes. */
static void put(volatile char *ring, uint32_t size, volatile uint32_t *prod,
                const volatile uint32_t *cons, uint32_t port, char byte)
{
    while (*prod - *cons >= size) {
        kick(port);
        nap(5);
    }
    ring[*prod & (size - 1)] = byte;
    barrier();
    *prod = *prod + 1;
}

static bool get(const volatile char *ring, uint32_t size,
                const volatile uint32_t *prod, volatile uint32_t *cons,
                char *byte_out)
{
    if (*prod == *cons) return false;
    barrier();
    *byte_out = ring[*cons & (size - 1)];
    barrier();
    *cons = *cons + 1;
    return true;
}

static void say(const char *text)
{
    volatile struct xencons_interface *io = boot.console.page;
    uint32_t port = boot.console.port;

    for (; *text; text++)
        put(io->out, sizeof io->out, &io->out_prod, &io->out_cons, port, *text);
    kick(port);
}

static void say_number(uint64_t number)
{
    char digits[24];
    int i = sizeof digits - 1;

    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + number % 10);
    } while (number /= 10);
    say(digits + i);
}

static bool typed(char *byte_out)
{
    volatile struct xencons_interface *io = boot.console.page;

    return get(io->in, sizeof io->in, &io->in_prod, &io->in_cons, byte_out);
}

/* ---- xenstore ------------------------------------------------------------ */

static void store_put(const void *bytes, uint32_t n)
{
    volatile struct xenstore_domain_interface *io = boot.store.page;
    const char *from = bytes;

    while (n--)
        put(io->req, XENSTORE_RING_SIZE, &io->req_prod, &io->req_cons,
            boot.store.port, *from++);
    kick(boot.store.port);
}

/* What does not fit is dropped. */
static void store_get(void *out, uint32_t n, uint32_t max)
{
    volatile struct xenstore_domain_interface *io = boot.store.page;
    uint32_t i;
    char byte;

    for (i = 0; i < n; i++) {
        while (!get(io->rsp, XENSTORE_RING_SIZE, &io->rsp_prod, &io->rsp_cons,
                    &byte)) {
            nap(5);
        }
        if (i < max) ((char *)out)[i] = byte;
    }
    kick(boot.store.port);
}

static bool store_ask(uint32_t type, const char *body, uint32_t len, char *out,
                      uint32_t max)
{
    struct xsd_sockmsg head = {type, 1, 0, len};

    store_put(&head, sizeof head);
    store_put(body, len);
    store_get(&head, sizeof head, sizeof head);
    store_get(out, head.len, max - 1);
    out[head.len < max ? head.len : max - 1] = '\0';
    return head.type != XS_ERROR;
}

/* ---- words --------------------------------------------------------------- */

static bool is(const char *text, const char *word)
{
    while (*word && *text == *word) {
        text++;
        word++;
    }
    return !*word && (!*text || *text == ' ');
}

/* A thousand lines, as fast as they are taken. */
static void talk(void)
{
    unsigned i;

    for (i = 1; i <= 1000; i++) {
        say("guest: line ");
        say_number(i);
        say("\n");
    }
}

static void work(unsigned ms)
{
    uint64_t until = now_ns() + ms * MS;

    while (now_ns() < until) {}
}

/* By the hypervisor's account: of this boot. */
static uint64_t used_ms(void)
{
    static struct vcpu_runstate_info state;

    hypercall(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, (long)&state);
    return state.time[RUNSTATE_running] / MS;
}

static void say_used(void)
{
    say("guest: used ");
    say_number(used_ms());
    say(" ms\n");
}

/* Lines between which it works. */
static void count(void)
{
    unsigned i;

    for (i = 1; i <= COUNT; i++) {
        work(COUNT_MS);
        say("guest: line ");
        say_number(i);
        say("\n");
    }
}

/* More memory than it was made with; without it nothing goes on. */
static void eat(void)
{
    static xen_pfn_t frame;
    struct xen_memory_reservation more = {.nr_extents = 1, .domid = DOMID_SELF};
    unsigned n = 0;

    frame = boot.pages;
    set_xen_guest_handle(more.extent_start, &frame);
    while (n < 4096 &&
           hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap,
                     (long)&more, 0) == 1) {
        n++;
    }
    say("guest: out of memory, got ");
    say_number(n * 4);
    say(" KiB more\n");
    end(SHUTDOWN_crash);
}

static bool deaf, spins;

static void obey(const char *word)
{
    if (is(word, "exit") || is(word, "poweroff") || is(word, "halt")) {
        say_used();
        say("guest: ends\n");
        end(SHUTDOWN_poweroff);
    } else if (is(word, "reboot")) {
        say_used();
        say("guest: boots again\n");
        end(SHUTDOWN_reboot);
    } else if (is(word, "crash")) {
        say("guest: crashes\n");
        end(SHUTDOWN_crash);
    } else if (is(word, "talk")) {
        talk();
        end(SHUTDOWN_poweroff);
    } else if (is(word, "count")) {
        count();
    } else if (is(word, "eat")) {
        eat();
    } else if (is(word, "spin")) {
        spins = true;
        say("guest: spins\n");
    } else if (is(word, "idle")) {
        spins = false;
        say("guest: idles\n");
    } else if (is(word, "deaf")) {
        deaf = true;
        say("guest: is deaf\n");
    } else {
        say("guest: knows no ");
        say(word);
        say("\n");
    }
}

static void obey_what_is_typed(void)
{
    static char word[WORD_MAX];
    static unsigned n;
    char byte;

    while (typed(&byte)) {
        if (byte != '\n' && byte != '\r') {
            if (n < sizeof word - 1) word[n++] = byte;
            continue;
        }
        word[n] = '\0';
        if (n) obey(word);
        n = 0;
    }
}

/* The empty value says that it was taken. */
static void obey_xenstore(void)
{
    static const char key[] = "control/shutdown";
    char value[WORD_MAX], answer[WORD_MAX];

    if (deaf || !store_ask(XS_READ, key, sizeof key, value, sizeof value) ||
        !value[0]) {
        return;
    }
    store_ask(XS_WRITE, key, sizeof key, answer, sizeof answer);
    obey(value);
}

static const char *first_word(const char *line)
{
    static const char init[] = "init=/";
    unsigned i;

    for (; *line; line++) {
        for (i = 0; init[i] && line[i] == init[i]; i++) {}
        if (!init[i]) return line + i;
    }
    return "idle";
}

static void run(const char *kind)
{
    say("guest: up, memory_kib ");
    say_number(boot.pages * 4);
    say(", ");
    say(kind);
    say("\n");
    obey(first_word(boot.line));
    for (;;) {
        uint64_t until = now_ns() + LOOK_MS * MS;

        while (spins && now_ns() < until) {}
        if (!spins) nap(LOOK_MS);
        obey_what_is_typed();
        obey_xenstore();
    }
}

/* ---- begin --------------------------------------------------------------- */

static void *page_of(unsigned long machine_frame)
{
    const unsigned long *physical = (unsigned long *)HYPERVISOR_VIRT_START;

    return (void *)(physical[machine_frame] << 12);
}

void guest_main(const start_info_t *start)
{
    hypercall(__HYPERVISOR_update_va_mapping, (long)shared,
              (long)(start->shared_info | 7), UVMF_INVLPG);
    boot.line = (const char *)start->cmd_line;
    boot.pages = start->nr_pages;
    boot.console = (struct ring){page_of(start->console.domU.mfn),
                                 start->console.domU.evtchn};
    boot.store = (struct ring){page_of(start->store_mfn), start->store_evtchn};
    run("PV");
}

/* Xen says by which register it is told where to write its hypercalls. */
static void find_hypercalls(void)
{
    uint32_t eax = XEN_CPUID_LEAF(2), ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    __asm__ volatile("wrmsr" ::"c"(ebx), "a"((uint32_t)(long)hypercalls), "d"(0)
                     : "memory");
}

static uint64_t param(uint32_t index)
{
    struct xen_hvm_param ask = {.domid = DOMID_SELF, .index = index};

    hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (long)&ask, 0);
    return ask.value;
}

static struct ring ring_of(uint32_t frame, uint32_t port)
{
    return (struct ring){(void *)(param(frame) << 12), (uint32_t)param(port)};
}

static uint64_t pages_of(const struct hvm_start_info *start)
{
    const struct hvm_memmap_table_entry *map =
        (const void *)start->memmap_paddr;
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; i < start->memmap_entries; i++)
        bytes += map[i].type == XEN_HVM_MEMMAP_TYPE_RAM ? map[i].size : 0;
    return bytes >> 12;
}

void guest_main_pvh(const struct hvm_start_info *start)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF,
                                     .space = XENMAPSPACE_shared_info,
                                     .gpfn = (unsigned long)shared >> 12};

    find_hypercalls();
    hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (long)&add, 0);
    boot.line = (const char *)start->cmdline_paddr;
    boot.pages = pages_of(start);
    boot.console = ring_of(HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN);
    boot.store = ring_of(HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN);
    run("PVH");
}
