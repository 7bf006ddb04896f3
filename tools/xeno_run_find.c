/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who could run it, by the index, and what they ask for it now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "tools/xeno_run.h"

enum { AT_ONCE = 3 }; /* quotes asked for together */

/* What who does not say gets. */
#define CPU_SMPS "1000"
#define MEMORY_MB "256"

/* Amounts that a session has set apart; the quote is for them. */
static const char *const amounts[RUN_AMOUNTS] = {
    "CPUsmps", "MemoryMB", "DiskGB", "NetMbps", "IPv4Addresses"};

/* What its tasks run in. */
enum { VIRTUALISATION = RUN_KINDS - 1 };
static const char *const kinds[RUN_KINDS] = {"EnvType", "EnvKernel",
                                             "Virtualisation"};

/* ---- what is wanted, by the search's own conditions ---- */

static const char *least(const Xn__Expr *expr)
{
    if (expr->op == XN__EXPR_OP__RANGE && expr->has_lo) return expr->lo;
    if (expr->op == XN__EXPR_OP__IN && expr->n_values == 1)
        return expr->values[0];
    return NULL;
}

/* Names that need no escapes in XML; others are the search's alone. */
static void take_kind(const Xn__Expr *expr, const char *text, char out[64])
{
    if (expr->op == XN__EXPR_OP__IN && strlen(text) < 64 &&
        !strpbrk(text, "<>&\"'"))
        snprintf(out, 64, "%s", text);
}

static void take_condition(const Xn__Expr *expr, struct run_wanted *wanted)
{
    const char *text = least(expr);
    xn_dec d;

    if (!text || !expr->token) return;
    for (size_t i = 0; i < RUN_AMOUNTS; i++) {
        if (strcmp(expr->token, amounts[i]) != 0) continue;
        if (!xn_dec_parse(text, strlen(text), &d) &&
            xn_dec_cmp(d, wanted->amount[i]) > 0)
            wanted->amount[i] = d;
    }
    for (size_t i = 0; i < RUN_KINDS; i++) {
        if (strcmp(expr->token, kinds[i]) == 0)
            take_kind(expr, text, wanted->kind[i]);
    }
}

static void take_conditions(const struct query *query,
                            struct run_wanted *wanted)
{
    const Xn__Expr *where = query_proto(query)->where;

    memset(wanted, 0, sizeof *wanted);
    if (where && where->op == XN__EXPR_OP__ALL) {
        for (size_t i = 0; i < where->n_args; i++)
            take_condition(where->args[i], wanted);
    } else if (where) {
        take_condition(where, wanted);
    }
}

static int write_requirements(const struct run_wanted *wanted,
                              struct xn_buf *xml)
{
    char text[XN_DEC_TEXT_MAX];

    xn_buf_str(xml, "<EnvironmentalRequirements>");
    for (size_t i = 0; i < RUN_KINDS; i++) {
        if (wanted->kind[i][0])
            xn_buf_printf(xml, "<%s>%s</%s>", kinds[i], wanted->kind[i],
                          kinds[i]);
    }
    xn_buf_str(xml, "<Resources>");
    for (size_t i = 0; i < RUN_AMOUNTS; i++) {
        if (!wanted->amount[i].v) continue;
        xn_dec_format(wanted->amount[i], text);
        xn_buf_printf(xml, "<%s>%s</%s>", amounts[i], text, amounts[i]);
    }
    xn_buf_str(xml, "</Resources></EnvironmentalRequirements>");
    return xn_buf_rc(xml);
}

/* ---- the search ---- */

static bool says(const struct run_wish *wish, const char *token)
{
    size_t len = strlen(token);

    for (size_t i = 0; i < wish->n_words; i++) {
        if (strncmp(wish->words[i], token, len) == 0 &&
            wish->words[i][len] == ':')
            return true;
    }
    return wish->where && strstr(wish->where, token);
}

struct line { /* xenofind's command line */
    char *argv[RUN_WORDS_MAX + 24];
    int argc;
    char job[80], limit[16];
};

