# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += corp/libcorp.a
corp_libcorp_a_SOURCES =
corp_libcorp_a_SOURCES += corp/account.c
corp_libcorp_a_SOURCES += corp/account.h
corp_libcorp_a_SOURCES += corp/audit.c
corp_libcorp_a_SOURCES += corp/audit.h
corp_libcorp_a_SOURCES += corp/bill.c
corp_libcorp_a_SOURCES += corp/charge.c
corp_libcorp_a_SOURCES += corp/core.h
corp_libcorp_a_SOURCES += corp/corp.c
corp_libcorp_a_SOURCES += corp/corp.h
corp_libcorp_a_SOURCES += corp/issue.c
corp_libcorp_a_SOURCES += corp/job.c
corp_libcorp_a_SOURCES += corp/job.h
corp_libcorp_a_SOURCES += corp/job_ask.c
corp_libcorp_a_SOURCES += corp/job_post.c
corp_libcorp_a_SOURCES += corp/ledger.c
corp_libcorp_a_SOURCES += corp/ledger.h
corp_libcorp_a_SOURCES += corp/ledger_batch.c
corp_libcorp_a_SOURCES += corp/ledger_draft.c
corp_libcorp_a_SOURCES += corp/ledger_entry.c
corp_libcorp_a_SOURCES += corp/ledger_form.c
corp_libcorp_a_SOURCES += corp/ledger_in.h
corp_libcorp_a_SOURCES += corp/ledger_judge.c
corp_libcorp_a_SOURCES += corp/ledger_ops.c
corp_libcorp_a_SOURCES += corp/ledger_read.c
corp_libcorp_a_SOURCES += corp/ledger_rules.c
corp_libcorp_a_SOURCES += corp/ledger_start.c
corp_libcorp_a_SOURCES += corp/member.c
corp_libcorp_a_SOURCES += corp/money.h
corp_libcorp_a_SOURCES += corp/nodes.c
corp_libcorp_a_SOURCES += corp/nodes.h
corp_libcorp_a_SOURCES += corp/order_file.c
corp_libcorp_a_SOURCES += corp/order_file.h
corp_libcorp_a_SOURCES += corp/payin.c
corp_libcorp_a_SOURCES += corp/policy.c
corp_libcorp_a_SOURCES += corp/policy.h
corp_libcorp_a_SOURCES += corp/rates.c
corp_libcorp_a_SOURCES += corp/rates.h
corp_libcorp_a_SOURCES += corp/release.c
corp_libcorp_a_SOURCES += corp/revoke.c
corp_libcorp_a_SOURCES += corp/revoke.h
corp_libcorp_a_SOURCES += corp/setup.c
corp_libcorp_a_SOURCES += corp/staff.c
corp_libcorp_a_SOURCES += corp/stop.c
corp_libcorp_a_SOURCES += corp/text.c
corp_libcorp_a_SOURCES += corp/text.h
corp_libcorp_a_SOURCES += corp/validate.c

# What a program links to use this folder.
XN_CORP_LIBS = corp/libcorp.a $(XN_SEAM_LIBS)

EXTRA_DIST += corp/README.md
EXTRA_DIST += corp/deps
man_MANS += man/xenocorp.8
EXTRA_DIST += man/xenocorp.8
man_MANS += man/xenocorpd.8
EXTRA_DIST += man/xenocorpd.8

sbin_PROGRAMS += corp/xenocorp
corp_xenocorp_SOURCES = corp/xenocorp.c
corp_xenocorp_SOURCES += corp/xenocorp.h
corp_xenocorp_SOURCES += corp/xenocorp_ask.c
corp_xenocorp_SOURCES += corp/xenocorp_ask.h
corp_xenocorp_SOURCES += corp/xenocorp_backup.c
corp_xenocorp_SOURCES += corp/xenocorp_books.c
corp_xenocorp_SOURCES += corp/xenocorp_books.h
corp_xenocorp_SOURCES += corp/xenocorp_charges.c
corp_xenocorp_SOURCES += corp/xenocorp_client.c
corp_xenocorp_SOURCES += corp/xenocorp_client.h
corp_xenocorp_SOURCES += corp/xenocorp_lists.c
corp_xenocorp_SOURCES += corp/xenocorp_lists.h
corp_xenocorp_SOURCES += corp/xenocorp_payins.c
corp_xenocorp_SOURCES += corp/xenocorp_revoke.c
corp_xenocorp_SOURCES += corp/xenocorp_store.c
corp_xenocorp_SOURCES += corp/xenocorp_store.h
corp_xenocorp_SOURCES += corp/xenocorp_table.c
corp_xenocorp_SOURCES += corp/xenocorp_table.h
corp_xenocorp_SOURCES += corp/xenocorp_words.c
corp_xenocorp_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS)
sbin_PROGRAMS += corp/xenocorpd
corp_xenocorpd_SOURCES = corp/xenocorpd.c
corp_xenocorpd_SOURCES += corp/xenocorp_books.c
corp_xenocorpd_SOURCES += corp/xenocorp_books.h
corp_xenocorpd_SOURCES += corp/xenocorp_store.c
corp_xenocorpd_SOURCES += corp/xenocorp_store.h
corp_xenocorpd_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS)

