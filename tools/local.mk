# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.

# A development platform's parts, for xenodev and for the tests around it.
noinst_LIBRARIES += tools/libdev.a
tools_libdev_a_SOURCES =
tools_libdev_a_SOURCES += tools/dev.h
tools_libdev_a_SOURCES += tools/dev_ads.c
tools_libdev_a_SOURCES += tools/dev_catalogue.c
tools_libdev_a_SOURCES += tools/dev_latency.c
tools_libdev_a_SOURCES += tools/dev_money.c
tools_libdev_a_SOURCES += tools/dev_offer.c
tools_libdev_a_SOURCES += tools/dev_place.c
tools_libdev_a_SOURCES += tools/dev_ports.c
tools_libdev_a_SOURCES += tools/dev_process.c
tools_libdev_a_SOURCES += tools/dev_state.c
tools_libdev_a_SOURCES += tools/dev_tasks.c
tools_libdev_a_SOURCES += tools/dev_tty.c
tools_libdev_a_SOURCES += tools/dev_up.c
XN_DEV_LIBS = tools/libdev.a $(XN_LATENCY_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS) $(LZMA_LIBS)

bin_PROGRAMS += tools/xenodev
tools_xenodev_SOURCES = tools/xenodev.c
tools_xenodev_SOURCES += tools/xenodev.h
tools_xenodev_SOURCES += tools/xenodev_run.c
tools_xenodev_SOURCES += tools/xenodev_show.c
tools_xenodev_SOURCES += tools/xenodev_up.c
tools_xenodev_LDADD = $(XN_DEV_LIBS) $(SMARTCOLS_LIBS)
bin_PROGRAMS += tools/xeno
tools_xeno_SOURCES = tools/xeno.c
tools_xeno_LDADD = $(XN_XENO_LIBS)
# All of it but main, for the tests around it.
noinst_LIBRARIES += tools/libxeno.a
tools_libxeno_a_SOURCES =
tools_libxeno_a_SOURCES += tools/xeno.h
tools_libxeno_a_SOURCES += tools/xeno_account.c
tools_libxeno_a_SOURCES += tools/xeno_activity.c
tools_libxeno_a_SOURCES += tools/xeno_bill.c
tools_libxeno_a_SOURCES += tools/xeno_bill.h
tools_libxeno_a_SOURCES += tools/xeno_bill_print.c
tools_libxeno_a_SOURCES += tools/xeno_common.c
tools_libxeno_a_SOURCES += tools/xeno_corp.c
tools_libxeno_a_SOURCES += tools/xeno_console.c
tools_libxeno_a_SOURCES += tools/xeno_exec.c
tools_libxeno_a_SOURCES += tools/xeno_extend.c
tools_libxeno_a_SOURCES += tools/xeno_forward.c
tools_libxeno_a_SOURCES += tools/xeno_kept.c
tools_libxeno_a_SOURCES += tools/xeno_kept.h
tools_libxeno_a_SOURCES += tools/xeno_list.c
tools_libxeno_a_SOURCES += tools/xeno_list.h
tools_libxeno_a_SOURCES += tools/xeno_list_ask.c
tools_libxeno_a_SOURCES += tools/xeno_order.c
tools_libxeno_a_SOURCES += tools/xeno_order_list.c
tools_libxeno_a_SOURCES += tools/xeno_order_narrow.c
tools_libxeno_a_SOURCES += tools/xeno_orders.c
tools_libxeno_a_SOURCES += tools/xeno_orders.h
tools_libxeno_a_SOURCES += tools/xeno_overlay.c
tools_libxeno_a_SOURCES += tools/xeno_overlay.h
tools_libxeno_a_SOURCES += tools/xeno_overlay_metrics.c
tools_libxeno_a_SOURCES += tools/xeno_overlay_show.c
tools_libxeno_a_SOURCES += tools/xeno_overlay_trace.c
tools_libxeno_a_SOURCES += tools/xeno_print.c
tools_libxeno_a_SOURCES += tools/xeno_quote.c
tools_libxeno_a_SOURCES += tools/xeno_register.c
tools_libxeno_a_SOURCES += tools/xeno_run.c
tools_libxeno_a_SOURCES += tools/xeno_run.h
tools_libxeno_a_SOURCES += tools/xeno_run_buy.c
tools_libxeno_a_SOURCES += tools/xeno_run_find.c
tools_libxeno_a_SOURCES += tools/xeno_run_record.c
tools_libxeno_a_SOURCES += tools/xeno_seek.c
tools_libxeno_a_SOURCES += tools/xeno_server.h
tools_libxeno_a_SOURCES += tools/xeno_session.c
tools_libxeno_a_SOURCES += tools/xeno_signals.c
tools_libxeno_a_SOURCES += tools/xeno_signals.h
tools_libxeno_a_SOURCES += tools/xeno_stop.c
tools_libxeno_a_SOURCES += tools/xeno_stop.h
tools_libxeno_a_SOURCES += tools/xeno_stops.c
tools_libxeno_a_SOURCES += tools/xeno_task.c
tools_libxeno_a_SOURCES += tools/xeno_task.h
tools_libxeno_a_SOURCES += tools/xeno_task_pause.c
tools_libxeno_a_SOURCES += tools/xeno_task_show.c
XN_XENO_LIBS = tools/libxeno.a $(XN_FIND_LIBS) $(JANSSON_LIBS) $(SMARTCOLS_LIBS)
man_MANS += man/xeno.1
EXTRA_DIST += man/xeno.1
man_MANS += man/xenodev.1
EXTRA_DIST += man/xenodev.1

