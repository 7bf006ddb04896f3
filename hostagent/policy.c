/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the operator's own program says to an order that is good by all else, for
 * a new session or to extend one: it is asked when the papers have been looked
 * at, and before anything is set apart or durable.  What nobody answers is refused, unless the operator said
 * otherwise. */
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"
#include "lib/log.h"

#define MARGIN_US 2000000ULL /* the driver ends it first */

/* Else one client's requests, which cost him nothing, keep all others waiting. */
static bool has_enough(const struct host_session *s)
{
    const struct host_market *m = &s->host->market;
    unsigned n = 0;

    for (size_t i = 0; i < m->n_sessions; i++)
        n += m->sessions[i]->policy &&
             xn_id_eq(&m->sessions[i]->holder, &s->holder);
    return n >= POLICY_OF_HOLDER;
}

int policy_ask(struct host_session *s, const struct xn_now *now,
               const struct policy_case *what, xn_ended *fn)
{
    const struct host_config *config = &s->host->config;
    const Xn__NewTask *task = what->task;
    Xn__Admit body = XN__ADMIT__INIT;
    struct amounts_text room;

    if (has_enough(s)) return XN_EBUSY;
    s->policy = xn_ticket(s->host->tickets,
                          now->mono_us + config->policy_us + MARGIN_US, fn,
                          s->host, s, &s->host->out);
    if (!s->policy) return XN_ENOMEM;
    amounts_describe(&what->quote->rates, &room);
    body.session = xn_id_bytes(&s->id);
    body.client = xn_id_bytes(&s->holder);
    body.address = (char *)(uintptr_t)what->address;
    body.order = xn_id_bytes(&what->order->serial);
    body.environment = (char *)(uintptr_t)what->quote->env_type;
    body.amounts = &room.body;
    body.used = what->quote->metering == MONEY_USED;
    body.currency = (char *)(uintptr_t)what->limits->currency;
    body.amount = what->limits->amount;
    body.most_per_hour = what->limits->most_per_hour;
    body.until_us = what->limits->until_us;
    body.requirements = what->requirements;
    body.extends = what->extends;
    body.task = task != NULL;
    if (task) {
        body.argv = task->argv;
        body.n_argv = task->n_argv;
    }
    if (task && task->image) body.image = task->image->url;
    xn_out_emit(&s->host->out, XN_ACT_ADMIT, s->policy, XN_PEER_NONE,
                XN__KIND__ADMIT, &body);
    return 0;
}

bool policy_agrees(struct host_session *s, int rc, const struct xn_msg *msg,
                   struct policy_word *no_out)
{
    const Xn__Admitted *said;

    s->policy = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__ADMITTED)) rc = XN_EPROTO;
    if (rc == XN_EBUSY) {
        *no_out = (struct policy_word){rc, POLICY_BUSY, "again in a second"};
        return false;
    }
    if (rc) {
        xn_out_log(&s->host->out, XN_LOG_WARN,
                   "admission.program gave no answer: %s; the order is %s",
                   xn_strerror(rc),
                   s->host->config.policy_open ? "taken all the same"
                                               : "refused");
        if (s->host->config.policy_open) return true;
        *no_out = (struct policy_word){
            XN_EREFUSED, "its operator's policy could not be asked",
            "again later, or another server"};
        return false;
    }
    said = XN_BODY(msg, Xn__Admitted);
    if (said->accept) return true;
    *no_out = (struct policy_word){
        XN_EREFUSED,
        said->because[0] ? said->because
                         : "its operator's policy does not take it",
        said->advice[0] ? said->advice : "another server"};
    return false;
}
