/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/order_file.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

#define RATES (sizeof(struct money_rates) / sizeof(xn_dec))
#define PRICES (sizeof(struct price_list) / sizeof(xn_dec))
#define USAGES (sizeof(struct price_usage) / sizeof(xn_dec))

/* ---- keys ---- */

static void add(struct order_key *key, const void *data, size_t len)
{
    memcpy(key->b + key->len, data, len);
    key->len += len;
}

static void add_number(struct order_key *key, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        key->b[key->len++] = (uint8_t)(n >> (56 - 8 * i));
}

static struct order_key start(char letter)
{
    struct order_key key = {.len = 1};

    key.b[0] = (uint8_t)letter;
    return key;
}

struct order_key order_key(const xn_id *serial, char letter)
{
    struct order_key key = start('L');

    add(&key, serial->b, XN_ID_SIZE);
    if (letter) add(&key, &letter, 1);
    return key;
}

struct order_key order_key_claim(const xn_id *serial, uint64_t sequence)
{
    struct order_key key = order_key(serial, 'x');

    add_number(&key, sequence);
    return key;
}

struct order_key order_key_session(const xn_id *server, const xn_id *session)
{
    struct order_key key = start('S');

    add(&key, server->b, XN_ID_SIZE);
    add(&key, session->b, XN_ID_SIZE);
    return key;
}

struct order_key order_key_holder(const xn_id *holder, const xn_id *serial)
{
    struct order_key key = start('H');

    add(&key, holder->b, XN_ID_SIZE);
    if (serial) add(&key, serial->b, XN_ID_SIZE);
    return key;
}

struct order_key order_key_end(uint64_t end_us, const xn_id *serial)
{
    struct order_key key = start('E');

    add_number(&key, end_us);
    add(&key, serial->b, XN_ID_SIZE);
    return key;
}

struct order_key order_key_pay_in(const xn_id *account, const xn_id *request)
{
    struct order_key key = start('P');

    add(&key, account->b, XN_ID_SIZE);
    if (request) add(&key, request->b, XN_ID_SIZE);
    return key;
}

struct order_key order_key_refused(uint64_t minute_us, const xn_id *kind)
{
    struct order_key key = start('R');

    add_number(&key, minute_us);
    add(&key, kind->b, XN_ID_SIZE);
    return key;
}

void order_account(const xn_id *corp, enum ledger_kind kind,
                   const xn_id *member, const char *currency,
                   xn_id *account_out)
{
    const char *word = kind == LEDGER_SERVER ? "xn.earnings.1" : "xn.account.1";
    uint8_t parts[2 * XN_ID_SIZE + MONEY_CURRENCY_SIZE - 1];

    memcpy(parts, corp->b, XN_ID_SIZE);
    memcpy(parts + XN_ID_SIZE, member->b, XN_ID_SIZE);
    memcpy(parts + 2 * XN_ID_SIZE, currency, MONEY_CURRENCY_SIZE - 1);
    xn_id_hash2(word, strlen(word) + 1, parts, sizeof parts, account_out);
}

void order_house(const xn_id *corp, char which, const char *currency,
                 xn_id *account_out)
{
    static const char word[] = "xn.house.1";
    uint8_t parts[XN_ID_SIZE + MONEY_CURRENCY_SIZE];

    memcpy(parts, corp->b, XN_ID_SIZE);
    memcpy(parts + XN_ID_SIZE, currency, MONEY_CURRENCY_SIZE - 1);
    parts[sizeof parts - 1] = (uint8_t)which;
    xn_id_hash2(word, sizeof word, parts, sizeof parts, account_out);
}

void order_op_id(const xn_id *serial, const char *word, const void *more,
                 size_t n, xn_id *id_out)
{
    xn_id tail;

    xn_id_hash2(word, strlen(word) + 1, serial->b, XN_ID_SIZE, &tail);
    if (n) xn_id_hash2(tail.b, XN_ID_SIZE, more, n, &tail);
    *id_out = *serial;
    memcpy(id_out->b + XN_ID_SIZE / 2, tail.b, XN_ID_SIZE / 2);
}

void order_op_id_nth(const xn_id *serial, const char *word, uint64_t n,
                     xn_id *id_out)
{
    int i;

    order_op_id(serial, word, NULL, 0, id_out);
    for (i = 0; i < 8; i++)
        id_out->b[XN_ID_SIZE - 1 - i] = (uint8_t)(n >> 8 * i);
}

