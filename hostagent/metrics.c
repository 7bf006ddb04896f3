/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server sells and earns, for Prometheus; the driver adds connections
 * and the process. */
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/metrics.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/prom.h"

#define METRICS_MAX 65536U
#define STATES 8

void host_count_charge(struct host *host, const char *currency, int64_t micro)
{
    struct host_counts *counts = &host->market.counts;
    size_t i = 0;

    counts->claims++;
    if (micro <= 0) return;
    while (i < HOST_CURRENCIES && counts->charged[i].currency[0] &&
           strcmp(counts->charged[i].currency, currency) != 0) {
        i++;
    }
    if (i == HOST_CURRENCIES) return;
    memcpy(counts->charged[i].currency, currency, MONEY_CURRENCY_SIZE);
    counts->charged[i].micro += (uint64_t)micro;
}

static void put_gauge(struct xn_buf *buf, const char *name, const char *help,
                      uint64_t value)
{
    xn_prom_one(buf, XN_PROM_GAUGE, name, help, value);
}

static void put_counter(struct xn_buf *buf, const char *name, const char *help,
                        uint64_t value)
{
    xn_prom_one(buf, XN_PROM_COUNTER, name, help, value);
}

static uint64_t since_s(uint64_t now_us, uint64_t at_us)
{
    return now_us > at_us ? (now_us - at_us) / 1000000 : 0;
}

static void put_offer(const struct host *host, const struct xn_now *now,
                      struct xn_buf *buf)
{
    bool offered = host->record && !host->record->withdrawn;
    char hex[XN_ID_HEX];

    xn_id_hex(&host->config.id, hex);
    xn_prom_family(buf, XN_PROM_GAUGE, "xeno_host_info",
                   "Which server this is.");
    xn_prom_sample(buf, "xeno_host_info", "id", hex, 1);
    put_gauge(buf, "xeno_host_offered", "1: it is offered; 0: drained.",
              offered);
    put_gauge(buf, "xeno_host_copies",
              "Nodes that hold its advertisement, of each place the fewest.",
              host->copies_least);
    if (host->published_us) {
        put_gauge(buf, "xeno_host_published_age_seconds",
                  "Since it was published last.",
                  since_s(now->wall_us, host->published_us));
    }
}

static void put_amounts(const char *name, const char *help,
                        const struct money_rates *rates, struct xn_buf *buf)
{
    const char *token;
    xn_dec amount;
    int64_t micro;

    xn_prom_family(buf, XN_PROM_GAUGE, name, help);
    for (size_t i = 0; (token = host_amount(rates, i, &amount)) != NULL; i++) {
        if (!xn_dec_to_micro(amount, &micro) && micro >= 0)
            xn_prom_millionths(buf, name, "token", token, (uint64_t)micro);
    }
}

struct tally {
    uint64_t states[STATES], tasks, troubled;
};

static void tally(const struct host *host, struct tally *t)
{
    const struct host_market *m = &host->market;

    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < m->n_sessions; i++) {
        const struct host_session *s = m->sessions[i];

        if ((unsigned)s->state < STATES) t->states[s->state]++;
        t->tasks += task_lives(s);
        t->troubled += s->trouble[0] != '\0';
    }
}

static void put_sessions(const struct host *host, struct xn_buf *buf)
{
    static const char sessions[] = "xeno_host_sessions";
    static const char *const states[STATES] = {
        NULL,     "claimed", "unsettled", "running",
        "paused", "ending",  "ended",     "refused"};
    struct tally t;

    tally(host, &t);
    xn_prom_family(buf, XN_PROM_GAUGE, sessions,
                   "Sessions remembered, by state.");
    for (size_t i = 1; i < STATES; i++)
        xn_prom_sample(buf, sessions, "state", states[i], t.states[i]);
    put_gauge(buf, "xeno_host_tasks", "Tasks that run or are to.", t.tasks);
    put_gauge(buf, "xeno_host_sessions_troubled",
              "Sessions whose last claim the XenoCorp has not taken.",
              t.troubled);
}

