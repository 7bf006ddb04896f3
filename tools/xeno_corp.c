/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Us at the XenoCorps, and asking them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"
#include "tools/xeno.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define URL_MAX 512

void xeno_cert_name(const struct xeno *xeno, const xn_id *corp,
                    char out[XN_ID_HEX + 16])
{
    struct net_identity identity;
    char hex[XN_ID_HEX];
    int rc = net_identity_load(xeno->state, &identity);
    bool other = !rc && !xn_id_eq(&identity.cert.corp, corp);

    xn_id_hex(corp, hex);
    snprintf(out, XN_ID_HEX + 16, other ? "cert-%s.pem" : "cert.pem", hex);
    if (!rc) net_identity_clear(&identity);
}

static int load(const struct xeno *xeno, const struct net_corp *corp,
                struct xeno_member *member_out)
{
    struct xeno_member member = {.corp = *corp};
    char name[XN_ID_HEX + 16];
    int rc;

    xeno_cert_name(xeno, &corp->id, name);
    rc = net_identity_load_cert(xeno->state, name, &member.identity);
    if (!rc && !xn_id_eq(&member.identity.cert.corp, &corp->id)) {
        net_identity_clear(&member.identity);
        rc = XN_EIDENT;
    }
    if (!rc) *member_out = member;
    return rc;
}

int xeno_members(const struct xeno *xeno,
                 struct xeno_member members_out[XENO_CORPS_MAX], size_t *n_out)
{
    static const char what[] = "cannot ask a XenoCorp";
    int first = XN_ENOENT, rc;
    size_t n = 0;

    *n_out = 0;
    if (!xeno->n_corps) {
        return xeno_gripe(XN_EINVAL, what, "it is not said which",
                          "--corp URL#ID, or XENO_CORP, or eval \"$(xenodev "
                          "env)\"");
    }
    for (size_t i = 0; i < xeno->n_corps; i++) {
        rc = load(xeno, &xeno->corps[i], &members_out[n]);
        if (!rc) n++;
        if (rc && (first == XN_ENOENT || rc == XN_ENOMEM)) first = rc;
    }
    *n_out = n;
    if (n) return XN_EXIT_OK;
    return xeno_gripef(first == XN_ENOMEM ? first : XN_EIDENT, what,
                       first == XN_EPERM ? "chmod 600 key.pem in that folder"
                                         : "xeno register",
                       "%s holds no key and certificate of it: %s", xeno->state,
                       xn_strerror(first));
}

int xeno_member(const struct xeno *xeno, const xn_id *corp,
                struct xeno_member *member_out)
{
    struct xeno_member all[XENO_CORPS_MAX];
    size_t n, at = 0;
    int code = xeno_members(xeno, all, &n);

    if (code) return code;
    while (corp && at < n && !xn_id_eq(&all[at].corp.id, corp))
        at++;
    if (at == n) {
        code = xeno_gripe(XN_EIDENT, "cannot ask the order's XenoCorp",
                          "this key has no certificate of it, or XENO_CORP "
                          "does not name it",
                          "xeno register URL#ID");
    } else {
        *member_out = all[at];
        memset(&all[at], 0, sizeof all[at]);
    }
    xeno_members_clear(all, n);
    return code;
}

void xeno_member_clear(struct xeno_member *member)
{
    net_identity_clear(&member->identity);
}

void xeno_members_clear(struct xeno_member *members, size_t n)
{
    for (size_t i = 0; i < n; i++)
        xeno_member_clear(&members[i]);
}

/* ---- asking ---- */

static int refused(const struct xeno_question *question,
                   const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = refusal && refusal->rc < 0 ? refusal->rc : XN_EPROTO;

    if (rc == XN_ENOENT && question->none) rc = question->none;
    if (!question->quiet && !refusal) {
        xeno_gripef(rc, question->what, "another version of xeno",
                    "it answered with status %d", reply->status);
    } else if (!question->quiet) {
        xeno_gripe_reason(rc, refusal->reason, question->what, refusal->because,
                          refusal->try_);
    }
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
    return rc;
}

static int unanswered(const struct xeno_question *question,
                      const struct net_reply *reply, int rc, const char *why)
{
    const char *try = "the same again, when the XenoCorp answers";

    if (question->changes && reply->sent &&
        (rc == XN_ETIMEOUT || rc == XN_EUNREACH)) {
        rc = XN_EUNKNOWN;
        try = "the same again: it is done once";
    } else if (rc == XN_EIDENT) {
        try = "the URL#ID that the XenoCorp told; do not trust what answers";
    }
    if (!question->quiet) xeno_gripe(rc, question->what, why, try);
    return rc;
}

static int understand(const struct xeno_question *question,
                      const struct net_reply *reply, void *answer_out)
{
    void *answer =
        xn_unpack(question->answer, reply->body.data, reply->body.len);

    memcpy(answer_out, &answer, sizeof answer);
    if (answer) return 0;
    if (!question->quiet) {
        xeno_gripe(XN_EPROTO, question->what, "the answer is not understood",
                   "another version of xeno");
    }
    return XN_EPROTO;
}

int xeno_ask(const struct xeno *xeno, const struct xeno_member *member,
             const struct xeno_question *question, void *answer_out)
{
    struct net_reply reply = {.status = 0};
    char url[URL_MAX], why[300] = "";
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = question->body ? xn_pack(question->body, &body, &len) : 0;

    if (rc) {
        xeno_gripe(rc, question->what, xn_strerror(rc), NULL);
        return rc;
    }
    snprintf(url, sizeof url, "%s%s", member->corp.url, question->path);
    rc = net_request(&member->identity, question->method, url, body, len,
                     &member->corp.id, xeno->timeout_ms, &reply, why,
                     sizeof why);
    if (rc) {
        rc = unanswered(question, &reply, rc, why);
    } else if (reply.status != 200) {
        rc = refused(question, &reply);
    } else {
        rc = understand(question, &reply, answer_out);
    }
    net_reply_clear(&reply);
    free(body);
    return rc;
}
