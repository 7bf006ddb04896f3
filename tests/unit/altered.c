/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every field of every document of money altered in turn, and of the
 * certificate that it comes with: refused as untrue (exit 9) or beyond a limit
 * (5), with its reason.  The fields are those of the tables that read and write
 * the documents, and of the certificate whatever its bytes hold: none can be
 * forgotten.
 *
 * A field is changed, left out or put in; the document is shown under the old
 * signature, signed again by each who may not, and by him who may where that
 * contradicts what others hold.  Who shows it is honest.  Nothing of it changes
 * the books, and what is right is taken in the end. */
#include "tests/unit/corp_money_kit.h"

#include <stdio.h>

#include "wire/envelope.h"
#include "wire/flat.h"

enum piece { ORDER, QUOTE, NARROWING, CLAIM, STOP, PIECES };
enum change { OTHER, OUT, IN, CHANGES };

struct stage {
    struct shop s;
    struct deal d;               /* all of it right, not accepted yet */
    struct deal e;               /* accepted, and claimed once */
    struct shop_doc claim, stop; /* what would come next of e */
    struct kit_party beta, beta_client, beta_server, self_made;
};

static struct shop_doc *doc_of(struct stage *t, enum piece piece)
{
    switch (piece) {
    case ORDER: return &t->d.order;
    case QUOTE: return &t->d.quote;
    case NARROWING: return &t->d.narrowing;
    case CLAIM: return &t->claim;
    default: return &t->stop;
    }
}

static const struct kit_party *signer_of(const struct stage *t,
                                         enum money_type type)
{
    switch (type) {
    case MONEY_QUOTE:
    case MONEY_CLAIM: return &t->s.server[0].party;
    case MONEY_NARROWING:
    case MONEY_STOP: return &t->s.client.party;
    default: return &t->s.corp;
    }
}

/* ---- what is right ---- */

static void order_full(struct shop *s, struct deal *d, uint8_t word)
{
    uint8_t request[32];
    Xn__IssueOrder want;
    Xn__IssuedOrder *issued;
    struct shop_doc *order = &d->order;
    uint64_t ask;

    memset(request, word, sizeof request);
    want = shop_order(request, 10 * GBP, NOW_US + 100 * HOUR_US);
    want.most_per_hour = 5 * GBP;
    want.from_us = NOW_US - HOUR_US;
    want.env_type = (char *)(uintptr_t) "Linux";
    want.server = xn_id_bytes(&d->by->id);
    ask = crank_ask(&s->c, "POST", "/v1/orders", &want, &s->client.caller);
    shop_serve(s);
    issued = crank_answered(&s->c, ask, &xn__issued_order__descriptor);
    assert_int_equal(xn_id_from_bytes(&issued->serial, &d->serial), 0);
    order->len = issued->order.len;
    order->data = malloc(order->len);
    memcpy(order->data, issued->order.data, order->len);
    assert_int_equal(money_open(MONEY_ORDER, order->data, order->len,
                                s->anchors, s->c.now.wall_us, &order->doc,
                                NULL),
                     0);
    xn__issued_order__free_unpacked(issued, NULL);
}

static void quote_full(struct stage *t, struct deal *d)
{
    struct money_quote *q = &d->quote.doc.quote;

    d->quote.doc.type = MONEY_QUOTE;
    q->head.issued_us = t->s.c.now.wall_us;
    q->until_us = t->s.c.now.wall_us + HOUR_US;
    q->version = 7;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates =
        (struct money_rates){xn_dec_int(1000), xn_dec_int(512), xn_dec_int(20),
                             xn_dec_int(8), xn_dec_int(1)};
    q->prices.setup.v = XN_DEC_ONE / 100;
    q->prices.per_hour.v = XN_DEC_ONE / 10;
    q->prices.cpu_second.v = XN_DEC_ONE / 10000;
    q->prices.memory_mb_hour.v = XN_DEC_ONE / 100000;
    q->prices.net_gb.v = XN_DEC_ONE / 10;
    q->prices.disk_gb_hour.v = XN_DEC_ONE / 1000;
    shop_seal(&d->quote, &d->by->party);
}

/* Every limit given, each as wide as the order's. */
static void narrow_full(struct stage *t, struct deal *d)
{
    struct money_limits *limits = &d->narrowing.doc.narrowing.limits;

    *limits = d->order.doc.order.limits;
    deal_narrow(&t->s, d);
}

