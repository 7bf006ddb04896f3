/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenohostd's configuration: from text to an offer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostagent/xenohostd_offer.h"
#include "lib/err.h"

#define PRICE                                                                  \
    "price { currency = \"GBP\" per_hour = \"0.1\" "                           \
    "disk_gb_hour = \"0.002\" }\n"

struct fix {
    struct net_settings *settings;
    struct xn_arena arena;
    struct advert_offer offer;
    char why[256];
};

static int read_offer(struct fix *f, const char *text)
{
    char why[256] = "";

    memset(f, 0, sizeof *f);
    xn_arena_init(&f->arena, 4 << 20);
    assert_int_equal(net_settings_new(xenohostd_offer_rows,
                                      XENOHOSTD_OFFER_ROWS, &f->settings),
                     0);
    if (net_settings_parse(f->settings, "test", text, why, sizeof why)) {
        fail_msg("%s", why);
    }
    return xenohostd_offer(f->settings, &f->arena, &f->offer, f->why,
                           sizeof f->why);
}

static void done(struct fix *f)
{
    net_settings_free(f->settings);
    xn_arena_clear(&f->arena);
}

static void refuses(const char *text, const char *why)
{
    struct fix f;

    assert_int_equal(read_offer(&f, text), XN_EINVAL);
    if (!strstr(f.why, why)) fail_msg("%s: %s", text, f.why);
    done(&f);
}

static void finds_out_what_is_left_out(void **state)
{
    struct fix f;

    assert_int_equal(read_offer(&f, PRICE), 0);
    assert_string_equal(f.offer.currency, "GBP");
    assert_string_equal(f.offer.price_per_hour, "0.1");
    assert_string_equal(f.offer.disk_gb_hour, "0.002");
    assert_null(f.offer.setup);
    assert_true(atoi(f.offer.cpu_smps) >= 1000);
    assert_true(atoi(f.offer.memory_mb) >= 256);
    assert_int_equal(atoi(f.offer.memory_mb) % 256, 0);
    assert_int_equal(f.offer.n_environments, 1);
    assert_string_equal(f.offer.environments[0].virtualisation, "sandbox");
    assert_true(f.offer.architecture && f.offer.architecture[0]);
    done(&f);
}

static void takes_what_is_said(void **state)
{
    struct fix f;

    assert_int_equal(
        read_offer(&f, PRICE
                   "offer {\n"
                   "  environments = \" Linux 6.1 pv;NetBSD ;; "
                   "FreeBSD  13 \"\n"
                   "  tokens = \"Family=m5; Disk=a\\\\; b=c ;X=\\\\\\\\\"\n"
                   "  memory_mb = \"1.5\"\n"
                   "}\n"),
        0);
    assert_int_equal(f.offer.n_environments, 3);
    assert_string_equal(f.offer.environments[0].virtualisation, "pv");
    assert_string_equal(f.offer.environments[1].type, "NetBSD");
    assert_null(f.offer.environments[1].kernel);
    assert_string_equal(f.offer.environments[2].kernel, "13");
    assert_null(f.offer.environments[2].virtualisation);
    assert_int_equal(f.offer.n_extras, 3);
    assert_string_equal(f.offer.extras[0].token, "Family");
    assert_string_equal(f.offer.extras[0].value, "m5");
    assert_string_equal(f.offer.extras[1].value, "a; b=c");
    assert_string_equal(f.offer.extras[2].value, "\\");
    assert_string_equal(f.offer.memory_mb, "1.5");
    done(&f);
}

#define DOMAINS PRICE "sell { manager = \"xen\" } "

/* Of a domain it is said what it is. */
static void domains_are_pv_or_pvh(void **state)
{
    struct fix f;

    assert_int_equal(read_offer(&f, DOMAINS
                                "offer { environments = \"Linux 6.1 pvh; "
                                "NetBSD\" }"),
                     0);
    assert_string_equal(f.offer.environments[0].virtualisation, "pvh");
    assert_string_equal(f.offer.environments[1].virtualisation, "pv");
    done(&f);
    assert_int_equal(read_offer(&f, DOMAINS), 0);
    assert_string_equal(f.offer.environments[0].virtualisation, "pv");
    done(&f);
    refuses(DOMAINS "offer { environments = \"Linux 6.1 hvm\" }",
            "'Linux 6.1 hvm': a domain is pv or pvh");
}

static void says_what_is_wrong(void **state)
{
    char many[4096] = PRICE "offer { environments = \"";
    int i;

    refuses("", "no price.currency");
    refuses("price { currency = \"GBP\" setup = \"1\" }", "no price is given");
    refuses(PRICE "offer { environments = \"a b c d\" }", "'a b c d'");
    refuses(PRICE "offer { tokens = \"Family\" }", "NAME=VALUE");
    refuses(PRICE "offer { tokens = \"Family=\" }", "NAME=VALUE");
    refuses(PRICE "offer { tokens = \"=x\" }", "NAME=VALUE");
    refuses(PRICE "offer { tokens = \"a b=x\" }", "NAME=VALUE");
    for (i = 0; i < 17; i++)
        strcat(many, "L;");
    strcat(many, "\" }");
    {
        struct fix f;

        assert_int_equal(read_offer(&f, many), XN_ETOOBIG);
        assert_non_null(strstr(f.why, "more than 16"));
        done(&f);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_out_what_is_left_out),
        cmocka_unit_test(takes_what_is_said),
        cmocka_unit_test(domains_are_pv_or_pvh),
        cmocka_unit_test(says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
