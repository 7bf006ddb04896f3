/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/money.h"

#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "wire/flat.h"

#define NS "urn:xenoserver:money:1"

_Static_assert(MONEY_CURRENCY_SIZE == FLAT_CURRENCY_SIZE, "one size");

/* ---- the tables ---- */

static const char *const meterings[] = {"used", "reserved", NULL};
static const char *const states[] = {"running", "final", NULL};

#define AT(member) offsetof(struct money, member)
#define MUST(name, type, member)                                               \
    {                                                                          \
        name, FLAT_##type, AT(member), FLAT_MUST, false, NULL                  \
    }
#define MAY(name, type, member)                                                \
    {                                                                          \
        name, FLAT_##type, AT(member), FLAT_MAY, false, NULL                   \
    }
#define ABOVE_0(name, type, member, need)                                      \
    {                                                                          \
        name, FLAT_##type, AT(member), need, true, NULL                        \
    }
#define WORD(name, words, member)                                              \
    {                                                                          \
        name, FLAT_WORD, AT(member), FLAT_MUST, false, words                   \
    }

#define HEAD(signer)                                                           \
    MUST(signer, ID, head.by), MUST("Issued", UTC, head.issued_us)

/* What both an order and a narrowing may limit. */
#define LIMITS(d, need)                                                        \
    MUST("Currency", CURRENCY, d.limits.currency),                             \
        ABOVE_0("Amount", MONEY, d.limits.amount, need),                       \
        {"Until", FLAT_UTC, AT(d.limits.until_us), need, false, NULL},         \
        ABOVE_0("MostPerHour", MONEY, d.limits.most_per_hour, FLAT_MAY),       \
        MAY("From", UTC, d.limits.from_us),                                    \
        MAY("EnvType", TEXT, d.limits.env_type),                               \
        MAY("Server", ID, d.limits.server), MAY("Quote", ID, d.limits.quote)

static const struct flat_field order[] = {
    HEAD("Corp"),
    MUST("Serial", ID, order.serial),
    MUST("Account", ID, order.account),
    MUST("Holder", ID, order.holder),
    LIMITS(order, FLAT_MUST),
};

static const struct flat_field narrowing[] = {
    HEAD("Holder"),
    MUST("Over", ID, narrowing.over),
    LIMITS(narrowing, FLAT_MAY),
};

static const struct flat_field quote[] = {
    HEAD("Server"),
    MUST("Until", UTC, quote.until_us),
    ABOVE_0("Version", COUNT, quote.version, FLAT_MUST),
    MUST("EnvType", TEXT, quote.env_type),
    MAY("Virtualisation", TEXT, quote.virtualisation),
    MUST("CPUsmps", DECIMAL, quote.rates.cpu_smps),
    MUST("MemoryMB", DECIMAL, quote.rates.memory_mb),
    MAY("DiskGB", DECIMAL, quote.rates.disk_gb),
    MAY("NetMbps", DECIMAL, quote.rates.net_mbps),
    MAY("IPv4Addresses", DECIMAL, quote.rates.ipv4_addresses),
    WORD("CPUMetering", meterings, quote.metering),
    MUST("Currency", CURRENCY, quote.currency),
    MAY("SetUp", DECIMAL, quote.prices.setup),
    MAY("PricePerHour", DECIMAL, quote.prices.per_hour),
    MAY("CPUSecond", DECIMAL, quote.prices.cpu_second),
    MAY("MemoryMBHour", DECIMAL, quote.prices.memory_mb_hour),
    MAY("NetGB", DECIMAL, quote.prices.net_gb),
    MAY("DiskGBHour", DECIMAL, quote.prices.disk_gb_hour),
    MAY("Session", ID, quote.session),
};

static const struct flat_field acceptance[] = {
    HEAD("Corp"),
    MUST("Serial", ID, acceptance.serial),
    MUST("Narrowing", ID, acceptance.narrowing),
    MUST("Server", ID, acceptance.server),
    MUST("Session", ID, acceptance.session),
    MUST("Quote", ID, acceptance.quote),
    MUST("Currency", CURRENCY, acceptance.currency),
    ABOVE_0("Amount", MONEY, acceptance.amount, FLAT_MUST),
    MUST("Until", UTC, acceptance.until_us),
    MAY("Prepaid", MONEY, acceptance.prepaid),
};

static const struct flat_field claim[] = {
    HEAD("Server"),
    MUST("Session", ID, claim.session),
    ABOVE_0("Sequence", COUNT, claim.sequence, FLAT_MUST),
    MUST("Previous", ID, claim.previous),
    MUST("Till", UTC, claim.till_us),
    MAY("UsedHours", DECIMAL, claim.usage.hours),
    MAY("UsedCPUSeconds", DECIMAL, claim.usage.cpu_s),
    MAY("UsedMemoryMBHours", DECIMAL, claim.usage.memory_mb_h),
    MAY("UsedNetGB", DECIMAL, claim.usage.net_gb),
    MAY("UsedDiskGBHours", DECIMAL, claim.usage.disk_gb_h),
    MUST("Currency", CURRENCY, claim.currency),
    MUST("Amount", MONEY, claim.amount),
    WORD("State", states, claim.state),
    MAY("Activity", TEXT, claim.activity),
};

static const struct flat_field stop[] = {
    HEAD("Holder"),
    MUST("Narrowing", ID, stop.narrowing),
};