static void deal_full(struct stage *t, struct deal *d, uint8_t word)
{
    memset(d, 0, sizeof *d);
    d->by = &t->s.server[0];
    memset(&d->session, word ^ 0x80, sizeof d->session);
    order_full(&t->s, d, word);
    quote_full(t, d);
    narrow_full(t, d);
}

/* Two hours behind the acceptance, every kind of usage. */
static void claim_full(struct stage *t)
{
    struct price_usage usage = {.hours = xn_dec_int(2),
                                .cpu_s = xn_dec_int(7200),
                                .memory_mb_h = xn_dec_int(500),
                                .net_gb = xn_dec_int(2),
                                .disk_gb_h = xn_dec_int(20)};

    t->claim.data = NULL;
    assert_int_equal(claim_next(&t->e.terms, &t->e.state, &usage,
                                t->e.terms.since_us + 2 * HOUR_US,
                                MONEY_RUNNING, "make check", &t->claim.doc),
                     0);
    shop_seal(&t->claim, &t->e.by->party);
    t->stop.doc.type = MONEY_STOP;
    t->stop.doc.head.issued_us = t->s.c.now.wall_us;
    t->stop.doc.stop.narrowing = t->e.narrowing.doc.head.hash;
    shop_seal(&t->stop, &t->s.client.party);
}

static int set_up(void **state)
{
    struct stage *t = calloc(1, sizeof *t);

    assert_non_null(t);
    shop_open(&t->s, NULL);
    t->beta = kit_corp("beta.example");
    t->beta_client = kit_member(&t->beta, XN__ROLE__CLIENT, "ann");
    t->beta_server = kit_member(&t->beta, XN__ROLE__SERVER, "otter0");
    assert_int_equal(xn_key_generate(&t->self_made.key), 0);
    assert_int_equal(xn_cert_self(t->self_made.key, XN__ROLE__ANYBODY, "ann",
                                  NOW_US - DAY_US, NOW_US + DAY_US,
                                  &t->self_made.x509),
                     0);
    shop_pay_in(&t->s, 1, 50 * GBP);
    deal_full(t, &t->e, 2);
    deal_validate(&t->s, &t->e);
    shop_pass(&t->s, HOUR_US);
    assert_true(deal_charge(&t->s, &t->e, HOUR_US, MONEY_RUNNING) > 0);
    shop_pass(&t->s, HOUR_US);
    deal_full(t, &t->d, 1);
    claim_full(t);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *t = *state;

    deal_clear(&t->d);
    deal_clear(&t->e);
    shop_doc_clear(&t->claim);
    shop_doc_clear(&t->stop);
    kit_clear(&t->beta);
    kit_clear(&t->beta_client);
    kit_clear(&t->beta_server);
    kit_clear(&t->self_made);
    shop_close(&t->s);
    free(t);
    return 0;
}

/* ---- showing ---- */

static uint64_t ask_stop(struct stage *t)
{
    Xn__StopOrder body = XN__STOP_ORDER__INIT;

    body.serial = xn_id_bytes(&t->e.serial);
    body.stop = shop_bytes(&t->stop);
    return crank_ask(&t->s.c, "POST", "/v1/stop", &body, &t->s.client.caller);
}

/* To the XenoCorp, as the piece of its deal.  The refusal's rc. */
static int show(struct stage *t, enum piece piece, char because[300])
{
    struct shop *s = &t->s;
    uint64_t ask = piece == CLAIM  ? ask_charge(s, &t->claim, t->e.by)
                   : piece == STOP ? ask_stop(t)
                                   : deal_ask_validate(s, &t->d);

    shop_serve(s);
    return shop_refused(s, ask, because);
}

/* The same with these bytes in its place. */
static int show_bytes(struct stage *t, enum piece piece, uint8_t *data,
                      size_t len, char because[300])
{
    struct shop_doc *doc = doc_of(t, piece), keep = *doc;
    int rc;

    doc->data = data;
    doc->len = len;
    rc = show(t, piece, because);
    *doc = keep;
    return rc;
}

/* Untrue or beyond a limit, and why. */
static void must_be_refused(int rc, const char *because, const char *kind,
                            const char *name, const char *field,
                            enum change change)
{
    static const char *const changes[] = {"other", "out", "in"};
    int code = xn_exit_code(rc);

