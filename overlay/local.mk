# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += overlay/liboverlay.a
#overlay_liboverlay_a_SOURCES =
#overlay_liboverlay_a_SOURCES += overlay/example.c
#overlay_liboverlay_a_SOURCES += overlay/example.h

# What a program links to use this folder.
XN_OVERLAY_LIBS = overlay/liboverlay.a $(XN_SEAM_LIBS)

EXTRA_DIST += overlay/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_OVERLAY_LIBS) $(CMOCKA_LIBS)
