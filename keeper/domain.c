/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/network.h"
#include "lib/err.h"

#define PIECE (16 << 20) /* bytes that are copied before it is asked again */

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
    else if (spec->disk[0] && !spec->disk_bytes)
        because = "disk: it wants disk_bytes to be copied to";
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

/* errno, for who asked for a disk. */
static int failed(const char **because_out)
{
    *because_out = strerror(errno);
    if (errno == ECANCELED) return XN_ECANCELLED;
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? XN_ENOSPC
                                                                : XN_EIO;
}

static ssize_t copy_block(int from, int to, off_t at, off_t end)
{
    static char block[1 << 16];
    size_t want =
        end - at < (off_t)sizeof block ? (size_t)(end - at) : sizeof block;
    ssize_t n = pread(from, block, want, at);

    return n > 0 ? pwrite(to, block, (size_t)n, at) : n;
}

/* Without copying where the file system can share blocks.  -1 with errno. */
static int copy_range(const struct domain_heed *heed, int from, int to,
                      off_t at, off_t end)
{
    while (at < end) {
        size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE;
        off_t in = at, out = at;
        ssize_t n;

        if (!heed->goes_on(heed->arg)) {
            errno = ECANCELED;
            return -1;
        }
        n = copy_file_range(from, &in, to, &out, want, 0);
        if (n <= 0) n = copy_block(from, to, at, end);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO; /* it has become shorter */
        if (n <= 0) return -1;
        at += n;
    }
    return 0;
}

/* Holes stay blank, and what has come behind `end` since it was judged. */
static int copy_data(const struct domain_heed *heed, int from, int to,
                     off_t end)
{
    off_t data = 0, hole = 0;

    while (hole < end && (data = lseek(from, hole, SEEK_DATA)) >= 0) {
        hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 ||
            copy_range(heed, from, to, data, hole < end ? hole : end))
            return -1;
    }
    return data >= 0 || errno == ENXIO ? 0 : -1;
}

/* The second name is that which archives of cloud images have. */
static int open_first(int folder)
{
    const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(folder, "disk", how);

    return fd < 0 && errno == ENOENT ? openat(folder, "disk.raw", how) : fd;
}

/* Who asked may have put another file's name there: one that not all may read is
 * not read for him. */
static int copy_file(const struct domain_heed *heed, int folder, int to,
                     uint64_t bytes, const char **because_out)
{
    int fd = open_first(folder);
    struct stat st;
    int rc = 0;

    if (fd < 0 || fstat(fd, &st)) {
        *because_out = "its image has no file `disk` or `disk.raw`";
        rc = XN_EREFUSED;
    } else if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH)) {
        *because_out = "its image's `disk` is no file that all may read";
        rc = XN_EREFUSED;
    } else if ((uint64_t)st.st_size > bytes) {
        *because_out = "its image's disk is larger than what was asked for";
        rc = XN_EREFUSED;
    } else if (copy_data(heed, fd, to, st.st_size)) {
        rc = failed(because_out);
    }
    if (fd >= 0) close(fd);
    return rc;
}

/* Links were followed when it was allowed: one that is there now was put there
 * since, and may lead where only root gets. */
static int open_folder(const char *path)
{
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

/* What is locked stays, for whoever keeps images; and what is not there any more
 * under its name was being removed. */
static int copy_disk(const struct domain_heed *heed, const char *path, int to,
                     uint64_t bytes, const char **because_out)
{
    int folder = open_folder(path);
    int rc = XN_ENOENT;
    struct stat is, named;

    *because_out = "its image is not there";
    if (folder >= 0 && !flock(folder, LOCK_SH | LOCK_NB) &&
        !fstat(folder, &is) && !stat(path, &named) &&
        is.st_dev == named.st_dev && is.st_ino == named.st_ino) {
        rc = copy_file(heed, folder, to, bytes, because_out);
    }
    if (folder >= 0) close(folder);
    return rc;
}

/* Its room is taken at once: who pays for it finds it there.  Its size comes last:
 * what has it is whole. */
static int fill_disk(const struct domain_heed *heed, int fd,
                     const Xn__TaskSpec *spec, const char **because_out)
{
    off_t bytes = (off_t)spec->disk_bytes;
    struct stat st;
    int rc = 0;

    if (!fstat(fd, &st) && st.st_size == bytes) return 0;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) && errno != EOPNOTSUPP)
        return failed(because_out);
    if (spec->disk[0])
        rc = copy_disk(heed, spec->disk, fd, spec->disk_bytes, because_out);
    if (!rc && ftruncate(fd, bytes)) rc = failed(because_out);
    return rc;
}

/* Open, or an error. */
static int make_disk(const struct domain_heed *heed, int folder,
                     const char *name, const Xn__TaskSpec *spec,
                     const char **because_out)
{
    int fd =
        openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0) return failed(because_out);
    rc = fill_disk(heed, fd, spec, because_out);
    if (!rc) return fd;
    close(fd);
    unlinkat(folder, name, 0);
    return rc;
}

int domain_open_disks(int image, int folder, const char *name,
                      const Xn__TaskSpec *spec, const struct domain_heed *heed,
                      struct xen_disk disks_out[XEN_DISKS_MAX],
                      char *because_out, size_t len)
{
    struct xen_disk *own = &disks_out[spec->disk[0] ? 0 : 1];
    const char *why = "";
    int rc;

    disks_out[0] = disks_out[1] = (struct xen_disk){.file = -1};
    if (own != disks_out) {
        rc = open_file(image, "disk", &why);
        if (rc < 0 && rc != XN_ENOENT) {
            snprintf(because_out, len, "the image's disk: %s", why);
            return rc;
        }
        disks_out[0].file = rc < 0 ? -1 : rc;
    }
    if (!spec->disk_bytes) return 0;
    own->writable = true;
    rc = make_disk(heed, folder, name, spec, &why);
    if (rc < 0) {
        snprintf(because_out, len, "a disk of its own: %s", why);
        return rc;
    }
    own->file = rc;
    return 0;
}

void domain_close_disks(struct xen_disk disks[XEN_DISKS_MAX])
{
    size_t i;

    for (i = 0; i < XEN_DISKS_MAX; i++) {
        if (disks[i].file >= 0) close(disks[i].file);
        disks[i].file = -1;
    }
}
