/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core of a member: its manager's questions to xenodomd, and its news. */
#include "hostagent/member_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/rng.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define ARENA_MAX 8192
#define TEXT_MAX 1024
#define WAIT_MS_MAX 10000
#define CONSOLE_WAIT_MS_MAX 25000
#define ASK_US (29 * SECOND_US)
#define ASKS_MAX 512 /* under way */

static void drop_ends(struct member *m)
{
    for (size_t i = 0; i < ENDS_KEPT; i++) {
        if (m->ends[i]) xn__task_status__free_unpacked(m->ends[i], NULL);
        m->ends[i] = NULL;
    }
    m->seen = 0;
}

/* ---- news ---- */

void member_amounts(const struct member *m, Xn__Amounts *out)
{
    char *texts[5];

    for (size_t i = 0; i < 5; i++)
        texts[i] =
            (char *)(uintptr_t)(m->config.amounts[i] ? m->config.amounts[i]
                                                     : "");
    xn__amounts__init(out);
    out->cpu_smps = texts[0];
    out->memory_mb = texts[1];
    out->disk_gb = texts[2];
    out->net_mbps = texts[3];
    out->ipv4_addresses = texts[4];
}

static void describe(const struct member *m, Xn__Amounts *amounts,
                     Xn__Machine *out)
{
    member_amounts(m, amounts);
    xn__machine__init(out);
    out->life = m->life;
    out->seen = m->seen;
    out->up = m->up;
    out->exact = m->exact;
    out->xen = m->xen;
    out->pvh = m->pvh;
    out->bridge = m->bridge;
    out->disk_bytes = m->disk_bytes;
    out->no_xen = (char *)(uintptr_t)m->no_xen;
    out->amounts = amounts;
    out->images = m->config.images;
}

static void answer_watch(struct member *m, uint64_t ask, uint64_t seen)
{
    Xn__TaskStatus *ended[ENDS_KEPT];
    Xn__Amounts amounts;
    Xn__Machine body;

    describe(m, &amounts, &body);
    body.ended = ended;
    if (seen > m->seen || m->seen - seen > ENDS_KEPT)
        seen = m->seen < ENDS_KEPT ? 0 : m->seen - ENDS_KEPT;
    for (; seen < m->seen; seen++)
        ended[body.n_ended++] = m->ends[seen % ENDS_KEPT];
    xn_out_answer(&m->out, ask, 200, &body);
}

/* Who waits knows all that was before this one. */
static void tell(struct member *m, uint64_t seen)
{
    if (m->watch) answer_watch(m, m->watch, seen);
    if (m->timer) xn_ticket_forget(m->tickets, m->timer);
    m->watch = m->timer = 0;
}

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct member *m = owner;

    m->timer = 0;
    tell(m, m->seen);
}

static void on_watch(struct member *m, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    Xn__WatchMachine *want = xn_unpack(&xn__watch_machine__descriptor,
                                       question->body.data, question->body.len);

    if (!want || want->wait_ms > WAIT_MS_MAX) {
        xn_out_refuse(&m->out, ask, XN_EPROTO, WHAT,
                      "the body is not what this path takes",
                      "a WatchMachine as doc/PROTOCOL.md has it");
    } else if (want->life != m->life || want->seen != m->seen ||
               !want->wait_ms) {
        answer_watch(m, ask, want->life == m->life ? want->seen : m->seen);
    } else {
        tell(m, m->seen); /* one waits: the last who came */
        m->watch = ask;
        m->timer = xn_ticket(m->tickets, now->mono_us + want->wait_ms * 1000ULL,
                             on_time, m, NULL, &m->out);
    }
    if (want) xn__watch_machine__free_unpacked(want, NULL);
}

static void begin_life(struct member *m, const Xn__DomTell *told)
{
    m->life++;
    drop_ends(m);
    m->up = told != NULL;
    if (told) {
        m->exact = told->exact;
        m->xen = told->xen;
        m->pvh = told->pvh;
        m->bridge = told->bridge;
        m->disk_bytes = told->disk_bytes;
        snprintf(m->no_xen, sizeof m->no_xen, "%s", told->no_xen);
    }
    xn_out_log(&m->out, told ? XN_LOG_INFO : XN_LOG_WARN, "xenodomd is %s",
               told ? "there" : "gone");
    tell(m, 0);
}

