/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/hex.h"
#include "lib/rng.h"

static void buf_grows_to_its_bound_and_no_further(void **state)
{
    struct xn_buf buf;
    size_t i;

    (void)state;
    xn_buf_init(&buf, 1000);
    for (i = 0; i < 1000; i++)
        xn_buf_char(&buf, 'x');
    assert_int_equal(xn_buf_rc(&buf), 0);
    assert_int_equal(buf.len, 1000);
    xn_buf_char(&buf, 'x');
    assert_int_equal(xn_buf_rc(&buf), XN_ETOOBIG);
    xn_buf_str(&buf, "sticks");
    assert_int_equal(buf.len, 1000);
    xn_buf_clear(&buf);
    assert_int_equal(xn_buf_rc(&buf), 0);
    assert_int_equal(buf.max, 1000);
}

static void buf_formats_drops_and_is_stolen(void **state)
{
    struct xn_buf buf = {.max = 0};
    char *text;

    (void)state;
    xn_buf_printf(&buf, "%s-%0100d", "ab", 7);
    assert_int_equal(buf.len, 103);
    xn_buf_drop(&buf, 102);
    text = xn_buf_steal_str(&buf);
    assert_string_equal(text, "7");
    free(text);
    assert_null(buf.data);
    text = xn_buf_steal_str(&buf);
    assert_string_equal(text, "");
    free(text);
    xn_buf_drop(&buf, 5);
    assert_int_equal(buf.len, 0);
}

/* What stands on standard error after a gripe; the caller frees. */
static char *griped(const char *what, const char *because, const char *try)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    char *text = calloc(1, 512);

    assert_non_null(file);
    assert_non_null(text);
    fflush(stderr);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    xn_gripe("prog", what, because, try);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    assert_true(fread(text, 1, 511, file) > 0);
    fclose(file);
    return text;
}

static void a_peer_cannot_forge_a_gripe(void **state)
{
    char *text;

    (void)state;
    text = griped("cannot", "\xc3\x96: no", NULL);
    assert_string_equal(text, "prog: cannot\n  because: \xc3\x96: no\n");
    free(text);
    text = griped("cannot", "x\n  try:     rm",
                  "\033[2J\xc2\x9b"
                  "1m\x7f");
    assert_string_equal(text, "prog: cannot\n  because: x?  try:     rm\n"
                              "  try:     ?[2J?1m?\n");
    free(text);
}

static void arena_aligns_zeroes_and_bounds(void **state)
{
    struct xn_arena arena;
    char *p;
    size_t i;

    (void)state;
    xn_arena_init(&arena, 20000);
    for (i = 1; i < 100; i++) {
        p = xn_arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        assert_int_equal(p[i - 1], 0);
        memset(p, 0xff, i);
    }
    assert_non_null(xn_arena_alloc(&arena, 9000)); /* more than a block */
    assert_null(xn_arena_alloc(&arena, 20000));
    assert_null(xn_arena_alloc(&arena, SIZE_MAX));
    assert_string_equal(xn_arena_strndup(&arena, "abc", 2), "ab");
    xn_arena_clear(&arena);
    assert_non_null(xn_arena_alloc(&arena, 19000));
    xn_arena_clear(&arena);
}

static void rng_repeats_and_is_even(void **state)
{
    struct xn_rng a, b;
    unsigned count[7] = {0};
    size_t i;

    (void)state;
    xn_rng_seed(&a, 7);
    xn_rng_seed(&b, 7);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(xn_rng_u64(&a), xn_rng_u64(&b));
    }
    for (i = 0; i < 70000; i++)
        count[xn_rng_below(&a, 7)]++;
    for (i = 0; i < 7; i++)
        assert_in_range(count[i], 9500, 10500);
    assert_int_equal(xn_rng_below(&a, 0), 0);
    for (i = 0; i < 1000; i++) {
        uint64_t x = xn_rng_between(&a, 5, 9);
        double unit = xn_rng_unit(&a);

        assert_in_range(x, 5, 9);
        assert_true(unit >= 0 && unit < 1);
    }
    (void)xn_rng_between(&a, 0, UINT64_MAX);
    assert_int_not_equal(xn_rng_mix(1, 2), xn_rng_mix(2, 1));
}

static void hex_goes_both_ways(void **state)
{
    static const uint8_t data[] = {0x00, 0x9a, 0xff};
    uint8_t back[3];
    char text[7];

    (void)state;
    xn_hex(data, 3, text);
    assert_string_equal(text, "009aff");
    assert_int_equal(xn_unhex("009AfF", 6, back, 3), 0);
    assert_memory_equal(back, data, 3);
    assert_int_equal(xn_unhex("009af", 5, back, 3), XN_EINVAL);
    assert_int_equal(xn_unhex("009afg", 6, back, 3), XN_EINVAL);
}

static void every_error_has_text_and_exit_code(void **state)
{
    int rc;

    (void)state;
    for (rc = 0; rc >= XN_ENOSPC; rc--) {
        assert_string_not_equal(xn_strerror(rc), "unknown error");
        assert_string_not_equal(xn_errname(rc), "EWHAT");
        assert_in_range(xn_exit_code(rc), 0, XN_EXIT_TASK);
    }
    assert_string_equal(xn_strerror(-9999), "unknown error");
    assert_int_equal(xn_exit_code(-9999), XN_EXIT_FAILED);
    assert_int_equal(xn_exit_code(XN_ESIGNATURE), XN_EXIT_INTEGRITY);
}

static void nearest_finds_slips_and_nothing_far(void **state)
{
    static const char *const words[] = {"status", "start", "kill", "env"};

    (void)state;
    assert_string_equal(xn_nearest("statsu", words, 4), "status");
    assert_string_equal(xn_nearest("strat", words, 4), "start");
    assert_string_equal(xn_nearest("kil", words, 4), "kill");
    assert_null(xn_nearest("frobnicate", words, 4));
    assert_null(xn_nearest("", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_grows_to_its_bound_and_no_further),
        cmocka_unit_test(buf_formats_drops_and_is_stolen),
        cmocka_unit_test(a_peer_cannot_forge_a_gripe),
        cmocka_unit_test(arena_aligns_zeroes_and_bounds),
        cmocka_unit_test(rng_repeats_and_is_even),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(every_error_has_text_and_exit_code),
        cmocka_unit_test(nearest_finds_slips_and_nothing_far),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
