# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
# A program:
#bin_PROGRAMS += tools/xenodev
#tools_xenodev_SOURCES = tools/xenodev.c
#tools_xenodev_LDADD = $(XN_NET_LIBS)
#man_MANS += man/xenodev.1
#EXTRA_DIST += man/xenodev.1

EXTRA_DIST += tools/deps
