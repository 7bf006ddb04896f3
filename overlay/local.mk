# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += overlay/liboverlay.a
overlay_liboverlay_a_SOURCES =
overlay_liboverlay_a_SOURCES += overlay/answer.c
overlay_liboverlay_a_SOURCES += overlay/arrive.c
overlay_liboverlay_a_SOURCES += overlay/ask.c
overlay_liboverlay_a_SOURCES += overlay/check.c
overlay_liboverlay_a_SOURCES += overlay/choose.c
overlay_liboverlay_a_SOURCES += overlay/claims.c
overlay_liboverlay_a_SOURCES += overlay/claims.h
overlay_liboverlay_a_SOURCES += overlay/clock.c
overlay_liboverlay_a_SOURCES += overlay/dials.c
overlay_liboverlay_a_SOURCES += overlay/doubt.c
overlay_liboverlay_a_SOURCES += overlay/doubt.h
overlay_liboverlay_a_SOURCES += overlay/full.c
overlay_liboverlay_a_SOURCES += overlay/guest.c
overlay_liboverlay_a_SOURCES += overlay/hello.c
overlay_liboverlay_a_SOURCES += overlay/hints.c
overlay_liboverlay_a_SOURCES += overlay/inside.h
overlay_liboverlay_a_SOURCES += overlay/leaves.c overlay/life.c
overlay_liboverlay_a_SOURCES += overlay/links.c
overlay_liboverlay_a_SOURCES += overlay/ov.c
overlay_liboverlay_a_SOURCES += overlay/ov.h
overlay_liboverlay_a_SOURCES += overlay/pick.c
overlay_liboverlay_a_SOURCES += overlay/places.c
overlay_liboverlay_a_SOURCES += overlay/pns.c
overlay_liboverlay_a_SOURCES += overlay/queries.c
overlay_liboverlay_a_SOURCES += overlay/queries.h
overlay_liboverlay_a_SOURCES += overlay/ring.c
overlay_liboverlay_a_SOURCES += overlay/route.c
overlay_liboverlay_a_SOURCES += overlay/owners.c
overlay_liboverlay_a_SOURCES += overlay/seek.c
overlay_liboverlay_a_SOURCES += overlay/table.c
overlay_liboverlay_a_SOURCES += overlay/table.h
overlay_liboverlay_a_SOURCES += overlay/tellers.c
overlay_liboverlay_a_SOURCES += overlay/trace.c
overlay_liboverlay_a_SOURCES += overlay/visit.c
overlay_liboverlay_a_SOURCES += overlay/vivaldi.c
overlay_liboverlay_a_SOURCES += overlay/vivaldi.h
overlay_liboverlay_a_SOURCES += overlay/watch.c
overlay_liboverlay_a_SOURCES += overlay/way.c

# What a program links to use this folder.
XN_OVERLAY_LIBS = overlay/liboverlay.a $(XN_SEAM_LIBS)

EXTRA_DIST += overlay/README.md
EXTRA_DIST += overlay/deps

UNIT_TESTS += tests/unit/ov_budget
tests_unit_ov_budget_SOURCES = tests/unit/ov_budget.c
tests_unit_ov_budget_SOURCES += tests/unit/ov_net.c
tests_unit_ov_budget_SOURCES += tests/unit/ov_net.h
tests_unit_ov_budget_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_claims
tests_unit_ov_claims_SOURCES = tests/unit/ov_claims.c
tests_unit_ov_claims_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_clock
tests_unit_ov_clock_SOURCES = tests/unit/ov_clock.c
tests_unit_ov_clock_SOURCES += tests/unit/ov_net.c
tests_unit_ov_clock_SOURCES += tests/unit/ov_net.h
tests_unit_ov_clock_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_faults
tests_unit_ov_faults_SOURCES = tests/unit/ov_faults.c
tests_unit_ov_faults_SOURCES += tests/unit/ov_net.c
tests_unit_ov_faults_SOURCES += tests/unit/ov_net.h
tests_unit_ov_faults_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_guest
tests_unit_ov_guest_SOURCES = tests/unit/ov_guest.c
tests_unit_ov_guest_SOURCES += tests/unit/ov_net.c
tests_unit_ov_guest_SOURCES += tests/unit/ov_net.h
tests_unit_ov_guest_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ov_life
tests_unit_ov_life_SOURCES = tests/unit/ov_life.c
tests_unit_ov_life_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ov_hints
tests_unit_ov_hints_SOURCES = tests/unit/ov_hints.c
tests_unit_ov_hints_SOURCES += tests/unit/ov_net.c
tests_unit_ov_hints_SOURCES += tests/unit/ov_net.h
tests_unit_ov_hints_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_mesh
tests_unit_ov_mesh_SOURCES = tests/unit/ov_mesh.c
tests_unit_ov_mesh_SOURCES += tests/unit/ov_net.c
tests_unit_ov_mesh_SOURCES += tests/unit/ov_net.h
tests_unit_ov_mesh_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_late
tests_unit_ov_late_SOURCES = tests/unit/ov_net.c
tests_unit_ov_late_SOURCES += tests/unit/ov_net.h
tests_unit_ov_late_SOURCES += tests/unit/ov_late.c
tests_unit_ov_late_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ov_pns
tests_unit_ov_pns_SOURCES = tests/unit/ov_pns.c
tests_unit_ov_pns_SOURCES += tests/unit/ov_net.c
tests_unit_ov_pns_SOURCES += tests/unit/ov_net.h
tests_unit_ov_pns_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_relay
tests_unit_ov_relay_SOURCES = tests/unit/ov_net.c
tests_unit_ov_relay_SOURCES += tests/unit/ov_net.h
tests_unit_ov_relay_SOURCES += tests/unit/ov_relay.c
tests_unit_ov_relay_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_rude
tests_unit_ov_rude_SOURCES = tests/unit/ov_net.c
tests_unit_ov_rude_SOURCES += tests/unit/ov_net.h
tests_unit_ov_rude_SOURCES += tests/unit/ov_rude.c
tests_unit_ov_rude_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_owners
tests_unit_ov_owners_SOURCES = tests/unit/ov_net.c
tests_unit_ov_owners_SOURCES += tests/unit/ov_net.h
tests_unit_ov_owners_SOURCES += tests/unit/ov_owners.c
tests_unit_ov_owners_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ov_ways
tests_unit_ov_ways_SOURCES = tests/unit/ov_net.c
tests_unit_ov_ways_SOURCES += tests/unit/ov_net.h
tests_unit_ov_ways_SOURCES += tests/unit/ov_ways.c
tests_unit_ov_ways_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ov_seek
tests_unit_ov_seek_SOURCES = tests/unit/ov_net.c
tests_unit_ov_seek_SOURCES += tests/unit/ov_net.h
tests_unit_ov_seek_SOURCES += tests/unit/ov_seek.c
tests_unit_ov_seek_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_table
tests_unit_ov_table_SOURCES = tests/unit/ov_table.c
tests_unit_ov_table_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/ov_trace
tests_unit_ov_trace_SOURCES = tests/unit/ov_net.c
tests_unit_ov_trace_SOURCES += tests/unit/ov_net.h
tests_unit_ov_trace_SOURCES += tests/unit/ov_trace.c
tests_unit_ov_trace_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_overlay
tests_fuzz_fuzz_overlay_SOURCES = tests/fuzz/fuzz_overlay.c $(FUZZ_MAIN)
tests_fuzz_fuzz_overlay_LDADD = $(XN_OVERLAY_LIBS) $(FUZZ_LIBS)
