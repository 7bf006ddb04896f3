/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a keeper's domain comes to be, by its spec, and how it goes. */
#ifndef KEEPER_DOMAIN_MAKE_H
#define KEEPER_DOMAIN_MAKE_H

#include "keeper/keeper.h"
#include "keeper/spec.h"

#define DOMAIN_NAME_MAX (SPEC_NAME_MAX + 8)

/* keeper->because, where it says nothing yet: that, and what Xen said last. */
void domain_say(struct keeper *keeper, const char *what);
void domain_name(const struct keeper *keeper, char out[DOMAIN_NAME_MAX]);

/* One that did not exist before, noted before it does, or (`saved` is a file, else
 * -1) the one that was saved there.  It stands, with its console open.  Not 0:
 * keeper->because says why; d->there: there may be a part of it. */
int domain_make(struct keeper *keeper, int saved);
/* Its last reading comes first.  d->there afterwards: it could not be. */
void domain_destroy(struct keeper *keeper);

int domain_open_console(struct keeper *keeper);
void domain_close_console(struct keeper *keeper);
/* Of its console, what is still on its way. */
void domain_last_words(struct keeper *keeper);

#endif
