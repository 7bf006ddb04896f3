# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += keeper/libkeeper.a
keeper_libkeeper_a_SOURCES =
keeper_libkeeper_a_SOURCES += keeper/bwrap.c
keeper_libkeeper_a_SOURCES += keeper/bwrap.h
keeper_libkeeper_a_SOURCES += keeper/cap.c
keeper_libkeeper_a_SOURCES += keeper/cap.h
keeper_libkeeper_a_SOURCES += keeper/cgroup.c
keeper_libkeeper_a_SOURCES += keeper/cgroup.h
keeper_libkeeper_a_SOURCES += keeper/console.c
keeper_libkeeper_a_SOURCES += keeper/console.h
keeper_libkeeper_a_SOURCES += keeper/filter.c
keeper_libkeeper_a_SOURCES += keeper/filter.h
keeper_libkeeper_a_SOURCES += keeper/herd.c
keeper_libkeeper_a_SOURCES += keeper/herd.h
keeper_libkeeper_a_SOURCES += keeper/meter.c
keeper_libkeeper_a_SOURCES += keeper/meter.h
keeper_libkeeper_a_SOURCES += keeper/proc.c
keeper_libkeeper_a_SOURCES += keeper/proc.h
keeper_libkeeper_a_SOURCES += keeper/record.c
keeper_libkeeper_a_SOURCES += keeper/record.h
keeper_libkeeper_a_SOURCES += keeper/sandbox.c
keeper_libkeeper_a_SOURCES += keeper/sandbox.h
keeper_libkeeper_a_SOURCES += keeper/sessions.c
keeper_libkeeper_a_SOURCES += keeper/sessions.h
keeper_libkeeper_a_SOURCES += keeper/spec.c
keeper_libkeeper_a_SOURCES += keeper/spec.h
keeper_libkeeper_a_SOURCES += keeper/sys.c
keeper_libkeeper_a_SOURCES += keeper/sys.h

# What a program links to use this folder.
XN_KEEPER_LIBS = keeper/libkeeper.a wire/libwiresys.a wire/libwire.a $(XN_LIB_LIBS) $(PROTOBUFC_LIBS) $(SECCOMP_LIBS)

EXTRA_DIST += keeper/README.md
EXTRA_DIST += keeper/deps

pkglibexec_PROGRAMS += keeper/xeno-keeper
keeper_xeno_keeper_SOURCES =
keeper_xeno_keeper_SOURCES += keeper/keeper.h
keeper_xeno_keeper_SOURCES += keeper/life.c
keeper_xeno_keeper_SOURCES += keeper/serve.c
keeper_xeno_keeper_SOURCES += keeper/xeno-keeper.c
keeper_xeno_keeper_LDADD = $(XN_KEEPER_LIBS)

sbin_PROGRAMS += keeper/xenodomd
keeper_xenodomd_SOURCES =
keeper_xenodomd_SOURCES += keeper/xenodomd.c
keeper_xenodomd_SOURCES += keeper/xenodomd.h
keeper_xenodomd_SOURCES += keeper/xenodomd_ask.c
keeper_xenodomd_SOURCES += keeper/xenodomd_live.c
keeper_xenodomd_SOURCES += keeper/xenodomd_serve.c
keeper_xenodomd_LDADD = $(XN_KEEPER_LIBS)
man_MANS += man/xenodomd.8
EXTRA_DIST += man/xenodomd.8

# What runs inside in sandbox.t; never instrumented, since it is copied into an
# image and held to a task's memory.
check_PROGRAMS += tests/e2e/burner
tests_e2e_burner_SOURCES = tests/e2e/burner.c
tests_e2e_burner_CFLAGS = -O1 -Wall -Wextra
tests_e2e_burner_LDFLAGS =
check_PROGRAMS += tests/e2e/rude_asker
tests_e2e_rude_asker_SOURCES = tests/e2e/rude_asker.c
tests_e2e_rude_asker_LDADD = $(XN_KEEPER_LIBS)
SHELL_TESTS += tests/e2e/evade.t
SHELL_TESTS += tests/e2e/rude-asker.t
SHELL_TESTS += tests/e2e/sandbox.t
UNIT_TESTS += tests/unit/keeper
tests_unit_keeper_SOURCES = tests/unit/keeper.c
tests_unit_keeper_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_task
tests_fuzz_fuzz_task_SOURCES = tests/fuzz/fuzz_task.c $(FUZZ_MAIN)
tests_fuzz_fuzz_task_LDADD = $(XN_KEEPER_LIBS) $(FUZZ_LIBS)
