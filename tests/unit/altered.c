/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every field of every document of money altered in turn: refused as untrue
 * (exit 9) or beyond a limit (5), with its reason.  The fields are those of the
 * tables that read and write the documents: none can be forgotten.
 *
 * A field is changed, left out or put in; the document is shown under the old
 * signature, signed again by each who may not, and by him who may where that
 * contradicts what others hold.  Who shows it is honest.  Nothing of it changes
 * the books, and what is right is taken in the end. */
#include <stdio.h>

#include "tests/unit/altered_kit.h"

typedef void visit(struct stage *t, enum piece piece, const struct xn_buf *text,
                   const char *field, enum change change);

static void each_change(struct stage *t, visit *fn)
{
    for (unsigned piece = 0; piece < PIECES; piece++) {
        const struct money *doc = &stage_doc(t, piece)->doc;
        const struct flat_form *form = money_form(doc->type);

        for (size_t i = 0; i < form->n; i++) {
            unsigned made = 0;

            for (unsigned change = 0; change < CHANGES; change++) {
                struct xn_buf text;

                if (alter(doc, &form->fields[i], change, &text)) {
                    fn(t, piece, &text, form->fields[i].name, change);
                    made++;
                }
                xn_buf_clear(&text);
            }
            assert_true(made > 0); /* a field that nothing altered */
        }
    }
}

/* ---- under the old signature ---- */

static void hash_of(const struct xn_buf *text, xn_id *out)
{
    xn_id_hash(text->data, text->len, out);
}

/* As it was signed, but for the document: its digest is another. */
static struct sealed old_digest(const struct xn_buf *text,
                                const struct money *was,
                                const struct kit_party *by)
{
    struct sealed out = seal_text(text, by);
    uint8_t *at;
    xn_id hash;

    hash_of(text, &hash);
    at = memmem(out.data, out.len, hash.b, sizeof hash.b);
    assert_non_null(at);
    memcpy(at, was->head.hash.b, sizeof hash.b);
    return out;
}

/* The digest put right, the signature's value as it was; where that has another
 * length (it stands last, with its tag and length), one that is nobody's. */
static struct sealed old_value(const struct xn_buf *text,
                               const struct shop_doc *was,
                               const struct kit_party *by)
{
    struct sealed out = seal_text(text, by);
    uint8_t *end = out.data + out.len;
    const uint8_t *end_was = was->data + was->len;

    for (ptrdiff_t n = 60; n <= 72; n++) {
        if (end[-n - 2] == 4 && end[-n - 1] == n && end_was[-n - 2] == 4 &&
            end_was[-n - 1] == n) {
            memcpy(end - n, end_was - n, (size_t)n);
            return out;
        }
    }
    end[-5] ^= 1;
    return out;
}

static void one_under_old(struct stage *t, enum piece piece,
                          const struct xn_buf *text, const char *field,
                          enum change change)
{
    struct shop_doc *doc = stage_doc(t, piece);
    const struct kit_party *by = stage_signer(t, doc->doc.type);
    struct sealed forged[2] = {old_digest(text, &doc->doc, by),
                               old_value(text, doc, by)};
    char because[300];

    for (size_t i = 0; i < 2; i++) {
        int rc =
            stage_show_bytes(t, piece, forged[i].data, forged[i].len, because);

        if (rc != XN_ESIGNATURE || xn_exit_code(rc) != XN_EXIT_INTEGRITY ||
            !strstr(because, "signature")) {
            fail_msg("%s %s %d: %s", money_name(doc->doc.type), field, change,
                     because);
        }
        free(forged[i].data);
    }
}

static void under_the_old_signature(void **state)
{
    struct stage *t = *state;

    each_change(t, one_under_old);
    stage_settled(t);
}

/* ---- signed again by others ---- */

static void one_by_others(struct stage *t, enum piece piece,
                          const struct xn_buf *text, const char *field,
                          enum change change)
{
    const struct kit_party *others[] = {
        &t->s.corp,
        &t->s.client.party,
        &t->s.stranger.party,
        &t->beta_client,
        &t->s.server[0].party,
        &t->s.server[1].party,
        &t->beta_server,
        &t->beta,
        &t->self_made,
    };
    enum money_type type = stage_doc(t, piece)->doc.type;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct sealed forged;
        char because[300], kind[40];
        int rc;

