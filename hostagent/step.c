/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the steps of a session are made of: pauses, calls to the corp,
 * signatures made and verified. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define SIGN_US (20 * SECOND_US)
#define VERIFY_US (20 * SECOND_US)
#define CALL_US (10 * SECOND_US)
#define PAUSE_US (SECOND_US / 2)
#define PAUSE_US_MAX (60 * SECOND_US)

/* ---- pauses ---- */

static void on_pause_over(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;

    s->step = 0;
    s->next(s, now);
}

void session_pause_for(struct host_session *s, const struct xn_now *now,
                       uint64_t us, session_next *next)
{
    struct host *host = s->host;

    s->next = next;
    s->step = xn_ticket(host->tickets, now->mono_us + us, on_pause_over, host,
                        s, &host->out);
}

void session_pause_longer(struct host_session *s, const struct xn_now *now,
                          session_next *next)
{
    uint64_t us = PAUSE_US << (s->rounds < 7 ? s->rounds : 7);

    if (us > PAUSE_US_MAX) us = PAUSE_US_MAX;
    s->rounds++;
    session_pause_for(s, now, xn_rng_between(&s->host->rng, us / 2, us), next);
}

/* ---- signatures ---- */

void session_sign(struct host_session *s, const struct xn_now *now,
                  const uint8_t *text, size_t len, xn_ended *fn)
{
    struct host *host = s->host;
    Xn__Sign sign = XN__SIGN__INIT;

    sign.form = XN__FORM__ENVELOPE;
    sign.payload.data = (uint8_t *)(uintptr_t)text;
    sign.payload.len = len;
    s->step = xn_ticket(host->tickets, now->mono_us + SIGN_US, fn, host, s,
                        &host->out);
    if (!s->step) return;
    xn_out_emit(&host->out, XN_ACT_SIGN, s->step, XN_PEER_NONE, XN__KIND__SIGN,
                &sign);
}

uint64_t host_verify(struct host *host, const struct xn_now *now,
                     ProtobufCBinaryData envelope, xn_ended *fn, void *ctx)
{
    Xn__Verify verify = XN__VERIFY__INIT;
    uint64_t ticket = xn_ticket(host->tickets, now->mono_us + VERIFY_US, fn,
                                host, ctx, &host->out);

    verify.form = XN__FORM__ENVELOPE;
    verify.data = envelope;
    if (ticket) {
        xn_out_emit(&host->out, XN_ACT_VERIFY, ticket, XN_PEER_NONE,
                    XN__KIND__VERIFY, &verify);
    }
    return ticket;
}

enum money_reason host_verified(enum money_type type, const struct xn_now *now,
                                int rc, const struct xn_msg *msg,
                                struct money *out, struct money_refusal *why)
{
    if (!rc && (!msg || msg->kind != XN__KIND__VERIFIED)) rc = XN_EPROTO;
    memset(out, 0, sizeof *out);
    out->type = type;
    return money_verified(out, rc, rc ? NULL : XN_BODY(msg, Xn__Verified),
                          now->wall_us, why);
}

/* ---- the corp ---- */

void session_call(struct host_session *s, const struct xn_now *now,
                  const char *path, const uint8_t *body, size_t len,
                  xn_ended *fn)
{
    struct host *host = s->host;
    Xn__Call call = XN__CALL__INIT;
    char url[300];

    snprintf(url, sizeof url, "%s%s", host->config.corp_url, path);
    call.method = (char *)(uintptr_t) "POST";
    call.url = url;
    call.body.data = (uint8_t *)(uintptr_t)body;
    call.body.len = len;
    call.peer_id = xn_id_bytes(&host->config.corp);
    call.patience_ms = (uint32_t)(CALL_US / 1000);
    /* The driver ends it first, unless it is lost. */
    s->step = xn_ticket(host->tickets, now->mono_us + CALL_US + SECOND_US, fn,
                        host, s, &host->out);
    if (!s->step) return;
    xn_out_emit(&host->out, XN_ACT_CALL, s->step, XN_PEER_NONE, XN__KIND__CALL,
                &call);
}

/* What may be otherwise when it is asked again. */
static bool is_outage(int rc)
{
    switch (rc) {
    case XN_ENOMEM:
    case XN_EIO:
    case XN_ETIMEOUT:
    case XN_EUNREACH:
    case XN_EBUSY:
    case XN_ENOTYET:
    case XN_ECANCELLED:
    case XN_EPROTO:
    case XN_EUNKNOWN:
    case XN_ENOSPC: return true;
    default: return false;
    }
}

static void take_refusal(const Xn__Answer *answer, struct host_word *word)
{
    Xn__Refusal *refusal = xn_unpack(&xn__refusal__descriptor,
                                     answer->body.data, answer->body.len);

    word->rc = XN_EPROTO;
    snprintf(word->because, sizeof word->because, "HTTP status %d",
             (int)answer->status);
    if (refusal && refusal->rc < 0 && refusal->because[0]) {
        word->rc = refusal->rc;
        snprintf(word->because, sizeof word->because, "%s", refusal->because);
        reason_parse(refusal->reason, &word->reason);
        word->broken = word->rc == XN_EINTEGRITY && !refusal->reason[0];
    }
    word->outage = is_outage(word->rc);
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
}

static bool is_corp(const struct host *host, const Xn__Answer *answer)
{
    xn_id id;

    return answer->server && !xn_id_from_bytes(&answer->server->id, &id) &&
           xn_id_eq(&id, &host->config.corp);
}

void host_corp_word(const struct host *host, int rc, const struct xn_msg *msg,
                    struct host_word *word)
{
    const Xn__Answer *answer;

    memset(word, 0, sizeof *word);
    if (!rc && (!msg || msg->kind != XN__KIND__ANSWER)) rc = XN_EPROTO;
    answer = rc ? NULL : XN_BODY(msg, Xn__Answer);
    if (answer && !is_corp(host, answer)) {
        rc = XN_EIDENT;
        answer = NULL;
    }
    if (!answer) {
        word->rc = rc;
        word->outage = true;
        snprintf(word->because, sizeof word->because, "%s", xn_strerror(rc));
    } else if (answer->status == 200) {
        word->body = &answer->body;
    } else {
        take_refusal(answer, word);
    }
}
