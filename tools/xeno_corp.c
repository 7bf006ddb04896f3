/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Us at the XenoCorps, and asking them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xeno.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define URL_MAX 512

enum { TOO_MANY = 429, PUT_OFF_S_MAX = 10, PUT_OFF_TIMES_MAX = 8 };

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
        return XN_EIDENT;
    }
    if (!rc) rc = net_talk_new(&member.talk);
    if (rc) {
        net_identity_clear(&member.identity);
    } else {
        *member_out = member;
    }
    return rc;
}

const char *xeno_corp_name(const struct xeno_member *member)
{
    const struct xn_cert *cert =
        xn_anchors_find(member->identity.anchors, &member->corp.id);

    return cert ? cert->label : member->corp.url;
}

int xeno_part(size_t n, int code, int part)
{
    if (part == XN_EXIT_OK) return code;
    if (n < 2 || part != XN_EXIT_NETWORK) return part;
    if (code != XN_EXIT_PARTIAL)
        xn_gripe(XENO_PROGRAM, "the answer is not whole [XS-10-PARTIAL]",
                 "a XenoCorp did not answer: what follows is of the others",
                 "again when it does, or --corp NAME");
    return XN_EXIT_PARTIAL;
}

int xeno_corp_named(struct xeno *xeno, const char *name)
{
    struct xeno_member member;
    char known[512] = "";
    bool found = false;

    for (size_t i = 0; i < xeno->n_corps && !found; i++) {
        if (load(xeno, &xeno->corps[i], &member)) continue;
        found = strcmp(xeno_corp_name(&member), name) == 0;
        if (found) xeno->corps[0] = member.corp;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                 known[0] ? ", " : "", xeno_corp_name(&member));
        xeno_member_clear(&member);
    }
    if (found) xeno->n_corps = 1;
    if (found) return -1;
    return xeno_usage("no XenoCorp '%.60s' is known: %s", name,
                      known[0] ? known
                               : "this key is registered with none of "
                                 "XENO_CORP");
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
    net_talk_free(member->talk);
    member->talk = NULL;
    net_identity_clear(&member->identity);
}

void xeno_members_clear(struct xeno_member *members, size_t n)
{
    for (size_t i = 0; i < n; i++)
        xeno_member_clear(&members[i]);
}

/* ---- asking ---- */

int xeno_tell(const struct xeno_why *why, const char *what)
{
    return xeno_gripe_reason(why->rc, why->reason, what, why->because,
                             why->try);
}

/* To whom it may concern. */
static void tell(const struct xeno_question *question, int rc,
                 const char *reason, const char *because, const char *try)
{
    struct xeno_why why = {.rc = rc};

    snprintf(why.reason, sizeof why.reason, "%s", reason);
    snprintf(why.because, sizeof why.because, "%s", because);
    snprintf(why.try, sizeof why.try, "%s", try ? try : "");
    if (question->why) {
        *question->why = why;
    } else if (!question->quiet) {
        xeno_gripe_reason(rc, reason, question->what, because, try);
    }
}

static int refused(const struct xeno_question *question,
                   const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = refusal && refusal->rc < 0 ? refusal->rc : XN_EPROTO;
    char status[64];

    if (rc == XN_ENOENT && question->none) rc = question->none;
    if (refusal) {
        tell(question, rc, refusal->reason, refusal->because, refusal->try_);
        xn__refusal__free_unpacked(refusal, NULL);
    } else {
        snprintf(status, sizeof status, "it answered with status %d",
                 reply->status);
        tell(question, rc, "", status, "another version of xeno");
    }
    return rc;
}

static int unanswered(const struct xeno_question *question,
                      const struct net_said *said)
{
    const char *try = "the same again, when it answers";
    int rc = said->rc;

    if (question->changes && said->reply.sent &&
        (rc == XN_ETIMEOUT || rc == XN_EUNREACH || rc == XN_ECANCELLED)) {
        rc = XN_EUNKNOWN;
        try = "the same again: it is done once";
    } else if (rc == XN_ECANCELLED) {
        try = "the same again";
    } else if (rc == XN_EIDENT) {
        try = question->node ? "another --node; do not trust what answers"
                             : "the right URL#ID; do not trust what answers";
    }
    tell(question, rc, "", said->why, try);
    return rc;
}

static int understand(const struct xeno_question *question,
                      const struct net_reply *reply, void *answer_out)
{
    void *answer =
        question->answer
            ? xn_unpack(question->answer, reply->body.data, reply->body.len)
            : strndup(reply->body.len ? (const char *)reply->body.data : "",
                      reply->body.len);

    memcpy(answer_out, &answer, sizeof answer);
    if (answer) return 0;
    tell(question, XN_EPROTO, "", "the answer is not understood",
         "another version of xeno");
    return XN_EPROTO;
}

