# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += wire/libwire.a
wire_libwire_a_SOURCES =
wire_libwire_a_SOURCES += wire/ad.c
wire_libwire_a_SOURCES += wire/ad.h
wire_libwire_a_SOURCES += wire/advert.c
wire_libwire_a_SOURCES += wire/advert.h
wire_libwire_a_SOURCES += wire/advert_write.c
wire_libwire_a_SOURCES += wire/blob.c
wire_libwire_a_SOURCES += wire/bill.c
wire_libwire_a_SOURCES += wire/bill.h
wire_libwire_a_SOURCES += wire/cert.c
wire_libwire_a_SOURCES += wire/cert.h
wire_libwire_a_SOURCES += wire/cert_form.h
wire_libwire_a_SOURCES += wire/cert_make.c
wire_libwire_a_SOURCES += wire/cert_read.c
wire_libwire_a_SOURCES += wire/claim.c
wire_libwire_a_SOURCES += wire/claim.h
wire_libwire_a_SOURCES += wire/der.c
wire_libwire_a_SOURCES += wire/der.h
wire_libwire_a_SOURCES += wire/envelope.c
wire_libwire_a_SOURCES += wire/envelope.h
wire_libwire_a_SOURCES += wire/flat.c
wire_libwire_a_SOURCES += wire/flat.h
wire_libwire_a_SOURCES += wire/flows.c
wire_libwire_a_SOURCES += wire/flows.h
wire_libwire_a_SOURCES += wire/id.c
wire_libwire_a_SOURCES += wire/id.h
wire_libwire_a_SOURCES += wire/key.c
wire_libwire_a_SOURCES += wire/key.h
wire_libwire_a_SOURCES += wire/key_form.h
wire_libwire_a_SOURCES += wire/money.c
wire_libwire_a_SOURCES += wire/money.h
wire_libwire_a_SOURCES += wire/money_sign.c
wire_libwire_a_SOURCES += wire/msg.c
wire_libwire_a_SOURCES += wire/msg.h
wire_libwire_a_SOURCES += wire/nest.c
wire_libwire_a_SOURCES += wire/nest.h
wire_libwire_a_SOURCES += wire/order.c
wire_libwire_a_SOURCES += wire/order.h
wire_libwire_a_SOURCES += wire/price.c
wire_libwire_a_SOURCES += wire/price.h
wire_libwire_a_SOURCES += wire/query.c
wire_libwire_a_SOURCES += wire/query.h
wire_libwire_a_SOURCES += wire/query_advert.c
wire_libwire_a_SOURCES += wire/query_compile.c
wire_libwire_a_SOURCES += wire/query_eval.c
wire_libwire_a_SOURCES += wire/query_explain.c
wire_libwire_a_SOURCES += wire/query_impl.h
wire_libwire_a_SOURCES += wire/query_job.c
wire_libwire_a_SOURCES += wire/query_rank.c
wire_libwire_a_SOURCES += wire/query_text.c
wire_libwire_a_SOURCES += wire/query_where.c
wire_libwire_a_SOURCES += wire/query_words.c
wire_libwire_a_SOURCES += wire/reason.c
wire_libwire_a_SOURCES += wire/reason.h
wire_libwire_a_SOURCES += wire/requirement.c
wire_libwire_a_SOURCES += wire/requirement.h
wire_libwire_a_SOURCES += wire/revoked.c
wire_libwire_a_SOURCES += wire/revoked.h
wire_libwire_a_SOURCES += wire/stream.c
wire_libwire_a_SOURCES += wire/stream.h
wire_libwire_a_SOURCES += wire/token.c
wire_libwire_a_SOURCES += wire/token.h
wire_libwire_a_SOURCES += wire/xml.c
wire_libwire_a_SOURCES += wire/xml.h
wire_libwire_a_SOURCES += wire/xml_schema.c
nodist_wire_libwire_a_SOURCES = $(WIRE_PB) $(WIRE_XSD)

# Files, in an archive of its own so that a core which reads or writes one
# fails tests/lint/pure.t.
noinst_LIBRARIES += wire/libwiresys.a
wire_libwiresys_a_SOURCES =
wire_libwiresys_a_SOURCES += wire/console.c
wire_libwiresys_a_SOURCES += wire/console.h
wire_libwiresys_a_SOURCES += wire/frame.c
wire_libwiresys_a_SOURCES += wire/frame.h
wire_libwiresys_a_SOURCES += wire/keyfile.c
wire_libwiresys_a_SOURCES += wire/pemfile.c
wire_libwiresys_a_SOURCES += wire/pemfile.h

