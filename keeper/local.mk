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
keeper_libkeeper_a_SOURCES += keeper/domain.c
keeper_libkeeper_a_SOURCES += keeper/domain.h
keeper_libkeeper_a_SOURCES += keeper/exec.c
keeper_libkeeper_a_SOURCES += keeper/exec.h
keeper_libkeeper_a_SOURCES += keeper/exec_carry.c
keeper_libkeeper_a_SOURCES += keeper/exec_in.h
keeper_libkeeper_a_SOURCES += keeper/exec_start.c
keeper_libkeeper_a_SOURCES += keeper/filter.c
keeper_libkeeper_a_SOURCES += keeper/filter.h
keeper_libkeeper_a_SOURCES += keeper/flows.c
keeper_libkeeper_a_SOURCES += keeper/flows.h
keeper_libkeeper_a_SOURCES += keeper/herd.c
keeper_libkeeper_a_SOURCES += keeper/herd.h
keeper_libkeeper_a_SOURCES += keeper/join.c
keeper_libkeeper_a_SOURCES += keeper/join.h
keeper_libkeeper_a_SOURCES += keeper/limits.c
keeper_libkeeper_a_SOURCES += keeper/limits.h
keeper_libkeeper_a_SOURCES += keeper/loop.c
keeper_libkeeper_a_SOURCES += keeper/loop.h
keeper_libkeeper_a_SOURCES += keeper/meter.c
keeper_libkeeper_a_SOURCES += keeper/meter.h
keeper_libkeeper_a_SOURCES += keeper/network.c
keeper_libkeeper_a_SOURCES += keeper/nft.c
keeper_libkeeper_a_SOURCES += keeper/nft.h
keeper_libkeeper_a_SOURCES += keeper/network.h
keeper_libkeeper_a_SOURCES += keeper/patience.c
keeper_libkeeper_a_SOURCES += keeper/patience.h
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
keeper_libkeeper_a_SOURCES += keeper/tally.c
keeper_libkeeper_a_SOURCES += keeper/tally.h
keeper_libkeeper_a_SOURCES += keeper/traffic.c
keeper_libkeeper_a_SOURCES += keeper/traffic.h
keeper_libkeeper_a_SOURCES += keeper/xen.h

# What a program links to use this folder.
XN_KEEPER_LIBS = keeper/libkeeper.a wire/libwiresys.a wire/libwire.a $(XN_LIB_LIBS) $(PROTOBUFC_LIBS) $(SECCOMP_LIBS)

EXTRA_DIST += keeper/README.md
EXTRA_DIST += keeper/deps

# What a keeper is, whatever it keeps.
KEEP = keeper/keep.c keeper/keeper.h keeper/life.c keeper/runner.h keeper/serve.c
KEEP_DOMAIN = $(KEEP) keeper/domain_make.c keeper/domain_make.h
KEEP_DOMAIN += keeper/domain_save.c keeper/domain_save.h
KEEP_DOMAIN += keeper/domain_use.c keeper/domain_use.h keeper/run_domain.c

pkglibexec_PROGRAMS += keeper/xeno-keeper
keeper_xeno_keeper_SOURCES = $(KEEP)
keeper_xeno_keeper_SOURCES += keeper/run_sandbox.c
keeper_xeno_keeper_SOURCES += keeper/xeno-keeper.c
keeper_xeno_keeper_LDADD = $(XN_KEEPER_LIBS)

sbin_PROGRAMS += keeper/xenodomd
XENODOMD = keeper/xenodomd.c keeper/xenodomd.h
XENODOMD += keeper/xenodomd_ask.c
XENODOMD += keeper/xenodomd_live.c
XENODOMD += keeper/xenodomd_managers.c
XENODOMD += keeper/xenodomd_flows.c
XENODOMD += keeper/xenodomd_meter.c
XENODOMD += keeper/xenodomd_network.c
XENODOMD += keeper/xenodomd_save.c
XENODOMD += keeper/xenodomd_serve.c
keeper_xenodomd_SOURCES = $(KEEP_DOMAIN) $(XENODOMD)
dist_pkglibexec_SCRIPTS = keeper/xeno-hotplug
if HAVE_XEN
keeper_xenodomd_SOURCES += keeper/xen_libxl.c
else
EXTRA_DIST += keeper/xen_libxl.c
endif
keeper_xenodomd_LDADD = $(XN_KEEPER_LIBS) $(XEN_LIBS)
man_MANS += man/xenodomd.8
EXTRA_DIST += man/xenodomd.8

