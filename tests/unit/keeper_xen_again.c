/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain outlives its keeper: the next one takes it up, wherever the first was
 * killed. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/domain_kit.h"
#include "tests/unit/xen_fake.h"
#include "wire/frame.h"

/* Nothing is left by which it could be known that it was begun. */
static void never_was(struct bench *b)
{
    static const char *const names[] = {KEEPER_EXIT, KEEPER_METER,
                                        KEEPER_DOMAIN, KEEPER_DISK};
    struct xn_buf told;

    xn_buf_init(&told, FRAME_TELL_MAX); /* to who is still there */
    assert_int_equal(keeper_tell_status(&b->keeper, XN_EREFUSED, &told), 0);
    xn_buf_clear(&told);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__ENDED);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(faccessat(b->keeper.dir, names[i], F_OK, 0), -1);
    assert_int_equal(fake_there(), 0);
    assert_int_equal(fake->open, 0);
    assert_false(sys_is_locked(b->keeper.dir, KEEPER_LOCK));
}

static void burn_and_boot(struct bench *b)
{
    fake_pass(100 * MS);
    bench_turn(b);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    fake_pass(10 * MS);
    b->later_us += HOUR_US; /* a durable reading */
    bench_turn(b);
}

static void write_net_spec(struct bench *b)
{
    Xn__TaskNet net = XN__TASK_NET__INIT;
    Xn__TaskSpec spec;

    net.bridge = (char *)"xenbr0";
    net.address = 0x0a090002;
    net.gateway = 0x0a090001;
    net.prefix = 24;
    bench_fill(&spec);
    spec.net_kbit_per_s = 1000;
    spec.net = &net;
    bench_put_spec(b, &spec);
}

static void traffic_is(struct bench *b, uint64_t sent, uint64_t got)
{
    Xn__TaskReading reading;

    keeper_reading(&b->keeper, UINT64_MAX, &reading);
    assert_int_equal(reading.sent_bytes, sent);
    assert_int_equal(reading.got_bytes, got);
}

static void cross(uint64_t sent, uint64_t got)
{
    fake_last()->sent = sent;
    fake_last()->got = got;
}

static void send_and_boot(struct bench *b)
{
    cross(1000, 70);
    bench_turn(b);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    traffic_is(b, 1000, 70);
    cross(500, 30);
    traffic_is(b, 1500, 100);
    /* its counters begin anew */
    cross(20, 40);
    traffic_is(b, 1520, 110);
    b->later_us += HOUR_US; /* a durable reading */
    bench_turn(b);
    cross(30, 40);
    bench_turn(b);
}

/* Bytes are counted once: whatever boots, begins anew, or is killed. */
static void what_crossed_its_interface_is_known(void **state)
{
    struct bench *b = *state;

    write_net_spec(b);
    bench_dies(b, send_and_boot);
    cross(30, 45); /* nobody looks */
    assert_int_equal(bench_start(b), 0);
    traffic_is(b, 1530, 115);
    bench_put_away(b);
    bench_dies(b, NULL);
    cross(10, 50); /* it began anew meanwhile, after 20 on record */
    assert_int_equal(bench_start(b), 0);
    traffic_is(b, 1530, 120);
    fake->bad_traffic = 1;
    traffic_is(b, 1530, 120);
    cross(60, 51);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    assert_int_equal(b->keeper.last.reading->sent_bytes, 1580);
    assert_int_equal(b->keeper.last.reading->got_bytes, 121);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
}

static void it_outlives_its_keeper(void **state)
{
    struct bench *b = *state;
    Xn__TaskReading reading;

    bench_write_spec(b, 0);
    bench_dies(b, burn_and_boot);
    assert_int_equal(fake_there(), 1);
    fake_pass(10 * MS); /* nobody looks */
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(bench_cpu_ms(b), 180);
    keeper_reading(&b->keeper, UINT64_MAX, &reading);
    assert_true(reading.run_ms < 3600000); /* not the test's hour */
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 180, "the task ended");
    assert_int_equal(fake->n, 2);
}

/* Its kernel is where it was. */
static void it_boots_again_with_another_keeper(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, burn_and_boot);
    assert_int_equal(bench_start(b), 0);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake->n, 3);
    assert_int_equal(fake_there(), 1);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
}

static void what_it_used_is_known_when_it_is_gone(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, burn_and_boot);
    fake_last()->there = false;
    assert_int_not_equal(bench_start(b), 0);
    bench_ended(b, XN__TASK_END__KEEPER, 0, 165, "it is gone");
}

static void spoil_note(struct bench *b)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);
    int fd = openat(dir, KEEPER_DOMAIN, O_WRONLY);

    assert_int_equal(pwrite(fd, "\377\377", 2, 9), 2);
    close(fd);
    close(dir);
}

/* What was noted of it is damaged: it is found by its name, and noted anew. */
static void a_damaged_note_is_mended(void **state)
{
    struct bench *b = *state;
    ProtobufCMessage *note = NULL;

    bench_write_spec(b, 0);
    bench_dies(b, burn_and_boot);
    spoil_note(b);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(bench_cpu_ms(b), 165);
    assert_int_equal(record_get(b->keeper.dir, KEEPER_DOMAIN,
                                &xn__domain_note__descriptor, &note),
                     0);
    protobuf_c_message_free_unpacked(note, NULL);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
}

