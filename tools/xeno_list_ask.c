/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each server is asked for its list, several servers at once.  A server bounds
 * how often it is asked, so that no session is asked for by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno_list.h"

enum { AT_ONCE = 16 };

struct source {                /* a server */
    struct xeno_member server; /* nothing of it to clear */
    struct xeno_row **rows;    /* in order of ids */
    size_t n, told;            /* of them the first are told */
    int rc;                    /* of what it was asked last */
    /* ---- while it is asked ---- */
    xn_id after; /* zero: from the first on */
    char path[40 + XN_ID_HEX];
    struct xeno_question question;
    struct xeno_asking asking;
    struct xeno_why why;
};

struct sources {
    struct xeno_row **rows;
    struct source *all;
    size_t n;
};

struct meter {
    struct xeno_row *row;
    struct source *source;
    char path[60 + XN_ID_HEX];
    struct xeno_question question;
    struct xeno_asking asking;
};

bool xeno_row_ended(const struct xeno_row *row)
{
    return row->rc == XN_ENOENT ||
           (row->now &&
            (row->now->state == XN__SESSION_STATE__SESSION_ENDED ||
             row->now->state == XN__SESSION_STATE__SESSION_REFUSED));
}

/* Takes the session; NULL: rc says why. */
static void settle(struct xeno_row *row, int rc, Xn__HostSession *now)
{
    if (row->now) xn__host_session__free_unpacked(row->now, NULL);
    row->now = now;
    row->rc = rc;
}

/* ---- who is asked ---- */

static int by_server(const struct xeno_row *a, const struct xeno_row *b)
{
    if (a->member != b->member) return a->member < b->member ? -1 : 1;
    return strcmp(a->kept.server, b->kept.server);
}

static int by_place(const void *a, const void *b)
{
    const struct xeno_row *const *x = a, *const *y = b;
    int order = by_server(*x, *y);

    return order ? order : xn_id_cmp(&(*x)->kept.session, &(*y)->kept.session);
}

static void fail(struct source *s, int rc, const struct xeno_why *why)
{
    s->rc = rc;
    for (; s->told < s->n; s->told++) {
        settle(s->rows[s->told], rc, NULL);
        s->rows[s->told]->why = *why;
    }
}

/* What has ended does not change: it is asked about once. */
static int gather(struct xeno_list *list, struct sources *out)
{
    static const struct xeno_why none = {.because = "that is no server"};
    size_t n = 0;

    out->n = 0;
    out->rows = calloc(list->n + 1, sizeof *out->rows);
    out->all = calloc(list->n + 1, sizeof *out->all);
    if (!out->rows || !out->all) return xeno_no_memory();
    for (size_t i = 0; i < list->n; i++) {
        struct xeno_row *row = &list->rows[i];

        if (!row->member) row->rc = XN_EIDENT;
        if (row->member && !xeno_row_ended(row)) out->rows[n++] = row;
    }
    qsort(out->rows, n, sizeof *out->rows, by_place);
    for (size_t i = 0; i < n; i++) {
        if (!i || by_server(out->rows[i - 1], out->rows[i]))
            out->all[out->n++].rows = &out->rows[i];
        out->all[out->n - 1].n++;
    }
    for (size_t i = 0; i < out->n; i++) {
        struct source *s = &out->all[i];

        if (xeno_server_as(s->rows[0]->kept.server, s->rows[0]->member,
                           &s->server))
            fail(s, XN_EIDENT, &none);
    }
    return XN_EXIT_OK;
}

/* ---- their lists ---- */

static xn_id before(const xn_id *id)
{
    xn_id less = *id;

    for (size_t i = XN_ID_SIZE; i-- && less.b[i]-- == 0;) {}
    return xn_id_is_zero(id) ? *id : less;
}

/* From the next row on: of a long list with few rows, few pages. */
static void begin_page(const struct xeno_list *list, struct source *s)
{
    char hex[XN_ID_HEX];

    s->after = before(&s->rows[s->told]->kept.session);
    xn_id_hex(&s->after, hex);
    snprintf(s->path, sizeof s->path, "/v1/sessions?after=%s", hex);
    s->question = (struct xeno_question){
        .what = "cannot tell the sessions",
        .method = "GET",
        .path = s->path,
        .answer = &xn__sessions__descriptor,
        .none = XN_EPROTO, /* of a list, not of a session */
        .patient = true,
        .why = &s->why,
    };
    xeno_ask_begin(list->xeno, &s->server, &s->question, &s->asking);
}

/* Those before `id`, which is in the list, are not; NULL: none of the rest is. */
static void pass(struct source *s, const xn_id *id)
{
    while (s->told < s->n &&
           (!id || xn_id_cmp(&s->rows[s->told]->kept.session, id) < 0))
        settle(s->rows[s->told++], XN_ENOENT, NULL);
}

/* As asked for, and where it goes on, not with nothing: so each page tells of a
 * row at least. */
static bool is_in_order(const struct source *s, const Xn__Sessions *page)
{
    xn_id last = s->after, id;

    for (size_t i = 0; i < page->n_sessions; i++) {
        if (xn_id_from_bytes(&page->sessions[i]->session, &id) ||
            xn_id_cmp(&id, &last) <= 0)
            return false;
        last = id;
    }
    return !page->more || page->n_sessions;
}

