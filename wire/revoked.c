/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/revoked.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/msg.h"

_Static_assert(REVOKED_PAYLOAD_MAX == REVOKED_MAX * XN_ID_SIZE + 64,
               "a full list fits into its blob");
_Static_assert(sizeof(xn_id) == XN_ID_SIZE, "names stand side by side");

static void clear_list(struct revoked_list *list)
{
    free(list->names);
    free(list->blob);
    memset(list, 0, sizeof *list);
}

void revoked_clear(struct revoked *set)
{
    while (set->n > 0)
        clear_list(&set->lists[--set->n]);
    free(set->lists);
    set->lists = NULL;
}

/* ---- one list ---- */

static bool is_ascending(const xn_id *names, size_t n)
{
    size_t i;

    for (i = 1; i < n; i++) {
        if (xn_id_cmp(&names[i - 1], &names[i]) >= 0) return false;
    }
    return true;
}

static int from_proto(const Xn__RevokedList *proto, struct revoked_list *list)
{
    size_t len = proto->names.len;

    if (proto->base.n_unknown_fields || proto->number == 0) return XN_EINVAL;
    if (len % XN_ID_SIZE || len / XN_ID_SIZE > REVOKED_MAX) return XN_EINVAL;
    if (proto->until_us <= proto->issued_us ||
        proto->until_us - proto->issued_us > REVOKED_LIFE_US_MAX) {
        return XN_EINVAL;
    }
    list->names = malloc(len + 1); /* never malloc(0) */
    if (!list->names) return XN_ENOMEM;
    if (len) memcpy(list->names, proto->names.data, len);
    list->n = len / XN_ID_SIZE;
    list->number = proto->number;
    list->issued_us = proto->issued_us;
    list->until_us = proto->until_us;
    return is_ascending(list->names, list->n) ? 0 : XN_EINVAL;
}

static int unpack(const ProtobufCBinaryData *payload, struct revoked_list *list)
{
    Xn__RevokedList *proto;
    int rc;

    if (payload->len > REVOKED_PAYLOAD_MAX) return XN_EINVAL;
    proto = xn__revoked_list__unpack(NULL, payload->len, payload->data);
    if (!proto) return XN_EINVAL;
    rc = from_proto(proto, list);
    xn__revoked_list__free_unpacked(proto, NULL);
    return rc;
}

bool revoked_is_late(const struct revoked_list *list, uint64_t wall_us)
{
    return list->until_us < wall_us;
}

int revoked_peek(const uint8_t *blob, size_t len, xn_id *corp_out,
                 uint64_t *number_out)
{
    Xn__SignedBlob *outer = NULL;
    Xn__RevokedList *list = NULL;
    int rc = XN_EINVAL;

    if (len > REVOKED_BYTES_MAX) goto out;
    outer = xn__signed_blob__unpack(NULL, len, blob);
    if (!outer) goto out;
    list =
        xn__revoked_list__unpack(NULL, outer->payload.len, outer->payload.data);
    if (!list) goto out;
    xn_id_hash(outer->spki.data, outer->spki.len, corp_out);
    *number_out = list->number;
    rc = 0;
out:
    if (list) xn__revoked_list__free_unpacked(list, NULL);
    if (outer) xn__signed_blob__free_unpacked(outer, NULL);
    return rc;
}

int revoked_pack(const xn_id *names, size_t n, uint64_t number,
                 uint64_t issued_us, uint64_t until_us, uint8_t **out,
                 size_t *out_len)
{
    Xn__RevokedList list = XN__REVOKED_LIST__INIT;

    if (n > REVOKED_MAX) return XN_ETOOBIG;
    list.number = number;
    list.issued_us = issued_us;
    list.until_us = until_us;
    list.names.data = (uint8_t *)(uintptr_t)names;
    list.names.len = n * XN_ID_SIZE;
    return xn_pack(&list, out, out_len);
}

/* ---- the set ---- */

const struct revoked_list *revoked_of(const struct revoked *set,
                                      const xn_id *corp)
{
    size_t i;

    for (i = 0; i < set->n; i++) {
        if (xn_id_eq(&set->lists[i].corp, corp)) return &set->lists[i];
    }
    return NULL;
}

uint32_t revoked_mark(const struct revoked *set)
{
    uint32_t mark = 0;
    size_t i, k;

    for (i = 0; set && i < set->n; i++) {
        uint8_t number[8];
        xn_id hash;

        for (k = 0; k < sizeof number; k++)
            number[k] = (uint8_t)(set->lists[i].number >> (8 * k));
        xn_id_hash2(set->lists[i].corp.b, XN_ID_SIZE, number, sizeof number,
                    &hash);
        for (k = 0; k < sizeof mark; k++)
            mark ^= (uint32_t)hash.b[k] << (8 * k);
    }
    return mark;
}

static int by_id(const void *a, const void *b)
{
    return xn_id_cmp(a, b);
}

bool revoked_has(const struct revoked *set, const xn_id *corp,
                 const xn_id *name)
{
    const struct revoked_list *list = set ? revoked_of(set, corp) : NULL;

    return list && list->n &&
           bsearch(name, list->names, list->n, sizeof *name, by_id);
}

/* Takes the list over. */
static int put(struct revoked *set, struct revoked_list *list)
{
    struct revoked_list *held, *more;

    held = (struct revoked_list *)(uintptr_t)revoked_of(set, &list->corp);
    if (!held) {
        if (set->n >= XN_ANCHORS_MAX) return XN_ENOMEM;
        more = realloc(set->lists, (set->n + 1) * sizeof *more);
        if (!more) return XN_ENOMEM;
        set->lists = more;
        held = &more[set->n++];
    } else {
        clear_list(held);
    }
    *held = *list;
    memset(list, 0, sizeof *list);
    return 0;
}

int revoked_take(struct revoked *set, const xn_id *corp,
                 const ProtobufCBinaryData *payload,
                 const ProtobufCBinaryData *blob, uint64_t wall_us)
{
    const struct revoked_list *held = revoked_of(set, corp);
    struct revoked_list list = {.corp = *corp};
    int rc;

    rc = unpack(payload, &list);
    if (rc) goto out;
    rc = XN_ESTALE;
    if (held && list.number <= held->number) goto out;
    rc = XN_EFUTURE;
    if (list.issued_us > wall_us + REVOKED_AHEAD_US_MAX) goto out;
    rc = XN_ENOMEM;
    list.blob = malloc(blob->len + 1);
    if (!list.blob) goto out;
    if (blob->len) memcpy(list.blob, blob->data, blob->len);
    list.blob_len = blob->len;
    rc = put(set, &list);
out:
    clear_list(&list);
    return rc;
}
