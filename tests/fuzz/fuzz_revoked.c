/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of revoked keys, as they travel and as they were signed.  What is taken
 * keeps the rules: names ascending, a number that only grows, no date far
 * ahead. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW_US (1795255200ULL * 1000000)

static const xn_id corp;

static void check_list(const struct revoked *set)
{
    const struct revoked_list *list = revoked_of(set, &corp);
    size_t i;

    assert(list && list->number > 0 && list->n <= REVOKED_MAX);
    assert(list->issued_us < list->until_us);
    assert(list->until_us - list->issued_us <= REVOKED_LIFE_US_MAX);
    assert(list->issued_us <= NOW_US + REVOKED_AHEAD_US_MAX);
    for (i = 0; i < list->n; i++) {
        assert(revoked_has(set, &corp, &list->names[i]));
        assert(i == 0 || xn_id_cmp(&list->names[i - 1], &list->names[i]) < 0);
    }
}

static void try_payload(const uint8_t *data, size_t len)
{
    ProtobufCBinaryData payload = {len, (uint8_t *)(uintptr_t)data};
    struct revoked set = {0};

    if (revoked_take(&set, &corp, &payload, &payload, NOW_US) == 0) {
        check_list(&set);
        assert(revoked_take(&set, &corp, &payload, &payload, NOW_US) ==
               XN_ESTALE);
    }
    revoked_clear(&set);
}

static void try_blob(const uint8_t *data, size_t len)
{
    uint8_t *payload;
    uint64_t number;
    size_t size;
    xn_id said, signer;

    if (revoked_peek(data, len, &said, &number)) return;
    if (blob_verify(data, len, REVOKED_CONTEXT, &signer, &payload, &size)) {
        return;
    }
    assert(xn_id_eq(&said, &signer));
    try_payload(payload, size);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    try_payload(data, len);
    try_blob(data, len);
    return 0;
}
