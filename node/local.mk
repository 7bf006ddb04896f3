# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += node/libnode.a
node_libnode_a_SOURCES =
node_libnode_a_SOURCES += node/api.c
node_libnode_a_SOURCES += node/api_overlay.c
node_libnode_a_SOURCES += node/corps.c
node_libnode_a_SOURCES += node/metrics.c
node_libnode_a_SOURCES += node/node.c
node_libnode_a_SOURCES += node/node.h
node_libnode_a_SOURCES += node/reach.c
node_libnode_a_SOURCES += node/revoked.c
node_libnode_a_SOURCES += node/setup.c
node_libnode_a_SOURCES += node/state.h

# What a program links to use this folder.
XN_NODE_LIBS = node/libnode.a $(XN_DISCOVERY_LIBS) $(XN_INDEX_LIBS)

sbin_PROGRAMS += node/xenonoded
node_xenonoded_SOURCES = node/xenonoded.c
node_xenonoded_SOURCES += node/xenonoded_run.c
node_xenonoded_SOURCES += node/xenonoded_run.h
node_xenonoded_LDADD = $(XN_NODE_LIBS) $(XN_NET_LIBS)
man_MANS += man/xenonoded.8
EXTRA_DIST += man/xenonoded.8

EXTRA_DIST += node/README.md node/deps

# Unit tests of this folder, three lines each:
UNIT_TESTS += tests/unit/node_reach
tests_unit_node_reach_SOURCES = tests/unit/node_reach.c
tests_unit_node_reach_SOURCES += tests/unit/crank.c
tests_unit_node_reach_SOURCES += tests/unit/crank.h
tests_unit_node_reach_LDADD = $(XN_NODE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/node_revoked
tests_unit_node_revoked_SOURCES = tests/unit/node_revoked.c
tests_unit_node_revoked_SOURCES += tests/unit/crank.c
tests_unit_node_revoked_SOURCES += tests/unit/crank.h
tests_unit_node_revoked_LDADD = $(XN_NODE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/node
tests_unit_node_SOURCES = tests/unit/node.c
tests_unit_node_SOURCES += tests/unit/crank.c
tests_unit_node_SOURCES += tests/unit/crank.h
tests_unit_node_LDADD = $(XN_NODE_LIBS) $(CMOCKA_LIBS)

# make soak-overlay [SOAK=short]: real nodes, and everything that happens to
# them.  Not in `make check`.
check_PROGRAMS += tests/soak/overlay_ask tests/soak/overlay_play
tests_soak_overlay_ask_SOURCES = tests/soak/overlay_ask.c
tests_soak_overlay_ask_LDADD = $(XN_NET_LIBS)
tests_soak_overlay_play_SOURCES = tests/soak/ads.c
tests_soak_overlay_play_SOURCES += tests/soak/ads.h
tests_soak_overlay_play_SOURCES += tests/soak/overlay_play.c
tests_soak_overlay_play_LDADD = $(XN_NET_LIBS)
EXTRA_DIST += tests/soak/overlay.t
soak-overlay: node/xenonoded corp/xenocorpd discovery/xenofind tests/soak/overlay_ask tests/soak/overlay_play
	@XN_SRC='$(abs_top_srcdir)' XN_BUILD='$(abs_top_builddir)' \
	SOAK='$(SOAK)' bash $(srcdir)/tests/soak/overlay.t
.PHONY: soak-overlay
