/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom a search for the nodes nearest to a key has heard of, by claimed
 * position, nearest first.
 *
 * A claim is what somebody (a source) says: a node, where it stands on the ring,
 * where it can be reached.  It counts once that node has been met: id and
 * position are its certificate's then.  What a source says costs a bounded
 * number of dials, and takes nothing from what others say: each is believed in
 * its nearest few, claims of one node that differ stand side by side, and who
 * has named several that were not there is not believed any more. */
#ifndef OVERLAY_CLAIMS_H
#define OVERLAY_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "overlay/ov.h"

#define SOURCES_MAX 32U     /* bits of claim.by */
#define CLAIMS_OF_ONE 8U    /* of one source, kept */
#define CLAIMS_WRONG_MAX 3U /* of one source, before it is believed no more */
#define CLAIMS_FIRST 2U     /* of one source, met whatever others say */
#define CLAIM_NONE SIZE_MAX

enum claim_state {
    CLAIM_HEARD,
    CLAIM_DIALLED,
    CLAIM_FAILED, /* it is not there */
    CLAIM_PROVED, /* this and all behind it: met */
    CLAIM_ASKED,  /* who is nearest */
    CLAIM_TOLD,
    CLAIM_MUTE, /* gave no answer */
};

struct claim {
    xn_id id, position;
    char address[OV_ADDRESS_MAX + 1];
    enum claim_state state;
    uint32_t by;   /* sources */
    bool is_start; /* asked wherever it stands */
    bool is_first; /* among the nearest CLAIMS_FIRST that a source has named */
    bool again;    /* met, and dialled once more when its link was gone */
    uint8_t looks; /* while it is dialled: after two it is late, and others are
                      dialled beside it */
};

struct claims {
    xn_id key;
    uint64_t reach; /* who stands this near knows some beside the key */
    struct claim *v;
    size_t n, cap;
    unsigned sources;
    uint8_t wrong[SOURCES_MAX];
};

void claims_init(struct claims *claims, const xn_id *key, uint64_t reach);
void claims_clear(struct claims *claims);

/* A number for one who says something; SOURCES_MAX: no more. */
unsigned claims_source(struct claims *claims);
/* It says so; address "" or longer than OV_ADDRESS_MAX: ignored.  false: out of
 * memory. */
bool claims_say(struct claims *claims, unsigned source, const xn_id *id,
                const xn_id *position, const char *address);
/* A node that is met, as its certificate says, there (NULL: where somebody said,
 * if anybody did): all else that was claimed of it goes.  CLAIM_NONE: out of
 * memory; else where it is. */
size_t claims_prove(struct claims *claims, const xn_id *id,
                    const xn_id *position, const char *address);
/* It is not where this says it is. */
void claims_fail(struct claims *claims, size_t i);

/* One to dial: of the `want` nearest, as far as each source is believed, those
 * that are being dialled counted in; or one of the nearest CLAIMS_FIRST that some
 * source has named, within reach: whoever does not lie knows who is nearest, or
 * knows one who does, whatever liars say of nodes that are nearer still; and of
 * two that it names one may lie.  CLAIM_NONE: nobody.  O(n). */
size_t claims_next(struct claims *claims, size_t want);
/* Has each of the `want` nearest been named by two, or met? */
bool claims_agree(const struct claims *claims, size_t want);
/* Is this among the `want` nearest that are met, or would it be; or among
 * the first of one source? */
bool claims_counts(const struct claims *claims, size_t i, size_t want);
/* The rank-th nearest that is met; CLAIM_NONE. */
size_t claims_met(const struct claims *claims, size_t rank);
/* Met and in this state, or dialled: by id.  CLAIM_NONE. */
size_t claims_find(const struct claims *claims, const xn_id *id,
                   enum claim_state state);

#endif
