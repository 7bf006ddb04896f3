/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Identities in folders, registering over HTTPS, and what the pool signs,
 * verifies and issues. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/clock.h"
#include "wire/revoked.h"

static struct net_identity corp, other, node;
static char dir[64];

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_corp(&other, "beta.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_mkdir(dir);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&other);
    net_identity_clear(&node);
    kit_rmdir(dir);
    return 0;
}

static void corp_names(void **state)
{
    struct net_corp c;
    char text[200], hex[XN_ID_HEX];

    xn_id_hex(&corp.cert.id, hex);
    snprintf(text, sizeof text, "https://127.0.0.1:99/#%s", hex);
    assert_int_equal(net_corp_parse(text, &c), 0);
    assert_string_equal(c.url, "https://127.0.0.1:99");
    assert_true(c.pinned);
    assert_true(xn_id_eq(&c.id, &corp.cert.id));
    assert_int_equal(net_corp_parse("https://a.example", &c), 0);
    assert_false(c.pinned);
    assert_int_equal(net_corp_parse("http://a.example", &c), XN_EINVAL);
    assert_int_equal(net_corp_parse("https://", &c), XN_EINVAL);
    assert_int_equal(net_corp_parse("https://a#12", &c), XN_EINVAL);
    for (const char *p = "\"'\\{}$, \t\n\x01\x7f\xff"; *p; p++) {
        snprintf(text, sizeof text, "https://a%cb:1#%s", *p, hex);
        assert_int_equal(net_corp_parse(text, &c), XN_EINVAL);
    }
    assert_int_equal(net_corp_parse("https://[::1]:7400", &c), 0);
    memset(text, 'a', sizeof text);
    memcpy(text, "https://", 8);
    text[150] = '\0';
    assert_int_equal(net_corp_parse(text, &c), XN_ETOOBIG);
}

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void loads(void **state)
{
    struct net_identity got;

    assert_int_equal(net_identity_load(dir, &got), XN_ENOENT);
    assert_int_equal(xn_key_save(node.key, in_dir("key.pem")), 0);
    assert_int_equal(xn_cert_save(node.x509, in_dir("cert.pem")), 0);
    /* Nobody vouches for it here. */
    assert_int_equal(net_identity_load(dir, &got), XN_EIDENT);
    assert_int_equal(mkdir(in_dir("corps"), 0700), 0);
    assert_int_equal(xn_cert_save(corp.x509, in_dir("corps/a.pem")), 0);
    assert_int_equal(xn_cert_save(other.x509, in_dir("corps/b.pem")), 0);
    assert_int_equal(net_identity_load(dir, &got), 0);
    assert_true(xn_id_eq(&got.cert.id, &node.cert.id));
    assert_int_equal(got.cert.role, XN__ROLE__NODE);
    assert_int_equal(xn_anchors_count(got.anchors), 2);
    net_identity_clear(&got);
    assert_int_equal(chmod(in_dir("key.pem"), 0640), 0);
    assert_int_equal(net_identity_load(dir, &got), XN_EPERM);
    assert_int_equal(chmod(in_dir("key.pem"), 0600), 0);
    /* A certificate of another key. */
    assert_int_equal(xn_key_save(other.key, in_dir("key.pem")), 0);
    assert_int_equal(net_identity_load(dir, &got), XN_EIDENT);
}

static void corp_makes_itself(void **state)
{
    struct net_identity first, again;

    assert_int_equal(net_identity_corp("test", dir, "gamma.example", &first),
                     0);
    assert_int_equal(first.cert.role, XN__ROLE__CORP);
    assert_string_equal(first.cert.label, "gamma.example");
    assert_int_equal(net_identity_corp("test", dir, "delta.example", &again),
                     0);
    assert_true(xn_id_eq(&first.cert.id, &again.cert.id));
    assert_string_equal(again.cert.label, "gamma.example");
    net_identity_clear(&first);
    net_identity_clear(&again);
}

/* ---- a corp that registers everybody ----------------------------------- */

static void send_certificate(struct kit_core *core, const struct xn_event *ev,
                             struct xn_out *out)
{
    Xn__Answer answer = XN__ANSWER__INIT;
    uint8_t *der;
    size_t len;

    if (xn_cert_to_der(corp.x509, &der, &len)) abort();
    answer.status = 200;
    answer.content_type = (char *)(uintptr_t) "application/pkix-cert";
    answer.body.data = der;
    answer.body.len = len;
    xn_out_emit(out, XN_ACT_ANSWER, ev->ticket, XN_PEER_NONE, XN__KIND__ANSWER,
                &answer);
    free(der);
}

