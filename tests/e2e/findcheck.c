/* SPDX-License-Identifier: GPL-3.0-or-later */
/* findcheck CATALOGUE DRAW-SEED SERVERS ADS QUERIES SEED XENOFIND
 *
 * Makes random queries (ranges, sets, boolean, sorted, limited) through
 * `xenofind -o json` and compares each answer with a filter over the catalogue
 * that is written here, from the rows alone: which servers, in which order,
 * with which values.  Prints TAP: one test per hundred queries and one for the
 * share of queries that match some but not all.
 *
 * Where rows tie in the order, any of them may be shown first; ids must then
 * ascend. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/buf.h"
#include "lib/dec.h"
#include "lib/err.h"
#include "lib/rng.h"
#include "tools/dev.h"

enum { TOKENS_MAX = 80, DEPTH_MAX = 3 };

struct cell {
    const char *token;
    char text[XN_DEC_TEXT_MAX + 64];
    bool is_number;
    xn_dec number;
};

struct row {
    char name[32];
    struct cell cells[TOKENS_MAX];
    size_t n;
};

static struct dev_catalogue *catalogue; /* the rows' names point into it */
static struct row *rows;
static size_t n_rows;
static struct xn_rng rng;

static const char *const numbers[] = {
    "vCPUs",   "MemoryGiB", "Price",        "SpotPrice",
    "CPUsmps", "MemoryMB",  "PricePerHour", "AcceleratorCount"};
static const char *const strings[] = {"InstanceType", "Region",
                                      "AvailabilityZone", "AcceleratorName",
                                      "Generation"};

/* ---- the truth: rows of the catalogue ---- */

static void set_cell(struct row *row, const char *token, const char *text)
{
    struct cell *cell = &row->cells[row->n++];

    cell->token = token;
    snprintf(cell->text, sizeof cell->text, "%s", text);
    cell->is_number = xn_dec_parse(text, strlen(text), &cell->number) == 0;
}

static void set_product(struct row *row, const char *token, const char *text,
                        int64_t factor)
{
    char out[XN_DEC_TEXT_MAX];
    xn_dec value;

    if (xn_dec_parse(text, strlen(text), &value)) abort();
    value.v *= factor;
    xn_dec_format(value, out);
    set_cell(row, token, out);
}

static void make_row(const struct dev_catalogue *c, size_t i, struct row *row)
{
    size_t j;

    for (j = 0; j < dev_catalogue_columns(c); j++) {
        const char *column = dev_catalogue_column(c, j);
        const char *value = dev_catalogue_value(c, i, j);

        if (!*value) continue;
        set_cell(row, column, value);
        if (strcmp(column, "vCPUs") == 0) {
            set_product(row, "CPUsmps", value, 1000);
        } else if (strcmp(column, "MemoryGiB") == 0) {
            set_product(row, "MemoryMB", value, 1024);
        } else if (strcmp(column, "Price") == 0) {
            set_product(row, "PricePerHour", value, 1);
        }
    }
}

static const struct cell *get(const struct row *row, const char *token)
{
    size_t i;

    for (i = 0; i < row->n; i++) {
        if (strcmp(row->cells[i].token, token) == 0) return &row->cells[i];
    }
    return NULL;
}

/* A value that some row has for this token; NULL after many tries. */
static const struct cell *sample(const char *token)
{
    int tries;

    for (tries = 0; tries < 200; tries++) {
        const struct cell *cell = get(&rows[xn_rng_below(&rng, n_rows)], token);

        if (cell) return cell;
    }
    return NULL;
}

/* ---- random conditions ---- */

enum op { AND, OR, NOT, RANGE, SET };

struct node {
    enum op op;
    struct node *args[2];
    const char *token;
    const struct cell *lo, *hi; /* NULL: open */
    const struct cell *set[4];
    size_t n_set;
};

static void free_node(struct node *n)
{
    if (!n) return;
    free_node(n->args[0]);
    free_node(n->args[1]);
    free(n);
}

static int compare(const struct cell *a, const struct cell *b)
{
    if (a->is_number && b->is_number) return xn_dec_cmp(a->number, b->number);
    return strcmp(a->text, b->text);
}

static struct node *random_leaf(void)
{
    struct node *n = calloc(1, sizeof *n);
    bool number = xn_rng_below(&rng, 3) > 0;
    const struct cell *swap;

