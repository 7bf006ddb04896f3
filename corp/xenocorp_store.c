/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"

#define KEY_MAX 1024

static int told(const char *program, const char *what, const char *path, int rc,
                const char *why)
{
    switch (rc) {
    case XN_ENOENT:
        xn_gripe_rcf(program, XN_EIO, "NOSTORE", what,
                     "xenocorp init DIR NAME | xenocorp restore DIR BACKUP",
                     "%s: there is no such file", path);
        return XN_EXIT_FAILED;
    case XN_EBUSY:
        xn_gripe_rcf(program, rc, NULL, what, "stop xenocorpd first",
                     "%s: in use by another process", path);
        break;
    case XN_EINTEGRITY:
        xn_gripe_rcf(program, rc, NULL, what,
                     "keep the file as it is; xenocorp restore into another "
                     "folder",
                     "%s: %s", path, *why ? why : "emptied, cut or no store");
        break;
    default:
        xn_gripe_rcf(program, rc, NULL, what, NULL, "%s: %s", path,
                     rc == XN_EIO && errno ? strerror(errno) : xn_strerror(rc));
    }
    return xn_exit_code(rc);
}

int corp_store_open(const char *program, const char *what, const char *dir,
                    bool create, struct corp_store *store_out)
{
    struct net_wal_options options = {.create = create, .keep = !create};
    struct net_wal_report report = {.file = ""};
    int rc;

    memset(store_out, 0, sizeof *store_out);
    if (access(dir, F_OK)) {
        return xn_gripe_rcf(program, XN_EIO, "NOSTORE", what,
                            "xenocorp init DIR NAME", "%s: %s", dir,
                            strerror(errno));
    }
    if ((size_t)snprintf(store_out->path, sizeof store_out->path,
                         "%s/store.kct", dir) >= sizeof store_out->path) {
        rc = XN_EINVAL;
    } else {
        errno = 0;
        rc = net_wal_open(store_out->path, &options, &store_out->wal, &report);
    }
    return rc ? told(program, what,
                     report.file[0] ? report.file : store_out->path, rc,
                     report.why)
              : 0;
}

void corp_store_close(struct corp_store *store)
{
    net_wal_close(store->wal);
    store->wal = NULL;
}

int corp_store_each(struct corp_store *store, const char *prefix,
                    int (*fn)(void *ctx, const Xn__Record *record), void *ctx)
{
    Xn__Read read = XN__READ__INIT;
    uint8_t from[KEY_MAX + 1];
    struct xn_msg *msg = NULL;
    bool more = true;
    size_t i;
    int rc = 0;

    read.prefix.data = (uint8_t *)(uintptr_t)prefix;
    read.prefix.len = strlen(prefix);
    read.from.data = from;
    while (more && !rc) {
        const Xn__Records *records;

        rc = net_wal_read(store->wal, &read, &msg);
        if (rc) break;
        records = XN_BODY(msg, Xn__Records);
        more = records->more && records->n_records;
        for (i = 0; i < records->n_records && !rc; i++)
            rc = fn(ctx, records->records[i]);
        if (more) {
            const ProtobufCBinaryData *key = &records->records[i - 1]->key;

            memcpy(from, key->data, key->len);
            from[key->len] = 0;
            read.from.len = key->len + 1;
            more = read.from.len <= KEY_MAX;
        }
        xn_msg_free(msg);
    }
    return rc;
}
