/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A member of a cluster: whatever its manager and strangers ask, xenodomd says and
 * fetches come to, its state holds together, each question is answered once and
 * in time, and no folder goes to xenodomd but one that a fetch has told.
 *
 * The input is a row of steps: a byte for what happens, and what it takes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/member.h"
#include "lib/err.h"
#include "tests/fuzz/any_msg.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

#define WALL_US (1795255200ULL * 1000000)
#define SECOND_US 1000000ULL
#define ASKS 512
#define PENDING 1024
#define STEPS 400
#define IMAGE "/images/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct fuzz {
    struct xn_core *core;
    struct xn_now now;
    uint64_t wake_us;
    struct xn_action pending[PENDING];
    size_t n_pending;
    bool done[ASKS]; /* answered, or given up */
    unsigned asks;
    xn_id manager, own, stranger;
    struct any_pool pool;
    struct any_input in;
};

/* ---- the core ---- */

static void check_answer(struct fuzz *f, const struct xn_action *act)
{
    const Xn__Answer *answer = XN_BODY(act->msg, Xn__Answer);
    Xn__Refusal *refusal;

    assert(act->ticket > 0 && act->ticket <= f->asks);
    assert(!f->done[act->ticket - 1]);
    f->done[act->ticket - 1] = true;
    if (answer->status == 200) return;
    refusal = xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
    assert(refusal && refusal->rc < 0 && refusal->what[0] &&
           refusal->because[0] && refusal->try_[0]);
    xn__refusal__free_unpacked(refusal, NULL);
}

static void check_folder(const Xn__DomAsk *ask)
{
    if (ask->op != XN__DOM_OP__DOM_START) return;
    assert(ask->spec);
    if (ask->spec->runner == XN__RUNNER__XEN)
        assert(!strcmp(ask->spec->image, IMAGE "kernel"));
    else
        assert(!ask->spec->image[0] ||
               (!strncmp(ask->spec->image, IMAGE, strlen(IMAGE)) &&
                strcmp(ask->spec->image, IMAGE "kernel") != 0));
}

/* To its own xenodomd alone, and to a task's. */
static void check_stream(const struct fuzz *f, const Xn__AskStream *ask)
{
    assert(!ask->url[0] && !ask->peer_id.len && ask->name[0]);
    assert(ask->ask == f->asks && ask->port <= 65535);
    assert(ask->n_argv ? ask->argv[0][0] == '/' : ask->port > 0);
}

