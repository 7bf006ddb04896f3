# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += hostagent/libhostagent.a
hostagent_libhostagent_a_SOURCES =
hostagent_libhostagent_a_SOURCES += hostagent/accept.c
hostagent_libhostagent_a_SOURCES += hostagent/admit.c
hostagent_libhostagent_a_SOURCES += hostagent/calls.c
hostagent_libhostagent_a_SOURCES += hostagent/charge.c
hostagent_libhostagent_a_SOURCES += hostagent/domain.c
hostagent_libhostagent_a_SOURCES += hostagent/host.c
hostagent_libhostagent_a_SOURCES += hostagent/host.h
hostagent_libhostagent_a_SOURCES += hostagent/life.c
hostagent_libhostagent_a_SOURCES += hostagent/list.c
hostagent_libhostagent_a_SOURCES += hostagent/manager.h
hostagent_libhostagent_a_SOURCES += hostagent/market.c
hostagent_libhostagent_a_SOURCES += hostagent/market_load.c
hostagent_libhostagent_a_SOURCES += hostagent/match.c
hostagent_libhostagent_a_SOURCES += hostagent/offer.c
hostagent_libhostagent_a_SOURCES += hostagent/offer.h
hostagent_libhostagent_a_SOURCES += hostagent/publish.c
hostagent_libhostagent_a_SOURCES += hostagent/quote.c
hostagent_libhostagent_a_SOURCES += hostagent/reoffer.c
hostagent_libhostagent_a_SOURCES += hostagent/reserve.c
hostagent_libhostagent_a_SOURCES += hostagent/sandbox.c
hostagent_libhostagent_a_SOURCES += hostagent/session.h
hostagent_libhostagent_a_SOURCES += hostagent/session_file.c
hostagent_libhostagent_a_SOURCES += hostagent/setup.c
hostagent_libhostagent_a_SOURCES += hostagent/state.h
hostagent_libhostagent_a_SOURCES += hostagent/step.c
hostagent_libhostagent_a_SOURCES += hostagent/stop.c
hostagent_libhostagent_a_SOURCES += hostagent/task.c
hostagent_libhostagent_a_SOURCES += hostagent/task.h
hostagent_libhostagent_a_SOURCES += hostagent/task_aim.c
hostagent_libhostagent_a_SOURCES += hostagent/task_aim.h
hostagent_libhostagent_a_SOURCES += hostagent/task_ask.c
hostagent_libhostagent_a_SOURCES += hostagent/task_file.c
hostagent_libhostagent_a_SOURCES += hostagent/task_image.c
hostagent_libhostagent_a_SOURCES += hostagent/task_new.c
hostagent_libhostagent_a_SOURCES += hostagent/task_pause.c
hostagent_libhostagent_a_SOURCES += hostagent/task_spec.c
hostagent_libhostagent_a_SOURCES += hostagent/task_wait.c
hostagent_libhostagent_a_SOURCES += hostagent/version.c
hostagent_libhostagent_a_SOURCES += hostagent/watch.c

# What a program links to use this folder.
XN_HOSTAGENT_LIBS = hostagent/libhostagent.a $(XN_SEAM_LIBS)

EXTRA_DIST += hostagent/README.md
EXTRA_DIST += hostagent/deps
man_MANS += man/xenohostd.8
EXTRA_DIST += man/xenohostd.8
man_MANS += man/xenohostd.conf.5
EXTRA_DIST += man/xenohostd.conf.5

sbin_PROGRAMS += hostagent/xenohostd
hostagent_xenohostd_SOURCES = hostagent/xenohostd.c hostagent/xenohostd_offer.c hostagent/xenohostd_offer.h
hostagent_xenohostd_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_NET_LIBS)

