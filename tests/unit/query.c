/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The query language: parsing, bounds, round trips, evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "wire/query.h"

/* ---- help ---- */

static struct query *where(const char *text)
{
    struct query_error error = {0, ""};
    struct query *query = NULL;
    int rc = query_parse_where(text, &query, &error);

    if (rc) fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    return query;
}

static struct query *words(const char *text)
{
    struct query_error error = {0, ""};
    struct query *query = NULL;
    const char *list[8];
    char *copy = strdup(text), *save = NULL, *word;
    size_t n = 0;
    int rc;

    for (word = strtok_r(copy, " ", &save); word && n < 8;
         word = strtok_r(NULL, " ", &save)) {
        list[n++] = word;
    }
    rc = query_parse_words(list, n, &query, &error);
    if (rc) fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    free(copy);
    return query;
}

static void assert_text(const struct query *query, const char *text)
{
    struct xn_buf out = {0};
    char *got;

    assert_int_equal(query_text(query, &out), 0);
    got = xn_buf_steal_str(&out);
    assert_string_equal(got, text);
    free(got);
}

static uint8_t *pack(const struct query *query, size_t *len_out)
{
    const Xn__Query *proto = query_proto(query);
    uint8_t *bytes;

    *len_out = xn__query__get_packed_size(proto);
    bytes = malloc(*len_out + 1);
    xn__query__pack(proto, bytes);
    return bytes;
}

static void assert_same(const struct query *a, const struct query *b)
{
    size_t a_len, b_len;
    uint8_t *a_bytes = pack(a, &a_len), *b_bytes = pack(b, &b_len);

    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_bytes, b_bytes, a_len);
    free(a_bytes);
    free(b_bytes);
}

/* text -> query -> wire -> query -> text -> query. */
static void assert_round_trip(const struct query *query)
{
    struct query *wired = NULL, *again;
    struct xn_buf out = {0};
    size_t len;
    uint8_t *bytes = pack(query, &len);
    Xn__Query *proto = xn__query__unpack(NULL, len, bytes);
    char *text;

    assert_non_null(proto);
    assert_int_equal(query_from_proto(proto, &wired), 0);
    xn__query__free_unpacked(proto, NULL);
    assert_same(query, wired);
    assert_int_equal(query_text(wired, &out), 0);
    text = xn_buf_steal_str(&out);
    again = where(text);
    assert_text(again, text);
    free(text);
    free(bytes);
    query_free(wired);
    query_free(again);
}

/* A row as the test sees it. */
struct fact {
    const char *token, *text;
    bool is_number;
    xn_dec number;
};

struct row {
    struct fact facts[16];
    size_t n;
};

static void fact(struct row *row, const char *token, const char *text)
{
    struct fact *f = &row->facts[row->n++];
    const struct xn_token_info *info = xn_token_info(token);

    f->token = token;
    f->text = text;
    f->is_number = !(info && info->type == XN_TOKEN_STRING) &&
                   xn_dec_parse(text, strlen(text), &f->number) == 0;
}

/* "Token=value Token=value": into static storage of the test. */
static struct row row_of(const char *text)
{
    static char space[4][512];
    static unsigned turn;
    char *copy = space[turn++ % 4], *save = NULL, *word;
    struct row row = {.n = 0};

    snprintf(copy, sizeof space[0], "%s", text);
    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        char *sign = strchr(word, '=');

        *sign = '\0';
        fact(&row, word, sign + 1);
    }
    return row;
}

static const struct fact *get(const struct row *row, const char *token)
{
    for (size_t i = 0; i < row->n; i++) {
        if (strcmp(row->facts[i].token, token) == 0) return &row->facts[i];
    }
    return NULL;
}

static void cells_of(const struct query *query, const struct row *row,
                     struct query_cell *cells)
{
    const struct query_token *tokens;
    size_t n = query_tokens(query, &tokens);

    for (size_t i = 0; i < n; i++) {
        const struct fact *f = get(row, tokens[i].name);

        memset(&cells[i], 0, sizeof cells[i]);
        if (!f) continue;
        cells[i].text = f->text;
        cells[i].is_number = f->is_number;
        cells[i].number = f->number;
    }
}

static bool matches(const struct query *query, const char *text)
{
    struct query_cell cells[300];
    struct row row = row_of(text);

    cells_of(query, &row, cells);
    return query_match_cells(query, cells, NULL);
}