static const char *machine_name(const struct host_machine *m)
{
    return m->url ? m->url : "own";
}

static uint64_t held_there(const struct host_machine *m)
{
    const struct host_market *market = &m->host->market;
    uint64_t n = 0;

    for (size_t i = 0; i < market->n_sessions; i++) {
        const struct host_session *s = market->sessions[i];

        n += session_holds(s) && session_machine(s) == m;
    }
    return n;
}

static void put_machines(const struct host_market *market, struct xn_buf *buf)
{
    static const char up[] = "xeno_host_machine_up";
    static const char held[] = "xeno_host_machine_sessions";
    const struct host_machine *m, *end = market->machines + market->n_machines;

    xn_prom_family(buf, XN_PROM_GAUGE, up,
                   "1: this machine's tasks are in reach.");
    for (m = market->machines; m < end; m++)
        xn_prom_sample(buf, up, "machine", machine_name(m), m->up);
    xn_prom_family(buf, XN_PROM_GAUGE, held,
                   "Sessions that hold capacity of this machine.");
    for (m = market->machines; m < end; m++)
        xn_prom_sample(buf, held, "machine", machine_name(m), held_there(m));
}

static void put_counts(const struct host_counts *counts, struct xn_buf *buf)
{
    static const char charged[] = "xeno_host_charged_total";

    put_counter(buf, "xeno_host_quotes_total", "Quotes given since the start.",
                counts->quotes);
    put_counter(buf, "xeno_host_sessions_accepted_total",
                "Sessions whose order the XenoCorp accepted.",
                counts->accepted);
    put_counter(buf, "xeno_host_sessions_refused_total",
                "Sessions refused, by this server or by the XenoCorp.",
                counts->refused);
    put_counter(buf, "xeno_host_claims_total",
                "Claims for which there is a receipt.", counts->claims);
    xn_prom_family(buf, XN_PROM_COUNTER, charged,
                   "What these charged, in units of the currency.");
    for (size_t i = 0; i < HOST_CURRENCIES; i++) {
        if (!counts->charged[i].currency[0]) break;
        xn_prom_millionths(buf, charged, "currency",
                           counts->charged[i].currency,
                           counts->charged[i].micro);
    }
}

static void put_all(const struct host *host, const struct xn_now *now,
                    struct xn_buf *buf)
{
    const struct host_market *m = &host->market;
    struct money_rates all, left;

    put_offer(host, now, buf);
    if (!m->on) return;
    host_whole(host, false, &all);
    host_whole(host, true, &left);
    put_amounts("xeno_host_capacity", "What is offered in all.", &all, buf);
    put_amounts("xeno_host_free", "What of it no session holds.", &left, buf);
    put_sessions(host, buf);
    put_gauge(buf, "xeno_host_xenodomd_up",
              "1: a program that runs tasks is in reach, of any machine.",
              host_is_up(host));
    if (host->config.sandbox) put_machines(m, buf);
    put_counts(&m->counts, buf);
}

void host_metrics(struct host *host, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    struct xn_buf buf;

    if (!host_is_operator(host, question->caller)) {
        xn_out_refuse(&host->out, ask, XN_EPERM, "metrics refused",
                      "only the server's own key may ask for them",
                      "xenoserver metrics, with the server's state folder");
        return;
    }
    xn_buf_init(&buf, METRICS_MAX);
    put_all(host, now, &buf);
    if (xn_buf_rc(&buf)) {
        host->out.rc = xn_buf_rc(&buf);
    } else {
        answer.status = 200;
        answer.content_type = (char *)(uintptr_t)XN_PROM_TYPE;
        answer.body.data = buf.data;
        answer.body.len = buf.len;
        xn_out_emit(&host->out, XN_ACT_ANSWER, ask, XN_PEER_NONE,
                    XN__KIND__ANSWER, &answer);
    }
    xn_buf_clear(&buf);
}