    if (!n) abort();
    for (;;) {
        n->token = number ? numbers[xn_rng_below(&rng, 8)]
                          : strings[xn_rng_below(&rng, 5)];
        n->lo = sample(n->token);
        if (n->lo) break;
    }
    if (!number || xn_rng_below(&rng, 5) == 0) {
        n->op = SET;
        n->n_set = 1 + xn_rng_below(&rng, 4);
        for (size_t i = 0; i < n->n_set; i++)
            n->set[i] = sample(n->token);
        for (size_t i = 0; i < n->n_set; i++) {
            if (!n->set[i]) n->set[i] = n->lo;
        }
        return n;
    }
    n->op = RANGE;
    n->hi = sample(n->token);
    if (!n->hi) n->hi = n->lo;
    if (compare(n->lo, n->hi) > 0) {
        swap = n->lo;
        n->lo = n->hi;
        n->hi = swap;
    }
    switch (xn_rng_below(&rng, 3)) {
    case 0: n->lo = NULL; break;
    case 1: n->hi = NULL; break;
    default: break;
    }
    return n;
}

static struct node *random_tree(int depth)
{
    struct node *n;

    if (depth == 0 || xn_rng_below(&rng, 3) == 0) return random_leaf();
    n = calloc(1, sizeof *n);
    if (!n) abort();
    n->op = (enum op)xn_rng_below(&rng, 3);
    n->args[0] = random_tree(depth - 1);
    if (n->op != NOT) n->args[1] = random_tree(depth - 1);
    return n;
}

static bool holds(const struct node *n, const struct row *row)
{
    const struct cell *cell;
    size_t i;

    switch (n->op) {
    case AND: return holds(n->args[0], row) && holds(n->args[1], row);
    case OR: return holds(n->args[0], row) || holds(n->args[1], row);
    case NOT: return !holds(n->args[0], row);
    case RANGE:
        cell = get(row, n->token);
        return cell && (!n->lo || compare(cell, n->lo) >= 0) &&
               (!n->hi || compare(cell, n->hi) <= 0);
    case SET:
        cell = get(row, n->token);
        for (i = 0; cell && i < n->n_set; i++) {
            if (compare(cell, n->set[i]) == 0) return true;
        }
        return false;
    }
    return false;
}

/* ---- as text ---- */

static void put_where(const struct node *n, struct xn_buf *out)
{
    size_t i;

    switch (n->op) {
    case AND:
    case OR:
        xn_buf_char(out, '(');
        put_where(n->args[0], out);
        xn_buf_str(out, n->op == AND ? " and " : " or ");
        put_where(n->args[1], out);
        xn_buf_char(out, ')');
        break;
    case NOT:
        xn_buf_str(out, "not (");
        put_where(n->args[0], out);
        xn_buf_char(out, ')');
        break;
    case RANGE:
        if (n->lo) xn_buf_printf(out, "%s >= %s", n->token, n->lo->text);
        if (n->lo && n->hi) xn_buf_str(out, " and ");
        if (n->hi) xn_buf_printf(out, "%s <= %s", n->token, n->hi->text);
        break;
    case SET:
        xn_buf_printf(out, "%s in (", n->token);
        for (i = 0; i < n->n_set; i++) {
            xn_buf_printf(out, "%s\"%s\"", i ? ", " : "", n->set[i]->text);
        }
        xn_buf_char(out, ')');
        break;
    }
}

static void put_word(const struct node *n, struct xn_buf *out)
{
    size_t i;

    xn_buf_printf(out, " '%s:", n->token);
    if (n->op == RANGE) {
        xn_buf_printf(out, "%s..%s", n->lo ? n->lo->text : "",
                      n->hi ? n->hi->text : "");
    }
    /* A value with a comma must be quoted; others are one time in two. */
    for (i = 0; n->op == SET && i < n->n_set; i++) {
        const char *text = n->set[i]->text;
        const char *quote =
            strchr(text, ',') || xn_rng_below(&rng, 2) ? "\"" : "";

        xn_buf_printf(out, "%s%s%s%s", i ? "," : "", quote, text, quote);
    }
    xn_buf_char(out, '\'');
}

/* ---- one query ---- */

struct query_case {
    struct node *condition[3]; /* joined by and */
    size_t n_conditions;
    bool words; /* positional form */
    const char *sort;
    bool descending;
    size_t limit;
};

