/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenosim with a bug planted in the node code, to see a campaign find it:
 * --set plant.bug=owner.  The linker puts the functions below in the place of
 * the node's own (--wrap in sim/local.mk); what ships knows nothing of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"
#include "sim/cli.h"
#include "sim/with_node.h"

enum bug {
    NONE,
    OWNER,      /* answers for its neighbour */
    FORGET,     /* says that an ad is durable, and has not written it */
    MERGE,      /* whom it could not reach once it never tries again */
    QUEUE,      /* timers that are put off are never taken out */
    SILENCE,    /* some questions are never answered */
    WITHDRAWAL, /* withdrawals are forgotten once everybody in sight knows */
    BUGS
};

static const char *const names[BUGS] = {
    "none", "owner", "forget", "merge", "queue", "silence", "withdrawal"};

/* The node's own functions have no room for a pointer of ours. */
static enum bug planted;
static int (*real_set)(void *user, const char *key, const char *value);

/* ---- owner ---- */

enum hop __real_route_choose(const struct ov *ov, const struct xn_now *now,
                             const struct query *q, struct link **link_out);
enum hop __wrap_route_choose(const struct ov *ov, const struct xn_now *now,
                             const struct query *q, struct link **link_out);

enum hop __wrap_route_choose(const struct ov *ov, const struct xn_now *now,
                             const struct query *q, struct link **link_out)
{
    enum hop hop = __real_route_choose(ov, now, q, link_out);

    if (planted != OWNER || hop != HOP_ON || !*link_out) return hop;
    if ((*link_out)->peer != ring_peer(ov, ring_cw(ov, 1))) return hop;
    if (route_why(ov, now, q, *link_out) != XN__WAY__WAY_OWNER) return hop;
    *link_out = NULL;
    return HOP_HERE;
}

/* ---- forget ---- */

void __real_xis_write_ad(struct xis_writes *writes, const struct xis_ad *ad);
void __wrap_xis_write_ad(struct xis_writes *writes, const struct xis_ad *ad);

void __wrap_xis_write_ad(struct xis_writes *writes, const struct xis_ad *ad)
{
    if (planted == FORGET && ad->server.b[0] < 192) return;
    __real_xis_write_ad(writes, ad);
}

/* ---- merge ---- */

void __real_hint_failed(struct ov *ov, const struct xn_now *now,
                        struct hint *hint, bool full);
void __wrap_hint_failed(struct ov *ov, const struct xn_now *now,
                        struct hint *hint, bool full);

void __wrap_hint_failed(struct ov *ov, const struct xn_now *now,
                        struct hint *hint, bool full)
{
    xn_id id = hint->id;

    __real_hint_failed(ov, now, hint, full);
    if (planted != MERGE || full) return;
    hint = hint_find(ov, &id);
    if (hint && !hint->ticket) hint_drop(ov, hint);
}

/* ---- queue ---- */

void *__real_xn_ticket_forget(struct xn_tickets *tickets, uint64_t ticket);
void *__wrap_xn_ticket_forget(struct xn_tickets *tickets, uint64_t ticket);

static void nothing(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    (void)owner, (void)ctx, (void)now, (void)rc, (void)msg, (void)out;
}

void *__wrap_xn_ticket_forget(struct xn_tickets *tickets, uint64_t ticket)
{
    struct xn_out out;

    if (planted == QUEUE) {
        xn_out_init(&out);
        xn_ticket(tickets, UINT64_MAX / 2, nothing, NULL, NULL, &out);
        xn_out_clear(&out);
    }
    return __real_xn_ticket_forget(tickets, ticket);
}

/* ---- silence ---- */

void __real_ov_answer(struct ov *ov, const struct xn_now *now, uint64_t token,
                      int rc, unsigned kind, const void *body,
                      struct xn_out *out);
void __wrap_ov_answer(struct ov *ov, const struct xn_now *now, uint64_t token,
                      int rc, unsigned kind, const void *body,
                      struct xn_out *out);

static const struct query *query_of(const struct ov *ov, uint64_t number)
{
    size_t i;

    for (i = 0; i < ov->queries.n; i++) {
        const struct query *q = ov->queries.v[i];

        if (q->number == number) return q;
    }
    return NULL;
}

void __wrap_ov_answer(struct ov *ov, const struct xn_now *now, uint64_t token,
                      int rc, unsigned kind, const void *body,
                      struct xn_out *out)
{
    const struct query *q = planted == SILENCE ? query_of(ov, token) : NULL;

    if (q && !q->direct && q->from && q->key.b[1] < 8) return;
    __real_ov_answer(ov, now, token, rc, kind, body, out);
}

/* ---- withdrawal ---- */

void __real_xis_pub_tidy(struct xis *xis, const struct xn_now *now,
                         struct xis_pub *pub);
void __wrap_xis_pub_tidy(struct xis *xis, const struct xn_now *now,
                         struct xis_pub *pub);

void __wrap_xis_pub_tidy(struct xis *xis, const struct xn_now *now,
                         struct xis_pub *pub)
{
    size_t i;

    __real_xis_pub_tidy(xis, now, pub);
    if (planted != WITHDRAWAL || pub->op || !pub->ad->withdrawn) return;
    for (i = 0; i < pub->n_places; i++) {
        if (pub->places[i].state != XIS_DONE) return;
    }
    xis_pub_forget(xis, pub);
}

/* ---- the program ---- */

static int set(void *user, const char *key, const char *value)
{
    size_t i;

    if (strcmp(key, "plant.bug") != 0) return real_set(user, key, value);
    for (i = 0; i < BUGS; i++) {
        if (strcmp(value, names[i]) != 0) continue;
        planted = (enum bug)i;
        return 0;
    }
    return XN_EINVAL;
}

int main(int argc, char **argv)
{
    struct sim_cli cli = {
        .program = "plantsim",
        .purpose = "Run the node code with a bug planted in it.",
    };
    struct sim_nodes *nodes;
    int rc = sim_nodes_new(&nodes);

    if (rc) return XN_EXIT_FAILED;
    sim_nodes_maker(nodes, &cli.maker);
    sim_nodes_probe(nodes, &cli.probe);
    real_set = cli.probe.set;
    cli.probe.set = set;
    rc = sim_cli_main(&cli, argc, argv);
    sim_nodes_free(nodes);
    return rc;
}
