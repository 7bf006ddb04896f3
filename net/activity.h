/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Activity notes of a server as people and programs read them: what xenoserver
 * and xeno have in common. */
#ifndef NET_ACTIVITY_H
#define NET_ACTIVITY_H

#include <stdbool.h>

#include "wire/api.pb-c.h"
#include "wire/id.h"

struct net_activity {
    const char *program;
    const xn_id *session; /* NULL: of all */
    bool json;            /* "xeno.activity/1" */
    /* A page of them; 0, or a code of lib/err.h, which has been told. */
    int (*ask)(void *arg, const char *path, Xn__ActivityNotes **page_out);
    void *arg;
};

/* Asks page by page, and prints all.  An exit code; errors are told. */
int net_activity_show(const struct net_activity *activity);

#endif
