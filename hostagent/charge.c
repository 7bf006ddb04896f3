/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Claims, one after the other (the paper, II-B.1(5)).
 *
 *   meter -> (activity.h) -> SIGN -> TXN: the claim -> CALL charge
 *         -> VERIFY the receipt
 *
 * A claim is in the record before it is sent, and is sent again with the same
 * bytes until the corp has answered, whatever happens in between.  So the corp
 * and this server never differ by more than that one claim.  Its receipt goes
 * into the record with whatever is saved next: who restarts before sends the
 * claim once more, and gets the same receipt. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/activity.h"
#include "hostagent/manager.h"
#include "hostagent/metrics.h"
#include "hostagent/session.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define REFUSALS_MAX 8 /* of one claim that time may heal */
/* Of one claim, for what is no matter of the claim's: after some minutes nothing
 * runs on unpaid, after an hour nobody asks any more. */
#define DENIALS_RUN 16
#define DENIALS_MAX 80

/* ---- what is to be claimed ---- */

/* A claim up to refused_till came too late: half as far, then a quarter, at
 * last what was claimed before. */
static uint64_t cut_till(const struct host_session *s, uint64_t till_us)
{
    uint64_t from_us = s->claims.till_us, to_us = s->refused_till_us;

    if (!s->cuts) return till_us;
    if (from_us < s->sale.terms.since_us) from_us = s->sale.terms.since_us;
    if (s->cuts >= SESSION_CUTS_MAX || to_us < from_us) return from_us;
    to_us = from_us + (to_us - from_us) / 2;
    return till_us < to_us ? till_us : to_us;
}

/* usage: as metered, is cut. */
static bool next_claim(const struct host_session *s, struct price_usage *usage,
                       uint64_t metered_us, struct money *claim_out)
{
    bool last =
        s->state == XN__SESSION_STATE__SESSION_ENDING || session_closes(s);
    uint64_t till_us = cut_till(s, metered_us);
    char activity[XN_VALUE_MAX + 1];

    if (till_us < s->claims.till_us) till_us = s->claims.till_us;
    claim_cut(&s->sale.terms, &s->claims, till_us, usage);
    s->host->market.manager->activity(s, activity);
    return claim_next(&s->sale.terms, &s->claims, usage, till_us,
                      last ? MONEY_FINAL : MONEY_RUNNING, activity,
                      claim_out) == 0;
}

/* What was claimed under the orders before is the past. */
struct price_usage session_usage(const struct host_session *s,
                                 const struct price_usage *metered)
{
    struct price_usage usage = *metered;

#define LESS(field) usage.field.v -= s->base.field.v
    LESS(hours);
    LESS(cpu_s);
    LESS(memory_mb_h);
    LESS(net_gb);
    LESS(disk_gb_h);
#undef LESS
    return usage;
}

/* The last claim of an order stays where it was divided from the next. */
bool session_next_claim(const struct host_session *s, struct money *claim_out)
{
    const struct host_extension *x = s->next_order;
    struct price_usage usage =
        session_usage(s, x && x->divided ? &x->base : &s->metered);

    return next_claim(s, &usage, s->metered_us, claim_out);
}

const char *session_spends_all(const struct host_session *s,
                               const struct price_usage *usage,
                               uint64_t till_us)
{
    struct price_usage cut = session_usage(s, usage);
    struct money next;

    if (!next_claim(s, &cut, till_us, &next)) return NULL;
    if (next.claim.amount >= s->sale.terms.amount)
        return "the order was spent before its task began";
    if (next.claim.amount >= claim_ceiling(&s->sale.terms, till_us))
        return "the order allows no more in this hour, before its task began";
    return NULL;
}

static bool used_nothing(const struct host_session *s)
{
    return s->claims.sequence == 0 &&
           memcmp(&s->metered, &s->base, sizeof s->base) == 0;
}

/* A session that never began does not pay for being set up. */
bool session_settled(const struct host_session *s)
{
    return s->claims.final || s->cuts > SESSION_CUTS_MAX ||
           (used_nothing(s) && s->sale.terms.prices.setup.v != 0);
}

static void drop_claim(struct host_session *s)
{
    host_bytes_clear(&s->claim);
    host_bytes_clear(&s->document);
}

static void trouble(struct host_session *s, int level, const char *text)
{
    char name[XN_NAME_MAX];

    if (strcmp(s->trouble, text) == 0) return;
    snprintf(s->trouble, sizeof s->trouble, "%s", text);
    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, level, "session %s: claim %" PRIu64 ": %s", name,
               s->claims.sequence + 1, text);
}

