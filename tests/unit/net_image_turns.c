/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FETCH as an action: whose turn it is, and who waits for whom. */
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/image_kit.h"

struct play {
    struct fixture *f;
    struct image image;
    int done, cached, wrong, cancelled;
};

static void emit_fetch(struct xn_out *out, uint64_t ticket, const char *path,
                       const xn_id *id)
{
    Xn__Fetch fetch = XN__FETCH__INIT;
    char url[80];

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server.port, path);
    fetch.url = url;
    fetch.sha256 = xn_id_bytes(id);
    xn_out_emit(out, XN_ACT_FETCH, ticket, XN_PEER_NONE, XN__KIND__FETCH,
                &fetch);
}

static void on_play(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    struct play *p = core->ctx;
    xn_id other = {{3}};

    if (ev->kind == XN_EV_WAKE && !p->done && !server.asked) {
        for (uint64_t t = 1; t <= 3; t++) /* one after the other */
            emit_fetch(out, t, "/image", &p->image.id);
        emit_fetch(out, 4, "/image", &other);
        emit_fetch(out, 5, "/endless", &other); /* behind the one before */
        xn_out_add(out, XN_ACT_ABORT, 5, XN_PEER_NONE, NULL);
        core->wake_us = UINT64_MAX;
    } else if (ev->kind == XN_EV_DONE) {
        p->done++;
        if (ev->rc) {
            assert_int_equal(ev->ticket, 5);
            p->cancelled += ev->rc == XN_ECANCELLED;
        } else {
            p->cached += XN_BODY(ev->msg, Xn__Fetched)->cached;
            p->wrong += XN_BODY(ev->msg, Xn__Fetched)->rc == XN_EINTEGRITY;
        }
        if (p->done == 5) kit_stop();
    }
}

static void run_images(struct fixture *f, kit_on *on_event, void *ctx)
{
    struct net_identity corp, self;
    struct net_driver *driver;
    struct net_config config;

    image_cache_close(&f->cache);
    kit_make_corp(&corp, "corp");
    kit_make_member(&corp, XN__ROLE__SERVER, "server", &self);
    config = kit_config(&self);
    config.images = &f->config;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, on_event, ctx);
    net_driver_free(driver);
    assert_int_equal(image_cache_open(&f->cache, &f->config), 0);
    net_identity_clear(&self);
    net_identity_clear(&corp);
}

static void test_action(void **state)
{
    struct fixture *f = *state;
    struct play play = {.f = f, .image = make_image("bin/one", MB, 1)};

    serve_image(&play.image);
    run_images(f, on_play, &play);
    assert_int_equal(play.done, 5);
    assert_int_equal(play.cached, 2);
    assert_int_equal(play.wrong, 1);
    assert_int_equal(play.cancelled, 1);
    free(play.image.data);
}

/* One owner's slow images, more than are fetched at once and one of them by the same
 * hash, keep no other waiting. */
struct crowd {
    struct image image;
    unsigned silent; /* a port that takes connections and says nothing */
    int cancelled;
    bool begun, other;
};

static void emit_slow(struct xn_out *out, unsigned port, uint64_t ticket,
                      const xn_id *hash, uint8_t owned_by)
{
    Xn__Fetch fetch = XN__FETCH__INIT;
    xn_id owner = {{owned_by}};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    fetch.url = url;
    fetch.sha256 = xn_id_bytes(hash);
    fetch.owner = xn_id_bytes(&owner);
    xn_out_emit(out, XN_ACT_FETCH, ticket, XN_PEER_NONE, XN__KIND__FETCH,
                &fetch);
}

static void fetch_slow(struct crowd *c, struct xn_out *out, uint64_t ticket)
{
    xn_id hash = ticket == 1 ? c->image.id : (xn_id){{(uint8_t)ticket}};

    emit_slow(out, c->silent, ticket, &hash, 1);
}

static void on_crowd(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct crowd *c = core->ctx;

    if (ev->kind == XN_EV_WAKE && !c->begun) {
        c->begun = true;
        core->wake_us = UINT64_MAX;
        for (uint64_t t = 1; t <= NET_IMAGES_OWNER_ASKS_MAX + 1; t++)
            fetch_slow(c, out, t);
        emit_fetch(out, 100, "/image", &c->image.id);
    } else if (ev->kind == XN_EV_DONE && ev->ticket == 100) {
        c->other = !ev->rc && !XN_BODY(ev->msg, Xn__Fetched)->rc;
        for (uint64_t t = 1; t <= NET_IMAGES_OWNER_ASKS_MAX; t++)
            xn_out_add(out, XN_ACT_ABORT, t, XN_PEER_NONE, NULL);
    } else if (ev->kind == XN_EV_DONE) {
        c->cancelled += ev->rc == XN_ECANCELLED;
        if (ev->ticket > NET_IMAGES_OWNER_ASKS_MAX) /* one too many */
            assert_int_equal(ev->rc, XN_EBUSY);
        if (c->cancelled == NET_IMAGES_OWNER_ASKS_MAX) kit_stop();
    }
}

