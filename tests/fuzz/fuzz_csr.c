/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp takes from a stranger who registers: the body of
 * POST /v1/register, with its request for a certificate.
 *
 *     input = mode body                 body: a Register message
 *
 * mode 'r': as it comes.  's': what stands in `csr` is the part of a request
 * that is signed; a key of ours is put in its place and signs it, so that what
 * lies behind a good signature is reached.  'o': as 's', over another key's
 * connection.  'i': as 's', where an invitation is demanded. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/err.h"
#include "tests/fuzz/corp_world.h"
#include "wire/cert.h"
#include "wire/key.h"
#include "wire/store.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct asker {
    EVP_PKEY *key;
    xn_id id;
    uint8_t spki[XN_SPKI_SIZE];
};

struct reply {
    unsigned n;
    int status;
    xn_id id; /* in the certificate */
};

static const struct asker *asker(void)
{
    static struct asker kept;

    if (kept.key) return &kept;
    if (xn_key_generate(&kept.key) || xn_key_id(kept.key, &kept.id) ||
        xn_key_spki(kept.key, kept.spki)) {
        abort();
    }
    return &kept;
}

/* ---- a request around its inner part ---- */

/* Tag and length of a DER value of that many bytes; returns its own length. */
static size_t der_head(uint8_t *out, uint8_t tag, size_t len)
{
    out[0] = tag;
    if (len < 128) {
        out[1] = (uint8_t)len;
        return 2;
    }
    out[1] = 0x82;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    return 4;
}

/* Wherever a key stands, ours. */
static void put_key(uint8_t *inner, size_t len)
{
    const uint8_t *spki = asker()->spki;
    uint8_t *at;

    if (len < XN_SPKI_SIZE) return;
    at = memmem(inner, len, spki, 26); /* all of it but the point */
    if (at && (size_t)(inner + len - at) >= XN_SPKI_SIZE) {
        memcpy(at, spki, XN_SPKI_SIZE);
    }
}

static size_t sign_inner(const uint8_t *inner, size_t len, uint8_t sig[128])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t sig_len = 128;

    if (!ctx ||
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, asker()->key) != 1 ||
        EVP_DigestSign(ctx, sig, &sig_len, inner, len) != 1) {
        abort();
    }
    EVP_MD_CTX_free(ctx);
    return sig_len;
}

/* *csr becomes a signed request around what it was; the caller's (free). */
static void wrap(ProtobufCBinaryData *csr)
{
    static const uint8_t algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    uint8_t sig[128], *out = malloc(csr->len + 256), *p = out + 4;
    size_t sig_len;

    assert(out);
    put_key(csr->data, csr->len);
    sig_len = sign_inner(csr->data, csr->len, sig);
    if (csr->len) memcpy(p, csr->data, csr->len);
    p += csr->len;
    memcpy(p, algorithm, sizeof algorithm);
    p += sizeof algorithm;
    p += der_head(p, 0x03, sig_len + 1);
    *p++ = 0;
    memcpy(p, sig, sig_len);
    p += sig_len;
    /* The head has two bytes or four. */
    csr->len = (size_t)(p - out) - 4;
    if (csr->len < 128) {
        memmove(out + 2, out + 4, csr->len);
        csr->len += der_head(out, 0x30, csr->len);
    } else {
        csr->len += der_head(out, 0x30, csr->len);
    }
    free(csr->data);
    csr->data = out;
}

/* ---- asking ---- */

static void check_certificate(const ProtobufCBinaryData *der, xn_id *id_out)
{
    struct xn_cert cert;
    X509 *x509;
    int rc = xn_cert_from_der(der->data, der->len, &x509);

    assert(!rc);
    rc = xn_cert_check(x509, world_anchors(), WORLD_NOW_US, &cert);
    assert(!rc);
    assert(cert.role == XN__ROLE__NODE || cert.role == XN__ROLE__SERVER ||
           cert.role == XN__ROLE__CLIENT);
    assert(cert.label[0] && strlen(cert.label) <= 32);
    assert(xn_id_is_zero(&cert.position) == (cert.role != XN__ROLE__NODE));
    *id_out = cert.id;
    X509_free(x509);
}