static void assert_matches(struct query *query, const char *yes, const char *no)
{
    if (yes && !matches(query, yes)) fail_msg("'%s' should match", yes);
    if (no && matches(query, no)) fail_msg("'%s' should not match", no);
    query_free(query);
}

/* ---- texts ---- */

static void test_words(void **state)
{
    static const char *const rows[][2] = {
        {"EnvType:Linux", "EnvType = \"Linux\""},
        {"CPUsmps:150..", "CPUsmps >= 150"},
        {"CPUsmps:..150", "CPUsmps <= 150"},
        {"MemoryMB:512..4096", "512 <= MemoryMB <= 4096"},
        {"MemoryMB:-1.5..-1", "-1.5 <= MemoryMB <= -1"},
        {"Region:a,b,c", "Region in (\"a\", \"b\", \"c\")"},
        {"GPU:*", "has GPU"},
        {"Model:\"a,b\"", "Model = \"a,b\""},
        {"Model:\"a..b\"..\"c\"", "\"a..b\" <= Model <= \"c\""},
        {"Model:\"say\\\"x\\\"\"", "Model = \"say\\\"x\\\"\""},
        {"Time:12:30", "Time = \"12:30\""},
        {"Model:a\"b", "Model = \"a\\\"b\""},
        {"Model:\"\"", "Model = \"\""},
        {"Model:\"*\"", "Model = \"*\""},
        {"not:1", "\"not\" = 1"},
        {"A:1 B:2..", "A = 1 and B >= 2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = words(rows[i][0]);

        assert_text(query, rows[i][1]);
        assert_round_trip(query);
        query_free(query);
    }
}

static void test_no_words(void **state)
{
    struct query *query = NULL;

    (void)state;
    assert_int_equal(query_parse_words(NULL, 0, &query, NULL), 0);
    assert_text(query, "true");
    assert_int_equal(query_conditions(query), 0);
    assert_round_trip(query);
    assert_matches(query, "", NULL);
}

static void test_words_refused(void **state)
{
    static const struct {
        const char *word;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"CPU", 3},
        {":x", 0},
        {"CPU:", 4},
        {"CPU:..", 6},
        {"C PU:1", 1},
        {"CPU>=150", 3},
        {"1CPU:1", 0},
        {"CPU:1,", 6},
        {"CPU:,1", 4},
        {"CPU:1,,2", 6},
        {"CPU:\"x", 4},
        {"CPU:\"x\"y", 7},
        {"CPU:1..2..3", 8},
        {"CPU:1..2,3", 8},
        {"CPU:1,2..3", 7},
        {"CPU:1..,3", 7},
        {"CPU:150..,want=300..", 10},
        {"CPU:1,penalty=2", 6},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *list[2] = {"EnvType:x", rows[i].word};
        struct query_error error = {99, ""};
        struct query *query = NULL;

        assert_int_equal(query_parse_words(list, 2, &query, &error), XN_EINVAL);
        if (error.offset != 10 + rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].word, error.offset,
                     error.text);
        }
        assert_true(error.text[0]);
        assert_null(query);
    }
}

