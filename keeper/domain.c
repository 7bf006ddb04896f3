/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/network.h"
#include "lib/err.h"

struct line {
    char *out;
    size_t used, len;
    bool full;
};

static void add(struct line *line, const char *text, size_t n)
{
    if (n >= line->len - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->out + line->used, text, n);
    line->used += n;
    line->out[line->used] = '\0';
}

/* Linux takes blanks within quotes, but knows no way to write a quote. */
static bool is_plain(const char *word)
{
    for (; *word; word++) {
        if ((unsigned char)*word < ' ' || *word == 0x7f || *word == '"') {
            return false;
        }
    }
    return true;
}

static int add_word(struct line *line, const char *before, const char *word)
{
    bool quoted = !*word || strchr(word, ' ');

    if (!is_plain(word)) return XN_EINVAL;
    if (line->used) add(line, " ", 1);
    if (quoted) add(line, "\"", 1);
    add(line, before, strlen(before));
    add(line, word, strlen(word));
    if (quoted) add(line, "\"", 1);
    return 0;
}

/* `ip=ADDRESS::GATEWAY:MASK::eth0:off`, as Linux's nfsroot.txt has it; what
 * comes first of a word counts for most. */
static int add_net(struct line *line, const Xn__TaskNet *net)
{
    char address[NETWORK_TEXT_MAX], gateway[NETWORK_TEXT_MAX];
    char mask[NETWORK_TEXT_MAX], word[80];

    network_text(net->address, address);
    network_text(net->gateway, gateway);
    network_text(network_mask(net->prefix), mask);
    snprintf(word, sizeof word, "%s::%s:%s::eth0:off", address, gateway, mask);
    return add_word(line, "ip=", word);
}

bool domain_has_ipv6(const Xn__TaskNet *net)
{
    return net && net->address6.len == NETWORK_ADDRESS6 &&
           net->gateway6.len == NETWORK_ADDRESS6;
}

/* `ip6=ADDRESS/BITS,GATEWAY`: no kernel's word, so Linux's first process has it
 * in its environment. */
static int add_net6(struct line *line, const Xn__TaskNet *net)
{
    char address[NETWORK_TEXT6_MAX], gateway[NETWORK_TEXT6_MAX];
    char word[2 * NETWORK_TEXT6_MAX + 8];

    network_text6(net->address6.data, address);
    network_text6(net->gateway6.data, gateway);
    snprintf(word, sizeof word, "%s/%u,%s", address, net->prefix6, gateway);
    return add_word(line, "ip6=", word);
}

int domain_line(const Xn__TaskSpec *spec, char *out, size_t len)
{
    struct line line = {out, 0, len, false};
    size_t i;
    int rc = 0;

    /* as PV Linux knows by itself where its console is */
    if (spec->pvh) rc = add_word(&line, "", "console=hvc0");
    if (!rc && spec->net) rc = add_net(&line, spec->net);
    if (!rc && domain_has_ipv6(spec->net)) rc = add_net6(&line, spec->net);
    for (i = 0; !rc && i < spec->n_env; i++)
        rc = add_word(&line, "", spec->env[i]);
    if (!rc) rc = add_word(&line, "init=", spec->argv[0]);
    if (!rc && spec->n_argv > 1) rc = add_word(&line, "", "--");
    for (i = 1; !rc && i < spec->n_argv; i++)
        rc = add_word(&line, "", spec->argv[i]);
    return rc ? rc : line.full ? XN_ETOOBIG : 0;
}

uint32_t domain_vcpus(const Xn__TaskSpec *spec)
{
    return spec->cpu_ms_per_s ? (spec->cpu_ms_per_s + 999) / 1000 : 1;
}

uint32_t domain_cap(const Xn__TaskSpec *spec)
{
    return (spec->cpu_ms_per_s + 9) / 10;
}

