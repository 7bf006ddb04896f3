/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a keeper's domain has used, and what is noted of it: a guest that boots
 * again is another domain, whose counters begin at zero, and the next keeper goes
 * on from what the last has written.  What is read never falls, and is never more
 * than was used. */
#ifndef KEEPER_DOMAIN_USE_H
#define KEEPER_DOMAIN_USE_H

#include "keeper/keeper.h"

/* What is known now: uuid, boots before, whether it runs or is saved.  XN_EIO. */
int domain_note(struct keeper *keeper);
/* That, of the keeper before; XN_ENOENT, XN_EINTEGRITY. */
int domain_noted(struct keeper *keeper);
/* What the last reading on record has; zeros: there is none.  *started_us_out:
 * wall, since when it ran by that; 0: not known. */
void domain_last_use(struct keeper *keeper, struct domain_use *out,
                     uint64_t *started_us_out);

/* A look, its CPU time taken.  XN_ENOENT: it is gone, or saved. */
int domain_look(struct domain *d, struct xen_look *out);
/* What its interface counts, if it has one. */
void domain_count(struct keeper *keeper);
/* Of all its boots. */
void domain_read(const struct domain *d, Xn__TaskReading *out);
/* What `all` has more than this boot is of boots before. */
void domain_use_before(struct domain *d, const struct domain_use *all);
/* What it used so far is of boots before. */
void domain_use_ends(struct domain *d);
/* The time that it was saved is over. */
void domain_saved_ends(struct domain *d);

#endif