static void take_page(struct source *s, Xn__Sessions *page)
{
    for (size_t i = 0; i < page->n_sessions; i++) {
        xn_id id;

        (void)xn_id_from_bytes(&page->sessions[i]->session, &id);
        pass(s, &id);
        if (s->told == s->n) return;
        if (!xn_id_eq(&s->rows[s->told]->kept.session, &id)) continue;
        settle(s->rows[s->told++], 0, page->sessions[i]);
        page->sessions[i] = NULL; /* the row's now */
    }
    if (!page->more) pass(s, NULL);
}

static void end_page(struct source *s)
{
    static const struct xeno_why bad = {
        .rc = XN_EPROTO,
        .because = "its list is out of order",
        .try = "another version of xeno",
    };
    Xn__Sessions *page = NULL;
    int rc = xeno_ask_end(&s->asking, &page);

    if (rc)
        fail(s, rc, &s->why);
    else if (is_in_order(s, page))
        take_page(s, page);
    else
        fail(s, XN_EPROTO, &bad);
    if (page) xn__sessions__free_unpacked(page, NULL);
}

/* One page of each. */
static void ask_pages(const struct xeno_list *list, struct source **asked,
                      size_t n)
{
    struct xeno_asking *askings[AT_ONCE];

    for (size_t i = 0; i < n; i++) {
        begin_page(list, asked[i]);
        askings[i] = &asked[i]->asking;
    }
    xeno_ask_await_all(list->xeno, askings, n);
    for (size_t i = 0; i < n; i++)
        end_page(asked[i]);
}

static void ask_lists(const struct xeno_list *list, struct sources *sources)
{
    size_t n;

    do {
        struct source *asked[AT_ONCE];

        n = 0;
        for (size_t i = 0; i < sources->n && n < AT_ONCE; i++) {
            struct source *s = &sources->all[i];

            if (s->told < s->n) asked[n++] = s;
        }
        ask_pages(list, asked, n);
    } while (n);
}

/* ---- what their tasks use ---- */

/* A session tells of its task what the last claim knew; the task itself is
 * asked for what its meter says now. */
static bool begin_meter(const struct xeno_list *list, struct meter *m)
{
    const Xn__HostTask *task = m->row->now ? m->row->now->task : NULL;
    char hex[XN_ID_HEX];

    if (m->source->rc || !task || task->state == XN__TASK_STATE__ENDED)
        return false;
    xn_id_hex(&m->row->kept.session, hex);
    snprintf(m->path, sizeof m->path, "/v1/tasks?session=%s&task=%u", hex,
             (unsigned)task->task);
    m->question = (struct xeno_question){
        .what = "cannot tell the tasks",
        .method = "GET",
        .path = m->path,
        .answer = &xn__host_task__descriptor,
        .patient = true,
        .quiet = true,
    };
    xeno_ask_begin(list->xeno, &m->source->server, &m->question, &m->asking);
    return true;
}

static bool is_mute(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EBUSY;
}

/* Where it does not tell, what the claim knew stays. */
static void end_meters(const struct xeno_list *list, struct meter *meters,
                       size_t n)
{
    struct xeno_asking *askings[AT_ONCE];

    for (size_t i = 0; i < n; i++)
        askings[i] = &meters[i].asking;
    xeno_ask_await_all(list->xeno, askings, n);
    for (size_t i = 0; i < n; i++) {
        Xn__HostSession *now = meters[i].row->now;
        Xn__HostTask *task = NULL;
        int rc = xeno_ask_end(&meters[i].asking, &task);

        if (is_mute(rc)) meters[i].source->rc = rc;
        if (rc) continue;
        xn__host_task__free_unpacked(now->task, NULL);
        now->task = task;
    }
}

static void ask_meters(const struct xeno_list *list, struct sources *sources)
{
    struct meter meters[AT_ONCE];
    size_t n = 0;

    for (size_t i = 0; i < sources->n; i++) {
        struct source *s = &sources->all[i];

        for (size_t j = 0; j < s->n; j++) {
            meters[n].row = s->rows[j];
            meters[n].source = s;
            if (begin_meter(list, &meters[n])) n++;
            if (n < AT_ONCE) continue;
            end_meters(list, meters, n);
            n = 0;
        }
    }
    end_meters(list, meters, n);
}

/* How much of a CPU it used since it was asked before, else since its start. */
static void take_share(struct xeno_row *row)
{
    const Xn__HostTask *task = row->now ? row->now->task : NULL;
    uint64_t now_us = net_wall_us(), since_us, before_ns = 0;

    row->share = -1;
    if (!task || task->state == XN__TASK_STATE__ENDED) return;
    since_us = task->started_us;
    if (row->read_us && row->task == task->task &&
        task->cpu_ns >= row->cpu_ns) {
        since_us = row->read_us;
        before_ns = row->cpu_ns;
    }
    if (now_us > since_us)
        row->share = (double)(task->cpu_ns - before_ns) / 1e3 /
                     (double)(now_us - since_us);
    row->read_us = now_us;
    row->cpu_ns = task->cpu_ns;
    row->task = task->task;
}

int xeno_list_ask(struct xeno_list *list, bool meters)
{
    struct sources sources;
    int code = gather(list, &sources);

    if (!code) {
        ask_lists(list, &sources);
        if (meters) ask_meters(list, &sources);
        for (size_t i = 0; i < sources.n; i++) {
            for (size_t j = 0; j < sources.all[i].n; j++)
                take_share(sources.all[i].rows[j]);
        }
    }
    free(sources.all);
    free(sources.rows);
    return code;
}
