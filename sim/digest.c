/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/digest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/err.h"

enum { BLOCK = 64 * 1024, HEAD = 27 };

/* Small pieces gather in a block, since each call into the library costs more
 * than hashing a short message. */
struct sim_digest {
    EVP_MD_CTX *ctx;
    size_t n;
    uint8_t block[BLOCK];
};

int sim_digest_new(struct sim_digest **digest_out)
{
    struct sim_digest *digest = calloc(1, sizeof *digest);

    if (!digest) return XN_ENOMEM;
    digest->ctx = EVP_MD_CTX_new();
    if (!digest->ctx || !EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL)) {
        sim_digest_free(digest);
        return XN_ENOMEM;
    }
    *digest_out = digest;
    return 0;
}

void sim_digest_free(struct sim_digest *digest)
{
    if (!digest) return;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
}

static void flush(struct sim_digest *digest)
{
    EVP_DigestUpdate(digest->ctx, digest->block, digest->n);
    digest->n = 0;
}

static void add(struct sim_digest *digest, const void *data, size_t len)
{
    if (digest->n + len > BLOCK) flush(digest);
    if (len > BLOCK) {
        EVP_DigestUpdate(digest->ctx, data, len);
        return;
    }
    memcpy(digest->block + digest->n, data, len);
    digest->n += len;
}

static uint8_t *put(uint8_t *p, uint64_t v, int bytes)
{
    while (bytes-- > 0)
        *p++ = (uint8_t)(v >> (8 * bytes));
    return p;
}

void sim_digest_add(struct sim_digest *digest, uint64_t at_us, uint32_t node,
                    const struct xn_event *event)
{
    uint8_t head[HEAD], *p = head;

    p = put(p, at_us, 8);
    p = put(p, node, 4);
    p = put(p, event->kind, 1);
    p = put(p, event->peer, 4);
    p = put(p, (uint32_t)event->rc, 4);
    p = put(p, event->msg ? event->msg->kind : 0, 2);
    put(p, event->msg ? event->msg->size : 0, 4);
    add(digest, head, sizeof head);
    if (event->msg) add(digest, event->msg->bytes, event->msg->size);
}

void sim_digest_now(struct sim_digest *digest, xn_id *out)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    memset(out, 0, sizeof *out);
    flush(digest);
    if (copy && EVP_MD_CTX_copy_ex(copy, digest->ctx)) {
        EVP_DigestFinal_ex(copy, out->b, NULL);
    }
    EVP_MD_CTX_free(copy);
}