int domain_fit(const Xn__TaskSpec *spec, char *because_out, size_t len)
{
    char line[DOMAIN_LINE_MAX];
    const char *because = NULL;
    int rc;

    if (!spec->image[0])
        because = "image: a domain wants one, with a kernel";
    else if (spec->n_put > 0)
        because = "put: no files go along with a domain";
    else if (domain_vcpus(spec) > DOMAIN_VCPUS_MAX)
        because = "cpu_ms_per_s: a domain has at most 128 CPUs";
    if (!because) {
        rc = domain_line(spec, line, sizeof line);
        if (rc == XN_EINVAL)
            because = "argv, env: a kernel's command line takes no quote and "
                      "no control character";
        else if (rc)
            because = "argv, env: a kernel's command line has 1023 bytes";
    }
    if (!because) return 0;
    snprintf(because_out, len, "%s", because);
    return XN_EINVAL;
}

static bool is_ours_alone(const struct stat *st)
{
    return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & 022);
}

/* Nor may others put something in its place.  Open, or XN_ENOENT, XN_EPERM. */
static int open_file(int folder, const char *name, const char **because_out)
{
    struct stat in, st;
    int fd =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        *because_out = "there is none";
        return XN_ENOENT;
    }
    if (fd < 0 && errno == ELOOP) {
        *because_out = "it is a link: it must be the file itself";
        return XN_EPERM;
    }
    if (fd >= 0 && !fstat(folder, &in) && !fstat(fd, &st) &&
        S_ISREG(st.st_mode) && is_ours_alone(&in) && is_ours_alone(&st)) {
        return fd;
    }
    *because_out = "it must be a file of root's that nobody else may write";
    if (fd >= 0) close(fd);
    return XN_EPERM;
}

static int check_file(int folder, const char *name, const char **because_out)
{
    int fd = open_file(folder, name, because_out);

    if (fd < 0) return fd;
    close(fd);
    return 0;
}

int domain_check_image(int folder, bool *ramdisk_out, char *because_out,
                       size_t len)
{
    const char *kernel_why = "", *ramdisk_why = "";
    int kernel = check_file(folder, "kernel", &kernel_why);
    int ramdisk = check_file(folder, "ramdisk", &ramdisk_why);

    *ramdisk_out = !ramdisk;
    if (!kernel && (!ramdisk || ramdisk == XN_ENOENT)) return 0;
    snprintf(because_out, len, "the image's %s: %s",
             kernel ? "kernel" : "ramdisk", kernel ? kernel_why : ramdisk_why);
    return kernel ? kernel : ramdisk;
}

/* ---- disks --------------------------------------------------------------- */

/* Its room is taken at once: who pays for it finds it there. */
static int make_disk(int folder, const char *name, uint64_t bytes)
{
    int fd =
        openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;
    int failed;

    if (fd < 0) return -1;
    if (!fstat(fd, &st) && (uint64_t)st.st_size == bytes) return fd;
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0) return fd;
    if (errno == EOPNOTSUPP && ftruncate(fd, (off_t)bytes) == 0) return fd;
    failed = errno;
    close(fd);
    unlinkat(folder, name, 0);
    errno = failed;
    return -1;
}

int domain_open_disks(int image, int folder, const char *name, uint64_t bytes,
                      struct xen_disk disks_out[XEN_DISKS_MAX],
                      char *because_out, size_t len)
{
    const char *why = "";
    int rc;

    disks_out[0] = disks_out[1] = (struct xen_disk){.file = -1};
    rc = open_file(image, "disk", &why);
    if (rc < 0 && rc != XN_ENOENT) {
        snprintf(because_out, len, "the image's disk: %s", why);
        return rc;
    }
    disks_out[0].file = rc < 0 ? -1 : rc;
    if (!bytes) return 0;
    disks_out[1].writable = true;
    disks_out[1].file = make_disk(folder, name, bytes);
    if (disks_out[1].file >= 0) return 0;
    rc = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? XN_ENOSPC
                                                              : XN_EIO;
    snprintf(because_out, len, "a disk of its own: %s", strerror(errno));
    return rc;
}

void domain_close_disks(struct xen_disk disks[XEN_DISKS_MAX])
{
    size_t i;

    for (i = 0; i < XEN_DISKS_MAX; i++) {
        if (disks[i].file >= 0) close(disks[i].file);
        disks[i].file = -1;
    }
}