static void again_later(struct host_session *s, const struct xn_now *now)
{
    session_pause_longer(s, now, session_claim);
}

/* ---- refusals ---- */

/* Stopped or ended before what it claims: what was used until then is not
 * known here, so less is claimed until the corp takes it. */
static void too_late(struct host_session *s, const struct xn_now *now,
                     const struct host_word *word)
{
    bool stopped = word->reason == REASON_CLAIM_STOPPED;

    s->refused_till_us = s->claimed.till_us;
    s->cuts++;
    drop_claim(s);
    if (s->next_order && stopped) s->next_order->forgone = true;
    if (s->state == XN__SESSION_STATE__SESSION_ENDING ||
        (session_closes(s) && !stopped)) {
        session_go(s, now);
    } else {
        session_end(s, now, 0,
                    stopped ? "stopped by the client at the XenoCorp"
                            : "the order has ended");
    }
}

/* By the corp's clock less time has gone by than by ours: it passes when the
 * corp's clock gets there. */
static void too_soon(struct host_session *s, const struct xn_now *now,
                     const struct host_word *word)
{
    if (++s->refusals < REFUSALS_MAX) {
        again_later(s, now);
        return;
    }
    s->refusals = 0;
    s->refused_till_us = s->claimed.till_us;
    s->cuts++;
    drop_claim(s);
    if (s->cuts > SESSION_CUTS_MAX) {
        session_end(s, now, word->rc, word->because);
    }
    if (!s->step) session_go(s, now);
}

/* Its books and ours differ: no claim will be taken any more. */
static void books_differ(struct host_session *s, const struct xn_now *now,
                         const struct host_word *word)
{
    char name[XN_NAME_MAX];

    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, XN_LOG_ERROR,
               "session %s: claim %" PRIu64 " is given up, and what was used "
               "since the one before stays unpaid: %s",
               name, s->claims.sequence + 1, word->because);
    s->cuts = SESSION_CUTS_MAX + 1;
    drop_claim(s);
    if (s->state == XN__SESSION_STATE__SESSION_ENDING) {
        s->rc = word->rc;
        snprintf(s->reason, sizeof s->reason, "%s", word->because);
        session_go(s, now);
    } else {
        session_end(s, now, word->rc, word->because);
    }
}

/* Whoever runs the XenoCorp or this server may mend it.  A XenoCorp whose books
 * are broken does not know what it has taken: it is asked until it does. */
static void denied(struct host_session *s, const struct xn_now *now,
                   const struct host_word *word, session_next *again)
{
    bool ending = s->state == XN__SESSION_STATE__SESSION_ENDING;

    if (ending && word->broken) {
        session_pause_longer(s, now, again);
        return;
    }
    s->denials++;
    if (ending && s->denials >= DENIALS_MAX) {
        books_differ(s, now, word);
    } else if (!ending && s->denials >= DENIALS_RUN) {
        session_end(s, now, word->rc, word->because);
    } else {
        session_pause_longer(s, now, again);
    }
}

static void sign_anew(struct host_session *s, const struct xn_now *now);

static void refused(struct host_session *s, const struct xn_now *now,
                    const struct host_word *word)
{
    trouble(s, word->outage ? XN_LOG_WARN : XN_LOG_ERROR, word->because);
    if (word->outage) {
        again_later(s, now);
        return;
    }
    switch (word->reason) {
    case REASON_CLAIM_STOPPED:
    case REASON_CLAIM_ENDED: too_late(s, now, word); break;
    case REASON_FUTURE:
    case REASON_CLAIM_DATE:
    case REASON_CLAIM_RATE:
    case REASON_CLAIM_HOURLY: too_soon(s, now, word); break;
    case REASON_CERTIFICATE:
    case REASON_SIGNER:
    case REASON_STRANGER: denied(s, now, word, sign_anew); break;
    case REASON_FINE:          /* not about this claim */
    case REASON_CLAIM_SESSION: /* it has forgotten what it accepted */
    case REASON_NOMEM: denied(s, now, word, session_claim); break;
    default: books_differ(s, now, word);
    }
}

/* ---- the receipt ---- */

static void warn(struct host_session *s)
{
    static const unsigned steps[] = {5, 20, 50};
    int64_t left = s->sale.terms.amount - s->claims.amount;
    char name[XN_NAME_MAX], text[MONEY_TEXT_MAX];

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if ((xn_i128)left * 100 >= (xn_i128)s->sale.terms.amount * steps[i]) {
            continue;
        }
        if (s->warned == steps[i]) return;
        s->warned = steps[i];
        xn_id_name(&s->id, NULL, name);
        xn_out_log(&s->host->out, XN_LOG_INFO,
                   "session %s: less than %u %% of the order left: %s", name,
                   steps[i], money_text(left, s->sale.terms.currency, text));
        return;
    }
}

