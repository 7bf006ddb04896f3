/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Documents of money that somebody altered, and the stage on which they are
 * shown: two deals that are right, of which one goes on to a claim and a stop,
 * and everybody who might sign what is not his. */
#ifndef TESTS_UNIT_ALTERED_KIT_H
#define TESTS_UNIT_ALTERED_KIT_H

#include "tests/unit/corp_money_kit.h"
#include "wire/flat.h"

enum piece { ORDER, QUOTE, NARROWING, CLAIM, STOP, PIECES };
enum change { OTHER, OUT, IN, CHANGES };

struct stage {
    struct shop s;
    struct deal d;               /* all of it right, not accepted yet */
    struct deal e;               /* accepted, and claimed once */
    struct shop_doc claim, stop; /* what would come next of e */
    struct kit_party beta, beta_client, beta_server, self_made;
};

struct sealed {
    uint8_t *data;
    size_t len;
};

int stage_set_up(void **state);
int stage_tear_down(void **state);
#define STAGE_TEST(f)                                                          \
    cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

struct shop_doc *stage_doc(struct stage *t, enum piece piece);
/* Who may sign a document of that type. */
const struct kit_party *stage_signer(const struct stage *t,
                                     enum money_type type);

/* To the XenoCorp, as the piece of its deal, by him whose part that is.  The
 * refusal's rc. */
int stage_show(struct stage *t, enum piece piece, char because[300]);
/* The same with these bytes in its place. */
int stage_show_bytes(struct stage *t, enum piece piece, uint8_t *data,
                     size_t len, char because[300]);
/* All that was altered is forgotten: what is right is taken, and the books are
 * in order.  Once a stage. */
void stage_settled(struct stage *t);

/* Fails unless that is untrue or beyond a limit, and says why. */
void must_be_refused(int rc, const char *because, const char *kind,
                     const char *name, const char *field, enum change change);

/* The document's bytes with that change, the caller's (xn_buf_clear) in any
 * case; false: it makes no sense here.  What no writer says is written anyway
 * where that is possible. */
bool alter(const struct money *doc, const struct flat_field *field,
           enum change change, struct xn_buf *text);
/* Signed by him, whatever it says.  The caller frees the data. */
struct sealed seal_text(const struct xn_buf *text, const struct kit_party *by);

#endif
