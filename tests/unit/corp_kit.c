/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/corp_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"

struct xn_core *new_corp(const char *invitation, uint32_t nodes_max)
{
    struct corp_config config;
    struct xn_core *core = NULL;

    corp_config_default(&config);
    config.name = "alpha.example";
    config.certificate = (const uint8_t *)"CORP";
    config.certificate_len = 4;
    if (invitation) corp_config_invite(&config, invitation);
    if (nodes_max) config.nodes_max = nodes_max;
    assert_int_equal(corp_new(&config, 7, &core), 0);
    return core;
}

void fix_start(struct fix *f, struct xn_core *core)
{
    crank_init(&f->c, core, 1000, WALL);
    crank_wake(&f->c);
    crank_serve_store(&f->c);
}

int fix_set_up(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    fix_start(f, new_corp(NULL, 0));
    *state = f;
    return 0;
}

int fix_tear_down(void **state)
{
    struct fix *f = *state;

    crank_clear(&f->c);
    free(f);
    return 0;
}

Xn__Register an_order(Xn__Role role, const char *key, const char *label)
{
    Xn__Register reg = XN__REGISTER__INIT;

    reg.role = role;
    reg.csr.data = (uint8_t *)(uintptr_t)key;
    reg.csr.len = strlen(key);
    reg.label = (char *)(uintptr_t)label;
    return reg;
}

void serve_issue(struct fix *f)
{
    struct xn_action act = crank_take(&f->c, XN_ACT_ISSUE);
    const Xn__Issue *issue = XN_BODY(act.msg, Xn__Issue);
    Xn__Issued issued = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    char certificate[32];
    xn_id id;

    xn_id_hash(issue->csr.data, issue->csr.len, &id);
    snprintf(certificate, sizeof certificate, "CERT%u", ++f->issued);
    who.id = xn_id_bytes(&id);
    who.role = issue->role;
    who.label = issue->label;
    who.not_after_us = issue->not_after_us;
    issued.who = &who;
    issued.certificate.data = (uint8_t *)certificate;
    issued.certificate.len = strlen(certificate);
    crank_done(&f->c, &act, 0, XN__KIND__ISSUED, &issued);
}

uint64_t ask_register(struct fix *f, const Xn__Register *reg)
{
    Xn__Caller caller = XN__CALLER__INIT;
    xn_id id;

    xn_id_hash(reg->csr.data, reg->csr.len, &id);
    caller.id = xn_id_bytes(&id);
    caller.role = XN__ROLE__ANYBODY;
    return crank_ask(&f->c, "POST", "/v1/register", reg, &caller);
}

void registered(struct fix *f, uint64_t ask, char text_out[32], size_t *n_out)
{
    Xn__Registered *reg =
        crank_answered(&f->c, ask, &xn__registered__descriptor);

    assert_int_equal(reg->corp.len, 4);
    assert_memory_equal(reg->corp.data, "CORP", 4);
    snprintf(text_out, 32, "%.*s", (int)reg->certificate.len,
             (char *)reg->certificate.data);
    if (n_out) *n_out = reg->n_nodes;
    xn__registered__free_unpacked(reg, NULL);
}

void expect_registered(struct fix *f, const Xn__Register *reg,
                       const char *certificate)
{
    uint64_t ask = ask_register(f, reg);
    char text[32];

    serve_issue(f);
    crank_serve_store(&f->c);
    registered(f, ask, text, NULL);
    assert_string_equal(text, certificate);
}

void make_node(struct who *w, unsigned n)
{
    xn_id_hash(&n, sizeof n, &w->id);
    xn_id_hash(&w->id, sizeof w->id, &w->position);
    xn__caller__init(&w->caller);
    xn__contact__init(&w->contact);
    xn__announce__init(&w->announce);
    w->caller.role = XN__ROLE__NODE;
    w->caller.id = w->contact.id = xn_id_bytes(&w->id);
    w->caller.position = w->contact.position = xn_id_bytes(&w->position);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%u", 10000 + n);
    w->contact.address = w->address;
    w->announce.contact = &w->contact;
}

uint64_t announce(struct fix *f, const struct who *w)
{
    return crank_ask(&f->c, "POST", "/v1/announce", &w->announce, &w->caller);
}

size_t sample_size(struct fix *f, uint64_t ask, xn_id *first_out)
{
    Xn__Sample *sample = crank_answered(&f->c, ask, &xn__sample__descriptor);
    size_t n = sample->n_nodes, i, j;

    for (i = 0; i < n; i++) {
        assert_int_equal(sample->nodes[i]->id.len, XN_ID_SIZE);
        for (j = 0; j < i; j++) {
            assert_memory_not_equal(sample->nodes[i]->id.data,
                                    sample->nodes[j]->id.data, XN_ID_SIZE);
        }
    }
    if (n && first_out) xn_id_from_bytes(&sample->nodes[0]->id, first_out);
    xn__sample__free_unpacked(sample, NULL);
    return n;
}

size_t ask_sample(struct fix *f, const Xn__Caller *caller, xn_id *first_out)
{
    return sample_size(f, crank_ask(&f->c, "GET", "/v1/sample", NULL, caller),
                       first_out);
}

void announce_many(struct fix *f, unsigned from, unsigned to)
{
    struct who w;
    unsigned i;

    for (i = from; i < to; i++) {
        make_node(&w, i);
        sample_size(f, announce(f, &w), NULL);
    }
}