# wire/NAME.proto becomes BUILD/wire/NAME.pb-c.[ch].  One .proto is three
# lines; a program that includes "wire/NAME.pb-c.h" needs no further rule,
# since BUILT_SOURCES are made before anything is compiled.
WIRE_PB =
PROTOS += wire/api.proto
WIRE_PB += wire/api.pb-c.c
WIRE_PB += wire/api.pb-c.h
PROTOS += wire/client.proto
WIRE_PB += wire/client.pb-c.c
WIRE_PB += wire/client.pb-c.h
PROTOS += wire/local.proto
WIRE_PB += wire/local.pb-c.c
WIRE_PB += wire/local.pb-c.h
PROTOS += wire/overlay.proto
WIRE_PB += wire/overlay.pb-c.c
WIRE_PB += wire/overlay.pb-c.h
PROTOS += wire/store.proto
WIRE_PB += wire/store.pb-c.c
WIRE_PB += wire/store.pb-c.h
PROTOS += wire/task.proto
WIRE_PB += wire/task.pb-c.c
WIRE_PB += wire/task.pb-c.h

BUILT_SOURCES += $(WIRE_PB)
CLEANFILES += $(WIRE_PB)

SUFFIXES = .proto .pb-c.c .pb-c.h
.proto.pb-c.c:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(PROTOC_C) -I$(srcdir) --c_out=$(builddir) $<

# protoc-c writes both at once; an empty recipe says that the header is then
# newer, and makes it again should somebody have removed it alone.
.pb-c.c.pb-c.h:
	@test -f $@ || { rm -f $< && $(MAKE) $(AM_MAKEFLAGS) $<; }

# schema/NAME.xsd becomes a C string, so that what is valid does not depend on
# what is installed.
dist_pkgdata_DATA += schema/advertisement.xsd
dist_pkgdata_DATA += schema/find.xsd
dist_pkgdata_DATA += schema/money.xsd
dist_pkgdata_DATA += schema/requirements.xsd
WIRE_XSD = wire/advertisement.xsd.h wire/money.xsd.h wire/requirements.xsd.h
BUILT_SOURCES += $(WIRE_XSD)
CLEANFILES += $(WIRE_XSD)
XSD_TO_C = $(MKDIR_P) wire && \
	$(SED) -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/'

wire/advertisement.xsd.h: $(srcdir)/schema/advertisement.xsd
	$(AM_V_GEN)$(XSD_TO_C) $(srcdir)/schema/advertisement.xsd >$@

wire/money.xsd.h: $(srcdir)/schema/money.xsd
	$(AM_V_GEN)$(XSD_TO_C) $(srcdir)/schema/money.xsd >$@

wire/requirements.xsd.h: $(srcdir)/schema/requirements.xsd
	$(AM_V_GEN)$(XSD_TO_C) $(srcdir)/schema/requirements.xsd >$@

wire/xml_schema.$(OBJEXT): $(WIRE_XSD)

# What a program links to use this folder.
XN_WIRE_LIBS = wire/libwiresys.a wire/libwire.a $(XN_LIB_LIBS) $(CRYPTO_LIBS) $(XML_LIBS) $(PROTOBUFC_LIBS)

EXTRA_DIST += wire/README.md wire/deps

