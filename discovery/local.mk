# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += discovery/libdiscovery.a
discovery_libdiscovery_a_SOURCES =
discovery_libdiscovery_a_SOURCES += discovery/cost.c
discovery_libdiscovery_a_SOURCES += discovery/engine.c
discovery_libdiscovery_a_SOURCES += discovery/engine.h
discovery_libdiscovery_a_SOURCES += discovery/match.c
discovery_libdiscovery_a_SOURCES += discovery/merge.c
discovery_libdiscovery_a_SOURCES += discovery/merge.h
discovery_libdiscovery_a_SOURCES += discovery/rd.c
discovery_libdiscovery_a_SOURCES += discovery/rd.h
discovery_libdiscovery_a_SOURCES += discovery/summaries.c
discovery_libdiscovery_a_SOURCES += discovery/summaries.h

# What a program links to use this folder.
XN_DISCOVERY_LIBS = discovery/libdiscovery.a $(XN_SEAM_LIBS)

EXTRA_DIST += discovery/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_DISCOVERY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/rd
tests_unit_rd_SOURCES = tests/unit/rd.c
tests_unit_rd_LDADD = $(XN_DISCOVERY_LIBS) $(CMOCKA_LIBS)
