/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "index/inside.h"
#include "lib/err.h"

int xis_parcel_init(struct xis_parcel *parcel, size_t max, size_t bytes_max)
{
    *parcel = (struct xis_parcel){.max = max, .bytes_max = bytes_max};
    parcel->rows = malloc(max * sizeof *parcel->rows);
    parcel->list = malloc(max * sizeof *parcel->list);
    if (parcel->rows && parcel->list) return 0;
    xis_parcel_clear(parcel);
    return XN_ENOMEM;
}

bool xis_parcel_add(struct xis_parcel *parcel, const struct xis_ad *ad,
                    bool lease_alone)
{
    const struct xis_blob *envelope = lease_alone ? NULL : ad->envelope;
    size_t bytes = ad->lease->len + (envelope ? envelope->len : 0) +
                   24; /* of tags and lengths */
    Xn__SignedAd *row;

    if (parcel->n == parcel->max) return false;
    if (parcel->bytes + bytes > parcel->bytes_max) return false;
    row = &parcel->rows[parcel->n];
    xn__signed_ad__init(row);
    row->lease = xis_blob_bytes(ad->lease);
    row->envelope = xis_blob_bytes(envelope);
    parcel->list[parcel->n++] = row;
    parcel->bytes += bytes;
    return true;
}

void xis_parcel_empty(struct xis_parcel *parcel)
{
    parcel->n = parcel->bytes = 0;
}

void xis_parcel_clear(struct xis_parcel *parcel)
{
    free(parcel->rows);
    free(parcel->list);
    *parcel = (struct xis_parcel){0};
}