        if (others[i] == stage_signer(t, type)) continue;
        forged = seal_text(text, others[i]);
        rc = stage_show_bytes(t, piece, forged.data, forged.len, because);
        snprintf(kind, sizeof kind, "by other %zu", i);
        must_be_refused(rc, because, kind, money_name(type), field, change);
        free(forged.data);
    }
}

/* In his own name, otherwise as it was. */
static void in_own_name(struct stage *t, enum piece piece,
                        const struct kit_party *by)
{
    struct money doc = stage_doc(t, piece)->doc;
    struct xn_buf text;
    struct sealed forged;
    char because[300];
    int rc;

    assert_int_equal(xn_key_id(by->key, &doc.head.by), 0);
    xn_buf_init(&text, MONEY_BYTES_MAX);
    assert_int_equal(money_write(&doc, &text), 0);
    forged = seal_text(&text, by);
    rc = stage_show_bytes(t, piece, forged.data, forged.len, because);
    must_be_refused(rc, because, "in own name", money_name(doc.type), "", 0);
    free(forged.data);
    xn_buf_clear(&text);
}

static void signed_by_others(void **state)
{
    struct stage *t = *state;
    const struct kit_party *others[] = {
        &t->s.stranger.party,
        &t->s.server[1].party,
        &t->beta_client,
        &t->beta_server,
        &t->beta,
        &t->self_made,
    };

    each_change(t, one_by_others);
    for (unsigned piece = 0; piece < PIECES; piece++) {
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            in_own_name(t, piece, others[i]);
    }
    stage_settled(t);
}

/* ---- signed again by who may ---- */

/* What its signer may say otherwise without contradicting anybody. */
static const struct free_word {
    enum piece piece;
    const char *field;
    enum change change;
} free_words[] = {
    /* Not narrowed further: the order's limits hold. */
    {NARROWING, "Amount", OUT},
    {NARROWING, "Until", OUT},
    {NARROWING, "MostPerHour", OUT},
    {NARROWING, "From", OUT},
    {NARROWING, "EnvType", OUT},
    /* When it was signed (ahead of the corp's clock: exit 8, as an honest one
     * with a wrong clock gets), whether it was the last, and for what. */
    {CLAIM, "Issued", OTHER},
    {CLAIM, "State", OTHER},
    {CLAIM, "Activity", OTHER},
    {CLAIM, "Activity", OUT},
    {STOP, "Issued", OTHER},
};

static bool is_free(enum piece piece, const char *field, enum change change)
{
    for (size_t i = 0; i < sizeof free_words / sizeof free_words[0]; i++) {
        const struct free_word *f = &free_words[i];

        if (f->piece == piece && f->change == change &&
            strcmp(f->field, field) == 0) {
            return true;
        }
    }
    return false;
}

static void one_by_right(struct stage *t, enum piece piece,
                         const struct xn_buf *text, const char *field,
                         enum change change)
{
    enum money_type type = stage_doc(t, piece)->doc.type;
    struct sealed forged;
    char because[300];
    int rc;

    if (is_free(piece, field, change)) return;
    forged = seal_text(text, stage_signer(t, type));
    rc = stage_show_bytes(t, piece, forged.data, forged.len, because);
    must_be_refused(rc, because, "by the right one", money_name(type), field,
                    change);
    /* The client goes along with an altered order or quote. */
    if (piece == ORDER) {
        struct shop_doc keep = t->d.narrowing;
        struct money_narrowing *n = &t->d.narrowing.doc.narrowing;

        t->d.narrowing.data = NULL;
        hash_of(text, &n->over);
        shop_seal(&t->d.narrowing, &t->s.client.party);
        rc = stage_show_bytes(t, piece, forged.data, forged.len, because);
        must_be_refused(rc, because, "with the client", money_name(type), field,
                        change);
        shop_doc_clear(&t->d.narrowing);
        t->d.narrowing = keep;
    }
    free(forged.data);
}

static void signed_by_the_right_one(void **state)
{
    struct stage *t = *state;

    each_change(t, one_by_right);
    stage_settled(t);
}