static void make_case(struct query_case *q)
{
    size_t i;

    memset(q, 0, sizeof *q);
    q->words = xn_rng_below(&rng, 2);
    q->n_conditions = q->words ? 1 + xn_rng_below(&rng, 3) : 1;
    for (i = 0; i < q->n_conditions; i++) {
        q->condition[i] = q->words ? random_leaf() : random_tree(DEPTH_MAX);
    }
    if (xn_rng_below(&rng, 2)) {
        q->sort = xn_rng_below(&rng, 4) ? numbers[xn_rng_below(&rng, 8)]
                                        : strings[xn_rng_below(&rng, 5)];
        q->descending = xn_rng_below(&rng, 2);
    }
    q->limit = 1 + xn_rng_below(&rng, 30);
}

static void free_case(struct query_case *q)
{
    size_t i;

    for (i = 0; i < q->n_conditions; i++)
        free_node(q->condition[i]);
}

static bool matches(const struct query_case *q, const struct row *row)
{
    size_t i;

    for (i = 0; i < q->n_conditions; i++) {
        if (!holds(q->condition[i], row)) return false;
    }
    return true;
}

static char *command_of(const struct query_case *q, const char *xenofind)
{
    struct xn_buf out;
    size_t i;

    xn_buf_init(&out, 0);
    xn_buf_printf(&out, "%s -o json -n %zu", xenofind, q->limit);
    if (q->sort) {
        xn_buf_printf(&out, " -s %s%s", q->sort, q->descending ? ":desc" : "");
    }
    if (q->words) {
        for (i = 0; i < q->n_conditions; i++)
            put_word(q->condition[i], &out);
    } else {
        xn_buf_str(&out, " --where '");
        put_where(q->condition[0], &out);
        xn_buf_char(&out, '\'');
    }
    xn_buf_str(&out, " 2>/dev/null");
    return xn_buf_steal_str(&out);
}

/* ---- judging the answer ---- */

static const char *sort_key; /* of the qsort below */
static bool sort_down;

/* Order of two rows by the key alone: numbers before strings, absent last. */
static int key_order(const struct row *a, const struct row *b)
{
    const struct cell *ca = sort_key ? get(a, sort_key) : NULL;
    const struct cell *cb = sort_key ? get(b, sort_key) : NULL;
    int cmp;

    if (!ca || !cb) return !ca - !cb;
    if (ca->is_number != cb->is_number)
        cmp = cb->is_number - ca->is_number;
    else
        cmp = compare(ca, cb);
    return sort_down ? -cmp : cmp;
}

static int by_key(const void *a, const void *b)
{
    return key_order(*(const struct row *const *)a,
                     *(const struct row *const *)b);
}

static const struct row *row_named(const char *name)
{
    size_t i;

    for (i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    }
    return NULL;
}

/* Does the JSON value say exactly what the cell holds? */
static bool same_value(const json_t *json, const struct cell *cell)
{
    char text[64];
    xn_dec value;

    if (json_is_string(json)) {
        const char *s = json_string_value(json);

        if (!cell->is_number) return strcmp(s, cell->text) == 0;
        return xn_dec_parse(s, strlen(s), &value) == 0 &&
               xn_dec_cmp(value, cell->number) == 0;
    }
    if (!cell->is_number) return false;
    if (json_is_integer(json)) {
        value = xn_dec_int(json_integer_value(json));
        return xn_dec_cmp(value, cell->number) == 0;
    }
    snprintf(text, sizeof text, "%.17g", json_real_value(json));
    return strtod(text, NULL) == strtod(cell->text, NULL);
}

static const char *judge_server(const json_t *server,
                                const struct row **row_out)
{
    const json_t *tokens = json_object_get(server, "tokens");
    const char *name = json_string_value(json_object_get(tokens, "ServerName"));
    const struct row *row = name ? row_named(name) : NULL;
    size_t i;

    if (!row) return "a server that is not in the catalogue";
    for (i = 0; i < row->n; i++) {
        const json_t *value = json_object_get(tokens, row->cells[i].token);

        if (!value) return "a token is missing";
        if (!same_value(value, &row->cells[i])) return "a value differs";
    }
    *row_out = row;
    return NULL;
}