/* ---- reading ---- */

static int get_currency(const char *text, char out[MONEY_CURRENCY_SIZE])
{
    if (strlen(text) != MONEY_CURRENCY_SIZE - 1) return XN_EINTEGRITY;
    memcpy(out, text, MONEY_CURRENCY_SIZE);
    return 0;
}

static int get_id(const ProtobufCBinaryData *bytes, xn_id *out)
{
    return xn_id_from_bytes(bytes, out) ? XN_EINTEGRITY : 0;
}

static int take_record(const Xn__OrderRecord *record, struct order_file *file)
{
    int rc = get_id(&record->document, &file->document);

    if (!rc) rc = get_id(&record->request, &file->request);
    if (!rc) rc = get_id(&record->account, &file->account);
    if (!rc) rc = get_id(&record->holder, &file->holder);
    if (!rc) rc = get_currency(record->currency, file->currency);
    if (rc) return rc;
    file->amount = record->amount;
    file->until_us = record->until_us;
    file->order = record->envelope;
    file->has_record = true;
    return 0;
}

static int take_acceptance(const xn_id *corp, const Xn__OrderBound *bound,
                           struct order_file *file)
{
    struct claim_terms *terms = &file->bound.terms;
    int rc = get_id(&bound->acceptance, &terms->acceptance);

    if (!rc) rc = get_id(&bound->narrowing, &file->bound.narrowing);
    if (!rc) rc = get_id(&bound->quote, &file->bound.quote);
    if (!rc) rc = get_id(&bound->server, &terms->server);
    if (!rc) rc = get_id(&bound->session, &terms->session);
    if (!rc)
        rc = xn_decs_get(bound->rates.data, bound->rates.len, &terms->rates,
                         RATES);
    if (!rc)
        rc = xn_decs_get(bound->prices.data, bound->prices.len, &terms->prices,
                         PRICES);
    if (rc) return rc;
    terms->corp = *corp;
    terms->holder = file->holder;
    memcpy(terms->currency, file->currency, sizeof terms->currency);
    terms->amount = bound->amount;
    terms->most_per_hour = bound->most_per_hour;
    terms->since_us = bound->at_us;
    terms->until_us = bound->until_us;
    file->bound.prepaid = bound->prepaid;
    file->acceptance = bound->envelope;
    return 0;
}

static int take_state(const ProtobufCBinaryData *value, struct order_file *file)
{
    Xn__OrderState *state =
        xn__order_state__unpack(NULL, value->len, value->data);
    struct claim_state *claims = &file->state.claims;
    int rc;

    if (!state) return XN_EINTEGRITY;
    rc = get_id(&state->hash, &claims->hash);
    if (!rc)
        rc = xn_decs_get(state->usage.data, state->usage.len, &claims->usage,
                         USAGES);
    claims->sequence = state->sequence;
    claims->till_us = state->till_us;
    claims->amount = state->amount;
    claims->final = state->final;
    file->state.paid = state->paid;
    file->state.stopped_us = state->stopped_us;
    file->state.closed = state->closed;
    file->state_bytes = *value;
    file->has_state = rc == 0;
    xn__order_state__free_unpacked(state, NULL);
    return rc;
}

static int take(const Xn__Record *at, char letter, struct order_file *file,
                struct order_keep *keep)
{
    switch (letter) {
    case 'r':
        keep->record =
            xn__order_record__unpack(NULL, at->value.len, at->value.data);
        return keep->record ? take_record(keep->record, file) : XN_EINTEGRITY;
    case 'b':
        keep->bound =
            xn__order_bound__unpack(NULL, at->value.len, at->value.data);
        return keep->bound ? 0 : XN_EINTEGRITY;
    case 's': return take_state(&at->value, file);
    default: return 0;
    }
}

/* `b` comes before `r` and rests on it. */
static int take_bound(const xn_id *corp, const Xn__OrderBound *bound,
                      struct order_file *file)
{
    if (!bound) return file->has_state ? XN_EINTEGRITY : 0;
    if (!file->has_record) return XN_EINTEGRITY;
    file->is_bound = true;
    file->bound.fate = bound->fate;
    file->bound.at_us = bound->at_us;
    if (bound->fate != XN__ORDER_FATE__ACCEPTED_ORDER) return 0;
    if (!file->has_state) return XN_EINTEGRITY;
    return take_acceptance(corp, bound, file);
}