static void step(struct fuzz *f, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg)
{
    struct xn_event ev = {kind, ticket, rc, XN_PEER_NONE, msg};
    struct xn_outbox box;
    char why[128];

    assert(!xn_core_step(f->core, &f->now, &ev, &box));
    f->wake_us = box.wake_us;
    for (size_t i = 0; i < box.n; i++) {
        const struct xn_action *act = &box.act[i];

        if (act->kind == XN_ACT_ANSWER) {
            check_answer(f, act);
        } else if (act->kind == XN_ACT_DOMAIN || act->kind == XN_ACT_FETCH) {
            if (act->msg->kind == XN__KIND__DOM_ASK)
                check_folder(XN_BODY(act->msg, Xn__DomAsk));
            if (act->msg->kind == XN__KIND__ASK_STREAM)
                check_stream(f, XN_BODY(act->msg, Xn__AskStream));
            assert(f->n_pending < PENDING);
            f->pending[f->n_pending] = *act;
            xn_msg_ref(f->pending[f->n_pending++].msg);
        }
    }
    if (!xn_core_check(f->core, why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
}

static void pass(struct fuzz *f, uint64_t us)
{
    uint64_t till_us = f->now.mono_us + us;

    while (f->wake_us <= till_us) {
        uint64_t by_us =
            f->wake_us > f->now.mono_us ? f->wake_us - f->now.mono_us : 0;

        f->now.mono_us += by_us;
        f->now.wall_us += by_us;
        step(f, XN_EV_WAKE, 0, 0, NULL);
    }
    f->now.wall_us += till_us - f->now.mono_us;
    f->now.mono_us = till_us;
}

/* ---- what happens ---- */

static const struct path {
    const char *path;
    const ProtobufCMessageDescriptor *type;
} paths[] = {
    {"/v1/machine", &xn__watch_machine__descriptor},
    {"/v1/domain", &xn__dom_ask__descriptor},
    {"/v1/console", &xn__ask_console__descriptor},
    {"/v1/fetch", &xn__fetch__descriptor},
    {"/v1/stream", &xn__ask_stream__descriptor},
    {"/v1/status", NULL},
    {"/metrics", NULL},
};
enum { PATHS = sizeof paths / sizeof paths[0] };

static void ask(struct fuzz *f)
{
    Xn__Ask body = XN__ASK__INIT;
    Xn__Caller caller = XN__CALLER__INIT;
    unsigned how = any_byte(&f->in);
    const struct path *path = &paths[any_byte(&f->in) % PATHS];
    struct xn_msg *msg = NULL;
    uint8_t *packed = NULL;
    size_t len = 0;

    if (f->asks == ASKS) return;
    caller.id = xn_id_bytes(how % 16 == 0   ? &f->stranger
                            : how % 16 == 1 ? &f->own
                                            : &f->manager);
    caller.role = how % 32 == 2 ? XN__ROLE__ANYBODY : XN__ROLE__SERVER;
    if (how % 64 != 3) body.caller = &caller;
    body.method = (char *)(uintptr_t)(path->type ? "POST" : "GET");
    body.path = (char *)(uintptr_t)path->path;
    if (how >= 240) {
        body.body = any_raw(&f->in);
    } else if (path->type) {
        assert(!xn_pack(any_msg(&f->in, path->type), &packed, &len));
        body.body = (ProtobufCBinaryData){len, packed};
    }
    assert(!xn_msg_new(XN__KIND__ASK, &body, &msg));
    free(packed);
    step(f, XN_EV_ASK, ++f->asks, 0, msg);
    xn_msg_free(msg);
}

static void answer_fetch(struct fuzz *f, struct xn_msg **msg_out)
{
    Xn__Fetched body = XN__FETCHED__INIT;
    char path[40];

    snprintf(path, sizeof path, IMAGE "%u", any_byte(&f->in) % 4);
    body.path = path;
    body.rc = any_byte(&f->in) < 200 ? 0 : XN_ENOENT;
    assert(!xn_msg_new(XN__KIND__FETCHED, &body, msg_out));
}

/* A stream is answered by the driver, that carries it, or is to be refused. */
static bool carried(struct fuzz *f, const struct xn_action *act, bool well)
{
    if (act->msg->kind != XN__KIND__ASK_STREAM || !well) return false;
    if (any_byte(&f->in) % 2) return false;
    f->done[XN_BODY(act->msg, Xn__AskStream)->ask - 1] = true;
    return true;
}

static void finish(struct fuzz *f, size_t i, bool well)
{
    struct xn_action act = f->pending[i];
    struct xn_msg *msg = NULL;
    unsigned kind = XN__KIND__DOM_TELL;
    int rc = well ? 0 : -(int)(1 + any_byte(&f->in) % 32);

    f->pending[i] = f->pending[--f->n_pending];
    if (carried(f, &act, well)) {
        step(f, XN_EV_DONE, act.ticket, 0, NULL);
        xn_msg_free(act.msg);
        return;
    }
    if (act.msg->kind == XN__KIND__ASK_CONSOLE) kind = XN__KIND__CONSOLE_PIECE;
    if (well && act.kind == XN_ACT_FETCH)
        answer_fetch(f, &msg);
    else if (well)
        assert(!xn_msg_new(kind, any_msg(&f->in, xn_kind_type(kind)), &msg));
    step(f, XN_EV_DONE, act.ticket, rc, msg);
    xn_msg_free(msg);
    xn_msg_free(act.msg);
}

static void tell_news(struct fuzz *f)
{
    static const char *const kinds[] = {"domains", "domain", "domains-gone",
                                        "stop"};
    Xn__News news = XN__NEWS__INIT;
    struct xn_msg *msg = NULL;
    uint8_t *packed = NULL;
    size_t len = 0;

    news.kind = (char *)(uintptr_t)kinds[any_byte(&f->in) % 4];
    assert(!xn_pack(any_msg(&f->in, &xn__dom_tell__descriptor), &packed, &len));
    news.detail = (ProtobufCBinaryData){len, packed};
    if (any_byte(&f->in) >= 240) news.detail = any_raw(&f->in);
    assert(!xn_msg_new(XN__KIND__NEWS, &news, &msg));
    free(packed);
    step(f, XN_EV_NEWS, 0, 0, msg);
    xn_msg_free(msg);
}

static void happen(struct fuzz *f)
{
    unsigned what = any_byte(&f->in) % 16, which = any_byte(&f->in);

    if (what < 6) {
        ask(f);
    } else if (what < 9 && f->n_pending) {
        finish(f, which % f->n_pending, true);
    } else if (what < 10 && f->n_pending) {
        finish(f, which % f->n_pending, false);
    } else if (what < 12) {
        tell_news(f);
    } else if (what < 13 && f->asks) {
        which %= f->asks;
        if (f->done[which]) return;
        f->done[which] = true;
        step(f, XN_EV_CANCEL, which + 1, 0, NULL);
    } else {
        pass(f, which * SECOND_US / 4);
    }
}

/* ---- begin and end ---- */

static void carried_on(struct fuzz *f, const struct xn_action *act)
{
    if (act->msg->kind == XN__KIND__ASK_STREAM)
        f->done[XN_BODY(act->msg, Xn__AskStream)->ask - 1] = true;
}

static void fill_pool(struct any_pool *pool, const struct fuzz *f)
{
    static const char *const words[] = {
        "",        "one",     "two",
        IMAGE "0", IMAGE "1", IMAGE "kernel",
        "/etc",    "../..",   "https://image.example/a"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        pool->words[pool->n_words++] = words[i];
    pool->bytes[pool->n_bytes++] = xn_id_bytes(&f->manager);
    pool->bytes[pool->n_bytes++] = xn_id_bytes(&f->stranger);
    for (uint64_t i = 0; i < 12; i++)
        pool->numbers[pool->n_numbers++] = i;
    pool->numbers[pool->n_numbers++] = 10000;
    pool->numbers[pool->n_numbers++] = UINT64_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct member_config config = {.image = IMAGE "kernel", .images = true};
    struct fuzz *f = calloc(1, sizeof *f);
    struct xn_arena arena;

    assert(f);
    memset(f->manager.b, 1, XN_ID_SIZE);
    memset(f->own.b, 2, XN_ID_SIZE);
    memset(f->stranger.b, 3, XN_ID_SIZE);
    config.manager = f->manager;
    config.id = f->own;
    config.amounts[0] = "4000";
    assert(!member_new(&config, 7, &f->core));
    f->now = (struct xn_now){SECOND_US, WALL_US};
    f->wake_us = UINT64_MAX;
    fill_pool(&f->pool, f);
    xn_arena_init(&arena, 1 << 20);
    f->in = (struct any_input){data, data + len, &f->pool, &arena};
    for (unsigned i = 0; i < STEPS && f->in.at < f->in.end; i++) {
        happen(f);
        xn_arena_clear(&arena);
        xn_arena_init(&arena, 1 << 20);
    }
    while (f->n_pending > 0 && f->n_pending % 2)
        finish(f, 0, false);
    for (size_t i = 0; i < f->n_pending; i++) /* these last */
        carried_on(f, &f->pending[i]);
    pass(f, 2000 * SECOND_US); /* nobody waits for ever */
    for (unsigned i = 0; i < f->asks; i++)
        assert(f->done[i]);
    while (f->n_pending > 0)
        xn_msg_free(f->pending[--f->n_pending].msg);
    xn_arena_clear(&arena);
    xn_core_free(f->core);
    free(f);
    return 0;
}
