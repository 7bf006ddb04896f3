/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording of a core replays to its outbox; anything else is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "seam/record.h"
#include "sim/cli.h"
#include "sim/crypto.h"
#include "tests/toy_core.h"

enum { STEPS = 40 };

static int make(uint64_t seed, struct xn_core **core_out)
{
    struct toy_config config = {{"10.0.0.1:7000"}, 1, 50000};

    return toy_new(&config, seed, core_out);
}

static int replayed(const Xn__Recording *head, const struct xn_peers *peers,
                    struct xn_core **core_out)
{
    (void)peers;
    if (strcmp(head->program, "toy") != 0) return XN_EINVAL;
    return make(head->seed, core_out);
}

static const struct sim_cli cli = {.program = "replay", .replayed = replayed};

/* Drive a core by hand and write down what happened. */
static void step(struct xn_core *core, struct xn_buf *file, uint64_t at_us,
                 enum xn_ev kind, unsigned msg_kind, const void *body)
{
    struct xn_now now = {at_us, 1000000 + at_us};
    struct xn_event ev = {.kind = kind, .peer = 3};
    struct xn_outbox box;
    xn_id digest;

    if (body) assert_int_equal(xn_msg_new(msg_kind, body, &ev.msg), 0);
    assert_int_equal(xn_core_step(core, &now, &ev, &box), 0);
    xn_record_digest(&box, &digest);
    assert_int_equal(xn_record_step(&now, &ev, &digest, file), 0);
    xn_msg_free(ev.msg);
}

static void record(struct xn_buf *file, uint64_t seed)
{
    Xn__Recording head = XN__RECORDING__INIT;
    Xn__Up up = XN__UP__INIT;
    Xn__Ping ping = XN__PING__INIT;
    struct sim_caller who;
    struct xn_core *core;
    uint64_t i;

    head.program = (char *)(uintptr_t) "toy";
    head.version = (char *)(uintptr_t) "1";
    head.seed = seed;
    assert_int_equal(make(seed, &core), 0);
    assert_int_equal(xn_record_head(&head, file), 0);
    sim_caller(1, XN__ROLE__NODE, 3, 5, &who);
    up.who = &who.caller;
    step(core, file, 1, XN_EV_WAKE, 0, NULL);
    step(core, file, 2, XN_EV_UP, XN__KIND__UP, &up);
    for (i = 0; i < STEPS; i++) {
        ping.nonce = i;
        step(core, file, 3 + i * 20000, i % 3 ? XN_EV_WAKE : XN_EV_MSG,
             XN__KIND__PING, i % 3 ? NULL : &ping);
    }
    xn_core_free(core);
}

static int replay(const struct xn_buf *file, size_t len)
{
    char path[] = "/tmp/sim_replay.XXXXXX";
    int fd = mkstemp(path), rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->data, len), (ssize_t)len);
    close(fd);
    rc = sim_replay(&cli, path);
    unlink(path);
    return rc;
}

static void test_same(void **state)
{
    struct xn_buf file = {0};

    (void)state;
    record(&file, 42);
    assert_int_equal(replay(&file, file.len), 0);
    /* Cut off where the recorder was killed. */
    assert_int_equal(replay(&file, file.len - 5), 0);
    xn_buf_clear(&file);
}

static void test_other_core(void **state)
{
    struct xn_buf one = {0}, other = {0};
    size_t head;

    (void)state;
    record(&one, 42);
    record(&other, 43);
    /* The steps of one under the head of the other: other nonces. */
    head = 16 + ((size_t)one.data[2] << 8 | one.data[3]);
    memcpy(one.data, other.data, head);
    assert_int_equal(replay(&one, one.len), XN_EINTEGRITY);
    xn_buf_clear(&one);
    xn_buf_clear(&other);
}

static void test_damage(void **state)
{
    struct xn_buf file = {0};
    size_t at;

    (void)state;
    record(&file, 42);
    for (at = 0; at < file.len; at++) {
        uint8_t was = file.data[at];

        file.data[at] ^= 0x40;
        assert_int_not_equal(replay(&file, file.len), 0);
        file.data[at] = was;
    }
    file.data[file.len - 1] ^= 1; /* the last step's digest */
    assert_int_equal(replay(&file, file.len), XN_EINTEGRITY);
    xn_buf_clear(&file);
}

static void test_no_recording(void **state)
{
    struct xn_buf file = {0};

    (void)state;
    xn_buf_str(&file, "nothing of the kind");
    assert_int_equal(replay(&file, file.len), XN_EPROTO);
    assert_int_equal(sim_replay(&cli, "/nonexistent/file"), XN_ENOENT);
    xn_buf_clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_other_core),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
