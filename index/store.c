/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two records per server: the document, and its lease, which is renewed far
 * more often.  A withdrawal is a lease alone.  See wire/store.proto. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

#define KEY_SIZE (5 + XN_ID_SIZE)

static void add(struct xis_writes *writes, char kind, const xn_id *server,
                const ProtobufCMessage *value)
{
    Xn__Write *write = calloc(1, sizeof *write);
    size_t size = value ? protobuf_c_message_get_packed_size(value) : 0;
    uint8_t *bytes = malloc(KEY_SIZE + size);

    if (writes->n == writes->cap) {
        size_t cap = writes->cap ? 2 * writes->cap : 8;
        Xn__Write **v = realloc(writes->v, cap * sizeof *v);

        if (v) {
            writes->v = v;
            writes->cap = cap;
        }
    }
    if (!write || !bytes || writes->n == writes->cap) {
        free(write);
        free(bytes);
        writes->rc = XN_ENOMEM;
        return;
    }
    memcpy(bytes, "xis.", 4);
    bytes[4] = (uint8_t)kind;
    memcpy(bytes + 5, server->b, XN_ID_SIZE);
    xn__write__init(write);
    write->key.data = bytes;
    write->key.len = KEY_SIZE;
    write->drop = !value;
    if (value) {
        write->value.data = bytes + KEY_SIZE;
        write->value.len = size;
        protobuf_c_message_pack(value, bytes + KEY_SIZE);
    }
    writes->v[writes->n++] = write;
}

static void write_document(struct xis_writes *writes, const struct xis_ad *ad)
{
    Xn__StoredAd record = XN__STORED_AD__INIT;

    record.envelope = xis_blob_bytes(ad->envelope);
    record.document = xis_blob_bytes(ad->xml);
    record.version = ad->version;
    record.not_after_us = ad->not_after_us;
    record.corp = xn_id_bytes(&ad->corp);
    add(writes, 'a', &ad->server, &record.base);
}

void xis_write_ad(struct xis_writes *writes, const struct xis_ad *ad)
{
    Xn__StoredLease record = XN__STORED_LEASE__INIT;

    if (ad->withdrawn) {
        xis_write_drop(writes, &ad->server, false);
    } else if (ad->xml) {
        write_document(writes, ad);
    }
    record.lease = xis_blob_bytes(ad->lease);
    record.document = xn_id_bytes(&ad->document);
    record.version = ad->version;
    record.until_us = ad->lease_us;
    record.issued_us = ad->issued_us;
    record.withdrawn = ad->withdrawn;
    add(writes, 'l', &ad->server, &record.base);
}

void xis_write_drop(struct xis_writes *writes, const xn_id *server, bool all)
{
    add(writes, 'a', server, NULL);
    if (all) add(writes, 'l', server, NULL);
}

void xis_writes_clear(struct xis_writes *writes)
{
    size_t i;

    for (i = 0; i < writes->n; i++) {
        free(writes->v[i]->key.data); /* the value behind it */
        free(writes->v[i]);
    }
    free(writes->v);
    memset(writes, 0, sizeof *writes);
}

void xis_writes_commit(struct xis_writes *writes, uint64_t ticket,
                       struct xn_out *out)
{
    Xn__Txn txn = XN__TXN__INIT;

    txn.writes = writes->v;
    txn.n_writes = writes->n;
    xn_out_emit(out, XN_ACT_TXN, ticket, XN_PEER_NONE, XN__KIND__TXN, &txn);
    xis_writes_clear(writes);
}
