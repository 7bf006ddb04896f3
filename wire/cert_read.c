/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A certificate's bytes, read in the one form that PROTOCOL gives.  Not by
 * d2i_X509: with OpenSSL 3 that costs more than the check of a signature, most
 * of it on looking for a decoder of the key.  tests/unit/cert.c holds it against
 * what libcrypto makes and reads. */
#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "wire/cert_form.h"

/* ecdsa-with-SHA256, without parameters (RFC 5758). */
static const uint8_t alg_ecdsa[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t version_3[] = {DER_CONTEXT_0, 3, DER_INTEGER, 1, 2};
static const uint8_t oid_common_name[] = {DER_OID, 3, 0x55, 0x04, 0x03};

enum { SERIAL_MAX = 20, YEAR_2050 = 50 };

/* ---- names and dates ---- */

/* A name is a common name and nothing else. */
static bool read_label(struct der name, char label_out[XN_LABEL_MAX + 1])
{
    struct der in, set, pair, text;

    if (!der_take(&name, DER_SEQUENCE, &in) || !der_take(&in, DER_SET, &set) ||
        in.len || !der_take(&set, DER_SEQUENCE, &pair) || set.len ||
        !DER_BYTES(&pair, oid_common_name) ||
        !der_take(&pair, DER_UTF8, &text) || pair.len ||
        !xn_label_valid((const char *)text.at, text.len)) {
        return false;
    }
    memcpy(label_out, text.at, text.len);
    label_out[text.len] = 0;
    return true;
}

static bool take_two(struct der *from, int *out)
{
    const uint8_t *at = from->at;

    if (from->len < 2 || at[0] < '0' || at[0] > '9' || at[1] < '0' ||
        at[1] > '9') {
        return false;
    }
    *out = 10 * (at[0] - '0') + at[1] - '0';
    from->at += 2;
    from->len -= 2;
    return true;
}

/* Years before 2050 in two digits, later ones in four; UTC, to the second
 * (RFC 5280, 4.1.2.5). */
static bool take_time(struct der *from, uint64_t *us_out)
{
    bool is_short = der_is(from, DER_UTC_TIME);
    int century = 20, year, month;
    struct tm tm = {0}, same;
    struct der text;
    time_t s;

    if (!der_take(from, is_short ? DER_UTC_TIME : DER_TIME, &text) ||
        (!is_short && !take_two(&text, &century)) || !take_two(&text, &year) ||
        !take_two(&text, &month) || !take_two(&text, &tm.tm_mday) ||
        !take_two(&text, &tm.tm_hour) || !take_two(&text, &tm.tm_min) ||
        !take_two(&text, &tm.tm_sec) || text.len != 1 || text.at[0] != 'Z') {
        return false;
    }
    if (is_short && year >= YEAR_2050) century = 19;
    if (!is_short && 100 * century + year < 2000 + YEAR_2050) return false;
    tm.tm_year = 100 * century + year - 1900;
    tm.tm_mon = month - 1;
    same = tm;
    s = timegm(&same);
    if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
        same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min ||
        same.tm_sec != tm.tm_sec) {
        return false; /* no such day or hour */
    }
    if (s < 0 || (uint64_t)s > CERT_TIME_US_MAX / 1000000) return false;
    *us_out = (uint64_t)s * 1000000;
    return true;
}

/* ---- extensions ---- */

struct extensions {
    struct der constraints, usage, ours; /* values; `at` NULL: there is none */
};

static bool note(struct der *place, struct der value)
{
    if (place->at) return false; /* twice */
    *place = value;
    return true;
}

static bool take_extension(struct der *from, struct extensions *all)
{
    static const uint8_t yes[] = {DER_BOOLEAN, 1, 0xff};
    static const uint8_t constraints[] = {0x55, 0x1d, 0x13};
    static const uint8_t usage[] = {0x55, 0x1d, 0x0f};
    static const uint8_t ours[] = CERT_OID_DER;
    struct der one, oid, value;
    bool is_critical;

    if (!der_take(from, DER_SEQUENCE, &one) || !der_take(&one, DER_OID, &oid)) {
        return false;
    }
    is_critical = DER_BYTES(&one, yes);
    if (!der_take(&one, DER_OCTETS, &value) || one.len) return false;
#define IS(name) der_eq(oid, (struct der){name, sizeof name})
    if (IS(ours)) return note(&all->ours, value);
    if (IS(constraints)) return note(&all->constraints, value);
    if (IS(usage)) return note(&all->usage, value);
#undef IS
    return !is_critical;
}

/* CA, and below a CA how many others: only we make CAs, and look no further. */
static bool read_constraints(struct der value, bool *is_ca_out)
{
    static const uint8_t yes[] = {DER_BOOLEAN, 1, 0xff};
    struct der in, depth;

    if (!der_take(&value, DER_SEQUENCE, &in) || value.len) return false;
    *is_ca_out = DER_BYTES(&in, yes);
    if (!*is_ca_out || !in.len) return in.len == 0;
    return der_take(&in, DER_INTEGER, &depth) && in.len == 0 &&
           depth.len == 1 && depth.at[0] < 0x80;
}