static void on_answer(struct world *w, uint64_t ticket,
                      const Xn__Answer *answer)
{
    struct reply *reply = w->user;
    Xn__Registered *registered;
    Xn__Refusal *refusal;

    reply->n++;
    reply->status = answer->status;
    if (answer->status == 200) {
        registered =
            xn__registered__unpack(NULL, answer->body.len, answer->body.data);
        assert(registered);
        check_certificate(&registered->certificate, &reply->id);
        xn__registered__free_unpacked(registered, NULL);
        return;
    }
    refusal = xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
    assert(refusal && refusal->rc && refusal->what[0] && refusal->because[0]);
    xn__refusal__free_unpacked(refusal, NULL);
}

static void ask(struct world *w, const xn_id *caller_id, const uint8_t *body,
                size_t len)
{
    Xn__Ask question = XN__ASK__INIT;
    Xn__Caller caller = XN__CALLER__INIT;
    struct xn_msg *msg = NULL;
    struct reply *reply = w->user;

    caller.role = XN__ROLE__ANYBODY;
    caller.id = xn_id_bytes(caller_id);
    question.method = (char *)(uintptr_t) "POST";
    question.path = (char *)(uintptr_t) "/v1/register";
    question.caller = &caller;
    question.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body};
    if (xn_msg_new(XN__KIND__ASK, &question, &msg)) abort();
    reply->n = 0;
    world_event(w, XN_EV_ASK, 1, 0, msg);
    world_run(w);
    xn_msg_free(msg);
    assert(reply->n == 1);
    /* Nobody gets a certificate for a key that he has not shown. */
    assert(reply->status != 200 || xn_id_eq(&reply->id, caller_id));
}

/* Who is registered is in the books, once, as he said. */
static void check_books(const struct world *w, const Xn__Register *reg)
{
    assert(w->store.n == 1);
    for (size_t i = 0; i < w->store.n; i++) {
        const struct mem_record *r = &w->store.records[i];
        Xn__Member *member = xn__member__unpack(NULL, r->len, r->value);

        assert(member && member->role == reg->role);
        assert(strcmp(member->label, reg->label) == 0);
        assert(strcmp(member->payout, reg->payout) == 0);
        xn__member__free_unpacked(member, NULL);
    }
}

static void register_twice(const Xn__Register *reg, const uint8_t *body,
                           size_t len, const xn_id *caller, bool invited)
{
    struct corp_config config = world_config();
    struct reply reply = {.n = 0};
    struct world w = {.is_real = true, .answer = on_answer, .user = &reply};

    config.id = (xn_id){{0}}; /* no ledger: it plays no part */
    if (invited) corp_config_invite(&config, "sesame");
    w.now = (struct xn_now){1000000, WORLD_NOW_US};
    world_start(&w, &config);
    ask(&w, caller, body, len);
    if (reply.status == 200) {
        check_books(&w, reg);
        ask(&w, caller, body, len);
        assert(reply.status == 200);
        check_books(&w, reg);
    } else {
        assert(w.store.n == 0);
    }
    world_stop(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    xn_id caller = asker()->id, raw;
    Xn__Register *reg;
    uint8_t *body = NULL;
    size_t body_len;
    char mode = len ? (char)data[0] : 'r';

    if (len) data++, len--;
    reg = xn__register__unpack(NULL, len, data);
    if (reg && mode != 'r') {
        wrap(&reg->csr);
        if (xn_pack(reg, &body, &body_len)) abort();
        data = body;
        len = body_len;
    }
    /* A request that was signed elsewhere: over its own key's connection. */
    if (reg && mode == 'r' && !xn_csr_id(reg->csr.data, reg->csr.len, &raw)) {
        caller = raw;
    }
    if (mode == 'o') caller = world_id('o');
    register_twice(reg, data, len, &caller, mode == 'i');
    if (reg) xn__register__free_unpacked(reg, NULL);
    free(body);
    return 0;
}