static void add(struct line *line, const char *word)
{
    line->argv[line->argc++] = (char *)(uintptr_t)word;
}

/* As a person would ask: the cheapest for that time first. */
static void make_line(const struct run *run, const char *config,
                      struct line *line)
{
    const struct run_wish *wish = &run->wish;

    memset(line, 0, sizeof *line);
    snprintf(line->job, sizeof line->job, "time=%llus",
             (unsigned long long)(wish->life_us / 1000000));
    snprintf(line->limit, sizeof line->limit, "%d", RUN_CANDIDATES_MAX);
    add(line, "xenofind");
    add(line, "-n"), add(line, line->limit);
    add(line, "-s"), add(line, "total");
    add(line, "--for"), add(line, line->job);
    add(line, "--currency"), add(line, wish->currency);
    if (wish->where) add(line, "--where"), add(line, wish->where);
    if (config) add(line, "--config"), add(line, config);
    add(line, "--");
    for (size_t i = 0; i < wish->n_words; i++)
        add(line, wish->words[i]);
    if (!says(wish, "CPUsmps")) add(line, "CPUsmps:" CPU_SMPS "..");
    if (!says(wish, "MemoryMB")) add(line, "MemoryMB:" MEMORY_MB "..");
}

static void take_hit(struct run *run, const struct query *query,
                     const struct find_hit *hit)
{
    struct run_candidate *c = &run->candidates[run->n];
    const struct advert_value *endpoint =
        hit->advert->n_rows ? advert_row_get(&hit->advert->rows[0], "Endpoint")
                            : NULL;
    struct net_corp place;
    char hex[XN_ID_HEX];

    if (!endpoint || strlen(endpoint->text) + XN_ID_HEX + 1 > sizeof c->url)
        return;
    memset(c, 0, sizeof *c);
    xn_id_hex(&hit->server, hex);
    snprintf(c->url, sizeof c->url, "%s#%s", endpoint->text, hex);
    if (net_corp_parse(c->url, &place) || !place.pinned) return;
    xn_id_name(&hit->server, hit->signer.label, c->name);
    xeno_kept_name(hit->advert->server_name, c->server_name);
    c->corp = hit->signer.corp;
    (void)query_total_advert(query, hit->advert, &c->total);
    run->n++;
}

static int search(struct run *run, const struct find_options *opt,
                  const struct query *query)
{
    struct net_identity identity = {.key = NULL};
    struct find_result result = {.matching = 0};
    int rc = find_identity_make(opt, &identity);

    if (!rc) rc = find_fetch(opt, query, &identity, &result);
    if (!rc) find_tell_unlisted(opt, &result);
    for (size_t i = 0; !rc && i < result.list.n; i++) {
        if (run->n < RUN_CANDIDATES_MAX)
            take_hit(run, query, &result.list.hits[i]);
    }
    if (!rc && !run->n) {
        find_advise(opt, query, &identity, &result);
        rc = XN_ENOENT;
    }
    find_result_clear(&result);
    net_identity_clear(&identity);
    return rc;
}

int run_find(struct run *run, const char *config)
{
    struct find_options *opt = calloc(1, sizeof *opt);
    struct query *query = NULL;
    struct line line;
    int rc = opt ? 0 : XN_ENOMEM;

    if (rc) return xeno_no_memory();
    opt->program = XENO_PROGRAM;
    make_line(run, config, &line);
    rc = find_options_parse(line.argc, line.argv, opt);
    if (!rc && run->xeno->n_corps) {
        memcpy(opt->corps, run->xeno->corps, sizeof opt->corps);
        opt->n_corps = run->xeno->n_corps;
    }
    if (!rc) rc = find_query_make(opt, &query);
    if (!rc && !opt->n_nodes) rc = find_no_nodes(opt);
    if (!rc) {
        take_conditions(query, &run->wanted);
        rc = write_requirements(&run->wanted, &run->requirements);
    }
    if (!rc) rc = search(run, opt, query);
    query_free(query);
    find_options_clear(opt);
    free(opt);
    return xn_exit_code(rc);
}

