/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Advertisements: whatever parses keeps the promises of wire/advert.h. */
#include <assert.h>
#include <string.h>

#include "wire/advert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_row(const struct advert *advert, const struct advert_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct advert_value *value = row->values[i];

        assert(xn_token_valid(value->token, strlen(value->token)));
        assert(strlen(value->text) <= XN_VALUE_MAX);
        assert(!i || strcmp(row->values[i - 1]->token, value->token) < 0);
        assert(advert_row_get(row, value->token) == value);
    }
    assert(row->n <= advert->n_tokens);
    assert(advert_row_get(row, XN_TOKEN_EVERY));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct advert *advert;
    char why[200];

    memset(why, 'x', sizeof why);
    if (advert_parse(data, len, &advert, why, sizeof why) != 0) {
        assert(why[0] && memchr(why, 0, sizeof why));
        return 0;
    }
    assert(advert->version && advert->version <= INT64_MAX);
    assert(advert->n_rows && advert->n_rows <= ADVERT_ROWS_MAX);
    assert(advert->n_tokens <= ADVERT_TOKENS_MAX);
    for (size_t i = 0; i < advert->n_rows; i++)
        check_row(advert, &advert->rows[i]);
    advert_free(advert);
    return 0;
}
