# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += corp/libcorp.a
#corp_libcorp_a_SOURCES =
#corp_libcorp_a_SOURCES += corp/example.c
#corp_libcorp_a_SOURCES += corp/example.h

# What a program links to use this folder.
XN_CORP_LIBS = corp/libcorp.a $(XN_SEAM_LIBS)

EXTRA_DIST += corp/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
