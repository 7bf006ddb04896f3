# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += sim/libsim.a
#sim_libsim_a_SOURCES =
#sim_libsim_a_SOURCES += sim/example.c
#sim_libsim_a_SOURCES += sim/example.h

# What a program links to use this folder.
XN_SIM_LIBS = sim/libsim.a $(XN_SEAM_LIBS) $(LZMA_LIBS)

EXTRA_DIST += sim/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_SIM_LIBS) $(CMOCKA_LIBS)
