/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a member is, for its operator: its status and numbers for Prometheus. */
#include <string.h>

#include "hostagent/member_in.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/prom.h"

#define METRICS_MAX 8192U

bool member_is_self(const struct member *m, const Xn__Caller *caller)
{
    xn_id id;

    return caller && !xn_id_from_bytes(&caller->id, &id) &&
           xn_id_eq(&id, &m->config.id);
}

static void tell_status(struct member *m, const struct xn_now *now,
                        uint64_t ask)
{
    Xn__HostStatus body = XN__HOST_STATUS__INIT;
    Xn__MemberStatus status = XN__MEMBER_STATUS__INIT;
    Xn__Amounts amounts;

    member_amounts(m, &amounts);
    status.manager = xn_id_bytes(&m->config.manager);
    status.asked_us = m->asked_us;
    status.up = m->up;
    status.amounts = &amounts;
    status.questions = (uint32_t)m->n_asked;
    status.fetches = member_fetches(m);
    body.member = &status;
    xn_out_answer(&m->out, ask, 200, &body);
}

static void put_numbers(const struct member *m, const struct xn_now *now,
                        struct xn_buf *buf)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&m->config.manager, hex);
    xn_prom_family(buf, XN_PROM_GAUGE, "xeno_member_info",
                   "Whose member this is.");
    xn_prom_sample(buf, "xeno_member_info", "manager", hex, 1);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_member_xenodomd_up",
                "1: its xenodomd is there.", m->up);
    if (m->asked_us && now->wall_us >= m->asked_us)
        xn_prom_one(buf, XN_PROM_GAUGE, "xeno_member_asked_age_seconds",
                    "Since its manager asked last.",
                    (now->wall_us - m->asked_us) / SECOND_US);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_member_questions",
                "Questions to xenodomd under way.", m->n_asked);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_member_fetches",
                "Images that are being fetched.", member_fetches(m));
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_member_questions_total",
                "Questions of its manager.", m->questions);
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_member_fetched_total",
                "Images fetched, or found.", m->fetched);
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_member_refused_total",
                "Questions of others, refused.", m->refused);
}

static void tell_metrics(struct member *m, const struct xn_now *now,
                         uint64_t ask)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    struct xn_buf buf;

    xn_buf_init(&buf, METRICS_MAX);
    put_numbers(m, now, &buf);
    if (xn_buf_rc(&buf)) {
        m->out.rc = xn_buf_rc(&buf);
    } else {
        answer.status = 200;
        answer.content_type = (char *)(uintptr_t)XN_PROM_TYPE;
        answer.body.data = buf.data;
        answer.body.len = buf.len;
        xn_out_emit(&m->out, XN_ACT_ANSWER, ask, XN_PEER_NONE, XN__KIND__ANSWER,
                    &answer);
    }
    xn_buf_clear(&buf);
}

void member_on_self(struct member *m, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    bool gets = strcmp(question->method, "GET") == 0;

    if (gets && strcmp(question->path, "/v1/status") == 0)
        tell_status(m, now, ask);
    else if (gets && strcmp(question->path, "/metrics") == 0)
        tell_metrics(m, now, ask);
    else
        xn_out_refuse(&m->out, ask, XN_ENOENT, WHAT,
                      "a member of a cluster sells nothing by itself",
                      "xenoserver status here, or all else at its manager");
}
