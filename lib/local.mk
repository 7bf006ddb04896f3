# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += lib/libxnlib.a
#lib_libxnlib_a_SOURCES =
#lib_libxnlib_a_SOURCES += lib/example.c
#lib_libxnlib_a_SOURCES += lib/example.h

# What a program links to use this folder.
XN_LIB_LIBS = lib/libxnlib.a -lm

EXTRA_DIST += lib/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)