static void registers(struct kit_core *core, const struct xn_now *now,
                      const struct xn_event *ev, struct xn_out *out)
{
    Xn__Issue issue = XN__ISSUE__INIT;
    Xn__Registered registered = XN__REGISTERED__INIT;
    const Xn__Issued *issued;
    const Xn__Ask *ask;
    Xn__Register *body;

    if (ev->kind == XN_EV_DONE) {
        /* The ASK's ticket is the ISSUE's as well. */
        issued = ev->rc ? NULL : XN_BODY(ev->msg, Xn__Issued);
        if (!issued) {
            xn_out_refuse(out, ev->ticket, ev->rc, "not issued", "", "");
            return;
        }
        registered.certificate = issued->certificate;
        registered.corp = issued->corp;
        xn_out_answer(out, ev->ticket, 200, &registered);
    }
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/v1/certificate") == 0) {
        send_certificate(core, ev, out);
        return;
    }
    body = xn__register__unpack(NULL, ask->body.len, ask->body.data);
    if (!body) abort();
    if (strcmp(body->invitation, "please") != 0) {
        xn_out_refuse(out, ev->ticket, XN_EPERM, "cannot register",
                      "no invitation", "--invitation");
    } else {
        issue.csr = body->csr;
        issue.role = body->role;
        issue.label = body->label;
        issue.not_after_us = now->wall_us + 86400000000ULL;
        xn_out_emit(out, XN_ACT_ISSUE, ev->ticket, XN_PEER_NONE,
                    XN__KIND__ISSUE, &issue);
    }
    xn__register__free_unpacked(body, NULL);
}

static void enrols(void **state)
{
    struct net_config config = kit_config(&corp);
    struct kit_child child;
    struct net_corp at = {.pinned = true};
    struct net_enrolment e = {.program = "test",
                              .corp = &at,
                              .role = XN__ROLE__NODE,
                              .label = "otter",
                              .invitation = "please"};
    struct net_identity got, again;

    config.listen_links = NULL;
    kit_spawn(&config, registers, &child);
    snprintf(at.url, sizeof at.url, "https://%s", child.api);
    /* Another key answers there than was told. */
    at.id = other.cert.id;
    assert_int_equal(net_identity_enrol(dir, &e, &got), XN_EIDENT);
    assert_int_not_equal(access(in_dir("cert.pem"), F_OK), 0);
    at.id = corp.cert.id;
    e.invitation = "";
    assert_int_equal(net_identity_enrol(dir, &e, &got), XN_EPERM);
    e.invitation = "please";
    at.pinned = false;
    assert_int_equal(net_identity_enrol(dir, &e, &got), XN_EIDENT);
    at.pinned = true;
    assert_int_equal(net_identity_enrol(dir, &e, &got), 0);
    assert_int_equal(got.cert.role, XN__ROLE__NODE);
    assert_string_equal(got.cert.label, "otter");
    assert_true(xn_id_eq(&got.cert.corp, &corp.cert.id));
    assert_false(xn_id_is_zero(&got.cert.position));
    /* Once more is a renewal of the same name. */
    assert_int_equal(net_identity_enrol(dir, &e, &again), 0);
    assert_true(xn_id_eq(&got.cert.id, &again.cert.id));
    net_identity_clear(&got);
    net_identity_clear(&again);
    assert_int_equal(net_identity_load(dir, &got), 0);
    net_identity_clear(&got);
    kit_kill(&child, SIGTERM);
}

static void accepts(void **state)
{
    struct net_config config = kit_config(&corp);
    struct kit_child child;
    struct net_corp at = {.pinned = true, .id = corp.cert.id};
    struct net_identity me;

    config.listen_links = NULL;
    kit_spawn(&config, registers, &child);
    snprintf(at.url, sizeof at.url, "https://%s", child.api);
    kit_make_member(&other, XN__ROLE__NODE, "me", &me);
    assert_int_equal(net_identity_accept("test", dir, &at, &me), 0);
    assert_non_null(xn_anchors_find(me.anchors, &corp.cert.id));
    kit_kill(&child, SIGTERM);
    /* Known already: nobody needs to answer. */
    assert_int_equal(net_identity_accept("test", dir, &at, &me), 0);
    at.id = node.cert.id;
    assert_int_equal(net_identity_accept("test", dir, &at, &me), XN_EUNREACH);
    net_identity_clear(&me);
}

/* ---- SIGN, VERIFY, RANDOM ---------------------------------------------- */

struct documents {
    int step;
    struct xn_msg *document;
};

static void verify(struct documents *d, struct xn_out *out, uint64_t ticket,
                   uint64_t at_us, bool spoil)
{
    Xn__Verify body = XN__VERIFY__INIT;
    ProtobufCBinaryData data = XN_BODY(d->document, Xn__Signed)->data;

    body.form = XN__FORM__ENVELOPE;
    body.data = data;
    body.at_us = at_us;
    if (spoil) {
        body.data.data = malloc(data.len);
        memcpy(body.data.data, data.data, data.len);
        body.data.data[data.len - 1] ^= 1;
    }
    xn_out_emit(out, XN_ACT_VERIFY, ticket, XN_PEER_NONE, XN__KIND__VERIFY,
                &body);
    if (spoil) free(body.data.data);
}