    if ((code == XN_EXIT_INTEGRITY || code == XN_EXIT_MONEY) && because[0]) {
        return;
    }
    fail_msg("%s: %s, %s %s: exit %d, %s", kind, name, field, changes[change],
             code, because);
}

/* ---- altering ---- */

static bool is_given(const struct money *doc, const struct flat_field *field)
{
    static const size_t sizes[] = {
        [FLAT_ID] = XN_ID_SIZE, [FLAT_UTC] = 8,
        [FLAT_MONEY] = 8,       [FLAT_DECIMAL] = sizeof(xn_dec),
        [FLAT_COUNT] = 8,       [FLAT_CURRENCY] = 1,
        [FLAT_TEXT] = 1,        [FLAT_WORD] = 0,
    };
    static const uint8_t none[XN_ID_SIZE];

    return field->need == FLAT_MUST ||
           memcmp((const char *)doc + field->at, none, sizes[field->type]) != 0;
}

/* Numbers and times grow: a limit is widened.  `From` falls. */
static void give_other(struct money *doc, const struct flat_field *field)
{
    uint8_t *p = (uint8_t *)doc + field->at;
    xn_dec d;
    int64_t n;
    unsigned w;

    switch (field->type) {
    case FLAT_ID: p[7] ^= 1; break;
    case FLAT_CURRENCY: memcpy(p, "USD", 4); break;
    case FLAT_TEXT: memcpy(p, "NetBSD", 7); break;
    case FLAT_DECIMAL:
        memcpy(&d, p, sizeof d);
        d.v += XN_DEC_ONE;
        memcpy(p, &d, sizeof d);
        break;
    case FLAT_WORD:
        memcpy(&w, p, sizeof w);
        w = !w;
        memcpy(p, &w, sizeof w);
        break;
    default: /* MONEY, COUNT, UTC */
        memcpy(&n, p, sizeof n);
        if (strcmp(field->name, "From") == 0)
            n = n ? n - (int64_t)HOUR_US : (int64_t)NOW_US;
        else if (field->type == FLAT_UTC)
            n += n ? (int64_t)HOUR_US * 200 : (int64_t)NOW_US;
        else
            n += field->type == FLAT_COUNT ? 1 : 20 * GBP;
        memcpy(p, &n, sizeof n);
    }
}

/* The line of that element goes. */
static void cut_line(struct xn_buf *text, const char *name)
{
    char open[80];
    uint8_t *at, *end;

    snprintf(open, sizeof open, "  <%s>", name);
    at = memmem(text->data, text->len, open, strlen(open));
    assert_non_null(at);
    end = memchr(at, '\n', (size_t)(text->data + text->len - at));
    assert_non_null(end);
    end++;
    memmove(at, end, (size_t)(text->data + text->len - end));
    text->len -= (size_t)(end - at);
}

/* The document's bytes with that change; false: it makes no sense here.  What
 * no writer says is written anyway where that is possible. */
static bool alter(const struct money *doc, const struct flat_field *field,
                  enum change change, struct xn_buf *text)
{
    struct money altered = *doc;
    bool given = is_given(doc, field);

    xn_buf_init(text, MONEY_BYTES_MAX);
    if (given != (change != IN)) return false;
    if (change != OUT) give_other(&altered, field);
    assert_int_equal(flat_write(money_form(doc->type), &altered, text), 0);
    if (change == OUT) cut_line(text, field->name);
    return true;
}

struct sealed {
    uint8_t *data;
    size_t len;
};

static struct sealed seal(const struct xn_buf *text, const struct kit_party *by)
{
    struct sealed out;

    assert_int_equal(envelope_sign(text->data, text->len, by->key, by->x509,
                                   &out.data, &out.len),
                     0);
    return out;
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
    struct sealed out = seal(text, by);
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
    struct sealed out = seal(text, by);
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
    struct shop_doc *doc = doc_of(t, piece);
    const struct kit_party *by = signer_of(t, doc->doc.type);
    struct sealed forged[2] = {old_digest(text, &doc->doc, by),
                               old_value(text, doc, by)};
    char because[300];

    for (size_t i = 0; i < 2; i++) {
        int rc = show_bytes(t, piece, forged[i].data, forged[i].len, because);

        if (rc != XN_ESIGNATURE || xn_exit_code(rc) != XN_EXIT_INTEGRITY ||
            !strstr(because, "signature")) {
            fail_msg("%s %s %d: %s", money_name(doc->doc.type), field, change,
                     because);
        }
        free(forged[i].data);
    }
}