static const struct flat_field receipt[] = {
    HEAD("Corp"),
    MUST("Of", ID, receipt.of),
    MUST("Session", ID, receipt.session),
    MUST("Sequence", COUNT, receipt.sequence),
    MUST("Currency", CURRENCY, receipt.currency),
    MUST("Charge", MONEY, receipt.charge),
    MUST("Amount", MONEY, receipt.amount),
    MUST("Left", MONEY, receipt.left),
};

#define FORM(root, fields)                                                     \
    {                                                                          \
        root, NS, XML_MONEY, MONEY_BYTES_MAX, fields,                          \
            sizeof fields / sizeof fields[0]                                   \
    }

static const struct flat_form forms[MONEY_TYPES] = {
    [MONEY_ORDER] = FORM("PurchaseOrder", order),
    [MONEY_NARROWING] = FORM("Narrowing", narrowing),
    [MONEY_QUOTE] = FORM("Quote", quote),
    [MONEY_ACCEPTANCE] = FORM("Acceptance", acceptance),
    [MONEY_CLAIM] = FORM("Claim", claim),
    [MONEY_STOP] = FORM("Stop", stop),
    [MONEY_RECEIPT] = FORM("Receipt", receipt),
};

const struct flat_form *money_form(enum money_type type)
{
    return &forms[type];
}

const char *money_name(enum money_type type)
{
    return forms[type].root;
}

/* ---- what one document says of itself ---- */

static int later(uint64_t begin_us, uint64_t end_us, const char *what,
                 struct xml_why *why)
{
    if (!end_us || begin_us < end_us) return 0;
    xml_why(why, 0, "%s", what);
    return XN_ESCHEMA;
}

static int check_limits(const struct money_limits *limits, uint64_t issued_us,
                        struct xml_why *why)
{
    uint64_t begin_us =
        limits->from_us > issued_us ? limits->from_us : issued_us;

    return later(begin_us, limits->until_us,
                 "Until is not after From and Issued", why);
}

static int check_sums(bool right, const char *what, struct xml_why *why)
{
    if (right) return 0;
    xml_why(why, 0, "%s", what);
    return XN_ESCHEMA;
}

/* What the schema cannot say. */
static int check_sense(const struct money *m, struct xml_why *why)
{
    switch (m->type) {
    case MONEY_ORDER:
        return check_limits(&m->order.limits, m->head.issued_us, why);
    case MONEY_NARROWING:
        return check_limits(&m->narrowing.limits, m->head.issued_us, why);
    case MONEY_QUOTE:
        return later(m->head.issued_us, m->quote.until_us,
                     "Until is not after Issued", why);
    case MONEY_ACCEPTANCE:
        return check_sums(m->acceptance.prepaid <= m->acceptance.amount &&
                              m->head.issued_us < m->acceptance.until_us,
                          "Prepaid is more than Amount, or Until not after "
                          "Issued",
                          why);
    case MONEY_RECEIPT:
        return check_sums(m->receipt.charge <= m->receipt.amount,
                          "Charge is more than Amount", why);
    case MONEY_CLAIM:
    case MONEY_STOP: break;
    }
    return 0;
}

/* ---- reading and writing ---- */

int money_parse(enum money_type type, const uint8_t *xml, size_t len,
                struct money *out, char *why_out, size_t why_len)
{
    struct xml_why why = {why_out, why_len};
    struct money got;
    int rc;

    if (why_out && why_len) why_out[0] = 0;
    memset(&got, 0, sizeof got);
    got.type = type;
    rc = flat_read(&forms[type], xml, len, &got, &why);
    if (!rc) rc = check_sense(&got, &why);
    if (rc) {
        xml_why(&why, 0, "%s", xn_strerror(rc));
        return rc;
    }
    xn_id_hash(xml, len, &got.head.hash);
    *out = got;
    return 0;
}

/* Parsing is what says whether it was right: texts are UTF-8, dates fit. */
int money_write(struct money *doc, struct xn_buf *out)
{
    struct money back;
    int rc;

    rc = flat_write(&forms[doc->type], doc, out);
    if (rc) return rc;
    rc = money_parse(doc->type, out->data, out->len, &back, NULL, 0);
    if (rc) return rc;
    doc->head.hash = back.head.hash;
    return 0;
}

const char *money_text(int64_t micro, const char *currency,
                       char out[MONEY_TEXT_MAX])
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(xn_dec_from_micro(micro), text);
    snprintf(out, MONEY_TEXT_MAX, "%.30s %.3s", text, currency);
    return out;
}

int money_amount_parse(const char *text, int64_t *micro_out,
                       char currency_out[MONEY_CURRENCY_SIZE])
{
    const xn_i128 micro = XN_DEC_ONE / 1000000;
    size_t len = strspn(text, "0123456789.");
    const char *currency = text + len + strspn(text + len, " ");
    xn_dec d;

    if (strlen(currency) != MONEY_CURRENCY_SIZE - 1 ||
        strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") !=
            MONEY_CURRENCY_SIZE - 1)
        return XN_EINVAL;
    if (xn_dec_parse(text, len, &d) || d.v <= 0 || d.v % micro != 0 ||
        d.v / micro > INT64_MAX)
        return XN_EINVAL;
    *micro_out = (int64_t)(d.v / micro);
    memcpy(currency_out, currency, MONEY_CURRENCY_SIZE);
    return 0;
}