/* That the list above hides nothing: the rules say yes to each of these. */
static void free_words_are_free(void **state)
{
    struct stage *t = *state;

    for (size_t i = 0; i < sizeof free_words / sizeof free_words[0]; i++) {
        const struct free_word *f = &free_words[i];
        const struct money *was = &stage_doc(t, f->piece)->doc;
        const struct flat_form *form = money_form(was->type);
        struct claim_clock clock = {.now_us = t->s.c.now.wall_us};
        struct claim_state next;
        struct money_limits limits;
        struct order_chain chain = {.order = &t->d.order.doc.order, .n = 1};
        struct money_refusal why = {.reason = REASON_FINE};
        struct money doc;
        struct xn_buf text;

        for (size_t j = 0; j < form->n; j++) {
            if (strcmp(form->fields[j].name, f->field) != 0) continue;
            assert_true(alter(was, &form->fields[j], f->change, &text));
        }
        assert_int_equal(
            money_parse(was->type, text.data, text.len, &doc, NULL, 0), 0);
        doc.head.corp = t->s.corp_id;
        chain.narrowings = &doc.narrowing;
        if (f->piece == NARROWING)
            order_effective(&chain, &limits, &why);
        else if (f->piece == CLAIM)
            claim_check(&t->e.terms, &t->e.state, &doc.claim, &clock, &next,
                        &why);
        if (why.reason) fail_msg("%s: %s", f->field, why.text);
        xn_buf_clear(&text);
    }
}

/* ---- what the XenoCorp signs, as server and client check it ---- */

static enum money_reason opened(struct stage *t, enum money_type type,
                                const struct sealed *sealed, struct money *out,
                                struct money_refusal *why)
{
    return money_open(type, sealed->data, sealed->len, t->s.anchors,
                      t->s.c.now.wall_us, out, why);
}

/* The session is the server's own to compare, what was prepaid the corp's
 * word; and it may date a receipt as it likes. */
static bool is_corps_word(enum money_type type, const char *field)
{
    if (type == MONEY_RECEIPT) return strcmp(field, "Issued") == 0;
    return strcmp(field, "Session") == 0 || strcmp(field, "Prepaid") == 0;
}

static enum money_reason judged(struct stage *t, const struct money *doc,
                                struct money_refusal *why)
{
    struct order_chain chain = {.order = &t->e.order.doc.order,
                                .narrowings = &t->e.narrowing.doc.narrowing,
                                .n = 1};
    struct claim_state next;

    if (doc->type == MONEY_ACCEPTANCE) {
        return order_accepted(&chain, &t->e.quote.doc.quote, &doc->acceptance,
                              why);
    }
    claim_taken(&t->claim.doc.claim, &next);
    return claim_receipted(&t->e.terms, &t->claim.doc.head.hash, &t->e.state,
                           &next, &doc->receipt, why);
}

static void one_of_the_corps(struct stage *t, const struct money *was,
                             const struct xn_buf *text, const char *field,
                             enum change change)
{
    const struct kit_party *signers[] = {&t->s.corp, &t->s.client.party,
                                         &t->s.server[0].party,
                                         &t->s.server[1].party};

    for (size_t i = 0; i < sizeof signers / sizeof signers[0]; i++) {
        struct sealed forged = seal_text(text, signers[i]);
        struct money_refusal why = {.text = ""};
        struct money doc = {.type = was->type};
        enum money_reason reason = opened(t, was->type, &forged, &doc, &why);

        if (!reason) reason = judged(t, &doc, &why);
        free(forged.data);
        if (i == 0 && is_corps_word(was->type, field) && change != OUT) {
            continue;
        }
        if (i == 0 && change == OUT && strcmp(field, "Prepaid") == 0) continue;
        must_be_refused(reason_rc(reason), why.text, "by",
                        money_name(was->type), field, change);
    }
}

static void what_the_corp_signs(void **state)
{
    struct stage *t = *state;
    struct claim_state next;
    struct money docs[2] = {t->e.acceptance.doc};

    claim_taken(&t->claim.doc.claim, &next);
    claim_receipt(&t->e.terms, &t->claim.doc.head.hash, &t->e.state, &next,
                  t->s.c.now.wall_us, &docs[1]);
    for (size_t n = 0; n < 2; n++) {
        const struct flat_form *form = money_form(docs[n].type);

        for (size_t i = 0; i < form->n; i++) {
            for (unsigned change = 0; change < CHANGES; change++) {
                struct xn_buf text;

                if (alter(&docs[n], &form->fields[i], change, &text)) {
                    one_of_the_corps(t, &docs[n], &text, form->fields[i].name,
                                     change);
                }
                xn_buf_clear(&text);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(under_the_old_signature), STAGE_TEST(signed_by_others),
        STAGE_TEST(signed_by_the_right_one), STAGE_TEST(free_words_are_free),
        STAGE_TEST(what_the_corp_signs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