static void test_where(void **state)
{
    static const char *const rows[][2] = {
        {"CPUsmps>=150", "CPUsmps >= 150"},
        {"CPUsmps >= 150 and (EnvType = \"Linux\" or EnvType = 'NetBSD') "
         "and not Country = XX",
         "CPUsmps >= 150 and (EnvType = \"Linux\" or EnvType = \"NetBSD\") "
         "and Country != \"XX\""},
        {"a=1 or b=2 and c=3", "a = 1 or (b = 2 and c = 3)"},
        {"(a=1 or b=2) and c=3", "(a = 1 or b = 2) and c = 3"},
        {"((a=1 and b=2)) and (c=3 and (d=4))",
         "a = 1 and b = 2 and c = 3 and d = 4"},
        {"not (a=1 and b=2)", "not (a = 1 and b = 2)"},
        {"not not a=1", "not a != 1"},
        {"a in (1)", "a = 1"},
        {"a IN ( 1 , 'x y', \"it's\" )", "a in (1, \"x y\", \"it's\")"},
        {"has a AND Has b", "has a and has b"},
        {"1 < a <= 2", "1 < a <= 2"},
        {"'x' <= a < 'y'", "\"x\" <= a < \"y\""},
        {"a != 'don\\'t'", "a != \"don't\""},
        {"a = 'C:\\dir'", "a = \"C:\\\\dir\""},
        {"\"and\" = 1 and has \"OR\"", "\"and\" = 1 and has \"OR\""},
        {"Country = IN", "Country = \"IN\""},
        {"true", "true"},
        {"a = 1 and (false or b = 2 or true)", "a = 1 and (b = 2 or true)"},
        {"a = 1 and (false or true)", "a = 1"},
        {"a == 1\n\tand\r b < -2.50", "a = 1 and b < -2.50"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = where(rows[i][0]);

        assert_text(query, rows[i][1]);
        assert_round_trip(query);
        query_free(query);
    }
}

static void test_where_refused(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"  ", 0},
        {"a", 1},
        {"a b", 2},
        {"a =", 3},
        {"a = )", 4},
        {"= 1", 0},
        {"a = 1 b = 2", 6},
        {"a = 1 and", 9},
        {"a = 1 and and b = 2", 10},
        {"(a = 1", 0},
        {"a = 1)", 5},
        {"a in 1", 5},
        {"a in (", 6},
        {"a in (1 2)", 8},
        {"a in ()", 6},
        {"a ! 1", 2},
        {"a = 'x", 4},
        {"5 = a", 0},
        {"has 5", 4},
        {"not", 3},
        {"1 < 5 < 2", 4},
        {"1 < a < 2 < 3", 10},
        {"a >= 1 < 2", 7},
        {"'a b' = 1", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query_error error = {99, ""};
        struct query *query = NULL;

        assert_int_equal(query_parse_where(rows[i].text, &query, &error),
                         XN_EINVAL);
        if (error.offset != rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].text, error.offset,
                     error.text);
        }
        assert_true(error.text[0]);
        assert_null(query);
    }
}

/* Each bound at its number and one past it. */
static void test_bounds(void **state)
{
    struct xn_buf text = {0};
    struct query *query = NULL;
    char *made;
    int past;

    (void)state;
    for (past = 0; past < 2; past++) { /* terms: the list and its members */
        xn_buf_str(&text, "a = 1");
        for (int i = 2; i < QUERY_TERMS_MAX + past; i++) {
            xn_buf_str(&text, " or a = 1");
        }
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_ETOOBIG : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        xn_buf_str(&text, "a in (1");
        for (int i = 1; i < QUERY_VALUES_MAX + past; i++) {
            xn_buf_str(&text, ",2");
        }
        xn_buf_str(&text, ")");
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_ETOOBIG : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        for (int i = 1; i < QUERY_DEPTH_MAX + past; i++) {
            xn_buf_str(&text, "not ");
        }
        xn_buf_str(&text, "a = 1");
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_EINVAL : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        xn_buf_str(&text, "a = ");
        for (int i = 0; i < XN_VALUE_MAX + past; i++)
            xn_buf_char(&text, 'x');
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_EINVAL : 0);
        free(made);
        if (!past) query_free(query);
    }
}

static int from_expr(Xn__Expr *expr)
{
    Xn__Query proto = XN__QUERY__INIT;
    struct query *query = NULL;
    int rc;

    proto.where = expr;
    rc = query_from_proto(&proto, &query);
    if (!rc) assert_round_trip(query);
    query_free(query);
    return rc;
}

static void test_wire_refused(void **state)
{
    static char token[] = "a", bad[] = "a b", value[] = "1";
    static char longest[XN_VALUE_MAX + 2];
    Xn__Expr expr = XN__EXPR__INIT, arg = XN__EXPR__INIT;
    Xn__Expr *args[2] = {&arg, &arg};
    char *values[1] = {value};

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    expr.op = XN__EXPR_OP__RANGE;
    expr.token = token;
    assert_int_equal(from_expr(&expr), XN_EINVAL); /* no bound */
    expr.has_hi = true;
    expr.hi = longest;
    assert_int_equal(from_expr(&expr), XN_ETOOBIG);
    expr.hi = longest + 1;
    assert_int_equal(from_expr(&expr), 0);
    expr.token = bad;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.token = token;
    expr.op = (Xn__ExprOp)77;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.op = XN__EXPR_OP__IN;
    assert_int_equal(from_expr(&expr), 0); /* in none: false */
    expr.values = values;
    expr.n_values = 1;
    assert_int_equal(from_expr(&expr), 0);
    arg.op = XN__EXPR_OP__HAS;
    arg.token = token;
    expr.op = XN__EXPR_OP__NOT;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.args = args;
    expr.n_args = 2;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.n_args = 1;
    assert_int_equal(from_expr(&expr), 0);
}