void xeno_ask_begin(const struct xeno *xeno, const struct xeno_member *member,
                    const struct xeno_question *question,
                    struct xeno_asking *asking)
{
    struct net_ask ask = {
        .identity = &member->identity,
        .method = question->method,
        .peer = question->node ? NULL : &member->corp.id,
        .timeout_ms = xeno->timeout_ms + question->wait_ms,
    };
    char url[URL_MAX];
    uint8_t *body = NULL;
    int rc = question->body ? xn_pack(question->body, &body, &ask.len) : 0;

    memset(asking, 0, sizeof *asking);
    asking->member = member;
    asking->question = question;
    snprintf(url, sizeof url, "%s%s", member->corp.url, question->path);
    ask.url = url;
    ask.body = body;
    if (rc) {
        asking->said.done = true;
        asking->said.rc = rc;
        snprintf(asking->said.why, sizeof asking->said.why, "%s",
                 xn_strerror(rc));
    } else {
        (void)net_talk_begin(member->talk, &ask, &asking->said);
    }
    free(body);
}

int xeno_ask_end(struct xeno_asking *asking, void *answer_out)
{
    struct net_said *said = &asking->said;
    int rc;

    if (!said->rc && asking->question->node &&
        said->reply.server.role != XN__ROLE__NODE) {
        said->rc = XN_EIDENT;
        snprintf(said->why, sizeof said->why,
                 "what answers has another certificate than a node's");
    }
    if (said->rc) {
        rc = unanswered(asking->question, said);
    } else if (said->reply.status != 200) {
        rc = refused(asking->question, &said->reply);
    } else {
        rc = understand(asking->question, &said->reply, answer_out);
    }
    net_said_clear(said);
    return rc;
}

/* By a signal.  What was begun may have been sent. */
static void cancelled(struct net_said *said, bool begun)
{
    said->done = true;
    said->rc = XN_ECANCELLED;
    said->reply.sent = begun;
    snprintf(said->why, sizeof said->why, "a signal came before the answer");
}

void xeno_ask_await(const struct xeno *xeno, struct net_talk *talk,
                    struct xeno_asking *asking)
{
    while (!asking->said.done) {
        if (xeno_signals_over(xeno->signals)) {
            net_talk_give_up(talk, &asking->said);
            cancelled(&asking->said, true);
        } else {
            xeno_signals_wait(xeno->signals, talk, NULL, -1);
        }
    }
}

/* How long; 0: it was answered, or nobody waits so long. */
static unsigned put_off_s(const struct xeno_asking *asking)
{
    const struct net_said *said = &asking->said;

    if (!asking->question->patient || said->rc ||
        said->reply.status != TOO_MANY || said->reply.retry_s > PUT_OFF_S_MAX)
        return 0;
    return said->reply.retry_s;
}

/* True: they were put off, the time is over, and they are asked again. */
static bool again(const struct xeno *xeno, struct xeno_asking **asked, size_t n)
{
    struct net_talk *talk = NULL;
    unsigned longest_s = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned s = put_off_s(asked[i]);

        if (s <= longest_s) continue;
        longest_s = s;
        talk = asked[i]->member->talk;
    }
    if (!longest_s ||
        !xeno_signals_pause(xeno->signals, talk, longest_s * 1000))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct xeno_asking *a = asked[i];

        if (!put_off_s(a)) continue;
        net_said_clear(&a->said);
        xeno_ask_begin(xeno, a->member, a->question, a);
    }
    return true;
}

void xeno_ask_await_all(const struct xeno *xeno, struct xeno_asking **asked,
                        size_t n)
{
    unsigned times = 0;

    do {
        for (size_t i = 0; i < n; i++)
            xeno_ask_await(xeno, asked[i]->member->talk, asked[i]);
    } while (times++ < PUT_OFF_TIMES_MAX && again(xeno, asked, n));
}

int xeno_ask(const struct xeno *xeno, const struct xeno_member *member,
             const struct xeno_question *question, void *answer_out)
{
    struct xeno_asking asking = {.member = member, .question = question};
    struct xeno_asking *all = &asking;

    if (xeno_signals_over(xeno->signals)) {
        cancelled(&asking.said, false);
    } else {
        xeno_ask_begin(xeno, member, question, &asking);
    }
    xeno_ask_await_all(xeno, &all, 1);
    return xeno_ask_end(&asking, answer_out);
}