static const char *judge_order(const struct query_case *q, const json_t *list,
                               const struct row **shown,
                               const struct row **right, size_t n_right)
{
    size_t n = json_array_size(list), i;

    sort_key = q->sort;
    sort_down = q->descending;
    qsort(right, n_right, sizeof *right, by_key);
    if (n != (n_right < q->limit ? n_right : q->limit)) return "wrong length";
    for (i = 0; i < n; i++) {
        const char *id, *before;

        if (!matches(q, shown[i])) return "one does not match";
        if (key_order(shown[i], right[i])) return "wrong order";
        if (i == 0 || key_order(shown[i - 1], shown[i])) continue;
        before = json_string_value(
            json_object_get(json_array_get(list, i - 1), "id"));
        id = json_string_value(json_object_get(json_array_get(list, i), "id"));
        if (!id || !before || strcmp(before, id) >= 0) {
            return "ids of equals do not ascend";
        }
    }
    return NULL;
}

static const char *judge(const struct query_case *q, const json_t *answer,
                         size_t *n_right_out)
{
    const json_t *list = json_object_get(answer, "servers"), *server;
    const struct row **right = calloc(n_rows + 1, sizeof *right), **shown;
    const char *why = NULL;
    size_t i, n_right = 0;

    shown = calloc(json_array_size(list) + 1, sizeof *shown);
    if (!right || !shown) abort();
    for (i = 0; i < n_rows; i++) {
        if (matches(q, &rows[i])) right[n_right++] = &rows[i];
    }
    *n_right_out = n_right;
    if ((size_t)json_integer_value(json_object_get(answer, "matching")) !=
        n_right) {
        why = "wrong count of matching";
    }
    if (json_array_size(json_object_get(answer, "rejected"))) {
        why = "something was rejected";
    }
    json_array_foreach(list, i, server)
    {
        if (!why) why = judge_server(server, &shown[i]);
    }
    if (!why) why = judge_order(q, list, shown, right, n_right);
    free(shown);
    free(right);
    return why;
}

static const char *run_case(const struct query_case *q, const char *command,
                            size_t *n_right)
{
    FILE *pipe = popen(command, "re");
    const char *why = NULL;
    json_error_t error;
    json_t *answer;
    int status;

    if (!pipe) return "cannot run xenofind";
    answer = json_loadf(pipe, 0, &error);
    status = pclose(pipe);
    if (!answer) return "no JSON";
    why = judge(q, answer, n_right);
    json_decref(answer);
    if (!why && status >> 8 != (*n_right ? 0 : XN_EXIT_NONE)) {
        why = "wrong exit code";
    }
    return why;
}

/* ---- main ---- */

static void load_rows(const char *path, uint64_t draw_seed, size_t servers,
                      size_t ads)
{
    struct dev_catalogue *c;
    size_t i;

    if (dev_catalogue_read(path, &catalogue)) exit(1);
    c = catalogue;
    dev_catalogue_shuffle(c, draw_seed);
    n_rows = servers + ads;
    if (dev_catalogue_rows(c) < n_rows) exit(1);
    rows = calloc(n_rows, sizeof *rows);
    if (!rows) abort();
    for (i = 0; i < n_rows; i++) {
        make_row(c, i, &rows[i]);
        snprintf(rows[i].name, sizeof rows[i].name,
                 i < servers ? "server-%02zu" : "ad-%zu", i + 1);
    }
}

int main(int argc, char **argv)
{
    size_t queries, i, some = 0, failed = 0, n_right, block = 0;

    if (argc != 8) {
        fprintf(stderr, "usage: findcheck CATALOGUE DRAW-SEED SERVERS ADS "
                        "QUERIES SEED XENOFIND\n");
        return 2;
    }
    load_rows(argv[1], strtoull(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
              strtoul(argv[4], NULL, 10));
    queries = strtoul(argv[5], NULL, 10);
    xn_rng_seed(&rng, strtoull(argv[6], NULL, 10));
    for (i = 0; i < queries; i++) {
        struct query_case q;
        const char *why;
        char *command;

        make_case(&q);
        command = command_of(&q, argv[7]);
        n_right = 0;
        why = run_case(&q, command, &n_right);
        if (why) printf("# query %zu: %s\n#   %s\n", i + 1, why, command);
        failed += why != NULL;
        some += n_right > 0 && n_right < n_rows;
        free(command);
        free_case(&q);
        if (i % 100 != 99 && i + 1 != queries) continue;
        printf("%sok %zu - queries up to %zu equal the filter\n",
               failed ? "not " : "", ++block, i + 1);
        fflush(stdout);
        failed = 0;
    }
    printf("%sok %zu - %zu of %zu queries match some but not all\n",
           2 * some >= queries ? "" : "not ", ++block, some, queries);
    printf("1..%zu\n", block);
    free(rows);
    dev_catalogue_free(catalogue);
    return 0;
}