static void settled(struct stage *t)
{
    uint64_t ask;
    struct xn_msg *msg = NULL;

    /* All that was altered is forgotten: what is right is taken. */
    deal_validate(&t->s, &t->d);
    ask = ask_charge(&t->s, &t->claim, t->e.by);
    shop_serve(&t->s);
    assert_int_equal(crank_answer(&t->s.c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    msg = NULL;
    ask = ask_stop(t);
    shop_serve(&t->s);
    assert_int_equal(crank_answer(&t->s.c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    shop_audit(&t->s);
}

typedef void visit(struct stage *t, enum piece piece, const struct xn_buf *text,
                   const char *field, enum change change);

static void each_change(struct stage *t, visit *fn)
{
    for (unsigned piece = 0; piece < PIECES; piece++) {
        const struct money *doc = &doc_of(t, piece)->doc;
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

static void under_the_old_signature(void **state)
{
    struct stage *t = *state;

    each_change(t, one_under_old);
    settled(t);
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
    enum money_type type = doc_of(t, piece)->doc.type;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct sealed forged;
        char because[300], kind[40];
        int rc;

        if (others[i] == signer_of(t, type)) continue;
        forged = seal(text, others[i]);
        rc = show_bytes(t, piece, forged.data, forged.len, because);
        snprintf(kind, sizeof kind, "by other %zu", i);
        must_be_refused(rc, because, kind, money_name(type), field, change);
        free(forged.data);
    }
}

/* In his own name, otherwise as it was. */
static void in_own_name(struct stage *t, enum piece piece,
                        const struct kit_party *by)
{
    struct money doc = doc_of(t, piece)->doc;
    struct xn_buf text;
    struct sealed forged;
    char because[300];
    int rc;

    assert_int_equal(xn_key_id(by->key, &doc.head.by), 0);
    xn_buf_init(&text, MONEY_BYTES_MAX);
    assert_int_equal(money_write(&doc, &text), 0);
    forged = seal(&text, by);
    rc = show_bytes(t, piece, forged.data, forged.len, because);
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
    settled(t);
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
    enum money_type type = doc_of(t, piece)->doc.type;
    struct sealed forged;
    char because[300];
    int rc;

    if (is_free(piece, field, change)) return;
    forged = seal(text, signer_of(t, type));
    rc = show_bytes(t, piece, forged.data, forged.len, because);
    must_be_refused(rc, because, "by the right one", money_name(type), field,
                    change);
    /* The client goes along with an altered order or quote. */
    if (piece == ORDER) {
        struct shop_doc keep = t->d.narrowing;
        struct money_narrowing *n = &t->d.narrowing.doc.narrowing;

        t->d.narrowing.data = NULL;
        hash_of(text, &n->over);
        shop_seal(&t->d.narrowing, &t->s.client.party);
        rc = show_bytes(t, piece, forged.data, forged.len, because);
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
    settled(t);
}

/* That the list above hides nothing: the rules say yes to each of these. */
static void free_words_are_free(void **state)
{
    struct stage *t = *state;

    for (size_t i = 0; i < sizeof free_words / sizeof free_words[0]; i++) {
        const struct free_word *f = &free_words[i];
        const struct money *was = &doc_of(t, f->piece)->doc;
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
        struct sealed forged = seal(text, signers[i]);
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

/* ---- the certificate ---- */

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
    rc = show_bytes(w->t, w->piece, w->data, w->len, because);
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
        struct shop_doc *doc = doc_of(t, piece);
        struct cert_walk w = {.t = t, .piece = piece, .len = doc->len};
        size_t len, at = cert_in(doc, signer_of(t, doc->doc.type)->x509, &len);

        w.data = malloc(doc->len);
        memcpy(w.data, doc->data, doc->len);
        walk(&w, at, at + len);
        /* Version, serial, algorithm, issuer (2), times (2), subject (2), key
         * (3), extensions (8), algorithm, signature. */
        assert_true(w.values >= 20);
        assert_memory_equal(w.data, doc->data, doc->len);
        free(w.data);
    }
    settled(t);
}

/* So that it looks expired: it is altered all the same. */
static void certificate_made_old(void **state)
{
    struct stage *t = *state;

    for (unsigned piece = 0; piece < PIECES; piece++) {
        struct shop_doc *doc = doc_of(t, piece);
        X509 *x509 = signer_of(t, doc->doc.type)->x509;
        const ASN1_TIME *end = X509_get0_notAfter(x509);
        const uint8_t *text = ASN1_STRING_get0_data(end);
        uint8_t *data = malloc(doc->len), *at;
        char because[300];
        int rc;

        memcpy(data, doc->data, doc->len);
        at = memmem(data, doc->len, text, (size_t)ASN1_STRING_length(end));
        assert_non_null(at);
        memcpy(at, "200101", 6);
        rc = show_bytes(t, piece, data, doc->len, because);
        assert_int_equal(xn_exit_code(rc), XN_EXIT_INTEGRITY);
        free(data);
    }
    settled(t);
}

/* ---- narrowings that widen ---- */

static int show_two(struct stage *t, const struct shop_doc *first,
                    const struct sealed *second, char because[300])
{
    ProtobufCBinaryData list[2] = {shop_bytes(first),
                                   {second->len, second->data}};
    Xn__Validate validate = XN__VALIDATE__INIT;
    uint64_t ask;

    validate.order = shop_bytes(&t->d.order);
    validate.quote = shop_bytes(&t->d.quote);
    validate.narrowings = list;
    validate.n_narrowings = 2;
    validate.session = xn_id_bytes(&t->d.session);
    ask =
        crank_ask(&t->s.c, "POST", "/v1/validate", &validate, &t->d.by->caller);
    shop_serve(&t->s);
    return shop_refused(&t->s, ask, because);
}

/* `second` stands over `first`, and says more in that field. */
static void must_widen(struct stage *t, const struct shop_doc *first,
                       const struct xn_buf *second, const char *field)
{
    struct money_narrowing two[2] = {first->doc.narrowing};
    struct order_chain chain = {
        .order = &t->d.order.doc.order, .narrowings = two, .n = 2};
    bool is_currency = strcmp(field, "Currency") == 0;
    struct sealed sealed = seal(second, &t->s.client.party);
    struct money_refusal why = {.text = ""};
    struct money_limits out;
    struct money doc;
    char because[300];
    enum money_reason reason;

    /* As the client's tool and the server ask. */
    assert_int_equal(money_open(MONEY_NARROWING, sealed.data, sealed.len,
                                t->s.anchors, t->s.c.now.wall_us, &doc, &why),
                     0);
    two[0].head.corp = t->s.corp_id;
    two[1] = doc.narrowing;
    reason = order_effective(&chain, &out, &why);
    assert_int_equal(reason, is_currency ? REASON_CURRENCY : REASON_WIDENS);
    if (!is_currency) assert_non_null(strstr(why.text, field));
    /* As the XenoCorp does. */
    assert_int_equal(show_two(t, first, &sealed, because), XN_EMONEY);
    assert_string_equal(because, why.text);
    free(sealed.data);
}

/* Over one that repeats all of the order's limits: none of them moves. */
static void each_limit_widened(void **state)
{
    struct stage *t = *state;
    const struct flat_form *form = money_form(MONEY_NARROWING);
    struct money doc = t->d.narrowing.doc;
    struct shop_doc first = {.doc = doc};
    unsigned limits = 0;

    /* The first is open, so that another may stand over it. */
    memset(&first.doc.narrowing.limits.server, 0, sizeof(xn_id));
    shop_seal(&first, &t->s.client.party);
    doc.narrowing.over = first.doc.head.hash;
    for (size_t i = 0; i < form->n; i++) {
        struct xn_buf text;

        if (form->fields[i].at < offsetof(struct money, narrowing.limits)) {
            continue;
        }
        limits++;
        assert_true(alter(&doc, &form->fields[i], OTHER, &text));
        must_widen(t, &first, &text, form->fields[i].name);
        xn_buf_clear(&text);
    }
    assert_int_equal(limits, 8); /* every limit that there is */
    shop_doc_clear(&first);
    settled(t);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(under_the_old_signature), TEST(signed_by_others),
        TEST(signed_by_the_right_one), TEST(free_words_are_free),
        TEST(what_the_corp_signs),     TEST(every_field_of_the_certificate),
        TEST(certificate_made_old),    TEST(each_limit_widened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