# Unit tests of this folder; crank is a driver by hand.
UNIT_TESTS += tests/unit/corp
CORP_KIT = tests/unit/corp_kit.c tests/unit/corp_kit.h
CORP_KIT += tests/unit/crank.c tests/unit/crank.h
tests_unit_corp_SOURCES = tests/unit/corp.c $(CORP_KIT)
tests_unit_corp_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
MONEY_CORP_KIT = tests/unit/corp_money_kit.c tests/unit/corp_money_kit.h tests/unit/wire_kit.h
UNIT_TESTS += tests/unit/bill
tests_unit_bill_SOURCES = tests/unit/bill.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_bill_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
ALTERED_KIT = tests/unit/altered_kit.c tests/unit/altered_kit.h $(MONEY_CORP_KIT) $(CORP_KIT)
UNIT_TESTS += tests/unit/altered
tests_unit_altered_SOURCES = tests/unit/altered.c $(ALTERED_KIT)
tests_unit_altered_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/altered_bytes
tests_unit_altered_bytes_SOURCES = tests/unit/altered_bytes.c $(ALTERED_KIT)
tests_unit_altered_bytes_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/altered_narrowing
tests_unit_altered_narrowing_SOURCES = tests/unit/altered_narrowing.c $(ALTERED_KIT)
tests_unit_altered_narrowing_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_attack
tests_unit_corp_attack_SOURCES = tests/unit/corp_attack.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_attack_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_charge
tests_unit_corp_charge_SOURCES = tests/unit/corp_charge.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_charge_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_races
tests_unit_corp_races_SOURCES = tests/unit/corp_races.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_races_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_account
tests_unit_corp_account_SOURCES = tests/unit/corp_account.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_account_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_payin
tests_unit_corp_payin_SOURCES = tests/unit/corp_payin.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_payin_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_rates
tests_unit_corp_rates_SOURCES = tests/unit/corp_rates.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_rates_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_revoke
tests_unit_corp_revoke_SOURCES = tests/unit/corp_revoke.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_revoke_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_order
tests_unit_corp_order_SOURCES = tests/unit/corp_order.c $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_corp_order_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/order_random
tests_unit_order_random_SOURCES = tests/unit/order_random.c tests/unit/order_run.h tests/unit/order_envelope.c tests/unit/order_asks.c tests/unit/order_model.c tests/unit/order_model.h $(MONEY_CORP_KIT) $(CORP_KIT)
tests_unit_order_random_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/corp_nodes
tests_unit_corp_nodes_SOURCES = tests/unit/corp_nodes.c $(CORP_KIT)
tests_unit_corp_nodes_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)

LEDGER_KIT = tests/unit/ledger_kit.c tests/unit/ledger_kit.h tests/unit/mem_store.c tests/unit/mem_store.h
UNIT_TESTS += tests/unit/backing_suite
tests_unit_backing_suite_SOURCES = tests/unit/backing_suite.c tests/unit/store_kit.h $(LEDGER_KIT) $(NET_KIT)
tests_unit_backing_suite_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ledger
tests_unit_ledger_SOURCES = tests/unit/ledger.c $(LEDGER_KIT)
tests_unit_ledger_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ledger_hard
tests_unit_ledger_hard_SOURCES = tests/unit/ledger_hard.c $(LEDGER_KIT)
tests_unit_ledger_hard_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc
tests_unit_ledger_hard_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/ledger_random
tests_unit_ledger_random_SOURCES = tests/unit/ledger_random.c tests/unit/ledger_model.c tests/unit/ledger_model.h $(LEDGER_KIT)
tests_unit_ledger_random_LDADD = $(XN_CORP_LIBS) $(CMOCKA_LIBS)