/* ---- meaning ---- */

static void test_semantics(void **state)
{
    (void)state;
    assert_matches(where("CPUsmps >= 150"), "CPUsmps=150", "CPUsmps=149.9");
    assert_matches(where("CPUsmps > 150"), "CPUsmps=150.000000000001",
                   "CPUsmps=150");
    assert_matches(where("CPUsmps = 8"), "CPUsmps=8.000", "CPUsmps=80");
    assert_matches(where("CPUsmps = 8.0"), "CPUsmps=8", "EnvType=8.0");
    /* a string is compared by bytes, a number never with a word */
    assert_matches(where("EnvKernel = 6.1"), "EnvKernel=6.1", "EnvKernel=6.10");
    assert_matches(where("EnvKernel >= 6"), "EnvKernel=6.1", "EnvKernel=10");
    assert_matches(where("not CPUsmps > abc"), "CPUsmps=5", NULL);
    assert_matches(where("CPUsmps < abc"), NULL, "CPUsmps=5");
    assert_matches(where("GPU < b"), "GPU=a", "GPU=c");
    assert_matches(where("1 <= GPU <= x"), NULL, "GPU=5");
    /* a missing token: false, and its "not" true */
    assert_matches(where("GPU = x"), NULL, "");
    assert_matches(where("GPU != x"), "", "GPU=x");
    assert_matches(where("not GPU < 5"), "", "GPU=4");
    assert_matches(where("has GPU"), "GPU=x", "");
    assert_matches(where("GPU in (1, b, 2)"), "GPU=2.0", "GPU=3");
    assert_matches(where("GPU in (1, b, 2)"), "GPU=b", "GPU=c");
    assert_matches(where("false"), NULL, "GPU=1");
    assert_matches(where("GPU = 1 or true"), "", NULL);
    assert_matches(where("not (a = 1 or b = 1) and c = 1"), "c=1", "a=1 c=1");
}

