/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plays a daemon's recording back into a core made from the same
 * configuration and compares what it does, step by step. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "seam/record.h"
#include "sim/cli.h"

#define RECORDING_MAX (1U << 31)

struct player {
    const struct sim_cli *cli;
    const char *path;
    struct xn_contact *rows;
    size_t cap;
    struct xn_peers peers; /* the core's: handles as recorded */
    struct xn_core *core;
    uint64_t steps;
};

static int complain(const struct player *p, int rc, const char *why)
{
    xn_gripef(p->cli->program, "cannot replay [XS-1-REPLAY]",
              "a file that a daemon wrote with --record",
              "%s: after %llu steps: %s", p->path, (unsigned long long)p->steps,
              why);
    return rc;
}

/* The driver fills a peer's row before it hands out the handle with UP. */
static int fill_row(struct player *p, const struct xn_event *ev)
{
    const Xn__Up *up;

    if (ev->kind != XN_EV_UP) return 0;
    if (!ev->msg || ev->msg->kind != XN__KIND__UP) return XN_EPROTO;
    if (ev->peer >= p->cap) {
        size_t cap = p->cap ? p->cap : 64;
        struct xn_contact *rows;

        if (ev->peer >= XN_PEERS_MAX) return XN_EPROTO;
        while (cap <= ev->peer)
            cap *= 2;
        rows = realloc(p->rows, cap * sizeof *rows);
        if (!rows) return XN_ENOMEM;
        memset(rows + p->cap, 0, (cap - p->cap) * sizeof *rows);
        p->rows = rows;
        p->cap = cap;
        p->peers.rows = rows;
        p->peers.n = cap;
    }
    up = XN_BODY(ev->msg, Xn__Up);
    return up->who ? xn_contact_of(up->who, &p->rows[ev->peer]) : XN_EPROTO;
}

/* Does the event carry what a core may rely on? */
static bool sound(const struct player *p, const struct xn_event *ev)
{
    switch (ev->kind) {
    case XN_EV_UP:
    case XN_EV_GONE: return ev->peer < p->cap && ev->msg;
    case XN_EV_MSG:
        return ev->peer < p->cap && ev->msg && xn_kind_is_wire(ev->msg->kind);
    case XN_EV_ASK: return ev->msg && ev->msg->kind == XN__KIND__ASK;
    default: return true;
    }
}

static int play_one(struct player *p, const struct xn_now *now,
                    const struct xn_event *ev, const xn_id *recorded)
{
    struct xn_outbox box;
    xn_id digest;
    int rc = fill_row(p, ev);

    if (rc || !sound(p, ev))
        return complain(p, XN_EPROTO, "an event is malformed");
    rc = xn_core_step(p->core, now, ev, &box);
    if (rc) return complain(p, XN_EPROTO, "the core's step failed");
    xn_record_digest(&box, &digest);
    if (xn_id_eq(&digest, recorded)) {
        p->steps++;
        return 0;
    }
    xn_gripef(p->cli->program, "the replay differs [XS-1-REPLAY]",
              "the same version of the program that recorded",
              "step %llu (%s at %llu us) gave %zu actions, not those recorded",
              (unsigned long long)p->steps + 1, xn_ev_name(ev->kind),
              (unsigned long long)now->mono_us, box.n);
    return XN_EINTEGRITY;
}

static int play(struct player *p, struct xn_replay *replay)
{
    struct xn_event ev;
    struct xn_now now;
    xn_id recorded;
    int rc;

    for (;;) {
        rc = xn_replay_next(replay, &now, &ev, &recorded);
        if (rc == XN_ENOENT) return 0;
        if (rc) {
            return complain(p, rc,
                            rc == XN_EINTEGRITY
                                ? "the next record was changed"
                                : "the next record is malformed");
        }
        rc = play_one(p, &now, &ev, &recorded);
        xn_msg_free(ev.msg);
        if (rc) return rc;
    }
}

int sim_replay(const struct sim_cli *cli, const char *path)
{
    struct player p = {.cli = cli, .path = path};
    struct xn_buf buf;
    Xn__Recording *head = NULL;
    struct xn_replay replay;
    int rc;

    xn_buf_init(&buf, RECORDING_MAX);
    rc = xn_file_read(path, &buf);
    if (rc) {
        complain(&p, rc, xn_file_why(rc));
        goto out;
    }
    replay = (struct xn_replay){buf.data, buf.len, 0};
    rc = xn_replay_head(&replay, &head);
    if (rc) {
        rc = complain(&p, XN_EPROTO, "not a recording");
        goto out;
    }
    rc = cli->replayed(head, &p.peers, &p.core);
    if (rc) {
        rc = complain(&p, XN_EPROTO,
                      "made by another program, or its configuration is "
                      "malformed");
        goto out;
    }
    rc = play(&p, &replay);
    if (!rc) {
        printf("steps %llu count\nrecorded.version %s text\n",
               (unsigned long long)p.steps, head->version);
    }
out:
    xn_core_free(p.core);
    if (head) xn__recording__free_unpacked(head, NULL);
    free(p.rows);
    xn_buf_clear(&buf);
    return rc;
}
