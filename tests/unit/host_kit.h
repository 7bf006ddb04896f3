/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the host agent's core share: a core driven by hand, its
 * driver's part and its node's. */
#ifndef TESTS_UNIT_HOST_KIT_H
#define TESTS_UNIT_HOST_KIT_H

#include "hostagent/host.h"
#include "tests/unit/crank.h"
#include "wire/ad.h"
#include "wire/store.pb-c.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define WALL (1795255200ULL * SECOND)

extern const char *const three[];

struct fix {
    struct crank c;
    xn_id me, certificate;
    xn_id node_id;
    Xn__Caller node; /* who answers our calls */
    unsigned sealed; /* envelopes signed */
};
xn_id id_of(const char *text);
struct advert_offer an_offer(const char *price);
void serve_sign(struct fix *f, Xn__Form form);
struct xn_action take_call(struct fix *f, const char *method, const char *url);

struct said { /* what a Publish held */
    struct ad_lease lease;
    uint64_t version; /* in the document; 0: none */
    size_t n_old;
    bool old_has_family, old_has_price;
};
void read_publish(struct fix *f, const struct xn_action *act,
                  struct said *said);
void answer_publish(struct fix *f, struct xn_action *act, int rc,
                    uint64_t version, uint32_t copies);
void answer_status(struct fix *f, struct xn_action *act, uint64_t up_s);
void serve_publish(struct fix *f, const char *url, struct said *said);

/* From the start until the first lease is signed: a node is called next. */
void begin_publish(struct fix *f);
/* From the start to the first rest. */
void bring_up(struct fix *f, struct said *said);
void fix_restart(struct fix *f, const char *price);
int fix_set_up(void **state);
int fix_tear_down(void **state);
Xn__HostRecord *stored_record(const struct fix *f);
bool record_has(const Xn__HostRecord *record, const char *token);

/* Whoever is called: watch calls are answered, the publication comes back. */
struct xn_action next_publish(struct fix *f, uint64_t us_max);

#endif
