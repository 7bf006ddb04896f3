/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's staff and their running XenoCorp: asked over its own interface,
 * with its own key, from the machine that has the key. */
#ifndef CORP_XENOCORP_ASK_H
#define CORP_XENOCORP_ASK_H

#include "net/identity.h"
#include "wire/api.pb-c.h"

struct staff {
    const char *program, *what; /* for messages; "cannot pay in" */
    struct net_identity identity;
    struct net_corp corp;
};

/* An exit code; errors are told. */
int staff_open(struct staff *staff, const char *program, const char *what,
               const char *dir);
void staff_close(struct staff *staff);

/* 0 and the answer, the caller's (protobuf_c_message_free_unpacked); or a code
 * of lib/err.h, which has been told.  body: a message; NULL: it is a GET. */
int staff_ask(const struct staff *staff, const char *path, const void *body,
              const ProtobufCMessageDescriptor *type, void *answer_out);

#endif