/* ---- quotes ---- */

/* Hours as a decimal, rounded up: what is paid is never more. */
static xn_dec hours_of(uint64_t us)
{
    const uint64_t hour_us = 3600000000ULL;
    xn_dec d = {.v = ((xn_i128)us * XN_DEC_ONE + hour_us - 1) / hour_us};

    return d;
}

int run_cost(const struct money_quote *quote, uint64_t us, int64_t *micro_out)
{
    const struct money_rates *rates = &quote->rates;
    struct price_usage usage = {.hours = hours_of(us)};
    xn_dec s = {.v = (xn_i128)us * (XN_DEC_ONE / 1000000)};
    xn_dec ms, gb;
    int rc = xn_dec_mul(s, rates->cpu_smps, &ms);

    usage.cpu_s = (xn_dec){.v = ms.v / 1000};
    if (!rc) rc = xn_dec_mul(usage.hours, rates->memory_mb, &usage.memory_mb_h);
    if (!rc) rc = xn_dec_mul(usage.hours, rates->disk_gb, &usage.disk_gb_h);
    /* Mbit/s each way: both ways are a quarter of a MB each second. */
    if (!rc) rc = xn_dec_mul(s, rates->net_mbps, &gb);
    if (!rc) usage.net_gb = (xn_dec){.v = gb.v / 4000};
    return rc ? rc : price_amount(&quote->prices, &usage, micro_out);
}

/* Of types and kernels the search has seen to, as the server's quote says no more
 * of them than its advertisement. */
const char *run_falls_short(const struct run_wanted *wanted,
                            const struct xeno_quoted *quoted)
{
    const struct money_quote *q = &quoted->quote;
    const xn_dec has[RUN_AMOUNTS] = {q->rates.cpu_smps, q->rates.memory_mb,
                                     q->rates.disk_gb, q->rates.net_mbps,
                                     q->rates.ipv4_addresses};

    for (size_t i = 0; i < RUN_AMOUNTS; i++) {
        if (xn_dec_cmp(has[i], wanted->amount[i]) < 0) return amounts[i];
    }
    if (strcmp(quoted->manager, "xen") == 0 &&
        strcmp(wanted->kind[VIRTUALISATION], "pvh") == 0 &&
        strcmp(q->virtualisation, "pvh") != 0) {
        return kinds[VIRTUALISATION];
    }
    return NULL;
}

static void note(struct run *run, const struct run_candidate *c, int rc,
                 const char *because, const char *try)
{
    run->why.rc = rc;
    run->why.reason[0] = '\0';
    snprintf(run->why.because, sizeof run->why.because, "%s", because);
    snprintf(run->why.try, sizeof run->why.try, "%s", try);
    snprintf(run->by, sizeof run->by, "%s", c->name);
    run->refused++;
}

/* The least that it would have cost is what people want to know. */
static void too_dear(struct run *run, const struct run_candidate *c)
{
    char text[200], cost[MONEY_TEXT_MAX], try[100];

    if (run->why.rc == XN_EFUNDS && run->least <= c->cost) {
        run->refused++;
        return;
    }
    run->least = c->cost;
    money_text(c->cost, run->wish.currency, cost);
    snprintf(text, sizeof text, "the whole time at its rates costs %s", cost);
    cost[strcspn(cost, " ")] = '\0';
    snprintf(try, sizeof try, "--max %s%s, or --for with less", cost,
             run->wish.currency);
    note(run, c, XN_EFUNDS, text, try);
}