static void test_required(void **state)
{
    static const char *const rows[][2] = {
        {"true", ""},
        {"a = 1", "a"},
        {"a = 1 and b = 2", "a b"},
        {"a = 1 or b = 2", ""},
        {"(a = 1 and b = 2) or (b = 3 and c = 4)", "b"},
        {"not a = 1", ""},
        {"not a = 1 and b = 2", "b"},
        {"has c and 1 < d < 2 and (a = 1 or a = 2)", "c d a"},
        {"a = 1 or true", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = where(rows[i][0]);
        const char *tokens[16];
        char got[128] = "";
        size_t n = query_required(query, tokens, 16);

        for (size_t j = 0; j < n; j++) {
            if (j) strcat(got, " ");
            strcat(got, tokens[j]);
        }
        assert_string_equal(got, rows[i][1]);
        assert_int_equal(query_required(query, tokens, 1), n ? 1 : 0);
        query_free(query);
    }
}

static void test_and(void **state)
{
    struct query *query = NULL, *more = words("A:1 B:2"),
                 * or = where("c = 1 or d = 1");

    (void)state;
    assert_int_equal(query_and(&query, more), 0);
    assert_text(query, "A = 1 and B = 2");
    assert_int_equal(query_set_sort(query, "X", true), 0);
    assert_int_equal(query_and(&query, or), 0);
    assert_text(query, "A = 1 and B = 2 and (c = 1 or d = 1)");
    assert_int_equal(query_conditions(query), 3);
    assert_string_equal(query_proto(query)->sort->token, "X");
    query_free(query);
    query_free(more);
    query_free(or);
}

static void test_currency(void **state)
{
    struct query *query = words("PricePerHour:..0.5 A:1");
    struct query_cell cells[16];
    struct row row = row_of("PricePerHour=0.4 A=1 Currency=EUR");

    (void)state;
    assert_true(query_uses_price(query));
    assert_int_equal(query_set_currency(query, "gbp"), XN_EINVAL);
    assert_int_equal(query_set_currency(query, "GBP"), 0);
    assert_string_equal(query_currency(query), "GBP");
    assert_true(matches(query, "PricePerHour=0.4 A=1 Currency=GBP"));
    assert_false(matches(query, "PricePerHour=0.6 A=1 Currency=GBP"));
    assert_false(matches(query, "PricePerHour=0.4 A=1"));
    cells_of(query, &row, cells);
    assert_false(query_match_cells(query, cells, NULL));
    assert_false(query_match_currency(query, cells));
    assert_true(query_match_any_currency(query, cells));
    query_free(query);
    /* where no price is looked at, the currency does not count */
    query = words("A:1");
    assert_int_equal(query_set_currency(query, "GBP"), 0);
    assert_false(query_uses_price(query));
    assert_true(matches(query, "A=1 Currency=EUR"));
    assert_int_equal(query_set_sort(query, "PricePerHour", false), 0);
    assert_true(query_uses_price(query));
    assert_matches(query, "A=1 Currency=GBP", "A=1 Currency=EUR");
}

static void assert_job(const char *text, const char *hours, const char *cpu,
                       const char *mem, const char *net, const char *disk)
{
    struct query *query = where("true");
    struct query_error error = {0, ""};
    const Xn__Job *job;

    if (query_set_job(query, text, &error)) {
        fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    }
    job = query_proto(query)->job;
    assert_string_equal(job->hours, hours);
    assert_string_equal(job->cpu_s, cpu);
    assert_string_equal(job->memory_mb_h, mem);
    assert_string_equal(job->net_gb, net);
    assert_string_equal(job->disk_gb_h, disk);
    query_free(query);
}

static void test_job(void **state)
{
    (void)state;
    assert_job("cpu=2h mem=4GiB*6h out=10GiB", "6", "7200", "24576",
               "10.73741824", "0");
    assert_job("time=1d", "24", "0", "0", "0", "0");
    assert_job("cpu=90m", "1.5", "5400", "0", "0", "0");
    assert_job("time=2h cpu=9h mem=1GiB disk=20GB*6h", "2", "32400", "2048",
               "0", "120");
    assert_job("  mem=512MiB*30m\tdisk=1TiB*1h ", "1", "0", "256", "0",
               "1099.511627776");
    assert_job("out=1MB", "0", "0", "0", "0.001", "0");
    assert_job("time=1s", "0.000277777778", "0", "0", "0", "0");
    assert_job("time=1.5h mem=1.5GiB", "1.5", "0", "2304", "0", "0");
}

static void test_job_refused(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"  ", 2},
        {"cpu", 0},
        {"gpu=2h", 0},
        {"cpu=", 4},
        {"cpu=2", 5},
        {"cpu=2x", 5},
        {"cpu=2hh", 5},
        {"cpu=1h cpu=2h", 7},
        {"mem=4GiB", 0},
        {"mem=4*6h", 5},
        {"mem=4GiB*", 9},
        {"mem=4GiB*6", 10},
        {"out=1GB*2h", 7},
        {"cpu=-2h", 4},
        {"time=9999999999999999999999d", 27},
        {"cpu =2h", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = where("true");
        struct query_error error = {99, ""};

        assert_int_equal(query_set_job(query, rows[i].text, &error), XN_EINVAL);
        if (error.offset != rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].text, error.offset,
                     error.text);
        }
        assert_null(query_proto(query)->job);
        query_free(query);
    }
}

