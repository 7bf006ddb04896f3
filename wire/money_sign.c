/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may say what, and signed documents whole. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/envelope.h"
#include "wire/money.h"

static Xn__Role role_of(enum money_type type)
{
    switch (type) {
    case MONEY_ORDER:
    case MONEY_ACCEPTANCE:
    case MONEY_RECEIPT: return XN__ROLE__CORP;
    case MONEY_NARROWING:
    case MONEY_STOP: return XN__ROLE__CLIENT;
    case MONEY_QUOTE:
    case MONEY_CLAIM: break;
    }
    return XN__ROLE__SERVER;
}

enum money_reason money_vouch(struct money *doc, const Xn__Caller *signer,
                              uint64_t at_us, struct money_refusal *why)
{
    const char *name = money_name(doc->type);
    xn_id id, corp;

    doc->head.corp = (xn_id){{0}};
    if (signer->role != role_of(doc->type)) {
        return reason_refuse(why, REASON_SIGNER, "%s: role %d", name,
                             (int)signer->role);
    }
    if (xn_id_from_bytes(&signer->id, &id) != 0 ||
        xn_id_from_bytes(&signer->corp, &corp) != 0 || xn_id_is_zero(&corp) ||
        !xn_id_eq(&id, &doc->head.by)) {
        return reason_refuse(why, REASON_SIGNER, "%s: it names another", name);
    }
    if (doc->head.issued_us > MONEY_AHEAD_US_MAX &&
        doc->head.issued_us - MONEY_AHEAD_US_MAX > at_us) {
        return reason_refuse(why, REASON_FUTURE, "%s", name);
    }
    doc->head.corp = corp;
    return REASON_FINE;
}

static enum money_reason of_rc(int rc)
{
    switch (rc) {
    case 0: return REASON_FINE;
    case XN_ENOMEM: return REASON_NOMEM;
    case XN_EIDENT: return REASON_STRANGER;
    case XN_EEXPIRED: return REASON_CERTIFICATE;
    case XN_ESIGNATURE: return REASON_SIGNATURE;
    default: return REASON_BAD;
    }
}

enum money_reason money_verified(struct money *doc, int rc,
                                 const Xn__Verified *verified, uint64_t at_us,
                                 struct money_refusal *why)
{
    const char *name = money_name(doc->type);
    char text[REASON_TEXT_MAX - 60] = "";

    if (!rc && (!verified || !verified->signer)) rc = XN_EPROTO;
    if (rc)
        return reason_refuse(why, of_rc(rc), "%s: %s", name, xn_strerror(rc));
    rc = money_parse(doc->type, verified->payload.data, verified->payload.len,
                     doc, text, sizeof text);
    if (rc) return reason_refuse(why, of_rc(rc), "%s: %s", name, text);
    return money_vouch(doc, verified->signer, at_us, why);
}

static enum money_reason parse_and_vouch(struct money *doc, uint8_t *payload,
                                         size_t len, struct xn_cert *signer,
                                         uint64_t at_us,
                                         struct money_refusal *why)
{
    Xn__Verified verified = XN__VERIFIED__INIT;
    Xn__Caller caller = XN__CALLER__INIT;

    caller.id = xn_id_bytes(&signer->id);
    caller.corp = xn_id_bytes(&signer->corp);
    caller.role = signer->role;
    verified.signer = &caller;
    verified.payload.data = payload;
    verified.payload.len = len;
    return money_verified(doc, 0, &verified, at_us, why);
}

enum money_reason money_open(enum money_type type, const uint8_t *envelope,
                             size_t len, const struct xn_anchors *anchors,
                             uint64_t at_us, struct money *out,
                             struct money_refusal *why)
{
    struct money doc = {.type = type};
    enum money_reason reason;
    struct xn_cert signer;
    size_t payload_len;
    uint8_t *payload;
    int rc;

    rc = envelope_verify(envelope, len, anchors, at_us, &signer, &payload,
                         &payload_len);
    if (rc) {
        return reason_refuse(why, of_rc(rc), "%s: %s", money_name(type),
                             xn_strerror(rc));
    }
    reason = parse_and_vouch(&doc, payload, payload_len, &signer, at_us, why);
    free(payload);
    if (reason == REASON_FINE) *out = doc;
    return reason;
}

int money_seal(struct money *doc, EVP_PKEY *key, X509 *cert, uint8_t **out,
               size_t *out_len)
{
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, MONEY_BYTES_MAX);
    rc = xn_key_id(key, &doc->head.by);
    if (rc) goto out;
    rc = money_write(doc, &buf);
    if (rc) goto out;
    rc = envelope_sign(buf.data, buf.len, key, cert, out, out_len);
out:
    xn_buf_clear(&buf);
    return rc;
}
