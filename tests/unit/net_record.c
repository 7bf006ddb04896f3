/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recorded run plays back to the same actions. */
#include "tests/unit/net_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "net/client.h"
#include "seam/record.h"
#include "tests/toy_core.h"

enum { SEED = 42 };

static struct net_identity corp, a, b;
static char dir[64], file[128], store[128], contact[64];

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "a", &a);
    kit_make_member(&corp, XN__ROLE__NODE, "b", &b);
    kit_mkdir(dir);
    snprintf(file, sizeof file, "%s/run.xrec", dir);
    snprintf(store, sizeof store, "%s/store.kct", dir);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&a);
    net_identity_clear(&b);
    kit_rmdir(dir);
    return 0;
}

static struct xn_core *make_toy(const struct xn_peers *peers, void *arg)
{
    struct xn_core *core = NULL;

    if (toy_new(arg, SEED, &core)) abort();
    return core;
}

static uint32_t links_of(const struct kit_child *child)
{
    struct net_reply reply;
    char url[128], why[300];
    Xn__NodeStatus *status;
    uint32_t links;

    snprintf(url, sizeof url, "https://%s/", child->api);
    assert_int_equal(net_request(&a, "GET", url, NULL, 0, NULL, 10000, &reply,
                                 why, sizeof why),
                     0);
    status = xn__node_status__unpack(NULL, reply.body.len, reply.body.data);
    assert_non_null(status);
    links = status->links;
    xn__node_status__free_unpacked(status, NULL);
    net_reply_clear(&reply);
    return links;
}

/* Two toys on real links; one is recorded. */
static void run(const struct toy_config *alone)
{
    struct net_config config = kit_config(&b), mine = kit_config(&a);
    struct toy_config toy = *alone;
    struct kit_child other, recorded;
    uint32_t links = 0;

    kit_spawn_core(&config, make_toy, (void *)(uintptr_t)alone, &other);
    snprintf(contact, sizeof contact, "%s", other.links);
    toy.contacts[0] = contact;
    toy.n_contacts = 1;
    mine.record_path = file;
    mine.store = NET_STORE_MENDED;
    mine.store_path = store;
    kit_spawn_core(&mine, make_toy, &toy, &recorded);
    while (links != 1)
        links = links_of(&recorded);
    kit_kill(&other, SIGKILL);
    while (links != 0)
        links = links_of(&recorded);
    kit_kill(&recorded, SIGTERM);
}

/* Steps a new toy through the recording; how many steps differ. */
static unsigned replay(const uint8_t *data, size_t len,
                       const struct toy_config *config, unsigned *steps_out)
{
    struct xn_replay replay = {data, len, 0};
    Xn__Recording *head = NULL;
    struct xn_core *core = NULL;
    struct xn_event ev;
    struct xn_now now;
    xn_id want, got;
    unsigned wrong = 0;

    assert_int_equal(xn_replay_head(&replay, &head), 0);
    assert_string_equal(head->program, "kit");
    xn__recording__free_unpacked(head, NULL);
    assert_int_equal(toy_new(config, SEED, &core), 0);
    *steps_out = 0;
    while (!xn_replay_next(&replay, &now, &ev, &want)) {
        struct xn_outbox box;

        assert_int_equal(xn_core_step(core, &now, &ev, &box), 0);
        xn_record_digest(&box, &got);
        wrong += !xn_id_eq(&want, &got);
        (*steps_out)++;
        xn_msg_free(ev.msg);
    }
    xn_core_free(core);
    return wrong;
}

static void plays_back(void **state)
{
    struct toy_config alone = {.period_us = 5000}, toy;
    struct xn_buf recording = {0};
    unsigned steps = 0, cut;
    struct stat st;

    run(&alone);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(xn_file_read(file, &recording), 0);
    toy = alone;
    toy.n_contacts = 1;
    toy.contacts[0] = contact;
    assert_int_equal(replay(recording.data, recording.len, &toy, &steps), 0);
    /* Another configuration shows where it matters: the first step dials. */
    toy.contacts[0] = "192.0.2.1:1";
    assert_int_equal(replay(recording.data, recording.len, &toy, &steps), 1);
    assert_true(steps > 2); /* more where the machine is idle */
    /* A recorder that was killed leaves a piece of a record. */
    replay(recording.data, recording.len - 1, &toy, &cut);
    assert_int_equal(cut, steps - 1);
    xn_buf_clear(&recording);
}

static void never_over_another(void **state)
{
    struct net_config config = kit_config(&a);
    struct net_driver *driver;
    int fd = open(file, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    close(fd);
    config.record_path = file;
    assert_int_equal(net_driver_new(&config, &driver), XN_ECONFLICT);
}

static void not_a_recording(void **state)
{
    static const uint8_t junk[20] = {0, 0, 0, 3, 0xff, 0xff, 0xff};
    struct xn_replay replay = {junk, sizeof junk, 0};
    Xn__Recording *head;
    struct xn_event ev;
    struct xn_now now;
    xn_id digest;

    assert_int_equal(xn_replay_head(&replay, &head), XN_EPROTO);
    replay.at = 0;
    assert_int_equal(xn_replay_next(&replay, &now, &ev, &digest),
                     XN_EINTEGRITY);
    replay.at = 0;
    replay.len = 2;
    assert_int_equal(xn_replay_next(&replay, &now, &ev, &digest), XN_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plays_back, setup, teardown),
        cmocka_unit_test_setup_teardown(never_over_another, setup, teardown),
        cmocka_unit_test(not_a_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