static void take_ends(struct member *m, Xn__DomTell *told)
{
    uint64_t before = m->seen;

    for (size_t i = 0; i < told->n_tasks; i++) {
        Xn__TaskStatus **place = &m->ends[m->seen++ % ENDS_KEPT];

        if (*place) xn__task_status__free_unpacked(*place, NULL);
        *place = told->tasks[i];
    }
    told->n_tasks = 0; /* these are ours now */
    tell(m, before);
}

static void on_news(struct member *m, const Xn__News *news)
{
    Xn__DomTell *told = NULL;

    if (strcmp(news->kind, "domains-gone") == 0) {
        begin_life(m, NULL);
        return;
    }
    if (strcmp(news->kind, "domains") && strcmp(news->kind, "domain")) return;
    told = xn_unpack(&xn__dom_tell__descriptor, news->detail.data,
                     news->detail.len);
    if (!told) return;
    if (strcmp(news->kind, "domains") == 0)
        begin_life(m, told);
    else
        take_ends(m, told);
    xn__dom_tell__free_unpacked(told, NULL);
}

/* ---- questions to xenodomd ---- */

static void drop(struct member *m, struct asked *asked)
{
    DL_DELETE(m->asked, asked);
    m->n_asked--;
    free(asked);
}

static void on_done(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct member *m = owner;
    struct asked *asked = ctx;

    if (!rc && (!msg || msg->kind != asked->kind)) rc = XN_EPROTO;
    if (asked->ask && !rc) {
        xn_out_answer(out, asked->ask, 200, msg->body);
    } else if (asked->ask) {
        xn_out_refuse(out, asked->ask, rc, WHAT,
                      rc == XN_EUNREACH ? "its xenodomd is not there"
                                        : xn_strerror(rc),
                      "again in a second");
    }
    drop(m, asked);
}

static void pass_on(struct member *m, const struct xn_now *now, uint64_t ask,
                    unsigned kind, const void *body, unsigned answer)
{
    struct asked *asked;

    if (m->n_asked >= ASKS_MAX) {
        xn_out_refuse(&m->out, ask, XN_EBUSY, WHAT,
                      "too many questions wait for an answer already",
                      "when one of them has been answered");
        return;
    }
    asked = calloc(1, sizeof *asked);
    if (!asked) {
        m->out.rc = XN_ENOMEM;
        return;
    }
    asked->ask = ask;
    asked->kind = answer;
    DL_APPEND(m->asked, asked);
    m->n_asked++;
    asked->ticket = xn_ticket(m->tickets, now->mono_us + ASK_US, on_done, m,
                              asked, &m->out);
    if (asked->ticket)
        xn_out_emit(&m->out, XN_ACT_DOMAIN, asked->ticket, XN_PEER_NONE, kind,
                    body);
}

void member_malformed(struct member *m, uint64_t ask)
{
    xn_out_refuse(&m->out, ask, XN_EPROTO, WHAT,
                  "the body is not what this path takes",
                  "a DomAsk, AskConsole, AskStream or Fetch as "
                  "doc/PROTOCOL.md has it");
}

/* What its xenodomd is asked for by operators of the machine, or over a
 * connection of its own, is not among these. */
static bool may_pass(const Xn__DomAsk *want)
{
    switch (want->op) {
    case XN__DOM_OP__DOM_START: return want->spec != NULL;
    case XN__DOM_OP__DOM_LIST:
    case XN__DOM_OP__DOM_STATUS:
    case XN__DOM_OP__DOM_METER:
    case XN__DOM_OP__DOM_FLOWS:
    case XN__DOM_OP__DOM_STOP:
    case XN__DOM_OP__DOM_PAUSE:
    case XN__DOM_OP__DOM_RESUME:
    case XN__DOM_OP__DOM_FORGET:
    case XN__DOM_OP__DOM_INPUT:
    case XN__DOM_OP__DOM_LIFETIME: return true;
    default: return false;
    }
}

/* Folders are this machine's matter: that of the kernel, or one that it told as
 * an image's a moment ago.  false: it is to be fetched again. */