# The operator's tool.
sbin_PROGRAMS += hostagent/xenoserver
hostagent_xenoserver_SOURCES = hostagent/xenohostd_offer.c hostagent/xenohostd_offer.h
hostagent_xenoserver_SOURCES += hostagent/xenoserver.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver.h
hostagent_xenoserver_SOURCES += hostagent/xenoserver_ask.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_check.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_common.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_conf.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_doctor.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_doctor.h
hostagent_xenoserver_SOURCES += hostagent/xenoserver_earnings.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_join.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_offer.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_self.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_status.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_units.c
hostagent_xenoserver_SOURCES += hostagent/xenoserver_units.h
hostagent_xenoserver_CPPFLAGS = $(AM_CPPFLAGS) '-DXN_SYSCONFDIR="$(sysconfdir)"'
hostagent_xenoserver_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS)
man_MANS += man/xenoserver.8
EXTRA_DIST += man/xenoserver.8
UNIT_TESTS += tests/unit/server_conf
tests_unit_server_conf_SOURCES = hostagent/xenoserver_conf.c hostagent/xenoserver_self.c
tests_unit_server_conf_SOURCES += hostagent/xenoserver.h tests/unit/server_conf.c
tests_unit_server_conf_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
SHELL_TESTS += tests/e2e/operator.t
SHELL_TESTS += tests/e2e/task.t

# Unit tests of this folder; crank is a driver by hand.
UNIT_TESTS += tests/unit/host
HOST_KIT = tests/unit/crank.c tests/unit/crank.h
HOST_KIT += tests/unit/host_kit.c tests/unit/host_kit.h
tests_unit_host_SOURCES = tests/unit/host.c $(HOST_KIT)
tests_unit_host_LDADD = $(XN_HOSTAGENT_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_orders
tests_unit_host_orders_SOURCES = tests/unit/host_orders.c $(HOST_KIT)
tests_unit_host_orders_LDADD = $(XN_HOSTAGENT_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_offer
tests_unit_host_offer_SOURCES = hostagent/xenohostd_offer.c hostagent/xenohostd_offer.h tests/unit/host_offer.c
tests_unit_host_offer_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
# A host agent beside a XenoCorp, both real.
MARKET_KIT = tests/unit/market_kit.c tests/unit/market_kit.h
MARKET_KIT += tests/unit/dom_kit.c tests/unit/dom_kit.h
MARKET_KIT += $(MONEY_CORP_KIT) $(CORP_KIT)
UNIT_TESTS += tests/unit/host_session
tests_unit_host_session_SOURCES = tests/unit/host_session.c $(MARKET_KIT)
tests_unit_host_session_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_claims
tests_unit_host_claims_SOURCES = tests/unit/host_claims.c $(MARKET_KIT)
tests_unit_host_claims_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_room
tests_unit_host_room_SOURCES = tests/unit/host_room.c $(MARKET_KIT)
tests_unit_host_room_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_tasks
TASK_KIT = tests/unit/task_kit.c tests/unit/task_kit.h $(MARKET_KIT)
tests_unit_host_tasks_SOURCES = tests/unit/host_tasks.c $(TASK_KIT)
tests_unit_host_tasks_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_refusals
tests_unit_host_refusals_SOURCES = tests/unit/host_refusals.c $(TASK_KIT)
tests_unit_host_refusals_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_images
tests_unit_host_images_SOURCES = tests/unit/host_images.c $(TASK_KIT)
tests_unit_host_images_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_pause
tests_unit_host_pause_SOURCES = tests/unit/host_pause.c $(TASK_KIT)
tests_unit_host_pause_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_xen
tests_unit_host_xen_SOURCES = tests/unit/host_xen.c $(TASK_KIT)
tests_unit_host_xen_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_task_deaths
tests_unit_host_task_deaths_SOURCES = tests/unit/host_task_deaths.c $(TASK_KIT)
tests_unit_host_task_deaths_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/host_deaths
tests_unit_host_deaths_SOURCES = tests/unit/host_deaths.c $(MARKET_KIT)
tests_unit_host_deaths_LDADD = $(XN_HOSTAGENT_LIBS) $(XN_CORP_LIBS) $(CMOCKA_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_host
tests_fuzz_fuzz_host_SOURCES = tests/fuzz/fuzz_host.c $(FUZZ_MAIN)
tests_fuzz_fuzz_host_LDADD = $(XN_HOSTAGENT_LIBS) $(FUZZ_LIBS)
