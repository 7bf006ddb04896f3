/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding the overlay: remembered peers first, then the corps' samples.  Once
 * linked, a node needs nobody in particular; it goes on announcing itself so
 * that others can find it. */
#include "lib/err.h"
#include "lib/log.h"
#include "node/state.h"
#include "wire/nest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBER_MAX = 64, URL_MAX = 256, LINKS_ENOUGH = 4 };

#define CALL_US 10000000
#define SAMPLE_RETRY_US 3000000 /* while hardly linked */
#define REMEMBER_US 30000000

static const char peers_key[] = "node/peers";

static void join_sample(struct node *node, const struct xn_now *now,
                        const uint8_t *data, size_t len, struct xn_out *out)
{
    Xn__Sample *sample = xn_unpack(&xn__sample__descriptor, data, len);

    if (!sample) return;
    ov_join(node->ov, now, sample->nodes, sample->n_nodes, out);
    xn__sample__free_unpacked(sample, NULL);
}

/* ---- peers remembered over restarts ---- */

static void peers_read(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    const Xn__Records *records;

    (void)ctx;
    if (rc || !msg || msg->kind != XN__KIND__RECORDS) return;
    records = XN_BODY(msg, Xn__Records);
    if (records->n_records == 0) return;
    join_sample(node, now, records->records[0]->value.data,
                records->records[0]->value.len, out);
}

static void read_peers(struct node *node, const struct xn_now *now,
                       struct xn_out *out)
{
    Xn__Read read = XN__READ__INIT;
    uint64_t ticket = xn_ticket(node->tickets, now->mono_us + CALL_US,
                                peers_read, node, NULL, out);

    read.prefix.data = (uint8_t *)(uintptr_t)peers_key;
    read.prefix.len = sizeof peers_key - 1;
    read.limit = 1;
    xn_out_emit(out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ, &read);
}

static void write_peers(struct node *node, const uint8_t *data, size_t len,
                        struct xn_out *out)
{
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};

    write.key.data = (uint8_t *)(uintptr_t)peers_key;
    write.key.len = sizeof peers_key - 1;
    write.value.data = (uint8_t *)(uintptr_t)data;
    write.value.len = len;
    txn.writes = writes;
    txn.n_writes = 1;
    xn_out_emit(out, XN_ACT_TXN, 0, XN_PEER_NONE, XN__KIND__TXN, &txn);
}

void node_corps_remember(struct node *node, struct xn_out *out)
{
    Xn__Contact contacts[REMEMBER_MAX], *rows[REMEMBER_MAX];
    Xn__Sample sample = XN__SAMPLE__INIT;
    size_t i, n, len;
    uint8_t *data = NULL;

    if (!node->peers_changed) return;
    n = ov_sample(node->ov, REMEMBER_MAX, contacts);
    if (n == 0) return; /* better old peers than none */
    for (i = 0; i < n; i++)
        rows[i] = &contacts[i];
    sample.nodes = rows;
    sample.n_nodes = n;
    if (xn_pack(&sample, &data, &len)) return;
    write_peers(node, data, len, out);
    free(data);
}

static void remember(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;

    (void)ctx, (void)now, (void)rc, (void)msg;
    node_corps_remember(node, out);
    node->peers_changed = false;
}

void node_corps_changed(struct node *node, const struct xn_now *now,
                        struct xn_out *out)
{
    uint64_t pause;

    if (node->peers_changed) return;
    pause = xn_rng_between(&node->rng, REMEMBER_US / 2, REMEMBER_US);
    node->peers_changed = xn_ticket(node->tickets, now->mono_us + pause,
                                    remember, node, NULL, out) != 0;
}

/* ---- corps ---- */

static void call_corp(struct node *node, const struct xn_now *now,
                      const char *corp, const char *method, const char *path,
                      const void *body, xn_ended *fn, struct xn_out *out)
{
    Xn__Call call = XN__CALL__INIT;
    uint8_t *packed = NULL;
    char url[URL_MAX];
    size_t len = strcspn(corp, "#");
    uint64_t ticket;
    xn_id id;

    if (body && xn_pack(body, &packed, &call.body.len)) {
        out->rc = XN_ENOMEM;
        return;
    }
    ticket =
        xn_ticket(node->tickets, now->mono_us + CALL_US, fn, node, NULL, out);
    snprintf(url, sizeof url, "%.*s%s", (int)len, corp, path);
    /* Or any node that a corp has certified could stand in its place, and say
     * who the others are. */
    if (corp[len]) {
        if (xn_id_unhex(corp + len + 1, strlen(corp + len + 1), &id)) {
            memset(&id, 0, sizeof id); /* nobody's */
        }
        call.peer_id = xn_id_bytes(&id);
    }
    call.method = (char *)(uintptr_t)method;
    call.url = url;
    call.patience_ms = CALL_US / 1000;
    call.body.data = packed;
    xn_out_emit(out, XN_ACT_CALL, ticket, XN_PEER_NONE, XN__KIND__CALL, &call);
    free(packed);
}