/* By a node's key, which is no corp's. */
static void verify_list(struct xn_out *out, uint64_t ticket)
{
    Xn__Verify body = XN__VERIFY__INIT;
    uint8_t *payload = NULL;
    size_t len;

    body.form = XN__FORM__BLOB;
    body.context = (char *)(uintptr_t)REVOKED_CONTEXT;
    assert_int_equal(revoked_pack(NULL, 0, 1, 1, 2, &payload, &len), 0);
    assert_int_equal(blob_sign(payload, len, REVOKED_CONTEXT, node.key,
                               &body.data.data, &body.data.len),
                     0);
    xn_out_emit(out, XN_ACT_VERIFY, ticket, XN_PEER_NONE, XN__KIND__VERIFY,
                &body);
    free(payload);
    free(body.data.data);
}

static void check_verified(const struct xn_event *ev)
{
    const Xn__Verified *v = XN_BODY(ev->msg, Xn__Verified);
    xn_id id;

    assert_int_equal(v->payload.len, 5);
    assert_memory_equal(v->payload.data, "<ad/>", 5);
    assert_int_equal(xn_id_from_bytes(&v->signer->id, &id), 0);
    assert_true(xn_id_eq(&id, &node.cert.id));
}

static void documents(struct kit_core *core, const struct xn_now *now,
                      const struct xn_event *ev, struct xn_out *out)
{
    struct documents *d = core->ctx;
    Xn__Sign sign = XN__SIGN__INIT;
    Xn__Random random = XN__RANDOM__INIT;
    Xn__Probe probe = XN__PROBE__INIT;
    Xn__Issue issue = XN__ISSUE__INIT;

    if (ev->kind == XN_EV_WAKE && d->step == 0) {
        sign.form = XN__FORM__ENVELOPE;
        sign.payload.data = (uint8_t *)(uintptr_t) "<ad/>";
        sign.payload.len = 5;
        xn_out_emit(out, XN_ACT_SIGN, ++d->step, XN_PEER_NONE, XN__KIND__SIGN,
                    &sign);
    }
    if (ev->kind != XN_EV_DONE) return;
    assert_int_equal(ev->ticket, d->step);
    switch (d->step++) {
    case 1:
        assert_int_equal(ev->rc, 0);
        d->document = xn_msg_ref(ev->msg);
        verify(d, out, 2, 0, false);
        break;
    case 2:
        assert_int_equal(ev->rc, 0);
        check_verified(ev);
        verify(d, out, 3, 0, false); /* now from the cache */
        break;
    case 3:
        assert_int_equal(ev->rc, 0);
        check_verified(ev);
        /* What is remembered does not outlive its certificate. */
        verify(d, out, 4, node.cert.not_after_us + 3600000000ULL, false);
        break;
    case 4:
        assert_int_equal(ev->rc, XN_EEXPIRED);
        verify(d, out, 5, 0, true);
        break;
    case 5:
        assert_int_not_equal(ev->rc, 0);
        random.size = 32;
        xn_out_emit(out, XN_ACT_RANDOM, 6, XN_PEER_NONE, XN__KIND__RANDOM,
                    &random);
        break;
    case 6:
        assert_int_equal(ev->rc, 0);
        assert_int_equal(XN_BODY(ev->msg, Xn__Bytes)->data.len, 32);
        xn_out_emit(out, XN_ACT_ISSUE, 7, XN_PEER_NONE, XN__KIND__ISSUE,
                    &issue);
        break;
    case 7:
        assert_int_equal(ev->rc, XN_EPERM); /* a node is no corp */
        /* No such peer: refused, not forgotten. */
        xn_out_emit(out, XN_ACT_PROBE, 8, XN_PEER_NONE, XN__KIND__PROBE,
                    &probe);
        break;
    case 8:
        assert_int_equal(ev->rc, XN_EREFUSED);
        verify_list(out, 9);
        break;
    case 9:
        assert_int_equal(ev->rc, XN_EIDENT);
        kit_stop();
        break;
    default: break;
    }
}

static void signs_and_verifies(void **state)
{
    struct net_config config = kit_config(&node);
    struct net_driver *driver;
    struct documents d = {0};

    config.threads = 2;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, documents, &d);
    net_driver_free(driver);
    assert_int_equal(d.step, 10);
    xn_msg_free(d.document);
}

/* The end comes while much is under way. */
static void ends_busy(struct kit_core *core, const struct xn_now *now,
                      const struct xn_event *ev, struct xn_out *out)
{
    Xn__Sign sign = XN__SIGN__INIT;
    uint64_t i;

    if (ev->kind != XN_EV_WAKE) return;
    sign.payload.data = (uint8_t *)(uintptr_t) "<ad/>";
    sign.payload.len = 5;
    for (i = 1; i <= 3000; i++)
        xn_out_emit(out, XN_ACT_SIGN, i, XN_PEER_NONE, XN__KIND__SIGN, &sign);
    kit_stop();
    kit_stop();
}

static void ends_at_once_when_told_twice(void **state)
{
    struct net_config config = kit_config(&node);
    struct net_driver *driver;

    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, ends_busy, NULL);
    net_driver_free(driver);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(corp_names),
        TEST(loads),
        TEST(corp_makes_itself),
        TEST(enrols),
        TEST(accepts),
        TEST(signs_and_verifies),
        TEST(ends_at_once_when_told_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
