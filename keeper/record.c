/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A record is "XNR1", the body's length and CRC-32 (four bytes each, most
 * significant first), the body. */
#include "keeper/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

#define HEAD 12
#define NOTE_MAX 4096 /* a page, of which a write does all */

static const char magic[4] = {'X', 'N', 'R', '1'};

/* As in Ethernet; half a byte at a time, so that the table stays small: records
 * are rare. */
static uint32_t crc32_of(const uint8_t *data, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    size_t i;

    for (i = 0; i < len; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 |
           (uint32_t)in[2] << 8 | in[3];
}

static int write_whole(int dir, const char *name, const uint8_t *data,
                       size_t len, bool durable)
{
    int fd, rc;

    fd = openat(dir, name,
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno == ENOSPC ? XN_ENOSPC : XN_EIO;
    rc = sys_write_all(fd, data, len);
    if (!rc && durable && fsync(fd)) rc = XN_EIO;
    if (rc && errno == ENOSPC) rc = XN_ENOSPC;
    close(fd);
    return rc;
}

/* *data_out is the caller's (free). */
static int form(const ProtobufCMessage *body, uint8_t **data_out,
                size_t *len_out)
{
    size_t len = protobuf_c_message_get_packed_size(body);
    uint8_t *data;

    if (len > RECORD_MAX) return XN_ETOOBIG;
    data = malloc(HEAD + len);
    if (!data) return XN_ENOMEM;
    memcpy(data, magic, sizeof magic);
    put_u32(data + 4, (uint32_t)len);
    protobuf_c_message_pack(body, data + HEAD);
    put_u32(data + 8, crc32_of(data + HEAD, len));
    *data_out = data;
    *len_out = HEAD + len;
    return 0;
}

static int replace(int dir, const char *name, const uint8_t *data, size_t len,
                   bool durable)
{
    char fresh[80];
    int rc;

    snprintf(fresh, sizeof fresh, "%s.new", name);
    rc = write_whole(dir, fresh, data, len, durable);
    if (!rc && renameat(dir, fresh, dir, name)) rc = XN_EIO;
    if (!rc && durable && fsync(dir)) rc = XN_EIO;
    if (rc) unlinkat(dir, fresh, 0);
    return rc;
}

int record_put(int dir, const char *name, const void *body)
{
    uint8_t *data;
    size_t len;
    int rc = form(body, &data, &len);

    if (rc) return rc;
    rc = replace(dir, name, data, len, true);
    free(data);
    return rc;
}

int record_note(int dir, const char *name, const void *body)
{
    uint8_t *data;
    size_t len;
    int rc = form(body, &data, &len);

    if (rc) return rc;
    rc = replace(dir, name, data, len, false);
    free(data);
    return rc;
}

/* One write that covers all that was there: who is killed has done it or not.
 * To rename onto a file makes some file systems write to the disk at once. */
static bool write_over(struct record *record, const uint8_t *data, size_t len)
{
    if (record->fd < 0 || len > NOTE_MAX || len < record->len) return false;
    record->len = len;
    return pwrite(record->fd, data, len, 0) == (ssize_t)len;
}

static int write_anew(int dir, const char *name, struct record *record,
                      const uint8_t *data, size_t len)
{
    int rc;

    record_close(record);
    rc = replace(dir, name, data, len, false);
    if (rc) return rc;
    record->fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    record->len = len;
    return 0;
}

int record_renote(int dir, const char *name, struct record *record,
                  const void *body)
{
    uint8_t *data;
    size_t len;
    int rc = form(body, &data, &len);

    if (rc) return rc;
    if (!write_over(record, data, len))
        rc = write_anew(dir, name, record, data, len);
    free(data);
    return rc;
}

void record_close(struct record *record)
{
    if (record->fd >= 0) close(record->fd);
    *record = RECORD_CLOSED;
}

int record_parse(const uint8_t *data, size_t len,
                 const ProtobufCMessageDescriptor *type,
                 ProtobufCMessage **body_out)
{
    if (len < HEAD || memcmp(data, magic, sizeof magic) != 0 ||
        get_u32(data + 4) != len - HEAD || len - HEAD > RECORD_MAX ||
        get_u32(data + 8) != crc32_of(data + HEAD, len - HEAD)) {
        return XN_EINTEGRITY;
    }
    *body_out = protobuf_c_message_unpack(type, NULL, len - HEAD, data + HEAD);
    return *body_out ? 0 : XN_EINTEGRITY;
}

static int read_whole(int fd, uint8_t *data, size_t max, size_t *len_out)
{
    size_t have = 0;
    ssize_t n;

    while (have < max) {
        n = read(fd, data + have, max - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return XN_EIO;
        if (n == 0) break;
        have += (size_t)n;
    }
    *len_out = have;
    return 0;
}

int record_get(int dir, const char *name,
               const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out)
{
    size_t len = 0;
    struct stat st;
    uint8_t *data = NULL;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

    if (fd < 0) return errno == ENOENT ? XN_ENOENT : XN_EIO;
    rc = fstat(fd, &st) ? XN_EIO : 0;
    if (!rc && (st.st_size < 0 || st.st_size > HEAD + RECORD_MAX)) {
        rc = XN_EINTEGRITY;
    }
    if (!rc) {
        data = malloc((size_t)st.st_size + 1);
        if (!data) rc = XN_ENOMEM;
    }
    if (!rc) rc = read_whole(fd, data, (size_t)st.st_size, &len);
    if (!rc) rc = record_parse(data, len, type, body_out);
    free(data);
    close(fd);
    return rc;
}
