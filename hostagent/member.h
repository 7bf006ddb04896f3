/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A member of a cluster: the agent on a machine that another one, its manager,
 * speaks for.  It advertises and sells nothing and keeps nothing: what its manager
 * asks of its xenodomd it asks there, and it tells what ends.  Whoever is not its
 * manager, by its key, is refused; but its own key is told how it is.  (The manager's side: machine.h.) */
#ifndef HOSTAGENT_MEMBER_H
#define HOSTAGENT_MEMBER_H

#include "seam/xn_core.h"
#include "wire/id.h"

struct member_config {
    xn_id id; /* its own: of its operator, to whom it tells how it is */
    xn_id manager;
    /* What the machine is, in the order of Amounts; NULL: none of that.  Copied,
     * as all texts. */
    const char *amounts[5];
    const char *image; /* the folder with the kernel of domains; NULL: none */
    bool images;       /* tasks may bring one: FETCH */
};

/* XN_ENOMEM; XN_EINVAL: no manager, or texts that are too long. */
int member_new(const struct member_config *config, uint64_t seed,
               struct xn_core **core_out);

/* The configuration as bytes (an Xn__MemberSetup), for the head of a recording;
 * *bytes_out is the caller's (free). */
int member_config_pack(const struct member_config *config, uint8_t **bytes_out,
                       size_t *len_out);
/* A core from such bytes.  XN_EINVAL. */
int member_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                      struct xn_core **core_out);

#endif