static bool set_folder(const struct member *m, const struct xn_now *now,
                       Xn__TaskSpec *spec)
{
    if (spec->runner == XN__RUNNER__XEN) {
        spec->image =
            (char *)(uintptr_t)(m->config.image ? m->config.image : "");
        return !spec->disk[0] || member_has_image(m, now, spec->disk);
    }
    return !spec->image[0] || member_has_image(m, now, spec->image);
}

static void on_domain(struct member *m, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question)
{
    Xn__DomAsk *want = xn_unpack(&xn__dom_ask__descriptor, question->body.data,
                                 question->body.len);
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    Xn__DomAsk body;

    if (!want || !may_pass(want)) {
        member_malformed(m, ask);
        goto out;
    }
    body = *want;
    if (want->spec) {
        spec = *want->spec;
        body.spec = &spec;
    }
    if (set_folder(m, now, &spec))
        pass_on(m, now, ask, XN__KIND__DOM_ASK, &body, XN__KIND__DOM_TELL);
    else
        xn_out_refuse(&m->out, ask, XN_EUNREACH, WHAT,
                      "its image is not held any more", "POST /v1/fetch");
out:
    if (want) xn__dom_ask__free_unpacked(want, NULL);
}

static void on_console(struct member *m, const struct xn_now *now, uint64_t ask,
                       const Xn__Ask *question)
{
    Xn__AskConsole *want = xn_unpack(&xn__ask_console__descriptor,
                                     question->body.data, question->body.len);

    if (!want || want->wait_ms > CONSOLE_WAIT_MS_MAX)
        member_malformed(m, ask);
    else
        pass_on(m, now, ask, XN__KIND__ASK_CONSOLE, want,
                XN__KIND__CONSOLE_PIECE);
    if (want) xn__ask_console__free_unpacked(want, NULL);
}

static const struct route {
    const char *path;
    void (*handle)(struct member *m, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
} routes[] = {
    {"/v1/console", on_console},      {"/v1/domain", on_domain},
    {"/v1/fetch", member_on_fetch},   {"/v1/machine", on_watch},
    {"/v1/stream", member_on_stream},
};

static bool is_manager(const struct member *m, const Xn__Caller *caller)
{
    xn_id id;

    return caller && caller->role == XN__ROLE__SERVER &&
           !xn_id_from_bytes(&caller->id, &id) &&
           xn_id_eq(&id, &m->config.manager);
}

static void on_ask(struct member *m, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question)
{
    if (member_is_self(m, question->caller)) {
        member_on_self(m, now, ask, question);
        return;
    }
    if (!is_manager(m, question->caller)) {
        m->refused++;
        xn_out_refuse(&m->out, ask, XN_EPERM, WHAT,
                      "it answers the manager of its cluster alone",
                      "the server that the manager advertises");
        return;
    }
    m->asked_us = now->wall_us;
    m->questions++;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].path, question->path) == 0 &&
            strcmp("POST", question->method) == 0) {
            routes[i].handle(m, now, ask, question);
            return;
        }
    }
    xn_out_refuse(&m->out, ask, XN_ENOENT, WHAT, "a member has no such path",
                  "POST /v1/machine, /v1/domain, /v1/console, /v1/fetch, "
                  "/v1/stream");
}

/* A console that nobody waits for any more is given up. */
static void on_cancel(struct member *m, uint64_t ask)
{
    struct asked *asked;

    if (m->watch == ask) {
        if (m->timer) xn_ticket_forget(m->tickets, m->timer);
        m->watch = m->timer = 0;
    }
    member_fetch_cancel(m, ask);
    member_stream_cancel(m, ask);
    DL_FOREACH(m->asked, asked)
    {
        if (asked->ask != ask) continue;
        asked->ask = 0;
        if (asked->kind == XN__KIND__CONSOLE_PIECE)
            xn_out_add(&m->out, XN_ACT_ABORT, asked->ticket, XN_PEER_NONE,
                       NULL);
    }
}

/* ---- the core ---- */

