# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += index/libindex.a
#index_libindex_a_SOURCES =
#index_libindex_a_SOURCES += index/example.c
#index_libindex_a_SOURCES += index/example.h

# What a program links to use this folder.
XN_INDEX_LIBS = index/libindex.a $(XN_OVERLAY_LIBS)

EXTRA_DIST += index/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_INDEX_LIBS) $(CMOCKA_LIBS)
