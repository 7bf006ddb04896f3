/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requirements: whatever parses is a query that can be written down. */
#include <assert.h>
#include <string.h>

#include "lib/buf.h"
#include "wire/requirement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct query *query;
    struct xn_buf text;
    char why[200];

    memset(why, 'x', sizeof why);
    if (requirement_parse(data, len, &query, why, sizeof why) != 0) {
        assert(why[0] && memchr(why, 0, sizeof why));
        return 0;
    }
    xn_buf_init(&text, 0);
    assert(query_text(query, &text) == 0);
    xn_buf_clear(&text);
    query_free(query);
    return 0;
}
