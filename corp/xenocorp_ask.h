/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's staff and their running XenoCorp: asked over its own interface,
 * with its own key, from the machine that has the key. */
#ifndef CORP_XENOCORP_ASK_H
#define CORP_XENOCORP_ASK_H

#include <stdbool.h>

#include "net/identity.h"
#include "wire/api.pb-c.h"

struct staff {
    const char *program, *what; /* for messages; "cannot pay in" */
    const char *conflict;       /* what a conflict means here; may be NULL */
    struct net_identity identity;
    struct net_corp corp;
};

/* Does the folder hold a key? */
bool staff_is_corp(const char *dir);
/* The XenoCorp's own identity, which must be there; an exit code. */
int staff_load(const char *program, const char *what, const char *dir,
               struct net_identity *identity_out);

/* An exit code; errors are told. */
int staff_open(struct staff *staff, const char *program, const char *what,
               const char *dir);
void staff_close(struct staff *staff);

/* 0 and the answer, the caller's (protobuf_c_message_free_unpacked); or a code
 * of lib/err.h, which has been told.  body: a message; NULL: it is a GET. */
int staff_ask(const struct staff *staff, const char *path, const void *body,
              const ProtobufCMessageDescriptor *type, void *answer_out);

/* The three lines; returns the exit code of rc. */
int staff_gripe(const struct staff *staff, int rc, const char *because,
                const char *try);

/* The one member ("client", "server") whose id begins with the word, of `least`
 * digits or more: where money moves, as many as the lists show.  The caller's,
 * with one entry.  An exit code; errors are told. */
int staff_member(const struct staff *staff, const char *role, const char *word,
                 size_t least, Xn__Members **member_out);
/* Is it the beginning of an id at all?  kind: "order". */
int staff_digits(const struct staff *staff, const char *kind, const char *word,
                 size_t least);

/* Digits of an id that the lists show. */
#define STAFF_SHOWN 12
#define STAFF_LEAST 4

#endif
