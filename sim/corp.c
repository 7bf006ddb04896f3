/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A modelled XenoCorp: takes announcements and hands out samples of the nodes
 * that announced themselves lately. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/inside.h"

enum { SAMPLE = 16, TRIES = 48 };

#define SILENCE_US 5000000 /* until a call to nobody is given up */
#define LATELY_US (3 * 60 * 1000000ULL)

int sim_corp_init(struct sim_corp *corp, uint32_t nodes)
{
    corp->n = 0;
    corp->nodes = calloc(nodes, sizeof *corp->nodes);
    corp->index = calloc(nodes, sizeof *corp->index);
    corp->seen_us = calloc(nodes, sizeof *corp->seen_us);
    return corp->nodes && corp->index && corp->seen_us ? 0 : XN_ENOMEM;
}

void sim_corp_clear(struct sim_corp *corp)
{
    free(corp->nodes);
    free(corp->index);
    free(corp->seen_us);
    memset(corp, 0, sizeof *corp);
}

static void forget(struct sim_corp *corp, uint32_t node)
{
    uint32_t i = corp->index[node] - 1, last = corp->nodes[--corp->n];

    corp->nodes[i] = last;
    corp->index[last] = i + 1;
    corp->index[node] = 0;
}

static void announce(struct sim_world *world, uint32_t node)
{
    struct sim_corp *corp = &world->corp;

    corp->seen_us[node] = world->now_us;
    if (corp->index[node]) return;
    corp->nodes[corp->n++] = node;
    corp->index[node] = corp->n;
}

struct sample {
    uint32_t numbers[SAMPLE];
    size_t n;
};

static void draw(struct sim_world *world, uint32_t node, struct sample *sample)
{
    struct sim_corp *corp = &world->corp;
    int tries;

    for (tries = 0; tries < TRIES && sample->n < SAMPLE && corp->n; tries++) {
        uint32_t pick = corp->nodes[sim_node_draw(world, node) % corp->n];
        size_t i = 0;

        if (world->now_us - corp->seen_us[pick] > LATELY_US) {
            forget(corp, pick);
            continue;
        }
        while (i < sample->n && sample->numbers[i] != pick)
            i++;
        if (i == sample->n && pick != node) sample->numbers[sample->n++] = pick;
    }
}

/* The answer's body; the caller frees it. */
static int pack_sample(struct sim_world *world, const struct sample *sample,
                       uint8_t **bytes_out, size_t *len_out)
{
    Xn__Sample body = XN__SAMPLE__INIT;
    Xn__Contact contacts[SAMPLE], *rows[SAMPLE];
    char addresses[SAMPLE][SIM_ADDRESS_MAX];
    size_t i;

    for (i = 0; i < sample->n; i++) {
        const struct xn_contact *c = &world->contacts.rows[sample->numbers[i]];

        xn__contact__init(&contacts[i]);
        sim_address(sample->numbers[i], addresses[i]);
        contacts[i].id = xn_id_bytes(&c->id);
        contacts[i].position = xn_id_bytes(&c->position);
        contacts[i].address = addresses[i];
        rows[i] = &contacts[i];
    }
    body.nodes = rows;
    body.n_nodes = sample->n;
    return xn_pack(&body, bytes_out, len_out);
}

static int make_answer(int status, const uint8_t *bytes, size_t len,
                       struct xn_msg **msg_out)
{
    Xn__Answer answer = XN__ANSWER__INIT;

    answer.status = status;
    answer.content_type = (char *)(uintptr_t) "application/x-protobuf";
    answer.body.data = (uint8_t *)(uintptr_t)bytes;
    answer.body.len = len;
    return xn_msg_new(XN__KIND__ANSWER, &answer, msg_out);
}

static int serve(struct sim_world *world, uint32_t node, const char *path,
                 struct xn_msg **msg_out)
{
    struct sample sample = {.n = 0};
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!strcmp(path, "/v1/announce")) {
        announce(world, node);
        return make_answer(200, NULL, 0, msg_out);
    }
    if (strcmp(path, "/v1/sample") != 0) {
        return make_answer(404, NULL, 0, msg_out);
    }
    draw(world, node, &sample);
    rc = pack_sample(world, &sample, &bytes, &len);
    if (!rc) rc = make_answer(200, bytes, len, msg_out);
    free(bytes);
    return rc;
}

void sim_corp_call(struct sim_world *world, uint32_t node,
                   const struct xn_action *action)
{
    const char *url = XN_BODY(action->msg, Xn__Call)->url;
    struct xn_msg *msg = NULL;
    int rc = XN_EUNREACH;

    world->totals.calls++;
    if (world->config.settings.corp_off) {
        sim_done(world, node, action->ticket, SILENCE_US, rc, NULL);
        return;
    }
    if (!strncmp(url, SIM_CORP_URL, sizeof SIM_CORP_URL - 1)) {
        rc = serve(world, node, url + sizeof SIM_CORP_URL - 1, &msg);
    }
    if (rc == XN_ENOMEM) sim_world_stop(world, rc);
    sim_done(world, node, action->ticket, world->config.settings.corp_us, rc,
             msg);
}