static int member_step(struct xn_core *core, const struct xn_now *now,
                       const struct xn_event *ev, struct xn_outbox *out)
{
    struct member *m = (struct member *)core;

    xn_out_reset(&m->out);
    switch (ev->kind) {
    case XN_EV_ASK:
        if (ev->msg && ev->msg->kind == XN__KIND__ASK)
            on_ask(m, now, ev->ticket, XN_BODY(ev->msg, Xn__Ask));
        break;
    case XN_EV_CANCEL: on_cancel(m, ev->ticket); break;
    case XN_EV_DONE:
        xn_ticket_end(m->tickets, ev->ticket, now, ev->rc, ev->msg, &m->out);
        break;
    case XN_EV_NEWS:
        if (ev->msg && ev->msg->kind == XN__KIND__NEWS)
            on_news(m, XN_BODY(ev->msg, Xn__News));
        break;
    default: break;
    }
    xn_tickets_run(m->tickets, now, &m->out);
    *out = xn_out_box(&m->out, xn_tickets_next(m->tickets));
    return m->out.rc;
}

static bool member_check(const struct xn_core *core, char *why_out, size_t len)
{
    const struct member *m = (const struct member *)core;

    if (xn_tickets_count(m->tickets) ==
        m->n_asked + m->n_streams + (m->timer != 0) + member_fetch_tickets(m))
        return true;
    snprintf(why_out, len, "member: questions and tickets do not match");
    return false;
}

static void member_free(struct xn_core *core)
{
    struct member *m = (struct member *)core;

    while (m->asked)
        drop(m, m->asked);
    drop_ends(m);
    member_streams_clear(m);
    member_fetch_clear(m);
    xn_tickets_free(m->tickets, NULL);
    xn_out_clear(&m->out);
    xn_arena_clear(&m->arena);
    free(m);
}

static const struct xn_core_ops member_ops = {"member", member_step,
                                              member_check, member_free};

static int keep(struct member *m, const char **text)
{
    if (!*text) return 0;
    if (strlen(*text) > TEXT_MAX) return XN_EINVAL;
    *text = xn_arena_strdup(&m->arena, *text);
    return *text ? 0 : XN_ENOMEM;
}

int member_new(const struct member_config *config, uint64_t seed,
               struct xn_core **core_out)
{
    struct member *m = NULL;
    struct xn_rng rng;
    int rc;

    if (xn_id_is_zero(&config->manager)) return XN_EINVAL;
    m = calloc(1, sizeof *m);
    if (!m) return XN_ENOMEM;
    m->core.ops = &member_ops;
    m->config = *config;
    xn_out_init(&m->out);
    xn_arena_init(&m->arena, ARENA_MAX);
    xn_rng_seed(&rng, seed);
    m->life = xn_rng_between(&rng, 1, UINT64_MAX / 2);
    rc = xn_tickets_new(&m->tickets);
    for (size_t i = 0; i < 5 && !rc; i++)
        rc = keep(m, &m->config.amounts[i]);
    if (!rc) rc = keep(m, &m->config.image);
    if (rc) goto out;
    *core_out = &m->core;
    m = NULL;
out:
    if (m) member_free(&m->core);
    return rc;
}

/* ---- recordings ---- */

int member_config_pack(const struct member_config *config, uint8_t **bytes_out,
                       size_t *len_out)
{
    Xn__MemberSetup setup = XN__MEMBER_SETUP__INIT;
    char *texts[5];

    for (size_t i = 0; i < 5; i++)
        texts[i] =
            (char *)(uintptr_t)(config->amounts[i] ? config->amounts[i] : "");
    setup.id = xn_id_bytes(&config->id);
    setup.manager = xn_id_bytes(&config->manager);
    setup.amounts = texts;
    setup.n_amounts = 5;
    setup.images = config->images;
    if (config->image) setup.image = (char *)(uintptr_t)config->image;
    return xn_pack(&setup, bytes_out, len_out);
}

int member_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                      struct xn_core **core_out)
{
    Xn__MemberSetup *setup = xn__member_setup__unpack(NULL, len, bytes);
    struct member_config config = {.image = NULL};
    int rc = XN_EINVAL;

    if (!setup) return XN_EINVAL;
    if (setup->n_amounts == 5 && !xn_id_from_bytes(&setup->id, &config.id) &&
        !xn_id_from_bytes(&setup->manager, &config.manager)) {
        for (size_t i = 0; i < 5; i++) {
            if (setup->amounts[i][0]) config.amounts[i] = setup->amounts[i];
        }
        if (setup->image[0]) config.image = setup->image;
        config.images = setup->images;
        rc = member_new(&config, seed, core_out);
    }
    xn__member_setup__free_unpacked(setup, NULL);
    return rc;
}
