/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "net/cache.h"
#include "net/clock.h"
#include "net/tls.h"
#include "wire/envelope.h"
#include "wire/revoked.h"

enum {
    CACHE_ENTRIES = 65536,
    CACHE_BYTES = 64 << 20,
    RANDOM_MAX = 4096,
    SALT = 32,
};
#define SKEW_US 300000000ULL /* what xn_cert_check forgives */

struct net_crypto {
    struct net_loop *loop;
    struct net_pool *pool;
    const struct net_identity *identity;
    struct net_cache *cache;
    size_t pending;
};

struct task {
    struct net_job job; /* first */
    struct net_crypto *crypto;
    uint64_t ticket;
    uint64_t now_us;
    struct xn_msg *in; /* the loop's reference: the thread only reads it */
    struct xn_msg *out;
    int rc;
    bool keep; /* VERIFY: into the cache under this key, for these times */
    xn_id key;
    uint64_t from_us, until_us;
};

static struct task *task_of(struct net_job *job)
{
    return (struct task *)(void *)job;
}

/* ---- in the pool ------------------------------------------------------- */

static char *context_of(const char *context)
{
    return (char *)(uintptr_t)(context ? context : "");
}

static void sign(struct net_job *job)
{
    struct task *task = task_of(job);
    const Xn__Sign *in = XN_BODY(task->in, Xn__Sign);
    const struct net_identity *identity = task->crypto->identity;
    Xn__Signed out = XN__SIGNED__INIT;

    if (in->form == XN__FORM__BLOB) {
        task->rc = blob_sign(in->payload.data, in->payload.len,
                             context_of(in->context), identity->key,
                             &out.data.data, &out.data.len);
    } else {
        task->rc =
            envelope_sign(in->payload.data, in->payload.len, identity->key,
                          identity->x509, &out.data.data, &out.data.len);
    }
    if (!task->rc) task->rc = xn_msg_new(XN__KIND__SIGNED, &out, &task->out);
    free(out.data.data);
}

/* Lists of revoked keys are long, come from anybody, and count from accepted
 * corps alone. */
static bool is_list(const Xn__Verify *in)
{
    return in->form == XN__FORM__BLOB &&
           strcmp(context_of(in->context), REVOKED_CONTEXT) == 0;
}

static bool is_strangers(const Xn__Verify *in, const struct xn_anchors *anchors)
{
    uint64_t number;
    xn_id corp;

    return revoked_peek(in->data.data, in->data.len, &corp, &number) ||
           !xn_anchors_find(anchors, &corp);
}

static void verify(struct net_job *job)
{
    struct task *task = task_of(job);
    const Xn__Verify *in = XN_BODY(task->in, Xn__Verify);
    uint64_t at_us = in->at_us ? in->at_us : task->now_us;
    struct xn_cert signer = {.role = XN__ROLE__ANYBODY};
    const struct xn_cert *corp;
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller who;

    task->from_us = 0;
    task->until_us = UINT64_MAX;
    if (is_list(in) && is_strangers(in, task->crypto->identity->anchors)) {
        task->rc = XN_EIDENT;
    } else if (in->form == XN__FORM__BLOB) {
        task->rc =
            blob_verify(in->data.data, in->data.len, context_of(in->context),
                        &signer.id, &out.payload.data, &out.payload.len);
        corp = xn_anchors_find(task->crypto->identity->anchors, &signer.id);
        if (corp) {
            signer = *corp;
            task->until_us = corp->not_after_us + SKEW_US;
        }
    } else {
        task->rc = envelope_verify(
            in->data.data, in->data.len, task->crypto->identity->anchors, at_us,
            &signer, &out.payload.data, &out.payload.len);
        task->from_us = signer.not_before_us - SKEW_US;
        task->until_us = signer.not_after_us + SKEW_US;
    }
    if (!task->rc) {
        net_caller(&signer, "", &who);
        out.signer = &who;
        task->rc = xn_msg_new(XN__KIND__VERIFIED, &out, &task->out);
    }
    task->keep = task->rc == 0 && !is_list(in); /* each is asked about once */
    free(out.payload.data);
}

static int issue_one(const Xn__Issue *in, const struct net_identity *identity,
                     uint64_t now_us, struct xn_msg **msg_out)
{
    struct xn_cert_order order = {0};
    struct xn_cert cert;
    Xn__Issued out = XN__ISSUED__INIT;
    Xn__Caller who;
    uint8_t salt[SALT];
    X509 *x509 = NULL;
    int rc;

    if (identity->cert.role != XN__ROLE__CORP) return XN_EPERM;
    if (RAND_bytes(salt, sizeof salt) != 1) return XN_EIO;
    order.csr = in->csr.data;
    order.csr_len = in->csr.len;
    order.role = in->role;
    order.label = context_of(in->label);
    order.salt = in->role == XN__ROLE__NODE ? salt : NULL;
    order.not_before_us = now_us;
    order.not_after_us = in->not_after_us;
    rc = xn_cert_issue(&order, identity->key, identity->x509, &x509);
    if (!rc) rc = xn_cert_check(x509, identity->anchors, now_us, &cert);
    if (!rc) {
        rc = xn_cert_to_der(x509, &out.certificate.data, &out.certificate.len);
    }
    if (!rc) rc = xn_cert_to_der(identity->x509, &out.corp.data, &out.corp.len);
    if (!rc) {
        net_caller(&cert, "", &who);
        out.who = &who;
        rc = xn_msg_new(XN__KIND__ISSUED, &out, msg_out);
    }
    free(out.certificate.data);
    free(out.corp.data);
    X509_free(x509);
    return rc;
}

