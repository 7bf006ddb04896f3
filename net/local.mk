# SPDX-License-Identifier: GPL-3.0-or-later
# One file per line, alphabetical, so that merges rarely conflict.
noinst_LIBRARIES += net/libnet.a
net_libnet_a_SOURCES =
net_libnet_a_SOURCES += net/addr.c
net_libnet_a_SOURCES += net/addr.h
net_libnet_a_SOURCES += net/backing.h
net_libnet_a_SOURCES += net/budget.c
net_libnet_a_SOURCES += net/budget.h
net_libnet_a_SOURCES += net/cache.c
net_libnet_a_SOURCES += net/cache.h
net_libnet_a_SOURCES += net/call.c
net_libnet_a_SOURCES += net/call.h
net_libnet_a_SOURCES += net/client.c
net_libnet_a_SOURCES += net/client.h
net_libnet_a_SOURCES += net/client_conf.c
net_libnet_a_SOURCES += net/client_conf.h
net_libnet_a_SOURCES += net/clock.h
net_libnet_a_SOURCES += net/crypto.c
net_libnet_a_SOURCES += net/crypto.h
net_libnet_a_SOURCES += net/daemon.c
net_libnet_a_SOURCES += net/daemon.h
net_libnet_a_SOURCES += net/delay.c
net_libnet_a_SOURCES += net/delay.h
net_libnet_a_SOURCES += net/driver.c
net_libnet_a_SOURCES += net/driver.h
net_libnet_a_SOURCES += net/enrol.c
net_libnet_a_SOURCES += net/file.c
net_libnet_a_SOURCES += net/file.h
net_libnet_a_SOURCES += net/frame.c
net_libnet_a_SOURCES += net/frame.h
net_libnet_a_SOURCES += net/http.c
net_libnet_a_SOURCES += net/http.h
net_libnet_a_SOURCES += net/identity.c
net_libnet_a_SOURCES += net/identity.h
net_libnet_a_SOURCES += net/kv.c
net_libnet_a_SOURCES += net/kv.h
net_libnet_a_SOURCES += net/link.c
net_libnet_a_SOURCES += net/link.h
net_libnet_a_SOURCES += net/links.c
net_libnet_a_SOURCES += net/links.h
net_libnet_a_SOURCES += net/loop.c
net_libnet_a_SOURCES += net/loop.h
net_libnet_a_SOURCES += net/options.c
net_libnet_a_SOURCES += net/options.h
net_libnet_a_SOURCES += net/pool.c
net_libnet_a_SOURCES += net/pool.h
net_libnet_a_SOURCES += net/post.c
net_libnet_a_SOURCES += net/post.h
net_libnet_a_SOURCES += net/record.c
net_libnet_a_SOURCES += net/record.h
net_libnet_a_SOURCES += net/settings.c
net_libnet_a_SOURCES += net/settings.h
net_libnet_a_SOURCES += net/store.c
net_libnet_a_SOURCES += net/store.h
net_libnet_a_SOURCES += net/tls.c
net_libnet_a_SOURCES += net/tls.h
net_libnet_a_SOURCES += net/transfer.c
net_libnet_a_SOURCES += net/transfer.h

# What a program links to use this folder.
XN_NET_LIBS = net/libnet.a $(XN_SEAM_LIBS) $(EVENT_SSL_LIBS) $(EVENT_THREADS_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CURL_LIBS) $(KYOTO_LIBS) $(CONFUSE_LIBS) -lpthread

EXTRA_DIST += net/deps net/README.md

UNIT_TESTS += tests/unit/net_delay
tests_unit_net_delay_SOURCES = tests/unit/net_delay.c $(NET_KIT)
tests_unit_net_delay_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_http
tests_unit_net_http_SOURCES = tests/unit/net_http.c $(NET_KIT)
tests_unit_net_http_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_identity
tests_unit_net_identity_SOURCES = tests/unit/net_identity.c $(NET_KIT)
tests_unit_net_identity_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_kv
tests_unit_net_kv_SOURCES = tests/unit/net_kv.c $(NET_KIT)
tests_unit_net_kv_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_links
tests_unit_net_links_SOURCES = tests/unit/net_links.c $(NET_KIT)
tests_unit_net_links_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_record
tests_unit_net_record_SOURCES = tests/unit/net_record.c $(NET_KIT)
tests_unit_net_record_SOURCES += tests/toy_core.c tests/toy_core.h
tests_unit_net_record_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/net_settings
tests_unit_net_settings_SOURCES = tests/unit/net_settings.c
tests_unit_net_settings_LDADD = $(XN_NET_LIBS) $(CMOCKA_LIBS)

SHELL_TESTS += tests/net-daemon.t
man_MANS += man/xenodaemon.7
EXTRA_DIST += man/xenodaemon.7

FUZZ_TARGETS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(FUZZ_MAIN)
tests_fuzz_fuzz_config_LDADD = $(XN_NET_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_delay
tests_fuzz_fuzz_delay_SOURCES = tests/fuzz/fuzz_delay.c $(FUZZ_MAIN)
tests_fuzz_fuzz_delay_LDADD = $(XN_NET_LIBS) $(FUZZ_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_frame
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(FUZZ_MAIN)
tests_fuzz_fuzz_frame_LDADD = $(XN_NET_LIBS) $(FUZZ_LIBS)

# What these tests share.
NET_KIT = tests/unit/net_kit.c tests/unit/net_kit.h
