/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The manager that runs nothing: it keeps capacity free for who pays for it. */
#include "hostagent/manager.h"

#define HOUR_US ((xn_i128)3600 * 1000000)

static void start(struct host_session *s, const struct xn_now *now)
{
    session_started(s, now);
}

static enum money_metering metering(const struct host *host)
{
    return MONEY_RESERVED;
}

static void activity(const struct host_session *s, char out[XN_VALUE_MAX + 1])
{
    strcpy(out, "reserved capacity");
}

static void stand(struct host_session *s, const struct xn_now *now)
{
}

/* rate x us / per, rounded down: never more than the corp allows. */
static void add(xn_dec *used, xn_dec rate, uint64_t us, xn_i128 per)
{
    used->v += rate.v / per * (xn_i128)us;
    used->v += rate.v % per * (xn_i128)us / per;
}

uint64_t session_reserved(const struct host_session *s, uint64_t wall_us,
                          bool cpu, struct price_usage *usage)
{
    uint64_t us = 0;

    *usage = s->metered;
    if (s->counting && wall_us > s->metered_us) us = wall_us - s->metered_us;
    add(&usage->hours, xn_dec_int(1), us, HOUR_US);
    if (cpu) add(&usage->cpu_s, s->sale.terms.rates.cpu_smps, us, 1000000000);
    add(&usage->memory_mb_h, s->sale.terms.rates.memory_mb, us, HOUR_US);
    add(&usage->disk_gb_h, s->sale.terms.rates.disk_gb, us, HOUR_US);
    return s->metered_us + us;
}

static void meter(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    uint64_t till_us = session_reserved(s, now->wall_us, true, &usage);

    session_metered(s, now, &usage, till_us);
}

static void end(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    uint64_t till_us = session_reserved(s, s->ended_us, true, &usage);

    session_ended(s, now, &usage, till_us);
}

const struct host_manager host_manager_reserve = {
    .name = "reserve",
    .metering = metering,
    .activity = activity,
    .start = start,
    .pause = stand,
    .resume = stand,
    .end = end,
    .meter = meter,
};