static void sampled(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    const Xn__Answer *answer;

    (void)ctx;
    if (rc || !msg || msg->kind != XN__KIND__ANSWER) {
        xn_out_log(out, XN_LOG_INFO, "no sample of nodes from a corp: %s",
                   xn_strerror(rc));
        return;
    }
    answer = XN_BODY(msg, Xn__Answer);
    if (answer->status != 200) return;
    join_sample(node, now, answer->body.data, answer->body.len, out);
}

/* With the answer comes a list of revoked keys, where we lack one. */
static void take_list(struct node *node, const struct xn_now *now,
                      const ProtobufCBinaryData *body, struct xn_out *out)
{
    Xn__Sample *sample =
        xn_unpack(&xn__sample__descriptor, body->data, body->len);

    if (!sample) return;
    node_revoked_offer(node, now, &sample->revoked, out);
    xn__sample__free_unpacked(sample, NULL);
}

static void announced(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    (void)ctx;
    if (!rc && (!msg || msg->kind != XN__KIND__ANSWER)) rc = XN_EPROTO;
    if (rc) {
        xn_out_log(out, XN_LOG_INFO, "cannot announce to a corp: %s",
                   xn_strerror(rc));
    } else if (XN_BODY(msg, Xn__Answer)->status != 200) {
        xn_out_log(out, XN_LOG_WARN, "a corp refuses our announcement: HTTP %d",
                   (int)XN_BODY(msg, Xn__Answer)->status);
    } else {
        take_list(owner, now, &XN_BODY(msg, Xn__Answer)->body, out);
    }
}

/* The number of that corp's list that we hold; 0: none, or we do not know who
 * it is. */
static uint64_t held_of(const struct node *node, const char *corp)
{
    const char *hex = strchr(corp, '#');
    const struct revoked_list *list;
    xn_id id;

    if (!hex || xn_id_unhex(hex + 1, strlen(hex + 1), &id)) return 0;
    list = revoked_of(&node->revoked, &id);
    return list ? list->number : 0;
}

/* Announce always, but where nobody could dial us; ask for a sample while hardly
 * linked. */
static void visit(void *owner, void *ctx, const struct xn_now *now, int rc,
                  struct xn_msg *msg, struct xn_out *out)
{
    struct node *node = owner;
    Xn__Announce announce = XN__ANNOUNCE__INIT;
    Xn__Contact self = XN__CONTACT__INIT;
    bool alone = ov_links(node->ov) < LINKS_ENOUGH;
    uint64_t pause = alone ? SAMPLE_RETRY_US : node->announce_us;
    const char *corp = node->texts;
    size_t i;

    (void)ctx, (void)rc, (void)msg;
    self.id = xn_id_bytes(&ov_self(node->ov)->id);
    self.position = xn_id_bytes(ov_position(node->ov));
    self.address = (char *)(uintptr_t)ov_self(node->ov)->address;
    announce.contact = &self;
    for (i = 0; i < node->n_corps; i++, corp += strlen(corp) + 1) {
        announce.revoked = held_of(node, corp);
        if (!ov_is_guest(node->ov))
            call_corp(node, now, corp, "POST", "/v1/announce", &announce,
                      announced, out);
        if (!alone) continue;
        call_corp(node, now, corp, "GET", "/v1/sample", NULL, sampled, out);
    }
    pause = xn_rng_between(&node->rng, pause / 2, pause);
    xn_ticket(node->tickets, now->mono_us + pause, visit, node, NULL, out);
}

void node_corps_start(struct node *node, const struct xn_now *now,
                      struct xn_out *out)
{
    if (node->bootstrap) {
        const Xn__Sample *sample = XN_BODY(node->bootstrap, Xn__Sample);

        /* With none, the corps will know some. */
        if (sample->n_nodes > 0 || node->n_corps == 0) {
            ov_join(node->ov, now, sample->nodes, sample->n_nodes, out);
        }
    }
    read_peers(node, now, out);
    visit(node, NULL, now, 0, NULL, out);
}

void node_corps_stand(struct node *node, const struct xn_now *now,
                      struct xn_out *out)
{
    uint64_t pause = xn_rng_below(&node->rng, node->announce_us);

    xn_ticket(node->tickets, now->mono_us + pause, visit, node, NULL, out);
    node_corps_changed(node, now, out);
}
