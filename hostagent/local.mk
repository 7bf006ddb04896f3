# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += hostagent/libhostagent.a
hostagent_libhostagent_a_SOURCES =
hostagent_libhostagent_a_SOURCES += hostagent/calls.c
hostagent_libhostagent_a_SOURCES += hostagent/host.c
hostagent_libhostagent_a_SOURCES += hostagent/host.h
hostagent_libhostagent_a_SOURCES += hostagent/offer.c
hostagent_libhostagent_a_SOURCES += hostagent/offer.h
hostagent_libhostagent_a_SOURCES += hostagent/publish.c
hostagent_libhostagent_a_SOURCES += hostagent/setup.c
hostagent_libhostagent_a_SOURCES += hostagent/state.h
hostagent_libhostagent_a_SOURCES += hostagent/watch.c

# What a program links to use this folder.
XN_HOSTAGENT_LIBS = hostagent/libhostagent.a $(XN_SEAM_LIBS)

EXTRA_DIST += hostagent/README.md
EXTRA_DIST += hostagent/deps
EXTRA_DIST += hostagent/xenohostd.c
EXTRA_DIST += hostagent/xenohostd_offer.c
EXTRA_DIST += hostagent/xenohostd_offer.h
man_MANS += man/xenohostd.8
EXTRA_DIST += man/xenohostd.8
man_MANS += man/xenohostd.conf.5
EXTRA_DIST += man/xenohostd.conf.5