static void test_budget(void **state)
{
    static const char *const bad[] = {
        "",    "GBP",    "10gbp", "-1GBP",
        "10G", "10 GBP", "1.2.3", "10POUNDSTERLING"};
    struct query *query = where("A = 1");
    struct query_cell cells[16];
    struct row row;
    xn_dec total;
    char text[XN_DEC_TEXT_MAX];

    (void)state;
    assert_int_equal(query_set_budget(query, "10GBP", NULL), XN_EINVAL);
    assert_int_equal(query_set_job(query, "time=10h cpu=1h", NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct query_error error = {0, ""};

        assert_int_equal(query_set_budget(query, bad[i], &error), XN_EINVAL);
        assert_true(error.text[0]);
    }
    assert_int_equal(query_set_budget(query, "10.50GBP", NULL), 0);
    assert_string_equal(query_currency(query), "GBP");
    assert_string_equal(query_proto(query)->budget, "10.5");
    assert_round_trip(query);
    row = row_of("A=1 Currency=GBP PricePerHour=1.05");
    cells_of(query, &row, cells);
    assert_true(query_match_cells(query, cells, &total));
    xn_dec_format(total, text);
    assert_string_equal(text, "10.5");
    assert_false(matches(query, "A=1 Currency=GBP PricePerHour=1.0500001"));
    assert_false(matches(query, "A=1 Currency=EUR PricePerHour=1"));
    assert_true(matches(query, "A=1 Currency=GBP SetUp=1"));
    assert_true(matches(query, "A=1 Currency=GBP CPUSecond=0.001"));
    assert_false(matches(query, "A=1 Currency=GBP CPUSecond=0.01"));
    /* no price at all: nobody knows what it costs */
    assert_false(matches(query, "A=1 Currency=GBP"));
    assert_false(matches(query, "A=1 Currency=GBP PricePerHour=-1"));
    assert_int_equal(query_conditions(query), 2);
    assert_true(query_condition_match(query, 1, cells));
    query_free(query);
}

static void test_order(void **state)
{
    /* as they must come out, by Rank ascending */
    static const char *const up[] = {"Rank=-1", "Rank=2.0", "Rank=2",
                                     "Rank=10", "Rank=abc", "Rank=b",
                                     "",        "A=1"};
    struct query_rank ranks[8];
    struct query *query = where("true");
    struct query_cell cells[16];

    (void)state;
    assert_int_equal(query_set_sort(query, "Rank", false), 0);
    for (size_t i = 0; i < 8; i++) {
        struct row row = row_of(up[i]);
        xn_id server = {{0}};

        server.b[31] = (uint8_t)i;
        cells_of(query, &row, cells);
        query_rank_cells(query, cells, &server, &ranks[i]);
        if (ranks[i].text) ranks[i].text = strchr(up[i], '=') + 1;
    }
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            int order = query_rank_cmp(query, &ranks[i], &ranks[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    /* descending: numbers still first, the absent still last, ties by id */
    static const int down[] = {3, 1, 2, 0, 5, 4, 6, 7};
    assert_int_equal(query_set_sort(query, "Rank", true), 0);
    for (int i = 0; i + 1 < 8; i++) {
        assert_true(
            query_rank_cmp(query, &ranks[down[i]], &ranks[down[i + 1]]) < 0);
    }
    /* a cursor is the same place */
    for (int i = 0; i < 8; i++) {
        Xn__Cursor cursor;
        char number[XN_DEC_TEXT_MAX];
        struct query_rank back;

        query_cursor_write(&ranks[i], number, &cursor);
        assert_int_equal(query_cursor_read(query, &cursor, &back), 0);
        assert_int_equal(query_rank_cmp(query, &ranks[i], &back), 0);
    }
    query_free(query);
}

static void test_sort_total(void **state)
{
    struct query *query = where("true");
    struct query_cell cells[16];
    struct query_rank a, b;
    xn_id id = {{0}};
    struct row row;

    (void)state;
    assert_int_equal(query_set_job(query, "time=2h cpu=1h", NULL), 0);
    assert_int_equal(query_set_sort(query, "total", false), 0);
    row = row_of("PricePerHour=1");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &a);
    row = row_of("CPUSecond=0.0001");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &b);
    assert_true(query_rank_cmp(query, &b, &a) < 0);
    row = row_of("");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &b);
    assert_true(b.absent);
    assert_true(query_rank_cmp(query, &a, &b) < 0);
    query_free(query);
}

/* ---- explaining ---- */

static void test_condition_text(void **state)
{
    static const char *const texts[] = {
        "CPUsmps:150..", "MemoryMB:1..2",     "EnvType:Linux,\"a b\"",
        "GPU:*",         "\"Q\" < z < \"y\"", "(a = 1 or b = 2)",
        "c > 3",         "--budget 10GBP",
    };
    struct query *query =
        where("CPUsmps >= 150 and 1 <= MemoryMB <= 2 and EnvType in "
              "(Linux, 'a b') and has GPU and Q < z < y and (a=1 or b=2) "
              "and c > 3");

    (void)state;
    assert_int_equal(query_set_job(query, "time=1h", NULL), 0);
    assert_int_equal(query_set_budget(query, "10GBP", NULL), 0);
    assert_int_equal(query_conditions(query), 8);
    for (size_t i = 0; i < 8; i++) {
        struct xn_buf out = {0};
        char *got;

        assert_int_equal(query_condition_text(query, i, &out), 0);
        got = xn_buf_steal_str(&out);
        if (i == 5) {
            assert_string_equal(got, "a = 1 or b = 2");
        } else {
            assert_string_equal(got, texts[i]);
        }
        free(got);
    }
    query_free(query);
}

