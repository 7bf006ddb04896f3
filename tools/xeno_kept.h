/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sessions that the state folder knows of: where they are and whose order
 * pays for them, so that SESSION alone says which one is meant.
 *
 *     sessions/SESSION    JSON, "xeno.kept/1"
 *
 * A session that is not there can still be reached by naming its server. */
#ifndef TOOLS_XENO_KEPT_H
#define TOOLS_XENO_KEPT_H

#include "tools/xeno_server.h"
#include "wire/token.h"

#define XENO_KEPT_MAX 4096 /* sessions */
#define XENO_URL_MAX 200
#define XENO_DOING_MAX 160
#define XENO_SERVER_NAME_MAX (XN_VALUE_MAX + 1)

struct xeno_kept {
    xn_id session, corp, serial;     /* serial: of the order; zero: unknown */
    char server[XENO_URL_MAX];       /* URL#ID, where it was last */
    char name[XENO_SERVER_NAME_MAX]; /* its ServerName; may be empty */
    char doing[XENO_DOING_MAX];      /* its first command; may be empty */
    uint64_t since_us;
};

/* A ServerName (NULL: none) as it is kept: whole, or not at all, since nobody is
 * called by a part of it. */
void xeno_kept_name(const char *name, char out[XENO_SERVER_NAME_MAX]);
/* Durable.  An exit code; errors are told. */
int xeno_kept_put(const struct xeno *xeno, const struct xeno_kept *kept);
/* It has ended and there is nothing more to be asked of it. */
void xeno_kept_drop(const struct xeno *xeno, const xn_id *session);
/* All of them, the oldest first, with the damaged left out; free(*kept_out).
 * An exit code. */
int xeno_kept_all(const struct xeno *xeno, struct xeno_kept **kept_out,
                  size_t *n_out);
/* The one that `text` means: SESSION or the first digits of it (4 at least),
 * and /N where task_out is not NULL (0: the last task).  An exit code; errors
 * are told. */
int xeno_kept_find(const struct xeno *xeno, const char *text,
                   struct xeno_kept *kept_out, uint32_t *task_out);

/* Where nobody or another answers at `url`, which `server` stands for, its
 * advertisement is got by its id.  True: it has moved, which is told; both are of
 * its new address. */
bool xeno_seek(const struct xeno *xeno, struct xeno_member *server,
               char url[XENO_URL_MAX]);

/* A session with us in front of its server, wherever that is now. */
struct xeno_place {
    struct xeno_kept kept;
    struct xeno_member member; /* at its XenoCorp */
    struct xeno_member server; /* nothing of it to clear */
    uint32_t task;
};
int xeno_place(const struct xeno *xeno, const char *text,
               struct xeno_place *place_out);
void xeno_place_clear(struct xeno_place *place);

#endif
