/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xenodev says where a XenoCorp does not pay in: one that another build made
 * may not have what is asked for. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>

#include "lib/gripe.h"
#include "tools/dev.h"

static char tried[300];
static int refused_with; /* in the child */

static void refuses(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    if (ev->kind == XN_EV_ASK)
        xn_out_refuse(out, ev->ticket, refused_with, "x", "y", "z");
}

static void listen_to(const char *what, const char *because, const char *try)
{
    snprintf(tried, sizeof tried, "%s", try ? try : "");
}

/* As a platform has it: in the state folder. */
static void pay_in_at(int rc, bool other_version)
{
    static struct dev_platform platform;
    struct net_corp corp = {.pinned = true};
    struct net_identity identity;
    struct net_config config;
    const xn_id client = {{7}};
    struct kit_child child;
    char dir[64], folder[80];

    memset(&platform, 0, sizeof platform);
    snprintf(platform.state, sizeof platform.state, "%s", kit_mkdir(dir));
    snprintf(platform.corps[0].name, sizeof platform.corps[0].name, "alpha");
    snprintf(platform.currency, sizeof platform.currency, "USD");
    snprintf(folder, sizeof folder, "%s/corp-alpha", dir);
    assert_int_equal(dev_mkdir(folder), 0);
    assert_int_equal(
        net_identity_corp("test", folder, "alpha.example", &identity), 0);
    refused_with = rc;
    config = kit_config(&identity);
    kit_spawn(&config, refuses, &child);
    snprintf(corp.url, sizeof corp.url, "https://%s", child.api);
    corp.id = identity.cert.id;
    tried[0] = '\0';
    xn_gripe_listen(listen_to);
    assert_int_equal(dev_pay_in(&platform, 0, &corp, &client), XN_EREFUSED);
    assert_int_equal(strstr(tried, "another version made it") != NULL,
                     other_version);
    assert_int_equal(strstr(tried, "log/corp-") != NULL, !other_version);
    kit_kill(&child, SIGTERM);
    net_identity_clear(&identity);
    kit_rmdir(dir);
}

static void one_of_another_version(void **state)
{
    pay_in_at(XN_ENOENT, true); /* status 404 */
    pay_in_at(XN_EPERM, true);  /* 403 */
}

static void one_that_does_not_want_to(void **state)
{
    pay_in_at(XN_ECONFLICT, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_another_version),
        cmocka_unit_test(one_that_does_not_want_to),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
