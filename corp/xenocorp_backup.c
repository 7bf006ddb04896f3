/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backup and restore: a line that says what it is; each record as lengths of
 * key and value (4 bytes each, big endian), key, value; at the end 4 bytes of
 * ones, the number of records (8 bytes) and SHA-256 over all before it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "corp/xenocorp_books.h"
#include "corp/xenocorp_store.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/file.h"

static const char magic[] = "xeno.backup/1\n";

enum {
    BATCH = 256,
    KEY_MAX = 1024,
    VALUE_MAX = 1 << 26,
    PATH_ROOM = 512,
};
#define END UINT32_MAX

struct tape {
    FILE *file;
    EVP_MD_CTX *digest;
    uint64_t records;
};

static void tape_clear(struct tape *tape)
{
    if (tape->file) fclose(tape->file);
    EVP_MD_CTX_free(tape->digest);
    memset(tape, 0, sizeof *tape);
}

static int tape_begin(struct tape *tape)
{
    tape->records = 0;
    if (!tape->digest) tape->digest = EVP_MD_CTX_new();
    if (!tape->digest ||
        EVP_DigestInit_ex(tape->digest, EVP_sha256(), NULL) != 1) {
        return XN_ENOMEM;
    }
    return 0;
}

/* ---- backup ---- */

static int put(struct tape *tape, const void *data, size_t len)
{
    if (len && fwrite(data, 1, len, tape->file) != len) {
        return errno == ENOSPC || errno == EFBIG ? XN_ENOSPC : XN_EIO;
    }
    return EVP_DigestUpdate(tape->digest, data, len) == 1 ? 0 : XN_ENOMEM;
}