/* A corp may sign certificates, nobody else may. */
static bool may_sign(const struct extensions *all, Xn__Role role)
{
    enum { DIGITAL_SIGNATURE = 0x80, KEY_CERT_SIGN = 0x04 };
    struct der value = all->usage, bits;
    bool is_corp = role == XN__ROLE__CORP, is_ca;

    if (!all->constraints.at || !all->usage.at ||
        !read_constraints(all->constraints, &is_ca) || is_ca != is_corp ||
        !der_take(&value, DER_BITS, &bits) || value.len || bits.len < 2 ||
        bits.len > 3 || bits.at[0] > 7 ||
        (bits.at[bits.len - 1] & ((1U << bits.at[0]) - 1))) { /* unused: 0 */
        return false;
    }
    return (bits.at[1] & DIGITAL_SIGNATURE) &&
           !!(bits.at[1] & KEY_CERT_SIGN) == is_corp;
}

/* Role, and for nodes the position that follows from the salt. */
static bool read_info(struct der value, struct xn_cert *cert)
{
    Xn__CertInfo *info;
    struct der packed;
    bool ok;

    if (!value.at || !der_take(&value, DER_OCTETS, &packed) || value.len) {
        return false;
    }
    info = xn__cert_info__unpack(NULL, packed.len, packed.at);
    ok = info && info->role >= XN__ROLE__NODE &&
         info->role <= XN__ROLE__ANYBODY &&
         info->salt.len == (info->role == XN__ROLE__NODE ? XN_ID_SIZE : 0);
    if (ok) {
        cert->role = info->role;
        if (info->salt.len) {
            xn_id_hash2(cert->id.b, XN_ID_SIZE, info->salt.data, XN_ID_SIZE,
                        &cert->position);
        }
    }
    if (info) xn__cert_info__free_unpacked(info, NULL);
    return ok;
}

static bool read_extensions(struct der *from, struct xn_cert *cert)
{
    struct extensions all = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct der wrapped, list;

    if (!der_take(from, DER_CONTEXT_3, &wrapped) || from->len ||
        !der_take(&wrapped, DER_SEQUENCE, &list) || wrapped.len) {
        return false;
    }
    while (list.len) {
        if (!take_extension(&list, &all)) return false;
    }
    return read_info(all.ours, cert) && may_sign(&all, cert->role);
}

/* ---- the whole ---- */

static bool is_number(struct der serial)
{
    const uint8_t *at = serial.at;

    if (serial.len == 0 || serial.len > SERIAL_MAX) return false;
    if (serial.len == 1) return true;
    return !(at[0] == 0 && at[1] < 0x80) && !(at[0] == 0xff && at[1] >= 0x80);
}

static bool read_tbs(struct cert_form *form)
{
    struct xn_cert *facts = &form->facts;
    struct der whole = form->tbs, tbs, again, serial, dates, spki;
    char issuer[XN_LABEL_MAX + 1];

    if (!der_take(&whole, DER_SEQUENCE, &tbs) || !DER_BYTES(&tbs, version_3)) {
        return false;
    }
    again = tbs;
    if (!der_take_whole(&tbs, DER_INTEGER, &form->serial) ||
        !der_take(&again, DER_INTEGER, &serial) || !is_number(serial) ||
        !DER_BYTES(&tbs, alg_ecdsa) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &form->issuer) ||
        !read_label(form->issuer, issuer) ||
        !der_take(&tbs, DER_SEQUENCE, &dates) ||
        !take_time(&dates, &facts->not_before_us) ||
        !take_time(&dates, &facts->not_after_us) || dates.len ||
        !der_take_whole(&tbs, DER_SEQUENCE, &form->subject) ||
        !read_label(form->subject, facts->label) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &spki) ||
        !xn_spki_valid(spki.at, spki.len)) {
        return false;
    }
    form->spki = spki.at;
    xn_id_hash(spki.at, spki.len, &facts->id);
    return read_extensions(&tbs, facts);
}

int cert_read(const uint8_t *der, size_t len, struct cert_form *form_out)
{
    struct der outer = {der, len}, all, bits;
    struct cert_form form;

    memset(&form, 0, sizeof form);
    if (len > XN_CERT_BYTES_MAX || !der_take(&outer, DER_SEQUENCE, &all) ||
        outer.len || !der_take_whole(&all, DER_SEQUENCE, &form.tbs) ||
        !DER_BYTES(&all, alg_ecdsa) || !der_take(&all, DER_BITS, &bits) ||
        all.len || bits.len < 1 || bits.at[0] != 0 || !read_tbs(&form)) {
        return XN_EINVAL;
    }
    form.all = (struct der){der, len};
    form.signature = (struct der){bits.at + 1, bits.len - 1};
    *form_out = form;
    return 0;
}

int cert_signed_by(const struct cert_form *form, const uint8_t *spki)
{
    xn_id hash;

    xn_id_hash(form->tbs.at, form->tbs.len, &hash);
    return xn_spki_verify(spki, XN_SPKI_SIZE, &hash, form->signature.at,
                          form->signature.len);
}
