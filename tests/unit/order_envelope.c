/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signed for real, or saying who would have: a hundred times as fast. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/order_run.h"

static const char mark[4] = "FAKE";

static uint8_t *fake_envelope(const uint8_t *xml, size_t len, const xn_id *by,
                              Xn__Role role, size_t *len_out)
{
    uint8_t *out = malloc(sizeof mark + 1 + XN_ID_SIZE + len);

    assert_non_null(out);
    memcpy(out, mark, sizeof mark);
    out[sizeof mark] = (uint8_t)role;
    memcpy(out + sizeof mark + 1, by->b, XN_ID_SIZE);
    memcpy(out + sizeof mark + 1 + XN_ID_SIZE, xml, len);
    *len_out = sizeof mark + 1 + XN_ID_SIZE + len;
    return out;
}

void run_seal(struct run *run, struct shop_doc *doc,
              const struct shop_member *by)
{
    struct xn_buf xml;

    if (!run->fake) {
        shop_seal(doc, &by->party);
        return;
    }
    shop_doc_clear(doc);
    xn_buf_init(&xml, MONEY_BYTES_MAX);
    doc->doc.head.by = by->id;
    assert_int_equal(money_write(&doc->doc, &xml), 0);
    doc->data =
        fake_envelope(xml.data, xml.len, &by->id, by->caller.role, &doc->len);
    xn_buf_clear(&xml);
}

void run_fake_sign(struct run *run)
{
    struct xn_action act = crank_take(&run->s->c, XN_ACT_SIGN);
    const Xn__Sign *sign = XN_BODY(act.msg, Xn__Sign);
    Xn__Signed out = XN__SIGNED__INIT;

    out.data.data =
        fake_envelope(sign->payload.data, sign->payload.len, &run->s->corp_id,
                      XN__ROLE__CORP, &out.data.len);
    crank_done(&run->s->c, &act, 0, XN__KIND__SIGNED, &out);
    free(out.data.data);
}

void run_fake_verify(struct run *run)
{
    struct xn_action act = crank_take(&run->s->c, XN_ACT_VERIFY);
    const Xn__Verify *verify = XN_BODY(act.msg, Xn__Verify);
    const uint8_t *data = verify->data.data;
    const size_t lead = sizeof mark + 1 + XN_ID_SIZE;
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer = XN__CALLER__INIT;

    CHECK(run, verify->data.len > lead && !memcmp(data, mark, sizeof mark));
    signer.role = data[sizeof mark];
    signer.id = (ProtobufCBinaryData){XN_ID_SIZE, (uint8_t *)(uintptr_t)data +
                                                      sizeof mark + 1};
    signer.corp = xn_id_bytes(&run->s->corp_id);
    out.signer = &signer;
    out.payload = (ProtobufCBinaryData){verify->data.len - lead,
                                        (uint8_t *)(uintptr_t)data + lead};
    crank_done(&run->s->c, &act, 0, XN__KIND__VERIFIED, &out);
}

/* What came from the corp. */
void run_open(struct run *run, enum money_type type, ProtobufCBinaryData from,
              struct money *out)
{
    const size_t lead = sizeof mark + 1 + XN_ID_SIZE;
    struct money_refusal why;

    if (run->fake) {
        CHECK(run, from.len > lead);
        CHECK(run, money_parse(type, from.data + lead, from.len - lead, out,
                               NULL, 0) == 0);
    } else {
        CHECK(run, money_open(type, from.data, from.len, run->s->anchors,
                              run_now(run), out, &why) == REASON_FINE);
    }
}
