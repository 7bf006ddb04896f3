/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger of a XenoCorp that does not run: made, audited, copied.  Each
 * works on DIR/store.kct, tells its errors with xn_gripe and returns an exit
 * code. */
#ifndef CORP_XENOCORP_BOOKS_H
#define CORP_XENOCORP_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/id.h"

/* An empty ledger; refused where there is one. */
int books_init(const char *program, const char *dir, const xn_id *corp);
/* DIR/ledger says that there is or was a ledger: one that is missing then was
 * lost, and is not begun anew. */
bool books_were_kept(const char *dir);
int books_note(const char *program, const char *dir);
/* Read everything, add everything up, say what there is.  expect_seq 0: no
 * receipt. */
int books_verify(const char *program, const char *dir, uint64_t expect_seq,
                 const xn_id *expect_hash, bool json);
/* Every operation as one line of JSON on standard output. */
int books_export(const char *program, const char *dir);
/* All records into one file, with a checksum over the whole. */
int books_backup(const char *program, const char *dir, const char *file);
/* A store from such a file; refused where there is one. */
int books_restore(const char *program, const char *dir, const char *file);

#endif