static void advance(struct host_session *s, const struct xn_now *now,
                    const struct claim_state *after)
{
    host_count_charge(s->host, s->sale.terms.currency,
                      after->amount - s->claims.amount);
    s->claims = *after;
    host_bytes_clear(&s->receipt);
    s->receipt = s->candidate;
    s->candidate = (struct host_bytes){NULL, 0};
    drop_claim(s);
    activity_taken(s);
    s->cuts = 0;
    s->refused_till_us = 0;
    s->rounds = s->refusals = s->denials = 0;
    s->trouble[0] = 0;
    warn(s);
    session_go(s, now);
}

static void on_verified(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct claim_state after;
    struct money_refusal why;
    struct money doc;

    s->step = 0;
    claim_taken(&s->claimed, &after);
    if (host_verified(MONEY_RECEIPT, now, rc, msg, &doc, &why) ||
        claim_receipted(&s->sale.terms, &s->claimed.head.hash, &s->claims,
                        &after, &doc.receipt, &why)) {
        trouble(s, XN_LOG_ERROR, why.text);
        again_later(s, now);
        return;
    }
    advance(s, now, &after);
}

static void on_charged(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    Xn__Charged *charged = NULL;
    struct host_word word;

    s->step = 0;
    host_corp_word(s->host, rc, msg, &word);
    if (!word.body) {
        refused(s, now, &word);
        return;
    }
    charged =
        xn_unpack(&xn__charged__descriptor, word.body->data, word.body->len);
    if (!charged || !charged->receipt.len ||
        charged->receipt.len > SESSION_PAPER_MAX) {
        trouble(s, XN_LOG_ERROR, "the answer holds no receipt");
        again_later(s, now);
    } else {
        session_set_bytes(s, &s->candidate, charged->receipt.data,
                          charged->receipt.len);
        s->step = host_verify(s->host, now, charged->receipt, on_verified, s);
    }
    if (charged) xn__charged__free_unpacked(charged, NULL);
}

/* ---- the claim ---- */

static void send(struct host_session *s, const struct xn_now *now)
{
    Xn__Charge body = XN__CHARGE__INIT;
    uint8_t *bytes = NULL;
    size_t len;

    body.claim = (ProtobufCBinaryData){s->claim.len, s->claim.data};
    if (xn_pack(&body, &bytes, &len)) {
        s->host->out.rc = XN_ENOMEM;
        return;
    }
    session_call(s, now, "/v1/charge", bytes, len, on_charged);
    free(bytes);
}

static void on_signed(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    const Xn__Signed *body;

    s->step = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__SIGNED)) rc = XN_EPROTO;
    if (rc) {
        trouble(s, XN_LOG_ERROR, xn_strerror(rc));
        if (!s->claim.len) host_bytes_clear(&s->document);
        session_pause_longer(s, now, session_go);
        return;
    }
    body = XN_BODY(msg, Xn__Signed);
    s->claimed = s->made.claim;
    session_set_bytes(s, &s->claim, body->data.data, body->data.len);
    activity_signed(s, now);
    session_save(s, now, send);
}

/* The same document, so the same claim, under the certificate of now. */
static void sign_anew(struct host_session *s, const struct xn_now *now)
{
    s->made.type = MONEY_CLAIM;
    s->made.claim = s->claimed;
    session_sign(s, now, s->document.data, s->document.len, on_signed);
}

static void make(struct host_session *s, const struct xn_now *now)
{
    struct xn_buf text;
    int rc = XN_EINVAL;

    xn_buf_init(&text, MONEY_BYTES_MAX);
    session_divide(s);
    if (session_next_claim(s, &s->made)) rc = activity_bind(s, now, &s->made);
    if (!rc) rc = money_write(&s->made, &text);
    if (rc) {
        trouble(s, XN_LOG_ERROR, "what was used cannot be claimed");
        s->cuts = SESSION_CUTS_MAX + 1;
        if (s->state == XN__SESSION_STATE__SESSION_ENDING)
            session_go(s, now);
        else
            session_end(s, now, rc, "what was used cannot be claimed");
    } else {
        session_set_bytes(s, &s->document, text.data, text.len);
        session_sign(s, now, text.data, text.len, on_signed);
    }
    xn_buf_clear(&text);
}

void session_claim(struct host_session *s, const struct xn_now *now)
{
    if (s->claim.len)
        send(s, now);
    else
        activity_gather(s, now, make);
}
