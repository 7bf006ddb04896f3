# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += sim/libsim.a
sim_libsim_a_SOURCES =
sim_libsim_a_SOURCES += sim/act.c
sim_libsim_a_SOURCES += sim/campaign.c
sim_libsim_a_SOURCES += sim/campaign.h
sim_libsim_a_SOURCES += sim/check.c
sim_libsim_a_SOURCES += sim/churn.c
sim_libsim_a_SOURCES += sim/cli.c
sim_libsim_a_SOURCES += sim/cli.h
sim_libsim_a_SOURCES += sim/contacts.c
sim_libsim_a_SOURCES += sim/contacts.h
sim_libsim_a_SOURCES += sim/corp.c
sim_libsim_a_SOURCES += sim/crypto.c
sim_libsim_a_SOURCES += sim/crypto.h
sim_libsim_a_SOURCES += sim/digest.c
sim_libsim_a_SOURCES += sim/digest.h
sim_libsim_a_SOURCES += sim/fault.c
sim_libsim_a_SOURCES += sim/get.c
sim_libsim_a_SOURCES += sim/get.h
sim_libsim_a_SOURCES += sim/graph.c
sim_libsim_a_SOURCES += sim/graph.h
sim_libsim_a_SOURCES += sim/halves.c
sim_libsim_a_SOURCES += sim/hist.c
sim_libsim_a_SOURCES += sim/hist.h
sim_libsim_a_SOURCES += sim/inside.h
sim_libsim_a_SOURCES += sim/latency.c
sim_libsim_a_SOURCES += sim/latency.h
sim_libsim_a_SOURCES += sim/link.c
sim_libsim_a_SOURCES += sim/lookup.c
sim_libsim_a_SOURCES += sim/malice.c
sim_libsim_a_SOURCES += sim/malice.h
sim_libsim_a_SOURCES += sim/market.c
sim_libsim_a_SOURCES += sim/market.h
sim_libsim_a_SOURCES += sim/market_ad.c
sim_libsim_a_SOURCES += sim/market_ask.c
sim_libsim_a_SOURCES += sim/market_disk.c
sim_libsim_a_SOURCES += sim/market_judge.c
sim_libsim_a_SOURCES += sim/market_query.c
sim_libsim_a_SOURCES += sim/market_state.h
sim_libsim_a_SOURCES += sim/market_survey.c
sim_libsim_a_SOURCES += sim/order.c
sim_libsim_a_SOURCES += sim/order.h
sim_libsim_a_SOURCES += sim/owner.c
sim_libsim_a_SOURCES += sim/queue.c
sim_libsim_a_SOURCES += sim/queue.h
sim_libsim_a_SOURCES += sim/reach.c
sim_libsim_a_SOURCES += sim/reach.h
sim_libsim_a_SOURCES += sim/replay.c
sim_libsim_a_SOURCES += sim/report.c
sim_libsim_a_SOURCES += sim/run.c
sim_libsim_a_SOURCES += sim/run.h
sim_libsim_a_SOURCES += sim/scenario.c
sim_libsim_a_SOURCES += sim/scenario.h
sim_libsim_a_SOURCES += sim/scenario_parse.h
sim_libsim_a_SOURCES += sim/scenario_steps.c
sim_libsim_a_SOURCES += sim/scenario_words.c
sim_libsim_a_SOURCES += sim/store.c
sim_libsim_a_SOURCES += sim/store.h
sim_libsim_a_SOURCES += sim/wire.c
sim_libsim_a_SOURCES += sim/wire.h
sim_libsim_a_SOURCES += sim/world.c
sim_libsim_a_SOURCES += sim/world.h

# What a program links to use this folder.
XN_SIM_LIBS = sim/libsim.a $(XN_LATENCY_LIBS) $(XN_OVERLAY_LIBS)

bin_PROGRAMS += sim/xenosim
sim_xenosim_SOURCES =
sim_xenosim_SOURCES += sim/with_node.c
sim_xenosim_SOURCES += sim/with_node.h
sim_xenosim_SOURCES += sim/xenosim.c
sim_xenosim_LDADD = $(XN_SIM_LIBS) $(XN_NODE_LIBS) $(XN_CORP_LIBS) \
	$(XN_HOSTAGENT_LIBS) $(XN_SIM_LIBS)

SHELL_TESTS += tests/sim/broken.t
SHELL_TESTS += tests/sim/campaign.t
SHELL_TESTS += tests/sim/checkers.t
SHELL_TESTS += tests/sim/far.t
SHELL_TESTS += tests/sim/get.t
SHELL_TESTS += tests/sim/heal.t
SHELL_TESTS += tests/sim/malice.t
SHELL_TESTS += tests/sim/nat.t
SHELL_TESTS += tests/sim/skew.t
SHELL_TESTS += tests/sim/repeat.t
SHELL_TESTS += tests/sim/scale.t
SHELL_TESTS += tests/sim/storm.t

UNIT_TESTS += tests/unit/sim_graph
tests_unit_sim_graph_SOURCES = tests/unit/sim_graph.c
tests_unit_sim_graph_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)

# The engine with a toy core: what it costs by itself.
noinst_PROGRAMS += tests/toysim
tests_toysim_SOURCES =
tests_toysim_SOURCES += tests/toy_core.c
tests_toysim_SOURCES += tests/toy_core.h
tests_toysim_SOURCES += tests/toysim.c
tests_toysim_LDADD = $(XN_SIM_LIBS)