# What runs inside in sandbox.t; never instrumented, since it is copied into an
# image and held to a task's memory.
check_PROGRAMS += tests/e2e/porter
tests_e2e_porter_SOURCES = tests/e2e/porter.c
tests_e2e_porter_LDFLAGS =
check_PROGRAMS += tests/e2e/typist
tests_e2e_typist_SOURCES = tests/e2e/typist.c
check_PROGRAMS += tests/e2e/burner
tests_e2e_burner_SOURCES = tests/e2e/burner.c
tests_e2e_burner_CFLAGS = -O1 -Wall -Wextra
tests_e2e_burner_LDFLAGS =
check_PROGRAMS += tests/e2e/meter_asker
tests_e2e_meter_asker_SOURCES = tests/e2e/meter_asker.c
tests_e2e_meter_asker_LDADD = $(XN_KEEPER_LIBS)
check_PROGRAMS += tests/e2e/rude_asker
tests_e2e_rude_asker_SOURCES = tests/e2e/rude_asker.c
tests_e2e_rude_asker_LDADD = $(XN_KEEPER_LIBS)
SHELL_TESTS += tests/cli/no-xen.t
SHELL_TESTS += tests/e2e/evade.t
SHELL_TESTS += tests/e2e/guest-nat.t
SHELL_TESTS += tests/e2e/rude-asker.t
SHELL_TESTS += tests/e2e/sandbox.t
UNIT_TESTS += tests/unit/keeper
tests_unit_keeper_SOURCES = tests/unit/keeper.c
tests_unit_keeper_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/cgroup
tests_unit_cgroup_SOURCES = tests/unit/cgroup.c
tests_unit_cgroup_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
DOMAIN_KIT = $(KEEP_DOMAIN) tests/unit/domain_kit.c tests/unit/domain_kit.h
DOMAIN_KIT += tests/unit/xen_fake.c tests/unit/xen_fake.h
UNIT_TESTS += tests/unit/keeper_xen
tests_unit_keeper_xen_SOURCES = tests/unit/keeper_xen.c $(DOMAIN_KIT)
tests_unit_keeper_xen_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/keeper_exec
tests_unit_keeper_exec_SOURCES = tests/unit/keeper_exec.c $(KEEP)
tests_unit_keeper_exec_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/keeper_xen_again
tests_unit_keeper_xen_again_SOURCES = tests/unit/keeper_xen_again.c $(DOMAIN_KIT)
tests_unit_keeper_xen_again_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/keeper_xen_save
tests_unit_keeper_xen_save_SOURCES = tests/unit/keeper_xen_save.c $(DOMAIN_KIT)
tests_unit_keeper_xen_save_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/keeper_xen_start
tests_unit_keeper_xen_start_SOURCES = tests/unit/keeper_xen_start.c $(DOMAIN_KIT)
tests_unit_keeper_xen_start_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/network
tests_unit_network_SOURCES = tests/unit/network.c
tests_unit_network_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/patience
tests_unit_patience_SOURCES = tests/unit/patience.c
tests_unit_patience_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/tally
tests_unit_tally_SOURCES = tests/unit/tally.c
tests_unit_tally_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/keeper_flows
tests_unit_keeper_flows_SOURCES = tests/unit/keeper_flows.c
tests_unit_keeper_flows_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/traffic
tests_unit_traffic_SOURCES = tests/unit/traffic.c
tests_unit_traffic_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
# xenodomd on a hypervisor that is made up.
check_PROGRAMS += tests/unit/xenodomd_fake
tests_unit_xenodomd_fake_SOURCES = $(KEEP_DOMAIN) $(XENODOMD)
tests_unit_xenodomd_fake_SOURCES += tests/unit/xen_fake.c tests/unit/xen_fake.h
tests_unit_xenodomd_fake_CPPFLAGS = $(AM_CPPFLAGS) '-DXEN_BACK_END=&xen_fake'
tests_unit_xenodomd_fake_LDADD = $(XN_KEEPER_LIBS)
DOMD_KIT = tests/unit/domd_kit.c tests/unit/domd_kit.h
DOMD_KIT += tests/unit/xen_fake.c tests/unit/xen_fake.h
UNIT_TESTS += tests/unit/xenodomd_save
tests_unit_xenodomd_save_SOURCES = tests/unit/xenodomd_save.c $(DOMD_KIT)
tests_unit_xenodomd_save_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/xenodomd_xen
tests_unit_xenodomd_xen_SOURCES = tests/unit/xenodomd_xen.c $(DOMD_KIT)
tests_unit_xenodomd_xen_LDADD = $(XN_KEEPER_LIBS) $(CMOCKA_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_task
tests_fuzz_fuzz_task_SOURCES = tests/fuzz/fuzz_task.c $(FUZZ_MAIN)
tests_fuzz_fuzz_task_LDADD = $(XN_KEEPER_LIBS) $(FUZZ_LIBS)