static void issue(struct net_job *job)
{
    struct task *task = task_of(job);

    task->rc = issue_one(XN_BODY(task->in, Xn__Issue), task->crypto->identity,
                         task->now_us, &task->out);
}

/* ---- in the loop ------------------------------------------------------- */

static void task_done(struct net_job *job)
{
    struct task *task = task_of(job);
    struct net_crypto *crypto = task->crypto;

    crypto->pending--;
    if (task->keep) {
        net_cache_put(crypto->cache, &task->key, task->out, task->from_us,
                      task->until_us);
    }
    net_loop_done(crypto->loop, task->ticket, task->rc, task->out);
    xn_msg_free(task->in);
    free(task);
}

static struct task *give(struct net_crypto *crypto, uint64_t ticket,
                         struct xn_msg *msg, void (*work)(struct net_job *job))
{
    struct task *task = calloc(1, sizeof *task);

    if (!task) {
        net_loop_done(crypto->loop, ticket, XN_ENOMEM, NULL);
        return NULL;
    }
    task->job.work = work;
    task->job.done = task_done;
    task->crypto = crypto;
    task->ticket = ticket;
    task->now_us = net_wall_us();
    task->in = xn_msg_ref(msg);
    task->rc = XN_ECANCELLED; /* until it has been worked on */
    crypto->pending++;
    return task;
}

/* What makes two VERIFYs the same question but for their time. */
static void question(const Xn__Verify *in, xn_id *key_out)
{
    const char *context = context_of(in->context);
    uint8_t lead[1 + XN_ID_SIZE];
    xn_id hash;

    xn_id_hash(context, strlen(context), &hash);
    lead[0] = (uint8_t)in->form;
    memcpy(lead + 1, hash.b, XN_ID_SIZE);
    xn_id_hash2(lead, sizeof lead, in->data.data, in->data.len, key_out);
}

static void ask_verify(struct net_crypto *crypto, uint64_t ticket,
                       struct xn_msg *msg)
{
    const Xn__Verify *in = XN_BODY(msg, Xn__Verify);
    struct xn_msg *known;
    struct task *task;
    xn_id key;

    question(in, &key);
    known = net_cache_get(crypto->cache, &key,
                          in->at_us ? in->at_us : net_wall_us());
    if (known) {
        net_loop_done(crypto->loop, ticket, 0, xn_msg_ref(known));
        return;
    }
    task = give(crypto, ticket, msg, verify);
    if (!task) return;
    task->key = key;
    net_pool_run(crypto->pool, &task->job);
}

static void draw(struct net_crypto *crypto, uint64_t ticket,
                 const Xn__Random *in)
{
    uint8_t bytes[RANDOM_MAX];
    Xn__Bytes out = XN__BYTES__INIT;

    if (in->size > sizeof bytes) {
        net_loop_done(crypto->loop, ticket, XN_ETOOBIG, NULL);
    } else if (RAND_bytes(bytes, (int)in->size) != 1) {
        net_loop_done(crypto->loop, ticket, XN_EIO, NULL);
    } else {
        out.data.data = bytes;
        out.data.len = in->size;
        net_loop_done_body(crypto->loop, ticket, XN__KIND__BYTES, &out);
    }
}

void net_crypto_act(struct net_crypto *crypto, const struct xn_action *action)
{
    struct task *task = NULL;

    if (action->kind == XN_ACT_VERIFY) {
        ask_verify(crypto, action->ticket, action->msg);
        return;
    }
    if (action->kind == XN_ACT_RANDOM) {
        draw(crypto, action->ticket, XN_BODY(action->msg, Xn__Random));
        return;
    }
    task = give(crypto, action->ticket, action->msg,
                action->kind == XN_ACT_SIGN ? sign : issue);
    if (task) net_pool_run(crypto->pool, &task->job);
}

bool net_crypto_idle(const struct net_crypto *crypto)
{
    return crypto->pending == 0;
}

int net_crypto_new(struct net_loop *loop, struct net_pool *pool,
                   const struct net_identity *identity,
                   struct net_crypto **crypto_out)
{
    struct net_crypto *crypto = calloc(1, sizeof *crypto);
    int rc;

    if (!crypto) return XN_ENOMEM;
    crypto->loop = loop;
    crypto->pool = pool;
    crypto->identity = identity;
    rc = net_cache_new(CACHE_ENTRIES, CACHE_BYTES, &crypto->cache);
    if (rc) {
        free(crypto);
        return rc;
    }
    *crypto_out = crypto;
    return 0;
}

void net_crypto_free(struct net_crypto *crypto)
{
    if (!crypto) return;
    net_cache_free(crypto->cache);
    free(crypto);
}