# Unit tests of this folder, three lines each:
UNIT_TESTS += tests/unit/ad
tests_unit_ad_SOURCES = tests/unit/ad.c tests/unit/wire_kit.h
tests_unit_ad_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/advert
tests_unit_advert_SOURCES = tests/unit/advert.c tests/unit/wire_kit.h
tests_unit_advert_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc
tests_unit_advert_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/cert
tests_unit_cert_SOURCES = tests/unit/cert.c tests/unit/wire_kit.h
tests_unit_cert_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/claim
tests_unit_claim_SOURCES = tests/unit/claim.c tests/unit/money_kit.h
tests_unit_claim_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/envelope
tests_unit_envelope_SOURCES = tests/unit/envelope.c tests/unit/wire_kit.h
tests_unit_envelope_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc
tests_unit_envelope_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/key
tests_unit_key_SOURCES = tests/unit/key.c tests/unit/wire_kit.h
tests_unit_key_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/msg
tests_unit_msg_SOURCES = tests/unit/msg.c
tests_unit_msg_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/flows
tests_unit_flows_SOURCES = tests/unit/flows.c
tests_unit_flows_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/money
tests_unit_money_SOURCES = tests/unit/money.c tests/unit/money_kit.h
tests_unit_money_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc -Wl,--wrap=realloc
tests_unit_money_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/money_sign
tests_unit_money_sign_SOURCES = tests/unit/money_sign.c tests/unit/money_kit.h tests/unit/wire_kit.h
tests_unit_money_sign_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/order
tests_unit_order_SOURCES = tests/unit/order.c tests/unit/money_kit.h
tests_unit_order_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/price
tests_unit_price_SOURCES = tests/unit/price.c
tests_unit_price_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/requirement
tests_unit_requirement_SOURCES = tests/unit/requirement.c tests/unit/wire_kit.h
tests_unit_requirement_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/revoked
tests_unit_revoked_SOURCES = tests/unit/revoked.c tests/unit/wire_kit.h
tests_unit_revoked_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/query
QUERY_KIT = tests/unit/query_kit.c tests/unit/query_kit.h
tests_unit_query_SOURCES = tests/unit/query.c $(QUERY_KIT)
tests_unit_query_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/query_meaning
tests_unit_query_meaning_SOURCES = tests/unit/query_meaning.c $(QUERY_KIT)
tests_unit_query_meaning_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/query_random
tests_unit_query_random_SOURCES = tests/unit/query_random.c $(QUERY_KIT)
tests_unit_query_random_LDADD = $(XN_WIRE_LIBS) $(CMOCKA_LIBS)

# Fuzz targets of this folder.
FUZZ_TARGETS += tests/fuzz/fuzz_advert
tests_fuzz_fuzz_advert_SOURCES = tests/fuzz/fuzz_advert.c $(FUZZ_MAIN)
tests_fuzz_fuzz_advert_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_claim
tests_fuzz_fuzz_claim_SOURCES = tests/fuzz/fuzz_claim.c tests/fuzz/money_fuzz.h tests/unit/money_kit.h $(FUZZ_MAIN)
tests_fuzz_fuzz_claim_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_envelope
tests_fuzz_fuzz_envelope_SOURCES = tests/fuzz/fuzz_envelope.c $(FUZZ_MAIN)
tests_fuzz_fuzz_envelope_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_narrowing
tests_fuzz_fuzz_narrowing_SOURCES = tests/fuzz/fuzz_narrowing.c tests/fuzz/money_fuzz.h tests/unit/money_kit.h $(FUZZ_MAIN)
tests_fuzz_fuzz_narrowing_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_order
tests_fuzz_fuzz_order_SOURCES = tests/fuzz/fuzz_order.c tests/fuzz/money_fuzz.h tests/unit/money_kit.h $(FUZZ_MAIN)
tests_fuzz_fuzz_order_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_query
tests_fuzz_fuzz_query_SOURCES = tests/fuzz/fuzz_query.c $(FUZZ_MAIN)
tests_fuzz_fuzz_query_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_query_proto
tests_fuzz_fuzz_query_proto_SOURCES = tests/fuzz/fuzz_query_proto.c $(FUZZ_MAIN)
tests_fuzz_fuzz_query_proto_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_quote
tests_fuzz_fuzz_quote_SOURCES = tests/fuzz/fuzz_quote.c tests/fuzz/money_fuzz.h tests/unit/money_kit.h $(FUZZ_MAIN)
tests_fuzz_fuzz_quote_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_requirement
tests_fuzz_fuzz_requirement_SOURCES = tests/fuzz/fuzz_requirement.c $(FUZZ_MAIN)
tests_fuzz_fuzz_requirement_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_revoked
tests_fuzz_fuzz_revoked_SOURCES = tests/fuzz/fuzz_revoked.c $(FUZZ_MAIN)
tests_fuzz_fuzz_revoked_LDADD = $(XN_WIRE_LIBS) $(FUZZ_LIBS)
