/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain that waits in a file of its session's for the machine to be there
 * again: `memory` has what its memory and its processors held, and the note says
 * that it is saved.  From the note on the domain that was there has stopped for
 * good, until the next note the one that is made of the file never ran: so
 * whoever is killed, there is one of them, and what it used is counted once.
 *
 *   suspended > memory.new, own-disk on the disk > memory > note: saved > gone
 *   made of memory > note: not saved > runs > memory is deleted */
#ifndef KEEPER_DOMAIN_SAVE_H
#define KEEPER_DOMAIN_SAVE_H

#include "keeper/keeper.h"

/* Takes about as long as its memory takes to the disk.  What fails is told by
 * d->unsaved, and the domain is suspended at the worst. */
void domain_save(struct keeper *keeper);
/* What is due for one that is saved.  Not 0: it cannot be restored, and
 * keeper->because says why. */
int domain_keep_saved(struct keeper *keeper);
/* That of the keeper before, which the note says is saved. */
int domain_find_saved(struct keeper *keeper);
/* Half a file, or one that was restored. */
void domain_drop_unsaved(struct keeper *keeper);

#endif
