# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# With the first source, take the mark off these lines:
#noinst_LIBRARIES += net/libnet.a
#net_libnet_a_SOURCES =
#net_libnet_a_SOURCES += net/example.c
#net_libnet_a_SOURCES += net/example.h

# What a program links to use this folder.
XN_NET_LIBS = net/libnet.a $(XN_SEAM_LIBS) $(EVENT_SSL_LIBS) $(EVENT_THREADS_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CURL_LIBS) $(KYOTO_LIBS)

EXTRA_DIST += net/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
