# SPDX-License-Identifier: GPL-3.0-or-later
# make bench: what bench/README.md says.  Not built by `make` alone.
XN_BENCHES = bench/charges bench/charges_api bench/floor bench/ledgerd
EXTRA_PROGRAMS = bench/charges bench/charges_api bench/charges_pg bench/floor
EXTRA_PROGRAMS += bench/ledgerd bench/overlay_ads
if HAVE_PQ
XN_BENCHES += bench/charges_pg
endif
bench_charges_SOURCES = bench/charges.c
bench_charges_SOURCES += bench/load.c
bench_charges_SOURCES += bench/load.h
bench_charges_SOURCES += bench/wire.h
bench_charges_LDADD = $(XN_WIRE_LIBS)
bench_charges_api_SOURCES = bench/charges_api.c
bench_charges_api_SOURCES += bench/load.c
bench_charges_api_SOURCES += bench/load.h
bench_charges_api_SOURCES += $(SOAK_KIT)
bench_charges_api_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
bench_charges_pg_SOURCES = bench/charges_pg.c
bench_charges_pg_SOURCES += bench/load.c
bench_charges_pg_SOURCES += bench/load.h
bench_charges_pg_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
bench_charges_pg_LDADD = $(XN_WIRE_LIBS) $(PQ_LIBS)
bench_floor_SOURCES = bench/floor.c
bench_floor_SOURCES += bench/wire.h
bench_ledgerd_SOURCES = bench/ledgerd.c
bench_ledgerd_SOURCES += bench/wire.h
bench_ledgerd_LDADD = $(XN_CORP_LIBS) $(XN_NET_LIBS)
bench_overlay_ads_SOURCES = bench/load.c
bench_overlay_ads_SOURCES += bench/load.h
bench_overlay_ads_SOURCES += bench/overlay_ads.c
bench_overlay_ads_SOURCES += tests/soak/ads.c
bench_overlay_ads_SOURCES += tests/soak/ads.h
bench_overlay_ads_LDADD = $(XN_NET_LIBS)

# The peer is C++ and for the comparison alone: no other part wants a compiler
# for it.
bench/overlay_dht: bench/overlay_dht.cc
	@pkg-config --exists opendht || { \
	    echo 'bench/overlay wants OpenDHT: apt-get install libopendht-dev g++' \
	        >&2; exit 1; }
	$(AM_V_GEN)$(MKDIR_P) bench && c++ -std=c++17 -O2 -Wall -Wextra \
	    -o $@ $(srcdir)/bench/overlay_dht.cc \
	    $$(pkg-config --cflags --libs opendht) -pthread

bench-programs: $(XN_BENCHES) corp/xenocorpd
bench: bench-programs
	@XN_BUILD='$(abs_top_builddir)' bash $(srcdir)/bench/corp
bench-session: all
	@XN_BUILD='$(abs_top_builddir)' bash $(srcdir)/bench/session
bench-hostagent: all
	@XN_BUILD='$(abs_top_builddir)' bash $(srcdir)/bench/hostagent
bench-goals: sim/xenosim
	@XN_BUILD='$(abs_top_builddir)' bash $(srcdir)/bench/goals $(GOALS)
bench-overlay: all bench/overlay_ads bench/overlay_dht
	@XN_BUILD='$(abs_top_builddir)' bash $(srcdir)/bench/overlay
.PHONY: bench bench-goals bench-hostagent bench-overlay bench-programs
.PHONY: bench-session
CLEANFILES += $(EXTRA_PROGRAMS) bench/overlay_dht

EXTRA_DIST += bench/README.md
EXTRA_DIST += bench/charges.sql
EXTRA_DIST += bench/corp
EXTRA_DIST += bench/deps
EXTRA_DIST += bench/goals
EXTRA_DIST += bench/hostagent
EXTRA_DIST += bench/overlay
EXTRA_DIST += bench/overlay_dht.cc
EXTRA_DIST += bench/session
EXTRA_DIST += doc/BENCHMARKS.md
