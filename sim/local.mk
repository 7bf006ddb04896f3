# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += sim/libsim.a
sim_libsim_a_SOURCES =
sim_libsim_a_SOURCES += sim/act.c
sim_libsim_a_SOURCES += sim/corp.c
sim_libsim_a_SOURCES += sim/crypto.c
sim_libsim_a_SOURCES += sim/crypto.h
sim_libsim_a_SOURCES += sim/digest.c
sim_libsim_a_SOURCES += sim/digest.h
sim_libsim_a_SOURCES += sim/fault.c
sim_libsim_a_SOURCES += sim/inside.h
sim_libsim_a_SOURCES += sim/latency.c
sim_libsim_a_SOURCES += sim/latency.h
sim_libsim_a_SOURCES += sim/latency_file.c
sim_libsim_a_SOURCES += sim/link.c
sim_libsim_a_SOURCES += sim/queue.c
sim_libsim_a_SOURCES += sim/queue.h
sim_libsim_a_SOURCES += sim/store.c
sim_libsim_a_SOURCES += sim/store.h
sim_libsim_a_SOURCES += sim/world.c
sim_libsim_a_SOURCES += sim/world.h

# What a program links to use this folder.
XN_SIM_LIBS = sim/libsim.a $(XN_SEAM_LIBS) $(LZMA_LIBS)

EXTRA_DIST += sim/README.md sim/deps

UNIT_TESTS += tests/unit/sim_latency
tests_unit_sim_latency_SOURCES = tests/unit/sim_latency.c
tests_unit_sim_latency_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_queue
tests_unit_sim_queue_SOURCES = tests/unit/sim_queue.c
tests_unit_sim_queue_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/sim_world
tests_unit_sim_world_SOURCES = tests/unit/sim_world.c
tests_unit_sim_world_SOURCES += tests/toy_core.c
tests_unit_sim_world_SOURCES += tests/toy_core.h
tests_unit_sim_world_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
