/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "seam/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

void xn_out_init(struct xn_out *out)
{
    memset(out, 0, sizeof *out);
}

void xn_out_reset(struct xn_out *out)
{
    size_t i;

    for (i = 0; i < out->n; i++)
        xn_msg_free(out->act[i].msg);
    out->n = 0;
    out->rc = 0;
}

void xn_out_clear(struct xn_out *out)
{
    xn_out_reset(out);
    free(out->act);
    xn_out_init(out);
}

struct xn_outbox xn_out_box(const struct xn_out *out, uint64_t wake_us)
{
    struct xn_outbox box = {out->act, out->n, wake_us};

    return box;
}

void xn_out_add(struct xn_out *out, enum xn_act kind, uint64_t ticket,
                xn_peer peer, struct xn_msg *msg)
{
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 8;
        struct xn_action *act = realloc(out->act, cap * sizeof *act);

        if (!act) {
            out->rc = XN_ENOMEM;
            xn_msg_free(msg);
            return;
        }
        out->act = act;
        out->cap = cap;
    }
    out->act[out->n++] = (struct xn_action){kind, ticket, peer, msg};
}

void xn_out_emit(struct xn_out *out, enum xn_act kind, uint64_t ticket,
                 xn_peer peer, unsigned msg_kind, const void *body)
{
    struct xn_msg *msg = NULL;
    int rc = xn_msg_new(msg_kind, body, &msg);

    if (rc) {
        out->rc = rc;
        return;
    }
    xn_out_add(out, kind, ticket, peer, msg);
}

void xn_out_send(struct xn_out *out, xn_peer peer, unsigned msg_kind,
                 const void *body)
{
    xn_out_emit(out, XN_ACT_SEND, 0, peer, msg_kind, body);
}

void xn_out_hang(struct xn_out *out, xn_peer peer, int rc, const char *text)
{
    Xn__Reason reason = XN__REASON__INIT;

    reason.rc = rc;
    reason.text = (char *)(uintptr_t)text;
    xn_out_emit(out, XN_ACT_HANG, 0, peer, XN__KIND__REASON, &reason);
}

static void answer_with(struct xn_out *out, uint64_t ticket, int status,
                        const void *body, uint32_t retry_s)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    uint8_t *bytes = NULL;
    int rc = xn_pack(body, &bytes, &answer.body.len);

    if (rc) {
        out->rc = rc;
        return;
    }
    answer.status = status;
    answer.retry_s = retry_s;
    answer.content_type = (char *)(uintptr_t) "application/x-protobuf";
    answer.body.data = bytes;
    xn_out_emit(out, XN_ACT_ANSWER, ticket, XN_PEER_NONE, XN__KIND__ANSWER,
                &answer);
    free(bytes);
}

void xn_out_answer(struct xn_out *out, uint64_t ticket, int status,
                   const void *body)
{
    answer_with(out, ticket, status, body, 0);
}

/* The HTTP status that fits an error: enough for a proxy or a browser; our own
 * programs read rc. */
static int status_of(int rc)
{
    switch (rc) {
    case XN_ENOENT: return 404;
    case XN_EPERM: return 403;
    case XN_EIDENT: return 401;
    case XN_ETOOBIG: return 413;
    case XN_EBUSY: return 429;
    case XN_ETIMEOUT: return 504;
    case XN_EUNREACH: return 502;
    case XN_ENOTYET: return 503;
    case XN_ESTALE:
    case XN_ECONFLICT: return 409;
    case XN_EIO:
    case XN_ENOSPC:
    case XN_ENOMEM: return 500;
    default: return 400;
    }
}

static void refuse(struct xn_out *out, uint64_t ticket, int rc,
                   const char *what, const char *because, const char *try,
                   const char *reason, uint32_t retry_s)
{
    Xn__Refusal refusal = XN__REFUSAL__INIT;

    refusal.rc = rc;
    refusal.what = (char *)(uintptr_t)what;
    refusal.because = (char *)(uintptr_t)(because ? because : "");
    refusal.try_ = (char *)(uintptr_t)(try ? try : "");
    refusal.reason = (char *)(uintptr_t)reason;
    answer_with(out, ticket, status_of(rc), &refusal, retry_s);
}

void xn_out_refuse(struct xn_out *out, uint64_t ticket, int rc,
                   const char *what, const char *because, const char *try)
{
    refuse(out, ticket, rc, what, because, try, "", 0);
}

void xn_out_refuse_until(struct xn_out *out, uint64_t ticket, const char *what,
                         const char *because, uint64_t wait_us)
{
    uint32_t s = (uint32_t)((wait_us + 999999) / 1000000);
    char try[64];

    snprintf(try, sizeof try, "the same again in %u second%s", s,
             s == 1 ? "" : "s");
    refuse(out, ticket, XN_EBUSY, what, because, try, "", s);
}

void xn_out_refuse_why(struct xn_out *out, uint64_t ticket, const char *what,
                       const struct money_refusal *why)
{
    refuse(out, ticket, reason_rc(why->reason), what, why->text,
           reason_try(why->reason), reason_name(why->reason), 0);
}

void xn_out_log(struct xn_out *out, int level, const char *fmt, ...)
{
    Xn__Log log = XN__LOG__INIT;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log.level = (uint32_t)level;
    log.text = text;
    xn_out_emit(out, XN_ACT_LOG, 0, XN_PEER_NONE, XN__KIND__LOG, &log);
}
