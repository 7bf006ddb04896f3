/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenohostd in a cluster, from its configuration: as the manager (cluster.members)
 * or as a member (cluster.manager). */
#ifndef HOSTAGENT_XENOHOSTD_CLUSTER_H
#define HOSTAGENT_XENOHOSTD_CLUSTER_H

#include "hostagent/host.h"
#include "hostagent/member.h"
#include "lib/arena.h"
#include "net/settings.h"

/* The members that it speaks for, if any; texts are in the arena.  XN_EINVAL,
 * XN_ENOMEM; why_out says what is wrong. */
int xenohostd_members(const struct net_settings *settings,
                      struct xn_arena *arena, struct host_config *config,
                      char *why_out, size_t why_len);

/* Is it to be a member? */
bool xenohostd_is_member(const struct net_settings *settings);
/* The machine's amounts as given, or found out.  As above. */
int xenohostd_member(const struct net_settings *settings,
                     struct xn_arena *arena, struct member_config *config,
                     char *why_out, size_t why_len);

#endif
