/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/hex.h"
#include "lib/options.h"
#include "lib/rng.h"
#include "lib/text.h"

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

static void text_is_judged_as_utf8(void **state)
{
    static const char *const good[] = {"a", "\xc3\x96", "\xe2\x82\xac",
                                       "\xf0\x9f\xa6\xa6", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc3",
                                      "\xe2\x82",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};
    size_t i, odd;

    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(xn_utf8_len(good[i], strlen(good[i])),
                         strlen(good[i]));
        assert_int_equal(xn_plain_len(good[i], &odd), strlen(good[i]));
        assert_int_equal(odd, 0);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (xn_utf8_len(bad[i], strlen(bad[i]))) fail_msg("%zu", i);
        assert_int_equal(xn_plain_len(bad[i], &odd), 0);
        assert_int_equal(odd, 1);
    }
}

static void text_is_made_plain(void **state)
{
    char text[] = "a\nb\x1b[1m \xc3\x96 \xc2\x9b.\x7f \xff \xe2\x82";

    (void)state;
    xn_plain(text);
    assert_string_equal(text, "a?b?[1m \xc3\x96 ?.? ? ??");
    text[0] = '\0';
    xn_plain(text);
    assert_string_equal(text, "");
}

static void numbers_are_digits_within_a_bound(void **state)
{
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1k"};
    uint64_t n = 7;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(xn_number_parse(bad[i], 9, &n), XN_EINVAL);
    }
    assert_int_equal(xn_number_parse("10", 9, &n), XN_EOVERFLOW);
    assert_int_equal(xn_number_parse("18446744073709551616", UINT64_MAX, &n),
                     XN_EOVERFLOW);
    assert_int_equal(n, 7);
    assert_int_equal(xn_number_parse("09", 9, &n), 0);
    assert_int_equal(n, 9);
    assert_int_equal(xn_number_parse("18446744073709551615", UINT64_MAX, &n),
                     0);
    assert_true(n == UINT64_MAX);
}

static void files_are_read_to_their_bound(void **state)
{
    char path[] = "/tmp/xn_lib.XXXXXX";
    int fd = mkstemp(path);
    struct xn_buf buf;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    xn_buf_init(&buf, 10);
    assert_int_equal(xn_file_read(path, &buf), 0);
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf.data, "0123456789", 10);
    xn_buf_clear(&buf);
    buf.max = 9;
    assert_int_equal(xn_file_read(path, &buf), XN_ETOOBIG);
    xn_buf_clear(&buf);
    unlink(path);
    assert_int_equal(xn_file_read(path, &buf), XN_ENOENT);
    assert_int_equal(xn_file_read("/", &buf), XN_EIO);
    assert_int_equal(errno, EISDIR);
    xn_buf_clear(&buf);
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
    for (rc = 0; rc >= XN_EMONEY; rc--) {
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

struct said { /* by a command line */
    const char *name, *flag, *words[3];
    size_t n_words;
    char because[120];
    int rc, argc, rest;
    char *argv[16];
};

static void read_options(struct said *said, bool once, const char *line)
{
    static char text[200];
    const struct xn_option rows[] = {
        XN_OPTION("name", 'n', "NAME", "", &said->name),
        XN_OPTION("flag", 'f', NULL, "", &said->flag),
        XN_OPTION_LIST("word", "WORD", "", said->words, &said->n_words),
    };
    const struct xn_options options = {rows, 3, once};
    char *save = NULL, *word;

    memset(said, 0, sizeof *said);
    snprintf(text, sizeof text, "prog %s", line);
    for (word = strtok_r(text, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        said->argv[said->argc++] = word;
    }
    said->rc = xn_options_read(&options, said->argc, said->argv, &said->rest,
                               said->because, sizeof said->because);
}

static void options_are_read_from_one_table(void **state)
{
    struct said said;

    (void)state;
    read_options(&said, true, "one --name=a --word b two --word c -f -- -x");
    assert_int_equal(said.rc, 0);
    assert_string_equal(said.name, "a");
    assert_string_equal(said.flag, "");
    assert_int_equal(said.n_words, 2);
    assert_string_equal(said.words[1], "c");
    assert_int_equal(said.argc - said.rest, 3);
    assert_string_equal(said.argv[said.rest], "one");
    assert_string_equal(said.argv[said.rest + 2], "-x");
    read_options(&said, false, "-na --na b");
    assert_int_equal(said.rc, 0);
    assert_string_equal(said.name, "b");
    assert_null(said.flag);
}

static void options_say_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *because;
    } rows[] = {
        {"--nmae x", "--nmae is no option, did you mean --name?"},
        {"--frobnicate", "--frobnicate is no option"},
        {"-fx", "-x is no option"},
        {"--flag=1", "--flag takes no value"},
        {"--name", "--name needs a value"},
        {"-n", "-n needs a value"},
        {"-n a -n b", "--name is given more than once"},
        {"--word a --word b --word c --word d",
         "--word is given more than 3 times"},
    };
    struct said said;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_options(&said, true, rows[i].line);
        assert_int_equal(said.rc, XN_EINVAL);
        assert_string_equal(said.because, rows[i].because);
    }
}

static void formats_and_timeouts_are_judged(void **state)
{
    static const struct {
        const char *text;
        uint64_t us; /* 0: refused */
    } rows[] = {
        {"1ms", 1000}, {"30s", 30000000}, {"1h", 3600000000ULL},
        {"999us", 0},  {"61m", 0},        {"soon", 0},
        {"", 0},
    };
    char because[120] = "";
    bool json = true;
    uint64_t us = 7;

    (void)state;
    assert_int_equal(xn_options_output(NULL, &json, because, 120), 0);
    assert_true(json);
    assert_int_equal(xn_options_output("table", &json, because, 120), 0);
    assert_false(json);
    assert_int_equal(xn_options_output("json", &json, because, 120), 0);
    assert_true(json);
    assert_int_equal(xn_options_output("xml", &json, because, 120), XN_EINVAL);
    assert_string_equal(because, "-o xml: it is table or json");
    assert_int_equal(xn_options_timeout(NULL, &us, because, 120), 0);
    assert_true(us == 7);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = xn_options_timeout(rows[i].text, &us, because, 120);

        assert_int_equal(rc, rows[i].us ? 0 : XN_EINVAL);
        if (rows[i].us) assert_true(us == rows[i].us);
    }
    assert_true(us == 3600000000ULL); /* as it was */
    assert_string_equal(because, "--timeout is a time from 1ms to 1h, not ''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_grows_to_its_bound_and_no_further),
        cmocka_unit_test(buf_formats_drops_and_is_stolen),
        cmocka_unit_test(a_peer_cannot_forge_a_gripe),
        cmocka_unit_test(text_is_judged_as_utf8),
        cmocka_unit_test(text_is_made_plain),
        cmocka_unit_test(numbers_are_digits_within_a_bound),
        cmocka_unit_test(files_are_read_to_their_bound),
        cmocka_unit_test(options_are_read_from_one_table),
        cmocka_unit_test(options_say_what_is_wrong),
        cmocka_unit_test(formats_and_timeouts_are_judged),
        cmocka_unit_test(arena_aligns_zeroes_and_bounds),
        cmocka_unit_test(rng_repeats_and_is_even),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(every_error_has_text_and_exit_code),
        cmocka_unit_test(nearest_finds_slips_and_nothing_far),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
