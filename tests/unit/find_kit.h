/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of xenofind as a program share: an index of advertisements, nodes
 * that answer from it, truly or not, and the program's run and words. */
#ifndef TESTS_UNIT_FIND_KIT_H
#define TESTS_UNIT_FIND_KIT_H

#include <jansson.h>
#include <libxml/parser.h>

#include "tests/unit/ad_kit.h"
#include "tests/unit/net_kit.h"

enum { ADS = 230 };

struct ad {
    Xn__SignedAd signed_ad;
    struct advert *advert;
    xn_id server;
    int cpu;
};

/* How a node behaves. */
enum find_way {
    TRUE_,
    ALTERS,
    ALTERS_BY_SOURCE,
    SILENT,
    HIDES,
    SCRAMBLES,
    GARBLES,
    REPEATS,
    HIDES_7,
    LATE,
    UNLISTED
};

extern struct net_identity find_corp, find_node, find_node2, find_foreign;
extern struct ad find_ads[ADS];
extern char find_dir[64];
/* What it said last, on stdout and stderr. */
extern char find_out[1 << 20];
extern char find_err[1 << 14];

int find_set_up(void **state);
int find_tear_down(void **state);
void find_spawn(const struct net_identity *who, enum find_way how,
                struct kit_child *child);
char *find_url(const struct kit_child *child, char out[96]);
/* Runs xenofind against these nodes; its exit code. */
int find_run(const char *nodes, const char *args);
void assert_exit(int code, const char *nodes, const char *args);
void assert_says(const char *text);
/* Its output, to be freed. */
json_t *find_json(void);
xmlDoc *find_xml(void); /* of its schema */
size_t find_shown(const json_t *top);
size_t find_rejected(const json_t *top);
/* The servers' numbers, as their names say. */
int find_number(const json_t *top, size_t i);

#endif
