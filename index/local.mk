# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += index/libindex.a
index_libindex_a_SOURCES =
index_libindex_a_SOURCES += index/ads.c
index_libindex_a_SOURCES += index/blob.c
index_libindex_a_SOURCES += index/columns.c
index_libindex_a_SOURCES += index/dest.c
index_libindex_a_SOURCES += index/explain.c
index_libindex_a_SOURCES += index/find.c
index_libindex_a_SOURCES += index/inside.h
index_libindex_a_SOURCES += index/load.c
index_libindex_a_SOURCES += index/order.c
index_libindex_a_SOURCES += index/parcel.c
index_libindex_a_SOURCES += index/places.c
index_libindex_a_SOURCES += index/publish.c
index_libindex_a_SOURCES += index/put.c
index_libindex_a_SOURCES += index/serve.c
index_libindex_a_SOURCES += index/settle.c
index_libindex_a_SOURCES += index/spread.c
index_libindex_a_SOURCES += index/store.c
index_libindex_a_SOURCES += index/sync.c
index_libindex_a_SOURCES += index/tokens.c
index_libindex_a_SOURCES += index/top.c
index_libindex_a_SOURCES += index/walk.c
index_libindex_a_SOURCES += index/xis.c
index_libindex_a_SOURCES += index/xis.h

# What a program links to use this folder.
XN_INDEX_LIBS = index/libindex.a $(XN_OVERLAY_LIBS)

EXTRA_DIST += index/README.md
EXTRA_DIST += index/deps

UNIT_TESTS += tests/unit/xis
tests_unit_xis_SOURCES = tests/unit/ov_net.c
tests_unit_xis_SOURCES += tests/unit/ov_net.h
tests_unit_xis_SOURCES += tests/unit/xis.c
tests_unit_xis_SOURCES += tests/unit/xis_kit.c
tests_unit_xis_SOURCES += tests/unit/xis_kit.h
tests_unit_xis_LDADD = $(XN_INDEX_LIBS) $(XN_SIM_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xis_ring
tests_unit_xis_ring_SOURCES = tests/unit/ov_net.c
tests_unit_xis_ring_SOURCES += tests/unit/ov_net.h
tests_unit_xis_ring_SOURCES += tests/unit/xis_kit.c
tests_unit_xis_ring_SOURCES += tests/unit/xis_kit.h
tests_unit_xis_ring_SOURCES += tests/unit/xis_ring.c
tests_unit_xis_ring_LDADD = $(XN_INDEX_LIBS) $(XN_SIM_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xis_find
tests_unit_xis_find_SOURCES = tests/unit/ov_net.c
tests_unit_xis_find_SOURCES += tests/unit/ov_net.h
tests_unit_xis_find_SOURCES += tests/unit/xis_find.c
tests_unit_xis_find_SOURCES += tests/unit/xis_kit.c
tests_unit_xis_find_SOURCES += tests/unit/xis_kit.h
tests_unit_xis_find_LDADD = $(XN_INDEX_LIBS) $(XN_SIM_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xis_rude
tests_unit_xis_rude_SOURCES = tests/unit/ov_net.c
tests_unit_xis_rude_SOURCES += tests/unit/ov_net.h
tests_unit_xis_rude_SOURCES += tests/unit/xis_kit.c
tests_unit_xis_rude_SOURCES += tests/unit/xis_kit.h
tests_unit_xis_rude_SOURCES += tests/unit/xis_rude.c
tests_unit_xis_rude_LDADD = $(XN_INDEX_LIBS) $(XN_SIM_LIBS) $(CMOCKA_LIBS)
