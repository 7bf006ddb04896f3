# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += lib/libxnlib.a
lib_libxnlib_a_SOURCES =
lib_libxnlib_a_SOURCES += lib/arena.c
lib_libxnlib_a_SOURCES += lib/arena.h
lib_libxnlib_a_SOURCES += lib/bucket.c
lib_libxnlib_a_SOURCES += lib/bucket.h
lib_libxnlib_a_SOURCES += lib/buf.c
lib_libxnlib_a_SOURCES += lib/buf.h
lib_libxnlib_a_SOURCES += lib/dec.c
lib_libxnlib_a_SOURCES += lib/dec.h
lib_libxnlib_a_SOURCES += lib/err.c
lib_libxnlib_a_SOURCES += lib/err.h
lib_libxnlib_a_SOURCES += lib/hex.c
lib_libxnlib_a_SOURCES += lib/hex.h
lib_libxnlib_a_SOURCES += lib/nearest.c
lib_libxnlib_a_SOURCES += lib/prom.c
lib_libxnlib_a_SOURCES += lib/prom.h
lib_libxnlib_a_SOURCES += lib/rng.c
lib_libxnlib_a_SOURCES += lib/rng.h
lib_libxnlib_a_SOURCES += lib/span.c
lib_libxnlib_a_SOURCES += lib/span.h
lib_libxnlib_a_SOURCES += lib/text.c
lib_libxnlib_a_SOURCES += lib/text.h
lib_libxnlib_a_SOURCES += lib/utc.c
lib_libxnlib_a_SOURCES += lib/utc.h

# What reads or writes outside.  In an archive of its own, so that a core which
# calls it fails tests/lint/pure.t; programs and drivers call it freely.
noinst_LIBRARIES += lib/libxnsys.a
lib_libxnsys_a_SOURCES =
lib_libxnsys_a_SOURCES += lib/file.c
lib_libxnsys_a_SOURCES += lib/file.h
lib_libxnsys_a_SOURCES += lib/gripe.c
lib_libxnsys_a_SOURCES += lib/gripe.h
lib_libxnsys_a_SOURCES += lib/log.c
lib_libxnsys_a_SOURCES += lib/log.h
lib_libxnsys_a_SOURCES += lib/notify.c
lib_libxnsys_a_SOURCES += lib/notify.h
lib_libxnsys_a_SOURCES += lib/options.c
lib_libxnsys_a_SOURCES += lib/options.h

# Readers of latency and availability files, which want files and liblzma.
noinst_LIBRARIES += lib/liblatency.a
lib_liblatency_a_SOURCES =
lib_liblatency_a_SOURCES += lib/latency.c
lib_liblatency_a_SOURCES += lib/latency.h
lib_liblatency_a_SOURCES += lib/latency_form.h
lib_liblatency_a_SOURCES += lib/latency_packed.c
lib_liblatency_a_SOURCES += lib/latency_pairs.c
lib_liblatency_a_SOURCES += lib/latency_text.c
lib_liblatency_a_SOURCES += lib/trace.c
lib_liblatency_a_SOURCES += lib/trace.h

# What a program links to use this folder.
XN_LIB_LIBS = lib/libxnsys.a lib/libxnlib.a -lm
XN_LATENCY_LIBS = lib/liblatency.a $(XN_LIB_LIBS) $(LZMA_LIBS)

EXTRA_DIST += lib/deps

# Unit tests of this folder, three lines each:
#UNIT_TESTS += tests/unit/example
#tests_unit_example_SOURCES = tests/unit/example.c
#tests_unit_example_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/dec
tests_unit_dec_SOURCES = tests/unit/dec.c
tests_unit_dec_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/prom
tests_unit_prom_SOURCES = tests/unit/prom.c
tests_unit_prom_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/span
tests_unit_span_SOURCES = tests/unit/span.c
tests_unit_span_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/utc
tests_unit_utc_SOURCES = tests/unit/utc.c
tests_unit_utc_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/lib
tests_unit_lib_SOURCES = tests/unit/lib.c
tests_unit_lib_LDADD = $(XN_LIB_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/latency
tests_unit_latency_SOURCES = tests/unit/latency.c
tests_unit_latency_LDADD = $(XN_LATENCY_LIBS) $(CMOCKA_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_latency
tests_fuzz_fuzz_latency_SOURCES = tests/fuzz/fuzz_latency.c $(FUZZ_MAIN)
tests_fuzz_fuzz_latency_LDADD = $(XN_LATENCY_LIBS) $(FUZZ_LIBS)
UNIT_TESTS += tests/unit/trace
tests_unit_trace_SOURCES = tests/unit/trace.c
tests_unit_trace_LDADD = $(XN_LATENCY_LIBS) $(CMOCKA_LIBS)