/* Is it an offer that we would take? */
static void judge(struct run *run, struct run_candidate *c)
{
    const struct money_quote *q = &c->quoted.quote;
    bool xen = strcmp(c->quoted.manager, "xen") == 0;
    const char *lacks = run_falls_short(&run->wanted, &c->quoted);
    char text[200];

    if (strcmp(q->currency, run->wish.currency) != 0) {
        snprintf(text, sizeof text, "it asks for %s", q->currency);
        note(run, c, XN_EREFUSED, text, "--max in that currency");
    } else if (lacks) {
        snprintf(text, sizeof text, "its quote is not what %s asks for", lacks);
        note(run, c, XN_EREFUSED, text, "another server");
    } else if (xen && !says(&run->wish, "EnvType")) {
        /* its kernel gets the command, which need not be a program there */
        note(run, c, XN_EREFUSED, "its tasks are domains, with its own kernel",
             "name the EnvType that the command is for");
    } else if (!xen && strcmp(c->quoted.manager, "sandbox") != 0) {
        note(run, c, XN_EREFUSED, "it runs no tasks", "another server");
    } else if (run_cost(q, run->wish.life_us, &c->cost)) {
        note(run, c, XN_EOVERFLOW, "its price is out of range",
             "another server");
    } else if (c->cost > run->wish.max_micro) {
        too_dear(run, c);
    } else {
        return;
    }
    run_candidate_clear(c);
}

struct asking { /* one of several */
    struct run_candidate *candidate;
    struct xeno_member server;
    struct xeno_question question;
    struct xeno_asking asking;
    struct xeno_why why;
    Xn__AskQuote body;
};

static void take_answer(struct run *run, struct asking *a)
{
    Xn__Quoted *quoted = NULL;
    int rc = xeno_ask_end(&a->asking, &quoted);

    if (!rc)
        rc =
            xeno_quote_take(&a->server, quoted, &a->candidate->quoted, &a->why);
    if (quoted) xn__quoted__free_unpacked(quoted, NULL);
    if (!rc) {
        judge(run, a->candidate);
    } else {
        note(run, a->candidate, rc, a->why.because, a->why.try);
    }
}

static bool begin(struct run *run, struct run_candidate *c, struct asking *a)
{
    const struct xeno_member *member = run_member(run, &c->corp);

    memset(a, 0, sizeof *a);
    c->asked = true;
    a->candidate = c;
    if (!member) {
        note(run, c, XN_EIDENT, "its XenoCorp does not know us",
             "xeno register with that one");
        return false;
    }
    if (xeno_server_as(c->url, member, &a->server)) return false;
    xn__ask_quote__init(&a->body);
    a->body.requirements =
        (ProtobufCBinaryData){run->requirements.len, run->requirements.data};
    a->question = (struct xeno_question){
        .what = "cannot have a quote",
        .method = "POST",
        .path = "/v1/quote",
        .body = &a->body,
        .answer = &xn__quoted__descriptor,
        .why = &a->why,
    };
    xeno_ask_begin(run->xeno, &a->server, &a->question, &a->asking);
    return true;
}

/* The next ones in the order of the search; false: nobody is left. */
static bool ask_some(struct run *run)
{
    struct asking asks[AT_ONCE];
    size_t n = 0;

    for (size_t i = 0; i < run->n && n < AT_ONCE; i++) {
        if (run->candidates[i].asked) continue;
        if (begin(run, &run->candidates[i], &asks[n])) n++;
    }
    for (size_t i = 0; i < n; i++) {
        xeno_ask_await(run->xeno, asks[i].server.talk, &asks[i].asking);
        take_answer(run, &asks[i]);
    }
    return n > 0;
}

struct run_candidate *run_cheapest(struct run *run)
{
    struct run_candidate *best = NULL;

    do {
        for (size_t i = 0; i < run->n; i++) {
            struct run_candidate *c = &run->candidates[i];

            if (c->quoted.paper.data && (!best || c->cost < best->cost))
                best = c;
        }
    } while (!best && ask_some(run));
    return best;
}

void run_candidate_clear(struct run_candidate *candidate)
{
    free(candidate->quoted.paper.data);
    memset(&candidate->quoted, 0, sizeof candidate->quoted);
}