static void test_slow_owner(void **state)
{
    struct crowd crowd = {.image = make_image("bin/one", MB, 1)};
    struct fixture *f = *state;
    struct sockaddr_in at;
    int fd = bind_one(&at);

    assert_false(listen(fd, 64));
    crowd.silent = ntohs(at.sin_port);
    serve_image(&crowd.image);
    run_images(f, on_crowd, &crowd);
    assert_true(crowd.other);
    assert_int_equal(crowd.cancelled, NET_IMAGES_OWNER_ASKS_MAX);
    close(fd);
    free(crowd.image.data);
}

/* Owners of slow images, one more than there are places: what is there already
 * waits for none of them. */
struct siege {
    struct image image;
    unsigned silent;
    bool begun;
    unsigned cached, ended, cancelled;
};

static void on_siege(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct siege *s = core->ctx;

    if (ev->kind == XN_EV_WAKE && !s->begun) {
        s->begun = true;
        core->wake_us = UINT64_MAX;
        emit_fetch(out, 100, "/image", &s->image.id);
    } else if (ev->kind == XN_EV_DONE && ev->ticket == 100) {
        assert_false(XN_BODY(ev->msg, Xn__Fetched)->cached);
        for (uint8_t t = 1; t <= NET_IMAGES_AT_ONCE + 1; t++)
            emit_slow(out, s->silent, t, &(xn_id){{t}}, t);
        emit_slow(out, s->silent, 101, &s->image.id, 1);
        emit_slow(out, s->silent, 102, &s->image.id, 99);
    } else if (ev->kind == XN_EV_DONE && ev->ticket > 100) {
        assert_int_equal(s->ended, 0);
        s->cached += !ev->rc && XN_BODY(ev->msg, Xn__Fetched)->cached;
        for (uint8_t t = 1; s->cached == 2 && t <= NET_IMAGES_AT_ONCE + 1; t++)
            xn_out_add(out, XN_ACT_ABORT, t, XN_PEER_NONE, NULL);
    } else if (ev->kind == XN_EV_DONE) {
        s->cancelled += ev->rc == XN_ECANCELLED;
        if (++s->ended == NET_IMAGES_AT_ONCE + 1) kit_stop();
    }
}

static void test_siege(void **state)
{
    struct siege siege = {.image = make_image("bin/one", MB, 1)};
    struct fixture *f = *state;
    struct sockaddr_in at;
    int fd = bind_one(&at);

    assert_false(listen(fd, 64));
    siege.silent = ntohs(at.sin_port);
    serve_image(&siege.image);
    run_images(f, on_siege, &siege);
    assert_int_equal(siege.cached, 2);
    assert_int_equal(siege.cancelled, NET_IMAGES_AT_ONCE + 1);
    close(fd);
    free(siege.image.data);
}

/* A fetch has its time from its place on, a wait for one is bounded; whose fault it
 * is that there is none is told. */
struct clocks {
    unsigned silent, asks, ended;
    bool begun;
    struct {
        int rc;
        bool place; /* it had one */
    } got[NET_IMAGES_AT_ONCE + 2];
};

static void on_clocks(struct kit_core *core, const struct xn_now *now,
                      const struct xn_event *ev, struct xn_out *out)
{
    struct clocks *c = core->ctx;
    const Xn__Fetched *body;

    if (ev->kind == XN_EV_WAKE && !c->begun) {
        c->begun = true;
        core->wake_us = UINT64_MAX;
        for (unsigned t = 1; t <= c->asks; t++) /* the last is the first's */
            emit_slow(out, c->silent, t, &(xn_id){{(uint8_t)t}},
                      t == NET_IMAGES_AT_ONCE + 2 ? 1 : (uint8_t)t);
    } else if (ev->kind == XN_EV_DONE && !ev->rc) {
        body = XN_BODY(ev->msg, Xn__Fetched);
        c->got[ev->ticket - 1].rc = body->rc;
        c->got[ev->ticket - 1].place =
            strcmp(body->because, "fetching the image takes too long") == 0;
        if (++c->ended == (c->asks > NET_IMAGES_AT_ONCE + 1 ? 2 : c->asks))
            kit_stop();
    }
}

