/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp's books must say after all that its clients and servers were
 * told, and whether they do, by `xenocorp audit verify` and `audit export`. */
#ifndef TESTS_SOAK_CORP_BOOKS_H
#define TESTS_SOAK_CORP_BOOKS_H

#include <uthash.h>

#include "wire/id.h"

enum book_what {
    BOOK_PAY,
    BOOK_ISSUE,
    BOOK_ACCEPT,
    BOOK_CHARGE,
    BOOK_STOP,
    BOOK_VOID,
};

enum book_told { BOOK_NOTHING, BOOK_DONE, BOOK_REFUSED };

struct book_op {
    xn_id id; /* of the operation of the ledger */
    enum book_what what;
    enum book_told told;
    xn_id from, to;      /* micro goes from the one to the other */
    xn_id back;          /* rest goes from `from` to this one */
    int64_t micro, rest; /* 0: nothing */
    bool seen;
    UT_hash_handle hh;
};

struct books;

struct books *books_new(const xn_id *corp);
void books_free(struct books *books);
/* An operation that will be asked for: owned by the books.  books_add when its
 * id is filled in.  A payment comes from the world. */
struct book_op *books_expect(struct books *books, enum book_what what);
void books_add(struct books *books, struct book_op *op);
/* The XenoCorp does not run.  Each operation that somebody was told is done is
 * there, once; none is that was refused, or that nobody asked for; each moves
 * what it must.  Ends the program where that is not so. */
void books_judge(struct books *books, const char *tool, const char *dir);
/* As the last books_judge saw it. */
int64_t books_balance(const struct books *books, const xn_id *account);
uint64_t books_seen(const struct books *books);

#endif
