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
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/replay.c

SHELL_TESTS += tests/daemons-corp.t
SHELL_TESTS += tests/install.t
SHELL_TESTS += tests/lint/deps.t
SHELL_TESTS += tests/lint/format.t
SHELL_TESTS += tests/lint/lint-fails.t
SHELL_TESTS += tests/lint/listed.t
SHELL_TESTS += tests/lint/pure.t
SHELL_TESTS += tests/lint/words.t
SHELL_TESTS += tests/price-vectors.t
SHELL_TESTS += tests/refusals-host.t
EXTRA_DIST += tests/refusals-host.pl
EXTRA_DIST += tests/data/price.py
EXTRA_DIST += tests/data/price.vectors
EXTRA_DIST += tests/lint/deps.groups
EXTRA_DIST += tests/lint/lint.sh
EXTRA_DIST += tests/lint/pure.allow
EXTRA_DIST += tests/tap.sh

# What daemons-corp.t runs beside the real programs.
check_PROGRAMS += tests/fake_node
tests_fake_node_SOURCES = tests/fake_node.c
tests_fake_node_LDADD = $(XN_NET_LIBS)

check_PROGRAMS += $(UNIT_TESTS) $(FUZZ_TARGETS)
TESTS += $(UNIT_TESTS) $(FUZZ_TARGETS) $(SHELL_TESTS)
dist_check_SCRIPTS += $(SHELL_TESTS)

# make fuzz TIME=30m [JOBS=2]
TIME = 60s
JOBS = 1
fuzz: $(BUILT_SOURCES)
if FUZZ
	@$(MAKE) $(AM_MAKEFLAGS) $(FUZZ_TARGETS)
	@XN_SRC='$(abs_top_srcdir)' JOBS='$(JOBS)' \
	bash $(srcdir)/tests/fuzz/run '$(TIME)' $(FUZZ_TARGETS)
else
	@echo "make fuzz: this build cannot fuzz" >&2; \
	echo "  because: it was configured without --enable-fuzz" >&2; \
	echo "  try:     in another directory: configure CC=clang --enable-fuzz" >&2; \
	exit 1
endif
list-fuzz:
	@echo $(FUZZ_TARGETS)
# What starts no platform: a minute, where all take five.
list-quick:
	@echo $(UNIT_TESTS) $(FUZZ_TARGETS) \
	$(filter-out tests/e2e/% tests/soak/% tests/sim/%,$(SHELL_TESTS))
list-dist:
	@echo $(patsubst $(srcdir)/%,%,$(DISTFILES))
clean-local:
	-rm -rf deb fuzz xen
EXTRA_DIST += tests/fuzz/run

# The tests that need nothing run.
lint:
	@$(MAKE) --no-print-directory check \
	TESTS='$(filter tests/lint/%,$(SHELL_TESTS))'

# The installed project in dom0 of a real Xen, under QEMU.
check-xen: all
	@$(MAKE) --no-print-directory check TESTS=tests/xen/xen.t
EXTRA_DIST += tests/xen

# The Debian packages, and what comes of them in a clean root.
deb:
	@$(MAKE) $(AM_MAKEFLAGS) dist
	@bash $(srcdir)/dist/build-deb deb/packages \
	'$(abs_top_builddir)/$(distdir).tar.xz'
check-deb: all
	@$(MAKE) --no-print-directory check TESTS=tests/deb/deb.t
EXTRA_DIST += tests/deb

# Static analysis.  Sources are checked one by one as the compiler sees them.
analyze: $(BUILT_SOURCES)
	@test -n '$(CPPCHECK)' || { \
	echo "make analyze: cannot analyze" >&2; \
	echo "  because: cppcheck is not installed" >&2; \
	echo "  try:     apt-get install cppcheck, then configure again" >&2; \
	exit 1; }
	cd $(srcdir) && $(CPPCHECK) --quiet --error-exitcode=1 --std=c11 \
	--enable=warning,portability,performance --inline-suppr \
	--suppressions-list=tests/lint/cppcheck.skip -D_GNU_SOURCE \
	-I. -I$(abs_top_builddir) lib wire seam overlay index discovery node \
	corp hostagent keeper net sim tools
EXTRA_DIST += tests/lint/cppcheck.skip
.PHONY: analyze check-deb check-xen deb fuzz lint list-dist list-fuzz list-quick

# Called by GNUmakefile around Automake's check: what an earlier run left must
# not be counted, and the closing line comes also when something failed.
check-begin:
	@rm -f $(TEST_LOGS:.log=.trs)
check-total:
	@bash $(srcdir)/tests/check-total $(RC) $(TEST_LOGS:.log=.trs)
.PHONY: check-begin check-total
EXTRA_DIST += tests/check-total tests/tap-unit