static int put_number(struct tape *tape, uint64_t n, size_t bytes)
{
    uint8_t text[8];
    size_t i;

    for (i = 0; i < bytes; i++)
        text[i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
    return put(tape, text, bytes);
}

static int put_record(void *ctx, const Xn__Record *r)
{
    struct tape *tape = ctx;
    int rc;

    rc = put_number(tape, r->key.len, 4);
    if (!rc) rc = put_number(tape, r->value.len, 4);
    if (!rc) rc = put(tape, r->key.data, r->key.len);
    if (!rc) rc = put(tape, r->value.data, r->value.len);
    tape->records++;
    return rc;
}

static int put_end(struct tape *tape)
{
    uint8_t sum[32];
    int rc;

    rc = put_number(tape, END, 4);
    if (!rc) rc = put_number(tape, tape->records, 8);
    if (rc) return rc;
    if (EVP_DigestFinal_ex(tape->digest, sum, NULL) != 1) return XN_ENOMEM;
    if (fwrite(sum, 1, sizeof sum, tape->file) != sizeof sum ||
        fflush(tape->file) || fsync(fileno(tape->file))) {
        return errno == ENOSPC || errno == EFBIG ? XN_ENOSPC : XN_EIO;
    }
    return 0;
}

/* Under another name until it is whole. */
static int write_tape(struct corp_store *store, const char *file,
                      struct tape *tape)
{
    char temporary[PATH_ROOM];
    int fd, rc;

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", file) >=
        sizeof temporary) {
        return XN_EINVAL;
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return XN_EIO;
    tape->file = fdopen(fd, "w");
    if (!tape->file) {
        close(fd);
        unlink(temporary);
        return XN_ENOMEM;
    }
    rc = tape_begin(tape);
    if (!rc) rc = put(tape, magic, sizeof magic - 1);
    if (!rc) rc = corp_store_each(store, "", put_record, tape);
    if (!rc) rc = put_end(tape);
    if (!rc && rename(temporary, file)) rc = XN_EIO;
    if (!rc) rc = net_file_sync_dir(file);
    if (rc) unlink(temporary);
    return rc;
}

int books_backup(const char *program, const char *dir, const char *file)
{
    static const char what[] = "cannot make the backup";
    struct tape tape = {.file = NULL};
    struct corp_store store;
    int rc, code;

    if (access(file, F_OK) == 0) {
        return xn_gripe_rcf(program, XN_ECONFLICT, "EXISTS", what,
                            "another name", "%s is there already", file);
    }
    code = corp_store_open(program, what, dir, false, &store);
    if (code) return code;
    errno = 0;
    rc = write_tape(&store, file, &tape);
    if (rc) {
        xn_gripe_rcf(program, rc, NULL, what,
                     rc == XN_EINTEGRITY ? "xenocorp audit verify DIR"
                                         : "another place, or more room",
                     "%s: %s", rc == XN_EINTEGRITY ? store.path : file,
                     rc == XN_EIO && errno ? strerror(errno) : xn_strerror(rc));
    } else {
        printf("%llu records\n", (unsigned long long)tape.records);
    }
    tape_clear(&tape);
    corp_store_close(&store);
    return xn_exit_code(rc);
}

/* ---- restore ---- */

static int get(struct tape *tape, void *data, size_t len)
{
    if (fread(data, 1, len, tape->file) != len) {
        return ferror(tape->file) ? XN_EIO : XN_EINTEGRITY;
    }
    return EVP_DigestUpdate(tape->digest, data, len) == 1 ? 0 : XN_ENOMEM;
}

static int get_number(struct tape *tape, size_t bytes, uint64_t *n_out)
{
    uint8_t text[8];
    size_t i;
    int rc = get(tape, text, bytes);

    *n_out = 0;
    for (i = 0; i < bytes && !rc; i++)
        *n_out = *n_out << 8 | text[i];
    return rc;
}

static int check_end(struct tape *tape)
{
    uint8_t sum[32], stored[32];
    uint64_t n;
    int rc = get_number(tape, 8, &n);

    if (rc) return rc;
    if (EVP_DigestFinal_ex(tape->digest, sum, NULL) != 1) return XN_ENOMEM;
    if (n != tape->records ||
        fread(stored, 1, sizeof stored, tape->file) != sizeof stored ||
        memcmp(sum, stored, sizeof sum) != 0 || fgetc(tape->file) != EOF) {
        return XN_EINTEGRITY;
    }
    return 0;
}

struct batch {
    struct net_kv *kv; /* NULL: only look whether the tape is whole */
    Xn__Txn txn;
    Xn__Write writes[BATCH], *list[BATCH];
};

static int flush_batch(struct batch *batch)
{
    const Xn__Txn *txn = &batch->txn;
    size_t i;
    int rc = 0;

    if (batch->kv && txn->n_writes) net_kv_apply(batch->kv, &txn, 1, &rc);
    for (i = 0; i < txn->n_writes; i++)
        free(batch->writes[i].key.data);
    batch->txn.n_writes = 0;
    return rc;
}

/* One record, its key and value in one block. */
static int get_record(struct tape *tape, struct batch *batch, uint64_t key_len)
{
    Xn__Write *write = &batch->writes[batch->txn.n_writes];
    uint64_t len;
    uint8_t *data;
    int rc = get_number(tape, 4, &len);

    if (rc) return rc;
    if (key_len > KEY_MAX || len > VALUE_MAX) return XN_EINTEGRITY;
    data = malloc(key_len + len + 1);
    if (!data) return XN_ENOMEM;
    rc = get(tape, data, key_len + len);
    if (rc) {
        free(data);
        return rc;
    }
    xn__write__init(write);
    write->key = (ProtobufCBinaryData){key_len, data};
    write->value = (ProtobufCBinaryData){len, data + key_len};
    batch->list[batch->txn.n_writes++] = write;
    tape->records++;
    return batch->txn.n_writes == BATCH ? flush_batch(batch) : 0;
}

static int read_tape(struct tape *tape, struct net_kv *kv)
{
    struct batch *batch = calloc(1, sizeof *batch);
    char head[sizeof magic - 1];
    uint64_t key_len = 0;
    int rc = XN_ENOMEM, flushed;

    if (!batch) return rc;
    batch->kv = kv;
    xn__txn__init(&batch->txn);
    batch->txn.writes = batch->list;
    rewind(tape->file);
    rc = tape_begin(tape);
    if (!rc) rc = get(tape, head, sizeof head);
    if (!rc && memcmp(head, magic, sizeof head) != 0) rc = XN_EINTEGRITY;
    while (!rc) {
        rc = get_number(tape, 4, &key_len);
        if (rc || key_len == END) break;
        rc = get_record(tape, batch, key_len);
    }
    if (!rc) rc = check_end(tape);
    flushed = flush_batch(batch);
    free(batch);
    return rc ? rc : flushed;
}

static int restore_to(struct tape *tape, const char *path, bool *tape_bad)
{
    char temporary[PATH_ROOM], lock[PATH_ROOM + 8];
    struct net_kv *kv = NULL;
    int rc;

    /* All of it is read before anything is written. */
    rc = read_tape(tape, NULL);
    *tape_bad = rc != 0;
    if (rc) return rc;
    snprintf(temporary, sizeof temporary, "%.480s.restored", path);
    snprintf(lock, sizeof lock, "%s.lock", temporary);
    unlink(temporary);
    rc = net_kv_open_strict(temporary, true, &kv);
    if (rc) return rc;
    rc = read_tape(tape, kv);
    net_kv_close(kv);
    unlink(lock);
    if (!rc && link(temporary, path))
        rc = errno == EEXIST ? XN_ECONFLICT : XN_EIO;
    unlink(temporary);
    return rc ? rc : net_file_sync_dir(path);
}

int books_restore(const char *program, const char *dir, const char *file)
{
    static const char what[] = "cannot restore";
    struct tape tape = {.file = NULL};
    char path[PATH_ROOM], log[PATH_ROOM + 8];
    bool tape_bad = true;
    int rc = net_file_dir(dir);

    snprintf(path, sizeof path, "%.490s/store.kct", dir);
    if (rc) {
        return xn_gripe_rcf(program, rc, NULL, what, "another folder", "%s: %s",
                            dir, strerror(errno));
    }
    snprintf(log, sizeof log, "%s.wal", path);
    if (access(path, F_OK) == 0 || access(log, F_OK) == 0 ||
        net_wal_has_logs(path)) {
        return xn_gripe_rcf(program, XN_ECONFLICT, "EXISTS", what,
                            "another folder, or move that file away",
                            "%s is there already",
                            access(path, F_OK) == 0  ? path
                            : access(log, F_OK) == 0 ? log
                                                     : "a log of store.kct");
    }
    tape.file = fopen(file, "re");
    rc = tape.file ? restore_to(&tape, path, &tape_bad) : XN_EIO;
    if (rc) {
        xn_gripe_rcf(program, rc, NULL, what,
                     tape_bad ? "another backup" : "another place", "%s: %s",
                     tape_bad ? file : path,
                     rc == XN_EIO && errno ? strerror(errno) : xn_strerror(rc));
        tape_clear(&tape);
        return xn_exit_code(rc);
    }
    printf("%llu records\n", (unsigned long long)tape.records);
    tape_clear(&tape);
    return books_verify(program, dir, 0, NULL, false);
}