SOAK_KIT = tests/soak/crowd.c tests/soak/crowd.h tests/soak/market.c tests/soak/market.h

# make soak-corp [SOAK=short]; the short form is in `make check` too.
check_PROGRAMS += tests/soak/ledger_kill tests/soak/ledger_run
tests_soak_ledger_kill_SOURCES = tests/soak/ledger_kill.c tests/soak/ledger_run.h
tests_soak_ledger_kill_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
tests_soak_ledger_run_SOURCES = tests/soak/ledger_run.c tests/soak/ledger_run.h tests/soak/powercut.c tests/soak/powercut.h
tests_soak_ledger_run_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) -ldl
SHELL_TESTS += tests/cli/xenocorp-ledger.t
SHELL_TESTS += tests/cli/xenocorp-words.t
SHELL_TESTS += tests/soak/corp.t
SHELL_TESTS += tests/e2e/broker.t
SHELL_TESTS += tests/e2e/cheat.t
check_PROGRAMS += tests/e2e/cheat
tests_e2e_cheat_SOURCES = tests/e2e/cheat.c tests/soak/market.c tests/soak/market.h
tests_e2e_cheat_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
SHELL_TESTS += tests/soak/orders.t
SHELL_TESTS += tests/soak/spoil.t
check_PROGRAMS += tests/soak/spoil
tests_soak_spoil_SOURCES = tests/soak/spoil.c tests/soak/market.c tests/soak/market.h
tests_soak_spoil_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
SHELL_TESTS += tests/soak/xenocorpd.t
# Loaded into a real xenocorpd: without sanitizers, which want to be first.
tests/soak/powercut.so: tests/soak/powercut.c tests/soak/powercut.h
	$(AM_V_CC)mkdir -p tests/soak && $(CC) -O2 -D_GNU_SOURCE -I$(srcdir) -fPIC -shared \
	-o $@ $(srcdir)/tests/soak/powercut.c -ldl
check_DATA = tests/soak/powercut.so
CLEANFILES += tests/soak/powercut.so
check_PROGRAMS += tests/soak/corp_kill tests/soak/order_race
tests_soak_corp_kill_SOURCES = tests/soak/corp_kill.c tests/soak/corp_books.c tests/soak/corp_books.h $(SOAK_KIT)
tests_soak_corp_kill_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS)
tests_soak_order_race_SOURCES = tests/soak/order_race.c $(SOAK_KIT)
tests_soak_order_race_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
SOAK = full
SOAK_TESTS = corp spoil xenocorpd orders
soak-corp: corp/xenocorp corp/xenocorpd tests/soak/spoil tests/soak/corp_kill tests/soak/order_race tests/soak/powercut.so tests/soak/ledger_kill tests/soak/ledger_run tests/unit/ledger_random tests/unit/order_random
	@rc=0; for t in $(SOAK_TESTS); do \
	XN_SRC='$(abs_top_srcdir)' XN_BUILD='$(abs_top_builddir)' \
	SOAK='$(SOAK)' bash $(srcdir)/tests/soak/$$t.t || rc=1; done; exit $$rc
.PHONY: soak-corp

# Fuzz targets of this folder.
CORP_WORLD = tests/fuzz/corp_world.c tests/fuzz/corp_world.h tests/unit/mem_store.c tests/unit/mem_store.h
FUZZ_TARGETS += tests/fuzz/fuzz_csr
tests_fuzz_fuzz_csr_SOURCES = tests/fuzz/fuzz_csr.c $(CORP_WORLD) $(FUZZ_MAIN)
tests_fuzz_fuzz_csr_LDADD = $(XN_CORP_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_http
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c $(CORP_WORLD) $(FUZZ_MAIN)
tests_fuzz_fuzz_http_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_ledger
tests_fuzz_fuzz_ledger_SOURCES = tests/fuzz/fuzz_ledger.c $(CORP_WORLD) $(FUZZ_MAIN)
tests_fuzz_fuzz_ledger_SOURCES += corp/xenocorp_books.c corp/xenocorp_books.h corp/xenocorp_store.c corp/xenocorp_store.h
tests_fuzz_fuzz_ledger_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS) $(JANSSON_LIBS) $(FUZZ_LIBS)
