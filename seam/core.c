/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "seam/xn_core.h"

int xn_core_step(struct xn_core *core, const struct xn_now *now,
                 const struct xn_event *ev, struct xn_outbox *out)
{
    return core->ops->step(core, now, ev, out);
}

bool xn_core_check(const struct xn_core *core, char *why_out, size_t len)
{
    return core->ops->check(core, why_out, len);
}

void xn_core_free(struct xn_core *core)
{
    if (core) core->ops->free(core);
}

const char *xn_ev_name(enum xn_ev ev)
{
    static const char *const names[] = {
        "?",   "WAKE", "UP",     "MSG",  "GONE",
        "ASK", "MORE", "CANCEL", "DONE", "NEWS",
    };

    return ev < sizeof names / sizeof names[0] ? names[ev] : "?";
}

const char *xn_act_name(enum xn_act act)
{
    static const char *const names[] = {
        "?",      "DIAL",   "HANG",   "SEND",  "ANSWER", "SIGN",
        "VERIFY", "ISSUE",  "RANDOM", "TXN",   "READ",   "CALL",
        "FETCH",  "DOMAIN", "PROBE",  "ADMIT", "ABORT",  "LOG",
    };

    return act < sizeof names / sizeof names[0] ? names[act] : "?";
}

unsigned xn_act_msg_kind(enum xn_act act)
{
    switch (act) {
    case XN_ACT_DIAL: return XN__KIND__DIAL;
    case XN_ACT_ANSWER: return XN__KIND__ANSWER;
    case XN_ACT_SIGN: return XN__KIND__SIGN;
    case XN_ACT_VERIFY: return XN__KIND__VERIFY;
    case XN_ACT_ISSUE: return XN__KIND__ISSUE;
    case XN_ACT_RANDOM: return XN__KIND__RANDOM;
    case XN_ACT_TXN: return XN__KIND__TXN;
    case XN_ACT_READ: return XN__KIND__READ;
    case XN_ACT_CALL: return XN__KIND__CALL;
    case XN_ACT_PROBE: return XN__KIND__PROBE;
    case XN_ACT_ADMIT: return XN__KIND__ADMIT;
    case XN_ACT_LOG: return XN__KIND__LOG;
    default: return 0;
    }
}
