# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += hostagent/libhostagent.a
#hostagent_libhostagent_a_SOURCES =
#hostagent_libhostagent_a_SOURCES += hostagent/example.c
#hostagent_libhostagent_a_SOURCES += hostagent/example.h

# What a program links to use this folder.
XN_HOSTAGENT_LIBS = hostagent/libhostagent.a $(XN_SEAM_LIBS)

EXTRA_DIST += hostagent/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_HOSTAGENT_LIBS) $(CMOCKA_LIBS)
