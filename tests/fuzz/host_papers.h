/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Papers of an extension, for a fuzzed host agent: their envelopes are the
 * documents' own texts, and who signed one is told by what it is. */
#ifndef TESTS_FUZZ_HOST_PAPERS_H
#define TESTS_FUZZ_HOST_PAPERS_H

#include "wire/order.h"
#include "wire/overlay.pb-c.h"

struct papers_ids {
    xn_id me, corp, holder, session;
};

/* An ExtendSession, the caller's (free).  how: its word, and what is not as it
 * should be. */
ProtobufCBinaryData papers_extend(const struct papers_ids *ids, unsigned how,
                                  uint64_t wall_us);
/* Who signed that; false: it is no document. */
bool papers_signer(const struct papers_ids *ids, ProtobufCBinaryData text,
                   Xn__Caller *signer_out);
/* What the XenoCorp says to such a Validate: a Validated, the caller's; no data: the
 * order is over. */
ProtobufCBinaryData papers_validated(const struct papers_ids *ids,
                                     ProtobufCBinaryData validate, unsigned how,
                                     uint64_t wall_us);

#endif
