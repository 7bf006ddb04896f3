/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the real driver share: corps and identities made on the
 * spot, a core whose behaviour is one function of the test, drivers that run
 * in this process or in a child. */
#ifndef TESTS_UNIT_NET_KIT_H
#define TESTS_UNIT_NET_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "net/driver.h"
#include "seam/out.h"

/* A corp that vouches; `others` are accepted besides (NULL: none). */
void kit_make_corp(struct net_identity *corp_out, const char *name);
void kit_make_member(const struct net_identity *corp, Xn__Role role,
                     const char *label, struct net_identity *member_out);
void kit_accept(struct net_identity *identity, const struct net_identity *corp);

struct kit_core;
typedef void kit_on(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out);

struct kit_core {
    struct xn_core core; /* first */
    struct xn_out out;
    kit_on *on;
    void *ctx;
    const struct xn_peers *peers;
    uint64_t wake_us;
    uint64_t seed;
};

/* End the driver of this process from within an event. */
void kit_stop(void);

/* A driver in this process: both listeners on loopback. */
struct net_config kit_config(const struct net_identity *identity);
/* Runs it to its end.  A minute is the bound of any test. */
void kit_run(struct net_driver *driver, kit_on *on, void *ctx);

/* A driver in a child process. */
struct kit_child {
    int pid;
    int out; /* what the child's core writes to kit_child_out */
    char links[64], api[64];
};
extern int kit_child_out;
void kit_spawn(const struct net_config *config, kit_on *on,
               struct kit_child *child_out);
/* The same with any core; `make` is called in the child. */
void kit_spawn_core(const struct net_config *config,
                    struct xn_core *(*make)(const struct xn_peers *peers,
                                            void *arg),
                    void *arg, struct kit_child *child_out);
void kit_kill(struct kit_child *child, int signal);

/* A peer that answers pings. */
void kit_polite(struct kit_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_out *out);

/* Does the kernel, so that net_listen_defer does something? */
bool kit_makes_cookies(void);

/* Actions. */
void kit_dial(struct xn_out *out, uint64_t ticket, const char *address,
              const xn_id *id);
void kit_ping(struct xn_out *out, xn_peer peer, uint64_t nonce);

/* A folder that goes away with kit_rmdir. */
char *kit_mkdir(char out[64]);
void kit_rmdir(const char *dir);

#endif