static void assert_widen(const char *text, const char *row_text,
                         const char *gap, const char *widened)
{
    struct query *query = where(text);
    struct query_cell cells[16];
    struct row row = row_of(row_text);
    struct xn_buf out = {0};
    char got[XN_DEC_TEXT_MAX], *got_text;
    xn_dec d;
    int rc;

    cells_of(query, &row, cells);
    rc = query_condition_widen(query, 0, cells, &d, &out);
    if (!gap) {
        assert_int_equal(rc, XN_ENOENT);
    } else {
        assert_int_equal(rc, 0);
        xn_dec_format(d, got);
        assert_string_equal(got, gap);
        got_text = xn_buf_steal_str(&out);
        assert_string_equal(got_text, widened);
        free(got_text);
    }
    xn_buf_clear(&out);
    query_free(query);
}

static void test_widen(void **state)
{
    (void)state;
    assert_widen("CPUsmps >= 150", "CPUsmps=120", "30", "CPUsmps:120..");
    assert_widen("CPUsmps > 150", "CPUsmps=150", "0", "CPUsmps:150..");
    assert_widen("2 <= CPUsmps <= 4", "CPUsmps=9", "5", "CPUsmps:2..9");
    assert_widen("2 <= CPUsmps <= 4", "CPUsmps=0.5", "1.5", "CPUsmps:0.5..4");
    assert_widen("CPUsmps = 8", "CPUsmps=12", "4", "CPUsmps:8..12");
    assert_widen("CPUsmps >= 150", "CPUsmps=200", "0", "CPUsmps:150..");
    assert_widen("CPUsmps >= 150", "", NULL, NULL);
    assert_widen("9 <= CPUsmps <= 5", "CPUsmps=7", NULL, NULL);
    assert_widen("9 <= CPUsmps <= 5", "CPUsmps=3", "6", "CPUsmps:3..5");
    assert_widen("CPUsmps >= x", "CPUsmps=1", NULL, NULL);
    assert_widen("EnvType = x", "EnvType=y", NULL, NULL);
    assert_widen("CPUsmps in (1, 2)", "CPUsmps=3", NULL, NULL);
    assert_widen("not CPUsmps >= 150", "CPUsmps=200", NULL, NULL);
    assert_widen("CPUsmps >= 1 or CPUsmps = 9", "CPUsmps=0", NULL, NULL);
    assert_widen("false", "CPUsmps=0", NULL, NULL);
}

/* ---- random queries against a naive evaluator over the tree ---- */

static const char *const tokens[] = {"CPUsmps", "EnvType", "EnvKernel",
                                     "Region",  "GPU",     "Odd"};
static const char *const values[] = {"1",   "2",  "2.0",   "3.5", "-4",  "10",
                                     "abc", "b",  "Linux", "",    "6.1", "6.10",
                                     "a b", "\"", "\\'",   "x,y", "p..q"};
#define N_TOKENS (sizeof tokens / sizeof tokens[0])
#define N_VALUES (sizeof values / sizeof values[0])

static char *any(struct xn_rng *rng, const char *const *list, size_t n)
{
    return (char *)(uintptr_t)list[xn_rng_below(rng, n)];
}

static Xn__Expr *random_leaf(struct xn_rng *rng, Xn__Expr *expr)
{
    expr->token = any(rng, tokens, N_TOKENS);
    switch (expr->op) {
    case XN__EXPR_OP__RANGE:
        expr->has_lo = xn_rng_below(rng, 2);
        expr->has_hi = !expr->has_lo || xn_rng_below(rng, 2);
        if (expr->has_lo) expr->lo = any(rng, values, N_VALUES);
        if (expr->has_hi) expr->hi = any(rng, values, N_VALUES);
        expr->lo_open = xn_rng_below(rng, 2);
        expr->hi_open = xn_rng_below(rng, 2);
        break;
    case XN__EXPR_OP__IN:
        expr->n_values = xn_rng_below(rng, 5);
        expr->values = calloc(5, sizeof *expr->values);
        for (size_t i = 0; i < expr->n_values; i++) {
            expr->values[i] = any(rng, values, N_VALUES);
        }
        break;
    default: break;
    }
    return expr;
}