static void run_clocks(struct fixture *f, struct clocks *c)
{
    struct sockaddr_in at;
    int fd = bind_one(&at);

    assert_false(listen(fd, 64));
    c->silent = ntohs(at.sin_port);
    run_images(f, on_clocks, c);
    close(fd);
}

static void test_time_of_a_fetch(void **state)
{
    struct clocks c = {.asks = NET_IMAGES_AT_ONCE + 1};
    struct fixture *f = *state;

    f->config.fetch_us = 100000;
    run_clocks(f, &c);
    for (unsigned i = 0; i < c.asks; i++) {
        assert_int_equal(c.got[i].rc, XN_ETIMEOUT);
        assert_true(c.got[i].place);
    }
}

static void test_time_of_a_wait(void **state)
{
    struct clocks c = {.asks = NET_IMAGES_AT_ONCE + 2};
    struct fixture *f = *state;
    unsigned busy = 0;

    f->config.wait_us = 20000;
    run_clocks(f, &c);
    for (unsigned i = 0; i < c.asks - 1; i++) { /* who gets none is chance */
        busy += c.got[i].rc == XN_EBUSY;
        assert_false(c.got[i].place);
    }
    assert_int_equal(busy, 1);
    assert_int_equal(c.got[c.asks - 1].rc,
                     c.got[0].rc ? XN_EBUSY : XN_ETIMEOUT);
    assert_false(c.got[c.asks - 1].place);
}

/* Who waits for another's fetch of the same waits as for one of his own. */
struct twins {
    unsigned silent;
    bool begun;
    int rc;
};

static void on_twins(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct twins *t = core->ctx;

    if (ev->kind == XN_EV_WAKE && !t->begun) {
        t->begun = true;
        core->wake_us = UINT64_MAX;
        for (uint8_t i = 1; i <= 2; i++)
            emit_slow(out, t->silent, i, &(xn_id){{7}}, i);
    } else if (ev->kind == XN_EV_DONE) {
        t->rc = ev->rc ? ev->rc : XN_BODY(ev->msg, Xn__Fetched)->rc;
        kit_stop();
    }
}

static void test_twins(void **state)
{
    struct fixture *f = *state;
    struct twins twins = {0};
    struct sockaddr_in at;
    int fd = bind_one(&at);

    assert_false(listen(fd, 64));
    twins.silent = ntohs(at.sin_port);
    f->config.wait_us = 20000;
    run_images(f, on_twins, &twins);
    assert_int_equal(twins.rc, XN_ETIMEOUT);
    close(fd);
}

/* Others' images that are looked at are not waited for long. */
#define LOOKERS 32

struct looks {
    struct image image;
    bool begun;
    unsigned cached, busy;
};

static void on_looks(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct looks *l = core->ctx;
    const Xn__Fetched *body;

    if (ev->kind == XN_EV_WAKE && !l->begun) {
        l->begun = true;
        core->wake_us = UINT64_MAX;
        emit_fetch(out, 100, "/image", &l->image.id);
    } else if (ev->kind == XN_EV_DONE && ev->ticket == 100) {
        for (uint8_t t = 1; t <= LOOKERS; t++)
            emit_slow(out, server.port, t, &l->image.id, t);
    } else if (ev->kind == XN_EV_DONE) {
        assert_int_equal(ev->rc, 0);
        body = XN_BODY(ev->msg, Xn__Fetched);
        l->cached += body->cached;
        l->busy += body->rc == XN_EBUSY;
        if (l->cached + l->busy == LOOKERS) kit_stop();
    }
}

static void test_looks(void **state)
{
    struct looks looks = {.image = make_image("bin/one", MB, 1)};
    struct fixture *f = *state;

    serve_image(&looks.image);
    f->config.look_us = 1;
    run_images(f, on_looks, &looks);
    assert_true(looks.cached >= NET_IMAGES_LOOKS);
    assert_true(looks.busy > 0);
    free(looks.image.data);
}

int main(void)
{
#define TEST(fn)                                                               \
    cmocka_unit_test_setup_teardown(fn, cache_setup, cache_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_action),          TEST(test_slow_owner),     TEST(test_siege),
        TEST(test_time_of_a_fetch), TEST(test_time_of_a_wait), TEST(test_twins),
        TEST(test_looks),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
