/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A copy of an offer that lives as long as its arena. */
#ifndef HOSTAGENT_OFFER_H
#define HOSTAGENT_OFFER_H

#include "lib/arena.h"
#include "wire/advert.h"

#define OFFER_ENVIRONMENTS_MAX 16

/* Where the offer's single texts are, in an order that never changes. */
#define OFFER_TEXTS 24
void offer_texts(struct advert_offer *offer, const char **texts[OFFER_TEXTS]);

/* XN_ENOMEM: no memory, or past the arena's bound. */
int offer_copy(const struct advert_offer *offer, struct xn_arena *arena,
               struct advert_offer *copy_out);

/* The tokens under which it will be found.  The list is in the arena.  Errors as
 * of offer_write, and XN_ENOMEM. */
int offer_tokens(const struct advert_offer *offer, struct xn_arena *arena,
                 const char ***list_out, size_t *n_out);

/* As a HostOffer, without the corps; *bytes_out is the caller's (free). */
int offer_pack(const struct advert_offer *offer, uint8_t **bytes_out,
               size_t *len_out);
/* The same back, its texts in the arena.  XN_EINVAL: not of that form. */
int offer_unpack(const uint8_t *bytes, size_t len, struct xn_arena *arena,
                 struct advert_offer *offer_out);

/* Appends the document and reads it back, as an index node will: what it
 * refuses cannot be offered.  *advert_out (may be NULL) is the caller's.
 * XN_EINVAL, XN_ESCHEMA, XN_ETOOBIG, XN_ENOMEM; why_out says what is wrong. */
int offer_write(const struct advert_offer *offer, uint64_t version,
                struct xn_buf *out, struct advert **advert_out, char *why_out,
                size_t why_len);

#endif
