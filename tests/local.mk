# SPDX-License-Identifier: GPL-3.0-or-later
# Unit tests stand in the local.mk of the folder they test; here is what runs
# them, and what concerns the whole tree.

TEST_EXTENSIONS = .t
XN_TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) \
	$(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(XN_TAP_DRIVER)
T_LOG_DRIVER = $(XN_TAP_DRIVER)
LOG_COMPILER = bash $(top_srcdir)/tests/tap-unit
T_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = \
	XN_SRC='$(abs_top_srcdir)' XN_BUILD='$(abs_top_builddir)' \
	XN_NM='$(NM)' XN_CLANG_FORMAT='$(CLANG_FORMAT)' CC='$(CC)'; \
	export XN_SRC XN_BUILD XN_NM XN_CLANG_FORMAT CC;

# A fuzz target is a file with LLVMFuzzerTestOneInput.  Under --enable-fuzz
# libFuzzer supplies main; otherwise replay.c runs the corpus once.
if FUZZ
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay.c
endif
FUZZ_LIBS = $(FUZZ_ENGINE)
EXTRA_DIST += tests/fuzz/replay.c

SHELL_TESTS += tests/lint/deps.t
SHELL_TESTS += tests/lint/format.t
SHELL_TESTS += tests/lint/lint-fails.t
SHELL_TESTS += tests/lint/pure.t
SHELL_TESTS += tests/lint/words.t
EXTRA_DIST += tests/lint/deps.groups
EXTRA_DIST += tests/lint/lint.sh
EXTRA_DIST += tests/lint/pure.allow

check_PROGRAMS += $(UNIT_TESTS) $(FUZZ_TARGETS)
TESTS += $(UNIT_TESTS) $(FUZZ_TARGETS) $(SHELL_TESTS)
dist_check_SCRIPTS += $(SHELL_TESTS)

# Called by GNUmakefile around Automake's check: what an earlier run left must
# not be counted, and the closing line comes also when something failed.
check-begin:
	@rm -f $(TEST_LOGS:.log=.trs)
check-total:
	@bash $(srcdir)/tests/check-total $(RC) $(TEST_LOGS:.log=.trs)
.PHONY: check-begin check-total
EXTRA_DIST += tests/check-total tests/tap-unit