static void a_damaged_note_of_none_ends_it(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, burn_and_boot);
    spoil_note(b);
    fake_last()->there = false;
    assert_int_not_equal(bench_start(b), 0);
    bench_ended(b, XN__TASK_END__KEEPER, 0, 165, "it is gone");
}

static void a_damaged_note_before_it_began_undoes_it(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    fake->die_at = 4; /* it is made, and stands */
    bench_dies(b, NULL);
    assert_int_equal(fake_there(), 1);
    spoil_note(b);
    assert_int_not_equal(bench_start(b), 0);
    never_was(b);
}

static void clear_records(struct bench *b)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);

    bench_put_away(b);
    unlinkat(dir, KEEPER_METER, 0);
    unlinkat(dir, KEEPER_EXIT, 0);
    close(dir);
}

static void boot_again(struct bench *b)
{
    fake_pass(100 * MS);
    bench_turn(b);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
}

/* Whoever is killed between two boots leaves the second to the next keeper. */
static void killed_between_boots_it_boots(void **state)
{
    struct bench *b = *state;
    unsigned at, most = 1000;
    bool after = false, ran;
    size_t made = 0;

    for (at = 1; at < most; after = !after, at += !after) {
        memset(fake->domains, 0, sizeof fake->domains);
        fake->n = fake->calls = 0;
        bench_write_spec(b, 0);
        fake->die_at = at;
        fake->die_after = after;
        bench_dies(b, boot_again);
        if (fake->calls < at) most = at;
        ran = fake->domains[0].cpu_ns > 0;
        if (bench_start(b)) {
            assert_false(ran);
            never_was(b);
        } else {
            bench_turn(b);
            assert_int_equal(fake_there(), 1);
            assert_int_not_equal(fake_last()->end, XEN_REBOOT);
            assert_true(fake->n >= 2 || fake->domains[0].end == XEN_LIVES);
            assert_int_equal(bench_cpu_ms(b), ran ? 150 : 0);
            keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
            bench_turn(b);
        }
        assert_int_equal(fake_there(), 0);
        if (fake->n > made) made = fake->n;
        clear_records(b);
    }
    assert_true(most < 1000);
    /* one that was made and may be a part of one was made again */
    assert_int_equal(made, 3);
    fake->n = made; /* their consoles go, too */
}

static void pause_it(struct bench *b)
{
    keeper_pause(&b->keeper, true);
}

static void it_stays_paused(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, pause_it);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__PAUSED);
    bench_turn(b);
    assert_true(fake_last()->paused);
    assert_int_equal(keeper_pause(&b->keeper, false), 0);
    assert_false(fake_last()->paused);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, 0, "enough");
}

/* Nothing is said of what cannot be looked at. */
static void without_xen_the_next_keeper_waits(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, NULL);
    fake->absent = true;
    assert_int_not_equal(bench_start(b), 0);
    assert_int_not_equal(b->keeper.state, XN__TASK_STATE__ENDED);
    fake->absent = false;
    assert_int_equal(bench_start(b), 0);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, 0, "enough");
}

static void live_and_end(struct bench *b)
{
    cross(800, 80);
    burn_and_boot(b);
    cross(200, 20);
    bench_turn(b);
    cross(100, 10); /* anew */
    b->later_us += HOUR_US;
    bench_turn(b);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
}

/* Killed in every call that it makes, before and after its effect: one domain
 * at most, none when it has ended, nothing charged that was not used. */
static void killed_anywhere_it_is_found(void **state)
{
    struct bench *b = *state;
    unsigned at, most = 1000;
    bool after = false, ran;
    int rc;

    for (at = 1; at < most; after = !after, at += !after) {
        memset(fake->domains, 0, sizeof fake->domains);
        fake->n = fake->calls = 0;
        write_net_spec(b);
        fake->die_at = at;
        fake->die_after = after;
        bench_dies(b, live_and_end);
        if (fake->calls < at) most = at; /* it came to its end */
        assert_true(fake_there() <= 1);
        ran = fake->domains[0].cpu_ns > 0;
        rc = bench_start(b);
        if (rc && !ran) {
            never_was(b);
        } else if (!rc) {
            assert_int_equal(fake_there(), 1);
            keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
            bench_turn(b);
            assert_int_equal(b->keeper.state, XN__TASK_STATE__ENDED);
        }
        assert_int_equal(fake_there(), 0);
        assert_int_equal(b->keeper.state, XN__TASK_STATE__ENDED);
        assert_true(b->keeper.last_reading.cpu_ns <= 165 * MS);
        assert_true(b->keeper.last_reading.sent_bytes <= 1100);
        assert_true(b->keeper.last_reading.got_bytes <= 110);
        clear_records(b);
    }
    assert_in_range(at, 15, 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_crossed_its_interface_is_known),
        T(it_outlives_its_keeper),
        T(it_boots_again_with_another_keeper),
        T(what_it_used_is_known_when_it_is_gone),
        T(a_damaged_note_is_mended),
        T(a_damaged_note_of_none_ends_it),
        T(a_damaged_note_before_it_began_undoes_it),
        T(killed_between_boots_it_boots),
        T(it_stays_paused),
        T(without_xen_the_next_keeper_waits),
        T(killed_anywhere_it_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