dist_pkgdata_DATA += dist/catalogue.csv
# Beside the program in the build tree, so that it runs from there.
noinst_DATA += tools/catalogue.csv
CLEANFILES += tools/catalogue.csv
tools/catalogue.csv: dist/catalogue.csv
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(srcdir)/dist/catalogue.csv $@

dist_bashcomp_DATA += dist/completions/xeno
dist_bashcomp_DATA += dist/completions/xenocorp
dist_bashcomp_DATA += dist/completions/xenocorpd
dist_bashcomp_DATA += dist/completions/xenodev
dist_bashcomp_DATA += dist/completions/xenodomd
dist_bashcomp_DATA += dist/completions/xenofind
dist_bashcomp_DATA += dist/completions/xenohostd
dist_bashcomp_DATA += dist/completions/xenonoded
dist_bashcomp_DATA += dist/completions/xenoserver
dist_bashcomp_DATA += dist/completions/xenosim

EXTRA_DIST += dist/catalogue.README
dist_pkgdata_DATA += dist/latency-seattle99.txt
EXTRA_DIST += dist/latency-seattle99.README
EXTRA_DIST += tools/README.md tools/deps

UNIT_TESTS += tests/unit/dev_latency
tests_unit_dev_latency_SOURCES = tests/unit/dev_latency.c
tests_unit_dev_latency_LDADD = $(XN_DEV_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/dev_money
tests_unit_dev_money_SOURCES = tests/unit/dev_money.c $(NET_KIT)
tests_unit_dev_money_LDADD = $(XN_DEV_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/dev_process
tests_unit_dev_process_SOURCES = tests/unit/dev_process.c
tests_unit_dev_process_LDADD = $(XN_DEV_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/dev_ports
tests_unit_dev_ports_SOURCES = tests/unit/dev_ports.c
tests_unit_dev_ports_LDADD = $(XN_DEV_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xeno_overlay
tests_unit_xeno_overlay_SOURCES = tests/unit/xeno_overlay.c $(NET_KIT)
tests_unit_xeno_overlay_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xeno_hostile
tests_unit_xeno_hostile_SOURCES = tests/unit/xeno_hostile.c $(NET_KIT)
tests_unit_xeno_hostile_LDADD = $(XN_XENO_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xeno_list
tests_unit_xeno_list_SOURCES = tests/unit/xeno_list.c $(NET_KIT)
tests_unit_xeno_list_LDADD = $(XN_XENO_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/xeno_kept
tests_unit_xeno_kept_SOURCES = tests/unit/xeno_kept.c $(NET_KIT)
tests_unit_xeno_kept_LDADD = $(XN_XENO_LIBS) $(CMOCKA_LIBS)

# ---- the whole platform under test ----
check_PROGRAMS += tests/e2e/findcheck
tests_e2e_findcheck_SOURCES = tests/e2e/findcheck.c
tests_e2e_findcheck_LDADD = $(XN_DEV_LIBS)

check_PROGRAMS += tests/e2e/holders
tests_e2e_holders_SOURCES = tests/e2e/holders.c
tests_e2e_holders_LDADD = $(XN_DEV_LIBS)

check_PROGRAMS += tests/e2e/liar
tests_e2e_liar_SOURCES = tests/e2e/liar.c
tests_e2e_liar_SOURCES += node/xenonoded_run.c
tests_e2e_liar_SOURCES += node/xenonoded_run.h
tests_e2e_liar_LDADD = $(XN_NODE_LIBS) $(XN_NET_LIBS)

check_PROGRAMS += tests/e2e/seller
tests_e2e_seller_SOURCES = tests/e2e/seller.c
tests_e2e_seller_LDADD = $(XN_NET_LIBS)

SHELL_TESTS += tests/cli/bad-input.t
SHELL_TESTS += tests/cli/completion.t
SHELL_TESTS += tests/cli/help.t
SHELL_TESTS += tests/cli/xeno-words.t
SHELL_TESTS += tests/e2e/nat.t
SHELL_TESTS += tests/e2e/straight.t
SHELL_TESTS += tests/e2e/overlay.t
SHELL_TESTS += tests/e2e/revoke.t
SHELL_TESTS += tests/e2e/find.t
SHELL_TESTS += tests/e2e/cluster.t
SHELL_TESTS += tests/e2e/outlive.t
SHELL_TESTS += tests/e2e/platform-tasks.t
SHELL_TESTS += tests/e2e/session.t
SHELL_TESTS += tests/e2e/kill.t
SHELL_TESTS += tests/e2e/latency.t
SHELL_TESTS += tests/e2e/liar.t
SHELL_TESTS += tests/e2e/manners.t
SHELL_TESTS += tests/e2e/money.t
SHELL_TESTS += tests/e2e/demo.t
SHELL_TESTS += tests/e2e/image.t
SHELL_TESTS += tests/e2e/refusals.t
SHELL_TESTS += tests/e2e/replay.t
SHELL_TESTS += tests/e2e/run.t
SHELL_TESTS += tests/e2e/six.t
SHELL_TESTS += tests/e2e/activity.t
SHELL_TESTS += tests/e2e/exec.t
SHELL_TESTS += tests/e2e/far.t
SHELL_TESTS += tests/e2e/forward.t
SHELL_TESTS += tests/e2e/twins.t
SHELL_TESTS += tests/soak/sandbox.t
EXTRA_DIST += tests/e2e/lib.sh
EXTRA_DIST += tests/e2e/cluster.sh
EXTRA_DIST += tests/e2e/tasks.sh

# In full: every offer that has a price, six of 24 servers killed at once.
soak-node: all $(check_PROGRAMS)
	@XN_SOAK=1 $(MAKE) --no-print-directory check \
	TESTS='tests/e2e/find.t tests/e2e/kill.t'
# make soak-hostagent [SOAK=short]; the short form is in `make check` too.
SANDBOX_TESTS = e2e/outlive soak/sandbox
soak-hostagent: all tests/e2e/burner
	@rc=0; for t in $(SANDBOX_TESTS); do \
	XN_SRC='$(abs_top_srcdir)' XN_BUILD='$(abs_top_builddir)' \
	SOAK='$(SOAK)' bash $(srcdir)/tests/$$t.t || rc=1; done; exit $$rc
.PHONY: soak-node soak-hostagent
