/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "sim/world.h"

static const char spki_head[] = "modelled key, no P-256 point:";
static const char envelope_context[] = "modelled envelope";

enum { ROLE_AT = 32, NUMBER_AT = 33 };

static void make_spki(Xn__Role role, uint32_t number, uint8_t out[SIM_SPKI])
{
    int i;

    memset(out, 0, SIM_SPKI);
    memcpy(out, spki_head, sizeof spki_head - 1);
    out[ROLE_AT] = (uint8_t)role;
    for (i = 0; i < 4; i++)
        out[NUMBER_AT + i] = (uint8_t)(number >> (8 * i));
}

static bool spki_read(const ProtobufCBinaryData *spki, Xn__Role *role_out,
                      uint32_t *number_out)
{
    uint8_t again[SIM_SPKI];
    uint32_t number = 0;
    int i;

    if (spki->len != SIM_SPKI) return false;
    for (i = 0; i < 4; i++) {
        number |= (uint32_t)spki->data[NUMBER_AT + i] << (8 * i);
    }
    *role_out = (Xn__Role)spki->data[ROLE_AT];
    *number_out = number;
    make_spki(*role_out, number, again);
    return !memcmp(again, spki->data, SIM_SPKI);
}

uint32_t sim_spki_number(const ProtobufCBinaryData *spki)
{
    Xn__Role role;
    uint32_t number;

    return spki_read(spki, &role, &number) ? number : UINT32_MAX;
}

void sim_key_id(Xn__Role role, uint32_t number, xn_id *id_out)
{
    uint8_t spki[SIM_SPKI];

    make_spki(role, number, spki);
    xn_id_hash(spki, sizeof spki, id_out);
}

void sim_position(uint64_t seed, uint32_t number, xn_id *position_out)
{
    uint8_t salt[32] = {0};
    xn_id id;
    int i;

    for (i = 0; i < 8; i++)
        salt[i] = (uint8_t)(seed >> (8 * i));
    sim_key_id(XN__ROLE__NODE, number, &id);
    xn_id_hash2(id.b, sizeof id.b, salt, sizeof salt, position_out);
}

void sim_caller(uint64_t seed, Xn__Role role, uint32_t number,
                uint64_t not_after_us, struct sim_caller *out)
{
    static const char *const names[] = {"none",   "node", "server",
                                        "client", "corp", "anybody"};

    memset(out, 0, sizeof *out);
    xn__caller__init(&out->caller);
    sim_key_id(role, number, &out->id);
    sim_key_id(XN__ROLE__CORP, SIM_CORP_NUMBER, &out->corp);
    snprintf(out->label, sizeof out->label, "%s-%u",
             (unsigned)role < 6 ? names[role] : "?", number);
    out->caller.id = xn_id_bytes(&out->id);
    out->caller.role = role;
    out->caller.corp = xn_id_bytes(&out->corp);
    out->caller.label = out->label;
    out->caller.not_after_us = not_after_us;
    if (role == XN__ROLE__NODE) {
        sim_position(seed, number, &out->position);
        out->caller.position = xn_id_bytes(&out->position);
        sim_address(number, out->address);
        out->caller.address = out->address;
    }
}

/* ---- containers ---- */

static int tag_of(const ProtobufCBinaryData *spki, const char *context,
                  const ProtobufCBinaryData *payload, xn_id *tag_out)
{
    struct xn_buf buf = {0};
    int rc;

    xn_buf_str(&buf, context);
    xn_buf_char(&buf, '\0');
    xn_buf_add(&buf, spki->data, spki->len);
    xn_buf_add(&buf, payload->data, payload->len);
    rc = xn_buf_rc(&buf);
    if (!rc) xn_id_hash(buf.data, buf.len, tag_out);
    xn_buf_clear(&buf);
    return rc;
}

static const char *context_of(Xn__Form form, const char *context)
{
    return form == XN__FORM__ENVELOPE ? envelope_context : context;
}

int sim_seal(Xn__Role role, uint32_t number, Xn__Form form, const char *context,
             const uint8_t *payload, size_t len, uint8_t **bytes_out,
             size_t *len_out)
{
    Xn__SignedBlob blob = XN__SIGNED_BLOB__INIT;
    uint8_t spki[SIM_SPKI];
    xn_id tag;
    int rc;

    make_spki(role, number, spki);
    blob.payload.data = (uint8_t *)(uintptr_t)payload;
    blob.payload.len = len;
    blob.spki.data = spki;
    blob.spki.len = sizeof spki;
    rc = tag_of(&blob.spki, context_of(form, context), &blob.payload, &tag);
    if (rc) return rc;
    blob.signature = xn_id_bytes(&tag);
    return xn_pack(&blob, bytes_out, len_out);
}

int sim_sign(Xn__Role role, uint32_t number, const Xn__Sign *sign,
             struct xn_msg **signed_out)
{
    Xn__Signed body = XN__SIGNED__INIT;
    int rc;

    rc = sim_seal(role, number, sign->form, sign->context, sign->payload.data,
                  sign->payload.len, &body.data.data, &body.data.len);
    if (rc) return rc;
    rc = xn_msg_new(XN__KIND__SIGNED, &body, signed_out);
    free(body.data.data);
    return rc;
}

int sim_verify(uint64_t seed, uint64_t not_after_us, const Xn__Verify *verify,
               struct xn_msg **verified_out)
{
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, verify->data.len, verify->data.data);
    Xn__Verified body = XN__VERIFIED__INIT;
    struct sim_caller who;
    Xn__Role role;
    uint32_t number;
    xn_id tag;
    int rc;

    if (!blob || !spki_read(&blob->spki, &role, &number)) {
        rc = XN_EINVAL;
        goto out;
    }
    rc = tag_of(&blob->spki, context_of(verify->form, verify->context),
                &blob->payload, &tag);
    if (rc) goto out;
    if (blob->signature.len != sizeof tag.b ||
        memcmp(blob->signature.data, tag.b, sizeof tag.b) != 0) {
        rc = XN_ESIGNATURE;
        goto out;
    }
    sim_caller(seed, role, number, not_after_us, &who);
    body.signer = &who.caller;
    body.payload = blob->payload;
    rc = xn_msg_new(XN__KIND__VERIFIED, &body, verified_out);
out:
    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return rc;
}

int sim_issue(uint64_t seed, const Xn__Issue *issue, struct xn_msg **issued_out)
{
    Xn__Issued body = XN__ISSUED__INIT;
    struct sim_caller who;
    uint8_t corp[SIM_SPKI];
    Xn__Role role;
    uint32_t number;

    if (!spki_read(&issue->csr, &role, &number) || role != issue->role) {
        return XN_EINVAL;
    }
    sim_caller(seed, role, number, issue->not_after_us, &who);
    make_spki(XN__ROLE__CORP, SIM_CORP_NUMBER, corp);
    body.certificate = issue->csr;
    body.who = &who.caller;
    body.corp.data = corp;
    body.corp.len = sizeof corp;
    return xn_msg_new(XN__KIND__ISSUED, &body, issued_out);
}
