# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += discovery/libdiscovery.a
#discovery_libdiscovery_a_SOURCES =
#discovery_libdiscovery_a_SOURCES += discovery/example.c
#discovery_libdiscovery_a_SOURCES += discovery/example.h

# What a program links to use this folder.
XN_DISCOVERY_LIBS = discovery/libdiscovery.a $(XN_SEAM_LIBS)

EXTRA_DIST += discovery/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_DISCOVERY_LIBS) $(CMOCKA_LIBS)
