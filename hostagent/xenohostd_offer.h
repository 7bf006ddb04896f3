/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server offers, from its configuration. */
#ifndef HOSTAGENT_XENOHOSTD_OFFER_H
#define HOSTAGENT_XENOHOSTD_OFFER_H

#include "lib/arena.h"
#include "net/settings.h"
#include "wire/advert.h"

/* Rows for net_daemon.settings_rows: offer.*, price.*, place.* and so on. */
#define XENOHOSTD_OFFER_ROWS 53
extern const struct net_setting xenohostd_offer_rows[XENOHOSTD_OFFER_ROWS];

/* Fill the offer; its texts are the settings' or in the arena.  What is left
 * out is found out: processors, free memory, architecture, kernel.  Name,
 * corp and endpoint come from the daemon.  XN_EINVAL, XN_ENOMEM; why_out says
 * what is wrong. */
int xenohostd_offer(const struct net_settings *settings, struct xn_arena *arena,
                    struct advert_offer *offer_out, char *why_out,
                    size_t why_len);

/* The same, and nothing is found out. */
int xenohostd_offer_given(const struct net_settings *settings,
                          struct xn_arena *arena,
                          struct advert_offer *offer_out, char *why_out,
                          size_t why_len);

/* Of these the amounts alone, as given or found out; prices are not needed. */
int xenohostd_amounts(const struct net_settings *settings,
                      struct xn_arena *arena, struct advert_offer *offer_out,
                      char *why_out, size_t why_len);

/* Split "a; b\; c" into trimmed parts "a" and "b; c"; empty ones are left
 * out.  *list_out is in the arena.  XN_ENOMEM; XN_ETOOBIG: more than max. */
int xenohostd_split(const char *text, char separator, size_t max,
                    struct xn_arena *arena, char ***list_out, size_t *n_out);

#endif