# xenosim with nodes that lie: its checkers are seen to fail.
noinst_PROGRAMS += tests/liarsim
tests_liarsim_SOURCES =
tests_liarsim_SOURCES += sim/with_node.c
tests_liarsim_SOURCES += sim/with_node.h
tests_liarsim_SOURCES += tests/liarsim.c
tests_liarsim_LDADD = $(XN_SIM_LIBS) $(XN_NODE_LIBS) $(XN_SIM_LIBS)

# xenosim with a bug planted in the node code: campaigns are seen to find it.
noinst_PROGRAMS += tests/plantsim
tests_plantsim_SOURCES =
tests_plantsim_SOURCES += sim/with_node.c
tests_plantsim_SOURCES += sim/with_node.h
tests_plantsim_SOURCES += tests/plantsim.c
tests_plantsim_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=route_choose \
	-Wl,--wrap=xis_write_ad -Wl,--wrap=hint_failed \
	-Wl,--wrap=xn_ticket_forget -Wl,--wrap=ov_answer \
	-Wl,--wrap=xis_pub_tidy
tests_plantsim_LDADD = $(XN_SIM_LIBS) $(XN_NODE_LIBS) $(XN_SIM_LIBS)

# make campaign [SEEDS=1000] [NODES=200]; the short form is in `make check`.
campaign: sim/xenosim tests/plantsim
	@XN_SRC='$(abs_top_srcdir)' XN_BUILD='$(abs_top_builddir)' \
	SEEDS='$(or $(SEEDS),1000)' NODES='$(or $(NODES),200)' bash $(srcdir)/tests/sim/campaign.t
.PHONY: campaign

man_MANS += man/xenosim.1
EXTRA_DIST += man/xenosim.1
EXTRA_DIST += doc/SCENARIOS.md
EXTRA_DIST += sim/README.md sim/deps
dist_pkgdata_DATA += sim/scenarios/campaign.scn
dist_pkgdata_DATA += sim/scenarios/churn.scn
dist_pkgdata_DATA += sim/scenarios/get.scn
dist_pkgdata_DATA += sim/scenarios/grid5000.scn
dist_pkgdata_DATA += sim/scenarios/heal.scn
dist_pkgdata_DATA += sim/scenarios/million.scn
dist_pkgdata_DATA += sim/scenarios/quiet.scn
dist_pkgdata_DATA += sim/scenarios/join.scn
dist_pkgdata_DATA += sim/scenarios/malice.scn
dist_pkgdata_DATA += sim/scenarios/scale.scn
dist_pkgdata_DATA += sim/scenarios/smoke.scn
dist_pkgdata_DATA += sim/scenarios/storm.scn

FUZZ_TARGETS += tests/fuzz/fuzz_scenario
tests_fuzz_fuzz_scenario_SOURCES = tests/fuzz/fuzz_scenario.c $(FUZZ_MAIN)
tests_fuzz_fuzz_scenario_LDADD = $(XN_SIM_LIBS) $(FUZZ_LIBS)

UNIT_TESTS += tests/unit/sim_wire
tests_unit_sim_wire_SOURCES = tests/unit/sim_wire.c $(NET_KIT)
tests_unit_sim_wire_LDADD = $(XN_SIM_LIBS) $(XN_NET_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/sim_latency
tests_unit_sim_latency_SOURCES = tests/unit/sim_latency.c
tests_unit_sim_latency_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_queue
tests_unit_sim_queue_SOURCES = tests/unit/sim_queue.c
tests_unit_sim_queue_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_replay
tests_unit_sim_replay_SOURCES = tests/unit/sim_replay.c
tests_unit_sim_replay_SOURCES += tests/toy_core.c
tests_unit_sim_replay_SOURCES += tests/toy_core.h
tests_unit_sim_replay_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_scenario
tests_unit_sim_scenario_SOURCES = tests/unit/sim_scenario.c
tests_unit_sim_scenario_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_trace
tests_unit_sim_trace_SOURCES = tests/unit/sim_trace.c
tests_unit_sim_trace_SOURCES += sim/with_node.c
tests_unit_sim_trace_SOURCES += sim/with_node.h
tests_unit_sim_trace_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc
tests_unit_sim_trace_LDADD = $(XN_SIM_LIBS) $(XN_NODE_LIBS) $(XN_SIM_LIBS) \
	$(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/sim_world
tests_unit_sim_world_SOURCES = tests/unit/sim_world.c
tests_unit_sim_world_SOURCES += tests/toy_core.c
tests_unit_sim_world_SOURCES += tests/toy_core.h
tests_unit_sim_world_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_peer
tests_fuzz_fuzz_peer_SOURCES =
tests_fuzz_fuzz_peer_SOURCES += sim/with_node.c
tests_fuzz_fuzz_peer_SOURCES += sim/with_node.h
tests_fuzz_fuzz_peer_SOURCES += tests/fuzz/any_msg.c
tests_fuzz_fuzz_peer_SOURCES += tests/fuzz/any_msg.h
tests_fuzz_fuzz_peer_SOURCES += tests/fuzz/fuzz_peer.c $(FUZZ_MAIN)
tests_fuzz_fuzz_peer_LDADD = $(XN_SIM_LIBS) $(XN_NODE_LIBS) $(XN_SIM_LIBS) $(FUZZ_LIBS)
