/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/soak/corp_books.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <jansson.h>

#include "corp/order_file.h"
#include "lib/dec.h"
#include "tests/soak/market.h"

enum { MOVES = 4 };

struct account {
    xn_id id;
    int64_t balance;
    UT_hash_handle hh;
};

struct books {
    xn_id world;
    struct book_op *ops;
    struct account *accounts;
    uint64_t seen;
};

struct books *books_new(const xn_id *corp)
{
    struct books *books = calloc(1, sizeof *books);

    if (!books) die("out of memory");
    order_house(corp, 'e', "GBP", &books->world);
    return books;
}

static void forget_accounts(struct books *books)
{
    struct account *a, *tmp;

    HASH_ITER(hh, books->accounts, a, tmp)
    {
        HASH_DEL(books->accounts, a);
        free(a);
    }
}

void books_free(struct books *books)
{
    struct book_op *op, *tmp;

    HASH_ITER(hh, books->ops, op, tmp)
    {
        HASH_DEL(books->ops, op);
        free(op);
    }
    forget_accounts(books);
    free(books);
}

struct book_op *books_expect(struct books *books, enum book_what what)
{
    struct book_op *op = calloc(1, sizeof *op);

    if (!op) die("out of memory");
    op->what = what;
    if (what == BOOK_PAY) op->from = books->world;
    return op;
}

void books_add(struct books *books, struct book_op *op)
{
    struct book_op *other;

    HASH_FIND(hh, books->ops, &op->id, sizeof op->id, other);
    if (other) die("two operations have one id");
    HASH_ADD(hh, books->ops, id, sizeof op->id, op);
}

/* ---- what a line of the export says ---- */

static xn_id id_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    xn_id id;

    if (!text || xn_id_unhex(text, strlen(text), &id))
        die("the export has no %s", name);
    return id;
}

static int64_t micro_of(const json_t *posting)
{
    const char *text = json_string_value(json_object_get(posting, "amount"));
    bool minus = text && text[0] == '-';
    xn_dec amount;

    if (!text || xn_dec_parse(text + minus, strlen(text + minus), &amount))
        die("the export has no amount");
    amount.v /= XN_DEC_ONE / 1000000;
    return (int64_t)(minus ? -amount.v : amount.v);
}

static void move(struct books *books, const xn_id *account, int64_t micro)
{
    struct account *a;

    HASH_FIND(hh, books->accounts, account, sizeof *account, a);
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) die("out of memory");
        a->id = *account;
        HASH_ADD(hh, books->accounts, id, sizeof a->id, a);
    }
    a->balance += micro;
}

/* What an operation moves, in all, for each account. */
struct net {
    xn_id account[2 * MOVES];
    int64_t micro[2 * MOVES];
    size_t n;
};

static void net_add(struct net *net, const xn_id *account, int64_t micro)
{
    size_t i = 0;

    if (!micro) return;
    while (i < net->n && !xn_id_eq(&net->account[i], account))
        i++;
    if (i == 2 * MOVES) die("more postings than any operation has");
    if (i == net->n) {
        net->account[net->n] = *account;
        net->micro[net->n++] = 0;
    }
    net->micro[i] += micro;
}

static bool net_has(const struct net *net, const xn_id *account, int64_t micro)
{
    for (size_t i = 0; i < net->n; i++) {
        if (xn_id_eq(&net->account[i], account)) return net->micro[i] == micro;
    }
    return micro == 0;
}

static bool net_same(const struct net *a, const struct net *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (!net_has(b, &a->account[i], a->micro[i])) return false;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (!net_has(a, &b->account[i], b->micro[i])) return false;
    }
    return true;
}

static void net_expected(const struct book_op *op, struct net *net)
{
    memset(net, 0, sizeof *net);
    net_add(net, &op->from, -op->micro);
    net_add(net, &op->to, op->micro);
    net_add(net, &op->from, -op->rest);
    net_add(net, &op->back, op->rest);
}

static void judge_line(struct books *books, const json_t *line)
{
    const char *what = json_string_value(json_object_get(line, "what"));
    xn_id id = id_of(line, "operation");
    json_t *postings = json_object_get(line, "postings");
    struct net is = {.n = 0}, want;
    struct book_op *op;
    int64_t sum = 0;

    for (size_t i = 0; i < json_array_size(postings); i++) {
        const json_t *posting = json_array_get(postings, i);
        xn_id account = id_of(posting, "account");
        int64_t micro = micro_of(posting);

        net_add(&is, &account, micro);
        move(books, &account, micro);
        sum += micro;
    }
    if (sum) die("an operation does not sum to zero");
    if (what && strcmp(what, "open") == 0 && !is.n) return;
    HASH_FIND(hh, books->ops, &id, sizeof id, op);
    if (!op) die("the books have an operation that nobody asked for: %s", what);
    if (op->seen) die("an operation was done twice: %s", what);
    if (op->told == BOOK_REFUSED) die("it was refused, and is done: %s", what);
    op->seen = true;
    books->seen++;
    net_expected(op, &want);
    if (!net_same(&is, &want)) die("other amounts than told: %s", what);
}

static void read_export(struct books *books, const char *tool, const char *dir)
{
    char command[900];
    char *line = NULL;
    size_t room = 0;
    FILE *pipe;

    snprintf(command, sizeof command, "'%s' audit export '%s'", tool, dir);
    pipe = popen(command, "re");
    if (!pipe) die("no process");
    while (getline(&line, &room, pipe) > 0) {
        json_t *object = json_loads(line, 0, NULL);

        if (!object) die("the export is no JSON: %s", line);
        judge_line(books, object);
        json_decref(object);
    }
    free(line);
    if (pclose(pipe)) die("xenocorp audit export failed");
}

void books_judge(struct books *books, const char *tool, const char *dir)
{
    char command[900];
    struct book_op *op, *tmp;
    int status;

    snprintf(command, sizeof command, "'%s' audit verify '%s' >/dev/null", tool,
             dir);
    status = system(command);
    if (status) die("xenocorp audit verify: %d", WEXITSTATUS(status));
    forget_accounts(books);
    books->seen = 0;
    HASH_ITER(hh, books->ops, op, tmp)
    {
        op->seen = false;
    }
    read_export(books, tool, dir);
    HASH_ITER(hh, books->ops, op, tmp)
    {
        if (op->told == BOOK_DONE && !op->seen)
            die("it was acknowledged, and is lost: kind %d", op->what);
    }
}

int64_t books_balance(const struct books *books, const xn_id *account)
{
    struct account *a;

    HASH_FIND(hh, books->accounts, account, sizeof *account, a);
    return a ? a->balance : 0;
}

uint64_t books_seen(const struct books *books)
{
    return books->seen;
}
