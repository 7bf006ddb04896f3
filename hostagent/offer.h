/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A copy of an offer that lives as long as its arena. */
#ifndef HOSTAGENT_OFFER_H
#define HOSTAGENT_OFFER_H

#include "lib/arena.h"
#include "wire/advert.h"

/* Where the offer's single texts are, in an order that never changes. */
#define OFFER_TEXTS 24
void offer_texts(struct advert_offer *offer, const char **texts[OFFER_TEXTS]);

/* XN_ENOMEM: no memory, or past the arena's bound. */
int offer_copy(const struct advert_offer *offer, struct xn_arena *arena,
               struct advert_offer *copy_out);

/* Appends the document and reads it back, as an index node will: what it
 * refuses cannot be offered.  *advert_out (may be NULL) is the caller's.
 * XN_EINVAL, XN_ESCHEMA, XN_ETOOBIG, XN_ENOMEM; why_out says what is wrong. */
int offer_write(const struct advert_offer *offer, uint64_t version,
                struct xn_buf *out, struct advert **advert_out, char *why_out,
                size_t why_len);

#endif