int order_file_read(const xn_id *corp, const xn_id *serial,
                    const Xn__Records *records, struct order_file *file,
                    struct order_keep *keep_out)
{
    struct order_key prefix = order_key(serial, 0);
    int rc = 0;

    memset(file, 0, sizeof *file);
    memset(keep_out, 0, sizeof *keep_out);
    file->serial = *serial;
    for (size_t i = 0; i < records->n_records && !rc; i++) {
        const Xn__Record *at = records->records[i];

        if (at->key.len != prefix.len + 1 ||
            memcmp(at->key.data, prefix.b, prefix.len) != 0) {
            continue;
        }
        rc = take(at, (char)at->key.data[prefix.len], file, keep_out);
    }
    if (!rc) rc = take_bound(corp, keep_out->bound, file);
    if (rc) order_keep_clear(keep_out);
    return rc;
}

void order_keep_clear(struct order_keep *keep)
{
    if (keep->record) xn__order_record__free_unpacked(keep->record, NULL);
    if (keep->bound) xn__order_bound__free_unpacked(keep->bound, NULL);
    memset(keep, 0, sizeof *keep);
}

/* ---- writing ---- */

int order_bound_pack(const struct order_bound *bound,
                     ProtobufCBinaryData acceptance, uint8_t **bytes_out,
                     size_t *len_out)
{
    const struct claim_terms *terms = &bound->terms;
    uint8_t rates[RATES * XN_DEC_BYTES], prices[PRICES * XN_DEC_BYTES];
    Xn__OrderBound record = XN__ORDER_BOUND__INIT;

    record.fate = bound->fate;
    record.at_us = bound->at_us;
    if (bound->fate == XN__ORDER_FATE__ACCEPTED_ORDER) {
        record.envelope = acceptance;
        record.acceptance = xn_id_bytes(&terms->acceptance);
        record.narrowing = xn_id_bytes(&bound->narrowing);
        record.quote = xn_id_bytes(&bound->quote);
        record.server = xn_id_bytes(&terms->server);
        record.session = xn_id_bytes(&terms->session);
        record.amount = terms->amount;
        record.most_per_hour = terms->most_per_hour;
        record.until_us = terms->until_us;
        record.prepaid = bound->prepaid;
        xn_decs_put(&terms->rates, RATES, rates);
        xn_decs_put(&terms->prices, PRICES, prices);
        record.rates = (ProtobufCBinaryData){sizeof rates, rates};
        record.prices = (ProtobufCBinaryData){sizeof prices, prices};
    }
    return xn_pack(&record, bytes_out, len_out);
}

int order_state_pack(const struct order_state *state, uint8_t **bytes_out,
                     size_t *len_out)
{
    uint8_t usage[USAGES * XN_DEC_BYTES];
    Xn__OrderState record = XN__ORDER_STATE__INIT;

    record.sequence = state->claims.sequence;
    record.hash = xn_id_bytes(&state->claims.hash);
    record.till_us = state->claims.till_us;
    xn_decs_put(&state->claims.usage, USAGES, usage);
    record.usage = (ProtobufCBinaryData){sizeof usage, usage};
    record.amount = state->claims.amount;
    record.final = state->claims.final;
    record.paid = state->paid;
    record.stopped_us = state->stopped_us;
    record.closed = state->closed;
    return xn_pack(&record, bytes_out, len_out);
}

/* ---- what it says ---- */

Xn__OrderFate order_fate(const struct order_file *file)
{
    if (!file->has_record) return XN__ORDER_FATE__FATE_NONE;
    if (!file->is_bound) return XN__ORDER_FATE__ISSUED_ORDER;
    if (file->bound.fate != XN__ORDER_FATE__ACCEPTED_ORDER) {
        return file->bound.fate;
    }
    return file->state.closed ? XN__ORDER_FATE__CLOSED_ORDER
                              : XN__ORDER_FATE__ACCEPTED_ORDER;
}

int64_t order_fenced(const struct order_file *file)
{
    switch (order_fate(file)) {
    case XN__ORDER_FATE__ISSUED_ORDER: return file->amount;
    case XN__ORDER_FATE__ACCEPTED_ORDER:
        return file->bound.terms.amount - file->state.paid;
    default: return 0;
    }
}
