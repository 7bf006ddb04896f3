/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every byte that a document of money comes with: whatever values the
 * certificate in its envelope holds, each in turn, and bytes wherever they are.
 * Refused as untrue (exit 9), with a reason; what is right is taken in the
 * end. */
#include <stdio.h>

#include "tests/unit/altered_kit.h"

struct tlv {
    size_t at, head, len; /* in the envelope */
};

static struct tlv tlv_at(const uint8_t *der, size_t at)
{
    struct tlv v = {.at = at, .head = 2, .len = der[at + 1]};

    if (v.len == 0x81) {
        v.head = 3;
        v.len = der[at + 2];
    } else if (v.len == 0x82) {
        v.head = 4;
        v.len = (size_t)der[at + 2] << 8 | der[at + 3];
    }
    return v;
}

struct cert_walk {
    struct stage *t;
    enum piece piece;
    uint8_t *data; /* a copy of the envelope */
    size_t len;
    unsigned values;
};

static void show_altered(struct cert_walk *w, size_t at, uint8_t bit)
{
    char because[300], what[60];
    int rc;

    w->data[at] ^= bit;
    rc = stage_show_bytes(w->t, w->piece, w->data, w->len, because);
    w->data[at] ^= bit;
    snprintf(what, sizeof what, "byte %zu", at);
    if (xn_exit_code(rc) != XN_EXIT_INTEGRITY || !because[0]) {
        fail_msg("certificate, %s: exit %d, %s", what, xn_exit_code(rc),
                 because);
    }
}

/* Tag and length, first and last byte, of each value; what holds others (also
 * within an extension) is gone through. */
static void walk(struct cert_walk *w, size_t at, size_t end)
{
    while (at < end) {
        struct tlv v = tlv_at(w->data, at);
        size_t value = at + v.head;
        bool is_constructed = w->data[at] & 0x20;

        show_altered(w, at, 1);
        show_altered(w, at + 1, 1);
        if (is_constructed) {
            walk(w, value, value + v.len);
        } else if (v.len) {
            w->values++;
            show_altered(w, value, 1);
            show_altered(w, value + v.len / 2, 4);
            show_altered(w, value + v.len - 1, 1);
        }
        at = value + v.len;
    }
}

static size_t cert_in(const struct shop_doc *doc, X509 *x509, size_t *len_out)
{
    uint8_t *der, *at;

    assert_int_equal(xn_cert_to_der(x509, &der, len_out), 0);
    at = memmem(doc->data, doc->len, der, *len_out);
    assert_non_null(at);
    free(der);
    return (size_t)(at - doc->data);
}

static void every_field_of_the_certificate(void **state)
{
    struct stage *t = *state;

    for (unsigned piece = 0; piece < PIECES; piece++) {
        struct shop_doc *doc = stage_doc(t, piece);
        struct cert_walk w = {.t = t, .piece = piece, .len = doc->len};
        size_t len,
            at = cert_in(doc, stage_signer(t, doc->doc.type)->x509, &len);

        w.data = malloc(doc->len);
        memcpy(w.data, doc->data, doc->len);
        walk(&w, at, at + len);
        /* Version, serial, algorithm, issuer (2), times (2), subject (2), key
         * (3), extensions (8), algorithm, signature. */
        assert_true(w.values >= 20);
        assert_memory_equal(w.data, doc->data, doc->len);
        free(w.data);
    }
    stage_settled(t);
}

/* So that it looks expired: it is altered all the same. */
static void certificate_made_old(void **state)
{
    struct stage *t = *state;

    for (unsigned piece = 0; piece < PIECES; piece++) {
        struct shop_doc *doc = stage_doc(t, piece);
        X509 *x509 = stage_signer(t, doc->doc.type)->x509;
        const ASN1_TIME *end = X509_get0_notAfter(x509);
        const uint8_t *text = ASN1_STRING_get0_data(end);
        uint8_t *data = malloc(doc->len), *at;
        char because[300];
        int rc;

        memcpy(data, doc->data, doc->len);
        at = memmem(data, doc->len, text, (size_t)ASN1_STRING_length(end));
        assert_non_null(at);
        memcpy(at, "200101", 6);
        rc = stage_show_bytes(t, piece, data, doc->len, because);
        assert_int_equal(xn_exit_code(rc), XN_EXIT_INTEGRITY);
        free(data);
    }
    stage_settled(t);
}

/* Wherever it is: text, certificate, signature. */
static void flipped_bytes(void **state)
{
    struct stage *t = *state;

    for (unsigned piece = 0; piece < PIECES; piece++) {
        struct shop_doc *doc = stage_doc(t, piece);

        for (size_t at = 0; at < doc->len; at += 7) {
            char because[300], where[40];
            int rc;

            doc->data[at] ^= 0x20;
            rc = stage_show(t, piece, because);
            doc->data[at] ^= 0x20;
            snprintf(where, sizeof where, "byte %zu", at);
            must_be_refused(rc, because, "flipped", money_name(doc->doc.type),
                            where, OTHER);
        }
    }
    stage_settled(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(every_field_of_the_certificate),
        STAGE_TEST(certificate_made_old),
        STAGE_TEST(flipped_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
