/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the running xenohostd tells its operator: for the verbs that show it. */
#ifndef HOSTAGENT_XENOSERVER_VIEW_H
#define HOSTAGENT_XENOSERVER_VIEW_H

#include "hostagent/xenoserver.h"
#include "wire/ad.h"

#define SESSION_STATES 8
#define VIEW_PAGES_MAX 64 /* of 64 sessions: as many as it can remember */

struct view {
    const struct net_identity *identity; /* lent */
    const char *state; /* "offered", "publishing", "drained", "lapsed",
                          "starting", "silent", "member" */
    Xn__HostStatus *status;
    struct ad_lease lease;
    bool has_lease, has_sessions;
    Xn__Sessions *pages[VIEW_PAGES_MAX];
    size_t n_pages;
    unsigned sessions[SESSION_STATES]; /* by state */
    /* What keeps claims from being taken, and of how many sessions. */
    unsigned troubled;
    char trouble[300]; /* of the first */
};

/* XN_E codes of asking it; errors are told unless quiet.  view_clear in any
 * case. */
int view_ask(const struct server *server, const struct net_identity *identity,
             bool quiet, struct view *view_out);
/* Only has `method` and `path` done, and what its answer tells. */
int view_order(const struct server *server, const struct net_identity *identity,
               const char *what, const char *method, const char *path,
               struct view *view_out);
void view_clear(struct view *view);

const char *view_session_state(unsigned state); /* "running" */

#endif
