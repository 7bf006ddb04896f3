# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += seam/libseam.a
seam_libseam_a_SOURCES =
seam_libseam_a_SOURCES += seam/core.c
seam_libseam_a_SOURCES += seam/dial.h
seam_libseam_a_SOURCES += seam/out.c
seam_libseam_a_SOURCES += seam/out.h
seam_libseam_a_SOURCES += seam/peers.h
seam_libseam_a_SOURCES += seam/record.c
seam_libseam_a_SOURCES += seam/record.h
seam_libseam_a_SOURCES += seam/tickets.c
seam_libseam_a_SOURCES += seam/tickets.h
seam_libseam_a_SOURCES += seam/xn_core.h

# What a program links to use this folder.
XN_SEAM_LIBS = seam/libseam.a $(XN_WIRE_LIBS)

EXTRA_DIST += seam/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_SEAM_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/tickets
tests_unit_tickets_SOURCES = tests/unit/tickets.c
tests_unit_tickets_LDADD = $(XN_SEAM_LIBS) $(CMOCKA_LIBS)