static Xn__Expr *random_expr(struct xn_rng *rng, int depth)
{
    Xn__Expr *expr = calloc(1, sizeof *expr);

    xn__expr__init(expr);
    expr->op = (Xn__ExprOp)xn_rng_below(rng, 6);
    if (depth == 0) {
        expr->op = (Xn__ExprOp)xn_rng_between(rng, XN__EXPR_OP__RANGE,
                                              XN__EXPR_OP__HAS);
    }
    if (expr->op >= XN__EXPR_OP__RANGE) return random_leaf(rng, expr);
    expr->n_args =
        expr->op == XN__EXPR_OP__NOT ? 1 : (size_t)xn_rng_below(rng, 4);
    expr->args = calloc(4, sizeof(Xn__Expr *));
    for (size_t i = 0; i < expr->n_args; i++) {
        expr->args[i] = random_expr(rng, depth - 1);
    }
    return expr;
}

static void free_expr(Xn__Expr *expr)
{
    for (size_t i = 0; i < expr->n_args; i++)
        free_expr(expr->args[i]);
    free(expr->args);
    free(expr->values);
    free(expr);
}

/* -2: cannot be compared. */
static int naive_compare(const struct fact *f, const char *bound)
{
    xn_dec number;
    int order;

    if (!f->is_number) {
        order = strcmp(f->text, bound);
    } else if (xn_dec_parse(bound, strlen(bound), &number)) {
        return -2;
    } else {
        order = xn_dec_cmp(f->number, number);
    }
    return (order > 0) - (order < 0);
}

static bool naive_range(const Xn__Expr *expr, const struct fact *f)
{
    int order;

    if (expr->has_lo) {
        order = naive_compare(f, expr->lo);
        if (order == -2 || order == -1) return false;
        if (order == 0 && expr->lo_open) return false;
    }
    if (expr->has_hi) {
        order = naive_compare(f, expr->hi);
        if (order == -2 || order == 1) return false;
        if (order == 0 && expr->hi_open) return false;
    }
    return true;
}

static bool naive(const Xn__Expr *expr, const struct row *row)
{
    const struct fact *f = get(row, expr->token);
    size_t i;

    switch (expr->op) {
    case XN__EXPR_OP__ALL:
        for (i = 0; i < expr->n_args; i++) {
            if (!naive(expr->args[i], row)) return false;
        }
        return true;
    case XN__EXPR_OP__ANY:
        for (i = 0; i < expr->n_args; i++) {
            if (naive(expr->args[i], row)) return true;
        }
        return false;
    case XN__EXPR_OP__NOT: return !naive(expr->args[0], row);
    case XN__EXPR_OP__RANGE: return f && naive_range(expr, f);
    case XN__EXPR_OP__IN:
        for (i = 0; f && i < expr->n_values; i++) {
            if (naive_compare(f, expr->values[i]) == 0) return true;
        }
        return false;
    default: return f != NULL;
    }
}

static void check_row(const struct query *query, const Xn__Expr *expr,
                      const struct row *row, unsigned *yes)
{
    struct query_cell cells[64];
    const char *required[32];
    bool expected = naive(expr, row), together = true;
    size_t n = query_required(query, required, 32);

    cells_of(query, row, cells);
    assert_int_equal(query_match_cells(query, cells, NULL), expected);
    for (size_t i = 0; i < query_conditions(query); i++) {
        together = together && query_condition_match(query, i, cells);
    }
    assert_int_equal(together, expected);
    *yes += expected;
    for (size_t i = 0; expected && i < n; i++) {
        assert_non_null(get(row, required[i]));
    }
}

static void test_random(void **state)
{
    unsigned asked = 0, yes = 0;
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 4);
    for (int i = 0; i < 10000; i++) {
        Xn__Query proto = XN__QUERY__INIT;
        struct query *query = NULL;

        proto.where = random_expr(&rng, 4);
        if (query_from_proto(&proto, &query)) {
            free_expr(proto.where); /* past a bound */
            continue;
        }
        if (i % 10 == 0) assert_round_trip(query);
        for (int j = 0; j < 10; j++) {
            struct row row = {.n = 0};

            for (size_t k = 0; k < N_TOKENS; k++) {
                if (xn_rng_below(&rng, 4) == 0) continue;
                fact(&row, tokens[k], any(&rng, values, N_VALUES));
            }
            check_row(query, proto.where, &row, &yes);
            asked++;
        }
        query_free(query);
        free_expr(proto.where);
    }
    assert_true(asked > 90000 && yes > asked / 5 && yes < asked * 4 / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_words_refused),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_where_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_wire_refused),
        cmocka_unit_test(test_semantics),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_and),
        cmocka_unit_test(test_currency),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_job_refused),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_sort_total),
        cmocka_unit_test(test_condition_text),
        cmocka_unit_test(test_widen),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
