# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += discovery/libdiscovery.a
discovery_libdiscovery_a_SOURCES =
discovery_libdiscovery_a_SOURCES += discovery/asking.c
discovery_libdiscovery_a_SOURCES += discovery/cost.c
discovery_libdiscovery_a_SOURCES += discovery/engine.c
discovery_libdiscovery_a_SOURCES += discovery/engine.h
discovery_libdiscovery_a_SOURCES += discovery/get.c
discovery_libdiscovery_a_SOURCES += discovery/inside.h
discovery_libdiscovery_a_SOURCES += discovery/match.c
discovery_libdiscovery_a_SOURCES += discovery/merge.c
discovery_libdiscovery_a_SOURCES += discovery/merge.h
discovery_libdiscovery_a_SOURCES += discovery/race.c
discovery_libdiscovery_a_SOURCES += discovery/race.h
discovery_libdiscovery_a_SOURCES += discovery/rd.c
discovery_libdiscovery_a_SOURCES += discovery/rd.h
discovery_libdiscovery_a_SOURCES += discovery/summaries.c
discovery_libdiscovery_a_SOURCES += discovery/summaries.h

# What a program links to use this folder.
XN_DISCOVERY_LIBS = discovery/libdiscovery.a $(XN_SEAM_LIBS)

EXTRA_DIST += discovery/README.md discovery/deps

# The client: what other programs search with, and what shows it.
noinst_LIBRARIES += discovery/libfind.a
discovery_libfind_a_SOURCES =
discovery_libfind_a_SOURCES += discovery/verify.c
discovery_libfind_a_SOURCES += discovery/verify.h
discovery_libfind_a_SOURCES += discovery/xenofind.h
discovery_libfind_a_SOURCES += discovery/xenofind_fetch.c
discovery_libfind_a_SOURCES += discovery/xenofind_hint.c
discovery_libfind_a_SOURCES += discovery/xenofind_options.c
discovery_libfind_a_SOURCES += discovery/xenofind_query.c
XN_FIND_LIBS = discovery/libfind.a $(XN_NET_LIBS)

bin_PROGRAMS += discovery/xenofind
discovery_xenofind_SOURCES =
discovery_xenofind_SOURCES += discovery/xenofind.c
discovery_xenofind_SOURCES += discovery/xenofind_json.c
discovery_xenofind_SOURCES += discovery/xenofind_print.c
discovery_xenofind_SOURCES += discovery/xenofind_table.c
discovery_xenofind_SOURCES += discovery/xenofind_xml.c
discovery_xenofind_LDADD = $(XN_FIND_LIBS) $(JANSSON_LIBS) $(SMARTCOLS_LIBS)
man_MANS += man/xenofind.1
EXTRA_DIST += man/xenofind.1

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_DISCOVERY_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/rd
tests_unit_rd_SOURCES = tests/unit/rd.c
tests_unit_rd_LDADD = $(XN_DISCOVERY_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/rd_get
tests_unit_rd_get_SOURCES = tests/unit/ov_net.c
tests_unit_rd_get_SOURCES += tests/unit/ov_net.h
tests_unit_rd_get_SOURCES += tests/unit/rd_get.c
tests_unit_rd_get_SOURCES += tests/unit/xis_kit.c
tests_unit_rd_get_SOURCES += tests/unit/xis_kit.h
tests_unit_rd_get_LDADD = discovery/libdiscovery.a $(XN_INDEX_LIBS) $(XN_SIM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/find_verify
tests_unit_find_verify_SOURCES = tests/unit/find_verify.c
tests_unit_find_verify_SOURCES += tests/unit/ad_kit.c tests/unit/ad_kit.h
tests_unit_find_verify_SOURCES += tests/unit/wire_kit.h
tests_unit_find_verify_SOURCES += discovery/verify.c discovery/verify.h
tests_unit_find_verify_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
SHELL_TESTS += tests/xenofind-usage.t
FIND_KIT = tests/unit/find_kit.c tests/unit/find_kit.h
FIND_KIT += tests/unit/ad_kit.c tests/unit/ad_kit.h
FIND_KIT += tests/unit/net_kit.c tests/unit/net_kit.h
UNIT_TESTS += tests/unit/find_program
tests_unit_find_program_SOURCES = tests/unit/find_program.c $(FIND_KIT)
tests_unit_find_program_LDADD = $(XN_NET_LIBS) $(JANSSON_LIBS) $(XML_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/find_liars
tests_unit_find_liars_SOURCES = tests/unit/find_liars.c $(FIND_KIT)
tests_unit_find_liars_LDADD = $(XN_NET_LIBS) $(JANSSON_LIBS) $(XML_LIBS) $(CMOCKA_LIBS)
